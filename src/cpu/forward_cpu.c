/* The sequence of the forward pass: embedding, layers, output. The steps are in the files that steps.h lists. */
#include "cpu/interleave.h"
#include "cpu/steps.h"

#include <string.h>

/* below this many multiply-adds, waking threads costs more than it saves */
#define WORTH_THREADS 100000

void run_items(forward_cpu *f, size_t n_items, uint64_t cost, thread_task task, void *work) {
    if (cost >= WORTH_THREADS)
        thread_pool_run(f->model.pool, n_items, task, work);
    else
        for (size_t item = 0; item < n_items; item++) task(work, item, 0);
}

void run_step(forward_cpu *f, size_t n_items, uint64_t cost, thread_task task, void *work) {
    f->stopped = f->stopped || (f->keep_going && !f->keep_going(f->user));
    if (!f->stopped) run_items(f, n_items, cost, task, work);
}

void run_row_step(row_work *work, uint64_t floats_per_row, thread_task task) {
    run_step(work->f, work->n_rows, work->n_rows * floats_per_row, task, work);
}

/* ------------------------------------------------------------------------------------------ norms and sums */

void normalize(const forward_cpu *f, const norm_weights *norm, const float *x, size_t n, float *out) {
    const float epsilon = f->model.config->norm_epsilon;
    if (!norm->weight) {
        if (out != x) memcpy(out, x, n * sizeof *out);
        return;
    }
    if (f->model.config->norm == NORM_RMS)
        f->model.kernels->rms_norm(x, norm->weight, epsilon, n, out);
    else
        f->model.kernels->layer_norm(x, norm->weight, epsilon, n, out);
    if (norm->bias) f->model.kernels->add(out, norm->bias, n);
}

static void norm_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd;
    normalize(f, work->norm, work->read + b * n, n, f->buffers.normed.floats + b * n);
    if (work->quantize) quantize_vector(f, &f->buffers.normed, b);
}

void run_norm(forward_cpu *f, const norm_weights *norm, const float *x, uint32_t n_rows, bool quantize) {
    row_work work = {.f = f, .n_rows = n_rows, .read = x, .norm = norm, .quantize = quantize};
    run_row_step(&work, f->model.config->n_embd, norm_item);
}

static void add_projected_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd;
    float *projected = f->buffers.projected + b * n;
    normalize(f, work->norm, projected, n, projected);
    scale_floats(projected, f->model.config->residual_scale, n);
    f->model.kernels->add(work->x + b * n, projected, n);
}

static void add_and_norm_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd;
    float *projected = f->buffers.projected + b * n, *x = work->x + b * n;
    for (const norm_weights *norm = work->norm; norm; norm = norm == work->norm ? work->second_norm : NULL) {
        f->model.kernels->add(projected, x, n);
        normalize(f, norm, projected, n, projected);
    }
    memcpy(x, projected, n * sizeof *x);
}

void add_and_norm(forward_cpu *f, const norm_weights *norm, const norm_weights *second, float *x, uint32_t n_rows) {
    row_work work = {.f = f, .n_rows = n_rows, .x = x, .norm = norm, .second_norm = second->weight ? second : NULL};
    run_row_step(&work, 2 * (uint64_t)f->model.config->n_embd, add_and_norm_item);
}

void add_projected(forward_cpu *f, const norm_weights *post_norm, float *x, uint32_t n_rows) {
    row_work work = {.f = f, .n_rows = n_rows, .x = x, .norm = post_norm};
    run_row_step(&work, f->model.config->n_embd, add_projected_item);
}

/* Rows only move to lower indices. */
void keep_rows(const forward_cpu *f, float *x, size_t n) {
    float *to = x;
    for (uint32_t s = 0; s < f->all.n_spans; s++) {
        const forward_span *span = &f->all.spans[s];
        memmove(to, x + (span->first_row + span->n_rows - span->n_kept) * n, span->n_kept * n * sizeof *x);
        to += span->n_kept * n;
    }
}

/* --------------------------------------------------------------------------------- from tokens to logits */

static void angles_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = argument;
    for (int i = 0; i < (f->model.config->window > 0 ? 2 : 1); i++) {
        const size_t at = b * f->model.rope[i].n_pairs;
        rope_angles(&f->model.rope[i], f->all.positions[b], f->buffers.rope_cos[i] + at, f->buffers.rope_sin[i] + at);
    }
}

/* The last n_rows rows of a span. */
static void add_rows(forward_rows *rows, const forward_span *span, uint32_t n_rows) {
    if (n_rows == 0) return;
    const uint32_t first_position = span->first_position + span->n_rows - n_rows;
    for (uint32_t i = 0; i < n_rows; i++) {
        rows->positions[rows->count + i] = first_position + i;
        rows->span_of[rows->count + i] = rows->n_spans;
    }
    rows->spans[rows->n_spans++] = (forward_span){.table = span->table,
                                                  .first_position = first_position,
                                                  .first_row = rows->count,
                                                  .n_rows = n_rows,
                                                  .n_replayed = span->n_replayed,
                                                  .state_from = span->state_from,
                                                  .state_middle = span->state_middle,
                                                  .state_to = span->state_to,
                                                  .end = span->end,
                                                  .n_kept = span->n_kept};
    rows->count += n_rows;
}

void forward_cpu_begin(forward_cpu *f, const forward_span *spans, uint32_t n_spans) {
    const uint64_t cost_of_angle = 64;
    f->all.count = f->all.n_spans = f->kept.count = f->kept.n_spans = f->layer = 0;
    for (uint32_t i = 0; i < n_spans; i++) {
        add_rows(&f->all, &spans[i], spans[i].n_rows);
        add_rows(&f->kept, &spans[i], spans[i].n_kept);
    }
    f->stopped = false;
    run_items(f, f->all.count, cost_of_angle * f->all.count * f->model.rope[0].n_pairs, angles_item, f);
}

/* out: row `index` of a table, as floats. */
static void read_row(const forward_cpu *f, const matrix *table, uint32_t index, uint32_t thread, float *out) {
    const void *row = (const unsigned char *)table->data + index * table->row_bytes;
    if (table->interleaved) {
        interleaved_row(table, index, thread_scratch(f, thread));
        row = thread_scratch(f, thread);
    }
    f->model.kernels->dequantize[table->type](row, out, table->n_columns);
}

/* Add what adapters contribute to the embedding x of token b: B times a row of A. */
static void adapt_embedding(const forward_cpu *f, size_t b, uint32_t token, uint32_t thread, float *x) {
    const uint32_t n = f->model.config->n_embd;
    forward_vectors inner = vectors_after(f->buffers.lora_inner, b * f->model.config->lora.inner_length);
    const product p = {
        .loras = f->model.weights->token_embd_loras, .inner = inner, .count = 1, .out = x, .out_stride = n};
    for (const lora_pair *pair = p.loras; pair; pair = pair->next) {
        const uint32_t rank = pair->b.n_columns;
        read_row(f, &pair->a, token, thread, inner.floats);
        scale_floats(inner.floats, pair->scale, rank);
        if (f->model.kernels->quantizes[pair->b.type])
            f->model.kernels->quantize(inner.floats, rank, inner.quantized, inner.blocks);
        inner = vectors_after(inner, lora_padded(rank));
    }
    for (uint32_t first = 0; first < n; first += MOST_ROWS)
        add_adapters(f, &p, first, n - first < MOST_ROWS ? n : first + MOST_ROWS, thread);
}

static void embed_item(void *argument, size_t b, uint32_t thread) {
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd;
    float *x = work->x + b * n;
    read_row(f, &f->model.weights->token_embd, (uint32_t)work->tokens[b], thread, x);
    if (f->model.weights->token_embd_loras) adapt_embedding(f, b, (uint32_t)work->tokens[b], thread, x);
    scale_floats(x, f->model.config->embedding_scale, n);
    float *more = f->buffers.projected + b * n;
    if (f->model.weights->token_types.data) {
        read_row(f, &f->model.weights->token_types, 0, thread, more);
        f->model.kernels->add(x, more, n);
    }
    if (f->model.weights->position_embd.data) {
        read_row(f, &f->model.weights->position_embd, f->all.positions[b], thread, more);
        f->model.kernels->add(x, more, n);
    }
    normalize(f, &f->model.weights->token_embd_norm, x, n, x);
}

void forward_cpu_embed(forward_cpu *f, const int32_t *tokens, float *x) {
    row_work work = {.f = f, .x = x, .tokens = tokens};
    run_items(f, f->all.count, (uint64_t)f->all.count * f->model.config->n_embd, embed_item, &work);
    embed_per_layer(f, tokens, x);
    begin_streams(f, x);
}

/* The first half of the current layer. */
static void mix(forward_cpu *f, const forward_rows *rows, float *x) {
    switch (layer_of(f)->mixer) {
    case MIXER_ATTENTION: attention_block(f, rows, x); break;
    case MIXER_RECURRENT: recurrent_block(f, rows, x); break;
    case MIXER_BOTH:
        recurrent_mix(f, x);
        attention_block(f, rows, x);
        recurrent_add(f, rows, x);
        break;
    case MIXER_NONE:
        if (rows->count < f->all.count && !f->stopped) keep_rows(f, x, f->model.config->n_embd);
        break;
    }
}

static bool run_part(forward_cpu *f, float *x, uint32_t layer) {
    f->layer = layer;
    attention_block(f, &f->all, x);
    if (f->part == LAYER_REST) feed_forward_block(f, f->all.count, x);
    return !f->stopped;
}

bool forward_cpu_layer_keys(forward_cpu *f, float *x, uint32_t layer) {
    f->part = LAYER_KEYS;
    return run_part(f, x, layer);
}

bool forward_cpu_layer_rest(forward_cpu *f, float *x, uint32_t layer) {
    f->part = LAYER_REST;
    return run_part(f, x, layer);
}

bool forward_cpu_layers(forward_cpu *f, float *x, uint32_t first_layer, uint32_t end_layer) {
    /* RWKV: the channel mix of a row also reads the row before it, so the time mix keeps all rows */
    const bool channel_mix = recurrent_is_rwkv(f->model.config->traits->recurrent);
    f->part = LAYER_WHOLE;
    for (f->layer = first_layer; f->layer < end_layer && !f->stopped; f->layer++) {
        const forward_rows *rows = f->layer + 1 == f->model.config->n_layers ? &f->kept : &f->all;
        predict_streams(f, f->all.count, x);
        if (f->model.config->traits->router_reads_layer) route(f, x);
        mix(f, channel_mix ? &f->all : rows, x);
        if (channel_mix) channel_mix_block(f, rows, x);
        if (rows->count == 0) continue;
        add_laurel(f, rows->count, x);
        if (!channel_mix) feed_forward_block(f, rows->count, x);
        correct_streams(f, rows->count, x);
        per_layer_block(f, rows->count, x);
        if (rows == &f->kept) merge_streams(f, rows->count, x);
    }
    return !f->stopped;
}

void forward_cpu_embedding(forward_cpu *f, float *x, uint32_t n_rows) {
    run_norm(f, &f->model.weights->output_norm, x, n_rows, false);
    memcpy(x, f->buffers.normed.floats, n_rows * f->model.config->n_embd * sizeof *x);
}

void forward_cpu_output(forward_cpu *f, const float *x, uint32_t n_rows, float *logits) {
    const linear *l = &f->model.weights->output;
    product output = product_of(l, 0, &f->buffers.normed, 0, n_rows, logits);
    run_norm(f, &f->model.weights->output_norm, x, n_rows, reads_quantized(f, l));
    run_logits(f, &output);
}
