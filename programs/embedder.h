/* Many texts that become vectors, or scores, several in one call of the engine: what embed and rerank share. */
#ifndef EMBEDDER_H
#define EMBEDDER_H

#include "program.h"

/* Tokens of texts, one after the other. Zero-initialised: none. */
typedef struct token_texts {
    id_list ids;
    size_t *ends; /* [count] where in ids each one ends: owned */
    size_t count, capacity;
} token_texts;

/* Add a text of these tokens. Returns an exit status, after saying why. */
int token_texts_add(token_texts *texts, const int32_t *tokens, size_t count);
void token_texts_free(token_texts *texts);

/* The next line of a text, without its line end. Returns false when there is none. */
bool next_line(const input *in, size_t *at, cllm_string *line);

/* Rows of a text are there: n_rows of n_floats each. Returns an exit status. */
typedef int (*take_rows)(void *user, size_t index, const float *rows, size_t n_rows, size_t n_floats);

/* Start the engine of a loaded model for these texts, and hand over what it makes of each, in their order. what: a text is called so, and
 * its number follows. Returns an exit status, after saying why. */
int embed_all(run *r, const token_texts *texts, const char *what, take_rows take, void *user);

#endif
