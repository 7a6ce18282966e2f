/* What the forward pass needs from a GPU's API: a device that compiles the kernel text, holds buffers, and runs kernels
 * in the order in which they are launched. Implemented once for each API: driver_metal.m, driver_cuda.c,
 * driver_opencl.c. Before: forward_gpu.c, which uses only this table. After: the API's own library, found at run time.
 *
 * A device belongs to one thread at a time. All launches, writes and reads on a device happen in the order of the
 * calls; only read and sync promise to wait. A launch reports nothing: the first error, in the call or later on the
 * device, is returned by the next submit, write, read or sync, and by all later ones. */
#ifndef GPU_DRIVER_H
#define GPU_DRIVER_H

#include "cllm.h"

/* Defined separately by each driver. */
typedef struct gpu_device gpu_device;
typedef struct gpu_buffer gpu_buffer;
typedef struct gpu_kernel gpu_kernel;

enum {
    GPU_GROUP = 128, /* threads of a group, in every launch */
    GPU_TEAM = 32,   /* threads of a SIMD group (Metal) or a warp (CUDA) */
    GPU_MOST_BUFFERS = 12,
};

typedef struct gpu_properties {
    char name[128];          /* the device's own */
    uint64_t free_memory;    /* bytes available for all buffers together (OpenCL: all of its memory); 0: unknown */
    uint64_t largest_buffer; /* bytes, or 0: unknown */
    bool is_gpu;             /* false: a CPU behind a GPU's API, which `auto` skips */
    bool simd;               /* the API has functions to reduce over GPU_TEAM threads */
    bool matrices;           /* the API has functions to multiply matrices */
} gpu_properties;

typedef struct gpu_driver {
    const char *name; /* as in GPU_APIS */

    /* Find the API's library and one of its devices, counted from 0, the best first. out: owned, release with close.
     * Errors: DEVICE, with a message that says what is missing and what to do; MEMORY. */
    cllm_status (*open)(uint32_t index, gpu_device **out, gpu_properties *properties, cllm_error *err);
    /* Wait, and release the device and its kernels. The caller has released all buffers. NULL is allowed. */
    void (*close)(gpu_device *device);

    /* Compile a program; once for a device. Errors: DEVICE, with the compiler's first error. */
    cllm_status (*compile)(gpu_device *device, const char *text, cllm_error *err);
    /* out: the program's kernel with this name; it belongs to the device. Errors: DEVICE, for example if the device
     * cannot run GPU_GROUP threads of the kernel. */
    cllm_status (*kernel)(gpu_device *device, const char *name, gpu_kernel **out, cllm_error *err);

    /* out: owned, n_bytes >= 1 of the device's memory, zeroed. Errors: DEVICE, with the size, if no memory is left. */
    cllm_status (*allocate)(gpu_device *device, uint64_t n_bytes, gpu_buffer **out, cllm_error *err);
    /* Let kernels read bytes of the host: in place if the API can, otherwise from a copy. While the buffer lives, the
     * bytes and the rest of their pages must not change or move. out: owned; *offset: where the bytes begin in the
     * buffer; if they are aligned to 2, 4, .. or 32 bytes, so is the offset. Errors: as for allocate. */
    cllm_status (*wrap)(gpu_device *device, const void *bytes, uint64_t n_bytes, gpu_buffer **out, uint32_t *offset,
                        cllm_error *err);
    void (*release)(gpu_device *device, gpu_buffer *buffer); /* NULL is allowed. No launch may still use it. */

    /* Write the first n_bytes of the buffer. bytes may change after the call. */
    cllm_status (*write)(gpu_device *device, gpu_buffer *buffer, const void *bytes, size_t n_bytes, cllm_error *err);
    cllm_status (*read)(gpu_device *device, gpu_buffer *buffer, void *bytes, size_t n_bytes, cllm_error *err);

    /* groups: how many groups of GPU_GROUP threads in x, y and z; none is 0, and y and z are at most 65,535. The
     * kernel's parameters are the buffers, then the struct of args_bytes <= 256, which is copied. */
    void (*launch)(gpu_device *device, gpu_kernel *kernel, const uint32_t groups[3], gpu_buffer *const *buffers,
                   size_t n_buffers, const void *args, size_t args_bytes);
    /* Make sure that the device works on what was launched. */
    cllm_status (*submit)(gpu_device *device, cllm_error *err);
    /* Wait until everything is done. */
    cllm_status (*sync)(gpu_device *device, cllm_error *err);
} gpu_driver;

/* X(name): the APIs, in the order in which `auto` tries them and cllm_device_names lists them. */
#define GPU_APIS(X) X(metal) X(cuda) X(opencl)

/* The drivers of this build in that order, ended by NULL. */
extern const gpu_driver *const gpu_drivers[];

#define GPU_DRIVER(name) extern const gpu_driver gpu_driver_##name;
GPU_APIS(GPU_DRIVER)

/* True if the name is one of cllm_device_names. */
bool gpu_is_device(const char *name);

#endif
