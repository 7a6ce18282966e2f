/* A conversation to text, by a model's chat template or another. */
#include "commands.h"
#include "json_output.h"
#include "program.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OWN_KEY "tokenizer.chat_template"

/* The template to render with, and what the model's vocabulary says for it. */
typedef struct source {
    cllm_gguf *gguf; /* NULL: there is no model */
    input file;      /* of --chat-template, where that is a file */
    cllm_string text;
    char *tokens; /* JSON: bos_token and eos_token; owned, or NULL */
} source;

/* A text of the file's metadata, or NULL. */
static const cllm_string *find_text(const cllm_gguf *gguf, const char *key) {
    const cllm_value *value = gguf ? cllm_gguf_find(gguf, key) : NULL;
    return value && value->type == CLLM_STRING ? &value->string : NULL;
}

static int find_template(const options *o, source *s) {
    char key[256] = OWN_KEY;
    if (o->chat_template) snprintf(key, sizeof key, OWN_KEY ".%s", o->chat_template);
    const cllm_string *own = find_text(s->gguf, key);
    if (own) {
        s->text = *own;
        return EXIT_SUCCESS;
    }
    if (!o->chat_template)
        return fail("%s: the file has no chat template (%s); give one with --chat-template", o->model, OWN_KEY);
    if (s->gguf && access(o->chat_template, F_OK) != 0)
        return fail("--chat-template: %s has no template '%s', and there is no such file", o->model, o->chat_template);
    const int status = read_input(o->chat_template, &s->file);
    s->text = (cllm_string){s->file.data, s->file.length};
    return status;
}

/* The spellings of the vocabulary's tokens, as variables. */
static int describe_tokens(source *s) {
    cllm_tokenizer *tokenizer;
    json_t *object = json_object();
    if (cllm_tokenizer_create(s->gguf, &tokenizer, NULL) == CLLM_OK) {
        const int32_t bos = cllm_tokenizer_bos(tokenizer), eos = cllm_tokenizer_eos(tokenizer);
        const cllm_string begin = cllm_tokenizer_piece(tokenizer, bos), end = cllm_tokenizer_piece(tokenizer, eos);
        if (bos >= 0) json_put(&object, "bos_token", json_text(begin.data, begin.length));
        if (eos >= 0) json_put(&object, "eos_token", json_text(end.data, end.length));
        cllm_tokenizer_destroy(tokenizer);
    }
    s->tokens = object ? json_dumps(object, 0) : NULL;
    json_decref(object);
    return s->tokens ? EXIT_SUCCESS : fail("out of memory");
}

static int print_parts(const options *o, const cllm_part *parts, size_t n_parts) {
    for (size_t i = 0; i < n_parts; i++) {
        if (!o->show_parts) {
            fwrite(parts[i].text.data, 1, parts[i].text.length, stdout);
            continue;
        }
        json_t *part = json_object();
        json_put(&part, "trusted", json_boolean(parts[i].trusted));
        json_put(&part, "text", json_text(parts[i].text.data, parts[i].text.length));
        if (!part) return fail("out of memory");
        json_dumpf(part, stdout, JSON_COMPACT);
        json_decref(part);
        putchar('\n');
    }
    return EXIT_SUCCESS;
}

static int render(const options *o, const source *s, const input *conversation) {
    const char *kwargs = o->chat_template_kwargs ? o->chat_template_kwargs : "{}",
               *tokens = s->tokens ? s->tokens : "{}";
    const cllm_string objects[] = {
        {tokens, strlen(tokens)}, {conversation->data, conversation->length}, {kwargs, strlen(kwargs)}};
    const int64_t now_is = o->now == UINT64_MAX ? (int64_t)time(NULL) : (int64_t)o->now;
    cllm_template *template = NULL;
    cllm_part *parts = NULL;
    size_t n_parts = 0;
    cllm_error err;
    int status = EXIT_SUCCESS;
    cllm_status made = cllm_template_create(s->text.data, s->text.length, &template, &err);
    if (made == CLLM_OK) made = cllm_template_render(template, objects, 3, now_is, &parts, &n_parts, &err);
    if (made == CLLM_OK)
        status = print_parts(o, parts, n_parts);
    else
        status = fail_with(&err);
    cllm_free(parts);
    cllm_template_destroy(template);
    return status;
}

/* That --chat-template-kwargs is an object is better known before anything is read. */
static int check_kwargs(const options *o) {
    json_error_t error;
    if (!o->chat_template_kwargs) return EXIT_SUCCESS;
    json_t *object = json_loads(o->chat_template_kwargs, 0, &error);
    const bool is_object = json_is_object(object);
    json_decref(object);
    return is_object ? EXIT_SUCCESS
                     : usage_error("--chat-template-kwargs: '%s' is not a JSON object", o->chat_template_kwargs);
}

int render_template(const options *o) {
    source s = {.gguf = NULL};
    input conversation = {0};
    int status = check_kwargs(o);
    if (status == EXIT_SUCCESS && o->model) status = open_gguf(o, o->model, &s.gguf);
    if (status == EXIT_SUCCESS) status = find_template(o, &s);
    if (status == EXIT_SUCCESS && s.gguf) status = describe_tokens(&s);
    if (status == EXIT_SUCCESS) status = read_input(o->file ? o->file : "-", &conversation);
    if (status == EXIT_SUCCESS) status = render(o, &s, &conversation);
    free(conversation.data);
    free(s.file.data);
    free(s.tokens);
    if (s.gguf) close_gguf(s.gguf);
    return status;
}
