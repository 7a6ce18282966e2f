/* Functions of samplers in addition to cllm.h, for generation.c; the last one is for tests. */
#ifndef SAMPLING_SAMPLER_H
#define SAMPLING_SAMPLER_H

#include "cllm.h"

uint32_t sampler_n_vocab(const cllm_sampler *sampler);

/* True if every draw takes the likeliest token. Then that token is enough: the sampler need not see the logits, nor the
 * tokens that were drawn. */
bool sampler_takes_likeliest(const cllm_sampler *sampler);

/* Set the state of a sampler's random numbers, which is otherwise made from the seed. The sampler can then draw what
 * another program with the same generator drew. state: not 0. */
void sampler_set_state(cllm_sampler *sampler, uint64_t state);

#endif
