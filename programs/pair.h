/* Joins a query and a document into one text for a model that ranks documents. */
#ifndef PAIR_H
#define PAIR_H

#include "cllm.h"

/* Use the file's template for this, or else the tokens that its vocabulary has for the beginning, the middle and the
 * end. The model must have a tokenizer. tokens: out, release with cllm_free. */
cllm_status pair_encode(const cllm_model *model, cllm_string query, cllm_string document, int32_t **tokens,
                        size_t *count, cllm_error *err);

#endif
