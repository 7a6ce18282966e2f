/* ollama's /api/pull: fetches a model from the Hub, or a file at a URL, into the store, so that it is served. Each pull
 * has its own thread, which adds the events that become lines of the answer; one of these threads works at a time. A
 * pull ends if its client goes away; the bytes that arrived are kept. */
#include "server/ollama.h"

#include "pull.h"
#include "server/dialects.h"
#include "server/write.h"

#include <stdlib.h>
#include <string.h>

static struct {
    pthread_mutex_t lock; /* of the count */
    pthread_cond_t changed;
    unsigned n;            /* threads */
    pthread_mutex_t works; /* the program's code for pulling allows one caller at a time */
} pulls = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, PTHREAD_MUTEX_INITIALIZER};

typedef struct pulling {
    request *r; /* held */
    const options *o;
    model_name name;
    double told; /* when the client got the last line */
} pulling;

/* ----------------------------------------------------------------------------------------------- answers */

static void write_step(request *r, const event *e, text_buffer *out) {
    (void)r;
    for (size_t i = 0; i < e->n_pieces; i++) {
        text_buffer_add(out, e->pieces[i].text, e->pieces[i].length);
        text_buffer_add(out, "\n", 1);
    }
}

static void write_wait(request *r, text_buffer *out) {
    (void)r;
    text_buffer_add(out, "{\"status\":\"waiting\"}\n", 21);
}

static json_t *whole_answer(request *r) {
    (void)r;
    return json_pack("{s:s}", "status", "success");
}

static const answer_form pull_form = {.stream_type = "application/x-ndjson",
                                      .step = write_step,
                                      .fail = ollama_write_failure,
                                      .wait = write_wait,
                                      .whole = whole_answer};

/* ------------------------------------------------------------------------------------------------ events */

/* Send a line, which is taken. The last line ends the request. */
static void tell(request *r, json_t *line, finish ends) {
    event *e = event_create(0);
    text_buffer text = {0};
    write_json(&text, line);
    if (e && event_add_piece(e, CLLM_DELTA_CONTENT, 0, (cllm_string){0}, (cllm_string){text.bytes, text.length})) {
        e->finish = ends;
        request_add_event(r, e);
    } else {
        event_destroy(e);
    }
    free(text.bytes);
}

static void tell_status(request *r, const char *status, finish ends) {
    tell(r, json_pack("{s:s}", "status", status), ends);
}

static void tell_failure(request *r, const char *message) {
    event *e = event_create(0);
    failure f;
    if (!e) return;
    refuse(&f, 500, NULL, "%s", message);
    event_fail(e, &f);
    request_add_event(r, e);
}

static bool watch(void *user, const char *file, const char *sha256, uint64_t done, uint64_t total) {
    pulling *p = user;
    request_look_for_client(p->r);
    if (atomic_load(&p->r->cancelled)) return false;
    const bool whole = done == total;
    if (now() - p->told < 0.25 && !whole) return true;
    p->told = now();
    const path_text status = path_of("pulling %s", file);
    json_t *line = json_object();
    json_put(&line, "status", json_text(status.text, strlen(status.text)));
    if (*sha256) json_put(&line, "digest", json_string(path_of("sha256:%s", sha256).text));
    if (total != UINT64_MAX) json_put(&line, "total", json_integer((json_int_t)total));
    json_put(&line, "completed", json_integer((json_int_t)done));
    tell(p->r, line, FINISH_NONE);
    return true;
}

/* ------------------------------------------------------------------------------------------------- thread */

static void *work(void *user) {
    pulling *p = user;
    const pull_watch watched = {watch, p};
    char said[512] = "the server is shutting down";
    path_text path = {""};
    tell_status(p->r, "pulling manifest", FINISH_NONE);
    pthread_mutex_lock(&pulls.works);
    fail_into(said, sizeof said);
    const bool wanted = !atomic_load(&p->r->cancelled);
    const int status = wanted ? pull_model(p->o, &p->name, &watched, &path) : EXIT_FAILURE;
    fail_into(NULL, 0);
    pthread_mutex_unlock(&pulls.works);
    if (status != EXIT_SUCCESS)
        tell_failure(p->r, said);
    else if (!models_add_pulled(p->name.text, path.text))
        tell_failure(p->r, "the server is out of memory");
    else
        tell_status(p->r, "success", FINISH_STOP);
    request_release(p->r);
    free(p);
    pthread_mutex_lock(&pulls.lock);
    pulls.n--;
    pthread_cond_broadcast(&pulls.changed);
    pthread_mutex_unlock(&pulls.lock);
    return NULL;
}

void ollama_end_pulls(void) {
    pthread_mutex_lock(&pulls.lock);
    while (pulls.n > 0) pthread_cond_wait(&pulls.changed, &pulls.lock);
    pthread_mutex_unlock(&pulls.lock);
}

/* ------------------------------------------------------------------------------------------------- handler */

static bool take_pull(const json_t *body, pulling *p, failure *f) {
    const char *name = NULL;
    char repo[512];
    bool streams = true;
    if (!field_string(body, "name", &name, f) || !field_string(body, "model", &name, f) ||
        !field_bool(body, "stream", &streams, f))
        return false;
    if (!name || !*name) return refuse(f, 400, "model", "model is missing");
    const size_t length = strlen(name), n_latest = strlen(":latest");
    const bool is_latest = length > n_latest && strcmp(name + length - n_latest, ":latest") == 0;
    snprintf(repo, sizeof repo, "%.*s", (int)(is_latest ? length - n_latest : length), name);
    if (length >= sizeof repo || !name_parse(repo, &p->name))
        return refuse(f, 404, "model",
                      "'%.200s' is not found: models are pulled from the Hugging Face Hub, as hf.co/OWNER/NAME:QUANT, "
                      "or by the URL of "
                      "a GGUF file",
                      name);
    if (!models_are_pulled())
        return refuse(f, 403, "model",
                      "this server serves only the models it was started with; start 'mini-cllm serve' without a MODEL "
                      "to serve pulled ones");
    p->r = request_create(REQUEST_TEXT);
    if (!p->r) return refuse_memory(f);
    p->r->form = &pull_form;
    p->r->streams = streams;
    return (request_add_prompt(p->r, NULL, 0) && request_complete(p->r)) || refuse_memory(f);
}

static bool start(pulling *p) {
    pthread_t thread;
    pthread_mutex_lock(&pulls.lock);
    pulls.n++;
    const bool started = pthread_create(&thread, NULL, work, p) == 0;
    if (started)
        pthread_detach(thread);
    else
        pulls.n--;
    pthread_mutex_unlock(&pulls.lock);
    return started;
}

void ollama_pull(exchange *x) {
    failure f = {0};
    pulling *p = calloc(1, sizeof *p);
    json_t *body = p ? exchange_json(x, &f) : NULL;
    if (!p) refuse_memory(&f);
    const bool good = body && take_pull(body, p, &f);
    json_decref(body);
    if (!good) {
        if (p) request_release(p->r);
        free(p);
        return answer_failure(x, &f);
    }
    request *r = p->r;
    p->o = models_options();
    request_hold(r); /* for the thread */
    answer_events(x, r);
    if (start(p)) return;
    tell_failure(r, "the server is out of memory");
    request_release(r);
    free(p);
}
