/* What the requests of all APIs have in common: turns JSON fields into the fields of request.h. A function that takes a
 * failure f returns false after filling it. */
#ifndef SERVER_ASK_H
#define SERVER_ASK_H

#include "server/http.h"
#include "server/models.h"
#include "server/request.h"

/* Begin a request to a model (NULL: the first one) with the server's defaults. The model is loaded if necessary. NULL:
 * f says why. */
request *ask_begin(const char *model, request_kind kind, const char *id_prefix, failure *f);

/* Read sampling settings by the names of OpenAI, llama-server and vLLM: temperature, top_p, top_k, seed ... Absent
 * fields keep their values. */
bool ask_sampling(request *r, const json_t *fields, failure *f);

/* Read stop strings: a string, or a list of strings. name: of the field, for messages. */
bool ask_stops(request *r, const char *name, const json_t *stops, failure *f);

/* Read the form that the text must have: response_format, json_schema, grammar, structured_outputs, guided_json and
 * vLLM's other guided fields. At most one of them. */
bool ask_form(request *r, const json_t *fields, failure *f);
bool ask_grammar(request *r, const char *field, cllm_grammar_kind kind, const char *text, failure *f);
bool ask_schema(request *r, const char *field, const json_t *schema, failure *f); /* properties come in its order */
bool ask_object(request *r, const char *field, failure *f);                       /* any JSON object */

/* Add a text to continue or to embed; its tokens become a prompt. In a text to continue, special tokens are recognized,
 * because the client applies its own template. */
bool ask_text(request *r, const char *text, size_t length, failure *f);

/* Refuse the request if the model gives a vector for each token, not one for a text. */
bool ask_one_vector(const request *r, failure *f);

/* A conversation in OpenAI's form. */
typedef struct chat_request {
    const json_t *messages;
    const json_t *tools;          /* an array, or NULL */
    const json_t *tool_choice;    /* in OpenAI's form, or NULL */
    const json_t *kwargs;         /* an object of variables for the template, or NULL */
    const char *reasoning_effort; /* or NULL; "none": without reasoning */
    bool no_reasoning;
    bool continues; /* the model continues the last message */
    bool calls_one; /* at most one tool call */
} chat_request;
bool ask_chat(request *r, const chat_request *chat, failure *f);
bool chat_takes_tools(const cllm_chat *chat); /* true if its template prints the tools */

/* Render the conversation as the model would see it: parts, owned. */
bool render_chat(const served_model *m, const chat_request *chat, cllm_part **parts, size_t *n_parts, failure *f);

/* Check the lengths, and make the choices. */
bool ask_end(request *r, failure *f);

const char *finish_reason(finish reason); /* OpenAI's: "stop", "length", "tool_calls"; NULL: none, or failed */

/* The text that a token adds after another one (-1: at the start). */
cllm_string token_text(const request *r, int32_t previous, int32_t token);

#endif
