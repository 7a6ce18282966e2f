/* The program's signal handlers. The library installs none. Outside this file, only line_input.c handles a signal,
 * SIGWINCH, and serve.c ignores SIGPIPE. */
#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const int stopping[] = {SIGINT, SIGTERM};
enum { N_STOPPING = sizeof stopping / sizeof *stopping };

static atomic_flag stopping_already = ATOMIC_FLAG_INIT;
static atomic_int stop_signal; /* the first that came, or 0; other threads look at it */
static const char *volatile watched_path;
static const cllm_gguf *volatile watched_gguf;
static const cllm_model *volatile watched_model;
static atomic_flag reported = ATOMIC_FLAG_INIT;

/* The second signal kills, whichever thread the system delivers it to. */
static void on_stop(int signal_number) {
    if (!atomic_flag_test_and_set(&stopping_already)) {
        stop_signal = signal_number;
        return;
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* A signal that the parent ignored stays ignored. Shells do that for background jobs of a script. */
static void catch_stop(int signal_number) {
    struct sigaction before, on_signal = {.sa_handler = on_stop}; /* without SA_RESTART, a waiting read ends too */
    sigemptyset(&on_signal.sa_mask);
    for (int i = 0; i < N_STOPPING; i++) sigaddset(&on_signal.sa_mask, stopping[i]);
    if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(signal_number, &on_signal, NULL);
}

static void write_error(const char *text) {
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written; /* a failed write cannot be reported */
}

/* Write any name, without bytes that control a terminal. */
static void write_path(const char *path) {
    for (size_t left = strlen(path), n; left > 0; path += n, left -= n) {
        n = cllm_safe_length(path, left);
        ssize_t written = write(STDERR_FILENO, n ? path : "?", n ? n : 1);
        (void)written;
        n = n ? n : 1;
    }
}

/* Handles access to a page of a mapped file beyond the file's end. Only async-signal-safe calls from here on. */
static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    const char *path = watched_model  ? cllm_model_path_of(watched_model, info->si_addr)
                       : watched_gguf ? cllm_gguf_path_of(watched_gguf, info->si_addr)
                                      : watched_path;
    if (!path) { /* not a page of a model: return, so that the fault happens again and kills */
        signal(signal_number, SIG_DFL);
        return;
    }
    while (atomic_flag_test_and_set(&reported)) pause(); /* another thread got here first and will end the process */
    write_error("mini-cllm: ");
    write_path(path);
    write_error(": the file shrank or could not be read while it was in use\n");
    _exit(1);
}

void interrupt_install(void) {
    for (int i = 0; i < N_STOPPING; i++) catch_stop(stopping[i]);
    struct sigaction on_bus = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&on_bus.sa_mask);
    sigaction(SIGBUS, &on_bus, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is then an error of its write */
    signal(SIGPIPE, SIG_DFL); /* a parent may have ignored it */
}

bool interrupted(void) { return stop_signal; }

bool interrupt_forget(void) {
    if (stop_signal != SIGINT) return false;
    stop_signal = 0;
    atomic_flag_clear(&stopping_already);
    return true;
}

bool interrupt_progress(void *user, uint64_t done, uint64_t total) {
    (void)user, (void)done, (void)total;
    return !interrupted();
}

int interrupt_status(void) { return 128 + (stop_signal ? stop_signal : SIGINT); }

void interrupt_watch_file(const char *path, const cllm_gguf *gguf) {
    watched_path = path;
    watched_gguf = gguf;
    watched_model = NULL;
}

void interrupt_watch_model(const cllm_model *model) { watched_model = model; }
