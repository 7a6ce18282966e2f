/* Four bytes of each of four rows, as kernels_avx2.c and kernels_avx512.c gather them: by broadcasts and blends, which keep
 * clear of the unit that shuffles need. */
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

#endif
