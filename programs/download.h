/* One file from a server to a disk: whole and checked, or not there. */
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
    path_text path;       /* where it is to lie; beside it FILE.partial and FILE.lock for a while */
    uint64_t size;        /* HTTP_UNSAID: nobody says; set when it is whole */
    char sha256[65];      /* "": nobody says; set when it is whole */
    bool replace;         /* a file that is there is an older one */
} download;

/* where: found already, or NULL. Returns an exit status, after saying why. What has arrived stays for the next time, unless
 * it is wrong. */
int download_file(download *d, const location *where);

#endif
