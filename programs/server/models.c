/* Implements models.h. */
#include "server/models.h"

#include "interrupt.h"
#include "model_store.h"
#include "sampling.h"
#include "text_stream.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { ROOM_SECONDS = 5 }; /* how long a request waits until another model is unused and can be unloaded */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    served_model **items; /* [n] */
    size_t n, n_given;    /* n_given: models of the command line, which come first */
    const options *o;
    const char **aliases; /* [n_aliases] for the first model */
    size_t n_aliases;
    atomic_bool ready, closing;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The clock for waiting on the condition. With CLOCK_REALTIME, a request could wait for hours if somebody sets the
 * system's time back; but on Apple's systems conditions can use no other clock. */
#if defined(__APPLE__)
#define WAIT_CLOCK CLOCK_REALTIME
#else
#define WAIT_CLOCK CLOCK_MONOTONIC
#endif

/* ------------------------------------------------------------------------------------------------- names */

static char *name_of_path(const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    return strndup(base, strlen(base) - (text_ends_with(base, ".gguf") ? strlen(".gguf") : 0));
}

static int64_t time_of(const char *path) {
    struct stat file;
    return stat(path, &file) == 0 ? (int64_t)file.st_mtime : 0;
}

static bool add_model(const char *name, const char *path) {
    served_model **more = realloc(all.items, (all.n + 1) * sizeof *more);
    if (!more) return false;
    all.items = more;
    served_model *m = calloc(1, sizeof *m);
    if (!m) return false;
    all.items[all.n++] = m;
    m->name = strdup(name);
    m->path = strdup(path);
    m->created = time_of(path);
    m->o = *all.o;
    m->o.model = m->path;
    pthread_mutex_init(&m->lock, NULL);
    metrics_init(&m->metrics);
    return m->name && m->path;
}

static void add_pulled(void *user, const stored_model *stored) {
    bool *whole = user;
    const path_text path = stored_path(stored);
    if (*path.text) *whole &= add_model(stored->name.text, path.text);
}

static void make_condition(void) {
    pthread_condattr_t form;
    pthread_condattr_init(&form);
#if !defined(__APPLE__)
    pthread_condattr_setclock(&form, WAIT_CLOCK);
#endif
    pthread_cond_init(&all.changed, &form);
    pthread_condattr_destroy(&form);
}

int models_open(const options *o) {
    make_condition();
    all.o = o;
    bool whole = true;
    for (size_t i = 0; whole && o->model && i <= o->n_arguments; i++) {
        const char *path = i == 0 ? o->model : o->arguments[i - 1];
        const char *said = i < o->n_names ? o->names[i] : path; /* as the user wrote it */
        char *name = said == path || strcmp(said, path) == 0 ? name_of_path(path) : strdup(said);
        whole = name && add_model(name, path);
        free(name);
    }
    for (size_t i = 0; whole && i < all.n; i++) {
        cllm_gguf *gguf;
        const int status =
            open_gguf(o, all.items[i]->path, &gguf); /* report a bad model now, not at its first request */
        if (status != EXIT_SUCCESS) return status;
        close_gguf(gguf);
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(all.items[k]->name, all.items[i]->name) == 0)
                return usage_error("two models have the name %s: %s and %s", all.items[i]->name, all.items[k]->path,
                                   all.items[i]->path);
    }
    all.n_given = all.n;
    if (all.n == 0) store_each(add_pulled, &whole);
    if (!whole) return fail("out of memory");
    all.aliases = o->alias.items;
    all.n_aliases = o->alias.count;
    if (all.n_aliases > 0 && all.n != 1) return usage_error("--alias: works with one model; %zu are served", all.n);
    return EXIT_SUCCESS;
}

/* The Hub's own name of a model; clients of ollama write hf.co/OWNER/NAME. */
static const char *name_without_hub(const char *name) {
    static const char *const hubs[] = {"hf:", "hf.co/", "huggingface.co/"};
    for (size_t i = 0; i < sizeof hubs / sizeof *hubs; i++)
        if (strncasecmp(name, hubs[i], strlen(hubs[i])) == 0) return name + strlen(hubs[i]);
    return name;
}

/* Compare names without case; paths and aliases must be equal. As in ollama, a name may have an extra tag :latest. A
 * name without a tag matches any tag. */
static bool is_name_of(const served_model *m, const char *name) {
    const char *own = name_without_hub(m->name), *wanted = name_without_hub(name);
    const size_t n = strlen(wanted) - (text_ends_with(wanted, ":latest") ? strlen(":latest") : 0);
    if (strcasecmp(own, wanted) == 0 || strcmp(m->path, name) == 0) return true;
    if (n > 0 && strncasecmp(own, wanted, n) == 0 && (!own[n] || own[n] == ':')) return true;
    for (size_t i = 0; i < all.n_aliases; i++)
        if (strcmp(all.aliases[i], name) == 0) return true;
    return false;
}

static void refuse_name(const char *name, failure *f) {
    if (all.n == 0)
        refuse(f, 404, "model", "there is no model; fetch one with 'mini-cllm pull'");
    else
        refuse(f, 404, "model", "the model '%.100s' does not exist; see the list at /v1/models", name ? name : "");
    f->code = "model_not_found";
}

static served_model *find_named(const char *name) {
    if (all.n > 0 && (!name || !*name)) return all.items[0];
    for (size_t i = 0; i < all.n; i++)
        if (is_name_of(all.items[i], name)) return all.items[i];
    return all.n == 1 && !all.o->strict_model ? all.items[0] : NULL;
}

served_model *model_find(const char *name, failure *f) {
    pthread_mutex_lock(&all.lock);
    served_model *m = find_named(name);
    if (!m) refuse_name(name, f);
    pthread_mutex_unlock(&all.lock);
    return m;
}

size_t models_count(void) {
    pthread_mutex_lock(&all.lock);
    const size_t n = all.n;
    pthread_mutex_unlock(&all.lock);
    return n;
}

served_model *model_at(size_t index) {
    pthread_mutex_lock(&all.lock);
    served_model *m = all.items[index];
    pthread_mutex_unlock(&all.lock);
    return m;
}

path_text model_path(const served_model *m) {
    pthread_mutex_lock(&all.lock);
    const path_text path = path_of("%s", m->path);
    pthread_mutex_unlock(&all.lock);
    return path;
}

const char *without_folder(const char *message, const char *path) {
    const char *slash = strrchr(path, '/');
    const size_t n_folder = slash ? (size_t)(slash + 1 - path) : 0;
    return strncmp(message, path, n_folder) == 0 ? message + n_folder : message;
}

const options *models_options(void) { return all.o; }
bool models_are_pulled(void) { return all.n_given == 0; }

/* ------------------------------------------------------------------------------------------------ loading */

static bool may_go_on(void *user, uint64_t done, uint64_t total) {
    (void)user, (void)done, (void)total;
    return !atomic_load(&all.closing);
}

static void unload(served_model *m) {
    scheduler_destroy(m->scheduler);
    cllm_token_index_destroy(m->index);
    cllm_chat_destroy(m->chat);
    run_close(&m->run);
    m->scheduler = NULL;
    m->index = NULL;
    m->chat = NULL;
    m->run = (struct run){.o = NULL};
}

static int make_templates(served_model *m) {
    const cllm_gguf *gguf = cllm_model_gguf(m->run.model);
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(m->run.model);
    cllm_error err;
    if (m->o.chat_template) return make_chat(&m->o, gguf, tokenizer, &m->chat);
    const cllm_chat_options wanted = {.gguf = gguf, .tokenizer = tokenizer};
    if (cllm_chat_create(&wanted, &m->chat, &err) == CLLM_OK) {
        if (*cllm_chat_note(m->chat)) note(&m->o, "%s: %s", m->name, cllm_chat_note(m->chat));
    } else {
        snprintf(m->chat_error, sizeof m->chat_error, "%s cannot chat: %s; give one with --chat-template NAME|FILE",
                 m->name, err.message);
        if (!cllm_model_get_info(m->run.model)->is_encoder) note(&m->o, "%s", m->chat_error);
        m->chat = NULL;
    }
    return EXIT_SUCCESS;
}

/* Positions of all requests together, and of one request. */
typedef struct context_sizes {
    uint64_t n_all;
    uint32_t n_ctx;
    bool unified; /* one request may use all */
} context_sizes;

static cllm_status find_sizes(const options *o, const cllm_gguf *gguf, context_sizes *sizes, cllm_error *err) {
    uint64_t n_all = o->ctx;
    if (n_all == 0) { /* as much of the model's context as fits in memory */
        const cllm_engine_options most = {.n_batch = (uint32_t)o->batch};
        cllm_memory_plan plan;
        const cllm_status status = cllm_plan_memory(gguf, &most, &plan, err);
        if (status != CLLM_OK) return status;
        n_all = plan.n_ctx;
    }
    const bool unified = o->kv_unified || !is_given(o, "parallel");
    const uint64_t n = unified ? n_all : (uint64_t)pages_of(n_all / o->parallel) * PAGE;
    *sizes = (context_sizes){n_all, n > 0 ? (uint32_t)n : PAGE, unified};
    return CLLM_OK;
}

/* Start the engine, with room for --parallel requests. */
static int start_engine(served_model *m) {
    const options *o = &m->o;
    context_sizes sizes;
    cllm_error err;
    if (find_sizes(o, cllm_model_gguf(m->run.model), &sizes, &err) != CLLM_OK) return fail_with(&err);
    const uint64_t n_all = sizes.n_all;
    const bool unified = sizes.unified;
    m->n_slots = (uint32_t)o->parallel;
    m->n_ctx = sizes.n_ctx;
    m->run.n_sequences = m->n_slots;
    m->run.n_positions = (uint32_t)(unified ? n_all : 0);
    m->run.cache_bytes = o->cache_ram << 20;
    m->run.pooling = pooling_of(o->pooling);
    const int status = run_start(&m->run, m->n_ctx);
    if (status != EXIT_SUCCESS) return status;
    cllm_sequence_destroy(m->run.sequence);
    m->run.sequence = NULL;
    cllm_engine_set_progress(m->run.engine, may_go_on, m);
    m->n_positions = unified ? (uint32_t)n_all : m->n_slots * m->n_ctx;
    m->n_batch = (uint32_t)o->batch;
    m->drafts = strcmp(o->draft, "lookup") == 0;
    return EXIT_SUCCESS;
}

/* good_file: out, false if the file is the reason for a failure. */
static int load(served_model *m, bool *good_file) {
    const double begun = now();
    int status = run_load(&m->run, &m->o);
    if (status == EXIT_SUCCESS && !cllm_model_tokenizer(m->run.model)) status = fail_without_tokenizer(&m->run);
    if (status == EXIT_SUCCESS) status = make_templates(m);
    *good_file = status == EXIT_SUCCESS;
    if (status == EXIT_SUCCESS) status = start_engine(m);
    if (status == EXIT_SUCCESS) {
        m->sampling = sampling_for(&m->run, &m->o.sampling);
        take_recommended(&m->o, cllm_model_gguf(m->run.model), &m->sampling, m->steps);
        if (!is_given(&m->o, "seed")) m->sampling.seed = UINT64_MAX;
        m->scheduler = scheduler_create(m, m->n_slots, (size_t)m->o.queue);
        if (!m->scheduler) status = fail("out of memory");
    }
    if (status != EXIT_SUCCESS) {
        unload(m);
        return status;
    }
    note(&m->o, "%s: ready after %.2f s; context %u tokens%s, %u request%s at a time", m->name, now() - begun, m->n_ctx,
         m->n_slots == 1             ? ""
         : m->n_positions > m->n_ctx ? " for each"
                                     : " for all together",
         m->n_slots, m->n_slots == 1 ? "" : "s");
    return EXIT_SUCCESS;
}

/* Unload a model. The caller holds the lock, which is released while the model is unloaded. */
static void unload_under_lock(served_model *m) {
    m->state = MODEL_UNLOADING;
    pthread_mutex_unlock(&all.lock);
    unload(m);
    pthread_mutex_lock(&all.lock);
    m->state = MODEL_UNLOADED;
    pthread_cond_broadcast(&all.changed);
}

static bool is_changing(const served_model *m) { return m->state == MODEL_LOADING || m->state == MODEL_UNLOADING; }

/* Make room for a model by unloading the one that has been unused the longest. Stops if another request begins to load
 * the model. The caller holds the lock, which is released while this waits. false: all models stay in use for
 * ROOM_SECONDS. */
static bool make_room(const served_model *wanted) {
    struct timespec end;
    clock_gettime(WAIT_CLOCK, &end);
    end.tv_sec += ROOM_SECONDS;
    for (bool waits = true; wanted->state != MODEL_READY && !is_changing(wanted);) {
        size_t n_loaded = 0, n_going = 0;
        served_model *oldest = NULL;
        for (size_t i = 0; i < all.n; i++) {
            served_model *m = all.items[i];
            n_loaded += m->state == MODEL_READY || is_changing(m);
            n_going += m->state == MODEL_UNLOADING;
            if (m->state == MODEL_READY && m->n_holders == 0 && (!oldest || m->last_used < oldest->last_used))
                oldest = m;
        }
        if (all.o->models_max == 0 || n_loaded < all.o->models_max) return true;
        if (n_going > 0) {
            pthread_cond_wait(&all.changed, &all.lock);
        } else if (oldest) {
            note(&oldest->o, "%s: unloaded, to make room", oldest->name);
            unload_under_lock(oldest);
        } else if (waits && !atomic_load(&all.closing)) { /* after a timeout, look once more */
            waits = pthread_cond_timedwait(&all.changed, &all.lock, &end) == 0;
        } else {
            return false;
        }
    }
    return true;
}

/* Refuse a request because its model failed to load; message: why. If the file is bad, the server itself works, and
 * asking again does not help: the status is 422, otherwise 500. */
static bool refuse_loading(const served_model *m, const char *message, bool good_file, failure *f) {
    if (atomic_load(&all.closing)) return refuse(f, 503, NULL, "the server is ending");
    return refuse(f, good_file ? 500 : 422, "model", "%s cannot be loaded: %s", m->name,
                  without_folder(message, m->path));
}

/* Load a model. The caller holds the lock, which is released while a model is loaded or unloaded: requests for other
 * models do not wait, requests for this one do. */
static bool load_under_lock(served_model *m, failure *f) {
    for (;;) {
        while (is_changing(m)) pthread_cond_wait(&all.changed, &all.lock);
        if (m->state == MODEL_READY) return true;
        if (!make_room(m)) {
            refuse(f, 503, NULL, "%s is not loaded, and all %llu loaded models are in use; try again later", m->name,
                   (unsigned long long)all.o->models_max);
            f->retry_after = ROOM_SECONDS;
            return false;
        }
        if (m->state == MODEL_UNLOADED || m->state == MODEL_FAILED) break; /* no other request has begun to load it */
    }
    m->state = MODEL_LOADING;
    m->keep_seconds = all.o->sleep_idle_seconds == UINT64_MAX ? -1 : (double)all.o->sleep_idle_seconds;
    pthread_mutex_unlock(&all.lock);
    bool good_file;
    char why[sizeof f->message] = "";
    fail_into(why, sizeof why);
    const int status = load(m, &good_file);
    fail_into(NULL, 0);
    pthread_mutex_lock(&all.lock);
    m->state = status == EXIT_SUCCESS ? MODEL_READY : MODEL_FAILED;
    m->last_used = now();
    pthread_cond_broadcast(&all.changed);
    if (status == EXIT_SUCCESS) return true;
    return refuse_loading(m, why, good_file, f);
}

served_model *model_acquire(const char *name, failure *f) {
    pthread_mutex_lock(&all.lock);
    served_model *m = find_named(name);
    bool ready = false;
    if (!m) {
        refuse_name(name, f);
    } else {
        m->n_holders++; /* so that it is not unloaded */
        ready = load_under_lock(m, f);
        if (!ready) m->n_holders--;
    }
    pthread_mutex_unlock(&all.lock);
    return ready ? m : NULL;
}

void model_release(served_model *m) {
    if (!m) return;
    pthread_mutex_lock(&all.lock);
    m->n_holders--;
    m->last_used = now();
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
}

bool model_hold(served_model *m) {
    pthread_mutex_lock(&all.lock);
    const bool ready = m->state == MODEL_READY;
    m->n_holders += ready;
    pthread_mutex_unlock(&all.lock);
    return ready;
}

void model_let_go(served_model *m) {
    pthread_mutex_lock(&all.lock);
    m->n_holders--;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
}

model_state model_get_state(const served_model *m) {
    pthread_mutex_lock(&all.lock);
    const model_state state = m->state;
    pthread_mutex_unlock(&all.lock);
    return state;
}

uint32_t model_n_ctx(served_model *m) {
    pthread_mutex_lock(&all.lock);
    uint32_t n_ctx = m->state == MODEL_READY ? m->n_ctx : m->n_ctx_expected;
    const path_text path = path_of("%s", m->path);
    pthread_mutex_unlock(&all.lock);
    if (n_ctx > 0) return n_ctx;
    const cllm_load_options load = {.overrides = m->o.overrides, .n_overrides = m->o.n_overrides};
    cllm_gguf *gguf;
    context_sizes sizes = {0};
    if (cllm_gguf_open(path.text, &load, &gguf, NULL) != CLLM_OK) return 0;
    if (find_sizes(&m->o, gguf, &sizes, NULL) == CLLM_OK) {
        pthread_mutex_lock(&all.lock);
        m->n_ctx_expected = sizes.n_ctx;
        pthread_mutex_unlock(&all.lock);
    }
    cllm_gguf_close(gguf);
    return sizes.n_ctx;
}

bool model_may_grow(const served_model *m, size_t n_ctx) {
    return n_ctx < cllm_model_get_info(m->run.model)->n_ctx_train;
}

bool model_load_now(const char *name, failure *f) {
    served_model *m = model_acquire(name, f);
    model_release(m);
    return m;
}

bool model_unload(const char *name, failure *f) {
    pthread_mutex_lock(&all.lock);
    served_model *m = find_named(name);
    bool done = m != NULL;
    if (!m) refuse(f, 404, "model", "the model '%.100s' does not exist", name ? name : "");
    if (m && m->state == MODEL_READY) {
        if (m->n_holders > 0) {
            done = refuse(f, 409, "model", "%s is in use", m->name);
        } else {
            unload_under_lock(m);
        }
    }
    pthread_mutex_unlock(&all.lock);
    return done;
}

/* Use a newer file of a model, as soon as nobody uses the older one. The caller holds the lock. */
static bool replace_file(served_model *m, const char *path) {
    char *newer = strdup(path);
    if (!newer) return false;
    while (is_changing(m) || m->n_holders > 0) pthread_cond_wait(&all.changed, &all.lock);
    if (m->state == MODEL_READY) unload_under_lock(m);
    m->state = MODEL_UNLOADED;
    m->n_ctx_expected = 0;
    free(m->path);
    m->o.model = m->path = newer;
    m->created = time_of(path);
    return true;
}

bool models_add_pulled(const char *name, const char *path) {
    served_model *m = NULL;
    pthread_mutex_lock(&all.lock);
    for (size_t i = 0; i < all.n && !m; i++)
        if (strcmp(all.items[i]->name, name) == 0) m = all.items[i];
    const bool done = !m ? add_model(name, path) : strcmp(m->path, path) == 0 || replace_file(m, path);
    pthread_mutex_unlock(&all.lock);
    return done;
}

void models_unload_idle(void) {
    pthread_mutex_lock(&all.lock);
    for (size_t i = 0; i < all.n; i++) {
        served_model *m = all.items[i];
        if (m->state != MODEL_READY || m->n_holders > 0 || m->keep_seconds < 0 ||
            now() - m->last_used < m->keep_seconds)
            continue;
        note(&m->o, "%s: unloaded: not used for %.0f s", m->name, m->keep_seconds);
        unload_under_lock(m);
    }
    pthread_mutex_unlock(&all.lock);
}

void model_keep(served_model *m, double seconds) {
    pthread_mutex_lock(&all.lock);
    m->keep_seconds = seconds;
    pthread_mutex_unlock(&all.lock);
}

double model_expires(served_model *m) {
    pthread_mutex_lock(&all.lock);
    const double from = m->n_holders > 0 ? now() : m->last_used;
    const double expires = m->keep_seconds < 0 ? -1 : from + m->keep_seconds;
    pthread_mutex_unlock(&all.lock);
    return expires;
}

bool models_ready(void) { return atomic_load(&all.ready); }

int models_load_first(void) {
    failure f = {0};
    if (all.n_given > 0 && !model_load_now(NULL, &f)) return interrupted() ? EXIT_INTERRUPTED : EXIT_FAILURE;
    atomic_store(&all.ready, true);
    return EXIT_SUCCESS;
}

void models_end_requests(void) {
    atomic_store(&all.closing, true);
    pthread_mutex_lock(&all.lock);
    for (size_t i = 0; i < all.n; i++)
        if (all.items[i]->state == MODEL_READY) scheduler_end_requests(all.items[i]->scheduler);
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
}

void models_close(void) {
    atomic_store(&all.closing, true);
    for (size_t i = 0; i < all.n; i++) {
        served_model *m = all.items[i];
        if (m->state == MODEL_READY) unload(m);
        free(m->name);
        free(m->path);
        free(m);
    }
    free(all.items);
    all.items = NULL;
    all.n = 0;
}

/* -------------------------------------------------------------------------------------------------- use */

cllm_token_index *model_index(served_model *m) {
    cllm_error err;
    pthread_mutex_lock(&m->lock);
    if (!m->index && cllm_token_index_create(cllm_model_tokenizer(m->run.model), &m->index, &err) != CLLM_OK)
        m->index = NULL;
    cllm_token_index *index = m->index;
    pthread_mutex_unlock(&m->lock);
    return index;
}

cllm_stats model_stats(served_model *m) { return scheduler_stats(m->scheduler); }

bool model_encode(const served_model *m, const char *text, size_t length, int flags, int32_t **tokens, size_t *count,
                  failure *f) {
    cllm_error err;
    if (cllm_tokenizer_encode(cllm_model_tokenizer(m->run.model), text, length, flags, tokens, count, &err) == CLLM_OK)
        return true;
    return refuse(f, 400, NULL, "%s", err.message);
}

bool model_token_ids(const served_model *m, const json_t *list, const char *name, int32_t **tokens, failure *f) {
    const uint32_t n_vocab = cllm_model_get_info(m->run.model)->n_vocab;
    const json_t *item;
    size_t i;
    *tokens = malloc((json_array_size(list) + 1) * sizeof **tokens);
    if (!*tokens) return refuse_memory(f);
    json_array_foreach(list, i, item) {
        const json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id >= n_vocab) {
            free(*tokens);
            return refuse(f, 400, name, "%s[%zu]: must be a token id from 0 to %u", name, i, n_vocab - 1);
        }
        (*tokens)[i] = (int32_t)id;
    }
    return true;
}
