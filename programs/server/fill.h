/* Infill: the special tokens that mark the text before and after a gap. */
#ifndef SERVER_FILL_H
#define SERVER_FILL_H

#include "cllm.h"

typedef struct fill_tokens {
    int32_t prefix, suffix;
    int32_t middle;           /* -1: the text after the gap comes first, and no mark follows the text before it */
    int32_t repository, file; /* before their names; -1: the vocabulary has no such token */
} fill_tokens;

/* Find the tokens by the file's metadata, or by the spellings of known families. false: the vocabulary has none. */
bool find_fill_tokens(const cllm_gguf *gguf, const cllm_tokenizer *tokenizer, fill_tokens *found);

#endif
