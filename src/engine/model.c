/* cllm_model: a GGUF file, its weights, its adapters, and its tokenizer if it has one. Before it: gguf/, model/ and
 * text/, which read the file. After it: the engine. */
#include "engine/engine.h"

#include "base/error.h"
#include "base/pages.h"
#include "base/system.h"
#include "gguf/gguf.h"
#include "model/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *cllm_version(void) { return CLLM_VERSION; }

/* A file without a supported tokenizer can still run on token ids. */
static cllm_status load_tokenizer(const cllm_gguf *gguf, cllm_model *model, cllm_error *err) {
    if (!cllm_gguf_find(gguf, "tokenizer.ggml.model")) return CLLM_OK;
    cllm_status status = cllm_tokenizer_create(gguf, &model->tokenizer, err);
    if (status == CLLM_ERR_UNSUPPORTED) return CLLM_OK;
    if (status != CLLM_OK) return status;
    uint32_t n_tokens = cllm_tokenizer_n_vocab(model->tokenizer);
    if (n_tokens != model->config.n_vocab)
        return error_set_at(err, CLLM_ERR_FORMAT, "tokenizer.ggml.tokens", CLLM_NO_OFFSET,
                            "tokenizer.ggml.tokens: %u tokens, but token_embd.weight has %u rows", n_tokens,
                            model->config.n_vocab);
    return CLLM_OK;
}

static const char *write_note(cllm_model *model) {
    char note[512];
    const uint32_t n = model->weights.n_skipped;
    int length = snprintf(note, sizeof note, "%s", model->config.note);
    if (n > 0)
        length += snprintf(note + length, sizeof note - (size_t)length,
                           "%s%u tensors of an image model (v.*, mm.*) are skipped: only text is supported",
                           length > 0 ? "; " : "", n);
    return arena_string(&model->arena, note, (size_t)length);
}

static cllm_status read_name(const cllm_gguf *gguf, cllm_model *model, cllm_error *err) {
    cllm_string name = {0};
    cllm_status status = gguf_get_string(gguf, "general.name", GGUF_OPTIONAL, &name, err);
    if (status != CLLM_OK) return status;
    model->info.name = arena_string(&model->arena, name.data, name.length);
    return model->info.name ? CLLM_OK : error_set(err, CLLM_ERR_MEMORY, "no memory for the model's name");
}

static cllm_status fill_info(cllm_model *model, cllm_error *err) {
    const model_config *c = &model->config;
    model->info = (cllm_model_info){
        .architecture = c->architecture,
        .name = model->info.name,
        .n_layers = c->n_layers,
        .n_embd = c->n_embd,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .key_length = c->key_length,
        .value_length = c->value_length,
        .n_ff = c->n_ff,
        .n_vocab = c->n_vocab,
        .n_ctx_train = c->n_ctx_train,
        .n_embd_out = c->n_embd_out,
        .n_scores = c->n_scores,
        .pooling = c->pooling,
        .is_encoder = c->traits->bidirectional,
        .bytes_per_token = model->weights.bytes_per_token,
        .note = write_note(model),
    };
    if (!model->info.note) return error_set(err, CLLM_ERR_MEMORY, "no memory for a note on the model");
    for (size_t i = 0; i < cllm_gguf_n_tensors(model->gguf); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(model->gguf, i);
        const uint64_t *shape = tensor->shape;
        if (!is_unused_tensor(&model->config, tensor))
            model->info.n_parameters += shape[0] * shape[1] * shape[2] * shape[3];
    }
    return CLLM_OK;
}

cllm_status cllm_gguf_read_model_keys(cllm_gguf *gguf, cllm_error *err) {
    cllm_gguf *view;
    model_config config;
    arena layers = {0};
    cllm_status status = gguf_view_create(gguf, gguf_is_read(gguf), &view, err);
    if (status == CLLM_OK) status = config_read(view, &layers, &config, err);
    arena_free(&layers);
    gguf_view_destroy(view);
    return status;
}

cllm_status cllm_gguf_read_tokenizer_keys(cllm_gguf *gguf, cllm_error *err) {
    cllm_gguf *view;
    cllm_tokenizer *tokenizer = NULL;
    cllm_status status = gguf_view_create(gguf, gguf_is_read(gguf), &view, err);
    if (status == CLLM_OK) status = cllm_tokenizer_create(view, &tokenizer, err);
    cllm_tokenizer_destroy(tokenizer);
    gguf_view_destroy(view);
    return status;
}

/* Refuse a file that is an adapter, not a model. */
static cllm_status refuse_adapter(const cllm_gguf *gguf, cllm_error *err) {
    cllm_string type = {"", 0};
    cllm_status status = gguf_get_string(gguf, "general.type", GGUF_OPTIONAL, &type, err);
    if (status != CLLM_OK || !gguf_is_text(type, "adapter")) return status;
    return error_set_at(err, CLLM_ERR_FORMAT, "general.type", CLLM_NO_OFFSET,
                        "general.type: this file is an adapter; load its model, and give this file as a LoRA adapter");
}

static cllm_status load_adapter(cllm_model *model, const cllm_lora *lora, bool no_mmap, cllm_error *err) {
    const cllm_load_options options = {.no_mmap = no_mmap};
    cllm_gguf **adapter = &model->adapters[model->n_adapters];
    if (!isfinite(lora->scale))
        return error_set(err, CLLM_ERR_ARGUMENT, "%s: the adapter's scale is not a finite number", lora->path);
    cllm_status status = cllm_gguf_open(lora->path, &options, adapter, err);
    if (status != CLLM_OK) return status;
    model->adapter_scales[model->n_adapters++] = lora->scale;
    status = lora_bind(*adapter, lora->scale, model->gguf, &model->arena, &model->config, &model->weights, err);
    if (status != CLLM_OK) error_prefix(err, lora->path);
    return status;
}

static cllm_status load_adapters(cllm_model *model, const cllm_load_options *options, cllm_error *err) {
    if (!options || options->n_loras == 0) return CLLM_OK;
    model->adapters = arena_alloc(&model->arena, options->n_loras, sizeof *model->adapters);
    model->adapter_scales = arena_alloc(&model->arena, options->n_loras, sizeof *model->adapter_scales);
    if (!model->adapters || !model->adapter_scales)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for %zu adapters", options->n_loras);
    cllm_status status = CLLM_OK;
    for (size_t i = 0; status == CLLM_OK && i < options->n_loras; i++)
        status = load_adapter(model, &options->loras[i], options->no_mmap, err);
    return status;
}

/* Read the model's metadata, and record which keys are read. */
static cllm_status read_model(cllm_model *model, cllm_error *err) {
    cllm_gguf *view;
    cllm_status status = gguf_view_create(model->gguf, gguf_is_read(model->gguf), &view, err);
    if (status == CLLM_OK) status = refuse_adapter(view, err);
    if (status == CLLM_OK) status = config_read(view, &model->arena, &model->config, err);
    if (status == CLLM_OK) status = weights_bind(view, &model->config, &model->arena, &model->weights, err);
    if (status == CLLM_OK) status = load_tokenizer(view, model, err);
    if (status == CLLM_OK) status = read_name(view, model, err);
    gguf_view_destroy(view);
    return status;
}

/* Reading a file ahead helps only if its pages stay in memory. */
static cllm_status prefetch(cllm_model *model, const cllm_load_options *options, cllm_error *err) {
    if (cllm_gguf_n_bytes(model->gguf) >= system_available_memory()) return CLLM_OK;
    return gguf_prefetch(model->gguf, options, err);
}

cllm_status cllm_model_load(const char *path, const cllm_load_options *options, cllm_model **out, cllm_error *err) {
    *out = NULL;
    cllm_model *model = calloc(1, sizeof *model);
    if (!model) return error_set(err, CLLM_ERR_MEMORY, "%s: no memory for the model", path);
    cllm_status status = cllm_gguf_open(path, options, &model->gguf, err); /* its messages name the path */
    if (status != CLLM_OK) goto failed;

    status = read_model(model, err);
    if (status != CLLM_OK) goto fault_in_file;
    status = load_adapters(model, options, err); /* its messages name their own files */
    if (status != CLLM_OK) goto failed;
    status = fill_info(model, err);
    if (status == CLLM_OK)
        status = options && options->repack ? model_repack(model, options, err) : prefetch(model, options, err);
    if (status == CLLM_OK) {
        *out = model;
        return CLLM_OK;
    }

fault_in_file:
    error_prefix(err, path);
failed:
    cllm_model_destroy(model);
    return status;
}

void cllm_model_destroy(cllm_model *model) {
    if (!model) return;
    cllm_tokenizer_destroy(model->tokenizer);
    for (size_t i = 0; i < model->n_adapters; i++) cllm_gguf_close(model->adapters[i]);
    cllm_gguf_close(model->gguf);
    pages_free(model->repacked, model->repacked_bytes);
    arena_free(&model->arena);
    free(model);
}

const char *cllm_model_path_of(const cllm_model *model, const void *address) {
    const char *path = cllm_gguf_path_of(model->gguf, address);
    for (size_t i = 0; !path && i < model->n_adapters; i++) path = cllm_gguf_path_of(model->adapters[i], address);
    return path;
}

const char *cllm_model_file_note(const cllm_model *model) {
    const char *note = cllm_gguf_note(model->gguf);
    for (size_t i = 0; !*note && i < model->n_adapters; i++) note = cllm_gguf_note(model->adapters[i]);
    return note;
}

cllm_status check_tokens(const cllm_model *model, const int32_t *tokens, size_t count, cllm_error *err) {
    const uint32_t n_vocab = model->config.n_vocab;
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= n_vocab)
            return error_set(err, CLLM_ERR_ARGUMENT, "token %d is not in the vocabulary of %u", tokens[i], n_vocab);
    return CLLM_OK;
}

const cllm_model_info *cllm_model_get_info(const cllm_model *model) { return &model->info; }
const cllm_gguf *cllm_model_gguf(const cllm_model *model) { return model->gguf; }
const cllm_tokenizer *cllm_model_tokenizer(const cllm_model *model) { return model->tokenizer; }
