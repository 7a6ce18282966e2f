/* Tests what happens when memory runs out: each allocation in turn fails, while JSON is read, grammars are compiled and
 * texts are matched, and chats rendered and read. Each time the result is the usual one, or the error MEMORY. */
#include "support/allocations.h"
#include "support/check.h"
#include "support/vocabulary.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cllm_string text_of(const char *words) { return (cllm_string){words, strlen(words)}; }

/* --------------------------------------------------------------------------------------------- refusing allocations */

static size_t n_asked, first_refused = SIZE_MAX, last_refused; /* allocations are counted from 1 */

/* From now on, let the allocations from `first` to `last` fail. */
static void refuse(size_t first, size_t last) {
    n_asked = 0;
    first_refused = first;
    last_refused = last;
}

/* Let no allocation fail any more. Returns true if one has failed. */
static bool stop_refusing(void) {
    const bool failed = n_asked >= first_refused;
    first_refused = SIZE_MAX;
    return failed;
}

#ifdef REFUSES_ALLOCATIONS
enum { CAN_REFUSE = 1 };

static bool is_refused(void) {
    n_asked++;
    return n_asked >= first_refused && n_asked <= last_refused;
}

void *__wrap_malloc(size_t n) { return is_refused() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t count, size_t n) { return is_refused() ? NULL : __real_calloc(count, n); }
void *__wrap_realloc(void *old, size_t n) { return is_refused() ? NULL : __real_realloc(old, n); }
#else
enum { CAN_REFUSE = 0 };
#endif

/* ------------------------------------------------------------------------------------------------------------- JSON */

static void put(void *user, const char *bytes, size_t length) {
    char **to = user;
    memcpy(*to, bytes, length);
    *to += length;
}

static void json_is_read_or_there_is_no_memory(void **state) {
    (void)state;
    if (!CAN_REFUSE) skip();
    char text[2000];
    snprintf(text, sizeof text,
             "[1.5%0*d, {\"a\": -2e3, \"b\": [true, null], \"a\": \"\\u00e4\"}, 12345678901234567890]",
             2 * JSON_FEW_BYTES, 0);
    static const char read[] = "[1.5, {\"a\": \"\xC3\xA4\", \"b\": [true, null]}, 12345678901234567890]";
    bool failed = true;
    size_t n = 1;
    for (; failed; n++) {
        arena a = {0};
        json_value v;
        cllm_error err = {.status = CLLM_OK};
        refuse(n, n);
        const cllm_status status = json_read(text, strlen(text), &a, &v, &err);
        failed = stop_refusing();
        if (failed) {
            assert_error(status, &err, CLLM_ERR_MEMORY, "no memory");
        } else {
            char written[200], *at = written;
            assert_ok(status, &err);
            json_write(&(json_writer){.put = put, .user = &at}, &v);
            *at = '\0';
            assert_string_equal(written, read);
        }
        arena_free(&a);
    }
    assert_true(n > 5);
}

/* --------------------------------------------------------------------------------------------------------- grammars */

enum { MOST_TEXTS = 4 };

/* What a grammar says: which texts it accepts, and a hash of the masks on the way. */
typedef struct said {
    bool accepted[MOST_TEXTS];
    uint64_t masks;
} said;

static cllm_status ask_about(cllm_grammar *grammar, const char *text, bool *accepted, uint64_t *masks,
                             cllm_error *err) {
    uint32_t mask[CLLM_MASK_WORDS(MAX_TOKENS)] = {0};
    cllm_matcher *matcher;
    size_t n_taken = 1;
    cllm_status status = cllm_matcher_create(grammar, &matcher, err);
    for (const char *at = text; status == CLLM_OK && *at && n_taken == 1; at++) {
        status = cllm_matcher_fill_mask(matcher, mask, err);
        for (size_t i = 0; i < CLLM_MASK_WORDS(MAX_TOKENS); i++) *masks = (*masks ^ mask[i]) * 0x100000001B3u;
        if (status == CLLM_OK) status = cllm_matcher_take_bytes(matcher, at, 1, &n_taken, err);
    }
    *accepted = status == CLLM_OK && n_taken == 1 && cllm_matcher_can_end(matcher);
    cllm_matcher_destroy(matcher);
    return status;
}

static cllm_status ask(const cllm_token_index *index, cllm_grammar_kind kind, const char *text,
                       const char *const *texts, said *out, cllm_error *err) {
    cllm_grammar *grammar;
    *out = (said){.masks = 1};
    cllm_status status = cllm_grammar_create(index, kind, text_of(text), &grammar, err);
    for (size_t i = 0; i < MOST_TEXTS && status == CLLM_OK && texts[i]; i++)
        status = ask_about(grammar, texts[i], &out->accepted[i], &out->masks, err);
    cllm_grammar_destroy(grammar);
    return status;
}

static void grammars_are_the_same_or_there_is_no_memory(void **state) {
    (void)state;
    if (!CAN_REFUSE) skip();
    static const struct {
        cllm_grammar_kind kind;
        const char *text, *texts[MOST_TEXTS]; /* the first half of `texts` is accepted */
    } cases[] = {
        {CLLM_GRAMMAR_GBNF,
         "root ::= item (\",\" item){0,3} | \"(\" root \")\"\nitem ::= [0-9]{1,3} | \"\\\"\" [^\"\\x00-\\x1F]* "
         "\"\\\"\"",
         {"((12,\"a\xC3\xA4\"))", "1,2,3,4", "1,2,3,4,5", "((1)"}},
        {CLLM_GRAMMAR_REGEX, "(a|[^b-x]{2}|\\d+){2,5}\xC3\xA4?", {"aa12\xC3\xA4", "za1", "a", "xa"}},
        {CLLM_GRAMMAR_CHOICE, "red\ngreen\nr\xC3\xA4", {"red", "r\xC3\xA4", "r", "gre"}},
        {CLLM_GRAMMAR_JSON_SCHEMA, "true", {"{\"a\": [1, 2.5e3]}", "\"\\u00e4\"", "{", "[1,]"}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"minLength\": 2, \"maxLength\": 3}, "
         "\"b\": {\"enum\": [1, 2.5, 20, \"x\", null]}}, \"required\": [\"b\"], \"additionalProperties\": false}",
         {"{\"b\": 2.5, \"a\": \"xyz\"}", "{\"b\":\"x\"}", "{\"a\": \"xy\"}", "{\"b\": 2}"}},
        {CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER,
         "{\"type\": \"object\", \"properties\": {\"a\": {\"$ref\": \"#/$defs/n\"}, \"b\": {\"type\": \"array\", "
         "\"items\": {\"$ref\": \"#\"}}}, \"$defs\": {\"n\": {\"type\": \"integer\", \"minimum\": -5, \"maximum\": "
         "170}}}",
         {"{\"a\": 169, \"b\": [{\"b\": []}]}", "{}", "{\"b\": [],\"a\": 1}", "{\"a\": 171}"}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"string\", \"pattern\": \"a.c|^x\", \"not\": {\"pattern\": \"y$\"}, \"maxLength\": 9}",
         {"\"zabc\"", "\"x\"", "\"ac\"", "\"xy\""}},
        {CLLM_GRAMMAR_JSON_SCHEMA, /* its characters are counted */
         "{\"type\": \"string\", \"format\": \"email\", \"maxLength\": 60}",
         {"\"a@b\"", "\"0123456789@a.b\"", "\"a@\"", "\"a\""}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"object\", \"patternProperties\": {\"^x\": {\"type\": \"integer\"}, \"y$\": {\"minimum\": 5}}, "
         "\"properties\": {\"z\": {}}, \"additionalProperties\": {\"type\": \"null\"}, \"maxProperties\": 3}",
         {"{\"xy\": 7, \"b\": null}", "{\"x\": 1, \"z\": 2}", "{\"xy\": 4}", "{\"b\": 1}"}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"object\", \"propertyNames\": {\"pattern\": \"^[a-z]{2}$\"}, \"dependentRequired\": {\"ab\": "
         "[\"cd\"]}}",
         {"{\"ab\": 1, \"cd\": 2}", "{\"xy\": 1}", "{\"ab\": 1}", "{\"xyz\": 1}"}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"number\", \"multipleOf\": 0.25, \"exclusiveMinimum\": 1.5, \"not\": {\"const\": 3}}",
         {"1.75", "12", "1.5", "3"}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"oneOf\": [{\"type\": \"integer\"}, {\"minimum\": 2, \"type\": \"number\"}, {\"const\": {\"a\": [1]}}]}",
         {"1", "{\"a\": [1]}", "3", "1.5"}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"array\", \"items\": {\"enum\": [\"a\", 1, 1.0, \"b\"]}, \"uniqueItems\": true, \"minItems\": 2}",
         {"[\"a\", 1]", "[\"b\",\"a\",1]", "[1, 1.0]", "[1]"}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"type\": \"array\", \"contains\": {\"const\": 7}, \"maxItems\": 3, \"if\": {\"minItems\": 2}, \"then\": "
         "{\"items\": {\"type\": \"integer\"}}}",
         {"[7]", "[1, 7]", "[1]", "[7, null]"}},
        {CLLM_GRAMMAR_JSON_SCHEMA,
         "{\"$id\": \"http://x/root\", \"properties\": {\"a\": {\"$ref\": \"sub#here\"}}, \"type\": \"object\", "
         "\"$defs\": {\"s\": {\"$id\": \"sub\", \"$defs\": {\"t\": {\"$anchor\": \"here\", \"anyOf\": [{\"type\": "
         "\"null\"}, {\"const\": true}]}}}}}",
         {"{\"a\": null}", "{\"b\": 1}", "{\"a\": 1}", "{"}},
        {CLLM_GRAMMAR_STRUCTURE,
         "[{\"without\": [\"<call>\", \"ab\"]}, \"<call>\", {\"any\": [{\"schema\": {\"type\": \"integer\"}, "
         "\"else\": {\"regex\": \"x+\"}}, {\"schema\": {\"format\": \"regex\"}, \"else\": {\"regex\": \"y+\"}}]}, "
         "{\"repeat\": \"!\", \"least\": 1, \"most\": 3}]",
         {"a <call>12!", "<call>yy!!!", "<call>x!", "ab<call>1!"}},
    };
    vocabulary v = with_specials();
    add_bytes(&v);
    static const char *const words[] = {"ab", "abc", "\": ", "{\"", "12", "\xC3\xA4", "null", "\", \""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) add(&v, words[i], -(float)i, NORMAL);
    add(&v, "<call>", 0, CONTROL);
    loaded l = load_without_prefix(&v);
    cllm_token_index *index;
    cllm_error err;
    size_t n_failed = 0;
    for (bool failed = true; failed;) {
        refuse(n_failed + 1, n_failed + 1);
        const cllm_status status = cllm_token_index_create(l.tokenizer, &index, &err);
        failed = stop_refusing();
        n_failed += failed;
        if (failed)
            assert_error(status, &err, CLLM_ERR_MEMORY, "no memory for an index");
        else
            assert_ok(status, &err);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        said usual, now;
        if (ask(index, cases[i].kind, cases[i].text, cases[i].texts, &usual, &err) != CLLM_OK)
            fail_msg("%s: %s", cases[i].text, err.message);
        for (size_t k = 0; k < MOST_TEXTS; k++)
            if (usual.accepted[k] != (k < MOST_TEXTS / 2)) fail_msg("%s: %s", cases[i].text, cases[i].texts[k]);
        for (int all = 0; all < 2; all++) {
            bool failed = true;
            for (size_t n = 1; failed; n++) {
                err = (cllm_error){.status = CLLM_OK};
                refuse(n, all ? SIZE_MAX : n);
                const cllm_status status = ask(index, cases[i].kind, cases[i].text, cases[i].texts, &now, &err);
                failed = stop_refusing();
                n_failed += failed;
                if (status == CLLM_OK
                        ? memcmp(now.accepted, usual.accepted, sizeof now.accepted) != 0 || now.masks != usual.masks
                        : !failed || status != CLLM_ERR_MEMORY || err.status != CLLM_ERR_MEMORY ||
                              !strstr(err.message, "no memory"))
                    fail_msg("%s: allocation %zu%s fails: %s", cases[i].text, n, all ? " and all after it" : "",
                             status == CLLM_OK ? "another grammar" : err.message);
            }
        }
    }
    printf("# %zu times memory ran out\n", n_failed);
    cllm_token_index_destroy(index);
    unload(&l);
}

/* When there are many states, those that nobody uses are dropped. If there is no memory for that, the call fails, but
 * no matcher loses its place. */
static void matchers_keep_their_places(void **state) {
    (void)state;
    if (!CAN_REFUSE) skip();
    enum { N_STATES = 39990 }; /* a little less than the number at which states are dropped */
    vocabulary v = with_specials();
    add_bytes(&v);
    loaded l = load_without_prefix(&v);
    char *text = malloc(N_STATES);
    memset(text, 'x', N_STATES);
    cllm_token_index *index;
    cllm_error err;
    assert_ok(cllm_token_index_create(l.tokenizer, &index, &err), &err);
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        cllm_grammar *grammar;
        cllm_matcher *matchers[3];
        size_t n_taken;
        assert_ok(cllm_grammar_create(index, CLLM_GRAMMAR_GBNF,
                                      text_of("root ::= (\"a\" [a-z]{0,90000} \"!\"){1,2} | \"(\" root \")\""),
                                      &grammar, &err),
                  &err);
        for (int i = 0; i < 3; i++) {
            assert_ok(cllm_matcher_create(grammar, &matchers[i], &err), &err);
            assert_ok(cllm_matcher_take_bytes(matchers[i], "(a", 2, &n_taken, &err), &err);
        }
        assert_ok(cllm_matcher_take_bytes(matchers[1], text, N_STATES, &n_taken, &err), &err);
        assert_int_equal(n_taken, N_STATES);
        refuse(n, n);
        bool goes_on = true;
        for (int i = 0; i < 30; i++) {
            const cllm_status status = cllm_matcher_take_bytes(matchers[1], "y", 1, &n_taken, &err);
            if (status != CLLM_OK) assert_error(status, &err, CLLM_ERR_MEMORY, "no memory");
            goes_on &= status == CLLM_OK;
        }
        failed = stop_refusing();
        assert_true(goes_on || failed);
        for (int i = 0; i < 3; i++) {
            assert_ok(cllm_matcher_take_bytes(matchers[i], "bc!ax!)", 7, &n_taken, &err), &err);
            assert_true(n_taken == 7 && cllm_matcher_can_end(matchers[i]));
        }
        for (int i = 0; i < 3; i++) cllm_matcher_destroy(matchers[i]);
        cllm_grammar_destroy(grammar);
    }
    free(text);
    cllm_token_index_destroy(index);
    unload(&l);
}

/* ------------------------------------------------------------------------------------------------------------- chats */

/* Make a chat of a template, render a conversation, write the structure of its calls and read an answer. text: [4096],
 * out, what was rendered, and the answer's deltas. */
static cllm_status use_chat(cllm_string source, char *text, cllm_error *err) {
    static const char conversation[] =
        "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"u\"}, "
        "{\"role\": \"assistant\", \"content\": null, "
        "\"tool_calls\": [{\"id\": \"1\", \"function\": {\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}}]}]}";
    static const char tools[] =
        "[{\"name\": \"f\", \"parameters\": {\"properties\": {\"a\": {\"type\": \"integer\"}}}}]";
    const cllm_chat_options options = {.source = source};
    const cllm_string variables = text_of(conversation);
    const cllm_call_options calls = {.tools = text_of(tools)};
    cllm_chat *chat = NULL;
    cllm_part *parts = NULL;
    cllm_answer *answer = NULL;
    char *structure = NULL;
    cllm_preamble preamble;
    const cllm_delta *deltas;
    size_t n_parts = 0, n_deltas = 0;
    cllm_status status = cllm_chat_create(&options, &chat, err);
    if (status == CLLM_OK)
        status = cllm_chat_render(chat, &variables, 1, CLLM_RENDER_NO_REASONING, 0, &parts, &n_parts, err);
    if (status == CLLM_OK) status = cllm_chat_call_structure(chat, &calls, NULL, 0, &structure, &preamble, err);
    if (status == CLLM_OK) status = cllm_answer_create(chat, NULL, 0, calls.tools, &answer, err);
    if (status == CLLM_OK)
        status =
            cllm_answer_take(answer, text_of("Yes. <call>f<k>a</k><v>5</v></call>"), true, &deltas, &n_deltas, err);
    *text = '\0';
    for (size_t i = 0; i < n_parts; i++) strncat(text, parts[i].text.data, parts[i].text.length);
    for (size_t i = 0; i < n_deltas; i++) strncat(text, deltas[i].text.data, deltas[i].text.length);
    if (structure) strcat(text, structure);
    cllm_answer_destroy(answer);
    cllm_free(structure);
    cllm_free(parts);
    cllm_chat_destroy(chat);
    return status;
}

#define EACH_CALL(call)                                                                                             \
    "{% for m in messages %}<|{{ m.role }}|>{{ 'a' 'b' ~ (m.content or '')|upper }}{% for c in m.tool_calls or [] " \
    "%}" call "{% endfor %}{% endfor %}"

static void chats_are_the_same_or_there_is_no_memory(void **state) {
    (void)state;
    static const char *const sources[] = {
        EACH_CALL("<call>{{ c.function.name }}{% for k, v in c.function.arguments|items %}<k>{{ k }}</k><v>{{ v }}</v>"
                  "{% endfor %}</call>"),
        EACH_CALL("<call>{{ {'id': c.id, 'name': c.function.name, 'arguments': c.function.arguments}|tojson }}</call>"),
        EACH_CALL("<call>[{{ c.function.name }}({% for k, v in c.function.arguments|items %}{{ k }}={{ v|tojson }},"
                  "{% endfor %})]"),
        ("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}<|{{ m.role }}|>"
         "{{ m.content }}{{ m.tool_calls|tojson if m.tool_calls }}{% endfor %}")};
    if (!CAN_REFUSE) skip();
    for (size_t i = 0; i < 2 * (sizeof sources / sizeof *sources); i++) {
        const cllm_string source = text_of(sources[i / 2]);
        char usual[4096], text[4096];
        cllm_error err;
        bool failed = true;
        assert_ok(use_chat(source, usual, &err), &err);
        for (size_t n = 1; failed; n++) {
            refuse(n, i % 2 ? SIZE_MAX - 1 : n);
            const cllm_status status = use_chat(source, text, &err);
            failed = stop_refusing();
            if (failed)
                assert_error(status, &err, CLLM_ERR_MEMORY, "no memory");
            else
                assert_string_equal(text, usual);
        }
    }
}

/* Strings side by side are joined in memory that grows with their sum, not with its square. */
static void many_strings_are_joined(void **state) {
    (void)state;
    enum { N_STRINGS = 20000 };
    if (!CAN_REFUSE) skip();
    char *source = malloc(N_STRINGS * 7 + 32), *at = source + sprintf(source, "{{ (");
    assert_non_null(source);
    for (int i = 0; i < N_STRINGS; i++) at += sprintf(at, "'abcd'");
    strcpy(at, ")|length }}");
    cllm_chat *chat;
    cllm_part *parts;
    size_t n_parts;
    cllm_error err;
    const cllm_string none = text_of("{}");
    const cllm_chat_options options = {.source = text_of(source)};
    n_asked = 0;
    assert_ok(cllm_chat_create(&options, &chat, &err), &err);
    assert_true(n_asked < 1000);
    assert_ok(cllm_chat_render(chat, &none, 1, CLLM_RENDER_AS_IS, 0, &parts, &n_parts, &err), &err);
    assert_int_equal(n_parts, 1);
    assert_memory_equal(parts[0].text.data, "80000", 5);
    cllm_free(parts);
    cllm_chat_destroy(chat);
    free(source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_read_or_there_is_no_memory),
        cmocka_unit_test(grammars_are_the_same_or_there_is_no_memory),
        cmocka_unit_test(matchers_keep_their_places),
        cmocka_unit_test(chats_are_the_same_or_there_is_no_memory),
        cmocka_unit_test(many_strings_are_joined),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
