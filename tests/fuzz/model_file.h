/* What the fuzz targets of models share: a GGUF file of a small model, written into memory, and the model made of
 * it. */
#ifndef FUZZ_MODEL_FILE_H
#define FUZZ_MODEL_FILE_H

#include "engine/engine.h"
#include "gguf/gguf.h"

#include <stdlib.h>
#include <string.h>

static void require(bool holds) {
    if (!holds) abort();
}

enum { TYPE_UINT32 = 4, TYPE_FLOAT32 = 6, TYPE_STRING = 8, N_EMBD = 8, N_VOCAB = 5, N_FF = 8, ALIGNMENT = 32 };

/* The file that is being written, and one that is finished, into which its model points. */
static unsigned char files[2][1 << 14], *file = files[0];
static size_t file_size, data_size;
static unsigned char n_keys, n_tensors;
static const char *family;

static void put(const void *bytes, size_t n) {
    require(n <= sizeof files[0] - file_size);
    memcpy(file + file_size, bytes, n);
    file_size += n;
}

static void put_number(uint64_t value, unsigned n_bytes) {
    for (unsigned i = 0; i < n_bytes; i++) put(&(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static void put_text(const char *text) {
    put_number(strlen(text), 8);
    put(text, strlen(text));
}

/* A key that begins with a dot gets the family's name in front. */
static void put_key(const char *key, unsigned type) {
    char whole[100] = "";
    if (key[0] == '.') strcpy(whole, family);
    put_text(strcat(whole, key));
    put_number(type, 4);
    n_keys++;
}

static void put_u32(const char *key, uint32_t value) {
    put_key(key, TYPE_UINT32);
    put_number(value, 4);
}

/* F32 */
static void put_tensor(const char *name, unsigned n_columns, unsigned n_rows, unsigned count) {
    put_text(name);
    put_number(3, 4);
    put_number(n_columns, 8);
    put_number(n_rows, 8);
    put_number(count, 8);
    put_number(0, 4);
    put_number(data_size, 8);
    const size_t n_bytes = (size_t)n_columns * n_rows * count * 4;
    data_size += (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    n_tensors++;
}

/* The header, and the keys that every model has. */
static void begin_file(const char *architecture, uint32_t n_layers, uint32_t n_ctx) {
    const float epsilon = 1e-5f;
    if (file_size > 0) file = files[1];
    file_size = data_size = n_keys = n_tensors = 0;
    family = architecture;
    put("GGUF", 4);
    put_number(3, 4);
    put_number(0, 8); /* the counts are written at the end */
    put_number(0, 8);
    put_key("general.architecture", TYPE_STRING);
    put_text(family);
    put_u32(".block_count", n_layers);
    put_u32(".context_length", n_ctx);
    put_u32(".embedding_length", N_EMBD);
    put_u32(".feed_forward_length", N_FF);
    put_u32(".attention.head_count", 2);
    put_u32(".attention.head_count_kv", 1);
    put_key(".attention.layer_norm_rms_epsilon", TYPE_FLOAT32);
    put(&epsilon, 4);
}

/* The data follow the names of the tensors. */
static void end_file(void) {
    file[8] = n_tensors;
    file[16] = n_keys;
    file_size = (file_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    for (size_t i = 0; i < data_size / 4; i++) {
        const float value = (float)(i * 7 % 5) / 8 - 0.25f;
        put(&value, 4);
    }
}

/* model: zeroed before the call. */
static void read_model(cllm_model *model) {
    cllm_error err;
    require(gguf_open_memory(file, file_size, &model->gguf, &err) == CLLM_OK);
    require(config_read(model->gguf, &model->arena, &model->config, &err) == CLLM_OK);
    require(weights_bind(model->gguf, &model->config, &model->arena, &model->weights, &err) == CLLM_OK);
}

#endif
