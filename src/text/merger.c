/* Merges the characters or bytes of a text into tokens of the vocabulary, and reads the merge rules of a file. Before
 * it: tokenizer_spm.c and tokenizer_bpe.c, which prepare the text. After it: ids.
 *
 * Byte pair encoding (Sennrich, Haddow and Birch 2016): look at all adjacent pairs of symbols that together spell a
 * token. The pair with the best score (SentencePiece: Kudo and Richardson 2018), or with the earliest rule in the list
 * of merges, becomes that token. Repeat until there is no such pair. A heap holds the pairs, and a doubly linked list
 * the symbols, so a text of n bytes takes O(n log n) time. Boundaries that no token spans (most spaces) cut the text
 * into stretches. They are merged one by one, so that the heap stays in the cache.
 *
 * The list is an array with one element for each byte. A symbol is at the offset of its first byte, and the next symbol
 * is `length` bytes later.
 *
 *   text        t  h  e     c  a  t
 *   offset      0  1  2  3  4  5  6  7
 *   length      3  .  .  2  .  1  1  0     symbols "the", " c", "a", "t", and the end
 *   previous    .  .  .  0  .  3  5  6 */
#include "text/merger.h"

#include "base/error.h"
#include "base/utf8.h"
#include "gguf/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MERGES_KEY "tokenizer.ggml.merges"

/* Ranks are compared as floats, which are exact up to this number. */
#define MAX_MERGES (1u << 24)

struct text_symbol {
    uint32_t length;   /* bytes; 0: merged into an earlier symbol, or the end of the text */
    uint32_t previous; /* offset of the symbol before; undefined at offset 0 */
    int32_t token;     /* the token with this text, or -1 */
};

/* Two adjacent symbols that would make a token. The pair is outdated once one of them has changed. */
struct symbol_pair {
    float priority;
    uint32_t left;   /* offset of the left symbol */
    uint32_t length; /* bytes of both together */
    int32_t token;
};

/* ------------------------------------------------------------------------------------------ the merge rules */

/* Record that the first left_length bytes of `token` may be joined to the rest. */
static void add_merge(cllm_tokenizer *t, uint32_t rank, int32_t token, uint32_t left_length) {
    uint32_t *link = &t->first_merge_plus_1[token];
    for (; *link != 0; link = &t->merges[*link - 1].next_plus_1)
        if (t->merges[*link - 1].left_length == left_length) return; /* an earlier rule counts */
    *link = rank + 1;
    t->merges[rank].left_length = left_length;
}

/* The token with this text, or -1. Most files list rules in the order of the tokens that they make. So `guess`, the id
 * after that of the last rule's token, often saves a search. */
static int32_t find_made(const cllm_tokenizer *t, const char *text, size_t length, uint32_t guess) {
    if (guess < t->n_vocab && t->tokens[guess].is_indexed && t->tokens[guess].text.length == length &&
        memcmp(t->tokens[guess].text.data, text, length) == 0)
        return (int32_t)guess;
    return vocabulary_find(t, text, length);
}

/* Read the rule "left right": both parts in the vocabulary's spelling, with a space between. joined: has room for its
 * length in bytes. token: in, the token of the last rule; out, of this one. */
static cllm_status parse_merge(cllm_tokenizer *t, uint32_t rank, cllm_string line, char *joined, int32_t *token,
                               cllm_error *err) {
    const char *space = line.length < 3 ? NULL : memchr(line.data + 1, ' ', line.length - 2);
    if (!space)
        return error_set_at(err, CLLM_ERR_FORMAT, MERGES_KEY, CLLM_NO_OFFSET,
                            MERGES_KEY ": entry %u is \"%.*s\", it must be two pieces with a space between", rank,
                            shown_length(line), line.data);
    size_t left_spelling = (size_t)(space - line.data);
    size_t left_length, right_length;
    bool in_letters = unescape(t, line.data, left_spelling, joined, &left_length);
    in_letters &= unescape(t, space + 1, line.length - left_spelling - 1, joined + left_length, &right_length);
    if (!in_letters) return CLLM_OK; /* no text has such a piece */
    *token = find_made(t, joined, left_length + right_length, (uint32_t)*token + 1);
    if (*token >= 0) add_merge(t, rank, *token, (uint32_t)left_length);
    if (*token >= 0 || t->pre || t->cuts_lines)
        return CLLM_OK; /* a special token, or one that was removed from the vocabulary */
    return error_set_at(err, CLLM_ERR_FORMAT, MERGES_KEY, CLLM_NO_OFFSET,
                        MERGES_KEY ": entry %u, \"%.*s\", makes a token that is not in the vocabulary", rank,
                        shown_length(line), line.data);
}

cllm_status merges_load(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    cllm_array rules = {0};
    cllm_status status = gguf_get_array(gguf, MERGES_KEY, GGUF_REQUIRED, CLLM_STRING, &rules, err);
    if (status != CLLM_OK) return status;
    if (rules.count > MAX_MERGES)
        return error_set_at(err, CLLM_ERR_UNSUPPORTED, MERGES_KEY, CLLM_NO_OFFSET,
                            MERGES_KEY ": has %llu entries, at most %u are supported", (unsigned long long)rules.count,
                            MAX_MERGES);
    size_t longest = 0;
    cllm_value rule;
    for (cllm_array rest = rules; cllm_array_next(&rest, &rule);)
        if (rule.string.length > longest) longest = rule.string.length;

    t->merges = arena_alloc(&t->memory, rules.count, sizeof *t->merges);
    t->first_merge_plus_1 = arena_alloc(&t->memory, t->n_vocab, sizeof *t->first_merge_plus_1);
    char *joined = malloc(longest + 1);
    if (!t->merges || !t->first_merge_plus_1 || !joined)
        status = error_set(err, CLLM_ERR_MEMORY, "not enough memory for the merges of the vocabulary");
    int32_t token = -1;
    for (uint32_t rank = 0; status == CLLM_OK && cllm_array_next(&rules, &rule); rank++)
        status = parse_merge(t, rank, rule.string, joined, &token, err);
    free(joined);
    return status;
}

/* The priority of merging two symbols that spell `token`, if the left one has left_length bytes. false: they never
 * merge. */
static bool merge_priority(const cllm_tokenizer *t, int32_t token, uint32_t left_length, float *priority) {
    *priority = t->tokens[token].score;
    if (!t->merges) return true;
    uint32_t link = t->first_merge_plus_1[token];
    while (link != 0 && t->merges[link - 1].left_length != left_length) link = t->merges[link - 1].next_plus_1;
    *priority = -(float)link;
    return link != 0;
}

/* ------------------------------------------------------------------------------------------ the heap of pairs */

/* True if a goes before b. Of pairs with the same priority the leftmost goes first. */
static bool goes_before(const symbol_pair *a, const symbol_pair *b) {
    return a->priority > b->priority || (a->priority == b->priority && a->left < b->left);
}

static void heap_push(merger *m, symbol_pair pair) {
    size_t hole = m->n_pairs++;
    for (; hole > 0; hole = (hole - 1) / 2) {
        const symbol_pair *parent = &m->heap[(hole - 1) / 2];
        if (!goes_before(&pair, parent)) break;
        m->heap[hole] = *parent;
    }
    m->heap[hole] = pair;
}

static symbol_pair heap_pop(merger *m) {
    symbol_pair first = m->heap[0];
    symbol_pair last = m->heap[--m->n_pairs];
    size_t hole = 0;
    for (;;) {
        size_t child = 2 * hole + 1;
        if (child >= m->n_pairs) break;
        if (child + 1 < m->n_pairs && goes_before(&m->heap[child + 1], &m->heap[child])) child++;
        if (!goes_before(&m->heap[child], &last)) break;
        m->heap[hole] = m->heap[child];
        hole = child;
    }
    m->heap[hole] = last;
    return first;
}

/* ------------------------------------------------------------------------------------------ merging */

/* True if a token may span the boundary before offset `at`. */
static bool may_span(const merger *m, uint32_t at) {
    const unsigned char *text = (const unsigned char *)m->text;
    return at < m->length && m->tokenizer->joins[text[at - 1]][text[at]];
}

/* Put the symbol at `left` and the next one on the heap, if they may merge. */
static void consider_pair(merger *m, uint32_t left) {
    uint32_t left_length = m->symbols[left].length;
    uint32_t length = left_length + m->symbols[left + left_length].length;
    if (!may_span(m, left + left_length)) return;
    symbol_pair pair = {.left = left, .length = length};
    pair.token = vocabulary_find(m->tokenizer, m->text + left, length);
    if (pair.token >= 0 && merge_priority(m->tokenizer, pair.token, left_length, &pair.priority)) heap_push(m, pair);
}

/* Make a symbol of each byte, or each character; a byte that is not valid UTF-8 is a symbol of its own. */
static void split_symbols(merger *m) {
    uint32_t previous = 0;
    for (uint32_t at = 0; at < m->length; at += m->symbols[at].length) {
        size_t length = m->tokenizer->pre ? 1 : utf8_length(m->text + at, m->length - at);
        if (length == 0) length = 1;
        m->symbols[at] = (text_symbol){(uint32_t)length, previous, vocabulary_find(m->tokenizer, m->text + at, length)};
        previous = at;
    }
    m->symbols[m->length] = (text_symbol){0, previous, -1};
}

/* A symbol only grows by absorbing the next one. So if the left one still exists and the two lengths still add up,
 * neither has changed since the pair was made. */
static bool is_current(const merger *m, const symbol_pair *pair) {
    uint32_t length = m->symbols[pair->left].length;
    return length != 0 && length + m->symbols[pair->left + length].length == pair->length;
}

static void merge_pairs(merger *m) {
    while (m->n_pairs > 0) {
        symbol_pair pair = heap_pop(m);
        if (!is_current(m, &pair)) continue;
        text_symbol *left = &m->symbols[pair.left];
        m->symbols[pair.left + left->length].length = 0;
        m->symbols[pair.left + pair.length].previous = pair.left;
        left->length = pair.length;
        left->token = pair.token;
        if (pair.left > 0) consider_pair(m, left->previous);
        consider_pair(m, pair.left);
    }
}

/* Merge the stretches between boundaries that no token spans, one by one: then the heap holds a word, not the whole
 * text. */
static void merge_all(merger *m) {
    for (uint32_t at = 0, next; at < m->length; at = next) {
        next = at + m->symbols[at].length;
        consider_pair(m, at);
        if (!may_span(m, next)) merge_pairs(m);
    }
}

/* ------------------------------------------------------------------------------------------ ids */

static cllm_status cannot_express(const char *bytes, uint32_t length, cllm_error *err) {
    char hex[3 * 4 + 1] = ""; /* a character has at most 4 bytes */
    for (uint32_t i = 0; i < length; i++) snprintf(hex + 3 * i, 4, " %02X", (unsigned char)bytes[i]);
    return error_set(err, CLLM_ERR_UNSUPPORTED,
                     "the text has a character (bytes%s) for which the vocabulary has no token, no byte tokens and no "
                     "unknown token",
                     hex);
}

/* Append the ids of a character that is not a token: those of its bytes, if all of them have tokens, else the unknown
 * token. */
static cllm_status emit_character(const merger *m, const char *bytes, uint32_t length, token_list *out,
                                  cllm_error *err) {
    const int32_t *byte_tokens = m->tokenizer->byte_tokens;
    bool expressible = true;
    for (uint32_t i = 0; i < length; i++) expressible = expressible && byte_tokens[(unsigned char)bytes[i]] >= 0;
    if (!expressible && m->tokenizer->unknown < 0) return cannot_express(bytes, length, err);
    if (!expressible) {
        out->ids[out->count++] = m->tokenizer->unknown;
        return CLLM_OK;
    }
    for (uint32_t i = 0; i < length; i++) out->ids[out->count++] = byte_tokens[(unsigned char)bytes[i]];
    return CLLM_OK;
}

/* Append the ids of all symbols. out: has room for one id for each byte. */
static cllm_status emit_tokens(const merger *m, token_list *out, cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (uint32_t at = 0; at < m->length && status == CLLM_OK; at += m->symbols[at].length) {
        const text_symbol *symbol = &m->symbols[at];
        if (symbol->token >= 0)
            out->ids[out->count++] = symbol->token;
        else
            status = emit_character(m, m->text + at, symbol->length, out, err);
    }
    return status;
}

static bool reserve(merger *m, uint32_t length) {
    if (length <= m->capacity) return true;
    merger_free(m);
    uint64_t capacity = length < 64 ? 64 : (uint64_t)length + length / 2;
    m->symbols = calloc(capacity + 1, sizeof *m->symbols);
    m->heap = calloc(capacity, 2 * sizeof *m->heap);
    m->capacity = m->symbols && m->heap ? (uint32_t)capacity : 0;
    return m->capacity != 0;
}

void merger_free(merger *m) {
    free(m->heap);
    free(m->symbols);
    m->heap = NULL;
    m->symbols = NULL;
    m->capacity = 0;
}

cllm_status merger_encode(merger *m, const char *text, uint32_t length, token_list *out, cllm_error *err) {
    if (!reserve(m, length) || !token_list_reserve(out, length))
        return error_set(err, CLLM_ERR_MEMORY, "not enough memory to encode a text of %u bytes", length);
    m->text = text;
    m->length = length;
    split_symbols(m);
    merge_all(m);
    return emit_tokens(m, out, err);
}
