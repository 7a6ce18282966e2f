/* Implements failure.h. */
#include "server/failure.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool refuse(failure *f, int status, const char *field, const char *format, ...) {
    va_list arguments;
    *f = (failure){.status = status};
    snprintf(f->field, sizeof f->field, "%s", field ? field : "");
    va_start(arguments, format);
    vsnprintf(f->message, sizeof f->message, format, arguments);
    va_end(arguments);
    return false;
}

bool refuse_memory(failure *f) { return refuse(f, 500, NULL, "the server is out of memory"); }

bool refuse_length(failure *f, size_t n_prompt, size_t n_ctx, bool may_grow) {
    refuse(f, 400, NULL,
           "the request has %zu tokens, which exceeds the available context size of %zu tokens; send less text%s",
           n_prompt, n_ctx, may_grow ? ", or start the server with a larger --ctx" : "");
    f->code = "context_length_exceeded";
    f->n_prompt = n_prompt;
    f->n_ctx = n_ctx;
    return false;
}

const json_t *field_find(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static bool refuse_type(failure *f, const char *name, const char *wanted) {
    return refuse(f, 400, name, "%s: must be %s", name, wanted);
}

bool field_string(const json_t *object, const char *name, const char **value, failure *f) {
    const json_t *v = field_find(object, name);
    if (v && !json_is_string(v)) return refuse_type(f, name, "a string");
    if (v && strlen(json_string_value(v)) != json_string_length(v))
        return refuse_type(f, name, "a text without U+0000");
    if (v) *value = json_string_value(v);
    return true;
}

bool field_bool(const json_t *object, const char *name, bool *value, failure *f) {
    const json_t *v = field_find(object, name);
    if (v && !json_is_boolean(v)) return refuse_type(f, name, "true or false");
    if (v) *value = json_is_true(v);
    return true;
}

bool field_float(const json_t *object, const char *name, double least, double most, float *value, failure *f) {
    const json_t *v = field_find(object, name);
    if (!v) return true;
    if (!json_is_number(v)) return refuse_type(f, name, "a number");
    const double number = json_number_value(v);
    if (!(number >= least && number <= most))
        return refuse(f, 400, name, "%s: %g is not from %g to %g", name, number, least, most);
    *value = (float)number;
    return true;
}

bool field_whole(const json_t *object, const char *name, int64_t least, int64_t most, int64_t *value, failure *f) {
    const json_t *v = field_find(object, name);
    if (!v) return true;
    /* JavaScript clients may write 5.0 for a whole number */
    const bool whole = json_is_integer(v) || (json_is_real(v) && json_real_value(v) == rint(json_real_value(v)) &&
                                              fabs(json_real_value(v)) < 9e15);
    if (!whole) return refuse_type(f, name, "a whole number");
    const int64_t number = json_is_integer(v) ? json_integer_value(v) : (int64_t)json_real_value(v);
    if (number < least || number > most)
        return refuse(f, 400, name, "%s: %lld is not from %lld to %lld", name, (long long)number, (long long)least,
                      (long long)most);
    *value = number;
    return true;
}

bool field_array(const json_t *object, const char *name, const json_t **value, failure *f) {
    const json_t *v = field_find(object, name);
    if (v && !json_is_array(v)) return refuse_type(f, name, "an array");
    if (v) *value = v;
    return true;
}

bool field_object(const json_t *object, const char *name, const json_t **value, failure *f) {
    const json_t *v = field_find(object, name);
    if (v && !json_is_object(v)) return refuse_type(f, name, "an object");
    if (v) *value = v;
    return true;
}
