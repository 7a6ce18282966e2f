/* The formulas of RoPE (rope.h). Frequencies are computed once, in double; cos and sin of a position are rounded to
 * float, then multiplied by the magnitude. */
#include "model/rope.h"

#include <math.h>

/* YaRN (Peng et al. 2023): pairs that turn more than beta_fast times over the original context keep their frequency.
 * Pairs that turn less than beta_slow times are slowed down as with linear scaling. In between, both frequencies are
 * mixed. */

/* The (fractional) index of the pair, of n rotated elements, that turns `rotations` times over the original context. */
static double pair_of_rotations(const model_config *c, double base, uint32_t n, double rotations) {
    const double two_pi = 6.283185307179586476925;
    return n * log(c->rope_original_context / (rotations * two_pi)) / (2 * log(base));
}

/* How much of pair j's own frequency is kept: c->yarn_kept up to pair `low`, 0 from pair `high` on. */
static double yarn_kept(const model_config *c, double base, uint32_t n, uint32_t j) {
    const double last = n - 1;
    double low = pair_of_rotations(c, base, n, (double)c->yarn_beta_fast),
           high = pair_of_rotations(c, base, n, (double)c->yarn_beta_slow);
    if (!c->traits->yarn_unrounded) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(0, low);
    high = fmin(last, high);
    double along = (j - low) / fmax(0.001, high - low);
    return (double)c->yarn_kept * (1 - fmin(1, fmax(0, along)));
}

/* The factor of cos and sin: rope_attention_factor times that of YaRN, which grows with the stretching. */
static double magnitude(const model_config *c) {
    const double grown = 0.1 * log(fmax(1, (double)c->rope_scaling_factor));
    double yarn = 1;
    if (c->rope_scaling == ROPE_SCALING_YARN && c->yarn_magnitude > 0)
        yarn = (double)c->yarn_magnitude;
    else if (c->rope_scaling == ROPE_SCALING_YARN && c->kv_rank == 0)
        yarn = (1 + grown) / (1 + (double)c->yarn_log_multiplier * grown);
    else if (c->rope_scaling == ROPE_SCALING_YARN && c->yarn_log_multiplier == 0)
        yarn = 1 + grown;
    return (double)c->rope_attention_factor * yarn;
}

void rope_prepare(const model_config *config, bool windowed, const float *factors, rope_table *table) {
    const bool unscaled = windowed && config->traits->windowed_unscaled;
    const double base = (double)(windowed ? config->rope_freq_base_windowed : config->rope_freq_base);
    const double stretched = unscaled ? 1 : 1.0 / (double)config->rope_scaling_factor;
    const uint32_t n = windowed ? config->rope_dimension_count_windowed : config->rope_dimension_count;
    table->n_pairs = n / 2;
    table->magnitude = unscaled ? 1.0f : (float)magnitude(config);
    for (uint32_t j = 0; j < table->n_pairs; j++) {
        double frequency = pow(base, -2.0 * j / n);
        if (factors && !unscaled) frequency /= (double)factors[j];
        double kept = config->rope_scaling == ROPE_SCALING_YARN ? yarn_kept(config, base, n, j) : 0;
        table->frequencies[j] = frequency * (stretched * (1 - kept) + kept);
    }
}

void rope_angles(const rope_table *table, uint32_t position, float *cos_out, float *sin_out) {
    for (uint32_t j = 0; j < table->n_pairs; j++) {
        double angle = position * table->frequencies[j];
        cos_out[j] = (float)cos(angle) * table->magnitude;
        sin_out[j] = (float)sin(angle) * table->magnitude;
    }
}
