/* Penalties for tokens that the text has already, and for tokens that would extend a repeated run (DRY). */
#ifndef SAMPLING_PENALTIES_H
#define SAMPLING_PENALTIES_H

#include "base/arena.h"
#include "sampling/candidates.h"

/* The last tokens of the text. */
typedef struct history {
    int32_t *tokens; /* [2 * most], of which the last n count */
    size_t n, end;   /* end: number of tokens written */
    size_t most;
} history;

void history_clear(history *h);
void history_add(history *h, int32_t token);

/* Tokens that end a run for DRY: a first token, and those that follow. */
typedef struct breaker {
    int32_t head;
    size_t n_tail;
    const int32_t *tail; /* [n_tail] */
} breaker;

typedef struct breakers {
    breaker *items; /* [count], sorted by their heads */
    size_t count;
} breakers;

/* Find all sequences of tokens that spell a breaker; the first and last token may spell more. Memory comes from the
 * arena; false: out of memory. */
bool breakers_find(breakers *b, const cllm_tokenizer *tokenizer, const cllm_string *texts, size_t n_texts, arena *a);

/* counts: [n_vocab] zeros, work space that is zero again afterwards. z: [o->dry_penalty_last_n] work space. */
void apply_penalties(candidates *c, const history *h, const cllm_sampler_options *o, uint32_t *counts);
void apply_dry(candidates *c, const history *h, const breakers *b, const cllm_sampler_options *o, uint32_t *counts,
               uint32_t *z);

#endif
