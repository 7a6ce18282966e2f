/* What every test program uses: cmocka with the headers that it needs before it, the folder of reference data,
 * random numbers, and draws from a long list of cases. */
#ifndef SUPPORT_CHECK_H
#define SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cllm.h"

/* The path of a file of the shared folder ($MINICLLM_SHARED, or ../shared). If the file is missing, it prints a line
 * that says so and returns NULL: call skip() then. The path is valid until the eighth call after this one. */
const char *shared_file(const char *name);

/* The whole file, with a zero byte after it; the test fails if it cannot be read. Release with free(). */
unsigned char *read_file(const char *path, size_t *n_bytes);

/* sum((got - want)^2) / sum(want^2) */
double nmse(const float *got, const float *want, size_t n);

/* Fails the test, with the message, unless `status` is CLLM_OK. */
void assert_ok(cllm_status status, const cllm_error *err);

/* Skips the test, with the reason, if the device is missing: absence has the status DEVICE. Fails if it has another
 * error. */
void skip_without_device(const char *device, const cllm_error *absence);

/* The index of the largest of n logits, the lowest index if several are equal. */
int32_t likeliest(const float *logits, size_t n);

/* Fails unless `status` is `expected` and the message contains `part`. */
void assert_error(cllm_status status, const cllm_error *err, cllm_status expected, const char *part);

/* A repeatable stream of random numbers for test inputs (splitmix64: Steele, Lea and Flood 2014). */
uint64_t random_u64(uint64_t *state);
float random_float(uint64_t *state); /* uniform in [-1, 1) */

/* The seed with which a test draws its cases: $MINICLLM_TEST_SEED, or another number each time. It is printed once, so
 * that a failed run can be repeated. */
uint64_t test_seed(void);

/* True if $MINICLLM_TEST_LONG is 1: all cases are tested, however long they take. */
bool test_long(void);

/* True if $SANITIZE names sanitizers of this build: everything takes about ten times longer. */
bool test_sanitized(void);

/* True if this case of many is left out: under a sanitizer two of three are, unless test_long. draw: state of
 * random_u64. */
bool test_leaves_out(uint64_t *draw);

/* Draw a sample of n cases. chosen: out, [n], the numbers of at most `most` of them, or of all if test_long, in rising
 * order. Returns how many were chosen. Each call draws others. */
size_t test_draw(size_t n, size_t most, size_t *chosen);

#endif
