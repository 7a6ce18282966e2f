/* Continue a text with a model, through the library alone.
 *
 *   cc continue.c $(pkg-config --cflags --libs cllm) -o continue && ./continue MODEL.gguf "Once upon a time" */
#include <cllm.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: continue MODEL.gguf PROMPT\n");
        return 2;
    }
    const cllm_sampler_options sampling = CLLM_SAMPLER_DEFAULTS;
    cllm_error err = {.message = "the model has no tokenizer"};
    cllm_model *model = NULL;
    cllm_engine *engine = NULL;
    cllm_sequence *sequence = NULL;
    cllm_sampler *sampler = NULL;
    cllm_generation *generation = NULL;
    cllm_generation_options options = {.n_most = 256};
    int32_t *prompt = NULL;
    size_t n_prompt;
    int exit_code = 1;

    if (cllm_model_load(argv[1], NULL, &model, &err)) goto done;
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(model);
    if (!tokenizer) goto done;
    if (cllm_tokenizer_encode(tokenizer, argv[2], strlen(argv[2]), CLLM_ENCODE_ADD_SPECIAL, &prompt, &n_prompt, &err))
        goto done;
    if (cllm_engine_create(model, NULL, &engine, &err)) goto done;
    if (cllm_sequence_create(engine, &sequence, &err)) goto done;
    if (cllm_sampler_create(cllm_tokenizer_n_vocab(tokenizer), &sampling, &sampler, &err)) goto done;
    options.sampler = sampler;
    if (cllm_generation_create(sequence, prompt, n_prompt, &options, &generation, &err)) goto done;

    /* The first span is the prompt; each one after it is the token that was drawn. */
    cllm_span span;
    cllm_event event;
    while (cllm_generation_wants(generation, SIZE_MAX, &span)) {
        if (cllm_eval(engine, &span, 1, &err)) goto done;
        if (cllm_generation_take(generation, &span, &event, &err)) goto done;
        fwrite(event.text.data, 1, event.text.length, stdout);
        fflush(stdout);
    }
    printf("\n");
    exit_code = 0;

done:
    if (exit_code) fprintf(stderr, "continue: %s\n", err.message);
    cllm_generation_destroy(generation);
    cllm_sampler_destroy(sampler);
    cllm_sequence_destroy(sequence);
    cllm_engine_destroy(engine);
    cllm_free(prompt);
    cllm_model_destroy(model);
    return exit_code;
}
