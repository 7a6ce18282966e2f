/* Renders a conversation with a chat template, and parses a model's answer into reasoning, content and tool calls. */
#include "commands.h"
#include "json_output.h"
#include "program.h"
#include "text_stream.h"

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
    if (n_parts == 0) note(o, "the template prints nothing; the conversation's \"messages\" may be missing");
    cllm_free(parts);
    return status;
}

/* ---------------------------------------------------------------------------------------------------- answers */

/* A string, or null if the text is empty. */
static json_t *text_or_null(const text_buffer *t) {
    return t->length > 0 ? json_text(t->bytes, t->length) : json_null();
}

/* A new call, without its arguments yet. */
static json_t *call_json(const cllm_delta *call) {
    char own_id[32];
    snprintf(own_id, sizeof own_id, "call_%zu", call->call);
    json_t *function = json_object(), *object = json_object();
    json_put(&function, "name", json_text(call->text.data, call->text.length));
    json_put(&object, "id", call->id.length > 0 ? json_text(call->id.data, call->id.length) : json_string(own_id));
    json_put(&object, "type", json_string("function"));
    json_put(&object, "function", function);
    return object;
}

/* Give the last call its complete arguments. */
static bool end_call(const json_t *calls, text_buffer *arguments) {
    const size_t n = json_array_size(calls);
    json_t *function = n > 0 ? json_object_get(json_array_get(calls, n - 1), "function") : NULL;
    const char *bytes = arguments->bytes ? arguments->bytes : "";
    const bool put = !function || json_object_set_new(function, "arguments", json_text(bytes, arguments->length)) == 0;
    arguments->length = 0;
    return put;
}

static int print_answer(const cllm_delta *deltas, size_t n_deltas) {
    text_buffer texts[4] = {0}; /* one for each kind of delta */
    json_t *calls = json_array(), *answer = json_object();
    bool whole = true;
    for (size_t i = 0; i < n_deltas; i++) {
        const cllm_delta *d = &deltas[i];
        if (d->kind != CLLM_DELTA_CALL) {
            whole &= text_buffer_add(&texts[d->kind], d->text.data, d->text.length);
            continue;
        }
        whole &= end_call(calls, &texts[CLLM_DELTA_ARGUMENTS]);
        json_add(&calls, call_json(d));
    }
    whole &= end_call(calls, &texts[CLLM_DELTA_ARGUMENTS]);
    json_put(&answer, "reasoning_content", text_or_null(&texts[CLLM_DELTA_REASONING]));
    json_put(&answer, "content", text_or_null(&texts[CLLM_DELTA_CONTENT]));
    json_put(&answer, "tool_calls", calls);
    for (size_t i = 0; i < 4; i++) free(texts[i].bytes);
    char *line = answer && whole ? json_dumps(answer, JSON_COMPACT) : NULL;
    json_decref(answer);
    if (!line) return fail("out of memory");
    puts(line);
    free(line);
    return EXIT_SUCCESS;
}

/* Read the list of tools as JSON; from an object take its member "tools". Owned. */
static int read_tools(const char *path, char **list) {
    input file = {0};
    json_error_t error;
    int status = path ? read_input(path, &file) : EXIT_SUCCESS;
    if (!path || status != EXIT_SUCCESS) return status;
    json_t *tools = json_loadb(file.data, file.length, 0, &error),
           *member = json_is_object(tools) ? json_object_get(tools, "tools") : tools;
    if (json_is_array(member))
        *list = json_dumps(member, JSON_COMPACT);
    else
        status = fail("--tools: %s is not a JSON list of tools", path);
    if (status == EXIT_SUCCESS && !*list) status = fail("out of memory");
    json_decref(tools);
    free(file.data);
    return status;
}

/* Render a prompt with the variables of --chat-template-kwargs, because with them it may open the reasoning. NULL:
 * the option is not given, or rendering failed. */
static cllm_part *render_prompt(const options *o, const cllm_chat *chat, size_t *n_parts) {
    static const char question[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"?\"}], \"add_generation_prompt\": true}";
    const char *kwargs = o->chat_template_kwargs;
    cllm_part *parts = NULL;
    if (!kwargs) return NULL;
    const cllm_string objects[] = {{question, strlen(question)}, {kwargs, strlen(kwargs)}};
    (void)cllm_chat_render(chat, objects, 2, 0, (int64_t)time(NULL), &parts, n_parts, NULL);
    return parts;
}

static int parse(const options *o, const cllm_chat *chat, const input *said) {
    size_t n_parts = 0;
    cllm_answer *answer = NULL;
    const cllm_delta *deltas;
    size_t n_deltas;
    cllm_error err;
    char *tools = NULL;
    int status = read_tools(o->tools, &tools);
    if (status != EXIT_SUCCESS) return status;
    const cllm_string list = {tools ? tools : "", tools ? strlen(tools) : 0};
    cllm_part *prompt = render_prompt(o, chat, &n_parts);
    cllm_status made = cllm_answer_create(chat, prompt, n_parts, list, &answer, &err);
    if (made == CLLM_OK)
        made = cllm_answer_take(answer, (cllm_string){said->data, said->length}, true, &deltas, &n_deltas, &err);
    status = made == CLLM_OK ? print_answer(deltas, n_deltas) : fail_with(&err);
    cllm_answer_destroy(answer);
    cllm_free(prompt);
    free(tools);
    return status;
}

int render_template(const options *o) {
    cllm_gguf *gguf = NULL;
    cllm_tokenizer *tokenizer = NULL;
    cllm_chat *chat = NULL;
    input conversation = {0};
    int status = check_kwargs(o);
    if (status == EXIT_SUCCESS && o->tools && !o->parse) status = usage_error("--tools goes with --parse");
    if (status == EXIT_SUCCESS && o->parse && (o->show_parts || o->adapt))
        status = usage_error("--parse and %s cannot be used together", o->adapt ? "--adapt" : "--parts");
    if (status == EXIT_SUCCESS && o->model) status = open_gguf(o, o->model, &gguf);
    if (status == EXIT_SUCCESS && gguf)
        cllm_tokenizer_create(gguf, &tokenizer, NULL); /* the file may have no tokenizer */
    if (status == EXIT_SUCCESS) status = make_chat(o, gguf, tokenizer, &chat);
    if (status == EXIT_SUCCESS) status = read_input(o->file ? o->file : "-", &conversation);
    if (status == EXIT_SUCCESS) status = o->parse ? parse(o, chat, &conversation) : render(o, chat, &conversation);
    free(conversation.data);
    cllm_chat_destroy(chat);
    cllm_tokenizer_destroy(tokenizer);
    if (gguf) close_gguf(gguf);
    return status;
}
