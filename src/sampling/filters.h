/* The steps of the sampler's chain that need only the candidates and their probabilities: filters and temperature.
 * Before it and after it: sampler.c, which runs the chain. */
#ifndef SAMPLING_FILTERS_H
#define SAMPLING_FILTERS_H

#include "sampling/candidates.h"

/* The comments say what each filter keeps. It is always at least one candidate. */

/* The k candidates with the largest scores, and all whose score equals the k-th one's. */
void filter_top_k(candidates *c, uint32_t k);

/* The fewest of the likeliest candidates whose probabilities sum to p or more. */
void filter_top_p(candidates *c, float p);

/* Those that are at least p times as likely as the likeliest one. */
void filter_min_p(candidates *c, float p);

/* Those whose surprise is closest to the expected one, until their probabilities sum to more than p. */
void filter_typical_p(candidates *c, float p);

/* Those whose score is within n_sigma standard deviations of the largest one. */
void filter_top_n_sigma(candidates *c, float n_sigma);

/* All below the threshold, and the least likely of those that reach it. */
void filter_xtc(candidates *c, float threshold);

/* For filling a gap between two texts: combine the probabilities of tokens that begin alike, and let the text end
 * early. end: the token that ends the text if nothing else is likely, or -1. */
void filter_infill(candidates *c, const cllm_tokenizer *tokenizer, int32_t end);

/* Divide the scores by the temperature, more than 0. */
void apply_temperature(candidates *c, float temperature);

/* Use a temperature between `least` and `most` that depends on how even the distribution is. */
void apply_dynamic_temperature(candidates *c, float least, float most, float exponent);

#endif
