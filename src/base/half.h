/* Conversions between float and the two 16-bit float formats of model files. Those to float have no branches, so
 * compilers vectorise loops over them.
 *
 *   binary16 (IEEE 754-2008)   s eeeee mmmmmmmmmm      exponent bias 15
 *   bfloat16                   s eeeeeeee mmmmmmm      the upper half of a float */
#ifndef BASE_HALF_H
#define BASE_HALF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline float float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_from_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float f32_from_bf16(uint16_t h) { return float_from_bits((uint32_t)h << 16); }

/* Exact. Exponent and mantissa are shifted to their places in a float. The value is then 2^112 times too small. The
 * multiplication corrects that, and normalises subnormals. Infinities and NaNs (exponent 31) also need a float's full
 * exponent. */
static inline float f32_from_f16(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7FFF) << 13;
    uint32_t special = magnitude >= 0x0F800000u ? 0x7F800000u : 0;
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    return float_from_bits(bits_from_float(float_from_bits(magnitude) * 0x1p112f) | special | sign);
}

static inline bool f16_is_infinite(uint16_t h) { return (h & 0x7FFF) == 0x7C00; }

/* Round to nearest, ties to even. Values that are too large become infinity. */
static inline uint16_t f16_from_f32(float value) {
    uint32_t bits = bits_from_float(value);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00);  /* NaN */
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00); /* 65520 and more */
    if (magnitude < 0x38800000u) {                                  /* below 2^-14: subnormal, or zero */
        /* adding 0.5 aligns 2^-24 with the mantissa's last bit, so the addition does the rounding */
        float shifted = float_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (bits_from_float(shifted) - 0x3F000000u));
    }
    uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1); /* may carry into the exponent */
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

#endif
