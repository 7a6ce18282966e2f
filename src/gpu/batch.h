/* Describes a batch of spans to the kernels: tokens, positions and pages, and the work of each group of attention. All
 * of it is ints in one buffer, "the numbers", which is written to the device at once. Before: forward_gpu.c, which has
 * the spans. After: the kernels; the structs in kernel_args.h say where in the numbers they look. */
#ifndef GPU_BATCH_H
#define GPU_BATCH_H

#include "model/span.h"

/* The items of attention in a layer. */
typedef struct attention_list {
    uint32_t items, n_items;   /* attention_item: where in the numbers, and how many */
    uint32_t merges, n_merges; /* merge_item: the same */
    uint32_t n_parts;          /* results of single chunks that the merges read in total, counted for one head */
    uint64_t n_positions;      /* positions that the items read in total */
} attention_list;

typedef struct batch_span batch_span;

typedef struct gpu_batch {
    const model_config *config;
    kv_size size;
    bool has_layers[KV_POOLS]; /* on the GPU */
    int32_t *numbers;          /* the first n_numbers are in use */
    batch_span *spans;         /* [most spans] of the current list */

    uint32_t n_numbers;
    uint32_t n_rows, n_kept;
    uint32_t tokens;                    /* where in the numbers the rows' tokens are: [n_rows] */
    uint32_t positions;                 /* where their positions are: [n_rows] */
    uint32_t pages[KV_POOLS];           /* where the pages of their keys and values are: [n_rows] */
    uint32_t kept_rows;                 /* where the rows are that need more than keys and values: [n_kept] */
    attention_list attention[KV_POOLS]; /* for all rows */
    attention_list kept;                /* for the kept rows, in the last layer */
} gpu_batch;

/* Most numbers of a batch; UINT64_MAX: more than the kernels can count. */
uint64_t batch_most_numbers(const model_config *config, const kv_size *size);

/* How many parts there is memory for, counted for one head. A part is attention's result for a token and a chunk. */
uint64_t batch_columns(const kv_size *size);

/* Bytes that batch_create allocates. */
uint64_t batch_bytes(const model_config *config, const kv_size *size);

/* first_layer: the first one on the GPU. Errors: MEMORY. */
cllm_status batch_create(const model_config *config, const kv_size *size, uint32_t first_layer, gpu_batch *out,
                         cllm_error *err);
void batch_free(gpu_batch *b);

/* spans: in the order of their rows, at most n_sequences, with 1..n_batch rows in total; first_row is ignored. tokens:
 * [rows]. */
void batch_begin(gpu_batch *b, const forward_span *spans, uint32_t n_spans, const int32_t *tokens);

#endif
