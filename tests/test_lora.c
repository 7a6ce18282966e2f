/* Tests LoRA adapters: a model with adapters must give the logits of a model whose matrices were merged with them by
 * plain arithmetic in F32. Each test makes its own models and adapters; if the shared folder is there, its families
 * are used too. */
#include "support/check.h"
#include "support/random_blocks.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include "base/half.h"
#include "cpu/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ADAPTERS = 4, N_TOKENS = 40 };

/* How an adapter is made, for every matrix of a model or for those whose name holds `only`. */
typedef struct recipe {
    uint64_t seed;
    uint32_t rank;
    quant_type type;
    float alpha, scale;
    const char *only;
    bool shared_a; /* one A for all experts or heads */
} recipe;

/* ------------------------------------------------------------------------------------- matrices by plain arithmetic */

static bool is_matrix(const cllm_tensor *t) {
    static const char *const others[] = {"norm", "rope_", "position_embd", ".bias", ".scale", "attn_sinks"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strstr(t->name, others[i])) return false;
    return true;
}

static bool adapts(const recipe *r, const cllm_tensor *t) {
    return is_matrix(t) && (!r->only || strstr(t->name, r->only));
}

static bool is_embedding(const cllm_tensor *t) { return strcmp(t->name, "token_embd.weight") == 0; }

static void *allocate(size_t n, size_t size) {
    void *memory = calloc(n ? n : 1, size);
    assert_non_null(memory);
    return memory;
}

static float *as_floats(quant_type type, const void *bytes, size_t n) {
    float *floats = allocate(n, sizeof *floats);
    dequantize_scalar[type](bytes, floats, n);
    return floats;
}

static size_t n_elements(const cllm_tensor *t) { return (size_t)(t->shape[0] * t->shape[1] * t->shape[2]); }

/* The matrix A or B of a tensor, with the same numbers each time. */
typedef struct factor {
    uint64_t shape[3];
    void *bytes;
    size_t n_bytes;
    float *floats;
} factor;

static factor make_factor(const recipe *r, const cllm_tensor *t, bool is_b) {
    const bool embedding = is_embedding(t);
    factor f = {.shape = {t->shape[0], r->rank, r->shared_a ? 1 : t->shape[2]}};
    if (embedding) f.shape[0] = r->rank, f.shape[1] = t->shape[1];
    if (is_b) f.shape[0] = r->rank, f.shape[1] = t->shape[embedding ? 0 : 1], f.shape[2] = t->shape[2];
    const size_t n = (size_t)(f.shape[0] * f.shape[1] * f.shape[2]);
    uint64_t random = r->seed * 2 + is_b;
    for (const char *c = t->name; *c; c++) random = random * 31 + (unsigned char)*c;
    f.n_bytes = (size_t)quant_bytes(r->type, n);
    f.bytes = allocate(f.n_bytes, 1);
    if (r->type == QUANT_F32)
        for (size_t i = 0; i < n; i++) ((float *)f.bytes)[i] = random_float(&random) * 0.2f;
    else if (r->type == QUANT_F16)
        for (size_t i = 0; i < n; i++) ((uint16_t *)f.bytes)[i] = f16_from_f32(random_float(&random) * 0.2f);
    else
        random_blocks(r->type, f.bytes, n / quant_type_layout(r->type)->block_elements, &random);
    f.floats = as_floats(r->type, f.bytes, n);
    return f;
}

static void free_factor(factor *f) {
    free(f->bytes);
    free(f->floats);
}

/* w += scale * alpha / rank * B A */
static void merge(const recipe *r, const cllm_tensor *t, float *w) {
    factor a = make_factor(r, t, false), b = make_factor(r, t, true);
    const double scale = (double)r->scale * (r->alpha != 0 ? (double)r->alpha / r->rank : 1);
    const size_t n_rows = t->shape[1], n_columns = t->shape[0], rank = r->rank;
    for (size_t m = 0; m < t->shape[2]; m++)
        for (size_t row = 0; row < n_rows; row++)
            for (size_t c = 0; c < n_columns; c++) {
                const float *of_a = a.floats + (a.shape[2] > 1 ? m : 0) * rank * n_columns;
                const float *of_b = b.floats + m * n_rows * rank;
                double sum = 0;
                for (size_t k = 0; k < rank; k++)
                    sum += is_embedding(t) ? (double)a.floats[row * rank + k] * (double)b.floats[c * rank + k]
                                           : (double)of_b[row * rank + k] * (double)of_a[k * n_columns + c];
                w[(m * n_rows + row) * n_columns + c] += (float)(scale * sum);
            }
    free_factor(&a);
    free_factor(&b);
}

/* ------------------------------------------------------------------------------------------------------------ files */

static cllm_gguf *open_file(const char *path) {
    cllm_gguf *gguf;
    cllm_error err;
    assert_ok(cllm_gguf_open(path, NULL, &gguf, &err), &err);
    return gguf;
}

/* The metadata of a file, byte by byte: what lies between the header and the first tensor's entry. */
static void copy_metadata(gguf_builder *g, const cllm_gguf *gguf, const char *path) {
    const char *first = cllm_gguf_tensor(gguf, 0)->name;
    const size_t header = 24, length = strlen(first);
    size_t n_bytes;
    unsigned char *bytes = read_file(path, &n_bytes);
    for (size_t i = header + 8; i + length < n_bytes; i++) {
        uint64_t stored;
        memcpy(&stored, bytes + i - 8, sizeof stored);
        if (stored != length || memcmp(bytes + i, first, length) != 0) continue;
        buffer_put(&g->metadata, bytes + header, i - 8 - header);
        g->n_metadata = cllm_gguf_n_metadata(gguf);
        g->alignment = cllm_gguf_alignment(gguf);
        free(bytes);
        return;
    }
    fail_msg("%s: no tensor in %s", first, path);
}

/* Writes the model in F32, merged with adapters. A tied output matrix is not changed. */
static const char *write_merged(const char *name, const char *base, const recipe *recipes, size_t n_recipes) {
    cllm_gguf *gguf = open_file(base);
    gguf_builder g;
    builder_init(&g);
    copy_metadata(&g, gguf, base);
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        const size_t n = n_elements(t);
        float *w = as_floats((quant_type)t->type, t->data, n), *plain = allocate(n, sizeof *w);
        memcpy(plain, w, n * sizeof *w);
        for (size_t k = 0; k < n_recipes; k++)
            if (adapts(&recipes[k], t)) merge(&recipes[k], t, w);
        builder_tensor(&g, t->name, QUANT_F32, t->n_dims, t->shape, w, n * sizeof *w);
        if (is_embedding(t) && n_recipes > 0 && !cllm_gguf_find_tensor(gguf, "output.weight") &&
            memcmp(w, plain, n * sizeof *w) != 0)
            builder_tensor(&g, "output.weight", QUANT_F32, t->n_dims, t->shape, plain, n * sizeof *w);
        free(w);
        free(plain);
    }
    cllm_gguf_close(gguf);
    return builder_write(&g, name);
}

/* Writes the same model with its embedding table a second time, as the output. */
static const char *write_untied(const char *name, const char *base) {
    cllm_gguf *gguf = open_file(base);
    gguf_builder g;
    builder_init(&g);
    copy_metadata(&g, gguf, base);
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        builder_tensor(&g, t->name, (uint32_t)t->type, t->n_dims, t->shape, t->data, (size_t)t->n_bytes);
        if (is_embedding(t))
            builder_tensor(&g, "output.weight", (uint32_t)t->type, t->n_dims, t->shape, t->data, (size_t)t->n_bytes);
    }
    cllm_gguf_close(gguf);
    return builder_write(&g, name);
}

static void adapter_metadata(gguf_builder *g, const char *architecture, float alpha) {
    builder_string(g, "general.type", "adapter");
    builder_string(g, "general.architecture", architecture);
    builder_string(g, "adapter.type", "lora");
    if (alpha != 0) builder_f32(g, "adapter.lora.alpha", alpha);
}

static void put_factor(gguf_builder *g, const recipe *r, const cllm_tensor *t, bool is_b) {
    char name[128];
    factor f = make_factor(r, t, is_b);
    snprintf(name, sizeof name, "%s.%s", t->name, is_b ? "lora_b" : "lora_a");
    builder_tensor(g, name, (uint32_t)r->type, f.shape[2] > 1 ? 3 : 2, f.shape, f.bytes, f.n_bytes);
    free_factor(&f);
}

static cllm_lora write_adapter(const char *name, const char *base, const recipe *r) {
    cllm_gguf *gguf = open_file(base);
    const cllm_string architecture = cllm_gguf_find(gguf, "general.architecture")->string;
    char text[64];
    gguf_builder g;
    builder_init(&g);
    snprintf(text, sizeof text, "%.*s", (int)architecture.length, architecture.data);
    adapter_metadata(&g, text, r->alpha);
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        if (!adapts(r, t)) continue;
        put_factor(&g, r, t, i % 2); /* B comes first every second time */
        put_factor(&g, r, t, !(i % 2));
    }
    cllm_gguf_close(gguf);
    return (cllm_lora){builder_write(&g, name), r->scale};
}

/* ----------------------------------------------------------------------------------------------------------- logits */

static cllm_model *load(const char *path, const cllm_lora *loras, size_t n_loras, bool repack) {
    const cllm_load_options options = {.loras = loras, .n_loras = n_loras, .repack = repack};
    cllm_model *model;
    cllm_error err;
    assert_ok(cllm_model_load(path, &options, &model, &err), &err);
    return model;
}

/* [N_TOKENS][n_vocab] */
static float *logits_of(const cllm_model *model, const cllm_engine_options *options) {
    const size_t n_vocab = cllm_model_get_info(model)->n_vocab;
    float *rows = allocate(N_TOKENS * n_vocab, sizeof *rows);
    int32_t tokens[N_TOKENS];
    uint64_t random = 3;
    solo *session;
    cllm_error err;
    for (size_t i = 0; i < N_TOKENS; i++) tokens[i] = (int32_t)(random_u64(&random) % n_vocab);
    assert_ok(solo_create(model, options, &session, &err), &err);
    assert_ok(solo_each(session, tokens, N_TOKENS, rows, &err), &err);
    solo_destroy(session);
    return rows;
}

static float *logits_of_file(const char *path, const cllm_lora *loras, size_t n_loras, const char *isa) {
    const cllm_engine_options options = {.n_ctx = 64, .kv_type = CLLM_KV_F32, .cpu_isa = isa, .n_threads = 2};
    cllm_model *model = load(path, loras, n_loras, false);
    float *logits = logits_of(model, &options);
    cllm_model_destroy(model);
    return logits;
}

static size_t n_logits(const char *path) {
    cllm_model *model = load(path, NULL, 0, false);
    const size_t n = cllm_model_get_info(model)->n_vocab * (size_t)N_TOKENS;
    cllm_model_destroy(model);
    return n;
}

/* Compares the model in F32 that has adapters with a model that was merged with them. limit: for the best instruction
 * set; the limit of the scalar one is 1e-8. The adapters must make a difference. */
static void check_merged(const char *what, const char *base, const recipe *recipes, size_t n, double limit) {
    cllm_lora loras[MOST_ADAPTERS];
    char name[64];
    const char *plain = write_merged("plain.gguf", base, NULL, 0);
    const char *merged = write_merged("merged.gguf", base, recipes, n);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "adapter-%zu.gguf", i);
        loras[i] = write_adapter(name, base, &recipes[i]);
    }
    const size_t n_all = n_logits(plain);
    float *want = logits_of_file(merged, NULL, 0, "scalar"), *without = logits_of_file(plain, NULL, 0, "scalar");
    static const char *const isas[] = {"scalar", NULL};
    for (size_t i = 0; i < 2; i++) {
        float *got = logits_of_file(plain, loras, n, isas[i]);
        const double error = nmse(got, want, n_all), change = nmse(without, want, n_all);
        print_message("# %s, %s: NMSE %.2e; without %.2e\n", what, isas[i] ? isas[i] : "the best", error, change);
        if (!(error <= (isas[i] ? 1e-8 : limit)) || !(change > 1e-3))
            fail_msg("%s: NMSE %.3e, without the adapters %.3e", what, error, change);
        free(got);
    }
    free(want);
    free(without);
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static const recipe two[] = {{1, 8, QUANT_F32, 12, 1, NULL, false}, {2, 3, QUANT_F16, 0, -0.5f, NULL, false}};

static const char *tiny(quant_type type, int tied, int biases) {
    tiny_model m = tiny_model_default();
    m.type = type;
    m.tied = tied;
    m.biases = biases;
    return tiny_model_write("tiny.gguf", &m);
}

static void adapters_equal_a_merged_model(void **state) {
    (void)state;
    check_merged("tiny", tiny(QUANT_F32, 0, 1), two, 2, 1e-8);
    check_merged("tiny, of one alone", tiny(QUANT_F32, 0, 0), two, 1, 1e-8);
}

/* One matrix at a time, so that no matrix hides a fault of another. */
static void each_matrix_on_its_own(void **state) {
    (void)state;
    const char *const names[] = {"token_embd",  "output.weight", "attn_q", "attn_k",   "attn_v",
                                 "attn_output", "ffn_gate",      "ffn_up", "ffn_down", "blk.1.ffn_up"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const recipe one = {5, 4, QUANT_F32, 40, 1, names[i], false};
        check_merged(names[i], tiny(QUANT_F32, 0, 1), &one, 1, 1e-8);
    }
}

/* In a tied model, adapters of the embedding change only the look-up of tokens, and not the output. */
static void a_tied_embedding_is_adapted_where_it_is_looked_up(void **state) {
    (void)state;
    const recipe both[] = {{1, 8, QUANT_F32, 12, 1, NULL, false}, {2, 3, QUANT_F16, 0, -0.5f, "token_embd", false}};
    check_merged("tied", tiny(QUANT_F32, 1, 0), both, 2, 1e-8);
}

/* An adapter can name the output matrix of a tied model, as in any other model. Then it does not change the look-up of
 * tokens. */
static void a_tied_output_is_adapted_alone(void **state) {
    (void)state;
    const recipe one = {5, 4, QUANT_F32, 40, 1, "output.weight", false};
    const char *tied = tiny(QUANT_F32, 1, 0);
    const char *untied = write_untied("untied.gguf", tied), *merged = write_merged("merged.gguf", untied, &one, 1);
    const cllm_lora lora = write_adapter("output.gguf", untied, &one);
    const size_t n = n_logits(tied);
    float *want = logits_of_file(merged, NULL, 0, "scalar"), *got = logits_of_file(tied, &lora, 1, "scalar");
    float *without = logits_of_file(tied, NULL, 0, "scalar");
    assert_true(nmse(got, want, n) <= 1e-8 && nmse(without, want, n) > 1e-3);
    free(want);
    free(got);
    free(without);
    const recipe both[] = {one,
                           {1, 8, QUANT_F32, 12, 1, "token_embd", false}}; /* the table has an adapter of its own */
    const cllm_lora loras[] = {lora, write_adapter("both.gguf", untied, &both[1])};
    merged = write_merged("merged.gguf", untied, both, 2);
    want = logits_of_file(merged, NULL, 0, "scalar");
    got = logits_of_file(tied, loras, 2, "scalar");
    assert_true(nmse(got, want, n) <= 1e-8);
    free(want);
    free(got);
}

/* Ranks that fill whole blocks, with vectors that are rounded to 8 bits if the kernels need that. */
static void adapters_may_be_of_any_type(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.n_embd = m.n_ff = 256;
    const char *base = tiny_model_write("wide.gguf", &m);
    const quant_type types[] = {QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0, QUANT_IQ4_NL, QUANT_MXFP4};
    const float scales[] = {0.02f, 0.0005f, 0.1f, 0.0005f, 0.005f};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const recipe mixed[] = {{7, 64, types[i], 0, scales[i], "ffn", false},
                                {8, 5, QUANT_F32, 5, 0.1f, NULL, false},
                                {9, 32, types[i], 0, -scales[i], "output.weight", false}};
        check_merged(quant_type_layout((uint32_t)types[i])->name, base, mixed, 3, 1e-3);
    }
}

static void nothing_is_left_of_a_scale_of_zero(void **state) {
    (void)state;
    const char *base = tiny(QUANT_Q4_0, 0, 1);
    cllm_lora lora = write_adapter("zero.gguf", base, &two[0]);
    const size_t n = n_logits(base) * sizeof(float);
    float *want = logits_of_file(base, NULL, 0, NULL), *with = logits_of_file(base, &lora, 1, NULL);
    assert_true(memcmp(with, want, n) != 0);
    lora.scale = 0;
    float *got = logits_of_file(base, &lora, 1, NULL);
    assert_memory_equal(got, want, n);
    free(want);
    free(with);
    free(got);
}

/* Checks that the bits are the same with any batch and number of threads, repacked or not. */
static void check_bits(const char *base, const recipe *recipes, size_t n_recipes) {
    cllm_lora loras[MOST_ADAPTERS];
    char name[64];
    uint64_t draw = test_seed();
    for (size_t i = 0; i < n_recipes; i++) {
        snprintf(name, sizeof name, "bits-%zu.gguf", i);
        loras[i] = write_adapter(name, base, &recipes[i]);
    }
    static const char *const isas[] = {"scalar", NULL};
    for (size_t i = 0; i < 2; i++) {
        cllm_model *models[] = {load(base, loras, n_recipes, false), load(base, loras, n_recipes, true)};
        const size_t n = cllm_model_get_info(models[0])->n_vocab * (size_t)N_TOKENS;
        cllm_engine_options options = {.n_ctx = 64, .n_threads = 1, .cpu_isa = isas[i]};
        float *want = logits_of(models[0], &options);
        const struct { uint32_t batch, threads; } cuts[] = {{1, 1}, {1, 3}, {7, 2}, {17, 3}, {33, 1}, {0, 2}};
        for (size_t k = 0; k < 2 * sizeof cuts / sizeof *cuts; k++) {
            if (test_leaves_out(&draw)) continue;
            options.n_batch = cuts[k / 2].batch;
            options.n_threads = cuts[k / 2].threads;
            float *got = logits_of(models[k % 2], &options);
            if (memcmp(got, want, n * sizeof *got) != 0)
                fail_msg("%s: batches of %u and %u threads give other bits%s", base, options.n_batch, options.n_threads,
                         k % 2 ? ", repacked" : "");
            free(got);
        }
        free(want);
        cllm_model_destroy(models[0]);
        cllm_model_destroy(models[1]);
    }
}

static void the_same_bits_however_the_work_is_cut(void **state) {
    (void)state;
    const recipe types[] = {two[0], two[1], {3, 32, QUANT_Q8_0, 0, 0.1f, NULL, false}};
    check_bits(tiny(QUANT_F32, 0, 0), two, 2);
    check_bits(tiny(QUANT_Q8_0, 0, 1), types, 3);
    check_bits(tiny(QUANT_Q4_0, 1, 0), types, 3);
    tiny_model wide = tiny_model_default();
    wide.n_layers = 1;
    wide.n_embd = 4096; /* large, so that threads share the look-up of embeddings */
    check_bits(tiny_model_write("wide.gguf", &wide), two, 2);
}

static void the_plan_counts_adapters(void **state) {
    (void)state;
    const char *base = tiny(QUANT_F32, 0, 0);
    const cllm_lora lora = write_adapter("plan.gguf", base, &two[0]);
    const cllm_engine_options options = {.n_ctx = 64, .n_threads = 2};
    cllm_memory_plan plans[2];
    uint64_t bytes_per_token[2];
    cllm_error err;
    for (size_t i = 0; i < 2; i++) {
        cllm_model *model = load(base, &lora, i, false);
        solo *session;
        assert_ok(solo_create(model, &options, &session, &err), &err);
        plans[i] = *cllm_engine_plan(session->engine);
        bytes_per_token[i] = cllm_model_get_info(model)->bytes_per_token;
        solo_destroy(session);
        cllm_model_destroy(model);
    }
    const uint64_t ends = 64 + 64 + 64 + 32 + 64 + 32 + 64 + 64, ffn = 3 * (64 + 96);
    const uint64_t layers = 2 * (ends + ffn) * 8 * 4, output = (64 + 50) * 8 * 4;
    assert_int_equal(plans[1].weights - plans[0].weights, layers + 2 * output);
    assert_int_equal(bytes_per_token[1] - bytes_per_token[0], layers + output + (1 + 64) * 8 * 4);
    assert_true(plans[1].scratch >= plans[0].scratch + 64 * 7 * 8 * 4); /* A x for each matrix of a layer */
    assert_int_equal(plans[1].kv_cache, plans[0].kv_cache);
}

static void a_gpu_leaves_adapters_to_the_cpu(void **state) {
    (void)state;
    const char *base = tiny(QUANT_F32, 0, 0);
    const cllm_lora lora = write_adapter("gpu.gguf", base, &two[0]);
    cllm_engine_options options = {.n_ctx = 64, .device = "opencl"};
    cllm_model *model = load(base, &lora, 1, false);
    solo *session;
    cllm_error err;
    assert_error(solo_create(model, &options, &session, &err), &err, CLLM_ERR_DEVICE, "LoRA adapters");
    options.device = "auto";
    assert_ok(solo_create(model, &options, &session, &err), &err);
    assert_string_equal(cllm_engine_device(session->engine), "cpu");
    assert_non_null(strstr(cllm_engine_device_note(session->engine), "LoRA adapters"));
    solo_destroy(session);
    cllm_model_destroy(model);
}

/* ----------------------------------------------------------------------------------------------------- bad adapters */

static void put_pair(gguf_builder *g, const char *name, uint64_t n_in, uint64_t rank_a, uint64_t rank_b, uint64_t n_out,
                     quant_type type) {
    char text[128];
    const uint64_t a[] = {n_in, rank_a}, b[] = {rank_b, n_out};
    snprintf(text, sizeof text, "%s.lora_a", name);
    builder_tensor(g, text, (uint32_t)type, 2, a, NULL, (size_t)quant_bytes(type, n_in * rank_a));
    snprintf(text, sizeof text, "%s.lora_b", name);
    builder_tensor(g, text, (uint32_t)type, 2, b, NULL, (size_t)quant_bytes(type, rank_b * n_out));
}

static void sound(gguf_builder *g) {
    adapter_metadata(g, "llama", 8);
    put_pair(g, "blk.0.attn_q.weight", 64, 4, 4, 64, QUANT_F32);
}
static void not_an_adapter(gguf_builder *g) { builder_string(g, "general.type", "model"); }
static void without_a_type(gguf_builder *g) { builder_string(g, "general.architecture", "llama"); }
static void number_as_type(gguf_builder *g) { builder_u32(g, "general.type", 3); }
static void another_kind(gguf_builder *g) {
    builder_string(g, "general.type", "adapter");
    builder_string(g, "adapter.type", "control_vector");
}
static void another_architecture(gguf_builder *g) { adapter_metadata(g, "qwen2", 1); }
static void waiting(gguf_builder *g) {
    const int32_t tokens[] = {1, 2};
    adapter_metadata(g, "llama", 1);
    builder_i32s(g, "adapter.alora.invocation_tokens", tokens, 2);
}
static void infinite_alpha(gguf_builder *g) { adapter_metadata(g, "llama", INFINITY); }
static void huge_alpha(gguf_builder *g) {
    adapter_metadata(g, "llama", 3e38f);
    put_pair(g, "blk.0.attn_q.weight", 64, 1, 1, 64, QUANT_F32);
}
static void without_tensors(gguf_builder *g) { adapter_metadata(g, "llama", 1); }
static void without_b(gguf_builder *g) {
    const uint64_t shape[] = {64, 4};
    sound(g);
    builder_tensor(g, "blk.1.attn_q.weight.lora_a", QUANT_F32, 2, shape, NULL, 64 * 4 * 4);
}
static void without_a(gguf_builder *g) {
    const uint64_t shape[] = {4, 64};
    sound(g);
    builder_tensor(g, "blk.1.attn_q.weight.lora_b", QUANT_F32, 2, shape, NULL, 64 * 4 * 4);
}
static void with_a_norm(gguf_builder *g) {
    const uint64_t n = 64;
    sound(g);
    builder_tensor(g, "blk.0.attn_norm.weight", QUANT_F32, 1, &n, NULL, 64 * 4);
}
static void of_a_norm(gguf_builder *g) {
    sound(g);
    put_pair(g, "output_norm.weight", 64, 4, 4, 1, QUANT_F32);
}
static void of_a_layer_that_is_not_there(gguf_builder *g) {
    sound(g);
    put_pair(g, "blk.2.attn_q.weight", 64, 4, 4, 64, QUANT_F32);
}
static void only_a_suffix(gguf_builder *g) {
    sound(g);
    put_pair(g, "", 64, 4, 4, 64, QUANT_F32);
}
static void wrong_columns(gguf_builder *g) {
    adapter_metadata(g, "llama", 8);
    put_pair(g, "blk.0.attn_q.weight", 32, 4, 4, 64, QUANT_F32);
}
static void wrong_rows(gguf_builder *g) {
    adapter_metadata(g, "llama", 8);
    put_pair(g, "blk.0.attn_k.weight", 64, 4, 4, 64, QUANT_F32);
}
static void wrong_rank(gguf_builder *g) {
    adapter_metadata(g, "llama", 8);
    put_pair(g, "blk.0.attn_q.weight", 64, 4, 8, 64, QUANT_F32);
}
static void huge_rank(gguf_builder *g) {
    adapter_metadata(g, "llama", 8);
    put_pair(g, "blk.0.attn_q.weight", 64, 65537, 65537, 64, QUANT_F32);
}
static void embedding_the_other_way(gguf_builder *g) {
    adapter_metadata(g, "llama", 8);
    put_pair(g, "token_embd.weight", 64, 4, 4, 50, QUANT_F32);
}
static void three_experts(gguf_builder *g) {
    const uint64_t a[] = {64, 4, 3}, b[] = {4, 64, 3};
    adapter_metadata(g, "llama", 8);
    builder_tensor(g, "blk.0.attn_q.weight.lora_a", QUANT_F32, 3, a, NULL, 64 * 4 * 3 * 4);
    builder_tensor(g, "blk.0.attn_q.weight.lora_b", QUANT_F32, 3, b, NULL, 64 * 4 * 3 * 4);
}
static void whole_numbers(gguf_builder *g) {
    adapter_metadata(g, "llama", 8);
    put_pair(g, "blk.0.attn_q.weight", 64, 4, 4, 64, QUANT_I8);
}

static cllm_status load_with(const char *base, const cllm_lora *loras, size_t n_loras, cllm_error *err) {
    const cllm_load_options options = {.loras = loras, .n_loras = n_loras};
    cllm_model *model;
    const cllm_status status = cllm_model_load(base, &options, &model, err);
    if (status == CLLM_OK)
        cllm_model_destroy(model);
    else
        assert_null(model);
    return status;
}

static void bad_adapters_are_refused_by_name(void **state) {
    (void)state;
    const struct {
        void (*make)(gguf_builder *);
        cllm_status status;
        const char *message;
    } cases[] = {
        {not_an_adapter, CLLM_ERR_FORMAT, "general.type: it is not 'adapter'"},
        {without_a_type, CLLM_ERR_FORMAT, "general.type: it is not 'adapter'"},
        {number_as_type, CLLM_ERR_FORMAT, "general.type"},
        {another_kind, CLLM_ERR_FORMAT, "adapter.type: it is not 'lora'"},
        {another_architecture, CLLM_ERR_FORMAT, "general.architecture: it is not 'llama'"},
        {waiting, CLLM_ERR_UNSUPPORTED, "adapter.alora.invocation_tokens"},
        {infinite_alpha, CLLM_ERR_FORMAT, "adapter.lora.alpha"},
        {huge_alpha, CLLM_ERR_FORMAT, "blk.0.attn_q.weight.lora_a: alpha 3e+38 / rank 1 * scale 2 is too large"},
        {without_tensors, CLLM_ERR_FORMAT, "the adapter has no tensors"},
        {without_b, CLLM_ERR_FORMAT,
         "blk.1.attn_q.weight.lora_a: the file has no blk.1.attn_q.weight.lora_b beside it"},
        {without_a, CLLM_ERR_FORMAT,
         "blk.1.attn_q.weight.lora_b: the file has no blk.1.attn_q.weight.lora_a beside it"},
        {with_a_norm, CLLM_ERR_UNSUPPORTED,
         "blk.0.attn_norm.weight: the names of an adapter's tensors must end in .lora_a"},
        {of_a_norm, CLLM_ERR_UNSUPPORTED,
         "output_norm.weight.lora_a: adapters of the model's output_norm.weight are not"},
        {of_a_layer_that_is_not_there, CLLM_ERR_FORMAT,
         "blk.2.attn_q.weight.lora_a: the model has no tensor blk.2.attn_q.weight"},
        {only_a_suffix, CLLM_ERR_UNSUPPORTED, ".lora_a: the names of an adapter's tensors must end in .lora_a"},
        {wrong_columns, CLLM_ERR_FORMAT,
         "blk.0.attn_q.weight.lora_a: its shape is [32, 4] and its lora_b's [4, 64]; they do not fit the model's [64, "
         "64]"},
        {wrong_rows, CLLM_ERR_FORMAT, "blk.0.attn_k.weight.lora_a: its shape is [64, 4] and its lora_b's [4, 64]"},
        {wrong_rank, CLLM_ERR_FORMAT, "blk.0.attn_q.weight.lora_a: its shape is [64, 4] and its lora_b's [8, 64]"},
        {huge_rank, CLLM_ERR_FORMAT, "blk.0.attn_q.weight.lora_a: its shape is [64, 65537]"},
        {embedding_the_other_way, CLLM_ERR_FORMAT, "token_embd.weight.lora_a: its shape is [64, 4]"},
        {three_experts, CLLM_ERR_FORMAT, "blk.0.attn_q.weight.lora_a: its shape is [64, 4, 3]"},
        {whole_numbers, CLLM_ERR_UNSUPPORTED, "blk.0.attn_q.weight.lora_a: tensors of type I8 are not supported"},
    };
    const char *base = tiny(QUANT_F32, 0, 0);
    cllm_error err;
    gguf_builder g;
    builder_init(&g);
    sound(&g);
    cllm_lora good = {builder_write(&g, "good.gguf"), 1};
    assert_ok(load_with(base, &good, 1, &err), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        builder_init(&g);
        cases[i].make(&g);
        const cllm_lora both[] = {good, {builder_write(&g, "bad.gguf"), 2}};
        const cllm_status status = load_with(base, both, 2, &err);
        assert_error(status, &err, cases[i].status, cases[i].message);
        assert_error(status, &err, cases[i].status, "bad.gguf: "); /* the file at fault */
        assert_null(strchr(err.message, '\n'));
    }
    const cllm_lora missing = {"/nowhere/adapter.gguf", 1}, not_finite = {good.path, NAN};
    assert_error(load_with(base, &missing, 1, &err), &err, CLLM_ERR_IO, "/nowhere/adapter.gguf");
    assert_error(load_with(base, &not_finite, 1, &err), &err, CLLM_ERR_ARGUMENT, "scale is not a finite number");
    assert_error(load_with(good.path, NULL, 0, &err), &err, CLLM_ERR_FORMAT, "this file is an adapter");
    assert_error(load_with(good.path, NULL, 0, &err), &err, CLLM_ERR_FORMAT, "good.gguf: ");
}

/* --------------------------------------------------------------------------------------------------------- families */

enum { MOST_FAMILIES = 64 };
static char families[MOST_FAMILIES][64];

static const char *family_path(const char *name) {
    char file[128];
    snprintf(file, sizeof file, "families/%s.gguf", name);
    return shared_file(file);
}

/* If the embedding table is also the output, it is not adapted here. The merged model would need an output matrix of
 * its own, which not every family allows. */
static void a_family_equals_its_merged_model(void **state) {
    const char *name = *state, *base = family_path(name);
    if (!base) skip();
    char path[1024];
    snprintf(path, sizeof path, "%s", base);
    cllm_gguf *gguf = open_file(path);
    const char *only = cllm_gguf_find_tensor(gguf, "output.weight") ? NULL : "blk.";
    cllm_gguf_close(gguf);
    const recipe both[] = {{11, 6, QUANT_F32, 6, 1, only, false}, {12, 16, QUANT_F16, 0, -0.7f, only, true}};
    check_merged(name, path, both, 2, 1e-8);
}

static void a_family_has_the_same_bits(void **state) {
    const char *name = *state, *base = family_path(name);
    if (!base) skip();
    char path[1024];
    snprintf(path, sizeof path, "%s", base);
    const recipe both[] = {{11, 6, QUANT_F32, 6, 1, "blk.", false}, {12, 16, QUANT_F16, 0, -0.7f, "blk.", true}};
    check_bits(path, both, 2);
}

/* If only experts or only heads are adapted, the memory for A x must be large enough for them. */
static void experts_and_heads_have_room(void **state) {
    (void)state;
    const recipe one = {13, 6, QUANT_F32, 6, 3, "_exps.weight", false},
                 other = {14, 6, QUANT_F32, 6, 3, "_b.weight", false};
    char path[1024];
    const char *base = family_path("llama-moe");
    if (!base || !family_path("deepseek2")) skip();
    snprintf(path, sizeof path, "%s", base);
    check_merged("experts alone", path, &one, 1, 1e-8);
    snprintf(path, sizeof path, "%s", family_path("deepseek2"));
    check_merged("heads alone", path, &other, 1, 1e-8);
}

static void no_families(void **state) {
    (void)state;
    print_message("# families/ is not there: set MINICLLM_SHARED\n");
    skip();
}

static size_t read_families(void) {
    const char *path = shared_file("families/llama.cpp-nmse.tsv");
    FILE *file = path ? fopen(path, "r") : NULL;
    size_t n = 0;
    while (file && n < MOST_FAMILIES && fscanf(file, "%63s %*[^\n]", families[n]) == 1) n++;
    if (file) fclose(file);
    return n;
}

int main(void) {
    const struct CMUnitTest own[] = {
        cmocka_unit_test(adapters_equal_a_merged_model),
        cmocka_unit_test(each_matrix_on_its_own),
        cmocka_unit_test(a_tied_embedding_is_adapted_where_it_is_looked_up),
        cmocka_unit_test(a_tied_output_is_adapted_alone),
        cmocka_unit_test(adapters_may_be_of_any_type),
        cmocka_unit_test(nothing_is_left_of_a_scale_of_zero),
        cmocka_unit_test(the_same_bits_however_the_work_is_cut),
        cmocka_unit_test(the_plan_counts_adapters),
        cmocka_unit_test(a_gpu_leaves_adapters_to_the_cpu),
        cmocka_unit_test(bad_adapters_are_refused_by_name),
        cmocka_unit_test(experts_and_heads_have_room),
    };
    enum { N_OWN = sizeof own / sizeof *own };
    static struct CMUnitTest tests[N_OWN + 2 * MOST_FAMILIES];
    static char names[2 * MOST_FAMILIES][96];
    size_t n_tests = N_OWN;
    memcpy(tests, own, sizeof own);
    const size_t n = read_families();
    for (size_t i = 0; i < 2 * n; i++) {
        const bool bits = i % 2;
        snprintf(names[i], sizeof names[i], "%s %s", families[i / 2],
                 bits ? "has the same bits" : "equals its merged model");
        tests[n_tests++] =
            (struct CMUnitTest){.name = names[i],
                                .test_func = bits ? a_family_has_the_same_bits : a_family_equals_its_merged_model,
                                .initial_state = families[i / 2]};
    }
    if (n == 0) tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(no_families);
    return _cmocka_run_group_tests("lora", tests, n_tests, NULL, NULL);
}
