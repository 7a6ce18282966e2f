/* Implements preamble.h. Marks are searched for in the text of all tokens; a control token counts with its spelling. */
#include "engine/preamble.h"

#include "base/error.h"

#include <string.h>

enum { MOST_SPACES = 20 }; /* after the last mark */

cllm_status preamble_create(const cllm_preamble *o, arena *a, preamble *out, cllm_error *err) {
    *out = (preamble){.state = PREAMBLE_OVER};
    if (o->closes.length == 0 || (o->opens.length == 0 && !o->is_open)) return CLLM_OK;
    const char *opens = arena_string(a, o->opens.data ? o->opens.data : "", o->opens.length);
    if (!opens) return error_set(err, CLLM_ERR_MEMORY, "no memory for the marks around the reasoning");
    out->opens = (cllm_string){opens, o->opens.length};
    out->state = o->is_open ? PREAMBLE_OPEN : PREAMBLE_MAY_OPEN;
    return stops_create(&o->closes, 1, a, &out->closes, err);
}

/* True if a token's text continues the first mark. It may also end the mark and have more text after it. */
static bool goes_on(const preamble *p, cllm_string text) {
    const size_t left = p->opens.length - p->n_opened, n = text.length < left ? text.length : left;
    return n > 0 && memcmp(text.data, p->opens.data + p->n_opened, n) == 0;
}

static bool is_space(cllm_string text) {
    for (size_t i = 0; i < text.length; i++)
        if (!strchr(" \t\r\n", text.data[i]) || !text.data[i]) return false;
    return text.length > 0;
}

void preamble_allow(const preamble *p, const cllm_tokenizer *tokenizer, uint32_t n_vocab, uint32_t *mask) {
    const bool is_free = p->state == PREAMBLE_OPEN;
    if (p->state == PREAMBLE_OVER) return;
    if (p->state == PREAMBLE_OPENING) memset(mask, 0, CLLM_MASK_WORDS(n_vocab) * sizeof *mask);
    for (uint32_t i = 0; i < n_vocab; i++) {
        const int32_t token = (int32_t)i;
        const bool is_end = cllm_tokenizer_is_eog(tokenizer, token);
        bool allowed = is_free && !is_end;
        if (!is_free && !is_end) {
            const cllm_string text = cllm_tokenizer_decode(tokenizer, token, token);
            allowed = p->state == PREAMBLE_CLOSED ? p->n_spaces + text.length <= MOST_SPACES && is_space(text)
                                                  : goes_on(p, text);
        }
        if (allowed) mask[i / 32] |= 1u << i % 32;
        if (is_end && (is_free || p->state == PREAMBLE_OPENING)) mask[i / 32] &= ~(1u << i % 32);
    }
}

static void take_free(preamble *p, cllm_string text) {
    for (size_t i = 0; i < text.length; i++)
        if (stops_take(&p->closes, text.data[i])) p->state = PREAMBLE_CLOSED; /* the rest of the token is ignored */
}

bool preamble_take(preamble *p, cllm_string text, bool by_grammar) {
    switch (p->state) {
    case PREAMBLE_OVER: return false;
    case PREAMBLE_OPEN: take_free(p, text); return true;
    case PREAMBLE_CLOSED:
        p->n_spaces += (uint32_t)text.length;
        if (is_space(text) && p->n_spaces <= MOST_SPACES) return true;
        p->state = PREAMBLE_OVER;
        return false;
    case PREAMBLE_MAY_OPEN:
        if (!goes_on(p, text) || (by_grammar && text.length < p->opens.length)) {
            p->state = PREAMBLE_OVER;
            return false;
        }
        p->state = PREAMBLE_OPENING;
        break;
    default: break;
    }
    const size_t left = p->opens.length - p->n_opened;
    p->n_opened += text.length < left ? text.length : left;
    if (p->n_opened < p->opens.length) return true;
    p->state = PREAMBLE_OPEN;
    if (text.length > left) take_free(p, (cllm_string){text.data + left, text.length - left});
    return true;
}
