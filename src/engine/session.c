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
    const cpu_kernels *kernels;
    cllm_memory_plan plan;
    uint32_t n_batch;
    uint32_t n_cpu_layers; /* the first; the offload has the others, and the output */
    uint32_t position;     /* tokens whose keys and values are in the cache */
    uint32_t reached;      /* by the last evaluation, also one that failed */
    cllm_progress progress;
    void *user;
    size_t n_done, n_wanted; /* tokens of the eval at work, for progress */
    uint32_t n_run;          /* of the batch at work */

    thread_pool *pool;
    kv_pages pages;
    kv_table table;
    kv_store store;      /* of the CPU's layers */
    forward_cpu forward; /* where there are CPU layers */
    offload offload;
    float *x;      /* [n_batch][n_embd], where there are CPU layers */
    float *logits; /* [LOGIT_ROWS][n_vocab] */
    arena arena;
};

static bool on_gpu(const cllm_session *s) { return s->offload.forward; }

/* The forward passes ask before each step, or layer. */
static bool keep_going_at(void *user, uint32_t layer) {
    const cllm_session *s = user;
    const uint64_t n_layers = s->model->config.n_layers;
    return !s->progress ||
           s->progress(s->user, s->n_done * n_layers + (uint64_t)s->n_run * layer, s->n_wanted * n_layers);
}

static bool keep_going(void *user) { return keep_going_at(user, ((const cllm_session *)user)->forward.layer); }

/* The CPU's layers: keys and values, and the buffers of the forward pass. */
static cllm_status create_forward_cpu(cllm_session *s, const session_settings *settings, const kv_size *size,
                                      cllm_error *err) {
    const cllm_model *model = s->model;
    cllm_status status =
        kv_store_create(&model->config, settings->kv_type, s->n_cpu_layers, size, &s->arena, &s->store, err);
    if (status == CLLM_OK)
        status = forward_cpu_create(&model->config, &model->weights, settings->kernels, s->pool, &s->store,
                                    s->plan.n_ctx, s->n_batch, &s->arena, &s->forward, err);
    s->forward.keep_going = keep_going;
    s->forward.user = s;
    return status;
}

cllm_status cllm_session_create(const cllm_model *model, const cllm_session_options *options, cllm_session **out,
                                cllm_error *err) {
    *out = NULL;
    session_settings settings;
    cllm_status status = settings_resolve(options, &settings, err);
    if (status != CLLM_OK) return status;
    cllm_session *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, CLLM_ERR_MEMORY, "no memory for the session");
    s->model = model;
    s->kernels = settings.kernels;
    if (model->weights.position_embd.data && settings.n_ctx > model->config.n_ctx_train) {
        status = error_set(err, CLLM_ERR_ARGUMENT,
                           "a context of %u is more than the %u positions that the model has embeddings of",
                           settings.n_ctx, model->config.n_ctx_train);
        goto failed;
    }
    if (options) {
        s->progress = options->progress;
        s->user = options->user;
    }
    status = offload_start(model, options, &settings, &s->plan, &s->offload, err);
    const kv_size size = session_kv_size(s->plan.n_ctx, settings.n_batch);
    s->n_batch = size.n_batch;
    s->n_cpu_layers = model->config.n_layers - settings.n_gpu_layers;
    if (status == CLLM_OK) status = thread_pool_create(s->n_cpu_layers > 0 ? settings.n_threads : 1, &s->pool, err);
    if (status == CLLM_OK) status = kv_pages_create(&model->config, &size, &s->arena, &s->pages, err);
    if (status == CLLM_OK) status = kv_table_create(&s->pages, &s->arena, &s->table, err);
    if (status == CLLM_OK && s->n_cpu_layers > 0) status = create_forward_cpu(s, &settings, &size, err);
    if (status != CLLM_OK) goto failed;

    s->x = arena_alloc(&s->arena, s->n_cpu_layers > 0 ? s->n_batch : 0, model->config.n_embd * sizeof *s->x);
    s->logits = arena_alloc(&s->arena, LOGIT_ROWS, model->config.n_vocab * sizeof *s->logits);
    if (s->x && s->logits) {
        *out = s;
        return CLLM_OK;
    }
    status = error_set(err, CLLM_ERR_MEMORY, "no memory for a batch of %u tokens; use a smaller one", s->n_batch);

failed:
    cllm_session_destroy(s);
    return status;
}

void cllm_session_destroy(cllm_session *session) {
    if (!session) return;
    offload_stop(&session->offload);
    thread_pool_destroy(session->pool);
    arena_free(&session->arena);
    free(session);
}

const cllm_memory_plan *cllm_session_plan(const cllm_session *session) { return &session->plan; }
uint32_t cllm_session_n_threads(const cllm_session *session) { return thread_pool_size(session->pool); }
const char *cllm_session_cpu_isa(const cllm_session *session) { return session->kernels->name; }
uint32_t cllm_session_position(const cllm_session *session) { return session->position; }

const char *cllm_session_device(const cllm_session *session) {
    return on_gpu(session) ? session->offload.gpu.driver->name : "cpu";
}
const char *cllm_session_device_name(const cllm_session *session) { return session->offload.gpu.properties.name; }
const char *cllm_session_device_note(const cllm_session *session) { return session->offload.note; }

cllm_gpu_counters cllm_session_gpu_counters(const cllm_session *session) {
    if (!on_gpu(session)) return (cllm_gpu_counters){0};
    const gpu_counters counters = forward_gpu_counters(session->offload.forward);
    return (cllm_gpu_counters){counters.launches, counters.bytes};
}

/* Are all keys and values still there that a token at `position` looks back at? */
static bool can_go_on_from(const cllm_session *s, uint32_t position) {
    return kv_table_reaches(&s->table, &s->pages, position);
}

static void go_on_from(cllm_session *s, uint32_t position) {
    s->position = position;
    kv_table_truncate(&s->table, &s->pages, position);
}

cllm_status cllm_session_rewind(cllm_session *session, uint32_t position, cllm_error *err) {
    if (position > session->position)
        return error_set(err, CLLM_ERR_ARGUMENT, "cannot rewind to position %u: only %u tokens were evaluated",
                         position, session->position);
    if (!can_go_on_from(session, position))
        return error_set(
            err, CLLM_ERR_UNSUPPORTED,
            "cannot rewind to position %u: the model's sliding windows of %u have left what it looks back at; "
            "rewind to 0",
            position, session->model->config.window);
    go_on_from(session, position);
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

/* Run tokens at positions position.. through all layers; the forward pass that comes last then holds their last rows, or
 * with only_last the last token's. */
static cllm_status run_batch(cllm_session *s, const int32_t *tokens, uint32_t position, uint32_t count, bool only_last,
                             cllm_error *err) {
    const forward_span span = {
        .table = &s->table, .first_position = position, .n_rows = count, .n_kept = only_last ? 1 : count};
    /* As many tokens as a batch can be taken back of one call. */
    const uint32_t end = position + count, back = end > s->n_batch ? end - s->n_batch : 0;
    kv_table_grow(&s->table, &s->pages, back > s->position ? back : s->position, position, end);
    if (s->n_cpu_layers > 0) {
        forward_cpu_begin(&s->forward, &span, 1);
        forward_cpu_embed(&s->forward, tokens, s->x);
        if (!forward_cpu_layers(&s->forward, s->x, 0, s->n_cpu_layers)) return cancel(err);
    }
    if (!on_gpu(s)) return CLLM_OK;
    return forward_gpu_layers(s->offload.forward, &span, 1, tokens, s->n_cpu_layers > 0 ? s->x : NULL, keep_going_at, s,
                              err);
}

/* logits: those of the batch's rows first_row.., into s->logits. */
static cllm_status run_output(cllm_session *s, uint32_t first_row, uint32_t n_rows, cllm_error *err) {
    if (on_gpu(s)) return forward_gpu_output(s->offload.forward, first_row, n_rows, s->logits, err);
    forward_cpu_output(&s->forward, s->x + (size_t)first_row * s->model->config.n_embd, n_rows, s->logits);
    return s->forward.stopped ? cancel(err) : CLLM_OK;
}

cllm_status cllm_session_diagnose(const cllm_session *session, cllm_error *err) {
    bool beyond = session->n_cpu_layers > 0 && kv_store_beyond_f16(&session->store, &session->table, session->reached);
    if (!beyond && on_gpu(session)) {
        cllm_status status =
            forward_gpu_beyond_f16(session->offload.forward, &session->table, session->reached, &beyond, err);
        if (status != CLLM_OK) return status;
    }
    return diagnose_logits(session->model, beyond, err);
}

/* The likeliest token after the last of a batch that was run with only_last. */
static cllm_status run_next(cllm_session *s, int32_t *next, cllm_error *err) {
    cllm_status status = on_gpu(s) ? forward_gpu_next(s->offload.forward, 0, 1, next, err) : run_output(s, 0, 1, err);
    if (status != CLLM_OK) return status;
    const bool finite =
        on_gpu(s) ? *next >= 0 : likeliest_token(s->logits, s->model->config.n_vocab, next, NULL) == CLLM_OK;
    return finite ? CLLM_OK : cllm_session_diagnose(s, err);
}

/* Hand out the logits of a batch's rows, whose first is token `index` of the call. */
static cllm_status hand_out(cllm_session *s, size_t index, uint32_t count, cllm_on_logits on_logits, void *user,
                            cllm_error *err) {
    const size_t n_vocab = s->model->config.n_vocab;
    for (uint32_t first = 0; first < count; first += LOGIT_ROWS) {
        const uint32_t n_rows = count - first < LOGIT_ROWS ? count - first : LOGIT_ROWS;
        cllm_status status = run_output(s, first, n_rows, err);
        if (status != CLLM_OK) return status;
        for (uint32_t row = 0; row < n_rows; row++)
            if (!on_logits(user, index + first + row, s->logits + row * n_vocab)) return cancel(err);
    }
    return CLLM_OK;
}

/* What is wanted of the tokens beside their keys and values: the logits of each, or those of the last, in the first row of
 * s->logits, or the token that is likeliest after it. */
typedef struct wants {
    cllm_on_logits on_logits; /* or NULL */
    void *user;
    int32_t *next; /* or NULL */
} wants;

static cllm_status evaluate(cllm_session *s, const int32_t *tokens, size_t count, wants wanted, cllm_error *err) {
    cllm_status status = check_tokens(s, tokens, count, err);
    s->n_wanted = count;
    for (s->n_done = 0; status == CLLM_OK && s->n_done < count; s->n_done += s->n_run) {
        const size_t left = count - s->n_done;
        s->n_run = left < s->n_batch ? (uint32_t)left : s->n_batch;
        const uint32_t position = s->position + (uint32_t)s->n_done;
        s->reached = position + s->n_run;
        status = run_batch(s, tokens + s->n_done, position, s->n_run, !wanted.on_logits, err);
        if (status != CLLM_OK) break;
        if (wanted.on_logits)
            status = hand_out(s, s->n_done, s->n_run, wanted.on_logits, wanted.user, err);
        else if (left == s->n_run)
            status = wanted.next ? run_next(s, wanted.next, err) : run_output(s, 0, 1, err);
    }
    if (status == CLLM_OK)
        s->position += (uint32_t)count;
    else if (!can_go_on_from(s, s->position))
        go_on_from(s, 0);
    return status;
}

cllm_status cllm_session_eval(cllm_session *session, const int32_t *tokens, size_t count, const float **logits,
                              cllm_error *err) {
    cllm_status status = evaluate(session, tokens, count, (wants){0}, err);
    if (status == CLLM_OK) *logits = session->logits;
    return status;
}

cllm_status cllm_session_eval_next(cllm_session *session, const int32_t *tokens, size_t count, int32_t *next,
                                   cllm_error *err) {
    return evaluate(session, tokens, count, (wants){.next = next}, err);
}

cllm_status cllm_session_eval_each(cllm_session *session, const int32_t *tokens, size_t count, cllm_on_logits on_logits,
                                   void *user, cllm_error *err) {
    return evaluate(session, tokens, count, (wants){.on_logits = on_logits, .user = user}, err);
}

cllm_status cllm_session_measure_gpu(cllm_session *session, int32_t token, uint32_t repetitions,
                                     cllm_on_launch on_launch, void *user, cllm_error *err) {
    if (!on_gpu(session)) return error_set(err, CLLM_ERR_ARGUMENT, "no layer of this session is on a GPU");
    const float *logits;
    cllm_status status = forward_gpu_measure(session->offload.forward, repetitions, on_launch, user, err);
    if (status == CLLM_OK) status = cllm_session_eval(session, &token, 1, &logits, err);
    forward_gpu_measure(session->offload.forward, 0, NULL, NULL, NULL);
    if (status == CLLM_OK) session->position--;
    return status;
}
