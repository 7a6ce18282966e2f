/* Many sequences in one batch of the CPU's forward pass: each row has the same bits that it has when its sequence is alone. Prompts,
 * single tokens and truncations of up to eight sequences are drawn, for models of some families, by all instruction sets of this
 * machine and all types of keys and values. MINICLLM_TEST_LONG=1 takes all families. */
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include "base/thread_pool.h"
#include "cpu/forward_cpu.h"
#include "engine/engine.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_SEQUENCES = 8,
    MOST_TOKENS = 600, /* of a sequence: more than two pages */
    N_BATCH = 48,      /* rows of a batch of spans */
    MOST_FAMILIES = 128,
    FAMILIES_DRAWN = 16,
    FAMILIES_SANITIZED = 3,
};

static const char *const isas[] = {"scalar", "avx2", "avx512", "neon", "i8mm"};

/* ------------------------------------------------------------------------------------------- one sequence alone */

typedef struct sequence {
    int32_t tokens[MOST_TOKENS];
    uint32_t n_tokens;
    float *want; /* [n_tokens][n_vocab] */
    kv_table table;
    uint32_t length; /* tokens evaluated in company */
} sequence;

static uint32_t n_vocab_now, n_ctx_now; /* of the model at work */
static uint64_t random_state;           /* what all is drawn by */

static void evaluate_alone(const cllm_model *model, const cpu_kernels *kernels, cllm_kv_type type, sequence *s) {
    const cllm_engine_options options = {.n_ctx = n_ctx_now, .n_threads = 1, .kv_type = type, .cpu_isa = kernels->name};
    solo *session;
    cllm_error err;
    s->want = malloc((size_t)s->n_tokens * n_vocab_now * sizeof *s->want);
    assert_non_null(s->want);
    assert_ok(solo_create(model, &options, &session, &err), &err);
    assert_ok(solo_each(session, s->tokens, s->n_tokens, s->want, &err), &err);
    solo_destroy(session);
}

/* ------------------------------------------------------------------------------------------------- in company */

typedef struct company {
    const cllm_model *model;
    thread_pool *pool;
    kv_pages pages;
    kv_store store;
    forward_cpu forward;
    arena arena;
    float *x, *logits; /* [N_BATCH][n_embd], [N_BATCH][n_vocab] */
    sequence sequences[MOST_SEQUENCES];
    uint32_t n_sequences;
} company;

static void open_company(company *c, const cpu_kernels *kernels, cllm_kv_type type, uint32_t n_threads) {
    const model_config *config = &c->model->config;
    const kv_size size = {.n_ctx = n_ctx_now,
                          .n_batch = N_BATCH,
                          .n_sequences = c->n_sequences,
                          .n_positions = n_ctx_now * c->n_sequences};
    cllm_error err;
    assert_ok(thread_pool_create(n_threads, &c->pool, &err), &err);
    assert_ok(kv_pages_create(config, &size, &c->arena, &c->pages, &err), &err);
    assert_ok(kv_store_create(config, type, config->n_layers, &size, &c->arena, &c->store, &err), &err);
    for (uint32_t i = 0; i < c->n_sequences; i++)
        assert_ok(kv_table_create(&c->pages, &c->arena, &c->sequences[i].table, &err), &err);
    assert_ok(forward_cpu_create(&c->model->config, &c->model->weights, kernels, c->pool, &c->store, n_ctx_now, N_BATCH,
                                 &c->arena, &c->forward, &err),
              &err);
    c->x = arena_alloc(&c->arena, N_BATCH, c->model->config.n_embd * sizeof *c->x);
    c->logits = arena_alloc(&c->arena, N_BATCH, n_vocab_now * sizeof *c->logits);
    assert_true(c->x && c->logits);
}

static void close_company(company *c) {
    for (uint32_t i = 0; i < c->n_sequences; i++) {
        kv_table_truncate(&c->sequences[i].table, &c->pages, 0);
        free(c->sequences[i].want);
    }
    for (uint32_t i = 0; i < KV_POOLS; i++) assert_int_equal(c->pages.pools[i].n_free, c->pages.pools[i].n_pages);
    thread_pool_destroy(c->pool);
    arena_free(&c->arena);
}

/* The next tokens of some sequences, up to N_BATCH in all. of: out, whose span it is. Returns how many spans there are. */
static uint32_t draw_spans(company *c, forward_span *spans, sequence **of, int32_t *tokens) {
    uint32_t n_spans = 0, room = N_BATCH, n_tokens = 0;
    for (uint32_t i = 0; i < c->n_sequences && room > 0; i++) {
        sequence *s = &c->sequences[i];
        const uint32_t back = (uint32_t)(random_u64(&random_state) % N_BATCH);
        if (random_u64(&random_state) % 16 == 0 && s->length > back &&
            kv_table_reaches(&s->table, &c->pages, s->length - back)) {
            s->length -= back;
            kv_table_truncate(&s->table, &c->pages, s->length);
        }
        uint32_t n = random_u64(&random_state) % 2 ? 1 : 1 + (uint32_t)(random_u64(&random_state) % N_BATCH);
        if (n > room) n = room;
        if (n > s->n_tokens - s->length) n = s->n_tokens - s->length;
        if (n == 0 || random_u64(&random_state) % 5 == 0) continue;
        const uint32_t kept[] = {0, 1, n};
        of[n_spans] = s;
        spans[n_spans++] = (forward_span){.table = &s->table,
                                          .first_position = s->length,
                                          .n_rows = n,
                                          .n_kept = kept[random_u64(&random_state) % 3]};
        memcpy(tokens + n_tokens, s->tokens + s->length, n * sizeof *tokens);
        n_tokens += n;
        room -= n;
        const uint32_t end = s->length + n;
        kv_table_drop(&s->table, &c->pages, end > N_BATCH ? end - N_BATCH : 0);
        kv_table_grow(&s->table, &c->pages, s->length, end);
        s->length = end;
    }
    return n_spans;
}

/* Returns how many rows were compared. */
static size_t run_together(company *c, const char *what) {
    forward_span spans[MOST_SEQUENCES];
    sequence *of[MOST_SEQUENCES];
    int32_t tokens[N_BATCH];
    const uint32_t n_spans = draw_spans(c, spans, of, tokens);
    if (n_spans == 0) return 0;
    forward_cpu_begin(&c->forward, spans, n_spans);
    forward_cpu_embed(&c->forward, tokens, c->x);
    assert_true(forward_cpu_layers(&c->forward, c->x, 0, c->model->config.n_layers));
    size_t n_kept = 0, n_compared = 0;
    for (uint32_t i = 0; i < n_spans; i++) n_kept += spans[i].n_kept;
    forward_cpu_output(&c->forward, c->x, (uint32_t)n_kept, c->logits);
    for (uint32_t i = 0; i < n_spans; i++)
        for (uint32_t k = 0; k < spans[i].n_kept; k++, n_compared++) {
            const uint32_t position = spans[i].first_position + spans[i].n_rows - spans[i].n_kept + k;
            if (memcmp(c->logits + n_compared * n_vocab_now, of[i]->want + (size_t)position * n_vocab_now,
                       n_vocab_now * sizeof(float)) != 0)
                fail_msg("%s: in a batch of %u spans position %u of sequence %u has other bits than alone", what,
                         n_spans, position, (unsigned)(of[i] - c->sequences));
        }
    return n_compared;
}

static void check_company(const cllm_model *model, const cpu_kernels *kernels, cllm_kv_type type, const char *name) {
    static const uint32_t threads[] = {1, 2, 3};
    char what[200];
    company *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->model = model;
    c->n_sequences = 1 + (uint32_t)(random_u64(&random_state) % MOST_SEQUENCES);
    const uint32_t n_threads = threads[random_u64(&random_state) % 3];
    snprintf(what, sizeof what, "%s, %s, keys and values of type %d, %u threads", name, kernels->name, (int)type,
             n_threads);
    n_vocab_now = model->config.n_vocab;
    n_ctx_now = model->config.n_ctx_train < 1024 ? model->config.n_ctx_train : 1024;
    for (uint32_t i = 0; i < c->n_sequences; i++) {
        sequence *s = &c->sequences[i];
        s->n_tokens = 1 + (uint32_t)(random_u64(&random_state) % (random_u64(&random_state) % 3 ? 60 : MOST_TOKENS));
        if (s->n_tokens > n_ctx_now) s->n_tokens = n_ctx_now;
        for (uint32_t k = 0; k < s->n_tokens; k++) s->tokens[k] = (int32_t)(random_u64(&random_state) % n_vocab_now);
        evaluate_alone(model, kernels, type, s);
    }
    open_company(c, kernels, type, n_threads);
    size_t n_compared = 0;
    for (bool done = false; !done;) {
        n_compared += run_together(c, what);
        done = true;
        for (uint32_t i = 0; i < c->n_sequences; i++) done = done && c->sequences[i].length == c->sequences[i].n_tokens;
    }
    print_message("# %s: %u sequences, %zu rows\n", what, c->n_sequences, n_compared);
    close_company(c);
    free(c);
}

static void check_model(const char *path, const char *name) {
    cllm_model *model;
    cllm_error err;
    assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        const cpu_kernels *kernels = kernels_select(isas[i]);
        for (int type = CLLM_KV_F16; kernels && type <= CLLM_KV_Q8_0; type++)
            if (!test_leaves_out(&random_state)) check_company(model, kernels, (cllm_kv_type)type, name);
    }
    cllm_model_destroy(model);
}

static void rows_have_the_same_bits_in_any_company(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.key_length = 20;
    m.value_length = 36;
    m.n_ctx = 1024;
    m.type = QUANT_F16;
    check_model(tiny_model_write("spans.gguf", &m), "a small model");
}

static void so_they_have_in_every_family(void **state) {
    (void)state;
    const char *first = shared_file("families/tokens.txt");
    if (!first) skip();
    char pattern[1100];
    size_t chosen[MOST_FAMILIES];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%.*s/*.gguf", (int)(strlen(first) - strlen("/tokens.txt")), first);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc <= MOST_FAMILIES);
    const size_t n = test_draw(found.gl_pathc, test_sanitized() ? FAMILIES_SANITIZED : FAMILIES_DRAWN, chosen);
    for (size_t i = 0; i < n; i++) check_model(found.gl_pathv[chosen[i]], strrchr(found.gl_pathv[chosen[i]], '/') + 1);
    globfree(&found);
}

int main(void) {
    random_state = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_same_bits_in_any_company),
        cmocka_unit_test(so_they_have_in_every_family),
    };
    return cmocka_run_group_tests_name("spans", tests, NULL, NULL);
}
