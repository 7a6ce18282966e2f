/* The state of llama-server: properties, slots, adapters, and which of them clients may change. */
#include "server/llama.h"

#include "server/completion.h"
#include "server/write.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The model that a request asks about, held: that of ?model=NAME, otherwise the first loaded one. If none is loaded:
 * NULL with f->status 0. */
static served_model *find_model(const exchange *x, failure *f) {
    const char *name = exchange_argument(x, "model");
    if (name && *name) return model_acquire(name, f);
    for (size_t i = 0; i < models_count(); i++)
        if (model_get_state(model_at(i)) == MODEL_READY) return model_acquire(model_at(i)->name, f);
    return NULL;
}

static void answer_refusal(exchange *x, int status, const char *message) {
    failure f;
    refuse(&f, status, NULL, "%s", message);
    answer_failure(x, &f);
}

/* ------------------------------------------------------------------------------------------------ props */

static json_t *text_of_token(const served_model *m, int32_t token) {
    const cllm_string text = cllm_tokenizer_piece(cllm_model_tokenizer(m->run.model), token);
    return json_text(text.data ? text.data : "", text.length);
}

static json_t *next_token(bool goes_on, bool has_new_line, uint64_t n_most, size_t n_drawn) {
    return json_pack("{s:b, s:b, s:I, s:I}", "has_next_token", goes_on, "has_new_line", has_new_line, "n_remain",
                     n_most == UINT64_MAX ? (json_int_t)-1 : (json_int_t)(n_most - n_drawn), "n_decoded",
                     (json_int_t)n_drawn);
}

static json_t *describe_slot(const served_model *m, uint32_t index, const slot *at) {
    const choice *c = at ? at->choice : NULL;
    const request *r = c ? c->request : NULL;
    json_t *o = json_object();
    json_put(&o, "id", json_integer(index));
    json_put(&o, "id_task", at && at->task > 0 ? json_integer((json_int_t)at->task) : json_integer(-1));
    json_put(&o, "n_ctx", json_integer(m->n_ctx));
    json_put(&o, "speculative", json_boolean(m->drafts));
    json_put(&o, "is_processing", json_boolean(c));
    json_put(&o, "params", llama_settings(m, r));
    json_put(&o, "next_token",
             next_token(c, c && c->has_new_line, r ? r->n_most : UINT64_MAX, c ? c->usage.n_drawn : 0));
    if (c) {
        json_put(&o, "n_prompt_tokens", json_integer((json_int_t)c->usage.n_prompt));
        json_put(&o, "n_prompt_tokens_processed", json_integer((json_int_t)c->usage.n_read));
        json_put(&o, "n_prompt_tokens_cache", json_integer((json_int_t)c->usage.n_cached));
    }
    return o;
}

static json_t *describe_props(const served_model *m) {
    const cllm_tokenizer *t = cllm_model_tokenizer(m->run.model);
    const cllm_string template = m->chat ? cllm_chat_source(m->chat) : (cllm_string){"", 0};
    json_t *o = json_object(), *settings = describe_slot(m, 0, NULL);
    json_put(&settings, "prompt", json_string(""));
    json_put(&o, "default_generation_settings", settings);
    json_put(&o, "total_slots", json_integer(m->n_slots));
    json_put(&o, "n_ctx", json_integer(m->n_ctx));
    json_put(&o, "model_alias", json_text(m->name, strlen(m->name)));
    json_put(&o, "model_path", json_text(m->path, strlen(m->path)));
    json_put(&o, "chat_template", json_text(template.data, template.length));
    json_put(&o, "chat_template_caps", json_object());
    json_put(&o, "bos_token", text_of_token(m, cllm_tokenizer_bos(t)));
    json_put(&o, "eos_token", text_of_token(m, cllm_tokenizer_eos(t)));
    json_put(&o, "modalities", json_pack("{s:b, s:b}", "vision", 0, "audio", 0));
    return o;
}

void llama_props(exchange *x) {
    failure f = {0};
    served_model *m = find_model(x, &f);
    if (f.status != 0) return answer_failure(x, &f);
    json_t *o = m ? describe_props(m) : json_object();
    json_put(&o, "build_info", json_string("mini-cllm " CLLM_VERSION));
    json_put(&o, "is_sleeping", json_boolean(!m));
    model_release(m);
    answer_json(x, 200, o);
}

void llama_set_props(exchange *x) {
    answer_refusal(x, 501, "the server's properties cannot be changed while it runs; give options when you start it");
}

/* ------------------------------------------------------------------------------------------------ slots */

typedef struct slots_report {
    const served_model *model;
    json_t *list;
    size_t n_free;
} slots_report;

/* Describe all slots. Runs in the engine's thread, which owns them. */
static void report_slots(void *user) {
    slots_report *report = user;
    uint32_t n;
    const slot *slots = scheduler_slots(report->model->scheduler, &n);
    for (uint32_t i = 0; i < n; i++) {
        json_add(&report->list, describe_slot(report->model, i, &slots[i]));
        report->n_free += !slots[i].choice;
    }
}

void llama_slots(exchange *x) {
    failure f = {0};
    served_model *m = find_model(x, &f);
    if (f.status != 0) return answer_failure(x, &f);
    slots_report report = {.model = m, .list = json_array(), .n_free = !m};
    const char *fails = exchange_argument(x, "fail_on_no_slot");
    if (m && m->o.no_slots)
        refuse(&f, 501, NULL, "slots are hidden; start the server without --no-slots");
    else if (m)
        scheduler_call(m->scheduler, report_slots, &report);
    if (f.status == 0 && report.n_free == 0 && fails && strcmp(fails, "0") != 0)
        refuse(&f, 503, NULL, "no slot is free");
    model_release(m);
    if (f.status == 0) return answer_json(x, 200, report.list);
    json_decref(report.list);
    answer_failure(x, &f);
}

/* A task for a slot, which runs in the engine's thread, and its result. */
typedef struct slot_order {
    const served_model *model;
    uint32_t index;
    const char *path; /* a file, or NULL */
    size_t n_tokens;
    bool is_busy;
    cllm_error err; /* CLLM_OK if it was done */
} slot_order;

/* Make a sequence with the text that ran last in the slot: from the cache; missing tokens are evaluated again. */
static cllm_status sequence_of(const slot_order *order, const slot *at, cllm_sequence **sequence, cllm_error *err) {
    cllm_engine *engine = scheduler_engine(order->model->scheduler);
    cllm_status status = cllm_sequence_create(engine, sequence, err);
    if (status != CLLM_OK) return status;
    const size_t n = cllm_sequence_reuse(*sequence, at->last.ids, at->last.count);
    cllm_span span = {.sequence = *sequence, .tokens = at->last.ids + n, .count = at->last.count - n};
    if (span.count > 0) status = cllm_eval(engine, &span, 1, err);
    return status;
}

static slot *slot_of(slot_order *order) {
    uint32_t n;
    slot *at = &scheduler_slots(order->model->scheduler, &n)[order->index];
    order->is_busy = at->choice;
    return at;
}

static void save_slot(void *user) {
    slot_order *order = user;
    const slot *at = slot_of(order);
    cllm_sequence *sequence = NULL;
    if (order->is_busy) return;
    cllm_status status = sequence_of(order, at, &sequence, &order->err);
    if (status == CLLM_OK) status = cllm_sequence_save(sequence, order->path, &order->err);
    order->n_tokens = at->last.count;
    order->err.status = status;
    cllm_sequence_destroy(sequence);
}

static void restore_slot(void *user) {
    slot_order *order = user;
    slot *at = slot_of(order);
    cllm_sequence *sequence = NULL;
    if (order->is_busy) return;
    cllm_status status =
        cllm_sequence_load(scheduler_engine(order->model->scheduler), order->path, &sequence, &order->err);
    const size_t n = status == CLLM_OK ? cllm_sequence_length(sequence) : 0;
    id_list tokens = {0};
    for (size_t i = 0; i < n && status == CLLM_OK; i++)
        if (!id_list_add(&tokens, cllm_sequence_tokens(sequence)[i])) status = CLLM_ERR_MEMORY;
    if (status == CLLM_OK) {
        free(at->last.ids);
        at->last = tokens;
    } else {
        free(tokens.ids);
    }
    order->n_tokens = n;
    order->err.status = status;
    cllm_sequence_destroy(sequence); /* the cache keeps its pages */
}

static void erase_slot(void *user) {
    slot_order *order = user;
    slot *at = slot_of(order);
    if (order->is_busy) return;
    order->n_tokens = at->last.count;
    at->last.count = 0;
}

/* The name of a file must not lead out of the folder, be hidden there, or be the name of a file that is being saved. */
static bool check_file_name(const char *name, size_t length, failure *f) {
    static const char partial[] = ".partial";
    const size_t n_partial = sizeof partial - 1;
    const bool good = length > 0 && length < 200 && strlen(name) == length && *name != '.' && !strpbrk(name, "/\\:") &&
                      !(length > n_partial && strcmp(name + length - n_partial, partial) == 0);
    for (size_t i = 0; good && i < length; i++)
        if ((unsigned char)name[i] < 32 || name[i] == 127)
            return refuse(f, 400, "filename", "filename: control characters are not allowed");
    return good ||
           refuse(f, 400, "filename",
                  "filename: must be a name without separators that does not begin with a dot or end in .partial");
}

static void answer_order(exchange *x, const slot_order *order, const char *name, const char *action, double seconds) {
    struct stat file;
    const bool saves = strcmp(action, "save") == 0;
    json_t *o = json_object(), *timings = json_object();
    json_put(&o, "id_slot", json_integer(order->index));
    if (!order->path) {
        json_put(&o, "n_erased", json_integer((json_int_t)order->n_tokens));
        json_decref(timings);
        return answer_json(x, 200, o);
    }
    json_put(&o, "filename", json_text(name, strlen(name)));
    json_put(&o, saves ? "n_saved" : "n_restored", json_integer((json_int_t)order->n_tokens));
    json_put(&o, saves ? "n_written" : "n_read",
             json_integer(stat(order->path, &file) == 0 ? (json_int_t)file.st_size : 0));
    json_put(&timings, saves ? "save_ms" : "restore_ms", json_number(seconds * 1000));
    json_put(&o, "timings", timings);
    answer_json(x, 200, o);
}

static bool do_order(slot_order *order, void (*act)(void *user), failure *f) {
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* two models may use the same file */
    pthread_mutex_lock(&one_at_a_time);
    scheduler_call(order->model->scheduler, act, order);
    pthread_mutex_unlock(&one_at_a_time);
    if (order->is_busy) {
        refuse(f, 503, NULL, "slot %u is busy; try again when its request has ended", order->index);
        f->retry_after = 1;
        return false;
    }
    switch (order->err.status) {
    case CLLM_OK: return true;
    case CLLM_ERR_MEMORY: refuse(f, 503, NULL, "%s", order->err.message); break;
    case CLLM_ERR_IO: /* the message has the full path, which clients should not see */
        refuse(f, act == save_slot ? 500 : 404, "filename", "the file could not be %s",
               act == save_slot ? "written" : "read");
        break;
    default: refuse(f, 400, "filename", "%s", order->err.message); break;
    }
    return false;
}

/* The path of the file: owned. NULL: f says why. */
static char *file_of(const served_model *m, const json_t *body, failure *f) {
    const json_t *name = field_find(body, "filename");
    const char *folder = m->o.slot_save_path;
    char *path = NULL;
    if (!folder) {
        refuse(f, 501, NULL, "saving slots is off; start the server with --slot-save-path FOLDER");
    } else if (!json_is_string(name)) {
        refuse(f, 400, "filename", "filename: must be a string");
    } else if (check_file_name(json_string_value(name), json_string_length(name), f)) {
        const size_t size = strlen(folder) + json_string_length(name) + 2;
        path = malloc(size);
        if (path)
            snprintf(path, size, "%s/%s", folder, json_string_value(name));
        else
            refuse_memory(f);
    }
    return path;
}

/* POST /slots/N?action=ACTION */
void llama_change_slot(exchange *x) {
    static const struct {
        const char *name;
        void (*act)(void *user);
        bool has_file;
    } actions[] = {{"save", save_slot, true}, {"restore", restore_slot, true}, {"erase", erase_slot, false}};
    failure f = {0};
    size_t i = 0;
    char *end;
    const char *action = exchange_argument(x, "action");
    const unsigned long index = strtoul(x->rest, &end, 10);
    while (i < 3 && (!action || strcmp(actions[i].name, action) != 0)) i++;
    if (i == 3) return answer_refusal(x, 400, "action: must be save, restore or erase, in the query");
    json_t *body = actions[i].has_file ? exchange_json(x, &f) : NULL;
    served_model *m = f.status == 0 ? find_model(x, &f) : NULL;
    if (!m && f.status == 0) refuse(&f, 503, NULL, "no model is loaded");
    if (m && (*x->rest < '0' || *x->rest > '9' || *end || index >= m->n_slots))
        refuse(&f, 400, "id_slot", "there is no slot '%.20s'; slots are 0 to %u", x->rest, m->n_slots - 1);
    if (m && f.status == 0 && actions[i].act == restore_slot && m->o.cache_ram == 0)
        refuse(&f, 501, NULL, "restoring needs the prefix cache; start the server without --cache-ram 0");
    slot_order order = {.model = m, .index = (uint32_t)index};
    char *path = m && f.status == 0 && actions[i].has_file ? file_of(m, body, &f) : NULL;
    order.path = path;
    const double begun = now();
    if (m && f.status == 0 && do_order(&order, actions[i].act, &f))
        answer_order(x, &order, json_string_value(json_object_get(body, "filename")), action, now() - begun);
    else
        answer_failure(x, &f);
    free(path);
    json_decref(body);
    model_release(m);
}

/* --------------------------------------------------------------------------------------------- adapters */

void llama_adapters(exchange *x) {
    failure f = {0};
    served_model *m = find_model(x, &f);
    if (f.status != 0) return answer_failure(x, &f);
    json_t *list = json_array();
    for (size_t i = 0; m && i < m->o.n_loras; i++)
        json_add(&list, json_pack("{s:I, s:o, s:f}", "id", (json_int_t)i, "path",
                                  json_text(m->o.loras[i].path, strlen(m->o.loras[i].path)), "scale",
                                  (double)m->o.loras[i].scale));
    model_release(m);
    answer_json(x, 200, list);
}

void llama_set_adapters(exchange *x) {
    answer_refusal(x, 501, "adapters cannot be changed while the server runs; give --lora FILE:SCALE when it starts");
}

/* ----------------------------------------------------------------------------------------------- models */

static void change_model(exchange *x, bool (*change)(const char *name, failure *f)) {
    failure f = {0};
    const char *name = NULL;
    json_t *body = exchange_json(x, &f);
    bool done = body && field_string(body, "model", &name, &f);
    if (done && !name) done = refuse(&f, 400, "model", "model is missing");
    if (done) done = change(name, &f);
    json_decref(body);
    if (done) return answer_json(x, 200, json_pack("{s:b}", "success", 1));
    answer_failure(x, &f);
}

void llama_load(exchange *x) { change_model(x, model_load_now); }
void llama_unload(exchange *x) { change_model(x, model_unload); }
