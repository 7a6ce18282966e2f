/* The bytes of pages on the CPU. Sizes are computed in one place, for the plan and for the allocation. */
#include "model/kv_store.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/half.h"

#include <string.h>

/* Bytes of a chunk. */
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

/* Set a layer's place, which begins at *end in a page of its pool (at 0 for an encoder's layers); *end moves past it.
 * false: overflow. */
static bool place_layer(const layer_config *layer, cllm_kv_type type, uint64_t *end, kv_place *out) {
    const bool keeps = layer_attends(layer);
    *out = (kv_place){.pool = kv_pool_of(layer),
                      .n_kv_heads = keeps ? layer->n_kv_heads : 0,
                      .key_length = layer->key_length,
                      .value_length = layer->value_length,
                      .index_key_length = keeps ? layer->index_key_length : 0,
                      .offset = layer->bidirectional ? 0 : *end};
    uint64_t bytes, own_end; /* kv_chunk_bytes cannot overflow: it is less than 2^31 * 10 * KV_CHUNK */
    if (!checked_mul(out->n_kv_heads, kv_chunk_bytes(type, out->key_length, out->value_length), &bytes) ||
        !checked_add(bytes, kv_chunk_bytes(type, out->index_key_length, 0), &bytes) ||
        !checked_add(out->offset, bytes, &own_end))
        return false;
    if (own_end > *end) *end = own_end;
    return true;
}

uint64_t kv_store_page_bytes(const model_config *config, cllm_kv_type type, uint32_t n_layers, uint32_t pool) {
    uint64_t sum = 0;
    kv_place place;
    for (uint32_t i = 0; i < n_layers; i++) {
        const layer_config *layer = &config->layers[i];
        if (kv_pool_of(layer) != pool || layer->kv_layer != i) continue;
        if (!place_layer(layer, type, &sum, &place)) return UINT64_MAX;
    }
    return sum;
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
    *out = (kv_store){.type = type, .n_layers = n_layers, .places = arena_alloc(a, n_layers, sizeof *out->places)};
    bool complete = out->places;
    for (uint32_t i = 0; complete && i < KV_POOLS; i++) {
        out->pools[i].page_bytes = kv_store_page_bytes(config, type, n_layers, i);
        out->pools[i].bytes = arena_alloc(a, kv_pages_count(config, size, i), out->pools[i].page_bytes);
        complete = out->pools[i].bytes;
    }
    if (!complete)
        return error_set(err, CLLM_ERR_MEMORY,
                         "no memory for the keys and values of %u positions; use a smaller context", size->n_positions);
    uint64_t ends[KV_POOLS] = {0}; /* at the end these are page_bytes */
    for (uint32_t i = 0; i < n_layers; i++)
        if (config->layers[i].kv_layer == i)
            place_layer(&config->layers[i], type, &ends[kv_pool_of(&config->layers[i])], &out->places[i]);
        else
            out->places[i] = out->places[config->layers[i].kv_layer];
    return CLLM_OK;
}

void kv_store_copy(const kv_store *store, const kv_copies *copies) {
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        const uint64_t n = store->pools[i].page_bytes;
        if (copies->of[i].from != KV_NONE)
            memcpy(store->pools[i].bytes + copies->of[i].to * n, store->pools[i].bytes + copies->of[i].from * n, n);
    }
}

uint64_t kv_chunk_bytes(cllm_kv_type type, uint32_t key_length, uint32_t value_length) {
    return sum_of(bytes_of_chunk(type, key_length, value_length));
}

kv_chunk kv_chunk_at(cllm_kv_type type, uint32_t key_length, uint32_t value_length, void *at) {
    const chunk_bytes bytes = bytes_of_chunk(type, key_length, value_length);
    unsigned char *const keys = at, *const values = keys + bytes.keys, *const scales = values + bytes.values;
    return (kv_chunk){
        .type = type,
        .key_length = key_length,
        .value_length = value_length,
        .keys = keys,
        .values = values,
        .key_scales = (float *)(void *)scales,
        .value_scales = (float *)(void *)(scales + bytes.key_scales),
    };
}

static uint32_t chunks_of(const kv_place *place) { return place->n_kv_heads + (place->index_key_length > 0); }

static kv_chunk chunk_of_page(const kv_store *store, void *page, const kv_place *place, uint32_t kv_head) {
    unsigned char *at = (unsigned char *)page + place->offset +
                        kv_head * kv_chunk_bytes(store->type, place->key_length, place->value_length);
    return kv_head < place->n_kv_heads ? kv_chunk_at(store->type, place->key_length, place->value_length, at)
                                       : kv_chunk_at(store->type, place->index_key_length, 0, at);
}

kv_chunk kv_store_chunk(const kv_store *store, const kv_table *table, uint32_t layer, uint32_t kv_head,
                        uint32_t chunk) {
    const kv_place *place = &store->places[layer];
    return chunk_of_page(store, kv_store_page(store, place->pool, table->of[place->pool].pages[chunk]), place, kv_head);
}

static void blank_chunk(const kv_chunk *chunk, uint32_t first) {
    static const unsigned char zeros[KV_SCALE_BLOCK * sizeof(float)];
    for (uint32_t position = first; position < KV_CHUNK; position++) {
        for (size_t k = 0; k < chunk->key_length; k += KV_SCALE_BLOCK)
            kv_chunk_put_key(chunk, position, k,
                             chunk->key_length - k < KV_SCALE_BLOCK ? chunk->key_length - k : KV_SCALE_BLOCK, zeros, 0);
        for (size_t k = 0; k < kv_padded(chunk->value_length); k += KV_LANES)
            kv_chunk_put_value(chunk, position, k, KV_LANES, zeros, 0);
    }
}

void kv_store_blank(const kv_store *store, uint32_t pool, void *page, uint32_t first) {
    for (const kv_place *place = store->places; place < store->places + store->n_layers; place++)
        for (uint32_t head = 0; place->pool == pool && head < chunks_of(place); head++) {
            const kv_chunk chunk = chunk_of_page(store, page, place, head);
            blank_chunk(&chunk, first);
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
        const uint32_t pool = store->places[layer].pool, held = table->of[pool].end * KV_CHUNK;
        for (uint32_t head = 0; head < chunks_of(&store->places[layer]); head++)
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

void kv_chunk_copy(const kv_chunk *from, uint32_t position, const kv_chunk *to, uint32_t at) {
    const size_t bytes = kv_element_bytes(from->type), n = from->key_length, n_blocks = kv_scale_blocks(n);
    const size_t from_tile = position / KV_LANES, from_lane = position % KV_LANES;
    const size_t to_tile = at / KV_LANES, to_lane = at % KV_LANES;
    const unsigned char *key = (const unsigned char *)from->keys + (from_tile * n * KV_LANES + from_lane) * bytes;
    unsigned char *to_key = (unsigned char *)to->keys + (to_tile * n * KV_LANES + to_lane) * bytes;
    for (size_t i = 0; i < n * KV_LANES * bytes; i += KV_LANES * bytes)
        if (bytes == 4)
            memcpy(to_key + i, key + i, 4);
        else if (bytes == 2)
            memcpy(to_key + i, key + i, 2);
        else
            to_key[i] = key[i];
    for (size_t i = 0; i < kv_padded(from->value_length); i += KV_LANES)
        memcpy((unsigned char *)to->values + (i * KV_CHUNK + (size_t)at * KV_LANES) * bytes,
               (const unsigned char *)from->values + (i * KV_CHUNK + (size_t)position * KV_LANES) * bytes,
               KV_LANES * bytes);
    if (from->type != CLLM_KV_Q8_0) return;
    for (size_t i = 0; i < n_blocks; i++)
        to->key_scales[(to_tile * n_blocks + i) * KV_LANES + to_lane] =
            from->key_scales[(from_tile * n_blocks + i) * KV_LANES + from_lane];
    for (size_t i = 0; i < kv_scale_blocks(from->value_length); i++)
        to->value_scales[i * KV_CHUNK + at] = from->value_scales[i * KV_CHUNK + position];
}
