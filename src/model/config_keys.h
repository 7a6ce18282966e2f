/* Reads keys <architecture>.<suffix> for config.c and config_recurrent.c: numbers, and arrays with a number for each
 * layer. Values are checked, and errors name the key. */
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

/* True if a key has an array. It should have a number for each layer, which get_array_of_layers checks. False as long
 * as the number of blocks is not known. */
bool is_of_each_layer(const cllm_gguf *gguf, const model_config *config, const char *suffix);

/* The array of such a key, for next_number. */
cllm_status get_array_of_layers(const cllm_gguf *gguf, const model_config *config, const char *suffix, cllm_array *out,
                                cllm_error *err);

/* The next number of an array of integers, of bools, or of floats that are whole numbers. */
cllm_status next_number(const model_config *config, const char *suffix, uint32_t layer, cllm_array *rest, uint32_t *out,
                        cllm_error *err);

/* A number, or an array with the same number for each layer. */
cllm_status get_u32(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need,
                    uint32_t *out, cllm_error *err);

/* A number for all layers, or an array with one for each. field: the offset in layer_config where it goes. */
cllm_status get_each(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need,
                     size_t field, cllm_error *err);
#define GET_EACH(suffix, need, field) get_each(gguf, config, suffix, need, offsetof(layer_config, field), err)

cllm_status get_f32(const cllm_gguf *gguf, const model_config *config, const char *suffix, gguf_need need, float *out,
                    cllm_error *err);

/* A key that may be missing. Then its default stays. */
typedef struct optional_key {
    const char *suffix;
    float *number;   /* either this */
    uint32_t *count; /* or this */
} optional_key;

cllm_status read_optional(const cllm_gguf *gguf, const model_config *config, const optional_key *keys, size_t n_keys,
                          cllm_error *err);
#define READ_OPTIONAL(keys) read_optional(gguf, config, keys, sizeof(keys) / sizeof *(keys), err)

/* Read the sizes of recurrent layers (config_recurrent.c). Numbers of heads, and which layers are recurrent, are read
 * already. */
cllm_status read_recurrent(const cllm_gguf *gguf, model_config *config, cllm_error *err);

#endif
