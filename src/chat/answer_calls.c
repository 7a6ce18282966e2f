/* Reads a tool call, in each of the forms that answer_format knows. Before it: answer.c, which found where the call
 * begins. After it: answer_values.c, which reads the arguments.
 *
 * Whenever more text has come, the call is read again from its beginning; the arguments read so far only grow. */
#include "base/utf8.h"
#include "chat/answer.h"
#include "gguf/gguf.h"

#include <string.h>

enum { MOST_NAME = 256, MOST_DEPTH = 100 };

typedef struct call_reader {
    const answer_format *format;
    const answer_tools *tools;
    text_reader *r;
    answer_text *out; /* arguments that are not the model's own JSON */
    call_reading *call;
} call_reader;

static cllm_string text_of(const char *terminated) { return (cllm_string){terminated, strlen(terminated)}; }

static cllm_string from_here(const text_reader *r, size_t from) { return (cllm_string){r->text + from, r->at - from}; }

static size_t find(const text_reader *r, size_t from, cllm_string part) {
    for (size_t i = from; i + part.length <= r->length; i++)
        if (memcmp(r->text + i, part.data, part.length) == 0) return i;
    return SIZE_MAX;
}

static reading at_end(const text_reader *r) { return r->ended ? READ_NO : READ_PARTIAL; }

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || char_is_one_of(c, "_-.:/");
}

/* Read a name. Something must follow it, because otherwise the name may not be complete. */
static reading read_name(text_reader *r, cllm_string *name) {
    const size_t from = r->at;
    while (r->at < r->length && is_name(r->text[r->at])) r->at++;
    *name = from_here(r, from);
    if (name->length > MOST_NAME) return READ_NO;
    return r->at == r->length ? at_end(r) : name->length > 0 ? READ_YES : READ_NO;
}

/* Note the call's name, which is complete. Returns false if no tool has it. */
static bool take_name(call_reader *c, cllm_string name) {
    c->call->name = name;
    return name.length > 0 && answer_may_call(c->tools, name);
}

static void use_written(call_reader *c) { c->call->arguments = (cllm_string){c->out->bytes, c->out->length}; }

/* ----------------------------------------------------------------------------------------------------- JSON */

/* The arguments as an object of JSON, as the model writes it. */
static reading read_arguments(call_reader *c) {
    const size_t from = c->r->at;
    if (from == c->r->length) return at_end(c->r);
    if (c->r->text[from] != '{') return READ_NO;
    const reading read = reader_scan_json(c->r);
    c->call->arguments = from_here(c->r, from);
    return read;
}

/* The arguments as a string of JSON that contains an object. */
static reading read_quoted_arguments(call_reader *c) {
    static const char names[] = "nrtbf", values[] = "\n\r\t\b\f";
    const size_t from = c->r->at;
    const reading read = reader_scan_json(c->r);
    const char *s = c->r->text;
    uint32_t half = 0;
    for (size_t i = from + 1; i < c->r->at - (read == READ_YES); i++) {
        if (s[i] != '\\' || s[i + 1] != 'u') answer_end_half(c->out, &half);
        if (s[i] != '\\') {
            answer_put(c->out, s + i, 1);
            continue;
        }
        const char e = s[++i];
        if (e == 'u') {
            uint32_t code = 0;
            for (int k = 0; k < 4; k++) {
                const char d = s[++i];
                code = code * 16 + (uint32_t)(d <= '9' ? d - '0' : (d | 32) - 'a' + 10);
            }
            answer_put_code(c->out, code, &half);
        } else {
            const char *name = strchr(names, e);
            answer_put(c->out, name ? &values[name - names] : &e, 1);
        }
    }
    if (read != READ_PARTIAL) answer_end_half(c->out, &half);
    use_written(c);
    const cllm_string a = c->call->arguments;
    size_t i = 0;
    while (i < a.length && char_is_one_of(a.data[i], " \n\t\r")) i++;
    if (i < a.length && a.data[i] == '{') return read;
    c->call->arguments = text_of(""); /* the object has not begun, or it is something else */
    c->out->length = 0;
    return i == a.length && read == READ_PARTIAL ? READ_PARTIAL : READ_NO;
}

typedef struct json_call {
    bool has_name, has_arguments;
} json_call;

static bool holds_string(const text_reader *r) { return r->at < r->length && r->text[r->at] == '"'; }

static reading read_members(call_reader *c, json_call *j, int depth);

/* Read the value of the member `key`. */
static reading read_member(call_reader *c, json_call *j, cllm_string key, int depth) {
    text_reader *r = c->r;
    const size_t from = r->at;
    const bool is_id = gguf_is_text(key, "id") || gguf_is_text(key, "tool_call_id") || gguf_is_text(key, "call_id"),
               is_function = gguf_is_text(key, "function");
    if (from == r->length) return at_end(r);
    if (is_function && r->text[from] == '{') {
        if (depth == MOST_DEPTH) return READ_NO;
        r->at++;
        return read_members(c, j, depth + 1);
    }
    if (!j->has_arguments &&
        (gguf_is_text(key, "arguments") || gguf_is_text(key, "parameters") || gguf_is_text(key, "args"))) {
        if (r->text[from] == 'n') {
            const reading read = reader_scan_json(r);
            j->has_arguments = read == READ_YES;
            c->call->arguments = text_of("{}");
            c->call->begun = j->has_name && read == READ_YES;
            return read;
        }
        const reading read = holds_string(r) ? read_quoted_arguments(c) : read_arguments(c);
        j->has_arguments = c->call->arguments.length > 0;
        c->call->begun = j->has_name && j->has_arguments;
        return read;
    }
    const reading read = reader_scan_json(r);
    if (read != READ_YES) return read;
    cllm_string value = from_here(r, from);
    const bool is_string = *value.data == '"';
    if (is_string) value = (cllm_string){value.data + 1, value.length - 2};
    if (!j->has_name && is_string && (gguf_is_text(key, "name") || gguf_is_text(key, "tool_name") || is_function)) {
        for (size_t i = 0; i < value.length; i++)
            if (char_is_one_of(value.data[i], "\\ <>{}")) return READ_NO;
        if (!take_name(c, value)) return READ_NO;
        j->has_name = true;
        c->call->begun = j->has_arguments;
    }
    /* the id counts only if it is known when the call is announced */
    if (is_id && (!c->call->begun || c->format->id_is_last)) c->call->id = value;
    return READ_YES;
}

static reading read_members(call_reader *c, json_call *j, int depth) {
    text_reader *r = c->r;
    for (bool first = true;; first = false) {
        reader_skip_space(r);
        if (r->at == r->length) return at_end(r);
        if (r->text[r->at] == '}') break;
        reading read = first ? READ_YES : reader_match_char(r, ',');
        reader_skip_space(r);
        const size_t from = r->at;
        if (read == READ_YES && !holds_string(r)) read = r->at == r->length ? at_end(r) : READ_NO;
        if (read == READ_YES) read = reader_scan_json(r);
        const cllm_string key = from_here(r, from);
        reader_skip_space(r);
        if (read == READ_YES) read = reader_match_char(r, ':');
        reader_skip_space(r);
        if (read == READ_YES) read = read_member(c, j, (cllm_string){key.data + 1, key.length - 2}, depth);
        if (read != READ_YES) return read;
    }
    r->at++;
    return READ_YES;
}

static reading read_json_call(call_reader *c, bool bare) {
    text_reader *r = c->r;
    json_call j = {false, false};
    reader_skip_space(r);
    reading read = reader_match_char(r, '{');
    if (read != READ_YES) return read;
    if (c->format->name_is_key) {
        reader_skip_space(r);
        const size_t from = r->at;
        if (!holds_string(r)) return r->at == r->length ? at_end(r) : READ_NO;
        if ((read = reader_scan_json(r)) != READ_YES) return read;
        if (!take_name(c, (cllm_string){r->text + from + 1, r->at - from - 2})) return READ_NO;
        reader_skip_space(r);
        if ((read = reader_match_char(r, ':')) != READ_YES) return read;
        reader_skip_space(r);
        read = read_arguments(c);
        c->call->begun = c->call->arguments.length > 0;
        reader_skip_space(r);
        return read == READ_YES ? reader_match_char(r, '}') : read;
    }
    read = read_members(c, &j, 0);
    if (read == READ_YES && j.has_name && !j.has_arguments && !bare) {
        c->call->arguments = text_of("{}");
        c->call->begun = true;
    }
    if (c->format->id_is_last && read != READ_YES) c->call->begun = false;
    return read == READ_YES && !c->call->begun ? READ_NO : read;
}

/* ---------------------------------------------------------------------------------------- a name, then JSON */

/* Read an id up to its end mark, and the mark. */
static reading read_id(call_reader *c, cllm_string end) {
    text_reader *r = c->r;
    const size_t from = r->at;
    while (r->at < r->length && is_name(r->text[r->at])) r->at++;
    c->call->id = from_here(r, from);
    if (c->call->id.length > MOST_NAME) return READ_NO;
    reader_skip_space(r);
    return reader_match(r, end);
}

/* The name in an id: "functions.f:0" gives "f". */
static cllm_string name_of_id(cllm_string id) {
    static const char prefix[] = "functions.";
    const size_t skip =
        id.length > sizeof prefix - 1 && memcmp(id.data, prefix, sizeof prefix - 1) == 0 ? sizeof prefix - 1 : 0;
    size_t end = id.length;
    while (end > skip && id.data[end - 1] >= '0' && id.data[end - 1] <= '9') end--;
    if (end == id.length || end == skip || id.data[end - 1] != ':') end = id.length + 1;
    return (cllm_string){id.data + skip, end - 1 - skip};
}

static reading read_name_json(call_reader *c) {
    const answer_format *o = c->format;
    text_reader *r = c->r;
    cllm_string name;
    reader_skip_space(r);
    reading read = o->id_end.length > 0 ? read_id(c, o->id_end) : READ_YES;
    if (read != READ_YES || (read = read_name(r, &name)) != READ_YES) return read;
    if (o->id_is_name) {
        c->call->id = name;
        name = name_of_id(name);
    }
    if (!take_name(c, name)) return READ_NO;
    reader_skip_space(r);
    if (o->id_begin.length > 0) {
        text_reader ahead = *r;
        read = reader_match(&ahead, o->id_begin);
        if (read == READ_PARTIAL) return read;
        if (read == READ_YES) {
            *r = ahead;
            read = read_id(c, o->name_end);
            if (read != READ_YES) return read;
        }
    }
    reader_skip_space(r);
    if (r->at == r->length) return at_end(r);
    if (r->text[r->at] != '{') {
        if (o->name_end.length == 0) return READ_NO;
        if ((read = reader_match(r, o->name_end)) != READ_YES) return read;
        reader_skip_space(r);
    }
    read = read_arguments(c);
    c->call->begun = c->call->arguments.length > 0;
    return read;
}

/* ---------------------------------------------------------------------------------- a name, then key by key */

/* Look for a mark that ends a call and, if `key` is true, for the mark before a key. YES: one is here, or the answer
 * ends here. PARTIAL: the text so far may be the beginning of one. */
static reading sees_next(const call_reader *c, bool key) {
    reading best = READ_NO;
    text_reader r = *c->r;
    reader_skip_space(&r);
    if (r.at == r.length) return r.ended ? READ_YES : READ_PARTIAL;
    for (size_t i = 0; i <= c->format->close.count; i++) {
        text_reader ahead = r;
        if (i == c->format->close.count && !key) break;
        const reading read =
            reader_match(&ahead, i < c->format->close.count ? c->format->close.items[i] : c->format->key_open);
        if (read > best) best = read;
    }
    return best;
}

static void put_key(call_reader *c, cllm_string key) {
    answer_put(c->out, c->out->length > 1 ? ", \"" : "\"", c->out->length > 1 ? 3 : 1);
    answer_put_escaped(c->out, key.data, key.length);
    answer_put(c->out, "\": ", 3);
}

static bool is_typed(const answer_format *o) { return o->type_close.length > 0; }

/* Write the part of an incomplete string that is certain: without what may be the beginning of its end mark, and
 * without half a character. */
static void put_unfinished(call_reader *c, size_t from, size_t end, size_t n_cdata) {
    const text_reader *r = c->r;
    if (!r->ended) {
        const answer_mark *close = &c->format->value_close;
        size_t begun = end < r->length ? 0 : close->text.length - 1;
        if (begun > end - from) begun = end - from;
        while (begun > 0 && memcmp(r->text + end - begun, close->text.data, begun) != 0) begun--;
        end -= begun;
        const size_t kept = close->before.length + n_cdata + 3;
        end = end > from + kept ? end - kept : from;
        while (end > from && ((unsigned char)r->text[end] & 0xC0) == 0x80) end--;
    }
    answer_put(c->out, "\"", 1);
    answer_put_escaped(c->out, r->text + from, end - from);
}

/* Find where a value ends: at the first end mark after which another key or the end of the call comes. */
static reading find_value_end(call_reader *c, size_t from, size_t *end) {
    text_reader *r = c->r;
    const cllm_string close = c->format->value_close.text;
    for (*end = from; (*end = find(r, *end, close)) != SIZE_MAX; ++*end) {
        r->at = *end + close.length;
        const reading next = sees_next(c, true);
        if (next != READ_NO) return next;
    }
    r->at = *end = r->length;
    return at_end(r);
}

static reading read_keyed_value(call_reader *c, cllm_string key) {
    const answer_format *o = c->format;
    text_reader *r = c->r;
    bool is_string = answer_is_string(c->tools, c->call->name, key);
    if (is_typed(o)) {
        const size_t from = r->at, end = find(r, from, o->type_close);
        if (end == SIZE_MAX) return r->length - from > MOST_NAME + o->type_close.length ? READ_NO : at_end(r);
        if (end - from > MOST_NAME) return READ_NO;
        is_string = end - from == o->is_string.length && memcmp(r->text + from, o->is_string.data, end - from) == 0;
        r->at = end + o->type_close.length;
    }
    size_t from = r->at, end;
    for (size_t i = 0; i < o->key_close.after.length; i++, from++) {
        if (from == r->length) return at_end(r);
        if (r->text[from] != o->key_close.after.data[i]) break;
    }
    static const cllm_string cdata = {"<![CDATA[", 9};
    text_reader ahead = {.text = r->text, .length = r->length, .at = from, .ended = r->ended};
    const reading in_cdata = o->has_cdata ? reader_match(&ahead, cdata) : READ_NO;
    if (in_cdata == READ_PARTIAL) return in_cdata;
    if (in_cdata == READ_YES) from = ahead.at;
    is_string |= in_cdata == READ_YES;
    const reading read = find_value_end(c, from, &end);
    const size_t after = r->at;
    if (read != READ_YES) {
        if (is_string) {
            put_key(c, key);
            put_unfinished(c, from, end, in_cdata == READ_YES ? 3 : 0);
        }
        return read;
    }
    for (size_t i = o->value_close.before.length; i > 0 && end > from; i--, end--)
        if (r->text[end - 1] != o->value_close.before.data[i - 1]) break;
    if (in_cdata == READ_YES && end - from >= 3 && memcmp(r->text + end - 3, "]]>", 3) == 0) end -= 3;
    const cllm_string value = {r->text + from, end - from};
    put_key(c, key);
    if (is_string) {
        answer_put(c->out, "\"", 1);
        answer_put_escaped(c->out, value.data, value.length);
        answer_put(c->out, "\"", 1);
    } else if (is_typed(o)) {
        answer_put_typed(c->out, value);
    } else {
        answer_put_value(c->out, c->tools, c->call->name, key, value);
    }
    r->at = after;
    return READ_YES;
}

/* Skip what is between the name and the first key, or the end of the call. */
static reading read_name_end(call_reader *c) {
    text_reader *r = c->r;
    reader_skip_space(r);
    text_reader ahead = *r;
    reading read = reader_match(&ahead, c->format->name_end);
    if (read == READ_PARTIAL) return read;
    if (read == READ_YES) r->at = ahead.at;
    const size_t most = c->format->name_end_varies ? 32 : 0; /* index="1" */
    for (size_t n = 0; n <= most; n++, r->at++) {
        read = sees_next(c, true);
        if (read != READ_NO) return read;
    }
    return READ_NO;
}

static reading read_tag_value(call_reader *c, cllm_string name, int depth, answer_text *out);

/* A key and its value. */
static reading read_key(call_reader *c) {
    const answer_format *o = c->format;
    text_reader *r = c->r;
    const bool tags = o->form == CALLS_TAGS;
    reading read = reader_match(r, o->key_open);
    if (read != READ_YES) return read;
    const size_t from = r->at;
    while (r->at < r->length && !char_is_one_of(r->text[r->at], "<>\"\n")) r->at++;
    const cllm_string key = from_here(r, from);
    if (key.length > MOST_NAME) return READ_NO;
    if (r->at == r->length) return at_end(r);
    if ((read = reader_match(r, tags ? text_of(">") : o->key_close.text)) != READ_YES) return read;
    if (!tags) return read_keyed_value(c, key);
    answer_text value = {0};
    read = read_tag_value(c, key, 0, &value);
    if (read == READ_YES) {
        put_key(c, key);
        answer_put(c->out, value.bytes, value.length);
    }
    c->out->failed |= value.failed;
    answer_text_free(&value);
    return read;
}

static reading read_keys(call_reader *c) {
    text_reader *r = c->r;
    cllm_string name;
    reader_skip_space(r);
    reading read = read_name(r, &name);
    if (read != READ_YES) return read;
    if (!take_name(c, name)) return READ_NO;
    if ((read = read_name_end(c)) != READ_YES) return read;
    if (r->at == r->length) return READ_NO;
    answer_put(c->out, "{", 1);
    c->call->begun = true;
    for (;;) {
        reader_skip_space(r);
        const size_t from = r->at; /* if no key can be read here, the text from here on is content */
        /* the mark that ends a call may begin like the mark of a key */
        read = sees_next(c, false);
        if (read == READ_YES) break;
        text_reader ahead = *r;
        if (read == READ_PARTIAL && reader_match(&ahead, c->format->key_open) != READ_YES) return read;
        if ((read = read_key(c)) == READ_NO) r->at = from;
        if (read != READ_YES) return read;
    }
    answer_put(c->out, "}", 1);
    return READ_YES;
}

/* <key>text</key>, <key><a>..</a><b>..</b></key> or <key><item>..</item></key>. Each "<" stands for the key_open of the
 * format, which may be longer. */
static reading read_tag_value(call_reader *c, cllm_string name, int depth, answer_text *out) {
    text_reader *r = c->r;
    const cllm_string open = c->format->key_open;
    const size_t from = r->at;
    bool nested = false, list = false;
    for (size_t n = 0;; n++) {
        const size_t at = find(r, r->at, open);
        if (at == SIZE_MAX) return at_end(r);
        r->at = at + open.length;
        if (r->at == r->length) return at_end(r);
        if (r->text[r->at] == '/') {
            r->at++;
            const reading read = reader_match(r, name);
            const reading end = read == READ_YES ? reader_match_char(r, '>') : read;
            if (end == READ_PARTIAL) return end;
            if (end == READ_NO) return READ_NO;
            const cllm_string value = {r->text + from, at - from};
            if (nested)
                answer_put(out, list ? "]" : "}", 1);
            else if (depth == 0)
                answer_put_value(out, c->tools, c->call->name, name, value);
            else
                answer_put_value(out, &(answer_tools){.given = false}, c->call->name, name, value);
            return READ_YES;
        }
        const size_t key_at = r->at;
        while (r->at < r->length && !char_is_one_of(r->text[r->at], "<>\n")) r->at++;
        const cllm_string key = from_here(r, key_at);
        const reading closed = depth == MOST_DEPTH ? READ_NO : reader_match_char(r, '>');
        if (closed != READ_YES) return closed;
        if (n == 0) list = gguf_is_text(key, "item");
        answer_put(out, n > 0 ? ", " : list ? "[" : "{", n > 0 ? 2 : 1);
        nested = true;
        if (!list) {
            answer_put(out, "\"", 1);
            answer_put_escaped(out, key.data, key.length);
            answer_put(out, "\": ", 3);
        }
        const reading read = read_tag_value(c, key, depth + 1, out);
        if (read != READ_YES) return read;
    }
}

/* -------------------------------------------------------------------------------- as Python and Gemma write */

/* f(a="b") and f{a:<|"|>b<|"|>} */
static reading read_literals(call_reader *c) {
    text_reader *r = c->r;
    const bool python = c->format->form == CALLS_PYTHON;
    cllm_string name;
    reader_skip_space(r);
    reading read = read_name(r, &name);
    if (read != READ_YES) return read;
    if (!take_name(c, name)) return READ_NO;
    if ((read = reader_match_char(r, python ? '(' : '{')) != READ_YES) return read;
    answer_put(c->out, "{", 1);
    c->call->begun = true;
    for (size_t n = 0;; n++) {
        reader_skip_space(r);
        if (reader_match_char(r, python ? ')' : '}') == READ_YES) break;
        if (n > 0 && (read = reader_match_char(r, ',')) != READ_YES) return read;
        reader_skip_space(r);
        const size_t from = r->at; /* if no argument can be read here, the text from here on is content */
        while (r->at < r->length && !char_is_one_of(r->text[r->at], python ? "=,() \n" : ":,{} \n")) r->at++;
        cllm_string key = from_here(r, from);
        if (r->at == r->length) return at_end(r);
        if (key.length == 0) return READ_NO;
        if (key.length > 2 && char_is_one_of(*key.data, "\"'") && key.data[key.length - 1] == *key.data)
            key = (cllm_string){key.data + 1, key.length - 2};
        reader_skip_space(r);
        answer_text value = {0};
        read = reader_match_char(r, python ? '=' : ':');
        reader_skip_space(r);
        if (read == READ_YES) read = reader_read_literal(r, &value, 0);
        if (read == READ_YES) {
            put_key(c, key);
            answer_put(c->out, value.bytes, value.length);
        }
        c->out->failed |= value.failed;
        answer_text_free(&value);
        if (read == READ_NO) r->at = from;
        if (read != READ_YES) return read;
    }
    answer_put(c->out, "}", 1);
    return READ_YES;
}

/* ------------------------------------------------------------------------------------------------- messages */

/* YES: `word` comes next. PARTIAL: the text so far may be its beginning. */
static reading header_word(text_reader *r, const char *word) { return reader_match(r, text_of(word)); }

reading answer_read_header(text_reader *r, message_header *header) {
    static const char *const begins[] = {"<|start|>", "<|channel|>", "assistant", "to="};
    enum { MOST_HEADER = 512 };
    const cllm_string end = text_of("<|message|>");
    reading begun = READ_NO;
    reader_skip_space(r);
    *header = (message_header){.recipient = {"", 0}};
    if (r->at == r->length) return at_end(r);
    for (int i = 0; i < 4; i++) {
        text_reader ahead = *r;
        const reading read = header_word(&ahead, begins[i]);
        if (read > begun) begun = read;
    }
    if (begun != READ_YES) return begun;
    const text_reader near = {.text = r->text,
                              .length = r->length - r->at > MOST_HEADER + 16 ? r->at + MOST_HEADER + 16 : r->length};
    const size_t at = find(&near, r->at, end);
    const cllm_string text = {r->text + r->at, (at == SIZE_MAX ? r->length : at) - r->at};
    if (text.length > MOST_HEADER + (at == SIZE_MAX ? end.length : 0)) return READ_NO;
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] == '\n') return READ_NO;
    if (at == SIZE_MAX) return at_end(r);
    for (size_t i = 0; i < text.length; i++) {
        text_reader ahead = {.text = text.data, .length = text.length, .at = i, .ended = true};
        if (header_word(&ahead, "<|channel|>analysis") == READ_YES) header->is_analysis = true;
        ahead.at = i;
        if (header_word(&ahead, "to=") == READ_YES) {
            const size_t from = ahead.at;
            while (ahead.at < text.length && is_name(text.data[ahead.at])) ahead.at++;
            header->recipient = from_here(&ahead, from);
        }
    }
    r->at = at + end.length;
    return READ_YES;
}

static reading read_message(call_reader *c) {
    static const char prefix[] = "functions.";
    message_header header;
    const reading read = answer_read_header(c->r, &header);
    if (read != READ_YES) return read;
    cllm_string name = header.recipient;
    if (name.length > sizeof prefix - 1 && memcmp(name.data, prefix, sizeof prefix - 1) == 0)
        name = (cllm_string){name.data + sizeof prefix - 1, name.length - sizeof prefix + 1};
    if (!take_name(c, name)) return READ_NO;
    reader_skip_space(c->r);
    const reading arguments = read_arguments(c);
    c->call->begun = c->call->arguments.length > 0;
    return arguments;
}

/* ------------------------------------------------------------------------------------------------- any form */

static reading read_open(call_reader *c, size_t first) {
    for (size_t i = first; i < c->format->open.count; i++) {
        reader_skip_space(c->r);
        const reading read = reader_match(c->r, c->format->open.items[i]);
        if (read != READ_YES) return read;
    }
    return READ_YES;
}

void answer_read_call(const answer_format *format, const answer_tools *tools, text_reader *r, size_t first,
                      bool in_list, answer_text *written, call_reading *call) {
    call_reader c = {format, tools, r, written, call};
    const bool bare = first == format->open.count && format->form != CALLS_MESSAGES && !in_list;
    *call = (call_reading){.in_list = in_list, .name = {"", 0}, .id = {"", 0}, .arguments = {"", 0}};
    written->length = 0;
    call->state = read_open(&c, first);
    if (call->state == READ_YES && !in_list && (format->form == CALLS_JSON || format->form == CALLS_PYTHON)) {
        reader_skip_space(r);
        if (r->at == r->length) call->state = at_end(r);
        call->in_list = reader_match_char(r, '[') == READ_YES;
        if (format->form == CALLS_PYTHON && !call->in_list && call->state == READ_YES && bare) call->state = READ_NO;
    }
    if (call->state == READ_YES) {
        switch (format->form) {
        case CALLS_JSON: call->state = read_json_call(&c, bare); break;
        case CALLS_NAME_JSON: call->state = read_name_json(&c); break;
        case CALLS_KEYS:
        case CALLS_TAGS: call->state = read_keys(&c); break;
        case CALLS_PYTHON:
        case CALLS_BRACES: call->state = read_literals(&c); break;
        case CALLS_MESSAGES: call->state = read_message(&c); break;
        }
    }
    if (written->length > 0) use_written(&c);
    call->end = r->at;
}
