/* Stands in for Apple's Metal on Linux, to test driver_metal.m and the kernels without a Mac. It is strict: faults that
 * Metal's validation would report, and faults that would silently give wrong results on a GPU, end the program with a
 * message. Work runs only when the driver waits for it, so a missing wait shows.
 *
 * The environment (README.md in this folder lists it) chooses the device, its faults, and the order of the threads. */
#define _DEFAULT_SOURCE /* mincore */
#include "foundation.h"
#import <Metal/Metal.h>

#include "fibers.h"
#include "msl_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MOST_BYTES = 4096,   /* of setBytes */
    MOST_THREADS = 1024, /* of a group */
    MOST_COMMANDS = 64,  /* command buffers of a queue, not completed */
};

/* -------------------------------------------------------------------------------------------- the environment */

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* True if the environment asks for this fault. "fault:N" asks for it from the Nth time on. */
static bool fails(const char *fault, uint64_t times) {
    const char *wanted = getenv("LOOKALIKE_METAL_FAULT");
    const size_t length = strlen(fault);
    if (!wanted || strncmp(wanted, fault, length) != 0) return false;
    return wanted[length] == 0 || (wanted[length] == ':' && times >= strtoull(wanted + length + 1, NULL, 10));
}

static uint64_t memory(void) { return number_of("LOOKALIKE_METAL_MEMORY", (uint64_t)4 << 30); }

/* ---------------------------------------------------------------------------------------------------- buffers */

static uint64_t allocated; /* bytes of all buffers */

@interface LookalikeBuffer : NSObject <MTLBuffer> {
  @public
    char *bytes;
    NSUInteger length;
    BOOL owned;
    uint32_t waited_for; /* dispatches that use it and have not run yet */
}
@end
@implementation LookalikeBuffer
- (id)initWithBytes:(char *)memory_ length:(NSUInteger)length_ owned:(BOOL)owned_ {
    bytes = memory_;
    length = length_;
    owned = owned_;
    allocated += length;
    return self;
}
- (void *)contents {
    if (waited_for) fibers_fatal("the contents of a buffer are asked for before the work that uses it is waited for");
    return bytes;
}
- (NSUInteger)length {
    return length;
}
- (void)dealloc {
    allocated -= length;
    if (owned) free(bytes);
    [super dealloc];
}
@end

/* ------------------------------------------------------------------------------------- libraries and pipelines */

@implementation MTLCompileOptions
- (id)init {
    math_mode = 2;
    fast_math = YES;
    return self;
}
- (BOOL)respondsToSelector:(SEL)selector {
    if (sel_isEqual(selector, @selector(setMathMode:)) && fails("old", 0)) return NO;
    return [super respondsToSelector:selector];
}
- (void)setMathMode:(NSInteger)mode {
    if (fails("old", 0)) fibers_fatal("setMathMode: is called on a system that does not have it");
    math_mode = mode;
}
- (void)setFastMathEnabled:(BOOL)fast {
    fast_math = fast;
}
- (void)setLanguageVersion:(MTLLanguageVersion)version_ {
    version = version_;
}
- (int)checkedVersion {
    if (fast_math && math_mode != 0) fibers_fatal("the kernels are compiled with fast math on");
    if (version < MTLLanguageVersion2_3) fibers_fatal("no language version, or one too low for matrices");
    return (int)((version >> 16) * 100 + (version & 0xffff) * 10);
}
@end

@interface LookalikeFunction : NSObject <MTLFunction> {
  @public
    const msl_kernel *kernel;
}
@end
@implementation LookalikeFunction
@end

@interface LookalikeLibrary : NSObject <MTLLibrary> {
  @public
    msl_program *program;
}
@end
@implementation LookalikeLibrary
- (id<MTLFunction>)newFunctionWithName:(NSString *)name {
    foundation_need_pool("newFunctionWithName:");
    const msl_kernel *kernel = msl_find(program, [name UTF8String]);
    if (!kernel) return nil;
    LookalikeFunction *function = [LookalikeFunction new];
    function->kernel = kernel;
    return function;
}
@end

@interface LookalikePipeline : NSObject <MTLComputePipelineState> {
  @public
    const msl_kernel *kernel;
}
@end
@implementation LookalikePipeline
- (NSUInteger)maxTotalThreadsPerThreadgroup {
    return fails("threads", 0) ? 64 : MOST_THREADS;
}
- (NSUInteger)threadExecutionWidth {
    return fails("width", 0) ? 64 : FIBERS_TEAM;
}
@end

/* --------------------------------------------------------------------------------------------------- commands */

typedef struct dispatch {
    const msl_kernel *kernel;
    LookalikeBuffer *buffers[MSL_BUFFERS]; /* retained */
    void *addresses[MSL_BUFFERS];
    uint32_t groups[3], threads[3];
    struct dispatch *next;
} dispatch;

@class LookalikeQueue, LookalikeEncoder;

@interface LookalikeCommands : NSObject <MTLCommandBuffer> {
  @public
    LookalikeQueue *queue;
    LookalikeCommands *next; /* command buffers that were committed after it */
    LookalikeEncoder *encoder;
    dispatch *first, **end;
    MTLCommandBufferStatus status;
    NSError *error;
}
- (void)run;
@end

@interface LookalikeQueue : NSObject <MTLCommandQueue> {
  @public
    LookalikeCommands *committed; /* retained each, in their order */
    uint32_t n_open;              /* command buffers that are not completed */
}
@end

@interface LookalikeEncoder : NSObject <MTLComputeCommandEncoder> {
  @public
    LookalikeCommands *commands;
    const msl_kernel *kernel;
    LookalikeBuffer *buffers[MSL_BUFFERS]; /* retained */
    void *addresses[MSL_BUFFERS];
    BOOL ended;
}
@end

@implementation LookalikeEncoder
- (void)expectOpen:(const char *)method {
    foundation_need_pool(method);
    if (ended) fibers_fatal("%s comes after endEncoding", method);
}
- (void)setComputePipelineState:(id<MTLComputePipelineState>)state {
    [self expectOpen:"setComputePipelineState:"];
    if (!state) fibers_fatal("setComputePipelineState: gets nil");
    kernel = ((LookalikePipeline *)state)->kernel;
}
- (void)set:(LookalikeBuffer *)buffer address:(void *)address atIndex:(NSUInteger)index {
    if (index >= MSL_BUFFERS) fibers_fatal("index %lu of a buffer, more than 30", index);
    [buffers[index] release];
    buffers[index] = buffer;
    addresses[index] = address;
}
- (void)setBuffer:(id<MTLBuffer>)buffer_ offset:(NSUInteger)offset atIndex:(NSUInteger)index {
    LookalikeBuffer *buffer = (LookalikeBuffer *)buffer_;
    [self expectOpen:"setBuffer:offset:atIndex:"];
    if (!buffer) fibers_fatal("buffer %lu is nil", index);
    if (offset >= buffer->length) fibers_fatal("buffer %lu: offset %lu is not in it", index, offset);
    if (offset % 4 != 0) fibers_fatal("buffer %lu: offset %lu is no multiple of 4", index, offset);
    [self set:[buffer retain] address:buffer->bytes + offset atIndex:index];
}
- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
    [self expectOpen:"setBytes:length:atIndex:"];
    if (length == 0 || length > MOST_BYTES) fibers_fatal("setBytes: of %lu bytes, not 1 to %d", length, MOST_BYTES);
    char *copy = malloc(length);
    if (!copy) fibers_fatal("no memory");
    memcpy(copy, bytes, length);
    [self set:[[LookalikeBuffer alloc] initWithBytes:copy length:length owned:YES] address:copy atIndex:index];
}
/* Since the last dispatch, all buffers that the kernel takes must have been set, and no others. */
- (void)expectArguments {
    bool taken[MSL_BUFFERS] = {false};
    if (!kernel) fibers_fatal("a dispatch without a pipeline");
    for (size_t i = 0; i < kernel->n_parameters; i++) {
        const int index = kernel->indices[i];
        if (index < 0) continue;
        taken[index] = true;
        if (!buffers[index]) fibers_fatal("kernel %s: its buffer %d is not set", kernel->name, index);
        const char *end = buffers[index]->bytes + buffers[index]->length;
        if ((size_t)(end - (char *)addresses[index]) < kernel->sizes[i])
            fibers_fatal("kernel %s: its buffer %d has fewer than %zu bytes", kernel->name, index, kernel->sizes[i]);
    }
    for (int i = 0; i < MSL_BUFFERS; i++)
        if (buffers[i] && !taken[i]) fibers_fatal("kernel %s has no buffer %d, which is set", kernel->name, i);
}
- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)threads {
    [self expectOpen:"dispatchThreadgroups:threadsPerThreadgroup:"];
    [self expectArguments];
    const NSUInteger sizes[6] = {groups.width,  groups.height,  groups.depth,
                                 threads.width, threads.height, threads.depth};
    for (int i = 0; i < 6; i++)
        if (sizes[i] == 0 || sizes[i] > UINT32_MAX) fibers_fatal("kernel %s: a size of %lu", kernel->name, sizes[i]);
    if (threads.width * threads.height * threads.depth > MOST_THREADS)
        fibers_fatal("kernel %s: more than %d threads in a group", kernel->name, MOST_THREADS);
    dispatch *added = calloc(1, sizeof *added);
    if (!added) fibers_fatal("no memory");
    added->kernel = kernel;
    memcpy(added->addresses, addresses, sizeof addresses);
    for (int i = 0; i < 3; i++) {
        added->groups[i] = (uint32_t)sizes[i];
        added->threads[i] = (uint32_t)sizes[3 + i];
    }
    for (int i = 0; i < MSL_BUFFERS; i++) {
        added->buffers[i] = buffers[i];
        if (buffers[i]) buffers[i]->waited_for++;
        buffers[i] = nil;
    }
    *commands->end = added;
    commands->end = &added->next;
}
- (void)endEncoding {
    [self expectOpen:"endEncoding"];
    ended = YES;
    commands->encoder = nil;
}
- (void)dealloc {
    if (!ended) fibers_fatal("an encoder is released before endEncoding");
    for (int i = 0; i < MSL_BUFFERS; i++) [buffers[i] release];
    [super dealloc];
}
@end

@implementation LookalikeCommands
- (id)initOn:(LookalikeQueue *)queue_ {
    queue = [queue_ retain];
    queue->n_open++;
    end = &first;
    return self;
}
- (id<MTLComputeCommandEncoder>)computeCommandEncoder {
    foundation_need_pool("computeCommandEncoder");
    if (encoder) fibers_fatal("a second encoder before endEncoding of the first");
    if (status != MTLCommandBufferStatusNotEnqueued) fibers_fatal("an encoder for commands that are committed");
    if (fails("encoder", 0)) return nil;
    encoder = [LookalikeEncoder new];
    encoder->commands = self;
    return [encoder autorelease];
}
- (void)commit {
    foundation_need_pool("commit");
    if (encoder) fibers_fatal("commit before endEncoding");
    if (status != MTLCommandBufferStatusNotEnqueued) fibers_fatal("commands are committed twice");
    status = MTLCommandBufferStatusCommitted;
    LookalikeCommands **last = &queue->committed;
    while (*last) last = &(*last)->next;
    *last = [self retain];
}
- (void)fail:(const char *)why {
    status = MTLCommandBufferStatusError;
    error = [foundation_error(why) retain];
}
- (void)run {
    static uint64_t times;
    times++;
    if (fails("command", times))
        [self fail:"Caused GPU Hang Error (00000003:kIOGPUCommandBufferCallbackErrorHang)"];
    else if (allocated > memory())
        [self fail:"Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"];
    while (first) {
        dispatch *done = first;
        first = done->next;
        if (status != MTLCommandBufferStatusError)
            msl_run(done->kernel, done->addresses, done->groups, done->threads,
                    number_of("LOOKALIKE_METAL_REVERSE", 0) != 0);
        for (int i = 0; i < MSL_BUFFERS; i++) {
            if (done->buffers[i]) done->buffers[i]->waited_for--;
            [done->buffers[i] release];
        }
        free(done);
    }
    if (status != MTLCommandBufferStatusError) status = MTLCommandBufferStatusCompleted;
    queue->n_open--;
}
- (void)waitUntilCompleted {
    foundation_need_pool("waitUntilCompleted");
    if (status == MTLCommandBufferStatusNotEnqueued) fibers_fatal("waitUntilCompleted before commit");
    while (status == MTLCommandBufferStatusCommitted) {
        LookalikeCommands *oldest = queue->committed;
        queue->committed = oldest->next;
        [oldest run];
        [oldest release];
    }
}
- (MTLCommandBufferStatus)status {
    return status;
}
- (NSError *)error {
    return error;
}
- (void)dealloc {
    if (status == MTLCommandBufferStatusNotEnqueued) {
        if (first) fibers_fatal("commands are released that were never committed");
        queue->n_open--;
    }
    [queue release];
    [error release];
    [super dealloc];
}
@end

@implementation LookalikeQueue
- (id<MTLCommandBuffer>)commandBuffer {
    foundation_need_pool("commandBuffer");
    if (n_open >= MOST_COMMANDS) fibers_fatal("more than %d command buffers: Metal would wait forever", MOST_COMMANDS);
    if (fails("commands", 0)) return nil;
    return [[[LookalikeCommands alloc] initOn:self] autorelease];
}
@end

/* -------------------------------------------------------------------------------------------------- the device */

@interface LookalikeDevice : NSObject <MTLDevice> {
  @public
    uint64_t number; /* 0: this is the default device */
}
@end
@implementation LookalikeDevice
- (NSString *)name {
    char name[64] = "Look-alike of Metal";
    if (number > 0) snprintf(name, sizeof name, "Look-alike %u of Metal", (unsigned)number);
    return [NSString stringWithUTF8String:name];
}
- (uint64_t)registryID {
    return 0x100000000 + number;
}
- (NSUInteger)maxBufferLength {
    return number_of("LOOKALIKE_METAL_LARGEST", memory() / 2);
}
- (uint64_t)recommendedMaxWorkingSetSize {
    return memory();
}
- (NSUInteger)currentAllocatedSize {
    return allocated;
}
- (BOOL)supportsFamily:(MTLGPUFamily)family {
    return family >= MTLGPUFamilyApple1 &&
           family < MTLGPUFamilyApple1 + (MTLGPUFamily)number_of("LOOKALIKE_METAL_FAMILY", 5);
}
- (id<MTLCommandQueue>)newCommandQueue {
    foundation_need_pool("newCommandQueue");
    return fails("queue", 0) ? nil : [LookalikeQueue new];
}
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
    static uint64_t times;
    foundation_need_pool("newBufferWithLength:options:");
    if (length == 0 || length > [self maxBufferLength]) fibers_fatal("a buffer of %lu bytes", length);
    if (options != MTLResourceStorageModeShared) fibers_fatal("a buffer that the host cannot see");
    times++;
    if (fails("allocate", times)) return nil;
    void *bytes = calloc(1, length);
    if (!bytes) return nil;
    return [[LookalikeBuffer alloc] initWithBytes:bytes length:length owned:YES];
}
- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void *)bytes
                                   length:(NSUInteger)length
                                  options:(MTLResourceOptions)options
                              deallocator:(void (^)(void *bytes, NSUInteger length))deallocator {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    foundation_need_pool("newBufferWithBytesNoCopy:length:options:deallocator:");
    if ((uintptr_t)bytes % page != 0 || length % page != 0)
        fibers_fatal("newBufferWithBytesNoCopy: of memory that is not whole pages");
    if (length == 0 || length > [self maxBufferLength]) fibers_fatal("a buffer of %lu bytes", length);
    if (options != MTLResourceStorageModeShared || deallocator)
        fibers_fatal("options that the look-alike does not know");
    unsigned char *present = malloc(length / page);
    const bool mapped = present && mincore(bytes, length, present) == 0;
    free(present);
    if (!mapped || fails("nocopy", 0)) return nil;
    return [[LookalikeBuffer alloc] initWithBytes:bytes length:length owned:NO];
}
- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)options error:(NSError **)error {
    foundation_need_pool("newLibraryWithSource:options:error:");
    if (!options) fibers_fatal("kernels are compiled without options");
    char *log = NULL;
    msl_program *program = NULL;
    if (fails("library", 0))
        log = strdup("Compilation failed: \n\nprogram_source:7:3: error: a fault that was asked for\n  x;\n  ^\n");
    else
        program = msl_compile([source UTF8String], [options checkedVersion], &log);
    if (!program && error) *error = foundation_error(log);
    free(log);
    if (!program) return nil;
    LookalikeLibrary *library = [LookalikeLibrary new];
    library->program = program;
    return library;
}
- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function error:(NSError **)error {
    foundation_need_pool("newComputePipelineStateWithFunction:error:");
    if (!function) fibers_fatal("a pipeline of no function");
    if (fails("pipeline", 0)) {
        if (error) *error = foundation_error("Compiler encountered an internal error");
        return nil;
    }
    LookalikePipeline *pipeline = [LookalikePipeline new];
    pipeline->kernel = ((LookalikeFunction *)function)->kernel;
    return pipeline;
}
@end

id<MTLDevice> MTLCreateSystemDefaultDevice(void) {
    return fails("device", 0) || fails("default", 0) ? nil : [LookalikeDevice new];
}

/* The default device comes last. */
NSArray<id<MTLDevice>> *MTLCopyAllDevices(void) {
    enum { MOST = 8 };
    LookalikeDevice *devices[MOST];
    uint64_t n = fails("device", 0) ? 0 : number_of("LOOKALIKE_METAL_DEVICES", 1);
    if (n > MOST) n = MOST;
    for (uint64_t i = 0; i < n; i++) {
        devices[i] = [LookalikeDevice new];
        devices[i]->number = n - 1 - i;
    }
    NSArray *all = foundation_array(devices, n);
    for (uint64_t i = 0; i < n; i++) [devices[i] release];
    return all;
}
