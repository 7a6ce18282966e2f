/* Implements request.h. */
#include "server/request.h"

#include "server/completion.h"
#include "server/http.h"
#include "server/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

request *request_create(request_kind kind) {
    request *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    *r = (request){.kind = kind, .n_each = 1, .n_most = UINT64_MAX, .slot = -1, .uses_cache = true, .n_holders = 1};
    r->created = (int64_t)time(NULL);
    r->received = now();
    r->last = &r->first;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void request_hold(request *r) {
    pthread_mutex_lock(&r->lock);
    r->n_holders++;
    pthread_mutex_unlock(&r->lock);
}

static void drop_outcome(outcome *o) {
    for (size_t i = 0; i < o->n_calls; i++) {
        free(o->calls[i].id);
        free(o->calls[i].name);
        free(o->calls[i].arguments.bytes);
    }
    free(o->calls);
    free(o->content.bytes);
    free(o->reasoning.bytes);
    free(o->tokens.ids);
    free(o->logprobs);
    free(o->embedding);
}

static void destroy(request *r) {
    for (event *e = r->first, *next; e; e = next) {
        next = e->next;
        event_destroy(e);
    }
    for (size_t i = 0; r->choices && i < r->n_choices; i++) completion_destroy(&r->choices[i]);
    for (size_t i = 0; r->outcomes && i < r->n_choices; i++) drop_outcome(&r->outcomes[i]);
    for (size_t i = 0; i < r->n_prompts; i++) {
        cllm_free(r->prompts[i].tokens);
        free(r->prompts[i].logprobs);
    }
    for (size_t i = 0; i < r->n_stops; i++) free((char *)r->stops[i].data);
    for (size_t i = 0; r->breakers && i < r->sampling.n_dry_breakers; i++) free((char *)r->breakers[i].data);
    free(r->choices);
    free(r->outcomes);
    free(r->prompts);
    free(r->stops);
    free(r->bias);
    free(r->breakers);
    free(r->tools);
    free(r->state);
    json_decref(r->details);
    cllm_grammar_destroy(r->grammar);
    cllm_free(r->parts);
    model_release(r->model);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void request_release(request *r) {
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    const bool last = --r->n_holders == 0;
    pthread_mutex_unlock(&r->lock);
    if (last) destroy(r);
}

bool request_add_prompt(request *r, int32_t *tokens, size_t count) {
    prompt *more = realloc(r->prompts, (r->n_prompts + 1) * sizeof *more);
    if (!more) {
        cllm_free(tokens);
        return false;
    }
    r->prompts = more;
    r->prompts[r->n_prompts++] = (prompt){.tokens = tokens, .count = count};
    return true;
}

bool request_add_stop(request *r, const char *text, size_t length) {
    cllm_string *more = realloc(r->stops, (r->n_stops + 1) * sizeof *more);
    if (more) r->stops = more;
    char *copy = more ? malloc(length) : NULL;
    if (!copy) return false;
    memcpy(copy, text, length);
    r->stops[r->n_stops++] = (cllm_string){copy, length};
    return true;
}

bool request_complete(request *r) {
    r->n_choices = r->n_prompts * r->n_each;
    r->choices = calloc(r->n_choices, sizeof *r->choices);
    r->outcomes = calloc(r->n_choices, sizeof *r->outcomes);
    if (!r->choices || !r->outcomes) return false;
    for (size_t i = 0; i < r->n_choices; i++)
        r->choices[i] = (choice){.request = r, .index = i, .prompt = &r->prompts[i / r->n_each]};
    return true;
}

/* ----------------------------------------------------------------------------------------------- events */

event *event_create(size_t index) {
    event *e = calloc(1, sizeof *e);
    if (e) e->choice = index;
    return e;
}

void event_fail(event *e, const failure *f) {
    e->finish = FINISH_FAILED;
    e->failure = malloc(sizeof *f);
    if (e->failure) *e->failure = *f;
}

bool event_add_piece(event *e, cllm_delta_kind kind, size_t call, cllm_string id, cllm_string text) {
    piece *more = realloc(e->pieces, (e->n_pieces + 1) * sizeof *more);
    if (!more) return false;
    e->pieces = more;
    piece *p = &e->pieces[e->n_pieces];
    *p = (piece){.kind = kind, .call = call, .length = text.length, .text = strndup("", 0)};
    if (text.length > 0) {
        free(p->text);
        p->text = malloc(text.length + 1);
    }
    if (!p->text) return false;
    memcpy(p->text, text.data, text.length);
    p->text[text.length] = '\0';
    e->n_pieces++;
    if (kind == CLLM_DELTA_CALL && id.length > 0) p->id = strndup(id.data, id.length);
    return true;
}

void event_destroy(event *e) {
    if (!e) return;
    for (size_t i = 0; i < e->n_pieces; i++) {
        free(e->pieces[i].id);
        free(e->pieces[i].text);
    }
    free(e->pieces);
    free(e->tokens);
    free(e->logprobs);
    free(e->embedding);
    free(e->failure);
    free(e);
}

static size_t n_bytes_of(const request *r, const event *e) {
    size_t n = sizeof *e + e->n_pieces * sizeof *e->pieces + e->n_tokens * sizeof *e->tokens;
    for (size_t i = 0; i < e->n_pieces; i++) n += e->pieces[i].length;
    return n + (e->logprobs ? e->n_tokens * (1 + r->n_logprobs) * sizeof *e->logprobs : 0);
}

void request_add_event(request *r, event *e) {
    pthread_mutex_lock(&r->lock);
    *r->last = e;
    r->last = &e->next;
    r->n_told += e->finish != FINISH_NONE;
    const bool matters = r->streams || e->finish == FINISH_FAILED || r->n_told == r->n_choices;
    r->n_untaken += n_bytes_of(r, e);
    if (r->exchange && matters) exchange_wake(r->exchange);
    if (r->exchange && r->streams && r->n_untaken > MOST_UNTAKEN && !atomic_exchange(&r->cancelled, true))
        exchange_drop(r->exchange);
    pthread_mutex_unlock(&r->lock);
}

/* --------------------------------------------------------------------------------------------- outcomes */

/* If the model gave a call no id, make one: nine letters and digits, which all templates accept. */
static char *id_of_call(const request *r, size_t index, size_t call) {
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t x = 0xCBF29CE484222325u + 131 * index + call;
    for (const char *at = r->id; *at; at++) x = (x ^ (unsigned char)*at) * 0x100000001B3u;
    char id[10] = "";
    for (size_t i = 0; i < sizeof id - 1; i++, x = (x >> 6 ^ x * 0x9E3779B97F4A7C15u)) id[i] = digits[x % 62];
    return strdup(id);
}

static bool gather_piece(request *r, size_t index, piece *p) {
    outcome *o = &r->outcomes[index];
    switch (p->kind) {
    case CLLM_DELTA_REASONING: return text_buffer_add(&o->reasoning, p->text, p->length);
    case CLLM_DELTA_CONTENT: return text_buffer_add(&o->content, p->text, p->length);
    case CLLM_DELTA_ARGUMENTS:
        return p->call < o->n_calls && text_buffer_add(&o->calls[p->call].arguments, p->text, p->length);
    case CLLM_DELTA_CALL: break;
    }
    called *more = realloc(o->calls, (o->n_calls + 1) * sizeof *more);
    if (!more) return false;
    o->calls = more;
    if (!p->id) p->id = id_of_call(r, index, p->call);
    o->calls[o->n_calls] = (called){.id = p->id ? strdup(p->id) : NULL, .name = strdup(p->text)};
    const called *c = &o->calls[o->n_calls++];
    return c->id && c->name;
}

static void shorten(outcome *o, size_t n_dims) {
    double sum = 0;
    for (size_t i = 0; i < n_dims; i++) sum += (double)o->embedding[i] * (double)o->embedding[i];
    const double scale = sum > 0 ? 1 / sqrt(sum) : 1;
    for (size_t i = 0; i < n_dims; i++) o->embedding[i] = (float)((double)o->embedding[i] * scale);
    o->n_floats = n_dims;
}

static bool gather(request *r, event *e) {
    outcome *o = &r->outcomes[e->choice];
    const size_t row = 1 + r->n_logprobs, n_before = o->tokens.count;
    for (size_t i = 0; i < e->n_pieces; i++)
        if (!gather_piece(r, e->choice, &e->pieces[i])) return false;
    for (size_t i = 0; i < e->n_tokens; i++)
        if (!id_list_add(&o->tokens, e->tokens[i])) return false;
    if (e->logprobs) {
        cllm_logprob *more = realloc(o->logprobs, o->tokens.count * row * sizeof *more);
        if (!more) return false;
        o->logprobs = more;
        memcpy(o->logprobs + n_before * row, e->logprobs, e->n_tokens * row * sizeof *more);
    }
    if (e->embedding) {
        o->embedding = e->embedding;
        o->n_floats = e->n_floats;
        e->embedding = NULL;
        if (r->n_dims > 0 && r->n_dims < o->n_floats) shorten(o, r->n_dims);
    }
    o->usage = e->usage;
    o->finish = e->finish;
    o->stop_string = e->stop_string;
    r->n_ended += e->finish != FINISH_NONE;
    return true;
}

bool request_take_events(request *r, text_buffer *out) {
    pthread_mutex_lock(&r->lock);
    event *e = r->first;
    r->first = NULL;
    r->last = &r->first;
    r->n_untaken = 0;
    pthread_mutex_unlock(&r->lock);
    for (event *next; e; e = next) {
        next = e->next;
        if (r->failure.status == 0 && e->finish == FINISH_FAILED) {
            if (e->failure)
                r->failure = *e->failure;
            else
                refuse_memory(&r->failure);
        }
        if (r->failure.status == 0 && !gather(r, e)) refuse_memory(&r->failure);
        if (r->failure.status == 0 && out) r->form->step(r, e, out);
        event_destroy(e);
    }
    if (r->failure.status != 0 && out && r->form->fail) r->form->fail(r, &r->failure, out);
    if (r->failure.status == 0 && out && r->n_ended == r->n_choices && r->form->end) r->form->end(r, out);
    return r->failure.status != 0 || r->n_ended == r->n_choices;
}

usage request_usage(const request *r) {
    usage sum = {0};
    for (size_t i = 0; i < r->n_choices; i++) {
        const usage *u = &r->outcomes[i].usage;
        const bool first = i % r->n_each == 0;
        sum.n_prompt += first ? u->n_prompt : 0;
        sum.n_cached += first ? u->n_cached : 0;
        sum.n_read += first ? u->n_read : 0;
        sum.prompt_ms += first ? u->prompt_ms : 0;
        sum.n_drawn += u->n_drawn;
        sum.n_reasoning += u->n_reasoning;
        sum.drawn_ms += u->drawn_ms;
        sum.n_drafted += u->n_drafted;
        sum.n_accepted += u->n_accepted;
    }
    return sum;
}
