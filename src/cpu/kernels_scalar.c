#include "base/half.h"
#include "cpu/kernels.h"

#include <math.h>
#include <string.h>

enum {
    LANES = 8,    /* partial sums of one output */
    TILE_ROWS = 4 /* rows of a matrix that share one pass over a column of x */
};

typedef float float4 __attribute__((vector_size(16)));

static float4 load4(const float *x) {
    float4 four;
    memcpy(&four, x, sizeof four);
    return four;
}

static inline __attribute__((always_inline)) void dot_rows(size_t n_rows, const float *rows, size_t row_stride,
                                                           const float *x, size_t n, float *out) {
    float4 low[TILE_ROWS] = {{0}}, high[TILE_ROWS] = {{0}};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t r = 0; r < n_rows; r++) {
            low[r] += load4(rows + r * row_stride + i) * load4(x + i);
            high[r] += load4(rows + r * row_stride + i + 4) * load4(x + i + 4);
        }
    }
    for (size_t r = 0; r < n_rows; r++) {
        float s[LANES];
        memcpy(s, &low[r], sizeof low[r]);
        memcpy(s + 4, &high[r], sizeof high[r]);
        for (size_t j = i; j < n; j++) s[j - i] += rows[r * row_stride + j] * x[j];
        out[r] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
}

static float scalar_dot(const float *a, const float *b, size_t n) {
    float sum;
    dot_rows(1, a, 0, b, n, &sum);
    return sum;
}

static void scalar_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const float *x, size_t x_stride,
                          size_t n_batch, float *out, size_t out_stride, float *scratch) {
    const size_t n = w->n_columns;
    for (size_t row = first_row; row < end_row; row += TILE_ROWS) {
        size_t n_rows = end_row - row < TILE_ROWS ? end_row - row : TILE_ROWS;
        for (size_t r = 0; r < TILE_ROWS; r++) { /* rows past the end repeat the last one, and are dropped */
            size_t source = row + (r < n_rows ? r : n_rows - 1);
            dequantize_scalar[w->type]((const uint8_t *)w->data + source * w->row_bytes, scratch + r * n, n);
        }
        for (size_t b = 0; b < n_batch; b++) {
            float sums[TILE_ROWS];
            dot_rows(TILE_ROWS, scratch, n, x + b * x_stride, n, sums);
            memcpy(out + b * out_stride + row, sums, n_rows * sizeof *sums);
        }
    }
}
static size_t scalar_matmul_scratch_floats(uint32_t n_columns) { return (size_t)TILE_ROWS * n_columns; }

void kernels_scalar_fill(cpu_kernels *table) {
    *table = (cpu_kernels){
        .name = "scalar",
        .matmul = scalar_matmul,
        .matmul_scratch_floats = scalar_matmul_scratch_floats,
        .dot = scalar_dot,
    };
    memcpy(table->dequantize, dequantize_scalar, sizeof table->dequantize);
}
