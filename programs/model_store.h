/* Models by name: what a name means, where the files of pulled models are, and which models are pulled.
 *
 * DIR/hf/OWNER/NAME/TAG.json        the manifest: what is pulled; written when all files are complete. Without a
 *                                   tag, FILE replaces TAG; a revision other than main follows it as @REVISION; "/"
 *                                   becomes "+"
 * DIR/hf/OWNER/NAME/COMMIT/FILE     the files, as the Hub names them; FILE.partial until a file is complete
 * DIR/url/HOST/PATH[.json]          the same for a file on another server
 *
 * DIR is $MINI_CLLM_MODELS, or $XDG_CACHE_HOME/mini-cllm, or ~/.cache/mini-cllm. */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct path_text {
    char text[4096]; /* "": it was too long */
} path_text;

path_text path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ------------------------------------------------------------------------------------------------ names */

typedef struct model_name {
    char repo[256];     /* OWNER/NAME on the Hub, or "": `url` says where */
    char tag[64];       /* in capitals, or "" */
    char file[512];     /* one file of the repository, or "" */
    char revision[128]; /* a branch, a tag or a commit */
    char url[2048];     /* of a file on another server, or "" */
    char query[2048];   /* the part of that URL after a question mark; it is sent, but is not part of the name */
    char text[2048];    /* the name as `list` shows it */
} model_name;

/* Parse hf:OWNER/NAME[:TAG], the same without hf:, the URL of a GGUF file, or of a model's page on the Hub. /FILE may
 * follow OWNER/NAME instead of :TAG, and @REVISION may come last. Returns false if it is none of these. */
bool name_parse(const char *text, model_name *name);
bool name_is_of_hub(const char *text); /* true if it begins with hf:, hf.co/ or huggingface.co/ */
void name_spell(model_name *name);     /* set `text`, after a field has changed */

const char *hub_endpoint(void); /* $HF_ENDPOINT, or https://huggingface.co */

/* ------------------------------------------------------------------------------------------------ files */

typedef struct model_file {
    char path[512]; /* in its folder */
    uint64_t size;
    char sha256[65]; /* in hexadecimal, or "" if unknown */
} model_file;

typedef struct file_list {
    model_file *items; /* [count], owned: release with free */
    size_t count, capacity;
} file_list;

bool file_list_add(file_list *list, const char *path, uint64_t size, const char *sha256);

/* True if a path that a server gave may be used below one of our folders. */
bool path_is_safe(const char *path);

/* The files of a repository that make up the model with this name: all its shards. Without a tag or a file in the name
 * it is the Q4_K_M, or else the only model. Companion files (mmproj, mtp, imatrix) are no models, but name->file may
 * name any file. */
typedef enum file_choice { CHOICE_MADE, CHOICE_NONE, CHOICE_SEVERAL, CHOICE_SHARDS_MISSING } file_choice;
file_choice choose_files(const model_name *name, const file_list *all, file_list *chosen);

typedef struct tag_text {
    char text[64];
} tag_text;
tag_text tag_of(const char *path);                   /* the quantization in a file's name, or "" */
bool tag_matches(const char *path, const char *tag); /* true if the path has it as whole parts, in any letter case */
bool is_first_file(const char *path);                /* of a model: not a later shard, not a companion file */

/* The path of shard `index`, from 0, of the model whose first file is at `path`; "" if there is none. */
path_text shard_of(const char *path, unsigned index);

/* ----------------------------------------------------------------------------------------------- models */

typedef struct stored_model {
    model_name name;
    char commit[128]; /* or a URL's ETag, or "" */
    int64_t pulled;   /* seconds since 1970 */
    path_text folder; /* of the files */
    file_list files;  /* owned */
    bool foreign;     /* it is in Hugging Face's cache */
} stored_model;

path_text store_folder(void); /* DIR, or "" if there is no home folder */
bool store_exists(void);      /* true if the store is there and can be read; false: errno */
path_text store_folder_of(const model_name *name, const char *commit); /* of its files */

/* Find a model among the pulled ones that have all their files. A repository without a tag or a file means its Q4_K_M,
 * or else its only pulled model. */
bool store_find(const model_name *name, stored_model *model);
bool hf_cache_find(const model_name *name, stored_model *model); /* in Hugging Face's cache */
path_text stored_path(const stored_model *model);                /* its first file */
uint64_t stored_bytes(const stored_model *model);

bool commit_is_valid(const char *commit);    /* hexadecimal digits, as in git */
bool store_write(const stored_model *model); /* write its manifest; false: errno */

/* Remove files that no other pulled model uses, and folders that are then empty. */
void store_drop_files(const stored_model *model);
bool store_remove(const stored_model *model);       /* manifest and files; false: errno */
size_t store_drop_partials(const model_name *name); /* returns how many there were */
bool make_folders(const char *path);                /* the folders above a file; false: errno */

/* Call take for each file of DIR, finished or not; path: within DIR. */
void store_each_file(void (*take)(void *user, const char *path, uint64_t size), void *user);

/* Call take for each model, in the order of their names; models of Hugging Face's cache come last. */
void store_each(void (*take)(void *user, const stored_model *model), void *user);

#endif
