/* OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses, as its SDKs and Codex CLI use it.
 * Nothing is stored: a client sends the whole conversation each time.
 *
 *   instructions, input and tools -> a conversation in OpenAI's chat form -> ask_chat -> events -> items: reasoning,
 *   messages and calls */
#include "server/ask.h"
#include "server/dialects.h"
#include "server/messages.h"
#include "server/write.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------ conversation */

/* A client's request in chat form. Owns all but `o`. */
typedef struct conversation {
    const options *o; /* the model's, for notes */
    json_t *messages, *tools, *tool_choice;
    json_t *called;        /* names of called functions, by the ids of the calls */
    json_t *names;         /* functions in namespaces, by flat_name: {"namespace", "name"} */
    text_buffer reasoning; /* for the next message of the assistant */
} conversation;

static void drop_conversation(conversation *c) {
    json_decref(c->messages);
    json_decref(c->tools);
    json_decref(c->tool_choice);
    json_decref(c->called);
    json_decref(c->names);
    free(c->reasoning.bytes);
}

/* A string that the object must have. NULL: it is not there or not a string, and f says so. */
static json_t *wanted_string(const json_t *object, const char *name, const char *where, failure *f) {
    json_t *text = json_object_get(object, name);
    if (json_is_string(text)) return text;
    refuse(f, 400, where, "%s.%s: must be a string", where, name);
    return NULL;
}

/* Add the texts of content: a string, or a list of parts. A part without text is refused; in the result of a tool it
 * becomes a text that says that the model cannot see it. */
static bool add_texts(json_t **parts, const json_t *content, bool is_result, const char *where, failure *f) {
    const json_t *part;
    size_t i;
    if (json_is_string(content)) message_add_text(parts, json_string_value(content), json_string_length(content));
    if (content && !json_is_null(content) && !json_is_string(content) && !json_is_array(content))
        return refuse(f, 400, where, "%s: must be a string or an array of parts", where);
    json_array_foreach(content, i, part) {
        const json_t *text = json_object_get(part, message_is_type(part, "refusal") ? "refusal" : "text");
        if (json_is_string(text)) {
            message_add_text(parts, json_string_value(text), json_string_length(text));
        } else if (is_result) {
            message_add_unseen(parts, part);
        } else {
            return refuse(f, 400, where,
                          "%s[%zu]: this model reads only text, and cannot take a part of the type '%.60s'", where, i,
                          message_string(part, "type"));
        }
    }
    return true;
}

static json_t *last_message(const conversation *c) {
    const size_t n = json_array_size(c->messages);
    return n > 0 ? json_array_get(c->messages, n - 1) : NULL;
}

/* All leading system content becomes one message, because many templates accept only one. */
static bool join_system(conversation *c, const json_t *parts) {
    json_t *last = last_message(c), *part;
    text_buffer joined = {0};
    size_t i;
    const json_t *before = json_object_get(last, "content");
    bool good = !before || text_buffer_add(&joined, json_string_value(before), json_string_length(before));
    json_array_foreach(parts, i, part) {
        const json_t *text = json_object_get(part, "text");
        good = good && (joined.length == 0 || text_buffer_add(&joined, "\n\n", 2)) &&
               text_buffer_add(&joined, json_string_value(text), json_string_length(text));
    }
    json_t *content = json_stringn(joined.bytes ? joined.bytes : "", joined.length);
    free(joined.bytes);
    if (last) return json_object_set_new(last, "content", content) == 0 && good;
    json_add(&c->messages, message_create("system", content));
    return good && c->messages;
}

/* Add a message of the assistant, with the reasoning that came before it. */
static json_t *add_assistant(conversation *c, json_t *content) {
    json_t *message = message_create("assistant", content);
    if (c->reasoning.length > 0)
        json_put(&message, "reasoning_content", json_text(c->reasoning.bytes, c->reasoning.length));
    c->reasoning.length = 0;
    json_add(&c->messages, message);
    return last_message(c);
}

static bool take_message(conversation *c, const json_t *item, const char *where, failure *f) {
    const json_t *role = wanted_string(item, "role", where, f);
    char inner[64];
    if (!role) return false;
    const char *name = json_string_value(role);
    if (strcmp(name, "developer") == 0) name = "system"; /* few templates know developer */
    if (strcmp(name, "user") != 0 && strcmp(name, "assistant") != 0 && strcmp(name, "system") != 0)
        return refuse(f, 400, where, "%s.role: '%.40s' is not user, assistant, system or developer", where, name);
    const bool is_assistant = strcmp(name, "assistant") == 0, is_system = strcmp(name, "system") == 0;
    const bool is_first =
        json_array_size(c->messages) == 0 ||
        (json_array_size(c->messages) == 1 && strcmp(message_string(last_message(c), "role"), "system") == 0);
    json_t *parts = json_array();
    snprintf(inner, sizeof inner, "%s.content", where);
    bool good = add_texts(&parts, json_object_get(item, "content"), false, inner, f);
    if (good && is_system && is_first) {
        good = join_system(c, parts) || refuse_memory(f);
    } else if (good && is_assistant) {
        add_assistant(c, message_content(json_incref(parts)));
    } else if (good) {
        c->reasoning.length = 0; /* no message of the assistant followed it */
        json_add(&c->messages, message_create(name, message_content(json_incref(parts))));
    }
    json_decref(parts);
    return good;
}

/* In the chat a function in a namespace has one name: "namespace__name". */
static json_t *flat_name(const char *space, const char *name) {
    const size_t n = strlen(space);
    if (n == 0) return json_string(name);
    return json_sprintf("%s%s%s", space, n >= 2 && strcmp(space + n - 2, "__") == 0 ? "" : "__", name);
}

/* A call belongs to the message before it, if that is the assistant's and no reasoning came between them. Otherwise it
 * begins a new one. */
static bool take_call(conversation *c, const json_t *item, const char *where, failure *f) {
    const bool is_custom = message_is_type(item, "custom_tool_call");
    const json_t *id = wanted_string(item, "call_id", where, f), *name = wanted_string(item, "name", where, f),
                 *given = wanted_string(item, is_custom ? "input" : "arguments", where, f);
    if (!id || !name || !given) return false;
    json_t *flat = flat_name(message_string(item, "namespace"), json_string_value(name)), *whole = NULL;
    if (is_custom) whole = json_pack("{s:O}", "input", given);
    char *arguments = is_custom ? json_dumps(whole, JSON_COMPACT) : NULL;
    json_t *call =
        json_pack("{s:O, s:s, s:{s:O, s:o}}", "id", id, "type", "function", "function", "name", flat, "arguments",
                  is_custom ? json_string(arguments ? arguments : "") : json_incref((json_t *)given));
    json_t *last = last_message(c);
    json_object_set(c->called, json_string_value(id), flat);
    if (c->reasoning.length > 0 || strcmp(message_string(last, "role"), "assistant") != 0)
        last = add_assistant(c, json_null());
    if (!json_object_get(last, "tool_calls")) json_object_set_new(last, "tool_calls", json_array());
    const bool good = json_array_append_new(json_object_get(last, "tool_calls"), call) == 0;
    json_decref(whole);
    json_decref(flat);
    free(arguments);
    return good || refuse_memory(f);
}

static bool take_result(conversation *c, const json_t *item, const char *where, failure *f) {
    json_t *id = wanted_string(item, "call_id", where, f), *parts = json_array();
    char inner[64];
    snprintf(inner, sizeof inner, "%s.output", where);
    if (!id || !add_texts(&parts, json_object_get(item, "output"), true, inner, f)) {
        json_decref(parts);
        return false;
    }
    json_t *message = message_create("tool", message_content(parts)),
           *name = json_object_get(c->called, json_string_value(id));
    json_put(&message, "tool_call_id", json_incref(id));
    if (name) json_put(&message, "name", json_incref(name));
    c->reasoning.length = 0;
    json_add(&c->messages, message);
    return true;
}

/* The content of a reasoning item, or its summary if it has none; both may be null. */
static bool take_reasoning(conversation *c, const json_t *item, failure *f) {
    const json_t *content = json_object_get(item, "content"), *part;
    size_t i;
    if (json_array_size(content) == 0) content = json_object_get(item, "summary");
    json_array_foreach(content, i, part) {
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(text)) continue;
        if ((c->reasoning.length > 0 && !text_buffer_add(&c->reasoning, "\n\n", 2)) ||
            !text_buffer_add(&c->reasoning, json_string_value(text), json_string_length(text)))
            return refuse_memory(f);
    }
    return true;
}

static bool take_item(conversation *c, const json_t *item, size_t index, failure *f) {
    char where[32];
    snprintf(where, sizeof where, "input[%zu]", index);
    if (!json_is_object(item)) return refuse(f, 400, where, "%s: must be an object", where);
    const bool is_message = !field_find(item, "type") || message_is_type(item, "message");
    if (is_message) return take_message(c, item, where, f);
    if (message_is_type(item, "function_call") || message_is_type(item, "custom_tool_call"))
        return take_call(c, item, where, f);
    if (message_is_type(item, "function_call_output") || message_is_type(item, "custom_tool_call_output"))
        return take_result(c, item, where, f);
    if (message_is_type(item, "reasoning")) return take_reasoning(c, item, f);
    note(c->o, "%s: an item of the type '%.60s' is ignored", where, message_string(item, "type"));
    return true;
}

static bool take_input(conversation *c, const json_t *body, failure *f) {
    const json_t *instructions = field_find(body, "instructions"), *items = field_find(body, "input"), *item;
    json_t *parts = json_array();
    size_t i;
    bool good = add_texts(&parts, instructions, false, "instructions", f);
    if (good && json_array_size(parts) > 0) good = join_system(c, parts) || refuse_memory(f);
    json_decref(parts);
    if (!good) return false;
    if (json_is_string(items))
        json_add(&c->messages, message_create("user", json_incref((json_t *)items)));
    else if (!json_is_array(items))
        return refuse(f, 400, "input", "input: must be a text or an array of items");
    json_array_foreach(items, i, item) {
        if (!take_item(c, item, i, f)) return false;
    }
    if (!c->messages) return refuse_memory(f);
    return json_array_size(c->messages) > 0 || refuse(f, 400, "input", "input: there is no message in it");
}

/* ------------------------------------------------------------------------------------------------- tools */

/* The fields of a function are beside `type`, or in an object `function` as in chat completions. */
static bool take_function(conversation *c, const json_t *tool, const char *space, const char *where, failure *f) {
    static const char *const copied[] = {"description", "parameters", "strict"};
    const json_t *inner = field_find(tool, "function"), *from = inner ? inner : tool;
    const json_t *name = wanted_string(from, "name", where, f);
    if (!name) return false;
    json_t *flat = flat_name(space, json_string_value(name)), *function = json_object(), *made = json_object();
    if (*space)
        json_object_set_new(c->names, json_string_value(flat),
                            json_pack("{s:s, s:O}", "namespace", space, "name", name));
    json_put(&function, "name", flat);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const json_t *value = field_find(from, copied[i]);
        if (value) json_put(&function, copied[i], json_incref((json_t *)value));
    }
    json_put(&made, "type", json_string("function"));
    json_put(&made, "function", function);
    json_add(&c->tools, made);
    return true;
}

static bool take_tools(conversation *c, const json_t *tools, const char *space, failure *f) {
    const json_t *tool, *inner;
    size_t i;
    json_array_foreach(tools, i, tool) {
        char where[48];
        snprintf(where, sizeof where, "%stools[%zu]", *space ? "tools[]." : "", i);
        if (!json_is_object(tool)) return refuse(f, 400, where, "%s: must be an object", where);
        if (message_is_type(tool, "function")) {
            if (!take_function(c, tool, space, where, f)) return false;
        } else if (message_is_type(tool, "namespace") && !*space) {
            const json_t *name = wanted_string(tool, "name", where, f);
            inner = NULL;
            if (!name || !field_array(tool, "tools", &inner, f)) return false;
            if (json_string_length(name) > 0 && !take_tools(c, inner, json_string_value(name), f)) return false;
        } else {
            note(c->o, "%s: a tool of the type '%.60s' is ignored", where, message_string(tool, "type"));
        }
    }
    return c->tools || refuse_memory(f);
}

static json_t *name_of_choice(const json_t *wanted) {
    const json_t *inner = field_find(wanted, "function");
    return flat_name(message_string(wanted, "namespace"), message_string(inner ? inner : wanted, "name"));
}

/* {"type": "allowed_tools", "mode", "tools"}: remove the other tools. */
static void keep_allowed(conversation *c, const json_t *allowed) {
    json_t *kept = json_array(), *tool;
    const json_t *one;
    size_t i, k;
    json_array_foreach(c->tools, i, tool) {
        const char *name = message_string(json_object_get(tool, "function"), "name");
        bool found = false;
        json_array_foreach(allowed, k, one) {
            json_t *flat = name_of_choice(one);
            found |= flat && strcmp(json_string_value(flat), name) == 0;
            json_decref(flat);
        }
        if (found) json_add(&kept, json_incref(tool));
    }
    json_decref(c->tools);
    c->tools = kept;
}

static void take_choice(conversation *c, const json_t *wanted) {
    if (message_is_type(wanted, "function")) {
        c->tool_choice = json_pack("{s:s, s:{s:o}}", "type", "function", "function", "name", name_of_choice(wanted));
    } else if (message_is_type(wanted, "allowed_tools")) {
        const json_t *mode = field_find(wanted, "mode");
        keep_allowed(c, json_object_get(wanted, "tools"));
        c->tool_choice = mode ? json_incref((json_t *)mode) : NULL;
    } else {
        c->tool_choice = wanted ? json_incref((json_t *)wanted) : NULL;
    }
}

/* ------------------------------------------------------------------------------------------------ answer */

typedef enum item_kind { ITEM_NONE, ITEM_REASONING, ITEM_MESSAGE, ITEM_CALL } item_kind;

/* State of a stream: what has been sent. */
typedef struct stream_state {
    json_int_t n_events;
    size_t n_items;
    item_kind open;
    size_t call;       /* for ITEM_CALL */
    size_t begins;     /* where the open item begins in the outcome's text of its kind */
    size_t n_texts[3]; /* bytes of each kind that were sent */
} stream_state;

/* True if the client asked for a summary of the reasoning. It then gets the whole reasoning as the summary. */
static bool sums_up(const request *r) { return json_is_true(json_object_get(r->details, "sums_up")); }

static json_t *id_of_item(const request *r, item_kind kind, size_t index) {
    static const char *const prefixes[] = {"", "rs", "msg", "fc"};
    return json_sprintf("%s_%s%02zx", prefixes[kind], r->id + strlen("resp_"), index);
}

static json_t *text_of(const text_buffer *text, size_t begins, size_t length) {
    return json_text(length > 0 ? text->bytes + begins : "", length);
}

static json_t *part_of(const char *type, json_t *text) {
    json_t *part = json_object();
    json_put(&part, "type", json_string(type));
    if (strcmp(type, "output_text") == 0) {
        json_put(&part, "annotations", json_array());
        json_put(&part, "logprobs", json_array());
    }
    json_put(&part, "text", text);
    return part;
}

static const char *part_type(const request *r, item_kind kind) {
    return kind == ITEM_MESSAGE ? "output_text" : sums_up(r) ? "summary_text" : "reasoning_text";
}

static const json_t *spaced_name(const request *r, const called *call) {
    return json_object_get(json_object_get(r->details, "names"), call->name);
}

/* The name of a function as the client knows it. */
static json_t *shown_name(const request *r, const called *call) {
    const json_t *spaced = spaced_name(r, call);
    return spaced ? json_incref(json_object_get(spaced, "name")) : json_text(call->name, strlen(call->name));
}

/* An item of the output. text: its content or arguments; NULL: it has only begun. */
static json_t *item_of(const request *r, item_kind kind, size_t index, const called *call, json_t *text,
                       const char *status) {
    json_t *item = json_object(), *parts = json_array();
    json_put(&item, "id", id_of_item(r, kind, index));
    if (kind != ITEM_CALL && text) json_add(&parts, part_of(part_type(r, kind), text));
    switch (kind) {
    case ITEM_NONE: break;
    case ITEM_REASONING:
        json_put(&item, "type", json_string("reasoning"));
        if (sums_up(r)) {
            json_put(&item, "summary", json_incref(parts));
        } else {
            json_put(&item, "summary", json_array());
            json_put(&item, "content", json_incref(parts));
        }
        json_put(&item, "encrypted_content", json_null());
        break;
    case ITEM_MESSAGE:
        json_put(&item, "type", json_string("message"));
        json_put(&item, "role", json_string("assistant"));
        json_put(&item, "content", json_incref(parts));
        break;
    case ITEM_CALL:
        json_put(&item, "type", json_string("function_call"));
        json_put(&item, "call_id", json_string(call->id));
        json_put(&item, "name", shown_name(r, call));
        if (spaced_name(r, call))
            json_put(&item, "namespace", json_incref(json_object_get(spaced_name(r, call), "namespace")));
        json_put(&item, "arguments", text ? text : json_string(""));
    }
    json_decref(parts);
    json_put(&item, "status", json_string(status));
    return item;
}

static json_t *usage_of(const request *r) {
    const usage u = request_usage(r);
    return json_pack("{s:I, s:{s:I}, s:I, s:{s:I}, s:I}", "input_tokens", (json_int_t)u.n_prompt,
                     "input_tokens_details", "cached_tokens", (json_int_t)u.n_cached, "output_tokens",
                     (json_int_t)u.n_drawn, "output_tokens_details", "reasoning_tokens", (json_int_t)u.n_reasoning,
                     "total_tokens", (json_int_t)(u.n_prompt + u.n_drawn));
}

static bool is_cut(const request *r) {
    const finish reason = r->outcomes[0].finish;
    return reason == FINISH_LENGTH || reason == FINISH_CONTEXT;
}

static const char *final_status(const request *r) { return is_cut(r) ? "incomplete" : "completed"; }

/* The whole response object. output: its items so far, taken. */
static json_t *response_of(const request *r, const char *status, json_t *output) {
    json_t *o = json_copy(json_object_get(r->details, "asked"));
    const bool ended = strcmp(status, "completed") == 0 || strcmp(status, "incomplete") == 0;
    json_put(&o, "status", json_string(status));
    json_put(&o, "incomplete_details",
             strcmp(status, "incomplete") == 0 ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null());
    json_put(&o, "error", json_null());
    json_put(&o, "output", output);
    json_put(&o, "usage", ended ? usage_of(r) : json_null());
    return o;
}

/* Text between calls is joined into one message before them; a stream has every piece in its place. */
static json_t *responses_whole(request *r) {
    const outcome *a = &r->outcomes[0];
    json_t *output = json_array();
    size_t n = 0;
    const char *status = a->n_calls > 0 ? "completed" : final_status(r);
    if (a->reasoning.length > 0)
        json_add(&output, item_of(r, ITEM_REASONING, n++, NULL, text_of(&a->reasoning, 0, a->reasoning.length),
                                  a->content.length > 0 ? "completed" : status));
    if (a->content.length > 0)
        json_add(&output, item_of(r, ITEM_MESSAGE, n++, NULL, text_of(&a->content, 0, a->content.length), status));
    for (size_t i = 0; i < a->n_calls; i++)
        json_add(&output, item_of(r, ITEM_CALL, n++, &a->calls[i],
                                  text_of(&a->calls[i].arguments, 0, a->calls[i].arguments.length),
                                  i + 1 < a->n_calls ? "completed" : final_status(r)));
    return response_of(r, final_status(r), output);
}

/* ------------------------------------------------------------------------------------------------ stream */

static json_t *event_named(request *r, const char *type) {
    stream_state *s = r->state;
    json_t *o = json_object();
    json_put(&o, "type", json_string(type));
    json_put(&o, "sequence_number", json_integer(s->n_events++));
    return o;
}

static void write_response(request *r, text_buffer *out, const char *type, const char *status) {
    json_t *o = event_named(r, type);
    json_put(&o, "response", response_of(r, status, json_copy(json_object_get(r->details, "output"))));
    write_event(out, type, o);
}

static void responses_begin(request *r, text_buffer *out) {
    write_response(r, out, "response.created", "in_progress");
    write_response(r, out, "response.in_progress", "in_progress");
}

static void responses_wait(request *r, text_buffer *out) {
    write_response(r, out, "response.in_progress", "in_progress");
}

/* Write an event of the open item. type: its name, "response.WHAT". value: stored under its key, taken. */
static void write_item_event(request *r, text_buffer *out, const char *type, const char *key, json_t *value) {
    const stream_state *s = r->state;
    json_t *o = event_named(r, type);
    json_put(&o, "output_index", json_integer((json_int_t)s->n_items));
    if (strcmp(key, "item") != 0) {
        json_put(&o, "item_id", id_of_item(r, s->open, s->n_items));
        if (s->open != ITEM_CALL)
            json_put(&o, s->open == ITEM_REASONING && sums_up(r) ? "summary_index" : "content_index", json_integer(0));
    }
    if (strncmp(type, "response.output_text.", 21) == 0) json_put(&o, "logprobs", json_array());
    if (strcmp(key, "arguments") == 0) json_put(&o, "name", shown_name(r, &r->outcomes[0].calls[s->call]));
    json_put(&o, key, value);
    write_event(out, type, o);
}

/* The names of an item's events. */
typedef struct item_events {
    const char *part_added, *delta, *done, *part_done; /* part_added and part_done: NULL for a call */
} item_events;

static const item_events *events_of(const request *r, item_kind kind) {
    static const item_events summary = {"response.reasoning_summary_part.added",
                                        "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done",
                                        "response.reasoning_summary_part.done"},
                             reasoning = {"response.content_part.added", "response.reasoning_text.delta",
                                          "response.reasoning_text.done", "response.content_part.done"},
                             message = {"response.content_part.added", "response.output_text.delta",
                                        "response.output_text.done", "response.content_part.done"},
                             call = {NULL, "response.function_call_arguments.delta",
                                     "response.function_call_arguments.done", NULL};
    if (kind == ITEM_REASONING) return sums_up(r) ? &summary : &reasoning;
    return kind == ITEM_MESSAGE ? &message : &call;
}

static const called *open_call(const request *r) {
    const stream_state *s = r->state;
    return s->open == ITEM_CALL ? &r->outcomes[0].calls[s->call] : NULL;
}

static void close_item(request *r, text_buffer *out, const char *status) {
    stream_state *s = r->state;
    const outcome *a = &r->outcomes[0];
    if (s->open == ITEM_NONE) return;
    const item_events *names = events_of(r, s->open);
    const called *call = open_call(r);
    const text_buffer *text = s->open == ITEM_REASONING ? &a->reasoning : call ? &call->arguments : &a->content;
    const size_t length = s->n_texts[s->open - 1] - s->begins;
    write_item_event(r, out, names->done, call ? "arguments" : "text", text_of(text, s->begins, length));
    if (names->part_done)
        write_item_event(r, out, names->part_done, "part",
                         part_of(part_type(r, s->open), text_of(text, s->begins, length)));
    json_t *item = item_of(r, s->open, s->n_items, call, text_of(text, s->begins, length), status);
    json_array_append(json_object_get(r->details, "output"), item);
    write_item_event(r, out, "response.output_item.done", "item", item);
    s->n_items++;
    s->open = ITEM_NONE;
}

static void open_item(request *r, text_buffer *out, item_kind kind, size_t call) {
    stream_state *s = r->state;
    s->open = kind;
    s->call = call;
    if (kind == ITEM_CALL) s->n_texts[kind - 1] = 0; /* its arguments are a text of their own */
    s->begins = s->n_texts[kind - 1];
    const item_events *names = events_of(r, kind);
    write_item_event(r, out, "response.output_item.added", "item",
                     item_of(r, kind, s->n_items, open_call(r), NULL, "in_progress"));
    if (names->part_added)
        write_item_event(r, out, names->part_added, "part", part_of(part_type(r, kind), json_string("")));
}

static void responses_step(request *r, const event *e, text_buffer *out) {
    static const item_kind kinds[] = {[CLLM_DELTA_REASONING] = ITEM_REASONING,
                                      [CLLM_DELTA_CONTENT] = ITEM_MESSAGE,
                                      [CLLM_DELTA_CALL] = ITEM_CALL,
                                      [CLLM_DELTA_ARGUMENTS] = ITEM_CALL};
    stream_state *s = r->state;
    for (size_t i = 0; i < e->n_pieces; i++) {
        const piece *p = &e->pieces[i];
        const item_kind kind = kinds[p->kind];
        if (kind != s->open || p->kind == CLLM_DELTA_CALL) {
            close_item(r, out, "completed");
            open_item(r, out, kind, p->call);
        }
        if (p->kind == CLLM_DELTA_CALL || p->length == 0) continue;
        s->n_texts[kind - 1] += p->length;
        write_item_event(r, out, events_of(r, kind)->delta, "delta", json_text(p->text, p->length));
    }
}

static void responses_end(request *r, text_buffer *out) {
    close_item(r, out, final_status(r));
    write_response(r, out, is_cut(r) ? "response.incomplete" : "response.completed", final_status(r));
}

static const char *code_of(const failure *f) {
    if (f->code) return f->code;
    if (f->status == 503) return "server_is_overloaded";
    return f->status < 500 ? "invalid_prompt" : "server_error";
}

static void responses_fail(request *r, const failure *f, text_buffer *out) {
    json_t *o = event_named(r, "response.failed"),
           *response = response_of(r, "failed", json_copy(json_object_get(r->details, "output")));
    json_put(&response, "error",
             json_pack("{s:s, s:o}", "code", code_of(f), "message", json_text(f->message, strlen(f->message))));
    json_put(&o, "response", response);
    write_event(out, "response.failed", o);
}

static const answer_form responses_form = {.stream_type = "text/event-stream",
                                           .begin = responses_begin,
                                           .step = responses_step,
                                           .end = responses_end,
                                           .fail = responses_fail,
                                           .wait = responses_wait,
                                           .whole = responses_whole};

/* ----------------------------------------------------------------------------------------------- request */

/* {"format": {"type": "text" | "json_object" | "json_schema", "schema", "strict"}} */
static bool take_text_format(request *r, const json_t *text, failure *f) {
    const json_t *format = NULL, *schema;
    const char *type = "text";
    bool strict = false;
    if (!field_object(text, "format", &format, f) || !field_string(format, "type", &type, f)) return false;
    if (strcmp(type, "text") == 0) return true;
    if (strcmp(type, "json_object") == 0) {
        json_t *fields = json_pack("{s:{s:s}}", "response_format", "type", type);
        const bool good = fields ? ask_form(r, fields, f) : refuse_memory(f);
        json_decref(fields);
        return good;
    }
    if (strcmp(type, "json_schema") != 0)
        return refuse(f, 400, "text.format.type", "text.format.type: '%.60s' is not text, json_object or json_schema",
                      type);
    schema = field_find(format, "schema");
    if (!schema) return refuse(f, 400, "text.format.schema", "text.format.schema is missing");
    return field_bool(format, "strict", &strict, f) && ask_schema(r, "text.format.schema", schema, f);
}

/* Refuse what would need storage: earlier responses, stored prompts, and answers that are fetched later. */
static bool check_stateless(const json_t *body, failure *f) {
    static const char *const names[] = {"previous_response_id", "conversation", "prompt"};
    bool background = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (field_find(body, names[i]))
            return refuse(f, 400, names[i],
                          "%s: not supported, nothing is stored; send the whole conversation as input", names[i]);
    if (!field_bool(body, "background", &background, f)) return false;
    return !background ||
           refuse(f, 400, "background", "background: not supported, nothing is stored; stream the response instead");
}

/* Copy a field of the client's request into o. If the request does not have it, its value in o is `otherwise`, or null
 * if that is NULL. Takes `otherwise`. */
static void put_asked(json_t **o, const json_t *body, const char *name, json_t *otherwise) {
    const json_t *value = field_find(body, name);
    json_put(o, name, value ? json_incref((json_t *)value) : otherwise ? otherwise : json_null());
    if (value) json_decref(otherwise);
}

/* The response without its results. */
static json_t *asked_of(const request *r, const json_t *body) {
    json_t *o = json_object();
    json_put(&o, "id", json_string(r->id));
    json_put(&o, "object", json_string("response"));
    json_put(&o, "created_at", json_integer(r->created));
    json_put(&o, "status", json_null());
    json_put(&o, "background", json_false());
    json_put(&o, "error", json_null());
    json_put(&o, "incomplete_details", json_null());
    put_asked(&o, body, "instructions", NULL);
    put_asked(&o, body, "max_output_tokens", NULL);
    put_asked(&o, body, "max_tool_calls", NULL);
    json_put(&o, "model", json_text(r->model->name, strlen(r->model->name)));
    json_put(&o, "output", json_null());
    put_asked(&o, body, "parallel_tool_calls", json_true());
    json_put(&o, "previous_response_id", json_null());
    put_asked(&o, body, "reasoning", json_pack("{s:n, s:n}", "effort", "summary"));
    json_put(&o, "service_tier", json_string("default"));
    json_put(&o, "store", json_false());
    put_asked(&o, body, "temperature", json_float(r->sampling.temperature));
    put_asked(&o, body, "text", json_pack("{s:{s:s}}", "format", "type", "text"));
    put_asked(&o, body, "tool_choice", json_string("auto"));
    put_asked(&o, body, "tools", json_array());
    json_put(&o, "top_logprobs", json_integer(0));
    put_asked(&o, body, "top_p", json_float(r->sampling.top_p));
    json_put(&o, "truncation", json_string("disabled"));
    json_put(&o, "usage", json_null());
    put_asked(&o, body, "user", NULL);
    put_asked(&o, body, "metadata", json_object());
    json_put(&o, "seed", json_integer((json_int_t)r->sampling.seed));
    return o;
}

static bool take_conversation(request *r, const json_t *body, conversation *c, failure *f) {
    chat_request chat = {0};
    const json_t *tools = NULL, *reasoning = NULL, *text = NULL, *metadata = NULL;
    const char *summary = "none";
    bool parallel = true;
    int64_t most = -1;
    if (!check_stateless(body, f) || !field_bool(body, "stream", &r->streams, f) ||
        !field_array(body, "tools", &tools, f) || !field_object(body, "reasoning", &reasoning, f) ||
        !field_string(reasoning, "effort", &chat.reasoning_effort, f) ||
        !field_string(reasoning, "summary", &summary, f) || !field_object(body, "text", &text, f) ||
        !field_object(body, "metadata", &metadata, f) || !field_object(body, "chat_template_kwargs", &chat.kwargs, f) ||
        !field_bool(body, "parallel_tool_calls", &parallel, f) ||
        !field_whole(body, "max_output_tokens", -1, INT64_MAX, &most, f) || !ask_sampling(r, body, f) ||
        !take_text_format(r, text, f) || !ask_form(r, body, f))
        return false;
    if (most >= 0) r->n_most = (uint64_t)most;
    if (!take_input(c, body, f) || !take_tools(c, tools, "", f)) return false;
    take_choice(c, field_find(body, "tool_choice"));
    r->state = calloc(1, sizeof(stream_state));
    r->details = json_pack("{s:o, s:[], s:O, s:b}", "asked", asked_of(r, body), "output", "names", c->names, "sums_up",
                           strcmp(summary, "none") != 0);
    if (!r->state || !r->details) return refuse_memory(f);
    chat.messages = c->messages;
    chat.tools = c->tools;
    chat.tool_choice = c->tool_choice;
    chat.calls_one = !parallel;
    return ask_chat(r, &chat, f) && ask_end(r, f);
}

static bool take_response(request *r, const json_t *body, failure *f) {
    conversation c = {.o = &r->model->o,
                      .messages = json_array(),
                      .tools = json_array(),
                      .called = json_object(),
                      .names = json_object()};
    const bool good = take_conversation(r, body, &c, f);
    drop_conversation(&c);
    return good;
}

/* The client asked for a stream, but its conversation is too long. Report this in an event: clients then shorten the
 * conversation. */
static void answer_too_long(exchange *x, request *r, const failure *f) {
    text_buffer out = {0};
    write_response(r, &out, "response.created", "in_progress");
    responses_fail(r, f, &out);
    answer_text(x, 200, responses_form.stream_type, out.bytes ? out.bytes : "", out.length);
    free(out.bytes);
}

void openai_responses(exchange *x) {
    failure f = {0};
    const char *model = NULL;
    request *r = NULL;
    json_t *body = exchange_json(x, &f);
    const bool good = body && field_string(body, "model", &model, &f) &&
                      (r = ask_begin(model, REQUEST_CHAT, "resp_", &f)) && take_response(r, body, &f);
    json_decref(body);
    if (good) {
        r->form = &responses_form;
        return answer_request(x, r);
    }
    if (r && r->streams && f.n_prompt > 0)
        answer_too_long(x, r, &f);
    else
        answer_failure(x, &f);
    request_release(r);
}
