/* Implements prefix_cache.h: a hash table of pages. The pages of a bucket are a list through known_page.next. */
#include "engine/prefix_cache.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"

#include <string.h>

enum { FIRST_HASH = 1 /* of a text without tokens */ };

static uint32_t count_buckets(uint64_t n_pages) {
    uint32_t n = 1;
    while (n < n_pages && n < 1u << 31) n *= 2;
    return n;
}

uint64_t prefix_cache_bytes(const model_config *config, const kv_size *size) {
    if (size->n_cached == 0) return 0;
    const uint64_t n_pages = kv_pages_count(config, size, KV_FULL);
    const uint64_t of_page = sizeof(known_page) + KV_CHUNK * sizeof(int32_t) + 2 * sizeof(uint32_t);
    uint64_t bytes;
    if (n_pages == UINT64_MAX || !checked_mul(n_pages, of_page, &bytes)) return UINT64_MAX;
    return bytes + kv_chunks(size->n_ctx) * (sizeof(uint32_t) + sizeof(prefix_end)) +
           size->n_states * sizeof(cached_state);
}

cllm_status prefix_cache_create(const kv_size *size, kv_pages *pages, arena *a, prefix_cache *out, cllm_error *err) {
    const uint32_t n_pages = pages->pools[KV_FULL].n_pages;
    *out = (prefix_cache){.pages = pages, .n_most = size->n_cached, .n_states = size->n_states, .pinned = KV_NONE};
    if (out->n_most == 0) return CLLM_OK;
    out->n_buckets = count_buckets(n_pages);
    out->known = arena_alloc(a, n_pages, sizeof *out->known);
    out->tokens = arena_alloc(a, n_pages, KV_CHUNK * sizeof *out->tokens);
    out->buckets = arena_alloc(a, out->n_buckets, sizeof *out->buckets);
    out->found = arena_alloc(a, pages->n_chunks, sizeof *out->found);
    out->ends = arena_alloc(a, pages->n_chunks, sizeof *out->ends);
    out->states = arena_alloc(a, out->n_states, sizeof *out->states);
    if (!out->known || !out->tokens || !out->buckets || !out->found || !out->ends || !out->states)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a prefix cache of %u pages; use a smaller one", n_pages);
    memset(out->buckets, 0xFF, out->n_buckets * sizeof *out->buckets);
    return CLLM_OK;
}

static int32_t *tokens_of(const prefix_cache *cache, uint32_t page) { return cache->tokens + (size_t)page * KV_CHUNK; }

static uint32_t *bucket_of(const prefix_cache *cache, uint64_t hash) {
    return &cache->buckets[(hash ^ hash >> 32) & (cache->n_buckets - 1)];
}

/* Extend the hash of a text by the KV_CHUNK tokens after it. */
static uint64_t hash_on(uint64_t before, const int32_t *tokens) {
    return hash_bytes(before, tokens, KV_CHUNK * sizeof *tokens);
}

/* ------------------------------------------------------------------------------------------------- evicting */

/* Drop a page's states that include more than its first n_tokens. */
static void drop_states(prefix_cache *cache, uint32_t page, uint32_t n_tokens) {
    for (uint32_t *at = &cache->known[page].states; *at != KV_NONE;) {
        cached_state *state = &cache->states[*at];
        if (state->n_tokens > n_tokens) {
            *at = state->next;
            state->n_tokens = 0;
        } else {
            at = &state->next;
        }
    }
}

static void unlist(prefix_cache *cache, uint32_t page) {
    drop_states(cache, page, 0);
    uint32_t *at = bucket_of(cache, cache->known[page].before);
    while (*at != page) at = &cache->known[*at].next;
    *at = cache->known[page].next;
    cache->known[page].known = false;
    if (cache->known[page].previous != KV_NONE) cache->pages->pages[cache->known[page].previous].n_followers--;
}

/* Find the least recently used page that can be evicted. windowed: only its windowed part must be evictable. There must
 * be such a page. */
static uint32_t oldest(const prefix_cache *cache, bool windowed) {
    uint32_t best = KV_NONE;
    for (uint32_t i = 0; i < cache->pages->pools[KV_FULL].n_pages; i++) {
        const kv_page *page = &cache->pages->pages[i];
        const bool idle = windowed ? page->n_windows == 0 && page->windowed != KV_NONE
                                   : page->n_tables == 0 && page->n_followers == 0;
        if (cache->known[i].known && idle &&
            (best == KV_NONE || cache->known[i].last_used < cache->known[best].last_used))
            best = i;
    }
    return best;
}

uint32_t prefix_cache_room(const prefix_cache *cache) {
    return cache->pages->pools[KV_FULL].n_free + cache->pages->pools[KV_FULL].n_idle;
}

void prefix_cache_make_room(prefix_cache *cache, uint32_t n_pages) {
    const kv_pages *pages = cache->pages;
    while (pages->pools[KV_FULL].n_idle > cache->n_most || pages->pools[KV_FULL].n_free < n_pages) {
        const uint32_t page = oldest(cache, false);
        unlist(cache, page);
        kv_page_evict(cache->pages, page);
        cache->n_evicted++;
    }
    /* Unlike above, there may be nothing to evict: a page that will be replaced by its copy becomes idle only after the
     * copy was taken. */
    while (pages->pools[KV_WINDOWED].n_idle > cache->n_most ||
           (pages->pools[KV_WINDOWED].n_idle > 0 && pages->pools[KV_WINDOWED].n_free < n_pages))
        kv_page_evict_windowed(cache->pages, oldest(cache, true));
}

/* ------------------------------------------------------------------------------------------------- learning */

void prefix_cache_forget(prefix_cache *cache, const kv_table *table, uint32_t length) {
    if (cache->n_most == 0 || length % KV_CHUNK == 0) return;
    known_page *last = &cache->known[table->of[KV_FULL].pages[length / KV_CHUNK]];
    if (!last->known) return;
    if (last->n_tokens > length % KV_CHUNK) last->n_tokens = length % KV_CHUNK;
    drop_states(cache, table->of[KV_FULL].pages[length / KV_CHUNK], length % KV_CHUNK);
}

static void list(prefix_cache *cache, uint32_t page, uint32_t previous) {
    known_page *p = &cache->known[page];
    *p = (known_page){.known = true, .previous = previous, .states = KV_NONE, .before = FIRST_HASH};
    if (previous != KV_NONE) {
        p->before = hash_on(cache->known[previous].before, tokens_of(cache, previous));
        cache->pages->pages[previous].n_followers++;
    }
    uint32_t *bucket = bucket_of(cache, p->before);
    p->next = *bucket;
    *bucket = page;
    cache->pages->pages[page].cached = true;
}

void prefix_cache_learn(prefix_cache *cache, const kv_table *table, const int32_t *tokens, uint32_t first,
                        uint32_t end) {
    if (cache->n_most == 0 || first == end) return;
    cache->clock++;
    for (uint32_t chunk = first / KV_CHUNK; chunk < kv_chunks(end); chunk++) {
        const uint32_t page = table->of[KV_FULL].pages[chunk], begin = chunk * KV_CHUNK;
        if (!cache->known[page].known) list(cache, page, chunk > 0 ? table->of[KV_FULL].pages[chunk - 1] : KV_NONE);
        cache->known[page].n_tokens = end - begin < KV_CHUNK ? end - begin : KV_CHUNK;
        cache->known[page].last_used = cache->clock;
        memcpy(tokens_of(cache, page), tokens + begin, cache->known[page].n_tokens * sizeof *tokens);
    }
}

void prefix_cache_touch(prefix_cache *cache, const kv_table *table) {
    if (cache->n_most == 0) return;
    cache->clock++;
    for (uint32_t i = 0; i < table->of[KV_FULL].end; i++)
        cache->known[table->of[KV_FULL].pages[i]].last_used = cache->clock;
}

/* ------------------------------------------------------------------------------------------------- finding */

/* True if windowed layers can read this page, or there are none. */
static bool is_seen(const prefix_cache *cache, uint32_t page) {
    return cache->pages->pools[KV_WINDOWED].n_pages == 0 || cache->pages->pages[page].windowed != KV_NONE;
}

/* The longest state of a page that includes at most its first n_tokens, or KV_NONE. */
static uint32_t find_state(const prefix_cache *cache, uint32_t page, uint32_t n_tokens) {
    uint32_t best = KV_NONE;
    for (uint32_t i = cache->known[page].states; i != KV_NONE; i = cache->states[i].next)
        if (cache->states[i].n_tokens <= n_tokens &&
            (best == KV_NONE || cache->states[i].n_tokens > cache->states[best].n_tokens))
            best = i;
    return best;
}

/* How many of a page's first n_tokens a prefix that ends in this page can include; 0: no prefix can end in it. */
static uint32_t find_end(const prefix_cache *cache, uint32_t page, uint32_t n_tokens) {
    if (!is_seen(cache, page)) return 0;
    if (cache->n_states == 0) return n_tokens;
    const uint32_t state = find_state(cache, page, n_tokens);
    return state != KV_NONE ? cache->states[state].n_tokens : 0;
}

/* True if `page` and all pages before it hold the first n_chunks * KV_CHUNK tokens. The pages in cache->found are known
 * to hold theirs. */
static bool holds(const prefix_cache *cache, uint32_t page, const int32_t *tokens, uint32_t n_chunks) {
    for (; n_chunks > 0; page = cache->known[page].previous) {
        n_chunks--;
        if (cache->found[n_chunks] == page) return true;
        if (page == KV_NONE ||
            memcmp(tokens_of(cache, page), tokens + (size_t)n_chunks * KV_CHUNK, KV_CHUNK * sizeof *tokens) != 0)
            return false;
    }
    return page == KV_NONE;
}

/* Among the pages that can follow the first `chunk` pages, find the one with the longest match. n_same: out, the length
 * of that match; 0: there is none. end: out, the end of the longest usable prefix that ends in one of these pages. */
static uint32_t longest_match(const prefix_cache *cache, uint64_t before, const int32_t *tokens, uint32_t chunk,
                              uint32_t count, uint32_t *n_same, prefix_end *end) {
    uint32_t best = KV_NONE;
    *n_same = 0;
    *end = (prefix_end){KV_NONE, 0};
    for (uint32_t page = *bucket_of(cache, before); page != KV_NONE; page = cache->known[page].next) {
        const known_page *p = &cache->known[page];
        const uint32_t left = count - chunk * KV_CHUNK, most = p->n_tokens < left ? p->n_tokens : left;
        uint32_t n = 0;
        while (n < most && tokens_of(cache, page)[n] == tokens[(size_t)chunk * KV_CHUNK + n]) n++;
        const uint32_t n_end = find_end(cache, page, n);
        const bool is_end = n_end > end->n_same;
        if (n <= *n_same && !is_end) continue;
        if (p->before != before || !holds(cache, p->previous, tokens, chunk)) continue;
        if (is_end) *end = (prefix_end){page, n_end};
        if (n <= *n_same) continue;
        best = page;
        *n_same = n;
    }
    return best;
}

/* True if the cache holds all windowed pages that the end of a prefix of this length sees. page: its last page. Fills
 * cache->found with its pages. */
static bool has_windows(const prefix_cache *cache, uint32_t page, uint32_t length) {
    const uint32_t n_chunks = kv_chunks(length),
                   first = kv_first_seen(cache->pages->window, cache->pages->chunked, length) / KV_CHUNK;
    bool all = true;
    for (uint32_t i = n_chunks; i-- > 0; page = cache->known[page].previous) {
        cache->found[i] = page;
        all = all && (i < first || is_seen(cache, page));
    }
    return all;
}

uint32_t prefix_cache_find(prefix_cache *cache, const int32_t *tokens, uint32_t count) {
    cache->n_matched = 0;
    cache->state = KV_NONE;
    if (cache->n_most == 0) return 0;
    uint64_t before = FIRST_HASH;
    uint32_t n_chunks = 0, n_same = KV_CHUNK, length = 0;
    for (; n_same == KV_CHUNK && n_chunks * KV_CHUNK < count; n_chunks++) {
        const uint32_t i = n_chunks;
        cache->found[i] = KV_NONE;
        cache->found[i] = longest_match(cache, before, tokens, i, count, &n_same, &cache->ends[i]);
        if (n_same == KV_CHUNK) before = hash_on(before, tokens + (size_t)i * KV_CHUNK);
        cache->n_matched += n_same;
    }
    while (n_chunks > 0 && length == 0) {
        const prefix_end end = cache->ends[--n_chunks];
        if (end.n_same > 0 && has_windows(cache, end.page, n_chunks * KV_CHUNK + end.n_same))
            length = n_chunks * KV_CHUNK + end.n_same;
        if (length > 0 && cache->n_states > 0) cache->state = find_state(cache, end.page, end.n_same);
    }
    return length;
}

uint32_t prefix_cache_reuse(prefix_cache *cache, const int32_t *tokens, uint32_t count, kv_table *table) {
    const uint32_t length = prefix_cache_find(cache, tokens, count);
    if (length == 0) return 0;
    kv_table_adopt(table, cache->pages, cache->found, length);
    prefix_cache_touch(cache, table);
    if (cache->state != KV_NONE) cache->states[cache->state].last_used = cache->clock;
    cache->n_hits++;
    cache->n_reused += length;
    return length;
}

/* The place of a new state: a free one, else that of the least recently used state. KV_NONE: there is only the pinned
 * one. */
static uint32_t take_state(const prefix_cache *cache) {
    uint32_t best = KV_NONE;
    for (uint32_t i = 0; i < cache->n_states && (best == KV_NONE || cache->states[best].n_tokens > 0); i++) {
        if (i == cache->pinned) continue;
        const bool is_free = cache->states[i].n_tokens == 0;
        if (best == KV_NONE || is_free || cache->states[i].last_used < cache->states[best].last_used) best = i;
    }
    return best;
}

uint32_t prefix_cache_add_state(prefix_cache *cache, const kv_table *table, const int32_t *tokens, uint32_t length,
                                bool guessed) {
    if (cache->n_states == 0 || length == 0) return KV_NONE;
    cache->clock++;
    if (prefix_cache_find(cache, tokens, length) == length) {
        if (!guessed) cache->states[cache->state].last_used = cache->clock;
        return KV_NONE;
    }
    const uint32_t page = table->of[KV_FULL].pages[(length - 1) / KV_CHUNK], n_tokens = (length - 1) % KV_CHUNK + 1;
    /* the page may be a copy that this sequence has not written yet */
    if (!cache->known[page].known || cache->known[page].n_tokens < n_tokens) return KV_NONE;
    const uint32_t place = take_state(cache);
    if (place == KV_NONE) return KV_NONE;
    cached_state *state = &cache->states[place];
    if (state->n_tokens > 0) {
        if (guessed && state->last_used > 0) return KV_NONE;
        uint32_t *at = &cache->known[state->page].states;
        while (*at != place) at = &cache->states[*at].next;
        *at = state->next;
    }
    *state = (cached_state){
        .page = page, .n_tokens = n_tokens, .next = cache->known[page].states, .last_used = guessed ? 0 : cache->clock};
    cache->known[page].states = place;
    return place;
}
