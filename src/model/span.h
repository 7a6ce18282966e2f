/* The rows of one sequence in a batch: what both forward passes take apart. Products see rows alone; attention sees spans. */
#ifndef MODEL_SPAN_H
#define MODEL_SPAN_H

#include "model/kv_pages.h"

/* Tokens at positions first_position and on. */
typedef struct forward_span {
    const kv_table *table; /* of the sequence; it has pages for all rows */
    uint32_t first_position;
    uint32_t first_row, n_rows;
    uint32_t n_replayed; /* the first so many rows bring a state up to the others; their keys and values are there */
    /* of a model with recurrent layers the slots of the state before all rows, after those that are replayed, and after all;
     * the last two may be one */
    uint32_t state_from, state_middle, state_to;
    uint32_t end;    /* of the sequence's positions: an encoder's tokens see up to there */
    uint32_t n_kept; /* of the last so many rows logits may be wanted, of the others keys and values alone */
} forward_span;

#endif
