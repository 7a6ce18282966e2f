/* Implements forward_gpu.h. The order of this file: finding a device, how much memory is needed, weights on the device,
 * launches, running the layers, the output, and pages. */
#include "gpu/forward_gpu.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/half.h"
#include "gpu/batch.h"
#include "gpu/kernel_args.h"
#include "gpu/program.h"
#include "model/kv_store.h"
#include "model/rope.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    UNIT = 32,                                      /* vectors are padded with zeros to a multiple of this */
    FEW = 4,                                        /* tokens that the multiply kernel for few tokens takes at a time */
    TILE_FROM = 8,                                  /* from this many tokens on, products use tiles, unless `exact` */
    LONGEST_ROW = 1 << 26,                          /* elements; a row's bytes must be an int in the kernels */
    MOST_KV_HEADS = INT32_MAX / (CHUNK * MAX_HEAD), /* a page's elements must be an int, too */
    MOST_SHARING = 128, /* query heads for one key/value head; the items of the largest batch must fit into 16 bits */
    WAIT_FROM = 32, /* from this many rows on, the host waits after each layer: progress is exact, and work can stop */
};

/* ------------------------------------------------------------------------------------------ finding a device */

static cllm_status open_driver(const gpu_driver *driver, uint32_t index, gpu *out, cllm_error *err) {
    *out = (gpu){.driver = driver};
    cllm_status status = driver->open(index, &out->device, &out->properties, err);
    if (status != CLLM_OK) *out = (gpu){0};
    if (status == CLLM_OK && !out->properties.is_gpu) {
        char *name = out->properties.name;
        const size_t length = strlen(name), size = sizeof out->properties.name;
        snprintf(name + length, size - length, " (no GPU)");
    }
    return status;
}

/* Open the first GPU that a driver finds. If none does, the error has the reason of each driver. */
static cllm_status open_any(uint32_t index, gpu *out, cllm_error *err) {
    char reasons[sizeof err->message] = "";
    for (size_t i = 0; gpu_drivers[i]; i++) {
        cllm_error reason;
        cllm_status status = open_driver(gpu_drivers[i], index, out, &reason);
        if (status == CLLM_OK && out->properties.is_gpu) return CLLM_OK;
        if (status == CLLM_OK) {
            error_set(&reason, CLLM_ERR_DEVICE, "%s", out->properties.name);
            gpu_close(out);
        }
        const size_t length = strlen(reasons);
        snprintf(reasons + length, sizeof reasons - length, "; %s: %.140s", gpu_drivers[i]->name, reason.message);
    }
    return error_set(err, CLLM_ERR_DEVICE, "there is no GPU%s", reasons);
}

cllm_status gpu_open(const char *name, uint32_t index, gpu *out, cllm_error *err) {
    *out = (gpu){0};
    if (strcmp(name, "auto") == 0) return open_any(index, out, err);
    for (size_t i = 0; gpu_drivers[i]; i++)
        if (strcmp(gpu_drivers[i]->name, name) == 0) return open_driver(gpu_drivers[i], index, out, err);
    return error_set(err, CLLM_ERR_DEVICE, "%s is not in this build%s", name,
                     strcmp(name, "metal") == 0 ? ": it comes with builds on macOS" : "");
}

void gpu_close(gpu *g) {
    if (g->driver) g->driver->close(g->device);
    *g = (gpu){0};
}

/* What forward_gpu_lacks returns for the layers' tensors. */
static const char *weights_lack(const model_config *c, const model_weights *weights) {
    for (uint32_t i = 0; i < c->n_layers; i++) {
        const layer_weights *w = &weights->layers[i];
        const layer_config *l = &c->layers[i];
        if (layer_has_experts(l)) return "a mixture of experts";
        if (!w->attn_q_norm.weight != !w->attn_k_norm.weight) return "a norm of queries or keys alone";
        if (w->attn_q_norm.bias || w->attn_k_norm.bias) return "biases of norms of queries and keys";
        if (layer_is_parallel(l) && w->post_attention_norm.weight) return "parallel layers with norms after them";
        if (l->values_are_keys) return "keys that are also the values";
        if (w->attn_v_norm.weight) return "a norm of values";
        if (w->layer_output_scale) return "layers whose results are scaled";
        if (w->attn_sinks) return "attention sinks";
        if (w->attn_gate.w.data) return "gated attention";
        const linear *const linears[] = {&w->attn_q,   &w->attn_k, &w->attn_v,  &w->attn_output,
                                         &w->ffn_gate, &w->ffn_up, &w->ffn_down};
        for (size_t m = 0; m < sizeof linears / sizeof *linears; m++)
            if (linears[m]->scale) return "scales of weight tensors";
    }
    return weights->output.scale ? "scales of weight tensors" : NULL;
}

static const char *layers_lack(const model_config *c) {
    for (const layer_config *l = c->layers; l < c->layers + c->n_layers; l++) {
        if (l->n_heads != c->n_heads || l->n_kv_heads != c->n_kv_heads || l->key_length != c->key_length ||
            l->value_length != c->value_length || l->attention_scale != c->layers->attention_scale)
            return "layers with different heads";
        if (l->kv_layer != (uint32_t)(l - c->layers)) return "layers that share keys and values";
        if (l->n_ff != c->n_ff) return "feed-forward parts of different lengths";
        if (l->rope_dimension_count > 0 && l->rope_dimension_count != c->rope_dimension_count)
            return "layers that rotate different parts of a head";
    }
    return NULL;
}

const char *forward_gpu_lacks(const model_config *c, const model_weights *weights) {
    const model_traits *traits = c->traits;
    if (c->lora.n_bytes > 0) return "LoRA adapters";
    if (traits->recurrent != RECURRENT_NONE) return "recurrent layers";
    if (c->n_index_heads > 0) return "an indexer that chooses positions";
    if (traits->bidirectional) return "tokens that see later ones (an encoder)";
    if (c->dense_lengths[0] > 0 || c->dense_lengths[1] > 0) return "dense layers after the pooling";
    if (c->n_scores > 0) return "a classifier";
    const char *lacks = layers_lack(c);
    if (!lacks) lacks = weights_lack(c, weights);
    if (lacks) return lacks;
    if (c->kv_rank > 0) return "latent attention";
    if (c->n_streams > 0) return "several streams of vectors";
    if (c->n_embd_per_layer > 0) return "embeddings of each layer";
    if (c->activation == CLAMPED_SWIGLU) return "a clamped activation";
    if (c->activation == RELU_SQUARED) return "a squared activation";
    if (c->activation == REGLU) return "ReLU as the activation of gates";
    if (c->activation == LIMITED_SWIGLU) return "an activation with limits";
    if (c->activation == XIELU) return "xIELU";
    if (c->activation == GEGLU_ERF || c->activation == GELU_ERF) return "GELU without tanh";
    if (c->alibi_max_bias > 0) return "ALiBi";
    if (c->window > 0 && c->window_chunked) return "windows that do not slide";
    if (c->value_scale != 1) return "scaled values";
    if (c->projection_limit > 0) return "clamped queries, keys and values";
    if (weights->token_embd_norm.weight) return "a norm of embeddings";
    if (traits->qk_norm_after_rope) return "norms after RoPE";
    const uint64_t lengths[] = {c->n_embd, c->n_ff, c->n_vocab, (uint64_t)c->n_heads * MAX_HEAD * 3};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        if (lengths[i] > LONGEST_ROW) return "rows of more than 2^26 elements";
    if (c->key_length > MAX_HEAD || c->value_length > MAX_HEAD) return "heads of more than 256 elements";
    if (c->n_kv_heads > MOST_KV_HEADS) return "more than 32767 heads of keys and values";
    if (c->n_heads / c->n_kv_heads > MOST_SHARING) return "more than 128 query heads for each head of keys and values";
    if (c->key_length % 2 != 0) return "an odd key length";
#define X(name, number, elements, bytes) \
    if (weights->matrix_types >> number & 1) return "tensors of type " #name;
    CPU_TYPES(X)
#undef X
    return NULL;
}

/* ------------------------------------------------------------------------------------------ what is needed */

static uint32_t padded(uint32_t n) { return (n + UNIT - 1) / UNIT * UNIT; }
static uint32_t groups(uint32_t n, uint32_t of) { return (n + of - 1) / of; }
static uint64_t matrix_bytes(const matrix *w) { return (uint64_t)w->n_rows * w->row_bytes; }
static uint32_t qkv_length(const model_config *c) {
    return (c->n_heads + c->n_kv_heads) * c->key_length + c->n_kv_heads * c->value_length;
}

/* Bytes of a page of one layer's keys or values. length: elements of a head. */
static uint64_t page_bytes(const model_config *c, cllm_kv_type type, uint32_t length) {
    return (uint64_t)CHUNK * length * (type == CLLM_KV_F16 ? 2 : 4) * c->n_kv_heads; /* less than 2^38 */
}

/* Bytes of all pages of one layer's keys or values. */
static uint64_t cache_bytes(const model_config *c, const gpu_settings *s, uint32_t layer, uint32_t length) {
    uint64_t bytes;
    const uint64_t n_pages = kv_pages_count(c, &s->size, kv_pool_of(&c->layers[layer]));
    return checked_mul(page_bytes(c, s->kv_type, length), n_pages, &bytes) ? bytes : UINT64_MAX;
}

static bool begins_with_tokens(const model_config *c, const gpu_settings *s) { return s->n_layers == c->n_layers; }

/* The scratch buffers: indices into forward_gpu.scratch. */
typedef enum scratch {
    X,               /* [n_batch][padded(n_embd)] */
    NORMED,          /* the same */
    KEPT,            /* the same, for the kept rows if not all are kept */
    QKV,             /* [n_batch][qkv_length] */
    ATTENDED,        /* [n_batch][padded(n_heads * value_length)] */
    GATED,           /* [n_batch][padded(n_ff)] */
    LOGITS,          /* [n_logits][n_vocab] */
    PARTS,           /* [batch_columns][n_heads][value_length + 2] */
    ANGLES,          /* [n_batch][n_pairs][2] cos and sin */
    ANGLES_WINDOWED, /* the same for windowed layers, if there are some */
    NUMBERS,         /* [batch_most_numbers] int */
    NEXT,            /* [n_batch] int */
    PAGE,            /* a page of one layer's keys or values, on its way from or to the host */
    N_SCRATCH
} scratch;

/* Floats of a row's angles, for windowed layers or the others. Not 0, because buffers are not empty. */
static uint32_t angles_length(const model_config *c, bool windowed) {
    const uint32_t n = windowed ? c->rope_dimension_count_windowed : c->rope_dimension_count;
    return n > 0 ? n : 2;
}

/* Bytes of each scratch buffer; UINT64_MAX on overflow. */
static void scratch_bytes(const model_config *c, const gpu_settings *s, uint64_t bytes[N_SCRATCH]) {
    const uint64_t row = sizeof(float) * (uint64_t)s->size.n_batch;
    const uint32_t longest = c->key_length > c->value_length ? c->key_length : c->value_length;
    bytes[X] = bytes[NORMED] = bytes[KEPT] = row * padded(c->n_embd);
    bytes[QKV] = row * qkv_length(c);
    bytes[ATTENDED] = row * padded(c->n_heads * c->value_length);
    bytes[GATED] = row * padded(c->n_ff);
    bytes[LOGITS] = sizeof(float) * (uint64_t)s->n_logits * c->n_vocab;
    bytes[PARTS] = sizeof(float) * batch_columns(&s->size) * c->n_heads * (c->value_length + 2);
    bytes[ANGLES] = row * angles_length(c, false);
    bytes[ANGLES_WINDOWED] = c->window > 0 ? row * angles_length(c, true) : sizeof(float);
    if (!checked_mul(batch_most_numbers(c, &s->size), sizeof(int32_t), &bytes[NUMBERS])) bytes[NUMBERS] = UINT64_MAX;
    bytes[NEXT] = sizeof(int32_t) * (uint64_t)s->size.n_batch;
    bytes[PAGE] = page_bytes(c, s->kv_type, longest);
}

static void need(gpu_needs *needs, uint64_t *sum, uint64_t bytes) {
    if (!checked_add(*sum, bytes, sum)) *sum = UINT64_MAX;
    if (bytes > needs->largest) needs->largest = bytes;
}

/* Bytes of `staging`: a batch's angles, or x if its rows are padded. */
static uint64_t staging_bytes(const model_config *c, uint32_t n_batch) {
    const uint32_t row = padded(c->n_embd) != c->n_embd ? padded(c->n_embd) : 0; /* 0: x is written as it is */
    const uint32_t full = angles_length(c, false), windowed = angles_length(c, true);
    const uint32_t angles = full > windowed ? full : windowed;
    return sizeof(float) * (uint64_t)n_batch * (angles > row ? angles : row);
}

uint64_t forward_gpu_host_bytes(const model_config *c, const kv_size *size) {
    uint64_t bytes;
    return checked_add(staging_bytes(c, size->n_batch), batch_bytes(c, size), &bytes) ? bytes : UINT64_MAX;
}

/* Bytes of a layer's norms and biases, approximately. */
static uint64_t vectors_bytes(const model_config *c, const layer_weights *w) {
    const norm_weights *const norms[] = {&w->attn_norm, &w->attn_norm_2, &w->post_attention_norm, &w->ffn_norm,
                                         &w->post_ffw_norm};
    const linear *const linears[] = {&w->attn_q,   &w->attn_k, &w->attn_v,  &w->attn_output,
                                     &w->ffn_gate, &w->ffn_up, &w->ffn_down};
    uint64_t n = w->attn_q_norm.weight ? (c->n_heads + c->n_kv_heads) * (uint64_t)c->key_length : 0;
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++)
        n += norms[i]->weight ? (norms[i]->bias ? 2 : 1) * padded(c->n_embd) : 0;
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) n += linears[i]->bias ? linears[i]->w.n_rows : 0;
    return n * sizeof(float);
}

gpu_needs forward_gpu_needs(const model_config *c, const model_weights *weights, const gpu_settings *s) {
    gpu_needs needs = {0};
    for (uint32_t i = c->n_layers - s->n_layers; i < c->n_layers; i++) {
        const layer_weights *w = &weights->layers[i];
        const linear *const linears[] = {&w->attn_q,   &w->attn_k, &w->attn_v,  &w->attn_output,
                                         &w->ffn_gate, &w->ffn_up, &w->ffn_down};
        for (size_t m = 0; m < sizeof linears / sizeof *linears; m++)
            need(&needs, &needs.weights, matrix_bytes(&linears[m]->w));
        need(&needs, &needs.weights, vectors_bytes(c, w));
        need(&needs, &needs.kv_cache, cache_bytes(c, s, i, c->key_length));
        need(&needs, &needs.kv_cache, cache_bytes(c, s, i, c->value_length));
    }
    need(&needs, &needs.weights, matrix_bytes(&weights->output.w));
    if (begins_with_tokens(c, s) && weights->token_embd.data != weights->output.w.data)
        need(&needs, &needs.weights, matrix_bytes(&weights->token_embd));
    if (begins_with_tokens(c, s)) need(&needs, &needs.weights, matrix_bytes(&weights->position_embd));
    uint64_t bytes[N_SCRATCH];
    scratch_bytes(c, s, bytes);
    for (size_t i = 0; i < N_SCRATCH; i++) need(&needs, &needs.scratch, bytes[i]);
    return needs;
}

/* ---------------------------------------------------------------------------------- memory and weights */

typedef struct gpu_matrix {
    const matrix *w;
    gpu_buffer *buffer;
    uint32_t offset; /* where the matrix begins in the buffer */
} gpu_matrix;

typedef struct gpu_norm {
    gpu_buffer *weight; /* [n_embd], then the bias, [n_embd], if it has one; NULL: there is no norm */
    bool has_bias;
} gpu_norm;

/* Matrices that are multiplied with the same vectors. */
typedef struct gpu_product {
    gpu_matrix matrices[3];
    uint32_t n_matrices;
    gpu_norm norm;     /* of the vectors before they are multiplied, if there is one */
    bool folded;       /* the multiply kernels compute the norm themselves */
    gpu_buffer *bias;  /* [all rows] or NULL */
    bool gated;        /* activation(first) * second */
    int mode;          /* STORE, ADD or ACTIVATE */
    float scale;       /* of the result */
    uint32_t types[3]; /* of each matrix: the index of its type among those of the multiply kernels */
    uint32_t one, few; /* multiply kernels for one token and for FEW: indices into the program */
    uint32_t tiles[3]; /* tile kernels of each matrix: indices into the program */
} gpu_product;

typedef struct gpu_layer {
    gpu_product qkv, attn_output, gate_up, ffn_down;
    gpu_norm post_attention_norm, post_ffw_norm;
    gpu_norm own_norm;    /* of the feed-forward part, if the form is FORM_PARALLEL_APART */
    gpu_buffer *qk_norms; /* the queries' weights and the keys', or NULL */
    layer_form form;
    bool has_rope;
    uint32_t pool;             /* of its keys and values */
    gpu_buffer *keys, *values; /* [pages of the pool][n_kv_heads] chunks, see kernels.gpu */
} gpu_layer;

struct forward_gpu {
    gpu gpu;
    const model_config *config;
    const model_weights *weights;
    gpu_settings settings;
    gpu_program program;
    gpu_buffer **buffers; /* [n_buffers] all that destroy releases */
    size_t n_buffers, buffers_capacity;
    uint64_t weights_done, weights_total;
    cllm_progress progress;
    void *user;

    gpu_layer *layers; /* [settings.n_layers] */
    gpu_product output;
    gpu_matrix token_embd, position_embd;
    uint32_t embed, embed_position; /* their kernels: indices into the program */
    gpu_buffer *scratch[N_SCRATCH];
    rope_table rope[2]; /* [1]: of windowed layers */
    float *staging;     /* angles on their way to the device, or x if its rows are padded */
    float *cosines;     /* [n_pairs], then the sines, [n_pairs] */

    gpu_batch batch;
    uint32_t n;             /* rows at work: all of the batch; from the last layer's attention on, the kept ones */
    gpu_buffer *x, *normed; /* of the rows at work */
    gpu_counters counters;
    gpu_on_launch on_launch;
    void *on_launch_user;
    uint32_t repetitions;
};

static cllm_status no_memory(cllm_error *err) {
    return error_set(err, CLLM_ERR_MEMORY, "no memory for the GPU's layers");
}

/* Remember a buffer, so that forward_gpu_destroy releases it. */
static cllm_status own(forward_gpu *f, gpu_buffer *buffer, cllm_error *err) {
    if (f->n_buffers == f->buffers_capacity) {
        const size_t capacity = f->buffers_capacity ? 2 * f->buffers_capacity : 64;
        gpu_buffer **buffers = realloc(f->buffers, capacity * sizeof *buffers);
        if (!buffers) {
            f->gpu.driver->release(f->gpu.device, buffer);
            return no_memory(err);
        }
        f->buffers = buffers;
        f->buffers_capacity = capacity;
    }
    f->buffers[f->n_buffers++] = buffer;
    return CLLM_OK;
}

static cllm_status allocate(forward_gpu *f, uint64_t n_bytes, gpu_buffer **out, cllm_error *err) {
    cllm_status status = f->gpu.driver->allocate(f->gpu.device, n_bytes, out, err);
    return status == CLLM_OK ? own(f, *out, err) : status;
}

static cllm_status add_matrix(forward_gpu *f, const matrix *w, gpu_matrix *out, cllm_error *err) {
    if (f->progress && !f->progress(f->user, f->weights_done, f->weights_total))
        return error_set(err, CLLM_ERR_CANCELLED, "moving the model to the GPU was cancelled");
    *out = (gpu_matrix){.w = w};
    cllm_status status = f->gpu.driver->wrap(f->gpu.device, w->data, matrix_bytes(w), &out->buffer, &out->offset, err);
    f->weights_done += matrix_bytes(w);
    return status == CLLM_OK ? own(f, out->buffer, err) : status;
}

/* Make a buffer of short vectors, one after another, padded to whole units. A vector that is NULL becomes zeros. */
static cllm_status add_vectors(forward_gpu *f, const float *const *vectors, const uint32_t *lengths, size_t n_vectors,
                               gpu_buffer **out, cllm_error *err) {
    uint32_t sum = 0;
    for (size_t i = 0; i < n_vectors; i++) sum += lengths[i];
    float *joined = calloc(padded(sum), sizeof *joined);
    if (!joined) return no_memory(err);
    for (size_t i = 0, at = 0; i < n_vectors; at += lengths[i++])
        if (vectors[i]) memcpy(joined + at, vectors[i], lengths[i] * sizeof *joined);
    cllm_status status = allocate(f, padded(sum) * sizeof *joined, out, err);
    if (status == CLLM_OK)
        status = f->gpu.driver->write(f->gpu.device, *out, joined, padded(sum) * sizeof *joined, err);
    free(joined);
    return status;
}

static cllm_status add_norm(forward_gpu *f, const norm_weights *norm, gpu_norm *out, cllm_error *err) {
    const uint32_t lengths[] = {f->config->n_embd, f->config->n_embd};
    *out = (gpu_norm){.has_bias = norm->bias};
    if (!norm->weight) return CLLM_OK;
    return add_vectors(f, (const float *const[]){norm->weight, norm->bias}, lengths, norm->bias ? 2 : 1, &out->weight,
                       err);
}

/* Add the kernels of a product to the program: its matrices' types say which. */
static cllm_status add_kernels(forward_gpu *f, gpu_product *p, cllm_error *err) {
    kernel_variant v = {.kind = MATRIX_MULTIPLY, .normed = p->folded};
    for (uint32_t i = 0; i < p->n_matrices; i++) {
        const quant_type type = p->matrices[i].w->type;
        for (p->types[i] = 0; p->types[i] < v.n_types && v.types[p->types[i]] != type;) p->types[i]++;
        if (p->types[i] == v.n_types) v.types[v.n_types++] = type;
    }
    v.n_tokens = 1;
    cllm_status status = program_add(&f->program, &v, &p->one, err);
    v.n_tokens = FEW;
    if (status == CLLM_OK && f->settings.size.n_batch > 1) status = program_add(&f->program, &v, &p->few, err);
    for (uint32_t i = 0;
         status == CLLM_OK && i < p->n_matrices && !f->settings.exact && f->settings.size.n_batch >= TILE_FROM; i++) {
        const kernel_variant tile = {.kind = MATRIX_TILE, .types = {p->matrices[i].w->type}, .n_types = 1};
        status = program_add(&f->program, &tile, &p->tiles[i], err);
    }
    return status;
}

typedef struct product_parts {
    const linear *linears[3];
    const norm_weights *norm; /* or NULL */
    bool keeps_normed;        /* later products read the normed vectors, in NORMED */
    int mode;
    float scale; /* 0 means 1 */
} product_parts;

static cllm_status add_product(forward_gpu *f, const product_parts *parts, gpu_product *out, cllm_error *err) {
    *out = (gpu_product){.gated = parts->mode == ACTIVATE && parts->linears[1],
                         .mode = parts->mode,
                         .scale = parts->scale != 0 ? parts->scale : 1};
    uint32_t rows[3] = {0};
    const float *biases[3] = {NULL};
    bool has_bias = false;
    cllm_status status = CLLM_OK;
    for (; status == CLLM_OK && out->n_matrices < 3 && parts->linears[out->n_matrices]; out->n_matrices++) {
        const uint32_t i = out->n_matrices;
        rows[i] = parts->linears[i]->w.n_rows;
        biases[i] = parts->linears[i]->bias;
        has_bias = has_bias || biases[i];
        status = add_matrix(f, &parts->linears[i]->w, &out->matrices[i], err);
    }
    if (status == CLLM_OK && parts->norm) status = add_norm(f, parts->norm, &out->norm, err);
    out->folded = out->norm.weight && !out->norm.has_bias && !parts->keeps_normed && f->config->norm == NORM_RMS;
    if (status == CLLM_OK && has_bias) status = add_vectors(f, biases, rows, 3, &out->bias, err);
    return status == CLLM_OK ? add_kernels(f, out, err) : status;
}

/* The last product of a half of a layer. Its result is added to x at once, unless a norm comes in between. */
static product_parts ending(const forward_gpu *f, const linear *l, const norm_weights *post_norm) {
    if (post_norm->weight) return (product_parts){.linears = {l}, .mode = STORE};
    return (product_parts){.linears = {l}, .mode = ADD, .scale = f->config->residual_scale};
}

static cllm_status add_layer_norms(forward_gpu *f, const layer_weights *w, gpu_layer *out, cllm_error *err) {
    const model_config *c = f->config;
    const qk_norm_kind kind = c->traits->qk_norm;
    const uint32_t lengths[] = {c->key_length * (kind == QK_NORM_HEAD ? 1 : c->n_heads),
                                c->key_length * (kind == QK_NORM_HEAD ? 1 : c->n_kv_heads)};
    const float *const qk_norms[] = {w->attn_q_norm.weight, w->attn_k_norm.weight};
    cllm_status status = add_norm(f, &w->post_attention_norm, &out->post_attention_norm, err);
    if (status == CLLM_OK) status = add_norm(f, &w->post_ffw_norm, &out->post_ffw_norm, err);
    if (status == CLLM_OK && out->form == FORM_PARALLEL_APART) status = add_norm(f, &w->attn_norm, &out->own_norm, err);
    if (status == CLLM_OK && qk_norms[0]) status = add_vectors(f, qk_norms, lengths, 2, &out->qk_norms, err);
    return status;
}

static cllm_status add_layer(forward_gpu *f, uint32_t index, gpu_layer *out, cllm_error *err) {
    const layer_weights *w = &f->weights->layers[index];
    const model_config *c = f->config;
    const layer_config *l = &c->layers[index];
    const bool gated = activation_has_gate(c->activation), two_norms = l->form == FORM_PARALLEL_APART;
    const product_parts qkv = {.linears = {&w->attn_q, &w->attn_k, &w->attn_v},
                               .norm = two_norms ? &w->attn_norm_2 : &w->attn_norm,
                               .keeps_normed = layer_is_parallel(l)};
    const product_parts attn_output = ending(f, &w->attn_output, &w->post_attention_norm);
    const product_parts gate_up = {.linears = {gated ? &w->ffn_gate : &w->ffn_up, gated ? &w->ffn_up : NULL},
                                   .norm = &w->ffn_norm,
                                   .mode = ACTIVATE};
    const product_parts ffn_down = ending(f, &w->ffn_down, &w->post_ffw_norm);
    *out = (gpu_layer){.form = l->form, .has_rope = l->rope_dimension_count > 0, .pool = kv_pool_of(l)};
    cllm_status status = add_product(f, &qkv, &out->qkv, err);
    if (status == CLLM_OK) status = add_product(f, &attn_output, &out->attn_output, err);
    if (status == CLLM_OK) status = add_product(f, &gate_up, &out->gate_up, err);
    if (status == CLLM_OK) status = add_product(f, &ffn_down, &out->ffn_down, err);
    if (status == CLLM_OK) status = add_layer_norms(f, w, out, err);
    if (status == CLLM_OK) status = allocate(f, cache_bytes(c, &f->settings, index, c->key_length), &out->keys, err);
    if (status == CLLM_OK)
        status = allocate(f, cache_bytes(c, &f->settings, index, c->value_length), &out->values, err);
    return status;
}

static cllm_status add_table_kernel(forward_gpu *f, const matrix *table, uint32_t *kernel, cllm_error *err) {
    return program_add(&f->program, &(kernel_variant){.kind = MATRIX_EMBED, .types = {table->type}, .n_types = 1},
                       kernel, err);
}

static cllm_status add_ends(forward_gpu *f, cllm_error *err) {
    const product_parts output = {
        .linears = {&f->weights->output}, .norm = &f->weights->output_norm, .scale = f->config->logit_scale};
    cllm_status status = add_product(f, &output, &f->output, err);
    if (status != CLLM_OK || !begins_with_tokens(f->config, &f->settings)) return status;
    const matrix *w = &f->weights->token_embd;
    if (w->data == f->weights->output.w.data)
        f->token_embd = f->output.matrices[0];
    else
        status = add_matrix(f, w, &f->token_embd, err);
    if (status == CLLM_OK) status = add_table_kernel(f, w, &f->embed, err);
    const matrix *positions = &f->weights->position_embd;
    if (status != CLLM_OK || !positions->data) return status;
    status = add_matrix(f, positions, &f->position_embd, err);
    return status == CLLM_OK ? add_table_kernel(f, positions, &f->embed_position, err) : status;
}

static cllm_status add_scratch(forward_gpu *f, cllm_error *err) {
    const model_config *c = f->config;
    uint64_t bytes[N_SCRATCH];
    scratch_bytes(c, &f->settings, bytes);
    for (size_t i = 0; i < N_SCRATCH; i++) {
        cllm_status status = allocate(f, bytes[i], &f->scratch[i], err);
        if (status != CLLM_OK) return status;
    }
    const uint32_t n_full = c->rope_dimension_count / 2, n_windowed = c->rope_dimension_count_windowed / 2;
    const uint32_t n_pairs = n_full > n_windowed ? n_full : n_windowed;
    f->staging = calloc(1, staging_bytes(c, f->settings.size.n_batch));
    f->cosines = calloc(2 * (size_t)n_pairs + 1, sizeof *f->cosines);
    if (!f->staging || !f->cosines) return no_memory(err);
    for (int windowed = 0; windowed < 2; windowed++) {
        rope_table *rope = &f->rope[windowed];
        rope->frequencies = calloc((size_t)n_pairs + 1, sizeof *rope->frequencies);
        if (!rope->frequencies) return no_memory(err);
        rope_prepare(c, windowed, weights_rope_factors(f->weights, c, f->settings.size.n_ctx), rope);
    }
    return batch_create(c, &f->settings.size, c->n_layers - f->settings.n_layers, &f->batch, err);
}

cllm_status forward_gpu_create(const gpu *g, const model_config *config, const model_weights *weights,
                               const gpu_settings *settings, cllm_progress progress, void *user, forward_gpu **out,
                               cllm_error *err) {
    *out = NULL;
    forward_gpu *f = calloc(1, sizeof *f);
    if (!f) return no_memory(err);
    *f = (forward_gpu){.gpu = *g,
                       .config = config,
                       .weights = weights,
                       .settings = *settings,
                       .progress = progress,
                       .user = user,
                       .weights_total = forward_gpu_needs(config, weights, settings).weights,
                       .layers = calloc(settings->n_layers, sizeof *f->layers)};
    cllm_status status = f->layers ? CLLM_OK : no_memory(err);
    for (uint32_t i = 0; status == CLLM_OK && i < settings->n_layers; i++)
        status = add_layer(f, config->n_layers - settings->n_layers + i, &f->layers[i], err);
    if (status == CLLM_OK) status = add_ends(f, err);
    if (status == CLLM_OK) status = add_scratch(f, err);
    if (status == CLLM_OK)
        status = program_compile(&f->program, g->driver, g->device, &g->properties, settings->kv_type, err);
    if (status == CLLM_OK) status = g->driver->sync(g->device, err);
    if (status == CLLM_OK) {
        *out = f;
        return CLLM_OK;
    }
    forward_gpu_destroy(f);
    return status;
}

void forward_gpu_destroy(forward_gpu *f) {
    if (!f) return;
    f->gpu.driver->sync(f->gpu.device, NULL); /* what is still running reads the buffers */
    for (size_t i = 0; i < f->n_buffers; i++) f->gpu.driver->release(f->gpu.device, f->buffers[i]);
    program_free(&f->program);
    batch_free(&f->batch);
    free(f->buffers);
    free(f->layers);
    free(f->staging);
    free(f->cosines);
    free(f->rope[0].frequencies);
    free(f->rope[1].frequencies);
    free(f);
}

/* ---------------------------------------------------------------------------------------------- launches */

gpu_counters forward_gpu_counters(const forward_gpu *f) { return f->counters; }

typedef struct launch {
    uint32_t kernel; /* index into the program */
    uint32_t groups[3];
    gpu_buffer *buffers[GPU_MOST_BUFFERS];
    size_t n_buffers;
    const void *args;
    size_t args_bytes;
    uint64_t bytes; /* read and written */
} launch;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void launch_once(const forward_gpu *f, const launch *l) {
    f->gpu.driver->launch(f->gpu.device, f->program.kernels[l->kernel].kernel, l->groups, l->buffers, l->n_buffers,
                          l->args, l->args_bytes);
}

/* Launch, and count or measure it. A later call of the driver reports errors (driver.h). */
static void run(forward_gpu *f, const launch *l) {
    launch_once(f, l);
    if (!f->on_launch) {
        f->counters.launches++;
        f->counters.bytes += l->bytes;
        return;
    }
    f->gpu.driver->sync(f->gpu.device, NULL);
    const double start = seconds();
    for (uint32_t i = 0; i < f->repetitions; i++) launch_once(f, l);
    f->gpu.driver->sync(f->gpu.device, NULL);
    f->on_launch(f->on_launch_user, f->program.kernels[l->kernel].name,
                 f->repetitions > 0 ? (seconds() - start) / f->repetitions : 0, l->bytes);
}

/* Measure a copy. If times are measured, it copies more than caches hold, or less if there is no memory for that. If
 * launches are only reported, it copies only a little. */
static cllm_status measure_copy(forward_gpu *f, cllm_error *err) {
    const gpu_driver *driver = f->gpu.driver;
    gpu_buffer *from = NULL, *to = NULL;
    uint32_t n_bytes = f->repetitions > 0 ? 128u << 20 : 1u << 13;
    cllm_status status;
    do {
        n_bytes /= 2;
        driver->release(f->gpu.device, from);
        from = NULL;
        status = driver->allocate(f->gpu.device, n_bytes, &from, err);
        if (status == CLLM_OK) status = driver->allocate(f->gpu.device, n_bytes, &to, err);
    } while (status != CLLM_OK && n_bytes > 1u << 12);
    const copy_args args = {.n = (int)(n_bytes / sizeof(float))};
    if (status == CLLM_OK)
        run(f, &(launch){.kernel = KERNEL_COPY,
                         .groups = {groups(n_bytes, 4 * sizeof(float) * GPU_GROUP), 1, 1},
                         .buffers = {from, to},
                         .n_buffers = 2,
                         .args = &args,
                         .args_bytes = sizeof args,
                         .bytes = 2 * (uint64_t)n_bytes});
    driver->release(f->gpu.device, from);
    driver->release(f->gpu.device, to);
    return status;
}

cllm_status forward_gpu_measure(forward_gpu *f, uint32_t repetitions, gpu_on_launch on_launch, void *user,
                                cllm_error *err) {
    f->repetitions = repetitions;
    f->on_launch = on_launch;
    f->on_launch_user = user;
    return on_launch ? measure_copy(f, err) : CLLM_OK;
}

/* Vectors of a batch: rows of `stride` floats; the kernels begin with row `first`. */
typedef struct vectors {
    gpu_buffer *buffer;
    uint32_t stride;
    uint32_t first;
} vectors;

static vectors rows_of(gpu_buffer *buffer, uint32_t stride) { return (vectors){buffer, stride, 0}; }

static uint64_t vector_bytes(uint32_t n_tokens, uint32_t length) { return sizeof(float) * (uint64_t)n_tokens * length; }

static bool is_gelu(const forward_gpu *f) { return f->config->activation != SWIGLU; }

static void multiply(forward_gpu *f, const gpu_product *p, uint32_t n, vectors x, vectors out) {
    const matrix *w = p->matrices[0].w;
    const uint32_t at_once = n == 1 ? 1 : FEW;
    multiply_args args = {.n = (int)w->n_columns,
                          .gated = p->gated,
                          .mode = p->mode,
                          .gelu = is_gelu(f),
                          .has_bias = p->bias != NULL,
                          .x_stride = (int)x.stride,
                          .out_stride = (int)out.stride,
                          .first_x = (int)x.first,
                          .first_out = (int)out.first,
                          .n_tokens = (int)n,
                          .epsilon = f->config->norm_epsilon,
                          .scale = p->scale};
    launch l = {.kernel = n == 1 ? p->one : p->few, .n_buffers = 7, .args = &args, .args_bytes = sizeof args};
    uint32_t n_rows = 0;
    for (uint32_t i = 0; i < 3; i++) {
        const gpu_matrix *m = &p->matrices[i < p->n_matrices ? i : 0];
        l.buffers[i] = m->buffer;
        if (i >= p->n_matrices) continue;
        args.rows[i] = (int)m->w->n_rows;
        args.row_bytes[i] = (int)m->w->row_bytes;
        args.offset[i] = (int)m->offset;
        args.type[i] = (int)p->types[i];
        n_rows += m->w->n_rows;
        l.bytes += matrix_bytes(m->w) * groups(n, at_once);
    }
    l.bytes += vector_bytes(n, w->n_columns) + vector_bytes(n, p->gated ? w->n_rows : n_rows);
    l.buffers[3] = x.buffer;
    l.buffers[4] = p->folded ? p->norm.weight : x.buffer;
    l.buffers[5] = p->bias ? p->bias : x.buffer;
    l.buffers[6] = out.buffer;
    const uint32_t team_results = p->gated ? TEAM_ROWS / 2 : TEAM_ROWS, results = p->gated ? w->n_rows : n_rows;
    l.groups[0] = groups(results, team_results * (GPU_GROUP / GPU_TEAM));
    l.groups[1] = groups(n, at_once);
    l.groups[2] = 1;
    run(f, &l);
}

/* mode: STORE the norm in out, or ADD it to out. */
static void normalize(forward_gpu *f, const gpu_norm *norm, uint32_t n, vectors x, vectors out, int mode) {
    const uint32_t n_embd = f->config->n_embd;
    const norm_args args = {.n = (int)n_embd,
                            .stride = (int)x.stride,
                            .first_x = (int)x.first,
                            .first_out = (int)out.first,
                            .centred = f->config->norm == NORM_LAYER,
                            .mode = mode,
                            .has_bias = norm->has_bias,
                            .epsilon = f->config->norm_epsilon,
                            .scale = mode == ADD ? f->config->residual_scale : 1};
    run(f, &(launch){.kernel = KERNEL_NORM,
                     .groups = {n, 1, 1},
                     .buffers = {x.buffer, norm->weight, out.buffer},
                     .n_buffers = 3,
                     .args = &args,
                     .args_bytes = sizeof args,
                     .bytes = 2 * vector_bytes(n, n_embd)});
}

static void multiply_tiles(forward_gpu *f, const gpu_product *p, uint32_t n, vectors x, vectors out) {
    uint32_t start = 0; /* the matrix's first row, counted over all matrices */
    for (uint32_t i = 0; i < p->n_matrices; i++) {
        const gpu_matrix *m = &p->matrices[i];
        const tile_args args = {.rows = (int)m->w->n_rows,
                                .row_bytes = (int)m->w->row_bytes,
                                .offset = (int)m->offset,
                                .n = (int)m->w->n_columns,
                                .mode = !p->gated ? p->mode
                                        : i == 1  ? GATE
                                                  : STORE,
                                .gelu = is_gelu(f),
                                .has_bias = p->bias != NULL,
                                .bias_start = (int)start,
                                .out_start = p->gated ? 0 : (int)start,
                                .x_stride = (int)x.stride,
                                .out_stride = (int)out.stride,
                                .first_x = (int)x.first,
                                .first_out = (int)out.first,
                                .n_tokens = (int)n,
                                .scale = p->scale};
        run(f, &(launch){.kernel = p->tiles[i],
                         .groups = {groups(m->w->n_rows, TILE_ROWS), groups(n, TILE_TOKENS), 1},
                         .buffers = {m->buffer, x.buffer, p->bias ? p->bias : x.buffer, out.buffer},
                         .n_buffers = 4,
                         .args = &args,
                         .args_bytes = sizeof args,
                         .bytes = matrix_bytes(m->w) * groups(n, TILE_TOKENS) + vector_bytes(n, m->w->n_columns) +
                                  vector_bytes(n, m->w->n_rows)});
        start += m->w->n_rows;
    }
}

static void run_product(forward_gpu *f, const gpu_product *p, uint32_t n, vectors x, vectors out) {
    const bool by_tiles = !f->settings.exact && n >= TILE_FROM;
    if (p->norm.weight && (by_tiles || !p->folded)) {
        const vectors normed = rows_of(f->normed, x.stride);
        normalize(f, &p->norm, n, x, normed, STORE);
        x = normed;
    }
    if (by_tiles)
        multiply_tiles(f, p, n, x, out);
    else
        multiply(f, p, n, x, out);
}

/* ----------------------------------------------------------------------------------------- through the layers */

static void normalize_heads(forward_gpu *f, const gpu_layer *layer) {
    const model_config *c = f->config;
    const qk_norm_kind kind = c->traits->qk_norm;
    const bool row = kind == QK_NORM_ROW; /* one norm over all heads */
    const norm_qk_args args = {.query_rows = row ? 1 : (int)c->n_heads,
                               .query_length = (int)(c->key_length * (row ? c->n_heads : 1)),
                               .key_length = (int)(c->key_length * (row ? c->n_kv_heads : 1)),
                               .each = kind == QK_NORM_EACH,
                               .stride = (int)qkv_length(c),
                               .centred = kind == QK_NORM_EACH || c->norm == NORM_LAYER,
                               .epsilon = c->norm_epsilon};
    run(f, &(launch){.kernel = KERNEL_NORM_QK,
                     .groups = {row ? 2 : c->n_heads + c->n_kv_heads, f->n, 1},
                     .buffers = {f->scratch[QKV], layer->qk_norms},
                     .n_buffers = 2,
                     .args = &args,
                     .args_bytes = sizeof args,
                     .bytes = 2 * vector_bytes(f->n, (c->n_heads + c->n_kv_heads) * c->key_length)});
}

static void rope(forward_gpu *f, const gpu_layer *layer) {
    const model_config *c = f->config;
    const uint32_t length = c->attention_temperature_length; /* 0: there is no temperature */
    const rope_args args = {.n_heads = (int)c->n_heads,
                            .n_kv_heads = (int)c->n_kv_heads,
                            .key_length = (int)c->key_length,
                            .value_length = (int)c->value_length,
                            .n_pairs = layer->has_rope ? (int)f->rope[0].n_pairs : 0,
                            .halves = c->traits->rope == ROPE_HALVES,
                            .positions = (int)f->batch.positions,
                            .pages = (int)f->batch.pages[layer->pool],
                            .stride = (int)qkv_length(c),
                            .scale = c->layers->attention_scale,
                            .temperature = c->attention_temperature,
                            .temperature_length = (int)(length > INT32_MAX ? INT32_MAX
                                                        : length > 0       ? length
                                                                           : 1)};
    const uint32_t threads = (c->n_heads + c->n_kv_heads) * (c->key_length / 2) + c->n_kv_heads * c->value_length;
    run(f, &(launch){.kernel = KERNEL_ROPE_QK,
                     .groups = {groups(threads, GPU_GROUP), f->n, 1},
                     .buffers = {f->scratch[QKV], f->scratch[layer->pool == KV_WINDOWED ? ANGLES_WINDOWED : ANGLES],
                                 f->scratch[NUMBERS], layer->keys, layer->values},
                     .n_buffers = 5,
                     .args = &args,
                     .args_bytes = sizeof args,
                     .bytes = 2 * vector_bytes(f->n, qkv_length(c))});
}

static void attend(forward_gpu *f, const gpu_layer *layer, const attention_list *list) {
    const model_config *c = f->config;
    const uint32_t attended = padded(c->n_heads * c->value_length);
    const attention_args args = {.n_heads = (int)c->n_heads,
                                 .n_kv_heads = (int)c->n_kv_heads,
                                 .key_length = (int)c->key_length,
                                 .value_length = (int)c->value_length,
                                 .stride = (int)qkv_length(c),
                                 .out_stride = (int)attended,
                                 .positions = (int)f->batch.positions,
                                 .items = (int)list->items,
                                 .window = layer->pool == KV_WINDOWED ? (int)c->window : 0,
                                 .softcap = c->attention_softcap};
    const uint64_t position = (uint64_t)(f->settings.kv_type == CLLM_KV_F16 ? 2 : 4) * c->n_kv_heads *
                              (c->key_length + c->value_length); /* bytes of a position's keys and values */
    run(f, &(launch){.kernel = KERNEL_ATTENTION,
                     .groups = {c->n_kv_heads, list->n_items, 1},
                     .buffers = {f->scratch[QKV], f->scratch[NUMBERS], layer->keys, layer->values, f->scratch[ATTENDED],
                                 f->scratch[PARTS]},
                     .n_buffers = 6,
                     .args = &args,
                     .args_bytes = sizeof args,
                     .bytes = position * list->n_positions + 2 * vector_bytes(f->n, attended)});
    if (list->n_merges == 0) return;
    const merge_args merge = {
        .value_length = (int)c->value_length, .out_stride = (int)attended, .items = (int)list->merges};
    run(f, &(launch){.kernel = KERNEL_ATTENTION_MERGE,
                     .groups = {c->n_heads, list->n_merges, 1},
                     .buffers = {f->scratch[PARTS], f->scratch[NUMBERS], f->scratch[ATTENDED]},
                     .n_buffers = 3,
                     .args = &merge,
                     .args_bytes = sizeof merge,
                     .bytes = vector_bytes(list->n_merges + list->n_parts, attended)});
}

/* The end of a half of a layer: its last product, or the norm of that, is added to x. */
static void run_ending(forward_gpu *f, const gpu_product *p, const gpu_norm *post_norm, vectors x) {
    const uint32_t n_embd = padded(f->config->n_embd);
    const vectors normed = rows_of(f->normed, n_embd), sum = rows_of(f->x, n_embd);
    run_product(f, p, f->n, x, post_norm->weight ? normed : sum);
    if (post_norm->weight) normalize(f, post_norm, f->n, normed, sum, ADD);
}

static void gather(forward_gpu *f, gpu_buffer *from, gpu_buffer *to) {
    const uint32_t n = padded(f->config->n_embd);
    const gather_args args = {.n = (int)n, .rows = (int)f->batch.kept_rows};
    run(f, &(launch){.kernel = KERNEL_GATHER,
                     .groups = {groups(n, GPU_GROUP), f->n, 1},
                     .buffers = {from, f->scratch[NUMBERS], to},
                     .n_buffers = 3,
                     .args = &args,
                     .args_bytes = sizeof args,
                     .bytes = 2 * vector_bytes(f->n, n)});
}

/* From here on the rows at work are the kept ones. */
static void keep_rows(forward_gpu *f, const gpu_layer *layer) {
    f->n = f->batch.n_kept;
    if (f->n == 0 || f->n == f->batch.n_rows) return;
    gather(f, f->scratch[X], f->scratch[KEPT]);
    f->x = f->scratch[KEPT];
    if (layer->form != FORM_PARALLEL) return;
    gather(f, f->scratch[NORMED], f->scratch[X]); /* X is free now */
    f->normed = f->scratch[X];
}

static void run_layer(forward_gpu *f, const gpu_layer *layer, bool last) {
    const model_config *c = f->config;
    const uint32_t n_embd = padded(c->n_embd), attended = padded(c->n_heads * c->value_length);
    run_product(f, &layer->qkv, f->n, rows_of(f->x, n_embd), rows_of(f->scratch[QKV], qkv_length(c)));
    if (layer->qk_norms) normalize_heads(f, layer);
    rope(f, layer);
    if (last) keep_rows(f, layer);
    if (f->n == 0) return;
    attend(f, layer, last ? &f->batch.kept : &f->batch.attention[layer->pool]);
    if (layer->form == FORM_PARALLEL_APART)
        normalize(f, &layer->own_norm, f->n, rows_of(f->x, n_embd), rows_of(f->normed, n_embd), STORE);
    run_ending(f, &layer->attn_output, &layer->post_attention_norm, rows_of(f->scratch[ATTENDED], attended));
    run_product(f, &layer->gate_up, f->n, rows_of(layer->form == FORM_SERIAL ? f->x : f->normed, n_embd),
                rows_of(f->scratch[GATED], padded(c->n_ff)));
    run_ending(f, &layer->ffn_down, &layer->post_ffw_norm, rows_of(f->scratch[GATED], padded(c->n_ff)));
}

static cllm_status write_angles(forward_gpu *f, const rope_table *rope, scratch out, cllm_error *err) {
    const uint32_t n_pairs = rope->n_pairs, n_rows = f->batch.n_rows;
    const int32_t *positions = f->batch.numbers + f->batch.positions;
    if (n_pairs == 0) return CLLM_OK;
    for (uint32_t b = 0; b < n_rows; b++) {
        float *angle = f->staging + (size_t)b * 2 * n_pairs;
        rope_angles(rope, (uint32_t)positions[b], f->cosines, f->cosines + n_pairs);
        for (uint32_t i = 0; i < n_pairs; i++) {
            angle[2 * i] = f->cosines[i];
            angle[2 * i + 1] = f->cosines[n_pairs + i];
        }
    }
    return f->gpu.driver->write(f->gpu.device, f->scratch[out], f->staging,
                                (size_t)n_rows * 2 * n_pairs * sizeof(float), err);
}

/* rows: where in the numbers the indices of the table's rows are. */
static void embed(forward_gpu *f, uint32_t kernel, const gpu_matrix *table, uint32_t rows, int mode, float scale) {
    const uint32_t n_embd = f->config->n_embd, stride = padded(n_embd), n_rows = f->batch.n_rows;
    const embed_args args = {.row_bytes = (int)table->w->row_bytes,
                             .offset = (int)table->offset,
                             .rows = (int)rows,
                             .n = (int)n_embd,
                             .out_stride = (int)stride,
                             .mode = mode,
                             .scale = scale};
    run(f, &(launch){.kernel = kernel,
                     .groups = {groups(stride / UNIT, GPU_GROUP), n_rows, 1},
                     .buffers = {table->buffer, f->scratch[NUMBERS], f->scratch[X]},
                     .n_buffers = 3,
                     .args = &args,
                     .args_bytes = sizeof args,
                     .bytes = n_rows * table->w->row_bytes + vector_bytes(n_rows, n_embd)});
}

/* Write the batch's rows of the residual stream: x from the layers before, or embeddings of the tokens if x is NULL. */
static cllm_status write_x(forward_gpu *f, const float *x, cllm_error *err) {
    const uint32_t n_embd = f->config->n_embd, stride = padded(n_embd), n_rows = f->batch.n_rows;
    if (x) {
        for (uint32_t b = 0; stride != n_embd && b < n_rows; b++) {
            float *row = f->staging + (size_t)b * stride;
            memcpy(row, x + (size_t)b * n_embd, n_embd * sizeof *x);
            memset(row + n_embd, 0, (stride - n_embd) * sizeof *x);
        }
        return f->gpu.driver->write(f->gpu.device, f->scratch[X], stride == n_embd ? x : f->staging,
                                    (size_t)n_rows * stride * sizeof *x, err);
    }
    embed(f, f->embed, &f->token_embd, f->batch.tokens, STORE, f->config->embedding_scale);
    if (f->position_embd.w) embed(f, f->embed_position, &f->position_embd, f->batch.positions, ADD, 1);
    return CLLM_OK;
}

cllm_status forward_gpu_layers(forward_gpu *f, const forward_span *spans, uint32_t n_spans, const int32_t *tokens,
                               const float *x, bool (*keep_going)(void *user, uint32_t layer), void *user,
                               cllm_error *err) {
    const gpu_driver *driver = f->gpu.driver;
    const uint32_t first_layer = f->config->n_layers - f->settings.n_layers;
    batch_begin(&f->batch, spans, n_spans, tokens);
    f->n = f->batch.n_rows;
    f->x = f->scratch[X];
    f->normed = f->scratch[NORMED];
    cllm_status status = driver->write(f->gpu.device, f->scratch[NUMBERS], f->batch.numbers,
                                       f->batch.n_numbers * sizeof *f->batch.numbers, err);
    if (status == CLLM_OK) status = write_angles(f, &f->rope[0], ANGLES, err);
    if (status == CLLM_OK && f->config->window > 0) status = write_angles(f, &f->rope[1], ANGLES_WINDOWED, err);
    if (status == CLLM_OK) status = write_x(f, x, err);
    for (uint32_t i = 0; status == CLLM_OK && i < f->settings.n_layers; i++) {
        if (keep_going && !keep_going(user, first_layer + i)) {
            driver->sync(f->gpu.device, NULL);
            return error_set(err, CLLM_ERR_CANCELLED, "the evaluation was cancelled");
        }
        run_layer(f, &f->layers[i], i + 1 == f->settings.n_layers);
        if (f->batch.n_rows >= WAIT_FROM) status = driver->sync(f->gpu.device, err);
    }
    return status == CLLM_OK ? driver->submit(f->gpu.device, err) : status;
}

/* ---------------------------------------------------------------------------------------------- the output */

/* Compute the logits of kept rows, n_rows <= n_logits. */
static void run_output(forward_gpu *f, uint32_t first_row, uint32_t n_rows) {
    const vectors x = {f->x, padded(f->config->n_embd), first_row};
    run_product(f, &f->output, n_rows, x, rows_of(f->scratch[LOGITS], f->config->n_vocab));
    const uint32_t n = n_rows * f->config->n_vocab;
    const cap_args args = {.n = (int)n, .softcap = f->config->logit_softcap};
    if (args.softcap > 0)
        run(f, &(launch){.kernel = KERNEL_CAP,
                         .groups = {groups(n, GPU_GROUP), 1, 1},
                         .buffers = {f->scratch[LOGITS]},
                         .n_buffers = 1,
                         .args = &args,
                         .args_bytes = sizeof args,
                         .bytes = 2 * vector_bytes(n_rows, f->config->n_vocab)});
}

static uint32_t at_most(uint32_t n, uint32_t most) { return n < most ? n : most; }

cllm_status forward_gpu_output(forward_gpu *f, uint32_t first_row, uint32_t n_rows, float *logits, cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (uint32_t done = 0, n; status == CLLM_OK && done < n_rows; done += n) {
        n = at_most(n_rows - done, f->settings.n_logits);
        run_output(f, first_row + done, n);
        status = f->gpu.driver->read(f->gpu.device, f->scratch[LOGITS], logits + (size_t)done * f->config->n_vocab,
                                     (size_t)n * f->config->n_vocab * sizeof *logits, err);
    }
    return status;
}

cllm_status forward_gpu_next(forward_gpu *f, uint32_t first_row, uint32_t n_rows, int32_t *tokens, cllm_error *err) {
    for (uint32_t done = 0, n; done < n_rows; done += n) {
        n = at_most(n_rows - done, f->settings.n_logits);
        run_output(f, first_row + done, n);
        const argmax_args args = {.n = (int)f->config->n_vocab, .first = (int)done};
        run(f, &(launch){.kernel = KERNEL_ARGMAX,
                         .groups = {n, 1, 1},
                         .buffers = {f->scratch[LOGITS], f->scratch[NEXT]},
                         .n_buffers = 2,
                         .args = &args,
                         .args_bytes = sizeof args,
                         .bytes = vector_bytes(n, f->config->n_vocab)});
    }
    return f->gpu.driver->read(f->gpu.device, f->scratch[NEXT], tokens, n_rows * sizeof *tokens, err);
}

cllm_status forward_gpu_embedding(forward_gpu *f, uint32_t first_row, uint32_t n_rows, float *out, cllm_error *err) {
    const uint32_t n_embd = f->config->n_embd, stride = padded(n_embd);
    float *rows = stride == n_embd ? out : f->staging;
    normalize(f, &f->output.norm, n_rows, (vectors){f->x, stride, first_row}, rows_of(f->normed, stride), STORE);
    cllm_status status =
        f->gpu.driver->read(f->gpu.device, f->normed, rows, (size_t)n_rows * stride * sizeof *rows, err);
    for (uint32_t b = 0; status == CLLM_OK && rows != out && b < n_rows; b++)
        memcpy(out + (size_t)b * n_embd, rows + (size_t)b * stride, n_embd * sizeof *out);
    return status;
}

/* ------------------------------------------------------------------------------------------------- pages */

/* The keys of a layer, or its values: half of what its pages hold. */
typedef struct half_page {
    gpu_buffer *buffer;
    uint64_t bytes; /* of a page */
} half_page;

static half_page half_of(const forward_gpu *f, uint32_t layer, bool values) {
    const gpu_layer *l = &f->layers[layer];
    const uint32_t length = values ? f->config->value_length : f->config->key_length;
    return (half_page){values ? l->values : l->keys, page_bytes(f->config, f->settings.kv_type, length)};
}

/* A launch that copies a piece of `from` to a piece of `to`, which may be the same buffer; see copy_args. */
static launch page_copy(const copy_args *args, gpu_buffer *from, gpu_buffer *to, uint64_t n_bytes) {
    return (launch){.kernel = KERNEL_COPY,
                    .groups = {groups((uint32_t)args->n, 4 * GPU_GROUP), 1, 1},
                    .buffers = {from, to},
                    .n_buffers = 2,
                    .args = args,
                    .args_bytes = sizeof *args,
                    .bytes = 2 * n_bytes};
}

cllm_status forward_gpu_copy(forward_gpu *f, const kv_copies *copies, cllm_error *err) {
    for (uint32_t i = 0; i < 2 * f->settings.n_layers; i++) {
        const uint32_t pool = f->layers[i / 2].pool, from = copies->of[pool].from;
        if (from == KV_NONE) continue;
        const half_page half = half_of(f, i / 2, i % 2);
        const copy_args args = {
            .n = (int)(half.bytes / sizeof(float)), .from = (int)from, .to = (int)copies->of[pool].to};
        const launch l = page_copy(&args, half.buffer, half.buffer, half.bytes);
        run(f, &l);
    }
    return f->gpu.driver->submit(f->gpu.device, err);
}

uint64_t forward_gpu_page_bytes(const forward_gpu *f, uint32_t pool) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 2 * f->settings.n_layers; i++)
        if (f->layers[i / 2].pool == pool) sum += half_of(f, i / 2, i % 2).bytes;
    return sum;
}

static cllm_status read_half(const forward_gpu *f, half_page half, uint32_t page, void *bytes, cllm_error *err) {
    const copy_args args = {.n = (int)(half.bytes / sizeof(float)), .from = (int)page};
    const launch l = page_copy(&args, half.buffer, f->scratch[PAGE], half.bytes);
    launch_once(f, &l);
    return f->gpu.driver->read(f->gpu.device, f->scratch[PAGE], bytes, (size_t)half.bytes, err);
}

static cllm_status write_half(const forward_gpu *f, half_page half, uint32_t page, const void *bytes, cllm_error *err) {
    const copy_args args = {.n = (int)(half.bytes / sizeof(float)), .to = (int)page};
    const launch l = page_copy(&args, f->scratch[PAGE], half.buffer, half.bytes);
    cllm_status status = f->gpu.driver->write(f->gpu.device, f->scratch[PAGE], bytes, (size_t)half.bytes, err);
    launch_once(f, &l);
    return status;
}

/* The position within a page that element i of a layer's keys (or values) belongs to. kernels.gpu has the layout. */
static uint64_t position_of(const forward_gpu *f, uint64_t i, bool of_values) {
    return of_values ? i / f->config->value_length % CHUNK : i % CHUNK;
}

static void blank_half(const forward_gpu *f, half_page half, bool of_values, uint32_t n_positions,
                       unsigned char *bytes) {
    const size_t size = kv_element_bytes(f->settings.kv_type);
    for (uint64_t i = 0; i < half.bytes / size; i++)
        if (position_of(f, i, of_values) >= n_positions) memset(bytes + i * size, 0, size);
}

cllm_status forward_gpu_read_page(forward_gpu *f, uint32_t pool, uint32_t page, uint32_t n_positions, void *bytes,
                                  cllm_error *err) {
    cllm_status status = CLLM_OK;
    unsigned char *at = bytes;
    for (uint32_t i = 0; status == CLLM_OK && i < 2 * f->settings.n_layers; i++) {
        if (f->layers[i / 2].pool != pool) continue;
        const half_page half = half_of(f, i / 2, i % 2);
        status = read_half(f, half, page, at, err);
        if (status == CLLM_OK && n_positions < CHUNK) blank_half(f, half, i % 2, n_positions, at);
        at += half.bytes;
    }
    return status;
}

cllm_status forward_gpu_write_page(forward_gpu *f, uint32_t pool, uint32_t page, const void *bytes, cllm_error *err) {
    cllm_status status = CLLM_OK;
    const unsigned char *at = bytes;
    for (uint32_t i = 0; status == CLLM_OK && i < 2 * f->settings.n_layers; i++) {
        if (f->layers[i / 2].pool != pool) continue;
        const half_page half = half_of(f, i / 2, i % 2);
        status = write_half(f, half, page, at, err);
        at += half.bytes;
    }
    return status == CLLM_OK ? f->gpu.driver->submit(f->gpu.device, err) : status;
}

/* True if a page of a layer's keys (or values) has an infinite element in its first `end` positions. */
static bool holds_infinity(const forward_gpu *f, const uint16_t *halfs, uint64_t n, bool of_values, uint32_t end) {
    for (uint64_t i = 0; i < n; i++)
        if (f16_is_infinite(halfs[i]) && position_of(f, i, of_values) < end) return true;
    return false;
}

static cllm_status layer_beyond_f16(const forward_gpu *f, uint32_t layer, const kv_table *table, uint32_t end,
                                    uint16_t *halfs, bool *beyond, cllm_error *err) {
    const uint32_t pool = f->layers[layer].pool;
    cllm_status status = CLLM_OK;
    for (uint32_t chunk = table->of[pool].first; chunk < table->of[pool].end && chunk * CHUNK < end; chunk++)
        for (int values = 0; status == CLLM_OK && !*beyond && values < 2; values++) {
            const half_page half = half_of(f, layer, values);
            status = read_half(f, half, table->of[pool].pages[chunk], halfs, err);
            if (status == CLLM_OK)
                *beyond = holds_infinity(f, halfs, half.bytes / sizeof *halfs, values, end - chunk * CHUNK);
        }
    return status;
}

cllm_status forward_gpu_beyond_f16(const forward_gpu *f, const kv_table *table, uint32_t end, bool *beyond,
                                   cllm_error *err) {
    *beyond = false;
    if (f->settings.kv_type != CLLM_KV_F16) return CLLM_OK;
    const half_page keys = half_of(f, 0, false), values = half_of(f, 0, true);
    uint16_t *halfs = malloc((size_t)(keys.bytes > values.bytes ? keys.bytes : values.bytes));
    if (!halfs) return error_set(err, CLLM_ERR_MEMORY, "no memory to look at a layer's keys and values");
    cllm_status status = CLLM_OK;
    for (uint32_t i = 0; status == CLLM_OK && !*beyond && i < f->settings.n_layers; i++)
        status = layer_beyond_f16(f, i, table, end, halfs, beyond, err);
    free(halfs);
    return status;
}
