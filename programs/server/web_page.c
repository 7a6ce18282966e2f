/* Finds the files of the web page; the Makefile put their bytes into web_files. */
#include "server/web_page.h"

#include <string.h>

const web_file *web_page_find(const char *path) {
    if (strcmp(path, "/") == 0) path = "/index.html";
    for (const web_file *file = web_files; file->path; file++)
        if (strcmp(file->path, path) == 0) return file;
    return NULL;
}
