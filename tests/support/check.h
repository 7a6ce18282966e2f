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

/* The path of a file of the shared folder ($MINICLLM_SHARED, else ../shared), or NULL, and a line that says so, where there is none: skip() then.
 * Valid until the eighth call after. */
const char *shared_file(const char *name);

/* The whole file, with a zero byte after it; the test fails if it cannot be read. Release with free(). */
unsigned char *read_file(const char *path, size_t *n_bytes);

/* sum((got - want)^2) / sum(want^2) */
double nmse(const float *got, const float *want, size_t n);

/* Fails the test, with the message, unless `status` is CLLM_OK. */
void assert_ok(cllm_status status, const cllm_error *err);

/* Skips the test, and says why, if the device is not there: absence has the status DEVICE. Fails for another error. */
void skip_without_device(const char *device, const cllm_error *absence);

/* The largest of n logits, the first of equals. */
int32_t likeliest(const float *logits, size_t n);

/* Fails unless `status` is `expected` and the message holds `part`. */
void assert_error(cllm_status status, const cllm_error *err, cllm_status expected, const char *part);

/* A repeatable stream of random numbers for test inputs (splitmix64: Steele, Lea and Flood 2014). */
uint64_t random_u64(uint64_t *state);
float random_float(uint64_t *state); /* uniform in [-1, 1) */

/* What a test draws its cases by: $MINICLLM_TEST_SEED, or else another number each time. It is printed once, so that a run
 * that fails can be had again. */
uint64_t test_seed(void);

/* $MINICLLM_TEST_LONG=1 asks for all cases, however long they take. */
bool test_long(void);

/* $SANITIZE names the sanitizers of this build, under which all takes some ten times longer. */
bool test_sanitized(void);

/* Is this case of a large matrix left out? Under a sanitizer two of three are, unless all are asked for. draw: random_u64's. */
bool test_leaves_out(uint64_t *draw);

/* A sample of n cases, in their order: the numbers of `most` of them into chosen[n], or of all where all are asked for; how many
 * there are is returned. Each call draws others. */
size_t test_draw(size_t n, size_t most, size_t *chosen);

#endif
