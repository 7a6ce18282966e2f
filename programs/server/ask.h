/* What the APIs' requests have in common: fields of JSON become what request.h has. Each function returns false after filling f. */
#ifndef SERVER_ASK_H
#define SERVER_ASK_H

#include "server/http.h"
#include "server/models.h"
#include "server/request.h"

/* A request to a model (NULL: the first), which is loaded if it has to be, with the server's defaults. NULL: f says why. */
request *ask_begin(const char *model, request_kind kind, const char *id_prefix, failure *f);

/* Sampling, by OpenAI's, llama-server's and vLLM's names: temperature, top_p, top_k, seed ... Fields that are absent stay as they are. */
bool ask_sampling(request *r, const json_t *fields, failure *f);

/* A string, or a list of them. name: of the field, for messages. */
bool ask_stops(request *r, const char *name, const json_t *stops, failure *f);

/* What form the text has: response_format, json_schema, grammar, structured_outputs, format. At most one of them. */
bool ask_form(request *r, const json_t *fields, failure *f);
bool ask_grammar(request *r, const char *field, cllm_grammar_kind kind, const char *text, failure *f);
bool ask_schema(request *r, const char *field, const json_t *schema, bool in_order, failure *f);

/* A text to go on from, or to embed: its tokens become a prompt. It is the client's own template, so special tokens are read in it. */
bool ask_text(request *r, const char *text, size_t length, failure *f);

/* Does the model give one vector for a text, and not one for each token? Else it is refused. */
bool ask_one_vector(const request *r, failure *f);

/* A conversation, in OpenAI's form. */
typedef struct chat_request {
    const json_t *messages;
    const json_t *tools;          /* an array, or NULL */
    const json_t *tool_choice;    /* as OpenAI has it, or NULL */
    const json_t *kwargs;         /* an object of variables for the template, or NULL */
    const char *reasoning_effort; /* or NULL; "none": without reasoning */
    bool no_reasoning;
    bool continues; /* the last message goes on */
    bool calls_one; /* at most one tool call */
} chat_request;
bool ask_chat(request *r, const chat_request *chat, failure *f);
bool chat_takes_tools(const cllm_chat *chat); /* does its template print the tools that it is given? */

/* The conversation as the model would see it: parts, owned. */
bool render_chat(const served_model *m, const chat_request *chat, cllm_part **parts, size_t *n_parts, failure *f);

/* Check lengths, and make the choices. */
bool ask_end(request *r, failure *f);

const char *finish_reason(finish reason); /* OpenAI's: "stop", "length", "tool_calls"; NULL for FINISH_NONE */

/* The text that a token adds after another (-1: the first). */
cllm_string token_text(const request *r, int32_t previous, int32_t token);

#endif
