/* Penalties on what the text has already: on its tokens, and on runs of tokens that would go on as they did before (DRY). */
#ifndef SAMPLING_PENALTIES_H
#define SAMPLING_PENALTIES_H

#include "base/arena.h"
#include "sampling/candidates.h"

/* The last tokens of the text. */
typedef struct history {
    int32_t *tokens; /* [2 * most], of which the last n are meant */
    size_t n, end;   /* end: of them in `tokens` */
    size_t most;
} history;

void history_clear(history *h);
void history_add(history *h, int32_t token);

/* A run of tokens that ends what DRY counts as one: a token that begins it, and those that follow. */
typedef struct breaker {
    int32_t head;
    size_t n_tail;
    const int32_t *tail; /* [n_tail] */
} breaker;

typedef struct breakers {
    breaker *items; /* [count], by their heads */
    size_t count;
} breakers;

/* All runs of tokens that spell a breaker, with whatever else their first and last tokens spell. Memory comes from the arena; false: there is
 * none. */
bool breakers_find(breakers *b, const cllm_tokenizer *tokenizer, const cllm_string *texts, size_t n_texts, arena *a);

/* counts: [n_vocab] zeros, work space that is zero again afterwards. z: [o->dry_penalty_last_n] work space. */
void apply_penalties(candidates *c, const history *h, const cllm_sampler_options *o, uint32_t *counts);
void apply_dry(candidates *c, const history *h, const breakers *b, const cllm_sampler_options *o, uint32_t *counts,
               uint32_t *z);

#endif
