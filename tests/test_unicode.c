/* Tests canonical composition: the cases of the Unicode standard's NormalizationTest.txt, if that file is there, and
 * cases of each kind that do not need it. */
#include "support/check.h"

#include "base/utf8.h"
#include "text/unicode_normalize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Fails unless the text becomes `want`. as_it_is: it must be found unchanged, without new memory. */
static void check_composed(const char *text, size_t length, const char *want, size_t want_length, bool as_it_is) {
    char *copy = malloc(length + 1), *composed; /* of just this size, for sanitizers */
    size_t composed_length;
    assert_non_null(copy);
    memcpy(copy, text, length);
    assert_true(unicode_compose(copy, length, &composed, &composed_length));
    if (as_it_is) assert_null(composed);
    if (!composed) composed_length = length;
    if (composed_length != want_length || memcmp(composed ? composed : text, want, want_length) != 0)
        fail_msg("'%.*s' became '%.*s', not '%s'", (int)length, text, (int)composed_length, composed ? composed : text,
                 want);
    free(composed);
    free(copy);
}

static void test_composes(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"cafe\u0301", "caf\u00E9"},
        {"e\u0301 e\u0301", "\u00E9 \u00E9"},
        {"\u00E9\u0301", "\u00E9\u0301"}, /* an accent composes only once */
        {"\u0301e", "\u0301e"},           /* nothing stands before it */
        {"\u1E0B\u0323", "\u1E0D\u0307"}, /* ḍ̇: the mark below comes first */
        {"d\u0307\u0323", "\u1E0D\u0307"},
        {"q\u0307\u0323", "q\u0323\u0307"}, /* placed before the other mark, though no composed letter exists */
        {"e\u031B\u0302", "\u00EA\u031B"},  /* a mark of another class may stand between */
        {"e\u0305\u0302", "e\u0305\u0302"}, /* a mark of the same class may not */
        {"\u0915\u093C", "\u0915\u093C"},   /* excluded from composition */
        {"\u0958", "\u0915\u093C"},
        {"\u212B\u2126\u0340", "\u00C5\u1FFA"}, /* each becomes one other character */
        {"\u1100\u1161\u11A8", "\uAC01"},       /* Hangul */
        {"\uAC00\u11A8", "\uAC01"},
        {"\uAC01\u11A8", "\uAC01\u11A8"}, /* full */
        {"\uAC00\u11A7", "\uAC00\u11A7"}, /* this is not a trailing consonant */
        {"\u1100\u1160", "\u1100\u1160"}, /* this vowel does not compose */
        {"\u1112\u1175\u11C2\u1112", "\uD7A3\u1112"},
        {"\u30AB\u3099", "\u30AC"},                   /* kana */
        {"\u03B1\u0345\u0301\u0313", "\u1FB4\u0313"}, /* in three steps */
        {"\U0001D15F", "\U0001D158\U0001D165"},       /* beyond U+FFFF */
        {"\U00011099\U000110BA", "\U0001109A"},
        {"\u0344", "\u0308\u0301"}, /* a mark that becomes two */
        {"\u0390", "\u0390"},
        {"\uF900", "\u8C48"},
        {"a\xFF\u0301", "a\xFF\u0301"}, /* not UTF-8: it stays as it is, and the mark does not compose */
        {"a\x80\u0301", "a\x80\u0301"},
        {"e\u0301\xC3", "\u00E9\xC3"},
        {"\xED\xA0\x80"
         "e\u0301",
         "\xED\xA0\x80\u00E9"},
        {"e\xCC", "e\xCC"},
        {"\xC3\u0301", "\xC3\u0301"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = cases[i][0], *want = cases[i][1];
        check_composed(text, strlen(text), want, strlen(want), false);
        check_composed(want, strlen(want), want, strlen(want), false);
    }
    static const char *const composed[] = {"plain",
                                           "\u00E9\u00FC\u0142",
                                           "\u4F60\u597D\uFF0C",
                                           "\uAC00\uAC01",
                                           "\u0928\u092E\u0938\u094D\u0924\u0947",
                                           "\u05E9\u05C1",
                                           "\U0001F600\uFE0F",
                                           "q\u0332\u0305",
                                           "\xFF\x80"};
    for (size_t i = 0; i < sizeof composed / sizeof *composed; i++)
        check_composed(composed[i], strlen(composed[i]), composed[i], strlen(composed[i]), true);
}

/* Whether characters compose does not depend on the characters around them. */
static void test_composes_anywhere(void **state) {
    (void)state;
    static const char *const around[] = {"",     "a",    "\u00E9",     "12345678", "\u4F60",
                                         "\xFF", "\xC3", "\U0001F600", "\uAC00"};
    enum { N_AROUND = sizeof around / sizeof *around };
    for (int before = 0; before < N_AROUND; before++)
        for (int after = 0; after < N_AROUND; after++)
            for (int n = 1; n < 20; n++) {
                char text[256] = "", want[256] = "";
                strcpy(text, around[before]);
                strcpy(want, text);
                for (int i = 0; i < n; i++) {
                    strcat(text, "o\u0323\u0302 ");
                    strcat(want, "\u1ED9 ");
                }
                strcat(text, around[after]);
                strcat(want, around[after]);
                check_composed(text, strlen(text), want, strlen(want), false);
            }
}

/* ------------------------------------------------------------------------------------------- the standard's cases */

static FILE *open_normalization_test(void) {
    static const char *const ways[][2] = {
        {"/usr/share/unicode/NormalizationTest.txt", "cat"},
        {"/usr/share/unicode/NormalizationTest.txt.gz", "gzip -dc"},
        {"/usr/share/unicode/NormalizationTest.txt.bz2", "bzip2 -dc"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char command[128];
        snprintf(command, sizeof command, "%s %s 2>/dev/null", ways[i][1], ways[i][0]);
        if (access(ways[i][0], R_OK) == 0) return popen(command, "r");
    }
    return NULL;
}

/* The code points of a column, as UTF-8. */
static size_t read_column(char **at, char *to) {
    size_t length = 0;
    while (**at && **at != ';') {
        length += utf8_encode((uint32_t)strtoul(*at, at, 16), to + length);
        *at += strspn(*at, " ");
    }
    if (**at) ++*at;
    return length;
}

static void test_normalization_test(void **state) {
    (void)state;
    FILE *file = open_normalization_test();
    if (!file) skip();
    static unsigned char listed[0x110000];
    char line[1024], columns[5][256];
    int n_cases = 0;
    bool lists_characters = false;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '@') lists_characters = strncmp(line, "@Part1 ", 7) == 0;
        if (line[0] == '#' || line[0] == '@') continue;
        char *at = line;
        if (lists_characters) listed[strtoul(line, NULL, 16)] = 1;
        size_t lengths[5];
        for (int i = 0; i < 5; i++) lengths[i] = read_column(&at, columns[i]);
        for (int i = 0; i < 5; i++) { /* the second column is NFC of the first three, the fourth of the others */
            int want = i < 3 ? 1 : 3;
            check_composed(columns[i], lengths[i], columns[want], lengths[want], false);
        }
        n_cases++;
    }
    if (pclose(file) != 0 || n_cases == 0) skip(); /* no program here can unpack it */
    assert_true(n_cases > 19000);
    for (uint32_t code_point = 1; code_point < 0x110000; code_point++) { /* characters that are not listed stay */
        char text[4];
        if (listed[code_point] || (code_point >= 0xD800 && code_point <= 0xDFFF)) continue;
        size_t length = utf8_encode(code_point, text);
        check_composed(text, length, text, length, false);
    }
}

/* ------------------------------------------------------------------------------------------- any text, in any time */

static void test_random_text(void **state) {
    (void)state;
    static const char *const parts[] = {"a",      "e",      "\u0301", "\u0302",    "\u0323", "\u031B",
                                        "\u0345", "\u1100", "\u1161", "\u11A8",    "\uAC00", "\u0344",
                                        "\u0958", "\u212B", "\u00E9", "\u1E0B",    "\xFF",   "\xCC",
                                        "\x81",   "\u3099", "\u30AB", "\U0001D15E"};
    uint64_t random = 5;
    for (int i = 0; i < 20000; i++) {
        char text[128] = "";
        for (uint64_t n = random_u64(&random) % 16; n > 0; n--)
            strcat(text, parts[random_u64(&random) % (sizeof parts / sizeof *parts)]);
        char *once;
        size_t length;
        assert_true(unicode_compose(text, strlen(text), &once, &length));
        if (once) check_composed(once, length, once, length, false); /* composing again changes nothing */
        free(once);
    }
}

static void test_time_is_linear(void **state) {
    (void)state;
    static const char *const parts[] = {"\u0301", "\u0301\u0323", "a\u0301", "\u1100", "\uAC00\u11A8",
                                        "\u0344", "\U0001D15F",   "\u3099",  "\xCC"};
    enum { LENGTH = 1 << 20 };
    char *text = malloc(LENGTH + 8), *composed;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strlen(parts[i]), length = 0, composed_length;
        for (; length < LENGTH; length += n) memcpy(text + length, parts[i], n);
        clock_t start = clock();
        assert_true(unicode_compose(text, length, &composed, &composed_length));
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (seconds > 1) fail_msg("a megabyte of '%s' took %.2f s", parts[i], seconds);
        free(composed);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_composes),           cmocka_unit_test(test_composes_anywhere),
        cmocka_unit_test(test_normalization_test), cmocka_unit_test(test_random_text),
        cmocka_unit_test(test_time_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
