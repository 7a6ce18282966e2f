/* A kernel for each type: the products of a few tokens with rows as they are unpacked, and unpacking into a tile. Of the types
 * in DIRECT_TYPES, which the part at work sets. */
#ifndef CPU_VECTOR_DIRECT_H
#define CPU_VECTOR_DIRECT_H

#include "cpu/vector_products.h"
#include "cpu/vector_unpack.h"

typedef struct dot_context {
    activation_columns y; /* at column 0 */
    const uint8_t *next;
    floats sums[DIRECT_COLUMNS];
} dot_context;

INLINE void dot_block(const format f, const size_t n_columns, dot_context *context, size_t block, const unpacked *u) {
    activation_columns y = context->y;
    y.values += ACTIVATION_BLOCK * block;
    y.blocks += block;
    multiply_block(f, 1, n_columns, u, y, context->sums);
}

INLINE void store_block(void *context, size_t block, const unpacked *u) {
    const tile_context *t = context;
    t->tile[block - t->first_block][t->vector] = *u;
}

/* of 32 columns, rounded up */
#define X(name, number, elements, bytes) BLOCK_BYTES_##name = (bytes * ACTIVATION_BLOCK + elements - 1) / elements,
enum { COMPUTE_TYPES(X) };
#undef X

#define DOT(type, format_name, columns)                                                                           \
    INLINE void dot_block_##type##_##columns(void *context, size_t block, const unpacked *u) {                    \
        prefetch_block(((dot_context *)context)->next, block, LANES *BLOCK_BYTES_##type);                         \
        dot_block(FORMAT_##format_name, columns, context, block, u);                                              \
    }                                                                                                             \
    static void dot_##type##_##columns(row_lanes rows, const uint8_t *next, size_t n_units, activation_columns y, \
                                       float *sums) {                                                             \
        dot_context context = {.y = y, .next = next};                                                             \
        unpack_either_##type(rows, 0, n_units, dot_block_##type##_##columns, &context);                           \
        UNROLLED for (size_t c = 0; c < columns; c++) store_floats(sums + c * LANES, context.sums[c]);            \
    }

/* For types whose unpacking is long, one is enough: each is a copy of it. */
#define DOTS_1(type, format_name) DOT(type, format_name, 1)
#define DOTS_4(type, format_name) DOT(type, format_name, 1) DOT(type, format_name, 2) DOT(type, format_name, 4)
#define DOTS_8(type, format_name) DOTS_4(type, format_name) DOT(type, format_name, 8)
#define DOT_TABLE_1(type) \
    { dot_##type##_1 }
#define DOT_TABLE_4(type) \
    { dot_##type##_1, dot_##type##_2, dot_##type##_4 }
#define DOT_TABLE_8(type) \
    { dot_##type##_1, dot_##type##_2, dot_##type##_4, dot_##type##_8 }

#define X(type, format_name, most)                                                                                   \
    INLINE void unpack_units_##type(row_lanes rows, size_t first, size_t end, unpacked_sink sink, void *context) {   \
        for (size_t unit = first; unit < end; unit++) unpack_##type(rows, unit, sink, context);                      \
    }                                                                                                                \
    INLINE void unpack_either_##type(row_lanes rows, size_t first, size_t end, unpacked_sink sink, void *context) {  \
        if (rows.interleaved)                                                                                        \
            unpack_units_##type((row_lanes){rows.data, 0, rows.lane, true}, first, end, sink, context);              \
        else                                                                                                         \
            unpack_units_##type((row_lanes){rows.data, rows.stride, 0, false}, first, end, sink, context);           \
    }                                                                                                                \
    DOTS_##most(type, format_name) static void unpack_rows_##type(row_lanes rows, size_t first_unit, size_t n_units, \
                                                                  tile_context *context) {                           \
        unpack_either_##type(rows, first_unit, first_unit + n_units, store_block, context);                          \
    }
DIRECT_TYPES(X)
#undef X

#define X(type, format_name, most)                                                               \
    const quantized_kernel OF_ISA(kernels_##type) = {DOT_TABLE_##most(type), unpack_rows_##type, \
                                                     OF_ISA(multiply_tile_##format_name), most};
DIRECT_TYPES(X)
#undef X

#endif
