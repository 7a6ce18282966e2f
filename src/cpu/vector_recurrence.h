/* Steps of recurrences (kernels.h). Each column of the state has its own sum over the rows, in their order, so no sum
 * crosses lanes. A few vectors of columns go through all rows together, and their sums stay in registers. */
#ifndef CPU_VECTOR_RECURRENCE_H
#define CPU_VECTOR_RECURRENCE_H

#include "cpu/vector_steps.h"

enum { STATE_VECTORS = 4 }; /* vectors of columns that are processed together */

/* One step of a vector of elements: decay * from + key * value. A result that would be subnormal is 0, because
 * subnormal floats are slow. */
INLINE floats state_after(floats from, floats decay, float key, floats value) {
    return all_normal_or_zero(fused(decay, from, all_floats(key) * value));
}

INLINE void read_columns(const size_t n_vectors, const float *state, size_t n_rows, size_t n, const float *weights,
                         float *out) {
    floats sums[STATE_VECTORS] = {{0}};
    for (size_t i = 0; i < n_rows; i++) {
        UNROLLED for (size_t v = 0; v < n_vectors; v++) sums[v] =
            fused(all_floats(weights[i]), load_floats(state + i * n + v * LANES), sums[v]);
    }
    UNROLLED for (size_t v = 0; v < n_vectors; v++) store_floats(out + v * LANES, sums[v]);
}

static void vector_state_read(const float *state, size_t n_rows, size_t n, const float *weights, float *out) {
    size_t j = 0;
    for (; j + STATE_VECTORS * LANES <= n; j += STATE_VECTORS * LANES)
        read_columns(STATE_VECTORS, state + j, n_rows, n, weights, out + j);
    for (; j + LANES <= n; j += LANES) read_columns(1, state + j, n_rows, n, weights, out + j);
    if (j == n) return;
    floats sum = {0};
    for (size_t i = 0; i < n_rows; i++) sum = fused(all_floats(weights[i]), load_some(state + i * n + j, n - j), sum);
    memcpy(out + j, &sum, (n - j) * sizeof *out);
}

INLINE void step_columns(const size_t n_vectors, const float *from, float *to, size_t n_rows, size_t n,
                         const float *decay, const float *key, const float *value, const float *query, float *out) {
    floats sums[STATE_VECTORS] = {{0}}, values[STATE_VECTORS];
    UNROLLED for (size_t v = 0; v < n_vectors; v++) values[v] = load_floats(value + v * LANES);
    for (size_t i = 0; i < n_rows; i++) {
        const floats kept = all_floats(decay[i]), asked = all_floats(query[i]);
        UNROLLED for (size_t v = 0; v < n_vectors; v++) {
            const floats after = state_after(load_floats(from + i * n + v * LANES), kept, key[i], values[v]);
            store_floats(to + i * n + v * LANES, after);
            sums[v] = fused(asked, after, sums[v]);
        }
    }
    UNROLLED for (size_t v = 0; v < n_vectors; v++) store_floats(out + v * LANES, sums[v]);
}

static void vector_state_step(const float *from, float *to, size_t n_rows, size_t n, const float *decay,
                              const float *key, const float *value, const float *query, float *out) {
    size_t j = 0;
    for (; j + STATE_VECTORS * LANES <= n; j += STATE_VECTORS * LANES)
        step_columns(STATE_VECTORS, from + j, to + j, n_rows, n, decay, key, value + j, query, out + j);
    for (; j + LANES <= n; j += LANES)
        step_columns(1, from + j, to + j, n_rows, n, decay, key, value + j, query, out + j);
    if (j == n) return;
    floats sum = {0};
    const floats values = load_some(value + j, n - j);
    for (size_t i = 0; i < n_rows; i++) {
        const floats after = state_after(load_some(from + i * n + j, n - j), all_floats(decay[i]), key[i], values);
        memcpy(to + i * n + j, &after, (n - j) * sizeof *to);
        sum = fused(all_floats(query[i]), after, sum);
    }
    memcpy(out + j, &sum, (n - j) * sizeof *out);
}

static void vector_state_step_each(const float *from, float *to, size_t n_rows, size_t n, size_t stride,
                                   const float *rates, const float *steps, const float *key, const float *value,
                                   const float *query, float *out) {
    for (size_t j = 0; j < n; j += LANES) {
        const size_t some = n - j < LANES ? n - j : LANES;
        const floats values = load_some(value + j, some), times = load_some(steps + j, some);
        floats sum = {0};
        for (size_t i = 0; i < n_rows; i++) {
            const size_t at = i * stride + j;
            const floats decay = exponential(load_some(rates + at, some) * times);
            const floats after = state_after(load_some(from + at, some), decay, key[i], values);
            memcpy(to + at, &after, some * sizeof *to);
            sum = fused(all_floats(query[i]), after, sum);
        }
        memcpy(out + j, &sum, some * sizeof *out);
    }
}

#endif
