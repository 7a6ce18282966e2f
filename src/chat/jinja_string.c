/* The strings of a template: cutting them, building them, printing values as Python or JSON does, and values from JSON.
 * Each byte keeps its trust. The functions are described in jinja_value.h. */
#include "base/utf8.h"
#include "chat/jinja_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------- making them */

jinja_value jinja_text(jinja_run *r, const char *bytes, size_t length, bool trusted) {
    jinja_string *s = jinja_alloc(r, 1, sizeof *s);
    if (!s) return JINJA_VALUE_UNDEFINED;
    *s = (jinja_string){.bytes = bytes, .length = length, .trusted = trusted};
    return (jinja_value){.kind = JINJA_STRING, .string = s};
}

jinja_value jinja_trusted(jinja_run *r, const char *terminated) {
    return jinja_text(r, terminated, strlen(terminated), true);
}

jinja_value jinja_slice(jinja_run *r, const jinja_string *s, size_t from, size_t end) {
    jinja_string *part = jinja_alloc(r, 1, sizeof *part);
    if (!part) return JINJA_VALUE_UNDEFINED;
    *part = *s;
    part->bytes += from;
    part->length = end - from;
    if (s->trust) part->trust += from;
    return (jinja_value){.kind = JINJA_STRING, .string = part};
}

bool jinja_byte_trusted(const jinja_string *s, size_t at) { return s->trust ? s->trust[at] : s->trusted; }

bool jinja_spells(jinja_value v, const char *text) {
    const size_t n = strlen(text);
    return v.kind == JINJA_STRING && v.string->length == n && memcmp(v.string->bytes, text, n) == 0;
}

size_t jinja_characters(const jinja_string *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->length; i++) n += ((unsigned char)s->bytes[i] & 0xC0) != 0x80;
    return n;
}

enum { FEW_BYTES = 8 }; /* comparing fewer bytes costs no step: almost every comparison in a search ends before that */

bool jinja_is_at(jinja_run *r, const jinja_string *s, size_t at, const jinja_string *part) {
    size_t n = 0;
    if (jinja_failed(r) || s->length - at < part->length) return false;
    while (n < part->length && s->bytes[at + n] == part->bytes[n]) n++;
    return (n < FEW_BYTES || jinja_step(r, n / FEW_BYTES)) && n == part->length;
}

/* -------------------------------------------------------------------------------------------------- piece by piece */

static bool grow(jinja_builder *b, size_t n) {
    if (n <= b->capacity - b->length) return true;
    const size_t capacity = 2 * (b->length + n) + 64;
    char *bytes = jinja_alloc(b->run, capacity, 1);
    unsigned char *trust = jinja_alloc(b->run, capacity, 1);
    if (!bytes || !trust) return false;
    if (b->length > 0) memcpy(bytes, b->bytes, b->length);
    if (b->length > 0) memcpy(trust, b->trust, b->length);
    b->bytes = bytes;
    b->trust = trust;
    b->capacity = capacity;
    return true;
}

static void put_bytes(jinja_builder *b, const char *bytes, const unsigned char *trust, size_t length, bool trusted) {
    if (length == 0 || !grow(b, length)) return;
    memcpy(b->bytes + b->length, bytes, length);
    if (trust)
        memcpy(b->trust + b->length, trust, length);
    else
        memset(b->trust + b->length, trusted, length);
    b->has_trusted |= trust || trusted;
    b->has_untrusted |= trust || !trusted;
    b->length += length;
}

void jinja_put(jinja_builder *b, const char *bytes, size_t length, bool trusted) {
    put_bytes(b, bytes, NULL, length, trusted);
}

void jinja_put_text(jinja_builder *b, const char *trusted) { jinja_put(b, trusted, strlen(trusted), true); }

void jinja_put_slice(jinja_builder *b, const jinja_string *s, size_t from, size_t end) {
    put_bytes(b, s->bytes + from, s->trust ? s->trust + from : NULL, end - from, s->trusted);
}

void jinja_put_string(jinja_builder *b, const jinja_string *s) { jinja_put_slice(b, s, 0, s->length); }

jinja_value jinja_built(jinja_builder *b) {
    jinja_string *s = jinja_alloc(b->run, 1, sizeof *s);
    if (!s) return JINJA_VALUE_UNDEFINED;
    *s = (jinja_string){.bytes = b->length ? b->bytes : "",
                        .length = b->length,
                        .trust = b->has_trusted && b->has_untrusted ? b->trust : NULL,
                        .trusted = !b->has_untrusted,
                        .safe = b->safe};
    return (jinja_value){.kind = JINJA_STRING, .string = s};
}

jinja_value jinja_escape(jinja_run *r, jinja_value v) {
    const jinja_value text = jinja_string_of(r, v);
    if (text.kind != JINJA_STRING || text.string->safe) return text;
    jinja_builder b = {.run = r, .safe = true};
    const jinja_string *s = text.string;
    size_t plain = 0;
    for (size_t i = 0; i < s->length; i++) {
        const char *name = s->bytes[i] == '<'    ? "&lt;"
                           : s->bytes[i] == '>'  ? "&gt;"
                           : s->bytes[i] == '&'  ? "&amp;"
                           : s->bytes[i] == '"'  ? "&#34;"
                           : s->bytes[i] == '\'' ? "&#39;"
                                                 : NULL;
        if (!name) continue;
        jinja_put_slice(&b, s, plain, i);
        jinja_put_text(&b, name);
        plain = i + 1;
    }
    jinja_put_slice(&b, s, plain, s->length);
    return jinja_built(&b);
}

/* --------------------------------------------------------------------------------------------------------- printing */

static void put_number(jinja_builder *b, jinja_value v) {
    char text[JSON_NUMBER_BYTES];
    if (v.kind == JINJA_INTEGER)
        snprintf(text, sizeof text, "%lld", (long long)v.integer);
    else if (isinf(v.number) || isnan(v.number))
        snprintf(text, sizeof text, "%s", isnan(v.number) ? "nan" : v.number < 0 ? "-inf" : "inf");
    else
        json_format_float(v.number, text);
    jinja_put_text(b, text);
}

static void put_pairs(jinja_builder *b, const jinja_dict *d) {
    jinja_put_text(b, "{");
    for (size_t i = 0; i < d->count; i++) {
        if (i > 0) jinja_put_text(b, ", ");
        jinja_put_repr(b, d->pairs[i].key);
        jinja_put_text(b, ": ");
        jinja_put_repr(b, d->pairs[i].value);
    }
    jinja_put_text(b, "}");
}

static void put_items(jinja_builder *b, jinja_value v) {
    jinja_put_text(b, v.kind == JINJA_TUPLE ? "(" : "[");
    for (size_t i = 0; i < v.list->count; i++) {
        if (i > 0) jinja_put_text(b, ", ");
        jinja_put_repr(b, v.list->items[i]);
    }
    if (v.kind == JINJA_TUPLE && v.list->count == 1) jinja_put_text(b, ",");
    jinja_put_text(b, v.kind == JINJA_TUPLE ? ")" : "]");
}

static void put_range(jinja_builder *b, const jinja_list *list) {
    char text[96];
    const int64_t first = list->count > 0 ? list->items[0].integer : 0;
    const uint64_t stride = list->count > 1 ? (uint64_t)list->items[1].integer - (uint64_t)first : 1;
    const int64_t step = (int64_t)stride, end = (int64_t)((uint64_t)first + list->count * stride);
    if (step == 1)
        snprintf(text, sizeof text, "range(%lld, %lld)", (long long)first, (long long)end);
    else
        snprintf(text, sizeof text, "range(%lld, %lld, %lld)", (long long)first, (long long)end, (long long)step);
    jinja_put_text(b, text);
}

/* False for the characters that Python's repr() escapes: control characters, characters of no width, spaces other than
 * ' ', the private use area and the last two of each plane. Unlike in Python, unassigned characters are printable. */
static bool is_printable(uint32_t c) {
    if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD) return false;
    if ((c >= 0x2000 && c <= 0x200F) || (c >= 0x2028 && c <= 0x202F) || (c >= 0x205F && c <= 0x206F)) return false;
    return c != 0x1680 && c != 0x3000 && c != 0xFEFF && !(c >= 0xE000 && c <= 0xF8FF) && (c & 0xFFFE) != 0xFFFE &&
           c < 0xE0000;
}

static void put_quoted(jinja_builder *b, const jinja_string *s) {
    const bool has_single = memchr(s->bytes, '\'', s->length), has_double = memchr(s->bytes, '"', s->length);
    const char quote = has_single && !has_double ? '"' : '\'';
    jinja_put(b, &quote, 1, true);
    for (size_t i = 0, n; i < s->length; i += n) {
        n = utf8_length(s->bytes + i, s->length - i);
        if (n == 0) n = 1;
        const uint32_t c = utf8_decode(s->bytes + i, n);
        char text[12] = "";
        if (c == '\n' || c == '\t' || c == '\r')
            snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        else if (c == '\\' || c == (uint32_t)quote)
            snprintf(text, sizeof text, "\\%c", (int)c);
        else if (!is_printable(c))
            snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        if (text[0])
            jinja_put(b, text, strlen(text), jinja_byte_trusted(s, i));
        else
            jinja_put_slice(b, s, i, i + n);
    }
    jinja_put(b, &quote, 1, true);
}

static void put_object(jinja_builder *b, jinja_value v) {
    char text[64];
    snprintf(text, sizeof text, "<%s object>", jinja_type_name(v));
    jinja_put_text(b, text);
}

static void put_bare(jinja_builder *b, jinja_value v) {
    switch (v.kind) {
    case JINJA_NONE: jinja_put_text(b, "None"); break;
    case JINJA_BOOL: jinja_put_text(b, v.boolean ? "True" : "False"); break;
    case JINJA_INTEGER:
    case JINJA_FLOAT: put_number(b, v); break;
    case JINJA_BIG: jinja_put_string(b, v.string); break;
    case JINJA_LIST:
    case JINJA_TUPLE: put_items(b, v); break;
    case JINJA_RANGE: put_range(b, v.list); break;
    case JINJA_VIEW: {
        jinja_put_text(b, "dict_items(");
        put_items(b, v);
        jinja_put_text(b, ")");
        break;
    }
    case JINJA_DICT: put_pairs(b, v.dict); break;
    case JINJA_NAMESPACE:
        jinja_put_text(b, "<Namespace ");
        put_pairs(b, v.dict);
        jinja_put_text(b, ">");
        break;
    default: put_object(b, v);
    }
}

void jinja_put_value(jinja_builder *b, jinja_value v) {
    if (jinja_failed(b->run) || !jinja_step(b->run, 1)) return;
    if (v.kind == JINJA_STRING)
        jinja_put_string(b, v.string);
    else if (v.kind > JINJA_UNDEFINED)
        put_bare(b, v);
}

void jinja_put_repr(jinja_builder *b, jinja_value v) {
    jinja_run *r = b->run;
    if (jinja_failed(r) || !jinja_step(r, 1)) return;
    if (++r->depth > JINJA_MOST_DEPTH) {
        jinja_fail(r, CLLM_ERR_UNSUPPORTED, "a value is nested too deep to be printed");
        return;
    }
    if (v.kind == JINJA_STRING)
        put_quoted(b, v.string);
    else if (v.kind == JINJA_UNDEFINED)
        jinja_put_text(b, "Undefined");
    else
        put_bare(b, v);
    r->depth--;
}

jinja_value jinja_string_of(jinja_run *r, jinja_value v) {
    if (v.kind == JINJA_STRING) return v;
    jinja_builder b = {.run = r};
    jinja_put_value(&b, v);
    return jinja_built(&b);
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

typedef struct json_target {
    jinja_builder builder;
    json_writer writer;
    bool trusted; /* of what is written now */
    bool sort_keys;
} json_target;

static void put_json(void *user, const char *bytes, size_t length) {
    json_target *t = user;
    jinja_put(&t->builder, bytes, length, t->trusted);
}

static void json_string(json_target *t, const jinja_string *s) {
    put_json(t, "\"", 1);
    for (size_t from = 0, end; from < s->length; from = end) { /* a run of bytes of equal trust */
        t->trusted = jinja_byte_trusted(s, from);
        end = from + 1;
        if (!s->trust) end = s->length;
        while (end < s->length && s->trust[end] == s->trust[from]) end++;
        json_put_escaped(&t->writer, s->bytes + from, end - from);
    }
    t->trusted = true;
    put_json(t, "\"", 1);
}

static void json_of(json_target *t, jinja_value v);

static void json_key(json_target *t, jinja_value key) {
    if (key.kind == JINJA_STRING) {
        json_string(t, key.string);
        return;
    }
    if (key.kind == JINJA_TUPLE)
        jinja_fail(t->builder.run, CLLM_ERR_ARGUMENT, "keys must be str, int, float, bool or None, not tuple");
    put_json(t, "\"", 1);
    json_of(t, key);
    put_json(t, "\"", 1);
}

static int compare_pairs(jinja_run *r, const jinja_pair *a, const jinja_pair *b) {
    return jinja_compare(r, a->key, b->key, "<");
}

static void json_dict(json_target *t, const jinja_dict *d) {
    jinja_run *r = t->builder.run;
    jinja_pair *pairs = jinja_alloc(r, d->count, sizeof *pairs);
    if (!pairs) return;
    for (size_t i = 0; i < d->count; i++) {
        size_t at = i;
        for (; t->sort_keys && at > 0 && jinja_step(r, 1) && compare_pairs(r, &pairs[at - 1], &d->pairs[i]) > 0; at--)
            pairs[at] = pairs[at - 1];
        pairs[at] = d->pairs[i];
    }
    json_begin(&t->writer, '{');
    for (size_t i = 0; i < d->count; i++) {
        json_next(&t->writer);
        json_key(t, pairs[i].key);
        json_after_name(&t->writer);
        json_of(t, pairs[i].value);
    }
    json_end(&t->writer, '}');
}

static void json_list(json_target *t, const jinja_list *list) {
    json_begin(&t->writer, '[');
    for (size_t i = 0; i < list->count; i++) {
        json_next(&t->writer);
        json_of(t, list->items[i]);
    }
    json_end(&t->writer, ']');
}

static void json_of(json_target *t, jinja_value v) {
    jinja_run *r = t->builder.run;
    char text[JSON_NUMBER_BYTES];
    if (jinja_failed(r) || !jinja_step(r, 1)) return;
    if (++r->depth > JINJA_MOST_DEPTH) {
        jinja_fail(r, CLLM_ERR_UNSUPPORTED, "a value is nested too deep for JSON");
        return;
    }
    switch (v.kind) {
    case JINJA_NONE: put_json(t, "null", 4); break;
    case JINJA_BOOL: put_json(t, v.boolean ? "true" : "false", v.boolean ? 4 : 5); break;
    case JINJA_INTEGER:
    case JINJA_BIG: put_bare(&t->builder, v); break;
    case JINJA_FLOAT: put_json(t, text, json_format_float(v.number, text)); break;
    case JINJA_STRING: json_string(t, v.string); break;
    case JINJA_LIST:
    case JINJA_TUPLE: json_list(t, v.list); break;
    case JINJA_DICT: json_dict(t, v.dict); break;
    default: jinja_fail(r, CLLM_ERR_ARGUMENT, "Object of type %s is not JSON serializable", jinja_type_name(v));
    }
    r->depth--;
}

jinja_value jinja_to_json(jinja_run *r, jinja_value v, const json_style *style, bool sort_keys) {
    json_target t = {
        .builder = {.run = r}, .writer = {.style = *style, .put = put_json}, .trusted = true, .sort_keys = sort_keys};
    t.writer.user = &t;
    json_of(&t, v);
    return jinja_built(&t.builder);
}

jinja_value jinja_from_json(jinja_run *r, const json_value *json, bool trusted) {
    jinja_value v = JINJA_VALUE_NONE;
    switch (json->kind) {
    case JSON_NULL: break;
    case JSON_BOOL: return jinja_bool(json->boolean);
    case JSON_FLOAT: return jinja_float(json->number);
    case JSON_STRING: return jinja_text(r, json->string.data, json->string.length, trusted);
    case JSON_INTEGER: {
        int64_t n = 0;
        const bool minus = json->string.data[0] == '-';
        bool fits = true;
        for (size_t i = minus; i < json->string.length && fits; i++) {
            const int64_t digit = json->string.data[i] - '0';
            fits = !__builtin_mul_overflow(n, 10, &n) && !__builtin_add_overflow(n, minus ? -digit : digit, &n);
        }
        if (fits) return jinja_integer(n);
        v = jinja_text(r, json->string.data, json->string.length, trusted);
        if (v.kind == JINJA_STRING) v.kind = JINJA_BIG;
        return v;
    }
    case JSON_ARRAY:
        v = jinja_list_of(r, JINJA_LIST, json->count);
        for (uint32_t i = 0; v.kind == JINJA_LIST && i < json->count; i++)
            v.list->items[i] = jinja_from_json(r, &json->items[i], trusted);
        break;
    case JSON_OBJECT:
        v = jinja_dict_new(r, JINJA_DICT, json->count);
        for (uint32_t i = 0; v.kind == JINJA_DICT && i < json->count; i++)
            v.dict->pairs[v.dict->count++] =
                (jinja_pair){jinja_text(r, json->members[i].name.data, json->members[i].name.length, trusted),
                             jinja_from_json(r, &json->members[i].value, trusted)};
        break;
    }
    return v;
}
