/* cllm_engine: creates and frees everything that computes. It allocates all memory at once, so that evaluating
 * allocates nothing, unless a call wants more output than fits. Before it: the model, and memory_plan.c and offload.c,
 * which compute the sizes. After it: sequence.c has its sequences, and eval.c evaluates. */
#include "engine/engine.h"

#include "base/error.h"
#include "base/thread_pool.h"

#include <stdlib.h>

static cllm_status create_pages(cllm_engine *e, const kv_size *size, const engine_settings *settings, cllm_error *err) {
    const model_config *config = &e->model->config;
    cllm_status status = kv_pages_create(config, size, &e->arena, &e->pages, err);
    if (status == CLLM_OK) status = prefix_cache_create(size, &e->pages, &e->arena, &e->cache, err);
    if (status != CLLM_OK || e->n_cpu_layers == 0) return status;
    status = kv_store_create(config, settings->kv_type, e->n_cpu_layers, size, &e->arena, &e->store, err);
    if (status != CLLM_OK) return status;
    status = state_store_create(config, size, &e->arena, &e->states, err);
    if (status != CLLM_OK) return status;
    return forward_cpu_create(config, &e->model->weights, settings->kernels, e->pool, &e->store, &e->states,
                              size->n_ctx, size->n_batch, &e->arena, &e->forward, err);
}

static cllm_status create_sequences(cllm_engine *e, uint32_t n, cllm_error *err) {
    e->n_sequences = n;
    e->sequences = arena_alloc(&e->arena, n, sizeof *e->sequences);
    e->spans = arena_alloc(&e->arena, n, sizeof *e->spans);
    e->span_of = arena_alloc(&e->arena, n, sizeof *e->span_of);
    bool complete = e->sequences && e->spans && e->span_of;
    if (complete && kv_table_create(&e->pages, &e->arena, &e->adopted, err) != CLLM_OK) return CLLM_ERR_MEMORY;
    for (uint32_t i = 0; complete && i < n; i++) {
        cllm_status status = kv_table_create(&e->pages, &e->arena, &e->sequences[i].table, err);
        if (status != CLLM_OK) return status;
        e->sequences[i].engine = e;
        e->sequences[i].tokens = arena_alloc(&e->arena, e->plan.n_ctx, sizeof(int32_t));
        complete = e->sequences[i].tokens;
    }
    return complete ? CLLM_OK : error_set(err, CLLM_ERR_MEMORY, "no memory for %u sequences; use fewer", n);
}

static cllm_status create_batch(cllm_engine *e, const kv_size *size, cllm_error *err) {
    const model_config *config = &e->model->config;
    e->n_output = e->n_sequences * output_length(config);
    e->output = malloc(e->n_output * sizeof *e->output);
    e->x = arena_alloc(&e->arena, rows_of_x(config, size), config->n_embd * sizeof *e->x);
    e->tokens = arena_alloc(&e->arena, e->n_batch, sizeof *e->tokens);
    if (e->output && e->x && e->tokens) return CLLM_OK;
    return error_set(err, CLLM_ERR_MEMORY, "no memory for a batch of %u tokens; use a smaller one", e->n_batch);
}

static cllm_status create(cllm_engine *e, const cllm_engine_options *options, cllm_error *err) {
    const model_config *config = &e->model->config;
    engine_settings settings;
    cllm_status status = settings_resolve(options, &settings, err);
    if (status != CLLM_OK) return status;
    if (e->model->weights.position_embd.data && settings.n_ctx > config->n_ctx_train)
        return error_set(err, CLLM_ERR_ARGUMENT,
                         "a context of %u is more than the %u positions for which the model has embeddings",
                         settings.n_ctx, config->n_ctx_train);
    e->pooling = options && options->pooling != CLLM_POOLING_MODEL ? options->pooling : config->pooling;
    if (e->pooling == CLLM_POOLING_RANK && e->model->info.n_scores == 0)
        return error_set(err, CLLM_ERR_ARGUMENT, "the model cannot rank: it has no classifier (cls.output.weight)");
    if (options) {
        e->raw_embeddings = options->raw_embeddings;
        cllm_engine_set_progress(e, options->progress, options->user);
    }
    e->kernels = settings.kernels;
    e->exact = settings.exact;
    e->kv_type = settings.kv_type;
    status = offload_start(e->model, options, &settings, &e->plan, &e->offload, err);
    const kv_size size = settings_kv_size(config, &settings, e->plan.n_ctx);
    e->n_batch = size.n_batch;
    e->n_cpu_layers = config->n_layers - settings.n_gpu_layers;
    if (status == CLLM_OK) status = thread_pool_create(e->n_cpu_layers > 0 ? settings.n_threads : 1, &e->pool, err);
    if (status == CLLM_OK) status = create_pages(e, &size, &settings, err);
    if (status == CLLM_OK) status = create_sequences(e, settings.n_sequences, err);
    if (status == CLLM_OK) status = create_batch(e, &size, err);
    return status;
}

cllm_status cllm_engine_create(const cllm_model *model, const cllm_engine_options *options, cllm_engine **out,
                               cllm_error *err) {
    *out = NULL;
    cllm_engine *e = calloc(1, sizeof *e);
    if (!e) return error_set(err, CLLM_ERR_MEMORY, "no memory for the engine");
    e->model = model;
    cllm_status status = create(e, options, err);
    if (status == CLLM_OK)
        *out = e;
    else
        cllm_engine_destroy(e);
    return status;
}

void cllm_engine_destroy(cllm_engine *engine) {
    if (!engine) return;
    offload_stop(&engine->offload);
    thread_pool_destroy(engine->pool);
    free(engine->output);
    arena_free(&engine->arena);
    free(engine);
}

const cllm_memory_plan *cllm_engine_plan(const cllm_engine *engine) { return &engine->plan; }
cllm_pooling cllm_engine_pooling(const cllm_engine *engine) { return engine->pooling; }
uint32_t cllm_engine_n_embd_out(const cllm_engine *engine) {
    const cllm_model_info *info = &engine->model->info;
    return engine->pooling == CLLM_POOLING_RANK ? info->n_scores : info->n_embd_out;
}
uint32_t cllm_engine_n_threads(const cllm_engine *engine) { return thread_pool_size(engine->pool); }
const char *cllm_engine_cpu_isa(const cllm_engine *engine) { return engine->kernels->name; }

const char *cllm_engine_device(const cllm_engine *engine) {
    return on_gpu(engine) ? engine->offload.gpu.driver->name : "cpu";
}
const char *cllm_engine_device_name(const cllm_engine *engine) { return engine->offload.gpu.properties.name; }
const char *cllm_engine_device_note(const cllm_engine *engine) { return engine->offload.note; }

void cllm_engine_set_progress(cllm_engine *engine, cllm_progress progress, void *user) {
    engine->progress = progress;
    engine->user = user;
}

cllm_stats cllm_engine_stats(const cllm_engine *engine) {
    const kv_pages *pages = &engine->pages;
    cllm_stats stats = {.tokens_evaluated = engine->n_evaluated,
                        .cache_hits = engine->cache.n_hits,
                        .tokens_reused = engine->cache.n_reused,
                        .evictions = engine->cache.n_evicted,
                        .pages_held =
                            pages->pools[KV_FULL].n_pages - pages->pools[KV_FULL].n_free - pages->pools[KV_FULL].n_idle,
                        .pages_cached = pages->pools[KV_FULL].n_idle};
    if (on_gpu(engine)) {
        const gpu_counters counters = forward_gpu_counters(engine->offload.forward);
        stats.gpu_launches = counters.launches;
        stats.gpu_bytes = counters.bytes;
    }
    return stats;
}
