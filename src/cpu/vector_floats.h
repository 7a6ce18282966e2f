/* Matrix products of float weights (F32, F16, BF16) with float activations.
 *
 * Here a lane is a column: rows and tokens are read LANES columns at a time and multiplied into LANES sums, which one
 * fixed tree adds up at the end. So rows need no unpacking, and each output element has one order of additions,
 * whichever rows and tokens share its registers. */
#ifndef CPU_VECTOR_FLOATS_H
#define CPU_VECTOR_FLOATS_H

#include "cpu/kernels.h"

enum {
    FLOAT_STRIP = 8 * FLOAT_ROWS,       /* rows that are multiplied by some tokens before the next tokens come, .. */
    FLOAT_SHORT_STRIP = 2 * FLOAT_ROWS, /* .. or fewer, if there are fewer tokens than FLOAT_MANY */
    FLOAT_MANY = 96,
    FLOAT_DEPTH = 512,                /* columns of a strip at a time, to fit in the caches; all for a single token */
    FLOAT_BATCH = 48,                 /* tokens whose sums are kept between two such blocks of columns */
    FLOAT_COPIED = 2 * FLOAT_COLUMNS, /* for this many tokens and more, a strip is copied before it is multiplied */
};

/* X(type, bytes of an element). Each type has a load_<type> below. */
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

/* sums[c][r] += columns 0..n-1 of row r times token c. If `begins`, = instead of +=. n is a multiple of LANES.
 * n_columns is the number of tokens (also in multiply_float_tail and multiply_stretch): 1, 2, 3 or FLOAT_COLUMNS. With
 * few tokens the rows come from memory, so the next rows are prefetched. */
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

/* Rows become floats that lie close together, in whole vectors. In the file rows begin anywhere, so that loads would
 * touch two cache lines. The last vector of a row is filled up with zeros. */
INLINE void copy_rows(float_loader load, const size_t element_bytes, const uint8_t *row, size_t row_bytes,
                      uint32_t n_rows, size_t n_columns, float *copy) {
    const size_t n_left = n_columns % LANES, whole = n_columns - n_left;
    for (uint32_t r = 0; r < n_rows; r++, row += row_bytes) {
        for (size_t at = 0; at < whole; at += LANES, copy += LANES) store_floats(copy, load(row, at));
        if (n_left == 0) continue;
        uint8_t last[4 * LANES] = {0};
        memcpy(last, row + whole * element_bytes, n_left * element_bytes);
        store_floats(copy, load(last, 0));
        copy += LANES;
    }
}

typedef void (*row_copier)(const uint8_t *row, size_t row_bytes, uint32_t n_rows, size_t n_columns, float *copy);

#define X(type, bytes)                                                                                          \
    static void multiply_floats_##type(const uint8_t *const rows[FLOAT_ROWS], const float *x, size_t x_stride,  \
                                       size_t n_columns, size_t n, bool begins, floats *sums) {                 \
        switch (n_columns) {                                                                                    \
        case 1: multiply_floats(load_##type, bytes, 1, rows, x, x_stride, n, begins, sums); break;              \
        case 2: multiply_floats(load_##type, bytes, 2, rows, x, x_stride, n, begins, sums); break;              \
        case 3: multiply_floats(load_##type, bytes, 3, rows, x, x_stride, n, begins, sums); break;              \
        default: multiply_floats(load_##type, bytes, FLOAT_COLUMNS, rows, x, x_stride, n, begins, sums); break; \
        }                                                                                                       \
    }                                                                                                           \
    static void copy_rows_##type(const uint8_t *row, size_t row_bytes, uint32_t n_rows, size_t n_columns,       \
                                 float *copy) {                                                                 \
        copy_rows(load_##type, bytes, row, row_bytes, n_rows, n_columns, copy);                                 \
    }
FLOAT_TYPES(X)
#undef X

/* By quant_type. */
static const struct float_type {
    float_kernel kernel;
    row_copier copy;
    size_t element_bytes;
} float_types[QUANT_TYPE_LIMIT] = {
#define X(type, bytes) [QUANT_##type] = {multiply_floats_##type, copy_rows_##type, bytes},
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

/* Some rows of a matrix, in the file or copied. */
typedef struct float_strip {
    const struct float_type *type;
    const uint8_t *rows;
    size_t row_bytes;    /* from row to row */
    uint32_t n_rows;     /* at most FLOAT_STRIP */
    size_t n_batch;      /* tokens that it is multiplied by */
    const uint8_t *next; /* if this is a copy: the strip after it in the file; else NULL */
    size_t next_row_bytes;
} float_strip;

/* Floats of a row in a copy. */
static size_t copied_columns(size_t n_columns) { return (n_columns + LANES - 1) / LANES * LANES; }

/* The strip that begins at row `first`. Its rows are before row `end`. */
static float_strip strip_in_file(const matrix *w, uint32_t first, uint32_t end, size_t n_batch) {
    const uint32_t most = n_batch < FLOAT_MANY ? FLOAT_SHORT_STRIP : FLOAT_STRIP;
    return (float_strip){.type = &float_types[w->type],
                         .rows = (const uint8_t *)w->data + first * w->row_bytes,
                         .row_bytes = w->row_bytes,
                         .n_rows = end - first < most ? end - first : most,
                         .n_batch = n_batch};
}

/* copy: [FLOAT_STRIP][copied_columns] */
static float_strip copy_strip(const float_strip *strip, size_t n_columns, float *copy) {
    strip->type->copy(strip->rows, strip->row_bytes, strip->n_rows, n_columns, copy);
    return (float_strip){.type = &float_types[QUANT_F32],
                         .rows = (const uint8_t *)copy,
                         .row_bytes = copied_columns(n_columns) * sizeof *copy,
                         .n_rows = strip->n_rows,
                         .n_batch = strip->n_batch,
                         .next = strip->rows + strip->n_rows * strip->row_bytes,
                         .next_row_bytes = strip->row_bytes};
}

/* Before tokens first .. first + n - 1 are multiplied by a strip, prefetch their share of the next one. After the last
 * tokens all of it is in the L2 cache, and can be copied. */
static void prefetch_next(const float_strip *strip, size_t first, size_t n) {
    const size_t row_bytes = strip->next_row_bytes;
    const size_t begin = row_bytes * first / strip->n_batch, end = row_bytes * (first + n) / strip->n_batch;
    for (uint32_t r = 0; strip->next && r < strip->n_rows; r++)
        for (size_t at = begin; at < end; at += CACHE_LINE) __builtin_prefetch(strip->next + r * row_bytes + at, 0, 2);
}

/* The sums of n_tokens tokens and n_rows rows become one number each. sums: [n_tokens][FLOAT_ROWS] */
static void store_results(const floats *sums, size_t n_tokens, uint32_t n_rows, float *out, size_t out_stride) {
    for (size_t t = 0; t < n_tokens; t++, sums += FLOAT_ROWS, out += out_stride) {
        const four_floats four = sums_of_lanes(sums[0], sums[1], sums[2], sums[FLOAT_ROWS - 1]);
        if (n_rows == FLOAT_ROWS)
            memcpy(out, &four, FLOAT_ROWS * sizeof *out); /* in one store */
        else
            for (uint32_t r = 0; r < n_rows; r++) out[r] = four[r];
    }
}

/* Columns column .. column + depth - 1 of a strip times those of tokens first .. end - 1. Sums of a part of the columns
 * stay in `sums`; once the last column has been added, the results go to `out`. */
static void multiply_strip(const float_strip *strip, size_t column, size_t depth, const float *x, size_t n_columns,
                           size_t first, size_t end, floats (*sums)[FLOAT_BATCH][FLOAT_ROWS], float *out,
                           size_t out_stride) {
    const struct float_type *type = strip->type;
    for (size_t token = first, n_run; token < end; token += n_run) {
        const size_t left = end - token;
        n_run = left >= FLOAT_COLUMNS ? FLOAT_COLUMNS : left >= 3 ? 3 : left;
        if (column == 0) prefetch_next(strip, token, n_run);
        for (uint32_t row = 0; row < strip->n_rows; row += FLOAT_ROWS) {
            const uint32_t n_left = strip->n_rows - row, n = n_left < FLOAT_ROWS ? n_left : FLOAT_ROWS;
            const uint8_t *rows[FLOAT_ROWS]; /* a missing row repeats the last one; its results are dropped */
            for (uint32_t r = 0; r < FLOAT_ROWS; r++)
                rows[r] = strip->rows + (row + (r < n ? r : n - 1)) * strip->row_bytes + column * type->element_bytes;
            /* [n_run][FLOAT_ROWS] */
            floats *here = depth == n_columns ? sums[0][0] : sums[row / FLOAT_ROWS][token - first];
            multiply_stretch(type->kernel, type->element_bytes, rows, x + token * n_columns + column, n_columns, n_run,
                             depth, column == 0, here);
            if (column + depth == n_columns) store_results(here, n_run, n, out + token * out_stride + row, out_stride);
        }
    }
}

static void float_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const activations *x, size_t n_batch,
                         float *out, size_t out_stride, void *scratch) {
    floats(*sums)[FLOAT_BATCH][FLOAT_ROWS] = scratch; /* [FLOAT_STRIP / FLOAT_ROWS] */
    float *copy = (float *)(void *)(sums + FLOAT_STRIP / FLOAT_ROWS);
    const size_t n_columns = w->n_columns, at_once = n_batch == 1 ? n_columns : FLOAT_DEPTH;
    for (uint32_t row = first_row, n_rows; row < end_row; row += n_rows) {
        float_strip strip = strip_in_file(w, row, end_row, n_batch);
        n_rows = strip.n_rows;
        if (n_batch >= FLOAT_COPIED) strip = copy_strip(&strip, n_columns, copy);
        for (size_t token = 0; token < n_batch; token += FLOAT_BATCH) {
            const size_t end = n_batch - token < FLOAT_BATCH ? n_batch : token + FLOAT_BATCH;
            for (size_t column = 0; column < n_columns; column += at_once) {
                const size_t left = n_columns - column, depth = left < at_once ? left : at_once;
                multiply_strip(&strip, column, depth, x->floats, n_columns, token, end, sums, out + row, out_stride);
            }
        }
    }
}

static size_t float_scratch_bytes(uint32_t n_columns) {
    return FLOAT_BATCH * FLOAT_STRIP * sizeof(floats) + FLOAT_STRIP * copied_columns(n_columns) * sizeof(float);
}

#endif
