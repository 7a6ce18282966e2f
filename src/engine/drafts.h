/* Drafts: guesses of the next tokens. They are evaluated together with the last token, and kept as far as the sampler
 * would have drawn them (Leviathan et al. 2023).
 *
 * A batch of a few rows takes little longer than one row, so a draft pays if a part of it is kept. Its depth follows
 * how much of the last one was kept. After drafts of which nothing was kept, drafting pauses, twice as long each
 * time. */
#ifndef ENGINE_DRAFTS_H
#define ENGINE_DRAFTS_H

#include "cllm.h"

typedef struct drafter {
    bool lookup;
    cllm_sequence *sequence;  /* of the small model, or NULL */
    uint32_t most;            /* most tokens of a draft */
    uint32_t depth;           /* tokens of the next draft */
    uint32_t rest, next_rest; /* tokens to draw before the next draft, and after the next failed one */
    uint64_t n_drafted, n_accepted;
} drafter;

/* Check that both models have the same tokens. Errors: ARGUMENT, naming the first one that differs. */
cllm_status drafter_check_vocabulary(const cllm_model *model, const cllm_model *small, cllm_error *err);

/* Guess up to `most` tokens after tokens: [count]. drafts: out, [most]. Returns how many; 0 also if drafting pauses. */
uint32_t drafter_guess(drafter *d, const int32_t *tokens, uint32_t count, uint32_t most, int32_t *drafts);

/* Report that n_kept of n_drafted tokens were kept. is_guess: they came from drafter_guess, so they influence the next
 * guesses. */
void drafter_learn(drafter *d, uint32_t n_drafted, uint32_t n_accepted, bool is_guess);

#endif
