/* What the tests of kernels share, except the reference decoder. */
#include "kernels/kernel_tests.h"

#include "base/half.h"

#include <stdlib.h>
#include <string.h>

const cpu_kernels *kernels;

const struct computed_type types[N_TYPES] = {
#define X(name, number, elements, bytes) {#name, QUANT_##name, elements, bytes},
    COMPUTE_TYPES(X)
#undef X
};

void assert_within(const float *got, const float *want, size_t n, double limit, const char *what) {
    double error = nmse(got, want, n);
    if (!(error <= limit)) fail_msg("%s, %zu values: NMSE %.3g is above %.3g", what, n, error, limit);
}

void assert_close(const float *got, const float *want, size_t n, const char *what) {
    assert_within(got, want, n, FLOAT_LIMIT, what);
}

enum { GUARD = 16 };
#define POISON 0xFFC0DEADu /* a NaN: read and used, it would show in the result */

float *guarded_new(size_t n) {
    float *base = malloc((n + 2 * GUARD) * sizeof *base);
    assert_non_null(base);
    for (size_t i = 0; i < n + 2 * GUARD; i++) base[i] = float_from_bits(POISON);
    return base + GUARD;
}

int is_poison(const float *value) {
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    return bits == POISON;
}

void guarded_free(float *data, size_t n) {
    for (size_t i = 0; i < GUARD; i++)
        if (!is_poison(data - 1 - i) || !is_poison(data + n + i)) fail_msg("written outside a buffer of %zu floats", n);
    free(data - GUARD);
}

uint8_t *aligned_new(size_t n_bytes) {
    const size_t whole = (n_bytes + 63) / 64 * 64 + 128;
    uint8_t *base = aligned_alloc(64, whole);
    assert_non_null(base);
    memset(base, 0xFF, whole);
    return base + 64;
}

void aligned_free(uint8_t *data, size_t n_bytes) {
    for (size_t i = 0; i < 64; i++)
        if (data[-1 - (ptrdiff_t)i] != 0xFF || data[n_bytes + i] != 0xFF)
            fail_msg("written outside a buffer of %zu bytes", n_bytes);
    free(data - 64);
}

float *random_floats(size_t n, uint64_t *random) {
    float *x = guarded_new(n);
    for (size_t i = 0; i < n; i++) x[i] = random_float(random);
    return x;
}
