/* Four planes in an arena. Their sizes are computed in one place, for the plan and for the allocation. */
#include "model/kv_cache.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/half.h"

#include <string.h>

/* Of so many slots of one head. */
typedef struct slot_bytes {
    uint64_t keys, values, key_scales, value_scales;
} slot_bytes;

static slot_bytes bytes_of_slots(cllm_kv_type type, uint32_t key_length, uint32_t value_length, uint64_t n_slots) {
    const uint64_t element_bytes = n_slots * kv_element_bytes(type);
    const uint64_t scale_bytes = type == CLLM_KV_Q8_0 ? n_slots * sizeof(float) : 0;
    return (slot_bytes){
        .keys = key_length * element_bytes,
        .values = kv_padded(value_length) * element_bytes,
        .key_scales = kv_scale_blocks(key_length) * scale_bytes,
        .value_scales = kv_scale_blocks(value_length) * scale_bytes,
    };
}

/* Slots of a windowed layer: what the first token of a batch still sees when the last is written. 0: all positions fit. */
static uint32_t ring_slots(const model_config *c, const kv_cache_size *size) {
    const uint64_t needed = ((uint64_t)c->window + size->n_batch - 1 + KV_LANES - 1) / KV_LANES * KV_LANES;
    bool windowed = false;
    for (uint32_t i = 0; i < size->n_layers; i++) windowed = windowed || config_is_windowed(c, i);
    return windowed && needed < (uint64_t)kv_chunks(size->n_ctx) * KV_CHUNK ? (uint32_t)needed : 0;
}

static uint64_t layer_slots(const model_config *c, const kv_cache_size *size, uint32_t ring, uint32_t layer) {
    return ring > 0 && config_is_windowed(c, layer) ? ring : (uint64_t)kv_chunks(size->n_ctx) * KV_CHUNK;
}

/* Of all layers and heads. At most 2^16 layers of 2^32 slots and 2^31 heads: checked where it could wrap. */
static bool count_slots(const model_config *c, const kv_cache_size *size, uint64_t *n_slots) {
    *n_slots = 0;
    const uint32_t ring = ring_slots(c, size);
    for (uint32_t i = 0; i < size->n_layers; i++) *n_slots += layer_slots(c, size, ring, i);
    return checked_mul(*n_slots, c->n_kv_heads, n_slots);
}

uint64_t kv_cache_bytes(const model_config *config, const kv_cache_size *size) {
    const slot_bytes bytes = bytes_of_slots(size->type, config->key_length, config->value_length, 1);
    uint64_t n_slots, sum = bytes.keys + bytes.values + bytes.key_scales + bytes.value_scales;
    return count_slots(config, size, &n_slots) && checked_mul(sum, n_slots, &sum) ? sum : UINT64_MAX;
}

cllm_status kv_cache_create(const model_config *config, const kv_cache_size *size, arena *a, kv_cache *out,
                            cllm_error *err) {
    const slot_bytes bytes = bytes_of_slots(size->type, config->key_length, config->value_length, 1);
    uint64_t n_slots = 0;
    if (!count_slots(config, size, &n_slots)) n_slots = UINT64_MAX;
    *out = (kv_cache){
        .n_kv_heads = config->n_kv_heads,
        .n_chunks = kv_chunks(size->n_ctx),
        .ring = ring_slots(config, size),
        .first = {.type = size->type,
                  .key_length = config->key_length,
                  .value_length = config->value_length,
                  .n_slots = KV_CHUNK,
                  .keys = arena_alloc(a, n_slots, bytes.keys),
                  .values = arena_alloc(a, n_slots, bytes.values),
                  .key_scales = arena_alloc(a, n_slots, bytes.key_scales),
                  .value_scales = arena_alloc(a, n_slots, bytes.value_scales)},
        .at = arena_alloc(a, (uint64_t)size->n_layers + 1, sizeof *out->at),
    };
    const kv_chunk *first = &out->first;
    if (!first->keys || !first->values || !first->key_scales || !first->value_scales || !out->at)
        return error_set(err, CLLM_ERR_MEMORY,
                         "no memory for the keys and values of %u positions; use a smaller context", size->n_ctx);
    for (uint32_t i = 0; i < size->n_layers; i++) out->at[i + 1] = out->at[i] + layer_slots(config, size, out->ring, i);
    return CLLM_OK;
}

kv_chunk kv_cache_chunk(const kv_cache *kv, uint32_t layer, uint32_t kv_head, uint32_t chunk) {
    kv_chunk at = kv->first;
    const uint64_t n_slots = kv->at[layer + 1] - kv->at[layer];
    uint64_t slot = kv->at[layer] * kv->n_kv_heads + kv_head * n_slots;
    if (kv->ring > 0 && n_slots == kv->ring) {
        at.n_slots = kv->ring;
        at.first_slot = (uint32_t)((uint64_t)chunk * KV_CHUNK % kv->ring);
    } else {
        slot += (uint64_t)chunk * KV_CHUNK;
    }
    const slot_bytes bytes = bytes_of_slots(at.type, at.key_length, at.value_length, slot);
    at.keys = (unsigned char *)at.keys + bytes.keys;
    at.values = (unsigned char *)at.values + bytes.values;
    at.key_scales += bytes.key_scales / sizeof(float);
    at.value_scales += bytes.value_scales / sizeof(float);
    return at;
}

bool kv_cache_holds(const kv_cache *kv, uint32_t window, uint32_t end, uint32_t position) {
    const uint64_t oldest = position >= window ? (uint64_t)position + 1 - window : 0;
    return kv->ring == 0 || position == 0 || end <= oldest + kv->ring;
}

static bool slot_beyond_f16(const kv_chunk *chunk, size_t slot) {
    const uint16_t *keys = chunk->keys, *values = chunk->values;
    for (size_t i = 0; i < chunk->key_length; i++)
        if (f16_is_infinite(keys[(slot / KV_LANES * chunk->key_length + i) * KV_LANES + slot % KV_LANES])) return true;
    for (size_t i = 0; i < chunk->value_length; i++)
        if (f16_is_infinite(values[(i / KV_LANES * chunk->n_slots + slot) * KV_LANES + i % KV_LANES])) return true;
    return false;
}

bool kv_cache_beyond_f16(const kv_cache *kv, uint32_t n_layers, uint32_t end) {
    for (uint32_t layer = 0; kv->first.type == CLLM_KV_F16 && layer < n_layers; layer++)
        for (uint32_t head = 0; head < kv->n_kv_heads; head++)
            for (uint32_t position = 0; position < end; position++) {
                const kv_chunk chunk = kv_cache_chunk(kv, layer, head, position / KV_CHUNK);
                if (slot_beyond_f16(&chunk, kv_slot(&chunk, position % KV_CHUNK))) return true;
            }
    return false;
}

void kv_chunk_put_key(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                      float scale) {
    const size_t slot = kv_slot(chunk, position), tile = slot / KV_LANES, lane = slot % KV_LANES;
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
    const size_t bytes = kv_element_bytes(chunk->type), slot = kv_slot(chunk, position);
    for (size_t i = 0; i < n; i += KV_LANES)
        memcpy((unsigned char *)chunk->values + ((first + i) * chunk->n_slots + slot * KV_LANES) * bytes,
               (const unsigned char *)elements + i * bytes, (n - i < KV_LANES ? n - i : KV_LANES) * bytes);
    if (chunk->type == CLLM_KV_Q8_0) chunk->value_scales[first / KV_SCALE_BLOCK * chunk->n_slots + slot] = scale;
}
