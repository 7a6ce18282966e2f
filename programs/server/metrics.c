/* Implements metrics.h. */
#include "server/metrics.h"

#include "server/completion.h"
#include "server/models.h"
#include "server/scheduler.h"
#include "server/write.h"

#include <inttypes.h>

static const double times[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10};
static const double waits[] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120};
static const double rows[] = {1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128, 256};
static const double shares[] = {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1};

static void observe(histogram *h, const double *bounds, double value) {
    size_t i = 0;
    while (i < MOST_BUCKETS && value > bounds[i]) i++;
    h->counts[i]++;
    h->sum += value;
}

void metrics_init(metrics *m) {
    *m = (metrics){.n_steps = 0};
    pthread_mutex_init(&m->lock, NULL);
}

void metrics_started(metrics *m, const choice *c) {
    pthread_mutex_lock(&m->lock);
    m->n_requests++;
    observe(&m->queue, waits, c->started - c->queued);
    pthread_mutex_unlock(&m->lock);
}

void metrics_ended(metrics *m, const choice *c) {
    pthread_mutex_lock(&m->lock);
    m->n_prompt += c->usage.n_read > c->usage.n_cached ? c->usage.n_read - c->usage.n_cached : 0;
    m->n_cached += c->usage.n_cached;
    observe(&m->cached, shares, (double)c->usage.n_cached / (double)c->prompt->count);
    m->n_drawn += c->usage.n_drawn;
    m->prompt_seconds += c->usage.prompt_ms / 1000;
    m->drawn_seconds += c->usage.drawn_ms / 1000;
    m->n_drafted += c->usage.n_drafted;
    m->n_accepted += c->usage.n_accepted;
    if (c->read > 0) observe(&m->first_token, waits, c->read - c->request->received);
    pthread_mutex_unlock(&m->lock);
}

void metrics_cancelled(metrics *m) {
    pthread_mutex_lock(&m->lock);
    m->n_cancelled++;
    pthread_mutex_unlock(&m->lock);
}

void metrics_gave_way(metrics *m) {
    pthread_mutex_lock(&m->lock);
    m->n_gave_way++;
    pthread_mutex_unlock(&m->lock);
}

void metrics_step(metrics *m, const step_count *n) {
    pthread_mutex_lock(&m->lock);
    m->n_steps++;
    m->n_rows += n->n_spans;
    if (n->n_read == 0) {
        m->n_written += n->n_drawn;
        m->writing_seconds += n->seconds;
    }
    observe(&m->batch, rows, (double)n->n_spans);
    for (size_t i = 0; i < n->n_writing; i++) observe(&m->between_tokens, times, n->seconds);
    pthread_mutex_unlock(&m->lock);
}

static void print_value(text_buffer *out, const char *name, const char *type, const char *help, double value) {
    write_text(out, "# HELP llamacpp:%s %s\n# TYPE llamacpp:%s %s\nllamacpp:%s %.9g\n", name, help, name, type, name,
               value);
}

static void print_histogram(text_buffer *out, const char *name, const char *help, const histogram *h,
                            const double *bounds) {
    uint64_t n = 0;
    write_text(out, "# HELP cllm:%s %s\n# TYPE cllm:%s histogram\n", name, help, name);
    for (size_t i = 0; i < MOST_BUCKETS; i++) {
        n += h->counts[i];
        write_text(out, "cllm:%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, bounds[i], n);
    }
    n += h->counts[MOST_BUCKETS];
    write_text(out, "cllm:%s_bucket{le=\"+Inf\"} %" PRIu64 "\ncllm:%s_sum %.9g\ncllm:%s_count %" PRIu64 "\n", name, n,
               name, h->sum, name, n);
}

static double rate(uint64_t n, double seconds) { return seconds > 0 ? (double)n / seconds : 0; }

void metrics_print(served_model *model, text_buffer *out) {
    metrics *m = &model->metrics;
    const workload now_there = scheduler_load(model->scheduler);
    const cllm_stats stats = model_stats(model);
    pthread_mutex_lock(&m->lock);
    print_value(out, "prompt_tokens_total", "counter", "Prompt tokens evaluated.", (double)m->n_prompt);
    print_value(out, "prompt_seconds_total", "counter", "Time that prompts took, in seconds.", m->prompt_seconds);
    print_value(out, "tokens_predicted_total", "counter", "Tokens generated.", (double)m->n_drawn);
    print_value(out, "tokens_predicted_seconds_total", "counter", "Time that generating took, in seconds.",
                m->drawn_seconds);
    print_value(out, "n_decode_total", "counter", "Forward passes.", (double)m->n_steps);
    print_value(out, "n_busy_slots_per_decode", "counter", "Sequences in a forward pass, on average.",
                m->n_steps ? (double)m->n_rows / (double)m->n_steps : 0);
    print_value(out, "prompt_tokens_seconds", "gauge", "Prompt tokens a second, on average.",
                rate(m->n_prompt, m->prompt_seconds));
    print_value(out, "predicted_tokens_seconds", "gauge", "Generated tokens a second of a request, on average.",
                rate(m->n_drawn, m->drawn_seconds));
    print_value(out, "requests_processing", "gauge", "Requests that run.", (double)now_there.n_active);
    print_value(out, "requests_deferred", "gauge", "Requests that wait.", (double)now_there.n_queued);
    print_value(out, "requests_total", "counter", "Requests that have begun.", (double)m->n_requests);
    print_value(out, "requests_cancelled_total", "counter", "Requests whose client went away.", (double)m->n_cancelled);
    print_value(out, "requests_gave_way_total", "counter", "Times that a request gave its pages to others.",
                (double)m->n_gave_way);
    print_value(out, "cached_tokens_total", "counter", "Prompt tokens taken from the prefix cache.",
                (double)m->n_cached);
    print_value(out, "drafted_tokens_total", "counter", "Tokens drafted.", (double)m->n_drafted);
    print_value(out, "accepted_tokens_total", "counter", "Drafted tokens that were kept.", (double)m->n_accepted);
    print_value(out, "written_tokens_total", "counter", "Tokens generated in steps that read no prompt.",
                (double)m->n_written);
    print_value(out, "writing_seconds_total", "counter", "Time of those steps, in seconds.", m->writing_seconds);
    print_value(out, "pages_held", "gauge", "Pages of keys and values that requests hold.", (double)stats.pages_held);
    print_value(out, "pages_cached", "gauge", "Pages that the prefix cache alone holds.", (double)stats.pages_cached);
    print_value(out, "cache_evictions_total", "counter", "Pages that the prefix cache gave up.",
                (double)stats.evictions);
    print_histogram(out, "time_to_first_token_seconds", "From the request to its first token.", &m->first_token, waits);
    print_histogram(out, "time_between_tokens_seconds", "Of a step that generates.", &m->between_tokens, times);
    print_histogram(out, "queue_seconds", "Time in the queue.", &m->queue, waits);
    print_histogram(out, "batch_size", "Sequences in a forward pass.", &m->batch, rows);
    print_histogram(out, "cached_share", "Share of a prompt that came from the cache.", &m->cached, shares);
    pthread_mutex_unlock(&m->lock);
}
