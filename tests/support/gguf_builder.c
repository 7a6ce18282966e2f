/* Implements gguf_builder.h. */
#include "support/gguf_builder.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* These numbers are from the specification, not from cllm.h: a test that writes and reads with the same table would
 * miss its faults. */
enum {
    TYPE_UINT8 = 0,
    TYPE_UINT32 = 4,
    TYPE_INT32 = 5,
    TYPE_FLOAT32 = 6,
    TYPE_BOOL = 7,
    TYPE_STRING = 8,
    TYPE_ARRAY = 9,
    TYPE_INT64 = 11
};

/* ------------------------------------------------------------------------------------------- byte buffer */

void buffer_put(byte_buffer *b, const void *bytes, size_t n) {
    if (b->size + n > b->capacity) {
        b->capacity = 2 * (b->size + n);
        b->bytes = realloc(b->bytes, b->capacity);
        if (!b->bytes) abort();
    }
    if (n) memcpy(b->bytes + b->size, bytes, n);
    b->size += n;
}

static void put_little_endian(byte_buffer *b, uint64_t value, unsigned n_bytes) {
    for (unsigned i = 0; i < n_bytes; i++) {
        unsigned char byte = (unsigned char)(value >> (8 * i));
        buffer_put(b, &byte, 1);
    }
}

static void put_f32(byte_buffer *b, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    buffer_put_u32(b, bits);
}

static void put_zeros(byte_buffer *b, size_t n) {
    static const unsigned char zeros[4096];
    for (; n > sizeof zeros; n -= sizeof zeros) buffer_put(b, zeros, sizeof zeros);
    buffer_put(b, zeros, n);
}

static void pad(byte_buffer *b, uint64_t alignment) {
    if (alignment) put_zeros(b, (size_t)((alignment - b->size % alignment) % alignment));
}

void buffer_put_u32(byte_buffer *b, uint32_t value) { put_little_endian(b, value, 4); }
void buffer_put_u64(byte_buffer *b, uint64_t value) { put_little_endian(b, value, 8); }

void buffer_put_string(byte_buffer *b, const char *text) {
    buffer_put_u64(b, strlen(text));
    buffer_put(b, text, strlen(text));
}

void buffer_free(byte_buffer *b) {
    free(b->bytes);
    *b = (byte_buffer){0};
}

/* ---------------------------------------------------------------------------------------------- builder */

void builder_init(gguf_builder *g) { *g = (gguf_builder){.version = 3, .alignment = 32}; }

void builder_free(gguf_builder *g) {
    buffer_free(&g->metadata);
    buffer_free(&g->tensors);
    buffer_free(&g->data);
}

static void begin(gguf_builder *g, const char *key, uint32_t type) {
    buffer_put_string(&g->metadata, key);
    buffer_put_u32(&g->metadata, type);
    g->n_metadata++;
}

static void begin_array(gguf_builder *g, const char *key, uint32_t element_type, size_t n) {
    begin(g, key, TYPE_ARRAY);
    buffer_put_u32(&g->metadata, element_type);
    buffer_put_u64(&g->metadata, n);
}

void builder_u32(gguf_builder *g, const char *key, uint32_t value) {
    begin(g, key, TYPE_UINT32);
    buffer_put_u32(&g->metadata, value);
}

void builder_f32(gguf_builder *g, const char *key, float value) {
    begin(g, key, TYPE_FLOAT32);
    put_f32(&g->metadata, value);
}

void builder_bool(gguf_builder *g, const char *key, int value) {
    begin(g, key, TYPE_BOOL);
    put_little_endian(&g->metadata, (uint64_t)value, 1);
}

void builder_string(gguf_builder *g, const char *key, const char *value) {
    begin(g, key, TYPE_STRING);
    buffer_put_string(&g->metadata, value);
}

void builder_strings(gguf_builder *g, const char *key, const char *const *values, size_t n) {
    begin_array(g, key, TYPE_STRING, n);
    for (size_t i = 0; i < n; i++) buffer_put_string(&g->metadata, values[i]);
}

void builder_f32s(gguf_builder *g, const char *key, const float *values, size_t n) {
    begin_array(g, key, TYPE_FLOAT32, n);
    for (size_t i = 0; i < n; i++) put_f32(&g->metadata, values[i]);
}

void builder_u8s(gguf_builder *g, const char *key, const unsigned char *values, size_t n) {
    begin_array(g, key, TYPE_UINT8, n);
    buffer_put(&g->metadata, values, n);
}

void builder_i32s(gguf_builder *g, const char *key, const int32_t *values, size_t n) {
    begin_array(g, key, TYPE_INT32, n);
    for (size_t i = 0; i < n; i++) buffer_put_u32(&g->metadata, (uint32_t)values[i]);
}

void builder_i64s(gguf_builder *g, const char *key, const int64_t *values, size_t n) {
    begin_array(g, key, TYPE_INT64, n);
    for (size_t i = 0; i < n; i++) buffer_put_u64(&g->metadata, (uint64_t)values[i]);
}

/* The enum's numbers are the format's; the machine is little-endian, as files are. */
void builder_copy(gguf_builder *g, const char *key, const cllm_value *value) {
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}; /* by cllm_value_type; 0: of none */
    const float single = value->type == CLLM_FLOAT32 ? (float)value->f : 0;
    if (value->type == CLLM_ARRAY) {
        begin_array(g, key, (uint32_t)value->array.element_type, (size_t)value->array.count);
        buffer_put(&g->metadata, value->array.bytes, (size_t)value->array.count * sizes[value->array.element_type]);
        return;
    }
    begin(g, key, (uint32_t)value->type);
    if (value->type == CLLM_STRING) {
        buffer_put_u64(&g->metadata, value->string.length);
        buffer_put(&g->metadata, value->string.data, value->string.length);
    } else if (value->type == CLLM_FLOAT32) {
        buffer_put(&g->metadata, &single, sizeof single);
    } else {
        buffer_put(&g->metadata, &value->u, sizes[value->type]);
    }
}

void builder_tensor(gguf_builder *g, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *shape,
                    const void *data, size_t n_bytes) {
    buffer_put_string(&g->tensors, name);
    buffer_put_u32(&g->tensors, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) buffer_put_u64(&g->tensors, shape[i]);
    buffer_put_u32(&g->tensors, type);
    buffer_put_u64(&g->tensors, g->data.size);
    g->n_tensors++;
    if (data)
        buffer_put(&g->data, data, n_bytes);
    else
        put_zeros(&g->data, n_bytes);
    pad(&g->data, g->alignment);
}

unsigned char *builder_finish(const gguf_builder *g, size_t *n_bytes) {
    byte_buffer file = {0};
    buffer_put(&file, "GGUF", 4);
    buffer_put_u32(&file, g->version);
    buffer_put_u64(&file, g->n_tensors);
    buffer_put_u64(&file, g->n_metadata);
    buffer_put(&file, g->metadata.bytes, g->metadata.size);
    buffer_put(&file, g->tensors.bytes, g->tensors.size);
    if (g->data.size) pad(&file, g->alignment);
    buffer_put(&file, g->data.bytes, g->data.size);
    *n_bytes = file.size;
    return file.bytes;
}

/* ------------------------------------------------------------------------------------------ temporary files */

typedef struct temporary_file {
    struct temporary_file *next;
    char path[];
} temporary_file;

static char folder[1024];
static temporary_file *temporary_files;

static void remove_temporary(void) {
    while (temporary_files) {
        temporary_file *next = temporary_files->next;
        unlink(temporary_files->path);
        free(temporary_files);
        temporary_files = next;
    }
    rmdir(folder);
}

static const char *temporary_path(const char *name) {
    if (!folder[0]) {
        const char *parent = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/cllm-test-XXXXXX", parent && *parent ? parent : "/tmp");
        if (!mkdtemp(folder)) fail_msg("cannot make the folder %s", folder);
        atexit(remove_temporary);
    }
    size_t length = strlen(folder) + 1 + strlen(name) + 1;
    temporary_file *file = malloc(sizeof *file + length);
    assert_non_null(file);
    snprintf(file->path, length, "%s/%s", folder, name);
    for (temporary_file *old = temporary_files; old; old = old->next) {
        if (strcmp(old->path, file->path) != 0) continue;
        free(file);
        return old->path;
    }
    file->next = temporary_files;
    temporary_files = file;
    return file->path;
}

const char *write_temporary(const char *name, const void *bytes, size_t n_bytes) {
    const char *path = temporary_path(name);
    unlink(path); /* a test may still have the old file mapped */
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("cannot make %s", path);
    assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *builder_write(gguf_builder *g, const char *name) {
    size_t n_bytes;
    unsigned char *bytes = builder_finish(g, &n_bytes);
    const char *path = write_temporary(name, bytes, n_bytes);
    free(bytes);
    builder_free(g);
    return path;
}
