/* RWKV 6 and 7 (Peng et al. 2024, 2025). The time mix takes the place of attention; recurrent.c runs it. The channel
 * mix takes the place of the feed-forward network; forward_cpu.c runs it. Both read a token's vector and that of the
 * token before.
 *
 * The time mix has several parts: receptance, key, value, decay and so on. Each part reads its own mixture of the two
 * vectors, element by element. In RWKV 6 the weights of the mixture also depend on the token. Then each head updates
 * its state, one token after another, with the kernels that recurrent.c uses too. A state has a row for each element of
 * a key and a column for each element of a value. The receptance is the query:
 *
 *     6   read the state and the token's own key and value; then the state decays, and key and value are added
 *     7   the state decays, and a part of what it held under a second key is removed; then key and value are added, and
 *         the state is read
 *
 * Besides the states, a sequence keeps the last vector that each half has read. If only some rows of a batch are kept,
 * each row still needs the one before it. So the time mix processes all rows. In the channel mix, the norm and the
 * mixtures are computed for all rows, but the products only for the rows that are kept. */
#include "cpu/steps.h"

#include "base/exponential.h"

#include <math.h>
#include <string.h>

/* What the parts give, in f->buffers.recurrent_in. Only RWKV 7 has the last two. */
typedef enum result { RECEPTANCES, KEYS, VALUES, DECAYS, RATES, FIRST_SHARES } result;

enum half { TIME_MIX, CHANNEL_MIX };

static const float head_epsilon = 64e-5f; /* of the norm of a head's result */

static bool is_rwkv6(const forward_cpu *f) { return f->model.config->traits->recurrent == RECURRENT_RWKV6; }

static float *result_of(const forward_cpu *f, result which, size_t b) {
    return f->buffers.recurrent_in + ((size_t)which * f->all.count + b) * f->model.config->recurrent.inner_size;
}

/* The first row of a part in f->buffers.shifted. */
static size_t first_shifted(const forward_cpu *f, mix_part which) {
    const mix_part *parts = f->model.config->recurrent.parts;
    size_t i = 0;
    while (parts[i] != which) i++;
    return i * f->all.count;
}

static float *shifted_row(const forward_cpu *f, size_t part, size_t b) {
    return f->buffers.shifted.floats + (part * f->all.count + b) * f->model.config->n_embd;
}

/* --------------------------------------------------------------------------------------------- token shift */

/* The vector that a half read for the token before row b of the batch. */
static const float *row_before(const forward_cpu *f, enum half half, size_t b) {
    const forward_span *span = &f->all.spans[f->all.span_of[b]];
    const size_t n = f->model.config->n_embd;
    if (b > span->first_row) return f->buffers.normed.floats + (b - 1) * n;
    return state_inputs(f->model.states, span->state_from, f->layer) + half * n;
}

/* out = x + (before - x) * weights, element by element; if `adds`, out is first added to the weights. */
static void shift(const forward_cpu *f, enum half half, size_t b, const float *weights, bool adds, float *out) {
    const size_t n = f->model.config->n_embd;
    const float *x = f->buffers.normed.floats + b * n, *before = row_before(f, half, b);
    for (size_t i = 0; i < n; i++) out[i] = x[i] + (before[i] - x[i]) * (adds ? weights[i] + out[i] : weights[i]);
}

/* Store the last vector that a half read for a span, in each slot that the span's state goes to. */
static void keep_last(const forward_cpu *f, enum half half, const forward_span *span) {
    const size_t n = f->model.config->n_embd;
    const float *rows = f->buffers.normed.floats + span->first_row * n;
    if (span->state_middle != span->state_to)
        memcpy(state_inputs(f->model.states, span->state_middle, f->layer) + half * n,
               rows + (span->n_replayed - 1) * n, n * sizeof *rows);
    memcpy(state_inputs(f->model.states, span->state_to, f->layer) + half * n, rows + (span->n_rows - 1) * n,
           n * sizeof *rows);
}

/* ------------------------------------------------------------------------------------------------ mixtures */

/* RWKV 6: make the input of the products of make_mix_weights. */
static void shift_for_weights_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    shift(work->f, TIME_MIX, b, weights_of(work->f)->time_mix_lerp_x, false, shifted_row(work->f, 0, b));
    if (work->quantize) quantize_vector(work->f, &work->f->buffers.shifted, b);
}

static void activate_mix_ranks_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const recurrent_config *r = &f->model.config->recurrent;
    const float *from = f->buffers.recurrent_steps + b * r->n_parts * r->mix_rank;
    for (size_t part = 0; part < r->n_parts; part++) {
        const size_t row = part * f->all.count + b;
        float *to = f->buffers.mix_ranks.floats + row * r->mix_rank;
        for (size_t i = 0; i < r->mix_rank; i++) to[i] = tanhf(from[part * r->mix_rank + i]);
        if (work->quantize) quantize_vector(f, &f->buffers.mix_ranks, row);
    }
}

static void shift_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd, n_parts = f->model.config->recurrent.n_parts;
    for (size_t part = 0; part < n_parts; part++) {
        shift(f, TIME_MIX, b, weights_of(f)->time_mix_lerp_fused + part * n, is_rwkv6(f), shifted_row(f, part, b));
        if (work->quantize) quantize_vector(f, &f->buffers.shifted, part * f->all.count + b);
    }
}

/* f->buffers.shifted becomes what each token adds to the weights of its mixtures. */
static void make_mix_weights(forward_cpu *f) {
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    const uint32_t n_rows = f->all.count;
    row_work first = {.f = f, .n_rows = n_rows, .quantize = reads_quantized(f, &w->time_mix_w1)};
    row_work ranks = {.f = f, .n_rows = n_rows, .quantize = reads_quantized(f, &w->time_mix_w2)};
    product down = product_of(&w->time_mix_w1, 0, &f->buffers.shifted, 0, n_rows, f->buffers.recurrent_steps);
    product up[N_MIX_PARTS];
    for (uint32_t i = 0; i < r->n_parts; i++)
        up[i] = product_of(&w->time_mix_w2, i, &f->buffers.mix_ranks, (size_t)i * n_rows, n_rows, shifted_row(f, i, 0));
    run_row_step(&first, 2 * (uint64_t)f->model.config->n_embd, shift_for_weights_item);
    run_products(f, &down, 1, NULL);
    run_row_step(&ranks, 16 * (uint64_t)r->n_parts * r->mix_rank, activate_mix_ranks_item);
    run_products(f, up, r->n_parts, NULL);
}

/* ------------------------------------------------------------------------------------------------- results */

static void activate_ranks_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const recurrent_config *r = &f->model.config->recurrent;
    const layer_weights *w = weights_of(f);
    float *decays = f->buffers.step_parts.floats + b * r->step_rank;
    float *gates = f->buffers.gate_ranks.floats + b * r->gate_rank;
    for (size_t i = 0; i < r->step_rank; i++) decays[i] = tanhf(decays[i]);
    for (size_t i = 0; i < r->gate_rank; i++) gates[i] = sigmoid(gates[i]);
    if (reads_quantized(f, &w->ssm_f_b)) quantize_vector(f, &f->buffers.step_parts, b);
    if (reads_quantized(f, &w->ssm_g_b)) quantize_vector(f, &f->buffers.gate_ranks, b);
    if (reads_quantized(f, &w->time_mix_a2)) quantize_vector(f, &f->buffers.rate_ranks, b);
    if (reads_quantized(f, &w->time_mix_v2)) quantize_vector(f, &f->buffers.value_ranks, b);
}

/* Compute everything that a step of the states needs. */
static void make_results(forward_cpu *f) {
    const layer_weights *w = weights_of(f);
    forward_buffers *to = &f->buffers;
    const struct {
        const linear *linear;
        mix_part part;
        float *out;
    } first[] = {
        {&w->ssm_q, MIX_RECEPTANCE, result_of(f, RECEPTANCES, 0)}, {&w->ssm_k, MIX_KEY, result_of(f, KEYS, 0)},
        {&w->ssm_v, MIX_VALUE, result_of(f, VALUES, 0)},           {&w->ssm_gate, MIX_GATE, to->recurrent_gate},
        {&w->ssm_f_a, MIX_DECAY, to->step_parts.floats},           {&w->ssm_g_a, MIX_GATE, to->gate_ranks.floats},
        {&w->time_mix_a1, MIX_RATE, to->rate_ranks.floats},        {&w->time_mix_v1, MIX_VALUE, to->value_ranks.floats},
    };
    const struct {
        const linear *linear;
        const forward_vectors *ranks;
        float *out;
    } second[] = {
        {&w->ssm_f_b, &to->step_parts, result_of(f, DECAYS, 0)},
        {&w->ssm_g_b, &to->gate_ranks, to->recurrent_gate},
        {&w->time_mix_a2, &to->rate_ranks, result_of(f, RATES, 0)},
        {&w->time_mix_v2, &to->value_ranks, result_of(f, FIRST_SHARES, 0)},
    };
    product products[sizeof first / sizeof *first];
    row_work work = {.f = f, .n_rows = f->all.count};
    size_t n = 0;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (first[i].linear->w.data)
            products[n++] = product_of(first[i].linear, 0, &to->shifted, first_shifted(f, first[i].part), f->all.count,
                                       first[i].out);
    run_products(f, products, n, NULL);
    run_row_step(&work, 16 * (uint64_t)f->model.config->recurrent.step_rank, activate_ranks_item);
    n = 0;
    for (size_t i = 0; i < sizeof second / sizeof *second; i++)
        if (second[i].linear->w.data)
            products[n++] = product_of(second[i].linear, 0, second[i].ranks, 0, f->all.count, second[i].out);
    run_products(f, products, n, NULL);
}

/* ------------------------------------------------------------------------------------------------- states */

/* sum x * y * z */
static float sum_of_products(const float *x, const float *y, const float *z, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i] * z[i];
    return sum;
}

/* Norm the result of the head whose elements begin at `first`. out: [n] */
static void norm_head(const forward_cpu *f, float *out, size_t first, size_t n) {
    const norm_weights *norm = &weights_of(f)->ssm_norm;
    f->model.kernels->layer_norm(out, norm->weight + first, head_epsilon, n, out);
    f->model.kernels->add(out, norm->bias + first, n);
}

/* One token, in the head whose elements begin at `first`. room: [n] */
static void step_6(const forward_cpu *f, size_t b, size_t first, const float *from, float *to, float *room) {
    const layer_weights *w = weights_of(f);
    const size_t n = f->model.config->recurrent.state_size, at = b * f->model.config->recurrent.inner_size + first;
    const float *key = result_of(f, KEYS, b) + first, *value = result_of(f, VALUES, b) + first;
    const float *receptance = result_of(f, RECEPTANCES, b) + first;
    float *decays = result_of(f, DECAYS, b) + first, *out = f->buffers.mixed.floats + at;
    const float own = sum_of_products(receptance, w->time_mix_first + first, key, n);
    for (size_t i = 0; i < n; i++) decays[i] = exp_or_zero(-expf(w->time_mix_decay[first + i] + decays[i]));
    f->model.kernels->state_read(from, n, n, receptance, out);
    f->model.kernels->state_step(from, to, n, n, decays, key, value, receptance, room);
    for (size_t i = 0; i < n; i++) out[i] += own * value[i];
    norm_head(f, out, first, n);
    f->model.kernels->activate(SWIGLU, NULL, f->buffers.recurrent_gate + at, out, n);
    memcpy(out, f->buffers.recurrent_gate + at, n * sizeof *out);
}

/* Move values towards those of layer 0. Layer 0 stores its own in `first` for this. */
static void take_first_values(const forward_cpu *f, float *value, const float *share, const float *base, float *first,
                              size_t at, size_t n) {
    if (f->layer == 0) memcpy(first, value, n * sizeof *first);
    for (size_t i = 0; f->layer > 0 && i < n; i++) value[i] += (first[i] - value[i]) * sigmoid(base[at + i] + share[i]);
}

/* As step_6, but for RWKV 7. room: [3][n] */
static void step_7(const forward_cpu *f, size_t b, size_t first, const float *from, float *to, float *room) {
    const layer_weights *w = weights_of(f);
    const size_t n = f->model.config->recurrent.state_size, at = b * f->model.config->recurrent.inner_size + first;
    const float *receptance = result_of(f, RECEPTANCES, b) + first, *gate = f->buffers.recurrent_gate + at;
    float *key = result_of(f, KEYS, b) + first, *value = result_of(f, VALUES, b) + first;
    float *decays = result_of(f, DECAYS, b) + first, *rates = result_of(f, RATES, b) + first;
    float *taken = room, *held = taken + n, *ones = held + n, *out = f->buffers.mixed.floats + at;
    take_first_values(f, value, result_of(f, FIRST_SHARES, b) + first, w->time_mix_v0, f->buffers.first_values + at,
                      first, n);
    for (size_t i = 0; i < n; i++) {
        decays[i] = exp_or_zero(-0.606531f * sigmoid(w->time_mix_decay[first + i] + decays[i]));
        rates[i] = sigmoid(w->time_mix_a0[first + i] + rates[i]);
        taken[i] = key[i] * w->time_mix_k_k[first + i];
        key[i] += (rates[i] - 1) * key[i] * w->time_mix_k_a[first + i];
        ones[i] = 1;
    }
    const float own = sum_of_products(key, receptance, w->time_mix_r_k + first, n);
    scale_to_length(taken, n, 1e-24f, 1);
    for (size_t i = 0; i < n; i++) rates[i] *= -taken[i];
    f->model.kernels->state_read(from, n, n, taken, held);
    f->model.kernels->state_step(from, to, n, n, decays, rates, held, receptance, out);
    f->model.kernels->state_step(to, to, n, n, ones, key, value, receptance, out);
    norm_head(f, out, first, n);
    for (size_t i = 0; i < n; i++) out[i] = (out[i] + own * value[i]) * gate[i];
}

/* One head of a span. The last item of a span stores the last vector that the time mix read. */
static void head_item(void *argument, size_t item, uint32_t thread) {
    const forward_cpu *f = argument;
    const recurrent_config *r = &f->model.config->recurrent;
    const forward_span *span = &f->all.spans[item / (r->n_heads + 1)];
    const size_t head = item % (r->n_heads + 1), n = r->state_size;
    if (head == r->n_heads) {
        keep_last(f, TIME_MIX, span);
        return;
    }
    const float *from = state_of(f->model.states, span->state_from, f->layer) + head * n * n;
    for (size_t b = span->first_row; b < span->first_row + span->n_rows; b++) {
        float *to = state_of(f->model.states, slot_after(span, b), f->layer) + head * n * n;
        (is_rwkv6(f) ? step_6 : step_7)(f, b, head * n, from, to, thread_scratch(f, thread));
        from = to;
    }
}

void time_mix(forward_cpu *f) {
    const model_config *c = f->model.config;
    const recurrent_config *r = &c->recurrent;
    const layer_weights *w = weights_of(f);
    const linear *const readers[] = {&w->ssm_q,   &w->ssm_k,   &w->ssm_v,       &w->ssm_gate,
                                     &w->ssm_f_a, &w->ssm_g_a, &w->time_mix_a1, &w->time_mix_v1};
    row_work work = {.f = f, .n_rows = f->all.count};
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        work.quantize = work.quantize || reads_quantized(f, readers[i]);
    if (is_rwkv6(f)) make_mix_weights(f);
    run_row_step(&work, 4 * (uint64_t)r->n_parts * c->n_embd, shift_item);
    make_results(f);
    run_step(f, (size_t)f->all.n_spans * (r->n_heads + 1), 3 * (uint64_t)f->all.count * r->inner_size * r->state_size,
             head_item, f);
}

/* --------------------------------------------------------------------------------------------- channel mix */

enum { FOR_KEY, FOR_RECEPTANCE }; /* parts of f->buffers.shifted */

static void shift_channels_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const layer_weights *w = weights_of(f);
    shift(f, CHANNEL_MIX, b, w->channel_mix_lerp_k, false, shifted_row(f, FOR_KEY, b));
    if (w->channel_mix_lerp_r)
        shift(f, CHANNEL_MIX, b, w->channel_mix_lerp_r, false, shifted_row(f, FOR_RECEPTANCE, b));
}

static void keep_channels_item(void *argument, size_t s, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = argument;
    keep_last(f, CHANNEL_MIX, &f->all.spans[s]);
}

static void quantize_channels_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    quantize_vector(f, &f->buffers.shifted, FOR_KEY * f->all.count + b);
    if (weights_of(f)->channel_mix_lerp_r) quantize_vector(f, &f->buffers.shifted, FOR_RECEPTANCE * f->all.count + b);
}

static void open_gate_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const size_t n = work->f->model.config->n_embd;
    const float *gate = result_of(work->f, RECEPTANCES, b), *out = work->f->buffers.projected + b * n;
    for (size_t i = 0; i < n; i++) work->x[b * n + i] += sigmoid(gate[i]) * out[i];
}

/* Add value(relu(key)^2) to the kept rows of x, times the gate if there is one. */
static void run_channels(forward_cpu *f, uint32_t n_rows, float *x) {
    const layer_weights *w = weights_of(f);
    const forward_vectors *read = &f->buffers.shifted;
    const linear *gate = &w->channel_mix_receptance;
    forward_vectors hidden = f->buffers.gate;
    hidden.n_columns = layer_of(f)->n_ff;
    row_work work = {.f = f, .n_rows = n_rows, .x = x};
    if (reads_quantized(f, &w->ffn_up) || reads_quantized(f, gate))
        run_row_step(&work, 2 * (uint64_t)f->model.config->n_embd, quantize_channels_item);
    product up = product_of(&w->ffn_up, 0, read, (size_t)FOR_KEY * f->all.count, n_rows, hidden.floats);
    product down = product_of(&w->ffn_down, 0, &hidden, 0, n_rows, f->buffers.projected);
    if (reads_quantized(f, &w->ffn_down)) quantize_result(&up, &hidden, 0);
    run_activated_products(f, &up, 1, NULL);
    run_products(f, &down, 1, gate->w.data ? NULL : x);
    if (!gate->w.data) return;
    product receptance =
        product_of(gate, 0, read, (size_t)FOR_RECEPTANCE * f->all.count, n_rows, result_of(f, RECEPTANCES, 0));
    run_products(f, &receptance, 1, NULL);
    run_row_step(&work, 8 * (uint64_t)f->model.config->n_embd, open_gate_item);
}

void channel_mix_block(forward_cpu *f, const forward_rows *rows, float *x) {
    const layer_weights *w = weights_of(f);
    const size_t n = f->model.config->n_embd;
    row_work work = {.f = f, .n_rows = f->all.count};
    run_norm(f, &w->ffn_norm, x, f->all.count, false);
    run_row_step(&work, 4 * (uint64_t)n, shift_channels_item);
    run_step(f, f->all.n_spans, (uint64_t)f->all.n_spans * n, keep_channels_item, f);
    if (f->stopped) return;
    if (rows->count < f->all.count) {
        keep_rows(f, x, n);
        keep_rows(f, shifted_row(f, FOR_KEY, 0), n);
        keep_rows(f, shifted_row(f, FOR_RECEPTANCE, 0), n);
    }
    if (rows->count > 0) run_channels(f, rows->count, x);
}
