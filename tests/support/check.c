/* Implements check.h. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *shared_file(const char *name) {
    static char paths[8][1024];
    static unsigned next;
    const char *folder = getenv("MINICLLM_SHARED");
    char *path = paths[next++ % 8];
    int length = snprintf(path, sizeof paths[0], "%s/%s", folder && *folder ? folder : "../shared", name);
    if (length < 0 || (size_t)length >= sizeof paths[0]) return NULL;
    if (access(path, R_OK) == 0) return path;
    print_message("# %s is not there\n", path);
    return NULL;
}

unsigned char *read_file(const char *path, size_t *n_bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot open %s", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    unsigned char *bytes = malloc((size_t)size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), (size_t)size);
    bytes[size] = 0;
    fclose(file);
    *n_bytes = (size_t)size;
    return bytes;
}

double nmse(const float *got, const float *want, size_t n) {
    double error = 0, energy = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = (double)got[i] - (double)want[i];
        error += difference * difference;
        energy += (double)want[i] * (double)want[i];
    }
    return error / energy;
}

void assert_ok(cllm_status status, const cllm_error *err) {
    if (status != CLLM_OK) fail_msg("status %d: %s", (int)status, err->message);
}

void assert_error(cllm_status status, const cllm_error *err, cllm_status expected, const char *part) {
    if (status == CLLM_OK) fail_msg("no error, where one with \"%s\" was due", part);
    if (status != expected || !strstr(err->message, part))
        fail_msg("expected status %d and \"%s\", got %d: %s", (int)expected, part, (int)status, err->message);
}

uint64_t random_u64(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

float random_float(uint64_t *state) { return (float)(random_u64(state) >> 40) * 0x1p-23f - 1.0f; }

uint64_t test_seed(void) {
    static uint64_t seed;
    static bool known;
    if (known) return seed;
    const char *given = getenv("MINICLLM_TEST_SEED");
    known = true;
    if (given && *given) {
        seed = strtoull(given, NULL, 10);
    } else {
        uint64_t state = (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
        seed = random_u64(&state) % 1000000000u;
    }
    print_message("# drawn by MINICLLM_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

bool test_sanitized(void) {
    const char *sanitizers = getenv("SANITIZE");
    return sanitizers && *sanitizers;
}

bool test_long(void) {
    const char *asked = getenv("MINICLLM_TEST_LONG");
    return asked && strcmp(asked, "1") == 0;
}

bool test_leaves_out(uint64_t *draw) { return test_sanitized() && !test_long() && random_u64(draw) % 3 != 0; }

size_t test_draw(size_t n, size_t most, size_t *chosen) {
    static uint64_t draws; /* calls before this one */
    uint64_t draw = test_seed() + draws++;
    size_t n_chosen = 0;
    if (test_long()) most = n;
    for (size_t i = 0; i < n && n_chosen < most; i++) /* each remaining case is as likely as the others */
        if (random_u64(&draw) % (n - i) < most - n_chosen) chosen[n_chosen++] = i;
    return n_chosen;
}

void skip_without_device(const char *device, const cllm_error *absence) {
    if (absence->status == CLLM_ERR_DEVICE) {
        printf("# no device of %s: %s\n", device, absence->message);
        skip();
    }
    assert_ok(absence->status, absence);
}

int32_t likeliest(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}
