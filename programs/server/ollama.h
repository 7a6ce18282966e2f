/* Functions that the files of ollama's API share: https://github.com/ollama/ollama/blob/main/docs/api.md */
#ifndef SERVER_OLLAMA_H
#define SERVER_OLLAMA_H

#include "server/http.h"
#include "server/models.h"

/* A time in ollama's form: RFC 3339, with a fraction. seconds: since 1970. */
json_t *ollama_time(double seconds);
double ollama_now(void); /* seconds since 1970 */

/* The model that a body names in `model` or `name`, loaded or not. NULL: f says why. */
served_model *ollama_find(const json_t *body, failure *f);

/* Write a failure as a line of a stream. */
void ollama_write_failure(request *r, const failure *f, text_buffer *out);

/* What a model can do. Computed at the first call, and again if the file has changed. false: the file cannot be read,
 * and f says why. */
typedef struct capabilities {
    bool completion, tools, thinking, insert, embedding;
} capabilities;
bool ollama_can(served_model *m, capabilities *can, failure *f);

/* Wait for running pulls. They end soon after the server was told to stop. */
void ollama_end_pulls(void);

#endif
