/* Measures each kernel of a GPU in decoding one token: how often it is launched, how long that takes, and how near
 * its memory traffic comes to the speed of the GPU's memory. Each launch is run many times in a row. */
#include "engine/engine.h"

#include <stdio.h>
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

static void print_times(const kernel_times *times, unsigned depth) {
    kernel_time sum = {.name = "all"};
    for (size_t i = 1; i < times->count; i++) {
        sum.launches += times->kernels[i].launches;
        sum.seconds += times->kernels[i].seconds;
        sum.bytes += times->kernels[i].bytes;
    }
    const double copy = gb_s(&times->kernels[0]);
    printf("kernels of a token after %u; a copy of memory does %.1f GB/s\n%-40s %8s %10s %8s %8s %6s\n", depth, copy,
           "kernel", "launches", "us", "MB", "GB/s", "copy");
    for (size_t i = 1; i <= times->count; i++) {
        const kernel_time *k = i < times->count ? &times->kernels[i] : &sum;
        printf("%-40s %8u %10.1f %8.2f %8.2f %5.0f%%\n", k->name, k->launches, k->seconds * 1e6, (double)k->bytes / 1e6,
               gb_s(k), copy > 0 ? 100 * gb_s(k) / copy : 0);
    }
}

/* Evaluates `depth` tokens, and then one more, for which each launch is repeated and measured. */
static cllm_status measure(cllm_engine *engine, cllm_sequence *sequence, int32_t *tokens, unsigned depth,
                           kernel_times *times, cllm_error *err) {
    forward_gpu *forward = engine->offload.forward;
    cllm_span span = {.sequence = sequence, .tokens = tokens, .count = depth, .want = CLLM_WANT_NOTHING};
    cllm_status status = depth > 0 ? cllm_eval(engine, &span, 1, err) : CLLM_OK;
    if (status == CLLM_OK) status = forward_gpu_measure(forward, REPETITIONS, add_launch, times, err);
    span.count = 1;
    span.want = CLLM_WANT_LAST;
    if (status == CLLM_OK) status = cllm_eval(engine, &span, 1, err);
    forward_gpu_measure(forward, 0, NULL, NULL, NULL);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: time_gpu MODEL.gguf DEVICE [DEPTH]\n");
        return 2;
    }
    const unsigned depth = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    const cllm_engine_options options = {.device = argv[2], .gpu_layers = CLLM_GPU_LAYERS_ALL, .n_ctx = depth + 1};
    cllm_model *model = NULL;
    cllm_engine *engine = NULL;
    cllm_sequence *sequence = NULL;
    cllm_error err = {.message = "out of memory"};
    kernel_times *times = calloc(1, sizeof *times);
    int32_t *tokens = calloc(depth + 1, sizeof *tokens);
    cllm_status status = times && tokens ? CLLM_OK : CLLM_ERR_MEMORY;
    if (status == CLLM_OK) status = cllm_model_load(argv[1], NULL, &model, &err);
    if (status == CLLM_OK) status = cllm_engine_create(model, &options, &engine, &err);
    if (status == CLLM_OK) status = cllm_sequence_create(engine, &sequence, &err);
    if (status == CLLM_OK) status = measure(engine, sequence, tokens, depth, times, &err);
    if (status == CLLM_OK)
        print_times(times, depth);
    else
        fprintf(stderr, "time_gpu: %s\n", err.message);
    cllm_sequence_destroy(sequence);
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
    free(tokens);
    free(times);
    return status != CLLM_OK;
}
