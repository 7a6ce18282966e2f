/* Implements sorted_texts.h: sorts the texts of a vocabulary. Before it: vocabulary.c. After it: tokenizer_unigram.c
 * and tokenizer_rwkv.c. */
#include "text/sorted_texts.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_TEXT = 1024 /* bytes; real ones have at most a few hundred. It bounds the work for each byte of a text */
};

/* An item has a pointer to its bytes, because qsort gives the comparison nothing but two items. */
typedef struct sort_item {
    sorted_text text;
    const char *bytes;
} sort_item;

static int compare_texts(const void *left, const void *right) {
    const sort_item *a = left, *b = right;
    if (a->text.head != b->text.head) return a->text.head < b->text.head ? -1 : 1;
    const uint32_t common = a->text.length < b->text.length ? a->text.length : b->text.length;
    const int order = memcmp(a->bytes, b->bytes, common);
    return order != 0 ? order : a->text.length < b->text.length ? -1 : a->text.length > b->text.length;
}

static uint64_t head_of(cllm_string text) {
    uint64_t head = 0;
    for (size_t i = 0; i < 8; i++) head = head << 8 | (i < text.length ? (unsigned char)text.data[i] : 0);
    return head;
}

cllm_status sort_texts(cllm_tokenizer *t, cllm_error *err) {
    uint32_t n = 0;
    for (uint32_t id = 0; id < t->n_vocab; id++) n += t->tokens[id].is_indexed;
    sort_item *items = calloc((size_t)n + 1, sizeof *items);
    t->sorted = arena_alloc(&t->memory, n, sizeof *t->sorted);
    if (!items || !t->sorted) {
        free(items);
        return error_set(err, CLLM_ERR_MEMORY, "not enough memory for the vocabulary");
    }
    n = 0;
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        const cllm_string text = t->tokens[id].text;
        if (t->tokens[id].is_indexed && text.length > LONGEST_TEXT) {
            free(items);
            return error_set(err, CLLM_ERR_FORMAT, "token %" PRIu32 " has %zu bytes; at most %d are allowed", id,
                             text.length, LONGEST_TEXT);
        }
        if (t->tokens[id].is_indexed) items[n++] = (sort_item){{head_of(text), id, (uint32_t)text.length}, text.data};
    }
    qsort(items, n, sizeof *items, compare_texts);
    for (uint32_t i = 0; i < n; i++) {
        t->sorted[i] = items[i].text;
        t->sorted_from[(items[i].text.head >> 56) + 1] = i + 1;
    }
    for (int byte = 0; byte < 256; byte++)
        if (t->sorted_from[byte + 1] == 0) t->sorted_from[byte + 1] = t->sorted_from[byte];
    free(items);
    return CLLM_OK;
}
