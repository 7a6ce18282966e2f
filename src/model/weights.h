/* The model's tensors: found by name and checked once; from then on they are typed fields. Before this: config.h. After
 * it: both forward passes, which use these fields and no names.
 *
 * Matrices stay in the mapped file (the option `repack` copies them later). Small vectors (norms, biases) are copied,
 * which aligns them. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "base/arena.h"
#include "gguf/quant_types.h"
#include "model/config.h"

/* n_rows rows of n_columns elements, so y = W x has n_rows elements. Each row is a sequence of blocks of its type.
 * There may be `count` matrices one after another, one for each expert or head.
 *
 * In interleaved form, 16 rows share their bytes: each field of a block (1 or 2 bytes, or words of 4) is stored for row
 * 0, row 1 .. row 15 in turn. Such a group has 16 * row_bytes, and an incomplete last group is padded with zeros. */
typedef struct matrix {
    const void *data;
    quant_type type;
    uint32_t n_rows;
    uint32_t n_columns;
    size_t row_bytes;
    bool interleaved;
    uint32_t count;
    const void *const *apart; /* [count] addresses of the matrices, if they are not one after another; else NULL */
} matrix;

/* Matrix number `index`. */
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

/* A convolution over tokens, the oldest first. */
typedef struct taps_weights {
    const float *weight; /* [kernel][n_channels] */
    const float *bias;   /* [n_channels], or NULL */
} taps_weights;

/* families.h says which tensors a layer has, and their shapes. Absent tensors are NULL. The fields have the tensors'
 * names. */
typedef struct layer_weights {
    norm_weights attn_norm, attn_norm_2;
    linear attn_qkv; /* if the file has the next three in one tensor; they are then parts of it */
    linear attn_q, attn_k, attn_v;
    norm_weights attn_q_norm, attn_k_norm, attn_v_norm;
    linear attn_q_a, attn_q_b, attn_kv_a_mqa, attn_k_b, attn_v_b; /* latent attention */
    linear attn_kv_b;     /* attn_k_b and attn_v_b in one tensor; attn_k_b_rows and attn_v_b are then parts of it */
    matrix attn_k_b_rows; /* attn_k_b transposed: [n_heads] of [plain elements of a key][kv_rank] */
    norm_weights attn_q_a_norm, attn_kv_a_norm;
    linear indexer_attn_q_b, indexer_attn_k, indexer_proj; /* indexer_proj: weights of its heads, [n_index_heads] */
    norm_weights indexer_k_norm;
    const float *attn_sinks; /* [n_heads] */
    linear attn_gate;        /* gates the result of attention */
    linear attn_output;
    /* norms the sum of x and attention's result. attn_norm_2, if it exists, then norms the sum of the same x and this
     * norm's result */
    norm_weights attn_output_norm;
    norm_weights post_attention_norm;
    norm_weights ffn_norm;
    linear ffn_gate, ffn_up, ffn_down; /* if the file has the first two in one tensor, they are parts of it */
    linear ffn_gate_inp;               /* the router */
    /* if experts are beside a dense network: norms of the router's input, after the dense network, before and after the
     * experts */
    norm_weights ffn_gate_inp_norm, post_ffw_norm_1, pre_ffw_norm_2, post_ffw_norm_2;
    const float *exp_probs_b; /* [n_experts] added to the scores to choose experts */
    linear ffn_gate_up_exps;  /* if the file has the next two in one tensor; they are then parts of it */
    linear ffn_gate_exps, ffn_up_exps, ffn_down_exps;
    linear ffn_gate_inp_shexp, ffn_gate_shexp, ffn_up_shexp, ffn_down_shexp;
    norm_weights post_ffw_norm;
    linear inp_gate, proj;  /* to and from the length of the layer's own embeddings */
    norm_weights post_norm; /* after proj */
    linear altup_router;    /* several streams: see cpu/streams.c */
    norm_weights altup_router_norm;
    linear altup_predict_coef, altup_correct_coef;
    const float *altup_correct_scale; /* [n_embd] scales the input of inp_gate */
    linear laurel_l, laurel_r;        /* to and from a low rank, beside attention */
    norm_weights laurel_post_norm;
    const float *layer_output_scale; /* [1] factor of x after the layer, from a tensor or a key of the file; or NULL */
    norm_weights layer_output_norm;  /* norm of x after the feed-forward part was added */

    /* recurrent layers; the names are those in most files */
    linear ssm_q, ssm_k, ssm_v; /* queries, keys and values, if the file has three tensors instead of ssm_in */
    linear ssm_in;              /* makes the input of the convolution, and what is used beside it */
    linear ssm_gate;            /* for delta nets and RWKV 6 */
    taps_weights ssm_conv1d;    /* [kernel][n_channels] */
    linear ssm_beta, ssm_alpha; /* [n_heads] */
    linear ssm_ba;              /* for each group the betas of its heads, then their alphas */
    linear ssm_f_a, ssm_f_b;    /* to and from a low rank: decays of each element of a key */
    linear ssm_g_a, ssm_g_b;    /* to and from a low rank: gates */
    linear ssm_x, ssm_dt;       /* for Mamba */
    norm_weights ssm_dt_norm, ssm_b_norm, ssm_c_norm;
    const float *ssm_dt_bias;   /* [n_heads], or for each element of a key */
    const float *ssm_a, *ssm_d; /* [n_heads]; for Mamba [state_size][inner_size] and [inner_size] */
    norm_weights ssm_norm;
    linear ssm_out;

    /* RWKV (cpu/rwkv.c). ssm_q makes its receptance, ssm_f_a and ssm_f_b its decays. ffn_up and ffn_down are the key
     * and value of its channel mix. time_mix_w2 is [n_parts] matrices. */
    const float *time_mix_lerp_fused; /* [n_parts][n_embd] how much each part reads of the token before */
    const float *time_mix_lerp_x;     /* [n_embd] the same for time_mix_w1 */
    linear time_mix_w1, time_mix_w2;  /* to and from a low rank: what a token adds to time_mix_lerp_fused */
    const float *time_mix_first;      /* [n_heads][state_size] factors of a token's own key in its result */
    const float *time_mix_decay;      /* [inner_size] decays, to which a token adds, .. */
    const float *time_mix_a0;         /* .. the same for rates of correction, .. */
    const float *time_mix_v0;         /* .. and for shares of layer 0's values */
    linear time_mix_a1, time_mix_a2;  /* to and from a low rank: rates of correction */
    linear time_mix_v1, time_mix_v2;  /* the same for shares of layer 0's values; layer 0 has none */
    const float *time_mix_k_k, *time_mix_k_a, *time_mix_r_k; /* [inner_size] factors of keys */
    const float *channel_mix_lerp_k, *channel_mix_lerp_r;    /* [n_embd] how much of the token before is read */
    linear channel_mix_receptance;                           /* a gate */
} layer_weights;

typedef struct model_weights {
    matrix token_embd;                  /* [n_vocab][n_embd] */
    struct lora_pair *token_embd_loras; /* a list, or NULL: a token takes a row of A, which is multiplied by B */
    matrix position_embd;               /* [n_ctx_train][n_embd], if positions have embeddings */
    matrix token_types;                 /* [types][n_embd] the first row is added to every embedding */
    norm_weights token_embd_norm;       /* [n_embd] norm of the embeddings */
    layer_weights *layers;              /* [n_layers] */
    /* if layers have their own embeddings: a table of them, a product that makes them from the usual embedding, and a
     * norm for each layer */
    matrix per_layer_token_embd;          /* [n_vocab][n_layers * n_embd_per_layer] */
    linear per_layer_model_proj;          /* [n_layers * n_embd_per_layer][n_embd] */
    norm_weights per_layer_proj_norm;     /* [n_embd_per_layer] */
    linear altup_proj, altup_unembd_proj; /* [n_streams - 1] of [n_embd][n_embd]: to the other streams, and back */
    norm_weights output_norm;             /* [n_embd] */
    linear output;                        /* [n_vocab][n_embd]; token_embd itself if the file has no other (tied) */
    linear dense[2];                      /* after the pooling, in this order */
    linear cls, cls_output; /* the classifier: [n_embd][n_embd], [n_scores][n_embd] (cls alone has the latter shape) */
    norm_weights cls_norm;  /* [n_embd] between the two */
    const float *rope_factors;       /* [n_pairs or more] divisors of the frequencies (Llama 3.1), or NULL */
    const float *rope_factors_long;  /* the same for a context beyond the original one, .. */
    const float *rope_factors_short; /* .. or within it */
    uint64_t bytes_per_token;        /* bytes of weights that a forward pass of one token reads */
    uint64_t matrix_types;           /* bit t: some matrix has the type with number t */
    uint32_t n_skipped;              /* tensors in the file that belong to an image model */
} model_weights;

/* The layer's linear `tensor`; NULL if it has none, or if others are parts of it (attn_qkv). */
linear *layer_linear(layer_weights *w, layer_tensor tensor);

/* How many of the linear's matrices a token uses: the chosen ones of experts, else all. */
uint32_t layer_matrices_used(const model_config *config, const linear *l, layer_tensor tensor);

/* The divisors for a context of n_ctx positions, or NULL. LongRoPE's long factors are for engines that asked for more
 * than the original context. An engine that asked for no context has n_ctx_open positions, or fewer if memory is
 * short. */
const float *weights_rope_factors(const model_weights *weights, const model_config *config, uint32_t n_ctx);

/* True for tensors that nothing here reads: those of an image model in the same file, of its projection to the text
 * model, or of a block that only drafts. */
bool is_unused_tensor(const model_config *config, const cllm_tensor *tensor);

/* Missing tensors, tensors of a wrong shape and types without a kernel are refused by name. So is a tensor that nothing
 * here would read: a model with more parts than this program knows would give wrong answers. */
cllm_status weights_bind(const cllm_gguf *gguf, const model_config *config, arena *a, model_weights *weights,
                         cllm_error *err);

#endif
