/* cllm_sampler: logits to the next token. Before it: cllm_eval. After it: the tokenizer's decode.
 *
 *   logits + logit bias -> the steps of the chain, in their order -> draw
 *
 * The steps are in filters.c and penalties.c; logits.c reads the logits. This file has the chain, the ways to draw, and
 * the state between tokens. A seed gives the same text on every machine with the same expf (and logf, powf or log2f, if
 * a step needs them): all arithmetic is float, and each sum has a fixed order. This is the order of the vocabulary, or
 * the order in which a step such as top-p ranks the candidates. Sources: xorshift64 (Marsaglia 2003), splitmix64
 * (Steele, Lea and Flood 2014), mirostat (Basu et al. 2021), adaptive-p (MrJackSpade, llama.cpp#17927). */
#include "sampling/sampler.h"

#include "base/arena.h"
#include "base/error.h"
#include "sampling/candidates.h"
#include "sampling/filters.h"
#include "sampling/logits.h"
#include "sampling/penalties.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What changes with each token, except the text. */
typedef struct progress {
    uint64_t random;              /* state of the generator */
    float mu;                     /* mirostat: the largest allowed surprise, in bits */
    float target_sum, target_all; /* adaptive-p: decaying sums of the last probabilities, and of their weights */
} progress;

struct cllm_sampler {
    cllm_sampler_options options;
    arena arena; /* memory of everything below, and of what the options point to */
    uint32_t n_vocab;
    float *block_most; /* for find_block_maxima */
    candidates candidates;
    history history;
    breakers breakers;
    uint32_t *counts, *z; /* work space of the penalties */
    progress now, next;   /* next: becomes `now` when `drawn` is accepted */
    int32_t drawn;
    bool changes_choice; /* steps, or the logit bias, may change which token is the likeliest */
    uint64_t n_first;    /* how many of the largest logits the chain needs */
    float largest_bias;  /* most that the bias can add: logits this far below the n_first largest are needed too */
};

/* ------------------------------------------------------------------------------------------------- options */

static const struct {
    const char *name, *other; /* other: NULL, or another name */
} step_names[CLLM_N_STEPS] = {
    [CLLM_STEP_PENALTIES] = {"penalties", NULL},
    [CLLM_STEP_DRY] = {"dry", NULL},
    [CLLM_STEP_TOP_N_SIGMA] = {"top_n_sigma", NULL},
    [CLLM_STEP_TEMPERATURE] = {"temperature", "temp"},
    [CLLM_STEP_TOP_K] = {"top_k", NULL},
    [CLLM_STEP_TYPICAL_P] = {"typ_p", "typical_p"},
    [CLLM_STEP_TOP_P] = {"top_p", "nucleus"},
    [CLLM_STEP_MIN_P] = {"min_p", NULL},
    [CLLM_STEP_XTC] = {"xtc", NULL},
    [CLLM_STEP_INFILL] = {"infill", NULL},
    [CLLM_STEP_ADAPTIVE_P] = {"adaptive_p", NULL},
};

static const cllm_sampler_step usual_steps[] = {
    CLLM_STEP_PENALTIES, CLLM_STEP_DRY,   CLLM_STEP_TOP_N_SIGMA, CLLM_STEP_TEMPERATURE, CLLM_STEP_TOP_K,
    CLLM_STEP_TYPICAL_P, CLLM_STEP_TOP_P, CLLM_STEP_MIN_P,       CLLM_STEP_XTC,
};

/* True if the names are equal. Case, "_" and "-" are ignored. */
static bool spells(const char *name, const char *text, size_t length) {
    for (size_t i = 0;; i++) {
        while (i < length && (text[i] == '_' || text[i] == '-')) i++;
        while (*name == '_') name++;
        if (i == length || !*name) return i == length && !*name;
        if ((text[i] | 0x20) != *name++) return false;
    }
}

cllm_sampler_step cllm_sampler_step_named(const char *name, size_t length) {
    for (int i = CLLM_STEP_END + 1; i < CLLM_N_STEPS; i++)
        if (spells(step_names[i].name, name, length) ||
            (step_names[i].other && spells(step_names[i].other, name, length)))
            return (cllm_sampler_step)i;
    return CLLM_STEP_END;
}

const char *cllm_sampler_step_name(cllm_sampler_step step) {
    return step > CLLM_STEP_END && step < CLLM_N_STEPS ? step_names[step].name : "";
}

static bool penalizes(const cllm_sampler_options *o) {
    const bool repeat = o->repeat_penalty > 0 && o->repeat_penalty != 1;
    return o->penalty_last_n > 0 && (repeat || o->frequency_penalty != 0 || o->presence_penalty != 0);
}

static bool uses_dry(const cllm_sampler_options *o) {
    return o->dry_multiplier != 0 && o->dry_base >= 1 && o->dry_penalty_last_n > 0;
}

/* True if a step changes anything with these options. */
static bool is_active(const cllm_sampler_options *o, cllm_sampler_step step) {
    switch (step) {
    case CLLM_STEP_PENALTIES: return penalizes(o);
    case CLLM_STEP_DRY: return uses_dry(o);
    case CLLM_STEP_TOP_N_SIGMA: return o->top_n_sigma > 0;
    case CLLM_STEP_TEMPERATURE: return o->temperature > 0 || o->dynatemp_range > 0;
    case CLLM_STEP_TOP_K: return o->top_k > 0;
    case CLLM_STEP_TYPICAL_P: return o->typical_p > 0 && o->typical_p < 1;
    case CLLM_STEP_TOP_P: return o->top_p > 0 && o->top_p < 1;
    case CLLM_STEP_MIN_P: return o->min_p > 0;
    case CLLM_STEP_XTC: return o->xtc_probability > 0 && o->xtc_threshold <= 0.5f;
    case CLLM_STEP_INFILL: return true;
    case CLLM_STEP_ADAPTIVE_P: return o->adaptive_target >= 0;
    case CLLM_STEP_END:
    case CLLM_N_STEPS: break;
    }
    return false;
}

static bool is_greedy(const cllm_sampler_options *o) { return o->temperature <= 0 && o->dynatemp_range <= 0; }

static cllm_status check_numbers(const cllm_sampler_options *o, cllm_error *err) {
    const struct {
        const char *name;
        float value, least, most;
    } ranges[] = {
        {"temperature", o->temperature, -FLT_MAX, FLT_MAX},
        {"top-p", o->top_p, 0, 1},
        {"min-p", o->min_p, 0, 1},
        {"typical-p", o->typical_p, 0, 1},
        {"top-n-sigma", o->top_n_sigma, -FLT_MAX, FLT_MAX},
        {"xtc-probability", o->xtc_probability, 0, 1},
        {"xtc-threshold", o->xtc_threshold, 0, FLT_MAX},
        {"dynatemp-range", o->dynatemp_range, 0, FLT_MAX},
        {"dynatemp-exp", o->dynatemp_exponent, 0, FLT_MAX},
        {"repeat-penalty", o->repeat_penalty, 0, FLT_MAX},
        {"frequency-penalty", o->frequency_penalty, -FLT_MAX, FLT_MAX},
        {"presence-penalty", o->presence_penalty, -FLT_MAX, FLT_MAX},
        {"dry-multiplier", o->dry_multiplier, 0, FLT_MAX},
        {"dry-base", o->dry_base, 0, FLT_MAX},
        {"mirostat", (float)o->mirostat, 0, 2},
        {"mirostat-ent", o->mirostat_tau, 0, FLT_MAX},
        {"mirostat-lr", o->mirostat_eta, 0, FLT_MAX},
        {"adaptive-target", o->adaptive_target, -FLT_MAX, 1},
        {"adaptive-decay", o->adaptive_decay, 0, 0.99f},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].least && ranges[i].value <= ranges[i].most))
            return error_set(err, CLLM_ERR_ARGUMENT, "%s %g is not in [%g, %g]", ranges[i].name,
                             (double)ranges[i].value, (double)ranges[i].least, (double)ranges[i].most);
    return CLLM_OK;
}

static cllm_status check_options(const cllm_sampler_options *o, uint32_t n_vocab, cllm_error *err) {
    unsigned seen = 0;
    for (size_t i = 0; o->steps && i < o->n_steps; i++) {
        const cllm_sampler_step step = o->steps[i];
        if (step <= CLLM_STEP_END || step >= CLLM_N_STEPS)
            return error_set(err, CLLM_ERR_ARGUMENT, "%d is not a step of a sampler", (int)step);
        if (seen >> step & 1)
            return error_set(err, CLLM_ERR_ARGUMENT, "the step %s is given twice", step_names[step].name);
        if (step == CLLM_STEP_INFILL && !o->tokenizer)
            return error_set(err, CLLM_ERR_ARGUMENT, "infill needs the tokenizer of the vocabulary");
        seen |= 1u << step;
    }
    for (size_t i = 0; i < o->n_logit_bias; i++) {
        const cllm_logit_bias *b = &o->logit_bias[i];
        if (b->token < 0 || (uint32_t)b->token >= n_vocab)
            return error_set(err, CLLM_ERR_ARGUMENT, "logit bias: token %d is not in the vocabulary of %u", b->token,
                             n_vocab);
        if (isnan(b->bias) || b->bias == INFINITY)
            return error_set(err, CLLM_ERR_ARGUMENT, "logit bias: token %d has the bias %g", b->token, (double)b->bias);
    }
    if (o->tokenizer && cllm_tokenizer_n_vocab(o->tokenizer) != n_vocab)
        return error_set(err, CLLM_ERR_ARGUMENT, "the tokenizer has %u tokens, not %u",
                         cllm_tokenizer_n_vocab(o->tokenizer), n_vocab);
    return check_numbers(o, err);
}

/* How many of the largest logits the chain needs. If it begins with top-k (only the temperature may come before), it is
 * k, and one more for each biased token, which may displace one of these. Else it is all. */
static uint64_t count_first(const cllm_sampler_options *o, uint32_t n_vocab) {
    const bool cools = o->n_steps > 0 && o->steps[0] == CLLM_STEP_TEMPERATURE && o->dynatemp_range <= 0;
    const bool cuts = o->n_steps > cools && o->steps[cools] == CLLM_STEP_TOP_K;
    return cuts && o->mirostat == 0 ? (uint64_t)o->top_k + o->n_logit_bias : n_vocab;
}

/* Copy n elements into the sampler's memory; NULL: out of memory. */
static void *copy_of(arena *a, const void *items, size_t n, size_t size) {
    void *copy = arena_alloc(a, n, size);
    if (copy && n > 0) memcpy(copy, items, n * size);
    return copy;
}

/* The generator's first state. If few bits of its state are set, as in a small seed, xorshift64 begins with numbers
 * close to 0; and from 0 it draws only 0. So the state is not the seed, but the first number that splitmix64 makes of
 * it. */
static uint64_t mix_seed(uint64_t seed) {
    uint64_t x = seed + 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    x ^= x >> 31;
    return x ? x : 1;
}

/* Copy the wanted steps into the sampler's memory, without those that change nothing. */
static bool keep_steps(cllm_sampler *s) {
    cllm_sampler_options *o = &s->options;
    const cllm_sampler_step *wanted = o->steps ? o->steps : usual_steps;
    const size_t n_wanted = o->steps ? o->n_steps : sizeof usual_steps / sizeof *usual_steps;
    cllm_sampler_step *kept = arena_alloc(&s->arena, n_wanted, sizeof *kept);
    if (!kept) return false;
    o->steps = kept;
    o->n_steps = 0;
    for (size_t i = 0; i < n_wanted; i++)
        if (is_active(o, wanted[i])) kept[o->n_steps++] = wanted[i];
    return true;
}

/* Copy what the options point to, and allocate work space. */
static bool allocate(cllm_sampler *s) {
    static const cllm_string usual_breakers[] = {{"\n", 1}, {":", 1}, {"\"", 1}, {"*", 1}};
    cllm_sampler_options *o = &s->options;
    const bool usual = !o->dry_breakers;
    const size_t penalty = penalizes(o) ? o->penalty_last_n : 0, dry = uses_dry(o) ? o->dry_penalty_last_n : 0;
    if (!keep_steps(s)) return false;
    o->logit_bias = copy_of(&s->arena, o->logit_bias, o->n_logit_bias, sizeof *o->logit_bias);
    s->block_most = arena_alloc(&s->arena, CLLM_MASK_WORDS(s->n_vocab), sizeof *s->block_most);
    s->candidates.list = arena_alloc(&s->arena, s->n_vocab, sizeof *s->candidates.list);
    s->candidates.heap = arena_alloc(&s->arena, s->n_vocab, sizeof *s->candidates.heap);
    s->history.most = penalty > dry ? penalty : dry;
    s->history.tokens = arena_alloc(&s->arena, 2 * (uint64_t)s->history.most, sizeof *s->history.tokens);
    s->counts = arena_alloc(&s->arena, s->history.most > 0 ? s->n_vocab : 0, sizeof *s->counts);
    s->z = arena_alloc(&s->arena, dry, sizeof *s->z);
    if (!o->logit_bias || !s->block_most || !s->candidates.list || !s->candidates.heap || !s->history.tokens ||
        !s->counts || !s->z)
        return false;
    if (dry == 0 || !o->tokenizer) return true;
    return breakers_find(&s->breakers, o->tokenizer, usual ? usual_breakers : o->dry_breakers,
                         usual ? sizeof usual_breakers / sizeof *usual_breakers : o->n_dry_breakers, &s->arena);
}

cllm_status cllm_sampler_create(uint32_t n_vocab, const cllm_sampler_options *options, cllm_sampler **out,
                                cllm_error *err) {
    static const cllm_sampler_options greedy = {0};
    const cllm_sampler_options *o = options ? options : &greedy;
    *out = NULL;
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return error_set(err, CLLM_ERR_ARGUMENT, "a vocabulary of %u is not possible", n_vocab);
    cllm_status status = check_options(o, n_vocab, err);
    if (status != CLLM_OK) return status;
    cllm_sampler *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, CLLM_ERR_MEMORY, "no memory for a sampler");
    s->options = *o;
    s->n_vocab = n_vocab;
    if (!allocate(s)) {
        cllm_sampler_destroy(s);
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a sampler of %u tokens", n_vocab);
    }
    s->changes_choice = o->n_logit_bias > 0;
    for (size_t i = 0; i < s->options.n_steps; i++) {
        const cllm_sampler_step step = s->options.steps[i];
        s->changes_choice |= step == CLLM_STEP_PENALTIES || step == CLLM_STEP_DRY || step == CLLM_STEP_XTC ||
                             step == CLLM_STEP_TYPICAL_P || step == CLLM_STEP_INFILL;
    }
    s->n_first = count_first(&s->options, n_vocab);
    for (size_t i = 0; i < o->n_logit_bias; i++)
        s->largest_bias += fmaxf(0, o->logit_bias[i].bias); /* one token may get all of them */
    const float weights = 1 / (1 - o->adaptive_decay);
    s->now = (progress){mix_seed(o->seed), 2 * o->mirostat_tau, o->adaptive_target * weights, weights};
    s->next = s->now;
    s->drawn = -1;
    *out = s;
    return CLLM_OK;
}

bool sampler_takes_likeliest(const cllm_sampler *sampler) {
    return is_greedy(&sampler->options) && !sampler->changes_choice;
}

uint32_t sampler_n_vocab(const cllm_sampler *sampler) { return sampler->n_vocab; }

void sampler_set_state(cllm_sampler *sampler, uint64_t state) { sampler->now.random = sampler->next.random = state; }

void cllm_sampler_destroy(cllm_sampler *sampler) {
    if (!sampler) return;
    arena_free(&sampler->arena);
    free(sampler);
}

/* ------------------------------------------------------------------------------------------------- drawing */

static float next_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return (float)x / (float)UINT64_MAX;
}

/* Draw by the probabilities: take the first candidate up to which they sum to more than a random number. If rounding
 * keeps the sum below it, take the last one that has a probability. */
static const candidate *draw(candidates *c, uint64_t *random_state) {
    const float random = next_random(random_state);
    const candidate *list = c->list;
    float sum = 0;
    candidates_softmax(c);
    for (size_t i = 0; i < c->n; i++) {
        sum += list[i].p;
        if (random < sum) return &list[i];
    }
    size_t n = c->n;
    while (n > 1 && list[n - 1].p == 0) n--;
    return &list[n - 1];
}

/* Mirostat 1: keep the likeliest k tokens. By Zipf's law, k is estimated such that the text has the wanted surprise. */
static void keep_mirostat_1(candidates *c, uint32_t n_vocab, float mu) {
    enum { MOST = 100 }; /* tokens used to estimate Zipf's exponent */
    float products = 0, squares = 0;
    candidates_rank_probabilities(c);
    ranked last = ranked_take(c->heap, c->n);
    for (size_t i = 0; i + 1 < MOST && i + 1 < c->n; i++) {
        const ranked following = ranked_take(c->heap, c->n - 1 - i);
        const float t = logf((float)(i + 2) / (float)(i + 1));
        products += t * logf(last.key / following.key);
        squares += t * t;
        last = following;
    }
    const float exponent = products / squares, epsilon = exponent - 1;
    const float ratio =
        fabsf(epsilon) > 1e-4f ? epsilon / (1 - powf((float)n_vocab, -epsilon)) : 1 / logf((float)n_vocab);
    const float k = powf(ratio * powf(2, mu), 1 / exponent);
    if (k < (float)c->n) filter_top_k(c, k >= 1 ? (uint32_t)k : 1); /* not if k is NaN */
}

/* Mirostat 2: drop the tokens whose surprise is above mu. */
static void keep_mirostat_2(candidates *c, float mu) {
    candidates_softmax(c);
    const candidate likeliest = c->list[candidates_likeliest(c)];
    for (size_t i = 0; i < c->n; i++)
        if (-log2f(c->list[i].p) > mu) c->list[i].token = -1;
    candidates_compact(c);
    if (c->n == 0) c->list[c->n++] = likeliest;
    candidates_normalize(c);
}

static const candidate *draw_mirostat(cllm_sampler *s) {
    const cllm_sampler_options *o = &s->options;
    candidates *c = &s->candidates;
    apply_temperature(c, o->temperature);
    if (o->mirostat == 1)
        keep_mirostat_1(c, s->n_vocab, s->now.mu);
    else
        keep_mirostat_2(c, s->now.mu);
    const candidate *drawn = draw(c, &s->next.random);
    s->next.mu -= o->mirostat_eta * (-log2f(drawn->p) - o->mirostat_tau);
    return drawn;
}

/* Adaptive-p: prefer tokens whose probability is near a target. The target makes up for the probabilities that were
 * drawn lately. */
static const candidate *draw_adaptive(cllm_sampler *s) {
    const float width = 0.3f, peak = 5, sharpness = 10;
    const cllm_sampler_options *o = &s->options;
    candidates *c = &s->candidates;
    float target = 2 * o->adaptive_target - s->now.target_sum / s->now.target_all;
    target = target < 0 ? 0 : target > 1 ? 1 : target;
    candidates_softmax(c);
    for (size_t i = 0; i < c->n; i++) {
        candidate *one = &c->list[i];
        if (isinf(one->score)) continue;
        const float distance = fabsf(one->p - target) / width;
        c->heap[i].key = one->p; /* kept for target_sum */
        one->score = peak - sharpness * distance * distance / (1 + distance);
    }
    c->has_p = false;
    const candidate *drawn = draw(c, &s->next.random);
    s->next.target_sum = c->heap[drawn - c->list].key + o->adaptive_decay * s->now.target_sum;
    s->next.target_all = 1 + o->adaptive_decay * s->now.target_all;
    return drawn;
}

/* ---------------------------------------------------------------------------------------------------- chain */

static bool allows(const uint32_t *mask, uint32_t token) { return !mask || mask[token / 32] >> token % 32 & 1; }

/* The candidate with this token, or NULL. Candidates are in the order of the vocabulary. */
static candidate *find_candidate(const candidates *c, int32_t token) {
    size_t low = 0, high = c->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->list[middle].token < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->n && c->list[low].token == token ? &c->list[low] : NULL;
}

/* The smallest logit that the chain needs; -INFINITY: it needs all. If it needs the k largest logits, this is the k-th
 * largest of the blocks' maxima: at least k tokens have that much. It is lowered by the largest bias, and a little
 * more, because division by the temperature can make close logits equal. */
static float least_needed(const cllm_sampler *s) {
    const size_t n_blocks = CLLM_MASK_WORDS(s->n_vocab), k = s->n_first;
    const float bias = s->largest_bias;
    if (k >= n_blocks) return -INFINITY;
    ranked *heap = s->candidates.heap;
    for (uint32_t i = 0; i < n_blocks; i++) heap[i] = (ranked){-s->block_most[i], i};
    const float kth = -ranked_kth(heap, n_blocks, k);
    return kth - bias - 1e-6f * (fabsf(kth) + bias + 1);
}

/* Collect the tokens that the mask allows and the chain needs, with the logit bias. */
static cllm_status gather(cllm_sampler *s, const float *logits, const uint32_t *mask, cllm_error *err) {
    const cllm_sampler_options *o = &s->options;
    candidates *c = &s->candidates;
    const cllm_status status = find_block_maxima(logits, mask, s->n_vocab, s->block_most, err);
    if (status != CLLM_OK) return status;
    c->has_p = false;
    c->n = gather_logits(logits, mask, s->n_vocab, s->block_most, least_needed(s), c->list);
    for (size_t i = 0; i < o->n_logit_bias; i++) {
        candidate *one = find_candidate(c, o->logit_bias[i].token);
        if (!one) continue;
        one->score += o->logit_bias[i].bias;
        if (one->score == INFINITY)
            return error_set(err, CLLM_ERR_ARGUMENT, "logit bias: token %d gets an infinite logit", one->token);
    }
    if (o->n_logit_bias > 0 && isinf(c->list[candidates_likeliest(c)].score))
        return error_set(err, CLLM_ERR_ARGUMENT, "the logit bias allows no token");
    return CLLM_OK;
}

static void take_step(cllm_sampler *s, cllm_sampler_step step, const uint32_t *mask) {
    const cllm_sampler_options *o = &s->options;
    candidates *c = &s->candidates;
    switch (step) {
    case CLLM_STEP_PENALTIES: apply_penalties(c, &s->history, o, s->counts); break;
    case CLLM_STEP_DRY: apply_dry(c, &s->history, &s->breakers, o, s->counts, s->z); break;
    case CLLM_STEP_TOP_N_SIGMA: filter_top_n_sigma(c, o->top_n_sigma); break;
    case CLLM_STEP_TEMPERATURE:
        if (o->dynatemp_range > 0)
            apply_dynamic_temperature(c, fmaxf(0, o->temperature - o->dynatemp_range),
                                      o->temperature + o->dynatemp_range, o->dynatemp_exponent);
        else
            apply_temperature(c, o->temperature);
        break;
    case CLLM_STEP_TOP_K: filter_top_k(c, o->top_k); break;
    case CLLM_STEP_TYPICAL_P: filter_typical_p(c, o->typical_p); break;
    case CLLM_STEP_TOP_P: filter_top_p(c, o->top_p); break;
    case CLLM_STEP_MIN_P: filter_min_p(c, o->min_p); break;
    case CLLM_STEP_XTC:
        if (c->n > 1 && next_random(&s->next.random) <= o->xtc_probability) filter_xtc(c, o->xtc_threshold);
        break;
    case CLLM_STEP_INFILL: {
        const int32_t end = cllm_tokenizer_eos(o->tokenizer);
        filter_infill(c, o->tokenizer, end >= 0 && allows(mask, (uint32_t)end) ? end : -1);
        break;
    }
    case CLLM_STEP_ADAPTIVE_P: /* draw_adaptive does it */
    case CLLM_STEP_END:
    case CLLM_N_STEPS: break;
    }
}

static const candidate *run_chain(cllm_sampler *s, const uint32_t *mask) {
    const cllm_sampler_options *o = &s->options;
    bool adapts = false;
    for (size_t i = 0; i < o->n_steps; i++) {
        take_step(s, o->steps[i], mask);
        adapts |= o->steps[i] == CLLM_STEP_ADAPTIVE_P;
    }
    if (is_greedy(o)) return &s->candidates.list[candidates_likeliest(&s->candidates)];
    return adapts ? draw_adaptive(s) : draw(&s->candidates, &s->next.random);
}

cllm_status cllm_sampler_sample(cllm_sampler *sampler, const float *logits, const uint32_t *mask, int32_t *token,
                                cllm_error *err) {
    cllm_sampler *s = sampler;
    const cllm_sampler_options *o = &s->options;
    s->next = s->now;
    s->drawn = -1;
    const bool takes_likeliest = sampler_takes_likeliest(s);
    const cllm_status status =
        takes_likeliest ? likeliest_token(logits, mask, s->n_vocab, token, err) : gather(s, logits, mask, err);
    if (status != CLLM_OK) return status;
    if (takes_likeliest) {
        s->drawn = *token;
        return CLLM_OK;
    }
    const bool aims = o->mirostat > 0 && o->temperature > 0;
    *token = s->drawn = (aims ? draw_mirostat(s) : run_chain(s, mask))->token;
    return CLLM_OK;
}

void cllm_sampler_accept(cllm_sampler *sampler, int32_t token) {
    if (token == sampler->drawn)
        sampler->now = sampler->next;
    else
        sampler->now.random = sampler->next.random; /* the probability of another token is not known */
    history_add(&sampler->history, token);
}

void cllm_sampler_begin(cllm_sampler *sampler, const int32_t *tokens, size_t count) {
    history *h = &sampler->history;
    const size_t n = count < h->most ? count : h->most;
    history_clear(h);
    for (size_t i = count - n; i < count; i++) history_add(h, tokens[i]);
}
