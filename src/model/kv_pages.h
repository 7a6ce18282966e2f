/* Pages: which positions of which sequences are held, and by whom. A page is a number; where its bytes lie is each forward pass's
 * own affair (kv_store.h on the CPU).
 *
 * A page holds the keys and values of KV_CHUNK positions in all layers. Its layers that see the whole context lie in the first
 * pool, at the page's own number. Its windowed layers lie in a second, smaller pool, at a number that the page is given there, and
 * which is taken back once no window sees these positions.
 *
 * A sequence has a table of the pages of its positions. Pages may be shared: each counts the tables that hold it, and one that is
 * not a table's alone is replaced by a copy before it is written. A page that the prefix cache knows stays when no table holds it any more: it
 * is idle.
 *
 * All is made with the engine, and nothing is allocated later. */
#ifndef MODEL_KV_PAGES_H
#define MODEL_KV_PAGES_H

#include "base/arena.h"
#include "model/config.h"

enum { KV_CHUNK = 256 };

enum { KV_FULL, KV_WINDOWED, KV_POOLS };

#define KV_NONE UINT32_MAX /* no page */

static inline uint32_t kv_chunks(uint32_t n_positions) {
    return n_positions / KV_CHUNK + (n_positions % KV_CHUNK != 0);
}

/* The first position that `position` looks back at, over a window or, if that is 0, over all. chunked: windows stand one after
 * another, and it looks back to the begin of its own. */
static inline uint32_t kv_first_seen(uint32_t window, bool chunked, uint32_t position) {
    if (chunked && window > 0) return position / window * window;
    return window > 0 && position >= window ? position - window + 1 : 0;
}

typedef struct kv_size {
    uint32_t n_ctx;       /* most positions of a sequence */
    uint32_t n_batch;     /* most positions that a sequence writes before the first of them is read */
    uint32_t n_sequences; /* most at a time */
    uint32_t n_positions; /* of all of them; pages are taken whole */
    uint32_t n_cached;    /* pages that the prefix cache may keep beside, */
    uint32_t n_states;    /* and states of recurrent layers */
} kv_size;

typedef struct kv_page {
    uint32_t n_tables;    /* that hold it */
    uint32_t n_windows;   /* tables whose windows see it */
    uint32_t n_followers; /* cached pages that come after it */
    uint32_t windowed;    /* its number in KV_WINDOWED, or KV_NONE */
    bool cached;          /* it stays when no table holds it, until it is evicted */
} kv_page;

typedef struct kv_pages {
    uint32_t n_chunks; /* of a sequence */
    uint32_t window;   /* positions that a windowed layer sees */
    bool chunked;      /* such windows stand one after another */
    bool drops;        /* does a table drop the windowed part of pages that the window has left? */
    struct {
        uint32_t n_pages; /* 0: no layer is of this kind */
        uint32_t n_free;
        uint32_t n_idle; /* of cached pages that no table holds, or no window sees */
        uint32_t *free;  /* [n_pages] the numbers that are free: the first n_free */
    } pools[KV_POOLS];
    kv_page *pages; /* [n_pages of KV_FULL] */
} kv_pages;

/* The pages of one sequence. */
typedef struct kv_table {
    struct {
        uint32_t *pages; /* [n_chunks] numbers, of chunks first <= i < end */
        uint32_t first, end;
    } of[KV_POOLS];
} kv_table;

/* What must be copied, in each pool, before a sequence writes. */
typedef struct kv_copies {
    struct {
        uint32_t from, to; /* KV_NONE: nothing */
    } of[KV_POOLS];
} kv_copies;

/* The pool that a layer's keys and values lie in. */
uint32_t kv_pool_of(const layer_config *layer);

/* Pages of a pool, 0 where there is no layer of its kind; UINT64_MAX if there are too many. */
uint64_t kv_pages_count(const model_config *config, const kv_size *size, uint32_t pool);

/* Bytes of all that the functions below allocate. */
uint64_t kv_pages_bytes(const model_config *config, const kv_size *size);

/* Errors: MEMORY. */
cllm_status kv_pages_create(const model_config *config, const kv_size *size, arena *a, kv_pages *out, cllm_error *err);

/* An empty table; there are at most n_sequences. Errors: MEMORY. */
cllm_status kv_table_create(const kv_pages *pages, arena *a, kv_table *out, cllm_error *err);

/* The page that position `length`, the next one, lies in; KV_NONE if it begins one. */
uint32_t kv_table_last(const kv_table *table, uint32_t length);

/* How many free pages kv_table_grow will take, once n_leaving of the tables that hold kv_table_last have replaced it by a copy. */
uint32_t kv_table_needs(const kv_table *table, const kv_pages *pages, uint32_t length, uint32_t end,
                        uint32_t n_leaving);

/* Drop the windowed parts that no position from `kept` on looks back at, unless there is room for all; or those of the chunks before
 * `first`. */
void kv_table_drop(kv_table *table, kv_pages *pages, uint32_t kept);
void kv_table_drop_chunks(kv_table *table, kv_pages *pages, uint32_t first);

/* Take pages for positions length .. end - 1, at most n_batch after the last kv_table_drop's `kept`. A page that is not the table's alone is
 * replaced; what it held must be copied. So many pages must be free, and of windowed parts at most n_cached be idle.
 * length < end <= n_ctx. */
kv_copies kv_table_grow(kv_table *table, kv_pages *pages, uint32_t length, uint32_t end);

/* Give back the pages of positions from `length` on. */
void kv_table_truncate(kv_table *table, kv_pages *pages, uint32_t length);

/* Does the table hold all that position `position`, the next one, looks back at? */
bool kv_table_reaches(const kv_table *table, const kv_pages *pages, uint32_t position);

/* Give an empty table these pages, [kv_chunks(length)], which hold its first `length` positions, and their windowed parts as far back as
 * position `length` looks. */
void kv_table_adopt(kv_table *table, kv_pages *pages, const uint32_t *numbers, uint32_t length);

/* Give up a cached page that no table holds and no cached page follows, or its windowed part, which no window sees. */
void kv_page_evict(kv_pages *pages, uint32_t page);
void kv_page_evict_windowed(kv_pages *pages, uint32_t page);

#endif
