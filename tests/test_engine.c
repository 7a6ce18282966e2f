/* Tests engines and sequences: which calls are refused and then change nothing, embeddings, what the prefix cache
 * keeps, and how much memory is taken. That rows have the same bits in any company is tested in test_company.c. */
#include "support/allocations.h"
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include "engine/engine.h"

#include <math.h>
#include <stdlib.h>

/* -------------------------------------------------------------------------------------------- counting allocations */

static size_t n_allocations;

#ifdef COUNTS_ALLOCATIONS
void *__wrap_malloc(size_t n) {
    n_allocations++;
    return __real_malloc(n);
}
void *__wrap_calloc(size_t count, size_t n) {
    n_allocations++;
    return __real_calloc(count, n);
}
void *__wrap_realloc(void *old, size_t n) {
    n_allocations++;
    return __real_realloc(old, n);
}
#endif

/* ------------------------------------------------------------------------------------------------------- models */

static cllm_model *tiny(uint32_t n_ctx, uint32_t window) {
    tiny_model m = tiny_model_default();
    m.n_ctx = n_ctx;
    m.window = window;
    cllm_error err;
    cllm_model *model;
    assert_ok(cllm_model_load(tiny_model_write("engine.gguf", &m), NULL, &model, &err), &err);
    return model;
}

static cllm_engine *start(const cllm_model *model, cllm_engine_options options, cllm_sequence **sequences) {
    cllm_engine *engine;
    cllm_error err;
    assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
    for (uint32_t i = 0; i < (options.n_sequences ? options.n_sequences : 1); i++)
        assert_ok(cllm_sequence_create(engine, &sequences[i], &err), &err);
    return engine;
}

static cllm_span span_of(cllm_sequence *sequence, const int32_t *tokens, size_t count, cllm_want want) {
    return (cllm_span){.sequence = sequence, .tokens = tokens, .count = count, .want = want};
}

/* ----------------------------------------------------------------------------------------------------- refusals */

/* If one span is impossible, nothing is evaluated, and each span says its own reason. */
static void all_spans_are_checked_first(void **state) {
    (void)state;
    static const int32_t good[300] = {1, 2, 3}, bad[] = {1, 50};
    cllm_model *model = tiny(256, 0);
    cllm_sequence *s[4], *others[1];
    cllm_error err;
    cllm_engine *engine = start(model, (cllm_engine_options){.n_ctx = 256, .n_sequences = 4, .n_positions = 768}, s);
    cllm_engine *other = start(model, (cllm_engine_options){0}, others);
    cllm_span spans[] = {span_of(s[0], good, 3, CLLM_WANT_LAST),      span_of(s[1], good, 257, CLLM_WANT_LAST),
                         span_of(s[2], bad, 2, CLLM_WANT_LAST),       span_of(s[0], good, 1, CLLM_WANT_NEXT),
                         span_of(others[0], good, 1, CLLM_WANT_NEXT), span_of(s[3], good, 0, CLLM_WANT_NEXT),
                         span_of(NULL, good, 1, CLLM_WANT_NEXT),      span_of(s[3], good, 1, (cllm_want)9)};
    static const cllm_status want[] = {CLLM_OK,           CLLM_ERR_CONTEXT_FULL, CLLM_ERR_ARGUMENT, CLLM_ERR_ARGUMENT,
                                       CLLM_ERR_ARGUMENT, CLLM_ERR_ARGUMENT,     CLLM_ERR_ARGUMENT, CLLM_ERR_ARGUMENT};
    assert_error(cllm_eval(engine, spans, 8, &err), &err, CLLM_ERR_CONTEXT_FULL, "257 tokens after the 0");
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(spans[i].status, want[i]);
        assert_null(spans[i].rows);
    }
    for (size_t i = 0; i < 4; i++) assert_int_equal(cllm_sequence_length(s[i]), 0);
    assert_error(cllm_eval(engine, spans, 0, &err), &err, CLLM_ERR_ARGUMENT, "no spans");
    assert_int_equal(cllm_engine_stats(engine).pages_held, 0);

    /* three pages for four sequences */
    for (size_t i = 0; i < 4; i++) spans[i] = span_of(s[i], good, 5, CLLM_WANT_NOTHING);
    assert_error(cllm_eval(engine, spans, 4, &err), &err, CLLM_ERR_MEMORY,
                 "5 tokens need 1 pages of 256 positions, but of the engine's 3 only 0 are left");
    assert_int_equal(spans[3].status, CLLM_ERR_MEMORY);
    assert_int_equal(spans[0].status, CLLM_OK);
    assert_int_equal(cllm_sequence_length(s[0]), 0);
    assert_ok(cllm_eval(engine, spans, 3, &err), &err);
    assert_int_equal(cllm_engine_stats(engine).pages_held, 3);
    cllm_sequence *more;
    assert_error(cllm_sequence_create(engine, &more, &err), &err, CLLM_ERR_MEMORY, "all 4 sequences");
    assert_error(cllm_sequence_fork(s[0], 5, &more, &err), &err, CLLM_ERR_MEMORY, "all 4 sequences");
    assert_null(more);
    cllm_sequence_destroy(s[3]);
    assert_error(cllm_sequence_fork(s[0], 6, &more, &err), &err, CLLM_ERR_ARGUMENT, "only 5 were evaluated");
    assert_ok(cllm_sequence_fork(s[0], 4, &more, &err), &err); /* the fork shares the page, */
    assert_int_equal(cllm_engine_stats(engine).pages_held, 3);
    spans[0] = span_of(more, good, 1, CLLM_WANT_NOTHING); /* and no page is left for it to write to */
    assert_error(cllm_eval(engine, spans, 1, &err), &err, CLLM_ERR_MEMORY, "page");
    cllm_sequence_destroy(s[1]);
    assert_ok(cllm_eval(engine, spans, 1, &err), &err);
    assert_int_equal(cllm_sequence_reuse(more, good, 3), 2); /* of its own tokens; the last one is left to evaluate */
    assert_int_equal(cllm_sequence_length(more), 2);
    assert_int_equal(cllm_sequence_reuse(more, good, 0), 0);
    cllm_engine_destroy(engine);
    cllm_engine_destroy(other);
    cllm_model_destroy(model);
}

/* Two sequences share a page that is not full. The one that writes last needs no copy of it, in one call as in two. */
static void the_last_writer_of_a_page_keeps_it(void **state) {
    (void)state;
    static const int32_t tokens[300] = {1, 2, 3};
    cllm_model *model = tiny(256, 0);
    for (int together = 0; together < 2; together++) {
        cllm_sequence *s[3];
        cllm_error err;
        cllm_engine *engine =
            start(model, (cllm_engine_options){.n_ctx = 256, .n_sequences = 3, .n_positions = 512}, s);
        cllm_span spans[] = {span_of(s[0], tokens, 100, CLLM_WANT_NOTHING)};
        assert_ok(cllm_eval(engine, spans, 1, &err), &err);
        cllm_sequence_destroy(s[1]);
        assert_ok(cllm_sequence_fork(s[0], 100, &s[1], &err), &err);
        assert_int_equal(cllm_engine_stats(engine).pages_held, 1);
        cllm_span both[] = {span_of(s[0], tokens, 5, CLLM_WANT_LAST), span_of(s[2], tokens, 257, CLLM_WANT_LAST),
                            span_of(s[1], tokens, 5, CLLM_WANT_LAST)};
        if (together) { /* a span that is refused needs no page */
            assert_error(cllm_eval(engine, both, 3, &err), &err, CLLM_ERR_CONTEXT_FULL, "257 tokens");
            assert_int_equal(both[2].status, CLLM_OK);
            both[1] = both[2];
            assert_ok(cllm_eval(engine, both, 2, &err), &err);
            assert_memory_equal(both[0].rows, both[1].rows, 50 * sizeof(float));
        } else {
            assert_ok(cllm_eval(engine, &both[0], 1, &err), &err);
            assert_ok(cllm_eval(engine, &both[2], 1, &err), &err);
        }
        assert_int_equal(cllm_engine_stats(engine).pages_held, 2);
        cllm_span third = span_of(s[2], tokens, 1, CLLM_WANT_NOTHING);
        assert_error(cllm_eval(engine, &third, 1, &err), &err, CLLM_ERR_MEMORY, "only 0 are left");
        cllm_engine_destroy(engine);
    }
    cllm_model_destroy(model);
}

/* A token whose embedding is not a number spoils only its own sequence. */
static void a_span_that_fails_leaves_the_others(void **state) {
    (void)state;
    enum { BAD = 7 };
    static const int32_t good[30] = {1, 2, 3}, bad[30] = {1, BAD};
    tiny_model m = tiny_model_default();
    cllm_error err;
    cllm_model *model;
    assert_ok(cllm_model_load(tiny_model_write("nan.gguf", &m), &(cllm_load_options){.no_mmap = true}, &model, &err),
              &err);
    float *embeddings = (float *)(uintptr_t)cllm_gguf_find_tensor(cllm_model_gguf(model), "token_embd.weight")->data;
    embeddings[BAD * m.n_embd + 3] = NAN;
    float *output = (float *)(uintptr_t)cllm_gguf_find_tensor(cllm_model_gguf(model), "output.weight")->data;
    for (uint32_t n_batch = 8; n_batch <= 128; n_batch *= 16) {
        cllm_sequence *s[3];
        cllm_engine *engine =
            start(model, (cllm_engine_options){.n_batch = n_batch, .n_sequences = 3, .n_positions = 768}, s);
        cllm_span spans[] = {span_of(s[0], good, 10, CLLM_WANT_NEXT), span_of(s[1], bad, 10, CLLM_WANT_NEXT),
                             span_of(s[2], good, 20, CLLM_WANT_LAST)};
        assert_error(cllm_eval(engine, spans, 3, &err), &err, CLLM_ERR_FORMAT, "not finite");
        assert_string_equal(err.name, "token_embd.weight");
        assert_int_equal(spans[0].status, CLLM_OK);
        assert_int_equal(spans[1].status, CLLM_ERR_FORMAT);
        assert_int_equal(spans[2].status, CLLM_OK);
        assert_true(spans[0].next >= 0 && spans[1].next < 0 && spans[2].rows);
        assert_int_equal(cllm_sequence_length(s[2]), 20);
        cllm_engine_destroy(engine);
    }
    for (uint32_t i = 0; i < m.n_embd; i++)
        output[BAD * m.n_embd + i] = 3e38f; /* its logit is infinite, or -infinite */
    cllm_sequence *s[1];
    cllm_engine *engine = start(model, (cllm_engine_options){0}, s);
    for (int32_t token = 0, n_infinite = 0; token < 50 || n_infinite == 0; token++) {
        cllm_span span = span_of(s[0], &token, 1, CLLM_WANT_NEXT);
        assert_true(token < 50);
        if (cllm_eval(engine, &span, 1, &err) == CLLM_OK) continue;
        assert_int_equal(span.next, -1);
        n_infinite++;
    }
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

static bool stop_at(void *user, uint64_t done, uint64_t total) {
    const double *share = user;
    return (double)done < *share * (double)total;
}

/* Wherever a call is stopped, all its spans report it, and none has a result. */
static void a_call_that_is_stopped_gives_nothing(void **state) {
    (void)state;
    static const int32_t tokens[40] = {1, 2, 3};
    cllm_model *model = tiny(256, 0);
    cllm_sequence *s[3];
    cllm_error err;
    cllm_engine *engine = start(
        model, (cllm_engine_options){.n_batch = 16, .n_sequences = 3, .n_positions = 768, .pooling = CLLM_POOLING_MEAN},
        s);
    for (double share = 0; share <= 1; share += 0.125) {
        cllm_span spans[] = {span_of(s[0], tokens, 4, CLLM_WANT_NEXT), span_of(s[1], tokens, 20, CLLM_WANT_EACH),
                             span_of(s[2], tokens, 40, CLLM_WANT_EMBEDDING)};
        cllm_engine_set_progress(engine, stop_at, &share);
        assert_error(cllm_eval(engine, spans, 3, &err), &err, CLLM_ERR_CANCELLED, "cancelled");
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(spans[i].status, CLLM_ERR_CANCELLED);
            assert_null(spans[i].rows);
            assert_int_equal(spans[i].next, -1);
            assert_ok(cllm_sequence_truncate(s[i], 0, &err), &err);
        }
    }
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

/* If the number of positions is given, a smaller context would not save memory. So the context is not capped, and an
 * engine that does not fit is refused. */
static void given_positions_do_not_cap_the_context(void **state) {
    (void)state;
    cllm_model *model = tiny(1u << 30, 0);
    cllm_memory_plan plan;
    cllm_error err;
    cllm_engine_options options = {.n_positions = 1u << 30, .n_sequences = 4096}; /* their tokens take 17 TB */
    const cllm_status status = cllm_plan_memory(cllm_model_gguf(model), &options, &plan, &err);
    assert_int_equal(plan.n_ctx, 1u << 30);
    assert_false(plan.n_ctx_capped);
    if (plan.available > 0) assert_error(status, &err, CLLM_ERR_MEMORY, "fewer positions");
    options = (cllm_engine_options){.n_positions = 4096};
    assert_ok(cllm_plan_memory(cllm_model_gguf(model), &options, &plan, &err), &err);
    assert_int_equal(plan.n_ctx, 4096);
    assert_false(plan.n_ctx_capped);
    options = (cllm_engine_options){.n_sequences = 4096};
    if (plan.available > 0) {
        assert_ok(cllm_plan_memory(cllm_model_gguf(model), &options, &plan, &err), &err);
        assert_true(plan.n_ctx_capped);
    }
    cllm_model_destroy(model);
}

/* --------------------------------------------------------------------------------------------------- embeddings */

/* The output matrix times the last state gives the logits; embeddings are checked by that. */
static void check_embeddings(const cllm_model *model, cllm_pooling pooling, bool raw, uint32_t n_batch) {
    enum { N = 23 };
    int32_t tokens[N];
    cllm_sequence *s[2];
    cllm_error err;
    const cllm_engine_options options = {.n_batch = n_batch,
                                         .n_positions = 512,
                                         .n_sequences = 2,
                                         .pooling = pooling,
                                         .raw_embeddings = raw,
                                         .kv_type = CLLM_KV_F32,
                                         .cpu_isa = "scalar"};
    for (int i = 0; i < N; i++) tokens[i] = i * 7 % 50;
    cllm_engine *engine = start(model, options, s);
    cllm_span spans[] = {span_of(s[0], tokens, N, CLLM_WANT_EMBEDDING), span_of(s[1], tokens, N, CLLM_WANT_EACH)};
    assert_ok(cllm_eval(engine, spans, 2, &err), &err);
    const uint32_t n_embd = cllm_model_get_info(model)->n_embd, n_vocab = cllm_model_get_info(model)->n_vocab;
    const float *output = cllm_gguf_find_tensor(cllm_model_gguf(model), "output.weight")->data;
    const size_t n_rows = pooling == CLLM_POOLING_NONE ? N : 1;
    assert_int_equal(cllm_engine_n_embd_out(engine), n_embd);
    for (size_t row = 0; row < n_rows; row++) {
        const float *x = spans[0].rows + row * n_embd;
        double length = 0, scale = 0;
        float *logits = calloc(n_vocab, sizeof *logits), *want = calloc(n_vocab, sizeof *want);
        for (uint32_t i = 0; i < n_embd; i++) length += (double)x[i] * (double)x[i];
        if (!raw) assert_true(fabs(sqrt(length) - 1) < 1e-5);
        for (uint32_t v = 0; v < n_vocab; v++)
            for (uint32_t i = 0; i < n_embd; i++) logits[v] += x[i] * output[v * n_embd + i];
        for (size_t k = 0; k < N; k++) /* the rows that the embedding is made of */
            for (uint32_t v = 0; v < n_vocab; v++)
                if (pooling == CLLM_POOLING_MEAN || k == (pooling == CLLM_POOLING_NONE  ? row
                                                          : pooling == CLLM_POOLING_CLS ? 0
                                                                                        : N - 1))
                    want[v] += spans[1].rows[k * n_vocab + v] / (pooling == CLLM_POOLING_MEAN ? N : 1);
        for (uint32_t v = 0; v < n_vocab; v++) scale += (double)want[v] * (double)want[v];
        double own = 0;
        for (uint32_t v = 0; v < n_vocab; v++) own += (double)logits[v] * (double)logits[v];
        if (!raw) /* the embedding has length 1, so the expected value gets the same length */
            for (uint32_t v = 0; v < n_vocab; v++) logits[v] *= (float)sqrt(scale / own);
        assert_true(nmse(logits, want, n_vocab) < 1e-9);
        free(logits);
        free(want);
    }
    cllm_engine_destroy(engine);
}

static void embeddings_are_the_last_state(void **state) {
    (void)state;
    cllm_model *model = tiny(256, 0);
    for (int pooling = CLLM_POOLING_MODEL; pooling <= CLLM_POOLING_LAST; pooling++)
        for (int raw = 0; raw < 2; raw++) {
            check_embeddings(model, (cllm_pooling)pooling, raw, 512);
            check_embeddings(model, (cllm_pooling)pooling, raw, 9);
        }
    const cllm_engine_options options = {.pooling = (cllm_pooling)6};
    cllm_engine *engine;
    cllm_error err;
    assert_error(cllm_engine_create(model, &options, &engine, &err), &err, CLLM_ERR_ARGUMENT, "pooling 6");
    const cllm_engine_options ranks = {.pooling = CLLM_POOLING_RANK};
    assert_error(cllm_engine_create(model, &ranks, &engine, &err), &err, CLLM_ERR_ARGUMENT, "no classifier");
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------------------- prefix cache */

/* More than a thousand random prompts with a small cache: it keeps to its size, and no page leaks. */
static void a_small_cache_keeps_its_budget(void **state) {
    (void)state;
    enum { N_CTX = 600, BUDGET_PAGES = 5 };
    const int n_prompts = test_long() ? 10000 : test_sanitized() ? 200 : 1500;
    cllm_model *model = tiny(N_CTX, 0);
    const uint64_t page = kv_store_page_bytes(&model->config, CLLM_KV_F16, model->config.n_layers, KV_FULL);
    cllm_sequence *s[1];
    cllm_engine *engine =
        start(model, (cllm_engine_options){.n_ctx = N_CTX, .cache_bytes = BUDGET_PAGES * page + 1}, s);
    uint64_t random = test_seed();
    size_t n_hits = 0, n_tokens = 0;
    int32_t prompt[N_CTX];
    for (int i = 0; i < n_prompts; i++) {
        cllm_error err;
        size_t count = 1 + random_u64(&random) % (N_CTX - 1), kind = random_u64(&random) % 4;
        uint64_t text = kind; /* one of a few beginnings, */
        const size_t same = random_u64(&random) % (count + 1);
        for (size_t k = 0; k < count; k++) {
            if (k == same) text = random_u64(&random); /* and from here on the text is unlike any other */
            prompt[k] = (int32_t)(random_u64(&text) % 50);
        }
        assert_ok(cllm_sequence_truncate(s[0], 0, &err), &err);
        const size_t n_reused = cllm_sequence_reuse(s[0], prompt, count);
        assert_true(n_reused < count);
        n_hits += n_reused > 0;
        n_tokens += n_reused;
        cllm_span span = span_of(s[0], prompt + n_reused, count - n_reused, CLLM_WANT_NOTHING);
        assert_ok(cllm_eval(engine, &span, 1, &err), &err);
        const cllm_stats stats = cllm_engine_stats(engine);
        assert_true(stats.pages_cached <= BUDGET_PAGES);
        assert_int_equal(stats.cache_hits, n_hits);
        assert_int_equal(stats.tokens_reused, n_tokens);
    }
    cllm_sequence_destroy(s[0]);
    const cllm_stats stats = cllm_engine_stats(engine);
    print_message("# %d prompts, %zu hits, %zu tokens reused, %llu pages evicted\n", n_prompts, n_hits, n_tokens,
                  (unsigned long long)stats.evictions);
    assert_int_equal(stats.pages_held, 0);
    assert_in_range(stats.pages_cached, 1, BUDGET_PAGES);
    assert_true(n_hits > (size_t)n_prompts / 8 && stats.evictions > (uint64_t)n_prompts / 8);
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

/* What one sequence has written, another one finds at once, to the token, while the first continues. */
static void a_prefix_is_found_while_it_is_in_use(void **state) {
    (void)state;
    int32_t tokens[600], other[600];
    for (int i = 0; i < 600; i++) tokens[i] = other[i] = i * 13 % 50;
    cllm_model *model = tiny(1024, 0);
    cllm_sequence *s[3];
    cllm_error err;
    cllm_engine *engine = start(
        model, (cllm_engine_options){.n_ctx = 600, .n_sequences = 3, .n_positions = 2400, .cache_bytes = 1 << 24}, s);
    cllm_span span = span_of(s[0], tokens, 400, CLLM_WANT_NOTHING);
    assert_ok(cllm_eval(engine, &span, 1, &err), &err);
    assert_int_equal(cllm_sequence_reuse(s[1], tokens, 400), 399); /* the last token is left to evaluate */
    other[350] = 1 + tokens[350] % 49;
    assert_int_equal(cllm_sequence_reuse(s[2], other, 600), 350);
    assert_int_equal(cllm_engine_stats(engine).pages_held, 2);
    cllm_span spans[] = {span_of(s[0], tokens + 400, 1, CLLM_WANT_LAST), span_of(s[1], tokens + 399, 2, CLLM_WANT_LAST),
                         span_of(s[2], other + 350, 1, CLLM_WANT_LAST)};
    assert_ok(cllm_eval(engine, spans, 3, &err), &err);
    assert_memory_equal(spans[0].rows, spans[1].rows, 50 * sizeof(float));
    assert_int_equal(cllm_engine_stats(engine).pages_held, 4); /* each has a last page of its own */
    assert_ok(cllm_sequence_truncate(s[2], 0, &err), &err);
    other[0] = 1 + tokens[0] % 49;
    assert_int_equal(cllm_sequence_reuse(s[2], other, 600), 0);
    assert_int_equal(cllm_engine_stats(engine).cache_hits, 2);
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

/* Each number of a pool is free, or one page has it. */
static void assert_pages_are_apart(const kv_pages *pages) {
    bool taken[KV_POOLS][64] = {{false}};
    uint32_t n_windowed = 0;
    for (uint32_t pool = 0; pool < KV_POOLS; pool++) {
        assert_in_range(pages->pools[pool].n_pages, 1, 64);
        assert_in_range(pages->pools[pool].n_free, 0, pages->pools[pool].n_pages);
        for (uint32_t i = 0; i < pages->pools[pool].n_free; i++) {
            assert_false(taken[pool][pages->pools[pool].free[i]]);
            taken[pool][pages->pools[pool].free[i]] = true;
        }
    }
    for (uint32_t i = 0; i < pages->pools[KV_FULL].n_pages; i++) {
        const uint32_t windowed = pages->pages[i].windowed;
        if (taken[KV_FULL][i] || windowed == KV_NONE) continue;
        assert_in_range(windowed, 0, pages->pools[KV_WINDOWED].n_pages - 1);
        assert_false(taken[KV_WINDOWED][windowed]);
        taken[KV_WINDOWED][windowed] = true;
        n_windowed++;
    }
    assert_int_equal(pages->pools[KV_WINDOWED].n_free + n_windowed, pages->pools[KV_WINDOWED].n_pages);
}

/* A sequence that goes back over the beginning of a page writes to a copy, because the cache keeps the page. For a
 * moment there is one windowed part more. */
static void going_back_needs_no_windowed_part_too_many(void **state) {
    (void)state;
    enum { N_CTX = 2560, WINDOW = 300, BATCH = 64 };
    const int n_steps = test_long() ? 20000 : test_sanitized() ? 500 : 3000;
    cllm_model *model = tiny(N_CTX, WINDOW);
    uint64_t page = 0, random = test_seed();
    for (uint32_t i = 0; i < KV_POOLS; i++)
        page += kv_store_page_bytes(&model->config, CLLM_KV_F16, model->config.n_layers, i);
    cllm_sequence *s[1];
    cllm_engine *engine =
        start(model, (cllm_engine_options){.n_ctx = N_CTX, .n_batch = BATCH, .cache_bytes = 3 * page}, s);
    int n_copies = 0;
    for (int i = 0; i < n_steps; i++) {
        int32_t tokens[BATCH];
        cllm_error err;
        const uint32_t length = cllm_sequence_length(s[0]);
        uint32_t n = 1 + (uint32_t)(random_u64(&random) % BATCH);
        if (length > 0 && random_u64(&random) % 3 == 0) {
            const uint32_t back = length < n ? length : n;
            if (cllm_sequence_truncate(s[0], length - back, &err) == CLLM_OK)
                n_copies += length / KV_CHUNK > (length - back) / KV_CHUNK;
        }
        if (cllm_sequence_length(s[0]) + n > N_CTX) assert_ok(cllm_sequence_truncate(s[0], 0, &err), &err);
        for (uint32_t k = 0; k < n; k++) tokens[k] = (int32_t)(random_u64(&random) % 50);
        cllm_span span = span_of(s[0], tokens, n, CLLM_WANT_NOTHING);
        assert_ok(cllm_eval(engine, &span, 1, &err), &err);
        assert_pages_are_apart(&engine->pages);
    }
    assert_true(n_copies > n_steps / 100);
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

/* Two cached pages match a text. The cache gives the one that still has its windowed part, even if the other matches
 * further. */
static void a_page_without_its_window_ends_no_prefix(void **state) {
    (void)state;
    enum { WINDOW = 64 };
    int32_t a[250], b[250];
    for (int i = 0; i < 250; i++) a[i] = b[i] = i * 13 % 50;
    b[200] = 1 + a[200] % 49;
    cllm_model *model = tiny(2048, WINDOW);
    cllm_sequence *s[2];
    cllm_error err;
    cllm_engine *engine = start(
        model, (cllm_engine_options){.n_ctx = 2048, .n_sequences = 2, .n_positions = 4096, .cache_bytes = 1 << 24}, s);
    cllm_span spans[] = {span_of(s[0], a, 250, CLLM_WANT_NOTHING), span_of(s[1], b, 250, CLLM_WANT_NOTHING)};
    assert_ok(cllm_eval(engine, spans, 2, &err), &err);
    const uint32_t page = s[0]->table.of[KV_FULL].pages[0];
    for (int i = 0; i < 2; i++) cllm_sequence_destroy(s[i]);
    assert_ok(cllm_sequence_create(engine, &s[0], &err), &err);
    assert_int_equal(cllm_sequence_reuse(s[0], a, 250), 249);
    assert_ok(cllm_sequence_truncate(s[0], 0, &err), &err);
    kv_page_evict_windowed(&engine->pages, page);
    assert_int_equal(cllm_sequence_reuse(s[0], a, 250), 200); /* 200 tokens, from the other page */

    /* also if the text continues in more pages, which cannot help this sequence */
    static int32_t c[1500];
    for (int i = 0; i < 1500; i++) c[i] = i < 250 ? a[i] : i % 49;
    assert_ok(cllm_sequence_truncate(s[0], 0, &err), &err);
    cllm_span whole = span_of(s[0], c, 1500, CLLM_WANT_NOTHING);
    assert_ok(cllm_eval(engine, &whole, 1, &err), &err);
    kv_table_drop_chunks(&s[0]->table, &engine->pages, 2);
    for (uint32_t i = 0; i < 2; i++) kv_page_evict_windowed(&engine->pages, s[0]->table.of[KV_FULL].pages[i]);
    assert_ok(cllm_sequence_create(engine, &s[1], &err), &err);
    assert_int_equal(cllm_sequence_reuse(s[1], c, 300), 200);
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------------------------- memory */

/* With a window of 1024 and 32,000 positions, windowed layers hold the window, a batch and two pages. */
static void windowed_layers_hold_their_window(void **state) {
    (void)state;
    enum { N_CTX = 32000, WINDOW = 1024, BATCH = 128 };
    cllm_model *model = tiny(N_CTX, WINDOW);
    cllm_sequence *s[1];
    cllm_engine *engine = start(model, (cllm_engine_options){.n_ctx = N_CTX, .n_batch = BATCH}, s);
    static int32_t tokens[N_CTX];
    uint32_t most = 0;
    for (uint32_t i = 0; i < N_CTX; i++) tokens[i] = (int32_t)(i * 7 % 50);
    for (uint32_t done = 0, n; done < N_CTX; done += n) {
        cllm_error err;
        n = N_CTX - done < 640 ? N_CTX - done : 640;
        cllm_span span = span_of(s[0], tokens + done, n, CLLM_WANT_NOTHING);
        assert_ok(cllm_eval(engine, &span, 1, &err), &err);
        const uint32_t n_held = engine->pages.pools[KV_WINDOWED].n_pages - engine->pages.pools[KV_WINDOWED].n_free;
        most = n_held > most ? n_held : most;
    }
    print_message("# %u windowed pages held at most, %u planned\n", most, engine->pages.pools[KV_WINDOWED].n_pages);
    assert_true(engine->pages.pools[KV_WINDOWED].n_pages * KV_CHUNK <= WINDOW + BATCH + 2 * KV_CHUNK);
    /* a text can be continued near its end; further back, windowed layers have dropped too much */
    assert_int_equal(cllm_sequence_reuse(s[0], tokens, N_CTX - 10), N_CTX - 11);
    tokens[WINDOW]++;
    assert_int_equal(cllm_sequence_reuse(s[0], tokens, N_CTX), 0);
    assert_int_equal(cllm_sequence_length(s[0]), 0);
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

static void evaluating_allocates_nothing(void **state) {
    (void)state;
#ifndef COUNTS_ALLOCATIONS
    skip();
#endif
    int32_t tokens[600];
    for (int i = 0; i < 600; i++) tokens[i] = i * 13 % 50;
    cllm_model *model = tiny(1024, 0);
    cllm_sequence *s[4];
    cllm_error err;
    cllm_engine *engine =
        start(model,
              (cllm_engine_options){
                  .n_ctx = 600, .n_sequences = 4, .n_positions = 2400, .n_threads = 2, .cache_bytes = 1 << 22},
              s);
    const size_t before = n_allocations;
    assert_true(before > 0);
    for (uint32_t step = 0; step < 60; step++) {
        cllm_span spans[4];
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t length = cllm_sequence_length(s[i]);
            if (length > 500 + i) assert_ok(cllm_sequence_truncate(s[i], step % 3 ? 0 : 300, &err), &err);
            if (cllm_sequence_length(s[i]) == 0) cllm_sequence_reuse(s[i], tokens, 200);
            spans[i] = span_of(s[i], tokens + cllm_sequence_length(s[i]), 1 + (step + i) % 60, (cllm_want)(i % 3));
        }
        assert_ok(cllm_eval(engine, spans, 4, &err), &err);
    }
    assert_int_equal(n_allocations, before);
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_spans_are_checked_first),
        cmocka_unit_test(the_last_writer_of_a_page_keeps_it),
        cmocka_unit_test(a_span_that_fails_leaves_the_others),
        cmocka_unit_test(a_call_that_is_stopped_gives_nothing),
        cmocka_unit_test(given_positions_do_not_cap_the_context),
        cmocka_unit_test(embeddings_are_the_last_state),
        cmocka_unit_test(going_back_needs_no_windowed_part_too_many),
        cmocka_unit_test(a_page_without_its_window_ends_no_prefix),
        cmocka_unit_test(a_small_cache_keeps_its_budget),
        cmocka_unit_test(a_prefix_is_found_while_it_is_in_use),
        cmocka_unit_test(windowed_layers_hold_their_window),
        cmocka_unit_test(evaluating_allocates_nothing),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
