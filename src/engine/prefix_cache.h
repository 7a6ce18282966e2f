/* The prefix cache: finds pages by the tokens that they hold, and keeps them after their sequence has ended. It keeps
 * states of recurrent layers too. A state belongs to the page that holds the last of its tokens, and is dropped with
 * that page.
 *
 * A page is known as soon as it is written. It is looked up by a hash of all tokens before it. It is used only if these
 * tokens and its own are equal to the wanted ones, compared token by token: so no text ever gets the keys and values of
 * another one. A page may be partly filled, or match only in part. Then it is shared up to where it matches. The
 * sequence writes into a copy of it if another sequence or a page after it needs it; else into the page itself, and the
 * cache forgets the rest.
 *
 * Pages that no sequence holds, and states, stay within a budget. The least recently used one is dropped first; but a
 * page is never dropped before the pages that follow it.
 *
 * Before this: cllm_sequence_reuse, with the tokens of a prompt. After it: the sequence's table of pages
 * (model/kv_pages.h). */
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

/* A state after all tokens before a page and the first n_tokens of the page. */
typedef struct cached_state {
    uint32_t page;
    uint32_t n_tokens;  /* 1..KV_CHUNK; 0: the place is free */
    uint32_t next;      /* of its page, or KV_NONE */
    uint64_t last_used; /* 0: it was only a guess, and nothing has used it: it is replaced first */
} cached_state;

/* A page that a prefix may end in, after n_same of its tokens. */
typedef struct prefix_end {
    uint32_t page, n_same; /* 0: there is none */
} prefix_end;

typedef struct prefix_cache {
    kv_pages *pages;
    uint32_t n_most;      /* most idle pages; 0: there is no cache */
    known_page *known;    /* [n_pages] */
    int32_t *tokens;      /* [n_pages][KV_CHUNK] */
    uint32_t *buckets;    /* [n_buckets] a page or KV_NONE */
    uint32_t n_buckets;   /* a power of 2 */
    uint32_t *found;      /* [n_chunks] the last search: pages that match, */
    prefix_end *ends;     /* [n_chunks] where in each chunk the prefix may end, */
    uint32_t n_matched;   /* how many tokens match, even where a window's pages or a state are missing, */
    uint32_t state;       /* and the number of the state that it found, or KV_NONE */
    uint32_t pinned;      /* number of a state that must not be replaced now, or KV_NONE */
    cached_state *states; /* [n_states] */
    uint32_t n_states;    /* 0: the model needs none */
    uint64_t clock;       /* counts uses */
    uint64_t n_hits, n_reused, n_evicted;
} prefix_cache;

/* Bytes of what prefix_cache_create allocates; UINT64_MAX if that wraps. */
uint64_t prefix_cache_bytes(const model_config *config, const kv_size *size);

/* pages: borrowed. Errors: MEMORY. */
cllm_status prefix_cache_create(const kv_size *size, kv_pages *pages, arena *a, prefix_cache *out, cllm_error *err);

/* How many pages are free or can be evicted. */
uint32_t prefix_cache_room(const prefix_cache *cache);

/* Evict pages until the cache is within its budget and n_pages are free. n_pages: at most prefix_cache_room. */
void prefix_cache_make_room(prefix_cache *cache, uint32_t n_pages);

/* Forget what the last page of a sequence held from position `length` on, because the sequence is about to write
 * there. */
void prefix_cache_forget(prefix_cache *cache, const kv_table *table, uint32_t length);

/* Make the pages of positions first .. end - 1 known, which a sequence has written. tokens: [end], all of the
 * sequence. */
void prefix_cache_learn(prefix_cache *cache, const kv_table *table, const int32_t *tokens, uint32_t first,
                        uint32_t end);

/* Mark all pages of a table as used just now: its sequence has got them, or is about to release some. */
void prefix_cache_touch(prefix_cache *cache, const kv_table *table);

/* Find the longest prefix of `tokens`, [count], that the cache can give: its pages, the windowed pages that its end
 * sees and, if the model needs one, a state at its end. Returns its length; the rest of the result is in `cache`. */
uint32_t prefix_cache_find(prefix_cache *cache, const int32_t *tokens, uint32_t count);

/* The same, and give its pages to an empty table. */
uint32_t prefix_cache_reuse(prefix_cache *cache, const int32_t *tokens, uint32_t count, kv_table *table);

/* Find a place for the state of a sequence's first `length` tokens: a free one, else that of the least recently used
 * state. Returns its number, or KV_NONE: the cache has this state already, does not know its page, or has no place for
 * it. guessed: take no place from a state that is more than a guess. */
uint32_t prefix_cache_add_state(prefix_cache *cache, const kv_table *table, const int32_t *tokens, uint32_t length,
                                bool guessed);

#endif
