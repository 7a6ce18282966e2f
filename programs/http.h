/* One HTTP request, with libcurl. It does not follow redirects. The Hub's token is sent only to the Hub. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_UNSAID UINT64_MAX /* value of a number that no header gives */

typedef struct http http;

typedef struct http_reply {
    long status;
    char location[4096];    /* of a redirect: the whole URL */
    char next[4096];        /* the next page (Link: rel="next") */
    char commit[128];       /* X-Repo-Commit */
    char etag[128];         /* without quotes */
    char linked_sha256[65]; /* X-Linked-Etag, if it is a SHA-256; otherwise "" */
    uint64_t linked_size;   /* X-Linked-Size */
    uint64_t length;        /* Content-Length */
    uint64_t range_start;   /* of a partial answer */
    uint64_t retry_after;   /* seconds */
} http_reply;

typedef enum http_result {
    HTTP_ANSWERED,
    HTTP_STOPPED,     /* by a signal */
    HTTP_DECLINED,    /* the sink wanted no more bytes */
    HTTP_DROPPED,     /* the connection was lost or stalled: worth another try */
    HTTP_UNREACHABLE, /* no connection, or another error of libcurl */
} http_result;

/* Takes bytes of an answer. Returns false to stop. */
typedef bool (*http_sink)(void *user, const http_reply *reply, const char *bytes, size_t n);

http *http_open(void); /* NULL: out of memory */
void http_close(http *h);

/* Request the bytes from offset `from` on, or only the headers if `head` is set. */
http_result http_ask(http *h, const char *url, bool head, uint64_t from, http_sink sink, void *user, http_reply *reply);
const char *http_error(const http *h); /* why there was no answer */

bool http_is_hub(const char *url); /* true if the URL is on the server of the Hub's endpoint */
bool http_same_server(const char *one, const char *other);
bool http_is_redirect(long status);

/* True if the redirect of this URL may be followed. A request by https must not become one by http. */
bool http_may_follow(const char *url, const http_reply *reply);

/* Wait before another try, longer each time. Returns false if a signal came. */
bool http_wait(unsigned n_tries);
#define HTTP_MOST_TRIES 5

#endif
