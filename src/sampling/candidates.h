/* The tokens that may still be drawn. They stand in the order of the vocabulary, and every sum runs in that order, so that a seed gives the same
 * text everywhere. They are never sorted: a heap gives the likeliest, and just as many as a step asks for. */
#ifndef SAMPLING_CANDIDATES_H
#define SAMPLING_CANDIDATES_H

#include "cllm.h"

typedef struct candidate {
    float score; /* the logit, as the steps so far have changed it */
    float p;     /* its probability, while candidates.has_p */
    int32_t token;
} candidate;

typedef struct ranked {
    float key;
    uint32_t at; /* in the list */
} ranked;

typedef struct candidates {
    candidate *list; /* [n], of n_vocab */
    ranked *heap;    /* [n_vocab], work space */
    size_t n;
    bool has_p; /* the probabilities are those of the scores, and sum to 1 */
} candidates;

/* Compute the probabilities, unless they are there. */
void candidates_softmax(candidates *c);

/* Make the sum of the probabilities 1, after some candidates have gone. */
void candidates_normalize(candidates *c);

/* Keep those whose token is not negative. */
void candidates_compact(candidates *c);

/* Make a heap of n whose keys and places are filled in: the largest key comes first, of equals the first in the list. */
void ranked_build(ranked *heap, size_t n);
ranked ranked_take(ranked *heap, size_t n); /* the first, which is gone then: n - 1 are left */

/* The k-th smallest key of n, whose order is lost. k: 1..n */
float ranked_kth(ranked *items, size_t n, size_t k);

void candidates_rank_probabilities(candidates *c); /* a heap of all by their probabilities */

/* The likeliest: its place in the list. */
size_t candidates_likeliest(const candidates *c);
void candidates_keep_one(candidates *c, size_t at);

#endif
