/* How tokens are drawn: what the options say, and what the model's file recommends. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include "program.h"

/* In place of what the user has not given, what the file recommends (general.sampling.*). What is not in its range is noted and left out.
 * steps: [CLLM_N_STEPS] memory for an order of its own. */
void take_recommended(const options *o, const cllm_gguf *gguf, cllm_sampler_options *sampling,
                      cllm_sampler_step *steps);

/* What the file recommends, in one line of a note; none, if it recommends nothing. */
void note_recommended(const options *o, const cllm_gguf *gguf);

/* For a model that is started: its tokenizer, and as many last tokens as its context has, where all are meant. */
cllm_sampler_options sampling_for(const run *r, const cllm_sampler_options *wanted);

/* A grammar, and what it stands on. */
typedef struct grammar_use {
    cllm_token_index *index;
    cllm_grammar *grammar; /* NULL: none is wanted */
    double seconds;        /* that compiling took */
    bool
        checks; /* texts are only checked: they may have all that a schema allows. A model that writes adds no properties of its own */
} grammar_use;

enum { EXIT_NOT_ENFORCED = 3 }; /* of a grammar that is well written, but says what cannot be kept */

/* The grammar that the options want, if any, in the place of the one in `g`. Returns an exit status, after saying why: EXIT_USAGE if it is
 * malformed or cannot be read; then that one stays. */
int make_grammar(const options *o, const cllm_tokenizer *tokenizer, grammar_use *g);
void drop_grammar(grammar_use *g); /* none is wanted any more */
void free_grammar(grammar_use *g);

/* Say that a text ended before its grammar was fulfilled. Returns EXIT_FAILURE. */
int fail_unfinished(uint64_t n_tokens);

#endif
