/* Drafts: guesses of the next tokens. They are evaluated together with the last token. The sampler then draws as usual,
 * and the drafted tokens are kept up to the first one that differs from what it draws (Leviathan et al. 2023).
 *
 * A batch of a few rows takes little longer than one row, so a draft saves time even if only a part of it is kept. The
 * number of tokens in the next draft (its depth) depends on how many of the last one were kept. If none were kept,
 * drafting pauses, each time twice as long. Before this: generation.c. After it: cllm_eval. */
#ifndef ENGINE_DRAFTS_H
#define ENGINE_DRAFTS_H

#include "cllm.h"

typedef struct drafter {
    bool lookup;
    cllm_sequence *sequence;  /* of the small model, or NULL */
    uint32_t most;            /* most tokens of a draft */
    uint32_t depth;           /* tokens of the next draft */
    uint32_t rest, next_rest; /* calls of drafter_guess until the pause ends; length of the next pause */
    uint64_t n_drafted, n_accepted;
} drafter;

/* Check that both models have the same tokens. Errors: ARGUMENT, naming the first one that differs. */
cllm_status drafter_check_vocabulary(const cllm_model *model, const cllm_model *small, cllm_error *err);

/* Guess up to `most` tokens that may follow `tokens`, [count]. drafts: out, [most]. Returns how many; 0: there is no
 * guess, or drafting pauses. */
uint32_t drafter_guess(drafter *d, const int32_t *tokens, uint32_t count, uint32_t most, int32_t *drafts);

/* Report that n_accepted of n_drafted tokens were kept. is_guess: they came from drafter_guess, so they change its next
 * depth and pause. */
void drafter_learn(drafter *d, uint32_t n_drafted, uint32_t n_accepted, bool is_guess);

#endif
