/* The model's tensors, found by name once, checked once, and from then on typed fields.
 * Before it on the road: config.h. After it: the forward pass in src/cpu, which reads these fields and no names.
 *
 * Matrices stay in the mapped file (--repack moves them later). The small vectors (norms, biases) are copied, which aligns them. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "base/arena.h"
#include "gguf/quant_types.h"
#include "model/config.h"

/* n_rows rows of n_columns elements, each row a run of blocks of its type: y = W x has n_rows elements.
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
} matrix;

typedef struct layer_weights {
    const float *attn_norm;   /* [n_embd] */
    matrix attn_q;            /* [n_heads * key_length][n_embd] */
    matrix attn_k;            /* [n_kv_heads * key_length][n_embd] */
    matrix attn_v;            /* [n_kv_heads * value_length][n_embd] */
    matrix attn_output;       /* [n_embd][n_heads * value_length] */
    const float *attn_q_bias; /* as many as attn_q has rows, or NULL; so the next three */
    const float *attn_k_bias;
    const float *attn_v_bias;
    const float *attn_output_bias;
    const float *ffn_norm; /* [n_embd] */
    matrix ffn_gate;       /* [n_ff][n_embd] */
    matrix ffn_up;         /* [n_ff][n_embd] */
    matrix ffn_down;       /* [n_embd][n_ff] */
} layer_weights;

typedef struct model_weights {
    matrix token_embd;         /* [n_vocab][n_embd] */
    layer_weights *layers;     /* [n_layers] */
    const float *output_norm;  /* [n_embd] */
    matrix output;             /* [n_vocab][n_embd]; token_embd itself when the file has no other (tied) */
    const float *rope_factors; /* [rope_dimension_count / 2] divisors of the frequencies (Llama 3.1), or NULL */
    uint64_t bytes_per_token;  /* weight bytes that one forward pass of one token reads */
    uint64_t matrix_types;     /* bit t: a matrix is of the type of number t */
} model_weights;

/* Tensors that are missing, of the wrong shape or of a type without a kernel are refused by name, and so is a tensor
 * that nothing here would read: a model with more than this program knows would give wrong answers. */
cllm_status weights_bind(const cllm_gguf *gguf, const model_config *config, arena *a, model_weights *weights,
                         cllm_error *err);

#endif
