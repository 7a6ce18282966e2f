/* Which drivers this build has. */
#include "gpu/driver.h"

#include <stddef.h>

const gpu_driver *const gpu_drivers[] = {
#ifdef CLLM_METAL
    &gpu_driver_metal,
#endif
    &gpu_driver_cuda,
    &gpu_driver_opencl,
    NULL,
};
