/* cllm_sequence: the tokens of one text in an engine, and a table of their pages. Its engine has a slot for it. Before
 * it: the tokenizer. After it: cllm_eval. */
#include "base/error.h"
#include "engine/states.h"

#include <string.h>

cllm_status cllm_sequence_create(cllm_engine *engine, cllm_sequence **out, cllm_error *err) {
    *out = NULL;
    for (uint32_t i = 0; i < engine->n_sequences && !*out; i++)
        if (!engine->sequences[i].in_use) *out = &engine->sequences[i];
    if (!*out) return error_set(err, CLLM_ERR_MEMORY, "all %u sequences of the engine are in use", engine->n_sequences);
    (*out)->in_use = true;
    (*out)->length = (*out)->reached = (*out)->branch = (*out)->turn = 0;
    return CLLM_OK;
}

void sequence_cut(cllm_sequence *s, uint32_t length) {
    cllm_engine *e = s->engine;
    if (has_states(e) && length == 0) states_let_go(s);
    s->length = length;
    states_cut(s, length);
    if (s->table.of[KV_FULL].end <= kv_chunks(length)) return;
    prefix_cache_touch(&e->cache, &s->table);
    kv_table_truncate(&s->table, &e->pages, length);
    prefix_cache_make_room(&e->cache, 0);
}

void cllm_sequence_destroy(cllm_sequence *sequence) {
    if (!sequence) return;
    sequence_cut(sequence, 0);
    sequence->in_use = false;
}

uint32_t cllm_sequence_length(const cllm_sequence *sequence) { return sequence->length; }
const int32_t *cllm_sequence_tokens(const cllm_sequence *sequence) { return sequence->tokens; }

/* True if the sequence can continue after `length` tokens from one of its states, perhaps after replaying tokens. */
static bool has_state_for(const cllm_sequence *s, uint32_t length) {
    if (!has_states(s->engine) || length == 0) return true;
    const uint32_t number = states_find(s, length);
    return number < STATES_PER_SEQUENCE && kv_table_reaches(&s->table, &s->engine->pages, s->states[number].length);
}

static cllm_status check_length(const cllm_sequence *s, uint32_t length, const char *verb, cllm_error *err) {
    if (length > s->length)
        return error_set(err, CLLM_ERR_ARGUMENT, "cannot %s %u tokens: only %u were evaluated", verb, length,
                         s->length);
    if (!kv_table_reaches(&s->table, &s->engine->pages, length))
        return error_set(err, CLLM_ERR_UNSUPPORTED,
                         "cannot %s %u tokens: the model's sliding windows of %u have dropped the positions before; "
                         "start again from 0",
                         verb, length, s->engine->model->config.window);
    if (!has_state_for(s, length))
        return error_set(
            err, CLLM_ERR_UNSUPPORTED,
            "cannot %s %u tokens: the model's recurrent layers no longer have a state from there or before; "
            "start again from 0",
            verb, length);
    return CLLM_OK;
}

cllm_status cllm_sequence_truncate(cllm_sequence *sequence, uint32_t length, cllm_error *err) {
    cllm_status status = check_length(sequence, length, "truncate to", err);
    if (status == CLLM_OK) sequence_cut(sequence, length);
    return status;
}

cllm_status cllm_sequence_fork(const cllm_sequence *sequence, uint32_t length, cllm_sequence **out, cllm_error *err) {
    *out = NULL;
    cllm_engine *e = sequence->engine;
    cllm_status status = check_length(sequence, length, "fork after", err);
    if (status == CLLM_OK) status = cllm_sequence_create(e, out, err);
    if (status != CLLM_OK) return status;
    kv_table_adopt(&(*out)->table, &e->pages, sequence->table.of[KV_FULL].pages, length);
    memcpy((*out)->tokens, sequence->tokens, length * sizeof *sequence->tokens);
    (*out)->length = (*out)->reached = length;
    if (has_states(e) && length > 0) states_copy(*out, sequence, length);
    return CLLM_OK;
}

size_t cllm_sequence_reuse(cllm_sequence *sequence, const int32_t *tokens, size_t count) {
    cllm_engine *e = sequence->engine;
    const uint32_t n = count > 0 ? (uint32_t)(count - 1 < e->plan.n_ctx ? count - 1 : e->plan.n_ctx) : 0;
    uint32_t length = 0;
    while (length < n && length < sequence->length && sequence->tokens[length] == tokens[length]) length++;
    if (has_states(e) && length > 0) { /* only to where a state is, so that nothing has to be replayed */
        const uint32_t number = states_find(sequence, length);
        length = number < STATES_PER_SEQUENCE ? sequence->states[number].length : 0;
    }
    if (!kv_table_reaches(&sequence->table, &e->pages, length)) length = 0;
    const bool is_own = n == 0 || length >= prefix_cache_find(&e->cache, tokens, n);
    sequence->branch = n > 0 ? e->cache.n_matched : 0;
    if (is_own) {
        sequence_cut(sequence, length);
        return length;
    }
    length = prefix_cache_reuse(&e->cache, tokens, n, &e->adopted);
    e->cache.pinned = e->cache.state;
    sequence_cut(sequence, 0);
    const kv_table empty = sequence->table;
    sequence->table = e->adopted;
    e->adopted = empty;
    states_fetch(sequence, length);
    e->cache.pinned = KV_NONE;
    memcpy(sequence->tokens, tokens, length * sizeof *tokens);
    sequence->length = sequence->reached = length;
    return length;
}

cllm_status cllm_sequence_diagnose(const cllm_sequence *sequence, cllm_error *err) {
    const cllm_engine *e = sequence->engine;
    bool beyond = e->n_cpu_layers > 0 && kv_store_beyond_f16(&e->store, &sequence->table, sequence->reached);
    if (!beyond && on_gpu(e)) {
        cllm_status status =
            forward_gpu_beyond_f16(e->offload.forward, &sequence->table, sequence->reached, &beyond, err);
        if (status != CLLM_OK) return status;
    }
    return diagnose_logits(e->model, beyond, err);
}
