/* Sampling settings, from the options and from the recommendations of the model's file. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include "program.h"

/* Replace settings that the user has not given by the file's recommendations (general.sampling.*). A value out of range
 * is noted and ignored. steps: [CLLM_N_STEPS] memory for the recommended order. */
void take_recommended(const options *o, const cllm_gguf *gguf, cllm_sampler_options *sampling,
                      cllm_sampler_step *steps);

/* Print the file's recommendations in one line, if it has any. */
void note_recommended(const options *o, const cllm_gguf *gguf);

/* A seed that differs each time, short enough to be typed. */
uint64_t fresh_seed(void);

/* Complete the options for a started model: set its tokenizer, and replace "all of the context" by a number of
 * tokens. */
cllm_sampler_options sampling_for(const run *r, const cllm_sampler_options *wanted);

/* A grammar and the objects it depends on. */
typedef struct grammar_use {
    cllm_token_index *index;
    cllm_grammar *grammar; /* NULL: no grammar */
    double seconds;        /* time to compile it */
    bool checks;           /* only check texts, by the schema itself; a model that writes gets a stricter one */
} grammar_use;

enum { EXIT_NOT_ENFORCED = 3 }; /* for a grammar that is valid but cannot be enforced */

/* Replace the grammar in `g` by the one that the options ask for, if any. Returns an exit status, after saying why:
 * EXIT_USAGE if it is malformed or cannot be read, EXIT_NOT_ENFORCED, or EXIT_FAILURE. Then the old grammar stays. */
int make_grammar(const options *o, const cllm_tokenizer *tokenizer, grammar_use *g);
void drop_grammar(grammar_use *g); /* end the use of a grammar */
void free_grammar(grammar_use *g);

/* Say that a text ended before its grammar allows it to end. Returns EXIT_FAILURE. */
int fail_unfinished(uint64_t n_tokens);

#endif
