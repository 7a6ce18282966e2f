/* Canonical composition of a text: Normalization Form C (NFC) of UAX 15. Many characters can be spelled in two ways: as
 * one code point, or as a letter and marks after it. NFC uses the shorter spelling. tokenizer_bpe.c needs it if a
 * vocabulary was made from such text. The data are in unicode_compositions.c, made by
 * tools/unicode/make_normalization.py. */
#ifndef TEXT_UNICODE_NORMALIZE_H
#define TEXT_UNICODE_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Put a text into NFC: new memory (release with free()), or NULL if a quick check finds that it is in NFC already.
 * Bytes that are not valid UTF-8 are not changed, and nothing is composed across them. Returns false if memory runs
 * out. */
bool unicode_compose(const char *text, size_t length, char **composed, size_t *composed_length);

/* Get the canonical decomposition of a character, in order. Returns how many characters, 1 to 4. */
enum { UNICODE_MOST_PARTS = 4 };
size_t unicode_decompose(uint32_t code_point, uint32_t parts[UNICODE_MOST_PARTS]);

/* The data. */

/* A character, `composite`, that is equal to `first` followed by `second`, or, if second is 0, to `first` alone.
 * `second` itself is never a composite. */
typedef struct unicode_pair {
    uint32_t composite, first, second;
} unicode_pair;

extern const unicode_pair unicode_pairs[]; /* sorted by `composite` */
extern const size_t n_unicode_pairs;

/* Indices in unicode_pairs, sorted by `first` and `second`: the pairs that NFC composes. */
extern const uint16_t unicode_composites[];
extern const size_t n_unicode_composites;

/* A range is its first code point << 9 | its traits. It ends before the next range. The traits are the canonical
 * combining class, and UNICODE_UNSETTLED if NFC may or must replace the character. */
enum { UNICODE_COMBINING_CLASS = 0xFF, UNICODE_UNSETTLED = 0x100 };
extern const uint32_t unicode_trait_ranges[];
extern const size_t n_unicode_trait_ranges;

/* A bit for each 16 code points below U+20000: set if any of them has a trait. */
extern const uint8_t unicode_trait_blocks[1024];

#endif
