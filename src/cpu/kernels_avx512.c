/* The kernels for AVX-512 with VNNI (Cascade Lake, Ice Lake, Zen 4; not every newer CPU has it). Compiled with those
 * instructions switched on; dispatch.c returns the table only on CPUs that have them. */
#include "cpu/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#include "cpu/avx512_vectors.h"

#define TILE_VECTORS  2 /* of rows */
#define TILE_COLUMNS  6 /* tokens: the sums, and the floats that they are added to, fill the 32 registers */
#define FLOAT_ROWS    4 /* rows of float weights, ... */
#define FLOAT_COLUMNS 6 /* ... and tokens: their sums, in one register each, also fill the registers */
#ifndef ISA
#define ISA avx512
#endif
#define ISA_NAME "avx512"
#include "cpu/vector_kernels.h"

#if IN_PART(TABLE)
const cpu_kernels *const kernels_avx512 = &vector_table;
#endif

#else
const cpu_kernels *const kernels_avx512 = NULL;
#endif
