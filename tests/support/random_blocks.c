/* Implements random_blocks.h. */
#include "support/random_blocks.h"

#include "support/check.h"

#include <string.h>

static void put_high_nibble(uint8_t *byte, int nibble) { *byte = (uint8_t)((*byte & 15) | nibble << 4); }

void random_blocks(quant_type type, uint8_t *blocks, size_t n_blocks, uint64_t *random) {
    static const int half_offsets[QUANT_TYPE_LIMIT][2] = {
        [QUANT_F16] = {0, 0},     [QUANT_Q4_0] = {0, 0},    [QUANT_Q4_1] = {0, 2},     [QUANT_Q5_0] = {0, 0},
        [QUANT_Q5_1] = {0, 2},    [QUANT_Q8_0] = {0, 0},    [QUANT_Q2_K] = {80, 82},   [QUANT_Q3_K] = {108, 108},
        [QUANT_Q4_K] = {0, 2},    [QUANT_Q5_K] = {0, 2},    [QUANT_Q6_K] = {208, 208}, [QUANT_IQ4_NL] = {0, 0},
        [QUANT_IQ4_XS] = {0, 0},  [QUANT_IQ1_S] = {0, 0},   [QUANT_IQ2_XXS] = {0, 0},  [QUANT_IQ2_XS] = {0, 0},
        [QUANT_IQ2_S] = {0, 0},   [QUANT_IQ3_XXS] = {0, 0}, [QUANT_IQ3_S] = {0, 0},    [QUANT_TQ1_0] = {52, 52},
        [QUANT_TQ2_0] = {64, 64},
    };
    const size_t block_bytes = quant_type_layout(type)->block_bytes;
    for (size_t i = 0; i < n_blocks * block_bytes; i++) blocks[i] = (uint8_t)random_u64(random);
    for (uint8_t *block = blocks; block < blocks + n_blocks * block_bytes; block += block_bytes) {
        if (type == QUANT_F32 || type == QUANT_BF16) {
            float value = random_float(random);
            memcpy(block, (const uint8_t *)&value + (4 - block_bytes), block_bytes);
            continue;
        }
        if (type == QUANT_MXFP4) {
            block[0] = (uint8_t)(120 + random_u64(random) % 4);
            continue;
        }
        if (type == QUANT_NVFP4) {
            for (size_t i = 0; i < 4; i++) { /* of any sign; 0x7F looks like a number, but means 0 */
                block[i] = (uint8_t)(random_u64(random) % 0x20 | random_u64(random) % 2 * 0x80);
                if (random_u64(random) % 8 == 0) block[i] = 0x7F;
            }
            continue;
        }
        for (size_t i = 0; i < 2; i++) {
            uint16_t scale = (uint16_t)(0x2000 + random_u64(random) % 0x1000); /* 2^-7 to 2^-3 */
            if (type == QUANT_IQ1_M) { /* its bits are the upper ones of four words */
                for (size_t k = 0; k < 4; k++) put_high_nibble(block + 49 + 2 * k, scale >> 4 * k & 15);
            } else {
                memcpy(block + half_offsets[type][i], &scale, sizeof scale);
            }
        }
    }
}
