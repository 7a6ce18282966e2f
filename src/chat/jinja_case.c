/* Implements jinja_case.h. */
#include "chat/jinja_case.h"

#include "base/unicode.h"
#include "base/utf8.h"

bool jinja_is_space(uint32_t c) { return (unicode_classes(c) & CHAR_WHITE) || (c >= 0x1C && c <= 0x1F); }
bool jinja_is_alpha(uint32_t c) { return unicode_classes(c) & (CHAR_UPPER | CHAR_LOWER | CHAR_CASELESS); }
bool jinja_is_digit(uint32_t c) { return unicode_classes(c) & CHAR_DIGIT; }

static bool has_case(uint32_t c) { return unicode_classes(c) & (CHAR_UPPER | CHAR_LOWER); }

bool jinja_has_case(jinja_value v, jinja_case_rule rule) {
    bool some = false;
    if (v.kind != JINJA_STRING) return false;
    for (size_t i = 0, n; i < v.string->length; i += n) {
        n = utf8_length(v.string->bytes + i, v.string->length - i);
        if (n == 0) n = 1;
        const uint32_t classes = unicode_classes(utf8_decode(v.string->bytes + i, n));
        if (classes & (rule == JINJA_LOWER ? CHAR_UPPER : CHAR_LOWER)) return false;
        some |= classes & (CHAR_UPPER | CHAR_LOWER);
    }
    return some;
}

static bool begins_word(const jinja_string *s, size_t at) {
    return at == 0 || char_is_one_of(s->bytes[at - 1], " \t\n\r\f\v-({[<");
}

/* True if the character `c` at `at` becomes upper case. before: the character before it, or 0. */
static bool wants_upper(const jinja_string *s, size_t at, uint32_t c, uint32_t before, jinja_case_rule rule) {
    switch (rule) {
    case JINJA_UPPER: return true;
    case JINJA_CAPITALIZE: return at == 0;
    case JINJA_TITLE: return !has_case(before);
    case JINJA_TITLE_WORDS: return begins_word(s, at);
    case JINJA_SWAP: return unicode_classes(c) & CHAR_LOWER;
    default: return false;
    }
}

jinja_value jinja_change_case(jinja_run *r, const jinja_string *s, jinja_case_rule rule) {
    jinja_builder b = {.run = r, .safe = s->safe};
    uint32_t before = 0;
    for (size_t i = 0, n; i < s->length && !jinja_failed(r); i += n) {
        n = utf8_length(s->bytes + i, s->length - i);
        if (n == 0) n = 1;
        const uint32_t c = utf8_decode(s->bytes + i, n);
        const bool upper = wants_upper(s, i, c, before, rule), trusted = jinja_byte_trusted(s, i);
        const uint32_t changed = upper ? unicode_upper(c) : unicode_lower(c);
        char text[4];
        before = c;
        if (c == 0xDF && upper) /* the German sharp s becomes two letters; other such characters are rare */
            jinja_put(&b, rule == JINJA_CAPITALIZE || rule == JINJA_TITLE ? "Ss" : "SS", 2, trusted);
        else
            jinja_put(&b, text, utf8_encode(changed, text), trusted);
    }
    return jinja_built(&b);
}
