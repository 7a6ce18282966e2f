/* The numbers that describe a transformer, read from <architecture>.* metadata and checked against each other.
 * Before it on the road: gguf. After it: weights.h, which checks every tensor's shape against these. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "cllm.h"

typedef enum rope_scaling { ROPE_SCALING_NONE, ROPE_SCALING_LINEAR, ROPE_SCALING_YARN } rope_scaling;

typedef struct model_config {
    char architecture[64];
    uint32_t n_layers;
    uint32_t n_embd;
    uint32_t n_heads;    /* query heads */
    uint32_t n_kv_heads; /* divides n_heads: each serves n_heads / n_kv_heads query heads */
    uint32_t key_length; /* per head, of queries and keys */
    uint32_t value_length;
    uint32_t n_ff;
    uint32_t n_vocab;
    uint32_t n_ctx_train;
    float rms_norm_epsilon;

    uint32_t rope_dimension_count; /* even, <= key_length: the leading elements of a head that are rotated */
    float rope_freq_base;
    rope_scaling rope_scaling;
    float rope_scaling_factor;      /* how many times the context was stretched; 1 without scaling */
    uint32_t rope_original_context; /* yarn: the context before stretching */
    float rope_attention_factor;    /* yarn: multiplies cos and sin */
} model_config;

/* Read the sizes that every architecture's file has, so that memory can be planned and shown. */
cllm_status config_read_sizes(const cllm_gguf *gguf, model_config *config, cllm_error *err);

/* Read everything that running needs. Architectures that cannot be run are refused by name. */
cllm_status config_read(const cllm_gguf *gguf, model_config *config, cllm_error *err);

#endif
