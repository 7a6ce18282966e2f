/* Implements logits.h. The loop over a whole block is written so that compilers use vectors. */
#include "sampling/logits.h"

#include "base/error.h"

#include <math.h>

enum { BLOCK = 32, LANES = 16 }; /* LANES: maxima that are computed side by side */

/* A word with a bit for each token of a block, set if it is allowed and in the vocabulary. */
static uint32_t allowed_of(const uint32_t *mask, uint32_t begin, uint32_t n_vocab) {
    const uint32_t n = n_vocab - begin, there = n < BLOCK ? (1u << n) - 1 : UINT32_MAX;
    return mask ? mask[begin / BLOCK] & there : there;
}

/* The largest logit of a whole block. any_nan: out. */
static float largest_of(const float *block, bool *any_nan) {
    float most[LANES];
    int wrong[LANES], any = 0;
    for (int l = 0; l < LANES; l++) {
        const float a = block[l], b = block[l + LANES];
        most[l] = a > b ? a : b;
        wrong[l] = isunordered(a, b);
    }
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) most[l] = most[l] > most[l + half] ? most[l] : most[l + half];
    for (int l = 0; l < LANES; l++) any |= wrong[l];
    *any_nan = any;
    return most[0];
}

/* The largest allowed logit of a block. any_nan: out, true if any of its n logits is NaN, allowed or not. */
static float largest_allowed(const float *block, uint32_t n, uint32_t allowed, bool *any_nan) {
    float most = -INFINITY;
    *any_nan = false;
    for (uint32_t i = 0; i < n; i++, allowed >>= 1) {
        *any_nan |= isnan(block[i]);
        if (allowed & 1 && block[i] > most) most = block[i];
    }
    return most;
}

static cllm_status bad_logit(cllm_error *err, uint32_t token) {
    return error_set(err, CLLM_ERR_FORMAT,
                     "the logit of token %u is not a finite number; cllm_sequence_diagnose says why", token);
}

static cllm_status maximum_of(const float *logits, const uint32_t *mask, uint32_t begin, uint32_t n_vocab, float *most,
                              cllm_error *err) {
    bool any_nan;
    const uint32_t allowed = allowed_of(mask, begin, n_vocab), n = n_vocab - begin < BLOCK ? n_vocab - begin : BLOCK;
    *most = allowed == UINT32_MAX ? largest_of(logits + begin, &any_nan)
                                  : largest_allowed(logits + begin, n, allowed, &any_nan);
    for (uint32_t i = begin; any_nan && i < begin + n; i++)
        if (isnan(logits[i])) return bad_logit(err, i);
    return CLLM_OK;
}

/* The first allowed token of a block with this logit. */
static uint32_t find_in_block(const float *logits, const uint32_t *mask, uint32_t begin, uint32_t n_vocab,
                              float logit) {
    uint32_t allowed = allowed_of(mask, begin, n_vocab), i = begin;
    for (; allowed && !(allowed & 1 && logits[i] == logit); i++) allowed >>= 1;
    return i;
}

cllm_status likeliest_token(const float *logits, const uint32_t *mask, uint32_t n_vocab, int32_t *token,
                            cllm_error *err) {
    float most = -INFINITY;
    uint32_t best = n_vocab; /* the block of the best logit */
    for (uint32_t begin = 0; begin < n_vocab; begin += BLOCK) {
        float here;
        const cllm_status status = maximum_of(logits, mask, begin, n_vocab, &here, err);
        if (status != CLLM_OK) return status;
        if (best < n_vocab ? here <= most : allowed_of(mask, begin, n_vocab) == 0) continue;
        most = here;
        best = begin;
    }
    if (best == n_vocab) return error_set(err, CLLM_ERR_ARGUMENT, "the mask allows no token");
    best = find_in_block(logits, mask, best, n_vocab, most);
    *token = (int32_t)best;
    return isinf(most) ? bad_logit(err, best) : CLLM_OK;
}

cllm_status find_block_maxima(const float *logits, const uint32_t *mask, uint32_t n_vocab, float *most,
                              cllm_error *err) {
    float all = -INFINITY;
    for (uint32_t begin = 0; begin < n_vocab; begin += BLOCK) {
        const cllm_status status = maximum_of(logits, mask, begin, n_vocab, &most[begin / BLOCK], err);
        if (status != CLLM_OK) return status;
        all = most[begin / BLOCK] > all ? most[begin / BLOCK] : all;
    }
    int32_t likeliest; /* likeliest_token reports that there is none, or that it is infinite */
    return isinf(all) ? likeliest_token(logits, mask, n_vocab, &likeliest, err) : CLLM_OK;
}

size_t gather_logits(const float *logits, const uint32_t *mask, uint32_t n_vocab, const float *most, float least,
                     candidate *list) {
    size_t n_found = 0;
    for (uint32_t begin = 0; begin < n_vocab; begin += BLOCK) {
        if (most[begin / BLOCK] < least) continue;
        uint32_t allowed = allowed_of(mask, begin, n_vocab);
        for (uint32_t i = begin; allowed; i++, allowed >>= 1)
            if (allowed & 1 && logits[i] >= least)
                list[n_found++] = (candidate){.score = logits[i], .token = (int32_t)i};
    }
    return n_found;
}
