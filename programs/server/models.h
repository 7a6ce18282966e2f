/* The served models: their names, which ones are loaded, and what each one works with.
 *
 * A model is loaded when a request names it. It is unloaded when it was unused for a time, or another model needs its
 * place. Each has its own engine and thread. */
#ifndef SERVER_MODELS_H
#define SERVER_MODELS_H

#include "model_store.h"
#include "program.h"
#include "server/failure.h"
#include "server/metrics.h"
#include "server/scheduler.h"

typedef enum model_state { MODEL_UNLOADED, MODEL_LOADING, MODEL_READY, MODEL_FAILED, MODEL_UNLOADING } model_state;

struct served_model {
    char *name;        /* owned */
    char *path;        /* owned */
    options o;         /* of the command line, with this model's path; its lists are borrowed */
    model_state state; /* protected by the lock of all models */
    int n_holders;
    double last_used;        /* now() */
    _Atomic int64_t created; /* of the file, in seconds since 1970 */
    double keep_seconds;     /* unload after this time without use; negative: never */
    uint32_t n_ctx_expected; /* for model_n_ctx while it is not loaded; 0: unknown */

    /* if the model is ready; constant then */
    run run;
    cllm_chat *chat; /* NULL: there is no template, and chat_error says why */
    char chat_error[600];
    atomic_bool told_of_tools;     /* the log says already that its template does not show tools */
    cllm_sampler_options sampling; /* defaults of a request; seed UINT64_MAX: a fresh one */
    cllm_sampler_step steps[CLLM_N_STEPS];
    uint32_t n_slots, n_positions, n_batch;
    uint32_t n_ctx; /* positions that one request can use */
    bool drafts;
    scheduler *scheduler;
    metrics metrics;

    pthread_mutex_t lock; /* protects the index */
    cllm_token_index *index;
};

/* Make the list of models: those of the command line, or, if there are none, all pulled models. Returns an exit status,
 * after saying why. */
int models_open(const options *o);
int models_load_first(void); /* load the command line's first model, if any. Returns an exit status, after saying why */

/* The server is shutting down: fail all requests, even later ones. Returns at once. */
void models_end_requests(void);
void models_close(void); /* unloads all */

/* The model with this name (NULL or "": the first one). If there is only one model, any name means it, unless
 * --strict-model is given. It is loaded, and held until model_release. NULL: f says why. */
served_model *model_acquire(const char *name, failure *f);
void model_release(served_model *m); /* NULL is allowed */

/* The model with this name, loaded or not. NULL: f says that there is none. */
served_model *model_find(const char *name, failure *f);

/* Hold a model if it is ready, so that its constant fields may be read. This does not count as use: the model is not
 * kept longer for it. */
bool model_hold(served_model *m);
void model_let_go(served_model *m);

/* Visit all models, loaded or not. They stay, and others may be added at the end. */
size_t models_count(void);
served_model *model_at(size_t index);
path_text model_path(const served_model *m);

/* A message about the file at `path`, for clients: without the folder, if it begins with the path. */
const char *without_folder(const char *message, const char *path);

/* True if the server serves pulled models, not models of the command line. models_add_pulled may be called only
 * then: it adds a model, or a newer file of one. */
bool models_are_pulled(void);
const options *models_options(void); /* of the command line */
bool models_add_pulled(const char *name, const char *path);
model_state model_get_state(const served_model *m);
bool model_load_now(const char *name, failure *f);
bool model_unload(const char *name, failure *f); /* if nobody uses it */
void models_unload_idle(void);
void model_keep(served_model *m, double seconds); /* how long to keep it after its last use; negative: forever */
double model_expires(served_model *m);            /* when it will be unloaded, on the clock of now(); negative: never */

/* The positions that one request can use. If the model is not loaded, they are computed from its file; 0: the file
 * cannot be read. */
uint32_t model_n_ctx(served_model *m);

/* True if the model was trained for more than n_ctx positions, so that a larger --ctx helps. The model is loaded. */
bool model_may_grow(const served_model *m, size_t n_ctx);

/* True if the command line's first model has been loaded, or if there is none. It may be unloaded again; a request
 * loads it. */
bool models_ready(void);

cllm_token_index *model_index(served_model *m); /* made at the first call; NULL: out of memory */
cllm_stats model_stats(served_model *m);

/* Text to tokens, with BOS first if the model wants it. false: f says why. */
bool model_encode(const served_model *m, const char *text, size_t length, int flags, int32_t **tokens, size_t *count,
                  failure *f);

/* Read an array of token ids, the request's field `name`. tokens: out, with room for them all, for free(). */
bool model_token_ids(const served_model *m, const json_t *list, const char *name, int32_t **tokens, failure *f);

#endif
