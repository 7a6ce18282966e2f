/* The engine's thread: which choices run, and what each step evaluates.
 *
 * Choices wait in a queue, first come first served within a priority, until there is a slot and pages for their prompt. A step is one forward pass:
 * the next token of every choice that writes, and of prompts as many tokens as keep the step short. When pages run out the youngest choice
 * gives its own back, and is evaluated again later: the bits are the same. */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include "server/request.h"

typedef struct scheduler scheduler;

scheduler *scheduler_create(served_model *model, uint32_t n_slots, size_t most_queued); /* NULL: out of memory */
void scheduler_end_requests(
    scheduler *s); /* all fail, those to come too: the server is shutting down. Returns at once */
void scheduler_destroy(scheduler *s);

/* Queue a request. false: the queue is full. */
bool scheduler_submit(scheduler *s, request *r, failure *f);

/* Run a function in the engine's thread, between two steps, and wait for it. false: that thread has ended. */
bool scheduler_call(scheduler *s, void (*function)(void *user), void *user);

/* A slot, for those who look: in the engine's thread. */
typedef struct slot {
    choice *choice;          /* NULL: it is free */
    bool gave_way;           /* its pages are given to others, */
    uint64_t n_ended_before; /* when so many choices had ended */
    id_list last;            /* tokens of what it had last */
    uint64_t task;           /* counts what ran */
} slot;
slot *scheduler_slots(scheduler *s, uint32_t *n_slots);
cllm_engine *scheduler_engine(scheduler *s);

typedef struct workload {
    size_t n_active, n_queued;
} workload;
workload scheduler_load(scheduler *s);
cllm_stats scheduler_stats(scheduler *s); /* of its engine, after the last step */

#endif
