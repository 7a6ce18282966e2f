/* Implements candidates.h: the list of candidates, and a heap over them (Floyd 1964). */
#include "sampling/candidates.h"

#include "base/exponential.h"

#include <math.h>

void candidates_softmax(candidates *c) {
    float largest = -INFINITY, sum = 0;
    if (c->has_p) return;
    for (size_t i = 0; i < c->n; i++) largest = c->list[i].score > largest ? c->list[i].score : largest;
    for (size_t i = 0; i < c->n; i++) sum += c->list[i].p = exp_or_zero(c->list[i].score - largest);
    for (size_t i = 0; i < c->n; i++) c->list[i].p = normal_or_zero(c->list[i].p / sum);
    c->has_p = true;
}

void candidates_normalize(candidates *c) {
    float sum = 0;
    for (size_t i = 0; i < c->n; i++) sum += c->list[i].p;
    for (size_t i = 0; i < c->n; i++) c->list[i].p /= sum;
}

void candidates_compact(candidates *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].token >= 0) c->list[n++] = c->list[i];
    c->n = n;
}

static bool comes_before(const ranked *a, const ranked *b) {
    return a->key > b->key || (a->key == b->key && a->at < b->at);
}

static void sift_down(ranked *heap, size_t n, size_t at) {
    const ranked moving = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && comes_before(&heap[child + 1], &heap[child])) child++;
        if (!comes_before(&heap[child], &moving)) break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

void ranked_build(ranked *heap, size_t n) {
    for (size_t at = n / 2; at-- > 0;) sift_down(heap, n, at);
}

static void replace_first(ranked *heap, size_t n, ranked with) {
    heap[0] = with;
    sift_down(heap, n, 0);
}

ranked ranked_take(ranked *heap, size_t n) {
    const ranked top = heap[0];
    heap[0] = heap[n - 1];
    if (n > 1) sift_down(heap, n - 1, 0);
    return top;
}

float ranked_kth(ranked *items, size_t n, size_t k) {
    ranked_build(items, k); /* the k smallest so far, the largest of them on top */
    for (size_t i = k; i < n; i++)
        if (items[i].key < items[0].key) replace_first(items, k, items[i]);
    return items[0].key;
}

void candidates_rank_probabilities(candidates *c) {
    candidates_softmax(c);
    for (size_t i = 0; i < c->n; i++) c->heap[i] = (ranked){c->list[i].p, (uint32_t)i};
    ranked_build(c->heap, c->n);
}

size_t candidates_likeliest(const candidates *c) {
    size_t best = 0;
    for (size_t i = 1; i < c->n; i++)
        if (c->list[i].score > c->list[best].score) best = i;
    return best;
}

void candidates_keep_one(candidates *c, size_t at) {
    c->list[0] = c->list[at];
    c->list[0].p = 1;
    c->n = 1;
    c->has_p = true;
}
