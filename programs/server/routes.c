/* The table of endpoints and their handlers. Before it: http.c, which looks up a request's route. After it: the APIs'
 * files, dialects.h. */
#include "server/dialects.h"

#include <string.h>

const route routes[] = {
    {"GET", "/", show_root, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/index.html", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/page.css", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/page.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/markdown.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/client.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/store.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/vendor.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/icon.svg", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/LICENSES.txt", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE | ROUTE_PAGE},
    {"GET", "/openapi.json", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/health", show_health, llama_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/v1/health", show_health, llama_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/metrics", show_metrics, llama_failure, ROUTE_AT_ONCE},

    {"GET", "/v1/models", openai_models, openai_failure, ROUTE_AT_ONCE},
    {"GET", "/models", openai_models, openai_failure, ROUTE_AT_ONCE},
    {"GET", "/v1/models/*", openai_model, openai_failure, 0},
    {"POST", "/v1/chat/completions", openai_chat, openai_failure, 0},
    {"POST", "/chat/completions", openai_chat, openai_failure, 0},
    {"POST", "/v1/completions", openai_completions, openai_failure, 0},
    {"POST", "/v1/responses", openai_responses, openai_failure, 0},
    {"POST", "/responses", openai_responses, openai_failure, 0},
    {"POST", "/v1/embeddings", openai_embeddings, openai_failure, 0},

    {"POST", "/v1/messages", anthropic_messages, anthropic_failure, 0},
    {"POST", "/v1/messages/count_tokens", anthropic_count_tokens, anthropic_failure, 0},

    {"POST", "/api/chat", ollama_chat, ollama_failure, 0},
    {"POST", "/api/generate", ollama_generate, ollama_failure, 0},
    {"POST", "/api/embed", ollama_embed, ollama_failure, 0},
    {"POST", "/api/embeddings", ollama_embeddings, ollama_failure, 0},
    {"GET", "/api/tags", ollama_tags, ollama_failure, 0},
    {"POST", "/api/show", ollama_show, ollama_failure, 0},
    {"GET", "/api/ps", ollama_ps, ollama_failure, 0},
    {"GET", "/api/version", ollama_version, ollama_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"POST", "/api/pull", ollama_pull, ollama_failure, 0},
    {"POST", "/api/create", ollama_not_here, ollama_failure, ROUTE_AT_ONCE},
    {"POST", "/api/copy", ollama_not_here, ollama_failure, ROUTE_AT_ONCE},
    {"DELETE", "/api/delete", ollama_not_here, ollama_failure, ROUTE_AT_ONCE},
    {"POST", "/api/push", ollama_not_here, ollama_failure, ROUTE_AT_ONCE},
    {"GET", "/api/blobs/*", ollama_not_here, ollama_failure, ROUTE_AT_ONCE},
    {"POST", "/api/blobs/*", ollama_not_here, ollama_failure, ROUTE_AT_ONCE},

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
    if (strncmp(path, "/api/", 5) == 0) return ollama_failure;
    return strncmp(path, "/v1/messages", 12) == 0 ? anthropic_failure : openai_failure;
}
