/* Implements completion.h: results of the engine -> cllm_generation: tokens and text -> cllm_answer: reasoning, content
 * and calls -> stop strings, which apply only to content -> an event. */
#include "server/completion.h"

#include "server/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Most rows of logits in one step, to score a prompt. */
enum { SCORED_AT_ONCE = 32 };

void completion_fail(choice *c, const failure *f) {
    event *e = event_create(c->index);
    if (c->told || !e) return event_destroy(e);
    c->told = true;
    event_fail(e, f);
    e->usage = c->usage;
    request_add_event(c->request, e);
}

void completion_fail_with(choice *c, const cllm_error *err) {
    failure f;
    refuse(&f, err->status == CLLM_ERR_ARGUMENT || err->status == CLLM_ERR_CONTEXT_FULL ? 400 : 500, NULL, "%s",
           err->message);
    completion_fail(c, &f);
}

/* ------------------------------------------------------------------------------------------------ start */

/* The first choice of each prompt uses the request's seed; the others of the prompt have seeds of their own. */
static uint64_t seed_of(const choice *c) {
    const size_t n = c->index % c->request->n_each;
    uint64_t x = c->request->sampling.seed + 0x9E3779B97F4A7C15u * n;
    if (n == 0) return x;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u; /* splitmix64 */
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static cllm_status create_generation(choice *c, cllm_error *err) {
    const request *r = c->request;
    static const int32_t none;
    const bool is_chat = r->kind == REQUEST_CHAT; /* then stop strings apply only to its content */
    const cllm_generation_options wanted = {
        .sampler = c->sampler,
        .end_tokens = r->ignores_end ? &none : NULL,
        .stop_strings = r->stops,
        .n_stop_strings = is_chat ? 0 : r->n_stops,
        .n_most = r->n_most == UINT64_MAX ? 0 : r->n_most,
        .spell_control = is_chat,
        .logprobs = r->wants_logprobs,
        .n_logprobs = r->n_logprobs,
        .grammar = r->grammar,
        .preamble = r->preamble,
        .draft_lookup = r->model->drafts,
    };
    return cllm_generation_create(c->sequence, c->prompt->tokens, c->prompt->count, &wanted, &c->generation, err);
}

static finish finish_of(const choice *c, cllm_end end) {
    switch (end) {
    case CLLM_END_NONE: return FINISH_NONE;
    case CLLM_END_LENGTH: return FINISH_LENGTH;
    case CLLM_END_CONTEXT_FULL: return FINISH_CONTEXT;
    case CLLM_END_STOP_STRING: return FINISH_STOP_STRING;
    default: return c->calls ? FINISH_CALLS : FINISH_STOP;
    }
}

/* A text may end before it begins, if the grammar allows only the empty text. */
static bool ends_at_once(choice *c) {
    const cllm_end end = c->generation ? cllm_generation_end(c->generation) : CLLM_END_NONE;
    event *e = end != CLLM_END_NONE ? event_create(c->index) : NULL;
    if (!e) return false;
    c->told = true;
    e->finish = finish_of(c, end);
    e->usage = c->usage;
    request_add_event(c->request, e);
    return true;
}

static bool is_scoring(const choice *c) { return c->request->scores_prompt && c->n_scored + 1 < c->prompt->count; }

bool completion_may_adopt(const choice *c) {
    return c->request->uses_cache && c->request->kind != REQUEST_EMBED && !is_scoring(c);
}

void completion_adopt(choice *c) {
    if (completion_may_adopt(c)) cllm_sequence_reuse(c->sequence, c->tokens.ids, c->tokens.count);
    c->n_adopted = cllm_sequence_length(c->sequence);
    if (!c->begun) c->usage.n_cached = c->n_adopted;
}

bool completion_give_way(choice *c) {
    cllm_error err;
    if (is_scoring(c)) c->n_scored = 0;
    return cllm_sequence_truncate(c->sequence, 0, &err) == CLLM_OK;
}

bool completion_start(choice *c, cllm_sequence *sequence) {
    request *r = c->request;
    cllm_error err = {.message = "the server is out of memory"};
    cllm_status status = CLLM_OK;
    c->sequence = sequence;
    c->started = now();
    c->usage.n_prompt = c->prompt->count;
    if (c->index % r->n_each != 0) c->n_scored = c->prompt->count; /* the first choice scores the prompt for all */
    for (size_t i = 0; i < c->prompt->count; i++)
        if (!id_list_add(&c->tokens, c->prompt->tokens[i])) status = CLLM_ERR_MEMORY;
    if (status == CLLM_OK) completion_adopt(c);
    if (status == CLLM_OK && r->kind != REQUEST_EMBED && !r->no_text) {
        cllm_sampler_options sampling = r->sampling;
        sampling.seed = seed_of(c);
        status = cllm_sampler_create(cllm_model_get_info(r->model->run.model)->n_vocab, &sampling, &c->sampler, &err);
        if (status == CLLM_OK) status = create_generation(c, &err);
    }
    if (status == CLLM_OK && r->kind == REQUEST_CHAT)
        status = cllm_answer_create(r->model->chat, r->parts, r->n_parts,
                                    r->tools ? (cllm_string){r->tools, strlen(r->tools)} : (cllm_string){"[]", 2},
                                    &c->answer, &err);
    if (status != CLLM_OK) completion_fail_with(c, &err);
    return status == CLLM_OK && !ends_at_once(c);
}

void completion_stop(choice *c) {
    cllm_generation_destroy(c->generation);
    cllm_sampler_destroy(c->sampler);
    cllm_answer_destroy(c->answer);
    cllm_sequence_destroy(c->sequence);
    c->generation = NULL;
    c->sampler = NULL;
    c->answer = NULL;
    c->sequence = NULL;
}

void completion_destroy(choice *c) {
    free(c->held.bytes);
    free(c->tokens.ids);
}

/* ------------------------------------------------------------------------------------------------- wants */

size_t completion_n_left(const choice *c) { return c->tokens.count - cllm_sequence_length(c->sequence); }

bool completion_wants(choice *c, size_t most, cllm_span *span) {
    const request *r = c->request;
    const uint32_t length = cllm_sequence_length(c->sequence);
    size_t count = completion_n_left(c);
    const bool by_ourselves = r->kind == REQUEST_EMBED || is_scoring(c) || !c->generation;
    if (!by_ourselves) return cllm_generation_wants(c->generation, most, span);
    if (c->told) return false;
    cllm_want want = CLLM_WANT_NOTHING;
    if (is_scoring(c)) {
        want = CLLM_WANT_EACH;
        if (count > SCORED_AT_ONCE) count = SCORED_AT_ONCE;
        if (c->generation && count == completion_n_left(c)) count--; /* the generation evaluates the last one */
    } else if (r->kind == REQUEST_EMBED) {
        want = CLLM_WANT_EMBEDDING; /* a mean needs all rows at once */
    } else if (count > most) {
        count = most;
    }
    *span = (cllm_span){.sequence = c->sequence, .tokens = c->tokens.ids + length, .count = count, .want = want};
    return true;
}

/* -------------------------------------------------------------------------------------------------- take */

/* The log probability of a token, then those of the likeliest: [1 + n]. */
static void score(const float *logits, uint32_t n_vocab, int32_t token, uint32_t n, cllm_logprob *row) {
    float most = -INFINITY;
    double sum = 0;
    for (uint32_t i = 0; i < n_vocab; i++)
        if (logits[i] > most) most = logits[i];
    for (uint32_t i = 0; i < n_vocab; i++) sum += exp((double)(logits[i] - most));
    const double base = (double)most + log(sum);
    row[0] = (cllm_logprob){token, (float)((double)logits[token] - base)};
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < n_vocab; i++) { /* the likeliest tokens so far stay sorted */
        if (n_found == n && (n == 0 || logits[i] <= logits[row[n].token])) continue;
        uint32_t at = n_found < n ? ++n_found : n;
        for (; at > 1 && logits[i] > logits[row[at - 1].token]; at--) row[at] = row[at - 1];
        row[at].token = (int32_t)i;
    }
    for (uint32_t i = 1; i <= n_found; i++) row[i].logprob = (float)((double)logits[row[i].token] - base);
}

static bool score_prompt(choice *c, const cllm_span *span) {
    const request *r = c->request;
    const size_t row = 1 + r->n_logprobs;
    const uint32_t n_vocab = cllm_model_get_info(r->model->run.model)->n_vocab;
    if (!c->prompt->logprobs) c->prompt->logprobs = calloc(c->prompt->count * row, sizeof *c->prompt->logprobs);
    if (!c->prompt->logprobs) return false;
    for (size_t i = 0; i < span->count && c->n_scored + 1 < c->prompt->count; i++) {
        const size_t next = ++c->n_scored;
        score(span->rows + i * n_vocab, n_vocab, c->prompt->tokens[next], r->n_logprobs,
              c->prompt->logprobs + next * row);
    }
    return true;
}

/* How many bytes at the end of a text could be the beginning of a stop string. */
static size_t n_maybe_stop(const request *r, const char *text, size_t length) {
    size_t most = 0;
    for (size_t i = 0; i < r->n_stops; i++) {
        size_t n = r->stops[i].length - 1;
        if (n > length) n = length;
        while (n > most && memcmp(text + length - n, r->stops[i].data, n) != 0) n--;
        if (n > most) most = n;
    }
    return most;
}

/* Offset of the first stop string, or SIZE_MAX. which: out. */
static size_t find_stop(const request *r, const char *text, size_t length, size_t *which) {
    for (size_t at = 0; at < length; at++)
        for (size_t i = 0; i < r->n_stops; i++) {
            const cllm_string stop = r->stops[i];
            *which = i;
            if (stop.length <= length - at && memcmp(text + at, stop.data, stop.length) == 0) return at;
        }
    return SIZE_MAX;
}

/* Move content to the event, except for what may become a stop string. */
static bool add_content(choice *c, event *e, cllm_string text) {
    const request *r = c->request;
    if (r->n_stops == 0) return text.length == 0 || event_add_piece(e, CLLM_DELTA_CONTENT, 0, (cllm_string){0}, text);
    if (!text_buffer_add(&c->held, text.data, text.length)) return false;
    const size_t stop = find_stop(r, c->held.bytes, c->held.length, &e->stop_string);
    const size_t n = stop != SIZE_MAX ? stop : c->held.length - n_maybe_stop(r, c->held.bytes, c->held.length);
    const bool added =
        n == 0 || event_add_piece(e, CLLM_DELTA_CONTENT, 0, (cllm_string){0}, (cllm_string){c->held.bytes, n});
    if (n > 0) memmove(c->held.bytes, c->held.bytes + n, c->held.length -= n);
    if (stop != SIZE_MAX) e->finish = FINISH_STOP_STRING;
    return added;
}

/* Send the held content: it will not become a stop string. */
static bool let_go(choice *c, event *e) {
    const cllm_string held = {c->held.bytes, c->held.length};
    c->held.length = 0;
    return held.length == 0 || event_add_piece(e, CLLM_DELTA_CONTENT, 0, (cllm_string){0}, held);
}

static cllm_status add_answer(choice *c, event *e, cllm_string text, bool ended, cllm_error *err) {
    const cllm_delta *deltas;
    size_t n_deltas;
    const cllm_status status = cllm_answer_take(c->answer, text, ended, &deltas, &n_deltas, err);
    bool added = status == CLLM_OK;
    for (size_t i = 0; added && i < n_deltas && e->finish == FINISH_NONE; i++) {
        const cllm_delta *d = &deltas[i];
        if (d->kind == CLLM_DELTA_CALL && d->call > 0 && c->request->one_call) {
            e->finish = FINISH_CALLS;
        } else if (d->kind == CLLM_DELTA_CONTENT) {
            added = add_content(c, e, d->text);
        } else {
            c->calls |= d->kind == CLLM_DELTA_CALL;
            added = let_go(c, e) && event_add_piece(e, d->kind, d->call, d->id, d->text);
        }
    }
    if (ended && added && e->finish == FINISH_NONE) added = let_go(c, e);
    return status == CLLM_OK && !added ? CLLM_ERR_MEMORY : status;
}

static bool copy_tokens(choice *c, event *e, const cllm_event *from) {
    const size_t n = from->n_tokens, row = 1 + c->request->n_logprobs;
    if (n == 0) return true;
    e->tokens = malloc(n * sizeof *e->tokens);
    if (from->logprobs) e->logprobs = malloc(n * row * sizeof *e->logprobs);
    if (!e->tokens || (from->logprobs && !e->logprobs)) return false;
    memcpy(e->tokens, from->tokens, n * sizeof *e->tokens);
    if (e->logprobs) memcpy(e->logprobs, from->logprobs, n * row * sizeof *e->logprobs);
    e->n_tokens = n;
    for (size_t i = 0; i < n; i++)
        if (!id_list_add(&c->tokens, from->tokens[i])) return false;
    return true;
}

/* Check the lines of the new text. Returns false at the first one that is indented less than the request wants: the
 * text is cut there. */
static bool keeps_indent(choice *c, cllm_string *text) {
    for (size_t i = 0; i < text->length; i++) {
        const char byte = text->data[i];
        const bool is_blank = byte == ' ' || byte == '\t';
        if (c->is_in_indent && is_blank) c->n_blanks++;
        if (c->is_in_indent && !is_blank) {
            c->is_in_indent = false;
            if (c->n_blanks < c->request->n_indent) {
                text->length = i;
                return false;
            }
        }
        if (byte != '\n') continue;
        c->has_new_line = c->is_in_indent = true;
        c->n_blanks = 0;
    }
    return true;
}

/* Turn the text of a step into pieces of the event. */
static cllm_status take_text(choice *c, event *e, const cllm_span *span, cllm_error *err) {
    cllm_event from;
    const request *r = c->request;
    cllm_status status = cllm_generation_take(c->generation, span, &from, err);
    if (status != CLLM_OK) return status;
    if (!copy_tokens(c, e, &from)) return CLLM_ERR_MEMORY;
    c->usage.n_drawn += from.n_tokens;
    c->usage.n_drafted = (size_t)from.n_drafted;
    c->usage.n_accepted = (size_t)from.n_accepted;
    e->stop_string = from.stop_string;
    const bool goes_on = keeps_indent(c, &from.text);
    if (r->kind == REQUEST_CHAT)
        status = add_answer(c, e, from.text, from.end != CLLM_END_NONE, err);
    else if (from.text.length > 0 && !event_add_piece(e, CLLM_DELTA_CONTENT, 0, (cllm_string){0}, from.text))
        status = CLLM_ERR_MEMORY;
    if (status != CLLM_OK) return status;
    if (!goes_on) e->finish = FINISH_LENGTH;
    for (size_t i = 0; i < e->n_pieces; i++)
        if (e->pieces[i].kind == CLLM_DELTA_REASONING) c->usage.n_reasoning = c->usage.n_drawn;
    if (e->finish == FINISH_NONE) e->finish = finish_of(c, from.end);
    /* the model may write the end of its turn as plain text */
    if (e->finish == FINISH_NONE && c->answer && cllm_answer_has_ended(c->answer)) {
        status = add_answer(c, e, (cllm_string){"", 0}, true, err);
        if (e->finish == FINISH_NONE) e->finish = c->calls ? FINISH_CALLS : FINISH_STOP;
    }
    if (e->finish == FINISH_NONE && r->n_limit > 0 && c->tokens.count >= r->n_limit) e->finish = FINISH_CONTEXT;
    if (e->finish == FINISH_NONE && r->most_ms > 0 && c->has_new_line && c->read > 0 &&
        (now() - c->read) * 1000 > (double)r->most_ms)
        e->finish = FINISH_LENGTH;
    return status;
}

static cllm_status take_embedding(choice *c, event *e, const cllm_span *span, cllm_error *err) {
    const cllm_engine *engine = c->request->model->run.engine;
    const size_t n_rows = cllm_engine_pooling(engine) == CLLM_POOLING_NONE ? span->count : 1;
    e->n_floats = n_rows * cllm_engine_n_embd_out(engine);
    e->embedding = malloc(e->n_floats * sizeof *e->embedding);
    if (!e->embedding) return CLLM_ERR_MEMORY;
    memcpy(e->embedding, span->rows, e->n_floats * sizeof *e->embedding);
    e->finish = FINISH_STOP;
    bool finite = true;
    for (size_t i = 0; i < e->n_floats; i++) finite = finite && isfinite(e->embedding[i]);
    if (finite) return CLLM_OK;
    snprintf(err->message, sizeof err->message, "the model computes numbers that are not finite");
    return CLLM_ERR_FORMAT;
}

bool completion_take(choice *c, const cllm_span *span) {
    request *r = c->request;
    cllm_error err = {.status = CLLM_ERR_MEMORY, .message = "the server is out of memory"};
    event *e = event_create(c->index);
    cllm_status status = e ? span->status : CLLM_ERR_MEMORY;
    const bool reads = c->read == 0;
    c->begun = true;
    if (reads) c->usage.n_read = cllm_sequence_length(c->sequence);
    if (status == CLLM_OK && r->kind == REQUEST_EMBED)
        status = take_embedding(c, e, span, &err);
    else if (status == CLLM_OK && is_scoring(c))
        status = score_prompt(c, span) ? CLLM_OK : CLLM_ERR_MEMORY;
    else if (status == CLLM_OK && c->generation)
        status = take_text(c, e, span, &err);
    if (status == CLLM_OK && !c->generation && completion_n_left(c) == 0) e->finish = FINISH_LENGTH;
    if (status != CLLM_OK) {
        err.status = status;
        completion_fail_with(c, &err);
        event_destroy(e);
        return false;
    }
    const double time = now();
    if (reads && (completion_n_left(c) <= 1 || e->n_tokens > 0)) c->read = time;
    if (reads)
        c->usage.prompt_ms = (time - c->started) * 1000;
    else
        c->usage.drawn_ms = (time - c->read) * 1000;
    if (reads && c->usage.n_read > c->usage.n_prompt) c->usage.n_read = c->usage.n_prompt;
    e->usage = c->usage;
    c->told = e->finish != FINISH_NONE;
    const bool goes_on = !c->told;
    if (c->told || e->n_tokens > 0 || e->n_pieces > 0 || r->shows_progress)
        request_add_event(r, e);
    else
        event_destroy(e);
    return goes_on;
}
