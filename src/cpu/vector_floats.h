/* Matrix products of float weights (F32, F16, BF16) with float activations.
 *
 * Here a lane is a column: rows and tokens are read LANES columns at a time and multiplied into LANES sums, which one
 * fixed tree adds up at the end. So rows need no unpacking, and each output element has one order of additions,
 * whichever rows and tokens share its registers. */
#ifndef CPU_VECTOR_FLOATS_H
#define CPU_VECTOR_FLOATS_H

#include "cpu/kernels.h"

enum {
    FLOAT_STRIP = 4 * FLOAT_ROWS, /* rows that are multiplied by the same tokens while both are in the L1 cache, .. */
    FLOAT_DEPTH = 512,            /* .. for this many columns at a time */
    FLOAT_BATCH = 48,             /* tokens whose sums are kept between two such blocks of columns */
};

/* X(type, bytes of an element): a load_<type> each */
#define FLOAT_TYPES(X) X(F32, 4) X(F16, 2) X(BF16, 2)

/* LANES weights of a row, from `column` on. */
typedef floats (*float_loader)(const uint8_t *row, size_t column);

INLINE floats load_F32(const uint8_t *row, size_t column) {
    return load_floats((const float *)(const void *)row + column);
}

INLINE floats load_F16(const uint8_t *row, size_t column) {
    return load_halfs((const uint16_t *)(const void *)row + column);
}

INLINE floats load_BF16(const uint8_t *row, size_t column) {
    lane_halfs high; /* the upper half of a float */
    memcpy(&high, row + 2 * column, sizeof high);
    return (floats)(__builtin_convertvector(high, unsigneds) << 16);
}

/* sums[c][r] += columns 0..n-1 of row r times token c. If `begins`, = instead of +=. n is a multiple of LANES. With few
 * tokens the rows come from memory, so the next rows are prefetched. */
INLINE void multiply_floats(float_loader load, const size_t element_bytes, const size_t n_columns,
                            const uint8_t *const rows[FLOAT_ROWS], const float *x, size_t x_stride, size_t n,
                            bool begins, floats *sums) {
    floats in_registers[FLOAT_COLUMNS * FLOAT_ROWS];
    UNROLLED for (size_t i = 0; i < n_columns * FLOAT_ROWS; i++) in_registers[i] = begins ? (floats){0} : sums[i];
    const size_t next = FLOAT_ROWS * (size_t)(rows[1] - rows[0]);
    for (size_t at = 0; at < n; at += LANES) {
        floats w[FLOAT_ROWS];
        if (n_columns < FLOAT_COLUMNS && at * element_bytes % CACHE_LINE == 0)
            UNROLLED for (size_t r = 0; r < FLOAT_ROWS; r++)
                __builtin_prefetch(rows[r] + next + at * element_bytes, 0, 2);
        UNROLLED for (size_t r = 0; r < FLOAT_ROWS; r++) w[r] = load(rows[r], at);
        UNROLLED for (size_t c = 0; c < n_columns; c++) {
            const floats token = load_floats(x + c * x_stride + at);
            UNROLLED for (size_t r = 0; r < FLOAT_ROWS; r++) in_registers[c * FLOAT_ROWS + r] =
                fused(w[r], token, in_registers[c * FLOAT_ROWS + r]);
        }
    }
    UNROLLED for (size_t i = 0; i < n_columns * FLOAT_ROWS; i++) sums[i] = in_registers[i];
}

typedef void (*float_kernel)(const uint8_t *const rows[FLOAT_ROWS], const float *x, size_t x_stride, size_t n_columns,
                             size_t n, bool begins, floats *sums);

/* n_columns is 1 .. FLOAT_COLUMNS. */
#define X(type, bytes)                                                                                          \
    static void multiply_floats_##type(const uint8_t *const rows[FLOAT_ROWS], const float *x, size_t x_stride,  \
                                       size_t n_columns, size_t n, bool begins, floats *sums) {                 \
        switch (n_columns) {                                                                                    \
        case 1: multiply_floats(load_##type, bytes, 1, rows, x, x_stride, n, begins, sums); break;              \
        case 2: multiply_floats(load_##type, bytes, 2, rows, x, x_stride, n, begins, sums); break;              \
        case 3: multiply_floats(load_##type, bytes, 3, rows, x, x_stride, n, begins, sums); break;              \
        default: multiply_floats(load_##type, bytes, FLOAT_COLUMNS, rows, x, x_stride, n, begins, sums); break; \
        }                                                                                                       \
    }
FLOAT_TYPES(X)
#undef X

/* By quant_type. */
static const struct float_type {
    float_kernel kernel;
    size_t element_bytes;
} float_types[QUANT_TYPE_LIMIT] = {
#define X(type, bytes) [QUANT_##type] = {multiply_floats_##type, bytes},
    FLOAT_TYPES(X)
#undef X
};

/* The columns that do not fill a vector, with zeros after them. */
typedef struct float_tail {
    uint8_t rows[FLOAT_ROWS][4 * LANES];
    float x[FLOAT_COLUMNS][LANES];
} float_tail;

static void multiply_float_tail(float_kernel kernel, size_t element_bytes, const uint8_t *const rows[FLOAT_ROWS],
                                const float *x, size_t x_stride, size_t n_columns, size_t n, floats *sums) {
    float_tail tail = {0};
    const uint8_t *tail_rows[FLOAT_ROWS];
    for (size_t r = 0; r < FLOAT_ROWS; r++) {
        memcpy(tail.rows[r], rows[r], n * element_bytes);
        tail_rows[r] = tail.rows[r];
    }
    for (size_t c = 0; c < n_columns; c++) memcpy(tail.x[c], x + c * x_stride, n * sizeof *x);
    kernel(tail_rows, tail.x[0], LANES, n_columns, LANES, false, sums);
}

/* `depth` columns of FLOAT_ROWS rows and of some tokens. */
static void multiply_stretch(float_kernel kernel, size_t element_bytes, const uint8_t *const rows[FLOAT_ROWS],
                             const float *x, size_t x_stride, size_t n_columns, size_t depth, bool begins,
                             floats *sums) {
    const size_t whole = depth - depth % LANES;
    kernel(rows, x, x_stride, n_columns, whole, begins, sums);
    if (whole == depth) return;
    const uint8_t *ends[FLOAT_ROWS];
    for (size_t r = 0; r < FLOAT_ROWS; r++) ends[r] = rows[r] + whole * element_bytes;
    multiply_float_tail(kernel, element_bytes, ends, x + whole, x_stride, n_columns, depth - whole, sums);
}

typedef struct float_strip {
    float_kernel kernel;
    size_t element_bytes;
    const matrix *w;
    uint32_t first_row, n_rows; /* at most FLOAT_STRIP */
} float_strip;

/* sums: [FLOAT_STRIP / FLOAT_ROWS][FLOAT_BATCH][FLOAT_ROWS], in and out, of n_tokens tokens from x on. */
static void multiply_strip(const float_strip *strip, const float *x, size_t n_tokens, size_t column, size_t depth,
                           floats *sums) {
    const matrix *w = strip->w;
    for (size_t done = 0, n_run; done < n_tokens; done += n_run) {
        const size_t left = n_tokens - done;
        n_run = left >= FLOAT_COLUMNS ? FLOAT_COLUMNS : left >= 3 ? 3 : left;
        for (uint32_t row = 0; row < strip->n_rows; row += FLOAT_ROWS) {
            const uint8_t *rows[FLOAT_ROWS]; /* a missing row repeats the last one; its results are dropped */
            for (uint32_t r = 0; r < FLOAT_ROWS; r++) {
                const uint32_t source = row + r < strip->n_rows ? row + r : strip->n_rows - 1;
                rows[r] = (const uint8_t *)w->data + (strip->first_row + source) * w->row_bytes +
                          column * strip->element_bytes;
            }
            multiply_stretch(strip->kernel, strip->element_bytes, rows, x + done * w->n_columns + column, w->n_columns,
                             n_run, depth, column == 0, sums + row * FLOAT_BATCH + done * FLOAT_ROWS);
        }
    }
}

static void float_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const activations *x, size_t n_batch,
                         float *out, size_t out_stride, void *scratch) {
    floats *sums = scratch;
    const size_t depth_at_once = n_batch == 1 ? w->n_columns : FLOAT_DEPTH;
    for (uint32_t row = first_row; row < end_row; row += FLOAT_STRIP) {
        const float_strip strip = {.kernel = float_types[w->type].kernel,
                                   .element_bytes = float_types[w->type].element_bytes,
                                   .w = w,
                                   .first_row = row,
                                   .n_rows = end_row - row < FLOAT_STRIP ? end_row - row : FLOAT_STRIP};
        for (size_t token = 0; token < n_batch; token += FLOAT_BATCH) {
            const size_t n_tokens = n_batch - token < FLOAT_BATCH ? n_batch - token : FLOAT_BATCH;
            for (size_t column = 0; column < w->n_columns; column += depth_at_once) {
                const size_t left = w->n_columns - column, depth = left < depth_at_once ? left : depth_at_once;
                multiply_strip(&strip, x->floats + token * x->n_columns, n_tokens, column, depth, sums);
            }
            for (size_t t = 0; t < n_tokens; t++)
                for (uint32_t r = 0; r < strip.n_rows; r += FLOAT_ROWS) {
                    const floats *of_rows = sums + r * FLOAT_BATCH + t * FLOAT_ROWS;
                    const four_floats four = sums_of_lanes(of_rows[0], of_rows[1], of_rows[2], of_rows[FLOAT_ROWS - 1]);
                    const uint32_t left = strip.n_rows - r, n = left < FLOAT_ROWS ? left : FLOAT_ROWS;
                    memcpy(out + (token + t) * out_stride + row + r, &four, n * sizeof *out);
                }
        }
    }
}

static size_t float_scratch_bytes(void) { return FLOAT_BATCH * FLOAT_STRIP * sizeof(floats); }

#endif
