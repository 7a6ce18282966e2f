/* The numbers that describe a transformer, read from <architecture>.* metadata and checked against each other.
 * Before it: gguf. After it: weights.h, which checks every tensor's shape against these. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "base/arena.h"
#include "cllm.h"
#include "model/families.h"

typedef enum rope_scaling {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR,
    ROPE_SCALING_YARN,
    ROPE_SCALING_LONGROPE
} rope_scaling;

/* What the bound adapters (lora.h) need in a forward pass: upper bounds. All 0 if there are no adapters. */
typedef struct lora_sizes {
    uint64_t n_bytes;      /* of all their tensors */
    uint64_t n_products;   /* products A x of one layer, of the embeddings or of the output */
    uint64_t inner_length; /* elements that these products give for one token */
    uint32_t longest_rank;
} lora_sizes;

enum { MOST_STREAMS = 8 };

/* How a layer mixes the tokens of a sequence. */
typedef enum mixer_kind {
    MIXER_ATTENTION,
    MIXER_RECURRENT, /* model_traits.recurrent says which kind */
    MIXER_BOTH,      /* both read the same input, and their results are added */
    MIXER_NONE,      /* the layer is only a network */
} mixer_kind;

/* What processes each token on its own, after the mixer. */
typedef enum network_kind {
    NETWORK_NONE, /* the layer is only a mixer */
    NETWORK_DENSE,
    NETWORK_EXPERTS, /* a mixture of experts */
    NETWORK_BOTH,    /* a dense network and a mixture side by side; their results are added */
} network_kind;

/* What a layer is. Layers may differ in any of this, so code that works on a layer reads these numbers and not the
 * model's. */
typedef struct layer_config {
    mixer_kind mixer;
    network_kind network;
    layer_form form;

    /* attention */
    bool windowed;         /* tokens see only the model's window, not all earlier positions */
    bool bidirectional;    /* an encoder's layer: tokens see later ones too; if windowed, half a window on each side */
    bool values_are_keys;  /* there is no attn_v: values are what attn_k gives, before norms and RoPE */
    uint32_t n_heads;      /* query heads */
    uint32_t n_kv_heads;   /* divides n_heads: each serves n_heads / n_kv_heads query heads */
    uint32_t key_length;   /* per head, in the cache */
    uint32_t value_length; /* per head, in the cache */
    uint32_t kv_layer; /* the layer whose keys and values are used: this one, or an earlier one with the same window */
    uint32_t top_k;    /* a token sees at most this many positions, which an indexer chooses; 0: all */
    uint32_t index_key_length; /* of the layer's indexer; 0: the layer uses the choice of an earlier layer's indexer */
    uint32_t rope_dimension_count; /* even; elements of a head that rotate: the first (latent attention: the last) */
    float attention_scale;         /* queries are multiplied by it */

    /* the network */
    uint32_t n_ff;         /* of a dense network */
    float gate_deviations; /* only gates that are this many standard deviations above their mean pass; 0: all pass */
    float activation_numbers[2][ACTIVATION_NUMBERS]; /* [0] a dense network or shared experts, [1] experts */
} layer_config;

static inline bool layer_attends(const layer_config *l) {
    return l->mixer == MIXER_ATTENTION || l->mixer == MIXER_BOTH;
}
static inline bool layer_has_experts(const layer_config *l) {
    return l->network == NETWORK_EXPERTS || l->network == NETWORK_BOTH;
}
static inline bool layer_is_parallel(const layer_config *l) {
    return l->form == FORM_PARALLEL || l->form == FORM_PARALLEL_APART;
}
static inline bool layer_is_recurrent(const layer_config *l) {
    return l->mixer == MIXER_RECURRENT || l->mixer == MIXER_BOTH;
}

/* The parts of RWKV's time mix. Each reads its own mixture of a token's vector and the vector of the token before. */
typedef enum mix_part { MIX_DECAY, MIX_KEY, MIX_VALUE, MIX_RECEPTANCE, MIX_GATE, MIX_RATE, N_MIX_PARTS } mix_part;

/* The sizes of recurrent layers, which are all alike. Sizes that a kind does not use are 0. */
typedef struct recurrent_config {
    uint32_t kernel;      /* tokens that the convolution sees, including the current one */
    uint32_t n_channels;  /* of the convolution */
    uint32_t n_in;        /* elements that the first product makes for a token */
    uint32_t inner_size;  /* elements that the state (n_heads * head_length) or a short convolution (n_embd) gives */
    uint32_t n_heads;     /* each has a state [state_size][head_length]; Mamba has 1 */
    uint32_t head_length; /* elements of a value */
    uint32_t state_size;  /* elements of a key, and of a query */
    uint32_t n_groups;    /* of heads that share keys and queries */
    uint32_t step_rank;   /* length of compressed steps or decays */
    uint32_t gate_rank;   /* length of compressed gates */
    bool norms_parts;     /* Mamba: steps, keys and queries are normed, without weights */
    bool joins_gate;      /* older delta nets: the first product makes the gate too; its result is sorted by group */

    /* RWKV; n_channels: elements that a layer stores of the token before, n_embd for each half; n_in: elements of the
     * vectors that the time mix makes for a token */
    const mix_part *parts; /* [n_parts] in the order of their weights in the file */
    uint32_t n_parts;
    uint32_t mix_rank;   /* length of a token's compressed additions to the weights of a mixture */
    uint32_t rate_rank;  /* length of compressed rates of correction */
    uint32_t value_rank; /* length of compressed shares: how much of layer 0's values each value takes */
} recurrent_config;

typedef struct model_config {
    char architecture[64];
    const model_traits *traits; /* NULL: the architecture is unknown, and only the sizes are read */
    uint32_t n_layers;
    uint32_t n_blocks; /* in the file: the layers, then blocks that only draft */
    uint32_t n_embd;
    layer_config *layers; /* [n_layers] */
    /* the maximum over all layers, for each number separately */
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t key_length;
    uint32_t value_length;
    uint32_t n_ff;
    uint32_t n_vocab;
    uint32_t n_streams;        /* vectors of a token, including x (families.h); 0: only x */
    uint32_t n_embd_per_layer; /* length of each layer's own embeddings; 0: there are none */
    uint32_t n_ctx_train;
    uint32_t n_ctx_open;  /* context of an engine that asks for none: n_ctx_train; LongRoPE: rope_original_context */
    cllm_pooling pooling; /* named in the file; else CLLM_POOLING_LAST */
    float norm_epsilon;
    activation activation;
    uint32_t dense_lengths[2]; /* of the results of the dense layers after the pooling; 0: no such layer */
    uint32_t n_scores;         /* of a classifier; 0: there is none */
    uint32_t n_embd_out;       /* length of an embedding: the last dense layer's, or n_embd */

    norm_kind norm;
    bool window_chunked; /* families.h */
    uint32_t window;     /* positions that a windowed layer sees, including its own; 0: no layer is windowed */

    uint32_t rope_dimension_count; /* of layers that rotate */
    uint32_t rope_dimension_count_windowed;
    float rope_freq_base;
    float rope_freq_base_windowed;
    rope_scaling rope_scaling;
    float rope_scaling_factor;      /* how many times linear scaling or YaRN stretches the context; else 1 */
    uint32_t rope_original_context; /* yarn, longrope: the context before stretching */
    float rope_attention_factor;    /* multiplies cos and sin */
    float yarn_beta_fast, yarn_beta_slow, yarn_log_multiplier; /* usually 32, 1 and 0 */
    float yarn_kept;      /* the largest share of its own frequency that a pair keeps; usually 1 */
    float yarn_magnitude; /* YaRN's factor of cos and sin; 0: computed by its formula */

    float attention_temperature; /* queries are multiplied by 1 + this * ln(floor(position / length) + 1); 0: no */
    uint32_t attention_temperature_length;
    float value_scale;       /* attention's result is multiplied by it */
    float projection_limit;  /* queries, keys and values lie within -this .. this; 0: anywhere */
    float alibi_max_bias;    /* ALiBi: per position of distance, scores fall by 2^-this or more; 0: no */
    float attention_softcap; /* scores become cap * tanh(score / cap); 0: none */
    float logit_softcap;     /* the same for logits */
    float embedding_scale;
    float residual_scale; /* of what is added to x */
    float logit_scale;

    uint32_t n_experts; /* 0: a dense model */
    uint32_t n_experts_used;
    uint32_t expert_step;    /* a period: the last layer of each is a mixture; 0: none */
    uint32_t n_dense_layers; /* the first layers, which have no experts */
    uint32_t expert_period;  /* layer i has experts if i % expert_period is 1; 0: all have */
    uint32_t n_ff_expert;
    uint32_t n_ff_shared; /* of all shared experts together; 0: none */
    expert_gating expert_gating;
    bool expert_weights_normalised;
    float expert_weights_scale;
    uint32_t n_expert_groups; /* 1: all are one group */
    uint32_t n_expert_groups_used;

    /* Multi-head latent attention (DeepSeek-AI 2024): all heads share one key in the cache. It is a vector of kv_rank
     * elements, followed by a part that is rotated if there is RoPE: key_length = kv_rank + latent_shared_length,
     * value_length = kv_rank */
    uint32_t q_rank; /* 0: queries are not compressed */
    uint32_t kv_rank;
    uint32_t latent_key_length; /* per head, before compression, with the shared part */
    uint32_t latent_shared_length;
    uint32_t latent_value_length;
    /* the file has attn_kv_b (MiniCPM3, and older files of other families), and its sizes of heads are those before
     * compression */
    bool kv_b_is_whole;

    /* An indexer (sparse attention, DeepSeek-AI 2025) has its own key for each position, and this many queries for each
     * token. */
    uint32_t n_index_heads; /* 0: no layer has one */

    recurrent_config recurrent; /* all 0: no layer is recurrent */
    uint32_t halving_period;    /* x is halved after the last layer of each period; 0: never */

    lora_sizes lora;

    char note[384]; /* what the file asks for and does not get, in one line, or "" */
} model_config;

/* Read the sizes that files of every architecture have. They are enough to plan memory and to show the model. What the
 * metadata say about RoPE, scales and the choice of experts is not read. Layers are allocated from `a`, here and by
 * config_read. */
cllm_status config_read_sizes(const cllm_gguf *gguf, arena *a, model_config *config, cllm_error *err);

/* Read everything that is needed to run the model. Unsupported architectures are refused by name. */
cllm_status config_read(const cllm_gguf *gguf, arena *a, model_config *config, cllm_error *err);

/* Elements of a head's query as attn_q makes it, and of a head's result as attn_output reads it. They are as in the
 * cache, except with latent attention. */
static inline uint32_t query_length(const model_config *c, const layer_config *l) {
    return c->kv_rank ? c->latent_key_length : l->key_length;
}
static inline uint32_t attended_length(const model_config *c, const layer_config *l) {
    return c->kv_rank ? c->latent_value_length : l->value_length;
}

#endif
