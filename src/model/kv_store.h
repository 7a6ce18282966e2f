/* Where the keys and values of pages are on the CPU. Each pool is one block of memory, [pages][layers of the
 * pool][n_kv_heads] chunks. Each layer has its own number and size of chunks. If it has an indexer, one more chunk
 * follows, for the indexer's keys. The layers of an encoder use the same chunks, one after another.
 *
 * The CPU's forward pass writes and reads the chunks. Everything is allocated with the engine.
 *
 * A chunk has the order in which attention reads it: rows of KV_LANES elements, so that a vector register loads a row:
 *
 *     keys     [KV_CHUNK / KV_LANES][key_length][KV_LANES positions]     a row: one element of 16 positions
 *     values   [value_length / KV_LANES, rounded up][KV_CHUNK][KV_LANES elements]     16 elements of one position
 *
 * Elements are floats, halfs or, for q8_0, int8 values: then 32 elements of a head (or the rest of it) share a float
 * scale.
 *
 *     key_scales     [KV_CHUNK / KV_LANES][key_length / KV_SCALE_BLOCK, rounded up][KV_LANES positions]
 *     value_scales   [value_length / KV_SCALE_BLOCK, rounded up][KV_CHUNK] */
#ifndef MODEL_KV_STORE_H
#define MODEL_KV_STORE_H

#include "model/kv_pages.h"

enum {
    KV_LANES = 16,
    KV_SCALE_BLOCK = 32,
};

/* KV_CHUNK positions of one layer and key/value head, see above. */
typedef struct kv_chunk {
    cllm_kv_type type;
    uint32_t key_length;
    uint32_t value_length;
    void *keys;
    void *values;
    float *key_scales; /* for q8_0 */
    float *value_scales;
} kv_chunk;

/* Elements that a value of this length takes, in whole rows. */
static inline size_t kv_padded(size_t length) { return (length + KV_LANES - 1) / KV_LANES * KV_LANES; }

static inline size_t kv_scale_blocks(size_t length) { return (length + KV_SCALE_BLOCK - 1) / KV_SCALE_BLOCK; }

static inline size_t kv_element_bytes(cllm_kv_type type) {
    return type == CLLM_KV_Q8_0 ? 1 : type == CLLM_KV_F16 ? 2 : 4;
}

/* Where a layer's chunks are in a page. */
typedef struct kv_place {
    uint32_t pool;
    uint32_t n_kv_heads; /* number of chunks; 0: the layer stores nothing */
    uint32_t key_length;
    uint32_t value_length;
    uint32_t index_key_length; /* for one more chunk without values; 0: none */
    uint64_t offset;           /* of the first chunk */
} kv_place;

typedef struct kv_store {
    cllm_kv_type type;
    uint32_t n_layers;
    struct {
        unsigned char *bytes; /* [n_pages][page_bytes] */
        uint64_t page_bytes;
    } pools[KV_POOLS];
    kv_place *places; /* [n_layers]; a layer without keys of its own has the place of the layer whose keys it reads */
} kv_store;

/* Bytes of one page of a pool, for the model's first n_layers; UINT64_MAX on overflow. */
uint64_t kv_store_page_bytes(const model_config *config, cllm_kv_type type, uint32_t n_layers, uint32_t pool);

/* Bytes of all pages; UINT64_MAX on overflow. */
uint64_t kv_store_bytes(const model_config *config, cllm_kv_type type, uint32_t n_layers, const kv_size *size);

/* Errors: MEMORY. A page is not touched until it is written. */
cllm_status kv_store_create(const model_config *config, cllm_kv_type type, uint32_t n_layers, const kv_size *size,
                            arena *a, kv_store *out, cllm_error *err);

void kv_store_copy(const kv_store *store, const kv_copies *copies);

/* The bytes of a page in its pool. */
static inline void *kv_store_page(const kv_store *store, uint32_t pool, uint32_t page) {
    return store->pools[pool].bytes + page * store->pools[pool].page_bytes;
}

/* Zero positions first..KV_CHUNK-1 of a page of this pool. page: its bytes, or a copy of them. */
void kv_store_blank(const kv_store *store, uint32_t pool, void *page, uint32_t first);

/* The chunk of positions chunk * KV_CHUNK and on, which the table holds. kv_head == n_kv_heads: the keys of an
 * indexer. */
kv_chunk kv_store_chunk(const kv_store *store, const kv_table *table, uint32_t layer, uint32_t kv_head, uint32_t chunk);

/* True if a position before `end` that windows have kept holds an infinity of float16. */
bool kv_store_beyond_f16(const kv_store *store, const kv_table *table, uint32_t end);

/* Write elements first .. first + n - 1 of a key or value to a position of a chunk, 0..KV_CHUNK-1. elements: [n], of
 * the chunk's type. first is a multiple of KV_SCALE_BLOCK for keys, and of KV_LANES for values; n <= KV_SCALE_BLOCK.
 * scale is for q8_0. */
void kv_chunk_put_key(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                      float scale);
void kv_chunk_put_value(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                        float scale);

/* How many bytes a chunk takes (most with CLLM_KV_F32), and the chunk that is at `bytes`, in a page or elsewhere. */
uint64_t kv_chunk_bytes(cllm_kv_type type, uint32_t key_length, uint32_t value_length);
kv_chunk kv_chunk_at(cllm_kv_type type, uint32_t key_length, uint32_t value_length, void *bytes);

/* Copy the key and the value of a position of `from` to position `at` of a chunk with the same sizes. */
void kv_chunk_copy(const kv_chunk *from, uint32_t position, const kv_chunk *to, uint32_t at);

#endif
