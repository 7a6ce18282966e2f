/* What the files of llama-server's API share. */
#ifndef SERVER_LLAMA_H
#define SERVER_LLAMA_H

#include "server/dialects.h"
#include "server/models.h"

/* Prompts in all forms that llama-server takes: a text, token ids, a list of both that make one prompt, {"prompt_string": TEXT}, or a list of such
 * prompts. Special tokens are read in texts: they are the client's own template. name: of the field, for messages. */
bool llama_prompts(request *r, const char *name, const json_t *value, failure *f);

/* "generation_settings" and "params": how a request draws. r: NULL for what the model's requests begin with. */
json_t *llama_settings(const served_model *m, const request *r);

/* Tokens as text, the special ones spelled. */
json_t *llama_text(const served_model *m, const int32_t *tokens, size_t count);

#endif
