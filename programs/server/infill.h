/* Texts with a gap, for models that can fill one: what is before it, what is after it and other files become the tokens of a prompt. */
#ifndef SERVER_INFILL_H
#define SERVER_INFILL_H

#include "server/models.h"
#include "server/request.h"

typedef struct gap {
    cllm_string prefix, suffix;
    cllm_string middle;  /* goes on from the prefix; what is generated comes after it */
    bool in_repository;  /* files have names in the prompt, where the vocabulary has marks for them */
    const json_t *extra; /* an array of {filename, text}, or NULL */
} gap;

/* Add the prompt to a request whose other fields are set. None of the texts becomes a special token. What does not fit is left out: whole files of
 * `extra`, the first ones first, then the beginning of the prefix and the end of the suffix. false: f says why. */
bool ask_infill(request *r, const gap *wanted, failure *f);

#endif
