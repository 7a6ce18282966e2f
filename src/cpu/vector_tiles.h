/* Products with many tokens: a tile of unpacked weights times a few tokens at a time, with a kernel for each format.
 * vector_rows.h fills the tile and calls these kernels. */
#ifndef CPU_VECTOR_TILES_H
#define CPU_VECTOR_TILES_H

#include "cpu/vector_products.h"

/* sums: [n_columns][TILE_VECTORS][LANES], in and out. Columns are tokens. */
INLINE void multiply_tile(const format f, const size_t n_columns, const unpacked (*tile)[TILE_VECTORS], size_t n_blocks,
                          activation_columns y, rows_ahead ahead, float *sums) {
    floats in_registers[TILE_COLUMNS * TILE_VECTORS];
    UNROLLED for (size_t i = 0; i < n_columns * TILE_VECTORS; i++) in_registers[i] = load_floats(sums + i * LANES);
    for (size_t block = 0; block < n_blocks; block++) {
        for (size_t at = 0; at < ahead.step; at += CACHE_LINE) __builtin_prefetch(ahead.next + at, 0, 2);
        ahead.next += ahead.step;
        multiply_block(f, TILE_VECTORS, n_columns, tile[block], y, in_registers);
        y.values += ACTIVATION_BLOCK;
        y.blocks++;
    }
    UNROLLED for (size_t i = 0; i < n_columns * TILE_VECTORS; i++) store_floats(sums + i * LANES, in_registers[i]);
}

/* n_columns is 1, 2, 3 or TILE_COLUMNS. */
#define X(name, ...)                                                                                          \
    void OF_ISA(multiply_tile_##name)(const unpacked(*tile)[TILE_VECTORS], size_t n_blocks, size_t n_columns, \
                                      activation_columns y, rows_ahead ahead, float *sums) {                  \
        switch (n_columns) {                                                                                  \
        case 1: multiply_tile(FORMAT_##name, 1, tile, n_blocks, y, ahead, sums); break;                       \
        case 2: multiply_tile(FORMAT_##name, 2, tile, n_blocks, y, ahead, sums); break;                       \
        case 3: multiply_tile(FORMAT_##name, 3, tile, n_blocks, y, ahead, sums); break;                       \
        default: multiply_tile(FORMAT_##name, TILE_COLUMNS, tile, n_blocks, y, ahead, sums); break;           \
        }                                                                                                     \
    }
FORMATS(X)
#undef X

#endif
