/* Looks a code point up in ranges, such as those of unicode_ranges.c. */
#include "text/unicode.h"

static uint32_t classes_of(uint32_t range) {
    return 1u << (range & 15) | (range & 1 << 4 ? CHAR_WHITE : 0) | (range & 1 << 5 ? CHAR_HAN : 0);
}

uint32_t unicode_range_at(const uint32_t *ranges, size_t count, unsigned shift, uint32_t code_point) {
    size_t low = 0, high = count; /* ranges[low] begins at or before the code point, ranges[high] after it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle] >> shift <= code_point)
            low = middle;
        else
            high = middle;
    }
    return ranges[low];
}

uint32_t unicode_classes(uint32_t code_point) {
    if (code_point < 128) return classes_of(unicode_ascii[code_point]);
    return classes_of(unicode_range_at(unicode_ranges, n_unicode_ranges, 8, code_point));
}
