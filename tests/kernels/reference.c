/* The reference decoder of blocks: it picks one element's bits at a time, straight from the formulas. */
#include "kernels/kernel_tests.h"

#include "gguf/codebooks.h"

#include <math.h>
#include <string.h>

static int bits(const uint8_t *bytes, size_t byte, size_t first_bit, unsigned count) {
    return bytes[byte] >> first_bit & ((1 << count) - 1);
}

static double half(const uint8_t *bytes) {
    int exponent = bits(bytes, 1, 2, 5), mantissa = bits(bytes, 0, 0, 8) | bits(bytes, 1, 0, 2) << 8;
    double sign = bits(bytes, 1, 7, 1) ? -1 : 1;
    if (exponent == 31) return mantissa ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24));
}

/* Element e of 32, of which 0..15 are low nibbles and 16..31 high ones. */
static int nibble(const uint8_t *bytes, size_t e) { return bits(bytes, e % 16, e / 16 * 4, 4); }

/* The 6-bit numbers k of Q4_K and Q5_K: 0..7 are scales, 8..15 minimums. */
static int packed_scale(const uint8_t *bytes, size_t k) {
    size_t minimum = k / 8, s = k % 8;
    if (s < 4) return bits(bytes, s + 4 * minimum, 0, 6);
    return bits(bytes, s + 4, 4 * minimum, 4) | bits(bytes, s - 4 + 4 * minimum, 6, 2) << 4;
}

static double reference_small_block(quant_type type, const uint8_t *b, size_t e) {
    static const int levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    float value;
    switch (type) {
    case QUANT_F32: memcpy(&value, b, sizeof value); return (double)value;
    case QUANT_F16: return half(b);
    case QUANT_BF16: {
        const uint8_t widened[4] = {0, 0, b[0], b[1]};
        memcpy(&value, widened, sizeof value);
        return (double)value;
    }
    case QUANT_Q4_0: return half(b) * (nibble(b + 2, e) - 8);
    case QUANT_Q4_1: return half(b) * nibble(b + 4, e) + half(b + 2);
    case QUANT_Q5_0: return half(b) * ((nibble(b + 6, e) | bits(b + 2, e / 8, e % 8, 1) << 4) - 16);
    case QUANT_Q5_1: return half(b) * (nibble(b + 8, e) | bits(b + 4, e / 8, e % 8, 1) << 4) + half(b + 2);
    case QUANT_Q8_0: return half(b) * (int8_t)b[2 + e];
    case QUANT_IQ4_NL: return half(b) * levels[nibble(b + 2, e)];
    case QUANT_IQ4_XS: {
        size_t s = e / 32;
        int scale = bits(b + 4, s / 2, s % 2 * 4, 4) | bits(b + 2, s / 4, s % 4 * 2, 2) << 4;
        return half(b) * (scale - 32) * levels[nibble(b + 8 + 16 * s, e % 32)];
    }
    default: fail_msg("type %d has no reference", (int)type); return 0;
    }
}

/* `count` bits from bit `first` on, of bytes that begin with their low bits. */
static int bit_field(const uint8_t *bytes, size_t first, unsigned count) {
    int value = 0;
    for (unsigned i = 0; i < count; i++) value |= bits(bytes, (first + i) / 8, (first + i) % 8, 1) << i;
    return value;
}

/* Element e of the eight, or four, whose entry this is. */
static int code_of_eight(uint16_t entry, size_t e) {
    static const int nibbles[4] = {0, 2, 1, 3};
    return entry >> 4 * nibbles[e % 4] >> e / 4 * 2 & 3;
}
static int code_of_four(uint16_t entry, size_t e) { return code_of_eight(entry, e) | code_of_eight(entry, e + 4) << 2; }

/* The sign of element e of eight, of which the last one makes the number of minus signs even. */
static int sign_of_seven(int seven, size_t e) {
    int odd = 0;
    for (size_t i = 0; i < 7; i++) odd ^= seven >> i & 1;
    return (e < 7 ? seven >> e & 1 : odd) ? -1 : 1;
}

static int sign_bit(const uint8_t *signs, size_t e) { return bit_field(signs, e, 1) ? -1 : 1; }

static double reference_iq2(quant_type type, const uint8_t *b, size_t e) {
    static const int levels[4] = {8, 25, 43};
    const size_t eight = e / 8;
    int level, sign, scale;
    if (type == QUANT_IQ2_XXS) {
        const uint8_t *sub_block = b + 2 + e / 32 * 8;
        scale = bit_field(sub_block + 4, 28, 4);
        level = levels[code_of_eight(codebook_IQ2_XXS[sub_block[eight % 4]], e % 8)];
        sign = sign_of_seven(bit_field(sub_block + 4, eight % 4 * 7, 7), e % 8);
    } else if (type == QUANT_IQ2_XS) {
        level = levels[code_of_eight(codebook_IQ2_XS[bit_field(b + 2, 16 * eight, 9)], e % 8)];
        sign = sign_of_seven(bit_field(b + 2, 16 * eight + 9, 7), e % 8);
        scale = bits(b + 66, e / 32, e / 16 % 2 * 4, 4);
    } else {
        const int entry = b[2 + eight] | bit_field(b + 66, 2 * eight, 2) << 8;
        level = levels[code_of_eight(codebook_IQ2_S[entry], e % 8)];
        sign = sign_bit(b + 34, e);
        scale = bits(b + 74, e / 32, e / 16 % 2 * 4, 4);
    }
    return half(b) * (0.5 + scale) / 4 * level * sign;
}

static double reference_iq3(quant_type type, const uint8_t *b, size_t e) {
    static const int levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    const size_t four = e / 4, sub_block = e / 32;
    if (type == QUANT_IQ3_XXS) {
        const uint8_t *signs = b + 66 + 4 * sub_block;
        const int level = levels[code_of_four(codebook_IQ3_XXS[b[2 + four]], e % 4)];
        return half(b) * (0.5 + bit_field(signs, 28, 4)) / 2 * level *
               sign_of_seven(bit_field(signs, e / 8 % 4 * 7, 7), e % 8);
    }
    const int entry = b[2 + four] | bit_field(b + 66, four, 1) << 8;
    return half(b) * (1 + 2 * bit_field(b + 106, 4 * sub_block, 4)) *
           (1 + 2 * code_of_four(codebook_IQ3_S[entry], e % 4)) * sign_bit(b + 74, e);
}

static double reference_iq1(quant_type type, const uint8_t *b, size_t e) {
    const size_t eight = e / 8, in_16 = e / 16, in_32 = e / 32;
    if (type == QUANT_IQ1_S) {
        const int entry = b[2 + eight] | bit_field(b + 34, 16 * in_32 + 3 * (eight % 4), 3) << 8;
        const double shift = bit_field(b + 34, 16 * in_32 + 15, 1) ? -0.125 : 0.125;
        return half(b) * (1 + 2 * bit_field(b + 34, 16 * in_32 + 12, 3)) *
               (code_of_eight(codebook_IQ1[entry], e % 8) - 1 + shift);
    }
    const int entry = b[eight] | bit_field(b + 32, 4 * eight, 3) << 8;
    const double shift = bit_field(b + 32, 4 * eight + 3, 1) ? -0.125 : 0.125;
    const uint8_t scale[2] = {(uint8_t)(bit_field(b + 48, 12, 4) | bit_field(b + 48, 28, 4) << 4),
                              (uint8_t)(bit_field(b + 48, 44, 4) | bit_field(b + 48, 60, 4) << 4)};
    return half(scale) * (1 + 2 * bit_field(b + 48, in_16 / 4 * 16 + in_16 % 4 * 3, 3)) *
           (code_of_eight(codebook_IQ1[entry], e % 8) - 1 + shift);
}

static double reference_fp4(quant_type type, const uint8_t *b, size_t e) {
    static const double values[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6};
    if (type == QUANT_MXFP4) return ldexp(values[nibble(b + 1, e)], b[0] - 127);
    const int scale = b[e / 16], exponent = bits(b, e / 16, 3, 4), mantissa = bits(b, e / 16, 0, 3);
    const double value = values[bits(b + 4 + e / 16 * 8, e % 8, e % 16 / 8 * 4, 4)];
    if (scale == 0x7F) return 0 * value;
    return value * (exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9));
}

/* Digit `digit` of a fraction in base 3. */
static int ternary(int byte, size_t digit) {
    for (size_t i = 0; i < digit; i++) byte = byte * 3 % 256;
    return byte * 3 / 256;
}

static double reference_ternary(quant_type type, const uint8_t *b, size_t e) {
    if (type == QUANT_TQ2_0) return half(b + 64) * (bits(b, e / 128 * 32 + e % 32, e % 128 / 32 * 2, 2) - 1);
    const int digit = e < 160   ? ternary(b[e % 32], e / 32)
                      : e < 240 ? ternary(b[32 + e % 16], (e - 160) / 16)
                                : ternary(b[48 + e % 4], (e - 240) / 4);
    return half(b + 52) * (digit - 1);
}

/* Element e of a block, in double. (Every product of a format fits in a double, and so does nearly every sum.) */
double reference_element(quant_type type, const uint8_t *b, size_t e) {
    const size_t in_16 = e / 16, in_32 = e / 32, in_128 = e / 128, rest = e % 128;
    const size_t pair = 32 * in_128 + e % 32, pair_shift = rest / 32 * 2; /* where a two-bit field lies */
    switch (type) {
    case QUANT_Q2_K:
        return half(b + 80) * bits(b, in_16, 0, 4) * bits(b + 16, pair, pair_shift, 2) -
               half(b + 82) * bits(b, in_16, 4, 4);
    case QUANT_Q3_K: {
        int scale = bits(b + 96, in_16 % 8, in_16 / 8 * 4, 4) | bits(b + 104, in_16 % 4, in_16 / 4 * 2, 2) << 4;
        int q = bits(b + 32, pair, pair_shift, 2) | bits(b, e % 32, in_32, 1) << 2;
        return half(b + 108) * (scale - 32) * (q - 4);
    }
    case QUANT_Q4_K:
    case QUANT_Q5_K: {
        const uint8_t *nibbles = b + (type == QUANT_Q4_K ? 16 : 48);
        int q = bits(nibbles, e / 64 * 32 + e % 32, in_32 % 2 * 4, 4);
        if (type == QUANT_Q5_K) q |= bits(b + 16, e % 32, in_32, 1) << 4;
        return half(b) * packed_scale(b + 4, in_32) * q - half(b + 2) * packed_scale(b + 4, 8 + in_32);
    }
    case QUANT_Q6_K: {
        int low = bits(b, 64 * in_128 + rest % 64, rest / 64 * 4, 4), high = bits(b + 128, pair, pair_shift, 2);
        return half(b + 208) * (int8_t)b[192 + in_16] * ((low | high << 4) - 32);
    }
    case QUANT_IQ1_S:
    case QUANT_IQ1_M: return reference_iq1(type, b, e);
    case QUANT_IQ2_XXS:
    case QUANT_IQ2_XS:
    case QUANT_IQ2_S: return reference_iq2(type, b, e);
    case QUANT_IQ3_XXS:
    case QUANT_IQ3_S: return reference_iq3(type, b, e);
    case QUANT_TQ1_0:
    case QUANT_TQ2_0: return reference_ternary(type, b, e);
    case QUANT_MXFP4:
    case QUANT_NVFP4: return reference_fp4(type, b, e);
    default: return reference_small_block(type, b, e);
    }
}
