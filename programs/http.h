/* One request of HTTP by libcurl: no redirect is followed here, and the token of the Hub goes to the Hub alone. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_UNSAID UINT64_MAX /* of a number: no header says it */

typedef struct http http;

typedef struct http_reply {
    long status;
    char location[4096];    /* of a redirect: the whole URL */
    char next[4096];        /* the next page (Link: rel="next") */
    char commit[128];       /* X-Repo-Commit */
    char etag[128];         /* without its quotes */
    char linked_sha256[65]; /* X-Linked-Etag, where it is a SHA-256 */
    uint64_t linked_size;   /* X-Linked-Size */
    uint64_t length;        /* Content-Length */
    uint64_t range_start;   /* of a partial answer */
    uint64_t retry_after;   /* seconds */
} http_reply;

typedef enum http_result {
    HTTP_ANSWERED,
    HTTP_STOPPED,     /* by a signal */
    HTTP_DECLINED,    /* the sink wanted no more */
    HTTP_DROPPED,     /* the connection was lost, or stalled: it is worth another try */
    HTTP_UNREACHABLE, /* there was none */
} http_result;

/* Takes the bytes of an answer; false ends it. */
typedef bool (*http_sink)(void *user, const http_reply *reply, const char *bytes, size_t n);

http *http_open(void); /* NULL: out of memory */
void http_close(http *h);

/* Ask for the bytes from `from` on, or where `head` is set for the headers alone. */
http_result http_ask(http *h, const char *url, bool head, uint64_t from, http_sink sink, void *user, http_reply *reply);
const char *http_error(const http *h); /* why there was no answer */

bool http_is_hub(const char *url); /* is it of the same server as the Hub's endpoint? */
bool http_same_server(const char *one, const char *other);
bool http_is_redirect(long status);

/* May the redirect of this URL be followed? What was asked for in secret is not asked for in the open. */
bool http_may_follow(const char *url, const http_reply *reply);

/* Wait before another try, longer each time; false: a signal came. */
bool http_wait(unsigned n_tries);
#define HTTP_MOST_TRIES 5

#endif
