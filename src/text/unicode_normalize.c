/* Implements unicode_normalize.h: canonical composition. Most text is composed already. So unicode_compose searches
 * quickly for characters that are perhaps not composed, and works only on their segments. A segment begins with a
 * character that never changes what is before it (its traits are 0), and ends before the next such character. The
 * characters of a segment are decomposed, their marks sorted by class, and composed again (UAX 15, section 1.3; Hangul
 * syllables by arithmetic, as in section 3.12 of the Unicode standard). */
#include "text/unicode_normalize.h"

#include "base/unicode.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_WITH_TRAITS = 0x300, FIRST_LEAD_BYTE = 0xCC }; /* U+0300 is CC 80 */
enum { MOST_GROWTH = 3 }; /* most UTF-8 bytes that decomposition makes of one; make_normalization.py checks it */

static uint32_t traits_of(uint32_t code_point) {
    if (code_point < 0x20000 && !(unicode_trait_blocks[code_point >> 7] >> (code_point >> 4 & 7) & 1)) return 0;
    return unicode_range_at(unicode_trait_ranges, n_unicode_trait_ranges, 9, code_point) & 0x1FF;
}

/* ------------------------------------------------------------------------------------------ composed text */

static bool is_plain(char c) { return (unsigned char)c < FIRST_LEAD_BYTE; }

/* Skip characters before U+0300, such as ASCII. */
static size_t skip_plain(const char *text, size_t length, size_t at) {
    for (uint64_t eight; length - at >= sizeof eight; at += sizeof eight) {
        memcpy(&eight, text + at, sizeof eight);
        if (eight & 0x8080808080808080u) break;
    }
    while (at < length && is_plain(text[at])) at++;
    return at;
}

/* How many bytes at the beginning are certainly composed. A segment begins after them. */
static size_t composed_prefix(const char *text, size_t length) {
    size_t segment = 0;
    uint32_t last_class = 0;
    for (size_t at = 0; at < length;) {
        if (is_plain(text[at])) {
            at = skip_plain(text, length, at);
            segment = at - 1;
            if (segment > 0 && utf8_length(text + segment - 1, 2) == 2) segment--;
            last_class = 0;
            continue;
        }
        size_t n = utf8_length(text + at, length - at);
        uint32_t traits = n ? traits_of(utf8_decode(text + at, n)) : 0, class = traits & UNICODE_COMBINING_CLASS;
        if (traits == 0) segment = at;
        if ((traits & UNICODE_UNSETTLED) || (class != 0 && class < last_class)) return segment;
        last_class = class;
        at += n ? n : 1;
    }
    return length;
}

/* ------------------------------------------------------------------------------------------ one segment */

/* The decomposed characters of a segment: class << 24 | code point. */
typedef struct segment {
    uint32_t *characters; /* [2][capacity]; the second half is for sorting */
    size_t count, capacity;
    bool no_memory;
} segment;

static uint32_t class_of(uint32_t character) { return character >> 24; }
static uint32_t code_point_of(uint32_t character) { return character & 0xFFFFFF; }

static bool make_room(segment *s) {
    size_t capacity = s->capacity ? 2 * s->capacity : 32;
    uint32_t *characters = NULL;
    if (!s->no_memory && capacity <= SIZE_MAX / sizeof *characters / 2)
        characters = realloc(s->characters, capacity * 2 * sizeof *characters);
    s->no_memory = !characters;
    if (s->no_memory) return false;
    s->characters = characters;
    s->capacity = capacity;
    return true;
}

static void add_character(segment *s, uint32_t code_point) {
    if (s->count == s->capacity && !make_room(s)) return;
    s->characters[s->count++] = (traits_of(code_point) & UNICODE_COMBINING_CLASS) << 24 | code_point;
}

/* Hangul: a syllable is a leading consonant, a vowel and perhaps a trailing consonant. */
enum { SYLLABLE = 0xAC00, LEADING = 0x1100, VOWEL = 0x1161, TRAILING = 0x11A7 /* the one before the first */ };
enum { N_LEADING = 19, N_VOWELS = 21, N_TRAILING = 28, N_SYLLABLES = N_LEADING * N_VOWELS * N_TRAILING };

static int compare_composite(const void *code_point, const void *pair) {
    uint32_t a = *(const uint32_t *)code_point, b = ((const unicode_pair *)pair)->composite;
    return a < b ? -1 : a > b;
}

size_t unicode_decompose(uint32_t code_point, uint32_t parts[UNICODE_MOST_PARTS]) {
    const uint32_t place = code_point - SYLLABLE;
    if (place < N_SYLLABLES) {
        parts[0] = LEADING + place / (N_VOWELS * N_TRAILING);
        parts[1] = VOWEL + place / N_TRAILING % N_VOWELS;
        parts[2] = TRAILING + place % N_TRAILING;
        return place % N_TRAILING ? 3 : 2;
    }
    /* The first character of a pair may be a composite too. In the result, the second characters follow in the reverse
     * of the order in which they are found. */
    size_t n = 0;
    uint32_t seconds[UNICODE_MOST_PARTS];
    const unicode_pair *pair;
    while (n + 1 < UNICODE_MOST_PARTS &&
           (pair = bsearch(&code_point, unicode_pairs, n_unicode_pairs, sizeof *unicode_pairs, compare_composite))) {
        code_point = pair->first;
        if (pair->second) seconds[n++] = pair->second;
    }
    parts[0] = code_point;
    for (size_t i = 0; i < n; i++) parts[1 + i] = seconds[n - 1 - i];
    return 1 + n;
}

static void decompose(segment *s, uint32_t code_point) {
    uint32_t parts[UNICODE_MOST_PARTS];
    const size_t n = unicode_decompose(code_point, parts);
    for (size_t i = 0; i < n; i++) add_character(s, parts[i]);
}

/* Sort each run of marks by class; marks of the same class keep their order. */
static void sort_marks(segment *s) {
    for (size_t begin = 0, end; begin < s->count; begin = end + 1) {
        bool in_order = true;
        for (end = begin; end < s->count && class_of(s->characters[end]) != 0; end++)
            in_order = in_order && (end == begin || class_of(s->characters[end]) >= class_of(s->characters[end - 1]));
        if (in_order) continue;
        size_t places[257] = {0}; /* first a count, then the index of each class's next mark */
        for (size_t i = begin; i < end; i++) places[class_of(s->characters[i]) + 1]++;
        for (int class = 1; class < 257; class ++) places[class] += places[class - 1];
        uint32_t *sorted = s->characters + s->capacity;
        for (size_t i = begin; i < end; i++) sorted[places[class_of(s->characters[i])]++] = s->characters[i];
        memcpy(s->characters + begin, sorted, (end - begin) * sizeof *sorted);
    }
}

static int compare_parts(const void *parts, const void *place) {
    const unicode_pair *a = parts, *b = &unicode_pairs[*(const uint16_t *)place];
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->second < b->second ? -1 : a->second > b->second;
}

/* The character that the two compose to, or 0. */
static uint32_t composite_of(uint32_t first, uint32_t second) {
    if (first - LEADING < N_LEADING && second - VOWEL < N_VOWELS)
        return SYLLABLE + ((first - LEADING) * N_VOWELS + (second - VOWEL)) * N_TRAILING;
    if (first - SYLLABLE < N_SYLLABLES && (first - SYLLABLE) % N_TRAILING == 0 &&
        second - TRAILING - 1 < N_TRAILING - 1)
        return first + (second - TRAILING);
    const unicode_pair parts = {0, first, second};
    const uint16_t *found =
        bsearch(&parts, unicode_composites, n_unicode_composites, sizeof *unicode_composites, compare_parts);
    return found ? unicode_pairs[*found].composite : 0;
}

/* Join each character to the last character of class 0 before it, unless a character between them has the same or a
 * higher class. */
static void compose_marks(segment *s) {
    size_t kept = 0, starter = SIZE_MAX;
    for (size_t i = 0; i < s->count; i++) {
        uint32_t character = s->characters[i];
        bool reaches =
            starter != SIZE_MAX && (kept == starter + 1 || class_of(s->characters[kept - 1]) < class_of(character));
        uint32_t composite =
            reaches ? composite_of(code_point_of(s->characters[starter]), code_point_of(character)) : 0;
        if (composite) {
            s->characters[starter] = composite; /* it has class 0 too */
            continue;
        }
        if (class_of(character) == 0) starter = kept;
        s->characters[kept++] = character;
    }
    s->count = kept;
}

/* Read one segment of the text and write it composed. Returns the bytes read. */
static size_t compose_segment(segment *s, const char *text, size_t length, char *to, size_t *written) {
    size_t at = 0, n = utf8_length(text, length);
    s->count = 0;
    *written = 0;
    if (n == 0) {
        to[(*written)++] = *text;
        return 1;
    }
    do {
        decompose(s, utf8_decode(text + at, n));
        at += n;
        n = utf8_length(text + at, length - at);
    } while (n && traits_of(utf8_decode(text + at, n)) != 0);
    if (s->no_memory) return at;
    sort_marks(s);
    compose_marks(s);
    for (size_t i = 0; i < s->count; i++) *written += utf8_encode(code_point_of(s->characters[i]), to + *written);
    return at;
}

bool unicode_compose(const char *text, size_t length, char **composed, size_t *composed_length) {
    *composed = NULL;
    *composed_length = 0;
    size_t at = composed_prefix(text, length), size = at;
    if (at == length) return true;
    char *to = malloc(at + (length - at) * MOST_GROWTH);
    segment s = {.no_memory = !to};
    if (to) memcpy(to, text, at);
    while (at < length && !s.no_memory) {
        size_t written;
        at += compose_segment(&s, text + at, length - at, to + size, &written);
        size += written;
        size_t more = composed_prefix(text + at, length - at);
        if (!s.no_memory) memcpy(to + size, text + at, more);
        at += more;
        size += more;
    }
    free(s.characters);
    if (s.no_memory) {
        free(to);
        return false;
    }
    *composed = to;
    *composed_length = size;
    return true;
}
