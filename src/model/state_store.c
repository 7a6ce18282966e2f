/* The bytes of states. Sizes are computed in one place, for the plan and for the allocation. */
#include "model/state_store.h"

#include "base/checked.h"
#include "base/error.h"

static uint64_t padded(uint64_t n_floats) { return (n_floats + 15) / 16 * 16; }

/* Floats of a layer. config_recurrent.c limits the kernel and state_size to 2^20, n_channels to 2^31, and n_heads *
 * head_length to 2^30. So there are fewer than 2^51 inputs, and fewer than 2^50 floats in the state. */
static uint64_t inputs_floats(const model_config *c) {
    return c->recurrent.kernel > 0 ? padded((uint64_t)(c->recurrent.kernel - 1) * c->recurrent.n_channels) : 0;
}

static uint64_t layer_floats(const model_config *c) {
    const recurrent_config *r = &c->recurrent;
    return inputs_floats(c) + padded((uint64_t)r->n_heads * r->head_length * r->state_size);
}

static uint32_t count_layers(const model_config *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_layers; i++) n += layer_is_recurrent(&c->layers[i]);
    return n;
}

uint64_t state_slot_bytes(const model_config *config) {
    uint64_t bytes;
    return checked_mul(count_layers(config), layer_floats(config) * sizeof(float), &bytes) ? bytes : UINT64_MAX;
}

/* An engine has at most 2^12 sequences and 2^31 cached states, so the sum does not wrap. */
static uint32_t count_slots(const kv_size *size) { return size->n_sequences * STATES_PER_SEQUENCE + size->n_states; }

uint64_t state_store_bytes(const model_config *config, const kv_size *size) {
    uint64_t bytes;
    return checked_mul(state_slot_bytes(config), count_slots(size), &bytes) ? bytes : UINT64_MAX;
}

cllm_status state_store_create(const model_config *config, const kv_size *size, arena *a, state_store *out,
                               cllm_error *err) {
    *out = (state_store){.n_slots = count_slots(size),
                         .inputs_floats = inputs_floats(config),
                         .layer_floats = layer_floats(config),
                         .slot_floats = state_slot_bytes(config) / sizeof(float),
                         .place_of = arena_alloc(a, config->n_layers, sizeof *out->place_of)};
    out->floats = arena_alloc(a, out->n_slots, out->slot_floats * sizeof *out->floats);
    if (!out->floats || !out->place_of)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for the states of %u sequences; use fewer",
                         size->n_sequences);
    for (uint32_t i = 0, n = 0; i < config->n_layers; i++) {
        out->place_of[i] = n;
        n += layer_is_recurrent(&config->layers[i]);
    }
    return CLLM_OK;
}
