/* Pulling a model, for those who are no command: who watches it, and may end it. */
#ifndef PULL_H
#define PULL_H

#include "model_store.h"
#include "options.h"

/* Called while a file arrives, with what is there of it. total: UINT64_MAX, nobody says. sha256: "", nobody says. false ends the work. */
typedef struct pull_watch {
    bool (*tell)(void *user, const char *file, const char *sha256, uint64_t done, uint64_t total);
    void *user;
} pull_watch;

/* Pull a model, one at a time in a process. name: becomes the name that it has in the store. watch: NULL, a bar is drawn. path: out, its first
 * file. Returns an exit status, after saying why. */
int pull_model(const options *o, model_name *name, const pull_watch *watch, path_text *path);

#endif
