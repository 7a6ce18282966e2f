/* cllm_chat: a chat template, with what a model's vocabulary says for it. */
#include "chat/chat.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

cllm_status cllm_chat_create(const cllm_gguf *gguf, const cllm_string *source, cllm_chat **out, cllm_error *err) {
    (void)gguf;
    *out = NULL;
    cllm_chat *chat = calloc(1, sizeof *chat);
    if (!chat) return error_set(err, CLLM_ERR_MEMORY, "no memory for a chat template");
    chat->variables.kind = JSON_OBJECT;
    cllm_status status = jinja_parse(source->data, source->length, &chat->arena, &chat->tree, err);
    if (status == CLLM_OK) status = answer_format_find(chat, err);
    if (status == CLLM_OK)
        *out = chat;
    else
        cllm_chat_destroy(chat);
    return status;
}

void cllm_chat_destroy(cllm_chat *chat) {
    if (!chat) return;
    arena_free(&chat->arena);
    free(chat);
}

/* The members of all objects in turn; rendering takes the last of a name. */
static bool join_objects(const json_value *first, const json_value *objects, size_t n_objects, arena *a,
                         json_value *out) {
    uint64_t count = first->count;
    for (size_t i = 0; i < n_objects; i++) count += objects[i].count;
    json_member *members = arena_alloc(a, count, sizeof *members);
    if (!members || count > UINT32_MAX) return false;
    *out = (json_value){.kind = JSON_OBJECT, .members = members};
    for (size_t i = 0; i <= n_objects; i++) {
        const json_value *object = i == 0 ? first : &objects[i - 1];
        if (object->count > 0) memcpy(members + out->count, object->members, object->count * sizeof *members);
        out->count += object->count;
    }
    return true;
}

cllm_status chat_render(const cllm_chat *chat, const json_value *objects, size_t n_objects, int64_t now, arena *a,
                        cllm_part **parts, size_t *n_parts, cllm_error *err) {
    static const char *const of_vocabulary[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                "pad_token", "cls_token", "mask_token"};
    json_value variables;
    *parts = NULL;
    *n_parts = 0;
    if (!join_objects(&chat->variables, objects, n_objects, a, &variables))
        return error_set(err, CLLM_ERR_MEMORY, "no memory for the variables of a template");
    return jinja_render(&chat->tree, &variables, of_vocabulary, sizeof of_vocabulary / sizeof *of_vocabulary, now, a,
                        parts, n_parts, err);
}
