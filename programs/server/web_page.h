/* The files of the server's web page (programs/server/web) and the description of its API (openapi.json), which are
 * part of the program. Before it: the routes. After it: answer_file. */
#ifndef SERVER_WEB_PAGE_H
#define SERVER_WEB_PAGE_H

#include <stddef.h>

typedef struct web_file {
    const char *path, *type; /* "/page.js", "text/javascript; charset=utf-8" */
    const char *etag;        /* of these bytes, with its quotes */
    const unsigned char *bytes;
    size_t length;
} web_file;

/* The Content-Security-Policy to send with each file: the page may run only scripts of its own server, and talk only to
 * that server. */
#define WEB_PAGE_POLICY                                                                                   \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* The file at a path of a URL, without its query; "/" is the page. NULL: there is none. */
const web_file *web_page_find(const char *path);

/* All files; the last row is NULL. The Makefile makes this table, build/obj/web_files.c. */
extern const web_file web_files[];

#endif
