/* Tests sessions on a GPU through cllm.h alone, with every API whose device is here: the results are near those of
 * the scalar CPU wherever the layers are split, they are the same bits where that is promised, and after a failure
 * the position is what it was before. The kernels alone are tested in test_gpu_kernels.c and test_gpu_products.c. */
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include "engine/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT      1e-6 /* NMSE, with keys and values of F32 */
#define ALL_LAYERS CLLM_GPU_LAYERS_ALL

enum { N_TOKENS = 43, LONG = 300, N_VOCAB = 50 }; /* a context of LONG tokens has two chunks */

static const char *device_now; /* the device under test: cmocka hands a group's set-up no argument */
static cllm_error absence;     /* why this device is missing, or OK */

/* ------------------------------------------------------------------------------------------ models and devices */

/* The models take different paths through the code: kernels of a type, padded rows, biases, a shared output. */
typedef struct named_model {
    const char *name;
    quant_type type;
    int tied, biases;
    uint32_t n_embd, key_length, value_length, n_ff, n_ctx; /* 0: the default's */
} named_model;

static const named_model plain = {.name = "plain", .type = QUANT_F32};
static const named_model all_mixed[] = {
    {.name = "f32, biases, padded rows",
     .type = QUANT_F32,
     .biases = 1,
     .n_embd = 72,
     .key_length = 18,
     .value_length = 10,
     .n_ff = 90},
    {.name = "f16, tied", .type = QUANT_F16, .tied = 1},
    {.name = "q8_0, tied, biases", .type = QUANT_Q8_0, .tied = 1, .biases = 1},
    {.name = "q4_0", .type = QUANT_Q4_0},
};

/* One of them is drawn for each device, because their kernels take long to compile. */
enum { N_MIXED = sizeof all_mixed / sizeof *all_mixed, MIXED_DRAWN = 1 };
static size_t mixed[N_MIXED], n_mixed;

static const char *write_model(const named_model *named) {
    tiny_model m = tiny_model_default();
    m.type = named->type;
    m.tied = named->tied;
    m.biases = named->biases;
    if (named->n_embd) m.n_embd = named->n_embd;
    if (named->key_length) m.key_length = named->key_length;
    if (named->value_length) m.value_length = named->value_length;
    if (named->n_ff) m.n_ff = named->n_ff;
    if (named->n_ctx) m.n_ctx = named->n_ctx;
    return tiny_model_write("gpu.gguf", &m);
}

static cllm_model *load(const char *path) {
    cllm_error err;
    cllm_model *model;
    assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
    return model;
}

static cllm_model *tiny(const named_model *named) { return load(write_model(named)); }

static uint32_t vocabulary(const cllm_model *model) { return cllm_model_get_info(model)->n_vocab; }

static int32_t token_at(const cllm_model *model, size_t i) { return (int32_t)((i * 37 + 11) % vocabulary(model)); }

static int32_t *tokens_of(const cllm_model *model, size_t n) {
    int32_t *tokens = malloc(n * sizeof *tokens);
    assert_non_null(tokens);
    for (size_t i = 0; i < n; i++) tokens[i] = token_at(model, i);
    return tokens;
}

static cllm_engine_options on_cpu(void) {
    return (cllm_engine_options){.kv_type = CLLM_KV_F32, .cpu_isa = "scalar", .n_threads = 1};
}

static cllm_engine_options with_gpu(uint32_t gpu_layers) {
    cllm_engine_options options = on_cpu();
    options.device = device_now;
    options.gpu_layers = gpu_layers;
    return options;
}

static solo *create(const cllm_model *model, const cllm_engine_options *options) {
    cllm_error err;
    solo *session;
    assert_ok(solo_create(model, options, &session, &err), &err);
    assert_non_null(session);
    return session;
}

/* Finds out whether the device is there, with a context that is too large for any device. It is refused before anything
 * is compiled; if there is a device, the message contains its name. */
static int open_group(void **state) {
    (void)state;
    cllm_model *model = tiny(&plain);
    cllm_engine_options options = with_gpu(ALL_LAYERS);
    options.n_ctx = INT32_MAX;
    solo *session;
    n_mixed = test_draw(N_MIXED, MIXED_DRAWN, mixed);
    absence.status = solo_create(model, &options, &session, &absence);
    assert_null(session);
    if (absence.status == CLLM_ERR_DEVICE && strstr(absence.message, " MiB on ")) absence.status = CLLM_OK;
    cllm_model_destroy(model);
    return 0;
}

static void device_here(void) { skip_without_device(device_now, &absence); }

/* ------------------------------------------------------------------------------------------------- logits */

typedef struct rows {
    float *logits; /* [n][n_vocab] */
    size_t n, n_vocab;
} rows;

/* The logits of each token, evaluated in one call after the tokens that are there. */
static rows each(solo *session, const cllm_model *model, const int32_t *tokens, size_t n) {
    cllm_error err;
    const uint32_t position = solo_length(session);
    rows r = {.n = n, .n_vocab = vocabulary(model)};
    r.logits = malloc(n * r.n_vocab * sizeof *r.logits);
    assert_non_null(r.logits);
    assert_ok(solo_each(session, tokens, n, r.logits, &err), &err);
    assert_int_equal(solo_length(session), position + n);
    return r;
}

static rows each_of(const cllm_model *model, const cllm_engine_options *options, const int32_t *tokens, size_t n) {
    solo *session = create(model, options);
    rows r = each(session, model, tokens, n);
    solo_destroy(session);
    return r;
}

static const float *row(const rows *r, size_t i) {
    assert_true(i < r->n);
    return r->logits + i * r->n_vocab;
}

static const float *eval(solo *session, const int32_t *tokens, size_t n) {
    cllm_error err;
    const float *logits = NULL;
    const uint32_t position = solo_length(session);
    assert_ok(solo_eval(session, tokens, n, &logits, &err), &err);
    assert_non_null(logits);
    assert_int_equal(solo_length(session), position + n);
    return logits;
}

static int32_t eval_next(solo *session, const int32_t *tokens, size_t n) {
    cllm_error err;
    int32_t next = -1;
    const uint32_t position = solo_length(session);
    assert_ok(solo_next(session, tokens, n, &next, &err), &err);
    assert_int_equal(solo_length(session), position + n);
    return next;
}

static void rewind_to(solo *session, uint32_t position) {
    cllm_error err;
    assert_ok(solo_truncate(session, position, &err), &err);
    assert_int_equal(solo_length(session), position);
}

static void assert_near(const float *got, const rows *want, size_t i, const char *what, uint32_t gpu_layers, size_t n) {
    const double error = nmse(got, row(want, i), want->n_vocab);
    if (!(error < LIMIT))
        fail_msg("%s, %u layers on %s, a prompt of %zu, token %zu: NMSE %.3g is not below %.3g", what, gpu_layers,
                 device_now, n, i, error, LIMIT);
}

static void assert_same(const float *got, const float *want, size_t n_vocab, const char *what, size_t i) {
    if (memcmp(got, want, n_vocab * sizeof *got) != 0)
        fail_msg("%s on %s: the logits of token %zu are other bits, NMSE %.3g", what, device_now, i,
                 nmse(got, want, n_vocab));
}

/* ------------------------------------------------------------------------------------------ near the CPU */

/* Prompts shorter and longer than the first that uses tiles, one so long that the host waits after each layer, and
 * single tokens after each prompt. */
static void check_near(const cllm_model *model, const char *what, uint32_t gpu_layers, const rows *want,
                       const int32_t *tokens) {
    static const size_t prompts[] = {1, 5, 9, 40};
    const cllm_engine_options options = with_gpu(gpu_layers);
    solo *session = create(model, &options);
    for (size_t p = 0; p < sizeof prompts / sizeof *prompts; p++) {
        const size_t n = prompts[p];
        rewind_to(session, 0);
        assert_near(eval(session, tokens, n), want, n - 1, what, gpu_layers, n);
        for (size_t i = n; i < n + 3; i++) assert_near(eval(session, tokens + i, 1), want, i, what, gpu_layers, n);
        rewind_to(session, 0);
        rows got = each(session, model, tokens, n);
        for (size_t i = 0; i < n; i++) assert_near(row(&got, i), want, i, what, gpu_layers, n);
        rewind_to(session, 0);
        assert_near(eval(session, tokens, n), &got, n - 1, "eval beside eval_each", gpu_layers, n);
        free(got.logits);
    }
    solo_destroy(session);
}

static void check_splits(cllm_model *model, const char *what) {
    int32_t *tokens = tokens_of(model, N_TOKENS);
    const cllm_engine_options options = on_cpu();
    rows want = each_of(model, &options, tokens, N_TOKENS);
    check_near(model, what, 1, &want, tokens);
    check_near(model, what, ALL_LAYERS, &want, tokens);
    free(want.logits);
    free(tokens);
    cllm_model_destroy(model);
}

static void logits_are_near_the_scalar_cpu(void **state) {
    (void)state;
    device_here();
    for (size_t i = 0; i < n_mixed; i++) check_splits(tiny(&all_mixed[mixed[i]]), all_mixed[mixed[i]].name);
}

static void the_demo_model_is_near_the_scalar_cpu(void **state) {
    (void)state;
    device_here();
    check_splits(load("models/demo.gguf"), "the demo model");
}

static void a_context_of_two_chunks_is_near_the_scalar_cpu(void **state) {
    (void)state;
    device_here();
    named_model longer = plain;
    longer.n_ctx = 512;
    cllm_model *model = tiny(&longer);
    int32_t *tokens = tokens_of(model, LONG + 3);
    cllm_engine_options options = on_cpu();
    rows want = each_of(model, &options, tokens, LONG + 3);
    for (uint32_t layers = 1; layers <= 2; layers++) {
        options = with_gpu(layers);
        solo *session = create(model, &options);
        assert_near(eval(session, tokens, LONG), &want, LONG - 1, "two chunks", layers, LONG);
        assert_near(eval(session, tokens + LONG, 1), &want, LONG, "two chunks", layers, LONG);
        assert_near(eval(session, tokens + LONG + 1, 2), &want, LONG + 2, "two chunks", layers, LONG);
        solo_destroy(session);
    }
    free(want.logits);
    free(tokens);
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------------- the same bits */

static void check_exact(const cllm_model *model, uint32_t gpu_layers, cllm_kv_type kv_type, const char *what) {
    static const uint32_t batches[] = {7, 64};
    static const size_t pieces[] = {1, 9, 2, 4, 8, 5, 3};
    int32_t *tokens = tokens_of(model, N_TOKENS);
    cllm_engine_options options = with_gpu(gpu_layers);
    options.exact = true;
    options.kv_type = kv_type;
    options.n_batch = 1;
    rows want = each_of(model, &options, tokens, N_TOKENS);
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        options.n_batch = batches[b];
        solo *session = create(model, &options);
        rows got = each(session, model, tokens, N_TOKENS);
        for (size_t i = 0; i < N_TOKENS; i++) assert_same(row(&got, i), row(&want, i), want.n_vocab, what, i);
        free(got.logits);
        rewind_to(session, 0);
        assert_same(eval(session, tokens, N_TOKENS), row(&want, N_TOKENS - 1), want.n_vocab, what, N_TOKENS - 1);
        rewind_to(session, 11);
        size_t at = 11;
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; at += pieces[p++])
            assert_same(eval(session, tokens + at, pieces[p]), row(&want, at + pieces[p] - 1), want.n_vocab, what,
                        at + pieces[p] - 1);
        assert_int_equal(at, N_TOKENS);
        solo_destroy(session);
    }
    free(want.logits);
    free(tokens);
}

static void exact_has_the_same_bits_for_any_batch(void **state) {
    (void)state;
    device_here();
    for (size_t i = 0; i < n_mixed; i++) {
        cllm_model *model = tiny(&all_mixed[mixed[i]]);
        check_exact(model, mixed[i] % 2 ? 1 : ALL_LAYERS, mixed[i] < 2 ? CLLM_KV_F16 : CLLM_KV_F32,
                    all_mixed[mixed[i]].name);
        cllm_model_destroy(model);
    }
}

/* -------------------------------------------------------------------------------------------- the next token */

static void check_next(const cllm_model *model, const cllm_engine_options *options) {
    int32_t *tokens = tokens_of(model, 9);
    solo *session = create(model, options), *other = create(model, options);
    int32_t next = eval_next(session, tokens, 9);
    assert_int_equal(next, likeliest(eval(other, tokens, 9), vocabulary(model)));
    for (int i = 0; i < 12; i++) {
        const int32_t token = i % 2 ? next : token_at(model, 20 + (size_t)i); /* not the same again and again */
        next = eval_next(session, &token, 1);
        assert_int_equal(next, likeliest(eval(other, &token, 1), vocabulary(model)));
    }
    solo_destroy(session);
    solo_destroy(other);
    free(tokens);
}

static void the_next_token_is_the_likeliest(void **state) {
    (void)state;
    device_here();
    cllm_model *models[] = {tiny(&plain), load("models/demo.gguf")};
    for (size_t i = 0; i < 2; i++) {
        cllm_engine_options options = on_cpu();
        check_next(models[i], &options);
        options = with_gpu(ALL_LAYERS);
        check_next(models[i], &options);
        cllm_model_destroy(models[i]);
    }
}

/* The plain model; one row of output.weight begins with a NaN. */
static cllm_model *damaged(size_t output_row) {
    cllm_error err;
    cllm_gguf *gguf;
    size_t n_bytes;
    const char *path = write_model(&plain);
    assert_ok(cllm_gguf_open(path, NULL, &gguf, &err), &err);
    const cllm_tensor *tensor = cllm_gguf_find_tensor(gguf, "output.weight");
    assert_non_null(tensor);
    const uint64_t offset = tensor->offset + output_row * tensor->shape[0] * sizeof(float);
    cllm_gguf_close(gguf);
    unsigned char *bytes = read_file(path, &n_bytes);
    assert_true(offset + sizeof(float) <= n_bytes);
    const float not_a_number = NAN;
    memcpy(bytes + offset, &not_a_number, sizeof not_a_number);
    path = write_temporary("damaged.gguf", bytes, n_bytes);
    free(bytes);
    return load(path);
}

static void damaged_weights_have_no_next_token(void **state) {
    (void)state;
    device_here();
    static const size_t spoiled[] = {0, 31, N_VOCAB - 1};
    for (size_t i = 0; i < sizeof spoiled / sizeof *spoiled; i++) {
        cllm_model *model = damaged(spoiled[i]);
        const cllm_engine_options options[] = {on_cpu(), with_gpu(1), with_gpu(ALL_LAYERS)};
        for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
            cllm_error err;
            solo *session = create(model, &options[o]);
            const int32_t tokens[] = {1, 2, 3};
            int32_t next;
            assert_error(solo_next(session, tokens, 3, &next, &err), &err, CLLM_ERR_FORMAT, "number");
            assert_error(solo_next(session, tokens, 1, &next, &err), &err, CLLM_ERR_FORMAT, "number");
            const float *logits = eval(session, tokens, 3);
            for (size_t v = 0; v < N_VOCAB; v++) assert_int_equal(isnan(logits[v]) != 0, v == spoiled[i]);
            solo_destroy(session);
        }
        cllm_model_destroy(model);
    }
}

/* ------------------------------------------------------------------------------------- what stops an evaluation */

typedef struct patience {
    uint64_t calls, most; /* calls of progress so far; the first `most` of them return true */
} patience;

static bool progress(void *user, uint64_t done, uint64_t total) {
    patience *p = user;
    assert_true(done <= total);
    return p->calls++ < p->most;
}

static void check_cancelled(const cllm_model *model, uint32_t gpu_layers) {
    cllm_error err;
    const float *logits;
    int32_t *tokens = tokens_of(model, N_TOKENS);
    patience asked = {.most = UINT64_MAX};
    cllm_engine_options options = with_gpu(gpu_layers);
    options.n_batch = 16;
    options.progress = progress;
    options.user = &asked;
    solo *session = create(model, &options);
    eval(session, tokens, 3);
    asked.calls = 0;
    rows want = {.n_vocab = vocabulary(model), .n = 1, .logits = malloc(vocabulary(model) * sizeof *want.logits)};
    assert_non_null(want.logits);
    memcpy(want.logits, eval(session, tokens + 3, 40), want.n_vocab * sizeof *want.logits);
    const uint64_t calls = asked.calls;
    assert_true(calls >= 3); /* each batch asks */
    for (uint64_t most = 0; most < calls; most++) {
        rewind_to(session, 3);
        asked.calls = 0;
        asked.most = most;
        assert_error(solo_eval(session, tokens + 3, 40, &logits, &err), &err, CLLM_ERR_CANCELLED, "cancelled");
        assert_int_equal((solo_length(session) - 3) % options.n_batch, 0); /* only whole batches count */
        assert_int_equal(asked.calls, most + 1);                           /* a "no" takes effect at once */
    }
    asked.most = UINT64_MAX;
    rewind_to(session, 3);
    assert_same(eval(session, tokens + 3, 40), want.logits, want.n_vocab, "after cancelled evaluations", 42);
    free(want.logits);
    free(tokens);
    solo_destroy(session);
}

static void a_cancelled_prompt_leaves_the_position(void **state) {
    (void)state;
    device_here();
    cllm_model *model = tiny(&plain);
    check_cancelled(model, 1);
    check_cancelled(model, ALL_LAYERS);
    cllm_model_destroy(model);
}

static void creation_can_be_cancelled(void **state) {
    (void)state;
    device_here();
    cllm_model *model = tiny(&plain);
    patience asked = {.most = UINT64_MAX};
    cllm_engine_options options = with_gpu(ALL_LAYERS);
    options.progress = progress;
    options.user = &asked;
    solo_destroy(create(model, &options));
    const uint64_t calls = asked.calls;
    assert_true(calls > 0);
    for (uint64_t most = 0; most < calls; most += 5) {
        cllm_error err;
        solo *session;
        asked.calls = 0;
        asked.most = most;
        assert_error(solo_create(model, &options, &session, &err), &err, CLLM_ERR_CANCELLED, "cancelled");
        assert_null(session);
    }
    cllm_model_destroy(model);
}

static void check_refusals(const cllm_model *model, uint32_t gpu_layers) {
    cllm_error err;
    const float *logits;
    int32_t next, *tokens = tokens_of(model, 33);
    cllm_engine_options options = with_gpu(gpu_layers);
    options.n_ctx = 32;
    rows want = each_of(model, &options, tokens, 6);
    solo *session = create(model, &options);
    eval(session, tokens, 5);
    assert_error(solo_eval(session, tokens, 28, &logits, &err), &err, CLLM_ERR_CONTEXT_FULL, "context of 32");
    assert_error(solo_next(session, tokens, 28, &next, &err), &err, CLLM_ERR_CONTEXT_FULL, "");
    assert_error(solo_eval(session, tokens, 0, &logits, &err), &err, CLLM_ERR_ARGUMENT, "no tokens");
    const int32_t negative[] = {1, 2, -1}, beyond[] = {1, 2, (int32_t)vocabulary(model)};
    assert_error(solo_eval(session, negative, 3, &logits, &err), &err, CLLM_ERR_ARGUMENT, "token -1");
    assert_error(solo_next(session, beyond, 3, &next, &err), &err, CLLM_ERR_ARGUMENT, "vocabulary");
    assert_error(solo_truncate(session, 6, &err), &err, CLLM_ERR_ARGUMENT, "truncate");
    assert_int_equal(solo_length(session), 5);
    assert_near(eval(session, tokens + 5, 1), &want, 5, "after refused evaluations", gpu_layers, 5);
    eval(session, tokens + 6, 26); /* and the rest of the context can be used */
    assert_error(solo_eval(session, tokens, 1, &logits, &err), &err, CLLM_ERR_CONTEXT_FULL, "");
    assert_int_equal(solo_length(session), 32);
    solo_destroy(session);
    free(want.logits);
    free(tokens);
}

static void what_cannot_be_evaluated_leaves_the_position(void **state) {
    (void)state;
    device_here();
    cllm_model *model = tiny(&plain);
    check_refusals(model, 1);
    check_refusals(model, ALL_LAYERS);
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------- measuring and counting */

typedef struct launches {
    size_t n, n_copies;
    bool copy_first;
} launches;

static void note_launch(void *user, const char *kernel, double seconds, uint64_t bytes) {
    launches *l = user;
    const bool copy = strcmp(kernel, "copy") == 0;
    if (l->n++ == 0) l->copy_first = copy;
    l->n_copies += copy;
    assert_true(*kernel != '\0' && seconds >= 0 && bytes > 0);
}

/* Evaluates a token and measures each launch, as time_gpu does. The computed values are worthless. */
static cllm_status measure(solo *session, int32_t token, gpu_on_launch on_launch, void *user, cllm_error *err) {
    forward_gpu *forward = session->engine->offload.forward;
    const float *logits;
    cllm_status status = forward_gpu_measure(forward, 2, on_launch, user, err);
    if (status == CLLM_OK) status = solo_eval(session, &token, 1, &logits, err);
    forward_gpu_measure(forward, 0, NULL, NULL, NULL);
    return status == CLLM_OK ? solo_truncate(session, solo_length(session) - 1, err) : status;
}

static uint64_t count_launches(const solo *session) { return cllm_engine_stats(session->engine).gpu_launches; }

static void check_measured(const cllm_model *model, uint32_t gpu_layers) {
    cllm_error err;
    int32_t *tokens = tokens_of(model, 64);
    const cllm_engine_options options = with_gpu(gpu_layers);
    solo *session = create(model, &options), *other = create(model, &options);
    eval(session, tokens, 9);
    eval(other, tokens, 9);
    launches l = {0};
    assert_ok(measure(session, tokens[9], note_launch, &l, &err), &err);
    assert_int_equal(solo_length(session), 9);
    assert_true(l.copy_first);
    assert_int_equal(l.n_copies, 1);
    const uint64_t before = count_launches(other);
    for (size_t i = 9; i < 12; i++) {
        const float *want = eval(other, tokens + i, 1);
        if (i == 9) assert_int_equal(l.n - 1, count_launches(other) - before);
        assert_same(eval(session, tokens + i, 1), want, vocabulary(model), "after measuring", i);
    }
    solo_destroy(session);
    solo_destroy(other);
    free(tokens);
}

static void measuring_leaves_no_trace(void **state) {
    (void)state;
    device_here();
    cllm_model *model = tiny(&plain), *demo = load("models/demo.gguf");
    check_measured(model, 1);
    check_measured(model, ALL_LAYERS);
    check_measured(demo, ALL_LAYERS);
    cllm_model_destroy(model);
    cllm_model_destroy(demo);
}

/* Checks the counters for two tokens after a prompt. If the prompt fills the first chunk, attention takes two launches
 * for each of them. */
static void check_counters(const cllm_model *model, const cllm_engine_options *options, size_t prompt) {
    int32_t *tokens = tokens_of(model, prompt + 2), next = -1;
    solo *session = create(model, options);
    assert_int_equal(count_launches(session), 0);
    assert_int_equal(cllm_engine_stats(session->engine).gpu_bytes, 0);
    eval(session, tokens, prompt);
    for (int with_logits = 0; with_logits < 2; with_logits++) {
        const cllm_stats before = cllm_engine_stats(session->engine);
        if (with_logits)
            eval(session, tokens + prompt, 1);
        else
            next = eval_next(session, tokens + prompt, 1);
        const cllm_stats after = cllm_engine_stats(session->engine);
        const uint64_t n_launches = after.gpu_launches - before.gpu_launches,
                       n_layers = cllm_engine_plan(session->engine)->n_gpu_layers;
        if (options->device) {
            assert_in_range(n_launches, 4 * n_layers, 8 * n_layers + 3);
            assert_true(before.gpu_launches > 0 && after.gpu_bytes > before.gpu_bytes);
            if (n_layers == cllm_model_get_info(model)->n_layers)
                assert_true(after.gpu_bytes - before.gpu_bytes >= cllm_model_get_info(model)->bytes_per_token);
        } else {
            assert_int_equal(after.gpu_launches, 0);
            assert_int_equal(after.gpu_bytes, 0);
        }
    }
    assert_true(next >= 0);
    solo_destroy(session);
    free(tokens);
}

static void launches_are_few_and_counted(void **state) {
    (void)state;
    device_here();
    named_model longer = plain;
    longer.n_ctx = 512;
    cllm_model *models[] = {tiny(&longer), load("models/demo.gguf")};
    for (size_t i = 0; i < 2; i++) {
        const cllm_engine_options options[] = {on_cpu(), with_gpu(1), with_gpu(ALL_LAYERS)};
        for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
            if (i == 0 || o != 1) check_counters(models[i], &options[o], 9);
            if (i == 0) check_counters(models[i], &options[o], LONG);
        }
        cllm_model_destroy(models[i]);
    }
}

/* --------------------------------------------------------------------------------------- plans and devices */

static void check_plan(const cllm_model *model, uint32_t asked, uint32_t n_layers) {
    const tiny_model m = tiny_model_default();
    const cllm_engine_options options = with_gpu(asked);
    solo *session = create(model, &options);
    const cllm_memory_plan *plan = cllm_engine_plan(session->engine);
    const uint64_t position = (uint64_t)m.n_kv_heads * (m.key_length + m.value_length) * sizeof(float);
    assert_int_equal(plan->n_gpu_layers, n_layers);
    assert_true(plan->gpu_kv_cache >= n_layers * position * m.n_ctx);               /* in whole chunks */
    assert_true(plan->gpu_weights > 0 && plan->gpu_weights < plan->weights + 4096); /* norms are padded */
    assert_true(plan->gpu_scratch > 0);
    assert_true(plan->gpu_available == 0 ||
                plan->gpu_weights + plan->gpu_kv_cache + plan->gpu_scratch <= plan->gpu_available);
    assert_true(n_layers < m.n_layers ? plan->kv_cache >= (m.n_layers - n_layers) * position * m.n_ctx
                                      : plan->kv_cache == 0);
    assert_string_equal(cllm_engine_device(session->engine), device_now);
    assert_true(*cllm_engine_device_name(session->engine) != '\0');
    assert_string_equal(cllm_engine_device_note(session->engine), "");
    solo_destroy(session);
}

static void plans_tell_what_is_on_the_gpu(void **state) {
    (void)state;
    device_here();
    cllm_model *model = tiny(&plain);
    check_plan(model, 1, 1);
    check_plan(model, 2, 2);
    check_plan(model, 3, 2);
    check_plan(model, ALL_LAYERS, 2);
    check_plan(model, 0, 2); /* as many as fit */
    const cllm_engine_options options[] = {with_gpu(1), with_gpu(2)};
    solo *one = create(model, &options[0]), *both = create(model, &options[1]);
    assert_int_equal(2 * cllm_engine_plan(one->engine)->gpu_kv_cache, cllm_engine_plan(both->engine)->gpu_kv_cache);
    assert_true(cllm_engine_plan(one->engine)->gpu_weights < cllm_engine_plan(both->engine)->gpu_weights);
    solo_destroy(one);
    solo_destroy(both);
    cllm_model_destroy(model);
}

static void a_gpu_takes_no_q8_0_keys(void **state) {
    (void)state;
    device_here();
    cllm_error err;
    cllm_model *model = tiny(&plain);
    cllm_engine_options options = with_gpu(1);
    solo *session;
    options.kv_type = CLLM_KV_Q8_0;
    assert_error(solo_create(model, &options, &session, &err), &err, CLLM_ERR_DEVICE, "q8_0");
    assert_null(session);
    cllm_model_destroy(model);
}

static void assert_on_cpu(const solo *session) {
    const cllm_memory_plan *plan = cllm_engine_plan(session->engine);
    assert_string_equal(cllm_engine_device(session->engine), "cpu");
    assert_string_equal(cllm_engine_device_name(session->engine), "");
    assert_int_equal(plan->n_gpu_layers, 0);
    assert_true(plan->gpu_weights == 0 && plan->gpu_kv_cache == 0 && plan->gpu_scratch == 0);
    assert_true(plan->kv_cache > 0);
}

/* PoCL's devices are the host's processors, whatever their names are. "auto" must not use them as a GPU. */
static void auto_is_no_processor(void **state) {
    (void)state;
    device_here();
    cllm_model *model = tiny(&plain);
    cllm_engine_options options = with_gpu(ALL_LAYERS);
    solo *session = create(model, &options);
    const char *name = cllm_engine_device_name(session->engine);
    const bool processor = strncmp(name, "cpu", 3) == 0 || strncmp(name, "pthread", 7) == 0 || strstr(name, "CPU");
    solo_destroy(session);
    options.device = "auto";
    session = create(model, &options);
    if (strcmp(cllm_engine_device(session->engine), "cpu") == 0) {
        assert_on_cpu(session);
        assert_true(processor);
        assert_non_null(strstr(cllm_engine_device_note(session->engine), "is no GPU"));
    } else {
        assert_true(!processor || strcmp(cllm_engine_device(session->engine), device_now) != 0);
        assert_true(*cllm_engine_device_name(session->engine) != '\0');
        assert_string_equal(cllm_engine_device_note(session->engine), "");
    }
    eval(session, (const int32_t[]){1, 2, 3}, 3);
    solo_destroy(session);
    options.kv_type = CLLM_KV_Q8_0;
    session = create(model, &options);
    assert_on_cpu(session);
    assert_non_null(strstr(cllm_engine_device_note(session->engine), "q8_0"));
    solo_destroy(session);
    cllm_model_destroy(model);
}

/* The note is the same with and without a GPU. */
static void types_of_the_cpu_alone_are_named(void **state) {
    (void)state;
    static const named_model of_the_cpu = {
        .name = "iq2_s", .type = QUANT_IQ2_S, .n_embd = 256, .key_length = 64, .value_length = 64, .n_ff = 256};
    cllm_model *model = tiny(&of_the_cpu);
    cllm_engine_options options = on_cpu();
    options.device = "auto";
    solo *session = create(model, &options);
    assert_on_cpu(session);
    assert_string_equal(cllm_engine_device_note(session->engine),
                        "the model has tensors of type IQ2_S, which the GPU's kernels do not support");
    eval(session, (const int32_t[]){1, 2, 3}, 3);
    solo_destroy(session);
    cllm_model_destroy(model);
}

static void the_cpu_needs_no_note(void **state) {
    (void)state;
    static const char *const names[] = {NULL, "cpu"};
    cllm_model *model = tiny(&plain);
    for (size_t i = 0; i < 2; i++) {
        cllm_engine_options options = on_cpu();
        options.device = names[i];
        options.gpu_layers = 2; /* this option has no effect here */
        solo *session = create(model, &options);
        assert_on_cpu(session);
        assert_string_equal(cllm_engine_device_note(session->engine), "");
        solo_destroy(session);
    }
    cllm_model_destroy(model);
}

static void a_device_of_no_such_name_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"vulkan", "", "CUDA", "opencl ", "cpu, auto", " auto", "auto,", "open"};
    cllm_model *model = tiny(&plain);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cllm_error err;
        solo *session;
        cllm_engine_options options = on_cpu();
        options.device = names[i];
        assert_error(solo_create(model, &options, &session, &err), &err, CLLM_ERR_ARGUMENT, names[i]);
        assert_null(session);
    }
    cllm_model_destroy(model);
}

int main(int argc, char **argv) { /* [DEVICE] */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_near_the_scalar_cpu),
        cmocka_unit_test(the_demo_model_is_near_the_scalar_cpu),
        cmocka_unit_test(a_context_of_two_chunks_is_near_the_scalar_cpu),
        cmocka_unit_test(exact_has_the_same_bits_for_any_batch),
        cmocka_unit_test(the_next_token_is_the_likeliest),
        cmocka_unit_test(damaged_weights_have_no_next_token),
        cmocka_unit_test(a_cancelled_prompt_leaves_the_position),
        cmocka_unit_test(creation_can_be_cancelled),
        cmocka_unit_test(what_cannot_be_evaluated_leaves_the_position),
        cmocka_unit_test(measuring_leaves_no_trace),
        cmocka_unit_test(launches_are_few_and_counted),
        cmocka_unit_test(plans_tell_what_is_on_the_gpu),
        cmocka_unit_test(a_gpu_takes_no_q8_0_keys),
        cmocka_unit_test(auto_is_no_processor),
    };
    const struct CMUnitTest without_gpu[] = {
        cmocka_unit_test(types_of_the_cpu_alone_are_named),
        cmocka_unit_test(the_cpu_needs_no_note),
        cmocka_unit_test(a_device_of_no_such_name_is_refused),
    };
    static const char *const devices[] = {"opencl", "metal", "cuda"};
    int n_failed = argc > 1 ? 0 : cmocka_run_group_tests_name("sessions without a GPU", without_gpu, NULL, NULL);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char name[100];
        device_now = devices[i];
        if (argc > 1 && strcmp(argv[1], device_now) != 0) continue;
        snprintf(name, sizeof name, "sessions on %s", device_now);
        n_failed += cmocka_run_group_tests_name(name, tests, open_group, NULL);
    }
    return n_failed;
}
