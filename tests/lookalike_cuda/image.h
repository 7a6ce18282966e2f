/* What the look-alike's compiler and its driver agree on: the form of a compiled program, which nvrtcGetCUBIN or
 * nvrtcGetPTX returns and cuModuleLoadData takes. It is an image_header, and after it a shared object for the host with
 * one symbol, lookalike_program_of_text. C reads this header, and so does C++, with the kernels. */
#ifndef LOOKALIKE_CUDA_IMAGE_H
#define LOOKALIKE_CUDA_IMAGE_H

#include <stdint.h>

#define IMAGE_MAGIC "no GPU's code: a look-alike's" /* of CUDA, for tests on hosts without a GPU */

typedef struct image_header {
    char magic[40];
    uint32_t architecture; /* 90: sm_90, or compute_90 */
    uint32_t is_virtual;   /* compute_: for this architecture or a newer one */
    uint64_t n_bytes;      /* of the shared object */
} image_header;

typedef struct lookalike_kernel {
    const char *name;
    uint32_t n_parameters;
    const uint32_t *sizes;                       /* [n_parameters] bytes */
    const uint32_t *are_pointers;                /* [n_parameters] 0 or 1 */
    void (*run_thread)(void *const *parameters); /* the calling fiber's thread */
} lookalike_kernel;

typedef struct lookalike_program {
    const lookalike_kernel *kernels;
    uint32_t n_kernels;
    unsigned char *shared, *shared_end; /* all __shared__ variables */
} lookalike_program;

/* blockIdx, in the look-alike's libcuda. */
typedef struct lookalike_index {
    uint32_t x, y, z;
} lookalike_index;

#endif
