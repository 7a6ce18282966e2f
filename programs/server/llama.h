/* Functions that the files of llama-server's API share. */
#ifndef SERVER_LLAMA_H
#define SERVER_LLAMA_H

#include "server/dialects.h"
#include "server/models.h"

/* Read prompts in all forms that llama-server accepts: a text, token ids, a list of both that makes one prompt,
 * {"prompt_string": TEXT}, or a list of such prompts. Special tokens are found in texts, because the client applies its
 * own template. name: of the field, for messages. */
bool llama_prompts(request *r, const char *name, const json_t *value, failure *f);

/* "generation_settings" and "params": the sampling settings of a request. r: NULL gives the defaults of the model. */
json_t *llama_settings(const served_model *m, const request *r);

/* Tokens as text, with special tokens spelled out. */
json_t *llama_text(const served_model *m, const int32_t *tokens, size_t count);

#endif
