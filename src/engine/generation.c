/* cllm_generation: one request. It says what to evaluate next, and turns the results into tokens, text and a reason for
 * the end. Its caller calls cllm_eval in between, and may put spans of many generations into one call. Before it: the
 * tokenizer, which makes the prompt. After it: the caller, who shows the text.
 *
 * Text is held back while it may still become a stop string, and while a character is incomplete. */
#include "base/error.h"
#include "engine/drafts.h"
#include "engine/engine.h"
#include "engine/preamble.h"
#include "engine/stops.h"
#include "sampling/grammar.h"
#include "sampling/logits.h"
#include "sampling/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_DRAFT = 16 };

struct cllm_generation {
    cllm_sequence *sequence;
    cllm_generation_options options; /* end_tokens is a copy; the stop strings are in `stops` */
    int32_t *tokens;                 /* [n_ctx] prompt and text, then a draft */
    uint32_t n_prompt, count;        /* tokens of the prompt, and of everything except the draft */
    uint64_t n_most;                 /* most tokens to draw */
    cllm_end end;
    size_t stop_string; /* the one that ended the text */

    /* the last request for an evaluation */
    uint32_t n_drafted;
    bool by_grammar;               /* the draft is forced by the grammar, not guessed */
    uint32_t n_rows;               /* rows that tokens are drawn from: one more than drafted, or 0 within a prompt */
    uint32_t reach;                /* the sequence's length after that evaluation; UINT32_MAX: there was no request */
    uint32_t *masks;               /* [1 + most drafts][mask words], or NULL */
    uint32_t n_masks;              /* how many of them are computed */
    cllm_matcher *matcher, *ahead; /* of the grammar: at the end of the text, and within a draft; or NULL */
    preamble preamble;             /* what may come before the grammar */
    cllm_status mask_status;       /* CLLM_OK, or the error of computing mask number n_masks */
    cllm_error mask_error;         /* its message */
    drafter drafter;

    char *text; /* [text_capacity] text of the drawn tokens */
    size_t text_length, text_capacity;
    size_t n_given; /* bytes that events have delivered */
    stops stops;
    cllm_logprob *logprobs; /* [1 + most drafts][1 + n_logprobs], or NULL */
    arena arena;
};

/* ------------------------------------------------------------------------------------------------- making one */

/* True if drafts do not change the text: a token's logits are the same bits in a batch as alone. */
static bool can_draft(const cllm_engine *e) { return !on_gpu(e) || e->exact; }

static cllm_status check_drafts(const cllm_generation *g, cllm_error *err) {
    const cllm_engine *e = g->sequence->engine;
    const cllm_sequence *small = g->options.draft_sequence;
    if (!small && !g->options.draft_lookup) return CLLM_OK;
    if (!can_draft(e)) return error_set(err, CLLM_ERR_ARGUMENT, "drafts on a GPU need an engine with the option exact");
    if (!small) return CLLM_OK;
    if (small->engine == e || small->length > 0)
        return error_set(err, CLLM_ERR_ARGUMENT, "a draft's sequence must be empty and belong to another engine");
    return drafter_check_vocabulary(e->model, small->engine->model, err);
}

static cllm_status check_request(const cllm_sequence *s, const int32_t *prompt, size_t count,
                                 const cllm_generation_options *o, cllm_error *err) {
    const cllm_engine *e = s->engine;
    const uint32_t n_vocab = e->model->config.n_vocab;
    if (count > e->plan.n_ctx)
        return error_set(err, CLLM_ERR_CONTEXT_FULL, "a prompt of %zu tokens does not fit into a context of %u", count,
                         e->plan.n_ctx);
    cllm_status status = check_tokens(e->model, prompt, count, err);
    if (status != CLLM_OK) return status;
    if (count <= s->length || memcmp(prompt, s->tokens, s->length * sizeof *prompt) != 0)
        return error_set(err, CLLM_ERR_ARGUMENT,
                         "the %u tokens of the sequence are not the beginning of the prompt, or they are all of it",
                         s->length);
    if (o->sampler && sampler_n_vocab(o->sampler) != n_vocab)
        return error_set(err, CLLM_ERR_ARGUMENT, "the sampler is for %u tokens, the vocabulary has %u",
                         sampler_n_vocab(o->sampler), n_vocab);
    if (o->grammar && o->fill_mask)
        return error_set(err, CLLM_ERR_ARGUMENT, "a grammar and fill_mask cannot be used together");
    if (o->grammar && grammar_n_vocab(o->grammar) != n_vocab)
        return error_set(err, CLLM_ERR_ARGUMENT, "the grammar is for %u tokens, the vocabulary has %u",
                         grammar_n_vocab(o->grammar), n_vocab);
    if (o->n_logprobs > n_vocab)
        return error_set(err, CLLM_ERR_ARGUMENT, "%u logprobs are more than the vocabulary's %u tokens", o->n_logprobs,
                         n_vocab);
    return CLLM_OK;
}

static bool allocate(cllm_generation *g, const int32_t *prompt, size_t count) {
    const cllm_engine *e = g->sequence->engine;
    const uint32_t n_rows = 1 + g->drafter.most;
    cllm_generation_options *o = &g->options;
    int32_t *ends = arena_alloc(&g->arena, o->n_end_tokens, sizeof *ends);
    g->tokens = arena_alloc(&g->arena, e->plan.n_ctx, sizeof *g->tokens);
    if (!ends || !g->tokens) return false;
    memcpy(g->tokens, prompt, count * sizeof *prompt);
    if (o->end_tokens && o->n_end_tokens > 0) memcpy(ends, o->end_tokens, o->n_end_tokens * sizeof *ends);
    if (o->end_tokens) o->end_tokens = ends;
    if (o->fill_mask || o->grammar) {
        g->masks = arena_alloc(&g->arena, n_rows, CLLM_MASK_WORDS(e->model->config.n_vocab) * sizeof *g->masks);
        if (!g->masks) return false;
    }
    if (o->logprobs) {
        g->logprobs = arena_alloc(&g->arena, n_rows, (1 + (uint64_t)o->n_logprobs) * sizeof *g->logprobs);
        if (!g->logprobs) return false;
    }
    return true;
}

/* True if the text fits the grammar and nothing may follow. */
static bool is_complete(const cllm_generation *g) {
    return g->matcher && g->preamble.state == PREAMBLE_OVER && matcher_is_complete(g->matcher);
}

cllm_status cllm_generation_create(cllm_sequence *sequence, const int32_t *prompt, size_t count,
                                   const cllm_generation_options *options, cllm_generation **out, cllm_error *err) {
    static const cllm_generation_options defaults = {0};
    const cllm_generation_options *o = options ? options : &defaults;
    *out = NULL;
    cllm_status status = check_request(sequence, prompt, count, o, err);
    if (status != CLLM_OK) return status;
    cllm_generation *g = calloc(1, sizeof *g);
    if (!g) return error_set(err, CLLM_ERR_MEMORY, "no memory for a generation");
    g->sequence = sequence;
    g->options = *o;
    g->n_prompt = g->count = (uint32_t)count;
    g->n_most = o->n_most ? o->n_most : UINT64_MAX;
    g->reach = UINT32_MAX;
    if (o->draft_lookup || o->draft_sequence || (o->grammar && can_draft(sequence->engine))) {
        const uint32_t most = o->n_draft ? o->n_draft : DEFAULT_DRAFT;
        g->drafter = (drafter){.lookup = o->draft_lookup,
                               .sequence = o->draft_sequence,
                               .most = most < sequence->engine->n_batch ? most : sequence->engine->n_batch - 1,
                               .depth = 4,
                               .next_rest = 1};
    }
    status = check_drafts(g, err);
    if (status == CLLM_OK) status = stops_create(o->stop_strings, o->n_stop_strings, &g->arena, &g->stops, err);
    if (status == CLLM_OK && !allocate(g, prompt, count))
        status = error_set(err, CLLM_ERR_MEMORY, "no memory for a generation of up to %u tokens",
                           sequence->engine->plan.n_ctx);
    if (status == CLLM_OK && o->grammar) status = cllm_matcher_create(o->grammar, &g->matcher, err);
    if (status == CLLM_OK && o->grammar) status = preamble_create(&o->preamble, &g->arena, &g->preamble, err);
    if (status == CLLM_OK && count == sequence->engine->plan.n_ctx) g->end = CLLM_END_CONTEXT_FULL;
    if (status == CLLM_OK && is_complete(g)) g->end = CLLM_END_GRAMMAR;
    if (status == CLLM_OK && o->sampler) cllm_sampler_begin(o->sampler, prompt, count);
    if (status == CLLM_OK)
        *out = g;
    else
        cllm_generation_destroy(g);
    return status;
}

void cllm_generation_destroy(cllm_generation *generation) {
    if (!generation) return;
    cllm_matcher_destroy(generation->matcher);
    cllm_matcher_destroy(generation->ahead);
    free(generation->text);
    arena_free(&generation->arena);
    free(generation);
}

cllm_end cllm_generation_end(const cllm_generation *generation) { return generation->end; }

/* ---------------------------------------------------------------------------------------------------- wanting */

/* How many tokens may still be drawn: prompt and text must fit into the context. */
static uint64_t count_left(const cllm_generation *g) {
    const uint64_t room = g->sequence->engine->plan.n_ctx - g->count;
    const uint64_t wanted = g->n_most - (g->count - g->n_prompt);
    return room < wanted ? room : wanted;
}

/* Most tokens that may be drafted now. A draft stays within the page of the last token, so that it never fails because
 * no page is free. */
static uint32_t most_drafted(const cllm_generation *g, size_t room) {
    const uint64_t left = count_left(g) - 1, page = kv_chunks(g->count) * KV_CHUNK - g->count;
    uint64_t n = left < room ? left : room;
    if (n > page) n = page;
    return n < g->drafter.most ? (uint32_t)n : g->drafter.most;
}

/* Draft what must come next, where the grammar leaves no choice. The tokenizer cuts that text into tokens. The last one
 * is not drafted, because the model may choose a longer token there. */
static uint32_t draft_by_grammar(cllm_generation *g, uint32_t most) {
    char text[64];
    int32_t *tokens;
    size_t n;
    if (!g->matcher || g->preamble.state != PREAMBLE_OVER) return 0;
    const size_t length = matcher_only_text(g->matcher, text, sizeof text);
    if (length < 2 || cllm_tokenizer_encode(g->sequence->engine->model->tokenizer, text, length, CLLM_ENCODE_GOES_ON,
                                            &tokens, &n, NULL) != CLLM_OK)
        return 0;
    n = n > 0 ? n - 1 : 0;
    if (n > most) n = most;
    if (n > 0) memcpy(g->tokens + g->count, tokens, n * sizeof *tokens);
    cllm_free(tokens);
    return (uint32_t)n;
}

bool cllm_generation_wants(cllm_generation *generation, size_t most, cllm_span *span) {
    cllm_generation *g = generation;
    *span = (cllm_span){.sequence = g->sequence, .want = CLLM_WANT_NOTHING, .next = -1};
    g->n_drafted = g->n_rows = g->n_masks = 0;
    g->mask_status = CLLM_OK;
    g->reach = UINT32_MAX; /* nothing is requested */
    if (g->end != CLLM_END_NONE || most == 0 || g->sequence->length >= g->count) return false;
    const uint32_t length = g->sequence->length, n = g->count - length;
    span->tokens = g->tokens + length;
    span->count = n < most ? n : most;
    g->reach = length + (uint32_t)span->count;
    if (span->count < n) return true;
    const uint32_t n_draft = most_drafted(g, most - n);
    if (n == 1 && n_draft > 0) g->n_drafted = draft_by_grammar(g, n_draft);
    g->by_grammar = g->n_drafted > 0;
    if (n == 1 && n_draft > 0 && g->n_drafted == 0 && g->preamble.state == PREAMBLE_OVER)
        g->n_drafted = drafter_guess(&g->drafter, g->tokens, g->count, n_draft, g->tokens + g->count);
    g->n_rows = 1 + g->n_drafted;
    span->count += g->n_drafted;
    g->reach += g->n_drafted;
    const cllm_sampler *sampler = g->options.sampler;
    const bool greedy = (!sampler || sampler_takes_likeliest(sampler)) && !g->masks && !g->logprobs;
    span->want = g->n_drafted > 0 ? CLLM_WANT_EACH : greedy ? CLLM_WANT_NEXT : CLLM_WANT_LAST;
    return true;
}

static uint32_t *mask_of(const cllm_generation *g, uint32_t row) {
    return g->masks ? g->masks + row * CLLM_MASK_WORDS(g->sequence->engine->model->config.n_vocab) : NULL;
}

/* Make the mask of what the grammar allows after `row` tokens of the draft. If the grammar refuses one of these, no
 * token is drawn after it, so the mask stays empty. mask: zeros. */
static cllm_status fill_by_grammar(cllm_generation *g, uint32_t row, uint32_t *mask, cllm_error *err) {
    const cllm_generation_options *o = &g->options;
    cllm_matcher *at = g->matcher;
    if (row == 1) {
        cllm_matcher_destroy(g->ahead);
        const cllm_status forked = cllm_matcher_fork(g->matcher, &g->ahead, err);
        if (forked != CLLM_OK) return forked;
    }
    if (row > 0) {
        const cllm_status taken = g->ahead ? cllm_matcher_take(g->ahead, g->tokens[g->count + row - 1], err) : CLLM_OK;
        if (taken == CLLM_ERR_ARGUMENT) {
            cllm_matcher_destroy(g->ahead);
            g->ahead = NULL;
        } else if (taken != CLLM_OK) {
            return taken;
        }
        if (!g->ahead || matcher_has_ended(g->ahead)) return CLLM_OK;
        at = g->ahead;
    }
    const cllm_status status = cllm_matcher_fill_mask(at, mask, err);
    if (status != CLLM_OK) return status;
    const cllm_model *model = g->sequence->engine->model;
    preamble_allow(&g->preamble, model->tokenizer, model->config.n_vocab, mask);
    const bool may_end = g->preamble.state == PREAMBLE_OVER && cllm_matcher_can_end(at);
    if (o->end_tokens) grammar_allow_ends(o->grammar, mask, o->end_tokens, o->n_end_tokens, may_end);
    return status;
}

void cllm_generation_prepare(cllm_generation *generation) {
    cllm_generation *g = generation;
    const size_t bytes = CLLM_MASK_WORDS(g->sequence->engine->model->config.n_vocab) * sizeof *g->masks;
    /* After an error nothing is tried again: `ahead` may have gone on already. */
    for (; g->masks && g->n_masks < g->n_rows && g->mask_status == CLLM_OK; g->n_masks++) {
        uint32_t *mask = mask_of(g, g->n_masks);
        memset(mask, 0, bytes);
        if (g->matcher) g->mask_status = fill_by_grammar(g, g->n_masks, mask, &g->mask_error);
        if (g->mask_status != CLLM_OK) return;
        if (!g->matcher) g->options.fill_mask(g->options.fill_mask_user, g->tokens, g->count + g->n_masks, mask);
    }
}

/* ----------------------------------------------------------------------------------------------------- taking */

static bool ends_text(const cllm_generation *g, int32_t token) {
    const cllm_generation_options *o = &g->options;
    const cllm_tokenizer *tokenizer = g->sequence->engine->model->tokenizer;
    if (!o->end_tokens) return tokenizer && cllm_tokenizer_is_eog(tokenizer, token);
    for (size_t i = 0; i < o->n_end_tokens; i++)
        if (o->end_tokens[i] == token) return true;
    return false;
}

/* Append the text of a token after `previous`, up to a stop string. */
static cllm_status add_text(cllm_generation *g, int32_t previous, int32_t token, cllm_error *err) {
    const cllm_tokenizer *tokenizer = g->sequence->engine->model->tokenizer;
    if (!tokenizer || (cllm_tokenizer_is_control(tokenizer, token) && !g->options.spell_control)) return CLLM_OK;
    const cllm_string bytes = cllm_tokenizer_decode(tokenizer, previous, token);
    if (g->text_length + bytes.length > g->text_capacity) {
        const size_t capacity = 2 * (g->text_length + bytes.length);
        char *larger = realloc(g->text, capacity);
        if (!larger) return error_set(err, CLLM_ERR_MEMORY, "no memory for a text of %zu bytes", capacity);
        g->text = larger;
        g->text_capacity = capacity;
    }
    for (size_t i = 0; i < bytes.length; i++) {
        g->text[g->text_length++] = bytes.data[i];
        const stop_string *stop = stops_take(&g->stops, bytes.data[i]);
        if (!stop) continue;
        g->end = CLLM_END_STOP_STRING;
        g->stop_string = (size_t)(stop - g->stops.strings);
        g->text_length -= stop->length;
        return CLLM_OK;
    }
    return CLLM_OK;
}

/* How many bytes at the end of a text are an incomplete character. */
static size_t count_unfinished(const char *text, size_t length) {
    for (size_t n = 1; n <= 3 && n <= length; n++) {
        const unsigned char first = (unsigned char)text[length - n];
        if (first < 0x80) return 0;
        if (first >= 0xC0) return n < (first < 0xE0 ? 2u : first < 0xF0 ? 3u : first < 0xF5 ? 4u : 0u) ? n : 0;
    }
    return 0;
}

/* The part of the text that no longer has to be held back, and was not given before. */
static cllm_string give_text(cllm_generation *g) {
    size_t end = g->text_length;
    if (g->end == CLLM_END_NONE) {
        end -= stops_held(&g->stops);
        end -= count_unfinished(g->text, end);
    }
    if (end < g->n_given) end = g->n_given;
    const cllm_string text = {g->text ? g->text + g->n_given : "", end - g->n_given};
    g->n_given = end;
    return text;
}

/* Compute log probabilities. out: [1 + n_logprobs]: the drawn token's, then those of the likeliest tokens in falling
 * order, equal ones by id. */
static void fill_logprobs(const cllm_generation *g, const float *logits, int32_t token, cllm_logprob *out) {
    const uint32_t n_vocab = g->sequence->engine->model->config.n_vocab, most = g->options.n_logprobs;
    cllm_logprob *best = out + 1;
    uint32_t n = 0;
    float largest = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < n_vocab; i++) largest = logits[i] > largest ? logits[i] : largest;
    for (uint32_t i = 0; i < n_vocab; i++) {
        sum += exp((double)logits[i] - (double)largest);
        if (most == 0 || (n == most && !(logits[i] > best[n - 1].logprob))) continue;
        uint32_t at = n < most ? n++ : n - 1;
        for (; at > 0 && logits[i] > best[at - 1].logprob; at--) best[at] = best[at - 1];
        best[at] = (cllm_logprob){(int32_t)i, logits[i]};
    }
    const double log_sum = (double)largest + log(sum);
    out[0] = (cllm_logprob){token, (float)((double)logits[token] - log_sum)};
    for (uint32_t i = 0; i < n; i++) best[i].logprob = (float)((double)best[i].logprob - log_sum);
}

/* Draw the next token. row: number of the row among those that tokens are drawn from. */
static cllm_status draw(cllm_generation *g, const cllm_span *span, uint32_t row, int32_t *token, cllm_error *err) {
    const uint32_t n_vocab = g->sequence->engine->model->config.n_vocab;
    cllm_sampler *sampler = g->options.sampler;
    if (span->want == CLLM_WANT_NEXT) {
        *token = span->next;
        return CLLM_OK;
    }
    const size_t first = span->want == CLLM_WANT_EACH ? span->count - g->n_rows : 0;
    const float *logits = span->rows + (first + row) * n_vocab;
    cllm_status status = sampler ? cllm_sampler_sample(sampler, logits, mask_of(g, row), token, err)
                                 : likeliest_token(logits, mask_of(g, row), n_vocab, token, err);
    if (status == CLLM_ERR_FORMAT) return cllm_sequence_diagnose(g->sequence, err);
    if (status == CLLM_OK && g->logprobs)
        fill_logprobs(g, logits, *token, g->logprobs + (size_t)row * (1 + g->options.n_logprobs));
    if (status == CLLM_OK && sampler) cllm_sampler_accept(sampler, *token);
    return status;
}

/* Advance the preamble or the grammar by a token. */
static cllm_status take_by_grammar(cllm_generation *g, int32_t token, cllm_error *err) {
    if (g->preamble.state != PREAMBLE_OVER) {
        const cllm_string text = cllm_tokenizer_decode(g->sequence->engine->model->tokenizer, token, token);
        cllm_error refused;
        cllm_matcher *tried;
        const cllm_status forked = cllm_matcher_fork(g->matcher, &tried, err);
        if (forked != CLLM_OK) return forked;
        const bool by_grammar = cllm_matcher_take(tried, token, &refused) == CLLM_OK;
        cllm_matcher_destroy(tried);
        if (preamble_take(&g->preamble, text, by_grammar)) return CLLM_OK;
    }
    const cllm_status status = cllm_matcher_take(g->matcher, token, err);
    if (status == CLLM_OK && is_complete(g)) g->end = CLLM_END_GRAMMAR;
    return status;
}

/* Append a drawn token, and check if it ends the text. */
static cllm_status accept(cllm_generation *g, int32_t token, cllm_error *err) {
    const int32_t previous = g->tokens[g->count - 1];
    cllm_status status = CLLM_OK;
    g->tokens[g->count++] = token;
    if (ends_text(g, token))
        g->end = CLLM_END_TOKEN;
    else
        status = add_text(g, previous, token, err);
    if (status == CLLM_OK && g->end == CLLM_END_NONE && g->matcher) status = take_by_grammar(g, token, err);
    if (g->end != CLLM_END_NONE || count_left(g) > 0) return status;
    g->end = g->count - g->n_prompt == g->n_most ? CLLM_END_LENGTH : CLLM_END_CONTEXT_FULL;
    return status;
}

/* Handle a span that has no result. If its last token was evaluated, the sequence is cut, so that there is something to
 * evaluate again. */
static cllm_status take_failed(cllm_generation *g, const cllm_span *span, cllm_error *err) {
    if (g->sequence->length >= g->count) sequence_cut(g->sequence, g->count - 1);
    if (span->status == CLLM_OK)
        return error_set(err, CLLM_ERR_ARGUMENT, "the tokens of a generation were not evaluated");
    if (span->status == CLLM_ERR_FORMAT || span->status == CLLM_ERR_UNSUPPORTED)
        return cllm_sequence_diagnose(g->sequence, err);
    return error_set(err, span->status, "the tokens of a generation could not be evaluated");
}

/* True if the text is not complete according to its grammar. */
static bool is_unfinished(const cllm_generation *g) {
    if (!g->matcher || g->end == CLLM_END_TOKEN || g->end == CLLM_END_GRAMMAR) return false;
    const bool begun = g->preamble.state == PREAMBLE_OVER || g->preamble.state == PREAMBLE_CLOSED;
    return !begun || !cllm_matcher_can_end(g->matcher);
}

cllm_status cllm_generation_take(cllm_generation *generation, const cllm_span *span, cllm_event *event,
                                 cllm_error *err) {
    cllm_generation *g = generation;
    const uint32_t begin = g->count;
    cllm_status status = CLLM_OK;
    *event = (cllm_event){.logprobs = g->logprobs};
    if (span->status == CLLM_ERR_CANCELLED)
        g->end = CLLM_END_CANCELLED;
    else if (span->status != CLLM_OK || g->sequence->length < g->reach)
        return take_failed(g, span, err);
    else
        cllm_generation_prepare(g);
    for (uint32_t row = 0; status == CLLM_OK && g->end == CLLM_END_NONE && row < g->n_rows; row++) {
        int32_t token = -1;
        const int32_t drafted = row < g->n_drafted ? g->tokens[begin + row] : -1;
        if (g->masks && row >= g->n_masks) { /* making its mask failed */
            if (err) *err = g->mask_error;
            status = g->mask_status;
            break;
        }
        status = draw(g, span, row, &token, err);
        if (status == CLLM_OK) status = accept(g, token, err);
        if (token != drafted) break;
    }
    const uint32_t n_drawn = g->count - begin;
    if (n_drawn > 0) drafter_learn(&g->drafter, g->n_drafted, n_drawn - 1, !g->by_grammar);
    if (g->sequence->length >= g->count) { /* drop drafts that were not kept */
        const cllm_status cut = cllm_sequence_truncate(g->sequence, g->count - 1, status == CLLM_OK ? err : NULL);
        if (status == CLLM_OK) status = cut;
    }
    g->n_rows = g->n_drafted = 0;
    g->reach = UINT32_MAX;
    event->tokens = g->tokens + begin;
    event->n_tokens = n_drawn;
    event->text = give_text(g);
    event->end = g->end;
    event->is_unfinished = g->end != CLLM_END_NONE && is_unfinished(g);
    event->stop_string = g->stop_string;
    event->n_drafted = g->drafter.n_drafted;
    event->n_accepted = g->drafter.n_accepted;
    return status;
}
