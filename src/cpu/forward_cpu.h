/* The forward pass on the CPU: a batch of (token, position) through the transformer's layers to logits.
 * Before it on the road: the session, which makes batches. After it: the sampler. The maths, step by step, is in
 * docs/04-transformer.md. */
#ifndef CPU_FORWARD_CPU_H
#define CPU_FORWARD_CPU_H

#include "base/thread_pool.h"
#include "cpu/kernels.h"
#include "model/kv_cache.h"
#include "model/rope.h"
#include "model/weights.h"

/* What a matrix is multiplied with; the quantized form is filled only for matrices that are read with it. */
typedef struct forward_vectors {
    float *floats;            /* [n_batch][n_columns] */
    int8_t *quantized;        /* [n_batch][n_columns] */
    activation_block *blocks; /* [n_batch][n_columns / ACTIVATION_BLOCK] */
    uint32_t n_columns;
} forward_vectors;

typedef struct forward_cpu {
    const model_config *config;
    const model_weights *weights;
    const cpu_kernels *kernels;
    thread_pool *pool;
    kv_cache kv;
    rope_table rope;

    const uint32_t *positions; /* [count] of the batch at work */
    uint32_t count;
    bool only_last;                 /* in the last layer the batch becomes its last token */
    uint32_t layer;                 /* at work; n_layers: the output */
    bool (*keep_going)(void *user); /* asked before each step; or NULL */
    void *user;
    bool stopped; /* keep_going said no: nothing more is computed in this batch */

    forward_vectors normed;   /* of n_embd columns */
    forward_vectors attended; /* of n_heads * value_length */
    forward_vectors gate;     /* of n_ff */
    float *queries;           /* [n_batch][n_heads][key_length] */
    float *keys;              /* [n_batch][n_kv_heads][key_length] */
    float *values;            /* [n_batch][n_kv_heads][value_length] */
    float *rotated;   /* [n_kv_heads][count][n_heads / n_kv_heads][key_length] queries as attention takes them */
    float *projected; /* [n_batch][n_embd] what attention or feed-forward adds to x */
    float *up;        /* [n_batch][n_ff] */
    float *rope_cos;  /* [n_batch][rope.n_pairs] */
    float *rope_sin;  /* [n_batch][rope.n_pairs] */

    attention_part
        *parts;         /* [n_kv_heads][n_chunks][n_queries] of a few tokens, whose chunks are shared out to threads */
    float *part_values; /* the same, each [kv_padded(value_length)] */

    unsigned char *scratch; /* [n_threads][scratch_bytes] what one thread needs within one item */
    size_t scratch_bytes;
} forward_cpu;

/* Bytes that forward_cpu_create allocates, the KV cache aside; UINT64_MAX if that wraps. */
uint64_t forward_cpu_scratch_bytes(const model_config *config, const cpu_kernels *kernels, uint32_t n_ctx,
                                   uint32_t n_batch, uint32_t n_threads);

/* All pointers stay borrowed. Memory comes from `a`. Errors: MEMORY. */
cllm_status forward_cpu_create(const model_config *config, const model_weights *weights, const cpu_kernels *kernels,
                               thread_pool *pool, const kv_cache *kv, uint32_t n_batch, arena *a, forward_cpu *out,
                               cllm_error *err);

/* Begin a batch: its tokens stand at `positions`, [count], ascending, borrowed until the next batch.
 * 1 <= count <= n_batch. only_last: of the tokens but the last only keys and values are wanted. */
void forward_cpu_begin(forward_cpu *f, const uint32_t *positions, uint32_t count, bool only_last);

/* x: out, [count][n_embd], the rows of the embedding table that belong to tokens: [count]. */
void forward_cpu_embed(forward_cpu *f, const int32_t *tokens, float *x);

/* Run x: [count][n_embd], in place, through layers first_layer <= l < end_layer. The batch's keys and values go into the
 * cache; each token attends to every position up to its own, which must all be in the cache or in this batch.
 * With only_last, x is, after the model's last layer, the last token's row alone, [n_embd]. False: it was stopped, and x
 * is worth nothing. */
bool forward_cpu_layers(forward_cpu *f, float *x, uint32_t first_layer, uint32_t end_layer);

/* logits: out, [n_rows][n_vocab], of n_rows <= n_batch rows of the last layer's x. */
void forward_cpu_output(forward_cpu *f, const float *x, uint32_t n_rows, float *logits);

#endif
