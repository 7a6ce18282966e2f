/* The states of recurrent layers on the CPU. A slot has a fixed size. It holds the states of all recurrent layers for
 * one sequence, at one length. The engine decides which slot holds what (engine/states.h); the forward pass reads and
 * writes them.
 *
 * For each layer a slot has the last inputs of the convolution, and then the state itself:
 *
 *     inputs   [kernel - 1][n_channels], the oldest first
 *     state    [n_heads][state_size][head_length]: the inner loop of a step goes along a row (kernels.h) */
#ifndef MODEL_STATE_STORE_H
#define MODEL_STATE_STORE_H

#include "base/arena.h"
#include "model/kv_pages.h"

enum { STATES_PER_SEQUENCE = 3 }; /* the newest, and two to go back to */

typedef struct state_store {
    uint32_t n_slots;
    uint64_t inputs_floats; /* of one layer, padded to whole cache lines */
    uint64_t layer_floats;  /* inputs and state of one layer */
    uint64_t slot_floats;
    float *floats;      /* [n_slots][slot_floats] */
    uint32_t *place_of; /* [n_layers] a recurrent layer's index among the recurrent layers */
} state_store;

/* Bytes of a slot: 0 for a model without recurrent layers, UINT64_MAX on overflow. */
uint64_t state_slot_bytes(const model_config *config);

/* Bytes of all slots: those of the sequences, then those of the prefix cache. UINT64_MAX on overflow. */
uint64_t state_store_bytes(const model_config *config, const kv_size *size);

/* Errors: MEMORY. A slot is not touched until it is written. */
cllm_status state_store_create(const model_config *config, const kv_size *size, arena *a, state_store *out,
                               cllm_error *err);

static inline float *state_slot(const state_store *store, uint32_t slot) {
    return store->floats + slot * store->slot_floats;
}

/* The two parts of a recurrent layer. */
static inline float *state_inputs(const state_store *store, uint32_t slot, uint32_t layer) {
    return state_slot(store, slot) + store->place_of[layer] * store->layer_floats;
}
static inline float *state_of(const state_store *store, uint32_t slot, uint32_t layer) {
    return state_inputs(store, slot, layer) + store->inputs_floats;
}

#endif
