/* Measures the limits of this machine, to compare a model's speed with them. */
#ifndef MACHINE_SPEED_H
#define MACHINE_SPEED_H

#include <stdint.h>

typedef struct machine_speed {
    uint32_t n_threads;
    double read_gb_s;    /* bytes of memory summed a second, / 1e9; NAN if memory or threads were refused */
    double float_gmac_s; /* float multiply-adds a second, / 1e9 */
} machine_speed;

/* Takes a few tenths of a second. n_threads: 1 or more. */
machine_speed machine_measure(uint32_t n_threads);

/* The vectors that the multiply-adds use: "AVX-512", "AVX2", ... */
const char *machine_vectors(void);

typedef struct cpu_name {
    char text[96]; /* "" if the system does not tell */
} cpu_name;
cpu_name machine_cpu(void);

#endif
