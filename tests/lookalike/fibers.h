/* Runs the threads of a GPU's group as fibers on one thread of the host: how kernels compiled for the host meet at
 * barriers and exchange values. Shared by the stand-ins for GPU APIs in this folder. Before: the stand-in that compiled
 * a kernel and now runs its groups one after another. After: the kernel, which calls what is below from its fibers.
 *
 * Strict: whatever only some threads of a group or team reach ends the program with a message that names the kernel. A
 * kernel in a shared object finds these functions where the program is linked with -rdynamic. */
#ifndef LOOKALIKE_FIBERS_H
#define LOOKALIKE_FIBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum {
    FIBERS_MOST = 1024,     /* threads of a group */
    FIBERS_TEAM = 32,       /* threads of a SIMD group or warp */
    FIBERS_SHARED = 32,     /* bytes at most that a thread shares with its team at a time */
    FIBERS_STACK = 1 << 18, /* bytes of a thread's own variables and calls */
};

/* Call entry(user, thread) for each thread below n_threads, a multiple of FIBERS_TEAM, and return when all have returned.
 * Between two barriers the threads run one after another by rising number, or by falling number where `reversed`: a
 * kernel that lacks a barrier computes something else in one of the orders. kernel: a name for messages. Groups of other
 * threads of the host wait. */
void fibers_run_group(const char *kernel, uint32_t n_threads, bool reversed, void (*entry)(void *user, uint32_t thread),
                      void *user);

/* From within a fiber: */

uint32_t fibers_thread(void); /* its number in the group */
bool fibers_first(void);      /* does it run first of the group? */

/* Wait for all threads of the group. */
void fibers_barrier(void);

/* Wait for all threads of the team, each of which brings n_bytes <= FIBERS_SHARED. Returns what all brought: FIBERS_TEAM
 * times FIBERS_SHARED bytes, in the order of the threads and valid until the fiber's next call of this function or
 * fibers_exchange. what: the function that the kernel called, which must be the same for all. */
const void *fibers_share(const char *what, const void *value, size_t n_bytes);

/* The value that the team's thread `from` (below FIBERS_TEAM) brings. */
float fibers_exchange(const char *what, float value, uint32_t from);

/* End the program with "look-alike: kernel NAME: ..." on standard error. Outside of kernels without the name. */
void fibers_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
