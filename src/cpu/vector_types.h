/* Vectors of LANES floats or integers, for the kernels that are written once for every instruction set: kernels_avx2.c,
 * kernels_avx512.c and neon_vectors.h set LANES, include this, and add the handful of operations that only they can say;
 * the other vector_*.h texts, which come after, use nothing else.
 *
 * They are GNU C vectors (GCC and clang): + - * & | ^ >> << and comparisons work on all lanes at once, and a cast
 * between vectors of one size keeps the bits.
 *
 * What an instruction set adds, each a static inline function:
 *
 *   VECTOR_REGISTER                         what inline assembly calls a register of a vector
 *
 *   floats fused(floats a, floats b, floats c)              a * b + c, rounded once
 *   floats larger(floats a, floats b)                       the larger of each pair
 *   ints nearest(floats x)                                  rounded to the nearest, ties to even
 *   floats load_halfs(const uint16_t *x)                    LANES half-precision floats
 *   void store_halfs(uint16_t *out, floats x)               rounded to the nearest, ties to even
 *   floats load_signed_bytes(const int8_t *x)               LANES int8 values
 *   void store_signed_bytes(int8_t *out, ints x)            the low bytes of x, which lie in -128..127
 *
 * and for matrix products, where a lane is a row of the matrix and holds four columns of it as bytes:
 *
 *   ints dot(ints sum, ints w, ints y)      sum += four products a lane; y: int8, w: 0..63, or int8 plus WIDE_OFFSET
 *   WIDE_OFFSET                             0 where w may be signed, else 128
 *   SMALL_SUMS(bits)                        where sums of small weights are cheaper in 16 bits, as by
 *   ints dot_small(ints sum, ints w, ints y)       so many of these: w below 2^bits, the sum in a form of its own,
 *   ints dot_total(ints sum)                       which this turns into one int32 a lane
 *   ints lookup(const int8_t table[16], ints indices)       a table entry for each byte, which is 0..15
 *   ints gather(const uint16_t *table, ints indices)        a table entry for each lane; one more may be read
 *   floats low_halfs(ints x)                the half-precision float in the low half of each lane
 *   ints load_column(const uint8_t *rows, size_t stride)
 *                                           four bytes of each of LANES rows that are `stride` bytes apart
 *   void transpose(const uint8_t *rows, size_t stride, ints out[4])
 *                                                           16 bytes of each of LANES rows; out[j]: lane i has bytes
 *                                                           4j..4j+3 of row i
 */
#ifndef CPU_VECTOR_TYPES_H
#define CPU_VECTOR_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#ifndef UNROLLED /* the Makefile leaves loops as they are where speed is not asked for */
#define UNROLLED _Pragma("GCC unroll 32")
#endif

enum { CACHE_LINE = 64 };

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t unsigneds __attribute__((vector_size(4 * LANES)));
typedef uint16_t lane_halfs __attribute__((vector_size(2 * LANES)));
typedef uint8_t lane_bytes __attribute__((vector_size(LANES)));

/* The address of row 4 * four. The empty asm makes it anew each time: kept, the addresses of all rows would take more
 * registers than there are. */
INLINE const uint8_t *row_of_four(const uint8_t *rows, size_t stride, size_t four) {
    const uint8_t *row = rows + 4 * four * stride;
    __asm__("" : "+r"(row));
    return row;
}

INLINE floats load_floats(const float *x) {
    floats v;
    memcpy(&v, x, sizeof v);
    return v;
}

INLINE void store_floats(float *out, floats v) { memcpy(out, &v, sizeof v); }

INLINE ints load_ints(const void *x) {
    ints v;
    memcpy(&v, x, sizeof v);
    return v;
}

INLINE void store_ints(void *out, ints v) { memcpy(out, &v, sizeof v); }

/* Every lane the same. (Minus zero is what leaves every number as it is.) */
INLINE floats all_floats(float x) { return x - (floats){0}; }
INLINE ints all_ints(int32_t x) { return x - (ints){0}; }

INLINE floats floats_from_ints(ints x) { return __builtin_convertvector(x, floats); }

/* The same vector, from here on in a register: GCC would read one that several sums need from memory for each of them. */
INLINE ints in_register(ints x) {
    __asm__("" : "+" VECTOR_REGISTER(x));
    return x;
}

typedef float four_floats __attribute__((vector_size(16)));

/* Four lanes of two vectors, the second's counted from 4 on. */
#if defined(__clang__)
#define pick(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define pick(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_ints){i, j, k, l})
typedef int32_t four_ints __attribute__((vector_size(16)));
#endif

/* Halves, quarters and so on added up, to four. */
INLINE four_floats fold(floats v) {
    four_floats parts[LANES / 4];
    memcpy(parts, &v, sizeof v);
    UNROLLED for (size_t width = LANES / 8; width > 0; width /= 2) UNROLLED for (size_t i = 0; i < width; i++)
        parts[i] += parts[i + width];
    return parts[0];
}

/* The lanes of four vectors added up, each in the same fixed tree: halves, quarters, ... */
INLINE four_floats sums_of_lanes(floats v0, floats v1, floats v2, floats v3) {
    const four_floats a = fold(v0), b = fold(v1), c = fold(v2), d = fold(v3);
    const four_floats low = pick(a, b, 0, 4, 1, 5) + pick(a, b, 2, 6, 3, 7); /* a0 + a2, b0 + b2, a1 + a3, b1 + b3 */
    const four_floats high = pick(c, d, 0, 4, 1, 5) + pick(c, d, 2, 6, 3, 7);
    return pick(low, high, 0, 1, 4, 5) + pick(low, high, 2, 3, 6, 7);
}

#endif
