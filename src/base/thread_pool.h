/* Threads that share the work of a loop, one loop at a time. */
#ifndef BASE_THREAD_POOL_H
#define BASE_THREAD_POOL_H

#include "cllm.h"

typedef struct thread_pool thread_pool;

/* Starts n_threads - 1 threads; the caller of thread_pool_run works too. n_threads: 1 or more. Between runs they wait
 * for the next one: busily for a fraction of a millisecond, then asleep. out: owned. Errors: MEMORY (also: the system
 * refuses a thread). */
cllm_status thread_pool_create(uint32_t n_threads, thread_pool **out, cllm_error *err);
void thread_pool_destroy(thread_pool *pool);
uint32_t thread_pool_size(const thread_pool *pool);

/* Call task(argument, item, thread) once for each item of 0..n_items-1, on any thread and in any order; return when all
 * are done. thread: 0..size-1, for scratch buffers. The tasks see what the caller wrote before, and the caller sees
 * what the tasks wrote. Not to be nested, and not to be called by two threads at once. */
typedef void (*thread_task)(void *argument, size_t item, uint32_t thread);
void thread_pool_run(thread_pool *pool, size_t n_items, thread_task task, void *argument);

#endif
