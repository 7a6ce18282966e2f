/* The keys and values of the positions evaluated so far: what attention looks back at.
 *
 * They lie in pages of KV_CHUNK positions each, in two pools: a page of the first holds its positions of all layers that see the
 * whole context, a page of the second those of the windowed layers. A sequence has a table for each pool, which says in which page
 * its positions lie. It takes pages as it grows. A windowed page is given back once the window has left all of its positions.
 *
 * Filled and read by the forward pass. The pools are made with the session, and nothing is allocated later.
 *
 * A page is [layers of its pool][n_kv_heads] chunks. A chunk lies as attention reads it: in rows of KV_LANES elements, so that a
 * vector register takes a row as it is:
 *
 *     keys     [KV_CHUNK / KV_LANES][key_length][KV_LANES positions]     a row: one element of 16 positions
 *     values   [value_length / KV_LANES, rounded up][KV_CHUNK][KV_LANES elements]     16 elements of one position
 *
 * of floats, halfs or, for q8_0, int8 values: 32 elements of a head (or what is left of them) share a scale, a float.
 *
 *     key_scales     [KV_CHUNK / KV_LANES][key_length / KV_SCALE_BLOCK, rounded up][KV_LANES positions]
 *     value_scales   [value_length / KV_SCALE_BLOCK, rounded up][KV_CHUNK]
 */
#ifndef MODEL_KV_PAGES_H
#define MODEL_KV_PAGES_H

#include "base/arena.h"
#include "model/config.h"

enum {
    KV_LANES = 16,
    KV_CHUNK = 256,
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

static inline uint32_t kv_chunks(uint32_t n_positions) {
    return n_positions / KV_CHUNK + (n_positions % KV_CHUNK != 0);
}

/* The first position that `position` looks back at, over a window or, if that is 0, over all. */
static inline uint32_t kv_first_seen(uint32_t window, uint32_t position) {
    return window > 0 && position >= window ? position - window + 1 : 0;
}

/* `length` elements of a value fill so many, whole rows. */
static inline size_t kv_padded(size_t length) { return (length + KV_LANES - 1) / KV_LANES * KV_LANES; }

static inline size_t kv_scale_blocks(size_t length) { return (length + KV_SCALE_BLOCK - 1) / KV_SCALE_BLOCK; }

static inline size_t kv_element_bytes(cllm_kv_type type) {
    return type == CLLM_KV_Q8_0 ? 1 : type == CLLM_KV_F16 ? 2 : 4;
}

enum { KV_FULL, KV_WINDOWED, KV_POOLS };

typedef struct kv_pool {
    unsigned char *bytes; /* [n_pages][page_bytes] */
    uint64_t page_bytes;
    uint32_t n_pages;
    uint32_t n_free;
    uint32_t *free; /* [n_pages] the numbers of pages that no table holds: the first n_free */
} kv_pool;

typedef struct kv_pages {
    cllm_kv_type type;
    uint32_t n_layers;
    uint32_t n_kv_heads;
    uint32_t key_length;
    uint32_t value_length;
    uint32_t n_chunks; /* of the context */
    uint32_t window;   /* positions that a windowed layer sees */
    bool drops;        /* does a table give back the windowed pages that the window has left? */
    kv_pool pools[KV_POOLS];
    uint32_t *pool_of;  /* [n_layers] */
    uint32_t *place_of; /* [n_layers] of a layer among those of its pool */
} kv_pages;

/* The pages of one sequence. */
typedef struct kv_table {
    struct {
        uint32_t *pages; /* [n_chunks] of chunks first <= i < end */
        uint32_t first, end;
    } of[KV_POOLS];
} kv_table;

typedef struct kv_size {
    uint32_t n_layers; /* the model's first */
    uint32_t n_sequences;
    uint32_t n_ctx;   /* most positions of one of them */
    uint32_t n_batch; /* most positions written before the first of them is read */
    cllm_kv_type type;
} kv_size;

/* Bytes of all pages, beside which the 8 bytes that tables take of each are not counted; UINT64_MAX if that wraps. */
uint64_t kv_pages_bytes(const model_config *config, const kv_size *size);

/* Errors: MEMORY. A page is not touched until it is written. */
cllm_status kv_pages_create(const model_config *config, const kv_size *size, arena *a, kv_pages *out, cllm_error *err);

/* An empty table; there are at most n_sequences. Errors: MEMORY. */
cllm_status kv_table_create(const kv_pages *pages, arena *a, kv_table *out, cllm_error *err);

/* Take pages for all positions before `end`, which is at most n_batch after `kept`, and give back those that no position from
 * `kept` on looks back at. 0 <= end <= n_ctx. */
void kv_table_grow(kv_table *table, kv_pages *pages, uint32_t kept, uint32_t end);

/* Give back the pages of positions from `length` on. */
void kv_table_truncate(kv_table *table, kv_pages *pages, uint32_t length);

/* Does the table hold all that position `position`, the next one, looks back at? */
bool kv_table_reaches(const kv_table *table, const kv_pages *pages, uint32_t position);

/* Positions chunk * KV_CHUNK and on, which the table holds. */
kv_chunk kv_table_chunk(const kv_table *table, const kv_pages *pages, uint32_t layer, uint32_t kv_head, uint32_t chunk);

/* Does one of the positions before `end` hold an infinity of float16, as far as windows have kept them? */
bool kv_table_beyond_f16(const kv_table *table, const kv_pages *pages, uint32_t end);

/* Put elements first .. first + n - 1 of a key or a value, converted to the chunk's type, at a position of a chunk,
 * 0..KV_CHUNK-1. first is a multiple of KV_SCALE_BLOCK, and n <= KV_SCALE_BLOCK; scale is for q8_0. */
void kv_chunk_put_key(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                      float scale);
void kv_chunk_put_value(const kv_chunk *chunk, uint32_t position, size_t first, size_t n, const void *elements,
                        float scale);

#endif
