/* Implements solo.h. */
#include "support/solo.h"

#include <stdlib.h>
#include <string.h>

cllm_status solo_create(const cllm_model *model, const cllm_engine_options *options, solo **out, cllm_error *err) {
    solo *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s) s->n_vocab = cllm_model_get_info(model)->n_vocab;
    if (!s) return CLLM_ERR_MEMORY;
    cllm_status status = cllm_engine_create(model, options, &s->engine, err);
    if (status == CLLM_OK) status = cllm_sequence_create(s->engine, &s->sequence, err);
    if (status == CLLM_OK)
        *out = s;
    else
        solo_destroy(s);
    return status;
}

void solo_destroy(solo *s) {
    if (!s) return;
    cllm_sequence_destroy(s->sequence);
    cllm_engine_destroy(s->engine);
    free(s);
}

uint32_t solo_length(const solo *s) { return cllm_sequence_length(s->sequence); }

cllm_status solo_truncate(solo *s, uint32_t length, cllm_error *err) {
    return cllm_sequence_truncate(s->sequence, length, err);
}

static cllm_status run(solo *s, const int32_t *tokens, size_t count, cllm_want want, cllm_span *span, cllm_error *err) {
    *span = (cllm_span){.sequence = s->sequence, .tokens = tokens, .count = count, .want = want};
    return cllm_eval(s->engine, span, 1, err);
}

cllm_status solo_eval(solo *s, const int32_t *tokens, size_t count, const float **logits, cllm_error *err) {
    cllm_span span;
    cllm_status status = run(s, tokens, count, CLLM_WANT_LAST, &span, err);
    *logits = span.rows;
    return status;
}

cllm_status solo_each(solo *s, const int32_t *tokens, size_t count, float *logits, cllm_error *err) {
    cllm_span span;
    cllm_status status = run(s, tokens, count, CLLM_WANT_EACH, &span, err);
    if (status == CLLM_OK) memcpy(logits, span.rows, count * s->n_vocab * sizeof *logits);
    return status;
}

cllm_status solo_next(solo *s, const int32_t *tokens, size_t count, int32_t *next, cllm_error *err) {
    cllm_span span;
    cllm_status status = run(s, tokens, count, CLLM_WANT_NEXT, &span, err);
    *next = span.next;
    return status;
}
