/* The Hub's API, as huggingface_hub uses it: GET /api/models/REPO/tree/REVISION lists the files by pages, HEAD
 * /REPO/resolve/REVISION/FILE tells size, hash and commit, and redirects to where the bytes are. */
#ifdef HAVE_CURL
#include "hub.h"

#include "interrupt.h"
#include "program.h"
#include "text_stream.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REDIRECTS = 10, MOST_PAGES = 1000, MOST_PAGE_BYTES = 64 << 20 };

/* ----------------------------------------------------------------------------------------------- errors */

int hub_refused(const model_name *name, const http_reply *reply) {
    const bool hub = *name->repo;
    const char *who = name->text;
    switch (reply->status) {
    case 401:
        return fail(hub ? "%s: the Hub has no such model, or it needs a token (401): set HF_TOKEN"
                        : "%s: the server asks for a password (401)",
                    who);
    case 403:
        return fail(
            hub ? "%s: the Hub refuses access (403): the token's owner may have to accept the model's terms on its page"
                : "%s: the server refuses access (403)",
            who);
    case 404: return fail("%s: %s has no such model, revision or file (404)", who, hub ? "the Hub" : "the server");
    case 429:
        if (reply->retry_after != HTTP_UNSAID)
            return fail("%s: too many requests (429); try again in %" PRIu64 " seconds", who, reply->retry_after);
        return fail("%s: too many requests (429); try again later", who);
    default: return fail("%s: the server answered with status %ld", who, reply->status);
    }
}

int hub_unanswered(const http *h, http_result result, const char *url) {
    if (result == HTTP_STOPPED) return EXIT_INTERRUPTED;
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    return fail("%.*s: %s: %s", (int)strcspn(host, "/?"), host,
                result == HTTP_UNREACHABLE ? "no connection" : "the connection was lost", http_error(h));
}

/* ----------------------------------------------------------------------------------------------- asking */

typedef struct body {
    char *data; /* owned */
    size_t length;
} body;

static bool add_bytes(void *user, const http_reply *reply, const char *bytes, size_t n) {
    body *b = user;
    (void)reply;
    if (b->length + n > MOST_PAGE_BYTES) return false;
    char *larger = realloc(b->data, b->length + n + 1);
    if (!larger) return false;
    memcpy(larger + b->length, bytes, n);
    b->data = larger;
    b->length += n;
    return true;
}

/* Ask, and try again after a lost connection or a server error. */
static http_result ask_patiently(http *h, const char *url, bool head, body *b, http_reply *reply) {
    for (unsigned i = 0;; i++) {
        b->length = 0;
        const http_result result = http_ask(h, url, head, 0, add_bytes, b, reply);
        const bool again = result == HTTP_DROPPED || (result == HTTP_ANSWERED && reply->status >= 500);
        if (!again || i + 1 == HTTP_MOST_TRIES) return result;
        if (!http_wait(i)) return HTTP_STOPPED;
    }
}

/* -------------------------------------------------------------------------------------------- the tree */

/* Add the GGUF files of one page of the list. */
static bool read_page(const body *b, file_list *files) {
    json_t *page = json_loadb(b->data ? b->data : "", b->length, 0, NULL), *entry;
    const bool is_array = json_is_array(page);
    size_t i;
    json_array_foreach(page, i, entry) {
        const char *path = json_string_value(json_object_get(entry, "path"));
        const char *type = json_string_value(json_object_get(entry, "type"));
        const json_t *lfs = json_object_get(entry, "lfs");
        const char *oid = json_string_value(json_object_get(lfs, "oid"));
        const json_int_t size = json_integer_value(json_object_get(lfs ? lfs : entry, "size"));
        if (!type || strcmp(type, "file") != 0 || !path || !text_ends_with(path, ".gguf") || size < 0) continue;
        /* an unsafe path is listed too, so that it can be refused by name if it is chosen */
        if (!file_list_add(files, path, (uint64_t)size, oid && strlen(oid) == 64 ? oid : "")) break;
    }
    json_decref(page);
    return is_array;
}

/* Make a URL of the API or of a file. Characters with a meaning in URLs are escaped. */
static path_text hub_url(const char *format, const char *repo, const char *revision, const char *path) {
    const char *parts[] = {revision, path};
    char escaped[2][2048];
    for (int i = 0; i < 2; i++) {
        size_t n = 0;
        for (const char *c = parts[i]; *c && n + 4 < sizeof escaped[i]; c++) {
            const bool plain = isalnum((unsigned char)*c) || strchr("-._~", *c) || (i == 1 && *c == '/');
            n += (size_t)snprintf(escaped[i] + n, 4, plain ? "%c" : "%%%02X", (unsigned char)*c);
        }
        escaped[i][n] = '\0';
    }
    const char *endpoint = hub_endpoint();
    size_t length = strlen(endpoint);
    while (length > 0 && endpoint[length - 1] == '/') length--;
    path_text url = path_of("%.*s/", (int)length, endpoint);
    const size_t n = strlen(url.text);
    snprintf(url.text + n, sizeof url.text - n, format, repo, escaped[0], escaped[1]);
    return url;
}

int hub_list(http *h, const model_name *name, file_list *files) {
    path_text url = hub_url("api/models/%s/tree/%s?recursive=true%s", name->repo, name->revision, "");
    body b = {0};
    int status = EXIT_SUCCESS, n_redirects = 0;
    for (int n_pages = 0; *url.text && status == EXIT_SUCCESS;) {
        http_reply reply;
        const http_result result = ask_patiently(h, url.text, false, &b, &reply);
        if (result != HTTP_ANSWERED) {
            status = hub_unanswered(h, result, url.text);
        } else if (http_is_redirect(reply.status) && n_redirects++ < MOST_REDIRECTS &&
                   http_may_follow(url.text, &reply)) {
            url = path_of("%s", reply.location); /* the repository was renamed */
        } else if (reply.status != 200) {
            status = hub_refused(name, &reply);
        } else if (!read_page(&b, files) || n_pages++ >= MOST_PAGES) {
            status = fail("%s: the Hub's list of files is not valid", name->text);
        } else if (*reply.next == '/') {
            url = path_of(
                "%.*s%s",
                (int)(strstr(url.text, "://") + 3 - url.text + (ptrdiff_t)strcspn(strstr(url.text, "://") + 3, "/")),
                url.text, reply.next);
        } else {
            url = path_of("%s", reply.next);
        }
    }
    free(b.data);
    return status;
}

/* -------------------------------------------------------------------------------------------- one file */

int hub_locate(http *h, const model_name *name, const char *revision, const char *path, location *where) {
    *where = (location){.size = HTTP_UNSAID};
    const bool hub = *name->repo;
    path_text url = hub ? hub_url("%s/resolve/%s/%s", name->repo, revision, path) : path_of("%s", path);
    body none = {0};
    int status = EXIT_SUCCESS;
    for (int i = 0; status == EXIT_SUCCESS; i++) {
        http_reply reply;
        const http_result result = ask_patiently(h, url.text, true, &none, &reply);
        if (result != HTTP_ANSWERED) {
            status = hub_unanswered(h, result, url.text);
            break;
        }
        /* only the Hub's own answers have these headers; the server that it redirects to has other ETags */
        if (*reply.commit) snprintf(where->commit, sizeof where->commit, "%s", reply.commit);
        if (*reply.linked_sha256) strcpy(where->sha256, reply.linked_sha256);
        if (reply.linked_size != HTTP_UNSAID) where->size = reply.linked_size;
        if (http_is_redirect(reply.status)) {
            if (i == MOST_REDIRECTS || !http_may_follow(url.text, &reply)) {
                status = fail("%s: a redirect that cannot be followed", name->text);
                break;
            }
            const bool leaves = hub && !http_same_server(url.text, reply.location);
            url = path_of("%s", reply.location);
            if (!leaves) continue;
        } else if (!hub && (reply.status == 403 || reply.status == 405 || reply.status == 501)) {
            /* the server gives no facts about the file: they come with the bytes */
        } else if (reply.status != 200) {
            status = hub_refused(name, &reply);
            break;
        } else {
            if (where->size == HTTP_UNSAID) where->size = reply.length;
            if (!hub) snprintf(where->commit, sizeof where->commit, "%s", reply.etag);
        }
        snprintf(where->url, sizeof where->url, "%s", url.text);
        break;
    }
    free(none.data);
    return status;
}
#else
typedef int no_curl; /* a file must not be empty */
#endif
