/* Penalties for tokens that occur in the text, and for tokens that would extend a repeated run (DRY). Before it and
 * after it: sampler.c, which runs the chain. */
#ifndef SAMPLING_PENALTIES_H
#define SAMPLING_PENALTIES_H

#include "base/arena.h"
#include "sampling/candidates.h"

/* The last tokens of the text. */
typedef struct history {
    int32_t *tokens; /* [2 * most]; the history is tokens[end - n .. end - 1] */
    size_t n, end;
    size_t most; /* most tokens that are kept */
} history;

void history_clear(history *h);
void history_add(history *h, int32_t token);

/* Tokens that end a run for DRY: `head`, then those of `tail`. */
typedef struct breaker {
    int32_t head;
    size_t n_tail;
    const int32_t *tail; /* [n_tail] */
} breaker;

typedef struct breakers {
    breaker *items; /* [count], sorted by their heads */
    size_t count;
} breakers;

/* Find the sequences of tokens that spell one of the texts. The first token may have more bytes before the text. A
 * token that has the whole text in it may have more bytes on both sides. Of each text the first 40 bytes count, and of
 * its tokens the first 21. Memory comes from the arena. Returns false if it runs out. */
bool breakers_find(breakers *b, const cllm_tokenizer *tokenizer, const cllm_string *texts, size_t n_texts, arena *a);

/* Change the scores of candidates. counts: [n_vocab] zeros, work space that is zero again afterwards. z:
 * [o->dry_penalty_last_n] work space. */
void apply_penalties(candidates *c, const history *h, const cllm_sampler_options *o, uint32_t *counts);
void apply_dry(candidates *c, const history *h, const breakers *b, const cllm_sampler_options *o, uint32_t *counts,
               uint32_t *z);

#endif
