/* The prefix cache: pages are found by the tokens that they hold, and stay when their sequence has ended. So do states of recurrent
 * layers: each belongs to the page that holds the last of its tokens, and ends with it.
 *
 * A page is known from its first write on. It is found by a hash of all tokens before it, and is used only if these and its own
 * are the same, token by token: nobody is ever given the keys and values of another text. A page that is not full, or that
 * matches in part, is shared up to where it matches, and copied when the sequence writes on.
 *
 * Pages that no sequence holds, and states, stay under a budget. The least recently used goes first, but no page before those that come
 * after it. */
#ifndef ENGINE_PREFIX_CACHE_H
#define ENGINE_PREFIX_CACHE_H

#include "model/kv_pages.h"

typedef struct known_page {
    bool known;
    uint32_t previous; /* the page before it, or KV_NONE: it is the first */
    uint32_t n_tokens; /* 1..KV_CHUNK */
    uint32_t next;     /* in its bucket, or KV_NONE */
    uint32_t states;   /* the first of its states, or KV_NONE */
    uint64_t before;   /* hash of all tokens before it */
    uint64_t last_used;
} known_page;

/* A state of all tokens before a page, and of the first n_tokens of it. */
typedef struct cached_state {
    uint32_t page;
    uint32_t n_tokens;  /* 1..KV_CHUNK; 0: the place is free */
    uint32_t next;      /* of its page, or KV_NONE */
    uint64_t last_used; /* 0: nothing speaks for it yet, and it goes before all others */
} cached_state;

/* A page that a prefix may end in, after n_same of its tokens. */
typedef struct prefix_end {
    uint32_t page, n_same; /* 0: there is none */
} prefix_end;

typedef struct prefix_cache {
    kv_pages *pages;
    uint32_t n_most;    /* idle pages; 0: there is no cache */
    known_page *known;  /* [n_pages] */
    int32_t *tokens;    /* [n_pages][KV_CHUNK] */
    uint32_t *buckets;  /* [n_buckets] a page or KV_NONE */
    uint32_t n_buckets; /* a power of 2 */
    uint32_t *found;    /* [n_chunks] the pages of the prefix that is looked for, */
    prefix_end *ends;   /* [n_chunks] and where it may end */
    uint32_t n_matched; /* tokens of it that pages hold, with or without what else it needs, */
    uint32_t state;     /* and the place of its state, or KV_NONE */
    uint32_t pinned;    /* the place of a state that is not replaced now, or KV_NONE */
    cached_state *states;
    uint32_t n_states; /* 0: the model needs none */
    uint64_t clock;    /* counts uses */
    uint64_t n_hits, n_reused, n_evicted;
} prefix_cache;

/* Bytes of what prefix_cache_create allocates; UINT64_MAX if that wraps. */
uint64_t prefix_cache_bytes(const model_config *config, const kv_size *size);

/* pages stays borrowed. Errors: MEMORY. */
cllm_status prefix_cache_create(const kv_size *size, kv_pages *pages, arena *a, prefix_cache *out, cllm_error *err);

/* Pages that are free, or that can be made so. */
uint32_t prefix_cache_room(const prefix_cache *cache);

/* Keep the budget, and evict until n_pages are free; there is room for them. */
void prefix_cache_make_room(prefix_cache *cache, uint32_t n_pages);

/* A sequence is about to write positions from `length` on: what its last page held there is forgotten. */
void prefix_cache_forget(prefix_cache *cache, const kv_table *table, uint32_t length);

/* A sequence has written positions first .. end - 1. tokens: [end] all of its. */
void prefix_cache_learn(prefix_cache *cache, const kv_table *table, const int32_t *tokens, uint32_t first,
                        uint32_t end);

/* A sequence lets pages go. */
void prefix_cache_touch(prefix_cache *cache, const kv_table *table);

/* Give an empty table the longest prefix of `tokens` that is held, with what its windows see and, where the model needs one, a state.
 * Returns its length, at most count. */
uint32_t prefix_cache_find(prefix_cache *cache, const int32_t *tokens, uint32_t count); /* without giving it */
uint32_t prefix_cache_reuse(prefix_cache *cache, const int32_t *tokens, uint32_t count, kv_table *table);

/* A place for a state of a sequence's first `length` tokens, or KV_NONE: it is held, or there is no room. guessed: only a place that nobody
 * needs. */
uint32_t prefix_cache_add_state(prefix_cache *cache, const kv_table *table, const int32_t *tokens, uint32_t length,
                                bool guessed);

#endif
