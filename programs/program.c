/* Functions that the commands share. Results go to stdout, messages to stderr. Errors and notes are printed here. */
#include "program.h"

#include "interrupt.h"
#include "json_output.h"
#include "sampling.h"
#include "text_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ERASE_LINE "\r\033[K"
static _Thread_local bool bar_is_drawn; /* this thread has drawn a progress bar on the line of the terminal */

/* --------------------------------------------------------------------------------------------- messages */

bool obeys_escapes(int fd) {
    const char *terminal = getenv("TERM");
    return isatty(fd) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

bool shows_colour(int fd) {
    const char *no_colour = getenv("NO_COLOR");
    return obeys_escapes(fd) && !(no_colour && *no_colour);
}

enum { LONGEST_LINE = 8192 }; /* room for two paths and more */

static void print_formatted(const char *format, va_list arguments) {
    char line[LONGEST_LINE];
    vsnprintf(line, sizeof line, format, arguments);
    print_line(stderr, line);
}

static _Thread_local char *told; /* [told_size], or NULL */
static _Thread_local size_t told_size;

void fail_into(char *text, size_t size) {
    told = text;
    told_size = size;
}

bool erase_bar(void) {
    const bool was_drawn = bar_is_drawn;
    if (was_drawn) fputs(ERASE_LINE, stderr);
    bar_is_drawn = false;
    return was_drawn;
}

static void print_message(const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    if (told) vsnprintf(told, told_size, format, again);
    va_end(again);
    erase_bar();
    fputs("mini-cllm: ", stderr);
    print_formatted(format, arguments);
}

int fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    return EXIT_FAILURE;
}

int usage_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

#define PRE_KEY "tokenizer.ggml.pre"

const char *remedy_of(const cllm_error *err) {
    if (strcmp(err->name, "tokenizer.chat_template") == 0) return ": --chat-template NAME or --chat-template FILE";
    if (strcmp(err->name, "kv_type") == 0) return ": --kv-type f32 or --kv-type q8_0";
    return strcmp(err->name, PRE_KEY) == 0 && err->status == CLLM_ERR_UNSUPPORTED ? ": --pre llama-bpe" : "";
}

int fail_with(const cllm_error *err) {
    if (err->status == CLLM_ERR_CANCELLED) return EXIT_INTERRUPTED;
    return fail("%s%s", err->message, remedy_of(err));
}

date_text date_now(void) {
    date_text date;
    const time_t second = time(NULL);
    struct tm parts;
    strftime(date.text, sizeof date.text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&second, &parts));
    return date;
}

void note(const options *o, const char *format, ...) {
    if (o->quiet) return;
    char line[LONGEST_LINE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (o->log_format && strcmp(o->log_format, "json") == 0)
        log_json(json_pack("{s:s, s:o}", "time", date_now().text, "message", json_text(line, strlen(line))));
    else
        print_line(stderr, line);
}

void note_doubled_bos(const options *o, const cllm_tokenizer *tokenizer, const int32_t *tokens, size_t count) {
    const int32_t bos = cllm_tokenizer_bos(tokenizer);
    if (bos < 0 || count < 2 || tokens[0] != bos || tokens[1] != bos || !cllm_tokenizer_adds_bos(tokenizer)) return;
    note(o, "the text begins with the model's begin token, and every text gets one, so there are two: remove it from "
            "the text");
}

void note_tokenizer(const options *o, const cllm_tokenizer *tokenizer) {
    const char *text = cllm_tokenizer_note(tokenizer);
    if (*text) note(o, "%s: %s%s", o->model, text, strncmp(text, PRE_KEY, strlen(PRE_KEY)) == 0 ? ": --pre NAME" : "");
}

int flush_output(void) {
    const bool failed = ferror(stdout);
    clearerr(stdout); /* write again, to find out why it failed */
    errno = 0;
    if (fflush(stdout) == 0 && !failed) return EXIT_SUCCESS;
    if (interrupted()) return EXIT_INTERRUPTED; /* while a pipe was full */
    return fail("standard output: %s", errno ? strerror(errno) : "write error");
}

size_text format_bytes(uint64_t n_bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double n = (double)n_bytes;
    for (; n >= 1024; n /= 1024) unit++;
    size_text size;
    snprintf(size.text, sizeof size.text, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return size;
}

void print_plan(FILE *out, const cllm_memory_plan *plan) {
    fprintf(out, "context of %" PRIu32 " tokens: weights %s + KV cache %s", plan->n_ctx,
            format_bytes(plan->weights).text, format_bytes(plan->kv_cache).text);
    if (plan->states) fprintf(out, " + states %s", format_bytes(plan->states).text);
    fprintf(out, " + scratch %s = %s", format_bytes(plan->scratch).text,
            format_bytes(plan->weights + plan->kv_cache + plan->states + plan->scratch).text);
    if (plan->available) fprintf(out, ", %s available", format_bytes(plan->available).text);
    if (plan->n_ctx_capped) fputs(" (the model's own context does not fit)", out);
}

/* ------------------------------------------------------------------------------------------------ input */

enum { TOO_LONG = 256 << 20 }; /* bytes: more than any context holds; so reading /dev/zero ends too */

static int read_all(FILE *file, const char *name, input *in) {
    size_t capacity = 0;
    while (!feof(file)) {
        if (in->length == TOO_LONG)
            return fail("%s: only texts of less than %s are read", name, format_bytes(TOO_LONG).text);
        if (in->length == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 16;
            char *larger = realloc(in->data, capacity);
            if (!larger) return fail("%s: out of memory after %zu bytes", name, in->length);
            in->data = larger;
        }
        in->length += fread(in->data + in->length, 1, capacity - in->length, file);
        if (interrupted()) return EXIT_INTERRUPTED;
        if (ferror(file)) return fail("%s: %s", name, strerror(errno));
    }
    return EXIT_SUCCESS;
}

int read_input(const char *path, input *in) {
    *in = (input){0};
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file) return fail_to_open(path);
    int status = read_all(file, standard ? "standard input" : path, in);
    if (!standard) fclose(file);
    if (status == EXIT_SUCCESS) return status;
    free(in->data);
    *in = (input){0};
    return status;
}

int fail_to_open(const char *path) {
    if (errno == EINTR && interrupted()) return EXIT_INTERRUPTED;
    return fail("%s: %s", path, strerror(errno));
}

bool id_list_add(id_list *list, int32_t id) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        int32_t *larger = realloc(list->ids, capacity * sizeof *larger);
        if (!larger) return false;
        list->ids = larger;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return true;
}

int id_list_parse(id_list *list, const char *what, const char *text, size_t length) {
    static const char separators[] = " ,\t\r\n";
    bool after_id = false; /* since the last comma */
    for (size_t i = 0; i < length;) {
        if (text[i] && strchr(separators, text[i])) {
            if (text[i] == ',' && !after_id) return usage_error("%s: no token id before a comma", what);
            if (text[i++] == ',') after_id = false;
            continue;
        }
        size_t start = i;
        int64_t id = 0;
        for (; i < length && text[i] >= '0' && text[i] <= '9' && id <= INT32_MAX; i++) id = 10 * id + (text[i] - '0');
        bool ended = i == length || (text[i] && strchr(separators, text[i]));
        if (i == start || !ended || id > INT32_MAX) {
            size_t word = 0; /* the word in question, shortened if it is very long */
            while (start + word < length && word < 40 && !strchr(separators, text[start + word])) word++;
            return usage_error("%s: '%.*s' is not a token id", what, (int)word, text + start);
        }
        if (!id_list_add(list, (int32_t)id)) return fail("%s: out of memory", what);
        after_id = true;
    }
    return EXIT_SUCCESS;
}

int id_list_check(const id_list *list, uint32_t n_vocab) {
    for (size_t i = 0; i < list->count; i++)
        if ((uint32_t)list->ids[i] >= n_vocab)
            return fail("token %" PRId32 " is not in the vocabulary of %" PRIu32, list->ids[i], n_vocab);
    return EXIT_SUCCESS;
}

size_t cut_tokens(const cllm_tokenizer *tokenizer, int32_t *tokens, size_t count, size_t most) {
    if (count <= most) return count;
    if (cllm_tokenizer_adds_eos(tokenizer)) tokens[most - 1] = cllm_tokenizer_eos(tokenizer);
    return most;
}

/* ----------------------------------------------------------------------------------------------- models */

int open_gguf(const options *o, const char *path, cllm_gguf **gguf) {
    const cllm_load_options load = {
        .progress = interrupt_progress, .overrides = o->overrides, .n_overrides = o->n_overrides};
    cllm_error err;
    interrupt_watch_file(path, NULL);
    if (cllm_gguf_open(path, &load, gguf, &err) != CLLM_OK) return fail_with(&err);
    interrupt_watch_file(path, *gguf);
    if (*cllm_gguf_note(*gguf)) note(o, "%s", cllm_gguf_note(*gguf));
    return EXIT_SUCCESS;
}

void close_gguf(cllm_gguf *gguf) {
    interrupt_watch_file(NULL, NULL);
    cllm_gguf_close(gguf);
}

int check_kwargs(const options *o) {
    json_error_t error;
    if (!o->chat_template_kwargs) return EXIT_SUCCESS;
    json_t *object = json_loads(o->chat_template_kwargs, 0, &error);
    const bool is_object = json_is_object(object);
    json_decref(object);
    return is_object ? EXIT_SUCCESS
                     : usage_error("--chat-template-kwargs: '%s' is not a JSON object", o->chat_template_kwargs);
}

int make_chat(const options *o, const cllm_gguf *gguf, const cllm_tokenizer *tokenizer, cllm_chat **chat) {
    cllm_error err;
    input file = {0};
    cllm_chat_options wanted = {.gguf = gguf, .tokenizer = tokenizer, .name = o->chat_template};
    cllm_status made = cllm_chat_create(&wanted, chat, &err);
    if (made == CLLM_ERR_ARGUMENT && o->chat_template && (!gguf || access(o->chat_template, F_OK) == 0)) {
        const int status = read_input(o->chat_template, &file);
        if (status != EXIT_SUCCESS) return status;
        wanted.source = (cllm_string){file.data, file.length};
        made = cllm_chat_create(&wanted, chat, &err);
        free(file.data);
    }
    if (made != CLLM_OK) return fail_with(&err);
    if (*cllm_chat_note(*chat)) note(o, "%s: %s", o->model, cllm_chat_note(*chat));
    return EXIT_SUCCESS;
}

bool read_by_chat(const char *key) {
    return strncmp(key, "general.sampling.", 17) == 0 || strncmp(key, "tokenizer.chat_template", 23) == 0 ||
           strncmp(key, "tokenizer.ggml.fim_", 19) == 0;
}

void remark_unread(const options *o, const cllm_gguf *gguf, const char *reader) {
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++)
        if (cllm_gguf_is_overridden(gguf, i) && !cllm_gguf_is_read(gguf, i) &&
            !read_by_chat(cllm_gguf_metadata(gguf, i)->key))
            note(o, "%s has no effect: this %s does not use it", cllm_gguf_metadata(gguf, i)->key, reader);
}

int terminal_width(int fd) {
    struct winsize window;
    return ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
}

void draw_bar(const options *o, const char *what, int percent, const char *rest, bool last) {
    static const char full[] = "########################################";
    enum { MOST = sizeof full - 1, LEAST = 10, DOTS = 3, SIGNS = sizeof " [] 100%" };
    if (o->quiet || !obeys_escapes(STDERR_FILENO)) return;
    const size_t width = (size_t)terminal_width(STDERR_FILENO), taken = SIGNS + strlen(rest), length = strlen(what);
    const size_t room = width > taken ? width - taken : 0; /* for `what` and the bar */
    const size_t bar = length + MOST <= room ? MOST : length + LEAST <= room ? room - length : LEAST;
    const size_t shown = length + bar <= room ? length : room > bar + DOTS ? room - bar - DOTS : 0;
    fputc('\r', stderr);
    print_escaped(stderr, what, length, shown); /* for bench and pull: the name of a file */
    fprintf(stderr, " [%-*.*s] %2d%%%s%s", (int)bar, percent * (int)bar / 100, full, percent, rest,
            last ? ERASE_LINE : "\033[K");
    bar_is_drawn = !last;
}

void draw_work(const options *o, const char *what) {
    if (o->quiet || bar_is_drawn || !obeys_escapes(STDERR_FILENO)) return;
    fprintf(stderr, "\r%s\033[K", what);
    bar_is_drawn = true;
}

void run_progress(run *r, const char *what, uint64_t done, uint64_t total) {
    int percent = (int)(100 * (double)done / (double)total);
    if (percent == r->drawn_percent && done < total) return;
    r->drawn_percent = percent;
    draw_bar(r->o, what, percent, "", done == total);
}

static bool on_load(void *user, uint64_t done, uint64_t total) {
    const uint64_t big = 256u << 20;
    run *r = user;
    if (total > big) run_progress(r, r->o->repack ? "repacking" : "loading", done, total);
    return !interrupted();
}

static bool on_eval(void *user, uint64_t done, uint64_t total) {
    const double patience = 0.5; /* seconds: a short prompt needs no progress bar */
    run *r = user;
    if (!*r->stage || now() - r->stage_start <= patience) return !interrupted();
    const double part = (double)done / (double)total;
    if (r->n_stage > 0)
        run_progress(r, r->stage, r->n_evaluated + (uint64_t)(part * (double)r->n_now), r->n_stage);
    else
        run_progress(r, r->stage, done, total);
    return !interrupted();
}

void run_stage(run *r, const char *format, ...) {
    if (!*r->stage) r->stage_start = now();
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->stage, sizeof r->stage, format, arguments);
    va_end(arguments);
    erase_bar();
    r->drawn_percent = -1;
}

static void describe_model(const run *r) {
    const cllm_model_info *info = cllm_model_get_info(r->model);
    fputs("model: ", stderr);
    print_escaped(stderr, info->architecture, strlen(info->architecture), SIZE_MAX);
    fputs(", ", stderr);
    print_escaped(stderr, info->name, strlen(info->name), 80);
    fprintf(stderr,
            ", %" PRIu32 " layers, width %" PRIu32 ", %" PRIu32 " heads of %" PRIu32 ", %" PRIu32
            " key-value heads, feed-forward %" PRIu32 ", vocabulary %" PRIu32 ", context %" PRIu32
            ", %.1f M parameters\n",
            info->n_layers, info->n_embd, info->n_heads, info->key_length, info->n_kv_heads, info->n_ff, info->n_vocab,
            info->n_ctx_train, (double)info->n_parameters / 1e6);
    note(r->o, "file: %s, %s %s in %.3f s", r->o->model,
         format_bytes(cllm_gguf_n_bytes(cllm_model_gguf(r->model))).text,
         r->o->repack                                                  ? "repacked"
         : r->o->no_mmap || *cllm_gguf_note(cllm_model_gguf(r->model)) ? "read"
                                                                       : "mapped",
         r->load_seconds);
    const cllm_gguf *gguf = cllm_model_gguf(r->model);
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++)
        if (cllm_gguf_is_overridden(gguf, i)) note(r->o, "override: %s", cllm_gguf_metadata(gguf, i)->key);
    for (size_t i = 0; i < r->o->n_loras; i++)
        note(r->o, "adapter: %s, scale %g", r->o->loras[i].path, (double)r->o->loras[i].scale);
}

/* Note which options a kind of RoPE scaling needs besides its name. */
static void remark_scaling(const run *r) {
    const cllm_gguf *gguf = cllm_model_gguf(r->model);
    const char *scaling = r->o->rope_scaling, *architecture = cllm_model_get_info(r->model)->architecture;
    if (!scaling || strcmp(scaling, "none") == 0) return;
    if (strcmp(scaling, "longrope") == 0) {
        if (!cllm_gguf_find_tensor(gguf, "rope_factors_long.weight"))
            note(r->o, "--rope-scaling longrope has no effect: the file has no tensor rope_factors_long.weight");
        return;
    }
    for (int i = 0; i < 2; i++) {
        char key[128];
        snprintf(key, sizeof key, "%s.%s", architecture, i ? "rope.scale_linear" : "rope.scaling.factor");
        if (cllm_gguf_find(gguf, key)) return;
    }
    note(r->o, "--rope-scaling %s has no effect without a factor: give --rope-scale", scaling);
}

/* True if the options ask for a GPU; with auto there may be none. */
static bool names_gpu(const options *o) { return strcmp(o->device, "cpu") != 0 && o->gpu_layers != 0; }

static int check_flags(const options *o) {
    const bool must = names_gpu(o) && strcmp(o->device, "auto") != 0; /* auto may fall back to the CPU */
    if (o->repack && o->no_mmap) return usage_error("--repack and --no-mmap cannot be used together");
    if (o->gpu_layers != 0 && o->gpu_layers != AS_MANY_AS_FIT && !names_gpu(o))
        return usage_error("--gpu-layers: %" PRIu64 " layers need a GPU: give --device auto, or leave this out",
                           o->gpu_layers);
    if (o->device_index != 0 && !names_gpu(o))
        return usage_error("--device-index: %" PRIu64
                           " is for a GPU, but no layer runs on one (--device cpu or --gpu-layers 0): leave this out",
                           o->device_index);
    if (o->repack && must)
        return usage_error("--repack is for the CPU: it cannot be used together with --device %s", o->device);
    if (must && strcmp(o->kv_type, "q8_0") == 0)
        return usage_error("--kv-type: q8_0 is for the cpu; --device %s takes f16 and f32", o->device);
    for (size_t i = 0; i < o->n_loras; i++)
        if (access(o->loras[i].path, R_OK) != 0) return fail("--lora: %s: %s", o->loras[i].path, strerror(errno));
    return EXIT_SUCCESS;
}

int run_load(run *r, const options *o) {
    *r = (run){.o = o, .drawn_percent = -1};
    int status = check_flags(o);
    if (status != EXIT_SUCCESS) return status;
    cllm_load_options load = {.no_mmap = o->no_mmap,
                              .repack = o->repack,
                              .progress = on_load,
                              .user = r,
                              .overrides = o->overrides,
                              .n_overrides = o->n_overrides,
                              .loras = o->loras,
                              .n_loras = o->n_loras};
    double start = now();
    cllm_error err;
    interrupt_watch_file(o->model, NULL);
    if (cllm_model_load(o->model, &load, &r->model, &err) != CLLM_OK) return fail_with(&err);
    interrupt_watch_model(r->model);
    r->load_seconds = now() - start;
    if (o->verbose) describe_model(r);
    if (*cllm_model_file_note(r->model)) note(o, "%s", cllm_model_file_note(r->model));
    if (o->verbose) note_recommended(o, cllm_model_gguf(r->model));
    remark_unread(o, cllm_model_gguf(r->model), "model");
    remark_scaling(r);
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    const char *model_note = cllm_model_get_info(r->model)->note;
    if (*model_note) note(o, "%s", model_note);
    if (tokenizer) note_tokenizer(o, tokenizer);
    return EXIT_SUCCESS;
}

cllm_pooling pooling_of(const char *name) {
    static const char *const names[] = {"model", "none", "mean", "cls", "last", "rank"}; /* in the order of the enum */
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name, names[i]) == 0) return (cllm_pooling)i;
    return CLLM_POOLING_MODEL;
}

static cllm_kv_type kv_type_of(const char *name) {
    return strcmp(name, "f32") == 0 ? CLLM_KV_F32 : strcmp(name, "q8_0") == 0 ? CLLM_KV_Q8_0 : CLLM_KV_F16;
}

/* Print which layers run where. */
static void describe_device(const run *r) {
    const options *o = r->o;
    const cllm_memory_plan *plan = cllm_engine_plan(r->engine);
    const char *reason = cllm_engine_device_note(r->engine);
    const uint32_t n_layers = cllm_model_get_info(r->model)->n_layers;
    if (*reason && o->verbose) note(o, "device: cpu, because %s", reason);
    if (plan->n_gpu_layers == 0) return;
    note(o, "device: %s, %s: %" PRIu32 " of %" PRIu32 " layers%s", cllm_engine_device(r->engine),
         cllm_engine_device_name(r->engine), plan->n_gpu_layers, n_layers,
         plan->n_gpu_layers < n_layers && o->gpu_layers == AS_MANY_AS_FIT ? " fit; a smaller --ctx leaves room for more"
                                                                          : "");
    if (!o->verbose) return;
    fprintf(stderr, "memory there: weights %s + KV cache %s + scratch %s", format_bytes(plan->gpu_weights).text,
            format_bytes(plan->gpu_kv_cache).text, format_bytes(plan->gpu_scratch).text);
    fprintf(stderr, " = %s", format_bytes(plan->gpu_weights + plan->gpu_kv_cache + plan->gpu_scratch).text);
    if (plan->gpu_available) fprintf(stderr, ", %s available", format_bytes(plan->gpu_available).text);
    fputc('\n', stderr);
}

int check_save(const char *path, bool is_regular) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!*path) return free(folder), usage_error("--save needs the name of a file");
    if (!folder) return fail("out of memory");
    struct stat there;
    int status = access(folder, W_OK) == 0 ? EXIT_SUCCESS : fail("--save %s: %s: %s", path, folder, strerror(errno));
    const bool exists = status == EXIT_SUCCESS && stat(path, &there) == 0;
    if (exists && S_ISDIR(there.st_mode))
        status = fail("--save %s: this is a folder", path);
    else if (exists && is_regular && !S_ISREG(there.st_mode))
        status = fail("--save %s: this is not a regular file", path);
    free(folder);
    return status;
}

int run_start(run *r, uint64_t n_ctx) {
    const options *o = r->o;
    cllm_engine_options engine = {
        .n_ctx = (uint32_t)n_ctx,
        .n_batch = (uint32_t)o->batch,
        .n_threads = (uint32_t)o->threads,
        .kv_type = kv_type_of(o->kv_type),
        .cpu_isa = o->cpu_isa,
        .device = names_gpu(o) ? o->device : "cpu",
        .device_index = (uint32_t)o->device_index,
        .gpu_layers = o->gpu_layers == AS_MANY_AS_FIT ? 0 : (uint32_t)o->gpu_layers,
        .n_sequences = r->n_sequences,
        .n_positions = r->n_positions       ? r->n_positions
                       : r->n_sequences > 1 ? r->n_sequences * pages_of(n_ctx) * PAGE
                                            : 0,
        .cache_bytes = r->cache_bytes,
        .pooling = r->pooling,
        .raw_embeddings = r->raw_embeddings,
        .exact = o->exact || o->draft_model || strcmp(o->draft, "lookup") == 0,
        .progress = on_eval,
        .user = r,
    };
    double start = now();
    cllm_error err;
    if (names_gpu(o)) run_stage(r, "preparing the GPU");
    cllm_status status = cllm_engine_create(r->model, &engine, &r->engine, &err);
    if (status == CLLM_OK) status = cllm_sequence_create(r->engine, &r->sequence, &err);
    if (names_gpu(o)) run_stage(r, "%s", "");
    if (interrupted()) return EXIT_INTERRUPTED; /* an interrupt may also have stopped the compiler of the kernels */
    if (status == CLLM_ERR_DEVICE) return fail("--device %s: %s", o->device, err.message);
    if (status != CLLM_OK) return fail_with(&err);
    r->load_seconds += now() - start;
    const cllm_memory_plan *plan = cllm_engine_plan(r->engine);
    uint32_t trained = cllm_model_get_info(r->model)->n_ctx_train;
    if (o->verbose) {
        print_plan(stderr, plan);
        fputc('\n', stderr);
        if (plan->n_gpu_layers < cllm_model_get_info(r->model)->n_layers)
            fprintf(stderr, "compute: %" PRIu32 " threads, %s kernels, batches of %" PRIu64 ", %s keys and values\n",
                    cllm_engine_n_threads(r->engine), cllm_engine_cpu_isa(r->engine), o->batch, o->kv_type);
        fprintf(stderr, "ready after %.3f s\n", r->load_seconds);
    }
    describe_device(r);
    if (plan->n_ctx_capped)
        note(o, "context: %" PRIu32 " tokens, as many as fit in memory (the model's own is %" PRIu32 "); --ctx sets it",
             plan->n_ctx, trained);
    if (trained && plan->n_ctx > trained)
        note(o, "context: %" PRIu32 " tokens are more than the %" PRIu32 " that the model was trained for", plan->n_ctx,
             trained);
    return EXIT_SUCCESS;
}

void run_stop(run *r) {
    cllm_sequence_destroy(r->sequence);
    cllm_engine_destroy(r->engine);
    r->sequence = NULL;
    r->engine = NULL;
}

cllm_status run_eval(run *r, const int32_t *tokens, size_t count, cllm_want want, cllm_span *span, cllm_error *err) {
    *span = (cllm_span){.sequence = r->sequence, .tokens = tokens, .count = count, .want = want};
    r->n_now = count;
    const cllm_status status = cllm_eval(r->engine, span, 1, err);
    r->n_evaluated += count;
    return status;
}

void run_close(run *r) {
    interrupt_watch_file(NULL, NULL);
    run_stop(r);
    cllm_model_destroy(r->model);
}

int run_check_writes(const run *r) {
    const cllm_model_info *info = cllm_model_get_info(r->model);
    if (!info->is_encoder) return EXIT_SUCCESS;
    return fail("%s: a %s model generates no text; 'mini-cllm embed' makes vectors of texts with it", r->o->model,
                info->architecture);
}

int fail_without_tokenizer(const run *r) {
    cllm_tokenizer *tokenizer;
    cllm_error err;
    if (cllm_tokenizer_create(cllm_model_gguf(r->model), &tokenizer, &err) == CLLM_OK) /* only to get the error again */
        cllm_tokenizer_destroy(tokenizer);
    return fail("%s: %s%s; 'mini-cllm eval --tokens' runs token ids", r->o->model, err.message, remedy_of(&err));
}

int run_check_fits(const run *r, const char *what, size_t n_tokens) {
    uint32_t n_ctx = cllm_engine_plan(r->engine)->n_ctx;
    if (n_tokens <= n_ctx) return EXIT_SUCCESS;
    return fail("%s has %zu tokens, the context holds %" PRIu32 "; --ctx sets it", what, n_tokens, n_ctx);
}

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t peak_memory(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
}

static void print_pace(const char *what, pace p, uint64_t bytes_per_token) {
    fprintf(stderr, " | %s %zu token%s", what, p.n_tokens, p.n_tokens == 1 ? "" : "s");
    if (p.n_timed == 0 || p.seconds <= 0) return;
    double speed = (double)p.n_timed / p.seconds;
    fprintf(stderr, ", %.1f tok/s", speed);
    if (bytes_per_token) fprintf(stderr, ", %.2f GB/s of weights", speed * (double)bytes_per_token / 1e9);
}

void run_summary(const run *r, pace evaluated, pace generated) {
    if (r->o->quiet) return;
    const bool dim = shows_colour(STDERR_FILENO);
    fprintf(stderr, "%sload %.2f s", dim ? "\033[2m" : "", r->load_seconds);
    print_pace("prompt", evaluated, 0);
    if (generated.n_tokens > 0) print_pace("generated", generated, cllm_model_get_info(r->model)->bytes_per_token);
    if (generated.n_drafted > 0)
        fprintf(stderr, " | drafted %zu, accepted %zu", generated.n_drafted, generated.n_accepted);
    fprintf(stderr, " | peak memory %s%s\n", format_bytes(peak_memory()).text, dim ? "\033[0m" : "");
}
