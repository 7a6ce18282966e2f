/* From the bytes of a tensor to floats: one function for each of COMPUTE_TYPES.
 *
 * Before: a row of a weight matrix in the mapped file, as blocks of its type. After: the floats that matmul multiplies.
 * The layouts and formulas are ggml's, to which the GGUF specification refers by the type's number.
 *
 * A type stores small integers q, some to a byte, and for each block the scale that makes them floats again; a "half"
 * is a 16-bit float (base/half.h). In the drawings one box is one field, with its first byte's offset above it, and
 * `low | high` are the two nibbles (4 bits each) of every byte. The structs consist of bytes alone, so they may lie at
 * any address. Every product here is exact in float32: a formula rounds once, where it adds a minimum, or never.
 * The inner loops are over 8 to 32 elements without a branch, which compilers turn into vector instructions.
 */
#include "base/half.h"
#include "cpu/kernels.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF data is little-endian, and is used as it lies in the file");

static float half_at(const uint8_t *bytes) {
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return f32_from_f16(half);
}

/* ------------------------------------------------------------------------------------------- floats, as they are */

typedef struct block_F32 {
    uint8_t value[4];
} block_F32;

static void dequantize_F32(const void *blocks, float *restrict out, size_t n) { memcpy(out, blocks, n * sizeof *out); }

typedef struct block_F16 {
    uint8_t value[2]; /* half */
} block_F16;

static void dequantize_F16(const void *blocks, float *restrict out, size_t n) {
    const block_F16 *block = blocks;
    for (size_t i = 0; i < n; i++) out[i] = half_at(block[i].value);
}

typedef struct block_BF16 {
    uint8_t value[2]; /* the upper half of a float32 */
} block_BF16;

static void dequantize_BF16(const void *blocks, float *restrict out, size_t n) {
    const block_BF16 *block = blocks;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, block[i].value, sizeof bits);
        out[i] = f32_from_bf16(bits);
    }
}

/* ------------------------------------------------------------------------------- blocks of 32 with one scale each */

/* 0      2                    18
 * | half | q0 | q16 ... q15 | q31 |    w = scale * (q - 8)
 */
typedef struct block_Q4_0 {
    uint8_t scale[2];
    uint8_t quants[16];
} block_Q4_0;

static void dequantize_Q4_0(const void *blocks, float *restrict out, size_t n) {
    const block_Q4_0 *end = (const block_Q4_0 *)blocks + n / 32;
    for (const block_Q4_0 *block = blocks; block < end; block++, out += 32) {
        float scale = half_at(block->scale);
        for (size_t i = 0; i < 16; i++) {
            out[i] = scale * (float)((block->quants[i] & 15) - 8);
            out[i + 16] = scale * (float)((block->quants[i] >> 4) - 8);
        }
    }
}

typedef struct block_Q4_1 {
    uint8_t scale[2];
    uint8_t minimum[2];
    uint8_t quants[16];
} block_Q4_1;

static void dequantize_Q4_1(const void *blocks, float *restrict out, size_t n) {
    const block_Q4_1 *end = (const block_Q4_1 *)blocks + n / 32;
    for (const block_Q4_1 *block = blocks; block < end; block++, out += 32) {
        float scale = half_at(block->scale), minimum = half_at(block->minimum);
        for (size_t i = 0; i < 16; i++) {
            out[i] = scale * (float)(block->quants[i] & 15) + minimum;
            out[i + 16] = scale * (float)(block->quants[i] >> 4) + minimum;
        }
    }
}

typedef struct block_Q5_0 {
    uint8_t scale[2];
    uint8_t high_bits[4];
    uint8_t quants[16];
} block_Q5_0;

/* The 32 five-bit numbers of Q5_0 and Q5_1: nibbles below, and above each its bit of high_bits. */
static void unpack_5_bits(const uint8_t high_bits[4], const uint8_t quants[16], uint8_t *restrict out) {
    static const uint8_t bit[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    for (size_t byte = 0; byte < 2; byte++)
        for (size_t i = 0; i < 8; i++) {
            uint8_t pair = quants[8 * byte + i];
            out[8 * byte + i] = (uint8_t)((pair & 15) | (high_bits[byte] & bit[i] ? 16 : 0));
            out[8 * byte + i + 16] = (uint8_t)(pair >> 4 | (high_bits[byte + 2] & bit[i] ? 16 : 0));
        }
}

static void dequantize_Q5_0(const void *blocks, float *restrict out, size_t n) {
    const block_Q5_0 *end = (const block_Q5_0 *)blocks + n / 32;
    for (const block_Q5_0 *block = blocks; block < end; block++, out += 32) {
        float scale = half_at(block->scale);
        uint8_t q[32];
        unpack_5_bits(block->high_bits, block->quants, q);
        for (size_t i = 0; i < 32; i++) out[i] = scale * (float)(q[i] - 16);
    }
}

typedef struct block_Q5_1 {
    uint8_t scale[2];
    uint8_t minimum[2];
    uint8_t high_bits[4];
    uint8_t quants[16];
} block_Q5_1;

static void dequantize_Q5_1(const void *blocks, float *restrict out, size_t n) {
    const block_Q5_1 *end = (const block_Q5_1 *)blocks + n / 32;
    for (const block_Q5_1 *block = blocks; block < end; block++, out += 32) {
        float scale = half_at(block->scale), minimum = half_at(block->minimum);
        uint8_t q[32];
        unpack_5_bits(block->high_bits, block->quants, q);
        for (size_t i = 0; i < 32; i++) out[i] = scale * (float)q[i] + minimum;
    }
}

typedef struct block_Q8_0 {
    uint8_t scale[2];
    int8_t quants[32];
} block_Q8_0;

static void dequantize_Q8_0(const void *blocks, float *restrict out, size_t n) {
    const block_Q8_0 *end = (const block_Q8_0 *)blocks + n / 32;
    for (const block_Q8_0 *block = blocks; block < end; block++, out += 32) {
        float scale = half_at(block->scale);
        for (size_t i = 0; i < 32; i++) out[i] = scale * (float)block->quants[i];
    }
}

/* ------------------------------------------------------------------ k-quants: super-blocks of 256 in sub-blocks */

typedef struct block_Q2_K {
    uint8_t scales[16]; /* low nibble: the sub-block's scale; high: its minimum */
    uint8_t quants[64];
    uint8_t scale[2];
    uint8_t minimum[2];
} block_Q2_K;

static void dequantize_Q2_K(const void *blocks, float *restrict out, size_t n) {
    const block_Q2_K *end = (const block_Q2_K *)blocks + n / 256;
    for (const block_Q2_K *block = blocks; block < end; block++)
        for (size_t sub = 0; sub < 16; sub++, out += 16) {
            float scale = half_at(block->scale) * (float)(block->scales[sub] & 15);
            float minimum = half_at(block->minimum) * (float)(block->scales[sub] >> 4);
            const uint8_t *quants = block->quants + 32 * (sub / 8) + 16 * (sub % 2);
            size_t shift = 2 * (sub / 2 % 4);
            for (size_t i = 0; i < 16; i++) out[i] = scale * (float)(quants[i] >> shift & 3) - minimum;
        }
}

typedef struct block_Q3_K {
    uint8_t high_bits[32];
    uint8_t quants[64];
    uint8_t scales[12];
    uint8_t scale[2];
} block_Q3_K;

static void dequantize_Q3_K(const void *blocks, float *restrict out, size_t n) {
    const block_Q3_K *end = (const block_Q3_K *)blocks + n / 256;
    for (const block_Q3_K *block = blocks; block < end; block++)
        for (size_t sub = 0; sub < 16; sub++, out += 16) {
            int low = block->scales[sub % 8] >> 4 * (sub / 8) & 15;
            int high = block->scales[8 + sub % 4] >> 2 * (sub / 4) & 3;
            float scale = half_at(block->scale) * (float)((low | high << 4) - 32);
            const uint8_t *quants = block->quants + 32 * (sub / 8) + 16 * (sub % 2);
            const uint8_t *high_bits = block->high_bits + 16 * (sub % 2);
            size_t shift = 2 * (sub / 2 % 4), high_shift = sub / 2;
            for (size_t i = 0; i < 16; i++) {
                int q = (quants[i] >> shift & 3) | (high_bits[i] >> high_shift & 1) << 2;
                out[i] = scale * (float)(q - 4);
            }
        }
}

/* The 6-bit scale and minimum of one of the 8 sub-blocks of Q4_K and Q5_K, out of 12 bytes: */
static void unpack_scale_and_minimum(const uint8_t packed[12], size_t sub, int *scale, int *minimum) {
    if (sub < 4) {
        *scale = packed[sub] & 63;
        *minimum = packed[sub + 4] & 63;
    } else {
        *scale = (packed[sub + 4] & 15) | packed[sub - 4] >> 6 << 4;
        *minimum = packed[sub + 4] >> 4 | packed[sub] >> 6 << 4;
    }
}

typedef struct block_Q4_K {
    uint8_t scale[2];
    uint8_t minimum[2];
    uint8_t scales[12];
    uint8_t quants[128];
} block_Q4_K;

static void dequantize_Q4_K(const void *blocks, float *restrict out, size_t n) {
    const block_Q4_K *end = (const block_Q4_K *)blocks + n / 256;
    for (const block_Q4_K *block = blocks; block < end; block++)
        for (size_t sub = 0; sub < 8; sub++, out += 32) {
            int sub_scale, sub_minimum;
            unpack_scale_and_minimum(block->scales, sub, &sub_scale, &sub_minimum);
            float scale = half_at(block->scale) * (float)sub_scale;
            float minimum = half_at(block->minimum) * (float)sub_minimum;
            const uint8_t *quants = block->quants + 32 * (sub / 2);
            size_t shift = 4 * (sub % 2);
            for (size_t i = 0; i < 32; i++) out[i] = scale * (float)(quants[i] >> shift & 15) - minimum;
        }
}

typedef struct block_Q5_K {
    uint8_t scale[2];
    uint8_t minimum[2];
    uint8_t scales[12];
    uint8_t high_bits[32];
    uint8_t quants[128];
} block_Q5_K;

static void dequantize_Q5_K(const void *blocks, float *restrict out, size_t n) {
    const block_Q5_K *end = (const block_Q5_K *)blocks + n / 256;
    for (const block_Q5_K *block = blocks; block < end; block++)
        for (size_t sub = 0; sub < 8; sub++, out += 32) {
            int sub_scale, sub_minimum;
            unpack_scale_and_minimum(block->scales, sub, &sub_scale, &sub_minimum);
            float scale = half_at(block->scale) * (float)sub_scale;
            float minimum = half_at(block->minimum) * (float)sub_minimum;
            const uint8_t *quants = block->quants + 32 * (sub / 2);
            size_t shift = 4 * (sub % 2);
            for (size_t i = 0; i < 32; i++) {
                int q = (quants[i] >> shift & 15) | (block->high_bits[i] >> sub & 1) << 4;
                out[i] = scale * (float)q - minimum;
            }
        }
}

typedef struct block_Q6_K {
    uint8_t low_bits[128];
    uint8_t high_bits[64];
    int8_t scales[16];
    uint8_t scale[2];
} block_Q6_K;

static void dequantize_Q6_K(const void *blocks, float *restrict out, size_t n) {
    const block_Q6_K *end = (const block_Q6_K *)blocks + n / 256;
    for (const block_Q6_K *block = blocks; block < end; block++)
        for (size_t sub = 0; sub < 16; sub++, out += 16) {
            float scale = half_at(block->scale) * (float)block->scales[sub];
            const uint8_t *low_bits = block->low_bits + 64 * (sub / 8) + 16 * (sub % 4);
            const uint8_t *high_bits = block->high_bits + 32 * (sub / 8) + 16 * (sub % 2);
            size_t low_shift = 4 * (sub / 4 % 2), high_shift = 2 * (sub / 2 % 4);
            for (size_t i = 0; i < 16; i++) {
                int q = (low_bits[i] >> low_shift & 15) | (high_bits[i] >> high_shift & 3) << 4;
                out[i] = scale * (float)(q - 32);
            }
        }
}

/* ------------------------------------------------------------------------------------- four bits, unevenly spaced */

/* Weights crowd around zero, so these 16 levels do too. */
static const float iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* The 32 elements of 16 bytes, which lie as in Q4_0. */
static void dequantize_iq4(float scale, const uint8_t quants[16], float *restrict out) {
    for (size_t i = 0; i < 16; i++) {
        out[i] = scale * iq4_levels[quants[i] & 15];
        out[i + 16] = scale * iq4_levels[quants[i] >> 4];
    }
}

typedef struct block_IQ4_NL {
    uint8_t scale[2];
    uint8_t quants[16];
} block_IQ4_NL;

static void dequantize_IQ4_NL(const void *blocks, float *restrict out, size_t n) {
    const block_IQ4_NL *end = (const block_IQ4_NL *)blocks + n / 32;
    for (const block_IQ4_NL *block = blocks; block < end; block++, out += 32)
        dequantize_iq4(half_at(block->scale), block->quants, out);
}

typedef struct block_IQ4_XS {
    uint8_t scale[2];
    uint8_t scales_high[2];
    uint8_t scales_low[4];
    uint8_t quants[128];
} block_IQ4_XS;

static void dequantize_IQ4_XS(const void *blocks, float *restrict out, size_t n) {
    const block_IQ4_XS *end = (const block_IQ4_XS *)blocks + n / 256;
    for (const block_IQ4_XS *block = blocks; block < end; block++)
        for (size_t sub = 0; sub < 8; sub++, out += 32) {
            int low = block->scales_low[sub / 2] >> 4 * (sub % 2) & 15;
            int high = block->scales_high[sub / 4] >> 2 * (sub % 4) & 3;
            float scale = half_at(block->scale) * (float)((low | high << 4) - 32);
            dequantize_iq4(scale, block->quants + 16 * sub, out);
        }
}

#define X(name, number, elements, bytes) _Static_assert(sizeof(block_##name) == (bytes), #name);
COMPUTE_TYPES(X)
#undef X

const dequantize_kernel dequantize_scalar[QUANT_TYPE_LIMIT] = {
#define X(name, number, elements, bytes) [QUANT_##name] = dequantize_##name,
    COMPUTE_TYPES(X)
#undef X
};
