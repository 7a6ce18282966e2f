/* The texts of a vocabulary as a trie of bytes. The nodes are stored in the order of a walk, so all texts with the same
 * beginning are skipped in one step. Before this: the tokenizer. After it: grammar.c, which walks trie and grammar
 * together. */
#ifndef SAMPLING_TOKEN_TRIE_H
#define SAMPLING_TOKEN_TRIE_H

#include "base/arena.h"
#include "cllm.h"

typedef struct trie_node {
    uint32_t skip;   /* the first node after those below this one */
    uint32_t first;  /* index in `sorted` of the tokens below; tokens that end here come first */
    uint32_t n_ends; /* tokens that end here */
    uint16_t depth;  /* of the byte in its tokens, from 0 */
    uint8_t byte;
} trie_node;

typedef struct token_trie {
    trie_node *nodes; /* [n_nodes]: all except the root, depth first */
    uint32_t n_nodes;
    int32_t *sorted; /* [n_sorted] tokens with a text, sorted by bytes */
    uint32_t n_sorted;
    uint32_t depth; /* bytes of the longest token */
} token_trie;

/* The text of a token in the middle of a text; empty for control tokens, and for tokens that end a text. */
cllm_string token_trie_text(const cllm_tokenizer *tokenizer, int32_t token);

typedef struct spelled_token {
    cllm_string text; /* of the token, or the end of it */
    int32_t token;
} spelled_token;

/* Make a trie of texts, [n], none of them empty. They are sorted in place. Memory comes from the arena. Returns false
 * if it runs out. */
bool token_trie_build(token_trie *t, spelled_token *all, uint32_t n, arena *a);

#endif
