/* Tests grammars: regular expressions against those of the C library, masks against trying every token, random walks
 * that must end in texts of the grammar, and grammars that are refused. */
#include "support/check.h"
#include "support/vocabulary.h"

#include "base/json.h"
#include "sampling/grammar.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cllm_string text_of(const char *words) { return (cllm_string){words, strlen(words)}; }

/* Bytes, some merges of them, and what ends a text. */
static loaded small_vocabulary(void) {
    vocabulary v = with_specials();
    add_bytes(&v);
    static const char *const words[] = {"a",
                                        "b",
                                        "c",
                                        "ab",
                                        "abc",
                                        "\"",
                                        "\":",
                                        "{\"",
                                        "\"}",
                                        "}",
                                        "{",
                                        "[",
                                        "]",
                                        ",",
                                        ", ",
                                        ": ",
                                        "true",
                                        "false",
                                        "null",
                                        "1",
                                        "12",
                                        "123",
                                        ".5",
                                        "e",
                                        "name",
                                        "\xC3\xA4",
                                        "\xE6\x97\xA5",
                                        "\xE6\x97\xA5\xE6\x9C\xAC",
                                        "na",
                                        "me",
                                        "\\",
                                        "\\u",
                                        "x y",
                                        "\",\"",
                                        "]}",
                                        "}}",
                                        "-",
                                        "0",
                                        "20",
                                        "2024",
                                        "()",
                                        "+",
                                        "*",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaa\"",
                                        "abab\",",
                                        "b\\",
                                        "\": \""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) add(&v, words[i], -(float)i, NORMAL);
    add(&v, "<call>", 0, CONTROL);
    add(&v, "</call>", 0, USER_DEFINED);
    return load_without_prefix(&v);
}

typedef struct made {
    loaded vocabulary;
    cllm_token_index *index;
    cllm_grammar *grammar;
} made;

static made make(cllm_grammar_kind kind, const char *text) {
    made m = {.vocabulary = small_vocabulary()};
    cllm_error err;
    assert_ok(cllm_token_index_create(m.vocabulary.tokenizer, &m.index, &err), &err);
    assert_ok(cllm_grammar_create(m.index, kind, text_of(text), &m.grammar, &err), &err);
    return m;
}

static void unmake(made *m) {
    cllm_grammar_destroy(m->grammar);
    cllm_token_index_destroy(m->index);
    unload(&m->vocabulary);
}

static bool accepts(cllm_grammar *grammar, const char *text) {
    cllm_matcher *matcher;
    cllm_error err;
    size_t n_taken;
    assert_ok(cllm_matcher_create(grammar, &matcher, &err), &err);
    assert_ok(cllm_matcher_take_bytes(matcher, text, strlen(text), &n_taken, &err), &err);
    const bool accepted = n_taken == strlen(text) && cllm_matcher_can_end(matcher);
    cllm_matcher_destroy(matcher);
    return accepted;
}

/* ------------------------------------------------------------------------------------------ regular expressions */

/* A random expression, in what both syntaxes have. */
static void write_expression(char *to, size_t size, uint64_t *random, int depth) {
    static const char *const atoms[] = {"a", "b", "c", "[ab]", "[^a]", "[a-c]", "."}, *const counts[] = {
                                                                                          "*",   "+",     "?",
                                                                                          "{2}", "{1,3}", "{0,2}",
                                                                                          "{2,}"};
    char left[512] = "", right[512] = "";
    const uint64_t kind = random_u64(random) % (depth > 0 ? 7 : 2);
    if (kind >= 3) write_expression(left, sizeof left, random, depth - 1);
    if (kind >= 5) write_expression(right, sizeof right, random, depth - 1);
    if (kind < 3)
        snprintf(to, size, "%s", atoms[random_u64(random) % 7]);
    else if (kind < 5)
        snprintf(to, size, "(%s)%s", left, counts[random_u64(random) % 7]);
    else if (kind == 5)
        snprintf(to, size, "%s%s", left, right);
    else
        snprintf(to, size, "(%s|%s)", left, right);
}

static void expressions_match_as_the_c_librarys_do(void **state) {
    (void)state;
    loaded v = small_vocabulary();
    cllm_token_index *index;
    cllm_error err;
    uint64_t random = test_seed();
    size_t n_matched = 0, n_texts = 0;
    assert_ok(cllm_token_index_create(v.tokenizer, &index, &err), &err);
    for (int round = 0; round < 400; round++) {
        char expression[1024], anchored[1100];
        regex_t other;
        cllm_grammar *grammar;
        write_expression(expression, sizeof expression, &random, 4);
        snprintf(anchored, sizeof anchored, "^(%s)$", expression);
        assert_int_equal(regcomp(&other, anchored, REG_EXTENDED | REG_NOSUB), 0);
        assert_ok(cllm_grammar_create(index, CLLM_GRAMMAR_REGEX, text_of(expression), &grammar, &err), &err);
        for (int i = 0; i < 60; i++) {
            char text[10];
            const size_t length = random_u64(&random) % 9;
            for (size_t k = 0; k < length; k++) text[k] = "abc"[random_u64(&random) % 3];
            text[length] = '\0';
            const bool want = regexec(&other, text, 0, NULL, 0) == 0;
            if (accepts(grammar, text) != want)
                fail_msg("%s: '%s' %s", expression, text, want ? "matches" : "does not match");
            n_matched += want;
            n_texts++;
        }
        regfree(&other);
        cllm_grammar_destroy(grammar);
    }
    print_message("# %zu of %zu texts matched\n", n_matched, n_texts);
    assert_true(n_matched > n_texts / 20);
    cllm_token_index_destroy(index);
    unload(&v);
}

static void what_ecmascript_writes_means_what_it_says(void **state) {
    (void)state;
    static const struct {
        const char *expression, *yes, *no;
    } cases[] = {
        {"\\d{4}-(0[1-9]|1[0-2])", "2024-12", "2024-13"},
        {"^abc$", "abc", "abcd"},
        {"(^a|^b)c$|^d$", "bc", "c"},
        {"\\u00e4\\x62\\u{65E5}",
         "\xC3\xA4"
         "b\xE6\x97\xA5",
         "ab"},
        {"\\ud83d\\ude00", "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x81"},
        {"[^\\x00-\\x7f]+", "\xC3\xA4\xE6\x97\xA5", "a"},
        {"\\w+@\\w+\\.com", "bob_1@x.com", "bob 1@x.com"},
        {"\\S\\s\\D", "a b", "a 1"},
        {"[\\d\\-x]*?", "1-x", "y"},
        {"a(?:b|c)(?<n>d)", "acd", "ad"},
        {"a]?}{x{2}", "a]}{xx", "a"}, /* a brace that does not count is an ordinary character */
        {"\\.\\*\\/\\[", ".*/[", "a"},
        {"(a?){3}", "aa", "aaaa"},
        {"((a*)*)*b", "aab", "aa"},
        {".", "\xE2\x82\xAC", "\n"},
        {"", "", "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made m = make(CLLM_GRAMMAR_REGEX, cases[i].expression);
        if (!accepts(m.grammar, cases[i].yes)) fail_msg("%s does not accept '%s'", cases[i].expression, cases[i].yes);
        if (accepts(m.grammar, cases[i].no)) fail_msg("%s accepts '%s'", cases[i].expression, cases[i].no);
        unmake(&m);
    }
}

/* -------------------------------------------------------------------------------------------------------- masks */

/* In this grammar, no escape of a code unit begins with d: half of a surrogate pair would not be JSON. */
static const char json_grammar[] =
    "root ::= value  # a comment\n"
    "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" (\n  string \":\" \" \"? value (\",\" \" \"? string \":\" value)*\n)? \"}\"\n"
    "array ::= \"[\" (value (\",\" value)*)? \"]\"\n"
    "string ::= \"\\\"\" ([^\"\\\\\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" [0-9a-cef] [0-9a-f]{3}))* \"\\\"\"\n"
    "number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,5}) (\".\" [0-9]+)?\n";

/* Checks that the mask allows exactly the tokens that a copy of the matcher takes. */
static size_t check_mask(cllm_matcher *matcher, const made *m, const uint32_t *mask) {
    const cllm_tokenizer *tokenizer = m->vocabulary.tokenizer;
    size_t n_allowed = 0;
    for (int32_t t = 0; t < (int32_t)cllm_tokenizer_n_vocab(tokenizer); t++) {
        cllm_matcher *copy;
        cllm_error err;
        assert_ok(cllm_matcher_fork(matcher, &copy, &err), &err);
        const cllm_status status = cllm_matcher_take(copy, t, &err);
        const bool allowed = mask[t / 32] >> t % 32 & 1;
        cllm_matcher_destroy(copy);
        if (allowed != (status == CLLM_OK))
            fail_msg("token %d is %s, and %s", t, allowed ? "allowed" : "not allowed", err.message);
        n_allowed += allowed;
    }
    return n_allowed;
}

/* True if the text is one value of JSON. */
static bool is_json(const char *text) {
    arena a = {0};
    json_value value;
    const bool read = json_read(text, strlen(text), &a, &value, NULL) == CLLM_OK;
    arena_free(&a);
    return read;
}

static bool is_date(const char *text) {
    unsigned year, month;
    char rest;
    return strlen(text) == 7 && sscanf(text, "%4u-%2u%c", &year, &month, &rest) == 2 && month >= 1 && month <= 12;
}

static bool is_balanced(const char *text) {
    int open = 0;
    for (; *text; text++) {
        open += *text == '(' ? 1 : *text == ')' ? -1 : 0;
        if (open < 0 || !strchr("()", *text)) return false;
    }
    return open == 0;
}

/* Words without <call>, and then one or two of <call>{"a": number}</call>. */
#define CALLS_STRUCTURE                                                                                               \
    "[{\"without\": [\"<call>\", \"<<\"]}, {\"repeat\": [\"<call>\", {\"any\": [{\"schema\": {\"type\": \"object\", " \
    "\"properties\": {\"a\": {\"enum\": [1, 12]}}, \"additionalProperties\": false}}, {\"regex\": \"[0-9]+\"}]}, "    \
    "\"</call>\"], \"least\": 1, \"most\": 2}]"

static bool is_calls(const char *text) {
    const char *at = strstr(text, "<call>"), *doubled = strstr(text, "<<");
    size_t n = 0;
    if (doubled && at && doubled < at && doubled + 1 != at) return false;
    for (; at && *at; n++) {
        char inside[256] = "";
        const char *end = strstr(at, "</call>");
        if (strncmp(at, "<call>", 6) != 0 || !end || end - at - 6 >= (ptrdiff_t)sizeof inside) return false;
        memcpy(inside, at + 6, (size_t)(end - at - 6));
        if (!is_json(inside) && strspn(inside, "0123456789") != strlen(inside)) return false;
        at = end + 7;
    }
    return n == 1 || n == 2;
}

/* Random walks. Each mask is right, some token can always follow, and where the text may end, it is a text of the
 * grammar. */
static void masks_allow_what_can_follow(void **state) {
    (void)state;
    static const struct {
        cllm_grammar_kind kind;
        const char *text;
        bool (*holds)(const char *text);
    } cases[] = {
        {CLLM_GRAMMAR_GBNF, json_grammar, is_json},
        {CLLM_GRAMMAR_REGEX, "\\d{4}-(0[1-9]|1[0-2])", is_date},
        {CLLM_GRAMMAR_GBNF, "root ::= (\"(\" root \")\")*", is_balanced},
        {CLLM_GRAMMAR_JSON_SCHEMA, "{}", is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 5}, \"na\": "
         "{\"type\": \"string\", \"minLength\": 2}}, \"required\": [\"name\"], \"maxProperties\": 3}",
         is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA, "{\"type\": \"string\", \"minLength\": 3, \"maxLength\": 40}", is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA, "{\"format\": \"email\", \"minLength\": 5, \"maxLength\": 30, \"type\": \"string\"}",
         is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA, "{\"type\": \"string\", \"pattern\": \"^[a-c]+(x y)?$\"}", is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA, "{\"anyOf\": [{\"type\": \"string\", \"maxLength\": 2}, {\"pattern\": \"a\"}]}",
         is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"object\", \"properties\": {\"abc\": {\"enum\": [\"a\", \"ab\", \"abc\", 12, 1.5, null]}}, "
         "\"additionalProperties\": {\"type\": \"string\", \"maxLength\": 3}, \"minProperties\": 1}",
         is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"array\", \"items\": {\"enum\": [\"a\", \"ab\", true, 12, 20]}, \"uniqueItems\": true, "
         "\"minItems\": "
         "3}",
         is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"array\", \"items\": {\"type\": \"integer\", \"minimum\": -12, \"maximum\": 123, \"multipleOf\": "
         "4}, "
         "\"contains\": {\"const\": 12}, \"maxItems\": 3}",
         is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"properties\": {\"a\": {\"$ref\": \"#\"}}, \"type\": [\"object\", \"null\"], \"additionalProperties\": "
         "false, "
         "\"dependentRequired\": {\"a\": [\"a\"]}}",
         is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA_CLOSED,
         "{\"type\": \"object\", \"properties\": {\"a\": {}, \"b\": {\"type\": \"array\", \"prefixItems\": "
         "[{\"enum\": [1, 12]}], \"minItems\": 2, \"maxItems\": 3}}, \"required\": [\"a\", \"b\"]}",
         is_json},
        {CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER,
         "{\"type\": \"array\", \"items\": {\"enum\": [\"a\", true, 12]}, \"uniqueItems\": true, \"minItems\": 2}",
         is_json},
        {CLLM_GRAMMAR_CHOICE, "true\nfalse\n\nnull\n12\n123", is_json},
        {CLLM_GRAMMAR_STRUCTURE, CALLS_STRUCTURE, is_calls},
    };
    uint64_t random = test_seed();
    size_t n_masks = 0, n_ends = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made m = make(cases[i].kind, cases[i].text);
        const uint32_t n_vocab = cllm_tokenizer_n_vocab(m.vocabulary.tokenizer);
        uint32_t *mask = malloc(CLLM_MASK_WORDS(n_vocab) * sizeof *mask);
        for (int round = 0; round < 60; round++) {
            char text[2048] = "";
            size_t length = 0;
            cllm_matcher *matcher;
            cllm_error err;
            assert_ok(cllm_matcher_create(m.grammar, &matcher, &err), &err);
            for (int step = 0; step < 40; step++) {
                assert_ok(cllm_matcher_fill_mask(matcher, mask, &err), &err);
                if (round % 10 == 0) n_masks += check_mask(matcher, &m, mask) > 0;
                if (cllm_matcher_can_end(matcher)) {
                    n_ends++;
                    if (!cases[i].holds(text)) fail_msg("'%s' is no text of grammar %zu", text, i);
                }
                int32_t token = -1; /* one of those that are allowed */
                size_t n_allowed = 0;
                for (uint32_t t = 0; t < n_vocab; t++) {
                    const bool is_end = cllm_tokenizer_is_eog(m.vocabulary.tokenizer, (int32_t)t);
                    const cllm_string spelled = cllm_tokenizer_decode(m.vocabulary.tokenizer, (int32_t)t, (int32_t)t);
                    const bool ends_string = spelled.length == 1 && spelled.data[0] == '\0'; /* holds() would stop */
                    if ((mask[t / 32] >> t % 32 & 1) && !is_end && !ends_string &&
                        random_u64(&random) % ++n_allowed == 0)
                        token = (int32_t)t;
                }
                if (token < 0 && !cllm_matcher_can_end(matcher)) fail_msg("nothing can follow '%s'", text);
                if (token < 0) break;
                assert_ok(cllm_matcher_take(matcher, token, &err), &err);
                const cllm_string spelled = cllm_tokenizer_decode(m.vocabulary.tokenizer, token, token);
                memcpy(text + length, spelled.data, spelled.length);
                length += spelled.length;
                text[length] = '\0';
            }
            cllm_matcher_destroy(matcher);
        }
        free(mask);
        unmake(&m);
    }
    print_message("# %zu masks, %zu texts that may end\n", n_masks, n_ends);
    assert_true(n_ends > 100);
}

/* Tests each part of structures with a text that fits, and one that does not. */
static void structures_allow_their_parts(void **state) {
    (void)state;
    static const struct {
        const char *structure, *yes, *no;
    } cases[] = {
        {"\"abc\"", "abc", "ab"},
        {"[]", "", "a"},
        {"[\"a\", [], {\"any\": [\"b\", \"\"]}, \"c\"]", "ac", "abb"},
        {"{\"repeat\": \"ab\", \"least\": 2, \"most\": 3}", "abab", "ab"},
        {"{\"repeat\": \"ab\", \"most\": 1}", "", "abab"},
        {"{\"repeat\": {\"any\": [\"a\", \"bc\"]}}", "abcaabc", "ac"},
        {"[{\"regex\": \"^[0-9]{2}$\"}, {\"regex\": \"x?\"}]", "12x", "1x"},
        {"{\"without\": []}", "any <text>\n\xC3\xA4", NULL},
        {"{\"without\": [\"abab\", \"bb\"]}", "aba ab\xC3\xA4", "xabababx"},
        {"{\"without\": [\"abab\", \"bb\"]}", "baba", "abb"},
        {"{\"without\": [\"abc\", \"b\"]}", "ac", "ab"},
        {"{\"without\": [\"\xE6\x97\xA5\xE6\x9C\xAC\"]}", "\xE6\x97\xA5 \xE6\x9C\xAC",
         "\xE6\x97\xA5\xE6\x97\xA5\xE6\x9C\xAC"},
        {"[{\"without\": [\"</v>\"]}, \"</v>\"]", "a </v </v>", "a</v></v>"},
        {"{\"schema\": {\"properties\": {\"a\": {\"$ref\": \"#/$defs/n\"}}, \"$defs\": {\"n\": {\"type\": \"null\"}}}}",
         "{\"a\": null}", "{\"a\": 1}"},
        {"{\"schema\": {\"required\": [\"b\", \"a\"], \"properties\": {\"a\": {}, \"b\": {}}}, \"in_order\": true}",
         "{\"a\": 1, \"b\": 2}", "{\"b\": 1, \"a\": 2}"},
        {"[\"f\", {\"schema\": {\"format\": \"regex\"}, \"else\": {\"schema\": {\"type\": \"object\"}}}, \"!\"]",
         "f{\"a\": 1}!", "f1!"},
        {"[\"f\", {\"schema\": {\"type\": 5}, \"name\": \"f\", \"else\": \"x\"}]", "fx", "f5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made m = make(CLLM_GRAMMAR_STRUCTURE, cases[i].structure);
        if (!accepts(m.grammar, cases[i].yes)) fail_msg("%s does not accept '%s'", cases[i].structure, cases[i].yes);
        if (cases[i].no && accepts(m.grammar, cases[i].no))
            fail_msg("%s accepts '%s'", cases[i].structure, cases[i].no);
        unmake(&m);
    }
}

/* In a structure, a special token may stand for a literal. In parts with free text, and in other grammars, it may
 * not. */
static void special_tokens_spell_literals(void **state) {
    (void)state;
    static const struct {
        cllm_grammar_kind kind;
        const char *text, *before;
        bool allowed;
    } cases[] = {
        {CLLM_GRAMMAR_STRUCTURE, "\"a<call>b\"", "a", true},
        {CLLM_GRAMMAR_STRUCTURE, "\"a<call>b\"", "a<", false},
        {CLLM_GRAMMAR_STRUCTURE, "[{\"without\": [\"x\"]}, \"x<call>\"]", "", false},
        {CLLM_GRAMMAR_STRUCTURE, "[{\"without\": [\"x\"]}, \"x<call>\"]", "abx", true},
        {CLLM_GRAMMAR_STRUCTURE, "[{\"without\": [\"<call>\"]}, \"<call>\"]", "ab <c", true},
        {CLLM_GRAMMAR_STRUCTURE, "[\"<\", \"call>\", \"</s>\"]", "", false},
        {CLLM_GRAMMAR_STRUCTURE, "{\"regex\": \"<call>\"}", "", false},
        {CLLM_GRAMMAR_GBNF, "root ::= \"<call>\"", "", false},
        {CLLM_GRAMMAR_CHOICE, "<call>", "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made m = make(cases[i].kind, cases[i].text);
        const int32_t call = (int32_t)cllm_tokenizer_n_vocab(m.vocabulary.tokenizer) - 2;
        uint32_t mask[CLLM_MASK_WORDS(1000)] = {0};
        cllm_matcher *matcher;
        cllm_error err;
        size_t n_taken;
        assert_ok(cllm_matcher_create(m.grammar, &matcher, &err), &err);
        assert_ok(cllm_matcher_take_bytes(matcher, cases[i].before, strlen(cases[i].before), &n_taken, &err), &err);
        assert_int_equal(n_taken, strlen(cases[i].before));
        assert_ok(cllm_matcher_fill_mask(matcher, mask, &err), &err);
        if ((mask[call / 32] >> call % 32 & 1) != cases[i].allowed) fail_msg("case %zu", i);
        check_mask(matcher, &m, mask);
        cllm_matcher_destroy(matcher);
        unmake(&m);
    }
}

/* The text that must come next ends where a special token may come instead of it. */
static void special_tokens_are_a_choice(void **state) {
    (void)state;
    static const struct { const char *before, *only; } cases[] = {{"", "a\n"}, {"a\n", ""}, {"a\n<", "call>bc"}};
    made m = make(CLLM_GRAMMAR_STRUCTURE, "\"a\\n<call>bc\"");
    const int32_t call = (int32_t)cllm_tokenizer_n_vocab(m.vocabulary.tokenizer) - 2;
    cllm_matcher *matcher;
    cllm_error err;
    char text[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n_taken;
        assert_ok(cllm_matcher_create(m.grammar, &matcher, &err), &err);
        assert_ok(cllm_matcher_take_bytes(matcher, cases[i].before, strlen(cases[i].before), &n_taken, &err), &err);
        text[matcher_only_text(matcher, text, sizeof text - 1)] = '\0';
        assert_string_equal(text, cases[i].only);
        if (i == 1) { /* behind the token there is no choice */
            assert_ok(cllm_matcher_take(matcher, call, &err), &err);
            assert_int_equal(matcher_only_text(matcher, text, 1), 1);
            assert_int_equal(text[0], 'b');
        }
        cllm_matcher_destroy(matcher);
    }
    unmake(&m);
}

/* Many states: those that nobody uses are removed, and no matcher notices. */
static void old_states_make_room(void **state) {
    (void)state;
    made m = make(CLLM_GRAMMAR_GBNF, "root ::= (\"(\" root \")\")* | [a-z]{0,90000} \"!\"");
    cllm_matcher *deep, *counting;
    cllm_error err;
    size_t n_taken;
    assert_ok(cllm_matcher_create(m.grammar, &deep, &err), &err);
    assert_ok(cllm_matcher_create(m.grammar, &counting, &err), &err);
    assert_ok(cllm_matcher_take_bytes(deep, "((()((", 6, &n_taken, &err), &err);
    for (int i = 0; i < 90000; i++) assert_ok(cllm_matcher_take_bytes(counting, "x", 1, &n_taken, &err), &err);
    assert_ok(cllm_matcher_take_bytes(counting, "x", 1, &n_taken, &err), &err);
    assert_int_equal(n_taken, 0);
    assert_ok(cllm_matcher_take_bytes(counting, "!", 1, &n_taken, &err), &err);
    assert_true(n_taken == 1 && cllm_matcher_can_end(counting));
    assert_ok(cllm_matcher_take_bytes(deep, "))))", 4, &n_taken, &err), &err);
    assert_true(n_taken == 4 && cllm_matcher_can_end(deep));
    assert_error(cllm_matcher_take(deep, 3, &err), &err, CLLM_ERR_ARGUMENT, "does not allow the token 3");
    cllm_matcher_destroy(counting);
    cllm_matcher_destroy(deep);
    unmake(&m);
}

/* A rule that calls itself at its end needs no stack. */
static void right_recursion_is_a_loop(void **state) {
    (void)state;
    made m = make(CLLM_GRAMMAR_GBNF, "root ::= [a-z] root | word{0} \"!\"\nword ::= root \"x\"");
    cllm_matcher *matcher;
    cllm_error err;
    size_t n_taken;
    assert_ok(cllm_matcher_create(m.grammar, &matcher, &err), &err);
    for (int i = 0; i < 50000; i++) {
        assert_ok(cllm_matcher_take_bytes(matcher, "a", 1, &n_taken, &err), &err);
        assert_int_equal(n_taken, 1);
    }
    assert_ok(cllm_matcher_take_bytes(matcher, "!", 1, &n_taken, &err), &err);
    assert_true(cllm_matcher_can_end(matcher));
    cllm_matcher_destroy(matcher);
    unmake(&m);
}

/* If a place has too many ways to go on, only the matcher at that place gets an error; others continue. */
static void too_many_ways_are_an_error_of_that_place(void **state) {
    (void)state;
    char *text = malloc(1 << 20), *at = text;
    at += sprintf(text, "root ::= \"b\" [a-z]* | \"a\" (");
    for (int i = 0; i < 3000; i++) at += sprintf(at, "%s[a-z]* \"%d\" .{%d}", i > 0 ? " | " : "", i, 1 + i % 7);
    strcpy(at, "){0,9}");
    made m = make(CLLM_GRAMMAR_GBNF, text);
    uint32_t mask[CLLM_MASK_WORDS(1000)];
    cllm_matcher *bad, *good;
    cllm_error err;
    size_t n_taken;
    assert_ok(cllm_matcher_create(m.grammar, &good, &err), &err);
    assert_ok(cllm_matcher_create(m.grammar, &bad, &err), &err);
    assert_ok(cllm_matcher_take_bytes(good, "bx", 2, &n_taken, &err), &err);
    const cllm_status status = cllm_matcher_take_bytes(bad, "axxxxxxxxxxxxxxxx", 17, &n_taken, &err);
    print_message("# %s\n", status == CLLM_OK ? "taken" : err.message);
    assert_true(status == CLLM_OK || status == CLLM_ERR_UNSUPPORTED);
    (void)cllm_matcher_fill_mask(bad, mask, &err);
    assert_ok(cllm_matcher_fill_mask(good, mask, &err), &err);
    assert_ok(cllm_matcher_take_bytes(good, "y", 1, &n_taken, &err), &err);
    assert_true(n_taken == 1 && cllm_matcher_can_end(good));
    cllm_matcher_destroy(good);
    cllm_matcher_destroy(bad);
    unmake(&m);
    free(text);
}

/* ------------------------------------------------------------------------------------------------------- errors */

static void what_is_wrong_is_told_with_its_place(void **state) {
    (void)state;
    enum { N_LETTERS = 2100000 };
    static const struct {
        cllm_grammar_kind kind;
        const char *text;
        cllm_status status;
        const char *message;
    } cases[] = {
        {CLLM_GRAMMAR_GBNF, "", CLLM_ERR_ARGUMENT, "there is no rule named root"},
        {CLLM_GRAMMAR_GBNF, "root ::= a\n\nb ::= \"x\"", CLLM_ERR_ARGUMENT,
         "line 1, column 10: the rule a is not defined"},
        {CLLM_GRAMMAR_GBNF, "root ::= \"a\"\nroot ::= \"b\"", CLLM_ERR_ARGUMENT,
         "line 2, column 1: this rule is defined twice"},
        {CLLM_GRAMMAR_GBNF, "root ::= \"a", CLLM_ERR_FORMAT, "column 10: this \" is not closed"},
        {CLLM_GRAMMAR_GBNF, "root ::= [a-", CLLM_ERR_FORMAT, "column 10: this [ is not closed"},
        {CLLM_GRAMMAR_GBNF, "root ::= (\"a\"", CLLM_ERR_FORMAT, "this ( is not closed"},
        {CLLM_GRAMMAR_GBNF, "root ::= \"a\")", CLLM_ERR_FORMAT, "this ) closes nothing"},
        {CLLM_GRAMMAR_GBNF, "root = \"a\"", CLLM_ERR_FORMAT, "column 6: ::= was expected"},
        {CLLM_GRAMMAR_GBNF, "root ::= \"\\q\"", CLLM_ERR_FORMAT, "an unknown escape"},
        {CLLM_GRAMMAR_GBNF, "root ::= \"a\"{3,2}", CLLM_ERR_FORMAT, "a range out of order"},
        {CLLM_GRAMMAR_GBNF, "root ::= [b-a]", CLLM_ERR_FORMAT, "a range out of order"},
        {CLLM_GRAMMAR_GBNF, "root ::= root \"a\" | \"b\"", CLLM_ERR_ARGUMENT, "the rule root begins with itself"},
        {CLLM_GRAMMAR_GBNF, "root ::= x? y\nx ::= \"x\"\ny ::= x? root \"a\" | \"b\"", CLLM_ERR_ARGUMENT,
         "begins with itself"},
        {CLLM_GRAMMAR_GBNF, "root ::= \"a\" root", CLLM_ERR_ARGUMENT, "allows no text at all"},
        {CLLM_GRAMMAR_GBNF, "root ::= <think>", CLLM_ERR_UNSUPPORTED, "tokens in a grammar"},
        {CLLM_GRAMMAR_GBNF, "root ::= \"a\"{9999999}", CLLM_ERR_UNSUPPORTED, "more than 999,999 times"},
        {CLLM_GRAMMAR_GBNF, "root ::= \xFF", CLLM_ERR_FORMAT, "byte 9 is not UTF-8"},
        {CLLM_GRAMMAR_REGEX, "a(?=b)", CLLM_ERR_UNSUPPORTED, "looking ahead"},
        {CLLM_GRAMMAR_REGEX, "(a)\\1", CLLM_ERR_UNSUPPORTED, "column 4: back references"},
        {CLLM_GRAMMAR_REGEX, "\\bx", CLLM_ERR_UNSUPPORTED, "word boundaries"},
        {CLLM_GRAMMAR_REGEX, "\\p{L}", CLLM_ERR_UNSUPPORTED, "Unicode properties"},
        {CLLM_GRAMMAR_REGEX, "a^b", CLLM_ERR_UNSUPPORTED, "an anchor within the text"},
        {CLLM_GRAMMAR_REGEX, "x(^a|b)", CLLM_ERR_UNSUPPORTED, "an anchor within the text"},
        {CLLM_GRAMMAR_REGEX, "(a$|b)c", CLLM_ERR_UNSUPPORTED, "an anchor within the text"},
        {CLLM_GRAMMAR_REGEX, "(a$)*", CLLM_ERR_UNSUPPORTED, "an anchor within the text"},
        {CLLM_GRAMMAR_REGEX, "a**", CLLM_ERR_FORMAT, "nothing to repeat"},
        {CLLM_GRAMMAR_REGEX, "*a", CLLM_ERR_FORMAT, "nothing to repeat before this"},
        {CLLM_GRAMMAR_REGEX, "(a", CLLM_ERR_FORMAT, "this ( is not closed"},
        {CLLM_GRAMMAR_REGEX, "a)", CLLM_ERR_FORMAT, "closes nothing"},
        {CLLM_GRAMMAR_REGEX, "[a", CLLM_ERR_FORMAT, "this [ is not closed"},
        {CLLM_GRAMMAR_REGEX, "\\ud800", CLLM_ERR_FORMAT, "surrogate"},
        {CLLM_GRAMMAR_REGEX, "a\\", CLLM_ERR_FORMAT, "backslash at the end"},
        {CLLM_GRAMMAR_REGEX, "\\c\xC3\xA9", CLLM_ERR_FORMAT, "an unknown escape"},
        {CLLM_GRAMMAR_REGEX, "\\u{}", CLLM_ERR_FORMAT, "this is not a character"},
        {CLLM_GRAMMAR_REGEX, "[]", CLLM_ERR_ARGUMENT, "allows no text at all"},
        {CLLM_GRAMMAR_STRUCTURE, "[\"a\", 5]", CLLM_ERR_FORMAT, "structure, #/1: a part is a text, a list"},
        {CLLM_GRAMMAR_STRUCTURE, "[", CLLM_ERR_FORMAT, "line 1, column 2"},
        {CLLM_GRAMMAR_STRUCTURE, "[{\"any\": []}]", CLLM_ERR_FORMAT, "#/0: \"any\" needs a list"},
        {CLLM_GRAMMAR_STRUCTURE, "{\"any\": [\"a\", {\"repeat\": {}}]}", CLLM_ERR_FORMAT, "#/any/1/repeat: a part"},
        {CLLM_GRAMMAR_STRUCTURE, "{\"repeat\": \"a\", \"least\": 3, \"most\": 2}", CLLM_ERR_FORMAT, "above \"most\""},
        {CLLM_GRAMMAR_STRUCTURE, "{\"repeat\": \"a\", \"least\": 1.5}", CLLM_ERR_FORMAT, "numbers from 0"},
        {CLLM_GRAMMAR_STRUCTURE, "{\"repeat\": \"a\", \"max\": 2}", CLLM_ERR_FORMAT, "unknown member"},
        {CLLM_GRAMMAR_STRUCTURE, "{\"without\": [\"\"]}", CLLM_ERR_FORMAT, "not empty"},
        {CLLM_GRAMMAR_STRUCTURE, "[{\"regex\": \"(a\"}]", CLLM_ERR_FORMAT, "this ( is not closed"},
        {CLLM_GRAMMAR_STRUCTURE, "[\"a\", {\"schema\": {\"items\": {\"format\": \"regex\"}}}]", CLLM_ERR_UNSUPPORTED,
         "structure, #/1: schema, #/items"},
        {CLLM_GRAMMAR_STRUCTURE, "{\"schema\": {\"type\": 5}, \"name\": \"the tool f\"}", CLLM_ERR_FORMAT,
         "the tool f: schema, #"},
    };
    loaded v = small_vocabulary();
    cllm_token_index *index;
    cllm_grammar *grammar;
    cllm_error err;
    assert_ok(cllm_token_index_create(v.tokenizer, &index, &err), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const cllm_status status = cllm_grammar_create(index, cases[i].kind, text_of(cases[i].text), &grammar, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].message))
            fail_msg("'%s': %d, %s; not %s", cases[i].text, (int)status, status == CLLM_OK ? "" : err.message,
                     cases[i].message);
        assert_null(grammar);
    }
    /* deep nests, large counts and long texts end in a grammar or in an error, and soon */
    char *nest = malloc(200001);
    for (int deep = 150; deep <= 60000; deep = deep == 150 ? 60000 : 60001) {
        memset(nest, '(', (size_t)deep);
        nest[deep] = 'a';
        memset(nest + deep + 1, ')', (size_t)deep);
        const cllm_status status =
            cllm_grammar_create(index, CLLM_GRAMMAR_REGEX, (cllm_string){nest, 2 * (size_t)deep + 1}, &grammar, &err);
        assert_int_equal(status, deep == 150 ? CLLM_OK : CLLM_ERR_UNSUPPORTED);
        cllm_grammar_destroy(grammar);
    }
    free(nest);
    char *large = malloc(N_LETTERS + 100), *at = large + sprintf(large, "root ::= \"");
    memset(at, 'a', N_LETTERS);
    strcpy(at + N_LETTERS, "\" x\nx ::= \"b\"");
    assert_error(cllm_grammar_create(index, CLLM_GRAMMAR_GBNF, text_of(large), &grammar, &err), &err,
                 CLLM_ERR_UNSUPPORTED, "the grammar is too large");
    free(large);
    cllm_token_index_destroy(index);
    unload(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_match_as_the_c_librarys_do),
        cmocka_unit_test(what_ecmascript_writes_means_what_it_says),
        cmocka_unit_test(masks_allow_what_can_follow),
        cmocka_unit_test(structures_allow_their_parts),
        cmocka_unit_test(special_tokens_spell_literals),
        cmocka_unit_test(special_tokens_are_a_choice),
        cmocka_unit_test(old_states_make_room),
        cmocka_unit_test(right_recursion_is_a_loop),
        cmocka_unit_test(too_many_ways_are_an_error_of_that_place),
        cmocka_unit_test(what_is_wrong_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
