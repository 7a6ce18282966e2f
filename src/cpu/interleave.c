/* The fields of a block are 2 bytes long, or 4, or so many times 4. A field at offset o of block b lies at
 * (b * block_bytes + o) * 16 of a group: 16 rows, 2 or 4 bytes each. */
#include "cpu/interleave.h"

#include "cpu/kernels.h"

#include <string.h>

/* Every block consists of some fields of 2 bytes (halfs and the like), then of words of 4, then of 2 again. */
typedef struct block_fields {
    uint8_t leading_halfs;
    uint8_t trailing_halfs;
} block_fields;

static const block_fields fields[QUANT_TYPE_LIMIT] = {
    [QUANT_Q4_0] = {1, 0}, [QUANT_Q4_1] = {2, 0}, [QUANT_Q5_0] = {1, 0},   [QUANT_Q5_1] = {2, 0},
    [QUANT_Q8_0] = {1, 0}, [QUANT_Q2_K] = {0, 2}, [QUANT_Q3_K] = {0, 1},   [QUANT_Q4_K] = {2, 0},
    [QUANT_Q5_K] = {2, 0}, [QUANT_Q6_K] = {0, 1}, [QUANT_IQ4_NL] = {1, 0}, [QUANT_IQ4_XS] = {2, 0},
};

bool interleave_possible(quant_type type) { return fields[type].leading_halfs || fields[type].trailing_halfs; }

static void put(const uint8_t *row, size_t size, size_t offset, size_t lane, uint8_t *group) {
    memcpy(group + ROW_GROUP * offset + size * lane, row + offset, size);
}

void interleave_group(quant_type type, const void *rows, size_t row_bytes, uint32_t n_present, void *out) {
    const size_t block_bytes = quant_type_layout(type)->block_bytes;
    const size_t words = 2 * (size_t)fields[type].leading_halfs;
    const size_t words_end = block_bytes - 2 * (size_t)fields[type].trailing_halfs;
    if (n_present < ROW_GROUP) memset(out, 0, ROW_GROUP * row_bytes);
    for (size_t block = 0; block < row_bytes; block += block_bytes) {
        for (size_t lane = 0; lane < n_present; lane++) {
            const uint8_t *row = (const uint8_t *)rows + lane * row_bytes;
            for (size_t at = 0; at < words; at += 2) put(row, 2, block + at, lane, out);
            for (size_t at = words; at < words_end; at += 4) put(row, 4, block + at, lane, out);
            for (size_t at = words_end; at < block_bytes; at += 2) put(row, 2, block + at, lane, out);
        }
    }
}

static void take(const uint8_t *group, size_t size, size_t offset, size_t lane, uint8_t *row) {
    memcpy(row + offset, group + ROW_GROUP * offset + size * lane, size);
}

void interleaved_row(const matrix *w, uint32_t row, void *out) {
    const size_t block_bytes = quant_type_layout(w->type)->block_bytes, lane = row % ROW_GROUP;
    const size_t words = 2 * (size_t)fields[w->type].leading_halfs;
    const size_t words_end = block_bytes - 2 * (size_t)fields[w->type].trailing_halfs;
    const uint8_t *group = (const uint8_t *)w->data + (row - lane) * w->row_bytes;
    for (size_t block = 0; block < w->row_bytes; block += block_bytes) {
        for (size_t at = 0; at < words; at += 2) take(group, 2, block + at, lane, out);
        for (size_t at = words; at < words_end; at += 4) take(group, 4, block + at, lane, out);
        for (size_t at = words_end; at < block_bytes; at += 2) take(group, 2, block + at, lane, out);
    }
}
