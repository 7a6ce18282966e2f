/* The kernels of one instruction set, written with the operations of vector_types.h, and their table. Included once by
 * kernels_<name>.c, after the definition of these operations.
 *
 * Compiling takes long, so it is split into parts that compile in parallel: with PART defined as one of PART_..., only
 * that part is compiled; without PART, everything is. Names that one part uses from another contain the instruction
 * set. */
#ifndef CPU_VECTOR_KERNELS_H
#define CPU_VECTOR_KERNELS_H

#define PART_TABLE        1 /* the table, products of floats and small steps */
#define PART_ATTENTION    2
#define PART_TILES        3
#define PART_SIMPLE       4 /* types of small blocks, .. */
#define PART_SUPER_BLOCKS 5 /* .. of blocks of 256 columns, .. */
#define PART_HALVES       6 /* .. of those with a scale for each 16 columns, .. */
#define PART_CODEBOOKS    7 /* .. and with a codebook */
#ifdef PART
#define IN_PART(part) (PART == PART_##part)
#else
#define IN_PART(part) 1
#endif

#define JOINED_(name, suffix) name##_##suffix
#define JOINED(name, suffix)  JOINED_(name, suffix)
#define OF_ISA(name)          JOINED(name, ISA)

/* of vector_attention.h, as cpu_kernels has them */
void OF_ISA(vector_attend)(const kv_chunk *chunk, const float *queries, const visible_range *visible, size_t n_queries,
                           float softcap, attention_part *parts, float *values);
void OF_ISA(vector_index)(const kv_chunk *chunk, const float *queries, const float *weights, size_t n_heads, size_t n,
                          float *scores);
void OF_ISA(vector_merge)(attention_part *part, float *values, const attention_part *other, const float *other_values,
                          size_t n);

#if IN_PART(ATTENTION)
#include "cpu/vector_attention.h"
#endif
#if IN_PART(TILES)
#include "cpu/vector_tiles.h"
#endif

#if IN_PART(SIMPLE) || IN_PART(SUPER_BLOCKS) || IN_PART(HALVES) || IN_PART(CODEBOOKS)
#include "cpu/vector_direct.h"
#endif

#if IN_PART(TABLE)
#include "cpu/vector_floats.h"
#include "cpu/vector_recurrence.h"
#include "cpu/vector_rows.h"
#include "cpu/vector_steps.h"

#define X(type, ...) | (uint64_t)1 << QUANT_##type
_Static_assert((0 QUANTIZED_TYPES(X) FLOAT_TYPES(X)) == (0 COMPUTE_TYPES(X)), "each type has a kernel");
#undef X

static void vector_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const activations *x, size_t n_batch,
                          float *out, size_t out_stride, void *scratch) {
    if (quantized_kernels[w->type])
        quantized_matmul(w, first_row, end_row, x, n_batch, out, out_stride, scratch);
    else
        float_matmul(w, first_row, end_row, x, n_batch, out, out_stride, scratch);
}

static size_t vector_matmul_scratch_bytes(uint32_t n_columns) {
    const size_t for_blocks = quantized_scratch_bytes(n_columns), for_floats = float_scratch_bytes(n_columns);
    return for_blocks > for_floats ? for_blocks : for_floats;
}

static const cpu_kernels vector_table = {
    .name = ISA_NAME,
    .dequantize = dequantize_scalar,
    .quantizes =
        {
#define X(type) [QUANT_##type] = true,
            QUANTIZED_TYPES(X)
#undef X
        },
    .quantize = vector_quantize,
    .matmul = vector_matmul,
    .matmul_scratch_bytes = vector_matmul_scratch_bytes,
    .rms_norm = vector_rms_norm,
    .layer_norm = vector_layer_norm,
    .add = vector_add,
    .activate = vector_activate,
    .rope = vector_rope,
    .rope_halves = vector_rope_halves,
    .f32_to_f16 = vector_f32_to_f16,
    .state_read = vector_state_read,
    .state_step = vector_state_step,
    .state_step_each = vector_state_step_each,
    .attend = OF_ISA(vector_attend),
    .index = OF_ISA(vector_index),
    .merge = OF_ISA(vector_merge),
};
#endif

#endif
