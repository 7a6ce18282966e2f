/* What the public objects hold: the files of this room share it, nobody else sees it. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/arena.h"
#include "cpu/kernels.h"
#include "gpu/forward_gpu.h"
#include "model/config.h"
#include "model/weights.h"

struct cllm_model {
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer; /* NULL: the file has none that is supported */
    model_config config;
    model_weights weights;
    cllm_gguf **adapters; /* [n_adapters] files */
    size_t n_adapters;
    cllm_model_info info;
    void *repacked; /* the matrices in memory of their own, [repacked_bytes], or NULL: in the file */
    size_t repacked_bytes;
    arena arena;
};

/* A session's options with the defaults filled in and every value checked. */
typedef struct session_settings {
    uint32_t n_batch;
    uint32_t n_threads;
    cllm_kv_type kv_type;
    const cpu_kernels *kernels;
    bool exact;
    uint32_t n_ctx;        /* 0: as much of config.n_ctx_open as fits */
    uint32_t n_gpu_layers; /* the last, which take none of the host's memory but the weights */
} session_settings;

#define BYTES_PER_MIB (1024.0 * 1024.0)

#define LOGIT_ROWS 16 /* rows of logits computed at once when those of every token are wanted */

/* Move the model's matrices out of the mapped file into interleaved form. Errors: ARGUMENT (the file was not mapped),
 * MEMORY, CANCELLED; the model can then only be destroyed. */
cllm_status model_repack(cllm_model *model, const cllm_load_options *options, cllm_error *err);

/* The most likely token, the lowest id of equals. logits: [n_vocab]. Errors: FORMAT if a logit is not finite. */
cllm_status likeliest_token(const float *logits, uint32_t n_vocab, int32_t *token, cllm_error *err);

/* Put a sampler's generator into this state, which is not 0, instead of the one that its seed stands for: to draw what
 * another program with the same generator drew. */
void sampler_set_state(cllm_sampler *sampler, uint64_t state);

/* Why logits are not finite numbers, in a cllm_error: FORMAT if a weight is not finite, else UNSUPPORTED. beyond_f16: do keys and
 * values hold infinities of float16? */
cllm_status diagnose_logits(const cllm_model *model, bool beyond_f16, cllm_error *err);

/* options may be NULL. Errors: ARGUMENT. */
cllm_status settings_resolve(const cllm_session_options *options, session_settings *settings, cllm_error *err);

/* The pages of a session, which is one sequence. */
static inline kv_size session_kv_size(uint32_t n_ctx, uint32_t n_batch) {
    return (kv_size){
        .n_ctx = n_ctx, .n_batch = n_batch < n_ctx ? n_batch : n_ctx, .n_sequences = 1, .n_positions = n_ctx};
}

/* Sizes of everything, and the context when it was left open. weights_in_memory: bytes of weights that are no longer part of
 * what is available, UINT64_MAX: all. Errors: MEMORY, with *plan filled. */
cllm_status plan_session(const cllm_gguf *gguf, uint64_t weights_in_memory, const model_config *config,
                         const session_settings *settings, cllm_memory_plan *plan, cllm_error *err);

/* The same for a model that is loaded. */
cllm_status plan_model_session(const cllm_model *model, const session_settings *settings, cllm_memory_plan *plan,
                               cllm_error *err);

/* The layers of a session that run on a GPU. */
typedef struct offload {
    gpu gpu;
    forward_gpu *forward;                          /* NULL: the CPU does everything, */
    char note[sizeof(((cllm_error *)0)->message)]; /* although a GPU was asked for, because of this; or "" */
} offload;

/* Find the GPU of the options, if they ask for one, decide how many layers it takes (settings->n_gpu_layers), plan the
 * session and prepare those layers. Errors: DEVICE, unless "auto" may fall back to the CPU; those of plan_session;
 * CANCELLED. */
cllm_status offload_start(const cllm_model *model, const cllm_session_options *options, session_settings *settings,
                          cllm_memory_plan *plan, offload *out, cllm_error *err);
void offload_stop(offload *o); /* leaves it empty; an empty one is allowed */

#endif
