/* Unigram, for tokenizer.ggml.model "t5": normalises a text, and finds the best way to cut it into tokens. Before it:
 * tokenizer.c, which takes special tokens out of the text, and charsmap.c. After it: ids.
 *
 * A token's score is the logarithm of its probability, so the score of a text is the sum of its tokens' scores.
 * Viterbi's algorithm finds the best cut (Kudo 2018): for each position, in order, it finds the best tokens up to
 * there. A character that is not a token becomes the unknown token, whose score is below all others; several in a row
 * become one. As in merger.c, the text is cut into stretches at the boundaries that no token spans. They are short
 * enough to stay in the cache. */
#include "base/error.h"
#include "base/utf8.h"
#include "gguf/gguf.h"
#include "text/sorted_texts.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_PENALTY 10.0f
#define LONGEST         ((size_t)1 << 31) /* bytes of a text when it is normalised */

/* ------------------------------------------------------------------------------------------ making one */

cllm_status unigram_load(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    cllm_status status =
        gguf_get_bool(gguf, "tokenizer.ggml.remove_extra_whitespaces", GGUF_OPTIONAL, &t->merges_spaces, err);
    if (status == CLLM_OK) status = charsmap_load(gguf, &t->charsmap, err);
    if (status == CLLM_OK) status = sort_texts(t, err);
    /* if spaces are merged, each word has one space before it, even the first word */
    t->add_space_prefix = t->add_space_prefix || t->merges_spaces;
    float least = FLT_MAX;
    for (uint32_t id = 0; id < t->n_vocab; id++)
        if (t->tokens[id].type == TOKEN_NORMAL && t->tokens[id].score < least) least = t->tokens[id].score;
    t->unknown_score = least - UNKNOWN_PENALTY;
    return status;
}

/* ------------------------------------------------------------------------------------------ normalising */

/* A text as the vocabulary sees it: normalised, with a space for U+2581 and for other characters that mean a space. */
typedef struct plain_text {
    char *bytes; /* [length]; release with free() */
    size_t length, capacity;
    bool wants_space; /* put a space before the next character that is not a space */
} plain_text;

static bool reserve_bytes(plain_text *p, size_t more) {
    if (more <= p->capacity - p->length) return true;
    if (more > LONGEST || p->length + more > LONGEST) return false;
    const size_t capacity = 2 * (p->length + more);
    char *bytes = realloc(p->bytes, capacity);
    if (!bytes) return false;
    p->bytes = bytes;
    p->capacity = capacity;
    return true;
}

/* Add a character or its replacement. Returns false if memory runs out. */
static bool add_plain(const cllm_tokenizer *t, plain_text *p, cllm_string piece) {
    if (!reserve_bytes(p, 2 * piece.length)) return false;
    for (size_t i = 0, n; i < piece.length; i += n) {
        n = 1;
        if (piece.data[i] == ' ') {
            p->wants_space = p->wants_space || t->merges_spaces;
            if (!t->merges_spaces) p->bytes[p->length++] = ' ';
            continue;
        }
        if (p->wants_space) p->bytes[p->length++] = ' ';
        p->wants_space = false;
        const bool is_u2581 = piece.length - i >= 3 && memcmp(piece.data + i, "\xE2\x96\x81", 3) == 0;
        p->bytes[p->length++] = is_u2581 ? ' ' : piece.data[i];
        if (is_u2581) n = 3;
    }
    return true;
}

static bool normalise(const cllm_tokenizer *t, const char *text, size_t length, plain_text *p) {
    for (size_t at = 0, n; at < length; at += n) {
        cllm_string piece = {0};
        n = charsmap_match(&t->charsmap, text + at, length - at, &piece);
        if (n == 0) {
            n = utf8_length(text + at, length - at);
            piece = n ? (cllm_string){text + at, n} : (cllm_string){"\xEF\xBF\xBD", 3};
            if (n == 0) n = 1;
        }
        if (!add_plain(t, p, piece)) return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------ the best path */

/* The best way to cut a stretch up to a position. It has only the last token; the best_path at `begin` has the token
 * before that one. */
typedef struct best_path {
    double score;   /* of the whole text so far */
    uint32_t begin; /* where the last token begins; NOWHERE: no token ends here */
    int32_t id;
} best_path;

enum { NOWHERE = UINT32_MAX };

typedef struct lattice {
    const cllm_tokenizer *tokenizer;
    const char *text;
    uint32_t length; /* of the stretch */
    best_path *best; /* [capacity], [length + 1] in use */
    size_t capacity;
    double score; /* of all stretches before: sums go on from it, so they round as if the text were not cut */
} lattice;

/* Record the path that reaches begin + length with this token, if it is the best one so far. */
static void consider(lattice *l, uint32_t begin, uint32_t length, int32_t id, float score) {
    best_path *there = &l->best[begin + length];
    const double sum = l->best[begin].score + (double)score;
    if (there->begin == NOWHERE || sum > there->score) *there = (best_path){sum, begin, id};
}

/* Consider all tokens that begin at a character of the stretch. Each byte narrows the range of candidates. */
static void consider_tokens(lattice *l, uint32_t begin, uint32_t character_length) {
    const cllm_tokenizer *t = l->tokenizer;
    const unsigned char *text = (const unsigned char *)l->text + begin;
    uint32_t low = t->sorted_from[text[0]], high = t->sorted_from[text[0] + 1];
    bool is_token = false; /* the character is a token */
    for (uint32_t depth = 1; low < high; depth++) {
        const sorted_text *candidate = &t->sorted[low];
        if (candidate->length == depth) {
            consider(l, begin, depth, (int32_t)candidate->id, t->tokens[candidate->id].score);
            is_token = is_token || depth == character_length;
            low++;
        }
        if (begin + depth == l->length) break;
        low = sorted_from_byte(t, low, high, depth, text[depth]);
        high = sorted_from_byte(t, low, high, depth, text[depth] + 1u);
    }
    if (!is_token) consider(l, begin, character_length, t->unknown, t->unknown_score);
}

static uint32_t character_at(const char *text, size_t length) {
    const size_t n = utf8_length(text, length);
    return n ? (uint32_t)n : 1;
}

static bool begin_stretch(lattice *l, const char *text, uint32_t length) {
    if ((size_t)length + 1 > l->capacity) {
        const size_t capacity = 2 * ((size_t)length + 1);
        free(l->best);
        l->best = capacity <= SIZE_MAX / sizeof *l->best ? malloc(capacity * sizeof *l->best) : NULL;
        l->capacity = l->best ? capacity : 0;
        if (!l->best) return false;
    }
    l->text = text;
    l->length = length;
    l->best[0] = (best_path){.score = l->score};
    for (uint32_t i = 1; i <= length; i++) l->best[i].begin = NOWHERE;
    return true;
}

/* Append the tokens of the best path. first: index in the list where those of this text begin. */
static cllm_status take_path(lattice *l, size_t first, token_list *out, cllm_error *err) {
    const int32_t unknown = l->tokenizer->unknown;
    uint32_t next = 0;
    /* reverse the links, so that they lead from the end of each token to the end of the next one */
    for (uint32_t at = l->length; at > 0;) {
        const uint32_t begin = l->best[at].begin;
        l->best[at].begin = next;
        next = at;
        at = begin;
    }
    l->score = l->best[l->length].score;
    for (uint32_t at = next; at > 0; at = l->best[at].begin) {
        const int32_t id = l->best[at].id;
        if (id < 0)
            return error_set(
                err, CLLM_ERR_UNSUPPORTED,
                "the text has a character that the vocabulary cannot express, and there is no unknown token");
        if (id == unknown && out->count > first && out->ids[out->count - 1] == unknown) continue;
        const cllm_status status = token_list_add(out, id, err);
        if (status != CLLM_OK) return status;
    }
    return CLLM_OK;
}

static cllm_status cut_stretch(lattice *l, size_t first, token_list *out, cllm_error *err) {
    for (uint32_t at = 0, n; at < l->length; at += n) {
        n = character_at(l->text + at, l->length - at);
        consider_tokens(l, at, n);
    }
    return take_path(l, first, out, err);
}

/* The bytes up to the next boundary that no token spans. */
static uint32_t stretch_length(const cllm_tokenizer *t, const char *text, size_t length) {
    size_t at = 0;
    do at += character_at(text + at, length - at);
    while (at < length && t->joins[(unsigned char)text[at - 1]][(unsigned char)text[at]]);
    return (uint32_t)at;
}

cllm_status unigram_encode(const cllm_tokenizer *t, const char *text, size_t length, bool goes_on, token_list *out,
                           cllm_error *err) {
    plain_text plain = {.wants_space = t->add_space_prefix && !goes_on};
    lattice l = {.tokenizer = t};
    const size_t first = out->count;
    bool has_memory = normalise(t, text, length, &plain);
    cllm_status status = CLLM_OK;
    for (size_t at = 0; at < plain.length && has_memory && status == CLLM_OK; at += l.length) {
        has_memory = begin_stretch(&l, plain.bytes + at, stretch_length(t, plain.bytes + at, plain.length - at));
        if (has_memory) status = cut_stretch(&l, first, out, err);
    }
    free(l.best);
    free(plain.bytes);
    if (has_memory) return status;
    return error_set(err, CLLM_ERR_MEMORY, "not enough memory to encode a text of %zu bytes", length);
}
