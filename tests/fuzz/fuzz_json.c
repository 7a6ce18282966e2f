/* Any text as JSON: a value that is read, written and read again must be the same. Run by `make fuzz`. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

typedef struct text {
    char *bytes;
    size_t length, capacity;
} text;

static void require(bool holds) {
    if (!holds) abort();
}

static void put(void *user, const char *bytes, size_t length) {
    text *t = user;
    if (t->length + length > t->capacity) {
        t->capacity = 2 * (t->length + length);
        t->bytes = realloc(t->bytes, t->capacity);
        require(t->bytes);
    }
    if (length > 0) memcpy(t->bytes + t->length, bytes, length);
    t->length += length;
}

static text write(const json_value *v, json_style style) {
    text t = {0};
    json_writer w = {.style = style, .put = put, .user = &t};
    json_write(&w, v);
    return t;
}

static bool has_infinity(const json_value *v) {
    bool has = v->kind == JSON_FLOAT && (v->number - v->number != 0);
    for (uint32_t i = 0; i < v->count && !has; i++)
        has = has_infinity(v->kind == JSON_ARRAY ? &v->items[i] : &v->members[i].value);
    return has;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static const json_style styles[] = {
        {0}, {.indent = " "}, {.ascii = true}, {.item_separator = ",", .name_separator = ":"}};
    arena a = {0};
    json_value v, again;
    if (json_read((const char *)bytes, n_bytes, &a, &v, NULL) == CLLM_OK && !has_infinity(&v)) {
        const text plain = write(&v, styles[0]);
        for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
            const text styled = write(&v, styles[i]);
            require(json_read(styled.bytes, styled.length, &a, &again, NULL) == CLLM_OK);
            const text back = write(&again, styles[0]);
            require(back.length == plain.length && memcmp(back.bytes, plain.bytes, plain.length) == 0);
            free(styled.bytes);
            free(back.bytes);
        }
        free(plain.bytes);
    }
    arena_free(&a);
    return 0;
}
