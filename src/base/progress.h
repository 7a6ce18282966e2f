/* The caller's progress function, together with the share of the work that is being done. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include "cllm.h"

typedef struct progress {
    cllm_progress call; /* or NULL; may stop the work */
    void *user;         /* passed to it */
    uint64_t before;    /* done by earlier parts of the work */
    uint64_t total;     /* of all parts; 0: there is only one part */
} progress;

/* Report that `done` of n in this part are done. Returns false if the work must stop. p: may be NULL. */
static inline bool progress_report(const progress *p, uint64_t done, uint64_t n) {
    return !p || !p->call || p->call(p->user, p->before + done, p->total ? p->total : n);
}

#endif
