/* Matrix products of quantized weights with quantized activations, for every type made of blocks.
 *
 * A lane is a row of the matrix. The rows' blocks are unpacked, 32 columns at a time, into eight vectors of bytes: lane
 * i of vector j holds columns 4j..4j+3 of row i. Four activations of a token, the same for all rows, are then broadcast
 * to all lanes, and no sum crosses lanes. Unpacked weights are either multiplied at once (a few tokens), or stored in a
 * tile that stays in the L1 cache while up to BATCH_COLUMNS tokens use it.
 *
 * The sum of a block is an exact integer. It is converted to a float once, scaled, and added to the row's sum, block
 * after block, in one chain for each output element. So the result is the same bits in both ways, and for any batch and
 * row range. (So a block's integer may also be made in another way: dot_rows of vector_types.h adds up lanes.)
 *
 * This header is shared by the parts, which are compiled in parallel (vector_kernels.h):
 *
 *   vector_unpack.h    reading rows, and unpacking each type's blocks
 *   vector_products.h  the product of one block
 *   vector_direct.h    a few tokens: a kernel for each type, made of these two by vector_type_tmpl.h
 *   vector_tiles.h     many tokens: a kernel for each format of unpacked weights
 *   vector_rows.h      the matrix product, which splits rows and tokens for these */
#ifndef CPU_VECTOR_QUANTS_H
#define CPU_VECTOR_QUANTS_H

#include "cpu/kernels.h"

/* LANES rows of a matrix: `stride` bytes apart, or lanes from `lane` on of an interleaved group of ROW_GROUP. */
typedef struct row_lanes {
    const uint8_t *data;
    size_t stride;
    size_t lane;
    bool interleaved;
} row_lanes;

/* LANES rows, or parts of an interleaved matrix, that are prefetched while others are read; `stride` bytes apart. */
typedef struct later_rows {
    const uint8_t *data;
    size_t stride;
} later_rows;

/* 32 columns of LANES rows. A weight is scale * (w - the format's zero) + min; scales and mins are for all 32 columns,
 * or for each half of them. */
typedef struct unpacked {
    ints w[8];
    floats scales[2];
    floats mins[2];
} unpacked;

/* Takes unpacked weights: columns 32 * block.. of the rows. Called with ascending blocks. */
typedef void (*unpacked_sink)(void *context, size_t block, const unpacked *u);

typedef struct format {
    int bits;     /* of a weight; 8: signed, kept as wide_weights has them */
    int zero;     /* the number that means weight 0 */
    bool halves;  /* scales for 16 columns */
    bool has_min; /* a min to add */
} format;

#define FORMATS(X)                                                                                           \
    X(NIBBLES_CENTRED, .bits = 4, .zero = 8)                        /* Q4_0 */                               \
    X(NIBBLES_MIN, .bits = 4, .has_min = true)                      /* Q4_1 Q4_K */                          \
    X(FIVES_CENTRED, .bits = 5, .zero = 16)                         /* Q5_0 IQ1_S IQ3_S MXFP4 */             \
    X(FIVES_MIN, .bits = 5, .has_min = true)                        /* Q5_1 Q5_K */                          \
    X(PAIRS_CENTRED, .bits = 2, .zero = 1)                          /* TQ1_0 TQ2_0 */                        \
    X(BYTES, .bits = 8, .zero = WIDE_OFFSET)                        /* Q8_0 IQ4_NL IQ4_XS IQ2_XXS IQ3_XXS */ \
    X(HALVES_PAIRS_MIN, .bits = 2, .halves = true, .has_min = true) /* Q2_K */                               \
    X(HALVES_THREES, .bits = 3, .halves = true, .zero = 4)          /* Q3_K */                               \
    X(HALVES_SIXES, .bits = 6, .halves = true, .zero = 32)          /* Q6_K */                               \
    X(HALVES_FIVES, .bits = 5, .halves = true, .zero = 16)          /* IQ1_M NVFP4 */                        \
    X(HALVES_BYTES, .bits = 8, .halves = true, .zero = WIDE_OFFSET) /* IQ2_XS IQ2_S */

/* By the part in which they are compiled (vector_direct.h). */
#define SIMPLE_TYPES(X)      X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(IQ4_NL) X(MXFP4) X(NVFP4)
#define SUPER_BLOCK_TYPES(X) X(Q4_K) X(Q5_K) X(IQ4_XS) X(TQ1_0) X(TQ2_0)
#define HALVES_TYPES(X)      X(Q2_K) X(Q3_K) X(Q6_K)
#define CODEBOOK_TYPES(X)    X(IQ1_S) X(IQ1_M) X(IQ2_XXS) X(IQ2_XS) X(IQ2_S) X(IQ3_XXS) X(IQ3_S)
#define QUANTIZED_TYPES(X)   SIMPLE_TYPES(X) SUPER_BLOCK_TYPES(X) HALVES_TYPES(X) CODEBOOK_TYPES(X)

enum { DIRECT_COLUMNS = 8 }; /* most tokens whose sums are in registers together */

/* The activations of some tokens at one block; token c is c strides further. */
typedef struct activation_columns {
    const int8_t *values;
    size_t values_stride;
    const activation_block *blocks;
    size_t blocks_stride;
} activation_columns;

enum {
    /* the weights of this many columns of TILE_VECTORS * LANES rows take 16 KiB; their scales and mins, 8 KiB */
    TILE_DEPTH = 16384 / (TILE_VECTORS * LANES) / 256 * 256,
    TILE_BLOCKS = TILE_DEPTH / ACTIVATION_BLOCK,
    BATCH_COLUMNS = 256, /* tokens that use a tile before it is made again */
};

typedef struct tile_context {
    unpacked (*tile)[TILE_VECTORS]; /* [TILE_BLOCKS] */
    size_t vector;
    size_t first_block;
} tile_context;

/* The rows after a tile's: a pass over the tile prefetches `step` bytes of them for each block. */
typedef struct rows_ahead {
    const uint8_t *next;
    size_t step;
} rows_ahead;

typedef void (*tile_kernel)(const unpacked (*tile)[TILE_VECTORS], size_t n_blocks, size_t n_columns,
                            activation_columns y, rows_ahead ahead, float *sums);

typedef struct quantized_kernel {
    /* For 1, 2, 4 and 8 tokens; NULL for numbers above most_direct. sums: out, [tokens][LANES]. */
    void (*dot[4])(row_lanes rows, later_rows later, size_t n_units, activation_columns y, float *sums);
    void (*unpack)(row_lanes rows, size_t first_unit, size_t n_units, tile_context *context);
    tile_kernel multiply;
    size_t most_direct; /* most tokens for `dot` */
} quantized_kernel;

/* What one part uses from another: kernels_<type>_<isa> of vector_direct.h, multiply_tile_<format>_<isa> of
 * vector_tiles.h. */
#define X(type) extern const quantized_kernel OF_ISA(kernels_##type);
QUANTIZED_TYPES(X)
#undef X
#define X(name, ...)                                                                                          \
    void OF_ISA(multiply_tile_##name)(const unpacked(*tile)[TILE_VECTORS], size_t n_blocks, size_t n_columns, \
                                      activation_columns y, rows_ahead ahead, float *sums);
FORMATS(X)
#undef X

#endif
