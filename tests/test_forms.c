/* Tests other forms of files of known families: experts in separate tensors, gates in one tensor with the matrix
 * that they gate, tensors of an image model beside the text model, and the names that ollama gives to gpt-oss. Each
 * form must compute what the usual form computes. */
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_TOKENS = 24, N_VOCAB = 50, N_EMBD = 64, N_FF = 32, N_EXPERTS = 3 };

/* Returns n random floats that depend only on the name. first: how many to skip, so that a part gets the same numbers
 * as in the whole. */
static float *values_of(const char *seed, size_t first, size_t n, bool of_norm) {
    uint64_t random = 1;
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (const char *c = seed; *c; c++) random = random * 31 + (unsigned char)*c;
    for (size_t i = 0; i < first; i++) random_float(&random);
    for (size_t i = 0; i < n; i++) values[i] = random_float(&random) * 0.3f + of_norm;
    return values;
}

static void put(gguf_builder *g, const char *seed, const char *name, uint32_t n_dims, const uint64_t *shape,
                size_t first) {
    size_t n = 1;
    for (uint32_t i = 0; i < n_dims; i++) n *= (size_t)shape[i];
    float *values = values_of(seed, first, n, n_dims == 1);
    builder_tensor(g, name, QUANT_F32, n_dims, shape, values, n * sizeof *values);
    free(values);
}

typedef struct form {
    bool apart;      /* each expert has tensors of its own */
    bool fused;      /* gate and up of all experts are in one tensor */
    bool incomplete; /* the last expert is missing, or the biases of the fused tensor */
    bool ollama;     /* the names that ollama gives to gpt-oss, for its sinks */
    bool oss;
    bool images;
} form;

static void put_experts(gguf_builder *g, const form *f, uint32_t layer, const char *kind, uint64_t n_in,
                        uint64_t n_out) {
    char seed[64], name[64];
    snprintf(seed, sizeof seed, "%u.%s", layer, kind);
    const uint64_t shape[] = {n_in, n_out, N_EXPERTS};
    if (!f->apart) {
        snprintf(name, sizeof name, "blk.%u.ffn_%s_exps.weight", layer, kind);
        put(g, seed, name, 3, shape, 0);
    }
    for (uint32_t i = 0; f->apart && i + f->incomplete < N_EXPERTS; i++) {
        const uint32_t expert = (i + 2) % N_EXPERTS; /* the order does not matter */
        snprintf(name, sizeof name, "blk.%u.ffn_%s.%u.weight", layer, kind, expert);
        put(g, seed, name, 2, shape, (size_t)(expert * n_in * n_out));
    }
    snprintf(name, sizeof name, "blk.%u.ffn_%s_exps.bias", layer, kind);
    if (f->oss) put(g, name, name, 2, shape + 1, 0);
}

/* Each expert has its rows of gate, then its rows of up. length: of a row */
static void put_fused(gguf_builder *g, uint32_t layer, const char *part, const char *gate, const char *up,
                      size_t length) {
    const size_t n = N_FF * length;
    const uint64_t matrices[] = {N_EMBD, 2 * N_FF, N_EXPERTS}, vectors[] = {2 * N_FF, N_EXPERTS};
    float *halves[] = {values_of(gate, 0, N_EXPERTS * n, false), values_of(up, 0, N_EXPERTS * n, false)};
    float *all = malloc(2 * N_EXPERTS * n * sizeof *all);
    char name[64];
    assert_non_null(all);
    for (size_t i = 0; i < 2 * N_EXPERTS; i++) memcpy(all + i * n, halves[i % 2] + i / 2 * n, n * sizeof *all);
    snprintf(name, sizeof name, "blk.%u.ffn_gate_up_exps.%s", layer, part);
    builder_tensor(g, name, QUANT_F32, length > 1 ? 3 : 2, length > 1 ? matrices : vectors, all,
                   2 * N_EXPERTS * n * sizeof *all);
    free(all), free(halves[0]), free(halves[1]);
}

static void put_layer(gguf_builder *g, const form *f, uint32_t layer) {
    const struct {
        const char *name, *ollama;
        uint32_t n_dims;
        uint64_t shape[2];
        bool bias, oss_only;
    } tensors[] = {
        {"attn_norm", NULL, 1, {N_EMBD}, false, false},
        {"attn_q", NULL, 2, {N_EMBD, 64}, true, false},
        {"attn_k", NULL, 2, {N_EMBD, 32}, true, false},
        {"attn_v", NULL, 2, {N_EMBD, 32}, true, false},
        {"attn_output", "attn_out", 2, {64, N_EMBD}, true, false},
        {f->oss ? "post_attention_norm" : "ffn_norm", "ffn_norm", 1, {N_EMBD}, false, false},
        {"ffn_gate_inp", NULL, 2, {N_EMBD, N_EXPERTS}, true, false},
        {"attn_sinks", NULL, 1, {4}, false, true},
    };
    char seed[64], name[64];
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        if (tensors[i].oss_only && !f->oss) continue;
        const char *stem = f->ollama && tensors[i].ollama ? tensors[i].ollama : tensors[i].name;
        const bool bare = f->ollama && tensors[i].oss_only;
        snprintf(seed, sizeof seed, "%u.%zu", layer, i);
        snprintf(name, sizeof name, "blk.%u.%s%s", layer, stem, bare ? "" : ".weight");
        put(g, seed, name, tensors[i].n_dims, tensors[i].shape, 0);
        snprintf(seed, sizeof seed, "%u.%zu bias", layer, i);
        snprintf(name, sizeof name, "blk.%u.%s.bias", layer, stem);
        if (f->oss && tensors[i].bias) put(g, seed, name, 1, &tensors[i].shape[1], 0);
    }
    if (f->fused) {
        char gate[64], up[64];
        snprintf(gate, sizeof gate, "%u.gate", layer), snprintf(up, sizeof up, "%u.up", layer);
        put_fused(g, layer, "weight", gate, up, N_EMBD);
        snprintf(gate, sizeof gate, "blk.%u.ffn_gate_exps.bias", layer);
        snprintf(up, sizeof up, "blk.%u.ffn_up_exps.bias", layer);
        if (f->oss && !f->incomplete) put_fused(g, layer, "bias", gate, up, 1);
    } else {
        put_experts(g, f, layer, "gate", N_EMBD, N_FF);
        put_experts(g, f, layer, "up", N_EMBD, N_FF);
    }
    put_experts(g, f, layer, "down", N_FF, N_EMBD);
}

static const char *write_form(const form *f) {
    const char *architecture = f->ollama ? "gptoss" : f->oss ? "gpt-oss" : "llama";
    const struct {
        const char *suffix;
        uint32_t value;
    } keys[] = {{"block_count", 2},
                {"context_length", 64},
                {"embedding_length", N_EMBD},
                {"feed_forward_length", N_FF},
                {"attention.head_count", 4},
                {"attention.head_count_kv", 2},
                {"expert_count", N_EXPERTS},
                {"expert_used_count", 2},
                {"rope.scaling.original_context_length", 16}};
    const uint64_t table[] = {N_EMBD, N_VOCAB}, three[] = {3, 4};
    char key[96];
    gguf_builder g;
    builder_init(&g);
    builder_string(&g, "general.architecture", architecture);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(key, sizeof key, "%s.%s", architecture, keys[i].suffix);
        builder_u32(&g, key, keys[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
    builder_f32(&g, key, 1e-5f);
    if (f->oss) {
        snprintf(key, sizeof key, "%s.rope.scaling.factor", architecture);
        builder_f32(&g, key, 4);
        snprintf(key, sizeof key, "%s.attention.sliding_window", architecture);
        builder_u32(&g, key, 8);
    }
    if (f->oss && !f->ollama) builder_string(&g, "gpt-oss.rope.scaling.type", "yarn"); /* ollama does not say so */
    put(&g, "embedding", "token_embd.weight", 2, table, 0);
    put(&g, "norm", "output_norm.weight", 1, table, 0);
    put(&g, "output", "output.weight", 2, table, 0);
    if (f->images) put(&g, "v", "v.blk.0.attn_q.weight", 2, three, 0);
    put_layer(&g, f, 0);
    put_layer(&g, f, 1);
    if (f->images) put(&g, "mm", "mm.input_projection.weight", 2, three, 0);
    return builder_write(&g, "form.gguf");
}

typedef struct rows {
    float logits[N_TOKENS * N_VOCAB];
    char note[256];
    uint64_t n_parameters, weight_bytes;
} rows;

static rows logits_of(const form *f, bool repack) {
    const cllm_load_options options = {.repack = repack};
    static rows out;
    int32_t tokens[N_TOKENS];
    cllm_model *model;
    solo *session;
    cllm_error err;
    for (int i = 0; i < N_TOKENS; i++) tokens[i] = i * 11 % N_VOCAB;
    assert_ok(cllm_model_load(write_form(f), &options, &model, &err), &err);
    snprintf(out.note, sizeof out.note, "%s", cllm_model_get_info(model)->note);
    out.n_parameters = cllm_model_get_info(model)->n_parameters;
    assert_ok(solo_create(model, NULL, &session, &err), &err);
    out.weight_bytes = cllm_engine_plan(session->engine)->weights;
    assert_ok(solo_each(session, tokens, N_TOKENS, out.logits, &err), &err);
    solo_destroy(session);
    cllm_model_destroy(model);
    for (int i = 0; i < N_TOKENS * N_VOCAB; i++) assert_true(isfinite(out.logits[i]));
    return out;
}

static void check_same(const form *f, const form *usual) {
    const rows want = logits_of(usual, false), got = logits_of(f, false);
    assert_memory_equal(got.logits, want.logits, sizeof want.logits);
}

static void experts_apart_are_experts(void **state) {
    (void)state;
    check_same(&(form){.apart = true}, &(form){.apart = false});
    const rows want = logits_of(&(form){.apart = false}, true), got = logits_of(&(form){.apart = true}, true);
    assert_memory_equal(got.logits, want.logits, sizeof want.logits);
    cllm_model *model;
    cllm_error err;
    assert_error(cllm_model_load(write_form(&(form){.apart = true, .incomplete = true}), NULL, &model, &err), &err,
                 CLLM_ERR_FORMAT, "blk.0.ffn_gate.1.weight");
}

static void gates_may_be_in_one_tensor(void **state) {
    (void)state;
    check_same(&(form){.fused = true}, &(form){.fused = false});
    check_same(&(form){.fused = true, .oss = true}, &(form){.oss = true});
    const rows want = logits_of(&(form){.fused = false}, true), got = logits_of(&(form){.fused = true}, true);
    assert_memory_equal(got.logits, want.logits, sizeof want.logits);
    assert_int_equal(got.n_parameters, want.n_parameters);
    cllm_model *model;
    cllm_error err;
    assert_error(
        cllm_model_load(write_form(&(form){.fused = true, .oss = true, .incomplete = true}), NULL, &model, &err), &err,
        CLLM_ERR_FORMAT, "blk.0.ffn_gate_up_exps.bias: the file does not have this tensor");
}

static void tensors_of_images_are_skipped_and_said(void **state) {
    (void)state;
    check_same(&(form){.images = true}, &(form){.images = false});
    const rows with = logits_of(&(form){.images = true}, false), without = logits_of(&(form){.images = false}, false);
    assert_string_equal(with.note, "2 tensors of an image model (v.*, mm.*) are skipped: only text is supported");
    assert_string_equal(without.note, "");
    assert_int_equal(with.n_parameters, without.n_parameters);
    assert_int_equal(with.weight_bytes, without.weight_bytes);
}

static void gpt_oss_may_have_the_names_of_ollama(void **state) {
    (void)state;
    check_same(&(form){.oss = true, .ollama = true}, &(form){.oss = true});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_apart_are_experts),
        cmocka_unit_test(gates_may_be_in_one_tensor),
        cmocka_unit_test(tensors_of_images_are_skipped_and_said),
        cmocka_unit_test(gpt_oss_may_have_the_names_of_ollama),
    };
    return cmocka_run_group_tests_name("forms", tests, NULL, NULL);
}
