/* Tests chat templates: small ones against the output of Jinja (jinja_cases.jsonl), published ones against the
 * output of Hugging Face's transformers, which characters are trusted, and how much a hostile template may spend. */
#include "support/check.h"

#include "chat/jinja.h"
#include "chat/jinja_run.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NOW = 1767323045 }; /* 2026-01-02 03:04:05 */

static const char *const trusted_names[] = {"bos_token", "eos_token"};

/* The result of a rendering; released by arena_free. */
typedef struct rendering {
    arena arena;
    char *text, *marks; /* [length]; of each byte 'T' (trusted) or 'u' */
    size_t length;
    cllm_status status;
    cllm_error err;
} rendering;

static rendering render(const char *source, size_t length, const json_value *variables) {
    rendering r = {.status = CLLM_OK};
    jinja_tree tree;
    cllm_part *parts = NULL;
    size_t n_parts = 0;
    r.status = jinja_parse(source, length, &r.arena, &tree, &r.err);
    if (r.status == CLLM_OK)
        r.status = jinja_render(&tree, variables, trusted_names, 2, NOW, &r.arena, &parts, &n_parts, &r.err);
    for (size_t i = 0; i < n_parts; i++) r.length += parts[i].text.length;
    r.text = arena_alloc(&r.arena, r.length + 1, 1);
    r.marks = arena_alloc(&r.arena, r.length + 1, 1);
    for (size_t i = 0, at = 0; i < n_parts; at += parts[i++].text.length) {
        assert_true(parts[i].text.length > 0 && (i == 0 || parts[i].trusted != parts[i - 1].trusted));
        memcpy(r.text + at, parts[i].text.data, parts[i].text.length);
        memset(r.marks + at, parts[i].trusted ? 'T' : 'u', parts[i].text.length);
    }
    return r;
}

static void put_to_file(void *user, const char *bytes, size_t length) { fwrite(bytes, 1, length, user); }

static json_value read_json(const char *text, size_t length, arena *a) {
    json_value v;
    cllm_error err;
    assert_ok(json_read(text, length, a, &v, &err), &err);
    return v;
}

/* True if the rendering gave what was expected: a string, or an object whose `error` is a part of the message. */
static bool is_as_expected(const rendering *r, const json_value *want) {
    const json_value *error = want->kind == JSON_OBJECT ? json_find(want, "error") : NULL;
    char part[300];
    if (!error)
        return r->status == CLLM_OK && r->length == want->string.length &&
               memcmp(r->text, want->string.data, r->length) == 0;
    snprintf(part, sizeof part, "%.*s", (int)error->string.length, error->string.data);
    return r->status != CLLM_OK && strstr(r->err.message, "line ") && strstr(r->err.message, part);
}

static void small_templates_are_as_jinja_has_them(void **state) {
    (void)state;
    arena a = {0};
    size_t length, n = 0, n_wrong = 0;
    char *all = (char *)read_file("tests/jinja_cases.jsonl", &length);
    json_value variables = {.kind = JSON_NULL};
    for (char *line = all, *end; line < all + length; line = end + 1) {
        end = memchr(line, '\n', (size_t)(all + length - line));
        assert_non_null(end);
        const json_value c = read_json(line, (size_t)(end - line), &a);
        if (json_find(&c, "variables")) { /* the first line */
            variables = *json_find(&c, "variables");
            continue;
        }
        const json_value *template = json_find(&c, "template"), *want = json_find(&c, "text");
        rendering r = render(template->string.data, template->string.length, &variables);
        n++;
        if (!is_as_expected(&r, want ? want : &c)) {
            n_wrong++;
            print_message("%.*s\n# %d %s\n# %s\n", (int)(end - line), line, (int)r.status,
                          r.status ? r.err.message : "", r.text);
        }
        arena_free(&r.arena);
    }
    assert_true(n > 150);
    assert_int_equal(n_wrong, 0);
    free(all);
    arena_free(&a);
}

/* A copy of the object, with the members bos_token and eos_token of `from`. */
static json_value with_tokens(const json_value *object, const json_value *from, arena *a) {
    json_member *members = arena_alloc(a, object->count + 2, sizeof *members);
    memcpy(members, object->members, object->count * sizeof *members);
    for (uint32_t i = 0; i < 2; i++)
        members[object->count + i] =
            (json_member){{trusted_names[i], strlen(trusted_names[i])}, *json_find(from, trusted_names[i])};
    return (json_value){.kind = JSON_OBJECT, .count = object->count + 2, .members = members};
}

static void published_templates_render_to_the_byte(void **state) {
    (void)state;
    const char *path = shared_file("templates/expected.json");
    if (!path) skip();
    arena a = {0};
    size_t length, n = 0;
    char *text = (char *)read_file(path, &length);
    const json_value expected = read_json(text, length, &a);
    const json_value *templates = json_find(&expected, "templates"), *cases = json_find(&expected, "cases");
    for (uint32_t i = 0; i < templates->count; i++) {
        char name[300];
        size_t source_length;
        snprintf(name, sizeof name, "templates/%.*s", (int)templates->members[i].name.length,
                 templates->members[i].name.data);
        char *source = (char *)read_file(shared_file(name), &source_length);
        const json_value *wants = &templates->members[i].value;
        for (uint32_t k = 0; k < wants->count; k++, n++) {
            char case_name[100];
            snprintf(case_name, sizeof case_name, "%.*s", (int)wants->members[k].name.length,
                     wants->members[k].name.data);
            const json_value variables = with_tokens(json_find(cases, case_name), &expected, &a);
            rendering r = render(source, source_length, &variables);
            if (!is_as_expected(&r, &wants->members[k].value))
                fail_msg("%s, %s: %s\n%s", name, case_name, r.status ? r.err.message : "another text", r.text);
            arena_free(&r.arena);
        }
        free(source);
    }
    print_message("# %zu conversations\n", n);
    assert_true(n >= 140);
    free(text);
    arena_free(&a);
}

/* ------------------------------------------------------------------------------------------------------------ trust */

static void check_marks(const char *template, const char *json, const char *text, const char *marks) {
    arena a = {0};
    const json_value variables = read_json(json, strlen(json), &a);
    rendering r = render(template, strlen(template), &variables);
    assert_ok(r.status, &r.err);
    assert_string_equal(r.text, text);
    assert_string_equal(r.marks, marks);
    arena_free(&r.arena);
    arena_free(&a);
}

static void characters_of_values_are_never_trusted(void **state) {
    (void)state;
    const char *json = "{\"c\": \" <s>x \", \"l\": [\"a\", \"b\"], \"d\": {\"k\": \"v\"}, \"bos_token\": \"<s>\"}";
    check_marks("<s>{{ c }}</s>", json, "<s> <s>x </s>", "TTTuuuuuuTTTT");
    check_marks("{{ bos_token }}{{ c|trim }}", json, "<s><s>x", "TTTuuuu");
    check_marks("{{ ('<i>' + c + '</i>')[2:7] }}", json, "> <s>", "Tuuuu");
    check_marks("{{ ('<i>' ~ c)|upper }}", json, "<I> <S>X ", "TTTuuuuuu");
    check_marks("{{ ('[' ~ c ~ ']').strip('[]').split('<') }}", json, "[' ', 's>x ']", "TTuTTTTuuuuTT");
    check_marks("{{ ('a' ~ c).replace('x', 'y') }}", json, "a <s>y ", "TuuuuTu");
    check_marks("{{ 'axb'.replace('x', c|trim) }}", json, "a<s>xb", "TuuuuT");
    check_marks("{{ l|join('<|>') }}", json, "a<|>b", "uTTTu");
    check_marks("{{ d|tojson }}", json, "{\"k\": \"v\"}", "TTuTTTTuTT");
    check_marks("{{ (c ~ 'T')[::-1] }}", json, "T x>s< ", "Tuuuuuu");
    check_marks("{{ c[1:4] ~ '%s|' % c[1] }}{{ '{}'.format(c[2]) }}", json, "<s><|s", "uuuuTu");
    check_marks("{% macro m(x) %}({{ x }}){% endmacro %}{{ m(c|trim) }}", json, "(<s>x)", "TuuuuT");
    check_marks("{% set x %}<{{ l[0] }}>{% endset %}{{ x }}{% filter upper %}<{{ l[1] }}>{% endfilter %}", json,
                "<a><B>", "TuTTuT");
    check_marks("{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}{% for x in c[1:4] %}{{ x }}.{% endfor %}", json,
                "k=v<.s.>.", "uTuuTuTuT");
    check_marks("{{ {'<x>': c[5]}|tojson }}{{ 'ab'|replace('a', l[0]) }}", json, "{\"<x>\": \" \"}ab",
                "TTTTTTTTTuTTuT");
    check_marks("{{ c|e }}", json, " &lt;s&gt;x ", "uTTTTuTTTTuu");
    check_marks("{{ 'x%sy' % l }}", json, "x['a', 'b']y", "TTTuTTTTuTTT");
}

/* --------------------------------------------------------------------------------------------------- special tokens */

/* Lists the special tokens among ids, except those whose text is ordinary text. */
static size_t list_specials(const cllm_tokenizer *t, const int32_t *tokens, size_t count, int32_t *specials) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const vocabulary_token *token = &t->tokens[tokens[i]];
        const bool is_text =
            token->type == TOKEN_USER_DEFINED && strcspn(token->text.data, "<>[]|") >= token->text.length;
        if (token_is_special(token->type) && !is_text) specials[n++] = tokens[i];
    }
    return n;
}

static void check_parts(const cllm_tokenizer *t, const cllm_part *parts, size_t n, const int32_t *want, size_t n_want) {
    int32_t *tokens;
    size_t count;
    cllm_error err;
    assert_ok(cllm_tokenizer_encode_parts(t, parts, n, 0, &tokens, &count, &err), &err);
    assert_int_equal(count, n_want);
    assert_memory_equal(tokens, want, count * sizeof *tokens);
    cllm_free(tokens);
}

/* Parts form one text. Wherever it is cut, they give the ids of the whole text. A special token counts only if all of
 * it is trusted. */
static void parts_are_one_text(void **state) {
    (void)state;
    const char *path = shared_file("vocab/ggml-vocab-qwen2.gguf");
    if (!path) skip();
    static const char text[] = "<|im_start|>user\nHello world, 12 <|im_end|> x";
    const size_t length = sizeof text - 1;
    cllm_gguf *gguf;
    cllm_tokenizer *t;
    cllm_error err;
    int32_t *all, *none;
    size_t n_all, n_none;
    assert_ok(cllm_gguf_open(path, NULL, &gguf, &err), &err);
    assert_ok(cllm_tokenizer_create(gguf, &t, &err), &err);
    assert_ok(cllm_tokenizer_encode(t, text, length, CLLM_ENCODE_PARSE_SPECIAL, &all, &n_all, &err), &err);
    assert_ok(cllm_tokenizer_encode(t, text, length, 0, &none, &n_none, &err), &err);
    assert_true(n_none > n_all);
    for (size_t cut = 0; cut <= length; cut++) {
        const cllm_part trusted[] = {{true, {text, cut}}, {true, {text + cut, length - cut}}};
        const cllm_part not_trusted[] = {{false, {text, cut}}, {false, {text + cut, length - cut}}};
        check_parts(t, trusted, 2, all, n_all);
        check_parts(t, not_trusted, 2, none, n_none);
        const cllm_part half[] = {trusted[0], not_trusted[1]};
        int32_t *tokens, specials[8];
        size_t count;
        assert_ok(cllm_tokenizer_encode_parts(t, half, 2, 0, &tokens, &count, &err), &err);
        assert_int_equal(list_specials(t, tokens, count, specials),
                         (size_t)(cut >= 12) + (cut >= 43)); /* the two special tokens end there */
        cllm_free(tokens);
    }
    check_parts(t, NULL, 0, NULL, 0);
    cllm_free(all);
    cllm_free(none);
    cllm_tokenizer_destroy(t);
    cllm_gguf_close(gguf);
}

/* The ids of a conversation: a message of `content` between others. */
static int32_t *encode_conversation(const cllm_tokenizer *t, const cllm_chat *chat, const char *content,
                                    size_t *count) {
    const json_value text = {.kind = JSON_STRING, .string = {content, strlen(content)}};
    const json_member message[2] = {{{"role", 4}, {.kind = JSON_STRING, .string = {"user", 4}}},
                                    {{"content", 7}, text}};
    const json_value messages[1] = {{.kind = JSON_OBJECT, .count = 2, .members = message}};
    const json_member variables[3] = {{{"messages", 8}, {.kind = JSON_ARRAY, .count = 1, .items = messages}},
                                      {{"add_generation_prompt", 21}, {.kind = JSON_BOOL, .boolean = true}},
                                      {{"bos_token", 9}, {.kind = JSON_STRING, .string = {"<|endoftext|>", 13}}}};
    const json_value object = {.kind = JSON_OBJECT, .count = 3, .members = variables};
    char *json = NULL;
    size_t length = 0, n_parts;
    FILE *out = open_memstream(&json, &length);
    json_writer w = {.put = put_to_file, .user = out};
    json_write(&w, &object);
    fclose(out);
    cllm_part *parts;
    int32_t *tokens = NULL;
    cllm_error err;
    const cllm_string objects[1] = {{json, length}};
    assert_ok(cllm_chat_render(chat, objects, 1, CLLM_RENDER_AS_IS, NOW, &parts, &n_parts, &err), &err);
    assert_ok(cllm_tokenizer_encode_parts(t, parts, n_parts, 0, &tokens, count, &err), &err);
    cllm_free(parts);
    free(json);
    return tokens;
}

/* A message that spells every special token of a vocabulary leaves the conversation's special tokens as they are. */
static void messages_never_become_special_tokens(void **state) {
    (void)state;
    static const char *const vocabularies[] = {"qwen2", "llama-bpe", "llama-spm", "phi-3", "deepseek-llm"};
    const char *path = shared_file("templates/expected.json");
    if (!path) skip();
    arena a = {0};
    size_t n_bytes;
    char *text = (char *)read_file(path, &n_bytes);
    const json_value expected = read_json(text, n_bytes, &a), *templates = json_find(&expected, "templates");
    size_t n_conversations = 0;
    for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++) {
        char name[100];
        cllm_gguf *gguf;
        cllm_tokenizer *t;
        cllm_error err;
        snprintf(name, sizeof name, "vocab/ggml-vocab-%s.gguf", vocabularies[v]);
        if (!shared_file(name)) continue;
        assert_ok(cllm_gguf_open(shared_file(name), NULL, &gguf, &err), &err);
        assert_ok(cllm_tokenizer_create(gguf, &t, &err), &err);
        char *hostile = calloc(1, 1 << 20);
        for (size_t i = 0; i < t->specials_from[256] && strlen(hostile) < 1 << 19; i++)
            strncat(hostile, t->specials[i].spelling.data, t->specials[i].spelling.length);
        for (uint32_t k = 0; k < templates->count; k++) {
            size_t length, n_plain, n_hostile;
            snprintf(name, sizeof name, "templates/%.*s", (int)templates->members[k].name.length,
                     templates->members[k].name.data);
            if (!shared_file(name)) continue;
            char *source = (char *)read_file(shared_file(name), &length);
            cllm_chat *chat;
            const cllm_chat_options wanted = {.source = {source, length}};
            assert_ok(cllm_chat_create(&wanted, &chat, &err), &err);
            int32_t *plain = encode_conversation(t, chat, "x", &n_plain),
                    *with = encode_conversation(t, chat, hostile, &n_hostile);
            int32_t *specials = malloc((n_plain + n_hostile) * sizeof *specials);
            const size_t n = list_specials(t, plain, n_plain, specials);
            assert_true(n_hostile > n_plain);
            assert_int_equal(list_specials(t, with, n_hostile, specials + n), n);
            assert_memory_equal(specials, specials + n, n * sizeof *specials);
            n_conversations++;
            free(specials);
            cllm_free(plain);
            cllm_free(with);
            cllm_chat_destroy(chat);
            free(source);
        }
        free(hostile);
        cllm_tokenizer_destroy(t);
        cllm_gguf_close(gguf);
    }
    print_message("# %zu conversations\n", n_conversations);
    free(text);
    arena_free(&a);
    if (n_conversations == 0) skip();
}

/* ----------------------------------------------------------------------------------------------------------- limits */

static void check_limit(const char *template, cllm_status status, const char *part) {
    const json_value none = {.kind = JSON_OBJECT};
    const clock_t begin = clock();
    rendering r = render(template, strlen(template), &none);
    assert_error(r.status, &r.err, status, part);
    assert_true(strstr(r.err.message, "line ") != NULL);
    const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    if (!test_sanitized()) assert_true(seconds < 20);
    arena_free(&r.arena);
}

static char *repeated(const char *part, size_t n, const char *end) {
    const size_t length = strlen(part);
    char *text = malloc(n * length + strlen(end) + 1);
    for (size_t i = 0; i < n; i++) memcpy(text + i * length, part, length);
    strcpy(text + n * length, end);
    return text;
}

static void hostile_templates_end_in_an_error(void **state) {
    (void)state;
    check_limit("{{ range(10**9) }}", CLLM_ERR_UNSUPPORTED, "Range too big");
    check_limit("{{ range(-9223372036854775807, 9223372036854775807) }}", CLLM_ERR_UNSUPPORTED, "Range too big");
    check_limit("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                CLLM_ERR_UNSUPPORTED, "more than");
    check_limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", CLLM_ERR_UNSUPPORTED, "calls itself");
    check_limit("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", CLLM_ERR_UNSUPPORTED, "deep");
    check_limit("{{ 'a' * 10**12 }}", CLLM_ERR_UNSUPPORTED, "");
    check_limit("{% set p = 'a' * 1000000 %}{{ ([{}] * 5000)|map(attribute=p)|list|length }}", CLLM_ERR_UNSUPPORTED,
                "steps");
    check_limit("{{ [1] * 10**12 }}", CLLM_ERR_UNSUPPORTED, "");
    check_limit("{{ 'a'.ljust(10**15) }}", CLLM_ERR_UNSUPPORTED, "");
    check_limit(
        "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        CLLM_ERR_UNSUPPORTED, "MiB");
    check_limit(
        "{% set ns = namespace(l=[0]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        CLLM_ERR_UNSUPPORTED, "");
    check_limit(
        "{% set ns = namespace(l=[0]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l|tojson }}",
        CLLM_ERR_UNSUPPORTED, "deep");
    check_limit("{% set ns = namespace(l=[0]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l "
                "== [ns.l] }}",
                CLLM_ERR_UNSUPPORTED, "deep");
    check_limit("{{ 9223372036854775807 + 1 }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ 10**30 }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ 99999999999999999999 }}", CLLM_ERR_FORMAT, "64 bits");
    check_limit(
        "{{ 0.00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001e99 }}",
        CLLM_ERR_FORMAT, "too many digits");
    check_limit("{{ '99999999999999999999'|int }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ '-9223372036854775809'|int }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ '9223372036854775808'|int }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ '%x' % -1 }}", CLLM_ERR_UNSUPPORTED, "a negative integer");
    check_limit("{{ 'ffffffffffffffffffff'|int(0, 16) }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ '-ffffffffffffffffffff'|int(0, 16) }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ 1e30|int }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ '%d' % 1e30 }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ 9223372036854775807|round(-19) }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("{{ 9223372036854775807|round(-1) }}", CLLM_ERR_UNSUPPORTED, "64 bits");
    check_limit("\n\n  {{ x.y }}", CLLM_ERR_ARGUMENT, "line 3, column 7: 'x' is undefined");
    static const char *const nested[][2] = {
        {"(", "{{ "},           {"[", "{{ "},  {"{'a':", "{{ "},        {"-", "{{ "},       {"not ", "{{ "},
        {"a(", "{{ "},          {"a[", "{{ "}, {"1 if 1 else ", "{{ "}, {"{% if 1 %}", ""}, {"{% for x in y %}", ""},
        {"{% macro m() %}", ""}};
    for (size_t i = 0; i < sizeof nested / sizeof *nested; i++) {
        char *deep = repeated(nested[i][0], 60000, ""), *all = malloc(strlen(deep) + 10);
        sprintf(all, "%s%s", nested[i][1], deep);
        check_limit(all, CLLM_ERR_UNSUPPORTED, "200 deep");
        free(deep);
        free(all);
    }
    char *sum = repeated("1+", 60000, "1 }}"), *all = malloc(strlen(sum) + 10);
    sprintf(all, "{{ %s", sum);
    check_limit(all, CLLM_ERR_UNSUPPORTED, "deep");
    free(sum);
    free(all);
    char *elif = repeated("{% elif false %}", 20000, "{% else %}x{% endif %}");
    all = malloc(strlen(elif) + 40);
    sprintf(all, "{%% if false %%}%s", elif);
    const json_value none = {.kind = JSON_OBJECT};
    rendering r = render(all, strlen(all), &none); /* the template is long, but not deep */
    assert_ok(r.status, &r.err);
    assert_string_equal(r.text, "x");
    arena_free(&r.arena);
    free(elif);
    free(all);
}

/* The bytes of strings that are read count as steps, and so do the names among which one is looked for. */
static void long_strings_and_many_names_meet_the_limit(void **state) {
    (void)state;
    static const char *const searches[] = {"part in a",           "a.find(part)",       "a.count(part)",
                                           "a.replace(part, '')", "a.split(part)",      "a.rsplit(part, 1)",
                                           "a.partition(part)",   "a.rpartition(part)", "a.strip('b' * 200000 ~ 'a')"};
    char text[256];
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        snprintf(text, sizeof text, "{%% set a = 'a' * 400000 %%}{%% set part = 'a' * 200000 ~ 'b' %%}{{ %s }}",
                 searches[i]);
        check_limit(text, CLLM_ERR_UNSUPPORTED, "steps");
    }
    static const char *const looks[] = {"a[-1]", "a[-1:]", "a|length", "a is upper", "a != b", "a < b"};
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        snprintf(text, sizeof text,
                 "{%% set a = 'a' * 2000000 %%}{%% set b = 'a' * 2000000 %%}{%% for i in range(100000) %%}{%% if %s "
                 "%%}{%% endif %%}{%% endfor %%}",
                 looks[i]);
        check_limit(text, CLLM_ERR_UNSUPPORTED, "steps");
    }
    check_limit("{{ ('a ' * 500000).rsplit(none, 500000)|length }}{{ x.y }}", CLLM_ERR_ARGUMENT, "'x' is undefined");
    enum { N_NAMES = 10000, MOST_NAME = 24 };
    char *names = malloc(N_NAMES * MOST_NAME + sizeof text), *at = names;
    assert_non_null(names);
    for (int i = 0; i < N_NAMES; i++) at += snprintf(at, MOST_NAME, "{%% set a%d = 0 %%}", i);
    strcpy(at, "{% for i in range(100000) %}{% if x %}{% endif %}{% endfor %}");
    check_limit(names, CLLM_ERR_UNSUPPORTED, "steps");
    free(names);
}

/* A vocabulary may spell a special token with any bytes. */
static void a_variable_that_is_not_utf8_is_read(void **state) {
    (void)state;
    static char bytes[100000];
    memset(bytes, 0x80, sizeof bytes);
    const json_member member = {{"bos_token", 9}, {.kind = JSON_STRING, .string = {bytes, sizeof bytes}}};
    const json_value variables = {.kind = JSON_OBJECT, .count = 1, .members = &member};
    static const char source[] =
        "{{ bos_token|list|length }} {{ ('a' ~ bos_token)|list|length }} {{ bos_token|length }}";
    rendering r = render(source, sizeof source - 1, &variables);
    assert_ok(r.status, &r.err);
    assert_string_equal(r.text, "0 1 0");
    arena_free(&r.arena);
}

/* Calls that meet the limit on memory end in an error, whichever of their allocations fails. */
static void any_allocation_of_a_method_may_fail(void **state) {
    (void)state;
    static const struct {
        const char *text, *method;
        jinja_value args[2];
        size_t n_args;
    } calls[] = {{"-5", "zfill", {{.kind = JINJA_INTEGER, .integer = 3}}, 1},
                 {"a b", "rsplit", {{.kind = JINJA_NONE}, {.kind = JINJA_INTEGER, .integer = 1}}, 2},
                 {"ab", NULL, {{0}}, 0}}; /* [::-1] */
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        size_t n_failed = 0, n_ok = 0;
        for (size_t n_free = 0; n_ok == 0; n_free += 16) {
            cllm_error err;
            jinja_run r = {.n_bytes = JINJA_MOST_BYTES - n_free, .source = "", .err = &err};
            const jinja_string text = {.bytes = calls[i].text, .length = strlen(calls[i].text)};
            const jinja_value self = {.kind = JINJA_STRING, .string = &text};
            const jinja_args args = {.items = calls[i].args, .count = calls[i].n_args};
            if (calls[i].method)
                jinja_call_builtin(&r, jinja_find_method(self, (cllm_string){calls[i].method, strlen(calls[i].method)}),
                                   self, &args);
            else
                jinja_cut(&r, self, JINJA_VALUE_NONE, JINJA_VALUE_NONE, jinja_integer(-1));
            if (jinja_failed(&r)) assert_error(r.status, &err, CLLM_ERR_UNSUPPORTED, "256 MiB");
            n_failed += jinja_failed(&r);
            n_ok += !jinja_failed(&r);
            arena_free(&r.arena);
        }
        assert_true(n_failed > 0);
    }
}

/* The same for a call of a macro: `filler` leaves little memory, and `more` varies how little. */
static void any_allocation_of_a_macro_may_fail(void **state) {
    (void)state;
    enum { LITTLE = 2560 };
    static const char template[] =
        "{% macro m(a) %}{{ caller and varargs and kwargs }}{% endmacro %}{% set filler = big ~ '' %}"
        "{% set more = 1|tojson(indent=small) %}{% call m(1, 2, b=3) %}{% endcall %}";
    const size_t n_big = (JINJA_MOST_BYTES - LITTLE) / 4; /* a text is built with room for twice its bytes and trust */
    char *zeros = calloc(1, n_big);
    assert_non_null(zeros);
    size_t n_ok = 0, n_failed = 0;
    for (size_t n_small = 0; n_small < LITTLE && n_failed < 40; n_small += 32) {
        const json_member members[2] = {{{"big", 3}, {.kind = JSON_STRING, .string = {zeros, n_big}}},
                                        {{"small", 5}, {.kind = JSON_STRING, .string = {zeros, n_small}}}};
        const json_value variables = {.kind = JSON_OBJECT, .count = 2, .members = members};
        rendering r = render(template, sizeof template - 1, &variables);
        n_ok += r.status == CLLM_OK;
        n_failed += r.status != CLLM_OK;
        if (r.status != CLLM_OK) assert_error(r.status, &r.err, CLLM_ERR_UNSUPPORTED, "256 MiB");
        arena_free(&r.arena);
    }
    assert_true(n_ok > 0 && n_failed > 0);
    free(zeros);
}

static void a_template_has_an_object_and_is_utf8(void **state) {
    (void)state;
    const json_value list = {.kind = JSON_ARRAY}, none = {.kind = JSON_OBJECT};
    rendering r = render("x", 1, &list);
    assert_error(r.status, &r.err, CLLM_ERR_ARGUMENT, "not an array");
    arena_free(&r.arena);
    r = render("a\xff", 2, &none);
    assert_error(r.status, &r.err, CLLM_ERR_FORMAT, "byte 1 is not UTF-8");
    arena_free(&r.arena);
}

int main(void) {
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_templates_are_as_jinja_has_them),
        cmocka_unit_test(published_templates_render_to_the_byte),
        cmocka_unit_test(characters_of_values_are_never_trusted),
        cmocka_unit_test(hostile_templates_end_in_an_error),
        cmocka_unit_test(long_strings_and_many_names_meet_the_limit),
        cmocka_unit_test(a_variable_that_is_not_utf8_is_read),
        cmocka_unit_test(any_allocation_of_a_method_may_fail),
        cmocka_unit_test(any_allocation_of_a_macro_may_fail),
        cmocka_unit_test(a_template_has_an_object_and_is_utf8),
        cmocka_unit_test(parts_are_one_text),
        cmocka_unit_test(messages_never_become_special_tokens),
    };
    return cmocka_run_group_tests_name("jinja", tests, NULL, NULL);
}
