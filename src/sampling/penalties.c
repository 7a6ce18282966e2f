/* Implements penalties.h: the repetition penalty (Keskar et al. 2019, but depending on the sign of the logit),
 * frequency and presence penalties as OpenAI defines them, and DRY by p-e-w (text-generation-webui#5677), as in
 * llama.cpp. Repeated runs are found with the Z function (Gusfield 1997). */
#include "sampling/penalties.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------- history */

void history_clear(history *h) { h->n = h->end = 0; }

void history_add(history *h, int32_t token) {
    if (h->most == 0) return;
    if (h->end == 2 * h->most) {
        memmove(h->tokens, h->tokens + h->end - h->n, h->n * sizeof *h->tokens);
        h->end = h->n;
    }
    h->tokens[h->end++] = token;
    if (h->n < h->most) h->n++;
}

/* The last `most` tokens. n: out. */
static const int32_t *last_tokens(const history *h, uint32_t most, size_t *n) {
    *n = h->n < most ? h->n : most;
    return h->tokens + h->end - *n;
}

/* ------------------------------------------------------------------------------------------ token by token */

void apply_penalties(candidates *c, const history *h, const cllm_sampler_options *o, uint32_t *counts) {
    size_t n;
    const int32_t *last = last_tokens(h, o->penalty_last_n, &n);
    for (size_t i = 0; i < n; i++) counts[last[i]]++;
    for (size_t i = 0; i < c->n; i++) {
        candidate *one = &c->list[i];
        const uint32_t count = counts[one->token];
        if (count == 0) continue;
        if (o->repeat_penalty > 0)
            one->score = one->score <= 0 ? one->score * o->repeat_penalty : one->score / o->repeat_penalty;
        one->score -= (float)count * o->frequency_penalty + o->presence_penalty;
        if (one->score > FLT_MAX) one->score = FLT_MAX; /* an infinite score would have no probability */
    }
    for (size_t i = 0; i < n; i++) counts[last[i]] = 0;
    c->has_p = false;
}

/* -------------------------------------------------------------------------------------------------- breakers */

enum { MOST_TEXT = 40 /* bytes of a breaker */, MOST_TAIL = 20 /* its tokens after the first one */ };

static int by_head(const void *a, const void *b) {
    const breaker *one = a, *other = b;
    return one->head < other->head ? -1 : one->head > other->head;
}

/* The breakers whose first token is `head`: [*n]. */
static const breaker *breakers_of(const breakers *b, int32_t head, size_t *n) {
    size_t low = 0, high = b->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (b->items[middle].head < head)
            low = middle + 1;
        else
            high = middle;
    }
    *n = 0;
    while (low + *n < b->count && b->items[low + *n].head == head) ++*n;
    return b->items + low;
}

typedef struct finding {
    breakers *found;
    size_t capacity;
    const cllm_tokenizer *tokenizer;
    arena *arena;
} finding;

/* Add a breaker. rest: its text after the first token. */
static bool add_breaker(finding *f, int32_t head, cllm_string rest) {
    int32_t *tail = NULL;
    size_t n = 0;
    if (rest.length > 0 &&
        cllm_tokenizer_encode(f->tokenizer, rest.data, rest.length, CLLM_ENCODE_GOES_ON, &tail, &n, NULL) != CLLM_OK)
        return false;
    if (n > MOST_TAIL) n = MOST_TAIL;
    int32_t *kept = arena_alloc(f->arena, n, sizeof *kept);
    if (kept && n > 0) memcpy(kept, tail, n * sizeof *kept);
    cllm_free(tail);
    if (!kept) return false;
    if (f->found->count == f->capacity) {
        const size_t capacity = 2 * f->capacity + 64;
        breaker *larger = arena_alloc(f->arena, capacity, sizeof *larger);
        if (!larger) return false;
        if (f->found->count > 0) memcpy(larger, f->found->items, f->found->count * sizeof *larger);
        f->found->items = larger;
        f->capacity = capacity;
    }
    f->found->items[f->found->count++] = (breaker){head, n, kept};
    return true;
}

/* Add a breaker for each way in which this token may begin the text: the token contains the whole text, or it ends with
 * the beginning of the text. Returns false if memory runs out. */
static bool find_in_token(finding *f, int32_t token, cllm_string text) {
    const cllm_string word = cllm_tokenizer_decode(f->tokenizer, token, token);
    for (size_t at = 0; at + text.length <= word.length; at++)
        if (memcmp(word.data + at, text.data, text.length) == 0) return add_breaker(f, token, (cllm_string){"", 0});
    for (size_t at = word.length < text.length ? 0 : word.length - text.length + 1; at < word.length; at++) {
        const size_t n = word.length - at;
        if (memcmp(word.data + at, text.data, n) == 0 &&
            !add_breaker(f, token, (cllm_string){text.data + n, text.length - n}))
            return false;
    }
    return true;
}

bool breakers_find(breakers *b, const cllm_tokenizer *tokenizer, const cllm_string *texts, size_t n_texts, arena *a) {
    finding f = {b, 0, tokenizer, a};
    const int32_t n_vocab = (int32_t)cllm_tokenizer_n_vocab(tokenizer);
    for (size_t i = 0; i < n_texts; i++) {
        const cllm_string text = {texts[i].data, texts[i].length < MOST_TEXT ? texts[i].length : MOST_TEXT};
        for (int32_t token = 0; text.length > 0 && token < n_vocab; token++)
            if (!find_in_token(&f, token, text)) return false;
    }
    if (b->count > 0) qsort(b->items, b->count, sizeof *b->items, by_head);
    return true;
}

/* ------------------------------------------------------------------------------------------------------- DRY */

/* How many tokens come after the last breaker in the text; all of them if there is none. */
static size_t count_since_breaker(const int32_t *tokens, size_t n, const breakers *b) {
    for (size_t since = 0; since < n; since++) {
        const int32_t *head = tokens + n - 1 - since;
        size_t n_heads, longest = 0;
        bool found = false;
        const breaker *items = breakers_of(b, *head, &n_heads);
        for (size_t i = 0; i < n_heads; i++) {
            const breaker *one = &items[i];
            if (one->n_tail > since ||
                (one->n_tail > 0 && memcmp(head + 1, one->tail, one->n_tail * sizeof *head) != 0))
                continue;
            found = true;
            longest = one->n_tail > longest ? one->n_tail : longest;
        }
        if (found) return since - longest;
    }
    return n;
}

static bool is_breaker(const breakers *b, int32_t token) {
    size_t n;
    const breaker *items = breakers_of(b, token, &n);
    for (size_t i = 0; i < n; i++)
        if (items[i].n_tail == 0) return true;
    return false;
}

/* For each token, find the longest run of `least` to `most` tokens that ends the text, and that occurred before,
 * followed by this token. runs: [n_vocab], out, its length plus 1. z: [n] work space. */
static void find_runs(const int32_t *tokens, size_t n, size_t least, size_t most, uint32_t *z, uint32_t *runs) {
    /* z[k] says how many tokens just before the last k equal the last tokens of the text. It is the Z function of the
     * reversed text: within left .. right - 1, which matched before, earlier values are used again. */
    size_t left = 0, right = 0;
    for (size_t k = 1; k < n; k++) {
        size_t same = k < right ? (z[k - left] < right - k ? z[k - left] : right - k) : 0;
        while (k + same < n && tokens[n - 1 - same] == tokens[n - 1 - k - same]) same++;
        z[k] = (uint32_t)same;
        if (k + same > right) {
            left = k;
            right = k + same;
        }
        const uint32_t length = (uint32_t)(same < most ? same : most);
        uint32_t *run = &runs[tokens[n - k]]; /* the token that came after the run */
        if (length >= least && length + 1 > *run) *run = length + 1;
    }
}

void apply_dry(candidates *c, const history *h, const breakers *b, const cllm_sampler_options *o, uint32_t *counts,
               uint32_t *z) {
    size_t n;
    const int32_t *last = last_tokens(h, o->dry_penalty_last_n, &n);
    const size_t allowed = o->dry_allowed_length, most = count_since_breaker(last, n, b);
    if (n <= allowed || most < allowed) return;
    const float most_exponent = o->dry_base > 1.000001f ? floorf(logf(FLT_MAX) / logf(o->dry_base)) : 0;
    find_runs(last, n, allowed, most, z, counts);
    for (size_t i = 0; i < c->n; i++) {
        const uint32_t run = counts[c->list[i].token];
        if (run == 0 || is_breaker(b, c->list[i].token)) continue;
        float exponent = (float)(run - 1 - allowed);
        if (most_exponent > 0 && exponent > most_exponent) exponent = most_exponent;
        c->list[i].score -= o->dry_multiplier * powf(o->dry_base, exponent);
    }
    for (size_t i = 0; i < n; i++) counts[last[i]] = 0;
    c->has_p = false;
}
