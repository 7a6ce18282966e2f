/* From the bytes of a tensor to floats: one function for each of COMPUTE_TYPES.
 *
 * Before: a row of a weight matrix in the mapped file, as blocks of its type. After: the floats that the scalar matmul
 * multiplies, or a row of the embedding table.
 * The layouts and formulas are ggml's, to which the GGUF specification refers by the type's number.
 *
 * A block holds small integers q, several to a byte, and one scale that makes them floats again; some types add a
 * minimum. Scales are halfs (16-bit floats, base/half.h). The structs are the layouts, field by field; they consist of
 * bytes alone, so a block may lie at any address. Where two numbers share a byte it is drawn as high:low.
 *
 * Every product here is exact in float32, so a weight is rounded once, where a minimum is added, or not at all. The
 * inner loops run over 16 or 32 elements with shifts that are constants, which compilers turn into vector code.
 */
#include "base/half.h"
#include "cpu/kernels.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF data is little-endian and is used as the file has it");

static float half_at(const uint8_t bytes[2]) {
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return f32_from_f16(half);
}

/* ------------------------------------------------------------------------------------ floats: blocks of one element */

typedef struct block_F32 {
    uint8_t value[4];
} block_F32;

static void unpack_F32(const block_F32 *block, float *restrict out) { memcpy(out, block->value, sizeof *out); }

typedef struct block_F16 {
    uint8_t value[2]; /* half */
} block_F16;

static void unpack_F16(const block_F16 *block, float *restrict out) { *out = half_at(block->value); }

typedef struct block_BF16 {
    uint8_t value[2]; /* the upper half of a float32 */
} block_BF16;

static void unpack_BF16(const block_BF16 *block, float *restrict out) {
    uint16_t bits;
    memcpy(&bits, block->value, sizeof bits);
    *out = f32_from_bf16(bits);
}

/* --------------------------------------------------------------------------------------- 32 elements with one scale
 *
 * Four-bit quants lie with element i in the low nibble of byte i, and element i + 16 in the high one:
 *
 *     | q16:q0 | q17:q1 | ... | q31:q15 |
 */

/* w = scale * (q - 8) */
typedef struct block_Q4_0 {
    uint8_t scale[2];
    uint8_t quants[16];
} block_Q4_0;

static void unpack_Q4_0(const block_Q4_0 *block, float *restrict out) {
    float scale = half_at(block->scale);
    for (size_t i = 0; i < 16; i++) {
        out[i] = scale * (float)((block->quants[i] & 15) - 8);
        out[i + 16] = scale * (float)((block->quants[i] >> 4) - 8);
    }
}

/* w = scale * q + minimum */
typedef struct block_Q4_1 {
    uint8_t scale[2];
    uint8_t minimum[2];
    uint8_t quants[16];
} block_Q4_1;

static void unpack_Q4_1(const block_Q4_1 *block, float *restrict out) {
    float scale = half_at(block->scale), minimum = half_at(block->minimum);
    for (size_t i = 0; i < 16; i++) {
        out[i] = scale * (float)(block->quants[i] & 15) + minimum;
        out[i + 16] = scale * (float)(block->quants[i] >> 4) + minimum;
    }
}

/* Five-bit quants: bit i of the 32 high bits goes above the nibble of element i. A test against these, rather than a
 * shift by i, is what SSE2 can do for several elements at once. */
static const uint16_t bit[16] = {1 << 0, 1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                                 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};

/* w = scale * (q - 16) */
typedef struct block_Q5_0 {
    uint8_t scale[2];
    uint8_t high_bits[4];
    uint8_t quants[16];
} block_Q5_0;

static void unpack_Q5_0(const block_Q5_0 *block, float *restrict out) {
    float scale = half_at(block->scale);
    uint16_t high[2];
    memcpy(high, block->high_bits, sizeof high);
    for (size_t i = 0; i < 16; i++) {
        out[i] = scale * (float)((block->quants[i] & 15) + (high[0] & bit[i] ? 16 : 0) - 16);
        out[i + 16] = scale * (float)((block->quants[i] >> 4) + (high[1] & bit[i] ? 16 : 0) - 16);
    }
}

/* w = scale * q + minimum */
typedef struct block_Q5_1 {
    uint8_t scale[2];
    uint8_t minimum[2];
    uint8_t high_bits[4];
    uint8_t quants[16];
} block_Q5_1;

static void unpack_Q5_1(const block_Q5_1 *block, float *restrict out) {
    float scale = half_at(block->scale), minimum = half_at(block->minimum);
    uint16_t high[2];
    memcpy(high, block->high_bits, sizeof high);
    for (size_t i = 0; i < 16; i++) {
        out[i] = scale * (float)((block->quants[i] & 15) + (high[0] & bit[i] ? 16 : 0)) + minimum;
        out[i + 16] = scale * (float)((block->quants[i] >> 4) + (high[1] & bit[i] ? 16 : 0)) + minimum;
    }
}

/* w = scale * q */
typedef struct block_Q8_0 {
    uint8_t scale[2];
    int8_t quants[32];
} block_Q8_0;

static void unpack_Q8_0(const block_Q8_0 *block, float *restrict out) {
    float scale = half_at(block->scale);
    for (size_t i = 0; i < 32; i++) out[i] = scale * (float)block->quants[i];
}

/* ------------------------------------------------------------------------------- k-quants: super-blocks of 256
 *
 * A super-block's half scales the small integer scales of its sub-blocks: 16 of 16 elements, or 8 of 32.
 *
 * Two-bit fields (Q2_K, Q3_K, and the upper bits of Q6_K) come in fours: the byte at 16 * part + i, part 0..3, holds
 * element i of the sub-blocks s, s + 2, s + 4 and s + 6, from the low bits up, where s = 0, 1, 8, 9 for the parts.
 *
 *     byte i of part 0:  | q96+i : q64+i : q32+i : qi |
 */
static size_t first_sub_block(size_t part) { return part / 2 * 8 + part % 2; }

/* w = scale * (low nibble of scales) * q - minimum * (high nibble of scales), sub-blocks of 16 */
typedef struct block_Q2_K {
    uint8_t scales[16];
    uint8_t quants[64];
    uint8_t scale[2];
    uint8_t minimum[2];
} block_Q2_K;

static void unpack_Q2_K(const block_Q2_K *block, float *restrict out) {
    float scale = half_at(block->scale), minimum = half_at(block->minimum);
    float scales[16], minimums[16];
    for (size_t i = 0; i < 16; i++) {
        scales[i] = scale * (float)(block->scales[i] & 15);
        minimums[i] = minimum * (float)(block->scales[i] >> 4);
    }
    for (size_t part = 0; part < 4; part++) {
        const size_t s = first_sub_block(part);
        const uint8_t *quants = block->quants + 16 * part;
        float *w = out + 16 * s;
        for (size_t i = 0; i < 16; i++) {
            w[i] = scales[s] * (float)(quants[i] & 3) - minimums[s];
            w[i + 32] = scales[s + 2] * (float)(quants[i] >> 2 & 3) - minimums[s + 2];
            w[i + 64] = scales[s + 4] * (float)(quants[i] >> 4 & 3) - minimums[s + 4];
            w[i + 96] = scales[s + 6] * (float)(quants[i] >> 6) - minimums[s + 6];
        }
    }
}

/* w = scale * (sub-block's scale - 32) * (q - 4), sub-blocks of 16. q's third bit is bit b of high_bits[e % 32], for
 * element e of the 256 and b = e / 32. The 16 six-bit scales:
 *
 *     byte 0..7   | low 4 bits of scale i + 8 : low 4 bits of scale i |
 *     byte 8..11  | high 2 bits of scale i + 12 : of scale i + 8 : of scale i + 4 : of scale i |
 */
typedef struct block_Q3_K {
    uint8_t high_bits[32];
    uint8_t quants[64];
    uint8_t scales[12];
    uint8_t scale[2];
} block_Q3_K;

static void unpack_Q3_K(const block_Q3_K *block, float *restrict out) {
    float scale = half_at(block->scale);
    float scales[16];
    for (size_t i = 0; i < 16; i++) {
        int low = block->scales[i % 8] >> 4 * (i / 8) & 15;
        int high = block->scales[8 + i % 4] >> 2 * (i / 4) & 3;
        scales[i] = scale * (float)((low | high << 4) - 32);
    }
    for (size_t part = 0; part < 4; part++) {
        const size_t s = first_sub_block(part);
        const uint8_t *quants = block->quants + 16 * part;
        const uint8_t *high_bits = block->high_bits + 16 * (part % 2);
        float *w = out + 16 * s;
        for (size_t i = 0; i < 16; i++) {
            int high = high_bits[i] >> 4 * (part / 2);
            w[i] = scales[s] * (float)(((quants[i] & 3) | (high & 1) << 2) - 4);
            w[i + 32] = scales[s + 2] * (float)(((quants[i] >> 2 & 3) | (high & 2) << 1) - 4);
            w[i + 64] = scales[s + 4] * (float)(((quants[i] >> 4 & 3) | (high & 4)) - 4);
            w[i + 96] = scales[s + 6] * (float)((quants[i] >> 6 | (high & 8) >> 1) - 4);
        }
    }
}

/* The scales and minimums of the 8 sub-blocks of Q4_K and Q5_K: 16 six-bit numbers in 12 bytes, for i = 0..3
 *
 *     byte i      | high 2 bits of scale i + 4 : scale i |
 *     byte 4 + i  | high 2 bits of minimum i + 4 : minimum i |
 *     byte 8 + i  | low 4 bits of minimum i + 4 : low 4 bits of scale i + 4 |
 */
typedef struct sub_block_scales {
    float scales[8];
    float minimums[8];
} sub_block_scales;

static sub_block_scales unpack_scales(const uint8_t packed[12], float scale, float minimum) {
    sub_block_scales sub;
    for (size_t i = 0; i < 4; i++) {
        sub.scales[i] = scale * (float)(packed[i] & 63);
        sub.minimums[i] = minimum * (float)(packed[i + 4] & 63);
        sub.scales[i + 4] = scale * (float)((packed[i + 8] & 15) | packed[i] >> 6 << 4);
        sub.minimums[i + 4] = minimum * (float)(packed[i + 8] >> 4 | packed[i + 4] >> 6 << 4);
    }
    return sub;
}

/* w = scale * (sub-block's scale) * q - minimum * (sub-block's minimum), sub-blocks of 32: each 32 bytes of quants hold
 * one in their low nibbles and the next in their high ones. */
typedef struct block_Q4_K {
    uint8_t scale[2];
    uint8_t minimum[2];
    uint8_t scales[12];
    uint8_t quants[128];
} block_Q4_K;

static void unpack_Q4_K(const block_Q4_K *block, float *restrict out) {
    const sub_block_scales sub = unpack_scales(block->scales, half_at(block->scale), half_at(block->minimum));
    for (size_t s = 0; s < 8; s += 2) {
        const uint8_t *quants = block->quants + 16 * s;
        float *w = out + 32 * s;
        for (size_t i = 0; i < 32; i++) {
            w[i] = sub.scales[s] * (float)(quants[i] & 15) - sub.minimums[s];
            w[i + 32] = sub.scales[s + 1] * (float)(quants[i] >> 4) - sub.minimums[s + 1];
        }
    }
}

/* As Q4_K, with a fifth bit: bit s of high_bits[i] for element i of sub-block s. */
typedef struct block_Q5_K {
    uint8_t scale[2];
    uint8_t minimum[2];
    uint8_t scales[12];
    uint8_t high_bits[32];
    uint8_t quants[128];
} block_Q5_K;

static void unpack_Q5_K(const block_Q5_K *block, float *restrict out) {
    const sub_block_scales sub = unpack_scales(block->scales, half_at(block->scale), half_at(block->minimum));
    for (size_t s = 0; s < 8; s += 2) {
        const uint8_t *quants = block->quants + 16 * s;
        float *w = out + 32 * s;
        for (size_t i = 0; i < 32; i++) {
            int high = block->high_bits[i] >> s;
            w[i] = sub.scales[s] * (float)((quants[i] & 15) | (high & 1) << 4) - sub.minimums[s];
            w[i + 32] = sub.scales[s + 1] * (float)(quants[i] >> 4 | (high & 2) << 3) - sub.minimums[s + 1];
        }
    }
}

/* w = scale * (sub-block's scale) * (q - 32), sub-blocks of 16. Of each 128 elements, the low 4 bits of the first 64
 * are the low nibbles of 64 bytes, those of the last 64 the high ones; the high 2 bits lie as Q2_K's quants. */
typedef struct block_Q6_K {
    uint8_t low_bits[128];
    uint8_t high_bits[64];
    int8_t scales[16];
    uint8_t scale[2];
} block_Q6_K;

static void unpack_Q6_K(const block_Q6_K *block, float *restrict out) {
    float scale = half_at(block->scale);
    float scales[16];
    for (size_t i = 0; i < 16; i++) scales[i] = scale * (float)block->scales[i];
    for (size_t part = 0; part < 4; part++) {
        const size_t s = first_sub_block(part);
        const uint8_t *low = block->low_bits + 64 * (part / 2) + 16 * (part % 2);
        const uint8_t *high = block->high_bits + 16 * part;
        float *w = out + 16 * s;
        for (size_t i = 0; i < 16; i++) {
            w[i] = scales[s] * (float)(((low[i] & 15) | (high[i] & 3) << 4) - 32);
            w[i + 32] = scales[s + 2] * (float)(((low[i + 32] & 15) | (high[i] >> 2 & 3) << 4) - 32);
            w[i + 64] = scales[s + 4] * (float)((low[i] >> 4 | (high[i] >> 4 & 3) << 4) - 32);
            w[i + 96] = scales[s + 6] * (float)((low[i + 32] >> 4 | high[i] >> 6 << 4) - 32);
        }
    }
}

/* ------------------------------------------------------------------------------------- four bits, unevenly spaced */

/* Weights crowd around zero, and so do these levels. */
static const float iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static void unpack_iq4(const uint8_t quants[16], float scale, float *restrict out) {
    for (size_t i = 0; i < 16; i++) {
        out[i] = scale * iq4_levels[quants[i] & 15];
        out[i + 16] = scale * iq4_levels[quants[i] >> 4];
    }
}

/* w = scale * level[q], and else Q4_0 */
typedef struct block_IQ4_NL {
    uint8_t scale[2];
    uint8_t quants[16];
} block_IQ4_NL;

static void unpack_IQ4_NL(const block_IQ4_NL *block, float *restrict out) {
    unpack_iq4(block->quants, half_at(block->scale), out);
}

/* w = scale * (sub-block's scale - 32) * level[q]: 8 sub-blocks of 32, each with its quants as in IQ4_NL, and 6-bit
 * scales whose low 4 bits are nibbles and whose high 2 bits come four to a byte, both from the low bits up. */
typedef struct block_IQ4_XS {
    uint8_t scale[2];
    uint8_t scales_high[2];
    uint8_t scales_low[4];
    uint8_t quants[128];
} block_IQ4_XS;

static void unpack_IQ4_XS(const block_IQ4_XS *block, float *restrict out) {
    for (size_t s = 0; s < 8; s++) {
        int low = block->scales_low[s / 2] >> 4 * (s % 2) & 15;
        int high = block->scales_high[s / 4] >> 2 * (s % 4) & 3;
        float scale = half_at(block->scale) * (float)((low | high << 4) - 32);
        unpack_iq4(block->quants + 16 * s, scale, out + 32 * s);
    }
}

/* ------------------------------------------------------------------------------------------- one loop for each type */

#define X(name, number, elements, bytes)                                               \
    _Static_assert(sizeof(block_##name) == (bytes), "the struct is the block");        \
    static void dequantize_##name(const void *blocks, float *restrict out, size_t n) { \
        const block_##name *block = blocks;                                            \
        for (size_t i = 0; i < n; i += (elements)) unpack_##name(block++, out + i);    \
    }
COMPUTE_TYPES(X)
#undef X

const dequantize_kernel dequantize_scalar[QUANT_TYPE_LIMIT] = {
#define X(name, number, elements, bytes) [QUANT_##name] = dequantize_##name,
    COMPUTE_TYPES(X)
#undef X
};
