/* Each function finds a key by its name and checks its value; config_keys.h says what they read. */
#include "model/config_keys.h"

#include "base/error.h"
#include "gguf/metadata.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

config_key key_of(const model_config *config, const char *suffix) {
    config_key key;
    snprintf(key.text, sizeof key.text, "%s.%s", config->architecture, suffix);
    return key;
}

cllm_status bad_value(cllm_error *err, const model_config *config, const char *suffix, const char *format, ...) {
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    config_key key = key_of(config, suffix);
    return error_set_at(err, CLLM_ERR_FORMAT, key.text, CLLM_NO_OFFSET, "%s: %s", key.text, detail);
}

bool is_of_each_layer(const cllm_gguf *gguf, const model_config *config, const char *suffix) {
    const cllm_value *value = cllm_gguf_find(gguf, key_of(config, suffix).text);
    return value && value->type == CLLM_ARRAY && config->n_blocks > 0;
}

cllm_status get_array_of_layers(const cllm_gguf *gguf, const model_config *config, const char *suffix, cllm_array *out,
                                cllm_error *err) {
    const config_key key = key_of(config, suffix);
    const cllm_array *array = &cllm_gguf_find(gguf, key.text)->array;
    if (array->count != config->n_blocks && array->count != config->n_layers)
        return bad_value(err, config, suffix, "%" PRIu64 " values for %" PRIu32 " layers", array->count,
                         config->n_blocks);
    return gguf_get_array(gguf, key.text, GGUF_REQUIRED, array->element_type, out, err);
}

cllm_status next_number(const model_config *config, const char *suffix, uint32_t layer, cllm_array *rest, uint32_t *out,
                        cllm_error *err) {
    cllm_value element;
    uint64_t number = UINT64_MAX;
    cllm_array_next(rest, &element);
    if (element.type == CLLM_BOOL)
        number = element.b;
    else if (element.type == CLLM_FLOAT32 && element.f >= 0 && element.f <= UINT32_MAX && floor(element.f) == element.f)
        number = (uint64_t)element.f;
    else if (!gguf_value_as_u64(&element, &number))
        number = UINT64_MAX;
    if (number > UINT32_MAX)
        return bad_value(err, config, suffix, "the value of layer %" PRIu32 " is not a whole number of 32 bits", layer);
    *out = (uint32_t)number;
    return CLLM_OK;
}

cllm_status get_u32(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need,
                    uint32_t *out, cllm_error *err) {
    if (!is_of_each_layer(gguf, config, suffix)) return gguf_get_u32(gguf, key_of(config, suffix).text, need, out, err);
    cllm_array rest;
    uint32_t number = 0, first = 0;
    cllm_status status = get_array_of_layers(gguf, config, suffix, &rest, err);
    for (uint32_t layer = 0; status == CLLM_OK && layer < config->n_layers; layer++) {
        status = next_number(config, suffix, layer, &rest, &number, err);
        if (status != CLLM_OK) return status;
        if (layer == 0) first = number;
        if (number != first)
            return error_set_at(err, CLLM_ERR_UNSUPPORTED, key_of(config, suffix).text, CLLM_NO_OFFSET,
                                "%s: %u in layer 0, but %u in layer %u: different values are not supported",
                                key_of(config, suffix).text, first, number, layer);
    }
    if (status == CLLM_OK) *out = first;
    return status;
}

cllm_status get_each(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need,
                     size_t field, cllm_error *err) {
    const bool is_array = is_of_each_layer(gguf, config, suffix);
    cllm_array rest;
    uint32_t number = 0;
    if (!is_array && need == GGUF_OPTIONAL && !cllm_gguf_find(gguf, key_of(config, suffix).text)) return CLLM_OK;
    cllm_status status = is_array ? get_array_of_layers(gguf, config, suffix, &rest, err)
                                  : get_u32(gguf, config, suffix, need, &number, err);
    for (uint32_t layer = 0; status == CLLM_OK && layer < config->n_layers; layer++) {
        if (is_array) status = next_number(config, suffix, layer, &rest, &number, err);
        memcpy((char *)&config->layers[layer] + field, &number, sizeof number);
    }
    return status;
}

cllm_status get_f32(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need, float *out,
                    cllm_error *err) {
    return gguf_get_f32(gguf, key_of(config, suffix).text, need, out, err);
}

cllm_status read_optional(const cllm_gguf *gguf, const model_config *config, const optional_key *keys, size_t n_keys,
                          cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (size_t i = 0; status == CLLM_OK && i < n_keys; i++)
        status = keys[i].number ? get_f32(gguf, config, keys[i].suffix, GGUF_OPTIONAL, keys[i].number, err)
                                : get_u32(gguf, config, keys[i].suffix, GGUF_OPTIONAL, keys[i].count, err);
    return status;
}
