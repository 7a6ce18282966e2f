/* A conversation to text, by a model's chat template or another. */
#include "commands.h"
#include "json_output.h"
#include "program.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static int render(const options *o, const cllm_chat *chat, const input *conversation) {
    const char *kwargs = o->chat_template_kwargs ? o->chat_template_kwargs : "{}";
    const cllm_string objects[] = {{conversation->data, conversation->length}, {kwargs, strlen(kwargs)}};
    const int64_t now_is = o->now == UINT64_MAX ? (int64_t)time(NULL) : (int64_t)o->now;
    cllm_part *parts = NULL;
    size_t n_parts = 0;
    cllm_error err;
    if (cllm_chat_render(chat, objects, 2, o->adapt ? 0 : CLLM_RENDER_AS_IS, now_is, &parts, &n_parts, &err) != CLLM_OK)
        return fail_with(&err);
    const int status = print_parts(o, parts, n_parts);
    cllm_free(parts);
    return status;
}

int render_template(const options *o) {
    cllm_gguf *gguf = NULL;
    cllm_tokenizer *tokenizer = NULL;
    cllm_chat *chat = NULL;
    input conversation = {0};
    int status = check_kwargs(o);
    if (status == EXIT_SUCCESS && !o->model && !o->chat_template)
        status = usage_error("template: no model, and no --chat-template");
    if (status == EXIT_SUCCESS && o->model) status = open_gguf(o, o->model, &gguf);
    if (status == EXIT_SUCCESS && gguf) cllm_tokenizer_create(gguf, &tokenizer, NULL); /* a file may have none */
    if (status == EXIT_SUCCESS) status = make_chat(o, gguf, tokenizer, &chat);
    if (status == EXIT_SUCCESS) status = read_input(o->file ? o->file : "-", &conversation);
    if (status == EXIT_SUCCESS) status = render(o, chat, &conversation);
    free(conversation.data);
    cllm_chat_destroy(chat);
    cllm_tokenizer_destroy(tokenizer);
    if (gguf) close_gguf(gguf);
    return status;
}
