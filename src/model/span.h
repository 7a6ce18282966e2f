/* The rows of one sequence in a batch. Before it: the engine, which makes batches. After it: both forward passes. Their
 * matrix products only see rows; attention and recurrent layers see spans. */
#ifndef MODEL_SPAN_H
#define MODEL_SPAN_H

#include "model/kv_pages.h"

/* Tokens at positions from first_position on. */
typedef struct forward_span {
    const kv_table *table; /* of the sequence; it has pages for all rows */
    uint32_t first_position;
    uint32_t first_row, n_rows;
    uint32_t n_replayed; /* the first rows, which only update a state; their keys and values are stored already */
    /* for a model with recurrent layers: slots of the state before all rows, after the replayed rows, and after all
     * rows; the last two may be the same */
    uint32_t state_from, state_middle, state_to;
    uint32_t end;    /* for an encoder: end of the sequence's positions; its tokens see up to there */
    uint32_t n_kept; /* the last rows, whose logits may be wanted; the others only need keys and values */
} forward_span;

#endif
