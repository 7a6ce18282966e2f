/* Tests the steps of a sampler's chain against values that are computed here in float64, by sorting and searching,
 * without a heap; and the draws of whole chains against the distribution that they should have. */
#include "support/check.h"
#include "support/vocabulary.h"

#include "sampling/filters.h"
#include "sampling/penalties.h"
#include "sampling/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- the plain way to do it */

enum { MOST = 1000 };

/* A distribution. Tokens that were removed have the score -INFINITY. */
typedef struct plain {
    double score[MOST], p[MOST];
    size_t n;
    bool close; /* a decision depended on a difference that floats cannot show */
} plain;

static void plain_softmax(plain *d) {
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < d->n; i++) largest = fmax(largest, d->score[i]);
    for (size_t i = 0; i < d->n; i++) sum += d->p[i] = exp(d->score[i] - largest);
    for (size_t i = 0; i < d->n; i++) d->p[i] /= sum;
}

static const double *sort_keys;
static int by_falling_key(const void *a, const void *b) {
    const size_t i = *(const size_t *)a, k = *(const size_t *)b;
    if (sort_keys[i] != sort_keys[k]) return sort_keys[i] > sort_keys[k] ? -1 : 1;
    return i < k ? -1 : 1;
}

static void sorted(const double *keys, size_t n, size_t *order) {
    for (size_t i = 0; i < n; i++) order[i] = i;
    sort_keys = keys;
    qsort(order, n, sizeof *order, by_falling_key);
}

static void plain_drop(plain *d, size_t i) { d->score[i] = -INFINITY; }

/* Is a less than b? Sets d->close if floats might give another answer. */
static bool less(plain *d, double a, double b) {
    if (fabs(a - b) <= 2e-5 * (1 + fabs(a)) && !isinf(a) && a != b) d->close = true;
    return a < b;
}

static void plain_top_k(plain *d, uint32_t k) {
    size_t order[MOST];
    if (k >= d->n) return;
    sorted(d->score, d->n, order);
    const double least = d->score[order[k - 1]];
    for (size_t i = 0; i < d->n; i++)
        if (d->score[i] < least) plain_drop(d, i);
}

static void plain_top_p(plain *d, double p) {
    size_t order[MOST], n = 0;
    double sum = 0;
    plain_softmax(d);
    sorted(d->p, d->n, order);
    do sum += d->p[order[n++]];
    while (n < d->n && less(d, sum, p));
    for (; n < d->n; n++) plain_drop(d, order[n]);
}

static void plain_min_p(plain *d, double p) {
    plain_softmax(d);
    double largest = 0;
    for (size_t i = 0; i < d->n; i++) largest = fmax(largest, d->p[i]);
    for (size_t i = 0; i < d->n; i++)
        if (less(d, log(d->p[i]), log(p * largest))) plain_drop(d, i);
}

static double plain_entropy(const plain *d) {
    double entropy = 0;
    for (size_t i = 0; i < d->n; i++)
        if (d->p[i] > 0) entropy -= d->p[i] * log(d->p[i]);
    return entropy;
}

static void plain_typical(plain *d, double p) {
    double keys[MOST], sum = 0;
    size_t order[MOST], n = 0;
    plain_softmax(d);
    const double entropy = plain_entropy(d);
    for (size_t i = 0; i < d->n; i++) keys[i] = -fabs(-log(d->p[i]) - entropy);
    sorted(keys, d->n, order);
    for (size_t i = 0; i + 1 < d->n; i++) (void)less(d, keys[order[i + 1]], keys[order[i]]);
    while (n < d->n && !less(d, p, sum)) sum += d->p[order[n++]];
    for (; n < d->n; n++) plain_drop(d, order[n]);
}

static void plain_top_n_sigma(plain *d, double n_sigma) {
    double mean = 0, variance = 0, largest = -INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (isinf(d->score[i])) continue;
        mean += d->score[i];
        largest = fmax(largest, d->score[i]);
        n++;
    }
    mean /= (double)n;
    for (size_t i = 0; i < d->n; i++)
        if (!isinf(d->score[i])) variance += pow(d->score[i] - mean, 2) / (double)n;
    const double least = largest - n_sigma * sqrt(variance);
    for (size_t i = 0; i < d->n; i++) {
        d->close |= d->score[i] == least; /* two scores are always 2 standard deviations apart */
        if (less(d, d->score[i], least)) plain_drop(d, i);
    }
}

static void plain_xtc(plain *d, double threshold) {
    size_t order[MOST], n = 0;
    plain_softmax(d);
    sorted(d->p, d->n, order);
    while (n < d->n && !less(d, d->p[order[n]], threshold)) n++;
    for (size_t i = 0; i + 1 < n; i++) plain_drop(d, order[i]);
}

static void plain_temperature(plain *d, double temperature) {
    for (size_t i = 0; i < d->n; i++) d->score[i] /= temperature;
}

static void plain_dynamic(plain *d, double least, double most, double exponent) {
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) n += !isinf(d->score[i]);
    plain_softmax(d);
    plain_temperature(d, least + (most - least) * pow(plain_entropy(d) / log((double)n), exponent));
}

/* -------------------------------------------------------------------------------------------------- filters */

/* Fills both with the same random distribution, in which some tokens may be equal. */
static void fill(plain *d, candidates *c, size_t n, uint64_t *random, bool ties) {
    d->n = c->n = n;
    c->has_p = d->close = false;
    for (size_t i = 0; i < n; i++) {
        float score = random_float(random) * 6;
        if (ties) score = roundf(score * 2) / 2;
        d->score[i] = (double)score;
        c->list[i] = (candidate){.score = score, .token = (int32_t)i};
    }
}

/* Checks that the same tokens are left, with the same probabilities. */
static void assert_alike(plain *d, candidates *c, const char *what) {
    size_t n = 0;
    candidates_softmax(c);
    plain_softmax(d);
    for (size_t i = 0; i < d->n; i++) {
        if (isinf(d->score[i])) continue;
        if (n >= c->n || c->list[n].token != (int32_t)i) fail_msg("%s: token %zu of %zu is gone", what, i, d->n);
        if (fabs((double)c->list[n].p - d->p[i]) > 2e-5)
            fail_msg("%s: token %zu has %g, not %g", what, i, (double)c->list[n].p, d->p[i]);
        n++;
    }
    if (n != c->n) fail_msg("%s: %zu tokens are left, not %zu", what, c->n, n);
}

typedef struct filter_case {
    const char *name;
    void (*ours)(candidates *c, float x);
    void (*plain)(plain *d, double x);
    float values[4];
} filter_case;

static void our_top_k(candidates *c, float k) { filter_top_k(c, (uint32_t)k); }
static void plain_top_k_of(plain *d, double k) { plain_top_k(d, (uint32_t)k); }
static void our_dynamic(candidates *c, float range) { apply_dynamic_temperature(c, 1 - range, 1 + range, 1.5f); }
static void plain_dynamic_of(plain *d, double range) { plain_dynamic(d, 1 - range, 1 + range, 1.5); }

static void filters_keep_what_their_definitions_say(void **state) {
    (void)state;
    static const filter_case cases[] = {
        {"top-k", our_top_k, plain_top_k_of, {1, 3, 40, 2000}},
        {"top-p", filter_top_p, plain_top_p, {0.05f, 0.5f, 0.9f, 0.999f}},
        {"min-p", filter_min_p, plain_min_p, {0.001f, 0.05f, 0.5f, 1}},
        {"typical-p", filter_typical_p, plain_typical, {0.05f, 0.3f, 0.7f, 0.95f}},
        {"top-n-sigma", filter_top_n_sigma, plain_top_n_sigma, {0.1f, 0.7f, 1, 2}},
        {"xtc", filter_xtc, plain_xtc, {0.01f, 0.05f, 0.1f, 0.4f}},
        {"temperature", apply_temperature, plain_temperature, {0.1f, 0.7f, 1.3f, 5}},
        {"dynamic temperature", our_dynamic, plain_dynamic_of, {0.1f, 0.3f, 0.5f, 0.9f}},
    };
    static const size_t sizes[] = {2, 3, 10, 100, MOST};
    static candidate list[MOST];
    static ranked heap[MOST];
    static plain d;
    candidates c = {.list = list, .heap = heap};
    uint64_t random = test_seed();
    size_t n_close = 0, n_done = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t size = 0; size < 5; size++)
            for (size_t v = 0; v < 4; v++)
                for (int round = 0; round < 10; round++) {
                    const bool typical = cases[i].ours == filter_typical_p; /* floats may order it differently */
                    fill(&d, &c, sizes[size], &random, round % 3 == 0 && !typical);
                    cases[i].ours(&c, cases[i].values[v]);
                    cases[i].plain(&d, (double)cases[i].values[v]);
                    n_done++;
                    n_close += d.close;
                    if (!d.close) assert_alike(&d, &c, cases[i].name);
                }
    print_message("# %zu distributions, %zu too close to tell\n", n_done, n_close);
    assert_true(n_close < n_done / 4);
}

/* An example whose result follows from the definition. */
static void xtc_leaves_the_least_likely_of_the_likely(void **state) {
    (void)state;
    const float p[] = {0.05f, 0.4f, 0.1f, 0.2f, 0.2f, 0.05f};
    candidate list[6];
    ranked heap[6];
    candidates c = {.list = list, .heap = heap, .n = 6};
    for (int i = 0; i < 6; i++) list[i] = (candidate){.score = logf(p[i]), .token = i};
    filter_xtc(&c, 0.15f);
    assert_int_equal(c.n, 4); /* 0.4 and the first 0.2 are gone */
    assert_int_equal(list[1].token, 2);
    assert_int_equal(list[2].token, 4);
    assert_float_equal(list[2].p, 0.5f, 1e-5f);
    filter_xtc(&c, 0.9f); /* none reaches it: nothing changes */
    assert_int_equal(c.n, 4);
}

/* ------------------------------------------------------------------------------------------------- penalties */

/* The length of the run that ends before position `at` and also at the end of the text, compared token by token. A
 * breaker ends it. */
static size_t run_before(const int32_t *text, size_t n, size_t at, const int32_t *breaking, size_t n_breaking) {
    size_t length = 0;
    for (; length < at; length++) {
        const int32_t token = text[n - 1 - length];
        if (text[at - 1 - length] != token) break;
        for (size_t i = 0; i < n_breaking; i++)
            if (breaking[i] == token) return length;
    }
    return length;
}

static void penalties_count_the_last_tokens(void **state) {
    (void)state;
    enum { N = 30 };
    uint64_t random = test_seed();
    uint32_t counts[N] = {0}, z[300];
    candidate list[N];
    ranked heap[N];
    candidates c = {.list = list, .heap = heap};
    for (int round = 0; round < 500; round++) {
        int32_t text[400], memory[2 * 100];
        const size_t n_text = random_u64(&random) % 400;
        const uint64_t kinds = 2 + random_u64(&random) % (N - 2);
        cllm_sampler_options o = CLLM_SAMPLER_DEFAULTS;
        o.penalty_last_n = (uint32_t)(random_u64(&random) % 100);
        o.dry_penalty_last_n = (uint32_t)(random_u64(&random) % 100);
        o.repeat_penalty = 1.3f;
        o.frequency_penalty = random_float(&random);
        o.presence_penalty = random_float(&random);
        o.dry_multiplier = 0.7f;
        o.dry_base = 1.2f;
        o.dry_allowed_length = (uint32_t)(random_u64(&random) % 4);
        history h = {.tokens = memory, .most = 100};
        for (size_t i = 0; i < n_text; i++) {
            text[i] = (int32_t)(random_u64(&random) % kinds);
            if (i > 20 && random_u64(&random) % 3)
                text[i] = text[i - 20 + random_u64(&random) % 2]; /* repeats itself */
            history_add(&h, text[i]);
        }
        const int32_t breaking[] = {(int32_t)(random_u64(&random) % N)};
        const breaker one = {.head = breaking[0]};
        const breakers all = {(breaker *)&one, 1};
        double want[N];
        c.n = N;
        for (int i = 0; i < N; i++) {
            list[i] = (candidate){.score = random_float(&random) * 3, .token = i};
            want[i] = (double)list[i].score;
        }
        const size_t n_last = n_text < o.penalty_last_n ? n_text : o.penalty_last_n;
        const size_t n_dry = n_text < o.dry_penalty_last_n ? n_text : o.dry_penalty_last_n;
        for (int i = 0; i < N; i++) {
            double count = 0, longest = -1;
            for (size_t k = n_text - n_last; k < n_text; k++) count += text[k] == i;
            if (count > 0) {
                want[i] = want[i] <= 0 ? want[i] * 1.3 : want[i] / 1.3;
                want[i] -= count * (double)o.frequency_penalty + (double)o.presence_penalty;
            }
            const int32_t *dry = text + n_text - n_dry;
            for (size_t at = 1; at < n_dry; at++)
                if (dry[at] == i) longest = fmax(longest, (double)run_before(dry, n_dry, at, breaking, 1));
            if (n_dry > o.dry_allowed_length && longest >= o.dry_allowed_length && i != breaking[0])
                want[i] -= 0.7 * pow(1.2, longest - o.dry_allowed_length);
        }
        apply_penalties(&c, &h, &o, counts);
        apply_dry(&c, &h, &all, &o, counts, z);
        for (int i = 0; i < N; i++) {
            if (fabs((double)list[i].score - want[i]) > 1e-4 * (1 + fabs(want[i])))
                fail_msg("round %d, token %d: %g, not %g", round, i, (double)list[i].score, want[i]);
            assert_int_equal(counts[i], 0);
        }
    }
}

/* A breaker in all the ways in which tokens can contain it. */
static void breakers_are_found_in_tokens(void **state) {
    (void)state;
    static const char *const merges[] = {"a b", "x a", "b y"};
    vocabulary v = byte_level("default", merges, 3);
    const int32_t ab = 256, xa = 257, by = 258; /* what the merges make */
    loaded l = load(&v);
    arena a = {0};
    breakers b = {0};
    const cllm_string texts[] = {{"ab", 2}};
    assert_true(breakers_find(&b, l.tokenizer, texts, 1, &a));
    bool whole = false, split = false, joined = false;
    for (size_t i = 0; i < b.count; i++) {
        const breaker *one = &b.items[i];
        if (i > 0) assert_true(b.items[i - 1].head <= one->head);
        whole |= one->head == ab && one->n_tail == 0;
        split |= one->head == 'a' && one->n_tail == 1 && one->tail[0] == 'b';
        joined |= one->head == xa && one->n_tail == 1 && one->tail[0] == 'b';
        assert_true(one->head != by && one->head != 'b'); /* the beginning is missing */
    }
    assert_int_equal(b.count, 3);
    assert_true(whole && split && joined);
    arena_free(&a);
    unload(&l);
}

/* --------------------------------------------------------------------------------------------- whole chains */

enum { N_SEEDS = 20000, N = 40 };

/* The distribution of a chain. xtc acts only sometimes: `xtc` says whether it does here. */
static void plain_chain(const cllm_sampler_options *o, const float *logits, const int32_t *text, size_t n_text,
                        bool xtc, plain *d) {
    d->n = N;
    d->close = false;
    for (size_t i = 0; i < N; i++) d->score[i] = (double)logits[i];
    for (size_t i = 0; i < o->n_logit_bias; i++) d->score[o->logit_bias[i].token] += (double)o->logit_bias[i].bias;
    for (size_t i = 0; i < N; i++) {
        double count = 0;
        for (size_t k = 0; k < n_text; k++) count += (size_t)text[k] == i;
        if (count == 0 || o->repeat_penalty == 0) continue;
        const double r = (double)o->repeat_penalty;
        d->score[i] = d->score[i] <= 0 ? d->score[i] * r : d->score[i] / r;
        d->score[i] -= count * (double)o->frequency_penalty + (double)o->presence_penalty;
    }
    for (size_t i = 0; i < o->n_steps; i++) {
        if (o->steps[i] == CLLM_STEP_TOP_N_SIGMA) plain_top_n_sigma(d, (double)o->top_n_sigma);
        if (o->steps[i] == CLLM_STEP_TEMPERATURE) plain_temperature(d, (double)o->temperature);
        if (o->steps[i] == CLLM_STEP_TOP_K) plain_top_k(d, o->top_k);
        if (o->steps[i] == CLLM_STEP_TYPICAL_P) plain_typical(d, (double)o->typical_p);
        if (o->steps[i] == CLLM_STEP_TOP_P) plain_top_p(d, (double)o->top_p);
        if (o->steps[i] == CLLM_STEP_MIN_P) plain_min_p(d, (double)o->min_p);
        if (o->steps[i] == CLLM_STEP_XTC && xtc) plain_xtc(d, (double)o->xtc_threshold);
    }
    plain_softmax(d);
}

static void chains_draw_their_distribution(void **state) {
    (void)state;
    static const cllm_sampler_step early[] = {CLLM_STEP_PENALTIES, CLLM_STEP_TEMPERATURE, CLLM_STEP_TOP_K,
                                              CLLM_STEP_TYPICAL_P, CLLM_STEP_TOP_P,       CLLM_STEP_MIN_P},
                                   late[] = {CLLM_STEP_PENALTIES,  CLLM_STEP_TOP_N_SIGMA, CLLM_STEP_TOP_K,
                                             CLLM_STEP_TOP_P,      CLLM_STEP_MIN_P,       CLLM_STEP_XTC,
                                             CLLM_STEP_TEMPERATURE},
                                   hot[] = {CLLM_STEP_TEMPERATURE};
    static const cllm_logit_bias bias[] = {{3, -INFINITY}, {5, 2}};
    const cllm_sampler_options chains[] = {
        {.temperature = 0.8f,
         .top_k = 30,
         .top_p = 0.9f,
         .min_p = 0.05f,
         .typical_p = 0.9f,
         .steps = early,
         .n_steps = 6},
        {.temperature = 1.5f,
         .top_k = 20,
         .top_p = 0.95f,
         .min_p = 0.02f,
         .top_n_sigma = 1.5f,
         .xtc_probability = 0.5f,
         .xtc_threshold = 0.1f,
         .steps = late,
         .n_steps = 7},
        {.temperature = 1,
         .repeat_penalty = 1.4f,
         .frequency_penalty = 0.5f,
         .presence_penalty = 0.3f,
         .penalty_last_n = 64,
         .steps = early,
         .n_steps = 2},
        {.temperature = 1.2f, .logit_bias = bias, .n_logit_bias = 2, .steps = hot, .n_steps = 1},
    };
    static const int32_t text[] = {1, 2, 1, 7, 30, 1};
    float logits[N];
    uint64_t random = 5; /* a fixed seed, because the test depends on chance */
    for (size_t i = 0; i < N; i++) logits[i] = random_float(&random) * 3;
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        cllm_sampler_options o = chains[i];
        static plain with, without;
        int counts[N] = {0};
        plain_chain(&o, logits, text, 6, true, &with);
        plain_chain(&o, logits, text, 6, false, &without);
        assert_false(with.close || without.close);
        for (o.seed = 0; o.seed < N_SEEDS; o.seed++) {
            cllm_error err;
            cllm_sampler *sampler;
            int32_t token;
            assert_ok(cllm_sampler_create(N, &o, &sampler, &err), &err);
            cllm_sampler_begin(sampler, text, 6);
            assert_ok(cllm_sampler_sample(sampler, logits, NULL, &token, &err), &err);
            counts[token]++;
            cllm_sampler_destroy(sampler);
        }
        double chi_squared = 0, freedom = -1;
        for (size_t k = 0; k < N; k++) {
            const double x = (double)o.xtc_probability, p = x * with.p[k] + (1 - x) * without.p[k], want = p * N_SEEDS;
            if (want == 0 && counts[k] > 0) fail_msg("chain %zu: token %zu is impossible, and came up", i, k);
            if (want == 0) continue;
            chi_squared += (counts[k] - want) * (counts[k] - want) / want;
            freedom++;
        }
        /* exceeded once in 10,000 times (Wilson and Hilferty 1931) */
        const double a = 2 / (9 * freedom), limit = freedom * pow(1 - a + 3.719 * sqrt(a), 3);
        print_message("# chain %zu: %.0f tokens, chi-squared %.1f of %.1f\n", i, freedom + 1, chi_squared, limit);
        assert_true(freedom >= 3 && chi_squared < limit);
    }
}

/* The mean surprise of drawn tokens reaches tau, in bits of the whole distribution. */
static void mirostat_reaches_its_surprise(void **state) {
    (void)state;
    float logits[MOST];
    static plain d;
    d.n = MOST;
    for (size_t i = 0; i < MOST; i++) {
        logits[i] = -logf((float)(i + 1)); /* Zipf's law, which texts are said to follow */
        d.score[i] = (double)logits[i];
    }
    plain_softmax(&d);
    for (uint32_t version = 1; version <= 2; version++)
        for (int tau = 2; tau <= 5; tau++) {
            const cllm_sampler_options o = {
                .temperature = 1, .mirostat = version, .mirostat_tau = (float)tau, .mirostat_eta = 0.1f, .seed = 3};
            cllm_error err;
            cllm_sampler *sampler;
            double sum = 0;
            enum { SKIPPED = 500, DRAWN = 4000 };
            assert_ok(cllm_sampler_create(MOST, &o, &sampler, &err), &err);
            for (int i = 0; i < SKIPPED + DRAWN; i++) {
                int32_t token, again;
                assert_ok(cllm_sampler_sample(sampler, logits, NULL, &token, &err), &err);
                assert_ok(cllm_sampler_sample(sampler, logits, NULL, &again, &err), &err);
                assert_int_equal(token, again); /* the sampler does not change before a token is accepted */
                cllm_sampler_accept(sampler, token);
                if (i >= SKIPPED) sum -= log2(d.p[token]) / DRAWN;
            }
            cllm_sampler_destroy(sampler);
            print_message("# mirostat %u, tau %d: %.2f bits of the whole distribution\n", version, tau, sum);
            /* it aims at the surprise among the tokens that it keeps, which is less than that of all tokens */
            assert_true(sum > tau - 0.1 && sum < tau + 2.5);
        }
}

/* Step by step by its formulas. */
static void adaptive_p_draws_near_its_target(void **state) {
    (void)state;
    enum { SIZE = 8, ROUNDS = 3000 };
    static const cllm_sampler_step steps[] = {CLLM_STEP_ADAPTIVE_P};
    const double probabilities[SIZE] = {0.4, 0.2, 0.15, 0.1, 0.06, 0.04, 0.03, 0.02};
    for (int round = 0; round < 3; round++) {
        const double target = 0.1 + 0.15 * round, decay = 0.9;
        const cllm_sampler_options o = {.temperature = 1,
                                        .steps = steps,
                                        .n_steps = 1,
                                        .seed = (uint64_t)round,
                                        .adaptive_target = (float)target,
                                        .adaptive_decay = (float)decay};
        float logits[SIZE];
        double sum = target / (1 - decay), all = 1 / (1 - decay), mean = 0, wanted[SIZE] = {0};
        int counts[SIZE] = {0};
        cllm_error err;
        cllm_sampler *sampler;
        for (int i = 0; i < SIZE; i++) logits[i] = (float)log(probabilities[i]);
        assert_ok(cllm_sampler_create(SIZE, &o, &sampler, &err), &err);
        for (int i = 0; i < ROUNDS; i++) {
            double aim = fmin(fmax(2 * target - sum / all, 0), 1), p[SIZE], total = 0;
            for (int k = 0; k < SIZE; k++) {
                const double distance = fabs(probabilities[k] - aim) / 0.3;
                total += p[k] = exp(5 - 10 * distance * distance / (1 + distance));
            }
            int32_t token;
            assert_ok(cllm_sampler_sample(sampler, logits, NULL, &token, &err), &err);
            cllm_sampler_accept(sampler, token);
            for (int k = 0; k < SIZE; k++) wanted[k] += p[k] / total;
            counts[token]++;
            mean += probabilities[token] / ROUNDS;
            sum = probabilities[token] + decay * sum;
            all = 1 + decay * all;
        }
        cllm_sampler_destroy(sampler);
        double chi_squared = 0;
        for (int k = 0; k < SIZE; k++) chi_squared += pow(counts[k] - wanted[k], 2) / wanted[k];
        print_message("# target %.2f: mean %.3f, chi-squared %.1f\n", target, mean, chi_squared);
        assert_true(chi_squared < 29.9 && fabs(mean - target) < 0.05); /* 7 degrees of freedom, once in 10,000 times */
    }
}

/* Tokens that begin with the text of another token count together with it, and a likely enough end is chosen. */
static void infill_joins_beginnings_and_ends_early(void **state) {
    (void)state;
    vocabulary v = with_specials();
    add(&v, "he", 0, NORMAL);
    add(&v, "hel", 0, NORMAL);
    add(&v, "hello", 0, NORMAL);
    for (const char *const *word = (const char *const[]){"x", "y", "z", "u", "v", "w", NULL}; *word; word++)
        add(&v, *word, 0, NORMAL);
    loaded l = load_without_prefix(&v);
    enum { EOS = 2, HEL = 4, SIZE = 12 };
    candidate list[SIZE];
    ranked heap[SIZE];
    candidates c = {.list = list, .heap = heap};
    /* "he" and "hello" count for "hel", the likeliest of the three; then a likely end; then six words, none of which is
     * likely */
    const float all[3][SIZE] = {{0, 0, 0.01f, 0.2f, 0.35f, 0.24f, 0.2f},
                                {0, 0, 0.2f, 0.2f, 0.2f, 0.2f, 0.2f},
                                {0, 0, 0.001f, 0, 0, 0, 0.16f, 0.16f, 0.16f, 0.16f, 0.16f, 0.16f}};
    const int32_t want[] = {HEL, EOS, EOS};
    for (int round = 0; round < 3; round++) {
        c.n = 0;
        c.has_p = false;
        for (int i = 0; i < SIZE; i++)
            if (all[round][i] > 0) list[c.n++] = (candidate){.score = logf(all[round][i]), .token = i};
        filter_infill(&c, l.tokenizer, EOS);
        const candidate *likeliest = &list[candidates_likeliest(&c)];
        assert_int_equal(likeliest->token, want[round]);
        assert_true(likeliest->p > 0.98f);
    }
    unload(&l);
}

/* A penalty as small as a float can be makes scores infinite. A token is drawn all the same. */
static void scores_that_overflow_are_drawn_from(void **state) {
    (void)state;
    static const cllm_sampler_step steps[] = {CLLM_STEP_PENALTIES, CLLM_STEP_TOP_P};
    const cllm_sampler_options o = {
        .temperature = 1, .top_p = 0.9f, .repeat_penalty = 1e-38f, .penalty_last_n = 8, .steps = steps, .n_steps = 2};
    const float logits[] = {20, 21, 22, 23, 24};
    static const int32_t text[] = {1, 3};
    cllm_error err;
    cllm_sampler *sampler;
    int32_t token;
    assert_ok(cllm_sampler_create(5, &o, &sampler, &err), &err);
    cllm_sampler_begin(sampler, text, 2);
    assert_ok(cllm_sampler_sample(sampler, logits, NULL, &token, &err), &err);
    assert_true(token == 1 || token == 3);
    cllm_sampler_destroy(sampler);
}

/* -------------------------------------------------------------------------------------------------- options */

static void greedy_minds_bias_and_penalties(void **state) {
    (void)state;
    const float logits[] = {1, 5, 4.5f, 2};
    static const cllm_logit_bias bias[] = {{1, -INFINITY}},
                                 none[] = {{0, -INFINITY}, {1, -INFINITY}, {2, -INFINITY}, {3, -INFINITY}};
    cllm_sampler_options o = {.logit_bias = bias, .n_logit_bias = 1};
    cllm_error err;
    cllm_sampler *sampler;
    int32_t token;
    assert_ok(cllm_sampler_create(4, &o, &sampler, &err), &err);
    assert_false(sampler_takes_likeliest(sampler));
    assert_ok(cllm_sampler_sample(sampler, logits, NULL, &token, &err), &err);
    assert_int_equal(token, 2);
    const uint32_t mask[1] = {1 | 2};
    assert_ok(cllm_sampler_sample(sampler, logits, mask, &token, &err), &err);
    assert_int_equal(token, 0);
    cllm_sampler_destroy(sampler);
    o = (cllm_sampler_options){.logit_bias = none, .n_logit_bias = 4};
    assert_ok(cllm_sampler_create(4, &o, &sampler, &err), &err);
    assert_error(cllm_sampler_sample(sampler, logits, NULL, &token, &err), &err, CLLM_ERR_ARGUMENT, "allows no token");
    cllm_sampler_destroy(sampler);
    static const cllm_logit_bias huge[] = {{2, 3e38f}, {3, 3e38f}, {2, 3e38f}, {2, -INFINITY}};
    for (size_t n = 2; n <= 4; n++) {
        o = (cllm_sampler_options){.logit_bias = huge, .n_logit_bias = n};
        assert_ok(cllm_sampler_create(4, &o, &sampler, &err), &err);
        const cllm_status status = cllm_sampler_sample(sampler, logits, NULL, &token, &err);
        if (n == 2)
            assert_true(status == CLLM_OK && token == 2);
        else
            assert_error(status, &err, CLLM_ERR_ARGUMENT, "logit bias: token 2");
        cllm_sampler_destroy(sampler);
    }
    o = (cllm_sampler_options){.presence_penalty = 1, .penalty_last_n = 2};
    assert_ok(cllm_sampler_create(4, &o, &sampler, &err), &err);
    const int32_t want[] = {1, 2, 3, 1, 2}; /* the last two tokens are never drawn */
    const float close[] = {-9, 5, 4.5f, 4.2f};
    for (int i = 0; i < 5; i++) {
        assert_ok(cllm_sampler_sample(sampler, close, NULL, &token, &err), &err);
        assert_int_equal(token, want[i]);
        cllm_sampler_accept(sampler, token);
    }
    cllm_sampler_begin(sampler, want, 1); /* the text has changed */
    assert_ok(cllm_sampler_sample(sampler, close, NULL, &token, &err), &err);
    assert_int_equal(token, 2);
    cllm_sampler_destroy(sampler);
    assert_ok(cllm_sampler_create(4, NULL, &sampler, &err), &err);
    assert_true(sampler_takes_likeliest(sampler));
    cllm_sampler_destroy(sampler);
}

/* If a chain begins with top-k, only the likeliest tokens are gathered. The draws must be the same as with all
 * tokens. */
static void a_short_list_draws_as_the_whole(void **state) {
    (void)state;
    enum { N_VOCAB = 4999, N_BIAS = 4 };
    static const float temperatures[] = {0, 1e-38f, 1e-3f, 0.3f, 0.8f, 1, 1.9f, 5, 1e6f, 1e30f};
    static const cllm_sampler_step reversed[] = {CLLM_STEP_PENALTIES, CLLM_STEP_TOP_K, CLLM_STEP_MIN_P,
                                                 CLLM_STEP_TEMPERATURE, CLLM_STEP_TOP_P};
    static float logits[N_VOCAB];
    static uint32_t mask[CLLM_MASK_WORDS(N_VOCAB)];
    uint64_t random = test_seed();
    for (int round = 0; round < (test_sanitized() ? 300 : 3000); round++) {
        const uint64_t kind = random_u64(&random) % 5;
        for (int i = 0; i < N_VOCAB; i++) {
            logits[i] = random_float(&random) * 10;
            if (kind == 1) logits[i] = roundf(logits[i]);                                      /* ties */
            if (kind == 2) logits[i] *= powf(10, random_float(&random) * 35);                  /* far apart */
            if (kind == 3 && random_u64(&random) % 2) logits[i] = -INFINITY;                   /* ruled out */
            if (kind == 4) logits[i] = 1.99f + FLT_EPSILON * (float)(random_u64(&random) % 3); /* ties after division */
        }
        const uint64_t allowed = random_u64(&random) % 4; /* all, most, few or none of many words */
        for (size_t i = 0; i < CLLM_MASK_WORDS(N_VOCAB); i++) {
            mask[i] = (uint32_t)random_u64(&random) | (uint32_t)random_u64(&random);
            if (allowed == 2) mask[i] &= (uint32_t)(random_u64(&random) & random_u64(&random) & random_u64(&random));
            if (allowed == 3 && random_u64(&random) % 60) mask[i] = 0;
        }
        mask[0] |= 1;
        if (isinf(logits[0])) logits[0] = 1;
        cllm_logit_bias bias[N_BIAS] = {{.token = 1, .bias = -INFINITY}}; /* for the likeliest token, and for others */
        for (int i = 2; i < N_VOCAB; i++)
            if (logits[i] > logits[bias[0].token]) bias[0].token = i;
        for (int i = 1; i < N_BIAS; i++)
            bias[i] = (cllm_logit_bias){.token = (int32_t)(random_u64(&random) % (N_VOCAB - 1)) + 1,
                                        .bias = random_float(&random) * 20};
        if (random_u64(&random) % 2) bias[2].token = bias[3].token = bias[1].token; /* a token may have several */
        cllm_sampler_options o = {
            .temperature = temperatures[random_u64(&random) % (sizeof temperatures / sizeof *temperatures)],
            .top_k = 1 + (uint32_t)(random_u64(&random) % 100),
            .top_p = 0.95f,
            .seed = random_u64(&random),
            .logit_bias = bias,
            .n_logit_bias = (size_t)(random_u64(&random) % (N_BIAS + 1)),
        };
        if (random_u64(&random) % 2) {
            o.steps = reversed;
            o.n_steps = sizeof reversed / sizeof *reversed;
        }
        int32_t tokens[2];
        for (uint32_t whole = 0; whole < 2; whole++) {
            cllm_error err;
            cllm_sampler *sampler;
            o.penalty_last_n = whole; /* 1: a step for an empty text, which changes nothing */
            o.presence_penalty = 1;
            assert_ok(cllm_sampler_create(N_VOCAB, &o, &sampler, &err), &err);
            assert_ok(cllm_sampler_sample(sampler, logits, allowed > 0 ? mask : NULL, &tokens[whole], &err), &err);
            cllm_sampler_destroy(sampler);
        }
        assert_int_equal(tokens[0], tokens[1]);
    }
}

static void steps_have_names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        cllm_sampler_step step;
    } cases[] = {{"top_k", CLLM_STEP_TOP_K},
                 {"top-k", CLLM_STEP_TOP_K},
                 {"TopK", CLLM_STEP_TOP_K},
                 {"temp", CLLM_STEP_TEMPERATURE},
                 {"typ_p", CLLM_STEP_TYPICAL_P},
                 {"typical-p", CLLM_STEP_TYPICAL_P},
                 {"nucleus", CLLM_STEP_TOP_P},
                 {"adaptive_p", CLLM_STEP_ADAPTIVE_P},
                 {"", CLLM_STEP_END},
                 {"top", CLLM_STEP_END},
                 {"top_kk", CLLM_STEP_END},
                 {"_", CLLM_STEP_END}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(cllm_sampler_step_named(cases[i].name, strlen(cases[i].name)), cases[i].step);
    for (int i = CLLM_STEP_END + 1; i < CLLM_N_STEPS; i++) {
        const char *name = cllm_sampler_step_name((cllm_sampler_step)i);
        assert_int_equal(cllm_sampler_step_named(name, strlen(name)), i);
    }
}

static void values_out_of_range_are_named(void **state) {
    (void)state;
    static const cllm_sampler_step twice[] = {CLLM_STEP_TOP_K, CLLM_STEP_TOP_K}, infill[] = {CLLM_STEP_INFILL};
    static const cllm_logit_bias outside[] = {{100, 1}};
    const struct {
        cllm_sampler_options o;
        const char *message;
    } cases[] = {
        {{.min_p = 2}, "min-p 2 is not in [0, 1]"},
        {{.typical_p = -1}, "typical-p -1"},
        {{.xtc_probability = NAN}, "xtc-probability nan"},
        {{.repeat_penalty = -1}, "repeat-penalty -1"},
        {{.mirostat = 3}, "mirostat 3"},
        {{.adaptive_decay = 1}, "adaptive-decay 1"},
        {{.dynatemp_range = INFINITY}, "dynatemp-range inf"},
        {{.steps = twice, .n_steps = 2}, "top_k is given twice"},
        {{.steps = infill, .n_steps = 1}, "infill needs the tokenizer"},
        {{.logit_bias = outside, .n_logit_bias = 1}, "token 100 is not in the vocabulary of 100"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cllm_error err;
        cllm_sampler *sampler;
        assert_error(cllm_sampler_create(100, &cases[i].o, &sampler, &err), &err, CLLM_ERR_ARGUMENT, cases[i].message);
        assert_null(sampler);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_keep_what_their_definitions_say),
        cmocka_unit_test(xtc_leaves_the_least_likely_of_the_likely),
        cmocka_unit_test(penalties_count_the_last_tokens),
        cmocka_unit_test(breakers_are_found_in_tokens),
        cmocka_unit_test(chains_draw_their_distribution),
        cmocka_unit_test(mirostat_reaches_its_surprise),
        cmocka_unit_test(adaptive_p_draws_near_its_target),
        cmocka_unit_test(infill_joins_beginnings_and_ends_early),
        cmocka_unit_test(scores_that_overflow_are_drawn_from),
        cmocka_unit_test(greedy_minds_bias_and_penalties),
        cmocka_unit_test(a_short_list_draws_as_the_whole),
        cmocka_unit_test(steps_have_names),
        cmocka_unit_test(values_out_of_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
