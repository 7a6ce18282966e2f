/* Vectors of LANES floats or integers. The kernels in the other vector_*.h files are written once, with these vectors,
 * for every instruction set. avx2_vectors.h, avx512_vectors.h and neon_vectors.h set LANES, include this file, and add
 * the few operations that differ between instruction sets.
 *
 * They are GNU C vectors (GCC and clang): + - * & | ^ >> << and comparisons work on all lanes at once, and a cast
 * between vectors of the same size keeps the bits.
 *
 * An instruction set adds a few macros, and static inline functions:
 *
 *   VECTOR_REGISTER                         the constraint of a vector register in inline assembly
 *
 *   floats fused(floats a, floats b, floats c)              a * b + c, rounded once
 *   floats larger(floats a, floats b)                       the larger of each pair
 *   ints nearest(floats x)                                  rounded to the nearest, ties to even
 *   floats load_halfs(const uint16_t *x)                    LANES half-precision floats
 *   void store_halfs(uint16_t *out, floats x)               rounded to the nearest, ties to even
 *   floats load_signed_bytes(const int8_t *x)               LANES int8 values
 *   void store_signed_bytes(int8_t *out, ints x)            the low bytes of x, which is in -128..127
 *
 * and for matrix products, where a lane is a row of the matrix and holds four of its columns as bytes:
 *
 *   ints dot(ints sum, ints w, ints y)      sum += four products a lane; y: int8, w: 0..63, or int8 plus WIDE_OFFSET
 *   WIDE_OFFSET                             0 if w may be signed, else 128
 *   SMALL_SUMS(bits)                        only if sums of small weights are faster in 16 bits: how many calls of
 *                                           dot_small may add to such a sum, if w is below 2^bits
 *   ints dot_small(ints sum, ints w, ints y)       as dot, with a sum in 16 bits
 *   ints dot_total(ints sum)                       turns that sum into one int32 for each lane
 *   ints lookup(const int8_t table[16], ints indices)       a table entry for each byte, which is 0..15
 *   ints gather(const uint16_t *table, ints indices)        a table entry for each lane; it may read one entry more
 *   floats low_halfs(ints x)                the half-precision float in the low half of each lane
 *   ints load_column(const uint8_t *rows, size_t stride)
 *                                           four bytes of each of LANES rows that are `stride` bytes apart
 *   void transpose(const uint8_t *rows, size_t stride, ints out[4])
 *                                                           16 bytes of each of LANES rows; out[j]: lane i has bytes
 *                                                           4j..4j+3 of row i
 *   DOT_ROWS                                only if dot_rows is faster than transpose and dot, for one token
 *   ints dot_rows(const uint8_t *rows, size_t stride, const int8_t *y)
 *                                           lane i: the sum of 32 products, y * (byte of row i + WIDE_OFFSET); both
 *                                           are int8
 */
#ifndef CPU_VECTOR_TYPES_H
#define CPU_VECTOR_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#ifndef UNROLLED /* the Makefile turns it off in builds that need not be fast */
#define UNROLLED _Pragma("GCC unroll 32")
#endif

enum { CACHE_LINE = 64 };

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t unsigneds __attribute__((vector_size(4 * LANES)));
typedef uint16_t lane_halfs __attribute__((vector_size(2 * LANES)));
typedef uint8_t lane_bytes __attribute__((vector_size(LANES)));

/* The address of row 4 * four. The empty asm makes the compiler compute it each time. If it kept the addresses of all
 * rows, it would run out of registers. */
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

/* All lanes are x. (Subtracting 0 leaves every number as it is, even -0.) */
INLINE floats all_floats(float x) { return x - (floats){0}; }
INLINE ints all_ints(int32_t x) { return x - (ints){0}; }

/* Bytes of 8-bit weights in the form that dot takes. */
INLINE ints wide_weights(ints w) { return WIDE_OFFSET ? w ^ ~0x7F7F7F7F : w; }

INLINE floats floats_from_ints(ints x) { return __builtin_convertvector(x, floats); }

/* The same vector, kept in a register from here on. Otherwise GCC reads it from memory again for each sum. */
INLINE ints in_register(ints x) {
    __asm__("" : "+" VECTOR_REGISTER(x));
    return x;
}

typedef float four_floats __attribute__((vector_size(16)));

/* Four lanes from two vectors. Lanes of the second one are 4..7. */
#if defined(__clang__)
#define pick(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define pick(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_ints){i, j, k, l})
typedef int32_t four_ints __attribute__((vector_size(16)));
#endif

/* Add halves, then quarters and so on, until four lanes are left. */
INLINE four_floats fold(floats v) {
    four_floats parts[LANES / 4];
    memcpy(parts, &v, sizeof v);
    UNROLLED for (size_t width = LANES / 8; width > 0; width /= 2) UNROLLED for (size_t i = 0; i < width; i++)
        parts[i] += parts[i + width];
    return parts[0];
}

/* The sum of each vector's lanes, always by the same fixed tree: halves, quarters and so on. */
INLINE four_floats sums_of_lanes(floats v0, floats v1, floats v2, floats v3) {
    const four_floats a = fold(v0), b = fold(v1), c = fold(v2), d = fold(v3);
    const four_floats low = pick(a, b, 0, 4, 1, 5) + pick(a, b, 2, 6, 3, 7); /* a0 + a2, b0 + b2, a1 + a3, b1 + b3 */
    const four_floats high = pick(c, d, 0, 4, 1, 5) + pick(c, d, 2, 6, 3, 7);
    return pick(low, high, 0, 1, 4, 5) + pick(low, high, 2, 3, 6, 7);
}

#endif
