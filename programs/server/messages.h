/* Messages in OpenAI's form. The other APIs turn their messages into these, for ask_chat. */
#ifndef SERVER_MESSAGES_H
#define SERVER_MESSAGES_H

#include <jansson.h>
#include <stdbool.h>

const char *message_string(const json_t *object, const char *name); /* "" if there is no such string */
bool message_is_type(const json_t *object, const char *type);       /* does its `type` equal type? */

/* Add a part of text. */
void message_add_text(json_t **parts, const char *text, size_t length);
void message_add_unseen(json_t **parts, const json_t *part); /* words about a part that a model cannot see */

/* Content: one text becomes a string, several become parts. Takes the parts. */
json_t *message_content(json_t *parts);

/* A message. Takes the content. */
json_t *message_create(const char *role, json_t *content);

#endif
