/* cllm_safe_length: finds the characters that can control a terminal, according to Unicode's character database. */
#include "base/utf8.h"
#include "cllm.h"

/* The general categories Cc, Zl and Zp, and the property Bidi_Control. */
static bool is_control(uint32_t character) {
    return character < 0x20 || (character >= 0x7F && character <= 0x9F) || character == 0x061C || character == 0x200E ||
           character == 0x200F || (character >= 0x2028 && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069);
}

size_t cllm_safe_length(const char *bytes, size_t length) {
    const size_t n = utf8_length(bytes, length);
    return n == 0 || is_control(utf8_decode(bytes, n)) ? 0 : n;
}
