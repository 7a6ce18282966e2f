/* The states that a sequence holds of a model with recurrent layers: what its first tokens have left there, at a few lengths. Before
 * a pass the newest usually stays, so that the last tokens can be taken back. A sequence may be longer than its newest state, after
 * some were taken back: the tokens between are then replayed, at the beginning of the next pass, whose keys and values are there.
 *
 * A sequence of one token or more always holds a state of its length or less.
 *
 * The prefix cache has states as well, which others find (prefix_cache.h). A state is copied there where another text is likely to leave
 * this one: a little before the end of a prompt, since what a template writes behind it may be another when the answer is there; where
 * this text left an older one; and where a sequence ends. As a guess, while there is room, also after 256, 512, 1024 ... tokens: others may
 * begin with the same instructions. A pass of a long prompt ends at such a length. */
#ifndef ENGINE_STATES_H
#define ENGINE_STATES_H

#include "engine/engine.h"

static inline bool has_states(const cllm_engine *e) { return e->states.slot_floats > 0; }

/* The longest state that is held of the first `length` tokens or fewer: its number, or STATES_PER_SEQUENCE. */
uint32_t states_find(const cllm_sequence *s, uint32_t length);

/* Before a call: the position that comes after the newest state. */
uint32_t states_begin(cllm_sequence *s);

/* Choose the slots of a span of the batch, whose rows begin after the newest state. */
void states_plan(cllm_sequence *s, forward_span *span);

/* The pass is over: the slots hold what was planned, or it failed. */
void states_end(cllm_sequence *s, const forward_span *span, bool failed);

/* Forget the states of more than `length` tokens. */
void states_cut(cllm_sequence *s, uint32_t length);

/* The newest state of a sequence of one token or more, and the place for the first one of an empty sequence, of so many tokens. */
float *states_newest(const cllm_sequence *s);
float *states_give(cllm_sequence *s, uint32_t length);

/* Give an empty sequence the longest state of the first `length` tokens of another one's or fewer, which has one; or the one that the prefix
 * cache has found, of so many tokens. */
void states_copy(cllm_sequence *to, const cllm_sequence *from, uint32_t length);
void states_fetch(cllm_sequence *to, uint32_t length);

/* During a call: the first length beyond `length` whose state is to be kept, here or in the prefix cache. */
uint32_t states_next_kept(const cllm_sequence *s, uint32_t length);

/* After a pass, whose tokens the prefix cache knows: copy the state there if it is such a length. */
void states_keep(cllm_sequence *s);

/* A sequence is about to end: copy its newest state there. */
void states_let_go(cllm_sequence *s);

#endif
