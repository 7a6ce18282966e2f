/* Decides which layers run on a GPU: finds a device, and how many layers fit into its memory, or reports why none can
 * run there. Before it: memory_plan.c, which checks the options. After it: gpu/forward_gpu.h, which runs the layers. */
#include "engine/engine.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

#define LOGIT_ROWS         16    /* rows of logits computed at once */
#define LEAST_OPEN_CONTEXT 4096u /* an open context is first reduced to this; only then fewer layers are tried */

/* Bytes that may be used for buffers. The rest is for the driver and other programs. */
static uint64_t budget(const gpu *g) { return g->properties.free_memory - g->properties.free_memory / 32; }

static bool fits(const gpu *g, const gpu_needs *needs) {
    const uint64_t largest = g->properties.largest_buffer;
    if (needs->weights == UINT64_MAX || needs->kv_cache == UINT64_MAX || needs->scratch == UINT64_MAX) return false;
    if (largest && needs->largest > largest) return false;
    return !g->properties.free_memory || needs->weights + needs->kv_cache + needs->scratch <= budget(g);
}

static gpu_settings gpu_settings_of(const model_config *config, const engine_settings *s,
                                    const cllm_memory_plan *plan) {
    return (gpu_settings){.n_layers = s->n_gpu_layers,
                          .size = settings_kv_size(config, s, plan->n_ctx),
                          .n_logits = LOGIT_ROWS,
                          .kv_type = s->kv_type,
                          .exact = s->exact};
}

/* Plan the engine for s->n_gpu_layers, and compute what they need on the GPU. */
static cllm_status plan_layers(const cllm_model *model, const engine_settings *s, const gpu *g, cllm_memory_plan *plan,
                               gpu_needs *needs, cllm_error *err) {
    cllm_status status = plan_model_engine(model, s, plan, err);
    const gpu_settings settings = gpu_settings_of(&model->config, s, plan);
    *needs = forward_gpu_needs(&model->config, &model->weights, &settings);
    plan->n_gpu_layers = s->n_gpu_layers;
    plan->gpu_weights = needs->weights;
    plan->gpu_kv_cache = needs->kv_cache;
    plan->gpu_scratch = needs->scratch;
    plan->gpu_available = g->properties.free_memory;
    return status;
}

static cllm_status refuse(const gpu *g, const gpu_needs *needs, uint32_t asked, uint32_t fitting, cllm_error *err) {
    const double all = (double)needs->weights + (double)needs->kv_cache + (double)needs->scratch;
    const bool fits_but_for_a_buffer =
        g->properties.largest_buffer && (!g->properties.free_memory || all <= (double)budget(g));
    const char *name = g->properties.name;
    char fit[40] = "not even one layer fits";
    if (fitting > 0) snprintf(fit, sizeof fit, "at most %u layer%s", fitting, fitting == 1 ? " fits" : "s fit");
    const char *need = asked == 1 ? "layer needs" : "layers need";
    if (fits_but_for_a_buffer)
        return error_set(err, CLLM_ERR_DEVICE,
                         "%u %s a buffer of %.0f MiB on %s, and the GPU allows at most %.0f MiB; %s", asked, need,
                         (double)needs->largest / BYTES_PER_MIB, name,
                         (double)g->properties.largest_buffer / BYTES_PER_MIB, fit);
    return error_set(err, CLLM_ERR_DEVICE,
                     "%u %s %.0f MiB on %s (%.0f MiB of weights, %.0f MiB of keys and values, %.0f MiB of scratch); "
                     "the GPU has %.0f MiB; %s; a smaller context takes less",
                     asked, need, all / BYTES_PER_MIB, name, (double)needs->weights / BYTES_PER_MIB,
                     (double)needs->kv_cache / BYTES_PER_MIB, (double)needs->scratch / BYTES_PER_MIB,
                     (double)budget(g) / BYTES_PER_MIB, fit);
}

/* Find how many layers fit, up to `most`. An open context is made smaller before layers are left out. may_be_fewer: if
 * false, it is an error if not all of them fit. */
static cllm_status choose_layers(const cllm_model *model, engine_settings *s, const gpu *g, uint32_t most,
                                 bool may_be_fewer, cllm_memory_plan *plan, cllm_error *err) {
    const bool open_context = context_is_open(s);
    gpu_needs needs, needs_of_most;
    s->n_gpu_layers = most;
    cllm_status status = plan_layers(model, s, g, plan, &needs_of_most, err);
    if (status != CLLM_OK || fits(g, &needs_of_most)) return status;
    while (open_context && plan->n_ctx > LEAST_OPEN_CONTEXT) {
        s->n_ctx = plan->n_ctx / 2 > LEAST_OPEN_CONTEXT ? plan->n_ctx / 2 : LEAST_OPEN_CONTEXT;
        status = plan_layers(model, s, g, plan, &needs, err);
        plan->n_ctx_capped = true;
        if (status != CLLM_OK || fits(g, &needs)) return status;
    }
    while (--s->n_gpu_layers > 0) /* the other layers must fit on the host */
        if (plan_layers(model, s, g, plan, &needs, NULL) == CLLM_OK && fits(g, &needs)) break;
    plan->n_ctx_capped = open_context && s->n_ctx != 0;
    if (may_be_fewer && s->n_gpu_layers > 0) return CLLM_OK;
    return refuse(g, &needs_of_most, most, s->n_gpu_layers, err);
}

static cllm_status check_model(const cllm_model *model, const engine_settings *s, cllm_error *err) {
    const char *lacks = forward_gpu_lacks(&model->config, &model->weights);
    if (lacks)
        return error_set(err, CLLM_ERR_DEVICE, "the model has %s, which the GPU's kernels do not support", lacks);
    if (model->repacked)
        return error_set(err, CLLM_ERR_DEVICE,
                         "the weights were repacked for the CPU; a GPU needs them in the file's order");
    if (s->kv_type == CLLM_KV_Q8_0)
        return error_set(err, CLLM_ERR_DEVICE, "keys and values of type q8_0 are for the CPU; a GPU takes f16 and f32");
    return CLLM_OK;
}

static bool is_auto(const cllm_engine_options *options) { return strcmp(options->device, "auto") == 0; }

static cllm_status try_gpu(const cllm_model *model, const cllm_engine_options *options, engine_settings *s,
                           cllm_memory_plan *plan, offload *out, cllm_error *err) {
    cllm_status status = check_model(model, s, err);
    if (status == CLLM_OK) status = gpu_open(options->device, options->device_index, &out->gpu, err);
    if (s->n_batch > GPU_MOST_BATCH) s->n_batch = GPU_MOST_BATCH;
    const uint32_t n_layers = model->config.n_layers, asked = options->gpu_layers;
    if (status == CLLM_OK)
        status = choose_layers(model, s, &out->gpu, asked && asked < n_layers ? asked : n_layers,
                               !asked || is_auto(options), plan, err);
    if (status != CLLM_OK) return status;
    const gpu_settings settings = gpu_settings_of(&model->config, s, plan);
    return forward_gpu_create(&out->gpu, &model->config, &model->weights, &settings, options->progress, options->user,
                              &out->forward, err);
}

cllm_status offload_start(const cllm_model *model, const cllm_engine_options *options, engine_settings *settings,
                          cllm_memory_plan *plan, offload *out, cllm_error *err) {
    *out = (offload){.gpu = {0}};
    const engine_settings asked = *settings;
    if (options && options->device && strcmp(options->device, "cpu") != 0) {
        cllm_error reason;
        cllm_status status = try_gpu(model, options, settings, plan, out, &reason);
        if (status != CLLM_ERR_DEVICE || !is_auto(options)) {
            if (status != CLLM_OK && err) *err = reason;
            return status;
        }
        offload_stop(out);
        snprintf(out->note, sizeof out->note, "%s", reason.message);
    }
    *settings = asked;
    return plan_model_engine(model, settings, plan, err);
}

void offload_stop(offload *o) {
    forward_gpu_destroy(o->forward);
    gpu_close(&o->gpu);
    *o = (offload){.gpu = {0}};
}
