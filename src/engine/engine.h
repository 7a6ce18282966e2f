/* What the public objects hold: the files of this room share it, nobody else sees it. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/arena.h"
#include "cpu/kernels.h"
#include "model/config.h"
#include "model/weights.h"

struct cllm_model {
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer; /* NULL: the file has none that is supported */
    model_config config;
    model_weights weights;
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
    uint32_t n_ctx; /* 0: as much of the model's own as fits */
} session_settings;

#define LOGIT_ROWS 16 /* rows of logits computed at once when those of every token are wanted */

/* Move the model's matrices out of the mapped file into interleaved form. Errors: ARGUMENT (the file was not mapped),
 * MEMORY, CANCELLED; the model can then only be destroyed. */
cllm_status model_repack(cllm_model *model, const cllm_load_options *options, cllm_error *err);

/* options may be NULL. Errors: ARGUMENT. */
cllm_status settings_resolve(const cllm_session_options *options, session_settings *settings, cllm_error *err);

/* Sizes of everything, and the context when it was left open. weights_in_memory: bytes of weights that are no longer part of
 * what is available, UINT64_MAX: all. Errors: MEMORY, with *plan filled. */
cllm_status plan_session(const cllm_gguf *gguf, uint64_t weights_in_memory, const model_config *config,
                         const session_settings *settings, cllm_memory_plan *plan, cllm_error *err);

#endif
