/* The kernels of src/cpu/kernels_avx512.c, compiled for any CPU with the immintrin.h of this folder. */
#ifndef AVX512_MODEL_KERNELS_MODEL_H
#define AVX512_MODEL_KERNELS_MODEL_H

#include "cpu/kernels.h"

extern const cpu_kernels *const kernels_avx512_model;

#endif
