/* What the Hub knows of a model: the files of a repository, and where the bytes of one are at the moment. */
#ifndef HUB_H
#define HUB_H

#include "http.h"
#include "model_store.h"

/* Where the bytes of a file are. */
typedef struct location {
    char url[4096]; /* signed, perhaps, and so good for a while */
    uint64_t size;  /* HTTP_UNSAID: nobody says */
    char sha256[65];
    char commit[128]; /* of the repository; of a file elsewhere its ETag */
} location;

/* All GGUF files of the repository at the name's revision. Returns an exit status, after saying why. */
int hub_list(http *h, const model_name *name, file_list *files);

/* Find a file, of the repository at a revision, or where the name is a URL the file itself. Returns an exit status, after
 * saying why. */
int hub_locate(http *h, const model_name *name, const char *revision, const char *path, location *where);

/* Say in one line why a server refused. Returns an exit status. */
int hub_refused(const model_name *name, const http_reply *reply);
/* The same for a request without an answer. */
int hub_unanswered(const http *h, http_result result, const char *url);

#endif
