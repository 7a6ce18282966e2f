/* Where the keys and values of pages lie on the CPU: for each pool one block of memory, [pages][layers of the pool][n_kv_heads] chunks,
 * each layer's of its own number and size, and after them one of the keys of its indexer, if it has one.
 *
 * Filled and read by the CPU's forward pass. It is made with the engine, and nothing is allocated later.
 *
 * A chunk lies as attention reads it: in rows of KV_LANES elements, so that a vector register takes a row as it is:
 *
 *     keys     [KV_CHUNK / KV_LANES][key_length][KV_LANES positions]     a row: one element of 16 positions
 *     values   [value_length / KV_LANES, rounded up][KV_CHUNK][KV_LANES elements]     16 elements of one position
 *
 * of floats, halfs or, for q8_0, int8 values: 32 elements of a head (or what is left of them) share a scale, a float.
 *
 *     key_scales     [KV_CHUNK / KV_LANES][key_length / KV_SCALE_BLOCK, rounded up][KV_LANES positions]
 *     value_scales   [value_length / KV_SCALE_BLOCK, rounded up][KV_CHUNK]
 */
#ifndef MODEL_KV_STORE_H
#define MODEL_KV_STORE_H

#include "model/kv_pages.h"

enum {
    KV_LANES = 16,
    KV_SCALE_BLOCK = 32,
};

/* KV_CHUNK positions of one layer and key/value head, as drawn above. */
typedef struct kv_chunk {
    cllm_kv_type type;
    uint32_t key_length;
    uint32_t value_length;
    void *keys;
    void *values;
    float *key_scales; /* of q8_0 */
    float *value_scales;
} kv_chunk;

/* `length` elements of a value fill so many, whole rows. */
static inline size_t kv_padded(size_t length) { return (length + KV_LANES - 1) / KV_LANES * KV_LANES; }

static inline size_t kv_scale_blocks(size_t length) { return (length + KV_SCALE_BLOCK - 1) / KV_SCALE_BLOCK; }

static inline size_t kv_element_bytes(cllm_kv_type type) {
    return type == CLLM_KV_Q8_0 ? 1 : type == CLLM_KV_F16 ? 2 : 4;
}

/* Where a layer's chunks lie in a page. */
typedef struct kv_place {
    uint32_t pool;
    uint32_t n_kv_heads; /* chunks; 0: the layer keeps nothing */
    uint32_t key_length;
    uint32_t value_length;
    uint32_t index_key_length; /* of one more chunk, which has no values; 0: there is none */
    uint64_t offset;           /* of the first */
} kv_place;

typedef struct kv_store {
    cllm_kv_type type;
    uint32_t n_layers;
    struct {
        unsigned char *bytes; /* [n_pages][page_bytes] */
        uint64_t page_bytes;
    } pools[KV_POOLS];
    kv_place *places; /* [n_layers]; of a layer without keys of its own, that of the one that it reads */
} kv_store;

/* Bytes of one page of a pool, for the model's first n_layers; UINT64_MAX if that wraps. */
uint64_t kv_store_page_bytes(const model_config *config, cllm_kv_type type, uint32_t n_layers, uint32_t pool);

/* Bytes of all pages; UINT64_MAX if that wraps. */
uint64_t kv_store_bytes(const model_config *config, cllm_kv_type type, uint32_t n_layers, const kv_size *size);

/* Errors: MEMORY. A page is not touched until it is written. */
cllm_status kv_store_create(const model_config *config, cllm_kv_type type, uint32_t n_layers, const kv_size *size,
                            arena *a, kv_store *out, cllm_error *err);

void kv_store_copy(const kv_store *store, const kv_copies *copies);

/* The bytes of a page, in its pool. */
static inline void *kv_store_page(const kv_store *store, uint32_t pool, uint32_t page) {
    return store->pools[pool].bytes + page * store->pools[pool].page_bytes;
}

/* Zero what positions first..KV_CHUNK-1 of a page of this pool hold; page: its bytes, or a copy. */
void kv_store_blank(const kv_store *store, uint32_t pool, void *page, uint32_t first);

/* Positions chunk * KV_CHUNK and on, which the table holds. kv_head n_kv_heads: an indexer's keys. */
kv_chunk kv_store_chunk(const kv_store *store, const kv_table *table, uint32_t layer, uint32_t kv_head, uint32_t chunk);

/* Does one of the positions before `end` hold an infinity of float16, as far as windows have kept them? */
bool kv_store_beyond_f16(const kv_store *store, const kv_table *table, uint32_t end);

/* Put elements first .. first + n - 1 of a key or a value, converted to the chunk's type, at a position of a chunk,
 * 0..KV_CHUNK-1. first is a multiple of KV_SCALE_BLOCK, and n <= KV_SCALE_BLOCK; scale is for q8_0. */
void kv_chunk_put_key(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                      float scale);
void kv_chunk_put_value(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                        float scale);

/* A chunk outside of pages, and its bytes, of which floats take the most. */
uint64_t kv_chunk_bytes(cllm_kv_type type, uint32_t key_length, uint32_t value_length);
kv_chunk kv_chunk_at(cllm_kv_type type, uint32_t key_length, uint32_t value_length, void *bytes);

/* Put the key and the value of a position of `from` at position `at` of a chunk of the same sizes. */
void kv_chunk_copy(const kv_chunk *from, uint32_t position, const kv_chunk *to, uint32_t at);

#endif
