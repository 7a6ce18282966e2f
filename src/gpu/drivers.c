/* The list of the drivers in this build, and the names of devices. Metal's driver is there only if CLLM_METAL is
 * defined. Before: gpu_open, which takes a driver from the list. After: the drivers. */
#include "gpu/driver.h"

#include <string.h>

#ifdef CLLM_METAL
#define DRIVER_metal &gpu_driver_metal,
#else
#define DRIVER_metal
#endif
#define DRIVER_cuda   &gpu_driver_cuda,
#define DRIVER_opencl &gpu_driver_opencl,

#define DRIVER(name) DRIVER_##name
const gpu_driver *const gpu_drivers[] = {GPU_APIS(DRIVER) NULL};

#define NAME(name) ", " #name
const char *cllm_device_names(void) { return "cpu, auto" GPU_APIS(NAME); }

bool gpu_is_device(const char *name) {
    const size_t length = strlen(name);
    const char *at = cllm_device_names();
    while (strcspn(at, ",") != length || strncmp(at, name, length) != 0) {
        at += strcspn(at, ",");
        if (!*at) return false;
        at += strlen(", ");
    }
    return true;
}
