/* What attention and the steps between products share: sums of a fixed order, and the exponential. */
#ifndef CPU_VECTOR_MATH_H
#define CPU_VECTOR_MATH_H

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

/* e^x to about one part in 10^7, from 0 to infinity; NaN stays NaN.
 *
 * e^x = 2^n * e^r with n = x / ln 2 rounded, so |r| <= ln 2 / 2. There e^r is 1 + r + r^2 * p(r), where p interpolates
 * (e^r - 1 - r) / r^2 at the five Chebyshev points. 2^n is multiplied in two halves, for n reaches beyond a float's
 * exponents at both ends. ln 2 is subtracted in two pieces, of which n times the first is exact. */
INLINE floats exponential(floats x) {
    x = larger(all_floats(-104.0f), x);  /* 0 below; the order of arguments keeps a NaN */
    x = -larger(all_floats(-89.0f), -x); /* infinity above */
    const ints n = nearest(x * 1.44269504f);
    const floats whole = floats_from_ints(n);
    const floats r = fused(whole, all_floats(2.12194442e-4f), fused(whole, all_floats(-0.693359375f), x));
    floats p = fused(r, all_floats(1.39262131e-3f), all_floats(8.36320315e-3f));
    p = fused(p, r, all_floats(4.16665561e-2f));
    p = fused(p, r, all_floats(1.66665763e-1f));
    p = fused(p, r, all_floats(0.5f));
    p = fused(p * r, r, r) + 1;
    const ints half = n >> 1;
    const floats low = (floats)(((unsigneds)half + 127) << 23);
    const floats high = (floats)(((unsigneds)n - (unsigneds)half + 127) << 23);
    return p * low * high;
}

#endif
