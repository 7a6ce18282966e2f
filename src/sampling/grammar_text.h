/* The text of a grammar while it is read: what GBNF and regular expressions have in common. Errors are told with their place, and the first stays. */
#ifndef SAMPLING_GRAMMAR_TEXT_H
#define SAMPLING_GRAMMAR_TEXT_H

#include "cllm.h"

typedef struct grammar_text {
    cllm_string text; /* UTF-8 */
    size_t at;
    const char *what; /* what messages call it */
    cllm_status status;
    cllm_error *err;
} grammar_text;

/* Returns false, for whoever is to return that. at: where in the text. */
bool text_fails(grammar_text *t, cllm_status status, size_t at, const char *message);

bool text_ended(const grammar_text *t);
char text_peek(const grammar_text *t); /* the next byte, or 0 at the end */
bool text_follows(const grammar_text *t, const char *word);
bool text_skip(grammar_text *t, const char *word); /* go past the word, if it follows */

uint32_t text_take_character(grammar_text *t); /* the next one, which must be there */
bool text_read_hex(grammar_text *t, unsigned n_digits, uint32_t *value);

/* A decimal number below a million. */
bool text_read_count(grammar_text *t, uint32_t *value);

#endif
