/* Implements states.h: which slot holds which state. The bytes of the slots are in the state store, and the passes
 * write them. */
#include "engine/states.h"

#include <string.h>

enum {
    BEFORE_END = 8, /* tokens at the end of a prompt that a template writes to begin the answer */
    FEW = 32,       /* tokens that take little time to replay */
};

static uint32_t slot_of(const cllm_sequence *s, uint32_t number) {
    return (uint32_t)(s - s->engine->sequences) * STATES_PER_SEQUENCE + number;
}

static float *slot_floats(const cllm_sequence *s, uint32_t number) {
    return state_slot(&s->engine->states, slot_of(s, number));
}

static uint32_t number_of(const cllm_sequence *s, uint32_t slot) { return slot - slot_of(s, 0); }

static void hold(cllm_sequence *s, uint32_t number, uint32_t length) {
    s->states[number] = (sequence_state){.held = true, .length = length};
}

uint32_t states_find(const cllm_sequence *s, uint32_t length) {
    uint32_t best = STATES_PER_SEQUENCE;
    for (uint32_t i = 0; i < STATES_PER_SEQUENCE; i++)
        if (s->states[i].held && s->states[i].length <= length &&
            (best == STATES_PER_SEQUENCE || s->states[i].length > s->states[best].length))
            best = i;
    return best;
}

/* Take a slot for a new state: one that holds none, else that of the shortest state. The two slots given are in use and
 * are not taken. */
static uint32_t take(cllm_sequence *s, uint32_t used, uint32_t used_too) {
    uint32_t best = STATES_PER_SEQUENCE;
    for (uint32_t i = 0; i < STATES_PER_SEQUENCE; i++) {
        if (i == used || i == used_too) continue;
        const bool is_better = best == STATES_PER_SEQUENCE || !s->states[i].held ||
                               (s->states[best].held && s->states[i].length < s->states[best].length);
        if (is_better) best = i;
    }
    s->states[best].held = false;
    return best;
}

/* The length of the text BEFORE_END tokens before the end of a prompt, if this call evaluates that end; else 0. Such a
 * call wants LAST or NEXT: drafts want EACH, and a piece within a prompt wants NOTHING. A single token is not a prompt:
 * it was drawn. */
static uint32_t near_end(const cllm_sequence *s) {
    const bool ends = s->span->want == CLLM_WANT_LAST || s->span->want == CLLM_WANT_NEXT;
    const uint32_t end = s->first + (uint32_t)s->span->count;
    return ends && s->span->count > 1 && end > BEFORE_END ? end - BEFORE_END : 0;
}

/* A pass reads the newest state, in slot `from`. It writes the state after its rows to slot `to`: the same slot, or, if
 * the old state must stay, a different one.
 *
 * The old state stays if a caller may go back to it: at the beginning of a call of several tokens, near the end of a
 * prompt, and within a long call once every n_batch tokens. It also stays if it is the only one, because a pass that
 * fails leaves nothing useful in `to`.
 *
 * While tokens come one by one, a state stays only once every FEW tokens, because replaying fewer takes little time. A
 * small model that makes drafts needs such states: after each draft it goes back to an earlier length. They never take
 * the slot of the state near the prompt's end (`turn`): the next prompt may diverge from the text there, because it
 * does not repeat the reasoning. */
void states_plan(cllm_sequence *s, forward_span *span) {
    const bool single = s->span->count == 1;
    const uint32_t from = states_find(s, s->next);
    const uint32_t before = s->next > 0 ? states_find(s, s->next - 1) : STATES_PER_SEQUENCE;
    const bool is_near_end =
        s->next == near_end(s) && before < STATES_PER_SEQUENCE && s->states[before].length <= s->first;
    const bool stays = before == STATES_PER_SEQUENCE || (s->next == s->first && !single) || is_near_end ||
                       s->next - s->states[before].length >= (single ? FEW : s->engine->n_batch);
    const bool has_both = span->n_replayed > 0 && span->n_replayed < span->n_rows;
    const uint32_t turn = single && !has_both ? states_find(s, s->turn) : from;
    const uint32_t to = has_both || stays ? take(s, from, turn) : from;
    span->state_from = slot_of(s, from);
    span->state_to = slot_of(s, to);
    span->state_middle = has_both ? slot_of(s, take(s, from, to)) : span->state_to;
    if (to == from) s->states[from].held = false; /* states_end sets it again */
}

void states_end(cllm_sequence *s, const forward_span *span, bool failed) {
    if (failed) return;
    if (span->state_middle != span->state_to)
        hold(s, number_of(s, span->state_middle), span->first_position + span->n_replayed);
    hold(s, number_of(s, span->state_to), span->first_position + span->n_rows);
}

void states_cut(cllm_sequence *s, uint32_t length) {
    for (uint32_t i = 0; i < STATES_PER_SEQUENCE; i++)
        s->states[i].held = s->states[i].held && s->states[i].length <= length && length > 0;
}

float *states_newest(const cllm_sequence *s) { return slot_floats(s, states_find(s, s->length)); }

float *states_give(cllm_sequence *s, uint32_t length) {
    hold(s, 0, length);
    return slot_floats(s, 0);
}

/* ------------------------------------------------------------------------------------------------- the prefix cache */

static void copy_slot(const cllm_engine *e, float *to, const float *from) {
    memcpy(to, from, e->states.slot_floats * sizeof(float));
}

static float *cached_slot(const cllm_engine *e, uint32_t place) {
    return state_slot(&e->states, e->n_sequences * STATES_PER_SEQUENCE + place);
}

void states_fetch(cllm_sequence *to, uint32_t length) {
    const cllm_engine *e = to->engine;
    if (e->cache.pinned != KV_NONE) copy_slot(e, states_give(to, length), cached_slot(e, e->cache.pinned));
}

void states_copy(cllm_sequence *to, const cllm_sequence *from, uint32_t length) {
    const uint32_t number = states_find(from, length);
    copy_slot(to->engine, states_give(to, from->states[number].length), slot_floats(from, number));
}

/* guessed: no text is known to need this state. */
static void copy_to_cache(cllm_sequence *s, uint32_t number, bool guessed) {
    cllm_engine *e = s->engine;
    const uint32_t place = prefix_cache_add_state(&e->cache, &s->table, s->tokens, s->states[number].length, guessed);
    if (place != KV_NONE) copy_slot(e, cached_slot(e, place), slot_floats(s, number));
}

uint32_t states_begin(cllm_sequence *s) {
    if (s->length == 0 && !s->states[0].held) /* the state before the first token is all zeros */
        memset(states_give(s, 0), 0, s->engine->states.slot_floats * sizeof(float));
    const uint32_t newest = s->states[states_find(s, s->length)].length;
    if (s->span->count > 1 || newest < s->length) s->turn = near_end(s) > s->length ? near_end(s) : s->length;
    if (near_end(s) > 0 && near_end(s) <= s->length) { /* an earlier call went beyond that length already */
        const uint32_t number = states_find(s, near_end(s));
        if (number < STATES_PER_SEQUENCE) copy_to_cache(s, number, false);
    }
    return newest;
}

uint32_t states_next_kept(const cllm_sequence *s, uint32_t length) {
    uint32_t next = s->engine->cache.n_states > 0 ? KV_CHUNK : UINT32_MAX;
    while (next <= length) next *= 2;
    if (near_end(s) > length && near_end(s) < next) next = near_end(s);
    const bool is_worth_it = s->branch > s->first + BEFORE_END;
    return is_worth_it && s->branch > length && s->branch < next ? s->branch : next;
}

void states_keep(cllm_sequence *s) {
    const uint32_t length = s->length;
    if (s->next < length || states_next_kept(s, length - 1) != length) return;
    copy_to_cache(s, states_find(s, length), length != near_end(s) && length != s->branch);
}

void states_let_go(cllm_sequence *s) {
    if (s->length > 0) copy_to_cache(s, states_find(s, s->length), false);
}
