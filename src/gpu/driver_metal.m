/* The driver for Apple's GPUs, with the Metal framework. Before: forward_gpu.c, through the table in driver.h. After:
 * the framework, whose names begin with MTL (https://developer.apple.com/documentation/metal).
 *
 * One encoder collects launches in a command buffer until submit, or a call that waits, sends it to the GPU. The
 * encoder runs the launches one after another. Buffers are in memory that GPU and CPU share: weights stay in the mapped
 * file, and reading is a memcpy.
 *
 * Objects are retained and released by hand, so that a compiler without Apple's runtime can build this file too.
 * Objects that alloc, new or copy returned are ours; others are retained if they outlive the autorelease pool of the
 * call.
 *
 * CLLM_METAL_SIMD in the environment: with 0, the kernels do not use the functions of SIMD groups. With 1, they use
 * them even if the device does not report that it has them; in a virtual machine it may not report them. */
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include "gpu/driver_common.h"

#include <unistd.h>

struct gpu_device {
    id<MTLDevice> metal;
    id<MTLCommandQueue> queue;
    id<MTLLibrary> library;
    id<MTLCommandBuffer> commands; /* launches are being collected in it; or nil */
    id<MTLComputeCommandEncoder> encoder;
    id<MTLCommandBuffer> submitted; /* the last one sent, if nothing has waited for it; or nil */
    gpu_kernel *kernels;
    bool simd;
    cllm_error failure; /* the first, or CLLM_OK */
};

/* A gpu_buffer is the MTLBuffer itself. */
static id<MTLBuffer> metal_buffer(gpu_buffer *buffer) { return (id<MTLBuffer>)buffer; }

/* Declared here, because every version of the SDK warns about one of the two: it is missing or deprecated. */
@protocol math_options
- (void)setMathMode:(NSInteger)mode;   /* since macOS 15 */
- (void)setFastMathEnabled:(BOOL)fast; /* until then */
@end
enum { MATH_MODE_SAFE = 0 };

static const char *description_of(NSError *error) {
    const char *text = [[error localizedDescription] UTF8String];
    return text ? text : "Metal gives no reason";
}

static void wait_for(gpu_device *device, id<MTLCommandBuffer> commands) {
    [commands waitUntilCompleted];
    if ([commands status] == MTLCommandBufferStatusError && !device->failure.status)
        error_set(&device->failure, CLLM_ERR_DEVICE, "the GPU failed: %s", description_of([commands error]));
    [commands release];
}

/* Send what was collected, then wait for what was sent before it: the GPU always has work. */
static void send(gpu_device *device) {
    if (!device->commands) return;
    id<MTLCommandBuffer> before = device->submitted;
    [device->encoder endEncoding];
    [device->commands commit];
    [device->encoder release];
    device->submitted = device->commands;
    device->encoder = nil;
    device->commands = nil;
    if (before) wait_for(device, before);
}

static void finish(gpu_device *device) {
    send(device);
    if (device->submitted) wait_for(device, device->submitted);
    device->submitted = nil;
}

static cllm_status metal_submit(gpu_device *device, cllm_error *err) {
    @autoreleasepool {
        send(device);
    }
    return returned(&device->failure, err);
}

static cllm_status metal_sync(gpu_device *device, cllm_error *err) {
    @autoreleasepool {
        finish(device);
    }
    return returned(&device->failure, err);
}

/* Make an encoder if there is none. Returns false if that, or anything before it, failed. */
static bool begin(gpu_device *device) {
    if (device->failure.status) return false;
    if (device->encoder) return true;
    device->commands = [[device->queue commandBuffer] retain];
    device->encoder = [[device->commands computeCommandEncoder] retain];
    if (device->encoder) return true;
    [device->commands release];
    device->commands = nil;
    error_set(&device->failure, CLLM_ERR_DEVICE, "Metal accepts no more commands: compute on the CPU");
    return false;
}

static void metal_launch(gpu_device *device, gpu_kernel *kernel, const uint32_t groups[3], gpu_buffer *const *buffers,
                         size_t n_buffers, const void *args, size_t args_bytes) {
    @autoreleasepool {
        if (!begin(device)) return;
        id<MTLComputeCommandEncoder> encoder = device->encoder;
        [encoder setComputePipelineState:(id<MTLComputePipelineState>)kernel->handle];
        for (size_t i = 0; i < n_buffers; i++) [encoder setBuffer:metal_buffer(buffers[i]) offset:0 atIndex:i];
        [encoder setBytes:args length:args_bytes atIndex:n_buffers];
        [encoder dispatchThreadgroups:MTLSizeMake(groups[0], groups[1], groups[2])
                threadsPerThreadgroup:MTLSizeMake(GPU_GROUP, 1, 1)];
    }
}

static void metal_close(gpu_device *device) {
    if (!device) return;
    @autoreleasepool {
        finish(device);
        while (device->kernels) [(id<MTLComputePipelineState>)remove_kernel(&device->kernels) release];
        [device->library release];
        [device->queue release];
        [device->metal release];
    }
    free(device);
}

/* Find a device: owned, or nil. The default device is number 0, and the others follow. count: out, how many were
 * counted until it was found. A process outside of a desktop session may have devices, but no default one. */
static id<MTLDevice> find_device(uint32_t index, size_t *count) {
    id<MTLDevice> first = MTLCreateSystemDefaultDevice(), found = nil;
    *count = first ? 1 : 0;
    if (first && index == 0) return first;
    NSArray<id<MTLDevice>> *all = MTLCopyAllDevices();
    for (NSUInteger i = 0; !found && i < [all count]; i++) {
        id<MTLDevice> other = [all objectAtIndex:i];
        if (first && [other registryID] == [first registryID]) continue;
        if (*count == index) found = [other retain];
        *count += 1;
    }
    [all release];
    [first release];
    return found;
}

/* Bytes that can still be allocated; UINT64_MAX: unknown. */
static uint64_t memory_left(id<MTLDevice> metal) {
    const uint64_t most = [metal recommendedMaxWorkingSetSize], taken = [metal currentAllocatedSize];
    if (most == 0) return UINT64_MAX;
    return most > taken ? most - taken : 1;
}

/* Check the device and fill in its properties. n_devices: as counted by find_device. */
static cllm_status describe(gpu_device *device, uint32_t index, size_t n_devices, gpu_properties *properties,
                            cllm_error *err) {
    const char *name = [[device->metal name] UTF8String], *forced = getenv("CLLM_METAL_SIMD");
    const uint64_t left = memory_left(device->metal);
    if (n_devices == 0)
        return DEVICE_ERROR("Metal finds no GPU: this machine has none, or keeps it from this process; use the CPU");
    if (!device->metal) return check_index(&gpu_driver_metal, n_devices, index, err);
    if (!device->queue)
        return DEVICE_ERROR("Metal gives no command queue on %s: end other programs that use the GPU, or use the CPU",
                            name);
    *properties = (gpu_properties){.is_gpu = true, .largest_buffer = [device->metal maxBufferLength]};
    if (name) strncpy(properties->name, name, sizeof properties->name - 1);
    if (left != UINT64_MAX) properties->free_memory = left;
    device->simd = forced && *forced ? strcmp(forced, "0") != 0 : [device->metal supportsFamily:MTLGPUFamilyApple7];
    properties->simd = properties->matrices = device->simd;
    return CLLM_OK;
}

static cllm_status metal_open(uint32_t index, gpu_device **out, gpu_properties *properties, cllm_error *err) {
    cllm_status status;
    size_t n_devices;
    gpu_device *device = calloc(1, sizeof *device);
    if (!device) return error_set(err, CLLM_ERR_MEMORY, "no memory for a Metal device");
    @autoreleasepool {
        device->metal = find_device(index, &n_devices);
        device->queue = [device->metal newCommandQueue];
        status = describe(device, index, n_devices, properties, err);
    }
    if (status) metal_close(device);
    *out = status ? NULL : device;
    return status;
}

static cllm_status metal_compile(gpu_device *device, const char *text, cllm_error *err) {
    @autoreleasepool {
        MTLCompileOptions *options = [[[MTLCompileOptions alloc] init] autorelease];
        id<math_options> math = (id<math_options>)options;
        if ([options respondsToSelector:@selector(setMathMode:)])
            [math setMathMode:MATH_MODE_SAFE];
        else
            [math setFastMathEnabled:NO];
        [options setLanguageVersion:MTLLanguageVersion2_4];
        NSError *error = nil;
        NSString *string = [NSString stringWithUTF8String:text];
        device->library = [device->metal newLibraryWithSource:string options:options error:&error];
        if (device->library) return CLLM_OK;
        const char *said = description_of(error);
        const int length = first_complaint(&said);
        return DEVICE_ERROR("Metal cannot compile the kernels: %.*s", length, said);
    }
}

static cllm_status metal_kernel(gpu_device *device, const char *name, gpu_kernel **out, cllm_error *err) {
    @autoreleasepool {
        NSError *error = nil;
        id<MTLFunction> function = [device->library newFunctionWithName:[NSString stringWithUTF8String:name]];
        if (!function) return DEVICE_ERROR("the compiled kernels have none named %s", name);
        id<MTLComputePipelineState> pipeline = [device->metal newComputePipelineStateWithFunction:function
                                                                                            error:&error];
        [function release];
        if (!pipeline)
            return DEVICE_ERROR("Metal cannot make a pipeline of the kernel %s: %s", name, description_of(error));
        cllm_status status;
        const size_t width = [pipeline threadExecutionWidth], most = [pipeline maxTotalThreadsPerThreadgroup];
        if (device->simd && width != GPU_TEAM)
            status = DEVICE_ERROR("the GPU runs the kernel %s in SIMD groups of %zu, not %d: set CLLM_METAL_SIMD=0",
                                  name, width, GPU_TEAM);
        else
            status = add_kernel(&device->kernels, name, pipeline, most, out, err);
        if (status) [pipeline release];
        return status;
    }
}

/* Metal fills a new buffer with zeros. */
static cllm_status metal_allocate(gpu_device *device, uint64_t n_bytes, gpu_buffer **out, cllm_error *err) {
    *out = NULL;
    @autoreleasepool {
        const uint64_t largest = [device->metal maxBufferLength], left = memory_left(device->metal);
        if (n_bytes <= largest && n_bytes <= left)
            *out = (gpu_buffer *)[device->metal newBufferWithLength:n_bytes options:MTLResourceStorageModeShared];
        if (*out) return CLLM_OK;
        return DEVICE_ERROR("Metal gives no buffer of %llu bytes, with %llu left and %llu for the largest buffer: put "
                            "fewer layers on the GPU",
                            (unsigned long long)n_bytes, (unsigned long long)left, (unsigned long long)largest);
    }
}

/* In place, which needs whole pages. If Metal refuses, the bytes are copied. */
static cllm_status metal_wrap(gpu_device *device, const void *bytes, uint64_t n_bytes, gpu_buffer **out,
                              uint32_t *offset, cllm_error *err) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)bytes / page * page,
                    end = ((uintptr_t)bytes + n_bytes + page - 1) / page * page;
    *out = NULL;
    *offset = (uint32_t)((uintptr_t)bytes - begin);
    @autoreleasepool {
        if (end - begin <= [device->metal maxBufferLength])
            *out = (gpu_buffer *)[device->metal newBufferWithBytesNoCopy:(void *)begin
                                                                  length:end - begin
                                                                 options:MTLResourceStorageModeShared
                                                             deallocator:nil];
    }
    if (*out) return CLLM_OK;
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

/* The host may touch a buffer only while the GPU is idle, so this waits. Between tokens that costs nothing: the last
 * read has waited already. */
static cllm_status metal_write(gpu_device *device, gpu_buffer *buffer, const void *bytes, size_t n, cllm_error *err) {
    const cllm_status status = metal_sync(device, err);
    if (!status) memcpy([metal_buffer(buffer) contents], bytes, n);
    return status;
}

static cllm_status metal_read(gpu_device *device, gpu_buffer *buffer, void *bytes, size_t n, cllm_error *err) {
    const cllm_status status = metal_sync(device, err);
    if (!status) memcpy(bytes, [metal_buffer(buffer) contents], n);
    return status;
}

/* In the order of driver.h. */
const gpu_driver gpu_driver_metal = {"metal",        metal_open,   metal_close,   metal_compile, metal_kernel,
                                     metal_allocate, metal_wrap,   metal_release, metal_write,   metal_read,
                                     metal_launch,   metal_submit, metal_sync};
