/* The keys and values of the positions evaluated so far: what attention looks back at.
 * Filled and read by the forward pass; owned by a session.
 *
 * They lie as attention reads them: rows of KV_LANES elements, so that a vector register takes a row as it is. Positions
 * come in chunks of KV_CHUNK; for one layer and key/value head a chunk is
 *
 *     keys     [KV_CHUNK / KV_LANES][key_length][KV_LANES positions]     a row: one element of 16 positions
 *     values   [value_length / KV_LANES, rounded up][KV_CHUNK][KV_LANES elements]     16 elements of one position
 *
 * of floats, halfs or, for q8_0, int8 values: 32 elements of a head (or what is left of them) share a scale, a float.
 *
 *     key_scales     [KV_CHUNK / KV_LANES][key_length / KV_SCALE_BLOCK, rounded up][KV_LANES positions]
 *     value_scales   [value_length / KV_SCALE_BLOCK, rounded up][KV_CHUNK]
 */
#ifndef MODEL_KV_CACHE_H
#define MODEL_KV_CACHE_H

#include "base/arena.h"
#include "model/config.h"

enum {
    KV_LANES = 16,
    KV_CHUNK = 256,
    KV_SCALE_BLOCK = 32,
};

/* One layer and key/value head: all its chunks, or one of them. */
typedef struct kv_chunk {
    cllm_kv_type type;
    uint32_t key_length;
    uint32_t value_length;
    void *keys;
    void *values;
    float *key_scales; /* for q8_0 */
    float *value_scales;
} kv_chunk;

typedef struct kv_cache {
    uint32_t n_kv_heads;
    uint32_t n_chunks; /* of a layer's head */
    kv_chunk first;    /* of layer 0, head 0; the others follow: [n_layers][n_kv_heads][n_chunks] */
} kv_cache;

static inline uint32_t kv_chunks(uint32_t n_positions) {
    return n_positions / KV_CHUNK + (n_positions % KV_CHUNK != 0);
}

/* `length` elements of a value fill so many, whole rows. */
static inline size_t kv_padded(size_t length) { return (length + KV_LANES - 1) / KV_LANES * KV_LANES; }

static inline size_t kv_scale_blocks(size_t length) { return (length + KV_SCALE_BLOCK - 1) / KV_SCALE_BLOCK; }

static inline size_t kv_element_bytes(cllm_kv_type type) {
    return type == CLLM_KV_Q8_0 ? 1 : type == CLLM_KV_F16 ? 2 : 4;
}

/* Bytes of a cache of n_ctx positions of the first n_layers layers; UINT64_MAX if that wraps. */
uint64_t kv_cache_bytes(const model_config *config, uint32_t n_layers, uint32_t n_ctx, cllm_kv_type type);

/* Errors: MEMORY. The pages are not touched until positions are written. */
cllm_status kv_cache_create(const model_config *config, uint32_t n_layers, uint32_t n_ctx, cllm_kv_type type, arena *a,
                            kv_cache *out, cllm_error *err);

/* Positions chunk * KV_CHUNK and on. */
kv_chunk kv_cache_chunk(const kv_cache *kv, uint32_t layer, uint32_t kv_head, uint32_t chunk);

/* Put elements first .. first + n - 1 of a key or a value, converted to the cache's type, at a position of a chunk,
 * 0..KV_CHUNK-1. first is a multiple of KV_SCALE_BLOCK, and n <= KV_SCALE_BLOCK; scale is for q8_0. */
void kv_chunk_put_key(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                      float scale);
void kv_chunk_put_value(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                        float scale);

#endif
