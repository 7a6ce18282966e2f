/* Changes x after both halves of a layer, before the next layer. Some models have, beside the usual embedding, a short
 * embedding of each token for each layer (Gemma 3n, 2025); some scale a layer's result.
 *
 * The short embeddings are the sum of two parts, computed before the first layer: a row of a table, and a product of
 * the usual embedding. A gate that reads x multiplies the layer's own short embedding, and a product of that is added
 * to x, or to all other streams if there are any (streams.c). */
#include "cpu/steps.h"

#include <math.h>

static const norm_weights no_norm = {NULL, NULL};

static void embed_item(void *argument, size_t b, uint32_t thread) {
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const matrix *table = &f->model.weights->per_layer_token_embd;
    const uint32_t n = f->model.config->n_embd_per_layer;
    const float of_model = 1 / sqrtf((float)f->model.config->n_embd), of_token = sqrtf((float)n), of_sum = sqrtf(0.5f);
    float *x = f->buffers.per_layer + b * table->n_columns, *row = thread_scratch(f, thread);
    f->model.kernels->dequantize[table->type](
        (const unsigned char *)table->data + (size_t)work->tokens[b] * table->row_bytes, row, table->n_columns);
    scale_floats(x, of_model, table->n_columns);
    for (uint32_t i = 0; i < table->n_columns; i += n)
        normalize(f, &f->model.weights->per_layer_proj_norm, x + i, n, x + i);
    for (uint32_t i = 0; i < table->n_columns; i++) x[i] = (x[i] + row[i] * of_token) * of_sum;
}

void embed_per_layer(forward_cpu *f, const int32_t *tokens, const float *x) {
    const linear *l = &f->model.weights->per_layer_model_proj;
    if (!l->w.data) return;
    row_work work = {.f = f, .n_rows = f->all.count, .tokens = tokens};
    run_norm(f, &no_norm, x, f->all.count, reads_quantized(f, l));
    product p = product_of(l, 0, &f->buffers.normed, 0, f->all.count, f->buffers.per_layer);
    run_products(f, &p, 1, NULL);
    run_row_step(&work, 4 * (uint64_t)l->w.n_rows, embed_item);
}

static void gate_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const uint32_t n = f->model.config->n_embd_per_layer;
    forward_vectors hidden = f->buffers.gate;
    hidden.n_columns = n;
    f->model.kernels->activate(f->model.config->activation, NULL, hidden.floats + b * n,
                               f->buffers.per_layer + (b * f->model.config->n_layers + f->layer) * n, n);
    if (work->quantize) quantize_vector(f, &hidden, b);
}

static void scale_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const size_t n = work->f->model.config->n_embd;
    scale_floats(work->x + b * n, *weights_of(work->f)->layer_output_scale, n);
}

/* The gate's input if there are streams: x times weights. */
static void scale_for_gate_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const size_t n = f->model.config->n_embd;
    const float *scale = weights_of(f)->altup_correct_scale;
    float *out = f->buffers.normed.floats + b * n;
    for (size_t i = 0; i < n; i++) out[i] = work->read[b * n + i] * scale[i];
    if (work->quantize) quantize_vector(f, &f->buffers.normed, b);
}

static void read_for_gate(forward_cpu *f, uint32_t n_rows, const float *x) {
    const layer_weights *w = weights_of(f);
    row_work work = {.f = f, .n_rows = n_rows, .read = x, .quantize = reads_quantized(f, &w->inp_gate)};
    if (w->altup_correct_scale)
        run_row_step(&work, f->model.config->n_embd, scale_for_gate_item);
    else
        run_norm(f, &no_norm, x, n_rows, work.quantize);
}

void per_layer_block(forward_cpu *f, uint32_t n_rows, float *x) {
    const layer_weights *w = weights_of(f);
    forward_vectors hidden = f->buffers.gate;
    hidden.n_columns = f->model.config->n_embd_per_layer;
    row_work work = {.f = f, .n_rows = n_rows, .x = x, .quantize = reads_quantized(f, &w->proj)};
    if (hidden.n_columns > 0) {
        read_for_gate(f, n_rows, x);
        product gate = product_of(&w->inp_gate, 0, &f->buffers.normed, 0, n_rows, hidden.floats);
        run_products(f, &gate, 1, NULL);
        run_row_step(&work, 8 * (uint64_t)hidden.n_columns, gate_item);
        product out = product_of(&w->proj, 0, &hidden, 0, n_rows, f->buffers.projected);
        run_products(f, &out, 1, NULL);
        if (f->model.config->n_streams > 0)
            add_projected_to_others(f, &w->post_norm, n_rows);
        else
            add_projected(f, &w->post_norm, x, n_rows);
    }
    if (w->layer_output_scale) run_row_step(&work, f->model.config->n_embd, scale_item);
}
