/* The sampler against a plain one that sorts: same seed, same tokens. */
#include "support/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static void same_as_plain(const cllm_sampler_options *options, uint32_t n_vocab, float spread, int with_ties) {
    cllm_error err;
    cllm_sampler *sampler;
    assert_ok(cllm_sampler_create(n_vocab, options, &sampler, &err), &err);
    plain_sampler plain = {*options, options->seed ? options->seed : 42};
    float *logits = malloc(n_vocab * sizeof *logits);
    assert_non_null(logits);
    uint64_t state = 7 + n_vocab;
    for (int step = 0; step < 50; step++) {
        for (uint32_t i = 0; i < n_vocab; i++) {
            logits[i] = random_float(&state) * spread;
            if (with_ties) logits[i] = roundf(logits[i] * 4) / 4;
        }
        int32_t token = -1, expected = plain_sample(&plain, logits, n_vocab);
        assert_ok(cllm_sampler_sample(sampler, logits, &token, &err), &err);
        assert_true(token >= 0 && (uint32_t)token < n_vocab);
        if (expected >= 0) assert_int_equal(token, expected); /* -1: the plain sums fell short of r */
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
        assert_ok(cllm_sampler_sample(sampler, logits, &token, &err), &err);
        counts[token]++;
    }
    cllm_sampler_destroy(sampler);
    assert_true(counts[0] > 200 && counts[1] == 0 && counts[2] > 500);
}

static void seed_zero_stands_for_42(void **state) {
    (void)state;
    cllm_sampler_options zero = {.temperature = 1, .top_p = 1, .seed = 0}, answer = zero;
    answer.seed = 42;
    cllm_error err;
    cllm_sampler *a, *b;
    assert_ok(cllm_sampler_create(100, &zero, &a, &err), &err);
    assert_ok(cllm_sampler_create(100, &answer, &b, &err), &err);
    float flat[100] = {0};
    for (int i = 0; i < 100; i++) {
        int32_t from_a, from_b;
        assert_ok(cllm_sampler_sample(a, flat, &from_a, &err), &err);
        assert_ok(cllm_sampler_sample(b, flat, &from_b, &err), &err);
        assert_int_equal(from_a, from_b);
    }
    cllm_sampler_destroy(a);
    cllm_sampler_destroy(b);
}

static int32_t sample_once(const cllm_sampler_options *options, const float *logits, uint32_t n) {
    cllm_error err;
    cllm_sampler *sampler;
    int32_t token;
    assert_ok(cllm_sampler_create(n, options, &sampler, &err), &err);
    assert_ok(cllm_sampler_sample(sampler, logits, &token, &err), &err);
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
        assert_ok(cllm_sampler_sample(sampler, logits, &token, &err), &err);
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
            assert_error(cllm_sampler_sample(sampler, bad[i], &token, &err), &err, CLLM_ERR_FORMAT, "finite");
            cllm_sampler_destroy(sampler);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_what_the_specification_draws),
        cmocka_unit_test(top_p_orders_by_probability),
        cmocka_unit_test(seed_zero_stands_for_42),
        cmocka_unit_test(temperature_zero_takes_the_first_maximum),
        cmocka_unit_test(a_temperature_too_small_for_float_is_greedy),
        cmocka_unit_test(the_draw_follows_the_probabilities),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(logits_that_are_no_numbers_are_refused),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
