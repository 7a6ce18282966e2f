/* Tests norms, sums, activations, RoPE, and the rounding of vectors. */
#include "kernels/kernel_tests.h"

#include "base/half.h"

#include <math.h>
#include <stdlib.h>

/* Lengths with every tail, and one of a real model. */
static const size_t lengths[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257, 4096};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

void rms_norm_is_right_and_works_in_place(void **state) {
    (void)state;
    uint64_t random = 7;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *x = random_floats(n, &random), *weight = random_floats(n, &random);
        float *out = guarded_new(n), *want = guarded_new(n);
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
        for (size_t i = 0; i < n; i++)
            want[i] = (float)((double)x[i] / sqrt(sum / (double)n + 0.0625) * (double)weight[i]);
        kernels->rms_norm(x, weight, 0.0625f, n, out);
        assert_close(out, want, n, "rms_norm");
        kernels->rms_norm(x, weight, 0.0625f, n, x);
        assert_memory_equal(x, out, n * sizeof *x);
        guarded_free(x, n);
        guarded_free(weight, n);
        guarded_free(out, n);
        guarded_free(want, n);
    }
}

void add_is_right(void **state) {
    (void)state;
    uint64_t random = 6;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *sum = random_floats(n, &random), *x = random_floats(n, &random), *want = guarded_new(n);
        for (size_t i = 0; i < n; i++) want[i] = sum[i] + x[i];
        kernels->add(sum, x, n);
        assert_memory_equal(sum, want, n * sizeof *sum);
        guarded_free(sum, n);
        guarded_free(x, n);
        guarded_free(want, n);
    }
}

static const float numbers[ACTIVATION_NUMBERS] = {0.9f, 1.7f, 0.5f, -1e-6f};

/* The activations' definitions, in double (families.h). */
static double activated(activation which, double gate, double up) {
    const double gelu = 0.5 * gate * (1 + tanh(sqrt(2 / acos(-1)) * (gate + 0.044715 * gate * gate * gate)));
    const double gelu_erf = gate * erfc(-gate / sqrt(2)) / 2;
    const double clamped = fmin(gate, 7);
    const double a = (double)numbers[0], b = (double)numbers[1], c = (double)numbers[2], d = (double)numbers[3];
    switch (which) {
    case SWIGLU: return gate / (1 + exp(-gate)) * up;
    case GEGLU: return gelu * up;
    case GELU: return gelu;
    case SILU: return gate / (1 + exp(-gate));
    case RELU_SQUARED: return fmax(gate, 0) * fmax(gate, 0);
    case REGLU: return fmax(gate, 0) * up;
    case LIMITED_SWIGLU: return fmin(gate / (1 + exp(-gate)), a) * fmax(-a, fmin(up, a));
    case XIELU: return c * gate + (gate > 0 ? a * gate * gate : b * (expm1(fmin(gate, d)) - gate));
    case GEGLU_ERF: return gelu_erf * up;
    case GELU_ERF: return gelu_erf;
    case CLAMPED_SWIGLU: return clamped / (1 + exp(-1.702 * clamped)) * (fmax(-7, fmin(up, 7)) + 1);
    }
    return NAN;
}

void activations_are_right(void **state) {
    (void)state;
    uint64_t random = 9;
    for (int which = SWIGLU; which <= LAST_ACTIVATION; which++)
        for (size_t k = 0; k < N_LENGTHS; k++) {
            const size_t n = lengths[k];
            float *gate = random_floats(n, &random), *up = random_floats(n, &random), *want = guarded_new(n);
            if (n > 0) gate[0] = fabsf(gate[0]); /* so that a vector of one element does not become 0 */
            for (size_t i = 0; i < n; i++) {
                gate[i] *= 10;
                up[i] *= 10;
                want[i] = (float)activated((activation)which, (double)gate[i], (double)up[i]);
            }
            kernels->activate((activation)which, numbers, gate, activation_has_gate((activation)which) ? up : NULL, n);
            assert_close(gate, want, n, "activation");
            guarded_free(gate, n);
            guarded_free(up, n);
            guarded_free(want, n);
        }
    float extremes[] = {-1000, 1000, 0, NAN}, ones[] = {1, 1, 1, 1};
    kernels->activate(SWIGLU, NULL, extremes, ones, 4);
    assert_float_equal(extremes[0], 0, 0);
    assert_float_equal(extremes[1], 1000, 0);
    assert_float_equal(extremes[2], 0, 0);
    assert_true(isnan(extremes[3]));
    for (float v = -86; v < 86; v += 0.37f) { /* each result is exact relative to its own size */
        float got = v, one = 1;
        const double want = (double)v / (1 + exp(-(double)v));
        kernels->activate(SWIGLU, NULL, &got, &one, 1);
        if (!(fabs((double)got - want) <= 4e-7 * fabs(want)))
            fail_msg("silu(%.9g) is %.9g, which should be %.9g", (double)v, (double)got, want);
    }
}

/* Near 0 GELU is x / 2, and far below 0 it vanishes. */
void gelu_is_exact_by_its_size(void **state) {
    (void)state;
    for (float v = -6; v < 6; v += 0.037f) {
        float got = v;
        const double want = activated(GELU_ERF, (double)v, 0);
        kernels->activate(GELU_ERF, NULL, &got, NULL, 1);
        if (!(fabs((double)got - want) <= 3e-7 * fmax(fabs((double)v), 1e-3)))
            fail_msg("gelu(%.9g) is %.9g, which should be %.9g", (double)v, (double)got, want);
    }
}

void layer_norm_is_right_and_works_in_place(void **state) {
    (void)state;
    uint64_t random = 16;
    for (size_t k = 1; k < N_LENGTHS; k++) { /* the norm of one element alone is 0 */
        const size_t n = lengths[k];
        float *x = random_floats(n, &random), *weight = random_floats(n, &random);
        float *out = guarded_new(n), *want = guarded_new(n);
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++) sum += (double)(x[i] += 3); /* far from 0, where squares alone would fail */
        for (size_t i = 0; i < n; i++) squares += pow((double)x[i] - sum / (double)n, 2);
        for (size_t i = 0; i < n; i++)
            want[i] =
                (float)(((double)x[i] - sum / (double)n) / sqrt(squares / (double)n + 0.0625) * (double)weight[i]);
        kernels->layer_norm(x, weight, 0.0625f, n, out);
        assert_close(out, want, n, "layer_norm");
        kernels->layer_norm(x, weight, 0.0625f, n, x);
        assert_memory_equal(x, out, n * sizeof *x);
        guarded_free(x, n);
        guarded_free(weight, n);
        guarded_free(out, n);
        guarded_free(want, n);
    }
}

void rope_is_right(void **state) {
    (void)state;
    uint64_t random = 10;
    for (size_t k = 0; k < 2 * N_LENGTHS; k++) {
        const bool halves = k % 2;
        const size_t n = lengths[k / 2], step = halves ? 1 : 2, across = halves ? n : 1;
        float *x = random_floats(2 * n, &random), *cosines = guarded_new(n), *sines = guarded_new(n);
        float *want = guarded_new(2 * n);
        for (size_t j = 0; j < n; j++) {
            const double angle = 3 * (double)random_float(&random);
            const double first = (double)x[step * j], second = (double)x[step * j + across];
            cosines[j] = (float)cos(angle);
            sines[j] = (float)sin(angle);
            want[step * j] = (float)(first * cos(angle) - second * sin(angle));
            want[step * j + across] = (float)(first * sin(angle) + second * cos(angle));
        }
        (halves ? kernels->rope_halves : kernels->rope)(x, cosines, sines, n);
        assert_close(x, want, 2 * n, "rope");
        guarded_free(x, 2 * n);
        guarded_free(cosines, n);
        guarded_free(sines, n);
        guarded_free(want, 2 * n);
    }
}

/* Around every half but the NaNs, in runs of all lengths. */
void f16_conversion_is_that_of_half_h(void **state) {
    (void)state;
    uint64_t random = 11;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        uint16_t *halfs = malloc(n * sizeof *halfs);
        assert_non_null(halfs);
        float *floats = guarded_new(n);
        for (uint32_t first = 0; first < 0x10000; first += (uint32_t)n) {
            for (size_t i = 0; i < n; i++) {
                uint16_t half = (uint16_t)(first + i);
                if ((half & 0x7FFF) > 0x7C00) half = 0;
                floats[i] = f32_from_f16(half) * (1 + (i % 2 ? random_float(&random) / 4096 : 0));
            }
            kernels->f32_to_f16(floats, halfs, n);
            for (size_t i = 0; i < n; i++) assert_int_equal(halfs[i], f16_from_f32(floats[i]));
        }
        guarded_free(floats, n);
        free(halfs);
    }
}

static void check_quantized(const float *x, const int8_t *quantized, const activation_block *block) {
    float most = 0;
    int32_t sums[2] = {0};
    for (size_t i = 0; i < ACTIVATION_BLOCK; i++) {
        most = fmaxf(most, fabsf(x[i]));
        sums[i / 16] += quantized[i];
    }
    assert_float_equal(block->scale, most / 127, 0);
    assert_int_equal(block->half_sums[0], sums[0]);
    assert_int_equal(block->half_sums[1], sums[1]);
    assert_int_equal(block->sum, sums[0] + sums[1]);
    for (size_t i = 0; i < ACTIVATION_BLOCK; i++)
        if (!(fabs((double)x[i] - (double)block->scale * quantized[i]) <= (double)block->scale * 0.50001 + 1e-30))
            fail_msg("%.9g became %d times %.9g", (double)x[i], quantized[i], (double)block->scale);
}

void quantize_rounds_to_the_nearest(void **state) {
    (void)state;
    enum { BLOCKS = 64, N = BLOCKS * ACTIVATION_BLOCK };
    uint64_t random = 13;
    float *x = random_floats(N, &random);
    for (size_t i = 0; i < N; i++) x[i] *= powf(10, (float)(i / ACTIVATION_BLOCK % 60) - 35); /* 10^-35 .. 10^24 */
    for (size_t i = 0; i < ACTIVATION_BLOCK; i++) x[i] = 0;
    int8_t *quantized = (int8_t *)aligned_new(N);
    activation_block blocks[BLOCKS];
    kernels->quantize(x, N, quantized, blocks);
    for (size_t i = 0; i < BLOCKS; i++)
        check_quantized(x + i * ACTIVATION_BLOCK, quantized + i * ACTIVATION_BLOCK, &blocks[i]);
    assert_float_equal(blocks[0].scale, 0, 0);
    const float odd[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3 * ACTIVATION_BLOCK; i++) { /* at every place in the block */
        x[i % ACTIVATION_BLOCK] = odd[i / ACTIVATION_BLOCK];
        kernels->quantize(x, ACTIVATION_BLOCK, quantized, blocks);
        if (isfinite(blocks[0].scale)) fail_msg("a scale of %g hides it", (double)blocks[0].scale);
        x[i % ACTIVATION_BLOCK] = 1;
    }
    aligned_free((uint8_t *)quantized, N);
    guarded_free(x, N);
}

/* Results are never subnormal floats: the next product would multiply each of them with a whole column of its
 * matrix. */
void activations_are_normal_or_nothing(void **state) {
    (void)state;
    for (int which = SWIGLU; which <= LAST_ACTIVATION; which++)
        for (float x = -120; x < 1; x += 0.01f)
            for (float up = 1e-6f; up < 10; up *= 10) {
                float gate[3] = {x, x / 10, x / 100}, ups[3] = {up, -up, up};
                kernels->activate((activation)which, numbers, gate, activation_has_gate((activation)which) ? ups : NULL,
                                  3);
                for (size_t i = 0; i < 3; i++)
                    if (gate[i] != 0 && fpclassify(gate[i]) != FP_NORMAL)
                        fail_msg("activation %d of %.9g and %g is %g", which, (double)x, (double)up, (double)gate[i]);
            }
}
