/* The kernels for arm64 with products of small integer matrices (FEAT_I8MM: Cortex-A510, Neoverse V1, Apple M2 and
 * newer). Such a product takes two tokens in the time of one. All else is as in kernels_neon.c, and the results are the
 * same bits. */
#include "cpu/kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)
#include "cpu/neon_vectors.h"

#define ISA      i8mm
#define ISA_NAME "i8mm"
#define INTEGER_MATRICES
#include "cpu/vector_kernels.h"

#if IN_PART(TABLE)
const cpu_kernels *const kernels_i8mm = &vector_table;
#endif

#else
const cpu_kernels *const kernels_i8mm = NULL;
#endif
