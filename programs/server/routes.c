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
    {.method = NULL},
};

failure_form failure_form_of(const char *path) {
    return strncmp(path, "/v1/messages", 12) == 0 ? anthropic_failure : openai_failure;
}
