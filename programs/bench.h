/* The measurements of `mini-cllm bench`. bench.c runs the model, bench_compare.c runs another program in turn with it,
 * and bench_report.c prints the results. */
#ifndef BENCH_H
#define BENCH_H

#include "machine_speed.h"
#include "options.h"
#include "program.h"

#define BENCH_MOST_RUNS      100 /* of a test */
#define BENCH_MOST_SEQUENCES 1024

/* Evaluate many tokens at once, or one by one, after other tokens that are in the context already. */
typedef enum bench_kind {
    BENCH_PROMPT,
    BENCH_DECODE,
} bench_kind;

/* The speed of one kind of test. NAN: not measured. */
typedef struct bench_speed {
    double tok_s, tok_s_spread, tok_s_min, tok_s_max; /* the median; half the distance between the quartiles */
    double tok_s_each;                                /* of one sequence */
    double gmac_s;                                    /* multiply-accumulates a second, / 1e9 */
    double gb_s;                /* of decoding: bytes of weights, keys and values read a second, / 1e9 */
    double theirs_tok_s, ratio; /* of --compare: the other program's median; the median of ours / theirs */
} bench_speed;

/* The tests with one combination of the options' values (threads, batch, depth ...), and their speeds. Texts are
 * borrowed from the options and the library. */
typedef struct bench_result {
    const char *model; /* the file's name, without its folders */
    const char *file;  /* its path as given */
    const char *cpu_isa, *kv_type, *device;
    uint64_t file_bytes;
    uint64_t threads, batch, prompt, depth, gen;
    uint64_t sequences; /* sequences that decode together; 0: --sequences is not given, so one sequence decodes */
    uint64_t gpu_layers;
    bench_speed speed[BENCH_DECODE + 1];
    double launches, launched_bytes; /* of the GPU for the first token decoded after `depth`; NAN without a GPU */
    machine_speed machine;           /* with the same number of threads; NAN if a GPU computes */
} bench_result;

typedef struct bench_results {
    bench_result *items; /* [count], owned */
    size_t count, capacity;
    machine_speed *machines; /* [n_machines], owned: one for each number of threads */
    size_t n_machines;
    char gpu[192]; /* API and name of the GPU that was used, or "" */
} bench_results;

static inline uint64_t bench_n_tokens(const bench_result *test, bench_kind kind) {
    return kind == BENCH_PROMPT ? test->prompt : test->gen;
}

typedef struct test_name {
    char text[64];
} test_name;

/* "pp512", "tg128@1024", "bt8@1024": the kind, the tokens or sequences, and the depth if there is one. */
test_name bench_test_name(const bench_result *test, bench_kind kind);

/* A quantile of the values: 0.5 gives the median, 0.25 and 0.75 the quartiles. values: sorted in place. */
double bench_quantile(double *values, size_t count, double at);

/* Check that the template has only known {placeholders}. Returns an exit status, after naming an unknown one. */
int bench_compare_check(const char *template);

/* Run o->compare once for one kind of test, with 0 tokens for the other kind, and read the speed from its last line.
 * Returns an exit status, after saying why. */
int bench_compare_run(const options *o, const bench_result *test, bench_kind kind, double *tok_s);

/* Print the results in the form that the options want. Returns an exit status, after saying why. */
int bench_report(const options *o, const bench_results *results);

#endif
