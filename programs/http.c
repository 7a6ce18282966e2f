/* Implements http.h with libcurl. Proxies come from libcurl's environment variables (https_proxy, no_proxy, ...). */
#ifdef HAVE_CURL
#include "http.h"

#include "interrupt.h"
#include "model_store.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct http {
    CURL *curl;
    char error[CURL_ERROR_SIZE];
    char authorization[1024]; /* the header, or "" */
};

typedef struct request {
    http *h;
    http_reply *reply;
    http_sink sink;
    void *user;
    bool declined;
} request;

/* ----------------------------------------------------------------------------------------------- token */

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* $HF_TOKEN, or the token in the file of huggingface-cli; "" if there is none, or it is malformed. */
static void find_token(char *token, size_t size) {
    const char *given = setting("HF_TOKEN"), *home = setting("HF_HOME"), *cache = setting("XDG_CACHE_HOME");
    const path_text path = setting("HF_TOKEN_PATH") ? path_of("%s", setting("HF_TOKEN_PATH"))
                           : home                   ? path_of("%s/token", home)
                           : cache                  ? path_of("%s/huggingface/token", cache)
                                   : path_of("%s/.cache/huggingface/token", setting("HOME") ? setting("HOME") : "");
    FILE *file = given ? NULL : fopen(path.text, "r");
    snprintf(token, size, "%s", given ? given : "");
    if (file && !fgets(token, (int)size, file)) *token = '\0';
    if (file) fclose(file);
    token[strcspn(token, " \t\r\n")] = '\0';
    for (const char *c = token; *c; c++)
        if (!isgraph((unsigned char)*c)) *token = '\0';
}

/* ------------------------------------------------------------------------------------------------- URLs */

/* The length of a URL's scheme, host and port. */
static size_t server_length(const char *url) {
    const char *host = strstr(url, "://");
    return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

bool http_same_server(const char *one, const char *other) {
    const size_t length = server_length(one);
    return length > 0 && length == server_length(other) && strncasecmp(one, other, length) == 0;
}

bool http_is_hub(const char *url) { return http_same_server(url, hub_endpoint()); }

bool http_is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool http_may_follow(const char *url, const http_reply *reply) {
    const bool opens = strncasecmp(url, "https:", 6) == 0 && strncasecmp(reply->location, "https:", 6) != 0;
    return *reply->location && !opens;
}

/* --------------------------------------------------------------------------------------------- headers */

/* The value of a header line, or NULL if the line is a different header. */
static const char *value_of(const char *line, const char *name) {
    const size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0 || line[length] != ':') return NULL;
    return line + length + 1 + strspn(line + length + 1, " \t");
}

static void read_number(const char *line, const char *name, uint64_t *number) {
    const char *value = value_of(line, name);
    if (value && isdigit((unsigned char)*value)) *number = strtoull(value, NULL, 10);
}

/* Read an ETag without its quotes and the mark W/ of a weak one. */
static void read_etag(const char *line, const char *name, char etag[static 128]) {
    const char *value = value_of(line, name);
    if (!value) return;
    if (strncmp(value, "W/", 2) == 0) value += 2;
    if (*value == '"') value++;
    snprintf(etag, 128, "%.*s", (int)strcspn(value, "\"\r\n"), value);
}

/* Read Link: <URL>; rel="next", which may be one of several links. */
static void read_link(const char *line, http_reply *reply) {
    const char *value = value_of(line, "link");
    for (const char *at = value; at && (at = strchr(at, '<')); at++) {
        const char *end = strchr(at, '>'), *next = end ? strstr(end, "rel=\"next\"") : NULL;
        if (!next || (strchr(end, '<') && strchr(end, '<') < next)) continue;
        snprintf(reply->next, sizeof reply->next, "%.*s", (int)(end - at - 1), at + 1);
    }
}

static size_t on_header(char *bytes, size_t size, size_t n, void *user) {
    http_reply *reply = ((request *)user)->reply;
    char line[8192], linked[128] = "";
    snprintf(line, sizeof line, "%.*s", (int)(size * n), bytes);
    if (strncmp(line, "HTTP/", 5) ==
        0) { /* the headers of a new answer begin; the one before may have been a proxy's */
        *reply = (http_reply){.linked_size = HTTP_UNSAID, .length = HTTP_UNSAID, .range_start = HTTP_UNSAID};
        reply->retry_after = HTTP_UNSAID;
        const char *space = strchr(line, ' ');
        if (space) reply->status = strtol(space, NULL, 10);
    }
    read_number(line, "x-linked-size", &reply->linked_size);
    read_number(line, "content-length", &reply->length);
    read_number(line, "retry-after", &reply->retry_after);
    const char *range = value_of(line, "content-range");
    if (range && strncasecmp(range, "bytes ", 6) == 0 && isdigit((unsigned char)range[6]))
        reply->range_start = strtoull(range + 6, NULL, 10);
    read_etag(line, "x-repo-commit", reply->commit);
    read_etag(line, "etag", reply->etag);
    read_etag(line, "x-linked-etag", linked);
    if (strlen(linked) == 64 && strspn(linked, "0123456789abcdefABCDEF") == 64)
        for (size_t i = 0; i <= 64; i++) reply->linked_sha256[i] = (char)tolower((unsigned char)linked[i]);
    read_link(line, reply);
    return size * n;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *user) {
    request *r = user;
    if (r->sink(r->user, r->reply, bytes, size * n)) return size * n;
    r->declined = true;
    return CURL_WRITEFUNC_ERROR;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t sent_total, curl_off_t sent) {
    (void)user, (void)total, (void)now, (void)sent_total, (void)sent;
    return interrupted();
}

/* ---------------------------------------------------------------------------------------------- asking */

http *http_open(void) {
    http *h = calloc(1, sizeof *h);
    char token[900];
    if (h && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) h->curl = curl_easy_init();
    if (!h || !h->curl) {
        free(h);
        return NULL;
    }
    find_token(token, sizeof token);
    if (*token) snprintf(h->authorization, sizeof h->authorization, "Authorization: Bearer %s", token);
    return h;
}

void http_close(http *h) {
    if (!h) return;
    curl_easy_cleanup(h->curl);
    curl_global_cleanup();
    free(h);
}

const char *http_error(const http *h) { return h->error; }

/* Seconds without data after which a connection counts as lost. */
static long stall_seconds(void) {
    const char *given = setting("HF_HUB_DOWNLOAD_TIMEOUT");
    const long seconds = given ? strtol(given, NULL, 10) : 0;
    return seconds > 0 ? seconds : 30;
}

static http_result result_of(const request *r, CURLcode code) {
    if (interrupted()) return HTTP_STOPPED;
    if (r->declined) return HTTP_DECLINED;
    switch (code) {
    case CURLE_OK: return HTTP_ANSWERED;
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return HTTP_DROPPED;
    default: return HTTP_UNREACHABLE;
    }
}

http_result http_ask(http *h, const char *url, bool head, uint64_t from, http_sink sink, void *user,
                     http_reply *reply) {
    *reply = (http_reply){.length = HTTP_UNSAID};
    request r = {.h = h, .reply = reply, .sink = sink, .user = user};
    CURL *curl = h->curl;
    curl_easy_reset(curl); /* keeps connections open */
    *h->error = '\0';
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, h->error);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "mini-cllm/" CLLM_VERSION);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOBODY, head ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, stall_seconds());
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, stall_seconds());
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &r);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r);
    char range[32];
    snprintf(range, sizeof range, "%llu-", (unsigned long long)from);
    if (from > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range);
    struct curl_slist *headers = NULL;
    if (*h->authorization && http_is_hub(url)) headers = curl_slist_append(NULL, h->authorization);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);

    const CURLcode code = curl_easy_perform(curl);
    if (!*h->error) snprintf(h->error, sizeof h->error, "%s", curl_easy_strerror(code));
    const char *location = NULL;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
    snprintf(reply->location, sizeof reply->location, "%s", location ? location : "");
    curl_slist_free_all(headers);
    return result_of(&r, code);
}

bool http_wait(unsigned n_tries) {
    const unsigned n_steps = 2u << n_tries; /* of a tenth of a second each */
    for (unsigned i = 0; i < n_steps && !interrupted(); i++)
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    return !interrupted();
}
#else
typedef int no_curl; /* a file must not be empty */
#endif
