/* The kernels that a model needs, as one program: the kernel text, with the model's tensor types filled in. Once it is
 * compiled, each kernel is found by its index. Before: forward_gpu.c, which asks for kernels. After: the driver, which
 * compiles. */
#ifndef GPU_PROGRAM_H
#define GPU_PROGRAM_H

#include "gguf/quant_types.h"
#include "gpu/driver.h"

/* Kernels that are in every program. */
typedef enum common_kernel {
    KERNEL_NORM,
    KERNEL_NORM_QK,
    KERNEL_ROPE_QK,
    KERNEL_ATTENTION,
    KERNEL_ATTENTION_MERGE,
    KERNEL_CAP,
    KERNEL_ARGMAX,
    KERNEL_GATHER,
    KERNEL_COPY,
    N_COMMON_KERNELS
} common_kernel;

typedef enum matrix_kernel { MATRIX_MULTIPLY, MATRIX_TILE, MATRIX_EMBED } matrix_kernel;

/* A kernel of products.gpu. */
typedef struct kernel_variant {
    matrix_kernel kind;
    quant_type types[3]; /* each type once: TYPE_0, TYPE_1, TYPE_2 in the kernel */
    uint32_t n_types;
    bool normed;       /* for MULTIPLY */
    uint32_t n_tokens; /* for MULTIPLY: how many it processes at a time */
} kernel_variant;

typedef struct program_kernel {
    kernel_variant variant; /* if it is not a common kernel */
    char name[64];
    gpu_kernel *kernel; /* once it is compiled */
} program_kernel;

typedef struct gpu_program {
    program_kernel *kernels; /* [n_kernels], the common ones first */
    uint32_t n_kernels, capacity;
} gpu_program; /* zero-initialised: empty */

/* Add a variant, if the program does not have it yet. index: out, its index among the kernels. Errors: MEMORY. */
cllm_status program_add(gpu_program *program, const kernel_variant *variant, uint32_t *index, cllm_error *err);

/* out: owned, the text for a device with these properties; release with free(). Errors: MEMORY. */
cllm_status program_text(const gpu_program *program, const gpu_properties *properties, cllm_kv_type kv_type, char **out,
                         cllm_error *err);

/* Errors: those of the driver's compile and kernel; MEMORY. */
cllm_status program_compile(gpu_program *program, const gpu_driver *driver, gpu_device *device,
                            const gpu_properties *properties, cllm_kv_type kv_type, cllm_error *err);

void program_free(gpu_program *program); /* the kernels belong to the device */

#endif
