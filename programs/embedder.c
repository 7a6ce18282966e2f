/* Evaluates many short texts: decides how many go into one call, and in which sequences. */
#include "embedder.h"

#include "interrupt.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_AT_ONCE = 16, /* most texts in one call if the model keeps keys and values */
    MOST_ENCODED = 64, /* most texts in one call if it keeps none */
};

int token_texts_add(token_texts *texts, const int32_t *tokens, size_t count) {
    if (texts->count == texts->capacity) {
        const size_t capacity = texts->capacity ? 2 * texts->capacity : 64;
        size_t *ends = realloc(texts->ends, capacity * sizeof *ends);
        if (!ends) return fail("out of memory");
        texts->ends = ends;
        texts->capacity = capacity;
    }
    for (size_t i = 0; i < count; i++)
        if (!id_list_add(&texts->ids, tokens[i])) return fail("out of memory");
    texts->ends[texts->count++] = texts->ids.count;
    return EXIT_SUCCESS;
}

void token_texts_free(token_texts *texts) {
    free(texts->ids.ids);
    free(texts->ends);
    *texts = (token_texts){0};
}

bool next_line(const input *in, size_t *at, cllm_string *line) {
    if (*at >= in->length) return false;
    const char *begin = in->data + *at, *end = memchr(begin, '\n', in->length - *at);
    size_t length = end ? (size_t)(end - begin) : in->length - *at;
    *at += length + 1;
    if (length > 0 && begin[length - 1] == '\r') length--;
    *line = (cllm_string){begin, length};
    return true;
}

/* ------------------------------------------------------------------------------------------ evaluating */

static size_t begin_of(const token_texts *texts, size_t i) { return i > 0 ? texts->ends[i - 1] : 0; }
static size_t length_of(const token_texts *texts, size_t i) { return texts->ends[i] - begin_of(texts, i); }

/* The state of embed_all. */
typedef struct embedder {
    run *run;
    const token_texts *texts;
    cllm_sequence *sequences[MOST_ENCODED]; /* [run->n_sequences]; the first is the run's own */
    cllm_span spans[MOST_ENCODED];
    uint32_t n_pages;
    take_rows take;
    void *user;
} embedder;

static int check_lengths(const run *r, const token_texts *texts, const char *what, const char *remedy,
                         size_t *longest) {
    const uint32_t most = cllm_model_get_info(r->model)->n_ctx_train;
    *longest = 1;
    for (size_t i = 0; i < texts->count; i++) {
        const size_t length = length_of(texts, i);
        if (length == 0) return fail("%s %zu has no tokens", what, i + 1);
        if (most > 0 && length > most)
            return fail("%s %zu has %zu tokens, the model has %" PRIu32 " positions: shorten the text or split it%s",
                        what, i + 1, length, most, remedy);
        if (length > *longest) *longest = length;
    }
    return id_list_check(&texts->ids, cllm_model_get_info(r->model)->n_vocab);
}

static int start(embedder *e, const char *what, const char *remedy) {
    run *r = e->run;
    size_t longest;
    int status = check_lengths(r, e->texts, what, remedy, &longest);
    if (status != EXIT_SUCCESS) return status;
    const bool keeps = !cllm_model_get_info(r->model)->is_encoder;
    const size_t most = keeps ? MOST_AT_ONCE : MOST_ENCODED;
    r->n_sequences = (uint32_t)(e->texts->count < most ? e->texts->count : most);
    e->n_pages = pages_of(longest) > r->n_sequences ? pages_of(longest) : r->n_sequences;
    r->n_positions = e->n_pages * PAGE;
    status = run_start(r, longest);
    e->sequences[0] = r->sequence;
    cllm_error err;
    for (uint32_t i = 1; status == EXIT_SUCCESS && i < r->n_sequences; i++)
        if (cllm_sequence_create(r->engine, &e->sequences[i], &err) != CLLM_OK) status = fail_with(&err);
    return status;
}

/* Make spans of the texts from `first` on, as many as sequences and pages allow. */
static size_t fill_spans(embedder *e, size_t first) {
    uint32_t n_pages = 0;
    size_t n = 0;
    for (size_t i = first; i < e->texts->count && n < e->run->n_sequences; i++) {
        n_pages += pages_of(length_of(e->texts, i));
        if (n > 0 && n_pages > e->n_pages) break;
        e->spans[n] = (cllm_span){.sequence = e->sequences[n],
                                  .tokens = e->texts->ids.ids + begin_of(e->texts, i),
                                  .count = length_of(e->texts, i),
                                  .want = CLLM_WANT_EMBEDDING};
        n++;
    }
    return n;
}

static int hand_over(embedder *e, const char *what, size_t first, size_t n) {
    const cllm_engine *engine = e->run->engine;
    const size_t n_floats = cllm_engine_n_embd_out(engine);
    const bool is_none = cllm_engine_pooling(engine) == CLLM_POOLING_NONE;
    for (size_t i = 0; i < n; i++) {
        const size_t n_rows = is_none ? e->spans[i].count : 1;
        for (size_t k = 0; k < n_rows * n_floats; k++)
            if (!isfinite(e->spans[i].rows[k]))
                return fail("%s %zu: the model computes numbers that are not finite", what, first + i + 1);
        const int status = e->take(e->user, first + i, e->spans[i].rows, n_rows, n_floats);
        if (status != EXIT_SUCCESS) return status;
    }
    return EXIT_SUCCESS;
}

/* The progress bar covers all texts, but the engine knows only those of one call. */
static bool on_call(void *user, uint64_t done, uint64_t total) { return interrupt_progress(user, done, total); }

int embed_all(run *r, const token_texts *texts, const char *what, const char *remedy, bool bar, take_rows take,
              void *user) {
    const double patience = 0.5; /* seconds before the bar appears */
    embedder e = {.run = r, .texts = texts, .take = take, .user = user};
    if (texts->count == 0) return EXIT_SUCCESS;
    int status = start(&e, what, remedy);
    if (status == EXIT_SUCCESS) cllm_engine_set_progress(r->engine, on_call, NULL);
    const double begun = now();
    for (size_t first = 0, n; status == EXIT_SUCCESS && first < texts->count; first += n) {
        cllm_error err;
        n = fill_spans(&e, first);
        if (cllm_eval(r->engine, e.spans, n, &err) != CLLM_OK) status = fail_with(&err);
        if (status == EXIT_SUCCESS) status = hand_over(&e, what, first, n);
        for (size_t i = 0; status == EXIT_SUCCESS && i < n; i++)
            if (cllm_sequence_truncate(e.sequences[i], 0, &err) != CLLM_OK) status = fail_with(&err);
        if (status == EXIT_SUCCESS && bar && now() - begun > patience)
            run_progress(r, "embedding", texts->ends[first + n - 1], texts->ids.count);
    }
    for (uint32_t i = 1; i < r->n_sequences; i++) cllm_sequence_destroy(e.sequences[i]);
    if (status == EXIT_SUCCESS) status = flush_output();
    if (status == EXIT_SUCCESS)
        run_summary(r, (pace){texts->ids.count, texts->ids.count, now() - begun, 0, 0}, (pace){0});
    return status;
}
