/* Reads the row of logits, [n_vocab], from which a token is drawn. The row is divided into blocks of 32 tokens, one for
 * each word of a mask. The sampler first finds the largest logit of each block. Then it looks only into blocks whose
 * largest logit is large enough. Before it: cllm_eval. After it: candidates.h. */
#ifndef SAMPLING_LOGITS_H
#define SAMPLING_LOGITS_H

#include "sampling/candidates.h"

/* The likeliest token that the mask (NULL: any) allows; the lowest id if several are equal. logits: [n_vocab]. Errors:
 * FORMAT (a logit is NaN, or the largest is infinite), ARGUMENT (the mask allows no token). */
cllm_status likeliest_token(const float *logits, const uint32_t *mask, uint32_t n_vocab, int32_t *token,
                            cllm_error *err);

/* The largest allowed logit of each block, -INFINITY if the mask allows none of it. most: [CLLM_MASK_WORDS(n_vocab)],
 * out. Errors: as for likeliest_token. */
cllm_status find_block_maxima(const float *logits, const uint32_t *mask, uint32_t n_vocab, float *most,
                              cllm_error *err);

/* The allowed tokens with logits of `least` or more, in the order of the vocabulary. most: from find_block_maxima;
 * list: [n_vocab], out. Returns how many. */
size_t gather_logits(const float *logits, const uint32_t *mask, uint32_t n_vocab, const float *most, float least,
                     candidate *list);

#endif
