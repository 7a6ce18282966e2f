/* Unicode properties of characters, for tokenizers and templates: groups of general categories, some more classes, and
 * upper and lower case. The data are in unicode_ranges.c and unicode_case.c, made by tools/unicode. */
#ifndef BASE_UNICODE_H
#define BASE_UNICODE_H

#include <stddef.h>
#include <stdint.h>

/* Each character has exactly one bit of the first group. Bit n stands for the category that has number n in
 * unicode_ranges.c. */
enum {
    CHAR_UNASSIGNED = 1 << 0,  /* Cn */
    CHAR_OTHER = 1 << 1,       /* the rest of C, and Z: controls, formats, separators */
    CHAR_UPPER = 1 << 2,       /* Lu, Lt */
    CHAR_LOWER = 1 << 3,       /* Ll */
    CHAR_CASELESS = 1 << 4,    /* Lm, Lo */
    CHAR_MARK = 1 << 5,        /* M */
    CHAR_DIGIT = 1 << 6,       /* Nd */
    CHAR_NUMERAL = 1 << 7,     /* Nl, No */
    CHAR_CONNECTOR = 1 << 8,   /* Pc: _ and similar */
    CHAR_PUNCTUATION = 1 << 9, /* the rest of P */
    CHAR_SYMBOL = 1 << 10,     /* S */

    CHAR_WHITE = 1 << 11,      /* White_Space, the \s of patterns */
    CHAR_HAN = 1 << 12,        /* the script Han */
    CHAR_NONSPACING = 1 << 13, /* Mn: marks that take no space of their own */
    CHAR_FIRST_FREE = 1 << 14, /* this bit and higher ones are free for callers */
};

/* The bits of a code point. */
uint32_t unicode_classes(uint32_t code_point);

/* Find the range that holds a code point. Each range begins with a code point << shift; the first begins with 0. */
uint32_t unicode_range_at(const uint32_t *ranges, size_t count, unsigned shift, uint32_t code_point);

/* The character in upper or lower case, by Unicode's simple mapping: always one character, even where the full mapping
 * has several. A character without such a mapping stays itself. */
uint32_t unicode_upper(uint32_t code_point);
uint32_t unicode_lower(uint32_t code_point);

/* For the characters first, first + step .. last: what to add to get their upper and lower case. */
typedef struct unicode_case_range {
    uint32_t first, last, step;
    int32_t upper, lower;
} unicode_case_range;
extern const unicode_case_range unicode_cases[];
extern const size_t n_unicode_cases;

/* A range is its first code point << 8 | its properties << 4 | the number of its category. It ends before the next
 * range. */
extern const uint32_t unicode_ranges[];
extern const unsigned char unicode_ascii[128]; /* the same for single characters, without the code point */
extern const size_t n_unicode_ranges;

#endif
