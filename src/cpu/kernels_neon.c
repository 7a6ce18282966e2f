/* The kernels for arm64 with dot products (ARMv8.2 with FEAT_DotProd: Cortex-A75, Neoverse N1, Apple M1 and newer).
 * Compiled with those instructions switched on; dispatch.c returns the table only on CPUs that have them. */
#include "cpu/kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "cpu/neon_vectors.h"

#define ISA      neon
#define ISA_NAME "neon"
#include "cpu/vector_kernels.h"

#if IN_PART(TABLE)
const cpu_kernels *const kernels_neon = &vector_table;
#endif

#else
const cpu_kernels *const kernels_neon = NULL;
#endif
