/* Pulling a model, for callers other than the command pull. A caller can watch and stop it. */
#ifndef PULL_H
#define PULL_H

#include "model_store.h"
#include "options.h"

/* Called while a file arrives, with the bytes so far. total: UINT64_MAX if unknown. sha256: "" if unknown. Return false
 * to stop. */
typedef struct pull_watch {
    bool (*tell)(void *user, const char *file, const char *sha256, uint64_t done, uint64_t total);
    void *user;
} pull_watch;

/* Pull a model; only one pull at a time in a process. name: changed to the model's name in the store. watch: NULL draws
 * a bar. path: out, its first file. Returns an exit status, after saying why. */
int pull_model(const options *o, model_name *name, const pull_watch *watch, path_text *path);

#endif
