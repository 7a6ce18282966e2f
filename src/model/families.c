/* The table of families. Read a row as "llama, but": what it leaves out is zero, which stands for what llama does.
 * The traits are those of the models' published implementations; tensor and key names are those of GGUF files. */
#include "model/families.h"

#include <stdio.h>
#include <string.h>

#define T(name)     TENSOR_BIT(name)
#define PROJECTIONS TENSOR_PROJECTIONS
#define ATTENTION   (PROJECTIONS | T(attn_output))
#define NORMS       (T(attn_norm) | T(ffn_norm))
#define QK_NORMS    (T(attn_q_norm) | T(attn_k_norm))
#define POST_NORMS  (T(post_attention_norm) | T(post_ffw_norm))
#define GATED       (T(ffn_gate) | T(ffn_up) | T(ffn_down))
#define UNGATED     (T(ffn_up) | T(ffn_down))
#define CHOSEN      (T(ffn_gate_inp) | T(ffn_gate_exps) | T(ffn_up_exps) | T(ffn_down_exps))
#define SHARED      (T(ffn_gate_shexp) | T(ffn_up_shexp) | T(ffn_down_shexp))

#define GPT_OSS                                                                                               \
    .output = OUTPUT_OWN, .tensors = ATTENTION | NORMS | T(attn_sinks), .biases = ATTENTION | CHOSEN,         \
    .experts = CHOSEN, .rope = ROPE_HALVES, .activation = CLAMPED_SWIGLU, .gating = GATING_SOFTMAX_OF_CHOSEN, \
    .yarn_unrounded = true, .window_period = 2

static const model_traits families[] = {
    {.architecture = "llama",
     .tensors = ATTENTION | NORMS,
     .dense = GATED,
     .experts = CHOSEN,
     .expert_weights_normalised = true,
     .window_period = WINDOW_EVERYWHERE}, /* as Mistral 7B v0.1 */
    {.architecture = "mistral3",
     .tensors = ATTENTION | NORMS,
     .dense = GATED,
     .experts = CHOSEN,
     .expert_weights_normalised = true,
     .yarn_log_multiplier_unit = 1,
     .attention_temperature = true,
     .window_period = WINDOW_EVERYWHERE},
    {.architecture = "qwen2", .tensors = ATTENTION | NORMS, .biases = PROJECTIONS, .dense = GATED, .rope = ROPE_HALVES},
    {.architecture = "qwen2moe",
     .output = OUTPUT_OWN,
     .tensors = ATTENTION | NORMS,
     .biases = PROJECTIONS,
     .experts = CHOSEN,
     .shared = SHARED | T(ffn_gate_inp_shexp),
     .rope = ROPE_HALVES},
    {.architecture = "qwen3", .tensors = ATTENTION | NORMS | QK_NORMS, .dense = GATED, .rope = ROPE_HALVES},
    {.architecture = "qwen3moe",
     .tensors = ATTENTION | NORMS | QK_NORMS,
     .experts = CHOSEN,
     .expert_weights_normalised = true,
     .rope = ROPE_HALVES},
    {.architecture = "gemma",
     .tensors = ATTENTION | NORMS,
     .dense = GATED,
     .rope = ROPE_HALVES,
     .activation = GEGLU,
     .output = OUTPUT_TIED,
     .embedding_scale_sqrt = true},
    {.architecture = "gemma2",
     .tensors = ATTENTION | NORMS | POST_NORMS,
     .dense = GATED,
     .rope = ROPE_HALVES,
     .activation = GEGLU,
     .output = OUTPUT_TIED,
     .embedding_scale_sqrt = true,
     .window_period = 2,
     .window = 4096,
     .attention_softcap = 50,
     .logit_softcap = 30,
     .layers_scaled_by_embd = 46},
    {.architecture = "gemma3",
     .tensors = ATTENTION | NORMS | QK_NORMS | POST_NORMS,
     .dense = GATED,
     .rope = ROPE_HALVES,
     .activation = GEGLU,
     .embedding_scale_sqrt = true,
     .window_period = 6,
     .windowed_unscaled = true,
     .windowed_freq_base = 10000,
     .layers_scaled_by_embd = 62},
    {.architecture = "phi2",
     .tensors = ATTENTION | T(attn_norm),
     .biases = ATTENTION | T(attn_norm) | UNGATED,
     .output = OUTPUT_OWN,
     .dense = UNGATED,
     .norm = NORM_LAYER,
     .rope = ROPE_HALVES,
     .activation = GELU,
     .output_bias = true},
    {.architecture = "phi3",
     .tensors = T(attn_qkv) | T(attn_output) | NORMS,
     .dense = UNGATED,
     .gate_in_up = true,
     .rope = ROPE_HALVES,
     .window_period = WINDOW_EVERYWHERE},
    {.architecture = "granite",
     .tensors = ATTENTION | NORMS,
     .dense = GATED,
     .scales = true,
     .logit_scale_divides = true},
    {.architecture = "granitemoe",
     .tensors = ATTENTION | NORMS,
     .experts = CHOSEN,
     .shared = SHARED,
     .expert_weights_normalised = true,
     .scales = true,
     .logit_scale_divides = true},
    {.architecture = "olmo2", /* and olmo3, which has windows */
     .output = OUTPUT_OWN,
     .tensors = ATTENTION | QK_NORMS | POST_NORMS,
     .dense = GATED,
     .rope = ROPE_HALVES,
     .qk_norm = QK_NORM_ROW,
     .window_period = 4,
     .windowed_unscaled = true},
    {.architecture = "smollm3", .tensors = ATTENTION | NORMS, .dense = GATED, .no_rope_period = 4},
    {.architecture = "stablelm",
     .output = OUTPUT_OWN,
     .tensors = ATTENTION | T(attn_norm),
     .optional = T(ffn_norm) | QK_NORMS,
     .biases = T(attn_norm) | T(ffn_norm),
     .dense = GATED,
     .norm = NORM_LAYER,
     .rope = ROPE_HALVES,
     .qk_norm = QK_NORM_EACH},
    {.architecture = "starcoder2",
     .tensors = ATTENTION | NORMS,
     .biases = ATTENTION | NORMS | UNGATED,
     .dense = UNGATED,
     .norm = NORM_LAYER,
     .rope = ROPE_HALVES,
     .activation = GELU,
     .window_period = WINDOW_EVERYWHERE},
    {.architecture = "exaone", .tensors = ATTENTION | NORMS, .dense = GATED, .rope = ROPE_HALVES},
    {.architecture = "exaone4",
     .tensors = ATTENTION | QK_NORMS | POST_NORMS,
     .dense = GATED,
     .rope = ROPE_HALVES,
     .window_period = 4,
     .window = 4096,
     .window_layers = 64,
     .rope_in_windows_only = true},
    {.architecture = "command-r",
     .tensors = ATTENTION | T(attn_norm),
     .optional = QK_NORMS,
     .dense = GATED,
     .norm = NORM_LAYER,
     .qk_norm = QK_NORM_EACH,
     .output = OUTPUT_TIED},
    {.architecture = "cohere2",
     .tensors = ATTENTION | T(attn_norm),
     .dense = GATED,
     .norm = NORM_LAYER,
     .output = OUTPUT_TIED,
     .window_period = 4,
     .rope_in_windows_only = true},
    {.architecture = "internlm2", .tensors = ATTENTION | NORMS, .dense = GATED, .output = OUTPUT_OWN},
    {.architecture = "falcon",
     .tensors = T(attn_norm) | T(attn_qkv) | T(attn_output),
     .optional = T(attn_norm_2),
     .biases = T(attn_norm) | T(attn_norm_2),
     .dense = UNGATED,
     .norm = NORM_LAYER,
     .rope = ROPE_HALVES,
     .activation = GELU},
    {.architecture = "gpt2",
     .tensors = T(attn_qkv) | T(attn_output) | NORMS,
     .biases = T(attn_qkv) | T(attn_output) | NORMS | UNGATED,
     .dense = UNGATED,
     .norm = NORM_LAYER,
     .rope = ROPE_NONE,
     .activation = GELU},
    {.architecture = "glm4", .tensors = ATTENTION | NORMS | POST_NORMS, .dense = UNGATED, .gate_in_up = true},
    {GPT_OSS, .architecture = "gpt-oss", .ffn_norm_is_post_attention_norm = true},
    {GPT_OSS, .architecture = "gptoss", .yarn_unless_said = true, .ollama_names = true}, /* as ollama writes it */
    {.architecture = "deepseek2",
     .tensors = NORMS | T(attn_kv_a_mqa) | T(attn_kv_a_norm) | T(attn_k_b) | T(attn_v_b) | T(attn_output),
     .optional = T(exp_probs_b),
     .dense = GATED,
     .experts = CHOSEN,
     .shared = SHARED,
     .latent_attention = true,
     .yarn_log_multiplier_unit = 0.1f, /* files store a tenth of it */
     .attention_temperature = true},
};

enum { N_FAMILIES = sizeof families / sizeof *families };

const model_traits *family_find(const char *architecture) {
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].architecture, architecture) == 0) return &families[i];
    return NULL;
}

void family_names(char *out, size_t size) {
    size_t length = 0;
    for (size_t i = 0; i < N_FAMILIES && length < size; i++)
        length += (size_t)snprintf(out + length, size - length, "%s%s", i > 0 ? " " : "", families[i].architecture);
}
