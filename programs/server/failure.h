/* Why a request is refused: what each API says of it in its own form. */
#ifndef SERVER_FAILURE_H
#define SERVER_FAILURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct failure {
    int status;           /* of HTTP, 400..599; 0: there is none */
    const char *code;     /* OpenAI's, such as "context_length_exceeded"; or NULL */
    char field[96];       /* the field that is wrong, such as "messages[2].role"; or "" */
    char message[640];    /* one sentence */
    size_t n_prompt;      /* of a prompt that is too long: its tokens; else 0 */
    size_t n_ctx;         /* and those that a request can have */
    unsigned retry_after; /* seconds; 0: trying again does not help */
    char request_id[20];  /* of the exchange that is told, or "" */
} failure;

/* Fill a failure. Returns false, for `return refuse(...)`. field: may be NULL. */
bool refuse(failure *f, int status, const char *field, const char *format, ...) __attribute__((format(printf, 4, 5)));
bool refuse_memory(failure *f);

/* The prompt does not fit in what one request can use. */
bool refuse_length(failure *f, size_t n_prompt, size_t n_ctx);

/* ---- The fields of a JSON object. Absent and null are the same: the value stays as it is. What is of another type or out of range
 * is refused by the field's name, and false returned. */

const json_t *field_find(const json_t *object, const char *name); /* NULL if absent or null */
bool field_string(const json_t *object, const char *name, const char **value, failure *f);
bool field_bool(const json_t *object, const char *name, bool *value, failure *f);
bool field_number(const json_t *object, const char *name, double least, double most, double *value, failure *f);
bool field_float(const json_t *object, const char *name, double least, double most, float *value, failure *f);
bool field_whole(const json_t *object, const char *name, int64_t least, int64_t most, int64_t *value, failure *f);
bool field_array(const json_t *object, const char *name, const json_t **value, failure *f);
bool field_object(const json_t *object, const char *name, const json_t **value, failure *f);

#endif
