/* Tests JSON schemas: the published test suite, cases of our own, and schemas that are refused with the path of the
 * reason. Instances are written in the forms that programs write: compact, as Python does, indented, and in ASCII. */
#include "support/check.h"
#include "support/vocabulary.h"

#include "base/json.h"
#include "sampling/grammar.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cllm_string text_of(const char *words) { return (cllm_string){words, strlen(words)}; }

/* A vocabulary of bytes is enough to judge texts. */
typedef struct judge {
    loaded vocabulary;
    cllm_token_index *index;
} judge;

static judge make_judge(void) {
    judge j = {.vocabulary = {0}};
    vocabulary v = with_specials();
    cllm_error err;
    add_bytes(&v);
    j.vocabulary = load_without_prefix(&v);
    assert_ok(cllm_token_index_create(j.vocabulary.tokenizer, &j.index, &err), &err);
    return j;
}

static void unmake_judge(judge *j) {
    cllm_token_index_destroy(j->index);
    unload(&j->vocabulary);
}

static cllm_status compile(const judge *j, cllm_string schema, bool in_order, cllm_grammar **out, cllm_error *err) {
    return cllm_grammar_create(j->index, in_order ? CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER : CLLM_GRAMMAR_JSON_SCHEMA,
                               schema, out, err);
}

static bool accepts(cllm_grammar *grammar, const char *text, size_t length) {
    cllm_matcher *matcher;
    cllm_error err;
    size_t n_taken;
    assert_ok(cllm_matcher_create(grammar, &matcher, &err), &err);
    assert_ok(cllm_matcher_take_bytes(matcher, text, length, &n_taken, &err), &err);
    const bool accepted = n_taken == length && cllm_matcher_can_end(matcher);
    cllm_matcher_destroy(matcher);
    return accepted;
}

/* ----------------------------------------------------------------------------------------------- the test suite */

typedef struct written {
    char *text; /* owned */
    size_t length, capacity;
} written;

static void put(void *user, const char *bytes, size_t length) {
    written *w = user;
    if (w->length + length > w->capacity) {
        w->capacity = 2 * (w->length + length);
        w->text = realloc(w->text, w->capacity);
        assert_non_null(w->text);
    }
    memcpy(w->text + w->length, bytes, length);
    w->length += length;
}

static void put_text(written *w, const char *text) { put(w, text, strlen(text)); }

static void write_value(written *w, const json_value *v, json_style style) {
    json_writer writer = {.style = style, .put = put, .user = w};
    w->length = 0;
    json_write(&writer, v);
}

static const json_style forms[] = {
    {.item_separator = ",", .name_separator = ":"}, {0}, {.indent = "  "}, {.ascii = true}};

/* Copy a value with the members of all its objects in the opposite order. in_order: but keep the order of properties. */
static json_value turned(const json_value *v, bool in_order, bool keeps_order, arena *a) {
    json_value copy = *v;
    if (v->kind == JSON_ARRAY) {
        json_value *items = arena_alloc(a, v->count, sizeof *items);
        for (uint32_t i = 0; i < v->count; i++) items[i] = turned(&v->items[i], in_order, false, a);
        copy.items = items;
    } else if (v->kind == JSON_OBJECT) {
        json_member *members = arena_alloc(a, v->count, sizeof *members);
        for (uint32_t i = 0; i < v->count; i++) {
            const json_member *from = &v->members[keeps_order ? i : v->count - 1 - i];
            const bool lists = in_order && from->name.length == 10 && memcmp(from->name.data, "properties", 10) == 0;
            members[i] = (json_member){.name = from->name, .value = turned(&from->value, in_order, lists, a)};
        }
        copy.members = members;
    }
    return copy;
}

/* Turn a schema in this way, if it is JSON. */
static void turn(char *schema, size_t size, bool in_order) {
    arena a = {0};
    json_value v;
    written w = {0};
    if (json_read(schema, strlen(schema), &a, &v, NULL) == CLLM_OK) {
        const json_value other = turned(&v, in_order, false, &a);
        write_value(&w, &other, forms[1]);
        assert_true(w.length < size);
        memcpy(schema, w.text, w.length);
        schema[w.length] = '\0';
    }
    free(w.text);
    arena_free(&a);
}

/* Tests of the suite that are judged differently on purpose. */
static bool is_exception(const char *file, cllm_string group, cllm_string test, bool valid) {
    static const struct {
        const char *file, *group, *test;
        bool valid;
    } exceptions[] = {
        {"content.json", "", "", false},                                            /* contents are only annotations */
        {"hostname.json", "validation of A-label (punycode) host names", "", true}, /* no such name is generated */
        {"time.json", "validation of time strings", "valid leap second, ", true},   /* only where UTC allows it */
        {"date-time.json", "validation of date-time strings", "a valid date-time with a leap second, with minus offset",
         true},
    };
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (strcmp(file, exceptions[i].file) == 0 && valid == exceptions[i].valid &&
            strncmp(group.data, exceptions[i].group, strlen(exceptions[i].group)) == 0 &&
            strncmp(test.data, exceptions[i].test, strlen(exceptions[i].test)) == 0)
            return true;
    return false;
}

typedef struct counts {
    size_t n_schemas, n_refused, n_instances, n_wrong;
} counts;

/* Judge the instances of a group by its schema. Returns false if the schema is refused. */
static bool try_schema(const judge *j, const char *file, const json_value *group, const json_value *schema, counts *n) {
    written text = {0}, instance = {0};
    cllm_grammar *grammar = NULL;
    cllm_error err;
    const json_value *tests = json_find(group, "tests"), *about = json_find(group, "description");
    write_value(&text, schema, forms[1]);
    const cllm_status status = compile(j, (cllm_string){text.text, text.length}, false, &grammar, &err);
    if (status != CLLM_OK && status != CLLM_ERR_UNSUPPORTED && !strstr(err.message, "allows no text"))
        fail_msg("%s: %.*s: %s", file, (int)about->string.length, about->string.data, err.message);
    for (uint32_t i = 0; status == CLLM_OK && i < tests->count; i++) {
        const json_value *test = &tests->items[i], *what = json_find(test, "description");
        const bool valid = json_find(test, "valid")->boolean;
        for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
            write_value(&instance, json_find(test, "data"), forms[k]);
            n->n_instances++;
            if (accepts(grammar, instance.text, instance.length) == valid ||
                is_exception(file, about->string, what->string, valid))
                continue;
            n->n_wrong++;
            printf("# %s: %.*s: %.*s: %.*s: is %s\n", file, (int)about->string.length, about->string.data,
                   (int)what->string.length, what->string.data, (int)instance.length, instance.text,
                   valid ? "valid, and refused" : "invalid, and accepted");
        }
    }
    cllm_grammar_destroy(grammar);
    free(text.text);
    free(instance.text);
    return status == CLLM_OK;
}

static void try_case(const judge *j, const char *file, const json_value *group, const char *dialect, counts *n) {
    json_member members[100];
    json_value of = *json_find(group, "schema");
    const json_value *about = json_find(group, "description");
    arena a = {0};
    if (of.kind == JSON_OBJECT && !json_find(&of, "$schema")) { /* the folder says which draft it is */
        assert_true(of.count + 1 < sizeof members / sizeof *members);
        members[0] =
            (json_member){.name = text_of("$schema"), .value = {.kind = JSON_STRING, .string = text_of(dialect)}};
        if (of.count > 0) memcpy(members + 1, of.members, of.count * sizeof *members);
        of.members = members;
        of.count++;
    }
    const json_value other = turned(&of, false, false, &a);
    n->n_schemas++;
    const bool compiles = try_schema(j, file, group, &of, n);
    n->n_refused += !compiles;
    if (try_schema(j, file, group, &other, n) != compiles)
        fail_msg("%s: %.*s: %s, but not with its members in the opposite order", file, (int)about->string.length,
                 about->string.data, compiles ? "compiles" : "is refused");
    arena_free(&a);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void try_folder(const judge *j, const char *folder, const char *dialect, counts *n) {
    struct dirent **entries;
    const int n_entries = scandir(folder, &entries, NULL, by_name);
    assert_true(n_entries >= 0);
    for (int i = 0; i < n_entries; i++) {
        char path[5000];
        const char *name = entries[i]->d_name;
        json_value groups;
        cllm_error err;
        arena a = {0};
        written file = {0};
        const size_t length = strlen(name);
        /* format.json tests formats as annotations; here formats are enforced, as in optional/format/ */
        if (length > 5 && strcmp(name + length - 5, ".json") == 0 && strcmp(name, "format.json") != 0) {
            assert_true(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
            FILE *f = fopen(path, "rb");
            char buffer[4096];
            assert_non_null(f);
            for (size_t got; (got = fread(buffer, 1, sizeof buffer, f)) > 0;) put(&file, buffer, got);
            fclose(f);
            assert_ok(json_read(file.text, file.length, &a, &groups, &err), &err);
            for (uint32_t k = 0; k < groups.count; k++) try_case(j, name, &groups.items[k], dialect, n);
        }
        arena_free(&a);
        free(file.text);
        free(entries[i]);
    }
    free(entries);
}

static void the_published_suite_is_judged_right(void **state) {
    (void)state;
    static const struct {
        const char *folder, *dialect;
    } drafts[] = {{"draft7", "http://json-schema.org/draft-07/schema#"},
                  {"draft2020-12", "https://json-schema.org/draft/2020-12/schema"}};
    const char *suite = shared_file("json-schema-test-suite/tests");
    if (!suite) skip();
    char root[4000];
    snprintf(root, sizeof root, "%s", suite);
    judge j = make_judge();
    for (size_t i = 0; i < 2; i++) {
        counts n = {0};
        char path[5000];
        assert_true(snprintf(path, sizeof path, "%s/%s", root, drafts[i].folder) < (int)sizeof path);
        try_folder(&j, path, drafts[i].dialect, &n);
        strcat(path, "/optional");
        try_folder(&j, path, drafts[i].dialect, &n);
        strcat(path, "/format");
        try_folder(&j, path, drafts[i].dialect, &n);
        printf("# %s: %zu schemas, %zu of them refused, %zu instances, %zu wrong\n", drafts[i].folder, n.n_schemas,
               n.n_refused, n.n_instances, n.n_wrong);
        assert_true(n.n_schemas > 100 && n.n_instances > 1000);
        assert_int_equal(n.n_wrong, 0);
    }
    unmake_judge(&j);
}

/* -------------------------------------------------------------------------------------------------------- cases */

/* Copies a schema or an instance, with " in place of each '. */
static void from_single_quotes(const char *text, char *to, size_t size) {
    assert_true(strlen(text) < size);
    size_t i = 0;
    for (; text[i]; i++) to[i] = text[i] == '\'' ? '"' : text[i];
    to[i] = '\0';
}

enum { MOST_TEXTS = 8 };

/* Check that a grammar allows the valid texts, and none of the invalid ones: [MOST_TEXTS] each, or NULL. */
static void check_texts(cllm_grammar *grammar, const char *schema, const char *const *valid,
                        const char *const *invalid) {
    for (int k = 0; k < 2 * MOST_TEXTS; k++) {
        const bool is_valid = k < MOST_TEXTS;
        const char *instance = is_valid ? valid[k] : invalid[k - MOST_TEXTS];
        char text[2000];
        if (!instance) continue;
        from_single_quotes(instance, text, sizeof text);
        if (accepts(grammar, text, strlen(text)) != is_valid)
            fail_msg("%s: %s is %s", schema, text, is_valid ? "refused" : "accepted");
    }
}

static void schemas_take_what_they_describe(void **state) {
    (void)state;
    static const struct {
        const char *schema;
        bool in_order;
        const char *valid[MOST_TEXTS], *invalid[MOST_TEXTS];
    } cases[] = {
        /* white space: at most 20 characters between tokens, and none around the text */
        {"{'type': 'array', 'items': {'type': 'null'}}",
         false,
         {"[]", "[ null ,null]", "[                    null]", "[\n\t\r null]"},
         {" []", "[] ", "[                     null]"}},
        /* properties once each, the required ones before the brace, in any order or in theirs */
        {"{'type': 'object', 'properties': {'a': {}, 'b': {'type': 'null'}}, 'required': ['b']}",
         false,
         {"{'b':null}", "{'b':null,'a':1}", "{'a':1,'b':null}", "{'b':null,'x':1}"},
         {"{}", "{'a':1}", "{'b':1}", "{'b':null,'b':null}", "{'a':1,'b':null,'a':2}"}},
        {"{'type': 'object', 'properties': {'a': {}, 'b': {'type': 'null'}}, 'required': ['b']}",
         true,
         {"{'b':null}", "{'a':1,'b':null}", "{'b':null,'x':1}"},
         {"{'b':null,'a':1}", "{'x':1,'b':null}", "{'a':1,'x':1,'b':null}"}},
        {"{'properties': {'a': {}, 'b': {}, 'c': {}}, 'required': ['a', 'c'], 'maxProperties': 2, 'type': 'object'}",
         false,
         {"{'a':1,'c':2}", "{'c':1,'a':2}"},
         {"{'a':1,'b':2}", "{'a':1,'x':2}", "{'b':1,'a':2}"}},
        {"{'type': 'object', 'dependentRequired': {'a': ['b']}, 'dependentSchemas': {'b': {'properties': {'c': "
         "{'type': 'null'}}}}}",
         false,
         {"{'c':1}", "{'a':1,'b':2}", "{'b':2,'c':null}"},
         {"{'a':1}", "{'a':1,'b':2,'c':3}", "{'c':3,'b':1}"}},
        {"{'patternProperties': {'^x': {'type': 'integer'}, 'y$': {'minimum': 5}}, 'additionalProperties': false, "
         "'type': 'object'}",
         false,
         {"{'x':1}", "{'y':5}", "{'y':null}", "{'xy':7,'x':1}"},
         {"{'x':'a'}", "{'y':1}", "{'xy':1}", "{'z':1}", "{'xy':'a'}"}},
        {"{'propertyNames': {'pattern': '^[a-z]{2}$'}, 'type': 'object'}",
         false,
         {"{}", "{'ab':1}"},
         {"{'a':1}", "{'A1':1}"}},
        /* names and texts have no needless escapes; characters outside ASCII may be escaped */
        {"{'enum': ['\xC3\xA4', 'a/b', '\xF0\x9F\x98\x80']}",
         false,
         {"'\xC3\xA4'", "'\\u00e4'", "'\\u00E4'", "'a/b'", "'\\ud83d\\ude00'", "'\xF0\x9F\x98\x80'"},
         {"'a\\/b'", "'\\u0061/b'", "'\\ud83d'", "'\\ud83d\\ude01'"}},
        {"{'type': 'string', 'minLength': 2, 'maxLength': 3}",
         false,
         {"'ab'", "'\xC3\xA4\xF0\x9F\x98\x80'", "'\\u0041\\n\\ud83d\\ude00'", "'\\/a'"},
         {"'a'", "'abcd'", "'\\ud83d'", "'a\n'"}},
        {"{'anyOf': [{'type': 'string', 'minLength': 2, 'maxLength': 1e30}, "
         "{'type': 'object', 'maxProperties': 9e300}, "
         "{'type': 'array', 'minItems': 1.0, 'maxItems': 20000000000000000000}]}",
         false,
         {"'ab'", "[1]", "{}", "{'a':1}"},
         {"'a'", "[]", "1"}},
        {"{'type': 'string', 'pattern': 'a.c|^x', 'maxLength': 5}",
         false,
         {"'abc'", "'xx'", "'xaac'"},
         {"'ac'", "'ax'", "'xxxxxx'", "''"}},
        {"{'type': 'string', 'format': 'email', 'maxLength': 40}", /* the characters are counted */
         false,
         {"'a@b'", "'0123456789012345678901234567890123456@bc'"},
         {"'01234567890123456789012345678901234567@bc'", "'a@'", "'01234567890123456789012345678901234567", "''"}},
        {"{'type': 'string', 'format': 'uri', 'minLength': 20, 'maxLength': 3000, 'not': {'pattern': '^a:[a-z]*$'}}",
         false,
         {"'a:0/////////////////////'", "'http://example.org/a?b=c'"},
         {"'a:b'", "'a:0'", "'a:abcdefghijklmnopqrstuvw'"}},
        {"{'type': 'string', 'pattern': '^(a|^b$)c?$'}", false, {"'a'", "'ac'", "'b'"}, {"'bc'", "'c'"}},
        {"{'type': 'string', 'not': {'pattern': '^a'}, 'maxLength': 2}",
         false,
         {"'b'", "''", "'ba'"},
         {"'a'", "'ab'", "'bab'"}},
        {"{'type': 'string', 'not': {'enum': ['a', 'ab']}}", false, {"''", "'b'", "'abc'"}, {"'a'", "'ab'"}},
        {"{'type': 'string', 'format': 'date'}",
         false,
         {"'2024-02-29'", "'2023-12-31'"},
         {"'2023-02-29'", "'2024-13-01'", "'2024-1-1'"}},
        {"{'type': 'string', 'format': 'an own one'}", false, {"'x'"}, {"1"}},
        /* numbers */
        {"{'type': 'integer', 'minimum': -12, 'maximum': 105}",
         false,
         {"-12", "0", "105", "99", "5.0", "-0"},
         {"-13", "106", "200", "5.5", "01", "1000"}},
        {"{'type': 'number', 'exclusiveMinimum': 1.25, 'maximum': 20}",
         false,
         {"1.26", "1.251", "2", "20", "20.000", "13.5"},
         {"1.25", "1", "20.01", "21", "-2", "1.2", "3e0"}},
        {"{'type': 'number', 'minimum': -0.5}",
         false,
         {"-0.5", "-0.25", "0", "1e9", "7.25e-3"},
         {"-0.51", "-1", "-0.5001"}},
        {"{'type': 'number', 'multipleOf': 0.01, 'minimum': 0}",
         false,
         {"19.99", "3", "0.10", "7.500"},
         {"0.001", "19.999", "-1"}},
        {"{'type': 'integer', 'multipleOf': 7, 'not': {'const': 14}}",
         false,
         {"7", "21", "-7", "0"},
         {"14", "8", "14.0"}},
        {"{'enum': [1, 2.5, 1e2]}", false, {"1", "1.0", "2.5", "2.50", "100"}, {"2", "10", "1.5"}},
        {"{'enum': [1e-30, 1.5e-7]}", false, {"1e-30", "1.5e-07", "0.00000015"}, {"0", "1e-3", "1.5e-08"}},
        {"{'$schema': 'http://json-schema.org/draft-04/schema#', 'type': 'number', 'minimum': 3, 'exclusiveMinimum': "
         "true}",
         false,
         {"3.1", "4"},
         {"3", "3.0", "2"}},
        /* arrays */
        {"{'type': 'array', 'prefixItems': [{'type': 'integer'}, {'type': 'string'}], 'items': {'type': 'null'}, "
         "'minItems': 1, 'maxItems': 4}",
         false,
         {"[1]", "[1,'a']", "[1,'a',null,null]"},
         {"[]", "['a']", "[1,'a',1]", "[1,'a',null,null,null]"}},
        {"{'items': [{'const': 1}], 'additionalItems': false, 'type': 'array'}",
         false,
         {"[]", "[1]"},
         {"[2]", "[1,1]"}},
        {"{'type': ['object', 'null'], 'properties': {'a': {}, 'c': {}}, 'additionalProperties': false, "
         "'dependentRequired': {'a': ['b']}}",
         false,
         {"{}", "{'c':1}"},
         {"{'a':1}", "{'a"}},
        {"{'type': 'array', 'contains': {'const': 7}, 'maxItems': 2}",
         false,
         {"[7]", "[1,7]", "[7,7]"},
         {"[]", "[1,2]", "[1,2,7]"}},
        {"{'type': 'array', 'items': {'enum': ['a', 'b', 1]}, 'uniqueItems': true, 'minItems': 2}",
         false,
         {"['b','a']", "[1,'a','b']"},
         {"['a']", "['a','a']", "[1,1.0]"}},
        /* schemas of schemas */
        {"{'oneOf': [{'type': 'integer'}, {'minimum': 2}]}", false, {"1", "2.5", "'a'"}, {"3", "1.5"}},
        {"{'oneOf': [{'required': ['a']}, {'required': ['b']}], 'type': 'object'}",
         false,
         {"{'a':1}", "{'b':1,'c':2}"},
         {"{}", "{'a':1,'b':2}"}},
        {"{'anyOf': [{'type': 'string', 'maxLength': 1}, {'type': 'integer'}], 'not': {'const': 5}}",
         false,
         {"'a'", "4"},
         {"'ab'", "5", "null"}},
        {"{'if': {'properties': {'a': {'const': 1}}, 'required': ['a']}, 'then': {'required': ['b']}, 'else': "
         "{'required': ['c']}, 'type': 'object'}",
         false,
         {"{'a':1,'b':2}", "{'c':1}", "{'a':2,'c':1}"},
         {"{'a':1}", "{}", "{'a':2,'b':1}"}},
        {"{'allOf': [{'$ref': '#/$defs/n'}, {'maximum': 5}], '$defs': {'n': {'type': 'integer', 'minimum': 3}}}",
         false,
         {"3", "5"},
         {"2", "6", "'a'"}},
        {"{'$id': 'http://x/root', 'properties': {'a': {'$ref': 'sub#here'}}, 'type': 'object', '$defs': {'s': {'$id': "
         "'sub', '$defs': {'t': "
         "{'$anchor': 'here', 'type': 'null'}}}}}",
         false,
         {"{'a':null}"},
         {"{'a':1}"}},
        {"{'type': 'object', 'properties': {'next': {'$ref': '#'}, 'n': {'type': 'integer'}}, 'additionalProperties': "
         "false}",
         false,
         {"{'next':{'next':{'n':1}}}"},
         {"{'next':{'next':1}}"}},
        /* what is not evaluated */
        {"{'type': 'object', 'properties': {'a': {'type': 'integer'}}, 'unevaluatedProperties': false, 'required': "
         "['a']}",
         false,
         {"{'a':1}"},
         {"{}", "{'a':'x'}", "{'a':1,'b':2}"}},
        {"{'type': 'object', 'properties': {'a': {'type': 'integer'}}, 'unevaluatedProperties': {'type': 'string'}}",
         false,
         {"{}", "{'a':1,'b':'x'}"},
         {"{'a':'x'}", "{'b':1}"}},
        {"{'type': 'array', 'prefixItems': [{'type': 'integer'}], 'unevaluatedItems': {'type': 'string'}}",
         false,
         {"[]", "[1]", "[1,'a']"},
         {"['a']", "[1,2]"}},
        {"{'$schema': 'https://json-schema.org/draft/2019-09/schema', 'type': 'array', 'prefixItems': [{}], "
         "'unevaluatedItems': false}",
         false,
         {"[]"},
         {"[1]"}},
        {"{'const': {'a': [1, {'b': null}]}}",
         false,
         {"{'a':[1,{'b':null}]}", "{ 'a': [1.0, {'b': null}] }"},
         {"{}", "{'a':[1]}"}},
        {"true", false, {"1", "{'a':[]}"}, {"", "{"}},
    };
    judge j = make_judge();
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        char text[2000];
        cllm_grammar *grammar;
        cllm_error err;
        from_single_quotes(cases[i / 2].schema, text, sizeof text);
        if (i % 2) turn(text, sizeof text, cases[i / 2].in_order);
        if (compile(&j, text_of(text), cases[i / 2].in_order, &grammar, &err) != CLLM_OK)
            fail_msg("%s: %s", text, err.message);
        check_texts(grammar, text, cases[i / 2].valid, cases[i / 2].invalid);
        cllm_grammar_destroy(grammar);
    }
    unmake_judge(&j);
}

/* If properties are listed, a closed schema allows no others, unless it says something about them. */
static void closed_schemas_allow_what_they_list(void **state) {
    (void)state;
    static const struct {
        const char *schema, *valid[MOST_TEXTS], *invalid[MOST_TEXTS];
    } cases[] = {
        {"{'type': 'object', 'properties': {'a': {}, 'b': {}}, 'required': ['b']}",
         {"{'b':1}", "{'a':1,'b':2}"},
         {"{'b':1,'c':2}"}},
        {"{'type': 'object', 'properties': {'a': {}}, 'required': ['b']}",
         {"{'b':1}", "{'b':1,'a':2}"},
         {"{'b':1,'c':2}"}},
        {"{'type': 'object', 'properties': {'a': {}}, 'additionalProperties': true}", {"{'a':1,'c':2}"}, {NULL}},
        {"{'type': 'object', 'properties': {'a': {}}, 'additionalProperties': {'type': 'null'}}",
         {"{'c':null}"},
         {"{'c':1}"}},
        {"{'type': 'object', 'properties': {'a': {'type': 'integer'}}, 'required': ['a'], 'minProperties': 2}",
         {"{'a':1,'b':2}"},
         {"{'a':1}"}},
        {"{'type': 'object'}", {"{'a':{'b':1}}"}, {"1"}},
        {"{'type': 'object', 'properties': {'a': {'anyOf': [{'$ref': '#/$defs/n'}, {'type': 'null'}]}}, '$defs': {'n': "
         "{'properties': "
         "{'x': {}}, 'type': 'object'}}}",
         {"{'a':{'x':2}}", "{'a':null}", "{}"},
         {"{'c':1}", "{'a':{'y':2}}"}},
        /* an object that combines schemas may have other properties; the objects in it and around it may not */
        {"{'allOf': [{'properties': {'a': {}}}, {'properties': {'b': {'type': 'null'}}}], 'type': 'object'}",
         {"{'a':1,'c':2}"},
         {"{'b':1}"}},
        {"{'anyOf': [{'additionalProperties': true}, {'required': ['b']}], 'properties': {'b': {}}, 'type': 'object'}",
         {"{'c':3}"},
         {NULL}},
        {"{'type': 'object', 'properties': {'a': {}}, 'propertyNames': {'maxLength': 1}}", {"{'c':3}"}, {"{'cc':3}"}},
        {"{'type': 'object', 'if': {'properties': {'k': {'const': 1}}, 'required': ['k']}, 'then': {'required': "
         "['y']}}",
         {"{'k':1,'y':1,'z':2}"},
         {"{'k':1}"}},
        {"{'type': 'array', 'items': {'type': 'object', 'properties': {'a': {}}}}", {"[{},{'a':1}]"}, {"[{'c':1}]"}},
        {"{'type': 'object', 'properties': {'a': {'allOf': [{'$ref': '#/$defs/n'}]}, 'b': {'$ref': '#/$defs/n'}}, "
         "'$defs': {'n': {'type': 'object', 'properties': {'x': {}}}}}",
         {"{'a':{'x':1,'y':2}}", "{'b':{'x':1}}"},
         {"{'c':1}", "{'b':{'y':2}}"}},
        {"{'type': 'object', 'properties': {'a': {'type': 'object', 'properties': {'x': {}}}}, 'not': {'properties': "
         "{'a': {'required': ['z']}}, 'required': ['a']}}",
         {"{'a':{'x':1}}", "{'c':1}"},
         {"{'a':{'z':1}}"}},
        {"{'type': 'object', 'properties': {'a': {'type': 'object', 'properties': {'x': {}}, 'required': ['x']}}, "
         "'not': {'properties': {'a': {'maxProperties': 1}}, 'required': ['a']}}",
         {"{'a':{'x':1,'y':2}}"},
         {"{'a':{'x':1}}"}},
        {"{'type': 'object', 'properties': {'if': {}, 'not': {}}}", {"{'if':1,'not':2}"}, {"{'c':1}"}},
        /* integers are digits, because programs read 5.0 as a float */
        {"{'type': 'integer'}", {"5", "-7", "0", "170"}, {"5.0", "5e2", "-0.0", "5."}},
        {"{'type': 'integer', 'minimum': 3}", {"3", "40"}, {"2", "4.0", "4e1"}},
        {"{'type': 'object', 'properties': {'a': {'type': 'integer'}, 'b': {'type': 'number'}}}",
         {"{'a':1,'b':2.0}"},
         {"{'a':1.0}"}},
    };
    judge j = make_judge();
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        char text[2000];
        cllm_grammar *grammar;
        cllm_error err;
        const bool in_order = i / 2 % 2 == 0;
        from_single_quotes(cases[i / 2].schema, text, sizeof text);
        if (i % 2) turn(text, sizeof text, in_order);
        if (cllm_grammar_create(j.index,
                                in_order ? CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER : CLLM_GRAMMAR_JSON_SCHEMA_CLOSED,
                                text_of(text), &grammar, &err) != CLLM_OK)
            fail_msg("%s: %s", text, err.message);
        check_texts(grammar, text, cases[i / 2].valid, cases[i / 2].invalid);
        cllm_grammar_destroy(grammar);
    }
    unmake_judge(&j);
}

/* Copy a text with " in place of each ', white space in place of one mark (_ or ~), and without the other marks. */
static void put_space(const char *marked, size_t mark, size_t n_spaces, char *to, size_t size) {
    assert_true(strlen(marked) + n_spaces < size);
    for (size_t i = 0; marked[i]; i++) {
        if (i == mark)
            for (size_t k = 0; k < n_spaces; k++) *to++ = " \n\t\r"[k % 4];
        else if (!strchr("_~", marked[i]))
            *to++ = marked[i] == '\'' ? '"' : marked[i];
    }
    *to = '\0';
}

/* A schema allows white space at _ and ~; a closed one only at _. */
static void closed_schemas_allow_no_space_before_a_colon_or_a_comma(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"true", "[_1~,_2.5e3~,_'x'~,_true~,_[_]~,_{_}_]"},
        {"{'type': 'object'}", "{_'a'~:_null~,_'b'~:_{_'c'~:_'x'_}_}"},
        {"{'type': 'object', 'properties': {'a': {}, 'b': {'type': 'integer'}}, 'required': ['b']}",
         "{_'a'~:_true~,_'b'~:_12_}"},
        {"{'type': 'object', 'properties': {'a': {}}}", "{_}"},
        {"{'type': 'object', 'patternProperties': {'^x': {'type': 'null'}}}", "{_'x'~:_null~,_'a'~:_1_}"},
        {"{'const': {'a': [1, {'b': null}]}}", "{_'a'~:_[_1~,_{_'b'~:_null_}_]_}"},
        {"{'type': 'array', 'items': {'type': 'integer'}}", "[_]"},
        {"{'type': 'array', 'items': {'type': 'integer'}, 'minItems': 2, 'maxItems': 3}", "[_1~,_2~,_3_]"},
        {"{'type': 'array', 'prefixItems': [{'type': 'null'}, {'type': 'string'}]}", "[_null~,_'a'~,_1~,_2_]"},
        {"{'type': 'array', 'items': {'enum': [1, 2, 3]}, 'uniqueItems': true}", "[_2~,_1~,_3_]"},
        {"{'type': 'array', 'items': {'type': 'integer'}, 'contains': {'const': 2}}", "[_1~,_2~,_3_]"},
    };
    judge j = make_judge();
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        const bool closed = i % 2;
        const char *marked = cases[i / 2][1];
        char schema[2000], text[200];
        cllm_grammar *grammar;
        cllm_error err;
        from_single_quotes(cases[i / 2][0], schema, sizeof schema);
        assert_ok(cllm_grammar_create(j.index, closed ? CLLM_GRAMMAR_JSON_SCHEMA_CLOSED : CLLM_GRAMMAR_JSON_SCHEMA,
                                      text_of(schema), &grammar, &err),
                  &err);
        for (size_t at = 0; marked[at]; at++) {
            static const size_t lengths[] = {0, 1, 20, 21};
            if (!strchr("_~", marked[at])) continue;
            for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
                const bool valid = lengths[k] == 0 || (lengths[k] <= 20 && !(closed && marked[at] == '~'));
                put_space(marked, at, lengths[k], text, sizeof text);
                if (accepts(grammar, text, strlen(text)) != valid)
                    fail_msg("%s%s: %s is %s", schema, closed ? " (closed)" : "", text, valid ? "refused" : "accepted");
            }
        }
        cllm_grammar_destroy(grammar);
    }
    unmake_judge(&j);
}

/* White space comes only where something can follow it, and where it cannot come, one text is left. */
static void closed_schemas_leave_less_choice(void **state) {
    (void)state;
    static const char schema[] =
        "{'type': 'object', 'properties': {'name': {'type': 'string'}, 'list': {'type': 'array', 'items': {'enum': "
        "['a', 'b']}, 'uniqueItems': true, 'minItems': 2}}, 'required': ['name', 'list']}";
    static const struct {
        const char *before, *only;
    } cases[] = {
        {"{'", "name':"},
        {"{'name':'x'", ","},
        {"{'name':'x','list", "':"},
        {"{'name': 'x',", ""},
        {"{'name':'x','list':['a'", ","},
        {"{'name':'x','list':['a','b'", ""},
    };
    judge j = make_judge();
    char text[2000];
    cllm_grammar *grammar;
    cllm_error err;
    from_single_quotes(schema, text, sizeof text);
    assert_ok(cllm_grammar_create(j.index, CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER, text_of(text), &grammar, &err),
              &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cllm_matcher *matcher;
        char only[64], wanted[64];
        size_t n_taken;
        from_single_quotes(cases[i].before, text, sizeof text);
        from_single_quotes(cases[i].only, wanted, sizeof wanted);
        assert_ok(cllm_matcher_create(grammar, &matcher, &err), &err);
        assert_ok(cllm_matcher_take_bytes(matcher, text, strlen(text), &n_taken, &err), &err);
        assert_int_equal(n_taken, strlen(text));
        only[matcher_only_text(matcher, only, sizeof only - 1)] = '\0';
        assert_string_equal(only, wanted);
        cllm_matcher_destroy(matcher);
    }
    cllm_grammar_destroy(grammar);
    unmake_judge(&j);
}

static void what_is_wrong_or_too_much_is_told_with_its_path(void **state) {
    (void)state;
    static const struct {
        const char *schema;
        cllm_status status;
        const char *message;
    } cases[] = {
        {"{", CLLM_ERR_FORMAT, "JSON, line 1, column 2"},
        {"[]", CLLM_ERR_FORMAT, "schema, #: this must be a schema"},
        {"{'properties': {'a/b': {'type': 'text'}}}", CLLM_ERR_FORMAT,
         "#/properties/a~1b/type: this is not one of the types null, boolean, integer, number, string, array and "
         "object: "
         "'text'"},
        {"{'items': {'minLength': -1}}", CLLM_ERR_FORMAT, "#/items/minLength: this must be a whole number"},
        {"{'anyOf': []}", CLLM_ERR_FORMAT, "#/anyOf: this must be an array of schemas"},
        {"{'required': 'a'}", CLLM_ERR_FORMAT, "#/required: this must be an array of names"},
        {"{'multipleOf': 0}", CLLM_ERR_FORMAT, "#/multipleOf: this must be a number above 0"},
        {"{'pattern': '('}", CLLM_ERR_FORMAT, "#/pattern: regular expression, line 1, column 1"},
        {"{'pattern': '(?=a)'}", CLLM_ERR_UNSUPPORTED,
         "#/pattern: regular expression, line 1, column 1: looking ahead"},
        {"{'$ref': '#/$defs/none'}", CLLM_ERR_UNSUPPORTED,
         "#/$ref: this refers to something that is not in the document"},
        {"{'properties': {'a': {'$ref': 'http://elsewhere/'}}}", CLLM_ERR_UNSUPPORTED,
         "#/properties/a/$ref: this refers"},
        {"{'properties': {'a': {'uniqueItems': true}}}", CLLM_ERR_UNSUPPORTED,
         "#/properties/a/uniqueItems: unique items"},
        {"{'$schema': 'http://my/own'}", CLLM_ERR_UNSUPPORTED, "#/$schema: an unknown dialect"},
        {"{'$dynamicRef': '#x'}", CLLM_ERR_UNSUPPORTED, "#/$dynamicRef"},
        {"{'items': {'format': 'regex'}}", CLLM_ERR_UNSUPPORTED, "#/items/format: this format cannot be enforced"},
        {"{'allOf': [{'properties': {'a': {}}}], 'unevaluatedProperties': false}", CLLM_ERR_UNSUPPORTED,
         "#/unevaluatedProperties"},
        {"{'items': [{}], 'allOf': [{'items': [{}, {}]}], 'unevaluatedItems': false}", CLLM_ERR_UNSUPPORTED,
         "#/unevaluatedItems"},
        {"{'properties': {'a': {'minProperties': 3}}}", CLLM_ERR_UNSUPPORTED, "#/properties/a: minProperties cannot"},
        {"{'properties': {'a': {'type': 'integer', 'multipleOf': 1234567}}}", CLLM_ERR_UNSUPPORTED,
         "#/properties/a/multipleOf: "},
        {"false", CLLM_ERR_ARGUMENT, "allows no text"},
        {"{'type': 'string', 'minLength': 2, 'maxLength': 1}", CLLM_ERR_ARGUMENT, "allows no text"},
        {"{'type': 'array', 'items': {'enum': ['a', 'bb'], 'maxLength': 1}, 'uniqueItems': true, 'minItems': 2}",
         CLLM_ERR_ARGUMENT, "allows no text"},
        {"{'type': 'object', 'properties': {'a': {}, 'b': {'$ref': '#/properties/b', 'type': 'array', 'minItems': 1, "
         "'items': {'$ref': "
         "'#/properties/b'}}}, 'additionalProperties': false, 'minProperties': 2}",
         CLLM_ERR_ARGUMENT, "allows no text"},
        {"{'$ref': '#/$defs/a', '$defs': {'a': {'type': 'array', 'items': {'$ref': '#/$defs/a'}, 'minItems': 1}}}",
         CLLM_ERR_ARGUMENT, "allows no text"},
    };
    judge j = make_judge();
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        char text[2000];
        cllm_grammar *grammar;
        cllm_error err;
        from_single_quotes(cases[i / 2].schema, text, sizeof text);
        if (i % 2) turn(text, sizeof text, false);
        assert_error(compile(&j, text_of(text), false, &grammar, &err), &err, cases[i / 2].status,
                     cases[i / 2].message);
    }
    unmake_judge(&j);
}

/* Draws a number with at most three digits after its point. Returns its thousandths. text: out, how it is written. */
static int64_t draw_number(uint64_t *random, char text[32]) {
    static const int64_t sizes[] = {1, 10, 100, 2500, 100000};
    const int64_t whole = (int64_t)(random_u64(random) % (uint64_t)sizes[random_u64(random) % 5]);
    const int64_t fraction = random_u64(random) % 2 ? (int64_t)(random_u64(random) % 1000) : 0;
    const bool negative = random_u64(random) % 2;
    const char *sign = negative ? "-" : "";
    if (fraction == 0)
        snprintf(text, 32, random_u64(random) % 4 ? "%s%lld" : "%s%lld.0", sign, (long long)whole);
    else
        snprintf(text, 32, "%s%lld.%03lld", sign, (long long)whole, (long long)fraction);
    return (negative ? -1 : 1) * (whole * 1000 + fraction);
}

static void bounds_are_exact(void **state) {
    (void)state;
    judge j = make_judge();
    uint64_t random = test_seed();
    size_t n_valid = 0, n_tried = 0;
    for (int round = 0; round < 300; round++) {
        char low_text[32], high_text[32], schema[300];
        const int64_t low = draw_number(&random, low_text), high = draw_number(&random, high_text),
                      unit = random_u64(&random) % 3 ? 0 : 1 + (int64_t)(random_u64(&random) % 60);
        const bool is_integer = random_u64(&random) % 3 == 0, low_out = random_u64(&random) % 2,
                   high_out = random_u64(&random) % 2;
        const int n = snprintf(schema, sizeof schema, "{\"type\": \"%s\", \"%s\": %s, \"%s\": %s",
                               is_integer ? "integer" : "number", low_out ? "exclusiveMinimum" : "minimum", low_text,
                               high_out ? "exclusiveMaximum" : "maximum", high_text);
        if (unit)
            snprintf(schema + n, sizeof schema - (size_t)n, ", \"multipleOf\": %lld.%02lld}", (long long)unit / 20,
                     (long long)unit % 20 * 5);
        else
            snprintf(schema + n, sizeof schema - (size_t)n, "}");
        cllm_grammar *grammar;
        cllm_error err;
        const cllm_status status = compile(&j, text_of(schema), false, &grammar, &err);
        if (status == CLLM_ERR_ARGUMENT) continue; /* the schema allows no number */
        assert_ok(status, &err);
        for (int i = 0; i < 60; i++) {
            char text[32];
            int64_t value = draw_number(&random, text);
            if (i < 12) { /* near the bounds */
                static const int64_t steps[] = {0, 1, -1, 1000, -1000, 50};
                value = (i % 2 ? low : high) + steps[i / 2];
                const long long size = value < 0 ? -value : value;
                snprintf(text, sizeof text, "%s%lld.%0*lld", value < 0 ? "-" : "", size / 1000,
                         size % 1000 == 0 ? 1 : 3, size % 1000);
            }
            const bool valid = (low_out ? value > low : value >= low) && (high_out ? value < high : value <= high) &&
                               (!is_integer || value % 1000 == 0) && (unit == 0 || value % (unit * 50) == 0);
            n_valid += valid;
            n_tried++;
            if (accepts(grammar, text, strlen(text)) != valid)
                fail_msg("%s: %s is %s", schema, text, valid ? "refused" : "accepted");
        }
        cllm_grammar_destroy(grammar);
    }
    printf("# %zu of %zu numbers are valid\n", n_valid, n_tried);
    assert_true(n_valid > 100);
    unmake_judge(&j);
}

/* Large schemas compile or are refused, soon. */
static void large_schemas_come_to_an_end(void **state) {
    (void)state;
    judge j = make_judge();
    cllm_error err;
    written text = {0};
    cllm_grammar *grammar;
    /* 2 MB of properties, each with its own values */
    put_text(&text, "{\"type\": \"object\", \"properties\": {");
    for (int i = 0; i < 9000; i++) {
        char line[400];
        snprintf(
            line, sizeof line,
            "%s\"property number %d\": {\"description\": \"%0150d\", \"enum\": [\"one of %d\", \"two of %d\", %d]}",
            i > 0 ? ", " : "", i, i, i, i, i);
        put_text(&text, line);
    }
    put_text(&text, "}, \"additionalProperties\": false}");
    assert_true(text.length > 2000000);
    assert_ok(compile(&j, (cllm_string){text.text, text.length}, false, &grammar, &err), &err);
    static const char one[] = "{\"property number 8765\": \"two of 8765\", \"property number 1\": 1}";
    assert_true(accepts(grammar, one, strlen(one)));
    cllm_grammar_destroy(grammar);
    /* patterns, each of which could be enforced alone */
    text.length = 0;
    put_text(&text, "{\"properties\": {");
    for (int i = 0; i < 100; i++) {
        char line[200];
        snprintf(line, sizeof line,
                 "%s\"p%d\": {\"maxLength\": 1, \"pattern\": \"^(?:[acegikmoqsuwy02468ACEGIKMOQ]a|b){%d}$\"}",
                 i > 0 ? ", " : "", i, 2000 + i);
        put_text(&text, line);
    }
    put_text(&text, "}}");
    assert_int_equal(compile(&j, (cllm_string){text.text, text.length}, false, &grammar, &err), CLLM_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "too complex to enforce, alone or together"));
    /* what can be combined in too many ways, counts too far, or calls itself */
    static const struct {
        const char *schema;
        bool compiles;
    } cases[] = {
        {"{'allOf': [{'oneOf': [{'required': ['a']}, {'required': ['b']}]}, {'$ref': '#/$defs/x'}], '$defs': {'x': "
         "{'anyOf': "
         "[{'$ref': '#'}, {'$ref': '#/$defs/x'}]}}}",
         true},
        {"{'type': 'string', 'pattern': '^a{1,999999}b{1,999999}$'}", false},
        {"{'type': 'string', 'pattern': '(((a{0,99}){0,99}){0,99}){0,99}b'}", false},
        {"{'type': 'string', 'pattern': '(a|b)*a(a|b){40}c'}", false},
        {"{'type': 'string', 'maxLength': 4000000000}", true},
        {"{'type': 'array', 'minItems': 4000000000}", true},
        {"{'$ref': '#'}", false},
        {"{'$ref': '#/$defs/a', '$defs': {'a': {'$ref': '#/$defs/b'}, 'b': {'$ref': '#/$defs/a'}}}", true},
        {"{'anyOf': [{'$ref': '#'}, {'not': {'$ref': '#'}}]}", true},
        {"{'type': 'integer', 'minimum': 1e300}", true},
        {"{'multipleOf': 1e-300}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char schema[1000];
        from_single_quotes(cases[i].schema, schema, sizeof schema);
        const cllm_status status = compile(&j, text_of(schema), false, &grammar, &err);
        if (status != (cases[i].compiles ? CLLM_OK : CLLM_ERR_UNSUPPORTED))
            fail_msg("%s: %s", schema, status == CLLM_OK ? "compiles" : err.message);
        cllm_grammar_destroy(grammar);
    }
    free(text.text);
    unmake_judge(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_suite_is_judged_right),
        cmocka_unit_test(schemas_take_what_they_describe),
        cmocka_unit_test(closed_schemas_allow_what_they_list),
        cmocka_unit_test(closed_schemas_allow_no_space_before_a_colon_or_a_comma),
        cmocka_unit_test(closed_schemas_leave_less_choice),
        cmocka_unit_test(what_is_wrong_or_too_much_is_told_with_its_path),
        cmocka_unit_test(bounds_are_exact),
        cmocka_unit_test(large_schemas_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
