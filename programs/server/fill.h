/* Text that is to fill a gap: the tokens by which a model is told what is before it and what after. */
#ifndef SERVER_FILL_H
#define SERVER_FILL_H

#include "cllm.h"

typedef struct fill_tokens {
    int32_t prefix, suffix,
        middle; /* middle: -1 where the text after the gap comes first, and nothing follows the text before it */
    int32_t repository, file; /* before the names of these; -1: there is none */
} fill_tokens;

/* By the file's metadata, or by the spellings that families have. false: the vocabulary has none. */
bool find_fill_tokens(const cllm_gguf *gguf, const cllm_tokenizer *tokenizer, fill_tokens *found);

#endif
