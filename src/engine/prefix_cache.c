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
    return bytes + kv_chunks(size->n_ctx) * sizeof(uint32_t);
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
    if (!out->known || !out->tokens || !out->buckets || !out->found)
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

/* Can a text go on after this page? Its window then sees it. */
static bool can_end_in(const prefix_cache *cache, uint32_t page) {
    return cache->pages->pools[KV_WINDOWED].n_pages == 0 || cache->pages->pages[page].windowed != KV_NONE;
}

/* Of the pages that come after the first `chunk` ones, that with the longest match. n_same: out, 0 if there is none. */
static uint32_t longest_match(const prefix_cache *cache, uint64_t before, const int32_t *tokens, uint32_t chunk,
                              uint32_t count, uint32_t *n_same) {
    uint32_t best = KV_NONE;
    *n_same = 0;
    for (uint32_t page = *bucket_of(cache, before); page != KV_NONE; page = cache->known[page].next) {
        const known_page *p = &cache->known[page];
        const uint32_t left = count - chunk * KV_CHUNK, most = p->n_tokens < left ? p->n_tokens : left;
        uint32_t n = 0;
        while (n < most && tokens_of(cache, page)[n] == tokens[(size_t)chunk * KV_CHUNK + n]) n++;
        if ((n < KV_CHUNK || n == left) && !can_end_in(cache, page)) continue;
        const bool better = n > *n_same || (n > 0 && n == *n_same && !can_end_in(cache, best));
        if (!better || p->before != before || !holds(cache, p->previous, tokens, chunk)) continue;
        best = page;
        *n_same = n;
    }
    return best;
}

/* The longest length up to this one at which windows find all that they see. */
static uint32_t with_windows(const prefix_cache *cache, uint32_t length) {
    const kv_pages *pages = cache->pages;
    if (pages->pools[KV_WINDOWED].n_pages == 0) return length;
    for (uint32_t i = kv_chunks(length); i > kv_first_seen(pages->window, length) / KV_CHUNK; i--)
        if (pages->pages[cache->found[i - 1]].windowed == KV_NONE) length = (i - 1) * KV_CHUNK;
    return length;
}

uint32_t prefix_cache_reuse(prefix_cache *cache, const int32_t *tokens, uint32_t count, kv_table *table) {
    if (cache->n_most == 0) return 0;
    uint64_t before = FIRST_HASH;
    uint32_t length = 0, n_same = KV_CHUNK;
    for (uint32_t chunk = 0; n_same == KV_CHUNK && chunk * KV_CHUNK < count; chunk++) {
        cache->found[chunk] = KV_NONE;
        cache->found[chunk] = longest_match(cache, before, tokens, chunk, count, &n_same);
        length += n_same;
        if (n_same == KV_CHUNK) before = hash_on(before, tokens + (size_t)chunk * KV_CHUNK);
    }
    /* A table holds all pages before one that it holds, so that idle pages are followed by idle ones alone. */
    for (uint32_t i = kv_chunks(length); i-- > 1;) cache->found[i - 1] = cache->known[cache->found[i]].previous;
    length = with_windows(cache, length);
    if (length == 0) return 0;
    kv_table_adopt(table, cache->pages, cache->found, length);
    prefix_cache_touch(cache, table);
    cache->n_hits++;
    cache->n_reused += length;
    return length;
}
