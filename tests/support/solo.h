/* An engine with one sequence, for tests that need no more. */
#ifndef SUPPORT_SOLO_H
#define SUPPORT_SOLO_H

#include "cllm.h"

typedef struct solo {
    cllm_engine *engine;
    cllm_sequence *sequence;
    size_t n_vocab;
} solo;

cllm_status solo_create(const cllm_model *model, const cllm_engine_options *options, solo **out, cllm_error *err);
void solo_destroy(solo *s); /* NULL is allowed */

uint32_t solo_length(const solo *s);
cllm_status solo_truncate(solo *s, uint32_t length, cllm_error *err);

/* Evaluate tokens after those of the sequence. logits: out, [n_vocab], of the last token. */
cllm_status solo_eval(solo *s, const int32_t *tokens, size_t count, const float **logits, cllm_error *err);
/* The same. logits: out, [count][n_vocab], of each token, copied. */
cllm_status solo_each(solo *s, const int32_t *tokens, size_t count, float *logits, cllm_error *err);
/* The same. next: out, the likeliest token after the last one. */
cllm_status solo_next(solo *s, const int32_t *tokens, size_t count, int32_t *next, cllm_error *err);

#endif
