/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The length (1..4) of the valid character at the start of `bytes`, or 0 if there is none: table 3-7 of the Unicode
 * standard. The range of the second byte depends on the first byte; later bytes are 80..BF. */
static inline size_t utf8_length(const char *bytes, size_t available) {
    const unsigned char *b = (const unsigned char *)bytes;
    if (available == 0) return 0;
    if (b[0] < 0x80) return 1;
    if (b[0] < 0xC2 || b[0] > 0xF4) return 0;
    size_t length = b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    if (available < length) return 0;
    unsigned char low = b[0] == 0xE0 ? 0xA0 : b[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = b[0] == 0xED ? 0x9F : b[0] == 0xF4 ? 0x8F : 0xBF;
    if (b[1] < low || b[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if (b[i] < 0x80 || b[i] > 0xBF) return 0;
    return length;
}

/* The code point of a valid character of this length. */
static inline uint32_t utf8_decode(const char *bytes, size_t length) {
    const unsigned char *b = (const unsigned char *)bytes;
    switch (length) {
    case 1: return b[0];
    case 2: return (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu);
    case 3: return (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
    default: return (b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 | (b[3] & 0x3Fu);
    }
}

/* True if c is one of these characters; never for a zero byte. */
static inline bool char_is_one_of(char c, const char *characters) { return c && strchr(characters, c); }

/* Write a code point. `to` needs room for 4 bytes. Returns how many were written. */
size_t utf8_encode(uint32_t code_point, char *to);

#endif
