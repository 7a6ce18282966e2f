/* The texts of a vocabulary as a trie of bytes, stored in the order of a walk: so skipping all texts with the same
 * beginning is one step. */
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
    trie_node *nodes; /* [n_nodes]: the root's children and theirs, depth first */
    uint32_t n_nodes;
    int32_t *sorted; /* [n_sorted] tokens with a text, sorted by bytes */
    uint32_t n_sorted;
    uint32_t depth; /* bytes of the longest token */
} token_trie;

/* The text of a token, independent of its position; none for control tokens and tokens that end a text. */
cllm_string token_trie_text(const cllm_tokenizer *tokenizer, int32_t token);

typedef struct spelled_token {
    cllm_string text; /* or the rest of it */
    int32_t token;
} spelled_token;

/* Make a trie of texts; they get sorted, and none may be empty. Memory comes from the arena; false: out of memory. */
bool token_trie_build(token_trie *t, spelled_token *all, uint32_t n, arena *a);

#endif
