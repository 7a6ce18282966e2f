/* Grammars on the command line: makes them from options, and checks texts with them. */
#include "commands.h"
#include "sampling.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* True if the text is a schema itself, not the name of a file. */
static bool is_schema_text(const char *text) {
    return text[strspn(text, " \t\r\n")] == '{' || strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

/* True if the text is a GBNF grammar itself, not the name of a file. */
static bool is_gbnf_text(const char *text) { return strstr(text, "::="); }

/* One way to ask for a grammar. */
typedef struct wanted_form {
    const char *name, *value; /* of the option; value: NULL if it is not given */
    cllm_grammar_kind kind;
    bool is_file;
} wanted_form;

enum { N_FORMS = 4 };

static void list_forms(const options *o, bool is_closed, wanted_form forms[N_FORMS]) {
    static const cllm_grammar_kind kinds[2][2] = {
        {CLLM_GRAMMAR_JSON_SCHEMA, CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER},
        {CLLM_GRAMMAR_JSON_SCHEMA_CLOSED, CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER},
    };
    const char *schema = o->json_schema, *gbnf = o->grammar;
    const bool in_order = o->json_order ? strcmp(o->json_order, "declared") == 0 : is_closed;
    forms[0] = (wanted_form){"--grammar", gbnf, CLLM_GRAMMAR_GBNF, gbnf && !is_gbnf_text(gbnf)};
    forms[1] = (wanted_form){"--json-schema", schema, kinds[is_closed][in_order], schema && !is_schema_text(schema)};
    forms[2] = (wanted_form){"--regex", o->regex, CLLM_GRAMMAR_REGEX, false};
    forms[3] = (wanted_form){"--choice", o->choice, CLLM_GRAMMAR_CHOICE, true};
}

int make_grammar(const options *o, const cllm_tokenizer *tokenizer, grammar_use *g) {
    wanted_form forms[N_FORMS];
    const wanted_form *form = NULL;
    input file = {0};
    cllm_error err;
    cllm_grammar *made = NULL;
    list_forms(o, !g->checks, forms);
    for (int i = 0; i < N_FORMS; i++) {
        if (!forms[i].value) continue;
        if (form) return usage_error("%s and %s cannot be used together", form->name, forms[i].name);
        form = &forms[i];
    }
    if (!form) return EXIT_SUCCESS;
    if (form->kind == CLLM_GRAMMAR_GBNF && form->is_file && strchr(form->value, '=') && access(form->value, F_OK) != 0)
        return usage_error("--grammar: '%s' is neither a file nor a grammar: a rule has the form NAME ::= ...",
                           form->value);
    if (form->is_file && read_input(form->value, &file) != EXIT_SUCCESS) return EXIT_USAGE;
    const cllm_string text =
        form->is_file ? (cllm_string){file.data, file.length} : (cllm_string){form->value, strlen(form->value)};
    cllm_status status = g->index ? CLLM_OK : cllm_token_index_create(tokenizer, &g->index, &err);
    const double begun = now();
    if (status == CLLM_OK) status = cllm_grammar_create(g->index, form->kind, text, &made, &err);
    g->seconds = now() - begun;
    free(file.data);
    if (status == CLLM_OK) {
        cllm_grammar_destroy(g->grammar);
        g->grammar = made;
        return EXIT_SUCCESS;
    }
    fail("%s: %s", form->is_file ? form->value : form->name, err.message);
    return status == CLLM_ERR_MEMORY ? EXIT_FAILURE : status == CLLM_ERR_UNSUPPORTED ? EXIT_NOT_ENFORCED : EXIT_USAGE;
}

void drop_grammar(grammar_use *g) {
    cllm_grammar_destroy(g->grammar);
    g->grammar = NULL;
}

void free_grammar(grammar_use *g) {
    drop_grammar(g);
    cllm_token_index_destroy(g->index);
}

int fail_unfinished(uint64_t n_tokens) {
    return fail("the text is not finished: after %" PRIu64 " tokens its grammar needs more; set a larger -n or --ctx",
                n_tokens);
}

/* -------------------------------------------------------------------------------------------------- checking */

/* Times to make masks, in seconds. */
typedef struct mask_times {
    double *items; /* [count], owned */
    size_t count, capacity;
} mask_times;

static bool add_time(mask_times *t, double seconds) {
    if (t->count == t->capacity) {
        const size_t larger = t->capacity > 0 ? 2 * t->capacity : 256;
        double *grown = realloc(t->items, larger * sizeof *grown);
        if (!grown) return false;
        t->items = grown;
        t->capacity = larger;
    }
    t->items[t->count++] = seconds;
    return true;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int print_times(double compile, mask_times *t) {
    double sum = 0;
    qsort(t->items, t->count, sizeof *t->items, by_value);
    for (size_t i = 0; i < t->count; i++) sum += t->items[i];
    const size_t last = t->count > 0 ? t->count - 1 : 0;
    printf("{\"compile_us\": %.1f, \"masks\": %zu", compile * 1e6, t->count);
    if (t->count > 0)
        printf(", \"mask_us\": {\"mean\": %.2f, \"p50\": %.2f, \"p99\": %.2f, \"max\": %.2f}",
               sum / (double)t->count * 1e6, t->items[last / 2] * 1e6, t->items[last * 99 / 100] * 1e6,
               t->items[last] * 1e6);
    puts("}");
    return EXIT_SUCCESS;
}

/* Encode a text into ids that spell all of it. tokens: out, owned; release with cllm_free. Returns how many there are;
 * 0 if the text is empty, or if the tokenizer cannot spell it. */
static size_t encode_exactly(const cllm_tokenizer *tokenizer, const input *text, int32_t **tokens) {
    size_t count = 0, length = 0;
    *tokens = NULL;
    if (cllm_tokenizer_encode(tokenizer, text->data ? text->data : "", text->length, CLLM_ENCODE_GOES_ON, tokens,
                              &count, NULL) != CLLM_OK)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const cllm_string spelled = cllm_tokenizer_decode(tokenizer, (*tokens)[i], (*tokens)[i]);
        if (length + spelled.length > text->length || memcmp(text->data + length, spelled.data, spelled.length) != 0)
            return 0;
        length += spelled.length;
    }
    return length == text->length ? count : 0;
}

/* Count how many bytes of a text the grammar accepts; accepted: out. */
static cllm_status check_text(const grammar_use *g, const cllm_tokenizer *tokenizer, const input *text,
                              mask_times *times, size_t *n_bytes, bool *accepted, cllm_error *err) {
    uint32_t *mask = calloc(CLLM_MASK_WORDS(cllm_tokenizer_n_vocab(tokenizer)), sizeof *mask);
    cllm_matcher *matcher = NULL;
    int32_t *tokens;
    const size_t n_tokens = encode_exactly(tokenizer, text, &tokens);
    cllm_status status = mask ? cllm_matcher_create(g->grammar, &matcher, err) : CLLM_ERR_MEMORY;
    *n_bytes = 0;
    *accepted = false;
    for (size_t i = 0; status == CLLM_OK && i < n_tokens; i++) {
        const cllm_string spelled = cllm_tokenizer_decode(tokenizer, tokens[i], tokens[i]);
        size_t n_taken;
        const double begun = now();
        status = cllm_matcher_fill_mask(matcher, mask, err);
        if (status == CLLM_OK && !add_time(times, now() - begun)) status = CLLM_ERR_MEMORY;
        const bool allowed = mask[tokens[i] / 32] >> tokens[i] % 32 & 1;
        if (status == CLLM_OK) status = cllm_matcher_take_bytes(matcher, spelled.data, spelled.length, &n_taken, err);
        if (status != CLLM_OK) break;
        *n_bytes += n_taken;
        if (!allowed || n_taken < spelled.length) break;
    }
    if (status == CLLM_OK && n_tokens == 0) /* the text is empty, or the vocabulary does not have all bytes */
        status = cllm_matcher_take_bytes(matcher, text->data ? text->data : "", text->length, n_bytes, err);
    if (status == CLLM_OK) *accepted = *n_bytes == text->length && cllm_matcher_can_end(matcher);
    cllm_matcher_destroy(matcher);
    cllm_free(tokens);
    free(mask);
    return status;
}

static int check_file(const options *o, const grammar_use *g, const cllm_tokenizer *tokenizer, const char *path,
                      mask_times *times) {
    input text;
    size_t n_bytes;
    bool accepted;
    cllm_error err = {.message = "out of memory"};
    if (read_input(path, &text) != EXIT_SUCCESS) return EXIT_USAGE;
    const cllm_status status = check_text(g, tokenizer, &text, times, &n_bytes, &accepted, &err);
    const bool at_newline = status == CLLM_OK && n_bytes + 1 == text.length && text.data[n_bytes] == '\n';
    free(text.data);
    if (status != CLLM_OK) return fail("%s: %s", path, err.message);
    if (!o->timings && accepted) puts("accepted");
    if (!o->timings && !accepted)
        printf("refused at byte %zu%s\n", n_bytes, at_newline ? ", the newline at the end" : "");
    return accepted ? EXIT_SUCCESS : EXIT_FAILURE;
}

int check_grammar(const options *o) {
    cllm_gguf *gguf = NULL;
    cllm_tokenizer *tokenizer = NULL;
    cllm_error err;
    grammar_use g = {.checks = true};
    mask_times times = {0};
    if (!o->grammar && !o->regex && !o->json_schema && !o->choice)
        return usage_error("grammar: give --grammar FILE, --json-schema FILE, --regex REGEX or --choice FILE");
    if (o->check && o->n_arguments == 0) return usage_error("--check: give the FILEs to check; - is standard input");
    int status = open_gguf(o, o->model, &gguf);
    if (status == EXIT_SUCCESS && cllm_tokenizer_create(gguf, &tokenizer, &err) != CLLM_OK) status = fail_with(&err);
    if (status == EXIT_SUCCESS) status = make_grammar(o, tokenizer, &g);
    for (size_t i = 0; g.grammar && i < o->n_arguments; i++) {
        const int checked = check_file(o, &g, tokenizer, o->arguments[i], &times);
        if (checked > status) status = checked;
    }
    if (g.grammar && o->timings) print_times(g.seconds, &times);
    free(times.items);
    free_grammar(&g);
    cllm_tokenizer_destroy(tokenizer);
    if (gguf) close_gguf(gguf);
    return status;
}
