/* Alternating updates (AltUp, Baykal et al. 2023): a token has several vectors beside x, but layers compute only with
 * x. The others begin as products of x, scaled to its length. Before a layer each vector, including x, becomes a
 * prediction: its own value plus a mix of all. After the layer each one is corrected: a factor times the difference
 * between the layer's result and x's prediction is added. A small router computes the weights of the mix and the
 * factors from x. After the last layer each other vector is multiplied by a matrix and scaled to the length of x; then
 * x becomes the mean of all.
 *
 * These models also have LAuReL (Menghani et al. 2024): a low-rank product beside attention.
 *
 * x: [n_rows][n_embd] is the first vector, f->buffers.streams: [n_rows][n_streams - 1][n_embd] are the others. */
#include "cpu/steps.h"

#include <math.h>
#include <string.h>

static const norm_weights no_norm = {NULL, NULL};

static size_t n_others(const forward_cpu *f) { return f->model.config->n_streams - 1; }

/* Stream i (from 1) of a token. */
static float *stream_of(const forward_cpu *f, size_t b, size_t i) {
    return f->buffers.streams + (b * n_others(f) + i - 1) * f->model.config->n_embd;
}

static float length_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return (float)sqrt(sum);
}

static void give_length(float *x, float length, size_t n) {
    const float own = length_of(x, n);
    scale_floats(x, own > 0 ? length / own : 1, n);
}

/* --------------------------------------------------------------------------- before and after all layers */

static void begin_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const size_t n = work->f->model.config->n_embd;
    const float length = length_of(work->read + b * n, n);
    for (size_t i = 1; i <= n_others(work->f); i++) give_length(stream_of(work->f, b, i), length, n);
}

void begin_streams(forward_cpu *f, const float *x) {
    const linear *l = &f->model.weights->altup_proj;
    row_work work = {.f = f, .n_rows = f->all.count, .read = x};
    if (!l->w.data) return;
    run_norm(f, &no_norm, x, f->all.count, reads_quantized(f, l));
    for (uint32_t i = 0; i < n_others(f); i++) {
        product p = product_of(l, i, &f->buffers.normed, 0, f->all.count, stream_of(f, 0, i + 1));
        p.out_stride = n_others(f) * f->model.config->n_embd;
        run_products(f, &p, 1, NULL);
    }
    run_row_step(&work, 2 * n_others(f) * f->model.config->n_embd, begin_item);
}

typedef struct merge_work {
    forward_cpu *f;
    float *x;
    size_t stream;
    bool quantize;
} merge_work;

static void read_stream_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const merge_work *work = argument;
    const size_t n = work->f->model.config->n_embd;
    if (work->stream == 1)
        work->f->buffers.modes.floats[b * work->f->model.config->n_streams] = length_of(work->x + b * n, n);
    memcpy(work->f->buffers.normed.floats + b * n, stream_of(work->f, b, work->stream), n * sizeof(float));
    if (work->quantize) quantize_vector(work->f, &work->f->buffers.normed, b);
}

static void merge_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const merge_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd, n_streams = f->model.config->n_streams;
    float *other = f->buffers.projected + b * n;
    give_length(other, f->buffers.modes.floats[b * n_streams], n);
    f->model.kernels->add(work->x + b * n, other, n);
    if (work->stream == n_others(f)) scale_floats(work->x + b * n, 1 / (float)n_streams, n);
}

void merge_streams(forward_cpu *f, uint32_t n_rows, float *x) {
    const linear *l = &f->model.weights->altup_unembd_proj;
    if (!l->w.data) return;
    const uint64_t cost = (uint64_t)n_rows * f->model.config->n_embd;
    merge_work work = {.f = f, .x = x, .quantize = reads_quantized(f, l)};
    for (work.stream = 1; work.stream <= n_others(f); work.stream++) {
        run_step(f, n_rows, cost, read_stream_item, &work);
        product p = product_of(l, (uint32_t)work.stream - 1, &f->buffers.normed, 0, n_rows, f->buffers.projected);
        run_products(f, &p, 1, NULL);
        run_step(f, n_rows, 2 * cost, merge_item, &work);
    }
}

/* -------------------------------------------------------------------------------------- around a layer */

static void mode_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const size_t n = f->model.config->n_streams;
    for (float *mode = f->buffers.modes.floats + b * n; mode < f->buffers.modes.floats + (b + 1) * n; mode++)
        *mode = tanhf(*mode / (float)f->model.config->n_embd);
}

/* The router's output for x, times the coefficients: f->buffers.mixes, [n_rows][rows of coefficients]. */
static void make_mixes(forward_cpu *f, uint32_t n_rows, const float *x, const linear *coefficients) {
    const layer_weights *w = weights_of(f);
    row_work work = {.f = f, .n_rows = n_rows};
    run_norm(f, &w->altup_router_norm, x, n_rows, reads_quantized(f, &w->altup_router));
    product router = product_of(&w->altup_router, 0, &f->buffers.normed, 0, n_rows, f->buffers.modes.floats);
    run_products(f, &router, 1, NULL);
    run_row_step(&work, 16 * (uint64_t)f->model.config->n_streams, mode_item);
    product mix = product_of(coefficients, 0, &f->buffers.modes, 0, n_rows, f->buffers.mixes);
    run_products(f, &mix, 1, NULL);
}

static void predict_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd, n_streams = f->model.config->n_streams;
    const float *mix = f->buffers.mixes + b * n_streams * n_streams; /* [n_streams][n_streams] */
    float *streams[MOST_STREAMS] = {work->x + b * n};
    for (size_t i = 1; i < n_streams; i++) streams[i] = stream_of(f, b, i);
    for (size_t e = 0; e < n; e++) {
        float predicted[MOST_STREAMS];
        for (size_t i = 0; i < n_streams; i++) {
            float sum = 0;
            for (size_t k = 0; k < n_streams; k++) sum += mix[i * n_streams + k] * streams[k][e];
            predicted[i] = streams[i][e] + sum;
        }
        for (size_t i = 0; i < n_streams; i++) streams[i][e] = predicted[i];
    }
    memcpy(f->buffers.predicted + b * n, streams[0], n * sizeof(float));
}

void predict_streams(forward_cpu *f, uint32_t n_rows, float *x) {
    const layer_weights *w = weights_of(f);
    const uint64_t n_streams = f->model.config->n_streams;
    row_work work = {.f = f, .n_rows = n_rows, .x = x};
    if (n_streams == 0) return;
    make_mixes(f, n_rows, x, &w->altup_predict_coef);
    run_row_step(&work, n_streams * n_streams * f->model.config->n_embd, predict_item);
}

static void add_laurel_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd;
    float *x = work->x + b * n, *laurel = f->buffers.projected + b * n;
    normalize(f, &weights_of(f)->laurel_post_norm, laurel, n, laurel);
    f->model.kernels->add(laurel, f->buffers.normed.floats + b * n, n);
    f->model.kernels->add(x, laurel, n);
    scale_floats(x, sqrtf(0.5f), n);
}

void add_laurel(forward_cpu *f, uint32_t n_rows, float *x) {
    const layer_weights *w = weights_of(f);
    if (f->model.config->n_streams == 0) return;
    forward_vectors hidden = f->buffers.gate;
    hidden.n_columns = w->laurel_l.w.n_rows;
    product low = product_of(&w->laurel_l, 0, &f->buffers.normed, 0, n_rows, hidden.floats);
    if (reads_quantized(f, &w->laurel_r)) quantize_result(&low, &hidden, 0);
    run_products(f, &low, 1, NULL);
    product high = product_of(&w->laurel_r, 0, &hidden, 0, n_rows, f->buffers.projected);
    run_products(f, &high, 1, NULL);
    row_work work = {.f = f, .n_rows = n_rows, .x = x};
    run_row_step(&work, f->model.config->n_embd, add_laurel_item);
}

static void correct_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd, n_streams = f->model.config->n_streams;
    const float *mix = f->buffers.mixes + b * n_streams; /* [n_streams] */
    float *x = work->x + b * n, *predicted = f->buffers.predicted + b * n;
    for (size_t e = 0; e < n; e++) {
        const float news = x[e] - predicted[e];
        x[e] = predicted[e] + (1 + mix[0]) * news;
        predicted[e] = news;
    }
    for (size_t i = 1; i < n_streams; i++) {
        float *stream = stream_of(f, b, i);
        for (size_t e = 0; e < n; e++) stream[e] += (1 + mix[i]) * predicted[e];
    }
}

void correct_streams(forward_cpu *f, uint32_t n_rows, float *x) {
    const layer_weights *w = weights_of(f);
    const uint64_t n_streams = f->model.config->n_streams;
    row_work work = {.f = f, .n_rows = n_rows, .x = x};
    if (n_streams == 0) return;
    make_mixes(f, n_rows, x, &w->altup_correct_coef);
    run_row_step(&work, n_streams * f->model.config->n_embd, correct_item);
}

static void add_to_others_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd;
    float *projected = f->buffers.projected + b * n;
    normalize(f, work->norm, projected, n, projected);
    for (size_t i = 1; i <= n_others(f); i++) f->model.kernels->add(stream_of(f, b, i), projected, n);
}

void add_projected_to_others(forward_cpu *f, const norm_weights *post_norm, uint32_t n_rows) {
    row_work work = {.f = f, .n_rows = n_rows, .norm = post_norm};
    run_row_step(&work, n_others(f) * (uint64_t)f->model.config->n_embd, add_to_others_item);
}
