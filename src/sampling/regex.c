/* Regular expressions in the syntax of ECMAScript (ECMA-262, with the flag u): the whole text matches. What looks elsewhere in the text (back references,
 * looking ahead or behind, word boundaries) cannot be said by an automaton of this kind, and is refused.
 *
 *   alternation  := sequence ('|' sequence)*
 *   sequence     := (atom quantifier?)*
 *   atom         := character | '.' | class | escape | '(' alternation ')'
 */
#include "sampling/grammar.h"

#include "base/error.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 200, MOST_RANGES = 256, AT_BEGIN = 1, AT_END = 2 };

typedef struct parser {
    network *n;
    cllm_string text;
    size_t at;
    unsigned depth;
    bool may_begin;    /* nothing can have been read before what is read next */
    unsigned anchored; /* what the last group says: AT_BEGIN, AT_END */
    cllm_status status;
    cllm_error *err;
} parser;

/* A set of characters that is read. */
typedef struct char_set {
    char_range ranges[MOST_RANGES];
    size_t n;
} char_set;

static bool fails(parser *p, cllm_status status, size_t at, const char *what) {
    const text_position where = position_in(p->text, at);
    if (p->status == CLLM_OK)
        p->status =
            error_set(p->err, status, "regular expression, line %u, column %u: %s", where.line, where.column, what);
    return false;
}

static bool ended(const parser *p) { return p->at >= p->text.length; }
static char peek(const parser *p) { return ended(p) ? '\0' : p->text.data[p->at]; }

static bool follows(const parser *p, const char *word) {
    const size_t length = strlen(word);
    return p->text.length - p->at >= length && memcmp(p->text.data + p->at, word, length) == 0;
}

static bool skip(parser *p, const char *word) {
    if (!follows(p, word)) return false;
    p->at += strlen(word);
    return true;
}

/* The next character, which is there. */
static uint32_t take_character(parser *p) {
    const size_t length = utf8_length(p->text.data + p->at, p->text.length - p->at);
    const uint32_t c = utf8_decode(p->text.data + p->at, length);
    p->at += length;
    return c;
}

/* ----------------------------------------------------------------------------------------------------- characters */

static bool add_range(parser *p, char_set *set, uint32_t low, uint32_t high) {
    if (set->n == MOST_RANGES) return fails(p, CLLM_ERR_UNSUPPORTED, p->at, "a class of more than 256 ranges");
    set->ranges[set->n++] = (char_range){low, high};
    return true;
}

static const char_range digits[] = {{'0', '9'}}, words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                        spaces[] = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                                    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                    {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};

/* All but some sorted ranges. */
static bool add_others(parser *p, char_set *set, const char_range *ranges, size_t n) {
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].low > next && !add_range(p, set, next, ranges[i].low - 1)) return false;
        next = ranges[i].high + 1;
    }
    return add_range(p, set, next, LAST_CHARACTER);
}

/* \d and its like; false: the letter is none. */
static bool add_named_class(parser *p, char_set *set, char letter) {
    const char_range *ranges;
    size_t n;
    switch (letter | 0x20) {
    case 'd': ranges = digits, n = sizeof digits / sizeof *digits; break;
    case 'w': ranges = words, n = sizeof words / sizeof *words; break;
    case 's': ranges = spaces, n = sizeof spaces / sizeof *spaces; break;
    default: return false;
    }
    if (!(letter & 0x20)) return add_others(p, set, ranges, n) || true;
    for (size_t i = 0; i < n; i++) add_range(p, set, ranges[i].low, ranges[i].high);
    return true;
}

static bool read_hex(parser *p, unsigned n_digits, uint32_t *value) {
    *value = 0;
    for (unsigned i = 0; i < n_digits; i++) {
        const char c = peek(p);
        const int digit = c >= '0' && c <= '9'                     ? c - '0'
                          : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                   : -1;
        if (digit < 0) return fails(p, CLLM_ERR_FORMAT, p->at, "a hexadecimal digit was expected");
        *value = *value * 16 + (uint32_t)digit;
        p->at++;
    }
    return true;
}

/* After \u: four digits, two such for a pair of surrogates, or digits in braces. */
static bool read_unicode(parser *p, uint32_t *value) {
    uint32_t low;
    const size_t begun = p->at;
    if (skip(p, "{")) {
        *value = 0;
        while (peek(p) != '}') {
            uint32_t digit;
            if (*value > LAST_CHARACTER || !read_hex(p, 1, &digit)) break;
            *value = *value * 16 + digit;
        }
        if (!skip(p, "}") || *value > LAST_CHARACTER) return fails(p, CLLM_ERR_FORMAT, begun, "this is no character");
        return true;
    }
    if (!read_hex(p, 4, value)) return false;
    if (*value < 0xD800 || *value > 0xDFFF) return true;
    if (*value > 0xDBFF || !skip(p, "\\u") || !read_hex(p, 4, &low) || low < 0xDC00 || low > 0xDFFF)
        return fails(p, CLLM_ERR_FORMAT, begun, "a surrogate without its other half is no character");
    *value = 0x10000 + ((*value - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* An escape that stands for one character, after its backslash. */
static bool read_escape(parser *p, uint32_t *value) {
    static const char letters[] = "tnrfv0", meant[] = "\t\n\r\f\v\0";
    const size_t begun = p->at - 1;
    if (ended(p)) return fails(p, CLLM_ERR_FORMAT, begun, "a backslash at the end");
    const char c = peek(p);
    const char *letter = strchr(letters, c);
    if (c == 'u' || c == 'x') {
        p->at++;
        return c == 'x' ? read_hex(p, 2, value) : read_unicode(p, value);
    }
    if (c == 'c' && p->at + 1 < p->text.length) {
        *value = (uint32_t)(p->text.data[p->at + 1] & 0x1F);
        p->at += 2;
        return true;
    }
    if (letter && c) {
        *value = (uint32_t)meant[letter - letters];
        p->at++;
        return true;
    }
    if ((c >= '1' && c <= '9') || c == 'k')
        return fails(p, CLLM_ERR_UNSUPPORTED, begun, "back references are not supported");
    if (c == 'p' || c == 'P')
        return fails(p, CLLM_ERR_UNSUPPORTED, begun, "classes of Unicode properties are not supported");
    if (c == 'b' || c == 'B') return fails(p, CLLM_ERR_UNSUPPORTED, begun, "word boundaries are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return fails(p, CLLM_ERR_FORMAT, begun, "an unknown escape");
    *value = take_character(p);
    return true;
}

/* One character of a class, or a named class, which then is no end of a range: `single` says which. */
static bool read_class_member(parser *p, char_set *set, uint32_t *value, bool *single) {
    *single = true;
    if (!skip(p, "\\")) {
        *value = take_character(p);
        return true;
    }
    if (skip(p, "b")) {
        *value = '\b';
        return true;
    }
    if (skip(p, "-")) {
        *value = '-';
        return true;
    }
    if (!ended(p) && add_named_class(p, set, peek(p))) {
        p->at++;
        *single = false;
        return p->status == CLLM_OK;
    }
    return read_escape(p, value);
}

/* After [, up to and with ]. */
static bool read_class(parser *p, char_set *set, bool *negated) {
    const size_t begun = p->at - 1;
    *negated = skip(p, "^");
    while (!ended(p) && peek(p) != ']') {
        uint32_t low, high;
        bool single, second_single;
        const size_t at = p->at;
        if (!read_class_member(p, set, &low, &single)) return false;
        const bool ranges = peek(p) == '-' && p->at + 1 < p->text.length && p->text.data[p->at + 1] != ']';
        if (!ranges) {
            if (single && !add_range(p, set, low, low)) return false;
            continue;
        }
        p->at++;
        if (!read_class_member(p, set, &high, &second_single)) return false;
        if (!single || !second_single || low > high) return fails(p, CLLM_ERR_FORMAT, at, "a range out of order");
        if (!add_range(p, set, low, high)) return false;
    }
    return skip(p, "]") || fails(p, CLLM_ERR_FORMAT, begun, "this [ is not closed");
}

static void add_set(parser *p, char_set *set, bool negated, uint32_t from, uint32_t to) {
    char_set all = {.n = 0};
    if (negated) { /* the others, as ranges */
        uint32_t next = 0;
        for (bool found = true; found && next <= LAST_CHARACTER;) { /* the lowest range that is not passed yet */
            const char_range *lowest = NULL;
            for (size_t i = 0; i < set->n; i++)
                if (set->ranges[i].high >= next && (!lowest || set->ranges[i].low < lowest->low))
                    lowest = &set->ranges[i];
            found = lowest != NULL;
            if (found && lowest->low > next) add_range(p, &all, next, lowest->low - 1);
            if (found) next = lowest->high + 1;
        }
        if (next <= LAST_CHARACTER) add_range(p, &all, next, LAST_CHARACTER);
        set = &all;
    }
    network_add_characters(p->n, from, set->ranges, set->n, to);
}

/* ------------------------------------------------------------------------------------------------------ structure */

static bool parse_alternation(parser *p, uint32_t from, uint32_t to);

/* After (, up to and with ). */
static bool parse_group(parser *p, uint32_t from, uint32_t to) {
    const size_t begun = p->at - 1;
    if (skip(p, "?")) {
        if (follows(p, "=") || follows(p, "!") || follows(p, "<=") || follows(p, "<!"))
            return fails(p, CLLM_ERR_UNSUPPORTED, begun, "looking ahead or behind is not supported");
        if (skip(p, "<")) { /* a name, which nothing refers to */
            while (!ended(p) && peek(p) != '>') p->at++;
            if (!skip(p, ">")) return fails(p, CLLM_ERR_FORMAT, begun, "this name is not closed");
        } else if (!skip(p, ":")) {
            return fails(p, CLLM_ERR_UNSUPPORTED, begun, "this kind of group is not supported");
        }
    }
    if (++p->depth > MOST_DEPTH) return fails(p, CLLM_ERR_UNSUPPORTED, begun, "nested more than 200 deep");
    if (!parse_alternation(p, from, to)) return false;
    p->depth--;
    return skip(p, ")") || fails(p, CLLM_ERR_FORMAT, begun, "this ( is not closed");
}

/* Does a number of times follow? Another brace is itself. */
static bool count_follows(const parser *p) {
    const char next = p->at + 1 < p->text.length ? p->text.data[p->at + 1] : '\0';
    return peek(p) == '{' && next >= '0' && next <= '9';
}

static bool parse_atom(parser *p, uint32_t from, uint32_t to) {
    char_set set = {.n = 0};
    bool negated = false;
    uint32_t value;
    const size_t begun = p->at;
    if (skip(p, "(")) return parse_group(p, from, to);
    if (skip(p, "[")) {
        if (!read_class(p, &set, &negated)) return false;
        add_set(p, &set, negated, from, to);
        return true;
    }
    if (skip(p, ".")) {
        static const char_range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
        add_others(p, &set, line_ends, 3);
        add_set(p, &set, false, from, to);
        return true;
    }
    if (skip(p, "\\")) {
        if (!ended(p) && add_named_class(p, &set, peek(p))) {
            p->at++;
            add_set(p, &set, false, from, to);
            return p->status == CLLM_OK;
        }
        if (!read_escape(p, &value)) return false;
    } else {
        if (count_follows(p) || strchr("*+?)", peek(p)))
            return fails(p, CLLM_ERR_FORMAT, begun, "this stands for nothing here");
        value = take_character(p);
    }
    network_add_characters(p->n, from, &(char_range){value, value}, 1, to);
    return true;
}

static bool read_number(parser *p, uint32_t *value) {
    const size_t begun = p->at;
    *value = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++)
        if (*value < 1000000) *value = *value * 10 + (uint32_t)(peek(p) - '0');
    if (p->at == begun) return fails(p, CLLM_ERR_FORMAT, begun, "a number was expected");
    return *value < 1000000 || fails(p, CLLM_ERR_UNSUPPORTED, begun, "more than 999,999 times");
}

/* least, most: out, how often; most UINT32_MAX: any number of times. */
static bool parse_quantifier(parser *p, uint32_t *least, uint32_t *most) {
    const size_t begun = p->at;
    *least = *most = 1;
    if (skip(p, "*")) {
        *least = 0, *most = UINT32_MAX;
    } else if (skip(p, "+")) {
        *most = UINT32_MAX;
    } else if (skip(p, "?")) {
        *least = 0;
    } else if (count_follows(p)) {
        p->at++;
        if (!read_number(p, least)) return false;
        *most = *least;
        if (skip(p, ",")) {
            *most = UINT32_MAX;
            if (peek(p) != '}' && !read_number(p, most)) return false;
        }
        if (!skip(p, "}")) return fails(p, CLLM_ERR_FORMAT, begun, "this { is not closed");
        if (*least > *most) return fails(p, CLLM_ERR_FORMAT, begun, "a range out of order");
    } else {
        return true;
    }
    (void)skip(p, "?"); /* lazy or not, the same texts match */
    if (!ended(p) && strchr("*+?", peek(p))) return fails(p, CLLM_ERR_FORMAT, p->at, "there is nothing to repeat");
    return true;
}

/* An anchor says what is so anyway, since the whole text matches; elsewhere it would ask for the impossible. */
static bool parse_anchor(parser *p) {
    const bool fits =
        peek(p) == '^' ? p->may_begin : p->at + 1 == p->text.length || strchr("|)", p->text.data[p->at + 1]);
    p->anchored = peek(p) == '^' ? AT_BEGIN : AT_END;
    return fits ? p->at++ < p->text.length : fails(p, CLLM_ERR_UNSUPPORTED, p->at, "an anchor within the text");
}

static bool parse_sequence(parser *p, uint32_t from, uint32_t to) {
    const bool may_begin = p->may_begin;
    unsigned anchored = 0;
    while (!ended(p) && peek(p) != '|' && peek(p) != ')') {
        uint32_t least, most;
        const size_t begun = p->at;
        if (peek(p) == '^' || peek(p) == '$') {
            if (!parse_anchor(p)) return false;
            anchored |= p->anchored;
            continue;
        }
        p->anchored = 0;
        const uint32_t begin = network_add_node(p->n), end = network_add_node(p->n), next = network_add_node(p->n);
        if (!parse_atom(p, begin, end) || !parse_quantifier(p, &least, &most)) return false;
        /* a group that says where the text begins or ends is not repeated, and what it says of the end is true */
        const bool is_last = ended(p) || peek(p) == '|' || peek(p) == ')';
        const bool repeats = p->anchored && (least != 1 || most != 1);
        if (repeats || (p->anchored & AT_END && !is_last))
            return fails(p, CLLM_ERR_UNSUPPORTED, begun, "an anchor within the text");
        anchored |= p->anchored;
        network_add_repeated(p->n, begin, end, least, most, from, next);
        from = next;
        p->may_begin = false;
    }
    network_add_empty(p->n, from, to);
    p->may_begin = may_begin;
    p->anchored = anchored;
    return true;
}

static bool parse_alternation(parser *p, uint32_t from, uint32_t to) {
    unsigned anchored = 0;
    do {
        const uint32_t begin = network_add_node(p->n);
        network_add_empty(p->n, from, begin);
        if (!parse_sequence(p, begin, to)) return false;
        anchored |= p->anchored;
    } while (skip(p, "|"));
    p->anchored = anchored;
    return true;
}

cllm_status regex_build(network *n, cllm_string text, arena *a, cllm_error *err) {
    (void)a;
    parser p = {.n = n, .text = text, .may_begin = true, .err = err};
    const uint32_t root = network_add_rule(n, "root");
    if (n->failed) return error_set(err, CLLM_ERR_MEMORY, "no memory for a grammar");
    if (parse_alternation(&p, n->rules[root].begin, n->rules[root].end) && !ended(&p))
        fails(&p, CLLM_ERR_FORMAT, p.at, "this ) closes nothing");
    return p.status;
}
