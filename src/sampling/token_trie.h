/* The texts of a vocabulary as a tree of bytes, laid out in the order of a walk through it: to skip what begins alike is one step. */
#ifndef SAMPLING_TOKEN_TRIE_H
#define SAMPLING_TOKEN_TRIE_H

#include "base/arena.h"
#include "cllm.h"

typedef struct trie_node {
    uint32_t skip;   /* the first node that is not below this one */
    uint32_t first;  /* in `sorted`: of the tokens below; those that end here come first */
    uint32_t n_ends; /* tokens that end here */
    uint16_t depth;  /* of the byte in its tokens, from 0 */
    uint8_t byte;
} trie_node;

typedef struct token_trie {
    trie_node *nodes; /* [n_nodes]: the root's children and theirs, depth first */
    uint32_t n_nodes;
    int32_t *sorted; /* [n_sorted] tokens that have a text, by their bytes */
    uint32_t n_sorted;
    uint32_t depth; /* bytes of the longest token */
} token_trie;

/* The text of a token wherever it stands; none of a control token, nor of one that ends a text. */
cllm_string token_trie_text(const cllm_tokenizer *tokenizer, int32_t token);

typedef struct spelled_token {
    cllm_string text; /* or the rest of it */
    int32_t token;
} spelled_token;

/* A tree of texts, which are sorted for it; none is empty. Memory comes from the arena; false: there is none. */
bool token_trie_build(token_trie *t, spelled_token *all, uint32_t n, arena *a);

#endif
