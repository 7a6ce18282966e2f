/* Tests models whose layers carry a state: the kernels of recurrences, and what happens to states when tokens are
 * taken back, forked, saved, cancelled or drafted. That rows have the same bits in any company is tested in
 * test_company.c, and their values in test_families.c. The models are those of families2/ of the shared folder. */
#include "support/check.h"
#include "support/gguf_builder.h"
#include "support/solo.h"

#include "cpu/kernels.h"
#include "engine/drafts.h"
#include "engine/engine.h"
#include "gguf/metadata.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------- kernels */

enum { ROWS = 13, MOST_COLUMNS = 100 };

static const char *const isas[] = {"scalar", "avx2", "avx512", "neon", "i8mm"};
static const size_t lengths[] = {1, 3, 4, 7, 8, 15, 16, 24, 33, 64, MOST_COLUMNS};

typedef struct step {
    float from[ROWS * MOST_COLUMNS], to[ROWS * MOST_COLUMNS], rates[ROWS * MOST_COLUMNS];
    float decay[ROWS], key[ROWS], query[ROWS], value[MOST_COLUMNS], steps[MOST_COLUMNS], out[MOST_COLUMNS];
} step;

static void draw_step(step *s, uint64_t *random) {
    float *const all = (float *)s;
    for (size_t i = 0; i < sizeof *s / sizeof *all; i++) all[i] = random_float(random);
    for (size_t j = 0; j < MOST_COLUMNS; j++) s->steps[j] = fabsf(s->steps[j]);
}

static void assert_near(float got, double want, const char *isa, const char *what) {
    if (!(fabs((double)got - want) <= 3e-6 * (1 + fabs(want))))
        fail_msg("%s, %s: %.9g, not %.9g", isa, what, (double)got, want);
}

/* each: every element decays on its own. */
static void check_step(const cpu_kernels *k, step *s, size_t n, bool each) {
    if (each)
        k->state_step_each(s->from, s->to, ROWS, n, MOST_COLUMNS, s->rates, s->steps, s->key, s->value, s->query,
                           s->out);
    else
        k->state_step(s->from, s->to, ROWS, n, s->decay, s->key, s->value, s->query, s->out);
    const size_t stride = each ? MOST_COLUMNS : n;
    for (size_t j = 0; j < n; j++) {
        double out = 0;
        for (size_t i = 0; i < ROWS; i++) {
            const size_t at = i * stride + j;
            const double decay = each ? exp((double)s->rates[at] * (double)s->steps[j]) : (double)s->decay[i];
            const double to = decay * (double)s->from[at] + (double)s->key[i] * (double)s->value[j];
            assert_near(s->to[at], to, k->name, "an element of the state");
            out += (double)s->query[i] * to;
        }
        assert_near(s->out[j], out, k->name, "what the state holds");
    }
}

static void steps_of_states_are_right(void **state) {
    (void)state;
    uint64_t random = 7;
    static step s, in_place;
    for (size_t a = 0; a < sizeof isas / sizeof *isas; a++) {
        const cpu_kernels *k = kernels_select(isas[a]);
        for (size_t l = 0; k && l < sizeof lengths / sizeof *lengths; l++) {
            const size_t n = lengths[l];
            draw_step(&s, &random);
            in_place = s;
            if (n < MOST_COLUMNS) s.to[ROWS * n] = 77;
            check_step(k, &s, n, false);
            if (n < MOST_COLUMNS) assert_float_equal(s.to[ROWS * n], 77, 0);
            k->state_step(in_place.from, in_place.from, ROWS, n, s.decay, s.key, s.value, s.query, in_place.out);
            assert_memory_equal(in_place.from, s.to, ROWS * n * sizeof *s.to);
            assert_memory_equal(in_place.out, s.out, n * sizeof *s.out);
            check_step(k, &s, n, true);
            k->state_read(s.from, ROWS, n, s.query, s.out);
            for (size_t j = 0; j < n; j++) {
                double want = 0;
                for (size_t i = 0; i < ROWS; i++) want += (double)s.query[i] * (double)s.from[i * n + j];
                assert_near(s.out[j], want, k->name, "a sum");
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------- models */

enum { N_TOKENS = 90, BATCH = 8 };

static const char *const models[] = {"lfm2",  "qwen35", "granitehybrid", "mamba2", "nemotron_h", "falcon-h1",
                                     "mamba", "jamba",  "kimi-linear",   "plamo2", "rwkv6",      "rwkv7"};
enum { N_MODELS = sizeof models / sizeof *models };

typedef struct bench {
    const char *name;
    cllm_model *model;
    uint32_t n_vocab;
    int32_t tokens[N_TOKENS];
    float *want; /* [N_TOKENS][n_vocab], from one evaluation of all tokens */
    solo *s;
} bench;

static bool open_bench(bench *b, const char *name, cllm_progress progress, void *user) {
    char file[100];
    cllm_error err;
    snprintf(file, sizeof file, "families2/%s.gguf", name);
    const char *path = shared_file(file);
    if (!path) return false;
    *b = (bench){.name = name};
    assert_ok(cllm_model_load(path, NULL, &b->model, &err), &err);
    b->n_vocab = cllm_model_get_info(b->model)->n_vocab;
    b->want = malloc(N_TOKENS * b->n_vocab * sizeof *b->want);
    assert_non_null(b->want);
    for (int32_t i = 0; i < N_TOKENS; i++) b->tokens[i] = 1 + i * 97 % 500;
    cllm_engine_options options = {.n_ctx = 128, .n_threads = 2};
    assert_ok(solo_create(b->model, &options, &b->s, &err), &err);
    assert_ok(solo_each(b->s, b->tokens, N_TOKENS, b->want, &err), &err);
    solo_destroy(b->s);
    options = (cllm_engine_options){.n_ctx = 128,
                                    .n_batch = BATCH,
                                    .n_threads = 1,
                                    .n_sequences = 2,
                                    .n_positions = 512,
                                    .progress = progress,
                                    .user = user};
    assert_ok(solo_create(b->model, &options, &b->s, &err), &err);
    return true;
}

static void close_bench(bench *b) {
    solo_destroy(b->s);
    free(b->want);
    cllm_model_destroy(b->model);
}

/* Evaluate up to position `end`, and compare all rows. */
static void go_on(bench *b, cllm_sequence *s, uint32_t end) {
    const uint32_t first = cllm_sequence_length(s);
    cllm_span span = {.sequence = s, .tokens = b->tokens + first, .count = end - first, .want = CLLM_WANT_EACH};
    cllm_error err;
    assert_ok(cllm_eval(b->s->engine, &span, 1, &err), &err);
    for (uint32_t i = 0; i < end - first; i++)
        if (memcmp(span.rows + (size_t)i * b->n_vocab, b->want + (size_t)(first + i) * b->n_vocab,
                   b->n_vocab * sizeof *b->want) != 0)
            fail_msg("%s: position %u has other bits", b->name, first + i);
}

typedef void (*check)(bench *b);

static void with_models(check run) {
    bench b;
    size_t n = 0;
    for (size_t i = 0; i < N_MODELS; i++) {
        if (!open_bench(&b, models[i], NULL, NULL)) continue;
        run(&b);
        close_bench(&b);
        n++;
    }
    if (n == 0) skip();
}

static void take_back(bench *b) {
    cllm_sequence *s = b->s->sequence;
    cllm_error err;
    go_on(b, s, 30);
    for (uint32_t back = 1; back <= BATCH; back++) { /* after one call with many batches */
        assert_ok(cllm_sequence_truncate(s, 30 - back, &err), &err);
        assert_int_equal(cllm_sequence_length(s), 30 - back);
        if (back > 1) go_on(b, s, 30 - back + 1);
        go_on(b, s, 30);
        assert_ok(cllm_sequence_truncate(s, 0, &err), &err);
        go_on(b, s, 30);
    }
    for (uint32_t i = 30; i < 50; i++) { /* after calls with one token, as when guesses are refused again and again */
        go_on(b, s, i + 5);
        assert_ok(cllm_sequence_truncate(s, i + 1, &err), &err);
    }
    go_on(b, s, 51);
    assert_ok(cllm_sequence_truncate(s, 50, &err), &err);
    go_on(b, s, 80);
    assert_int_equal(cllm_sequence_truncate(s, 20, &err), CLLM_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "state"));
    assert_int_equal(cllm_sequence_length(s), 80);
    go_on(b, s, N_TOKENS);
}

static void tokens_of_the_last_call_can_be_taken_back(void **state) {
    (void)state;
    with_models(take_back);
}

static void fork_it(bench *b) {
    cllm_sequence *s = b->s->sequence, *other;
    cllm_error err;
    go_on(b, s, 20);
    go_on(b, s, 26);
    for (uint32_t length = 20; length <= 26; length += 3) {
        assert_ok(cllm_sequence_fork(s, length, &other, &err), &err);
        go_on(b, other, 40);
        cllm_sequence_destroy(other);
    }
    assert_int_equal(cllm_sequence_fork(s, 5, &other, &err), CLLM_ERR_UNSUPPORTED);
    assert_ok(cllm_sequence_fork(s, 0, &other, &err), &err);
    go_on(b, other, 40);
    cllm_sequence_destroy(other);
    go_on(b, s, N_TOKENS);
}

static void a_fork_has_its_own_state(void **state) {
    (void)state;
    with_models(fork_it);
}

static void save_it(bench *b) {
    const char *path = write_temporary("state.seq", "", 0);
    cllm_sequence *s = b->s->sequence, *loaded;
    cllm_error err;
    go_on(b, s, 33);
    for (uint32_t length = 33; length >= 29; length -= 4) { /* the second time, some tokens are evaluated again */
        assert_ok(cllm_sequence_truncate(s, length, &err), &err);
        assert_ok(cllm_sequence_save(s, path, &err), &err);
        assert_ok(cllm_sequence_load(b->s->engine, path, &loaded, &err), &err);
        assert_int_equal(cllm_sequence_length(loaded), length);
        go_on(b, loaded, 50);
        cllm_sequence_destroy(loaded);
    }
    size_t n;
    unsigned char *bytes = read_file(path, &n);
    bytes[n - 12] ^= 1; /* one bit of the state */
    const char *damaged = write_temporary("state.seq", bytes, n);
    assert_int_equal(cllm_sequence_load(b->s->engine, damaged, &loaded, &err), CLLM_ERR_FORMAT);
    free(bytes);
}

static void a_saved_sequence_has_its_state(void **state) {
    (void)state;
    with_models(save_it);
}

/* Without a cache, a sequence can reuse only what it holds itself. */
static void reuse_it(bench *b) {
    cllm_sequence *s = b->s->sequence;
    go_on(b, s, 20);
    go_on(b, s, 30);
    assert_int_equal(cllm_sequence_reuse(s, b->tokens, 40), 30);
    go_on(b, s, 35);
    assert_int_equal(cllm_sequence_reuse(s, b->tokens, 33), 30);
    go_on(b, s, 35);
    assert_int_equal(cllm_sequence_reuse(s, b->tokens, 10), 0);
    go_on(b, s, 35);
}

static void a_sequence_reuses_its_own_beginning(void **state) {
    (void)state;
    with_models(reuse_it);
}

/* A prompt comes after 10 tokens, then an answer token by token. The next prompt may differ a little before the end of
 * the first prompt, or anywhere in the answer. */
static void answer(bench *b) {
    cllm_sequence *s = b->s->sequence;
    int32_t other[N_TOKENS];
    memcpy(other, b->tokens, sizeof other);
    other[60] = 1 + other[60] % 499;
    go_on(b, s, 10);
    for (uint32_t end = 20; end <= 85; end++) go_on(b, s, end);
    assert_in_range(cllm_sequence_reuse(s, b->tokens, 85), 84 - 32, 84);
    go_on(b, s, 85);
    assert_int_equal(cllm_sequence_reuse(s, other, N_TOKENS), 10);
    for (uint32_t end = 20; end <= 45; end++) go_on(b, s, end);
    assert_in_range(cllm_sequence_reuse(s, b->tokens, 40), 20 - BATCH, 20); /* from just before the end of the prompt */
    go_on(b, s, N_TOKENS);
}

static void a_prompt_may_leave_the_text_in_an_answer(void **state) {
    (void)state;
    with_models(answer);
}

/* ------------------------------------------------------------------------------------------------- the prefix cache */

enum { LONG = 700, N_CACHED_CONTEXT = 800, BEFORE_END = 8 };

/* A model in an engine with a prefix cache. The texts are `tokens`, and other texts that begin like it. */
typedef struct cached_bench {
    const char *name;
    cllm_model *model;
    uint32_t n_vocab;
    int32_t tokens[LONG];
    cllm_engine *engine;
    solo *alone; /* an engine without a cache */
} cached_bench;

static bool open_cached(cached_bench *b, const char *name, uint64_t cache_bytes) {
    char file[100];
    cllm_error err;
    snprintf(file, sizeof file, "families2/%s.gguf", name);
    const char *path = shared_file(file);
    if (!path) return false;
    *b = (cached_bench){.name = name};
    assert_ok(cllm_model_load(path, NULL, &b->model, &err), &err);
    b->n_vocab = cllm_model_get_info(b->model)->n_vocab;
    for (int32_t i = 0; i < LONG; i++) b->tokens[i] = 1 + i * 97 % 500;
    cllm_engine_options options = {.n_ctx = N_CACHED_CONTEXT, .n_batch = 64, .n_threads = 1};
    assert_ok(solo_create(b->model, &options, &b->alone, &err), &err);
    options.n_sequences = 3;
    options.n_positions = 3 * N_CACHED_CONTEXT;
    options.cache_bytes = cache_bytes;
    assert_ok(cllm_engine_create(b->model, &options, &b->engine, &err), &err);
    return true;
}

static void close_cached(cached_bench *b) {
    assert_int_equal(cllm_engine_stats(b->engine).pages_held, 0);
    solo_destroy(b->alone);
    cllm_engine_destroy(b->engine);
    cllm_model_destroy(b->model);
}

/* The same tokens up to `same`, and other tokens after that. */
static void leave_text(const cached_bench *b, uint32_t same, int32_t *tokens) {
    for (uint32_t i = 0; i < LONG; i++) tokens[i] = i < same ? b->tokens[i] : 1 + (b->tokens[i] + 7) % 500;
}

static cllm_sequence *adopt(cached_bench *b, const int32_t *tokens, uint32_t count, uint32_t *n_adopted) {
    cllm_sequence *s;
    cllm_error err;
    assert_ok(cllm_sequence_create(b->engine, &s, &err), &err);
    *n_adopted = (uint32_t)cllm_sequence_reuse(s, tokens, count);
    assert_int_equal(cllm_sequence_length(s), *n_adopted);
    return s;
}

/* Reads the rest of a text. The logits at its end must be those of a sequence that reads the whole text. */
static void read_on(cached_bench *b, cllm_sequence *s, const int32_t *tokens, uint32_t count) {
    const uint32_t first = cllm_sequence_length(s);
    cllm_span span = {.sequence = s, .tokens = tokens + first, .count = count - first, .want = CLLM_WANT_LAST};
    const float *want;
    cllm_error err;
    assert_ok(cllm_eval(b->engine, &span, 1, &err), &err);
    assert_ok(solo_truncate(b->alone, 0, &err), &err);
    assert_ok(solo_eval(b->alone, tokens, count, &want, &err), &err);
    if (memcmp(span.rows, want, b->n_vocab * sizeof *want) != 0)
        fail_msg("%s: %u tokens of which %u were adopted have other bits", b->name, count, first);
}

/* A prompt, and some tokens that are drawn after it, one by one. */
static void converse(cached_bench *b, const int32_t *tokens, uint32_t n_prompt, uint32_t end, uint32_t n_adopted) {
    uint32_t n;
    cllm_error err;
    cllm_sequence *s = adopt(b, tokens, n_prompt, &n);
    if (n != n_adopted) fail_msg("%s: of %u tokens %u were adopted, not %u", b->name, n_prompt, n, n_adopted);
    read_on(b, s, tokens, n_prompt);
    for (uint32_t i = n_prompt; i < end; i++) {
        cllm_span span = {.sequence = s, .tokens = tokens + i, .count = 1, .want = CLLM_WANT_NEXT};
        assert_ok(cllm_eval(b->engine, &span, 1, &err), &err);
    }
    cllm_sequence_destroy(s);
}

typedef void (*cached_check)(cached_bench *b);

static void with_cached_models(uint64_t cache_bytes, cached_check run) {
    cached_bench b;
    size_t n = 0;
    for (size_t i = 0; i < N_MODELS; i++) {
        if (!open_cached(&b, models[i], cache_bytes)) continue;
        run(&b);
        close_cached(&b);
        n++;
    }
    if (n == 0) skip();
}

/* The turns of a conversation. Each turn uses a new sequence. */
static void go_on_after_others(cached_bench *b) {
    int32_t other[LONG];
    uint32_t n;
    cllm_error err;
    converse(b, b->tokens, 40, 60, 0);
    converse(b, b->tokens, 90, 100, 60);             /* reuses everything that was read and drawn */
    converse(b, b->tokens, 90, 90, 90 - BEFORE_END); /* the same prompt again: its last token is left to evaluate */
    converse(b, b->tokens, 95, 95, 90);
    cllm_sequence *s = adopt(b, b->tokens, 97, &n), *fork; /* a fork of a sequence that reuses 95 tokens */
    assert_int_equal(n, 95);
    assert_ok(cllm_sequence_fork(s, 95, &fork, &err), &err);
    read_on(b, s, b->tokens, 97);
    cllm_sequence_destroy(s);
    read_on(b, fork, b->tokens, 98);
    cllm_sequence_destroy(fork);
    leave_text(b, 85, other); /* after this prompt the answer is another one */
    converse(b, other, 120, 120, 90 - BEFORE_END);
    leave_text(b, 50, other); /* the text differs within the first answer */
    converse(b, other, 130, 130, 40 - BEFORE_END);
    leave_text(b, 20, other); /* the texts differ before any state, so this conversation leaves a state there */
    converse(b, other, 110, 110, 0);
    for (uint32_t i = 20; i < LONG; i++) other[i] = 1 + (b->tokens[i] + 11) % 500;
    converse(b, other, 115, 115, 20);
}

static void another_sequence_adopts_a_state(void **state) {
    (void)state;
    with_cached_models(1 << 24, go_on_after_others);
}

/* A prompt in pieces, the last of which is short. Some states are kept at lengths that may be useful later: 256, 512
 * and so on. */
static void adopt_pieces(cached_bench *b) {
    int32_t other[LONG];
    uint32_t n;
    cllm_error err;
    cllm_sequence *s = adopt(b, b->tokens, 600, &n);
    for (uint32_t i = 0; i < 595; i += 35) {
        cllm_span span = {.sequence = s, .tokens = b->tokens + i, .count = 35};
        assert_ok(cllm_eval(b->engine, &span, 1, &err), &err);
    }
    read_on(b, s, b->tokens, 600);
    leave_text(b, 598, other);
    converse(b, other, 610, 610, 560); /* the last state that existed then and was at least BEFORE_END before the end */
    leave_text(b, 520, other);
    converse(b, other, 540, 540, 512);
    leave_text(b, 511, other);
    converse(b, other, 540, 540, 256);
    cllm_sequence_destroy(s);
}

static void pieces_of_prompts_leave_states(void **state) {
    (void)state;
    with_cached_models(1 << 24, adopt_pieces);
}

/* Texts, forks and truncations with caches that are too small for them. Whatever is found must give the same bits as a
 * text that is read anew. Returns how often something was found. */
static uint32_t crowd(cached_bench *b) {
    uint64_t random = test_seed();
    int32_t tokens[LONG];
    uint32_t n, n_found = 0;
    const int n_texts = test_sanitized() ? 10 : 40;
    for (int i = 0; i < n_texts; i++) {
        cllm_error err;
        cllm_sequence *fork = NULL;
        leave_text(b, (uint32_t)(random_u64(&random) % 6 * 40), tokens);
        const uint32_t n_prompt = 1 + (uint32_t)(random_u64(&random) % 300);
        cllm_sequence *s = adopt(b, tokens, n_prompt, &n);
        n_found += n > 0;
        if (n > 0 && random_u64(&random) % 2) assert_ok(cllm_sequence_fork(s, n, &fork, &err), &err);
        read_on(b, s, tokens, n_prompt);
        if (random_u64(&random) % 4 == 0) assert_ok(cllm_sequence_truncate(s, n_prompt - 1, &err), &err);
        cllm_sequence_destroy(s);
        if (fork) read_on(b, fork, tokens, n + 1);
        cllm_sequence_destroy(fork);
        const prefix_cache *cache = &b->engine->cache;
        assert_in_range(cllm_engine_stats(b->engine).pages_cached, 0, cache->n_most);
        for (uint32_t k = 0; k < cache->n_states; k++) /* no state outlives its page */
            if (cache->states[k].n_tokens > 0)
                assert_true(cache->known[cache->states[k].page].known &&
                            cache->known[cache->states[k].page].n_tokens >= cache->states[k].n_tokens);
    }
    return n_found;
}

static void small_budgets_are_kept(void **state) {
    (void)state;
    uint32_t n_models = 0, n_found = 0;
    for (size_t i = 0; i < N_MODELS; i++) {
        cached_bench b;
        if (!open_cached(&b, models[i], 0)) continue;
        const uint64_t slot = state_slot_bytes(&b.model->config);
        const uint64_t page = kv_store_page_bytes(&b.model->config, CLLM_KV_F16, b.model->config.n_layers, KV_FULL);
        const uint64_t share = 2 * slot + page + 1024; /* a state, as many bytes of pages, and one page more */
        const uint64_t budgets[] = {1, slot, share, 2 * share, 8 * share};
        close_cached(&b);
        for (size_t k = 0; k < sizeof budgets / sizeof *budgets; k++) {
            assert_true(open_cached(&b, models[i], budgets[k]));
            const uint64_t pages = page > 0 ? b.engine->cache.n_most * page : 0;
            assert_true(b.engine->cache.n_states * slot + pages <= budgets[k]);
            assert_int_equal(b.engine->cache.n_states > 0, k >= 2);
            assert_int_equal(b.engine->cache.n_most > 0, k >= 2);
            n_found += crowd(&b);
            close_cached(&b);
        }
        n_models++;
    }
    if (n_models == 0) skip();
    assert_true(n_found > 0);
}

/* How much of an ended sequence's text is found while another sequence holds other tokens. holds_others: that sequence
 * looks for it; otherwise an empty one does. */
static size_t take_up(const char *name, uint64_t cache_bytes, bool holds_others) {
    cached_bench b;
    int32_t tokens[LONG], others[LONG];
    cllm_error err;
    cllm_sequence *first, *second, *empty;
    if (!open_cached(&b, name, cache_bytes)) return 0;
    leave_text(&b, LONG, tokens);
    leave_text(&b, 0, others);
    assert_ok(cllm_sequence_create(b.engine, &first, &err), &err);
    read_on(&b, first, tokens, 200);
    cllm_sequence_destroy(first);
    assert_ok(cllm_sequence_create(b.engine, &second, &err), &err);
    read_on(&b, second, others, 200);
    assert_ok(cllm_sequence_create(b.engine, &empty, &err), &err);
    cllm_sequence *finder = holds_others ? second : empty;
    const size_t n = cllm_sequence_reuse(finder, tokens, 201);
    read_on(&b, finder, tokens, 201);
    cllm_sequence_destroy(empty);
    cllm_sequence_destroy(second);
    close_cached(&b);
    return n;
}

static void tokens_of_its_own_do_not_take_the_place_of_what_a_sequence_finds(void **state) {
    (void)state;
    uint32_t n_found = 0;
    for (size_t i = 0; i < N_MODELS; i++)
        for (uint64_t bytes = 20000; bytes < 8000000; bytes += test_sanitized() ? bytes : bytes / 4) {
            const size_t n = take_up(models[i], bytes, false);
            assert_int_equal(take_up(models[i], bytes, true), n);
            n_found += n > 0;
        }
    if (n_found == 0) skip();
}

/* ------------------------------------------------------------------------------------------------- drafts */

enum { N_DRAWN = 60 };

typedef struct outcome {
    int32_t tokens[N_DRAWN];
    size_t n_tokens;
    uint64_t n_drafted, n_accepted;
} outcome;

static outcome generate(bench *b, cllm_generation_options options, float temperature) {
    const cllm_sampler_options sampling = {.temperature = temperature, .seed = 3};
    outcome out = {0};
    cllm_generation *g;
    cllm_span span;
    cllm_event event;
    cllm_error err;
    options.n_most = N_DRAWN;
    options.n_draft = 5;
    options.end_tokens = b->tokens; /* none */
    assert_ok(cllm_sequence_truncate(b->s->sequence, 0, &err), &err);
    assert_ok(cllm_sampler_create(b->n_vocab, &sampling, &options.sampler, &err), &err);
    assert_ok(cllm_generation_create(b->s->sequence, b->tokens, 20, &options, &g, &err), &err);
    while (cllm_generation_wants(g, SIZE_MAX, &span)) {
        assert_ok(cllm_eval(b->s->engine, &span, 1, &err), &err);
        assert_ok(cllm_generation_take(g, &span, &event, &err), &err);
        assert_true(out.n_tokens + event.n_tokens <= N_DRAWN);
        memcpy(out.tokens + out.n_tokens, event.tokens, event.n_tokens * sizeof *event.tokens);
        out.n_tokens += event.n_tokens;
        out.n_drafted = event.n_drafted;
        out.n_accepted = event.n_accepted;
    }
    cllm_generation_destroy(g);
    cllm_sampler_destroy(options.sampler);
    return out;
}

/* Guesses come from the text, or from a second engine of the same model. That engine takes back its own tokens, too. */
static void guess(bench *b) {
    static const float temperatures[] = {0, 0.7f, 2};
    const cllm_engine_options options = {.n_ctx = 128, .n_batch = BATCH, .n_threads = 1};
    cllm_engine *engine;
    cllm_error err;
    uint64_t n_accepted = 0, n_refused = 0;
    assert_ok(cllm_engine_create(b->model, &options, &engine, &err), &err);
    for (size_t t = 0; t < sizeof temperatures / sizeof *temperatures; t++) {
        const outcome want = generate(b, (cllm_generation_options){0}, temperatures[t]);
        assert_int_equal(want.n_tokens, N_DRAWN);
        for (int by_model = 0; by_model < 2; by_model++) {
            cllm_generation_options drafts = {.draft_lookup = !by_model};
            if (by_model) assert_ok(cllm_sequence_create(engine, &drafts.draft_sequence, &err), &err);
            const outcome got = generate(b, drafts, temperatures[t]);
            cllm_sequence_destroy(drafts.draft_sequence);
            assert_memory_equal(got.tokens, want.tokens, sizeof want.tokens);
            n_accepted += got.n_accepted;
            n_refused += got.n_drafted - got.n_accepted;
        }
    }
    assert_true(n_accepted > 0 && n_refused > 0);
    cllm_engine_destroy(engine);
}

static void drafts_leave_the_text_as_it_is(void **state) {
    (void)state;
    with_models(guess);
}

/* A small model that is never right. All its guesses are taken back, except for tokens that the text has, too. Few
 * tokens may be evaluated again. */
static void refuse_all(bench *b) {
    enum { DEPTH = 12, FIRST = 20 };
    drafter d = {.sequence = b->s->sequence, .most = DEPTH, .depth = DEPTH};
    int32_t drafts[DEPTH];
    for (uint32_t count = FIRST, n_new; count < N_TOKENS; count += n_new) {
        const uint64_t before = cllm_engine_stats(b->s->engine).tokens_evaluated;
        n_new = 1 + count % 3; /* how many tokens of the text it has not seen yet */
        d.depth = DEPTH;
        assert_int_equal(drafter_guess(&d, b->tokens, count, DEPTH, drafts), DEPTH);
        const uint64_t n = cllm_engine_stats(b->s->engine).tokens_evaluated - before;
        if (count > FIRST && n > DEPTH + 2 * 3 + BEFORE_END)
            fail_msg("%s: for %u guesses after %u tokens %u were evaluated", b->name, DEPTH, count, (unsigned)n);
    }
}

static void refused_guesses_do_not_read_the_text_again(void **state) {
    (void)state;
    with_models(refuse_all);
}

/* ------------------------------------------------------------------------------------------------- cancelling */

static bool stop_at(void *user, uint64_t done, uint64_t total) {
    (void)total;
    return done < *(uint64_t *)user;
}

static void a_call_that_was_cancelled_leaves_the_state_of_its_last_batch(void **state) {
    (void)state;
    for (size_t i = 0; i < N_MODELS; i++) {
        uint64_t most = UINT64_MAX;
        bench b;
        cllm_error err;
        if (!open_bench(&b, models[i], stop_at, &most)) skip();
        cllm_sequence *s = b.s->sequence;
        const uint32_t n_layers = cllm_model_get_info(b.model)->n_layers;
        go_on(&b, s, 10);
        for (uint32_t n = 1; n < 20; n += 3) {
            cllm_span span = {.sequence = s, .tokens = b.tokens + 10, .count = 30};
            most = n * n_layers - 1;
            assert_int_equal(cllm_eval(b.s->engine, &span, 1, &err), CLLM_ERR_CANCELLED);
            most = UINT64_MAX;
            assert_true(cllm_sequence_length(s) < 40);
            go_on(&b, s, cllm_sequence_length(s) + 3);
            span = (cllm_span){.sequence = s, .tokens = b.tokens + cllm_sequence_length(s), .count = 1};
            most = 1;
            assert_int_equal(cllm_eval(b.s->engine, &span, 1, &err), CLLM_ERR_CANCELLED);
            most = UINT64_MAX;
            go_on(&b, s, cllm_sequence_length(s) + 3);
            assert_ok(cllm_sequence_truncate(s, 0, &err), &err);
            go_on(&b, s, 10);
        }
        close_bench(&b);
    }
}

/* --------------------------------------------------------------------------------------------- older forms */

typedef void (*put_form)(gguf_builder *g, const cllm_gguf *gguf, const cllm_tensor *t, unsigned layer);

/* Qwen3-Next with attn_qkv and attn_gate in one tensor, ssm_in. Each group has the rows of its query, key, values and
 * gates. */
static void put_joined(gguf_builder *g, const cllm_gguf *gguf, const cllm_tensor *t, unsigned layer) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.ssm_dt.bias", layer);
    const bool is_gate = strstr(t->name, ".attn_gate.");
    if (!cllm_gguf_find_tensor(gguf, name) || !(is_gate || strstr(t->name, ".attn_qkv."))) {
        builder_tensor(g, t->name, (uint32_t)t->type, t->n_dims, t->shape, t->data, (size_t)t->n_bytes);
        return;
    }
    if (is_gate) return;
    uint64_t n_groups, n_keys;
    snprintf(name, sizeof name, "blk.%u.attn_gate.weight", layer);
    const cllm_tensor *gate = cllm_gguf_find_tensor(gguf, name);
    assert_true(gguf_value_as_u64(cllm_gguf_find(gguf, "qwen3next.ssm.group_count"), &n_groups) &&
                gguf_value_as_u64(cllm_gguf_find(gguf, "qwen3next.ssm.state_size"), &n_keys));
    const size_t row = (size_t)(t->n_bytes / t->shape[1]), n_values = (size_t)(gate->shape[1] / n_groups);
    const unsigned char *qkv = t->data, *z = gate->data;
    unsigned char *joined = malloc((size_t)(t->n_bytes + gate->n_bytes)), *to = joined;
    assert_non_null(joined);
    for (size_t i = 0; i < n_groups; i++) {
        const struct {
            const unsigned char *rows;
            size_t n;
        } parts[] = {{qkv + i * n_keys * row, n_keys},
                     {qkv + (n_groups + i) * n_keys * row, n_keys},
                     {qkv + (2 * n_groups * n_keys + i * n_values) * row, n_values},
                     {z + i * n_values * row, n_values}};
        for (size_t k = 0; k < sizeof parts / sizeof *parts; to += parts[k++].n * row)
            memcpy(to, parts[k].rows, parts[k].n * row);
    }
    snprintf(name, sizeof name, "blk.%u.ssm_in.weight", layer);
    builder_tensor(g, name, (uint32_t)t->type, 2, (uint64_t[]){t->shape[0], t->shape[1] + gate->shape[1]}, joined,
                   (size_t)(t->n_bytes + gate->n_bytes));
    free(joined);
}

/* RWKV 6 with a tensor for each part's weights of the mixture. */
static void put_mixes_apart(gguf_builder *g, const cllm_gguf *gguf, const cllm_tensor *t, unsigned layer) {
    (void)gguf;
    if (!strstr(t->name, "time_mix_lerp_fused")) {
        builder_tensor(g, t->name, (uint32_t)t->type, t->n_dims, t->shape, t->data, (size_t)t->n_bytes);
        return;
    }
    for (size_t i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.time_mix_lerp_%c.weight", layer, "wkvrg"[i]);
        builder_tensor(g, name, (uint32_t)t->type, 3, (uint64_t[]){t->shape[0], 1, 1},
                       (const float *)t->data + i * t->shape[0], (size_t)t->n_bytes / 5);
    }
}

static void older_forms_have_the_same_bits(void **state) {
    (void)state;
    static const struct {
        const char *model;
        put_form put;
    } forms[] = {{"qwen3next", put_joined}, {"rwkv6", put_mixes_apart}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        bench b;
        cllm_error err;
        if (!open_bench(&b, forms[i].model, NULL, NULL)) skip();
        const cllm_gguf *gguf = cllm_model_gguf(b.model);
        gguf_builder g;
        builder_init(&g);
        for (size_t k = 0; k < cllm_gguf_n_metadata(gguf); k++)
            if (strncmp(cllm_gguf_metadata(gguf, k)->key, "tokenizer.", 10) != 0)
                builder_copy(&g, cllm_gguf_metadata(gguf, k)->key, &cllm_gguf_metadata(gguf, k)->value);
        for (size_t k = 0; k < cllm_gguf_n_tensors(gguf); k++) {
            const cllm_tensor *t = cllm_gguf_tensor(gguf, k);
            unsigned layer = 0;
            sscanf(t->name, "blk.%u.", &layer);
            forms[i].put(&g, gguf, t, layer);
        }
        const char *path = builder_write(&g, "older.gguf");
        for (int repack = 0; repack < 2; repack++) {
            const cllm_load_options loading = {.repack = repack};
            const cllm_engine_options options = {.n_ctx = 128, .n_batch = BATCH, .n_threads = 2};
            bench older = b;
            assert_ok(cllm_model_load(path, &loading, &older.model, &err), &err);
            assert_ok(solo_create(older.model, &options, &older.s, &err), &err);
            go_on(&older, older.s->sequence, N_TOKENS);
            solo_destroy(older.s);
            cllm_model_destroy(older.model);
        }
        close_bench(&b);
    }
}

/* ------------------------------------------------------------------------------------------------- the plan */

static void states_are_planned(void **state) {
    (void)state;
    bench b;
    cllm_error err;
    if (!open_bench(&b, "qwen35", NULL, NULL)) skip();
    const uint64_t two = cllm_engine_plan(b.s->engine)->states;
    /* 2 sequences with 3 states each; a state has 3 layers, with 3 inputs of 192 channels and 4 heads of 24 times 24 */
    assert_int_equal(two, (uint64_t)2 * 3 * 3 * (3 * 192 + 4 * 24 * 24) * sizeof(float));
    const cllm_engine_options options = {.n_ctx = 128, .n_sequences = 4};
    cllm_memory_plan plan;
    cllm_gguf *gguf;
    assert_ok(cllm_gguf_open(shared_file("families2/qwen35.gguf"), NULL, &gguf, &err), &err);
    assert_ok(cllm_plan_memory(gguf, &options, &plan, &err), &err);
    assert_int_equal(plan.states, 2 * two);
    cllm_gguf_close(gguf);
    close_bench(&b);
}

/* States are checked before the device, so this test needs no device. */
static void a_gpu_leaves_states_to_the_cpu(void **state) {
    (void)state;
    bench b;
    cllm_error err;
    if (!open_bench(&b, "qwen35", NULL, NULL)) skip();
    cllm_engine_options options = {.n_ctx = 128, .device = "opencl"};
    cllm_engine *engine = NULL;
    assert_int_equal(cllm_engine_create(b.model, &options, &engine, &err), CLLM_ERR_DEVICE);
    assert_non_null(strstr(err.message, "recurrent layers"));
    assert_null(engine);
    options.device = "auto";
    assert_ok(cllm_engine_create(b.model, &options, &engine, &err), &err);
    assert_non_null(strstr(cllm_engine_device_note(engine), "recurrent layers"));
    assert_int_equal(cllm_engine_plan(engine)->n_gpu_layers, 0);
    assert_int_equal(2 * cllm_engine_plan(engine)->states, cllm_engine_plan(b.s->engine)->states);
    cllm_engine_destroy(engine);
    close_bench(&b);

    if (!open_bench(&b, "rwkv7", NULL, NULL)) skip();
    /* here a state has 3 layers, with 2 vectors of 128 elements and 2 heads of 64 times 64 */
    assert_int_equal(cllm_engine_plan(b.s->engine)->states,
                     (uint64_t)2 * 3 * 3 * (2 * 128 + 2 * 64 * 64) * sizeof(float));
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_states_are_right),
        cmocka_unit_test(tokens_of_the_last_call_can_be_taken_back),
        cmocka_unit_test(a_fork_has_its_own_state),
        cmocka_unit_test(a_saved_sequence_has_its_state),
        cmocka_unit_test(a_sequence_reuses_its_own_beginning),
        cmocka_unit_test(a_prompt_may_leave_the_text_in_an_answer),
        cmocka_unit_test(another_sequence_adopts_a_state),
        cmocka_unit_test(pieces_of_prompts_leave_states),
        cmocka_unit_test(small_budgets_are_kept),
        cmocka_unit_test(tokens_of_its_own_do_not_take_the_place_of_what_a_sequence_finds),
        cmocka_unit_test(drafts_leave_the_text_as_it_is),
        cmocka_unit_test(refused_guesses_do_not_read_the_text_again),
        cmocka_unit_test(a_call_that_was_cancelled_leaves_the_state_of_its_last_batch),
        cmocka_unit_test(older_forms_have_the_same_bits),
        cmocka_unit_test(states_are_planned),
        cmocka_unit_test(a_gpu_leaves_states_to_the_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
