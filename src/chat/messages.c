/* Messages on their way into a template. Before it: a client's JSON. After it: jinja.c.
 *
 * First they get the form that probes of the template have found: content as a text or as a list of parts, arguments as
 * an object or as a text. If the template still refuses the messages, they are changed: one system message at the
 * beginning, call ids of nine characters, neighbours of one role joined into one message, empty texts for missing
 * content, and finally the system message in the first user message. */
#include "chat/messages.h"

#include "base/error.h"
#include "chat/chat.h"
#include "gguf/gguf.h"

#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------- values, in an arena */

static bool is_text(const json_value *v, const char *text) {
    return v && v->kind == JSON_STRING && gguf_is_text(v->string, text);
}

static json_value text_value(const char *bytes, size_t length) {
    return (json_value){.kind = JSON_STRING, .string = {bytes, length}};
}

/* Set a member of an object, replacing the one with the same name. false: no memory. */
static bool set_member(arena *a, json_value *object, const char *name, json_value value) {
    json_member *members = arena_alloc(a, (uint64_t)object->count + 1, sizeof *members);
    if (!members) return false;
    if (object->count > 0) memcpy(members, object->members, object->count * sizeof *members);
    uint32_t at = 0;
    while (at < object->count && !gguf_is_text(members[at].name, name)) at++;
    members[at] = (json_member){{name, strlen(name)}, value};
    if (at == object->count) object->count++;
    object->members = members;
    return true;
}

static json_value copy_list(arena *a, const json_value *list) {
    json_value *items = arena_alloc(a, (uint64_t)list->count + 1, sizeof *items);
    if (!items) return (json_value){.kind = JSON_NULL};
    if (list->count > 0) memcpy(items, list->items, list->count * sizeof *items);
    return (json_value){.kind = JSON_ARRAY, .count = list->count, .items = items};
}

/* Text that grows in an arena. */
typedef struct text_builder {
    arena *arena;
    char *bytes;
    size_t length, capacity;
    bool failed;
} text_builder;

static void put(void *user, const char *bytes, size_t length) {
    text_builder *b = user;
    if (b->failed || length == 0) return;
    if (length > b->capacity - b->length) {
        const size_t capacity = 2 * (b->length + length);
        char *larger = arena_alloc(b->arena, capacity, 1);
        b->failed = !larger;
        if (!larger) return;
        if (b->length > 0) memcpy(larger, b->bytes, b->length);
        b->bytes = larger;
        b->capacity = capacity;
    }
    memcpy(b->bytes + b->length, bytes, length);
    b->length += length;
}

static json_value built(const text_builder *b) { return text_value(b->bytes ? b->bytes : "", b->length); }

/* ------------------------------------------------------------------------------------------------- content */

/* Append the text of a content, which is a text or a list of parts; the parts get newlines between them. */
static void put_content(text_builder *b, const json_value *content) {
    if (content && content->kind == JSON_STRING) put(b, content->string.data, content->string.length);
    if (!content || content->kind != JSON_ARRAY) return;
    for (uint32_t i = 0; i < content->count; i++) {
        const json_value *part = &content->items[i], *text = json_find(part, "text");
        if (i > 0) put(b, "\n", 1);
        if (part->kind == JSON_STRING) text = part;
        if (text && text->kind == JSON_STRING) put(b, text->string.data, text->string.length);
    }
}

/* Append more content after an empty line. */
static void join_content(text_builder *b, const json_value *content) {
    const size_t before = b->length;
    if (before > 0) put(b, "\n\n", 2);
    const size_t begin = b->length;
    put_content(b, content);
    if (b->length == begin) b->length = before;
}

static bool is_text_part(const json_value *part) {
    const json_value *type = json_find(part, "type");
    return part->kind == JSON_STRING || is_text(type, "text") || is_text(type, "input_text") ||
           is_text(type, "output_text") || (!type && json_find(part, "text"));
}

/* Bring parts into the form {"type": "text", "text": ...}. Only the result of a tool may have a part that is not text,
 * such as an image: a text that mentions it takes its place. */
static cllm_status check_parts(bool of_tool, json_value *content, arena *a, cllm_error *err) {
    static const char told[] = "(an image that this model cannot see)";
    json_value list = copy_list(a, content);
    if (list.kind != JSON_ARRAY) return error_set(err, CLLM_ERR_MEMORY, "no memory for messages");
    json_value *items = (json_value *)list.items;
    for (uint32_t i = 0; i < list.count; i++) {
        const json_value *type = json_find(&items[i], "type"), *text = json_find(&items[i], "text");
        const cllm_string name = type && type->kind == JSON_STRING ? type->string : (cllm_string){"unknown", 7};
        json_value said = text ? *text : items[i];
        if (!is_text_part(&items[i])) {
            if (!of_tool)
                return error_set(err, CLLM_ERR_UNSUPPORTED, "content of the type '%.*s' is not supported, only text",
                                 (int)(name.length < 100 ? name.length : 100), name.data);
            said = text_value(told, sizeof told - 1);
        }
        if (said.kind != JSON_STRING) return error_set(err, CLLM_ERR_ARGUMENT, "a part's text is not a string");
        items[i] = (json_value){.kind = JSON_OBJECT};
        if (!set_member(a, &items[i], "type", text_value("text", 4)) || !set_member(a, &items[i], "text", said))
            return error_set(err, CLLM_ERR_MEMORY, "no memory for messages");
    }
    *content = list;
    return CLLM_OK;
}

static cllm_status put_content_in_form(const message_forms *forms, bool of_tool, bool has_calls, json_value *message,
                                       arena *a, cllm_error *err) {
    const json_value *given = json_find(message, "content");
    json_value content = given ? *given : (json_value){.kind = JSON_NULL};
    if (content.kind == JSON_ARRAY) {
        const cllm_status status = check_parts(of_tool, &content, a, err);
        if (status != CLLM_OK) return status;
    }
    text_builder b = {.arena = a};
    if (content.kind == JSON_ARRAY && forms->content == WANTS_FIRST) {
        put_content(&b, &content);
        content = built(&b);
    } else if (content.kind == JSON_STRING && forms->content == WANTS_SECOND) {
        json_value *part = arena_alloc(a, 1, sizeof *part);
        if (part) *part = (json_value){.kind = JSON_OBJECT};
        b.failed =
            !part || !set_member(a, part, "type", text_value("text", 4)) || !set_member(a, part, "text", content);
        content = (json_value){.kind = JSON_ARRAY, .count = 1, .items = part};
    }
    const bool empty = content.kind == JSON_NULL || (content.kind == JSON_STRING && content.string.length == 0);
    if (empty && has_calls && forms->nothing == WANTS_FIRST) content = (json_value){.kind = JSON_NULL};
    if (empty && (forms->nothing == WANTS_SECOND || !has_calls)) content = text_value("", 0);
    if (b.failed || !set_member(a, message, "content", content))
        return error_set(err, CLLM_ERR_MEMORY, "no memory for messages");
    return CLLM_OK;
}

/* ---------------------------------------------------------------------------------------------- tool calls */

/* Turn arguments from a text into an object, by parsing it. A text that is not a JSON object becomes the only member of
 * an object. */
static bool parse_arguments(arena *a, json_value *arguments) {
    json_value read;
    const cllm_string text = arguments->string;
    const bool empty = text.length == 0;
    const cllm_status status = empty ? CLLM_ERR_FORMAT : json_read(text.data, text.length, a, &read, NULL);
    if (status == CLLM_ERR_MEMORY) return false;
    if (status == CLLM_OK && read.kind == JSON_OBJECT) {
        *arguments = read;
        return true;
    }
    read = (json_value){.kind = JSON_OBJECT};
    if (!empty && !set_member(a, &read, "arguments", *arguments)) return false;
    *arguments = read;
    return true;
}

static bool print_arguments(arena *a, json_value *arguments) {
    text_builder b = {.arena = a};
    json_writer w = {.put = put, .user = &b};
    json_write(&w, arguments);
    *arguments = built(&b);
    return !b.failed;
}

static bool put_calls_in_form(const message_forms *forms, json_value *message, arena *a) {
    json_value calls = copy_list(a, json_find(message, "tool_calls"));
    if (calls.kind != JSON_ARRAY) return false;
    json_value *items = (json_value *)calls.items;
    for (uint32_t i = 0; i < calls.count; i++) {
        const json_value *function = json_find(&items[i], "function");
        const json_value *given = json_find(function ? function : &items[i], "arguments");
        if (!given) continue;
        json_value arguments = *given, changed = function ? *function : items[i];
        bool made = true;
        if (forms->arguments == WANTS_FIRST && arguments.kind == JSON_STRING) made = parse_arguments(a, &arguments);
        if (forms->arguments == WANTS_SECOND && arguments.kind == JSON_OBJECT) made = print_arguments(a, &arguments);
        if (!made || !set_member(a, &changed, "arguments", arguments)) return false;
        if (!function)
            items[i] = changed;
        else if (!set_member(a, &items[i], "function", changed))
            return false;
    }
    return set_member(a, message, "tool_calls", calls);
}

cllm_status messages_in_form(const message_forms *forms, const json_value *messages, arena *a, json_value *out,
                             cllm_error *err) {
    if (messages->kind != JSON_ARRAY)
        return error_set(err, CLLM_ERR_ARGUMENT, "messages must be a list, not %s", json_kind_name(messages->kind));
    *out = copy_list(a, messages);
    if (out->kind != JSON_ARRAY) return error_set(err, CLLM_ERR_MEMORY, "no memory for messages");
    json_value *items = (json_value *)out->items;
    for (uint32_t i = 0; i < out->count; i++) {
        json_value *m = &items[i];
        const json_value *calls = json_find(m, "tool_calls"), *reasoning = json_find(m, "reasoning");
        const bool has_calls = calls && calls->kind == JSON_ARRAY && calls->count > 0;
        if (m->kind != JSON_OBJECT)
            return error_set(err, CLLM_ERR_ARGUMENT, "a message must be an object, not %s", json_kind_name(m->kind));
        cllm_status status = put_content_in_form(forms, is_text(json_find(m, "role"), "tool"), has_calls, m, a, err);
        if (status != CLLM_OK) return status;
        if ((has_calls && !put_calls_in_form(forms, m, a)) ||
            (reasoning && !json_find(m, "reasoning_content") && !set_member(a, m, "reasoning_content", *reasoning)))
            return error_set(err, CLLM_ERR_MEMORY, "no memory for messages");
    }
    return CLLM_OK;
}

cllm_status messages_extend_last(const json_value *messages, const char *more, arena *a, json_value *out,
                                 cllm_error *err) {
    const bool has_last = messages && messages->kind == JSON_ARRAY && messages->count > 0;
    const json_value *content = has_last ? json_find(&messages->items[messages->count - 1], "content") : NULL;
    text_builder b = {.arena = a};
    if (!content || content->kind != JSON_STRING)
        return error_set(err, CLLM_ERR_ARGUMENT,
                         "continue_final_message continues the text of the last message, but there is none");
    *out = copy_list(a, messages);
    put_content(&b, content);
    put(&b, more, strlen(more));
    if (out->kind != JSON_ARRAY || b.failed ||
        !set_member(a, (json_value *)&out->items[out->count - 1], "content", built(&b)))
        return error_set(err, CLLM_ERR_MEMORY, "no memory for messages");
    return CLLM_OK;
}

/* ------------------------------------------------------------------------------------------------ changes */

typedef struct message_list {
    arena *arena;
    json_value *items;
    uint32_t count;
} message_list;

static const json_value *role_of(const json_value *message) { return json_find(message, "role"); }

static bool is_system(const json_value *message) {
    return is_text(role_of(message), "system") || is_text(role_of(message), "developer");
}

/* Move all system messages into one at the beginning. Messages of the role `developer` count as system messages. */
static bool gather_systems(message_list *l) {
    json_value system = {.kind = JSON_OBJECT};
    text_builder b = {.arena = l->arena};
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        if (is_system(&l->items[i]))
            join_content(&b, json_find(&l->items[i], "content"));
        else
            l->items[n_left++] = l->items[i];
    }
    if (n_left == l->count) return true;
    memmove(l->items + 1, l->items, n_left * sizeof *l->items);
    l->count = n_left + 1;
    if (b.failed || !set_member(l->arena, &system, "role", text_value("system", 6)) ||
        !set_member(l->arena, &system, "content", built(&b)))
        return false;
    l->items[0] = system;
    return true;
}

/* Put the text of the system message at the beginning of the user message that follows. If no user message follows, the
 * system message becomes one. */
static bool give_system_to_user(message_list *l) {
    if (!gather_systems(l)) return false;
    if (l->count == 0 || !is_system(&l->items[0])) return true;
    if (!set_member(l->arena, &l->items[0], "role", text_value("user", 4))) return false;
    if (l->count < 2 || !is_text(role_of(&l->items[1]), "user")) return true;
    text_builder b = {.arena = l->arena};
    join_content(&b, json_find(&l->items[0], "content"));
    join_content(&b, json_find(&l->items[1], "content"));
    memmove(&l->items[0], &l->items[1], --l->count * sizeof *l->items);
    return !b.failed && set_member(l->arena, &l->items[0], "content", built(&b));
}

/* Replace an id by one of nine letters and digits. Equal ids stay equal. */
static bool shorten_id(arena *a, json_value *object, const char *name) {
    const json_value *id = json_find(object, name);
    if (!id || id->kind != JSON_STRING) return true;
    size_t n_plain = 0;
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (size_t i = 0; i < id->string.length; i++) {
        const char c = id->string.data[i];
        n_plain += (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        hash = (hash ^ (unsigned char)c) * 0x100000001B3u;
    }
    if (n_plain == 9 && id->string.length == 9) return true;
    char *made = arena_alloc(a, 9, 1);
    if (!made) return false;
    for (size_t i = 0; i < 9; i++, hash /= 36) made[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[hash % 36];
    return set_member(a, object, name, text_value(made, 9));
}

static bool shorten_ids(message_list *l) {
    for (uint32_t i = 0; i < l->count; i++) {
        const json_value *calls = json_find(&l->items[i], "tool_calls");
        if (!shorten_id(l->arena, &l->items[i], "tool_call_id")) return false;
        if (!calls || calls->kind != JSON_ARRAY) continue;
        const json_value copy = copy_list(l->arena, calls);
        for (uint32_t k = 0; copy.kind == JSON_ARRAY && k < copy.count; k++)
            if (!shorten_id(l->arena, (json_value *)&copy.items[k], "id")) return false;
        if (copy.kind != JSON_ARRAY || !set_member(l->arena, &l->items[i], "tool_calls", copy)) return false;
    }
    return true;
}

static bool has_calls(const json_value *message) {
    const json_value *calls = json_find(message, "tool_calls");
    return calls && calls->kind == JSON_ARRAY && calls->count > 0;
}

/* True if two neighbours may be joined into one message. */
static bool are_one(const json_value *m, const json_value *next) {
    const json_value *role = role_of(m), *next_role = role_of(next);
    return (is_text(role, "user") && is_text(next_role, "user")) ||
           (is_text(role, "assistant") && is_text(next_role, "assistant") && !has_calls(m));
}

/* Join neighbours of one role into one message, with the contents of all. The rest, such as calls, comes from the last
 * one. */
static bool join_neighbours(message_list *l) {
    uint32_t n_left = 0;
    for (uint32_t i = 0, end; i < l->count; i = end) {
        for (end = i + 1; end < l->count && are_one(&l->items[end - 1], &l->items[end]);) end++;
        json_value joined = l->items[end - 1];
        text_builder b = {.arena = l->arena};
        for (uint32_t k = i; end > i + 1 && k < end; k++) join_content(&b, json_find(&l->items[k], "content"));
        if (b.failed || (end > i + 1 && !set_member(l->arena, &joined, "content", built(&b)))) return false;
        l->items[n_left++] = joined;
    }
    l->count = n_left;
    return true;
}

static bool fill_contents(message_list *l) {
    for (uint32_t i = 0; i < l->count; i++) {
        const json_value *content = json_find(&l->items[i], "content");
        if (content && content->kind != JSON_NULL) continue;
        if (!set_member(l->arena, &l->items[i], "content", text_value("", 0))) return false;
    }
    return true;
}

bool messages_change(size_t n, const json_value *messages, arena *a, json_value *out) {
    static bool (*const changes[])(message_list *) = {gather_systems, shorten_ids,         join_neighbours,
                                                      fill_contents,  give_system_to_user, join_neighbours};
    *out = *messages;
    if (n >= sizeof changes / sizeof *changes) return false;
    const json_value copy = copy_list(a, messages); /* with room for one more */
    message_list list = {a, (json_value *)copy.items, messages->count};
    if (copy.kind != JSON_ARRAY || !changes[n](&list)) return false;
    *out = (json_value){.kind = JSON_ARRAY, .count = list.count, .items = list.items};
    return true;
}

/* ------------------------------------------------------------------------------------------------- probes */

/* A conversation for a probe, as JSON. */
#define PROBE(messages)     "{\"messages\": [" messages "], \"add_generation_prompt\": false}"
#define SAYS(role, content) "{\"role\": \"" role "\", \"content\": " content "}"
#define CALLS(content, arguments)                                         \
    "{\"role\": \"assistant\", \"content\": " content                     \
    ", \"tool_calls\": [{\"id\": \"probe0001\", \"type\": \"function\", " \
    "\"function\": {\"name\": \"probe_name\", \"arguments\": " arguments "}}]}"
#define TOOLS                                                                                                         \
    "{\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"probe_name\", \"description\": \"does it\", "   \
    "\"parameters\": {\"type\": \"object\", \"properties\": {\"probe_key\": {\"type\": \"string\", \"description\": " \
    "\"a text\"}}, \"required\": [\"probe_key\"]}}}]}"

static bool find(cllm_string text, const char *part) {
    const size_t length = strlen(part);
    for (size_t i = 0; i + length <= text.length; i++)
        if (memcmp(text.data + i, part, length) == 0) return true;
    return false;
}

typedef struct prober {
    const cllm_chat *chat;
    bool gave_up; /* the template exceeds a limit, or there is no memory: stop asking */
    bool no_memory;
} prober;

/* True if the template renders the conversation, and the text contains `shown`, but not `spoilt`. */
static bool renders(prober *p, const char *conversation, const char *shown, const char *spoilt) {
    const cllm_chat *chat = p->chat;
    arena a = {0};
    json_value objects[2];
    cllm_part *parts;
    size_t n_parts;
    text_builder b = {.arena = &a};
    cllm_status status = p->gave_up ? CLLM_ERR_UNSUPPORTED : json_read(TOOLS, strlen(TOOLS), &a, &objects[0], NULL);
    if (status == CLLM_OK) status = json_read(conversation, strlen(conversation), &a, &objects[1], NULL);
    if (status == CLLM_OK) status = chat_render(chat, objects, 2, 0, &a, &parts, &n_parts, NULL);
    if (status == CLLM_ERR_ARGUMENT) status = chat_render(chat, objects + 1, 1, 0, &a, &parts, &n_parts, NULL);
    bool rendered = status == CLLM_OK;
    for (size_t i = 0; rendered && i < n_parts; i++) put(&b, parts[i].text.data, parts[i].text.length);
    const cllm_string text = {b.bytes ? b.bytes : "", b.length};
    p->no_memory |= status == CLLM_ERR_MEMORY || b.failed;
    p->gave_up = status == CLLM_ERR_UNSUPPORTED || p->no_memory;
    rendered = rendered && !b.failed && find(text, shown) && !find(text, spoilt);
    arena_free(&a);
    return rendered;
}

/* The form that the template accepts. If it accepts both or neither, messages stay as they are. */
static wanted_form choose(bool first, bool second) {
    return first == second ? AS_IT_IS : first ? WANTS_FIRST : WANTS_SECOND;
}

bool message_forms_find(const cllm_chat *chat, message_forms *out) {
    const char *parts = "[{\"type\": \"text\", \"text\": \"probe_words\"}]";
    char user[256];
    snprintf(user, sizeof user, PROBE(SAYS("user", "%s")), parts);
    prober p = {.chat = chat};
    message_forms f;
    f.content = choose(renders(&p, PROBE(SAYS("user", "\"probe_words\"")), "probe_words", "\x01"),
                       renders(&p, user, "probe_words", "type"));
    f.arguments = choose(
        renders(&p, PROBE(SAYS("user", "\"x\"") "," CALLS("\"\"", "{\"probe_key\": \"probe_value\"}")), "probe_value",
                "'probe_key'"),
        renders(&p, PROBE(SAYS("user", "\"x\"") "," CALLS("\"\"", "\"{\\\"probe_key\\\": \\\"probe_value\\\"}\"")),
                "probe_value", "\\\"probe_key"));
    const char *arguments = f.arguments == WANTS_SECOND ? "\"{\\\"probe_key\\\": \\\"probe_value\\\"}\""
                                                        : "{\"probe_key\": \"probe_value\"}";
    char null[512], empty[512];
    snprintf(null, sizeof null, PROBE(SAYS("user", "\"x\"") "," CALLS("null", "%s")), arguments);
    snprintf(empty, sizeof empty, PROBE(SAYS("user", "\"x\"") "," CALLS("\"\"", "%s")), arguments);
    f.nothing = choose(renders(&p, null, "probe_value", "None"), renders(&p, empty, "probe_value", "\x01"));
    *out = f;
    return !p.no_memory;
}
