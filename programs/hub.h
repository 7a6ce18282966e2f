/* Asks the Hub about a model: which files its repository has, and where the bytes of a file are now. Before it: the
 * name of a model (model_store.h). After it: download.h. */
#ifndef HUB_H
#define HUB_H

#include "http.h"
#include "model_store.h"

/* Where the bytes of a file are. */
typedef struct location {
    char url[4096]; /* it may be signed, and then expires after a while */
    uint64_t size;  /* HTTP_UNSAID: unknown */
    char sha256[65];
    char commit[128]; /* of the repository; for a file on another server its ETag */
} location;

/* List all GGUF files of the repository at the name's revision. Returns an exit status, after saying why. */
int hub_list(http *h, const model_name *name, file_list *files);

/* Find a file of the repository at a revision; if the name is a URL, `path` is the URL to ask. Returns an exit status,
 * after saying why. */
int hub_locate(http *h, const model_name *name, const char *revision, const char *path, location *where);

/* Print one line that says why a server refused. Returns an exit status. */
int hub_refused(const model_name *name, const http_reply *reply);
/* The same for a request without an answer. */
int hub_unanswered(const http *h, http_result result, const char *url);

#endif
