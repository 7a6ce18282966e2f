/* Line editing with libedit (its histedit.h), if the program was built with it. While a line is edited, the terminal
 * sends Ctrl-C as a key and puts a paste between two escape sequences (its brackets), so that newlines in it do not end
 * the line. Characters are read here, not by libedit: so a change of the window's size redraws the line at once, and a
 * signal to end is noticed. */
#define _XOPEN_SOURCE 700 /* wcwidth */

#include "line_input.h"

#include "interrupt.h"
#include "program.h"
#include "text_stream.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_LIBEDIT
#include <histedit.h>
#include <wchar.h>
#endif

struct line_input {
    const char *const *completions;
    const char *prompt;
    char *plain; /* from getline, or the line that libedit returned: owned */
    size_t capacity;
#ifdef HAVE_LIBEDIT
    EditLine *edit;      /* NULL: plain lines */
    char *begun;         /* text that the line starts with, in the brackets of a paste: owned, or NULL */
    const char *to_type; /* the rest of `begun` */
    History *history;
    bool interrupted;
    size_t n_dropped; /* bytes of the line that Ctrl-C took away */
#endif
};

static line_result read_plain(line_input *in, const char *prompt, const char **line, size_t *length) {
    if (isatty(STDIN_FILENO)) {
        FILE *shown = isatty(STDOUT_FILENO) ? stdout : stderr;
        fputs(prompt, shown);
        fflush(shown);
    }
    errno = 0;
    const ssize_t n = getline(&in->plain, &in->capacity, stdin);
    if (n < 0) {
        const bool stopped = errno == EINTR && interrupted();
        *length = 0;
        clearerr(stdin);
        if (stopped && isatty(STDOUT_FILENO)) putchar('\n'); /* after the ^C that the terminal printed */
        return stopped && interrupt_forget() ? LINE_INTERRUPTED : LINE_ENDED;
    }
    *line = in->plain;
    *length = (size_t)n - (in->plain[n - 1] == '\n');
    in->plain[*length] = '\0';
    return LINE_READ;
}

#ifdef HAVE_LIBEDIT

#define PASTE_ON    "\033[?2004h"
#define PASTE_OFF   "\033[?2004l"
#define PASTE_BEGIN "\033[200~"
#define PASTE_END   "\033[201~"

static volatile sig_atomic_t window_changed;

static void on_window_change(int signal_number) {
    (void)signal_number;
    window_changed = 1;
}

static line_input *input_of(EditLine *edit) {
    line_input *in;
    el_get(edit, EL_CLIENTDATA, &in);
    return in;
}

static char *prompt_of(EditLine *edit) { return (char *)input_of(edit)->prompt; }

/* The terminal has wrapped the line again for its new width. Go to the line's beginning and draw everything again. */
static void redraw(EditLine *edit) {
    const LineInfoW *line = el_wline(edit);
    const size_t width = (size_t)terminal_width(STDOUT_FILENO);
    size_t column = strlen(input_of(edit)->prompt), n_rows = 0;
    for (const wchar_t *at = line->buffer; at < line->cursor; at++) {
        const int cells = wcwidth(*at);
        column = *at == L'\n' ? 0 : column + (cells > 0 ? (size_t)cells : 0);
        n_rows += *at == L'\n' || column > width;
        if (column > width) column = (size_t)cells;
    }
    n_rows += column == width; /* the cursor is on the next row already */
    putchar('\r');
    if (n_rows > 0) printf("\033[%zuA", n_rows);
    fputs("\033[J", stdout);
    fflush(stdout);
    el_resize(edit);
    el_set(edit, EL_REFRESH);
}

/* Read one byte. Returns 0 or less at the end of the input, or if a signal ends the program. */
static int read_byte(EditLine *edit, char *byte) {
    line_input *in = input_of(edit);
    if (in->to_type && *in->to_type) {
        *byte = *in->to_type++;
        return 1;
    }
    for (;;) {
        if (interrupted()) return 0;
        const ssize_t n = read(STDIN_FILENO, byte, 1);
        if (n >= 0 || errno != EINTR) return (int)n;
        if (window_changed) {
            window_changed = 0;
            redraw(edit);
        }
    }
}

/* Read one character of UTF-8. A byte that is not part of one gives a question mark. An incomplete character and
 * the byte after it together give one question mark. */
static int read_character(EditLine *edit, wchar_t *character) {
    mbstate_t state = {0};
    for (;;) {
        char byte;
        const int n = read_byte(edit, &byte);
        if (n <= 0) return n;
        const size_t used = mbrtowc(character, &byte, 1, &state);
        if (used == (size_t)-2) continue;
        if (used == (size_t)-1) *character = L'?';
        return 1;
    }
}

static unsigned char on_interrupt(EditLine *edit, int key) {
    (void)key;
    line_input *in = input_of(edit);
    const LineInfo *line = el_line(edit);
    in->interrupted = true;
    in->n_dropped = (size_t)(line->lastchar - line->buffer);
    return CC_EOF;
}

static unsigned char on_suspend(EditLine *edit, int key) {
    (void)key;
    fputs(PASTE_OFF, stdout);
    fflush(stdout);
    el_set(edit, EL_PREP_TERM, 0);
    raise(SIGTSTP);
    el_set(edit, EL_PREP_TERM, 1);
    fputs(PASTE_ON, stdout);
    fflush(stdout);
    return CC_REDISPLAY;
}

/* Insert everything up to the closing bracket unchanged, except that carriage returns become newlines. */
static unsigned char on_paste(EditLine *edit, int key) {
    (void)key;
    const size_t end = strlen(PASTE_END);
    char *text = NULL;
    size_t length = 0, capacity = 0;
    for (;;) {
        char byte;
        if (length + 2 > capacity) {
            char *larger = realloc(text, 2 * capacity + 256);
            if (!larger) break;
            text = larger;
            capacity = 2 * capacity + 256;
        }
        if (read_byte(edit, &byte) <= 0) break;
        text[length++] = byte == '\r' ? '\n' : byte;
        if (length < end || memcmp(text + length - end, PASTE_END, end) != 0) continue;
        length -= end;
        break;
    }
    size_t repaired_length = 0;
    char *repaired = text ? text_repaired(text, length, &repaired_length) : NULL;
    const bool taken = repaired && (repaired_length == 0 || el_insertstr(edit, repaired) == 0);
    free(repaired);
    free(text);
    return taken ? CC_REFRESH : CC_REFRESH_BEEP;
}

/* Complete the longest prefix that all matching names share. */
static unsigned char on_tab(EditLine *edit, int key) {
    (void)key;
    const LineInfo *line = el_line(edit);
    const size_t typed = (size_t)(line->cursor - line->buffer);
    const char *found = NULL;
    size_t shared = 0, n_found = 0;
    for (const char *const *name = input_of(edit)->completions; name && *name && typed > 0; name++) {
        if (strncmp(*name, line->buffer, typed) != 0) continue;
        if (n_found++ == 0) shared = strlen(*name);
        for (size_t i = 0; found && i < shared; i++)
            if (found[i] != (*name)[i]) shared = i;
        found = *name;
    }
    if (n_found == 0) return CC_REFRESH_BEEP;
    char more[64];
    snprintf(more, sizeof more, "%.*s%s", (int)(shared - typed), found + typed, n_found == 1 ? " " : "");
    if (*more) {
        el_insertstr(edit, more);
        return CC_REFRESH;
    }
    putchar('\n');
    for (const char *const *name = input_of(edit)->completions; *name; name++)
        if (strncmp(*name, line->buffer, typed) == 0) printf("%s  ", *name);
    putchar('\n');
    fflush(stdout);
    return CC_REDISPLAY;
}

static bool start_edit(line_input *in) {
    HistEvent event;
    const struct sigaction on_window = {.sa_handler = on_window_change};
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1 && !setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, "en_US.UTF-8");
    in->edit = el_init("mini-cllm", stdin, stdout, stderr);
    in->history = history_init();
    if (!in->edit || !in->history) return false;
    history(in->history, &event, H_SETSIZE, 1000);
    history(in->history, &event, H_SETUNIQUE, 1);
    el_set(in->edit, EL_CLIENTDATA, in);
    el_set(in->edit, EL_PROMPT, prompt_of);
    el_set(in->edit, EL_EDITOR, "emacs");
    el_set(in->edit, EL_HIST, history, in->history);
    el_set(in->edit, EL_SIGNAL, 0);
    el_set(in->edit, EL_SETTY, "-d", "-isig", NULL);
    el_wset(in->edit, EL_GETCFN, read_character);
    el_wset(in->edit, EL_ADDFN, L"interrupt-line", L"End the line", on_interrupt);
    el_wset(in->edit, EL_ADDFN, L"suspend", L"Suspend the program", on_suspend);
    el_wset(in->edit, EL_ADDFN, L"paste", L"Take a paste", on_paste);
    el_wset(in->edit, EL_ADDFN, L"complete-command", L"Complete a command", on_tab);
    el_set(in->edit, EL_BIND, "^C", "interrupt-line", NULL);
    el_set(in->edit, EL_BIND, "^Z", "suspend", NULL);
    el_set(in->edit, EL_BIND, PASTE_BEGIN, "paste", NULL);
    el_set(in->edit, EL_BIND, "^I", "complete-command", NULL);
    el_set(in->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(in->edit, NULL); /* the user's ~/.editrc */
    sigaction(SIGWINCH, &on_window, NULL);
    return true;
}

static line_result read_edited(line_input *in, const char *begun, const char **line, size_t *length) {
    int count = 0;
    in->interrupted = false;
    in->n_dropped = 0;
    el_set(in->edit, EL_PREP_TERM, 1);
    fputs(PASTE_ON, stdout);
    fflush(stdout);
    free(in->begun);
    in->begun = begun && *begun ? malloc(strlen(begun) + sizeof PASTE_BEGIN PASTE_END) : NULL;
    if (in->begun) { /* an escape would end the paste, and the text after it would count as typed */
        char *at = in->begun + sprintf(in->begun, PASTE_BEGIN);
        for (; *begun; begun++)
            if (*begun != '\033') *at++ = *begun;
        strcpy(at, PASTE_END);
    }
    in->to_type = in->begun;
    const char *text = el_gets(in->edit, &count);
    fputs(PASTE_OFF, stdout);
    if (in->interrupted) fputs("^C\n", stdout);
    fflush(stdout);
    *length = in->n_dropped;
    if (in->interrupted) return LINE_INTERRUPTED;
    if (interrupted())
        return interrupt_forget() ? LINE_INTERRUPTED : LINE_ENDED; /* Ctrl-C as a signal, not yet as a key */
    if (!text || count <= 0) return LINE_ENDED;
    free(in->plain);
    in->plain = strdup(text);
    if (!in->plain) return LINE_ENDED;
    *length = strlen(in->plain);
    if (*length > 0 && in->plain[*length - 1] == '\n') in->plain[--*length] = '\0';
    *line = in->plain;
    return LINE_READ;
}

#endif

line_input *line_input_create(const char *const *completions) {
    line_input *in = calloc(1, sizeof *in);
    if (!in) return NULL;
    in->completions = completions;
#ifdef HAVE_LIBEDIT
    if (isatty(STDIN_FILENO) && obeys_escapes(STDOUT_FILENO) && !start_edit(in)) {
        line_input_destroy(in);
        return NULL;
    }
#endif
    return in;
}

void line_input_destroy(line_input *in) {
    if (!in) return;
#ifdef HAVE_LIBEDIT
    if (in->history) history_end(in->history);
    if (in->edit) el_end(in->edit);
    free(in->begun);
#endif
    free(in->plain);
    free(in);
}

line_result line_input_read(line_input *in, const char *prompt, const char *begun, const char **line, size_t *length) {
    in->prompt = prompt;
#ifdef HAVE_LIBEDIT
    if (in->edit) return read_edited(in, begun, line, length);
#endif
    (void)begun;
    return read_plain(in, prompt, line, length);
}

void line_input_remember(line_input *in, const char *line) {
#ifdef HAVE_LIBEDIT
    HistEvent event;
    if (in->history && *line) history(in->history, &event, H_ENTER, line);
#endif
    (void)in, (void)line;
}
