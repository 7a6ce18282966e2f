/* Deterministic automata over characters: what patterns, formats, lengths and lists of words become before they are joined. A product runs
 * several at once and labels each state with those that accept there, so that "all of these and none of those" is a choice of labels.
 * Then it is written into a network: as UTF-8, or as the inside of a JSON string. */
#ifndef SAMPLING_CHARACTERS_H
#define SAMPLING_CHARACTERS_H

#include "sampling/network.h"

#define NO_STATE UINT32_MAX

typedef struct char_automaton {
    uint32_t n_states, n_classes; /* state 0 is the beginning */
    uint32_t *class_begins;       /* [n_classes], the first one's 0 */
    uint32_t *next;               /* [n_states][n_classes], or NO_STATE */
    uint32_t *labels;             /* [n_states] of a product: bit i where automaton i accepts; else 1 or 0 */
} char_automaton;

enum { CHARACTERS_MOST_PARTS = 31, CHARACTERS_MOST_MOVES = 1 << 19 };

/* All of these live in the arena. Errors: MEMORY, UNSUPPORTED (there are too many states). */

/* n: over characters, finished. */
cllm_status characters_from_network(const network *n, arena *a, char_automaton *out, cllm_error *err);

/* Exactly these words, [n], in UTF-8. */
cllm_status characters_from_words(const cllm_string *words, size_t n, arena *a, char_automaton *out, cllm_error *err);

/* Any characters, so many of them; most: UINT32_MAX is any number. */
cllm_status characters_from_length(uint32_t least, uint32_t most, arena *a, char_automaton *out, cllm_error *err);

/* Several at once, at most CHARACTERS_MOST_PARTS. Texts that none of them can accept any more lead nowhere, unless all_texts go on. */
cllm_status characters_product(const char_automaton *parts, size_t n, bool all_texts, arena *a, char_automaton *out,
                               cllm_error *err);

uint32_t characters_label(const char_automaton *c, cllm_string text); /* of the state after it; 0 where there is none */

typedef enum characters_spelling {
    SPELLED_AS_UTF8,
    SPELLED_IN_JSON, /* what JSON has to escape is escaped; what is not ASCII may be, or may stand as it is */
} characters_spelling;

/* From `from`, by each text that ends in a state, to that state's exit: exits is [n_states], NO_NODE for no end. What cannot come to an
 * exit is left out. Returns false if that is everything, or if there is no memory. */
bool characters_write(const char_automaton *c, const uint32_t *exits, characters_spelling spelling, network *n,
                      uint32_t from);

/* The same in a rule that builds a collection of at most `most` members: each character is one, if there is room for what has to come after
 * it. */
bool characters_write_counted(const char_automaton *c, const uint32_t *exits, characters_spelling spelling,
                              uint32_t most, network *n, uint32_t from);

/* One character of the ranges, in a JSON string. any_escape: also as \uXXXX where that is not needed. */
void characters_add_in_json(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, bool any_escape,
                            uint32_t to);

#endif
