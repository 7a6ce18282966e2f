/* The inside of the public objects cllm_model, cllm_engine and cllm_sequence. Only files of this folder, and tests,
 * include it. */
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
    cllm_tokenizer *tokenizer; /* NULL: the file has none, or an unsupported one */
    model_config config;
    model_weights weights;
    cllm_gguf **adapters;  /* [n_adapters] files */
    float *adapter_scales; /* [n_adapters] */
    size_t n_adapters;
    cllm_model_info info;
    void *repacked; /* [repacked_bytes] the matrices, copied into memory; NULL: they are in the file */
    size_t repacked_bytes;
    arena arena;
};

/* An engine's options, with defaults filled in and all values checked. */
typedef struct engine_settings {
    uint32_t n_batch;
    uint32_t n_threads;
    cllm_kv_type kv_type;
    const cpu_kernels *kernels;
    bool exact;
    uint32_t n_ctx;        /* 0: as much of config.n_ctx_open as fits; if n_positions is set, the smaller of the two */
    uint32_t n_gpu_layers; /* the last layers; on the host they take only the memory of their weights */
    uint32_t n_sequences;
    uint32_t n_positions; /* of all sequences together; 0: n_ctx */
    uint64_t cache_bytes;
} engine_settings;

/* True if the caller left the context open, so that a smaller one may be planned. With a given number of positions a
 * smaller context would save no memory for keys and values. */
static inline bool context_is_open(const engine_settings *s) { return s->n_ctx == 0 && s->n_positions == 0; }

#define BYTES_PER_MIB (1024.0 * 1024.0)

/* Copy the model's matrices from the mapped file into interleaved form. Errors: ARGUMENT (the file is not mapped),
 * MEMORY, CANCELLED; after an error the model can only be destroyed. */
cllm_status model_repack(cllm_model *model, const cllm_load_options *options, cllm_error *err);

/* Fill a cllm_error with the reason why logits are not finite: FORMAT if a weight is not finite, else UNSUPPORTED.
 * beyond_f16: keys and values contain infinities of float16. */
cllm_status diagnose_logits(const cllm_model *model, bool beyond_f16, cllm_error *err);

/* Check that the ids are in the vocabulary. Errors: ARGUMENT. */
cllm_status check_tokens(const cllm_model *model, const int32_t *tokens, size_t count, cllm_error *err);

/* Check the options, and fill in the defaults. options: may be NULL. Errors: ARGUMENT. */
cllm_status settings_resolve(const cllm_engine_options *options, engine_settings *settings, cllm_error *err);

/* The sizes of the pages, the prefix cache and the states for a context of n_ctx positions. */
kv_size settings_kv_size(const model_config *config, const engine_settings *settings, uint32_t n_ctx);

/* The most floats that a row of output takes while it is computed. embedding_length is for embeddings and scores,
 * output_length for rows of any kind. */
static inline size_t embedding_length(const model_config *c) {
    const size_t n = c->n_embd > c->n_embd_out ? c->n_embd : c->n_embd_out;
    return n > c->n_scores ? n : c->n_scores;
}
static inline size_t output_length(const model_config *c) {
    const size_t n = embedding_length(c);
    return c->traits && c->traits->bidirectional ? n : n > c->n_vocab ? n : c->n_vocab;
}

/* Rows of x. An encoder's text goes through each layer as a whole, even if it is longer than a batch. */
static inline uint32_t rows_of_x(const model_config *c, const kv_size *size) {
    const bool is_encoder = c->traits && c->traits->bidirectional;
    return is_encoder && size->n_ctx > size->n_batch ? size->n_ctx : size->n_batch;
}

/* Compute the sizes of everything, and the context if it was left open. weights_in_memory: bytes of weights that are in
 * memory already, so that no available memory is needed for them; UINT64_MAX: all. Errors: MEMORY, with *plan
 * filled. */
cllm_status plan_engine(const cllm_gguf *gguf, uint64_t weights_in_memory, const model_config *config,
                        const engine_settings *settings, cllm_memory_plan *plan, cllm_error *err);

/* The same for a model that is loaded. */
cllm_status plan_model_engine(const cllm_model *model, const engine_settings *settings, cllm_memory_plan *plan,
                              cllm_error *err);

/* The layers of an engine on a GPU. */
typedef struct offload {
    gpu gpu;
    forward_gpu *forward;                          /* NULL: the CPU does everything */
    char note[sizeof(((cllm_error *)0)->message)]; /* why "auto" uses no GPU; else "" */
} offload;

/* Find the GPU that the options ask for, if any, decide how many layers it gets (settings->n_gpu_layers), plan the
 * engine and prepare those layers. Errors: DEVICE, unless "auto" may fall back to the CPU; those of plan_engine;
 * CANCELLED. */
cllm_status offload_start(const cllm_model *model, const cllm_engine_options *options, engine_settings *settings,
                          cllm_memory_plan *plan, offload *out, cllm_error *err);
void offload_stop(offload *o); /* leaves it empty; it may be empty already */

/* A slot for the state of the first `length` tokens (states.h). */
typedef struct sequence_state {
    bool held;
    uint32_t length;
} sequence_state;

/* A slot for one of an engine's sequences. in_use: cllm_sequence_create gave it to a caller. */
struct cllm_sequence {
    cllm_engine *engine;
    bool in_use;
    kv_table table;
    int32_t *tokens; /* [n_ctx]; the first `length` are evaluated */
    uint32_t length;
    uint32_t reached; /* end of the positions that the last evaluation wrote, even if it failed */

    /* for a model with recurrent layers */
    sequence_state states[STATES_PER_SEQUENCE];
    uint32_t branch; /* where its text diverged from an older text in the prefix cache; 0: nowhere */
    /* The length of a state that must stay while tokens come one by one. A call with several tokens, or with replayed
     * ones, sets it to the greater of two lengths: the sequence's before the call and, if the call evaluates the end of
     * a prompt, the one a little before that end. */
    uint32_t turn;

    /* during a call of cllm_eval */
    const cllm_span *span; /* NULL: it has no span in this call */
    uint32_t first;        /* length before the call */
    uint32_t next;         /* next position to evaluate: `length`, or before it if tokens are replayed */
    float *out;            /* where the next rows go */
};

/* Release what a sequence holds from position `length` on. The caller has checked that its windows still hold what
 * position `length` sees. */
void sequence_cut(cllm_sequence *sequence, uint32_t length);

struct cllm_engine {
    const cllm_model *model;
    const cpu_kernels *kernels;
    cllm_memory_plan plan;
    uint32_t n_batch;
    uint32_t n_cpu_layers; /* the first layers; the others and the output are on the GPU (`offload`) */
    cllm_pooling pooling;
    bool raw_embeddings;
    bool exact;
    cllm_kv_type kv_type;
    cllm_progress progress;
    void *user;
    uint64_t n_done, n_wanted; /* tokens of the current call, for progress, */
    uint32_t n_rows;           /* and rows of the current batch */
    size_t n_failed;           /* spans of the call whose logits were not finite */
    size_t n_encoded;          /* an encoder has finished this many of the call's first spans */
    uint64_t n_evaluated;      /* rows of all batches, including replayed ones */

    thread_pool *pool;
    kv_pages pages;
    prefix_cache cache;
    kv_table adopted;    /* for cllm_sequence_reuse: holds the pages it found while the sequence releases its own */
    kv_store store;      /* of the CPU's layers */
    state_store states;  /* of recurrent layers, which are all on the CPU */
    forward_cpu forward; /* if there are CPU layers */
    offload offload;
    cllm_sequence *sequences; /* [n_sequences] */
    uint32_t n_sequences;
    forward_span *spans; /* [n_sequences] of the current batch, */
    cllm_span **span_of; /* [n_sequences] and the caller's */
    int32_t *tokens;     /* [n_batch] */
    float *x;            /* [rows_of_x][n_embd] rows between layers, and embeddings */
    float *output;       /* [n_output] rows of logits and embeddings; allocated separately, because it may grow */
    size_t n_output;
    arena arena;
};

static inline bool is_encoder(const cllm_engine *e) { return e->model->config.traits->bidirectional; }
static inline bool on_gpu(const cllm_engine *e) { return e->offload.forward; }

#endif
