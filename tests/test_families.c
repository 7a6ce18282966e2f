/* Tests model families against a reference: small random models of each family and form, with the logits that
 * llama.cpp computes for them. The logits must agree, and must be the same bits however the tokens are split.
 *
 * The folders are families/ and families2/ of the shared folder, or $MINICLLM_FAMILIES with the same files
 * (NAME.gguf, NAME.logits.f32, tokens.txt, llama.cpp-nmse.tsv). */
#include "base/half.h"
#include "support/check.h"
#include "support/gguf_builder.h"
#include "support/solo.h"

#include "engine/engine.h"
#include "gguf/quant_types.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_TOKENS = 128,
    MOST_FAMILIES = 128,
    N_CTX = 4096 /* the reference's context, unless the model's context is smaller */
};

enum { MOST_FOLDERS = 2 };

static struct {
    char folders[MOST_FOLDERS][1024];
    size_t n_folders;
    int32_t tokens[MOST_TOKENS];
    size_t n_tokens;
} reference;

typedef struct family {
    char name[64];
    double peer_nmse;  /* error of the reference against exact arithmetic */
    double peer_split; /* the same between all tokens at once and one after another; 0 or NaN: not known */
    size_t folder;
} family;

static family families[MOST_FAMILIES];
static size_t n_families;

static const char *path_in(size_t folder, const char *name, const char *suffix) {
    static char path[1200];
    snprintf(path, sizeof path, "%s/%s%s", reference.folders[folder], name, suffix);
    return path;
}

static const char *path_of(const char *name, const char *suffix) {
    size_t folder = 0;
    for (size_t i = 0; i < n_families; i++)
        if (strcmp(families[i].name, name) == 0) folder = families[i].folder;
    return path_in(folder, name, suffix);
}

/* How the tokens are evaluated. */
typedef struct run {
    cllm_kv_type kv_type;
    uint32_t n_batch, n_threads;
    const char *isa;
} run;

/* Returns [n_tokens][n_vocab]; release with free(). */
static float *logits_of(const cllm_model *model, run how) {
    const bool learned = cllm_gguf_find_tensor(cllm_model_gguf(model), "position_embd.weight"); /* learned positions */
    const cllm_engine_options options = {.n_ctx = learned ? 0 : N_CTX,
                                         .n_batch = how.n_batch,
                                         .n_threads = how.n_threads,
                                         .kv_type = how.kv_type,
                                         .cpu_isa = how.isa};
    const size_t n_vocab = cllm_model_get_info(model)->n_vocab;
    float *rows = calloc(reference.n_tokens * n_vocab, sizeof *rows);
    solo *session = NULL;
    cllm_error err;
    assert_non_null(rows);
    assert_ok(solo_create(model, &options, &session, &err), &err);
    assert_ok(solo_each(session, reference.tokens, reference.n_tokens, rows, &err), &err);
    solo_destroy(session);
    return rows;
}

/* The same for a model that makes embeddings: [n_tokens][n_embd_out] with CLLM_POOLING_NONE, otherwise one row for the
 * whole text. */
static float *embeddings_of(const cllm_model *model, cllm_pooling pooling, run how) {
    const cllm_engine_options options = {.n_batch = how.n_batch,
                                         .n_threads = how.n_threads,
                                         .kv_type = how.kv_type,
                                         .cpu_isa = how.isa,
                                         .pooling = pooling,
                                         .raw_embeddings = true};
    cllm_engine *engine;
    cllm_sequence *sequence;
    cllm_error err;
    assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
    const size_t n = (pooling == CLLM_POOLING_NONE ? reference.n_tokens : 1) * cllm_engine_n_embd_out(engine);
    float *rows = calloc(n, sizeof *rows);
    assert_non_null(rows);
    assert_ok(cllm_sequence_create(engine, &sequence, &err), &err);
    cllm_span span = {
        .sequence = sequence, .tokens = reference.tokens, .count = reference.n_tokens, .want = CLLM_WANT_EMBEDDING};
    assert_ok(cllm_eval(engine, &span, 1, &err), &err);
    memcpy(rows, span.rows, n * sizeof *rows);
    cllm_sequence_destroy(sequence);
    cllm_engine_destroy(engine);
    return rows;
}

/* Logits of each token; from an encoder, embeddings. n: out, the number of all values. */
static float *rows_of(const cllm_model *model, run how, size_t *n) {
    const cllm_model_info *info = cllm_model_get_info(model);
    *n = reference.n_tokens * (info->is_encoder ? info->n_embd_out : info->n_vocab);
    return info->is_encoder ? embeddings_of(model, CLLM_POOLING_NONE, how) : logits_of(model, how);
}

static double number_of(const cllm_gguf *gguf, const char *key) {
    const cllm_value *value = cllm_gguf_find(gguf, key);
    assert_non_null(value);
    return value->type == CLLM_FLOAT32 ? value->f : (double)value->u;
}

/* The authors of gpt-oss do not round the ends of YaRN's ramp, but llama.cpp, which made the reference logits, does.
 * This returns the beta that puts the end of the ramp at the rounded pair. (At the beginning of the ramp both agree: it
 * is the first pair.) */
static double rounded_beta_slow(const family *of) {
    cllm_gguf *gguf;
    cllm_error err;
    assert_ok(cllm_gguf_open(path_of(of->name, ".gguf"), NULL, &gguf, &err), &err);
    const double context = number_of(gguf, "gpt-oss.rope.scaling.original_context_length");
    const double length = number_of(gguf, "gpt-oss.attention.key_length");
    const double per_pair = 2 * log(number_of(gguf, "gpt-oss.rope.freq_base")) / length,
                 turns = context / (2 * acos(-1));
    const double begin = log(turns / number_of(gguf, "gpt-oss.rope.scaling.yarn_beta_fast")) / per_pair;
    const double end = log(turns / number_of(gguf, "gpt-oss.rope.scaling.yarn_beta_slow")) / per_pair;
    assert_true(begin <= 0);
    cllm_gguf_close(gguf);
    return turns * exp(-ceil(end) * per_pair);
}

/* For mistral4, llama.cpp uses YaRN's usual betas, whatever the file says. So load() does, too. */
static cllm_model *load(const family *of, bool repack) {
    const bool rounds = strncmp(of->name, "gpt-oss", 7) == 0, usual = strcmp(of->name, "mistral4") == 0;
    const cllm_metadata overrides[] = {
        {".rope.scaling.yarn_beta_slow", {.type = CLLM_FLOAT64, .f = rounds ? rounded_beta_slow(of) : 1}},
        {".rope.scaling.yarn_beta_fast", {.type = CLLM_FLOAT64, .f = 32}}};
    const cllm_load_options options = {.repack = repack,
                                       .overrides = overrides,
                                       .n_overrides = usual    ? 2
                                                      : rounds ? 1
                                                               : 0};
    cllm_model *model = NULL;
    cllm_error err;
    assert_ok(cllm_model_load(path_of(of->name, ".gguf"), &options, &model, &err), &err);
    return model;
}

/* True if the architecture is refused by name. Then there is nothing to test yet. */
static bool is_unknown(const family *of) {
    cllm_model *model = NULL;
    cllm_error err;
    const cllm_status status = cllm_model_load(path_of(of->name, ".gguf"), NULL, &model, &err);
    cllm_model_destroy(model);
    return status == CLLM_ERR_UNSUPPORTED && strcmp(err.name, "general.architecture") == 0;
}

/* The reference rounds the activations of F16 matrices to 16 bits and those of MXFP4 matrices to 8, and our fast paths
 * do the latter, too. So both can be about peer_nmse from exact values. In the worst case the two errors add up, and
 * then the NMSE between both is 4 times as large. The reference also gives other logits if its tokens come one after
 * another; the limit allows for that in the same way. */
static double limit_of(const family *of) {
    return fmax(1e-5, 4 * fmax(of->peer_nmse > 1e-5 ? of->peer_nmse : 0, of->peer_split));
}

static void agrees(void **state) {
    const family *of = *state;
    if (is_unknown(of)) skip();
    cllm_model *model = load(of, false);
    size_t n_bytes;
    const bool embeds = access(path_of(of->name, ".embd.f32"), F_OK) == 0;
    unsigned char *want = read_file(path_of(of->name, embeds ? ".embd.f32" : ".logits.f32"), &n_bytes);
    const cllm_model_info *info = cllm_model_get_info(model);
    const size_t n = reference.n_tokens * (embeds ? info->n_embd_out : info->n_vocab);
    assert_int_equal(n_bytes, n * sizeof(float));
    const double limit = limit_of(of);
    static const char *const isas[] = {"scalar", NULL};
    for (size_t i = 0; i < 2; i++) {
        const run how = {CLLM_KV_F32, 0, 2, isas[i]};
        float *got = embeds ? embeddings_of(model, CLLM_POOLING_NONE, how) : logits_of(model, how);
        const double error = nmse(got, (const float *)(const void *)want, n);
        print_message("# %s, %s: NMSE %.2e\n", of->name, isas[i] ? isas[i] : "the best", error);
        if (!(error <= limit)) fail_msg("%s: NMSE %.3e, more than %.1e", of->name, error, limit);
        free(got);
    }
    free(want);
    cllm_model_destroy(model);
}

/* The embedding of the whole text; that of the reference has length 1. */
static void pools(void **state) {
    const family *of = *state;
    if (is_unknown(of)) skip();
    cllm_model *model = load(of, false);
    const size_t n = cllm_model_get_info(model)->n_embd_out;
    size_t n_bytes;
    unsigned char *bytes = read_file(path_of(of->name, ".pooled.f32"), &n_bytes);
    assert_int_equal(n_bytes, n * sizeof(float));
    const float *want = (const float *)(const void *)bytes;
    float *got = embeddings_of(model, CLLM_POOLING_MODEL, (run){CLLM_KV_F32, 0, 2, NULL});
    double product = 0, squares = 0, wanted = 0;
    for (size_t i = 0; i < n; i++) {
        product += (double)got[i] * (double)want[i];
        squares += (double)got[i] * (double)got[i];
        wanted += (double)want[i] * (double)want[i];
    }
    const double distance = 1 - product / sqrt(squares * wanted);
    print_message("# %s: cosine distance %.2e\n", of->name, distance);
    if (!(distance <= 1e-6)) fail_msg("%s: cosine distance %.3e", of->name, distance);
    free(got);
    free(bytes);
    cllm_model_destroy(model);
}

static void compare_batches(const family *of, const cllm_model *model, cllm_kv_type type, const char *what) {
    const run runs[] = {{type, 0, 2, NULL}, {type, 1, 1, NULL}, {type, 7, 2, NULL}, {type, 33, 1, NULL}};
    size_t n;
    float *want = rows_of(model, runs[0], &n);
    for (size_t i = 1; i < sizeof runs / sizeof *runs; i++) {
        float *got = rows_of(model, runs[i], &n);
        if (memcmp(got, want, n * sizeof *got) != 0)
            fail_msg("%s, %s: batches of %u give other bits (keys and values of type %d)", of->name, what,
                     runs[i].n_batch, (int)type);
        free(got);
    }
    free(want);
}

static void same_bits(void **state) {
    const family *of = *state;
    if (is_unknown(of)) skip();
    static const cllm_kv_type types[] = {CLLM_KV_F16, CLLM_KV_F32, CLLM_KV_Q8_0};
    size_t chosen[3];
    const size_t n = test_draw(3, test_sanitized() ? 1 : 3, chosen);
    for (size_t i = 0; i < n; i++) {
        const size_t t = chosen[i];
        cllm_model *model = load(of, t == 1);
        compare_batches(of, model, types[t], "as it is");
        cllm_model_destroy(model);
    }
}

/* Q8_0: 32 values and their scale. values: [n], as halfs; n: a multiple of 32. */
static unsigned char *to_q8_0(const uint16_t *values, size_t n) {
    unsigned char *blocks = malloc(n / 32 * 34);
    assert_non_null(blocks);
    for (size_t i = 0; i < n; i += 32) {
        unsigned char *block = blocks + i / 32 * 34;
        float most = 0;
        for (size_t k = 0; k < 32; k++) most = fmaxf(most, fabsf(f32_from_f16(values[i + k])));
        const uint16_t scale = f16_from_f32(most / 127);
        memcpy(block, &scale, sizeof scale);
        for (size_t k = 0; k < 32; k++)
            block[2 + k] =
                (unsigned char)(signed char)(most > 0 ? lrintf(f32_from_f16(values[i + k]) / most * 127) : 0);
    }
    return blocks;
}

/* Copies all keys of a file except those of its tokenizer. */
static void copy_keys(gguf_builder *g, const cllm_gguf *gguf) {
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        const cllm_metadata *m = cllm_gguf_metadata(gguf, i);
        if (strncmp(m->key, "tokenizer.", 10) != 0) builder_copy(g, m->key, &m->value);
    }
}

/* Writes the file with its F16 matrices as Q8_0, and without its tokenizer. */
static const char *write_quantized(const cllm_gguf *gguf) {
    enum { Q8_0 = 8, F16 = 1 };
    gguf_builder g;
    builder_init(&g);
    copy_keys(&g, gguf);
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        const size_t n = (size_t)(t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3]);
        const bool changes = t->type == F16 && t->n_dims > 1 && t->shape[0] % 32 == 0;
        unsigned char *blocks = changes ? to_q8_0(t->data, n) : NULL;
        builder_tensor(&g, t->name, changes ? Q8_0 : (uint32_t)t->type, t->n_dims, t->shape, changes ? blocks : t->data,
                       changes ? n / 32 * 34 : (size_t)t->n_bytes);
        free(blocks);
    }
    return builder_write(&g, "quantized.gguf");
}

/* The fast paths quantize the vectors that are multiplied with Q8_0 matrices, and the bits must still be the same. The
 * results must be close to the scalar path's, which quantizes no vectors. The limit is wide, because mixtures may
 * choose other experts. */
static void same_bits_quantized(void **state) {
    const family *of = *state;
    if (is_unknown(of)) skip();
    cllm_model *model = load(of, false);
    const char *path = write_quantized(cllm_model_gguf(model));
    cllm_model_destroy(model);
    cllm_error err;
    assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
    compare_batches(of, model, CLLM_KV_F16, "as Q8_0");
    size_t n;
    float *scalar = rows_of(model, (run){CLLM_KV_F32, 0, 2, "scalar"}, &n);
    float *best = rows_of(model, (run){CLLM_KV_F32, 0, 2, NULL}, &n);
    const double error = nmse(best, scalar, n);
    if (!(error <= 0.05)) fail_msg("%s as Q8_0: NMSE %.3e to the scalar path", of->name, error);
    free(scalar);
    free(best);
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------------- short contexts */

enum { N_SHORT = 8 };

/* Evaluates N_SHORT texts, each of which fills a context: first one by one, then all in one call, in which a batch has
 * more rows than a context has positions. The bits must be the same. */
static void compare_full_contexts(const cllm_model *model, const char *name, uint32_t n_ctx, uint32_t n_batch) {
    const cllm_model_info *info = cllm_model_get_info(model);
    const size_t n = (size_t)n_ctx * (info->is_encoder ? info->n_embd_out : info->n_vocab);
    float *want = calloc(N_SHORT * n, sizeof *want);
    int32_t *tokens = calloc(N_SHORT + n_ctx, sizeof *tokens);
    assert_true(want && tokens);
    for (size_t i = 0; i < N_SHORT + n_ctx; i++) tokens[i] = reference.tokens[i * i % reference.n_tokens];
    for (int together = 0; together < 2; together++) {
        const cllm_engine_options options = {.n_ctx = n_ctx,
                                             .n_batch = n_batch,
                                             .n_threads = together ? 2 : 1,
                                             .n_sequences = together ? N_SHORT : 1,
                                             .n_positions = N_SHORT * kv_chunks(n_ctx) * KV_CHUNK,
                                             .pooling = info->is_encoder ? CLLM_POOLING_NONE : CLLM_POOLING_MODEL};
        const size_t n_spans = together ? N_SHORT : 1;
        cllm_engine *engine;
        cllm_span spans[N_SHORT];
        cllm_error err;
        assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
        assert_int_equal(engine->n_batch > n_ctx, together);
        for (size_t i = 0; i < n_spans; i++)
            spans[i] = (cllm_span){.count = n_ctx, .want = info->is_encoder ? CLLM_WANT_EMBEDDING : CLLM_WANT_EACH};
        for (size_t i = 0; i < N_SHORT; i += n_spans) {
            for (size_t k = 0; k < n_spans; k++) {
                assert_ok(cllm_sequence_create(engine, &spans[k].sequence, &err), &err);
                spans[k].tokens = tokens + i + k;
            }
            assert_ok(cllm_eval(engine, spans, n_spans, &err), &err);
            for (size_t k = 0; k < n_spans; k++) {
                if (!together)
                    memcpy(want + i * n, spans[k].rows, n * sizeof *want);
                else if (memcmp(spans[k].rows, want + k * n, n * sizeof *want) != 0)
                    fail_msg("%s: in a context of %u text %zu has other bits in company", name, n_ctx, k);
                cllm_sequence_destroy(spans[k].sequence);
            }
        }
        cllm_engine_destroy(engine);
    }
    free(tokens);
    free(want);
}

static void full_contexts_share_a_batch(void **state) {
    const family *of = *state;
    if (is_unknown(of)) skip();
    cllm_model *model = load(of, false);
    compare_full_contexts(model, of->name, 16, 0);
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------------- encoders */

/* Texts shorter and longer than a batch and a page, alone and all in one call: the same bits. Afterwards no sequence
 * holds any page. */
static void embeds_in_company(void **state) {
    enum { N_TEXTS = 7, LONGEST = 600, N_BATCH = 64 };
    static const size_t counts[N_TEXTS] = {5, 1, 600, 17, 64, 65, 300};
    const family *of = *state;
    if (is_unknown(of)) skip();
    cllm_model *model = load(of, false);
    const cllm_model_info *info = cllm_model_get_info(model);
    if (!info->is_encoder) {
        cllm_model_destroy(model);
        skip();
    }
    int32_t tokens[N_TEXTS + LONGEST];
    for (size_t i = 0; i < N_TEXTS + LONGEST; i++) tokens[i] = reference.tokens[i * i % reference.n_tokens];
    float *want = calloc((size_t)N_TEXTS * info->n_embd_out, sizeof *want);
    assert_non_null(want);
    const size_t bytes = info->n_embd_out * sizeof *want;
    for (int together = 0; together < 2; together++) {
        cllm_engine *engine;
        cllm_span spans[N_TEXTS];
        cllm_error err;
        const cllm_engine_options options = {
            .n_batch = together ? N_BATCH : 0, .n_threads = together ? 2 : 1, .n_sequences = N_TEXTS};
        assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
        for (size_t i = 0; i < N_TEXTS; i++) {
            const size_t count = counts[i] < info->n_ctx_train ? counts[i] : info->n_ctx_train;
            spans[i] = (cllm_span){.tokens = tokens + i, .count = count, .want = CLLM_WANT_EMBEDDING};
            assert_ok(cllm_sequence_create(engine, &spans[i].sequence, &err), &err);
        }
        for (size_t i = 0; i < N_TEXTS; i += together ? N_TEXTS : 1)
            for (int again = 0; again < 2; again++) {
                assert_ok(cllm_eval(engine, spans + i, together ? N_TEXTS : 1, &err), &err);
                for (size_t k = i; k < (together ? N_TEXTS : i + 1); k++) {
                    if (together || again)
                        assert_memory_equal(spans[k].rows, want + k * info->n_embd_out, bytes);
                    else
                        memcpy(want + k * info->n_embd_out, spans[k].rows, bytes);
                    assert_int_equal(cllm_sequence_length(spans[k].sequence), 0);
                }
                assert_int_equal(cllm_engine_stats(engine).pages_held, 0);
            }
        cllm_engine_destroy(engine);
    }
    free(want);
    cllm_model_destroy(model);
}

static cllm_model *load_named(const char *name);

static bool stop_after(void *user, uint64_t done, uint64_t total) {
    const double *share = user;
    return (double)done <= *share * (double)total;
}

static void encoders_only_embed(void **state) {
    (void)state;
    if (reference.n_folders < 2) skip();
    cllm_model *model = load_named("bert");
    cllm_engine *engine;
    cllm_sequence *sequence;
    cllm_error err;
    char message[64];
    const uint32_t n_ctx = cllm_model_get_info(model)->n_ctx_train;
    int32_t *tokens = calloc(n_ctx + 1, sizeof *tokens);
    assert_non_null(tokens);
    const cllm_engine_options options = {.n_batch = 20, .device = "auto"};
    assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
    assert_non_null(strstr(cllm_engine_device_note(engine), "tokens that see later ones (an encoder)"));
    assert_ok(cllm_sequence_create(engine, &sequence, &err), &err);
    cllm_span span = {.sequence = sequence, .tokens = tokens, .count = 3};
    for (int want = CLLM_WANT_NOTHING; want < CLLM_WANT_EMBEDDING; want++) {
        span.want = (cllm_want)want;
        assert_error(cllm_eval(engine, &span, 1, &err), &err, CLLM_ERR_UNSUPPORTED, "only embeddings can be wanted");
    }
    span.want = CLLM_WANT_EMBEDDING;
    assert_ok(cllm_eval(engine, &span, 1, &err), &err);
    span.count = n_ctx;
    assert_ok(cllm_eval(engine, &span, 1, &err), &err);
    for (double share = 0; share < 0.45; share += 0.09) { /* stopped in the middle, it holds no page */
        cllm_engine_set_progress(engine, stop_after, &share);
        assert_error(cllm_eval(engine, &span, 1, &err), &err, CLLM_ERR_CANCELLED, "cancelled");
        assert_int_equal(cllm_engine_stats(engine).pages_held, 0);
    }
    cllm_engine_set_progress(engine, NULL, NULL);
    assert_ok(cllm_eval(engine, &span, 1, &err), &err);
    span.count = n_ctx + 1;
    snprintf(message, sizeof message, "%u tokens do not fit into a context of %u", n_ctx + 1, n_ctx);
    assert_error(cllm_eval(engine, &span, 1, &err), &err, CLLM_ERR_CONTEXT_FULL, message);
    cllm_engine_destroy(engine);
    const cllm_engine_options longer = {.n_ctx = n_ctx + 1};
    assert_error(cllm_engine_create(model, &longer, &engine, &err), &err, CLLM_ERR_ARGUMENT, "positions");
    free(tokens);
    cllm_model_destroy(model);
}

enum { RANK_EMBD = 64, RANK_SCORES = 3 };
static float rank_dense[RANK_EMBD][RANK_EMBD], rank_dense_bias[RANK_EMBD], rank_output[RANK_SCORES][RANK_EMBD];

/* Writes the model with another pooling_type, without the tokenizer's keys, and with a classifier of labels a, b and
 * c. */
static const char *write_classifier(const cllm_gguf *gguf, const char *architecture, bool dense) {
    static const char *const labels[RANK_SCORES] = {"a", "b", "c"};
    char key[128];
    gguf_builder g;
    builder_init(&g);
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        const cllm_metadata *m = cllm_gguf_metadata(gguf, i);
        if (strncmp(m->key, "tokenizer.", 10) == 0 || strstr(m->key, "pooling_type")) continue;
        builder_copy(&g, m->key, &m->value);
    }
    snprintf(key, sizeof key, "%s.pooling_type", architecture);
    builder_u32(&g, key, 4);
    snprintf(key, sizeof key, "%s.classifier.output_labels", architecture);
    builder_strings(&g, key, labels, RANK_SCORES);
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        builder_tensor(&g, t->name, (uint32_t)t->type, t->n_dims, t->shape, t->data, (size_t)t->n_bytes);
    }
    const uint64_t square[] = {RANK_EMBD, RANK_EMBD}, wide[] = {RANK_EMBD, RANK_SCORES};
    for (size_t i = 0; i < RANK_EMBD; i++) {
        rank_dense_bias[i] = 0.1f * (float)(i % 5);
        for (size_t k = 0; k < RANK_EMBD; k++) rank_dense[i][k] = 0.05f * (float)((i * 7 + k * 3) % 11) - 0.25f;
        for (size_t k = 0; k < RANK_SCORES; k++) rank_output[k][i] = 0.1f * (float)((i * 5 + k) % 7) - 0.3f;
    }
    if (dense) builder_tensor(&g, "cls.weight", QUANT_F32, 2, square, rank_dense, sizeof rank_dense);
    if (dense) builder_tensor(&g, "cls.bias", QUANT_F32, 1, square, rank_dense_bias, sizeof rank_dense_bias);
    builder_tensor(&g, "cls.output.weight", QUANT_F32, 2, wide, rank_output, sizeof rank_output);
    return builder_write(&g, "rank.gguf");
}

/* There is a score for each label. bert computes it from the first row, through a dense layer and tanh. qwen3 computes
 * it from the last row, and then a softmax makes probabilities of the scores. */
static void classifiers_give_scores(void **state) {
    (void)state;
    if (reference.n_folders < 2) skip();
    static const char *const names[] = {"bert", "qwen3-embedding"};
    for (int i = 0; i < 2; i++) {
        const bool dense = i == 0;
        const run how = {CLLM_KV_F32, 16, 2, NULL};
        cllm_model *usual = load_named(names[i]), *model;
        cllm_error err;
        const cllm_model_info *info = cllm_model_get_info(usual);
        assert_int_equal(info->n_embd, RANK_EMBD);
        const char *path = write_classifier(cllm_model_gguf(usual), info->architecture, dense);
        assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
        assert_int_equal(cllm_model_get_info(model)->pooling, CLLM_POOLING_RANK);
        assert_int_equal(cllm_model_get_info(model)->n_scores, RANK_SCORES);
        float *row = embeddings_of(usual, dense ? CLLM_POOLING_CLS : CLLM_POOLING_LAST, how);
        double x[RANK_EMBD], scores[RANK_SCORES] = {0}, sum = 0;
        for (size_t r = 0; r < RANK_EMBD; r++) {
            double y = dense ? (double)rank_dense_bias[r] : (double)row[r];
            for (size_t c = 0; dense && c < RANK_EMBD; c++) y += (double)rank_dense[r][c] * (double)row[c];
            x[r] = dense ? tanh(y) : y;
        }
        for (size_t k = 0; k < RANK_SCORES; k++)
            for (size_t c = 0; c < RANK_EMBD; c++) scores[k] += (double)rank_output[k][c] * x[c];
        for (size_t k = 0; k < RANK_SCORES; k++) sum += exp(scores[k]);
        float *got = embeddings_of(model, CLLM_POOLING_MODEL, how);
        for (size_t k = 0; k < RANK_SCORES; k++) {
            const double want = dense ? scores[k] : exp(scores[k]) / sum;
            if (!(fabs((double)got[k] - want) <= 1e-5)) fail_msg("score %zu is %g, not %g", k, (double)got[k], want);
        }
        free(got);
        free(row);
        cllm_model_destroy(model);
        cllm_model_destroy(usual);
    }
}

/* ------------------------------------------------------------------------------------------- sliding windows */

/* The layers of the reference models that have windows. */
static const struct {
    const char *name;
    uint32_t window, n_windowed, n_full;
} windowed[] = {
    {"gemma2", 32, 2, 2}, {"gemma3", 32, 6, 1}, {"olmo3", 32, 3, 1}, {"cohere2", 32, 3, 1}, {"gpt-oss", 32, 2, 1}};
enum { N_WINDOWED = sizeof windowed / sizeof *windowed };

static cllm_model *load_named(const char *name) {
    family of = {0};
    snprintf(of.name, sizeof of.name, "%s", name);
    return load(&of, false);
}

static solo *windowed_session(const cllm_model *model, cllm_progress progress, void *user) {
    const cllm_engine_options options = {
        .n_ctx = N_CTX, .n_batch = 16, .kv_type = CLLM_KV_F32, .progress = progress, .user = user};
    solo *session = NULL;
    cllm_error err;
    assert_ok(solo_create(model, &options, &session, &err), &err);
    return session;
}

static void windows_hold_a_batch_and_two_pages_more_than_they_see(void **state) {
    (void)state;
    /* `windowed` has only models of the shared folder */
    if (reference.n_tokens == 0 || getenv("MINICLLM_FAMILIES")) skip();
    for (size_t i = 0; i < N_WINDOWED; i++) {
        cllm_model *model = load_named(windowed[i].name);
        solo *session = windowed_session(model, NULL, NULL);
        const cllm_model_info *info = cllm_model_get_info(model);
        const uint64_t position = (uint64_t)info->n_kv_heads * (info->key_length + info->value_length) * sizeof(float);
        const uint64_t most = position * (windowed[i].n_windowed * (uint64_t)(windowed[i].window + 16 + 2 * 256) +
                                          windowed[i].n_full * (uint64_t)N_CTX);
        if (cllm_engine_plan(session->engine)->kv_cache > most)
            fail_msg("%s: %llu bytes of keys and values, more than %llu", windowed[i].name,
                     (unsigned long long)cllm_engine_plan(session->engine)->kv_cache, (unsigned long long)most);
        solo_destroy(session);
        cllm_model_destroy(model);
    }
}

/* Contexts of several pages, longer than the windows. */
static void windows_share_a_batch(void **state) {
    (void)state;
    if (reference.n_tokens == 0 || getenv("MINICLLM_FAMILIES")) skip();
    for (size_t i = 0; i < N_WINDOWED; i++) {
        cllm_model *model = load_named(windowed[i].name);
        compare_full_contexts(model, windowed[i].name, KV_CHUNK + 44, 1000);
        cllm_model_destroy(model);
    }
}

/* The windows of llama4 do not slide: each begins where the window before it ends. Here all layers have windows. Then a
 * window gives the same results as a text of its own, because RoPE depends only on distances. */
static void windows_may_stand_one_after_another(void **state) {
    (void)state;
    enum { WINDOW = 32 };
    if (reference.n_tokens < 2 * WINDOW || getenv("MINICLLM_FAMILIES")) skip();
    const cllm_metadata overrides[] = {{".attention.sliding_window", {.type = CLLM_UINT32, .u = WINDOW}},
                                       {".attention.sliding_window_pattern", {.type = CLLM_UINT32, .u = 0}}};
    const cllm_load_options load_options = {.overrides = overrides, .n_overrides = 2};
    cllm_model *model = NULL;
    solo *session = NULL;
    cllm_error err;
    assert_ok(cllm_model_load(path_of("llama4", ".gguf"), &load_options, &model, &err), &err);
    const size_t n = WINDOW * cllm_model_get_info(model)->n_vocab;
    float *all = logits_of(model, (run){CLLM_KV_F32, 0, 2, NULL}),
          *cut = logits_of(model, (run){CLLM_KV_F32, 7, 1, NULL}), *alone = calloc(n, sizeof *alone);
    assert_non_null(alone);
    assert_memory_equal(all, cut, 2 * n * sizeof *all);
    const cllm_engine_options options = {.n_ctx = 64, .kv_type = CLLM_KV_F32};
    assert_ok(solo_create(model, &options, &session, &err), &err);
    assert_ok(solo_each(session, reference.tokens + WINDOW, WINDOW, alone, &err), &err);
    const double error = nmse(all + n, alone, n);
    if (!(error <= 1e-9)) fail_msg("NMSE %.3e", error);
    solo_destroy(session);
    free(all);
    free(cut);
    free(alone);
    cllm_model_destroy(model);
}

static void blocks_that_draft_do_not_count(void **state) {
    (void)state;
    if (reference.n_tokens == 0 || getenv("MINICLLM_FAMILIES")) skip();
    cllm_model *model = load_named("glm4moe");
    const cllm_gguf *gguf = cllm_model_gguf(model);
    solo *session = NULL;
    cllm_error err;
    uint64_t n_parameters = 0, n_bytes = 0, n_left_out = 0;
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        if (strncmp(t->name, "blk.3.", 6) == 0) {
            n_left_out++;
            continue;
        }
        n_parameters += t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3];
        n_bytes += t->n_bytes;
    }
    assert_true(n_left_out > 0);
    assert_int_equal(cllm_model_get_info(model)->n_parameters, n_parameters);
    assert_ok(solo_create(model, NULL, &session, &err), &err);
    assert_int_equal(cllm_engine_plan(session->engine)->weights, n_bytes);
    solo_destroy(session);
    cllm_model_destroy(model);
}

static bool stop_soon(void *user, uint64_t done, uint64_t total) {
    (void)total;
    return done < *(uint64_t *)user;
}

/* Going back a short way works, and a long way is refused. Starting again from 0 works, also after an evaluation that
 * was cancelled. */
static void windows_go_back_as_far_as_they_can(void **state) {
    (void)state;
    /* The last n_batch tokens can always be taken back: 16, to position 558 - 16 = 542. The window of 32 at 542 begins
     * at 511, in the second page. So this page, positions 256 and on, is kept. 287 is the first position whose window
     * begins there. (The last batch has only 14 tokens. Its window begins in the third page.) */
    enum { LONG = 558, FURTHEST = 287 };
    if (reference.n_tokens == 0 || getenv("MINICLLM_FAMILIES")) skip();
    cllm_model *model = load_named("gemma2");
    const size_t n_vocab = cllm_model_get_info(model)->n_vocab, row = n_vocab * sizeof(float);
    const uint64_t n_layers = cllm_model_get_info(model)->n_layers;
    int32_t tokens[LONG];
    for (size_t i = 0; i < LONG; i++) tokens[i] = reference.tokens[i * i % reference.n_tokens];
    uint64_t stop_at = UINT64_MAX;
    solo *session = windowed_session(model, stop_soon, &stop_at);
    float *want = calloc(LONG * n_vocab, sizeof *want);
    const float *got;
    cllm_error err;
    assert_non_null(want);
    assert_ok(solo_each(session, tokens, LONG, want, &err), &err);
    static const uint32_t back[] = {LONG - 16, 400, FURTHEST};
    for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
        assert_ok(solo_truncate(session, back[i], &err), &err);
        assert_ok(solo_eval(session, tokens + back[i], 3, &got, &err), &err);
        assert_memory_equal(got, want + (back[i] + 2) * n_vocab, row);
    }
    assert_error(solo_truncate(session, FURTHEST - 1, &err), &err, CLLM_ERR_UNSUPPORTED, "sliding windows of 32");
    assert_error(solo_truncate(session, 40, &err), &err, CLLM_ERR_UNSUPPORTED, "start again from 0");
    assert_int_equal(solo_length(session), FURTHEST + 3);
    assert_ok(solo_eval(session, tokens + FURTHEST + 3, LONG - FURTHEST - 3, &got, &err), &err);
    assert_memory_equal(got, want + (LONG - 1) * n_vocab, row);
    assert_ok(solo_truncate(session, 0, &err), &err);
    assert_ok(solo_eval(session, tokens, 20, &got, &err), &err);
    assert_memory_equal(got, want + 19 * n_vocab, row);

    for (uint64_t stop = 5; stop <= 205; stop += 200) { /* only whole batches count for the length */
        stop_at = stop * n_layers;
        const uint32_t length = solo_length(session);
        assert_error(solo_eval(session, tokens + length, LONG - length, &got, &err), &err, CLLM_ERR_CANCELLED, "");
        assert_int_equal((solo_length(session) - length) % 16, 0);
        assert_in_range(solo_length(session) - length + 16, stop, stop + 16 + 15);
        if (stop > 16) assert_ok(solo_truncate(session, solo_length(session) - 16, &err), &err);
    }
    stop_at = UINT64_MAX;
    const uint32_t length = solo_length(session);
    assert_ok(solo_eval(session, tokens + length, LONG - length, &got, &err), &err);
    assert_memory_equal(got, want + (LONG - 1) * n_vocab, row);
    free(want);
    solo_destroy(session);
    cllm_model_destroy(model);
}

static void embedded_positions_end_the_context(void **state) {
    (void)state;
    if (reference.n_tokens == 0 || getenv("MINICLLM_FAMILIES")) skip();
    cllm_model *model = load_named("gpt2");
    solo *session = NULL;
    cllm_error err;
    const cllm_engine_options options = {.n_ctx = 513};
    assert_error(solo_create(model, &options, &session, &err), &err, CLLM_ERR_ARGUMENT,
                 "a context of 513 is more than the 512 positions");
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------------- an older form */

static void add_scale(gguf_builder *g, unsigned layer, const char *name, float scale) {
    char full[64];
    snprintf(full, sizeof full, "blk.%u.%s", layer, name);
    builder_tensor(g, full, QUANT_F32, 1, (uint64_t[]){1}, &scale, sizeof scale);
}

/* Writes the file with attn_k_b and attn_v_b as one tensor, attn_kv_b, and with the keys of that older form;
 * and_halves: with the two tensors and factors of them, too. scale: a power of two by which attn_kv_b is divided, and
 * which becomes its factor. */
static const char *write_kv_b_whole(const cllm_gguf *gguf, bool and_halves, float scale) {
    enum { HEADS = 4, PLAIN = 32, VALUE = 32, RANK = 64 };
    gguf_builder g;
    builder_init(&g);
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        const cllm_metadata *m = cllm_gguf_metadata(gguf, i);
        if (strstr(m->key, "_mla") || strstr(m->key, "attention.key_length") || strstr(m->key, "value_length"))
            continue;
        if (strncmp(m->key, "tokenizer.", 10) == 0 || strstr(m->key, "head_count_kv")) continue;
        builder_copy(&g, m->key, &m->value);
    }
    builder_u32(&g, "deepseek2.attention.key_length", PLAIN + 16);
    builder_u32(&g, "deepseek2.attention.value_length", VALUE);
    builder_u32(&g, "deepseek2.attention.head_count_kv", HEADS);
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        unsigned layer;
        const bool is_keys = strstr(t->name, ".attn_k_b."), is_half = is_keys || strstr(t->name, ".attn_v_b.");
        if (!is_half || and_halves)
            builder_tensor(&g, t->name, (uint32_t)t->type, t->n_dims, t->shape, t->data, (size_t)t->n_bytes);
        if (!is_keys || sscanf(t->name, "blk.%u.", &layer) != 1) continue;
        char name[64];
        snprintf(name, sizeof name, "blk.%u.attn_v_b.weight", layer);
        const uint16_t *k = t->data, *v = cllm_gguf_find_tensor(gguf, name)->data; /* F16 */
        static uint16_t whole[HEADS][PLAIN + VALUE][RANK];
        assert_int_equal(t->n_bytes, sizeof(uint16_t) * HEADS * PLAIN * RANK);
        for (size_t h = 0; h < HEADS; h++)
            for (size_t c = 0; c < RANK; c++) {
                for (size_t r = 0; r < PLAIN; r++)
                    whole[h][r][c] = f16_from_f32(f32_from_f16(k[(h * RANK + c) * PLAIN + r]) / scale);
                for (size_t r = 0; r < VALUE; r++)
                    whole[h][PLAIN + r][c] = f16_from_f32(f32_from_f16(v[(h * VALUE + r) * RANK + c]) / scale);
            }
        if (scale != 1) add_scale(&g, layer, "attn_kv_b.scale", scale);
        if (and_halves) add_scale(&g, layer, "attn_k_b.scale", 3);
        if (and_halves) add_scale(&g, layer, "attn_v_b.input_scale", 3);
        snprintf(name, sizeof name, "blk.%u.attn_kv_b.weight", layer);
        builder_tensor(&g, name, (uint32_t)t->type, 2, (uint64_t[]){RANK, (uint64_t)HEADS * (PLAIN + VALUE)}, whole,
                       sizeof whole);
    }
    return builder_write(&g, "kv_b.gguf");
}

static void latent_keys_and_values_may_be_one_tensor(void **state) {
    (void)state;
    if (reference.n_tokens == 0 || getenv("MINICLLM_FAMILIES")) skip();
    size_t n_bytes;
    unsigned char *want = read_file(path_of("deepseek2", ".logits.f32"), &n_bytes);
    for (int i = 0; i < 4; i++) {
        cllm_model *usual = load_named("deepseek2");
        const char *path = write_kv_b_whole(cllm_model_gguf(usual), i == 2, i == 3 ? 0.25f : 1);
        cllm_model_destroy(usual);
        const cllm_load_options options = {.repack = i == 1};
        cllm_model *model = NULL;
        cllm_error err;
        assert_ok(cllm_model_load(path, &options, &model, &err), &err);
        float *got = logits_of(model, (run){CLLM_KV_F32, 0, 2, NULL}),
              *cut = logits_of(model, (run){CLLM_KV_F32, 7, 1, NULL});
        const double error = nmse(got, (const float *)(const void *)want, n_bytes / sizeof *got);
        if (!(error <= 1e-5)) fail_msg("NMSE %.3e", error);
        assert_memory_equal(got, cut, n_bytes);
        free(got);
        free(cut);
        cllm_model_destroy(model);
    }
    free(want);
}

/* ------------------------------------------------------------------------------------------- damaged tensors */

/* Writes the file without its tokenizer, and with a tensor of ones that has this shape and name. It replaces a tensor
 * of the same name. */
static const char *write_changed(const cllm_gguf *gguf, const char *name, uint64_t n_columns, uint64_t n_rows) {
    const uint64_t shape[] = {n_columns, n_rows};
    const size_t n = (size_t)(n_columns * n_rows);
    float *ones = malloc(n * sizeof *ones);
    gguf_builder g;
    assert_non_null(ones);
    for (size_t i = 0; i < n; i++) ones[i] = 1;
    builder_init(&g);
    copy_keys(&g, gguf);
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        if (strcmp(t->name, name) != 0)
            builder_tensor(&g, t->name, (uint32_t)t->type, t->n_dims, t->shape, t->data, (size_t)t->n_bytes);
    }
    builder_tensor(&g, name, QUANT_F32, n_rows > 1 ? 2 : 1, shape, ones, n * sizeof *ones);
    free(ones);
    return builder_write(&g, "changed.gguf");
}

static void factors_of_tensors_without_use_are_not_read(void **state) {
    (void)state;
    if (reference.n_folders < 2) skip();
    static const struct {
        const char *model, *tensor;
    } cases[] = {{"gemma3n", "blk.10.attn_k.scale"}, {"gemma3n", "blk.10.attn_v.input_scale"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cllm_model *usual = load_named(cases[i].model), *model = NULL;
        cllm_error err;
        const char *path = write_changed(cllm_model_gguf(usual), cases[i].tensor, 1, 1);
        assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
        cllm_model_destroy(model);
        cllm_model_destroy(usual);
    }
}

static void a_bias_of_latent_keys_and_values_is_refused(void **state) {
    (void)state;
    if (reference.n_tokens == 0 || getenv("MINICLLM_FAMILIES")) skip();
    cllm_model *usual = load_named("deepseek2"), *whole = NULL, *model = NULL;
    cllm_error err;
    assert_ok(cllm_model_load(write_kv_b_whole(cllm_model_gguf(usual), false, 1), NULL, &whole, &err), &err);
    const char *path = write_changed(cllm_model_gguf(whole), "blk.1.attn_kv_b.bias", 256, 1);
    assert_error(cllm_model_load(path, NULL, &model, &err), &err, CLLM_ERR_UNSUPPORTED,
                 "blk.1.attn_kv_b.bias: a bias of compressed keys and values is not supported");
    cllm_model_destroy(whole);
    cllm_model_destroy(usual);
}

/* Each tensor has the shape that the keys ask for, but the tensors do not fit each other. */
static void lengths_fit_each_other(void **state) {
    (void)state;
    if (reference.n_folders < 2) skip();
    static const struct {
        const char *model, *tensor;
        uint64_t n_columns, n_rows;
        const char *keys[2]; /* overrides */
        int64_t values[2];
        const char *message; /* NULL: it loads */
    } cases[] = {
        /* a layer without attn_v: its 4 heads use the keys, of 32 elements, as values */
        {"gemma4", "blk.2.attn_output.weight", 128, 64, {".attention.value_length"}, {32}, NULL},
        {"gemma4",
         "blk.2.attn_output.weight",
         64,
         64,
         {".attention.value_length"},
         {16},
         "blk.2.attn_v.weight: missing, and keys of 32 elements cannot be the values of 16"},
        /* layers without windows rotate half of a head's 16 elements; they use the first of the factors that the others
         * use */
        {"step35", "rope_freqs.weight", 4, 1, {".rope.dimension_count_swa"}, {8}, NULL},
        {"step35",
         "rope_freqs.weight",
         2,
         1,
         {".rope.dimension_count_swa"},
         {4},
         "rope_freqs.weight: 2 factors for 4 rotated pairs"},
        /* layers with windows use the same factors as the others */
        {"cohere2", "rope_freqs.weight", 4, 1, {".rope.dimension_count", ".rope.dimension_count_swa"}, {8, 8}, NULL},
        {"cohere2",
         "rope_freqs.weight",
         4,
         1,
         {".rope.dimension_count", ".rope.dimension_count_swa"},
         {8, 16},
         "rope_freqs.weight: 4 factors for 8 rotated pairs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cllm_metadata changes[2];
        cllm_load_options options = {.overrides = changes};
        for (; options.n_overrides < 2 && cases[i].keys[options.n_overrides]; options.n_overrides++)
            changes[options.n_overrides] =
                (cllm_metadata){.key = cases[i].keys[options.n_overrides],
                                .value = {.type = CLLM_INT64, .i = cases[i].values[options.n_overrides]}};
        cllm_model *usual = load_named(cases[i].model), *model = NULL;
        const char *path = write_changed(cllm_model_gguf(usual), cases[i].tensor, cases[i].n_columns, cases[i].n_rows);
        cllm_error err;
        const cllm_status status = cllm_model_load(path, &options, &model, &err);
        if (!cases[i].message)
            assert_ok(status, &err);
        else
            assert_error(status, &err, CLLM_ERR_FORMAT, cases[i].message);
        cllm_model_destroy(model);
        cllm_model_destroy(usual);
    }
}

/* The file's own bytes of a tensor's entry: its name, then n_dims and the shape. */
static unsigned char *entry_of(unsigned char *bytes, size_t n_bytes, const char *name) {
    const size_t length = strlen(name);
    for (size_t i = 8; i + length + 4 < n_bytes; i++) {
        uint64_t stored;
        memcpy(&stored, bytes + i - 8, sizeof stored);
        if (stored == length && memcmp(bytes + i, name, length) == 0) return bytes + i;
    }
    fail_msg("%s is not in the file", name);
    return NULL;
}

/* Loading these bytes must fail, and the message must contain both texts. */
static void assert_refused(const char *path, const unsigned char *bytes, size_t n_bytes, const char *name,
                           const char *why) {
    FILE *file = fopen(path, "wb");
    cllm_model *model = NULL;
    cllm_error err;
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
    const cllm_status status = cllm_model_load(path, NULL, &model, &err);
    if (status == CLLM_OK || !strstr(err.message, name) || !strstr(err.message, why))
        fail_msg("%s should be refused with \"%s\": %s", name, why, status == CLLM_OK ? "it loads" : err.message);
}

/* True if a file of this family may lack the tensor. Under another name the tensor is then unknown. */
static bool is_optional(const char *tensor, const char *family_name) {
    static const struct {
        const char *family, *tensor;
    } known[] = {
        {"", "token_types."},
        {"jina", "attn_q_norm.w"},
        {"jina", "attn_k_norm.w"},
        {"jina", "attn_norm_2.w"},
        {"", "dense_3."},
        {"", "rope_freqs."},
        {"", "rope_factors_"},
        {"", "exp_probs_b"},
        {"falcon", "attn_norm_2.w"},
        {"falcon-h1", "ssm_norm."},
        {"stablelm", "ffn_norm.w"},
        {"stablelm", "attn_q_norm."},
        {"stablelm", "attn_k_norm."},
        {"stablelm", "attn_q.bias"},
        {"stablelm", "attn_k.bias"},
        {"stablelm", "attn_v.bias"},
        {"llama-bias", ".bias"},
        {"glm4moe", ".bias"},
        {"glm4moe", "attn_q_norm."},
        {"glm4moe", "attn_k_norm."},
        {"seed_oss", ".bias"},
        {"ernie4_5", ".bias"},
        {"mpt", ".bias"},
        {"gemma4", "attn_v.weight"},
        {"gemma4", "layer_output_scale."},
        {"gemma4", "ffn_down_exps.scale"},
        {"mpt", "position_embd."},
        {"mimo2", "attn_sinks."},
    };
    static const char *const own_output[] = {"qwen2moe", "step35",   "mimo2",       "olmo2",      "olmo3",   "olmoe",
                                             "dbrx",     "stablelm", "internlm2",   "gpt-oss",    "phi2",    "baichuan",
                                             "xverse",   "orion",    "dots1",       "minimax-m2", "glm4moe", "gptneox",
                                             "nemotron", "chatglm",  "kimi-linear", "phimoe",     "rwkv6",   "rwkv7"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(family_name, known[i].family, strlen(known[i].family)) == 0 && strstr(tensor, known[i].tensor))
            return true;
    bool output = strcmp(tensor, "output.weight") == 0;
    for (size_t i = 0; i < sizeof own_output / sizeof *own_output; i++) { /* nemotron_h is another family */
        const size_t length = strlen(own_output[i]);
        output = output && (strncmp(family_name, own_output[i], length) != 0 || family_name[length] == '_');
    }
    return output;
}

/* Some layers read the keys and values of others, but files still have tensors for their own. In layer 0, rwkv7 files
 * have tensors that would mix its values with themselves. Nothing reads these tensors. */
static bool is_not_read(const char *tensor, unsigned layer, const char *family_name) {
    const bool shares = strcmp(family_name, "gemma3n") == 0 && layer >= 20;
    const bool first = strcmp(family_name, "rwkv7") == 0 && layer == 0;
    return (first && strstr(tensor, ".time_mix_v") && !strstr(tensor, ".time_mix_value")) ||
           (shares && (strstr(tensor, ".attn_k") || strstr(tensor, ".attn_v")));
}

/* Each tensor in turn gets another name, and then another shape. The message must name it. */
static void each_tensor_is_asked_for(void **state) {
    const family *of = *state;
    if (is_unknown(of)) skip();
    char path[64];
    snprintf(path, sizeof path, "/tmp/cllm-families-XXXXXX");
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    size_t n_bytes;
    unsigned char *bytes = read_file(path_of(of->name, ".gguf"), &n_bytes);
    cllm_model *model = load(of, false);
    const cllm_gguf *gguf = cllm_model_gguf(model);
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(gguf, i);
        unsigned layer;
        if (sscanf(tensor->name, "blk.%u.", &layer) == 1 &&
            (layer >= cllm_model_get_info(model)->n_layers || is_not_read(tensor->name, layer, of->name)))
            continue; /* for example, the tensor is only for drafts */
        unsigned char *entry = entry_of(bytes, n_bytes, tensor->name);
        const size_t length = strlen(tensor->name);
        char renamed[128];
        snprintf(renamed, sizeof renamed, "%s", tensor->name);
        renamed[length - 1] = '_';
        entry[length - 1] = '_';
        if (is_optional(tensor->name, of->name))
            assert_refused(path, bytes, n_bytes, renamed, "does not know this tensor of the architecture ");
        else if (strcmp(tensor->name, "dense_2.weight") == 0)
            assert_refused(path, bytes, n_bytes, "dense_3_feat_in", "the length of the vectors that this layer gets");
        else if (strcmp(of->name, "jina-bert-v2") == 0 && strstr(tensor->name, "ffn_gate."))
            assert_refused(path, bytes, n_bytes, "ffn_up.weight", "the model needs"); /* ffn_up must hold both */
        else
            assert_refused(path, bytes, n_bytes, strstr(tensor->name, "gate_up") ? "ffn_gate_exps" : tensor->name,
                           "does not have this tensor");
        entry[length - 1] = (unsigned char)tensor->name[length - 1];

        uint64_t shape[2] = {tensor->shape[0], tensor->shape[1]};
        unsigned char *dims = entry + length + sizeof(uint32_t);
        if (tensor->n_dims == 1)
            shape[0] = shape[0] > 1 ? shape[0] - 1 : 2;
        else if (shape[0] != shape[1])
            shape[0] = tensor->shape[1], shape[1] = tensor->shape[0];
        else
            shape[0] *= 2, shape[1] /= 2;
        memcpy(dims, shape, tensor->n_dims == 1 ? 8 : 16);
        const bool blocks = tensor->type > 1; /* other lengths of rows might not be whole blocks */
        if (!blocks) assert_refused(path, bytes, n_bytes, tensor->name, "the model needs");
        memcpy(dims, tensor->shape, tensor->n_dims == 1 ? 8 : 16);
    }
    cllm_model_destroy(model);
    free(bytes);
    remove(path);
}

static void no_reference(void **state) {
    (void)state;
    print_message("# families/ is not there: set MINICLLM_SHARED or MINICLLM_FAMILIES\n");
    skip();
}

static void add_folder(const char *path, int length) {
    const size_t folder = reference.n_folders++;
    snprintf(reference.folders[folder], sizeof reference.folders[folder], "%.*s", length, path);
    FILE *file = fopen(path_in(folder, "llama.cpp-nmse", ".tsv"), "r");
    if (!file) return;
    char line[256];
    while (n_families < MOST_FAMILIES && fgets(line, sizeof line, file)) {
        family *of = &families[n_families];
        of->folder = folder;
        of->peer_split = 0;
        if (sscanf(line, "%63s %lf %*f %*f %lf", of->name, &of->peer_nmse, &of->peer_split) >= 2) n_families++;
    }
    fclose(file);
}

/* Fills in families. */
static void read_reference(void) {
    const char *own = getenv("MINICLLM_FAMILIES");
    if (own && *own) add_folder(own, (int)strlen(own));
    for (size_t i = 0; i < MOST_FOLDERS && !(own && *own); i++) {
        const char *shared = shared_file(i == 0 ? "families/tokens.txt" : "families2/tokens.txt");
        if (shared) add_folder(shared, (int)(strrchr(shared, '/') - shared));
    }
    FILE *file = reference.n_folders > 0 ? fopen(path_in(0, "tokens", ".txt"), "r") : NULL;
    for (int id; file && reference.n_tokens < MOST_TOKENS && fscanf(file, "%d%*[,\n]", &id) >= 1;)
        reference.tokens[reference.n_tokens++] = id;
    if (file) fclose(file);
}

int main(void) {
    static const struct {
        const char *says;
        void (*test)(void **);
        const char *needs; /* a file of the reference */
    } kinds[] = {{"agrees", agrees, ".gguf"},
                 {"pools", pools, ".pooled.f32"},
                 {"embeds in company", embeds_in_company, ".pooled.f32"},
                 {"has the same bits", same_bits, ".gguf"},
                 {"shares a batch", full_contexts_share_a_batch, ".gguf"},
                 {"has the same bits as Q8_0", same_bits_quantized, ".gguf"},
                 {"is asked for each tensor", each_tensor_is_asked_for, ".gguf"}};
    enum { N_KINDS = sizeof kinds / sizeof *kinds };
    static struct CMUnitTest tests[N_KINDS * MOST_FAMILIES + 12];
    static char names[N_KINDS * MOST_FAMILIES][96];
    size_t n_tests = 0;
    read_reference();
    for (size_t i = 0; i < n_families * N_KINDS; i++) {
        const family *of = &families[i / N_KINDS];
        if (access(path_of(of->name, kinds[i % N_KINDS].needs), F_OK) != 0) continue;
        snprintf(names[i], sizeof names[i], "%.63s %s", of->name, kinds[i % N_KINDS].says);
        tests[n_tests++] = (struct CMUnitTest){
            .name = names[i], .test_func = kinds[i % N_KINDS].test, .initial_state = (void *)(uintptr_t)of};
    }
    if (n_tests == 0) tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(no_reference);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(windows_hold_a_batch_and_two_pages_more_than_they_see);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(windows_share_a_batch);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(windows_go_back_as_far_as_they_can);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(windows_may_stand_one_after_another);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(blocks_that_draft_do_not_count);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(embedded_positions_end_the_context);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(encoders_only_embed);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(classifiers_give_scores);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(latent_keys_and_values_may_be_one_tensor);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(a_bias_of_latent_keys_and_values_is_refused);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(factors_of_tensors_without_use_are_not_read);
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(lengths_fit_each_other);
    return _cmocka_run_group_tests("families", tests, n_tests, NULL, NULL);
}
