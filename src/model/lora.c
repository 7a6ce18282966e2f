/* Binds an adapter (lora.h): finds the pairs of tensors in its file, checks them against the model's tensors, and puts
 * them into the model's linears. It also measures what they need in a forward pass. */
#include "model/lora.h"

#include "base/error.h"
#include "gguf/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LARGEST_RANK  65536u
#define TOKEN_EMBD    "token_embd.weight"
#define OUTPUT        "output.weight"
#define SUFFIX_LENGTH (sizeof ".lora_a" - 1)

typedef struct binder {
    const cllm_gguf *adapter, *base;
    arena *arena;
    model_config *config;
    model_weights *weights;
    float alpha;
    float scale; /* the user's */
    cllm_error *err;
} binder;

/* ------------------------------------------------------------------------------------------------ the file */

/* Check that a key has this value. If not, the error says `otherwise`. */
static cllm_status expect_text(const binder *b, const char *key, const char *want, const char *otherwise) {
    cllm_string value = {"", 0};
    cllm_status status = gguf_get_string(b->adapter, key, GGUF_OPTIONAL, &value, b->err);
    if (status != CLLM_OK || gguf_is_text(value, want)) return status;
    return error_set_at(b->err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET, "%s: it is not '%s': %s", key, want, otherwise);
}

static cllm_status check_file(binder *b) {
    const char *const invocation = "adapter.alora.invocation_tokens";
    cllm_status status = expect_text(b, "general.type", "adapter", "this file is not an adapter");
    if (status == CLLM_OK) status = expect_text(b, "adapter.type", "lora", "this file is not a LoRA adapter");
    if (status == CLLM_OK)
        status = expect_text(b, "general.architecture", b->config->architecture,
                             "this adapter was made for another architecture");
    if (status != CLLM_OK) return status;
    if (cllm_gguf_find(b->adapter, invocation))
        return error_set_at(b->err, CLLM_ERR_UNSUPPORTED, invocation, CLLM_NO_OFFSET,
                            "%s: adapters that a phrase activates (aLoRA) are not supported", invocation);
    return gguf_get_f32(b->adapter, "adapter.lora.alpha", GGUF_OPTIONAL, &b->alpha, b->err);
}

/* ----------------------------------------------------------------------------------------------- the pairs */

typedef struct tensors {
    const cllm_tensor *base, *a, *b;
    bool looked_up; /* base is the embedding table, used to look up tokens, not as output */
} tensors;

/* True if A or B has one matrix for all matrices of the base tensor, or one for each. */
static bool count_fits(const tensors *t, const cllm_tensor *own) {
    return (own->shape[2] == 1 || own->shape[2] == t->base->shape[2]) && own->shape[3] == 1;
}

static bool shapes_fit(const tensors *t) {
    const uint64_t *base = t->base->shape, *a = t->a->shape, *b = t->b->shape, rank = b[0];
    if (rank > LARGEST_RANK || !count_fits(t, t->a) || !count_fits(t, t->b)) return false;
    if (t->looked_up) return a[0] == rank && a[1] == base[1] && b[1] == base[0]; /* A has a row for each token */
    return a[0] == base[0] && a[1] == rank && b[1] == base[1];
}

static cllm_status check_tensors(const binder *b, const tensors *t) {
    if (!shapes_fit(t))
        return error_set_at(b->err, CLLM_ERR_FORMAT, t->a->name, t->a->offset,
                            "%s: its shape is [%s] and its lora_b's [%s]; they do not fit the model's [%s]", t->a->name,
                            gguf_shape_text(t->a->shape, t->a->n_dims).text,
                            gguf_shape_text(t->b->shape, t->b->n_dims).text,
                            gguf_shape_text(t->base->shape, t->base->n_dims).text);
    const cllm_tensor *const both[] = {t->a, t->b};
    for (int i = 0; i < 2; i++)
        if (!quant_type_layout((uint32_t)both[i]->type)->computable)
            return error_set_at(b->err, CLLM_ERR_UNSUPPORTED, both[i]->name, both[i]->offset,
                                "%s: tensors of type %s are not supported", both[i]->name,
                                cllm_tensor_type_name(both[i]->type));
    return CLLM_OK;
}

static matrix matrix_in(const cllm_tensor *tensor) {
    const quant_type type = (quant_type)tensor->type;
    return (matrix){.data = tensor->data,
                    .type = type,
                    .n_rows = (uint32_t)tensor->shape[1],
                    .n_columns = (uint32_t)tensor->shape[0],
                    .row_bytes = (size_t)quant_bytes(type, tensor->shape[0]),
                    .count = (uint32_t)tensor->shape[2]};
}

/* Append to the list: adapters are added in the order in which they were given. */
static cllm_status append(const binder *b, const tensors *t, float scale, lora_pair **list, lora_pair **pair) {
    lora_pair *added = arena_alloc(b->arena, 1, sizeof *added);
    if (!added) return error_set(b->err, CLLM_ERR_MEMORY, "%s: no memory for this tensor's table", t->a->name);
    *added = (lora_pair){.a = matrix_in(t->a), .b = matrix_in(t->b), .scale = scale};
    while (*list) list = &(*list)->next;
    *list = added;
    *pair = added;
    return CLLM_OK;
}

/* True if the linear is the base tensor or a part of it. False for linears whose matrices are apart: adapters cannot
 * change them. first_row: out. */
static bool is_part(const tensors *t, const linear *l, uint64_t *first_row) {
    const uintptr_t start = (uintptr_t)t->base->data, at = (uintptr_t)l->w.data;
    if (l->w.apart || at < start || at - start >= t->base->n_bytes) return false;
    *first_row = (at - start) / l->w.row_bytes;
    return true;
}

static cllm_status append_to_linear(const binder *b, const tensors *t, float scale, linear *l, bool *found) {
    uint64_t first_row;
    lora_pair *pair;
    if (!is_part(t, l, &first_row)) return CLLM_OK;
    *found = true;
    cllm_status status = append(b, t, scale, &l->loras, &pair);
    if (status != CLLM_OK) return status;
    pair->b.data = (const unsigned char *)pair->b.data + first_row * pair->b.row_bytes;
    pair->b.n_rows = l->w.n_rows;
    return CLLM_OK;
}

/* Apply a pair to a matrix of a layer or parts of it, or to the output. */
static cllm_status append_to_parts(const binder *b, const tensors *t, float scale) {
    uint32_t layer;
    bool found = false;
    cllm_status status = CLLM_OK;
    if (sscanf(t->base->name, "blk.%" SCNu32 ".", &layer) == 1 && layer < b->config->n_layers) {
        for (int i = 0; status == CLLM_OK && i < N_LAYER_TENSORS; i++) {
            linear *l = layer_linear(&b->weights->layers[layer], (layer_tensor)i);
            if (l) status = append_to_linear(b, t, scale, l, &found);
        }
    } else {
        status = append_to_linear(b, t, scale, &b->weights->output, &found);
    }
    if (found || status != CLLM_OK) return status;
    return error_set_at(b->err, CLLM_ERR_UNSUPPORTED, t->a->name, t->a->offset,
                        "%s: adapters of the model's %s are not supported", t->a->name, t->base->name);
}

static cllm_status bind_pair(const binder *b, const tensors *t) {
    cllm_status status = check_tensors(b, t);
    if (status != CLLM_OK) return status;
    const uint64_t rank = t->b->shape[0];
    const double factor = b->alpha != 0 ? (double)b->alpha / (double)rank : 1;
    const float scale = (float)((double)b->scale * factor);
    if (!isfinite(scale))
        return error_set_at(b->err, CLLM_ERR_FORMAT, t->a->name, t->a->offset,
                            "%s: alpha %g / rank %" PRIu64 " * scale %g is too large", t->a->name, (double)b->alpha,
                            rank, (double)b->scale);
    if (scale == 0) return CLLM_OK;
    lora_pair *pair;
    return t->looked_up ? append(b, t, scale, &b->weights->token_embd_loras, &pair) : append_to_parts(b, t, scale);
}

/* Find the other one of A and B, and the model's tensor. The output of a tied model is its embedding table. */
static cllm_status find_tensors(const binder *b, const cllm_tensor *one, tensors *t) {
    char name[1100]; /* names in GGUF files are shorter */
    const size_t length = strlen(one->name);
    const char *suffix = length > SUFFIX_LENGTH ? one->name + length - SUFFIX_LENGTH : "";
    const bool is_a = strcmp(suffix, ".lora_a") == 0;
    if (!is_a && strcmp(suffix, ".lora_b") != 0)
        return error_set_at(b->err, CLLM_ERR_UNSUPPORTED, one->name, one->offset,
                            "%s: the names of an adapter's tensors must end in .lora_a or .lora_b", one->name);
    snprintf(name, sizeof name, "%.*s%s", (int)(length - SUFFIX_LENGTH), one->name, is_a ? ".lora_b" : ".lora_a");
    const cllm_tensor *other = cllm_gguf_find_tensor(b->adapter, name);
    if (!other)
        return error_set_at(b->err, CLLM_ERR_FORMAT, one->name, one->offset, "%s: the file has no %s beside it",
                            one->name, name);
    name[length - SUFFIX_LENGTH] = '\0';
    const bool tied = strcmp(name, OUTPUT) == 0 && b->weights->output.w.data == b->weights->token_embd.data;
    *t = (tensors){.base = cllm_gguf_find_tensor(b->base, tied ? TOKEN_EMBD : name),
                   .a = is_a ? one : other,
                   .b = is_a ? other : one,
                   .looked_up = strcmp(name, TOKEN_EMBD) == 0};
    if (t->base) return CLLM_OK;
    return error_set_at(
        b->err, CLLM_ERR_FORMAT, one->name, one->offset,
        "%s: the model has no tensor %s; was the adapter made for another model, or another file of it?", one->name,
        name);
}

/* ------------------------------------------------------------------------------------------------- sizes */

/* Count the pairs of a linear. A token uses n_used of its matrices. */
static void count_pairs(const lora_pair *pair, uint32_t n_matrices, uint32_t n_used, lora_sizes *sizes) {
    for (; pair; pair = pair->next) {
        const uint32_t rank = pair->b.n_columns;
        sizes->n_products += n_matrices;
        sizes->inner_length += (uint64_t)n_used * lora_padded(rank);
        if (sizes->longest_rank < rank) sizes->longest_rank = rank;
    }
}

/* Raise *most to the sizes of linears that are computed together, such as those of a layer. */
static void count_group(lora_sizes group, lora_sizes *most) {
    if (most->n_products < group.n_products) most->n_products = group.n_products;
    if (most->inner_length < group.inner_length) most->inner_length = group.inner_length;
    if (most->longest_rank < group.longest_rank) most->longest_rank = group.longest_rank;
}

static void measure(const model_config *config, model_weights *weights, lora_sizes *sizes) {
    lora_sizes group = {0};
    count_pairs(weights->token_embd_loras, 1, 1, &group);
    count_group(group, sizes);
    group = (lora_sizes){0};
    count_pairs(weights->output.loras, 1, 1, &group);
    count_group(group, sizes);
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        group = (lora_sizes){0};
        for (int i = 0; i < N_LAYER_TENSORS; i++) {
            const linear *l = layer_linear(&weights->layers[layer], (layer_tensor)i);
            if (l) count_pairs(l->loras, l->w.count, layer_matrices_used(config, l, (layer_tensor)i), &group);
        }
        count_group(group, sizes);
    }
}

/* Bytes of a pair that a token reads. */
static uint64_t bytes_read(const model_config *config, const tensors *t) {
    if (t->looked_up) return t->a->n_bytes / t->a->shape[1] + t->b->n_bytes;
    const bool experts = t->base->shape[2] > 1 && t->base->shape[2] == config->n_experts;
    uint64_t sum = 0;
    for (int i = 0; i < 2; i++) {
        const cllm_tensor *tensor = i ? t->b : t->a;
        const uint64_t one = tensor->n_bytes / tensor->shape[2];
        sum += one * (experts && tensor->shape[2] > 1 ? config->n_experts_used : tensor->shape[2]);
    }
    return sum;
}

cllm_status lora_bind(const cllm_gguf *adapter, float scale, const cllm_gguf *base, arena *a, model_config *config,
                      model_weights *weights, cllm_error *err) {
    binder b = {adapter, base, a, config, weights, .scale = scale, .err = err};
    cllm_status status = check_file(&b);
    if (status == CLLM_OK && cllm_gguf_n_tensors(adapter) == 0)
        status = error_set(err, CLLM_ERR_FORMAT, "the adapter has no tensors");
    for (size_t i = 0; status == CLLM_OK && i < cllm_gguf_n_tensors(adapter); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(adapter, i);
        tensors t;
        status = find_tensors(&b, tensor, &t);
        if (status != CLLM_OK || tensor != t.a) continue; /* handle each pair once */
        status = bind_pair(&b, &t);
        if (scale == 0) continue; /* checked, but not used */
        config->lora.n_bytes += t.a->n_bytes + t.b->n_bytes;
        weights->bytes_per_token += bytes_read(config, &t);
    }
    if (status == CLLM_OK) measure(config, weights, &config->lora);
    return status;
}
