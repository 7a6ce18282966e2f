/* What comes after the pooling: dense layers turn an embedding into another one, or a classifier turns it into scores.
 * Before it: the rows of the last layer, which the engine has pooled. After it: the caller. */
#include "cpu/steps.h"

#include <math.h>
#include <string.h>

/* Multiply the matrix by the vector `from`. The result and its number of columns go to `to`. */
static void run_linear(forward_cpu *f, const linear *l, forward_vectors *from, forward_vectors *to) {
    from->n_columns = l->w.n_columns;
    to->n_columns = l->w.n_rows;
    if (reads_quantized(f, l)) quantize_vector(f, from, 0);
    product p = product_of(l, 0, from, 0, 1, to->floats);
    run_products(f, &p, 1, NULL);
}

bool forward_cpu_dense(forward_cpu *f, const float *x, float *out) {
    const model_config *c = f->model.config;
    forward_vectors *from = &f->buffers.pooled[0], *to = &f->buffers.pooled[1];
    memcpy(from->floats, x, c->n_embd * sizeof *x);
    for (size_t i = 0; i < 2; i++) {
        if (c->dense_lengths[i] == 0) continue;
        run_linear(f, &f->model.weights->dense[i], from, to);
        forward_vectors *last = to;
        to = from;
        from = last;
    }
    memcpy(out, from->floats, c->n_embd_out * sizeof *out);
    return !f->stopped;
}

bool forward_cpu_classify(forward_cpu *f, const float *x, float *scores) {
    const model_config *c = f->model.config;
    const model_weights *w = f->model.weights;
    forward_vectors *from = &f->buffers.pooled[0], *to = &f->buffers.pooled[1];
    memcpy(from->floats, x, c->n_embd * sizeof *x);
    if (w->cls.w.data) {
        run_linear(f, &w->cls, from, to);
        float *hidden = to->floats;
        if (c->traits->classifier == CLASSIFIER_GELU)
            f->model.kernels->activate(GELU_ERF, NULL, hidden, NULL, to->n_columns);
        else
            for (size_t i = 0; i < to->n_columns; i++) hidden[i] = tanhf(hidden[i]);
        normalize(f, &w->cls_norm, hidden, to->n_columns, hidden);
        to = from;
        from = from == &f->buffers.pooled[0] ? &f->buffers.pooled[1] : &f->buffers.pooled[0];
    }
    if (w->cls_output.w.data) {
        run_linear(f, &w->cls_output, from, to);
        from = to;
    }
    if (c->traits->classifier == CLASSIFIER_SOFTMAX) softmax(from->floats, c->n_scores);
    memcpy(scores, from->floats, c->n_scores * sizeof *scores);
    return !f->stopped;
}
