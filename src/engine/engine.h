/* What the public objects hold: the files of this room share it, nobody else sees it. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/arena.h"
#include "cpu/forward_cpu.h"
#include "engine/prefix_cache.h"
#include "gpu/forward_gpu.h"
#include "model/config.h"
#include "model/weights.h"

struct cllm_model {
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer; /* NULL: the file has none that is supported */
    model_config config;
    model_weights weights;
    cllm_gguf **adapters;  /* [n_adapters] files */
    float *adapter_scales; /* [n_adapters] */
    size_t n_adapters;
    cllm_model_info info;
    void *repacked; /* the matrices in memory of their own, [repacked_bytes], or NULL: in the file */
    size_t repacked_bytes;
    arena arena;
};

/* An engine's options with the defaults filled in and every value checked. */
typedef struct engine_settings {
    uint32_t n_batch;
    uint32_t n_threads;
    cllm_kv_type kv_type;
    const cpu_kernels *kernels;
    bool exact;
    uint32_t n_ctx;        /* 0: as much of config.n_ctx_open as fits */
    uint32_t n_gpu_layers; /* the last, which take none of the host's memory but the weights */
    uint32_t n_sequences;
    uint32_t n_positions; /* of all sequences; 0: n_ctx */
    uint64_t cache_bytes;
} engine_settings;

/* May a smaller context be planned? With a number of positions keys and values would take no less memory. */
static inline bool context_is_open(const engine_settings *s) { return s->n_ctx == 0 && s->n_positions == 0; }

#define BYTES_PER_MIB (1024.0 * 1024.0)

/* Move the model's matrices out of the mapped file into interleaved form. Errors: ARGUMENT (the file was not mapped),
 * MEMORY, CANCELLED; the model can then only be destroyed. */
cllm_status model_repack(cllm_model *model, const cllm_load_options *options, cllm_error *err);

/* Why logits are not finite numbers, in a cllm_error: FORMAT if a weight is not finite, else UNSUPPORTED. beyond_f16: do keys and
 * values hold infinities of float16? */
cllm_status diagnose_logits(const cllm_model *model, bool beyond_f16, cllm_error *err);

/* Are these ids of the vocabulary? Errors: ARGUMENT. */
cllm_status check_tokens(const cllm_model *model, const int32_t *tokens, size_t count, cllm_error *err);

/* options may be NULL. Errors: ARGUMENT. */
cllm_status settings_resolve(const cllm_engine_options *options, engine_settings *settings, cllm_error *err);

/* The pages of an engine with a context of n_ctx positions. */
kv_size settings_kv_size(const model_config *config, const engine_settings *settings, uint32_t n_ctx);

/* Floats of a row of output, while it is made: logits, or an embedding. */
static inline size_t embedding_length(const model_config *c) {
    const size_t n = c->n_embd > c->n_embd_out ? c->n_embd : c->n_embd_out;
    return n > c->n_scores ? n : c->n_scores;
}
static inline size_t output_length(const model_config *c) {
    const size_t n = embedding_length(c);
    return c->traits && c->traits->bidirectional ? n : n > c->n_vocab ? n : c->n_vocab;
}

/* Rows of x: a text of an encoder goes through each layer as a whole. */
static inline uint32_t rows_of_x(const model_config *c, const kv_size *size) {
    return c->traits && c->traits->bidirectional ? size->n_ctx : size->n_batch;
}

/* Sizes of everything, and the context when it was left open. weights_in_memory: bytes of weights that are no longer part of
 * what is available, UINT64_MAX: all. Errors: MEMORY, with *plan filled. */
cllm_status plan_engine(const cllm_gguf *gguf, uint64_t weights_in_memory, const model_config *config,
                        const engine_settings *settings, cllm_memory_plan *plan, cllm_error *err);

/* The same for a model that is loaded. */
cllm_status plan_model_engine(const cllm_model *model, const engine_settings *settings, cllm_memory_plan *plan,
                              cllm_error *err);

/* The layers of an engine that run on a GPU. */
typedef struct offload {
    gpu gpu;
    forward_gpu *forward;                          /* NULL: the CPU does everything, */
    char note[sizeof(((cllm_error *)0)->message)]; /* although "auto" asked for a GPU, because of this; or "" */
} offload;

/* Find the GPU of the options, if they ask for one, decide how many layers it takes (settings->n_gpu_layers), plan the
 * engine and prepare those layers. Errors: DEVICE, unless "auto" may fall back to the CPU; those of plan_engine;
 * CANCELLED. */
cllm_status offload_start(const cllm_model *model, const cllm_engine_options *options, engine_settings *settings,
                          cllm_memory_plan *plan, offload *out, cllm_error *err);
void offload_stop(offload *o); /* leaves it empty; an empty one is allowed */

/* A state of the first `length` tokens (states.h). */
typedef struct held_state {
    bool held;
    uint32_t length;
} held_state;

/* A place for one of an engine's sequences; those in use have been handed out. */
struct cllm_sequence {
    cllm_engine *engine;
    bool in_use;
    kv_table table;
    int32_t *tokens; /* [n_ctx]; the first `length` are evaluated */
    uint32_t length;
    uint32_t reached; /* by the last evaluation, also one that failed */

    /* of a model with recurrent layers */
    held_state states[STATES_PER_SEQUENCE];
    uint32_t branch; /* where its text left another's that the prefix cache holds; 0: nowhere */
    uint32_t
        turn; /* near the end of the last prompt; else length before the last call of more than one token, or that replayed some */

    /* during a call of cllm_eval */
    const cllm_span *span; /* NULL: it has none */
    uint32_t first;        /* length before the call */
    uint32_t next;         /* position that is evaluated next: `length`, or before it where tokens are replayed */
    float *out;            /* where the next rows go */
};

/* Let go what a sequence holds from `length` on; its windows reach that. */
void sequence_cut(cllm_sequence *sequence, uint32_t length);

struct cllm_engine {
    const cllm_model *model;
    const cpu_kernels *kernels;
    cllm_memory_plan plan;
    uint32_t n_batch;
    uint32_t n_cpu_layers; /* the first; the offload has the others, and the output */
    cllm_pooling pooling;
    bool raw_embeddings;
    bool exact;
    cllm_kv_type kv_type;
    cllm_progress progress;
    void *user;
    uint64_t n_done, n_wanted; /* tokens of the call at work, for progress, */
    uint32_t n_rows;           /* and of its batch */
    size_t n_failed;           /* spans of it whose logits were not finite */
    size_t n_encoded;          /* spans of it that an encoder has taken, the first */
    uint64_t n_evaluated;      /* rows of all batches, those that were replayed among them */

    thread_pool *pool;
    kv_pages pages;
    prefix_cache cache;
    kv_store store;      /* of the CPU's layers */
    state_store states;  /* of recurrent layers, which the CPU has all */
    forward_cpu forward; /* where there are CPU layers */
    offload offload;
    cllm_sequence *sequences; /* [n_sequences] */
    uint32_t n_sequences;
    forward_span *spans; /* [n_sequences] of the batch at work, */
    cllm_span **span_of; /* [n_sequences] and the caller's */
    int32_t *tokens;     /* [n_batch] */
    float *x;      /* [n_batch][n_embd], where there are CPU layers; else of embeddings; an encoder's [n_ctx][n_embd] */
    float *output; /* [n_output] rows of logits and embeddings; of its own, since it may grow */
    size_t n_output;
    arena arena;
};

static inline bool is_encoder(const cllm_engine *e) { return e->model->config.traits->bidirectional; }
static inline bool on_gpu(const cllm_engine *e) { return e->offload.forward; }

#endif
