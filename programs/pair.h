/* What a model that ranks documents reads: a query and a document in one text. */
#ifndef PAIR_H
#define PAIR_H

#include "cllm.h"

/* By the template that the file has for it, else with the tokens around and between both that its vocabulary has. The model must have a
 * tokenizer. tokens: out, cllm_free. */
cllm_status pair_encode(const cllm_model *model, cllm_string query, cllm_string document, int32_t **tokens,
                        size_t *count, cllm_error *err);

#endif
