/* Implements infill.h. The form of a prompt is that of https://arxiv.org/abs/2409.12186 (Qwen2.5-Coder), as
 * llama-server writes it:
 *
 *   [BOS] [repository]name [file]name text ... [file]name [prefix]... [suffix]... [middle]
 *
 * The marks of repositories and files are left out if the vocabulary does not have them. */
#include "server/infill.h"

#include "server/fill.h"
#include "server/models.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------------------------------ texts */

/* Add a user's text to the tokens. */
static bool add_text(const request *r, cllm_string text, id_list *to, failure *f) {
    const cllm_part part = {.trusted = false, .text = text};
    int32_t *tokens;
    size_t count;
    cllm_error err;
    if (cllm_tokenizer_encode_parts(cllm_model_tokenizer(r->model->run.model), &part, 1, CLLM_ENCODE_GOES_ON, &tokens,
                                    &count, &err) != CLLM_OK)
        return refuse(f, 400, NULL, "%s", err.message);
    bool added = true;
    for (size_t i = 0; added && i < count; i++) added = id_list_add(to, tokens[i]);
    cllm_free(tokens);
    return added || refuse_memory(f);
}

static bool add_name(const request *r, int32_t mark_before, cllm_string name, id_list *to, failure *f) {
    return (id_list_add(to, mark_before) || refuse_memory(f)) && add_text(r, name, to, f) &&
           add_text(r, (cllm_string){"\n", 1}, to, f);
}

static bool add_file(const request *r, const fill_tokens *marks, const json_t *file, size_t index, id_list *to,
                     failure *f) {
    char field[40];
    const json_t *text = field_find(file, "text"), *name = field_find(file, "filename");
    snprintf(field, sizeof field, "input_extra[%zu]", index);
    if (!json_is_string(text) || (name && !json_is_string(name)))
        return refuse(f, 400, field, "%s: must be an object with a text and a filename", field);
    const cllm_string said =
        name ? (cllm_string){json_string_value(name), json_string_length(name)} : (cllm_string){"tmp", 3};
    if (marks->file >= 0 && !add_name(r, marks->file, said, to, f)) return false;
    return add_text(r, (cllm_string){json_string_value(text), json_string_length(text)}, to, f) &&
           (marks->file >= 0 || add_text(r, (cllm_string){"\n", 1}, to, f));
}

/* Add the last files that fit, in their order. */
static bool add_files(const request *r, const fill_tokens *marks, const json_t *extra, size_t room, id_list *to,
                      failure *f) {
    const size_t n = json_array_size(extra);
    id_list *files = calloc(n + 1, sizeof *files);
    bool good = files || refuse_memory(f);
    size_t first = n;
    while (good && first > 0) {
        id_list *file = &files[first - 1];
        good = add_file(r, marks, json_array_get(extra, first - 1), first - 1, file, f);
        if (!good || file->count > room) break;
        room -= file->count;
        first--;
    }
    for (size_t i = 0; files && i < n; i++) {
        for (size_t k = 0; good && i >= first && k < files[i].count; k++)
            good = id_list_add(to, files[i].ids[k]) || refuse_memory(f);
        free(files[i].ids);
    }
    free(files);
    return good;
}

/* ------------------------------------------------------------------------------------------------ prompt */

/* Decide how much of prefix and suffix to keep. The suffix gets at least a quarter of the room, if it is that long. The
 * prefix is shortened by whole eighths of the room: while somebody types, it mostly begins at the same token, so the
 * cache can be used. Returns the room that is left. */
static size_t fit(size_t room, size_t *n_prefix, size_t *n_suffix) {
    if (*n_prefix + *n_suffix <= room) return room - *n_prefix - *n_suffix;
    const size_t rest = *n_prefix < room ? room - *n_prefix : 0, share = rest > room / 4 ? rest : room / 4;
    if (*n_suffix > share) *n_suffix = share;
    if (*n_prefix > room - *n_suffix) {
        const size_t step = room / 8 + 1, n_lost = *n_prefix - (room - *n_suffix);
        *n_prefix -= (n_lost + step - 1) / step * step;
    }
    return 0;
}

typedef struct parts {
    id_list head, prefix, suffix; /* head: everything before the prefix mark, except files */
} parts;

static bool encode(const request *r, const gap *wanted, const fill_tokens *marks, parts *p, failure *f) {
    const cllm_tokenizer *t = cllm_model_tokenizer(r->model->run.model);
    if (cllm_tokenizer_adds_bos(t) && cllm_tokenizer_bos(t) >= 0 && !id_list_add(&p->head, cllm_tokenizer_bos(t)))
        return refuse_memory(f);
    if (marks->repository >= 0 && !add_name(r, marks->repository, (cllm_string){"myproject", 9}, &p->head, f))
        return false;
    return add_text(r, wanted->prefix, &p->prefix, f) && add_text(r, wanted->middle, &p->prefix, f) &&
           add_text(r, wanted->suffix, &p->suffix, f);
}

static bool add_gap(const request *r, const fill_tokens *marks, const parts *p, size_t n_prefix, size_t n_suffix,
                    id_list *to) {
    const bool suffix_first = r->model->o.spm_infill || marks->middle < 0;
    const int32_t *prefix = p->prefix.ids + (p->prefix.count - n_prefix);
    bool added = true;
    for (int i = 0; i < 2; i++) {
        const bool is_prefix = (i == 0) != suffix_first;
        added = added && id_list_add(to, is_prefix ? marks->prefix : marks->suffix);
        for (size_t k = 0; added && k < (is_prefix ? n_prefix : n_suffix); k++)
            added = id_list_add(to, is_prefix ? prefix[k] : p->suffix.ids[k]);
    }
    return added && (marks->middle < 0 || id_list_add(to, marks->middle));
}

static bool build(const request *r, const gap *wanted, const fill_tokens *marks, parts *p, failure *f) {
    const size_t n_ctx = r->n_limit > 0 && r->n_limit < r->model->n_ctx ? r->n_limit : r->model->n_ctx;
    const size_t quarter = n_ctx / 4 + 1, n_new = r->n_most < quarter ? (size_t)r->n_most : quarter;
    if (!encode(r, wanted, marks, p, f)) return false;
    id_list name = {0}; /* of the file with the gap */
    bool good = marks->file < 0 || add_name(r, marks->file, (cllm_string){"filename", 8}, &name, f);
    const size_t n_fixed = p->head.count + name.count + 3 + n_new;
    if (good && n_fixed + 8 > n_ctx)
        good = refuse_length(f, n_fixed + p->prefix.count + p->suffix.count, n_ctx, model_may_grow(r->model, n_ctx));
    if (good) {
        size_t n_prefix = p->prefix.count, n_suffix = p->suffix.count;
        const size_t n_free = fit(n_ctx - n_fixed, &n_prefix, &n_suffix);
        good = add_files(r, marks, wanted->extra, n_free, &p->head, f);
        bool added = true;
        for (size_t i = 0; good && added && i < name.count; i++) added = id_list_add(&p->head, name.ids[i]);
        if (good) good = (added && add_gap(r, marks, p, n_prefix, n_suffix, &p->head)) || refuse_memory(f);
    }
    free(name.ids);
    return good;
}

bool ask_infill(request *r, const gap *wanted, failure *f) {
    fill_tokens marks;
    parts p = {0};
    if (!find_fill_tokens(cllm_model_gguf(r->model->run.model), cllm_model_tokenizer(r->model->run.model), &marks))
        return refuse(f, 501, NULL, "%s does not support infill: its vocabulary has no tokens for prefix and suffix",
                      r->model->name);
    if (!wanted->in_repository) marks.repository = marks.file = -1;
    const bool good = build(r, wanted, &marks, &p, f);
    free(p.prefix.ids);
    free(p.suffix.ids);
    if (good) return request_add_prompt(r, p.head.ids, p.head.count) || refuse_memory(f);
    free(p.head.ids);
    return false;
}
