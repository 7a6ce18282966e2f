/* Steps between matrix products that process each token separately. Sums use 16 partial sums and a fixed tree, for any
 * LANES; everything else is element by element. */
#ifndef CPU_VECTOR_STEPS_H
#define CPU_VECTOR_STEPS_H

#include "cpu/kernels.h"
#include "cpu/vector_math.h"

#include <math.h>

/* The first n <= LANES elements, then zeros. */
INLINE floats load_some(const float *x, size_t n) {
    floats v = {0};
    memcpy(&v, x, n * sizeof *x);
    return v;
}

static void vector_rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *out) {
    floats sums[PARTIAL_VECTORS] = {{0}};
    size_t i = 0;
    for (; i + PARTIAL_SUMS <= n; i += PARTIAL_SUMS) {
        UNROLLED for (size_t v = 0; v < PARTIAL_VECTORS; v++) {
            const floats some = load_floats(x + i + v * LANES);
            sums[v] = fused(some, some, sums[v]);
        }
    }
    float rest[PARTIAL_SUMS] = {0};
    memcpy(rest, x + i, (n - i) * sizeof *x);
    UNROLLED for (size_t v = 0; v < PARTIAL_VECTORS; v++) {
        const floats some = load_floats(rest + v * LANES);
        sums[v] = fused(some, some, sums[v]);
    }
    const float scale = 1 / sqrtf(sum_of_partials(sums) / (float)n + epsilon);
    for (i = 0; i + LANES <= n; i += LANES) store_floats(out + i, load_floats(x + i) * scale * load_floats(weight + i));
    for (; i < n; i++) out[i] = x[i] * scale * weight[i];
}

/* The sum over n elements of (x - mean)^2, or, if `squared` is false, of x - mean. */
INLINE float sum_of_differences(const bool squared, const float *x, float mean, size_t n) {
    floats sums[PARTIAL_VECTORS] = {{0}};
    size_t i = 0;
    for (; i + PARTIAL_SUMS <= n; i += PARTIAL_SUMS) {
        UNROLLED for (size_t v = 0; v < PARTIAL_VECTORS; v++) {
            const floats some = load_floats(x + i + v * LANES) - mean;
            sums[v] = squared ? fused(some, some, sums[v]) : sums[v] + some;
        }
    }
    float rest[PARTIAL_SUMS];
    for (size_t r = 0; r < PARTIAL_SUMS; r++) rest[r] = i + r < n ? x[i + r] - mean : 0;
    UNROLLED for (size_t v = 0; v < PARTIAL_VECTORS; v++) {
        const floats some = load_floats(rest + v * LANES);
        sums[v] = squared ? fused(some, some, sums[v]) : sums[v] + some;
    }
    return sum_of_partials(sums);
}

static void vector_layer_norm(const float *x, const float *weight, float epsilon, size_t n, float *out) {
    const float mean = sum_of_differences(false, x, 0, n) / (float)n;
    const float scale = 1 / sqrtf(sum_of_differences(true, x, mean, n) / (float)n + epsilon);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store_floats(out + i, (load_floats(x + i) - mean) * scale * load_floats(weight + i));
    for (; i < n; i++) out[i] = (x[i] - mean) * scale * weight[i];
}

/* gelu(x) = 0.5 x (1 + tanh(u / 2)), u = 2 sqrt(2 / pi) (x + 0.044715 x^3), is x * sigmoid(u) */
INLINE floats gelu(floats x) {
    const floats u = x * fused(x * x, all_floats(0.0713548162f), all_floats(1.5957691216f));
    return x / (1 + exponential(-u));
}

/* x times the share of the normal distribution that is below x. The share below -|x| is a polynomial of t times
 * exp(-x^2 / 2), to within 1e-7 (Abramowitz & Stegun 1964, 7.1.26). For x > 0 it is subtracted from 1. */
INLINE floats gelu_erf(floats x) {
    const floats distance = (floats)((ints)x & 0x7FFFFFFF);
    const floats t = 1 / fused(distance, all_floats(0.231641888f), all_floats(1.0f));
    floats p = fused(all_floats(0.5307027145f), t, all_floats(-0.7265760135f));
    p = fused(p, t, all_floats(0.7107068705f));
    p = fused(p, t, all_floats(-0.142248368f));
    p = fused(p, t, all_floats(0.127414796f));
    const floats less = p * t * exponential(-0.5f * x * x), more = 1 - less;
    const ints positive = x > 0;
    return x * (floats)(((ints)more & positive) | ((ints)less & ~positive));
}

INLINE floats smaller(floats a, floats b) { return -larger(-a, -b); }

INLINE floats xielu(const float *numbers, floats u) {
    const floats even = numbers[0] * u * u,
                 below = numbers[1] * (exponential(smaller(u, all_floats(numbers[3]))) - 1 - u);
    const ints positive = u > 0;
    return (floats)(((ints)even & positive) | ((ints)below & ~positive)) + numbers[2] * u;
}

INLINE floats activated(const activation which, const float *numbers, floats gate, floats up) {
    if (which == SWIGLU) return gate / (1 + exponential(-gate)) * up;
    if (which == GEGLU) return gelu(gate) * up;
    if (which == GELU) return gelu(gate);
    if (which == SILU) return gate / (1 + exponential(-gate));
    if (which == GEGLU_ERF) return gelu_erf(gate) * up;
    if (which == GELU_ERF) return gelu_erf(gate);
    if (which == RELU_SQUARED) return larger((floats){0}, gate) * larger((floats){0}, gate);
    if (which == REGLU) return larger((floats){0}, gate) * up;
    if (which == XIELU) return xielu(numbers, gate);
    const floats most = all_floats(which == LIMITED_SWIGLU ? numbers[0] : 7);
    const floats u = smaller(most, larger(-most, up));
    if (which == LIMITED_SWIGLU) return smaller(most, gate / (1 + exponential(-gate))) * u;
    const floats g = smaller(most, gate);
    return g / (1 + exponential(-1.702f * g)) * (u + 1);
}

INLINE void activate_all(const activation which, const float *numbers, float *gate, const float *up, size_t n) {
    const bool gated = activation_has_gate(which);
    for (size_t i = 0; i + LANES <= n; i += LANES) {
        const floats u = gated ? load_floats(up + i) : (floats){0};
        store_floats(gate + i, all_normal_or_zero(activated(which, numbers, load_floats(gate + i), u)));
    }
    const size_t n_rest = n % LANES, i = n - n_rest;
    const floats u = gated ? load_some(up + i, n_rest) : (floats){0};
    const floats rest = all_normal_or_zero(activated(which, numbers, load_some(gate + i, n_rest), u));
    memcpy(gate + i, &rest, n_rest * sizeof *gate);
}

static void vector_activate(activation which, const float *numbers, float *gate, const float *up, size_t n) {
    switch (which) {
    case SWIGLU: activate_all(SWIGLU, numbers, gate, up, n); break;
    case GEGLU: activate_all(GEGLU, numbers, gate, up, n); break;
    case GELU: activate_all(GELU, numbers, gate, up, n); break;
    case RELU_SQUARED: activate_all(RELU_SQUARED, numbers, gate, up, n); break;
    case SILU: activate_all(SILU, numbers, gate, up, n); break;
    case REGLU: activate_all(REGLU, numbers, gate, up, n); break;
    case LIMITED_SWIGLU: activate_all(LIMITED_SWIGLU, numbers, gate, up, n); break;
    case XIELU: activate_all(XIELU, numbers, gate, up, n); break;
    case GEGLU_ERF: activate_all(GEGLU_ERF, numbers, gate, up, n); break;
    case GELU_ERF: activate_all(GELU_ERF, numbers, gate, up, n); break;
    case CLAMPED_SWIGLU: activate_all(CLAMPED_SWIGLU, numbers, gate, up, n); break;
    }
}

typedef uint64_t pairs __attribute__((vector_size(4 * LANES)));
typedef uint32_t half_of_unsigneds __attribute__((vector_size(2 * LANES)));

/* Pair j: the bits of x[j], in the low half. */
INLINE pairs load_pairs(const float *x) {
    half_of_unsigneds bits;
    memcpy(&bits, x, sizeof bits);
    return __builtin_convertvector(bits, pairs);
}

/* (a, b) becomes (a * cos + b * -sin, b * cos + a * sin). */
static void vector_rope(float *x, const float *cos, const float *sin, size_t n_pairs) {
    size_t j = 0;
    for (; j + LANES / 2 <= n_pairs; j += LANES / 2) {
        const floats both = load_floats(x + 2 * j);
        const floats swapped = (floats)((pairs)both << 32 | (pairs)both >> 32);
        const pairs c = load_pairs(cos + j), s = load_pairs(sin + j);
        const floats cosines = (floats)(c | c << 32), sines = (floats)((s ^ 0x80000000u) | s << 32);
        store_floats(x + 2 * j, both * cosines + swapped * sines);
    }
    for (; j < n_pairs; j++) {
        const float first = x[2 * j], second = x[2 * j + 1];
        x[2 * j] = first * cos[j] - second * sin[j];
        x[2 * j + 1] = first * sin[j] + second * cos[j];
    }
}

static void vector_rope_halves(float *x, const float *cos, const float *sin, size_t n_pairs) {
    float *first = x, *second = x + n_pairs;
    size_t j = 0;
    for (; j + LANES <= n_pairs; j += LANES) {
        const floats a = load_floats(first + j), b = load_floats(second + j);
        const floats c = load_floats(cos + j), s = load_floats(sin + j);
        store_floats(first + j, a * c - b * s);
        store_floats(second + j, a * s + b * c);
    }
    for (; j < n_pairs; j++) {
        const float a = first[j], b = second[j];
        first[j] = a * cos[j] - b * sin[j];
        second[j] = a * sin[j] + b * cos[j];
    }
}

static void vector_add(float *sum, const float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store_floats(sum + i, load_floats(sum + i) + load_floats(x + i));
    for (; i < n; i++) sum[i] += x[i];
}

static void vector_f32_to_f16(const float *x, uint16_t *out, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store_halfs(out + i, load_floats(x + i));
    uint16_t rest[LANES];
    store_halfs(rest, load_some(x + i, n - i));
    memcpy(out + i, rest, (n - i) * sizeof *out);
}

/* ----------------------------------------------------------------------------------------- quantization */

typedef int32_t four_ints __attribute__((vector_size(16)));

typedef union lanes_by_four {
    ints all;
    four_ints fours[LANES / 4];
} lanes_by_four;

INLINE ints larger_ints(ints a, ints b) {
    const ints mask = a > b;
    return (a & mask) | (b & ~mask);
}

INLINE int32_t largest_lane(ints v) {
    const lanes_by_four lanes = {v};
    four_ints most = lanes.fours[0];
    UNROLLED for (size_t i = 1; i < LANES / 4; i++) {
        const four_ints mask = lanes.fours[i] > most;
        most = (lanes.fours[i] & mask) | (most & ~mask);
    }
    const int32_t a = most[0] > most[1] ? most[0] : most[1], b = most[2] > most[3] ? most[2] : most[3];
    return a > b ? a : b;
}

INLINE int32_t sum_of_int_lanes(ints v) {
    const lanes_by_four lanes = {v};
    four_ints sum = lanes.fours[0];
    UNROLLED for (size_t i = 1; i < LANES / 4; i++) sum += lanes.fours[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

enum {
    BLOCK_VECTORS = ACTIVATION_BLOCK / LANES,
    HALF_VECTORS = BLOCK_VECTORS / 2,
};

/* Magnitudes are compared as integers: then NaN is above infinity, and infinity is above every number. A block with NaN
 * or infinity gets it as its scale, with integers of 0. So products with the block become NaN, as they should. */
INLINE void quantize_block(const float *x, int8_t *quantized, activation_block *block) {
    floats v[BLOCK_VECTORS];
    ints most = {0};
    UNROLLED for (size_t i = 0; i < BLOCK_VECTORS; i++) {
        v[i] = load_floats(x + i * LANES);
        most = larger_ints((ints)v[i] & 0x7FFFFFFF, most);
    }
    const int32_t bits = largest_lane(most);
    float magnitude;
    memcpy(&magnitude, &bits, sizeof magnitude);
    /* a magnitude of up to 1e-30 counts as 0: the inverse of a very small one would overflow */
    const bool usable = magnitude > 1e-30f && magnitude < INFINITY;
    const float inverse = usable ? 127 / magnitude : 0;
    const ints mask = all_ints(usable ? -1 : 0);
    int32_t sums[2];
    UNROLLED for (size_t half = 0; half < 2; half++) {
        ints sum = {0};
        UNROLLED for (size_t i = half * HALF_VECTORS; i < (half + 1) * HALF_VECTORS; i++) {
            const ints rounded = nearest(v[i] * inverse) & mask;
            store_signed_bytes(quantized + i * LANES, rounded);
            sum += rounded;
        }
        sums[half] = sum_of_int_lanes(sum);
    }
    *block = (activation_block){magnitude / 127, sums[0] + sums[1], {sums[0], sums[1]}};
}

static void vector_quantize(const float *x, size_t n, int8_t *quantized, activation_block *blocks) {
    for (size_t i = 0; i < n; i += ACTIVATION_BLOCK)
        quantize_block(x + i, quantized + i, &blocks[i / ACTIVATION_BLOCK]);
}

#endif
