/* The table of compute kernels: what an instruction set must offer. kernels_scalar.c fills every entry and is the
 * reference; a faster instruction set overwrites what it does better (dispatch.c chooses, once, when a session is made).
 *
 * The rule that all of them keep: an output element depends on its own inputs alone, by one fixed order of operations,
 * whatever the batch, the row range or the thread. So logits are the same bits however the work is cut.
 */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include "model/weights.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of blocks -> n float values; n is a multiple of the type's block. Exact for the format's formula in float32. */
typedef void (*dequantize_kernel)(const void *blocks, float *out, size_t n);

typedef struct cpu_kernels {
    const char *name; /* "scalar", as --cpu-isa takes it */

    dequantize_kernel dequantize[QUANT_TYPE_LIMIT]; /* NULL for types that cannot be computed with */

    /* out[b][r] = sum over c of w[r][c] * x[b][c], for rows first_row <= r < end_row and columns of x 0 <= b < n_batch.
     * x: [n_batch][n_columns], rows x_stride floats apart; out: [n_batch][..], rows out_stride floats apart, indexed by
     * the absolute row r. scratch: [matmul_scratch_floats(n_columns)] of the calling thread. */
    void (*matmul)(const matrix *w, uint32_t first_row, uint32_t end_row, const float *x, size_t x_stride,
                   size_t n_batch, float *out, size_t out_stride, float *scratch);
    size_t (*matmul_scratch_floats)(uint32_t n_columns);

    /* out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]. out may be x. (Zhang & Sennrich 2019) */
    void (*rms_norm)(const float *x, const float *weight, float epsilon, size_t n, float *out);

    float (*dot)(const float *a, const float *b, size_t n);
    void (*axpy)(float scale, const float *x, float *y, size_t n); /* y += scale * x */

    /* In place: x[i] = exp(x[i] - max) / sum. n >= 1 */
    void (*softmax)(float *x, size_t n);

    /* gate[i] = silu(gate[i]) * up[i], silu(v) = v / (1 + exp(-v)). (SwiGLU: Shazeer 2020) */
    void (*swiglu)(float *gate, const float *up, size_t n);

    /* Rotate pairs (x[2j], x[2j+1]) for j < n_pairs by the angles whose cos and sin are given. (RoPE: Su et al. 2021) */
    void (*rope)(float *x, const float *cos, const float *sin, size_t n_pairs);

    void (*f16_to_f32)(const uint16_t *x, float *out, size_t n);
    void (*f32_to_f16)(const float *x, uint16_t *out, size_t n);
} cpu_kernels;

void kernels_scalar_fill(cpu_kernels *table);

/* By quant_type; NULL for types that are not computable. */
extern const dequantize_kernel dequantize_scalar[QUANT_TYPE_LIMIT];

/* isa: "scalar", or NULL for the best that this CPU has. NULL is returned for a name that is not known. */
const cpu_kernels *kernels_select(const char *isa);
const char *kernels_names(void); /* "scalar": what kernels_select takes, for messages */

#endif
