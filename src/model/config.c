/* Keys are <architecture>.<suffix>; their names and defaults are those of the GGUF specification (docs/gguf.md of ggml). */
#include "model/config.h"

#include "base/error.h"
#include "gguf/gguf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_LAYERS      65536u
#define MAX_HEAD_LENGTH 65536u

/* "<architecture>.<suffix>" */
typedef struct config_key {
    char text[128];
} config_key;

static config_key key_of(const model_config *config, const char *suffix) {
    config_key key;
    snprintf(key.text, sizeof key.text, "%s.%s", config->architecture, suffix);
    return key;
}

static cllm_status get_u32(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need,
                           uint32_t *out, cllm_error *err) {
    return gguf_get_u32(gguf, key_of(config, suffix).text, need, out, err);
}

static cllm_status get_f32(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need,
                           float *out, cllm_error *err) {
    return gguf_get_f32(gguf, key_of(config, suffix).text, need, out, err);
}

static cllm_status bad_value(cllm_error *err, const model_config *config, const char *suffix, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static cllm_status bad_value(cllm_error *err, const model_config *config, const char *suffix, const char *format, ...) {
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    config_key key = key_of(config, suffix);
    return error_set_at(err, CLLM_ERR_FORMAT, key.text, CLLM_NO_OFFSET, "%s: %s", key.text, detail);
}

static cllm_status read_architecture(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    cllm_string name = {0};
    cllm_status status = gguf_get_string(gguf, "general.architecture", GGUF_REQUIRED, &name, err);
    if (status != CLLM_OK) return status;
    if (name.length == 0 || name.length >= sizeof config->architecture || memchr(name.data, 0, name.length))
        return error_set_at(err, CLLM_ERR_FORMAT, "general.architecture", CLLM_NO_OFFSET,
                            "general.architecture: '%.*s' is not a name of 1 to %zu characters",
                            (int)(name.length < 80 ? name.length : 80), name.data, sizeof config->architecture - 1);
    memcpy(config->architecture, name.data, name.length);
    return CLLM_OK;
}

/* The vocabulary is as large as the embedding table; a file without tensors has its token list. */
static void read_vocabulary_size(const cllm_gguf *gguf, model_config *config) {
    const cllm_tensor *embedding = cllm_gguf_find_tensor(gguf, "token_embd.weight");
    cllm_array tokens = {0};
    if (embedding && embedding->shape[1] <= INT32_MAX)
        config->n_vocab = (uint32_t)embedding->shape[1];
    else if (gguf_get_array(gguf, "tokenizer.ggml.tokens", GGUF_OPTIONAL, CLLM_STRING, &tokens, NULL) == CLLM_OK &&
             tokens.count <= INT32_MAX)
        config->n_vocab = (uint32_t)tokens.count;
}

cllm_status config_read_sizes(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    *config = (model_config){0};
    cllm_status status = read_architecture(gguf, config, err);
    if (status != CLLM_OK) return status;

    const struct {
        const char *suffix;
        uint32_t *out;
    } required[] = {
        {"block_count", &config->n_layers},         {"embedding_length", &config->n_embd},
        {"attention.head_count", &config->n_heads}, {"feed_forward_length", &config->n_ff},
        {"context_length", &config->n_ctx_train},
    };
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        status = get_u32(gguf, config, required[i].suffix, GGUF_REQUIRED, required[i].out, err);
        if (status != CLLM_OK) return status;
        if (*required[i].out == 0 || *required[i].out > INT32_MAX)
            return bad_value(err, config, required[i].suffix, "%u is not between 1 and %d", *required[i].out,
                             INT32_MAX);
    }
    if (config->n_layers > MAX_LAYERS)
        return bad_value(err, config, "block_count", "%u layers are more than the %u that are possible",
                         config->n_layers, MAX_LAYERS);

    config->n_kv_heads = config->n_heads;
    status = get_u32(gguf, config, "attention.head_count_kv", GGUF_OPTIONAL, &config->n_kv_heads, err);
    if (status != CLLM_OK) return status;
    if (config->n_kv_heads == 0 || config->n_heads % config->n_kv_heads != 0)
        return bad_value(err, config, "attention.head_count_kv", "%u does not divide the %u query heads",
                         config->n_kv_heads, config->n_heads);

    status = get_u32(gguf, config, "attention.key_length", GGUF_OPTIONAL, &config->key_length, err);
    if (status != CLLM_OK) return status;
    if (config->key_length == 0) {
        if (config->n_embd % config->n_heads != 0)
            return bad_value(err, config, "attention.head_count", "%u does not divide the embedding length %u",
                             config->n_heads, config->n_embd);
        config->key_length = config->n_embd / config->n_heads;
    }
    config->value_length = config->key_length;
    status = get_u32(gguf, config, "attention.value_length", GGUF_OPTIONAL, &config->value_length, err);
    if (status != CLLM_OK) return status;
    if (config->key_length > MAX_HEAD_LENGTH || config->value_length > MAX_HEAD_LENGTH || config->value_length == 0)
        return bad_value(err, config, "attention.value_length", "keys of %u and values of %u elements are not possible",
                         config->key_length, config->value_length);
    if ((uint64_t)config->n_heads * config->key_length > INT32_MAX ||
        (uint64_t)config->n_heads * config->value_length > INT32_MAX)
        return bad_value(err, config, "attention.head_count", "%u heads of %u elements are not possible",
                         config->n_heads, config->key_length);

    config->rope_dimension_count = config->key_length;
    read_vocabulary_size(gguf, config);
    return CLLM_OK;
}

static cllm_status read_rope_scaling(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    config->rope_scaling_factor = 1.0f;
    config->rope_attention_factor = 1.0f;
    config->rope_original_context = config->n_ctx_train;

    /* an older key, rope.scale_linear, stands for type linear and its factor */
    cllm_string type = {"linear", strlen("linear")};
    config_key type_key = key_of(config, "rope.scaling.type");
    cllm_status status = get_f32(gguf, config, "rope.scale_linear", GGUF_OPTIONAL, &config->rope_scaling_factor, err);
    if (status == CLLM_OK) status = gguf_get_string(gguf, type_key.text, GGUF_OPTIONAL, &type, err);
    if (status == CLLM_OK)
        status = get_f32(gguf, config, "rope.scaling.factor", GGUF_OPTIONAL, &config->rope_scaling_factor, err);
    if (status == CLLM_OK)
        status = get_f32(gguf, config, "rope.scaling.attn_factor", GGUF_OPTIONAL, &config->rope_attention_factor, err);
    if (status == CLLM_OK)
        status = get_u32(gguf, config, "rope.scaling.original_context_length", GGUF_OPTIONAL,
                         &config->rope_original_context, err);
    if (status != CLLM_OK) return status;

    if (config->rope_scaling_factor == 0) config->rope_scaling_factor = 1.0f; /* files write 0 for "none" */
    if (config->rope_scaling_factor < 0)
        return bad_value(err, config, "rope.scaling.factor", "%g is negative", (double)config->rope_scaling_factor);
    if (config->rope_original_context == 0)
        return bad_value(err, config, "rope.scaling.original_context_length", "0 is not 1 or more");

    static const char *const names[] = {"none", "linear", "yarn"}; /* in the order of enum rope_scaling */
    for (uint32_t i = 0; i < 3; i++)
        if (type.length == strlen(names[i]) && memcmp(type.data, names[i], type.length) == 0) {
            config->rope_scaling = (rope_scaling)i;
            if (i == ROPE_SCALING_NONE) config->rope_scaling_factor = 1.0f;
            return CLLM_OK;
        }
    return error_set_at(err, CLLM_ERR_UNSUPPORTED, type_key.text, CLLM_NO_OFFSET,
                        "%s: '%.*s' is not supported; supported: none, linear, yarn", type_key.text,
                        (int)(type.length < 80 ? type.length : 80), type.data);
}

cllm_status config_read(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    *config = (model_config){0};
    cllm_status status = read_architecture(gguf, config, err);
    if (status != CLLM_OK) return status;
    if (strcmp(config->architecture, "llama") != 0)
        return error_set_at(err, CLLM_ERR_UNSUPPORTED, "general.architecture", CLLM_NO_OFFSET,
                            "architecture '%s' is not supported; supported: llama", config->architecture);
    status = config_read_sizes(gguf, config, err);
    if (status != CLLM_OK) return status;

    uint32_t n_experts = 0;
    status = get_u32(gguf, config, "expert_count", GGUF_OPTIONAL, &n_experts, err);
    if (status != CLLM_OK) return status;
    if (n_experts > 0)
        return error_set_at(err, CLLM_ERR_UNSUPPORTED, key_of(config, "expert_count").text, CLLM_NO_OFFSET,
                            "%s.expert_count: mixtures of experts are not supported (this one has %u)",
                            config->architecture, n_experts);

    status = get_f32(gguf, config, "attention.layer_norm_rms_epsilon", GGUF_REQUIRED, &config->rms_norm_epsilon, err);
    if (status != CLLM_OK) return status;
    if (!(config->rms_norm_epsilon >= 0))
        return bad_value(err, config, "attention.layer_norm_rms_epsilon", "%g is negative",
                         (double)config->rms_norm_epsilon);

    config->rope_freq_base = 10000.0f;
    status = get_f32(gguf, config, "rope.freq_base", GGUF_OPTIONAL, &config->rope_freq_base, err);
    if (status != CLLM_OK) return status;
    if (!(config->rope_freq_base > 1))
        return bad_value(err, config, "rope.freq_base", "%g is not greater than 1", (double)config->rope_freq_base);

    status = get_u32(gguf, config, "rope.dimension_count", GGUF_OPTIONAL, &config->rope_dimension_count, err);
    if (status != CLLM_OK) return status;
    if (config->rope_dimension_count % 2 != 0 || config->rope_dimension_count > config->key_length)
        return bad_value(err, config, "rope.dimension_count", "%u is not an even number up to the head's %u elements",
                         config->rope_dimension_count, config->key_length);
    return read_rope_scaling(gguf, config, err);
}
