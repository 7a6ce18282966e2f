/* Two pools of page numbers, the pages, and the tables of sequences. The pools' sizes are computed in one place, for
 * the plan and for the allocation. */
#include "model/kv_pages.h"

#include "base/error.h"

/* ------------------------------------------------------------------------------------------------- sizes */

uint32_t kv_pool_of(const layer_config *layer) {
    return layer->windowed && !layer->bidirectional ? KV_WINDOWED : KV_FULL;
}

static bool has_layers(const model_config *config, uint32_t pool) {
    for (uint32_t i = 0; i < config->n_layers; i++)
        if (kv_pool_of(&config->layers[i]) == pool) return true;
    return false;
}

/* The most windowed pages of a sequence. They hold the positions from the first one that a batch's first token sees up
 * to that of the batch's last token. These positions may begin anywhere in a page. */
static uint64_t windowed_pages(const model_config *c, const kv_size *size) {
    const uint64_t seen = (uint64_t)c->window + size->n_batch - 1;
    const uint64_t n = seen < 2 ? 1 : (seen - 2) / KV_CHUNK + 2;
    return n < kv_chunks(size->n_ctx) ? n : kv_chunks(size->n_ctx);
}

uint64_t kv_pages_count(const model_config *config, const kv_size *size, uint32_t pool) {
    const uint64_t all = (uint64_t)kv_chunks(size->n_positions) + size->n_cached;
    if (pool == KV_FULL) return all < KV_NONE ? all : UINT64_MAX;
    if (!has_layers(config, KV_WINDOWED)) return 0;
    const uint64_t seen = windowed_pages(config, size) * size->n_sequences + size->n_cached; /* below 2^56 */
    return seen < all ? seen : kv_pages_count(config, size, KV_FULL);
}

uint64_t kv_pages_bytes(const model_config *config, const kv_size *size) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        const uint64_t n = kv_pages_count(config, size, i);
        if (n == UINT64_MAX) return UINT64_MAX;
        sum += n * sizeof(uint32_t) + (i == KV_FULL ? n * sizeof(kv_page) : 0);
        /* the tables of the sequences, and one of the engine's own */
        if (n > 0) sum += ((uint64_t)size->n_sequences + 1) * kv_chunks(size->n_ctx) * sizeof(uint32_t);
    }
    return sum;
}

/* ------------------------------------------------------------------------------------------------- pages */

static cllm_status no_memory(uint32_t n_positions, cllm_error *err) {
    return error_set(err, CLLM_ERR_MEMORY, "no memory for the pages of %u positions; use a smaller context",
                     n_positions);
}

cllm_status kv_pages_create(const model_config *config, const kv_size *size, arena *a, kv_pages *out, cllm_error *err) {
    *out = (kv_pages){.n_chunks = kv_chunks(size->n_ctx),
                      .window = config->window,
                      .chunked = config->window_chunked,
                      .drops = windowed_pages(config, size) < kv_chunks(size->n_ctx)};
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        const uint64_t n = kv_pages_count(config, size, i);
        out->pools[i].free = arena_alloc(a, n, sizeof *out->pools[i].free);
        if (!out->pools[i].free) return no_memory(size->n_positions, err);
        out->pools[i].n_pages = (uint32_t)n;
        for (uint32_t k = 0; k < n; k++) /* so that the first pages are taken first */
            out->pools[i].free[out->pools[i].n_free++] = (uint32_t)n - 1 - k;
    }
    out->pages = arena_alloc(a, out->pools[KV_FULL].n_pages, sizeof *out->pages);
    return out->pages ? CLLM_OK : no_memory(size->n_positions, err);
}

static uint32_t take(kv_pages *pages, uint32_t pool) { return pages->pools[pool].free[--pages->pools[pool].n_free]; }

static void give_back(kv_pages *pages, uint32_t pool, uint32_t number) {
    pages->pools[pool].free[pages->pools[pool].n_free++] = number;
}

static bool has_windowed(const kv_pages *pages) { return pages->pools[KV_WINDOWED].n_pages > 0; }

/* A new page. One table holds it, and that table's windows see it. */
static uint32_t new_page(kv_pages *pages) {
    const uint32_t page = take(pages, KV_FULL);
    pages->pages[page] = (kv_page){.n_tables = 1, .windowed = KV_NONE};
    if (has_windowed(pages)) {
        pages->pages[page].n_windows = 1;
        pages->pages[page].windowed = take(pages, KV_WINDOWED);
    }
    return page;
}

static void free_windowed(kv_pages *pages, uint32_t page) {
    if (pages->pages[page].windowed != KV_NONE) give_back(pages, KV_WINDOWED, pages->pages[page].windowed);
    pages->pages[page].windowed = KV_NONE;
}

void kv_page_evict_windowed(kv_pages *pages, uint32_t page) {
    pages->pools[KV_WINDOWED].n_idle--;
    free_windowed(pages, page);
}

void kv_page_evict(kv_pages *pages, uint32_t page) {
    if (pages->pages[page].windowed != KV_NONE) kv_page_evict_windowed(pages, page);
    pages->pages[page].cached = false;
    pages->pools[KV_FULL].n_idle--;
    give_back(pages, KV_FULL, page);
}

/* A table's window leaves a page. */
static void leave_window(kv_pages *pages, uint32_t page) {
    if (--pages->pages[page].n_windows > 0) return;
    if (pages->pages[page].cached)
        pages->pools[KV_WINDOWED].n_idle++;
    else
        free_windowed(pages, page);
}

/* A table drops a page. */
static void release(kv_pages *pages, uint32_t page) {
    if (--pages->pages[page].n_tables > 0) return;
    if (pages->pages[page].cached)
        pages->pools[KV_FULL].n_idle++;
    else
        give_back(pages, KV_FULL, page);
}

/* A table takes a page that another table or the prefix cache holds. sees: its windows see the page. */
static void hold(kv_pages *pages, uint32_t page, bool sees) {
    kv_page *p = &pages->pages[page];
    if (p->n_tables++ == 0) pages->pools[KV_FULL].n_idle--;
    if (sees && p->n_windows++ == 0) pages->pools[KV_WINDOWED].n_idle--;
}

/* ------------------------------------------------------------------------------------------------- tables */

cllm_status kv_table_create(const kv_pages *pages, arena *a, kv_table *out, cllm_error *err) {
    *out = (kv_table){0};
    for (uint32_t i = 0; i < KV_POOLS; i++) {
        out->of[i].pages = arena_alloc(a, pages->pools[i].n_pages > 0 ? pages->n_chunks : 0, sizeof(uint32_t));
        if (!out->of[i].pages) return no_memory(pages->n_chunks * KV_CHUNK, err);
    }
    return CLLM_OK;
}

uint32_t kv_table_last(const kv_table *table, uint32_t length) {
    return length % KV_CHUNK == 0 ? KV_NONE : table->of[KV_FULL].pages[length / KV_CHUNK];
}

/* True if position `length`, the next one, is in a page that others will still hold after n_leaving of them have left
 * it, or that cached pages follow. */
static bool ends_in_shared(const kv_table *table, const kv_pages *pages, uint32_t length, uint32_t n_leaving) {
    const uint32_t last = kv_table_last(table, length);
    return last != KV_NONE && (pages->pages[last].n_tables > 1 + n_leaving || pages->pages[last].n_followers > 0);
}

uint32_t kv_table_needs(const kv_table *table, const kv_pages *pages, uint32_t length, uint32_t end,
                        uint32_t n_leaving) {
    return kv_chunks(end) - table->of[KV_FULL].end + ends_in_shared(table, pages, length, n_leaving);
}

static void put(kv_table *table, const kv_pages *pages, uint32_t chunk, uint32_t page) {
    table->of[KV_FULL].pages[chunk] = page;
    if (has_windowed(pages)) table->of[KV_WINDOWED].pages[chunk] = pages->pages[page].windowed;
}

void kv_table_drop_chunks(kv_table *table, kv_pages *pages, uint32_t first) {
    if (first > table->of[KV_FULL].end) first = table->of[KV_FULL].end;
    for (; has_windowed(pages) && table->of[KV_WINDOWED].first < first; table->of[KV_WINDOWED].first++)
        leave_window(pages, table->of[KV_FULL].pages[table->of[KV_WINDOWED].first]);
}

void kv_table_drop(kv_table *table, kv_pages *pages, uint32_t kept) {
    if (pages->drops) kv_table_drop_chunks(table, pages, kv_first_seen(pages->window, pages->chunked, kept) / KV_CHUNK);
}

kv_copies kv_table_grow(kv_table *table, kv_pages *pages, uint32_t length, uint32_t end) {
    kv_copies copies = {.of = {{KV_NONE, KV_NONE}, {KV_NONE, KV_NONE}}};
    if (ends_in_shared(table, pages, length, 0)) {
        const uint32_t chunk = length / KV_CHUNK, shared = table->of[KV_FULL].pages[chunk], own = new_page(pages);
        copies.of[KV_FULL].from = shared;
        copies.of[KV_FULL].to = own;
        copies.of[KV_WINDOWED].from = pages->pages[shared].windowed;
        copies.of[KV_WINDOWED].to = pages->pages[own].windowed;
        put(table, pages, chunk, own);
        if (has_windowed(pages)) leave_window(pages, shared);
        release(pages, shared);
    }
    while (table->of[KV_FULL].end < kv_chunks(end)) put(table, pages, table->of[KV_FULL].end++, new_page(pages));
    table->of[KV_WINDOWED].end = has_windowed(pages) ? table->of[KV_FULL].end : 0;
    return copies;
}

void kv_table_truncate(kv_table *table, kv_pages *pages, uint32_t length) {
    while (table->of[KV_FULL].end > kv_chunks(length)) {
        const uint32_t chunk = --table->of[KV_FULL].end, page = table->of[KV_FULL].pages[chunk];
        if (has_windowed(pages) && chunk >= table->of[KV_WINDOWED].first) leave_window(pages, page);
        release(pages, page);
    }
    table->of[KV_WINDOWED].end = has_windowed(pages) ? table->of[KV_FULL].end : 0;
    if (length == 0) table->of[KV_WINDOWED].first = 0;
}

bool kv_table_reaches(const kv_table *table, const kv_pages *pages, uint32_t position) {
    return position == 0 ||
           table->of[KV_WINDOWED].first <= kv_first_seen(pages->window, pages->chunked, position) / KV_CHUNK;
}

void kv_table_adopt(kv_table *table, kv_pages *pages, const uint32_t *numbers, uint32_t length) {
    const uint32_t n = kv_chunks(length);
    const uint32_t first = has_windowed(pages) ? kv_first_seen(pages->window, pages->chunked, length) / KV_CHUNK : 0;
    for (uint32_t i = 0; i < n; i++) {
        hold(pages, numbers[i], has_windowed(pages) && i >= first);
        put(table, pages, i, numbers[i]);
    }
    table->of[KV_FULL].end = n;
    table->of[KV_WINDOWED].first = first;
    table->of[KV_WINDOWED].end = has_windowed(pages) ? n : 0;
}
