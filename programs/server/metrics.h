/* Counts the work of a model, and prints it in Prometheus' text form, under llama-server's names and some more. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "text_stream.h"

#include <pthread.h>

struct choice;
struct served_model;

enum { MOST_BUCKETS = 12 };
typedef struct histogram {
    uint64_t counts[MOST_BUCKETS + 1]; /* the last one is above all bounds */
    double sum;
} histogram;

typedef struct metrics {
    pthread_mutex_t lock;
    uint64_t n_prompt, n_cached, n_drawn; /* prompt tokens evaluated, prompt tokens from the cache, drawn tokens */
    double prompt_seconds, drawn_seconds;
    uint64_t n_steps, n_rows; /* forward passes, and sequences in them */
    uint64_t n_written;       /* tokens drawn in steps without prompts */
    double writing_seconds;   /* how long these steps took */
    uint64_t n_requests, n_cancelled;
    uint64_t n_gave_way; /* times that a request gave its pages to others */
    uint64_t n_drafted, n_accepted;
    /* three of seconds, then sequences of a step, and the share of a prompt that came from the cache */
    histogram first_token, between_tokens, queue, batch, cached;
} metrics;

void metrics_init(metrics *m);
void metrics_started(metrics *m, const struct choice *c);
void metrics_ended(metrics *m, const struct choice *c);
void metrics_cancelled(metrics *m);
void metrics_gave_way(metrics *m);

/* One step: a forward pass and its results. */
typedef struct step_count {
    size_t n_spans;
    size_t n_writing; /* spans that draw a token */
    size_t n_read;    /* tokens of prompts in the other spans */
    size_t n_drawn;   /* tokens */
    double seconds;
} step_count;
void metrics_step(metrics *m, const step_count *n);

void metrics_print(struct served_model *model, text_buffer *out);

#endif
