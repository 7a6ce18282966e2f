/* For tests of the GPU's kernels: a device with a program, launches on it, and buffers that know what a kernel
 * should have written, and find what else it wrote. A test says what it expects element by element, launches, and
 * checks. */
#ifndef SUPPORT_GPU_LAUNCH_H
#define SUPPORT_GPU_LAUNCH_H

#include "gpu/program.h"

typedef struct device_under_test {
    const gpu_driver *driver;
    gpu_device *device; /* NULL: there is none */
    gpu_properties properties;
    gpu_program program;
    cllm_kv_type kv_type;
    cllm_error err; /* why there is no device, or no program */
} device_under_test;

/* Open a device, with a program of the variants. indices: out, [n_variants] or NULL, their indices in it. device_here()
 * reports what goes wrong. */
void open_device(device_under_test *d, const gpu_driver *driver, cllm_kv_type kv_type, const kernel_variant *variants,
                 uint32_t n_variants, uint32_t *indices);
void close_device(device_under_test *d);

/* Skip the test with the driver's message if there is no device. Fail if the program does not compile. */
void device_here(const device_under_test *d);

/* A buffer of the device with a copy of these bytes. n_bytes may be 0. */
gpu_buffer *buffer_of(device_under_test *d, const void *bytes, size_t n_bytes);
void release(device_under_test *d, gpu_buffer *buffer);

#define POISON 0xFFC0DEADu /* a NaN: if a kernel uses it, its result shows it */
float *poisoned_floats(size_t n);

/* What a kernel writes to: floats, or halfs. */
typedef struct watched {
    size_t n;
    bool half;
    gpu_buffer *buffer;
    void *before, *after;         /* [n] the content before the launch, at first poison; and the content now */
    struct expectation *expected; /* [n] */
} watched;

watched watch(device_under_test *d, size_t n, bool half);
void unwatch(device_under_test *d, watched *w);
void set_before(watched *w, size_t i, float value);

/* Expect that element i becomes `value`, within `tolerance`. Elements without an expectation must not change. */
void expect(watched *w, size_t i, double value, double tolerance);
void expect_anything(watched *w, size_t i);

typedef struct launch {
    uint32_t kernel; /* index into the program */
    uint32_t groups[3];
    gpu_buffer *buffers[GPU_MOST_BUFFERS];
    size_t n_buffers;
    const void *args;
    size_t args_bytes;
} launch;

void run(device_under_test *d, const launch *l);

/* prepare: write the content before the launch; look: read the content after it. */
void prepare(device_under_test *d, watched *w);
void look(device_under_test *d, watched *w);

/* Check that everything is as expected. what: names the launch in messages. */
void assert_as_expected(const watched *w, const char *what);

/* Prepare, run, look, and check that everything is as expected; then check that a second run gives the same bits. */
void run_and_check(device_under_test *d, const launch *l, watched *const *outputs, size_t n_outputs, const char *what);

#endif
