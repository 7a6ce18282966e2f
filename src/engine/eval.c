/* cllm_eval: runs the tokens of many sequences through the forward pass. It checks all spans, cuts them into batches,
 * takes pages for what they write, and puts the wanted rows where the caller finds them. Before it: the sequences.
 * After it: the sampler. */
#include "base/error.h"
#include "engine/states.h"
#include "sampling/logits.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------- checking */

static cllm_status check_span(const cllm_engine *e, const cllm_span *span, cllm_error *err) {
    const cllm_sequence *s = span->sequence;
    if (!s || s->engine != e || !s->in_use)
        return error_set(err, CLLM_ERR_ARGUMENT, "a span's sequence belongs to another engine");
    if (s->span) return error_set(err, CLLM_ERR_ARGUMENT, "two spans have the same sequence");
    if (span->count == 0) return error_set(err, CLLM_ERR_ARGUMENT, "there are no tokens to evaluate");
    if (span->want < CLLM_WANT_NOTHING || span->want > CLLM_WANT_EMBEDDING)
        return error_set(err, CLLM_ERR_ARGUMENT, "a span wants %d, which is not a known value", (int)span->want);
    if (is_encoder(e) && span->want != CLLM_WANT_EMBEDDING)
        return error_set(
            err, CLLM_ERR_UNSUPPORTED,
            "a %s model cannot generate text, because its tokens see those after them: only embeddings can be wanted",
            e->model->config.architecture);
    if (is_encoder(e) && span->count > e->plan.n_ctx)
        return error_set(err, CLLM_ERR_CONTEXT_FULL, "%zu tokens do not fit into a context of %u", span->count,
                         e->plan.n_ctx);
    if (span->count > e->plan.n_ctx - s->length)
        return error_set(err, CLLM_ERR_CONTEXT_FULL,
                         "%zu tokens after the %u already there do not fit into a context of %u", span->count,
                         s->length, e->plan.n_ctx);
    return check_tokens(e->model, span->tokens, span->count, err);
}

/* How many of the spans before spans[i] begin in the same page and will replace it with a copy of their own. After
 * that, fewer sequences share the page, so spans[i] may not need a copy. */
static uint32_t count_leaving(const cllm_engine *e, const cllm_span *spans, size_t i) {
    const cllm_sequence *s = spans[i].sequence;
    const uint32_t last = kv_table_last(&s->table, s->length);
    uint32_t n = 0;
    for (size_t k = 0; last != KV_NONE && e->pages.pages[last].n_tables > 1 && k < i; k++)
        n += spans[k].status == CLLM_OK && kv_table_last(&spans[k].sequence->table, spans[k].sequence->length) == last;
    return n;
}

static cllm_status check_pages(const cllm_engine *e, const cllm_span *spans, size_t i, uint64_t *n_needed,
                               cllm_error *err) {
    const cllm_span *span = &spans[i];
    const cllm_sequence *s = span->sequence;
    const uint32_t n =
        kv_table_needs(&s->table, &e->pages, s->length, s->length + (uint32_t)span->count, count_leaving(e, spans, i));
    if (is_encoder(e)) *n_needed = 0; /* its pages are free again after each batch */
    if (*n_needed + n <= prefix_cache_room(&e->cache)) {
        *n_needed += n;
        return CLLM_OK;
    }
    return error_set(err, CLLM_ERR_MEMORY,
                     "%zu tokens need %u pages of %d positions, but of the engine's %u only %" PRIu64 " are left",
                     span->count, n, KV_CHUNK, e->pages.pools[KV_FULL].n_pages,
                     prefix_cache_room(&e->cache) - *n_needed);
}

/* Check all spans: set the status of each, and the `span` of its sequence. Returns the first status that is not OK. */
static cllm_status check_spans(cllm_engine *e, cllm_span *spans, size_t n_spans, cllm_error *err) {
    cllm_status first = n_spans > 0 ? CLLM_OK : error_set(err, CLLM_ERR_ARGUMENT, "there are no spans to evaluate");
    uint64_t n_needed = 0;
    for (size_t i = 0; i < n_spans; i++) {
        cllm_span *span = &spans[i];
        cllm_error *reason = first == CLLM_OK ? err : NULL;
        span->rows = NULL;
        span->next = -1;
        span->status = check_span(e, span, reason);
        if (span->status == CLLM_OK) span->status = check_pages(e, spans, i, &n_needed, reason);
        if (span->status == CLLM_OK) span->sequence->span = span;
        if (first == CLLM_OK) first = span->status;
    }
    return first;
}

/* ----------------------------------------------------------------------------------------------- output */

/* What a span's kept rows become. For WANT_NEXT the CPU computes logits and searches them; a GPU returns only the
 * token. */
typedef enum kept_kind { KEPT_NONE, KEPT_LOGITS, KEPT_NEXT, KEPT_EMBEDDING } kept_kind;

static kept_kind kind_of(const cllm_engine *e, const cllm_span *span) {
    switch (span->want) {
    case CLLM_WANT_NOTHING: return KEPT_NONE;
    case CLLM_WANT_NEXT: return on_gpu(e) ? KEPT_NEXT : KEPT_LOGITS;
    case CLLM_WANT_LAST:
    case CLLM_WANT_EACH: return KEPT_LOGITS;
    case CLLM_WANT_EMBEDDING: return KEPT_EMBEDDING;
    }
    return KEPT_NONE;
}

/* Floats of output that a span needs, including those for computing what is not returned. */
static size_t count_floats(const cllm_engine *e, const cllm_span *span) {
    const size_t n_vocab = e->model->config.n_vocab;
    switch (kind_of(e, span)) {
    case KEPT_LOGITS: return span->want == CLLM_WANT_EACH ? span->count * n_vocab : n_vocab;
    case KEPT_EMBEDDING:
        return e->pooling == CLLM_POOLING_NONE ? span->count * cllm_engine_n_embd_out(e)
                                               : embedding_length(&e->model->config);
    default: return 0;
    }
}

/* Set where each span's rows go. All logits come first, in the order of the spans, so that those of a batch are
 * neighbours and are computed at once. Embeddings come after them. */
static cllm_status place_rows(cllm_engine *e, cllm_span *spans, size_t n_spans, cllm_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < n_spans; i++) n += count_floats(e, &spans[i]);
    if (n > e->n_output) {
        float *larger = realloc(e->output, n * sizeof *larger);
        if (!larger)
            return error_set(err, CLLM_ERR_MEMORY, "no memory for %zu numbers of output; ask for fewer at once", n);
        e->output = larger;
        e->n_output = n;
    }
    float *at = e->output;
    for (kept_kind kind = KEPT_LOGITS; kind <= KEPT_EMBEDDING; kind++)
        for (size_t i = 0; i < n_spans; i++) {
            if (kind_of(e, &spans[i]) != kind) continue;
            spans[i].sequence->out = at;
            if (spans[i].want != CLLM_WANT_NEXT) spans[i].rows = at;
            if (kind == KEPT_EMBEDDING) memset(at, 0, count_floats(e, &spans[i]) * sizeof *at); /* sums start from 0 */
            at += count_floats(e, &spans[i]);
        }
    return CLLM_OK;
}

/* Set a span's error, because a logit of its last token is not finite. The other spans do not fail. */
static void fail_span(cllm_engine *e, cllm_span *span, cllm_error *err) {
    span->status = cllm_sequence_diagnose(span->sequence, e->n_failed++ == 0 ? err : NULL);
}

static cllm_status cancel(cllm_error *err) {
    return error_set(err, CLLM_ERR_CANCELLED, "the evaluation was cancelled");
}

/* True if the current batch has the last token of a span. An encoder's batches have whole spans; its sequences stay
 * empty. */
static bool ends_here(const cllm_span *span) {
    const cllm_sequence *s = span->sequence;
    return is_encoder(s->engine) || s->length == s->first + (uint32_t)span->count;
}

/* Make the logits of spans first .. end - 1 of the batch. Their kept rows are n_rows from `row` on. */
static cllm_status make_logits(cllm_engine *e, uint32_t first, uint32_t end, uint32_t row, uint32_t n_rows,
                               cllm_error *err) {
    const size_t n_vocab = e->model->config.n_vocab;
    float *out = e->span_of[first]->sequence->out;
    if (on_gpu(e)) {
        cllm_status status = forward_gpu_output(e->offload.forward, row, n_rows, out, err);
        if (status != CLLM_OK) return status;
    } else {
        forward_cpu_output(&e->forward, e->x + (size_t)row * e->model->config.n_embd, n_rows, out);
        if (e->forward.stopped) return cancel(err);
    }
    for (uint32_t i = first; i < end; i++) {
        cllm_span *span = e->span_of[i];
        const float *rows = span->sequence->out;
        span->sequence->out += e->spans[i].n_kept * n_vocab;
        if (span->want != CLLM_WANT_NEXT || e->spans[i].n_kept == 0) continue;
        if (likeliest_token(rows, NULL, (uint32_t)n_vocab, &span->next, NULL) != CLLM_OK) fail_span(e, span, err);
    }
    return CLLM_OK;
}

/* Make the likeliest next tokens of these spans on a GPU. */
static cllm_status make_next(cllm_engine *e, uint32_t first, uint32_t end, uint32_t row, uint32_t n_rows,
                             cllm_error *err) {
    int32_t *next = e->tokens; /* the pass has read it already */
    cllm_status status = forward_gpu_next(e->offload.forward, row, n_rows, next, err);
    for (uint32_t i = first; status == CLLM_OK && i < end; i++) {
        cllm_span *span = e->span_of[i];
        if (e->spans[i].n_kept == 0) continue;
        span->next = *next++;
        if (span->next < 0) fail_span(e, span, err);
    }
    return status;
}

static void scale_to_one(float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    const float factor = sum > 0 ? (float)(1 / sqrt(sum)) : 1;
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}

/* Which rows the engine's pooling uses: those of NONE, MEAN, CLS or LAST. RANK uses those that its classifier was
 * trained with. */
static cllm_pooling rows_of_pooling(const cllm_engine *e) {
    if (e->pooling != CLLM_POOLING_RANK) return e->pooling;
    switch (e->model->config.traits->classifier) {
    case CLASSIFIER_GELU: return CLLM_POOLING_MEAN;
    case CLASSIFIER_SOFTMAX: return CLLM_POOLING_LAST;
    default: return CLLM_POOLING_CLS;
    }
}

/* Turn a pooled row, [n_embd], into an embedding or scores. out may be x. */
static cllm_status finish_embedding(cllm_engine *e, const float *x, float *out, cllm_error *err) {
    const model_config *config = &e->model->config;
    const size_t n = cllm_engine_n_embd_out(e);
    bool whole = true;
    if (e->pooling == CLLM_POOLING_RANK)
        whole = forward_cpu_classify(&e->forward, x, out);
    else if (config->dense_lengths[0] > 0 || config->dense_lengths[1] > 0)
        whole = forward_cpu_dense(&e->forward, x, out);
    else if (out != x)
        memcpy(out, x, config->n_embd * sizeof *out);
    if (!e->raw_embeddings && e->pooling != CLLM_POOLING_RANK) scale_to_one(out, n);
    return whole ? CLLM_OK : cancel(err);
}

/* Make the embedding of span i of the batch. If the span has several batches, add what this one contributes. The span's
 * kept rows begin at `row`. Only an encoder's text may have more than n_batch rows. */
static cllm_status make_embedding(cllm_engine *e, uint32_t i, uint32_t row, cllm_error *err) {
    const size_t n = e->model->config.n_embd;
    const cllm_pooling pooling = rows_of_pooling(e);
    const cllm_span *span = e->span_of[i];
    const uint32_t n_rows = e->spans[i].n_kept;
    cllm_sequence *s = span->sequence;
    float *rows = e->x + row * n;
    cllm_status status = CLLM_OK;
    if (on_gpu(e)) status = forward_gpu_embedding(e->offload.forward, row, n_rows, rows, err);
    for (uint32_t first = 0; !on_gpu(e) && first < n_rows; first += e->n_batch) {
        forward_cpu_embedding(&e->forward, rows + first * n, n_rows - first < e->n_batch ? n_rows - first : e->n_batch);
        if (e->forward.stopped) return cancel(err);
    }
    if (pooling == CLLM_POOLING_LAST) rows += (n_rows - 1) * n;
    if (pooling == CLLM_POOLING_CLS || pooling == CLLM_POOLING_LAST) return finish_embedding(e, rows, s->out, err);
    for (uint32_t k = 0; status == CLLM_OK && k < n_rows; k++, rows += n) {
        if (pooling == CLLM_POOLING_MEAN) {
            for (size_t c = 0; c < n; c++) s->out[c] += rows[c];
        } else {
            status = finish_embedding(e, rows, s->out, err);
            s->out += cllm_engine_n_embd_out(e);
        }
    }
    if (status != CLLM_OK || pooling != CLLM_POOLING_MEAN || !ends_here(span)) return status;
    for (size_t c = 0; c < n; c++) s->out[c] /= (float)span->count;
    return finish_embedding(e, s->out, s->out, err);
}

/* True if the logits of span `end` of the batch come right after those of the spans from `first` on, which have n_rows.
 * They do not if a span between them ended in an earlier batch, or continues in a later one. */
static bool follows(const cllm_engine *e, uint32_t first, uint32_t end, uint32_t n_rows) {
    return e->span_of[end]->sequence->out ==
           e->span_of[first]->sequence->out + (size_t)n_rows * e->model->config.n_vocab;
}

/* Make the output of the batch. Neighbouring spans of the same kind share one call, except embeddings. */
static cllm_status make_output(cllm_engine *e, uint32_t n_spans, cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (uint32_t i = 0, end, row = 0, n_rows; status == CLLM_OK && i < n_spans; i = end, row += n_rows) {
        const kept_kind kind = kind_of(e, e->span_of[i]);
        end = i + 1;
        n_rows = e->spans[i].n_kept;
        while (kind != KEPT_EMBEDDING && end < n_spans && kind_of(e, e->span_of[end]) == kind &&
               (kind != KEPT_LOGITS || follows(e, i, end, n_rows)))
            n_rows += e->spans[end++].n_kept;
        if (n_rows == 0) continue;
        if (kind == KEPT_LOGITS)
            status = make_logits(e, i, end, row, n_rows, err);
        else
            status = kind == KEPT_NEXT ? make_next(e, i, end, row, n_rows, err) : make_embedding(e, i, row, err);
    }
    return status;
}

/* ---------------------------------------------------------------------------------------------- batches */

/* The forward passes call this before each step or layer. Returns false if the caller's progress function wants to
 * stop. */
static bool keep_going_at(void *user, uint32_t layer) {
    const cllm_engine *e = user;
    const uint64_t n_layers = e->model->config.n_layers;
    return !e->progress ||
           e->progress(e->user, e->n_done * n_layers + (uint64_t)e->n_rows * layer, e->n_wanted * n_layers);
}

static bool keep_going(void *user) { return keep_going_at(user, ((const cllm_engine *)user)->forward.layer); }

/* How many rows of a span's piece are kept for output: the last ones. begins, ends: the piece has the span's first,
 * last row. */
static uint32_t count_kept(const cllm_engine *e, const cllm_span *span, uint32_t n_rows, bool begins, bool ends) {
    const bool embeds = span->want == CLLM_WANT_EMBEDDING;
    if (is_encoder(e)) return n_rows;
    if (embeds && rows_of_pooling(e) == CLLM_POOLING_CLS) return begins ? n_rows : 0;
    if (span->want == CLLM_WANT_EACH || (embeds && rows_of_pooling(e) != CLLM_POOLING_LAST)) return n_rows;
    return ends && span->want != CLLM_WANT_NOTHING;
}

/* Fill the next batch of an encoder. It takes whole spans: as many as fit into a batch and the free pages, or a single
 * one that is longer than a batch. Returns the number of spans. */
static uint32_t fill_encoder_batch(cllm_engine *e, cllm_span *spans, size_t n_spans) {
    uint32_t n = 0, n_pages = 0;
    e->n_rows = 0;
    for (size_t i = e->n_encoded; i < n_spans; i++) {
        const cllm_sequence *s = spans[i].sequence;
        const uint32_t n_rows = (uint32_t)spans[i].count;
        n_pages += kv_chunks(n_rows);
        if (n > 0 && (n_rows > e->n_batch - e->n_rows || n_pages > e->pages.pools[KV_FULL].n_free)) break;
        if (n_rows <= e->n_batch) memcpy(e->tokens + e->n_rows, spans[i].tokens, n_rows * sizeof *e->tokens);
        e->span_of[n] = &spans[i];
        e->spans[n++] = (forward_span){.table = &s->table, .n_rows = n_rows, .end = n_rows, .n_kept = n_rows};
        e->n_rows += n_rows;
        if (e->n_rows >= e->n_batch) break;
    }
    e->n_encoded += n;
    return n;
}

/* Most rows that the batch takes from a span: with recurrent layers a pass ends where a state is kept. */
static uint32_t room_for(const cllm_engine *e, const cllm_sequence *s) {
    const uint32_t room = e->n_batch - e->n_rows;
    if (!has_states(e)) return room;
    const uint32_t kept = states_next_kept(s, s->length) - s->next;
    return kept < room ? kept : room;
}

/* Fill the next batch with rows of the spans, in order. Returns the number of spans with rows. */
static uint32_t fill_batch(cllm_engine *e, cllm_span *spans, size_t n_spans) {
    uint32_t n = 0;
    if (is_encoder(e)) return fill_encoder_batch(e, spans, n_spans);
    e->n_rows = 0;
    for (size_t i = 0; i < n_spans && e->n_rows < e->n_batch; i++) {
        cllm_sequence *s = spans[i].sequence;
        const uint32_t left = s->first + (uint32_t)spans[i].count - s->next, room = room_for(e, s);
        const uint32_t n_rows = left < room ? left : room, behind = s->length - s->next;
        const uint32_t n_replayed = behind < n_rows ? behind : n_rows, n_new = n_rows - n_replayed;
        if (n_rows == 0) continue;
        memcpy(e->tokens + e->n_rows, s->tokens + s->next, n_replayed * sizeof *e->tokens);
        memcpy(e->tokens + e->n_rows + n_replayed, spans[i].tokens + (s->length - s->first), n_new * sizeof *e->tokens);
        e->span_of[n] = &spans[i];
        e->spans[n] = (forward_span){.table = &s->table,
                                     .first_position = s->next,
                                     .n_rows = n_rows,
                                     .n_replayed = n_replayed,
                                     .n_kept = count_kept(e, &spans[i], n_new, s->length == s->first, n_rows == left)};
        if (has_states(e)) states_plan(s, &e->spans[n]);
        n++;
        e->n_rows += n_rows;
    }
    return n;
}

/* Take pages for a span of the batch. Keep the windowed pages that are needed if the last n_batch tokens of the call
 * are taken back. */
static cllm_status take_pages(cllm_engine *e, const forward_span *span, cllm_sequence *s, cllm_error *err) {
    const uint32_t end = s->next + span->n_rows, back = end > e->n_batch ? end - e->n_batch : 0;
    if (end <= s->length) return CLLM_OK; /* all its rows are replayed: their pages exist */
    s->reached = end;
    kv_table_drop(&s->table, &e->pages, back > s->first ? back : s->first);
    prefix_cache_make_room(&e->cache, kv_table_needs(&s->table, &e->pages, s->length, end, 0));
    const kv_copies copies = kv_table_grow(&s->table, &e->pages, s->length, end);
    prefix_cache_forget(&e->cache, &s->table, s->length);
    if (e->n_cpu_layers > 0) kv_store_copy(&e->store, &copies);
    prefix_cache_make_room(&e->cache, 0); /* perhaps only the cache holds the copied page now */
    return on_gpu(e) ? forward_gpu_copy(e->offload.forward, &copies, err) : CLLM_OK;
}

/* The steps of an encoder's text that is longer than a batch. Each is run for all batches before the next step: first
 * the embeddings, then for each layer the keys and values, and the rest of the layer. */
typedef enum encoder_step { ENCODER_EMBEDS, ENCODER_KEYS, ENCODER_REST } encoder_step;

/* Returns false if the caller's progress function stopped it. */
static bool run_encoder_step(cllm_engine *e, encoder_step step, uint32_t layer) {
    const forward_span *whole = &e->spans[0];
    bool goes_on = true;
    for (uint32_t first = 0; goes_on && first < whole->n_rows; first += e->n_batch) {
        const uint32_t left = whole->n_rows - first, n_rows = left < e->n_batch ? left : e->n_batch;
        const forward_span part = {
            .table = whole->table, .first_position = first, .n_rows = n_rows, .end = whole->end, .n_kept = n_rows};
        float *x = e->x + (size_t)first * e->model->config.n_embd;
        forward_cpu_begin(&e->forward, &part, 1);
        switch (step) {
        case ENCODER_EMBEDS: forward_cpu_embed(&e->forward, e->span_of[0]->tokens + first, x); break;
        case ENCODER_KEYS: goes_on = forward_cpu_layer_keys(&e->forward, x, layer); break;
        case ENCODER_REST: goes_on = forward_cpu_layer_rest(&e->forward, x, layer); break;
        }
    }
    return goes_on;
}

static bool run_long_text(cllm_engine *e) {
    bool goes_on = run_encoder_step(e, ENCODER_EMBEDS, 0);
    for (uint32_t layer = 0; goes_on && layer < e->model->config.n_layers; layer++)
        goes_on = run_encoder_step(e, ENCODER_KEYS, layer) && run_encoder_step(e, ENCODER_REST, layer);
    return goes_on;
}

static cllm_status run_layers(cllm_engine *e, uint32_t n_spans, cllm_error *err) {
    if (e->n_cpu_layers > 0) {
        e->forward.keep_going = keep_going;
        e->forward.user = e;
        if (e->n_rows > e->n_batch) return run_long_text(e) ? CLLM_OK : cancel(err);
        forward_cpu_begin(&e->forward, e->spans, n_spans);
        forward_cpu_embed(&e->forward, e->tokens, e->x);
        if (!forward_cpu_layers(&e->forward, e->x, 0, e->n_cpu_layers)) return cancel(err);
    }
    if (!on_gpu(e)) return CLLM_OK;
    return forward_gpu_layers(e->offload.forward, e->spans, n_spans, e->tokens, e->n_cpu_layers > 0 ? e->x : NULL,
                              keep_going_at, e, err);
}

static cllm_status run_batch(cllm_engine *e, uint32_t n_spans, cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (uint32_t i = 0; status == CLLM_OK && i < n_spans; i++)
        status = take_pages(e, &e->spans[i], e->span_of[i]->sequence, err);
    if (status == CLLM_OK) status = run_layers(e, n_spans, err);
    for (uint32_t i = 0; i < n_spans; i++) {
        cllm_sequence *s = e->span_of[i]->sequence;
        const uint32_t n_new = e->spans[i].n_rows - e->spans[i].n_replayed;
        if (has_states(e)) states_end(s, &e->spans[i], status != CLLM_OK);
        if (status != CLLM_OK) {
            sequence_cut(s, s->length);
            continue;
        }
        e->n_evaluated += e->spans[i].n_rows;
        if (is_encoder(e)) {
            sequence_cut(s, 0);
            continue;
        }
        memcpy(s->tokens + s->length, e->span_of[i]->tokens + (s->length - s->first), n_new * sizeof *s->tokens);
        prefix_cache_learn(&e->cache, &s->table, s->tokens, s->length, s->length + n_new);
        s->length += n_new;
        s->next += e->spans[i].n_rows;
        if (has_states(e)) states_keep(s);
    }
    return status == CLLM_OK ? make_output(e, n_spans, err) : status;
}

/* Run all batches of a call. */
static cllm_status run_spans(cllm_engine *e, cllm_span *spans, size_t n_spans, cllm_error *err) {
    cllm_status status = place_rows(e, spans, n_spans, err);
    e->n_done = e->n_wanted = e->n_failed = e->n_encoded = 0;
    for (size_t i = 0; i < n_spans; i++) {
        cllm_sequence *s = spans[i].sequence;
        s->first = s->length;
        s->next = has_states(e) ? states_begin(s) : s->length;
        e->n_wanted += spans[i].count + (s->length - s->next);
    }
    while (status == CLLM_OK && e->n_done < e->n_wanted) {
        status = run_batch(e, fill_batch(e, spans, n_spans), err);
        e->n_done += e->n_rows;
    }
    return status;
}

cllm_status cllm_eval(cllm_engine *engine, cllm_span *spans, size_t n_spans, cllm_error *err) {
    cllm_engine *e = engine;
    cllm_status status = check_spans(e, spans, n_spans, err);
    if (status == CLLM_OK) {
        status = run_spans(e, spans, n_spans, err);
        for (size_t i = 0; status != CLLM_OK && i < n_spans; i++) spans[i].status = status;
    }
    for (size_t i = 0; i < n_spans; i++) {
        if (spans[i].sequence && spans[i].sequence->engine == e) spans[i].sequence->span = NULL;
        if (spans[i].status != CLLM_OK) {
            spans[i].rows = NULL;
            spans[i].next = -1;
        }
        if (status == CLLM_OK) status = spans[i].status;
    }
    return status;
}
