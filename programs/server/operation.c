/* Endpoints of the server itself: health, metrics, the web page. */
#include "server/dialects.h"
#include "server/metrics.h"
#include "server/models.h"

#include <stdlib.h>
#include <string.h>

void show_health(exchange *x) {
    if (models_ready()) return answer_json(x, 200, json_pack("{s:s}", "status", "ok"));
    failure f;
    refuse(&f, 503, NULL, "Loading model");
    f.retry_after = 1;
    answer_failure(x, &f);
}

void show_metrics(exchange *x) {
    text_buffer text = {0};
    bool found = false; /* only the first model that is ready: llama-server's names are for one model */
    for (size_t i = 0; !found && i < models_count(); i++) {
        found = model_hold(model_at(i));
        if (!found) continue;
        metrics_print(model_at(i), &text);
        model_let_go(model_at(i));
    }
    answer_text(x, 200, "text/plain; version=0.0.4", text.bytes ? text.bytes : "", text.length);
    free(text.bytes);
}

/* A browser gets the web page, unless --no-webui is set; others get the sentence that ollama's clients look for. */
void show_root(exchange *x) {
    const char *accept = exchange_header(x, "Accept");
    if (accept && strstr(accept, "text/html") && !models_options()->no_webui) {
        answer_file(x, web_page_find("/"));
        return;
    }
    static const char text[] = "Ollama is running";
    answer_text(x, 200, "text/plain; charset=utf-8", text, sizeof text - 1);
}

void show_page(exchange *x) { answer_file(x, web_page_find(x->path)); }
