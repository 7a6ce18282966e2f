/* Plans the memory of an engine before any of it is allocated: checks the options, computes the sizes, and finds the
 * largest context that fits. The plan and the allocation compute sizes with the same functions. Before it:
 * cllm_engine_options. After it: engine.c, which allocates. */
#include "engine/engine.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/system.h"
#include "cpu/forward_cpu.h"
#include "gguf/gguf.h"

#include <inttypes.h>

#define MAX_THREADS   1024u
#define MAX_BATCH     65536u
#define MAX_SEQUENCES 4096u
#define DEFAULT_BATCH 512u
#define CONTEXT_STEP  64u /* a context that this file makes smaller is a multiple of this */

static uint32_t default_threads(void) {
    uint32_t cores = system_cores();
    return cores < MAX_THREADS ? cores : MAX_THREADS;
}

cllm_status settings_resolve(const cllm_engine_options *options, engine_settings *settings, cllm_error *err) {
    static const cllm_engine_options defaults = {0};
    const cllm_engine_options *o = options ? options : &defaults;
    *settings = (engine_settings){
        .n_batch = o->n_batch ? o->n_batch : DEFAULT_BATCH,
        .n_threads = o->n_threads ? o->n_threads : default_threads(),
        .kv_type = o->kv_type,
        .kernels = kernels_select(o->cpu_isa),
        .n_ctx = o->n_ctx,
        .exact = o->exact,
        .n_sequences = o->n_sequences ? o->n_sequences : 1,
        .n_positions = o->n_positions,
        .cache_bytes = o->cache_bytes,
    };
    if (settings->n_batch > MAX_BATCH)
        return error_set(err, CLLM_ERR_ARGUMENT, "a batch of %u is not between 1 and %u", o->n_batch, MAX_BATCH);
    if (settings->n_threads > MAX_THREADS)
        return error_set(err, CLLM_ERR_ARGUMENT, "%u threads are not between 1 and %u", o->n_threads, MAX_THREADS);
    if (o->kv_type != CLLM_KV_F16 && o->kv_type != CLLM_KV_F32 && o->kv_type != CLLM_KV_Q8_0)
        return error_set(err, CLLM_ERR_ARGUMENT, "keys and values have the unknown type %d", (int)o->kv_type);
    if (!settings->kernels)
        return error_set(err, CLLM_ERR_ARGUMENT, "CPU instruction set '%s' is not one of: %s", o->cpu_isa,
                         kernels_names());
    if (o->device && !gpu_is_device(o->device))
        return error_set(err, CLLM_ERR_ARGUMENT, "device '%s' is not one of: %s", o->device, cllm_device_names());
    if (o->n_ctx > INT32_MAX)
        return error_set(err, CLLM_ERR_ARGUMENT, "a context of %u is not between 1 and %d", o->n_ctx, INT32_MAX);
    if (o->n_positions > INT32_MAX)
        return error_set(err, CLLM_ERR_ARGUMENT, "%u positions are not between 1 and %d", o->n_positions, INT32_MAX);
    if (settings->n_sequences > MAX_SEQUENCES)
        return error_set(err, CLLM_ERR_ARGUMENT, "%u sequences are not between 1 and %u", o->n_sequences,
                         MAX_SEQUENCES);
    if (o->pooling < CLLM_POOLING_MODEL || o->pooling > CLLM_POOLING_RANK)
        return error_set(err, CLLM_ERR_ARGUMENT, "the pooling %d is unknown", (int)o->pooling);
    return CLLM_OK;
}

/* Compute how many pages and states fit into the prefix cache's budget. A page counts with its windowed part. A model
 * with recurrent layers cannot use pages without a state. So the budget is divided into shares: a state, and as many
 * pages as take no more bytes than it (1 at least, and at most those of a context). */
static void plan_cache(const model_config *config, const engine_settings *s, kv_size *size) {
    const uint64_t of_state = state_slot_bytes(config);
    uint64_t of_page = 0, bytes;
    for (uint32_t pool = 0; pool < KV_POOLS; pool++)
        if (!checked_add(of_page, kv_store_page_bytes(config, s->kv_type, config->n_layers, pool), &of_page)) return;
    if (of_page == 0) of_page = KV_CHUNK * sizeof(int32_t); /* no layer has keys: a page is only its tokens */
    uint64_t n = of_state / of_page;                        /* pages of a share */
    if (n > kv_chunks(size->n_ctx)) n = kv_chunks(size->n_ctx);
    if (n == 0) n = 1;
    if (!checked_mul(n, of_page, &bytes) || !checked_add(bytes, of_state, &bytes)) return;
    const uint64_t most = INT32_MAX / n, n_shares = s->cache_bytes / bytes < most ? s->cache_bytes / bytes : most;
    size->n_cached = (uint32_t)(n_shares * n);
    size->n_states = of_state > 0 ? (uint32_t)n_shares : 0;
}

/* An encoder needs pages only during a call: for the longest text, or for all texts of a batch. The last page of each
 * may be almost empty. */
static uint32_t encoder_positions(const engine_settings *s, uint32_t n_ctx, uint32_t n_batch) {
    enum { SHORT_TEXT = 8 };
    const uint32_t n_texts = n_batch / SHORT_TEXT < s->n_sequences ? n_batch / SHORT_TEXT : s->n_sequences;
    const uint64_t n = (uint64_t)(n_ctx > n_batch ? n_ctx : n_batch) + (uint64_t)n_texts * KV_CHUNK;
    return n < INT32_MAX ? (uint32_t)n : INT32_MAX;
}

kv_size settings_kv_size(const model_config *config, const engine_settings *s, uint32_t n_ctx) {
    const uint64_t most = (uint64_t)n_ctx * s->n_sequences; /* rows that all texts together can have */
    kv_size size = {.n_ctx = n_ctx,
                    .n_batch = s->n_batch < most ? s->n_batch : (uint32_t)most,
                    .n_sequences = s->n_sequences,
                    .n_positions = s->n_positions ? s->n_positions : n_ctx};
    if (config->traits && config->traits->bidirectional)
        size.n_positions = encoder_positions(s, n_ctx, size.n_batch);
    else
        plan_cache(config, s, &size);
    return size;
}

static void add(uint64_t *sum, uint64_t count, uint64_t size) {
    uint64_t bytes;
    if (!checked_mul(count, size, &bytes) || !checked_add(*sum, bytes, sum)) *sum = UINT64_MAX;
}

/* Fill the plan for this n_ctx. Returns the sum of kv_cache, states and scratch, or UINT64_MAX if it wraps. */
static uint64_t plan_context(const model_config *config, const engine_settings *s, uint32_t n_ctx,
                             cllm_memory_plan *plan) {
    const uint32_t n_layers = config->n_layers - s->n_gpu_layers;
    const kv_size size = settings_kv_size(config, s, n_ctx);
    plan->n_ctx = n_ctx;
    plan->kv_cache = kv_store_bytes(config, s->kv_type, n_layers, &size);
    plan->states = state_store_bytes(config, &size);
    plan->scratch = n_layers > 0 ? forward_cpu_scratch_bytes(config, s->kernels, n_ctx, size.n_batch, s->n_threads) : 0;
    add(&plan->scratch, 1, s->n_gpu_layers > 0 ? forward_gpu_host_bytes(config, &size) : 0);
    add(&plan->scratch, 1, kv_pages_bytes(config, &size));
    add(&plan->scratch, 1, prefix_cache_bytes(config, &size));
    add(&plan->scratch, rows_of_x(config, &size), config->n_embd * sizeof(float));
    add(&plan->scratch, size.n_batch, sizeof(int32_t)); /* tokens */
    add(&plan->scratch, s->n_sequences, sizeof(cllm_sequence) + sizeof(forward_span) + sizeof(cllm_span *));
    add(&plan->scratch, s->n_sequences, n_ctx * sizeof(int32_t));
    add(&plan->scratch, s->n_sequences, output_length(config) * sizeof(float));
    uint64_t sum;
    return checked_add(plan->kv_cache, plan->scratch, &sum) && checked_add(sum, plan->states, &sum) ? sum : UINT64_MAX;
}

/* The largest context up to `most` that fits into `budget`, or 0. */
static uint32_t largest_context(const model_config *config, const engine_settings *s, uint32_t most, uint64_t budget,
                                cllm_memory_plan *plan) {
    uint32_t low = 0, high = most / CONTEXT_STEP; /* in steps; `low` fits */
    while (low < high) {
        uint32_t middle = high - (high - low) / 2;
        if (plan_context(config, s, middle * CONTEXT_STEP, plan) <= budget)
            low = middle;
        else
            high = middle - 1;
    }
    return low * CONTEXT_STEP;
}

cllm_status plan_engine(const cllm_gguf *gguf, uint64_t weights_in_memory, const model_config *config,
                        const engine_settings *settings, cllm_memory_plan *plan, cllm_error *err) {
    *plan = (cllm_memory_plan){.weights = config->lora.n_bytes, .available = system_available_memory()};
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(gguf, i);
        if (!is_unused_tensor(config, tensor)) plan->weights += tensor->n_bytes;
    }
    const uint64_t available = plan->available ? plan->available : UINT64_MAX;

    uint32_t wanted = settings->n_ctx ? settings->n_ctx : config->n_ctx_open;
    if (!settings->n_ctx && settings->n_positions && settings->n_positions < wanted) wanted = settings->n_positions;
    uint64_t sum = plan_context(config, settings, wanted, plan);
    if (context_is_open(settings)) {
        /* Leave room for the mapped file. If not even the file fits, use a quarter of the memory: the system drops
         * parts of the file and reads them again as needed. */
        const uint64_t mapped = plan->weights > weights_in_memory ? plan->weights - weights_in_memory : 0;
        uint64_t budget = available > mapped ? available - mapped : available / 4;
        budget -= budget / 8; /* for memory that is not planned: the rest of the process, and other programs */
        if (sum > budget && wanted > CONTEXT_STEP) {
            uint32_t fitting = largest_context(config, settings, wanted, budget, plan);
            sum = plan_context(config, settings, fitting ? fitting : CONTEXT_STEP, plan);
            plan->n_ctx_capped = true;
        }
    }
    if (sum <= available && sum != UINT64_MAX) return CLLM_OK;
    return error_set(
        err, CLLM_ERR_MEMORY,
        "a context of %" PRIu32 " needs %.0f MiB of keys and values%s and %.0f MiB of scratch beside %.0f MiB "
        "of weights; %.0f MiB are available: use a smaller context%s%s or batch",
        plan->n_ctx, (double)(plan->kv_cache + plan->states) / BYTES_PER_MIB, plan->states ? " and states" : "",
        (double)plan->scratch / BYTES_PER_MIB, (double)plan->weights / BYTES_PER_MIB,
        (double)plan->available / BYTES_PER_MIB, settings->n_positions ? ", fewer positions" : "",
        settings->cache_bytes ? ", a smaller prefix cache" : "");
}

cllm_status plan_model_engine(const cllm_model *model, const engine_settings *settings, cllm_memory_plan *plan,
                              cllm_error *err) {
    const uint64_t weights_in_memory = gguf_is_mapped(model->gguf) ? model->repacked_bytes : UINT64_MAX;
    return plan_engine(model->gguf, weights_in_memory, &model->config, settings, plan, err);
}

cllm_status cllm_plan_memory(const cllm_gguf *gguf, const cllm_engine_options *options, cllm_memory_plan *plan,
                             cllm_error *err) {
    *plan = (cllm_memory_plan){0};
    engine_settings settings;
    model_config config;
    arena layers = {0};
    cllm_status status = settings_resolve(options, &settings, err);
    /* an estimate needs only sizes, so it works for a model that could not be loaded too */
    if (status == CLLM_OK && config_read(gguf, &layers, &config, NULL) != CLLM_OK)
        status = config_read_sizes(gguf, &layers, &config, err);
    if (status == CLLM_OK)
        status = plan_engine(gguf, gguf_is_mapped(gguf) ? 0 : UINT64_MAX, &config, &settings, plan, err);
    arena_free(&layers);
    return status;
}
