/* cllm_transcript: the ids of a text that is rendered anew for each turn of a conversation. Before it: cllm_chat_render. After it: a
 * generation.
 *
 * What was evaluated keeps its ids: a new text is compared with the old one, and only what follows is encoded. The old text lies in
 * pieces, each encoded, or generated, at once. A piece that was encoded is kept whole or not at all, so that the ids depend on the
 * conversation alone, and not on what was taken back in between. Trust may change from one render to the next (a template's own "assistant",
 * and later a message's role): then the piece is encoded once more, and its ids decide. A generated one may lose its end, at a border of tokens, where the
 * template's own text goes on with a special token: templates trim answers. */
#include "base/error.h"
#include "cllm.h"

#include <stdlib.h>
#include <string.h>

typedef struct piece {
    size_t text_end, token_end; /* where it ends in the whole */
    bool generated;
} piece;

struct cllm_transcript {
    const cllm_tokenizer *tokenizer;
    char *text;      /* [length] */
    char *trust;     /* [length] may this byte be part of a special token? Of generated ones it does not count */
    int32_t *tokens; /* [n_tokens] */
    size_t *ends;    /* [n_tokens] where in the text each one ends; of encoded pieces: where the piece ends */
    piece *pieces;   /* [n_pieces] */
    size_t length, text_capacity, n_tokens, token_capacity, n_pieces, piece_capacity;
};

cllm_status cllm_transcript_create(const cllm_tokenizer *tokenizer, cllm_transcript **out, cllm_error *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) return error_set(err, CLLM_ERR_MEMORY, "no memory for a transcript");
    (*out)->tokenizer = tokenizer;
    return CLLM_OK;
}

void cllm_transcript_destroy(cllm_transcript *t) {
    if (!t) return;
    free(t->text);
    free(t->trust);
    free(t->tokens);
    free(t->ends);
    free(t->pieces);
    free(t);
}

const int32_t *cllm_transcript_tokens(const cllm_transcript *t) { return t->tokens; }
size_t cllm_transcript_n_tokens(const cllm_transcript *t) { return t->n_tokens; }

/* ----------------------------------------------------------------------------------------------------- adding */

static bool grow(void **memory, size_t capacity, size_t size) {
    void *larger = realloc(*memory, capacity * size);
    if (larger) *memory = larger;
    return larger != NULL;
}

/* Room for so much more. */
static bool reserve(cllm_transcript *t, size_t n_bytes, size_t n_tokens) {
    if (n_bytes > t->text_capacity - t->length) {
        const size_t capacity = 2 * (t->length + n_bytes);
        if (!grow((void **)&t->text, capacity, 1) || !grow((void **)&t->trust, capacity, 1)) return false;
        t->text_capacity = capacity;
    }
    if (n_tokens > t->token_capacity - t->n_tokens) {
        const size_t capacity = 2 * (t->n_tokens + n_tokens);
        if (!grow((void **)&t->tokens, capacity, sizeof *t->tokens) ||
            !grow((void **)&t->ends, capacity, sizeof *t->ends))
            return false;
        t->token_capacity = capacity;
    }
    if (t->n_pieces == t->piece_capacity) {
        const size_t capacity = 2 * t->n_pieces + 8;
        if (!grow((void **)&t->pieces, capacity, sizeof *t->pieces)) return false;
        t->piece_capacity = capacity;
    }
    return true;
}

static void end_piece(cllm_transcript *t, bool generated) {
    t->pieces[t->n_pieces++] = (piece){t->length, t->n_tokens, generated};
}

cllm_status cllm_transcript_append(cllm_transcript *t, const int32_t *tokens, size_t count, cllm_error *err) {
    int32_t previous = t->n_tokens > 0 ? t->tokens[t->n_tokens - 1] : -1;
    for (size_t i = 0; i < count; previous = tokens[i++]) {
        const cllm_string bytes = cllm_tokenizer_decode(t->tokenizer, previous, tokens[i]);
        if (!reserve(t, bytes.length, 1)) return error_set(err, CLLM_ERR_MEMORY, "no memory for a transcript");
        memcpy(t->text + t->length, bytes.data, bytes.length);
        memset(t->trust + t->length, 0, bytes.length);
        t->length += bytes.length;
        t->tokens[t->n_tokens] = tokens[i];
        t->ends[t->n_tokens++] = t->length;
    }
    if (count > 0) end_piece(t, true);
    return CLLM_OK;
}

/* -------------------------------------------------------------------------------------------------- comparing */

/* A text in parts, from some byte on. */
typedef struct place {
    const cllm_part *parts;
    size_t n_parts, at; /* `at`: in the first of them */
} place;

static place place_at(const cllm_part *parts, size_t n_parts, size_t offset) {
    place p = {parts, n_parts, offset};
    while (p.n_parts > 0 && p.at >= p.parts->text.length) {
        p.at -= p.parts->text.length;
        p.parts++;
        p.n_parts--;
    }
    return p;
}

/* How much of the old text, from .. end - 1, the new text has at the same place. */
static size_t count_equal(const cllm_transcript *t, size_t from, size_t end, const cllm_part *parts, size_t n_parts,
                          bool *same_trust) {
    size_t n = 0;
    *same_trust = true;
    for (place p = place_at(parts, n_parts, from); p.n_parts > 0 && from + n < end;
         p = place_at(p.parts, p.n_parts, p.at + 1)) {
        if (p.parts->text.data[p.at] != t->text[from + n]) break;
        if ((bool)t->trust[from + n] != p.parts->trusted) *same_trust = false;
        n++;
    }
    return n;
}

/* The trust of the new text is that of the old now, from .. end - 1. */
static void take_trust(cllm_transcript *t, size_t from, size_t end, const cllm_part *parts, size_t n_parts) {
    for (place p = place_at(parts, n_parts, from); from < end; p = place_at(p.parts, p.n_parts, p.at + 1))
        t->trust[from++] = p.parts->trusted;
}

/* Of a text after so many tokens. */
static int encode_flags(size_t n_before) { return n_before > 0 ? CLLM_ENCODE_GOES_ON : CLLM_ENCODE_ADD_SPECIAL; }

/* Encode the new text from .. end - 1. tokens: out, owned. */
static cllm_status encode_range(const cllm_transcript *t, const cllm_part *parts, size_t n_parts, size_t from,
                                size_t end, int flags, int32_t **tokens, size_t *count, cllm_error *err) {
    place p = place_at(parts, n_parts, from);
    cllm_part *range = malloc((p.n_parts + 1) * sizeof *range);
    if (!range) return error_set(err, CLLM_ERR_MEMORY, "no memory for a transcript");
    size_t n = 0;
    for (size_t at = from; p.n_parts > 0 && at < end; p = place_at(p.parts + 1, p.n_parts - 1, 0)) {
        size_t length = p.parts->text.length - p.at;
        if (length > end - at) length = end - at;
        range[n++] = (cllm_part){p.parts->trusted, {p.parts->text.data + p.at, length}};
        at += length;
    }
    const cllm_status status = cllm_tokenizer_encode_parts(t->tokenizer, range, n, flags, tokens, count, err);
    free(range);
    return status;
}

/* Do two texts have the same special tokens, in the same order? A model may draw letters that spell one: they are letters. */
static bool same_specials(const cllm_transcript *t, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b) {
    for (size_t i = 0, k = 0;; i++, k++) {
        while (i < n_a && !cllm_tokenizer_is_control(t->tokenizer, a[i])) i++;
        while (k < n_b && !cllm_tokenizer_is_control(t->tokenizer, b[k])) k++;
        if (i >= n_a || k >= n_b) return i >= n_a && k >= n_b;
        if (a[i] != b[k]) return false;
    }
}

/* How many tokens of piece `index` the new text keeps. `whole`: out, all of it. */
static cllm_status count_kept(cllm_transcript *t, size_t index, const cllm_part *parts, size_t n_parts, size_t *n_kept,
                              bool *whole, cllm_error *err) {
    const piece *p = &t->pieces[index];
    const size_t begin = index > 0 ? p[-1].text_end : 0, first = index > 0 ? p[-1].token_end : 0;
    bool same_trust;
    const size_t n_equal = count_equal(t, begin, p->text_end, parts, n_parts, &same_trust);
    *whole = begin + n_equal == p->text_end;
    *n_kept = *whole ? p->token_end - first : 0;
    if (!p->generated && (!*whole || same_trust)) {
        if (!*whole) *n_kept = 0;
        return CLLM_OK;
    }
    for (size_t n = 0; p->generated && !*whole && first + n < p->token_end && t->ends[first + n] <= begin + n_equal;)
        *n_kept = ++n;
    const size_t end = *n_kept > 0 ? t->ends[first + *n_kept - 1] : begin;
    int32_t *tokens = NULL;
    size_t count = 0;
    const cllm_status status = encode_range(t, parts, n_parts, begin, end, encode_flags(first), &tokens, &count, err);
    const int32_t *old = t->tokens + first;
    const bool same = p->generated ? same_specials(t, old, *n_kept, tokens, count)
                                   : count == *n_kept && (count == 0 || memcmp(tokens, old, count * sizeof *old) == 0);
    cllm_free(tokens);
    if (!same) *n_kept = 0;
    if (!same) *whole = false;
    if (same && !p->generated) take_trust(t, begin, end, parts, n_parts); /* so that it is not encoded next time */
    return status;
}

/* Forget the old text from piece `first` on, but for `n_kept` tokens of that piece. */
static void cut(cllm_transcript *t, size_t first, size_t n_kept) {
    t->n_tokens = (first > 0 ? t->pieces[first - 1].token_end : 0) + n_kept;
    t->length = t->n_tokens > 0 ? t->ends[t->n_tokens - 1] : 0;
    t->n_pieces = first;
    if (n_kept > 0) end_piece(t, true);
}

/* ----------------------------------------------------------------------------------------------------- setting */

/* Add the new text, beyond what is kept, as one piece of these tokens. */
static bool add_rest(cllm_transcript *t, const cllm_part *parts, size_t n_parts, const int32_t *tokens, size_t count) {
    size_t n_bytes = 0;
    for (size_t i = 0; i < n_parts; i++) n_bytes += parts[i].text.length;
    if (!reserve(t, n_bytes - t->length, count)) return false;
    for (place p = place_at(parts, n_parts, t->length); p.n_parts > 0; p = place_at(p.parts + 1, p.n_parts - 1, 0)) {
        const size_t n = p.parts->text.length - p.at;
        memcpy(t->text + t->length, p.parts->text.data + p.at, n);
        memset(t->trust + t->length, p.parts->trusted, n);
        t->length += n;
    }
    for (size_t i = 0; i < count; i++) {
        t->tokens[t->n_tokens] = tokens[i];
        t->ends[t->n_tokens++] = t->length;
    }
    if (count > 0) end_piece(t, false);
    return true;
}

cllm_status cllm_transcript_set(cllm_transcript *t, const cllm_part *parts, size_t n_parts, cllm_error *err) {
    cllm_status status = CLLM_OK;
    size_t first = 0, n_kept = 0, count = 0;
    int32_t *tokens = NULL;
    for (bool whole = true; status == CLLM_OK && first < t->n_pieces; first++) {
        status = count_kept(t, first, parts, n_parts, &n_kept, &whole, err);
        if (status != CLLM_OK || !whole) break;
        n_kept = 0;
    }
    if (status != CLLM_OK) return status;
    cut(t, first, n_kept);
    if (t->length == 0) cut(t, 0, 0); /* BOS alone is no beginning to go on from */
    status = encode_range(t, parts, n_parts, t->length, SIZE_MAX, encode_flags(t->n_tokens), &tokens, &count, err);
    if (status == CLLM_OK && n_kept > 0 && (count == 0 || !cllm_tokenizer_is_control(t->tokenizer, tokens[0]))) {
        cllm_free(tokens);
        tokens = NULL;
        cut(t, first, 0);
        status = encode_range(t, parts, n_parts, t->length, SIZE_MAX, encode_flags(t->n_tokens), &tokens, &count, err);
    }
    if (status == CLLM_OK && !add_rest(t, parts, n_parts, tokens, count))
        status = error_set(err, CLLM_ERR_MEMORY, "no memory for a transcript");
    cllm_free(tokens);
    return status;
}
