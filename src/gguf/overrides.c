/* cllm_load_options.overrides: the caller's values replace those of the file, or are added to them.
 *
 * Before this, metadata.c has read the file's values. After it, every look-up gets the caller's value, converted to the
 * type that the file has. The keys that say where the tensors' data are cannot be replaced. */
#include "gguf/metadata.h"

#include "base/checked.h"
#include "base/error.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

/* ------------------------------------------------------------------------------------------------ values */

/* The kind of a type, for messages about overrides; NULL: it cannot be overridden. */
static const char *kind_of(cllm_value_type type) {
    switch (type) {
    case CLLM_UINT8:
    case CLLM_INT8:
    case CLLM_UINT16:
    case CLLM_INT16:
    case CLLM_UINT32:
    case CLLM_INT32:
    case CLLM_UINT64:
    case CLLM_INT64: return "int";
    case CLLM_FLOAT32:
    case CLLM_FLOAT64: return "float";
    case CLLM_BOOL: return "bool";
    case CLLM_STRING: return "str";
    case CLLM_ARRAY: break;
    }
    return NULL;
}

static const struct {
    int64_t least;
    uint64_t most;
} integer_ranges[] = {
    [CLLM_UINT8] = {0, UINT8_MAX},   [CLLM_INT8] = {INT8_MIN, INT8_MAX},    [CLLM_UINT16] = {0, UINT16_MAX},
    [CLLM_UINT32] = {0, UINT32_MAX}, [CLLM_INT16] = {INT16_MIN, INT16_MAX}, [CLLM_INT32] = {INT32_MIN, INT32_MAX},
    [CLLM_UINT64] = {0, UINT64_MAX}, [CLLM_INT64] = {INT64_MIN, INT64_MAX},
};

static cllm_status check_integer(const char *key, const cllm_value *value, cllm_value_type type, cllm_error *err) {
    const int64_t least = integer_ranges[type].least;
    const uint64_t most = integer_ranges[type].most;
    const bool negative = integer_ranges[value->type].least < 0 && value->i < 0;
    if (negative ? value->i >= least : value->u <= most) return CLLM_OK;
    return gguf_fault(err, CLLM_ERR_ARGUMENT, key, CLLM_NO_OFFSET,
                      "%s%" PRIu64 " does not fit %s, which is from %" PRId64 " to %" PRIu64, negative ? "-" : "",
                      negative ? 0 - value->u : value->u, cllm_value_type_name(type), least, most);
}

/* Convert a value to another type of its kind. A string is copied. */
static cllm_status convert(const char *key, const cllm_value *value, cllm_value_type type, arena *memory,
                           cllm_value *out, cllm_error *err) {
    const char *kind = kind_of(value->type), *wanted = kind_of(type);
    if (!kind)
        return gguf_fault(err, CLLM_ERR_ARGUMENT, key, CLLM_NO_OFFSET,
                          "a value of type %s cannot be given, only an int, float, bool or str",
                          cllm_value_type_name(value->type));
    if (!wanted)
        return gguf_fault(err, CLLM_ERR_ARGUMENT, key, CLLM_NO_OFFSET,
                          "the file has an %s here, which cannot be replaced", cllm_value_type_name(type));
    if (strcmp(kind, wanted) != 0)
        return gguf_fault(err, CLLM_ERR_ARGUMENT, key, CLLM_NO_OFFSET,
                          "a value of type %s cannot replace the file's %s; use type %s", kind,
                          cllm_value_type_name(type), wanted);
    *out = *value;
    out->type = type;
    if (type == CLLM_STRING) {
        out->string.data = arena_string(memory, value->string.data, value->string.length);
        return out->string.data ? CLLM_OK : error_set(err, CLLM_ERR_MEMORY, "%s: no memory for its value", key);
    }
    if (type == CLLM_BOOL) return CLLM_OK;
    if (type != CLLM_FLOAT32 && type != CLLM_FLOAT64) return check_integer(key, value, type, err);
    if (!(fabs(value->f) <= (type == CLLM_FLOAT32 ? (double)FLT_MAX : DBL_MAX)))
        return gguf_fault(err, CLLM_ERR_ARGUMENT, key, CLLM_NO_OFFSET, "%g is not finite, or does not fit %s", value->f,
                          cllm_value_type_name(type));
    if (type == CLLM_FLOAT32) out->f = (double)(float)value->f;
    return CLLM_OK;
}

/* -------------------------------------------------------------------------------------------------- keys */

/* Copy the key `given`, with the architecture's name in front if it begins with a dot. key: out. */
static cllm_status complete_key(const metadata *m, const char *given, arena *memory, const char **key,
                                cllm_error *err) {
    cllm_string prefix = {"", 0};
    if (*given == '.') {
        const cllm_value *architecture = metadata_find(m, "general.architecture", NULL);
        if (!architecture || architecture->type != CLLM_STRING)
            return gguf_fault(err, CLLM_ERR_ARGUMENT, given, CLLM_NO_OFFSET,
                              "the file has no general.architecture, which a key that begins with a dot needs");
        prefix = architecture->string;
    }
    const size_t length = strlen(given);
    uint64_t whole;
    if (length == 0 || !checked_add(prefix.length, length, &whole) || whole > METADATA_KEY_LIMIT)
        return gguf_fault(err, CLLM_ERR_ARGUMENT, given, CLLM_NO_OFFSET, "a key must have 1 to %d bytes",
                          METADATA_KEY_LIMIT);
    char *copy = arena_alloc(memory, whole + 1, 1);
    if (!copy) return error_set(err, CLLM_ERR_MEMORY, "%s: no memory for the key", given);
    memcpy(copy, prefix.data, prefix.length);
    memcpy(copy + prefix.length, given, length);
    for (size_t i = 0; i < whole; i++)
        if (gguf_is_control(copy[i]))
            return gguf_fault(err, CLLM_ERR_ARGUMENT, given, CLLM_NO_OFFSET, "a key must not have control characters");
    *key = copy;
    if (strcmp(copy, "general.alignment") != 0 && strncmp(copy, "split.", strlen("split.")) != 0) return CLLM_OK;
    return gguf_fault(err, CLLM_ERR_ARGUMENT, copy, CLLM_NO_OFFSET,
                      "it says where the file's tensors are, so it cannot be replaced");
}

/* Replace or add one value. m: has room for one more entry. */
static cllm_status override_one(metadata *m, const cllm_metadata *given, arena *memory, cllm_error *err) {
    const char *key = NULL;
    cllm_status status = complete_key(m, given->key, memory, &key, err);
    if (status != CLLM_OK) return status;
    const name_entry *found = name_index_find(&m->keys, key);
    if (found && found->offset == CLLM_NO_OFFSET)
        return gguf_fault(err, CLLM_ERR_ARGUMENT, key, CLLM_NO_OFFSET, "the key is given twice");

    const size_t index = found ? found->index : m->keys.count;
    cllm_value value;
    status = convert(key, &given->value, found ? m->pairs[index].value.type : given->value.type, memory, &value, err);
    if (status != CLLM_OK) return status;
    m->pairs[index] = (cllm_metadata){.key = key, .value = value};
    m->keys.entries[found ? (size_t)(found - m->keys.entries) : index] =
        (name_entry){.name = key, .index = index, .offset = CLLM_NO_OFFSET};
    if (!found) {
        m->keys.count++;
        name_index_sort(&m->keys);
    }
    return CLLM_OK;
}

cllm_status metadata_override(metadata *m, const cllm_metadata *overrides, size_t n, arena *memory, cllm_error *err) {
    if (n == 0) return CLLM_OK;
    const size_t count = m->keys.count;
    uint64_t most;
    metadata wider = {0};
    if (checked_add(count, n, &most)) {
        wider.pairs = arena_alloc(memory, most, sizeof *wider.pairs);
        wider.keys.entries = arena_alloc(memory, most, sizeof *wider.keys.entries);
    }
    if (!wider.pairs || !wider.keys.entries) return error_set(err, CLLM_ERR_MEMORY, "no memory for %zu overrides", n);
    for (size_t i = 0; i < count; i++) {
        wider.pairs[i] = m->pairs[i];
        wider.keys.entries[i] = m->keys.entries[i];
    }
    wider.keys.count = count;
    *m = wider;

    /* Complete keys come first. One of them may be general.architecture, which completes the keys that begin with a
     * dot. */
    for (int dotted = 0; dotted < 2; dotted++)
        for (size_t i = 0; i < n; i++) {
            if ((overrides[i].key[0] == '.') != dotted) continue;
            cllm_status status = override_one(m, &overrides[i], memory, err);
            if (status != CLLM_OK) return status;
        }
    return CLLM_OK;
}
