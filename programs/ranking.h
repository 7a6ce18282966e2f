/* Sorting documents by their scores, for the command rerank and the server's /rerank. */
#ifndef RANKING_H
#define RANKING_H

#include "cllm.h"

typedef struct ranked {
    size_t index;         /* of the document in the list that was given */
    cllm_string document; /* or empty: the caller does not need it */
    float score;
} ranked;

/* For qsort: the higher score comes first; if scores are equal, the earlier document. */
static inline int compare_ranked(const void *left, const void *right) {
    const ranked *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

#endif
