/* Sparse attention (DeepSeek-AI 2025): chooses which of the earlier positions a token sees.
 *
 * A layer's indexer is a small attention without values. It has one key for each position, stored in the pages after
 * the layer's other keys, and several queries for each token, made from the compressed queries of latent attention. A
 * position's score is the sum over heads of weight * max(0, query . key); the weights are another product of the token.
 * The token sees the top_k positions with the largest scores. Layers without an indexer use the choice of the last
 * layer before them that has one. A token at a position below top_k sees everything.
 *
 * Before it: the first half of attention.c. After it: the second half, which gathers the chosen positions. */
#include "cpu/steps.h"

#include <math.h>
#include <string.h>

#define KEY_EPSILON 1e-6f /* of the norm of keys; files do not have this number */

static bool some_choose(const forward_cpu *f) {
    bool some = false;
    for (size_t b = 0; b < f->all.count; b++) some = some || sees_chosen(f, &f->all, b);
    return some;
}

/* Apply the norm and RoPE to a token's key and store it, and rotate its queries. */
static void index_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const layer_config *l = layer_of(f);
    const norm_weights *norm = &weights_of(f)->indexer_k_norm;
    const size_t n = l->index_key_length, n_heads = f->model.config->n_index_heads;
    const rope_pairing pairing = f->model.config->traits->index_rope;
    float *key = f->buffers.index_keys + b * n;
    f->model.kernels->layer_norm(key, norm->weight, KEY_EPSILON, n, key);
    f->model.kernels->add(key, norm->bias, n);
    rotate(f, pairing, b, key);
    store_in_cache(f, l->n_kv_heads, b, key, NULL);
    if (!sees_chosen(f, &f->all, b)) return;
    for (size_t head = 0; head < n_heads; head++)
        rotate(f, pairing, b, f->buffers.index_queries + (b * n_heads + head) * n);
    scale_floats(f->buffers.index_weights + b * n_heads, 1 / sqrtf((float)(n_heads * n)), n_heads);
}

void run_indexer(forward_cpu *f) {
    const layer_config *l = layer_of(f);
    const layer_weights *w = weights_of(f);
    const uint32_t n = f->all.count;
    const bool some = some_choose(f);
    product products[] = {product_of(&w->indexer_attn_k, 0, &f->buffers.normed, 0, n, f->buffers.index_keys),
                          product_of(&w->indexer_proj, 0, &f->buffers.normed, 0, n, f->buffers.index_weights)};
    product queries = product_of(&w->indexer_attn_q_b, 0, &f->buffers.compressed, 0, n, f->buffers.index_queries);
    row_work work = {.f = f, .n_rows = n};
    run_products(f, products, some ? 2 : 1, NULL);
    if (some) run_products(f, &queries, 1, NULL);
    run_row_step(&work, 4 * (uint64_t)(some ? f->model.config->n_index_heads + 1 : 1) * l->index_key_length,
                 index_item);
}

void keep_choice(forward_cpu *f) {
    const layer_config *l = layer_of(f);
    const size_t n_heads = f->model.config->n_index_heads, n_chosen = most_chosen(l->top_k, f->buffers.n_chunks);
    if (n_chosen == 0) return;
    if (l->index_key_length > 0) {
        keep_rows(f, f->buffers.index_queries, n_heads * l->index_key_length);
        keep_rows(f, f->buffers.index_weights, n_heads);
    } else {
        keep_rows(f, (float *)(void *)f->buffers.seen, n_chosen); /* elements have the same size as floats, and are only
                                                                     moved */
    }
}

/* -------------------------------------------------------------------------------------- choosing positions */

/* Some rows whose choices are made together. */
typedef struct choice_work {
    const forward_cpu *f;
    const forward_rows *rows;
    size_t first_row;
    uint32_t n_chunks; /* most chunks that one of them chooses from */
} choice_work;

static float *scores_of(const choice_work *work, size_t row) {
    return work->f->buffers.index_scores + (row - work->first_row) * work->f->buffers.n_chunks * KV_CHUNK;
}

/* One row and one chunk. */
static void score_item(void *argument, size_t item, uint32_t thread) {
    (void)thread;
    const choice_work *work = argument;
    const forward_cpu *f = work->f;
    const layer_config *l = layer_of(f);
    const size_t row = work->first_row + item / work->n_chunks, n_heads = f->model.config->n_index_heads;
    const uint32_t chunk = (uint32_t)(item % work->n_chunks), position = work->rows->positions[row];
    if (!sees_chosen(f, work->rows, row) || chunk > position / KV_CHUNK) return;
    const uint32_t left = position + 1 - chunk * KV_CHUNK;
    const kv_table *table = work->rows->spans[work->rows->span_of[row]].table;
    const kv_chunk keys = kv_store_chunk(f->model.store, table, f->layer, l->n_kv_heads, chunk);
    f->model.kernels->index(&keys, f->buffers.index_queries + row * n_heads * l->index_key_length,
                            f->buffers.index_weights + row * n_heads, n_heads, left < KV_CHUNK ? left : KV_CHUNK,
                            scores_of(work, row) + (size_t)chunk * KV_CHUNK);
}

/* Bits whose order is that of the floats. */
static uint32_t order_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* Find the k-th largest score, one byte at a time, from the highest byte on. least: its bytes that are found already,
 * as order_of gives them; known: a mask of these bytes; left: how many of the scores that have these bytes are
 * chosen. */
void choose_largest(const float *scores, uint32_t n, uint32_t k, uint32_t *chosen) {
    uint32_t least = 0, known = 0, left = k;
    for (int shift = 24; shift >= 0; shift -= 8) {
        uint32_t counts[256] = {0}, byte = 255;
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t order = order_of(scores[i]);
            counts[order >> shift & 255] += (order & known) == least;
        }
        while (counts[byte] < left) left -= counts[byte--];
        least |= byte << shift;
        known |= 255u << shift;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t order = order_of(scores[i]);
        if (order < least || (order == least && left == 0)) continue;
        left -= order == least;
        *chosen++ = i;
    }
}

static void choose_item(void *argument, size_t item, uint32_t thread) {
    (void)thread;
    const choice_work *work = argument;
    const size_t row = work->first_row + item;
    const uint32_t top_k = layer_of(work->f)->top_k;
    if (!sees_chosen(work->f, work->rows, row)) return;
    choose_largest(scores_of(work, row), work->rows->positions[row] + 1, top_k, work->f->buffers.seen + row * top_k);
}

void choose_positions(forward_cpu *f, const forward_rows *rows) {
    const uint64_t per_position = (uint64_t)f->model.config->n_index_heads * layer_of(f)->index_key_length;
    const uint64_t cost_of_choice = 8; /* of a position */
    for (uint32_t first = 0; first < rows->count; first += INDEX_ROWS) {
        const uint32_t left = rows->count - first, n = left < INDEX_ROWS ? left : INDEX_ROWS;
        choice_work work = {.f = f, .rows = rows, .first_row = first};
        for (uint32_t row = first; row < first + n; row++) {
            const uint32_t n_chunks = rows->positions[row] / KV_CHUNK + 1;
            if (sees_chosen(f, rows, row) && n_chunks > work.n_chunks) work.n_chunks = n_chunks;
        }
        if (work.n_chunks == 0) continue;
        const size_t n_items = (size_t)n * work.n_chunks;
        run_step(f, n_items, n_items * KV_CHUNK * per_position, score_item, &work);
        run_step(f, n, n_items * KV_CHUNK * cost_of_choice, choose_item, &work);
    }
}
