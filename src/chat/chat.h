/* cllm_chat: a model's chat template, and what was found out about it. It is made once and never changes.
 *
 *   messages -> messages.c: in the template's form -> jinja.c: text, each byte trusted or not -> the model
 *   -> answer.c: reasoning, content and tool calls */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "chat/answer_format.h"
#include "chat/jinja.h"
#include "chat/messages.h"

struct cllm_chat {
    arena arena;
    jinja_tree tree;
    cllm_string source;        /* of the template */
    json_value variables;      /* bos_token, eos_token ..., spelled as in the vocabulary */
    message_forms forms;       /* the form of messages that the template accepts */
    answer_format format;      /* the format of the model's answers */
    cllm_string reasoning_end; /* the mark that ends reasoning, with the white space around it; or "" */
    char note[160];
};

/* Render with the chat's own variables and those of `objects`, [n_objects]. If several of them have a variable of the
 * same name, the last one counts. parts: out, [*n_parts], in the arena `a`. Errors: those of jinja_render. */
cllm_status chat_render(const cllm_chat *chat, const json_value *objects, size_t n_objects, int64_t now, arena *a,
                        cllm_part **parts, size_t *n_parts, cllm_error *err);

#endif
