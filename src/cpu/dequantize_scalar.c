/* From the bytes of a tensor to floats: one function for each of COMPUTE_TYPES.
 *
 * Before: a row of a weight matrix in the mapped file, as blocks of its type. After: the floats that the scalar matmul
 * multiplies, or a row of the embedding table. The layouts and formulas are ggml's, to which the GGUF specification
 * refers by the type's number.
 *
 * A block holds small integers q, mostly several to a byte, and one scale that makes them floats again; some types add
 * or subtract a minimum. Scales are halfs (16-bit floats, base/half.h), except those of MXFP4 and NVFP4. The structs
 * are the layouts, field by field; they consist of bytes alone, so a block may lie at any address. Where two numbers
 * share a byte it is drawn as high:low.
 *
 * Every product here is exact in float32. So a weight is rounded at most once, where a minimum is added. Most inner
 * loops run over 16 or 32 elements with constant shifts, and compilers turn them into vector code.
 */
#include "base/half.h"
#include "cpu/kernels.h"
#include "gguf/codebooks.h"

#include <string.h>

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

/* Five-bit quants: bit i of the 32 high bits goes above the nibble of element i. The bit is tested with this table, not
 * shifted by i: SSE2 can test several elements at once, but not shift each by a number of its own. */
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
 * A super-block has 16 sub-blocks of 16 elements, or 8 of 32. A sub-block's scale is a small integer times the scale of
 * the super-block, which is a half.
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
 *     byte i      | low 4 bits of scale i + 8 : low 4 bits of scale i |                              i = 0..7
 *     byte 8 + i  | high 2 bits of scale i + 12 : of scale i + 8 : of scale i + 4 : of scale i |     i = 0..3
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

/* w = scale * (sub-block's scale) * (q - 32), sub-blocks of 16. The low 4 bits of 128 elements are in 64 bytes: those
 * of the first 64 elements in the low nibbles, those of the last 64 in the high nibbles. The high 2 bits are stored
 * like Q2_K's quants. */
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

/* w = scale * level[q], with the layout of Q4_0 */
typedef struct block_IQ4_NL {
    uint8_t scale[2];
    uint8_t quants[16];
} block_IQ4_NL;

static void unpack_IQ4_NL(const block_IQ4_NL *block, float *restrict out) {
    unpack_iq4(block->quants, half_at(block->scale), out);
}

/* w = scale * (sub-block's scale - 32) * level[q]: 8 sub-blocks of 32, with quants as in IQ4_NL. The sub-blocks' scales
 * have 6 bits: the low 4 are two to a byte, the high 2 are four to a byte, both from the low bits up. */
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

/* w = scale * (the value of a 4-bit float). These floats, E2M1, have a sign, two bits of exponent and one of mantissa.
 * The levels below are in units of 1/2, so they are multiplied by half the scale. (OCP Microscaling Formats 1.0; NVFP4
 * has the same values.) */
static const float fp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* The scale is 2^(byte - 127). Half of it, 2^(byte - 128), is a subnormal float for bytes 0 and 1. */
typedef struct block_MXFP4 {
    uint8_t scale;
    uint8_t quants[16]; /* as in Q4_0 */
} block_MXFP4;

static void unpack_MXFP4(const block_MXFP4 *block, float *restrict out) {
    const uint32_t e = block->scale;
    const float scale = float_from_bits(e < 2 ? (e + 1) << 21 : (e - 1) << 23);
    for (size_t i = 0; i < 16; i++) {
        out[i] = scale * fp4_levels[block->quants[i] & 15];
        out[i + 16] = scale * fp4_levels[block->quants[i] >> 4];
    }
}

/* Four sub-blocks of 16. Each has 8 bytes, with elements 0..7 in the low nibbles and 8..15 in the high ones, and a
 * scale: a float with 4 bits of exponent, whose bias is 7, and 3 bits of mantissa. A scale byte of 0x7F means 0.
 * Otherwise the top bit of the byte is ignored. */
typedef struct block_NVFP4 {
    uint8_t scales[4];
    uint8_t quants[32];
} block_NVFP4;

static void unpack_NVFP4(const block_NVFP4 *block, float *restrict out) {
    for (size_t s = 0; s < 4; s++) {
        const uint32_t bits = block->scales[s] == 0x7F ? 0 : block->scales[s] & 0x7F;
        const float scale = float_from_bits(bits << 20) * 0x1p119f; /* the bias is 7, not 127; and half the scale */
        const uint8_t *quants = block->quants + 8 * s;
        float *w = out + 16 * s;
        for (size_t i = 0; i < 8; i++) {
            w[i] = scale * fp4_levels[quants[i] & 15];
            w[i + 8] = scale * fp4_levels[quants[i] >> 4];
        }
    }
}

/* ---------------------------------------------------------------------------------------- three values: -1, 0 and 1 */

/* w = scale * (q - 1), two bits each: each 32 bytes have 128 elements as in Q2_K */
typedef struct block_TQ2_0 {
    uint8_t quants[64];
    uint8_t scale[2];
} block_TQ2_0;

static void unpack_TQ2_0(const block_TQ2_0 *block, float *restrict out) {
    const float scale = half_at(block->scale);
    for (size_t part = 0; part < 2; part++) {
        const uint8_t *quants = block->quants + 32 * part;
        float *w = out + 128 * part;
        for (size_t i = 0; i < 32; i++) {
            w[i] = scale * (float)((quants[i] & 3) - 1);
            w[i + 32] = scale * (float)((quants[i] >> 2 & 3) - 1);
            w[i + 64] = scale * (float)((quants[i] >> 4 & 3) - 1);
            w[i + 96] = scale * (float)((quants[i] >> 6) - 1);
        }
    }
}

/* w = scale * (q - 1), five q to a byte: byte / 256, which was rounded up, is the fraction 0.q0 q1 q2 q3 q4 in base 3.
 * Three times the fraction has q0 before the point. Three times the rest has q1 before the point, and so on.
 *
 *     bytes 0..31     q0 of elements 0..31, q1 of 32..63, ... q4 of 128..159
 *     bytes 32..47    q0 of elements 160..175, ... q4 of 224..239
 *     bytes 48..51    q0 of elements 240..243, ... q3 of 252..255 */
typedef struct block_TQ1_0 {
    uint8_t digits[52];
    uint8_t scale[2];
} block_TQ1_0;

static float *unpack_digits(const uint8_t *bytes, size_t n_bytes, size_t n_digits, float scale, float *restrict out) {
    for (size_t i = 0; i < n_bytes; i++) {
        uint32_t fraction = bytes[i];
        for (size_t digit = 0; digit < n_digits; digit++) {
            out[digit * n_bytes + i] = scale * (float)((int)(fraction * 3 >> 8) - 1);
            fraction = fraction * 3 & 0xFF;
        }
    }
    return out + n_digits * n_bytes;
}

static void unpack_TQ1_0(const block_TQ1_0 *block, float *restrict out) {
    const float scale = half_at(block->scale);
    out = unpack_digits(block->digits, 32, 5, scale, out);
    out = unpack_digits(block->digits + 32, 16, 5, scale, out);
    unpack_digits(block->digits + 48, 4, 4, scale, out);
}

/* --------------------------------------------------------------------------------------------- entries of a codebook
 *
 * Eight weights, or four, are stored as the number of an entry in a codebook (gguf/codebooks.h), and a sign bit for
 * each weight. The entry has a code for each weight's magnitude. Code c means levels[c] if the sign bit is 0, and
 * levels[8 + c] if it is 1. Below, s is the small integer from which a sub-block's scale is made. */
static const float iq2_levels[16] = {8, 25, 43, 0, 0, 0, 0, 0, -8, -25, -43};
static const float iq3_xxs_levels[16] = {4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62};
static const float iq3_s_levels[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};

static void unpack_eight(uint32_t entry, uint32_t signs, const float levels[16], float scale, float *restrict out) {
    const uint32_t codes = entry | entry << 12;
    for (size_t i = 0; i < 4; i++) {
        out[i] = scale * levels[(codes >> 8 * i & 3) | (signs >> i & 1) << 3];
        out[i + 4] = scale * levels[(codes >> 8 * i >> 2 & 3) | (signs >> i >> 4 & 1) << 3];
    }
}

static void unpack_four(uint32_t entry, uint32_t signs, const float levels[16], float scale, float *restrict out) {
    const uint32_t codes = entry | entry << 12;
    for (size_t i = 0; i < 4; i++) out[i] = scale * levels[(codes >> 8 * i & 7) | (signs >> i & 1) << 3];
}

/* Signs of eight weights from seven bits. The eighth makes the number of minus signs even. */
static uint32_t eight_signs(uint32_t seven) {
    seven &= 127;
    uint32_t parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return seven | (parity & 1) << 7;
}

static uint32_t u16_at(const uint8_t *bytes) { return (uint32_t)(bytes[0] | bytes[1] << 8); }
static uint32_t u32_at(const uint8_t *bytes) { return u16_at(bytes) | u16_at(bytes + 2) << 16; }

/* w = scale * (2 * s + 1) / 8 * level: 8 sub-blocks of 32, each with this layout:
 *
 *     entry of weights 0..7 | of 8..15 | of 16..23 | of 24..31 | s, 4 bits : signs, 4 * 7 bits (32 bits) */
typedef struct block_IQ2_XXS {
    uint8_t scale[2];
    uint8_t sub_blocks[8][8];
} block_IQ2_XXS;

static void unpack_IQ2_XXS(const block_IQ2_XXS *block, float *restrict out) {
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *entries = block->sub_blocks[s];
        const uint32_t signs = u32_at(entries + 4);
        const float scale = half_at(block->scale) * (float)(2 * (signs >> 28) + 1) * 0.125f;
        for (size_t i = 0; i < 4; i++)
            unpack_eight(codebook_IQ2_XXS[entries[i]], eight_signs(signs >> 7 * i), iq2_levels, scale,
                         out + 32 * s + 8 * i);
    }
}

/* w = scale * (2 * s + 1) / 8 * level: sub-blocks of 16, with s in nibbles. A quant has 7 bits of signs above 9 bits of
 * entry. */
typedef struct block_IQ2_XS {
    uint8_t scale[2];
    uint8_t quants[32][2];
    uint8_t scales[8];
} block_IQ2_XS;

static void unpack_IQ2_XS(const block_IQ2_XS *block, float *restrict out) {
    for (size_t i = 0; i < 32; i++) {
        const uint32_t quant = u16_at(block->quants[i]);
        const float scale =
            half_at(block->scale) * (float)(2 * (block->scales[i / 4] >> i % 4 / 2 * 4 & 15) + 1) * 0.125f;
        unpack_eight(codebook_IQ2_XS[quant & 511], eight_signs(quant >> 9), iq2_levels, scale, out + 8 * i);
    }
}

/* Like IQ2_XS, with entries of 10 bits, whose upper two are in high_bits, from the low bits up, and with all 8
 * signs. */
typedef struct block_IQ2_S {
    uint8_t scale[2];
    uint8_t low_bits[32];
    uint8_t signs[32];
    uint8_t high_bits[8];
    uint8_t scales[8];
} block_IQ2_S;

static void unpack_IQ2_S(const block_IQ2_S *block, float *restrict out) {
    for (size_t i = 0; i < 32; i++) {
        const int entry = block->low_bits[i] | (block->high_bits[i / 4] >> i % 4 * 2 & 3) << 8;
        const float scale =
            half_at(block->scale) * (float)(2 * (block->scales[i / 4] >> i % 4 / 2 * 4 & 15) + 1) * 0.125f;
        unpack_eight(codebook_IQ2_S[entry], block->signs[i], iq2_levels, scale, out + 8 * i);
    }
}

/* w = scale * (2 * s + 1) / 4 * level: sub-blocks of 32 with 8 entries of four weights, and s and signs as in
 * IQ2_XXS */
typedef struct block_IQ3_XXS {
    uint8_t scale[2];
    uint8_t entries[64];
    uint8_t signs[8][4];
} block_IQ3_XXS;

static void unpack_IQ3_XXS(const block_IQ3_XXS *block, float *restrict out) {
    for (size_t i = 0; i < 64; i++) {
        const uint32_t signs = u32_at(block->signs[i / 8]);
        const float scale = half_at(block->scale) * (float)(2 * (signs >> 28) + 1) * 0.25f;
        unpack_four(codebook_IQ3_XXS[block->entries[i]], eight_signs(signs >> 7 * (i % 8 / 2)) >> i % 2 * 4,
                    iq3_xxs_levels, scale, out + 4 * i);
    }
}

/* w = scale * (2 * s + 1) * level: sub-blocks of 32, with s in nibbles. A sub-block has 8 entries; an entry has 9
 * bits and stands for four weights. */
typedef struct block_IQ3_S {
    uint8_t scale[2];
    uint8_t low_bits[64];
    uint8_t high_bits[8];
    uint8_t signs[32];
    uint8_t scales[4];
} block_IQ3_S;

static void unpack_IQ3_S(const block_IQ3_S *block, float *restrict out) {
    for (size_t i = 0; i < 64; i++) {
        const int entry = block->low_bits[i] | (block->high_bits[i / 8] >> i % 8 & 1) << 8;
        const float scale = half_at(block->scale) * (float)(2 * (block->scales[i / 16] >> i % 16 / 8 * 4 & 15) + 1);
        unpack_four(codebook_IQ3_S[entry], (uint32_t)block->signs[i / 2] >> i % 2 * 4, iq3_s_levels, scale,
                    out + 4 * i);
    }
}

/* IQ1: entries have eight weights -1, 0 or 1. An eighth is added to all, or subtracted if the bit `down` is set. This
 * bit takes the place of the eight signs. In eighths: */
static const float iq1_levels[16] = {-7, 1, 9, 0, 0, 0, 0, 0, -9, -1, 7};

/* w = scale * (2 * s + 1) / 8 * level: sub-blocks of 32. The low 8 bits of their entries are in low_bits, the rest
 * is in high_bits:
 *
 *     down, 1 bit : s, 3 bits : upper 3 bits of entry 3 : of entry 2 : of entry 1 : of entry 0 (16 bits) */
typedef struct block_IQ1_S {
    uint8_t scale[2];
    uint8_t low_bits[32];
    uint8_t high_bits[8][2];
} block_IQ1_S;

static void unpack_IQ1_S(const block_IQ1_S *block, float *restrict out) {
    for (size_t i = 0; i < 32; i++) {
        const uint32_t high = u16_at(block->high_bits[i / 4]);
        const float scale = half_at(block->scale) * (float)(2 * (high >> 12 & 7) + 1) * 0.125f;
        unpack_eight(codebook_IQ1[block->low_bits[i] | (high >> 3 * (i % 4) & 7) << 8], high & 0x8000 ? 0xFF : 0,
                     iq1_levels, scale, out + 8 * i);
    }
}

/* The same with sub-blocks of 16. Each entry has a nibble in high_bits, low nibbles first: down, 1 bit : its upper 3
 * bits. The scale is a half, and each of the four words of 16 bits in `scales` has 4 bits of it:
 *
 *     4 bits of the scale : s of sub-block 4 * word + 3 : of 4 * word + 2 : of 4 * word + 1 : of 4 * word */
typedef struct block_IQ1_M {
    uint8_t low_bits[32];
    uint8_t high_bits[16];
    uint8_t scales[4][2];
} block_IQ1_M;

static void unpack_IQ1_M(const block_IQ1_M *block, float *restrict out) {
    uint32_t half = 0;
    for (size_t i = 0; i < 4; i++) half |= u16_at(block->scales[i]) >> 12 << 4 * i;
    for (size_t i = 0; i < 32; i++) {
        const uint32_t high = (uint32_t)block->high_bits[i / 2] >> i % 2 * 4;
        const uint32_t s = u16_at(block->scales[i / 8]) >> 3 * (i % 8 / 2) & 7;
        const float scale = f32_from_f16((uint16_t)half) * (float)(2 * s + 1) * 0.125f;
        unpack_eight(codebook_IQ1[block->low_bits[i] | (high & 7) << 8], high & 8 ? 0xFF : 0, iq1_levels, scale,
                     out + 8 * i);
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
