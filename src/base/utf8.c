/* Table 3-7 of the Unicode standard, and of its character database what a terminal could obey. */
#include "base/utf8.h"

#include "cllm.h"

/* The second byte's range depends on the first, later ones are 80..BF. */
size_t utf8_length(const char *bytes, size_t available) {
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

/* The general categories Cc, Zl and Zp, and the property Bidi_Control. */
static bool is_control(uint32_t character) {
    return character < 0x20 || (character >= 0x7F && character <= 0x9F) || character == 0x061C || character == 0x200E ||
           character == 0x200F || (character >= 0x2028 && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069);
}

size_t cllm_safe_length(const char *bytes, size_t length) {
    const size_t n = utf8_length(bytes, length);
    if (n == 0) return 0;
    uint32_t character = (unsigned char)bytes[0] & (n == 1 ? 0x7Fu : 0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) character = character << 6 | ((unsigned char)bytes[i] & 0x3Fu);
    return is_control(character) ? 0 : n;
}
