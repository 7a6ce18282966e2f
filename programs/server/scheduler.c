/* Implements scheduler.h. */
#include "server/scheduler.h"

#include "server/completion.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/models.h"

#include <stdlib.h>

typedef struct engine_call {
    void (*function)(void *user);
    void *user;
    bool done;
    struct engine_call *next;
} engine_call;

struct scheduler {
    served_model *model;
    cllm_engine *engine;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wakes, called;
    /* protected by the lock */
    choice *queue;
    size_t n_queued, most_queued, n_active;
    engine_call *calls;
    cllm_stats stats;
    bool closes;       /* fail all requests */
    bool stops, ended; /* ended: nobody runs calls any more */

    /* belongs to the engine's thread */
    slot *slots; /* [n_slots] */
    uint32_t n_slots;
    uint32_t *order; /* [n_slots] the running ones, the oldest first */
    size_t n_running;
    cllm_span *spans; /* [n_slots] */
    uint32_t *of_span;
    size_t n_spans;
    uint64_t n_tasks, n_ended; /* choices that began, and that ended */
    double *writing_times;     /* [n_slots + 1] seconds of a step in which this many choices write; 0: unknown */
    double reading_time;       /* seconds that a prompt token adds to a step in which choices write; 0: unknown */
    double budget;             /* most prompt tokens of a step in which choices write */
    size_t n_mixed;            /* steps in a row that read prompts and wrote */

    /* masks are computed during the forward pass */
    pthread_t mask_thread;
    pthread_cond_t masks;
    cllm_generation **to_prepare; /* [n_to_prepare] */
    size_t n_to_prepare;
    bool prepares;
};

/* ------------------------------------------------------------------------------------------------- masks */

static void *make_masks(void *user) {
    scheduler *s = user;
    pthread_mutex_lock(&s->lock);
    while (!s->stops || s->prepares) {
        while (!s->prepares && !s->stops) pthread_cond_wait(&s->masks, &s->lock);
        if (!s->prepares) break;
        pthread_mutex_unlock(&s->lock);
        for (size_t i = 0; i < s->n_to_prepare; i++) cllm_generation_prepare(s->to_prepare[i]);
        pthread_mutex_lock(&s->lock);
        s->prepares = false;
        pthread_cond_broadcast(&s->masks);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Compute the masks of the spans' generations during their evaluation. */
static void begin_masks(scheduler *s) {
    s->n_to_prepare = 0;
    for (size_t i = 0; i < s->n_spans; i++) {
        const choice *c = s->slots[s->of_span[i]].choice;
        if (c->request->grammar && c->generation) s->to_prepare[s->n_to_prepare++] = c->generation;
    }
    if (s->n_to_prepare == 0) return;
    pthread_mutex_lock(&s->lock);
    s->prepares = true;
    pthread_cond_broadcast(&s->masks);
    pthread_mutex_unlock(&s->lock);
}

static void await_masks(scheduler *s) {
    if (s->n_to_prepare == 0) return;
    pthread_mutex_lock(&s->lock);
    while (s->prepares) pthread_cond_wait(&s->masks, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------------------------------------- queue */

/* Queue the next n choices of a request behind those of its priority. The caller holds the lock. */
static void enqueue(scheduler *s, request *r, size_t n) {
    choice **at = &s->queue;
    while (*at && (*at)->request->priority <= r->priority) at = &(*at)->next;
    for (; n > 0 && r->n_queued < r->n_choices; n--) {
        choice *c = &r->choices[r->n_queued++];
        request_hold(r);
        c->queued = now();
        c->next = *at;
        *at = c;
        at = &c->next;
        s->n_queued++;
    }
}

/* ------------------------------------------------------------------------------------------------- slots */

/* True if there are pages for this many tokens, in addition to those that running choices need for their prompts and
 * next tokens. The cache gives up pages that no sequence holds. */
static bool has_pages(const scheduler *s, size_t n_tokens) {
    uint32_t n = cllm_engine_stats(s->engine).pages_held + pages_of(n_tokens);
    for (size_t i = 0; i < s->n_running; i++) {
        const slot *at = &s->slots[s->order[i]];
        if (at->gave_way) continue;
        const uint32_t length = cllm_sequence_length(at->choice->sequence);
        const bool copies = length % PAGE != 0 && length == at->choice->n_adopted;
        n += pages_of(at->choice->tokens.count + 1) - pages_of(length) + copies;
    }
    return n <= pages_of(s->model->n_positions);
}

static bool somebody_gave_way(const scheduler *s) {
    bool found = false;
    for (size_t i = 0; i < s->n_running; i++) found |= s->slots[s->order[i]].gave_way;
    return found;
}

static void keep_tokens(slot *at) {
    id_list *from = &at->choice->tokens, before = at->last;
    const uint32_t length = cllm_sequence_length(at->choice->sequence);
    at->last = *from;
    if (at->last.count > length && !at->gave_way) at->last.count = length;
    *from = before;
}

/* The choice in a slot has ended: release what it used. */
static void empty_slot(scheduler *s, uint32_t index) {
    slot *at = &s->slots[index];
    request *r = at->choice->request;
    if (at->choice->sequence) keep_tokens(at);
    metrics_ended(&s->model->metrics, at->choice);
    completion_stop(at->choice);
    at->choice = NULL;
    at->gave_way = false;
    s->n_ended++;
    size_t n = 0;
    for (size_t i = 0; i < s->n_running; i++)
        if (s->order[i] != index) s->order[n++] = s->order[i];
    s->n_running = n;
    pthread_mutex_lock(&s->lock);
    s->n_active = n;
    if (!atomic_load(&r->cancelled)) enqueue(s, r, 1);
    pthread_mutex_unlock(&s->lock);
    request_release(r);
}

/* A running choice of the same request and the same prompt, or NULL. */
static choice *find_sibling(const scheduler *s, const choice *c) {
    for (size_t i = 0; i < s->n_running; i++) {
        choice *other = s->slots[s->order[i]].choice;
        if (other->prompt == c->prompt && other != c) return other;
    }
    return NULL;
}

/* The slot for a choice; n_slots: none is free. */
static uint32_t free_slot(const scheduler *s, const choice *c) {
    uint32_t i = 0;
    if (c && c->index == 0 && c->request->slot >= 0) {
        i = (uint32_t)c->request->slot;
        return s->slots[i].choice ? s->n_slots : i;
    }
    while (i < s->n_slots && s->slots[i].choice) i++;
    return i;
}

static void drop(choice *c) {
    request *r = c->request;
    completion_stop(c);
    request_release(r);
}

/* Give a choice a slot, and let it begin with tokens that are evaluated already: by a sibling, or in the cache. */
static void start(scheduler *s, choice *c, uint32_t index) {
    cllm_error err;
    cllm_sequence *sequence = NULL;
    choice *sibling = find_sibling(s, c);
    const uint32_t n_shared = (uint32_t)c->prompt->count - 1;
    cllm_status status = CLLM_ERR_UNSUPPORTED;
    if (sibling && sibling->sequence && n_shared > 0 && cllm_sequence_length(sibling->sequence) > n_shared)
        status = cllm_sequence_fork(sibling->sequence, n_shared, &sequence, &err);
    if (status != CLLM_OK) status = cllm_sequence_create(s->engine, &sequence, &err);
    if (status != CLLM_OK) {
        completion_fail_with(c, &err);
        return drop(c);
    }
    if (!completion_start(c, sequence)) return drop(c);
    c->usage.slot = index;
    s->slots[index].choice = c;
    s->slots[index].task = ++s->n_tasks;
    s->order[s->n_running++] = index;
    metrics_started(&s->model->metrics, c);
    pthread_mutex_lock(&s->lock);
    s->n_active = s->n_running;
    pthread_mutex_unlock(&s->lock);
}

/* Start choices of the queue, as long as there are slots and pages for their prompts. */
static void admit(scheduler *s) {
    for (choice **at = &s->queue;;) {
        pthread_mutex_lock(&s->lock);
        choice *c = *at;
        const bool yields = somebody_gave_way(s); /* choices that gave way come first */
        const uint32_t index = yields ? s->n_slots : free_slot(s, c);
        const bool gone = c && atomic_load(&c->request->cancelled);
        bool fits = false, waits = false;
        if (c && !gone && index == s->n_slots) waits = !yields && s->n_running < s->n_slots; /* for its own slot */
        if (c && !gone && index < s->n_slots) {
            const choice *sibling = find_sibling(s, c);
            waits = sibling && sibling->read == 0;
            fits = !waits && (s->n_running == 0 || sibling || has_pages(s, c->prompt->count + 1));
        }
        if (gone || fits) {
            *at = c->next;
            s->n_queued--;
        }
        pthread_mutex_unlock(&s->lock);
        if (gone)
            drop(c);
        else if (fits)
            start(s, c, index);
        else if (waits) /* it waits for its slot, or until its sibling has read the same prompt */
            at = &c->next;
        else
            return;
    }
}

/* Continue choices that gave way, the oldest first, once another has ended and there is room. The oldest of all
 * continues in any case. */
static void come_back(scheduler *s) {
    for (size_t i = 0; i < s->n_running; i++) {
        slot *at = &s->slots[s->order[i]];
        if (!at->gave_way) continue;
        const bool may = s->n_ended != at->n_ended_before && has_pages(s, at->choice->tokens.count + 1);
        if (!may && i > 0) return;
        at->gave_way = false;
        completion_adopt(at->choice);
    }
}

/* The youngest choice gives its pages to the others. Returns false if only one runs. */
static bool give_way(scheduler *s) {
    size_t n_left = 0;
    for (size_t i = 0; i < s->n_running; i++) n_left += !s->slots[s->order[i]].gave_way;
    for (size_t i = s->n_running; i-- > 0 && n_left > 1;) {
        slot *at = &s->slots[s->order[i]];
        if (at->gave_way) continue;
        at->gave_way = true;
        at->n_ended_before = s->n_ended;
        metrics_gave_way(&s->model->metrics);
        return completion_give_way(at->choice);
    }
    return false;
}

/* End running choices whose client has gone away. Those in the queue are only marked: admit drops them. */
static void drop_gone(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    const request *seen = NULL; /* the choices of a request are neighbours */
    for (choice *c = s->queue; c; c = c->next) {
        if (c->request != seen) request_look_for_client(c->request);
        seen = c->request;
    }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = s->n_running; i-- > 0;) {
        request *r = s->slots[s->order[i]].choice->request;
        request_look_for_client(r);
        if (!atomic_load(&r->cancelled)) continue;
        metrics_cancelled(&s->model->metrics);
        empty_slot(s, s->order[i]);
    }
}

/* -------------------------------------------------------------------------------------------------- steps */

/* Add the span that a choice wants to the step. If it wants nothing and has not ended, it fails: otherwise it would
 * wait forever, and keep this thread busy. */
static void add_span(scheduler *s, uint32_t index, size_t most, size_t *n_tokens) {
    cllm_span span;
    if (!completion_wants(s->slots[index].choice, most, &span)) {
        failure f;
        refuse(&f, 500, NULL, "the text cannot continue: there is nothing to evaluate, and it has not ended");
        return completion_fail(s->slots[index].choice, &f);
    }
    s->of_span[s->n_spans] = index;
    s->spans[s->n_spans++] = span;
    *n_tokens += span.count;
}

static bool is_reading(const slot *at) {
    return completion_n_left(at->choice) > 1 || at->choice->request->kind == REQUEST_EMBED;
}

/* The most prompt tokens of a step. If choices write in it, reading these tokens takes a little less time than writing.
 * Now and then the result is 0, to measure the time of writing alone. */
static size_t reading_budget(const scheduler *s, size_t n_writing) {
    enum { OFTEN = 32 };
    return n_writing == 0 ? s->model->n_batch : s->n_mixed >= OFTEN ? 0 : (size_t)s->budget;
}

static size_t count_common(const id_list *a, const id_list *b) {
    size_t n = 0;
    while (n < a->count && n < b->count && a->ids[n] == b->ids[n]) n++;
    return n;
}

/* True if an older choice is about to read much of the n-th choice's prompt. Then that part will be in the cache. */
static bool awaits_older(const scheduler *s, size_t n) {
    enum { MUCH = 16 };
    const choice *c = s->slots[s->order[n]].choice;
    bool found = false;
    if (c->begun || s->model->run.cache_bytes == 0 || !completion_may_adopt(c)) return false;
    for (size_t i = 0; i < n && !found; i++) {
        const slot *at = &s->slots[s->order[i]];
        if (at->gave_way || !is_reading(at)) continue;
        const size_t n_common = count_common(&at->choice->tokens, &c->tokens);
        found = n_common >= c->n_adopted + MUCH && cllm_sequence_length(at->choice->sequence) < n_common;
    }
    return found;
}

/* Make the spans of a step. Choices that write come first. Returns the number of prompt tokens. */
static size_t make_spans(scheduler *s, size_t *n_writing) {
    size_t n_written = 0, n_read = 0;
    s->n_spans = 0;
    for (size_t i = 0; i < s->n_running; i++)
        if (!s->slots[s->order[i]].gave_way && !is_reading(&s->slots[s->order[i]]))
            add_span(s, s->order[i], SIZE_MAX, &n_written);
    *n_writing = s->n_spans;
    const size_t budget = reading_budget(s, s->n_spans);
    for (size_t i = 0; i < s->n_running && n_read < budget; i++) {
        slot *at = &s->slots[s->order[i]];
        if (at->gave_way || !is_reading(at) || awaits_older(s, i)) continue;
        if (!at->choice->begun) completion_adopt(at->choice);
        add_span(s, s->order[i], budget - n_read, &n_read);
    }
    return n_read;
}

/* Seconds of a step in which this many choices write and none reads, or of the nearest known number; 0: unknown. */
static double writing_time(const scheduler *s, size_t n_writing) {
    for (size_t away = 0; away < s->n_slots; away++) {
        if (n_writing > away && s->writing_times[n_writing - away] > 0) return s->writing_times[n_writing - away];
        if (n_writing + away <= s->n_slots && s->writing_times[n_writing + away] > 0)
            return s->writing_times[n_writing + away];
    }
    return 0;
}

/* Remove choices that add_span has ended. */
static void empty_idle(scheduler *s) {
    for (size_t i = s->n_running; i-- > 0;)
        if (s->slots[s->order[i]].choice->told) empty_slot(s, s->order[i]);
}

/* A prompt token takes longer in a long prompt, and on a busy machine. So the budget follows the time of the last
 * steps. It grows at most twofold in a step, because one quick step may be chance. Fewer than eight tokens take almost
 * as long as eight, which share the reading of weights, keys and values. */
static void learn_times(scheduler *s, double seconds, size_t n_writing, size_t n_read) {
    const double weight = 0.2, share = 0.75, least = 8, twofold = 2 * s->budget;
    const double most = twofold < (double)s->model->n_batch ? twofold : (double)s->model->n_batch;
    double *known = &s->writing_times[n_writing], usual = writing_time(s, n_writing);
    s->n_mixed = n_writing > 0 && n_read > 0 ? s->n_mixed + 1 : 0;
    if (n_writing > 0 && n_read == 0) *known += (*known > 0 ? weight : 1) * (seconds - *known);
    if (n_writing == 0 || n_read < (size_t)s->budget || usual <= 0) return;
    const double each = (seconds > usual ? seconds - usual : 0) / (double)n_read;
    s->reading_time += (s->reading_time > 0 ? weight : 1) * (each - s->reading_time);
    s->budget = s->reading_time > 0 ? share * usual / s->reading_time : most;
    if (s->budget < least) s->budget = least;
    if (s->budget > most) s->budget = most;
}

/* Pass the results of the spans to their choices. Returns how many tokens were drawn. */
static size_t take_spans(scheduler *s, cllm_status status, const cllm_error *err) {
    size_t n_drawn = 0;
    for (size_t i = 0; i < s->n_spans; i++) {
        choice *c = s->slots[s->of_span[i]].choice;
        const size_t n_before = c->usage.n_drawn;
        bool goes_on = true;
        if (s->spans[i].status != CLLM_OK || status == CLLM_ERR_DEVICE) {
            completion_fail_with(c, err);
            goes_on = false;
        } else if (status == CLLM_OK) { /* otherwise another span failed, and this one is tried again */
            goes_on = completion_take(c, &s->spans[i]);
        }
        n_drawn += c->usage.n_drawn - n_before;
        if (!goes_on) empty_slot(s, s->of_span[i]);
    }
    return n_drawn;
}

/* Make one step. begun: when the engine's thread began to prepare it. */
static void step(scheduler *s, double begun) {
    step_count n = {0};
    cllm_error err = {.message = ""};
    n.n_read = make_spans(s, &n.n_writing);
    empty_idle(s);
    n.n_spans = s->n_spans;
    if (s->n_spans == 0) return;
    begin_masks(s);
    const double eval_begun = now();
    const cllm_status status = cllm_eval(s->engine, s->spans, s->n_spans, &err);
    const double seconds = now() - eval_begun;
    await_masks(s);
    if (status == CLLM_ERR_CANCELLED) return; /* all requests are about to end */
    if (status == CLLM_ERR_MEMORY && give_way(s)) return;
    if (status == CLLM_OK) learn_times(s, seconds, n.n_writing, n.n_read);
    n.n_drawn = take_spans(s, status, &err);
    n.seconds = now() - begun;
    metrics_step(&s->model->metrics, &n);
}

static void run_calls(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    engine_call *call = s->calls;
    s->calls = NULL;
    pthread_mutex_unlock(&s->lock);
    for (engine_call *next; call; call = next) {
        next = call->next;
        call->function(call->user);
        pthread_mutex_lock(&s->lock);
        call->done = true;
        pthread_cond_broadcast(&s->called);
        pthread_mutex_unlock(&s->lock);
    }
}

/* Tell running and waiting requests that the server is shutting down. */
static void end_requests(scheduler *s) {
    failure f;
    refuse(&f, 503, NULL, "the server is shutting down");
    f.retry_after = 1;
    while (s->n_running > 0) {
        completion_fail(s->slots[s->order[0]].choice, &f);
        empty_slot(s, s->order[0]);
    }
    pthread_mutex_lock(&s->lock);
    choice *c = s->queue;
    s->queue = NULL;
    s->n_queued = 0;
    pthread_mutex_unlock(&s->lock);
    for (choice *next; c; c = next) {
        next = c->next;
        completion_fail(c, &f);
        drop(c);
    }
}

static void *run_engine(void *user) {
    scheduler *s = user;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->stops && !s->queue && !s->calls && s->n_running == 0) pthread_cond_wait(&s->wakes, &s->lock);
        const bool stops = s->stops, closes = s->closes;
        pthread_mutex_unlock(&s->lock);
        const double begun = now();
        run_calls(s);
        if (closes) end_requests(s);
        if (stops) break;
        drop_gone(s);
        come_back(s);
        admit(s);
        step(s, begun);
        const cllm_stats stats = cllm_engine_stats(s->engine);
        pthread_mutex_lock(&s->lock);
        s->stats = stats;
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    pthread_mutex_unlock(&s->lock);
    run_calls(s); /* calls that came before */
    return NULL;
}

/* ------------------------------------------------------------------------------------------- from outside */

scheduler *scheduler_create(served_model *model, uint32_t n_slots, size_t most_queued) {
    scheduler *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    *s = (scheduler){.model = model, .engine = model->run.engine, .n_slots = n_slots, .most_queued = most_queued};
    s->slots = calloc(n_slots, sizeof *s->slots);
    s->order = calloc(n_slots, sizeof *s->order);
    s->spans = calloc(n_slots, sizeof *s->spans);
    s->of_span = calloc(n_slots, sizeof *s->of_span);
    s->writing_times = calloc(n_slots + 1, sizeof *s->writing_times);
    s->budget = 32;
    s->to_prepare = calloc(n_slots, sizeof *s->to_prepare);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wakes, NULL);
    pthread_cond_init(&s->called, NULL);
    pthread_cond_init(&s->masks, NULL);
    const bool whole = s->slots && s->order && s->spans && s->of_span && s->writing_times && s->to_prepare;
    if (whole && pthread_create(&s->mask_thread, NULL, make_masks, s) == 0) {
        if (pthread_create(&s->thread, NULL, run_engine, s) == 0) return s;
        pthread_mutex_lock(&s->lock);
        s->stops = true;
        pthread_cond_broadcast(&s->masks);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->mask_thread, NULL);
    }
    free(s->slots), free(s->order), free(s->spans), free(s->of_span), free(s->writing_times), free(s->to_prepare),
        free(s);
    return NULL;
}

void scheduler_end_requests(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    s->closes = true;
    pthread_cond_signal(&s->wakes);
    pthread_mutex_unlock(&s->lock);
}

void scheduler_destroy(scheduler *s) {
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->closes = s->stops = true;
    pthread_cond_broadcast(&s->wakes);
    pthread_cond_broadcast(&s->masks);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_join(s->mask_thread, NULL);
    for (uint32_t i = 0; i < s->n_slots; i++) free(s->slots[i].last.ids);
    free(s->slots);
    free(s->order);
    free(s->spans);
    free(s->of_span);
    free(s->writing_times);
    free(s->to_prepare);
    free(s);
}

bool scheduler_submit(scheduler *s, request *r, failure *f) {
    pthread_mutex_lock(&s->lock);
    /* a request to embed counts as one: its texts are short, and each that ends queues the next */
    const bool is_embed = r->kind == REQUEST_EMBED;
    const size_t n_new = is_embed ? 1 : r->n_choices;
    const bool full = s->n_queued + n_new > s->most_queued + (s->n_slots - s->n_active), closes = s->closes;
    if (!full && !closes) {
        enqueue(s, r, is_embed ? s->n_slots : r->n_choices);
        pthread_cond_signal(&s->wakes);
    }
    pthread_mutex_unlock(&s->lock);
    if (!full && !closes) return true;
    if (closes)
        refuse(f, 503, NULL, "the server is shutting down");
    else
        refuse(f, 503, NULL, "the queue is full: %zu requests are waiting; try again later", s->most_queued);
    f->retry_after = 1;
    return false;
}

bool scheduler_call(scheduler *s, void (*function)(void *user), void *user) {
    engine_call call = {.function = function, .user = user};
    pthread_mutex_lock(&s->lock);
    const bool runs = !s->ended;
    engine_call **at = &s->calls;
    while (*at) at = &(*at)->next;
    if (runs) *at = &call;
    pthread_cond_signal(&s->wakes);
    while (runs && !call.done) pthread_cond_wait(&s->called, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return runs;
}

slot *scheduler_slots(scheduler *s, uint32_t *n_slots) {
    *n_slots = s->n_slots;
    return s->slots;
}

cllm_stats scheduler_stats(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    const cllm_stats stats = s->stats;
    pthread_mutex_unlock(&s->lock);
    return stats;
}

cllm_engine *scheduler_engine(scheduler *s) { return s->engine; }

workload scheduler_load(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    const workload now_there = {.n_active = s->n_active, .n_queued = s->n_queued};
    pthread_mutex_unlock(&s->lock);
    return now_there;
}
