/* cllm_sampler: logits to the next token. Before it on the road: the session. After it: the tokenizer's decode.
 *
 *   temperature 0: the most likely token. Else, in this order:
 *   logits / temperature -> top-k -> softmax -> top-p -> draw
 *
 * All arithmetic is float and every sum runs in the order of the vocabulary (but the one of top-p, which runs by
 * falling probability), so that a seed gives the same text on every machine with the same expf.
 *
 * Sorting the vocabulary is avoided: a binary heap is built in O(n), and only the tokens that top-k or top-p will keep
 * are taken off it (Floyd 1964; top-p: Holtzman et al. 2019; xorshift64: Marsaglia 2003). */
#include "cllm.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

typedef struct candidate {
    float logit;  /* divided by the temperature */
    float weight; /* exp(logit - the largest), then the probability */
    int32_t token;
} candidate;

struct cllm_sampler {
    cllm_sampler_options options;
    uint64_t random;
    uint32_t n_vocab;
    candidate candidates[]; /* [n_vocab]: a heap in front, and behind it those taken off, the likeliest last */
};

cllm_status cllm_sampler_create(uint32_t n_vocab, const cllm_sampler_options *options, cllm_sampler **out,
                                cllm_error *err) {
    *out = NULL;
    static const cllm_sampler_options defaults = CLLM_SAMPLER_DEFAULTS;
    const cllm_sampler_options *o = options ? options : &defaults;
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return error_set(err, CLLM_ERR_ARGUMENT, "a vocabulary of %u is not possible", n_vocab);
    if (!(o->temperature >= 0) || isinf(o->temperature))
        return error_set(err, CLLM_ERR_ARGUMENT, "temperature %g is not a number of 0 or more", (double)o->temperature);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return error_set(err, CLLM_ERR_ARGUMENT, "top-p %g is not in (0, 1]", (double)o->top_p);
    cllm_sampler *sampler = malloc(sizeof *sampler + n_vocab * sizeof(candidate));
    if (!sampler) return error_set(err, CLLM_ERR_MEMORY, "no memory for a sampler of %u tokens", n_vocab);
    sampler->options = *o;
    sampler->random = o->seed ? o->seed : 42;
    sampler->n_vocab = n_vocab;
    *out = sampler;
    return CLLM_OK;
}

void cllm_sampler_destroy(cllm_sampler *sampler) { free(sampler); }

/* ------------------------------------------------------------------------------------ a heap of candidates */

static bool likelier(const candidate *a, const candidate *b) {
    return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

static void sift_down(candidate *heap, size_t n, size_t at) {
    const candidate moving = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && likelier(&heap[child + 1], &heap[child])) child++;
        if (!likelier(&heap[child], &moving)) break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

static void build_heap(candidate *heap, size_t n) {
    for (size_t at = n / 2; at-- > 0;) sift_down(heap, n, at);
}

/* Move the likeliest of heap[0..n-1] to heap[n-1]; the heap is then one shorter. */
static candidate *take_likeliest(candidate *heap, size_t n) {
    const candidate top = heap[0];
    heap[0] = heap[n - 1];
    if (n > 1) sift_down(heap, n - 1, 0);
    heap[n - 1] = top;
    return &heap[n - 1];
}

static int by_token(const void *a, const void *b) {
    const candidate *first = a, *second = b;
    return (first->token > second->token) - (first->token < second->token);
}

/* -------------------------------------------------------------------------------------------------- steps */

/* Keep the k likeliest and all that equal the k-th: they end up behind the heap. Returns the first of them. */
static candidate *keep_top_k(cllm_sampler *s, size_t k) {
    size_t left = s->n_vocab;
    build_heap(s->candidates, left);
    const candidate *last = NULL;
    for (size_t kept = 0; left > 0 && (kept < k || s->candidates[0].logit == last->logit); kept++, left--)
        last = take_likeliest(s->candidates, left);
    return s->candidates + left;
}

/* Probabilities of kept[0..n-1], in the order of the vocabulary. */
static void softmax(candidate *kept, size_t n) {
    float largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) largest = kept[i].logit > largest ? kept[i].logit : largest;
    for (size_t i = 0; i < n; i++) sum += kept[i].weight = expf(kept[i].logit - largest);
    for (size_t i = 0; i < n; i++) kept[i].weight /= sum;
}

/* Keep the shortest run of the likeliest whose probabilities reach p, renormalised. Returns the first of them. */
static candidate *keep_top_p(candidate *kept, size_t n, float p) {
    size_t left = n;
    build_heap(kept, left);
    float reached = 0;
    while (left > 0 && !(reached >= p)) reached += take_likeliest(kept, left--)->weight;
    candidate *nucleus = kept + left;
    size_t n_nucleus = n - left;
    qsort(nucleus, n_nucleus, sizeof *nucleus, by_token);
    float sum = 0;
    for (size_t i = 0; i < n_nucleus; i++) sum += nucleus[i].weight;
    for (size_t i = 0; i < n_nucleus; i++) nucleus[i].weight /= sum;
    return nucleus;
}

static float next_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return (float)x / (float)UINT64_MAX;
}

/* The first whose running sum exceeds a random number; rounding may leave the sum short of it: then the last. */
static int32_t draw(const candidate *kept, size_t n, float random) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += kept[i].weight;
        if (random < sum) return kept[i].token;
    }
    while (n > 1 && kept[n - 1].weight == 0) n--;
    return kept[n - 1].token;
}

static int32_t argmax(const float *logits, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

static cllm_status bad_logit(cllm_error *err, uint32_t token) {
    return error_set(err, CLLM_ERR_FORMAT,
                     "the logit of token %u is not a finite number: the model file is probably damaged", token);
}

cllm_status cllm_sampler_sample(cllm_sampler *sampler, const float *logits, int32_t *token, cllm_error *err) {
    const cllm_sampler_options *o = &sampler->options;
    const uint32_t n_vocab = sampler->n_vocab;
    for (uint32_t i = 0; i < n_vocab; i++)
        if (isnan(logits[i])) return bad_logit(err, i);
    const int32_t best = argmax(logits, n_vocab);
    if (isinf(logits[best])) return bad_logit(err, (uint32_t)best);
    if (o->temperature == 0 || isinf(logits[best] / o->temperature)) { /* too cold for float: the limit is greedy */
        *token = best;
        return CLLM_OK;
    }
    candidate *kept = sampler->candidates, *const end = sampler->candidates + n_vocab;
    for (uint32_t i = 0; i < n_vocab; i++)
        kept[i] = (candidate){.logit = logits[i] / o->temperature, .token = (int32_t)i};
    if (o->top_k > 0 && o->top_k < n_vocab) {
        kept = keep_top_k(sampler, o->top_k);
        qsort(kept, (size_t)(end - kept), sizeof *kept, by_token);
    }
    softmax(kept, (size_t)(end - kept));
    if (o->top_p < 1) kept = keep_top_p(kept, (size_t)(end - kept), o->top_p);
    *token = draw(kept, (size_t)(end - kept), next_random(&sampler->random));
    return CLLM_OK;
}
