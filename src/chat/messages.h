/* Brings the messages of clients into the form that a template accepts. Templates refuse much of what clients send:
 * system messages in the middle, two user messages in a row, arguments as text. Small conversations (probes) are
 * rendered once, to find out what a template accepts.
 *
 *   a client's JSON -> messages_in_form -> jinja_render; if that fails: -> messages_change -> jinja_render again */
#ifndef CHAT_MESSAGES_H
#define CHAT_MESSAGES_H

#include "base/arena.h"
#include "base/json.h"
#include "cllm.h"

typedef enum wanted_form { AS_IT_IS, WANTS_FIRST, WANTS_SECOND } wanted_form;

/* The forms that a template accepts. */
typedef struct message_forms {
    wanted_form content;   /* FIRST: a text; SECOND: a list of parts */
    wanted_form arguments; /* of a tool call. FIRST: an object; SECOND: its JSON as a text */
    wanted_form nothing;   /* content of a message that only calls tools. FIRST: null; SECOND: an empty text */
} message_forms;

/* Probe the template. Returns false if there is no memory. */
bool message_forms_find(const cllm_chat *chat, message_forms *out);

/* Bring the messages of a conversation into these forms: a new list, in the arena. An image in a tool's result becomes
 * a text that mentions it. A message that has `reasoning`, but no `reasoning_content`, gets a copy under that name.
 * Errors: ARGUMENT (messages are not a list of objects, or a part's text is not a string), UNSUPPORTED (an image or a
 * sound in another message), MEMORY. */
cllm_status messages_in_form(const message_forms *forms, const json_value *messages, arena *a, json_value *out,
                             cllm_error *err);

/* Make change number `n`, which may help if a template still refuses the messages. Changes are tried in order, each on
 * the result of the one before. Returns false if there is no such change, or no memory. out: the messages, changed or
 * not. */
bool messages_change(size_t n, const json_value *messages, arena *a, json_value *out);

/* Append a text to the content of the last message. messages: may be NULL. Errors: ARGUMENT (the last message has no
 * text), MEMORY. */
cllm_status messages_extend_last(const json_value *messages, const char *more, arena *a, json_value *out,
                                 cllm_error *err);

#endif
