/* Finds the model's tensors by name, checks their shapes and types, and fills the fields of weights.h. families.c says
 * which tensors a layer must have. Their names are those of the GGUF specification. */
#include "model/weights.h"

#include "base/error.h"
#include "gguf/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Binding stops at the first fault: `status` keeps it, and every later call does nothing. */
typedef struct binder {
    const cllm_gguf *gguf;
    const model_config *config;
    arena *arena;
    cllm_error *err;
    cllm_status status;
    unsigned char *used; /* [n_tensors] */
    uint64_t bytes_per_token;
    uint64_t matrix_types;
} binder;

/* The tensor of this name and shape (innermost first), or NULL: then `status` says why, unless it is optional. */
static const cllm_tensor *find(binder *b, const char *name, const uint64_t shape[4], bool optional) {
    if (b->status != CLLM_OK) return NULL;
    const cllm_tensor *tensor = cllm_gguf_find_tensor(b->gguf, name);
    if (!tensor) {
        if (!optional)
            b->status = error_set_at(b->err, CLLM_ERR_FORMAT, name, CLLM_NO_OFFSET,
                                     "%s: the file does not have this tensor, and the model needs it", name);
        return NULL;
    }
    bool fits = true;
    for (uint32_t i = 0; i < 4; i++) fits = fits && tensor->shape[i] == shape[i];
    if (!fits) {
        const uint32_t n_dims = shape[3] > 1 ? 4 : shape[2] > 1 ? 3 : shape[1] > 1 ? 2 : 1;
        b->status = error_set_at(
            b->err, CLLM_ERR_FORMAT, name, tensor->offset, "%s: its shape is [%s], the model needs [%s]", name,
            gguf_shape_text(tensor->shape, tensor->n_dims).text, gguf_shape_text(shape, n_dims).text);
        return NULL;
    }
    b->used[tensor - cllm_gguf_tensor(b->gguf, 0)] = 1;
    return tensor;
}

/* A norm, bias or similar, copied to the arena. */
static const float *bind_floats(binder *b, const char *name, const uint64_t shape[4], bool optional) {
    const uint64_t n = shape[0] * shape[1] * shape[2] * shape[3];
    const cllm_tensor *tensor = find(b, name, shape, optional);
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

static const float *bind_vector(binder *b, const char *name, uint64_t count, uint64_t n, bool optional) {
    const uint64_t shape[] = {n, count, 1, 1};
    return bind_floats(b, name, shape, optional);
}

/* A vector for each of n rows, stored by columns: [n_columns][n_rows]. */
static const float *bind_columns(binder *b, const char *name, uint64_t n_rows, uint64_t n_columns, bool optional) {
    const float *rows = bind_vector(b, name, n_rows, n_columns, optional);
    if (!rows || n_rows == 1 || n_columns == 1) return rows;
    float *columns = arena_alloc(b->arena, n_rows * n_columns, sizeof *columns);
    if (!columns) {
        b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for %s", name);
        return NULL;
    }
    for (uint64_t r = 0; r < n_rows; r++)
        for (uint64_t i = 0; i < n_columns; i++) columns[i * n_rows + r] = rows[r * n_columns + i];
    return columns;
}

static matrix bind_matrix(binder *b, const char *name, uint64_t count, uint64_t n_rows, uint64_t n_columns,
                          bool optional) {
    const uint64_t shape[] = {n_columns, n_rows, count, 1};
    const cllm_tensor *tensor = find(b, name, shape, optional);
    if (!tensor) return (matrix){0};
    quant_type type = (quant_type)tensor->type;
    if (!quant_type_layout((uint32_t)tensor->type)->computable) {
        b->status = error_set_at(b->err, CLLM_ERR_UNSUPPORTED, name, tensor->offset,
                                 "%s: tensors of type %s are not supported yet; supported:"
#define X(type_name, number, elements, bytes) " " #type_name
                                 COMPUTE_TYPES(X)
#undef X
                                     ,
                                 name, cllm_tensor_type_name(tensor->type));
        return (matrix){0};
    }
    b->matrix_types |= (uint64_t)1 << type;
    return (matrix){.data = tensor->data,
                    .type = type,
                    .n_rows = (uint32_t)n_rows,
                    .n_columns = (uint32_t)n_columns,
                    .row_bytes = (size_t)quant_bytes(type, n_columns),
                    .count = (uint32_t)count};
}

/* "blk.3.attn_q.weight", or for the model itself "output.weight" */
typedef struct tensor_name {
    char text[64];
} tensor_name;

static tensor_name name_of(int64_t layer, const char *stem, const char *part) {
    tensor_name name;
    if (layer < 0)
        snprintf(name.text, sizeof name.text, "%s.%s", stem, part);
    else
        snprintf(name.text, sizeof name.text, "blk.%" PRId64 ".%s.%s", layer, stem, part);
    return name;
}

typedef enum need { MUST, MAY } need;

static linear bind_unscaled(binder *b, int64_t layer, const char *stem, uint64_t count, uint64_t n_rows,
                            uint64_t n_columns, need weight, need bias) {
    linear out = {.w = bind_matrix(b, name_of(layer, stem, "weight").text, count, n_rows, n_columns, weight == MAY)};
    if (out.w.data) out.bias = bind_vector(b, name_of(layer, stem, "bias").text, count, n_rows, bias == MAY);
    return out;
}

static linear bind_linear(binder *b, int64_t layer, const char *stem, uint64_t count, uint64_t n_rows,
                          uint64_t n_columns, need weight, need bias) {
    linear out = bind_unscaled(b, layer, stem, count, n_rows, n_columns, weight, bias);
    if (!out.w.data) return out;
    /* NVFP4 has a factor of all weights, and one of activations. The latter is unused: activations are not rounded to
     * NVFP4. */
    out.scale = bind_vector(b, name_of(layer, stem, "scale").text, 1, count, true);
    bind_vector(b, name_of(layer, stem, "input_scale").text, 1, count, true);
    return out;
}

/* Files of early 2024 have a tensor for each expert: "blk.3.ffn_gate.5.weight". */
static tensor_name name_of_expert(uint32_t layer, const char *stem, uint32_t expert) {
    tensor_name name;
    const int length = (int)(strlen(stem) - strlen("_exps"));
    snprintf(name.text, sizeof name.text, "blk.%" PRIu32 ".%.*s.%" PRIu32 ".weight", layer, length, stem, expert);
    return name;
}

static bool experts_are_apart(const binder *b, uint32_t layer, const char *stem) {
    return !cllm_gguf_find_tensor(b->gguf, name_of(layer, stem, "weight").text) &&
           cllm_gguf_find_tensor(b->gguf, name_of_expert(layer, stem, 0).text);
}

static linear bind_experts_apart(binder *b, uint32_t layer, const char *stem, uint32_t count, uint64_t n_rows,
                                 uint64_t n_columns) {
    const void **apart = arena_alloc(b->arena, count, sizeof *apart);
    linear out = {0};
    if (!apart) b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for the table of %" PRIu32 " experts", count);
    for (uint32_t i = 0; i < count && b->status == CLLM_OK; i++) {
        const tensor_name name = name_of_expert(layer, stem, i);
        const matrix one = bind_matrix(b, name.text, 1, n_rows, n_columns, false);
        if (i == 0) out.w = one;
        if (b->status == CLLM_OK && one.type != out.w.type)
            b->status = error_set_at(b->err, CLLM_ERR_UNSUPPORTED, name.text, CLLM_NO_OFFSET,
                                     "%s: it is %s and that of expert 0 is %s; experts of different types are not "
                                     "supported",
                                     name.text, quant_type_layout(one.type)->name, quant_type_layout(out.w.type)->name);
        if (b->status == CLLM_OK) apart[i] = one.data;
    }
    out.w.count = count;
    out.w.apart = apart;
    return out;
}

/* A norm whose name has no suffix. */
static norm_weights bind_plain_norm(binder *b, uint32_t layer, const char *stem, uint64_t n) {
    char name[64];
    snprintf(name, sizeof name, "blk.%" PRIu32 ".%s", layer, stem);
    return (norm_weights){.weight = bind_vector(b, name, 1, n, false)};
}

static norm_weights bind_norm(binder *b, int64_t layer, const char *stem, uint64_t count, uint64_t n, need weight,
                              need bias) {
    norm_weights out = {.weight = bind_vector(b, name_of(layer, stem, "weight").text, count, n, weight == MAY)};
    if (out.weight) out.bias = bind_vector(b, name_of(layer, stem, "bias").text, count, n, bias == MAY);
    return out;
}

/* The taps of queries, keys and values, which are three tensors in the file. They become [n_columns][3][n]. */
static taps_weights bind_three_taps(binder *b, uint32_t layer, uint64_t n, uint64_t n_columns) {
    static const char *const stems[] = {"ssm_conv1d_q", "ssm_conv1d_k", "ssm_conv1d_v"};
    const uint64_t shape[] = {n_columns, 1, n, 1};
    float *taps = arena_alloc(b->arena, 3 * n * n_columns, sizeof *taps);
    if (!taps)
        b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for the convolutions of layer %" PRIu32, layer);
    for (uint64_t i = 0; i < 3; i++) {
        const float *rows = bind_floats(b, name_of(layer, stems[i], "weight").text, shape, false);
        for (uint64_t r = 0; rows && r < n; r++)
            for (uint64_t k = 0; k < n_columns; k++) taps[(k * 3 + i) * n + r] = rows[r * n_columns + k];
    }
    return (taps_weights){.weight = taps};
}

/* Weights of 1, for a norm that has none in the file. */
static norm_weights unit_norm(binder *b, uint64_t n) {
    float *ones = arena_alloc(b->arena, n, sizeof *ones);
    if (!ones) b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for a norm of %" PRIu64 " elements", n);
    for (uint64_t i = 0; ones && i < n; i++) ones[i] = 1;
    return (norm_weights){.weight = ones};
}

/* ------------------------------------------------------------------------------------------------- layers */

static uint64_t extent(const model_config *c, const layer_config *l, tensor_extent which) {
    const uint64_t queries = (uint64_t)l->n_heads * query_length(c, l), keys = (uint64_t)l->n_kv_heads * l->key_length;
    const uint64_t values = (uint64_t)l->n_kv_heads * l->value_length;
    const qk_norm_kind qk_norm = c->traits->qk_norm;
    const recurrent_config *r = &c->recurrent;
    const recurrent_kind kind = c->traits->recurrent;
    const bool in_rows = kind == RECURRENT_MAMBA2 || kind == RECURRENT_CHANNEL_DELTA_NET; /* a row for each head */
    switch (which) {
    case DIM_ONE: return 1;
    case DIM_EMBD: return c->n_embd;
    case DIM_QUERIES: return queries;
    case DIM_KEYS: return keys;
    case DIM_VALUES: return values;
    case DIM_QKV: return queries + keys + values;
    case DIM_ATTENDED: return (uint64_t)l->n_heads * attended_length(c, l);
    case DIM_HEADS: return l->n_heads;
    case DIM_GATES: return c->traits->gate_per_head ? l->n_heads : (uint64_t)l->n_heads * attended_length(c, l);
    case DIM_Q_NORMS: return qk_norm == QK_NORM_EACH ? l->n_heads : 1;
    case DIM_K_NORMS: return qk_norm == QK_NORM_EACH ? l->n_kv_heads : 1;
    case DIM_Q_NORM_LENGTH: return qk_norm == QK_NORM_ROW ? queries : l->key_length;
    case DIM_K_NORM_LENGTH: return qk_norm == QK_NORM_ROW ? keys : l->key_length;
    case DIM_V_NORM_LENGTH: return l->value_length;
    case DIM_PER_LAYER: return c->n_embd_per_layer;
    case DIM_STREAMS: return c->n_streams;
    case DIM_MIXES: return (uint64_t)c->n_streams * c->n_streams;
    case DIM_LAUREL_RANK: return c->traits->laurel_rank;
    case DIM_FF: return l->n_ff;
    case DIM_FF_TWICE: return 2 * (uint64_t)l->n_ff;
    case DIM_FF_EXPERT: return c->n_ff_expert;
    case DIM_GATE_UP: return 2 * (uint64_t)c->n_ff_expert;
    case DIM_FF_SHARED: return c->n_ff_shared;
    case DIM_EXPERTS: return c->n_experts;
    case DIM_Q_RANK: return c->q_rank;
    case DIM_KV_RANK: return c->kv_rank;
    case DIM_KV_RANK_SHARED: return (uint64_t)c->kv_rank + c->latent_shared_length;
    case DIM_KEY_PLAIN: return c->latent_key_length - c->latent_shared_length;
    case DIM_VALUE_LATENT: return c->latent_value_length;
    case DIM_KV_B: return l->n_heads * ((uint64_t)extent(c, l, DIM_KEY_PLAIN) + c->latent_value_length);
    case DIM_INDEX_KEY: return l->index_key_length;
    case DIM_INDEX_HEADS: return c->n_index_heads;
    case DIM_INDEX_QUERIES: return (uint64_t)c->n_index_heads * l->index_key_length;
    case DIM_STATE_IN: return r->n_in;
    case DIM_STATE_CHANNELS: return r->n_channels;
    case DIM_STATE_KERNEL: return r->kernel;
    case DIM_STATE_INNER: return r->inner_size;
    case DIM_STATE_HEADS: return r->n_heads;
    case DIM_STATE_STEPS:
        return kind == RECURRENT_CHANNEL_DELTA_NET || kind == RECURRENT_MAMBA ? r->inner_size : r->n_heads;
    case DIM_STATE_PAIRS: return 2 * (uint64_t)r->n_heads;
    case DIM_STATE_SIZE: return r->state_size;
    case DIM_STATE_A_ROWS: return kind == RECURRENT_MAMBA ? r->inner_size : in_rows ? r->n_heads : 1;
    case DIM_STATE_A_LENGTH: return kind == RECURRENT_MAMBA ? r->state_size : in_rows ? 1 : r->n_heads;
    case DIM_STATE_D_ROWS: return in_rows ? r->n_heads : 1;
    case DIM_STATE_D_LENGTH: return kind == RECURRENT_MAMBA ? r->inner_size : in_rows ? 1 : r->n_heads;
    case DIM_STATE_NORMS: return kind == RECURRENT_MAMBA2 ? r->n_groups : 1;
    case DIM_STATE_NORM_LENGTH:
        if (recurrent_is_rwkv(kind)) return r->inner_size;
        return kind == RECURRENT_MAMBA2 ? r->inner_size / r->n_groups : r->head_length;
    case DIM_STEP_RANK: return r->step_rank;
    case DIM_STEP_PARTS: return r->step_rank + 2 * (uint64_t)r->state_size;
    case DIM_GATE_RANK: return r->gate_rank;
    case DIM_RATE_RANK: return r->rate_rank;
    case DIM_VALUE_RANK: return r->value_rank;
    case DIM_MIX_RANK: return r->mix_rank;
    case DIM_MIX_RANKS: return (uint64_t)r->n_parts * r->mix_rank;
    case DIM_STATE_PARTS: return r->n_parts;
    case N_EXTENTS: break;
    }
    return 0;
}

typedef struct tensor_row {
    const char *name;
    tensor_kind kind;
    tensor_extent count, rows, columns;
    size_t field; /* offset in layer_weights */
} tensor_row;

static const tensor_row tensor_rows[N_LAYER_TENSORS] = {
#define X(name, kind, count, rows, columns) {#name, kind, count, rows, columns, offsetof(layer_weights, name)},
    LAYER_TENSORS(X)
#undef X
};

linear *layer_linear(layer_weights *w, layer_tensor tensor) {
    const tensor_row *row = &tensor_rows[tensor];
    if (row->kind != TENSOR_LINEAR || tensor == LAYER_attn_qkv || tensor == LAYER_attn_kv_b ||
        tensor == LAYER_ffn_gate_up_exps)
        return NULL;
    linear *field = (linear *)(void *)((char *)w + row->field);
    return field->w.data ? field : NULL;
}

/* Tensors that have a different name in files whose recurrent layers are of these kinds. */
static const struct {
    layer_tensor tensor;
    uint32_t kinds;
    const char *name;
} names_of_kinds[] = {
    {LAYER_ssm_in, RECURRENT_BIT(DELTA_NET), "attn_qkv"},
    {LAYER_ssm_gate, RECURRENT_BIT(DELTA_NET), "attn_gate"},
    {LAYER_ssm_in, RECURRENT_BIT(SHORT_CONVOLUTION), "shortconv.in_proj"},
    {LAYER_ssm_conv1d, RECURRENT_BIT(SHORT_CONVOLUTION), "shortconv.conv"},
    {LAYER_ssm_out, RECURRENT_BIT(SHORT_CONVOLUTION), "shortconv.out_proj"},
    {LAYER_ssm_q, RECURRENT_BIT(CHANNEL_DELTA_NET), "attn_q"},
    {LAYER_ssm_k, RECURRENT_BIT(CHANNEL_DELTA_NET), "attn_k"},
    {LAYER_ssm_v, RECURRENT_BIT(CHANNEL_DELTA_NET), "attn_v"},
    {LAYER_ssm_out, RECURRENT_BIT(CHANNEL_DELTA_NET), "attn_output"},
    {LAYER_ssm_q, RWKV_KINDS, "time_mix_receptance"},
    {LAYER_ssm_k, RWKV_KINDS, "time_mix_key"},
    {LAYER_ssm_v, RWKV_KINDS, "time_mix_value"},
    {LAYER_ssm_norm, RWKV_KINDS, "time_mix_ln"},
    {LAYER_ssm_out, RWKV_KINDS, "time_mix_output"},
    {LAYER_ffn_up, RWKV_KINDS, "channel_mix_key"},
    {LAYER_ffn_down, RWKV_KINDS, "channel_mix_value"},
    {LAYER_ssm_gate, RECURRENT_BIT(RWKV6), "time_mix_gate"},
    {LAYER_ssm_f_a, RECURRENT_BIT(RWKV6), "time_mix_decay_w1"},
    {LAYER_ssm_f_b, RECURRENT_BIT(RWKV6), "time_mix_decay_w2"},
    {LAYER_ssm_f_a, RECURRENT_BIT(RWKV7), "time_mix_w1"},
    {LAYER_ssm_f_b, RECURRENT_BIT(RWKV7), "time_mix_w2"},
    {LAYER_time_mix_decay, RECURRENT_BIT(RWKV7), "time_mix_w0"},
    {LAYER_ssm_g_a, RECURRENT_BIT(RWKV7), "time_mix_g1"},
    {LAYER_ssm_g_b, RECURRENT_BIT(RWKV7), "time_mix_g2"},
};

/* The tensor's name in the file. */
static const char *name_in_file(const model_traits *traits, const layer_config *l, layer_tensor tensor) {
    /* the file calls the norm of the mixer attn_norm and that of the network ffn_norm, as in a serial layer */
    const bool named_in_turn = traits->parallel_key && l->form == FORM_PARALLEL_APART;
    for (size_t i = 0; i < sizeof names_of_kinds / sizeof *names_of_kinds; i++)
        if (names_of_kinds[i].tensor == tensor && names_of_kinds[i].kinds >> traits->recurrent & 1)
            return names_of_kinds[i].name;
    switch (tensor) {
    case LAYER_indexer_attn_q_b: return "indexer.attn_q_b";
    case LAYER_indexer_attn_k: return "indexer.attn_k";
    case LAYER_indexer_k_norm: return "indexer.k_norm";
    case LAYER_indexer_proj: return "indexer.proj";
    case LAYER_ssm_dt_bias: return "ssm_dt";
    case LAYER_attn_norm: return named_in_turn ? "ffn_norm" : "attn_norm";
    case LAYER_attn_norm_2: return named_in_turn ? "attn_norm" : "attn_norm_2";
    case LAYER_ffn_norm:
        return l->mixer == MIXER_NONE ? "attn_norm" : traits->ffn_norm_name ? traits->ffn_norm_name : "ffn_norm";
    default: return tensor_rows[tensor].name;
    }
}

static bool has_tensor(const binder *b, uint32_t layer, layer_tensor tensor) {
    return cllm_gguf_find_tensor(b->gguf, name_of(layer, tensor_rows[tensor].name, "weight").text) != NULL;
}

static bool shares_keys(const model_config *c, uint32_t layer) { return c->layers[layer].kv_layer != layer; }

/* The tensors that the file must have for this layer. */
static tensor_set layer_needs(const binder *b, uint32_t layer) {
    const model_config *c = b->config;
    const model_traits *traits = c->traits;
    const layer_config *l = &c->layers[layer];
    tensor_set needs = layer_attends(l) ? traits->tensors : 0;
    const bool unnormed = traits->qk_unnormed_experts > 0 && c->n_experts == traits->qk_unnormed_experts;
    if (unnormed || (traits->qk_norm_with_rope && l->rope_dimension_count == 0))
        needs &= ~(TENSOR_BIT(attn_q_norm) | TENSOR_BIT(attn_k_norm));
    if (layer_is_recurrent(l)) needs |= traits->recurrent_tensors;
    if (c->recurrent.joins_gate) needs &= ~TENSOR_BIT(ssm_gate);
    if (l->mixer == MIXER_NONE) needs |= TENSOR_BIT(ffn_norm);
    if (l->network != NETWORK_NONE)
        needs |= layer_has_experts(l) ? traits->experts | (c->n_ff_shared > 0 ? traits->shared : 0) : traits->dense;
    if (layer == 0 && traits->first_layer_unnormed) needs &= ~TENSOR_BIT(attn_norm);
    if (traits->gate_in_up && has_tensor(b, layer, LAYER_ffn_gate)) needs |= TENSOR_BIT(ffn_gate);
    if (layer_has_experts(l) && has_tensor(b, layer, LAYER_ffn_gate_up_exps))
        needs = (needs & ~(TENSOR_BIT(ffn_gate_exps) | TENSOR_BIT(ffn_up_exps))) | TENSOR_BIT(ffn_gate_up_exps);
    if (c->n_embd_per_layer > 0) needs |= traits->per_layer;
    if (l->form == FORM_PARALLEL_APART) needs = (needs & ~TENSOR_BIT(ffn_norm)) | TENSOR_BIT(attn_norm_2);
    if (!layer_attends(l)) return needs;
    if (c->kv_b_is_whole) needs = (needs & ~(TENSOR_BIT(attn_k_b) | TENSOR_BIT(attn_v_b))) | TENSOR_BIT(attn_kv_b);
    if (l->index_key_length > 0) needs |= traits->indexer;
    if (traits->latent_attention)
        needs |= c->q_rank > 0 ? TENSOR_BIT(attn_q_a) | TENSOR_BIT(attn_q_a_norm) | TENSOR_BIT(attn_q_b)
                               : TENSOR_BIT(attn_q);
    else if (has_tensor(b, layer, LAYER_attn_qkv)) /* queries, keys and values may be one tensor or three */
        needs = (needs & ~TENSOR_PROJECTIONS) | TENSOR_BIT(attn_qkv);
    else if (has_tensor(b, layer, LAYER_attn_q) && needs & TENSOR_BIT(attn_qkv))
        needs = (needs & ~TENSOR_BIT(attn_qkv)) | TENSOR_PROJECTIONS;
    return needs;
}

/* The norm that only the router reads: x scaled to length 1, times the tensor `scale`. An RMS norm scales x to length
 * sqrt(n), so its weights are scale / sqrt(n). */
static norm_weights bind_router_norm(binder *b, uint32_t layer) {
    const uint32_t n = b->config->n_embd;
    const tensor_name name = name_of(layer, "ffn_gate_inp", "scale");
    float *weights = arena_alloc(b->arena, n, sizeof *weights);
    const float *scale = bind_vector(b, name.text, 1, n, false);
    if (!weights) b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for %s", name.text);
    for (uint32_t i = 0; b->status == CLLM_OK && i < n; i++) weights[i] = scale[i] / sqrtf((float)n);
    return (norm_weights){.weight = weights};
}

/* [n_rows][n_columns] from one tensor, or in older files of RWKV 6 from a tensor for each part. */
static const float *bind_mixes(binder *b, uint32_t layer, const char *stem, uint64_t n_rows, uint64_t n_columns) {
    static const char *const apart[N_MIX_PARTS] = {[MIX_DECAY] = "time_mix_lerp_w",
                                                   [MIX_KEY] = "time_mix_lerp_k",
                                                   [MIX_VALUE] = "time_mix_lerp_v",
                                                   [MIX_RECEPTANCE] = "time_mix_lerp_r",
                                                   [MIX_GATE] = "time_mix_lerp_g"};
    const mix_part *parts = b->config->recurrent.parts;
    const uint64_t shape[] = {n_columns, 1, 1, n_rows};
    const tensor_name name = name_of(layer, stem, "weight");
    if (b->config->traits->recurrent != RECURRENT_RWKV6 || cllm_gguf_find_tensor(b->gguf, name.text) ||
        !cllm_gguf_find_tensor(b->gguf, name_of(layer, apart[parts[0]], "weight").text))
        return bind_floats(b, name.text, shape, false);
    float *rows = arena_alloc(b->arena, n_rows * n_columns, sizeof *rows);
    if (!rows) b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for %s", name.text);
    for (size_t i = 0; i < n_rows && b->status == CLLM_OK; i++) {
        const float *row = bind_vector(b, name_of(layer, apart[parts[i]], "weight").text, 1, n_columns, false);
        if (row) memcpy(rows + i * n_columns, row, n_columns * sizeof *rows);
    }
    return rows;
}

static void bind_tensor(binder *b, uint32_t layer, layer_tensor tensor, need weight, need bias, layer_weights *w) {
    const model_config *c = b->config;
    const tensor_row *row = &tensor_rows[tensor];
    void *field = (char *)w + row->field;
    const bool twice = tensor == LAYER_ffn_up && c->traits->gate_in_up && !has_tensor(b, layer, LAYER_ffn_gate);
    const bool gated = tensor == LAYER_attn_q && c->traits->query_gate;
    const layer_config *l = &c->layers[layer];
    const uint64_t count = extent(c, l, row->count), columns = extent(c, l, row->columns);
    const uint64_t rows = extent(c, l, twice ? DIM_FF_TWICE : row->rows) * (gated ? 2 : 1);
    const char *name = name_in_file(c->traits, l, tensor);
    if (tensor == LAYER_attn_output && c->traits->ollama_names) name = "attn_out";
    if (tensor == LAYER_ssm_in && c->recurrent.joins_gate) name = "ssm_in";
    const bool apart = row->count == DIM_EXPERTS && experts_are_apart(b, layer, name);
    switch (row->kind) {
    case TENSOR_NORM:
        if (c->traits->plain_norms >> tensor & 1) {
            *(norm_weights *)field = bind_plain_norm(b, layer, name, columns);
            break;
        }
        if (tensor == LAYER_ffn_gate_inp_norm) {
            *(norm_weights *)field = bind_router_norm(b, layer);
            break;
        }
        *(norm_weights *)field = c->traits->unit_norms >> tensor & 1
                                     ? unit_norm(b, columns)
                                     : bind_norm(b, layer, name, rows, columns, weight, bias);
        break;
    case TENSOR_LINEAR:
        /* if the router has a norm, its .scale is the weights of that norm */
        if (tensor == LAYER_ffn_gate_inp && c->traits->experts & TENSOR_BIT(ffn_gate_inp_norm))
            *(linear *)field = bind_unscaled(b, layer, name, count, rows, columns, weight, bias);
        else
            *(linear *)field = apart ? bind_experts_apart(b, layer, name, (uint32_t)count, rows, columns)
                                     : bind_linear(b, layer, name, count, rows, columns, weight, bias);
        break;
    case TENSOR_VECTOR: {
        tensor_name full = name_of(layer, name, "weight");
        if (c->traits->ollama_names) full.text[strlen(full.text) - strlen(".weight")] = '\0';
        *(const float **)field = bind_vector(b, full.text, rows, columns, weight == MAY);
        break;
    }
    case TENSOR_MIXES: *(const float **)field = bind_mixes(b, layer, name, rows, columns); break;
    case TENSOR_PLAIN: {
        tensor_name full = name_of(layer, name, "weight");
        full.text[strlen(full.text) - strlen(".weight")] = '\0';
        *(const float **)field = bind_columns(b, full.text, rows, columns, weight == MAY);
        break;
    }
    case TENSOR_TAPS:
        if (c->traits->recurrent == RECURRENT_CHANNEL_DELTA_NET) {
            *(taps_weights *)field = bind_three_taps(b, layer, c->recurrent.inner_size, columns);
            break;
        }
        *(taps_weights *)field =
            (taps_weights){.weight = bind_columns(b, name_of(layer, name, "weight").text, rows, columns, weight == MAY),
                           .bias = bind_vector(b, name_of(layer, name, "bias").text, 1, rows, bias == MAY)};
        break;
    case TENSOR_BIAS:
        *(const float **)field = bind_vector(b, name_of(layer, name, "bias").text, 1, columns, weight == MAY);
        break;
    }
}

/* The first n_rows rows of *rest, which are removed from it. */
static linear take_rows(linear *rest, uint64_t n_rows) {
    linear out = *rest;
    out.w.n_rows = (uint32_t)n_rows;
    rest->w.n_rows -= out.w.n_rows;
    rest->w.data = (const unsigned char *)rest->w.data + n_rows * rest->w.row_bytes;
    if (rest->bias) rest->bias += n_rows;
    return out;
}

/* attn_kv_b has, for each head, the rows of keys and then those of values. All heads have the same factor. */
static void split_latent(binder *b, uint32_t layer, layer_weights *w) {
    const model_config *c = b->config;
    const layer_config *l = &c->layers[layer];
    const matrix *whole = &w->attn_kv_b.w;
    const uint64_t n_keys = extent(c, l, DIM_KEY_PLAIN), n_values = c->latent_value_length;
    if (w->attn_kv_b.bias) {
        const tensor_name bias = name_of(layer, "attn_kv_b", "bias");
        b->status = error_set_at(b->err, CLLM_ERR_UNSUPPORTED, bias.text, CLLM_NO_OFFSET,
                                 "%s: a bias of compressed keys and values is not supported", bias.text);
        return;
    }
    const void **keys = arena_alloc(b->arena, l->n_heads, sizeof *keys);
    const void **values = arena_alloc(b->arena, l->n_heads, sizeof *values);
    float *scales = arena_alloc(b->arena, l->n_heads, sizeof *scales);
    if (!keys || !values || !scales) {
        b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for the tables of %" PRIu32 " heads", l->n_heads);
        return;
    }
    for (uint32_t i = 0; i < l->n_heads; i++) {
        keys[i] = (const unsigned char *)whole->data + i * (n_keys + n_values) * whole->row_bytes;
        values[i] = (const unsigned char *)keys[i] + n_keys * whole->row_bytes;
        scales[i] = w->attn_kv_b.scale ? *w->attn_kv_b.scale : 1;
    }
    w->attn_k_b_rows = w->attn_v_b.w = *whole;
    w->attn_k_b_rows.count = w->attn_v_b.w.count = l->n_heads;
    w->attn_k_b_rows.n_rows = (uint32_t)n_keys;
    w->attn_v_b.w.n_rows = (uint32_t)n_values;
    w->attn_k_b_rows.apart = keys;
    w->attn_v_b.w.apart = values;
    w->attn_v_b.scale = scales;
    b->bytes_per_token += l->n_heads * n_keys * whole->row_bytes;
}

/* Some rows of each matrix of l, and of its bias, as separate matrices. */
static linear take_rows_of_each(binder *b, const linear *l, uint32_t first_row, uint32_t n_rows) {
    const uint32_t count = l->w.count;
    const void **apart = arena_alloc(b->arena, count, sizeof *apart);
    float *bias = l->bias ? arena_alloc(b->arena, (uint64_t)count * n_rows, sizeof *bias) : NULL;
    linear out = *l;
    if (!apart || (l->bias && !bias)) {
        b->status = error_set(b->err, CLLM_ERR_MEMORY, "no memory for the table of %" PRIu32 " experts", count);
        return out;
    }
    for (uint32_t i = 0; i < count; i++) {
        const matrix one = matrix_of(&l->w, i);
        apart[i] = (const unsigned char *)one.data + first_row * one.row_bytes;
        if (bias)
            memcpy(bias + (size_t)i * n_rows, l->bias + (size_t)i * l->w.n_rows + first_row, n_rows * sizeof *bias);
    }
    out.w.n_rows = n_rows;
    out.w.apart = apart;
    out.w.data = apart[0];
    out.bias = bias;
    return out;
}

static void split_fused(binder *b, uint32_t layer, layer_weights *w) {
    const model_config *c = b->config;
    const layer_config *l = &c->layers[layer];
    if (w->attn_qkv.w.data) {
        linear rest = w->attn_qkv;
        w->attn_q = take_rows(&rest, extent(c, l, DIM_QUERIES));
        w->attn_k = take_rows(&rest, extent(c, l, DIM_KEYS));
        w->attn_v = take_rows(&rest, extent(c, l, DIM_VALUES));
        if (!w->attn_qkv.bias) { /* some files have separate biases */
            w->attn_q.bias = bind_vector(b, name_of(layer, "attn_q", "bias").text, 1, extent(c, l, DIM_QUERIES), true);
            w->attn_k.bias = bind_vector(b, name_of(layer, "attn_k", "bias").text, 1, extent(c, l, DIM_KEYS), true);
            w->attn_v.bias = bind_vector(b, name_of(layer, "attn_v", "bias").text, 1, extent(c, l, DIM_VALUES), true);
        }
    }
    if (w->attn_kv_b.w.data) split_latent(b, layer, w);
    if (w->ffn_gate_up_exps.w.data) {
        w->ffn_gate_exps = take_rows_of_each(b, &w->ffn_gate_up_exps, 0, c->n_ff_expert);
        w->ffn_up_exps = take_rows_of_each(b, &w->ffn_gate_up_exps, c->n_ff_expert, c->n_ff_expert);
    }
    if (c->traits->gate_in_up && w->ffn_up.w.data && !w->ffn_gate.w.data) {
        linear rest = w->ffn_up;
        w->ffn_gate = take_rows(&rest, l->n_ff);
        w->ffn_up = rest;
    }
}

uint32_t layer_matrices_used(const model_config *c, const linear *l, layer_tensor tensor) {
    return tensor_rows[tensor].count == DIM_EXPERTS ? c->n_experts_used : l->w.count;
}

/* A tensor that is allowed but not used. */
static void ignore(binder *b, uint32_t layer, layer_tensor tensor) {
    static const char *const parts[] = {"weight", "bias", "scale", "input_scale"};
    const char *stem = name_in_file(b->config->traits, &b->config->layers[layer], tensor);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const cllm_tensor *there = cllm_gguf_find_tensor(b->gguf, name_of(layer, stem, parts[i]).text);
        if (there) b->used[there - cllm_gguf_tensor(b->gguf, 0)] = 1;
    }
}

static const float half = 0.5f;

static void bind_layer(binder *b, uint32_t layer, layer_weights *w) {
    const model_traits *traits = b->config->traits;
    tensor_set shared = shares_keys(b->config, layer) ? TENSOR_BIT(attn_k) | TENSOR_BIT(attn_v) |
                                                            TENSOR_BIT(attn_k_norm) | TENSOR_BIT(attn_v_norm)
                                                      : 0;
    if (b->config->layers[layer].index_key_length == 0) shared |= traits->indexer;
    if (layer == 0)
        shared |=
            traits->recurrent_tensors & (TENSOR_BIT(time_mix_v0) | TENSOR_BIT(time_mix_v1) | TENSOR_BIT(time_mix_v2));
    const tensor_set needs = layer_needs(b, layer) & ~shared, may = traits->optional & ~shared;
    const tensor_set gate_up = TENSOR_BIT(ffn_gate_exps) | TENSOR_BIT(ffn_up_exps);
    tensor_set biases = traits->biases;
    if ((biases & gate_up) == gate_up) biases |= TENSOR_BIT(ffn_gate_up_exps);
    for (uint32_t i = 0; i < N_LAYER_TENSORS && b->status == CLLM_OK; i++) {
        const tensor_set bit = (tensor_set)1 << i;
        if (shared & bit) ignore(b, layer, (layer_tensor)i);
        if (!((needs | may) & bit)) continue;
        bind_tensor(b, layer, (layer_tensor)i, needs & bit ? MUST : MAY, biases & bit ? MUST : MAY, w);
    }
    if (w->attn_kv_b.w.data) { /* some files also have its halves */
        ignore(b, layer, LAYER_attn_k_b);
        ignore(b, layer, LAYER_attn_v_b);
    }
    if (b->status == CLLM_OK) split_fused(b, layer, w);
    if (b->config->halving_period > 0 && (layer + 1) % b->config->halving_period == 0) w->layer_output_scale = &half;
    for (uint32_t i = 0; i < N_LAYER_TENSORS; i++) {
        const linear *l = layer_linear(w, (layer_tensor)i);
        if (!l) continue;
        const uint64_t one = (uint64_t)l->w.n_rows * l->w.row_bytes;
        b->bytes_per_token += one * layer_matrices_used(b->config, l, (layer_tensor)i);
    }
}

/* -------------------------------------------------------------------------------------------------- model */

/* The divisors of RoPE's frequencies. */
static const float *bind_rope_factors(binder *b, const char *stem) {
    const model_config *c = b->config;
    const uint32_t n = (c->traits->full_rope_halved ? c->rope_dimension_count_windowed : c->rope_dimension_count) / 2;
    const tensor_name name = name_of(-1, stem, "weight");
    const float *factors = n > 0 ? bind_vector(b, name.text, 1, n, true) : NULL;
    for (uint32_t i = 0; b->status == CLLM_OK && factors && i < n; i++)
        if (!(factors[i] > 0))
            b->status =
                error_set_at(b->err, CLLM_ERR_FORMAT, name.text, CLLM_NO_OFFSET,
                             "%s: factor %" PRIu32 " is %g, it must be positive", name.text, i, (double)factors[i]);
    const uint32_t full = c->rope_dimension_count / 2;
    const uint32_t windowed = c->window > 0 && !c->traits->windowed_unscaled ? c->rope_dimension_count_windowed / 2 : 0;
    const uint32_t most = full > windowed ? full : windowed;
    if (b->status == CLLM_OK && factors && most > n)
        b->status = error_set_at(b->err, CLLM_ERR_FORMAT, name.text, CLLM_NO_OFFSET,
                                 "%s: %" PRIu32 " factors for %" PRIu32 " rotated pairs", name.text, n, most);
    return factors;
}

static bool is_vision_tensor(const cllm_tensor *tensor) {
    return strncmp(tensor->name, "v.", 2) == 0 || strncmp(tensor->name, "mm.", 3) == 0;
}

static bool only_drafts(const model_config *c, const cllm_tensor *tensor) {
    uint32_t layer;
    return sscanf(tensor->name, "blk.%" SCNu32 ".", &layer) == 1 && layer >= c->n_layers && layer < c->n_blocks;
}

bool is_unused_tensor(const model_config *config, const cllm_tensor *tensor) {
    return is_vision_tensor(tensor) || only_drafts(config, tensor);
}

static void refuse_unused(binder *b, model_weights *weights) {
    const model_config *c = b->config;
    for (size_t i = 0; b->status == CLLM_OK && i < cllm_gguf_n_tensors(b->gguf); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(b->gguf, i);
        uint32_t layer;
        if (b->used[i] || only_drafts(c, tensor)) continue;
        if (is_vision_tensor(tensor)) {
            weights->n_skipped++;
            continue;
        }
        const bool of_layer = sscanf(tensor->name, "blk.%" SCNu32 ".", &layer) == 1;
        if (of_layer && layer >= c->n_layers)
            b->status = error_set_at(b->err, CLLM_ERR_FORMAT, tensor->name, tensor->offset,
                                     "%s: this layer does not exist: %s.block_count is %" PRIu32, tensor->name,
                                     c->architecture, c->n_blocks);
        else
            b->status = error_set_at(b->err, CLLM_ERR_UNSUPPORTED, tensor->name, tensor->offset,
                                     "%s: this program does not know this tensor of the architecture %s", tensor->name,
                                     c->architecture);
    }
}

static void bind_per_layer(binder *b, model_weights *weights) {
    const model_config *c = b->config;
    const uint32_t n = c->n_embd_per_layer, all = c->n_layers * n;
    weights->per_layer_token_embd = bind_matrix(b, "per_layer_token_embd.weight", 1, c->n_vocab, all, false);
    weights->per_layer_model_proj = bind_linear(b, -1, "per_layer_model_proj", 1, all, c->n_embd, MUST, MAY);
    weights->per_layer_proj_norm = bind_norm(b, -1, "per_layer_proj_norm", 1, n, MUST, MAY);
    b->bytes_per_token +=
        weights->per_layer_token_embd.row_bytes + (uint64_t)weights->per_layer_model_proj.w.row_bytes * all;
}

static void bind_streams(binder *b, model_weights *weights) {
    const uint64_t n = b->config->n_embd, count = b->config->n_streams - 1;
    weights->altup_proj = bind_linear(b, -1, "altup_proj", count, n, n, MUST, MAY);
    weights->altup_unembd_proj = bind_linear(b, -1, "altup_unembd_proj", count, n, n, MUST, MAY);
    b->bytes_per_token += count * n * (weights->altup_proj.w.row_bytes + weights->altup_unembd_proj.w.row_bytes);
}

static void bind_output(binder *b, model_weights *weights) {
    const model_config *c = b->config;
    const model_traits *traits = c->traits;
    if (traits->unit_norms & TENSOR_BIT(attn_norm))
        weights->output_norm = unit_norm(b, c->n_embd);
    else if (!traits->no_output_norm)
        weights->output_norm = bind_norm(b, -1, traits->output_norm ? traits->output_norm : "output_norm", 1, c->n_embd,
                                         MUST, traits->biases & TENSOR_BIT(attn_norm) ? MUST : MAY);
    if (traits->output != OUTPUT_TIED)
        weights->output = bind_linear(b, -1, "output", 1, c->n_vocab, c->n_embd,
                                      traits->output == OUTPUT_OWN ? MUST : MAY, traits->output_bias ? MUST : MAY);
    if (!weights->output.w.data) weights->output.w = weights->token_embd;
    if (!traits->bidirectional) b->bytes_per_token += (uint64_t)weights->output.w.row_bytes * c->n_vocab;
}

/* The layers that turn the last layer's x into an embedding or scores. */
static void bind_after_pooling(binder *b, model_weights *weights) {
    static const char *const dense[] = {"dense_2", "dense_3"};
    const model_config *c = b->config;
    uint32_t length = c->n_embd;
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++) {
        if (c->dense_lengths[i] == 0) continue;
        weights->dense[i] = bind_linear(b, -1, dense[i], 1, c->dense_lengths[i], length, MUST, MAY);
        length = c->dense_lengths[i];
    }
    if (c->n_scores == 0) return;
    const bool alone = !cllm_gguf_find_tensor(b->gguf, "cls.output.weight");
    if (c->traits->classifier != CLASSIFIER_SOFTMAX)
        weights->cls = bind_linear(b, -1, "cls", 1, alone ? c->n_scores : c->n_embd, c->n_embd, MAY, MAY);
    if (c->traits->classifier == CLASSIFIER_GELU && weights->cls.w.data)
        weights->cls_norm = bind_norm(b, -1, "cls.norm", 1, c->n_embd, MAY, MAY);
    if (!alone) weights->cls_output = bind_linear(b, -1, "cls.output", 1, c->n_scores, c->n_embd, MUST, MAY);
}

static matrix bind_token_types(binder *b) {
    const cllm_tensor *tensor = cllm_gguf_find_tensor(b->gguf, "token_types.weight");
    if (!tensor || tensor->shape[1] > INT32_MAX) return (matrix){0};
    return bind_matrix(b, tensor->name, 1, tensor->shape[1], b->config->n_embd, false);
}

cllm_status weights_bind(const cllm_gguf *gguf, const model_config *config, arena *a, model_weights *weights,
                         cllm_error *err) {
    *weights = (model_weights){0};
    const size_t n_tensors = cllm_gguf_n_tensors(gguf);
    if (config->n_layers > n_tensors) { /* do not allocate for layers that cannot exist: each has several tensors */
        char key[sizeof config->architecture + sizeof ".block_count"];
        snprintf(key, sizeof key, "%s.block_count", config->architecture);
        return error_set_at(err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET,
                            "%s: %" PRIu32 " layers, but the file has only %zu tensors", key, config->n_layers,
                            n_tensors);
    }
    binder b = {.gguf = gguf, .config = config, .arena = a, .err = err};
    b.used = arena_alloc(a, n_tensors, 1);
    weights->layers = arena_alloc(a, config->n_layers, sizeof *weights->layers);
    if (!b.used || !weights->layers)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for the tables of %zu tensors", n_tensors);

    weights->token_embd = bind_matrix(&b, "token_embd.weight", 1, config->n_vocab, config->n_embd, false);
    b.bytes_per_token = weights->token_embd.row_bytes; /* a token reads one row of the embedding table */
    if (config->traits->position_embd)
        weights->position_embd =
            bind_matrix(&b, "position_embd.weight", 1, config->n_ctx_train, config->n_embd, config->traits->alibi_key);
    if (config->traits->token_types) weights->token_types = bind_token_types(&b);
    if (config->traits->embedding_norm)
        weights->token_embd_norm = bind_norm(&b, -1, "token_embd_norm", 1, config->n_embd, MUST,
                                             config->traits->biases & TENSOR_BIT(attn_norm) ? MUST : MAY);
    for (uint32_t i = 0; i < config->n_layers; i++) bind_layer(&b, i, &weights->layers[i]);
    if (config->n_embd_per_layer > 0) bind_per_layer(&b, weights);
    if (config->n_streams > 0) bind_streams(&b, weights);
    bind_output(&b, weights);
    bind_after_pooling(&b, weights);
    weights->rope_factors = bind_rope_factors(&b, "rope_freqs");
    weights->rope_factors_long = bind_rope_factors(&b, "rope_factors_long");
    weights->rope_factors_short = bind_rope_factors(&b, "rope_factors_short");
    weights->bytes_per_token = b.bytes_per_token;
    weights->matrix_types = b.matrix_types;
    refuse_unused(&b, weights);
    return b.status;
}

const float *weights_rope_factors(const model_weights *weights, const model_config *config, uint32_t n_ctx) {
    if (weights->rope_factors) return weights->rope_factors;
    return n_ctx > config->rope_original_context ? weights->rope_factors_long : weights->rope_factors_short;
}

matrix matrix_of(const matrix *matrices, uint32_t index) {
    const uint64_t rows = matrices->interleaved ? ((uint64_t)matrices->n_rows + 15) / 16 * 16 : matrices->n_rows;
    matrix one = *matrices;
    one.data = one.apart ? one.apart[index] : (const unsigned char *)one.data + index * rows * one.row_bytes;
    one.apart = NULL;
    one.count = 1;
    return one;
}
