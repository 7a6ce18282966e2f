/* Implements filters.h. The steps are defined as in llama.cpp, and have its names. Sources: top-k (Fan et al. 2018),
 * top-p (Holtzman et al. 2019), locally typical sampling (Meister et al. 2022), min-p (Nguyen et al. 2024), top-n-sigma
 * (Tang et al. 2024), XTC (p-e-w, text-generation-webui#6335), dynamic temperature (kalomaze, koboldcpp), infill
 * (llama.cpp#9896). */
#include "sampling/filters.h"

#include <math.h>
#include <string.h>

/* Keep the candidates whose score is `least` or more. */
static void keep_scores(candidates *c, float least) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].score >= least) c->list[n++] = c->list[i];
    c->has_p = c->has_p && n == c->n;
    c->n = n;
}

void filter_top_k(candidates *c, uint32_t k) {
    if (k >= c->n) return;
    for (size_t i = 0; i < c->n; i++) c->heap[i] = (ranked){-c->list[i].score, (uint32_t)i};
    keep_scores(c, -ranked_kth(c->heap, c->n, k));
}

void filter_top_p(candidates *c, float p) {
    candidates_rank_probabilities(c);
    ranked last = ranked_take(c->heap, c->n);
    float reached = last.key;
    for (size_t left = c->n - 1; left > 0 && reached < p; left--) {
        last = ranked_take(c->heap, left);
        reached += last.key;
    }
    size_t n = 0;
    const candidate kept = c->list[last.at];
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].p > last.key || (c->list[i].p == last.key && i <= last.at)) c->list[n++] = c->list[i];
    if (n == 0) c->list[n++] = kept; /* an infinite score has no probability */
    c->n = n;
    candidates_normalize(c);
}

void filter_min_p(candidates *c, float p) { keep_scores(c, c->list[candidates_likeliest(c)].score + logf(p)); }

void filter_typical_p(candidates *c, float p) {
    candidates_softmax(c);
    float entropy = 0, reached = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].p > 0) entropy -= c->list[i].p * logf(c->list[i].p);
    for (size_t i = 0; i < c->n; i++) c->heap[i] = (ranked){-fabsf(-logf(c->list[i].p) - entropy), (uint32_t)i};
    ranked_build(c->heap, c->n);
    size_t left = c->n;
    ranked last = c->heap[0];
    while (left > 0 && reached <= p) {
        last = ranked_take(c->heap, left--);
        reached += c->list[last.at].p;
    }
    for (size_t i = 0; i < left; i++) c->list[c->heap[i].at].token = -1;
    candidates_compact(c);
    candidates_normalize(c);
}

void filter_top_n_sigma(candidates *c, float n_sigma) {
    float largest = -INFINITY, sum = 0, squares = 0;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (isinf(c->list[i].score)) continue; /* ruled out: not a part of the distribution */
        largest = fmaxf(largest, c->list[i].score);
        sum += c->list[i].score;
        n++;
    }
    if (n == 0) return;
    const float mean = sum / (float)n;
    for (size_t i = 0; i < c->n; i++)
        if (!isinf(c->list[i].score)) squares += (c->list[i].score - mean) * (c->list[i].score - mean);
    keep_scores(c, largest - n_sigma * sqrtf(squares / (float)n));
}

void filter_xtc(candidates *c, float threshold) {
    candidates_softmax(c);
    size_t n_reach = 0, least = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->list[i].p < threshold) continue;
        if (n_reach++ == 0 || c->list[i].p <= c->list[least].p) least = i; /* of equal ones the last */
    }
    if (n_reach < 2) return;
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].p >= threshold && i != least) c->list[i].token = -1;
    candidates_compact(c);
    candidates_normalize(c);
}

/* ---------------------------------------------------------------------------------------------- temperature */

void apply_temperature(candidates *c, float temperature) {
    const size_t likeliest = candidates_likeliest(c);
    if (isinf(c->list[likeliest].score / temperature)) { /* too cold for float: take the limit, which is greedy */
        candidates_keep_one(c, likeliest);
        return;
    }
    for (size_t i = 0; i < c->n; i++) c->list[i].score /= temperature;
    c->has_p = false;
}

void apply_dynamic_temperature(candidates *c, float least, float most, float exponent) {
    if (c->n < 2) return;
    candidates_softmax(c);
    float entropy = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].p > 0) entropy -= c->list[i].p * logf(c->list[i].p);
    const float temperature = least + (most - least) * powf(entropy / logf((float)c->n), exponent);
    if (temperature > 0)
        apply_temperature(c, temperature);
    else
        candidates_keep_one(c, candidates_likeliest(c));
}

/* --------------------------------------------------------------------------------------------------- infill */

static bool begins(cllm_string beginning, cllm_string text) {
    return beginning.length > 0 && beginning.length <= text.length &&
           memcmp(beginning.data, text.data, beginning.length) == 0;
}

/* The bytes that a token adds in the middle of a text; none for a control token. */
static cllm_string text_of(const cllm_tokenizer *tokenizer, int32_t token) {
    if (cllm_tokenizer_is_control(tokenizer, token)) return (cllm_string){"", 0};
    return cllm_tokenizer_decode(tokenizer, token, token);
}

/* Drop tokens of text that are less likely than `least`; tokens that end the text stay. Returns how many tokens of text
 * are left. */
static size_t drop_unlikely(candidates *c, const cllm_tokenizer *tokenizer, float least) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (cllm_tokenizer_is_eog(tokenizer, c->list[i].token)) continue;
        if (c->list[i].p < least)
            c->list[i].token = -1;
        else
            n++;
    }
    candidates_compact(c);
    return n;
}

/* If the text of a token begins with that of another one, the likelier of the two gets the probability of both.
 * Likelier tokens are handled first. */
static void join_beginnings(candidates *c, const cllm_tokenizer *tokenizer) {
    candidates_rank_probabilities(c);
    const size_t n = c->n;
    for (size_t left = n; left > 0; left--) { /* sort: heap[n - 1] becomes the likeliest */
        const ranked next = ranked_take(c->heap, left);
        c->heap[left - 1] = next;
    }
    for (size_t i = n; i-- > 0;) {
        candidate *one = &c->list[c->heap[i].at];
        for (size_t k = n; k-- > 0 && one->token >= 0;) {
            candidate *other = &c->list[c->heap[k].at];
            if (k == i || other->token < 0 || !begins(text_of(tokenizer, one->token), text_of(tokenizer, other->token)))
                continue;
            candidate *to = other->p > one->p ? other : one, *from = to == one ? other : one;
            to->p += from->p;
            from->token = -1;
        }
    }
    candidates_compact(c);
}

void filter_infill(candidates *c, const cllm_tokenizer *tokenizer, int32_t end) {
    enum { MOST = 1000 }; /* all pairs are compared, so limit the number; usually top-k or top-p came before */
    const float first_threshold = 0.2f;
    float p_text = 0, p_end = 0;
    filter_top_k(c, MOST);
    candidates_softmax(c);
    for (size_t i = 0; i < c->n; i++)
        *(cllm_tokenizer_is_eog(tokenizer, c->list[i].token) ? &p_end : &p_text) += c->list[i].p;
    if (3 * p_end * (float)c->n > p_text) { /* the end is likely enough */
        for (size_t i = 0; i < c->n; i++)
            if (!cllm_tokenizer_is_eog(tokenizer, c->list[i].token)) c->list[i].token = -1;
        candidates_compact(c);
        candidates_normalize(c);
        return;
    }
    const candidate likeliest = c->list[candidates_likeliest(c)];
    join_beginnings(c, tokenizer);
    const size_t n_text = drop_unlikely(c, tokenizer, first_threshold);
    if (c->n == 0) { /* no text is likely, and no end is a candidate */
        c->list[0] = likeliest;
        if (end >= 0) c->list[0].token = end;
        c->n = 1;
    } else if (n_text == 0) {
        candidates_keep_one(c, candidates_likeliest(c));
    } else {
        candidates_normalize(c);
        drop_unlikely(c, tokenizer, 1 / (float)(n_text + 1));
    }
    candidates_normalize(c);
}
