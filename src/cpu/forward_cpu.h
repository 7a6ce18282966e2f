/* The forward pass on the CPU: a batch of rows, each a token at a position of a sequence, through the transformer's layers to
 * logits. Before it on the road: cllm_eval, which makes batches. After it: the sampler. The maths, step by step, is in
 * docs/04-transformer.md. */
#ifndef CPU_FORWARD_CPU_H
#define CPU_FORWARD_CPU_H

#include "base/thread_pool.h"
#include "cpu/kernels.h"
#include "model/kv_store.h"
#include "model/rope.h"
#include "model/span.h"
#include "model/state_store.h"
#include "model/weights.h"

/* What a matrix is multiplied with; the quantized form is filled only for matrices that are read with it. */
typedef struct forward_vectors {
    float *floats;            /* [n_batch][n_columns] */
    int8_t *quantized;        /* [n_batch][n_columns] */
    activation_block *blocks; /* [n_batch][n_columns / ACTIVATION_BLOCK] */
    uint32_t n_columns;
} forward_vectors;

/* Rows of a batch. Those of a span lie one after another, and so do spans. */
typedef struct forward_rows {
    uint32_t count;
    uint32_t n_spans;
    forward_span *spans; /* [n_spans] of at least one row each */
    uint32_t *positions; /* [count] */
    uint32_t *span_of;   /* [count] */
} forward_rows;

/* What a forward pass computes with. It is set by forward_cpu_create and never written afterwards. */
typedef struct forward_model {
    const model_config *config;
    const model_weights *weights;
    const cpu_kernels *kernels;
    thread_pool *pool;
    const kv_store *store; /* keys and values */
    const state_store *states;
    rope_table rope[2]; /* of layers that see everything, and of windowed ones */
} forward_model;

/* What the steps of a pass leave for one another. Each layer overwrites it. rows: as many as a step takes. */
typedef struct forward_buffers {
    forward_vectors normed;   /* of n_embd columns */
    forward_vectors attended; /* of n_heads * attended_length, those of the layer at work */
    forward_vectors gate; /* as long as all hidden elements of a token; who uses it says of how many columns it is */
    float *queries;       /* [n_batch][n_heads][query_length] */
    float *keys;          /* [n_batch][n_kv_heads][key_length] */
    float *values;        /* [n_batch][n_kv_heads][value_length] */
    float *rotated;       /* [n_kv_heads][rows][n_heads / n_kv_heads][key_length] queries as attention takes them */
    float *projected;     /* [n_batch][n_embd] what attention or feed-forward adds to x */
    float *gates;         /* [n_batch][..] of what attention gives: as many as attn_gate has rows, or one an element */
    float *gated_queries; /* [n_batch][n_heads][2][key_length] queries and gates, where attn_q makes both */
    float *up;            /* as many as gate has */
    float *beside;        /* [n_batch][n_embd] what a dense network gives that stands beside experts */
    float *per_layer; /* [n_batch][n_layers][n_embd_per_layer] what each layer embeds on its own; later the kept rows */

    /* several streams of vectors (streams.c) */
    float *streams;        /* [n_batch][n_streams - 1][n_embd] */
    float *predicted;      /* [n_batch][n_embd] what x was predicted to be */
    forward_vectors modes; /* [n_batch] of n_streams: the router's */
    float *mixes;          /* [n_batch][n_streams][n_streams] */

    float *rope_cos[2]; /* [n_batch][n_pairs] each */
    float *rope_sin[2];

    /* latent attention */
    forward_vectors compressed;     /* [n_batch] of q_rank columns: queries */
    forward_vectors latent_queries; /* [n_heads][rows] of what is not rotated */
    forward_vectors latent_values;  /* [n_heads][rows] of kv_rank */

    /* an indexer: of the rows that choose, but for the keys */
    float *index_keys;    /* [n_batch][index_key_length] */
    float *index_queries; /* [n_batch][n_index_heads][index_key_length] */
    float *index_weights; /* [n_batch][n_index_heads] */
    float *index_scores;  /* [INDEX_ROWS][n_chunks * KV_CHUNK] of some rows at a time */
    uint32_t *seen;       /* [n_batch][top_k] positions, ascending; for later layers too */

    /* recurrent layers */
    float *recurrent_in;   /* [n_batch][n_in] what the first product makes */
    float *recurrent_gate; /* [n_batch][inner_size] of delta nets */
    float *
        recurrent_steps; /* [n_batch][2][n_heads] of delta nets: betas and alphas, or [n_batch][n_heads + inner_size]; [n_batch][inner_size] of Mamba */
    float *recurrent_parts; /* [n_batch][step_rank + 2 state_size] of Mamba */
    forward_vectors
        step_parts; /* [n_batch] of step_rank: the first of these; of delta nets [2][n_batch], steps and gates, compressed */
    forward_vectors convolved; /* [n_batch] of n_channels */
    forward_vectors mixed;     /* [n_batch] of inner_size: what the last product reads */

    /* experts; a choice is a token and one of its experts: [n_batch][n_experts_used] */
    float *router;            /* [n_batch][3][n_experts] scores, and room to rank them */
    float *shared_gate;       /* [n_batch] */
    uint32_t *chosen;         /* [choices] an expert */
    float *expert_weights;    /* [choices] */
    uint32_t *expert_rows;    /* [choices] the row among those of its expert, which all lie together */
    uint32_t *first_row;      /* [n_experts + 1] of an expert */
    forward_vectors gathered; /* [choices] of n_embd: by row */
    float *expert_out;        /* [choices][n_embd]: by row */
    struct product *products; /* as many as experts or heads need */

    /* adapters */
    forward_vectors lora_inner;    /* [n_batch] of lora.inner_length: A x */
    struct product *lora_products; /* that make them */
    float *lora_room;              /* [n_threads][LORA_VECTORS][MOST_ROWS] B (A x) */

    /* after the pooling, of one embedding */
    forward_vectors
        pooled[2]; /* [1] of as many columns as the longest that there is: what a product reads, and writes */

    struct attention_span *attention_spans; /* [n_spans] */
    attention_part *parts;                  /* [n_kv_heads][n_chunks][n_queries] of each span that goes by chunks */
    float *part_values;                     /* the same, each [kv_padded(value_length)] */
    uint32_t n_chunks;                      /* of a sequence: there is room for attention_parts */

    unsigned char *scratch; /* [n_threads][scratch_bytes] what one thread needs within one item */
    size_t scratch_bytes;
} forward_buffers;

typedef struct forward_cpu {
    forward_model model;
    forward_buffers buffers;

    /* The batch. Its rows do not change between forward_cpu_begin and the next. */
    forward_rows all;  /* all rows: each layer takes them, .. */
    forward_rows kept; /* .. and the last layer computes queries, and what follows from them, of these alone */
    uint32_t layer;    /* at work */
    enum { LAYER_WHOLE, LAYER_KEYS, LAYER_REST } part; /* of it at work */
    bool stopped;                                      /* keep_going said no: nothing more is computed in this batch */
    bool (*keep_going)(void *user);                    /* asked before each step; or NULL */
    void *user;
} forward_cpu;

/* Scratch of one attention item: what a block of queries got so far, and of one more chunk. */
typedef struct attention_room {
    attention_part *parts[2]; /* [n_queries] */
    float *values[2];         /* [n_queries][kv_padded(value_length)] */
    visible_range *visible;   /* [n_queries] */
    void *gathered;           /* a chunk of what an indexer chose */
} attention_room;

attention_room attention_room_in(const layer_config *l, void *scratch);

/* Tokens that an attention item takes together. */
uint32_t attention_tokens(const layer_config *l);

/* How many parts of a layer there is room for. */
uint64_t attention_parts(const layer_config *l, uint32_t n_chunks);

/* Bytes that forward_cpu_create allocates, the pages aside; UINT64_MAX if that wraps. */
uint64_t forward_cpu_scratch_bytes(const model_config *config, const cpu_kernels *kernels, uint32_t n_ctx,
                                   uint32_t n_batch, uint32_t n_threads);

/* All pointers stay borrowed. Memory comes from `a`. Errors: MEMORY. */
cllm_status forward_cpu_create(const model_config *config, const model_weights *weights, const cpu_kernels *kernels,
                               thread_pool *pool, const kv_store *store, const state_store *states, uint32_t n_ctx,
                               uint32_t n_batch, arena *a, forward_cpu *out, cllm_error *err);

/* Begin a batch of spans, in the order of their rows: 1..n_batch rows in all. first_row is set here, the rest is the caller's; the
 * tables stay borrowed until the next batch. */
void forward_cpu_begin(forward_cpu *f, const forward_span *spans, uint32_t n_spans);

/* x: out, [count][n_embd], the rows of the embedding table that belong to tokens: [count]. */
void forward_cpu_embed(forward_cpu *f, const int32_t *tokens, float *x);

/* Run x: [count][n_embd], in place, through layers first_layer <= l < end_layer. The batch's keys and values go into the
 * pages of their sequences; each token attends to every position of its sequence up to its own, which must all be in the
 * pages or in this batch. After the model's last layer x is the kept rows alone, [kept.count][n_embd]. False: it was
 * stopped, and x is worth nothing. */
bool forward_cpu_layers(forward_cpu *f, float *x, uint32_t first_layer, uint32_t end_layer);

/* The same with one layer of an encoder, whose tokens also attend to what comes after them: a text that is longer than a batch first puts
 * the keys and values of all its batches into its pages (x stays as it is), and then each batch attends to all of them. No row is
 * dropped. */
bool forward_cpu_layer_keys(forward_cpu *f, float *x, uint32_t layer);
bool forward_cpu_layer_rest(forward_cpu *f, float *x, uint32_t layer);

/* x: [n_rows][n_embd] of the last layer's becomes its norm by the model's last one, in place. */
void forward_cpu_embedding(forward_cpu *f, float *x, uint32_t n_rows);

/* out: [n_embd_out], what the dense layers after the pooling make of an embedding x, [n_embd]; or scores: [n_scores], what the classifier
 * does. False: it was stopped. */
bool forward_cpu_dense(forward_cpu *f, const float *x, float *out);
bool forward_cpu_classify(forward_cpu *f, const float *x, float *scores);

/* logits: out, [n_rows][n_vocab], of n_rows <= n_batch rows of the last layer's x. */
void forward_cpu_output(forward_cpu *f, const float *x, uint32_t n_rows, float *logits);

#endif
