/* Tests many sequences in one engine: each row must have the same bits as when its sequence is alone. Prompts,
 * single tokens, forks, truncations, reuse of cached prefixes, saving and loading of up to eight sequences are drawn
 * at random, for models of some families, with all instruction sets of this machine and all types of keys and
 * values.
 *
 *   test_company [DEVICE]    on a GPU, with `exact`
 *
 * MINICLLM_TEST_LONG=1 tests all families. */
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include "engine/engine.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_SEQUENCES = 8,
    N_TEXTS = 6,
    MOST_TOKENS = 600, /* of a text: more than two pages */
    N_STEPS = 40,
    STEPS_SANITIZED = 20,
    MOST_FAMILIES = 128,
    FAMILIES_DRAWN = 3,
    FAMILIES_SANITIZED = 1,
};

static const char *const isas[] = {"scalar", "avx2", "avx512", "neon", "i8mm"};

static uint64_t random_state; /* all draws of the test come from it */
static const char *device;    /* NULL: the CPU */

static uint32_t below(uint32_t n) { return (uint32_t)(random_u64(&random_state) % n); }

/* ------------------------------------------------------------------------------------------------- alone */

/* The tokens of a text, and each row as computed when its sequence is alone. Texts begin alike, so that they can share
 * pages. */
typedef struct text {
    int32_t tokens[MOST_TOKENS];
    float *want; /* [MOST_TOKENS][n_vocab] */
} text;

typedef struct member {
    cllm_sequence *sequence; /* NULL: this place is free */
    size_t text;             /* the sequence has tokens of this text */
} member;

typedef struct company {
    const cllm_model *model;
    cllm_engine *engine;
    uint32_t n_vocab, n_ctx;
    text texts[N_TEXTS];
    member members[MOST_SEQUENCES];
    uint32_t n_members;
    size_t n_rows, n_forks, n_truncated, n_reused, n_evicted, n_saved; /* rows that were compared; what was done */
    const char *file;                                                  /* where sequences are saved */
    char what[200];
} company;

static void write_texts(company *c, const cllm_engine_options *options) {
    const cllm_engine_options alone = {.n_ctx = c->n_ctx,
                                       .n_threads = 1,
                                       .kv_type = options->kv_type,
                                       .cpu_isa = options->cpu_isa,
                                       .device = options->device,
                                       .gpu_layers = options->gpu_layers,
                                       .exact = options->exact};
    for (size_t t = 0; t < N_TEXTS; t++) {
        text *own = &c->texts[t];
        const uint32_t same = t > 0 ? below(c->n_ctx) : 0;
        if (t > 0) memcpy(own->tokens, c->texts[below((uint32_t)t)].tokens, same * sizeof *own->tokens);
        for (uint32_t i = same; i < c->n_ctx; i++) own->tokens[i] = (int32_t)below(c->n_vocab);
        own->want = malloc((size_t)c->n_ctx * c->n_vocab * sizeof *own->want);
        assert_non_null(own->want);
        cllm_error err;
        solo *s;
        assert_ok(solo_create(c->model, &alone, &s, &err), &err);
        assert_ok(solo_each(s, own->tokens, c->n_ctx, own->want, &err), &err);
        solo_destroy(s);
    }
}

/* A text that begins with the first `length` tokens of text `of`. It can be that text itself. */
static size_t other_text(const company *c, size_t of, uint32_t length) {
    const size_t first = below(N_TEXTS);
    for (size_t i = 0; i < N_TEXTS; i++) {
        const size_t t = (first + i) % N_TEXTS;
        if (memcmp(c->texts[t].tokens, c->texts[of].tokens, length * sizeof(int32_t)) == 0) return t;
    }
    return of;
}

/* ------------------------------------------------------------------------------------------------- in company */

/* Begins a sequence: empty, with what the cache holds of a text, or as a fork of another sequence. */
static void begin(company *c, member *m) {
    cllm_error err;
    member *from = &c->members[below(c->n_members)];
    if (from->sequence && below(2)) {
        const uint32_t length = below(cllm_sequence_length(from->sequence) + 1);
        const cllm_status status = cllm_sequence_fork(from->sequence, length, &m->sequence, &err);
        if (status == CLLM_ERR_UNSUPPORTED) return;
        assert_ok(status, &err);
        m->text = other_text(c, from->text, length);
        c->n_forks++;
        return;
    }
    m->text = below(N_TEXTS);
    assert_ok(cllm_sequence_create(c->engine, &m->sequence, &err), &err);
    const size_t n_reused = cllm_sequence_reuse(m->sequence, c->texts[m->text].tokens, c->n_ctx);
    assert_true(n_reused < c->n_ctx && n_reused == cllm_sequence_length(m->sequence));
    c->n_reused += n_reused;
}

static void truncate_somewhere(company *c, member *m) {
    cllm_error err;
    const uint32_t length = below(cllm_sequence_length(m->sequence) + 1);
    const cllm_status status = cllm_sequence_truncate(m->sequence, length, &err);
    if (status == CLLM_ERR_UNSUPPORTED) return;
    assert_ok(status, &err);
    m->text = other_text(c, m->text, length);
    c->n_truncated++;
}

static void save_and_load(company *c, member *m) {
    cllm_error err;
    const uint32_t length = cllm_sequence_length(m->sequence);
    assert_ok(cllm_sequence_save(m->sequence, c->file, &err), &err);
    cllm_sequence_destroy(m->sequence);
    const cllm_status status = cllm_sequence_load(c->engine, c->file, &m->sequence, &err);
    if (status == CLLM_ERR_MEMORY) return; /* its pages were shared */
    assert_ok(status, &err);
    assert_int_equal(cllm_sequence_length(m->sequence), length);
    c->n_saved++;
}

static uint32_t draw_spans(company *c, cllm_span *spans, member **of) {
    static const cllm_want wants[] = {CLLM_WANT_NOTHING, CLLM_WANT_NEXT, CLLM_WANT_LAST, CLLM_WANT_EACH};
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_members; i++) {
        member *m = &c->members[i];
        if (!m->sequence) begin(c, m);
        if (!m->sequence) continue;
        if (below(8) == 0) truncate_somewhere(c, m);
        if (below(20) == 0) save_and_load(c, m);
        if (!m->sequence) continue;
        const uint32_t length = cllm_sequence_length(m->sequence), left = c->n_ctx - length;
        if (left == 0 || below(12) == 0) {
            cllm_sequence_destroy(m->sequence);
            m->sequence = NULL;
            continue;
        }
        if (below(5) == 0) continue;
        const uint32_t count = below(2) ? 1 : 1 + below(below(4) ? 60 : left);
        of[n] = m;
        spans[n++] = (cllm_span){.sequence = m->sequence,
                                 .tokens = c->texts[m->text].tokens + length,
                                 .count = count < left ? count : left,
                                 .want = wants[below(4)]};
    }
    return n;
}

static void compare(company *c, const cllm_span *span, const member *m, uint32_t n_spans) {
    const uint32_t end = cllm_sequence_length(m->sequence);
    const uint32_t n = span->want == CLLM_WANT_EACH ? (uint32_t)span->count : span->want == CLLM_WANT_NOTHING ? 0 : 1;
    for (uint32_t i = 0; i < n; i++, c->n_rows++) {
        const uint32_t position = end - n + i;
        const float *want = c->texts[m->text].want + (size_t)position * c->n_vocab;
        const bool same = span->want == CLLM_WANT_NEXT
                              ? span->next == likeliest(want, c->n_vocab)
                              : memcmp(span->rows + (size_t)i * c->n_vocab, want, c->n_vocab * sizeof *want) == 0;
        if (!same)
            fail_msg("%s: beside %u other spans position %u of sequence %u has other bits than alone", c->what,
                     n_spans - 1, position, (unsigned)(m - c->members));
    }
}

/* A call that finds no free page changes nothing. When one of the sequences goes, pages are free again. */
static void eval_together(company *c) {
    cllm_span spans[MOST_SEQUENCES];
    member *of[MOST_SEQUENCES];
    cllm_error err;
    const uint32_t n = draw_spans(c, spans, of);
    if (n == 0) return;
    const cllm_status status = cllm_eval(c->engine, spans, n, &err);
    if (status == CLLM_ERR_MEMORY) {
        cllm_sequence_destroy(of[0]->sequence);
        of[0]->sequence = NULL;
        return;
    }
    assert_ok(status, &err);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(spans[i].status, CLLM_OK);
        compare(c, &spans[i], of[i], n);
    }
}

static void check_pages(const company *c) {
    const cllm_stats stats = cllm_engine_stats(c->engine);
    assert_true(stats.pages_cached <= c->engine->cache.n_most);
    assert_true(c->engine->pages.pools[KV_WINDOWED].n_idle <= c->engine->cache.n_most);
}

/* When no sequence is left, no page is held, and all cached pages can be evicted. */
static void close_company(company *c) {
    for (uint32_t i = 0; i < c->n_members; i++) cllm_sequence_destroy(c->members[i].sequence);
    const cllm_stats stats = cllm_engine_stats(c->engine);
    assert_int_equal(stats.pages_held, 0);
    c->n_evicted = stats.evictions;
    prefix_cache_make_room(&c->engine->cache, c->engine->pages.pools[KV_FULL].n_pages);
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        assert_int_equal(c->engine->pages.pools[i].n_free, c->engine->pages.pools[i].n_pages);
        assert_int_equal(c->engine->pages.pools[i].n_idle, 0);
    }
    cllm_engine_destroy(c->engine);
    for (size_t t = 0; t < N_TEXTS; t++) free(c->texts[t].want);
}

static void check_company(const cllm_model *model, const char *isa, cllm_kv_type type, const char *name) {
    static const uint32_t batches[] = {1, 7, 48, 512};
    const cllm_model_info *info = cllm_model_get_info(model);
    company *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->model = model;
    c->file = write_temporary("company.seq", "", 0);
    c->n_vocab = info->n_vocab;
    c->n_ctx = info->n_ctx_train < MOST_TOKENS ? info->n_ctx_train : MOST_TOKENS;
    if (below(4) == 0) c->n_ctx = 16 + below(32); /* a batch may have more rows than a sequence has positions */
    c->n_members = 1 + below(MOST_SEQUENCES);
    cllm_engine_options options = {.n_ctx = c->n_ctx,
                                   .n_batch = batches[below(4)],
                                   .n_threads = 1 + below(3),
                                   .kv_type = type,
                                   .cpu_isa = isa,
                                   .n_sequences = c->n_members,
                                   .n_positions = kv_chunks(c->n_ctx) * KV_CHUNK * (1 + below(c->n_members)),
                                   .cache_bytes = below(3) * below(2000000),
                                   .device = device,
                                   .gpu_layers = 1 + below(info->n_layers),
                                   .exact = true};
    cllm_error err;
    assert_ok(cllm_engine_create(model, &options, &c->engine, &err), &err);
    snprintf(
        c->what, sizeof c->what,
        "%s, %s, keys and values of type %d, %u threads, contexts of %u, batches of %u, %u positions, %llu bytes of "
        "cache",
        name, isa, (int)type, options.n_threads, c->n_ctx, options.n_batch, options.n_positions,
        (unsigned long long)options.cache_bytes);
    write_texts(c, &options);
    for (int i = 0; i < (test_sanitized() ? STEPS_SANITIZED : N_STEPS); i++) {
        eval_together(c);
        check_pages(c);
    }
    close_company(c);
    print_message(
        "# %s: up to %u sequences, %zu rows, %zu forks, %zu truncations, %zu tokens reused, %zu pages evicted, "
        "%zu times saved\n",
        c->what, c->n_members, c->n_rows, c->n_forks, c->n_truncated, c->n_reused, c->n_evicted, c->n_saved);
    free(c);
}

static bool is_here(const cllm_model *model, const char *isa, cllm_kv_type type) {
    const cllm_engine_options options = {
        .n_ctx = 1, .cpu_isa = isa, .kv_type = type, .device = device, .gpu_layers = 1};
    cllm_engine *engine;
    const bool here = cllm_engine_create(model, &options, &engine, NULL) == CLLM_OK;
    cllm_engine_destroy(engine);
    return here;
}

/* False: the device is not here, or cannot run it. */
static bool check_model(const char *path, const char *name) {
    cllm_model *model;
    cllm_error err;
    assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
    size_t n = 0;
    for (size_t i = 0; i < (device ? 1 : sizeof isas / sizeof *isas); i++)
        for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
            if (!is_here(model, isas[i], (cllm_kv_type)type) || test_leaves_out(&random_state)) continue;
            check_company(model, isas[i], (cllm_kv_type)type, name);
            n++;
        }
    cllm_model_destroy(model);
    return n > 0;
}

static void rows_have_the_same_bits_in_any_company(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.key_length = 20;
    m.value_length = 36;
    m.n_ctx = 1024;
    m.type = QUANT_F16;
    if (!check_model(tiny_model_write("company.gguf", &m), "a small model") && device) skip();
}

static void so_they_have_in_every_family(void **state) {
    (void)state;
    const char *first = shared_file("families/tokens.txt");
    if (!first || (device && !test_long())) skip(); /* a GPU's kernels take long to compile */
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

/* Models with recurrent layers. The states must follow their sequences. */
static void so_they_have_with_states(void **state) {
    (void)state;
    static const char *const names[] = {"lfm2",           "lfm2moe",   "qwen35",     "qwen3next",
                                        "granitehybrid",  "mamba2",    "nemotron_h", "granitehybrid-moe",
                                        "nemotron_h_moe", "falcon-h1", "mamba",      "jamba",
                                        "kimi-linear",    "plamo2",    "rwkv6",      "rwkv7"};
    enum { N_NAMES = sizeof names / sizeof *names };
    size_t chosen[N_NAMES];
    if (device) skip();
    const size_t n = test_draw(N_NAMES, test_sanitized() ? FAMILIES_SANITIZED : FAMILIES_DRAWN, chosen);
    for (size_t i = 0; i < n; i++) {
        char file[100];
        snprintf(file, sizeof file, "families2/%s.gguf", names[chosen[i]]);
        const char *path = shared_file(file);
        if (!path) skip();
        check_model(path, names[chosen[i]]);
    }
}

/* Layers with different heads, windowed layers with small pages, layers that read the keys and values of others, and
 * layers that choose which positions a token sees. */
static void so_they_have_where_layers_differ(void **state) {
    (void)state;
    static const char *const names[] = {"gemma4-ple.gguf", "gemma4.gguf", "gemma3n.gguf", "deepseek32.gguf",
                                        "glm-dsa.gguf"};
    const char *first = shared_file("families2/tokens.txt");
    enum { N_NAMES = sizeof names / sizeof *names };
    size_t chosen[N_NAMES];
    if (!first || device) skip();
    const size_t n = test_draw(N_NAMES, test_sanitized() ? FAMILIES_SANITIZED : FAMILIES_DRAWN, chosen);
    for (size_t i = 0; i < n; i++) {
        const char *name = names[chosen[i]];
        char path[1100];
        snprintf(path, sizeof path, "%.*s/%s", (int)(strlen(first) - strlen("/tokens.txt")), first, name);
        check_model(path, name);
    }
}

int main(int argc, char **argv) { /* [DEVICE] */
    static const char *const devices[] = {NULL, "opencl"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_same_bits_in_any_company),
        cmocka_unit_test(so_they_have_in_every_family),
        cmocka_unit_test(so_they_have_where_layers_differ),
        cmocka_unit_test(so_they_have_with_states),
    };
    random_state = test_seed();
    int n_failed = 0;
    for (size_t i = 0; i < (argc > 1 ? 1 : 2); i++) {
        char name[100];
        device = argc > 1 ? argv[1] : devices[i];
        snprintf(name, sizeof name, "company on %s", device ? device : "the CPU");
        n_failed += cmocka_run_group_tests_name(name, tests, NULL, NULL);
    }
    return n_failed;
}
