/* A walk through a network, symbol by symbol. Where a walk can be is a set of places, each a node and a stack of calls; such a set is a state, and
 * equal ones are one. So the walk is a table that is filled in as it is used: state and symbol to state.
 *
 * Memory has a cap: when it is reached all states go, but for those that somebody holds. */
#ifndef SAMPLING_AUTOMATON_H
#define SAMPLING_AUTOMATON_H

#include "sampling/network.h"

#define DEAD_STATE 0u         /* nothing can follow */
#define NOT_TEXT   UINT32_MAX /* characters of a string lead to several states */

/* A place in the network. */
typedef struct place {
    uint32_t node, stack; /* stack: a frame, or NO_FRAME */
} place;

typedef struct state {
    uint32_t *next;  /* [n_classes], owned; UNKNOWN where nobody went */
    uint32_t places; /* in automaton.places */
    uint32_t n_places;
    uint32_t hash_next; /* the next one of its bucket */
    uint32_t *mask;     /* of tokens that may follow, owned, or NULL */
    uint32_t
        text_next; /* where every character of a JSON string leads that may stand there as it is, or NOT_TEXT: see automaton_text_next */
    bool accepts; /* the text may end here */
} state;

typedef struct automaton automaton;

/* A state that is to stay: linked into the automaton. */
typedef struct held_state {
    uint32_t state;
    struct held_state *next;
} held_state;

/* n: finished; must outlive it. NULL: no memory. */
automaton *automaton_create(const network *n);
void automaton_destroy(automaton *a);

void automaton_hold(automaton *a, held_state *held); /* begins at the beginning of the grammar */
void automaton_release(automaton *a, held_state *held);

/* Where a byte leads. DEAD_STATE also where there is no memory, or too many places: see automaton_error. */
uint32_t automaton_step(automaton *a, uint32_t from, uint8_t byte);

/* Where a special token leads. */
uint32_t automaton_step_token(automaton *a, uint32_t from, int32_t token);

/* Symbols that every edge treats alike are of one class. begins: [n] the first symbol of each; returns n. */
uint32_t automaton_classes(const automaton *a, const uint32_t **begins);
uint32_t automaton_step_class(automaton *a, uint32_t from, uint32_t class);

/* How many places all its states hold. */
uint32_t automaton_n_places(const automaton *a);

/* Is there one byte that can follow, and no end? */
bool automaton_only_byte(automaton *a, uint32_t from, uint8_t *byte);

/* Where every character leads that may stand in a JSON string as it is, but for DEL: a state, which may be DEAD_STATE, or NOT_TEXT. */
uint32_t automaton_text_next(automaton *a, uint32_t from);

state *automaton_state(const automaton *a, uint32_t index);
uint32_t automaton_begin(automaton *a);

/* Make room, if much is in use: to be called where no state is in a variable but held ones. */
void automaton_trim(automaton *a);

/* The mask of a state counts as memory. Returns [n_words] for automaton_state()->mask, or NULL. */
uint32_t *automaton_new_mask(automaton *a, uint32_t index, size_t n_words);

void automaton_drop_masks(automaton *a);

/* Why steps since the last call have led to DEAD_STATE that should not have; or CLLM_OK. */
cllm_status automaton_error(automaton *a, cllm_error *err);

#endif
