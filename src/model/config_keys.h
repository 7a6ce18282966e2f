/* How config.c and its parts read keys, <architecture>.<suffix>: numbers and arrays with one for each layer, checked, with errors
 * that name the key. */
#ifndef MODEL_CONFIG_KEYS_H
#define MODEL_CONFIG_KEYS_H

#include "gguf/gguf.h"
#include "model/config.h"

#include <stddef.h>

/* "<architecture>.<suffix>" */
typedef struct config_key {
    char text[128];
} config_key;

config_key key_of(const model_config *config, const char *suffix);

cllm_status bad_value(cllm_error *err, const model_config *config, const char *suffix, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Has a key a number for each layer? */
bool is_of_each_layer(const cllm_gguf *gguf, const model_config *config, const char *suffix);

cllm_status get_array_of_layers(const cllm_gguf *gguf, const model_config *config, const char *suffix, cllm_array *out,
                                cllm_error *err);

/* Arrays may be of integers, of bools, or of floats that are whole numbers. */
cllm_status next_number(const model_config *config, const char *suffix, uint32_t layer, cllm_array *rest, uint32_t *out,
                        cllm_error *err);

/* A number, or an array with the same number for each layer. */
cllm_status get_u32(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need,
                    uint32_t *out, cllm_error *err);

/* A number of all layers, or an array with one for each. field: which of layer_config's, its offset. */
cllm_status get_each(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need,
                     size_t field, cllm_error *err);
#define GET_EACH(suffix, need, field) get_each(gguf, config, suffix, need, offsetof(layer_config, field), err)

cllm_status get_f32(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need, float *out,
                    cllm_error *err);

/* A key that is there or keeps its default. */
typedef struct optional_key {
    const char *suffix;
    float *number;   /* either this */
    uint32_t *count; /* or this */
} optional_key;

cllm_status read_optional(const cllm_gguf *gguf, const model_config *config, const optional_key *keys, size_t n_keys,
                          cllm_error *err);
#define READ_OPTIONAL(keys) read_optional(gguf, config, keys, sizeof(keys) / sizeof *(keys), err)

/* What config_read reads of recurrent layers (config_recurrent.c). Heads are read, and which layers are recurrent. */
cllm_status read_recurrent(const cllm_gguf *gguf, model_config *config, cllm_error *err);

#endif
