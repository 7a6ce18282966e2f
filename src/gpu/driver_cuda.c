/* The driver for NVIDIA's GPUs: the CUDA Driver API, and NVRTC to compile the kernel text for the device that is there.
 * Both libraries are found at run time; without them, open says what to install.
 *
 * Launches are recorded. What is submitted again just as it was before, as every step of decoding is (positions and
 * tokens lie in buffers), becomes a CUDA graph, which takes the host one call instead of hundreds.
 *
 * Before: forward_gpu.c. After: cuda_api.h and the libraries. Source: NVIDIA's "CUDA Driver API" and "NVRTC" manuals. */
#include "gpu/driver.h"

#include "base/error.h"
#include "gpu/cuda_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_LAUNCHES = 2048, /* recorded; with more, the first ones are submitted early */
    MOST_ARGS = 256,
    REMEMBERED = 4, /* lists of launches, as a step may consist of several that alternate */
    MOST_ARCHITECTURES = 256,
};
#define STAGE_BYTES ((size_t)1 << 20)

/* Every byte is set, so that memcmp can tell whether two are the same. */
typedef struct launch {
    const gpu_kernel *kernel;
    CUdeviceptr buffers[GPU_MOST_BUFFERS];
    _Alignas(8) unsigned char args[MOST_ARGS];
    uint32_t groups[3];
    uint32_t n_buffers;
} launch;

typedef struct remembered_list {
    launch *launches; /* [MOST_LAUNCHES] */
    size_t n;
    uint64_t last_use;
    CUgraphExec graph; /* or NULL: not met twice yet */
} remembered_list;

struct gpu_kernel {
    gpu_kernel *next;
    CUfunction function;
    char name[64];
};

struct gpu_buffer {
    CUdeviceptr address;
};

struct gpu_device {
    cuda_api cuda;
    nvrtc_api nvrtc;
    CUdevice ordinal;
    int architecture; /* 90: compute capability 9.0 */
    CUcontext context;
    CUstream stream;
    CUmodule module;
    gpu_kernel *kernels;
    bool entered; /* the context is the thread's current one */

    bool has_failed;
    cllm_error error; /* of the first failure, for good */

    /* Copies from memory that is not page-locked may read it after they return, so what write() copies goes through here. */
    char *stage; /* [STAGE_BYTES], page-locked */
    size_t n_staged;

    launch *launches; /* [MOST_LAUNCHES] */
    size_t n_launches;
    bool has_graphs;
    remembered_list lists[REMEMBERED];
    uint64_t n_uses;
};

/* ---------------------------------------------------------------------------------------------------- errors */

static cllm_status refuse(const gpu_device *device, CUresult result, cllm_error *err, const char *what,
                          const char *which) {
    const char *name = NULL, *description = NULL;
    device->cuda.cuGetErrorName(result, &name);
    device->cuda.cuGetErrorString(result, &description);
    return error_set(err, CLLM_ERR_DEVICE, "CUDA: %s%s: %s (%s)", what, which, name ? name : "an unknown error",
                     description ? description : "which the driver does not describe");
}

/* Whether it went well. If not, and if nothing failed before, this is what all that follows will return. */
static bool worked(gpu_device *device, CUresult result, const char *what, const char *which) {
    if (result != CUDA_SUCCESS && !device->has_failed) {
        device->has_failed = true;
        refuse(device, result, &device->error, what, which);
    }
    return result == CUDA_SUCCESS;
}

/* Calls act on the thread's current context. The caller may have one of its own, so it is changed for a while only. */
static void enter(gpu_device *device) {
    device->entered = worked(device, device->cuda.cuCtxPushCurrent(device->context), "entering the context", "");
}

/* Returns the first failure of the device, if there was one. */
static cllm_status leave(gpu_device *device, cllm_error *err) {
    CUcontext left;
    if (device->entered) worked(device, device->cuda.cuCtxPopCurrent(&left), "leaving the context", "");
    device->entered = false;
    if (!device->has_failed) return CLLM_OK;
    if (err) *err = device->error;
    return CLLM_ERR_DEVICE;
}

/* -------------------------------------------------------------------------------------------------- launching */

static CUresult launch_now(gpu_device *device, launch *l) {
    void *parameters[GPU_MOST_BUFFERS + 2] = {0};
    for (uint32_t i = 0; i < l->n_buffers; i++) parameters[i] = &l->buffers[i];
    parameters[l->n_buffers] = l->args;
    return device->cuda.cuLaunchKernel(l->kernel->function, l->groups[0], l->groups[1], l->groups[2], GPU_GROUP, 1, 1,
                                       0, device->stream, parameters, NULL);
}

/* The recorded launches as a graph, or NULL where the driver fails to make it: launched one by one, they will show what
 * is wrong with them, if anything is. */
static CUgraphExec make_graph(gpu_device *device, size_t n) {
    const cuda_api *cuda = &device->cuda;
    CUgraph graph = NULL;
    CUgraphExec executable = NULL;
    /* other threads may allocate meanwhile, which only the mode for one thread allows */
    CUresult result = cuda->cuStreamBeginCapture(device->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (result == CUDA_SUCCESS) {
        for (size_t i = 0; i < n && result == CUDA_SUCCESS; i++) result = launch_now(device, &device->launches[i]);
        CUresult end = cuda->cuStreamEndCapture(device->stream, &graph);
        if (result == CUDA_SUCCESS) result = end;
    }
    if (result == CUDA_SUCCESS) result = cuda->cuGraphInstantiateWithFlags(&executable, graph, 0);
    if (graph) cuda->cuGraphDestroy(graph);
    if (result == CUDA_SUCCESS) return executable;
    device->has_graphs = false;
    return NULL;
}

static void forget(gpu_device *device, remembered_list *list) {
    if (list->graph) {
        worked(device, device->cuda.cuStreamSynchronize(device->stream), "waiting for the device", "");
        device->cuda.cuGraphExecDestroy(list->graph);
    }
    list->graph = NULL;
    list->n = 0;
}

/* The graph of the n recorded launches if they are among the lists used last, which they are from now on. */
static CUgraphExec remember(gpu_device *device, size_t n) {
    remembered_list *same = NULL, *oldest = device->lists;
    for (size_t i = 0; i < REMEMBERED && !same; i++) {
        remembered_list *list = &device->lists[i];
        if (list->last_use < oldest->last_use) oldest = list;
        if (list->n == n && memcmp(list->launches, device->launches, n * sizeof(launch)) == 0) same = list;
    }
    if (!same) {
        forget(device, oldest);
        memcpy(oldest->launches, device->launches, n * sizeof(launch));
        oldest->n = n;
        oldest->last_use = ++device->n_uses;
        return NULL;
    }
    same->last_use = ++device->n_uses;
    if (!same->graph) same->graph = make_graph(device, n);
    return same->graph;
}

/* Hand the recorded launches to the device. */
static void flush(gpu_device *device) {
    size_t n = device->n_launches;
    device->n_launches = 0;
    if (device->has_failed) return;
    CUgraphExec graph = n > 1 && device->has_graphs ? remember(device, n) : NULL;
    if (graph) {
        worked(device, device->cuda.cuGraphLaunch(graph, device->stream), "launching a graph", "");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        launch *l = &device->launches[i];
        if (!worked(device, launch_now(device, l), "launching ", l->kernel->name)) return;
    }
}

static void finish(gpu_device *device) {
    flush(device);
    worked(device, device->cuda.cuStreamSynchronize(device->stream), "waiting for the device", "");
    device->n_staged = 0;
}

static void cuda_launch(gpu_device *device, gpu_kernel *kernel, const uint32_t groups[3], gpu_buffer *const *buffers,
                        size_t n_buffers, const void *args, size_t args_bytes) {
    if (device->n_launches == MOST_LAUNCHES) {
        enter(device);
        flush(device);
        leave(device, NULL);
    }
    launch *l = &device->launches[device->n_launches++];
    memset(l, 0, sizeof *l);
    l->kernel = kernel;
    l->n_buffers = (uint32_t)n_buffers;
    for (size_t i = 0; i < n_buffers; i++) l->buffers[i] = buffers[i]->address;
    memcpy(l->groups, groups, sizeof l->groups);
    memcpy(l->args, args, args_bytes);
}

static cllm_status cuda_submit(gpu_device *device, cllm_error *err) {
    enter(device);
    flush(device);
    return leave(device, err);
}

static cllm_status cuda_sync(gpu_device *device, cllm_error *err) {
    enter(device);
    finish(device);
    return leave(device, err);
}

/* ---------------------------------------------------------------------------------------------------- buffers */

static cllm_status make_buffer(gpu_device *device, uint64_t n_bytes, gpu_buffer **out, cllm_error *err) {
    gpu_buffer *buffer = malloc(sizeof *buffer);
    if (!buffer) return error_set(err, CLLM_ERR_MEMORY, "no memory for a buffer of the device");
    CUresult result = device->cuda.cuMemAlloc(&buffer->address, (size_t)n_bytes);
    if (result == CUDA_SUCCESS) {
        *out = buffer;
        return CLLM_OK;
    }
    free(buffer);
    char size[32];
    snprintf(size, sizeof size, "%llu bytes", (unsigned long long)n_bytes);
    return refuse(device, result, err, "allocating ", size); /* later calls can still succeed */
}

static void cuda_release(gpu_device *device, gpu_buffer *buffer) {
    if (!buffer) return;
    enter(device);
    finish(device); /* it may still be cleared, or filled from bytes that will go with it */
    worked(device, device->cuda.cuMemFree(buffer->address), "releasing a buffer", "");
    leave(device, NULL);
    free(buffer);
}

static cllm_status cuda_allocate(gpu_device *device, uint64_t n_bytes, gpu_buffer **out, cllm_error *err) {
    gpu_buffer *buffer = NULL;
    enter(device);
    cllm_status status = make_buffer(device, n_bytes, &buffer, err);
    if (buffer)
        worked(device, device->cuda.cuMemsetD8Async(buffer->address, 0, (size_t)n_bytes, device->stream),
               "clearing a buffer", "");
    cllm_status failure = leave(device, err);
    if (status == CLLM_OK && failure == CLLM_OK) {
        *out = buffer;
        return CLLM_OK;
    }
    cuda_release(device, buffer);
    return failure != CLLM_OK ? failure : status;
}

/* A copy: a GPU behind a bus reads its own memory many times faster than the host's. */
static cllm_status cuda_wrap(gpu_device *device, const void *bytes, uint64_t n_bytes, gpu_buffer **out,
                             uint32_t *offset, cllm_error *err) {
    gpu_buffer *buffer = NULL;
    enter(device);
    cllm_status status = make_buffer(device, n_bytes, &buffer, err);
    if (buffer)
        worked(device, device->cuda.cuMemcpyHtoDAsync(buffer->address, bytes, (size_t)n_bytes, device->stream),
               "copying to the device", "");
    cllm_status failure = leave(device, err);
    if (status == CLLM_OK && failure == CLLM_OK) {
        *out = buffer;
        *offset = 0;
        return CLLM_OK;
    }
    cuda_release(device, buffer);
    return failure != CLLM_OK ? failure : status;
}

static cllm_status cuda_write(gpu_device *device, gpu_buffer *buffer, const void *bytes, size_t n_bytes,
                              cllm_error *err) {
    enter(device);
    flush(device);
    for (size_t done = 0, n; done < n_bytes && !device->has_failed; done += n) {
        if (device->n_staged == STAGE_BYTES) finish(device);
        n = n_bytes - done < STAGE_BYTES - device->n_staged ? n_bytes - done : STAGE_BYTES - device->n_staged;
        char *staged = device->stage + device->n_staged;
        memcpy(staged, (const char *)bytes + done, n);
        device->n_staged += n;
        worked(device, device->cuda.cuMemcpyHtoDAsync(buffer->address + done, staged, n, device->stream),
               "copying to the device", "");
    }
    return leave(device, err);
}

static cllm_status cuda_read(gpu_device *device, gpu_buffer *buffer, void *bytes, size_t n_bytes, cllm_error *err) {
    enter(device);
    flush(device);
    if (!device->has_failed)
        worked(device, device->cuda.cuMemcpyDtoHAsync(bytes, buffer->address, n_bytes, device->stream),
               "copying from the device", "");
    finish(device);
    return leave(device, err);
}

/* -------------------------------------------------------------------------------------------------- compiling */

/* Shorten the log to its first line that tells of an error. */
static const char *first_complaint(char *log) {
    char *line = strstr(log, "error");
    if (!line) line = log;
    while (line > log && line[-1] != '\n') line--;
    line[strcspn(line, "\n")] = 0;
    return line;
}

static cllm_status complain(gpu_device *device, nvrtcResult result, nvrtcProgram program, cllm_error *err) {
    const nvrtc_api *nvrtc = &device->nvrtc;
    size_t n_bytes = 0;
    char *log = NULL;
    if (program && nvrtc->nvrtcGetProgramLogSize(program, &n_bytes) == NVRTC_SUCCESS) log = calloc(1, n_bytes + 1);
    if (log && nvrtc->nvrtcGetProgramLog(program, log) != NVRTC_SUCCESS) *log = 0;
    error_set(err, CLLM_ERR_DEVICE, "CUDA: NVRTC cannot compile the kernels: %s: %s",
              nvrtc->nvrtcGetErrorString(result), log && *log ? first_complaint(log) : "it does not say why");
    free(log);
    return CLLM_ERR_DEVICE;
}

/* The device's own machine code if NVRTC knows the device. If not, since it is newer, what NVRTC writes for the newest
 * architecture that it knows (PTX), which the driver translates. */
static cllm_status choose_architecture(gpu_device *device, int *architecture, cllm_error *err) {
    const nvrtc_api *nvrtc = &device->nvrtc;
    int n = 0, known[MOST_ARCHITECTURES], major = 0, minor = 0;
    nvrtcResult result = nvrtc->nvrtcGetNumSupportedArchs(&n);
    if (result == NVRTC_SUCCESS && n <= MOST_ARCHITECTURES) result = nvrtc->nvrtcGetSupportedArchs(known);
    if (result != NVRTC_SUCCESS || n > MOST_ARCHITECTURES) return complain(device, result, NULL, err);
    *architecture = 0;
    for (int i = 0; i < n; i++)
        if (known[i] <= device->architecture && known[i] > *architecture) *architecture = known[i];
    if (*architecture) return CLLM_OK;
    nvrtc->nvrtcVersion(&major, &minor);
    return error_set(err, CLLM_ERR_DEVICE,
                     "CUDA: NVRTC %d.%d no longer compiles for this device, of compute capability %d.%d: install the "
                     "libnvrtc of an older CUDA toolkit",
                     major, minor, device->architecture / 10, device->architecture % 10);
}

static cllm_status cuda_compile(gpu_device *device, const char *text, cllm_error *err) {
    const nvrtc_api *nvrtc = &device->nvrtc;
    int architecture;
    cllm_status status = choose_architecture(device, &architecture, err);
    if (status != CLLM_OK) return status;

    bool own = architecture == device->architecture;
    char target[48];
    snprintf(target, sizeof target, "--gpu-architecture=%s_%d", own ? "sm" : "compute", architecture);
    /* no fused multiply-add where the text has none: the same sums on every device */
    const char *options[] = {target, "--std=c++17", "--fmad=false"};
    nvrtcProgram program = NULL;
    size_t n_bytes = 0;
    char *image = NULL;
    nvrtcResult result = nvrtc->nvrtcCreateProgram(&program, text, "kernels.cu", 0, NULL, NULL);
    if (result == NVRTC_SUCCESS)
        result = nvrtc->nvrtcCompileProgram(program, (int)(sizeof options / sizeof *options), options);
    if (result == NVRTC_SUCCESS)
        result = own ? nvrtc->nvrtcGetCUBINSize(program, &n_bytes) : nvrtc->nvrtcGetPTXSize(program, &n_bytes);
    if (result != NVRTC_SUCCESS) {
        status = complain(device, result, program, err);
        goto cleanup;
    }
    image = malloc(n_bytes);
    if (!image) {
        status = error_set(err, CLLM_ERR_MEMORY, "no memory for %zu bytes of compiled kernels", n_bytes);
        goto cleanup;
    }
    result = own ? nvrtc->nvrtcGetCUBIN(program, image) : nvrtc->nvrtcGetPTX(program, image);
    if (result != NVRTC_SUCCESS) {
        status = complain(device, result, program, err);
        goto cleanup;
    }
    enter(device);
    CUresult loaded = device->cuda.cuModuleLoadData(&device->module, image);
    if (loaded != CUDA_SUCCESS) status = refuse(device, loaded, err, "loading the kernels compiled by ", target);
    if (leave(device, status == CLLM_OK ? err : NULL) != CLLM_OK) status = CLLM_ERR_DEVICE;

cleanup:
    if (program) nvrtc->nvrtcDestroyProgram(&program);
    free(image);
    return status;
}

static cllm_status cuda_kernel(gpu_device *device, const char *name, gpu_kernel **out, cllm_error *err) {
    gpu_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel) return error_set(err, CLLM_ERR_MEMORY, "no memory for the kernel %s", name);
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    int most_threads = 0;
    enter(device);
    CUresult result = device->cuda.cuModuleGetFunction(&kernel->function, device->module, name);
    if (result == CUDA_SUCCESS)
        result =
            device->cuda.cuFuncGetAttribute(&most_threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kernel->function);
    cllm_status status = leave(device, err);
    if (status == CLLM_OK && result != CUDA_SUCCESS) status = refuse(device, result, err, "the kernel ", name);
    if (status == CLLM_OK && most_threads < GPU_GROUP)
        status = error_set(err, CLLM_ERR_DEVICE,
                           "CUDA: this device runs at most %d threads of the kernel %s in a group, where %d are needed",
                           most_threads, name, GPU_GROUP);
    if (status != CLLM_OK) {
        free(kernel);
        return status;
    }
    kernel->next = device->kernels;
    device->kernels = kernel;
    *out = kernel;
    return CLLM_OK;
}

/* ---------------------------------------------------------------------------------------------------- opening */

/* A library stays once it is loaded: NVIDIA's are not made to be unloaded. */
static bool find(void *library, const char *symbol, void *function) {
    void *address = dlsym(library, symbol);
    memcpy(function, &address, sizeof address);
    return address;
}

#define FIND(type, name, symbol, parameters) \
    if (!missing && !find(library, #symbol, &api->name)) missing = #symbol;

static cllm_status load_cuda(gpu_device *device, cllm_error *err) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library)
        return error_set(err, CLLM_ERR_DEVICE,
                         "no CUDA here: libcuda.so.1, the NVIDIA driver's library, is missing: install the NVIDIA "
                         "driver (Debian: libcuda1)");
    cuda_api *api = &device->cuda;
    const char *missing = NULL;
    CUDA_FUNCTIONS(FIND)
    if (missing)
        return error_set(err, CLLM_ERR_DEVICE, "libcuda.so.1 lacks %s: install a newer NVIDIA driver", missing);
    CUDA_GRAPH_FUNCTIONS(FIND)
    device->has_graphs = !missing;
    return CLLM_OK;
}

/* The NVRTC of the driver's own version, as the driver may not load what a newer one makes; else of any older one; else
 * whatever there is. */
static void *open_nvrtc(const gpu_device *device) {
    int version = 0;
    device->cuda.cuDriverGetVersion(&version);
    void *library = NULL;
    for (int major = version / 1000; major >= 12 && !library; major--) {
        char name[32];
        snprintf(name, sizeof name, "libnvrtc.so.%d", major);
        library = dlopen(name, RTLD_NOW);
    }
    const char *const others[] = {"libnvrtc.so.11.2", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"};
    for (size_t i = 0; i < sizeof others / sizeof *others && !library; i++) library = dlopen(others[i], RTLD_NOW);
    return library;
}

static cllm_status load_nvrtc(gpu_device *device, cllm_error *err) {
    void *library = open_nvrtc(device);
    if (!library)
        return error_set(err, CLLM_ERR_DEVICE,
                         "libnvrtc, which compiles the kernels for CUDA, is missing: install the CUDA toolkit's NVRTC "
                         "(Debian: libnvrtc11.2 or libnvrtc12)");
    nvrtc_api *api = &device->nvrtc;
    const char *missing = NULL;
    NVRTC_FUNCTIONS(FIND)
    if (missing)
        return error_set(err, CLLM_ERR_DEVICE, "libnvrtc lacks %s: install the NVRTC of CUDA 11.2 or newer", missing);
    return CLLM_OK;
}

/* The first device, or the one that the environment variable CLLM_CUDA_DEVICE names by its number. */
static cllm_status choose_device(gpu_device *device, gpu_properties *properties, cllm_error *err) {
    const cuda_api *cuda = &device->cuda;
    int n_devices = 0, major = 0, minor = 0;
    CUresult result = cuda->cuInit(0);
    if (result == CUDA_SUCCESS) result = cuda->cuDeviceGetCount(&n_devices);
    if (result == CUDA_ERROR_NO_DEVICE || (result == CUDA_SUCCESS && n_devices == 0))
        return error_set(err, CLLM_ERR_DEVICE, "no CUDA device: the NVIDIA driver is installed, but finds no GPU");
    if (result != CUDA_SUCCESS) return refuse(device, result, err, "starting the NVIDIA driver", "");

    const char *wanted = getenv("CLLM_CUDA_DEVICE");
    if (!wanted || !*wanted) wanted = "0";
    char *end = NULL;
    long number = strtol(wanted, &end, 10);
    if (*end || *wanted < '0' || *wanted > '9' || number >= n_devices)
        return error_set(err, CLLM_ERR_DEVICE, "CLLM_CUDA_DEVICE=%s is no CUDA device: there %s %d, counted from 0",
                         wanted, n_devices == 1 ? "is" : "are", n_devices);

    result = cuda->cuDeviceGet(&device->ordinal, (int)number);
    if (result == CUDA_SUCCESS)
        result = cuda->cuDeviceGetName(properties->name, sizeof properties->name, device->ordinal);
    if (result == CUDA_SUCCESS)
        result = cuda->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device->ordinal);
    if (result == CUDA_SUCCESS)
        result = cuda->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device->ordinal);
    if (result != CUDA_SUCCESS) return refuse(device, result, err, "asking for the device", "");
    device->architecture = 10 * major + minor;
    return CLLM_OK;
}

static void cuda_close(gpu_device *device) {
    if (!device) return;
    const cuda_api *cuda = &device->cuda;
    if (device->context) {
        enter(device);
        if (device->stream) finish(device);
        for (size_t i = 0; i < REMEMBERED; i++) forget(device, &device->lists[i]);
        if (device->module) cuda->cuModuleUnload(device->module);
        if (device->stage) cuda->cuMemFreeHost(device->stage);
        if (device->stream) cuda->cuStreamDestroy(device->stream);
        leave(device, NULL);
        cuda->cuDevicePrimaryCtxRelease(device->ordinal);
    }
    for (gpu_kernel *kernel = device->kernels, *next; kernel; kernel = next) {
        next = kernel->next;
        free(kernel);
    }
    for (size_t i = 0; i < REMEMBERED; i++) free(device->lists[i].launches);
    free(device->launches);
    free(device);
}

static cllm_status make_context(gpu_device *device, gpu_properties *properties, cllm_error *err) {
    const cuda_api *cuda = &device->cuda;
    /* the primary one, which others in this process that use CUDA share */
    CUresult result = cuda->cuDevicePrimaryCtxRetain(&device->context, device->ordinal);
    if (result != CUDA_SUCCESS) {
        device->context = NULL;
        return refuse(device, result, err, "making a context on ", properties->name);
    }
    enter(device);
    size_t n_free = 0, n_total = 0;
    worked(device, cuda->cuMemGetInfo(&n_free, &n_total), "asking for free memory", "");
    worked(device, cuda->cuStreamCreate(&device->stream, CU_STREAM_NON_BLOCKING), "making a stream", "");
    worked(device, cuda->cuMemAllocHost((void **)&device->stage, STAGE_BYTES), "allocating page-locked memory", "");
    properties->free_memory = n_free;
    properties->largest_buffer = n_total; /* no limit of its own */
    properties->is_gpu = true;
    properties->simd = true;
    properties->matrices = device->architecture >= 80;
    return leave(device, err);
}

static cllm_status cuda_open(gpu_device **out, gpu_properties *properties, cllm_error *err) {
    gpu_device *device = calloc(1, sizeof *device);
    bool has_memory = device;
    if (device) {
        device->launches = calloc(MOST_LAUNCHES, sizeof(launch));
        has_memory = device->launches;
        for (size_t i = 0; i < REMEMBERED; i++) {
            device->lists[i].launches = calloc(MOST_LAUNCHES, sizeof(launch));
            has_memory = has_memory && device->lists[i].launches;
        }
    }
    cllm_status status = CLLM_OK;
    if (!has_memory) status = error_set(err, CLLM_ERR_MEMORY, "no memory for recording launches");
    memset(properties, 0, sizeof *properties);
    if (status == CLLM_OK) status = load_cuda(device, err);
    if (status == CLLM_OK) status = choose_device(device, properties, err);
    if (status == CLLM_OK) status = load_nvrtc(device, err);
    if (status == CLLM_OK) status = make_context(device, properties, err);
    if (status == CLLM_OK)
        *out = device;
    else
        cuda_close(device);
    return status;
}

const gpu_driver gpu_driver_cuda = {
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .compile = cuda_compile,
    .kernel = cuda_kernel,
    .allocate = cuda_allocate,
    .wrap = cuda_wrap,
    .release = cuda_release,
    .write = cuda_write,
    .read = cuda_read,
    .launch = cuda_launch,
    .submit = cuda_submit,
    .sync = cuda_sync,
};
