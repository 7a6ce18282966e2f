/* Tests files whose metadata or tensors do not make a model: each is refused, and the message names the reason. */
#include "support/check.h"
#include "support/tiny_model.h"

#include "cpu/steps.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "model/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static cllm_status load_built(gguf_builder *g, cllm_error *err) {
    const char *path = builder_write(g, "model.gguf");
    cllm_model *model;
    cllm_status status = cllm_model_load(path, NULL, &model, err);
    if (status == CLLM_OK)
        cllm_model_destroy(model);
    else
        assert_null(model);
    return status;
}

static void a_sound_model_loads(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.biases = 1;
    cllm_error err;
    cllm_model *model;
    assert_ok(cllm_model_load(tiny_model_write("sound.gguf", &m), NULL, &model, &err), &err);
    const cllm_model_info *info = cllm_model_get_info(model);
    assert_string_equal(info->architecture, "llama");
    assert_string_equal(info->name, "tiny");
    assert_int_equal(info->n_layers, 2);
    assert_int_equal(info->n_vocab, 50);
    assert_int_equal(info->key_length, 16);
    assert_null(cllm_model_tokenizer(model));
    const uint64_t layer = 64 * (64 + 32 + 32 + 64 + 3 * 96), biases = 64 + 32 + 32 + 64, norms = 2 * 64;
    assert_int_equal(info->n_parameters, 2 * (layer + biases + norms) + 64 + 2 * 50 * 64);
    assert_int_equal(info->bytes_per_token, 4 * (2 * layer + 50 * 64 + 64));
    cllm_model_destroy(model);
}

/* A number of the metadata that is out of range, or contradicts other numbers or the tensors of the sound model. */
typedef struct bad_number {
    size_t offset; /* offset in tiny_model of the field that is set */
    uint32_t value;
    const char *message;
} bad_number;
#define FIELD(name) offsetof(tiny_model, name)

static void numbers_that_cannot_be_are_refused(void **state) {
    (void)state;
    const bad_number cases[] = {
        {FIELD(n_layers), 0, "llama.block_count: 0 is not between 1 and"},
        {FIELD(n_layers), 1000000000, "llama.block_count: 1000000000 layers"},
        {FIELD(n_layers), 5000, "llama.block_count: 5000 layers, but the file has only"},
        {FIELD(n_embd), 0, "llama.embedding_length: 0 is not between 1 and"},
        {FIELD(n_heads), 0, "llama.attention.head_count: 0 is not between 1 and"},
        {FIELD(n_kv_heads), 0, "llama.attention.head_count_kv: 0 does not divide"},
        {FIELD(n_kv_heads), 3, "llama.attention.head_count_kv: 3 does not divide the 4 query heads"},
        {FIELD(n_ff), 0, "llama.feed_forward_length: 0 is not between 1 and"},
        {FIELD(n_ctx), 0, "llama.context_length: 0 is not between 1 and"},
        {FIELD(key_length), 15, "llama.rope.dimension_count: 15 is not an even number"},
        {FIELD(key_length), 1u << 30, "keys of 1073741824 and values of 16 elements"},
        {FIELD(value_length), 0, "keys of 16 and values of 0 elements"},
        {FIELD(n_layers), 3, "blk.2.attn_norm.weight: the file does not have this tensor"},
        {FIELD(n_layers), 1, "blk.1.attn_norm.weight: this layer does not exist: llama.block_count is 1"},
        {FIELD(n_ff), 128, "blk.0.ffn_gate.weight: its shape is [64, 96], the model needs [64, 128]"},
        {FIELD(n_embd), 32, "token_embd.weight: its shape is [64, 50], the model needs [32, 50]"},
        {FIELD(value_length), 8, "blk.0.attn_v.weight: its shape is [64, 32], the model needs [64, 16]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_model sound = tiny_model_default(), lying = sound;
        memcpy((char *)&lying + cases[i].offset, &cases[i].value, sizeof cases[i].value);
        gguf_builder g;
        builder_init(&g);
        tiny_model_metadata(&g, &lying);
        tiny_model_tensors(&g, &sound);
        cllm_error err;
        assert_error(load_built(&g, &err), &err, CLLM_ERR_FORMAT, cases[i].message);
    }
}

static void head_count_must_divide_where_no_length_is_given(void **state) {
    (void)state;
    gguf_builder g;
    builder_init(&g);
    builder_string(&g, "general.architecture", "llama");
    builder_u32(&g, "llama.block_count", 1);
    builder_u32(&g, "llama.context_length", 8);
    builder_u32(&g, "llama.embedding_length", 64);
    builder_u32(&g, "llama.feed_forward_length", 8);
    builder_u32(&g, "llama.attention.head_count", 6);
    cllm_error err;
    assert_error(load_built(&g, &err), &err, CLLM_ERR_FORMAT,
                 "llama.attention.head_count: 6 does not divide the embedding length 64");
}

static void spoil(gguf_builder *g, void (*more)(gguf_builder *)) {
    tiny_model m = tiny_model_default();
    builder_init(g);
    tiny_model_metadata(g, &m);
    tiny_model_tensors(g, &m);
    more(g);
}

static void add_experts(gguf_builder *g) { builder_u32(g, "llama.expert_count", 8); }
static void add_dynamic_scaling(gguf_builder *g) { builder_string(g, "llama.rope.scaling.type", "dynamic"); }
static void add_negative_factor(gguf_builder *g) { builder_f32(g, "llama.rope.scaling.factor", -2); }
static void add_freq_base(gguf_builder *g) { builder_f32(g, "llama.rope.freq_base", 0); }
static void add_odd_rope(gguf_builder *g) { builder_u32(g, "llama.rope.dimension_count", 18); }
static void add_wrong_type(gguf_builder *g) { builder_string(g, "llama.rope.dimension_count", "16"); }
static void add_short_tokenizer(gguf_builder *g) {
    const char *const tokens[] = {"<unk>", "<s>", "</s>"};
    const float scores[] = {0, 0, 0};
    builder_string(g, "tokenizer.ggml.model", "llama");
    builder_strings(g, "tokenizer.ggml.tokens", tokens, 3);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 3);
}
static void add_qk_norm(gguf_builder *g) {
    const uint64_t n = 16;
    float ones[16] = {0};
    builder_tensor(g, "blk.0.attn_q_norm.weight", QUANT_F32, 1, &n, ones, sizeof ones);
}
static void add_half_bias(gguf_builder *g) {
    const uint64_t n = 64;
    uint16_t zeros[64] = {0};
    builder_tensor(g, "blk.0.attn_q.bias", QUANT_F16, 1, &n, zeros, sizeof zeros);
}
static void add_zero_factors(gguf_builder *g) {
    const uint64_t n = 8;
    float factors[8] = {1, 2, 0};
    builder_tensor(g, "rope_freqs.weight", QUANT_F32, 1, &n, factors, sizeof factors);
}
static void add_integer_factors(gguf_builder *g) {
    const uint64_t shape[] = {16 / 2};
    float factors[8] = {0};
    builder_tensor(g, "rope_freqs.weight", QUANT_I32, 1, shape, factors, sizeof factors);
}

static void what_is_not_supported_is_named(void **state) {
    (void)state;
    const struct {
        void (*more)(gguf_builder *);
        cllm_status status;
        const char *message;
    } cases[] = {
        {add_experts, CLLM_ERR_FORMAT, "llama.expert_used_count: key is missing"},
        {add_dynamic_scaling, CLLM_ERR_UNSUPPORTED,
         "'dynamic' is not supported; supported: none, linear, yarn, longrope"},
        {add_negative_factor, CLLM_ERR_FORMAT, "llama.rope.scaling.factor: -2 is negative"},
        {add_freq_base, CLLM_ERR_FORMAT, "llama.rope.freq_base: 0 is not greater than 1"},
        {add_odd_rope, CLLM_ERR_FORMAT, "18 is not an even number up to the head's 16"},
        {add_wrong_type, CLLM_ERR_FORMAT, "llama.rope.dimension_count"},
        {add_short_tokenizer, CLLM_ERR_FORMAT, "3 tokens, but token_embd.weight has 50 rows"},
        {add_qk_norm, CLLM_ERR_UNSUPPORTED, "blk.0.attn_q_norm.weight: this program does not know this tensor"},
        {add_half_bias, CLLM_ERR_UNSUPPORTED, "blk.0.attn_q.bias: norms, biases and factors must be F32"},
        {add_zero_factors, CLLM_ERR_FORMAT, "rope_freqs.weight: factor 2 is 0, it must be positive"},
        {add_integer_factors, CLLM_ERR_UNSUPPORTED, "rope_freqs.weight: norms, biases and factors must be F32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_builder g;
        spoil(&g, cases[i].more);
        cllm_error err;
        assert_error(load_built(&g, &err), &err, cases[i].status, cases[i].message);
    }
}

static void another_tokenizer_leaves_the_model_without_one(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    gguf_builder g;
    builder_init(&g);
    tiny_model_metadata(&g, &m);
    tiny_model_tensors(&g, &m);
    builder_string(&g, "tokenizer.ggml.model", "plamo2");
    size_t n_bytes;
    unsigned char *bytes = builder_finish(&g, &n_bytes);
    cllm_error err;
    cllm_model *model;
    cllm_tokenizer *tokenizer;
    assert_ok(cllm_model_load(write_temporary("plamo2.gguf", bytes, n_bytes), NULL, &model, &err), &err);
    assert_null(cllm_model_tokenizer(model));
    assert_error(cllm_tokenizer_create(cllm_model_gguf(model), &tokenizer, &err), &err, CLLM_ERR_UNSUPPORTED, "plamo2");
    cllm_model_destroy(model);
    free(bytes);
    builder_free(&g);
}

static void another_architecture_is_refused_by_name(void **state) {
    (void)state;
    gguf_builder g;
    builder_init(&g);
    builder_string(&g, "general.architecture", "unheard-of");
    cllm_error err;
    assert_error(load_built(&g, &err), &err, CLLM_ERR_UNSUPPORTED,
                 "architecture 'unheard-of' is not supported; docs/09-families.md lists");
    builder_init(&g);
    builder_u32(&g, "general.file_type", 0);
    assert_error(load_built(&g, &err), &err, CLLM_ERR_FORMAT, "general.architecture");
}

static void a_type_without_a_kernel_is_refused(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.n_embd = 256;
    gguf_builder g;
    builder_init(&g);
    tiny_model_metadata(&g, &m);
    const uint64_t shape[] = {256, 50};
    builder_tensor(&g, "token_embd.weight", QUANT_Q8_K, 2, shape, NULL, 50 * 292);
    for (int i = 0; i < 2; i++) builder_tensor(&g, i ? "a" : "b", QUANT_F32, 1, shape, NULL, 1024);
    cllm_error err;
    assert_error(load_built(&g, &err), &err, CLLM_ERR_UNSUPPORTED, "token_embd.weight: tensors of type Q8_K");
}

/* A group of experts is ranked by its best expert if scores are a softmax (DeepSeek V2), and by its best two if they
 * are sigmoids (V3). The test computes this again in the simplest way, with random logits. */
static void groups_of_experts_are_ranked_as_deepseek_does(void **state) {
    (void)state;
    enum { GROUPS = 8, LENGTH = 4, N = GROUPS * LENGTH, GROUPS_USED = 3, USED = 6 };
    uint64_t random = 5;
    unsigned n_differ = 0; /* the two ways must not agree by chance */
    for (int round = 0; round < 200; round++) {
        float logits[N];
        for (int i = 0; i < N; i++) logits[i] = 3 * random_float(&random);
        for (int v3 = 0; v3 < 2; v3++) {
            model_config c = {.n_experts = N,
                              .n_experts_used = USED,
                              .n_expert_groups = GROUPS,
                              .n_expert_groups_used = GROUPS_USED,
                              .expert_gating = v3 ? GATING_SIGMOID : GATING_SOFTMAX,
                              .expert_weights_scale = 1};
            double score[N], of_group[2][GROUPS], sum = 0;
            for (int i = 0; i < N; i++) sum += exp((double)logits[i]);
            for (int i = 0; i < N; i++)
                score[i] = v3 ? 1 / (1 + exp(-(double)logits[i])) : exp((double)logits[i]) / sum;
            bool in[2][N] = {{false}};
            for (int way = 0; way < 2; way++) {
                for (int g = 0; g < GROUPS; g++) {
                    double best = 0, two = 0;
                    for (int i = 0; i < LENGTH; i++)
                        for (int j = 0; j < LENGTH; j++) {
                            const double a = score[g * LENGTH + i], b = score[g * LENGTH + j];
                            best = fmax(best, a);
                            if (i != j) two = fmax(two, a + b);
                        }
                    of_group[way][g] = way ? two : best;
                }
                for (int g = 0; g < GROUPS; g++) {
                    int better = 0;
                    for (int h = 0; h < GROUPS; h++) better += of_group[way][h] > of_group[way][g];
                    for (int i = 0; i < LENGTH; i++) in[way][g * LENGTH + i] = better < GROUPS_USED;
                }
            }
            n_differ += memcmp(in[0], in[1], sizeof in[0]) != 0;
            float scores[3 * N] = {0}, weights[USED];
            uint32_t chosen[USED];
            memcpy(scores, logits, sizeof logits);
            choose_experts(&c, NULL, scores, chosen, weights);
            for (int k = 0; k < USED; k++) {
                int better = 0; /* counts only experts that may be chosen */
                for (int i = 0; i < N; i++) better += in[v3][i] && score[i] > score[chosen[k]];
                if (!in[v3][chosen[k]] || better != k) fail_msg("V%d: choice %d is expert %u", v3 + 2, k, chosen[k]);
                assert_true(fabs((double)weights[k] - score[chosen[k]]) < 1e-6);
            }
        }
    }
    assert_true(n_differ > 50);
}

/* As the code of gpt-oss's authors does it: with heads of 64 elements, the ramp goes from pair 8.093 to 17.398, not
 * from 8 to 18. */
static void the_ramp_of_gpt_oss_is_not_rounded(void **state) {
    (void)state;
    double frequencies[32];
    rope_table table = {.frequencies = frequencies};
    model_config c = {.traits = family_find("gpt-oss"),
                      .rope_dimension_count = 64,
                      .rope_freq_base = 150000,
                      .rope_scaling = ROPE_SCALING_YARN,
                      .yarn_beta_fast = 32,
                      .yarn_beta_slow = 1,
                      .yarn_kept = 1,
                      .rope_scaling_factor = 32,
                      .rope_attention_factor = 1,
                      .rope_original_context = 4096};
    rope_prepare(&c, false, NULL, &table);
    const double pi = acos(-1), low = 32 * log(4096 / (32 * 2 * pi)) / log(150000);
    const double high = 32 * log(4096 / (2 * pi)) / log(150000);
    assert_true(fabs(low - 8.093) < 5e-4 && fabs(high - 17.398) < 5e-4);
    for (int j = 0; j < 32; j++) {
        const double own = pow(150000, -j / 32.0), ramp = fmin(1, fmax(0, (j - low) / (high - low)));
        const double want = own / 32 * ramp + own * (1 - ramp);
        if (!(fabs(frequencies[j] / want - 1) < 1e-12)) fail_msg("pair %d: %.9g, not %.9g", j, frequencies[j], want);
    }
    assert_true(fabs((double)table.magnitude - (1 + 0.1 * log(32))) < 1e-6);

    c.yarn_kept = 0.5f; /* half of the share that a pair keeps of its own frequency; and a magnitude from the file */
    c.yarn_magnitude = 1.25f;
    rope_prepare(&c, false, NULL, &table);
    assert_true(fabs(frequencies[1] / (pow(150000, -1 / 32.0) * (0.5 + 0.5 / 32)) - 1) < 1e-12);
    assert_true(table.magnitude == 1.25f);
}

/* A pair that turns more than 32 times over the 4096 positions keeps its frequency. With a base of 1000000 these are
 * pairs 0 to 3, with one of 100 pairs 0 to 10. */
static void windowed_layers_have_a_ramp_of_their_own(void **state) {
    (void)state;
    double frequencies[16];
    rope_table table = {.frequencies = frequencies};
    const model_config c = {.traits = family_find("exaone4"),
                            .rope_dimension_count = 32,
                            .rope_dimension_count_windowed = 32,
                            .rope_freq_base = 1000000,
                            .rope_freq_base_windowed = 100,
                            .rope_scaling = ROPE_SCALING_YARN,
                            .yarn_beta_fast = 32,
                            .yarn_beta_slow = 1,
                            .yarn_kept = 1,
                            .rope_scaling_factor = 4,
                            .rope_attention_factor = 1,
                            .rope_original_context = 4096};
    static const int last_kept[] = {3, 10};
    for (int windowed = 0; windowed < 2; windowed++) {
        const double base = windowed ? 100 : 1000000;
        rope_prepare(&c, windowed, NULL, &table);
        for (int j = 0; j <= last_kept[windowed] + 1; j++) {
            const bool kept = fabs(frequencies[j] / pow(base, -j / 16.0) - 1) < 1e-12;
            if (kept != (j <= last_kept[windowed])) fail_msg("pair %d of base %g: %.9g", j, base, frequencies[j]);
        }
    }
}

/* Frequencies by the formulas of the papers, for a head of 8 with base 10000. */
static void rope_frequencies_follow_their_formulas(void **state) {
    (void)state;
    double frequencies[4];
    rope_table table = {.frequencies = frequencies};
    model_config c = {.traits = family_find("llama"),
                      .rope_dimension_count = 8,
                      .rope_freq_base = 10000,
                      .yarn_beta_fast = 32,
                      .yarn_beta_slow = 1,
                      .yarn_kept = 1,
                      .rope_scaling_factor = 1,
                      .rope_attention_factor = 1,
                      .rope_original_context = 2048};
    rope_prepare(&c, false, NULL, &table);
    assert_int_equal(table.n_pairs, 4);
    for (int j = 0; j < 4; j++) assert_true(fabs(frequencies[j] - pow(10, -j)) < 1e-15);

    c.rope_scaling = ROPE_SCALING_LINEAR;
    c.rope_scaling_factor = 4;
    const float factors[] = {1, 2, 4, 8};
    rope_prepare(&c, false, factors, &table);
    for (int j = 0; j < 4; j++) assert_true(fabs(frequencies[j] - pow(10, -j) / 4 / (double)factors[j]) < 1e-15);
    assert_true(table.magnitude == 1);

    /* over 2048 positions the four pairs turn 326, 33, 3.3 and 0.33 times: kept, kept, mixed, stretched */
    c.rope_scaling = ROPE_SCALING_YARN;
    rope_prepare(&c, false, NULL, &table);
    assert_true(frequencies[0] == 1 && fabs(frequencies[1] - 0.1) < 1e-15);
    assert_true(frequencies[2] < 0.01 && frequencies[2] > 0.01 / 4);
    assert_true(fabs(frequencies[3] - 0.001 / 4) < 1e-15);
    assert_true(fabs((double)table.magnitude - (1 + 0.1 * log(4))) < 1e-6);

    float cos_of[4], sin_of[4];
    rope_angles(&table, 3, cos_of, sin_of);
    assert_true(fabs((double)cos_of[0] - cos(3) * (1 + 0.1 * log(4))) < 1e-6);
    assert_true(fabs((double)sin_of[3] - sin(0.00075) * (1 + 0.1 * log(4))) < 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_model_loads),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
        cmocka_unit_test(head_count_must_divide_where_no_length_is_given),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(another_tokenizer_leaves_the_model_without_one),
        cmocka_unit_test(another_architecture_is_refused_by_name),
        cmocka_unit_test(a_type_without_a_kernel_is_refused),
        cmocka_unit_test(rope_frequencies_follow_their_formulas),
        cmocka_unit_test(windowed_layers_have_a_ramp_of_their_own),
        cmocka_unit_test(the_ramp_of_gpt_oss_is_not_rounded),
        cmocka_unit_test(groups_of_experts_are_ranked_as_deepseek_does),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
