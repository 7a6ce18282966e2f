/* cllm_load_options.repack: copies the quantized matrices of the layers, and of the output, into memory, interleaved:
 * an order that takes less work to unpack (model/weights.h). The mapped pages of a tensor are released as soon as it is
 * copied. So memory never has two copies of the weights. Before it: model.c, which has bound the weights to the file.
 * After it: the kernels. */
#include "engine/engine.h"

#include "base/error.h"
#include "base/pages.h"
#include "base/system.h"
#include "cpu/interleave.h"
#include "cpu/kernels.h"
#include "gguf/gguf.h"

#define STEP_BYTES ((uint64_t)16 << 20) /* between two progress reports */

typedef struct repacking {
    const cllm_load_options *options;
    unsigned char *next; /* where the next matrix goes */
    uint64_t done, total;
    uint64_t reported;
} repacking;

static uint64_t interleaved_bytes(const matrix *w) {
    if (!interleave_possible(w->type)) return 0;
    return ((uint64_t)w->n_rows + ROW_GROUP - 1) / ROW_GROUP * ROW_GROUP * w->row_bytes * w->count;
}

static bool report(repacking *r) {
    if (!r->options->progress || (r->done < r->total && r->done - r->reported < STEP_BYTES)) return true;
    r->reported = r->done;
    return r->options->progress(r->options->user, r->done, r->total);
}

static bool repack_matrix(repacking *r, matrix *w) {
    if (!interleave_possible(w->type)) return true;
    const size_t group_bytes = ROW_GROUP * w->row_bytes;
    unsigned char *groups = r->next;
    for (uint32_t index = 0; index < w->count; index++) {
        const unsigned char *rows = matrix_of(w, index).data;
        for (uint32_t row = 0; row < w->n_rows; row += ROW_GROUP) {
            const uint32_t n_present = w->n_rows - row < ROW_GROUP ? w->n_rows - row : ROW_GROUP;
            interleave_group(w->type, rows + row * w->row_bytes, w->row_bytes, n_present, r->next);
            r->next += group_bytes;
            r->done += group_bytes;
            if (!report(r)) return false;
        }
        pages_drop(rows, w->n_rows * w->row_bytes);
    }
    w->data = groups;
    w->apart = NULL;
    w->interleaved = true;
    return true;
}

/* The next matrix to copy: those of all layers, then the output matrix; NULL after that. at: number of tensors visited
 * so far. The embeddings are left out, unless they are the output matrix too. */
static matrix *next_matrix(cllm_model *model, uint64_t *at) {
    const uint64_t n_places = (uint64_t)model->config.n_layers * N_LAYER_TENSORS;
    while (*at < n_places) {
        linear *l = layer_linear(&model->weights.layers[*at / N_LAYER_TENSORS], (layer_tensor)(*at % N_LAYER_TENSORS));
        ++*at;
        if (l) return &l->w;
    }
    return (*at)++ == n_places ? &model->weights.output.w : NULL;
}

cllm_status model_repack(cllm_model *model, const cllm_load_options *options, cllm_error *err) {
    repacking r = {.options = options};
    if (!gguf_is_mapped(model->gguf))
        return error_set(err, CLLM_ERR_ARGUMENT,
                         "repacking needs a mapped file, and this one was read into memory: load it without repacking");
    matrix *w;
    for (uint64_t at = 0; (w = next_matrix(model, &at));) r.total += interleaved_bytes(w);
    if (r.total == 0) return CLLM_OK; /* float matrices have no other order */
    const uint64_t available = system_available_memory();
    model->repacked = !available || r.total < available ? pages_alloc((size_t)r.total) : NULL;
    model->repacked_bytes = (size_t)r.total;
    if (!model->repacked)
        return error_set(err, CLLM_ERR_MEMORY, "no memory to repack %.0f MiB of weights; load without repacking",
                         (double)r.total / (1024.0 * 1024.0));

    const bool tied = model->weights.output.w.data == model->weights.token_embd.data;
    r.next = model->repacked;
    for (uint64_t at = 0; (w = next_matrix(model, &at));)
        if (!repack_matrix(&r, w)) return error_set(err, CLLM_ERR_CANCELLED, "loading was cancelled");
    if (tied) model->weights.token_embd = model->weights.output.w;
    return CLLM_OK;
}
