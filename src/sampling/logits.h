/* Reads a row of logits ([n_vocab]) once for each token that is drawn. A block is as many tokens as a word of a mask has bits; the sampler first
 * finds the largest logit of each block, then looks only into blocks whose largest logit is large enough. */
#ifndef SAMPLING_LOGITS_H
#define SAMPLING_LOGITS_H

#include "sampling/candidates.h"

/* The most likely token that the mask (NULL: any) allows, the lowest id of equals. logits: [n_vocab]. Errors: FORMAT if a logit is NaN or
 * that of the token is infinite, ARGUMENT if the mask allows none. */
cllm_status likeliest_token(const float *logits, const uint32_t *mask, uint32_t n_vocab, int32_t *token,
                            cllm_error *err);

/* The largest logit of each block that the mask allows, -INFINITY where it allows none. most: [CLLM_MASK_WORDS(n_vocab)], out.
 * Errors: as likeliest_token. */
cllm_status find_block_maxima(const float *logits, const uint32_t *mask, uint32_t n_vocab, float *most,
                              cllm_error *err);

/* The tokens that the mask allows and whose logits are `least` or more, in the order of the vocabulary. most: of find_block_maxima;
 * list: [n_vocab], out. Returns how many. */
size_t gather_logits(const float *logits, const uint32_t *mask, uint32_t n_vocab, const float *most, float least,
                     candidate *list);

#endif
