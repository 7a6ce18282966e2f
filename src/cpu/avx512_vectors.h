/* AVX-512 with VNNI (Cascade Lake, Ice Lake, Zen 4; not every newer CPU has it): implements vector_types.h with 16
 * lanes, for kernels_avx512.c. */
#ifndef CPU_AVX512_VECTORS_H
#define CPU_AVX512_VECTORS_H

#include <immintrin.h>

#define LANES       16
#define WIDE_OFFSET 128
#ifndef VECTOR_REGISTER
#define VECTOR_REGISTER "v" /* a test's model of these instructions has no registers: its vectors are in memory */
#endif
#include "cpu/vector_types.h"
#include "cpu/x86_words.h"

INLINE floats fused(floats a, floats b, floats c) { return (floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE floats larger(floats a, floats b) { return (floats)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE ints nearest(floats x) { return (ints)_mm512_cvtps_epi32((__m512)x); }

INLINE floats load_halfs(const uint16_t *x) { return (floats)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)x)); }

INLINE void store_halfs(uint16_t *out, floats x) {
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT));
}

INLINE floats load_signed_bytes(const int8_t *x) {
    return (floats)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)x)));
}

INLINE void store_signed_bytes(int8_t *out, ints x) {
    _mm_storeu_si128((__m128i *)out, _mm512_cvtepi32_epi8((__m512i)x));
}

/* One instruction multiplies unsigned by signed bytes and adds four products to an int32. */
INLINE ints dot(ints sum, ints w, ints y) { return (ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)y); }

INLINE ints lookup(const int8_t table[16], ints indices) {
    __m512i all = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
    return (ints)_mm512_shuffle_epi8(all, (__m512i)indices);
}

INLINE ints gather(const uint16_t *table, ints indices) {
    int32_t at[LANES];
    store_ints(at, indices);
    __m512i v = _mm512_castsi128_si512(load_four_entries(table, at));
    v = _mm512_inserti32x4(v, load_four_entries(table, at + 4), 1);
    v = _mm512_inserti32x4(v, load_four_entries(table, at + 8), 2);
    return (ints)_mm512_inserti32x4(v, load_four_entries(table, at + 12), 3) & 0xFFFF;
}

INLINE floats low_halfs(ints x) { return (floats)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)x)); }

INLINE ints load_column(const uint8_t *rows, size_t stride) {
    __m512i v = _mm512_castsi128_si512(load_four_words(rows, stride));
    v = _mm512_inserti32x4(v, load_four_words(row_of_four(rows, stride, 1), stride), 1);
    v = _mm512_inserti32x4(v, load_four_words(row_of_four(rows, stride, 2), stride), 2);
    return (ints)_mm512_inserti32x4(v, load_four_words(row_of_four(rows, stride, 3), stride), 3);
}

INLINE __m128i load_16(const uint8_t *bytes) { return _mm_loadu_si128((const __m128i *)bytes); }

INLINE void transpose(const uint8_t *rows, size_t stride, ints out[4]) {
    __m512i v[4]; /* v[i]: rows i, i + 4, i + 8, i + 12 */
    UNROLLED for (size_t i = 0; i < 4; i++) v[i] = _mm512_castsi128_si512(load_16(rows + i * stride));
    const uint8_t *four = row_of_four(rows, stride, 1);
    UNROLLED for (size_t i = 0; i < 4; i++) v[i] = _mm512_inserti32x4(v[i], load_16(four + i * stride), 1);
    four = row_of_four(rows, stride, 2);
    UNROLLED for (size_t i = 0; i < 4; i++) v[i] = _mm512_inserti32x4(v[i], load_16(four + i * stride), 2);
    four = row_of_four(rows, stride, 3);
    UNROLLED for (size_t i = 0; i < 4; i++) v[i] = _mm512_inserti32x4(v[i], load_16(four + i * stride), 3);
    __m512i low01 = _mm512_unpacklo_epi32(v[0], v[1]), high01 = _mm512_unpackhi_epi32(v[0], v[1]);
    __m512i low23 = _mm512_unpacklo_epi32(v[2], v[3]), high23 = _mm512_unpackhi_epi32(v[2], v[3]);
    out[0] = (ints)_mm512_unpacklo_epi64(low01, low23);
    out[1] = (ints)_mm512_unpackhi_epi64(low01, low23);
    out[2] = (ints)_mm512_unpacklo_epi64(high01, high23);
    out[3] = (ints)_mm512_unpackhi_epi64(high01, high23);
}

/* 32 bytes of this row, and of the fourth row after it. */
INLINE ints load_two_rows(const uint8_t *row, size_t stride) {
    const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)row));
    return (ints)_mm512_inserti64x4(low, _mm256_loadu_si256((const __m256i *)(row + 4 * stride)), 1);
}

/* In each quarter: a0 + a2, b0 + b2, a1 + a3, b1 + b3. */
INLINE ints add_halves(ints a, ints b) {
    return (ints)_mm512_unpacklo_epi32((__m512i)a, (__m512i)b) + (ints)_mm512_unpackhi_epi32((__m512i)a, (__m512i)b);
}

#define DOT_ROWS
INLINE ints dot_rows(const uint8_t *rows, size_t stride, const int8_t *y) {
    const ints all_y = (ints)_mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)y));
    __m512i eight[2]; /* eight[j]: two parts each of rows 8j..8j+3 in quarters 0 and 1, of rows 8j+4..8j+7 in 2 and 3 */
    UNROLLED for (size_t j = 0; j < 2; j++) {
        const uint8_t *row = row_of_four(rows, stride, 2 * j);
        ints v[4]; /* v[i]: eight parts each of rows 8j + i and 8j + i + 4 */
        UNROLLED for (size_t i = 0; i < 4; i++) v[i] =
            dot((ints){0}, wide_weights(load_two_rows(row + i * stride, stride)), all_y);
        const __m512i v01 = (__m512i)add_halves(v[0], v[1]), v23 = (__m512i)add_halves(v[2], v[3]);
        eight[j] = (__m512i)((ints)_mm512_unpacklo_epi64(v01, v23) + (ints)_mm512_unpackhi_epi64(v01, v23));
    }
    /* quarters 0 and 2 of both, plus 1 and 3 */
    return (ints)_mm512_shuffle_i32x4(eight[0], eight[1], 0x88) + (ints)_mm512_shuffle_i32x4(eight[0], eight[1], 0xDD);
}

#endif
