/* Turns many texts into vectors or scores, several texts in one call of the engine. Shared by embed and rerank. */
#ifndef EMBEDDER_H
#define EMBEDDER_H

#include "program.h"

/* Tokens of several texts, one after the other. All zero: no texts. */
typedef struct token_texts {
    id_list ids;
    size_t *ends; /* [count] where each text ends in ids: owned */
    size_t count, capacity;
} token_texts;

/* Add a text with these tokens. Returns an exit status, after saying why. */
int token_texts_add(token_texts *texts, const int32_t *tokens, size_t count);
void token_texts_free(token_texts *texts);

/* Get the next line of a text, without its line end. Returns false at the end. */
bool next_line(const input *in, size_t *at, cllm_string *line);

/* Takes the result for one text: n_rows rows of n_floats each. Returns an exit status. */
typedef int (*take_rows)(void *user, size_t index, const float *rows, size_t n_rows, size_t n_floats);

/* Start the engine of a loaded model for these texts, and pass on the result for each text, in order. what: what
 * messages call a text, followed by its number. remedy: the end of the message about a text that is too long; "": none.
 * bar: show the progress. Returns an exit status, after saying why. */
int embed_all(run *r, const token_texts *texts, const char *what, const char *remedy, bool bar, take_rows take,
              void *user);

#endif
