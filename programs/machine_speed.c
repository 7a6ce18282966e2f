/* Two loops of plain C, which the compiler vectorises, run with as many threads as the model:
 *
 *   reading     sums 64-bit words of a buffer that is far larger than the last cache
 *   arithmetic  float multiply-adds on numbers that stay in the first cache, eight in a row on each number
 *
 * Both are compiled for each vector width that the CPU may have. The arithmetic uses floats: a kernel that multiplies
 * 8-bit integers with special instructions can do more. */
#include "machine_speed.h"

#include "program.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

enum {
    ROUNDS = 5,    /* the best one counts */
    FLOATS = 2048, /* 8 KiB: the first cache holds them */
    STEPS = 8,     /* multiply-adds on a float between its load and its store */
};

static const double round_seconds = 0.04;
static const size_t piece = (1 << 20) / sizeof(uint64_t); /* words that are summed before the clock is read again */

/* ------------------------------------------------------------------------------------------------- loops */

static inline __attribute__((always_inline)) uint64_t sum_words(const uint64_t *words, size_t n_words) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n_words; i++) sum += words[i];
    return sum;
}

/* fused: use one instruction for both, if the CPU has it. From any start the value approaches add / (1 - factor). */
static inline __attribute__((always_inline)) void multiply_add(float *numbers, bool fused) {
    const float factor = 0.75f, add = 0.25f;
    for (int i = 0; i < FLOATS; i++) {
        float x = numbers[i];
        for (int step = 0; step < STEPS; step++) x = fused ? __builtin_fmaf(x, factor, add) : x * factor + add;
        numbers[i] = x;
    }
}

typedef struct loops {
    const char *vectors;
    uint64_t (*sum_words)(const uint64_t *words, size_t n_words);
    void (*multiply_add)(float *numbers);
} loops;

#define LOOPS(name, title, target, fused)                                                                    \
    target static uint64_t sum_words_##name(const uint64_t *words, size_t n) { return sum_words(words, n); } \
    target static void multiply_add_##name(float *numbers) { multiply_add(numbers, fused); }                 \
    static const loops loops_##name = {title, sum_words_##name, multiply_add_##name};

#ifdef __x86_64__
LOOPS(avx512, "AVX-512", __attribute__((target("avx512f"))), true)
LOOPS(avx2, "AVX2", __attribute__((target("avx2,fma"))), true)
LOOPS(baseline, "SSE2", , false)
#elif defined __aarch64__
LOOPS(baseline, "NEON", , true)
#else
LOOPS(baseline, "plain", , false)
#endif

static const loops *best_loops(void) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) return &loops_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &loops_avx2;
#endif
    return &loops_baseline;
}

const char *machine_vectors(void) { return best_loops()->vectors; }

/* ----------------------------------------------------------------------------------------------- threads */

/* The work of one thread. */
typedef struct share {
    pthread_t thread;
    const loops *loops;
    uint64_t *words; /* [n_words], a whole number of pieces */
    size_t n_words, next_word;
    volatile uint64_t sum; /* volatile, so that the sums are computed */
    float numbers[FLOATS];
    double rate; /* bytes or multiply-adds a second in the last round */
} share;

static void *touch(void *argument) {
    share *s = argument;
    memset(s->words, 1, s->n_words * sizeof *s->words); /* the thread that touches memory first has it near (NUMA) */
    for (int i = 0; i < FLOATS; i++) s->numbers[i] = (float)i;
    return NULL;
}

static void *read_words(void *argument) {
    share *s = argument;
    double n_bytes = 0, start = now(), seconds;
    do {
        s->sum += s->loops->sum_words(s->words + s->next_word, piece);
        s->next_word = (s->next_word + piece) % s->n_words;
        n_bytes += (double)(piece * sizeof *s->words);
        seconds = now() - start;
    } while (seconds < round_seconds);
    s->rate = n_bytes / seconds;
    return NULL;
}

static void *compute(void *argument) {
    share *s = argument;
    double n_multiply_adds = 0, start = now(), seconds;
    do {
        for (int pass = 0; pass < 64; pass++) s->loops->multiply_add(s->numbers);
        n_multiply_adds += 64.0 * FLOATS * STEPS;
        seconds = now() - start;
    } while (seconds < round_seconds);
    s->rate = n_multiply_adds / seconds;
    return NULL;
}

/* Run the task on all threads at once. Returns the sum of their rates, or NAN if the system refused a thread. */
static double run_on_all(share *shares, uint32_t n, void *(*task)(void *)) {
    uint32_t started = 1;
    while (started < n && pthread_create(&shares[started].thread, NULL, task, &shares[started]) == 0) started++;
    task(&shares[0]);
    double rate = shares[0].rate;
    for (uint32_t i = 1; i < started; i++) {
        pthread_join(shares[i].thread, NULL);
        rate += shares[i].rate;
    }
    return started == n ? rate : NAN;
}

static double best_rate(share *shares, uint32_t n, void *(*task)(void *)) {
    double best = run_on_all(shares, n, task);
    for (int round = 1; round < ROUNDS; round++) best = fmax(best, run_on_all(shares, n, task));
    return best;
}

machine_speed machine_measure(uint32_t n_threads) {
    /* the parts together are 256 MiB or more: several times as large as most last caches */
    const size_t pieces = n_threads == 1 ? 256 : n_threads <= 16 ? 128 : n_threads <= 64 ? 64 : 1 + 4096 / n_threads;
    const size_t words_each = pieces * piece;
    machine_speed speed = {n_threads, NAN, NAN};
    share *shares = calloc(n_threads, sizeof *shares);
    uint64_t *words = malloc(n_threads * words_each * sizeof *words);
    for (uint32_t i = 0; shares && words && i < n_threads; i++) {
        shares[i].loops = best_loops();
        shares[i].words = words + i * words_each;
        shares[i].n_words = words_each;
    }
    if (shares && words && !isnan(run_on_all(shares, n_threads, touch))) {
        speed.read_gb_s = best_rate(shares, n_threads, read_words) / 1e9;
        speed.float_gmac_s = best_rate(shares, n_threads, compute) / 1e9;
    }
    free(words);
    free(shares);
    return speed;
}

/* --------------------------------------------------------------------------------------------------- CPU */

cpu_name machine_cpu(void) {
    cpu_name cpu = {""};
#ifdef __APPLE__
    size_t size = sizeof cpu.text;
    if (sysctlbyname("machdep.cpu.brand_string", cpu.text, &size, NULL, 0) != 0) cpu.text[0] = '\0';
#else
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && !*cpu.text && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0) sscanf(line, "%*[^:]: %95[^\n]", cpu.text);
    if (file) fclose(file);
#endif
    return cpu;
}
