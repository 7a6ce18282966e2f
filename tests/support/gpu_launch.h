/* For tests of the GPU's kernels: a device with a program, launches on it, and buffers that know what a kernel
 * should have written, and find what else it wrote. A test says what it expects element by element, launches, and
 * checks. */
#ifndef SUPPORT_GPU_LAUNCH_H
#define SUPPORT_GPU_LAUNCH_H

#include "gpu/program.h"

typedef struct device_under_test {
    const gpu_driver *driver;
    gpu_device *device; /* NULL: none is here */
    gpu_properties properties;
    gpu_program program;
    cllm_kv_type kv_type;
    cllm_error err; /* why there is none, or no program */
} device_under_test;

/* Open, with the variants as a program; *indices: out, [n_variants] or NULL, their places in it. What goes wrong is told by
 * device_here(). */
void open_device(device_under_test *d, const gpu_driver *driver, cllm_kv_type kv_type, const kernel_variant *variants,
                 uint32_t n_variants, uint32_t *indices);
void close_device(device_under_test *d);

/* The device, or the test is skipped, with the driver's message; it fails if the program does not compile. */
void device_here(const device_under_test *d);

/* A buffer of the device with a copy of these. n_bytes may be 0. */
gpu_buffer *buffer_of(device_under_test *d, const void *bytes, size_t n_bytes);
void release(device_under_test *d, gpu_buffer *buffer);

#define POISON 0xFFC0DEADu /* a NaN: read and used, it would show in the result */
float *poisoned_floats(size_t n);

/* What a kernel writes to: floats, or halfs. */
typedef struct watched {
    size_t n;
    bool half;
    gpu_buffer *buffer;
    void *before, *after;         /* [n] what lay there before the launch, at first poison; and what lies there now */
    struct expectation *expected; /* [n] */
} watched;

watched watch(device_under_test *d, size_t n, bool half);
void unwatch(device_under_test *d, watched *w);
void set_before(watched *w, size_t i, float value);

/* Element i will be value, at most `tolerance` off. What is expected of no element is that it stays. */
void expect(watched *w, size_t i, double value, double tolerance);
void expect_anything(watched *w, size_t i);

typedef struct launch {
    uint32_t kernel; /* its place in the program */
    uint32_t groups[3];
    gpu_buffer *buffers[GPU_MOST_BUFFERS];
    size_t n_buffers;
    const void *args;
    size_t args_bytes;
} launch;

void run(device_under_test *d, const launch *l);

/* Write what lay there before; read what lies there after. */
void prepare(device_under_test *d, watched *w);
void look(device_under_test *d, watched *w);

/* That all is as expected. what: of the launch, for the message. */
void assert_as_expected(const watched *w, const char *what);

/* Prepare, run, look, and check that all is as expected; and then that a second run gives the same bits. */
void run_and_check(device_under_test *d, const launch *l, watched *const *outputs, size_t n_outputs, const char *what);

#endif
