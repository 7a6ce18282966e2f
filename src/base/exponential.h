/* Exponentials without subnormal floats (below 2^-126), which many CPUs take a hundred times as long to work with: where e^x
 * would be one, it is 0. Every kernel's exponential ends there, those of src/cpu/vector_math.h and of the GPU too. */
#ifndef BASE_EXPONENTIAL_H
#define BASE_EXPONENTIAL_H

#include <float.h>
#include <math.h>

#define EXP_LEAST -87.33654f /* the least float x of which e^x is 2^-126 or more */

static inline float exp_or_zero(float x) { return x < EXP_LEAST ? 0 : expf(x); }

static inline float sigmoid(float x) { return x < EXP_LEAST ? 0 : 1 / (1 + expf(-x)); }

static inline float normal_or_zero(float x) { return fabsf(x) < FLT_MIN ? 0 : x; }

#endif
