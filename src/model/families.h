/* Model families as data. Each architecture is a row of traits. All families share the forward passes, which read a row
 * and know no family by name. To add a family, add a row in families.c.
 *
 * Before it: general.architecture of the file. After it: config.c reads the keys that a row asks for, weights.c binds
 * the tensors that it lists, and the forward passes do what it says. docs/09-families.md tells what was checked. */
#ifndef MODEL_FAMILIES_H
#define MODEL_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A dimension of a tensor. weights.c knows how many elements it has in a model. */
typedef enum tensor_extent {
    DIM_ONE,
    DIM_EMBD,
    DIM_QUERIES,  /* query heads times their length */
    DIM_KEYS,     /* key heads times their length */
    DIM_VALUES,   /* value heads times their length */
    DIM_QKV,      /* the three above together */
    DIM_ATTENDED, /* query heads times the length of a value */
    DIM_HEADS,
    DIM_GATES,   /* gates of attention's result: one for each head, or each element */
    DIM_Q_NORMS, /* rows of attn_q_norm and attn_k_norm, and their lengths: see qk_norm_kind */
    DIM_K_NORMS,
    DIM_Q_NORM_LENGTH,
    DIM_K_NORM_LENGTH,
    DIM_V_NORM_LENGTH,
    DIM_FF,
    DIM_FF_TWICE,
    DIM_FF_EXPERT,
    DIM_GATE_UP, /* an expert's gate and up together */
    DIM_FF_SHARED,
    DIM_EXPERTS,
    DIM_PER_LAYER, /* n_embd_per_layer */
    DIM_STREAMS,
    DIM_MIXES, /* n_streams * n_streams */
    DIM_LAUREL_RANK,

    /* multi-head latent attention */
    DIM_Q_RANK,         /* compressed queries */
    DIM_KV_RANK,        /* compressed keys and values */
    DIM_KV_RANK_SHARED, /* the same, and the elements of a key that all heads share */
    DIM_KEY_PLAIN,      /* elements of a head's key that are not shared */
    DIM_VALUE_LATENT,   /* elements of a head's value */
    DIM_KV_B,           /* the last two, for all heads */

    /* an indexer (config.h) */
    DIM_INDEX_KEY,     /* elements of a key */
    DIM_INDEX_HEADS,   /* query heads */
    DIM_INDEX_QUERIES, /* elements of all query heads */

    /* recurrent layers (config.h) */
    DIM_STATE_IN,       /* elements that the first product makes */
    DIM_STATE_CHANNELS, /* channels of the convolution */
    DIM_STATE_KERNEL,   /* tokens that the convolution sees */
    DIM_STATE_INNER,    /* elements that the last product reads */
    DIM_STATE_HEADS,    /* heads that have a state */
    DIM_STATE_STEPS,    /* steps (dt) of a token: one for each head, or for each element of a key, or channel */
    DIM_STATE_PAIRS,    /* two for each head */
    DIM_STATE_SIZE,     /* elements of a key */
    DIM_STATE_A_ROWS,   /* rows of ssm_a, and their length */
    DIM_STATE_A_LENGTH,
    DIM_STATE_D_ROWS, /* rows of ssm_d, and their length */
    DIM_STATE_D_LENGTH,
    DIM_STATE_NORMS, /* norms of the state's result, and their length */
    DIM_STATE_NORM_LENGTH,
    DIM_STEP_RANK,   /* compressed steps or decays */
    DIM_STEP_PARTS,  /* compressed steps, a key and a query together */
    DIM_GATE_RANK,   /* compressed gates */
    DIM_RATE_RANK,   /* compressed rates of correction */
    DIM_VALUE_RANK,  /* compressed shares of layer 0's values */
    DIM_MIX_RANK,    /* compressed weights of a mixture: for one part of the time mix, */
    DIM_MIX_RANKS,   /* and for all parts */
    DIM_STATE_PARTS, /* parts of the time mix */
    N_EXTENTS
} tensor_extent;

typedef enum tensor_kind {
    TENSOR_NORM,   /* .weight and .bias, [rows][columns]; each row is a norm, mostly there is one */
    TENSOR_LINEAR, /* .weight, [rows][columns], and .bias, [rows] */
    TENSOR_VECTOR, /* .weight, [rows][columns], mostly one row */
    TENSOR_BIAS,   /* .bias, [columns], without a .weight */
    TENSOR_PLAIN,  /* no suffix, [rows][columns]; in memory several rows become [columns][rows] */
    TENSOR_MIXES,  /* .weight, [rows][1][1][columns], or in older files a tensor for each row */
    TENSOR_TAPS,   /* of a convolution: .weight, [rows][columns], in memory [columns][rows]; and .bias, [rows] */
} tensor_kind;

/* Tensors of recurrent layers, with the names that most files use. */
#define RECURRENT_TENSORS(X)                                                  \
    X(ssm_in, TENSOR_LINEAR, DIM_ONE, DIM_STATE_IN, DIM_EMBD)                 \
    X(ssm_q, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_EMBD)               \
    X(ssm_k, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_EMBD)               \
    X(ssm_v, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_EMBD)               \
    X(ssm_gate, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_EMBD)            \
    X(ssm_conv1d, TENSOR_TAPS, DIM_ONE, DIM_STATE_CHANNELS, DIM_STATE_KERNEL) \
    X(ssm_beta, TENSOR_LINEAR, DIM_ONE, DIM_STATE_HEADS, DIM_EMBD)            \
    X(ssm_alpha, TENSOR_LINEAR, DIM_ONE, DIM_STATE_HEADS, DIM_EMBD)           \
    X(ssm_ba, TENSOR_LINEAR, DIM_ONE, DIM_STATE_PAIRS, DIM_EMBD)              \
    X(ssm_f_a, TENSOR_LINEAR, DIM_ONE, DIM_STEP_RANK, DIM_EMBD)               \
    X(ssm_f_b, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_STEP_RANK)        \
    X(ssm_g_a, TENSOR_LINEAR, DIM_ONE, DIM_GATE_RANK, DIM_EMBD)               \
    X(ssm_g_b, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_GATE_RANK)        \
    X(ssm_x, TENSOR_LINEAR, DIM_ONE, DIM_STEP_PARTS, DIM_STATE_INNER)         \
    X(ssm_dt, TENSOR_LINEAR, DIM_ONE, DIM_STATE_STEPS, DIM_STEP_RANK)         \
    X(ssm_dt_bias, TENSOR_BIAS, DIM_ONE, DIM_ONE, DIM_STATE_STEPS)            \
    X(ssm_dt_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_STEP_RANK)              \
    X(ssm_b_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_STATE_SIZE)              \
    X(ssm_c_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_STATE_SIZE)              \
    X(ssm_a, TENSOR_PLAIN, DIM_ONE, DIM_STATE_A_ROWS, DIM_STATE_A_LENGTH)     \
    X(ssm_d, TENSOR_PLAIN, DIM_ONE, DIM_STATE_D_ROWS, DIM_STATE_D_LENGTH)     \
    X(ssm_norm, TENSOR_NORM, DIM_ONE, DIM_STATE_NORMS, DIM_STATE_NORM_LENGTH) \
    X(ssm_out, TENSOR_LINEAR, DIM_ONE, DIM_EMBD, DIM_STATE_INNER)

/* Tensors that only RWKV has. */
#define RWKV_TENSORS(X)                                                        \
    X(time_mix_lerp_x, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_EMBD)              \
    X(time_mix_lerp_fused, TENSOR_MIXES, DIM_ONE, DIM_STATE_PARTS, DIM_EMBD)   \
    X(time_mix_w1, TENSOR_LINEAR, DIM_ONE, DIM_MIX_RANKS, DIM_EMBD)            \
    X(time_mix_w2, TENSOR_LINEAR, DIM_STATE_PARTS, DIM_EMBD, DIM_MIX_RANK)     \
    X(time_mix_first, TENSOR_VECTOR, DIM_ONE, DIM_STATE_HEADS, DIM_STATE_SIZE) \
    X(time_mix_decay, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_STATE_INNER)        \
    X(time_mix_a0, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_STATE_INNER)           \
    X(time_mix_a1, TENSOR_LINEAR, DIM_ONE, DIM_RATE_RANK, DIM_EMBD)            \
    X(time_mix_a2, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_RATE_RANK)     \
    X(time_mix_v0, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_STATE_INNER)           \
    X(time_mix_v1, TENSOR_LINEAR, DIM_ONE, DIM_VALUE_RANK, DIM_EMBD)           \
    X(time_mix_v2, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_VALUE_RANK)    \
    X(time_mix_k_k, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_STATE_INNER)          \
    X(time_mix_k_a, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_STATE_INNER)          \
    X(time_mix_r_k, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_STATE_INNER)          \
    X(channel_mix_lerp_k, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_EMBD)           \
    X(channel_mix_lerp_r, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_EMBD)           \
    X(channel_mix_receptance, TENSOR_LINEAR, DIM_ONE, DIM_EMBD, DIM_EMBD)

/* Tensors of an indexer. In files they are called indexer.<name>. */
#define INDEXER_TENSORS(X)                                                     \
    X(indexer_attn_q_b, TENSOR_LINEAR, DIM_ONE, DIM_INDEX_QUERIES, DIM_Q_RANK) \
    X(indexer_attn_k, TENSOR_LINEAR, DIM_ONE, DIM_INDEX_KEY, DIM_EMBD)         \
    X(indexer_k_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_INDEX_KEY)            \
    X(indexer_proj, TENSOR_LINEAR, DIM_ONE, DIM_INDEX_HEADS, DIM_EMBD)

/* Every tensor that a layer may have: X(blk.N.<name>, kind, how many matrices in one tensor, rows, columns). */
#define LAYER_TENSORS(X)                                                    \
    X(attn_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)                   \
    X(attn_norm_2, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)                 \
    X(attn_qkv, TENSOR_LINEAR, DIM_ONE, DIM_QKV, DIM_EMBD)                  \
    X(attn_q, TENSOR_LINEAR, DIM_ONE, DIM_QUERIES, DIM_EMBD)                \
    X(attn_k, TENSOR_LINEAR, DIM_ONE, DIM_KEYS, DIM_EMBD)                   \
    X(attn_v, TENSOR_LINEAR, DIM_ONE, DIM_VALUES, DIM_EMBD)                 \
    X(attn_q_norm, TENSOR_NORM, DIM_ONE, DIM_Q_NORMS, DIM_Q_NORM_LENGTH)    \
    X(attn_k_norm, TENSOR_NORM, DIM_ONE, DIM_K_NORMS, DIM_K_NORM_LENGTH)    \
    X(attn_v_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_V_NORM_LENGTH)        \
    X(attn_q_a, TENSOR_LINEAR, DIM_ONE, DIM_Q_RANK, DIM_EMBD)               \
    X(attn_q_a_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_Q_RANK)             \
    X(attn_q_b, TENSOR_LINEAR, DIM_ONE, DIM_QUERIES, DIM_Q_RANK)            \
    X(attn_kv_a_mqa, TENSOR_LINEAR, DIM_ONE, DIM_KV_RANK_SHARED, DIM_EMBD)  \
    X(attn_kv_a_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_KV_RANK)           \
    X(attn_k_b, TENSOR_LINEAR, DIM_HEADS, DIM_KV_RANK, DIM_KEY_PLAIN)       \
    X(attn_v_b, TENSOR_LINEAR, DIM_HEADS, DIM_VALUE_LATENT, DIM_KV_RANK)    \
    X(attn_kv_b, TENSOR_LINEAR, DIM_ONE, DIM_KV_B, DIM_KV_RANK)             \
    X(attn_sinks, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_HEADS)               \
    X(attn_gate, TENSOR_LINEAR, DIM_ONE, DIM_GATES, DIM_EMBD)               \
    X(attn_output, TENSOR_LINEAR, DIM_ONE, DIM_EMBD, DIM_ATTENDED)          \
    X(attn_output_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)            \
    X(post_attention_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)         \
    X(ffn_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)                    \
    X(ffn_gate, TENSOR_LINEAR, DIM_ONE, DIM_FF, DIM_EMBD)                   \
    X(ffn_up, TENSOR_LINEAR, DIM_ONE, DIM_FF, DIM_EMBD)                     \
    X(ffn_down, TENSOR_LINEAR, DIM_ONE, DIM_EMBD, DIM_FF)                   \
    X(ffn_gate_inp, TENSOR_LINEAR, DIM_ONE, DIM_EXPERTS, DIM_EMBD)          \
    X(ffn_gate_inp_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)           \
    X(exp_probs_b, TENSOR_BIAS, DIM_ONE, DIM_ONE, DIM_EXPERTS)              \
    X(ffn_gate_exps, TENSOR_LINEAR, DIM_EXPERTS, DIM_FF_EXPERT, DIM_EMBD)   \
    X(ffn_up_exps, TENSOR_LINEAR, DIM_EXPERTS, DIM_FF_EXPERT, DIM_EMBD)     \
    X(ffn_gate_up_exps, TENSOR_LINEAR, DIM_EXPERTS, DIM_GATE_UP, DIM_EMBD)  \
    X(ffn_down_exps, TENSOR_LINEAR, DIM_EXPERTS, DIM_EMBD, DIM_FF_EXPERT)   \
    X(ffn_gate_inp_shexp, TENSOR_LINEAR, DIM_ONE, DIM_ONE, DIM_EMBD)        \
    X(ffn_gate_shexp, TENSOR_LINEAR, DIM_ONE, DIM_FF_SHARED, DIM_EMBD)      \
    X(ffn_up_shexp, TENSOR_LINEAR, DIM_ONE, DIM_FF_SHARED, DIM_EMBD)        \
    X(ffn_down_shexp, TENSOR_LINEAR, DIM_ONE, DIM_EMBD, DIM_FF_SHARED)      \
    X(post_ffw_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)               \
    X(post_ffw_norm_1, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)             \
    X(pre_ffw_norm_2, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)              \
    X(post_ffw_norm_2, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)             \
    X(inp_gate, TENSOR_LINEAR, DIM_ONE, DIM_PER_LAYER, DIM_EMBD)            \
    X(proj, TENSOR_LINEAR, DIM_ONE, DIM_EMBD, DIM_PER_LAYER)                \
    X(post_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)                   \
    X(layer_output_scale, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_ONE)         \
    X(altup_router, TENSOR_LINEAR, DIM_ONE, DIM_STREAMS, DIM_EMBD)          \
    X(altup_router_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)           \
    X(altup_predict_coef, TENSOR_LINEAR, DIM_ONE, DIM_MIXES, DIM_STREAMS)   \
    X(altup_correct_coef, TENSOR_LINEAR, DIM_ONE, DIM_STREAMS, DIM_STREAMS) \
    X(altup_correct_scale, TENSOR_VECTOR, DIM_ONE, DIM_ONE, DIM_EMBD)       \
    X(laurel_l, TENSOR_LINEAR, DIM_ONE, DIM_LAUREL_RANK, DIM_EMBD)          \
    X(laurel_r, TENSOR_LINEAR, DIM_ONE, DIM_EMBD, DIM_LAUREL_RANK)          \
    X(laurel_post_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)            \
    X(layer_output_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_EMBD)           \
    INDEXER_TENSORS(X)                                                      \
    RECURRENT_TENSORS(X)                                                    \
    RWKV_TENSORS(X)

typedef enum layer_tensor {
#define X(name, kind, count, rows, columns) LAYER_##name,
    LAYER_TENSORS(X)
#undef X
        N_LAYER_TENSORS
} layer_tensor;

__extension__ typedef unsigned __int128 tensor_set; /* bit LAYER_<name> is set if the tensor is in the set */
_Static_assert(N_LAYER_TENSORS <= 128, "each tensor has a bit");
#define TENSOR_BIT(name)   ((tensor_set)1 << LAYER_##name)
#define TENSOR_PROJECTIONS (TENSOR_BIT(attn_q) | TENSOR_BIT(attn_k) | TENSOR_BIT(attn_v)) /* or attn_qkv */

typedef enum norm_kind { NORM_RMS, NORM_LAYER } norm_kind;

/* Which elements of a head turn together (docs/04-transformer.md). */
typedef enum rope_pairing {
    ROPE_NEIGHBOURS, /* 2j and 2j + 1 */
    ROPE_HALVES,     /* j and j + n/2, often called NEOX */
    ROPE_NONE,
} rope_pairing;

typedef enum activation {
    SWIGLU,         /* silu(gate) * up (Shazeer 2020) */
    GEGLU,          /* gelu(gate) * up */
    GELU,           /* gelu(up): there is no gate (Hendrycks & Gimpel 2016; the tanh form) */
    CLAMPED_SWIGLU, /* g * sigmoid(1.702 g) * (u + 1), g = min(gate, 7), u = up within -7..7 (gpt-oss) */
    RELU_SQUARED,   /* max(up, 0)^2: there is no gate (So et al. 2021) */
    REGLU,          /* max(gate, 0) * up */
    LIMITED_SWIGLU, /* min(silu(gate), a) * (up within -a..a); a is the layer's */
    XIELU, /* u > 0: a u^2 + c u; else b (exp(min(u, d)) - 1 - u) + c u; u = up; a, b, c, d are the layer's; there is no
              gate (Huang & Schlag 2024) */
    GEGLU_ERF, /* GEGLU and GELU by the exact formula, with erf; the tanh form approximates it */
    GELU_ERF,
    SILU, /* silu(up): there is no gate; for the convolutions of delta nets and Mamba */
    LAST_ACTIVATION = SILU
} activation;

enum { ACTIVATION_NUMBERS = 4 }; /* a, b, c, d */

static inline bool activation_has_gate(activation which) {
    return which != GELU && which != RELU_SQUARED && which != XIELU && which != GELU_ERF && which != SILU;
}

typedef enum qk_norm_kind {
    QK_NORM_HEAD, /* [key_length], the same for each head */
    QK_NORM_ROW,  /* [heads * key_length], for all heads as one vector */
    QK_NORM_EACH, /* [heads][key_length], each head has its own */
} qk_norm_kind;

/* How the two halves of a layer, the mixer and the network, are connected. x is a token's vector: it goes through all
 * layers, and they add their results to it. */
typedef enum layer_form {
    FORM_SERIAL,         /* each half reads a norm of x and adds its result to x, one after the other */
    FORM_PARALLEL,       /* both halves read the same norm of the layer's input, and both results are added */
    FORM_PARALLEL_APART, /* the same, but the network has a norm of its own; the mixer's is then attn_norm_2 */
    FORM_NORMED_SUMS,    /* each half reads x itself, and the sum of x and its result is normed */
} layer_form;

/* The matrix that makes logits. */
typedef enum output_kind {
    OUTPUT_OR_TIED, /* output.weight, or token_embd.weight where the file has none */
    OUTPUT_TIED,    /* always token_embd.weight */
    OUTPUT_OWN,     /* always output.weight */
} output_kind;

/* How the router's logits become the weights of the chosen experts. */
typedef enum expert_gating {
    GATING_SOFTMAX = 1, /* numbered as in expert_gating_func */
    GATING_SIGMOID = 2,
    GATING_SOFTMAX_OF_CHOSEN = 3, /* experts are chosen by logit; softmax over only these */
} expert_gating;

/* What a layer carries from token to token (docs/09-families.md). */
typedef enum recurrent_kind {
    RECURRENT_NONE,
    RECURRENT_SHORT_CONVOLUTION, /* only the last inputs of a gated convolution (Liquid AI 2025) */
    RECURRENT_DELTA_NET,         /* a state that decays, and is corrected under each key (Yang et al. 2024) */
    RECURRENT_CHANNEL_DELTA_NET, /* the same, and each element of a key decays on its own (Kimi Team 2025) */
    RECURRENT_MAMBA2,            /* a state for each head, which decays as a whole (Dao & Gu 2024) */
    RECURRENT_MAMBA_HEADS, /* the state of Mamba-2, with inputs made as Mamba makes them (Preferred Networks 2025) */
    RECURRENT_MAMBA,       /* a state for each channel, whose elements decay on their own (Gu & Dao 2023) */
    RECURRENT_RWKV6, /* a state whose rows decay on their own; each token reads the one before too (Peng et al. 2024) */
    RECURRENT_RWKV7, /* the same, and the state is corrected as in a delta net (Peng et al. 2025) */
} recurrent_kind;

/* A set of kinds: bit k is set if kind k is in it. */
#define RECURRENT_BIT(name) (1u << RECURRENT_##name)
#define RWKV_KINDS          (RECURRENT_BIT(RWKV6) | RECURRENT_BIT(RWKV7))

/* True if both halves of a layer are RWKV's: the time mix in place of attention, the channel mix in place of a
 * network. */
static inline bool recurrent_is_rwkv(recurrent_kind kind) { return RWKV_KINDS >> kind & 1; }

/* Which layers attend, and which are recurrent. */
typedef enum mixer_plan {
    MIXERS_ATTEND,      /* all attend */
    MIXERS_BY_KV_HEADS, /* a layer attends if it has key/value heads */
    MIXERS_BY_PERIOD,   /* attention.recurrent_layers says; else the last of each full_attention_interval attends */
    MIXERS_RECURRENT,   /* all are recurrent */
    MIXERS_BESIDE,      /* each layer does both with the same input, and adds both results */
} mixer_plan;

#define WINDOW_EVERYWHERE UINT32_MAX /* a period so long that no layer is the last of one */

/* How a ranking model turns an embedding into scores, if its file has a classifier (cls.*). */
typedef enum classifier_kind {
    CLASSIFIER_NONE,
    CLASSIFIER_TANH,    /* of the first row: dense and tanh (cls), if the file has them; then a weighted sum for each
                           score (cls.output). Without cls.output a score is the tanh of a weighted sum (cls) */
    CLASSIFIER_GELU,    /* of the mean: dense, gelu and a norm; then a weighted sum for each score */
    CLASSIFIER_SOFTMAX, /* of the last row: a weighted sum for each score, then softmax */
} classifier_kind;

/* What sets a family apart. A trait that is 0 is absent, or the usual one (RMS norms, SwiGLU ..). Some traits are for
 * "a model of this many layers" (or experts, or positions): files of this family do not say how its models differ, so a
 * number tells them apart. Here "a key" or "the key" is one of the file's metadata, not of attention. */
typedef struct model_traits {
    const char *architecture;

    /* Which tensors a layer has. */
    tensor_set tensors;           /* of a layer that attends, without its network */
    tensor_set recurrent_tensors; /* of a recurrent layer, without its network */
    tensor_set dense;             /* of a dense network */
    tensor_set experts;           /* of a mixture of experts; empty: the family has none */
    tensor_set shared;            /* of shared experts, which every token takes; needs n_ff_shared > 0 */
    tensor_set per_layer;         /* of embeddings that each layer has of its own; needs n_embd_per_layer > 0 */
    tensor_set indexer;           /* of layers that choose the positions a token sees; empty: it sees all */
    tensor_set optional;          /* the file may have these; if it has no attn_v, see values_are_keys (config.h) */
    tensor_set biases;            /* these must have a .bias; the others may have one */
    tensor_set unit_norms;        /* not in the file, all weights are 1; attn_norm here stands for output_norm too */

    /* What tensors are called in the file. */
    tensor_set plain_norms;    /* these norms have no .weight after the name */
    const char *ffn_norm_name; /* NULL: ffn_norm */
    const char *output_norm;   /* NULL: output_norm */
    bool ollama_names;         /* attn_output is attn_out, and attn_sinks has no .weight */

    /* Norms, and where they are. */
    norm_kind norm;
    bool rms_norm_by_key;      /* RMS norm if the file has an epsilon for it */
    layer_form form;           /* optional norms may change it: see form_of in config.c */
    bool parallel_key;         /* a key says whether the form is FORM_PARALLEL_APART */
    bool first_layer_unnormed; /* layer 0 has no attn_norm: the embeddings are normed */
    bool embedding_norm;       /* embeddings are normed (token_embd_norm) */
    bool no_output_norm;       /* there is none: the last layer ends with a norm */

    /* Norms of queries and keys. */
    qk_norm_kind qk_norm;
    bool qk_norm_after_rope;      /* else before it */
    bool qk_norm_with_rope;       /* layers without RoPE have no such norms */
    uint32_t qk_unnormed_experts; /* a model of this many experts has no such norms; 0: all have */

    /* Attention. */
    bool bidirectional;             /* an encoder: tokens see later tokens too, and there is no cache */
    bool latent_attention;          /* multi-head latent attention; the metadata keys for it are read */
    bool query_gate;                /* attn_q gives for each head a query, then a gate of attention's result */
    bool gate_per_head;             /* attn_gate gives one gate per head, else one per element */
    bool value_scale_key;           /* a key may scale attention's result */
    float attention_scale;          /* scores are multiplied by it; 0: 1 / sqrt(elements of a query) */
    uint32_t layers_scaled_by_embd; /* a model of this many layers has 1 / sqrt(n_embd / n_heads) instead */
    float attention_softcap;        /* default of the key; 0: none */
    bool attention_temperature;     /* the keys of a temperature of attention (config.h) are read */
    float temperature_scale;        /* a fixed temperature, only in layers without RoPE; computed from position + 1 */
    uint32_t temperature_length;    /* of that temperature */
    bool shares_keys;               /* a key says how many of the last layers use keys and values of earlier layers */
    rope_pairing index_rope;        /* of the indexer's queries and keys */
    uint32_t index_shared_from;     /* if n_ctx_train is this or more, layers share indexers' choices; 0: never */

    /* Windows: in a windowed layer a token sees only the nearest positions. */
    uint32_t window_period; /* the last layer of each period has no window; WINDOW_EVERYWHERE: all have; 0: none has;
                               if it is not 0, attention.sliding_window_pattern may say it differently */
    bool full_layer_first;  /* the first layer of a period has no window, instead of the last */
    bool window_chunked;    /* windows do not slide: a token sees its chunk of the text, up to itself */
    uint32_t window;        /* default of the key */
    uint32_t window_layers; /* only a model of this many layers has windows; 0: any */

    /* Positions. */
    rope_pairing rope;
    bool rope_key;                  /* a key says whether there is RoPE at all */
    uint32_t rope_layers;           /* only a model of this many layers has RoPE; 0: any */
    uint32_t no_rope_period;        /* the last layer of each period has no RoPE; 0: all have it */
    bool rope_in_windows_only;      /* where some layers have windows, the others have no RoPE */
    bool rope_in_dense_layers;      /* but the first layers, which are dense, have it */
    float windowed_freq_base;       /* default of windowed layers; 0: that of the other layers */
    bool windowed_unscaled;         /* windowed layers do not stretch RoPE, and use no factors */
    bool full_rope_halved;          /* layers without a window rotate half as many elements as windowed ones,
                                       and the file has as many factors as the windowed ones would need */
    bool yarn_unrounded;            /* YaRN's ramp may begin and end between two pairs */
    bool yarn_unless_said;          /* YaRN is the default kind of stretching */
    float yarn_log_multiplier_unit; /* yarn_log_multiplier is divided by it; 0: the key is not read */
    bool position_embd;             /* positions have embeddings; with alibi_key only if the file has them */
    float alibi_max_bias;           /* ALiBi's constant; 0: no ALiBi */
    bool alibi_key;                 /* a key may set it */
    uint32_t alibi_layers;          /* only a model of this many layers has ALiBi; 0: any */

    /* Recurrent layers. */
    recurrent_kind recurrent;
    mixer_plan mixers;
    bool groups_in_turn;  /* head n reads group n % n_groups; else neighbouring heads share a group */
    bool one_part_layers; /* a layer is either a mixer or a network; feed_forward_length and head_count_kv say which */

    /* Networks. */
    activation activation;
    bool activation_key;    /* a key may name another */
    bool gate_in_up;        /* ffn_up is gate and up in one tensor, unless the file has ffn_gate */
    uint32_t sparse_layers; /* how many of the first layers keep only about the largest twentieth of their gates */

    /* Mixtures of experts: which layers are one, and how experts are chosen and weighted. */
    bool experts_by_tensors;        /* a layer is a mixture if the file has a router for it */
    bool expert_step_key;           /* a key sets a period: the last layer of each is a mixture */
    bool expert_period_key;         /* a key sets a period: the second layer of each is a mixture */
    bool expert_keys;               /* keys for gating, weights, groups, dense layers and shared experts are read */
    expert_gating gating;           /* default of the key; 0: GATING_SOFTMAX */
    bool router_reads_layer;        /* the router reads the layer's input, without a norm */
    bool expert_weights_normalised; /* weights of the chosen experts add up to 1 */
    bool expert_weights_on_input;   /* the input of an expert is multiplied by its weight, not the output */
    uint32_t n_shared_experts;      /* default of the key */
    bool shared_mean;               /* the result is the mean of shared and chosen experts, not the sum */

    /* Scales of a whole model. */
    bool scales;               /* the keys of embedding, residual and attention scale are read */
    bool embedding_scale_sqrt; /* embeddings are multiplied by sqrt(n_embd) */
    float embedding_scale;     /* default of the key; 0: 1 */
    float depth_scale;         /* what is added to x is multiplied by this / sqrt(n_layers); 0: by 1 */
    uint32_t base_embd;        /* logits are multiplied by this / n_embd; 0: by 1 */
    bool logit_scale_divides;  /* logits are divided by the scale of the file, not multiplied */
    float logit_softcap;       /* default of the key; 0: none */

    /* Several vectors per token (AltUp), and a low rank beside attention (LAuReL). */
    uint32_t n_streams;   /* default of the key; 0: x alone */
    uint32_t laurel_rank; /* with streams */

    /* Input and output. */
    bool token_types; /* row 0 of token_types is added to every embedding, if the file has it */
    output_kind output;
    bool output_bias;         /* the output has a bias */
    bool dense_after_pooling; /* the file may have dense_2 and dense_3 */
    classifier_kind classifier;
} model_traits;

/* NULL if there is no such family. */
const model_traits *family_find(const char *architecture);

/* The families, i < family_count(). */
size_t family_count(void);
const model_traits *family_number(size_t i);

#endif
