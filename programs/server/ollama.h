/* What the files of ollama's API share: https://github.com/ollama/ollama/blob/main/docs/api.md */
#ifndef SERVER_OLLAMA_H
#define SERVER_OLLAMA_H

#include "server/http.h"
#include "server/models.h"

/* A time as ollama writes it: RFC 3339, with a fraction. seconds: since 1970. */
json_t *ollama_time(double seconds);
double ollama_now(void); /* seconds since 1970 */

/* The name that its clients know a model by: one without a tag has :latest. */
json_t *ollama_name(const served_model *m);

/* The model that a body names, as `model` or `name`, as it is. NULL: f says why. */
served_model *ollama_find(const json_t *body, failure *f);

/* A failure as a line of a stream. */
void ollama_write_failure(request *r, const failure *f, text_buffer *out);

/* What a model can do. It is found out when it is first asked for. false: its file cannot be read, and f says why. */
typedef struct capabilities {
    bool completion, tools, thinking, insert, embedding;
} capabilities;
bool ollama_can(served_model *m, capabilities *can, failure *f);

/* Wait for the pulls that are under way. They end soon once the server was told to. */
void ollama_end_pulls(void);

#endif
