/* The product of one block: 32 columns of some vectors of rows times those of some tokens. */
#ifndef CPU_VECTOR_PRODUCTS_H
#define CPU_VECTOR_PRODUCTS_H

#include "cpu/vector_quants.h"

#ifndef SMALL_SUMS /* every sum is an int32 */
#define SMALL_SUMS(bits) 0
INLINE ints dot_small(ints sum, ints w, ints y) { return dot(sum, w, y); }
INLINE ints dot_total(ints sum) { return sum; }
#endif

#define X(name, ...) static const format FORMAT_##name = {__VA_ARGS__};
FORMATS(X)
#undef X

INLINE ints four_activations(activation_columns y, size_t column, size_t quad) {
    int32_t four;
    memcpy(&four, y.values + column * y.values_stride + 4 * quad, sizeof four);
    return all_ints(four);
}

typedef ints block_totals[DIRECT_COLUMNS][TILE_VECTORS];

/* totals[c][v] += the products of vector v of rows and token c, for `n_quads` groups of four columns of the block, from
 * group `first` on. n_columns is the number of tokens. It and n_vectors are constants at the call, here and below, so
 * every loop is unrolled and every sum is in a register. */
#ifdef INTEGER_MATRICES /* the instruction set multiplies small matrices */
#include "cpu/i8mm_products.h"
#else
INLINE void add_products(const format f, const size_t n_vectors, const size_t n_columns, const unpacked *u,
                         activation_columns y, const size_t first, const size_t n_quads, block_totals totals) {
    const size_t most = f.bits < 8 ? SMALL_SUMS(f.bits) : 0, n_small = most < n_quads ? most : n_quads;
    block_totals small;
    UNROLLED for (size_t quad = 0; quad < n_quads; quad++) {
        ints w[TILE_VECTORS];
        UNROLLED for (size_t v = 0; v < n_vectors; v++) w[v] = in_register(u[v].w[first + quad]);
        UNROLLED for (size_t c = 0; c < n_columns; c++) {
            const ints four = four_activations(y, c, first + quad);
            UNROLLED for (size_t v = 0; v < n_vectors; v++) {
                if (n_small == 0) {
                    totals[c][v] = dot(totals[c][v], w[v], four);
                } else {
                    small[c][v] = dot_small(quad & (n_small - 1) ? small[c][v] : (ints){0}, w[v], four);
                    if (((quad + 1) & (n_small - 1)) == 0) totals[c][v] += dot_total(small[c][v]);
                }
            }
        }
    }
}
#endif

/* sums[c][v] += the block of each vector v of rows times that of each token c. */
INLINE void multiply_block(const format f, const size_t n_vectors, const size_t n_columns, const unpacked *u,
                           activation_columns y, floats *sums) {
    const size_t n_halves = f.halves ? 2 : 1;
    UNROLLED for (size_t half = 0; half < n_halves; half++) {
        block_totals totals;
        UNROLLED for (size_t c = 0; c < n_columns; c++) {
            const activation_block *block = y.blocks + c * y.blocks_stride;
            const ints start = all_ints(f.halves ? block->half_sums[half] : block->sum) * -f.zero;
            UNROLLED for (size_t v = 0; v < n_vectors; v++) totals[c][v] = f.zero ? start : (ints){0};
        }
        add_products(f, n_vectors, n_columns, u, y, half * 4, 8 / n_halves, totals);
        UNROLLED for (size_t c = 0; c < n_columns; c++) {
            const activation_block *block = y.blocks + c * y.blocks_stride;
            const floats scale = all_floats(block->scale);
            const floats sum = floats_from_ints(all_ints(f.halves ? block->half_sums[half] : block->sum)) * scale;
            UNROLLED for (size_t v = 0; v < n_vectors; v++) {
                floats *to = &sums[c * n_vectors + v];
                *to = fused(floats_from_ints(totals[c][v]), u[v].scales[half] * scale, *to);
                if (f.has_min) *to = fused(u[v].mins[half], sum, *to);
            }
        }
    }
}

/* While a block of each row is multiplied, prefetch as many bytes of the later rows: `bytes` of each. A cache line
 * holds about two blocks of a row or more. So the rows take turns: one request for 2 or 4 blocks. near: into the L1
 * cache; otherwise into the L2 cache. Never prefetch many lines at once: the L1 cache can wait for only a few at a
 * time, and loads would have to queue behind them. (An address after the matrix is harmless.) */
INLINE void prefetch_block(later_rows later, bool near, size_t block, const size_t bytes) {
    const size_t n_turns = bytes > 18 ? 2 : 4;
    const size_t turn = block % n_turns, n_rows = LANES / n_turns;
    const uint8_t *row = later.data + turn * n_rows * later.stride + (block - turn) * bytes;
    if (near)
        UNROLLED for (size_t i = 0; i < n_rows; i++) __builtin_prefetch(row + i * later.stride, 0, 3);
    else
        UNROLLED for (size_t i = 0; i < n_rows; i++) __builtin_prefetch(row + i * later.stride, 0, 2);
}

#endif
