/* The normalisation that a SentencePiece model brings along: which characters a text has in place of others, such as 1/2
 * for ½, or a space for a tab. It is in the file as tokenizer.ggml.precompiled_charsmap; tokenizer_unigram.c applies it.
 */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H

#include "cllm.h"

/* It lies in the file. Zero: it replaces nothing. */
typedef struct charsmap {
    const unsigned char *units; /* [n_units][4], little-endian: the double array */
    uint32_t n_units;
    const char *replacements; /* [n_bytes]: texts, each with a zero byte after it */
    size_t n_bytes;
} charsmap;

/* Find the map in a file; without the key it is zero. Errors: FORMAT. */
cllm_status charsmap_load(const cllm_gguf *gguf, charsmap *map, cllm_error *err);

/* The longest beginning of the text that has a replacement: its length, or 0. */
size_t charsmap_match(const charsmap *map, const char *text, size_t length, cllm_string *replacement);

#endif
