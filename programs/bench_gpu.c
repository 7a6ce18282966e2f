/* What each kernel of a GPU does in decoding one token: how often it is launched, how long that takes, and how near its memory
 * traffic comes to what the GPU's memory can do. Before: bench.c, which brings the session to the depth. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

enum { REPETITIONS = 20, MOST_KERNELS = 64 };

typedef struct kernel_time {
    char name[64];
    unsigned launches;
    double seconds;
    uint64_t bytes;
} kernel_time;

typedef struct kernel_times {
    kernel_time kernels[MOST_KERNELS]; /* [count], in the order of their first launch; "copy" is the first */
    size_t count;
} kernel_times;

static void add_launch(void *user, const char *name, double seconds, uint64_t bytes) {
    kernel_times *times = user;
    size_t i = 0;
    while (i < times->count && strcmp(times->kernels[i].name, name) != 0) i++;
    if (i == MOST_KERNELS) return;
    kernel_time *kernel = &times->kernels[i];
    if (i == times->count) {
        snprintf(kernel->name, sizeof kernel->name, "%s", name);
        times->count++;
    }
    kernel->launches++;
    kernel->seconds += seconds;
    kernel->bytes += bytes;
}

static double gb_s(const kernel_time *k) { return k->seconds > 0 ? (double)k->bytes / k->seconds / 1e9 : 0; }

int bench_gpu_kernels(const run *r, int32_t token) {
    kernel_times *times = calloc(1, sizeof *times);
    if (!times) return fail("out of memory");
    cllm_error err;
    int status = EXIT_SUCCESS;
    if (cllm_session_measure_gpu(r->session, token, REPETITIONS, add_launch, times, &err) != CLLM_OK)
        status = fail_with(&err);
    if (status == EXIT_SUCCESS) {
        kernel_time sum = {.name = "all"};
        for (size_t i = 1; i < times->count; i++) {
            sum.launches += times->kernels[i].launches;
            sum.seconds += times->kernels[i].seconds;
            sum.bytes += times->kernels[i].bytes;
        }
        const double copy = gb_s(&times->kernels[0]);
        fprintf(stderr, "kernels of a token after %u; a copy of memory does %.1f GB/s\n%-40s %8s %10s %8s %8s %6s\n",
                cllm_session_position(r->session), copy, "kernel", "launches", "us", "MB", "GB/s", "copy");
        for (size_t i = 1; i <= times->count; i++) {
            const kernel_time *k = i < times->count ? &times->kernels[i] : &sum;
            fprintf(stderr, "%-40s %8u %10.1f %8.2f %8.2f %5.0f%%\n", k->name, k->launches, k->seconds * 1e6,
                    (double)k->bytes / 1e6, gb_s(k), copy > 0 ? 100 * gb_s(k) / copy : 0);
        }
    }
    free(times);
    return status;
}
