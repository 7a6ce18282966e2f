/* What driver_cuda.c uses of two libraries of NVIDIA: the driver's libcuda and the compiler NVRTC. It is declared here,
 * so that building needs none of their headers. Names and values are those of the CUDA Driver API and NVRTC
 * documentation; tests/check_cuda.sh compares them with the headers cuda.h and nvrtc.h where these are installed.
 * Before: driver_cuda.c. After: the libraries themselves. */
#ifndef GPU_CUDA_API_H
#define GPU_CUDA_API_H

#include <stddef.h>

/* X(name, value) */
#define CUDA_CONSTANTS(X)                               \
    X(CUDA_SUCCESS, 0)                                  \
    X(CUDA_ERROR_NO_DEVICE, 100)                        \
    X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75) \
    X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76) \
    X(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0)       \
    X(CU_STREAM_NON_BLOCKING, 1)                        \
    X(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, 1)           \
    X(NVRTC_SUCCESS, 0)

#ifndef CUDA_VERSION /* of cuda.h */
typedef int CUresult, CUdevice, CUdevice_attribute, CUfunction_attribute, CUstreamCaptureMode;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;

typedef int nvrtcResult;
typedef struct _nvrtcProgram *nvrtcProgram;

#define CUDA_CONSTANT(name, value) name = value,
enum { CUDA_CONSTANTS(CUDA_CONSTANT) };
#endif

/* X(type of the result, name, symbol in the library, parameters). The names are those in cuda.h since CUDA 11: if the
 * symbol ends in _v2, the name is without it. */
#define CUDA_FUNCTIONS(X)                                                                                       \
    X(CUresult, cuInit, cuInit, (unsigned flags))                                                               \
    X(CUresult, cuGetErrorName, cuGetErrorName, (CUresult, const char **name))                                  \
    X(CUresult, cuGetErrorString, cuGetErrorString, (CUresult, const char **description))                       \
    X(CUresult, cuDriverGetVersion, cuDriverGetVersion, (int *version)) /* 1000 * major + 10 * minor */         \
    X(CUresult, cuDeviceGetCount, cuDeviceGetCount, (int *count))                                               \
    X(CUresult, cuDeviceGet, cuDeviceGet, (CUdevice *, int ordinal))                                            \
    X(CUresult, cuDeviceGetName, cuDeviceGetName, (char *name, int size, CUdevice))                             \
    X(CUresult, cuDeviceGetAttribute, cuDeviceGetAttribute, (int *value, CUdevice_attribute, CUdevice))         \
    X(CUresult, cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                    \
    X(CUresult, cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, (CUdevice))                            \
    X(CUresult, cuCtxPushCurrent, cuCtxPushCurrent_v2, (CUcontext))                                             \
    X(CUresult, cuCtxPopCurrent, cuCtxPopCurrent_v2, (CUcontext *))                                             \
    X(CUresult, cuModuleLoadData, cuModuleLoadData, (CUmodule *, const void *image))                            \
    X(CUresult, cuModuleUnload, cuModuleUnload, (CUmodule))                                                     \
    X(CUresult, cuModuleGetFunction, cuModuleGetFunction, (CUfunction *, CUmodule, const char *name))           \
    X(CUresult, cuFuncGetAttribute, cuFuncGetAttribute, (int *value, CUfunction_attribute, CUfunction))         \
    X(CUresult, cuMemGetInfo, cuMemGetInfo_v2, (size_t * n_free, size_t * n_total))                             \
    X(CUresult, cuMemAlloc, cuMemAlloc_v2, (CUdeviceptr *, size_t n_bytes))                                     \
    X(CUresult, cuMemFree, cuMemFree_v2, (CUdeviceptr))                                                         \
    X(CUresult, cuMemsetD8Async, cuMemsetD8Async, (CUdeviceptr, unsigned char, size_t n_bytes, CUstream))       \
    X(CUresult, cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void *, size_t n_bytes, CUstream)) \
    X(CUresult, cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, (void *, CUdeviceptr, size_t n_bytes, CUstream))       \
    X(CUresult, cuStreamCreate, cuStreamCreate, (CUstream *, unsigned flags))                                   \
    X(CUresult, cuStreamDestroy, cuStreamDestroy_v2, (CUstream))                                                \
    X(CUresult, cuStreamSynchronize, cuStreamSynchronize, (CUstream))                                           \
    X(CUresult, cuLaunchKernel, cuLaunchKernel,                                                                 \
      (CUfunction, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,       \
       unsigned block_z, unsigned shared_bytes, CUstream, void **parameters, void **extra))

/* Since CUDA 11.4. Without them there are no graphs, only single launches. */
#define CUDA_GRAPH_FUNCTIONS(X)                                                                 \
    X(CUresult, cuStreamBeginCapture, cuStreamBeginCapture_v2, (CUstream, CUstreamCaptureMode)) \
    X(CUresult, cuStreamEndCapture, cuStreamEndCapture, (CUstream, CUgraph *))                  \
    X(CUresult, cuGraphInstantiateWithFlags, cuGraphInstantiateWithFlags,                       \
      (CUgraphExec *, CUgraph, unsigned long long))                                             \
    X(CUresult, cuGraphLaunch, cuGraphLaunch, (CUgraphExec, CUstream))                          \
    X(CUresult, cuGraphExecDestroy, cuGraphExecDestroy, (CUgraphExec))                          \
    X(CUresult, cuGraphDestroy, cuGraphDestroy, (CUgraph))

/* NVRTC 11.2 and newer. */
#define NVRTC_FUNCTIONS(X)                                                                                       \
    X(const char *, nvrtcGetErrorString, nvrtcGetErrorString, (nvrtcResult))                                     \
    X(nvrtcResult, nvrtcVersion, nvrtcVersion, (int *major, int *minor))                                         \
    X(nvrtcResult, nvrtcGetNumSupportedArchs, nvrtcGetNumSupportedArchs, (int *count))                           \
    X(nvrtcResult, nvrtcGetSupportedArchs, nvrtcGetSupportedArchs, (int *architectures)) /* 90: sm_90; sorted */ \
    X(nvrtcResult, nvrtcCreateProgram, nvrtcCreateProgram,                                                       \
      (nvrtcProgram *, const char *text, const char *name, int n, const char *const *headers,                    \
       const char *const *names))                                                                                \
    X(nvrtcResult, nvrtcDestroyProgram, nvrtcDestroyProgram, (nvrtcProgram *))                                   \
    X(nvrtcResult, nvrtcCompileProgram, nvrtcCompileProgram, (nvrtcProgram, int n, const char *const *options))  \
    X(nvrtcResult, nvrtcGetProgramLogSize, nvrtcGetProgramLogSize, (nvrtcProgram, size_t * n_bytes))             \
    X(nvrtcResult, nvrtcGetProgramLog, nvrtcGetProgramLog, (nvrtcProgram, char *log))                            \
    X(nvrtcResult, nvrtcGetPTXSize, nvrtcGetPTXSize, (nvrtcProgram, size_t * n_bytes))                           \
    X(nvrtcResult, nvrtcGetPTX, nvrtcGetPTX, (nvrtcProgram, char *ptx))                                          \
    X(nvrtcResult, nvrtcGetCUBINSize, nvrtcGetCUBINSize, (nvrtcProgram, size_t * n_bytes))                       \
    X(nvrtcResult, nvrtcGetCUBIN, nvrtcGetCUBIN, (nvrtcProgram, char *cubin))

#define CUDA_POINTER(type, name, symbol, parameters) type(*name) parameters;
typedef struct cuda_api {
    CUDA_FUNCTIONS(CUDA_POINTER)
    CUDA_GRAPH_FUNCTIONS(CUDA_POINTER)
    NVRTC_FUNCTIONS(CUDA_POINTER)
} cuda_api;

#endif
