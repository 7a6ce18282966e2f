/* Tests sessions: the forward pass against exact references, and the rule that no split of the work changes a bit. */
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ----------------------------------------------------------------------- running a file's tokens */

static float *all_logits(const cllm_model *model, const cllm_engine_options *options, const int32_t *tokens, size_t n) {
    cllm_error err;
    solo *session;
    float *logits = malloc(n * cllm_model_get_info(model)->n_vocab * sizeof *logits);
    assert_non_null(logits);
    assert_ok(solo_create(model, options, &session, &err), &err);
    assert_ok(solo_each(session, tokens, n, logits, &err), &err);
    solo_destroy(session);
    return logits;
}

static cllm_model *load(const char *path) {
    cllm_error err;
    cllm_model *model;
    assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
    return model;
}

/* ------------------------------------------------------------------- against the shared references */

static size_t read_tokens(const char *path, int32_t *tokens, size_t most) {
    size_t n_bytes, n = 0;
    char *text = (char *)read_file(path, &n_bytes), *at = text;
    while (n < most && *at) {
        tokens[n++] = (int32_t)strtol(at, &at, 10);
        if (*at == ',') at++;
        while (*at == '\n' || *at == ' ') at++;
    }
    free(text);
    return n;
}

static void check_reference(const char *folder, const char *name, double limit) {
    char file[128];
    int32_t tokens[256];
    snprintf(file, sizeof file, "%s/tokens.txt", folder);
    const char *tokens_path = shared_file(file);
    snprintf(file, sizeof file, "%s/%s.gguf", folder, name);
    const char *model_path = shared_file(file);
    snprintf(file, sizeof file, "%s/%s.logits.f32", folder, name);
    const char *logits_path = shared_file(file);
    if (!tokens_path || !model_path || !logits_path) skip();

    size_t n = read_tokens(tokens_path, tokens, 256), n_bytes;
    float *expected = (float *)(void *)read_file(logits_path, &n_bytes);
    cllm_model *model = load(model_path);
    assert_int_equal(n_bytes, n * cllm_model_get_info(model)->n_vocab * sizeof(float));
    cllm_engine_options options = {.kv_type = CLLM_KV_F32, .cpu_isa = "scalar"};
    float *got = all_logits(model, &options, tokens, n);
    double error = nmse(got, expected, n_bytes / sizeof(float));
    if (!(error < limit)) fail_msg("%s: NMSE %.3g is not below %.3g", name, error, limit);
    print_message("%s: NMSE %.3g\n", name, error);
    free(got);
    free(expected);
    cllm_model_destroy(model);
}

/* the exact logits, of float64 arithmetic on the dequantized weights */
static void matches_exact_logits(void **state) { check_reference("vectors", *state, 1e-6); }
/* another engine's logits of other forms of the architecture, each within 1.1e-6 of exact */
static void matches_family_logits(void **state) { check_reference("families", *state, 1e-5); }

/* --------------------------------------------------------------------------- against plain arithmetic */

/* A model of one layer reads one token. At position 0, RoPE changes nothing, and attention over a single token gives
 * its value. So a few loops compute the whole pass. */
static void a_first_token_follows_the_formulas(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.n_layers = 1;
    m.biases = 1;
    cllm_error err;
    cllm_model *model = load(tiny_model_write("formulas.gguf", &m));
    const cllm_gguf *gguf = cllm_model_gguf(model);
#define TENSOR(name) ((const float *)cllm_gguf_find_tensor(gguf, name)->data)
    double x[64], normed[64], value[32], attended[64], gate[96], sum;
    const int token = 17;
    for (int i = 0; i < 64; i++) x[i] = (double)TENSOR("token_embd.weight")[token * 64 + i];

#define NORM(weight)                                 \
    sum = 0;                                         \
    for (int i = 0; i < 64; i++) sum += x[i] * x[i]; \
    for (int i = 0; i < 64; i++) normed[i] = x[i] / sqrt(sum / 64 + (double)1e-5f) * (double)TENSOR(weight)[i];
#define DOT(out, weight, row, in, n) \
    out = 0;                         \
    for (int i = 0; i < n; i++) out += (double)TENSOR(weight)[row * n + i] * in[i];

    NORM("blk.0.attn_norm.weight")
    for (int r = 0; r < 32; r++) {
        DOT(sum, "blk.0.attn_v.weight", r, normed, 64)
        value[r] = sum + (double)TENSOR("blk.0.attn_v.bias")[r];
    }
    for (int r = 0; r < 64; r++) attended[r] = value[r / 32 * 16 + r % 16]; /* two query heads share one value head */
    for (int r = 0; r < 64; r++) {
        DOT(sum, "blk.0.attn_output.weight", r, attended, 64)
        x[r] += sum + (double)TENSOR("blk.0.attn_output.bias")[r];
    }
    NORM("blk.0.ffn_norm.weight")
    for (int r = 0; r < 96; r++) {
        double up;
        DOT(sum, "blk.0.ffn_gate.weight", r, normed, 64)
        DOT(up, "blk.0.ffn_up.weight", r, normed, 64)
        gate[r] = sum / (1 + exp(-sum)) * up;
    }
    for (int r = 0; r < 64; r++) {
        DOT(sum, "blk.0.ffn_down.weight", r, gate, 96)
        x[r] += sum;
    }
    NORM("output_norm.weight")
    float expected[50];
    for (int r = 0; r < 50; r++) {
        DOT(sum, "output.weight", r, normed, 64)
        expected[r] = (float)sum;
    }

    solo *session;
    const float *logits;
    assert_ok(solo_create(model, NULL, &session, &err), &err);
    const int32_t tokens[] = {token};
    assert_ok(solo_eval(session, tokens, 1, &logits, &err), &err);
    assert_true(nmse(logits, expected, 50) < 1e-6); /* keys and values are F16 by default */
    solo_destroy(session);
    cllm_engine_options exact = {.kv_type = CLLM_KV_F32};
    float *got = all_logits(model, &exact, tokens, 1);
    assert_true(nmse(got, expected, 50) < 1e-12);
    free(got);
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------- bit-identity */

static const char *const isas[] = {"scalar", "avx2", "avx512", "neon", "i8mm"};
enum { N_ISAS = sizeof isas / sizeof *isas };

/* Is this instruction set one of this machine's? */
static bool has_isa(const cllm_model *model, const char *isa) {
    cllm_error err;
    solo *session;
    cllm_engine_options options = {.n_ctx = 1, .cpu_isa = isa};
    cllm_status status = solo_create(model, &options, &session, &err);
    if (status != CLLM_OK) return false;
    assert_string_equal(cllm_engine_cpu_isa(session->engine), isa);
    solo_destroy(session);
    return true;
}

static void assert_same_bits(const float *got, const float *want, size_t n, const cllm_engine_options *o) {
    if (memcmp(got, want, n * sizeof *got) != 0)
        fail_msg("%s, type %d of keys and values: other bits with batches of %u and %u threads",
                 o->cpu_isa ? o->cpu_isa : "best", (int)o->kv_type, o->n_batch, o->n_threads);
}

/* Four tensor types, each with and without biases; two of them are tied, so they have no output matrix. */
static void same_bits_however_the_work_is_cut(void **state) {
    (void)state;
    const quant_type types[] = {QUANT_F32, QUANT_F16, QUANT_Q4_0, QUANT_Q8_0};
    for (size_t t = 0; t < 8; t++) {
        tiny_model m = tiny_model_default();
        m.type = types[t / 2];
        m.tied = t / 2 % 2;
        m.biases = t % 2;
        cllm_model *model = load(tiny_model_write("cut.gguf", &m));
        int32_t tokens[60];
        uint64_t random = 5;
        for (int i = 0; i < 60; i++) tokens[i] = (int32_t)(random_u64(&random) % 50);

        cllm_engine_options options = {.n_threads = 1, .n_batch = 512};
        float *expected = all_logits(model, &options, tokens, 60);
        const uint32_t batches[] = {1, 2, 7, 16, 59, 60};
        for (size_t b = 0; b < 6; b++)
            for (options.n_threads = 1; options.n_threads <= 5; options.n_threads += 2) {
                options.n_batch = batches[b];
                float *got = all_logits(model, &options, tokens, 60);
                assert_same_bits(got, expected, 60 * 50, &options);
                free(got);
            }
        free(expected);
        cllm_model_destroy(model);
    }
}

/* Models whose matrices are all of one type of blocks: near the exact logits, and the same bits when repacked. */
static void every_type_of_blocks_computes(void **state) {
    (void)state;
    static const quant_type types[] = {
#define X(name, number, elements, bytes) QUANT_##name,
        COMPUTE_TYPES(X)
#undef X
    };
    enum { N_TOKENS = 20 };
    int32_t tokens[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++) tokens[i] = i * 7 % 50;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        if (quant_type_layout(types[t])->block_elements == 1) continue;
        tiny_model m = tiny_model_default();
        m.type = types[t];
        m.n_embd = m.n_ff = 256;
        m.key_length = m.value_length = 64;
        const char *path = tiny_model_write("blocks.gguf", &m);
        cllm_model *model = load(path), *repacked;
        cllm_error err;
        assert_ok(cllm_model_load(path, &(cllm_load_options){.repack = true}, &repacked, &err), &err);
        cllm_engine_options options = {.cpu_isa = "scalar"};
        float *exact = all_logits(model, &options, tokens, N_TOKENS);
        options = (cllm_engine_options){.n_batch = 0};
        float *got = all_logits(model, &options, tokens, N_TOKENS);
        const double error = nmse(got, exact, N_TOKENS * 50);
        print_message("%s: NMSE %.3g\n", quant_type_layout(types[t])->name, error);
        assert_true(error < 1e-2);
        options.n_batch = 7;
        float *same = all_logits(repacked, &options, tokens, N_TOKENS);
        assert_same_bits(same, got, N_TOKENS * 50, &options);
        free(exact);
        free(got);
        free(same);
        cllm_model_destroy(model);
        cllm_model_destroy(repacked);
    }
}

enum { LONG = 330 }; /* tokens: more than one chunk of keys and values */

/* A prompt, and then token by token. Compares the last logits, which take a shorter way through the last layer. */
static void check_decoding(const cllm_model *model, const cllm_engine_options *options, const int32_t *tokens,
                           const float *expected) {
    cllm_error err;
    solo *session;
    const float *logits;
    assert_ok(solo_create(model, options, &session, &err), &err);
    for (size_t n = 250; n <= LONG; n++) {
        const size_t position = solo_length(session);
        assert_ok(solo_eval(session, tokens + position, n - position, &logits, &err), &err);
        assert_same_bits(logits, expected + (n - 1) * 50, 50, options);
    }
    solo_destroy(session);
}

/* The model is so large that threads are woken for single tokens. It has 8 query heads and 2 key/value heads, whose
 * lengths fill no whole vectors. Every instruction set and type of keys and values is tested. */
static void same_bits_in_a_long_context(void **state) {
    (void)state;
    static const uint32_t batches[] = {1, 2, 3, 7, 16, 64, 512}, threads[] = {1, 2, 3, 5};
    tiny_model m = tiny_model_default();
    m.n_embd = 256;
    m.n_heads = 8;
    m.key_length = 50;
    m.value_length = 36;
    m.n_ff = 480;
    m.n_ctx = 512;
    m.n_layers = 2;
    m.type = QUANT_F16;
    int32_t tokens[LONG];
    uint64_t random = 6, draw = test_seed();
    for (int i = 0; i < LONG; i++) tokens[i] = (int32_t)(random_u64(&random) % 50);
    for (int quantized = 0; quantized < 2; quantized++) {
        if (quantized) {
            m.type = QUANT_Q4_0;
            m.value_length = 64;
        }
        cllm_model *model = load(tiny_model_write("long.gguf", &m));
        for (size_t i = 0; i < N_ISAS * 3; i++) {
            cllm_engine_options options = {.n_threads = 1, .cpu_isa = isas[i / 3], .kv_type = (cllm_kv_type)(i % 3)};
            if (!has_isa(model, options.cpu_isa) || test_leaves_out(&draw)) continue;
            float *expected = all_logits(model, &options, tokens, LONG);
            for (size_t k = i % 3; k < 7 * 4; k += 3) { /* all of them in test_same_bits.c */
                if (test_leaves_out(&draw)) continue;
                options.n_batch = batches[k / 4];
                options.n_threads = threads[k % 4];
                float *got = all_logits(model, &options, tokens, LONG);
                assert_same_bits(got, expected, LONG * 50, &options);
                free(got);
                if (k % 5 < 2) check_decoding(model, &options, tokens, expected);
            }
            free(expected);
        }
        cllm_model_destroy(model);
    }
}

/* With any type of keys and values, and on any instruction set, results differ only by rounding. */
static void faster_ways_stay_close_to_the_exact_one(void **state) {
    (void)state;
    static const double limits[] = {[CLLM_KV_F16] = 1e-5, [CLLM_KV_F32] = 1e-9, [CLLM_KV_Q8_0] = 1e-3};
    tiny_model m = tiny_model_default();
    m.n_ctx = 512;
    cllm_model *model = load(tiny_model_write("close.gguf", &m));
    int32_t tokens[LONG];
    for (int i = 0; i < LONG; i++) tokens[i] = i * 7 % 50;
    cllm_engine_options options = {.cpu_isa = "scalar", .kv_type = CLLM_KV_F32};
    float *exact = all_logits(model, &options, tokens, LONG);
    for (size_t i = 0; i < N_ISAS * 3; i++) {
        options.cpu_isa = isas[i / 3];
        options.kv_type = (cllm_kv_type)(i % 3);
        if (!has_isa(model, options.cpu_isa)) continue;
        float *got = all_logits(model, &options, tokens, LONG);
        double error = nmse(got, exact, LONG * 50);
        print_message("%s, type %d: NMSE %.3g\n", options.cpu_isa, (int)options.kv_type, error);
        assert_true(error < limits[options.kv_type]);
        free(got);
    }
    free(exact);
    cllm_model_destroy(model);
}

static void last_logits_equal_those_of_each(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    cllm_model *model = load(tiny_model_write("last.gguf", &m));
    const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6};
    float *expected = all_logits(model, NULL, tokens, 8);
    cllm_error err;
    solo *session;
    const float *logits;
    assert_ok(solo_create(model, NULL, &session, &err), &err);
    assert_ok(solo_eval(session, tokens, 3, &logits, &err), &err);
    assert_memory_equal(logits, expected + 2 * 50, 50 * sizeof *logits);
    assert_ok(solo_eval(session, tokens + 3, 5, &logits, &err), &err);
    assert_memory_equal(logits, expected + 7 * 50, 50 * sizeof *logits);
    assert_int_equal(solo_length(session), 8);

    /* back to position 2, then other tokens, then the first ones again */
    const int32_t other[] = {8, 8};
    assert_ok(solo_truncate(session, 2, &err), &err);
    assert_ok(solo_eval(session, other, 2, &logits, &err), &err);
    assert_ok(solo_truncate(session, 2, &err), &err);
    assert_ok(solo_eval(session, tokens + 2, 6, &logits, &err), &err);
    assert_memory_equal(logits, expected + 7 * 50, 50 * sizeof *logits);
    solo_destroy(session);
    free(expected);
    cllm_model_destroy(model);
}

/* ----------------------------------------------------------------------------------------- refusals */

static void wrong_calls_leave_the_position(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    cllm_model *model = load(tiny_model_write("wrong.gguf", &m));
    cllm_error err;
    solo *session;
    const float *logits;
    cllm_engine_options options = {.n_ctx = 8};
    assert_ok(solo_create(model, &options, &session, &err), &err);
    const int32_t tokens[9] = {1, 2, 3}, beyond[] = {1, 50}, negative[] = {-1};
    assert_ok(solo_eval(session, tokens, 3, &logits, &err), &err);
    assert_error(solo_eval(session, tokens, 0, &logits, &err), &err, CLLM_ERR_ARGUMENT, "no tokens");
    assert_error(solo_eval(session, beyond, 2, &logits, &err), &err, CLLM_ERR_ARGUMENT, "token 50 is not");
    assert_error(solo_eval(session, negative, 1, &logits, &err), &err, CLLM_ERR_ARGUMENT, "token -1 is not");
    assert_error(solo_eval(session, tokens, 6, &logits, &err), &err, CLLM_ERR_CONTEXT_FULL,
                 "6 tokens after the 3 already there do not fit into a context of 8");
    assert_error(solo_truncate(session, 4, &err), &err, CLLM_ERR_ARGUMENT, "only 3 were evaluated");
    assert_int_equal(solo_length(session), 3);
    assert_ok(solo_eval(session, tokens, 5, &logits, &err), &err);
    assert_error(solo_eval(session, tokens, 1, &logits, &err), &err, CLLM_ERR_CONTEXT_FULL, "context of 8");
    solo_destroy(session);
    cllm_model_destroy(model);
}

typedef struct asked {
    int times, stop_at;
    uint64_t last, total;
} asked;

static bool stop_when_asked(void *user, uint64_t done, uint64_t total) {
    asked *a = user;
    assert_true(done <= total && (a->times == 0 || (done >= a->last && total == a->total)));
    a->last = done;
    a->total = total;
    return ++a->times != a->stop_at;
}

static void a_callback_can_stop_an_evaluation(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    cllm_model *model = load(tiny_model_write("stop.gguf", &m));
    cllm_error err;
    solo *session;
    const float *logits;
    const int32_t tokens[] = {1, 2, 3, 4, 5, 6};
    asked counted = {0};
    cllm_engine_options options = {.n_batch = 2, .progress = stop_when_asked, .user = &counted};
    assert_ok(solo_create(model, &options, &session, &err), &err);
    assert_ok(solo_eval(session, tokens, 6, &logits, &err), &err);
    assert_int_equal(counted.total, 6 * 2); /* tokens times layers */
    assert_int_equal(counted.last, counted.total);
    const int n_times = counted.times;
    for (int stop_at = 1; stop_at <= n_times; stop_at++) { /* wherever it is stopped */
        assert_ok(solo_truncate(session, 0, &err), &err);
        counted = (asked){.stop_at = stop_at};
        assert_error(solo_eval(session, tokens, 6, &logits, &err), &err, CLLM_ERR_CANCELLED, "cancelled");
        assert_int_equal(counted.times, stop_at);
        /* only complete batches count for the length */
        assert_int_equal(solo_length(session), counted.last / (2 * 2) * 2);
    }
    counted = (asked){0};
    assert_ok(solo_truncate(session, 4, &err), &err);
    assert_ok(solo_eval(session, tokens + 4, 2, &logits, &err), &err); /* and it still works */
    float *expected = all_logits(model, NULL, tokens, 6);
    assert_memory_equal(logits, expected + 5 * 50, 50 * sizeof *logits);
    free(expected);
    solo_destroy(session);
    cllm_model_destroy(model);
}

static void options_out_of_range_are_refused(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    cllm_model *model = load(tiny_model_write("options.gguf", &m));
    const struct {
        cllm_engine_options options;
        cllm_status status;
        const char *message;
    } cases[] = {
        {{.n_threads = 1025}, CLLM_ERR_ARGUMENT, "1025 threads"},
        {{.n_batch = 65537}, CLLM_ERR_ARGUMENT, "a batch of 65537"},
        {{.n_ctx = UINT32_MAX}, CLLM_ERR_ARGUMENT, "a context of 4294967295"},
        {{.cpu_isa = "mmx"}, CLLM_ERR_ARGUMENT, "'mmx' is not one of: scalar"},
        {{.kv_type = (cllm_kv_type)7}, CLLM_ERR_ARGUMENT, "type 7"},
        {{.n_ctx = INT32_MAX}, CLLM_ERR_MEMORY, "a context of 2147483647 needs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cllm_error err;
        solo *session;
        assert_error(solo_create(model, &cases[i].options, &session, &err), &err, cases[i].status, cases[i].message);
        assert_null(session);
    }
    cllm_model_destroy(model);
}

/* -------------------------------------------------------------------------------------------- memory */

static void the_plan_names_what_is_needed(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    cllm_model *model = load(tiny_model_write("plan.gguf", &m));
    cllm_error err;
    cllm_memory_plan plan, larger;
    cllm_engine_options options = {.n_ctx = 32, .kv_type = CLLM_KV_F16};
    assert_ok(cllm_plan_memory(cllm_model_gguf(model), &options, &plan, &err), &err);
    const uint64_t elements = 2 * 2 * 256 * (16 + 16); /* layers, heads, positions (a whole chunk), key and value */
    assert_int_equal(plan.kv_cache, elements * 2);
    assert_int_equal(plan.n_ctx, 32);
    assert_false(plan.n_ctx_capped);
    options.kv_type = CLLM_KV_Q8_0;
    assert_ok(cllm_plan_memory(cllm_model_gguf(model), &options, &larger, &err), &err);
    assert_int_equal(larger.kv_cache, elements + 2 * 2 * 256 * 2 * sizeof(float)); /* and two scales a position */
    options.n_ctx = 257;
    options.kv_type = CLLM_KV_F32;
    assert_ok(cllm_plan_memory(cllm_model_gguf(model), &options, &larger, &err), &err);
    assert_int_equal(larger.kv_cache, 4 * plan.kv_cache);
    assert_true(larger.scratch > plan.scratch);
    assert_int_equal(larger.weights, plan.weights);
    cllm_model_destroy(model);
}

static void a_context_left_open_is_capped_to_memory(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.n_ctx =
        INT32_MAX; /* as the file claims: 2^31 positions of 256 bytes, more than any machine has for a thousand texts */
    cllm_model *model = load(tiny_model_write("capped.gguf", &m));
    const cllm_engine_options options = {.n_sequences = 1000};
    cllm_error err;
    cllm_memory_plan plan;
    assert_ok(cllm_plan_memory(cllm_model_gguf(model), &options, &plan, &err), &err);
    assert_true(plan.n_ctx_capped);
    assert_true(plan.n_ctx >= 64 && plan.n_ctx < INT32_MAX);
    assert_true(plan.kv_cache + plan.scratch <= plan.available);
    cllm_model_destroy(model);
}

/* With one layer, a token with a window of w gets the same result as at the end of a text of its last w tokens. */
static void a_window_is_as_long_as_the_file_says(void **state) {
    (void)state;
    enum { N = 40, WINDOW = 11 };
    tiny_model m = tiny_model_default();
    m.n_layers = 1;
    m.window = WINDOW;
    cllm_model *model = load(tiny_model_write("window.gguf", &m));
    const cllm_engine_options options = {.kv_type = CLLM_KV_F32, .cpu_isa = "scalar", .n_batch = 7};
    int32_t tokens[N];
    for (int i = 0; i < N; i++) tokens[i] = (i * i + 3 * i) % 50;
    float *got = all_logits(model, &options, tokens, N);
    for (int end = WINDOW; end <= N; end++) {
        float *want = all_logits(model, &options, tokens + end - WINDOW, WINDOW);
        float *more = all_logits(model, &options, tokens + end - WINDOW + 1, WINDOW - 1);
        const float *last = got + (size_t)(end - 1) * m.n_vocab;
        assert_true(nmse(last, want + (size_t)(WINDOW - 1) * m.n_vocab, m.n_vocab) < 1e-9);
        assert_true(nmse(last, more + (size_t)(WINDOW - 2) * m.n_vocab, m.n_vocab) > 1e-7);
        free(want);
        free(more);
    }
    free(got);
    cllm_model_destroy(model);
}

/* A model with divisors of RoPE's frequencies: one list ("rope_freqs"), or both lists of LongRoPE (only is NULL). Its
 * original context is 32; the stretched one is larger than any memory. */
static cllm_model *longrope_model(const char *only, float of_only) {
    tiny_model m = tiny_model_default();
    m.n_ctx = INT32_MAX;
    gguf_builder g;
    builder_init(&g);
    tiny_model_metadata(&g, &m);
    builder_u32(&g, "llama.rope.scaling.original_context_length", 32);
    tiny_model_tensors(&g, &m);
    const char *const names[] = {"rope_factors_long.weight", "rope_factors_short.weight"};
    const float values[] = {7, 1.5f};
    for (size_t i = 0; i < 2; i++) {
        float factors[8];
        for (size_t j = 0; j < 8; j++) factors[j] = only ? of_only : values[i];
        if (!only || i == 0) builder_tensor(&g, only ? only : names[i], 0, 1, (uint64_t[]){8}, factors, sizeof factors);
    }
    return load(builder_write(&g, "longrope.gguf"));
}

/* Long factors only where more than the original context was asked for, whatever memory is free. */
static void longrope_follows_what_was_asked(void **state) {
    (void)state;
    enum { N = 20 };
    const struct {
        uint32_t asked, n_ctx;
        float factor;
    } cases[] = {{0, 32, 1.5f}, {20, 20, 1.5f}, {32, 32, 1.5f}, {33, 33, 7}, {100, 100, 7}};
    int32_t tokens[N];
    for (int i = 0; i < N; i++) tokens[i] = i * 7 % 50;
    cllm_model *model = longrope_model(NULL, 0);
    const size_t n_bytes = N * cllm_model_get_info(model)->n_vocab * sizeof(float);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cllm_engine_options options = {.n_ctx = cases[i].asked};
        solo *session;
        cllm_memory_plan plan;
        cllm_error err;
        assert_ok(solo_create(model, &options, &session, &err), &err);
        assert_ok(cllm_plan_memory(cllm_model_gguf(model), &options, &plan, &err), &err);
        assert_int_equal(cllm_engine_plan(session->engine)->n_ctx, cases[i].n_ctx);
        assert_int_equal(plan.n_ctx, cases[i].n_ctx);
        assert_false(plan.n_ctx_capped);
        solo_destroy(session);

        float *got = all_logits(model, &options, tokens, N);
        cllm_model *of_one = longrope_model("rope_freqs.weight", cases[i].factor);
        options.n_ctx = 64;
        float *want = all_logits(of_one, &options, tokens, N);
        assert_memory_equal(got, want, n_bytes);
        cllm_model_destroy(of_one);
        free(got);
        free(want);
    }
    cllm_model_destroy(model);
}

/* A session's peak: the file's mapped pages, its keys and values, and at most 64 MiB. A child measures itself. */
static void peak_memory_has_one_copy_of_the_weights(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* its shadow memory counts too */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    skip();
#endif
#endif
    tiny_model m = tiny_model_default();
    m.n_layers = 4;
    m.n_embd = m.n_ff = 2048;
    m.n_heads = 16;
    m.n_kv_heads = 4;
    m.key_length = m.value_length = 128;
    m.n_ctx = 2048;
    m.type = QUANT_Q8_0;
    const char *path = tiny_model_write("large.gguf", &m);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        cllm_model *model = load(path);
        solo *session;
        const float *logits;
        static int32_t tokens[512];
        cllm_error err;
        bool sound = solo_create(model, NULL, &session, &err) == CLLM_OK &&
                     solo_eval(session, tokens, 512, &logits, &err) == CLLM_OK;
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
        const int64_t unit = 1;
#else
        const int64_t unit = 1024;
#endif
        int64_t spare = (int64_t)(cllm_gguf_n_bytes(cllm_model_gguf(model)) +
                                  cllm_engine_plan(session->engine)->kv_cache + ((uint64_t)64 << 20)) -
                        (int64_t)usage.ru_maxrss * unit;
        _exit(sound && write(ends[1], &spare, sizeof spare) == sizeof spare ? 0 : 1);
    }
    int status;
    int64_t spare;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], &spare, sizeof spare), sizeof spare);
    close(ends[0]);
    close(ends[1]);
    print_message("%.1f MiB below the limit\n", (double)spare / (1 << 20));
    assert_true(spare >= 0);
}

/* NAME.scale is a factor of all weights of a tensor, as in files of NVFP4; NAME.input_scale is not used. The factor is
 * a power of two, so the result is exact. */
static void scales_of_tensors_multiply_their_products(void **state) {
    (void)state;
    static const int32_t tokens[] = {1, 7, 3};
    const float scales[] = {1, 2, 0.5f, 0};
    const tiny_model m = tiny_model_default();
    float *logits[4];
    for (size_t i = 0; i < 4; i++) {
        const uint64_t one = 1;
        gguf_builder g;
        builder_init(&g);
        tiny_model_metadata(&g, &m);
        tiny_model_tensors(&g, &m);
        if (i > 0) builder_tensor(&g, "output.scale", QUANT_F32, 1, &one, &scales[i], sizeof *scales);
        if (i > 0) builder_tensor(&g, "blk.0.ffn_up.input_scale", QUANT_F32, 1, &one, &scales[i], sizeof *scales);
        const char *path = builder_write(&g, "scaled.gguf");
        cllm_model *model = NULL;
        solo *session = NULL;
        const float *got;
        cllm_error err;
        assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
        assert_ok(solo_create(model, NULL, &session, &err), &err);
        assert_ok(solo_eval(session, tokens, 3, &got, &err), &err);
        logits[i] = malloc(m.n_vocab * sizeof **logits);
        assert_non_null(logits[i]);
        memcpy(logits[i], got, m.n_vocab * sizeof **logits);
        solo_destroy(session);
        cllm_model_destroy(model);
    }
    for (size_t i = 1; i < 4; i++)
        for (size_t k = 0; k < m.n_vocab; k++) assert_true(logits[i][k] == scales[i] * logits[0][k]);
    assert_true(logits[0][0] != 0);
    for (size_t i = 0; i < 4; i++) free(logits[i]);
}

/* A model with the first number of a vector or matrix replaced. */
static cllm_model *spoiled(const char *tensor_name, float value) {
    tiny_model m = tiny_model_default();
    m.biases = 1;
    const char *path = tiny_model_write("spoiled.gguf", &m);
    cllm_error err;
    cllm_gguf *gguf;
    size_t n_bytes;
    assert_ok(cllm_gguf_open(path, NULL, &gguf, &err), &err);
    const cllm_tensor *tensor = cllm_gguf_find_tensor(gguf, tensor_name);
    assert_non_null(tensor);
    const uint64_t offset = tensor->offset;
    cllm_gguf_close(gguf);
    unsigned char *bytes = read_file(path, &n_bytes);
    memcpy(bytes + offset, &value, sizeof value);
    path = write_temporary("spoiled.gguf", bytes, n_bytes);
    free(bytes);
    return load(path);
}

/* Evaluates some tokens with each type of keys and values. status: by type. name, message: what an error must have. */
static void check_diagnosis(const cllm_model *model, const cllm_status status[3], const char *name,
                            const char *message) {
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        const cllm_engine_options options = {.kv_type = (cllm_kv_type)type};
        const int32_t tokens[] = {1, 2, 3};
        int32_t next;
        cllm_error err;
        const float *logits;
        solo *session;
        assert_ok(solo_create(model, &options, &session, &err), &err);
        if (status[type] == CLLM_OK) {
            assert_ok(solo_next(session, tokens, 3, &next, &err), &err);
        } else {
            assert_error(solo_next(session, tokens, 3, &next, &err), &err, status[type], message);
            assert_string_equal(err.name, name);
            assert_ok(solo_eval(session, tokens, 3, &logits, &err), &err); /* and for callers who sample */
            assert_error(cllm_sequence_diagnose(session->sequence, &err), &err, status[type], message);
        }
        solo_destroy(session);
    }
}

static void logits_that_are_not_finite_are_explained(void **state) {
    (void)state;
    const cllm_status F = CLLM_ERR_FORMAT, U = CLLM_ERR_UNSUPPORTED;
    static const char *const too_large[] = {"blk.1.attn_k.bias", "blk.0.attn_v.bias"};
    for (int i = 0; i < 2; i++) {
        cllm_model *model = spoiled(too_large[i], 1e6f);
        check_diagnosis(model, (const cllm_status[]){U, CLLM_OK, CLLM_OK}, "kv_type", "beyond the range of float16");
        cllm_model_destroy(model);
    }
    static const float no_numbers[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        cllm_model *model = spoiled("blk.1.attn_k.bias", no_numbers[i]);
        check_diagnosis(
            model, (const cllm_status[]){F, F, F}, "blk.1.attn_k.bias",
            "'blk.1.attn_k.bias' of the model holds a number that is not finite: the file is probably damaged");
        cllm_model_destroy(model);
    }
}

int main(void) {
#define EXACT(name) \
    { "exact logits " name, matches_exact_logits, NULL, NULL, (void *)(uintptr_t)name }
#define FAMILY(name) \
    { "family logits " name, matches_family_logits, NULL, NULL, (void *)(uintptr_t)name }
    const struct CMUnitTest tests[] = {
        EXACT("F32"),
        EXACT("F16"),
        EXACT("BF16"),
        EXACT("Q4_0"),
        EXACT("Q4_1"),
        EXACT("Q5_0"),
        EXACT("Q5_1"),
        EXACT("Q8_0"),
        EXACT("Q2_K"),
        EXACT("Q3_K"),
        EXACT("Q4_K"),
        EXACT("Q5_K"),
        EXACT("Q6_K"),
        EXACT("IQ4_NL"),
        EXACT("IQ4_XS"),
        FAMILY("llama"),
        FAMILY("llama3"),
        FAMILY("llama-tied"),
        FAMILY("llama-headdim"),
        FAMILY("llama-bias"),
        FAMILY("llama-linear"),
        FAMILY("llama-yarn"),
        cmocka_unit_test(scales_of_tensors_multiply_their_products),
        cmocka_unit_test(a_first_token_follows_the_formulas),
        cmocka_unit_test(same_bits_however_the_work_is_cut),
        cmocka_unit_test(every_type_of_blocks_computes),
        cmocka_unit_test(same_bits_in_a_long_context),
        cmocka_unit_test(faster_ways_stay_close_to_the_exact_one),
        cmocka_unit_test(last_logits_equal_those_of_each),
        cmocka_unit_test(wrong_calls_leave_the_position),
        cmocka_unit_test(a_callback_can_stop_an_evaluation),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(the_plan_names_what_is_needed),
        cmocka_unit_test(a_context_left_open_is_capped_to_memory),
        cmocka_unit_test(longrope_follows_what_was_asked),
        cmocka_unit_test(a_window_is_as_long_as_the_file_says),
        cmocka_unit_test(peak_memory_has_one_copy_of_the_weights),
        cmocka_unit_test(logits_that_are_not_finite_are_explained),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
