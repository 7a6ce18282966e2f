/* The part of OpenCL 1.2 that driver_opencl.c uses, declared here so that building needs neither its headers nor its
 * library. Before: driver_opencl.c. After: the library that open_loader() finds. Source: the OpenCL 1.2 specification,
 * revision 19; its types, constants and arguments are a binary interface. */
#ifndef GPU_OPENCL_API_H
#define GPU_OPENCL_API_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t cl_int;
typedef uint32_t cl_uint;    /* also cl_bool */
typedef uint64_t cl_options; /* cl_bitfield */
typedef struct cl_platform_object *cl_platform;
typedef struct cl_device_object *cl_device;
typedef struct cl_context_object *cl_context;
typedef struct cl_queue_object *cl_queue;
typedef struct gpu_buffer *cl_memory; /* the gpu_buffer of driver.h */
typedef struct cl_program_object *cl_program;
typedef struct cl_kernel_object *cl_kernel;
typedef struct cl_event_object *cl_event;
typedef void (*cl_notify)(void); /* always NULL here */

enum { CL_SUCCESS = 0, CL_INVALID_VALUE = -30, CL_INVALID_BUFFER_SIZE = -61 };
enum { CL_TYPE_CPU = 1 << 1, CL_TYPE_GPU = 1 << 2, CL_TYPE_ACCELERATOR = 1 << 3 };
enum { CL_MEM_READ_WRITE = 1 << 0, CL_MEM_READ_ONLY = 1 << 2 };
enum { CL_MEM_USE_HOST_PTR = 1 << 3, CL_MEM_COPY_HOST_PTR = 1 << 5 };
enum { CL_DEVICE_TYPE = 0x1000, CL_DEVICE_NAME = 0x102B, CL_DEVICE_VERSION = 0x102F };
enum { CL_DEVICE_GLOBAL_MEM_SIZE = 0x101F, CL_DEVICE_MAX_MEM_ALLOC_SIZE = 0x1010 };
enum { CL_DEVICE_AVAILABLE = 0x1027, CL_DEVICE_COMPILER_AVAILABLE = 0x1028, CL_DEVICE_ENDIAN_LITTLE = 0x1026 };
enum { CL_DEVICE_SINGLE_FP_CONFIG = 0x101B, CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT = 1 << 7 };
enum { CL_DEVICE_HOST_UNIFIED_MEMORY = 0x1035, CL_PROGRAM_BUILD_LOG = 0x1183, CL_KERNEL_WORK_GROUP_SIZE = 0x11B0 };

/* X(result, name without "cl", parameters). The last three parameters of an enqueue are events: how many to wait for,
 * which ones, and the command's own. A queue that keeps the order needs none. */
#define CL_EVENTS cl_uint n_events, const cl_event *events, cl_event *event
#define CL_FUNCTIONS(X)                                                                                              \
    X(cl_int, GetPlatformIDs, (cl_uint room, cl_platform *, cl_uint * count))                                        \
    X(cl_int, GetDeviceIDs, (cl_platform, cl_options type, cl_uint room, cl_device *, cl_uint * count))              \
    X(cl_int, GetDeviceInfo, (cl_device, cl_uint what, size_t room, void *value, size_t *size))                      \
    X(cl_context, CreateContext,                                                                                     \
      (const intptr_t *properties, cl_uint n, const cl_device *, cl_notify, void *user, cl_int *error))              \
    X(cl_int, ReleaseContext, (cl_context))                                                                          \
    X(cl_queue, CreateCommandQueue, (cl_context, cl_device, cl_options properties, cl_int * error))                  \
    X(cl_int, ReleaseCommandQueue, (cl_queue))                                                                       \
    X(cl_program, CreateProgramWithSource,                                                                           \
      (cl_context, cl_uint n, const char **, const size_t *lengths, cl_int *error))                                  \
    X(cl_int, BuildProgram, (cl_program, cl_uint n, const cl_device *, const char *options, cl_notify, void *user))  \
    X(cl_int, GetProgramBuildInfo, (cl_program, cl_device, cl_uint what, size_t room, void *value, size_t *size))    \
    X(cl_int, ReleaseProgram, (cl_program))                                                                          \
    X(cl_kernel, CreateKernel, (cl_program, const char *name, cl_int *error))                                        \
    X(cl_int, GetKernelWorkGroupInfo, (cl_kernel, cl_device, cl_uint what, size_t room, void *value, size_t *size))  \
    X(cl_int, SetKernelArg, (cl_kernel, cl_uint index, size_t size, const void *value))                              \
    X(cl_int, ReleaseKernel, (cl_kernel))                                                                            \
    X(cl_memory, CreateBuffer, (cl_context, cl_options flags, size_t size, void *host, cl_int *error))               \
    X(cl_int, ReleaseMemObject, (cl_memory))                                                                         \
    X(cl_int, EnqueueFillBuffer,                                                                                     \
      (cl_queue, cl_memory, const void *pattern, size_t pattern_size, size_t offset, size_t size, CL_EVENTS))        \
    X(cl_int, EnqueueWriteBuffer,                                                                                    \
      (cl_queue, cl_memory, cl_uint wait, size_t offset, size_t size, const void *, CL_EVENTS))                      \
    X(cl_int, EnqueueReadBuffer, (cl_queue, cl_memory, cl_uint wait, size_t offset, size_t size, void *, CL_EVENTS)) \
    X(cl_int, EnqueueNDRangeKernel,                                                                                  \
      (cl_queue, cl_kernel, cl_uint n_dimensions, const size_t *first, const size_t *threads, const size_t *group,   \
       CL_EVENTS))                                                                                                   \
    X(cl_int, Flush, (cl_queue))                                                                                     \
    X(cl_int, Finish, (cl_queue))

/* A pointer to each function, under its name. */
#define CL_POINTER(result, name, parameters) result(*name) parameters;
typedef struct opencl_api {
    CL_FUNCTIONS(CL_POINTER)
} opencl_api;

#endif
