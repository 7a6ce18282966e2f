/* The models that are served: by which names, which are loaded, and what each one works with.
 *
 * A model is loaded when a request names it, and stays until it was not used for so long, or another needs its place. Each has an engine and a thread
 * of its own. */
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
    options o;         /* those of the command line, with this model's path; its lists are borrowed */
    model_state state; /* under the lock of all models */
    int n_holders;
    double last_used;        /* now() */
    _Atomic int64_t created; /* of the file, in seconds since 1970 */
    double keep_seconds;     /* unused, before it is unloaded; negative: for ever */
    char error[640];         /* of MODEL_FAILED */
    uint32_t n_ctx_expected; /* of model_n_ctx while it is not loaded; 0: nobody has asked */

    /* of a model that is ready; constant then */
    run run;
    cllm_chat *chat; /* NULL: it has no template, and chat_error says why */
    char chat_error[600];
    atomic_bool told_of_tools;     /* the log has a line of what its template does with tools, or needs none */
    cllm_sampler_options sampling; /* what a request begins with */
    cllm_sampler_step steps[CLLM_N_STEPS];
    uint32_t n_slots, n_positions, n_batch;
    uint32_t n_ctx; /* positions that one request can use */
    bool drafts;
    scheduler *scheduler;
    metrics metrics;

    pthread_mutex_t lock; /* of the index */
    cllm_token_index *index;
};

/* Which models there are: those of the command line, and with none of them all that are pulled. Returns an exit status, after saying why. */
int models_open(const options *o);
void models_end_requests(void); /* all fail, those to come too: the server is shutting down. Returns at once */
void models_close(void);        /* unloads all */
int models_load_first(void);    /* of the command line. Returns an exit status, after saying why */

/* The model of that name (NULL or "": the first), loaded, and held until model_release; NULL: f says why. */
served_model *model_acquire(const char *name, failure *f);
void model_release(served_model *m); /* NULL is allowed */

/* The model of that name as it is, loaded or not; NULL: f says that there is none. */
served_model *model_find(const char *name, failure *f);

/* Hold a model if it is ready, so that what is constant then may be read. This is no use of it: it is unloaded as soon as without. */
bool model_hold(served_model *m);
void model_let_go(served_model *m);

/* All of them in turn; loaded or not. They stay, and others may be added at the end. */
size_t models_count(void);
served_model *model_at(size_t index);
path_text model_path(const served_model *m);

/* Does the server serve what is pulled, rather than models of the command line? Then this is one more, or a newer file of one. */
bool models_are_pulled(void);
const options *models_options(void); /* of the command line */
bool models_add_pulled(const char *name, const char *path);
model_state model_get_state(const served_model *m);
bool model_load_now(const char *name, failure *f);
bool model_unload(const char *name, failure *f); /* when nobody uses it */
void models_unload_idle(void);
void model_keep(served_model *m, double seconds); /* from its last use, until it is unloaded; negative: for ever */
double model_expires(served_model *m);            /* when, by now(); negative: never */

uint32_t model_n_ctx(
    served_model *m); /* what one request can use; of one that is not loaded, by its file; 0: that cannot be read */

/* Has the first been loaded? It may sleep since then: a request wakes it. */
bool models_ready(void);

cllm_token_index *model_index(served_model *m); /* made when it is first asked for; NULL: out of memory */
cllm_stats model_stats(served_model *m);

/* Text to tokens, with BOS first if the model wants it. false: f says why. */
bool model_encode(const served_model *m, const char *text, size_t length, int flags, int32_t **tokens, size_t *count,
                  failure *f);

#endif
