/* Who is told how far long work has come, and may end it. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include "cllm.h"

typedef struct progress {
    cllm_progress call; /* or NULL */
    void *user;         /* handed to it */
    uint64_t before;    /* done by the parts of the work that came before this one */
    uint64_t total;     /* of all parts; 0: this is the only one */
} progress;

/* done: so much of this part, of n in all. Returns false if the work is to end. p: NULL is allowed. */
static inline bool progress_report(const progress *p, uint64_t done, uint64_t n) {
    return !p || !p->call || p->call(p->user, p->before + done, p->total ? p->total : n);
}

#endif
