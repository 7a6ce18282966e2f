/* The transformer in the order of its steps: memory, matrix products, steps that treat each token on its own, attention,
 * and at the end the road through them all. Every loop over threads is a thread_pool_run; every sum is a kernel's. */
#include "cpu/forward_cpu.h"

#include "base/checked.h"
#include "base/error.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ memory */

/* One list of the buffers serves planning and allocation, so the two cannot disagree. */
typedef struct buffer {
    float **slot;
    uint64_t rows;
    uint64_t floats_per_row;
} buffer;

#define N_BUFFERS 11

/* A thread needs the most of: the rows of one matrix multiplication; one head's scores with one key or value. */
static size_t scratch_floats(const model_config *c, const cpu_kernels *kernels, uint32_t n_ctx) {
    const uint32_t widths[] = {c->n_embd, c->n_ff, c->n_heads * c->value_length};
    size_t most = 0;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        size_t needed = kernels->matmul_scratch_floats(widths[i]);
        if (needed > most) most = needed;
    }
    size_t group = c->n_heads / c->n_kv_heads;
    size_t attention = group * n_ctx + (c->key_length > c->value_length ? c->key_length : c->value_length);
    return most > attention ? most : attention;
}

static void list_buffers(forward_cpu *f, const model_config *c, uint32_t n_batch, uint32_t n_threads,
                         buffer buffers[N_BUFFERS]) {
    const uint64_t queries = (uint64_t)c->n_heads * c->key_length, keys = (uint64_t)c->n_kv_heads * c->key_length;
    const uint64_t values = (uint64_t)c->n_kv_heads * c->value_length;
    const uint64_t attended = (uint64_t)c->n_heads * c->value_length;
    const buffer list[N_BUFFERS] = {
        {&f->normed, n_batch, c->n_embd},
        {&f->queries, n_batch, queries},
        {&f->keys, n_batch, keys},
        {&f->values, n_batch, values},
        {&f->attended, n_batch, attended},
        {&f->projected, n_batch, c->n_embd},
        {&f->gate, n_batch, c->n_ff},
        {&f->up, n_batch, c->n_ff},
        {&f->rope_cos, n_batch, c->rope_dimension_count / 2},
        {&f->rope_sin, n_batch, c->rope_dimension_count / 2},
        {&f->scratch, n_threads, f->scratch_floats},
    };
    memcpy(buffers, list, sizeof list);
}

uint64_t forward_cpu_scratch_bytes(const model_config *config, const cpu_kernels *kernels, uint32_t n_ctx,
                                   uint32_t n_batch, uint32_t n_threads) {
    forward_cpu f = {.scratch_floats = scratch_floats(config, kernels, n_ctx)};
    buffer buffers[N_BUFFERS];
    list_buffers(&f, config, n_batch, n_threads, buffers);
    uint64_t sum = 0;
    for (size_t i = 0; i < N_BUFFERS; i++) {
        uint64_t bytes;
        if (!checked_mul(buffers[i].rows, buffers[i].floats_per_row, &bytes) ||
            !checked_mul(bytes, sizeof(float), &bytes) || !checked_add(sum, bytes, &sum))
            return UINT64_MAX;
    }
    return sum;
}

cllm_status forward_cpu_create(const model_config *config, const model_weights *weights, const cpu_kernels *kernels,
                               thread_pool *pool, const kv_cache *kv, uint32_t n_batch, arena *a, forward_cpu *out,
                               cllm_error *err) {
    *out = (forward_cpu){.config = config,
                         .weights = weights,
                         .kernels = kernels,
                         .pool = pool,
                         .kv = *kv,
                         .scratch_floats = scratch_floats(config, kernels, kv->n_ctx)};
    buffer buffers[N_BUFFERS];
    list_buffers(out, config, n_batch, thread_pool_size(pool), buffers);
    bool complete = true;
    for (size_t i = 0; i < N_BUFFERS; i++) {
        *buffers[i].slot = arena_alloc(a, buffers[i].rows * buffers[i].floats_per_row, sizeof(float));
        complete = complete && *buffers[i].slot;
    }
    out->rope.frequencies = arena_alloc(a, config->rope_dimension_count / 2, sizeof(double));
    if (!complete || !out->rope.frequencies)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a batch of %u tokens; use a smaller batch", n_batch);
    rope_prepare(config, weights->rope_factors, &out->rope);
    return CLLM_OK;
}

static float *thread_scratch(const forward_cpu *f, uint32_t thread) { return f->scratch + thread * f->scratch_floats; }

/* One step of the batch over all threads, unless it was stopped. */
static void run_step(forward_cpu *f, size_t n_items, thread_task task, void *work) {
    f->stopped = f->stopped || (f->keep_going && !f->keep_going(f->user));
    if (!f->stopped) thread_pool_run(f->pool, n_items, task, work);
}

/* ------------------------------------------------------------------------------- y = W x + b, over all threads */

#define ROWS_PER_ITEM 32 /* of a matrix: enough to outweigh handing out an item, few enough to share evenly */

typedef struct matmul_work {
    const forward_cpu *f;
    const matrix *w;
    const float *x;    /* [count][n_columns] */
    const float *bias; /* [n_rows] or NULL */
    uint32_t count;
    float *out; /* [count][n_rows] */
} matmul_work;

static void matmul_item(void *argument, size_t item, uint32_t thread) {
    const matmul_work *work = argument;
    const matrix *w = work->w;
    uint32_t first = (uint32_t)item * ROWS_PER_ITEM;
    uint32_t end = w->n_rows - first < ROWS_PER_ITEM ? w->n_rows : first + ROWS_PER_ITEM;
    work->f->kernels->matmul(w, first, end, work->x, w->n_columns, work->count, work->out, w->n_rows,
                             thread_scratch(work->f, thread));
    for (uint32_t b = 0; work->bias && b < work->count; b++)
        for (uint32_t r = first; r < end; r++) work->out[(size_t)b * w->n_rows + r] += work->bias[r];
}

static void matmul(forward_cpu *f, const matrix *w, const float *bias, const float *x, uint32_t count, float *out) {
    matmul_work work = {.f = f, .w = w, .x = x, .bias = bias, .count = count, .out = out};
    run_step(f, (w->n_rows + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM, matmul_item, &work);
}

/* ------------------------------------------------------------------- steps that treat each token on its own */

typedef struct token_work {
    forward_cpu *f;
    float *x;          /* [count][n_embd] */
    const float *norm; /* [n_embd] */
} token_work;

static void norm_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const token_work *work = argument;
    const model_config *c = work->f->config;
    work->f->kernels->rms_norm(work->x + b * c->n_embd, work->norm, c->rms_norm_epsilon, c->n_embd,
                               work->f->normed + b * c->n_embd);
}

/* x += projected */
static void residual_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const token_work *work = argument;
    const size_t n_embd = work->f->config->n_embd;
    work->f->kernels->axpy(1.0f, work->f->projected + b * n_embd, work->x + b * n_embd, n_embd);
}

static void swiglu_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const token_work *work = argument;
    const size_t n_ff = work->f->config->n_ff;
    work->f->kernels->swiglu(work->f->gate + b * n_ff, work->f->up + b * n_ff, n_ff);
}

/* Rotate a token's queries and keys to its position, then put its keys and values into the cache. */
static void rotate_and_store_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const token_work *work = argument;
    forward_cpu *f = work->f;
    const model_config *c = f->config;
    const cpu_kernels *kernels = f->kernels;
    const float *cos = f->rope_cos + b * f->rope.n_pairs, *sin = f->rope_sin + b * f->rope.n_pairs;
    float *queries = f->queries + b * c->n_heads * c->key_length;
    float *keys = f->keys + b * c->n_kv_heads * c->key_length;
    const float *values = f->values + b * c->n_kv_heads * c->value_length;

    for (uint32_t head = 0; head < c->n_heads; head++)
        kernels->rope(queries + (size_t)head * c->key_length, cos, sin, f->rope.n_pairs);
    for (uint32_t head = 0; head < c->n_kv_heads; head++) {
        float *key = keys + (size_t)head * c->key_length;
        const float *value = values + (size_t)head * c->value_length;
        void *stored_key = kv_cache_key(&f->kv, f->layer, head, f->positions[b]);
        void *stored_value = kv_cache_value(&f->kv, f->layer, head, f->positions[b]);
        kernels->rope(key, cos, sin, f->rope.n_pairs);
        if (f->kv.type == CLLM_KV_F16) {
            kernels->f32_to_f16(key, stored_key, c->key_length);
            kernels->f32_to_f16(value, stored_value, c->value_length);
        } else {
            memcpy(stored_key, key, c->key_length * sizeof *key);
            memcpy(stored_value, value, c->value_length * sizeof *value);
        }
    }
}

/* --------------------------------------------------------------------------------------------- attention */

/* A row of the cache as floats: the stored ones, or converted into `room`. */
static const float *cached_floats(const forward_cpu *f, const void *stored, size_t n, float *room) {
    if (f->kv.type == CLLM_KV_F32) return stored;
    f->kernels->f16_to_f32(stored, room, n);
    return room;
}

/* One token and one key/value head with all the query heads that share it (grouped-query attention, Ainslie et al.
 * 2023). For each query: scores over positions 0..its own, softmax, and the sum of the values weighted by it. */
static void attention_item(void *argument, size_t item, uint32_t thread) {
    const token_work *work = argument;
    const forward_cpu *f = work->f;
    const model_config *c = f->config;
    const cpu_kernels *kernels = f->kernels;
    const size_t b = item / c->n_kv_heads;
    const uint32_t kv_head = (uint32_t)(item % c->n_kv_heads);
    const uint32_t group = c->n_heads / c->n_kv_heads, first_head = kv_head * group;
    const uint32_t n_positions = f->positions[b] + 1;
    const float scale = 1.0f / sqrtf((float)c->key_length);
    const float *queries = f->queries + (b * c->n_heads + first_head) * c->key_length;
    float *attended = f->attended + (b * c->n_heads + first_head) * c->value_length;
    float *room = thread_scratch(f, thread); /* [max(key_length, value_length)] */
    float *scores = room + (c->key_length > c->value_length ? c->key_length : c->value_length); /* [group][n_ctx] */

    for (uint32_t position = 0; position < n_positions; position++) {
        const void *stored = kv_cache_key(&f->kv, f->layer, kv_head, position);
        const float *key = cached_floats(f, stored, c->key_length, room);
        for (uint32_t q = 0; q < group; q++)
            scores[(size_t)q * f->kv.n_ctx + position] =
                scale * kernels->dot(queries + (size_t)q * c->key_length, key, c->key_length);
    }
    for (uint32_t q = 0; q < group; q++) kernels->softmax(scores + (size_t)q * f->kv.n_ctx, n_positions);

    memset(attended, 0, (size_t)group * c->value_length * sizeof *attended);
    for (uint32_t position = 0; position < n_positions; position++) {
        const void *stored = kv_cache_value(&f->kv, f->layer, kv_head, position);
        const float *value = cached_floats(f, stored, c->value_length, room);
        for (uint32_t q = 0; q < group; q++)
            kernels->axpy(scores[(size_t)q * f->kv.n_ctx + position], value, attended + (size_t)q * c->value_length,
                          c->value_length);
    }
}

/* ---------------------------------------------------------------------------------------------- the road */

void forward_cpu_begin(forward_cpu *f, const uint32_t *positions, uint32_t count) {
    f->positions = positions;
    f->count = count;
    f->stopped = false;
    for (uint32_t b = 0; b < count; b++) {
        size_t at = (size_t)b * f->rope.n_pairs;
        rope_angles(&f->rope, positions[b], f->rope_cos + at, f->rope_sin + at);
    }
}

void forward_cpu_embed(forward_cpu *f, const int32_t *tokens, float *x) {
    const matrix *table = &f->weights->token_embd;
    for (uint32_t b = 0; b < f->count; b++) {
        const unsigned char *row = (const unsigned char *)table->data + (size_t)tokens[b] * table->row_bytes;
        f->kernels->dequantize[table->type](row, x + (size_t)b * table->n_columns, table->n_columns);
    }
}

static void attention_block(forward_cpu *f, token_work *work) {
    const layer_weights *w = &f->weights->layers[f->layer];
    work->norm = w->attn_norm;
    run_step(f, f->count, norm_item, work);
    matmul(f, &w->attn_q, w->attn_q_bias, f->normed, f->count, f->queries);
    matmul(f, &w->attn_k, w->attn_k_bias, f->normed, f->count, f->keys);
    matmul(f, &w->attn_v, w->attn_v_bias, f->normed, f->count, f->values);
    run_step(f, f->count, rotate_and_store_item, work);
    run_step(f, (size_t)f->count * f->config->n_kv_heads, attention_item, work);
    matmul(f, &w->attn_output, w->attn_output_bias, f->attended, f->count, f->projected);
    run_step(f, f->count, residual_item, work);
}

static void feed_forward_block(forward_cpu *f, token_work *work) {
    const layer_weights *w = &f->weights->layers[f->layer];
    work->norm = w->ffn_norm;
    run_step(f, f->count, norm_item, work);
    matmul(f, &w->ffn_gate, NULL, f->normed, f->count, f->gate);
    matmul(f, &w->ffn_up, NULL, f->normed, f->count, f->up);
    run_step(f, f->count, swiglu_item, work);
    matmul(f, &w->ffn_down, NULL, f->gate, f->count, f->projected);
    run_step(f, f->count, residual_item, work);
}

bool forward_cpu_layers(forward_cpu *f, float *x, uint32_t first_layer, uint32_t end_layer) {
    token_work work = {.f = f, .x = x};
    for (f->layer = first_layer; f->layer < end_layer && !f->stopped; f->layer++) {
        attention_block(f, &work);
        feed_forward_block(f, &work);
    }
    return !f->stopped;
}

void forward_cpu_output(forward_cpu *f, const float *x, uint32_t n_rows, float *logits) {
    const size_t n_embd = f->config->n_embd;
    for (uint32_t b = 0; b < n_rows; b++)
        f->kernels->rms_norm(x + b * n_embd, f->weights->output_norm, f->config->rms_norm_epsilon, n_embd,
                             f->normed + b * n_embd);
    f->layer = f->config->n_layers;
    matmul(f, &f->weights->output, NULL, f->normed, n_rows, logits);
}
