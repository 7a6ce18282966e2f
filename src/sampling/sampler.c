/* cllm_sampler: logits to the next token. Before it on the road: cllm_eval. After it: the tokenizer's decode.
 *
 *   temperature 0 or less: the most likely token. Else, in this order:
 *   logits / temperature -> top-k -> softmax -> top-p -> draw
 *
 * All arithmetic is float and every sum runs in the order of the vocabulary (but the one of top-p, which runs by
 * falling probability), so that a seed gives the same text on every machine with the same expf.
 *
 * The vocabulary is never sorted: a binary heap is built in O(n), just as many tokens as top-k or top-p keep are taken
 * off it, and the last of them is the threshold by which the list, still in the vocabulary's order, is filtered
 * (Floyd 1964; top-p: Holtzman et al. 2019; xorshift64: Marsaglia 2003; splitmix64: Steele, Lea and Flood 2014). */
#include "sampling/sampler.h"

#include "base/error.h"
#include "base/exponential.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    float weight; /* the logit divided by the temperature; from softmax on, the probability */
    int32_t token;
} candidate;

struct cllm_sampler {
    cllm_sampler_options options;
    uint64_t random; /* the generator's state, */
    uint64_t next;   /* and what it becomes when a token is accepted */
    uint32_t n_vocab;
    candidate *heap;  /* [n_vocab], a copy of `kept` in another order */
    candidate kept[]; /* [n_vocab] and after it the heap: what may still be drawn, in the order of the vocabulary */
};

/* The generator's first state. xorshift64 draws numbers close to 0 from a state of few bits, such as a small seed is, and
 * nothing but 0 from 0: so a seed is mixed, as splitmix64 makes its first number of it. */
static uint64_t mix_seed(uint64_t seed) {
    uint64_t x = seed + 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    x ^= x >> 31;
    return x ? x : 1;
}

cllm_status cllm_sampler_create(uint32_t n_vocab, const cllm_sampler_options *options, cllm_sampler **out,
                                cllm_error *err) {
    *out = NULL;
    static const cllm_sampler_options greedy = {0};
    const cllm_sampler_options *o = options ? options : &greedy;
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return error_set(err, CLLM_ERR_ARGUMENT, "a vocabulary of %u is not possible", n_vocab);
    if (!isfinite(o->temperature))
        return error_set(err, CLLM_ERR_ARGUMENT, "temperature %g is not a finite number", (double)o->temperature);
    if (!(o->top_p >= 0 && o->top_p <= 1))
        return error_set(err, CLLM_ERR_ARGUMENT, "top-p %g is not in (0, 1], nor 0 for off", (double)o->top_p);
    cllm_sampler *sampler = malloc(sizeof *sampler + 2 * (size_t)n_vocab * sizeof(candidate));
    if (!sampler) return error_set(err, CLLM_ERR_MEMORY, "no memory for a sampler of %u tokens", n_vocab);
    sampler->options = *o;
    sampler_set_state(sampler, mix_seed(o->seed));
    sampler->n_vocab = n_vocab;
    sampler->heap = sampler->kept + n_vocab;
    *out = sampler;
    return CLLM_OK;
}

uint32_t sampler_n_vocab(const cllm_sampler *sampler) { return sampler->n_vocab; }

void sampler_set_state(cllm_sampler *sampler, uint64_t state) { sampler->random = sampler->next = state; }

void cllm_sampler_destroy(cllm_sampler *sampler) { free(sampler); }

/* ------------------------------------------------------------------------------------ a heap of candidates */

static bool likelier(const candidate *a, const candidate *b) {
    return a->weight > b->weight || (a->weight == b->weight && a->token < b->token);
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

static void build_heap(candidate *heap, const candidate *list, size_t n) {
    memcpy(heap, list, n * sizeof *heap);
    for (size_t at = n / 2; at-- > 0;) sift_down(heap, n, at);
}

/* Take the likeliest off a heap of n, which is then one shorter. */
static candidate take_likeliest(candidate *heap, size_t n) {
    const candidate top = heap[0];
    heap[0] = heap[n - 1];
    if (n > 1) sift_down(heap, n - 1, 0);
    return top;
}

/* -------------------------------------------------------------------------------------------------- steps */

/* Keep the k likeliest of n, k < n, and all that equal the k-th. Returns how many. */
static size_t keep_top_k(cllm_sampler *s, size_t n, size_t k) {
    build_heap(s->heap, s->kept, n);
    for (size_t taken = 0; taken + 1 < k; taken++) take_likeliest(s->heap, n - taken);
    const float threshold = s->heap[0].weight;
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++)
        if (s->kept[i].weight >= threshold) s->kept[n_kept++] = s->kept[i];
    return n_kept;
}

/* Probabilities of the n that are left. */
static void softmax(candidate *kept, size_t n) {
    float largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) largest = kept[i].weight > largest ? kept[i].weight : largest;
    for (size_t i = 0; i < n; i++) sum += kept[i].weight = exp_or_zero(kept[i].weight - largest);
    for (size_t i = 0; i < n; i++) kept[i].weight = normal_or_zero(kept[i].weight / sum);
}

/* Keep the shortest run of the likeliest of n whose probabilities reach p, renormalised. Returns how many. */
static size_t keep_top_p(cllm_sampler *s, size_t n, float p) {
    build_heap(s->heap, s->kept, n);
    candidate last = take_likeliest(s->heap, n);
    float reached = last.weight;
    for (size_t left = n - 1; left > 0 && reached < p; left--) {
        last = take_likeliest(s->heap, left);
        reached += last.weight;
    }
    size_t n_kept = 0;
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        if (!likelier(&last, &s->kept[i])) {
            s->kept[n_kept++] = s->kept[i];
            sum += s->kept[i].weight;
        }
    for (size_t i = 0; i < n_kept; i++) s->kept[i].weight /= sum;
    return n_kept;
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

static cllm_status bad_logit(cllm_error *err, uint32_t token) {
    return error_set(err, CLLM_ERR_FORMAT,
                     "the logit of token %u is not a finite number; cllm_sequence_diagnose says why", token);
}

static bool allows(const uint32_t *mask, uint32_t token) { return !mask || mask[token / 32] >> token % 32 & 1; }

cllm_status likeliest_token(const float *logits, const uint32_t *mask, uint32_t n_vocab, int32_t *token,
                            cllm_error *err) {
    uint32_t best = n_vocab;
    for (uint32_t i = 0; i < n_vocab; i++) {
        if (isnan(logits[i])) return bad_logit(err, i);
        if (allows(mask, i) && (best == n_vocab || logits[i] > logits[best])) best = i;
    }
    if (best == n_vocab) return error_set(err, CLLM_ERR_ARGUMENT, "the mask allows no token");
    *token = (int32_t)best;
    return isinf(logits[best]) ? bad_logit(err, best) : CLLM_OK;
}

cllm_status cllm_sampler_sample(cllm_sampler *sampler, const float *logits, const uint32_t *mask, int32_t *token,
                                cllm_error *err) {
    const cllm_sampler_options *o = &sampler->options;
    const uint32_t n_vocab = sampler->n_vocab;
    sampler->next = sampler->random;
    cllm_status status = likeliest_token(logits, mask, n_vocab, token, err);
    if (status != CLLM_OK) return status;
    if (o->temperature <= 0 || isinf(logits[*token] / o->temperature)) /* too cold for float: the limit is greedy */
        return CLLM_OK;
    size_t n = 0; /* candidates left */
    for (uint32_t i = 0; i < n_vocab; i++)
        if (allows(mask, i))
            sampler->kept[n++] = (candidate){.weight = logits[i] / o->temperature, .token = (int32_t)i};
    if (o->top_k > 0 && o->top_k < n) n = keep_top_k(sampler, n, o->top_k);
    softmax(sampler->kept, n);
    if (o->top_p > 0 && o->top_p < 1) n = keep_top_p(sampler, n, o->top_p);
    *token = draw(sampler->kept, n, next_random(&sampler->next));
    return CLLM_OK;
}

void cllm_sampler_accept(cllm_sampler *sampler, int32_t token) {
    (void)token;
    sampler->random = sampler->next;
}
