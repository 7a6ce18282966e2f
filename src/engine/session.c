/* cllm_session: one sequence of tokens. It cuts what it is given into batches, runs them through the forward pass, and
 * knows how far the sequence has come. Before it on the road: the tokenizer. After it: the sampler. */
#include "engine/engine.h"

#include "base/error.h"
#include "base/thread_pool.h"
#include "cpu/forward_cpu.h"
#include "gguf/gguf.h"

#include <stdlib.h>

struct cllm_session {
    const cllm_model *model;
    cllm_memory_plan plan;
    uint32_t n_batch;
    uint32_t position; /* tokens whose keys and values are in the cache */
    cllm_progress progress;
    void *user;
    size_t n_done, n_wanted; /* tokens of the eval at work, for progress */
    uint32_t n_run;          /* of the batch at work */

    thread_pool *pool;
    forward_cpu forward;
    float *x;            /* [n_batch][n_embd] */
    uint32_t *positions; /* [n_batch] */
    float *logits;       /* [LOGIT_ROWS][n_vocab] */
    arena arena;
};

/* The forward pass asks before each step. */
static bool keep_going(void *user) {
    const cllm_session *s = user;
    const uint64_t n_layers = s->model->config.n_layers;
    return !s->progress ||
           s->progress(s->user, s->n_done * n_layers + (uint64_t)s->n_run * s->forward.layer, s->n_wanted * n_layers);
}

cllm_status cllm_session_create(const cllm_model *model, const cllm_session_options *options, cllm_session **out,
                                cllm_error *err) {
    *out = NULL;
    session_settings settings;
    cllm_memory_plan plan;
    kv_cache kv;
    cllm_status status = settings_resolve(options, &settings, err);
    const uint64_t weights_in_memory = gguf_is_mapped(model->gguf) ? model->repacked_bytes : UINT64_MAX;
    if (status == CLLM_OK) status = plan_session(model->gguf, weights_in_memory, &model->config, &settings, &plan, err);
    if (status != CLLM_OK) return status;

    cllm_session *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, CLLM_ERR_MEMORY, "no memory for the session");
    s->model = model;
    s->plan = plan;
    s->n_batch = settings.n_batch < plan.n_ctx ? settings.n_batch : plan.n_ctx;
    if (options) {
        s->progress = options->progress;
        s->user = options->user;
    }
    status = thread_pool_create(settings.n_threads, &s->pool, err);
    if (status == CLLM_OK) status = kv_cache_create(&model->config, plan.n_ctx, settings.kv_type, &s->arena, &kv, err);
    if (status == CLLM_OK)
        status = forward_cpu_create(&model->config, &model->weights, settings.kernels, s->pool, &kv, s->n_batch,
                                    &s->arena, &s->forward, err);
    if (status != CLLM_OK) goto failed;

    s->x = arena_alloc(&s->arena, s->n_batch, model->config.n_embd * sizeof *s->x);
    s->positions = arena_alloc(&s->arena, s->n_batch, sizeof *s->positions);
    s->logits = arena_alloc(&s->arena, LOGIT_ROWS, model->config.n_vocab * sizeof *s->logits);
    if (!s->x || !s->positions || !s->logits) {
        status = error_set(err, CLLM_ERR_MEMORY, "no memory for a batch of %u tokens; use a smaller one", s->n_batch);
        goto failed;
    }
    s->forward.keep_going = keep_going;
    s->forward.user = s;
    *out = s;
    return CLLM_OK;

failed:
    cllm_session_destroy(s);
    return status;
}

void cllm_session_destroy(cllm_session *session) {
    if (!session) return;
    thread_pool_destroy(session->pool);
    arena_free(&session->arena);
    free(session);
}

const cllm_memory_plan *cllm_session_plan(const cllm_session *session) { return &session->plan; }
uint32_t cllm_session_n_threads(const cllm_session *session) { return thread_pool_size(session->pool); }
const char *cllm_session_cpu_isa(const cllm_session *session) { return session->forward.kernels->name; }
uint32_t cllm_session_position(const cllm_session *session) { return session->position; }

cllm_status cllm_session_rewind(cllm_session *session, uint32_t position, cllm_error *err) {
    if (position > session->position)
        return error_set(err, CLLM_ERR_ARGUMENT, "cannot rewind to position %u: only %u tokens were evaluated",
                         position, session->position);
    session->position = position;
    return CLLM_OK;
}

/* ------------------------------------------------------------------------------------------- evaluating */

static cllm_status check_tokens(const cllm_session *s, const int32_t *tokens, size_t count, cllm_error *err) {
    const uint32_t n_vocab = s->model->config.n_vocab;
    if (count == 0) return error_set(err, CLLM_ERR_ARGUMENT, "there are no tokens to evaluate");
    if (count > s->plan.n_ctx - s->position)
        return error_set(err, CLLM_ERR_CONTEXT_FULL,
                         "%zu tokens after the %u already there do not fit into a context of %u", count, s->position,
                         s->plan.n_ctx);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= n_vocab)
            return error_set(err, CLLM_ERR_ARGUMENT, "token %d is not in the vocabulary of %u", tokens[i], n_vocab);
    return CLLM_OK;
}

static cllm_status cancel(cllm_error *err) {
    return error_set(err, CLLM_ERR_CANCELLED, "the evaluation was cancelled");
}

/* Run tokens at positions position.. through all layers; s->x then holds their last rows, or with only_last the last
 * token's. */
static cllm_status run_batch(cllm_session *s, const int32_t *tokens, uint32_t position, uint32_t count, bool only_last,
                             cllm_error *err) {
    for (uint32_t b = 0; b < count; b++) s->positions[b] = position + b;
    forward_cpu_begin(&s->forward, s->positions, count, only_last);
    forward_cpu_embed(&s->forward, tokens, s->x);
    return forward_cpu_layers(&s->forward, s->x, 0, s->model->config.n_layers) ? CLLM_OK : cancel(err);
}

/* Hand out the logits of a batch's rows, whose first is token `index` of the call. */
static cllm_status hand_out(cllm_session *s, size_t index, uint32_t count, cllm_on_logits on_logits, void *user,
                            cllm_error *err) {
    const model_config *c = &s->model->config;
    for (uint32_t first = 0; first < count; first += LOGIT_ROWS) {
        const uint32_t n_rows = count - first < LOGIT_ROWS ? count - first : LOGIT_ROWS;
        forward_cpu_output(&s->forward, s->x + (size_t)first * c->n_embd, n_rows, s->logits);
        if (s->forward.stopped) return cancel(err);
        for (uint32_t row = 0; row < n_rows; row++)
            if (!on_logits(user, index + first + row, s->logits + (size_t)row * c->n_vocab)) return cancel(err);
    }
    return CLLM_OK;
}

/* on_logits NULL: only the last token's logits are computed, into the first row of s->logits. */
static cllm_status evaluate(cllm_session *s, const int32_t *tokens, size_t count, cllm_on_logits on_logits, void *user,
                            cllm_error *err) {
    cllm_status status = check_tokens(s, tokens, count, err);
    s->n_wanted = count;
    for (s->n_done = 0; status == CLLM_OK && s->n_done < count; s->n_done += s->n_run) {
        const size_t left = count - s->n_done;
        s->n_run = left < s->n_batch ? (uint32_t)left : s->n_batch;
        status = run_batch(s, tokens + s->n_done, s->position + (uint32_t)s->n_done, s->n_run, !on_logits, err);
        if (status == CLLM_OK && on_logits) status = hand_out(s, s->n_done, s->n_run, on_logits, user, err);
        if (status == CLLM_OK && !on_logits && left == s->n_run) {
            forward_cpu_output(&s->forward, s->x, 1, s->logits);
            if (s->forward.stopped) status = cancel(err);
        }
    }
    if (status == CLLM_OK) s->position += (uint32_t)count;
    return status;
}

cllm_status cllm_session_eval(cllm_session *session, const int32_t *tokens, size_t count, const float **logits,
                              cllm_error *err) {
    cllm_status status = evaluate(session, tokens, count, NULL, NULL, err);
    if (status == CLLM_OK) *logits = session->logits;
    return status;
}

cllm_status cllm_session_eval_each(cllm_session *session, const int32_t *tokens, size_t count, cllm_on_logits on_logits,
                                   void *user, cllm_error *err) {
    return evaluate(session, tokens, count, on_logits, user, err);
}
