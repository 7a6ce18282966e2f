/* Writes GGUF files for tests: correct ones, and wrong ones. It checks nothing, so that it can make any fault. */
#ifndef SUPPORT_GGUF_BUILDER_H
#define SUPPORT_GGUF_BUILDER_H

#include "cllm.h"

#include <stddef.h>
#include <stdint.h>

typedef struct byte_buffer {
    unsigned char *bytes;
    size_t size, capacity;
} byte_buffer;

void buffer_put(byte_buffer *b, const void *bytes, size_t n);
void buffer_put_u32(byte_buffer *b, uint32_t value);
void buffer_put_u64(byte_buffer *b, uint64_t value);
void buffer_put_string(byte_buffer *b, const char *text); /* u64 length, bytes */
void buffer_free(byte_buffer *b);

typedef struct gguf_builder {
    uint32_t version;     /* builder_init sets 3 */
    uint64_t n_metadata;  /* counted by the functions; overwrite it to make a wrong file */
    uint64_t n_tensors;   /* the same */
    uint64_t alignment;   /* of tensor data; builder_init sets 32 */
    byte_buffer metadata; /* encoded; append raw bytes to make a wrong file */
    byte_buffer tensors;  /* encoded tensor table */
    byte_buffer data;     /* tensor data */
} gguf_builder;

void builder_init(gguf_builder *g);
void builder_free(gguf_builder *g);

void builder_u32(gguf_builder *g, const char *key, uint32_t value);
void builder_f32(gguf_builder *g, const char *key, float value);
void builder_bool(gguf_builder *g, const char *key, int value);
void builder_string(gguf_builder *g, const char *key, const char *value);
void builder_strings(gguf_builder *g, const char *key, const char *const *values, size_t n);
void builder_f32s(gguf_builder *g, const char *key, const float *values, size_t n);
void builder_u8s(gguf_builder *g, const char *key, const unsigned char *values, size_t n);
void builder_i32s(gguf_builder *g, const char *key, const int32_t *values, size_t n);
void builder_i64s(gguf_builder *g, const char *key, const int64_t *values, size_t n);

/* Copy a value of another file. Arrays must be of numbers. */
void builder_copy(gguf_builder *g, const char *key, const cllm_value *value);

/* Append an entry of the table, and n_bytes of data, padded to the alignment. data NULL: zeros. */
void builder_tensor(gguf_builder *g, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *shape,
                    const void *data, size_t n_bytes);

/* The whole file: header, metadata, tensor table, padding, data. Release with free(). */
unsigned char *builder_finish(const gguf_builder *g, size_t *n_bytes);

/* Write the file into a new temporary folder, and release the builder. Returns its path. */
const char *builder_write(gguf_builder *g, const char *name);

/* Write bytes to a file in a new temporary folder, which is removed when the program ends. Returns its path. */
const char *write_temporary(const char *name, const void *bytes, size_t n_bytes);

#endif
