/* Merging, the core of byte pair encoding: for SentencePiece BPE and for byte-level BPE. */
#ifndef TEXT_MERGER_H
#define TEXT_MERGER_H

#include "text/tokenizer.h"

typedef struct text_symbol text_symbol;
typedef struct symbol_pair symbol_pair;

/* Memory that is reused for the next text. Zero-initialised except for `tokenizer`. */
typedef struct merger {
    const cllm_tokenizer *tokenizer;
    const char *text;
    uint32_t length;      /* bytes of text */
    uint32_t capacity;    /* longest text that the memory allows */
    text_symbol *symbols; /* [capacity + 1] */
    symbol_pair *heap;    /* [2 * capacity]: each merge removes one pair and adds at most two */
    size_t n_pairs;
} merger;

void merger_free(merger *m);

/* Append the ids of a text, merged from its characters or, for byte-level BPE, its bytes. length: 1 or more.
 * Errors: MEMORY, UNSUPPORTED (a character that the vocabulary cannot express). */
cllm_status merger_encode(merger *m, const char *text, uint32_t length, token_list *out, cllm_error *err);

/* Read tokenizer.ggml.merges, which must exist. Errors: FORMAT, UNSUPPORTED, MEMORY. */
cllm_status merges_load(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err);

#endif
