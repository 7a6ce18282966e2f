/* Looks a code point up in the ranges of unicode_ranges.c. */
#include "text/unicode.h"

static uint32_t classes_of(uint32_t range) {
    return 1u << (range & 15) | (range & 1 << 4 ? CHAR_WHITE : 0) | (range & 1 << 5 ? CHAR_HAN : 0);
}

uint32_t unicode_classes(uint32_t code_point) {
    if (code_point < 128) return classes_of(unicode_ascii[code_point]);
    size_t low = 0, high = n_unicode_ranges; /* ranges[low] begins at or before the code point, ranges[high] after it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_ranges[middle] >> 8 <= code_point)
            low = middle;
        else
            high = middle;
    }
    return classes_of(unicode_ranges[low]);
}
