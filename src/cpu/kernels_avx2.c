/* The kernels for AVX2 with FMA and F16C (Haswell, Zen and newer). Compiled with those instructions switched on;
 * dispatch.c returns the table only on CPUs that have them. */
#include "cpu/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "cpu/avx2_vectors.h"

#define TILE_VECTORS  2 /* of rows */
#define TILE_COLUMNS  3 /* tokens: the sums, and the floats that they are added to, fill the 16 registers */
#define FLOAT_ROWS    3 /* rows of float weights, ... */
#define FLOAT_COLUMNS 4 /* ... and tokens: their sums, in one register each, also fill the registers */
#define ISA           avx2
#define ISA_NAME      "avx2"
#include "cpu/vector_kernels.h"

#if IN_PART(TABLE)
const cpu_kernels *const kernels_avx2 = &vector_table;
#endif

#else
const cpu_kernels *const kernels_avx2 = NULL;
#endif
