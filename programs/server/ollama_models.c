/* ollama's endpoints for models: which ones exist, what they can do, which are loaded. Facts about a model come from
 * its file, loaded or not. */
#include "server/ollama.h"

#include "server/ask.h"
#include "server/dialects.h"
#include "server/fill.h"
#include "server/write.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* The version of ollama whose API this is. Clients compare it, so it has only numbers and dots. */
static const char api_version[] = "0.12.0";

enum { SHOWN_ELEMENTS = 5 }; /* most elements of an array in metadata; a longer array is shown empty */

/* -------------------------------------------------------------------------------------------- a model's file */

/* A file that is open to read facts from it. */
typedef struct opened {
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer; /* or NULL */
    cllm_chat *chat;           /* or NULL */
} opened;

static void close_file(opened *file) {
    cllm_chat_destroy(file->chat);
    cllm_tokenizer_destroy(file->tokenizer);
    cllm_gguf_close(file->gguf);
}

/* all_of_it: also open its tokenizer and template. */
static bool open_file(const served_model *m, bool all_of_it, opened *file, failure *f) {
    const cllm_load_options wanted = {.overrides = m->o.overrides, .n_overrides = m->o.n_overrides};
    cllm_error err;
    *file = (opened){0};
    const path_text path = model_path(m);
    if (cllm_gguf_open(path.text, &wanted, &file->gguf, &err) != CLLM_OK) {
        file->gguf = NULL;
        return refuse(f, 422, NULL, "%s cannot be loaded: %s", m->name, without_folder(err.message, path.text));
    }
    if (!all_of_it) return true;
    if (cllm_tokenizer_create(file->gguf, &file->tokenizer, NULL) != CLLM_OK) file->tokenizer = NULL;
    if (m->o.chat_template) {
        if (make_chat(&m->o, file->gguf, file->tokenizer, &file->chat) != EXIT_SUCCESS) file->chat = NULL;
    } else {
        const cllm_chat_options chat = {.gguf = file->gguf, .tokenizer = file->tokenizer};
        if (cllm_chat_create(&chat, &file->chat, NULL) != CLLM_OK) file->chat = NULL;
    }
    return true;
}

static cllm_string text_at(const cllm_gguf *gguf, const char *key) {
    const cllm_value *value = cllm_gguf_find(gguf, key);
    return value && value->type == CLLM_STRING ? value->string : (cllm_string){"", 0};
}

/* Find a key with the architecture in front, such as context_length. */
static const cllm_value *find_of_architecture(const cllm_gguf *gguf, const char *key) {
    char name[160];
    const cllm_string architecture = text_at(gguf, "general.architecture");
    snprintf(name, sizeof name, "%.*s.%s", (int)(architecture.length < 100 ? architecture.length : 100),
             architecture.data, key);
    return cllm_gguf_find(gguf, name);
}

static uint64_t number_of_architecture(const cllm_gguf *gguf, const char *key) {
    const cllm_value *value = find_of_architecture(gguf, key);
    return value && (value->type == CLLM_UINT32 || value->type == CLLM_UINT64) ? value->u : 0;
}

static uint64_t n_parameters(const cllm_gguf *gguf) {
    uint64_t sum = 0;
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        sum += t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3];
    }
    return sum;
}

static json_t *json_whole(uint64_t value) {
    return value <= INT64_MAX ? json_integer((json_int_t)value) : json_real((double)value);
}

static json_t *json_string_of(cllm_string text) { return json_text(text.data, text.length); }

/* 1.2B, 134.52M, 260K */
static json_t *json_size(uint64_t n) {
    static const struct {
        double unit;
        const char *letter;
        int digits;
    } units[] = {{1e9, "B", 1}, {1e6, "M", 2}, {1e3, "K", 0}, {1, "", 0}};
    char text[32];
    size_t i = 0;
    while (i < 3 && (double)n < units[i].unit) i++;
    const double number = (double)n / units[i].unit;
    snprintf(text, sizeof text, "%.*f%s", number == floor(number) ? 0 : units[i].digits, number, units[i].letter);
    return json_string(text);
}

/* The name of general.file_type, or else the type that most bytes have. */
static const char *quantization_of(const cllm_gguf *gguf) {
    static const char *const names[] = {
        [0] = "F32",     [1] = "F16",     [2] = "Q4_0",     [3] = "Q4_1",    [7] = "Q8_0",     [8] = "Q5_0",
        [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S",  [12] = "Q3_K_M", [13] = "Q3_K_L",  [14] = "Q4_K_S",
        [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",  [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",
        [21] = "Q2_K_S", [22] = "IQ3_XS", [23] = "IQ3_XXS", [24] = "IQ1_S",  [25] = "IQ4_NL",  [26] = "IQ3_S",
        [27] = "IQ3_M",  [28] = "IQ2_S",  [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",   [32] = "BF16",
        [36] = "TQ1_0",  [37] = "TQ2_0",  [38] = "MXFP4",
    };
    const cllm_value *type = cllm_gguf_find(gguf, "general.file_type");
    if (type && type->type == CLLM_UINT32 && type->u < sizeof names / sizeof *names && names[type->u])
        return names[type->u];
    int32_t most = 0;
    uint64_t most_bytes = 0;
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        if (t->n_bytes <= most_bytes) continue;
        most_bytes = t->n_bytes;
        most = t->type;
    }
    return cllm_tensor_type_name(most);
}

/* ------------------------------------------------------------------------------------------ capabilities */

static capabilities capabilities_of(const opened *file) {
    fill_tokens fill;
    const bool embeds = find_of_architecture(file->gguf, "pooling_type") != NULL;
    return (capabilities){
        .completion = !embeds,
        .embedding = embeds,
        .tools = !embeds && file->chat && chat_takes_tools(file->chat),
        .thinking = !embeds && file->chat && cllm_chat_reasoning_end(file->chat).length > 0,
        .insert = !embeds && file->tokenizer && find_fill_tokens(file->gguf, file->tokenizer, &fill),
    };
}

static json_t *list_of_capabilities(const capabilities *can) {
    json_t *list = json_array();
    if (can->completion) json_add(&list, json_string("completion"));
    if (can->embedding) json_add(&list, json_string("embedding"));
    if (can->tools) json_add(&list, json_string("tools"));
    if (can->thinking) json_add(&list, json_string("thinking"));
    if (can->insert) json_add(&list, json_string("insert"));
    return list;
}

/* ------------------------------------------------------------------------------------------- what is known */

/* Facts read from a file, kept so that it is opened once, since clients ask for lists over and over. */
typedef struct known {
    const served_model *model;
    path_text path;
    struct timespec modified;
    uint64_t size;
    json_t *details; /* owned */
    capabilities can;
    char digest[65];
} known;

static struct {
    pthread_mutex_t lock;
    known **items; /* [n] */
    size_t n;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static json_t *details_of(const cllm_gguf *gguf) {
    const cllm_string architecture = text_at(gguf, "general.architecture");
    json_t *o = json_object(), *families = json_array();
    json_add(&families, json_string_of(architecture));
    json_put(&o, "parent_model", json_string(""));
    json_put(&o, "format", json_string("gguf"));
    json_put(&o, "family", json_string_of(architecture));
    json_put(&o, "families", families);
    json_put(&o, "parameter_size", json_size(n_parameters(gguf)));
    json_put(&o, "quantization_level", json_string(quantization_of(gguf)));
    json_put(&o, "context_length", json_whole(number_of_architecture(gguf, "context_length")));
    json_put(&o, "embedding_length", json_whole(number_of_architecture(gguf, "embedding_length")));
    return o;
}

/* An identifier made from the file's path, size and time. A SHA-256 of its contents would have to read every byte. */
static void make_digest(known *k) {
    for (unsigned i = 0; i < 4; i++) {
        uint64_t x = 0xCBF29CE484222325u + i;
        for (const char *at = k->path.text; *at; at++) x = (x ^ (unsigned char)*at) * 0x100000001B3u;
        x = (x ^ k->size) * 0x9E3779B97F4A7C15u;
        x = (x ^ (uint64_t)k->modified.tv_sec ^ x >> 29) * 0xBF58476D1CE4E5B9u;
        snprintf(k->digest + 16 * i, 17, "%016" PRIx64, x ^ x >> 32);
    }
}

/* The caller holds the lock. NULL: f says why. */
static known *find_known(const served_model *m, failure *f) {
    struct stat file;
    opened now_open;
    known *k = NULL;
    for (size_t i = 0; i < all.n && !k; i++)
        if (all.items[i]->model == m) k = all.items[i];
    const path_text path = model_path(m);
    if (stat(path.text, &file) != 0) {
        refuse(f, 500, NULL, "%s: the model's file is missing", m->name);
        return NULL;
    }
    if (k && strcmp(k->path.text, path.text) == 0 && k->modified.tv_sec == file.st_mtim.tv_sec &&
        k->modified.tv_nsec == file.st_mtim.tv_nsec)
        return k;
    if (!open_file(m, true, &now_open, f)) return NULL;
    if (!k) {
        known **more = realloc(all.items, (all.n + 1) * sizeof *more);
        if (more) all.items = more;
        k = more ? calloc(1, sizeof *k) : NULL;
        if (k) all.items[all.n++] = k;
    }
    if (k) {
        json_decref(k->details);
        *k = (known){.model = m, .path = path, .modified = file.st_mtim, .size = cllm_gguf_n_bytes(now_open.gguf)};
        k->details = details_of(now_open.gguf);
        k->can = capabilities_of(&now_open);
        make_digest(k);
    } else {
        refuse_memory(f);
    }
    close_file(&now_open);
    return k;
}

bool ollama_can(served_model *m, capabilities *can, failure *f) {
    pthread_mutex_lock(&all.lock);
    const known *k = find_known(m, f);
    if (k) *can = k->can;
    pthread_mutex_unlock(&all.lock);
    return k;
}

/* The name of a model for ollama's clients: a name without a tag gets :latest. */
static json_t *tagged_name(const served_model *m) {
    const path_text name = path_of(strchr(m->name, ':') ? "%s" : "%s:latest", m->name);
    return json_text(name.text, strlen(name.text));
}

/* Describe a model for the lists. NULL: its file cannot be read. */
static json_t *describe(const served_model *m) {
    failure f;
    pthread_mutex_lock(&all.lock);
    const known *k = find_known(m, &f);
    json_t *o = k ? json_object() : NULL;
    if (k) {
        json_put(&o, "name", tagged_name(m));
        json_put(&o, "model", tagged_name(m));
        json_put(&o, "modified_at", ollama_time((double)k->modified.tv_sec + (double)k->modified.tv_nsec / 1e9));
        json_put(&o, "size", json_whole(k->size));
        json_put(&o, "digest", json_string(k->digest));
        json_put(&o, "details", json_deep_copy(k->details));
        json_put(&o, "capabilities", list_of_capabilities(&k->can));
    }
    pthread_mutex_unlock(&all.lock);
    return o;
}

/* ------------------------------------------------------------------------------------------------- lists */

void ollama_tags(exchange *x) {
    json_t *list = json_array();
    for (size_t i = 0; i < models_count(); i++) {
        json_t *o = describe(model_at(i));
        if (o) json_add(&list, o);
    }
    answer_json(x, 200, json_pack("{s:o}", "models", list));
}

/* Describe a held model: its memory, its context, and when it will be unloaded. */
static json_t *describe_loaded(served_model *m) {
    const double never = 100 * 365.0 * 86400; /* seconds from now, because clients need a date */
    const cllm_memory_plan *plan = cllm_engine_plan(m->run.engine);
    const uint64_t on_gpu = plan->n_gpu_layers > 0 ? plan->gpu_weights + plan->gpu_kv_cache + plan->gpu_scratch : 0;
    const double expires = model_expires(m), left = expires < 0 ? never : fmax(expires - now(), 0);
    json_t *o = describe(m);
    if (!o) return NULL;
    json_object_del(o, "modified_at");
    json_object_del(o, "capabilities");
    json_put(&o, "size",
             json_whole(plan->weights + plan->kv_cache + plan->states + plan->scratch + on_gpu -
                        (on_gpu ? plan->gpu_weights : 0)));
    json_put(&o, "size_vram", json_whole(on_gpu));
    json_put(&o, "context_length", json_whole(m->n_ctx));
    json_put(&o, "expires_at", ollama_time(ollama_now() + fmin(left, never)));
    return o;
}

void ollama_ps(exchange *x) {
    json_t *list = json_array();
    for (size_t i = 0; i < models_count(); i++) {
        served_model *m = model_at(i);
        if (!model_hold(m)) continue;
        json_t *o = describe_loaded(m);
        model_let_go(m);
        if (o) json_add(&list, o);
    }
    answer_json(x, 200, json_pack("{s:o}", "models", list));
}

/* -------------------------------------------------------------------------------------------------- show */

static json_t *json_value(const cllm_value *value, bool verbose) {
    switch (value->type) {
    case CLLM_UINT8:
    case CLLM_UINT16:
    case CLLM_UINT32:
    case CLLM_UINT64: return json_whole(value->u);
    case CLLM_INT8:
    case CLLM_INT16:
    case CLLM_INT32:
    case CLLM_INT64: return json_integer((json_int_t)value->i);
    case CLLM_FLOAT32:
    case CLLM_FLOAT64: return json_number(value->f);
    case CLLM_BOOL: return json_boolean(value->b);
    case CLLM_STRING: return json_string_of(value->string);
    case CLLM_ARRAY: break;
    }
    json_t *list = json_array();
    cllm_array rest = value->array;
    cllm_value element;
    if (rest.count > SHOWN_ELEMENTS && !verbose) return list;
    while (cllm_array_next(&rest, &element)) json_add(&list, json_value(&element, verbose));
    return list;
}

static json_t *metadata_of(const cllm_gguf *gguf, bool verbose) {
    json_t *o = json_object();
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        const cllm_metadata *pair = cllm_gguf_metadata(gguf, i);
        json_t *key = json_text(pair->key, strlen(pair->key));
        if (key && strcmp(pair->key, "general.name") != 0 && strcmp(pair->key, "tokenizer.chat_template") != 0)
            json_put(&o, json_string_value(key), json_value(&pair->value, verbose));
        json_decref(key);
    }
    json_put(&o, "general.parameter_count", json_whole(n_parameters(gguf)));
    return o;
}

static json_t *tensors_of(const cllm_gguf *gguf) {
    json_t *list = json_array();
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        json_t *o = json_object(), *shape = json_array();
        for (uint32_t k = 0; k < t->n_dims; k++) json_add(&shape, json_whole(t->shape[k]));
        json_put(&o, "name", json_text(t->name, strlen(t->name)));
        json_put(&o, "type", json_string(cllm_tensor_type_name(t->type)));
        json_put(&o, "shape", shape);
        json_add(&list, o);
    }
    return list;
}

/* One parameter per line: the context that a request can use, if the model is loaded. */
static json_t *parameters_of(served_model *m) {
    char text[64] = "";
    if (model_hold(m)) {
        snprintf(text, sizeof text, "%-30s %u", "num_ctx", m->n_ctx);
        model_let_go(m);
    }
    return json_string(text);
}

static json_t *show_file(served_model *m, const opened *file, bool verbose) {
    json_t *o = json_object(), *about = describe(m);
    text_buffer modelfile = {0};
    write_text(&modelfile, "# %s\nFROM %s\n", m->name, m->name);
    json_put(&o, "license", json_string_of(text_at(file->gguf, "general.license")));
    json_put(&o, "modelfile", json_text(modelfile.bytes ? modelfile.bytes : "", modelfile.length));
    json_put(&o, "parameters", parameters_of(m));
    json_put(&o, "template",
             m->o.chat_template ? json_text(m->o.chat_template, strlen(m->o.chat_template))
                                : json_string_of(text_at(file->gguf, "tokenizer.chat_template")));
    for (size_t i = 0; about && i < 3; i++) {
        static const char *const names[] = {"details", "capabilities", "modified_at"};
        json_put(&o, names[i], json_incref(json_object_get(about, names[i])));
    }
    json_put(&o, "model_info", metadata_of(file->gguf, verbose));
    if (verbose) json_put(&o, "tensors", tensors_of(file->gguf));
    json_decref(about);
    free(modelfile.bytes);
    return o;
}

void ollama_show(exchange *x) {
    failure f = {0};
    opened file;
    bool verbose = false;
    json_t *body = exchange_json(x, &f);
    served_model *m = body && field_bool(body, "verbose", &verbose, &f) ? ollama_find(body, &f) : NULL;
    if (m && open_file(m, false, &file, &f)) {
        answer_json(x, 200, show_file(m, &file, verbose));
        close_file(&file);
    } else {
        answer_failure(x, &f);
    }
    json_decref(body);
}

/* ------------------------------------------------------------------------------------------------ the rest */

void ollama_version(exchange *x) { answer_json(x, 200, json_pack("{s:s}", "version", api_version)); }

void ollama_not_here(exchange *x) {
    failure f;
    refuse(&f, 501, NULL,
           "%s is not supported: this server does not create, copy, upload or delete models; use 'mini-cllm pull' and "
           "'mini-cllm rm'",
           x->path);
    answer_failure(x, &f);
}
