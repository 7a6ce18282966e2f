/* Implements json.h: a reader by recursive descent, and a writer. */
#include "base/json.h"

#include "base/error.h"
#include "base/utf8.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <xlocale.h> /* newlocale */
#endif

/* ------------------------------------------------------------------------------------------------------ numbers */

/* A locale with "." as decimal point. The process's locale, which strtod and printf use, may have a different one. */
static locale_t plain_locale(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

double json_parse_float(const char *digits, size_t length) {
    char few[JSON_FEW_BYTES + 1], *text = length < sizeof few ? few : malloc(length + 1);
    if (!text) return NAN;
    memcpy(text, digits, length);
    text[length] = 0;
    const locale_t plain = plain_locale(), before = uselocale(plain);
    const double number = strtod(text, NULL);
    uselocale(before);
    freelocale(plain);
    if (text != few) free(text);
    return number;
}

/* Make the next larger number of n digits. */
static void add_one(char *digits, int n, int *exponent) {
    int at = n - 1;
    for (; at >= 0 && digits[at] == '9'; at--) digits[at] = '0';
    if (at >= 0) {
        digits[at]++;
        return;
    }
    digits[0] = '1';
    ++*exponent;
}

/* True if these digits, read as a number, give `number`. */
static bool stand_for(const char *digits, int n, int exponent, double number) {
    char text[40];
    snprintf(text, sizeof text, "%.*se%d", n, digits, exponent - n + 1);
    return strtod(text, NULL) == number;
}

/* Find the shortest digits d1.d2d3... and the power of ten that give this number. Returns how many digits. */
static int shortest_digits(double number, char digits[20], int *exponent) {
    const locale_t plain = plain_locale(), before = uselocale(plain);
    int n = 1;
    for (bool found = false;; n++) {
        char text[40];
        snprintf(text, sizeof text, "%.*e", n - 1, number);
        digits[0] = text[0];
        memcpy(digits + 1, text + 2, (size_t)n - 1);
        *exponent = atoi(strchr(text, 'e') + 1);
        found = n == 17 || stand_for(digits, n, *exponent, number);
        if (!found) {
            /* floats above a power of two are further apart than below it: a larger decimal may give the number */
            add_one(digits, n, exponent);
            found = stand_for(digits, n, *exponent, number);
        }
        if (found) break;
    }
    uselocale(before);
    freelocale(plain);
    return n;
}

size_t json_format_float(double number, char text[JSON_NUMBER_BYTES]) {
    if (isnan(number)) return (size_t)snprintf(text, JSON_NUMBER_BYTES, "NaN");
    if (isinf(number)) return (size_t)snprintf(text, JSON_NUMBER_BYTES, "%sInfinity", number < 0 ? "-" : "");
    char digits[20];
    int exponent = 0;
    const int n = shortest_digits(fabs(number), digits, &exponent);
    const char *sign = signbit(number) ? "-" : "";
    if (exponent < -4 || exponent >= 16)
        return (size_t)snprintf(text, JSON_NUMBER_BYTES, "%s%c%s%.*se%c%02d", sign, digits[0], n > 1 ? "." : "", n - 1,
                                digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
    if (exponent < 0)
        return (size_t)snprintf(text, JSON_NUMBER_BYTES, "%s0.%.*s%.*s", sign, -exponent - 1, "000", n, digits);
    const int whole = exponent + 1 < n ? exponent + 1 : n;
    return (size_t)snprintf(text, JSON_NUMBER_BYTES, "%s%.*s%.*s.%.*s", sign, whole, digits, exponent + 1 - whole,
                            "000000000000000", n > whole ? n - whole : 1, n > whole ? digits + whole : "0");
}

/* ------------------------------------------------------------------------------------------------------ reading */

typedef struct reader {
    const char *text, *at, *end;
    arena *arena;
    char *strings; /* where the next decoded string goes; all strings together are never longer than the text */
    struct {
        json_member *items; /* [capacity] items of the open arrays and objects; items of arrays have no name */
        size_t count, capacity;
    } open;
    uint32_t depth;
    cllm_error *err;
    cllm_status status;
} reader;

static bool fail(reader *r, cllm_status status, const char *what) {
    uint64_t line = 1, column = 1;
    for (const char *p = r->text; p < r->at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else {
            column += ((unsigned char)*p & 0xC0) != 0x80;
        }
    }
    r->status = error_set_at(r->err, status, "", (uint64_t)(r->at - r->text), "JSON, line %llu, column %llu: %s",
                             (unsigned long long)line, (unsigned long long)column, what);
    return false;
}

static bool no_memory(reader *r) { return fail(r, CLLM_ERR_MEMORY, "no memory"); }

static void skip_space(reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static bool take(reader *r, char c) {
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool take_word(reader *r, const char *word) {
    const size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return false;
    r->at += n;
    return true;
}

static bool read_hex(reader *r, uint32_t *unit) {
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        const char c = r->at < r->end ? *r->at : 0;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return fail(r, CLLM_ERR_FORMAT, "\\u needs four hexadecimal digits");
        *unit = *unit * 16 + (uint32_t)digit;
        r->at++;
    }
    return true;
}

/* Read the digits after "\u", and the second half of a surrogate pair. */
static bool read_unicode(reader *r, char **to) {
    uint32_t c, low;
    if (!read_hex(r, &c)) return false;
    if (c >= 0xD800 && c < 0xE000) {
        if (c >= 0xDC00 || !take_word(r, "\\u"))
            return fail(r, CLLM_ERR_FORMAT, "half of a surrogate pair is not a character");
        if (!read_hex(r, &low)) return false;
        if (low < 0xDC00 || low >= 0xE000)
            return fail(r, CLLM_ERR_FORMAT, "half of a surrogate pair is not a character");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    *to += utf8_encode(c, *to);
    return true;
}

static bool read_escape(reader *r, char **to) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (take(r, 'u')) return read_unicode(r, to);
    const char *name = r->at < r->end && *r->at ? strchr(names, *r->at) : NULL;
    if (!name) return fail(r, CLLM_ERR_FORMAT, "unknown escape");
    r->at++;
    *(*to)++ = values[name - names];
    return true;
}

/* Read the rest of a string, after its first quote. */
static bool read_string(reader *r, cllm_string *out) {
    char *to = r->strings;
    out->data = to;
    while (!take(r, '"')) {
        if (r->at == r->end) return fail(r, CLLM_ERR_FORMAT, "a string has no end");
        if ((unsigned char)*r->at < 0x20)
            return fail(r, CLLM_ERR_FORMAT, "control characters in a string must be escaped");
        if (take(r, '\\')) {
            if (!read_escape(r, &to)) return false;
            continue;
        }
        const size_t n = utf8_length(r->at, (size_t)(r->end - r->at));
        if (n == 0) return fail(r, CLLM_ERR_FORMAT, "this is not UTF-8");
        memcpy(to, r->at, n);
        to += n;
        r->at += n;
    }
    out->length = (size_t)(to - r->strings);
    r->strings = to;
    return true;
}

static size_t skip_digits(reader *r) {
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return (size_t)(r->at - from);
}

static bool read_number(reader *r, json_value *out) {
    const char *from = r->at;
    const bool negative = take(r, '-'), zero = r->at < r->end && *r->at == '0';
    const size_t n = skip_digits(r);
    if (n == 0) return fail(r, CLLM_ERR_FORMAT, "a value was expected");
    if (zero && n > 1) return fail(r, CLLM_ERR_FORMAT, "a number must not begin with 0");
    bool whole = true;
    if (take(r, '.')) {
        whole = false;
        if (skip_digits(r) == 0) return fail(r, CLLM_ERR_FORMAT, "digits were expected after the point");
    }
    if (take(r, 'e') || take(r, 'E')) {
        whole = false;
        if (!take(r, '-')) take(r, '+');
        if (skip_digits(r) == 0) return fail(r, CLLM_ERR_FORMAT, "digits were expected in the exponent");
    }
    const size_t length = (size_t)(r->at - from);
    if (!whole) {
        *out = (json_value){.kind = JSON_FLOAT, .number = json_parse_float(from, length)};
        return !isnan(out->number) || no_memory(r);
    }
    if (n > JSON_MOST_DIGITS) return fail(r, CLLM_ERR_FORMAT, "an integer has more than 4300 digits");
    const bool minus = negative && !zero;
    memcpy(r->strings, minus ? from : r->at - n, n + minus);
    *out = (json_value){.kind = JSON_INTEGER, .string = {r->strings, n + minus}};
    r->strings += n + minus;
    return true;
}

static bool push(reader *r, json_member item) {
    if (r->open.count == r->open.capacity) {
        const size_t capacity = r->open.capacity ? 2 * r->open.capacity : 64;
        json_member *larger = realloc(r->open.items, capacity * sizeof *larger);
        if (!larger) return no_memory(r);
        r->open.items = larger;
        r->open.capacity = capacity;
    }
    r->open.items[r->open.count++] = item;
    return true;
}

static int compare_names(const void *left, const void *right) {
    const json_member *a = *(json_member *const *)left, *b = *(json_member *const *)right;
    const size_t n = a->name.length < b->name.length ? a->name.length : b->name.length;
    const int order = n > 0 ? memcmp(a->name.data, b->name.data, n) : 0;
    if (order != 0) return order;
    if (a->name.length != b->name.length) return a->name.length < b->name.length ? -1 : 1;
    return a < b ? -1 : a > b;
}

static bool same_name(const json_member *a, const json_member *b) {
    return a->name.length == b->name.length && memcmp(a->name.data, b->name.data, a->name.length) == 0;
}

/* Keep one member for each name, with the last value. Members to be removed are marked by a name without data. */
static bool merge_doubles(reader *r, json_member *members, size_t *count) {
    if (*count < 2) return true;
    json_member **sorted = malloc(*count * sizeof *sorted);
    if (!sorted) return no_memory(r);
    for (size_t i = 0; i < *count; i++) sorted[i] = &members[i];
    qsort(sorted, *count, sizeof *sorted, compare_names);
    for (size_t i = 1, first = 0; i < *count; i++) {
        if (!same_name(sorted[first], sorted[i])) {
            first = i;
            continue;
        }
        sorted[first]->value = sorted[i]->value;
        sorted[i]->name.data = NULL;
    }
    free(sorted);
    size_t n = 0;
    for (size_t i = 0; i < *count; i++)
        if (members[i].name.data) members[n++] = members[i];
    *count = n;
    return true;
}

/* Close an array or object whose items begin at index `first`. */
static bool finish(reader *r, size_t first, bool is_object, json_value *out) {
    size_t n = r->open.count - first;
    json_member *from = n > 0 ? r->open.items + first : NULL;
    r->open.count = first;
    if (is_object && !merge_doubles(r, from, &n)) return false;
    if (n > UINT32_MAX) return no_memory(r);
    *out = (json_value){.kind = is_object ? JSON_OBJECT : JSON_ARRAY, .count = (uint32_t)n};
    if (is_object) {
        json_member *members = arena_alloc(r->arena, n, sizeof *members);
        if (!members) return no_memory(r);
        if (n > 0) memcpy(members, from, n * sizeof *members);
        out->members = members;
    } else {
        json_value *items = arena_alloc(r->arena, n, sizeof *items);
        if (!items) return no_memory(r);
        for (size_t i = 0; i < n; i++) items[i] = from[i].value;
        out->items = items;
    }
    return true;
}

static bool read_value(reader *r, json_value *out);

/* Read the rest of an array or object, after its opening bracket. */
static bool read_items(reader *r, bool is_object, json_value *out) {
    const size_t first = r->open.count;
    const char closing = is_object ? '}' : ']';
    if (++r->depth > JSON_MOST_DEPTH)
        return fail(r, CLLM_ERR_UNSUPPORTED, "arrays and objects are nested more than 500 deep");
    skip_space(r);
    for (bool closed = take(r, closing); !closed;) {
        json_member item = {.name = {"", 0}};
        skip_space(r);
        if (is_object) {
            if (!take(r, '"')) return fail(r, CLLM_ERR_FORMAT, "a name in quotes was expected");
            if (!read_string(r, &item.name)) return false;
            skip_space(r);
            if (!take(r, ':')) return fail(r, CLLM_ERR_FORMAT, "':' was expected");
            skip_space(r);
        }
        if (!read_value(r, &item.value) || !push(r, item)) return false;
        skip_space(r);
        closed = take(r, closing);
        if (!closed && !take(r, ','))
            return fail(r, CLLM_ERR_FORMAT, is_object ? "',' or '}' was expected" : "',' or ']' was expected");
    }
    r->depth--;
    return finish(r, first, is_object, out);
}

static bool read_value(reader *r, json_value *out) {
    if (take(r, '{')) return read_items(r, true, out);
    if (take(r, '[')) return read_items(r, false, out);
    if (take(r, '"')) {
        *out = (json_value){.kind = JSON_STRING};
        return read_string(r, &out->string);
    }
    if (take_word(r, "null")) {
        *out = (json_value){.kind = JSON_NULL};
        return true;
    }
    const bool yes = take_word(r, "true");
    if (yes || take_word(r, "false")) {
        *out = (json_value){.kind = JSON_BOOL, .boolean = yes};
        return true;
    }
    return read_number(r, out);
}

cllm_status json_read(const char *text, size_t length, arena *a, json_value *out, cllm_error *err) {
    if (length == 0) text = ""; /* text may be NULL */
    reader r = {.text = text, .at = text, .end = text + length, .arena = a, .err = err};
    *out = (json_value){.kind = JSON_NULL};
    r.strings = arena_alloc(a, length, 1);
    if (!r.strings) {
        no_memory(&r);
        return r.status;
    }
    skip_space(&r);
    if (read_value(&r, out)) {
        skip_space(&r);
        if (r.at < r.end) fail(&r, CLLM_ERR_FORMAT, "more comes after the value");
    }
    free(r.open.items);
    return r.status;
}

const json_value *json_find(const json_value *object, const char *name) {
    const size_t n = strlen(name);
    for (uint32_t i = 0; object->kind == JSON_OBJECT && i < object->count; i++)
        if (object->members[i].name.length == n && memcmp(object->members[i].name.data, name, n) == 0)
            return &object->members[i].value;
    return NULL;
}

const char *json_kind_name(json_kind kind) {
    static const char *const names[] = {"null",     "a boolean", "an integer", "a float",
                                        "a string", "an array",  "an object"};
    return names[kind];
}

/* ------------------------------------------------------------------------------------------------------ writing */

static void put(const json_writer *w, const char *text) { w->put(w->user, text, strlen(text)); }

static void new_line(const json_writer *w) {
    if (!w->style.indent) return;
    put(w, "\n");
    for (uint32_t i = 0; i < w->depth; i++) put(w, w->style.indent);
}

void json_begin(json_writer *w, char bracket) {
    w->put(w->user, &bracket, 1);
    w->depth++;
    w->filled = false;
}

void json_end(json_writer *w, char bracket) {
    w->depth--;
    if (w->filled) new_line(w);
    w->put(w->user, &bracket, 1);
    w->filled = true; /* for the array or object around it */
}

void json_next(json_writer *w) {
    const char *separator = w->style.item_separator;
    if (w->filled) put(w, separator ? separator : w->style.indent ? "," : ", ");
    new_line(w);
    w->filled = true;
}

void json_after_name(json_writer *w) { put(w, w->style.name_separator ? w->style.name_separator : ": "); }

static void put_unit(const json_writer *w, uint32_t unit) {
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", unit);
    put(w, text);
}

static void put_unicode(const json_writer *w, uint32_t c) {
    if (c < 0x10000) {
        put_unit(w, c);
        return;
    }
    put_unit(w, 0xD800 + ((c - 0x10000) >> 10));
    put_unit(w, 0xDC00 + ((c - 0x10000) & 0x3FF));
}

void json_put_escaped(const json_writer *w, const char *bytes, size_t length) {
    static const char names[] = "\"\\bfnrt", values[] = "\"\\\b\f\n\r\t";
    size_t plain = 0; /* bytes before `i` that need no escape */
    for (size_t i = 0, n; i < length; i += n) {
        const unsigned char c = (unsigned char)bytes[i];
        n = c < 0x80 ? 1 : utf8_length(bytes + i, length - i);
        if (n == 0) n = 1;
        if (c >= 0x20 && c != '"' && c != '\\' && (!w->style.ascii || c < 0x7F)) {
            plain += n;
            continue;
        }
        w->put(w->user, bytes + i - plain, plain);
        plain = 0;
        const char *value = c ? strchr(values, c) : NULL;
        if (value) {
            put(w, "\\");
            w->put(w->user, &names[value - values], 1);
        } else {
            put_unicode(w, utf8_decode(bytes + i, n));
        }
    }
    w->put(w->user, bytes + length - plain, plain);
}

static void put_string(const json_writer *w, cllm_string s) {
    put(w, "\"");
    json_put_escaped(w, s.data, s.length);
    put(w, "\"");
}

void json_write(json_writer *w, const json_value *value) {
    char text[JSON_NUMBER_BYTES];
    switch (value->kind) {
    case JSON_NULL: put(w, "null"); break;
    case JSON_BOOL: put(w, value->boolean ? "true" : "false"); break;
    case JSON_INTEGER: w->put(w->user, value->string.data, value->string.length); break;
    case JSON_FLOAT: w->put(w->user, text, json_format_float(value->number, text)); break;
    case JSON_STRING: put_string(w, value->string); break;
    case JSON_ARRAY:
        json_begin(w, '[');
        for (uint32_t i = 0; i < value->count; i++) {
            json_next(w);
            json_write(w, &value->items[i]);
        }
        json_end(w, ']');
        break;
    case JSON_OBJECT:
        json_begin(w, '{');
        for (uint32_t i = 0; i < value->count; i++) {
            json_next(w);
            put_string(w, value->members[i].name);
            json_after_name(w);
            json_write(w, &value->members[i].value);
        }
        json_end(w, '}');
        break;
    }
}
