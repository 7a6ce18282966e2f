/* Builds a network from a regular expression in the syntax of ECMAScript (ECMA-262, with the flag u), for the whole
 * text or some part of it. Expressions that look at other places in the text are refused, because this kind of
 * automaton cannot enforce them: back references, look-ahead, look-behind and word boundaries. So are classes of
 * Unicode properties (\p). Before it: grammar.c, structure.c and the schemas. After it: network_finish.
 *
 *   alternation  := sequence ('|' sequence)*
 *   sequence     := ('^' | '$' | atom quantifier?)*
 *   atom         := character | '.' | class | escape | '(' alternation ')' */
#include "sampling/grammar.h"
#include "sampling/grammar_text.h"

#include "base/error.h"
#include "base/utf8.h"

#include <string.h>

enum { MOST_DEPTH = 200, MOST_RANGES = 256, AT_BEGIN = 1, AT_END = 2 };

typedef struct parser {
    network *n;
    grammar_text t;
    unsigned depth;
    bool anywhere;     /* the expression may match within the text; then anchors are edges */
    bool may_begin;    /* nothing is read before this point */
    unsigned anchored; /* which anchors the last atom has: AT_BEGIN, AT_END */
} parser;

/* A set of characters being read. */
typedef struct char_set {
    char_range ranges[MOST_RANGES];
    size_t n;
} char_set;

/* ----------------------------------------------------------------------------------------------------- characters */

static bool add_range(parser *p, char_set *set, uint32_t low, uint32_t high) {
    if (set->n == MOST_RANGES)
        return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, p->t.at, "a class of more than 256 ranges");
    set->ranges[set->n++] = (char_range){low, high};
    return true;
}

static const char_range digits[] = {{'0', '9'}}, words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                        spaces[] = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                                    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                    {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};

/* Add all characters except those of some sorted ranges. */
static bool add_others(parser *p, char_set *set, const char_range *ranges, size_t n) {
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].low > next && !add_range(p, set, next, ranges[i].low - 1)) return false;
        next = ranges[i].high + 1;
    }
    return add_range(p, set, next, LAST_CHARACTER);
}

/* Add the class \d, \w, \s, \D, \W or \S. Returns false if the letter is none of these. */
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

/* Read what follows \u: four digits, perhaps another such escape for a surrogate pair, or digits in braces. */
static bool read_unicode(parser *p, uint32_t *value) {
    uint32_t low;
    const size_t begun = p->t.at;
    if (text_skip(&p->t, "{")) {
        *value = 0;
        if (text_peek(&p->t) == '}') return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this is not a character");
        while (text_peek(&p->t) != '}') {
            uint32_t digit;
            if (*value > LAST_CHARACTER || !text_read_hex(&p->t, 1, &digit)) break;
            *value = *value * 16 + digit;
        }
        if (!text_skip(&p->t, "}") || *value > LAST_CHARACTER)
            return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this is not a character");
        return true;
    }
    if (!text_read_hex(&p->t, 4, value)) return false;
    if (*value < 0xD800 || *value > 0xDFFF) return true;
    if (*value > 0xDBFF || !text_skip(&p->t, "\\u") || !text_read_hex(&p->t, 4, &low) || low < 0xDC00 || low > 0xDFFF)
        return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "a surrogate without its other half is not a character");
    *value = 0x10000 + ((*value - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* Read an escape after its backslash. */
static bool read_escape(parser *p, uint32_t *value) {
    static const char letters[] = "tnrfv0", meant[] = "\t\n\r\f\v\0";
    const size_t begun = p->t.at - 1;
    if (text_ended(&p->t)) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "a backslash at the end");
    const char c = text_peek(&p->t);
    const char *letter = strchr(letters, c);
    if (c == 'u' || c == 'x') {
        p->t.at++;
        return c == 'x' ? text_read_hex(&p->t, 2, value) : read_unicode(p, value);
    }
    const char control = p->t.at + 1 < p->t.text.length ? p->t.text.data[p->t.at + 1] : '\0';
    if (c == 'c' && ((control | 0x20) >= 'a' && (control | 0x20) <= 'z')) {
        *value = (uint32_t)(control & 0x1F);
        p->t.at += 2;
        return true;
    }
    if (letter && c) {
        *value = (uint32_t)meant[letter - letters];
        p->t.at++;
        return true;
    }
    if ((c >= '1' && c <= '9') || c == 'k')
        return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun, "back references are not supported");
    if (c == 'p' || c == 'P')
        return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun, "classes of Unicode properties are not supported");
    if (c == 'b' || c == 'B')
        return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun, "word boundaries are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "an unknown escape");
    *value = text_take_character(&p->t);
    return true;
}

/* Read a character of a class, or add a named class to it. single: out, true if it was a character, which may begin or
 * end a range. */
static bool read_class_member(parser *p, char_set *set, uint32_t *value, bool *single) {
    *single = true;
    if (!text_skip(&p->t, "\\")) {
        *value = text_take_character(&p->t);
        return true;
    }
    if (text_skip(&p->t, "b")) {
        *value = '\b';
        return true;
    }
    if (text_skip(&p->t, "-")) {
        *value = '-';
        return true;
    }
    if (!text_ended(&p->t) && add_named_class(p, set, text_peek(&p->t))) {
        p->t.at++;
        *single = false;
        return p->t.status == CLLM_OK;
    }
    return read_escape(p, value);
}

/* Read a class, after [, up to and including ]. */
static bool read_class(parser *p, char_set *set, bool *negated) {
    const size_t begun = p->t.at - 1;
    *negated = text_skip(&p->t, "^");
    while (!text_ended(&p->t) && text_peek(&p->t) != ']') {
        uint32_t low, high;
        bool single, second_single;
        const size_t at = p->t.at;
        if (!read_class_member(p, set, &low, &single)) return false;
        const bool ranges =
            text_peek(&p->t) == '-' && p->t.at + 1 < p->t.text.length && p->t.text.data[p->t.at + 1] != ']';
        if (!ranges) {
            if (single && !add_range(p, set, low, low)) return false;
            continue;
        }
        p->t.at++;
        if (!read_class_member(p, set, &high, &second_single)) return false;
        if (!single || !second_single || low > high)
            return text_fails(&p->t, CLLM_ERR_FORMAT, at, "a range out of order");
        if (!add_range(p, set, low, high)) return false;
    }
    return text_skip(&p->t, "]") || text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this [ is not closed");
}

static void add_set(parser *p, char_set *set, bool negated, uint32_t from, uint32_t to) {
    if (negated)
        network_add_other_characters(p->n, from, set->ranges, set->n, to);
    else
        network_add_characters(p->n, from, set->ranges, set->n, to);
}

/* ------------------------------------------------------------------------------------------------------ structure */

static bool parse_alternation(parser *p, uint32_t from, uint32_t to);

/* Read a group, after (, up to and including ). */
static bool parse_group(parser *p, uint32_t from, uint32_t to) {
    const size_t begun = p->t.at - 1;
    if (text_skip(&p->t, "?")) {
        if (text_follows(&p->t, "=") || text_follows(&p->t, "!") || text_follows(&p->t, "<=") ||
            text_follows(&p->t, "<!"))
            return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun, "looking ahead or behind is not supported");
        if (text_skip(&p->t, "<")) { /* a name, which nothing uses */
            while (!text_ended(&p->t) && text_peek(&p->t) != '>') p->t.at++;
            if (!text_skip(&p->t, ">")) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this name is not closed");
        } else if (!text_skip(&p->t, ":")) {
            return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun, "this kind of group is not supported");
        }
    }
    if (++p->depth > MOST_DEPTH) return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun, "nested more than 200 deep");
    if (!parse_alternation(p, from, to)) return false;
    p->depth--;
    return text_skip(&p->t, ")") || text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this ( is not closed");
}

/* True if a repetition count follows. Any other brace is a literal. */
static bool count_follows(const parser *p) {
    const char next = p->t.at + 1 < p->t.text.length ? p->t.text.data[p->t.at + 1] : '\0';
    return text_peek(&p->t) == '{' && next >= '0' && next <= '9';
}

static bool parse_atom(parser *p, uint32_t from, uint32_t to) {
    char_set set = {.n = 0};
    bool negated = false;
    uint32_t value;
    const size_t begun = p->t.at;
    if (text_skip(&p->t, "(")) return parse_group(p, from, to);
    if (text_skip(&p->t, "[")) {
        if (!read_class(p, &set, &negated)) return false;
        add_set(p, &set, negated, from, to);
        return true;
    }
    if (text_skip(&p->t, ".")) {
        static const char_range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
        add_others(p, &set, line_ends, 3);
        add_set(p, &set, false, from, to);
        return true;
    }
    if (text_skip(&p->t, "\\")) {
        if (!text_ended(&p->t) && add_named_class(p, &set, text_peek(&p->t))) {
            p->t.at++;
            add_set(p, &set, false, from, to);
            return p->t.status == CLLM_OK;
        }
        if (!read_escape(p, &value)) return false;
    } else {
        if (count_follows(p) || char_is_one_of(text_peek(&p->t), "*+?)"))
            return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "there is nothing to repeat before this");
        value = text_take_character(&p->t);
    }
    network_add_characters(p->n, from, &(char_range){value, value}, 1, to);
    return true;
}

/* Read a quantifier, if one follows. least, most: out, how many times; most: UINT32_MAX is any number. */
static bool parse_quantifier(parser *p, uint32_t *least, uint32_t *most) {
    const size_t begun = p->t.at;
    *least = *most = 1;
    if (text_skip(&p->t, "*")) {
        *least = 0, *most = UINT32_MAX;
    } else if (text_skip(&p->t, "+")) {
        *most = UINT32_MAX;
    } else if (text_skip(&p->t, "?")) {
        *least = 0;
    } else if (count_follows(p)) {
        p->t.at++;
        if (!text_read_count(&p->t, least)) return false;
        *most = *least;
        if (text_skip(&p->t, ",")) {
            *most = UINT32_MAX;
            if (text_peek(&p->t) != '}' && !text_read_count(&p->t, most)) return false;
        }
        if (!text_skip(&p->t, "}")) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this { is not closed");
        if (*least > *most) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "a range out of order");
    } else {
        return true;
    }
    (void)text_skip(&p->t, "?"); /* lazy or not makes no difference for the set of texts */
    if (!text_ended(&p->t) && char_is_one_of(text_peek(&p->t), "*+?"))
        return text_fails(&p->t, CLLM_ERR_FORMAT, p->t.at, "there is nothing to repeat");
    return true;
}

/* Read an anchor of an expression that must match the whole text. At the beginning or end of the expression it is
 * always true. Elsewhere few texts, or none, would match, so it is refused. */
static bool parse_anchor(parser *p) {
    const bool fits = text_peek(&p->t) == '^'
                          ? p->may_begin
                          : p->t.at + 1 == p->t.text.length || char_is_one_of(p->t.text.data[p->t.at + 1], "|)");
    p->anchored = text_peek(&p->t) == '^' ? AT_BEGIN : AT_END;
    return fits ? p->t.at++ < p->t.text.length
                : text_fails(&p->t, CLLM_ERR_UNSUPPORTED, p->t.at, "an anchor within the text");
}

static bool parse_sequence(parser *p, uint32_t from, uint32_t to) {
    const bool may_begin = p->may_begin;
    unsigned anchored = 0;
    while (!text_ended(&p->t) && text_peek(&p->t) != '|' && text_peek(&p->t) != ')') {
        uint32_t least, most;
        const size_t begun = p->t.at;
        const bool is_anchor = text_peek(&p->t) == '^' || text_peek(&p->t) == '$';
        if (is_anchor && p->anywhere) {
            const uint32_t next = network_add_node(p->n);
            network_add_anchor(p->n, from, text_peek(&p->t) == '^' ? EDGE_AT_BEGIN : EDGE_AT_END, next);
            from = next;
            p->t.at++;
            continue;
        }
        if (is_anchor) {
            if (!parse_anchor(p)) return false;
            anchored |= p->anchored;
            continue;
        }
        p->anchored = 0;
        const uint32_t begin = network_add_node(p->n), end = network_add_node(p->n), next = network_add_node(p->n);
        if (!parse_atom(p, begin, end) || !parse_quantifier(p, &least, &most)) return false;
        /* refuse a group with an anchor if the group is repeated, or if it has a $ and is not at the end */
        const bool is_last = text_ended(&p->t) || text_peek(&p->t) == '|' || text_peek(&p->t) == ')';
        const bool repeats = p->anchored && (least != 1 || most != 1);
        if (repeats || (p->anchored & AT_END && !is_last))
            return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun, "an anchor within the text");
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
    } while (text_skip(&p->t, "|"));
    p->anchored = anchored;
    return true;
}

cllm_status regex_build(network *n, cllm_string text, bool anywhere, cllm_error *err) {
    parser p = {
        .n = n, .t = {.text = text, .what = "regular expression", .err = err}, .anywhere = anywhere, .may_begin = true};
    const uint32_t root = network_add_rule(n, "root");
    if (n->failed) return network_error(n, err);
    uint32_t begin = n->rules[root].begin, end = n->rules[root].end;
    if (anywhere) {
        static const char_range any = {0, LAST_CHARACTER};
        const uint32_t before = network_add_node(n), after = network_add_node(n);
        network_add_empty(n, begin, before);
        network_add_characters(n, before, &any, 1, before);
        network_add_characters(n, after, &any, 1, after);
        network_add_empty(n, after, end);
        begin = before;
        end = after;
    }
    if (parse_alternation(&p, begin, end) && !text_ended(&p.t))
        text_fails(&p.t, CLLM_ERR_FORMAT, p.t.at, "this ) closes nothing");
    return p.t.status;
}
