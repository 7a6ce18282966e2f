/* The model's tensors, found by name once, checked once, and from then on typed fields.
 * Before it on the road: config.h. After it: the forward pass in src/cpu, which reads these fields and no names.
 *
 * Matrices stay in the mapped file (the option `repack` moves them later). The small vectors (norms, biases) are copied, which aligns them. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "base/arena.h"
#include "gguf/quant_types.h"
#include "model/config.h"

/* n_rows rows of n_columns elements, each row a run of blocks of its type: y = W x has n_rows elements. There may be
 * `count` of them one after another, of an expert or a head each.
 *
 * Interleaved, 16 rows at a time share their bytes: of each block, every field (1 or 2 bytes, or words of 4) follows for row 0,
 * row 1 .. row 15. A group is then 16 * row_bytes long, and a last group that is not full is padded with zeros. */
typedef struct matrix {
    const void *data;
    quant_type type;
    uint32_t n_rows;
    uint32_t n_columns;
    size_t row_bytes;
    bool interleaved;
    uint32_t count;
    const void *const *apart; /* [count] where each of them lies, if not one after another; else NULL */
} matrix;

/* Number `index` of the matrices. */
matrix matrix_of(const matrix *matrices, uint32_t index);

/* y = scale * W x + what adapters add + bias */
typedef struct linear {
    matrix w;                /* w.data is NULL: the layer has no such tensor */
    const float *bias;       /* [w.count][w.n_rows], or NULL */
    const float *scale;      /* [w.count], or NULL */
    struct lora_pair *loras; /* a list (lora.h), or NULL */
} linear;

typedef struct norm_weights {
    const float *weight; /* NULL: the layer has no such norm */
    const float *bias;   /* or NULL */
} norm_weights;

/* Of a convolution over tokens, the oldest first. */
typedef struct taps_weights {
    const float *weight; /* [kernel][n_channels] */
    const float *bias;   /* [n_channels], or NULL */
} taps_weights;

/* families.h says which tensors a layer has, and their shapes. Absent ones are NULL. The fields have the tensors' names. */
typedef struct layer_weights {
    norm_weights attn_norm, attn_norm_2;
    linear attn_qkv; /* where the file has the next three in one tensor: they are then parts of it */
    linear attn_q, attn_k, attn_v;
    norm_weights attn_q_norm, attn_k_norm, attn_v_norm;
    linear attn_q_a, attn_q_b, attn_kv_a_mqa, attn_k_b, attn_v_b; /* latent attention */
    linear attn_kv_b;     /* where the file has the last two in one tensor: attn_v_b is then a part of it, and so is */
    matrix attn_k_b_rows; /* attn_k_b's transpose, [n_heads] of [plain elements of a key][kv_rank] */
    norm_weights attn_q_a_norm, attn_kv_a_norm;
    linear indexer_attn_q_b, indexer_attn_k, indexer_proj; /* indexer_proj: the weights of its heads, [n_index_heads] */
    norm_weights indexer_k_norm;
    const float *attn_sinks; /* [n_heads] */
    linear attn_gate;        /* of what attention gives */
    linear attn_output;
    norm_weights
        attn_output_norm; /* of x after attention was added; attn_norm_2 then of that and what was added to, if it is there */
    norm_weights post_attention_norm;
    norm_weights ffn_norm;
    linear ffn_gate, ffn_up, ffn_down; /* also where the file has gate and up in one tensor, ffn_up */
    linear ffn_gate_inp;               /* the router */
    norm_weights ffn_gate_inp_norm;    /* of what the router reads, where experts stand beside a dense network; */
    norm_weights post_ffw_norm_1;      /* then the dense network has a norm after it, */
    norm_weights pre_ffw_norm_2, post_ffw_norm_2; /* and the experts before and after */
    const float *exp_probs_b;                     /* [n_experts] added to scores when experts are chosen */
    linear ffn_gate_up_exps; /* where the file has the next two in one tensor: they are then parts of it */
    linear ffn_gate_exps, ffn_up_exps, ffn_down_exps;
    linear ffn_gate_inp_shexp, ffn_gate_shexp, ffn_up_shexp, ffn_down_shexp;
    norm_weights post_ffw_norm;
    linear inp_gate, proj;  /* to and from the length of what the layer embeds on its own */
    norm_weights post_norm; /* after proj */
    linear altup_router;    /* several streams: see cpu/streams.c */
    norm_weights altup_router_norm;
    linear altup_predict_coef, altup_correct_coef;
    const float *altup_correct_scale; /* [n_embd] of what inp_gate reads */
    linear laurel_l, laurel_r;        /* to and from a low rank, beside attention */
    norm_weights laurel_post_norm;
    const float *layer_output_scale; /* [1] what the layer leaves in x is multiplied by it; or NULL */
    norm_weights layer_output_norm;  /* of x after the feed-forward part was added */

    /* recurrent layers; the names are those of most files */
    linear ssm_q, ssm_k, ssm_v; /* queries, keys and values, where the file has three tensors for ssm_in */
    linear ssm_in;              /* what the convolution reads, and beside it */
    linear ssm_gate;            /* of delta nets */
    taps_weights ssm_conv1d;    /* [kernel][n_channels] */
    linear ssm_beta, ssm_alpha; /* [n_heads] */
    linear ssm_ba;              /* of each group the betas of its heads, and then their alphas */
    linear ssm_f_a, ssm_f_b;    /* to and from a low rank: how far each element of a key decays, */
    linear ssm_g_a, ssm_g_b;    /* and the gate */
    linear ssm_x, ssm_dt;       /* of Mamba */
    norm_weights ssm_dt_norm, ssm_b_norm, ssm_c_norm;
    const float *ssm_dt_bias;   /* [n_heads], or of each element of a key */
    const float *ssm_a, *ssm_d; /* [n_heads]; of Mamba [state_size][inner_size] and [inner_size] */
    norm_weights ssm_norm;
    linear ssm_out;
} layer_weights;

/* Attention and feed-forward part both read the layer's input, for the second has no norm of its own before or after it. */
static inline bool layer_is_parallel(const layer_weights *w) {
    return !w->ffn_norm.weight && !w->post_ffw_norm.weight && !w->layer_output_norm.weight;
}

typedef struct model_weights {
    matrix token_embd;                    /* [n_vocab][n_embd] */
    struct lora_pair *token_embd_loras;   /* a list, or NULL: of A a token takes a row, which B is multiplied with */
    matrix position_embd;                 /* [n_ctx_train][n_embd], where positions have embeddings of their own */
    matrix token_types;                   /* [types][n_embd] the first is added to every embedding */
    norm_weights token_embd_norm;         /* [n_embd] of what is embedded */
    layer_weights *layers;                /* [n_layers] */
    matrix per_layer_token_embd;          /* [n_vocab][n_layers * n_embd_per_layer], where layers embed on their own, */
    linear per_layer_model_proj;          /* [n_layers * n_embd_per_layer][n_embd] of the embedding of all layers, */
    norm_weights per_layer_proj_norm;     /* [n_embd_per_layer] which this norms, for each layer */
    linear altup_proj, altup_unembd_proj; /* [n_streams - 1] of [n_embd][n_embd]: to the other streams, and back */
    norm_weights output_norm;             /* [n_embd] */
    linear output;                        /* [n_vocab][n_embd]; token_embd itself when the file has no other (tied) */
    linear dense[2];                      /* after the pooling, one after the other */
    linear cls, cls_output;    /* the classifier: [n_embd][n_embd], [n_scores][n_embd] (alone, cls is the latter) */
    norm_weights cls_norm;     /* [n_embd] between the two */
    const float *rope_factors; /* [rope_dimension_count / 2] divisors of the frequencies (Llama 3.1), or NULL */
    const float *rope_factors_long,
        *rope_factors_short;  /* the same, for a context beyond the original or within it, or NULL */
    uint64_t bytes_per_token; /* weight bytes that one forward pass of one token reads */
    uint64_t matrix_types;    /* bit t: a matrix is of the type of number t */
    uint32_t n_skipped;       /* tensors of the file that belong to a model of images */
} model_weights;

/* The layer's linear `tensor`, or NULL if it has none or only as a whole of others (attn_qkv). */
linear *layer_linear(layer_weights *w, layer_tensor tensor);

/* How many of the linear's matrices a token meets: of experts the chosen, else all. */
uint32_t layer_matrices_met(const model_config *config, const linear *l, layer_tensor tensor);

/* The divisors for a context of n_ctx positions, or NULL. LongRoPE's long ones are for engines that asked for more than the
 * original context: one that asks for none has n_ctx_open positions or, where memory is short, fewer. */
const float *weights_rope_factors(const model_weights *weights, const model_config *config, uint32_t n_ctx);

/* Nothing here reads it: it is of a model of images in the same file, or of what projects its vectors for the text model, or of a
 * block that only drafts. */
bool is_unused_tensor(const model_config *config, const cllm_tensor *tensor);

/* Tensors that are missing, of the wrong shape or of a type without a kernel are refused by name, and so is a tensor
 * that nothing here would read: a model with more than this program knows would give wrong answers. */
cllm_status weights_bind(const cllm_gguf *gguf, const model_config *config, arena *a, model_weights *weights,
                         cllm_error *err);

#endif
