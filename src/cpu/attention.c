/* The half of a layer in which tokens influence each other: queries, keys and values; the cache; attention.
 *
 * Before it: the layer's x. After it: feed_forward.c. A layer may have recurrent.c in its place, or beside it.
 *
 * For each query: scores of the positions that it sees, their softmax, and the sum of the values weighted by it. The
 * query heads that share a key/value head (grouped-query attention, Ainslie et al. 2023) are processed together, and so
 * are neighbouring tokens. Positions come in chunks; a query's results for the chunks are merged in ascending order.
 * Usually an item, the work that a thread takes at a time, is a block of tokens, which goes through its chunks one
 * after another. If that is too much for one item, as for a token far into a context, each chunk becomes an item, and
 * the results are merged afterwards. The operations are the same.
 *
 * Multi-head latent attention (DeepSeek-AI 2024) stores one compressed vector c for each position and all heads. Keys
 * and values would be the products k_b c and v_b c. Instead, queries are multiplied by the transpose of k_b before the
 * scores, and the sums by v_b afterwards. For attention this is one key/value head, whose values are the first part of
 * its keys. */
#include "cpu/steps.h"

#include "base/exponential.h"

#include <math.h>
#include <string.h>

/* -------------------------------------------------------------------------------- queries, keys and values */

/* Up to KV_SCALE_BLOCK elements in the type of the cache. */
typedef union kv_elements {
    float floats[KV_SCALE_BLOCK];
    uint16_t halfs[KV_SCALE_BLOCK];
    int8_t bytes[KV_SCALE_BLOCK];
} kv_elements;
_Static_assert((int)KV_SCALE_BLOCK == (int)ACTIVATION_BLOCK, "one function quantizes both");

/* Convert x to the type of the cache. Returns the scale, which only q8_0 has. */
static float to_kv_type(const forward_cpu *f, const float *x, size_t n, kv_elements *out) {
    if (f->model.store->type == CLLM_KV_F32) {
        memcpy(out->floats, x, n * sizeof *x);
    } else if (f->model.store->type == CLLM_KV_F16) {
        f->model.kernels->f32_to_f16(x, out->halfs, n);
    } else {
        float padded[KV_SCALE_BLOCK] = {0};
        activation_block block;
        memcpy(padded, x, n * sizeof *x);
        f->model.kernels->quantize(padded, KV_SCALE_BLOCK, out->bytes, &block);
        return block.scale;
    }
    return 1;
}

static kv_chunk chunk_of(const forward_cpu *f, const forward_span *span, uint32_t kv_head, uint32_t chunk) {
    return kv_store_chunk(f->model.store, span->table, f->layer, kv_head, chunk);
}

void store_in_cache(const forward_cpu *f, uint32_t kv_head, size_t b, const float *key, const float *value) {
    const uint32_t position = f->all.positions[b];
    const forward_span *span = &f->all.spans[f->all.span_of[b]];
    if (b - span->first_row < span->n_replayed) return; /* its page may be shared with others */
    const kv_chunk chunk = chunk_of(f, span, kv_head, position / KV_CHUNK);
    kv_elements elements;
    for (size_t i = 0; i < chunk.key_length; i += KV_SCALE_BLOCK) {
        const size_t n = chunk.key_length - i < KV_SCALE_BLOCK ? chunk.key_length - i : KV_SCALE_BLOCK;
        const float scale = to_kv_type(f, key + i, n, &elements);
        kv_chunk_put_key(&chunk, position % KV_CHUNK, i, n, &elements, scale);
    }
    for (size_t i = 0; i < chunk.value_length; i += KV_SCALE_BLOCK) {
        const size_t n = chunk.value_length - i < KV_SCALE_BLOCK ? chunk.value_length - i : KV_SCALE_BLOCK;
        const float scale = to_kv_type(f, value + i, n, &elements);
        kv_chunk_put_value(&chunk, position % KV_CHUNK, i, n, &elements, scale);
    }
}

void rotate(const forward_cpu *f, rope_pairing pairing, size_t b, float *x) {
    const layer_config *l = layer_of(f);
    const rope_table *rope = &f->model.rope[l->windowed];
    const size_t at = b * rope->n_pairs;
    if (l->rope_dimension_count == 0) return;
    if (pairing == ROPE_NEIGHBOURS)
        f->model.kernels->rope(x, f->buffers.rope_cos[l->windowed] + at, f->buffers.rope_sin[l->windowed] + at,
                               rope->n_pairs);
    else
        f->model.kernels->rope_halves(x, f->buffers.rope_cos[l->windowed] + at, f->buffers.rope_sin[l->windowed] + at,
                                      rope->n_pairs);
}

/* The factor of a token's queries. */
static float query_scale(const forward_cpu *f, size_t b) {
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    const bool unrotated_only = c->traits->temperature_scale > 0;
    if (c->attention_temperature == 0 || (unrotated_only && l->rope_dimension_count > 0)) return l->attention_scale;
    const uint32_t lengths = (f->all.positions[b] + unrotated_only) / c->attention_temperature_length;
    return l->attention_scale * (1 + c->attention_temperature * logf((float)lengths + 1));
}

/* Norms of queries or keys, x: [n_heads][key_length] of one token. */
static void normalize_heads(const forward_cpu *f, const norm_weights *norm, float *x, size_t n_heads) {
    const qk_norm_kind kind = f->model.config->traits->qk_norm;
    const size_t n_norms = kind == QK_NORM_ROW ? 1 : n_heads;
    const size_t length = n_heads / n_norms * layer_of(f)->key_length, step = kind == QK_NORM_EACH ? length : 0;
    for (size_t i = 0; norm->weight && i < n_norms; i++) {
        const norm_weights own = {norm->weight + i * step, norm->bias ? norm->bias + i * step : NULL};
        normalize(f, &own, x + i * length, length, x + i * length);
    }
}

static void clamp_floats(float *x, float limit, size_t n) {
    for (size_t i = 0; limit > 0 && i < n; i++) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}

/* What is done to a token's heads before RoPE, x: [n_heads][key_length]. */
static void prepare_heads(const forward_cpu *f, const norm_weights *norm, float *x, size_t n_heads) {
    clamp_floats(x, f->model.config->projection_limit, n_heads * layer_of(f)->key_length);
    if (!f->model.config->traits->qk_norm_after_rope) normalize_heads(f, norm, x, n_heads);
}

/* Rotate a token's heads, x: [n_heads][key_length]. */
static void rotate_heads(const forward_cpu *f, size_t b, const norm_weights *norm, float *x, size_t n_heads) {
    for (size_t i = 0; i < n_heads; i++) rotate(f, f->model.config->traits->rope, b, x + i * layer_of(f)->key_length);
    if (f->model.config->traits->qk_norm_after_rope) normalize_heads(f, norm, x, n_heads);
}

static bool makes_keys(const forward_cpu *f) { return f->part != LAYER_REST && layer_of(f)->kv_layer == f->layer; }

/* Apply norm and RoPE to a token's keys, and put them and its values into the cache. */
static void store_keys_values(const forward_cpu *f, size_t b) {
    const layer_config *l = layer_of(f);
    const layer_weights *w = weights_of(f);
    float *keys = f->buffers.keys + b * l->n_kv_heads * l->key_length;
    float *values = f->buffers.values + b * l->n_kv_heads * l->value_length;
    if (l->values_are_keys) memcpy(values, keys, (size_t)l->n_kv_heads * l->value_length * sizeof *values);
    clamp_floats(values, f->model.config->projection_limit, (size_t)l->n_kv_heads * l->value_length);
    prepare_heads(f, &w->attn_k_norm, keys, l->n_kv_heads);
    for (uint32_t kv_head = 0; kv_head < l->n_kv_heads; kv_head++) {
        float *key = keys + kv_head * (size_t)l->key_length, *value = values + kv_head * (size_t)l->value_length;
        rotate_heads(f, b, &w->attn_k_norm, key, 1);
        normalize(f, &w->attn_v_norm, value, l->value_length, value);
        store_in_cache(f, kv_head, b, key, value);
    }
}

/* Apply norm and RoPE to a token's queries, scale them, and put those of a key/value head side by side for
 * attention. */
static void rotate_queries(const forward_cpu *f, size_t b) {
    const layer_config *l = layer_of(f);
    const norm_weights *norm = &weights_of(f)->attn_q_norm;
    const size_t group = l->n_heads / l->n_kv_heads;
    const float scale = query_scale(f, b);
    prepare_heads(f, norm, f->buffers.queries + b * l->n_heads * l->key_length, l->n_heads);
    for (uint32_t kv_head = 0; kv_head < l->n_kv_heads; kv_head++) {
        float *queries = f->buffers.queries + (b * l->n_kv_heads + kv_head) * group * l->key_length;
        float *rotated = f->buffers.rotated + (kv_head * (size_t)f->all.count + b) * group * l->key_length;
        rotate_heads(f, b, norm, queries, group);
        for (size_t i = 0; i < group * l->key_length; i++) rotated[i] = queries[i] * scale;
    }
}

static void rotate_and_store_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    if (makes_keys(f)) store_keys_values(f, b);
    if (f->part != LAYER_KEYS) rotate_queries(f, b);
}

/* Split the result of attn_q for a token: for each head a query, then a gate. */
static void split_gates_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const layer_config *l = layer_of(f);
    const size_t n = l->key_length;
    for (size_t row = b * l->n_heads; row < (b + 1) * l->n_heads; row++) {
        memcpy(f->buffers.queries + row * n, f->buffers.gated_queries + 2 * row * n, n * sizeof(float));
        memcpy(f->buffers.gates + row * n, f->buffers.gated_queries + (2 * row + 1) * n, n * sizeof(float));
    }
}

static void make_queries_keys_values(forward_cpu *f) {
    const layer_config *l = layer_of(f);
    const layer_weights *w = weights_of(f);
    const bool gated = f->model.config->traits->query_gate;
    const linear *const linears[] = {&w->attn_q, &w->attn_k, &w->attn_v};
    float *const outs[] = {gated ? f->buffers.gated_queries : f->buffers.queries, f->buffers.keys, f->buffers.values};
    product products[3];
    size_t n = 0;
    for (size_t i = f->part == LAYER_KEYS; i < (makes_keys(f) ? 3 : 1); i++)
        if (linears[i]->w.data) products[n++] = product_of(linears[i], 0, &f->buffers.normed, 0, f->all.count, outs[i]);
    row_work work = {.f = f, .n_rows = f->all.count};
    run_products(f, products, n, NULL);
    if (gated) run_row_step(&work, 2 * (uint64_t)l->n_heads * l->key_length, split_gates_item);
    run_row_step(&work, 4 * (uint64_t)l->n_heads * l->key_length, rotate_and_store_item);
}

/* -------------------------------------------------------------------------------------------- latent attention */

static void norm_compressed_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    forward_cpu *f = work->f;
    const size_t n = f->buffers.compressed.n_columns;
    float *x = f->buffers.compressed.floats + b * n;
    normalize(f, work->norm, x, n, x);
    if (work->quantize) quantize_vector(f, &f->buffers.compressed, b);
}

/* For a token: apply norms to the compressed keys and values, rotate its key and queries, store the key. The part of
 * its queries without RoPE goes to f->buffers.latent_queries, [n_heads][rows][plain], to be multiplied by the transpose
 * of k_b. The rotated part goes to f->buffers.rotated, after the kv_rank elements left free for that product. */
static void split_latent_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    forward_cpu *f = work->f;
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    const layer_weights *w = weights_of(f);
    const size_t n_shared = c->latent_shared_length, n_plain = c->latent_key_length - n_shared;
    const float scale = query_scale(f, b);
    float *key = f->buffers.keys + b * l->key_length;
    normalize(f, &w->attn_kv_a_norm, key, c->kv_rank, key);
    rotate(f, c->traits->rope, b, key + c->kv_rank);
    store_in_cache(f, 0, b, key, key);
    for (size_t head = 0; head < l->n_heads; head++) {
        float *query = f->buffers.queries + (b * l->n_heads + head) * c->latent_key_length;
        float *rotated = f->buffers.rotated + (b * l->n_heads + head) * l->key_length + c->kv_rank;
        const size_t row = head * f->all.count + b;
        rotate(f, c->traits->rope, b, query + n_plain);
        for (size_t i = 0; i < n_shared; i++) rotated[i] = query[n_plain + i] * scale;
        for (size_t i = 0; i < n_plain; i++) f->buffers.latent_queries.floats[row * n_plain + i] = query[i] * scale;
        if (work->quantize) quantize_vector(f, &f->buffers.latent_queries, row);
    }
}

/* Multiply each head's matrix by that head's vectors of all tokens, x: [n_heads][n_rows]. */
static void run_head_products(forward_cpu *f, const linear *l, const forward_vectors *x, uint32_t n_rows, float *out,
                              size_t out_length) {
    const uint32_t n_heads = layer_of(f)->n_heads;
    for (uint32_t head = 0; head < n_heads; head++) {
        product *p = &f->buffers.products[head];
        *p = product_of(l, head, x, (size_t)head * n_rows, n_rows, out + head * out_length);
        p->out_stride = n_heads * out_length;
    }
    run_products(f, f->buffers.products, n_heads, NULL);
}

/* The same with the transpose of each matrix; its rows are read one after another. */
static void transposed_item(void *argument, size_t head, uint32_t thread) {
    const forward_cpu *f = argument;
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    const matrix w = matrix_of(&weights_of(f)->attn_k_b_rows, (uint32_t)head);
    const float scale = weights_of(f)->attn_kv_b.scale ? *weights_of(f)->attn_kv_b.scale : 1;
    float *row = thread_scratch(f, thread);
    for (size_t b = 0; b < f->all.count; b++)
        memset(f->buffers.rotated + (b * l->n_heads + head) * l->key_length, 0, c->kv_rank * sizeof *row);
    for (size_t r = 0; r < w.n_rows; r++) {
        f->model.kernels->dequantize[w.type]((const unsigned char *)w.data + r * w.row_bytes, row, c->kv_rank);
        for (size_t b = 0; b < f->all.count; b++) {
            const float factor = scale * f->buffers.latent_queries.floats[(head * f->all.count + b) * w.n_rows + r];
            float *out = f->buffers.rotated + (b * l->n_heads + head) * l->key_length;
            for (size_t i = 0; i < c->kv_rank; i++) out[i] += factor * row[i];
        }
    }
}

static void make_latent_queries_keys(forward_cpu *f) {
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    const layer_weights *w = weights_of(f);
    const bool compressed = c->q_rank > 0;
    product first[] = {
        compressed ? product_of(&w->attn_q_a, 0, &f->buffers.normed, 0, f->all.count, f->buffers.compressed.floats)
                   : product_of(&w->attn_q, 0, &f->buffers.normed, 0, f->all.count, f->buffers.queries),
        product_of(&w->attn_kv_a_mqa, 0, &f->buffers.normed, 0, f->all.count, f->buffers.keys)};
    run_products(f, first, 2, NULL);
    if (compressed) {
        row_work norm = {.f = f,
                         .n_rows = f->all.count,
                         .norm = &w->attn_q_a_norm,
                         .quantize = reads_quantized(f, &w->attn_q_b) || reads_quantized(f, &w->indexer_attn_q_b)};
        run_row_step(&norm, c->q_rank, norm_compressed_item);
        product second = product_of(&w->attn_q_b, 0, &f->buffers.compressed, 0, f->all.count, f->buffers.queries);
        run_products(f, &second, 1, NULL);
    }
    row_work split = {.f = f, .n_rows = f->all.count, .quantize = reads_quantized(f, &w->attn_k_b)};
    run_row_step(&split, 2 * (uint64_t)l->n_heads * c->latent_key_length, split_latent_item);
    if (c->kv_b_is_whole)
        run_step(f, l->n_heads, (uint64_t)l->n_heads * w->attn_k_b_rows.n_rows * c->kv_rank * (f->all.count + 1),
                 transposed_item, f);
    else
        run_head_products(f, &w->attn_k_b, &f->buffers.latent_queries, f->all.count, f->buffers.rotated, l->key_length);
}

static void quantize_latent_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    for (size_t head = 0; head < layer_of(work->f)->n_heads; head++)
        quantize_vector(work->f, &work->f->buffers.latent_values, head * work->n_rows + b);
}

/* Turn f->buffers.latent_values, the result of attention to compressed values, into f->buffers.attended. */
static void expand_latent_values(forward_cpu *f, uint32_t n_rows) {
    const layer_weights *w = weights_of(f);
    row_work work = {.f = f, .n_rows = n_rows};
    if (reads_quantized(f, &w->attn_v_b))
        run_row_step(&work, (uint64_t)layer_of(f)->n_heads * f->model.config->kv_rank, quantize_latent_item);
    run_head_products(f, &w->attn_v_b, &f->buffers.latent_values, n_rows, f->buffers.attended.floats,
                      f->model.config->latent_value_length);
}

/* ------------------------------------------------------------------------------------------------- attention */

typedef struct attention_work {
    forward_cpu *f;
    const forward_rows *rows; /* the rows with the queries */
    size_t group;             /* query heads of a key/value head */
    uint32_t window;          /* positions that a query sees; 0: all up to its own (for an encoder all) */
    size_t n_items[ATTENTION_STEPS];
    uint64_t cost[ATTENTION_STEPS];
} attention_work;

/* The span that an item of a step belongs to. item: in, out: becomes its number within the span. */
static uint32_t span_of_item(const attention_work *work, attention_step step, size_t *item) {
    const attention_span *spans = work->f->buffers.attention_spans;
    uint32_t first = 0, end = work->rows->n_spans;
    while (end - first > 1) {
        const uint32_t middle = first + (end - first) / 2;
        if (spans[middle].first_item[step] <= *item)
            first = middle;
        else
            end = middle;
    }
    *item -= spans[first].first_item[step];
    return first;
}

/* The first position that a token sees. */
static uint32_t first_seen(const attention_work *work, size_t token) {
    const uint32_t position = work->rows->positions[token], half = work->window / 2;
    if (!layer_of(work->f)->bidirectional)
        return kv_first_seen(work->window, work->f->model.config->window_chunked, position);
    return work->window > 0 && position > half ? position - half : 0;
}

/* The last position that a token sees. With an indexer, positions are counted by rank among the chosen ones. */
static uint32_t last_seen(const attention_work *work, size_t token) {
    const uint32_t position = work->rows->positions[token], half = work->window / 2;
    if (sees_chosen(work->f, work->rows, token)) return layer_of(work->f)->top_k - 1;
    if (!layer_of(work->f)->bidirectional) return position;
    const uint32_t last = work->rows->spans[work->rows->span_of[token]].end - 1;
    return work->window > 0 && last - position > half ? position + half : last;
}

static uint32_t within_chunk(uint32_t position, uint32_t first) {
    return position <= first ? 0 : position - first < KV_CHUNK ? position - first : KV_CHUNK;
}

/* ALiBi's slopes fall from head to head by a constant factor. If n, the number of heads, is a power of two, head i has
 * the slope 2^(-max * (i + 1) / n), so the last head has 2^-max. Otherwise n is the power of two below that number, and
 * the heads from n on have the slopes 2^(-max * (i + 1/2) / n), for i = 0, 1 and so on. */
static float alibi_slope(float max_bias, uint32_t n_heads, uint32_t head) {
    uint32_t n = 1;
    if (max_bias == 0) return 0;
    while (n <= n_heads / 2) n *= 2;
    const uint32_t steps = head < n ? 2 * (head + 1) : 2 * (head - n) + 1;
    return exp2f(-max_bias * (float)steps / (float)(2 * n));
}

/* Set what the queries of a key/value head and some tokens see of a chunk. */
static void set_visible(const attention_work *work, uint32_t kv_head, size_t first_token, size_t n_tokens,
                        uint32_t chunk, visible_range *visible) {
    const uint32_t first = chunk * KV_CHUNK;
    for (size_t g = 0; g < work->group; g++)
        visible[g].slope = alibi_slope(work->f->model.config->alibi_max_bias, layer_of(work->f)->n_heads,
                                       (uint32_t)(kv_head * work->group + g));
    for (size_t t = 0; t < n_tokens; t++) {
        const uint32_t begin = first_seen(work, first_token + t), end = last_seen(work, first_token + t) + 1;
        visible_range range = {.own = (int32_t)work->rows->positions[first_token + t] - (int32_t)first};
        if (within_chunk(begin, first) < within_chunk(end, first)) {
            range.first = within_chunk(begin, first);
            range.end = within_chunk(end, first);
        }
        for (size_t g = 0; g < work->group; g++) {
            range.slope = visible[g].slope;
            visible[t * work->group + g] = range;
        }
    }
}

/* Add the head's sink, a score without a value, to the softmax (Xiao et al. 2023). Returns 1 / the sum of the softmax.
 * kept: out, the factor of the part's values if the sink is larger than all scores, else 1. */
static float inverse_of_sum(const forward_cpu *f, size_t head, const attention_part *part, float *kept) {
    const float *sinks = weights_of(f)->attn_sinks;
    *kept = 1;
    if (!sinks) return 1 / part->sum;
    const float max = sinks[head] > part->max ? sinks[head] : part->max;
    *kept = exp_or_zero(part->max - max);
    return 1 / (part->sum * *kept + exp_or_zero(sinks[head] - max));
}

static void finish_query(const attention_work *work, size_t token, size_t head, const attention_part *part,
                         const float *values) {
    const forward_cpu *f = work->f;
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    float *out = c->kv_rank > 0 ? f->buffers.latent_values.floats + (head * work->rows->count + token) * l->value_length
                                : f->buffers.attended.floats + (token * l->n_heads + head) * l->value_length;
    float kept;
    const float inverse = inverse_of_sum(f, head, part, &kept) * kept * c->value_scale;
    for (size_t i = 0; i < l->value_length; i++) out[i] = values[i] * inverse;
}

static uint32_t span_blocks(const layer_config *l, const forward_span *span) {
    return (span->n_rows + attention_tokens(l) - 1) / attention_tokens(l);
}

/* The queries of a key/value head, from token `first` on. */
static const float *queries_of(const attention_work *work, uint32_t kv_head, size_t first) {
    const size_t row = kv_head * (size_t)work->rows->count + first;
    return work->f->buffers.rotated + row * work->group * layer_of(work->f)->key_length;
}

/* Chunk i of what a token sees, for the key/value head: in the pages, or gathered from them in ascending order. */
static kv_chunk seen_chunk(const attention_work *work, size_t token, uint32_t kv_head, uint32_t i, void *gathered) {
    const forward_cpu *f = work->f;
    const layer_config *l = layer_of(f);
    const forward_span *span = &work->rows->spans[work->rows->span_of[token]];
    if (!sees_chosen(f, work->rows, token)) return chunk_of(f, span, kv_head, i);
    const kv_chunk chunk = kv_chunk_at(f->model.store->type, l->key_length, l->value_length, gathered);
    const uint32_t first = i * KV_CHUNK, left = l->top_k - first, n = left < KV_CHUNK ? left : KV_CHUNK;
    const uint32_t *positions = f->buffers.seen + token * l->top_k + first;
    for (uint32_t at = 0; at < n; at++) {
        const kv_chunk from = chunk_of(f, span, kv_head, positions[at] / KV_CHUNK);
        kv_chunk_copy(&from, positions[at] % KV_CHUNK, &chunk, at);
    }
    return chunk;
}

/* One key/value head and one block of a span's tokens. The last blocks, which see most, come first. */
static void attend_block(const attention_work *work, uint32_t s, size_t item, uint32_t thread) {
    const forward_cpu *f = work->f;
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    const forward_span *span = &work->rows->spans[s];
    const uint32_t kv_head = (uint32_t)(item % l->n_kv_heads), block_tokens = attention_tokens(l);
    const size_t done = (span_blocks(l, span) - 1 - item / l->n_kv_heads) * block_tokens, left = span->n_rows - done;
    const size_t first = span->first_row + done, n_tokens = left < block_tokens ? left : block_tokens;
    const size_t n_queries = n_tokens * work->group, n = kv_padded(l->value_length);
    const attention_room room = attention_room_in(l, thread_scratch(f, thread));
    const uint32_t first_chunk = first_seen(work, first) / KV_CHUNK;

    for (uint32_t i = first_chunk; i <= last_seen(work, first + n_tokens - 1) / KV_CHUNK; i++) {
        const kv_chunk chunk = seen_chunk(work, first, kv_head, i, room.gathered);
        const bool more = i > first_chunk;
        set_visible(work, kv_head, first, n_tokens, i, room.visible);
        f->model.kernels->attend(&chunk, queries_of(work, kv_head, first), room.visible, n_queries,
                                 c->attention_softcap, room.parts[more], room.values[more]);
        for (size_t q = 0; more && q < n_queries; q++)
            if (room.visible[q].end > 0)
                f->model.kernels->merge(&room.parts[0][q], room.values[0] + q * n, &room.parts[1][q],
                                        room.values[1] + q * n, n);
    }
    for (size_t q = 0; q < n_queries; q++)
        finish_query(work, first + q / work->group, kv_head * work->group + q % work->group, &room.parts[0][q],
                     room.values[0] + q * n);
}

/* One key/value head and one chunk, for all tokens of a span. */
static void attend_chunk(const attention_work *work, uint32_t s, size_t item, uint32_t thread) {
    const forward_cpu *f = work->f;
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    const forward_span *span = &work->rows->spans[s];
    const attention_span *of = &f->buffers.attention_spans[s];
    const size_t n_queries = span->n_rows * work->group, first_part = of->first_part + item * n_queries;
    const uint32_t kv_head = (uint32_t)(item / of->n_chunks), i = of->first_chunk + (uint32_t)(item % of->n_chunks);
    const attention_room room = attention_room_in(l, thread_scratch(f, thread));
    const kv_chunk chunk = seen_chunk(work, span->first_row, kv_head, i, room.gathered);
    set_visible(work, kv_head, span->first_row, span->n_rows, i, room.visible);
    f->model.kernels->attend(&chunk, queries_of(work, kv_head, span->first_row), room.visible, n_queries,
                             c->attention_softcap, f->buffers.parts + first_part,
                             f->buffers.part_values + first_part * kv_padded(l->value_length));
}

static void attend_item(void *argument, size_t item, uint32_t thread) {
    const attention_work *work = argument;
    const uint32_t s = span_of_item(work, ATTEND, &item);
    if (work->f->buffers.attention_spans[s].by_chunks)
        attend_chunk(work, s, item, thread);
    else
        attend_block(work, s, item, thread);
}

/* Merge the chunks that one query of a span saw, if the span is processed by chunks. */
static void merge_item(void *argument, size_t item, uint32_t thread) {
    (void)thread;
    const attention_work *work = argument;
    const forward_cpu *f = work->f;
    const uint32_t s = span_of_item(work, MERGE, &item), n_heads = layer_of(f)->n_heads;
    const forward_span *span = &work->rows->spans[s];
    const attention_span *of = &f->buffers.attention_spans[s];
    const size_t token = span->first_row + item / n_heads, head = item % n_heads;
    const size_t n_queries = span->n_rows * work->group, n = kv_padded(layer_of(f)->value_length);
    const size_t q = item / n_heads * work->group + head % work->group;
    const uint32_t begin = first_seen(work, token) / KV_CHUNK - of->first_chunk;
    const uint32_t last = last_seen(work, token) / KV_CHUNK - of->first_chunk;
    const size_t first = of->first_part + (head / work->group * of->n_chunks + begin) * n_queries + q;
    for (uint32_t i = 1; i <= last - begin; i++) {
        const size_t other = first + i * n_queries;
        f->model.kernels->merge(&f->buffers.parts[first], f->buffers.part_values + first * n, &f->buffers.parts[other],
                                f->buffers.part_values + other * n, n);
    }
    finish_query(work, token, head, &f->buffers.parts[first], f->buffers.part_values + first * n);
}

/* Set what a span's tokens see, and its cost. */
static void measure_span(attention_work *work, uint32_t s) {
    const layer_config *l = layer_of(work->f);
    const forward_span *span = &work->rows->spans[s];
    const uint32_t last = last_seen(work, span->first_row + span->n_rows - 1),
                   first = first_seen(work, span->first_row);
    const uint64_t cost = (uint64_t)span->n_rows * l->n_heads * (last + 1 - first) * (l->key_length + l->value_length);
    work->f->buffers.attention_spans[s] = (attention_span){
        .first_chunk = first / KV_CHUNK, .n_chunks = last / KV_CHUNK - first / KV_CHUNK + 1, .cost = cost};
    work->cost[ATTEND] += cost;
}

/* Decide which spans are processed by chunks: each chunk is an item. These are spans of a single block of tokens for
 * which one item would be more than its share of the work, if there is memory for the parts. In all other spans each
 * block is an item, and goes through all chunks that it sees; longer spans have enough items. */
static void cut_spans(attention_work *work) {
    const forward_cpu *f = work->f;
    const layer_config *l = layer_of(f);
    const uint64_t most = work->cost[ATTEND] / (ITEMS_PER_THREAD * thread_pool_size(f->model.pool));
    const uint64_t most_parts = attention_parts(l, f->buffers.n_chunks);
    size_t n_parts = 0;
    for (uint32_t s = 0; s < work->rows->n_spans; s++) {
        const forward_span *span = &work->rows->spans[s];
        attention_span *of = &f->buffers.attention_spans[s];
        const uint32_t n_blocks = span_blocks(l, span);
        const size_t n_queries = (size_t)span->n_rows * l->n_heads, own_parts = n_queries * of->n_chunks;
        of->by_chunks =
            n_blocks == 1 && of->n_chunks > 1 && of->cost / l->n_kv_heads > most && own_parts <= most_parts - n_parts;
        of->first_part = n_parts;
        of->first_item[ATTEND] = work->n_items[ATTEND];
        of->first_item[MERGE] = work->n_items[MERGE];
        work->n_items[ATTEND] += (size_t)l->n_kv_heads * (of->by_chunks ? of->n_chunks : n_blocks);
        if (!of->by_chunks) continue;
        n_parts += own_parts;
        work->n_items[MERGE] += n_queries;
        work->cost[MERGE] += own_parts * l->value_length;
    }
}

static void attend(forward_cpu *f, const forward_rows *rows) {
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    attention_work work = {
        .f = f, .rows = rows, .group = l->n_heads / l->n_kv_heads, .window = l->windowed ? c->window : 0};
    for (uint32_t s = 0; s < rows->n_spans; s++) measure_span(&work, s);
    cut_spans(&work);
    run_step(f, work.n_items[ATTEND], work.cost[ATTEND], attend_item, &work);
    if (work.n_items[MERGE] > 0) run_step(f, work.n_items[MERGE], work.cost[MERGE], merge_item, &work);
}

/* -------------------------------------------------------------------------------------- the half of a layer */

static void quantize_attended_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    quantize_vector(work->f, &work->f->buffers.attended, b);
}

/* Drop all rows except the kept ones. */
static void drop_other_rows(forward_cpu *f, float *x) {
    const model_config *c = f->model.config;
    const layer_config *l = layer_of(f);
    forward_vectors *normed = &f->buffers.normed; /* the input of the other half of a parallel layer */
    const size_t row = l->n_heads / l->n_kv_heads * (size_t)l->key_length;
    const size_t n = c->n_embd, n_blocks = n / ACTIVATION_BLOCK,
                 n_per_layer = (size_t)c->n_layers * c->n_embd_per_layer;
    keep_rows(f, x, n);
    keep_rows(f, normed->floats, n);
    if (c->traits->query_gate) keep_rows(f, f->buffers.gates, f->buffers.attended.n_columns);
    keep_rows(f, f->buffers.per_layer, n_per_layer);
    keep_rows(f, f->buffers.streams, c->n_streams > 0 ? (c->n_streams - 1) * n : 0);
    keep_rows(f, f->buffers.predicted, c->n_streams > 0 ? n : 0);
    for (uint32_t s = 0, to = 0; s < f->all.n_spans; s++) {
        const forward_span *span = &f->all.spans[s];
        for (size_t from = span->first_row + span->n_rows - span->n_kept; from < span->first_row + span->n_rows;
             from++, to++) {
            memmove(normed->quantized + to * n, normed->quantized + from * n, n);
            memmove(normed->blocks + to * n_blocks, normed->blocks + from * n_blocks,
                    n_blocks * sizeof *normed->blocks);
        }
    }
    if (c->traits->router_reads_layer) keep_scores(f);
    if (l->top_k > 0) keep_choice(f);
    for (size_t kv_head = 0; kv_head < l->n_kv_heads; kv_head++) {
        float *to = f->buffers.rotated + kv_head * f->kept.count * row;
        for (uint32_t s = 0; s < f->all.n_spans; s++) {
            const forward_span *span = &f->all.spans[s];
            const size_t from = span->first_row + span->n_rows - span->n_kept;
            memmove(to, f->buffers.rotated + (kv_head * f->all.count + from) * row, span->n_kept * row * sizeof *to);
            to += span->n_kept * row;
        }
    }
}

/* Multiply the result of attention by the sigmoid of its gates, one for each head or element. */
static void gate_attended_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const linear *l = &weights_of(f)->attn_gate;
    const size_t n = f->buffers.attended.n_columns, n_gates = f->model.config->traits->query_gate ? n : l->w.n_rows;
    const size_t length = n / n_gates;
    for (size_t gate = 0; gate < n_gates; gate++) {
        const float open = sigmoid(f->buffers.gates[b * n_gates + gate]);
        for (size_t i = 0; i < length; i++) f->buffers.attended.floats[b * n + gate * length + i] *= open;
    }
}

static void gate_attended(forward_cpu *f, uint32_t n_rows) {
    const linear *l = &weights_of(f)->attn_gate;
    row_work work = {.f = f, .n_rows = n_rows};
    if (!f->model.config->traits->query_gate) { /* otherwise they came with the queries */
        product gates = product_of(l, 0, &f->buffers.normed, 0, n_rows, f->buffers.gates);
        run_products(f, &gates, 1, NULL);
    }
    run_row_step(&work, 16 * (uint64_t)f->buffers.attended.n_columns, gate_attended_item);
}

void attention_block(forward_cpu *f, const forward_rows *rows, float *x) {
    const model_traits *traits = f->model.config->traits;
    const layer_config *l = layer_of(f);
    const layer_weights *w = weights_of(f);
    const linear *const readers[] = {&w->attn_q,   &w->attn_k,         &w->attn_v,
                                     &w->attn_q_a, &w->attn_kv_a_mqa,  &w->attn_gate,
                                     &w->laurel_l, &w->indexer_attn_k, &w->indexer_proj};
    const bool two_norms = l->form == FORM_PARALLEL_APART;
    bool quantize = l->form == FORM_PARALLEL && feed_forward_quantizes(f);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) quantize = quantize || reads_quantized(f, readers[i]);

    f->buffers.attended.n_columns = l->n_heads * attended_length(f->model.config, l);
    run_norm(f, two_norms ? &w->attn_norm_2 : &w->attn_norm, x, f->all.count, quantize);
    if (f->model.config->kv_rank > 0)
        make_latent_queries_keys(f);
    else
        make_queries_keys_values(f);
    if (l->index_key_length > 0) run_indexer(f);
    if (f->part == LAYER_KEYS) return;
    if (two_norms) run_norm(f, &w->attn_norm, x, f->all.count, feed_forward_quantizes(f));
    if (rows->count < f->all.count && !f->stopped) drop_other_rows(f, x);
    if (rows->count == 0) return;
    if (l->index_key_length > 0) choose_positions(f, rows);
    attend(f, rows);
    if (f->model.config->kv_rank > 0) expand_latent_values(f, rows->count);
    if (traits->tensors & TENSOR_BIT(attn_gate) || traits->query_gate) gate_attended(f, rows->count);
    row_work work = {.f = f, .n_rows = rows->count};
    if (reads_quantized(f, &w->attn_output)) run_row_step(&work, f->buffers.attended.n_columns, quantize_attended_item);
    const bool ends_normed = l->form == FORM_NORMED_SUMS;
    const bool at_once = !ends_normed && adds_at_once(f, &w->post_attention_norm);
    product output = product_of(&w->attn_output, 0, &f->buffers.attended, 0, rows->count, f->buffers.projected);
    run_products(f, &output, 1, at_once ? x : NULL);
    if (ends_normed)
        add_and_norm(f, &w->attn_output_norm, &w->attn_norm_2, x, rows->count);
    else if (!at_once)
        add_projected(f, &w->post_attention_norm, x, rows->count);
}
