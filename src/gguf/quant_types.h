/* Every tensor type of GGUF, once. The enum, names, block sizes, kernel tables and tests come from this list.
 *
 * X(name, number in the file, elements per block, bytes per block)
 *
 * The numbers and layouts are ggml's, to which the GGUF specification (ggml/docs/gguf.md) refers; docs/ has drawings of
 * the layouts. A row of a tensor is a whole number of blocks. */
#ifndef GGUF_QUANT_TYPES_H
#define GGUF_QUANT_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/* Types of matrices that kernels compute with. Each has a dequantizer in src/cpu. */
#define COMPUTE_TYPES(X) GPU_TYPES(X) CPU_TYPES(X)

/* Types with a dequantizer in src/gpu too. */
#define GPU_TYPES(X)        \
    X(F32, 0, 1, 4)         \
    X(F16, 1, 1, 2)         \
    X(BF16, 30, 1, 2)       \
    X(Q4_0, 2, 32, 18)      \
    X(Q4_1, 3, 32, 20)      \
    X(Q5_0, 6, 32, 22)      \
    X(Q5_1, 7, 32, 24)      \
    X(Q8_0, 8, 32, 34)      \
    X(Q2_K, 10, 256, 84)    \
    X(Q3_K, 11, 256, 110)   \
    X(Q4_K, 12, 256, 144)   \
    X(Q5_K, 13, 256, 176)   \
    X(Q6_K, 14, 256, 210)   \
    X(IQ4_NL, 20, 32, 18)   \
    X(IQ4_XS, 23, 256, 136) \
    X(TQ1_0, 34, 256, 54)   \
    X(TQ2_0, 35, 256, 66)   \
    X(MXFP4, 39, 32, 17)    \
    X(NVFP4, 40, 64, 36)

/* Only the CPU computes with these. */
#define CPU_TYPES(X)        \
    X(IQ1_S, 19, 256, 50)   \
    X(IQ1_M, 29, 256, 56)   \
    X(IQ2_XXS, 16, 256, 66) \
    X(IQ2_XS, 17, 256, 74)  \
    X(IQ2_S, 22, 256, 82)   \
    X(IQ3_XXS, 18, 256, 98) \
    X(IQ3_S, 21, 256, 110)

/* Types that a file may contain, and that `inspect` shows, but no kernel reads. */
#define STORAGE_TYPES(X)  \
    X(Q8_1, 9, 32, 36)    \
    X(Q8_K, 15, 256, 292) \
    X(I8, 24, 1, 1)       \
    X(I16, 25, 1, 2)      \
    X(I32, 26, 1, 4)      \
    X(I64, 27, 1, 8)      \
    X(F64, 28, 1, 8)

/* Types of old files that no program reads any more: name, number, and the type to use instead. The first two were
 * experiments in 2023. The others had their rows in an order for certain CPUs; programs now make this order themselves
 * while they load. */
#define REMOVED_TYPES(X)      \
    X(Q4_2, 4, Q4_0)          \
    X(Q4_3, 5, Q4_1)          \
    X(Q4_0_4_4, 31, Q4_0)     \
    X(Q4_0_4_8, 32, Q4_0)     \
    X(Q4_0_8_8, 33, Q4_0)     \
    X(IQ4_NL_4_4, 36, IQ4_NL) \
    X(IQ4_NL_4_8, 37, IQ4_NL) \
    X(IQ4_NL_8_8, 38, IQ4_NL)

#define QUANT_TYPES(X) COMPUTE_TYPES(X) STORAGE_TYPES(X)

typedef enum quant_type {
#define X(name, number, elements, bytes) QUANT_##name = number,
    QUANT_TYPES(X)
#undef X
        QUANT_TYPE_LIMIT = 41 /* above every number */
} quant_type;

typedef struct quant_layout {
    const char *name;
    uint32_t block_elements;
    uint32_t block_bytes;
    bool computable; /* one of COMPUTE_TYPES */
    bool on_gpu;     /* one of GPU_TYPES */
} quant_layout;

/* NULL if no type has this number. */
const quant_layout *quant_type_layout(uint32_t number);

typedef struct removed_type {
    uint32_t number;
    const char *name, *instead;
} removed_type;

/* NULL if the number is not one of REMOVED_TYPES. */
const removed_type *quant_type_removed(uint32_t number);

/* The bytes of n elements. type: one of QUANT_TYPES. n: a multiple of the type's block, and below 2^61, so that the
 * result does not overflow. */
static inline uint64_t quant_bytes(quant_type type, uint64_t n) {
    const quant_layout *layout = quant_type_layout(type);
    return n / layout->block_elements * layout->block_bytes;
}

#endif
