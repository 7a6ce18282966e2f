/* Implements metadata.h. The same code reads values twice: when the file is opened, to check it, and later, when
 * somebody walks an array. */
#include "gguf/metadata.h"

#include "base/checked.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_LIMIT 4 /* of arrays in arrays */

cllm_status gguf_fault(cllm_error *err, cllm_status status, const char *name, uint64_t offset, const char *format,
                       ...) {
    char message[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *colon = *name ? ": " : "";
    if (offset == CLLM_NO_OFFSET)
        return error_set_at(err, status, name, offset, "%.100s%s%s (in an override)", name, colon, message);
    return error_set_at(err, status, name, offset, "%.100s%s%s (offset %" PRIu64 ")", name, colon, message, offset);
}

/* ----------------------------------------------------------------------------------------------- names */

static int compare_entries(const void *a, const void *b) {
    const name_entry *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

static int compare_to_entry(const void *name, const void *entry) {
    return strcmp(name, ((const name_entry *)entry)->name);
}

const name_entry *name_index_sort(name_index *index) {
    if (index->count) qsort(index->entries, index->count, sizeof *index->entries, compare_entries);
    for (size_t i = 1; i < index->count; i++)
        if (strcmp(index->entries[i - 1].name, index->entries[i].name) == 0) return &index->entries[i];
    return NULL;
}

const name_entry *name_index_find(const name_index *index, const char *name) {
    return index->count ? bsearch(name, index->entries, index->count, sizeof *index->entries, compare_to_entry) : NULL;
}

cllm_status gguf_read_name(reader *in, const char *what, uint64_t number, uint64_t limit, arena *memory,
                           const char **name, cllm_error *err) {
    uint64_t start = in->position;
    uint64_t length = reader_u64(in);
    if (!in->failed && (length == 0 || length > limit))
        return gguf_fault(err, CLLM_ERR_FORMAT, "", start,
                          "%s number %" PRIu64 " has a name of length %" PRIu64 ", must be 1 to %" PRIu64, what, number,
                          length, limit);
    const char *bytes = (const char *)reader_take(in, length);
    if (!bytes)
        return gguf_fault(err, CLLM_ERR_FORMAT, "", in->position, "the file ends within the name of %s number %" PRIu64,
                          what, number);
    for (uint64_t i = 0; i < length; i++)
        if (gguf_is_control(bytes[i]))
            return gguf_fault(err, CLLM_ERR_FORMAT, "", start,
                              "%s number %" PRIu64 " has a control character in its name", what, number);
    *name = arena_string(memory, bytes, (size_t)length);
    return *name ? CLLM_OK : error_set(err, CLLM_ERR_MEMORY, "no memory for the names in the file");
}

/* ---------------------------------------------------------------------------------------------- values */

static const struct {
    const char *name;
    unsigned bytes; /* of a value; for a string (its length) or an array (element type, count) the minimum */
} value_types[] = {
    [CLLM_UINT8] = {"uint8", 1},     [CLLM_INT8] = {"int8", 1},     [CLLM_UINT16] = {"uint16", 2},
    [CLLM_INT16] = {"int16", 2},     [CLLM_UINT32] = {"uint32", 4}, [CLLM_INT32] = {"int32", 4},
    [CLLM_FLOAT32] = {"float32", 4}, [CLLM_BOOL] = {"bool", 1},     [CLLM_STRING] = {"string", 8},
    [CLLM_ARRAY] = {"array", 12},    [CLLM_UINT64] = {"uint64", 8}, [CLLM_INT64] = {"int64", 8},
    [CLLM_FLOAT64] = {"float64", 8},
};

static bool type_is_known(uint32_t type) { return type < sizeof value_types / sizeof value_types[0]; }

const char *cllm_value_type_name(cllm_value_type type) {
    return type_is_known((uint32_t)type) ? value_types[type].name : "unknown";
}

bool gguf_value_as_u64(const cllm_value *value, uint64_t *out) {
    switch (value->type) {
    case CLLM_UINT8:
    case CLLM_UINT16:
    case CLLM_UINT32:
    case CLLM_UINT64: *out = value->u; return true;
    case CLLM_INT8:
    case CLLM_INT16:
    case CLLM_INT32:
    case CLLM_INT64: *out = (uint64_t)value->i; return value->i >= 0;
    default: return false;
    }
}

static cllm_status read_value(reader *in, cllm_value_type type, unsigned depth, const char *key, cllm_value *out,
                              cllm_error *err);

static cllm_status read_type(reader *in, const char *key, cllm_value_type *type, cllm_error *err) {
    uint64_t start = in->position;
    uint32_t number = reader_u32(in);
    if (in->failed) return gguf_fault(err, CLLM_ERR_FORMAT, key, start, "the file ends before the value's type");
    if (!type_is_known(number))
        return gguf_fault(err, CLLM_ERR_FORMAT, key, start, "unknown value type %" PRIu32, number);
    *type = (cllm_value_type)number;
    return CLLM_OK;
}

/* Only elements that may be invalid are walked: those with a length may go past the end, and a bool may be neither 0
 * nor 1. */
static cllm_status read_array(reader *in, unsigned depth, const char *key, cllm_array *out, cllm_error *err) {
    uint64_t start = in->position;
    cllm_value_type type = CLLM_UINT8;
    cllm_status status = read_type(in, key, &type, err);
    if (status != CLLM_OK) return status;
    if (depth > DEPTH_LIMIT)
        return gguf_fault(err, CLLM_ERR_UNSUPPORTED, key, start, "arrays nested deeper than %d", DEPTH_LIMIT);
    uint64_t count = reader_u64(in);
    if (in->failed) return gguf_fault(err, CLLM_ERR_FORMAT, key, in->position, "the file ends within an array's count");

    uint64_t n_bytes;
    if (!checked_mul(count, value_types[type].bytes, &n_bytes) || n_bytes > reader_left(in))
        return gguf_fault(err, CLLM_ERR_FORMAT, key, start,
                          "an array of %" PRIu64 " %s values cannot fit in the %" PRIu64 " bytes left in the file",
                          count, value_types[type].name, reader_left(in));
    *out = (cllm_array){
        .element_type = type, .count = count, .bytes = in->bytes + in->position, .end = in->bytes + in->size};
    if (type != CLLM_STRING && type != CLLM_ARRAY && type != CLLM_BOOL) {
        reader_take(in, n_bytes);
        return CLLM_OK;
    }
    for (uint64_t i = 0; i < count; i++) {
        cllm_value element;
        status = read_value(in, type, depth + 1, key, &element, err);
        if (status != CLLM_OK) return status;
    }
    return CLLM_OK;
}

static cllm_status read_string(reader *in, const char *key, cllm_string *out, cllm_error *err) {
    uint64_t start = in->position;
    uint64_t length = reader_u64(in);
    if (in->failed) return gguf_fault(err, CLLM_ERR_FORMAT, key, start, "the file ends within a string's length");
    const unsigned char *bytes = reader_take(in, length);
    if (!bytes)
        return gguf_fault(err, CLLM_ERR_FORMAT, key, start,
                          "a string of length %" PRIu64 " cannot fit in the %" PRIu64 " bytes left in the file", length,
                          reader_left(in));
    *out = (cllm_string){.data = (const char *)bytes, .length = (size_t)length};
    return CLLM_OK;
}

/* Read a value of this type. depth: 1 + the number of arrays around it that are being read. */
static cllm_status read_value(reader *in, cllm_value_type type, unsigned depth, const char *key, cllm_value *out,
                              cllm_error *err) {
    uint64_t start = in->position;
    out->type = type;
    switch (type) {
    case CLLM_UINT8:
    case CLLM_UINT16:
    case CLLM_UINT32:
    case CLLM_UINT64: out->u = reader_unsigned(in, value_types[type].bytes); break;
    case CLLM_INT8: out->i = (int8_t)reader_u8(in); break;
    case CLLM_INT16: out->i = (int16_t)reader_u16(in); break;
    case CLLM_INT32: out->i = (int32_t)reader_u32(in); break;
    case CLLM_INT64: out->i = (int64_t)reader_u64(in); break;
    case CLLM_FLOAT32: out->f = reader_f32(in); break;
    case CLLM_FLOAT64: out->f = reader_f64(in); break;
    case CLLM_BOOL: {
        uint8_t byte = reader_u8(in);
        if (byte > 1) return gguf_fault(err, CLLM_ERR_FORMAT, key, start, "a bool has the value %u, not 0 or 1", byte);
        out->b = byte;
        break;
    }
    case CLLM_STRING: return read_string(in, key, &out->string, err);
    case CLLM_ARRAY: return read_array(in, depth, key, &out->array, err);
    }
    if (in->failed)
        return gguf_fault(err, CLLM_ERR_FORMAT, key, start, "the file ends within a value of type %s",
                          value_types[type].name);
    return CLLM_OK;
}

bool cllm_array_next(cllm_array *rest, cllm_value *element) {
    if (rest->count == 0) return false;
    /* The array was valid when the file was opened, but a mapped file may have been rewritten since. */
    reader in = {.bytes = rest->bytes, .size = (uint64_t)(rest->end - rest->bytes)};
    if (read_value(&in, rest->element_type, 1, "", element, NULL) != CLLM_OK) return false;
    rest->bytes += in.position;
    rest->count--;
    return true;
}

/* ----------------------------------------------------------------------------------------------- pairs */

cllm_status metadata_read(reader *in, uint64_t count, arena *memory, metadata *out, cllm_error *err) {
    *out = (metadata){0};
    out->pairs = arena_alloc(memory, count, sizeof *out->pairs);
    out->keys.entries = arena_alloc(memory, count, sizeof *out->keys.entries);
    if (!out->pairs || !out->keys.entries)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for %" PRIu64 " metadata keys", count);
    for (size_t i = 0; i < count; i++) {
        cllm_metadata *pair = &out->pairs[i];
        uint64_t start = in->position;
        cllm_status status = gguf_read_name(in, "key", i, METADATA_KEY_LIMIT, memory, &pair->key, err);
        if (status == CLLM_OK) status = read_type(in, pair->key, &pair->value.type, err);
        if (status == CLLM_OK) status = read_value(in, pair->value.type, 1, pair->key, &pair->value, err);
        if (status != CLLM_OK) return status;
        out->keys.entries[i] = (name_entry){.name = pair->key, .index = i, .offset = start};
    }
    out->keys.count = (size_t)count;
    const name_entry *duplicate = name_index_sort(&out->keys);
    if (duplicate)
        return gguf_fault(err, CLLM_ERR_FORMAT, duplicate->name, duplicate->offset, "the file has this key twice");
    return CLLM_OK;
}

const cllm_value *metadata_find(const metadata *m, const char *key, const name_entry **entry) {
    const name_entry *found = name_index_find(&m->keys, key);
    if (entry) *entry = found;
    return found ? &m->pairs[found->index].value : NULL;
}
