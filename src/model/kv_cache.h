/* The keys and values of the positions evaluated so far: what attention looks back at.
 * Filled and read by the forward pass; owned by a session. */
#ifndef MODEL_KV_CACHE_H
#define MODEL_KV_CACHE_H

#include "base/arena.h"
#include "model/config.h"

typedef struct kv_cache {
    cllm_kv_type type;
    uint32_t n_ctx;
    uint32_t n_kv_heads;
    uint32_t key_length;
    uint32_t value_length;
    unsigned char *keys;   /* [n_layers][n_kv_heads][n_ctx][key_length] of the type */
    unsigned char *values; /* [n_layers][n_kv_heads][n_ctx][value_length] */
} kv_cache;

/* Bytes of a cache of n_ctx positions; UINT64_MAX if that wraps. */
uint64_t kv_cache_bytes(const model_config *config, uint32_t n_ctx, cllm_kv_type type);

/* Errors: MEMORY. The pages are not touched until positions are written. */
cllm_status kv_cache_create(const model_config *config, uint32_t n_ctx, cllm_kv_type type, arena *a, kv_cache *out,
                            cllm_error *err);

static inline size_t kv_element_bytes(cllm_kv_type type) { return type == CLLM_KV_F16 ? 2 : 4; }

static inline void *kv_cache_key(const kv_cache *kv, uint32_t layer, uint32_t kv_head, uint32_t position) {
    size_t row = ((size_t)layer * kv->n_kv_heads + kv_head) * kv->n_ctx + position;
    return kv->keys + row * kv->key_length * kv_element_bytes(kv->type);
}

static inline void *kv_cache_value(const kv_cache *kv, uint32_t layer, uint32_t kv_head, uint32_t position) {
    size_t row = ((size_t)layer * kv->n_kv_heads + kv_head) * kv->n_ctx + position;
    return kv->values + row * kv->value_length * kv_element_bytes(kv->type);
}

#endif
