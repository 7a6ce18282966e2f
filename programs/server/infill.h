/* Infill, for models that support it: the text before a gap, the text after it and other files become the tokens of a
 * prompt. */
#ifndef SERVER_INFILL_H
#define SERVER_INFILL_H

#include "server/request.h"

typedef struct gap {
    cllm_string prefix, suffix;
    cllm_string middle;  /* the beginning of the text in the gap; the model continues it */
    bool in_repository;  /* put names of files into the prompt, if the vocabulary has marks for them */
    const json_t *extra; /* an array of {filename, text}, or NULL */
} gap;

/* Add the prompt to a request whose other fields are set. No text becomes a special token. If it does not fit, parts
 * are dropped: whole files of `extra`, the first ones first, then the beginning of the prefix and the end of the
 * suffix. false: f says why. */
bool ask_infill(request *r, const gap *wanted, failure *f);

#endif
