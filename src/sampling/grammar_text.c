/* Implements grammar_text.h: a position in a text, and errors at it. */
#include "sampling/grammar_text.h"

#include "base/error.h"
#include "base/utf8.h"

#include <string.h>

bool text_fails(grammar_text *t, cllm_status status, size_t at, const char *message) {
    unsigned line = 1, column = 1; /* a column is a character */
    for (size_t i = 0; i < at && i < t->text.length; i++) {
        const unsigned char byte = (unsigned char)t->text.data[i];
        if (byte == '\n') {
            line++;
            column = 1;
        } else if ((byte & 0xC0) != 0x80) { /* not within a character */
            column++;
        }
    }
    if (t->status == CLLM_OK)
        t->status = error_set(t->err, status, "%s, line %u, column %u: %s", t->what, line, column, message);
    return false;
}

bool text_ended(const grammar_text *t) { return t->at >= t->text.length; }

char text_peek(const grammar_text *t) { return text_ended(t) ? '\0' : t->text.data[t->at]; }

bool text_follows(const grammar_text *t, const char *word) {
    const size_t length = strlen(word);
    return t->text.length - t->at >= length && memcmp(t->text.data + t->at, word, length) == 0;
}

bool text_skip(grammar_text *t, const char *word) {
    const bool follows = text_follows(t, word);
    if (follows) t->at += strlen(word);
    return follows;
}

uint32_t text_take_character(grammar_text *t) {
    const size_t length = utf8_length(t->text.data + t->at, t->text.length - t->at);
    if (length == 0) { /* the position is within a character, which should not happen */
        t->at = t->text.length;
        text_fails(t, CLLM_ERR_FORMAT, t->at, "this is not a character");
        return 0;
    }
    t->at += length;
    return utf8_decode(t->text.data + t->at - length, length);
}

bool text_read_hex(grammar_text *t, unsigned n_digits, uint32_t *value) {
    *value = 0;
    for (unsigned i = 0; i < n_digits; i++, t->at++) {
        const char c = text_peek(t), letter = (char)(c | 0x20);
        const int digit = c >= '0' && c <= '9' ? c - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
        if (digit < 0) return text_fails(t, CLLM_ERR_FORMAT, t->at, "a hexadecimal digit was expected");
        *value = *value * 16 + (uint32_t)digit;
    }
    return true;
}

bool text_read_count(grammar_text *t, uint32_t *value) {
    const uint32_t limit = 1000000;
    const size_t begun = t->at;
    *value = 0;
    for (; text_peek(t) >= '0' && text_peek(t) <= '9'; t->at++)
        if (*value < limit) *value = *value * 10 + (uint32_t)(text_peek(t) - '0');
    if (t->at == begun) return text_fails(t, CLLM_ERR_FORMAT, begun, "a number was expected");
    return *value < limit || text_fails(t, CLLM_ERR_UNSUPPORTED, begun, "more than 999,999 times");
}
