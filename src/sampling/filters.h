/* The steps of the chain that need only the distribution: filters and temperature. */
#ifndef SAMPLING_FILTERS_H
#define SAMPLING_FILTERS_H

#include "sampling/candidates.h"

/* Each filter keeps at least one candidate. */

void filter_top_k(candidates *c, uint32_t k); /* the k with the largest scores, and all that equal the k-th */
void filter_top_p(candidates *c, float p);    /* the shortest run of the likeliest whose probabilities reach p */
void filter_min_p(candidates *c, float p);    /* those at least p times as likely as the likeliest */
void filter_typical_p(candidates *c,
                      float p); /* those closest to the expected surprise, until they sum to more than p */
void filter_top_n_sigma(candidates *c, float n_sigma); /* scores within so many standard deviations of the largest */
void filter_xtc(candidates *c, float threshold);       /* of those that reach the threshold only the least likely */

/* For a gap between two texts: probabilities of tokens that begin alike are combined, and the text ends early. end: the
 * token that ends the text if nothing else is likely, or -1. */
void filter_infill(candidates *c, const cllm_tokenizer *tokenizer, int32_t end);

/* Divide the scores by the temperature, more than 0. */
void apply_temperature(candidates *c, float temperature);

/* Use a temperature between `least` and `most` that depends on how even the distribution is. */
void apply_dynamic_temperature(candidates *c, float least, float most, float exponent);

#endif
