/* The driver for OpenCL 1.2: GPUs of every maker, and CPUs through PoCL.
 * Before: forward_gpu.c, through the table in driver.h. After: the OpenCL loader (opencl_api.h), found at run time.
 *
 * The device is the best of all platforms: GPUs go before accelerators, these before CPUs, and the first of equals
 * before the others. CLLM_OPENCL_DEVICE=1 in the environment takes the second of that list instead, 2 the third. */
#include "gpu/driver.h"

#include "base/checked.h"
#include "base/error.h"
#include "gpu/opencl_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PLATFORMS 16
#define MOST_DEVICES   32

struct gpu_device {
    opencl_api cl;
    cl_device id;
    cl_context context;
    cl_queue queue;
    cl_program program;
    gpu_kernel *kernels;
    bool reads_host_memory;
    bool rounds_division;
    cllm_error failure; /* the first; status CLLM_OK: none so far */
};

struct gpu_kernel {
    gpu_kernel *next;
    cl_kernel handle;
    char name[64];
};

/* A buffer needs no more than what the API has for it. */
static cl_memory memory_of(gpu_buffer *buffer) { return (cl_memory)(void *)buffer; }

/* -------------------------------------------------------------------------------------------------- errors */

static const char *error_name(cl_int code) {
    switch (code) {
#define CL_ERROR_NAME(name, number) \
    case CL_##name: return "CL_" #name;
        CL_ERRORS(CL_ERROR_NAME)
#undef CL_ERROR_NAME
    default: return "an error without a name here";
    }
}

/* Keep what went wrong: the first error of a device, for nothing is done on it after. */
static void note(gpu_device *device, cl_int code, const char *action, const char *object) {
    if (code == CL_SUCCESS) return;
    error_set(&device->failure, CLLM_ERR_DEVICE, "OpenCL failed to %s%s: %s (%d)", action, object, error_name(code),
              (int)code);
}

static bool failed(const gpu_device *device) { return device->failure.status != CLLM_OK; }

static cllm_status report(const gpu_device *device, cllm_error *err) {
    if (failed(device) && err) *err = device->failure;
    return device->failure.status;
}

/* ------------------------------------------------------------------------------------- finding the device */

/* The loader stays loaded: drivers behind it leave threads and exit handlers that outlive their use. */
static cllm_status open_loader(opencl_api *cl, cllm_error *err) {
#if defined(__APPLE__)
    static const char *const paths[] = {"/System/Library/Frameworks/OpenCL.framework/OpenCL"};
#else
    static const char *const paths[] = {"libOpenCL.so.1", "libOpenCL.so"};
#endif
    void *library = NULL;
    for (size_t i = 0; i < sizeof paths / sizeof *paths && !library; i++)
        library = dlopen(paths[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(err, CLLM_ERR_DEVICE,
                         "no OpenCL here: install an OpenCL driver, such as ocl-icd-libopencl1 with pocl-opencl-icd or "
                         "your GPU's");
    const char *missing = NULL;
    void *symbol;
    /* C has no cast from an object's pointer to a function's; POSIX has them alike */
#define CL_FIND(result, name, parameters)                             \
    if (!(symbol = dlsym(library, "cl" #name))) missing = "cl" #name; \
    memcpy(&cl->name, &symbol, sizeof symbol);
    CL_FUNCTIONS(CL_FIND)
#undef CL_FIND
    if (missing)
        return error_set(err, CLLM_ERR_DEVICE, "the OpenCL library lacks %s: install a loader of OpenCL 1.2 or newer",
                         missing);
    return CLLM_OK;
}

/* A number that the device tells of itself, or 0. All are 8 bytes or 4. */
static uint64_t device_number(const opencl_api *cl, cl_device id, cl_uint what) {
    union {
        uint64_t wide;
        uint32_t narrow;
    } value = {0};
    size_t size = 0;
    if (cl->GetDeviceInfo(id, what, sizeof value, &value, &size) != CL_SUCCESS) return 0;
    return size == sizeof value.narrow ? value.narrow : value.wide;
}

static void device_text(const opencl_api *cl, cl_device id, cl_uint what, char text[256]) {
    memset(text, 0, 256);
    if (cl->GetDeviceInfo(id, what, 255, text, NULL) != CL_SUCCESS) strcpy(text, "unknown");
}

static bool usable(const opencl_api *cl, cl_device id) {
    char version[256];
    unsigned major = 0, minor = 0;
    device_text(cl, id, CL_DEVICE_VERSION, version);
    return sscanf(version, "OpenCL %u.%u", &major, &minor) == 2 && (major > 1 || (major == 1 && minor >= 2)) &&
           device_number(cl, id, CL_DEVICE_AVAILABLE) && device_number(cl, id, CL_DEVICE_COMPILER_AVAILABLE) &&
           device_number(cl, id, CL_DEVICE_ENDIAN_LITTLE);
}

/* The usable devices of all platforms, best first. */
static cllm_status list_devices(const opencl_api *cl, cl_device devices[MOST_DEVICES], cl_uint *count,
                                cllm_error *err) {
    static const cl_options types[] = {CL_TYPE_GPU, CL_TYPE_ACCELERATOR, CL_TYPE_CPU};
    cl_platform platforms[MOST_PLATFORMS];
    cl_uint n_platforms = 0;
    *count = 0;
    cl_int code = cl->GetPlatformIDs(MOST_PLATFORMS, platforms, &n_platforms);
    if (code != CL_SUCCESS || n_platforms == 0)
        return error_set(err, CLLM_ERR_DEVICE,
                         "OpenCL has no platform here: install a driver, such as pocl-opencl-icd or your GPU's");
    if (n_platforms > MOST_PLATFORMS) n_platforms = MOST_PLATFORMS;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (cl_uint p = 0; p < n_platforms; p++) {
            cl_device found[MOST_DEVICES];
            cl_uint n_found = 0;
            if (cl->GetDeviceIDs(platforms[p], types[t], MOST_DEVICES, found, &n_found) != CL_SUCCESS) continue;
            for (cl_uint i = 0; i < n_found && i < MOST_DEVICES && *count < MOST_DEVICES; i++)
                if (usable(cl, found[i])) devices[(*count)++] = found[i];
        }
    if (*count == 0)
        return error_set(err, CLLM_ERR_DEVICE,
                         "OpenCL has no device here that compiles OpenCL C 1.2 and is free to use: install a driver, "
                         "such as pocl-opencl-icd or your GPU's");
    return CLLM_OK;
}

static cllm_status choose_device(const opencl_api *cl, cl_device *chosen, cllm_error *err) {
    cl_device devices[MOST_DEVICES];
    cl_uint count;
    cllm_status status = list_devices(cl, devices, &count, err);
    if (status != CLLM_OK) return status;
    const char *wish = getenv("CLLM_OPENCL_DEVICE");
    size_t number = 0;
    if (wish && *wish) {
        /* one digit or two: no number of a device is longer */
        bool valid = strspn(wish, "0123456789") == strlen(wish) && strlen(wish) <= 2;
        number = valid ? (size_t)atoi(wish) : MOST_DEVICES;
        if (number >= count)
            return error_set(err, CLLM_ERR_DEVICE,
                             "CLLM_OPENCL_DEVICE=%.32s is no device of OpenCL here: the last one is %u, the best one 0",
                             wish, (unsigned)count - 1);
    }
    *chosen = devices[number];
    return CLLM_OK;
}

static void describe(const gpu_device *device, gpu_properties *properties) {
    const opencl_api *cl = &device->cl;
    char name[256];
    device_text(cl, device->id, CL_DEVICE_NAME, name);
    *properties = (gpu_properties){
        .free_memory = device_number(cl, device->id, CL_DEVICE_GLOBAL_MEM_SIZE),
        .largest_buffer = device_number(cl, device->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE),
        .is_gpu = device_number(cl, device->id, CL_DEVICE_TYPE) & CL_TYPE_GPU,
    };
    snprintf(properties->name, sizeof properties->name, "%.*s", (int)sizeof properties->name - 1, name);
}

static void close_device(gpu_device *device) {
    if (!device) return;
    const opencl_api *cl = &device->cl;
    if (device->queue) cl->Finish(device->queue);
    for (gpu_kernel *kernel = device->kernels, *next; kernel; kernel = next) {
        next = kernel->next;
        cl->ReleaseKernel(kernel->handle);
        free(kernel);
    }
    if (device->program) cl->ReleaseProgram(device->program);
    if (device->queue) cl->ReleaseCommandQueue(device->queue);
    if (device->context) cl->ReleaseContext(device->context);
    free(device);
}

static cllm_status open_device(gpu_device **out, gpu_properties *properties, cllm_error *err) {
    gpu_device *device = calloc(1, sizeof *device);
    if (!device) return error_set(err, CLLM_ERR_MEMORY, "no memory for an OpenCL device");
    const opencl_api *cl = &device->cl;
    cllm_status status = open_loader(&device->cl, err);
    if (status == CLLM_OK) status = choose_device(cl, &device->id, err);
    if (status != CLLM_OK) goto done;
    describe(device, properties);
    device->reads_host_memory = device_number(cl, device->id, CL_DEVICE_HOST_UNIFIED_MEMORY);
    device->rounds_division =
        device_number(cl, device->id, CL_DEVICE_SINGLE_FP_CONFIG) & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;
    cl_int code = CL_SUCCESS;
    device->context = cl->CreateContext(NULL, 1, &device->id, NULL, NULL, &code);
    if (device->context) device->queue = cl->CreateCommandQueue(device->context, device->id, 0, &code);
    if (!device->queue)
        status = error_set(err, CLLM_ERR_DEVICE, "OpenCL cannot begin to use %s: %s (%d)", properties->name,
                           error_name(code), (int)code);
done:
    if (status != CLLM_OK) {
        close_device(device);
        device = NULL;
    }
    *out = device;
    return status;
}

/* ------------------------------------------------------------------------------------------------ programs */

/* What a compiler says, from the first line with an error on, as one line; `log` is changed. */
static const char *first_complaint(char *log) {
    char *begin = strstr(log, "error");
    while (begin && begin > log && begin[-1] != '\n') begin--;
    if (!begin) begin = log + strspn(log, " \n");
    size_t length = strlen(begin);
    while (length > 0 && (begin[length - 1] == '\n' || begin[length - 1] == ' ')) begin[--length] = 0;
    for (char *c = begin; *c; c++)
        if (*c == '\n' || *c == '\t' || *c == '\r') *c = ' ';
    return begin;
}

static cllm_status report_build(const gpu_device *device, cl_program program, cl_int code, cllm_error *err) {
    const opencl_api *cl = &device->cl;
    size_t size = 0;
    cl->GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    char *log = calloc(size + 1, 1);
    if (!log) return error_set(err, CLLM_ERR_MEMORY, "no memory for what the OpenCL compiler says");
    cl->GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    error_set(err, CLLM_ERR_DEVICE, "OpenCL cannot compile the kernels, %s (%d): %s", error_name(code), (int)code,
              first_complaint(log));
    free(log);
    return CLLM_ERR_DEVICE;
}

static cllm_status compile(gpu_device *device, const char *text, cllm_error *err) {
    const opencl_api *cl = &device->cl;
    /* No option lets the compiler fuse, reorder or flush anything. */
    const char *options =
        device->rounds_division ? "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt" : "-cl-std=CL1.2";
    cl_int code = CL_SUCCESS;
    cl_program program = cl->CreateProgramWithSource(device->context, 1, &text, NULL, &code);
    if (!program)
        return error_set(err, CLLM_ERR_DEVICE, "OpenCL does not take the kernels: %s (%d)", error_name(code),
                         (int)code);
    code = cl->BuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        cllm_status status = report_build(device, program, code, err);
        cl->ReleaseProgram(program);
        return status;
    }
    device->program = program;
    return CLLM_OK;
}

static cllm_status find_kernel(gpu_device *device, const char *name, gpu_kernel **out, cllm_error *err) {
    const opencl_api *cl = &device->cl;
    cllm_status status = CLLM_OK;
    cl_int code = CL_SUCCESS;
    size_t most_threads = 0;
    *out = NULL;
    gpu_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel) return error_set(err, CLLM_ERR_MEMORY, "no memory for the kernel %s", name);
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    kernel->handle = cl->CreateKernel(device->program, name, &code);
    if (kernel->handle)
        code = cl->GetKernelWorkGroupInfo(kernel->handle, device->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most_threads,
                                          &most_threads, NULL);
    if (code != CL_SUCCESS)
        status = error_set(err, CLLM_ERR_DEVICE, "OpenCL has no kernel %s: %s (%d)", name, error_name(code), (int)code);
    else if (most_threads < GPU_GROUP)
        status = error_set(err, CLLM_ERR_DEVICE,
                           "this OpenCL device runs at most %zu threads of the kernel %s together, which needs %d: use "
                           "another device, by CLLM_OPENCL_DEVICE",
                           most_threads, name, GPU_GROUP);
    if (status != CLLM_OK) {
        if (kernel->handle) cl->ReleaseKernel(kernel->handle);
        free(kernel);
        return status;
    }
    kernel->next = device->kernels;
    *out = device->kernels = kernel;
    return CLLM_OK;
}

/* ------------------------------------------------------------------------------------------------- buffers */

static cllm_status no_memory(uint64_t n_bytes, cl_int code, cllm_error *err) {
    return error_set(err, CLLM_ERR_DEVICE, "the OpenCL device has no %.1f MiB left for a buffer: %s (%d)",
                     (double)n_bytes / (1 << 20), error_name(code), (int)code);
}

/* host: the buffer's first content or, as flags say, its memory; NULL: zeros. */
static cl_int create_buffer(gpu_device *device, cl_options flags, uint64_t n_bytes, const void *host,
                            cl_memory *memory) {
    const opencl_api *cl = &device->cl;
    static const uint32_t zero = 0;
    cl_int code = CL_SUCCESS;
    if (n_bytes > SIZE_MAX) return CL_INVALID_BUFFER_SIZE;
    *memory = cl->CreateBuffer(device->context, flags, (size_t)n_bytes, (void *)host, &code);
    if (!*memory || host) return code;
    code = cl->EnqueueFillBuffer(device->queue, *memory, &zero, sizeof zero, 0, (size_t)n_bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS) cl->ReleaseMemObject(*memory);
    return code;
}

static cllm_status allocate(gpu_device *device, uint64_t n_bytes, gpu_buffer **out, cllm_error *err) {
    cl_memory memory = NULL;
    uint64_t whole_words;
    cl_int code = CL_INVALID_BUFFER_SIZE;
    if (checked_round_up(n_bytes, sizeof(uint32_t), &whole_words))
        code = create_buffer(device, CL_MEM_READ_WRITE, whole_words, NULL, &memory);
    *out = code == CL_SUCCESS ? (gpu_buffer *)(void *)memory : NULL;
    return code == CL_SUCCESS ? CLLM_OK : no_memory(n_bytes, code, err);
}

/* In place where the device shares the host's memory. These bytes and not the pages around them: OpenCL says nothing good
 * of buffers that overlap in the host's memory, and tensors of a file have pages in common. */
static cllm_status wrap(gpu_device *device, const void *bytes, uint64_t n_bytes, gpu_buffer **out, uint32_t *offset,
                        cllm_error *err) {
    cl_memory memory = NULL;
    cl_int code = CL_INVALID_VALUE;
    if (device->reads_host_memory)
        code = create_buffer(device, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, n_bytes, bytes, &memory);
    if (code != CL_SUCCESS)
        code = create_buffer(device, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, n_bytes, bytes, &memory);
    *out = code == CL_SUCCESS ? (gpu_buffer *)(void *)memory : NULL;
    *offset = 0;
    return code == CL_SUCCESS ? CLLM_OK : no_memory(n_bytes, code, err);
}

static void release(gpu_device *device, gpu_buffer *buffer) {
    if (buffer) device->cl.ReleaseMemObject(memory_of(buffer));
}

static cllm_status write_buffer(gpu_device *device, gpu_buffer *buffer, const void *bytes, size_t n_bytes,
                                cllm_error *err) {
    if (!failed(device) && n_bytes > 0) {
        cl_memory memory = memory_of(buffer);
        cl_int code = device->cl.EnqueueWriteBuffer(device->queue, memory, true, 0, n_bytes, bytes, 0, NULL, NULL);
        note(device, code, "write a buffer", "");
    }
    return report(device, err);
}

static cllm_status read_buffer(gpu_device *device, gpu_buffer *buffer, void *bytes, size_t n_bytes, cllm_error *err) {
    if (!failed(device) && n_bytes > 0)
        note(device,
             device->cl.EnqueueReadBuffer(device->queue, memory_of(buffer), true, 0, n_bytes, bytes, 0, NULL, NULL),
             "read a buffer", "");
    return report(device, err);
}

/* ------------------------------------------------------------------------------------------------- running */

static void launch(gpu_device *device, gpu_kernel *kernel, const uint32_t groups[3], gpu_buffer *const *buffers,
                   size_t n_buffers, const void *args, size_t args_bytes) {
    if (failed(device)) return;
    const opencl_api *cl = &device->cl;
    const size_t threads[3] = {(size_t)groups[0] * GPU_GROUP, groups[1], groups[2]}, group[3] = {GPU_GROUP, 1, 1};
    cl_int code = CL_SUCCESS;
    for (cl_uint i = 0; i < n_buffers && code == CL_SUCCESS; i++) {
        cl_memory memory = memory_of(buffers[i]);
        code = cl->SetKernelArg(kernel->handle, i, sizeof memory, &memory);
    }
    if (code == CL_SUCCESS) code = cl->SetKernelArg(kernel->handle, (cl_uint)n_buffers, args_bytes, args);
    if (code == CL_SUCCESS)
        code = cl->EnqueueNDRangeKernel(device->queue, kernel->handle, 3, NULL, threads, group, 0, NULL, NULL);
    note(device, code, "run the kernel ", kernel->name);
}

static cllm_status submit(gpu_device *device, cllm_error *err) {
    if (!failed(device)) note(device, device->cl.Flush(device->queue), "begin with what was launched", "");
    return report(device, err);
}

static cllm_status sync_device(gpu_device *device, cllm_error *err) {
    if (!failed(device)) note(device, device->cl.Finish(device->queue), "finish what was launched", "");
    return report(device, err);
}

const gpu_driver gpu_driver_opencl = {
    .name = "opencl",
    .open = open_device,
    .close = close_device,
    .compile = compile,
    .kernel = find_kernel,
    .allocate = allocate,
    .wrap = wrap,
    .release = release,
    .write = write_buffer,
    .read = read_buffer,
    .launch = launch,
    .submit = submit,
    .sync = sync_device,
};
