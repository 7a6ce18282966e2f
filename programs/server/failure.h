/* Why a request is refused. Each API reports it in its own form. */
#ifndef SERVER_FAILURE_H
#define SERVER_FAILURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct failure {
    int status;           /* HTTP status, 400..599; 0: no failure */
    const char *code;     /* OpenAI's, such as "context_length_exceeded"; or NULL */
    char field[96];       /* the field that is wrong, such as "messages[2].role"; or "" */
    char message[640];    /* one sentence */
    size_t n_prompt;      /* if the prompt is too long: its tokens; otherwise 0 */
    size_t n_ctx;         /* if the prompt is too long: the tokens that a request can have */
    unsigned retry_after; /* seconds, for the header Retry-After; 0: no such header */
    char request_id[20];  /* of the exchange that gets the answer, or "" */
} failure;

/* Fill a failure. Returns false, so that callers can write `return refuse(...)`. field: may be NULL. */
bool refuse(failure *f, int status, const char *field, const char *format, ...) __attribute__((format(printf, 4, 5)));
bool refuse_memory(failure *f);

/* Refuse a prompt that is longer than one request can use. may_grow: the server could have a larger context. */
bool refuse_length(failure *f, size_t n_prompt, size_t n_ctx, bool may_grow);

/* ---- The fields of a JSON object. null counts as absent: the value stays as it is. If a field has the wrong type or
 * is out of range, the function fills f with a message that names it, and returns false. */

const json_t *field_find(const json_t *object, const char *name);                          /* NULL if absent or null */
bool field_string(const json_t *object, const char *name, const char **value, failure *f); /* U+0000 is refused too */
bool field_bool(const json_t *object, const char *name, bool *value, failure *f);
bool field_float(const json_t *object, const char *name, double least, double most, float *value, failure *f);
bool field_whole(const json_t *object, const char *name, int64_t least, int64_t most, int64_t *value, failure *f);
bool field_array(const json_t *object, const char *name, const json_t **value, failure *f);
bool field_object(const json_t *object, const char *name, const json_t **value, failure *f);

#endif
