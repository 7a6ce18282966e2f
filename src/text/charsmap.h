/* The normalisation of a SentencePiece model: characters that are replaced by others, such as ² by 2, or a tab by a
 * space. It is in the file as tokenizer.ggml.precompiled_charsmap; tokenizer_unigram.c applies it. */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H

#include "cllm.h"

/* Points into the file. All zero: it replaces nothing. */
typedef struct charsmap {
    const unsigned char *units; /* [n_units][4], little-endian: the trie, see charsmap.c */
    uint32_t n_units;
    const char *replacements; /* [n_bytes]: texts, each followed by a zero byte */
    size_t n_bytes;
} charsmap;

/* Find the map in a file. Without the key the map is all zero. Errors: FORMAT. */
cllm_status charsmap_load(const cllm_gguf *gguf, charsmap *map, cllm_error *err);

/* The length of the longest beginning of the text that has a replacement, or 0. replacement: out, unless 0 is
 * returned. */
size_t charsmap_match(const charsmap *map, const char *text, size_t length, cllm_string *replacement);

#endif
