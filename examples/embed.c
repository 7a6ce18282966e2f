/* Continue a text with a model, through the library alone.
 *
 *     cc embed.c $(pkg-config --cflags --libs cllm) -o embed
 *     ./embed models/demo.gguf "Once upon a time"
 */
#include <cllm.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: embed MODEL.gguf PROMPT\n");
        return 2;
    }
    cllm_error err = {.message = "the model has no tokenizer, or the prompt no tokens"};
    cllm_model *model = NULL;
    cllm_engine *engine = NULL;
    cllm_sequence *sequence = NULL;
    cllm_sampler *sampler = NULL;
    int32_t *prompt = NULL;
    size_t n_prompt;
    int exit_code = 1;

    if (cllm_model_load(argv[1], NULL, &model, &err)) goto done;
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(model);
    if (!tokenizer) goto done;
    if (cllm_tokenizer_encode(tokenizer, argv[2], strlen(argv[2]), CLLM_ENCODE_ADD_SPECIAL, &prompt, &n_prompt, &err))
        goto done;
    if (n_prompt == 0) goto done;
    if (cllm_engine_create(model, NULL, &engine, &err)) goto done;
    if (cllm_sequence_create(engine, &sequence, &err)) goto done;
    const cllm_sampler_options sampling = CLLM_SAMPLER_DEFAULTS;
    if (cllm_sampler_create(cllm_tokenizer_n_vocab(tokenizer), &sampling, &sampler, &err)) goto done;

    /* The prompt goes in as a whole; then every token drawn is the next one in. */
    cllm_span span = {.sequence = sequence, .tokens = prompt, .count = n_prompt, .want = CLLM_WANT_LAST};
    if (cllm_eval(engine, &span, 1, &err)) goto done;
    int32_t previous = prompt[n_prompt - 1], token;
    for (int generated = 0; generated < 256; generated++) {
        if (cllm_sampler_sample(sampler, span.rows, NULL, &token, &err)) goto done;
        cllm_sampler_accept(sampler, token);
        if (token == cllm_tokenizer_eos(tokenizer)) break;
        cllm_string piece = cllm_tokenizer_decode(tokenizer, previous, token);
        if (!cllm_tokenizer_is_control(tokenizer, token)) fwrite(piece.data, 1, piece.length, stdout);
        fflush(stdout);
        span.tokens = &token;
        span.count = 1;
        if (cllm_eval(engine, &span, 1, &err)) goto done;
        previous = token;
    }
    printf("\n");
    exit_code = 0;

done:
    if (exit_code) fprintf(stderr, "embed: %s\n", err.message);
    cllm_sampler_destroy(sampler);
    cllm_sequence_destroy(sequence);
    cllm_engine_destroy(engine);
    cllm_free(prompt);
    cllm_model_destroy(model);
    return exit_code;
}
