/* Tests the sampler against a simple one that sorts: the same seed must give the same tokens. Seeds are tested
 * against the distribution that they draw from. */
#include "support/check.h"
#include "support/solo.h"

#include "sampling/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next token, which becomes part of the text. */
static void draw_token(cllm_sampler *sampler, const float *logits, int32_t *token) {
    cllm_error err;
    assert_ok(cllm_sampler_sample(sampler, logits, NULL, token, &err), &err);
    cllm_sampler_accept(sampler, *token);
}

/* The specification, step by step over the whole vocabulary, with stable sorts and no heap. */
typedef struct plain_sampler {
    cllm_sampler_options options;
    uint64_t state;
} plain_sampler;

static const float *sort_values;
static int by_falling_value(const void *a, const void *b) {
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    if (sort_values[i] != sort_values[j]) return sort_values[i] > sort_values[j] ? -1 : 1;
    return i < j ? -1 : 1;
}

static void sorted_indices(const float *values, uint32_t *order, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    sort_values = values;
    qsort(order, n, sizeof *order, by_falling_value);
}

static int32_t plain_sample(plain_sampler *s, const float *logits, uint32_t n) {
    float *p = malloc(n * sizeof *p), largest = -INFINITY, sum = 0, running = 0;
    uint32_t *order = malloc(n * sizeof *order);
    assert_true(p && order);
    for (uint32_t i = 0; i < n; i++) p[i] = logits[i] / s->options.temperature;
    if (s->options.top_k > 0 && s->options.top_k < n) {
        sorted_indices(p, order, n);
        float threshold = p[order[s->options.top_k - 1]];
        for (uint32_t i = 0; i < n; i++)
            if (p[i] < threshold) p[i] = -INFINITY;
    }
    for (uint32_t i = 0; i < n; i++) largest = fmaxf(largest, p[i]);
    for (uint32_t i = 0; i < n; i++) sum += p[i] = expf(p[i] - largest);
    for (uint32_t i = 0; i < n; i++) p[i] /= sum;
    if (s->options.top_p < 1) {
        sorted_indices(p, order, n);
        uint32_t kept = 0;
        float reached = 0;
        while (kept < n && reached < s->options.top_p) reached += p[order[kept++]];
        for (uint32_t i = kept; i < n; i++) p[order[i]] = 0;
        sum = 0;
        for (uint32_t i = 0; i < n; i++) sum += p[i];
        for (uint32_t i = 0; i < n; i++) p[i] /= sum;
    }
    s->state ^= s->state << 13;
    s->state ^= s->state >> 7;
    s->state ^= s->state << 17;
    float r = (float)s->state / (float)UINT64_MAX;
    int32_t token = -1;
    for (uint32_t i = 0; i < n && token < 0; i++)
        if (r < (running += p[i])) token = (int32_t)i;
    free(p);
    free(order);
    return token;
}

/* The generator's first state is splitmix64's first number from the seed, which random_u64 makes too. */
static uint64_t mixed(uint64_t seed) { return random_u64(&seed); }

static void same_as_plain(const cllm_sampler_options *options, uint32_t n_vocab, float spread, int with_ties) {
    cllm_error err;
    cllm_sampler *sampler;
    assert_ok(cllm_sampler_create(n_vocab, options, &sampler, &err), &err);
    plain_sampler plain = {*options, mixed(options->seed)};
    float *logits = malloc(n_vocab * sizeof *logits);
    assert_non_null(logits);
    uint64_t state = 7 + n_vocab;
    for (int step = 0; step < 50; step++) {
        for (uint32_t i = 0; i < n_vocab; i++) {
            logits[i] = random_float(&state) * spread;
            if (with_ties) logits[i] = roundf(logits[i] * 4) / 4;
        }
        int32_t token = -1, expected = plain_sample(&plain, logits, n_vocab);
        draw_token(sampler, logits, &token);
        assert_true(token >= 0 && (uint32_t)token < n_vocab);
        if (expected >= 0) assert_int_equal(token, expected); /* -1: the sum of all probabilities stayed below r */
    }
    free(logits);
    cllm_sampler_destroy(sampler);
}

static void draws_what_the_specification_draws(void **state) {
    (void)state;
    const uint32_t sizes[] = {1, 2, 7, 512, 4099};
    const uint32_t top_ks[] = {0, 1, 2, 40, 511, 5000};
    const float top_ps[] = {0.01f, 0.5f, 0.9f, 1.0f};
    for (size_t n = 0; n < 5; n++)
        for (size_t k = 0; k < 6; k++)
            for (size_t p = 0; p < 4; p++) {
                cllm_sampler_options o = {.temperature = 0.8f, .top_p = top_ps[p], .top_k = top_ks[k], .seed = 1 + k};
                same_as_plain(&o, sizes[n], 8, 0);
                same_as_plain(&o, sizes[n], 8, 1);
            }
}

/* Logits that differ by their last bit can have the same probability: top-p then prefers the lower id. */
static void top_p_orders_by_probability(void **state) {
    (void)state;
    const float logits[] = {0.1f, nextafterf(0.1f, 1), 0.9f};
    assert_true(expf(logits[0] - 0.9f) == expf(logits[1] - 0.9f));
    const cllm_sampler_options o = {.temperature = 1, .top_p = 0.7f, .seed = 9};
    cllm_error err;
    cllm_sampler *sampler;
    int counts[3] = {0};
    assert_ok(cllm_sampler_create(3, &o, &sampler, &err), &err);
    for (int i = 0; i < 1000; i++) {
        int32_t token;
        draw_token(sampler, logits, &token);
        counts[token]++;
    }
    cllm_sampler_destroy(sampler);
    assert_true(counts[0] > 200 && counts[1] == 0 && counts[2] > 500);
}

/* ------------------------------------------------------------------------------------------------- seeds */

enum { N_SEEDS = 10000, N_DRAWS = 3, N_TOKENS = 8 };

/* What chi-squared with so many degrees of freedom exceeds once in 10,000 times (Wilson and Hilferty 1931). */
static double chi_squared_limit(int freedom) {
    const double normal = 3.719, a = 2.0 / (9 * freedom);
    return freedom * pow(1 - a + normal * sqrt(a), 3);
}

/* Do the counts of N_SEEDS draws fit the probabilities? Some of these are 0. */
static void assert_fits(const int *counts, const double *expected, int n, const char *what) {
    double chi_squared = 0;
    int freedom = -1;
    for (int i = 0; i < n; i++) {
        const double want = expected[i] * N_SEEDS;
        if (want == 0 && counts[i] > 0) fail_msg("%s: outcome %d is impossible, and came up", what, i);
        if (want == 0) continue;
        chi_squared += (counts[i] - want) * (counts[i] - want) / want;
        freedom++;
    }
    if (!(chi_squared < chi_squared_limit(freedom)))
        fail_msg("%s: chi-squared is %.1f, more than %.1f", what, chi_squared, chi_squared_limit(freedom));
}

/* Counts the first, second and third token of N_SEEDS seeds from `first` on: each alone, and the first two together. */
static void check_seeds(cllm_sampler_options options, uint64_t first, const double *expected, const char *name) {
    const float logits[N_TOKENS] = {0.5f, 1.5f, -1, 2, 1, 0, 0.7f, -0.3f};
    int counts[N_DRAWS][N_TOKENS] = {{0}}, pairs[N_TOKENS * N_TOKENS] = {0};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        cllm_error err;
        cllm_sampler *sampler;
        int32_t tokens[N_DRAWS];
        options.seed = first + seed;
        assert_ok(cllm_sampler_create(N_TOKENS, &options, &sampler, &err), &err);
        for (int i = 0; i < N_DRAWS; i++) {
            draw_token(sampler, logits, &tokens[i]);
            counts[i][tokens[i]]++;
        }
        pairs[tokens[0] * N_TOKENS + tokens[1]]++;
        cllm_sampler_destroy(sampler);
    }
    char what[100];
    for (int i = 0; i < N_DRAWS; i++) {
        snprintf(what, sizeof what, "%s, token %d of the seeds from %llu on", name, i + 1, (unsigned long long)first);
        assert_fits(counts[i], expected, N_TOKENS, what);
    }
    double together[N_TOKENS * N_TOKENS];
    for (int i = 0; i < N_TOKENS * N_TOKENS; i++) together[i] = expected[i / N_TOKENS] * expected[i % N_TOKENS];
    snprintf(what, sizeof what, "%s, the first two tokens of the seeds from %llu on", name, (unsigned long long)first);
    assert_fits(pairs, together, N_TOKENS * N_TOKENS, what);
}

/* expected: the softmax of the logits in check_seeds, over the tokens that are kept. */
static void neighbouring_seeds_fit_the_distribution(void **state) {
    (void)state;
    const struct {
        const char *name;
        cllm_sampler_options options;
        const char *kept; /* one letter for each token: is it kept? */
    } ways[] = {
        {"all tokens", {.temperature = 1, .top_p = 1}, "yyyyyyyy"},
        {"top-k", {.temperature = 1, .top_p = 1, .top_k = 4}, "nynyynyn"},
        {"top-p", {.temperature = 1, .top_p = 0.7f}, "nynyynnn"},
    };
    const double logits[N_TOKENS] = {0.5, 1.5, -1, 2, 1, 0, 0.7, -0.3};
    const uint64_t firsts[] = {0, 1000000000000000, UINT64_MAX - N_SEEDS + 1};
    for (size_t i = 0; i < 3; i++) {
        double expected[N_TOKENS], sum = 0;
        for (int k = 0; k < N_TOKENS; k++) sum += expected[k] = ways[i].kept[k] == 'y' ? exp(logits[k]) : 0;
        for (int k = 0; k < N_TOKENS; k++) expected[k] /= sum;
        for (size_t k = 0; k < 3; k++) check_seeds(ways[i].options, firsts[k], expected, ways[i].name);
    }
}

static cllm_sampler *new_sampler(uint32_t n_vocab, const cllm_sampler_options *options) {
    cllm_error err;
    cllm_sampler *sampler;
    assert_ok(cllm_sampler_create(n_vocab, options, &sampler, &err), &err);
    return sampler;
}

/* True if two samplers draw the same hundred tokens. Destroys both. */
static bool draw_alike(cllm_sampler *a, cllm_sampler *b) {
    const float flat[100] = {0};
    bool alike = true;
    for (int i = 0; i < 100; i++) {
        int32_t from_a, from_b;
        draw_token(a, flat, &from_a);
        draw_token(b, flat, &from_b);
        alike = alike && from_a == from_b;
    }
    cllm_sampler_destroy(a);
    cllm_sampler_destroy(b);
    return alike;
}

static void every_seed_is_one_of_its_own(void **state) {
    (void)state;
    cllm_sampler_options zero = {.temperature = 1, .top_p = 1, .seed = 0}, other = zero;
    assert_true(draw_alike(new_sampler(100, &zero), new_sampler(100, &zero)));
    other.seed = 42;
    assert_false(draw_alike(new_sampler(100, &zero), new_sampler(100, &other)));
    other.seed = UINT64_MAX;
    assert_false(draw_alike(new_sampler(100, &zero), new_sampler(100, &other)));
    /* splitmix64 makes 0 of this seed, and xorshift64 would stay at 0 forever */
    other.seed = 0 - UINT64_C(0x9E3779B97F4A7C15);
    uint64_t seed = other.seed;
    assert_int_equal(random_u64(&seed), 0);
    cllm_sampler *from_one = new_sampler(100, &zero);
    sampler_set_state(from_one, 1);
    assert_true(draw_alike(new_sampler(100, &other), from_one));
}

static void no_options_are_greedy(void **state) {
    (void)state;
    const cllm_sampler_options greedy = {0}, defaults = CLLM_SAMPLER_DEFAULTS,
                               same = {.temperature = 0.8f, .top_p = 0.9f, .top_k = 40, .seed = 42};
    assert_true(draw_alike(new_sampler(100, NULL), new_sampler(100, &greedy)));
    assert_true(draw_alike(new_sampler(100, &defaults), new_sampler(100, &same)));
    assert_false(draw_alike(new_sampler(100, NULL), new_sampler(100, &defaults)));
}

/* Until a token is accepted the same logits give the same one. */
static void a_draw_lasts_until_it_is_accepted(void **state) {
    (void)state;
    const cllm_sampler_options options = {.temperature = 1, .seed = 9};
    cllm_sampler *sampler = new_sampler(100, &options);
    const float flat[100] = {0};
    int32_t first, again, n_others = 0;
    cllm_error err;
    for (int i = 0; i < 50; i++) {
        assert_ok(cllm_sampler_sample(sampler, flat, NULL, &first, &err), &err);
        assert_ok(cllm_sampler_sample(sampler, flat, NULL, &again, &err), &err);
        assert_int_equal(first, again);
        cllm_sampler_accept(sampler, first);
        assert_ok(cllm_sampler_sample(sampler, flat, NULL, &again, &err), &err);
        n_others += again != first;
    }
    assert_true(n_others > 40);
    cllm_sampler_destroy(sampler);
}

/* The allowed tokens have the same distribution with a mask as with very small logits for all other tokens. */
static void a_mask_leaves_what_it_allows(void **state) {
    (void)state;
    enum { N = 70 };
    uint64_t random = 8;
    for (int round = 0; round < 40; round++) {
        const cllm_sampler_options options = {.temperature = round % 4 ? 0.9f : 0,
                                              .top_k = round % 3 ? 12 : 0,
                                              .top_p = round % 2 ? 0.8f : 1,
                                              .seed = (uint64_t)round};
        cllm_sampler *masked = new_sampler(N, &options), *plain = new_sampler(N, &options);
        for (int i = 0; i < 50; i++) {
            float logits[N], without[N];
            uint32_t mask[CLLM_MASK_WORDS(N)] = {0};
            int32_t got, want;
            cllm_error err;
            const uint32_t always = (uint32_t)(random_u64(&random) % N);
            mask[always / 32] |= 1u << always % 32;
            for (uint32_t t = 0; t < N; t++) {
                if (random_u64(&random) % 3) mask[t / 32] |= 1u << t % 32;
                logits[t] = random_float(&random) * 4;
                without[t] = mask[t / 32] >> t % 32 & 1 ? logits[t] : -1e30f;
            }
            assert_ok(cllm_sampler_sample(masked, logits, mask, &got, &err), &err);
            assert_ok(cllm_sampler_sample(plain, without, NULL, &want, &err), &err);
            assert_int_equal(got, want);
            cllm_sampler_accept(masked, got);
            cllm_sampler_accept(plain, want);
        }
        cllm_sampler_destroy(masked);
        cllm_sampler_destroy(plain);
    }
    const uint32_t none[CLLM_MASK_WORDS(N)] = {0};
    const float flat[N] = {0};
    int32_t token;
    cllm_error err;
    cllm_sampler *sampler = new_sampler(N, NULL);
    assert_error(cllm_sampler_sample(sampler, flat, none, &token, &err), &err, CLLM_ERR_ARGUMENT, "allows no token");
    cllm_sampler_destroy(sampler);
}

/* ------------------------------------------------------------------------------- an older engine's texts */

/* Checks the text that continues a prompt. In the file of samples, and here, ~ stands for a newline. */
static void assert_continues(const cllm_model *model, const char *prompt, uint64_t generator, const char *want) {
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(model);
    const cllm_engine_options settings = {.kv_type = CLLM_KV_F32};
    const cllm_sampler_options sampling = {.temperature = 0.8f, .top_p = 0.9f, .top_k = 40};
    cllm_error err;
    solo *session;
    cllm_sampler *sampler = new_sampler(cllm_tokenizer_n_vocab(tokenizer), &sampling);
    sampler_set_state(sampler, generator);
    assert_ok(solo_create(model, &settings, &session, &err), &err);
    char text[4096];
    size_t length = 0, count;
    int32_t *tokens;
    assert_ok(cllm_tokenizer_encode(tokenizer, prompt, strlen(prompt), CLLM_ENCODE_ADD_SPECIAL, &tokens, &count, &err),
              &err);
    int32_t previous = tokens[count - 1], token;
    for (int i = 0; i < 50; i++) {
        const float *logits;
        assert_ok(solo_eval(session, i == 0 ? tokens : &previous, i == 0 ? count : 1, &logits, &err), &err);
        draw_token(sampler, logits, &token);
        if (cllm_tokenizer_is_eog(tokenizer, token)) break;
        const cllm_string bytes = cllm_tokenizer_decode(tokenizer, previous, token);
        assert_true(length + bytes.length < sizeof text - 1);
        memcpy(text + length, bytes.data, bytes.length);
        length += bytes.length;
        previous = token;
    }
    text[length++] = '\n'; /* that engine printed one at the end */
    text[length] = '\0';
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n') text[i] = '~';
    assert_string_equal(text, want);
    cllm_free(tokens);
    cllm_sampler_destroy(sampler);
    solo_destroy(session);
}

/* mini-rsllm used the seed itself as the state of the same generator. */
static void texts_of_mini_rsllm(void **state) {
    (void)state;
    const char *model_path = shared_file("models/stories260K.gguf");
    const char *samples_path = shared_file("models/mini-rsllm-samples.tsv");
    if (!model_path || !samples_path) skip();
    cllm_error err;
    cllm_model *model;
    assert_ok(cllm_model_load(model_path, NULL, &model, &err), &err);
    size_t n_bytes, n_samples = 0;
    char *samples = (char *)read_file(samples_path, &n_bytes), *rest = samples;
    for (char *line; (line = strtok_r(rest, "\n", &rest)); n_samples++) {
        char *text;
        const uint64_t generator = strtoull(line, &text, 10);
        assert_int_equal(*text, '\t');
        assert_continues(model, "Once upon a time", generator, text + 1);
    }
    assert_true(n_samples > 0);
    free(samples);
    cllm_model_destroy(model);
}

/* --------------------------------------------------------------------------------------- single choices */

static int32_t sample_once(const cllm_sampler_options *options, const float *logits, uint32_t n) {
    cllm_error err;
    cllm_sampler *sampler;
    int32_t token;
    assert_ok(cllm_sampler_create(n, options, &sampler, &err), &err);
    draw_token(sampler, logits, &token);
    cllm_sampler_destroy(sampler);
    return token;
}

static void temperature_zero_takes_the_first_maximum(void **state) {
    (void)state;
    const cllm_sampler_options greedy = {.temperature = 0, .top_p = 0.9f};
    const float logits[] = {-3, 2, 7, 7, -1, 7};
    assert_int_equal(sample_once(&greedy, logits, 6), 2);
    const cllm_sampler_options below = {.temperature = -1}, zero = {0};
    assert_int_equal(sample_once(&below, logits, 6), 2);
    assert_int_equal(sample_once(&zero, logits, 6), 2);
    const float negative[] = {-9, -INFINITY, -2, -3};
    assert_int_equal(sample_once(&greedy, negative, 4), 2);
}

static void a_temperature_too_small_for_float_is_greedy(void **state) {
    (void)state;
    const cllm_sampler_options cold = {.temperature = 1e-38f, .top_p = 1};
    const float logits[] = {100, 200, 300, 250};
    assert_int_equal(sample_once(&cold, logits, 4), 2);
}

static void the_draw_follows_the_probabilities(void **state) {
    (void)state;
    const cllm_sampler_options o = {.temperature = 1, .top_p = 1, .seed = 3};
    const float logits[] = {logf(0.5f), logf(0.3f), logf(0.2f)};
    cllm_error err;
    cllm_sampler *sampler;
    int counts[3] = {0}, n = 30000;
    assert_ok(cllm_sampler_create(3, &o, &sampler, &err), &err);
    for (int i = 0; i < n; i++) {
        int32_t token;
        draw_token(sampler, logits, &token);
        counts[token]++;
    }
    cllm_sampler_destroy(sampler);
    const double expected[] = {0.5, 0.3, 0.2};
    for (int i = 0; i < 3; i++) assert_true(fabs(counts[i] / (double)n - expected[i]) < 0.015); /* 5 sigma */
}

static void bad_options_are_refused(void **state) {
    (void)state;
    const struct {
        cllm_sampler_options options;
        uint32_t n_vocab;
        const char *message;
    } cases[] = {
        {{.temperature = NAN, .top_p = 1}, 10, "temperature"},
        {{.temperature = INFINITY, .top_p = 1}, 10, "temperature"},
        {{.temperature = 1, .top_p = -0.5f}, 10, "top-p -0.5"},
        {{.temperature = 1, .top_p = 1.5f}, 10, "top-p 1.5"},
        {{.temperature = 1, .top_p = 1}, 0, "vocabulary of 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cllm_error err;
        cllm_sampler *sampler;
        assert_error(cllm_sampler_create(cases[i].n_vocab, &cases[i].options, &sampler, &err), &err, CLLM_ERR_ARGUMENT,
                     cases[i].message);
        assert_null(sampler);
    }
}

static void logits_that_are_no_numbers_are_refused(void **state) {
    (void)state;
    const float bad[][3] = {{0, NAN, 0}, {0, INFINITY, 0}, {-INFINITY, -INFINITY, -INFINITY}};
    for (size_t i = 0; i < 3; i++)
        for (int greedy = 0; greedy < 2; greedy++) {
            cllm_sampler_options o = {.temperature = greedy ? 0 : 1, .top_p = 1};
            cllm_error err;
            cllm_sampler *sampler;
            int32_t token;
            assert_ok(cllm_sampler_create(3, &o, &sampler, &err), &err);
            assert_error(cllm_sampler_sample(sampler, bad[i], NULL, &token, &err), &err, CLLM_ERR_FORMAT, "finite");
            cllm_sampler_destroy(sampler);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_what_the_specification_draws),
        cmocka_unit_test(top_p_orders_by_probability),
        cmocka_unit_test(neighbouring_seeds_fit_the_distribution),
        cmocka_unit_test(every_seed_is_one_of_its_own),
        cmocka_unit_test(no_options_are_greedy),
        cmocka_unit_test(a_draw_lasts_until_it_is_accepted),
        cmocka_unit_test(a_mask_leaves_what_it_allows),
        cmocka_unit_test(texts_of_mini_rsllm),
        cmocka_unit_test(temperature_zero_takes_the_first_maximum),
        cmocka_unit_test(a_temperature_too_small_for_float_is_greedy),
        cmocka_unit_test(the_draw_follows_the_probabilities),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(logits_that_are_no_numbers_are_refused),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
