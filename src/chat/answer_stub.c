#include "cllm.h"
#include <stdlib.h>
struct cllm_answer {
    cllm_delta delta;
};
cllm_status cllm_answer_create(const cllm_chat *c, const cllm_part *p, size_t n, cllm_string tools, cllm_answer **out,
                               cllm_error *err) {
    (void)c;
    (void)p;
    (void)n;
    (void)tools;
    (void)err;
    *out = calloc(1, sizeof **out);
    return CLLM_OK;
}
void cllm_answer_destroy(cllm_answer *a) { free(a); }
cllm_status cllm_answer_take(cllm_answer *a, cllm_string text, bool ended, const cllm_delta **deltas, size_t *n,
                             cllm_error *err) {
    (void)ended;
    (void)err;
    a->delta = (cllm_delta){.kind = CLLM_DELTA_CONTENT, .text = text};
    *deltas = &a->delta;
    *n = text.length > 0;
    return CLLM_OK;
}
