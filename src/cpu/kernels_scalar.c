/* The compute kernels in plain C: the reference that every faster instruction set is tested against, and the fallback
 * where there is none. Weights become floats (dequantize_scalar.c) and meet the activations as floats: nothing is
 * quantized here. The formulas, with their sources, are in kernels.h.
 *
 * Before: the forward pass (forward_cpu.c), which cuts the work into rows and tokens. After: its next buffer.
 *
 * Every sum has one order. A dot product keeps LANES partial sums, lane l adding up the products of the elements l,
 * l + LANES, l + 2 * LANES ..., and joins them in a fixed tree:
 *
 *     ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7))
 *
 * This is fast, for the lanes fill vector registers, and its result depends neither on what is computed beside it nor
 * on the width of the registers. Shorter sums (a norm, a softmax) run in double, one element after the other.
 */
#include "base/half.h"
#include "cpu/kernels.h"

#include <math.h>
#include <string.h>

enum {
    LANES = 8,
    TILE_ROWS = 4 /* rows of a matrix that meet a token at once: their lanes fill half of SSE2's 16 registers */
};

/* Four lanes: a GNU C vector, which compilers turn into an SSE2 or NEON register. (A float[8] they spill to memory.) */
typedef float float4 __attribute__((vector_size(16)));

static float4 load4(const float *x) {
    float4 four;
    memcpy(&four, x, sizeof four);
    return four;
}

/* out[r] = the dot product of row r of `rows` with x. n_rows <= TILE_ROWS is a constant of the caller, so that the
 * loops over it unroll. */
static inline __attribute__((always_inline)) void dot_rows(size_t n_rows, const float *rows, size_t row_stride,
                                                           const float *x, size_t n, float *out) {
    float4 low[TILE_ROWS] = {{0}}, high[TILE_ROWS] = {{0}}; /* lanes 0..3 and 4..7 */
    size_t n_whole = n - n % LANES;
    for (size_t i = 0; i < n_whole; i += LANES) {
        for (size_t r = 0; r < n_rows; r++) {
            const float *row = rows + r * row_stride;
            low[r] += load4(row + i) * load4(x + i);
            high[r] += load4(row + i + 4) * load4(x + i + 4);
        }
    }
    for (size_t r = 0; r < n_rows; r++) {
        const float *row = rows + r * row_stride;
        float lanes[LANES];
        memcpy(lanes, &low[r], sizeof low[r]);
        memcpy(lanes + 4, &high[r], sizeof high[r]);
        for (size_t i = n_whole; i < n; i++) lanes[i - n_whole] += row[i] * x[i];
        out[r] = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
    }
}

static float scalar_dot(const float *a, const float *b, size_t n) {
    float sum;
    dot_rows(1, a, 0, b, n, &sum);
    return sum;
}

/* scratch: [TILE_ROWS][n_columns], the rows at hand as floats: made once, used by every token of the batch. */
static void scalar_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const float *x, size_t x_stride,
                          size_t n_batch, float *out, size_t out_stride, float *scratch) {
    const dequantize_kernel dequantize = dequantize_scalar[w->type];
    const size_t n = w->n_columns;
    for (size_t row = first_row; row < end_row; row += TILE_ROWS) {
        const size_t n_rows = end_row - row < TILE_ROWS ? end_row - row : TILE_ROWS;
        for (size_t r = 0; r < TILE_ROWS; r++) { /* a missing row repeats the last one; its results are dropped */
            size_t source = row + (r < n_rows ? r : n_rows - 1);
            dequantize((const uint8_t *)w->data + source * w->row_bytes, scratch + r * n, n);
        }
        for (size_t b = 0; b < n_batch; b++) {
            float sums[TILE_ROWS];
            dot_rows(TILE_ROWS, scratch, n, x + b * x_stride, n, sums);
            memcpy(out + b * out_stride + row, sums, n_rows * sizeof *sums);
        }
    }
}

static size_t scalar_matmul_scratch_floats(uint32_t n_columns) { return (size_t)TILE_ROWS * n_columns; }

static void scalar_rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *out) {
    double sum_of_squares = 0;
    for (size_t i = 0; i < n; i++) sum_of_squares += (double)x[i] * (double)x[i];
    float scale = (float)(1 / sqrt(sum_of_squares / (double)n + (double)epsilon));
    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * weight[i];
}

static void scalar_axpy(float scale, const float *x, float *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += scale * x[i];
}

static void scalar_softmax(float *x, size_t n) {
    float max = x[0];
    for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - max);
        sum += (double)x[i];
    }
    const float divisor = (float)sum;
    for (size_t i = 0; i < n; i++) x[i] /= divisor;
}

static void scalar_swiglu(float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) gate[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void scalar_rope(float *x, const float *cos, const float *sin, size_t n_pairs) {
    for (size_t j = 0; j < n_pairs; j++) {
        float first = x[2 * j], second = x[2 * j + 1];
        x[2 * j] = first * cos[j] - second * sin[j];
        x[2 * j + 1] = first * sin[j] + second * cos[j];
    }
}

static void scalar_f16_to_f32(const uint16_t *x, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = f32_from_f16(x[i]);
}

static void scalar_f32_to_f16(const float *x, uint16_t *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = f16_from_f32(x[i]);
}

void kernels_scalar_fill(cpu_kernels *table) {
    *table = (cpu_kernels){
        .name = "scalar",
        .matmul = scalar_matmul,
        .matmul_scratch_floats = scalar_matmul_scratch_floats,
        .rms_norm = scalar_rms_norm,
        .dot = scalar_dot,
        .axpy = scalar_axpy,
        .softmax = scalar_softmax,
        .swiglu = scalar_swiglu,
        .rope = scalar_rope,
        .f16_to_f32 = scalar_f16_to_f32,
        .f32_to_f16 = scalar_f32_to_f16,
    };
    memcpy(table->dequantize, dequantize_scalar, sizeof table->dequantize);
}
