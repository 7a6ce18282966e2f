/* HTTP with libmicrohttpd: connections and their limits, access, requests, answers and streams.
 *
 *   a request is read completely -> its route's handler, in a worker's thread -> an answer at once, or a request
 *   (request.h) whose events are written as they come
 *
 * For each address, one thread reads and writes all connections, and never waits: a connection that has nothing to send
 * is suspended until somebody wakes it. */
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
    EXCHANGE_READS,    /* its body */
    EXCHANGE_WORKS,    /* a worker runs its handler */
    EXCHANGE_ANSWERED, /* the answer is ready */
    EXCHANGE_STREAMS,  /* its request is running */
    EXCHANGE_GONE,     /* the client is gone */
} exchange_stage;

/* One HTTP request and its answer. */
struct exchange {
    const route *route;
    const char *method, *path; /* without the prefix and the query */
    const char *rest;          /* the part of the path that the route's star stands for, or "" */
    char id[20];
    text_buffer body;
    /* private to http.c */
    struct MHD_Connection *connection;
    struct connection *peer;
    int socket;
    char *url;
    pthread_mutex_t lock; /* protects holders, stage, works, suspended */
    int n_holders;
    _Atomic exchange_stage stage;
    bool works; /* a worker has it, and wakes it when it is done */
    bool suspended, ends, wants_ping;
    bool closes;              /* close the connection after the answer */
    atomic_bool reads;        /* the body is not complete */
    atomic_size_t n_received; /* bytes of the body, kept or dropped */
    _Atomic double sent_by;   /* deadline for the last byte of its answer; 0: no answer yet */
    double begun, last_sent;
    int status;
    unsigned retry_after;
    const char *type;
    char allow[64];
    char *location;       /* where the page is, if the client asked for the prefix without a slash: owned; or NULL */
    const web_file *file; /* the file to answer with */
    text_buffer answer;   /* the whole answer, or the part of a stream that is not sent yet */
    size_t n_sent, n_bytes;
    request *request;
    exchange *previous, *next;
};

const char *exchange_header(const exchange *x, const char *name);   /* or NULL; only while its handler runs */
const char *exchange_argument(const exchange *x, const char *name); /* of the query, or NULL */

/* Parse the body as a JSON object: owned. NULL: f says why. */
json_t *exchange_json(exchange *x, failure *f);

/* Answer. To be called once. The value is taken. */
void answer_json(exchange *x, int status, json_t *value);
void answer_text(exchange *x, int status, const char *type, const void *bytes, size_t length);
void answer_file(exchange *x, const web_file *file); /* a file of the web page */
void answer_failure(exchange *x, const failure *f);

/* Queue a request and answer with its result. The request is taken. */
void answer_request(exchange *x, request *r);

/* The same for a request without a model, whose events somebody else adds. It must be complete. */
void answer_events(exchange *x, request *r);

void exchange_wake(exchange *x); /* there is something new for it */

/* Cancel a request if its client has gone away. */
void request_look_for_client(request *r);

/* End the connection of a client that does not read what is sent. The caller holds the lock of the exchange's
 * request. */
void exchange_drop(exchange *x);

/* Listen on the addresses in the options. Returns an exit status, after saying why. */
int http_start(const options *o);
unsigned http_port(void); /* the port it listens on */
void http_stop_accepting(void);
bool http_is_idle(void);
void http_stop(void);

#endif
