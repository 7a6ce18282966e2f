/* add_products of vector_products.h, for kernels_i8mm.c. */
#ifndef CPU_I8MM_PRODUCTS_H
#define CPU_I8MM_PRODUCTS_H

#include "cpu/vector_quants.h"

/* One instruction adds the product of two 2 x 8 matrices of bytes, w * transposed y, to a 2 x 2 matrix of int32. w has
 * eight columns of two rows; two vectors of unpacked weights, with four columns each, are zipped to make it. y has the
 * same columns of two tokens. A sum holds rows by tokens; at the end it is sorted by token. A token without a partner
 * uses dot. */
INLINE void add_products(const format f, const size_t n_vectors, const size_t n_columns, const unpacked *u,
                         activation_columns y, const size_t first, const size_t n_quads, block_totals totals) {
    (void)f;
    const size_t n_paired = n_columns / 2 * 2;
    int32x4_t rows01[DIRECT_COLUMNS / 2][TILE_VECTORS], rows23[DIRECT_COLUMNS / 2][TILE_VECTORS]; /* row, token */
    UNROLLED for (size_t pair = 0; pair < n_paired / 2; pair++) UNROLLED for (size_t v = 0; v < n_vectors; v++)
        rows01[pair][v] = rows23[pair][v] = vdupq_n_s32(0);
    UNROLLED for (size_t quad = first; quad < first + n_quads; quad += 2) {
        int8x16_t w01[TILE_VECTORS], w23[TILE_VECTORS]; /* 8 columns of rows 0 and 1, 2 and 3 */
        UNROLLED for (size_t v = 0; v < n_vectors; v++) {
            w01[v] = (int8x16_t)vzip1q_s32((int32x4_t)u[v].w[quad], (int32x4_t)u[v].w[quad + 1]);
            w23[v] = (int8x16_t)vzip2q_s32((int32x4_t)u[v].w[quad], (int32x4_t)u[v].w[quad + 1]);
        }
        UNROLLED for (size_t pair = 0; pair < n_paired / 2; pair++) {
            const int8_t *token = y.values + 2 * pair * y.values_stride + 4 * quad;
            const int8x16_t tokens = vcombine_s8(vld1_s8(token), vld1_s8(token + y.values_stride));
            UNROLLED for (size_t v = 0; v < n_vectors; v++) {
                rows01[pair][v] = vmmlaq_s32(rows01[pair][v], w01[v], tokens);
                rows23[pair][v] = vmmlaq_s32(rows23[pair][v], w23[v], tokens);
            }
        }
        UNROLLED for (size_t c = n_paired; c < n_columns; c++) UNROLLED for (size_t v = 0; v < n_vectors; v++)
            UNROLLED for (size_t q = quad; q < quad + 2; q++) totals[c][v] =
                dot(totals[c][v], u[v].w[q], four_activations(y, c, q));
    }
    UNROLLED for (size_t pair = 0; pair < n_paired / 2; pair++) UNROLLED for (size_t v = 0; v < n_vectors; v++) {
        totals[2 * pair][v] += (ints)vuzp1q_s32(rows01[pair][v], rows23[pair][v]);
        totals[2 * pair + 1][v] += (ints)vuzp2q_s32(rows01[pair][v], rows23[pair][v]);
    }
}

#endif
