/* The bytes of pages on the CPU. Their sizes are computed in one place, for the plan and for the allocation. */
#include "model/kv_store.h"

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

/* A chunk has less than 2^31 * 10 * KV_CHUNK bytes, a page up to 2^16 layers of 2^31 heads. */
uint64_t kv_store_page_bytes(const model_config *config, cllm_kv_type type, uint32_t n_layers, uint32_t pool) {
    const uint64_t heads = (uint64_t)kv_pool_layers(config, n_layers, pool) * config->n_kv_heads;
    uint64_t bytes;
    return checked_mul(heads, sum_of(bytes_of_chunk(type, config->key_length, config->value_length)), &bytes)
               ? bytes
               : UINT64_MAX;
}

uint64_t kv_store_bytes(const model_config *config, cllm_kv_type type, uint32_t n_layers, const kv_size *size) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        const uint64_t n_pages = kv_pages_count(config, size, i);
        uint64_t bytes;
        if (!checked_mul(n_pages, kv_store_page_bytes(config, type, n_layers, i), &bytes) ||
            !checked_add(sum, bytes, &sum))
            return UINT64_MAX;
    }
    return sum;
}

cllm_status kv_store_create(const model_config *config, cllm_kv_type type, uint32_t n_layers, const kv_size *size,
                            arena *a, kv_store *out, cllm_error *err) {
    *out = (kv_store){.type = type,
                      .n_layers = n_layers,
                      .n_kv_heads = config->n_kv_heads,
                      .key_length = config->key_length,
                      .value_length = config->value_length,
                      .pool_of = arena_alloc(a, n_layers, sizeof *out->pool_of),
                      .place_of = arena_alloc(a, n_layers, sizeof *out->place_of)};
    bool complete = out->pool_of && out->place_of;
    for (uint32_t i = 0; complete && i < KV_POOLS; i++) {
        out->pools[i].page_bytes = kv_store_page_bytes(config, type, n_layers, i);
        out->pools[i].bytes = arena_alloc(a, kv_pages_count(config, size, i), out->pools[i].page_bytes);
        complete = out->pools[i].bytes;
    }
    if (!complete)
        return error_set(err, CLLM_ERR_MEMORY,
                         "no memory for the keys and values of %u positions; use a smaller context", size->n_positions);
    uint32_t n_placed[KV_POOLS] = {0};
    for (uint32_t i = 0; i < n_layers; i++) {
        out->pool_of[i] = kv_pool_of(config, i);
        out->place_of[i] = n_placed[out->pool_of[i]]++;
    }
    return CLLM_OK;
}

void kv_store_copy(const kv_store *store, const kv_copies *copies) {
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        const uint64_t n = store->pools[i].page_bytes;
        if (copies->of[i].from != KV_NONE)
            memcpy(store->pools[i].bytes + copies->of[i].to * n, store->pools[i].bytes + copies->of[i].from * n, n);
    }
}

/* Number i of the chunks of a page. */
static kv_chunk chunk_of_page(const kv_store *store, void *page, uint64_t i) {
    const chunk_bytes bytes = bytes_of_chunk(store->type, store->key_length, store->value_length);
    unsigned char *at = (unsigned char *)page + i * sum_of(bytes);
    return (kv_chunk){
        .type = store->type,
        .key_length = store->key_length,
        .value_length = store->value_length,
        .keys = at,
        .values = at + bytes.keys,
        .key_scales = (float *)(void *)(at + bytes.keys + bytes.values),
        .value_scales = (float *)(void *)(at + bytes.keys + bytes.values + bytes.key_scales),
    };
}

kv_chunk kv_store_chunk(const kv_store *store, const kv_table *table, uint32_t layer, uint32_t kv_head,
                        uint32_t chunk) {
    const uint32_t pool = store->pool_of[layer];
    return chunk_of_page(store, kv_store_page(store, pool, table->of[pool].pages[chunk]),
                         (uint64_t)store->place_of[layer] * store->n_kv_heads + kv_head);
}

void kv_store_blank(const kv_store *store, uint32_t pool, void *page, uint32_t first) {
    static const unsigned char zeros[KV_SCALE_BLOCK * sizeof(float)];
    const uint64_t n_chunks =
        store->pools[pool].page_bytes / sum_of(bytes_of_chunk(store->type, store->key_length, store->value_length));
    for (uint64_t i = 0; i < n_chunks; i++) {
        const kv_chunk chunk = chunk_of_page(store, page, i);
        for (uint32_t position = first; position < KV_CHUNK; position++) {
            for (size_t k = 0; k < chunk.key_length; k += KV_SCALE_BLOCK)
                kv_chunk_put_key(&chunk, position, k,
                                 chunk.key_length - k < KV_SCALE_BLOCK ? chunk.key_length - k : KV_SCALE_BLOCK, zeros,
                                 0);
            for (size_t k = 0; k < kv_padded(chunk.value_length); k += KV_LANES)
                kv_chunk_put_value(&chunk, position, k, KV_LANES, zeros, 0);
        }
    }
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

bool kv_store_beyond_f16(const kv_store *store, const kv_table *table, uint32_t end) {
    for (uint32_t layer = 0; store->type == CLLM_KV_F16 && layer < store->n_layers; layer++) {
        const uint32_t pool = store->pool_of[layer], held = table->of[pool].end * KV_CHUNK;
        for (uint32_t head = 0; head < store->n_kv_heads; head++)
            for (uint32_t position = table->of[pool].first * KV_CHUNK; position < end && position < held; position++) {
                const kv_chunk chunk = kv_store_chunk(store, table, layer, head, position / KV_CHUNK);
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
