/* The driver for Apple's GPUs, over the Metal framework. Before: forward_gpu.c, which calls it through the table of
 * driver.h. After: the framework, whose names begin with MTL (https://developer.apple.com/documentation/metal).
 *
 * Launches are collected in one command buffer by one encoder, until something has to wait for them or submit sends them
 * off; the encoder runs them one after another. Buffers are in memory that GPU and CPU share, so that weights stay in the
 * mapped file and reading is a copy from there.
 *
 * Objects are retained and released by hand, which a compiler without Apple's runtime can build too: those that an
 * alloc, new or copy returned are ours, others are retained where they outlive the autorelease pool around each call.
 *
 * CLLM_METAL_SIMD=0 or 1 in the environment keeps the kernels from the functions of SIMD groups, or has them use these on
 * a device that does not claim to be of the family that has them, such as that of a virtual machine. */
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include "base/error.h"
#include "gpu/driver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Command buffers under way before one more waits for them. A queue makes no more than 64. */
enum { MOST_SUBMITTED = 16 };

struct gpu_device {
    id<MTLDevice> metal;
    id<MTLCommandQueue> queue;
    id<MTLLibrary> library;
    id<MTLCommandBuffer> commands; /* what is being collected, or nil */
    id<MTLComputeCommandEncoder> encoder;
    id<MTLCommandBuffer> submitted[MOST_SUBMITTED];
    size_t n_submitted;
    gpu_kernel *kernels; /* a list */
    bool simd;
    cllm_error fault; /* the first thing that went wrong in launches, or CLLM_OK */
};

struct gpu_kernel {
    id<MTLComputePipelineState> pipeline;
    gpu_kernel *next;
};

/* A gpu_buffer is the MTLBuffer itself. */
static id<MTLBuffer> metal_buffer(gpu_buffer *buffer) { return (id<MTLBuffer>)buffer; }

/* Setting either is a compiler's warning in some version of the SDK: it is not there yet, or deprecated. */
@protocol math_options
- (void)setMathMode:(NSInteger)mode;   /* since macOS 15 */
- (void)setFastMathEnabled:(BOOL)fast; /* until then */
@end
enum { MATH_MODE_SAFE = 0 };

static const char *description_of(NSError *error) {
    const char *text = [[error localizedDescription] UTF8String];
    return text ? text : "for no reason that Metal gives";
}

/* --------------------------------------------------------------------------------------------------- open and close */

/* Waits; defined below. */
static void finish(gpu_device *device);

static void metal_close(gpu_device *device) {
    if (!device) return;
    @autoreleasepool {
        finish(device);
        while (device->kernels) {
            gpu_kernel *kernel = device->kernels;
            device->kernels = kernel->next;
            [kernel->pipeline release];
            free(kernel);
        }
        [device->library release];
        [device->queue release];
        [device->metal release];
    }
    free(device);
}

/* Owned, or nil. A process outside of a desktop session may have devices, and none of them as the default. */
static id<MTLDevice> find_device(void) {
    id<MTLDevice> found = MTLCreateSystemDefaultDevice();
    if (found) return found;
    NSArray<id<MTLDevice>> *all = MTLCopyAllDevices();
    if ([all count] > 0) found = [[all objectAtIndex:0] retain];
    [all release];
    return found;
}

static uint64_t memory_left(id<MTLDevice> metal) {
    const uint64_t most = [metal recommendedMaxWorkingSetSize], taken = [metal currentAllocatedSize];
    return most > taken ? most - taken : 1;
}

static void describe(id<MTLDevice> metal, gpu_properties *properties) {
    const char *name = [[metal name] UTF8String], *forced = getenv("CLLM_METAL_SIMD");
    *properties = (gpu_properties){.is_gpu = true, .largest_buffer = [metal maxBufferLength]};
    if (name) strncpy(properties->name, name, sizeof properties->name - 1);
    if ([metal recommendedMaxWorkingSetSize] > 0) properties->free_memory = memory_left(metal);
    properties->simd = forced && *forced ? strcmp(forced, "0") != 0 : [metal supportsFamily:MTLGPUFamilyApple7];
    properties->matrices = properties->simd;
}

static cllm_status metal_open(gpu_device **out, gpu_properties *properties, cllm_error *err) {
    gpu_device *device = calloc(1, sizeof *device);
    if (!device) return error_set(err, CLLM_ERR_MEMORY, "no memory for a Metal device");
    cllm_status status = CLLM_OK;
    @autoreleasepool {
        device->metal = find_device();
        device->queue = [device->metal newCommandQueue];
        if (!device->metal) {
            status = error_set(err, CLLM_ERR_DEVICE,
                               "Metal finds no GPU: this machine has none, or keeps it from this "
                               "process; compute on the CPU");
        } else if (!device->queue) {
            status = error_set(err, CLLM_ERR_DEVICE,
                               "Metal gives no command queue on %s: end other programs that use "
                               "the GPU, or compute on the CPU",
                               [[device->metal name] UTF8String]);
        } else {
            describe(device->metal, properties);
            device->simd = properties->simd;
        }
    }
    if (status) {
        metal_close(device);
        device = NULL;
    }
    *out = device;
    return status;
}

/* ---------------------------------------------------------------------------------------------------------- kernels */

/* The length of the first line with an error in what the compiler said, of which *said becomes the beginning. */
static int first_complaint(const char **said) {
    const char *error = strstr(*said, "error:");
    for (const char *c = *said; error && c < error; c++)
        if (*c == '\n') *said = c + 1;
    return (int)strcspn(*said, "\n");
}

static cllm_status metal_compile(gpu_device *device, const char *text, cllm_error *err) {
    cllm_status status = CLLM_OK;
    @autoreleasepool {
        MTLCompileOptions *options = [[[MTLCompileOptions alloc] init] autorelease];
        id<math_options> math = (id<math_options>)options;
        if ([options respondsToSelector:@selector(setMathMode:)])
            [math setMathMode:MATH_MODE_SAFE];
        else
            [math setFastMathEnabled:NO];
        [options setLanguageVersion:MTLLanguageVersion2_4];
        NSError *error = nil;
        device->library = [device->metal newLibraryWithSource:[NSString stringWithUTF8String:text]
                                                      options:options
                                                        error:&error];
        if (!device->library) {
            const char *said = description_of(error);
            const int length = first_complaint(&said);
            status = error_set(err, CLLM_ERR_DEVICE, "Metal does not compile the kernels: %.*s", length, said);
        }
    }
    return status;
}

/* Does the device run GPU_GROUP threads of it, in SIMD groups of GPU_TEAM where it uses them? */
static cllm_status check_pipeline(const gpu_device *device, id<MTLComputePipelineState> pipeline, const char *name,
                                  cllm_error *err) {
    const size_t most = [pipeline maxTotalThreadsPerThreadgroup], width = [pipeline threadExecutionWidth];
    if (most < GPU_GROUP)
        return error_set(err, CLLM_ERR_DEVICE, "the GPU runs %zu threads of the kernel %s together, not the needed %d",
                         most, name, GPU_GROUP);
    if (device->simd && width != GPU_TEAM)
        return error_set(err, CLLM_ERR_DEVICE,
                         "the GPU runs the kernel %s in SIMD groups of %zu threads, not %d: set CLLM_METAL_SIMD=0",
                         name, width, GPU_TEAM);
    return CLLM_OK;
}

static cllm_status metal_kernel(gpu_device *device, const char *name, gpu_kernel **out, cllm_error *err) {
    cllm_status status = CLLM_OK;
    id<MTLComputePipelineState> pipeline = nil;
    *out = NULL;
    @autoreleasepool {
        NSError *error = nil;
        id<MTLFunction> function = [device->library newFunctionWithName:[NSString stringWithUTF8String:name]];
        if (function) pipeline = [device->metal newComputePipelineStateWithFunction:function error:&error];
        if (!function)
            status = error_set(err, CLLM_ERR_DEVICE, "the compiled kernels have none named %s", name);
        else if (!pipeline)
            status = error_set(err, CLLM_ERR_DEVICE, "Metal makes no pipeline of the kernel %s: %s", name,
                               description_of(error));
        else
            status = check_pipeline(device, pipeline, name, err);
        [function release];
        gpu_kernel *kernel = status ? NULL : calloc(1, sizeof *kernel);
        if (kernel) {
            *kernel = (gpu_kernel){pipeline, device->kernels};
            *out = device->kernels = kernel;
        } else {
            if (!status) status = error_set(err, CLLM_ERR_MEMORY, "no memory for the kernel %s", name);
            [pipeline release];
        }
    }
    return status;
}

/* ---------------------------------------------------------------------------------------------------------- buffers */

static cllm_status metal_allocate(gpu_device *device, uint64_t n_bytes, gpu_buffer **out, cllm_error *err) {
    cllm_status status = CLLM_OK;
    *out = NULL;
    @autoreleasepool {
        const uint64_t largest = [device->metal maxBufferLength], most = [device->metal recommendedMaxWorkingSetSize];
        if (n_bytes > largest)
            status = error_set(err, CLLM_ERR_DEVICE,
                               "a buffer of %" PRIu64 " bytes is larger than the GPU's largest of %" PRIu64, n_bytes,
                               largest);
        else if (most > 0 && n_bytes > memory_left(device->metal))
            status = error_set(err, CLLM_ERR_DEVICE,
                               "%" PRIu64 " bytes do not fit into the GPU's memory of %" PRIu64 ", of which %" PRIu64
                               " are taken: put fewer layers on the GPU",
                               n_bytes, most, (uint64_t)[device->metal currentAllocatedSize]);
        else /* Metal fills it with zeros */
            *out = (gpu_buffer *)[device->metal newBufferWithLength:n_bytes options:MTLResourceStorageModeShared];
        if (!status && !*out)
            status = error_set(err, CLLM_ERR_DEVICE,
                               "Metal gives no buffer of %" PRIu64 " bytes: put fewer layers on the GPU", n_bytes);
    }
    return status;
}

/* In place, which takes whole pages; or, where Metal refuses these, in a copy. */
static cllm_status metal_wrap(gpu_device *device, const void *bytes, uint64_t n_bytes, gpu_buffer **out,
                              uint32_t *offset, cllm_error *err) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)bytes / page * page,
                    end = ((uintptr_t)bytes + n_bytes + page - 1) / page * page;
    id<MTLBuffer> buffer = nil;
    @autoreleasepool {
        if (end - begin <= [device->metal maxBufferLength])
            buffer = [device->metal newBufferWithBytesNoCopy:(void *)begin
                                                      length:end - begin
                                                     options:MTLResourceStorageModeShared
                                                 deallocator:nil];
    }
    *out = (gpu_buffer *)buffer;
    *offset = (uint32_t)((uintptr_t)bytes - begin);
    if (buffer) return CLLM_OK;
    *offset = 0;
    const cllm_status status = metal_allocate(device, n_bytes, out, err);
    if (!status) memcpy([metal_buffer(*out) contents], bytes, n_bytes);
    return status;
}

static void metal_release(gpu_device *device, gpu_buffer *buffer) {
    (void)device;
    @autoreleasepool {
        [metal_buffer(buffer) release];
    }
}

/* ------------------------------------------------------------------------------------------- launching and waiting */

static void wait_for_submitted(gpu_device *device) {
    for (size_t i = 0; i < device->n_submitted; i++) {
        id<MTLCommandBuffer> commands = device->submitted[i];
        [commands waitUntilCompleted];
        if ([commands status] == MTLCommandBufferStatusError && !device->fault.status)
            error_set(&device->fault, CLLM_ERR_DEVICE, "the GPU failed: %s", description_of([commands error]));
        [commands release];
    }
    device->n_submitted = 0;
}

static void send(gpu_device *device) {
    if (!device->commands) return;
    if (device->n_submitted == MOST_SUBMITTED) wait_for_submitted(device);
    [device->encoder endEncoding];
    [device->commands commit];
    [device->encoder release];
    device->submitted[device->n_submitted++] = device->commands;
    device->encoder = nil;
    device->commands = nil;
}

static void finish(gpu_device *device) {
    send(device);
    wait_for_submitted(device);
}

static cllm_status fault_of(const gpu_device *device, cllm_error *err) {
    if (device->fault.status && err) *err = device->fault;
    return device->fault.status;
}

static cllm_status metal_submit(gpu_device *device, cllm_error *err) {
    @autoreleasepool {
        send(device);
    }
    return fault_of(device, err);
}

static cllm_status metal_sync(gpu_device *device, cllm_error *err) {
    @autoreleasepool {
        finish(device);
    }
    return fault_of(device, err);
}

/* A buffer's memory is the host's too, which may touch it when nothing that was launched is under way. Between tokens
 * nothing is: the last read has waited. */
static cllm_status metal_write(gpu_device *device, gpu_buffer *buffer, const void *bytes, size_t n_bytes,
                               cllm_error *err) {
    const cllm_status status = metal_sync(device, err);
    if (!status) memcpy([metal_buffer(buffer) contents], bytes, n_bytes);
    return status;
}

static cllm_status metal_read(gpu_device *device, gpu_buffer *buffer, void *bytes, size_t n_bytes, cllm_error *err) {
    const cllm_status status = metal_sync(device, err);
    if (!status) memcpy(bytes, [metal_buffer(buffer) contents], n_bytes);
    return status;
}

/* Is there an encoder, now at the latest? */
static bool begin(gpu_device *device) {
    if (device->fault.status) return false;
    if (device->encoder) return true;
    device->commands = [[device->queue commandBuffer] retain];
    device->encoder = [[device->commands computeCommandEncoder] retain];
    if (device->encoder) return true;
    [device->commands release];
    device->commands = nil;
    error_set(&device->fault, CLLM_ERR_DEVICE, "Metal takes no more commands: compute on the CPU");
    return false;
}

static void metal_launch(gpu_device *device, gpu_kernel *kernel, const uint32_t groups[3], gpu_buffer *const *buffers,
                         size_t n_buffers, const void *args, size_t args_bytes) {
    @autoreleasepool {
        if (begin(device)) {
            id<MTLComputeCommandEncoder> encoder = device->encoder;
            [encoder setComputePipelineState:kernel->pipeline];
            for (size_t i = 0; i < n_buffers; i++) [encoder setBuffer:metal_buffer(buffers[i]) offset:0 atIndex:i];
            [encoder setBytes:args length:args_bytes atIndex:n_buffers];
            [encoder dispatchThreadgroups:MTLSizeMake(groups[0], groups[1], groups[2])
                    threadsPerThreadgroup:MTLSizeMake(GPU_GROUP, 1, 1)];
        }
    }
}

const gpu_driver gpu_driver_metal = {
    .name = "metal",
    .open = metal_open,
    .close = metal_close,
    .compile = metal_compile,
    .kernel = metal_kernel,
    .allocate = metal_allocate,
    .wrap = metal_wrap,
    .release = metal_release,
    .write = metal_write,
    .read = metal_read,
    .launch = metal_launch,
    .submit = metal_submit,
    .sync = metal_sync,
};
