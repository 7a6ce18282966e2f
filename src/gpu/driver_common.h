/* Shared by the three drivers: refusing a device number that does not exist, finding a compiler's error, a list of
 * kernels by name, and keeping the first failure of a device. Before: driver_metal.m, driver_cuda.c,
 * driver_opencl.c. */
#ifndef GPU_DRIVER_COMMON_H
#define GPU_DRIVER_COMMON_H

#include "base/error.h"
#include "gpu/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_ERROR(...) error_set(err, CLLM_ERR_DEVICE, __VA_ARGS__)

static inline cllm_status returned(const cllm_error *failure, cllm_error *err) {
    if (failure->status != CLLM_OK && err) *err = *failure;
    return failure->status;
}

/* Check that the API has a device with this number. count: of its devices, 1 or more. */
static inline cllm_status check_index(const gpu_driver *driver, size_t count, uint32_t index, cllm_error *err) {
    if (index < count) return CLLM_OK;
    return DEVICE_ERROR("%s has %zu device%s; there is no device %u, counted from 0", driver->name, count,
                        count == 1 ? "" : "s", (unsigned)index);
}

/* The length of the first line with an error in a compiler's output, or of the first line if none has one; *said is
 * moved to its beginning. */
static inline int first_complaint(const char **said) {
    const char *error = strstr(*said, "error");
    for (const char *c = *said; error && c < error; c++)
        if (*c == '\n') *said = c + 1;
    *said += strspn(*said, " \t\r\n");
    return (int)strcspn(*said, "\r\n");
}

struct gpu_kernel {
    gpu_kernel *next; /* of the device's */
    void *handle;     /* the API's own */
    char name[64];
};

static inline cllm_status add_kernel(gpu_kernel **list, const char *name, void *handle, size_t most_threads,
                                     gpu_kernel **out, cllm_error *err) {
    if (most_threads < GPU_GROUP)
        return DEVICE_ERROR("the GPU runs at most %zu threads of the kernel %s in a group, where %d are needed: use "
                            "another device",
                            most_threads, name, GPU_GROUP);
    gpu_kernel *kernel = malloc(sizeof *kernel);
    if (!kernel) return error_set(err, CLLM_ERR_MEMORY, "no memory for the kernel %s", name);
    *kernel = (gpu_kernel){.next = *list, .handle = handle};
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    *out = *list = kernel;
    return CLLM_OK;
}

/* Remove a kernel from the list and return its handle. */
static inline void *remove_kernel(gpu_kernel **list) {
    gpu_kernel kernel = **list;
    free(*list);
    *list = kernel.next;
    return kernel.handle;
}

#endif
