/* Anthropic's Messages API: https://docs.anthropic.com/en/api/messages, as its SDKs and Claude Code use it.
 *
 *   system, messages and tools -> a conversation in OpenAI's form -> ask_chat -> events -> content blocks */
#include "server/ask.h"
#include "server/dialects.h"
#include "server/messages.h"
#include "server/write.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------- failures */

static const char *type_of(int status) {
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503:
    case 529: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
    }
}

json_t *anthropic_failure(const failure *f) {
    json_t *error = json_object(), *body = json_object();
    char too_long[100];
    const char *message = f->message;
    if (f->n_prompt > 0) { /* clients look for these words, and then shorten the conversation */
        const size_t most = f->n_prompt > f->n_ctx ? f->n_ctx : f->n_prompt - 1;
        snprintf(too_long, sizeof too_long, "prompt is too long: %zu tokens > %zu maximum", f->n_prompt, most);
        message = too_long;
    }
    json_put(&error, "type", json_string(type_of(f->status)));
    json_put(&error, "message", json_text(message, strlen(message)));
    json_put(&body, "type", json_string("error"));
    json_put(&body, "error", error);
    json_put(&body, "request_id", *f->request_id ? json_string(f->request_id) : json_null());
    return body;
}

/* ------------------------------------------------------------------------------------------ conversation */

/* A client's request in OpenAI's form. Owns its JSON values; `chat` borrows them, and strings of the body. */
typedef struct conversation {
    json_t *messages, *tools, *tool_choice, *kwargs;
    json_t *names; /* names of called tools, by the ids of the calls */
    chat_request chat;
    bool omits_thinking; /* send thinking blocks without their text */
} conversation;

static void drop_conversation(conversation *c) {
    json_decref(c->messages);
    json_decref(c->tools);
    json_decref(c->tool_choice);
    json_decref(c->kwargs);
    json_decref(c->names);
}

static void add_text(json_t **parts, const json_t *text) {
    message_add_text(parts, json_string_value(text), json_string_length(text));
}

/* Add the text of a block. false: it is an image, a file or something else without text. */
static bool add_text_of(json_t **parts, const json_t *block) {
    const json_t *inner = NULL, *title = json_object_get(block, "title"), *item;
    size_t i;
    if (message_is_type(block, "text")) {
        inner = json_object_get(block, "text");
        title = NULL;
    } else if (message_is_type(block, "document")) {
        const json_t *source = json_object_get(block, "source");
        if (message_is_type(source, "text")) inner = json_object_get(source, "data");
        if (message_is_type(source, "content")) inner = json_object_get(source, "content");
    } else if (message_is_type(block, "search_result")) {
        inner = json_object_get(block, "content");
    }
    if (!json_is_string(inner) && !json_is_array(inner)) return false;
    if (json_is_string(title)) add_text(parts, title);
    if (json_is_string(inner)) add_text(parts, inner);
    json_array_foreach(inner, i, item) if (!add_text_of(parts, item)) return false;
    return true;
}

/* Mark a tool's result as failed if it says so. Content that a model cannot see is described in words. */
static json_t *result_of(const conversation *c, const json_t *block) {
    const json_t *content = json_object_get(block, "content"), *item, *id = json_object_get(block, "tool_use_id"),
                 *name = json_object_get(c->names, json_string_value(id));
    json_t *parts = json_array();
    size_t i;
    if (json_is_true(json_object_get(block, "is_error"))) message_add_text(&parts, "Error:", 6);
    if (json_is_string(content)) add_text(&parts, content);
    json_array_foreach(content, i, item) {
        if (!add_text_of(&parts, item)) message_add_unseen(&parts, item);
    }
    json_t *message = message_create("tool", message_content(parts));
    json_put(&message, "tool_call_id", json_incref((json_t *)id));
    if (name) json_put(&message, "name", json_incref((json_t *)name));
    return message;
}

static json_t *call_of(const json_t *block) {
    char *arguments = json_spelled(json_object_get(block, "input"));
    json_t *function = json_object(), *call = json_object();
    json_put(&function, "name", json_incref(json_object_get(block, "name")));
    json_put(&function, "arguments", arguments ? json_string(arguments) : NULL);
    json_put(&call, "id", json_incref(json_object_get(block, "id")));
    json_put(&call, "type", json_string("function"));
    json_put(&call, "function", function);
    free(arguments);
    return call;
}

/* The contents of the blocks of one message: all owned. */
typedef struct gathered {
    json_t *texts;   /* parts of text */
    json_t *calls;   /* tool calls */
    json_t *results; /* messages of the role tool */
    text_buffer reasoning;
} gathered;

static bool take_assistant_block(conversation *c, gathered *g, const json_t *block, const char *where, failure *f) {
    const json_t *name = json_object_get(block, "name"), *id = json_object_get(block, "id");
    if (message_is_type(block, "thinking")) {
        const json_t *text = json_object_get(block, "thinking");
        if (!json_is_string(text)) return refuse(f, 400, where, "%s.thinking: must be a string", where);
        return text_buffer_add(&g->reasoning, json_string_value(text), json_string_length(text)) || refuse_memory(f);
    }
    if (message_is_type(block, "tool_use")) {
        if (!json_is_string(name)) return refuse(f, 400, where, "%s.name: must be a string", where);
        if (!json_is_string(id)) return refuse(f, 400, where, "%s.id: must be a string", where);
        if (!json_is_object(json_object_get(block, "input")))
            return refuse(f, 400, where, "%s.input: must be an object", where);
        json_object_set(c->names, json_string_value(id), (json_t *)name);
        json_add(&g->calls, call_of(block));
        return true;
    }
    /* a block without text says what a tool on Anthropic's servers did; a model here cannot use it, so it is skipped */
    add_text_of(&g->texts, block);
    return true;
}

static bool take_user_block(const conversation *c, gathered *g, const json_t *block, const char *where, failure *f) {
    if (message_is_type(block, "tool_result")) {
        const json_t *content = field_find(block, "content");
        if (!json_is_string(json_object_get(block, "tool_use_id")))
            return refuse(f, 400, where, "%s.tool_use_id: must be a string", where);
        if (content && !json_is_string(content) && !json_is_array(content))
            return refuse(f, 400, where, "%s.content: must be a string or an array of blocks", where);
        json_add(&g->results, result_of(c, block));
        return true;
    }
    if (message_is_type(block, "text") && !json_is_string(json_object_get(block, "text")))
        return refuse(f, 400, where, "%s.text: must be a string", where);
    return add_text_of(&g->texts, block) ||
           refuse(f, 400, where, "%s: this model reads only text, and cannot take a block of the type '%.60s'", where,
                  message_string(block, "type"));
}

/* Results of tools come first, because they belong to the calls of the message before. */
static void add_message(conversation *c, const char *role, gathered *g) {
    const bool is_assistant = strcmp(role, "assistant") == 0;
    json_t *result;
    size_t i;
    json_array_foreach(g->results, i, result) json_add(&c->messages, json_incref(result));
    if (json_array_size(g->results) > 0 && json_array_size(g->texts) == 0) return;
    json_t *message = message_create(role, message_content(json_incref(g->texts)));
    if (is_assistant && g->reasoning.length > 0)
        json_put(&message, "reasoning_content", json_text(g->reasoning.bytes, g->reasoning.length));
    if (is_assistant && json_array_size(g->calls) > 0) json_put(&message, "tool_calls", json_incref(g->calls));
    json_add(&c->messages, message);
}

static bool take_message(conversation *c, const json_t *message, size_t index, failure *f) {
    char where[64];
    const char *role = message_string(message, "role");
    const json_t *content = json_object_get(message, "content"), *block;
    const bool is_assistant = strcmp(role, "assistant") == 0;
    size_t i;
    snprintf(where, sizeof where, "messages[%zu].role", index);
    if (!is_assistant && strcmp(role, "user") != 0 && strcmp(role, "system") != 0)
        return refuse(f, 400, where, "%s: must be user or assistant", where);
    snprintf(where, sizeof where, "messages[%zu].content", index);
    if (!json_is_string(content) && !json_is_array(content))
        return refuse(f, 400, where, "%s: must be a string or an array of blocks", where);
    gathered g = {.texts = json_array(), .calls = json_array(), .results = json_array()};
    bool good = true;
    if (json_is_string(content)) add_text(&g.texts, content);
    json_array_foreach(content, i, block) {
        snprintf(where, sizeof where, "messages[%zu].content[%zu]", index, i);
        if (!good) break;
        good = is_assistant ? take_assistant_block(c, &g, block, where, f) : take_user_block(c, &g, block, where, f);
    }
    if (good && !(g.texts && g.calls && g.results)) good = refuse_memory(f);
    if (good) add_message(c, role, &g);
    json_decref(g.texts);
    json_decref(g.calls);
    json_decref(g.results);
    free(g.reasoning.bytes);
    return good;
}

/* Add the text of a system block without its first line, if that is Claude Code's billing line. It changes with every
 * request, so nothing could be reused from the cache. */
static void add_system_text(json_t **parts, const json_t *text) {
    static const char billing[] = "x-anthropic-billing-header:";
    const char *from = json_string_value(text), *end = from + json_string_length(text);
    if (strncmp(from, billing, sizeof billing - 1) == 0) {
        const char *newline = memchr(from, '\n', (size_t)(end - from));
        from = newline ? newline + 1 : end;
        if (from == end) return;
    }
    message_add_text(parts, from, (size_t)(end - from));
}

static bool take_system(conversation *c, const json_t *system, failure *f) {
    const json_t *block;
    json_t *parts = json_array();
    size_t i;
    bool good = !system || json_is_string(system) || json_is_array(system) ||
                refuse(f, 400, "system", "system: must be a string or an array of text blocks");
    if (json_is_string(system)) add_system_text(&parts, system);
    json_array_foreach(system, i, block) {
        const json_t *text = json_object_get(block, "text");
        if (good && !json_is_string(text)) good = refuse(f, 400, "system", "system[%zu].text: must be a string", i);
        if (good) add_system_text(&parts, text);
    }
    if (good && (!parts || json_array_size(parts) > 0))
        json_add(&c->messages, message_create("system", message_content(parts)));
    else
        json_decref(parts);
    return good;
}

static json_t *tool_of(const json_t *given) {
    static const char *const same[] = {"name", "description", "strict"};
    json_t *function = json_object(), *tool = json_object();
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const json_t *value = field_find(given, same[i]);
        if (value) json_put(&function, same[i], json_incref((json_t *)value));
    }
    json_put(&function, "parameters", json_incref(json_object_get(given, "input_schema")));
    json_put(&tool, "type", json_string("function"));
    json_put(&tool, "function", function);
    return tool;
}

/* Only tools with a schema count. Tools that run on Anthropic's servers, such as web_search, have none. */
static bool take_tools(conversation *c, const json_t *body, failure *f) {
    const json_t *tools = NULL, *tool;
    size_t i;
    if (!field_array(body, "tools", &tools, f)) return false;
    json_array_foreach(tools, i, tool) {
        const json_t *schema = field_find(tool, "input_schema");
        if (!schema) continue;
        if (!json_is_string(json_object_get(tool, "name")))
            return refuse(f, 400, "tools", "tools[%zu].name: must be a string", i);
        if (!json_is_object(schema)) return refuse(f, 400, "tools", "tools[%zu].input_schema: must be an object", i);
        json_add(&c->tools, tool_of(tool));
    }
    return true;
}

static bool take_tool_choice(conversation *c, const json_t *body, failure *f) {
    const json_t *choice_of = NULL;
    if (!field_object(body, "tool_choice", &choice_of, f)) return false;
    if (!choice_of) return true;
    if (!field_bool(choice_of, "disable_parallel_tool_use", &c->chat.calls_one, f)) return false;
    if (message_is_type(choice_of, "auto") || message_is_type(choice_of, "none"))
        c->tool_choice = json_incref(json_object_get(choice_of, "type"));
    else if (message_is_type(choice_of, "any"))
        c->tool_choice = json_string("required");
    else if (message_is_type(choice_of, "tool") && *message_string(choice_of, "name"))
        c->tool_choice =
            json_pack("{s:s, s:{s:O}}", "type", "function", "function", "name", json_object_get(choice_of, "name"));
    else
        return refuse(f, 400, "tool_choice", "tool_choice: must have the type auto, any, none, or tool with a name");
    return c->tool_choice || refuse_memory(f);
}

/* Whether to think, and how much. budget_tokens is ignored, because the model decides how much it thinks. */
static bool take_thinking(conversation *c, const json_t *body, failure *f) {
    const json_t *thinking = NULL, *output = NULL;
    const char *effort = NULL, *display = "";
    if (!field_object(body, "thinking", &thinking, f) || !field_object(body, "output_config", &output, f) ||
        (output && !field_string(output, "effort", &effort, f)) ||
        (thinking && !field_string(thinking, "display", &display, f)))
        return false;
    c->chat.no_reasoning = thinking && message_is_type(thinking, "disabled");
    c->omits_thinking = strcmp(display, "omitted") == 0;
    const bool on = thinking && !c->chat.no_reasoning;
    if (on && !message_is_type(thinking, "enabled") && !message_is_type(thinking, "adaptive") &&
        !message_is_type(thinking, "between_tools"))
        return refuse(f, 400, "thinking", "thinking.type: must be enabled, adaptive or disabled");
    if (effort && (strcmp(effort, "xhigh") == 0 || strcmp(effort, "max") == 0))
        effort = "high"; /* the most that templates know */
    if (!c->chat.no_reasoning) c->chat.reasoning_effort = effort;
    c->kwargs = on ? json_pack("{s:b, s:b}", "enable_thinking", 1, "thinking", 1) : json_object();
    return c->kwargs || refuse_memory(f);
}

/* A last message of the assistant is the beginning of the answer. If it calls tools, their results must follow. */
static bool take_end(conversation *c, failure *f) {
    const json_t *last = json_array_get(c->messages, json_array_size(c->messages) - 1);
    if (strcmp(message_string(last, "role"), "assistant") != 0) return true;
    if (json_object_get(last, "tool_calls"))
        return refuse(f, 400, "messages", "messages: the last one has tool_use blocks without tool_result blocks");
    c->chat.continues = true;
    return true;
}

static bool take_conversation(conversation *c, const json_t *body, failure *f) {
    const json_t *messages = NULL, *message;
    size_t i;
    *c = (conversation){.messages = json_array(), .tools = json_array(), .names = json_object()};
    if (!field_array(body, "messages", &messages, f)) return false;
    if (json_array_size(messages) == 0) return refuse(f, 400, "messages", "messages: at least one message is required");
    if (!take_system(c, field_find(body, "system"), f)) return false;
    json_array_foreach(messages, i, message) if (!take_message(c, message, i, f)) return false;
    if (!take_tools(c, body, f) || !take_tool_choice(c, body, f) || !take_thinking(c, body, f)) return false;
    if (!c->messages || !c->tools || !c->names) return refuse_memory(f);
    c->chat.messages = c->messages;
    c->chat.tools = c->tools;
    c->chat.tool_choice = c->tool_choice;
    c->chat.kwargs = c->kwargs;
    return take_end(c, f);
}

/* ----------------------------------------------------------------------------------------------- answers */

typedef enum block_kind { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL } block_kind;

/* State of a stream: the open block, and how many have begun. */
typedef struct answer_state {
    block_kind open;
    size_t n_blocks;
    bool omits_thinking;
} answer_state;

/* Anthropic's servers check the signature; here it only has to exist. */
static const char signature[] = "mini-cllm";

static json_t *usage_of(const request *r, usage u) {
    if (u.n_prompt == 0) u.n_prompt = r->prompts[0].count; /* no event has come yet */
    return json_pack("{s:I, s:I, s:I, s:I}", "input_tokens", (json_int_t)(u.n_prompt - u.n_cached),
                     "cache_creation_input_tokens", (json_int_t)0, "cache_read_input_tokens", (json_int_t)u.n_cached,
                     "output_tokens", (json_int_t)u.n_drawn);
}

static const char *stop_reason(finish reason) {
    switch (reason) {
    case FINISH_NONE:
    case FINISH_FAILED: return NULL;
    case FINISH_STOP: return "end_turn";
    case FINISH_STOP_STRING: return "stop_sequence";
    case FINISH_LENGTH: return "max_tokens";
    case FINISH_CONTEXT: return "model_context_window_exceeded";
    case FINISH_CALLS: return "tool_use";
    }
    return NULL;
}

/* Add stop_reason and stop_sequence; both are null in a message that has just begun. */
static void put_stop(const request *r, json_t **o) {
    const outcome *a = &r->outcomes[0];
    const char *reason = stop_reason(a->finish);
    const cllm_string *sequence = a->finish == FINISH_STOP_STRING ? &r->stops[a->stop_string] : NULL;
    json_put(o, "stop_reason", reason ? json_string(reason) : json_null());
    json_put(o, "stop_sequence", sequence ? json_text(sequence->data, sequence->length) : json_null());
}

static json_t *message_with(const request *r, json_t *content) {
    json_t *o = json_object();
    json_put(&o, "id", json_string(r->id));
    json_put(&o, "type", json_string("message"));
    json_put(&o, "role", json_string("assistant"));
    json_put(&o, "model", json_text(r->model->name, strlen(r->model->name)));
    json_put(&o, "content", content);
    put_stop(r, &o);
    json_put(&o, "usage", usage_of(r, r->outcomes[0].usage));
    return o;
}

static json_t *text_block(const char *text, size_t length) {
    json_t *block = json_object();
    json_put(&block, "type", json_string("text"));
    json_put(&block, "text", json_text(text, length));
    return block;
}

static json_t *thinking_block(const char *text, size_t length, const char *signed_by) {
    json_t *block = json_object();
    json_put(&block, "type", json_string("thinking"));
    json_put(&block, "thinking", json_text(text, length));
    json_put(&block, "signature", json_string(signed_by));
    return block;
}

static json_t *call_block(const char *id, const char *name, json_t *arguments) {
    json_t *block = json_object();
    json_put(&block, "type", json_string("tool_use"));
    json_put(&block, "id", json_text(id, strlen(id)));
    json_put(&block, "name", json_text(name, strlen(name)));
    json_put(&block, "input", arguments);
    return block;
}

/* Arguments that were cut off count as empty. */
static json_t *input_of(const text_buffer *arguments) {
    json_t *value =
        arguments->length > 0 ? json_loadb(arguments->bytes, arguments->length, JSON_ALLOW_NUL, NULL) : NULL;
    if (json_is_object(value)) return value;
    json_decref(value);
    return json_object();
}

static json_t *message_whole(request *r) {
    const outcome *a = &r->outcomes[0];
    const answer_state *s = r->state;
    json_t *content = json_array();
    if (a->reasoning.length > 0)
        json_add(&content, thinking_block(a->reasoning.bytes, s->omits_thinking ? 0 : a->reasoning.length, signature));
    if (a->content.length > 0) json_add(&content, text_block(a->content.bytes, a->content.length));
    for (size_t i = 0; i < a->n_calls; i++)
        json_add(&content, call_block(a->calls[i].id, a->calls[i].name, input_of(&a->calls[i].arguments)));
    return message_with(r, content);
}

/* ----------------------------------------------------------------------------------------------- streams */

/* Write an event; its name is its type. Takes its other members. */
static void write_typed(text_buffer *out, const char *type, json_t *members) {
    json_t *o = json_object();
    json_put(&o, "type", json_string(type));
    if (o && members) json_object_update(o, members);
    json_decref(members);
    write_event(out, type, o);
}

static void write_delta(const answer_state *s, text_buffer *out, const char *type, const char *member, const char *text,
                        size_t length) {
    json_t *delta = json_object(), *o = json_object();
    json_put(&delta, "type", json_string(type));
    json_put(&delta, member, json_text(text, length));
    json_put(&o, "index", json_integer((json_int_t)s->n_blocks - 1));
    json_put(&o, "delta", delta);
    write_typed(out, "content_block_delta", o);
}

static void close_block(answer_state *s, text_buffer *out) {
    if (s->open == BLOCK_NONE) return;
    if (s->open == BLOCK_THINKING) write_delta(s, out, "signature_delta", "signature", signature, sizeof signature - 1);
    write_typed(out, "content_block_stop", json_pack("{s:I}", "index", (json_int_t)s->n_blocks - 1));
    s->open = BLOCK_NONE;
}

/* Open a block, after closing the one before it. */
static void open_block(answer_state *s, text_buffer *out, block_kind kind, json_t *block) {
    json_t *o = json_object();
    close_block(s, out);
    s->open = kind;
    json_put(&o, "index", json_integer((json_int_t)s->n_blocks++));
    json_put(&o, "content_block", block);
    write_typed(out, "content_block_start", o);
}

static void write_piece(answer_state *s, const piece *p, text_buffer *out) {
    if (p->length == 0 && p->kind != CLLM_DELTA_CALL) return;
    switch (p->kind) {
    case CLLM_DELTA_REASONING:
        if (s->open != BLOCK_THINKING) open_block(s, out, BLOCK_THINKING, thinking_block("", 0, ""));
        if (!s->omits_thinking) write_delta(s, out, "thinking_delta", "thinking", p->text, p->length);
        return;
    case CLLM_DELTA_CONTENT:
        if (s->open != BLOCK_TEXT) open_block(s, out, BLOCK_TEXT, text_block("", 0));
        write_delta(s, out, "text_delta", "text", p->text, p->length);
        return;
    case CLLM_DELTA_CALL:
        open_block(s, out, BLOCK_CALL, call_block(p->id ? p->id : "", p->text, json_object()));
        return;
    case CLLM_DELTA_ARGUMENTS: write_delta(s, out, "input_json_delta", "partial_json", p->text, p->length); return;
    }
}

/* The number of cached tokens is not known yet; message_delta gives it. */
static void stream_begin(request *r, text_buffer *out) {
    json_t *o = json_object();
    json_put(&o, "message", message_with(r, json_array()));
    write_typed(out, "message_start", o);
}

static void stream_step(request *r, const event *e, text_buffer *out) {
    for (size_t i = 0; i < e->n_pieces; i++) write_piece(r->state, &e->pieces[i], out);
}

static void stream_end(request *r, text_buffer *out) {
    json_t *delta = json_object(), *o = json_object();
    close_block(r->state, out);
    put_stop(r, &delta);
    json_put(&o, "delta", delta);
    json_put(&o, "usage", usage_of(r, r->outcomes[0].usage));
    write_typed(out, "message_delta", o);
    write_typed(out, "message_stop", NULL);
}

static void stream_fail(request *r, const failure *f, text_buffer *out) {
    failure told = *f;
    pthread_mutex_lock(&r->lock);
    if (r->exchange) memcpy(told.request_id, r->exchange->id, sizeof told.request_id);
    pthread_mutex_unlock(&r->lock);
    write_event(out, "error", anthropic_failure(&told));
}

static void stream_wait(request *r, text_buffer *out) {
    (void)r;
    write_typed(out, "ping", NULL);
}

static const answer_form message_form = {.stream_type = "text/event-stream",
                                         .begin = stream_begin,
                                         .step = stream_step,
                                         .end = stream_end,
                                         .fail = stream_fail,
                                         .wait = stream_wait,
                                         .whole = message_whole};

/* ---------------------------------------------------------------------------------------------- requests */

/* Make the answer JSON that fits a schema. */
static bool take_format(request *r, const json_t *body, failure *f) {
    const json_t *format = field_find(field_find(body, "output_config"), "format"),
                 *older = field_find(body, "output_format");
    const char *field = format ? "output_config.format" : "output_format";
    if (!format) format = older;
    if (!format) return true;
    if (!message_is_type(format, "json_schema")) return refuse(f, 400, field, "%s.type: must be json_schema", field);
    return ask_schema(r, field, json_object_get(format, "schema"), f);
}

static bool take_request(request *r, const conversation *c, const json_t *body, failure *f) {
    int64_t most = -1;
    if (!field_whole(body, "max_tokens", -1, INT64_MAX, &most, f) || !field_bool(body, "stream", &r->streams, f) ||
        !ask_sampling(r, body, f) || !ask_stops(r, "stop_sequences", field_find(body, "stop_sequences"), f) ||
        !take_format(r, body, f))
        return false;
    if (most >= 0) r->n_most = (uint64_t)most;
    answer_state *s = calloc(1, sizeof *s);
    if (!s) return refuse_memory(f);
    s->omits_thinking = c->omits_thinking;
    r->state = s;
    r->form = &message_form;
    return ask_chat(r, &c->chat, f) && ask_end(r, f);
}

/* Read the body into a request and its conversation. The caller owns both, even after false. */
static bool read_body(json_t *body, conversation *c, request **r, failure *f) {
    const char *model = NULL;
    return body && field_string(body, "model", &model, f) && take_conversation(c, body, f) &&
           (*r = ask_begin(model, REQUEST_CHAT, "msg_", f));
}

void anthropic_messages(exchange *x) {
    failure f = {0};
    conversation c = {0};
    request *r = NULL;
    json_t *body = exchange_json(x, &f);
    const bool good = read_body(body, &c, &r, &f) && take_request(r, &c, body, &f);
    drop_conversation(&c);
    json_decref(body);
    if (good) return answer_request(x, r);
    request_release(r);
    answer_failure(x, &f);
}

void anthropic_count_tokens(exchange *x) {
    failure f = {0};
    conversation c = {0};
    request *r = NULL;
    json_t *body = exchange_json(x, &f);
    bool good = read_body(body, &c, &r, &f);
    c.chat.tool_choice = NULL; /* not needed to render the prompt */
    good = good && ask_chat(r, &c.chat, &f);
    const size_t count = good ? r->prompts[0].count : 0;
    drop_conversation(&c);
    json_decref(body);
    request_release(r);
    if (!good) return answer_failure(x, &f);
    answer_json(x, 200, json_pack("{s:I}", "input_tokens", (json_int_t)count));
}
