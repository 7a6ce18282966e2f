/* Tests JSON: what is read, what is refused and where, and how values are written. Both must be as in Python's json. */
#include "support/check.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct text {
    char *bytes;
    size_t length, capacity;
} text;

static void put(void *user, const char *bytes, size_t length) {
    text *t = user;
    if (t->length + length + 1 > t->capacity) {
        t->capacity = 2 * (t->length + length) + 64;
        t->bytes = realloc(t->bytes, t->capacity);
        assert_non_null(t->bytes);
    }
    if (length > 0) memcpy(t->bytes + t->length, bytes, length);
    t->length += length;
    t->bytes[t->length] = 0;
}

static void check_written(const char *json, json_style style, const char *want) {
    arena a = {0};
    json_value v;
    cllm_error err;
    text got = {0};
    json_writer w = {.style = style, .put = put, .user = &got};
    assert_ok(json_read(json, strlen(json), &a, &v, &err), &err);
    json_write(&w, &v);
    assert_string_equal(got.bytes, want);
    free(got.bytes);
    arena_free(&a);
}

static void values_are_written_as_python_writes_them(void **state) {
    (void)state;
    static const char *const same[] = {"null",
                                       "true",
                                       "false",
                                       "0",
                                       "-1",
                                       "123456789012345678901234567890",
                                       "1.0",
                                       "-0.0",
                                       "0.1",
                                       "1e+16",
                                       "1e-05",
                                       "0.0001",
                                       "1234567890123456.0",
                                       "1.2345678901234568e+17",
                                       "5e-324",
                                       "1.7976931348623157e+308",
                                       "5.684341886080802e-14",
                                       "\"\"",
                                       "\"a\\\"\\\\\\n\\t\\b\\f\\r\\u0001\x7f/\"",
                                       "\"Gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\xa6\x99\"",
                                       "[]",
                                       "{}",
                                       "[1, [], {\"a\": []}]",
                                       "{\"b\": 1, \"a\": {\"c\": null}}"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) check_written(same[i], (json_style){0}, same[i]);
    check_written(" [ 1 ,\n2\t]\r\n", (json_style){0}, "[1, 2]");
    check_written("-0", (json_style){0}, "0");
    check_written("1E3", (json_style){0}, "1000.0");
    check_written("1e400", (json_style){0}, "Infinity");
    check_written("\"\\u00e9\\ud83e\\udd99\\/\"", (json_style){0}, "\"\xc3\xa9\xf0\x9f\xa6\x99/\"");
    check_written("\"\xc3\xa9\xf0\x9f\xa6\x99\x7f\"", (json_style){.ascii = true}, "\"\\u00e9\\ud83e\\udd99\\u007f\"");
    check_written("{\"a\":1,\"b\":2,\"a\":3}", (json_style){0}, "{\"a\": 3, \"b\": 2}");
    check_written("{\"a\":[],\"b\":{},\"c\":[1,{\"d\":2}]}", (json_style){.indent = "  "},
                  "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": 2\n    }\n  ]\n}");
    check_written("[1,{\"a\":2}]", (json_style){.item_separator = ",", .name_separator = ":"}, "[1,{\"a\":2}]");
}

static void what_is_no_json_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"", "line 1, column 1: a value was expected"},
        {"[1,]", "line 1, column 4: a value was expected"},
        {"[1 2]", "line 1, column 4: ',' or ']'"},
        {"{\"a\" 1}", "line 1, column 6: ':'"},
        {"{\"a\":1,}", "line 1, column 8: a name in quotes"},
        {"{\"a\":1", "line 1, column 7: ',' or '}'"},
        {"\n\n\"\xc3\xa9\" x", "line 3, column 5: more comes"},
        {"01", "a number must not begin with 0"},
        {"-", "a value was expected"},
        {"1.", "digits were expected after the point"},
        {"1e+", "digits were expected in the exponent"},
        {"+1", "a value was expected"},
        {"NaN", "a value was expected"},
        {"nul", "a value was expected"},
        {"\"a", "a string has no end"},
        {"\"\n\"", "control characters"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\u12g4\"", "four hexadecimal digits"},
        {"\"\\ud800\"", "half of a surrogate pair"},
        {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
        {"\"\\udc00\"", "half of a surrogate pair"},
        {"\"\xff\"", "not UTF-8"},
        {"\"\xed\xa0\x80\"", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arena a = {0};
        json_value v;
        cllm_error err;
        assert_error(json_read(cases[i].text, strlen(cases[i].text), &a, &v, &err), &err, CLLM_ERR_FORMAT,
                     cases[i].what);
        arena_free(&a);
    }
    arena a = {0};
    json_value v;
    cllm_error err;
    assert_error(json_read("\"a\0\"", 4, &a, &v, &err), &err, CLLM_ERR_FORMAT, "control characters");
    arena_free(&a);
}

static void what_is_too_much_is_refused(void **state) {
    (void)state;
    enum { N = 100000 };
    arena a = {0};
    json_value v;
    cllm_error err;
    char *deep = malloc(N + 1);
    memset(deep, '[', N);
    assert_error(json_read(deep, N, &a, &v, &err), &err, CLLM_ERR_UNSUPPORTED, "column 502: arrays and objects");
    memset(deep + JSON_MOST_DEPTH, ']', JSON_MOST_DEPTH);
    assert_ok(json_read(deep, 2 * JSON_MOST_DEPTH, &a, &v, &err), &err);
    memset(deep, '7', N);
    assert_error(json_read(deep, N, &a, &v, &err), &err, CLLM_ERR_FORMAT, "4300 digits");
    assert_ok(json_read(deep, JSON_MOST_DIGITS, &a, &v, &err), &err);
    assert_int_equal(v.string.length, JSON_MOST_DIGITS);
    free(deep);
    arena_free(&a);
}

/* Random floats are written with no more digits than needed, and are read again unchanged. */
static void floats_need_no_more_digits(void **state) {
    (void)state;
    uint64_t random = test_seed();
    for (int i = 0; i < 20000; i++) {
        union {
            uint64_t bits;
            double number;
        } x = {.bits = random_u64(&random)};
        if (i % 4 == 0) x.number = ldexp(1, (int)(random_u64(&random) % 2098) - 1074);
        if (!isfinite(x.number)) continue;
        char written[JSON_NUMBER_BYTES], shorter[40];
        const size_t n = json_format_float(x.number, written);
        assert_true(json_parse_float(written, n) == x.number);
        size_t n_digits = 0;
        for (const char *c = written; *c && *c != 'e'; c++) n_digits += *c >= '0' && *c <= '9';
        snprintf(shorter, sizeof shorter, "%.15e", x.number);
        if (strtod(shorter, NULL) == x.number && strchr(written, 'e')) assert_true(n_digits <= 16);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written_as_python_writes_them),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(what_is_too_much_is_refused),
        cmocka_unit_test(floats_need_no_more_digits),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
