/* AVX2 with FMA and F16C (Haswell, Zen and newer): implements vector_types.h with 8 lanes, for kernels_avx2.c. */
#ifndef CPU_AVX2_VECTORS_H
#define CPU_AVX2_VECTORS_H

#include <immintrin.h>

#define LANES           8
#define WIDE_OFFSET     0
#define VECTOR_REGISTER "x"
#include "cpu/vector_types.h"
#include "cpu/x86_words.h"

INLINE floats fused(floats a, floats b, floats c) { return (floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
INLINE floats larger(floats a, floats b) { return (floats)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE ints nearest(floats x) { return (ints)_mm256_cvtps_epi32((__m256)x); }

INLINE floats load_halfs(const uint16_t *x) { return (floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x)); }

INLINE void store_halfs(uint16_t *out, floats x) {
    _mm_storeu_si128((__m128i *)out, _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
}

INLINE floats load_signed_bytes(const int8_t *x) {
    return (floats)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)x)));
}

INLINE void store_signed_bytes(int8_t *out, ints x) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
    _mm_storel_epi64((__m128i *)out, _mm_packs_epi16(words, words));
}

/* A lane has two sums in int16, and a call adds the products of two columns to each. They stay below 2^15 for 8 calls
 * with 4-bit weights, for 4 calls with 5 bits, and for 2 calls with 6 bits. The empty asm keeps GCC from reordering the
 * additions, which would spill registers. */
#define SMALL_SUMS(bits) ((bits) <= 4 ? 8 : (bits) == 5 ? 4 : 2)

INLINE ints dot_small(ints sum, ints w, ints y) {
    __m256i total = _mm256_add_epi16((__m256i)sum, _mm256_maddubs_epi16((__m256i)w, (__m256i)y));
    __asm__("" : "+x"(total));
    return (ints)total;
}

INLINE ints dot_total(ints sum) { return (ints)_mm256_madd_epi16((__m256i)sum, _mm256_set1_epi16(1)); }

/* |w| times (y times the sign of w), because one factor must be unsigned. (Small weights are unsigned, and use
 * dot_small.) */
INLINE ints dot(ints sum, ints w, ints y) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)w), _mm256_sign_epi8((__m256i)y, (__m256i)w));
    __m256i total = _mm256_add_epi32((__m256i)sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    __asm__("" : "+x"(total));
    return (ints)total;
}

INLINE ints lookup(const int8_t table[16], ints indices) {
    __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    return (ints)_mm256_shuffle_epi8(both, (__m256i)indices);
}

INLINE ints gather(const uint16_t *table, ints indices) {
    int32_t at[LANES];
    store_ints(at, indices);
    __m256i v = _mm256_castsi128_si256(load_four_entries(table, at));
    return (ints)_mm256_inserti128_si256(v, load_four_entries(table, at + 4), 1) & 0xFFFF;
}

INLINE floats low_halfs(ints x) {
    __m256i low = (__m256i)(x & 0xFFFF);
    return (floats)_mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}

INLINE ints load_column(const uint8_t *rows, size_t stride) {
    __m128i v = load_four_words(rows, stride);
    return (ints)_mm256_inserti128_si256(_mm256_castsi128_si256(v),
                                         load_four_words(row_of_four(rows, stride, 1), stride), 1);
}

INLINE __m256i two_rows(const uint8_t *low, const uint8_t *high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low)),
                                   _mm_loadu_si128((const __m128i *)high), 1);
}

INLINE void transpose(const uint8_t *rows, size_t stride, ints out[4]) {
    const uint8_t *four = row_of_four(rows, stride, 1);
    __m256i v[4]; /* v[i]: rows i and i + 4 */
    UNROLLED for (size_t i = 0; i < 4; i++) v[i] = two_rows(rows + i * stride, four + i * stride);
    __m256i low01 = _mm256_unpacklo_epi32(v[0], v[1]), high01 = _mm256_unpackhi_epi32(v[0], v[1]);
    __m256i low23 = _mm256_unpacklo_epi32(v[2], v[3]), high23 = _mm256_unpackhi_epi32(v[2], v[3]);
    out[0] = (ints)_mm256_unpacklo_epi64(low01, low23);
    out[1] = (ints)_mm256_unpackhi_epi64(low01, low23);
    out[2] = (ints)_mm256_unpacklo_epi64(high01, high23);
    out[3] = (ints)_mm256_unpackhi_epi64(high01, high23);
}

#endif
