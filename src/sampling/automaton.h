/* A walk through a network, symbol by symbol. A place in the network is a node and a stack of calls. A walk is at
 * several places at once, because a grammar may go on in several ways. Such a set of places is a state, and equal sets
 * are the same state. So the walk is a table that leads from a state and a symbol to the next state. It is filled in
 * while it is used.
 *
 * Memory has a limit. When it is reached, all states are dropped except those that somebody holds. */
#ifndef SAMPLING_AUTOMATON_H
#define SAMPLING_AUTOMATON_H

#include "sampling/network.h"

#define DEAD_STATE 0u         /* nothing can follow */
#define NOT_TEXT   UINT32_MAX /* the characters of a JSON string lead to several states */

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
    uint32_t text_next; /* see automaton_text_next; UNKNOWN_TEXT: not computed yet */
    bool accepts;       /* the text may end here */
} state;

typedef struct automaton automaton;

/* An element of the list of states that must stay. */
typedef struct held_state {
    uint32_t state;
    uint32_t moved; /* used while old states are dropped: the number that it gets among the new ones */
    struct held_state *next;
} held_state;

/* n: a finished network, which must outlive the automaton. Returns NULL if memory runs out. */
automaton *automaton_create(const network *n);
void automaton_destroy(automaton *a);

void automaton_hold(automaton *a, held_state *held); /* held begins at the start of the grammar */
void automaton_release(automaton *a, held_state *held);

/* The state after a byte. It is also DEAD_STATE if memory runs out, or if there are too many places or states; then
 * automaton_error returns the error. */
uint32_t automaton_step(automaton *a, uint32_t from, uint8_t byte);

/* The state after a special token. */
uint32_t automaton_step_token(automaton *a, uint32_t from, int32_t token);

/* The classes of symbols: no edge distinguishes the symbols of a class. begins: out, [n], the first symbol of each.
 * Returns n. */
uint32_t automaton_classes(const automaton *a, const uint32_t **begins);
uint32_t automaton_step_class(automaton *a, uint32_t from, uint32_t class);

/* A measure of the work of the last step: how many places it followed, plus an eighth of the edges it looked at. */
uint32_t automaton_n_followed(const automaton *a);

/* True if exactly one byte can follow, no special token can, and the text cannot end. */
bool automaton_only_byte(automaton *a, uint32_t from, uint8_t *byte);

/* The state (perhaps DEAD_STATE) after any character that may stand unescaped in a JSON string, except DEL, if all of
 * them lead to the same state; else, or after an error, NOT_TEXT. */
uint32_t automaton_text_next(automaton *a, uint32_t from);

state *automaton_state(const automaton *a, uint32_t index);
uint32_t automaton_begin(automaton *a);

/* Free memory if much is in use. All states become invalid, except those that are held. */
void automaton_trim(automaton *a);

/* Make the mask of a state: [n_words] zeros, or NULL. It is kept as automaton_state()->mask. automaton_trim counts
 * masks as memory in use. */
uint32_t *automaton_new_mask(automaton *a, uint32_t index, size_t n_words);

void automaton_drop_masks(automaton *a);

/* If there was an error since the last call (then some states are DEAD_STATE or NOT_TEXT), returns it; else CLLM_OK. */
cllm_status automaton_error(automaton *a, cllm_error *err);

#endif
