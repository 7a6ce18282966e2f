/* Models by name: the commands pull, list and rm. Also finds the path of a model that another command gets by name. */
#include "pull.h"
#include "commands.h"
#include "download.h"
#include "interrupt.h"
#include "json_output.h"
#include "model_store.h"
#include "program.h"
#include "text_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------- pull */

#ifdef HAVE_CURL

/* One pull. At the end `model` is in the store. */
typedef struct pulling {
    const options *o;
    const pull_watch *watch;
    http *h;
    stored_model model; /* its files are owned */
    stored_model older; /* the model that had this name before; its files are owned */
    bool had_older;
    location first; /* of the first file */
} pulling;

static int fail_to_choose(const model_name *name, file_choice made, const file_list *all) {
    if (made == CHOICE_SHARDS_MISSING) return fail("%s: a shard of this model is missing on the Hub", name->text);
    char list[2048] = "";
    size_t n = 0;
    for (size_t i = 0; i < all->count && n + 1 < sizeof list; i++) {
        const char *path = all->items[i].path;
        if (!is_first_file(path) || (made == CHOICE_SEVERAL && *name->tag && !tag_matches(path, name->tag))) continue;
        const tag_text tag = tag_of(path);
        const char *shown = *tag.text && !(made == CHOICE_SEVERAL && *name->tag) ? tag.text : path;
        if (strstr(list, shown)) continue;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", shown);
    }
    if (n == 0) return fail("%s: the repository has no GGUF model", name->text);
    if (made == CHOICE_SEVERAL && *name->tag)
        return fail("%s: several files match; name one of them, as hf:%s/FILE: %s", name->text, name->repo, list);
    return fail("%s: no such file in the repository; it has the tags %s", name->text, list);
}

/* Find out which files to pull, and their commit. The Hub's list has the paths; its answer for the first file has the
 * commit. */
static int find_on_hub(pulling *p) {
    model_name *name = &p->model.name;
    file_list all = {0};
    int status = hub_list(p->h, name, &all);
    if (status == EXIT_SUCCESS) {
        const file_choice made = choose_files(name, &all, &p->model.files);
        if (made != CHOICE_MADE) status = fail_to_choose(name, made, &all);
    }
    free(all.items);
    for (size_t i = 0; status == EXIT_SUCCESS && i < p->model.files.count; i++)
        if (!path_is_safe(p->model.files.items[i].path))
            status = fail("%s: the Hub gives a file an unsafe name: %s", name->text, p->model.files.items[i].path);
    if (status != EXIT_SUCCESS) return status;
    model_file *first = &p->model.files.items[0];
    status = hub_locate(p->h, name, name->revision, first->path, &p->first);
    if (status != EXIT_SUCCESS) return status;
    if (!commit_is_valid(p->first.commit))
        return fail("%s: the server's answer has no commit (x-repo-commit)", name->text);
    strcpy(p->model.commit, p->first.commit);
    if (p->first.size != HTTP_UNSAID) first->size = p->first.size;
    snprintf(first->sha256, sizeof first->sha256, "%s", p->first.sha256);
    if (!*name->tag && !*name->file) { /* the user gave no quantization: record the chosen one in the name */
        snprintf(name->tag, sizeof name->tag, "%s",
                 tag_matches(first->path, "Q4_K_M") ? "Q4_K_M" : tag_of(first->path).text);
        if (!*name->tag) snprintf(name->file, sizeof name->file, "%s", first->path);
        name_spell(name);
    }
    return EXIT_SUCCESS;
}

/* Find a file on another server; its ETag replaces the commit. If it is a first shard, all shards are pulled. */
static int find_at_url(pulling *p) {
    model_name *name = &p->model.name;
    const char *base = strrchr(name->url, '/') + 1;
    if (!is_first_file(base))
        return fail("%s: this is not the first part of the model: give the URL of the part -00001-of-...", name->text);
    int status = hub_locate(p->h, name, "", path_of("%s%s", name->url, name->query).text, &p->first);
    if (status != EXIT_SUCCESS) return status;
    strcpy(p->model.commit, p->first.commit);
    for (unsigned i = 0; *shard_of(base, i).text; i++)
        if (!file_list_add(&p->model.files, shard_of(base, i).text, i ? HTTP_UNSAID : p->first.size, ""))
            return fail("out of memory");
    return EXIT_SUCCESS;
}

static const model_file *file_of(const stored_model *model, const char *path) {
    for (size_t i = 0; i < model->files.count; i++)
        if (strcmp(model->files.items[i].path, path) == 0) return &model->files.items[i];
    return NULL;
}

/* Reuse a file that is the same in the older commit. */
static bool take_over(const pulling *p, const model_file *file, const char *path) {
    const model_file *same = p->had_older ? file_of(&p->older, file->path) : NULL;
    if (!same || !*file->sha256 || strcasecmp(same->sha256, file->sha256) != 0 || same->size != file->size)
        return false;
    return make_folders(path) && link(path_of("%s/%s", p->older.folder.text, file->path).text, path) == 0;
}

static int pull_files(pulling *p) {
    const model_name *name = &p->model.name;
    for (size_t i = 0; i < p->model.files.count; i++) {
        model_file *file = &p->model.files.items[i];
        const size_t folder_length = *name->url ? (size_t)(strrchr(name->url, '/') - name->url) : 0;
        const path_text url = path_of("%.*s/%s%s", (int)folder_length, name->url, file->path, name->query);
        download d = {.o = p->o,
                      .watch = p->watch,
                      .h = p->h,
                      .name = name,
                      .revision = p->model.commit,
                      .file = *name->repo ? file->path : url.text,
                      .path = path_of("%s/%s", p->model.folder.text, file->path),
                      .size = file->size,
                      .replace = !*name->repo};
        strcpy(d.sha256, file->sha256);
        if (take_over(p, file, d.path.text)) continue;
        const int status = download_file(&d, i == 0 ? &p->first : NULL);
        if (status != EXIT_SUCCESS) return status;
        file->size = d.size;
        strcpy(file->sha256, d.sha256);
    }
    return EXIT_SUCCESS;
}

static bool is_current(const pulling *p) {
    return p->had_older && *p->model.commit && strcmp(p->older.commit, p->model.commit) == 0;
}

/* If Hugging Face's cache has the same files, use those. */
static bool take_foreign(stored_model *model) {
    stored_model foreign;
    if (!hf_cache_find(&model->name, &foreign)) return false;
    const bool same = strcmp(foreign.commit, model->commit) == 0 && foreign.files.count == model->files.count &&
                      stored_bytes(&foreign) == stored_bytes(model);
    file_list *unwanted = same ? &model->files : &foreign.files;
    free(unwanted->items);
    if (same) *model = foreign;
    return same;
}

/* Fetch the missing files, then write the manifest. */
static int pull_found(pulling *p) {
    stored_model *model = &p->model;
    p->had_older = store_find(&model->name, &p->older);
    const char *commit = *model->commit ? model->commit : "an unknown version (the server gives no ETag)";
    if (is_current(p)) {
        note(p->o, "%s: already up to date: %s", model->name.text, commit);
        return EXIT_SUCCESS;
    }
    if (!p->had_older && take_foreign(model)) {
        note(p->o, "%s: is in Hugging Face's cache and is used from there: %s", model->name.text, commit);
        return EXIT_SUCCESS;
    }
    model->folder = store_folder_of(&model->name, model->commit);
    const bool sized = model->files.items[0].size != HTTP_UNSAID;
    if (*model->name.repo || sized)
        note(p->o, "%s: %zu file%s, %s, of %s", model->name.text, model->files.count,
             model->files.count == 1 ? "" : "s",
             format_bytes(*model->name.repo ? stored_bytes(model) : model->files.items[0].size).text, commit);
    const int status = pull_files(p);
    if (status != EXIT_SUCCESS) return status;
    model->pulled = (int64_t)time(NULL);
    if (!store_write(model)) return fail("%s: %s", model->folder.text, strerror(errno));
    if (p->had_older && strcmp(p->older.folder.text, model->folder.text) != 0) store_drop_files(&p->older);
    return EXIT_SUCCESS;
}

static bool is_offline(void) {
    const char *offline = getenv("HF_HUB_OFFLINE");
    return offline && *offline && strcmp(offline, "0") != 0 && strcasecmp(offline, "false") != 0 &&
           strcasecmp(offline, "no") != 0 && strcasecmp(offline, "off") != 0;
}

int pull_model(const options *o, model_name *name, const pull_watch *watch, path_text *path) {
    if (is_offline()) return fail("%s: cannot be fetched, because HF_HUB_OFFLINE is set", name->text);
    const path_text folder = store_folder();
    if (!*folder.text) return fail("there is no folder for models: set MINI_CLLM_MODELS or HOME");
    if (!make_folders(path_of("%s/", folder.text).text) || access(folder.text, W_OK | X_OK) != 0)
        return fail("%s: %s; MINI_CLLM_MODELS can name another folder for models", folder.text, strerror(errno));
    pulling p = {.o = o, .watch = watch, .h = http_open(), .model = {.name = *name}};
    if (!p.h) return fail("libcurl cannot start");
    int status = *name->repo ? find_on_hub(&p) : find_at_url(&p);
    if (status == EXIT_SUCCESS) status = pull_found(&p);
    if (status == EXIT_SUCCESS) *path = stored_path(is_current(&p) ? &p.older : &p.model);
    *name = p.model.name;
    free(p.model.files.items);
    free(p.older.files.items);
    http_close(p.h);
    return status;
}

#else

int pull_model(const options *o, model_name *name, const pull_watch *watch, path_text *path) {
    (void)o, (void)watch, (void)path;
    return fail("%s: this mini-cllm was built without %s, which pulling a model needs", name->text, MISSING_LIBRARIES);
}

#endif

int pull(const options *o) {
    int status = EXIT_SUCCESS;
    if (o->n_arguments == 0) return usage_error("pull: no model named; see 'mini-cllm pull --help'");
    for (size_t i = 0; i < o->n_arguments; i++) {
        model_name name;
        path_text path;
        if (!name_parse(o->arguments[i], &name))
            return usage_error("pull: '%s' is neither OWNER/NAME[:QUANT] nor the URL of a GGUF file", o->arguments[i]);
        const int pulled = pull_model(o, &name, NULL, &path);
        if (pulled == EXIT_INTERRUPTED) return pulled;
        if (pulled == EXIT_SUCCESS)
            puts(path.text);
        else
            status = pulled; /* the other models are pulled anyway */
    }
    return status;
}

/* ------------------------------------------------------------------------------------------ other commands */

/* The path of a model that is given by name: owned, or NULL if it is a path already. Returns an exit status, after
 * saying why. */
static int find_model(const options *o, const char *model, char **path) {
    model_name name;
    const bool for_sure = name_is_of_hub(model) || strstr(model, "://");
    *path = NULL;
    if (access(model, F_OK) == 0) return EXIT_SUCCESS;
    if (!name_parse(model, &name)) {
        if (for_sure) return usage_error("'%s' is neither hf:OWNER/NAME[:QUANT] nor the URL of a GGUF file", model);
        if (strchr(model, '/') || strstr(model, ".gguf")) return EXIT_SUCCESS; /* a path to a file that is missing */
        return fail("there is no file '%s', and models have no short names here; name a model of the Hugging Face Hub "
                    "as hf:OWNER/NAME[:QUANT]",
                    model);
    }
    stored_model found;
    path_text at = {""};
    if (store_find(&name, &found) || hf_cache_find(&name, &found)) {
        at = stored_path(&found);
        free(found.files.items);
    } else if (for_sure) {
        const int status = pull_model(o, &name, NULL, &at);
        if (status != EXIT_SUCCESS) return status;
    } else if (*name.file || strstr(model, ".gguf")) {
        return EXIT_SUCCESS; /* a path to a file that does not exist */
    } else {
        return fail("there is no file '%s', and no model of that name is pulled; hf:%s pulls it", model, model);
    }
    *path = strdup(at.text);
    return *path ? EXIT_SUCCESS : fail("out of memory");
}

int find_models(const command *c, options *o) {
    if (c->bit & (PULL | LIST | REMOVE)) return EXIT_SUCCESS;
    o->found = calloc(o->n_arguments + 2, sizeof *o->found);
    o->names = calloc(o->n_arguments + 1, sizeof *o->names);
    if (!o->found || !o->names) return fail("out of memory");
    o->names[o->n_names++] = o->model;
    for (size_t i = 0; i < o->n_arguments; i++) o->names[o->n_names++] = o->arguments[i];
    const size_t n_further = c->bit & (BENCH | SERVE) ? o->n_arguments : 0;
    for (size_t i = 0; i < 2 + n_further; i++) {
        const char *given = i == 0 ? o->model : i == 1 ? o->draft_model : o->arguments[i - 2];
        if (!given) continue;
        const int status = find_model(o, given, &o->found[o->n_found]);
        if (status != EXIT_SUCCESS) return status;
        char *path = o->found[o->n_found];
        if (!path) continue;
        o->n_found++;
        if (i == 0) o->model = path;
        if (i == 1) o->draft_model = path;
        if (i > 1) o->arguments[i - 2] = path;
    }
    return EXIT_SUCCESS;
}

/* ------------------------------------------------------------------------------------------------- list */

typedef struct listing {
    json_t *json; /* an array, or NULL: a table */
    size_t count;
    size_t width; /* of the longest name */
} listing;

static void measure_name(void *user, const stored_model *model) {
    listing *l = user;
    const size_t length = strlen(model->name.text);
    if (length > l->width) l->width = length;
}

static void list_model(void *user, const stored_model *model) {
    listing *l = user;
    l->count++;
    char when[32];
    struct tm local;
    const time_t pulled = (time_t)model->pulled;
    if (!localtime_r(&pulled, &local) || strftime(when, sizeof when, "%Y-%m-%d %H:%M", &local) == 0) *when = '\0';
    const path_text path = stored_path(model);
    if (!l->json) {
        const size_t length = strlen(model->name.text);
        if (l->count == 1) printf("%-*s %10s  %-16s  %s\n", (int)l->width, "NAME", "SIZE", "PULLED", "COMMIT");
        print_escaped(stdout, model->name.text, length, SIZE_MAX);
        const size_t pad = length < l->width ? l->width - length : 0; /* a name added meanwhile may be longer */
        printf("%*s %10s  %-16s  ", (int)pad, "", format_bytes(stored_bytes(model)).text, when);
        print_escaped(stdout, model->commit, strlen(model->commit), 12);
        puts(model->foreign ? "  in Hugging Face's cache" : "");
        return;
    }
    json_t *item = json_object();
    json_put(&item, "name", json_text(model->name.text, strlen(model->name.text)));
    json_put(&item, "size", json_integer((json_int_t)stored_bytes(model)));
    json_put(&item, "pulled", json_integer(model->pulled));
    json_put(&item, "commit", json_text(model->commit, strlen(model->commit)));
    json_put(&item, "file", json_text(path.text, strlen(path.text)));
    json_put(&item, "hf_cache", json_boolean(model->foreign));
    json_add(&l->json, item);
}

static void note_unfinished(void *user, const char *path, uint64_t size) {
    const options *o = user;
    const char *end = strrchr(path, '.');
    if (end && strcmp(end, ".partial") == 0)
        note(o, "unfinished: %.*s, %s so far; 'mini-cllm pull' goes on with it, 'mini-cllm rm' removes it",
             (int)(end - path), path, format_bytes(size).text);
}

int list_models(const options *o) {
    if (o->n_arguments > 0) return usage_error("list: unexpected argument '%s'", o->arguments[0]);
    listing l = {.json = o->json ? json_array() : NULL};
    if (!store_exists() && errno != ENOENT) return fail("%s: %s", store_folder().text, strerror(errno));
    if (!o->json) store_each(measure_name, &l);
    store_each(list_model, &l);
    if (!o->json && l.count == 0) note(o, "no models are pulled; 'mini-cllm pull OWNER/NAME' fetches one");
    if (!o->json) store_each_file(note_unfinished, (void *)o);
    return o->json ? print_json(l.json) : EXIT_SUCCESS;
}

/* --------------------------------------------------------------------------------------------------- rm */

/* The pulled models of one repository. */
typedef struct siblings {
    const char *repo;
    size_t count;
    char names[1024]; /* as many as fit */
} siblings;

static void add_sibling(void *user, const stored_model *model) {
    siblings *s = user;
    const size_t length = strlen(s->names);
    if (model->foreign || strcmp(model->name.repo, s->repo) != 0) return;
    s->count++;
    snprintf(s->names + length, sizeof s->names - length, "%s%s", length > 0 ? ", " : "", model->name.text);
}

static int remove_model(const char *text) {
    model_name name;
    stored_model model;
    if (!name_parse(text, &name)) return fail("rm: there is no pulled model '%s'", text);
    if (*name.repo && !*name.tag && !*name.file) { /* rm has no default quantization */
        siblings s = {.repo = name.repo};
        store_each(add_sibling, &s);
        if (s.count > 1) return fail("rm: several models have the name '%s'; say which: %s", text, s.names);
    }
    const bool found = store_find(&name, &model);
    if (found) {
        name = model.name;
        const size_text size = format_bytes(stored_bytes(&model));
        const bool removed = store_remove(&model);
        free(model.files.items);
        if (removed) printf("removed %s, %s\n", name.text, size.text);
        if (!removed) return fail("%s: %s", text, strerror(errno));
    }
    const size_t n_partials = store_drop_partials(&name);
    if (found || n_partials > 0) return EXIT_SUCCESS;
    if (!hf_cache_find(&name, &model)) return fail("rm: there is no pulled model '%s'", text);
    free(model.files.items);
    return fail("rm: '%s' is in Hugging Face's cache, which mini-cllm does not change: %s", text, model.folder.text);
}

int remove_models(const options *o) {
    if (o->n_arguments == 0) return usage_error("rm: no model named; see 'mini-cllm rm --help'");
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < o->n_arguments; i++) {
        const int removed = remove_model(o->arguments[i]);
        if (removed != EXIT_SUCCESS) status = removed;
    }
    return status;
}
