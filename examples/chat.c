/* Chat with a model, with nothing but the library. Each line of standard input is a question, of at most 4094 bytes.
 *
 *   cc chat.c $(pkg-config --cflags --libs cllm) -o chat && ./chat MODEL.gguf [TEMPLATE] */
#include <cllm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The conversation as JSON, without its end, so that messages can be added: {"messages": [ ... */
typedef struct text {
    char *bytes;
    size_t length;
} text;

static void add(text *t, const char *bytes, size_t length) {
    char *longer = realloc(t->bytes, t->length + length);
    if (!longer) abort();
    memcpy(longer + t->length, bytes, length);
    t->bytes = longer;
    t->length += length;
}

static void add_words(text *t, const char *words) { add(t, words, strlen(words)); }

/* Add a string of JSON. Control characters below the space become escapes of JSON. Bytes that are not UTF-8, and other
 * characters that would control a terminal, become question marks. */
static void add_string(text *t, const char *bytes, size_t length) {
    add_words(t, "\"");
    for (size_t i = 0, n; i < length; i += n ? n : 1) {
        char escape[8];
        n = cllm_safe_length(bytes + i, length - i);
        if (n == 0)
            snprintf(escape, sizeof escape, (unsigned char)bytes[i] < ' ' ? "\\u%04x" : "?", (unsigned)bytes[i]);
        else if (bytes[i] == '"' || bytes[i] == '\\')
            snprintf(escape, sizeof escape, "\\%c", bytes[i]);
        else
            snprintf(escape, sizeof escape, "%.*s", (int)n, bytes + i);
        add_words(t, escape);
    }
    add_words(t, "\"");
}

static void add_message(text *t, const char *role, const char *content, size_t length) {
    add_words(t, t->length == 0 ? "{\"add_generation_prompt\": true, \"messages\": [{\"role\": \"" : ", {\"role\": \"");
    add_words(t, role);
    add_words(t, "\", \"content\": ");
    add_string(t, content, length);
    add_words(t, "}");
}

typedef struct talk {
    cllm_chat *chat;             /* the model's template */
    cllm_transcript *transcript; /* the ids of the rendered conversation; old ones stay the same from turn to turn */
    cllm_engine *engine;
    cllm_sequence *sequence; /* the ids that are evaluated already */
    text messages;
} talk;

/* Print the model's answer to the messages so far, and add it to them. */
static cllm_status answer_them(talk *t, cllm_error *err) {
    const cllm_generation_options options = {.n_most = 256, .spell_control = true}; /* greedy */
    cllm_generation *generation = NULL;
    cllm_answer *answer = NULL;
    cllm_part *parts = NULL;
    size_t n_parts;
    text content = {0};

    const size_t length = t->messages.length;
    add_words(&t->messages, "]}");
    const cllm_string object = {t->messages.bytes, t->messages.length};
    cllm_status status = cllm_chat_render(t->chat, &object, 1, 0, time(NULL), &parts, &n_parts, err);
    t->messages.length = length;
    if (status != CLLM_OK) return status;

    /* Only new text is encoded, and only new tokens are evaluated. */
    if ((status = cllm_transcript_set(t->transcript, parts, n_parts, err))) goto done;
    const int32_t *tokens = cllm_transcript_tokens(t->transcript);
    const size_t n_tokens = cllm_transcript_n_tokens(t->transcript);
    cllm_sequence_reuse(t->sequence, tokens, n_tokens);
    if ((status = cllm_answer_create(t->chat, parts, n_parts, (cllm_string){"[]", 2}, &answer, err))) goto done;
    if ((status = cllm_generation_create(t->sequence, tokens, n_tokens, &options, &generation, err))) goto done;

    cllm_span span;
    while (cllm_generation_wants(generation, SIZE_MAX, &span)) {
        cllm_event event;
        const cllm_delta *deltas;
        size_t n_deltas;
        if ((status = cllm_eval(t->engine, &span, 1, err))) goto done;
        if ((status = cllm_generation_take(generation, &span, &event, err))) goto done;
        if ((status = cllm_answer_take(answer, event.text, event.end != CLLM_END_NONE, &deltas, &n_deltas, err)))
            goto done;
        for (size_t i = 0; i < n_deltas; i++) {
            if (deltas[i].kind != CLLM_DELTA_CONTENT) continue; /* reasoning is not printed */
            fwrite(deltas[i].text.data, 1, deltas[i].text.length, stdout);
            add(&content, deltas[i].text.data, deltas[i].text.length);
        }
        fflush(stdout);
        const size_t n_drawn = event.n_tokens - (event.end == CLLM_END_TOKEN);
        if ((status = cllm_transcript_append(t->transcript, event.tokens, n_drawn, err))) goto done;
    }
    printf("\n");
    add_message(&t->messages, "assistant", content.bytes, content.length);

done:
    cllm_generation_destroy(generation);
    cllm_answer_destroy(answer);
    cllm_free(parts);
    free(content.bytes);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: chat MODEL.gguf [TEMPLATE] <QUESTIONS\n");
        return 2;
    }
    cllm_error err = {.message = "the model has no tokenizer"};
    cllm_model *model = NULL;
    talk t = {0};
    char question[4096];
    int exit_code = 1;

    if (cllm_model_load(argv[1], NULL, &model, &err)) goto done;
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(model);
    if (!tokenizer) goto done;
    const cllm_chat_options options = {cllm_model_gguf(model), tokenizer, argv[2], {0}};
    if (cllm_chat_create(&options, &t.chat, &err)) goto done;
    if (cllm_transcript_create(tokenizer, &t.transcript, &err)) goto done;
    if (cllm_engine_create(model, NULL, &t.engine, &err)) goto done;
    if (cllm_sequence_create(t.engine, &t.sequence, &err)) goto done;
    while (fgets(question, sizeof question, stdin)) {
        add_message(&t.messages, "user", question, strcspn(question, "\n"));
        if (answer_them(&t, &err)) goto done;
    }
    exit_code = 0;

done:
    if (exit_code) fprintf(stderr, "chat: %s\n", err.message);
    cllm_sequence_destroy(t.sequence);
    cllm_engine_destroy(t.engine);
    cllm_transcript_destroy(t.transcript);
    cllm_chat_destroy(t.chat);
    cllm_model_destroy(model);
    free(t.messages.bytes);
    return exit_code;
}
