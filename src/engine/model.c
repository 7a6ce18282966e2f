/* cllm_model: a GGUF file with its weights bound and, if it has one, its tokenizer. */
#include "engine/engine.h"

#include "base/error.h"
#include "base/pages.h"
#include "base/system.h"
#include "gguf/gguf.h"

#include <stdlib.h>

const char *cllm_version(void) { return CLLM_VERSION; }

/* A file without a tokenizer, or with one of a kind that is not supported, still runs by token ids. */
static cllm_status load_tokenizer(cllm_model *model, const cllm_load_options *options, cllm_error *err) {
    if (!cllm_gguf_find(model->gguf, "tokenizer.ggml.model")) return CLLM_OK;
    cllm_status status = cllm_tokenizer_create(model->gguf, options, &model->tokenizer, err);
    if (status == CLLM_ERR_UNSUPPORTED) return CLLM_OK;
    if (status != CLLM_OK) return status;
    uint32_t n_tokens = cllm_tokenizer_n_vocab(model->tokenizer);
    if (n_tokens != model->config.n_vocab)
        return error_set_at(err, CLLM_ERR_FORMAT, "tokenizer.ggml.tokens", CLLM_NO_OFFSET,
                            "tokenizer.ggml.tokens: %u tokens, but token_embd.weight has %u rows", n_tokens,
                            model->config.n_vocab);
    return CLLM_OK;
}

static cllm_status fill_info(cllm_model *model, cllm_error *err) {
    const model_config *c = &model->config;
    cllm_string name = {0};
    cllm_status status = gguf_get_string(model->gguf, "general.name", GGUF_OPTIONAL, &name, err);
    if (status != CLLM_OK) return status;
    model->info = (cllm_model_info){
        .architecture = c->architecture,
        .name = arena_string(&model->arena, name.data, name.length),
        .n_layers = c->n_layers,
        .n_embd = c->n_embd,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .key_length = c->key_length,
        .value_length = c->value_length,
        .n_ff = c->n_ff,
        .n_vocab = c->n_vocab,
        .n_ctx_train = c->n_ctx_train,
        .bytes_per_token = model->weights.bytes_per_token,
    };
    if (!model->info.name) return error_set(err, CLLM_ERR_MEMORY, "no memory for the model's name");
    for (size_t i = 0; i < cllm_gguf_n_tensors(model->gguf); i++) {
        const uint64_t *shape = cllm_gguf_tensor(model->gguf, i)->shape;
        model->info.n_parameters += shape[0] * shape[1] * shape[2] * shape[3];
    }
    return CLLM_OK;
}

/* Reading a file ahead helps only if its pages can stay. */
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

    status = config_read(model->gguf, &model->config, err);
    if (status == CLLM_OK) status = weights_bind(model->gguf, &model->config, &model->arena, &model->weights, err);
    if (status == CLLM_OK) status = load_tokenizer(model, options, err);
    if (status == CLLM_OK) status = fill_info(model, err);
    if (status == CLLM_OK)
        status = options && options->repack ? model_repack(model, options, err) : prefetch(model, options, err);
    if (status == CLLM_OK) {
        *out = model;
        return CLLM_OK;
    }
    error_prefix(err, path);

failed:
    cllm_model_destroy(model);
    return status;
}

void cllm_model_destroy(cllm_model *model) {
    if (!model) return;
    cllm_tokenizer_destroy(model->tokenizer);
    cllm_gguf_close(model->gguf);
    pages_free(model->repacked, model->repacked_bytes);
    arena_free(&model->arena);
    free(model);
}

const cllm_model_info *cllm_model_get_info(const cllm_model *model) { return &model->info; }
const cllm_gguf *cllm_model_gguf(const cllm_model *model) { return model->gguf; }
const cllm_tokenizer *cllm_model_tokenizer(const cllm_model *model) { return model->tokenizer; }
