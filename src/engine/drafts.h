/* Drafts: guesses of the next tokens, which are evaluated together with the last one and kept as far as the sampler would have drawn
 * them (Leviathan et al. 2023).
 *
 * A batch of a few rows takes little longer than one row, so a draft pays if some of it is kept. Its depth follows what was kept of the
 * last one, and after drafts of which nothing was kept drafting rests, twice as long each time. */
#ifndef ENGINE_DRAFTS_H
#define ENGINE_DRAFTS_H

#include "cllm.h"

typedef struct drafter {
    bool lookup;
    cllm_sequence *sequence;  /* of the small model, or NULL */
    uint32_t most;            /* tokens of a draft */
    uint32_t depth;           /* of the next */
    uint32_t rest, next_rest; /* tokens to draw before the next draft; and after the next failed draft */
    uint64_t n_drafted, n_accepted;
} drafter;

/* Do both models have the same tokens? Errors: ARGUMENT, with the first that differs. */
cllm_status drafter_check_vocabulary(const cllm_model *model, const cllm_model *small, cllm_error *err);

/* drafts: out, [most]: up to `most` tokens that may come after tokens: [count]. Returns how many; 0 also if drafting rests. */
uint32_t drafter_guess(drafter *d, const int32_t *tokens, uint32_t count, uint32_t most, int32_t *drafts);

/* Of n_drafted tokens, 0 or more, so many were kept. is_guess: they came from drafter_guess, so the next ones follow that. */
void drafter_learn(drafter *d, uint32_t n_drafted, uint32_t n_accepted, bool is_guess);

#endif
