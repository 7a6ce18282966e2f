/* Which endpoint is whose. */
#include "server/dialects.h"

#include <string.h>

const route routes[] = {
    {"GET", "/", show_root, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/index.html", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/page.css", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/page.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/markdown.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/client.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/store.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/vendor.js", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/icon.svg", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/LICENSES.txt", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/openapi.json", show_page, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/health", show_health, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/v1/health", show_health, openai_failure, ROUTE_PUBLIC | ROUTE_AT_ONCE},
    {"GET", "/metrics", show_metrics, openai_failure, ROUTE_AT_ONCE},

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
    {.method = NULL},
};

failure_form failure_form_of(const char *path) {
    if (strncmp(path, "/api/", 5) == 0) return ollama_failure;
    return strncmp(path, "/v1/messages", 12) == 0 ? anthropic_failure : openai_failure;
}
