/* Two pools in an arena. Their sizes are computed in one place, for the plan and for the allocation. */
#include "model/kv_pages.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/half.h"

#include <string.h>

/* Of one chunk. */
typedef struct chunk_bytes {
    uint64_t keys, values, key_scales, value_scales;
} chunk_bytes;

static chunk_bytes bytes_of_chunk(cllm_kv_type type, uint32_t key_length, uint32_t value_length) {
    const uint64_t element_bytes = KV_CHUNK * kv_element_bytes(type);
    const uint64_t scale_bytes = type == CLLM_KV_Q8_0 ? KV_CHUNK * sizeof(float) : 0;
    return (chunk_bytes){
        .keys = key_length * element_bytes,
        .values = kv_padded(value_length) * element_bytes,
        .key_scales = kv_scale_blocks(key_length) * scale_bytes,
        .value_scales = kv_scale_blocks(value_length) * scale_bytes,
    };
}

static uint64_t sum_of(chunk_bytes b) { return b.keys + b.values + b.key_scales + b.value_scales; }

static uint32_t count_layers(const model_config *c, uint32_t n_layers, bool windowed) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_layers; i++) n += config_is_windowed(c, i) == windowed;
    return n;
}

/* Windowed pages of a sequence: of what the first token of a batch still sees up to the last, wherever that begins in a page. */
static uint32_t windowed_pages(const model_config *c, const kv_size *size) {
    const uint64_t seen = (uint64_t)c->window + size->n_batch - 1;
    const uint64_t n = seen < 2 ? 1 : (seen - 2) / KV_CHUNK + 2;
    return n < kv_chunks(size->n_ctx) ? (uint32_t)n : kv_chunks(size->n_ctx);
}

/* Everything but the bytes themselves. A chunk has less than 2^31 * 10 * KV_CHUNK bytes, a page up to 2^16 layers of 2^31 heads:
 * false if that wraps. */
static bool measure(const model_config *c, const kv_size *size, kv_pages *out) {
    *out = (kv_pages){
        .type = size->type,
        .n_layers = size->n_layers,
        .n_kv_heads = c->n_kv_heads,
        .key_length = c->key_length,
        .value_length = c->value_length,
        .n_chunks = kv_chunks(size->n_ctx),
        .window = c->window,
    };
    const uint64_t chunk = sum_of(bytes_of_chunk(size->type, c->key_length, c->value_length));
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        const uint32_t n_layers = count_layers(c, size->n_layers, i == KV_WINDOWED);
        kv_pool *pool = &out->pools[i];
        const uint64_t of_sequence = i == KV_WINDOWED ? windowed_pages(c, size) : out->n_chunks;
        if (n_layers > 0 && of_sequence * size->n_sequences > UINT32_MAX) return false;
        if (n_layers > 0) pool->n_pages = (uint32_t)of_sequence * size->n_sequences;
        if (!checked_mul((uint64_t)n_layers * c->n_kv_heads, chunk, &pool->page_bytes)) return false;
    }
    out->drops = windowed_pages(c, size) < out->n_chunks;
    return true;
}

uint64_t kv_pages_bytes(const model_config *config, const kv_size *size) {
    kv_pages p;
    if (!measure(config, size, &p)) return UINT64_MAX;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        uint64_t bytes;
        if (!checked_mul(p.pools[i].n_pages, p.pools[i].page_bytes, &bytes) || !checked_add(sum, bytes, &sum))
            return UINT64_MAX;
    }
    return sum;
}

static cllm_status no_memory(uint32_t n_positions, cllm_error *err) {
    return error_set(err, CLLM_ERR_MEMORY, "no memory for the keys and values of %u positions; use a smaller context",
                     n_positions);
}

cllm_status kv_pages_create(const model_config *config, const kv_size *size, arena *a, kv_pages *out, cllm_error *err) {
    bool complete = measure(config, size, out);
    for (uint32_t i = 0; i < KV_POOLS && complete; i++) {
        kv_pool *pool = &out->pools[i];
        pool->bytes = arena_alloc(a, pool->n_pages, pool->page_bytes);
        pool->free = arena_alloc(a, pool->n_pages, sizeof *pool->free);
        complete = pool->bytes && pool->free;
        while (complete && pool->n_free < pool->n_pages) { /* so that the first pages are taken first */
            pool->free[pool->n_free] = pool->n_pages - 1 - pool->n_free;
            pool->n_free++;
        }
    }
    out->pool_of = arena_alloc(a, size->n_layers, sizeof *out->pool_of);
    out->place_of = arena_alloc(a, size->n_layers, sizeof *out->place_of);
    if (!complete || !out->pool_of || !out->place_of) return no_memory(size->n_ctx, err);
    uint32_t n_placed[KV_POOLS] = {0};
    for (uint32_t i = 0; i < size->n_layers; i++) {
        out->pool_of[i] = config_is_windowed(config, i) ? KV_WINDOWED : KV_FULL;
        out->place_of[i] = n_placed[out->pool_of[i]]++;
    }
    return CLLM_OK;
}

cllm_status kv_table_create(const kv_pages *pages, arena *a, kv_table *out, cllm_error *err) {
    *out = (kv_table){0};
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        const uint32_t n = pages->pools[i].n_pages > 0 ? pages->n_chunks : 0;
        out->of[i].pages = arena_alloc(a, n, sizeof *out->of[i].pages);
        if (!out->of[i].pages) return no_memory(pages->n_chunks * KV_CHUNK, err);
    }
    return CLLM_OK;
}

void kv_table_grow(kv_table *table, kv_pages *pages, uint32_t kept, uint32_t end) {
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        kv_pool *pool = &pages->pools[i];
        if (pool->n_pages == 0) continue; /* no layer has its pages here */
        const uint32_t left = i == KV_WINDOWED && pages->drops ? kv_first_seen(pages->window, kept) / KV_CHUNK : 0;
        for (; table->of[i].first < left; table->of[i].first++)
            pool->free[pool->n_free++] = table->of[i].pages[table->of[i].first];
        for (; table->of[i].end < kv_chunks(end); table->of[i].end++)
            table->of[i].pages[table->of[i].end] = pool->free[--pool->n_free];
    }
}

void kv_table_truncate(kv_table *table, kv_pages *pages, uint32_t length) {
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        kv_pool *pool = &pages->pools[i];
        while (table->of[i].end > kv_chunks(length) && table->of[i].end > table->of[i].first)
            pool->free[pool->n_free++] = table->of[i].pages[--table->of[i].end];
        if (length == 0) table->of[i].first = table->of[i].end = 0;
    }
}

bool kv_table_reaches(const kv_table *table, const kv_pages *pages, uint32_t position) {
    return position == 0 || table->of[KV_WINDOWED].first <= kv_first_seen(pages->window, position) / KV_CHUNK;
}

kv_chunk kv_table_chunk(const kv_table *table, const kv_pages *pages, uint32_t layer, uint32_t kv_head,
                        uint32_t chunk) {
    const kv_pool *pool = &pages->pools[pages->pool_of[layer]];
    const chunk_bytes bytes = bytes_of_chunk(pages->type, pages->key_length, pages->value_length);
    unsigned char *at = pool->bytes + table->of[pages->pool_of[layer]].pages[chunk] * pool->page_bytes +
                        ((uint64_t)pages->place_of[layer] * pages->n_kv_heads + kv_head) * sum_of(bytes);
    return (kv_chunk){
        .type = pages->type,
        .key_length = pages->key_length,
        .value_length = pages->value_length,
        .keys = at,
        .values = at + bytes.keys,
        .key_scales = (float *)(void *)(at + bytes.keys + bytes.values),
        .value_scales = (float *)(void *)(at + bytes.keys + bytes.values + bytes.key_scales),
    };
}

static bool position_beyond_f16(const kv_chunk *chunk, size_t position) {
    const uint16_t *keys = chunk->keys, *values = chunk->values;
    for (size_t i = 0; i < chunk->key_length; i++)
        if (f16_is_infinite(keys[(position / KV_LANES * chunk->key_length + i) * KV_LANES + position % KV_LANES]))
            return true;
    for (size_t i = 0; i < chunk->value_length; i++)
        if (f16_is_infinite(values[(i / KV_LANES * KV_CHUNK + position) * KV_LANES + i % KV_LANES])) return true;
    return false;
}

bool kv_table_beyond_f16(const kv_table *table, const kv_pages *pages, uint32_t end) {
    for (uint32_t layer = 0; pages->type == CLLM_KV_F16 && layer < pages->n_layers; layer++) {
        const uint32_t pool = pages->pool_of[layer], held = table->of[pool].end * KV_CHUNK;
        for (uint32_t head = 0; head < pages->n_kv_heads; head++)
            for (uint32_t position = table->of[pool].first * KV_CHUNK; position < end && position < held; position++) {
                const kv_chunk chunk = kv_table_chunk(table, pages, layer, head, position / KV_CHUNK);
                if (position_beyond_f16(&chunk, position % KV_CHUNK)) return true;
            }
    }
    return false;
}

void kv_chunk_put_key(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                      float scale) {
    const size_t tile = position / KV_LANES, lane = position % KV_LANES;
    const size_t at = (tile * chunk->key_length + first) * KV_LANES + lane;
    if (chunk->type == CLLM_KV_F32)
        for (size_t i = 0; i < n; i++) ((float *)chunk->keys)[at + i * KV_LANES] = ((const float *)elements)[i];
    else if (chunk->type == CLLM_KV_F16)
        for (size_t i = 0; i < n; i++) ((uint16_t *)chunk->keys)[at + i * KV_LANES] = ((const uint16_t *)elements)[i];
    else {
        for (size_t i = 0; i < n; i++) ((int8_t *)chunk->keys)[at + i * KV_LANES] = ((const int8_t *)elements)[i];
        const size_t block = tile * kv_scale_blocks(chunk->key_length) + first / KV_SCALE_BLOCK;
        chunk->key_scales[block * KV_LANES + lane] = scale;
    }
}

void kv_chunk_put_value(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                        float scale) {
    const size_t bytes = kv_element_bytes(chunk->type);
    for (size_t i = 0; i < n; i += KV_LANES)
        memcpy((unsigned char *)chunk->values + ((first + i) * KV_CHUNK + (size_t)position * KV_LANES) * bytes,
               (const unsigned char *)elements + i * bytes, (n - i < KV_LANES ? n - i : KV_LANES) * bytes);
    if (chunk->type == CLLM_KV_Q8_0) chunk->value_scales[first / KV_SCALE_BLOCK * KV_CHUNK + position] = scale;
}
