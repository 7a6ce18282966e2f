/* LoRA adapters (Hu et al. 2021): y = W x + scale * B A x, where A and B are thin matrices. They come in a GGUF file of
 * their own and are applied while the model runs. The format is that of llama.cpp's convert_lora_to_gguf.py;
 * docs/06-engine.md describes it.
 *
 * Before it: the base model's weights. After it: the products of the forward pass, which find adapters in a linear. */
#ifndef MODEL_LORA_H
#define MODEL_LORA_H

#include "model/weights.h"

/* What one adapter adds to a linear. If the linear is a part of a fused tensor, A belongs to the whole tensor, and B
 * has only the part's rows. */
typedef struct lora_pair {
    matrix a;    /* [rank][n_columns], one for all of the linear's matrices or one each */
    matrix b;    /* [n_rows][rank], likewise */
    float scale; /* product of all factors; not 0 */
    struct lora_pair *next;
} lora_pair;

/* Elements of A x, padded to a multiple of the block in which activations are quantized. */
enum { LORA_UNIT = 32 };
static inline size_t lora_padded(uint32_t rank) { return ((size_t)rank + LORA_UNIT - 1) / LORA_UNIT * LORA_UNIT; }

/* A or B for matrix `index` of the linear. */
static inline matrix lora_matrix(const matrix *m, uint32_t index) { return matrix_of(m, m->count > 1 ? index : 0); }

/* Add an adapter, times scale, to the weights of the model in `base`. They must still be in that file's memory.
 * config->lora is updated. The pairs are allocated from `a`; their matrices stay in the adapter's file. Messages name
 * the key or tensor. Errors: FORMAT, UNSUPPORTED, MEMORY. */
cllm_status lora_bind(const cllm_gguf *adapter, float scale, const cllm_gguf *base, arena *a, model_config *config,
                      model_weights *weights, cllm_error *err);

#endif
