/* Any bytes as the body of any request that routes.c lists, to a small model: it is answered or refused, and never
 * causes a fault of the server. The first byte is the route. Run by `make fuzz` if libmicrohttpd is there, from the
 * top of the repository. */
#include "options.h"
#include "server/http.h"
#include "server/models.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

const command commands[] = {{.bit = 0}}; /* this variable is in main.c, which is not linked here */

static void require(bool holds) {
    if (!holds) abort();
}

static options server_options;
static const route *posts[256];
static size_t n_posts;

/* Texts are short. The queue is short, too, so a request with many texts is refused. */
static void start(void) {
    static char *arguments[] = {"serve",
                                "models/demo.gguf",
                                "--chat-template",
                                "chatml",
                                "--ctx",
                                "64",
                                "--parallel",
                                "2",
                                "--kv-unified",
                                "--queue",
                                "8",
                                "-n",
                                "4",
                                "--threads",
                                "1",
                                "--cache-ram",
                                "1",
                                "--quiet"};
    static const command serving = {.bit = SERVE, .name = "serve"};
    require(parse_options(&serving, sizeof arguments / sizeof *arguments, arguments, &server_options) == EXIT_SUCCESS);
    require(models_open(&server_options) == EXIT_SUCCESS && models_load_first() == EXIT_SUCCESS);
    for (const route *r = routes; r->method; r++)
        if (strcmp(r->method, "POST") == 0 && !strstr(r->path, "pull")) posts[n_posts++] = r;
    require(n_posts > 0);
}

/* A complete answer: no status 5xx except 501 and 503, and JSON that can be parsed. */
static void check_answer(const exchange *x) {
    require(x->status >= 200 && (x->status < 500 || x->status == 501 || x->status == 503));
    if (strcmp(x->type, "application/json") != 0) return;
    json_t *value = json_loadb(x->answer.bytes, x->answer.length, 0, NULL);
    require(value);
    json_decref(value);
}

/* Does what the thread of a connection does until a request has ended. */
static void take_all(request *r, text_buffer *out) {
    const bool streams = r->streams;
    if (streams && r->form->begin) r->form->begin(r, out);
    while (!request_take_events(r, streams ? out : NULL)) nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    require(r->failure.status < 500);
    if (streams || r->failure.status != 0) return;
    json_t *value = r->form->whole(r);
    require(value);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    if (n_posts == 0) start();
    if (n_bytes == 0) return 0;
    const route *chosen = posts[bytes[0] % n_posts];
    exchange x = {.route = chosen,
                  .method = "POST",
                  .path = chosen->path,
                  .rest = "demo",
                  .id = "fuzz",
                  .n_holders = 1,
                  .socket = -1}; /* a client that never hangs up */
    pthread_mutex_init(&x.lock, NULL);
    x.works = true;
    x.stage = EXCHANGE_WORKS;
    require(text_buffer_add(&x.body, (const char *)bytes + 1, n_bytes - 1));
    chosen->handle(&x);
    if (x.stage == EXCHANGE_ANSWERED) {
        check_answer(&x);
    } else {
        request *r = x.request;
        require(x.stage == EXCHANGE_STREAMS && r);
        x.answer.length = 0;
        take_all(r, &x.answer);
        pthread_mutex_lock(&r->lock);
        r->exchange = NULL;
        atomic_store(&r->cancelled, true);
        pthread_mutex_unlock(&r->lock);
        request_release(r);
    }
    free(x.body.bytes);
    free(x.answer.bytes);
    pthread_mutex_destroy(&x.lock);
    return 0;
}
