/* What others of the library know of sampling beside the public header. */
#ifndef SAMPLING_SAMPLER_H
#define SAMPLING_SAMPLER_H

#include "cllm.h"

uint32_t sampler_n_vocab(const cllm_sampler *sampler);

/* Is every draw the likeliest token? Then nobody needs all logits, nor tells the sampler what was drawn. */
bool sampler_takes_likeliest(const cllm_sampler *sampler);

/* Put a sampler's generator into this state, which is not 0, instead of the one that its seed stands for: to draw what
 * another program with the same generator drew. */
void sampler_set_state(cllm_sampler *sampler, uint64_t state);

#endif
