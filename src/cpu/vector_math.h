/* Shared by attention and the steps between products: sums in a fixed order, and the exponential. */
#ifndef CPU_VECTOR_MATH_H
#define CPU_VECTOR_MATH_H

#include "base/exponential.h"

enum {
    PARTIAL_SUMS = 16,
    PARTIAL_VECTORS = PARTIAL_SUMS / LANES,
};

INLINE float sum_of_partials(const floats sums[PARTIAL_VECTORS]) {
    float partials[PARTIAL_SUMS];
    memcpy(partials, sums, sizeof partials);
    UNROLLED for (size_t width = PARTIAL_SUMS / 2; width > 0; width /= 2) UNROLLED for (size_t i = 0; i < width; i++)
        partials[i] += partials[i + width];
    return partials[0];
}

/* e^x with an error of about 1e-7. A result below 2^-126 is 0, one above 2^127.5 is infinity; NaN stays NaN.
 *
 * e^x = 2^n * e^r with n = x / ln 2 rounded, so |r| <= ln 2 / 2. There e^r = 1 + r + r^2 * p(r), where p interpolates
 * (e^r - 1 - r) / r^2 at the five Chebyshev points. ln 2 is subtracted in two parts; n times the first part is
 * exact. */
INLINE floats exponential(floats x) {
    const ints small = x < all_floats(EXP_LEAST);
    x = larger(all_floats(EXP_LEAST), x); /* this order of arguments keeps a NaN */
    x = -larger(all_floats(-89.0f), -x);  /* there n is 128, and 2^n is infinity */
    const ints n = nearest(x * 1.44269504f);
    const floats whole = floats_from_ints(n);
    const floats r = fused(whole, all_floats(2.12194442e-4f), fused(whole, all_floats(-0.693359375f), x));
    floats p = fused(r, all_floats(1.39262131e-3f), all_floats(8.36320315e-3f));
    p = fused(p, r, all_floats(4.16665561e-2f));
    p = fused(p, r, all_floats(1.66665763e-1f));
    p = fused(p, r, all_floats(0.5f));
    p = fused(p * r, r, r) + 1;
    const floats power = (floats)(((unsigneds)n + 127) << 23);
    return (floats)((ints)(p * power) & ~small);
}

/* 0 for subnormal floats. */
INLINE floats all_normal_or_zero(floats x) {
    const ints small = ((ints)x & 0x7F800000) == 0;
    return (floats)((ints)x & ~small);
}

#endif
