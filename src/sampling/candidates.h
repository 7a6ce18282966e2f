/* The tokens that may still be drawn. They stay in the order of the vocabulary. So sums have a fixed order, which a
 * seed needs to give the same text everywhere (sampler.c says what else). They are never sorted: a heap gives the
 * likeliest ones, as many as a step needs. Before this: logits.h, which collects them. After it: the steps (filters.h,
 * penalties.h) and the draw (sampler.c). */
#ifndef SAMPLING_CANDIDATES_H
#define SAMPLING_CANDIDATES_H

#include "cllm.h"

typedef struct candidate {
    float score; /* the logit, changed by the steps so far */
    float p;     /* the probability; valid if candidates.has_p is set */
    int32_t token;
} candidate;

typedef struct ranked {
    float key;
    uint32_t at; /* index in the list */
} ranked;

typedef struct candidates {
    candidate *list; /* [n], of n_vocab */
    ranked *heap;    /* [n_vocab], work space */
    size_t n;
    bool has_p; /* the probabilities belong to the scores, and sum to 1 */
} candidates;

/* Compute the probabilities, unless they are known. */
void candidates_softmax(candidates *c);

/* Scale the probabilities to sum 1, after some candidates were removed. */
void candidates_normalize(candidates *c);

/* Keep the candidates whose token is not negative. */
void candidates_compact(candidates *c);

/* Make a heap of n entries. The first one has the largest key; equal keys are in the order of the list. */
void ranked_build(ranked *heap, size_t n);
ranked ranked_take(ranked *heap, size_t n); /* remove and return the first entry; n - 1 remain */

/* The k-th smallest of n keys, which are reordered. k: 1..n */
float ranked_kth(ranked *items, size_t n, size_t k);

void candidates_rank_probabilities(candidates *c); /* a heap of all candidates by probability */

/* The index of the candidate with the largest score, the first one if several are equal. */
size_t candidates_likeliest(const candidates *c);

void candidates_keep_one(candidates *c, size_t at); /* with probability 1 */

#endif
