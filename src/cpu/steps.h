/* Shared by the files of the forward pass. A step is split into items, which threads take. Matrix products, norms and
 * attention are computed by kernels (kernels.h).
 *
 *   forward_cpu.c     the sequence of layers
 *   attention.c       queries, keys and values, the cache, and attention to earlier tokens
 *   indexer.c         which earlier tokens are seen, if not all
 *   recurrent.c       in place of attention: a state that is carried from token to token
 *   rwkv.c            both halves of a layer of RWKV
 *   feed_forward.c    the other half of a layer: one network, or experts to choose from
 *   per_layer.c       the layers' own embeddings, and scaling of a layer's result
 *   after_pooling.c   dense layers or a classifier, for an embedding
 *   streams.c         several vectors of a token beside x
 *   products.c        matrix products, used by all of these
 *   forward_memory.c  the buffers */
#ifndef CPU_STEPS_H
#define CPU_STEPS_H

#include "cpu/forward_cpu.h"
#include "model/lora.h"

/* ---------------------------------------------------------------------------------------- running steps */

/* Run items on all threads, or on this one if that is faster. cost: of all items together, in multiply-adds. */
void run_items(forward_cpu *f, size_t n_items, uint64_t cost, thread_task task, void *work);

/* The same, as one step of the batch: asks keep_going first, and does nothing if the pass was stopped. */
void run_step(forward_cpu *f, size_t n_items, uint64_t cost, thread_task task, void *work);

/* The configuration and the weights of the current layer. */
static inline const layer_config *layer_of(const forward_cpu *f) { return &f->model.config->layers[f->layer]; }
static inline const layer_weights *weights_of(const forward_cpu *f) { return &f->model.weights->layers[f->layer]; }

static inline void *thread_scratch(const forward_cpu *f, uint32_t thread) {
    return f->buffers.scratch + thread * f->buffers.scratch_bytes;
}

enum { ITEMS_PER_THREAD = 4 }; /* if there is enough work, so that threads end at about the same time */

typedef enum attention_step { ATTEND, MERGE, ATTENTION_STEPS } attention_step;

/* How attention processes a span of rows in the current layer. */
typedef struct attention_span {
    uint32_t first_chunk, n_chunks; /* of the positions that its tokens see */
    uint64_t cost;                  /* of these, in multiply-adds */
    bool by_chunks; /* an item is one chunk for all tokens, and the parts are merged later; else an item is a block of
                       tokens */
    size_t first_item[ATTENTION_STEPS]; /* first item of this span in each step */
    size_t first_part;                  /* index in f->buffers.parts, if by_chunks */
} attention_span;

/* Work on each row separately: item b is row b. */
typedef struct row_work {
    forward_cpu *f;
    uint32_t n_rows;
    float *x;          /* [n_rows][n_embd] is changed */
    const float *read; /* [n_rows][n_embd] */
    const norm_weights *norm;
    const norm_weights *second_norm; /* or NULL */
    const int32_t *tokens;           /* [n_rows] */
    bool quantize;                   /* quantize the result */
} row_work;

void run_row_step(row_work *work, uint64_t floats_per_row, thread_task task);

/* ---------------------------------------------------------------------------------------------- products */

enum {
    MOST_ROWS = 128,   /* in a product's item */
    LORA_VECTORS = 16, /* most vectors A x that B is multiplied by at once */
};
_Static_assert((int)LORA_UNIT == (int)ACTIVATION_BLOCK, "A x is quantized as activations are");

/* out[b][r] = scale * w x[b] + what adapters add + bias, b < count */
typedef struct product {
    matrix w;
    const float *bias; /* [n_rows] or NULL */
    float scale;
    const lora_pair *loras; /* of the linear; w is its matrix `index` */
    uint32_t index;
    forward_vectors inner; /* scale * A x for each adapter, [count][rank] and padding */
    activations x;
    uint32_t count;
    float *out;
    size_t out_stride;
    int8_t *quantized; /* the result, quantized, at the same indices as in out; or NULL */
    activation_block *blocks;
} product;

/* Matrix `index` of l times rows first_row.. of x. out: [count][n_rows]. */
product product_of(const linear *l, uint32_t index, const forward_vectors *x, size_t first_row, uint32_t count,
                   float *out);

/* Also quantize the result, which goes to rows first_row.. of v. */
void quantize_result(product *p, const forward_vectors *v, size_t first_row);

/* sum: [count][n_rows], to which the result is also added, or NULL. With a sum there is one product. */
void run_products(forward_cpu *f, product *products, size_t n_products, float *sum);

/* Pairs of gate and up, with the same rows and vectors: apply the family's activation, and store the result in gate. If
 * the family has no gate: apply it to each product. numbers: the activation's, of this layer. */
void run_activated_products(forward_cpu *f, product *products, size_t n_products, const float *numbers);

/* The output product, whose results are scaled and capped like the family's logits. */
void run_logits(forward_cpu *f, product *output);

/* Add what adapters contribute to rows first.. of a product; `inner` is computed already. */
void add_adapters(const forward_cpu *f, const product *p, uint32_t first, uint32_t end, uint32_t thread);

/* True if this linear's product reads the quantized form of its vectors. */
bool reads_quantized(const forward_cpu *f, const linear *l);

/* Vectors first_row.. of v in the form that a product reads. */
static inline activations activations_from(const forward_vectors *v, size_t first_row) {
    const size_t at = first_row * v->n_columns;
    return (activations){v->n_columns, v->floats + at, v->quantized + at, v->blocks + at / ACTIVATION_BLOCK};
}

/* The part of v after n elements, a multiple of ACTIVATION_BLOCK. */
static inline forward_vectors vectors_after(forward_vectors v, size_t n) {
    return (forward_vectors){v.floats + n, v.quantized + n, v.blocks + n / ACTIVATION_BLOCK, v.n_columns};
}

void quantize_vector(const forward_cpu *f, const forward_vectors *v, size_t row);

/* Only columns first..first+n-1: whole blocks. */
void quantize_part(const forward_cpu *f, const forward_vectors *v, size_t row, size_t first, size_t n);

/* out[i] = norm of x, of the family's kind. Without a norm, x is copied. */
void normalize(const forward_cpu *f, const norm_weights *norm, const float *x, size_t n, float *out);

/* Softmax of a few numbers, such as the scores of experts or labels. */
void softmax(float *x, size_t n);

static inline void scale_floats(float *x, float factor, size_t n) {
    for (size_t i = 0; factor != 1 && i < n; i++) x[i] *= factor;
}

/* f->buffers.normed becomes the norm of x, [n_rows][n_embd]. */
void run_norm(forward_cpu *f, const norm_weights *norm, const float *x, uint32_t n_rows, bool quantize);

/* ----------------------------------------------------------------------------------------- halves of a layer */

/* Add the result of attention to x. x: [all.count][n_embd], afterwards [rows->count][n_embd]: queries, keys and values
 * are made for all rows of the batch; then only `rows` attend, which are all rows or the kept ones. In a parallel layer
 * f->buffers.normed then has the input of the feed-forward part. */
void attention_block(forward_cpu *f, const forward_rows *rows, float *x);

/* Put a key and a value of token b of the batch into the pages. Does nothing for a replayed token: the pages have them.
 * kv_head == n_kv_heads: an indexer's key; value may then be NULL. */
void store_in_cache(const forward_cpu *f, uint32_t kv_head, size_t b, const float *key, const float *value);
/* Rotate the elements that begin at x to the position of token b, if the layer has RoPE. */
void rotate(const forward_cpu *f, rope_pairing pairing, size_t b, float *x);

enum { INDEX_ROWS = 16 /* rows whose index scores are in memory at a time */ };

/* True if token b sees only what an indexer chose in the current layer. */
static inline bool sees_chosen(const forward_cpu *f, const forward_rows *rows, size_t b) {
    return layer_of(f)->top_k > 0 && rows->positions[b] >= layer_of(f)->top_k;
}

/* How many positions may be chosen for a row: top_k, or 0 if no context is longer than that. */
static inline uint32_t most_chosen(uint32_t top_k, uint32_t n_chunks) {
    return (uint64_t)n_chunks * KV_CHUNK > top_k ? top_k : 0;
}

/* A layer's indexer. run_indexer makes its keys and queries from f->buffers.normed and .compressed, and puts the keys
 * into the pages. choose_positions fills f->buffers.seen with the positions that `rows` see. keep_choice keeps only
 * what belongs to the kept rows. */
void run_indexer(forward_cpu *f);
void choose_positions(forward_cpu *f, const forward_rows *rows);
void keep_choice(forward_cpu *f);

/* chosen: out, [k], the positions of the k largest of n >= k >= 1 scores, in ascending order; of equal scores the first
 * positions. */
void choose_largest(const float *scores, uint32_t n, uint32_t k, uint32_t *chosen);

/* Put the scores of experts for x, [all.count][n_embd], into f->buffers.router, for a mixture whose router reads the
 * layer's x. */
void route(forward_cpu *f, const float *x);
void keep_scores(forward_cpu *f); /* keep only the scores of the kept rows */

/* attention_block for a recurrent layer. If it also has attention, `mix` comes first, then attention_block, which keeps
 * only the kept rows, then `add`. */
void recurrent_block(forward_cpu *f, const forward_rows *rows, float *x);
void recurrent_mix(forward_cpu *f, const float *x);
void recurrent_add(forward_cpu *f, const forward_rows *rows, float *x);

/* The slot for the state after row b of a span. */
static inline uint32_t slot_after(const forward_span *span, size_t b) {
    return b - span->first_row < span->n_replayed ? span->state_middle : span->state_to;
}

/* x / sqrt(sum x^2 + epsilon) * factor */
void scale_to_length(float *x, size_t n, float epsilon, float factor);

/* RWKV's time mix: from f->buffers.normed to f->buffers.mixed. */
void time_mix(forward_cpu *f);

/* RWKV's channel mix: add the result of its network to x. x: [all.count][n_embd], afterwards [rows->count][n_embd]. */
void channel_mix_block(forward_cpu *f, const forward_rows *rows, float *x);

/* Keep only the kept rows of the batch. x: [all.count][n], afterwards [kept.count][n]. */
void keep_rows(const forward_cpu *f, float *x, size_t n);

/* x: [n_rows][n_embd] */
void feed_forward_block(forward_cpu *f, uint32_t n_rows, float *x);
bool feed_forward_quantizes(const forward_cpu *f); /* does it read the quantized form of its input? */

/* Put the layers' own embeddings of the tokens into f->buffers.per_layer, if there are any. x: [all.count][n_embd], the
 * input of the first layer. */
void embed_per_layer(forward_cpu *f, const int32_t *tokens, const float *x);

/* A token's vectors beside x, if there are any; streams.c explains each step. x: [n_rows][n_embd], or for the first
 * function [all.count][n_embd]. add_laurel: f->buffers.normed is attention's input. */
void begin_streams(forward_cpu *f, const float *x);
void predict_streams(forward_cpu *f, uint32_t n_rows, float *x);
void add_laurel(forward_cpu *f, uint32_t n_rows, float *x);
void correct_streams(forward_cpu *f, uint32_t n_rows, float *x);
void add_projected_to_others(forward_cpu *f, const norm_weights *post_norm, uint32_t n_rows); /* as add_projected */
void merge_streams(forward_cpu *f, uint32_t n_rows, float *x);

/* What comes after the two halves of a layer, if anything. x: [n_rows][n_embd] */
void per_layer_block(forward_cpu *f, uint32_t n_rows, float *x);

/* x becomes norm(x + f->buffers.projected), where projected is the result of half a layer. If `second` has a weight, x
 * becomes second(old x + norm(old x + projected)). */
void add_and_norm(forward_cpu *f, const norm_weights *norm, const norm_weights *second, float *x, uint32_t n_rows);

/* x += residual_scale * the norm (if there is one) of f->buffers.projected, the result of half a layer. */
void add_projected(forward_cpu *f, const norm_weights *post_norm, float *x, uint32_t n_rows);

/* True if the last product of half a layer may be added to x at once, because nothing is between them. */
static inline bool adds_at_once(const forward_cpu *f, const norm_weights *post_norm) {
    return !post_norm->weight && f->model.config->residual_scale == 1;
}

/* Choose experts from a token's router logits, best first, with their weights: chosen, weights: [n_experts_used]. bias:
 * [n_experts] or NULL. scores: [3][n_experts], first the logits, then work space. */
void choose_experts(const model_config *c, const float *bias, float *scores, uint32_t *chosen, float *weights);

#endif
