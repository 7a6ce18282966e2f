/* Implements model_store.h: names, folders and manifests. Nothing here uses the network. */
#include "model_store.h"

#include "cllm.h"
#include "json_output.h"
#include "text_stream.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_TAG "Q4_K_M"

path_text path_of(const char *format, ...) {
    path_text path;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path.text, sizeof path.text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof path.text) path.text[0] = '\0';
    return path;
}

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static path_text cache_home(void) {
    const char *cache = setting("XDG_CACHE_HOME"), *home = setting("HOME");
    return cache ? path_of("%s", cache) : home ? path_of("%s/.cache", home) : path_of("%s", "");
}

path_text store_folder(void) {
    if (setting("MINI_CLLM_MODELS")) return path_of("%s", setting("MINI_CLLM_MODELS"));
    const path_text cache = cache_home();
    return *cache.text ? path_of("%s/mini-cllm", cache.text) : cache;
}

bool store_exists(void) {
    DIR *dir = opendir(store_folder().text);
    if (dir) closedir(dir);
    return dir != NULL;
}

static path_text hf_cache_folder(void) {
    if (setting("HF_HUB_CACHE")) return path_of("%s", setting("HF_HUB_CACHE"));
    if (setting("HF_HOME")) return path_of("%s/hub", setting("HF_HOME"));
    return path_of("%s/huggingface/hub", cache_home().text);
}

/* ------------------------------------------------------------------------------------------------ names */

/* Copy a word of letters, digits and some other characters. It must not begin with a dot or a dash. */
static bool copy_word(char *to, size_t size, const char *from, size_t length, const char *others) {
    if (length == 0 || length >= size || *from == '.' || *from == '-') return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)from[i]) && !(from[i] && strchr(others, from[i]))) return false;
    memcpy(to, from, length);
    to[length] = '\0';
    return true;
}

void name_spell(model_name *name) {
    if (!*name->repo) return;
    const bool main_one = strcmp(name->revision, "main") == 0;
    snprintf(name->text, sizeof name->text, "%s%s%s%s%s", name->repo,
             *name->file  ? "/"
             : *name->tag ? ":"
                          : "",
             *name->file ? name->file : name->tag, main_one ? "" : "@", main_one ? "" : name->revision);
}

/* OWNER/NAME[:TAG | /FILE][@REVISION] */
static bool parse_repo(const char *text, model_name *name) {
    const char *slash = strchr(text, '/');
    if (!slash) return false;
    const char *at = strrchr(text, '@'), *end = at ? at : text + strlen(text);
    const size_t owner = (size_t)(slash - text), length = strcspn(slash + 1, ":/@");
    const char *rest = slash + 1 + length;
    char part[2][128];
    if (rest > end || !copy_word(part[0], sizeof part[0], text, owner, "._-") ||
        !copy_word(part[1], sizeof part[1], slash + 1, length, "._-"))
        return false;
    snprintf(name->repo, sizeof name->repo, "%s/%s", part[0], part[1]);
    strcpy(name->revision, "main");
    if (at && !copy_word(name->revision, sizeof name->revision, at + 1, strlen(at + 1), "._-/")) return false;
    if (strstr(name->revision, "..") || strstr(name->repo, "..")) return false;
    if (*rest == ':') {
        if (!copy_word(name->tag, sizeof name->tag, rest + 1, (size_t)(end - rest - 1), "._-")) return false;
        for (char *c = name->tag; *c; c++) *c = (char)toupper((unsigned char)*c);
    } else if (*rest == '/') {
        snprintf(name->file, sizeof name->file, "%.*s", (int)(end - rest - 1), rest + 1);
        if (!path_is_safe(name->file) || strlen(name->file) != (size_t)(end - rest - 1)) return false;
    }
    name_spell(name);
    return true;
}

const char *hub_endpoint(void) { return setting("HF_ENDPOINT") ? setting("HF_ENDPOINT") : "https://huggingface.co"; }

/* The path after a server's address, or NULL if the URL is on another server. */
static const char *path_after(const char *url, const char *server) {
    size_t length = strlen(server);
    while (length > 0 && server[length - 1] == '/') length--;
    return strncasecmp(url, server, length) == 0 && url[length] == '/' ? url + length + 1 : NULL;
}

/* Parse OWNER/NAME[/resolve/REVISION/FILE], the path of a page on the Hub. */
static bool parse_hub_path(const char *path, model_name *name) {
    static const char *const views[] = {"resolve/", "blob/", "raw/"};
    char text[2048];
    const int length = (int)strcspn(path, "?#");
    const char *owner_end = strchr(path, '/'), *repo_end = owner_end ? strchr(owner_end + 1, '/') : NULL;
    for (size_t i = 0; repo_end && repo_end < path + length && i < sizeof views / sizeof *views; i++) {
        if (strncmp(repo_end + 1, views[i], strlen(views[i])) != 0) continue;
        const char *revision = repo_end + 1 + strlen(views[i]), *file = strchr(revision, '/');
        if (!file || file > path + length) return false;
        snprintf(text, sizeof text, "%.*s/%.*s@%.*s", (int)(repo_end - path), path, (int)(path + length - file - 1),
                 file + 1, (int)(file - revision), revision);
        return parse_repo(text, name) && *name->file;
    }
    snprintf(text, sizeof text, "%.*s", length, path);
    return parse_repo(text, name) && !*name->file;
}

static bool parse_url(const char *text, model_name *name) {
    const char *on_hub = path_after(text, hub_endpoint());
    if (!on_hub) on_hub = path_after(text, "https://huggingface.co");
    if (on_hub && parse_hub_path(on_hub, name)) return true;
    *name = (model_name){0};
    const size_t length = strcspn(text, "?#");
    if (length >= sizeof name->url || strlen(text + length) >= sizeof name->query) return false;
    memcpy(name->url, text, length);
    strcpy(name->text, name->url);
    strcpy(name->query, text + length);
    const char *host = strstr(name->url, "://") + 3, *slash = strchr(host, '/');
    const char *at = strchr(host, '@'); /* a password would become part of a folder's name */
    return slash && slash > host && *host != '.' && (!at || at > slash) && text_ends_with(name->url, ".gguf") &&
           path_is_safe(slash + 1);
}

/* The text after a prefix that means "on the Hub", or the whole text. */
static const char *after_hub_prefix(const char *text) {
    static const char *const prefixes[] = {"hf:", "hf.co/", "huggingface.co/"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0) return text + strlen(prefixes[i]);
    return text;
}

bool name_is_of_hub(const char *text) { return after_hub_prefix(text) != text; }

bool name_parse(const char *text, model_name *name) {
    *name = (model_name){0};
    if (strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0) return parse_url(text, name);
    return parse_repo(after_hub_prefix(text), name);
}

/* ------------------------------------------------------------------------------------------------ files */

bool file_list_add(file_list *list, const char *path, uint64_t size, const char *sha256) {
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 16;
        model_file *larger = realloc(list->items, capacity * sizeof *larger);
        if (!larger) return false;
        list->items = larger;
        list->capacity = capacity;
    }
    model_file *file = &list->items[list->count++];
    *file = (model_file){.size = size};
    snprintf(file->path, sizeof file->path, "%s", path);
    snprintf(file->sha256, sizeof file->sha256, "%s", sha256);
    return true;
}

bool path_is_safe(const char *path) {
    if (!*path || strlen(path) >= sizeof((model_file *)0)->path) return false;
    for (const char *part = path;; part = strchr(part, '/') + 1) {
        const size_t length = strcspn(part, "/");
        if (length == 0 || length > 200 || (length <= 2 && strspn(part, ".") >= length)) return false;
        if (!strchr(part, '/')) break;
    }
    for (size_t left = strlen(path); left > 0;) { /* reject control characters and invalid UTF-8 */
        const size_t n = cllm_safe_length(path, left);
        if (n == 0 || *path == '\\') return false;
        path += n;
        left -= n;
    }
    return true;
}

/* The length of a quantization's name at the start of the text, such as Q4_K_M, IQ2_XXS or BF16; or 0. */
static size_t quantization_length(const char *text) {
    static const char *const begins[] = {"IQ", "TQ", "Q", "MXFP", "NVFP", "BF", "FP", "F"};
    const size_t length = strcspn(text, "-./");
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        const size_t n = strlen(begins[i]);
        if (strncasecmp(text, begins[i], n) == 0 && isdigit((unsigned char)text[n])) return length;
    }
    return 0;
}

/* The length of the first part of a path. */
static size_t part_length(const char *text) {
    const size_t quantization = quantization_length(text);
    return quantization ? quantization : strcspn(text, "-._/");
}

bool tag_matches(const char *path, const char *tag) {
    const size_t length = strlen(tag);
    for (const char *begin = path; *begin;) {
        if (strncasecmp(begin, tag, length) == 0) {
            const char *end = begin + part_length(begin); /* of one or more parts */
            while ((size_t)(end - begin) < length) end += 1 + part_length(end + 1);
            if ((size_t)(end - begin) == length) return true;
        }
        begin += part_length(begin);
        if (*begin) begin++;
    }
    return false;
}

tag_text tag_of(const char *path) {
    tag_text tag = {""};
    for (const char *part = path; *part;) {
        const size_t length = quantization_length(part);
        if (length > 0 && length < sizeof tag.text) {
            for (size_t i = 0; i < length; i++) tag.text[i] = (char)toupper((unsigned char)part[i]);
            tag.text[length] = '\0';
        }
        part += part_length(part);
        if (*part) part++;
    }
    return tag;
}

/* The number of shards, and where -00001-of-0000N.gguf begins. Returns 0 if the file is a whole model. */
static unsigned shard_count(const char *path, unsigned *index, size_t *begin) {
    enum { LENGTH = sizeof "-00001-of-00002.gguf" - 1 };
    unsigned count;
    int end = 0;
    const size_t length = strlen(path);
    if (length <= LENGTH) return 0;
    *begin = length - LENGTH;
    const bool is_shard = sscanf(path + *begin, "-%5u-of-%5u.gguf%n", index, &count, &end) == 2 && end == LENGTH;
    return is_shard ? count : 0;
}

path_text shard_of(const char *path, unsigned index) {
    unsigned own;
    size_t begin;
    const unsigned count = shard_count(path, &own, &begin);
    if (index == 0) return path_of("%s", path);
    if (index >= count) return path_of("%s", "");
    return path_of("%.*s-%05u-of-%05u.gguf", (int)begin, path, index + 1, count);
}

static bool contains(const char *text, const char *word) {
    for (; *text; text++)
        if (strncasecmp(text, word, strlen(word)) == 0) return true;
    return false;
}

bool is_first_file(const char *path) {
    unsigned index = 1;
    size_t begin;
    shard_count(path, &index, &begin);
    return index == 1 && text_ends_with(path, ".gguf") && !contains(path, "mmproj") && !contains(path, "imatrix") &&
           !tag_matches(path, "mtp");
}

static const model_file *find_file(const file_list *all, const char *path) {
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].path, path) == 0) return &all->items[i];
    return NULL;
}

/* tag: NULL means any. */
static size_t count_models(const file_list *all, const char *tag, const model_file **first) {
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        const model_file *file = &all->items[i];
        if (!is_first_file(file->path) || (tag && !tag_matches(file->path, tag))) continue;
        if (count++ == 0) *first = file;
    }
    return count;
}

file_choice choose_files(const model_name *name, const file_list *all, file_list *chosen) {
    const model_file *first = NULL;
    size_t count;
    if (*name->file) {
        first = find_file(all, name->file);
        count = first != NULL;
    } else {
        count = count_models(all, *name->tag ? name->tag : DEFAULT_TAG, &first);
        if (count == 0 && !*name->tag) count = count_models(all, NULL, &first);
    }
    if (count != 1) return count == 0 ? CHOICE_NONE : CHOICE_SEVERAL;
    for (unsigned i = 0;; i++) {
        const path_text path = shard_of(first->path, i);
        if (!*path.text) return CHOICE_MADE;
        const model_file *file = find_file(all, path.text);
        if (!file) return CHOICE_SHARDS_MISSING;
        if (!file_list_add(chosen, file->path, file->size, file->sha256)) return CHOICE_NONE;
    }
}

/* ---------------------------------------------------------------------------------------------- folders */

/* Call take for every file below a folder. path: the path within it. Links to files count as files. */
static void walk(const char *folder, const char *path, void (*take)(void *, const char *path, uint64_t size),
                 void *user) {
    DIR *dir = opendir(path_of("%s/%s", folder, path).text);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        const path_text below = path_of("%s%s%s", path, *path ? "/" : "", entry->d_name);
        const path_text whole = path_of("%s/%s", folder, below.text);
        struct stat about, target;
        if (!*whole.text || lstat(whole.text, &about) != 0) continue;
        if (S_ISDIR(about.st_mode))
            walk(folder, below.text, take, user);
        else if (stat(whole.text, &target) == 0 && S_ISREG(target.st_mode))
            take(user, below.text, (uint64_t)target.st_size);
    }
    closedir(dir);
}

static void collect(void *user, const char *path, uint64_t size) {
    if (strlen(path) < sizeof((model_file *)0)->path) file_list_add(user, path, size, "");
}

bool make_folders(const char *path) {
    path_text folder = path_of("%s", path);
    for (char *slash = strchr(folder.text + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder.text, 0755) != 0 && errno != EEXIST) return false;
        *slash = '/';
    }
    return true;
}

/* Remove the empty folders above a file, but not the store itself. */
static void remove_empty_folders(const char *file) {
    path_text folder = path_of("%s", file);
    const size_t least = strlen(store_folder().text);
    for (char *slash; (slash = strrchr(folder.text, '/')) && (size_t)(slash - folder.text) > least;) {
        *slash = '\0';
        if (rmdir(folder.text) != 0) return;
    }
}

/* -------------------------------------------------------------------------------------------- manifests */

path_text store_folder_of(const model_name *name, const char *commit) {
    const path_text dir = store_folder();
    if (*name->repo) return path_of("%s/hf/%s/%s", dir.text, name->repo, commit);
    path_text folder = path_of("%s/url/%s", dir.text, strstr(name->url, "://") + 3);
    if (*folder.text) *strrchr(folder.text, '/') = '\0'; /* otherwise it is too long */
    return folder;
}

static path_text manifest_of(const model_name *name) {
    const path_text dir = store_folder();
    if (!*name->repo) return path_of("%s/url/%s.json", dir.text, strstr(name->url, "://") + 3);
    char key[700];
    const bool main_one = strcmp(name->revision, "main") == 0;
    snprintf(key, sizeof key, "%s%s%s", *name->file ? name->file : name->tag, main_one ? "" : "@",
             main_one ? "" : name->revision);
    for (char *c = key; *c; c++)
        if (*c == '/') *c = '+';
    return path_of("%s/hf/%s/%s.json", dir.text, name->repo, key);
}

bool commit_is_valid(const char *commit) {
    const size_t n_digits = strspn(commit, "0123456789abcdef");
    return n_digits >= 7 && commit[n_digits] == '\0';
}

/* Returns false if it is not a manifest, or one of its files is missing or has a different size. */
static bool read_manifest(const char *path, stored_model *model) {
    *model = (stored_model){0};
    const char *name, *commit;
    json_int_t pulled;
    json_t *files;
    json_t *document = json_load_file(path, 0, NULL);
    bool whole = document && json_unpack(document, "{s:s, s:s, s:I, s:o}", "name", &name, "commit", &commit, "pulled",
                                         &pulled, "files", &files) == 0;
    whole =
        whole && name_parse(name, &model->name) && strlen(commit) < sizeof model->commit && json_array_size(files) > 0;
    whole = whole && (!*model->name.repo || commit_is_valid(commit)); /* it becomes a folder's name */
    if (whole) {
        strcpy(model->commit, commit);
        model->pulled = pulled;
        model->folder = store_folder_of(&model->name, commit);
    }
    for (size_t i = 0; whole && i < json_array_size(files); i++) {
        const char *file, *sha256;
        json_int_t size;
        struct stat about;
        whole = json_unpack(json_array_get(files, i), "{s:s, s:I, s:s}", "path", &file, "size", &size, "sha256",
                            &sha256) == 0 &&
                path_is_safe(file) && stat(path_of("%s/%s", model->folder.text, file).text, &about) == 0 &&
                about.st_size == size && file_list_add(&model->files, file, (uint64_t)size, sha256);
    }
    json_decref(document);
    if (!whole) {
        free(model->files.items);
        model->files = (file_list){0};
    }
    return whole;
}

bool store_write(const stored_model *model) {
    const path_text path = manifest_of(&model->name), new = path_of("%s.new", path.text);
    json_t *document = json_object(), *files = json_array();
    json_put(&document, "name", json_text(model->name.text, strlen(model->name.text)));
    json_put(&document, "commit", json_text(model->commit, strlen(model->commit)));
    json_put(&document, "pulled", json_integer(model->pulled));
    for (size_t i = 0; i < model->files.count; i++) {
        const model_file *file = &model->files.items[i];
        json_t *item = json_object();
        json_put(&item, "path", json_text(file->path, strlen(file->path)));
        json_put(&item, "size", json_integer((json_int_t)file->size));
        json_put(&item, "sha256", json_string(file->sha256));
        json_add(&files, item);
    }
    json_put(&document, "files", files);
    errno = ENOMEM;
    bool written = document && make_folders(path.text);
    int file = written ? open(new.text, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    written = file >= 0 && json_dumpfd(document, file, JSON_INDENT(2)) == 0 && fsync(file) == 0;
    if (file >= 0) written = close(file) == 0 && written;
    written = written && rename(new.text, path.text) == 0;
    if (!written && file >= 0) unlink(new.text);
    json_decref(document);
    return written;
}

typedef struct each_model {
    void (*take)(void *user, stored_model *model); /* takes ownership of the model's files */
    void *user;
    path_text folder;
} each_model;

static void take_manifest(void *user, const char *path, uint64_t size) {
    const each_model *each = user;
    stored_model model;
    (void)size;
    if (!text_ends_with(path, ".json") || !read_manifest(path_of("%s/%s", each->folder.text, path).text, &model))
        return;
    each->take(each->user, &model);
}

/* The first model found in a repository. It is the only one if `count` is 1. */
typedef struct only_model {
    stored_model model;
    size_t count;
} only_model;

static void take_only(void *user, stored_model *model) {
    only_model *only = user;
    if (only->count++ == 0)
        only->model = *model;
    else
        free(model->files.items);
}

bool store_find(const model_name *name, stored_model *model) {
    model_name wanted = *name;
    const bool open = *name->repo && !*name->tag && !*name->file;
    if (open) strcpy(wanted.tag, DEFAULT_TAG);
    if (read_manifest(manifest_of(&wanted).text, model)) {
        name_spell(&wanted);
        if (!*name->repo || strcmp(wanted.text, model->name.text) == 0) return true;
        free(model->files.items);
    }
    if (!open || strcmp(name->revision, "main") != 0) return false;
    only_model only = {.count = 0};
    each_model each = {take_only, &only, path_of("%s/hf/%s", store_folder().text, name->repo)};
    walk(each.folder.text, "", take_manifest, &each);
    *model = only.model;
    if (only.count == 1) return true;
    free(model->files.items);
    return false;
}

path_text stored_path(const stored_model *model) {
    return path_of("%s/%s", model->folder.text, model->files.items[0].path);
}

uint64_t stored_bytes(const stored_model *model) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < model->files.count; i++) bytes += model->files.items[i].size;
    return bytes;
}

/* --------------------------------------------------------------------------------- Hugging Face's cache */

static path_text hf_cache_repo(const model_name *name) {
    const char *slash = strchr(name->repo, '/');
    return path_of("%s/models--%.*s--%s", hf_cache_folder().text, (int)(slash - name->repo), name->repo, slash + 1);
}

/* Find the commit of a revision. */
static bool hf_cache_commit(const model_name *name, char commit[static 128]) {
    FILE *file = fopen(path_of("%s/refs/%s", hf_cache_repo(name).text, name->revision).text, "r");
    snprintf(commit, 128, "%s", name->revision);
    if (file && !fgets(commit, 128, file)) *commit = '\0';
    if (file) fclose(file);
    commit[strcspn(commit, "\r\n")] = '\0';
    return path_is_safe(commit) && !strchr(commit, '/');
}

bool hf_cache_find(const model_name *name, stored_model *model) {
    *model = (stored_model){.name = *name, .foreign = true};
    if (!*name->repo || !hf_cache_commit(name, model->commit)) return false;
    model->folder = path_of("%s/snapshots/%s", hf_cache_repo(name).text, model->commit);
    file_list all = {0};
    walk(model->folder.text, "", collect, &all);
    const bool made = choose_files(name, &all, &model->files) == CHOICE_MADE;
    free(all.items);
    struct stat about;
    if (made && stat(stored_path(model).text, &about) == 0) model->pulled = about.st_mtime;
    if (made) return true;
    free(model->files.items);
    model->files = (file_list){0};
    return false;
}

/* Visit each model of a folder models--OWNER--NAME. */
static void each_of_hf_repo(const char *folder, const each_model *each) {
    model_name name;
    const char *owner = folder + strlen("models--"), *end = strstr(owner, "--");
    if (strncmp(folder, "models--", strlen("models--")) != 0 || !end) return;
    if (!name_parse(path_of("hf:%.*s/%s", (int)(end - owner), owner, end + 2).text, &name)) return;
    stored_model model = {.foreign = true};
    if (!hf_cache_commit(&name, model.commit)) return;
    file_list all = {0};
    walk(path_of("%s/snapshots/%s", hf_cache_repo(&name).text, model.commit).text, "", collect, &all);
    for (size_t i = 0; i < all.count; i++) {
        const char *path = all.items[i].path;
        if (!is_first_file(path)) continue;
        const tag_text tag = tag_of(path);
        snprintf(name.tag, sizeof name.tag, "%s", tag.text);
        snprintf(name.file, sizeof name.file, "%s", *tag.text ? "" : path);
        name_spell(&name);
        bool found = hf_cache_find(&name, &model);
        if (!found) { /* several models have this tag, so use the file's name */
            *name.tag = '\0';
            snprintf(name.file, sizeof name.file, "%s", path);
            name_spell(&name);
            found = hf_cache_find(&name, &model);
        }
        if (found) each->take(each->user, &model);
    }
    free(all.items);
}

typedef struct model_list {
    stored_model *items; /* [count], owned */
    size_t count;
} model_list;

static void keep_model(void *user, stored_model *model) {
    model_list *list = user;
    stored_model *more = realloc(list->items, (list->count + 1) * sizeof *more);
    if (more) {
        list->items = more;
        list->items[list->count++] = *model;
    } else {
        free(model->files.items);
    }
}

static int by_name(const void *a, const void *b) {
    const stored_model *one = a, *other = b;
    return one->foreign != other->foreign ? one->foreign - other->foreign : strcmp(one->name.text, other->name.text);
}

static void collect_models(model_list *list) {
    each_model each = {keep_model, list, path_of("%s/hf", store_folder().text)};
    walk(each.folder.text, "", take_manifest, &each);
    each.folder = path_of("%s/url", store_folder().text);
    walk(each.folder.text, "", take_manifest, &each);
    DIR *dir = opendir(hf_cache_folder().text);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) each_of_hf_repo(entry->d_name, &each);
    closedir(dir);
}

void store_each(void (*take)(void *user, const stored_model *model), void *user) {
    model_list list = {0};
    collect_models(&list);
    if (list.count > 0) qsort(list.items, list.count, sizeof *list.items, by_name);
    for (size_t i = 0; i < list.count; i++) {
        take(user, &list.items[i]);
        free(list.items[i].files.items);
    }
    free(list.items);
}

/* --------------------------------------------------------------------------------------------- removing */

typedef struct shared_files {
    const stored_model *model;
    bool *shared; /* [files.count]: another model uses the file too */
} shared_files;

static void mark_shared(void *user, const stored_model *other) {
    shared_files *s = user;
    if (other->foreign || strcmp(other->folder.text, s->model->folder.text) != 0) return;
    for (size_t i = 0; i < s->model->files.count; i++)
        if (find_file(&other->files, s->model->files.items[i].path)) s->shared[i] = true;
}

void store_drop_files(const stored_model *model) {
    shared_files s = {model, calloc(model->files.count + 1, sizeof *s.shared)};
    if (!s.shared) return;
    store_each(mark_shared, &s);
    for (size_t i = 0; i < model->files.count; i++) {
        const path_text path = path_of("%s/%s", model->folder.text, model->files.items[i].path);
        if (!s.shared[i]) unlink(path.text);
        remove_empty_folders(path.text);
    }
    free(s.shared);
}

bool store_remove(const stored_model *model) {
    const path_text manifest = manifest_of(&model->name);
    if (unlink(manifest.text) != 0) return false;
    store_drop_files(model);
    remove_empty_folders(manifest.text);
    return true;
}

void store_each_file(void (*take)(void *user, const char *path, uint64_t size), void *user) {
    walk(store_folder().text, "", take, user);
}

size_t store_drop_partials(const model_name *name) {
    file_list all = {0};
    path_text folder = store_folder_of(name, "");
    const char *base = *name->url ? strrchr(name->url, '/') + 1 : "";
    size_t count = 0;
    walk(folder.text, "", collect, &all);
    for (size_t i = 0; i < all.count; i++) {
        const char *path = all.items[i].path, *in_commit = strchr(path, '/');
        const bool wanted = !*name->repo  ? strncmp(path, base, strlen(base)) == 0
                            : !in_commit  ? false
                            : *name->file ? strncmp(in_commit + 1, name->file, strlen(name->file)) == 0
                            : !*name->tag ? true
                                          : tag_matches(in_commit, name->tag);
        const path_text whole = path_of("%s/%s", folder.text, path);
        if (!wanted || !(text_ends_with(path, ".partial") || text_ends_with(path, ".lock")) || unlink(whole.text) != 0)
            continue;
        count += text_ends_with(path, ".partial");
        remove_empty_folders(whole.text);
    }
    free(all.items);
    return count;
}
