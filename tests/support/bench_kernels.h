/* check_kernels --bench: the time of each kernel alone, on one thread. */
#ifndef SUPPORT_BENCH_KERNELS_H
#define SUPPORT_BENCH_KERNELS_H

#include "cpu/kernels.h"

/* Prints a table for this instruction set on stdout. */
void bench_kernels(const cpu_kernels *kernels);

#endif
