/* Implements thread_pool.h: fork and join for loops that take microseconds. It needs no locks, and no system calls
 * while the threads are busy.
 *
 *     caller   writes the task -> opens the run -> rings -> takes items ... -> closes the run -> waits until all left
 *     worker   waits for a ring -> enters, if the run is still open -> takes items ... -> leaves
 *
 * Each thread has a share of the items: neighbours, so that a thread knows which memory it reads next. A counter says
 * which item of a share is next. A thread that runs out of items steals from the other shares. A worker that wakes too late stays out
 * of the run, so the caller never waits for a thread that the system has not scheduled. No more threads are woken than
 * there are cores, so more threads than cores cost nothing.
 *
 * A waiting thread first watches a word for a while, and then sleeps on it: with futex(2) on Linux, elsewhere with a
 * condition variable. */
#if defined(__linux__)
#define _GNU_SOURCE /* syscall */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#include "base/thread_pool.h"

#include "base/error.h"
#include "base/system.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 128u        /* of Apple's cores; other CPUs have half of it, but fetch lines in pairs */
#define MAX_LOOKS  10000u      /* most looks at a word before sleeping: a few times as long as waking a thread */
#define MIN_LOOKS  64u         /* fewest looks, after many unsuccessful waits */
#define CLOSED     0x80000000u /* a flag in run_state, above the number of workers inside */

/* ------------------------------------------------------------------------------- a word that threads wait on */

typedef struct bell {
    _Alignas(CACHE_LINE) atomic_uint word;
    atomic_uint n_asleep; /* threads that sleep on it or are about to */
    pthread_mutex_t lock; /* these two are used where there is no futex */
    pthread_cond_t rung;
} bell;

static void bell_init(bell *b, unsigned word) {
    atomic_init(&b->word, word);
    atomic_init(&b->n_asleep, 0);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->rung, NULL);
}

static void bell_destroy(bell *b) {
    pthread_cond_destroy(&b->rung);
    pthread_mutex_destroy(&b->lock);
}

/* Sleep while the word is `value`; may also return early. */
static void bell_sleep(bell *b, unsigned value) {
#if defined(__linux__)
    syscall(SYS_futex, &b->word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    pthread_mutex_lock(&b->lock);
    if (atomic_load(&b->word) == value) pthread_cond_wait(&b->rung, &b->lock);
    pthread_mutex_unlock(&b->lock);
#endif
}

static void bell_wake(bell *b, uint32_t n_threads) {
#if defined(__linux__)
    syscall(SYS_futex, &b->word, FUTEX_WAKE_PRIVATE, n_threads, NULL, NULL, 0);
#else
    pthread_mutex_lock(&b->lock); /* so that a thread between its check and its sleep is not missed */
    for (uint32_t i = 0; i < n_threads; i++) pthread_cond_signal(&b->rung);
    pthread_mutex_unlock(&b->lock);
#endif
}

/* Tell the core that this thread only waits. */
static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

/* Wait while the word is `value`, which the caller has just read. `looks`: how often this thread looks before it
 * sleeps. It doubles when looking was enough, and halves when it was not: on a busy machine, watching only delays the
 * threads that are waited for. */
static void bell_wait(bell *b, unsigned value, uint32_t *looks) {
    for (uint32_t i = 0; i < *looks; i++) {
        if (atomic_load_explicit(&b->word, memory_order_acquire) != value) {
            *looks = *looks < MAX_LOOKS / 2 ? *looks * 2 : MAX_LOOKS;
            return;
        }
        relax();
    }
    if (*looks / 2 >= MIN_LOOKS) *looks /= 2;
    /* No wake-up is lost. This thread increments n_asleep, and then reads the word. The waking thread changes the word,
     * and then reads n_asleep. All four accesses are sequentially consistent, so at least one of the two sees what the
     * other wrote. */
    atomic_fetch_add(&b->n_asleep, 1);
    while (atomic_load(&b->word) == value) bell_sleep(b, value);
    atomic_fetch_sub_explicit(&b->n_asleep, 1, memory_order_relaxed);
}

/* --------------------------------------------------------------------------------------------------- the pool */

typedef struct worker {
    _Alignas(CACHE_LINE) thread_pool *pool;
    uint32_t index;
    uint32_t looks;
    pthread_t thread;
    _Alignas(CACHE_LINE) atomic_size_t next_item; /* the next item of its share */
    size_t end_item;
} worker;

struct thread_pool {
    uint32_t size;
    uint32_t n_started; /* workers to join at the end */
    uint32_t n_useful;  /* threads that get a core of their own; also the number of shares */
    atomic_bool stop;

    thread_task task; /* the current task; written while the run is closed and empty, read inside it */
    void *argument;

    bell start;     /* word: number of runs so far */
    bell run_state; /* word: number of workers inside, and CLOSED */

    worker workers[]; /* [size]; the caller of thread_pool_run is number 0 */
};

/* The memory order of the counters may be relaxed: a thread enters a run after it was opened, and leaves before it
 * ends. Entering and leaving synchronise. */
static void take_items(thread_pool *pool, uint32_t thread) {
    for (uint32_t i = 0; i < pool->n_useful; i++) {
        worker *owner = &pool->workers[(thread + i) % pool->n_useful];
        for (;;) {
            const size_t item = atomic_fetch_add_explicit(&owner->next_item, 1, memory_order_relaxed);
            if (item >= owner->end_item) break;
            pool->task(pool->argument, item, thread);
        }
    }
}

static void share_items(thread_pool *pool, size_t n_items) {
    const size_t each = n_items / pool->n_useful, n_larger = n_items % pool->n_useful;
    size_t next = 0;
    for (uint32_t i = 0; i < pool->n_useful; i++) {
        atomic_store_explicit(&pool->workers[i].next_item, next, memory_order_relaxed);
        next += each + (i < n_larger);
        pool->workers[i].end_item = next;
    }
}

/* Enter the run. Returns false if it is closed. The acquire pairs with the release that opened the run, even if other
 * threads entered and left in between. */
static bool enter(thread_pool *pool) {
    unsigned state = atomic_load_explicit(&pool->run_state.word, memory_order_relaxed);
    while (!(state & CLOSED))
        if (atomic_compare_exchange_weak_explicit(&pool->run_state.word, &state, state + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

/* Leave the run. The decrement is sequentially consistent, as bell_wait needs; its release part passes this worker's
 * results to the caller. */
static void leave(thread_pool *pool) {
    bool last = atomic_fetch_sub(&pool->run_state.word, 1) == (CLOSED | 1);
    if (last && atomic_load(&pool->run_state.n_asleep) > 0) bell_wake(&pool->run_state, 1);
}

static void *worker_main(void *argument) {
    worker *self = argument;
    thread_pool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        bell_wait(&pool->start, seen, &self->looks);
        /* the acquire also makes `stop` and the open run visible */
        seen = atomic_load_explicit(&pool->start.word, memory_order_acquire);
        if (atomic_load_explicit(&pool->stop, memory_order_relaxed)) return NULL;
        if (!enter(pool)) continue;
        take_items(pool, self->index);
        leave(pool);
    }
}

/* Block signals in the threads that are started from now on: the caller's threads handle them. Signals that a thread's
 * own instructions raise are not blocked. before: out, the mask to restore. */
static void block_signals(sigset_t *before) {
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP};
    sigset_t others;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&others, own[i]);
    pthread_sigmask(SIG_BLOCK, &others, before);
}

static cllm_status start_workers(thread_pool *pool, cllm_error *err) {
    sigset_t before;
    int refused = 0;
    block_signals(&before);
    while (pool->n_started + 1 < pool->size && !refused) {
        worker *next = &pool->workers[pool->n_started + 1];
        refused = pthread_create(&next->thread, NULL, worker_main, next);
        if (!refused) pool->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!refused) return CLLM_OK;
    return error_set(err, CLLM_ERR_MEMORY, "cannot start thread %u of %u: %s", pool->n_started + 2, pool->size,
                     strerror(refused));
}

cllm_status thread_pool_create(uint32_t n_threads, thread_pool **out, cllm_error *err) {
    *out = NULL;
    thread_pool *pool = aligned_alloc(CACHE_LINE, sizeof *pool + n_threads * sizeof(worker));
    if (!pool) return error_set(err, CLLM_ERR_MEMORY, "no memory for %u threads", n_threads);
    memset(pool, 0, sizeof *pool);
    const uint32_t n_cores = system_cores();
    pool->size = n_threads;
    pool->n_useful = n_threads < n_cores ? n_threads : n_cores;
    bell_init(&pool->start, 0);
    bell_init(&pool->run_state, CLOSED);
    for (uint32_t i = 0; i < n_threads; i++) pool->workers[i] = (worker){.pool = pool, .index = i, .looks = MAX_LOOKS};
    const cllm_status status = start_workers(pool, err);
    if (status == CLLM_OK)
        *out = pool;
    else
        thread_pool_destroy(pool);
    return status;
}

void thread_pool_destroy(thread_pool *pool) {
    if (!pool) return;
    atomic_store_explicit(&pool->stop, true, memory_order_relaxed);
    atomic_fetch_add(&pool->start.word, 1);
    bell_wake(&pool->start, pool->size);
    for (uint32_t i = 1; i <= pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    bell_destroy(&pool->start);
    bell_destroy(&pool->run_state);
    free(pool);
}

uint32_t thread_pool_size(const thread_pool *pool) { return pool->size; }

/* Start the run for waiting workers. Of those that sleep, wake only as many as there are items and cores for. */
static void ring(thread_pool *pool, size_t n_items) {
    atomic_fetch_add(&pool->start.word, 1);
    const uint32_t n_asleep = atomic_load(&pool->start.n_asleep);
    const uint32_t n_awake = pool->size - n_asleep; /* includes the caller */
    const uint32_t n_wanted = n_items < pool->n_useful ? (uint32_t)n_items : pool->n_useful;
    if (n_asleep > 0 && n_wanted > n_awake) bell_wake(&pool->start, n_wanted - n_awake);
}

void thread_pool_run(thread_pool *pool, size_t n_items, thread_task task, void *argument) {
    if (pool->n_useful == 1 || n_items <= 1) {
        for (size_t item = 0; item < n_items; item++) task(argument, item, 0);
        return;
    }
    pool->task = task;
    pool->argument = argument;
    share_items(pool, n_items);
    /* open the run; the release publishes everything above */
    atomic_store_explicit(&pool->run_state.word, 0, memory_order_release);
    ring(pool, n_items);
    take_items(pool, 0);
    unsigned state = atomic_fetch_or_explicit(&pool->run_state.word, CLOSED, memory_order_acquire) | CLOSED;
    while (state != CLOSED) {
        bell_wait(&pool->run_state, state, &pool->workers[0].looks);
        state = atomic_load_explicit(&pool->run_state.word, memory_order_acquire);
    }
}
