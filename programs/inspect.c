/* Shows what is in a GGUF file, for people and for scripts. The file is validated and mapped; its weights are not
 * read. */
#include "commands.h"
#include "json_output.h"
#include "program.h"
#include "text_stream.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_ELEMENTS = 6, /* of an array */
    SHOWN_BYTES = 72,   /* of a string, for people */
};

/* The sum over all tensors of one type. */
typedef struct type_total {
    int32_t type;
    size_t n_tensors;
    uint64_t n_bytes;
} type_total;

typedef struct totals {
    type_total types[64]; /* the reader knows fewer types */
    size_t n_types;
    uint64_t n_parameters, n_bytes;
} totals;

static uint64_t n_elements(const cllm_tensor *t) { return t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3]; }

static totals add_up(const cllm_gguf *gguf) {
    totals sum = {0};
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        size_t at = 0;
        while (at < sum.n_types && sum.types[at].type != t->type) at++;
        if (at == sum.n_types) sum.types[sum.n_types++].type = t->type;
        sum.types[at].n_tensors++;
        sum.types[at].n_bytes += t->n_bytes;
        sum.n_parameters += n_elements(t);
        sum.n_bytes += t->n_bytes;
    }
    return sum;
}

/* The shortest decimal number that reads back as the same value. */
typedef struct number_text {
    char text[32];
} number_text;

static number_text format_number(double value, bool is_float) {
    number_text number;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(number.text, sizeof number.text, "%.*g", digits, value);
        double read = is_float ? (double)strtof(number.text, NULL) : strtod(number.text, NULL);
        if (read == value) break;
    }
    return number;
}

/* -------------------------------------------------------------------------------- keys that nothing reads */

enum { MODEL_KEYS, TOKENIZER_KEYS, N_READERS };

/* Why a reader could not read all its keys, or "" if it could. */
typedef struct key_use {
    cllm_error problems[N_READERS];
} key_use;

static const char *const reader_names[N_READERS] = {"model", "tokenizer"};

static bool begins_with(const char *key, const char *prefix) { return strncmp(key, prefix, strlen(prefix)) == 0; }

/* Let the model and the tokenizer read their keys, as far as that works. */
static key_use read_keys(cllm_gguf *gguf) {
    key_use use = {0};
    cllm_gguf_read_model_keys(gguf, &use.problems[MODEL_KEYS]);
    cllm_gguf_read_tokenizer_keys(gguf, &use.problems[TOKENIZER_KEYS]);
    return use;
}

/* True if the key says how the model or its tokenizer works, and neither uses it. Keys that describe the file or its
 * history never count as unused, nor do the keys of a reader that failed. */
static bool is_unused(const cllm_gguf *gguf, size_t index, const key_use *use) {
    static const char *const descriptions[] = {"general.", "split.", "quantize."};
    const char *key = cllm_gguf_metadata(gguf, index)->key;
    for (size_t i = 0; i < sizeof descriptions / sizeof *descriptions; i++)
        if (begins_with(key, descriptions[i])) return false;
    if (read_by_chat(key)) return false;
    const int reader = begins_with(key, "tokenizer.") ? TOKENIZER_KEYS : MODEL_KEYS;
    return use->problems[reader].status == CLLM_OK && !cllm_gguf_is_read(gguf, index);
}

/* True if a reader failed, so that it is unknown which keys it uses. False if the file has no keys for it, as a file
 * without a tokenizer has none for the tokenizer's reader. */
static bool is_untold(const cllm_gguf *gguf, const key_use *use, int reader) {
    if (use->problems[reader].status == CLLM_OK) return false;
    if (reader == MODEL_KEYS) return true;
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++)
        if (begins_with(cllm_gguf_metadata(gguf, i)->key, "tokenizer.")) return true;
    return false;
}

/* ------------------------------------------------------------------------------------------- for people */

static void print_value(const cllm_value *value) {
    switch (value->type) {
    case CLLM_UINT8:
    case CLLM_UINT16:
    case CLLM_UINT32:
    case CLLM_UINT64: printf("%" PRIu64, value->u); break;
    case CLLM_INT8:
    case CLLM_INT16:
    case CLLM_INT32:
    case CLLM_INT64: printf("%" PRId64, value->i); break;
    case CLLM_FLOAT32:
    case CLLM_FLOAT64: fputs(format_number(value->f, value->type == CLLM_FLOAT32).text, stdout); break;
    case CLLM_BOOL: fputs(value->b ? "true" : "false", stdout); break;
    case CLLM_STRING:
        putchar('"');
        print_escaped(stdout, value->string.data, value->string.length, SHOWN_BYTES);
        putchar('"');
        break;
    case CLLM_ARRAY: {
        cllm_array rest = value->array;
        cllm_value element;
        printf("%s[%" PRIu64 "]: ", cllm_value_type_name(rest.element_type), rest.count);
        for (int i = 0; i < SHOWN_ELEMENTS && cllm_array_next(&rest, &element); i++) {
            if (i) fputs(", ", stdout);
            print_value(&element);
        }
        if (rest.count > 0) fputs(", ...", stdout);
        break;
    }
    }
}

static void print_metadata(const cllm_gguf *gguf, const key_use *use) {
    size_t n = cllm_gguf_n_metadata(gguf);
    printf("\nmetadata: %zu\n", n);
    for (size_t i = 0; i < n; i++) {
        const cllm_metadata *m = cllm_gguf_metadata(gguf, i);
        fputs("  ", stdout);
        print_escaped(stdout, m->key, strlen(m->key), SIZE_MAX);
        printf("%*s %-8s ", strlen(m->key) < 40 ? (int)(40 - strlen(m->key)) : 0, "",
               cllm_value_type_name(m->value.type));
        print_value(&m->value);
        const bool overridden = cllm_gguf_is_overridden(gguf, i), unused = is_unused(gguf, i, use);
        puts(overridden && unused ? "  (overridden, not used)"
             : overridden         ? "  (overridden)"
             : unused             ? "  (not used)"
                                  : "");
    }
    for (int reader = 0; reader < N_READERS; reader++)
        if (is_untold(gguf, use, reader))
            printf("note: cannot find out which of the %s's keys are used: %s\n", reader_names[reader],
                   use->problems[reader].message);
}

static void print_tensors(const cllm_gguf *gguf) {
    printf("\n%-10s %16s %14s  %-28s name\n", "type", "offset", "bytes", "shape");
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        char shape[96];
        int length = snprintf(shape, sizeof shape, "[%" PRIu64, t->shape[0]);
        for (uint32_t d = 1; d < t->n_dims; d++)
            length += snprintf(shape + length, sizeof shape - (size_t)length, ", %" PRIu64, t->shape[d]);
        snprintf(shape + length, sizeof shape - (size_t)length, "]");
        printf("%-10s %16" PRIu64 " %14" PRIu64 "  %-28s ", cllm_tensor_type_name(t->type), t->offset, t->n_bytes,
               shape);
        print_escaped(stdout, t->name, strlen(t->name), SIZE_MAX);
        if (cllm_gguf_n_files(gguf) > 1) printf(" (file %" PRIu32 ")", t->file + 1);
        putchar('\n');
    }
}

static void print_description(const options *o, const cllm_gguf *gguf, const totals *sum, const key_use *use) {
    uint32_t n_files = cllm_gguf_n_files(gguf);
    print_escaped(stdout, o->model, strlen(o->model), SIZE_MAX);
    printf(": GGUF version %" PRIu32 ", %" PRIu32 " file%s, %s, alignment %" PRIu32 "\n", cllm_gguf_version(gguf),
           n_files, n_files == 1 ? "" : "s", format_bytes(cllm_gguf_n_bytes(gguf)).text, cllm_gguf_alignment(gguf));
    printf("%zu tensors, %" PRIu64 " parameters\n", cllm_gguf_n_tensors(gguf), sum->n_parameters);
    print_metadata(gguf, use);
    if (o->show_tensors) print_tensors(gguf);
    if (sum->n_types) printf("\n%-10s %8s %14s\n", "type", "tensors", "bytes");
    for (size_t i = 0; i < sum->n_types; i++) {
        const type_total *t = &sum->types[i];
        printf("%-10s %8zu %14" PRIu64 " (%.1f%%)\n", cllm_tensor_type_name(t->type), t->n_tensors, t->n_bytes,
               100.0 * (double)t->n_bytes / (double)sum->n_bytes);
    }
}

/* --------------------------------------------------------------------------------------------- as JSON */

static json_t *json_whole(uint64_t value) {
    if (value <= INT64_MAX) return json_integer((json_int_t)value);
    return json_sprintf("%" PRIu64, value); /* jansson's integers are smaller */
}

static json_t *json_value(const cllm_value *value) {
    switch (value->type) {
    case CLLM_UINT8:
    case CLLM_UINT16:
    case CLLM_UINT32:
    case CLLM_UINT64: return json_whole(value->u);
    case CLLM_INT8:
    case CLLM_INT16:
    case CLLM_INT32:
    case CLLM_INT64: return json_integer(value->i);
    case CLLM_FLOAT32:
    case CLLM_FLOAT64: {
        number_text number = format_number(value->f, value->type == CLLM_FLOAT32);
        return isfinite(value->f) ? json_real(strtod(number.text, NULL)) : json_string(number.text);
    }
    case CLLM_BOOL: return json_boolean(value->b);
    case CLLM_STRING: return json_text(value->string.data, value->string.length);
    case CLLM_ARRAY: {
        cllm_array rest = value->array;
        cllm_value element;
        json_t *first = json_array();
        for (int i = 0; i < SHOWN_ELEMENTS && cllm_array_next(&rest, &element); i++)
            json_add(&first, json_value(&element));
        json_t *array = json_object();
        json_put(&array, "array_of", json_string(cllm_value_type_name(value->array.element_type)));
        json_put(&array, "count", json_whole(value->array.count));
        json_put(&array, "first", first);
        return array;
    }
    }
    return NULL;
}

static json_t *json_metadata(const cllm_gguf *gguf) {
    json_t *metadata = json_object();
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        const cllm_metadata *m = cllm_gguf_metadata(gguf, i);
        json_t *key = json_text(m->key, strlen(m->key));
        json_put(&metadata, json_string_value(key), json_value(&m->value));
        json_decref(key);
    }
    return metadata;
}

/* The keys that are overridden; if `use` is given, those that nothing uses. */
static json_t *json_keys(const cllm_gguf *gguf, const key_use *use) {
    json_t *keys = json_array();
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        const char *key = cllm_gguf_metadata(gguf, i)->key;
        if (use ? is_unused(gguf, i, use) : cllm_gguf_is_overridden(gguf, i))
            json_add(&keys, json_text(key, strlen(key)));
    }
    return keys;
}

static json_t *json_untold(const cllm_gguf *gguf, const key_use *use) {
    json_t *reasons = json_array();
    for (int reader = 0; reader < N_READERS; reader++) {
        if (!is_untold(gguf, use, reader)) continue;
        const char *message = use->problems[reader].message;
        json_t *text = json_text(message, strlen(message));
        json_add(&reasons, json_sprintf("the %s's keys: %s", reader_names[reader], json_string_value(text)));
        json_decref(text);
    }
    return reasons;
}

static json_t *json_tensor(const cllm_tensor *t) {
    json_t *shape = json_array(), *tensor = json_object();
    for (uint32_t d = 0; d < t->n_dims; d++) json_add(&shape, json_whole(t->shape[d]));
    json_put(&tensor, "name", json_text(t->name, strlen(t->name)));
    json_put(&tensor, "type", json_string(cllm_tensor_type_name(t->type)));
    json_put(&tensor, "shape", shape);
    json_put(&tensor, "file", json_integer(t->file));
    json_put(&tensor, "offset", json_whole(t->offset));
    json_put(&tensor, "bytes", json_whole(t->n_bytes));
    return tensor;
}

/* problem: NULL, or why there is no plan or it does not fit. */
static json_t *json_memory(const cllm_memory_plan *plan, const char *problem) {
    json_t *memory = json_object();
    if (plan->n_ctx) {
        json_put(&memory, "ctx", json_integer(plan->n_ctx));
        json_put(&memory, "weights", json_whole(plan->weights));
        json_put(&memory, "kv_cache", json_whole(plan->kv_cache));
        json_put(&memory, "states", json_whole(plan->states));
        json_put(&memory, "scratch", json_whole(plan->scratch));
        json_put(&memory, "available", json_whole(plan->available));
        json_put(&memory, "ctx_capped", json_boolean(plan->n_ctx_capped));
    }
    if (problem) json_put(&memory, "problem", json_text(problem, strlen(problem)));
    return memory;
}

static json_t *json_description(const options *o, const cllm_gguf *gguf, const totals *sum, const key_use *use) {
    json_t *document = json_object(), *types = json_array(), *tensors = json_array();
    json_put(&document, "file", json_text(o->model, strlen(o->model)));
    json_put(&document, "version", json_integer(cllm_gguf_version(gguf)));
    json_put(&document, "alignment", json_integer(cllm_gguf_alignment(gguf)));
    json_put(&document, "files", json_integer(cllm_gguf_n_files(gguf)));
    json_put(&document, "bytes", json_whole(cllm_gguf_n_bytes(gguf)));
    json_put(&document, "n_tensors", json_whole(cllm_gguf_n_tensors(gguf)));
    json_put(&document, "parameters", json_whole(sum->n_parameters));
    json_put(&document, "metadata", json_metadata(gguf));
    json_put(&document, "overridden", json_keys(gguf, NULL));
    json_put(&document, "not_used", json_keys(gguf, use));
    json_put(&document, "not_judged", json_untold(gguf, use));
    for (size_t i = 0; i < sum->n_types; i++) {
        json_t *type = json_object();
        json_put(&type, "type", json_string(cllm_tensor_type_name(sum->types[i].type)));
        json_put(&type, "tensors", json_integer((json_int_t)sum->types[i].n_tensors));
        json_put(&type, "bytes", json_whole(sum->types[i].n_bytes));
        json_add(&types, type);
    }
    json_put(&document, "types", types);
    for (size_t i = 0; o->show_tensors && i < cllm_gguf_n_tensors(gguf); i++)
        json_add(&tensors, json_tensor(cllm_gguf_tensor(gguf, i)));
    if (o->show_tensors)
        json_put(&document, "tensors", tensors);
    else
        json_decref(tensors);
    return document;
}

int inspect(const options *o) {
    cllm_gguf *gguf = NULL;
    int status = open_gguf(o, o->model, &gguf);
    if (status != EXIT_SUCCESS) return status;
    totals sum = add_up(gguf);
    const key_use use = read_keys(gguf);
    cllm_memory_plan plan = {0};
    const cllm_engine_options engine = {.n_ctx = (uint32_t)o->ctx};
    cllm_error err;
    const char *problem = cllm_plan_memory(gguf, &engine, &plan, &err) == CLLM_OK ? NULL : err.message;
    if (o->json) {
        json_t *document = json_description(o, gguf, &sum, &use);
        json_put(&document, "memory", json_memory(&plan, problem));
        status = print_json(document);
    } else {
        print_description(o, gguf, &sum, &use);
        fputs("\nmemory: ", stdout);
        if (plan.n_ctx) print_plan(stdout, &plan);
        if (problem) printf("%s%s", plan.n_ctx ? "\nnote: " : "unknown: ", problem);
        putchar('\n');
    }
    close_gguf(gguf);
    return status;
}
