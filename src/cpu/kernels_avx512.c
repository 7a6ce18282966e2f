/* The kernels for AVX-512 with VNNI (Ice Lake, Zen 4 and newer). Compiled with those instructions
 * switched on; dispatch.c asks the CPU before it hands the table out. */
#include "cpu/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#include "cpu/avx512_vectors.h"

#define TILE_VECTORS  2 /* of rows */
#define TILE_COLUMNS  6 /* their sums, and the floats that these go to, fill the 32 registers */
#define FLOAT_ROWS    4 /* and tokens, the same with one register a sum */
#define FLOAT_COLUMNS 6
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
