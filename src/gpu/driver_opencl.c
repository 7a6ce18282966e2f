/* The driver for OpenCL 1.2: GPUs of every maker, and CPUs through PoCL. Before: forward_gpu.c, through the table in
 * driver.h. After: the OpenCL loader (opencl_api.h), found at run time.
 *
 * The devices of all platforms are one list, in which they are counted: first GPUs, then accelerators, then CPUs, each
 * in the order in which OpenCL lists them. */
#include "base/checked.h"
#include "gpu/driver_common.h"
#include "gpu/opencl_api.h"

#include <dlfcn.h>

enum { MOST_PLATFORMS = 16, MOST_DEVICES = 32 };

struct gpu_device {
    opencl_api cl;
    cl_device id;
    cl_context context;
    cl_queue queue;
    cl_program program;
    gpu_kernel *kernels;
    cllm_error failure; /* the first; status CLLM_OK: none so far */
};

/* The name of an error that a device may cause. All others mean that OpenCL is used wrongly. */
static const char *error_name(cl_int code) {
    static const char *const names[] = {
        [2] = "CL_DEVICE_NOT_AVAILABLE", [3] = "CL_COMPILER_NOT_AVAILABLE", [4] = "CL_MEM_OBJECT_ALLOCATION_FAILURE",
        [5] = "CL_OUT_OF_RESOURCES",     [6] = "CL_OUT_OF_HOST_MEMORY",     [11] = "CL_BUILD_PROGRAM_FAILURE"};
    return code <= 0 && code >= -11 && names[-code] ? names[-code] : "an unknown error";
}

static cllm_status refuse(cl_int code, cllm_error *err, const char *action, const char *object) {
    return DEVICE_ERROR("OpenCL failed to %s%s: %s (%d)", action, object, error_name(code), (int)code);
}

/* Keep the device's first error, after which nothing more is done on it, and return it. */
static cllm_status done(gpu_device *device, cl_int code, const char *action, const char *object, cllm_error *err) {
    if (code != CL_SUCCESS && !device->failure.status) refuse(code, &device->failure, action, object);
    return returned(&device->failure, err);
}

/* The loader stays loaded: the drivers that it loads have threads and exit handlers, which run even after the last
 * call. */
static cllm_status open_loader(opencl_api *cl, cllm_error *err) {
    const char *missing = NULL;
#if defined(__APPLE__)
    void *library = dlopen("/System/Library/Frameworks/OpenCL.framework/OpenCL", RTLD_NOW), *symbol;
#else
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW), *symbol;
    if (!library) library = dlopen("libOpenCL.so", RTLD_NOW);
#endif
    if (!library)
        return DEVICE_ERROR("no OpenCL: install an OpenCL driver, such as ocl-icd-libopencl1 with "
                            "pocl-opencl-icd or your GPU's");
        /* C cannot cast an object pointer to a function pointer, so the bytes are copied, as POSIX allows */
#define CL_FIND(result, name, parameters)                             \
    if (!(symbol = dlsym(library, "cl" #name))) missing = "cl" #name; \
    memcpy(&cl->name, &symbol, sizeof symbol);
    CL_FUNCTIONS(CL_FIND)
    if (missing) return DEVICE_ERROR("the OpenCL library lacks %s: install a loader of OpenCL 1.2 or newer", missing);
    return CLLM_OK;
}

/* Ask the device about itself. The answer is a text, or a number of 4 or 8 bytes (hosts are little-endian); zeros if it
 * has none. */
static void ask(const opencl_api *cl, cl_device id, cl_uint what, size_t size, void *answer) {
    memset(answer, 0, size);
    if (cl->GetDeviceInfo(id, what, size, answer, NULL) != CL_SUCCESS) memset(answer, 0, size);
}

static uint64_t number_of(const opencl_api *cl, cl_device id, cl_uint what) {
    uint64_t number;
    ask(cl, id, what, sizeof number, &number);
    return number;
}

static bool usable(const opencl_api *cl, cl_device id) {
    char version[256];
    unsigned major = 0, minor = 0;
    ask(cl, id, CL_DEVICE_VERSION, sizeof version, version);
    return sscanf(version, "OpenCL %u.%u", &major, &minor) == 2 && 10 * major + minor >= 12 &&
           number_of(cl, id, CL_DEVICE_AVAILABLE) && number_of(cl, id, CL_DEVICE_COMPILER_AVAILABLE) &&
           number_of(cl, id, CL_DEVICE_ENDIAN_LITTLE);
}

/* The usable devices of all platforms, best first. Returns how many. */
static size_t list_devices(const opencl_api *cl, cl_device devices[MOST_DEVICES]) {
    static const cl_options types[] = {CL_TYPE_GPU, CL_TYPE_ACCELERATOR, CL_TYPE_CPU};
    cl_platform platforms[MOST_PLATFORMS];
    cl_uint n_platforms = 0, n_found;
    size_t n = 0;
    if (cl->GetPlatformIDs(MOST_PLATFORMS, platforms, &n_platforms) != CL_SUCCESS) return 0;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (cl_uint p = 0; p < n_platforms && p < MOST_PLATFORMS; p++) {
            cl_device found[MOST_DEVICES];
            if (cl->GetDeviceIDs(platforms[p], types[t], MOST_DEVICES, found, &n_found) != CL_SUCCESS) continue;
            for (cl_uint i = 0; i < n_found && i < MOST_DEVICES && n < MOST_DEVICES; i++)
                if (usable(cl, found[i])) devices[n++] = found[i];
        }
    return n;
}

static void close_device(gpu_device *device) {
    if (!device) return;
    const opencl_api *cl = &device->cl;
    if (device->queue) cl->Finish(device->queue);
    while (device->kernels) cl->ReleaseKernel(remove_kernel(&device->kernels));
    if (device->program) cl->ReleaseProgram(device->program);
    if (device->queue) cl->ReleaseCommandQueue(device->queue);
    if (device->context) cl->ReleaseContext(device->context);
    free(device);
}

static cllm_status start_device(gpu_device *device, uint32_t index, gpu_properties *properties, cllm_error *err) {
    const opencl_api *cl = &device->cl;
    cl_device devices[MOST_DEVICES];
    const size_t n_devices = list_devices(cl, devices);
    cl_int code = CL_SUCCESS;
    if (n_devices == 0)
        return DEVICE_ERROR("OpenCL finds no free device that compiles OpenCL C 1.2: install a "
                            "driver, such as pocl-opencl-icd or your GPU's");
    cllm_status status = check_index(&gpu_driver_opencl, n_devices, index, err);
    if (status != CLLM_OK) return status;
    const cl_device id = device->id = devices[index];
    properties->free_memory = number_of(cl, id, CL_DEVICE_GLOBAL_MEM_SIZE);
    properties->largest_buffer = number_of(cl, id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    properties->is_gpu = number_of(cl, id, CL_DEVICE_TYPE) & CL_TYPE_GPU;
    char name[256];
    ask(cl, id, CL_DEVICE_NAME, sizeof name, name);
    snprintf(properties->name, sizeof properties->name, "%.*s", (int)sizeof properties->name - 1, name);
    device->context = cl->CreateContext(NULL, 1, &id, NULL, NULL, &code);
    if (device->context) device->queue = cl->CreateCommandQueue(device->context, id, 0, &code);
    return done(device, code, "begin to use ", properties->name, err);
}

static cllm_status open_device(uint32_t index, gpu_device **out, gpu_properties *properties, cllm_error *err) {
    gpu_device *device = calloc(1, sizeof *device);
    if (!device) return error_set(err, CLLM_ERR_MEMORY, "no memory for an OpenCL device");
    memset(properties, 0, sizeof *properties);
    cllm_status status = open_loader(&device->cl, err);
    if (status == CLLM_OK) status = start_device(device, index, properties, err);
    if (status != CLLM_OK) close_device(device);
    *out = status == CLLM_OK ? device : NULL;
    return status;
}

static cllm_status compile(gpu_device *device, const char *text, cllm_error *err) {
    const opencl_api *cl = &device->cl;
    const bool rounds = number_of(cl, device->id, CL_DEVICE_SINGLE_FP_CONFIG) & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;
    /* none of these options lets the compiler fuse, reorder or flush anything */
    const char *options = rounds ? "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt" : "-cl-std=CL1.2";
    size_t size = 0;
    cl_int code = CL_SUCCESS;
    device->program = cl->CreateProgramWithSource(device->context, 1, &text, NULL, &code);
    if (!device->program) return refuse(code, err, "load the kernels", "");
    code = cl->BuildProgram(device->program, 1, &device->id, options, NULL, NULL);
    if (code == CL_SUCCESS) return CLLM_OK;
    cl->GetProgramBuildInfo(device->program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    char *log = calloc(size + 1, 1);
    if (log) cl->GetProgramBuildInfo(device->program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    const char *said = log ? log : "";
    const int length = first_complaint(&said);
    DEVICE_ERROR("OpenCL cannot compile the kernels, %s (%d): %.*s", error_name(code), (int)code, length, said);
    free(log);
    return CLLM_ERR_DEVICE;
}

static cllm_status find_kernel(gpu_device *device, const char *name, gpu_kernel **out, cllm_error *err) {
    const opencl_api *cl = &device->cl;
    cl_int code = CL_SUCCESS;
    size_t most = 0;
    cl_kernel kernel = cl->CreateKernel(device->program, name, &code);
    if (kernel)
        code = cl->GetKernelWorkGroupInfo(kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
    cllm_status status = code == CL_SUCCESS ? add_kernel(&device->kernels, name, kernel, most, out, err)
                                            : refuse(code, err, "find the kernel ", name);
    if (status != CLLM_OK && kernel) cl->ReleaseKernel(kernel);
    return status;
}

/* out: NULL if it fails. */
static cl_int make_buffer(gpu_device *device, cl_options flags, uint64_t n_bytes, const void *host, gpu_buffer **out) {
    cl_int code = CL_INVALID_BUFFER_SIZE;
    *out = NULL;
    if (n_bytes > SIZE_MAX) return code;
    *out = device->cl.CreateBuffer(device->context, flags, (size_t)n_bytes, (void *)host, &code);
    return code;
}

static void release(gpu_device *device, gpu_buffer *buffer) {
    if (buffer) device->cl.ReleaseMemObject(buffer);
}

static cllm_status no_memory(uint64_t n_bytes, cl_int code, cllm_error *err) {
    return DEVICE_ERROR("the OpenCL device has no %.1f MiB left for a buffer: %s (%d)", (double)n_bytes / (1 << 20),
                        error_name(code), (int)code);
}

static cllm_status allocate(gpu_device *device, uint64_t n_bytes, gpu_buffer **out, cllm_error *err) {
    static const char zeros[128] = {0}; /* the longest pattern that OpenCL allows, which fills fastest */
    uint64_t filled;
    if (!checked_round_up(n_bytes, sizeof zeros, &filled)) filled = UINT64_MAX;
    cl_int code = make_buffer(device, CL_MEM_READ_WRITE, filled, NULL, out);
    if (code == CL_SUCCESS)
        code = device->cl.EnqueueFillBuffer(device->queue, *out, zeros, sizeof zeros, 0, (size_t)filled, 0, NULL, NULL);
    if (code == CL_SUCCESS) return CLLM_OK;
    release(device, *out);
    *out = NULL;
    return no_memory(n_bytes, code, err);
}

/* In place if the device shares the host's memory. The buffer is these bytes only, not whole pages: tensors of a file
 * share pages, and OpenCL does not define what happens if buffers overlap in the host's memory. */
static cllm_status wrap(gpu_device *device, const void *bytes, uint64_t n_bytes, gpu_buffer **out, uint32_t *offset,
                        cllm_error *err) {
    cl_int code = CL_INVALID_VALUE;
    *offset = 0;
    if (number_of(&device->cl, device->id, CL_DEVICE_HOST_UNIFIED_MEMORY))
        code = make_buffer(device, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, n_bytes, bytes, out);
    if (code != CL_SUCCESS) code = make_buffer(device, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, n_bytes, bytes, out);
    return code == CL_SUCCESS ? CLLM_OK : no_memory(n_bytes, code, err);
}

static cllm_status write_buffer(gpu_device *device, gpu_buffer *buffer, const void *bytes, size_t n, cllm_error *err) {
    cl_int code = CL_SUCCESS;
    if (!device->failure.status && n > 0)
        code = device->cl.EnqueueWriteBuffer(device->queue, buffer, true, 0, n, bytes, 0, NULL, NULL);
    return done(device, code, "write a buffer", "", err);
}

static cllm_status read_buffer(gpu_device *device, gpu_buffer *buffer, void *bytes, size_t n, cllm_error *err) {
    cl_int code = CL_SUCCESS;
    if (!device->failure.status && n > 0)
        code = device->cl.EnqueueReadBuffer(device->queue, buffer, true, 0, n, bytes, 0, NULL, NULL);
    return done(device, code, "read a buffer", "", err);
}

static void launch(gpu_device *device, gpu_kernel *kernel, const uint32_t groups[3], gpu_buffer *const *buffers,
                   size_t n_buffers, const void *args, size_t args_bytes) {
    if (device->failure.status) return;
    const opencl_api *cl = &device->cl;
    const size_t threads[3] = {(size_t)groups[0] * GPU_GROUP, groups[1], groups[2]}, group[3] = {GPU_GROUP, 1, 1};
    cl_int code = CL_SUCCESS;
    for (cl_uint i = 0; i < n_buffers && code == CL_SUCCESS; i++)
        code = cl->SetKernelArg(kernel->handle, i, sizeof buffers[i], &buffers[i]);
    if (code == CL_SUCCESS) code = cl->SetKernelArg(kernel->handle, (cl_uint)n_buffers, args_bytes, args);
    if (code == CL_SUCCESS)
        code = cl->EnqueueNDRangeKernel(device->queue, kernel->handle, 3, NULL, threads, group, 0, NULL, NULL);
    done(device, code, "run the kernel ", kernel->name, NULL);
}

static cllm_status submit(gpu_device *device, cllm_error *err) {
    const cl_int code = device->failure.status ? CL_SUCCESS : device->cl.Flush(device->queue);
    return done(device, code, "start the queued kernels", "", err);
}

static cllm_status sync_device(gpu_device *device, cllm_error *err) {
    const cl_int code = device->failure.status ? CL_SUCCESS : device->cl.Finish(device->queue);
    return done(device, code, "finish the queued kernels", "", err);
}

/* In the order of driver.h. */
const gpu_driver gpu_driver_opencl = {"opencl", open_device,  close_device, compile, find_kernel, allocate,   wrap,
                                      release,  write_buffer, read_buffer,  launch,  submit,      sync_device};
