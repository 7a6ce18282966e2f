/* Reads the text of a grammar, for gbnf.c and regex.c. Messages have line and column. Only the first error is kept. */
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

/* Record an error. Returns false, so that callers can return it. at: offset in the text. */
bool text_fails(grammar_text *t, cllm_status status, size_t at, const char *message);

bool text_ended(const grammar_text *t);
char text_peek(const grammar_text *t); /* the next byte, or 0 at the end */
bool text_follows(const grammar_text *t, const char *word);
bool text_skip(grammar_text *t, const char *word); /* skip the word, if it comes next */

uint32_t text_take_character(grammar_text *t); /* the next character, which must exist */
bool text_read_hex(grammar_text *t, unsigned n_digits, uint32_t *value);

/* Read a decimal number below a million. */
bool text_read_count(grammar_text *t, uint32_t *value);

#endif
