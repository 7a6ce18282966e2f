/* What is counted of a model's work, in the text form of Prometheus, under llama-server's names and more. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "text_stream.h"

#include <pthread.h>

struct choice;
struct served_model;

enum { MOST_BUCKETS = 12 };
typedef struct histogram {
    uint64_t counts[MOST_BUCKETS + 1]; /* the last is above all bounds */
    double sum;
} histogram;

typedef struct metrics {
    pthread_mutex_t lock;
    uint64_t n_prompt, n_cached, n_drawn; /* tokens */
    double prompt_seconds, drawn_seconds;
    uint64_t n_steps, n_rows; /* forward passes, and sequences in them */
    uint64_t n_requests, n_cancelled, n_gave_way;
    uint64_t n_drafted, n_accepted;
    histogram first_token, between_tokens, queue, batch, cached; /* seconds; rows of a step; share of a prompt */
} metrics;

void metrics_init(metrics *m);
void metrics_started(metrics *m, const struct choice *c);
void metrics_ended(metrics *m, const struct choice *c);
void metrics_cancelled(metrics *m);
void metrics_gave_way(metrics *m);

/* One forward pass over n spans, of which n_writing draw a token. */
void metrics_step(metrics *m, size_t n, size_t n_writing, size_t n_read, double seconds);

void metrics_print(struct served_model *model, text_buffer *out);

#endif
