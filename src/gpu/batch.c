/* Fills the numbers of a batch. Items of attention, each the work of one group, are listed up to three times: for
 * layers that see everything, for windowed layers, and for the rows that the last layer keeps. A few tokens with one
 * item each would leave most of a GPU idle. So if they see more than one chunk, each chunk becomes an item of its own.
 * Its result is a part, and merging joins the parts. This needs memory for the parts. The bits are the same as with one
 * item. */
#include "gpu/batch.h"

#include "base/checked.h"
#include "base/error.h"
#include "gpu/kernel_args.h"

#include <stdlib.h>
#include <string.h>

enum {
    SPLIT_TOKENS = 4,   /* only spans of at most this many tokens are split into an item for each chunk */
    MOST_ITEMS = 65535, /* most groups of a launch in y (driver.h) */
    N_LISTS = KV_POOLS + 1,
    ITEM_INTS = sizeof(attention_item) / sizeof(int32_t),
    MERGE_INTS = sizeof(merge_item) / sizeof(int32_t),
};

_Static_assert((int)CHUNK == (int)KV_CHUNK, "attention joins the same positions as on the CPU");

/* A span's rows in the current list. */
struct batch_span {
    uint32_t row, out_row, n_rows;
    uint32_t position; /* of the first row */
    uint32_t first_chunk, n_chunks;
    uint32_t pages; /* where in the numbers: [n_chunks] */
    bool split;
    uint32_t part; /* the first one, if the span is split */
};

/* ------------------------------------------------------------------------------------------------- sizes */

static uint32_t sharing(const model_config *c) { return c->n_heads / c->n_kv_heads; }

static uint32_t blocks_of(const model_config *c, uint32_t n_rows) {
    return (n_rows * sharing(c) + QUERIES - 1) / QUERIES;
}

static uint64_t most_spans(const kv_size *size) {
    return size->n_sequences < size->n_batch ? size->n_sequences : size->n_batch;
}

/* Enough to split one token of every sequence, or SPLIT_TOKENS tokens of one sequence that has the whole context. */
uint64_t batch_columns(const kv_size *size) {
    const uint64_t few = (uint64_t)SPLIT_TOKENS * kv_chunks(size->n_ctx);
    const uint64_t all = (uint64_t)kv_chunks(size->n_positions) + size->n_sequences;
    return few > all ? few : all;
}

uint64_t batch_most_numbers(const model_config *c, const kv_size *size) {
    const uint64_t blocks = blocks_of(c, 1); /* a token has the most blocks if its span has no other token */
    const uint64_t items = blocks * (size->n_batch + batch_columns(size));
    const uint64_t list = most_spans(size) * kv_chunks(size->n_ctx) + (uint64_t)size->n_batch * MERGE_INTS +
                          (items < MOST_ITEMS ? items : MOST_ITEMS) * ITEM_INTS;
    const uint64_t n = (uint64_t)size->n_batch * (3 + KV_POOLS) + N_LISTS * list;
    return n <= INT32_MAX ? n : UINT64_MAX;
}

uint64_t batch_bytes(const model_config *c, const kv_size *size) {
    uint64_t bytes;
    if (!checked_mul(batch_most_numbers(c, size), sizeof(int32_t), &bytes)) return UINT64_MAX;
    return bytes + most_spans(size) * sizeof(batch_span);
}

cllm_status batch_create(const model_config *config, const kv_size *size, uint32_t first_layer, gpu_batch *out,
                         cllm_error *err) {
    *out = (gpu_batch){.config = config, .size = *size};
    for (uint32_t i = first_layer; i < config->n_layers; i++) out->has_layers[kv_pool_of(&config->layers[i])] = true;
    const uint64_t n = batch_most_numbers(config, size);
    if (n < SIZE_MAX / sizeof *out->numbers) out->numbers = malloc((size_t)n * sizeof *out->numbers);
    out->spans = calloc((size_t)most_spans(size), sizeof *out->spans);
    if (out->numbers && out->spans) return CLLM_OK;
    batch_free(out);
    return error_set(err, CLLM_ERR_MEMORY, "no memory for a batch of %u tokens; use a smaller batch", size->n_batch);
}

void batch_free(gpu_batch *b) {
    free(b->numbers);
    free(b->spans);
    *b = (gpu_batch){0};
}

/* ------------------------------------------------------------------------------------------------- attention */

static void add(gpu_batch *b, uint32_t number) { b->numbers[b->n_numbers++] = (int32_t)number; }

static uint32_t window_of(const gpu_batch *b, uint32_t pool) { return pool == KV_WINDOWED ? b->config->window : 0; }

/* The chunks that a span's rows see, and their pages. */
static void add_pages(gpu_batch *b, const forward_span *span, uint32_t pool, batch_span *s) {
    s->first_chunk = kv_first_seen(window_of(b, pool), false, s->position) / KV_CHUNK;
    s->n_chunks = (s->position + s->n_rows - 1) / KV_CHUNK + 1 - s->first_chunk;
    s->pages = b->n_numbers;
    for (uint32_t i = 0; i < s->n_chunks; i++) add(b, span->table->of[pool].pages[s->first_chunk + i]);
}

/* Make an item of each of the span's chunks, if there is room for the items and their parts. */
static void choose_split(const gpu_batch *b, batch_span *s, uint64_t *columns_left, uint64_t *items_left) {
    const uint64_t columns = (uint64_t)s->n_rows * s->n_chunks;
    const uint64_t more_items = (uint64_t)blocks_of(b->config, s->n_rows) * (s->n_chunks - 1);
    s->split = s->n_rows <= SPLIT_TOKENS && s->n_chunks > 1 && columns <= *columns_left && more_items <= *items_left;
    if (!s->split) return;
    s->part = (uint32_t)((batch_columns(&b->size) - *columns_left) * b->config->n_heads);
    *columns_left -= columns;
    *items_left -= more_items;
}

/* last: the position of the item's last query. */
static void add_item(gpu_batch *b, attention_list *list, const attention_item *item, uint32_t last) {
    const uint32_t first = (uint32_t)item->first_chunk * KV_CHUNK, n = (uint32_t)item->n_chunks * KV_CHUNK;
    memcpy(b->numbers + b->n_numbers, item, sizeof *item);
    b->n_numbers += ITEM_INTS;
    list->n_items++;
    list->n_positions += last - first < n ? last - first + 1 : n;
}

static void add_items(gpu_batch *b, const batch_span *s, uint32_t window, attention_list *list) {
    attention_item item = {.n_queries = (int)(s->n_rows * sharing(b->config)),
                           .row = (int)s->row,
                           .out_row = (int)s->out_row,
                           .part = -1,
                           .stride = (int)s->n_chunks};
    for (; item.first_query < item.n_queries; item.first_query += QUERIES) {
        const int left = item.n_queries - item.first_query, n = left < QUERIES ? left : QUERIES;
        const uint32_t first = s->position + (uint32_t)item.first_query / sharing(b->config);
        const uint32_t last = s->position + (uint32_t)(item.first_query + n - 1) / sharing(b->config);
        const uint32_t end = last / KV_CHUNK + 1;
        uint32_t chunk = kv_first_seen(window, false, first) / KV_CHUNK;
        const uint32_t n_chunks = s->split ? 1 : end - chunk;
        for (; chunk < end; chunk += n_chunks) {
            item.first_chunk = (int)chunk;
            item.n_chunks = (int)n_chunks;
            item.pages = (int)(s->pages + chunk - s->first_chunk);
            if (s->split) item.part = (int)(s->part + chunk - s->first_chunk);
            add_item(b, list, &item, last);
        }
    }
}

static void add_merges(gpu_batch *b, const batch_span *s, uint32_t window, attention_list *list) {
    for (uint32_t i = 0; s->split && i < s->n_rows; i++) {
        const uint32_t position = s->position + i, first_chunk = kv_first_seen(window, false, position) / KV_CHUNK;
        const merge_item item = {
            .out_row = (int)(s->out_row + i),
            .part = (int)(s->part + i * b->config->n_heads * s->n_chunks + first_chunk - s->first_chunk),
            .n_parts = (int)(position / KV_CHUNK + 1 - first_chunk),
            .stride = (int)s->n_chunks};
        memcpy(b->numbers + b->n_numbers, &item, sizeof item);
        b->n_numbers += MERGE_INTS;
        list->n_merges++;
        list->n_parts += (uint32_t)item.n_parts;
    }
}

/* kept: list only the kept rows. Their output has no gaps: it has one row for each of them. */
static attention_list list_attention(gpu_batch *b, const forward_span *spans, uint32_t n_spans, uint32_t pool,
                                     bool kept) {
    attention_list list = {0};
    uint64_t columns_left = batch_columns(&b->size), items_left = MOST_ITEMS;
    uint32_t n = 0, row = 0, out_row = 0;
    for (uint32_t i = 0; i < n_spans; row += spans[i++].n_rows) {
        const uint32_t n_rows = kept ? spans[i].n_kept : spans[i].n_rows, left_out = spans[i].n_rows - n_rows;
        if (n_rows == 0) continue;
        b->spans[n] = (batch_span){.row = row + left_out,
                                   .out_row = out_row,
                                   .n_rows = n_rows,
                                   .position = spans[i].first_position + left_out};
        add_pages(b, &spans[i], pool, &b->spans[n++]);
        items_left -= blocks_of(b->config, n_rows);
        out_row += n_rows;
    }
    for (uint32_t i = 0; i < n; i++) choose_split(b, &b->spans[i], &columns_left, &items_left);
    list.items = b->n_numbers;
    for (uint32_t i = 0; i < n; i++) add_items(b, &b->spans[i], window_of(b, pool), &list);
    list.merges = b->n_numbers;
    for (uint32_t i = 0; i < n; i++) add_merges(b, &b->spans[i], window_of(b, pool), &list);
    return list;
}

/* ------------------------------------------------------------------------------------------------------ rows */

static void add_rows(gpu_batch *b, const forward_span *spans, uint32_t n_spans) {
    b->positions = b->n_numbers;
    for (uint32_t i = 0; i < n_spans; i++)
        for (uint32_t k = 0; k < spans[i].n_rows; k++) add(b, spans[i].first_position + k);
    for (uint32_t pool = 0; pool < KV_POOLS; pool++) {
        b->pages[pool] = b->n_numbers;
        for (uint32_t i = 0; b->has_layers[pool] && i < n_spans; i++)
            for (uint32_t k = 0; k < spans[i].n_rows; k++)
                add(b, spans[i].table->of[pool].pages[(spans[i].first_position + k) / KV_CHUNK]);
    }
    b->kept_rows = b->n_numbers;
    for (uint32_t i = 0, row = 0; i < n_spans; row += spans[i++].n_rows)
        for (uint32_t k = 0; k < spans[i].n_kept; k++) add(b, row + spans[i].n_rows - spans[i].n_kept + k);
    b->n_kept = b->n_numbers - b->kept_rows;
}

void batch_begin(gpu_batch *b, const forward_span *spans, uint32_t n_spans, const int32_t *tokens) {
    const uint32_t last_pool = kv_pool_of(&b->config->layers[b->config->n_layers - 1]);
    b->n_rows = 0;
    for (uint32_t i = 0; i < n_spans; i++) b->n_rows += spans[i].n_rows;
    memcpy(b->numbers, tokens, b->n_rows * sizeof *tokens);
    b->n_numbers = b->n_rows;
    add_rows(b, spans, n_spans);
    for (uint32_t pool = 0; pool < KV_POOLS; pool++)
        if (b->has_layers[pool]) b->attention[pool] = list_attention(b, spans, n_spans, pool, false);
    b->kept = b->n_kept < b->n_rows ? list_attention(b, spans, n_spans, last_pool, true) : b->attention[last_pool];
}
