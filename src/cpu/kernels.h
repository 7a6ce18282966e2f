/* The table of compute kernels, one for each instruction set. The tables are constants; kernels_scalar.c is the
 * reference (dispatch.c chooses a table when an engine is created).
 *
 * The rule for all of them: an output element depends only on its own inputs, by one fixed order of operations, for any
 * batch, row range or thread. So logits are the same bits however the work is split. */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include "model/kv_store.h"
#include "model/weights.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of blocks -> n float values; n is a multiple of the type's block. Exact: the format's formula in float32. */
typedef void (*dequantize_kernel)(const void *blocks, float *out, size_t n);

/* Data about a block of 32 quantized activations, beside their int8 values. */
typedef struct activation_block {
    float scale;          /* an activation is scale * its int8 value */
    int32_t sum;          /* of the 32 int8 values */
    int32_t half_sums[2]; /* of the first and the last 16 */
} activation_block;

enum {
    ACTIVATION_BLOCK = 32,
    ROW_GROUP = 16 /* rows that kernels process together; in an interleaved matrix they form a group (weights.h) */
};

/* The right-hand side of a matrix product: a batch of vectors, as floats and, if a kernel needs it, quantized. */
typedef struct activations {
    uint32_t n_columns;
    const float *floats;            /* [n_batch][n_columns] */
    const int8_t *quantized;        /* [n_batch][n_columns], or NULL */
    const activation_block *blocks; /* [n_batch][n_columns / ACTIVATION_BLOCK], or NULL */
} activations;

/* The positions of a chunk that a query sees: first <= p < end <= KV_CHUNK; none if first == end. Scores decrease with
 * distance by slope * |own - p|, where own is the query's position in the same numbering. (ALiBi: Press et al. 2022) */
typedef struct visible_range {
    uint32_t first, end;
    int32_t own;
    float slope; /* 0: distance has no effect */
} visible_range;

/* The softmax over some positions, before the division by the sum. */
typedef struct attention_part {
    float max; /* of the scores */
    float sum; /* of exp(score - max) */
} attention_part;

typedef struct cpu_kernels {
    const char *name; /* "scalar", "avx2" ..., the values of the engine option cpu_isa */

    const dequantize_kernel *dequantize; /* [QUANT_TYPE_LIMIT] NULL for types that are not computable */

    /* True if matmul reads the quantized form of x for a matrix of this type. (Always false in the scalar kernels.) */
    bool quantizes[QUANT_TYPE_LIMIT];

    /* Quantize x: [n], n a multiple of ACTIVATION_BLOCK, to int8 with the scale absmax / 127 for each block, rounded to
     * nearest. quantized: out, [n]; blocks: out, [n / ACTIVATION_BLOCK]. If a block has an infinity or NaN, that is its
     * scale, and its integers are 0. They are also 0 if absmax is not above 1e-30. */
    void (*quantize)(const float *x, size_t n, int8_t *quantized, activation_block *blocks);

    /* out[b][r] = sum over c of w[r][c] * x[b][c], for rows first_row <= r < end_row and 0 <= b < n_batch. out:
     * [n_batch][..], rows are out_stride floats apart and indexed by the absolute r; nothing else is written. first_row
     * is a multiple of ROW_GROUP. scratch: matmul_scratch_bytes(n_columns), 64-byte aligned, private to the calling
     * thread. */
    void (*matmul)(const matrix *w, uint32_t first_row, uint32_t end_row, const activations *x, size_t n_batch,
                   float *out, size_t out_stride, void *scratch);
    size_t (*matmul_scratch_bytes)(uint32_t n_columns);

    /* out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]. out may be x. (Zhang & Sennrich 2019) */
    void (*rms_norm)(const float *x, const float *weight, float epsilon, size_t n, float *out);

    /* out[i] = (x[i] - mean(x)) / sqrt(variance(x) + epsilon) * weight[i]. out may be x. (Ba et al. 2016) */
    void (*layer_norm)(const float *x, const float *weight, float epsilon, size_t n, float *out);

    void (*add)(float *sum, const float *x, size_t n); /* sum += x */

    /* Apply the activation (families.h) to gate. up: NULL for activations without a gate, which read only `gate`.
     * numbers: [ACTIVATION_NUMBERS], for activations that have some. */
    void (*activate)(activation which, const float *numbers, float *gate, const float *up, size_t n);

    /* Rotate pairs (x[2j], x[2j+1]), or (x[j], x[j + n_pairs]), for j < n_pairs by the angles whose cos and sin are
     * given. (RoPE: Su et al. 2021) */
    void (*rope)(float *x, const float *cos, const float *sin, size_t n_pairs);
    void (*rope_halves)(float *x, const float *cos, const float *sin, size_t n_pairs);

    void (*f32_to_f16)(const float *x, uint16_t *out, size_t n);

    /* Steps of recurrences. Their state is a matrix, [n_rows][n]. This one reads it: out[j] = sum over i of
     * weights[i] * state[i][j]. */
    void (*state_read)(const float *state, size_t n_rows, size_t n, const float *weights, float *out);

    /* This one adds a token: to[i][j] = decay[i] * from[i][j] + key[i] * value[j]. Then it reads the new state:
     * out[j] = sum over i of query[i] * to[i][j]. to may be from. */
    void (*state_step)(const float *from, float *to, size_t n_rows, size_t n, const float *decay, const float *key,
                       const float *value, const float *query, float *out);

    /* The same where each element decays on its own: to[i][j] = exp(rates[i][j] * steps[j]) * from[i][j] + key[i] *
     * value[j]. The rows of all three matrices are `stride` floats apart. */
    void (*state_step_each)(const float *from, float *to, size_t n_rows, size_t n, size_t stride, const float *rates,
                            const float *steps, const float *key, const float *value, const float *query, float *out);

    /* Attention of queries, [n_queries][key_length], already scaled, to one chunk of keys and values. The scores s =
     * query . key of the positions in visible[q] are capped to softcap * tanh(s / softcap) if softcap > 0, then lowered
     * by distance. parts[q] = {max s, sum of exp(s - max)}, and values[q] = the sum of exp(s - max) * value. values:
     * out, [n_queries][kv_padded(value_length)]. Other positions have no effect. If no position is visible, the result
     * is {-infinity, 0} and zeros. */
    void (*attend)(const kv_chunk *chunk, const float *queries, const visible_range *visible, size_t n_queries,
                   float softcap, attention_part *parts, float *values);

    /* An indexer's scores for the first n positions of a chunk of its keys: scores[p] = sum over heads h, in order, of
     * weights[h] * max(0, queries[h] . key p). queries: [n_heads][key_length]; scores: out, [KV_CHUNK], written in
     * whole rows of KV_LANES. */
    void (*index)(const kv_chunk *chunk, const float *queries, const float *weights, size_t n_heads, size_t n,
                  float *scores);

    /* Merge a query's results for two sets of positions: *other and other_values go into *part and values, [n], n a
     * multiple of KV_LANES. At least one of the sets has a visible position. (Online softmax: Milakov & Gimelshein
     * 2018) */
    void (*merge)(attention_part *part, float *values, const attention_part *other, const float *other_values,
                  size_t n);
} cpu_kernels;

extern const cpu_kernels *const kernels_scalar;

/* NULL if the compiler's target has no such instructions. */
extern const cpu_kernels *const kernels_avx2, *const kernels_avx512, *const kernels_neon, *const kernels_i8mm;

/* By quant_type; NULL for types that are not computable. */
extern const dequantize_kernel dequantize_scalar[QUANT_TYPE_LIMIT];

/* isa: a name, or NULL for the best that this CPU has. Returns NULL if the name is unknown, or the CPU does not have
 * it. */
const cpu_kernels *kernels_select(const char *isa);

/* "scalar, avx2" or similar: the names that kernels_select accepts on this CPU, for messages. */
const char *kernels_names(void);

#endif
