/* Implements write.h. */
#include "server/write.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A double keeps a decimal number of this many significant digits, so that 0.1 stays 0.1. */
enum { MOST_DIGITS = 15 };

void write_text(text_buffer *out, const char *format, ...) {
    char text[1024], *longer = NULL;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int n = vsnprintf(text, sizeof text, format, arguments);
    if (n >= (int)sizeof text && (longer = malloc((size_t)n + 1)) != NULL)
        vsnprintf(longer, (size_t)n + 1, format, again);
    if (n > 0 && (longer || n < (int)sizeof text)) text_buffer_add(out, longer ? longer : text, (size_t)n);
    free(longer);
    va_end(again);
    va_end(arguments);
}

static int add(const char *bytes, size_t length, void *out) { return text_buffer_add(out, bytes, length) ? 0 : -1; }

void write_json(text_buffer *out, json_t *value) {
    if (value) json_dump_callback(value, add, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(MOST_DIGITS));
    json_decref(value);
}

void write_event(text_buffer *out, const char *name, json_t *value) {
    if (name) write_text(out, "event: %s\n", name);
    text_buffer_add(out, "data: ", 6);
    write_json(out, value);
    text_buffer_add(out, "\n\n", 2);
}

json_t *json_float(float value) {
    char digits[32];
    int n = 6;
    do snprintf(digits, sizeof digits, "%.*g", n, (double)value);
    while (n++ < MOST_DIGITS && strtof(digits, NULL) != value);
    return isfinite(value) ? json_real(strtod(digits, NULL)) : json_null();
}

json_t *json_number(double value) {
    char digits[32];
    if (!isfinite(value)) return json_null();
    snprintf(digits, sizeof digits, "%.9g", value);
    return json_real(strtod(digits, NULL));
}

json_t *json_vector(const float *values, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_add(&list, json_number((double)values[i]));
    return list;
}

char *json_spelled(const json_t *value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(MOST_DIGITS));
    json_t *again = text ? json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    if (text && !json_equal(again, value)) { /* a number has more digits */
        free(text);
        text = json_dumps(value, JSON_ENCODE_ANY);
    }
    json_decref(again);
    return text;
}
