/* Fetches one file from a server to a disk. The file appears only when it is complete and checked. */
#ifndef DOWNLOAD_H
#define DOWNLOAD_H

#include "hub.h"
#include "options.h"
#include "pull.h"

typedef struct download {
    const options *o;
    const pull_watch *watch; /* NULL: a bar is drawn */
    http *h;
    const model_name *name;
    const char *revision; /* a commit of the repository */
    const char *file;     /* in the repository, or a URL */
    path_text path;       /* where to put it; its .partial and .lock are beside it while it arrives */
    uint64_t size;        /* HTTP_UNSAID: unknown; set when the file is complete */
    char sha256[65];      /* "": unknown; set when the file was fetched, not if it was there already */
    bool replace;         /* an existing file is an older version: replace it */
} download;

/* Fetch a file. where: its location if it is known already, or NULL. Returns an exit status, after saying why. Bytes
 * that arrived are kept for the next try, unless they are wrong. */
int download_file(download *d, const location *where);

#endif
