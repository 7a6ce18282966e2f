/* Runs the threads of a GPU's group as fibers on one thread of the host. Kernels that were compiled for the host can so
 * meet at barriers and exchange values. The stand-ins for GPU APIs share it. Before: the stand-in, which compiled a
 * kernel and now runs its groups one after another. After: the kernel, whose fibers call the functions below.
 *
 * It is strict: if only some threads of a group or team reach a meeting point, the program ends with a message that
 * names the kernel. A kernel in a shared object finds these functions if the program is linked with -rdynamic. */
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
    FIBERS_SHARED = 32,     /* most bytes that a thread shares with its team at a time */
    FIBERS_STACK = 1 << 18, /* bytes of a thread's own variables and calls */
};

/* Calls entry(user, thread) for each thread below n_threads, a multiple of FIBERS_TEAM, and returns when all have
 * returned. Between two barriers the threads run one after another by rising number, or falling number if `reversed`.
 * A kernel that lacks a barrier gives a different result in one of the orders. kernel: a name for messages. Only one
 * group runs at a time: other threads of the host wait with theirs. */
void fibers_run_group(const char *kernel, uint32_t n_threads, bool reversed, void (*entry)(void *user, uint32_t thread),
                      void *user);

/* From within a fiber: */

uint32_t fibers_thread(void); /* this thread's number in the group */
bool fibers_first(void);      /* true if this thread is the first of the group to run */

/* Waits for all threads of the group. */
void fibers_barrier(void);

/* Waits for all threads of the team, each of which brings n_bytes <= FIBERS_SHARED. Returns the bytes of all:
 * FIBERS_TEAM times FIBERS_SHARED, in the order of the threads, and valid until the fiber's next call of this function
 * or of fibers_exchange. what: the function that the kernel called, which must be the same for all. */
const void *fibers_share(const char *what, const void *value, size_t n_bytes);

/* Returns the value that the team's thread `from` (below FIBERS_TEAM) brings. */
float fibers_exchange(const char *what, float value, uint32_t from);

/* Ends the program with "look-alike: kernel NAME: ..." on standard error; outside of kernels, without the name. */
void fibers_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
