/* The mixers that carry a state from token to token, instead of looking back at all tokens: short convolutions (Liquid
 * AI 2025), gated delta nets (Yang et al. 2024; with a decay for each element of a key: Kimi Team 2025), Mamba-2 (Dao &
 * Gu 2024) and Mamba (Gu & Dao 2023). RWKV's time mix is in rwkv.c.
 *
 * All take the same steps. A product makes the inputs, and a convolution goes over the last few of them. The state
 * takes in one token after another, and a query reads it. A product of the result is added to x. A short convolution
 * has no state but its last inputs.
 *
 * A head's state is a matrix: a row for each element of a key, and a column for each element of a value. Every sum runs
 * down a column, and tokens always come in the same order. So the bits do not depend on how tokens are split into
 * batches. Heads and sequences do not depend on each other, so each head of a span is an item.
 *
 * A pass reads a span's state from one slot and writes it to another, which may be the same. The state after the
 * replayed rows goes to a third slot (span.h). */
#include "cpu/steps.h"

#include "base/exponential.h"

#include <math.h>
#include <string.h>

enum { CHANNELS_PER_ITEM = 64 }; /* in Mamba and in convolutions, whose channels do not depend on each other */

static bool is_delta_net(const model_config *c) {
    return c->traits->recurrent == RECURRENT_DELTA_NET || c->traits->recurrent == RECURRENT_CHANNEL_DELTA_NET;
}

/* Floats that ssm_x gives for a token. */
static size_t part_floats(const recurrent_config *r) { return r->step_rank + 2 * (size_t)r->state_size; }

/* log(1 + e^x) */
static float softplus(float x) { return x > 20 ? x : log1pf(exp_or_zero(x)); }

/* x = silu(gate) * x. The gate is overwritten. */
static void apply_gate(const forward_cpu *f, float *gate, float *x, size_t n) {
    f->model.kernels->activate(SWIGLU, NULL, gate, x, n);
    memcpy(x, gate, n * sizeof *x);
}

/* The squares go into 8 partial sums, which are added in a fixed tree. */
void scale_to_length(float *x, size_t n, float epsilon, float factor) {
    float sums[8] = {0};
    for (size_t i = 0; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++) sums[k] += x[i + k] * x[i + k];
    for (size_t i = n / 8 * 8; i < n; i++) sums[i % 8] += x[i] * x[i];
    const float sum = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    scale_floats(x, factor / sqrtf(sum + epsilon), n);
}

/* ---------------------------------------------------------------------------------------------- convolution */

/* The convolution's inputs for row b of the batch: [n_channels] of a product's result. In Mamba-2 the gate comes before
 * them. */
static float *inputs_of(const forward_cpu *f, size_t b) {
    const model_config *c = f->model.config;
    const size_t first = c->traits->recurrent == RECURRENT_MAMBA2 ? c->recurrent.inner_size : 0;
    return f->buffers.recurrent_in + b * c->recurrent.n_in + first;
}

/* Input i of a span's convolution. The first kernel - 1 inputs come before the span and are stored with the state. */
static const float *input_number(const forward_cpu *f, const forward_span *span, size_t i) {
    const recurrent_config *r = &f->model.config->recurrent;
    const size_t n_before = r->kernel - 1;
    if (i < n_before) return state_inputs(f->model.states, span->state_from, f->layer) + i * r->n_channels;
    return inputs_of(f, span->first_row + i - n_before);
}

/* Channels first..first+n-1 of row b. */
static void convolve(const forward_cpu *f, size_t b, size_t first, size_t n, float *out) {
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    const forward_span *span = &f->all.spans[f->all.span_of[b]];
    if (w->ssm_conv1d.bias)
        memcpy(out, w->ssm_conv1d.bias + first, n * sizeof *out);
    else
        memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < r->kernel; i++) {
        const float *in = input_number(f, span, b - span->first_row + i) + first;
        const float *tap = w->ssm_conv1d.weight + i * r->n_channels + first;
        for (size_t k = 0; k < n; k++) out[k] += tap[k] * in[k];
    }
}

typedef struct convolution_work {
    const forward_cpu *f;
    bool quantize;  /* the result */
    size_t most;    /* channels of an item: whole heads, which are normed, or whole blocks, which are quantized */
    size_t n_parts; /* items of a row; the last one has what is left */
} convolution_work;

/* Some channels of a row. */
static void convolve_item(void *argument, size_t item, uint32_t thread) {
    (void)thread;
    const convolution_work *work = argument;
    const forward_cpu *f = work->f;
    const model_config *c = f->model.config;
    const recurrent_config *r = &c->recurrent;
    const size_t b = item / work->n_parts, first = item % work->n_parts * work->most;
    const size_t n = r->n_channels - first < work->most ? r->n_channels - first : work->most;
    float *row = f->buffers.convolved.floats + b * r->n_channels;
    convolve(f, b, first, n, row + first);
    f->model.kernels->activate(SILU, NULL, row + first, NULL, n);
    if (work->quantize) quantize_part(f, &f->buffers.convolved, b, first, n);
    if (!is_delta_net(c)) return;
    const float query_scale = 1 / sqrtf((float)r->state_size);
    for (size_t i = first / r->state_size; i < 2 * (size_t)r->n_groups && i * r->state_size < first + n; i++)
        scale_to_length(row + i * r->state_size, r->state_size, c->norm_epsilon, i < r->n_groups ? query_scale : 1);
}

/* From the convolution's inputs to f->buffers.convolved. For a delta net it has all queries, then all keys, then all
 * values. A tap takes the time of about 12 multiply-adds, because its floats come from memory. */
static void run_convolution(forward_cpu *f, bool quantize) {
    const recurrent_config *r = &f->model.config->recurrent;
    const size_t unit = is_delta_net(f->model.config) ? r->state_size : ACTIVATION_BLOCK;
    convolution_work work = {.f = f, .quantize = quantize};
    work.most = (CHANNELS_PER_ITEM + unit - 1) / unit * unit;
    work.n_parts = (r->n_channels + work.most - 1) / work.most;
    run_step(f, f->all.count * work.n_parts, 12 * (uint64_t)f->all.count * r->n_channels * r->kernel, convolve_item,
             &work);
}

/* Store the last kernel - 1 inputs of a span's first n_rows rows in a slot. */
static void keep_inputs_after(const forward_cpu *f, const forward_span *span, uint32_t n_rows, uint32_t slot) {
    const recurrent_config *r = &f->model.config->recurrent;
    float *to = state_inputs(f->model.states, slot, f->layer);
    for (size_t i = 0; i + 1 < r->kernel; i++)
        memmove(to + i * r->n_channels, input_number(f, span, n_rows + i), r->n_channels * sizeof *to);
}

/* Store them in each slot that the span's state goes to. */
static void keep_inputs(const forward_cpu *f, const forward_span *span) {
    if (span->state_middle != span->state_to) keep_inputs_after(f, span, span->n_replayed, span->state_middle);
    keep_inputs_after(f, span, span->n_rows, span->state_to);
}

/* The current layer's state after row b of a span. */
static float *state_after(const forward_cpu *f, const forward_span *span, size_t b) {
    return state_of(f->model.states, slot_after(span, b), f->layer);
}

/* ------------------------------------------------------------------------------------------ short convolution */

/* The convolution's inputs are the first third of the product's result times the last third. */
static void gate_inputs_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const size_t n = f->model.config->n_embd;
    float *in = inputs_of(f, b);
    for (size_t i = 0; i < n; i++) in[i] *= in[2 * n + i];
}

static void short_convolution_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const size_t n = f->model.config->n_embd;
    const float *gate = inputs_of(f, b) + n;
    float *out = f->buffers.mixed.floats + b * n;
    convolve(f, b, 0, n, out);
    for (size_t i = 0; i < n; i++) out[i] *= gate[i];
}

static void keep_inputs_item(void *argument, size_t s, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = argument;
    keep_inputs(f, &f->all.spans[s]);
}

static void run_short_convolution(forward_cpu *f) {
    const uint64_t n = f->model.config->n_embd;
    row_work work = {.f = f, .n_rows = f->all.count};
    product in = product_of(&weights_of(f)->ssm_in, 0, &f->buffers.normed, 0, f->all.count, f->buffers.recurrent_in);
    run_products(f, &in, 1, NULL);
    run_row_step(&work, n, gate_inputs_item);
    run_row_step(&work, n * (f->model.config->recurrent.kernel + 1), short_convolution_item);
    run_step(f, f->all.n_spans, f->all.n_spans * n, keep_inputs_item, f);
}

/* ---------------------------------------------------------------------------------------------- delta net */

/* True if betas and alphas are one tensor: for each group the betas of its heads, then their alphas. */
static bool betas_by_group(const model_config *c) { return c->traits->recurrent_tensors & TENSOR_BIT(ssm_ba); }

/* Returns beta: how much of a difference a token writes to a head's state. decays: out, [state_size], how much of each
 * row of the state stays. */
static float read_steps(const forward_cpu *f, size_t b, size_t head, float *decays) {
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    const size_t n = r->state_size;
    if (f->model.config->traits->recurrent == RECURRENT_CHANNEL_DELTA_NET) {
        const float *betas = f->buffers.recurrent_steps + b * (r->n_heads + r->inner_size);
        const float *alphas = betas + r->n_heads + head * n, *bias = w->ssm_dt_bias + head * n;
        for (size_t i = 0; i < n; i++) decays[i] = exp_or_zero(softplus(alphas[i] + bias[i]) * w->ssm_a[head]);
        return sigmoid(betas[head]);
    }
    /* this many heads have their betas side by side, followed by their alphas */
    const size_t n_together = betas_by_group(f->model.config) ? r->n_heads / r->n_groups : r->n_heads;
    const float *betas = f->buffers.recurrent_steps + b * 2 * r->n_heads + 2 * head - head % n_together;
    const float decay = exp_or_zero(softplus(betas[n_together] + w->ssm_dt_bias[head]) * w->ssm_a[head]);
    for (size_t i = 0; i < n; i++) decays[i] = decay;
    return sigmoid(*betas);
}

/* Apply the norm and the gate to a head's result, x: [n]. The gate is overwritten. */
static void finish_delta(const forward_cpu *f, float *gate, float *x, size_t n) {
    normalize(f, &weights_of(f)->ssm_norm, x, n, x);
    if (f->model.config->traits->recurrent == RECURRENT_CHANNEL_DELTA_NET) {
        for (size_t i = 0; i < n; i++) x[i] *= sigmoid(gate[i]);
        return;
    }
    apply_gate(f, gate, x, n);
}

/* One head of a span. For each token: read what the decayed state holds under the key, subtract it from the value, and
 * add beta times this difference under the key. The last item of a span stores the convolution's inputs. */
static void delta_item(void *argument, size_t item, uint32_t thread) {
    const forward_cpu *f = argument;
    const model_config *c = f->model.config;
    const recurrent_config *r = &c->recurrent;
    const forward_span *span = &f->all.spans[item / (r->n_heads + 1)];
    const size_t head = item % (r->n_heads + 1), n = r->state_size, n_values = r->head_length;
    if (head == r->n_heads) {
        keep_inputs(f, span);
        return;
    }
    const size_t group = c->traits->groups_in_turn ? head % r->n_groups : head / (r->n_heads / r->n_groups);
    const float *from = state_of(f->model.states, span->state_from, f->layer) + head * n * n_values;
    float *decays = thread_scratch(f, thread), *weights = decays + n, *values = weights + n;
    for (size_t b = span->first_row; b < span->first_row + span->n_rows; b++) {
        float *to = state_after(f, span, b) + head * n * n_values;
        const float *convolved = f->buffers.convolved.floats + b * r->n_channels;
        const float *query = convolved + group * n, *key = query + r->n_groups * n;
        const float *value = convolved + 2 * r->n_groups * n + head * n_values;
        const float beta = read_steps(f, b, head, decays);
        float *out = f->buffers.mixed.floats + (b * r->n_heads + head) * n_values;
        for (size_t i = 0; i < n; i++) weights[i] = decays[i] * key[i];
        f->model.kernels->state_read(from, n, n_values, weights, values);
        for (size_t i = 0; i < n_values; i++) values[i] = beta * (value[i] - values[i]);
        f->model.kernels->state_step(from, to, n, n_values, decays, key, values, query, out);
        from = to;
        finish_delta(f, f->buffers.recurrent_gate + (b * r->n_heads + head) * n_values, out, n_values);
    }
}

static void run_deltas(forward_cpu *f) {
    const recurrent_config *r = &f->model.config->recurrent;
    run_convolution(f, false);
    run_step(f, (size_t)f->all.n_spans * (r->n_heads + 1),
             2 * (uint64_t)f->all.count * r->n_heads * r->state_size * r->head_length, delta_item, f);
}

/* Sort what ssm_in gave for a token: for each group its query, key, values and gates. Afterwards all queries come
 * first, then all keys, then all values; the gates are in f->buffers.recurrent_gate. */
static void split_groups_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const recurrent_config *r = &f->model.config->recurrent;
    const size_t n = r->state_size, n_keys = r->n_groups * n, n_values = r->inner_size / r->n_groups;
    float *in = f->buffers.recurrent_in + b * r->n_in, *out = f->buffers.convolved.floats + b * r->n_channels;
    float *gates = f->buffers.recurrent_gate + b * r->inner_size;
    for (size_t g = 0; g < r->n_groups; g++) {
        const float *group = in + g * 2 * (n + n_values);
        memcpy(out + g * n, group, n * sizeof *out);
        memcpy(out + n_keys + g * n, group + n, n * sizeof *out);
        memcpy(out + 2 * n_keys + g * n_values, group + 2 * n, n_values * sizeof *out);
        memcpy(gates + g * n_values, group + 2 * n + n_values, n_values * sizeof *out);
    }
    memcpy(in, out, r->n_channels * sizeof *in);
}

static void run_delta_net(forward_cpu *f) {
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    const uint32_t n_rows = f->all.count;
    const forward_vectors *x = &f->buffers.normed;
    float *steps = f->buffers.recurrent_steps;
    row_work work = {.f = f, .n_rows = n_rows};
    size_t n = 0;
    product products[4];
    products[n++] = product_of(&w->ssm_in, 0, x, 0, n_rows, f->buffers.recurrent_in);
    if (!r->joins_gate) products[n++] = product_of(&w->ssm_gate, 0, x, 0, n_rows, f->buffers.recurrent_gate);
    if (betas_by_group(f->model.config)) {
        products[n++] = product_of(&w->ssm_ba, 0, x, 0, n_rows, steps);
    } else {
        products[n++] = product_of(&w->ssm_beta, 0, x, 0, n_rows, steps);
        products[n++] = product_of(&w->ssm_alpha, 0, x, 0, n_rows, steps + r->n_heads);
        products[n - 2].out_stride = products[n - 1].out_stride = 2 * (size_t)r->n_heads;
    }
    run_products(f, products, n, NULL);
    if (r->joins_gate) run_row_step(&work, r->n_in, split_groups_item);
    run_deltas(f);
}

static void quantize_ranks_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    quantize_vector(f, &f->buffers.step_parts, b);
}

/* Decays and gates are low-rank products. f->buffers.step_parts has the compressed decays of all rows, then the
 * compressed gates. */
static void run_channel_delta_net(forward_cpu *f) {
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    const uint32_t n_rows = f->all.count;
    const forward_vectors *x = &f->buffers.normed, *ranks = &f->buffers.step_parts;
    float *in = f->buffers.recurrent_in, *steps = f->buffers.recurrent_steps;
    product first[] = {product_of(&w->ssm_q, 0, x, 0, n_rows, in),
                       product_of(&w->ssm_k, 0, x, 0, n_rows, in + r->inner_size),
                       product_of(&w->ssm_v, 0, x, 0, n_rows, in + 2 * (size_t)r->inner_size),
                       product_of(&w->ssm_f_a, 0, x, 0, n_rows, ranks->floats),
                       product_of(&w->ssm_g_a, 0, x, 0, n_rows, ranks->floats + (size_t)n_rows * r->step_rank),
                       product_of(&w->ssm_beta, 0, x, 0, n_rows, steps)};
    product second[] = {product_of(&w->ssm_f_b, 0, ranks, 0, n_rows, steps + r->n_heads),
                        product_of(&w->ssm_g_b, 0, ranks, n_rows, n_rows, f->buffers.recurrent_gate)};
    row_work work = {.f = f, .n_rows = 2 * n_rows};
    for (size_t i = 0; i < 3; i++) first[i].out_stride = r->n_in;
    first[5].out_stride = second[0].out_stride = (size_t)r->n_heads + r->inner_size;
    run_products(f, first, sizeof first / sizeof *first, NULL);
    if (reads_quantized(f, &w->ssm_f_b) || reads_quantized(f, &w->ssm_g_b))
        run_row_step(&work, r->step_rank, quantize_ranks_item);
    run_products(f, second, 2, NULL);
    run_deltas(f);
}

/* ---------------------------------------------------------------------------------------------- Mamba-2 */

/* One head of a span. For each token the state decays, takes in the head's part of x, and is read. The last item of a
 * span stores the convolution's inputs. */
static void mamba_head_item(void *argument, size_t item, uint32_t thread) {
    const forward_cpu *f = argument;
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    const forward_span *span = &f->all.spans[item / (r->n_heads + 1)];
    const size_t head = item % (r->n_heads + 1), n = r->state_size, length = r->head_length;
    if (head == r->n_heads) {
        keep_inputs(f, span);
        return;
    }
    const size_t group = head / (r->n_heads / r->n_groups);
    const bool by_parts = f->model.config->traits->recurrent == RECURRENT_MAMBA_HEADS;
    const float *from = state_of(f->model.states, span->state_from, f->layer) + head * n * length;
    float *decays = thread_scratch(f, thread), *values = decays + n;
    for (size_t b = span->first_row; b < span->first_row + span->n_rows; b++) {
        float *to = state_after(f, span, b) + head * n * length;
        const float *x_of_all = f->buffers.convolved.floats + b * r->n_channels, *x = x_of_all + head * length;
        const float *key =
            by_parts ? f->buffers.recurrent_parts + b * part_floats(r) : x_of_all + r->inner_size + group * n;
        const float *query = key + r->n_groups * n;
        const float step = softplus(by_parts ? f->buffers.recurrent_steps[b * r->n_heads + head]
                                             : inputs_of(f, b)[r->n_channels + head] + w->ssm_dt_bias[head]);
        const float decay = exp_or_zero(step * w->ssm_a[head]);
        float *out = f->buffers.mixed.floats + b * r->inner_size + head * length;
        for (size_t i = 0; i < n; i++) decays[i] = decay;
        for (size_t i = 0; i < length; i++) values[i] = step * x[i];
        f->model.kernels->state_step(from, to, n, length, decays, key, values, query, out);
        from = to;
        for (size_t i = 0; i < length; i++) out[i] += w->ssm_d[head] * x[i];
    }
}

/* For a token: apply the gate, which is before the inputs or has a buffer of its own; then norm each group. */
static void gate_and_norm_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const recurrent_config *r = &f->model.config->recurrent;
    const norm_weights *norm = &weights_of(f)->ssm_norm;
    const size_t n = r->inner_size / r->n_groups;
    const bool apart = f->model.config->traits->recurrent == RECURRENT_MAMBA_HEADS;
    float *gate = apart ? f->buffers.recurrent_gate + b * r->inner_size : f->buffers.recurrent_in + b * r->n_in;
    float *out = f->buffers.mixed.floats + b * r->inner_size;
    f->model.kernels->activate(SWIGLU, NULL, gate, out, r->inner_size);
    for (size_t i = 0; i < r->n_groups; i++) {
        const norm_weights own = {norm->weight ? norm->weight + i * n : NULL, NULL};
        normalize(f, &own, gate + i * n, n, out + i * n);
    }
}

static void run_heads(forward_cpu *f) {
    const recurrent_config *r = &f->model.config->recurrent;
    row_work work = {.f = f, .n_rows = f->all.count};
    run_step(f, (size_t)f->all.n_spans * (r->n_heads + 1), (uint64_t)f->all.count * r->inner_size * r->state_size,
             mamba_head_item, f);
    run_row_step(&work, 8 * (uint64_t)r->inner_size, gate_and_norm_item);
}

static void run_mamba2(forward_cpu *f) {
    product in = product_of(&weights_of(f)->ssm_in, 0, &f->buffers.normed, 0, f->all.count, f->buffers.recurrent_in);
    run_products(f, &in, 1, NULL);
    run_convolution(f, false);
    run_heads(f);
}

/* ---------------------------------------------------------------------------------------------- Mamba */

/* Norm a part of what ssm_x gave: with weights, if the file has some; without weights, if a key of the file asks for
 * it. */
static void normalize_part(const forward_cpu *f, const norm_weights *norm, float *x, size_t n) {
    const model_config *c = f->model.config;
    normalize(f, norm, x, n, x);
    if (c->recurrent.norms_parts) scale_to_length(x, n, c->norm_epsilon * (float)n, sqrtf((float)n));
}

/* For a token: norm the three parts of what ssm_x gave. They are steps, key and query; in RECURRENT_MAMBA_HEADS key,
 * query and steps. */
static void split_mamba_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    float *parts = f->buffers.recurrent_parts + b * part_floats(r), *steps = parts, *keys = parts + r->step_rank;
    if (f->model.config->traits->recurrent == RECURRENT_MAMBA_HEADS) {
        keys = parts;
        steps = parts + 2 * r->state_size;
    }
    normalize_part(f, &w->ssm_dt_norm, steps, r->step_rank);
    normalize_part(f, &w->ssm_b_norm, keys, r->state_size);
    normalize_part(f, &w->ssm_c_norm, keys + r->state_size, r->state_size);
    memcpy(f->buffers.step_parts.floats + b * r->step_rank, steps, r->step_rank * sizeof *steps);
    if (work->quantize) quantize_vector(f, &f->buffers.step_parts, b);
}

static size_t mamba_items(const recurrent_config *r) {
    return (r->inner_size + CHANNELS_PER_ITEM - 1) / CHANNELS_PER_ITEM;
}

/* Some channels of a span. The last item of a span stores the convolution's inputs. */
static void mamba_item(void *argument, size_t item, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = argument;
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    const forward_span *span = &f->all.spans[item / (mamba_items(r) + 1)];
    const size_t first = item % (mamba_items(r) + 1) * CHANNELS_PER_ITEM, stride = r->inner_size;
    if (first >= stride) {
        keep_inputs(f, span);
        return;
    }
    const size_t n = stride - first < CHANNELS_PER_ITEM ? stride - first : CHANNELS_PER_ITEM;
    const float *from = state_of(f->model.states, span->state_from, f->layer) + first;
    for (size_t b = span->first_row; b < span->first_row + span->n_rows; b++) {
        float *to = state_after(f, span, b) + first;
        const float *x = f->buffers.convolved.floats + b * stride + first;
        const float *key = f->buffers.recurrent_parts + b * part_floats(r) + r->step_rank;
        float *gate = f->buffers.recurrent_in + b * r->n_in + stride + first;
        float *out = f->buffers.mixed.floats + b * stride + first,
              *steps = f->buffers.recurrent_steps + b * stride + first;
        float values[CHANNELS_PER_ITEM];
        for (size_t i = 0; i < n; i++) {
            steps[i] = softplus(steps[i]);
            values[i] = steps[i] * x[i];
        }
        f->model.kernels->state_step_each(from, to, r->state_size, n, stride, w->ssm_a + first, steps, key, values,
                                          key + r->state_size, out);
        from = to;
        for (size_t i = 0; i < n; i++) out[i] += w->ssm_d[first + i] * x[i];
        apply_gate(f, gate, out, n);
    }
}

/* From the convolution's inputs to f->buffers.recurrent_parts and recurrent_steps. */
static void make_parts(forward_cpu *f) {
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    const uint32_t n_rows = f->all.count;
    row_work split = {.f = f, .n_rows = n_rows, .quantize = reads_quantized(f, &w->ssm_dt)};
    product parts = product_of(&w->ssm_x, 0, &f->buffers.convolved, 0, n_rows, f->buffers.recurrent_parts);
    product steps = product_of(&w->ssm_dt, 0, &f->buffers.step_parts, 0, n_rows, f->buffers.recurrent_steps);
    run_convolution(f, reads_quantized(f, &w->ssm_x));
    run_products(f, &parts, 1, NULL);
    run_row_step(&split, 4 * (uint64_t)part_floats(r), split_mamba_item);
    run_products(f, &steps, 1, NULL);
}

static void run_mamba(forward_cpu *f) {
    const recurrent_config *r = &f->model.config->recurrent;
    product in = product_of(&weights_of(f)->ssm_in, 0, &f->buffers.normed, 0, f->all.count, f->buffers.recurrent_in);
    run_products(f, &in, 1, NULL);
    make_parts(f);
    run_step(f, f->all.n_spans * (mamba_items(r) + 1), 16 * (uint64_t)f->all.count * r->inner_size * r->state_size,
             mamba_item, f);
}

/* Split what ssm_in gave for a token: for each head its gates, then its inputs. The inputs move to the front. */
static void split_gates_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const recurrent_config *r = &f->model.config->recurrent;
    const size_t n = r->head_length;
    float *in = f->buffers.recurrent_in + b * r->n_in, *gates = f->buffers.recurrent_gate + b * r->inner_size;
    for (size_t head = 0; head < r->n_heads; head++) {
        memcpy(gates + head * n, in + 2 * head * n, n * sizeof *in);
        memmove(in + head * n, in + (2 * head + 1) * n, n * sizeof *in);
    }
}

static void run_mamba_heads(forward_cpu *f) {
    row_work work = {.f = f, .n_rows = f->all.count};
    product in = product_of(&weights_of(f)->ssm_in, 0, &f->buffers.normed, 0, f->all.count, f->buffers.recurrent_in);
    run_products(f, &in, 1, NULL);
    run_row_step(&work, f->model.config->recurrent.n_in, split_gates_item);
    make_parts(f);
    run_heads(f);
}

/* -------------------------------------------------------------------------------------- the half of a layer */

static void quantize_mixed_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    quantize_vector(f, &f->buffers.mixed, b);
}

void recurrent_mix(forward_cpu *f, const float *x) {
    const layer_weights *w = weights_of(f);
    const linear *const readers[] = {&w->ssm_in, &w->ssm_gate, &w->ssm_beta, &w->ssm_alpha, &w->ssm_ba,
                                     &w->ssm_q,  &w->ssm_k,    &w->ssm_v,    &w->ssm_f_a,   &w->ssm_g_a};
    bool quantize = false;
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) quantize = quantize || reads_quantized(f, readers[i]);
    run_norm(f, &w->attn_norm, x, f->all.count, quantize);
    switch (f->model.config->traits->recurrent) {
    case RECURRENT_NONE: break;
    case RECURRENT_SHORT_CONVOLUTION: run_short_convolution(f); break;
    case RECURRENT_DELTA_NET: run_delta_net(f); break;
    case RECURRENT_CHANNEL_DELTA_NET: run_channel_delta_net(f); break;
    case RECURRENT_MAMBA2: run_mamba2(f); break;
    case RECURRENT_MAMBA_HEADS: run_mamba_heads(f); break;
    case RECURRENT_MAMBA: run_mamba(f); break;
    case RECURRENT_RWKV6:
    case RECURRENT_RWKV7: time_mix(f); break;
    }
}

void recurrent_add(forward_cpu *f, const forward_rows *rows, float *x) {
    const layer_weights *w = weights_of(f);
    row_work work = {.f = f, .n_rows = rows->count};
    if (f->stopped) return;
    if (rows->count < f->all.count) keep_rows(f, f->buffers.mixed.floats, f->buffers.mixed.n_columns);
    if (rows->count == 0) return;
    if (reads_quantized(f, &w->ssm_out)) run_row_step(&work, f->buffers.mixed.n_columns, quantize_mixed_item);
    const bool at_once = adds_at_once(f, &w->post_attention_norm);
    product output = product_of(&w->ssm_out, 0, &f->buffers.mixed, 0, rows->count, f->buffers.projected);
    run_products(f, &output, 1, at_once ? x : NULL);
    if (!at_once) add_projected(f, &w->post_attention_norm, x, rows->count);
}

void recurrent_block(forward_cpu *f, const forward_rows *rows, float *x) {
    recurrent_mix(f, x);
    if (rows->count < f->all.count && !f->stopped) keep_rows(f, x, f->model.config->n_embd);
    recurrent_add(f, rows, x);
}
