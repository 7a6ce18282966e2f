/* Tests layers that choose which positions a token sees: the choice itself, and that rows have the same bits however
 * the work is split when the chosen positions fill more than one chunk. The values of the rows are tested in
 * test_families.c; that the choice stays with its sequence is tested in test_company.c. The models are those of
 * families2/ of the shared folder. */
#include "support/check.h"
#include "support/solo.h"

#include "cpu/steps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SCORES = 700 };

/* Is position a chosen before b? */
static bool is_before(const float *scores, uint32_t a, uint32_t b) {
    return scores[a] > scores[b] || (!(scores[b] > scores[a]) && a < b);
}

static void the_largest_are_chosen_and_of_equal_ones_the_first(void **state) {
    (void)state;
    uint64_t random = 7;
    for (int round = 0; round < 300; round++) {
        float scores[MOST_SCORES];
        uint32_t chosen[MOST_SCORES + 1];
        const uint32_t n = 1 + (uint32_t)(random_u64(&random) % MOST_SCORES),
                       k = 1 + (uint32_t)(random_u64(&random) % n);
        for (uint32_t i = 0; i < n; i++) { /* in every second round many scores are equal */
            const float drawn = random_float(&random);
            scores[i] = round % 2 ? roundf(drawn * 4) : ldexpf(drawn, (int)(random_u64(&random) % 60) - 30);
            if (scores[i] == 0) scores[i] = 0; /* indexers give no -0 */
        }
        if (round % 5 == 0) scores[n / 2] = INFINITY;
        if (round % 7 == 0) scores[n / 3] = -INFINITY;
        chosen[k] = UINT32_MAX;
        choose_largest(scores, n, k, chosen);
        assert_int_equal(chosen[k], UINT32_MAX);
        uint32_t at = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t before = 0;
            for (uint32_t j = 0; j < n; j++) before += is_before(scores, j, i);
            if (before >= k) continue;
            assert_true(at < k);
            assert_int_equal(chosen[at++], i);
        }
        assert_int_equal(at, k);
    }
}

/* ------------------------------------------------------------------------------------------------- the bits */

enum { N_TOKENS = 560, CHOSEN = 300 /* more than a chunk */, N_CTX = 600 };

static cllm_model *load(const char *name, uint32_t top_k) {
    char file[100];
    const cllm_metadata overrides[] = {{".attention.indexer.top_k", {.type = CLLM_UINT32, .u = top_k}}};
    const cllm_load_options options = {.overrides = overrides, .n_overrides = 1};
    cllm_model *model;
    cllm_error err;
    snprintf(file, sizeof file, "families2/%s.gguf", name);
    const char *path = shared_file(file);
    if (!path) return NULL;
    assert_ok(cllm_model_load(path, &options, &model, &err), &err);
    return model;
}

/* The size of a batch and the number of threads. */
typedef struct cut {
    uint32_t n_batch, n_threads;
} cut;

static solo *open_solo(const cllm_model *model, cut c, cllm_kv_type type, const char *isa) {
    const cllm_engine_options options = {
        .n_ctx = N_CTX, .n_batch = c.n_batch, .n_threads = c.n_threads, .kv_type = type, .cpu_isa = isa};
    solo *s;
    cllm_error err;
    assert_ok(solo_create(model, &options, &s, &err), &err);
    return s;
}

/* Returns [N_TOKENS][n_vocab]; release with free(). */
static float *rows_of(const cllm_model *model, const int32_t *tokens, cut c, cllm_kv_type type, const char *isa) {
    solo *s = open_solo(model, c, type, isa);
    float *rows = malloc(N_TOKENS * s->n_vocab * sizeof *rows);
    cllm_error err;
    assert_non_null(rows);
    assert_ok(solo_each(s, tokens, N_TOKENS, rows, &err), &err);
    solo_destroy(s);
    return rows;
}

/* Asks only for the last row of each call. The other rows are left out of the last layer; this must not change the
 * choices of the last row. */
static void check_last_rows(const cllm_model *model, const int32_t *tokens, cut c, cllm_kv_type type, const char *isa,
                            const float *want) {
    static const size_t counts[] = {CHOSEN - 1, 1, 1, 120, N_TOKENS - CHOSEN - 121}; /* each asks for its last row */
    solo *s = open_solo(model, c, type, isa);
    for (size_t i = 0, done = 0; i < sizeof counts / sizeof *counts; i++) {
        const float *logits;
        cllm_error err;
        assert_ok(solo_eval(s, tokens + done, counts[i], &logits, &err), &err);
        done += counts[i];
        assert_memory_equal(logits, want + (done - 1) * s->n_vocab, s->n_vocab * sizeof *want);
    }
    solo_destroy(s);
}

static void check_bits(const char *name, const cllm_model *model, cllm_kv_type type, const char *isa) {
    static const cut cuts[] = {{1, 1}, {1, 3}, {7, 2}, {64, 2}, {512, 3}};
    int32_t tokens[N_TOKENS];
    for (int32_t i = 0; i < N_TOKENS; i++) tokens[i] = 1 + i * i % 487;
    float *want = rows_of(model, tokens, (cut){N_TOKENS, 1}, type, isa);
    const size_t bytes = N_TOKENS * (size_t)cllm_model_get_info(model)->n_vocab * sizeof *want;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        if (test_sanitized() && i % 2) continue;
        float *got = rows_of(model, tokens, cuts[i], type, isa);
        if (memcmp(got, want, bytes) != 0)
            fail_msg("%s, keys and values of type %d: batches of %u and %u threads give other bits", name, (int)type,
                     cuts[i].n_batch, cuts[i].n_threads);
        free(got);
        check_last_rows(model, tokens, cuts[i], type, isa, want);
    }
    free(want);
}

static void rows_have_the_same_bits(void **state) {
    (void)state;
    static const char *const names[] = {"deepseek32", "glm-dsa"};
    static const char *const isas[] = {NULL, "scalar"};
    for (size_t i = 0; i < 2; i++) {
        cllm_model *model = load(names[i], CHOSEN);
        if (!model) skip();
        for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++)
            check_bits(names[i], model, (cllm_kv_type)type, isas[type == CLLM_KV_F32]);
        cllm_model_destroy(model);
    }
}

/* If there are at most top_k positions, a token sees them all; after that it does not. */
static void what_is_chosen_counts(void **state) {
    (void)state;
    cllm_model *all = load("deepseek32", N_CTX), *some = load("deepseek32", CHOSEN);
    if (!all || !some) skip();
    int32_t tokens[N_TOKENS];
    for (int32_t i = 0; i < N_TOKENS; i++) tokens[i] = 1 + i * i % 487;
    const size_t n_vocab = cllm_model_get_info(all)->n_vocab;
    float *want = rows_of(all, tokens, (cut){64, 2}, CLLM_KV_F32, NULL);
    float *got = rows_of(some, tokens, (cut){64, 2}, CLLM_KV_F32, NULL);
    assert_memory_equal(got, want, CHOSEN * n_vocab * sizeof *want);
    for (size_t row = CHOSEN; row < N_TOKENS; row++)
        assert_memory_not_equal(got + row * n_vocab, want + row * n_vocab, n_vocab * sizeof *want);
    free(want);
    free(got);
    cllm_model_destroy(all);
    cllm_model_destroy(some);
}

static void a_gpu_does_not_take_the_model(void **state) {
    (void)state;
    cllm_model *model = load("glm-dsa", CHOSEN);
    if (!model) skip();
    cllm_engine *engine;
    cllm_error err;
    const cllm_engine_options options = {.n_ctx = N_CTX, .device = "auto"};
    assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
    assert_non_null(strstr(cllm_engine_device_note(engine), "an indexer that chooses positions"));
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_are_chosen_and_of_equal_ones_the_first),
        cmocka_unit_test(rows_have_the_same_bits),
        cmocka_unit_test(what_is_chosen_counts),
        cmocka_unit_test(a_gpu_does_not_take_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
