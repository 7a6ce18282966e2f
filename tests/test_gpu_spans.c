/* Tests many sequences in one batch of the GPU's forward pass: with `exact`, each row must have the same bits as
 * when its sequence is alone. Prompts, single tokens, rows that are kept, truncations, sequences that share pages,
 * and pages that leave the device and come back are drawn at random, for models with and without windows, with every
 * API whose device is here. That the bits of one sequence are right is tested in test_gpu_session.c.
 * MINICLLM_TEST_LONG=1 tests all families. */
#include "support/check.h"
#include "support/tiny_model.h"

#include "engine/engine.h"
#include "gpu/batch.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_SEQUENCES = 8,
    USUAL_SEQUENCES = 5, /* at most, unless test_long */
    MOST_TOKENS = 600,   /* tokens of a sequence: more than two pages */
    N_CTX = 1024,
    N_BATCH = 48, /* rows of a batch */
    N_BATCHES = 150,
    N_LOGITS = 5, /* small, so that the output is computed in pieces */
    MOST_FAMILIES = 128,
    FAMILIES_DRAWN = 1,
};

#define LIMIT 1e-6 /* NMSE, without `exact` */

static const char *device_now; /* the device under test: cmocka hands a group's set-up no argument */
static cllm_error absence;     /* why this device is missing, or OK */
static uint64_t random_state;  /* all draws of the test come from it */

static uint32_t draw_below(uint32_t n) { return (uint32_t)(random_u64(&random_state) % n); }

static int open_group(void **state) {
    (void)state;
    gpu g;
    absence.status = gpu_open(device_now, 0, &g, &absence);
    gpu_close(&g);
    return 0;
}

static void device_here(void) { skip_without_device(device_now, &absence); }

/* ---------------------------------------------------------------------------------------------- a model's sequences */

typedef struct sequence {
    int32_t tokens[MOST_TOKENS];
    uint32_t n_tokens;
    uint32_t n_shared;      /* how many tokens a neighbouring sequence begins with, too */
    float *logits, *normed; /* computed alone: [n_tokens][n_vocab], [n_tokens][n_embd] */
    kv_table table;
    uint32_t length; /* tokens that were evaluated together with other sequences */
} sequence;

typedef struct company {
    const cllm_model *model;
    model_config config;
    gpu_settings settings;
    gpu gpu; /* not shared, because a device compiles only one program */
    forward_gpu *forward;
    kv_pages pages;
    arena arena;
    float *rows;   /* [n_vocab][n_embd] the state that the layers on the CPU compute for each token, or NULL */
    float *x;      /* [N_BATCH][n_embd] */
    float *logits; /* [N_BATCH][n_vocab] */
    float *normed; /* [N_BATCH][n_embd] */
    sequence sequences[MOST_SEQUENCES];
    uint32_t n_sequences;
    char what[150];
    size_t n_compared, n_copied, n_forked, n_moved, n_dropped; /* how often each of these happened */
} company;

typedef struct trial {
    const char *name;
    uint32_t window, window_period; /* 0: as in the model */
    uint32_t n_layers_before;       /* on the CPU */
    cllm_kv_type kv_type;
    bool exact;
} trial;

static float *floats_of(company *c, size_t rows, size_t columns) {
    float *floats = arena_alloc(&c->arena, rows, columns * sizeof *floats);
    assert_non_null(floats);
    return floats;
}

static void open_company(company *c, const cllm_model *model, const trial *t) {
    cllm_error err;
    c->model = model;
    c->config = model->config;
    if (t->window) {
        c->config.window = t->window;
        c->config.layers = arena_alloc(&c->arena, c->config.n_layers, sizeof *c->config.layers);
        assert_non_null(c->config.layers);
        for (uint32_t i = 0; i < c->config.n_layers; i++) {
            c->config.layers[i] = model->config.layers[i];
            c->config.layers[i].windowed = t->window_period == 0 || (i + 1) % t->window_period != 0;
        }
    }
    const uint32_t most = test_long() ? MOST_SEQUENCES : USUAL_SEQUENCES;
    c->n_sequences = draw_below(8) ? 2 + draw_below(most - 1) : 1;
    const uint32_t n_ctx = c->config.n_ctx_train < N_CTX ? c->config.n_ctx_train : N_CTX;
    c->settings = (gpu_settings){.n_layers = c->config.n_layers - t->n_layers_before,
                                 .size = {.n_ctx = n_ctx,
                                          .n_batch = N_BATCH,
                                          .n_sequences = c->n_sequences,
                                          .n_positions = n_ctx * c->n_sequences},
                                 .n_logits = N_LOGITS,
                                 .kv_type = t->kv_type,
                                 .exact = t->exact};
    snprintf(c->what, sizeof c->what, "%s on %s, %u sequences, windows of %u, keys and values of type %d%s", t->name,
             device_now, c->n_sequences, c->config.window, (int)t->kv_type, t->exact ? ", exact" : "");
    assert_ok(gpu_open(device_now, 0, &c->gpu, &err), &err);
    assert_ok(forward_gpu_create(&c->gpu, &c->config, &model->weights, &c->settings, NULL, NULL, &c->forward, &err),
              &err);
    assert_ok(kv_pages_create(&c->config, &c->settings.size, &c->arena, &c->pages, &err), &err);
    for (uint32_t i = 0; i < c->n_sequences; i++)
        assert_ok(kv_table_create(&c->pages, &c->arena, &c->sequences[i].table, &err), &err);
    const size_t n_vocab = c->config.n_vocab, n_embd = c->config.n_embd;
    c->x = floats_of(c, N_BATCH, n_embd);
    c->logits = floats_of(c, N_BATCH, n_vocab);
    c->normed = floats_of(c, N_BATCH, n_embd);
    c->rows = t->n_layers_before > 0 ? floats_of(c, n_vocab, n_embd) : NULL;
    for (size_t i = 0; c->rows && i < n_vocab * n_embd; i++) c->rows[i] = random_float(&random_state);
}

static void close_company(company *c) {
    for (uint32_t i = 0; i < c->n_sequences; i++) kv_table_truncate(&c->sequences[i].table, &c->pages, 0);
    for (uint32_t i = 0; i < KV_POOLS; i++) assert_int_equal(c->pages.pools[i].n_free, c->pages.pools[i].n_pages);
    forward_gpu_destroy(c->forward);
    gpu_close(&c->gpu);
    arena_free(&c->arena);
}

static void evaluate(company *c, const forward_span *spans, uint32_t n_spans, const int32_t *tokens) {
    cllm_error err;
    const size_t n_embd = c->config.n_embd;
    uint32_t n_rows = 0;
    for (uint32_t i = 0; i < n_spans; i++) n_rows += spans[i].n_rows;
    for (uint32_t b = 0; c->rows && b < n_rows; b++)
        memcpy(c->x + b * n_embd, c->rows + (size_t)tokens[b] * n_embd, n_embd * sizeof *c->x);
    assert_ok(forward_gpu_layers(c->forward, spans, n_spans, tokens, c->rows ? c->x : NULL, NULL, NULL, &err), &err);
}

/* Pages that others hold are copied before they are written to. */
static void grow(company *c, sequence *s, uint32_t end) {
    cllm_error err;
    kv_table_drop(&s->table, &c->pages, end > N_BATCH ? end - N_BATCH : 0);
    const kv_copies copies = kv_table_grow(&s->table, &c->pages, s->length, end);
    assert_ok(forward_gpu_copy(c->forward, &copies, &err), &err);
    c->n_copied += copies.of[KV_FULL].from != KV_NONE;
    c->n_dropped += s->table.of[KV_WINDOWED].first > 0;
}

static void truncate_to(company *c, sequence *s, uint32_t length) {
    kv_table_truncate(&s->table, &c->pages, length);
    s->length = length;
}

/* Computes all rows of a sequence alone, in batches of some rows. */
static void evaluate_alone(company *c, sequence *s) {
    const size_t n_vocab = c->config.n_vocab, n_embd = c->config.n_embd;
    cllm_error err;
    s->logits = floats_of(c, s->n_tokens, n_vocab);
    s->normed = floats_of(c, s->n_tokens, n_embd);
    while (s->length < s->n_tokens) {
        const uint32_t left = s->n_tokens - s->length, n = left < 7 ? left : 7 + draw_below(left < 40 ? left - 6 : 34);
        grow(c, s, s->length + n);
        const forward_span span = {.table = &s->table, .first_position = s->length, .n_rows = n, .n_kept = n};
        evaluate(c, &span, 1, s->tokens + s->length);
        assert_ok(forward_gpu_output(c->forward, 0, n, s->logits + s->length * n_vocab, &err), &err);
        assert_ok(forward_gpu_embedding(c->forward, 0, n, s->normed + s->length * n_embd, &err), &err);
        s->length += n;
    }
    truncate_to(c, s, 0);
}

/* Each pair of sequences begins alike. A look-alike of a device is slow, so its sequences are shorter. */
static void draw_sequences(company *c) {
    const uint32_t most = strcmp(device_now, "opencl") == 0 ? MOST_TOKENS : 300;
    for (uint32_t i = 0; i < c->n_sequences; i++) {
        sequence *s = &c->sequences[i];
        s->n_tokens = 2 + draw_below(draw_below(2) ? 60 : most - 2);
        if (s->n_tokens > c->settings.size.n_ctx) s->n_tokens = c->settings.size.n_ctx;
        for (uint32_t k = 0; k < s->n_tokens; k++) s->tokens[k] = (int32_t)draw_below(c->config.n_vocab);
        if (i % 2 == 0) continue;
        sequence *other = s - 1;
        s->n_shared = other->n_shared =
            1 + draw_below(s->n_tokens < other->n_tokens ? s->n_tokens - 1 : other->n_tokens - 1);
        memcpy(s->tokens, other->tokens, s->n_shared * sizeof *s->tokens);
    }
    for (uint32_t i = 0; i < c->n_sequences; i++) evaluate_alone(c, &c->sequences[i]);
}

/* ------------------------------------------------------------------------------------------------- in company */

/* An empty sequence takes over what it shares with its neighbour, as far as the neighbour has come. */
static void fork_from(company *c, sequence *s, const sequence *other) {
    uint32_t n = s->n_shared < other->length ? s->n_shared : other->length;
    if (n > s->n_tokens - 1) n = s->n_tokens - 1; /* so that one token is left to evaluate */
    if (n == 0 || !kv_table_reaches(&other->table, &c->pages, n)) return;
    kv_table_adopt(&s->table, &c->pages, other->table.of[KV_FULL].pages, n);
    s->length = n;
    c->n_forked++;
}

/* Reads or writes all pages of a sequence, for all chunks. Chunks without a page are skipped. */
static void move_pages(company *c, sequence *s, unsigned char *bytes, bool write) {
    cllm_error err;
    for (uint32_t pool = 0; pool < KV_POOLS; pool++) {
        const uint64_t n = forward_gpu_page_bytes(c->forward, pool);
        for (uint32_t i = s->table.of[pool].first; i < s->table.of[pool].end; i++) {
            const uint32_t page = s->table.of[pool].pages[i];
            assert_ok(write ? forward_gpu_write_page(c->forward, pool, page, bytes + i * n, &err)
                            : forward_gpu_read_page(c->forward, pool, page, KV_CHUNK, bytes + i * n, &err),
                      &err);
        }
        bytes += c->pages.n_chunks * n;
    }
}

static bool shares_pages(const company *c, const sequence *s) {
    for (uint32_t i = 0; i < s->table.of[KV_FULL].end; i++)
        if (c->pages.pages[s->table.of[KV_FULL].pages[i]].n_tables > 1) return true;
    return false;
}

/* The content of a sequence's pages leaves the device. The pages are spoiled, and the table gives them back. Then the
 * table takes pages again, perhaps other ones, and the content comes back to these. */
static void leave_and_return(company *c, sequence *s) {
    if (s->length == 0 || shares_pages(c, s)) return;
    size_t n_bytes = 0;
    for (uint32_t pool = 0; pool < KV_POOLS; pool++)
        n_bytes += c->pages.n_chunks * forward_gpu_page_bytes(c->forward, pool);
    unsigned char *bytes = calloc(1, n_bytes), *spoiled = malloc(n_bytes);
    assert_true(bytes && spoiled);
    memset(spoiled, 0xFF, n_bytes);
    move_pages(c, s, bytes, false);
    move_pages(c, s, spoiled, true);
    const uint32_t length = s->length;
    truncate_to(c, s, 0);
    for (uint32_t n; s->length < length; s->length += n) {
        n = length - s->length < N_BATCH ? length - s->length : N_BATCH;
        kv_table_drop(&s->table, &c->pages, s->length);
        kv_table_grow(&s->table, &c->pages, s->length, s->length + n);
    }
    move_pages(c, s, bytes, true);
    free(bytes);
    free(spoiled);
    c->n_moved++;
}

static void change_something(company *c, uint32_t i) {
    sequence *s = &c->sequences[i], *other = i % 2 ? s - 1 : s + 1;
    const uint32_t back = draw_below(N_BATCH);
    switch (draw_below(24)) {
    case 0:
        if (s->length > back && kv_table_reaches(&s->table, &c->pages, s->length - back))
            truncate_to(c, s, s->length - back);
        break;
    case 1:
        if (draw_below(3) == 0) truncate_to(c, s, 0);
        break;
    case 2: leave_and_return(c, s); break;
    default:
        if (s->length == 0 && s->n_shared > 0 && other < c->sequences + c->n_sequences && draw_below(2))
            fork_from(c, s, other);
    }
}

/* Draws the next tokens of some sequences, up to N_BATCH in all. of: out, the sequence of each span. Returns how many
 * spans there are. */
static uint32_t draw_spans(company *c, forward_span *spans, sequence **of, int32_t *tokens) {
    uint32_t n_spans = 0, room = N_BATCH, n_tokens = 0;
    const bool single = draw_below(3) == 0; /* one token of each sequence */
    for (uint32_t i = 0; i < c->n_sequences; i++) change_something(c, i);
    for (uint32_t i = 0; i < c->n_sequences && room > 0; i++) {
        sequence *s = &c->sequences[i];
        uint32_t n = single || draw_below(2) ? 1 + draw_below(2) * !single : 1 + draw_below(N_BATCH);
        if (n > room) n = room;
        if (n > s->n_tokens - s->length) n = s->n_tokens - s->length;
        const bool waits = s->length == 0 && i % 2; /* it waits until there is more to share */
        if (n == 0 || draw_below(6) < (waits ? 4u : 1u)) continue;
        const uint32_t kept[] = {0, 1, n, draw_below(n + 1)};
        grow(c, s, s->length + n);
        of[n_spans] = s;
        spans[n_spans++] =
            (forward_span){.table = &s->table, .first_position = s->length, .n_rows = n, .n_kept = kept[draw_below(4)]};
        memcpy(tokens + n_tokens, s->tokens + s->length, n * sizeof *tokens);
        n_tokens += n;
        room -= n;
        s->length += n;
    }
    return n_spans;
}

static void compare(company *c, const float *got, const float *want, size_t n, const char *of, uint32_t n_spans,
                    const sequence *s, uint32_t position) {
    const double error = nmse(got, want, n);
    if (c->settings.exact ? memcmp(got, want, n * sizeof *got) != 0 : !(error < LIMIT))
        fail_msg(
            "%s: in a batch of %u spans the %s of position %u of sequence %u are not those it has alone, NMSE %.3g",
            c->what, n_spans, of, position, (unsigned)(s - c->sequences), error);
}

static void run_together(company *c) {
    const size_t n_vocab = c->config.n_vocab, n_embd = c->config.n_embd;
    forward_span spans[MOST_SEQUENCES];
    sequence *of[MOST_SEQUENCES];
    int32_t tokens[N_BATCH], next[N_BATCH];
    cllm_error err;
    const uint32_t n_spans = draw_spans(c, spans, of, tokens);
    if (n_spans == 0) return;
    evaluate(c, spans, n_spans, tokens);
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < n_spans; i++) n_kept += spans[i].n_kept;
    if (n_kept == 0) return;
    const uint32_t first = draw_below(4) ? 0 : draw_below(n_kept); /* the rows before it are not asked for */
    if (draw_below(2))
        assert_ok(forward_gpu_embedding(c->forward, first, n_kept - first, c->normed + first * n_embd, &err), &err);
    assert_ok(forward_gpu_output(c->forward, first, n_kept - first, c->logits + first * n_vocab, &err), &err);
    assert_ok(forward_gpu_next(c->forward, first, n_kept - first, next + first, &err), &err);
    assert_ok(forward_gpu_embedding(c->forward, first, n_kept - first, c->normed + first * n_embd, &err), &err);
    for (uint32_t i = 0, row = 0; i < n_spans; i++)
        for (uint32_t k = 0; k < spans[i].n_kept; k++, row++) {
            const uint32_t position = spans[i].first_position + spans[i].n_rows - spans[i].n_kept + k;
            if (row < first) continue;
            const float *logits = c->logits + row * n_vocab;
            compare(c, logits, of[i]->logits + position * n_vocab, n_vocab, "logits", n_spans, of[i], position);
            compare(c, c->normed + row * n_embd, of[i]->normed + position * n_embd, n_embd, "last norms", n_spans,
                    of[i], position);
            assert_int_equal(next[row], likeliest(logits, c->config.n_vocab));
            c->n_compared++;
        }
}

/* The plan must count the pages of each pool, for this model and for one whose windowed layers keep all positions. */
static void check_plan(const company *c) {
    const gpu_needs needs = forward_gpu_needs(&c->config, &c->model->weights, &c->settings);
    uint64_t sum = 0;
    for (uint32_t pool = 0; pool < KV_POOLS; pool++)
        sum += kv_pages_count(&c->config, &c->settings.size, pool) * forward_gpu_page_bytes(c->forward, pool);
    assert_int_equal(needs.kv_cache, sum);
    model_config whole = c->config;
    whole.window = INT32_MAX;
    if (c->pages.drops && c->pages.pools[KV_WINDOWED].n_pages > 0)
        assert_true(needs.kv_cache < forward_gpu_needs(&whole, &c->model->weights, &c->settings).kv_cache);
}

static void check_company(const cllm_model *model, const trial *t) {
    company *c = calloc(1, sizeof *c);
    assert_non_null(c);
    open_company(c, model, t);
    check_plan(c);
    draw_sequences(c);
    bool done = false;
    for (int i = 0; i < N_BATCHES && !done; i++) {
        run_together(c);
        done = true;
        for (uint32_t k = 0; k < c->n_sequences; k++) done = done && c->sequences[k].length == c->sequences[k].n_tokens;
    }
    print_message("# %s: %zu rows, %zu forks, %zu pages copied, %zu sequences moved, %zu times without what windows "
                  "have left\n",
                  c->what, c->n_compared, c->n_forked, c->n_copied, c->n_moved, c->n_dropped);
    close_company(c);
    free(c);
}

static cllm_model *load(const char *path) {
    cllm_model *model;
    cllm_error err;
    assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
    return model;
}

static cllm_model *tiny(quant_type type, bool padded) {
    tiny_model m = tiny_model_default();
    m.n_ctx = N_CTX;
    m.type = type;
    m.n_heads = padded ? 6 : 4;
    m.key_length = 20;
    m.value_length = 36;
    if (padded) m.n_embd = 72, m.n_ff = 90;
    if (type == QUANT_Q8_0) m.value_length = 32;
    return load(tiny_model_write("gpu_spans.gguf", &m));
}

static void check_all(cllm_model *model, const trial *trials, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!test_leaves_out(&random_state)) check_company(model, &trials[i]);
    cllm_model_destroy(model);
}

/* ----------------------------------------------------------------------------------------------------- the tests */

static void rows_have_the_same_bits_in_any_company(void **state) {
    (void)state;
    device_here();
    static const trial trials[] = {
        {.name = "a small model", .kv_type = CLLM_KV_F16, .exact = true},
        {.name = "its last layer", .n_layers_before = 1, .kv_type = CLLM_KV_F32, .exact = true},
    };
    check_all(tiny(QUANT_F16, true), trials, sizeof trials / sizeof *trials);
}

static void windows_are_each_sequence_s_own(void **state) {
    (void)state;
    device_here();
    static const trial trials[] = {
        {.name = "a window in the first layer",
         .window = 40,
         .window_period = 2,
         .kv_type = CLLM_KV_F32,
         .exact = true},
        {.name = "windows in all layers", .window = 100, .kv_type = CLLM_KV_F16, .exact = true},
        {.name = "a layer with windows after one without",
         .window = 300,
         .n_layers_before = 1,
         .kv_type = CLLM_KV_F16,
         .exact = true},
    };
    check_all(tiny(QUANT_F16, false), trials, sizeof trials / sizeof *trials);
}

static void so_they_are_nearly_without_exact(void **state) {
    (void)state;
    device_here();
    static const trial trials[] = {{.name = "by tiles", .kv_type = CLLM_KV_F32}};
    check_all(tiny(QUANT_Q8_0, false), trials, 1);
}

static void families_have_the_same_bits_in_any_company(void **state) {
    (void)state;
    device_here();
    const char *first = shared_file("families/tokens.txt");
    if (!first) skip();
    char pattern[1100];
    size_t chosen[MOST_FAMILIES], n_families = 0;
    const char *families[MOST_FAMILIES];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%.*s/*.gguf", (int)(strlen(first) - strlen("/tokens.txt")), first);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc && n_families < MOST_FAMILIES; i++) {
        cllm_model *model = load(found.gl_pathv[i]);
        if (!forward_gpu_lacks(&model->config, &model->weights)) families[n_families++] = found.gl_pathv[i];
        cllm_model_destroy(model);
    }
    const size_t n = test_draw(n_families, FAMILIES_DRAWN, chosen);
    for (size_t i = 0; i < n; i++) {
        const trial t = {.name = strrchr(families[chosen[i]], '/') + 1,
                         .kv_type = draw_below(2) ? CLLM_KV_F16 : CLLM_KV_F32,
                         .exact = true};
        check_all(load(families[chosen[i]]), &t, 1);
    }
    globfree(&found);
}

/* One position of a sequence has an infinity in its page. */
static void check_infinity(company *c, uint32_t position, size_t half) {
    const uint64_t n = forward_gpu_page_bytes(c->forward, KV_FULL);
    uint16_t *halfs = calloc(1, n);
    sequence *s = &c->sequences[0];
    cllm_error err;
    bool beyond;
    assert_non_null(halfs);
    grow(c, s, position + 1);
    s->length = position + 1;
    const uint32_t page = s->table.of[KV_FULL].pages[position / KV_CHUNK];
    assert_ok(forward_gpu_beyond_f16(c->forward, &s->table, s->length, &beyond, &err), &err);
    assert_false(beyond);
    halfs[half] = 0xFC00;
    assert_ok(forward_gpu_write_page(c->forward, KV_FULL, page, halfs, &err), &err);
    assert_ok(forward_gpu_beyond_f16(c->forward, &s->table, position, &beyond, &err), &err);
    assert_false(beyond);
    assert_ok(forward_gpu_beyond_f16(c->forward, &s->table, position + 1, &beyond, &err), &err);
    assert_true(beyond);
    halfs[half] = 0;
    assert_ok(forward_gpu_write_page(c->forward, KV_FULL, page, halfs, &err), &err);
    truncate_to(c, s, 0);
    free(halfs);
}

static void infinities_are_found_in_their_pages(void **state) {
    (void)state;
    device_here();
    cllm_model *model = tiny(QUANT_F16, false);
    company *c = calloc(1, sizeof *c);
    assert_non_null(c);
    open_company(c, model, &(trial){.name = "infinities", .kv_type = CLLM_KV_F16});
    const model_config *config = &c->config;
    const size_t keys = (size_t)KV_CHUNK * config->n_kv_heads * config->key_length;
    check_infinity(c, 17, 3 * KV_CHUNK + 17);                                         /* element 3 of a key */
    check_infinity(c, 40, keys + (size_t)(KV_CHUNK + 40) * config->value_length + 5); /* of the second head */
    close_company(c);
    free(c);
    cllm_model_destroy(model);
}

int main(int argc, char **argv) { /* [DEVICE] */
    random_state = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_same_bits_in_any_company),
        cmocka_unit_test(windows_are_each_sequence_s_own),
        cmocka_unit_test(so_they_are_nearly_without_exact),
        cmocka_unit_test(infinities_are_found_in_their_pages),
        cmocka_unit_test(families_have_the_same_bits_in_any_company),
    };
    static const char *const devices[] = {"opencl", "metal", "cuda"};
    int n_failed = 0;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char name[100];
        device_now = devices[i];
        if (argc > 1 && strcmp(argv[1], device_now) != 0) continue;
        snprintf(name, sizeof name, "spans on %s", device_now);
        n_failed += cmocka_run_group_tests_name(name, tests, open_group, NULL);
    }
    return n_failed;
}
