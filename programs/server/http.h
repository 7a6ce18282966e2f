/* HTTP with libmicrohttpd: connections and their limits, access, requests, answers and streams.
 *
 *   a request is read completely -> its route's handler, in a worker's thread -> an answer at once, or a request
 *   (request.h) whose events are written as they come
 *
 * Each address has one thread, which reads and writes all its connections and never waits: a connection that has
 * nothing to send is suspended until somebody wakes it. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "server/failure.h"
#include "server/request.h"
#include "server/web_page.h"

#include <jansson.h>

typedef struct route route;

/* How an API reports a failed request: the body of the answer. */
typedef json_t *(*failure_form)(const failure *f);

enum {
    ROUTE_PUBLIC = 1,  /* no key needed */
    ROUTE_AT_ONCE = 2, /* the handler never waits, and runs in the connection's thread */
    ROUTE_PAGE = 4,    /* a file of the web page: with --no-webui there is no such route */
};

struct route {
    const char *method; /* GET includes HEAD */
    const char *path;   /* may end in a star, which stands for any rest */
    void (*handle)(exchange *x);
    failure_form fails;
    unsigned flags;
};
extern const route routes[];                    /* routes.c; ends with a NULL method */
failure_form failure_form_of(const char *path); /* for a path without a route */

typedef enum exchange_stage {
    EXCHANGE_READS,    /* its body is being read */
    EXCHANGE_WORKS,    /* a worker runs its handler */
    EXCHANGE_ANSWERED, /* the answer is ready */
    EXCHANGE_STREAMS,  /* its request is running, streamed or not */
    EXCHANGE_GONE,     /* the client is gone */
} exchange_stage;

/* One HTTP request and its answer. Four kinds of threads use it: the connection's thread, which makes it; a worker,
 * while it runs the handler; the ticker of http.c, which watches it; and threads that wake it, because its request has
 * events or its client is gone. */
struct exchange {
    /* set by the connection's thread before the handler runs, then constant */
    const route *route;
    const char *method; /* belongs to libmicrohttpd; lives as long as the connection */
    const char *path;   /* without the prefix and the query; in `url`, or "/" */
    const char *rest;   /* the part of `path` that the route's star stands for, or "" */
    char id[20];
    double begun; /* on the clock of now() */

    /* owned; the connection's thread fills it, then only the handler reads it, after which it is released */
    text_buffer body;

    /* everything below is private to http.c */

    /* set by the connection's thread before the handler runs, then constant */
    char *url;               /* owned */
    char *location;          /* where the page is, if the client asked for the prefix without a slash: owned; or NULL */
    int socket;              /* belongs to libmicrohttpd */
    struct connection *peer; /* protected by the lock of all exchanges */
    char allow[64];          /* methods of the path's routes, if the request's method is not among them */
    bool closes;             /* close the connection after the answer */

    /* protected by the lock */
    pthread_mutex_t lock;
    int n_holders;                     /* the connection's thread and a worker; the last one releases the exchange */
    _Atomic exchange_stage stage;      /* atomic: the lock is needed only to test and change it in one step */
    bool works;                        /* a worker has it, and wakes it when it is done */
    bool suspended;                    /* the connection sleeps */
    struct MHD_Connection *connection; /* belongs to libmicrohttpd; NULL once it is done with this exchange */
    request *request;                  /* held; NULL: none. Set by the worker, taken back by the connection's thread */

    /* written by the connection's thread, read by the ticker */
    atomic_bool reads;        /* the body is not complete */
    atomic_size_t n_received; /* bytes of the body, kept or dropped */
    _Atomic double sent_by;   /* deadline for the last byte of its answer; 0: no answer yet */
    double last_sent;         /* of a stream; the ticker reads it only while the connection is suspended */
    bool wants_ping;          /* set by the ticker while the connection is suspended: send a sign of life */

    /* the answer: written by the handler while it runs, otherwise by the connection's thread */
    int status;
    unsigned retry_after; /* seconds, or 0 */
    const char *type;     /* borrowed: a constant */
    const web_file *file; /* borrowed: a file of the web page to answer with, or NULL */
    text_buffer answer;   /* owned: the whole answer, or the part of a stream that is not sent yet */

    /* belongs to the connection's thread */
    bool ends;      /* the stream's last event is in `answer` */
    size_t n_sent;  /* bytes of `answer` */
    size_t n_bytes; /* of the whole answer, for the log */

    exchange *previous, *next; /* in the list of http.c, protected by its lock */
};

const char *exchange_header(const exchange *x, const char *name);   /* or NULL; only while its handler runs */
const char *exchange_argument(const exchange *x, const char *name); /* of the query, or NULL */

/* Parse the body as a JSON object: owned. NULL: f says why. */
json_t *exchange_json(exchange *x, failure *f);

/* Answer the exchange: call one of these, once. The value is taken. */
void answer_json(exchange *x, int status, json_t *value);
void answer_text(exchange *x, int status, const char *type, const void *bytes, size_t length);
void answer_file(exchange *x, const web_file *file); /* a file of the web page */
void answer_failure(exchange *x, const failure *f);

/* Queue a request and answer with its result. The request is taken. */
void answer_request(exchange *x, request *r);

/* The same for a request without a model: no scheduler gets it, and the caller adds its events. The caller has called
 * request_complete before. */
void answer_events(exchange *x, request *r);

void exchange_wake(exchange *x); /* let its connection look for new events */

/* Cancel a request if its client has gone away. */
void request_look_for_client(request *r);

/* End the connection of a client, for example one that does not read what is sent. The caller holds the lock of the
 * exchange's request, or the lock of all exchanges, so that the exchange is not released meanwhile. */
void exchange_drop(exchange *x);

/* Listen on the addresses in the options. Returns an exit status, after saying why. */
int http_start(const options *o);
unsigned http_port(void); /* the port it listens on */
void http_stop_accepting(void);
bool http_is_idle(void);
void http_stop(void);

#endif
