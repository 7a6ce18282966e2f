/* Sampling functions for the rest of the library, in addition to the public header. */
#ifndef SAMPLING_SAMPLER_H
#define SAMPLING_SAMPLER_H

#include "cllm.h"

uint32_t sampler_n_vocab(const cllm_sampler *sampler);

/* True if every draw is the likeliest token. Then the sampler needs neither all logits nor the drawn tokens. */
bool sampler_takes_likeliest(const cllm_sampler *sampler);

/* Set the state of a sampler's generator, not 0, instead of the one made from its seed: to draw what another program
 * with the same generator drew. */
void sampler_set_state(cllm_sampler *sampler, uint64_t state);

#endif
