/* Exponentials without subnormal floats (below 2^-126), which are a hundred times slower on many CPUs: if e^x would be
 * subnormal, the result is 0. The exponentials of all kernels do the same (src/cpu/vector_math.h, and those on the
 * GPU). */
#ifndef BASE_EXPONENTIAL_H
#define BASE_EXPONENTIAL_H

#include <float.h>
#include <math.h>

#define EXP_LEAST -87.33654f /* the least float x with e^x >= 2^-126 */

static inline float exp_or_zero(float x) { return x < EXP_LEAST ? 0 : expf(x); }

static inline float sigmoid(float x) { return x < EXP_LEAST ? 0 : 1 / (1 + expf(-x)); }

static inline float normal_or_zero(float x) { return fabsf(x) < FLT_MIN ? 0 : x; }

#endif
