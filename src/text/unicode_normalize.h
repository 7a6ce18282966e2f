/* Canonical composition of a text: Normalization Form C (NFC) of UAX 15. Many characters can be spelled in two ways, as one
 * code point or as a letter and marks after it; NFC has the shorter one. tokenizer_bpe.c asks for it where a vocabulary was
 * made of such text. unicode_compositions.c has the data, made by tools/unicode/make_normalization.py.
 */
#ifndef TEXT_UNICODE_NORMALIZE_H
#define TEXT_UNICODE_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text in NFC: new memory (release with free()), or NULL if a quick look shows that it is in NFC already. Bytes that are
 * no valid UTF-8 stay as they are, and nothing is composed across them. Returns false if there is no memory. */
bool unicode_compose(const char *text, size_t length, char **composed, size_t *composed_length);

/* The characters of which a character is made, in their order (its canonical decomposition): how many, 1 to 4. */
enum { UNICODE_MOST_PARTS = 4 };
size_t unicode_decompose(uint32_t code_point, uint32_t parts[UNICODE_MOST_PARTS]);

/* Below here: the data. */

/* A character is the same as `first` followed by `second`, if that is not 0. The second one is never such a pair itself. */
typedef struct unicode_pair {
    uint32_t composite, first, second;
} unicode_pair;

extern const unicode_pair unicode_pairs[]; /* sorted by `composite` */
extern const size_t n_unicode_pairs;

/* Places in unicode_pairs, sorted by `first` and `second`: the characters to which NFC composes such a pair. */
extern const uint16_t unicode_composites[];
extern const size_t n_unicode_composites;

/* A range goes up to the next one: its first code point << 9 | traits. The traits are the canonical combining class, and
 * UNICODE_UNSETTLED where NFC may or must have something else for the character. */
enum { UNICODE_COMBINING_CLASS = 0xFF, UNICODE_UNSETTLED = 0x100 };
extern const uint32_t unicode_trait_ranges[];
extern const size_t n_unicode_trait_ranges;
extern const uint8_t unicode_trait_blocks[1024]; /* a bit for 16 code points below U+20000: has any of them a trait? */

#endif
