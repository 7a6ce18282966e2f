/* Implements gpu_launch.h. */
#include "support/gpu_launch.h"

#include "support/check.h"

#include "base/half.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POISON_HALF 0xFEADu

typedef struct expectation {
    double value, tolerance; /* tolerance below 0: the element must not change */
} expectation;

/* ------------------------------------------------------------------------------------------------ the device */

void open_device(device_under_test *d, const gpu_driver *driver, cllm_kv_type kv_type, const kernel_variant *variants,
                 uint32_t n_variants, uint32_t *indices) {
    *d = (device_under_test){.driver = driver, .kv_type = kv_type};
    cllm_status status = driver->open(0, &d->device, &d->properties, &d->err);
    if (status != CLLM_OK) {
        printf("# %s: %s\n", driver->name, d->err.message);
        return;
    }
    printf("# %s: %s\n", driver->name, d->properties.name);
    for (uint32_t i = 0; i < n_variants && status == CLLM_OK; i++) {
        uint32_t index;
        status = program_add(&d->program, &variants[i], &index, &d->err);
        if (indices) indices[i] = index;
    }
    if (status == CLLM_OK) status = program_compile(&d->program, driver, d->device, &d->properties, kv_type, &d->err);
    d->err.status = status;
}

void close_device(device_under_test *d) {
    d->driver->close(d->device);
    program_free(&d->program);
}

void device_here(const device_under_test *d) {
    if (!d->device && d->err.status == CLLM_ERR_DEVICE) {
        printf("# no device of %s: %s\n", d->driver->name, d->err.message);
        skip();
    }
    assert_ok(d->err.status, &d->err);
}

gpu_buffer *buffer_of(device_under_test *d, const void *bytes, size_t n_bytes) {
    gpu_buffer *buffer = NULL;
    assert_ok(d->driver->allocate(d->device, n_bytes ? n_bytes : 1, &buffer, &d->err), &d->err);
    assert_ok(d->driver->write(d->device, buffer, bytes, n_bytes, &d->err), &d->err);
    return buffer;
}

void release(device_under_test *d, gpu_buffer *buffer) { d->driver->release(d->device, buffer); }

float *poisoned_floats(size_t n) {
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = float_from_bits(POISON);
    return x;
}

/* ------------------------------------------------------------------------------------------- watched buffers */

static size_t bytes_of(const watched *w) { return w->n * (w->half ? sizeof(uint16_t) : sizeof(float)); }

watched watch(device_under_test *d, size_t n, bool half) {
    watched w = {.n = n, .half = half, .expected = malloc(n * sizeof *w.expected)};
    w.before = malloc(bytes_of(&w));
    w.after = malloc(bytes_of(&w));
    assert_true(w.expected && w.before && w.after);
    for (size_t i = 0; i < n; i++) {
        w.expected[i] = (expectation){0, -1};
        if (half)
            ((uint16_t *)w.before)[i] = POISON_HALF;
        else
            ((float *)w.before)[i] = float_from_bits(POISON);
    }
    assert_ok(d->driver->allocate(d->device, bytes_of(&w), &w.buffer, &d->err), &d->err);
    return w;
}

void unwatch(device_under_test *d, watched *w) {
    release(d, w->buffer);
    free(w->before);
    free(w->after);
    free(w->expected);
}

void set_before(watched *w, size_t i, float value) {
    assert_true(i < w->n);
    if (w->half)
        ((uint16_t *)w->before)[i] = f16_from_f32(value);
    else
        ((float *)w->before)[i] = value;
}

void expect(watched *w, size_t i, double value, double tolerance) {
    assert_true(i < w->n);
    w->expected[i] = (expectation){value, tolerance};
}

void expect_anything(watched *w, size_t i) { expect(w, i, 0, INFINITY); }

void prepare(device_under_test *d, watched *w) {
    assert_ok(d->driver->write(d->device, w->buffer, w->before, bytes_of(w), &d->err), &d->err);
}

void look(device_under_test *d, watched *w) {
    memset(w->after, 0x5A, bytes_of(w));
    assert_ok(d->driver->read(d->device, w->buffer, w->after, bytes_of(w), &d->err), &d->err);
}

static float element(const watched *w, const void *elements, size_t i) {
    return w->half ? f32_from_f16(((const uint16_t *)elements)[i]) : ((const float *)elements)[i];
}

void assert_as_expected(const watched *w, const char *what) {
    const size_t size = w->half ? sizeof(uint16_t) : sizeof(float);
    for (size_t i = 0; i < w->n; i++) {
        const expectation *e = &w->expected[i];
        const double got = (double)element(w, w->after, i);
        if (e->tolerance < 0) {
            if (memcmp((const char *)w->before + i * size, (const char *)w->after + i * size, size) != 0)
                fail_msg("%s: element %zu of %zu was written, %.9g, which is not the kernel's", what, i, w->n, got);
        } else if (!(fabs(got - e->value) <= e->tolerance)) {
            fail_msg("%s: element %zu of %zu is %.9g, which should be %.9g (%.2g off, where %.2g is allowed)", what, i,
                     w->n, got, e->value, fabs(got - e->value), e->tolerance);
        }
    }
}

/* -------------------------------------------------------------------------------------------------- launches */

void run(device_under_test *d, const launch *l) {
    d->driver->launch(d->device, d->program.kernels[l->kernel].kernel, l->groups, l->buffers, l->n_buffers, l->args,
                      l->args_bytes);
}

void run_and_check(device_under_test *d, const launch *l, watched *const *outputs, size_t n_outputs, const char *what) {
    for (size_t i = 0; i < n_outputs; i++) prepare(d, outputs[i]);
    run(d, l);
    for (size_t i = 0; i < n_outputs; i++) {
        look(d, outputs[i]);
        assert_as_expected(outputs[i], what);
        prepare(d, outputs[i]);
    }
    run(d, l);
    for (size_t i = 0; i < n_outputs; i++) {
        void *first = malloc(bytes_of(outputs[i]));
        assert_non_null(first);
        memcpy(first, outputs[i]->after, bytes_of(outputs[i]));
        look(d, outputs[i]);
        if (memcmp(first, outputs[i]->after, bytes_of(outputs[i])) != 0)
            fail_msg("%s: a second run gave other bits", what);
        free(first);
    }
}
