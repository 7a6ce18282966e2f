/* What the files of the forward pass share: a step is cut into items, which threads take, and every sum is a kernel's.
 *
 *   forward_cpu.c     the road through the layers
 *   attention.c       queries, keys and values, the cache, and what each token gets of the tokens before it
 *   indexer.c         which of them it sees, where it does not see all
 *   recurrent.c       the same by a state that is carried along
 *   feed_forward.c    the other half of a layer: one network, or experts to choose from
 *   per_layer.c       what a layer embeds on its own, and how its result is scaled
 *   after_pooling.c   dense layers or a classifier, of an embedding
 *   streams.c         several vectors of a token beside x
 *   products.c        matrix products, of which all of these are made
 *   forward_memory.c  the buffers
 */
#ifndef CPU_STEPS_H
#define CPU_STEPS_H

#include "cpu/forward_cpu.h"
#include "model/lora.h"

/* ---------------------------------------------------------------------------------------------- running */

/* Items on all threads, or on this one where that is faster. cost: of all items together, in multiply-adds. */
void run_items(forward_cpu *f, size_t n_items, uint64_t cost, thread_task task, void *work);

/* The same as one step of the batch, unless it was stopped. */
void run_step(forward_cpu *f, size_t n_items, uint64_t cost, thread_task task, void *work);

/* What the layer at work is. */
static inline const layer_config *layer_of(const forward_cpu *f) { return &f->model.config->layers[f->layer]; }

static inline void *thread_scratch(const forward_cpu *f, uint32_t thread) {
    return f->buffers.scratch + thread * f->buffers.scratch_bytes;
}

enum { ITEMS_PER_THREAD = 4 }; /* at least, so that threads end together */

typedef enum attention_step { ATTEND, MERGE, ATTENTION_STEPS } attention_step;

/* What attention knows of a span of rows in the layer at work. */
typedef struct attention_span {
    uint32_t first_chunk, n_chunks; /* that its tokens see */
    uint64_t cost;                  /* of these, in multiply-adds */
    bool by_chunks; /* an item is one chunk for all tokens, and then they merge; else a block of tokens */
    size_t first_item[ATTENTION_STEPS]; /* those of the spans before it come first */
    size_t first_part;                  /* in f->buffers.parts, if it goes by chunks */
} attention_span;

/* Work on each row on its own: item b is row b. */
typedef struct row_work {
    forward_cpu *f;
    uint32_t n_rows;
    float *x;          /* [n_rows][n_embd] to be changed */
    const float *read; /* [n_rows][n_embd] */
    const norm_weights *norm;
    const norm_weights *second_norm; /* or NULL */
    const int32_t *tokens;           /* [n_rows] */
    bool quantize;                   /* the result */
} row_work;

void run_row_step(row_work *work, uint64_t floats_per_row, thread_task task);

/* ---------------------------------------------------------------------------------------------- products */

enum {
    MOST_ROWS = 128,   /* of a product's item */
    LORA_VECTORS = 16, /* A x that B is multiplied with at once */
};
_Static_assert((int)LORA_UNIT == (int)ACTIVATION_BLOCK, "A x is quantized as activations are");

/* out[b][r] = scale * w x[b] + what adapters add + bias, b < count */
typedef struct product {
    matrix w;
    const float *bias; /* [n_rows] or NULL */
    float scale;
    const lora_pair *loras; /* of a linear whose matrix `index` w is */
    uint32_t index;
    forward_vectors inner; /* scale * A x of each of these, [count][rank] and padding */
    activations x;
    uint32_t count;
    float *out;
    size_t out_stride;
    int8_t *quantized; /* the result again, quantized, at the same places as in out, or NULL */
    activation_block *blocks;
} product;

/* Number `index` of the matrices of l, with rows first_row.. of x. out: [count][n_rows]. */
product product_of(const linear *l, uint32_t index, const forward_vectors *x, size_t first_row, uint32_t count,
                   float *out);

/* Have the result, which goes to rows first_row.. of v, quantized as well. */
void quantize_result(product *p, const forward_vectors *v, size_t first_row);

/* sum: [count][n_rows] to which the result is added, or NULL; then there is one product. */
void run_products(forward_cpu *f, product *products, size_t n_products, float *sum);

/* Pairs of gate and up, which have the same rows and vectors; the result of gate becomes the family's activation of both. Without
 * a gate in the family: of each product alone. numbers: the activation's, of this layer. */
void run_activated_products(forward_cpu *f, product *products, size_t n_products, const float *numbers);

/* The product of the output, whose results are scaled and capped as the family's logits are. */
void run_logits(forward_cpu *f, product *output);

/* Add to rows first.. of a product what its adapters add; `inner` is there. */
void add_adapters(const forward_cpu *f, const product *p, uint32_t first, uint32_t end, uint32_t thread);

/* Does this linear's product read the quantized form of its vectors? */
bool reads_quantized(const forward_cpu *f, const linear *l);

/* Vectors first_row.. of v, as a product reads them. */
static inline activations activations_from(const forward_vectors *v, size_t first_row) {
    const size_t at = first_row * v->n_columns;
    return (activations){v->n_columns, v->floats + at, v->quantized + at, v->blocks + at / ACTIVATION_BLOCK};
}

/* What follows after n elements, a multiple of ACTIVATION_BLOCK. */
static inline forward_vectors vectors_after(forward_vectors v, size_t n) {
    return (forward_vectors){v.floats + n, v.quantized + n, v.blocks + n / ACTIVATION_BLOCK, v.n_columns};
}

void quantize_vector(const forward_cpu *f, const forward_vectors *v, size_t row);

/* out[i] = norm of x, of the family's kind. A norm that is not there copies. */
void normalize(const forward_cpu *f, const norm_weights *norm, const float *x, size_t n, float *out);

static inline void scale_floats(float *x, float factor, size_t n) {
    for (size_t i = 0; factor != 1 && i < n; i++) x[i] *= factor;
}

/* f->buffers.normed becomes the norm of x, [n_rows][n_embd]. */
void run_norm(forward_cpu *f, const norm_weights *norm, const float *x, uint32_t n_rows, bool quantize);

/* ----------------------------------------------------------------------------------------- halves of a layer */

/* Adds to x what tokens get of those before them in their sequence. x: [all.count][n_embd], and afterwards [rows->count][n_embd]:
 * keys and values are made of all rows of the batch, queries of `rows`, which are all of them or those that are kept.
 * A parallel layer leaves in f->buffers.normed what its feed-forward part reads. */
void attention_block(forward_cpu *f, const forward_rows *rows, float *x);

/* Of a token b of the batch: put a key and a value, which may be NULL where there are none, into the pages; kv_head n_kv_heads: of an
 * indexer. */
void store_in_cache(const forward_cpu *f, uint32_t kv_head, size_t b, const float *key, const float *value);
/* Rotate the elements that begin at x to the position of token b. */
void rotate(const forward_cpu *f, rope_pairing pairing, size_t b, float *x);

enum { INDEX_ROWS = 16 /* rows whose scores by an indexer are there at a time */ };

/* Does token b of the layer at work see what an indexer chose? */
static inline bool sees_chosen(const forward_cpu *f, const forward_rows *rows, size_t b) {
    return layer_of(f)->top_k > 0 && rows->positions[b] >= layer_of(f)->top_k;
}

/* How many positions each row may have to choose: 0 where no context is longer. */
static inline uint32_t most_chosen(uint32_t top_k, uint32_t n_chunks) {
    return (uint64_t)n_chunks * KV_CHUNK > top_k ? top_k : 0;
}

/* A layer with an indexer. Keys are made of all rows, from f->buffers.normed and .compressed, and put into the pages; then f->buffers.seen
 * becomes what these rows see. Where rows are dropped it is kept of the others. */
void run_indexer(forward_cpu *f);
void choose_positions(forward_cpu *f, const forward_rows *rows);
void keep_choice(forward_cpu *f);

/* chosen: out, [k], the positions of the k largest of n >= k >= 1 scores, ascending; of equal scores those of the first positions. */
void choose_largest(const float *scores, uint32_t n, uint32_t k, uint32_t *chosen);

/* f->buffers.router becomes the scores of experts for x, [all.count][n_embd], of a mixture whose router reads the layer's x. */
void route(forward_cpu *f, const float *x);
void keep_scores(forward_cpu *f); /* of the rows that are kept */
/* What attention_block does, of a recurrent layer. Where there is attention beside it, it begins with `mix`, goes on with attention_block, which
 * leaves the rows that are kept, and ends with `add`. */
void recurrent_block(forward_cpu *f, const forward_rows *rows, float *x);
void recurrent_mix(forward_cpu *f, const float *x);
void recurrent_add(forward_cpu *f, const forward_rows *rows, float *x);

/* Of the batch's rows only the kept ones stay. x: [all.count][n], and afterwards [kept.count][n]. */
void keep_rows(const forward_cpu *f, float *x, size_t n);

/* x: [n_rows][n_embd] */
void feed_forward_block(forward_cpu *f, uint32_t n_rows, float *x);
bool feed_forward_quantizes(const forward_cpu *f); /* does it read the quantized form of its input? */

/* f->buffers.per_layer becomes what each layer embeds of the tokens on its own, if layers do. x: [all.count][n_embd] as the first
 * layer begins with it. */
void embed_per_layer(forward_cpu *f, const int32_t *tokens, const float *x);

/* The vectors of a token beside x, where there are some; see streams.c for what each step does. x: [n_rows][n_embd] or, of the first,
 * [all.count][n_embd]. add_laurel: f->buffers.normed is what attention read. */
void begin_streams(forward_cpu *f, const float *x);
void predict_streams(forward_cpu *f, uint32_t n_rows, float *x);
void add_laurel(forward_cpu *f, uint32_t n_rows, float *x);
void correct_streams(forward_cpu *f, uint32_t n_rows, float *x);
void add_projected_to_others(forward_cpu *f, const norm_weights *post_norm, uint32_t n_rows); /* as add_projected */
void merge_streams(forward_cpu *f, uint32_t n_rows, float *x);

/* What follows the two halves of a layer, if anything does. x: [n_rows][n_embd] */
void per_layer_block(forward_cpu *f, uint32_t n_rows, float *x);

/* x becomes the norm of x plus what a half of the layer has put into f->buffers.projected; with a second norm, which may have no weight, then
 * that of this plus x as it was. */
void add_and_norm(forward_cpu *f, const norm_weights *norm, const norm_weights *second, float *x, uint32_t n_rows);

/* x += residual_scale * the norm, if there is one, of what a half of the layer has put into f->buffers.projected. */
void add_projected(forward_cpu *f, const norm_weights *post_norm, float *x, uint32_t n_rows);

/* Where nothing stands between a half's last product and x, it is added at once. */
static inline bool adds_at_once(const forward_cpu *f, const norm_weights *post_norm) {
    return !post_norm->weight && f->model.config->residual_scale == 1;
}

/* From the router's logits of a token its experts, best first, and their weights: chosen, weights: [n_experts_used].
 * bias: [n_experts] or NULL. scores: [3][n_experts], the first of them the logits, the rest is room. */
void choose_experts(const model_config *c, const float *bias, float *scores, uint32_t *chosen, float *weights);

#endif
