/* A look-alike of libcuda.so.1, the library of NVIDIA's driver, for hosts without a GPU. It has the functions that
 * src/gpu/driver_cuda.c calls, and runs programs that the look-alike's NVRTC compiled for the host. It is only for
 * tests: LD_LIBRARY_PATH finds it, and it is never installed. Before: driver_cuda.c, unchanged. After:
 * lookalike/fibers.c, which runs the threads of a group.
 *
 * It is as strict as a real device is, or may be:
 *   - Work waits in its stream until somebody waits for the stream. Only then is the host's memory read and written,
 *     page-locked or not. Streams do not wait for each other, nor for the default one.
 *   - The device's memory faults when the host touches it, or when a kernel leaves it. At first it contains rubbish.
 *   - Every pointer that a kernel gets must be of the device. A copy must stay inside one allocation.
 *   - A call that is not allowed during a capture ends the capture. Memory that the device may still use cannot be
 *     released.
 *   - When the primary context or the program ends, everything must have been released.
 *   - An error of a kernel shows when somebody waits, and in all calls after that.
 * A breach of the API's contract ends the program with a message. Errors that the API defines are returned.
 * Environment:
 *   LOOKALIKE_CUDA_DEVICES=1      the number of devices
 *   LOOKALIKE_CUDA_ARCH=90        their compute capability
 *   LOOKALIKE_CUDA_MEMORY=bytes   memory of each device (8 GiB)
 *   LOOKALIKE_CUDA_REVERSE=1      threads and groups run in falling order
 *   LOOKALIKE_CUDA_COUNTS=FILE    when a context ends, a line with counts of its work is added to the file
 *   LOOKALIKE_CUDA_FAULT=NAME:N   the Nth use (default: the first) of NAME fails: init, device, context, module,
 *                                 kernel, allocate, launch (when it runs), sync, capture, graph (see also
 *                                 libnvrtc.c) */
#define _GNU_SOURCE /* memfd_create, MAP_ANONYMOUS */
#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpu/cuda_api.h"
#include "lookalike/fibers.h"
#include "lookalike_cuda/image.h"

#pragma GCC visibility push(default)
#define DECLARE(type, name, symbol, parameters) type symbol parameters;
CUDA_FUNCTIONS(DECLARE)
CUDA_GRAPH_FUNCTIONS(DECLARE)
CUresult cuGetExportTable(const void **table, const void *of);
extern lookalike_index lookalike_block;
lookalike_index lookalike_block;
#pragma GCC visibility pop

/* X(name without CUDA_ERROR_, value, description) */
#define ERRORS(X)                                                                                     \
    X(INVALID_VALUE, 1, "invalid argument")                                                           \
    X(OUT_OF_MEMORY, 2, "out of memory")                                                              \
    X(NOT_INITIALIZED, 3, "initialization error")                                                     \
    X(NO_DEVICE, 100, "no CUDA-capable device is detected")                                           \
    X(INVALID_DEVICE, 101, "invalid device ordinal")                                                  \
    X(INVALID_IMAGE, 200, "device kernel image is invalid")                                           \
    X(INVALID_CONTEXT, 201, "invalid device context")                                                 \
    X(NO_BINARY_FOR_GPU, 209, "no kernel image is available for execution on the device")             \
    X(INVALID_HANDLE, 400, "invalid resource handle")                                                 \
    X(ILLEGAL_STATE, 401, "the operation cannot be performed in the present state")                   \
    X(NOT_FOUND, 500, "named symbol not found")                                                       \
    X(ILLEGAL_ADDRESS, 700, "an illegal memory access was encountered")                               \
    X(LAUNCH_TIMEOUT, 702, "the launch timed out and was terminated")                                 \
    X(SYSTEM_DRIVER_MISMATCH, 803, "system has unsupported display driver / cuda driver combination") \
    X(STREAM_CAPTURE_UNSUPPORTED, 900, "operation not permitted when stream is capturing")            \
    X(STREAM_CAPTURE_INVALIDATED, 901, "operation failed due to a previous error during capture")
#define ENUMERATE(name, value, description) name = value,
enum { SUCCESS = CUDA_SUCCESS, ERRORS(ENUMERATE) };

enum { MOST_DEVICES = 8, MOST_CONTEXTS = 16, MOST_PARAMETERS = 32, MOST_ARGS = 512, MOST_THREADS = 1024 };

typedef struct device_memory {
    struct device_memory *next;
    unsigned char *begin, *mapping;
    size_t n_bytes, n_mapped;
} device_memory;

typedef enum { CLEAR, TO_DEVICE, TO_HOST, KERNEL, GRAPH } operation_kind;

typedef struct operation {
    operation_kind kind;
    unsigned char value;
    unsigned char *device;
    const void *from;
    void *to;
    size_t n_bytes;
    CUfunction function;
    unsigned grid[3], n_threads;
    _Alignas(16) unsigned char args[MOST_ARGS]; /* the parameters, each at a multiple of 16 */
    CUgraphExec graph;
} operation;

typedef struct operation_list {
    operation *all;
    size_t n, room;
} operation_list;

struct CUctx_st {
    int n_users;
    CUresult failure; /* once it is set, every call returns it */
    device_memory *memory;
    size_t n_used;
    struct CUstream_st *streams;
    int n_modules, n_graphs, n_executables;
    unsigned long n_allocations, n_kernels, n_graph_launches, n_waits;
};

struct CUstream_st {
    CUstream next;
    operation_list work, captured;
    bool is_capturing, is_broken;
};

struct CUfunc_st {
    CUmodule module;
    CUfunction next;
    const lookalike_kernel *kernel; /* NULL: compiled for a real device, so it cannot run here */
    char name[128];
};

struct CUmod_st {
    void *library;
    int file;
    const lookalike_program *program;
    CUfunction functions;
};

struct CUgraph_st {
    operation_list nodes;
};
struct CUgraphExec_st {
    operation_list nodes;
};

static pthread_mutex_t one_call = PTHREAD_MUTEX_INITIALIZER;
static bool is_initialized;
static struct CUctx_st contexts[MOST_DEVICES];
static _Thread_local CUcontext current[MOST_CONTEXTS];
static _Thread_local int n_current;

/* --------------------------------------------------------------------------------------------------- entering */

static long setting(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value && *value ? atol(value) : otherwise;
}

static int n_devices(void) {
    const long n = setting("LOOKALIKE_CUDA_DEVICES", 1);
    return n < 0 ? 0 : n > MOST_DEVICES ? MOST_DEVICES : (int)n;
}

/* True if the thing with this name must fail now. */
static bool fault(const char *name) {
    static int n_met;
    const char *wanted = getenv("LOOKALIKE_CUDA_FAULT");
    const size_t length = strlen(name);
    if (!wanted || strncmp(wanted, name, length) != 0 || (wanted[length] && wanted[length] != ':')) return false;
    return ++n_met == (wanted[length] ? atoi(wanted + length + 1) : 1);
}

static void unlock(pthread_mutex_t **mutex) { pthread_mutex_unlock(*mutex); }

/* Only one call runs at a time, because all calls share the variables of this file. */
#define ONE_CALL                                                          \
    pthread_mutex_t *locked __attribute__((cleanup(unlock))) = &one_call; \
    pthread_mutex_lock(locked)

/* As above; and there must be a context, which has not failed. */
#define WITH_CONTEXT                             \
    ONE_CALL;                                    \
    if (!is_initialized) return NOT_INITIALIZED; \
    if (!n_current) return INVALID_CONTEXT;      \
    CUcontext context = current[n_current - 1];  \
    if (context->failure != SUCCESS) return context->failure

/* As above, but for functions that release something: they work in a context that has failed, and only their result
 * tells of it. */
#define RELEASING                           \
    ONE_CALL;                               \
    if (!n_current) return INVALID_CONTEXT; \
    CUcontext context = current[n_current - 1]

/* For calls that no thread may make during a capture in the mode for one thread: breaks the captures of this
 * context. */
static CUresult break_capture(CUcontext context) {
    CUresult result = SUCCESS;
    for (CUstream s = context->streams; s; s = s->next) {
        if (!s->is_capturing) continue;
        s->is_broken = true;
        result = STREAM_CAPTURE_UNSUPPORTED;
    }
    return result;
}

CUresult cuInit(unsigned flags) {
    ONE_CALL;
    if (flags != 0) return INVALID_VALUE;
    if (fault("init")) return SYSTEM_DRIVER_MISMATCH;
    if (fault("device") || n_devices() == 0) return NO_DEVICE;
    is_initialized = true;
    return SUCCESS;
}

#define NAME(name, value, description) \
    if (result == value) text = "CUDA_ERROR_" #name;
#define DESCRIBE(name, value, description) \
    if (result == value) text = description;

CUresult cuGetErrorName(CUresult result, const char **name) {
    const char *text = NULL;
    ERRORS(NAME)
    *name = text;
    return text ? SUCCESS : INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult result, const char **description) {
    const char *text = NULL;
    ERRORS(DESCRIBE)
    *description = text;
    return text ? SUCCESS : INVALID_VALUE;
}

/* Undocumented. The real NVRTC uses it to look for a cache of compiled programs. There is none here. */
CUresult cuGetExportTable(const void **table, const void *of) {
    (void)of;
    *table = NULL;
    return NOT_FOUND;
}

CUresult cuDriverGetVersion(int *version) {
    *version = 13000;
    return SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
    ONE_CALL;
    if (!is_initialized) return NOT_INITIALIZED;
    *count = n_devices();
    return SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    ONE_CALL;
    if (!is_initialized) return NOT_INITIALIZED;
    if (ordinal < 0 || ordinal >= n_devices()) return INVALID_VALUE;
    *device = ordinal;
    return SUCCESS;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
    ONE_CALL;
    if (!is_initialized) return NOT_INITIALIZED;
    if (device < 0 || device >= n_devices()) return INVALID_DEVICE;
    snprintf(name, (size_t)size, "Look-alike %d: no GPU", device);
    return SUCCESS;
}

static long device_architecture(void) { return setting("LOOKALIKE_CUDA_ARCH", 90); }

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute of, CUdevice device) {
    ONE_CALL;
    if (!is_initialized) return NOT_INITIALIZED;
    if (device < 0 || device >= n_devices()) return INVALID_DEVICE;
    if (of == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        *value = (int)(device_architecture() / 10);
    else if (of == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        *value = (int)(device_architecture() % 10);
    else
        return INVALID_VALUE;
    return SUCCESS;
}

/* --------------------------------------------------------------------------------------------------- contexts */

static void leak(const char *when, size_t n, const char *what) {
    if (n != 0) fibers_fatal("%s: %zu %s left", when, n, what);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    ONE_CALL;
    if (!is_initialized) return NOT_INITIALIZED;
    if (device < 0 || device >= n_devices()) return INVALID_DEVICE;
    if (fault("context")) return OUT_OF_MEMORY;
    *context = &contexts[device];
    if (contexts[device].n_users++ == 0) memset(*context, 0, sizeof **context), (*context)->n_users = 1;
    return SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    ONE_CALL;
    static const char when[] = "the primary context is released";
    if (device < 0 || device >= n_devices()) return INVALID_DEVICE;
    CUcontext context = &contexts[device];
    if (context->n_users == 0) return INVALID_CONTEXT;
    if (--context->n_users > 0) return SUCCESS;
    size_t n_streams = 0, n_memory = 0;
    for (CUstream s = context->streams; s; s = s->next) n_streams++;
    for (device_memory *m = context->memory; m; m = m->next) n_memory++;
    leak(when, (size_t)n_current, "contexts of the thread are");
    leak(when, n_streams, "streams are");
    leak(when, n_memory, "allocations of device memory are");
    leak(when, (size_t)context->n_modules, "modules are");
    leak(when, (size_t)context->n_graphs, "graphs are");
    leak(when, (size_t)context->n_executables, "executable graphs are");
    const char *path = getenv("LOOKALIKE_CUDA_COUNTS");
    FILE *counts = path ? fopen(path, "a") : NULL;
    if (counts) {
        fprintf(counts, "%lu allocations, %lu kernels launched one by one, %lu graphs launched, %lu waits\n",
                context->n_allocations, context->n_kernels, context->n_graph_launches, context->n_waits);
        fclose(counts);
    }
    return SUCCESS;
}

__attribute__((destructor)) static void look_for_leaks(void) {
    for (int i = 0; i < MOST_DEVICES; i++)
        leak("the program ends", (size_t)contexts[i].n_users, "uses of a context are");
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
    ONE_CALL;
    if (!is_initialized) return NOT_INITIALIZED;
    if (!context || context->n_users == 0) return INVALID_CONTEXT;
    if (n_current == MOST_CONTEXTS) fibers_fatal("contexts are pushed, but not popped");
    current[n_current++] = context;
    return SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    ONE_CALL;
    if (!n_current) return INVALID_CONTEXT;
    *context = current[--n_current];
    return SUCCESS;
}

/* ----------------------------------------------------------------------------------------------------- memory */

static device_memory *memory_at(CUcontext context, const unsigned char *address) {
    for (device_memory *m = context->memory; m; m = m->next)
        if (address >= m->begin && address < m->begin + m->n_bytes) return m;
    return NULL;
}

static bool is_inside(CUcontext context, const unsigned char *address, size_t n_bytes) {
    const device_memory *m = memory_at(context, address);
    return m && n_bytes <= (size_t)(m->begin + m->n_bytes - address);
}

static void protect(CUcontext context, int protection) {
    for (device_memory *m = context->memory; m; m = m->next) mprotect(m->mapping, m->n_mapped, protection);
}

static size_t total_memory(void) { return (size_t)setting("LOOKALIKE_CUDA_MEMORY", 8L << 30); }

CUresult cuMemGetInfo_v2(size_t *n_free, size_t *n_total) {
    WITH_CONTEXT;
    *n_total = total_memory();
    *n_free = *n_total - context->n_used;
    return SUCCESS;
}

/* Pages that nobody may touch surround an allocation. They are so many that a wrong index hits them and not other
 * memory. The pages behind it begin where the allocation ends (rounded up to 32 bytes). The pages before it end where
 * its first page begins. */
enum { GUARD = 64 << 20 };

CUresult cuMemAlloc_v2(CUdeviceptr *memory, size_t n_bytes) {
    WITH_CONTEXT;
    if (break_capture(context) != SUCCESS) return STREAM_CAPTURE_UNSUPPORTED;
    if (n_bytes == 0 || !memory) return INVALID_VALUE;
    if (fault("allocate") || n_bytes > total_memory() - context->n_used) return OUT_OF_MEMORY;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (n_bytes + 31) / 32 * 32;
    const size_t n_mapped = (used + page - 1) / page * page;
    device_memory *m = malloc(sizeof *m);
    unsigned char *mapping =
        mmap(NULL, n_mapped + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!m || mapping == MAP_FAILED) fibers_fatal("no memory of the host for %zu bytes of the device", n_bytes);
    mapping += GUARD;
    mprotect(mapping, n_mapped, PROT_READ | PROT_WRITE);
    memset(mapping, 0xFF, n_mapped);
    mprotect(mapping, n_mapped, PROT_NONE);
    *m = (device_memory){context->memory, mapping + n_mapped - used, mapping, n_bytes, n_mapped};
    context->memory = m;
    context->n_used += n_bytes;
    context->n_allocations++;
    *memory = (CUdeviceptr)(uintptr_t)m->begin;
    return SUCCESS;
}

static bool touches(const operation *o, const device_memory *m) {
    const unsigned char *end = m->begin + m->n_bytes;
    if (o->kind == GRAPH) {
        for (size_t i = 0; i < o->graph->nodes.n; i++)
            if (touches(&o->graph->nodes.all[i], m)) return true;
        return false;
    }
    if (o->kind != KERNEL) return o->device >= m->begin && o->device < end;
    for (uint32_t i = 0; o->function->kernel && i < o->function->kernel->n_parameters; i++) {
        unsigned char *pointer;
        memcpy(&pointer, o->args + 16 * (size_t)i, sizeof pointer);
        if (o->function->kernel->are_pointers[i] && pointer >= m->begin && pointer < end) return true;
    }
    return false;
}

/* The bytes between an allocation and the pages that nobody may touch must still be rubbish. */
static void check_edges(const device_memory *m, const char *kernel) {
    for (const unsigned char *at = m->mapping; at < m->begin; at++)
        if (*at != 0xFF) fibers_fatal("%s writes before an allocation of %zu bytes", kernel, m->n_bytes);
    for (const unsigned char *at = m->begin + m->n_bytes; at < m->mapping + m->n_mapped; at++)
        if (*at != 0xFF) fibers_fatal("%s writes past an allocation of %zu bytes", kernel, m->n_bytes);
}

CUresult cuMemFree_v2(CUdeviceptr memory) {
    RELEASING;
    if (break_capture(context) != SUCCESS) return STREAM_CAPTURE_UNSUPPORTED;
    device_memory **link = &context->memory;
    while (*link && (CUdeviceptr)(uintptr_t)(*link)->begin != memory) link = &(*link)->next;
    device_memory *m = *link;
    if (!m) return INVALID_VALUE;
    for (CUstream s = context->streams; s; s = s->next)
        for (size_t i = 0; i < s->work.n; i++)
            if (touches(&s->work.all[i], m)) fibers_fatal("memory is released while the device may still use it");
    *link = m->next;
    context->n_used -= m->n_bytes;
    munmap(m->mapping - GUARD, m->n_mapped + 2 * GUARD);
    free(m);
    return context->failure;
}

/* ---------------------------------------------------------------------------------------------------- streams */

static void append(operation_list *list, const operation *o) {
    if (list->n == list->room) {
        list->room = list->room ? 2 * list->room : 64;
        list->all = realloc(list->all, list->room * sizeof *o);
        if (!list->all) fibers_fatal("no memory for the work of a stream");
    }
    list->all[list->n++] = *o;
}

/* True if the handle is a stream of this context, not released. The default stream does not count. */
static bool is_stream(CUcontext context, CUstream stream) {
    for (CUstream s = context->streams; s; s = s->next)
        if (s == stream) return true;
    return false;
}

static CUresult enqueue(CUcontext context, CUstream stream, const operation *o) {
    if (!is_stream(context, stream)) return INVALID_HANDLE;
    if (!stream->is_capturing) {
        append(&stream->work, o);
        return SUCCESS;
    }
    if (stream->is_broken) return STREAM_CAPTURE_INVALIDATED;
    if (o->kind == KERNEL) {
        append(&stream->captured, o);
        return SUCCESS;
    }
    stream->is_broken = true;
    return STREAM_CAPTURE_UNSUPPORTED;
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
    WITH_CONTEXT;
    if (flags > CU_STREAM_NON_BLOCKING) return INVALID_VALUE;
    *stream = calloc(1, sizeof **stream);
    if (!*stream) return OUT_OF_MEMORY;
    (*stream)->next = context->streams;
    context->streams = *stream;
    return SUCCESS;
}

CUresult cuStreamDestroy_v2(CUstream stream) {
    RELEASING;
    CUstream *link = &context->streams;
    while (*link && *link != stream) link = &(*link)->next;
    if (!*link) return INVALID_HANDLE;
    if (stream->work.n) fibers_fatal("a stream is destroyed before its work is done");
    if (stream->is_capturing) fibers_fatal("a stream is destroyed while it is being captured");
    *link = stream->next;
    free(stream->work.all);
    free(stream->captured.all);
    free(stream);
    return context->failure;
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n_bytes, CUstream stream) {
    WITH_CONTEXT;
    const operation o = {.kind = CLEAR, .device = (unsigned char *)(uintptr_t)to, .value = value, .n_bytes = n_bytes};
    if (!is_inside(context, o.device, n_bytes)) return INVALID_VALUE;
    return enqueue(context, stream, &o);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n_bytes, CUstream stream) {
    WITH_CONTEXT;
    const operation o = {.kind = TO_DEVICE, .device = (unsigned char *)(uintptr_t)to, .from = from, .n_bytes = n_bytes};
    if (!from || !is_inside(context, o.device, n_bytes)) return INVALID_VALUE;
    return enqueue(context, stream, &o);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n_bytes, CUstream stream) {
    WITH_CONTEXT;
    const operation o = {.kind = TO_HOST, .device = (unsigned char *)(uintptr_t)from, .to = to, .n_bytes = n_bytes};
    if (!to || !is_inside(context, o.device, n_bytes)) return INVALID_VALUE;
    return enqueue(context, stream, &o);
}

/* ---------------------------------------------------------------------------------------------------- running */

static void tell_of_a_bad_address(int signal) {
    (void)signal;
    fibers_fatal("memory is touched that is none of the device's");
}

static void run_thread(void *user, uint32_t thread) {
    operation *o = user;
    void *parameters[MOST_PARAMETERS];
    (void)thread;
    for (uint32_t i = 0; i < o->function->kernel->n_parameters; i++) parameters[i] = o->args + 16 * (size_t)i;
    o->function->kernel->run_thread(parameters);
}

static void run_kernel(CUcontext context, operation *o) {
    const bool reversed = setting("LOOKALIKE_CUDA_REVERSE", 0) != 0;
    const lookalike_program *program = o->function->module->program;
    if (!program) fibers_fatal("the kernel %s is compiled for a real device", o->function->name);
    if (fault("launch")) context->failure = ILLEGAL_ADDRESS;
    if (context->failure != SUCCESS) return;
    const struct sigaction told = {.sa_handler = tell_of_a_bad_address};
    struct sigaction before[2];
    sigaction(SIGSEGV, &told, &before[0]);
    sigaction(SIGBUS, &told, &before[1]);
    const uint64_t plane = (uint64_t)o->grid[0] * o->grid[1], n_groups = plane * o->grid[2];
    for (uint64_t n = 0; n < n_groups; n++) {
        const uint64_t i = reversed ? n_groups - 1 - n : n;
        lookalike_block = (lookalike_index){
            .x = (uint32_t)(i % o->grid[0]), .y = (uint32_t)(i % plane / o->grid[0]), .z = (uint32_t)(i / plane)};
        if (program->shared) memset(program->shared, 0xFF, (size_t)(program->shared_end - program->shared));
        fibers_run_group(o->function->name, o->n_threads, reversed, run_thread, o);
    }
    sigaction(SIGSEGV, &before[0], NULL);
    sigaction(SIGBUS, &before[1], NULL);
    for (const device_memory *m = context->memory; m; m = m->next) check_edges(m, o->function->name);
}

static void run(CUcontext context, operation_list *list) {
    for (size_t i = 0; i < list->n && context->failure == SUCCESS; i++) {
        operation *o = &list->all[i];
        switch (o->kind) {
        case CLEAR: memset(o->device, o->value, o->n_bytes); break;
        case TO_DEVICE: memcpy(o->device, o->from, o->n_bytes); break;
        case TO_HOST: memcpy(o->to, o->device, o->n_bytes); break;
        case KERNEL: run_kernel(context, o); break;
        case GRAPH: run(context, &o->graph->nodes); break;
        }
    }
}

CUresult cuStreamSynchronize(CUstream stream) {
    WITH_CONTEXT;
    if (!is_stream(context, stream)) return INVALID_HANDLE;
    if (stream->is_capturing) return break_capture(context);
    context->n_waits++;
    if (fault("sync")) context->failure = LAUNCH_TIMEOUT;
    protect(context, PROT_READ | PROT_WRITE);
    run(context, &stream->work);
    protect(context, PROT_NONE);
    stream->work.n = 0;
    return context->failure;
}

/* ---------------------------------------------------------------------------------------------------- modules */

static CUfunction add_function(CUmodule module, const char *name, const lookalike_kernel *kernel) {
    CUfunction function = calloc(1, sizeof *function);
    if (!function) fibers_fatal("no memory for a kernel");
    *function = (struct CUfunc_st){.module = module, .next = module->functions, .kernel = kernel};
    snprintf(function->name, sizeof function->name, "%s", name);
    return module->functions = function;
}

/* Finds the kernels of a program that the real NVRTC compiled, so that it can be examined without a device. Each kernel
 * has a section of its own. */
static void list_kernels_of_elf(CUmodule module, const unsigned char *image) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)image;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(const void *)(image + header->e_shoff);
    const char *names = (const char *)image + sections[header->e_shstrndx].sh_offset;
    for (unsigned i = 0; i < header->e_shnum; i++)
        if (strncmp(names + sections[i].sh_name, ".text.", 6) == 0)
            add_function(module, names + sections[i].sh_name + 6, NULL);
}

static void list_kernels_of_ptx(CUmodule module, const char *text) {
    static const char mark[] = ".entry ";
    while ((text = strstr(text, mark))) {
        text += strlen(mark);
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "( \n"), text);
        add_function(module, name, NULL);
    }
}

static CUresult load_for_host(CUmodule module, const image_header *header) {
    const long device = device_architecture();
    if (header->is_virtual ? header->architecture > device : header->architecture != device) return NO_BINARY_FOR_GPU;
    char path[64];
    const int file = memfd_create("lookalike kernels", 0);
    if (file < 0 || write(file, header + 1, header->n_bytes) != (ssize_t)header->n_bytes)
        fibers_fatal("no memory for the compiled kernels");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    module->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    module->file = file; /* stays open, so that no other program gets its path: dlopen knows libraries by their paths */
    if (!module->library) fibers_fatal("the compiled kernels cannot be loaded: %s", dlerror());
    module->program = dlsym(module->library, "lookalike_program_of_text");
    if (!module->program) return INVALID_IMAGE;
    for (uint32_t i = 0; i < module->program->n_kernels; i++)
        add_function(module, module->program->kernels[i].name, &module->program->kernels[i]);
    return SUCCESS;
}

CUresult cuModuleLoadData(CUmodule *out, const void *image) {
    WITH_CONTEXT;
    if (break_capture(context) != SUCCESS) return STREAM_CAPTURE_UNSUPPORTED;
    if (fault("module")) return INVALID_IMAGE;
    CUmodule module = calloc(1, sizeof *module);
    if (!module) return OUT_OF_MEMORY;
    CUresult result = SUCCESS;
    if (strcmp(image, IMAGE_MAGIC) == 0)
        result = load_for_host(module, image);
    else if (memcmp(image, ELFMAG, SELFMAG) == 0 && ((const Elf64_Ehdr *)image)->e_machine == EM_CUDA)
        list_kernels_of_elf(module, image);
    else if (strstr(image, ".version "))
        list_kernels_of_ptx(module, image);
    else
        result = INVALID_IMAGE;
    if (result != SUCCESS) {
        free(module);
        return result;
    }
    context->n_modules++;
    *out = module;
    return SUCCESS;
}

CUresult cuModuleUnload(CUmodule module) {
    RELEASING;
    if (!module) return INVALID_HANDLE;
    for (CUstream s = context->streams; s; s = s->next)
        for (size_t i = 0; i < s->work.n; i++)
            if (s->work.all[i].kind >= KERNEL) fibers_fatal("a module is unloaded while its kernels may still run");
    for (CUfunction f = module->functions, next; f; f = next) {
        next = f->next;
        free(f);
    }
    if (module->library) dlclose(module->library), close(module->file);
    free(module);
    context->n_modules--;
    return context->failure;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    WITH_CONTEXT;
    if (!module) return INVALID_HANDLE;
    for (CUfunction f = module->functions; f; f = f->next)
        if (strcmp(f->name, name) == 0) {
            *function = f;
            return SUCCESS;
        }
    return NOT_FOUND;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute of, CUfunction function) {
    WITH_CONTEXT;
    if (!function) return INVALID_HANDLE;
    if (of != CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) return INVALID_VALUE;
    *value = fault("kernel") ? 64 : MOST_THREADS;
    return SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters,
                        void **extra) {
    WITH_CONTEXT;
    if (!function) return INVALID_HANDLE;
    if (grid_x == 0 || grid_x > INT32_MAX || grid_y == 0 || grid_y > 65535 || grid_z == 0 || grid_z > 65535)
        return INVALID_VALUE;
    if (block_x == 0 || block_x > MOST_THREADS || block_y != 1 || block_z != 1 || shared_bytes != 0 || extra)
        return INVALID_VALUE;
    operation o = {.kind = KERNEL, .function = function, .grid = {grid_x, grid_y, grid_z}, .n_threads = block_x};
    const lookalike_kernel *kernel = function->kernel;
    for (uint32_t i = 0; kernel && i < kernel->n_parameters; i++) {
        unsigned char *at = o.args + 16 * (size_t)i, *pointer;
        if (i >= MOST_PARAMETERS || at + kernel->sizes[i] > o.args + MOST_ARGS)
            fibers_fatal("kernel %s: too large or too many parameters", kernel->name);
        if (kernel->sizes[i] > 16 && i + 1 < kernel->n_parameters)
            fibers_fatal("kernel %s: a struct comes before the last parameter", kernel->name);
        if (!parameters[i])
            fibers_fatal("kernel %s: parameter %u of %u is missing", kernel->name, i, kernel->n_parameters);
        memcpy(at, parameters[i], kernel->sizes[i]);
        memcpy(&pointer, at, sizeof pointer);
        if (kernel->are_pointers[i] && !memory_at(context, pointer))
            fibers_fatal("kernel %s: parameter %u points to no memory of the device", kernel->name, i);
    }
    const CUresult result = enqueue(context, stream, &o);
    if (result == SUCCESS && !stream->is_capturing) context->n_kernels++;
    return result;
}

/* ----------------------------------------------------------------------------------------------------- graphs */

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    WITH_CONTEXT;
    if (!is_stream(context, stream)) return INVALID_HANDLE;
    if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        fibers_fatal("this capture mode forbids other threads what they may do otherwise");
    if (stream->is_capturing) return ILLEGAL_STATE;
    stream->is_capturing = true;
    stream->is_broken = fault("capture");
    stream->captured.n = 0;
    return SUCCESS;
}

static void copy_list(operation_list *to, const operation_list *from) {
    for (size_t i = 0; i < from->n; i++) append(to, &from->all[i]);
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    WITH_CONTEXT;
    if (!is_stream(context, stream)) return INVALID_HANDLE;
    if (!stream->is_capturing) return ILLEGAL_STATE;
    stream->is_capturing = false;
    *graph = NULL;
    if (stream->is_broken) return STREAM_CAPTURE_INVALIDATED;
    *graph = calloc(1, sizeof **graph);
    if (!*graph) return OUT_OF_MEMORY;
    copy_list(&(*graph)->nodes, &stream->captured);
    context->n_graphs++;
    return SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long flags) {
    WITH_CONTEXT;
    if (!graph || flags != 0) return INVALID_VALUE;
    if (fault("graph")) return OUT_OF_MEMORY;
    *executable = calloc(1, sizeof **executable);
    if (!*executable) return OUT_OF_MEMORY;
    copy_list(&(*executable)->nodes, &graph->nodes);
    context->n_executables++;
    return SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph) {
    RELEASING;
    if (!graph) return INVALID_VALUE;
    free(graph->nodes.all);
    free(graph);
    context->n_graphs--;
    return context->failure;
}

/* Everything that its kernels point to must still exist. */
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    WITH_CONTEXT;
    if (!executable) return INVALID_HANDLE;
    for (size_t n = 0; n < executable->nodes.n; n++) {
        const operation *o = &executable->nodes.all[n];
        const lookalike_kernel *kernel = o->function->kernel;
        for (uint32_t i = 0; kernel && i < kernel->n_parameters; i++) {
            unsigned char *pointer;
            memcpy(&pointer, o->args + 16 * (size_t)i, sizeof pointer);
            if (kernel->are_pointers[i] && !memory_at(context, pointer))
                fibers_fatal("a graph's kernel %s: parameter %u points to no memory of the device", kernel->name, i);
        }
    }
    const operation o = {.kind = GRAPH, .graph = executable};
    const CUresult result = enqueue(context, stream, &o);
    if (result == SUCCESS) context->n_graph_launches++;
    return result;
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
    RELEASING;
    if (!executable) return INVALID_VALUE;
    for (CUstream s = context->streams; s; s = s->next)
        for (size_t i = 0; i < s->work.n; i++)
            if (s->work.all[i].kind == GRAPH && s->work.all[i].graph == executable)
                fibers_fatal("a graph is destroyed while the device may still run it");
    free(executable->nodes.all);
    free(executable);
    context->n_executables--;
    return context->failure;
}
