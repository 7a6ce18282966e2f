/* Generating text, the main job. The road: prompt bytes -> tokens -> one batch through the model -> then again and again
 * logits -> a token -> its bytes on stdout, and the token back into the model. */
#include "commands.h"
#include "interrupt.h"
#include "program.h"
#include "text_stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct prompt {
    input text;
    int32_t *encoded;      /* owned by the library */
    int32_t bos;           /* what stands for an empty prompt */
    const int32_t *tokens; /* [count]: `encoded`, or `bos` */
    size_t count;
} prompt;

static int read_prompt(const options *o, prompt *p) {
    if (o->file || (o->prompt && strcmp(o->prompt, "-") == 0)) return read_input(o->file ? o->file : "-", &p->text);
    p->text.data = strdup(o->prompt ? o->prompt : "");
    if (!p->text.data) return fail("out of memory");
    p->text.length = strlen(p->text.data);
    return EXIT_SUCCESS;
}

static int encode_prompt(const run *r, prompt *p) {
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    if (!tokenizer) return fail_without_tokenizer(r);
    cllm_error err;
    if (cllm_tokenizer_encode(tokenizer, p->text.data, p->text.length,
                              CLLM_ENCODE_ADD_SPECIAL | (r->o->no_special ? 0 : CLLM_ENCODE_PARSE_SPECIAL), &p->encoded,
                              &p->count, &err) != CLLM_OK)
        return fail_with(&err);
    p->tokens = p->encoded;
    note_doubled_bos(r->o, tokenizer, p->tokens, p->count);
    /* a text that is to go on has not ended */
    if (cllm_tokenizer_adds_eos(tokenizer) && p->count > 0) p->count--;
    if (p->count > 0) return EXIT_SUCCESS;

    p->bos = cllm_tokenizer_bos(tokenizer);
    if (p->bos < 0) return fail("the prompt is empty and the model has no token to begin a text with: give a --prompt");
    p->tokens = &p->bos;
    p->count = 1;
    return EXIT_SUCCESS;
}

/* Evaluate tokens and choose the next one. */
static cllm_status choose_next(run *r, cllm_sampler *sampler, const int32_t *tokens, size_t count, int32_t *next,
                               cllm_error *err) {
    const bool greedy = r->o->temperature <= 0;
    cllm_span span;
    cllm_status status = run_eval(r, tokens, count, greedy ? CLLM_WANT_NEXT : CLLM_WANT_LAST, &span, err);
    *next = span.next;
    if (status != CLLM_OK || greedy) return status;
    status = cllm_sampler_sample(sampler, span.rows, NULL, next, err);
    if (status == CLLM_OK) cllm_sampler_accept(sampler, *next);
    return status == CLLM_ERR_FORMAT ? cllm_sequence_diagnose(r->sequence, err) : status;
}

/* The loop, of `most` tokens at most. previous: the last token of the prompt; token: the one after it. */
static int write_text(run *r, cllm_sampler *sampler, int32_t previous, int32_t token, uint64_t most, text_stream *text,
                      pace *generated) {
    const options *o = r->o;
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    cllm_error err;
    while (generated->n_tokens < most) {
        double start = now();
        if (generated->n_tokens > 0) {
            if (choose_next(r, sampler, &previous, 1, &token, &err) != CLLM_OK) return fail_with(&err);
            generated->n_timed++;
        }
        generated->seconds += now() - start;
        if (interrupted()) return EXIT_INTERRUPTED;
        if (cllm_tokenizer_is_eog(tokenizer, token) && !o->ignore_eos) break;

        if (!cllm_tokenizer_is_control(tokenizer, token)) {
            cllm_string bytes = cllm_tokenizer_decode(tokenizer, previous, token);
            text_stream_write(text, bytes.data, bytes.length);
            int status = flush_output();
            if (status != EXIT_SUCCESS) return status;
        }
        generated->n_tokens++;
        previous = token;
    }
    return EXIT_SUCCESS;
}

/* From the prompt's tokens to the newline at the end. */
static int write_answer(run *r, cllm_sampler *sampler, const prompt *p) {
    const uint32_t n_ctx = cllm_engine_plan(r->engine)->n_ctx;
    const uint64_t room = n_ctx - p->count;
    int32_t first = 0;
    cllm_error err;
    double start = now();
    run_stage(r, "reading the prompt");
    cllm_status evaluation = choose_next(r, sampler, p->tokens, p->count, &first, &err);
    run_stage(r, "%s", "");
    if (evaluation == CLLM_ERR_CANCELLED) note(r->o, "interrupted within the prompt");
    if (evaluation != CLLM_OK) return fail_with(&err);
    pace evaluated = {p->count, p->count, now() - start}, generated = {0};
    if (r->o->verbose) fprintf(stderr, "prompt: evaluated in %.3f s\n", evaluated.seconds);

    text_stream text = {.out = stdout};
    if (r->o->echo) text_stream_write(&text, p->text.data, p->text.length);
    int status = flush_output();
    if (status == EXIT_SUCCESS)
        status = write_text(r, sampler, p->tokens[p->count - 1], first, room < r->o->n_tokens ? room : r->o->n_tokens,
                            &text, &generated);

    if (ferror(stdout)) return status;
    text_stream_end(&text);
    fputc('\n', stdout);
    int flushed = flush_output();
    if (flushed != EXIT_SUCCESS) return flushed;
    if (generated.n_tokens == room && room < r->o->n_tokens) /* also with -q: nothing is cut silently */
        fprintf(stderr, "context: all %" PRIu32 " tokens are in use, so the text stops here; --ctx sets it\n", n_ctx);
    if (status != EXIT_FAILURE) run_summary(r, evaluated, generated);
    return status;
}

int generate(const options *o) {
    prompt p = {0};
    run r = {0};
    cllm_sampler *sampler = NULL;
    if (o->prompt && o->file) return usage_error("--prompt and --file exclude each other");
    int status = read_prompt(o, &p);
    if (status == EXIT_SUCCESS) status = run_load(&r, o);
    if (status == EXIT_SUCCESS) status = encode_prompt(&r, &p);
    if (status == EXIT_SUCCESS) status = run_start(&r, o->ctx);
    if (status == EXIT_SUCCESS) status = run_check_fits(&r, "the prompt", p.count);
    if (status == EXIT_SUCCESS) {
        cllm_sampler_options sampling = {o->temperature, o->top_p, (uint32_t)o->top_k, o->seed};
        cllm_error err;
        if (cllm_sampler_create(cllm_model_get_info(r.model)->n_vocab, &sampling, &sampler, &err) != CLLM_OK)
            status = fail_with(&err);
    }
    if (status == EXIT_SUCCESS) status = write_answer(&r, sampler, &p);
    cllm_sampler_destroy(sampler);
    cllm_free(p.encoded);
    free(p.text.data);
    run_close(&r);
    return status;
}
