/* cllm_chat: finds a model's template, and renders conversations with it. Before it: the file's metadata and its
 * tokenizer. After it: cllm_tokenizer_encode_parts. */
#include "chat/chat.h"

#include "base/error.h"
#include "chat/family_templates.h"
#include "gguf/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_KEY "tokenizer.chat_template"

/* --------------------------------------------------------------------------------------------- making a chat */

/* A text in the file's metadata, or NULL. */
static const cllm_string *find_text(const cllm_gguf *gguf, const char *key) {
    const cllm_value *value = gguf ? cllm_gguf_find(gguf, key) : NULL;
    return value && value->type == CLLM_STRING ? &value->string : NULL;
}

static cllm_status find_template(cllm_chat *chat, const cllm_chat_options *o, cllm_error *err) {
    char key[256] = OWN_KEY;
    if (o->name) snprintf(key, sizeof key, OWN_KEY ".%s", o->name);
    const cllm_string *own = find_text(o->gguf, key);
    const family_template *family = NULL;
    if (o->source.data || own) {
        chat->source = o->source.data ? o->source : *own;
        return CLLM_OK;
    }
    if (o->name)
        family = family_template_named(o->name);
    else if (o->gguf)
        family = family_template_of(o->gguf);
    if (!family && o->name)
        return error_set(err, CLLM_ERR_ARGUMENT, "there is no chat template '%s', neither in the file nor among %s",
                         o->name, family_template_names());
    if (!family)
        return error_set_at(err, CLLM_ERR_UNSUPPORTED, OWN_KEY, CLLM_NO_OFFSET,
                            "the file has no chat template (" OWN_KEY
                            "), and no known family has its special tokens; choose "
                            "%s or a file",
                            family_template_names());
    chat->source = (cllm_string){family->source, strlen(family->source)};
    if (!o->name)
        snprintf(
            chat->note, sizeof chat->note,
            "the file has no chat template; %s's is used, which fits its special tokens; a base model does not answer, "
            "it continues texts",
            family->family);
    return CLLM_OK;
}

/* The end mark of reasoning, with the white space that the template writes around it. */
static bool spell_reasoning_end(cllm_chat *chat) {
    const answer_mark *close = &chat->format.reasoning_close;
    const size_t length = close->before.length + close->text.length + close->after.length;
    if (close->text.length == 0) return true;
    char *text = arena_alloc(&chat->arena, length, 1), *at = text;
    const cllm_string pieces[] = {close->before, close->text, close->after};
    if (!text) return false;
    for (size_t i = 0; i < 3; at += pieces[i++].length)
        if (pieces[i].length > 0) memcpy(at, pieces[i].data, pieces[i].length);
    chat->reasoning_end = (cllm_string){text, length};
    return true;
}

/* The special tokens of the vocabulary as variables; a missing one is undefined. */
static bool name_tokens(cllm_chat *chat, const cllm_chat_options *o) {
    static const struct {
        const char *variable, *key;
    } names[] = {{"unk_token", "tokenizer.ggml.unknown_token_id"},
                 {"sep_token", "tokenizer.ggml.seperator_token_id"}, /* files spell it this way */
                 {"pad_token", "tokenizer.ggml.padding_token_id"},
                 {"cls_token", "tokenizer.ggml.cls_token_id"},
                 {"mask_token", "tokenizer.ggml.mask_token_id"},
                 {"bos_token", NULL},
                 {"eos_token", NULL}};
    enum { N_NAMES = sizeof names / sizeof *names };
    chat->variables.kind = JSON_OBJECT;
    if (!o->tokenizer) return true;
    json_member *members = arena_alloc(&chat->arena, N_NAMES, sizeof *members);
    if (!members) return false;
    chat->variables.members = members;
    for (size_t i = 0; i < N_NAMES; i++) {
        int32_t id = i + 2 == N_NAMES ? cllm_tokenizer_bos(o->tokenizer) : cllm_tokenizer_eos(o->tokenizer);
        if (names[i].key) {
            const cllm_value *value = o->gguf ? cllm_gguf_find(o->gguf, names[i].key) : NULL;
            id = value && value->type == CLLM_UINT32 && value->u <= INT32_MAX ? (int32_t)value->u : -1;
        }
        const cllm_string piece = cllm_tokenizer_piece(o->tokenizer, id);
        if (id < 0 || piece.length == 0) continue;
        const char *copy = arena_string(&chat->arena, piece.data, piece.length);
        if (!copy) return false;
        members[chat->variables.count++] = (json_member){{names[i].variable, strlen(names[i].variable)},
                                                         {.kind = JSON_STRING, .string = {copy, piece.length}}};
    }
    return true;
}

cllm_status cllm_chat_create(const cllm_chat_options *o, cllm_chat **out, cllm_error *err) {
    *out = NULL;
    cllm_chat *chat = calloc(1, sizeof *chat);
    if (!chat) return error_set(err, CLLM_ERR_MEMORY, "no memory for a chat template");
    cllm_status status = find_template(chat, o, err);
    if (status == CLLM_OK) {
        chat->source.data = arena_string(&chat->arena, chat->source.data, chat->source.length);
        if (!chat->source.data || !name_tokens(chat, o))
            status = error_set(err, CLLM_ERR_MEMORY, "no memory for a chat template");
    }
    if (status == CLLM_OK) status = jinja_parse(chat->source.data, chat->source.length, &chat->arena, &chat->tree, err);
    if (status == CLLM_OK) status = answer_format_find(chat, err);
    if (status == CLLM_OK) {
        if (!message_forms_find(chat, &chat->forms) || !spell_reasoning_end(chat))
            status = error_set(err, CLLM_ERR_MEMORY, "no memory for a chat template");
    }
    if (status == CLLM_OK) {
        *out = chat;
    } else {
        cllm_chat_destroy(chat);
    }
    return status;
}

void cllm_chat_destroy(cllm_chat *chat) {
    if (!chat) return;
    arena_free(&chat->arena);
    free(chat);
}

const char *cllm_chat_note(const cllm_chat *chat) { return chat->note; }
cllm_string cllm_chat_source(const cllm_chat *chat) { return chat->source; }
cllm_string cllm_chat_reasoning_end(const cllm_chat *chat) { return chat->reasoning_end; }

/* ------------------------------------------------------------------------------------------------- rendering */

/* The variables that turn reasoning off. Each template reads one of them. The level of effort is the lowest one that
 * the template's source mentions, because templates refuse levels that they do not know; "low" if it mentions none of
 * those below. */
static bool without_reasoning(const cllm_chat *chat, arena *a, json_value *out) {
    static const char *const efforts[] = {"no_think", "none", "minimal"};
    char text[160];
    const char *effort = "low";
    for (size_t i = sizeof efforts / sizeof *efforts; i-- > 0;) {
        char quoted[2][16];
        snprintf(quoted[0], sizeof quoted[0], "'%s'", efforts[i]);
        snprintf(quoted[1], sizeof quoted[1], "\"%s\"", efforts[i]);
        if (strstr(chat->source.data, quoted[0]) || strstr(chat->source.data, quoted[1])) effort = efforts[i];
    }
    snprintf(text, sizeof text,
             "{\"enable_thinking\": false, \"thinking\": false, \"thinking_budget\": 0, \"reasoning_effort\": \"%s\"}",
             effort);
    char *kept = arena_string(a, text, strlen(text));
    return kept && json_read(kept, strlen(kept), a, out, NULL) == CLLM_OK;
}

/* One object with the members of all. If a name occurs twice, rendering uses the last one. */
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

/* The value of a name in the last object that has it, or NULL. */
static const json_value *find_variable(const json_value *objects, size_t n_objects, const char *name) {
    for (size_t i = n_objects; i-- > 0;)
        if (json_find(&objects[i], name)) return json_find(&objects[i], name);
    return NULL;
}

/* Bring the messages into the template's form, and change them further while the template refuses them. objects:
 * [n_objects], and room for one more. */
static cllm_status render_messages(const cllm_chat *chat, json_value *objects, size_t n_objects, int64_t now, arena *a,
                                   cllm_part **parts, size_t *n_parts, cllm_error *err) {
    const json_value *given = find_variable(objects, n_objects, "messages");
    if (!given) return chat_render(chat, objects, n_objects, now, a, parts, n_parts, err);
    json_member member = {{"messages", 8}, {.kind = JSON_NULL}};
    cllm_status status = messages_in_form(&chat->forms, given, a, &member.value, err);
    if (status != CLLM_OK) return status;
    objects[n_objects] = (json_value){.kind = JSON_OBJECT, .count = 1, .members = &member};
    status = chat_render(chat, objects, n_objects + 1, now, a, parts, n_parts, err);
    cllm_error refusal; /* for changed messages; the caller gets the first refusal, or the error that ends the tries */
    for (size_t i = 0; status == CLLM_ERR_ARGUMENT && messages_change(i, &member.value, a, &member.value); i++) {
        status = messages_in_form(&chat->forms, &member.value, a, &member.value, &refusal);
        if (status == CLLM_OK) status = chat_render(chat, objects, n_objects + 1, now, a, parts, n_parts, &refusal);
        if (status != CLLM_OK && status != CLLM_ERR_ARGUMENT && err) *err = refusal;
    }
    return status;
}

/* ------------------------------------------------------------------------------- going on with the last message */

#define GOES_ON "\x02goes on here\x03"

/* Put a mark at the end of the last message's content, to find this place in the rendered text, and turn off the
 * generation prompt. objects: [*n_objects], and room for one more. */
static cllm_status mark_last(json_value *objects, size_t *n_objects, json_member members[2], arena *a,
                             cllm_error *err) {
    const json_value *given = find_variable(objects, *n_objects, "messages");
    members[0] = (json_member){{"messages", 8}, {.kind = JSON_NULL}};
    members[1] = (json_member){{"add_generation_prompt", 21}, {.kind = JSON_BOOL}};
    const cllm_status status = messages_extend_last(given, GOES_ON, a, &members[0].value, err);
    if (status == CLLM_OK) objects[(*n_objects)++] = (json_value){.kind = JSON_OBJECT, .count = 2, .members = members};
    return status;
}

/* Cut the text at the last mark. A mark is in one part, because all its bytes are untrusted. */
static cllm_status cut_at_mark(cllm_part *parts, size_t *n_parts, cllm_error *err) {
    const size_t length = strlen(GOES_ON);
    for (size_t i = *n_parts; i-- > 0;)
        for (size_t at = parts[i].text.length; at-- > 0;) {
            if (at + length > parts[i].text.length || memcmp(parts[i].text.data + at, GOES_ON, length) != 0) continue;
            parts[i].text.length = at;
            *n_parts = i + (at > 0);
            return CLLM_OK;
        }
    return error_set(err, CLLM_ERR_ARGUMENT,
                     "the template does not render the last message, so it cannot be continued");
}

/* ----------------------------------------------------------------------------------------- cllm_chat_render */

/* Copy parts and their texts into one block of memory. */
static cllm_part *copy_parts(const cllm_part *parts, size_t n_parts) {
    size_t length = 0;
    for (size_t i = 0; i < n_parts; i++) length += parts[i].text.length;
    cllm_part *copy = malloc(n_parts * sizeof *copy + length + 1);
    if (!copy) return NULL;
    char *text = (char *)(copy + n_parts);
    for (size_t i = 0; i < n_parts; i++) {
        memcpy(text, parts[i].text.data, parts[i].text.length);
        copy[i] = (cllm_part){parts[i].trusted, {text, parts[i].text.length}};
        text += parts[i].text.length;
    }
    return copy;
}

/* Parse the objects. objects: out, [n + 1], and room for two more; the first one holds the variables that the flags
 * set. */
static cllm_status read_objects(const cllm_chat *chat, const cllm_string *texts, size_t n, int flags, arena *a,
                                json_value **objects, cllm_error *err) {
    *objects = arena_alloc(a, (uint64_t)n + 3, sizeof **objects);
    if (!*objects) return error_set(err, CLLM_ERR_MEMORY, "no memory for the variables of a template");
    **objects = (json_value){.kind = JSON_OBJECT};
    if ((flags & CLLM_RENDER_NO_REASONING) && !without_reasoning(chat, a, *objects))
        return error_set(err, CLLM_ERR_MEMORY, "no memory for the variables of a template");
    for (size_t i = 0; i < n; i++) {
        json_value *object = *objects + 1 + i;
        cllm_status status = json_read(texts[i].data, texts[i].length, a, object, err);
        if (status == CLLM_OK && object->kind != JSON_OBJECT)
            status = error_set(err, CLLM_ERR_ARGUMENT, "a template's variables must be an object, not %s",
                               json_kind_name(object->kind));
        if (status != CLLM_OK) return status;
    }
    return CLLM_OK;
}

cllm_status cllm_chat_render(const cllm_chat *chat, const cllm_string *texts, size_t n_texts, int flags, int64_t now,
                             cllm_part **parts, size_t *n_parts, cllm_error *err) {
    arena a = {0};
    json_value *objects;
    json_member marked[2];
    cllm_part *rendered = NULL;
    *parts = NULL;
    *n_parts = 0;
    size_t n_objects = n_texts + 1;
    cllm_status status = read_objects(chat, texts, n_texts, flags, &a, &objects, err);
    const json_value *goes_on = status == CLLM_OK ? find_variable(objects, n_objects, "continue_final_message") : NULL;
    const bool cut = goes_on && goes_on->kind == JSON_BOOL && goes_on->boolean;
    if (cut) status = mark_last(objects, &n_objects, marked, &a, err);
    if (status == CLLM_OK)
        status = flags & CLLM_RENDER_AS_IS
                     ? chat_render(chat, objects, n_objects, now, &a, &rendered, n_parts, err)
                     : render_messages(chat, objects, n_objects, now, &a, &rendered, n_parts, err);
    if (status == CLLM_OK && cut) status = cut_at_mark(rendered, n_parts, err);
    if (status == CLLM_OK) *parts = copy_parts(rendered, *n_parts);
    if (status == CLLM_OK && !*parts) status = error_set(err, CLLM_ERR_MEMORY, "no memory for a rendered text");
    if (status != CLLM_OK) *n_parts = 0;
    arena_free(&a);
    return status;
}
