/* Another program's speed: a command of the user's is run by the shell, and the last line that it prints is read, of
 * the form "ppN X tgN@D Y", or "btS@D Y" of S sequences, with X and Y in tokens a second. Each kind is asked for by
 * itself, with 0 for the other's tokens, so that no prompt makes the decoding after it deeper than its label says. */
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

/* The length of "{word}" at `at`, or 0: other braces, such as the shell's ${word}, are left alone. */
static size_t placeholder_length(const char *template, const char *at) {
    if (*at != '{' || (at > template && at[-1] == '$')) return 0;
    size_t n = 1;
    while (isalpha((unsigned char)at[n]) || at[n] == '_') n++;
    return n > 1 && at[n] == '}' ? n + 1 : 0;
}

/* Which placeholder it is, or N_PLACEHOLDERS. */
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

/* In quotes for the shell. */
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

/* The template with its values. Returns NULL without memory; the caller frees it. */
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

/* Start /bin/sh -c COMMAND in a process group of its own, without input. Returns what it prints, or NULL and errno. */
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

/* The last line that is not blank, in the form print_escaped gives it; NULL without memory. The caller frees it. */
static char *read_last_line(FILE *output) {
    enum { SHOWN_BYTES = 200 };
    char *line = NULL, *last = NULL;
    size_t capacity = 0, size;
    ssize_t length;
    while ((length = getline(&line, &capacity, output)) >= 0) {
        if (strspn(line, " \t\r\n") == (size_t)length) continue;
        while (isspace((unsigned char)line[length - 1])) length--;
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

/* Run it to its end, or to Ctrl-C. last_line: owned by the caller, whatever is returned. */
static int run_shell(char *shell_line, char **last_line) {
    pid_t child;
    int state = 0;
    *last_line = NULL;
    FILE *output = start(shell_line, &child);
    if (!output) return fail("--compare: /bin/sh: %s", strerror(errno));
    *last_line = read_last_line(output); /* our threads sleep meanwhile */
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

/* Is the label that of the test? "pp512" says nothing of a depth, and "tg128" is "tg128@0". */
static bool is_label(const char *label, const bench_result *test, bench_kind kind) {
    const test_name name = name_at(test, kind, 0);
    const size_t length = strlen(name.text);
    if (strncmp(label, name.text, length) != 0) return false;
    if (label[length] == '\0') return kind == BENCH_PROMPT || test->depth == 0;
    char depth[32];
    snprintf(depth, sizeof depth, "@%" PRIu64, test->depth);
    return strcmp(label + length, depth) == 0;
}

/* The number after the test's label; NAN if there is none, or anything but labels and numbers. */
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
