/* Makes small random models of the family llama for tests, as GGUF files. */
#ifndef SUPPORT_TINY_MODEL_H
#define SUPPORT_TINY_MODEL_H

#include "gguf/quant_types.h"
#include "support/gguf_builder.h"

typedef struct tiny_model {
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, key_length, value_length, n_ff, n_vocab, n_ctx;
    quant_type type; /* of the matrices; attn_q and attn_k are F32 unless it is F32, F16, Q4_0 or Q8_0 */
    int tied;        /* no output.weight */
    int biases;
    uint32_t window; /* positions that each layer sees; 0: all */
    uint64_t seed;
} tiny_model;

/* 2 layers, 64 wide, 4 query and 2 key/value heads of 16, feed-forward 96, vocabulary 50, context 64; F32. */
tiny_model tiny_model_default(void);

/* Put the metadata and the tensors into an initialised builder, so that a test can go on to spoil them. */
void tiny_model_metadata(gguf_builder *g, const tiny_model *m);
void tiny_model_tensors(gguf_builder *g, const tiny_model *m);

/* The path of a temporary file that holds the model. */
const char *tiny_model_write(const char *name, const tiny_model *m);

#endif
