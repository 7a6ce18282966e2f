/* The forward pass on the CPU: a batch of rows, each a token at a position of a sequence, goes through the
 * transformer's layers to logits. Before it: cllm_eval, which makes batches. After it: the sampler.
 * docs/04-transformer.md has the maths, step by step. */
#ifndef CPU_FORWARD_CPU_H
#define CPU_FORWARD_CPU_H

#include "base/thread_pool.h"
#include "cpu/kernels.h"
#include "model/kv_store.h"
#include "model/rope.h"
#include "model/span.h"
#include "model/state_store.h"
#include "model/weights.h"

/* The vectors that a matrix is multiplied by. The quantized form is filled only for matrices whose kernel reads it. */
typedef struct forward_vectors {
    float *floats;            /* [n_batch][n_columns] */
    int8_t *quantized;        /* [n_batch][n_columns] */
    activation_block *blocks; /* [n_batch][n_columns / ACTIVATION_BLOCK] */
    uint32_t n_columns;
} forward_vectors;

/* Rows of a batch. The rows of a span are adjacent, and so are spans. */
typedef struct forward_rows {
    uint32_t count;
    uint32_t n_spans;
    forward_span *spans; /* [n_spans] of at least one row each */
    uint32_t *positions; /* [count] */
    uint32_t *span_of;   /* [count] */
} forward_rows;

/* The constant inputs of a forward pass, set by forward_cpu_create. */
typedef struct forward_model {
    const model_config *config;
    const model_weights *weights;
    const cpu_kernels *kernels;
    thread_pool *pool;
    const kv_store *store; /* keys and values */
    const state_store *states;
    rope_table rope[2]; /* for layers that see everything, and for windowed ones */
} forward_model;

/* Buffers between the steps of a pass. Each layer overwrites most of them. In the shapes, `rows` is the number of
 * rows that the step uses. */
typedef struct forward_buffers {
    forward_vectors normed;   /* of n_embd columns */
    forward_vectors attended; /* of n_heads * attended_length, as in the current layer */
    forward_vectors gate;     /* room for all hidden elements of a token; a step that uses it sets n_columns */
    float *queries;           /* [n_batch][n_heads][query_length] */
    float *keys;              /* [n_batch][n_kv_heads][key_length] */
    float *values;            /* [n_batch][n_kv_heads][value_length] */
    float *rotated;       /* [n_kv_heads][rows][n_heads / n_kv_heads][key_length] queries in the order that attention
                             reads */
    float *projected;     /* [n_batch][n_embd] the result of attention or feed-forward, to be added to x */
    float *gates;         /* [n_batch][..] gates of attention's result: as many as attn_gate has rows, or one for each
                             element */
    float *gated_queries; /* [n_batch][n_heads][2][key_length] queries and gates, if attn_q makes both */
    float *up;            /* as large as gate */
    float *beside;        /* [n_batch][n_embd] result of a dense network beside experts */
    float *per_layer; /* [n_batch][n_layers][n_embd_per_layer] the layers' own embeddings; later only the kept rows */

    /* several streams of vectors (streams.c) */
    float *streams;        /* [n_batch][n_streams - 1][n_embd] */
    float *predicted;      /* [n_batch][n_embd] the predicted x */
    forward_vectors modes; /* [n_batch] of n_streams: output of the router */
    float *mixes;          /* [n_batch][n_streams][n_streams] */

    float *rope_cos[2]; /* [n_batch][n_pairs] each */
    float *rope_sin[2];

    /* latent attention */
    forward_vectors compressed;     /* [n_batch] of q_rank columns: queries */
    forward_vectors latent_queries; /* [n_heads][rows] of the elements that are not rotated */
    forward_vectors latent_values;  /* [n_heads][rows] of kv_rank */

    /* an indexer: keys for all rows, the rest for the rows that choose positions */
    float *index_keys;    /* [n_batch][index_key_length] */
    float *index_queries; /* [n_batch][n_index_heads][index_key_length] */
    float *index_weights; /* [n_batch][n_index_heads] */
    float *index_scores;  /* [INDEX_ROWS][n_chunks * KV_CHUNK] for a few rows at a time */
    uint32_t *seen;       /* [n_batch][top_k] positions, ascending; later layers use them too */

    /* recurrent layers */
    float *recurrent_in;   /* [n_batch][n_in] result of the first product */
    float *recurrent_gate; /* [n_batch][inner_size] for delta nets, RECURRENT_MAMBA_HEADS and RWKV */
    /* [n_batch]; for delta nets betas and alphas: [2 * n_heads] in the order of read_steps (recurrent.c), or
     * [n_heads + inner_size] if each element of a key has an alpha; for Mamba steps: [inner_size], or [n_heads] in
     * RECURRENT_MAMBA_HEADS; for RWKV [n_parts][mix_rank] */
    float *recurrent_steps;
    float *recurrent_parts; /* [n_batch][step_rank + 2 state_size] for Mamba */
    /* [n_batch] of step_rank: for Mamba a copy of the steps in recurrent_parts; for RWKV compressed decays; for
     * RECURRENT_CHANNEL_DELTA_NET [2][n_batch]: compressed decays and gates */
    forward_vectors step_parts;
    forward_vectors convolved; /* [n_batch] of n_channels */
    forward_vectors mixed;     /* [n_batch] of inner_size: input of the last product */

    /* RWKV; its recurrent_in is [n_in / inner_size][rows][inner_size] */
    forward_vectors shifted;                             /* [n_parts][rows] of n_embd: mixtures with the token before */
    forward_vectors mix_ranks;                           /* [n_parts][rows] of mix_rank */
    forward_vectors gate_ranks, rate_ranks, value_ranks; /* [n_batch] */
    float *first_values;                                 /* [n_batch][inner_size] layer 0's */

    /* experts; a choice is a token with one of its experts: [n_batch][n_experts_used] */
    float *router;            /* [n_batch][3][n_experts] scores, and space to rank them */
    float *shared_gate;       /* [n_batch] */
    uint32_t *chosen;         /* [choices] an expert */
    float *expert_weights;    /* [choices] */
    uint32_t *expert_rows;    /* [choices] the choice's row in gathered and expert_out; an expert's rows are adjacent */
    uint32_t *first_row;      /* [n_experts + 1] first of these rows of each expert */
    forward_vectors gathered; /* [choices] of n_embd: inputs, in the order of these rows */
    float *expert_out;        /* [choices][n_embd]: results, in the same order */
    struct product *products; /* enough for all experts or heads */

    /* adapters: W x + scale * B A x (model/lora.h) */
    forward_vectors lora_inner;    /* [n_batch] of lora.inner_length: scale * A x */
    struct product *lora_products; /* the products A x */
    float *lora_room;              /* [n_threads][LORA_VECTORS][MOST_ROWS] B times vectors of lora_inner */

    /* after the pooling, for one embedding */
    forward_vectors pooled[2]; /* one vector each: input and output of a product, as long as the longest one needs */

    struct attention_span *attention_spans; /* [n_spans] */
    attention_part *parts;                  /* [n_kv_heads][n_chunks][n_queries] for each span that is processed by
                                               chunks */
    float *part_values;                     /* the same, each [kv_padded(value_length)] */
    uint32_t n_chunks;                      /* of a sequence; attention_parts gives the number of parts */

    unsigned char *scratch; /* [n_threads][scratch_bytes] for one item of a thread */
    size_t scratch_bytes;
} forward_buffers;

typedef struct forward_cpu {
    forward_model model;
    forward_buffers buffers;

    /* The batch. Its rows stay the same until the next forward_cpu_begin. */
    forward_rows all;  /* all rows: each layer processes them, .. */
    forward_rows kept; /* .. and the last layer drops all but these as soon as it does not need the others any more */
    uint32_t layer;    /* the current layer */
    enum { LAYER_WHOLE, LAYER_KEYS, LAYER_REST } part; /* the current part of it */
    bool stopped;                                      /* keep_going returned false: nothing more is computed in this
                                                          batch */
    bool (*keep_going)(void *user);                    /* asked before each step; or NULL */
    void *user;
} forward_cpu;

/* Scratch of one attention item: the results of a block of queries so far, and for one more chunk. */
typedef struct attention_room {
    attention_part *parts[2]; /* [n_queries] */
    float *values[2];         /* [n_queries][kv_padded(value_length)] */
    visible_range *visible;   /* [n_queries] */
    void *gathered;           /* a chunk of the positions that an indexer chose */
} attention_room;

attention_room attention_room_in(const layer_config *l, void *scratch);

/* Tokens that an attention item processes together. */
uint32_t attention_tokens(const layer_config *l);

/* The number of attention_parts for which there is memory in a layer. */
uint64_t attention_parts(const layer_config *l, uint32_t n_chunks);

/* Bytes that forward_cpu_create allocates, without pages; UINT64_MAX on overflow. */
uint64_t forward_cpu_scratch_bytes(const model_config *config, const cpu_kernels *kernels, uint32_t n_ctx,
                                   uint32_t n_batch, uint32_t n_threads);

/* All pointers stay borrowed. Memory comes from `a`. Errors: MEMORY. */
cllm_status forward_cpu_create(const model_config *config, const model_weights *weights, const cpu_kernels *kernels,
                               thread_pool *pool, const kv_store *store, const state_store *states, uint32_t n_ctx,
                               uint32_t n_batch, arena *a, forward_cpu *out, cllm_error *err);

/* Begin a batch of spans, in the order of their rows: 1..n_batch rows in total. first_row is set here, the other fields
 * by the caller; the tables are borrowed until the next batch. */
void forward_cpu_begin(forward_cpu *f, const forward_span *spans, uint32_t n_spans);

/* Look up the embeddings of tokens: [count]. x: out, [count][n_embd]. */
void forward_cpu_embed(forward_cpu *f, const int32_t *tokens, float *x);

/* Run x: [count][n_embd], in place, through layers first_layer <= l < end_layer. The batch's keys and values go into
 * the pages of their sequences. Each token attends to every position of its sequence up to its own, in an encoder also
 * to later ones; these must all be in the pages or in this batch. After the model's last layer x has only the kept
 * rows, [kept.count][n_embd]. false: it was stopped, and x is invalid. */
bool forward_cpu_layers(forward_cpu *f, float *x, uint32_t first_layer, uint32_t end_layer);

/* The same for one layer of an encoder, for a text that is longer than a batch. First forward_cpu_layer_keys puts the
 * keys and values of each of its batches into the pages (x does not change). Then forward_cpu_layer_rest lets each
 * batch attend to all of them. No row is dropped. */
bool forward_cpu_layer_keys(forward_cpu *f, float *x, uint32_t layer);
bool forward_cpu_layer_rest(forward_cpu *f, float *x, uint32_t layer);

/* Apply the model's last norm to x: [n_rows][n_embd], the result of the last layer, in place. */
void forward_cpu_embedding(forward_cpu *f, float *x, uint32_t n_rows);

/* Run what comes after the pooling on an embedding x, [n_embd]: the dense layers, or the classifier. Their results are
 * out, [n_embd_out], or scores, [n_scores]. false: it was stopped. */
bool forward_cpu_dense(forward_cpu *f, const float *x, float *out);
bool forward_cpu_classify(forward_cpu *f, const float *x, float *scores);

/* logits: out, [n_rows][n_vocab], for n_rows <= n_batch rows of the last layer's x. */
void forward_cpu_output(forward_cpu *f, const float *x, uint32_t n_rows, float *logits);

#endif
