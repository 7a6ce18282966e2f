/* cllm_chat: what is known of how a model is talked to. Made once, then it never changes.
 *
 *   template -> messages.c: what messages does it take? -> rendering -> the model -> answer.c: reasoning, content and tool calls */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "chat/answer_format.h"
#include "chat/jinja.h"

struct cllm_chat {
    arena arena;
    jinja_tree tree;
    json_value variables; /* what the vocabulary spells: bos_token, eos_token ... */
    answer_format format;
};

/* Render with the chat's own variables and those of `objects`, [n_objects]; of a name that comes again the last counts. parts: out, [*n_parts],
 * in the arena `a`. Errors: those of cllm_chat_render. */
cllm_status chat_render(const cllm_chat *chat, const json_value *objects, size_t n_objects, int64_t now, arena *a,
                        cllm_part **parts, size_t *n_parts, cllm_error *err);

#endif
