/* Stands in for cmocka where there is none for the target, as in tests/check_arm.sh: those of its names that the kernel
 * tests use. A test ends at its first failed assertion, and the next one goes on. Prints TAP. */
#ifndef STAND_IN_CMOCKA_H
#define STAND_IN_CMOCKA_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

#define cmocka_unit_test(test) \
    { #test, test }

/* The status with which the running test ends; setjmp returns 0 when a test begins. All files of a program share it. */
enum { STAND_IN_FAILED = 1, STAND_IN_SKIPPED };
__attribute__((weak)) jmp_buf stand_in_end;

/* ... is a printf format and its arguments. */
#define fail_msg(...)                                                             \
    (printf("# %s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), putchar('\n'), \
     longjmp(stand_in_end, STAND_IN_FAILED))
#define skip()             longjmp(stand_in_end, STAND_IN_SKIPPED)
#define print_message(...) printf(__VA_ARGS__)

#define assert_true(condition)               ((condition) ? (void)0 : fail_msg("not true: %s", #condition))
#define assert_null(pointer)                 assert_true((pointer) == NULL)
#define assert_non_null(pointer)             assert_true((pointer) != NULL)
#define assert_int_equal(a, b)               assert_true((unsigned long long)(a) == (unsigned long long)(b))
#define assert_string_equal(a, b)            assert_true(strcmp(a, b) == 0)
#define assert_memory_equal(a, b, n)         assert_true(memcmp(a, b, n) == 0)
#define assert_float_equal(a, b, difference) assert_true(!((a) - (b) > (difference) || (b) - (a) > (difference)))

static inline int stand_in_run(const char *group, const struct CMUnitTest *tests, int n_tests) {
    static const char *const results[] = {"ok", "not ok", "ok"};
    volatile int n_failed = 0;
    printf("1..%d\n", n_tests);
    for (volatile int i = 0; i < n_tests; i++) {
        const int end = setjmp(stand_in_end);
        if (end == 0) tests[i].run(&(void *){NULL});
        n_failed += end == STAND_IN_FAILED;
        printf("%s %d - %s: %s%s\n", results[end], i + 1, group, tests[i].name,
               end == STAND_IN_SKIPPED ? " # SKIP" : "");
        fflush(stdout);
    }
    return n_failed;
}

#define cmocka_run_group_tests_name(group, tests, set_up, tear_down) \
    stand_in_run(group, tests, (int)(sizeof(tests) / sizeof *(tests)))

#endif
