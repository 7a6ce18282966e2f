/* Tests what config_read makes of a family's keys: the values that files leave out, values that are ignored, and
 * values that are refused. What a whole model computes from them is tested in test_families.c. */
#include "support/check.h"
#include "support/gguf_builder.h"

#include "gguf/gguf.h"
#include "gguf/quant_types.h"
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A key beside those that every file has. */
typedef struct key_value {
    const char *suffix;
    /* 'u' uint32, 'f' float32, 'b' bool, 's' string; 'l' int32 for each layer, 'd': the same with different numbers,
     * 'F': the same of float32, 'm': with one number too many; 't' a tensor */
    char type;
    double number;
    const char *text;
} key_value;

typedef struct config_case {
    const char *architecture;
    uint32_t n_layers;
    key_value keys[12];
} config_case;

static arena layers; /* memory for the layers of all configs */

static int free_layers(void **state) {
    (void)state;
    arena_free(&layers);
    return 0;
}

static cllm_status read_config(const config_case *of, model_config *config, cllm_error *err) {
    static cllm_gguf *last; /* a config points into it */
    gguf_builder g;
    char key[128];
    builder_init(&g);
    builder_string(&g, "general.architecture", of->architecture);
    const key_value common[] = {{"block_count", 'u', of->n_layers, NULL},
                                {"context_length", 'u', 8192, NULL},
                                {"embedding_length", 'u', 512, NULL},
                                {"feed_forward_length", 'u', 1024, NULL},
                                {"attention.head_count", 'u', 4, NULL},
                                {"attention.layer_norm_rms_epsilon", 'f', 1e-6, NULL},
                                {"attention.layer_norm_epsilon", 'f', 1e-5, NULL}};
    enum { N_COMMON = sizeof common / sizeof *common };
    for (size_t i = 0; i < N_COMMON + 12; i++) {
        const key_value *k = i < N_COMMON ? &common[i] : &of->keys[i - N_COMMON];
        if (!k->suffix) break;
        bool again = false; /* the case has the key, with a value of its own */
        for (size_t n = 0; i < N_COMMON && n < 12 && of->keys[n].suffix; n++)
            again |= strcmp(of->keys[n].suffix, k->suffix) == 0;
        if (again) continue;
        snprintf(key, sizeof key, "%s.%s", of->architecture, k->suffix);
        if (k->type == 'u') builder_u32(&g, key, (uint32_t)k->number);
        if (k->type == 'f') builder_f32(&g, key, (float)k->number);
        if (k->type == 'b') builder_bool(&g, key, (int)k->number);
        if (k->type == 's') builder_string(&g, key, k->text);
        if (k->type == 't') builder_tensor(&g, k->suffix, QUANT_F32, 1, (uint64_t[]){1}, &(float){0}, sizeof(float));
        int32_t numbers[8];
        for (int n = 0; n < 8; n++) numbers[n] = (int32_t)(int64_t)k->number + (k->type == 'd' && n == 2);
        if (k->type == 'l' || k->type == 'd') builder_i32s(&g, key, numbers, of->n_layers);
        float floats[8];
        for (int n = 0; n < 8; n++) floats[n] = (float)k->number + (n == 2);
        if (k->type == 'F') builder_f32s(&g, key, floats, of->n_layers);
        if (k->type == 'm') builder_i32s(&g, key, numbers, of->n_layers + 1);
    }
    size_t n_bytes;
    static unsigned char *bytes;
    if (last) cllm_gguf_close(last);
    free(bytes);
    bytes = builder_finish(&g, &n_bytes);
    builder_free(&g);
    assert_ok(gguf_open_memory(bytes, n_bytes, &last, err), err);
    return config_read(last, &layers, config, err);
}

static model_config config_of(const config_case *of) {
    model_config config;
    cllm_error err;
    assert_ok(read_config(of, &config, &err), &err);
    return config;
}

static void assert_near(double got, double want) {
    if (!(fabs(got - want) <= 1e-6 * fabs(want))) fail_msg("%.9g should be %.9g", got, want);
}

static void windows_follow_the_familys_rhythm(void **state) {
    (void)state;
    static const struct {
        config_case of;
        uint32_t window;
        const char *layers; /* w: windowed */
    } cases[] = {
        {{"gemma2", 4, {{0}}}, 4096, "w.w."},
        {{"gemma2", 4, {{"attention.sliding_window", 'u', 100, NULL}}}, 100, "w.w."},
        {{"gemma3", 7, {{"attention.sliding_window", 'u', 512, NULL}}}, 512, "wwwww.w"},
        {{"gemma3", 7, {{0}}}, 0, "......."},
        {{"olmo2", 5, {{"attention.sliding_window", 'u', 64, NULL}}}, 64, "www.w"},
        {{"cohere2",
          4,
          {{"attention.sliding_window", 'u', 64, NULL}, {"attention.sliding_window_pattern", 'u', 2, NULL}}},
         64,
         "w.w."},
        {{"exaone4", 6, {{"attention.sliding_window", 'u', 64, NULL}}}, 0, "......"},
        {{"llama", 4, {{"attention.sliding_window", 'u', 64, NULL}}}, 64, "wwww"},
        {{"llama", 4, {{"attention.sliding_window", 'u', 0, NULL}}}, 0, "...."},
        {{"mistral3", 4, {{"attention.sliding_window", 'u', 64, NULL}}}, 64, "wwww"},
        {{"starcoder2", 4, {{"attention.sliding_window", 'u', 64, NULL}}}, 64, "wwww"},
        {{"qwen2", 4, {{"attention.sliding_window", 'u', 64, NULL}}}, 0, "...."},
        {{"phi3", 4, {{"attention.sliding_window", 'u', 64, NULL}}}, 64, "wwww"},
        {{"llama4", 5, {{0}}}, 8192, "www.w"},
        {{"llama4", 4, {{"attention.sliding_window", 'u', 0, NULL}}}, 0, "...."},
        {{"smallthinker",
          5,
          {{"attention.sliding_window", 'u', 64, NULL},
           {"expert_count", 'u', 4, NULL},
           {"expert_used_count", 'u', 1, NULL}}},
         64,
         ".www."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const model_config config = config_of(&cases[i].of);
        assert_int_equal(config.window, cases[i].window);
        for (uint32_t layer = 0; layer < config.n_layers; layer++)
            assert_int_equal(config.layers[layer].windowed, cases[i].layers[layer] == 'w');
    }
    const model_config large = config_of(&(config_case){.architecture = "exaone4", .n_layers = 64});
    assert_int_equal(large.window, 4096);
    assert_true(large.layers[0].windowed && !large.layers[3].windowed && !large.layers[63].windowed);
    assert_true((large.layers[0].rope_dimension_count > 0) && !(large.layers[3].rope_dimension_count > 0));
}

static void what_is_not_applied_is_said(void **state) {
    (void)state;
    const model_config window = config_of(&(config_case){"qwen2", 4, {{"attention.sliding_window", 'u', 64, NULL}}});
    assert_non_null(strstr(window.note, "qwen2.attention.sliding_window: the window of 64 is not applied"));
    const model_config wide = config_of(&(config_case){"qwen2", 4, {{"attention.sliding_window", 'u', 8192, NULL}}});
    assert_string_equal(wide.note, "");
    const model_config applied = config_of(&(config_case){"phi3", 4, {{"attention.sliding_window", 'u', 64, NULL}}});
    assert_string_equal(applied.note, "");
}

/* Some converters write one number of heads per layer, even if all are the same. */
static void numbers_of_all_layers_that_are_alike_are_one(void **state) {
    (void)state;
    const config_case of = {"llama",
                            3,
                            {{"attention.head_count_kv", 'l', 2, NULL},
                             {"expert_count", 'l', 0, NULL},
                             {"attention.sliding_window", 'l', 64, NULL},
                             {"attention.head_count", 'l', 4, NULL},
                             {"feed_forward_length", 'l', 1024, NULL}}};
    const model_config config = config_of(&of);
    assert_int_equal(config.n_heads, 4);
    assert_int_equal(config.n_ff, 1024);
    assert_int_equal(config.n_kv_heads, 2);
    assert_int_equal(config.window, 64);
}

static void layers_may_differ(void **state) {
    (void)state;
    const config_case of = {"llama",
                            4,
                            {{"attention.head_count", 'd', 4, NULL},
                             {"attention.head_count_kv", 'l', 1, NULL},
                             {"attention.key_length", 'd', 32, NULL},
                             {"attention.value_length", 'F', 16, NULL},
                             {"feed_forward_length", 'd', 100, NULL},
                             {"attention.sliding_window", 'u', 64, NULL},
                             {"attention.sliding_window_pattern", 'd', 0, NULL},
                             {"rope.dimension_count", 'u', 32, NULL}}};
    const model_config config = config_of(&of);
    for (uint32_t i = 0; i < 4; i++) {
        const layer_config *l = &config.layers[i];
        assert_int_equal(l->n_heads, i == 2 ? 5 : 4);
        assert_int_equal(l->n_kv_heads, 1);
        assert_int_equal(l->key_length, i == 2 ? 33 : 32);
        assert_int_equal(l->value_length, i == 2 ? 17 : 16);
        assert_int_equal(l->n_ff, i == 2 ? 101 : 100);
        assert_int_equal(l->windowed, i == 2);
        assert_near((double)l->attention_scale, 1 / sqrt(l->key_length));
    }
    assert_int_equal(config.n_heads, 5);
    assert_int_equal(config.key_length, 33);
    assert_int_equal(config.value_length, 17);
    assert_int_equal(config.n_ff, 101);
}

#define GEMMA4_HEADS                                                                                       \
    {"attention.key_length", 'u', 64, NULL}, {"attention.value_length", 'u', 64, NULL},                    \
        {"attention.key_length_swa", 'u', 32, NULL}, {"attention.value_length_swa", 'u', 32, NULL},        \
        {"rope.dimension_count", 'u', 64, NULL}, {"rope.dimension_count_swa", 'u', 16, NULL},              \
        {"attention.sliding_window", 'u', 64, NULL}, {"attention.sliding_window_pattern", 'u', 2, NULL}, { \
        "embedding_length_per_layer_input", 'u', 24, NULL                                                  \
    }

static void windowed_layers_may_have_heads_of_their_own(void **state) {
    (void)state;
    const model_config config = config_of(&(config_case){"gemma4", 6, {GEMMA4_HEADS}});
    for (uint32_t i = 0; i < 6; i++) {
        const layer_config *l = &config.layers[i];
        const bool windowed = i % 2 == 0;
        assert_int_equal(l->windowed, windowed);
        assert_int_equal(l->key_length, windowed ? 32 : 64);
        assert_int_equal(l->value_length, windowed ? 32 : 64);
        assert_int_equal(l->rope_dimension_count, windowed ? 16 : 64);
        assert_near((double)l->attention_scale, 1);
    }
    assert_int_equal(config.n_embd_per_layer, 24);
}

/* Here no layer is windowed, although the file sets a window. */
static void sizes_of_windowed_layers_are_read_if_there_are_some(void **state) {
    (void)state;
    config_case of = {"gemma3",
                      2,
                      {{"attention.sliding_window", 'u', 64, NULL},
                       {"attention.sliding_window_pattern", 'u', 1, NULL},
                       {"rope.dimension_count_swa", 'u', 4096, NULL}}};
    assert_int_equal(config_of(&of).rope_dimension_count_windowed, 128);
    of.keys[1].number = 2;
    model_config refused;
    cllm_error err;
    assert_error(read_config(&of, &refused, &err), &err, CLLM_ERR_FORMAT,
                 "gemma3.rope.dimension_count_swa: 4096 is not an even number up to the head's 128 elements");
}

static void last_layers_may_share_keys(void **state) {
    (void)state;
    config_case of = {"gemma4", 6, {GEMMA4_HEADS, {"attention.shared_kv_layers", 'u', 2, NULL}}};
    const model_config config = config_of(&of);
    static const uint32_t kv_layers[] = {0, 1, 2, 3, 2, 3};
    for (uint32_t i = 0; i < 6; i++) assert_int_equal(config.layers[i].kv_layer, kv_layers[i]);
    model_config refused;
    cllm_error err;
    /* then layers 1 and 2 are the last ones with their own keys; of such two, the first must be the windowed one */
    of.keys[9].number = 3;
    assert_error(read_config(&of, &refused, &err), &err, CLLM_ERR_FORMAT,
                 "gemma4.attention.shared_kv_layers: layer 3 cannot share the keys and values of layer 2");
    of.keys[9].number = 5;
    assert_error(read_config(&of, &refused, &err), &err, CLLM_ERR_FORMAT,
                 "gemma4.attention.shared_kv_layers: 5 of 6 layers would leave less than two");
}

static void tokens_may_have_several_vectors(void **state) {
    (void)state;
    const config_case of = {"gemma3n", 12, {{"attention.shared_kv_layers", 'u', 0, NULL}}};
    const model_config config = config_of(&of), gemma4 = config_of(&(config_case){"gemma4", 2, {{0}}});
    assert_int_equal(config.n_streams, 4);
    assert_int_equal(gemma4.n_streams, 0);
    assert_near((double)config.logit_softcap, 30);
    for (uint32_t i = 0; i < 12; i++) assert_int_equal(config.layers[i].gate_deviations > 0, i < 10);
    model_config refused;
    cllm_error err;
    const config_case many = {"gemma3n", 2, {{"altup.num_inputs", 'u', 9, NULL}}},
                      other = {"gemma3n", 2, {{"altup.active_idx", 'u', 1, NULL}}},
                      wide = {"gemma3n", 2, {{"embedding_length_per_layer_input", 'u', 2e9, NULL}}};
    assert_error(read_config(&many, &refused, &err), &err, CLLM_ERR_FORMAT,
                 "altup.num_inputs: 9 is not between 2 and 8");
    assert_error(read_config(&other, &refused, &err), &err, CLLM_ERR_FORMAT, "altup.active_idx: 1 is not 0");
    assert_error(read_config(&wide, &refused, &err), &err, CLLM_ERR_FORMAT, "for each of 2 layers are not possible");
}

static void the_keys_of_yarn_are_read_of_every_family(void **state) {
    (void)state;
    static const char *const families[] = {"llama", "qwen2", "olmo2", "gpt-oss", "deepseek2"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const config_case of = {families[i],
                                2,
                                {{"rope.scaling.type", 's', 0, "yarn"},
                                 {"rope.scaling.yarn_beta_fast", 'f', 24, NULL},
                                 {"rope.scaling.yarn_beta_slow", 'f', 0.5, NULL},
                                 {"rope.scaling.yarn_ext_factor", 'f', 0.75, NULL},
                                 {"rope.scaling.yarn_attn_factor", 'f', 1.25, NULL},
                                 {"expert_count", 'u', 8, NULL},
                                 {"expert_used_count", 'u', 2, NULL},
                                 {"attention.kv_lora_rank", 'u', 64, NULL},
                                 {"attention.key_length_mla", 'u', 48, NULL},
                                 {"attention.value_length_mla", 'u', 32, NULL},
                                 {"rope.dimension_count", 'u', 16, NULL}}};
        model_config config;
        cllm_error err;
        read_config(&of, &config, &err); /* the family may refuse the file because of later keys */
        assert_near((double)config.yarn_beta_fast, 24);
        assert_near((double)config.yarn_beta_slow, 0.5);
        assert_near((double)config.yarn_kept, 0.75);
        assert_near((double)config.yarn_magnitude, 1.25);
    }
    const model_config unsaid =
        config_of(&(config_case){"gptoss", 2, {{"expert_count", 'u', 8, NULL}, {"expert_used_count", 'u', 2, NULL}}});
    assert_int_equal(unsaid.rope_scaling, ROPE_SCALING_YARN);
    const config_case minus = {"llama", 2, {{"rope.scaling.yarn_ext_factor", 'f', -1, NULL}}}; /* "not said" */
    assert_near((double)config_of(&minus).yarn_kept, 1);
}

static void rope_is_left_out_where_the_family_does(void **state) {
    (void)state;
    const model_config smollm3 = config_of(&(config_case){.architecture = "smollm3", .n_layers = 8});
    for (uint32_t layer = 0; layer < 8; layer++)
        assert_int_equal((smollm3.layers[layer].rope_dimension_count > 0), layer % 4 != 3);
    const config_case nope = {"granite", 2, {{"rope.scaling.finetuned", 'b', 0, NULL}}};
    const model_config granite = config_of(&nope),
                       gpt2 = config_of(&(config_case){.architecture = "gpt2", .n_layers = 2});
    assert_false((granite.layers[0].rope_dimension_count > 0));
    assert_false((gpt2.layers[0].rope_dimension_count > 0));
    const model_config exaone4 = config_of(&(config_case){.architecture = "exaone4", .n_layers = 30});
    assert_true((exaone4.layers[3].rope_dimension_count > 0)); /* there are no windows, so all layers have RoPE */
}

static void models_of_some_sizes_have_alibi(void **state) {
    (void)state;
    const model_config small = config_of(&(config_case){.architecture = "baichuan", .n_layers = 32}),
                       large = config_of(&(config_case){.architecture = "baichuan", .n_layers = 40}),
                       other = config_of(&(config_case){.architecture = "baichuan", .n_layers = 16}),
                       bloom = config_of(&(config_case){.architecture = "bloom", .n_layers = 2});
    assert_true(small.layers[0].rope_dimension_count > 0 && large.layers[0].rope_dimension_count == 0 &&
                other.layers[0].rope_dimension_count == 0);
    assert_near((double)large.alibi_max_bias, 8);
    assert_near((double)bloom.alibi_max_bias, 8);
    assert_true(small.alibi_max_bias == 0 && other.alibi_max_bias == 0);
}

#define MIXTURE \
    {"expert_count", 'u', 4, NULL}, { "expert_used_count", 'u', 1, NULL }

static void layers_are_mixtures_as_the_family_says(void **state) {
    (void)state;
    const model_config llama4 =
        config_of(&(config_case){"llama4", 5, {MIXTURE, {"interleave_moe_layer_step", 'u', 2, NULL}}});
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(llama4.layers[i].network, i % 2 == 1 ? NETWORK_EXPERTS : NETWORK_DENSE);
        assert_int_equal(llama4.layers[i].rope_dimension_count > 0, i != 3);
    }
    assert_int_equal(llama4.n_ff_shared, 1024); /* there is one shared expert, as long as the others */
    assert_near((double)llama4.attention_temperature, 0.1);
    const model_config mimo2 =
        config_of(&(config_case){"mimo2", 2, {MIXTURE, {"blk.1.ffn_gate_inp.weight", 't', 0, NULL}}});
    assert_int_equal(mimo2.layers[0].network, NETWORK_DENSE);
    assert_int_equal(mimo2.layers[1].network, NETWORK_EXPERTS);
    const model_config cohere = config_of(&(config_case){"cohere2moe",
                                                         5,
                                                         {MIXTURE,
                                                          {"attention.sliding_window", 'u', 64, NULL},
                                                          {"attention.sliding_window_pattern", 'u', 2, NULL},
                                                          {"leading_dense_block_count", 'u', 2, NULL}}});
    assert_int_equal(cohere.norm, NORM_RMS); /* the file has its epsilon */
    for (uint32_t i = 0; i < 5; i++) assert_int_equal(cohere.layers[i].rope_dimension_count > 0, i != 3);
}

static void layers_have_limits_and_turn_in_parts(void **state) {
    (void)state;
    const config_case of = {"step35",
                            2,
                            {MIXTURE,
                             {"attention.sliding_window", 'u', 64, NULL},
                             {"attention.sliding_window_pattern", 'u', 2, NULL},
                             {"rope.dimension_count", 'u', 64, NULL},
                             {"swiglu_clamp_exp", 'f', 0.5, NULL}}};
    const model_config config = config_of(&of);
    assert_int_equal(config.layers[0].rope_dimension_count, 64);
    assert_int_equal(config.layers[1].rope_dimension_count, 32); /* this layer sees all positions */
    assert_near((double)config.layers[1].activation_numbers[1][0], 0.5);
    assert_true(isinf(config.layers[1].activation_numbers[0][0]));
}

static void scales_depend_on_the_size_of_some_models(void **state) {
    (void)state;
    const config_case heads = {"gemma2", 46, {{"attention.key_length", 'u', 64, NULL}}};
    config_case smaller = heads;
    smaller.n_layers = 42;
    assert_near((double)config_of(&heads).layers[0].attention_scale, 1 / sqrt(512.0 / 4));
    assert_near((double)config_of(&smaller).layers[0].attention_scale, 1 / sqrt(64.0));
    assert_near((double)config_of(&heads).embedding_scale, sqrt(512.0));
    assert_near((double)config_of(&heads).attention_softcap, 50);
    assert_near((double)config_of(&heads).logit_softcap, 30);
    const config_case large = {"gemma3", 62, {{"attention.key_length", 'u', 64, NULL}}};
    assert_near((double)config_of(&large).layers[0].attention_scale, 1 / sqrt(512.0 / 4));
    assert_near((double)config_of(&large).rope_freq_base_windowed, 10000);
    assert_near((double)config_of(&large).logit_softcap, 0);
    const config_case granite = {"granite", 2, {{"logit_scale", 'f', 8, NULL}}};
    const config_case cohere = {"command-r", 2, {{"logit_scale", 'f', 8, NULL}}};
    assert_near((double)config_of(&granite).logit_scale, 1.0 / 8);
    assert_near((double)config_of(&cohere).logit_scale, 8);
    const config_case written = {"minicpm", 4, {{"logit_scale", 'f', 8, NULL}, {"residual_scale", 'f', 0.25, NULL}}};
    const model_config minicpm = config_of(&(config_case){.architecture = "minicpm", .n_layers = 4});
    assert_near((double)minicpm.embedding_scale, 12);
    assert_near((double)minicpm.residual_scale, 0.7);
    assert_near((double)minicpm.logit_scale, 0.5); /* 256 / 512 */
    assert_near((double)config_of(&written).residual_scale, 0.25);
    assert_near((double)config_of(&written).logit_scale, 1.0 / 8);
}

#define LATENT                                                                                      \
    {"attention.head_count_kv", 'u', 1, NULL}, {"attention.key_length", 'u', 80, NULL},             \
        {"attention.value_length", 'u', 64, NULL}, {"attention.kv_lora_rank", 'u', 64, NULL},       \
        {"attention.key_length_mla", 'u', 48, NULL}, {"attention.value_length_mla", 'u', 32, NULL}, \
        {"rope.dimension_count", 'u', 16, NULL}, {                                                  \
        "attention.q_lora_rank", 'u', 96, NULL                                                      \
    }

static void latent_attention_agrees_with_itself(void **state) {
    (void)state;
    config_case of = {"deepseek2", 2, {LATENT}};
    const model_config latent = config_of(&of);
    assert_int_equal(latent.q_rank, 96);
    assert_int_equal(query_length(&latent, &latent.layers[0]), 48);
    of.keys[8] = (key_value){"blk.0.attn_q_a.weight", 't', 0, NULL};
    assert_int_equal(config_of(&of).q_rank, 96);
    of.keys[8].suffix = "blk.0.attn_q.weight"; /* queries come from one matrix, so the rank is not used */
    assert_int_equal(config_of(&of).q_rank, 0);
    of.n_layers = 27; /* DeepSeek-V2-Lite has 27 layers and such queries: the number must not decide */
    of.keys[8].suffix = NULL;
    assert_int_equal(config_of(&of).q_rank, 96);
    of.keys[3].number = 60;
    model_config config;
    cllm_error err;
    assert_error(read_config(&of, &config, &err), &err, CLLM_ERR_FORMAT,
                 "deepseek2.attention.kv_lora_rank: 60 does not agree with 1 heads");
    of.keys[3].number = 64;
    of.keys[4].number = 16;
    assert_error(read_config(&of, &config, &err), &err, CLLM_ERR_FORMAT,
                 "attention.key_length_mla: 16 is not more than rope.dimension_count, 16");
    of.keys[6].number = 0;
    assert_error(read_config(&of, &config, &err), &err, CLLM_ERR_FORMAT, "rope.dimension_count: 0 is not");
    of.keys[4].suffix = NULL;
    assert_error(read_config(&of, &config, &err), &err, CLLM_ERR_FORMAT, "attention.key_length_mla: key is missing");
}

#define INDEXED(heads, length, top_k)                                                                                  \
    LATENT, {"attention.indexer.head_count", 'u', heads, NULL}, {"attention.indexer.key_length", 'u', length, NULL}, { \
        "attention.indexer.top_k", 'u', top_k, NULL                                                                    \
    }

static void layers_choose_or_take_the_choice(void **state) {
    (void)state;
    static const struct {
        config_case of;
        const char *layers; /* i: has an indexer */
    } cases[] = {
        {{"deepseek32", 3, {INDEXED(8, 64, 100)}}, "iii"},
        {{"glm-dsa", 8, {INDEXED(8, 64, 100)}}, "iiiiiiii"},
        {{"glm-dsa", 8, {INDEXED(8, 64, 100), {"context_length", 'u', 1048576, NULL}}}, "iii...i."},
        {{"glm-dsa", 3, {INDEXED(8, 64, 100), {"attention.indexer.types", 'l', 1, NULL}}}, "iii"},
        {{"glm-dsa", 4, {INDEXED(8, 64, 100), {"attention.indexer.types", 'F', 1, NULL}}}, "iiii"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const model_config config = config_of(&cases[i].of);
        assert_int_equal(config.n_index_heads, 8);
        for (uint32_t k = 0; k < config.n_layers; k++) {
            assert_int_equal(config.layers[k].top_k, 100);
            assert_int_equal(config.layers[k].index_key_length, cases[i].layers[k] == 'i' ? 64 : 0);
        }
    }
}

#define STATE \
    {"ssm.conv_kernel", 'u', 4, NULL}, {"ssm.state_size", 'u', 32, NULL}, { "ssm.group_count", 'u', 2, NULL }

#define CHANNELS(length)                                                                                               \
    {"ssm.conv_kernel", 'u', 4, NULL}, {"kda.head_dim", 'u', length, NULL}, {"attention.kv_lora_rank", 'u', 64, NULL}, \
        {"attention.key_length_mla", 'u', 96, NULL}, {"attention.value_length_mla", 'u', 32, NULL},                    \
        {"rope.dimension_count", 'u', 32, NULL}, {                                                                     \
        "attention.key_length", 'u', 96, NULL                                                                          \
    }

#define RWKV6(size, rank)                                                          \
    {"wkv.head_size", 'u', size, NULL}, {"time_mix_extra_dim", 'u', rank, NULL}, { \
        "time_decay_extra_dim", 'u', 64, NULL                                      \
    }
#define RWKV7(rank)                                                                                               \
    {"wkv.head_size", 'u', 64, NULL}, {"attention.decay_lora_rank", 'u', 32, NULL},                               \
        {"attention.iclr_lora_rank", 'u', 16, NULL}, {"attention.value_residual_mix_lora_rank", 'u', 24, NULL}, { \
        "attention.gate_lora_rank", 'u', rank, NULL                                                               \
    }

static void both_halves_may_carry_a_token(void **state) {
    (void)state;
    const model_config six =
        config_of(&(config_case){"rwkv6", 2, {RWKV6(64, 48), {"rescale_every_n_layers", 'u', 6, NULL}}});
    const model_config seven = config_of(&(config_case){"rwkv7", 2, {RWKV7(40)}});
    const recurrent_config *r = &six.recurrent;
    assert_int_equal(six.halving_period, 6);
    assert_int_equal(r->mix_rank, 48);
    assert_int_equal(r->step_rank, 64);
    assert_int_equal(r->n_parts, 5);
    assert_int_equal(seven.recurrent.n_parts, 6);
    assert_int_equal(seven.recurrent.gate_rank, 40);
    assert_int_equal(seven.recurrent.value_rank, 24);
    for (const model_config *c = &six; c; c = c == &six ? &seven : NULL) {
        assert_int_equal(c->recurrent.n_heads, 512 / 64);
        assert_int_equal((c->recurrent.kernel - 1) * c->recurrent.n_channels, 2 * 512);
        assert_int_equal(c->layers[1].mixer, MIXER_RECURRENT);
        assert_int_equal(c->layers[1].network, NETWORK_DENSE);
    }
}

static void layers_are_what_the_keys_say(void **state) {
    (void)state;
    static const struct {
        config_case of;
        const char *mixers; /* for each layer: * attends, M is recurrent, B is both, - is only a feed-forward network */
    } cases[] = {
        {{"lfm2", 3, {{"shortconv.l_cache", 'u', 3, NULL}, {"attention.head_count_kv", 'l', 0, NULL}}}, "MMM"},
        {{"lfm2", 2, {{"shortconv.l_cache", 'u', 3, NULL}, {"attention.head_count_kv", 'u', 2, NULL}}}, "**"},
        {{"qwen35", 6, {STATE, {"ssm.time_step_rank", 'u', 4, NULL}, {"ssm.inner_size", 'u', 128, NULL}}}, "MMM*MM"},
        {{"qwen35",
          4,
          {STATE,
           {"ssm.time_step_rank", 'u', 4, NULL},
           {"ssm.inner_size", 'u', 128, NULL},
           {"full_attention_interval", 'u', 2, NULL}}},
         "M*M*"},
        {{"mamba2", 2, {STATE, {"ssm.time_step_rank", 'u', 4, NULL}, {"ssm.inner_size", 'u', 128, NULL}}}, "MM"},
        {{"plamo2",
          3,
          {{"ssm.conv_kernel", 'u', 4, NULL},
           {"ssm.state_size", 'u', 32, NULL},
           {"ssm.time_step_rank", 'u', 4, NULL},
           {"ssm.inner_size", 'u', 128, NULL},
           {"ssm.group_count", 'u', 0, NULL},
           {"attention.head_count_kv", 'd', 0, NULL}}},
         "MM*"},
        {{"kimi-linear", 2, {CHANNELS(16), {"attention.head_count_kv", 'l', 0, NULL}}}, "MM"},
        {{"falcon-h1", 2, {STATE, {"ssm.time_step_rank", 'u', 4, NULL}, {"ssm.inner_size", 'u', 128, NULL}}}, "BB"},
        {{"nemotron_h",
          2,
          {STATE,
           {"ssm.time_step_rank", 'u', 4, NULL},
           {"ssm.inner_size", 'u', 128, NULL},
           {"attention.head_count_kv", 'l', 0, NULL}}},
         "--"},
        {{"nemotron_h",
          2,
          {STATE,
           {"ssm.time_step_rank", 'u', 4, NULL},
           {"ssm.inner_size", 'u', 128, NULL},
           {"feed_forward_length", 'l', 0, NULL},
           {"attention.head_count_kv", 'l', 0, NULL}}},
         "MM"},
        {{"nemotron_h",
          2,
          {STATE,
           {"ssm.time_step_rank", 'u', 4, NULL},
           {"ssm.inner_size", 'u', 128, NULL},
           {"feed_forward_length", 'l', 0, NULL}}},
         "**"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_config config;
        cllm_error err;
        assert_ok(read_config(&cases[i].of, &config, &err), &err);
        for (uint32_t k = 0; k < config.n_layers; k++)
            if ("*MB-"[config.layers[k].mixer] != cases[i].mixers[k])
                fail_msg("case %zu: layer %u is of kind %d, and not '%c'", i, k, (int)config.layers[k].mixer,
                         cases[i].mixers[k]);
    }
}

static void values_that_cannot_be_are_refused(void **state) {
    (void)state;
    static const struct {
        config_case of;
        cllm_status status;
        const char *message;
    } cases[] = {
        {{"qwen3moe", 2, {{0}}}, CLLM_ERR_FORMAT, "qwen3moe.expert_count: key is missing"},
        {{"qwen3moe", 2, {{"expert_count", 'u', 0, NULL}}}, CLLM_ERR_FORMAT, "qwen3moe.expert_count: 0 is not 1"},
        {{"qwen3moe", 2, {{"expert_count", 'u', 8, NULL}}}, CLLM_ERR_FORMAT, "expert_used_count: key is missing"},
        {{"qwen3moe", 2, {{"expert_count", 'u', 8, NULL}, {"expert_used_count", 'u', 9, NULL}}},
         CLLM_ERR_FORMAT,
         "qwen3moe.expert_used_count: 9 is not between 1 and the 8"},
        {{"qwen3moe", 2, {{"expert_count", 'u', 70000, NULL}, {"expert_used_count", 'u', 2, NULL}}},
         CLLM_ERR_FORMAT,
         "qwen3moe.expert_count: 70000 is more than 4096"},
        {{"qwen3", 2, {{"expert_count", 'u', 8, NULL}}},
         CLLM_ERR_UNSUPPORTED,
         "qwen3.expert_count: 8, but experts are not"},
        {{"gemma2", 2, {{"attention.sliding_window", 'u', 4e9, NULL}}}, CLLM_ERR_FORMAT, "4000000000 is more than"},
        {{"olmo", 2, {{"attention.clamp_kqv", 'f', -2, NULL}}},
         CLLM_ERR_FORMAT,
         "olmo.attention.clamp_kqv: -2 is negative"},
        {{"step35", 2, {MIXTURE, {"swiglu_clamp_exp", 'f', -1, NULL}}},
         CLLM_ERR_FORMAT,
         "step35.swiglu_clamp_exp: -1 is negative"},
        {{"step35", 2, {MIXTURE, {"swiglu_clamp_shexp", 'l', 1, NULL}}}, CLLM_ERR_FORMAT, "step35.swiglu_clamp_shexp"},
        {{"apertus", 2, {{0}}}, CLLM_ERR_FORMAT, "xielu.alpha_p: key is missing"},
        {{"smallthinker",
          2,
          {MIXTURE, {"interleave_moe_layer_step", 'u', 2, NULL}, {"leading_dense_block_count", 'u', 1, NULL}}},
         CLLM_ERR_FORMAT,
         "smallthinker.leading_dense_block_count: 1 is not 0: dense layers are not"},
        {{"mpt", 2, {{"attention.max_alibi_bias", 'f', -1, NULL}}}, CLLM_ERR_FORMAT, "-1 is not between 0 and 1000"},
        {{"granite", 2, {{"logit_scale", 'f', 0, NULL}}}, CLLM_ERR_FORMAT, "granite.logit_scale: 0 would make"},
        {{"mistral3", 2, {{"rope.scaling.yarn_beta_fast", 'f', 0, NULL}}}, CLLM_ERR_FORMAT, "are not positive"},
        {{"mistral3", 2, {{"rope.scaling.yarn_ext_factor", 'f', 1.5, NULL}}},
         CLLM_ERR_FORMAT,
         "mistral3.rope.scaling.yarn_ext_factor: 1.5 is more than 1"},
        {{"mistral3", 2, {{"rope.scaling.yarn_attn_factor", 'f', -1, NULL}}},
         CLLM_ERR_FORMAT,
         "mistral3.rope.scaling.yarn_attn_factor: -1 is negative"},
        {{"gemma3", 2, {{"rope.freq_base_swa", 'f', 1, NULL}}}, CLLM_ERR_FORMAT, "gemma3.rope.freq_base_swa: 1 is not"},
        {{"gemma3", 2, {{"rope.freq_base", 'f', 0.5, NULL}, {"rope.freq_base_swa", 'f', 0.25, NULL}}},
         CLLM_ERR_FORMAT,
         "gemma3.rope.freq_base: 0.5 is not"},
        {{"deepseek2",
          2,
          {LATENT,
           {"expert_count", 'u', 8, NULL},
           {"expert_used_count", 'u', 3, NULL},
           {"expert_gating_func", 'u', 7, NULL}}},
         CLLM_ERR_FORMAT,
         "deepseek2.expert_gating_func: 7 is not known"},
        {{"deepseek2",
          2,
          {LATENT,
           {"expert_count", 'u', 8, NULL},
           {"expert_used_count", 'u', 3, NULL},
           {"expert_group_count", 'u', 3, NULL}}},
         CLLM_ERR_FORMAT,
         "deepseek2.expert_group_count: 3 groups do not divide the 8"},
        {{"gemma4", 2, {{"attention.key_length", 'u', 64, NULL}, {"attention.value_length", 'u', 32, NULL}}},
         CLLM_ERR_FORMAT,
         "blk.0.attn_v.weight: missing, and keys of 64 elements cannot be the values of 32"},
        {{"deepseek32", 2, {LATENT}}, CLLM_ERR_FORMAT, "deepseek32.attention.indexer.head_count: key is missing"},
        {{"deepseek32", 2, {INDEXED(0, 64, 100)}}, CLLM_ERR_FORMAT, "indexer.head_count: 0 is not between 1 and 65536"},
        {{"deepseek32", 2, {INDEXED(8, 64, 0)}}, CLLM_ERR_FORMAT, "attention.indexer.top_k: 0 is not between"},
        {{"deepseek32", 2, {INDEXED(8, 64, 4e9)}}, CLLM_ERR_FORMAT, "indexer.top_k: 4000000000 is not between"},
        {{"deepseek32", 2, {INDEXED(65536, 65536, 100)}},
         CLLM_ERR_FORMAT,
         "indexer.head_count: 65536 heads of 65536 elements are not possible"},
        {{"deepseek32", 2, {INDEXED(8, 14, 100)}},
         CLLM_ERR_FORMAT,
         "indexer.key_length: 14 is less than rope.dimension_count, 16, the part that is rotated"},
        {{"glm-dsa", 2, {INDEXED(8, 64, 100), {"blk.0.attn_q.weight", 't', 0, NULL}}},
         CLLM_ERR_FORMAT,
         "glm-dsa.attention.q_lora_rank: 0 is not 1 or more: the indexer reads compressed queries"},
        {{"glm-dsa", 3, {INDEXED(8, 64, 100), {"attention.indexer.types", 'd', 0, NULL}}},
         CLLM_ERR_FORMAT,
         "glm-dsa.attention.indexer.types: layer 0 has no indexer"},
        {{"glm-dsa", 3, {INDEXED(8, 64, 100), {"attention.indexer.types", 'm', 1, NULL}}},
         CLLM_ERR_FORMAT,
         "glm-dsa.attention.indexer.types: 4 values for 3 layers"},
        {{"lfm2", 2, {{0}}}, CLLM_ERR_FORMAT, "lfm2.shortconv.l_cache: key is missing"},
        {{"lfm2", 2, {{"shortconv.l_cache", 'u', 0, NULL}}},
         CLLM_ERR_FORMAT,
         "lfm2.shortconv.l_cache: 0 is not between"},
        {{"lfm2", 4, {{"attention.head_count_kv", 'm', 2, NULL}}}, CLLM_ERR_FORMAT, "5 values for 4 layers"},
        {{"qwen35", 2, {{"full_attention_interval", 'u', 0, NULL}}},
         CLLM_ERR_FORMAT,
         "qwen35.full_attention_interval: 0 is not 1 or more"},
        {{"qwen35", 2, {STATE, {"ssm.time_step_rank", 'u', 4, NULL}, {"ssm.inner_size", 'u', 256, NULL}}},
         CLLM_ERR_FORMAT,
         "qwen35.ssm.inner_size: 256 is not 4 heads of ssm.state_size 32"},
        {{"qwen35", 2, {STATE, {"ssm.time_step_rank", 'u', 3, NULL}, {"ssm.inner_size", 'u', 96, NULL}}},
         CLLM_ERR_FORMAT,
         "qwen35.ssm.group_count: 2 does not divide the 3 heads"},
        {{"qwen35",
          4,
          {STATE,
           {"ssm.time_step_rank", 'u', 4, NULL},
           {"ssm.inner_size", 'u', 128, NULL},
           {"attention.value_length", 'u', 64, NULL}}},
         CLLM_ERR_FORMAT,
         "qwen35.attention.value_length: 64 is not attention.key_length, 128; the gates"},
        {{"mamba2", 2, {STATE, {"ssm.time_step_rank", 'u', 6, NULL}, {"ssm.inner_size", 'u', 128, NULL}}},
         CLLM_ERR_FORMAT,
         "mamba2.ssm.inner_size: 128 is not a multiple of the 6 heads"},
        {{"mamba2", 2, {STATE, {"ssm.time_step_rank", 'u', 4e9, NULL}, {"ssm.inner_size", 'u', 128, NULL}}},
         CLLM_ERR_FORMAT,
         "mamba2.ssm.time_step_rank: 4000000000 is not between 1 and 1048576"},
        {{"mamba2",
          2,
          {{"ssm.conv_kernel", 'u', 4, NULL},
           {"ssm.state_size", 'u', 1048576, NULL},
           {"ssm.group_count", 'u', 1048576, NULL},
           {"ssm.time_step_rank", 'u', 1048576, NULL},
           {"ssm.inner_size", 'u', 1048576, NULL}}},
         CLLM_ERR_FORMAT,
         "mamba2.ssm.state_size: 1048576 groups of 1048576 elements are not possible"},
        {{"plamo2",
          2,
          {{"ssm.conv_kernel", 'u', 4, NULL},
           {"ssm.state_size", 'u', 32, NULL},
           {"ssm.time_step_rank", 'u', 6, NULL},
           {"ssm.inner_size", 'u', 128, NULL}}},
         CLLM_ERR_FORMAT,
         "plamo2.ssm.inner_size: 128 is not a multiple of the 6 heads"},
        {{"kimi-linear", 2, {CHANNELS(0)}}, CLLM_ERR_FORMAT, "kimi-linear.kda.head_dim: 0 is not between"},
        {{"kimi-linear", 2, {CHANNELS(1048576), {"attention.head_count", 'u', 1024, NULL}}},
         CLLM_ERR_FORMAT,
         "kimi-linear.kda.head_dim: 1024 heads of 1048576 elements are not possible"},
        {{"kimi-linear", 3, {CHANNELS(16), {"attention.head_count", 'd', 2, NULL}}},
         CLLM_ERR_UNSUPPORTED,
         "kimi-linear.attention.head_count: 2 in layer 0, but 3 in layer 2: different values"},
        {{"kimi-linear", 2, {CHANNELS(16), {"attention.head_count_kv", 'u', 2, NULL}}},
         CLLM_ERR_FORMAT,
         "kimi-linear.attention.kv_lora_rank: 64 does not agree with 2 heads"},
        {{"rwkv6", 2, {{0}}}, CLLM_ERR_FORMAT, "rwkv6.wkv.head_size: key is missing"},
        {{"rwkv6", 2, {RWKV6(0, 32)}}, CLLM_ERR_FORMAT, "rwkv6.wkv.head_size: 0 is not between 1 and 1048576"},
        {{"rwkv6", 2, {RWKV6(96, 32)}},
         CLLM_ERR_FORMAT,
         "rwkv6.wkv.head_size: 96 does not divide the embedding length"},
        {{"rwkv6", 2, {RWKV6(64, 4e9)}}, CLLM_ERR_FORMAT, "rwkv6.time_mix_extra_dim: 4000000000 is not between"},
        {{"rwkv6", 2, {RWKV6(64, 32), {"token_shift_count", 'u', 1, NULL}}},
         CLLM_ERR_FORMAT,
         "rwkv6.token_shift_count: 1 is not 2"},
        {{"rwkv7", 2, {{"wkv.head_size", 'u', 64, NULL}}},
         CLLM_ERR_FORMAT,
         "rwkv7.attention.decay_lora_rank: key is missing"},
        {{"rwkv7", 2, {RWKV7(0)}}, CLLM_ERR_FORMAT, "rwkv7.attention.gate_lora_rank: 0 is not between"},
        {{"rwkv7", 2, {RWKV7(32), {"embedding_length", 'u', 1u << 29, NULL}}},
         CLLM_ERR_FORMAT,
         "rwkv7.embedding_length: 536870912 is more than"},
        {{"llama", 4, {{"attention.sliding_window", 'd', 1, NULL}}},
         CLLM_ERR_UNSUPPORTED,
         "llama.attention.sliding_window: 1 in layer 0, but 2 in layer 2: different values"},
        {{"llama", 4, {{"attention.head_count_kv", 'd', 2, NULL}}},
         CLLM_ERR_FORMAT,
         "llama.attention.head_count_kv: 3 does not divide the 4 query heads"},
        {{"llama", 4, {{"feed_forward_length", 'F', 0.5, NULL}}}, CLLM_ERR_FORMAT, "not a whole number of 32 bits"},
        {{"llama", 4, {{"feed_forward_length", 'd', -1, NULL}}}, CLLM_ERR_FORMAT, "not a whole number of 32 bits"},
        {{"llama", 4, {{"attention.head_count_kv", 'l', -1, NULL}}},
         CLLM_ERR_FORMAT,
         "llama.attention.head_count_kv: the value of layer 0 is not a whole number"},
        {{"llama", 4, {{"attention.head_count_kv", 'm', 2, NULL}}},
         CLLM_ERR_FORMAT,
         "llama.attention.head_count_kv: 5 values for 4 layers"},
        {{"qwen2", 4, {{"attention.causal", 'b', 0, NULL}}},
         CLLM_ERR_UNSUPPORTED,
         "qwen2.attention.causal: false is not supported: the tokens of this architecture do not see later tokens"},
        {{"glm4moe", 2, {{"expert_count", 'u', 0, NULL}, {"nextn_predict_layers", 'u', 2, NULL}}},
         CLLM_ERR_FORMAT,
         "glm4moe.nextn_predict_layers: 2 is not less than block_count, which is 2"},
        {{"minimax-m2",
          2,
          {{"expert_count", 'u', 8, NULL},
           {"expert_used_count", 'u', 3, NULL},
           {"leading_dense_block_count", 'u', 1, NULL}}},
         CLLM_ERR_FORMAT,
         "minimax-m2.leading_dense_block_count: 1 is not 0: dense layers are not"},
        {{"gptneox", 2, {{0}}}, CLLM_ERR_FORMAT, "gptneox.use_parallel_residual"},
        {{"qwen3", 2, {{"pooling_type", 'u', 5, NULL}}}, CLLM_ERR_FORMAT, "qwen3.pooling_type: 5 is not known"},
        {{"qwen3", 2, {{"pooling_type", 'u', 4, NULL}}},
         CLLM_ERR_FORMAT,
         "qwen3.pooling_type: 4 (rank) needs a classifier, but the file has no cls.output.weight"},
        {{"gemma-embedding",
          2,
          {{"dense_2.weight", 't', 0, NULL}, {"dense_2_feat_in", 'u', 511, NULL}, {"dense_2_feat_out", 'u', 8, NULL}}},
         CLLM_ERR_FORMAT,
         "gemma-embedding.dense_2_feat_in: 511 is not 512, the length"},
        {{"gemma-embedding",
          2,
          {{"dense_2.weight", 't', 0, NULL}, {"dense_2_feat_in", 'u', 512, NULL}, {"dense_2_feat_out", 'u', 0, NULL}}},
         CLLM_ERR_FORMAT,
         "gemma-embedding.dense_2_feat_out: 0 is not between 1 and"},
        {{"modern-bert", 2, {{"hidden_activation", 's', 0, "relu"}}},
         CLLM_ERR_UNSUPPORTED,
         "modern-bert.hidden_activation: 'relu' is not supported"},
        {{"unheard-of", 2, {{0}}},
         CLLM_ERR_UNSUPPORTED,
         "architecture 'unheard-of' is not supported; docs/09-families.md lists the"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_config config;
        cllm_error err;
        assert_error(read_config(&cases[i].of, &config, &err), &err, cases[i].status, cases[i].message);
        assert_null(strchr(err.message, '\n'));
    }
}

static void the_file_may_name_the_pooling(void **state) {
    (void)state;
    static const cllm_pooling pooling[] = {CLLM_POOLING_NONE, CLLM_POOLING_MEAN, CLLM_POOLING_CLS, CLLM_POOLING_LAST,
                                           CLLM_POOLING_RANK};
    for (size_t i = 0; i < sizeof pooling / sizeof *pooling; i++)
        assert_int_equal(
            config_of(&(config_case){
                          "qwen3", 2, {{"cls.output.weight", 't', 0, NULL}, {"pooling_type", 'u', (double)i, NULL}}})
                .pooling,
            pooling[i]);
    assert_int_equal(config_of(&(config_case){"qwen3", 2, {{0}}}).pooling, CLLM_POOLING_LAST);
}

static void layers_of_encoders_alternate(void **state) {
    (void)state;
    const model_config modern =
        config_of(&(config_case){"modern-bert", 5, {{"attention.sliding_window", 'u', 16, NULL}}});
    const model_config nomic = config_of(&(config_case){
        "nomic-bert-moe",
        5,
        {{"expert_count", 'u', 8, NULL}, {"expert_used_count", 'u', 2, NULL}, {"moe_every_n_layers", 'u', 2, NULL}}});
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(modern.layers[i].windowed, i % 3 != 0);
        assert_int_equal(nomic.layers[i].network, i % 2 == 1 ? NETWORK_EXPERTS : NETWORK_DENSE);
    }
    assert_int_equal(modern.activation, GEGLU_ERF);
    assert_int_equal(config_of(&(config_case){"modern-bert", 5, {{"hidden_activation", 's', 0, "silu"}}}).activation,
                     SWIGLU);
    const model_config gemma = config_of(&(config_case){"gemma-embedding",
                                                        2,
                                                        {{"dense_2.weight", 't', 0, NULL},
                                                         {"dense_2_feat_in", 'u', 512, NULL},
                                                         {"dense_2_feat_out", 'u', 2048, NULL},
                                                         {"dense_3.weight", 't', 0, NULL},
                                                         {"dense_3_feat_in", 'u', 2048, NULL},
                                                         {"dense_3_feat_out", 'u', 300, NULL}}});
    assert_int_equal(gemma.dense_lengths[0], 2048);
    assert_int_equal(gemma.n_embd_out, 300);
    const model_config ranks =
        config_of(&(config_case){"bert", 2, {{"cls.output.weight", 't', 0, NULL}, {"pooling_type", 'u', 4, NULL}}});
    assert_int_equal(ranks.pooling, CLLM_POOLING_RANK);
    assert_int_equal(ranks.n_scores, 1);
}

static void blocks_that_draft_are_no_layers(void **state) {
    (void)state;
    const model_config config = config_of(&(config_case){
        "glm4moe", 4, {{"nextn_predict_layers", 'u', 1, NULL}, {"attention.head_count_kv", 'l', 2, NULL}}});
    assert_int_equal(config.n_layers, 3);
    assert_int_equal(config.n_blocks, 4);
    assert_string_equal(config.note,
                        "glm4moe.nextn_predict_layers: the last 1 of the blocks, which draft, are not used");
    const config_case both = {
        "dots1", 4, {{"nextn_predict_layers", 'u', 1, NULL}, {"attention.sliding_window", 'u', 64, NULL}}};
    const model_config notes = config_of(&both);
    assert_non_null(strstr(notes.note, "which draft, are not used; dots1.attention.sliding_window: the window of 64"));
    assert_int_equal(config_of(&(config_case){"llama", 4, {{0}}}).n_layers, 4);
}

/* Checks the forms of a model's two layers. */
static void assert_forms(const config_case *of, layer_form first, layer_form second) {
    const model_config config = config_of(of);
    assert_int_equal(config.layers[0].form, first);
    assert_int_equal(config.layers[1].form, second);
}

static void the_form_of_a_layer_is_said(void **state) {
    (void)state;
    assert_forms(&(config_case){"llama", 2, {{0}}}, FORM_SERIAL, FORM_SERIAL);
    assert_forms(&(config_case){"bert", 2, {{0}}}, FORM_NORMED_SUMS, FORM_NORMED_SUMS);
    assert_forms(&(config_case){"phi2", 2, {{"blk.1.ffn_norm.weight", 't', 0, NULL}}}, FORM_PARALLEL, FORM_PARALLEL);
    assert_forms(&(config_case){"stablelm", 2, {{"blk.1.ffn_norm.weight", 't', 0, NULL}}}, FORM_PARALLEL, FORM_SERIAL);
    assert_forms(&(config_case){"falcon", 2, {{"blk.1.attn_norm_2.weight", 't', 0, NULL}}}, FORM_PARALLEL,
                 FORM_PARALLEL_APART);
    assert_forms(&(config_case){"jina-bert-v2", 2, {{"blk.1.attn_norm_2.weight", 't', 0, NULL}}}, FORM_NORMED_SUMS,
                 FORM_NORMED_SUMS);
    assert_forms(&(config_case){"gptneox", 2, {{"use_parallel_residual", 'b', 1, NULL}}}, FORM_PARALLEL_APART,
                 FORM_PARALLEL_APART);
    assert_forms(&(config_case){"gptneox", 2, {{"use_parallel_residual", 'b', 0, NULL}}}, FORM_SERIAL, FORM_SERIAL);
}

static void keys_are_values_where_the_file_has_none(void **state) {
    (void)state;
    const model_config gemma = config_of(
        &(config_case){"gemma4", 3, {{"blk.0.attn_v.weight", 't', 0, NULL}, {"blk.2.attn_qkv.weight", 't', 0, NULL}}});
    assert_true(!gemma.layers[0].values_are_keys && gemma.layers[1].values_are_keys &&
                !gemma.layers[2].values_are_keys);
    assert_false(config_of(&(config_case){"llama", 3, {{0}}}).layers[1].values_are_keys);
}

/* Forward passes use one trait, and loading weights uses another: in every row of the table they must agree. */
static void rows_agree_with_themselves(void **state) {
    (void)state;
    for (size_t i = 0; i < family_count(); i++) {
        const model_traits *t = family_number(i);
        const char *name = t->architecture;
        const bool gated = activation_has_gate(t->activation);
        const bool parallel = t->form == FORM_PARALLEL, sums = t->form == FORM_NORMED_SUMS;
        const tensor_set sum_norms = TENSOR_BIT(attn_output_norm) | TENSOR_BIT(layer_output_norm);
        const tensor_set network_norms = TENSOR_BIT(ffn_norm) | TENSOR_BIT(post_ffw_norm);
        if (t->dense && gated != (t->gate_in_up || t->dense & TENSOR_BIT(ffn_gate))) fail_msg("%s: dense", name);
        if (t->experts && gated != !!(t->experts & TENSOR_BIT(ffn_gate_exps))) fail_msg("%s: experts", name);
        if (t->shared && gated != !!(t->shared & TENSOR_BIT(ffn_gate_shexp))) fail_msg("%s: shared experts", name);
        if (t->experts && !(t->experts & TENSOR_BIT(ffn_gate_inp))) fail_msg("%s: experts without a router", name);
        if ((t->tensors & sum_norms) != (sums ? sum_norms : 0)) fail_msg("%s: norms of sums", name);
        if ((parallel || sums) && t->tensors & network_norms) fail_msg("%s: norms of the network", name);
        if (t->form == FORM_SERIAL && t->tensors && !t->one_part_layers && !(t->tensors & network_norms))
            fail_msg("%s: the network has no norm", name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_that_draft_are_no_layers),
        cmocka_unit_test(the_form_of_a_layer_is_said),
        cmocka_unit_test(keys_are_values_where_the_file_has_none),
        cmocka_unit_test(rows_agree_with_themselves),
        cmocka_unit_test(the_file_may_name_the_pooling),
        cmocka_unit_test(layers_of_encoders_alternate),
        cmocka_unit_test(windows_follow_the_familys_rhythm),
        cmocka_unit_test(what_is_not_applied_is_said),
        cmocka_unit_test(numbers_of_all_layers_that_are_alike_are_one),
        cmocka_unit_test(layers_may_differ),
        cmocka_unit_test(windowed_layers_may_have_heads_of_their_own),
        cmocka_unit_test(sizes_of_windowed_layers_are_read_if_there_are_some),
        cmocka_unit_test(last_layers_may_share_keys),
        cmocka_unit_test(tokens_may_have_several_vectors),
        cmocka_unit_test(the_keys_of_yarn_are_read_of_every_family),
        cmocka_unit_test(rope_is_left_out_where_the_family_does),
        cmocka_unit_test(models_of_some_sizes_have_alibi),
        cmocka_unit_test(layers_are_mixtures_as_the_family_says),
        cmocka_unit_test(layers_have_limits_and_turn_in_parts),
        cmocka_unit_test(scales_depend_on_the_size_of_some_models),
        cmocka_unit_test(latent_attention_agrees_with_itself),
        cmocka_unit_test(layers_choose_or_take_the_choice),
        cmocka_unit_test(layers_are_what_the_keys_say),
        cmocka_unit_test(both_halves_may_carry_a_token),
        cmocka_unit_test(values_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, free_layers);
}
