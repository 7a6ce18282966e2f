/* The command eval: a model's logits on given tokens, or its perplexity on a text.
 *
 * Perplexity is computed as in llama.cpp's perplexity tool, so that it can be compared with published figures. The
 * text's tokens are cut into chunks of --ctx tokens. Each chunk starts with an empty context, and if the model adds
 * BOS, BOS replaces its first token. Only predictions that have at least half a chunk before them are scored:
 *
 *   perplexity = exp(mean of -log softmax(logits[i])[token[i + 1]]),  i = ctx/2 .. ctx-2 of every chunk
 *
 * Its uncertainty is the standard error of that mean, times the perplexity. */
#include "commands.h"
#include "interrupt.h"
#include "program.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ----------------------------------------------------------------------------------------------- logits */

typedef struct logits_sink {
    FILE *file; /* or NULL */
    uint32_t n_vocab;
    int32_t *likeliest; /* [n_tokens], owned */
    bool write_failed, not_finite;
} logits_sink;

static bool take_logits(logits_sink *sink, size_t index, const float *logits) {
    int32_t best = 0;
    for (uint32_t i = 0; i < sink->n_vocab; i++) {
        if (logits[i] > logits[best]) best = (int32_t)i;
        sink->not_finite = sink->not_finite || !isfinite(logits[i]);
    }
    sink->likeliest[index] = best;
    /* the machine is little-endian, as the model file is */
    if (sink->file && fwrite(logits, sizeof *logits, sink->n_vocab, sink->file) != sink->n_vocab)
        sink->write_failed = true;
    return !sink->write_failed && !sink->not_finite;
}

static int fail_not_finite(const run *r) {
    cllm_error err;
    cllm_sequence_diagnose(r->sequence, &err);
    return fail("%s: %s%s", r->o->model, err.message, remedy_of(&err));
}

/* An incomplete file of logits is useless: remove it, unless it is a pipe or a device. */
static int close_logits(FILE *file, const char *path, int status) {
    struct stat info;
    bool regular = fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode);
    if (fclose(file) != 0 && status == EXIT_SUCCESS) status = fail("%s: %s", path, strerror(errno));
    if (status != EXIT_SUCCESS && regular) unlink(path);
    return status;
}

/* How many tokens get logits in one call: a batch, or fewer if their logits would take more than 256 MiB. */
static size_t tokens_at_once(const run *r, uint32_t n_vocab) {
    const size_t most = ((size_t)256 << 20) / (n_vocab * sizeof(float)), n = most > 0 ? most : 1;
    return n < r->o->batch ? n : (size_t)r->o->batch;
}

/* Pass rows of logits on. Returns OK even if the sink wants no more. */
static cllm_status hand_over(run *r, const id_list *list, logits_sink *sink, cllm_error *err) {
    const size_t most = tokens_at_once(r, sink->n_vocab);
    for (size_t done = 0, n; done < list->count; done += n) {
        cllm_span span;
        n = list->count - done < most ? list->count - done : most;
        cllm_status status = run_eval(r, list->ids + done, n, CLLM_WANT_EACH, &span, err);
        if (status != CLLM_OK) return status;
        for (size_t i = 0; i < n; i++)
            if (!take_logits(sink, done + i, span.rows + i * sink->n_vocab)) return CLLM_OK;
    }
    return CLLM_OK;
}

/* Run the forward passes, and write the logits to the file if there is one. */
static int run_tokens(run *r, const id_list *list, logits_sink *sink) {
    const char *path = r->o->logits;
    if (path) {
        sink->file = fopen(path, "wb");
        if (!sink->file) return fail_to_open(path);
    }
    cllm_error err;
    int status = EXIT_SUCCESS;
    r->n_stage = list->count;
    run_stage(r, "evaluating");
    if (hand_over(r, list, sink, &err) != CLLM_OK) status = fail_with(&err);
    if (sink->write_failed) status = fail("%s: %s", path, strerror(errno));
    if (sink->not_finite) status = fail_not_finite(r);
    run_stage(r, "%s", "");
    return path ? close_logits(sink->file, path, status) : status;
}

/* Read the ids of --tokens. */
static int read_tokens(const options *o, id_list *list) {
    input in = {0};
    int status = EXIT_SUCCESS;
    if (strcmp(o->tokens, "-") == 0) {
        status = read_input("-", &in);
        if (status == EXIT_SUCCESS) status = id_list_parse(list, "standard input", in.data, in.length);
    } else {
        status = id_list_parse(list, "--tokens", o->tokens, strlen(o->tokens));
    }
    free(in.data);
    if (status == EXIT_SUCCESS && list->count == 0) status = usage_error("--tokens: no token ids");
    return status;
}

static int eval_tokens(run *r) {
    id_list list = {0};
    logits_sink sink = {.n_vocab = cllm_model_get_info(r->model)->n_vocab};
    int status = read_tokens(r->o, &list);
    if (status == EXIT_SUCCESS) status = run_start(r, r->o->ctx);
    if (status == EXIT_SUCCESS) status = run_check_fits(r, "--tokens", list.count);
    if (status == EXIT_SUCCESS) status = id_list_check(&list, sink.n_vocab); /* before an old file is overwritten */
    if (status == EXIT_SUCCESS) {
        sink.likeliest = calloc(list.count, sizeof *sink.likeliest);
        if (!sink.likeliest) status = fail("out of memory");
    }
    double start = now();
    if (status == EXIT_SUCCESS) status = run_tokens(r, &list, &sink);
    double seconds = now() - start;
    if (status == EXIT_SUCCESS) {
        for (size_t i = 0; i < list.count; i++) printf("%s%" PRId32, i ? " " : "", sink.likeliest[i]);
        putchar('\n');
        status = flush_output();
    }
    if (status == EXIT_SUCCESS)
        run_summary(r, (pace){.n_tokens = list.count, .n_timed = list.count, .seconds = seconds}, (pace){0});
    free(sink.likeliest);
    free(list.ids);
    return status;
}

/* ------------------------------------------------------------------------------------------- perplexity */

typedef struct scores {
    const int32_t *chunk; /* [n_ctx], the text's own tokens */
    uint32_t n_ctx, n_vocab;
    size_t count;
    double sum, sum_of_squares; /* of -log p */
    bool not_finite;            /* a probability was not finite */
} scores;

/* logits: after token `index` of the chunk. */
static bool score(scores *s, size_t index, const float *logits) {
    float largest = logits[0]; /* not a double: GCC 12 for arm64 fails to compile that */
    for (uint32_t i = 1; i < s->n_vocab; i++) largest = fmaxf(largest, logits[i]);
    double sum = 0;
    for (uint32_t i = 0; i < s->n_vocab; i++) sum += exp((double)logits[i] - (double)largest);
    double surprise = log(sum) + (double)largest - (double)logits[s->chunk[index + 1]];
    s->sum += surprise;
    s->sum_of_squares += surprise * surprise;
    s->count++;
    s->not_finite = !isfinite(surprise);
    return !s->not_finite;
}

/* The first half is context for the second. The last token has no next token to predict. */
static cllm_status score_chunk(run *r, scores *s, cllm_error *err) {
    const size_t most = tokens_at_once(r, s->n_vocab), end = s->n_ctx - 1;
    cllm_span span;
    cllm_status status = cllm_sequence_truncate(r->sequence, 0, err);
    if (status == CLLM_OK) status = run_eval(r, s->chunk, s->n_ctx / 2, CLLM_WANT_NOTHING, &span, err);
    for (size_t first = s->n_ctx / 2, n; status == CLLM_OK && first < end; first += n) {
        n = end - first < most ? end - first : most;
        status = run_eval(r, s->chunk + first, n, CLLM_WANT_EACH, &span, err);
        for (size_t i = 0; status == CLLM_OK && i < n; i++)
            if (!score(s, first + i, span.rows + i * s->n_vocab)) return CLLM_OK;
    }
    return status;
}

static void print_perplexity(const scores *s, size_t n_done, size_t n_chunks) {
    const double mean = s->sum / (double)s->count;
    const double variance = fmax(0, s->sum_of_squares / (double)s->count - mean * mean);
    printf("perplexity: %.4f +/- %.5f (%zu ", exp(mean), exp(mean) * sqrt(variance / (double)(s->count - 1)), n_done);
    if (n_done < n_chunks) printf("of %zu ", n_chunks);
    printf("chunks of %" PRIu32 " tokens)\n", s->n_ctx);
}

static int run_chunks(run *r, int32_t *tokens, size_t n_chunks, scores *s) {
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    cllm_error err;
    cllm_status status = CLLM_OK;
    double start = now();
    size_t n_done = 0;
    r->n_stage = n_chunks * (s->n_ctx - 1);
    for (; n_done < n_chunks; n_done++) {
        const scores before = *s;
        int32_t *chunk = tokens + n_done * s->n_ctx;
        s->chunk = chunk;
        if (n_done == 0)
            run_stage(r, "chunk 1 of %zu", n_chunks);
        else
            run_stage(r, "chunk %zu of %zu, perplexity %.4f", n_done + 1, n_chunks, exp(s->sum / (double)s->count));
        if (cllm_tokenizer_adds_bos(tokenizer))
            chunk[0] = cllm_tokenizer_bos(tokenizer); /* its own prediction is not scored */
        status = score_chunk(r, s, &err);
        if (status == CLLM_ERR_CANCELLED) *s = before; /* only whole chunks count */
        if (status != CLLM_OK || s->not_finite) break;
    }
    run_stage(r, "%s", "");
    if (s->not_finite) return fail_not_finite(r);
    const bool stopped = status == CLLM_ERR_CANCELLED && s->count > 1;
    if (status != CLLM_OK && !stopped) return fail_with(&err);
    if (stopped) note(r->o, "interrupted: this is the perplexity of the first chunks");
    print_perplexity(s, n_done, n_chunks);
    int flushed = flush_output();
    if (flushed != EXIT_SUCCESS) return flushed;
    const size_t n_tokens = n_done * s->n_ctx;
    run_summary(r, (pace){.n_tokens = n_tokens, .n_timed = n_tokens, .seconds = now() - start}, (pace){0});
    return stopped ? EXIT_INTERRUPTED : EXIT_SUCCESS;
}

static int eval_text(run *r) {
    enum { DEFAULT_CTX = 512 };
    const options *o = r->o;
    const cllm_model_info *info = cllm_model_get_info(r->model);
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    if (!tokenizer) return fail_without_tokenizer(r);
    const bool by_default = !is_given(o, "ctx") && info->n_ctx_train > DEFAULT_CTX;
    const uint64_t n_ctx = o->ctx ? o->ctx : by_default ? DEFAULT_CTX : info->n_ctx_train;
    if (n_ctx < 3) return fail("--ctx: chunks of %" PRIu64 " tokens leave nothing to score; give at least 3", n_ctx);

    input text;
    int32_t *tokens = NULL;
    size_t count = 0;
    cllm_error err;
    int status = read_input(o->text, &text);
    if (status == EXIT_SUCCESS && cllm_tokenizer_encode(tokenizer, text.data, text.length, CLLM_ENCODE_ADD_SPECIAL,
                                                        &tokens, &count, &err) != CLLM_OK)
        status = fail_with(&err);
    if (status == EXIT_SUCCESS && cllm_tokenizer_adds_eos(tokenizer) && count > 0) count--;
    if (status == EXIT_SUCCESS && count < 2 * n_ctx)
        status = fail("%s: %zu tokens are too few: two chunks of %" PRIu64 " need %" PRIu64 "; --ctx sets their length",
                      o->text, count, n_ctx, 2 * n_ctx);
    if (status == EXIT_SUCCESS) status = run_start(r, n_ctx);
    if (status == EXIT_SUCCESS) {
        scores s = {.n_ctx = (uint32_t)n_ctx, .n_vocab = info->n_vocab};
        status = run_chunks(r, tokens, count / n_ctx, &s);
    }
    cllm_free(tokens);
    free(text.data);
    return status;
}

int eval(const options *o) {
    if (!o->tokens && !o->text) return usage_error("eval needs either --tokens or --text");
    if (o->tokens && o->text) return usage_error("eval takes either --tokens or --text, not both");
    if (o->logits && !o->tokens) return usage_error("--logits needs --tokens");
    if (o->logits && strcmp(o->logits, "-") == 0)
        return usage_error("--logits: the ids go to standard output; name a file");
    run r;
    int status = run_load(&r, o);
    if (status == EXIT_SUCCESS) status = run_check_writes(&r);
    if (status == EXIT_SUCCESS) status = o->tokens ? eval_tokens(&r) : eval_text(&r);
    run_close(&r);
    return status;
}
