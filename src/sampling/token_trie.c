/* Implements token_trie.h: sorts the texts, and makes a node for each byte after the beginning that a text shares with
 * the one before it. */
#include "sampling/token_trie.h"

#include <stdlib.h>
#include <string.h>

static int by_bytes(const void *a, const void *b) {
    const spelled_token *one = a, *other = b;
    const size_t n = one->text.length < other->text.length ? one->text.length : other->text.length;
    const int order = memcmp(one->text.data, other->text.data, n);
    if (order != 0) return order;
    if (one->text.length != other->text.length) return one->text.length < other->text.length ? -1 : 1;
    return one->token - other->token;
}

cllm_string token_trie_text(const cllm_tokenizer *tokenizer, int32_t token) {
    if (cllm_tokenizer_is_control(tokenizer, token) || cllm_tokenizer_is_eog(tokenizer, token))
        return (cllm_string){"", 0};
    return cllm_tokenizer_decode(tokenizer, token, token);
}

static size_t common_prefix(cllm_string a, cllm_string b) {
    size_t n = 0;
    while (n < a.length && n < b.length && a.data[n] == b.data[n]) n++;
    return n;
}

/* Make the nodes for sorted texts. path: [depth + 1] work space, the nodes that lead to the last text. */
static void lay_out(token_trie *t, const spelled_token *all, uint32_t *path) {
    cllm_string last = {"", 0};
    for (uint32_t i = 0; i < t->n_sorted; i++) {
        const cllm_string text = all[i].text;
        const size_t same = common_prefix(last, text);
        for (size_t depth = same; depth < last.length; depth++) t->nodes[path[depth]].skip = t->n_nodes;
        for (size_t depth = same; depth < text.length; depth++) {
            path[depth] = t->n_nodes;
            t->nodes[t->n_nodes++] =
                (trie_node){.first = i, .byte = (uint8_t)text.data[depth], .depth = (uint16_t)depth};
        }
        t->sorted[i] = all[i].token;
        t->nodes[path[text.length - 1]].n_ends++;
        last = text;
    }
    for (size_t depth = 0; depth < last.length; depth++) t->nodes[path[depth]].skip = t->n_nodes;
}

bool token_trie_build(token_trie *t, spelled_token *all, uint32_t n, arena *a) {
    uint64_t n_nodes = 0;
    *t = (token_trie){.n_sorted = n};
    if (n > 0) qsort(all, n, sizeof *all, by_bytes);
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].text.length > t->depth) t->depth = (uint32_t)all[i].text.length;
        n_nodes += all[i].text.length - (i > 0 ? common_prefix(all[i - 1].text, all[i].text) : 0);
    }
    uint32_t *path = malloc((t->depth + 1) * sizeof *path);
    t->sorted = arena_alloc(a, n, sizeof *t->sorted);
    t->nodes = n_nodes < UINT32_MAX ? arena_alloc(a, n_nodes, sizeof *t->nodes) : NULL;
    const bool made = path && t->sorted && t->nodes;
    if (made) lay_out(t, all, path);
    free(path);
    return made;
}
