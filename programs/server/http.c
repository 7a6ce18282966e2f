/* Implements http.h. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "server/http.h"

#include "server/models.h"
#include "server/write.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef POLLRDHUP
#define POLLRDHUP POLLHUP
#endif

enum {
    MOST_DAEMONS = 16,
    MOST_WORKERS = 64,       /* a worker waits while a model loads; the others continue */
    POOL_BYTES = 24 << 10,   /* memory of a connection, for headers and parts of bodies */
    MOST_HEADERS = 14 << 10, /* most bytes of it that a request's headers may take */
    LEAST_SPEED = 16 << 10,  /* bytes a second: a body or a whole answer may take --timeout plus its length / this */
    SILENCE_SECONDS = 15,    /* before a stream sends a sign of life */
    MOST_VALUES = 1 << 20,   /* most JSON values in a body */
    MOST_LOGGED = 4000,      /* most bytes of a prompt in the log, with --log-prompts */
    MOST_BODIES = 16,        /* all bodies together may have this many times --max-body */
};

/* An open connection, with or without a request. */
typedef struct connection {
    int socket;
    double idle_since; /* 0: there is a request */
    struct connection *previous, *next;
} connection;

static struct {
    const options *o;
    struct MHD_Daemon *daemons[MOST_DAEMONS];
    size_t n_daemons;
    bool on_loopback; /* all addresses are of this machine */
    unsigned port;
    char **keys; /* [n_keys] */
    size_t n_keys;

    pthread_mutex_t lock; /* protects the fields below */
    pthread_cond_t has_work;
    exchange *exchanges; /* the open ones */
    connection *connections;
    exchange *work[4096]; /* a ring buffer of those that wait for a worker */
    size_t first_work, n_work;
    bool stops;
    atomic_bool drains; /* close connections after their answers */
    pthread_t workers[MOST_WORKERS], ticker;
    size_t n_workers, n_idle;
    bool ticks;
    uint64_t n_requests;
    atomic_size_t n_body_bytes; /* bytes of bodies in memory */
} http = {.lock = PTHREAD_MUTEX_INITIALIZER, .has_work = PTHREAD_COND_INITIALIZER};

/* --------------------------------------------------------------------------------------------- exchanges */

static void forget_body(exchange *x) {
    atomic_fetch_sub(&http.n_body_bytes, x->body.length);
    free(x->body.bytes);
    x->body = (text_buffer){0};
}

static void exchange_release(exchange *x) {
    pthread_mutex_lock(&x->lock);
    const bool last = --x->n_holders == 0;
    pthread_mutex_unlock(&x->lock);
    if (!last) return;
    pthread_mutex_destroy(&x->lock);
    free(x->url);
    free(x->location);
    forget_body(x);
    free(x->answer.bytes);
    free(x);
}

/* While a worker has the exchange, this does nothing: the worker wakes it at the end. */
void exchange_wake(exchange *x) {
    pthread_mutex_lock(&x->lock);
    if (x->suspended && !x->works && x->connection) {
        x->suspended = false;
        MHD_resume_connection(x->connection);
    }
    pthread_mutex_unlock(&x->lock);
}

/* Note that the client is gone. */
static void give_up(exchange *x) {
    pthread_mutex_lock(&x->lock);
    x->stage = EXCHANGE_GONE;
    pthread_mutex_unlock(&x->lock);
    exchange_wake(x);
}

void exchange_drop(exchange *x) {
    shutdown(x->socket, SHUT_RDWR);
    give_up(x);
}

/* Suspend the connection until it is woken, unless the client is gone. */
static void suspend(exchange *x) {
    pthread_mutex_lock(&x->lock);
    if (x->stage != EXCHANGE_GONE) {
        x->suspended = true;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&x->lock);
}

const char *exchange_header(const exchange *x, const char *name) {
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *exchange_argument(const exchange *x, const char *name) {
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* Count values: a body of "[],[],..." takes fifty times its length when it is parsed. True if there are more than a
 * request may have. */
static bool has_too_many_values(const text_buffer *body) {
    size_t n = 0;
    bool in_string = false;
    for (size_t i = 0; i < body->length; i++) {
        const char c = body->bytes[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string)
            i += c == '\\';
        else
            n += c == ',' || c == '[' || c == '{';
    }
    return n > MOST_VALUES;
}

json_t *exchange_json(exchange *x, failure *f) {
    json_error_t error;
    if (x->body.length == 0) {
        refuse(f, 400, NULL, "the body is empty; it must be a JSON object");
        return NULL;
    }
    if (has_too_many_values(&x->body)) {
        refuse(f, 413, NULL, "the body has more than %d values", MOST_VALUES);
        return NULL;
    }
    json_t *value = json_loadb(x->body.bytes, x->body.length, JSON_ALLOW_NUL, &error);
    if (!value)
        refuse(f, 400, NULL, "the body is not JSON: line %d, column %d: %s", error.line, error.column, error.text);
    if (value && !json_is_object(value)) {
        refuse(f, 400, NULL, "the body must be a JSON object");
        json_decref(value);
        value = NULL;
    }
    return value;
}

/* ----------------------------------------------------------------------------------------------- answers */

void answer_text(exchange *x, int status, const char *type, const void *bytes, size_t length) {
    x->status = status;
    x->type = type;
    x->answer.length = 0;
    text_buffer_add(&x->answer, bytes, length);
    x->stage = EXCHANGE_ANSWERED;
}

void answer_file(exchange *x, const web_file *file) {
    const char *known = exchange_header(x, "If-None-Match");
    const bool same = known && strstr(known, file->etag);
    answer_text(x, same ? 304 : 200, file->type, file->bytes, same ? 0 : file->length);
    x->file = file;
}

void answer_json(exchange *x, int status, json_t *value) {
    x->status = value ? status : 500;
    x->type = "application/json";
    x->answer.length = 0;
    write_json(&x->answer, value);
    x->stage = EXCHANGE_ANSWERED;
}

void answer_failure(exchange *x, const failure *f) {
    failure told = *f;
    memcpy(told.request_id, x->id, sizeof told.request_id);
    x->retry_after = f->retry_after;
    const failure_form form = x->route ? x->route->fails : failure_form_of(x->path);
    answer_json(x, f->status, form(&told));
}

void answer_events(exchange *x, request *r) {
    pthread_mutex_lock(&r->lock);
    r->exchange = x;
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_lock(&x->lock);
    x->request = r;
    if (x->stage == EXCHANGE_WORKS) x->stage = EXCHANGE_STREAMS;
    pthread_mutex_unlock(&x->lock);
}

/* r->exchange is set before the request is submitted: once submitted, the request may end at any moment. The connection
 * sleeps until the worker is done. */
void answer_request(exchange *x, request *r) {
    failure f = {0};
    request_hold(r);
    answer_events(x, r);
    if (!scheduler_submit(r->model->scheduler, r, &f)) {
        pthread_mutex_lock(&r->lock);
        r->exchange = NULL;
        pthread_mutex_unlock(&r->lock);
        pthread_mutex_lock(&x->lock);
        x->request = NULL;
        pthread_mutex_unlock(&x->lock);
        request_release(r);
        answer_failure(x, &f);
    }
    request_release(r);
}

static bool has_hung_up(int socket) {
    struct pollfd peer = {.fd = socket, .events = POLLRDHUP};
    return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLRDHUP | POLLERR | POLLHUP));
}

void request_look_for_client(request *r) {
    pthread_mutex_lock(&r->lock);
    if (r->exchange && !atomic_load(&r->cancelled) && has_hung_up(r->exchange->socket)) {
        atomic_store(&r->cancelled, true);
        give_up(r->exchange);
    }
    pthread_mutex_unlock(&r->lock);
}

/* The value of Access-Control-Allow-Origin: the page's origin, or a star. NULL: not allowed, or the client is not a web
 * page. */
static const char *allowed_origin(const exchange *x) {
    const char *origin = exchange_header(x, "Origin");
    for (size_t i = 0; origin && i < http.o->cors.count; i++) {
        const char *allowed = http.o->cors.items[i];
        if (strcmp(allowed, "*") == 0 || strcmp(allowed, origin) == 0) return allowed;
    }
    return NULL;
}

static void add_headers(const exchange *x, struct MHD_Response *response) {
    char number[16];
    MHD_add_response_header(response, "Content-Type", x->type ? x->type : "application/json");
    MHD_add_response_header(response, "X-Request-Id", x->id);
    MHD_add_response_header(response, "Request-Id", x->id); /* the name that Anthropic's clients read */
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (x->closes || atomic_load(&http.drains)) MHD_add_response_header(response, "Connection", "close");
    if (x->status == 308) MHD_add_response_header(response, "Location", x->location);
    if (*x->allow) MHD_add_response_header(response, "Allow", x->allow);
    if (x->file) {
        MHD_add_response_header(response, "Content-Security-Policy", WEB_PAGE_POLICY);
        MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
        MHD_add_response_header(response, "Cache-Control", "no-cache");
        MHD_add_response_header(response, "ETag", x->file->etag);
    }
    if (x->retry_after > 0) {
        snprintf(number, sizeof number, "%u", x->retry_after);
        MHD_add_response_header(response, "Retry-After", number);
    }
    const char *origin = allowed_origin(x);
    if (origin) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
        MHD_add_response_header(response, "Access-Control-Expose-Headers", "X-Request-Id");
        if (strcmp(origin, "*") != 0) MHD_add_response_header(response, "Vary", "Origin");
    }
}

/* Set the deadline for sending, so that a client that reads very slowly cannot hold its answer forever. */
static void limit_sending(exchange *x) {
    x->sent_by = now() + (double)http.o->timeout + (double)x->answer.length / LEAST_SPEED;
}

static enum MHD_Result send_answer(exchange *x) {
    struct MHD_Response *response = MHD_create_response_from_buffer(
        x->answer.length, x->answer.bytes ? x->answer.bytes : "", MHD_RESPMEM_MUST_COPY);
    if (!response) return MHD_NO;
    add_headers(x, response);
    x->n_bytes = x->answer.length;
    limit_sending(x);
    const enum MHD_Result queued = MHD_queue_response(x->connection, (unsigned)x->status, response);
    MHD_destroy_response(response);
    return queued;
}

/* ----------------------------------------------------------------------------------------------- streams */

/* Get more bytes of a stream. If there are none, the connection sleeps until an event comes. */
static ssize_t read_stream(void *user, uint64_t position, char *to, size_t most) {
    exchange *x = user;
    (void)position;
    if (x->n_sent == x->answer.length) {
        x->n_sent = x->answer.length = 0;
        if (x->ends) return MHD_CONTENT_READER_END_OF_STREAM;
        if (x->stage == EXCHANGE_GONE) return MHD_CONTENT_READER_END_WITH_ERROR;
        x->ends = request_take_events(x->request, &x->answer);
        if (x->answer.length == 0 && !x->ends && x->wants_ping && x->request->form->wait)
            x->request->form->wait(x->request, &x->answer);
        x->wants_ping = false;
        if (x->ends) limit_sending(x);
    }
    const size_t n = x->answer.length - x->n_sent;
    if (n == 0 && x->ends) return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) {
        pthread_mutex_lock(&x->request->lock);
        if (!x->request->first && x->stage != EXCHANGE_GONE) suspend(x);
        pthread_mutex_unlock(&x->request->lock);
        return 0;
    }
    x->last_sent = now();
    if (n < most) most = n;
    memcpy(to, x->answer.bytes + x->n_sent, most);
    x->n_sent += most;
    x->n_bytes += most;
    return (ssize_t)most;
}

static enum MHD_Result begin_stream(exchange *x) {
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 8 << 10, read_stream, x, NULL);
    if (!response) return MHD_NO;
    x->status = 200;
    x->type = x->request->form->stream_type;
    add_headers(x, response);
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* otherwise nginx holds it back */
    if (x->request->form->begin) x->request->form->begin(x->request, &x->answer);
    x->last_sent = now();
    const enum MHD_Result queued = MHD_queue_response(x->connection, 200, response);
    MHD_destroy_response(response);
    return queued;
}

/* A running request. If it is not a stream, wait for the whole answer. */
static enum MHD_Result go_on(exchange *x) {
    request *r = x->request;
    while (x->stage != EXCHANGE_GONE) {
        if (r->streams) return begin_stream(x);
        if (request_take_events(r, NULL)) {
            if (r->failure.status != 0)
                answer_failure(x, &r->failure);
            else
                answer_json(x, 200, r->form->whole(r));
            return send_answer(x);
        }
        pthread_mutex_lock(&r->lock);
        const bool waits = !r->first;
        if (waits) suspend(x);
        pthread_mutex_unlock(&r->lock);
        if (waits && x->stage != EXCHANGE_GONE) return MHD_YES;
    }
    return MHD_NO;
}

/* --------------------------------------------------------------------------------------- who may ask */

/* Compare in a time that does not depend on where the texts differ, so that it does not help to guess a key. */
static bool same_text(const char *one, const char *other) {
    const size_t n = strlen(one), m = strlen(other);
    unsigned differs = n != m;
    for (size_t i = 0; i < n; i++) differs |= (unsigned char)one[i] ^ (unsigned char)other[m > 0 ? i % m : 0];
    return differs == 0;
}

static bool is_key(const char *given) {
    bool found = false;
    for (size_t i = 0; given && i < http.n_keys; i++) found |= same_text(given, http.keys[i]);
    return found;
}

/* Any of the headers may have the key, because some clients also send a key for another server. */
static bool has_key(const exchange *x) {
    const char *bearer = exchange_header(x, "Authorization");
    if (bearer && strncasecmp(bearer, "Bearer ", 7) != 0) bearer = NULL;
    return http.n_keys == 0 || is_key(bearer ? bearer + 7 : NULL) || is_key(exchange_header(x, "X-Api-Key")) ||
           is_key(exchange_header(x, "Api-Key"));
}

/* A foreign web page can make its own host name point to 127.0.0.1, so that a browser sends requests to this server
 * (DNS rebinding). The Host header then has the page's host name, so it must be one of this machine's names, or one of
 * --allow-host. It is not checked if the server also listens on an address that other machines can reach. */
static bool is_host_allowed(const exchange *x) {
    static const char *const own[] = {"localhost", "127.0.0.1", "[::1]", "::1"};
    const char *host = exchange_header(x, "Host");
    if (!http.on_loopback || !host) return true;
    const char *colon = strrchr(host, ':');
    const size_t length = colon && !strchr(colon, ']') && (strchr(host, ':') == colon || *host == '[')
                              ? (size_t)(colon - host)
                              : strlen(host);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strlen(own[i]) == length && strncasecmp(own[i], host, length) == 0) return true;
    for (size_t i = 0; i < http.o->allow_host.count; i++) {
        const char *allowed = http.o->allow_host.items[i];
        if (strcmp(allowed, "*") == 0 || (strlen(allowed) == length && strncasecmp(allowed, host, length) == 0))
            return true;
    }
    return false;
}

static const char *match(const char *pattern, const char *path) {
    const size_t n = strlen(pattern);
    if (pattern[n - 1] == '*') return strncmp(pattern, path, n - 1) == 0 && path[n - 1] ? path + n - 1 : NULL;
    return strcmp(pattern, path) == 0 ? "" : NULL;
}

/* Find the route. false: there is none, and f says so. */
static bool find_route(exchange *x, failure *f) {
    char *allowed = x->allow;
    const char *method = strcmp(x->method, "HEAD") == 0 ? "GET" : x->method;
    for (const route *r = routes; r->method; r++) {
        const char *rest = match(r->path, x->path);
        if (!rest || ((r->flags & ROUTE_PAGE) && http.o->no_webui)) continue;
        x->rest = rest;
        if (strcmp(r->method, method) == 0) {
            *allowed = '\0';
            x->route = r;
            return true;
        }
        if (strlen(allowed) + strlen(r->method) + 3 < sizeof x->allow && !strstr(allowed, r->method))
            strcat(strcat(allowed, *allowed ? ", " : ""), r->method);
    }
    if (!*allowed) return refuse(f, 404, NULL, "%s %.200s: no such endpoint", x->method, x->path);
    return refuse(f, 405, NULL, "%.200s accepts %s, not %s", x->path, allowed, x->method);
}

static enum MHD_Result answer_preflight(exchange *x) {
    const char *wanted = exchange_header(x, "Access-Control-Request-Headers");
    struct MHD_Response *response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    x->status = 204;
    add_headers(x, response);
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS");
    MHD_add_response_header(response, "Access-Control-Allow-Headers", wanted ? wanted : "*");
    MHD_add_response_header(response, "Access-Control-Max-Age", "600");
    const enum MHD_Result queued = MHD_queue_response(x->connection, 204, response);
    MHD_destroy_response(response);
    return queued;
}

typedef struct header_counts {
    size_t n, n_lengths, n_encodings, n_hosts;
    bool strange;
} header_counts;

static enum MHD_Result count_header(void *user, enum MHD_ValueKind kind, const char *name, const char *value) {
    header_counts *counts = user;
    (void)kind;
    counts->n++;
    counts->n_lengths += strcasecmp(name, "Content-Length") == 0;
    counts->n_hosts += strcasecmp(name, "Host") == 0;
    const bool is_encoding = strcasecmp(name, "Transfer-Encoding") == 0;
    counts->n_encodings += is_encoding;
    counts->strange |= strpbrk(name, " \t\r") != NULL || (is_encoding && (!value || strcasecmp(value, "chunked") != 0));
    return MHD_YES;
}

/* Refuse ambiguous headers: a proxy in front of this server could read them differently, and see a different end of the
 * request. Refuse headers that are too large: a connection's memory also holds parts of its body and the headers of its
 * answer. */
static bool check_headers(exchange *x, failure *f) {
    header_counts counts = {0};
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, count_header, &counts);
    const size_t length = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    x->closes = true;
    if (length + counts.n * 96 > MOST_HEADERS) return refuse(f, 431, NULL, "the request's headers are too large");
    if (counts.strange || counts.n_lengths + counts.n_encodings > 1 || counts.n_hosts > 1)
        return refuse(
            f, 400, NULL,
            "the headers are ambiguous: send one Host, and one Content-Length or 'Transfer-Encoding: chunked'");
    x->closes = false;
    return true;
}

static uint64_t declared_length(const exchange *x) {
    const char *length = exchange_header(x, "Content-Length");
    return length ? strtoull(length, NULL, 10) : 0;
}

static bool refuse_body(failure *f) {
    return refuse(f, 413, NULL, "the body is larger than %" PRIu64 " bytes", http.o->max_body);
}

/* True for a request other than GET and HEAD from a page of another site, if no key is needed and --cors does not list
 * the site. Such requests are refused: a browser sends a page's form without asking first, and only hides the
 * answer. */
static bool is_of_foreign_page(const exchange *x) {
    const char *origin = exchange_header(x, "Origin"), *site = exchange_header(x, "Sec-Fetch-Site");
    const char *host = exchange_header(x, "Host"), *scheme_end = origin ? strstr(origin, "://") : NULL;
    if (http.n_keys > 0 || strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0) return false;
    if (allowed_origin(x)) return false;
    if (site) return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
    return origin && !(scheme_end && host && strcasecmp(scheme_end + 3, host) == 0);
}

/* Check everything that can be checked before the body is read. */
static bool check(exchange *x, failure *f) {
    if (!is_host_allowed(x))
        return refuse(f, 403, NULL, "the host '%.100s' is not allowed; allow it with --allow-host",
                      exchange_header(x, "Host"));
    if (is_of_foreign_page(x))
        return refuse(f, 403, NULL, "web pages of %.100s are not allowed; allow this origin with --cors",
                      exchange_header(x, "Origin") ? exchange_header(x, "Origin") : "another site");
    const char *upgrade = exchange_header(x, "Upgrade");
    if (upgrade && strcasecmp(upgrade, "websocket") == 0)
        return refuse(f, 426, NULL, "WebSockets are not supported; send a POST request and read the stream of events");
    if (!find_route(x, f)) return false;
    if (!(x->route->flags & ROUTE_PUBLIC) && !has_key(x)) {
        refuse(f, 401, NULL,
               "the API key is missing or wrong; send it as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'");
        f->code = "invalid_api_key";
        return false;
    }
    const char *encoding = exchange_header(x, "Content-Encoding");
    if (encoding && *encoding && strcasecmp(encoding, "identity") != 0)
        return refuse(f, 415, NULL, "the content encoding '%.40s' is not supported; send the body without encoding",
                      encoding);
    return declared_length(x) <= http.o->max_body || refuse_body(f);
}

/* ------------------------------------------------------------------------------------------- from outside */

/* The worker is done with the exchange: wake it, and release it. */
static void end_work(exchange *x) {
    pthread_mutex_lock(&x->lock);
    x->works = false;
    pthread_mutex_unlock(&x->lock);
    exchange_wake(x);
    exchange_release(x);
}

static void *work(void *unused) {
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&http.lock);
        http.n_idle++;
        while (http.n_work == 0 && !http.stops) pthread_cond_wait(&http.has_work, &http.lock);
        http.n_idle--;
        exchange *x = NULL;
        if (http.n_work > 0) {
            x = http.work[http.first_work++ % (sizeof http.work / sizeof *http.work)];
            http.n_work--;
        }
        pthread_mutex_unlock(&http.lock);
        if (!x) return NULL;
        x->route->handle(x);
        forget_body(x);
        end_work(x);
    }
}

/* Start one more worker if more work waits than workers are idle. The caller holds the lock. */
static void add_worker(void) {
    const bool wanted = http.n_work > http.n_idle && http.n_workers < MOST_WORKERS;
    if (wanted && pthread_create(&http.workers[http.n_workers], NULL, work, NULL) == 0) http.n_workers++;
}

static void push_work(exchange *x) {
    const size_t most = sizeof http.work / sizeof *http.work;
    pthread_mutex_lock(&http.lock);
    const bool full = http.n_work == most || http.stops;
    if (!full) {
        http.work[(http.first_work + http.n_work++) % most] = x;
        add_worker();
        pthread_cond_signal(&http.has_work);
    }
    pthread_mutex_unlock(&http.lock);
    if (!full) return;
    failure f;
    refuse(&f, 503, NULL, "too many requests are waiting; try again later");
    f.retry_after = 1;
    answer_failure(x, &f);
    end_work(x);
}

static void join_list(exchange *x) {
    pthread_mutex_lock(&http.lock);
    x->next = http.exchanges;
    if (x->next) x->next->previous = x;
    http.exchanges = x;
    if (x->peer) x->peer->idle_since = 0;
    snprintf(x->id, sizeof x->id, "%08x%06" PRIx64, (unsigned)time(NULL), ++http.n_requests & 0xFFFFFF);
    pthread_mutex_unlock(&http.lock);
}

static exchange *open_exchange(struct MHD_Connection *connection_of, const char *url, const char *method) {
    exchange *x = calloc(1, sizeof *x);
    if (!x || !(x->url = strdup(url))) return free(x), NULL;
    pthread_mutex_init(&x->lock, NULL);
    x->n_holders = 1;
    x->reads = true;
    x->connection = connection_of;
    x->method = method; /* belongs to MHD, lives as long as the connection */
    x->path = x->url;
    x->rest = "";
    x->begun = now();
    const size_t prefix = http.o->api_prefix ? strlen(http.o->api_prefix) : 0;
    if (prefix > 0 && strncmp(x->path, http.o->api_prefix, prefix) == 0 &&
        (x->path[prefix] == '/' || !x->path[prefix])) {
        if (!x->path[prefix] && (x->location = malloc(prefix + 2)))
            strcat(strcpy(x->location, http.o->api_prefix), "/"); /* the page's own URLs are relative */
        x->path = x->path[prefix] ? x->path + prefix : "/";
    }
    x->socket = MHD_get_connection_info(connection_of, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    x->peer = MHD_get_connection_info(connection_of, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    join_list(x);
    return x;
}

/* Check the headers. If a request is refused and the client is sending its body, the body is read before the answer:
 * closing a connection that has unread bytes loses the answer. */
static enum MHD_Result begin(exchange *x) {
    failure f = {0};
    const bool clear = check_headers(x, &f);
    if (clear && strcmp(x->method, "OPTIONS") == 0) return answer_preflight(x);
    if (clear && check(x, &f)) {
        if (x->location) answer_text(x, 308, "text/plain", "", 0);
        return MHD_YES;
    }
    answer_failure(x, &f);
    const bool at_once = x->closes || exchange_header(x, "Expect") || declared_length(x) > 4 * http.o->max_body;
    return at_once ? send_answer(x) : MHD_YES;
}

/* Receive more of the body. An unwanted body is read too, up to a limit. */
static enum MHD_Result take_body(exchange *x, const char *data, size_t n) {
    failure f = {0};
    const size_t n_received = atomic_fetch_add(&x->n_received, n) + n;
    if (n_received > 4 * http.o->max_body) return MHD_NO;
    if (x->stage == EXCHANGE_ANSWERED) return MHD_YES;
    if (n_received > http.o->max_body) {
        refuse_body(&f);
    } else if (atomic_fetch_add(&http.n_body_bytes, n) + n > MOST_BODIES * http.o->max_body) {
        atomic_fetch_sub(&http.n_body_bytes, n);
        refuse(&f, 503, NULL, "too many large requests at once; try again later");
        f.retry_after = 1;
    } else if (text_buffer_add(&x->body, data, n)) {
        return MHD_YES;
    } else {
        atomic_fetch_sub(&http.n_body_bytes, n);
        refuse_memory(&f);
    }
    forget_body(x);
    answer_failure(x, &f);
    return MHD_YES;
}

/* MHD calls this when the headers have arrived, for each piece of the body, at its end, and when a suspended connection
 * continues. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection_of, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n_data, void **state) {
    (void)user, (void)version;
    exchange *x = *state;
    if (!x) {
        x = *state = open_exchange(connection_of, url, method);
        return x ? begin(x) : MHD_NO;
    }
    if (*n_data > 0) {
        const size_t n = *n_data;
        *n_data = 0;
        return take_body(x, data, n);
    }
    x->reads = false;
    const exchange_stage stage = x->stage;
    switch (stage) {
    case EXCHANGE_READS: break;
    case EXCHANGE_WORKS: return MHD_YES;
    case EXCHANGE_ANSWERED: return send_answer(x);
    case EXCHANGE_STREAMS: return go_on(x);
    case EXCHANGE_GONE: return MHD_NO;
    }
    if (x->route->flags & ROUTE_AT_ONCE) {
        x->route->handle(x);
        return send_answer(x);
    }
    x->stage = EXCHANGE_WORKS;
    x->works = true;
    x->n_holders++; /* for the worker; nobody else has the exchange yet */
    suspend(x);
    push_work(x);
    return MHD_YES;
}

/* The end of a prompt, which is the new part of a conversation; control tokens are spelled out. */
static text_buffer logged_prompt(const request *r, const prompt *p) {
    const cllm_tokenizer *t = cllm_model_tokenizer(r->model->run.model);
    text_buffer text = {0};
    for (size_t i = 0; i < p->count; i++) {
        const cllm_string part = cllm_tokenizer_is_control(t, p->tokens[i])
                                     ? cllm_tokenizer_piece(t, p->tokens[i])
                                     : cllm_tokenizer_decode(t, i > 0 ? p->tokens[i - 1] : -1, p->tokens[i]);
        text_buffer_add(&text, part.data, part.length);
    }
    if (text.length > MOST_LOGGED) {
        memmove(text.bytes, text.bytes + text.length - MOST_LOGGED, MOST_LOGGED);
        memcpy(text.bytes, "...", 3);
        text.length = MOST_LOGGED;
    }
    return text;
}

/* "ID prompt N: TEXT", escaped: owned, or NULL. */
static char *spell_prompt(const exchange *x, size_t index, const text_buffer *text) {
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);
    if (!out) return NULL;
    fprintf(out, "%s prompt %zu: ", x->id, index);
    print_escaped(out, text->bytes, text->length, SIZE_MAX);
    fclose(out);
    return line;
}

static void log_prompts(const exchange *x) {
    const request *r = x->request;
    const bool is_json = strcmp(http.o->log_format, "json") == 0;
    for (size_t i = 0; i < r->n_prompts; i++) {
        text_buffer text = logged_prompt(r, &r->prompts[i]);
        char *line = is_json ? NULL : spell_prompt(x, i, &text);
        if (is_json)
            log_json(json_pack("{s:s, s:I, s:o}", "id", x->id, "prompt", (json_int_t)i, "text",
                               json_text(text.bytes ? text.bytes : "", text.length)));
        if (line) fprintf(stderr, "%s\n", line);
        free(line);
        free(text.bytes);
    }
}

static void log_access(const exchange *x) {
    if (http.o->quiet) return;
    if (http.o->log_prompts && x->request && x->request->model) log_prompts(x);
    char address[64] = "-";
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    if (getpeername(x->socket, (struct sockaddr *)&from, &length) == 0)
        getnameinfo((struct sockaddr *)&from, length, address, sizeof address, NULL, 0, NI_NUMERICHOST);
    const date_text date = date_now();
    const double ms = (now() - x->begun) * 1000;
    const usage u = x->request ? request_usage(x->request) : (usage){0};
    const bool is_gone = x->stage == EXCHANGE_GONE;
    const int status = is_gone ? 499 : x->status; /* nginx's status for a client that disconnected */
    if (strcmp(http.o->log_format, "json") == 0) {
        log_json(json_pack("{s:s, s:s, s:s, s:s, s:o, s:i, s:I, s:f, s:I, s:I, s:I}", "time", date.text, "id", x->id,
                           "address", address, "method", x->method, "path", json_text(x->path, strlen(x->path)),
                           "status", status, "bytes", (json_int_t)x->n_bytes, "ms", ms, "prompt_tokens",
                           (json_int_t)u.n_prompt, "cached_tokens", (json_int_t)u.n_cached, "completion_tokens",
                           (json_int_t)u.n_drawn));
        return;
    }
    flockfile(stderr);
    fprintf(stderr, "%s %s %s %s ", date.text, x->id, address, x->method);
    print_escaped(stderr, x->path, strlen(x->path), 200);
    fprintf(stderr, " %d %zu bytes %.1f ms", status, x->n_bytes, ms);
    if (u.n_prompt > 0) fprintf(stderr, " prompt %zu (%zu cached) generated %zu", u.n_prompt, u.n_cached, u.n_drawn);
    fputc('\n', stderr);
    funlockfile(stderr);
}

static void on_completed(void *user, struct MHD_Connection *connection_of, void **state,
                         enum MHD_RequestTerminationCode code) {
    (void)user, (void)connection_of;
    exchange *x = *state;
    if (!x) return;
    *state = NULL;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK) x->stage = EXCHANGE_GONE;
    log_access(x);
    request *r = x->request;
    if (r) {
        pthread_mutex_lock(&r->lock);
        r->exchange = NULL;
        atomic_store(&r->cancelled, true); /* if it has not ended */
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_lock(&http.lock);
    if (x->previous)
        x->previous->next = x->next;
    else
        http.exchanges = x->next;
    if (x->next) x->next->previous = x->previous;
    if (x->peer) x->peer->idle_since = now();
    pthread_mutex_unlock(&http.lock);
    pthread_mutex_lock(&x->lock);
    x->connection = NULL;
    x->request = NULL;
    pthread_mutex_unlock(&x->lock);
    request_release(r);
    exchange_release(x);
}

static void on_connection(void *user, struct MHD_Connection *connection_of, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    (void)user;
    connection *c = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = c = calloc(1, sizeof *c);
        if (!c) return;
        c->socket = MHD_get_connection_info(connection_of, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        c->idle_since = now();
        pthread_mutex_lock(&http.lock);
        c->next = http.connections;
        if (c->next) c->next->previous = c;
        http.connections = c;
        pthread_mutex_unlock(&http.lock);
    } else if (c) {
        pthread_mutex_lock(&http.lock);
        if (c->previous)
            c->previous->next = c->next;
        else
            http.connections = c->next;
        if (c->next) c->next->previous = c->previous;
        pthread_mutex_unlock(&http.lock);
        free(c);
        *context = NULL;
    }
}

/* ------------------------------------------------------------------------------------------------- ticker */

/* Check that a body arrives, and a whole answer is read, at a minimum speed. MHD's own time limit only ends connections
 * that do not move at all. */
static bool is_too_slow(const exchange *x, double time) {
    const double read_by = x->begun + (double)http.o->timeout + (double)atomic_load(&x->n_received) / LEAST_SPEED;
    const double sent_by = x->sent_by;
    return x->reads ? time > read_by : sent_by > 0 && time > sent_by;
}

/* True if the client closed the connection, and everything that it sent was read. epoll tells MHD this once, and MHD
 * may miss it while it reads earlier bytes. */
static bool is_at_end(int socket) {
    char byte;
    return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* End a connection that is too slow or closed; wake a silent stream. The caller holds the lock of the list. */
static void look_after(exchange *x, double time) {
    if (is_too_slow(x, time) || (x->reads && is_at_end(x->socket))) shutdown(x->socket, SHUT_RDWR);
    pthread_mutex_lock(&x->lock);
    const bool silent = x->stage == EXCHANGE_STREAMS && x->suspended && x->request && x->request->streams &&
                        time - x->last_sent > SILENCE_SECONDS && x->last_sent > 0;
    if (silent) x->wants_ping = true;
    pthread_mutex_unlock(&x->lock);
    if (silent) exchange_wake(x);
}

static void *tick(void *unused) {
    (void)unused;
    for (;;) {
        nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
        const double time = now();
        pthread_mutex_lock(&http.lock);
        const bool stops = http.stops;
        for (exchange *x = http.exchanges; x; x = x->next) look_after(x, time);
        for (connection *c = http.connections; c; c = c->next)
            if (c->idle_since > 0 && (time - c->idle_since > (double)http.o->timeout || is_at_end(c->socket)))
                shutdown(c->socket, SHUT_RDWR);
        pthread_mutex_unlock(&http.lock);
        if (stops) return NULL;
        models_unload_idle();
    }
}

/* ------------------------------------------------------------------------------------------------- start */

static bool is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24) == 127;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static int listen_on(const struct addrinfo *at, const char *host) {
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    if (at->ai_family == AF_INET6) flags |= MHD_USE_IPv6;
    if (MHD_is_feature_supported(MHD_FEATURE_EPOLL) != MHD_YES)
        flags = (flags & ~(unsigned)MHD_USE_EPOLL_INTERNAL_THREAD) | MHD_USE_POLL_INTERNAL_THREAD;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, at->ai_addr, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)http.o->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)http.o->max_connections_per_address, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)http.o->timeout,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_END);
    if (!daemon) return fail("--host %s, --port %u: cannot listen there: %s", host, http.port, strerror(errno));
    http.daemons[http.n_daemons++] = daemon;
    if (http.port == 0) http.port = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    http.on_loopback &= is_loopback(at->ai_addr);
    return EXIT_SUCCESS;
}

static int listen_by_name(const char *host, bool may_lack) {
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    snprintf(port, sizeof port, "%u", http.port);
    const int error = getaddrinfo(host, port, &hints, &found);
    if (error) return may_lack ? EXIT_SUCCESS : fail("--host %s: %s", host, gai_strerror(error));
    int status = EXIT_SUCCESS;
    for (const struct addrinfo *at = found; at && status == EXIT_SUCCESS && http.n_daemons < MOST_DAEMONS;
         at = at->ai_next) {
        if (!is_loopback(at->ai_addr) && http.n_keys == 0 && !http.o->no_auth)
            status = usage_error("--host %s: other machines can reach this address; give an --api-key, or --no-auth to "
                                 "accept every request",
                                 host);
        else if (may_lack) { /* skip it if there is no IPv6, or if the system chose the port and it is taken */
            const int probe = socket(at->ai_family, SOCK_STREAM, 0);
            const bool is_free = probe >= 0 && bind(probe, at->ai_addr, at->ai_addrlen) == 0;
            const bool is_taken = probe >= 0 && !is_free && errno == EADDRINUSE;
            if (probe >= 0) close(probe);
            if (is_free || (is_taken && http.o->port != 0)) status = listen_on(at, host);
        } else
            status = listen_on(at, host);
    }
    freeaddrinfo(found);
    return status;
}

static bool add_key(const char *key, size_t length) {
    char **more = realloc(http.keys, (http.n_keys + 1) * sizeof *more);
    if (!more) return false;
    http.keys = more;
    return (http.keys[http.n_keys] = strndup(key, length)) && ++http.n_keys;
}

/* Read keys, separated by any of these characters. Those that begin with `comment` are skipped. */
static int add_keys(const char *text, const char *separators, char comment) {
    for (const char *at = text; *at; at += strspn(at, separators)) {
        const size_t length = strcspn(at, separators);
        if (length > 0 && *at != comment && !add_key(at, length)) return fail("out of memory");
        at += length;
    }
    return EXIT_SUCCESS;
}

static int read_keys(const options *o) {
    int status = EXIT_SUCCESS;
    if (o->api_key) status = add_keys(o->api_key, ",", '\0');
    if (status == EXIT_SUCCESS && o->api_key && http.n_keys == 0)
        return usage_error("--api-key: there is no key in '%s'", o->api_key);
    if (status != EXIT_SUCCESS || !o->api_key_file) return status;
    input file;
    if (access(o->api_key_file, R_OK) != 0) return fail("--api-key-file: %s: %s", o->api_key_file, strerror(errno));
    status = read_input(o->api_key_file, &file);
    if (status != EXIT_SUCCESS) return status;
    char *text = strndup(file.data, file.length);
    status = text ? add_keys(text, "\r\n", '#') : fail("out of memory");
    free(text);
    free(file.data);
    return status == EXIT_SUCCESS && http.n_keys == 0 ? fail("--api-key-file: there is no key in %s", o->api_key_file)
                                                      : status;
}

/* Each connection needs a file descriptor. */
static void allow_files(uint64_t n) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= n) return;
    limit.rlim_cur = limit.rlim_max < n ? limit.rlim_max : (rlim_t)n;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int http_start(const options *o) {
    http.o = o;
    http.on_loopback = true;
    http.port = (unsigned)o->port;
    int status = read_keys(o);
    if (status != EXIT_SUCCESS) return status;
    allow_files(o->max_connections + 64);
    if (o->host.count == 0) {
        status = listen_by_name("127.0.0.1", false);
        if (status == EXIT_SUCCESS) status = listen_by_name("::1", true);
    }
    for (size_t i = 0; status == EXIT_SUCCESS && i < o->host.count; i++)
        status = listen_by_name(o->host.items[i], false);
    if (status != EXIT_SUCCESS) return status;
    if (pthread_create(&http.workers[0], NULL, work, NULL) != 0) return fail("out of memory");
    http.n_workers = 1;
    http.ticks = pthread_create(&http.ticker, NULL, tick, NULL) == 0;
    return http.ticks ? EXIT_SUCCESS : fail("out of memory");
}

unsigned http_port(void) { return http.port; }

void http_stop_accepting(void) {
    atomic_store(&http.drains, true);
    for (size_t i = 0; i < http.n_daemons; i++) {
        const MHD_socket socket = MHD_quiesce_daemon(http.daemons[i]);
        if (socket != MHD_INVALID_SOCKET) close(socket);
    }
}

bool http_is_idle(void) {
    pthread_mutex_lock(&http.lock);
    const bool idle = !http.exchanges;
    pthread_mutex_unlock(&http.lock);
    return idle;
}

static void end_streams(void) {
    pthread_mutex_lock(&http.lock);
    for (exchange *x = http.exchanges; x; x = x->next)
        if (x->stage == EXCHANGE_STREAMS) exchange_drop(x);
    pthread_mutex_unlock(&http.lock);
}

/* The request of a running worker may still become a stream, so streams are ended once more after the workers. Then no
 * connection is suspended any more, as MHD_stop_daemon demands. */
void http_stop(void) {
    pthread_mutex_lock(&http.lock);
    http.stops = true;
    pthread_cond_broadcast(&http.has_work);
    pthread_mutex_unlock(&http.lock);
    end_streams();
    for (size_t i = 0; i < http.n_workers; i++) pthread_join(http.workers[i], NULL);
    if (http.ticks) pthread_join(http.ticker, NULL);
    end_streams();
    for (size_t i = 0; i < http.n_daemons; i++) MHD_stop_daemon(http.daemons[i]);
    for (size_t i = 0; i < http.n_keys; i++) free(http.keys[i]);
    free(http.keys);
}
