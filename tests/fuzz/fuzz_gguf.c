/* Any bytes as a GGUF file: a file that opens is read to its last byte, and its metadata are overridden. Run by
 * `make fuzz`. `build/tests/test_gguf tests/fuzz/corpus/gguf` writes the seed corpus, and
 * `build/tests/test_gguf_foreign tests/fuzz/corpus/gguf` its foreign files. */
#include "gguf/gguf.h"
#include "gguf/metadata.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static volatile unsigned char sink;

static void require(bool holds) {
    if (!holds) abort();
}

static void read_ends(const void *bytes, size_t n_bytes) {
    if (n_bytes == 0) return;
    sink = *(const unsigned char *)bytes;
    sink = ((const unsigned char *)bytes)[n_bytes - 1];
}

static void walk_value(const cllm_value *value) {
    if (value->type == CLLM_STRING) read_ends(value->string.data, value->string.length);
    if (value->type != CLLM_ARRAY) return;
    cllm_array rest = value->array;
    cllm_value element;
    uint64_t n_elements = 0;
    for (; cllm_array_next(&rest, &element); n_elements++) {
        require(element.type == value->array.element_type);
        walk_value(&element);
    }
    require(n_elements == value->array.count);
}

static void walk_typed(const cllm_gguf *gguf, const char *key) {
    uint32_t u;
    float f;
    bool b;
    cllm_string string;
    cllm_array array;
    cllm_error err;
    gguf_get_u32(gguf, key, GGUF_REQUIRED, &u, &err);
    gguf_get_f32(gguf, key, GGUF_REQUIRED, &f, &err);
    gguf_get_bool(gguf, key, GGUF_REQUIRED, &b, &err);
    gguf_get_string(gguf, key, GGUF_REQUIRED, &string, &err);
    gguf_get_array(gguf, key, GGUF_REQUIRED, CLLM_STRING, &array, &err);
}

/* Overrides the metadata of a file that opens: a key that is given in full, and one that begins with a dot, which the
 * file's architecture completes, whatever that is. */
static void override(const uint8_t *bytes, size_t n_bytes) {
    const cllm_value values[] = {{.type = CLLM_UINT64, .u = 200},
                                 {.type = CLLM_INT64, .i = -3},
                                 {.type = CLLM_FLOAT64, .f = 1e39},
                                 {.type = CLLM_BOOL, .b = true},
                                 {.type = CLLM_STRING, .string = {"text", 4}}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        reader in = {.bytes = bytes, .size = n_bytes, .position = 16};
        const uint64_t count = reader_u64(&in);
        arena memory = {0};
        metadata m;
        cllm_error err;
        require(metadata_read(&in, count, &memory, &m, &err) == CLLM_OK);
        const char *own = count ? m.pairs[count / 2].key : "own";
        const cllm_metadata overrides[] = {{own, values[i]}, {".completed", values[i]}};
        const cllm_status status = metadata_override(&m, overrides, 2, &memory, &err);
        require(status == CLLM_OK || (status == CLLM_ERR_ARGUMENT && err.message[0]));
        for (size_t k = 0; k < m.keys.count; k++) {
            require(metadata_find(&m, m.pairs[k].key, NULL) == &m.pairs[k].value);
            walk_value(&m.pairs[k].value);
        }
        const name_entry *entry;
        const cllm_value *value = metadata_find(&m, own, &entry);
        if (status == CLLM_OK && own[0] != '.') require(value && entry->offset == CLLM_NO_OFFSET);
        arena_free(&memory);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    cllm_gguf *gguf;
    cllm_error err;
    if (gguf_open_memory(bytes, n_bytes, &gguf, &err) != CLLM_OK) {
        require(gguf == NULL && err.status != CLLM_OK && err.message[0]);
        require(err.offset == CLLM_NO_OFFSET || err.offset <= n_bytes);
        for (const char *c = err.message; *c; c += cllm_safe_length(c, strlen(c)))
            require(cllm_safe_length(c, strlen(c)) > 0); /* its message cannot control a terminal */
        return 0;
    }
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        const cllm_metadata *pair = cllm_gguf_metadata(gguf, i);
        require(cllm_gguf_find(gguf, pair->key) == &pair->value);
        walk_value(&pair->value);
        walk_typed(gguf, pair->key);
    }
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(gguf, i);
        require(cllm_gguf_find_tensor(gguf, tensor->name) == tensor);
        require(tensor->n_bytes > 0 && tensor->offset % cllm_gguf_alignment(gguf) == 0);
        read_ends(tensor->data, (size_t)tensor->n_bytes);
    }
    cllm_gguf_close(gguf);
    override(bytes, n_bytes);
    return 0;
}
