/* cllm_chat_call_structure: a CLLM_GRAMMAR_STRUCTURE of the answers that call tools. It has the marks of the chat's
 * format, and between them names and arguments that fit the tools' schemas. answer_calls.c reads every text that it
 * allows.
 *
 *   answer_format + tools -> call_structure.c: a structure -> sampling: masks -> the model writes -> answer.c */
#include "chat/answer.h"

#include "base/error.h"
#include "base/utf8.h"
#include "chat/chat.h"
#include "gguf/gguf.h"

#include <stdio.h>
#include <string.h>

typedef struct tool {
    cllm_string name;
    const json_value *parameters; /* an object; NULL: it takes no parameters */
    bool strict;
} tool;

typedef struct writer {
    const answer_format *format;
    const cllm_call_options *options;
    answer_tools tools;
    const tool *called; /* [n_called] tools that may be called */
    size_t n_called;
    answer_text out;
    json_writer json;
    bool named; /* a member's name was written; its value comes next */
    cllm_error *err;
    cllm_status status;
} writer;

static cllm_string text_of(const char *terminated) { return (cllm_string){terminated, strlen(terminated)}; }

static bool equal(cllm_string a, cllm_string b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static void refuse(writer *w, const tool *t, const char *why) {
    if (w->status == CLLM_OK)
        w->status = error_set(w->err, CLLM_ERR_UNSUPPORTED,
                              "the tool %.*s is strict, but this model's format of calls cannot enforce its schema: %s",
                              (int)t->name.length, t->name.data, why);
}

/* ------------------------------------------------------------------------------------- parts of a structure */

static void put_json(void *user, const char *bytes, size_t length) { answer_put(user, bytes, length); }

static void next(writer *w) {
    if (!w->named) json_next(&w->json);
    w->named = false;
}

static void open_part(writer *w, char bracket) {
    next(w);
    json_begin(&w->json, bracket);
}

static void close_part(writer *w, char bracket) { json_end(&w->json, bracket); }

static void put_quoted(writer *w, cllm_string text) {
    answer_put(&w->out, "\"", 1);
    answer_put_escaped(&w->out, text.data, text.length);
    answer_put(&w->out, "\"", 1);
}

static void put_name(writer *w, cllm_string name) {
    json_next(&w->json);
    put_quoted(w, name);
    json_after_name(&w->json);
    w->named = true;
}

static void open_object(writer *w, const char *name) {
    open_part(w, '{');
    put_name(w, text_of(name));
}

static void put_literal(writer *w, cllm_string text) {
    if (text.length == 0 && !w->named) return;
    next(w);
    put_quoted(w, text);
}

static void put_words(writer *w, const char *text) { put_literal(w, text_of(text)); }

static void put_value(writer *w, const json_value *value) {
    next(w);
    json_write(&w->json, value);
}

static void put_regex(writer *w, const char *expression) {
    open_object(w, "regex");
    put_words(w, expression);
    close_part(w, '}');
}

/* Optional white space: models vary it, and readers allow it. */
static void put_space(writer *w) { put_regex(w, "[ \\t\\r\\n]{0,4}"); }

static void open_repeat(writer *w) {
    open_object(w, "repeat");
    open_part(w, '[');
}

static void put_count(writer *w, const char *name, unsigned count) {
    char number[16];
    snprintf(number, sizeof number, "%u", count);
    put_name(w, text_of(name));
    next(w);
    answer_put(&w->out, number, strlen(number));
}

/* most: 0 means any number of times. */
static void close_repeat(writer *w, unsigned least, unsigned most) {
    close_part(w, ']');
    put_count(w, "least", least);
    if (most > 0) put_count(w, "most", most);
    close_part(w, '}');
}

static void put_optional(writer *w, cllm_string text) {
    if (text.length == 0) return;
    open_repeat(w);
    put_literal(w, text);
    close_repeat(w, 0, 1);
}

static void open_any(writer *w) {
    open_object(w, "any");
    open_part(w, '[');
}

static void close_any(writer *w) {
    close_part(w, ']');
    close_part(w, '}');
}

static void put_pieces(writer *w, const answer_pieces *pieces, size_t from, size_t end) {
    for (size_t i = from; i < end; i++) {
        put_literal(w, pieces->items[i]);
        put_space(w);
    }
}

/* Any text up to one of these marks. */
static void put_free(writer *w, const cllm_string *marks, size_t n) {
    open_object(w, "without");
    open_part(w, '[');
    for (size_t i = 0; i < n; i++)
        if (marks[i].length > 0) put_literal(w, marks[i]);
    close_part(w, ']');
    close_part(w, '}');
}

/* ------------------------------------------------------------------------------------------------ arguments */

/* A model writes the arguments, so their schema is closed: see CLLM_GRAMMAR_JSON_SCHEMA_CLOSED. */
static void put_closed(writer *w) {
    const json_value yes = {.kind = JSON_BOOL, .boolean = true};
    put_name(w, text_of("closed"));
    put_value(w, &yes);
}

static void put_any_object(writer *w) {
    const json_value type = {.kind = JSON_STRING, .string = text_of("object")};
    open_object(w, "schema");
    open_object(w, "type");
    put_value(w, &type);
    close_part(w, '}');
    put_closed(w);
    close_part(w, '}');
}

/* Write the end of {"schema": ...}: the schema's name in messages, and the part to use if it cannot be enforced. */
static void close_schema(writer *w, const tool *t, bool any_value) {
    char name[128];
    snprintf(name, sizeof name, "the tool %.*s", t->name.length < 100 ? (int)t->name.length : 100, t->name.data);
    const json_value any = {.kind = JSON_BOOL, .boolean = true};
    put_name(w, text_of("name"));
    put_words(w, name);
    put_closed(w);
    if (!t->strict) {
        put_name(w, text_of("else"));
        if (any_value) {
            open_object(w, "schema");
            put_value(w, &any);
            put_closed(w);
            close_part(w, '}');
        } else {
            put_any_object(w);
        }
    }
    close_part(w, '}');
}

/* All arguments as a JSON object. */
static void put_object(writer *w, const tool *t) {
    const json_value no = {.kind = JSON_BOOL, .boolean = false},
                     object = {.kind = JSON_STRING, .string = text_of("object")};
    open_object(w, "schema");
    open_part(w, '{');
    for (uint32_t i = 0; t->parameters && i < t->parameters->count; i++) {
        const json_member *member = &t->parameters->members[i];
        if (gguf_is_text(member->name, "type")) continue; /* replaced below: arguments are always an object */
        put_name(w, member->name);
        put_value(w, &member->value);
    }
    put_name(w, text_of("type"));
    put_value(w, &object);
    if (!t->parameters) {
        put_name(w, text_of("additionalProperties"));
        put_value(w, &no);
    }
    close_part(w, '}');
    close_schema(w, t, false);
}

/* A schema's definitions are repeated for each argument. Where arguments have commas between them, the list is also
 * repeated for each argument that may come first. So a few megabytes of schemas may ask for more memory than there
 * is. */
enum { MOST_BYTES = 64 << 20 };

/* True if there is room for another argument. */
static bool has_room(writer *w) {
    if (w->status == CLLM_OK && w->out.length > MOST_BYTES)
        w->status = error_set(w->err, CLLM_ERR_UNSUPPORTED,
                              "the schemas of the tools are too large for this model's format of calls");
    return w->status == CLLM_OK;
}

/* One argument's value as JSON. Its schema gets the definitions of the whole schema, because it may refer to them. */
static void put_argument(writer *w, const tool *t, const json_value *schema) {
    static const char *const shared[] = {"$schema", "$defs", "definitions"};
    open_object(w, "schema");
    if (schema->kind == JSON_OBJECT) {
        open_part(w, '{');
        for (uint32_t i = 0; i < schema->count; i++) {
            put_name(w, schema->members[i].name);
            put_value(w, &schema->members[i].value);
        }
        for (int i = 0; i < 3; i++) {
            const json_value *of_all = json_find(t->parameters, shared[i]);
            if (!of_all || json_find(schema, shared[i])) continue;
            put_name(w, text_of(shared[i]));
            put_value(w, of_all);
        }
        close_part(w, '}');
    } else {
        put_value(w, schema);
    }
    close_schema(w, t, true);
}

/* True if an object has only members with these names. names: [n]. */
static bool has_only(const json_value *object, const char *const *names, size_t n) {
    for (uint32_t i = 0; object->kind == JSON_OBJECT && i < object->count; i++) {
        bool known = false;
        for (size_t k = 0; k < n; k++) known |= gguf_is_text(object->members[i].name, names[k]);
        if (!known) return false;
    }
    return true;
}

/* True if a schema allows every string: it sets no pattern, length or list of words. */
static bool is_plain(const json_value *schema) {
    static const char *const names[] = {"type", "description", "title", "default", "examples", "deprecated"};
    return has_only(schema, names, sizeof names / sizeof *names);
}

/* The "enum" of a schema, if all its items are strings; otherwise NULL. */
static const json_value *words_of(const json_value *schema) {
    const json_value *list = json_find(schema, "enum");
    for (uint32_t i = 0; list && list->kind == JSON_ARRAY && i < list->count; i++)
        if (list->items[i].kind != JSON_STRING) return NULL;
    return list && list->kind == JSON_ARRAY && list->count > 0 ? list : NULL;
}

/* A string without quotes, up to a mark. */
static void put_string(writer *w, const tool *t, const json_value *schema, cllm_string mark) {
    const json_value *words = words_of(schema);
    if (words) {
        open_any(w);
        for (uint32_t i = 0; i < words->count; i++) put_value(w, &words->items[i]);
        close_any(w);
        return;
    }
    if (t->strict && !is_plain(schema)) refuse(w, t, "strings are written without quotes and end only at a mark");
    put_free(w, &mark, 1);
}

/* A key and its value, between the format's marks. key "": any key. */
static void put_marked(writer *w, const tool *t, cllm_string key, const json_value *schema) {
    const answer_format *o = w->format;
    const bool tags = o->form == CALLS_TAGS;
    const bool is_string = key.length == 0 || answer_may_be_string(&w->tools, t->name, key);
    put_literal(w, o->key_open);
    if (key.length > 0)
        put_literal(w, key);
    else
        put_regex(w, "[A-Za-z0-9_.-]{1,64}");
    put_literal(w, tags ? text_of(">") : o->key_close.text);
    if (o->type_close.length > 0) {
        put_literal(w, is_string ? o->is_string : o->not_string);
        put_literal(w, o->type_close);
    }
    put_optional(w, o->key_close.after);
    if (is_string)
        put_string(w, t, schema, tags ? o->key_open : o->value_close.text);
    else
        put_argument(w, t, schema);
    put_optional(w, o->value_close.before);
    if (tags) {
        put_literal(w, o->key_open);
        put_words(w, "/");
        put_literal(w, key);
        put_words(w, ">");
    } else {
        put_literal(w, o->value_close.text);
    }
    put_space(w);
}

/* key="b" and key:<|"|>b<|"|> */
static void put_assigned(writer *w, const tool *t, cllm_string key, const json_value *schema) {
    static const char quote[] = "<|\"|>";
    const bool python = w->format->form == CALLS_PYTHON;
    put_literal(w, key);
    put_words(w, python ? "=" : ":");
    if (!python && answer_is_string(&w->tools, t->name, key) && (is_plain(schema) || words_of(schema))) {
        put_words(w, quote);
        put_string(w, t, schema, text_of(quote));
        put_words(w, quote);
    } else {
        put_argument(w, t, schema);
    }
}

static bool is_required(const tool *t, cllm_string key) {
    const json_value *list = t->parameters ? json_find(t->parameters, "required") : NULL;
    for (uint32_t i = 0; list && list->kind == JSON_ARRAY && i < list->count; i++)
        if (list->items[i].kind == JSON_STRING && equal(list->items[i].string, key)) return true;
    return false;
}

/* The properties that a call may write, in the order of the schema; NULL if the schema has no object of them. */
static const json_value *properties_of(writer *w, const tool *t) {
    static const char *const names[] = {"type",        "properties", "required", "additionalProperties",
                                        "description", "title",      "$schema",  "$defs",
                                        "definitions", "default",    "examples"};
    const json_value *all = t->parameters ? json_find(t->parameters, "properties") : NULL;
    if (t->strict && t->parameters && !has_only(t->parameters, names, sizeof names / sizeof *names))
        refuse(w, t, "arguments come one by one, each by its own schema");
    for (uint32_t i = 0; all && all->kind == JSON_OBJECT && i < all->count; i++)
        for (size_t k = 0; t->strict && k < all->members[i].name.length; k++)
            if (char_is_one_of(all->members[i].name.data[k], "<>\"\n=,(): {}'"))
                refuse(w, t, "the name of an argument has a space, a newline, a quote or one of <>=,:(){}");
    return all && all->kind == JSON_OBJECT ? all : NULL;
}

static void put_keys(writer *w, const tool *t) {
    const json_value *all = properties_of(w, t);
    if (!all || all->count == 0) { /* the tool takes any arguments, or none */
        const json_value no = {.kind = JSON_OBJECT};
        if (!t->parameters || t->strict || w->format->form == CALLS_TAGS) return;
        open_repeat(w);
        put_marked(w, t, text_of(""), &no);
        close_repeat(w, 0, 0);
        return;
    }
    for (uint32_t i = 0; i < all->count && has_room(w); i++) {
        const cllm_string key = all->members[i].name;
        if (key.length == 0) continue;
        open_repeat(w);
        put_marked(w, t, key, &all->members[i].value);
        close_repeat(w, is_required(t, key), 1);
    }
}

/* Arguments with commas between them. Only the first one that is written has no comma before it. So there is a choice
 * between the arguments that may be the first. */
static void put_list(writer *w, const tool *t) {
    const json_value *all = properties_of(w, t);
    const uint32_t n = all ? all->count : 0;
    uint32_t first = 0;
    open_any(w);
    for (bool open = true; first < n && open && has_room(w); first++) {
        open_part(w, '[');
        put_assigned(w, t, all->members[first].name, &all->members[first].value);
        for (uint32_t i = first + 1; i < n && has_room(w); i++) {
            open_repeat(w);
            put_words(w, ",");
            put_space(w);
            put_assigned(w, t, all->members[i].name, &all->members[i].value);
            close_repeat(w, is_required(t, all->members[i].name), 1);
        }
        close_part(w, ']');
        open = !is_required(t, all->members[first].name);
    }
    if (first == n && (n == 0 || !is_required(t, all->members[n - 1].name))) {
        open_part(w, '[');
        close_part(w, ']');
    }
    close_any(w);
}

/* ---------------------------------------------------------------------------------------------------- calls */

static const char any_id[] = "[A-Za-z0-9_-]{1,40}";

/* A call as the template writes it, with another name and other arguments. */
static void put_like(writer *w, const json_value *like, const tool *t, bool is_id) {
    if (like->kind == JSON_OBJECT && !json_find(like, ANSWER_KEY)) {
        put_words(w, "{");
        for (uint32_t i = 0; i < like->count; i++) {
            const cllm_string name = like->members[i].name;
            answer_text quoted = {0};
            if (i > 0) put_words(w, ",");
            put_space(w);
            answer_put(&quoted, "\"", 1);
            answer_put_escaped(&quoted, name.data, name.length);
            answer_put(&quoted, "\":", 2);
            put_literal(w, (cllm_string){quoted.bytes, quoted.length});
            w->out.failed |= quoted.failed;
            answer_text_free(&quoted);
            put_space(w);
            put_like(w, &like->members[i].value, t,
                     gguf_is_text(name, "id") || gguf_is_text(name, "tool_call_id") || gguf_is_text(name, "call_id"));
        }
        put_space(w);
        put_words(w, "}");
    } else if (like->kind == JSON_STRING && gguf_is_text(like->string, ANSWER_NAME)) {
        put_words(w, "\"");
        put_literal(w, t->name);
        put_words(w, "\"");
    } else if (is_id && like->kind == JSON_STRING) {
        put_words(w, "\"");
        put_regex(w, any_id);
        put_words(w, "\"");
    } else if (like->kind == JSON_OBJECT || (like->kind == JSON_STRING && like->string.length > sizeof ANSWER_KEY)) {
        put_object(w, t);
    } else {
        answer_text spelled = {0};
        json_writer to = {.put = put_json, .user = &spelled};
        json_write(&to, like);
        put_literal(w, (cllm_string){spelled.bytes, spelled.length});
        w->out.failed |= spelled.failed;
        answer_text_free(&spelled);
    }
}

static void put_json_call(writer *w, const tool *t) {
    static const char plain[] = "{\"name\": \"" ANSWER_NAME "\", \"arguments\": {\"" ANSWER_KEY "\": 1}}";
    arena a = {0};
    json_value like;
    const cllm_string own = w->format->call_object;
    if (w->format->name_is_key) {
        put_words(w, "{\"");
        put_literal(w, t->name);
        put_words(w, "\":");
        put_space(w);
        put_object(w, t);
        put_space(w);
        put_words(w, "}");
    } else {
        cllm_status status = json_read(own.data, own.length, &a, &like, NULL);
        if (status != CLLM_OK && status != CLLM_ERR_MEMORY)
            status = json_read(plain, sizeof plain - 1, &a, &like, NULL);
        if (status == CLLM_OK)
            put_like(w, &like, t, false);
        else
            w->status = error_set(w->err, CLLM_ERR_MEMORY, "no memory for a structure");
    }
    arena_free(&a);
}

static void put_name_json(writer *w, const tool *t) {
    const answer_format *o = w->format;
    if (o->id_end.length > 0) {
        put_regex(w, any_id);
        put_literal(w, o->id_end);
        put_space(w);
    }
    if (o->id_is_name) put_words(w, "functions.");
    put_literal(w, t->name);
    if (o->id_is_name) {
        put_words(w, ":");
        put_regex(w, "[0-9]{1,3}");
    }
    put_space(w);
    if (o->id_begin.length > 0) {
        put_literal(w, o->id_begin);
        put_regex(w, any_id);
        put_space(w);
    }
    put_literal(w, o->name_end);
    put_space(w);
    put_object(w, t);
}

static void put_call(writer *w, const tool *t) {
    const answer_format *o = w->format;
    open_part(w, '[');
    switch (o->form) {
    case CALLS_JSON: put_json_call(w, t); break;
    case CALLS_NAME_JSON: put_name_json(w, t); break;
    case CALLS_KEYS:
    case CALLS_TAGS:
        put_literal(w, t->name);
        put_space(w);
        put_literal(w, o->name_end);
        if (o->name_end_varies) put_regex(w, "[0-9]{1,3}");
        put_literal(w, o->name_end_rest);
        put_space(w);
        put_keys(w, t);
        break;
    case CALLS_PYTHON:
    case CALLS_BRACES:
        put_literal(w, t->name);
        put_words(w, o->form == CALLS_PYTHON ? "(" : "{");
        put_list(w, t);
        put_words(w, o->form == CALLS_PYTHON ? ")" : "}");
        break;
    case CALLS_MESSAGES: break; /* put_messages */
    }
    close_part(w, ']');
}

static void put_some_call(writer *w) {
    open_any(w);
    for (size_t i = 0; i < w->n_called && w->status == CLLM_OK; i++) put_call(w, &w->called[i]);
    close_any(w);
}

/* [call, call] */
static void put_call_list(writer *w) {
    open_part(w, '[');
    put_words(w, "[");
    put_space(w);
    put_some_call(w);
    if (!w->options->one_call) {
        open_repeat(w);
        put_space(w);
        put_words(w, ",");
        put_space(w);
        put_some_call(w);
        close_repeat(w, 0, 0);
    }
    put_space(w);
    put_words(w, "]");
    close_part(w, ']');
}

/* Calls one after the other, each between its marks. opened: the prompt has opened the first one. */
static void put_call_row(writer *w, bool opened) {
    const answer_format *o = w->format;
    const size_t n_outer = o->n_outer < o->open.count ? o->n_outer : o->open.count;
    const bool once = w->options->one_call || (o->bare && o->open.count == 0);
    open_part(w, '[');
    for (int i = 0; i < (opened && !once ? 2 : 1); i++) {
        const bool first = opened && i == 0;
        open_repeat(w);
        if (!first) put_pieces(w, &o->open, n_outer, o->open.count);
        put_some_call(w);
        put_space(w);
        put_pieces(w, &o->close, 0, o->n_inner);
        close_repeat(w, !opened || first, once || first);
    }
    close_part(w, ']');
}

static void put_calls(writer *w, bool opened) {
    const answer_format *o = w->format;
    const size_t n_outer = o->n_outer < o->open.count ? o->n_outer : o->open.count;
    size_t n_close = o->n_inner;
    for (bool ends = false; n_close < o->close.count && !ends; n_close += !ends)
        for (size_t i = 0; i < o->turn_end.count; i++) ends |= equal(o->close.items[n_close], o->turn_end.items[i]);
    open_part(w, '[');
    if (!opened) put_pieces(w, &o->open, 0, n_outer);
    if (o->assumed && o->form == CALLS_JSON) { /* some models write a list */
        open_any(w);
        open_part(w, '[');
        put_pieces(w, &o->open, n_outer, o->open.count);
        put_call_list(w);
        put_space(w);
        put_pieces(w, &o->close, 0, o->n_inner);
        close_part(w, ']');
        put_call_row(w, opened);
        close_any(w);
    } else if (o->in_list) {
        put_call_list(w);
    } else {
        put_call_row(w, opened);
    }
    if (n_close > o->n_inner) put_space(w);
    for (size_t i = o->n_inner; i < n_close; i++) {
        put_literal(w, o->close.items[i]);
        if (i + 1 < n_close) put_space(w);
    }
    close_part(w, ']');
}

/* -------------------------------------------------------------------------------------------------- answers */

/* gpt-oss: up to 3 messages of reasoning or comment, then the message that ends the answer. Its header names a
 * function. If no call is required, it may be a text for the user instead. */
static void put_messages(writer *w) {
    static const char *const marks[] = {"<|end|>", "<|start|>", "<|channel|>", "<|message|>", "<|call|>", "<|return|>"};
    static const char *const types[] = {"", " <|constrain|>json", "<|constrain|>json", " json", " code"};
    cllm_string ends[6];
    for (int i = 0; i < 6; i++) ends[i] = text_of(marks[i]);
    open_repeat(w);
    put_words(w, "<|channel|>");
    put_regex(w, "analysis|commentary");
    put_words(w, "<|message|>");
    put_free(w, ends, 6);
    put_words(w, "<|end|><|start|>assistant");
    close_repeat(w, 0, 3);
    open_any(w);
    for (size_t i = 0; i < w->n_called; i++)
        for (int order = 0; order < 2; order++) {
            open_part(w, '[');
            put_words(w, order ? " to=functions." : "<|channel|>commentary to=functions.");
            put_literal(w, w->called[i].name);
            if (order) put_words(w, "<|channel|>commentary");
            open_any(w);
            for (int k = 0; k < 5; k++) put_value(w, &(json_value){.kind = JSON_STRING, .string = text_of(types[k])});
            close_any(w);
            put_words(w, "<|message|>");
            put_object(w, &w->called[i]);
            close_part(w, ']');
        }
    if (!w->options->must_call && w->options->name.length == 0) {
        open_part(w, '[');
        put_words(w, "<|channel|>final<|message|>");
        put_free(w, ends, 6);
        close_part(w, ']');
    }
    close_any(w);
}

/* Text for the user, before a call or without one. */
static void put_content(writer *w, bool opened) {
    const answer_format *o = w->format;
    cllm_string marks[ANSWER_MOST_PIECES + 1], open = o->content_open.text;
    size_t n = 0;
    for (size_t i = 0; i < o->open.count; i++) {
        const cllm_string piece = o->open.items[i];
        if (i == 0 || memchr(piece.data, '<', piece.length) || memchr(piece.data, '[', piece.length))
            marks[n++] = piece;
    }
    if (opened && open.length > marks[n - 1].length) { /* the prompt contains the beginning of content_open too */
        open.data += marks[n - 1].length;
        open.length -= marks[n - 1].length;
    }
    marks[n++] = o->content_close.text;
    if (open.length > 0) {
        open_repeat(w);
        put_literal(w, open);
        close_repeat(w, opened, 1);
    }
    put_free(w, marks, n);
    put_optional(w, o->content_close.text);
    if (o->content_close.text.length > 0) put_space(w);
}

static void put_answer(writer *w, bool opened) {
    const answer_format *o = w->format;
    const bool must = w->options->must_call || w->options->name.length > 0;
    if (must) {
        put_space(w);
        put_calls(w, opened);
    } else if (o->bare || opened) { /* the beginning of the answer decides: a call, or text */
        open_any(w);
        put_calls(w, opened);
        open_part(w, '[');
        if (!opened) put_regex(w, o->form == CALLS_PYTHON ? "[^\\[\\s]" : "[^\\[{\\s]");
        put_content(w, opened);
        close_part(w, ']');
        close_any(w);
    } else {
        put_content(w, opened);
        open_repeat(w);
        put_calls(w, opened);
        close_repeat(w, 0, 1);
    }
}

/* ------------------------------------------------------------------------------------------------ the tools */

static bool is_name(cllm_string name) {
    for (size_t i = 0; i < name.length; i++) {
        const char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || char_is_one_of(c, "_-.:/")))
            return false;
    }
    return name.length > 0 && name.length <= 256;
}

static cllm_status list_tools(writer *w, tool *called) {
    const json_value *list = &w->tools.list;
    for (uint32_t i = 0; i < list->count; i++) {
        const json_value *function = answer_function(&list->items[i]);
        if (!function) continue;
        const json_value *parameters = json_find(function, "parameters"), *strict = json_find(function, "strict");
        const cllm_string name = json_find(function, "name")->string;
        if (w->options->name.length > 0 && !equal(name, w->options->name)) continue;
        if (!is_name(name))
            return error_set(w->err, CLLM_ERR_ARGUMENT, "'%.*s' cannot be called: a name has letters, digits and _-.:/",
                             name.length < 100 ? (int)name.length : 100, name.data);
        called[w->n_called++] = (tool){.name = name,
                                       .parameters = parameters && parameters->kind == JSON_OBJECT ? parameters : NULL,
                                       .strict = strict && strict->kind == JSON_BOOL && strict->boolean};
    }
    w->called = called;
    if (w->n_called > 0) return CLLM_OK;
    if (w->options->name.length == 0) return error_set(w->err, CLLM_ERR_ARGUMENT, "there is no tool to be called");
    return error_set(w->err, CLLM_ERR_ARGUMENT, "there is no tool '%.*s'",
                     w->options->name.length < 100 ? (int)w->options->name.length : 100, w->options->name.data);
}

cllm_status cllm_chat_call_structure(const cllm_chat *chat, const cllm_call_options *options, const cllm_part *prompt,
                                     size_t n_parts, char **structure, cllm_preamble *preamble, cllm_error *err) {
    writer w = {.format = &chat->format, .options = options, .err = err, .named = true, .tools = {.given = true}};
    arena a = {0};
    *structure = NULL;
    *preamble = (cllm_preamble){{"", 0}, {"", 0}, false};
    w.json = (json_writer){.put = put_json, .user = &w.out};
    cllm_status status = json_read(options->tools.data, options->tools.length, &a, &w.tools.list, err);
    if (status == CLLM_OK && w.tools.list.kind != JSON_ARRAY)
        status = error_set(err, CLLM_ERR_FORMAT, "tools must be an array, not %s", json_kind_name(w.tools.list.kind));
    tool *called = status == CLLM_OK ? arena_alloc(&a, w.tools.list.count + 1, sizeof *called) : NULL;
    if (status == CLLM_OK) status = called ? list_tools(&w, called) : CLLM_ERR_MEMORY;
    if (status == CLLM_OK) {
        open_part(&w, '[');
        if (w.format->form == CALLS_MESSAGES)
            put_messages(&w);
        else
            put_answer(&w, answer_prompt_opens_call(w.format, prompt, n_parts));
        close_part(&w, ']');
        answer_put(&w.out, "", 1);
        if (w.format->form != CALLS_MESSAGES) *preamble = answer_reasoning(w.format, prompt, n_parts);
        status = w.status;
    }
    arena_free(&a);
    if (status == CLLM_ERR_MEMORY || w.out.failed)
        status = error_set(err, CLLM_ERR_MEMORY, "no memory for a structure");
    if (status == CLLM_OK)
        *structure = w.out.bytes;
    else
        answer_text_free(&w.out);
    return status;
}
