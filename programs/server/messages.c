/* Implements messages.h. */
#include "server/messages.h"

#include "json_output.h"

#include <stdio.h>
#include <string.h>

const char *message_string(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

bool message_is_type(const json_t *object, const char *type) {
    return strcmp(message_string(object, "type"), type) == 0;
}

static void add_part(json_t **parts, json_t *text) {
    json_t *part = json_object();
    json_put(&part, "type", json_string("text"));
    json_put(&part, "text", text);
    json_add(parts, part);
}

void message_add_text(json_t **parts, const char *text, size_t length) { add_part(parts, json_stringn(text, length)); }

void message_add_unseen(json_t **parts, const json_t *part) {
    char words[80];
    const int n = snprintf(words, sizeof words, "[%.30s: this model reads only text]", message_string(part, "type"));
    add_part(parts, json_text(words, (size_t)n)); /* the type may be cut within a character */
}

json_t *message_content(json_t *parts) {
    if (!parts || json_array_size(parts) > 1) return parts;
    json_t *text =
        json_array_size(parts) == 1 ? json_incref(json_object_get(json_array_get(parts, 0), "text")) : json_string("");
    json_decref(parts);
    return text;
}

json_t *message_create(const char *role, json_t *content) {
    json_t *message = json_object();
    json_put(&message, "role", json_string(role));
    json_put(&message, "content", content);
    return message;
}
