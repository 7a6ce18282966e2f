/* Two tables in an arena. Their sizes are computed in one place, for the plan and for the allocation. */
#include "model/kv_cache.h"

#include "base/checked.h"
#include "base/error.h"

/* Bytes of one of the two tables, or UINT64_MAX. */
static uint64_t table_bytes(const model_config *config, uint32_t n_ctx, cllm_kv_type type, uint32_t head_length) {
    uint64_t bytes = kv_element_bytes(type);
    bool sound = checked_mul(bytes, config->n_layers, &bytes) && checked_mul(bytes, config->n_kv_heads, &bytes) &&
                 checked_mul(bytes, n_ctx, &bytes) && checked_mul(bytes, head_length, &bytes);
    return sound ? bytes : UINT64_MAX;
}

uint64_t kv_cache_bytes(const model_config *config, uint32_t n_ctx, cllm_kv_type type) {
    uint64_t sum;
    return checked_add(table_bytes(config, n_ctx, type, config->key_length),
                       table_bytes(config, n_ctx, type, config->value_length), &sum)
               ? sum
               : UINT64_MAX;
}

cllm_status kv_cache_create(const model_config *config, uint32_t n_ctx, cllm_kv_type type, arena *a, kv_cache *out,
                            cllm_error *err) {
    *out = (kv_cache){.type = type,
                      .n_ctx = n_ctx,
                      .n_kv_heads = config->n_kv_heads,
                      .key_length = config->key_length,
                      .value_length = config->value_length};
    out->keys = arena_alloc(a, table_bytes(config, n_ctx, type, config->key_length), 1);
    out->values = arena_alloc(a, table_bytes(config, n_ctx, type, config->value_length), 1);
    if (out->keys && out->values) return CLLM_OK;
    return error_set(err, CLLM_ERR_MEMORY, "no memory for the keys and values of %u positions; use a smaller context",
                     n_ctx);
}
