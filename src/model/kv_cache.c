/* Four planes in an arena. Their sizes are computed in one place, for the plan and for the allocation. */
#include "model/kv_cache.h"

#include "base/checked.h"
#include "base/error.h"

#include <string.h>

/* Of one chunk of one layer and head. */
typedef struct chunk_bytes {
    uint64_t keys, values, key_scales, value_scales;
} chunk_bytes;

static chunk_bytes bytes_of_chunk(cllm_kv_type type, uint32_t key_length, uint32_t value_length) {
    const uint64_t row_bytes = KV_CHUNK * kv_element_bytes(type), scale_bytes = KV_CHUNK * sizeof(float);
    const bool scaled = type == CLLM_KV_Q8_0;
    return (chunk_bytes){
        .keys = key_length * row_bytes,
        .values = kv_padded(value_length) * row_bytes,
        .key_scales = scaled ? kv_scale_blocks(key_length) * scale_bytes : 0,
        .value_scales = scaled ? kv_scale_blocks(value_length) * scale_bytes : 0,
    };
}

static bool count_chunks(const model_config *c, uint32_t n_layers, uint32_t n_ctx, uint64_t *n_chunks) {
    return checked_mul(n_layers, c->n_kv_heads, n_chunks) && checked_mul(*n_chunks, kv_chunks(n_ctx), n_chunks);
}

uint64_t kv_cache_bytes(const model_config *config, uint32_t n_layers, uint32_t n_ctx, cllm_kv_type type) {
    const chunk_bytes bytes = bytes_of_chunk(type, config->key_length, config->value_length);
    uint64_t n_chunks, sum = bytes.keys + bytes.values + bytes.key_scales + bytes.value_scales;
    return count_chunks(config, n_layers, n_ctx, &n_chunks) && checked_mul(sum, n_chunks, &sum) ? sum : UINT64_MAX;
}

cllm_status kv_cache_create(const model_config *config, uint32_t n_layers, uint32_t n_ctx, cllm_kv_type type, arena *a,
                            kv_cache *out, cllm_error *err) {
    const chunk_bytes bytes = bytes_of_chunk(type, config->key_length, config->value_length);
    uint64_t n_chunks = 0;
    if (!count_chunks(config, n_layers, n_ctx, &n_chunks)) n_chunks = UINT64_MAX;
    *out = (kv_cache){
        .n_kv_heads = config->n_kv_heads,
        .n_chunks = kv_chunks(n_ctx),
        .first = {.type = type,
                  .key_length = config->key_length,
                  .value_length = config->value_length,
                  .keys = arena_alloc(a, n_chunks, bytes.keys),
                  .values = arena_alloc(a, n_chunks, bytes.values),
                  .key_scales = arena_alloc(a, n_chunks, bytes.key_scales),
                  .value_scales = arena_alloc(a, n_chunks, bytes.value_scales)},
    };
    const kv_chunk *first = &out->first;
    if (first->keys && first->values && first->key_scales && first->value_scales) return CLLM_OK;
    return error_set(err, CLLM_ERR_MEMORY, "no memory for the keys and values of %u positions; use a smaller context",
                     n_ctx);
}

kv_chunk kv_cache_chunk(const kv_cache *kv, uint32_t layer, uint32_t kv_head, uint32_t chunk) {
    kv_chunk at = kv->first;
    const chunk_bytes bytes = bytes_of_chunk(at.type, at.key_length, at.value_length);
    const size_t index = ((size_t)layer * kv->n_kv_heads + kv_head) * kv->n_chunks + chunk;
    at.keys = (unsigned char *)at.keys + index * bytes.keys;
    at.values = (unsigned char *)at.values + index * bytes.values;
    at.key_scales += index * bytes.key_scales / sizeof(float);
    at.value_scales += index * bytes.value_scales / sizeof(float);
    return at;
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
        memcpy((unsigned char *)chunk->values + ((first + i) * KV_CHUNK + position * KV_LANES) * bytes,
               (const unsigned char *)elements + i * bytes, (n - i < KV_LANES ? n - i : KV_LANES) * bytes);
    if (chunk->type == CLLM_KV_Q8_0) chunk->value_scales[first / KV_SCALE_BLOCK * KV_CHUNK + position] = scale;
}
