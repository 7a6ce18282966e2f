/* Deterministic automata over characters, for strings in schemas. Patterns, formats, lengths and lists of words become
 * such automata, which are then combined: a product runs several at once, and labels each of its states with those that
 * accept there. So "all of these and none of those" is a choice of labels. Finally the automaton is written into a
 * network, as UTF-8 or as the inside of a JSON string. Before this: regex.c, numbers.c and schema_rules.c. After it:
 * network.h. */
#ifndef SAMPLING_CHARACTERS_H
#define SAMPLING_CHARACTERS_H

#include "base/arena.h"
#include "sampling/network.h"

#define NO_STATE UINT32_MAX

typedef struct char_automaton {
    uint32_t n_states, n_classes; /* state 0 is the start */
    uint32_t *class_begins;       /* [n_classes] the first character of each class; for the first class, 0 */
    uint32_t *next;               /* [n_states][n_classes], or NO_STATE */
    uint32_t *labels;             /* [n_states] 1: it accepts. For a product: bit i is set if part i accepts */
} char_automaton;

enum { CHARACTERS_MOST_PARTS = 31, CHARACTERS_MOST_MOVES = 1 << 19 };

/* What automata are made with. The work is counted in moves, of which about 100 million can be made in a second. The
 * number of moves is limited, so a schema with many patterns, or with hard ones, is refused after a short time. */
typedef struct char_maker {
    arena *a; /* the results are there */
    uint32_t n_moves_left;
} char_maker;

/* Count moves that are about to be made. Error: UNSUPPORTED (fewer are left). */
cllm_status characters_spend(char_maker *m, uint64_t n_moves, cllm_error *err);

/* Errors of the next four functions: MEMORY, UNSUPPORTED (too many states, in this automaton or in all together). */

/* Accepts the texts of a network over characters, which is finished. */
cllm_status characters_from_network(const network *n, char_maker *m, char_automaton *out, cllm_error *err);

/* Accepts exactly these words, [n], in UTF-8. */
cllm_status characters_from_words(const cllm_string *words, size_t n, char_maker *m, char_automaton *out,
                                  cllm_error *err);

/* Accepts any characters, least to most of them; most: UINT32_MAX is any number. */
cllm_status characters_from_length(uint32_t least, uint32_t most, char_maker *m, char_automaton *out, cllm_error *err);

/* Runs several automata at once, at most CHARACTERS_MOST_PARTS. Where all parts lead nowhere, it leads nowhere; with
 * all_texts it leads to a state with label 0. */
cllm_status characters_product(const char_automaton *parts, size_t n, bool all_texts, char_maker *m,
                               char_automaton *out, cllm_error *err);

/* The label of the state after the text, or 0 if there is no such state. */
uint32_t characters_label(const char_automaton *c, cllm_string text);

typedef enum characters_spelling {
    SPELLED_AS_UTF8,
    SPELLED_IN_JSON, /* escape what JSON must escape; a character that is not ASCII may be escaped or not */
} characters_spelling;

/* Write the automaton into a network: each text leads from node `from` to the exit of the state in which it ends.
 * exits: [n_states] nodes; NO_NODE: no text may end in this state. States from which no exit can be reached are left
 * out. If memory runs out, the network fails. */
void characters_write(const char_automaton *c, const uint32_t *exits, characters_spelling spelling, network *n,
                      uint32_t from);

/* The same for texts of at most `most` characters, in the rule of a collection: each character is a member, and is
 * added only if there is room for what must follow it. */
void characters_write_counted(const char_automaton *c, const uint32_t *exits, characters_spelling spelling,
                              uint32_t most, network *n, uint32_t from);

/* One character of the ranges, in a JSON string. any_escape: also allow needless escapes: \uXXXX and \/. */
void characters_add_in_json(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, bool any_escape,
                            uint32_t to);

#endif
