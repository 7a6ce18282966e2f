/* A walk through a network, symbol by symbol. The position of a walk is a set of places; each place is a node and a
 * stack of calls. Such a set is a state, and equal sets are the same state. So the walk is a table from state and
 * symbol to state, which is filled in while it is used.
 *
 * Memory has a limit: when it is reached, all states are dropped except those that somebody holds. */
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
    uint32_t *next;  /* [n_classes], owned; UNKNOWN: not computed yet */
    uint32_t places; /* in automaton.places */
    uint32_t n_places;
    uint32_t hash_next; /* the next one in its bucket */
    uint32_t *mask;     /* of tokens that may follow, owned, or NULL */
    uint32_t
        text_next; /* the state after any unescaped character of a JSON string, or NOT_TEXT: see automaton_text_next */
    bool accepts;  /* the text may end here */
} state;

typedef struct automaton automaton;

/* A state that must stay: an element of the automaton's list. */
typedef struct held_state {
    uint32_t state;
    struct held_state *next;
} held_state;

/* n: finished; must outlive it. NULL: no memory. */
automaton *automaton_create(const network *n);
void automaton_destroy(automaton *a);

void automaton_hold(automaton *a, held_state *held); /* begins at the start of the grammar */
void automaton_release(automaton *a, held_state *held);

/* The state after a byte. DEAD_STATE also if memory runs out or there are too many places: see automaton_error. */
uint32_t automaton_step(automaton *a, uint32_t from, uint8_t byte);

/* The state after a special token. */
uint32_t automaton_step_token(automaton *a, uint32_t from, int32_t token);

/* Classes of symbols that every edge treats alike. begins: [n] the first symbol of each class; returns n. */
uint32_t automaton_classes(const automaton *a, const uint32_t **begins);
uint32_t automaton_step_class(automaton *a, uint32_t from, uint32_t class);

/* The number of places in all states. */
uint32_t automaton_n_places(const automaton *a);

/* True if exactly one byte can follow, and the text cannot end. */
bool automaton_only_byte(automaton *a, uint32_t from, uint8_t *byte);

/* The state after every character that may stand unescaped in a JSON string, except DEL: it may be DEAD_STATE. NOT_TEXT
 * if they lead to several states. */
uint32_t automaton_text_next(automaton *a, uint32_t from);

state *automaton_state(const automaton *a, uint32_t index);
uint32_t automaton_begin(automaton *a);

/* Free memory if much is in use. Call it only when no variable holds a state, except held ones. */
void automaton_trim(automaton *a);

/* The mask of a state counts as memory. Returns [n_words] for automaton_state()->mask, or NULL. */
uint32_t *automaton_new_mask(automaton *a, uint32_t index, size_t n_words);

void automaton_drop_masks(automaton *a);

/* The error that made steps since the last call lead to DEAD_STATE; or CLLM_OK. */
cllm_status automaton_error(automaton *a, cllm_error *err);

#endif
