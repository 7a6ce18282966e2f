/* Which drivers this build has. */
#include "gpu/driver.h"

#include <stddef.h>

const gpu_driver *const gpu_drivers[] = {
    &gpu_driver_opencl,
    NULL,
};
