/* Implements jinja_lexer.h. */
#include "chat/jinja_lexer.h"

#include "base/utf8.h"

#include <string.h>

enum { OUTSIDE, IN_BLOCK, IN_PRINT };

static bool has(const jinja_lexer *l, uint32_t at, const char *text) {
    const size_t n = strlen(text);
    return l->length - at >= n && memcmp(l->source + at, text, n) == 0;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_word(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool fail(jinja_lexer *l, const char *fault) {
    l->fault = fault;
    return false;
}

static uint32_t skip_space(const jinja_lexer *l, uint32_t at) {
    while (at < l->length && is_space(l->source[at])) at++;
    return at;
}

/* The end of the text that begins at `from`, without the white space that the tag at `tag` drops before it. */
static uint32_t strip_before(const jinja_lexer *l, uint32_t from, uint32_t tag, bool line_start) {
    const char sign = tag + 2 < l->length ? l->source[tag + 2] : 0;
    uint32_t end = tag;
    if (sign == '-') {
        while (end > from && is_space(l->source[end - 1])) end--;
        return end;
    }
    if (sign == '+' || l->source[tag + 1] == '{') return tag;
    while (end > from && is_space(l->source[end - 1]) && l->source[end - 1] != '\n') end--;
    return end > from ? (l->source[end - 1] == '\n' ? end : tag) : line_start ? end : tag;
}

/* Skip what is dropped after a block or comment: with the sign '-' all white space, with '+' nothing, otherwise one
 * newline. */
static uint32_t strip_after(const jinja_lexer *l, uint32_t at, char sign) {
    if (sign == '-') return skip_space(l, at);
    return sign != '+' && at < l->length && l->source[at] == '\n' ? at + 1 : at;
}

/* The end of `{% word %}` at `at`, or 0 if something else is there. sign: out, the sign before its end. */
static uint32_t plain_tag_end(const jinja_lexer *l, uint32_t at, const char *word, char *sign) {
    if (!has(l, at, "{%")) return 0;
    at += 2;
    if (at < l->length && (l->source[at] == '-' || l->source[at] == '+')) at++;
    at = skip_space(l, at);
    if (!has(l, at, word)) return 0;
    at = skip_space(l, at + (uint32_t)strlen(word));
    *sign = at < l->length && (l->source[at] == '-' || l->source[at] == '+') ? l->source[at++] : 0;
    return has(l, at, "%}") ? at + 2 : 0;
}

static void moved(jinja_lexer *l, uint32_t to) {
    if (to > l->at) l->line_start = l->source[to - 1] == '\n';
    l->at = to;
}

static bool skip_comment(jinja_lexer *l) {
    for (uint32_t at = l->at + 2; at + 1 < l->length; at++)
        if (has(l, at, "#}")) {
            moved(l, strip_after(l, at + 2, at > l->at + 2 ? l->source[at - 1] : 0));
            return true;
        }
    return fail(l, "the comment has no end");
}

/* Return data up to `end`, and continue at `next`. Returns false if the data are empty. */
static bool data(jinja_lexer *l, uint32_t end, uint32_t next, jinja_token *token) {
    *token = (jinja_token){JINJA_TOKEN_DATA, l->at, l->source + l->at, end - l->at};
    moved(l, next);
    return token->length > 0;
}

/* {% raw %}: everything up to {% endraw %} is data. */
static bool raw(jinja_lexer *l, uint32_t begin, char begin_sign, jinja_token *token) {
    for (uint32_t at = begin; at < l->length; at++) {
        char sign;
        const uint32_t end = plain_tag_end(l, at, "endraw", &sign);
        if (end == 0) continue;
        l->at = begin_sign == '-' ? skip_space(l, begin) : begin;
        if (l->at > at) l->at = at;
        return data(l, strip_before(l, l->at, at, false), strip_after(l, end, sign), token);
    }
    return fail(l, "the raw block has no {% endraw %}");
}

static uint32_t find_tag(const jinja_lexer *l) {
    uint32_t at = l->at;
    while (at < l->length && !(l->source[at] == '{' && at + 1 < l->length && char_is_one_of(l->source[at + 1], "{%#")))
        at++;
    return at;
}

static bool outside(jinja_lexer *l, jinja_token *token) {
    while (l->at < l->length) {
        const uint32_t tag = find_tag(l);
        if (tag > l->at) {
            const uint32_t end = tag < l->length ? strip_before(l, l->at, tag, l->line_start) : tag;
            if (data(l, end, tag, token)) return true;
            continue;
        }
        char sign;
        const uint32_t begin = plain_tag_end(l, tag, "raw", &sign);
        if (begin > 0) {
            if (raw(l, begin, sign, token)) return true;
            if (l->fault) return false;
            continue;
        }
        if (l->source[tag + 1] == '#') {
            if (!skip_comment(l)) return false;
            continue;
        }
        const bool is_block = l->source[tag + 1] == '%';
        *token = (jinja_token){is_block ? JINJA_TOKEN_BLOCK_BEGIN : JINJA_TOKEN_PRINT_BEGIN, tag, l->source + tag, 2};
        l->at = tag + 2;
        if (l->at < l->length && (l->source[l->at] == '-' || (is_block && l->source[l->at] == '+'))) l->at++;
        l->state = is_block ? IN_BLOCK : IN_PRINT;
        return true;
    }
    *token = (jinja_token){JINJA_TOKEN_END, l->length, l->source + l->length, 0};
    return true;
}

/* ---------------------------------------------------------------------------------------------- within tags */

static bool take_end(jinja_lexer *l, jinja_token *token) {
    const bool is_block = l->state == IN_BLOCK;
    const char first = l->source[l->at];
    const char sign = first == '-' || (is_block && first == '+') ? first : 0;
    const uint32_t at = l->at + (sign != 0);
    if (!has(l, at, is_block ? "%}" : "}}")) return false;
    *token = (jinja_token){is_block ? JINJA_TOKEN_BLOCK_END : JINJA_TOKEN_PRINT_END, l->at, l->source + l->at, 2};
    moved(l, is_block ? strip_after(l, at + 2, sign) : sign ? skip_space(l, at + 2) : at + 2);
    l->state = OUTSIDE;
    return true;
}

/* Skip digits, and single "_" between them. */
static uint32_t skip_digits(const jinja_lexer *l, uint32_t at) {
    while (at < l->length &&
           (is_digit(l->source[at]) || (l->source[at] == '_' && at + 1 < l->length && is_digit(l->source[at + 1]))))
        at++;
    return at;
}

static void take_number(jinja_lexer *l, jinja_token *token) {
    uint32_t at = skip_digits(l, l->at);
    token->kind = JINJA_TOKEN_INTEGER;
    if (l->source[l->at] == '0' && at == l->at + 1 && at < l->length && char_is_one_of(l->source[at], "xXoObB"))
        while (at < l->length && is_word(l->source[at])) at++;
    if (at + 1 < l->length && l->source[at] == '.' && is_digit(l->source[at + 1])) {
        token->kind = JINJA_TOKEN_FLOAT;
        at = skip_digits(l, at + 1);
    }
    if (at < l->length && (l->source[at] == 'e' || l->source[at] == 'E')) {
        uint32_t digits = at + 1;
        if (digits < l->length && (l->source[digits] == '+' || l->source[digits] == '-')) digits++;
        if (digits < l->length && is_digit(l->source[digits])) {
            token->kind = JINJA_TOKEN_FLOAT;
            at = skip_digits(l, digits);
        }
    }
    token->length = at - l->at;
}

static bool take_string(jinja_lexer *l, jinja_token *token) {
    const char quote = l->source[l->at];
    uint32_t at = l->at + 1;
    while (at < l->length && l->source[at] != quote) at += l->source[at] == '\\' ? 2 : 1;
    if (at >= l->length) return fail(l, "the string has no end");
    token->kind = JINJA_TOKEN_STRING;
    token->length = at + 1 - l->at;
    return true;
}

static bool take_operator(jinja_lexer *l, jinja_token *token) {
    static const char *const all[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!has(l, l->at, all[i])) continue;
        const char c = all[i][0];
        if (c == '(' || c == '[' || c == '{') {
            if (l->n_brackets == sizeof l->brackets) return fail(l, "too many brackets are open");
            l->brackets[l->n_brackets++] = c == '(' ? ')' : c == '[' ? ']' : '}';
        }
        if ((c == ')' || c == ']' || c == '}') && (l->n_brackets == 0 || l->brackets[--l->n_brackets] != c))
            return fail(l, "no bracket is open here");
        token->length = strlen(all[i]);
        return true;
    }
    return fail(l, "this character has no meaning in a template");
}

bool jinja_lexer_next(jinja_lexer *l, jinja_token *token) {
    if (l->state == OUTSIDE) return outside(l, token);
    l->at = skip_space(l, l->at);
    if (l->at == l->length) return fail(l, l->state == IN_BLOCK ? "a {% has no %}" : "a {{ has no }}");
    if (l->n_brackets == 0 && take_end(l, token)) return true;
    *token = (jinja_token){JINJA_TOKEN_OPERATOR, l->at, l->source + l->at, 0};
    const char c = l->source[l->at];
    if (is_digit(c)) {
        take_number(l, token);
    } else if (is_word(c)) {
        token->kind = JINJA_TOKEN_NAME;
        while (l->at + token->length < l->length && is_word(l->source[l->at + token->length])) token->length++;
    } else if (c == '"' || c == '\'') {
        if (!take_string(l, token)) return false;
    } else if (!take_operator(l, token)) {
        return false;
    }
    l->at += (uint32_t)token->length;
    return true;
}
