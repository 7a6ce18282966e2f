/* Any bytes on a connection to the server: it answers, closes the connection, and keeps nothing. Each byte 0xFF is a
 * pause, so that requests in several pieces are tried too. Run by `make fuzz` if libmicrohttpd is there, from the
 * top of the repository. */
#include "options.h"
#include "server/http.h"
#include "server/models.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

const command commands[] = {{.bit = 0}}; /* this variable is in main.c, which is not linked here */

static void require(bool holds) {
    if (!holds) abort();
}

static options server_options;
static bool is_started;

static void start(void) {
    static char *arguments[] = {"serve",
                                "models/demo.gguf",
                                "--chat-template",
                                "chatml",
                                "--ctx",
                                "64",
                                "--parallel",
                                "2",
                                "-n",
                                "2",
                                "--threads",
                                "1",
                                "--cache-ram",
                                "1",
                                "--port",
                                "0",
                                "--host",
                                "127.0.0.1",
                                "--quiet"};
    static const command serving = {.bit = SERVE, .name = "serve"};
    signal(SIGPIPE, SIG_IGN);
    require(parse_options(&serving, sizeof arguments / sizeof *arguments, arguments, &server_options) == EXIT_SUCCESS);
    require(models_open(&server_options) == EXIT_SUCCESS && http_start(&server_options) == EXIT_SUCCESS);
    require(models_load_first() == EXIT_SUCCESS);
    is_started = true;
}

/* libFuzzer looks at the time in a handler of SIGALRM, which interrupts what this thread waits for. */
static int open_connection(void) {
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)http_port()), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    for (;;) {
        const int connection = socket(AF_INET, SOCK_STREAM, 0);
        require(connection >= 0);
        if (connect(connection, (const struct sockaddr *)&to, sizeof to) == 0) return connection;
        /* EADDRNOTAVAIL: connections of the last minute may still hold all ports */
        require(errno == EADDRNOTAVAIL || errno == EINTR);
        close(connection);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

/* The server may close before it has read all. */
static void send_pieces(int connection, const uint8_t *bytes, size_t n_bytes) {
    for (size_t at = 0; at < n_bytes; at++) {
        size_t n = 0;
        while (at + n < n_bytes && bytes[at + n] != 0xFF) n++;
        if (n > 0 && send(connection, bytes + at, n, MSG_NOSIGNAL) < 0) return;
        at += n;
        if (at < n_bytes) nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

/* Reads everything until the server closes. If it never closes, libFuzzer reports a timeout. */
static size_t read_all(int connection, char *start_of, size_t most) {
    char rest[4096];
    size_t n_kept = 0;
    for (ssize_t n; (n = recv(connection, rest, sizeof rest, 0)) > 0 || (n < 0 && errno == EINTR);) {
        if (n < 0) continue;
        const size_t n_more = (size_t)n < most - n_kept ? (size_t)n : most - n_kept;
        memcpy(start_of + n_kept, rest, n_more);
        n_kept += n_more;
    }
    return n_kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    char answer[16];
    if (!is_started) start();
    const int connection = open_connection();
    send_pieces(connection, bytes, n_bytes);
    struct pollfd answered = {.fd = connection, .events = POLLIN};
    poll(&answered, 1, 20); /* a client that closes at once gets no answer */
    shutdown(connection, SHUT_WR);
    const size_t n = read_all(connection, answer, sizeof answer);
    require(n == 0 || (n > 9 && memcmp(answer, "HTTP/1.", 7) == 0));
    close(connection);
    while (!http_is_idle()) nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    return 0;
}
