/* States of recurrent layers. A recurrent layer keeps no keys and values. It keeps one state of fixed size, which every
 * token changes. So tokens cannot be taken back from it: a sequence can only go back to a copy of an earlier state. A
 * sequence has STATES_PER_SEQUENCE slots for states. Each state comes after some number of the sequence's first tokens:
 * the length of the state. Unless the sequence is empty, it has at least one state that is not longer than itself.
 *
 * A sequence may be longer than its newest state, after its last tokens were taken back to where there is no state.
 * Then the next pass first replays the tokens between: it updates the state with them, and their keys and values, which
 * are stored already, stay as they are.
 *
 * The prefix cache has states too, which any sequence can take (prefix_cache.h). A state is copied there at the lengths
 * where another text will probably diverge from this one:
 *   - a little before the end of a prompt: a template may write what follows differently once the answer is there
 *   - where this text diverged from an older text
 *   - where a sequence ends
 *   - as a guess, while there is room, after 256, 512, 1024 ... tokens: other texts may begin in the same way
 * A pass over a long prompt is cut at such a length, so that the state there can be copied.
 *
 * Before this: sequence.c and eval.c, which call it. After it: the passes over recurrent layers, which read and write
 * the slots (model/state_store.h). */
#ifndef ENGINE_STATES_H
#define ENGINE_STATES_H

#include "engine/engine.h"

static inline bool has_states(const cllm_engine *e) { return e->states.slot_floats > 0; }

/* Find the state with the greatest length up to `length`. Returns its number, or STATES_PER_SEQUENCE if there is
 * none. */
uint32_t states_find(const cllm_sequence *s, uint32_t length);

/* Prepare for a call of cllm_eval. Returns the length of the newest state: the first position to evaluate. */
uint32_t states_begin(cllm_sequence *s);

/* Choose the slots that a pass reads and writes for this span. Its rows begin after the newest state. */
void states_plan(cllm_sequence *s, forward_span *span);

/* Record what the slots hold after the pass. failed: they hold nothing new. */
void states_end(cllm_sequence *s, const forward_span *span, bool failed);

/* Forget the states that are longer than `length`. With length 0 forget all. */
void states_cut(cllm_sequence *s, uint32_t length);

/* The newest state of a sequence that is not empty: [slot_floats]. */
float *states_newest(const cllm_sequence *s);

/* A slot of a sequence that has no states, for a state of this length, which the caller writes: [slot_floats]. */
float *states_give(cllm_sequence *s, uint32_t length);

/* Copy a state into a sequence that has none. states_copy takes the longest state of up to `length` tokens from another
 * sequence, which must have one. states_fetch takes the pinned state of the prefix cache, which has this length; if
 * none is pinned, it does nothing. */
void states_copy(cllm_sequence *to, const cllm_sequence *from, uint32_t length);
void states_fetch(cllm_sequence *to, uint32_t length);

/* During a call: the first length above `length` at which a pass must end, because the state there is kept. */
uint32_t states_next_kept(const cllm_sequence *s, uint32_t length);

/* After a pass, when the prefix cache knows its tokens: if it ended at such a length, copy its state to the cache. */
void states_keep(cllm_sequence *s);

/* Copy the newest state of a sequence that is about to end to the prefix cache. */
void states_let_go(cllm_sequence *s);

#endif
