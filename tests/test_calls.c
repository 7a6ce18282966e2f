/* Tests structures of answers that call tools. For each template, random texts are drawn under the masks and read
 * again; each must be a call of a given tool that fits its schema. */
#include "support/check.h"
#include "support/vocabulary.h"

#include "base/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEATHER                                                                                                    \
    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}, \"days\": {\"type\": \"integer\", " \
    "\"minimum\": 1, \"maximum\": 7}, \"sure\": {\"type\": \"boolean\"}, \"unit\": {\"type\": \"string\", "        \
    "\"enum\": [\"celsius\", \"kelvin\"]}, \"more\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/n\"}, " \
    "\"maxItems\": 2}}, \"required\": [\"city\", \"days\"], \"additionalProperties\": false, \"$defs\": {\"n\": "  \
    "{\"type\": \"number\"}}}"
#define LOOK_UP                                                                                               \
    "{\"type\": \"object\", \"properties\": {\"query\": {\"type\": \"string\"}}, \"required\": [\"query\"], " \
    "\"additionalProperties\": false}"
#define FUNCTION(name, parameters, strict)                      \
    "{\"type\": \"function\", \"function\": {\"name\": \"" name \
    "\", \"description\": \"d\", \"parameters\": " parameters ", \"strict\": " strict "}}"
#define TOOLS "[" FUNCTION("get_weather", WEATHER, "true") ", " FUNCTION("look_up", LOOK_UP, "false") "]"

static cllm_string text_of(const char *words) { return (cllm_string){words, strlen(words)}; }

/* Single bytes, the tokens that JSON needs, and marks of many formats; every other mark is a control token. */
static loaded vocabulary_of_marks(void) {
    static const char *const marks[] = {"<tool_call>",
                                        "</tool_call>",
                                        "<arg_key>",
                                        "</arg_key>",
                                        "<arg_value>",
                                        "</arg_value>",
                                        "<function=",
                                        "</function>",
                                        "<parameter=",
                                        "</parameter>",
                                        "<|tool_calls_section_begin|>",
                                        "<|tool_calls_section_end|>",
                                        "<|tool_call_begin|>",
                                        "<|tool_call_end|>",
                                        "<|tool_call_argument_begin|>",
                                        "<|tool_call_start|>",
                                        "<minimax:tool_call>",
                                        "</minimax:tool_call>",
                                        "</invoke>",
                                        "[TOOL_CALLS]",
                                        "[ARGS]",
                                        "<|python_tag|>",
                                        "<|channel|>",
                                        "<|message|>",
                                        "<|start|>",
                                        "<|end|>",
                                        "<|constrain|>",
                                        "<|START_ACTION|>",
                                        "<|END_ACTION|>",
                                        "<|\"|>",
                                        "<|tool_call|>",
                                        "<tool_call|>",
                                        "<calls>",
                                        "</calls>",
                                        "[CALLS]",
                                        "[CALL]",
                                        "[ID]",
                                        "<|calls|>"},
                             *const words[] = {"{\"",       "\": ",  "\", \"",    "\"}",         "}}",      "name",
                                               "arguments", "city",  "days",      "get_weather", "look_up", "true",
                                               ": \"",      "query", "assistant", "final"};
    vocabulary v = with_specials();
    add_bytes(&v);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) add(&v, words[i], -(float)i, NORMAL);
    add(&v, "<|return|>", 0, CONTROL); /* if these two exist, <|end|> does not end a text */
    add(&v, "<|call|>", 0, CONTROL);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) add(&v, marks[i], 0, i % 2 ? CONTROL : USER_DEFINED);
    return load_without_prefix(&v);
}

typedef struct world {
    loaded vocabulary;
    cllm_token_index *index;
    cllm_grammar *arguments[2];
    uint64_t random;
    size_t n_texts, n_calls, n_cut;
} world;

static void begin(world *w) {
    static const char *const schemas[] = {WEATHER, LOOK_UP};
    cllm_error err;
    *w = (world){.vocabulary = vocabulary_of_marks(), .random = test_seed()};
    assert_ok(cllm_token_index_create(w->vocabulary.tokenizer, &w->index, &err), &err);
    for (int i = 0; i < 2; i++)
        assert_ok(cllm_grammar_create(w->index, CLLM_GRAMMAR_JSON_SCHEMA, text_of(schemas[i]), &w->arguments[i], &err),
                  &err);
}

static void end(world *w) {
    for (int i = 0; i < 2; i++) cllm_grammar_destroy(w->arguments[i]);
    cllm_token_index_destroy(w->index);
    unload(&w->vocabulary);
}

static bool accepts(cllm_grammar *grammar, cllm_string text) {
    cllm_matcher *matcher;
    cllm_error err;
    size_t n_taken;
    assert_ok(cllm_matcher_create(grammar, &matcher, &err), &err);
    assert_ok(cllm_matcher_take_bytes(matcher, text.data, text.length, &n_taken, &err), &err);
    const bool accepted = n_taken == text.length && cllm_matcher_can_end(matcher);
    cllm_matcher_destroy(matcher);
    return accepted;
}

enum { MOST_TOKENS = 3000, MOST_BYTES = 65536 };

/* Draws a random text of a grammar; words and marks are likelier than bytes. Where the text may end, it soon does.
 * Returns its length, or SIZE_MAX if it was cut. */
static size_t draw_text(world *w, cllm_grammar *grammar, char *text) {
    const cllm_tokenizer *tokenizer = w->vocabulary.tokenizer;
    const uint32_t n_vocab = cllm_tokenizer_n_vocab(tokenizer);
    uint32_t mask[CLLM_MASK_WORDS(MAX_TOKENS)];
    cllm_matcher *matcher;
    cllm_error err;
    size_t length = 0;
    bool ended = false;
    assert_ok(cllm_matcher_create(grammar, &matcher, &err), &err);
    for (int step = 0; step < MOST_TOKENS && !ended; step++) {
        int32_t token = -1;
        uint64_t total = 0;
        ended = cllm_matcher_can_end(matcher) && random_u64(&w->random) % 3 == 0;
        if (ended) break;
        assert_ok(cllm_matcher_fill_mask(matcher, mask, &err), &err);
        for (uint32_t t = 0; t < n_vocab; t++) {
            if (!(mask[t / 32] >> t % 32 & 1) || cllm_tokenizer_is_eog(tokenizer, (int32_t)t)) continue;
            const cllm_string spelled = cllm_tokenizer_decode(tokenizer, (int32_t)t, (int32_t)t);
            const uint64_t weight = spelled.length > 3                                       ? 60
                                    : spelled.length == 1 && strchr("\"<}])", *spelled.data) ? 20
                                                                                             : 2;
            total += weight;
            if (random_u64(&w->random) % total < weight) token = (int32_t)t;
        }
        if (token < 0) {
            if (!cllm_matcher_can_end(matcher)) fail_msg("nothing can follow '%.*s'", (int)length, text);
            ended = true;
            break;
        }
        const cllm_string spelled = cllm_tokenizer_decode(tokenizer, token, token);
        assert_ok(cllm_matcher_take(matcher, token, &err), &err);
        assert_true(length + spelled.length < MOST_BYTES);
        memcpy(text + length, spelled.data, spelled.length);
        length += spelled.length;
    }
    cllm_matcher_destroy(matcher);
    text[length] = '\0';
    return ended ? length : SIZE_MAX;
}

/* What was read from an answer: its calls, by name and arguments. */
typedef struct answer_read {
    char names[64][64], arguments[64][1 << 17];
    size_t n_calls, n_content;
} answer_read;

static void read_answer(const cllm_chat *chat, cllm_string text, answer_read *read) {
    cllm_answer *answer;
    const cllm_delta *deltas;
    size_t n;
    cllm_error err;
    read->n_calls = read->n_content = 0;
    assert_ok(cllm_answer_create(chat, NULL, 0, text_of(TOOLS), &answer, &err), &err);
    assert_ok(cllm_answer_take(answer, text, true, &deltas, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        if (deltas[i].kind == CLLM_DELTA_CONTENT) read->n_content += deltas[i].text.length;
        if (deltas[i].call >= 64) continue;
        if (deltas[i].kind == CLLM_DELTA_CALL) {
            snprintf(read->names[read->n_calls], 64, "%.*s", (int)deltas[i].text.length, deltas[i].text.data);
            read->arguments[read->n_calls++][0] = '\0';
        } else if (deltas[i].kind == CLLM_DELTA_ARGUMENTS) {
            char *to = read->arguments[deltas[i].call];
            if (strlen(to) + deltas[i].text.length < sizeof read->arguments[0])
                strncat(to, deltas[i].text.data, deltas[i].text.length);
        }
    }
    cllm_answer_destroy(answer);
}

/* Which calls an answer may make: only the function `name` (empty: any), at least one call (must), at most one
 * (one). */
static const struct wish {
    const char *name;
    bool must, one;
} wishes[] = {{"", true, false},           {"", true, true},   {"look_up", false, false},
              {"get_weather", true, true}, {"", false, false}, {"", false, true}};

static bool fulfils(world *w, const struct wish *wish, const answer_read *read, bool in_messages) {
    const bool must = wish->must || *wish->name;
    if ((must && read->n_calls == 0) || (wish->one && read->n_calls > 1)) return false;
    if (must && read->n_content > 0 && !in_messages) return false; /* only a message before a call may say something */
    for (size_t i = 0; i < read->n_calls; i++) {
        const bool is_weather = strcmp(read->names[i], "get_weather") == 0;
        if (*wish->name && strcmp(read->names[i], wish->name) != 0) return false;
        if (!accepts(w->arguments[!is_weather], text_of(read->arguments[i]))) return false;
    }
    return true;
}

/* Draws random answers of a chat, for each way of calling. Returns how many of them were wrong. */
static size_t check_chat(world *w, const cllm_chat *chat, const char *name, int rounds) {
    static answer_read read;
    static char text[MOST_BYTES];
    size_t n_wrong = 0;
    for (size_t k = 0; k < sizeof wishes / sizeof *wishes; k++) {
        const cllm_call_options options = {text_of(TOOLS), text_of(wishes[k].name), wishes[k].must, wishes[k].one};
        char *structure;
        cllm_preamble preamble;
        cllm_grammar *grammar;
        cllm_error err;
        assert_ok(cllm_chat_call_structure(chat, &options, NULL, 0, &structure, &preamble, &err), &err);
        if (cllm_grammar_create(w->index, CLLM_GRAMMAR_STRUCTURE, text_of(structure), &grammar, &err) != CLLM_OK)
            fail_msg("%s: %s: %s", name, err.message, structure);
        for (int round = 0; round < rounds; round++) {
            const size_t length = draw_text(w, grammar, text);
            w->n_texts++;
            w->n_cut += length == SIZE_MAX;
            if (length == SIZE_MAX) continue;
            size_t before = 0; /* if the prompt opened a reasoning, the reasoning must end first */
            if (preamble.is_open) {
                before = preamble.closes.length;
                memmove(text + before, text, length + 1);
                memcpy(text, preamble.closes.data, before);
            }
            read_answer(chat, (cllm_string){text, before + length}, &read);
            w->n_calls += read.n_calls;
            if (fulfils(w, &wishes[k], &read, strncmp(text, "<|channel|>", 11) == 0)) continue;
            if (n_wrong++ < 2) {
                print_message("# %s, way %zu: [%s] %zu bytes of content\n", name, k, text, read.n_content);
                for (size_t i = 0; i < read.n_calls; i++)
                    print_message("#   %s %s\n", read.names[i], read.arguments[i]);
            }
        }
        cllm_grammar_destroy(grammar);
        cllm_free(structure);
    }
    return n_wrong;
}

static cllm_chat *make_chat(cllm_string source) {
    const cllm_chat_options options = {.source = source};
    cllm_chat *chat;
    cllm_error err;
    assert_ok(cllm_chat_create(&options, &chat, &err), &err);
    return chat;
}

static void end_check(world *w, size_t n_wrong) {
    print_message("# %zu texts, %zu calls; %zu were cut\n", w->n_texts, w->n_calls, w->n_cut);
    assert_int_equal(n_wrong, 0);
    assert_true(w->n_calls > w->n_texts / 2 && w->n_cut < w->n_texts / 10);
    end(w);
}

static void what_is_written_is_read_in_every_form(void **state) {
    (void)state;
    world w;
    arena a = {0};
    size_t length, n_wrong = 0;
    char *cases = (char *)read_file("tests/answer_cases.jsonl", &length);
    begin(&w);
    for (char *line = cases, *stop; line < cases + length; line = stop + 1) {
        json_value c;
        cllm_error err;
        stop = memchr(line, '\n', (size_t)(cases + length - line));
        assert_non_null(stop);
        assert_ok(json_read(line, (size_t)(stop - line), &a, &c, &err), &err);
        const json_value *template = json_find(&c, "template"), *name = json_find(&c, "name");
        if (!template) continue;
        char what[64];
        cllm_chat *chat = make_chat(template->string);
        snprintf(what, sizeof what, "%.*s", (int)name->string.length, name->string.data);
        n_wrong += check_chat(&w, chat, what, test_sanitized() ? 5 : 30);
        cllm_chat_destroy(chat);
    }
    arena_free(&a);
    free(cases);
    end_check(&w, n_wrong);
}

static void published_templates_write_what_is_read(void **state) {
    (void)state;
    const char *path = shared_file("templates");
    DIR *folder = path ? opendir(path) : NULL;
    world w;
    size_t n_wrong = 0;
    if (!folder) skip();
    begin(&w);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[512];
        const char *ending = strrchr(entry->d_name, '.');
        if (!ending || strcmp(ending, ".jinja") != 0) continue;
        snprintf(name, sizeof name, "templates/%s", entry->d_name);
        size_t length;
        char *source = (char *)read_file(shared_file(name), &length);
        cllm_chat *chat = make_chat((cllm_string){source, length});
        n_wrong += check_chat(&w, chat, entry->d_name, test_sanitized() ? 5 : 30);
        cllm_chat_destroy(chat);
        free(source);
    }
    closedir(folder);
    end_check(&w, n_wrong);
}

/* ----------------------------------------------------------------------------------------------------------- errors */

static void what_cannot_be_kept_is_refused(void **state) {
    (void)state;
    static const char json_calls[] = "<tool_call>{}</tool_call>",
                      key_calls[] =
                          "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for c in m.tool_calls or [] "
                          "%}<call>{{ c.function.name }}{% for k, v in c.function.arguments|items %}<k>{{ k "
                          "}}</k><v>{{ v }}</v>{% endfor %}</call>{% endfor %}{% endfor %}";
    static const struct {
        const char *source, *tools, *name;
        cllm_status status;
        const char *message;
    } cases[] = {
        {json_calls, "[]", "", CLLM_ERR_ARGUMENT, "no tool to be called"},
        {json_calls, "{}", "", CLLM_ERR_FORMAT, "tools must be an array"},
        {json_calls, "[", "", CLLM_ERR_FORMAT, "column"},
        {json_calls, TOOLS, "f", CLLM_ERR_ARGUMENT, "there is no tool 'f'"},
        {json_calls, "[" FUNCTION("a b", LOOK_UP, "false") "]", "", CLLM_ERR_ARGUMENT, "'a b' cannot be called"},
        {json_calls, "[" FUNCTION("f", "{\"format\": \"regex\"}", "false") "]", "", CLLM_OK, ""},
        {json_calls,
         "[" FUNCTION("f", "{\"type\": \"object\", \"properties\": {\"a\": {\"format\": \"regex\"}}}", "true") "]", "",
         CLLM_ERR_UNSUPPORTED, "the tool f: schema, #/properties/a/format"},
        {key_calls,
         "[" FUNCTION("f", "{\"properties\": {\"a\": {\"type\": \"string\", \"pattern\": \"b\"}}}", "true") "]", "",
         CLLM_ERR_UNSUPPORTED, "the tool f is strict"},
        {key_calls, "[" FUNCTION("f", "{\"anyOf\": [{}]}", "true") "]", "", CLLM_ERR_UNSUPPORTED,
         "the tool f is strict"},
        {key_calls, "[" FUNCTION("f", "{\"anyOf\": [{}]}", "false") "]", "", CLLM_OK, ""},
    };
    world w;
    begin(&w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const cllm_call_options options = {text_of(cases[i].tools), text_of(cases[i].name), true, false};
        cllm_chat *chat = make_chat(text_of(cases[i].source));
        char *structure;
        cllm_preamble preamble;
        cllm_grammar *grammar = NULL;
        cllm_error err = {.message = ""};
        cllm_status status = cllm_chat_call_structure(chat, &options, NULL, 0, &structure, &preamble, &err);
        if (status == CLLM_OK)
            status = cllm_grammar_create(w.index, CLLM_GRAMMAR_STRUCTURE, text_of(structure), &grammar, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].message))
            fail_msg("case %zu: %d, %s", i, (int)status, err.message);
        cllm_grammar_destroy(grammar);
        cllm_free(structure);
        cllm_chat_destroy(chat);
    }
    end(&w);
}

/* Each argument's schema gets the definitions of the whole, so this one would need 600 MB. */
static void schemas_are_not_repeated_without_end(void **state) {
    (void)state;
    static const char *const sources[] = {
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for c in m.tool_calls or [] %}<call>{{ "
        "c.function.name }}{% for k, v in c.function.arguments|items %}<k>{{ k }}</k><v>{{ v }}</v>{% endfor %}"
        "</call>{% endfor %}{% endfor %}",
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for c in m.tool_calls or [] %}<call>[{{ "
        "c.function.name }}({% for k, v in c.function.arguments|items %}{{ k }}={{ v|tojson }},{% endfor %})]"
        "{% endfor %}{% endfor %}"};
    enum { N_KEYS = 6000, KEY_BYTES = 32, DEFINITION_BYTES = 100000 };
    char *tools = malloc(N_KEYS * KEY_BYTES + DEFINITION_BYTES + 400), *at = tools;
    assert_non_null(tools);
    at += sprintf(at, "[{\"name\": \"f\", \"parameters\": {\"type\": \"object\", \"$defs\": {\"a\": {\"title\": \"");
    memset(at, 'x', DEFINITION_BYTES);
    at += DEFINITION_BYTES;
    at += sprintf(at, "\"}}, \"properties\": {");
    for (int i = 0; i < N_KEYS; i++) at += sprintf(at, "%s\"k%d\": {\"type\": \"null\"}", i ? ", " : "", i);
    strcpy(at, "}}}]");
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const cllm_call_options options = {.tools = text_of(tools)};
        cllm_chat *chat = make_chat(text_of(sources[i]));
        char *structure;
        cllm_preamble preamble;
        cllm_error err = {.message = ""};
        assert_error(cllm_chat_call_structure(chat, &options, NULL, 0, &structure, &preamble, &err), &err,
                     CLLM_ERR_UNSUPPORTED, "too large");
        cllm_chat_destroy(chat);
    }
    free(tools);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_in_every_form),
        cmocka_unit_test(published_templates_write_what_is_read),
        cmocka_unit_test(what_cannot_be_kept_is_refused),
        cmocka_unit_test(schemas_are_not_repeated_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
