/* Products with a few tokens, and unpacking into a tile. Each type has kernels of its own; vector_rows.h calls them.
 * For each type of the current part (vector_kernels.h), vector_type_tmpl.h is included with
 *
 *   TYPE           whose unpack_<type> is in vector_unpack.h
 *   TYPE_FORMAT    the format that it is unpacked to
 *   MOST_DIRECT    most tokens at once without a tile: 1, 4 or 8
 *   DOT_ONE        optional: the kernel for one token, in place of the dot_<type>_1 that is made for all types
 *
 * Types with finer scales need more registers, and types that are slow to unpack gain nothing above 4 tokens. If the
 * code that unpacks is very long, MOST_DIRECT is 1, because each number of tokens has its own copy of it. */
#ifndef CPU_VECTOR_DIRECT_H
#define CPU_VECTOR_DIRECT_H

#include "cpu/vector_products.h"
#include "cpu/vector_unpack.h"

typedef struct dot_context {
    activation_columns y; /* at column 0 */
    later_rows later;
    bool near; /* as for prefetch_block */
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

/* Bytes of 32 columns, rounded up. */
#define X(name, number, elements, bytes) BLOCK_BYTES_##name = (bytes * ACTIVATION_BLOCK + elements - 1) / elements,
enum { COMPUTE_TYPES(X) };
#undef X

#if IN_PART(SIMPLE)
#define TYPE        Q4_0
#define TYPE_FORMAT NIBBLES_CENTRED
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        Q4_1
#define TYPE_FORMAT NIBBLES_MIN
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        Q5_0
#define TYPE_FORMAT FIVES_CENTRED
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        Q5_1
#define TYPE_FORMAT FIVES_MIN
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#ifdef DOT_ROWS
static void dot_Q8_0_1(row_lanes rows, later_rows later, size_t n_units, activation_columns y, float *sums);

/* One token, and rows as in the file: each row's bytes stay side by side. The float operations are those of
 * multiply_block. */
static void dot_rows_Q8_0(row_lanes rows, later_rows later, size_t n_units, activation_columns y, float *sums) {
    if (rows.interleaved) {
        dot_Q8_0_1(rows, later, n_units, y, sums);
        return;
    }
    floats sum = {0};
    for (size_t block = 0; block < n_units; block++) {
        const size_t at = block * BLOCK_BYTES_Q8_0;
        prefetch_block(later, true, block, BLOCK_BYTES_Q8_0);
        const floats scales = read_half(rows, at) * all_floats(y.blocks[block].scale);
        const ints total = dot_rows(rows.data + at + 2, rows.stride, y.values + block * ACTIVATION_BLOCK) -
                           all_ints(y.blocks[block].sum) * WIDE_OFFSET;
        sum = fused(floats_from_ints(total), scales, sum);
    }
    store_floats(sums, sum);
}
#define DOT_ONE dot_rows_Q8_0
#endif
#define TYPE        Q8_0
#define TYPE_FORMAT BYTES
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        IQ4_NL
#define TYPE_FORMAT BYTES
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        MXFP4
#define TYPE_FORMAT FIVES_CENTRED
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        NVFP4
#define TYPE_FORMAT HALVES_FIVES
#define MOST_DIRECT 4
#include "cpu/vector_type_tmpl.h"
#endif

#if IN_PART(SUPER_BLOCKS)
#define TYPE        Q4_K
#define TYPE_FORMAT NIBBLES_MIN
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        Q5_K
#define TYPE_FORMAT FIVES_MIN
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        IQ4_XS
#define TYPE_FORMAT BYTES
#define MOST_DIRECT 8
#include "cpu/vector_type_tmpl.h"

#define TYPE        TQ1_0
#define TYPE_FORMAT PAIRS_CENTRED
#define MOST_DIRECT 4
#include "cpu/vector_type_tmpl.h"

#define TYPE        TQ2_0
#define TYPE_FORMAT PAIRS_CENTRED
#define MOST_DIRECT 4
#include "cpu/vector_type_tmpl.h"
#endif

#if IN_PART(HALVES)
#define TYPE        Q2_K
#define TYPE_FORMAT HALVES_PAIRS_MIN
#define MOST_DIRECT 4
#include "cpu/vector_type_tmpl.h"

#define TYPE        Q3_K
#define TYPE_FORMAT HALVES_THREES
#define MOST_DIRECT 4
#include "cpu/vector_type_tmpl.h"

#define TYPE        Q6_K
#define TYPE_FORMAT HALVES_SIXES
#define MOST_DIRECT 4
#include "cpu/vector_type_tmpl.h"
#endif

#if IN_PART(CODEBOOKS)
#define TYPE        IQ1_S
#define TYPE_FORMAT FIVES_CENTRED
#define MOST_DIRECT 1
#include "cpu/vector_type_tmpl.h"

#define TYPE        IQ1_M
#define TYPE_FORMAT HALVES_FIVES
#define MOST_DIRECT 1
#include "cpu/vector_type_tmpl.h"

#define TYPE        IQ2_XXS
#define TYPE_FORMAT BYTES
#define MOST_DIRECT 1
#include "cpu/vector_type_tmpl.h"

#define TYPE        IQ2_XS
#define TYPE_FORMAT HALVES_BYTES
#define MOST_DIRECT 1
#include "cpu/vector_type_tmpl.h"

#define TYPE        IQ2_S
#define TYPE_FORMAT HALVES_BYTES
#define MOST_DIRECT 1
#include "cpu/vector_type_tmpl.h"

#define TYPE        IQ3_XXS
#define TYPE_FORMAT BYTES
#define MOST_DIRECT 1
#include "cpu/vector_type_tmpl.h"

#define TYPE        IQ3_S
#define TYPE_FORMAT FIVES_CENTRED
#define MOST_DIRECT 1
#include "cpu/vector_type_tmpl.h"
#endif

#endif
