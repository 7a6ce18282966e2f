/* Tensor names are those of the GGUF specification for the architecture llama. */
#include "model/weights.h"

#include "base/error.h"
#include "gguf/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Binding stops at the first fault: `status` then stays, and every further call does nothing. */
typedef struct binder {
    const cllm_gguf *gguf;
    arena *arena;
    cllm_error *err;
    cllm_status status;
    unsigned char *used; /* [n_tensors] */
    uint64_t matrix_bytes;
    uint64_t matrix_types;
} binder;

/* The tensor of this name and shape (innermost first), or NULL: then `status` says why, unless it is optional. */
static const cllm_tensor *find(binder *b, const char *name, const uint64_t *shape, uint32_t n_dims, bool optional) {
    if (b->status != CLLM_OK) return NULL;
    const cllm_tensor *tensor = cllm_gguf_find_tensor(b->gguf, name);
    if (!tensor) {
        if (!optional)
            b->status = error_set_at(b->err, CLLM_ERR_FORMAT, name, CLLM_NO_OFFSET,
                                     "%s: the file does not have this tensor, and the model needs it", name);
        return NULL;
    }
    bool fits = true;
    for (uint32_t i = 0; i < 4; i++) fits = fits && tensor->shape[i] == (i < n_dims ? shape[i] : 1);
    if (!fits) {
        b->status = error_set_at(
            b->err, CLLM_ERR_FORMAT, name, tensor->offset, "%s: its shape is [%s], the model needs [%s]", name,
            gguf_shape_text(tensor->shape, tensor->n_dims).text, gguf_shape_text(shape, n_dims).text);
        return NULL;
    }
    b->used[tensor - cllm_gguf_tensor(b->gguf, 0)] = 1;
    return tensor;
}

static matrix bind_matrix(binder *b, const char *name, uint64_t n_rows, uint64_t n_columns, bool optional) {
    const uint64_t shape[] = {n_columns, n_rows};
    const cllm_tensor *tensor = find(b, name, shape, 2, optional);
    if (!tensor) return (matrix){0};
    quant_type type = (quant_type)tensor->type;
    if (!quant_type_layout((uint32_t)tensor->type)->computable) {
        b->status = error_set_at(b->err, CLLM_ERR_UNSUPPORTED, name, tensor->offset,
                                 "%s: tensors of type %s cannot be computed with yet; supported:"
#define X(type_name, number, elements, bytes) " " #type_name
                                 COMPUTE_TYPES(X)
#undef X
                                     ,
                                 name, cllm_tensor_type_name(tensor->type));
        return (matrix){0};
    }
    b->matrix_bytes += tensor->n_bytes;
    b->matrix_types |= (uint64_t)1 << type;
    return (matrix){.data = tensor->data,
                    .type = type,
                    .n_rows = (uint32_t)n_rows,
                    .n_columns = (uint32_t)n_columns,
                    .row_bytes = (size_t)quant_bytes(type, n_columns)};
}

static const float *bind_vector(binder *b, const char *name, uint64_t n, bool optional) {
    const cllm_tensor *tensor = find(b, name, &n, 1, optional);
    if (!tensor) return NULL;
    if (tensor->type != QUANT_F32) {
        b->status = error_set_at(b->err, CLLM_ERR_UNSUPPORTED, name, tensor->offset,
                                 "%s: norms, biases and factors must be F32, this one is %s", name,
                                 cllm_tensor_type_name(tensor->type));
        return NULL;
    }
    float *copy = arena_alloc(b->arena, n, sizeof *copy);
    if (!copy) {
        b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for %s", name);
        return NULL;
    }
    memcpy(copy, tensor->data, (size_t)tensor->n_bytes);
    return copy;
}

static void bind_layer(binder *b, const model_config *c, uint32_t layer, layer_weights *w) {
    char name[64];
    const uint64_t n_embd = c->n_embd, n_ff = c->n_ff;
    const uint64_t queries = (uint64_t)c->n_heads * c->key_length, keys = (uint64_t)c->n_kv_heads * c->key_length;
    const uint64_t values = (uint64_t)c->n_kv_heads * c->value_length;
    const uint64_t attended = (uint64_t)c->n_heads * c->value_length;

#define NAME(suffix) (snprintf(name, sizeof name, "blk.%" PRIu32 "." suffix, layer), name)
    w->attn_norm = bind_vector(b, NAME("attn_norm.weight"), n_embd, false);
    w->attn_q = bind_matrix(b, NAME("attn_q.weight"), queries, n_embd, false);
    w->attn_k = bind_matrix(b, NAME("attn_k.weight"), keys, n_embd, false);
    w->attn_v = bind_matrix(b, NAME("attn_v.weight"), values, n_embd, false);
    w->attn_output = bind_matrix(b, NAME("attn_output.weight"), n_embd, attended, false);
    w->attn_q_bias = bind_vector(b, NAME("attn_q.bias"), queries, true);
    w->attn_k_bias = bind_vector(b, NAME("attn_k.bias"), keys, true);
    w->attn_v_bias = bind_vector(b, NAME("attn_v.bias"), values, true);
    w->attn_output_bias = bind_vector(b, NAME("attn_output.bias"), n_embd, true);
    w->ffn_norm = bind_vector(b, NAME("ffn_norm.weight"), n_embd, false);
    w->ffn_gate = bind_matrix(b, NAME("ffn_gate.weight"), n_ff, n_embd, false);
    w->ffn_up = bind_matrix(b, NAME("ffn_up.weight"), n_ff, n_embd, false);
    w->ffn_down = bind_matrix(b, NAME("ffn_down.weight"), n_embd, n_ff, false);
#undef NAME
}

/* A frequency is divided by its factor. */
static void check_rope_factors(binder *b, const float *factors, uint32_t n) {
    for (uint32_t i = 0; b->status == CLLM_OK && factors && i < n; i++)
        if (!(factors[i] > 0))
            b->status =
                error_set_at(b->err, CLLM_ERR_FORMAT, "rope_freqs.weight", CLLM_NO_OFFSET,
                             "rope_freqs.weight: factor %" PRIu32 " is %g, it must be positive", i, (double)factors[i]);
}

static void refuse_unused(binder *b, uint32_t n_layers) {
    for (size_t i = 0; b->status == CLLM_OK && i < cllm_gguf_n_tensors(b->gguf); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(b->gguf, i);
        uint32_t layer;
        if (b->used[i]) continue;
        if (sscanf(tensor->name, "blk.%" SCNu32 ".", &layer) == 1 && layer >= n_layers)
            b->status =
                error_set_at(b->err, CLLM_ERR_FORMAT, tensor->name, tensor->offset,
                             "%s: of a layer that is not there: llama.block_count is %" PRIu32, tensor->name, n_layers);
        else
            b->status = error_set_at(b->err, CLLM_ERR_UNSUPPORTED, tensor->name, tensor->offset,
                                     "%s: this tensor is no part of a llama model as far as this program knows it",
                                     tensor->name);
    }
}

cllm_status weights_bind(const cllm_gguf *gguf, const model_config *config, arena *a, model_weights *weights,
                         cllm_error *err) {
    *weights = (model_weights){0};
    const size_t n_tensors = cllm_gguf_n_tensors(gguf);
    if (config->n_layers > n_tensors) /* each layer has several: do not allocate for what cannot be there */
        return error_set_at(err, CLLM_ERR_FORMAT, "llama.block_count", CLLM_NO_OFFSET,
                            "llama.block_count: %" PRIu32 " layers, but the file has only %zu tensors",
                            config->n_layers, n_tensors);
    binder b = {.gguf = gguf, .arena = a, .err = err};
    b.used = arena_alloc(a, n_tensors, 1);
    weights->layers = arena_alloc(a, config->n_layers, sizeof *weights->layers);
    if (!b.used || !weights->layers)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for the tables of %zu tensors", n_tensors);

    weights->token_embd = bind_matrix(&b, "token_embd.weight", config->n_vocab, config->n_embd, false);
    b.matrix_bytes = weights->token_embd.row_bytes; /* of the embedding table a token reads one row */
    for (uint32_t i = 0; i < config->n_layers; i++) bind_layer(&b, config, i, &weights->layers[i]);
    weights->output_norm = bind_vector(&b, "output_norm.weight", config->n_embd, false);
    weights->output = bind_matrix(&b, "output.weight", config->n_vocab, config->n_embd, true);
    if (!weights->output.data) {
        weights->output = weights->token_embd;
        b.matrix_bytes += (uint64_t)weights->output.row_bytes * config->n_vocab;
    }
    weights->rope_factors = bind_vector(&b, "rope_freqs.weight", config->rope_dimension_count / 2, true);
    check_rope_factors(&b, weights->rope_factors, config->rope_dimension_count / 2);
    weights->bytes_per_token = b.matrix_bytes;
    weights->matrix_types = b.matrix_types;
    refuse_unused(&b, config->n_layers);
    return b.status;
}
