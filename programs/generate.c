/* Generating text, the main job: prompt bytes -> tokens -> a generation, which says what the engine evaluates next and
 * turns the results into text -> stdout. */
#include "commands.h"
#include "interrupt.h"
#include "program.h"
#include "sampling.h"
#include "text_stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct prompt {
    input text;
    int32_t *encoded;      /* owned by the library */
    int32_t bos;           /* the token that replaces an empty prompt */
    int32_t *joined;       /* a saved text and the encoded prompt: owned */
    const int32_t *tokens; /* [count]: `encoded`, `bos` or `joined` */
    size_t count;
} prompt;

/* True if standard input is a pipe or a file. Then somebody wants it to be read, unlike a terminal or /dev/null. */
static bool is_piped(void) {
    struct stat in;
    return fstat(STDIN_FILENO, &in) == 0 && (S_ISFIFO(in.st_mode) || S_ISREG(in.st_mode));
}

static int read_prompt(const options *o, prompt *p) {
    if (o->file) return read_input(o->file, &p->text);
    if (o->prompt ? strcmp(o->prompt, "-") == 0 : is_piped()) return read_input("-", &p->text);
    p->text.data = strdup(o->prompt ? o->prompt : "");
    if (!p->text.data) return fail("out of memory");
    p->text.length = strlen(p->text.data);
    return EXIT_SUCCESS;
}

/* Somebody who names only a chat model probably wants to talk to it. */
static void note_missing_prompt(const run *r) {
    const options *o = r->o;
    if (o->prompt || o->file || o->load || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return;
    if (cllm_gguf_find(cllm_model_gguf(r->model), "tokenizer.chat_template"))
        note(o, "no prompt: the model writes a text of its own. 'mini-cllm chat MODEL' chats with it; -p TEXT gives a "
                "prompt");
}

static int encode_prompt(const run *r, prompt *p) {
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    if (!tokenizer) return fail_without_tokenizer(r);
    const int flags = (r->o->load ? 0 : CLLM_ENCODE_ADD_SPECIAL) | (r->o->no_special ? 0 : CLLM_ENCODE_PARSE_SPECIAL);
    cllm_error err;
    if (cllm_tokenizer_encode(tokenizer, p->text.data, p->text.length, flags, &p->encoded, &p->count, &err) != CLLM_OK)
        return fail_with(&err);
    p->tokens = p->encoded;
    if (r->o->load) return EXIT_SUCCESS; /* the prompt comes after a saved text */
    note_doubled_bos(r->o, tokenizer, p->tokens, p->count);
    /* a text to continue must not end with EOS */
    if (cllm_tokenizer_adds_eos(tokenizer) && p->count > 0) p->count--;
    if (p->count > 0) return EXIT_SUCCESS;

    p->bos = cllm_tokenizer_bos(tokenizer);
    if (p->bos < 0) return fail("the prompt is empty, and the model has no begin token: give a --prompt");
    p->tokens = &p->bos;
    p->count = 1;
    return EXIT_SUCCESS;
}

/* Put a saved text before the prompt. If the prompt is empty, the last token of the saved text is evaluated again, to
 * predict the next one. */
static int load_text(run *r, prompt *p) {
    cllm_error err;
    cllm_sequence_destroy(r->sequence);
    r->sequence = NULL;
    if (cllm_sequence_load(r->engine, r->o->load, &r->sequence, &err) != CLLM_OK) return fail_with(&err);
    const uint32_t length = cllm_sequence_length(r->sequence);
    p->joined = malloc((length + p->count + 1) * sizeof *p->joined);
    if (!p->joined) return fail("out of memory");
    memcpy(p->joined, cllm_sequence_tokens(r->sequence), length * sizeof *p->joined);
    if (p->count == 0 && length > 0 && cllm_sequence_truncate(r->sequence, length - 1, &err) != CLLM_OK)
        return fail_with(&err);
    if (p->count > 0) memcpy(p->joined + length, p->tokens, p->count * sizeof *p->joined);
    p->tokens = p->joined;
    p->count += length;
    return p->count > 0 ? EXIT_SUCCESS : fail("%s: the saved text is empty; give a --prompt", r->o->load);
}

/* The result of a generation. */
typedef struct answer {
    cllm_end end;
    int32_t last;       /* last drawn token, which is not evaluated yet; -1: none was drawn, or it ended the text */
    bool failed;        /* an evaluation failed, .. */
    cllm_error error;   /* .. and why */
    bool is_unfinished; /* the grammar is not complete */
    pace evaluated, generated;
} answer;

/* Save the whole text, even after Ctrl-C. */
static int save_text(run *r, const answer *a) {
    cllm_span span;
    cllm_error err;
    cllm_status status = CLLM_OK;
    cllm_engine_set_progress(r->engine, NULL, NULL);
    if (a->last >= 0) status = run_eval(r, &a->last, 1, CLLM_WANT_NOTHING, &span, &err);
    if (status == CLLM_OK) status = cllm_sequence_save(r->sequence, r->o->save, &err);
    return status == CLLM_OK ? EXIT_SUCCESS : fail_with(&err);
}

/* The small model of --draft-model, or all zero. */
typedef struct draft {
    cllm_model *model;
    cllm_engine *engine;
    cllm_sequence *sequence;
} draft;

static int start_draft(const run *r, draft *d) {
    const options *o = r->o;
    const cllm_load_options load = {.no_mmap = o->no_mmap, .progress = interrupt_progress};
    const cllm_engine_options engine = {.n_ctx = cllm_engine_plan(r->engine)->n_ctx,
                                        .n_batch = (uint32_t)o->batch,
                                        .n_threads = (uint32_t)o->threads,
                                        .cpu_isa = o->cpu_isa,
                                        .progress = interrupt_progress};
    cllm_error err;
    if (!o->draft_model) return EXIT_SUCCESS;
    cllm_status status = cllm_model_load(o->draft_model, &load, &d->model, &err);
    if (status == CLLM_OK && cllm_model_get_info(d->model)->is_encoder)
        return fail("%s: --draft-model: a %s model cannot generate text", o->draft_model,
                    cllm_model_get_info(d->model)->architecture);
    if (status == CLLM_OK) status = cllm_engine_create(d->model, &engine, &d->engine, &err);
    if (status == CLLM_OK) status = cllm_sequence_create(d->engine, &d->sequence, &err);
    return status == CLLM_OK ? EXIT_SUCCESS : fail_with(&err);
}

static void stop_draft(draft *d) {
    cllm_sequence_destroy(d->sequence);
    cllm_engine_destroy(d->engine);
    cllm_model_destroy(d->model);
}

static cllm_status create_generation(const run *r, const prompt *p, cllm_sampler *sampler, cllm_grammar *grammar,
                                     const draft *d, cllm_generation **out, cllm_error *err) {
    static const int32_t none;
    const options *o = r->o;
    const cllm_generation_options generation = {
        .sampler = sampler,
        .grammar = grammar,
        .end_tokens = o->ignore_eos ? &none : NULL,
        .n_most = o->n_tokens,
        .draft_lookup = strcmp(o->draft, "lookup") == 0,
        .draft_sequence = d->sequence,
    };
    return cllm_generation_create(r->sequence, p->tokens, p->count, &generation, out, err);
}

/* The prompt has been evaluated: print what was measured, and the text before the first token. */
static void begin_text(const run *r, const prompt *p, text_stream *text, answer *a, size_t n_evaluated,
                       double seconds) {
    a->evaluated = (pace){.n_tokens = n_evaluated, .n_timed = n_evaluated, .seconds = seconds};
    if (r->o->verbose) fprintf(stderr, "prompt: evaluated in %.3f s\n", seconds);
    if (r->o->echo) text_stream_write(text, p->text.data, p->text.length);
}

/* Evaluate the next tokens and print the resulting text. start: when the work on them began. */
static int take_step(run *r, cllm_generation *generation, const prompt *p, cllm_span *span, text_stream *text,
                     answer *a, double start) {
    const bool first = a->evaluated.n_tokens == 0;
    cllm_event event;
    cllm_status status = cllm_eval(r->engine, span, 1, &a->error);
    const bool is_cancelled = status == CLLM_ERR_CANCELLED;
    if (status == CLLM_OK || is_cancelled) status = cllm_generation_take(generation, span, &event, &a->error);
    a->failed = status != CLLM_OK;
    if (first) run_stage(r, "%s", "");
    if (first && is_cancelled)
        note(r->o, r->o->save ? "interrupted within the prompt; nothing is saved" : "interrupted within the prompt");
    if (a->failed) return EXIT_FAILURE;
    if (first && !is_cancelled) begin_text(r, p, text, a, span->count, now() - start);
    text_stream_write(text, event.text.data, event.text.length);
    a->generated.n_tokens += event.n_tokens - (event.end == CLLM_END_TOKEN);
    a->generated.n_drafted = (size_t)event.n_drafted;
    a->generated.n_accepted = (size_t)event.n_accepted;
    a->end = event.end;
    a->is_unfinished = event.is_unfinished;
    if (event.n_tokens > 0) a->last = event.end == CLLM_END_TOKEN ? -1 : event.tokens[event.n_tokens - 1];
    const int flushed = flush_output();
    if (!first) {
        a->generated.seconds += now() - start;
        a->generated.n_timed += event.n_tokens;
    }
    return flushed;
}

/* The main loop. Its first step evaluates the prompt. */
static int write_text(run *r, cllm_generation *generation, const prompt *p, text_stream *text, answer *a) {
    int status = EXIT_SUCCESS;
    cllm_span span;
    run_stage(r, "reading the prompt");
    for (double start = now(); status == EXIT_SUCCESS && cllm_generation_wants(generation, SIZE_MAX, &span);
         start = now()) { /* cllm_generation_wants makes drafts */
        status = take_step(r, generation, p, &span, text, a, start);
        if (interrupted()) status = EXIT_INTERRUPTED;
    }
    return status;
}

static void note_full(const run *r) { /* printed even with -q: a text is never cut without saying so */
    fprintf(stderr, "context: all %" PRIu32 " tokens are in use, so the text stops here; --ctx sets it\n",
            cllm_engine_plan(r->engine)->n_ctx);
}

/* Generate and print the text, to the newline at the end. */
static int write_answer(run *r, cllm_generation *generation, const prompt *p) {
    answer a = {.last = -1};
    text_stream text = {.out = stdout};
    int status = write_text(r, generation, p, &text, &a);
    const bool has_text = status == EXIT_SUCCESS || a.generated.n_tokens > 0;
    if (has_text && !ferror(stdout)) {
        text_stream_end(&text);
        fputc('\n', stdout);
        const int flushed = flush_output();
        if (flushed != EXIT_SUCCESS) status = flushed;
    }
    if (a.failed) status = fail_with(&a.error); /* on a line of its own */
    if (!has_text) return status;
    if (a.end == CLLM_END_CONTEXT_FULL) note_full(r);
    if (status != EXIT_FAILURE) run_summary(r, a.evaluated, a.generated);
    if (r->o->save && !a.failed) { /* even if it was interrupted or could not be printed */
        const int saved = save_text(r, &a);
        if (saved != EXIT_SUCCESS) return saved;
    }
    return status == EXIT_SUCCESS && a.is_unfinished ? fail_unfinished(a.generated.n_tokens) : status;
}

/* Only evaluate the prompt: with -n 0, or if it fills the context. */
static int evaluate_prompt(run *r, const prompt *p) {
    cllm_span span;
    cllm_error err;
    const double start = now();
    run_stage(r, "reading the prompt");
    const uint32_t done = cllm_sequence_length(r->sequence);
    cllm_status status = run_eval(r, p->tokens + done, p->count - done, CLLM_WANT_NOTHING, &span, &err);
    run_stage(r, "%s", "");
    if (status != CLLM_OK) return fail_with(&err);
    text_stream text = {.out = stdout};
    if (r->o->echo) text_stream_write(&text, p->text.data, p->text.length);
    text_stream_end(&text);
    fputc('\n', stdout);
    if (r->o->n_tokens > 0) note_full(r);
    run_summary(r, (pace){.n_tokens = p->count - done, .n_timed = p->count - done, .seconds = now() - start},
                (pace){0});
    const int flushed = flush_output();
    return flushed == EXIT_SUCCESS && r->o->save ? save_text(r, &(answer){.last = -1}) : flushed;
}

int generate(const options *o) {
    prompt p = {0};
    run r = {0};
    cllm_sampler *sampler = NULL;
    cllm_generation *generation = NULL;
    grammar_use g = {0};
    draft d = {0};
    if (o->prompt && o->file) return usage_error("--prompt and --file cannot be used together");
    int status = o->save ? check_save(o->save, true) : EXIT_SUCCESS;
    if (status == EXIT_SUCCESS) status = read_prompt(o, &p);
    if (status == EXIT_SUCCESS) status = run_load(&r, o);
    if (status == EXIT_SUCCESS) status = run_check_writes(&r);
    if (status == EXIT_SUCCESS) note_missing_prompt(&r);
    if (status == EXIT_SUCCESS) status = encode_prompt(&r, &p);
    if (status == EXIT_SUCCESS) status = run_start(&r, o->ctx);
    if (status == EXIT_SUCCESS && o->load) status = load_text(&r, &p);
    if (status == EXIT_SUCCESS) status = run_check_fits(&r, "the prompt", p.count);
    if (status == EXIT_SUCCESS) status = start_draft(&r, &d);
    if (status == EXIT_SUCCESS) status = make_grammar(o, cllm_model_tokenizer(r.model), &g);
    if (status == EXIT_SUCCESS) {
        cllm_sampler_options sampling = sampling_for(&r, &o->sampling);
        if (sampling.seed == UINT64_MAX) sampling.seed = fresh_seed();
        cllm_error err;
        cllm_status made = cllm_sampler_create(cllm_model_get_info(r.model)->n_vocab, &sampling, &sampler, &err);
        if (made == CLLM_OK) made = create_generation(&r, &p, sampler, g.grammar, &d, &generation, &err);
        if (made != CLLM_OK) status = fail_with(&err);
    }
    if (status == EXIT_SUCCESS) {
        const bool goes_on = o->n_tokens > 0 && cllm_generation_end(generation) == CLLM_END_NONE;
        status = goes_on ? write_answer(&r, generation, &p) : evaluate_prompt(&r, &p);
    }
    cllm_generation_destroy(generation);
    stop_draft(&d);
    cllm_sampler_destroy(sampler);
    free_grammar(&g);
    cllm_free(p.encoded);
    free(p.joined);
    free(p.text.data);
    run_close(&r);
    return status;
}
