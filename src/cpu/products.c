/* Matrix products, for all steps of the forward pass. They are split by rows: each item is some rows of one matrix, for
 * all vectors of the batch. What adapters (model/lora.h) add is computed here too. */
#include "cpu/steps.h"

#include <math.h>

enum { LEAST_ROWS = 2 * ROW_GROUP }; /* of an item; a larger item has a multiple of it: whole ACTIVATION_BLOCKs */
_Static_assert(LEAST_ROWS % ACTIVATION_BLOCK == 0, "an item quantizes what it computed");

typedef struct product_work {
    forward_cpu *f;
    const product *products;
    uint32_t together; /* how many neighbouring products an item belongs to: it computes the same rows of each */
    uint32_t rows_per_item;
    float *sum;           /* as for run_products */
    const float *numbers; /* as for run_activated_products */
} product_work;

static uint32_t n_row_items(const product_work *work, const matrix *w) {
    return (w->n_rows + work->rows_per_item - 1) / work->rows_per_item;
}

static uint32_t end_row(const product_work *work, const matrix *w, uint32_t first) {
    return w->n_rows - first < work->rows_per_item ? w->n_rows : first + work->rows_per_item;
}

static void multiply_rows(const forward_cpu *f, const product *p, uint32_t first, uint32_t end, uint32_t thread) {
    f->model.kernels->matmul(&p->w, first, end, &p->x, p->count, p->out, p->out_stride, thread_scratch(f, thread));
    for (size_t b = 0; p->scale != 1 && b < p->count; b++)
        for (size_t row = first; row < end; row++) p->out[b * p->out_stride + row] *= p->scale;
    if (p->loras) add_adapters(f, p, first, end, thread);
    for (size_t b = 0; p->bias && b < p->count; b++)
        f->model.kernels->add(p->out + b * p->out_stride + first, p->bias + first, end - first);
}

static void quantize_rows(const forward_cpu *f, const product *p, uint32_t first, uint32_t end) {
    for (size_t b = 0; p->quantized && b < p->count; b++) {
        const size_t at = b * p->out_stride + first;
        f->model.kernels->quantize(p->out + at, end - first, p->quantized + at, p->blocks + at / ACTIVATION_BLOCK);
    }
}

/* The products that an item belongs to. item: in, out: becomes its number among their items. */
static const product *products_of_item(const product_work *work, size_t *item) {
    const product *p = work->products;
    for (; *item >= n_row_items(work, &p->w); p += work->together) *item -= n_row_items(work, &p->w);
    return p;
}

static void product_item(void *argument, size_t item, uint32_t thread) {
    const product_work *work = argument;
    const product *p = products_of_item(work, &item);
    const uint32_t first = (uint32_t)item * work->rows_per_item, end = end_row(work, &p->w, first);
    multiply_rows(work->f, p, first, end, thread);
    quantize_rows(work->f, p, first, end);
    for (size_t b = 0; work->sum && b < p->count; b++)
        work->f->model.kernels->add(work->sum + b * p->w.n_rows + first, p->out + b * p->out_stride + first,
                                    end - first);
}

/* Rows of the output product, which are scaled and capped. */
static void logits_item(void *argument, size_t item, uint32_t thread) {
    const product_work *work = argument;
    const model_config *c = work->f->model.config;
    const product *p = work->products;
    const uint32_t first = (uint32_t)item * work->rows_per_item, end = end_row(work, &p->w, first);
    multiply_rows(work->f, p, first, end, thread);
    for (size_t b = 0; b < p->count; b++) {
        float *logits = p->out + b * p->out_stride;
        scale_floats(logits + first, c->logit_scale, end - first);
        for (size_t row = first; c->logit_softcap > 0 && row < end; row++)
            logits[row] = c->logit_softcap * tanhf(logits[row] / c->logit_softcap);
    }
}

/* The same rows of gate and up, which are then combined. */
static void activated_item(void *argument, size_t item, uint32_t thread) {
    const product_work *work = argument;
    const forward_cpu *f = work->f;
    const product *p = products_of_item(work, &item);
    const uint32_t first = (uint32_t)item * work->rows_per_item, end = end_row(work, &p->w, first);
    for (uint32_t i = 0; i < work->together; i++) multiply_rows(f, &p[i], first, end, thread);
    for (size_t b = 0; b < p->count; b++) {
        const size_t at = b * p->out_stride + first;
        f->model.kernels->activate(f->model.config->activation, work->numbers, p->out + at,
                                   work->together > 1 ? p[1].out + at : NULL, end - first);
    }
    quantize_rows(f, p, first, end);
}

static void run_work(product_work *work, size_t n_products, thread_task task) {
    uint64_t n_rows = 0, cost = 0;
    size_t n_items = 0;
    for (size_t i = 0; i < n_products; i++) {
        const product *p = &work->products[i];
        n_rows += p->w.n_rows;
        cost += (uint64_t)p->w.n_rows * p->w.n_columns * p->count;
    }
    const uint64_t even = n_rows / (ITEMS_PER_THREAD * thread_pool_size(work->f->model.pool)) / LEAST_ROWS * LEAST_ROWS;
    work->rows_per_item = even < LEAST_ROWS ? LEAST_ROWS : even > MOST_ROWS ? MOST_ROWS : (uint32_t)even;
    for (size_t i = 0; i < n_products; i += work->together) n_items += n_row_items(work, &work->products[i].w);
    run_step(work->f, n_items, cost, task, work);
}

/* ------------------------------------------------------------------------------------------------- adapters */

void add_adapters(const forward_cpu *f, const product *p, uint32_t first, uint32_t end, uint32_t thread) {
    float *room = f->buffers.lora_room + (size_t)thread * LORA_VECTORS * MOST_ROWS;
    forward_vectors inner = p->inner;
    for (const lora_pair *pair = p->loras; pair; pair = pair->next) {
        matrix b = lora_matrix(&pair->b, p->index);
        b.data = (const unsigned char *)b.data + first * b.row_bytes;
        b.n_rows = end - first;
        inner.n_columns = b.n_columns;
        for (size_t done = 0; done < p->count; done += LORA_VECTORS) {
            const size_t n = p->count - done < LORA_VECTORS ? p->count - done : LORA_VECTORS;
            const activations x = activations_from(&inner, done);
            f->model.kernels->matmul(&b, 0, b.n_rows, &x, n, room, MOST_ROWS, thread_scratch(f, thread));
            for (size_t i = 0; i < n; i++)
                f->model.kernels->add(p->out + (done + i) * p->out_stride + first, room + i * MOST_ROWS, b.n_rows);
        }
        inner = vectors_after(inner, p->count * lora_padded(b.n_columns));
    }
}

static void inner_item(void *argument, size_t item, uint32_t thread) {
    const product_work *work = argument;
    const forward_cpu *f = work->f;
    const product *p = products_of_item(work, &item);
    const uint32_t first = (uint32_t)item * work->rows_per_item, end = end_row(work, &p->w, first);
    multiply_rows(f, p, first, end, thread);
    quantize_rows(f, p, first, end);
}

/* The parts of a fused tensor share A and x. */
static bool share_inner(const product *p, const product *before) {
    return before->loras && before->loras->a.data == p->loras->a.data && before->x.floats == p->x.floats;
}

/* Compute A x for all adapters of these products. */
static void run_inner_products(forward_cpu *f, product *products, size_t n_products) {
    size_t n = 0;
    forward_vectors next = f->buffers.lora_inner;
    for (size_t i = 0; i < n_products; i++) {
        product *p = &products[i];
        if (!p->loras) continue;
        const bool shared = i > 0 && share_inner(p, p - 1);
        p->inner = shared ? p[-1].inner : next;
        for (const lora_pair *pair = shared ? NULL : p->loras; pair; pair = pair->next) {
            const uint32_t rank = pair->b.n_columns;
            const bool quantize = f->model.kernels->quantizes[pair->b.type];
            f->buffers.lora_products[n++] = (product){.w = lora_matrix(&pair->a, p->index),
                                                      .scale = pair->scale,
                                                      .x = p->x,
                                                      .count = p->count,
                                                      .out = next.floats,
                                                      .out_stride = rank,
                                                      .quantized = quantize ? next.quantized : NULL,
                                                      .blocks = next.blocks};
            next = vectors_after(next, p->count * lora_padded(rank));
        }
    }
    product_work work = {.f = f, .products = f->buffers.lora_products, .together = 1};
    if (n > 0) run_work(&work, n, inner_item);
}

bool reads_quantized(const forward_cpu *f, const linear *l) {
    bool reads = l->w.data && f->model.kernels->quantizes[l->w.type];
    for (const lora_pair *pair = l->loras; pair; pair = pair->next)
        reads = reads || f->model.kernels->quantizes[pair->a.type];
    return reads;
}

/* ------------------------------------------------------------------------------------------------ products */

product product_of(const linear *l, uint32_t index, const forward_vectors *x, size_t first_row, uint32_t count,
                   float *out) {
    return (product){.w = matrix_of(&l->w, index),
                     .bias = l->bias ? l->bias + (size_t)index * l->w.n_rows : NULL,
                     .scale = l->scale ? l->scale[index] : 1,
                     .loras = l->loras,
                     .index = index,
                     .x = activations_from(x, first_row),
                     .count = count,
                     .out = out,
                     .out_stride = l->w.n_rows};
}

void quantize_result(product *p, const forward_vectors *v, size_t first_row) {
    const size_t at = first_row * v->n_columns;
    p->quantized = v->quantized + at;
    p->blocks = v->blocks + at / ACTIVATION_BLOCK;
}

void run_products(forward_cpu *f, product *products, size_t n_products, float *sum) {
    product_work work = {.f = f, .products = products, .together = 1, .sum = sum};
    if (f->model.config->lora.n_products > 0) run_inner_products(f, products, n_products);
    run_work(&work, n_products, product_item);
}

void run_activated_products(forward_cpu *f, product *products, size_t n_products, const float *numbers) {
    const uint32_t together = activation_has_gate(f->model.config->activation) ? 2 : 1;
    product_work work = {.f = f, .products = products, .together = together, .numbers = numbers};
    if (f->model.config->lora.n_products > 0) run_inner_products(f, products, n_products);
    run_work(&work, n_products, activated_item);
}

void run_logits(forward_cpu *f, product *output) {
    product_work work = {.f = f, .products = output, .together = 1};
    if (f->model.config->lora.n_products > 0) run_inner_products(f, output, 1);
    run_work(&work, 1, logits_item);
}

void quantize_part(const forward_cpu *f, const forward_vectors *v, size_t row, size_t first, size_t n) {
    const size_t at = row * v->n_columns + first;
    f->model.kernels->quantize(v->floats + at, n, v->quantized + at, v->blocks + at / ACTIVATION_BLOCK);
}

void quantize_vector(const forward_cpu *f, const forward_vectors *v, size_t row) {
    quantize_part(f, v, row, 0, v->n_columns);
}
