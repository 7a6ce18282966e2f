/* HTTP, by libmicrohttpd: connections and their limits, who may ask, requests in, answers and streams out.
 *
 *   a request is read whole -> its route's handler, in a worker's thread -> an answer at once, or a request (request.h), whose events are written
 *   as they come
 *
 * One thread an address reads and writes all connections, and never waits: a connection that has nothing to send is suspended until somebody
 * wakes it. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "server/failure.h"
#include "server/request.h"
#include "server/web_page.h"

#include <jansson.h>

typedef struct route route;

/* How an API says that a request failed: the body of the answer. */
typedef json_t *(*failure_form)(const failure *f);

enum {
    ROUTE_PUBLIC = 1,  /* needs no key */
    ROUTE_AT_ONCE = 2, /* its handler never waits, and runs in the connection's thread */
};

struct route {
    const char *method; /* GET: also HEAD */
    const char *path;   /* may end in a star, for the rest */
    void (*handle)(exchange *x);
    failure_form fails;
    unsigned flags;
};
extern const route routes[];                    /* routes.c; ends with a NULL method */
failure_form failure_form_of(const char *path); /* where no route is found */

typedef enum exchange_stage {
    EXCHANGE_READS,    /* its body */
    EXCHANGE_WORKS,    /* its handler does */
    EXCHANGE_ANSWERED, /* the answer is there */
    EXCHANGE_STREAMS,  /* its request is under way */
    EXCHANGE_GONE,     /* nobody is there to answer */
} exchange_stage;

/* One request of HTTP, and its answer. */
struct exchange {
    const route *route;
    const char *method, *path; /* without the prefix and the query */
    const char *rest;          /* what the star of the route's path stands for, or "" */
    char id[20];
    text_buffer body;
    /* the rest is http.c's own */
    struct MHD_Connection *connection;
    struct connection *peer;
    int socket;
    char *url;
    pthread_mutex_t lock; /* of holders, stage, works, suspended */
    int n_holders;
    _Atomic exchange_stage stage;
    bool works; /* a worker has it, and wakes it when done */
    bool suspended, ends, wants_ping;
    bool closes;              /* the connection, after the answer */
    atomic_bool reads;        /* the body is not there yet */
    atomic_size_t n_received; /* bytes of it, kept or not */
    _Atomic double sent_by;   /* when the last of its answer must have been sent; 0: it is not there yet */
    double begun, last_sent;
    int status;
    unsigned retry_after;
    const char *type;
    char allow[64];
    char *location;       /* where the page is, for one who asks for the prefix without a slash: owned; or NULL */
    const web_file *file; /* that the answer is */
    text_buffer answer;   /* whole, or what of a stream is to be sent */
    size_t n_sent, n_bytes;
    request *request;
    exchange *previous, *next;
};

const char *exchange_header(const exchange *x, const char *name);   /* or NULL; while its handler runs */
const char *exchange_argument(const exchange *x, const char *name); /* of the query, or NULL */

/* The body as a JSON object: owned. NULL: f says why. */
json_t *exchange_json(exchange *x, failure *f);

/* Answer, once. The value is taken. */
void answer_json(exchange *x, int status, json_t *value);
void answer_text(exchange *x, int status, const char *type, const void *bytes, size_t length);
void answer_file(exchange *x, const web_file *file); /* of the web page */
void answer_failure(exchange *x, const failure *f);

/* The answer is what becomes of a request, which is taken, and queued now. */
void answer_request(exchange *x, request *r);

/* The same for a request to no model, whose events somebody else adds. It has to be complete. */
void answer_events(exchange *x, request *r);

void exchange_wake(exchange *x); /* something came for it */

/* Has the client of a request gone away? Then it is cancelled. */
void request_look_for_client(request *r);

/* Its client does not take what is sent: the connection ends. Under the lock of the exchange's request. */
void exchange_drop(exchange *x);

/* Listen, as the options say. Returns an exit status, after saying why. */
int http_start(const options *o);
unsigned http_port(void); /* that it listens on */
void http_stop_accepting(void);
bool http_is_idle(void);
void http_stop(void);

#endif
