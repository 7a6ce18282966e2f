/* The buffers of a forward pass (forward_cpu.h), and its creation. The engine's plan and forward_cpu_create use the
 * same list of buffers, so they cannot disagree. */
#include "base/checked.h"
#include "base/error.h"
#include "cpu/steps.h"

#include <string.h>

typedef struct buffer {
    size_t slot; /* offset of the pointer in forward_cpu */
    uint64_t rows;
    uint64_t bytes_per_row;
} buffer;

enum {
    MOST_BUFFERS = 128,
    ATTENTION_QUERIES = 32, /* processed together with a chunk of keys, while the CPU's cache holds it */
};

/* How many tokens together have at most ATTENTION_QUERIES queries in a group of heads; 1 if one token has more, or if
 * tokens see chosen positions. */
uint32_t attention_tokens(const layer_config *l) {
    const uint32_t group = l->n_heads / l->n_kv_heads;
    if (l->top_k > 0) return 1;
    return group < ATTENTION_QUERIES ? ATTENTION_QUERIES / group : 1;
}

static size_t attention_queries(const layer_config *l) {
    return (size_t)attention_tokens(l) * (l->n_heads / l->n_kv_heads);
}

/* Enough for the tokens of one item, and all chunks. */
uint64_t attention_parts(const layer_config *l, uint32_t n_chunks) {
    return (uint64_t)l->n_kv_heads * n_chunks * attention_queries(l);
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

static size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

static size_t gathered_bytes(const layer_config *l) {
    return l->top_k > 0 ? (size_t)kv_chunk_bytes(CLLM_KV_F32, l->key_length, l->value_length) : 0;
}

static size_t attention_room_bytes(const layer_config *l) {
    return gathered_bytes(l) +
           attention_queries(l) *
               (2 * sizeof(attention_part) + 2 * kv_padded(l->value_length) * sizeof(float) + sizeof(visible_range));
}

attention_room attention_room_in(const layer_config *l, void *scratch) {
    const size_t n = attention_queries(l);
    attention_room room;
    room.gathered = scratch;
    room.values[0] = (float *)(void *)((unsigned char *)scratch + gathered_bytes(l));
    room.values[1] = room.values[0] + n * kv_padded(l->value_length);
    room.parts[0] = (attention_part *)(void *)(room.values[1] + n * kv_padded(l->value_length));
    room.parts[1] = room.parts[0] + n;
    room.visible = (visible_range *)(void *)(room.parts[1] + n);
    return room;
}

/* The maximum that a layer's attention needs. */
typedef struct layer_sizes {
    uint64_t queries, rotated, keys, values, attended; /* floats of a token */
    uint64_t parts, part_values;                       /* attention_parts, and floats of these */
    size_t room;                                       /* attention_room_bytes */
    uint64_t index_key, chosen;                        /* floats and positions of a token */
} layer_sizes;

static layer_sizes largest_sizes(const model_config *c, uint32_t n_chunks) {
    layer_sizes most = {0};
    for (const layer_config *l = c->layers; l < c->layers + c->n_layers; l++) {
        if (!layer_attends(l)) continue;
        const uint64_t parts = attention_parts(l, n_chunks);
        most.queries = larger(most.queries, (uint64_t)l->n_heads * query_length(c, l));
        most.rotated = larger(most.rotated, (uint64_t)l->n_heads * l->key_length);
        most.keys = larger(most.keys, (uint64_t)l->n_kv_heads * l->key_length);
        most.values = larger(most.values, (uint64_t)l->n_kv_heads * l->value_length);
        most.attended = larger(most.attended, (uint64_t)l->n_heads * attended_length(c, l));
        most.parts = larger(most.parts, parts);
        most.part_values = larger(most.part_values, parts * kv_padded(l->value_length));
        most.room = larger(most.room, attention_room_bytes(l));
        most.index_key = larger(most.index_key, l->index_key_length);
        most.chosen = larger(most.chosen, most_chosen(l->top_k, n_chunks));
    }
    return most;
}

/* The longest input and output of products after the pooling. */
static uint32_t longest_pooled(const model_config *c) {
    if (c->n_scores == 0 && c->dense_lengths[0] == 0 && c->dense_lengths[1] == 0) return 0;
    const uint32_t lengths[] = {c->n_embd, c->dense_lengths[0], c->dense_lengths[1], c->n_scores};
    uint32_t longest = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) longest = lengths[i] > longest ? lengths[i] : longest;
    return (uint32_t)round_up(longest, ACTIVATION_BLOCK);
}

static uint32_t laurel_rank(const model_config *c) { return c->n_streams > 0 ? c->traits->laurel_rank : 0; }

/* The maximum that a thread needs. */
static size_t scratch_bytes(const model_config *c, const cpu_kernels *kernels) {
    const layer_sizes most_of = largest_sizes(c, 0);
    const recurrent_config *r = &c->recurrent;
    const uint64_t columns[] = {c->n_embd,         c->n_ff,
                                c->n_ff_expert,    c->n_ff_shared,
                                most_of.attended,  c->q_rank,
                                c->kv_rank,        c->latent_key_length,
                                r->step_rank,      r->n_channels,
                                r->inner_size,     c->lora.longest_rank,
                                longest_pooled(c), c->n_embd_per_layer,
                                r->gate_rank,      r->mix_rank,
                                r->rate_rank,      r->value_rank,
                                c->n_streams,      laurel_rank(c)};
    uint64_t longest = 0;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) longest = larger(longest, columns[i]);
    const size_t needs[] = {
        kernels->matmul_scratch_bytes((uint32_t)longest),
        most_of.room,
        (size_t)c->n_embd * sizeof(float),                            /* a row of the embeddings, */
        (size_t)c->n_layers * c->n_embd_per_layer * sizeof(float),    /* of the layers' own embeddings, */
        (size_t)c->kv_rank * sizeof(float),                           /* or of k_b (latent attention) */
        (2 * (size_t)r->state_size + r->head_length) * sizeof(float), /* factors of a state's rows, and a value */
    };
    size_t most = 0;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) most = needs[i] > most ? needs[i] : most;
    return round_up(most, ARENA_ALIGNMENT);
}

/* List all buffers. Returns their number. */
static size_t list_buffers(const model_config *c, uint32_t n_ctx, uint32_t n_batch, uint32_t n_threads, size_t scratch,
                           buffer buffers[MOST_BUFFERS]) {
    const layer_sizes most = largest_sizes(c, kv_chunks(n_ctx));
    const uint64_t choices = (uint64_t)n_batch * c->n_experts_used;
    const uint64_t experts_hidden = (uint64_t)c->n_experts_used * c->n_ff_expert;
    const uint64_t network_hidden =
        larger(larger(c->n_ff, c->n_ff_shared), larger(c->n_embd_per_layer, laurel_rank(c)));
    const bool beside = c->n_experts > 0 && c->traits->experts & TENSOR_BIT(ffn_up);
    const uint64_t hidden = experts_hidden > network_hidden ? experts_hidden : network_hidden;
    const uint64_t angles = c->rope_dimension_count / 2;
    const uint64_t windowed_angles = c->window > 0 ? c->rope_dimension_count_windowed / 2 : 0;
    const uint64_t latent_rows = c->kv_rank > 0 ? (uint64_t)n_batch * c->n_heads : 0;
    const uint64_t n_products = larger(2 * c->n_experts, c->kv_rank > 0 ? c->n_heads : 0);
    const uint64_t choosing = most.chosen > 0 ? n_batch : 0;
    const recurrent_config *r = &c->recurrent;
    const recurrent_kind kind = c->traits ? c->traits->recurrent : RECURRENT_NONE;
    const uint64_t gated_rows = c->traits && c->traits->query_gate ? n_batch : 0;
    const bool has_gates = gated_rows > 0 || (c->traits && c->traits->tensors & TENSOR_BIT(attn_gate));
    const bool by_channel = kind == RECURRENT_CHANNEL_DELTA_NET;
    const bool has_parts = kind == RECURRENT_MAMBA || kind == RECURRENT_MAMBA_HEADS;
    const bool is_rwkv = recurrent_is_rwkv(kind);
    const bool has_gate = kind == RECURRENT_DELTA_NET || by_channel || kind == RECURRENT_MAMBA_HEADS || is_rwkv;
    const uint64_t steps = kind == RECURRENT_MAMBA ? r->inner_size
                           : by_channel            ? (uint64_t)r->n_heads + r->inner_size
                           : is_rwkv               ? (uint64_t)r->n_parts * r->mix_rank
                                                   : 2 * (uint64_t)r->n_heads;
    const uint64_t step_parts = r->step_rank + 2 * (uint64_t)r->state_size;
#define SLOT(field) offsetof(forward_cpu, field)
#define FLOATS(n)   (n) * sizeof(float)
#define VECTORS(field, rows, n)                                                                \
    {SLOT(buffers.field.floats), rows, FLOATS(n)}, {SLOT(buffers.field.quantized), rows, n}, { \
        SLOT(buffers.field.blocks), rows, (n) / ACTIVATION_BLOCK * sizeof(activation_block)    \
    }
    const buffer list[] = {
        VECTORS(normed, n_batch, c->n_embd),
        VECTORS(attended, n_batch, most.attended),
        VECTORS(gate, n_batch, hidden),
        {SLOT(buffers.queries), n_batch, FLOATS(most.queries)},
        {SLOT(buffers.keys), n_batch, FLOATS(most.keys)},
        {SLOT(buffers.values), n_batch, FLOATS(most.values)},
        {SLOT(buffers.rotated), n_batch, FLOATS(most.rotated)},
        {SLOT(buffers.projected), n_batch, FLOATS(c->n_embd)},
        {SLOT(buffers.gates), has_gates ? n_batch : 0, FLOATS(most.attended)},
        {SLOT(buffers.up), n_batch, FLOATS(hidden)},
        {SLOT(buffers.beside), beside ? n_batch : 0, FLOATS(c->n_embd)},
        {SLOT(buffers.streams), n_batch, FLOATS(c->n_streams > 0 ? (uint64_t)(c->n_streams - 1) * c->n_embd : 0)},
        {SLOT(buffers.predicted), c->n_streams > 0 ? n_batch : 0, FLOATS(c->n_embd)},
        VECTORS(modes, n_batch, c->n_streams),
        {SLOT(buffers.mixes), n_batch, FLOATS((uint64_t)c->n_streams * c->n_streams)},
        {SLOT(buffers.per_layer), n_batch, FLOATS((uint64_t)c->n_layers * c->n_embd_per_layer)},
        {SLOT(model.rope[0].frequencies), 1, angles * sizeof(double)},
        {SLOT(model.rope[1].frequencies), 1, windowed_angles * sizeof(double)},
        {SLOT(buffers.rope_cos[0]), n_batch, FLOATS(angles)},
        {SLOT(buffers.rope_cos[1]), n_batch, FLOATS(windowed_angles)},
        {SLOT(buffers.rope_sin[0]), n_batch, FLOATS(angles)},
        {SLOT(buffers.rope_sin[1]), n_batch, FLOATS(windowed_angles)},
        VECTORS(compressed, n_batch, c->q_rank),
        VECTORS(latent_queries, latent_rows, c->latent_key_length),
        VECTORS(latent_values, latent_rows, c->kv_rank),
        {SLOT(buffers.index_keys), n_batch, FLOATS(most.index_key)},
        {SLOT(buffers.index_queries), choosing, FLOATS(c->n_index_heads * most.index_key)},
        {SLOT(buffers.index_weights), choosing, FLOATS((uint64_t)c->n_index_heads)},
        {SLOT(buffers.index_scores), choosing > 0 ? INDEX_ROWS : 0, FLOATS((uint64_t)kv_chunks(n_ctx) * KV_CHUNK)},
        {SLOT(buffers.seen), choosing, most.chosen * sizeof(uint32_t)},
        {SLOT(buffers.gated_queries), gated_rows, FLOATS(2 * most.queries)},
        {SLOT(buffers.recurrent_in), n_batch, FLOATS(r->n_in)},
        {SLOT(buffers.recurrent_gate), has_gate ? n_batch : 0, FLOATS(r->inner_size)},
        {SLOT(buffers.recurrent_steps), n_batch, FLOATS(steps)},
        {SLOT(buffers.recurrent_parts), has_parts ? n_batch : 0, FLOATS(step_parts)},
        VECTORS(step_parts, (by_channel ? 2 : 1) * (uint64_t)n_batch, r->step_rank),
        VECTORS(convolved, is_rwkv ? 0 : n_batch, r->n_channels),
        VECTORS(mixed, n_batch, r->inner_size),
        VECTORS(shifted, (uint64_t)n_batch * r->n_parts, c->n_embd),
        VECTORS(mix_ranks, (uint64_t)n_batch * r->n_parts, r->mix_rank),
        VECTORS(gate_ranks, is_rwkv ? n_batch : 0, r->gate_rank),
        VECTORS(rate_ranks, n_batch, r->rate_rank),
        VECTORS(value_ranks, n_batch, r->value_rank),
        {SLOT(buffers.first_values), r->value_rank > 0 ? n_batch : 0, FLOATS(r->inner_size)},
        {SLOT(buffers.router), n_batch, FLOATS(3 * (uint64_t)c->n_experts)},
        {SLOT(buffers.shared_gate), c->n_ff_shared > 0 ? n_batch : 0, FLOATS(1)},
        {SLOT(buffers.chosen), choices, sizeof(uint32_t)},
        {SLOT(buffers.expert_weights), choices, FLOATS(1)},
        {SLOT(buffers.expert_rows), choices, sizeof(uint32_t)},
        {SLOT(buffers.first_row), c->n_experts > 0 ? (uint64_t)c->n_experts + 1 : 0, sizeof(uint32_t)},
        VECTORS(gathered, choices, c->n_embd),
        {SLOT(buffers.expert_out), choices, FLOATS(c->n_embd)},
        {SLOT(buffers.products), n_products, sizeof(product)},
        VECTORS(lora_inner, n_batch, c->lora.inner_length),
        {SLOT(buffers.lora_products), c->lora.n_products, sizeof(product)},
        {SLOT(buffers.lora_room), c->lora.n_products > 0 ? n_threads : 0, FLOATS((uint64_t)LORA_VECTORS * MOST_ROWS)},
        VECTORS(pooled[0], 1, longest_pooled(c)),
        VECTORS(pooled[1], 1, longest_pooled(c)),
        {SLOT(all.spans), n_batch, sizeof(forward_span)},
        {SLOT(all.positions), n_batch, sizeof(uint32_t)},
        {SLOT(all.span_of), n_batch, sizeof(uint32_t)},
        {SLOT(kept.spans), n_batch, sizeof(forward_span)},
        {SLOT(kept.positions), n_batch, sizeof(uint32_t)},
        {SLOT(kept.span_of), n_batch, sizeof(uint32_t)},
        {SLOT(buffers.attention_spans), n_batch, sizeof(attention_span)},
        {SLOT(buffers.parts), most.parts, sizeof(attention_part)},
        {SLOT(buffers.part_values), 1, FLOATS(most.part_values)},
        {SLOT(buffers.scratch), n_threads, scratch},
    };
#undef VECTORS
#undef FLOATS
#undef SLOT
    _Static_assert(sizeof list / sizeof *list <= MOST_BUFFERS, "all buffers have a place");
    memcpy(buffers, list, sizeof list);
    return sizeof list / sizeof *list;
}

uint64_t forward_cpu_scratch_bytes(const model_config *config, const cpu_kernels *kernels, uint32_t n_ctx,
                                   uint32_t n_batch, uint32_t n_threads) {
    buffer buffers[MOST_BUFFERS];
    const size_t n = list_buffers(config, n_ctx, n_batch, n_threads, scratch_bytes(config, kernels), buffers);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes;
        if (!checked_mul(buffers[i].rows, buffers[i].bytes_per_row, &bytes) || !checked_add(sum, bytes, &sum))
            return UINT64_MAX;
    }
    return sum;
}

cllm_status forward_cpu_create(const model_config *config, const model_weights *weights, const cpu_kernels *kernels,
                               thread_pool *pool, const kv_store *store, const state_store *states, uint32_t n_ctx,
                               uint32_t n_batch, arena *a, forward_cpu *out, cllm_error *err) {
    *out = (forward_cpu){
        .model =
            {.config = config, .weights = weights, .kernels = kernels, .pool = pool, .store = store, .states = states},
        .buffers = {.normed.n_columns = config->n_embd,
                    .compressed.n_columns = config->q_rank,
                    .latent_queries.n_columns =
                        config->kv_rank ? config->latent_key_length - config->latent_shared_length : 0,
                    .latent_values.n_columns = config->kv_rank,
                    .step_parts.n_columns = config->recurrent.step_rank,
                    .convolved.n_columns = config->recurrent.n_channels,
                    .mixed.n_columns = config->recurrent.inner_size,
                    .shifted.n_columns = config->n_embd,
                    .mix_ranks.n_columns = config->recurrent.mix_rank,
                    .gate_ranks.n_columns = config->recurrent.gate_rank,
                    .rate_ranks.n_columns = config->recurrent.rate_rank,
                    .value_ranks.n_columns = config->recurrent.value_rank,
                    .modes.n_columns = config->n_streams,
                    .gathered.n_columns = config->n_embd,
                    .n_chunks = kv_chunks(n_ctx),
                    .scratch_bytes = scratch_bytes(config, kernels)}};
    buffer buffers[MOST_BUFFERS];
    const size_t n = list_buffers(config, n_ctx, n_batch, thread_pool_size(pool), out->buffers.scratch_bytes, buffers);
    bool complete = true;
    for (size_t i = 0; i < n; i++) {
        void *bytes = arena_alloc(a, buffers[i].rows, buffers[i].bytes_per_row);
        memcpy((char *)out + buffers[i].slot, &bytes, sizeof bytes);
        complete = complete && bytes;
    }
    if (!complete)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a batch of %u tokens; use a smaller batch", n_batch);
    for (int windowed = 0; windowed < (config->window > 0 ? 2 : 1); windowed++)
        rope_prepare(config, windowed, weights_rope_factors(weights, config, n_ctx), &out->model.rope[windowed]);
    return CLLM_OK;
}
