/* Reads the arguments of calls, written as JSON, as literals or as bare words, and writes them as JSON of the type that
 * the tool's schema gives. Before it: answer_calls.c. After it: cllm_delta, whose arguments are JSON. */
#include "base/utf8.h"
#include "chat/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 200 };

static cllm_string text_of(const char *terminated) { return (cllm_string){terminated, strlen(terminated)}; }

static bool equal(cllm_string a, cllm_string b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

void answer_put(answer_text *t, const char *bytes, size_t length) {
    if (t->failed || length == 0) return;
    if (t->capacity - t->length < length) {
        const size_t capacity = (t->length + length) * 2;
        char *grown = capacity > length ? realloc(t->bytes, capacity) : NULL;
        t->failed = !grown;
        if (!grown) return;
        t->bytes = grown;
        t->capacity = capacity;
    }
    memcpy(t->bytes + t->length, bytes, length);
    t->length += length;
}

void answer_text_free(answer_text *t) {
    free(t->bytes);
    *t = (answer_text){0};
}

void answer_end_half(answer_text *t, uint32_t *half) {
    if (*half) answer_put(t, "\xEF\xBF\xBD", 3);
    *half = 0;
}

void answer_put_code(answer_text *t, uint32_t code, uint32_t *half) {
    char bytes[4];
    const bool is_first = code >= 0xD800 && code < 0xDC00, is_second = code >= 0xDC00 && code < 0xE000;
    if (is_second && *half) {
        code = 0x10000 + ((*half - 0xD800) << 10) + (code - 0xDC00);
        *half = 0;
    } else if (is_second) {
        code = 0xFFFD;
    }
    answer_end_half(t, half);
    if (is_first)
        *half = code;
    else
        answer_put(t, bytes, utf8_encode(code, bytes));
}

static void put_json(void *user, const char *bytes, size_t length) { answer_put(user, bytes, length); }

void answer_put_escaped(answer_text *t, const char *bytes, size_t length) {
    const json_writer w = {.put = put_json, .user = t};
    for (size_t from = 0, i = 0; i <= length;) {
        const size_t n = i < length ? utf8_length(bytes + i, length - i) : 0;
        if (n == 0 && i > from) json_put_escaped(&w, bytes + from, i - from);
        if (n == 0 && i < length) answer_put(t, "\xEF\xBF\xBD", 3);
        i += n > 0 ? n : 1;
        if (n == 0) from = i;
    }
}

/* ---------------------------------------------------------------------------------------------------- marks */

static bool is_space(char c) { return char_is_one_of(c, " \t\r\n"); }

void reader_skip_space(text_reader *r) {
    while (r->at < r->length && is_space(r->text[r->at])) r->at++;
}

static reading at_end(const text_reader *r) { return r->ended ? READ_NO : READ_PARTIAL; }

reading reader_match(text_reader *r, cllm_string mark) {
    size_t at = r->at;
    for (size_t i = 0; i < mark.length;) {
        size_t space = i;
        bool line = i > 0 && mark.data[i - 1] == '>' && mark.data[i] == '<';
        for (; space < mark.length && is_space(mark.data[space]); space++) line |= mark.data[space] == '\n';
        while (line && at < r->length && is_space(r->text[at])) at++;
        if (line) i = space;
        if (i == mark.length && (at < r->length || r->ended)) break;
        if (at == r->length) return at_end(r);
        if (r->text[at++] != mark.data[i++]) return READ_NO;
    }
    r->at = at;
    return READ_YES;
}

reading reader_match_char(text_reader *r, char c) {
    if (r->at == r->length) return at_end(r);
    if (r->text[r->at] != c) return READ_NO;
    r->at++;
    return READ_YES;
}

/* ----------------------------------------------------------------------------------------------------- JSON */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_number(const char *s, size_t n) {
    size_t i = n > 0 && *s == '-', from = i;
    while (i < n && is_digit(s[i])) i++;
    if (i == from || (s[from] == '0' && i - from > 1)) return false;
    if (i < n && s[i] == '.') {
        for (from = ++i; i < n && is_digit(s[i]);) i++;
        if (i == from) return false;
    }
    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        i++;
        if (i < n && (s[i] == '-' || s[i] == '+')) i++;
        for (from = i; i < n && is_digit(s[i]);) i++;
        if (i == from) return false;
    }
    return i == n;
}

/* Move past a number, true, false or null. `at` does not move if it is not complete. */
static reading scan_word(text_reader *r) {
    size_t end = r->at;
    while (end < r->length && (is_digit(r->text[end]) || char_is_one_of(r->text[end], "+-.eE"))) end++;
    if (end > r->at && r->text[r->at] != 'e' && r->text[r->at] != 'E') {
        if (end == r->length && !r->ended) return READ_PARTIAL;
        if (!is_number(r->text + r->at, end - r->at)) return READ_NO;
        r->at = end;
        return READ_YES;
    }
    reading best = READ_NO;
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3 && best == READ_NO; i++) best = reader_match(r, text_of(words[i]));
    return best;
}

/* Move past one character of a string, or past an escape. */
static reading scan_character(text_reader *r) {
    const char *s = r->text + r->at;
    const size_t left = r->length - r->at;
    if (left == 0) return at_end(r);
    if ((unsigned char)*s < 0x20) return READ_NO;
    if (*s == '\\') {
        if (left == 1) return at_end(r);
        if (s[1] != 'u') {
            if (!char_is_one_of(s[1], "\"\\/bfnrt")) return READ_NO;
            r->at += 2;
            return READ_YES;
        }
        for (size_t i = 2; i < 6; i++) {
            if (i == left) return at_end(r);
            if (!char_is_one_of(s[i], "0123456789abcdefABCDEF")) return READ_NO;
        }
        r->at += 6;
        return READ_YES;
    }
    const size_t n = utf8_length(s, left);
    if (n == 0 && left < 4 && !r->ended && (unsigned char)*s >= 0xC2) {
        size_t i = 1;
        while (i < left && ((unsigned char)s[i] & 0xC0) == 0x80) i++;
        if (i == left) return READ_PARTIAL;
    }
    r->at += n;
    return n > 0 ? READ_YES : READ_NO;
}

static reading scan_string(text_reader *r) { /* after its quote */
    for (reading read = READ_YES; read == READ_YES;) {
        if (r->at < r->length && r->text[r->at] == '"') {
            r->at++;
            return READ_YES;
        }
        read = scan_character(r);
        if (read != READ_YES) return read;
    }
    return READ_NO;
}

reading reader_scan_json(text_reader *r) {
    char open[JSON_MOST_DEPTH];
    size_t depth = 0;
    bool wants_value = true, may_close = false; /* wants_value false: a comma or a closing bracket must follow */
    for (;;) {
        reader_skip_space(r);
        if (r->at == r->length) return at_end(r);
        const char c = r->text[r->at];
        reading read = READ_YES;
        if (depth > 0 && (may_close || !wants_value) && c == (open[depth - 1] == '{' ? '}' : ']')) {
            r->at++;
            depth--;
            wants_value = may_close = false;
        } else if (!wants_value) {
            if (c != ',') return READ_NO;
            r->at++;
            wants_value = true;
        } else {
            const size_t before = r->at;
            if (depth > 0 && open[depth - 1] == '{') { /* a name comes first; `at` moves past name and ':' together */
                if (c != '"') return READ_NO;
                r->at++;
                read = scan_string(r);
                reader_skip_space(r);
                if (read == READ_YES) read = reader_match_char(r, ':');
                if (read != READ_YES) {
                    r->at = before;
                    return read;
                }
                reader_skip_space(r);
                if (r->at == r->length) return at_end(r);
            }
            may_close = false;
            const char v = r->text[r->at];
            if (v == '{' || v == '[') {
                if (depth == JSON_MOST_DEPTH) return READ_NO;
                open[depth++] = v;
                r->at++;
                may_close = true;
                continue;
            }
            if (v == '"') {
                r->at++;
                read = scan_string(r);
            } else {
                read = scan_word(r);
            }
            if (read != READ_YES) return read;
            wants_value = false;
        }
        if (depth == 0) return READ_YES;
    }
}

/* ------------------------------------------------------------------------------------------------- literals */

/* True if the quote before r->at ends its string. Templates sometimes write 'it's', so a quote ends the string only if
 * a list or a call can continue after it. */
static reading ends_string(const text_reader *r) {
    size_t at = r->at;
    while (at < r->length && is_space(r->text[at])) at++;
    if (at == r->length) return r->ended ? READ_YES : READ_PARTIAL;
    return char_is_one_of(r->text[at], ",)]}:") ? READ_YES : READ_NO;
}

/* Read "..." or '...' with the usual escapes of Python; others stay as they are. As in JSON, two escapes \uXXXX may be
 * one character. */
static reading read_quoted(text_reader *r, answer_text *out) {
    const char quote = r->text[r->at++];
    answer_text plain = {0};
    reading read = READ_NO;
    uint32_t half = 0;
    while (r->at < r->length && !out->failed) {
        const char c = r->text[r->at++];
        if (c == quote) read = ends_string(r);
        if (c == quote && read != READ_NO) break;
        if (c != '\\') {
            answer_end_half(&plain, &half);
            answer_put(&plain, &c, 1);
            continue;
        }
        if (r->at == r->length) break;
        const char e = r->text[r->at++];
        if (e != 'u') answer_end_half(&plain, &half);
        static const char names[] = "nrtbfv0", values[] = "\n\r\t\b\f\v\0";
        const char *name = strchr(names, e);
        if (e == 'x' || e == 'u') {
            uint32_t code = 0;
            const size_t n = e == 'x' ? 2 : 4;
            size_t i = 0;
            for (; i < n && r->at < r->length && char_is_one_of(r->text[r->at], "0123456789abcdefABCDEF"); i++) {
                const char digit[2] = {r->text[r->at++], 0};
                code = code * 16 + (uint32_t)strtoul(digit, NULL, 16);
            }
            if (i < n && r->at == r->length) break;
            if (i == n) answer_put_code(&plain, code, &half);
        } else if (e && name) {
            answer_put(&plain, &values[name - names], 1);
        } else {
            if (!char_is_one_of(e, "\\'\"/")) answer_put(&plain, "\\", 1);
            answer_put(&plain, &e, 1);
        }
    }
    answer_end_half(&plain, &half);
    if (read == READ_YES) {
        answer_put(out, "\"", 1);
        answer_put_escaped(out, plain.bytes, plain.length);
        answer_put(out, "\"", 1);
    }
    out->failed |= plain.failed;
    answer_text_free(&plain);
    return read == READ_YES ? read : at_end(r);
}

static const char brace_quote[] = "<|\"|>"; /* Gemma's */

/* Read the rest of a string after its first brace_quote. */
static reading read_brace_quoted(text_reader *r, answer_text *out) {
    for (size_t i = r->at; i + 5 <= r->length; i++)
        if (memcmp(r->text + i, brace_quote, 5) == 0) {
            answer_put(out, "\"", 1);
            answer_put_escaped(out, r->text + r->at, i - r->at);
            answer_put(out, "\"", 1);
            r->at = i + 5;
            return READ_YES;
        }
    return at_end(r);
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || char_is_one_of(c, "_-.+$") || (c & 0x80);
}

static cllm_string read_word(text_reader *r) {
    const size_t from = r->at;
    while (r->at < r->length && is_word(r->text[r->at])) r->at++;
    return (cllm_string){r->text + from, r->at - from};
}

static reading read_list(text_reader *r, answer_text *out, char close, int depth) {
    const bool object = close == '}';
    answer_put(out, object ? "{" : "[", 1);
    for (size_t n = 0;; n++) {
        reader_skip_space(r);
        if (reader_match_char(r, close) == READ_YES) break;
        if (n > 0) {
            const reading comma = reader_match_char(r, ',');
            if (comma != READ_YES) return comma;
            reader_skip_space(r);
            if (reader_match_char(r, close) == READ_YES) break;
            answer_put(out, ", ", 2);
        }
        if (r->at == r->length) return at_end(r);
        if (object) {
            const char c = r->text[r->at];
            reading read = READ_YES;
            if (c == '"' || c == '\'' || c == '<') {
                read = reader_read_literal(r, out, depth + 1);
            } else {
                const cllm_string key = read_word(r);
                if (r->at == r->length) return at_end(r);
                if (key.length == 0) return READ_NO;
                answer_put(out, "\"", 1);
                answer_put_escaped(out, key.data, key.length);
                answer_put(out, "\"", 1);
            }
            if (read == READ_YES) {
                reader_skip_space(r);
                read = reader_match_char(r, ':');
            }
            if (read != READ_YES) return read;
            answer_put(out, ": ", 2);
        }
        reader_skip_space(r);
        const reading read = reader_read_literal(r, out, depth + 1);
        if (read != READ_YES) return read;
    }
    answer_put(out, object ? "}" : "]", 1);
    return READ_YES;
}

reading reader_read_literal(text_reader *r, answer_text *out, int depth) {
    static const char *const words[][2] = {{"true", "true"},   {"True", "true"}, {"false", "false"},
                                           {"False", "false"}, {"null", "null"}, {"None", "null"}};
    if (r->at == r->length) return at_end(r);
    if (depth > MOST_DEPTH) return READ_NO;
    const char c = r->text[r->at];
    if (c == '"' || c == '\'') return read_quoted(r, out);
    if (c == '<') {
        const reading read = reader_match(r, (cllm_string){brace_quote, 5});
        return read == READ_YES ? read_brace_quoted(r, out) : read;
    }
    if (c == '{' || c == '[' || c == '(') {
        r->at++;
        return read_list(r, out, c == '{' ? '}' : c == '[' ? ']' : ')', depth);
    }
    const cllm_string word = read_word(r);
    if (r->at == r->length && !r->ended) return READ_PARTIAL;
    for (size_t i = 0; i < 6; i++)
        if (equal(word, text_of(words[i][0]))) {
            answer_put(out, words[i][1], strlen(words[i][1]));
            return READ_YES;
        }
    if (!is_number(word.data, word.length)) return READ_NO;
    answer_put(out, word.data, word.length);
    return READ_YES;
}

/* ---------------------------------------------------------------------------------------------------- types */

enum {
    IS_NULL = 1 << JSON_NULL,
    IS_INTEGER = 1 << JSON_INTEGER,
    IS_FLOAT = 1 << JSON_FLOAT,
    IS_STRING = 1 << JSON_STRING,
    IS_ANY = 127,
};

static unsigned named_type(cllm_string name) {
    static const struct {
        const char *name;
        unsigned types;
    } all[] = {{"string", IS_STRING},
               {"integer", IS_INTEGER},
               {"number", IS_INTEGER | IS_FLOAT},
               {"boolean", 1 << JSON_BOOL},
               {"object", 1 << JSON_OBJECT},
               {"array", 1 << JSON_ARRAY},
               {"null", IS_NULL}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (equal(name, text_of(all[i].name))) return all[i].types;
    return IS_ANY;
}

/* The types that a schema allows, as bits. */
static unsigned types_of(const json_value *schema, int depth) {
    static const char *const choices[] = {"anyOf", "oneOf", "enum"};
    const json_value *type = json_find(schema, "type"), *constant = json_find(schema, "const");
    unsigned types = 0;
    if (type && type->kind == JSON_STRING) return named_type(type->string);
    for (uint32_t i = 0; type && type->kind == JSON_ARRAY && i < type->count; i++)
        if (type->items[i].kind == JSON_STRING) types |= named_type(type->items[i].string);
    if (constant && types == 0) types = 1u << constant->kind;
    for (int k = 0; k < 3 && types == 0 && depth < MOST_DEPTH; k++) {
        const json_value *list = json_find(schema, choices[k]);
        for (uint32_t i = 0; list && list->kind == JSON_ARRAY && i < list->count; i++)
            types |= k < 2 ? types_of(&list->items[i], depth + 1) : 1u << list->items[i].kind;
    }
    return types ? types : IS_ANY;
}

const json_value *answer_function(const json_value *tool) {
    const json_value *function = json_find(tool, "function");
    if (function) tool = function;
    const json_value *own = json_find(tool, "name");
    return own && own->kind == JSON_STRING ? tool : NULL;
}

static const json_value *find_tool(const answer_tools *tools, cllm_string name) {
    for (uint32_t i = 0; i < tools->list.count; i++) {
        const json_value *tool = answer_function(&tools->list.items[i]);
        if (tool && equal(json_find(tool, "name")->string, name)) return tool;
    }
    return NULL;
}

bool answer_may_call(const answer_tools *tools, cllm_string name) { return !tools->given || find_tool(tools, name); }

static unsigned argument_types(const answer_tools *tools, cllm_string name, cllm_string key) {
    if (!tools->given) return IS_ANY;
    const json_value *tool = find_tool(tools, name), *schema = tool ? json_find(tool, "parameters") : NULL,
                     *properties = schema ? json_find(schema, "properties") : NULL;
    for (uint32_t i = 0; properties && properties->kind == JSON_OBJECT && i < properties->count; i++)
        if (equal(properties->members[i].name, key)) return types_of(&properties->members[i].value, 0);
    return IS_STRING;
}

bool answer_is_string(const answer_tools *tools, cllm_string name, cllm_string key) {
    return argument_types(tools, name, key) == IS_STRING;
}

bool answer_may_be_string(const answer_tools *tools, cllm_string name, cllm_string key) {
    return argument_types(tools, name, key) & IS_STRING;
}

/* True if a value has one of the types. 7.0 counts as an integer. */
static bool is_of(const json_value *v, unsigned types) {
    if (types >> v->kind & 1) return true;
    return v->kind == JSON_FLOAT && types & IS_INTEGER && v->number >= -1e15 && v->number <= 1e15 &&
           v->number == (double)(int64_t)v->number;
}

/* True if all numbers of a value are finite. If one is not, such as 1e999, the value is copied as the model wrote
 * it. */
static bool is_finite(const json_value *v) {
    bool finite = v->kind != JSON_FLOAT || isfinite(v->number);
    for (uint32_t i = 0; v->kind >= JSON_ARRAY && i < v->count && finite; i++)
        finite = is_finite(v->kind == JSON_ARRAY ? &v->items[i] : &v->members[i].value);
    return finite;
}

static void put_value(answer_text *out, unsigned types, cllm_string value) {
    size_t from = 0, end = value.length;
    while (from < end && is_space(value.data[from])) from++;
    while (end > from && is_space(value.data[end - 1])) end--;
    arena a = {0};
    json_value v = {.kind = JSON_STRING};
    const bool may_be = types != IS_STRING && end > from;
    bool written = false;
    cllm_status status = may_be ? json_read(value.data + from, end - from, &a, &v, NULL) : CLLM_OK;
    if (may_be && status == CLLM_OK && v.kind != JSON_STRING && is_of(&v, types)) {
        json_writer w = {.put = put_json, .user = out};
        if (is_finite(&v))
            json_write(&w, &v);
        else
            answer_put(out, value.data + from, end - from);
        written = true;
    } else if (may_be && (!(types & IS_STRING) || char_is_one_of(value.data[from], "{["))) { /* as Python prints it */
        text_reader r = {.text = value.data + from, .length = end - from, .ended = true};
        answer_text literal = {0};
        const bool is_literal = reader_read_literal(&r, &literal, 0) == READ_YES && r.at == r.length;
        if (is_literal && status != CLLM_ERR_MEMORY) status = json_read(literal.bytes, literal.length, &a, &v, NULL);
        if (is_literal && status == CLLM_OK && v.kind != JSON_STRING && is_of(&v, types)) {
            answer_put(out, literal.bytes, literal.length);
            written = true;
        }
        out->failed |= literal.failed;
        answer_text_free(&literal);
    }
    arena_free(&a);
    out->failed |= status == CLLM_ERR_MEMORY;
    if (written) return;
    answer_put(out, "\"", 1);
    answer_put_escaped(out, value.data, value.length);
    answer_put(out, "\"", 1);
}

void answer_put_value(answer_text *out, const answer_tools *tools, cllm_string name, cllm_string key,
                      cllm_string value) {
    put_value(out, argument_types(tools, name, key), value);
}

void answer_put_typed(answer_text *out, cllm_string value) { put_value(out, IS_ANY & ~IS_STRING, value); }
