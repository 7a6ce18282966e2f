/* Chat with a model in a terminal. A line that a person types is a question, or a command if it begins with a slash.
 * conversation.c holds the conversation itself. */
#include "commands.h"
#include "conversation.h"
#include "interrupt.h"
#include "line_input.h"
#include "sampling.h"
#include "text_stream.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A text to add to the next question. */
typedef struct attachment {
    char *name; /* its file, or "-": owned */
    input text; /* owned */
} attachment;

typedef struct talk {
    conversation c;
    line_input *input;
    options o;                             /* of the command line, changed by /set */
    cllm_sampler_step steps[CLLM_N_STEPS]; /* the order of steps that the file recommends */
    attachment *attached;                  /* [n_attached], owned */
    size_t n_attached;
    grammar_use form; /* the grammar of answers */
    char *form_name;  /* its file: owned; NULL: there is no grammar, or it is the command line's */

    /* the answer while it is printed */
    text_stream out;
    bool colour;    /* print reasoning dimmed */
    bool reasoning; /* the last text printed was reasoning */
    bool printed;
} talk;

/* ----------------------------------------------------------------------------------------------------- printing */

static void print_piece(void *user, bool reasoning, const char *bytes, size_t length) {
    talk *t = user;
    if (length == 0) return;
    if (reasoning != t->reasoning) {
        text_stream_end(&t->out);
        if (t->reasoning && t->colour) fputs("\033[0m", stdout);
        if (t->reasoning && t->printed) fputs("\n\n", stdout);
        if (reasoning && t->colour) fputs("\033[2m", stdout);
        t->reasoning = reasoning;
    }
    t->printed = true;
    text_stream_write(&t->out, bytes, length);
}

/* Tell the user why an answer ended, if that is not obvious. */
static void explain_end(const talk *t) {
    const conversation *c = &t->c;
    if (c->end == CLLM_END_CONTEXT_FULL)
        fprintf(stderr, "context: all %" PRIu32 " tokens are in use, so the answer stops here; %s\n",
                cllm_engine_plan(c->run->engine)->n_ctx, conversation_room_advice(c));
    if (c->end == CLLM_END_LENGTH)
        note(&t->o, "the answer stops here, after %" PRIu64 " tokens (%s)", c->n_most,
             c->once ? "--n-tokens" : "/set n-tokens");
    if (c->only_reasoned)
        note(&t->o, "the model said nothing but its reasoning; %s prints it",
             c->once ? "--reasoning show" : "/set reasoning show");
}

static int end_answer(talk *t, int status) {
    if (t->c.end == CLLM_END_TOKEN) text_stream_end(&t->out);
    t->out.n_held = 0; /* an answer may stop within a character */
    if (t->reasoning && t->colour) fputs("\033[0m", stdout);
    if (t->printed || status == EXIT_SUCCESS) putchar('\n');
    t->reasoning = t->printed = false;
    if (status == EXIT_FAILURE) return status; /* the reason was printed already; perhaps nothing can be written */
    const int flushed = flush_output();
    if (status == EXIT_SUCCESS) explain_end(t);
    return status == EXIT_SUCCESS ? flushed : status;
}

/* ------------------------------------------------------------------------------------------------------- texts */

/* True if there is only white space. */
static bool is_blank(const char *text, size_t length) {
    while (length > 0 && strchr(" \t\r\n", text[length - 1])) length--;
    return length == 0;
}

/* Read the text of a file; "-" is standard input. Bytes of 0 are refused. Returns an exit status, after saying why. */
static int read_text(const char *path, input *text) {
    int status = read_input(path, text);
    if (status == EXIT_SUCCESS && text->length > 0 && memchr(text->data, '\0', text->length))
        status = fail("%s: this is not text: it contains bytes of 0", strcmp(path, "-") == 0 ? "standard input" : path);
    return status;
}

/* Add a file to the next question. It becomes a value of the template: nothing in it becomes a special token. */
static int attach(talk *t, const char *path) {
    attachment a = {.name = strdup(path)};
    attachment *more = realloc(t->attached, (t->n_attached + 1) * sizeof *more);
    if (more) t->attached = more;
    const int status = more && a.name ? read_text(path, &a.text) : fail("out of memory");
    if (status == EXIT_SUCCESS && !is_blank(a.text.data, a.text.length)) {
        t->attached[t->n_attached++] = a;
        return status;
    }
    if (status == EXIT_SUCCESS && strcmp(path, "-") != 0) note(&t->o, "%s is empty", path);
    free(a.text.data);
    free(a.name);
    return status;
}

static void drop_attached(talk *t) {
    for (size_t i = 0; i < t->n_attached; i++) {
        free(t->attached[i].name);
        free(t->attached[i].text.data);
    }
    t->n_attached = 0;
}

/* Join a question and the attached texts after it: owned, or NULL. */
static char *join_attached(const talk *t, const char *text, size_t length, size_t *whole_length) {
    char *whole = NULL;
    FILE *out = open_memstream(&whole, whole_length);
    if (!out) return NULL;
    fwrite(text, 1, length, out);
    for (size_t i = 0; i < t->n_attached; i++) {
        const attachment *a = &t->attached[i];
        if (i > 0 || length > 0) fputs("\n\n", out);
        if (strcmp(a->name, "-") != 0) fprintf(out, "%s:\n", a->name);
        fwrite(a->text.data, 1, a->text.length, out);
    }
    if (fclose(out) == 0) return whole;
    free(whole);
    return NULL;
}

static int set_system(talk *t, const char *text) {
    input in = {0};
    if (*text != '@') return conversation_set_system(&t->c, text, strlen(text));
    if (!text[1]) return usage_error("@ needs the name of a file after it");
    int status = read_text(text + 1, &in);
    if (status == EXIT_SUCCESS) status = conversation_set_system(&t->c, in.data ? in.data : "", in.length);
    free(in.data);
    return status;
}

/* Ask a question together with the attached texts. An answer that Ctrl-C stopped counts as an answer. */
static int ask(talk *t, const char *text, size_t length) {
    size_t whole_length;
    char *whole = join_attached(t, text, length, &whole_length);
    const int status = whole ? conversation_ask(&t->c, whole, whole_length) : fail("out of memory");
    free(whole);
    if (t->c.answered) drop_attached(t);
    if (status == EXIT_FAILURE && t->n_attached > 0 && !t->c.once)
        note(&t->o, "the attached texts stay for the next question; /read lists them, /read \"\" drops them");
    return end_answer(t, status);
}

/* ---------------------------------------------------------------------------------------------------- settings */

/* Parse "show", "hide", "off" or a number of tokens; 0 means off. */
static int set_reasoning(talk *t, const char *text) {
    char *end;
    errno = 0;
    const unsigned long long n = strtoull(text, &end, 10);
    const bool counts = *text >= '0' && *text <= '9' && !*end && errno == 0;
    const bool shows = strcmp(text, "show") == 0, hides = strcmp(text, "hide") == 0;
    const bool off = strcmp(text, "off") == 0 || (counts && n == 0);
    if (!counts && !shows && !hides && !off)
        return usage_error("--reasoning: '%s' is not show, hide, off or a number of tokens", text);
    t->c.reasoning_most = counts && n > 0 ? n : UINT64_MAX;
    if (off) t->c.reasoning = REASONING_OFF;
    if (hides) t->c.reasoning = REASONING_HIDDEN;
    if (shows || (counts && n > 0 && t->c.reasoning == REASONING_OFF && isatty(STDOUT_FILENO)))
        t->c.reasoning = REASONING_SHOWN;
    if (counts && n > 0 && t->c.reasoning == REASONING_OFF) t->c.reasoning = REASONING_HIDDEN;
    return EXIT_SUCCESS;
}

static const char *name_reasoning(const talk *t) {
    return t->c.reasoning == REASONING_OFF ? "off" : t->c.reasoning == REASONING_SHOWN ? "show" : "hide";
}

static void print_settings(const talk *t) {
    const cllm_sampler_options *s = &t->c.sampling;
    printf("temperature %g, top-k %" PRIu32 ", top-p %g, min-p %g, seed %" PRIu64 ", reasoning %s",
           (double)s->temperature, s->top_k, (double)s->top_p, (double)s->min_p, s->seed, name_reasoning(t));
    if (t->c.reasoning_most != UINT64_MAX) printf(" up to %" PRIu64 " tokens", t->c.reasoning_most);
    if (t->c.n_most > 0)
        printf(", n-tokens %" PRIu64 "\n", t->c.n_most);
    else
        puts(", n-tokens -1");
}

/* Use the file's recommendations, then the user's options. */
static void apply_options(talk *t) {
    const options *o = &t->o;
    t->c.sampling = o->sampling;
    take_recommended(o, cllm_model_gguf(t->c.run->model), &t->c.sampling, t->steps);
    t->c.n_most = is_given(o, "n-tokens") && o->n_tokens != UINT64_MAX ? o->n_tokens : 0;
}

/* /set: the options with these names, as on the command line */
static int set(talk *t, char *arguments) {
    static const char *const names[] = {"temperature", "top-k", "top-p", "min-p", "seed", "reasoning", "n-tokens"};
    enum { N_NAMES = sizeof names / sizeof *names };
    char *name = strtok(arguments, " ="), *value = strtok(NULL, " =");
    size_t i = 0;
    while (name && i < N_NAMES && strcmp(name, names[i]) != 0) i++;
    if (name && i == N_NAMES)
        return usage_error("/set: '%s' is not one of: temperature, top-k, top-p, min-p, seed, reasoning, n-tokens",
                           name);
    if (name && (!value || strtok(NULL, " ="))) return usage_error("/set %s takes one value", name);
    int status = EXIT_SUCCESS;
    if (name)
        status = strcmp(name, "reasoning") == 0 ? set_reasoning(t, value) : change_option(&t->o, CHAT, name, value);
    if (status != EXIT_SUCCESS) return status;
    apply_options(t);
    print_settings(t);
    return status;
}

/* ---------------------------------------------------------------------------------------- several lines */

#define BLOCK_MARK "\"\"\""

/* True if a line ends the text: the mark is at the line's end, and does not close a pair within the line. length: white
 * space at the end is removed from it, and so is the mark if the result is true. */
static bool ends_block(const char *line, size_t *length) {
    size_t n_marks = 0;
    while (*length > 0 && strchr(" \t", line[*length - 1])) --*length;
    for (const char *at = line; (at = strstr(at, BLOCK_MARK)) && at < line + *length; at += strlen(BLOCK_MARK))
        n_marks++;
    if (n_marks % 2 == 0 || *length < strlen(BLOCK_MARK) ||
        memcmp(line + *length - strlen(BLOCK_MARK), BLOCK_MARK, strlen(BLOCK_MARK)) != 0)
        return false;
    *length -= strlen(BLOCK_MARK);
    return true;
}

/* Read the text after the mark, up to a line that ends with the mark; a paste counts as one line. text: out, owned,
 * whatever the result is. */
static line_result read_block(talk *t, const char *begun, char **text, size_t *length) {
    const char *line = begun;
    size_t n = strlen(begun);
    line_result result = LINE_READ;
    FILE *out = open_memstream(text, length);
    if (!out) return LINE_ENDED;
    for (bool first = true, ended = false; result == LINE_READ && !ended; first = false) {
        size_t kept = n;
        ended = ends_block(line, &kept);
        if (!first) fputc('\n', out);
        fwrite(line, 1, ended ? kept : n, out);
        if (!ended) result = line_input_read(t->input, "... ", NULL, &line, &n);
    }
    if (fclose(out) != 0) result = LINE_ENDED;
    if (result == LINE_READ && *length > 0 && (*text)[0] == '\n') /* the text begins on the line after the mark */
        memmove(*text, *text + 1, (*length)--);
    if (result == LINE_READ && *length > 0 && (*text)[*length - 1] == '\n') (*text)[--*length] = '\0';
    return result;
}

/* ---------------------------------------------------------------------------------------------------- commands */

typedef enum outcome { GOES_ON, ENDS } outcome;

static int fail_without_question(void) { return fail("there is no question yet"); }

static int do_help(talk *t, char *text);

static int do_system(talk *t, char *text) {
    const json_t *first = json_array_get(t->c.messages, 0);
    const char *role = json_string_value(json_object_get(first, "role"));
    const char *said = json_string_value(json_object_get(first, "content"));
    const bool is_set = role && said && strcmp(role, "system") == 0, empties = strcmp(text, "\"\"") == 0;
    if (*text) {
        const int status = set_system(t, empties ? "" : text);
        if (status == EXIT_SUCCESS)
            note(&t->o, empties ? "the system message is removed; the template may have its own"
                                : "the system message is set");
        return status;
    }
    const char *shown =
        is_set ? said : "there is no system message, unless the template has its own; /system TEXT or @FILE sets one";
    text_stream_write(&t->out, shown, strlen(shown));
    text_stream_write(&t->out, "\n", 1);
    return EXIT_SUCCESS;
}

static int do_reset(talk *t, char *text) {
    (void)text;
    conversation_reset(&t->c);
    note(&t->o, "the conversation is empty now%s",
         json_array_size(t->c.messages) > 0 ? ", except for the system message" : "");
    return EXIT_SUCCESS;
}

static int do_undo(talk *t, char *text) {
    (void)text;
    if (!conversation_undo(&t->c)) return fail_without_question();
    const size_t n = conversation_n_questions(&t->c);
    note(&t->o, "the last question is forgotten; %zu %s left", n, n == 1 ? "is" : "are");
    return EXIT_SUCCESS;
}

static int do_retry(talk *t, char *text) {
    (void)text;
    if (!conversation_last_question(&t->c)) return fail_without_question();
    if (t->c.sampling.temperature <= 0) note(&t->o, "at temperature 0 every answer is the same; /set temperature 0.8");
    return end_answer(t, conversation_retry(&t->c));
}

/* Let the user edit the last question, and ask it again. */
static int do_edit(talk *t, char *text) {
    const char *question = conversation_last_question(&t->c), *line = text;
    size_t length = strlen(text);
    if (!question) return fail_without_question();
    if (!*text && line_input_read(t->input, "> ", question, &line, &length) != LINE_READ) return EXIT_SUCCESS;
    if (length == 0) return EXIT_SUCCESS;
    line_input_remember(t->input, line);
    return end_answer(t, conversation_ask_instead(&t->c, line, length));
}

static int do_read(talk *t, char *text) {
    if (strcmp(text, "\"\"") == 0) drop_attached(t);
    const int status = *text && strcmp(text, "\"\"") != 0 ? attach(t, text) : EXIT_SUCCESS;
    if (status != EXIT_SUCCESS) return status;
    for (size_t i = 0; i < t->n_attached; i++)
        note(&t->o, "%s, %s, will be added to the next question", t->attached[i].name,
             format_bytes(t->attached[i].text.length).text);
    if (t->n_attached == 0) note(&t->o, "no text will be added to the next question");
    return status;
}

/* Replace the grammar by a grammar or schema from a file. */
static int set_format(talk *t, const char *path) {
    const size_t length = strlen(path);
    const bool is_grammar = length > 5 && strcmp(path + length - 5, ".gbnf") == 0;
    options o = t->o;
    o.regex = o.choice = NULL;
    o.grammar = is_grammar ? path : NULL;
    o.json_schema = is_grammar ? NULL : path;
    char *name = strdup(path);
    const int status = name ? make_grammar(&o, cllm_model_tokenizer(t->c.run->model), &t->form) : fail("out of memory");
    if (status != EXIT_SUCCESS) {
        free(name);
        return status;
    }
    free(t->form_name);
    t->form_name = name;
    return status;
}

static int do_format(talk *t, char *text) {
    const bool drops = strcmp(text, "\"\"") == 0;
    const int status = *text && !drops ? set_format(t, text) : EXIT_SUCCESS;
    if (status != EXIT_SUCCESS) return status;
    if (drops) drop_grammar(&t->form);
    t->c.grammar = t->form.grammar;
    if (!t->c.grammar)
        puts("answers have any form");
    else
        printf("answers follow %s\n", t->form_name ? t->form_name : "the form given on the command line");
    return status;
}

static int do_save(talk *t, char *text) {
    const int status = conversation_save(&t->c, "", text);
    if (status == EXIT_SUCCESS) note(&t->o, "saved to %s", text);
    return status;
}

static void note_loaded(talk *t, const char *path) {
    const size_t n = conversation_n_questions(&t->c), n_tokens = conversation_count_tokens(&t->c);
    const uint32_t n_ctx = cllm_engine_plan(t->c.run->engine)->n_ctx;
    note(&t->o, "%s has %zu question%s", path, n, n == 1 ? "" : "s");
    if (n_tokens >= n_ctx)
        note(&t->o, "it has %zu tokens, and the context holds %" PRIu32 "; %s", n_tokens, n_ctx,
             conversation_room_advice(&t->c));
}

static int do_load(talk *t, char *text) {
    const int status = conversation_load(&t->c, text);
    if (status == EXIT_SUCCESS) note_loaded(t, text);
    return status;
}

static int do_stats(talk *t, char *text) {
    (void)text;
    const pace *read = &t->c.evaluated, *written = &t->c.generated;
    printf("questions %zu, tokens evaluated %" PRIu64 ": %zu in prompts", conversation_n_questions(&t->c),
           cllm_engine_stats(t->c.run->engine).tokens_evaluated, read->n_tokens);
    if (read->seconds > 0) printf(" (%.1f tok/s)", (double)read->n_timed / read->seconds);
    printf(", the rest in answers; tokens generated %zu", written->n_tokens);
    if (written->seconds > 0) printf(" (%.1f tok/s)", (double)written->n_timed / written->seconds);
    printf("\nseed %" PRIu64 "\n", t->c.sampling.seed);
    return EXIT_SUCCESS;
}

static int do_tokens(talk *t, char *text) {
    (void)text;
    const uint32_t n_ctx = cllm_engine_plan(t->c.run->engine)->n_ctx;
    const size_t n = conversation_count_tokens(&t->c);
    printf("%zu tokens of %" PRIu32 " (%zu left)\n", n, n_ctx, n_ctx > n ? n_ctx - n : 0);
    return EXIT_SUCCESS;
}

static const struct slash {
    const char *name;
    const char *arguments;           /* in brackets if optional; "": no arguments */
    int (*run)(talk *t, char *text); /* NULL: this command ends the conversation */
    const char *about;               /* NULL: another name for the command before */
} slashes[] = {
    {"/help", "", do_help, "this list"},
    {"/?", "", do_help, NULL},
    {"/system", "[TEXT|@FILE]", do_system,
     "show or set what the model is told before the conversation; \"\" is nothing"},
    {"/read", "[FILE]", do_read, "attach a file to the next question, or list what is attached; \"\" drops it"},
    {"/undo", "", do_undo, "forget the last question and its answer"},
    {"/retry", "", do_retry, "another answer to the last question"},
    {"/edit", "[TEXT]", do_edit, "ask the last question in other words"},
    {"/reset", "", do_reset, "forget all but the system message"},
    {"/clear", "", do_reset, NULL},
    {"/save", "FILE", do_save, "save the conversation: JSON, or Markdown if the name ends in .md"},
    {"/load", "FILE", do_load, "go on with a conversation from JSON"},
    {"/set", "[NAME VALUE]", set, "show or set temperature, top-k, top-p, min-p, seed, reasoning, n-tokens"},
    {"/format", "[FILE]", do_format,
     "show or set the form of answers: a GBNF grammar if the name ends in .gbnf, else a JSON schema; \"\" is none"},
    {"/stats", "", do_stats, "tokens evaluated and generated, how fast, and the seed"},
    {"/tokens", "", do_tokens, "how full the context is"},
    {"/exit", "", NULL, "end; so does Ctrl-D, and Ctrl-C twice"},
    {"/quit", "", NULL, NULL},
    {"/bye", "", NULL, NULL},
};

enum { N_SLASHES = sizeof slashes / sizeof *slashes };

static int do_help(talk *t, char *text) {
    (void)t, (void)text;
    for (const struct slash *s = slashes; s < slashes + N_SLASHES; s++)
        if (s->about) printf("  %-7s %-12s  %s\n", s->name, s->arguments, s->about);
    puts("\"\"\" begins and ends a text of several lines; a space before a slash makes it a question. Ctrl-C stops an "
         "answer, "
         "and keeps what was said.");
    return EXIT_SUCCESS;
}

/* Parse a file's name as typed: removes quotes, expands ~. Owned, or NULL. */
static char *typed_path(const char *text) {
    const char *home = getenv("HOME");
    const size_t length = strlen(text);
    const bool quoted = length > 2 && text[0] == text[length - 1] && (*text == '"' || *text == '\'');
    const int n = (int)length - (quoted ? 2 : 0);
    const char *bare = text + quoted;
    const bool at_home = bare[0] == '~' && bare[1] == '/' && home;
    char *path = malloc(strlen(home ? home : "") + length + 1);
    if (path) sprintf(path, "%s%.*s", at_home ? home : "", n - at_home, bare + at_home);
    return path;
}

/* Get the argument of a command: owned, or NULL. A text may have several lines; then *result says how reading them
 * ended. */
static char *argument_of(talk *t, const struct slash *s, const char *text, line_result *result) {
    char *block = NULL;
    size_t length;
    *result = LINE_READ;
    if (strstr(s->arguments, "TEXT") && strncmp(text, BLOCK_MARK, strlen(BLOCK_MARK)) == 0) {
        *result = read_block(t, text + strlen(BLOCK_MARK), &block, &length);
        return block;
    }
    return strstr(s->arguments, "FILE") && *text != '@' && strcmp(text, "\"\"") != 0 ? typed_path(text) : strdup(text);
}

/* Run a line that begins with a slash. */
static outcome run_slash(talk *t, const char *line, int *status) {
    const size_t length = strcspn(line, " \t");
    const char *rest = line + length + strspn(line + length, " \t");
    const struct slash *s = slashes;
    while (s < slashes + N_SLASHES && (strlen(s->name) != length || memcmp(s->name, line, length) != 0)) s++;
    if (s == slashes + N_SLASHES) {
        const bool shows = length == strlen("/show") && memcmp(line, "/show", length) == 0; /* ollama's */
        *status = usage_error("'%.*s' is not a command; %s", (int)length, line,
                              shows ? "/system, /set, /stats and /tokens show what there is"
                                    : "see /help, or put a space before a question");
        return GOES_ON;
    }
    char *trimmed = strdup(rest);
    for (size_t n = trimmed ? strlen(trimmed) : 0; n > 0 && strchr(" \t\n", trimmed[n - 1]); n--) trimmed[n - 1] = '\0';
    line_result result = LINE_READ;
    char *text = trimmed ? argument_of(t, s, trimmed, &result) : NULL;
    const bool ends = text && !s->run && !*text;
    if (!text)
        *status = fail("out of memory");
    else if (result != LINE_READ)
        *status = EXIT_SUCCESS; /* the user gave up the text */
    else if (isupper((unsigned char)*s->arguments) && !*text)
        *status = usage_error("%s %s: %s", s->name, s->arguments, s->about);
    else if (*text && !*s->arguments)
        *status = usage_error("%s takes no argument, but got '%s'", s->name, text);
    else if (!ends)
        *status = s->run(t, text);
    free(text);
    free(trimmed);
    return ends ? ENDS : GOES_ON;
}

/* -------------------------------------------------------------------------------------------------------- loop */

static outcome take_line(talk *t, const char *line, size_t length, int *status) {
    *status = EXIT_SUCCESS;
    const char *begun = line + strspn(line, " \t");
    if (!*begun && t->n_attached == 0) return GOES_ON;
    if (*line == '/' && !strchr(line, '\n')) {
        line_input_remember(t->input, line);
        return run_slash(t, line, status);
    }
    if (strncmp(begun, BLOCK_MARK, strlen(BLOCK_MARK)) != 0) {
        line_input_remember(t->input, line);
        *status = ask(t, line, length);
        return GOES_ON;
    }
    char *text = NULL;
    if (read_block(t, begun + strlen(BLOCK_MARK), &text, &length) == LINE_READ && !is_blank(text, length)) {
        line_input_remember(t->input, text);
        *status = ask(t, text, length);
    }
    free(text);
    return GOES_ON;
}

static int talk_with(talk *t) {
    static const char *names[N_SLASHES + 1];
    size_t n_names = 0;
    for (const struct slash *s = slashes; s < slashes + N_SLASHES; s++)
        if (s->about) names[n_names++] = s->name;
    t->input = line_input_create(names);
    if (!t->input) return fail("the terminal cannot be used for line editing");
    note(&t->o, "%s; /help lists the commands", cllm_model_get_info(t->c.run->model)->name);
    if (t->o.load) note_loaded(t, t->o.load);
    for (bool warned = false;;) {
        const char *line;
        size_t length;
        int status = EXIT_SUCCESS;
        const line_result result = line_input_read(t->input, "> ", NULL, &line, &length);
        if (result == LINE_ENDED) {
            if (isatty(STDIN_FILENO)) fputc('\n', stderr); /* Ctrl-D leaves the line as it is */
            break;
        }
        if (result == LINE_INTERRUPTED && warned && length == 0) return EXIT_INTERRUPTED;
        if (result == LINE_INTERRUPTED) note(&t->o, "press Ctrl-C again to end, or type /exit");
        warned = result == LINE_INTERRUPTED;
        if (warned) continue;
        if (take_line(t, line, length, &status) == ENDS) break;
        if (interrupted() && !interrupt_forget()) return EXIT_INTERRUPTED; /* SIGTERM */
        if (ferror(stdout)) return EXIT_FAILURE;
    }
    return interrupted() ? EXIT_INTERRUPTED : EXIT_SUCCESS;
}

/* -------------------------------------------------------------------------------------------------------- start */

static int start(talk *t, run *r) {
    const options *o = &t->o;
    int status = o->save ? check_save(o->save, false) : EXIT_SUCCESS;
    if (status == EXIT_SUCCESS) status = run_load(r, o);
    if (status == EXIT_SUCCESS) status = run_check_writes(r);
    t->c.run = r;
    if (status == EXIT_SUCCESS) status = run_start(r, o->ctx);
    if (status == EXIT_SUCCESS) status = conversation_start(&t->c);
    if (status != EXIT_SUCCESS) return status;
    if (!is_given(o, "seed") || o->sampling.seed == UINT64_MAX) t->o.sampling.seed = fresh_seed();
    apply_options(t);
    t->c.sink = print_piece;
    t->c.sink_user = t;
    t->c.shifts = strcmp(o->context, "shift") == 0;
    status = make_grammar(o, cllm_model_tokenizer(r->model), &t->form);
    if (status != EXIT_SUCCESS) return status;
    t->c.grammar = t->form.grammar;
    status = o->load ? conversation_load(&t->c, o->load) : EXIT_SUCCESS;
    return status == EXIT_SUCCESS && o->system ? set_system(t, o->system) : status;
}

/* Answer the question of the command line, together with standard input if that is a pipe. */
static int ask_once(talk *t) {
    const bool reads = !isatty(STDIN_FILENO) || (t->o.prompt && strcmp(t->o.prompt, "-") == 0);
    const char *question = t->o.prompt && strcmp(t->o.prompt, "-") != 0 ? t->o.prompt : "";
    const int status = reads ? attach(t, "-") : EXIT_SUCCESS;
    if (status != EXIT_SUCCESS) return status;
    if (is_blank(question, strlen(question)) && t->n_attached == 0)
        return fail(reads ? "there is no question: standard input is empty" : "the question is empty");
    const int asked = ask(t, question, strlen(question));
    return asked == EXIT_SUCCESS && t->c.n_unfinished > 0 ? fail_unfinished(t->c.n_unfinished) : asked;
}

int chat(const options *o) {
    const bool shown = isatty(STDOUT_FILENO);
    talk t = {.o = *o, .out = {.out = stdout, .safe = shown}};
    run r = {0};
    t.colour = shows_colour(STDOUT_FILENO);
    t.c.reasoning = shown ? REASONING_SHOWN : REASONING_HIDDEN;
    t.c.reasoning_most = UINT64_MAX;
    t.c.once = o->prompt || !isatty(STDIN_FILENO);
    if (o->image) return usage_error("--image: %s: images are not supported yet; models read only text", o->image);
    int status = o->reasoning ? set_reasoning(&t, o->reasoning) : EXIT_SUCCESS;
    if (status == EXIT_SUCCESS) status = check_kwargs(o);
    for (size_t i = 0; status == EXIT_SUCCESS && i < o->attached.count; i++) status = attach(&t, o->attached.items[i]);
    if (status == EXIT_SUCCESS) status = start(&t, &r);
    if (status == EXIT_SUCCESS) {
        status = t.c.once ? ask_once(&t) : talk_with(&t);
        const bool saves = o->save && status != EXIT_FAILURE;
        const int saved = saves ? conversation_save(&t.c, "--save ", o->save) : EXIT_SUCCESS;
        if (status == EXIT_SUCCESS) status = saved;
    }
    if (status == EXIT_SUCCESS && o->verbose) run_summary(&r, t.c.evaluated, t.c.generated);
    line_input_destroy(t.input);
    conversation_end(&t.c);
    drop_attached(&t);
    free(t.attached);
    free(t.form_name);
    free_grammar(&t.form);
    run_close(&r);
    return status;
}
