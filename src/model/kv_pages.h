/* Pages: which positions of which sequences are stored, and who holds them. A page is a number. Its bytes are
 * elsewhere: kv_store.h says where on the CPU, gpu/forward_gpu.c on a GPU.
 *
 * A page holds the keys and values of KV_CHUNK positions in all layers. Layers that see the whole context, and all
 * layers of encoders, are in the first pool, at the page's own number. Other windowed layers are in a second pool,
 * usually a smaller one. There the page has a different number. It gives that number back when no window sees its
 * positions any more, unless the prefix cache keeps it.
 *
 * A sequence has a table of the pages of its positions. Pages may be shared: each counts the tables that hold it. A
 * page that several hold, or that cached pages follow, is replaced by a copy before it is written. A page that the
 * prefix cache knows stays when no table holds it any more: then it is idle.
 *
 * Everything is allocated with the engine. */
#ifndef MODEL_KV_PAGES_H
#define MODEL_KV_PAGES_H

#include "base/arena.h"
#include "model/config.h"

enum { KV_CHUNK = 256 };

enum { KV_FULL, KV_WINDOWED, KV_POOLS };

#define KV_NONE UINT32_MAX /* no page */

/* How many chunks n_positions take. Chunk i of a sequence is its positions from i * KV_CHUNK on, those of one page. */
static inline uint32_t kv_chunks(uint32_t n_positions) {
    return n_positions / KV_CHUNK + (n_positions % KV_CHUNK != 0);
}

/* The first position that `position` sees through its window; 0 if `window` is 0. chunked: windows follow one another,
 * and a position sees only its own window. */
static inline uint32_t kv_first_seen(uint32_t window, bool chunked, uint32_t position) {
    if (chunked && window > 0) return position / window * window;
    return window > 0 && position >= window ? position - window + 1 : 0;
}

typedef struct kv_size {
    uint32_t n_ctx;       /* most positions of a sequence */
    uint32_t n_batch;     /* most rows of a batch; windowed pages are kept for going back by as many positions */
    uint32_t n_sequences; /* most at a time */
    uint32_t n_positions; /* of all sequences together (kv_pages_count rounds up to whole pages) */
    uint32_t n_cached;    /* additional pages that the prefix cache may keep */
    uint32_t n_states;    /* states of recurrent layers that it may keep */
} kv_size;

typedef struct kv_page {
    uint32_t n_tables;    /* that hold it */
    uint32_t n_windows;   /* tables whose windows see it */
    uint32_t n_followers; /* cached pages that come after it */
    uint32_t windowed;    /* its number in KV_WINDOWED, or KV_NONE */
    bool cached;          /* it stays when no table holds it any more, until it is evicted */
} kv_page;

typedef struct kv_pages {
    uint32_t n_chunks; /* of a sequence */
    uint32_t window;   /* positions that a windowed layer sees */
    bool chunked;      /* windows follow one another */
    bool drops;        /* tables drop the windowed part of pages that the window has left */
    struct {
        uint32_t n_pages; /* of KV_WINDOWED: 0 if it has no layers */
        uint32_t n_free;
        uint32_t n_idle; /* cached pages that no table holds; of KV_WINDOWED: that no window sees */
        uint32_t *free;  /* [n_pages] free numbers: the first n_free */
    } pools[KV_POOLS];
    kv_page *pages; /* [n_pages of KV_FULL] */
} kv_pages;

/* The pages of one sequence. */
typedef struct kv_table {
    struct {
        uint32_t *pages; /* [n_chunks] numbers, for chunks first <= i < end */
        uint32_t first, end;
    } of[KV_POOLS];
} kv_table;

/* For each pool, what must be copied before a sequence writes. */
typedef struct kv_copies {
    struct {
        uint32_t from, to; /* KV_NONE: nothing */
    } of[KV_POOLS];
} kv_copies;

/* The pool of a layer's keys and values. */
uint32_t kv_pool_of(const layer_config *layer);

/* Pages of a pool; of KV_WINDOWED 0 if it has no layers. UINT64_MAX if there are too many. */
uint64_t kv_pages_count(const model_config *config, const kv_size *size, uint32_t pool);

/* Bytes that the functions below allocate. */
uint64_t kv_pages_bytes(const model_config *config, const kv_size *size);

/* Errors: MEMORY. */
cllm_status kv_pages_create(const model_config *config, const kv_size *size, arena *a, kv_pages *out, cllm_error *err);

/* An empty table; there are at most n_sequences + 1. Errors: MEMORY. */
cllm_status kv_table_create(const kv_pages *pages, arena *a, kv_table *out, cllm_error *err);

/* The page of position `length`, the next one; KV_NONE if it begins a new page. */
uint32_t kv_table_last(const kv_table *table, uint32_t length);

/* How many free pages kv_table_grow will take. n_leaving: how many of the other tables that hold kv_table_last will
 * have replaced it with a copy by then. */
uint32_t kv_table_needs(const kv_table *table, const kv_pages *pages, uint32_t length, uint32_t end,
                        uint32_t n_leaving);

/* Drop the windowed parts that no position from `kept` on sees, unless there is room for all; the second function drops
 * those of the chunks before `first`. */
void kv_table_drop(kv_table *table, kv_pages *pages, uint32_t kept);
void kv_table_drop_chunks(kv_table *table, kv_pages *pages, uint32_t first);

/* Take pages for positions length .. end - 1. A page that others hold too, or that cached pages follow, is replaced,
 * and the caller must copy its contents. There must be enough free pages, and at most n_cached windowed parts may be
 * idle. length < end <= n_ctx, and end is at most n_batch more than the `kept` of the last kv_table_drop. */
kv_copies kv_table_grow(kv_table *table, kv_pages *pages, uint32_t length, uint32_t end);

/* Release the pages of positions from `length` on. */
void kv_table_truncate(kv_table *table, kv_pages *pages, uint32_t length);

/* True if the table holds everything that position `position`, the next one, sees. */
bool kv_table_reaches(const kv_table *table, const kv_pages *pages, uint32_t position);

/* Give an empty table its first `length` positions: these pages, [kv_chunks(length)], and their windowed parts as far
 * back as position `length` sees. */
void kv_table_adopt(kv_table *table, kv_pages *pages, const uint32_t *numbers, uint32_t length);

/* Evict a cached page that no table holds and no cached page follows, or its windowed part, if no window sees it. */
void kv_page_evict(kv_pages *pages, uint32_t page);
void kv_page_evict_windowed(kv_pages *pages, uint32_t page);

#endif
