/* The keys and values of the positions evaluated so far: what attention looks back at.
 *
 * A layer that sees a window holds no more than the window and a batch: its positions go round in a ring.
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

/* One chunk of one layer and key/value head: KV_CHUNK positions, of which position p lies in slot
 * (first_slot + p) % n_slots. Both are multiples of KV_LANES. */
typedef struct kv_chunk {
    cllm_kv_type type;
    uint32_t key_length;
    uint32_t value_length;
    uint32_t n_slots;    /* KV_CHUNK; of a windowed layer, the positions of its ring */
    uint32_t first_slot; /* 0; of a windowed layer, where the chunk begins in the ring */
    void *keys;          /* as drawn above, with n_slots for KV_CHUNK */
    void *values;
    float *key_scales; /* for q8_0 */
    float *value_scales;
} kv_chunk;

static inline size_t kv_slot(const kv_chunk *chunk, size_t position) {
    const size_t slot = chunk->first_slot + position;
    return slot < chunk->n_slots ? slot : slot % chunk->n_slots; /* a chunk that is no ring never divides */
}

typedef struct kv_cache {
    uint32_t n_kv_heads;
    uint32_t n_chunks; /* of a layer's head that is not windowed */
    uint32_t ring;     /* slots of one that is, or 0: all layers are alike */
    kv_chunk first;    /* of the first layer's first head */
    uint64_t *at; /* [n_layers + 1] slots of one head of the layers before; a layer's heads lie one after another */
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

/* What a cache is for. */
typedef struct kv_cache_size {
    uint32_t n_layers; /* the model's first */
    uint32_t n_ctx;
    uint32_t n_batch; /* most positions written before the first of them is read */
    cllm_kv_type type;
} kv_cache_size;

/* UINT64_MAX if that wraps. */
uint64_t kv_cache_bytes(const model_config *config, const kv_cache_size *size);

/* Errors: MEMORY. The pages are not touched until positions are written. */
cllm_status kv_cache_create(const model_config *config, const kv_cache_size *size, arena *a, kv_cache *out,
                            cllm_error *err);

/* Positions chunk * KV_CHUNK and on. */
kv_chunk kv_cache_chunk(const kv_cache *kv, uint32_t layer, uint32_t kv_head, uint32_t chunk);

/* With `end` positions evaluated, does the cache still hold all that position `position`, the next, would look back at?
 * (Always, where no ring goes round.) */
bool kv_cache_holds(const kv_cache *kv, uint32_t window, uint32_t end, uint32_t position);

/* Do the first `end` positions, as far as windows have kept them, hold infinities of float16? */
bool kv_cache_beyond_f16(const kv_cache *kv, uint32_t n_layers, uint32_t end);

/* Put elements first .. first + n - 1 of a key or a value, converted to the cache's type, at a position of a chunk,
 * 0..KV_CHUNK-1. first is a multiple of KV_SCALE_BLOCK, and n <= KV_SCALE_BLOCK; scale is for q8_0. */
void kv_chunk_put_key(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                      float scale);
void kv_chunk_put_value(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                        float scale);

#endif
