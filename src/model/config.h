/* The numbers that describe a transformer, read from <architecture>.* metadata and checked against each other.
 * Before it on the road: gguf. After it: weights.h, which checks every tensor's shape against these. */
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

/* What the adapters that were bound (lora.h) ask of a forward pass: upper bounds. Zeros: there are none. */
typedef struct lora_sizes {
    uint64_t n_bytes;      /* of all their tensors */
    uint64_t n_products;   /* A x that one step may have */
    uint64_t inner_length; /* elements of all these of one token */
    uint32_t longest_rank;
} lora_sizes;

enum { MOST_STREAMS = 8 };

/* What a layer mixes the tokens of a sequence with. */
typedef enum mixer_kind {
    MIXER_ATTENTION,
    MIXER_RECURRENT, /* by what the model's traits say */
    MIXER_BOTH,      /* of the same input, and added */
    MIXER_NONE,      /* nothing: the layer is a network alone */
} mixer_kind;

/* What a layer is. Layers may differ in any of this, so who works on a layer reads these numbers and not the model's. */
typedef struct layer_config {
    mixer_kind mixer;
    bool has_network; /* a half that treats each token on its own */
    bool windowed;    /* its tokens see the model's window, not all that is before them */
    bool
        bidirectional; /* they see those after them, too, or half a window to both sides; each layer overwrites the keys and values of the
                           one before it */
    bool has_experts;
    uint32_t n_heads;    /* query heads */
    uint32_t n_kv_heads; /* divides n_heads: each serves n_heads / n_kv_heads query heads */
    uint32_t key_length; /* per head, of what the cache holds as keys, and of queries when they meet them */
    uint32_t value_length;
    uint32_t
        kv_layer;   /* whose keys and values its queries meet: itself, or an earlier layer that is windowed as it is */
    uint32_t top_k; /* a token sees so many positions at most, those that the layer's indexer chose; 0: it sees all */
    uint32_t
        index_key_length; /* of its indexer; 0: it has none, and takes the choice of the last layer before it that has one */
    uint32_t n_ff;        /* of its network, where it is not a mixture */
    uint32_t rope_dimension_count; /* even: the elements of a head that are rotated, the first (of latent attention the
                                      last); 0: none */
    float gate_deviations;         /* above their mean, which elements of a gate must be to pass; 0: all pass */
    float activation_numbers[2][ACTIVATION_NUMBERS]; /* of its network or shared experts, and of experts: families.h */
    float attention_scale;                           /* of scores: queries are multiplied by it */
} layer_config;

static inline bool layer_attends(const layer_config *l) {
    return l->mixer == MIXER_ATTENTION || l->mixer == MIXER_BOTH;
}
static inline bool layer_is_recurrent(const layer_config *l) {
    return l->mixer == MIXER_RECURRENT || l->mixer == MIXER_BOTH;
}

/* Recurrent layers, which are all alike. What a kind has no use for is 0. */
typedef struct recurrent_config {
    uint32_t kernel;      /* tokens that the convolution sees, its own among them */
    uint32_t n_channels;  /* of the convolution */
    uint32_t n_in;        /* elements that the first product makes for a token */
    uint32_t inner_size;  /* elements of what the state, or a short convolution, gives: n_heads * head_length */
    uint32_t n_heads;     /* each with a state [state_size][head_length]; of Mamba 1 */
    uint32_t head_length; /* of a value */
    uint32_t state_size;  /* of a key, and of what asks for it */
    uint32_t n_groups;    /* heads share these */
    uint32_t step_rank;   /* of steps, compressed; of a delta net gates have the same */
    bool norms_parts;     /* of Mamba: steps, keys and queries are normed, without weights */
} recurrent_config;

typedef struct model_config {
    char architecture[64];
    const model_traits *traits; /* NULL: of an architecture that is not known, of which there are but the sizes */
    uint32_t n_layers;
    uint32_t n_blocks; /* of the file: after the layers come those that only draft */
    uint32_t n_embd;
    layer_config *layers; /* [n_layers] */
    /* the largest of all layers, each on its own: */
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t key_length;
    uint32_t value_length;
    uint32_t n_ff;
    uint32_t n_vocab;
    uint32_t n_streams;        /* vectors that a token has, x among them; 0: x alone */
    uint32_t n_embd_per_layer; /* of what each layer embeds on its own; 0: nothing */
    uint32_t n_ctx_train;
    uint32_t n_ctx_open;  /* the context of an engine that asks for none: n_ctx_train; of LongRoPE the original */
    cllm_pooling pooling; /* that the file names; else the last row's */
    float norm_epsilon;
    activation activation;
    uint32_t dense_lengths[2]; /* of what dense layers after the pooling give, one after the other; 0: there is none */
    uint32_t n_scores;         /* of a classifier; 0: there is none */
    uint32_t n_embd_out;       /* of an embedding: what the last dense layer gives, or n_embd */
    bool is_parallel;          /* of a family whose files say so: both halves of a layer begin with x */

    norm_kind norm;
    bool window_chunked; /* families.h */
    uint32_t window;     /* positions that a windowed layer sees, its own among them; 0: no layer is windowed */

    uint32_t rope_dimension_count; /* of layers that rotate */
    uint32_t rope_dimension_count_windowed;
    float rope_freq_base;
    float rope_freq_base_windowed;
    rope_scaling rope_scaling;
    float rope_scaling_factor;      /* how many times the context was stretched, linearly or by YaRN; or 1 */
    uint32_t rope_original_context; /* yarn, longrope: the context before stretching */
    float rope_attention_factor;    /* multiplies cos and sin */
    float yarn_beta_fast, yarn_beta_slow, yarn_log_multiplier; /* 32, 1 and 0 are usual */
    float yarn_kept;      /* the most of its own frequency that a pair keeps: 1 is usual */
    float yarn_magnitude; /* what YaRN multiplies cos and sin with; 0: what its formula says */

    float attention_temperature; /* queries times 1 + this * ln(floor(position / length) + 1); 0: none */
    uint32_t attention_temperature_length;
    float value_scale;       /* what attention gives is multiplied by it */
    float projection_limit;  /* queries, keys and values lie within -this .. this; 0: anywhere */
    float alibi_max_bias;    /* ALiBi: a score falls with distance, in the last head by 2^-this a position; 0: no */
    float attention_softcap; /* scores become cap * tanh(score / cap); 0: none */
    float logit_softcap;     /* the same of logits */
    float embedding_scale, residual_scale, logit_scale; /* factors of what is embedded, added to x, and put out */

    uint32_t n_experts; /* 0: a dense model */
    uint32_t n_experts_used;
    uint32_t expert_step;    /* the last layer of so many is a mixture; 0: none */
    uint32_t n_dense_layers; /* the first, which have no experts */
    uint32_t expert_period;  /* layer i has experts if i % this is 1; 0: all have */
    uint32_t n_ff_expert;
    uint32_t n_ff_shared; /* of all shared experts together; 0: none */
    expert_gating expert_gating;
    bool expert_weights_normalised;
    float expert_weights_scale;
    uint32_t n_expert_groups; /* 1: all are one group */
    uint32_t n_expert_groups_used;

    /* multi-head latent attention (DeepSeek-AI 2024): the cache holds for all heads together a vector of kv_rank elements
     * and a part that is rotated, where there is RoPE: key_length = kv_rank + latent_shared_length, value_length = kv_rank */
    uint32_t q_rank; /* 0: queries are not compressed */
    uint32_t kv_rank;
    uint32_t latent_key_length; /* per head, before compression, with the shared part */
    uint32_t latent_shared_length;
    uint32_t latent_value_length;
    bool kv_b_is_whole; /* an older file: its heads are those before compression, and it has attn_kv_b */

    /* An indexer (sparse attention, DeepSeek-AI 2025) has a key of its own for each position, and so many queries. */
    uint32_t n_index_heads; /* 0: no layer has one */

    recurrent_config recurrent; /* zeros: no layer is */

    lora_sizes lora;

    char note[384]; /* what the file asks for and does not get, in one line, or "" */
} model_config;

/* Read the sizes that every architecture's file has, so that memory can be planned and shown: of the layers all but how they
 * rotate, scale and choose. Both take the memory of the layers from `a`. */
cllm_status config_read_sizes(const cllm_gguf *gguf, arena *a, model_config *config, cllm_error *err);

/* Read everything that running needs. Architectures that cannot be run are refused by name. */
cllm_status config_read(const cllm_gguf *gguf, arena *a, model_config *config, cllm_error *err);

/* Elements that the projection to queries gives for a head, and that attention's output matrix takes of one: those of the
 * cache, but with latent attention. */
static inline uint32_t query_length(const model_config *c, const layer_config *l) {
    return c->kv_rank ? c->latent_key_length : l->key_length;
}
static inline uint32_t attended_length(const model_config *c, const layer_config *l) {
    return c->kv_rank ? c->latent_value_length : l->value_length;
}

#endif
