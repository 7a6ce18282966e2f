/* A hash table of pages, chained through known_page.next. */
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
    return bytes + kv_chunks(size->n_ctx) * (sizeof(uint32_t) + sizeof(prefix_end));
}

cllm_status prefix_cache_create(const kv_size *size, kv_pages *pages, arena *a, prefix_cache *out, cllm_error *err) {
    const uint32_t n_pages = pages->pools[KV_FULL].n_pages;
    *out = (prefix_cache){.pages = pages, .n_most = size->n_cached};
    if (out->n_most == 0) return CLLM_OK;
    out->n_buckets = count_buckets(n_pages);
    out->known = arena_alloc(a, n_pages, sizeof *out->known);
    out->tokens = arena_alloc(a, n_pages, KV_CHUNK * sizeof *out->tokens);
    out->buckets = arena_alloc(a, out->n_buckets, sizeof *out->buckets);
    out->found = arena_alloc(a, pages->n_chunks, sizeof *out->found);
    out->ends = arena_alloc(a, pages->n_chunks, sizeof *out->ends);
    if (!out->known || !out->tokens || !out->buckets || !out->found || !out->ends)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a prefix cache of %u pages; use a smaller one", n_pages);
    memset(out->buckets, 0xFF, out->n_buckets * sizeof *out->buckets);
    return CLLM_OK;
}

static int32_t *tokens_of(const prefix_cache *cache, uint32_t page) { return cache->tokens + (size_t)page * KV_CHUNK; }

static uint32_t *bucket_of(const prefix_cache *cache, uint64_t hash) {
    return &cache->buckets[(hash ^ hash >> 32) & (cache->n_buckets - 1)];
}

/* The hash of a text, from that of all before its last KV_CHUNK tokens. */
static uint64_t hash_on(uint64_t before, const int32_t *tokens) {
    return hash_bytes(before, tokens, KV_CHUNK * sizeof *tokens);
}

/* ------------------------------------------------------------------------------------------------- evicting */

static void unlist(prefix_cache *cache, uint32_t page) {
    uint32_t *at = bucket_of(cache, cache->known[page].before);
    while (*at != page) at = &cache->known[*at].next;
    *at = cache->known[page].next;
    cache->known[page].known = false;
    if (cache->known[page].previous != KV_NONE) cache->pages->pages[cache->known[page].previous].n_followers--;
}

/* The least recently used of the pages that can be evicted, or whose windowed parts can; there is one. */
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
    /* A page that is replaced by its copy may become idle only after the copy was taken. */
    while (pages->pools[KV_WINDOWED].n_idle > cache->n_most ||
           (pages->pools[KV_WINDOWED].n_idle > 0 && pages->pools[KV_WINDOWED].n_free < n_pages))
        kv_page_evict_windowed(cache->pages, oldest(cache, true));
}

/* ------------------------------------------------------------------------------------------------- learning */

void prefix_cache_forget(prefix_cache *cache, const kv_table *table, uint32_t length) {
    if (cache->n_most == 0 || length % KV_CHUNK == 0) return;
    known_page *last = &cache->known[table->of[KV_FULL].pages[length / KV_CHUNK]];
    if (last->known && last->n_tokens > length % KV_CHUNK) last->n_tokens = length % KV_CHUNK;
}

static void list(prefix_cache *cache, uint32_t page, uint32_t previous) {
    known_page *p = &cache->known[page];
    *p = (known_page){.known = true, .previous = previous, .before = FIRST_HASH};
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
    if (cache->n_most == 0) return;
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

/* Do windows find this page? */
static bool is_seen(const prefix_cache *cache, uint32_t page) {
    return cache->pages->pools[KV_WINDOWED].n_pages == 0 || cache->pages->pages[page].windowed != KV_NONE;
}

/* Do `page` and all pages before it hold the first n_chunks * KV_CHUNK tokens? Those in cache->found do. */
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

/* Of the pages that come after the first `chunk` ones, that with the longest match. n_same: out, 0 if there is none. end: out, the same of
 * those whose windowed part is still there. */
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
        const bool is_end = n > end->n_same && is_seen(cache, page);
        if (n <= *n_same && !is_end) continue;
        if (p->before != before || !holds(cache, p->previous, tokens, chunk)) continue;
        if (is_end) *end = (prefix_end){page, n};
        if (n <= *n_same) continue;
        best = page;
        *n_same = n;
    }
    return best;
}

/* Does a prefix of this length, whose last page is `page`, find all that its windows see? Fills cache->found with its pages. */
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
    if (cache->n_most == 0) return 0;
    uint64_t before = FIRST_HASH;
    uint32_t n_chunks = 0, n_same = KV_CHUNK, length = 0;
    for (; n_same == KV_CHUNK && n_chunks * KV_CHUNK < count; n_chunks++) {
        const uint32_t i = n_chunks;
        cache->found[i] = KV_NONE;
        cache->found[i] = longest_match(cache, before, tokens, i, count, &n_same, &cache->ends[i]);
        if (n_same == KV_CHUNK) before = hash_on(before, tokens + (size_t)i * KV_CHUNK);
    }
    while (n_chunks > 0 && length == 0) {
        const prefix_end end = cache->ends[--n_chunks];
        if (end.n_same > 0 && has_windows(cache, end.page, n_chunks * KV_CHUNK + end.n_same))
            length = n_chunks * KV_CHUNK + end.n_same;
    }
    return length;
}

uint32_t prefix_cache_reuse(prefix_cache *cache, const int32_t *tokens, uint32_t count, kv_table *table) {
    const uint32_t length = prefix_cache_find(cache, tokens, count);
    if (length == 0) return 0;
    kv_table_adopt(table, cache->pages, cache->found, length);
    prefix_cache_touch(cache, table);
    cache->n_hits++;
    cache->n_reused += length;
    return length;
}
