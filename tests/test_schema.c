/* JSON schemas: the published test suite, cases of our own, and what is refused with its path. Instances are written in the forms that programs
 * write: compact, as Python does, indented, and in ASCII. */
#include "support/check.h"
#include "support/vocabulary.h"

#include "base/json.h"

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

static void write_value(written *w, const json_value *v, json_style style) {
    json_writer writer = {.style = style, .put = put, .user = w};
    w->length = 0;
    json_write(&writer, v);
}

static const json_style forms[] = {
    {.item_separator = ",", .name_separator = ":"}, {0}, {.indent = "  "}, {.ascii = true}};

/* What is judged otherwise on purpose. */
static bool is_exception(const char *file, cllm_string group, cllm_string test, bool valid) {
    static const struct {
        const char *file, *group, *test;
        bool valid;
    } exceptions[] = {
        {"content.json", "", "", false},                                            /* contents are a remark */
        {"hostname.json", "validation of A-label (punycode) host names", "", true}, /* none is written */
        {"time.json", "validation of time strings", "valid leap second, ", true},   /* only where UTC says so */
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

static void try_case(const judge *j, const char *file, const json_value *group, const char *dialect, counts *n) {
    written schema = {0}, instance = {0};
    cllm_grammar *grammar = NULL;
    cllm_error err;
    json_member members[100];
    json_value of = *json_find(group, "schema");
    const json_value *tests = json_find(group, "tests"), *about = json_find(group, "description");
    if (of.kind == JSON_OBJECT && !json_find(&of, "$schema")) { /* the folder says which draft it is */
        assert_true(of.count + 1 < sizeof members / sizeof *members);
        members[0] =
            (json_member){.name = text_of("$schema"), .value = {.kind = JSON_STRING, .string = text_of(dialect)}};
        if (of.count > 0) memcpy(members + 1, of.members, of.count * sizeof *members);
        of.members = members;
        of.count++;
    }
    write_value(&schema, &of, forms[1]);
    n->n_schemas++;
    const cllm_status status = compile(j, (cllm_string){schema.text, schema.length}, false, &grammar, &err);
    if (status != CLLM_OK) {
        n->n_refused++;
        if (status != CLLM_ERR_UNSUPPORTED && !strstr(err.message, "allows no text"))
            fail_msg("%s: %.*s: %s", file, (int)about->string.length, about->string.data, err.message);
    }
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
    free(schema.text);
    free(instance.text);
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
        /* format.json says what holds where formats are remarks; here they are enforced, as optional/format/ has it */
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_suite_is_judged_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
