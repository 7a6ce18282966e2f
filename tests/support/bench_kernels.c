/* Runs each kernel again and again on data that stays in the cache, and takes the best of many runs: the time of the
 * arithmetic, without the memory. It is the thread's own time (CPU time), so other work on the machine disturbs it
 * little. */
#include "support/bench_kernels.h"

#include "model/kv_store.h"
#include "support/random_blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 128, COLUMNS = 2048, MOST_TOKENS = 512, N_RUNS = 20, HEAD = 64, GROUP = 8, WIDTH = 2048 };

typedef struct bench {
    const cpu_kernels *kernels;
    matrix w;
    activations x;
    size_t n_tokens;
    kv_chunk chunk;
    visible_range visible[GROUP];
    attention_part parts[GROUP];
    float *floats[4]; /* [MOST_TOKENS][COLUMNS] each */
    int8_t *quantized;
    activation_block *blocks;
    void *scratch;
} bench;

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one call: the best of N_RUNS runs, each of at least a millisecond. */
static double time_of(void (*call)(bench *), bench *b) {
    double best = 1e9;
    size_t n_calls = 1;
    for (int run = 0; run < N_RUNS;) {
        const double start = cpu_seconds();
        for (size_t i = 0; i < n_calls; i++) call(b);
        const double seconds = cpu_seconds() - start;
        if (seconds < 1e-3 && run == 0 && n_calls < 1u << 20) {
            n_calls *= 2;
            continue;
        }
        if (seconds / (double)n_calls < best) best = seconds / (double)n_calls;
        run++;
    }
    return best;
}

static void *room(size_t n_bytes) {
    void *bytes = aligned_alloc(64, (n_bytes + 63) / 64 * 64);
    if (!bytes) abort();
    memset(bytes, 0x11, n_bytes);
    return bytes;
}

static void run_matmul(bench *b) {
    b->kernels->matmul(&b->w, 0, ROWS, &b->x, b->n_tokens, b->floats[1], ROWS, b->scratch);
}
static void run_attend(bench *b) {
    b->kernels->attend(&b->chunk, b->floats[0], b->visible, GROUP, 0, b->parts, b->floats[1]);
}
static void run_rms_norm(bench *b) { b->kernels->rms_norm(b->floats[0], b->floats[2], 1e-5f, WIDTH, b->floats[1]); }
static void run_layer_norm(bench *b) { b->kernels->layer_norm(b->floats[0], b->floats[2], 1e-5f, WIDTH, b->floats[1]); }
static void run_swiglu(bench *b) { b->kernels->activate(SWIGLU, NULL, b->floats[1], b->floats[0], WIDTH); }
static void run_gelu(bench *b) { b->kernels->activate(GELU, NULL, b->floats[1], NULL, WIDTH); }
static void run_rope(bench *b) { b->kernels->rope(b->floats[1], b->floats[0], b->floats[2], WIDTH / 2); }
static void run_rope_halves(bench *b) { b->kernels->rope_halves(b->floats[1], b->floats[0], b->floats[2], WIDTH / 2); }
static void run_quantize(bench *b) { b->kernels->quantize(b->floats[0], WIDTH, b->quantized, b->blocks); }

static void bench_matmul(bench *b, quant_type type, const char *name) {
    static const size_t tokens[] = {1, 2, 4, 8, 16, 64, MOST_TOKENS};
    const quant_layout *layout = quant_type_layout(type);
    const size_t row_bytes = COLUMNS / layout->block_elements * layout->block_bytes;
    uint8_t *blocks = room(ROWS * row_bytes + 64);
    uint64_t random = 1;
    random_blocks(type, blocks, ROWS * row_bytes / layout->block_bytes, &random);
    b->w = (matrix){blocks, type, ROWS, COLUMNS, row_bytes, false, 1, NULL};
    printf("matmul %-8s", name);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        b->n_tokens = tokens[i];
        const double seconds = time_of(run_matmul, b);
        if (i == 0) printf(" %6.1f GB/s |", (double)(ROWS * row_bytes) / seconds / 1e9);
        printf(" %4zu: %6.1f", tokens[i], (double)ROWS * COLUMNS * (double)tokens[i] / seconds / 1e9);
    }
    printf("  GMAC/s by tokens\n");
    free(blocks);
}

static void bench_attend(bench *b, cllm_kv_type type, const char *name) {
    b->chunk = (kv_chunk){.type = type,
                          .key_length = HEAD,
                          .value_length = HEAD,
                          .keys = room(KV_CHUNK * HEAD * 4),
                          .values = room(KV_CHUNK * HEAD * 4),
                          .key_scales = room(KV_CHUNK * 16),
                          .value_scales = room(KV_CHUNK * 16)};
    for (size_t q = 0; q < GROUP; q++) b->visible[q] = (visible_range){.end = KV_CHUNK};
    const double macs = 2.0 * KV_CHUNK * HEAD * GROUP, seconds = time_of(run_attend, b);
    printf("attend %-8s %6.1f GB/s | %6.1f GMAC/s, %d queries of %d\n", name,
           2.0 * KV_CHUNK * HEAD * (double)kv_element_bytes(type) / seconds / 1e9, macs / seconds / 1e9, GROUP, HEAD);
    free(b->chunk.keys);
    free(b->chunk.values);
    free(b->chunk.key_scales);
    free(b->chunk.value_scales);
}

static void bench_step(bench *b, const char *name, void (*call)(bench *)) {
    printf("%-15s %6.2f elements a nanosecond\n", name, WIDTH / time_of(call, b) / 1e9);
}

void bench_kernels(const cpu_kernels *kernels) {
    bench b = {.kernels = kernels,
               .quantized = room((size_t)MOST_TOKENS * COLUMNS),
               .blocks = room(MOST_TOKENS * COLUMNS / ACTIVATION_BLOCK * sizeof(activation_block)),
               .scratch = room(kernels->matmul_scratch_bytes(COLUMNS))};
    for (size_t i = 0; i < 4; i++) b.floats[i] = room((size_t)MOST_TOKENS * COLUMNS * sizeof(float));
    b.x = (activations){COLUMNS, b.floats[0], b.quantized, b.blocks};
    printf("%s, one thread, in the cache\n", kernels->name);
#define X(name, number, elements, bytes) bench_matmul(&b, QUANT_##name, #name);
    COMPUTE_TYPES(X)
#undef X
    bench_attend(&b, CLLM_KV_F32, "f32");
    bench_attend(&b, CLLM_KV_F16, "f16");
    bench_attend(&b, CLLM_KV_Q8_0, "q8_0");
    bench_step(&b, "rms_norm", run_rms_norm);
    bench_step(&b, "layer_norm", run_layer_norm);
    bench_step(&b, "swiglu", run_swiglu);
    bench_step(&b, "gelu", run_gelu);
    bench_step(&b, "rope", run_rope);
    bench_step(&b, "rope_halves", run_rope_halves);
    if (kernels->quantize) bench_step(&b, "quantize", run_quantize);
    for (size_t i = 0; i < 4; i++) free(b.floats[i]);
    free(b.quantized);
    free(b.blocks);
    free(b.scratch);
}
