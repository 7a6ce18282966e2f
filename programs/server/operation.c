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

/* As in llama-server, the figures are those of one model: that of ?model=NAME, otherwise the first one that is loaded.
 * The answer is empty if that model is not loaded, or if none is. */
void show_metrics(exchange *x) {
    failure f;
    text_buffer text = {0};
    const char *name = exchange_argument(x, "model");
    const bool is_named = name && *name;
    served_model *m = is_named ? model_find(name, &f) : NULL;
    if (is_named && !m) return answer_failure(x, &f);
    if (m && !model_hold(m)) m = NULL;
    for (size_t i = 0; !is_named && !m && i < models_count(); i++)
        if (model_hold(model_at(i))) m = model_at(i);
    if (m) {
        metrics_print(m, &text);
        model_let_go(m);
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
