/* Rotary position embedding (RoPE, Su et al. 2021): the angle by which a pair of elements turns per position, with the
 * kinds of scaling that files ask for. Before it: config.h. After it: both forward passes, which turn queries and
 * keys. */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include "model/config.h"

typedef struct rope_table {
    uint32_t n_pairs;
    double *frequencies; /* [n_pairs] radians per position */
    float magnitude;     /* multiplies cos and sin */
} rope_table;

/* Fill table->frequencies, [rope_dimension_count(_windowed) / 2], which the caller has allocated, for the windowed
 * layers or the others. factors: [n_pairs] divisors of the frequencies, or NULL. */
void rope_prepare(const model_config *config, bool windowed, const float *factors, rope_table *table);

/* cos and sin: out, [n_pairs], of one position. */
void rope_angles(const rope_table *table, uint32_t position, float *cos, float *sin);

#endif
