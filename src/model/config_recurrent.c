/* Reads the sizes of recurrent layers, and computes those that follow from them. Before it: config.c, which knows by
 * then which layers are recurrent. After it: weights.c and state_store.c. */
#include "model/config_keys.h"

#include <inttypes.h>
#include <stdio.h>

#define MAX_STATE 1048576u

/* Compute the sizes that follow from those in the file. */
static cllm_status complete_recurrent(model_config *config, cllm_error *err) {
    recurrent_config *r = &config->recurrent;
    const recurrent_kind kind = config->traits->recurrent;
    uint64_t n_channels = r->inner_size + 2 * (uint64_t)r->n_groups * r->state_size, n_in = n_channels;
    switch (kind) {
    case RECURRENT_NONE: return CLLM_OK;
    case RECURRENT_SHORT_CONVOLUTION:
        n_channels = r->inner_size = config->n_embd;
        n_in = 3 * n_channels;
        break;
    case RECURRENT_MAMBA:
        r->n_heads = 1;
        r->head_length = r->inner_size;
        n_channels = r->inner_size;
        n_in = 2 * n_channels;
        break;
    case RECURRENT_MAMBA_HEADS:
        r->step_rank = config->n_embd / 16 > 64 ? config->n_embd / 16 : 64;
        r->n_groups = 1;
        n_channels = r->inner_size;
        n_in = 2 * n_channels;
        break;
    case RECURRENT_MAMBA2: n_in += (uint64_t)r->inner_size + r->n_heads; break;
    case RECURRENT_DELTA_NET: n_in += r->joins_gate ? r->inner_size : 0; break;
    case RECURRENT_RWKV6:
    case RECURRENT_RWKV7: break;
    case RECURRENT_CHANNEL_DELTA_NET:
        r->n_groups = r->n_heads;
        r->step_rank = r->gate_rank = r->state_size;
        if ((uint64_t)r->n_heads * r->state_size > INT32_MAX / 3)
            return bad_value(err, config, "kda.head_dim", "%u heads of %u elements are not possible", r->n_heads,
                             r->state_size);
        r->inner_size = r->n_heads * r->state_size;
        n_in = n_channels = 3 * (uint64_t)r->inner_size;
        break;
    }
    if (n_in > INT32_MAX)
        return bad_value(err, config, "ssm.state_size", "%u groups of %u elements are not possible", r->n_groups,
                         r->state_size);
    r->n_channels = (uint32_t)n_channels;
    r->n_in = (uint32_t)n_in;
    if (kind == RECURRENT_SHORT_CONVOLUTION || kind == RECURRENT_MAMBA) return CLLM_OK;
    r->head_length = r->inner_size / r->n_heads;
    if (r->inner_size % r->n_heads != 0)
        return bad_value(err, config, "ssm.inner_size", "%u is not a multiple of the %u heads", r->inner_size,
                         r->n_heads);
    if (r->n_heads % r->n_groups != 0)
        return bad_value(err, config, "ssm.group_count", "%u does not divide the %u heads", r->n_groups, r->n_heads);
    if (kind == RECURRENT_DELTA_NET && r->head_length != r->state_size)
        return bad_value(err, config, "ssm.inner_size", "%u is not %u heads of ssm.state_size %u", r->inner_size,
                         r->n_heads, r->state_size);
    return CLLM_OK;
}

enum { RWKV_VECTORS = 6 }; /* most vectors of n_embd elements that a step makes for a token */

/* The same for RWKV. Both halves of a layer see the token before, and a head's state is a square matrix. */
static cllm_status complete_rwkv(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const mix_part parts_6[] = {MIX_DECAY, MIX_KEY, MIX_VALUE, MIX_RECEPTANCE, MIX_GATE};
    static const mix_part parts_7[] = {MIX_RECEPTANCE, MIX_DECAY, MIX_KEY, MIX_VALUE, MIX_RATE, MIX_GATE};
    recurrent_config *r = &config->recurrent;
    const bool is_6 = config->traits->recurrent == RECURRENT_RWKV6;
    uint32_t n_shifts = 2;
    const optional_key keys[] = {{"token_shift_count", NULL, &n_shifts},
                                 {"rescale_every_n_layers", NULL, &config->halving_period}};
    cllm_status status = read_optional(gguf, config, keys, is_6 ? 2 : 1, err);
    if (status != CLLM_OK) return status;
    if (n_shifts != 2) return bad_value(err, config, "token_shift_count", "%u is not 2", n_shifts);
    if (config->n_embd > INT32_MAX / RWKV_VECTORS)
        return bad_value(err, config, "embedding_length", "%u is more than %d", config->n_embd,
                         INT32_MAX / RWKV_VECTORS);
    if (config->n_embd % r->state_size != 0)
        return bad_value(err, config, "wkv.head_size", "%u does not divide the embedding length %u", r->state_size,
                         config->n_embd);
    r->kernel = 2;
    r->n_channels = 2 * config->n_embd;
    r->inner_size = config->n_embd;
    r->head_length = r->state_size;
    r->n_heads = r->n_groups = config->n_embd / r->state_size;
    r->parts = is_6 ? parts_6 : parts_7;
    r->n_parts = is_6 ? sizeof parts_6 / sizeof *parts_6 : sizeof parts_7 / sizeof *parts_7;
    r->n_in = (is_6 ? 4 : 6) * config->n_embd;
    return CLLM_OK;
}

typedef struct size_key {
    const char *suffix;
    uint32_t *out;
} size_key;

static cllm_status read_sizes(const cllm_gguf *gguf, const model_config *config, const size_key *keys, size_t n_keys,
                              cllm_error *err) {
    for (size_t i = 0; i < n_keys; i++) {
        cllm_status status = get_u32(gguf, config, keys[i].suffix, GGUF_REQUIRED, keys[i].out, err);
        if (status != CLLM_OK) return status;
        if (*keys[i].out == 0 || *keys[i].out > MAX_STATE)
            return bad_value(err, config, keys[i].suffix, "%u is not between 1 and %u", *keys[i].out, MAX_STATE);
    }
    return CLLM_OK;
}
#define READ_SIZES(keys, n) read_sizes(gguf, config, keys, n, err)

static cllm_status read_rwkv(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    recurrent_config *r = &config->recurrent;
    const bool is_6 = config->traits->recurrent == RECURRENT_RWKV6;
    const size_key keys[] = {
        {"wkv.head_size", &r->state_size},
        {is_6 ? "time_decay_extra_dim" : "attention.decay_lora_rank", &r->step_rank},
        {is_6 ? "time_mix_extra_dim" : "attention.iclr_lora_rank", is_6 ? &r->mix_rank : &r->rate_rank},
        {"attention.value_residual_mix_lora_rank", &r->value_rank},
        {"attention.gate_lora_rank", &r->gate_rank},
    };
    cllm_status status = READ_SIZES(keys, is_6 ? 3 : 5);
    return status == CLLM_OK ? complete_rwkv(gguf, config, err) : status;
}

/* True if the first recurrent layer has a tensor ssm_in. Some files of delta nets have it; others have attn_qkv and
 * attn_gate instead. Both have the same keys, so only the tensor tells them apart. */
static bool first_has_ssm_in(const cllm_gguf *gguf, const model_config *config) {
    uint32_t i = 0;
    char name[64];
    while (i + 1 < config->n_layers && !layer_is_recurrent(&config->layers[i])) i++;
    snprintf(name, sizeof name, "blk.%" PRIu32 ".ssm_in.weight", i);
    return cllm_gguf_find_tensor(gguf, name);
}

cllm_status read_recurrent(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    recurrent_config *r = &config->recurrent;
    const recurrent_kind kind = config->traits->recurrent;
    const bool is_short = kind == RECURRENT_SHORT_CONVOLUTION, is_mamba = kind == RECURRENT_MAMBA;
    const bool by_channel = kind == RECURRENT_CHANNEL_DELTA_NET, by_parts = kind == RECURRENT_MAMBA_HEADS;
    const size_key keys[] = {
        {is_short ? "shortconv.l_cache" : "ssm.conv_kernel", &r->kernel},
        {by_channel ? "kda.head_dim" : "ssm.state_size", &r->state_size},
        {by_channel ? "attention.head_count" : "ssm.time_step_rank", is_mamba ? &r->step_rank : &r->n_heads},
        {"ssm.inner_size", &r->inner_size},
        {"ssm.group_count", &r->n_groups},
    };
    if (kind == RECURRENT_NONE) return CLLM_OK;
    if (recurrent_is_rwkv(kind)) return read_rwkv(gguf, config, err);
    cllm_status status = READ_SIZES(keys, is_short ? 1 : by_channel ? 3 : is_mamba || by_parts ? 4 : 5);
    if (status == CLLM_OK && is_mamba)
        status = gguf_get_bool(gguf, key_of(config, "ssm.dt_b_c_rms").text, GGUF_OPTIONAL, &r->norms_parts, err);
    r->joins_gate = kind == RECURRENT_DELTA_NET && first_has_ssm_in(gguf, config);
    return status == CLLM_OK ? complete_recurrent(config, err) : status;
}
