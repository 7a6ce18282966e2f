/* Implements unicode.h: looks code points up in the sorted ranges of unicode_ranges.c and unicode_case.c. */
#include "base/unicode.h"

static uint32_t classes_of(uint32_t range) {
    return 1u << (range & 15) | (range & 1 << 4 ? CHAR_WHITE : 0) | (range & 1 << 5 ? CHAR_HAN : 0) |
           (range & 1 << 6 ? CHAR_NONSPACING : 0);
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

/* Ranges with step 2 may overlap, at most two at any code point. So both of the last two ranges that begin at or before
 * the code point are tried. */
static const unicode_case_range *case_of(uint32_t code_point) {
    size_t low = 0, high = n_unicode_cases; /* ranges before `low` begin at or before the code point */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (unicode_cases[middle].first <= code_point)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = 0; i < 2 && i < low; i++) {
        const unicode_case_range *range = &unicode_cases[low - 1 - i];
        if (code_point <= range->last && (code_point - range->first) % range->step == 0) return range;
    }
    return NULL;
}

uint32_t unicode_upper(uint32_t code_point) {
    const unicode_case_range *range = case_of(code_point);
    return range ? code_point + (uint32_t)range->upper : code_point;
}

uint32_t unicode_lower(uint32_t code_point) {
    const unicode_case_range *range = case_of(code_point);
    return range ? code_point + (uint32_t)range->lower : code_point;
}
