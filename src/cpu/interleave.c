/* A block has small fields (1 or 2 bytes) and words (4 bytes). A group has each of them 16 times, side by side, once
 * for each row. Those from offset o of block b begin at (b * block_bytes + o) * 16 in the group. */
#include "cpu/interleave.h"

#include "cpu/kernels.h"

#include <string.h>

/* The fields of a block, in this order: up to two small ones, words of 4 bytes, up to two small ones. */
typedef struct block_fields {
    uint8_t first_bytes; /* of the small fields before the words, together */
    uint8_t field_bytes; /* of each small field */
    uint8_t last_bytes;  /* of those after the words, together */
} block_fields;

static const block_fields fields[QUANT_TYPE_LIMIT] = {
    [QUANT_Q4_0] = {2, 2, 0},  [QUANT_Q4_1] = {4, 2, 0},    [QUANT_Q5_0] = {2, 2, 0},    [QUANT_Q5_1] = {4, 2, 0},
    [QUANT_Q8_0] = {2, 2, 0},  [QUANT_Q2_K] = {0, 2, 4},    [QUANT_Q3_K] = {0, 2, 2},    [QUANT_Q4_K] = {4, 2, 0},
    [QUANT_Q5_K] = {4, 2, 0},  [QUANT_Q6_K] = {0, 2, 2},    [QUANT_IQ4_NL] = {2, 2, 0},  [QUANT_IQ4_XS] = {4, 2, 0},
    [QUANT_IQ1_S] = {2, 2, 0}, [QUANT_IQ1_M] = {0, 2, 0},   [QUANT_IQ2_XXS] = {2, 2, 0}, [QUANT_IQ2_XS] = {2, 2, 0},
    [QUANT_IQ2_S] = {2, 2, 0}, [QUANT_IQ3_XXS] = {2, 2, 0}, [QUANT_IQ3_S] = {2, 2, 0},   [QUANT_TQ1_0] = {0, 2, 2},
    [QUANT_TQ2_0] = {0, 2, 2}, [QUANT_MXFP4] = {1, 1, 0},   [QUANT_NVFP4] = {0, 2, 0},
};

bool interleave_possible(quant_type type) { return fields[type].field_bytes != 0; }

static void put(const uint8_t *row, size_t size, size_t offset, size_t lane, uint8_t *group) {
    memcpy(group + ROW_GROUP * offset + size * lane, row + offset, size);
}

void interleave_group(quant_type type, const void *rows, size_t row_bytes, uint32_t n_present, void *out) {
    const size_t block_bytes = quant_type_layout(type)->block_bytes;
    const size_t small = fields[type].field_bytes, words = fields[type].first_bytes;
    const size_t words_end = block_bytes - fields[type].last_bytes;
    if (n_present < ROW_GROUP) memset(out, 0, ROW_GROUP * row_bytes);
    for (size_t block = 0; block < row_bytes; block += block_bytes) {
        for (size_t lane = 0; lane < n_present; lane++) {
            const uint8_t *row = (const uint8_t *)rows + lane * row_bytes;
            for (size_t at = 0; at < words; at += small) put(row, small, block + at, lane, out);
            for (size_t at = words; at < words_end; at += 4) put(row, 4, block + at, lane, out);
            for (size_t at = words_end; at < block_bytes; at += small) put(row, small, block + at, lane, out);
        }
    }
}

static void take(const uint8_t *group, size_t size, size_t offset, size_t lane, uint8_t *row) {
    memcpy(row + offset, group + ROW_GROUP * offset + size * lane, size);
}

void interleaved_row(const matrix *w, uint32_t row, void *out) {
    const size_t block_bytes = quant_type_layout(w->type)->block_bytes, lane = row % ROW_GROUP;
    const size_t small = fields[w->type].field_bytes, words = fields[w->type].first_bytes;
    const size_t words_end = block_bytes - fields[w->type].last_bytes;
    const uint8_t *group = (const uint8_t *)w->data + (row - lane) * w->row_bytes;
    for (size_t block = 0; block < w->row_bytes; block += block_bytes) {
        for (size_t at = 0; at < words; at += small) take(group, small, block + at, lane, out);
        for (size_t at = words; at < words_end; at += 4) take(group, 4, block + at, lane, out);
        for (size_t at = words_end; at < block_bytes; at += small) take(group, small, block + at, lane, out);
    }
}
