/* The engine's thread: decides which choices run, and what each step evaluates.
 *
 * Choices wait in a queue until there is a slot and pages for their prompt. Within a priority, the first to come is the
 * first served. A step is one forward pass: the next token of every choice that writes, and as many tokens of prompts
 * as keep the step short. If pages run out, the youngest choice gives its pages to others and is evaluated again later;
 * the bits are the same. */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include "server/request.h"

typedef struct scheduler scheduler;

scheduler *scheduler_create(served_model *model, uint32_t n_slots, size_t most_queued); /* NULL: out of memory */
void scheduler_destroy(scheduler *s);

/* The server is shutting down: fail all requests, even later ones. Returns at once. */
void scheduler_end_requests(scheduler *s);

/* Queue a request. false: the queue is full. */
bool scheduler_submit(scheduler *s, request *r, failure *f);

/* Run a function in the engine's thread, between two steps, and wait for it. false: the thread has ended. */
bool scheduler_call(scheduler *s, void (*function)(void *user), void *user);

/* The state of a slot, for observers. Belongs to the engine's thread. */
typedef struct slot {
    choice *choice;          /* NULL: free */
    bool gave_way;           /* its pages were given to other choices */
    uint64_t n_ended_before; /* how many choices had ended when it gave way */
    id_list last;            /* tokens of the last choice here */
    uint64_t task;           /* number of the choice, counting all that ran */
} slot;
slot *scheduler_slots(scheduler *s, uint32_t *n_slots);
cllm_engine *scheduler_engine(scheduler *s);

typedef struct workload {
    size_t n_active, n_queued;
} workload;
workload scheduler_load(scheduler *s);
cllm_stats scheduler_stats(scheduler *s); /* of its engine, after the last step */

#endif
