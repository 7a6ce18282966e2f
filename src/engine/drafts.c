/* Implements drafts.h: guesses from the text itself, or from a small model. */
#include "engine/drafts.h"

#include "base/error.h"
#include "engine/engine.h"

#include <string.h>

enum {
    SHORTEST_MATCH = 2, /* a lookup uses only matches of at least this many tokens */
    LONGEST_MATCH = 32, /* a longer match counts as this long */
    LONGEST_REST = 128, /* calls of drafter_guess in the longest pause */
};

cllm_status drafter_check_vocabulary(const cllm_model *model, const cllm_model *small, cllm_error *err) {
    if (model->config.n_vocab != small->config.n_vocab)
        return error_set(err, CLLM_ERR_ARGUMENT, "the draft model has a vocabulary of %u tokens, the model one of %u",
                         small->config.n_vocab, model->config.n_vocab);
    if (!model->tokenizer || !small->tokenizer) return CLLM_OK;
    for (int32_t i = 0; i < (int32_t)model->config.n_vocab; i++) {
        const cllm_string a = cllm_tokenizer_piece(model->tokenizer, i), b = cllm_tokenizer_piece(small->tokenizer, i);
        if (a.length != b.length || memcmp(a.data, b.data, a.length) != 0)
            return error_set(err, CLLM_ERR_ARGUMENT, "token %d is '%.*s' to the draft model, and '%.*s' to the model",
                             i, (int)(b.length < 64 ? b.length : 64), b.data, (int)(a.length < 64 ? a.length : 64),
                             a.data);
    }
    return CLLM_OK;
}

/* How many tokens just before index a equal those just before index b, up to LONGEST_MATCH. */
static uint32_t match_length(const int32_t *tokens, uint32_t a, uint32_t b) {
    uint32_t n = 0;
    while (n < LONGEST_MATCH && n < a && tokens[a - 1 - n] == tokens[b - 1 - n]) n++;
    return n;
}

/* Find where the last tokens occurred before, and copy what came after them there. The longest match counts; of several
 * of that length the most recent one. */
static uint32_t look_up(const int32_t *tokens, uint32_t count, uint32_t most, int32_t *drafts) {
    uint32_t best = 0, length = SHORTEST_MATCH - 1;
    for (uint32_t at = count - 1; at >= SHORTEST_MATCH && length < LONGEST_MATCH; at--) {
        const uint32_t n = match_length(tokens, at, count);
        if (n <= length) continue;
        best = at;
        length = n;
    }
    if (best == 0) return 0;
    const uint32_t n = count - best < most ? count - best : most;
    memcpy(drafts, tokens + best, n * sizeof *drafts);
    return n;
}

/* Let the small model generate what follows `tokens`, [count]. Its sequence keeps the tokens that are the same as in
 * its last call. After a failure it is not used again. */
static uint32_t ask_small_model(drafter *d, const int32_t *tokens, uint32_t count, uint32_t most, int32_t *drafts) {
    cllm_sequence *s = d->sequence;
    uint32_t same = 0, n = 0;
    while (same < s->length && same + 1 < count && s->tokens[same] == tokens[same]) same++;
    if (cllm_sequence_truncate(s, same, NULL) != CLLM_OK) cllm_sequence_truncate(s, same = 0, NULL);
    cllm_span span = {.sequence = s, .tokens = tokens + same, .count = count - same, .want = CLLM_WANT_NEXT};
    while (n < most) {
        if (cllm_eval(s->engine, &span, 1, NULL) != CLLM_OK) {
            d->sequence = NULL;
            break;
        }
        drafts[n] = span.next;
        span.tokens = &drafts[n++];
        span.count = 1;
    }
    return n;
}

uint32_t drafter_guess(drafter *d, const int32_t *tokens, uint32_t count, uint32_t most, int32_t *drafts) {
    if (d->rest > 0) {
        d->rest--;
        return 0;
    }
    if (most > d->depth) most = d->depth;
    uint32_t n = 0;
    if (most > 0 && d->lookup) n = look_up(tokens, count, most, drafts);
    if (most > 0 && n == 0 && d->sequence) n = ask_small_model(d, tokens, count, most, drafts);
    return n;
}

void drafter_learn(drafter *d, uint32_t n_drafted, uint32_t n_accepted, bool is_guess) {
    d->n_drafted += n_drafted;
    d->n_accepted += n_accepted;
    if (n_drafted == 0 || !is_guess) return;
    d->depth = n_accepted == n_drafted ? 2 * d->depth : (d->depth + n_accepted + 1) / 2;
    if (d->depth > d->most) d->depth = d->most;
    if (n_accepted > 0) {
        d->next_rest = 1;
        return;
    }
    d->rest = d->next_rest;
    d->next_rest = 2 * d->next_rest < LONGEST_REST ? 2 * d->next_rest : LONGEST_REST;
}
