/* Which endpoint is whose. */
#include "server/dialects.h"

#include <string.h>

const route routes[] = {
    {"GET", "/", show_root, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/health", show_health, llama_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/v1/health", show_health, llama_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/metrics", show_metrics, llama_failure, ROUTE_AT_ONCE},

    {"GET", "/v1/models", openai_models, openai_failure, ROUTE_AT_ONCE},
    {"GET", "/models", openai_models, openai_failure, ROUTE_AT_ONCE},
    {"GET", "/v1/models/*", openai_model, openai_failure, 0},
    {"POST", "/v1/chat/completions", openai_chat, openai_failure, 0},
    {"POST", "/chat/completions", openai_chat, openai_failure, 0},
    {"POST", "/v1/completions", openai_completions, openai_failure, 0},
    {"POST", "/v1/embeddings", openai_embeddings, openai_failure, 0},

    {"POST", "/completion", llama_completion, llama_failure, 0},
    {"POST", "/completions", llama_completion, llama_failure, 0},
    {"POST", "/infill", llama_infill, llama_failure, 0},
    {"POST", "/tokenize", llama_tokenize, llama_failure, 0},
    {"POST", "/detokenize", llama_detokenize, llama_failure, 0},
    {"POST", "/apply-template", llama_apply_template, llama_failure, 0},
    {"POST", "/embedding", llama_embeddings, llama_failure, 0},
    {"POST", "/embeddings", llama_embeddings, llama_failure, 0},
    {"POST", "/rerank", llama_rerank, llama_failure, 0},
    {"POST", "/reranking", llama_rerank, llama_failure, 0},
    {"POST", "/v1/rerank", llama_rerank, llama_failure, 0},
    {"POST", "/v1/reranking", llama_rerank, llama_failure, 0},
    {"GET", "/props", llama_props, llama_failure, 0},
    {"POST", "/props", llama_set_props, llama_failure, 0},
    {"GET", "/slots", llama_slots, llama_failure, 0},
    {"POST", "/slots/*", llama_change_slot, llama_failure, 0},
    {"GET", "/lora-adapters", llama_adapters, llama_failure, 0},
    {"POST", "/lora-adapters", llama_set_adapters, llama_failure, 0},
    {"POST", "/models/load", llama_load, llama_failure, 0},
    {"POST", "/models/unload", llama_unload, llama_failure, 0},
    {.method = NULL},
};

failure_form failure_form_of(const char *path) {
    (void)path;
    return openai_failure;
}
