/* Deterministic automata over characters. Patterns, formats, lengths and lists of words become such automata, which are
 * then combined. A product runs several at once and labels each state with the automata that accept there. So "all of
 * these and none of those" is a choice of labels. Finally it is written into a network: as UTF-8, or as the inside of a
 * JSON string. */
#ifndef SAMPLING_CHARACTERS_H
#define SAMPLING_CHARACTERS_H

#include "sampling/network.h"

#define NO_STATE UINT32_MAX

typedef struct char_automaton {
    uint32_t n_states, n_classes; /* state 0 is the start */
    uint32_t *class_begins;       /* [n_classes], the first one's 0 */
    uint32_t *next;               /* [n_states][n_classes], or NO_STATE */
    uint32_t *labels;             /* [n_states] for a product: bit i is set if automaton i accepts; else 1 or 0 */
} char_automaton;

enum { CHARACTERS_MOST_PARTS = 31, CHARACTERS_MOST_MOVES = 1 << 19 };

/* The results are in the arena. Errors: MEMORY, UNSUPPORTED (too many states). */

/* n: over characters, finished. */
cllm_status characters_from_network(const network *n, arena *a, char_automaton *out, cllm_error *err);

/* Accepts exactly these words, [n], in UTF-8. */
cllm_status characters_from_words(const cllm_string *words, size_t n, arena *a, char_automaton *out, cllm_error *err);

/* Accepts any characters, least to most of them; most: UINT32_MAX is any number. */
cllm_status characters_from_length(uint32_t least, uint32_t most, arena *a, char_automaton *out, cllm_error *err);

/* Runs several automata at once, at most CHARACTERS_MOST_PARTS. A text that none of them can accept any more leads
 * nowhere, unless all_texts is set. */
cllm_status characters_product(const char_automaton *parts, size_t n, bool all_texts, arena *a, char_automaton *out,
                               cllm_error *err);

uint32_t characters_label(const char_automaton *c, cllm_string text); /* label of the state after the text; 0 if there
                                                                         is none */

typedef enum characters_spelling {
    SPELLED_AS_UTF8,
    SPELLED_IN_JSON, /* escape what JSON must escape; a character that is not ASCII may be escaped or not */
} characters_spelling;

/* Add edges from `from` by each text that ends in a state, to that state's exit. exits: [n_states], NO_NODE: no end
 * here. States that cannot reach an exit are left out. Returns false if nothing is left, or if memory runs out. */
bool characters_write(const char_automaton *c, const uint32_t *exits, characters_spelling spelling, network *n,
                      uint32_t from);

/* The same in a rule that builds a collection of at most `most` members: each character is a member, added only if
 * there is room for what must follow it. */
bool characters_write_counted(const char_automaton *c, const uint32_t *exits, characters_spelling spelling,
                              uint32_t most, network *n, uint32_t from);

/* One character of the ranges, in a JSON string. any_escape: also allow a needless \uXXXX. */
void characters_add_in_json(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, bool any_escape,
                            uint32_t to);

#endif
