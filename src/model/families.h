/* Model families as data: what sets one architecture apart from the next, a row each, for the one forward pass that reads
 * these rows and knows no family by name. Adding a family is a row in families.c.
 * Before it on the road: general.architecture of the file. After it: config.c reads the keys that a row asks for, weights.c
 * binds the tensors that it lists, and the forward passes do what it says. docs/09-families.md tells what was checked. */
#ifndef MODEL_FAMILIES_H
#define MODEL_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many elements a side of a tensor has; weights.c knows the number for a model. */
typedef enum tensor_extent {
    DIM_ONE,
    DIM_EMBD,
    DIM_QUERIES,  /* query heads times their length */
    DIM_KEYS,     /* key heads times their length */
    DIM_VALUES,   /* value heads times their length */
    DIM_QKV,      /* the three above together */
    DIM_ATTENDED, /* query heads times the length of a value */
    DIM_HEADS,
    DIM_GATES,   /* of what attention gives: one a head, or an element */
    DIM_Q_NORMS, /* rows of attn_q_norm, and how long they are: see qk_norm_kind */
    DIM_K_NORMS,
    DIM_Q_NORM_LENGTH,
    DIM_K_NORM_LENGTH,
    DIM_V_NORM_LENGTH,
    DIM_FF,
    DIM_FF_TWICE,
    DIM_FF_EXPERT,
    DIM_GATE_UP, /* the two of an expert together */
    DIM_FF_SHARED,
    DIM_EXPERTS,
    DIM_PER_LAYER, /* n_embd_per_layer */
    DIM_STREAMS,
    DIM_MIXES, /* the square of that */
    DIM_LAUREL_RANK,
    DIM_Q_RANK, /* multi-head latent attention: the lengths of compressed queries, and of compressed keys and values, */
    DIM_KV_RANK,
    DIM_KV_RANK_SHARED, /* these with the elements of a key that all heads share after them, */
    DIM_KEY_PLAIN,      /* the other elements of a key, */
    DIM_VALUE_LATENT,   /* and a value's; */
    DIM_KV_B,           /* both of all heads */
    DIM_INDEX_KEY,      /* an indexer (config.h): the elements of its key, */
    DIM_INDEX_HEADS,    /* its heads, */
    DIM_INDEX_QUERIES,  /* and the elements of their queries together; */
    DIM_STATE_IN,       /* recurrent layers (config.h): what the first product makes, */
    DIM_STATE_CHANNELS, /* of which so many go through the convolution, */
    DIM_STATE_KERNEL,   /* which sees so many tokens; */
    DIM_STATE_INNER,    /* what the last product reads; */
    DIM_STATE_HEADS,    /* heads that carry a state, */
    DIM_STATE_STEPS,  /* what a token says of how far it decays: one a head, or of each element of a key or channel; */
    DIM_STATE_PAIRS,  /* twice as many, */
    DIM_STATE_SIZE,   /* elements of a key, */
    DIM_STATE_A_ROWS, /* rows of ssm_a */
    DIM_STATE_A_LENGTH, /* and their length, */
    DIM_STATE_D_ROWS,   /* and the same of ssm_d; */
    DIM_STATE_D_LENGTH,
    DIM_STATE_NORMS,       /* norms of what the state gives, */
    DIM_STATE_NORM_LENGTH, /* and how long they are; */
    DIM_STEP_RANK,         /* the length of steps, compressed, */
    DIM_STEP_PARTS,        /* and of these, keys and queries together */
    N_EXTENTS
} tensor_extent;

typedef enum tensor_kind {
    TENSOR_NORM,   /* .weight, [columns], and .bias; of `rows` norms one after another */
    TENSOR_LINEAR, /* .weight, [rows][columns], and .bias, [rows] */
    TENSOR_VECTOR, /* .weight, [columns] */
    TENSOR_BIAS,   /* .bias, [columns], alone */
    TENSOR_PLAIN,  /* without a suffix, [rows][columns]; of several rows it is kept as [columns][rows] */
    TENSOR_TAPS,   /* .weight, [rows][columns], and .bias, [rows], of a convolution; kept as [columns][rows] */
} tensor_kind;

/* Those of recurrent layers; the names are those of most files. */
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
    X(ssm_g_a, TENSOR_LINEAR, DIM_ONE, DIM_STEP_RANK, DIM_EMBD)               \
    X(ssm_g_b, TENSOR_LINEAR, DIM_ONE, DIM_STATE_INNER, DIM_STEP_RANK)        \
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

/* Those of an indexer, which are called indexer.<..> in files. */
#define INDEXER_TENSORS(X)                                                     \
    X(indexer_attn_q_b, TENSOR_LINEAR, DIM_ONE, DIM_INDEX_QUERIES, DIM_Q_RANK) \
    X(indexer_attn_k, TENSOR_LINEAR, DIM_ONE, DIM_INDEX_KEY, DIM_EMBD)         \
    X(indexer_k_norm, TENSOR_NORM, DIM_ONE, DIM_ONE, DIM_INDEX_KEY)            \
    X(indexer_proj, TENSOR_LINEAR, DIM_ONE, DIM_INDEX_HEADS, DIM_EMBD)

/* Every tensor that a layer may have: X(blk.N.<name>, kind, how many in one tensor, rows, columns). */
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
    RECURRENT_TENSORS(X)

typedef enum layer_tensor {
#define X(name, kind, count, rows, columns) LAYER_##name,
    LAYER_TENSORS(X)
#undef X
        N_LAYER_TENSORS
} layer_tensor;

__extension__ typedef unsigned __int128 tensor_set; /* bit LAYER_<name>: it is in */
_Static_assert(N_LAYER_TENSORS <= 128, "each tensor has a bit");
#define TENSOR_BIT(name)   ((tensor_set)1 << LAYER_##name)
#define TENSOR_PROJECTIONS (TENSOR_BIT(attn_q) | TENSOR_BIT(attn_k) | TENSOR_BIT(attn_v)) /* or attn_qkv */

typedef enum norm_kind { NORM_RMS, NORM_LAYER } norm_kind;

/* Which elements of a head turn together (docs/04-transformer.md). */
typedef enum rope_pairing {
    ROPE_NEIGHBOURS, /* 2j and 2j + 1 */
    ROPE_HALVES,     /* j and j + n/2: what is called NEOX */
    ROPE_NONE,
} rope_pairing;

typedef enum activation {
    SWIGLU,         /* silu(gate) * up (Shazeer 2020) */
    GEGLU,          /* gelu(gate) * up */
    GELU,           /* gelu(up): there is no gate (Hendrycks & Gimpel 2016; the tanh form) */
    CLAMPED_SWIGLU, /* g * sigmoid(1.702 g) * (u + 1), g = min(gate, 7), u = up within -7..7 (gpt-oss) */
    RELU_SQUARED,   /* max(up, 0)^2: there is no gate (So et al. 2021) */
    REGLU,          /* max(gate, 0) * up */
    LIMITED_SWIGLU, /* min(silu(gate), a) * (up within -a..a), a the layer's */
    XIELU, /* a u^2 + c u of u > 0, else b (exp(min(u, d)) - 1 - u) + c u, u = up; a, b, c, d are the layer's; there
                       is no gate (Huang & Schlag 2024) */
    GEGLU_ERF, /* these two as they are defined, x times the normal distribution's share below x, which the tanh form comes near to */
    GELU_ERF,
    SILU, /* silu(up): there is no gate; of short convolutions */
    LAST_ACTIVATION = SILU
} activation;

enum { ACTIVATION_NUMBERS = 4 }; /* a, b, c, d */

static inline bool activation_has_gate(activation which) {
    return which != GELU && which != RELU_SQUARED && which != XIELU && which != GELU_ERF && which != SILU;
}

typedef enum qk_norm_kind {
    QK_NORM_HEAD, /* [key_length], of each head */
    QK_NORM_ROW,  /* [heads * key_length], of all heads as one vector */
    QK_NORM_EACH, /* [heads][key_length], one of its own for each head */
} qk_norm_kind;

/* The matrix that makes logits. */
typedef enum output_kind {
    OUTPUT_OR_TIED, /* output.weight, or token_embd.weight where the file has none */
    OUTPUT_TIED,    /* always token_embd.weight */
    OUTPUT_OWN,     /* always output.weight */
} output_kind;

/* What an expert's score becomes when it is chosen, from the router's logits. */
typedef enum expert_gating {
    GATING_SOFTMAX = 1, /* as expert_gating_func numbers them */
    GATING_SIGMOID = 2,
    GATING_SOFTMAX_OF_CHOSEN = 3, /* chosen by logit, softmax over those alone */
} expert_gating;

/* What a layer carries from token to token (docs/09-families.md). */
typedef enum recurrent_kind {
    RECURRENT_NONE,
    RECURRENT_SHORT_CONVOLUTION, /* the last inputs of a gated convolution alone (Liquid AI 2025) */
    RECURRENT_DELTA_NET,         /* a state that is corrected under each key, and decays (Yang et al. 2024) */
    RECURRENT_CHANNEL_DELTA_NET, /* the same, and each element of a key decays on its own (Kimi Team 2025) */
    RECURRENT_MAMBA2,            /* a state for each head, which decays as a whole (Dao & Gu 2024) */
    RECURRENT_MAMBA_HEADS, /* the state of Mamba-2, with inputs made as Mamba makes them (Preferred Networks 2025) */
    RECURRENT_MAMBA,       /* a state for each channel, whose elements decay on their own (Gu & Dao 2023) */
} recurrent_kind;

/* Which layers attend, and which are recurrent. */
typedef enum mixer_plan {
    MIXERS_ATTEND,      /* all attend */
    MIXERS_BY_KV_HEADS, /* a layer with heads of keys and values attends, */
    MIXERS_BY_PERIOD, /* or the last of each full_attention_interval, unless attention.recurrent_layers tells for each; */
    MIXERS_RECURRENT, /* none attends; */
    MIXERS_BESIDE,    /* each does both, with the same input, and adds both */
} mixer_plan;

#define WINDOW_EVERYWHERE UINT32_MAX /* a period that no layer ends */

/* How a model that ranks makes scores of an embedding, where its file has a classifier (cls.*). */
typedef enum classifier_kind {
    CLASSIFIER_NONE,
    CLASSIFIER_TANH, /* of the first row: a dense layer and tanh, if the file has them, and a row of weights for each score */
    CLASSIFIER_GELU,    /* the same of the mean, with gelu and a norm */
    CLASSIFIER_SOFTMAX, /* of the last row: softmax over what a row of weights gives for each score */
} classifier_kind;

typedef struct model_traits {
    const char *architecture;
    tensor_set tensors; /* that each layer has, beside its feed-forward part: */
    tensor_set dense;   /* one part for all tokens, */
    tensor_set experts; /* or, where expert_count is more than 0, many to choose from; empty: never */
    tensor_set shared;  /* experts that every token takes, where their length is more than 0 */
    tensor_set
        per_layer; /* what a layer embeds of a token on its own, where the length of that is more than 0; empty: never */
    tensor_set optional; /* that a layer may have; attn_v: without it values are what attn_k gives */
    tensor_set biases;   /* of all those, the ones whose .bias must be there; others may have one */

    tensor_set
        unit_norms; /* of all those, norms of which the file has no weights: these are 1 (attn_norm: output_norm too) */

    bool
        bidirectional; /* tokens see those after them, too, in windowed layers as far as half a window to each side: an encoder, which
                           has no cache and can only embed */
    bool token_types;          /* the first row of a table of theirs is added to every embedding, if the file has one */
    bool first_layer_unnormed; /* has no attn_norm, since embeddings are normed */
    bool no_output_norm;       /* the last layer ends with a norm of its own */
    bool dense_after_pooling;  /* dense_2 and dense_3, if the file has them */
    classifier_kind classifier;

    norm_kind norm;
    rope_pairing rope;
    activation activation;
    qk_norm_kind qk_norm;
    bool qk_norm_after_rope;
    bool qk_norm_with_rope;       /* in layers that have RoPE */
    uint32_t qk_unnormed_experts; /* a model of so many experts has no such norms */
    bool rms_norm_by_key;         /* RMS norm, if the file has its epsilon */
    bool gate_per_head;           /* attn_gate has a row a head */
    bool gate_in_up;              /* ffn_up is gate and then up, in one tensor, unless the file has ffn_gate */
    bool activation_key;          /* read which it is */
    const char *ffn_norm_name;    /* in the file, where it is another than "ffn_norm" */
    bool parallel_key;            /* read whether both halves of a layer begin with x, each with its norm */
    bool ollama_names;            /* attn_out, and attn_sinks without .weight */
    output_kind output;
    bool output_bias; /* the output has one */

    recurrent_kind recurrent; /* of layers that are: */
    mixer_plan mixers;
    tensor_set recurrent_tensors; /* that such a layer has in the place of `tensors` */
    bool groups_in_turn;          /* head n reads group n % n_groups; else neighbouring heads share one */
    /* a layer with feed_forward_length 0 is a mixer alone, another one without heads of keys and values a network alone */
    bool one_part_layers;
    bool query_gate;         /* a head of attn_q is its query, and then a gate of what attention gives */
    tensor_set plain_norms;  /* that have no .weight in the file */
    const char *output_norm; /* its name in the file; NULL: output_norm */

    expert_gating gating;           /* 0: GATING_SOFTMAX */
    bool expert_weights_normalised; /* to the sum 1 over the chosen */
    bool expert_weights_on_input;   /* experts are given the token's vector times their weight */
    bool experts_by_tensors;        /* a layer is a mixture if the file has a router for it */
    bool expert_step_key;           /* read of how many layers the last is a mixture */
    bool router_reads_layer;        /* scores are of x as it comes into the layer */
    bool shared_mean;               /* with shared experts the result is the mean of both kinds */
    uint32_t n_shared_experts;      /* where the file does not say */
    bool expert_period_key;         /* read of how many layers each second has experts */
    bool expert_keys;               /* those of the gating, of groups, of dense layers and of shared experts are read */
    bool latent_attention;          /* multi-head latent attention; its keys are read */
    tensor_set indexer;             /* of layers that choose which positions a token sees; empty: it sees all */
    rope_pairing index_rope;        /* of its queries and keys */
    uint32_t index_shared_from;     /* a model of so many positions shares choices though its file does not say so */

    uint32_t window_period;   /* the last layer of so many looks back all the way, the others see a window;
                                      WINDOW_EVERYWHERE: all see it; 0: the family has no windows */
    bool full_layer_first;    /* of so many, instead of last */
    bool window_chunked;      /* windows stand one after another: a token sees its own as far as itself */
    uint32_t window;          /* where the file does not say */
    uint32_t window_layers;   /* only a model of so many layers has windows; 0: any */
    bool windowed_unscaled;   /* RoPE of windowed layers is never stretched, and has no factors */
    bool shares_keys;         /* read how many layers, the last, have the keys and values of earlier ones */
    float windowed_freq_base; /* 0: that of the other layers; a key may say otherwise */
    uint32_t rope_layers;     /* only a model of so many layers has RoPE; 0: any */
    uint32_t no_rope_period;  /* the last layer of every so many has no RoPE */
    bool
        full_rope_halved; /* layers without window rotate half as many elements; a list of factors has those of windows */
    bool rope_in_windows_only; /* where there are windows */
    bool rope_in_dense_layers; /* and in the first layers that are no mixture */
    bool
        position_embd; /* positions have embeddings of their own; of a family with a key for ALiBi, if the file has them */
    bool embedding_norm;   /* of what is embedded (token_embd_norm) */
    float alibi_max_bias;  /* ALiBi's constant, 0: the family has none */
    bool alibi_key;        /* read it */
    uint32_t alibi_layers; /* only a model of so many layers has ALiBi; 0: any */

    bool yarn_unrounded;            /* YaRN's ramp begins and ends between two pairs */
    bool yarn_unless_said;          /* where the file does not name the kind of stretching */
    float yarn_log_multiplier_unit; /* what yarn_log_multiplier is divided by; 0: not read */
    bool attention_temperature;     /* read its keys */
    float temperature_scale; /* instead of the keys: this and the next, in layers without RoPE, of the position + 1 */
    uint32_t temperature_length;

    bool embedding_scale_sqrt; /* embeddings times sqrt(n_embd) */
    bool scales;               /* read embedding, residual and attention scale */
    bool rope_key;             /* read whether there is RoPE at all */
    float embedding_scale;     /* where the file does not say; 0: 1 */
    float depth_scale;         /* the same: sums are times this / sqrt(n_layers); 0: they are as they are */
    uint32_t base_embd;        /* the same: logits are times this / n_embd; 0: they are as they are */
    bool logit_scale_divides;  /* else logits are multiplied by it */
    uint32_t n_streams;        /* vectors of a token (AltUp), where the file does not say; 0: x alone */
    uint32_t laurel_rank;      /* of what is added beside attention (LAuReL), where there are streams */
    uint32_t sparse_layers;    /* the first so many let only the largest twentieth of their gates through */
    bool value_scale_key;      /* what attention gives is scaled, read by how much */
    float attention_scale;     /* of scores; 0: 1 / sqrt(elements of a query) */
    float attention_softcap, logit_softcap; /* where the file does not say */
    uint32_t layers_scaled_by_embd;         /* a model of so many layers divides scores by sqrt(n_embd / n_heads) */
} model_traits;

/* NULL: no such family. */
const model_traits *family_find(const char *architecture);

/* "llama qwen2 ...", for messages. out: [size], cut where it does not fit. */
void family_names(char *out, size_t size);

#endif
