/* Continue several texts together. There is one engine, and a sequence and a generation for each text. Each step is
 * one call of cllm_eval, which reads the weights once for all texts.
 *
 *   cc batch.c $(pkg-config --cflags --libs cllm) -o batch
 *   ./batch MODEL.gguf "One day" "Once upon a time" "The king" */
#include <cllm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXTS = 16, MOST_TOKENS = 64, N_CTX = 512 };

typedef struct answer {
    int32_t *prompt;
    size_t n_prompt;
    cllm_sequence *sequence;
    cllm_generation *generation;
    char text[16 * MOST_TOKENS];
    size_t length;
} answer;

static cllm_status begin(answer *a, cllm_engine *engine, const cllm_tokenizer *tokenizer, const char *text,
                         cllm_error *err) {
    const cllm_generation_options options = {.n_most = MOST_TOKENS};
    cllm_status status =
        cllm_tokenizer_encode(tokenizer, text, strlen(text), CLLM_ENCODE_ADD_SPECIAL, &a->prompt, &a->n_prompt, err);
    if (status == CLLM_OK) status = cllm_sequence_create(engine, &a->sequence, err);
    if (status != CLLM_OK) return status;
    return cllm_generation_create(a->sequence, a->prompt, a->n_prompt, &options, &a->generation, err);
}

static void append(answer *a, cllm_string text) {
    if (text.length > sizeof a->text - a->length) text.length = sizeof a->text - a->length;
    memcpy(a->text + a->length, text.data, text.length);
    a->length += text.length;
}

/* One call of cllm_eval gets the spans of all generations. A generation that has ended has no span. */
static cllm_status run(answer *answers, size_t count, cllm_engine *engine, cllm_error *err) {
    for (;;) {
        cllm_span spans[MOST_TEXTS];
        answer *of[MOST_TEXTS];
        size_t n = 0;
        for (size_t i = 0; i < count; i++)
            if (cllm_generation_wants(answers[i].generation, SIZE_MAX, &spans[n])) of[n++] = &answers[i];
        if (n == 0) return CLLM_OK;
        cllm_status status = cllm_eval(engine, spans, n, err);
        for (size_t i = 0; status == CLLM_OK && i < n; i++) {
            cllm_event event;
            status = cllm_generation_take(of[i]->generation, &spans[i], &event, err);
            if (status == CLLM_OK) append(of[i], event.text);
        }
        if (status != CLLM_OK) return status;
    }
}

int main(int argc, char **argv) {
    const size_t count = argc > 2 ? (size_t)argc - 2 : 0;
    if (count == 0 || count > MOST_TEXTS) {
        fprintf(stderr, "usage: batch MODEL.gguf PROMPT... (1 to %d)\n", MOST_TEXTS);
        return 2;
    }
    const cllm_engine_options options = {
        .n_ctx = N_CTX, .n_sequences = (uint32_t)count, .n_positions = N_CTX * (uint32_t)count};
    cllm_error err = {.message = "the model has no tokenizer"};
    cllm_model *model = NULL;
    cllm_engine *engine = NULL;
    static answer answers[MOST_TEXTS];
    int exit_code = 1;

    if (cllm_model_load(argv[1], NULL, &model, &err)) goto done;
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(model);
    if (!tokenizer || cllm_engine_create(model, &options, &engine, &err)) goto done;
    for (size_t i = 0; i < count; i++)
        if (begin(&answers[i], engine, tokenizer, argv[i + 2], &err)) goto done;
    if (run(answers, count, engine, &err)) goto done;
    for (size_t i = 0; i < count; i++) printf("%s%.*s\n\n", argv[i + 2], (int)answers[i].length, answers[i].text);
    exit_code = 0;

done:
    if (exit_code) fprintf(stderr, "batch: %s\n", err.message);
    for (size_t i = 0; i < count; i++) {
        cllm_generation_destroy(answers[i].generation);
        cllm_sequence_destroy(answers[i].sequence);
        cllm_free(answers[i].prompt);
    }
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
    return exit_code;
}
