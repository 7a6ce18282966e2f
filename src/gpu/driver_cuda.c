/* The driver for NVIDIA's GPUs. It uses the CUDA Driver API, and NVRTC to compile the kernel text for the device. Both
 * libraries are found at run time; without them, open says what to install.
 *
 * Launches are recorded in a list. A list that is submitted a second time becomes a CUDA graph, which the host launches
 * with one call instead of hundreds. Every step of decoding is such a list: only the contents of buffers change.
 *
 * Before: forward_gpu.c, through the table in driver.h. After: cuda_api.h and the libraries. Source: NVIDIA's "CUDA
 * Driver API" and "NVRTC" manuals. */
#include "gpu/cuda_api.h"
#include "gpu/driver_common.h"

#include <dlfcn.h>

enum {
    MOST_LAUNCHES = 2048, /* of a list; a list that is full is submitted early */
    MOST_ARGS = 256,
    REMEMBERED = 4, /* lists that are remembered: a step may consist of several */
    MOST_ARCHITECTURES = 256,
};

/* Unused bytes are 0, so that memcmp can compare two launches. */
typedef struct launch {
    const gpu_kernel *kernel;
    CUdeviceptr buffers[GPU_MOST_BUFFERS];
    _Alignas(8) unsigned char args[MOST_ARGS];
    uint32_t groups[3];
    uint32_t n_buffers;
} launch;

typedef struct launch_list {
    launch launches[MOST_LAUNCHES];
    size_t n;
    CUgraphExec graph; /* NULL: it has not been submitted twice yet, or the driver cannot make a graph */
} launch_list;

struct gpu_device {
    cuda_api cuda;
    CUdevice ordinal;
    int architecture; /* 90: compute capability 9.0 */
    CUcontext context;
    bool entered; /* the context is the thread's current one */
    CUstream stream;
    CUmodule module;
    gpu_kernel *kernels;
    cllm_error failure; /* the first, or CLLM_OK */
    bool has_graphs;
    launch_list storage[REMEMBERED + 1];
    launch_list *lists[REMEMBERED + 1]; /* [0] is being recorded; the others are remembered, the last used one first */
};

/* A gpu_buffer pointer is the address on the device; there is no struct behind it. */
static CUdeviceptr address_of(const gpu_buffer *buffer) { return (CUdeviceptr)(uintptr_t)buffer; }

/* True if a call succeeded. The device's first failure is kept: all later calls return it. */
static bool worked(gpu_device *device, CUresult result, const char *what, const char *which) {
    const char *name = NULL, *description = NULL;
    if (result == CUDA_SUCCESS || device->failure.status) return result == CUDA_SUCCESS;
    device->cuda.cuGetErrorName(result, &name);
    device->cuda.cuGetErrorString(result, &description);
    error_set(&device->failure, CLLM_ERR_DEVICE, "CUDA: %s%s: %s (%s)", what, which, name ? name : "an unknown error",
              description ? description : "which the driver does not describe");
    return false;
}
#define TRY(what, which, call) worked(device, device->cuda.call, what, which)

/* Calls act on the thread's current context. The caller may have one of its own, so leave() restores it. */
static void enter(gpu_device *device) {
    device->entered = TRY("entering the context", "", cuCtxPushCurrent(device->context));
}

/* Restore the caller's context. Returns the device's first failure, if there was one. */
static cllm_status leave(gpu_device *device, cllm_error *err) {
    CUcontext left;
    if (device->entered) TRY("leaving the context", "", cuCtxPopCurrent(&left));
    device->entered = false;
    return returned(&device->failure, err);
}

/* -------------------------------------------------------------------------------------------------- launching */

static CUresult launch_now(gpu_device *device, launch *l) {
    void *parameters[GPU_MOST_BUFFERS + 2] = {0};
    for (uint32_t i = 0; i < l->n_buffers; i++) parameters[i] = &l->buffers[i];
    parameters[l->n_buffers] = l->args;
    return device->cuda.cuLaunchKernel(l->kernel->handle, l->groups[0], l->groups[1], l->groups[2], GPU_GROUP, 1, 1, 0,
                                       device->stream, parameters, NULL);
}

/* Make a graph of the launches. NULL: the driver cannot. Then they are launched one by one, so that an error in one of
 * them is reported. */
static CUgraphExec make_graph(gpu_device *device, launch_list *list) {
    const cuda_api *cuda = &device->cuda;
    CUgraph graph = NULL;
    CUgraphExec executable = NULL;
    /* other threads may allocate at the same time: only the mode for one thread allows it */
    CUresult result = cuda->cuStreamBeginCapture(device->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    for (size_t i = 0; i < list->n && result == CUDA_SUCCESS; i++) result = launch_now(device, &list->launches[i]);
    CUresult end = cuda->cuStreamEndCapture(device->stream, &graph);
    if (result == CUDA_SUCCESS) result = end;
    if (result == CUDA_SUCCESS) result = cuda->cuGraphInstantiateWithFlags(&executable, graph, 0);
    if (graph) cuda->cuGraphDestroy(graph);
    device->has_graphs = result == CUDA_SUCCESS;
    return device->has_graphs ? executable : NULL;
}

static void destroy_graph(gpu_device *device, launch_list *list) {
    if (!list->graph) return;
    TRY("waiting for the device", "", cuStreamSynchronize(device->stream));
    device->cuda.cuGraphExecDestroy(list->graph);
    list->graph = NULL;
}

static bool is_same(const launch_list *a, const launch_list *b) {
    return a->n == b->n && memcmp(a->launches, b->launches, a->n * sizeof(launch)) == 0;
}

/* Look for the recorded list among the remembered ones. If it is there, the remembered one is returned, with a graph if
 * the driver can make one. Otherwise the recorded list replaces the least recently used one, and is returned. */
static launch_list *remember(gpu_device *device) {
    launch_list **lists = device->lists, *recorded = lists[0];
    size_t i = 1;
    while (i < REMEMBERED && !is_same(lists[i], recorded)) i++;
    launch_list *found = lists[i];
    memmove(&lists[2], &lists[1], (i - 1) * sizeof *lists);
    lists[1] = found;
    if (is_same(found, recorded)) {
        if (!found->graph) found->graph = make_graph(device, found);
        return found;
    }
    destroy_graph(device, found);
    lists[0] = found;
    return lists[1] = recorded;
}

/* Give the recorded launches to the device. Returns false if something has failed. */
static bool flush(gpu_device *device) {
    launch_list *list = device->lists[0];
    if (device->failure.status) list->n = 0;
    if (list->n > 1 && device->has_graphs) list = remember(device);
    if (list->graph)
        TRY("launching a graph", "", cuGraphLaunch(list->graph, device->stream));
    else
        for (launch *l = list->launches; l < list->launches + list->n && !device->failure.status; l++)
            worked(device, launch_now(device, l), "launching ", l->kernel->name);
    device->lists[0]->n = 0;
    return !device->failure.status;
}

static void finish(gpu_device *device) {
    flush(device);
    TRY("waiting for the device", "", cuStreamSynchronize(device->stream));
}

static cllm_status cuda_submit(gpu_device *device, cllm_error *err) {
    enter(device);
    flush(device);
    return leave(device, err);
}

static void cuda_launch(gpu_device *device, gpu_kernel *kernel, const uint32_t groups[3], gpu_buffer *const *buffers,
                        size_t n_buffers, const void *args, size_t args_bytes) {
    if (device->lists[0]->n == MOST_LAUNCHES) cuda_submit(device, NULL);
    launch_list *list = device->lists[0];
    launch *l = memset(&list->launches[list->n++], 0, sizeof *l);
    l->kernel = kernel;
    l->n_buffers = (uint32_t)n_buffers;
    for (size_t i = 0; i < n_buffers; i++) l->buffers[i] = address_of(buffers[i]);
    memcpy(l->groups, groups, sizeof l->groups);
    memcpy(l->args, args, args_bytes);
}

static cllm_status cuda_sync(gpu_device *device, cllm_error *err) {
    enter(device);
    finish(device);
    return leave(device, err);
}

static void cuda_release(gpu_device *device, gpu_buffer *buffer) {
    if (!buffer) return;
    enter(device);
    finish(device); /* the device may still be clearing or filling the buffer */
    TRY("releasing a buffer", "", cuMemFree(address_of(buffer)));
    leave(device, NULL);
}

/* Make a buffer of these bytes, which must stay until they are copied. bytes NULL: zeros. */
static cllm_status make_buffer(gpu_device *device, const void *bytes, uint64_t n_bytes, gpu_buffer **out,
                               cllm_error *err) {
    const cllm_error before = device->failure;
    const size_t n = (size_t)n_bytes;
    CUdeviceptr address = 0;
    char size[32];
    snprintf(size, sizeof size, "%zu bytes", n);
    enter(device);
    const bool is_there = TRY("allocating ", size, cuMemAlloc(&address, n));
    if (is_there && bytes)
        TRY("copying to the device", "", cuMemcpyHtoDAsync(address, bytes, n, device->stream));
    else if (is_there)
        TRY("clearing a buffer", "", cuMemsetD8Async(address, 0, n, device->stream));
    *out = (gpu_buffer *)(uintptr_t)address;
    cllm_status status = leave(device, err);
    device->failure = before; /* not kept: a smaller buffer may succeed */
    if (status == CLLM_OK) return CLLM_OK;
    cuda_release(device, *out);
    *out = NULL;
    return status;
}

static cllm_status cuda_allocate(gpu_device *device, uint64_t n_bytes, gpu_buffer **out, cllm_error *err) {
    return make_buffer(device, NULL, n_bytes, out, err);
}

/* Always a copy: a GPU behind a bus reads its own memory many times faster than the host's. */
static cllm_status cuda_wrap(gpu_device *device, const void *bytes, uint64_t n_bytes, gpu_buffer **out,
                             uint32_t *offset, cllm_error *err) {
    *offset = 0;
    return make_buffer(device, bytes, n_bytes, out, err);
}

static cllm_status cuda_write(gpu_device *device, gpu_buffer *buffer, const void *bytes, size_t n, cllm_error *err) {
    enter(device);
    if (flush(device))
        TRY("copying to the device", "", cuMemcpyHtoDAsync(address_of(buffer), bytes, n, device->stream));
    finish(device); /* the caller may change the bytes after this */
    return leave(device, err);
}

static cllm_status cuda_read(gpu_device *device, gpu_buffer *buffer, void *bytes, size_t n, cllm_error *err) {
    enter(device);
    if (flush(device))
        TRY("copying from the device", "", cuMemcpyDtoHAsync(bytes, address_of(buffer), n, device->stream));
    finish(device);
    return leave(device, err);
}

/* -------------------------------------------------------------------------------------------------- compiling */

static cllm_status complain(const cuda_api *cuda, nvrtcResult result, nvrtcProgram program, cllm_error *err) {
    size_t n_bytes = 0;
    if (program) cuda->nvrtcGetProgramLogSize(program, &n_bytes);
    char *log = calloc(1, n_bytes + 1);
    if (log && n_bytes) cuda->nvrtcGetProgramLog(program, log);
    const char *said = log && *log ? log : "it does not say why", *what = cuda->nvrtcGetErrorString(result);
    const int length = first_complaint(&said);
    DEVICE_ERROR("CUDA: NVRTC cannot compile the kernels: %s: %.*s", what, length, said);
    free(log);
    return CLLM_ERR_DEVICE;
}

/* The architecture to compile for: the device's own if NVRTC knows it, otherwise the newest older one that it knows. 0:
 * there is none. */
static int choose_architecture(const gpu_device *device) {
    int n = 0, known[MOST_ARCHITECTURES], newest = 0;
    if (device->cuda.nvrtcGetNumSupportedArchs(&n) != NVRTC_SUCCESS || n > MOST_ARCHITECTURES ||
        device->cuda.nvrtcGetSupportedArchs(known) != NVRTC_SUCCESS)
        return 0;
    for (int i = 0; i < n; i++)
        if (known[i] <= device->architecture && known[i] > newest) newest = known[i];
    return newest;
}

static cllm_status cuda_compile(gpu_device *device, const char *text, cllm_error *err) {
    const cuda_api *cuda = &device->cuda;
    int architecture = choose_architecture(device), major = 0, minor = 0;
    cuda->nvrtcVersion(&major, &minor);
    if (!architecture)
        return DEVICE_ERROR("CUDA: NVRTC %d.%d no longer compiles for this device, of compute capability %d.%d: "
                            "install the libnvrtc of an older CUDA toolkit",
                            major, minor, device->architecture / 10, device->architecture % 10);
    /* machine code for the device; if the device is newer than NVRTC: PTX, which the driver translates */
    const bool own = architecture == device->architecture;
    char target[48];
    snprintf(target, sizeof target, "--gpu-architecture=%s_%d", own ? "sm" : "compute", architecture);
    /* --fmad=false: no fused multiply-add where the text has none, so sums are the same on every device */
    const char *options[] = {target, "--std=c++17", "--fmad=false"};
    nvrtcProgram program = NULL;
    size_t n_bytes = 0;
    char *image = NULL;
    nvrtcResult result = cuda->nvrtcCreateProgram(&program, text, "kernels.cu", 0, NULL, NULL);
    if (result == NVRTC_SUCCESS) result = cuda->nvrtcCompileProgram(program, sizeof options / sizeof *options, options);
    if (result == NVRTC_SUCCESS)
        result = own ? cuda->nvrtcGetCUBINSize(program, &n_bytes) : cuda->nvrtcGetPTXSize(program, &n_bytes);
    if (result == NVRTC_SUCCESS) image = malloc(n_bytes);
    if (image) result = own ? cuda->nvrtcGetCUBIN(program, image) : cuda->nvrtcGetPTX(program, image);

    cllm_status status;
    if (result != NVRTC_SUCCESS) {
        status = complain(cuda, result, program, err);
    } else if (!image) {
        status = error_set(err, CLLM_ERR_MEMORY, "no memory for %zu bytes of compiled kernels", n_bytes);
    } else {
        enter(device);
        TRY("loading the kernels compiled by ", target, cuModuleLoadData(&device->module, image));
        status = leave(device, err);
    }
    if (program) cuda->nvrtcDestroyProgram(&program);
    free(image);
    return status;
}

static cllm_status cuda_kernel(gpu_device *device, const char *name, gpu_kernel **out, cllm_error *err) {
    const cllm_error before = device->failure;
    const CUfunction_attribute threads = CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK;
    CUfunction function = NULL;
    int most = 0;
    enter(device);
    if (TRY("the kernel ", name, cuModuleGetFunction(&function, device->module, name)))
        TRY("the kernel ", name, cuFuncGetAttribute(&most, threads, function));
    cllm_status status = leave(device, err);
    device->failure = before; /* not kept: other kernels may be there */
    return status == CLLM_OK ? add_kernel(&device->kernels, name, function, (size_t)most, out, err) : status;
}

/* ---------------------------------------------------------------------------------------------------- opening */

/* C cannot cast an object pointer to a function pointer, so the bytes are copied: POSIX says that they are the same. */
#define FIND(type, name, symbol, parameters)                     \
    if (!(address = dlsym(library, #symbol))) missing = #symbol; \
    memcpy(&cuda->name, &address, sizeof address);

/* A library stays loaded: NVIDIA's are not made to be unloaded. */
static cllm_status load_cuda(gpu_device *device, cllm_error *err) {
    cuda_api *cuda = &device->cuda;
    const char *missing = NULL;
    void *library = dlopen("libcuda.so.1", RTLD_NOW), *address;
    if (!library)
        return DEVICE_ERROR("no CUDA: libcuda.so.1, the NVIDIA driver's library, is missing: install the NVIDIA "
                            "driver (Debian: libcuda1)");
    CUDA_FUNCTIONS(FIND)
    if (missing) return DEVICE_ERROR("libcuda.so.1 lacks %s: install a newer NVIDIA driver", missing);
    CUDA_GRAPH_FUNCTIONS(FIND)
    device->has_graphs = !missing;
    return CLLM_OK;
}

/* Load the NVRTC of the driver's own version, because the driver may refuse what a newer one makes; if it is missing,
 * an older one; otherwise any. */
static cllm_status load_nvrtc(cuda_api *cuda, cllm_error *err) {
    const char *const others[] = {"libnvrtc.so.11.2", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"};
    const char *missing = NULL;
    void *library = NULL, *address;
    int version = 0;
    cuda->cuDriverGetVersion(&version);
    for (int major = version / 1000; major >= 12 && !library; major--) {
        char name[32];
        snprintf(name, sizeof name, "libnvrtc.so.%d", major);
        library = dlopen(name, RTLD_NOW);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others && !library; i++) library = dlopen(others[i], RTLD_NOW);
    if (!library)
        return DEVICE_ERROR("libnvrtc, which compiles the kernels for CUDA, is missing: install the CUDA toolkit's "
                            "NVRTC (Debian: libnvrtc11.2 or libnvrtc12)");
    NVRTC_FUNCTIONS(FIND)
    return missing ? DEVICE_ERROR("libnvrtc lacks %s: install the NVRTC of CUDA 11.2 or newer", missing) : CLLM_OK;
}

static cllm_status start_device(gpu_device *device, uint32_t index, gpu_properties *properties, cllm_error *err) {
    static const char asking[] = "asking for the device";
    const cuda_api *cuda = &device->cuda;
    int n_devices = 0, major = 0, minor = 0, *ordinal = &device->ordinal;
    size_t n_free = 0, n_total = 0;
    CUcontext context;
    CUresult result = cuda->cuInit(0);
    if (result == CUDA_SUCCESS) result = cuda->cuDeviceGetCount(&n_devices);
    if (result == CUDA_ERROR_NO_DEVICE || (result == CUDA_SUCCESS && n_devices == 0))
        return DEVICE_ERROR("no CUDA device: the NVIDIA driver is installed, but finds no GPU");
    if (!worked(device, result, "starting the NVIDIA driver", "")) return returned(&device->failure, err);
    cllm_status status = check_index(&gpu_driver_cuda, (size_t)n_devices, index, err);
    if (status != CLLM_OK) return status;

    TRY(asking, "", cuDeviceGet(ordinal, (int)index));
    TRY(asking, "", cuDeviceGetName(properties->name, sizeof properties->name, *ordinal));
    TRY(asking, "", cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, *ordinal));
    TRY(asking, "", cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, *ordinal));
    device->architecture = 10 * major + minor;
    /* the primary context, which everything in this process that uses CUDA shares */
    if (!TRY("making a context on ", properties->name, cuDevicePrimaryCtxRetain(&context, *ordinal)))
        return returned(&device->failure, err);
    device->context = context;
    enter(device);
    TRY("asking for free memory", "", cuMemGetInfo(&n_free, &n_total));
    TRY("making a stream", "", cuStreamCreate(&device->stream, CU_STREAM_NON_BLOCKING));
    properties->free_memory = n_free;
    properties->largest_buffer = n_total; /* CUDA has no limit for a single buffer */
    properties->is_gpu = properties->simd = true;
    properties->matrices = device->architecture >= 80;
    return leave(device, err);
}

static void cuda_close(gpu_device *device) {
    if (!device) return;
    if (device->context) {
        enter(device);
        if (device->stream) finish(device);
        for (size_t i = 0; i <= REMEMBERED; i++) destroy_graph(device, &device->storage[i]);
        if (device->module) device->cuda.cuModuleUnload(device->module);
        if (device->stream) device->cuda.cuStreamDestroy(device->stream);
        leave(device, NULL);
        device->cuda.cuDevicePrimaryCtxRelease(device->ordinal);
    }
    while (device->kernels) remove_kernel(&device->kernels); /* unloading the module has released their handles */
    free(device);
}

static cllm_status cuda_open(uint32_t index, gpu_device **out, gpu_properties *properties, cllm_error *err) {
    gpu_device *device = calloc(1, sizeof *device);
    if (!device) return error_set(err, CLLM_ERR_MEMORY, "no memory for recording launches");
    for (size_t i = 0; i <= REMEMBERED; i++) device->lists[i] = &device->storage[i];
    memset(properties, 0, sizeof *properties);
    cllm_status status = load_cuda(device, err);
    if (status == CLLM_OK) status = start_device(device, index, properties, err);
    if (status == CLLM_OK) status = load_nvrtc(&device->cuda, err);
    if (status != CLLM_OK) cuda_close(device);
    *out = status == CLLM_OK ? device : NULL;
    return status;
}

/* In the order of driver.h. */
const gpu_driver gpu_driver_cuda = {"cuda",        cuda_open,   cuda_close,   cuda_compile, cuda_kernel,
                                    cuda_allocate, cuda_wrap,   cuda_release, cuda_write,   cuda_read,
                                    cuda_launch,   cuda_submit, cuda_sync};
