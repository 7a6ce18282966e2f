/* Messages as clients send them, and as a template takes them. Templates refuse what clients send: system messages in the middle, two users in
 * a row, arguments as text. What a template takes is found by rendering small conversations (probes), once. */
#ifndef CHAT_MESSAGES_H
#define CHAT_MESSAGES_H

#include "base/arena.h"
#include "base/json.h"
#include "cllm.h"

typedef enum wanted_form { AS_IT_IS, WANTS_FIRST, WANTS_SECOND } wanted_form;

/* What a template shows of a message. */
typedef struct message_forms {
    wanted_form content;   /* FIRST: a text; SECOND: a list of parts */
    wanted_form arguments; /* of a tool call. FIRST: an object; SECOND: its JSON as a text */
    wanted_form nothing;   /* the content beside tool calls. FIRST: null; SECOND: an empty text */
} message_forms;

message_forms message_forms_find(const cllm_chat *chat);

/* The messages of a conversation in these forms: a new list, in the arena. Of images in results of tools a text remains that says so.
 * Errors: ARGUMENT (messages are no list of objects), UNSUPPORTED (an image, a sound), MEMORY. */
cllm_status messages_in_form(const message_forms *forms, const json_value *messages, arena *a, json_value *out,
                             cllm_error *err);

/* What helps where a template still refuses them, in the order in which it is tried; each goes on from what the one before it made.
 * Returns false if there is no change number `n` any more. out: messages, or unchanged. */
bool messages_change(size_t n, const json_value *messages, arena *a, json_value *out);

/* The messages with more text at the end of the last one's content. messages: may be NULL. Errors: ARGUMENT (the last has no text), MEMORY. */
cllm_status messages_extend_last(const json_value *messages, const char *more, arena *a, json_value *out,
                                 cllm_error *err);

#endif
