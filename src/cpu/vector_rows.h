/* The matrix product of quantized weights: splits rows into vectors, and tokens into groups that are processed
 * together. */
#ifndef CPU_VECTOR_ROWS_H
#define CPU_VECTOR_ROWS_H

#include "cpu/vector_quants.h"

/* NULL for types that are not quantized. */
static const quantized_kernel *const quantized_kernels[QUANT_TYPE_LIMIT] = {
#define X(type) [QUANT_##type] = &OF_ISA(kernels_##type),
    QUANTIZED_TYPES(X)
#undef X
};

/* Which of the rows first_row..end_row-1 a vector holds: lane i has row `first` + i * step, for i < n_rows. */
typedef struct row_vector {
    uint32_t first, step, n_rows;
    row_lanes lanes;
    later_rows later;
} row_vector;

/* With few tokens, the speed of memory is the limit. A core reads faster from several pages at a time than from one,
 * because it prefetches in each of them. So the rows of a vector are spread over the range: each lane reads its own
 * stretch of memory, one row after the other. The rows of an interleaved matrix cannot be spread. There vectors are
 * taken in groups of AHEAD, and while one group is read, the next is prefetched, in LANES places at a time. */
typedef struct row_range {
    const matrix *w;
    uint32_t first_row, end_row;
    uint32_t step; /* from row to row of a vector; a divisor of the number of full vectors */
    uint8_t *tail; /* [LANES][row_bytes] a copy of the last rows if they do not fill a vector, followed by zeros */
} row_range;

enum { AHEAD = 4, PAGE = 4096 };

INLINE uint32_t row_range_vectors(const row_range *range) {
    return (range->end_row - range->first_row + LANES - 1) / LANES;
}

INLINE row_vector interleaved_vector(const row_range *range, uint32_t index) {
    const matrix *w = range->w;
    const uint8_t *data = w->data;
    const uint32_t first = range->first_row + index * LANES, left = range->end_row - first;
    const uint32_t later = range->first_row + (index / AHEAD + 1) * AHEAD * LANES + index % AHEAD;
    return (row_vector){.first = first,
                        .step = 1,
                        .n_rows = left < LANES ? left : LANES,
                        .lanes = {.data = data + (first - first % ROW_GROUP) * w->row_bytes,
                                  .lane = first % ROW_GROUP,
                                  .interleaved = true},
                        .later = {data + later * w->row_bytes, AHEAD * w->row_bytes}};
}

/* The rows after those that fill vectors. */
INLINE row_vector last_vector(const row_range *range) {
    const matrix *w = range->w;
    const uint32_t n_rows = (range->end_row - range->first_row) % LANES, first = range->end_row - n_rows;
    memcpy(range->tail, (const uint8_t *)w->data + first * w->row_bytes, n_rows * w->row_bytes);
    memset(range->tail + n_rows * w->row_bytes, 0, (LANES - n_rows) * w->row_bytes);
    return (row_vector){.first = first,
                        .step = 1,
                        .n_rows = n_rows,
                        .lanes = {.data = range->tail, .stride = w->row_bytes},
                        .later = {range->tail, w->row_bytes}};
}

/* Each `step` vectors share step * LANES neighbouring rows: vector i of them has rows i, i + step, i + 2 * step .. */
INLINE uint32_t first_of_vector(const row_range *range, uint32_t index) {
    return range->first_row + (index - index % range->step) * LANES + index % range->step;
}

/* Inlined, so that its result need not be stored and loaded again. */
INLINE row_vector row_range_vector(const row_range *range, uint32_t index) {
    const matrix *w = range->w;
    const uint8_t *data = w->data;
    if (w->interleaved) return interleaved_vector(range, index);
    if (index == (range->end_row - range->first_row) / LANES) return last_vector(range);
    const uint32_t first = first_of_vector(range, index), later = first_of_vector(range, index + 1);
    const size_t stride = range->step * w->row_bytes;
    return (row_vector){.first = first,
                        .step = range->step,
                        .n_rows = LANES,
                        .lanes = {.data = data + first * w->row_bytes, .stride = stride},
                        .later = {data + later * w->row_bytes, stride}};
}

INLINE void store_rows(const row_vector *rows, const float *sums, float *out) {
    for (size_t i = 0; i < rows->n_rows; i++) out[rows->first + i * rows->step] = sums[i];
}

/* A thread's scratch. */
typedef struct quantized_scratch {
    unpacked tile[TILE_BLOCKS][TILE_VECTORS];
    float sums[BATCH_COLUMNS][TILE_VECTORS][LANES];
    uint8_t tail[];
} quantized_scratch;

INLINE activation_columns columns_from(const activations *x, size_t token, size_t first_column) {
    const size_t n_blocks = x->n_columns / ACTIVATION_BLOCK;
    return (activation_columns){x->quantized + token * x->n_columns + first_column, x->n_columns,
                                x->blocks + token * n_blocks + first_column / ACTIVATION_BLOCK, n_blocks};
}

/* For few tokens a tile takes more time than it saves. They are multiplied directly, 8, 4, 2 or 1 at a time. */
static void multiply_few(const row_range *range, const activations *x, size_t n_batch, float *out, size_t out_stride) {
    const matrix *w = range->w;
    const size_t n_units = w->n_columns / quant_type_layout(w->type)->block_elements;
    const uint32_t n_vectors = row_range_vectors(range);
    for (uint32_t i = 0; i < n_vectors; i++) {
        const row_vector rows = row_range_vector(range, i);
        for (size_t token = 0, size = 3; token < n_batch; token += (size_t)1 << size) {
            float sums[DIRECT_COLUMNS][LANES];
            while (n_batch - token < (size_t)1 << size) size--;
            quantized_kernels[w->type]->dot[size](rows.lanes, rows.later, n_units, columns_from(x, token, 0), sums[0]);
            for (size_t c = 0; c < (size_t)1 << size; c++) store_rows(&rows, sums[c], out + (token + c) * out_stride);
        }
    }
}

/* TILE_VECTORS vectors of rows times tokens token..token+n_tokens-1. Vectors that do not exist repeat the first one. */
static void multiply_tiles(const matrix *w, const row_vector rows[TILE_VECTORS], const activations *x, size_t token,
                           size_t n_tokens, quantized_scratch *scratch) {
    const quantized_kernel *kernel = quantized_kernels[w->type];
    const size_t unit_columns = quant_type_layout(w->type)->block_elements;
    const size_t block_bytes = quant_type_layout(w->type)->block_bytes * ACTIVATION_BLOCK / unit_columns;
    rows_ahead ahead = {(const uint8_t *)w->data + (rows[0].first + TILE_VECTORS * LANES) * w->row_bytes,
                        TILE_VECTORS * LANES * block_bytes};
    memset(scratch->sums, 0, n_tokens * sizeof *scratch->sums);
    for (size_t column = 0; column < w->n_columns; column += TILE_DEPTH) {
        const size_t depth = w->n_columns - column < TILE_DEPTH ? w->n_columns - column : TILE_DEPTH;
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            tile_context context = {scratch->tile, v, column / ACTIVATION_BLOCK};
            kernel->unpack(rows[v].lanes, column / unit_columns, depth / unit_columns, &context);
        }
        for (size_t done = 0, n_run; done < n_tokens; done += n_run) {
            const size_t left = n_tokens - done;
            n_run = left >= TILE_COLUMNS ? TILE_COLUMNS : left >= 3 ? 3 : left;
            const rows_ahead here = done == 0 ? ahead : (rows_ahead){.next = ahead.next};
            kernel->multiply((const unpacked(*)[TILE_VECTORS])scratch->tile, depth / ACTIVATION_BLOCK, n_run,
                             columns_from(x, token + done, column), here, scratch->sums[done][0]);
        }
        ahead.next += depth / ACTIVATION_BLOCK * ahead.step;
    }
}

static void multiply_batch(const row_range *range, const activations *x, size_t n_batch, float *out, size_t out_stride,
                           quantized_scratch *scratch) {
    const uint32_t n_vectors = row_range_vectors(range);
    for (uint32_t i = 0; i < n_vectors; i += TILE_VECTORS) {
        row_vector rows[TILE_VECTORS];
        const uint32_t n_here = n_vectors - i < TILE_VECTORS ? n_vectors - i : TILE_VECTORS;
        for (uint32_t v = 0; v < TILE_VECTORS; v++) rows[v] = v < n_here ? row_range_vector(range, i + v) : rows[0];
        for (size_t token = 0; token < n_batch; token += BATCH_COLUMNS) {
            const size_t n_tokens = n_batch - token < BATCH_COLUMNS ? n_batch - token : BATCH_COLUMNS;
            multiply_tiles(range->w, rows, x, token, n_tokens, scratch);
            for (size_t t = 0; t < n_tokens; t++)
                for (uint32_t v = 0; v < n_here; v++)
                    store_rows(&rows[v], scratch->sums[t][v], out + (token + t) * out_stride);
        }
    }
}

/* The largest step for n_rows rows. Rows must not be a whole number of pages apart: their bytes would compete for the
 * same few places in the L1 cache. */
static uint32_t widest_step(const matrix *w, uint32_t n_rows) {
    const uint32_t n_full = n_rows / LANES;
    uint32_t step = n_full > 0 ? n_full : 1;
    while (step > 1 && (n_full % step > 0 || (step * w->row_bytes + CACHE_LINE) % PAGE < 2 * CACHE_LINE)) step--;
    return step;
}

static void quantized_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const activations *x,
                             size_t n_batch, float *out, size_t out_stride, void *scratch) {
    quantized_scratch *room = scratch;
    const bool few = n_batch <= quantized_kernels[w->type]->most_direct;
    const row_range range = {.w = w,
                             .first_row = first_row,
                             .end_row = end_row,
                             .step = few ? widest_step(w, end_row - first_row) : 1,
                             .tail = room->tail};
    if (few)
        multiply_few(&range, x, n_batch, out, out_stride);
    else
        multiply_batch(&range, x, n_batch, out, out_stride, room);
}

static size_t quantized_scratch_bytes(uint32_t n_columns) {
    const size_t widest_row = (size_t)n_columns / 32 * 34; /* Q8_0 */
    return sizeof(quantized_scratch) + LANES * widest_row;
}

#endif
