/* Loads four bytes of each of four rows into a register, for avx2_vectors.h and avx512_vectors.h. It uses broadcasts
 * and blends, because shuffles all need the same unit of the CPU. */
#ifndef CPU_X86_WORDS_H
#define CPU_X86_WORDS_H

#include "cpu/vector_types.h"

#include <immintrin.h>

INLINE __m128 load_word(const uint8_t *bytes) {
    float word;
    memcpy(&word, bytes, sizeof word);
    return _mm_set1_ps(word);
}

INLINE __m128i load_four_words(const uint8_t *rows, size_t stride) {
    __m128 even = _mm_blend_ps(load_word(rows), load_word(rows + 2 * stride), 4);
    __m128 odd = _mm_blend_ps(load_word(rows + stride), load_word(rows + 3 * stride), 8);
    return _mm_castps_si128(_mm_blend_ps(even, odd, 10));
}

/* The same from four places of a table. (A gather instruction is not faster, and much slower on CPUs whose microcode
 * fixes a fault of it.) */
INLINE __m128i load_four_entries(const uint16_t *table, const int32_t indices[4]) {
    const uint8_t *bytes = (const uint8_t *)table;
    __m128 even = _mm_blend_ps(load_word(bytes + 2 * indices[0]), load_word(bytes + 2 * indices[2]), 4);
    __m128 odd = _mm_blend_ps(load_word(bytes + 2 * indices[1]), load_word(bytes + 2 * indices[3]), 8);
    return _mm_castps_si128(_mm_blend_ps(even, odd, 10));
}

#endif
