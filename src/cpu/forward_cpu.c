/* The transformer in the order of its steps: memory, matrix products, steps that treat each token on its own, attention,
 * and at the end the road through them all. A step is cut into items, which threads take; every sum is a kernel's. */
#include "cpu/forward_cpu.h"

#include "base/checked.h"
#include "base/error.h"
#include "cpu/interleave.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ memory */

/* One list of the buffers serves planning and allocation, so the two cannot disagree. */
typedef struct buffer {
    size_t slot; /* offset in forward_cpu of the pointer */
    uint64_t rows;
    uint64_t bytes_per_row;
} buffer;

enum {
    N_BUFFERS = 21,
    ATTENTION_QUERIES = 32, /* that meet a chunk of keys together, while it is in the cache */
};

/* Tokens whose heads of one group make up so many queries. */
static uint32_t attention_tokens(const model_config *c) {
    const uint32_t group = c->n_heads / c->n_kv_heads;
    return group < ATTENTION_QUERIES ? ATTENTION_QUERIES / group : 1;
}

static size_t attention_queries(const model_config *c) {
    return (size_t)attention_tokens(c) * (c->n_heads / c->n_kv_heads);
}

static size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* Scratch of one attention item: what a block of queries got so far, and of one more chunk. */
typedef struct attention_room {
    attention_part *parts[2]; /* [n_queries] */
    float *values[2];         /* [n_queries][kv_padded(value_length)] */
    uint32_t *n_visible;      /* [n_queries] */
} attention_room;

static size_t attention_room_bytes(const model_config *c) {
    return attention_queries(c) *
           (2 * sizeof(attention_part) + 2 * kv_padded(c->value_length) * sizeof(float) + sizeof(uint32_t));
}

static attention_room attention_room_in(const model_config *c, void *scratch) {
    const size_t n = attention_queries(c);
    attention_room room;
    room.values[0] = scratch;
    room.values[1] = room.values[0] + n * kv_padded(c->value_length);
    room.parts[0] = (attention_part *)(void *)(room.values[1] + n * kv_padded(c->value_length));
    room.parts[1] = room.parts[0] + n;
    room.n_visible = (uint32_t *)(void *)(room.parts[1] + n);
    return room;
}

/* What a thread needs at most. */
static size_t scratch_bytes(const model_config *c, const cpu_kernels *kernels) {
    const size_t needs[] = {
        kernels->matmul_scratch_bytes(c->n_embd),
        kernels->matmul_scratch_bytes(c->n_ff),
        kernels->matmul_scratch_bytes(c->n_heads * c->value_length),
        attention_room_bytes(c),
        (size_t)c->n_embd * sizeof(float), /* a row of the embedding table */
    };
    size_t most = 0;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) most = needs[i] > most ? needs[i] : most;
    return round_up(most, ARENA_ALIGNMENT);
}

static void list_buffers(const model_config *c, uint32_t n_ctx, uint32_t n_batch, uint32_t n_threads, size_t scratch,
                         buffer buffers[N_BUFFERS]) {
    const uint64_t queries = (uint64_t)c->n_heads * c->key_length, keys = (uint64_t)c->n_kv_heads * c->key_length;
    const uint64_t values = (uint64_t)c->n_kv_heads * c->value_length;
    const uint64_t attended = (uint64_t)c->n_heads * c->value_length;
    const uint64_t parts = (uint64_t)c->n_kv_heads * kv_chunks(n_ctx) * attention_queries(c);
#define SLOT(field) offsetof(forward_cpu, field)
#define FLOATS(n)   (n) * sizeof(float)
#define VECTORS(field, n)                                                              \
    {SLOT(field.floats), n_batch, FLOATS(n)}, {SLOT(field.quantized), n_batch, n}, {   \
        SLOT(field.blocks), n_batch, (n) / ACTIVATION_BLOCK * sizeof(activation_block) \
    }
    const buffer list[N_BUFFERS] = {
        VECTORS(normed, c->n_embd),
        VECTORS(attended, attended),
        VECTORS(gate, c->n_ff),
        {SLOT(queries), n_batch, FLOATS(queries)},
        {SLOT(keys), n_batch, FLOATS(keys)},
        {SLOT(values), n_batch, FLOATS(values)},
        {SLOT(rotated), n_batch, FLOATS(queries)},
        {SLOT(projected), n_batch, FLOATS(c->n_embd)},
        {SLOT(up), n_batch, FLOATS(c->n_ff)},
        {SLOT(rope.frequencies), 1, c->rope_dimension_count / 2 * sizeof(double)},
        {SLOT(rope_cos), n_batch, FLOATS(c->rope_dimension_count / 2)},
        {SLOT(rope_sin), n_batch, FLOATS(c->rope_dimension_count / 2)},
        {SLOT(parts), parts, sizeof(attention_part)},
        {SLOT(part_values), parts, FLOATS(kv_padded(c->value_length))},
        {SLOT(scratch), n_threads, scratch},
    };
#undef VECTORS
#undef FLOATS
#undef SLOT
    memcpy(buffers, list, sizeof list);
}

uint64_t forward_cpu_scratch_bytes(const model_config *config, const cpu_kernels *kernels, uint32_t n_ctx,
                                   uint32_t n_batch, uint32_t n_threads) {
    buffer buffers[N_BUFFERS];
    list_buffers(config, n_ctx, n_batch, n_threads, scratch_bytes(config, kernels), buffers);
    uint64_t sum = 0;
    for (size_t i = 0; i < N_BUFFERS; i++) {
        uint64_t bytes;
        if (!checked_mul(buffers[i].rows, buffers[i].bytes_per_row, &bytes) || !checked_add(sum, bytes, &sum))
            return UINT64_MAX;
    }
    return sum;
}

cllm_status forward_cpu_create(const model_config *config, const model_weights *weights, const cpu_kernels *kernels,
                               thread_pool *pool, const kv_cache *kv, uint32_t n_batch, arena *a, forward_cpu *out,
                               cllm_error *err) {
    const size_t n_queries = (size_t)config->n_heads * config->value_length;
    *out = (forward_cpu){.config = config,
                         .weights = weights,
                         .kernels = kernels,
                         .pool = pool,
                         .kv = *kv,
                         .normed.n_columns = config->n_embd,
                         .attended.n_columns = (uint32_t)n_queries,
                         .gate.n_columns = config->n_ff,
                         .scratch_bytes = scratch_bytes(config, kernels)};
    buffer buffers[N_BUFFERS];
    list_buffers(config, kv->n_chunks * KV_CHUNK, n_batch, thread_pool_size(pool), out->scratch_bytes, buffers);
    bool complete = true;
    for (size_t i = 0; i < N_BUFFERS; i++) {
        void *bytes = arena_alloc(a, buffers[i].rows, buffers[i].bytes_per_row);
        memcpy((char *)out + buffers[i].slot, &bytes, sizeof bytes);
        complete = complete && bytes;
    }
    if (!complete)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a batch of %u tokens; use a smaller batch", n_batch);
    rope_prepare(config, weights->rope_factors, &out->rope);
    return CLLM_OK;
}

static void *thread_scratch(const forward_cpu *f, uint32_t thread) { return f->scratch + thread * f->scratch_bytes; }

/* ------------------------------------------------------------------------------------------------ steps */

/* Multiply-adds, or what takes as long, below which waking threads costs more than it saves. */
#define WORTH_THREADS 100000

static void run_items(forward_cpu *f, size_t n_items, uint64_t cost, thread_task task, void *work) {
    if (cost >= WORTH_THREADS)
        thread_pool_run(f->pool, n_items, task, work);
    else
        for (size_t item = 0; item < n_items; item++) task(work, item, 0);
}

/* One step of the batch, unless it was stopped. cost: of all items together, in multiply-adds. */
static void run_step(forward_cpu *f, size_t n_items, uint64_t cost, thread_task task, void *work) {
    f->stopped = f->stopped || (f->keep_going && !f->keep_going(f->user));
    if (!f->stopped) run_items(f, n_items, cost, task, work);
}

/* ---------------------------------------------------------------------------------------- matrix products */

enum {
    ITEMS_PER_THREAD = 4,       /* at least, so that threads end together */
    LEAST_ROWS = 2 * ROW_GROUP, /* of an item, and a multiple of it: whole ACTIVATION_BLOCKs of results */
    MOST_ROWS = 128,
};
_Static_assert(LEAST_ROWS % ACTIVATION_BLOCK == 0, "an item quantizes what it computed");

typedef struct product {
    const matrix *w;
    const float *bias; /* [n_rows] or NULL */
    float *out;        /* [count][n_rows] */
} product;

/* Products of several matrices with the same vectors. */
typedef struct product_work {
    forward_cpu *f;
    activations x;
    uint32_t count;
    product products[3];
    size_t n_products;
    uint32_t rows_per_item;
    float *sum;    /* [count][n_rows] to which the result of the only product is added, or NULL */
    bool quantize; /* the result, of gate and up */
} product_work;

static bool quantizes(const forward_cpu *f, const matrix *w) { return f->kernels->quantizes[w->type]; }

static uint32_t n_row_items(const product_work *work, const matrix *w) {
    return (w->n_rows + work->rows_per_item - 1) / work->rows_per_item;
}

static uint32_t end_row(const product_work *work, const matrix *w, uint32_t first) {
    return w->n_rows - first < work->rows_per_item ? w->n_rows : first + work->rows_per_item;
}

static void multiply_rows(const product_work *work, const product *p, uint32_t first, uint32_t end, uint32_t thread) {
    const forward_cpu *f = work->f;
    const size_t stride = p->w->n_rows;
    f->kernels->matmul(p->w, first, end, &work->x, work->count, p->out, stride, thread_scratch(f, thread));
    for (size_t b = 0; p->bias && b < work->count; b++)
        f->kernels->add(p->out + b * stride + first, p->bias + first, end - first);
}

static void product_item(void *argument, size_t item, uint32_t thread) {
    const product_work *work = argument;
    const product *p = work->products;
    for (; item >= n_row_items(work, p->w); p++) item -= n_row_items(work, p->w);
    const uint32_t first = (uint32_t)item * work->rows_per_item, end = end_row(work, p->w, first);
    const size_t stride = p->w->n_rows;
    multiply_rows(work, p, first, end, thread);
    for (size_t b = 0; work->sum && b < work->count; b++)
        work->f->kernels->add(work->sum + b * stride + first, p->out + b * stride + first, end - first);
}

/* The same rows of gate and up, which then meet. */
static void gated_item(void *argument, size_t item, uint32_t thread) {
    const product_work *work = argument;
    forward_cpu *f = work->f;
    const matrix *w = work->products[0].w;
    const uint32_t first = (uint32_t)item * work->rows_per_item, end = end_row(work, w, first);
    multiply_rows(work, &work->products[0], first, end, thread);
    multiply_rows(work, &work->products[1], first, end, thread);
    for (size_t b = 0; b < work->count; b++) {
        const size_t at = b * w->n_rows + first;
        f->kernels->swiglu(f->gate.floats + at, f->up + at, end - first);
        if (work->quantize)
            f->kernels->quantize(f->gate.floats + at, end - first, f->gate.quantized + at,
                                 f->gate.blocks + at / ACTIVATION_BLOCK);
    }
}

static void run_products(forward_cpu *f, const forward_vectors *x, uint32_t count, product_work *work,
                         thread_task task) {
    uint64_t n_rows = 0;
    size_t n_items = 0;
    for (size_t i = 0; i < work->n_products; i++) n_rows += work->products[i].w->n_rows;
    const uint64_t even = n_rows / (ITEMS_PER_THREAD * thread_pool_size(f->pool)) / LEAST_ROWS * LEAST_ROWS;
    work->f = f;
    work->count = count;
    work->x = (activations){x->n_columns, x->floats, x->quantized, x->blocks};
    work->rows_per_item = even < LEAST_ROWS ? LEAST_ROWS : even > MOST_ROWS ? MOST_ROWS : (uint32_t)even;
    const size_t n_own_items = task == gated_item ? 1 : work->n_products;
    for (size_t i = 0; i < n_own_items; i++) n_items += n_row_items(work, work->products[i].w);
    run_step(f, n_items, n_rows * x->n_columns * count, task, work);
}

/* ------------------------------------------------------------------- steps that treat each token on its own */

typedef struct token_work {
    forward_cpu *f;
    float *x;              /* [count][n_embd] */
    const float *norm;     /* [n_embd] */
    const int32_t *tokens; /* [count] */
    bool quantize;         /* the result */
} token_work;

static void run_token_step(token_work *work, uint64_t floats_per_token, thread_task task) {
    run_step(work->f, work->f->count, work->f->count * floats_per_token, task, work);
}

static void quantize_vector(const forward_cpu *f, const forward_vectors *v, size_t b) {
    const size_t at = b * v->n_columns;
    f->kernels->quantize(v->floats + at, v->n_columns, v->quantized + at, v->blocks + at / ACTIVATION_BLOCK);
}

static void norm_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const token_work *work = argument;
    forward_cpu *f = work->f;
    const size_t n = f->config->n_embd;
    f->kernels->rms_norm(work->x + b * n, work->norm, f->config->rms_norm_epsilon, n, f->normed.floats + b * n);
    if (work->quantize) quantize_vector(f, &f->normed, b);
}

static void quantize_attended_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const token_work *work = argument;
    quantize_vector(work->f, &work->f->attended, b);
}

/* Up to KV_SCALE_BLOCK elements in the type of the cache. */
typedef union kv_elements {
    float floats[KV_SCALE_BLOCK];
    uint16_t halfs[KV_SCALE_BLOCK];
    int8_t bytes[KV_SCALE_BLOCK];
} kv_elements;
_Static_assert((int)KV_SCALE_BLOCK == (int)ACTIVATION_BLOCK, "one function quantizes both");

/* Returns the scale of q8_0. */
static float to_kv_type(const forward_cpu *f, const float *x, size_t n, kv_elements *out) {
    if (f->kv.first.type == CLLM_KV_F32) {
        memcpy(out->floats, x, n * sizeof *x);
    } else if (f->kv.first.type == CLLM_KV_F16) {
        f->kernels->f32_to_f16(x, out->halfs, n);
    } else {
        float padded[KV_SCALE_BLOCK] = {0};
        activation_block block;
        memcpy(padded, x, n * sizeof *x);
        f->kernels->quantize(padded, KV_SCALE_BLOCK, out->bytes, &block);
        return block.scale;
    }
    return 1;
}

static void store_in_cache(const forward_cpu *f, uint32_t kv_head, uint32_t position, const float *key,
                           const float *value) {
    const model_config *c = f->config;
    const kv_chunk chunk = kv_cache_chunk(&f->kv, f->layer, kv_head, position / KV_CHUNK);
    kv_elements elements;
    for (size_t i = 0; i < c->key_length; i += KV_SCALE_BLOCK) {
        const size_t n = c->key_length - i < KV_SCALE_BLOCK ? c->key_length - i : KV_SCALE_BLOCK;
        const float scale = to_kv_type(f, key + i, n, &elements);
        kv_chunk_put_key(&chunk, position % KV_CHUNK, i, n, &elements, scale);
    }
    for (size_t i = 0; i < c->value_length; i += KV_SCALE_BLOCK) {
        const size_t n = c->value_length - i < KV_SCALE_BLOCK ? c->value_length - i : KV_SCALE_BLOCK;
        const float scale = to_kv_type(f, value + i, n, &elements);
        kv_chunk_put_value(&chunk, position % KV_CHUNK, i, n, &elements, scale);
    }
}

/* Rotate a token's queries and keys to its position; put keys and values into the cache, and the queries, divided by
 * sqrt(key_length), where attention finds those of one key/value head together. */
static void rotate_and_store_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const token_work *work = argument;
    forward_cpu *f = work->f;
    const model_config *c = f->config;
    const float *cos = f->rope_cos + b * f->rope.n_pairs, *sin = f->rope_sin + b * f->rope.n_pairs;
    const size_t group = c->n_heads / c->n_kv_heads;
    const float scale = 1.0f / sqrtf((float)c->key_length);

    for (uint32_t kv_head = 0; kv_head < c->n_kv_heads; kv_head++) {
        const size_t row = b * c->n_kv_heads + kv_head;
        float *key = f->keys + row * c->key_length;
        float *queries = f->queries + row * group * c->key_length;
        float *rotated = f->rotated + (kv_head * (size_t)f->count + b) * group * c->key_length;
        f->kernels->rope(key, cos, sin, f->rope.n_pairs);
        store_in_cache(f, kv_head, f->positions[b], key, f->values + row * c->value_length);
        for (size_t g = 0; g < group; g++) f->kernels->rope(queries + g * c->key_length, cos, sin, f->rope.n_pairs);
        for (size_t i = 0; i < group * c->key_length; i++) rotated[i] = queries[i] * scale;
    }
}

/* --------------------------------------------------------------------------------------------- attention
 *
 * For each query: scores over positions 0..its own, softmax, and the sum of the values weighted by it. The query heads
 * that share a key/value head (grouped-query attention, Ainslie et al. 2023) go together, and so do neighbouring tokens.
 * The positions come in chunks; what a query gets of each is merged in ascending order. A single block of tokens far into
 * a context has its chunks shared out to the threads and merged afterwards, several blocks go each through its chunks:
 * the same operations.
 */

typedef struct attention_work {
    forward_cpu *f;
    size_t group;      /* query heads of a key/value head */
    uint32_t n_chunks; /* up to the last token */
    uint32_t n_blocks; /* of tokens */
} attention_work;

/* How many positions of a chunk each query of some tokens sees. */
static void set_visible(const attention_work *work, size_t first_token, size_t n_tokens, uint32_t chunk,
                        uint32_t *n_visible) {
    const uint32_t first = chunk * KV_CHUNK;
    for (size_t t = 0; t < n_tokens; t++) {
        const uint32_t position = work->f->positions[first_token + t];
        const uint32_t n = position < first ? 0 : position - first < KV_CHUNK ? position - first + 1 : KV_CHUNK;
        for (size_t g = 0; g < work->group; g++) n_visible[t * work->group + g] = n;
    }
}

static void finish_query(const attention_work *work, uint32_t kv_head, size_t query, const attention_part *part,
                         const float *values) {
    const forward_cpu *f = work->f;
    const model_config *c = f->config;
    const size_t token = query / work->group, head = kv_head * work->group + query % work->group;
    float *out = f->attended.floats + (token * c->n_heads + head) * c->value_length;
    const float inverse = 1 / part->sum;
    for (size_t i = 0; i < c->value_length; i++) out[i] = values[i] * inverse;
}

/* One key/value head and one block of tokens; the last blocks, which see most, come first. */
static void attention_item(void *argument, size_t item, uint32_t thread) {
    const attention_work *work = argument;
    const forward_cpu *f = work->f;
    const model_config *c = f->config;
    const uint32_t kv_head = (uint32_t)(item % c->n_kv_heads);
    const size_t first = (work->n_blocks - 1 - item / c->n_kv_heads) * attention_tokens(c);
    const size_t n_tokens = f->count - first < attention_tokens(c) ? f->count - first : attention_tokens(c);
    const size_t n_queries = n_tokens * work->group, n = kv_padded(c->value_length);
    const float *queries = f->rotated + (kv_head * (size_t)f->count + first) * work->group * c->key_length;
    const attention_room room = attention_room_in(c, thread_scratch(f, thread));

    for (uint32_t i = 0; i <= f->positions[first + n_tokens - 1] / KV_CHUNK; i++) {
        const kv_chunk chunk = kv_cache_chunk(&f->kv, f->layer, kv_head, i);
        set_visible(work, first, n_tokens, i, room.n_visible);
        f->kernels->attend(&chunk, queries, room.n_visible, n_queries, room.parts[i > 0], room.values[i > 0]);
        for (size_t q = 0; i > 0 && q < n_queries; q++)
            if (room.n_visible[q] > 0)
                f->kernels->merge(&room.parts[0][q], room.values[0] + q * n, &room.parts[1][q], room.values[1] + q * n,
                                  n);
    }
    for (size_t q = 0; q < n_queries; q++)
        finish_query(work, kv_head, first * work->group + q, &room.parts[0][q], room.values[0] + q * n);
}

/* One key/value head and one chunk, for all tokens. */
static void attention_chunk_item(void *argument, size_t item, uint32_t thread) {
    const attention_work *work = argument;
    const forward_cpu *f = work->f;
    const model_config *c = f->config;
    const uint32_t kv_head = (uint32_t)(item / work->n_chunks), i = (uint32_t)(item % work->n_chunks);
    const kv_chunk chunk = kv_cache_chunk(&f->kv, f->layer, kv_head, i);
    const size_t n_queries = f->count * work->group;
    uint32_t *n_visible = attention_room_in(c, thread_scratch(f, thread)).n_visible;
    set_visible(work, 0, f->count, i, n_visible);
    f->kernels->attend(&chunk, f->rotated + kv_head * n_queries * c->key_length, n_visible, n_queries,
                       f->parts + item * n_queries, f->part_values + item * n_queries * kv_padded(c->value_length));
}

/* One query of a key/value head: the chunks that it sees. */
static void merge_item(void *argument, size_t item, uint32_t thread) {
    (void)thread;
    const attention_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n_queries = f->count * work->group, kv_head = item / n_queries, q = item % n_queries;
    const size_t first = kv_head * work->n_chunks * n_queries + q, n = kv_padded(f->config->value_length);
    const uint32_t last_chunk = f->positions[q / work->group] / KV_CHUNK;
    for (uint32_t i = 1; i <= last_chunk; i++) {
        const size_t other = first + i * n_queries;
        f->kernels->merge(&f->parts[first], f->part_values + first * n, &f->parts[other], f->part_values + other * n,
                          n);
    }
    finish_query(work, (uint32_t)kv_head, q, &f->parts[first], f->part_values + first * n);
}

static void attend(forward_cpu *f) {
    const model_config *c = f->config;
    const uint32_t n_positions = f->positions[f->count - 1] + 1;
    const uint32_t tokens = attention_tokens(c);
    attention_work work = {.f = f,
                           .group = c->n_heads / c->n_kv_heads,
                           .n_chunks = kv_chunks(n_positions),
                           .n_blocks = (f->count + tokens - 1) / tokens};
    const uint64_t n_queries = (uint64_t)f->count * c->n_heads;
    const uint64_t cost = n_queries * n_positions * (c->key_length + c->value_length);
    if (work.n_blocks > 1 || work.n_chunks == 1) {
        run_step(f, (size_t)c->n_kv_heads * work.n_blocks, cost, attention_item, &work);
    } else {
        run_step(f, (size_t)c->n_kv_heads * work.n_chunks, cost, attention_chunk_item, &work);
        run_step(f, n_queries, n_queries * work.n_chunks * c->value_length, merge_item, &work);
    }
}

/* ---------------------------------------------------------------------------------------------- the road */

static void angles_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = argument;
    const size_t at = b * f->rope.n_pairs;
    rope_angles(&f->rope, f->positions[b], f->rope_cos + at, f->rope_sin + at);
}

void forward_cpu_begin(forward_cpu *f, const uint32_t *positions, uint32_t count, bool only_last) {
    const uint64_t cost_of_angle = 64;
    f->positions = positions;
    f->count = count;
    f->only_last = only_last;
    f->stopped = false;
    run_items(f, count, cost_of_angle * count * f->rope.n_pairs, angles_item, f);
}

static void embed_item(void *argument, size_t b, uint32_t thread) {
    const token_work *work = argument;
    const forward_cpu *f = work->f;
    const matrix *table = &f->weights->token_embd;
    const uint32_t token = (uint32_t)work->tokens[b];
    const void *row = (const unsigned char *)table->data + token * table->row_bytes;
    if (table->interleaved) {
        interleaved_row(table, token, thread_scratch(f, thread));
        row = thread_scratch(f, thread);
    }
    f->kernels->dequantize[table->type](row, work->x + b * table->n_columns, table->n_columns);
}

void forward_cpu_embed(forward_cpu *f, const int32_t *tokens, float *x) {
    token_work work = {.f = f, .x = x, .tokens = tokens};
    run_items(f, f->count, (uint64_t)f->count * f->config->n_embd, embed_item, &work);
}

/* From here on the batch is its last token. */
static void keep_last_token(forward_cpu *f, float *x) {
    const model_config *c = f->config;
    const size_t last = f->count - 1, row = c->n_heads / c->n_kv_heads * (size_t)c->key_length;
    memmove(x, x + last * c->n_embd, c->n_embd * sizeof *x);
    for (size_t kv_head = 0; kv_head < c->n_kv_heads; kv_head++)
        memmove(f->rotated + kv_head * row, f->rotated + (kv_head * f->count + last) * row, row * sizeof *f->rotated);
    f->positions += last;
    f->count = 1;
}

static void attention_block(forward_cpu *f, float *x, bool last_layer) {
    const model_config *c = f->config;
    const layer_weights *w = &f->weights->layers[f->layer];
    token_work work = {.f = f, .x = x, .norm = w->attn_norm};
    product_work qkv = {.products = {{&w->attn_q, w->attn_q_bias, f->queries},
                                     {&w->attn_k, w->attn_k_bias, f->keys},
                                     {&w->attn_v, w->attn_v_bias, f->values}},
                        .n_products = 3};
    work.quantize = quantizes(f, &w->attn_q) || quantizes(f, &w->attn_k) || quantizes(f, &w->attn_v);
    run_token_step(&work, c->n_embd, norm_item);
    run_products(f, &f->normed, f->count, &qkv, product_item);
    run_token_step(&work, 4 * (uint64_t)c->n_heads * c->key_length, rotate_and_store_item);
    if (last_layer && f->only_last) keep_last_token(f, x);
    attend(f);
    if (quantizes(f, &w->attn_output)) run_token_step(&work, f->attended.n_columns, quantize_attended_item);
    product_work output = {
        .products = {{&w->attn_output, w->attn_output_bias, f->projected}}, .n_products = 1, .sum = x};
    run_products(f, &f->attended, f->count, &output, product_item);
}

static void feed_forward_block(forward_cpu *f, float *x) {
    const layer_weights *w = &f->weights->layers[f->layer];
    token_work work = {.f = f, .x = x, .norm = w->ffn_norm};
    work.quantize = quantizes(f, &w->ffn_gate) || quantizes(f, &w->ffn_up);
    run_token_step(&work, f->config->n_embd, norm_item);
    product_work gated = {.products = {{&w->ffn_gate, NULL, f->gate.floats}, {&w->ffn_up, NULL, f->up}},
                          .n_products = 2,
                          .quantize = quantizes(f, &w->ffn_down)};
    run_products(f, &f->normed, f->count, &gated, gated_item);
    product_work down = {.products = {{&w->ffn_down, NULL, f->projected}}, .n_products = 1, .sum = x};
    run_products(f, &f->gate, f->count, &down, product_item);
}

bool forward_cpu_layers(forward_cpu *f, float *x, uint32_t first_layer, uint32_t end_layer) {
    for (f->layer = first_layer; f->layer < end_layer && !f->stopped; f->layer++) {
        attention_block(f, x, f->layer + 1 == f->config->n_layers);
        feed_forward_block(f, x);
    }
    return !f->stopped;
}

void forward_cpu_output(forward_cpu *f, const float *x, uint32_t n_rows, float *logits) {
    const matrix *w = &f->weights->output;
    const size_t n_embd = f->config->n_embd;
    for (size_t b = 0; b < n_rows; b++) {
        f->kernels->rms_norm(x + b * n_embd, f->weights->output_norm, f->config->rms_norm_epsilon, n_embd,
                             f->normed.floats + b * n_embd);
        if (quantizes(f, w)) quantize_vector(f, &f->normed, b);
    }
    f->layer = f->config->n_layers;
    product_work work = {.products = {{w, NULL, logits}}, .n_products = 1};
    run_products(f, &f->normed, n_rows, &work, product_item);
}
