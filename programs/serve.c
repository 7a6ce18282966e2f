/* The command serve: from the options to the end of the server. programs/server does the work. */
#include "commands.h"
#include "program.h"

#ifdef HAVE_MICROHTTPD

#include "interrupt.h"
#include "server/http.h"
#include "server/models.h"
#include "server/ollama.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); }

/* Tell systemd, if it started this program: https://www.freedesktop.org/software/systemd/man/sd_notify.html */
static void notify_system(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof to.sun_path || (*path != '/' && *path != '@')) return;
    memcpy(to.sun_path, path, strlen(path));
    if (*path == '@') to.sun_path[0] = '\0';
    const int out = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (out < 0) return;
    const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)!sendto(out, state, strlen(state), 0, (const struct sockaddr *)&to, length);
    close(out);
}

static void announce(const options *o) {
    const char *host = o->host.count > 0 ? o->host.items[0] : "127.0.0.1";
    const bool is_v6 = strchr(host, ':');
    note(o, "listening on http://%s%s%s:%u%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", http_port(),
         o->api_prefix ? o->api_prefix : "");
    const size_t n_models = models_count(), n_later = n_models - (o->model != NULL);
    if (n_models == 0) note(o, "no model is pulled yet; fetch one with 'mini-cllm pull OWNER/NAME'");
    if (n_later == 1) note(o, "1 model is loaded when a request names it; GET /v1/models lists all");
    if (n_later > 1) note(o, "%zu models are loaded when a request names them; GET /v1/models lists all", n_later);
}

enum { FLUSH_SECONDS = 5 }; /* for the last messages to clients */

/* Accept no new connections. Open requests get some seconds to finish; then they are ended and told that the server
 * stops. */
static void drain(const options *o) {
    const double end = now() + (double)o->drain;
    http_stop_accepting();
    if (!http_is_idle()) note(o, "ending: open requests have %" PRIu64 " s; a second signal ends at once", o->drain);
    while (!http_is_idle() && now() < end) nap();
    const double flushed = now() + FLUSH_SECONDS;
    while (!http_is_idle() && now() < flushed) {
        models_end_requests(); /* repeatedly, because a model may have been loaded meanwhile */
        nap();
    }
}

/* True if the text is an origin as browsers write one: https://fetch.spec.whatwg.org/#origin-header */
static bool is_origin(const char *text) {
    const char *scheme_end = strstr(text, "://");
    if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0) return true;
    return scheme_end && scheme_end > text && scheme_end[3] && !strpbrk(scheme_end + 3, "/ ?#*");
}

int serve(const options *o) {
    if (o->ssl_key_file || o->ssl_cert_file)
        return usage_error("--ssl-%s-file: there is no TLS here; put nginx or HAProxy in front",
                           o->ssl_key_file ? "key" : "cert");
    if (o->mmproj) return usage_error("--mmproj: not supported yet: models read only text");
    if (o->api_prefix && (*o->api_prefix != '/' || o->api_prefix[strlen(o->api_prefix) - 1] == '/'))
        return usage_error("--api-prefix: '%s' must begin with / and not end with it", o->api_prefix);
    for (size_t i = 0; i < o->cors.count; i++)
        if (!is_origin(o->cors.items[i]))
            return usage_error(
                "--cors: '%s' is not an origin; give SCHEME://HOST, SCHEME://HOST:PORT or null, or * for any",
                o->cors.items[i]);
    if (check_kwargs(o) != EXIT_SUCCESS) return EXIT_USAGE;
    struct stat folder;
    if (o->slot_save_path && stat(o->slot_save_path, &folder) == 0 && !S_ISDIR(folder.st_mode))
        return fail("--slot-save-path %s: not a folder", o->slot_save_path);
    if (o->slot_save_path && access(o->slot_save_path, W_OK | X_OK) != 0)
        return fail("--slot-save-path %s: %s", o->slot_save_path, strerror(errno));
    signal(SIGPIPE, SIG_IGN); /* a client that disconnects must not end the server */
    json_object_seed(0);
    int status = models_open(o);
    if (status == EXIT_SUCCESS) status = http_start(o);
    const bool listens = status == EXIT_SUCCESS;
    if (listens) status = models_load_first();
    if (status == EXIT_SUCCESS) {
        announce(o);
        notify_system("READY=1");
        while (!interrupted()) nap();
        notify_system("STOPPING=1");
        drain(o);
        status = EXIT_INTERRUPTED;
    }
    http_stop();
    ollama_end_pulls();
    models_close();
    return status;
}

#else

int serve(const options *o) {
    (void)o;
    return fail("this mini-cllm was built without the server, which needs libmicrohttpd; scripts/setup installs it");
}

#endif
