/* cllm_template: a chat template that was read, to be rendered for any number of conversations. */
#include "base/error.h"
#include "chat/jinja.h"

#include <stdlib.h>
#include <string.h>

struct cllm_template {
    jinja_tree tree;
    arena arena;
};

cllm_status cllm_template_create(const char *source, size_t length, cllm_template **out, cllm_error *err) {
    *out = NULL;
    cllm_template *t = calloc(1, sizeof *t);
    if (!t) return error_set(err, CLLM_ERR_MEMORY, "no memory for a chat template");
    const cllm_status status = jinja_parse(source, length, &t->arena, &t->tree, err);
    if (status == CLLM_OK)
        *out = t;
    else
        cllm_template_destroy(t);
    return status;
}

void cllm_template_destroy(cllm_template *t) {
    if (!t) return;
    arena_free(&t->arena);
    free(t);
}

/* The members of all objects in turn; rendering takes the last of a name. */
static cllm_status join_objects(const cllm_string *objects, size_t n_objects, arena *a, json_value *out,
                                cllm_error *err) {
    *out = (json_value){.kind = JSON_OBJECT};
    for (size_t i = 0; i < n_objects; i++) {
        json_value object;
        cllm_status status = json_read(objects[i].data, objects[i].length, a, &object, err);
        if (status == CLLM_OK && object.kind != JSON_OBJECT)
            status = error_set(err, CLLM_ERR_ARGUMENT, "a template's variables are an object, not %s",
                               json_kind_name(object.kind));
        if (status != CLLM_OK) return status;
        json_member *members = arena_alloc(a, (uint64_t)out->count + object.count, sizeof *members);
        if (!members) return error_set(err, CLLM_ERR_MEMORY, "no memory for the variables of a template");
        if (out->count > 0) memcpy(members, out->members, out->count * sizeof *members);
        if (object.count > 0) memcpy(members + out->count, object.members, object.count * sizeof *members);
        *out = (json_value){.kind = JSON_OBJECT, .count = out->count + object.count, .members = members};
    }
    return CLLM_OK;
}

/* Parts in one block of memory, their texts behind them. */
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

cllm_status cllm_template_render(const cllm_template *t, const cllm_string *objects, size_t n_objects, int64_t now,
                                 cllm_part **parts, size_t *n_parts, cllm_error *err) {
    static const char *const of_vocabulary[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                "pad_token", "cls_token", "mask_token"};
    arena a = {0};
    json_value variables;
    cllm_part *rendered = NULL;
    *parts = NULL;
    *n_parts = 0;
    cllm_status status = join_objects(objects, n_objects, &a, &variables, err);
    if (status == CLLM_OK)
        status = jinja_render(&t->tree, &variables, of_vocabulary, sizeof of_vocabulary / sizeof *of_vocabulary, now,
                              &a, &rendered, n_parts, err);
    if (status == CLLM_OK) *parts = copy_parts(rendered, *n_parts);
    if (status == CLLM_OK && !*parts) status = error_set(err, CLLM_ERR_MEMORY, "no memory for a rendered text");
    if (status != CLLM_OK) *n_parts = 0;
    arena_free(&a);
    return status;
}
