/* Which slot holds what of a sequence (states.h). The bytes are the store's, and a pass writes them. */
#include "engine/states.h"

#include <string.h>

enum { DECODED_APART = 16 /* tokens: as many are replayed at most after one was taken back */ };

static uint32_t slot_of(const cllm_sequence *s, uint32_t number) {
    return (uint32_t)(s - s->engine->sequences) * STATES_PER_SEQUENCE + number;
}

static uint32_t number_of(const cllm_sequence *s, uint32_t slot) { return slot - slot_of(s, 0); }

static void hold(cllm_sequence *s, uint32_t number, uint32_t length) {
    s->states[number] = (held_state){.held = true, .length = length};
}

uint32_t states_find(const cllm_sequence *s, uint32_t length) {
    uint32_t best = STATES_PER_SEQUENCE;
    for (uint32_t i = 0; i < STATES_PER_SEQUENCE; i++)
        if (s->states[i].held && s->states[i].length <= length &&
            (best == STATES_PER_SEQUENCE || s->states[i].length > s->states[best].length))
            best = i;
    return best;
}

/* One that is not held, else the shortest; none of those that are in use. */
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

uint32_t states_begin(cllm_sequence *s) {
    const state_store *store = &s->engine->states;
    if (s->length == 0 && !s->states[0].held) { /* before the first token all is zero */
        memset(states_give(s, 0), 0, store->slot_floats * sizeof(float));
    }
    return s->states[states_find(s, s->length)].length;
}

/* A call of several tokens may be taken back to its beginning, and a long one by as many tokens as a batch has: from there on a state
 * stays. Otherwise a pass overwrites it, which is less to read and write, and one before it is still there if the pass fails. */
void states_plan(cllm_sequence *s, forward_span *span) {
    const bool decodes = s->span->count == 1;
    const uint32_t from = states_find(s, s->next);
    const uint32_t before = s->next > 0 ? states_find(s, s->next - 1) : STATES_PER_SEQUENCE;
    const bool stays = (s->next == s->first && !decodes) || before == STATES_PER_SEQUENCE ||
                       s->next - s->states[before].length >= (decodes ? DECODED_APART : s->engine->n_batch);
    const bool has_both = span->n_replayed > 0 && span->n_replayed < span->n_rows;
    const uint32_t to = has_both || stays ? take(s, from, from) : from;
    span->state_from = slot_of(s, from);
    span->state_to = slot_of(s, to);
    span->state_middle = has_both ? slot_of(s, take(s, from, to)) : span->state_to;
    if (to == from) s->states[from].held = false; /* until the pass has ended */
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

float *states_newest(const cllm_sequence *s) {
    return state_slot(&s->engine->states, slot_of(s, states_find(s, s->length)));
}

float *states_give(cllm_sequence *s, uint32_t length) {
    hold(s, 0, length);
    return state_slot(&s->engine->states, slot_of(s, 0));
}

void states_copy(cllm_sequence *to, const cllm_sequence *from, uint32_t number) {
    const state_store *store = &from->engine->states;
    memcpy(states_give(to, from->states[number].length), state_slot(store, slot_of(from, number)),
           store->slot_floats * sizeof(float));
}
