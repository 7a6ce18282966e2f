/* Workers sleep on a condition variable between runs and take items from an atomic counter within one. */
#include "base/thread_pool.h"

#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct worker {
    thread_pool *pool;
    uint32_t index; /* 1..size-1; 0 is the caller of run */
    pthread_t thread;
} worker;

struct thread_pool {
    uint32_t size;
    uint32_t n_started; /* workers to join */

    pthread_mutex_t lock; /* guards everything down to `stop` */
    pthread_cond_t work_is_here;
    pthread_cond_t all_idle;
    uint64_t generation; /* counts the runs */
    uint32_t n_busy;     /* workers that have not finished this run */
    bool stop;

    thread_task task; /* of this run */
    void *argument;
    size_t n_items;
    atomic_size_t next_item;

    worker workers[];
};

static void take_items(thread_pool *pool, uint32_t thread) {
    for (;;) {
        size_t item = atomic_fetch_add_explicit(&pool->next_item, 1, memory_order_relaxed);
        if (item >= pool->n_items) return;
        pool->task(pool->argument, item, thread);
    }
}

static void *worker_main(void *argument) {
    worker *self = argument;
    thread_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->generation == seen && !pool->stop) pthread_cond_wait(&pool->work_is_here, &pool->lock);
        if (pool->stop) break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->lock);
        take_items(pool, self->index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->n_busy == 0) pthread_cond_signal(&pool->all_idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

cllm_status thread_pool_create(uint32_t n_threads, thread_pool **out, cllm_error *err) {
    *out = NULL;
    thread_pool *pool = calloc(1, sizeof *pool + n_threads * sizeof(worker));
    if (!pool) return error_set(err, CLLM_ERR_MEMORY, "no memory for %u threads", n_threads);
    pool->size = n_threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work_is_here, NULL);
    pthread_cond_init(&pool->all_idle, NULL);
    for (uint32_t i = 1; i < n_threads; i++) {
        pool->workers[i] = (worker){.pool = pool, .index = i};
        int refused = pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]);
        if (refused) {
            thread_pool_destroy(pool);
            return error_set(err, CLLM_ERR_MEMORY, "cannot start thread %u of %u: %s", i + 1, n_threads,
                             strerror(refused));
        }
        pool->n_started++;
    }
    *out = pool;
    return CLLM_OK;
}

void thread_pool_destroy(thread_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work_is_here);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 1; i <= pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->all_idle);
    pthread_cond_destroy(&pool->work_is_here);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

uint32_t thread_pool_size(const thread_pool *pool) { return pool->size; }

void thread_pool_run(thread_pool *pool, size_t n_items, thread_task task, void *argument) {
    pool->task = task;
    pool->argument = argument;
    pool->n_items = n_items;
    atomic_store_explicit(&pool->next_item, 0, memory_order_relaxed);
    bool alone = pool->size == 1 || n_items == 1;
    if (!alone) {
        pthread_mutex_lock(&pool->lock); /* publishes the task to the workers */
        pool->generation++;
        pool->n_busy = pool->size - 1;
        pthread_cond_broadcast(&pool->work_is_here);
        pthread_mutex_unlock(&pool->lock);
    }
    take_items(pool, 0);
    if (!alone) {
        pthread_mutex_lock(&pool->lock);
        while (pool->n_busy > 0) pthread_cond_wait(&pool->all_idle, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
    }
}
