/* Measures another program's speed, for bench.c: the shell runs the user's command, and the last line that it prints
 * has the form "ppN X tgN@D Y", or "btS@D Y" for S sequences, with X and Y in tokens a second.
 *
 * The command measures prompts and decoding in two separate runs, with 0 tokens of the other kind. Otherwise a prompt
 * would make the decoding after it deeper than its label says. */
#include "bench.h"

#include "interrupt.h"
#include "program.h"
#include "text_stream.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------------------- the command */

static const char *const placeholders[] = {"model", "threads", "prompt", "gen", "depth", "sequences"};
enum { N_PLACEHOLDERS = sizeof placeholders / sizeof placeholders[0] };

/* The length of "{word}" at `at`, or 0. Other braces, such as the shell's ${word}, stay as they are. */
static size_t placeholder_length(const char *template, const char *at) {
    if (*at != '{' || (at > template && at[-1] == '$')) return 0;
    size_t n = 1;
    while (isalpha((unsigned char)at[n]) || at[n] == '_') n++;
    return n > 1 && at[n] == '}' ? n + 1 : 0;
}

/* The index of the placeholder at `at`, or N_PLACEHOLDERS if it is unknown. */
static size_t find_placeholder(const char *at, size_t length) {
    size_t i = 0;
    while (i < N_PLACEHOLDERS &&
           (strlen(placeholders[i]) != length - 2 || strncmp(placeholders[i], at + 1, length - 2) != 0))
        i++;
    return i;
}

int bench_compare_check(const char *template) {
    for (const char *at = template; *at; at++) {
        size_t length = placeholder_length(template, at);
        if (length > 0 && find_placeholder(at, length) == N_PLACEHOLDERS)
            return usage_error(
                "--compare: %.*s is not one of {model}, {threads}, {prompt}, {gen}, {depth}, {sequences}", (int)length,
                at);
    }
    return EXIT_SUCCESS;
}

/* Print a text in quotes for the shell. */
static void put_quoted(FILE *out, const char *text) {
    putc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            putc(*text, out);
    }
    putc('\'', out);
}

/* The template with the values filled in: owned. NULL: out of memory. */
static char *make_shell_line(const char *template, const bench_result *test, bench_kind kind) {
    const uint64_t numbers[N_PLACEHOLDERS] = {0,
                                              test->threads,
                                              kind == BENCH_PROMPT ? test->prompt : 0,
                                              kind == BENCH_DECODE ? test->gen : 0,
                                              test->depth,
                                              test->sequences ? test->sequences : 1};
    char *shell_line = NULL;
    size_t size;
    FILE *out = open_memstream(&shell_line, &size);
    if (!out) return NULL;
    for (const char *at = template; *at;) {
        size_t length = placeholder_length(template, at);
        size_t which = find_placeholder(at, length);
        if (length == 0)
            putc(*at++, out);
        else if (which == 0)
            put_quoted(out, test->file);
        else
            fprintf(out, "'%" PRIu64 "'", numbers[which]);
        at += length;
    }
    if (fclose(out) == 0) return shell_line;
    free(shell_line);
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- running it */

/* Start /bin/sh -c COMMAND in a process group of its own, without input. Returns its output, or NULL and errno. */
static FILE *start(char *shell_line, pid_t *child) {
    int ends[2];
    if (pipe(ends) != 0) return NULL;
    FILE *output = fdopen(ends[0], "r");
    if (!output) {
        close(ends[0]);
        close(ends[1]);
        return NULL;
    }
    char *arguments[] = {"sh", "-c", shell_line, NULL};
    extern char **environ;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t group;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&files, ends[0]);
    posix_spawn_file_actions_addclose(&files, ends[1]);
    posix_spawnattr_init(&group);
    posix_spawnattr_setflags(&group, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&group, 0);
    int refused = posix_spawn(child, "/bin/sh", &files, &group, arguments, environ);
    posix_spawnattr_destroy(&group);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (refused) {
        fclose(output);
        errno = refused;
        return NULL;
    }
    return output;
}

/* The last line that is not blank, as print_escaped writes it: owned. NULL: out of memory. */
static char *read_last_line(FILE *output) {
    enum { SHOWN_BYTES = 200 };
    char *line = NULL, *last = NULL;
    size_t capacity = 0, size;
    ssize_t length;
    while ((length = getline(&line, &capacity, output)) >= 0) {
        while (length > 0 && isspace((unsigned char)line[length - 1])) length--;
        if (length == 0) continue;
        free(last);
        last = NULL;
        FILE *escaped = open_memstream(&last, &size);
        if (!escaped) break;
        print_escaped(escaped, line, (size_t)length, SHOWN_BYTES);
        fclose(escaped);
    }
    free(line);
    return last ? last : strdup("");
}

/* Run the command until it ends, or until Ctrl-C. last_line: out, owned by the caller in any case. */
static int run_shell(char *shell_line, char **last_line) {
    pid_t child;
    int state = 0;
    *last_line = NULL;
    FILE *output = start(shell_line, &child);
    if (!output) return fail("--compare: /bin/sh: %s", strerror(errno));
    *last_line = read_last_line(output); /* our own threads sleep during this */
    fclose(output);
    if (interrupted()) kill(-child, SIGTERM);
    while (waitpid(child, &state, 0) < 0 && errno == EINTR)
        if (interrupted()) kill(-child, SIGTERM);
    if (interrupted()) return EXIT_INTERRUPTED;
    if (!*last_line) return fail("out of memory");
    int status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    if (status == 0) return EXIT_SUCCESS;
    return fail("--compare: the command ended with status %d and the line '%s': %s", status, *last_line, shell_line);
}

/* ---------------------------------------------------------------------------------------- what it printed */

static test_name name_at(const bench_result *test, bench_kind kind, uint64_t depth) {
    bench_result other = *test;
    other.depth = depth;
    return bench_test_name(&other, kind);
}

/* True if the label is that of the test. "pp512" may have any depth, and "tg128" means "tg128@0". */
static bool is_label(const char *label, const bench_result *test, bench_kind kind) {
    const test_name name = name_at(test, kind, 0);
    const size_t length = strlen(name.text);
    if (strncmp(label, name.text, length) != 0) return false;
    if (label[length] == '\0') return kind == BENCH_PROMPT || test->depth == 0;
    char depth[32];
    snprintf(depth, sizeof depth, "@%" PRIu64, test->depth);
    return strcmp(label + length, depth) == 0;
}

/* The number after the test's label. NAN: the label is missing, or the line has something other than labels and
 * numbers. */
static double find_speed(const char *line, const bench_result *test, bench_kind kind) {
    double found = NAN, value;
    char label[64];
    int length;
    for (; *line; line += length) {
        if (sscanf(line, "%63s %lf%n", label, &value, &length) != 2) return NAN;
        if (strncmp(label, "pp", 2) != 0 && strncmp(label, "tg", 2) != 0 && strncmp(label, "bt", 2) != 0) return NAN;
        if (is_label(label, test, kind) && isfinite(value) && value > 0) found = value;
    }
    return found;
}

int bench_compare_run(const options *o, const bench_result *test, bench_kind kind, double *tok_s) {
    char *last_line = NULL, *shell_line = make_shell_line(o->compare, test, kind);
    int status = shell_line ? run_shell(shell_line, &last_line) : fail("out of memory");
    if (status == EXIT_SUCCESS) {
        *tok_s = find_speed(last_line, test, kind);
        const test_name name = name_at(test, kind, kind == BENCH_PROMPT ? 0 : test->depth);
        if (isnan(*tok_s))
            status = fail("--compare: the command ended with status 0, but its last line '%s' has no result of the "
                          "form '%s 123.4' for %s: %s",
                          last_line, name.text, name.text, shell_line);
    }
    free(last_line);
    free(shell_line);
    return status;
}
