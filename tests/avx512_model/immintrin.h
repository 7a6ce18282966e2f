/* The AVX-512 intrinsics that src/cpu/kernels_avx512.c uses, in plain C. Intel's Intrinsics Guide defines what each
 * does to its lanes. The compiler finds this file in place of its own header. So those kernels run unchanged on any
 * CPU, and under sanitizers. All NaNs count as the same, the rounding mode is the default one, and nothing here is
 * fast. */
#ifndef AVX512_MODEL_IMMINTRIN_H
#define AVX512_MODEL_IMMINTRIN_H

#include "base/half.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float __m128 __attribute__((vector_size(16)));
typedef long long __m128i __attribute__((vector_size(16)));
typedef long long __m256i __attribute__((vector_size(32)));
typedef float __m512 __attribute__((vector_size(64)));
typedef long long __m512i __attribute__((vector_size(64)));

/* The same bits, as lanes of other types. */
typedef uint8_t model_bytes __attribute__((vector_size(64)));
typedef int8_t model_signed_bytes __attribute__((vector_size(64)));
typedef int32_t model_words __attribute__((vector_size(64)));
typedef int8_t model_16_signed_bytes __attribute__((vector_size(16)));
typedef uint16_t model_16_halfs __attribute__((vector_size(32)));

#define EACH_LANE(i) for (int i = 0; i < 16; i++)

/* ------------------------------------------------------------------------------- loads, stores, other names */

static inline __m128i _mm_loadu_si128(const __m128i *from) {
    __m128i v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline __m256i _mm256_loadu_si256(const __m256i *from) {
    __m256i v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void _mm_storeu_si128(__m128i *to, __m128i v) { memcpy(to, &v, sizeof v); }
static inline void _mm256_storeu_si256(__m256i *to, __m256i v) { memcpy(to, &v, sizeof v); }
static inline __m128 _mm_set1_ps(float x) { return (__m128){x, x, x, x}; }
static inline __m128i _mm_castps_si128(__m128 v) { return (__m128i)v; }

/* The bits above the lowest 128 or 256 are undefined. Here they are a pattern that would show in any result. */
static inline __m512i _mm512_castsi128_si512(__m128i low) {
    __m512i v;
    memset(&v, 0xA5, sizeof v);
    memcpy(&v, &low, sizeof low);
    return v;
}

static inline __m512i _mm512_castsi256_si512(__m256i low) {
    __m512i v;
    memset(&v, 0xA5, sizeof v);
    memcpy(&v, &low, sizeof low);
    return v;
}

/* --------------------------------------------------------------------------------------------- arithmetic */

static inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
    EACH_LANE(i) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
}

/* A lane is b's if either is a NaN, or if both are zeros. */
static inline __m512 _mm512_max_ps(__m512 a, __m512 b) {
    EACH_LANE(i) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}

/* Adds to each int32 of sum the four products of its bytes in a (unsigned) and in b (signed). The sum may wrap. */
static inline __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i a, __m512i b) {
    const model_bytes unsigned_bytes = (model_bytes)a;
    const model_signed_bytes signed_bytes = (model_signed_bytes)b;
    model_words out = (model_words)sum;
    EACH_LANE(i) {
        int32_t products = 0;
        for (int k = 4 * i; k < 4 * i + 4; k++) products += unsigned_bytes[k] * signed_bytes[k];
        out[i] = (int32_t)((uint32_t)out[i] + (uint32_t)products);
    }
    return (__m512i)out;
}

/* -------------------------------------------------------------------------------------------- conversions */

/* Rounds to the nearest integer, ties to even. A value that does not fit in an int32 becomes INT32_MIN. */
static inline __m512i _mm512_cvtps_epi32(__m512 v) {
    model_words out;
    EACH_LANE(i) out[i] = v[i] >= -0x1p31f && v[i] < 0x1p31f ? (int32_t)rintf(v[i]) : INT32_MIN;
    return (__m512i)out;
}

static inline __m512 _mm512_cvtepi32_ps(__m512i v) {
    __m512 out;
    EACH_LANE(i) out[i] = (float)((model_words)v)[i];
    return out;
}

static inline __m512 _mm512_cvtph_ps(__m256i v) {
    __m512 out;
    EACH_LANE(i) out[i] = f32_from_f16(((model_16_halfs)v)[i]);
    return out;
}

#define _MM_FROUND_TO_NEAREST_INT 0
static inline __m256i _mm512_cvtps_ph(__m512 v, int rounding) {
    model_16_halfs out;
    (void)rounding;
    EACH_LANE(i) out[i] = f16_from_f32(v[i]);
    return (__m256i)out;
}

static inline __m512i _mm512_cvtepi8_epi32(__m128i v) {
    model_words out;
    EACH_LANE(i) out[i] = ((model_16_signed_bytes)v)[i];
    return (__m512i)out;
}

/* The low 8 bits of each int32. */
static inline __m128i _mm512_cvtepi32_epi8(__m512i v) {
    model_16_signed_bytes out;
    EACH_LANE(i) out[i] = (int8_t)((model_words)v)[i];
    return (__m128i)out;
}

static inline __m256i _mm512_cvtepi32_epi16(__m512i v) {
    model_16_halfs out;
    EACH_LANE(i) out[i] = (uint16_t)((model_words)v)[i];
    return (__m256i)out;
}

/* --------------------------------------------------------------------------------------- moving lanes about */

/* Lane i is b's if bit i of `which` is set, otherwise a's. */
static inline __m128 _mm_blend_ps(__m128 a, __m128 b, int which) {
    for (int i = 0; i < 4; i++) a[i] = which >> i & 1 ? b[i] : a[i];
    return a;
}

static inline __m512i _mm512_inserti32x4(__m512i v, __m128i four, int quarter) {
    memcpy((char *)&v + 16 * quarter, &four, sizeof four);
    return v;
}

static inline __m512i _mm512_broadcast_i32x4(__m128i four) {
    __m512i v;
    for (int quarter = 0; quarter < 4; quarter++) memcpy((char *)&v + 16 * quarter, &four, sizeof four);
    return v;
}

static inline __m512i _mm512_inserti64x4(__m512i v, __m256i four, int half) {
    memcpy((char *)&v + 32 * half, &four, sizeof four);
    return v;
}

static inline __m512i _mm512_broadcast_i64x4(__m256i four) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(four), four, 1);
}

/* Quarters 0 and 1 are quarters of a, and 2 and 3 of b: `which` has two bits for each of the four. */
static inline __m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int which) {
    model_words out;
    EACH_LANE(i) out[i] = ((model_words)(i < 8 ? a : b))[(which >> i / 4 * 2 & 3) * 4 + i % 4];
    return (__m512i)out;
}

/* Each byte picks one of the 16 in its own quarter, by its low four bits, or 0 if its highest bit is set. */
static inline __m512i _mm512_shuffle_epi8(__m512i v, __m512i indices) {
    const model_bytes from = (model_bytes)v, index = (model_bytes)indices;
    model_bytes out;
    for (int i = 0; i < 64; i++) out[i] = index[i] & 0x80 ? 0 : from[i / 16 * 16 + index[i] % 16];
    return (__m512i)out;
}

/* In each quarter, two of the four words of a and the same two of b, in turn: a, b, a, b. first: 0 takes words 0 and 1,
 * 2 takes words 2 and 3. */
static inline __m512i model_unpack_words(__m512i a, __m512i b, int first) {
    model_words out;
    EACH_LANE(i) out[i] = ((model_words)(i % 2 ? b : a))[i / 4 * 4 + first + i % 4 / 2];
    return (__m512i)out;
}
static inline __m512i _mm512_unpacklo_epi32(__m512i a, __m512i b) { return model_unpack_words(a, b, 0); }
static inline __m512i _mm512_unpackhi_epi32(__m512i a, __m512i b) { return model_unpack_words(a, b, 2); }

/* In each quarter, double word `which` (0 or 1) of a, and then the same one of b. */
static inline __m512i model_unpack_double_words(__m512i a, __m512i b, int which) {
    __m512i out;
    for (int i = 0; i < 8; i++) out[i] = (i % 2 ? b : a)[i / 2 * 2 + which];
    return out;
}
static inline __m512i _mm512_unpacklo_epi64(__m512i a, __m512i b) { return model_unpack_double_words(a, b, 0); }
static inline __m512i _mm512_unpackhi_epi64(__m512i a, __m512i b) { return model_unpack_double_words(a, b, 1); }

#endif
