/* A recursive descent parser. Binary operators of the same precedence are read in a loop, so recursion is only as deep
 * as brackets, unary operators, conditions and blocks nest. */
#include "chat/jinja_parser.h"

#include "base/error.h"
#include "base/utf8.h"
#include "chat/jinja_lexer.h"
#include "chat/jinja_run.h"

#include <stdio.h>
#include <string.h>

typedef struct parser {
    jinja_lexer lexer;
    jinja_token token; /* the next one */
    arena *arena;
    uint32_t nesting;
    uint32_t n_loops; /* open loops, for break and continue */
    char rest;        /* JINJA_VARARGS and JINJA_KWARGS: which of them the macro reads */
    jinja_node spare; /* replaces a node if memory runs out */
    cllm_error *err;
    cllm_status status;
} parser;

/* --------------------------------------------------------------------------------------------------- tokens */

static void fail_at(parser *p, uint32_t at, cllm_status status, const char *what, cllm_string which) {
    if (p->status != CLLM_OK) return;
    const jinja_place place = jinja_place_of(p->lexer.source, at);
    const int n = which.length < 60 ? (int)which.length : 60;
    const char *quote = n > 0 ? "'" : "";
    p->status = error_set_at(p->err, status, "", at, "chat template, line %u, column %u: %s%s%.*s%s", place.line,
                             place.column, what, n > 0 ? " '" : "", n, n > 0 ? which.data : "", quote);
    p->token = (jinja_token){.kind = JINJA_TOKEN_END, .at = at, .text = ""};
}

static void fail(parser *p, const char *what) {
    fail_at(p, p->token.at, CLLM_ERR_FORMAT, what, (cllm_string){p->token.text, p->token.length});
}

static void advance(parser *p) {
    if (p->status != CLLM_OK || jinja_lexer_next(&p->lexer, &p->token)) return;
    fail_at(p, p->lexer.at, CLLM_ERR_FORMAT, p->lexer.fault, (cllm_string){"", 0});
}

static bool is_text(const parser *p, jinja_token_kind kind, const char *text) {
    return p->token.kind == kind && strlen(text) == p->token.length &&
           memcmp(p->token.text, text, p->token.length) == 0;
}

static bool is_sign(const parser *p, const char *text) { return is_text(p, JINJA_TOKEN_OPERATOR, text); }
static bool is_word(const parser *p, const char *text) { return is_text(p, JINJA_TOKEN_NAME, text); }

static bool take_sign(parser *p, const char *text) {
    const bool is = is_sign(p, text);
    if (is) advance(p);
    return is;
}

static bool take_word(parser *p, const char *text) {
    const bool is = is_word(p, text);
    if (is) advance(p);
    return is;
}

static void want_sign(parser *p, const char *text) {
    if (take_sign(p, text)) return;
    char what[40];
    snprintf(what, sizeof what, "'%s' was expected instead of", text);
    fail(p, what);
}

static void want(parser *p, jinja_token_kind kind, const char *what) {
    if (p->token.kind == kind)
        advance(p);
    else
        fail(p, what);
}

static void want_block_end(parser *p) { want(p, JINJA_TOKEN_BLOCK_END, "the tag should end before"); }

/* ---------------------------------------------------------------------------------------------------- nodes */

static jinja_node *make(parser *p, jinja_node_kind kind, jinja_node *a, jinja_node *b) {
    jinja_node *node = arena_alloc(p->arena, 1, sizeof *node);
    if (!node) {
        fail_at(p, p->token.at, CLLM_ERR_MEMORY, "no memory for the template", (cllm_string){"", 0});
        node = &p->spare;
    }
    *node = (jinja_node){.kind = kind, .at = p->token.at, .a = a, .b = b};
    return node;
}

static bool enter(parser *p) {
    if (++p->nesting <= JINJA_MOST_NESTING) return true;
    fail_at(p, p->token.at, CLLM_ERR_UNSUPPORTED, "this is nested more than 200 deep", (cllm_string){"", 0});
    return false;
}

static jinja_value text_value(parser *p, const char *bytes, size_t length) {
    jinja_string *s = arena_alloc(p->arena, 1, sizeof *s);
    if (!s) {
        fail_at(p, p->token.at, CLLM_ERR_MEMORY, "no memory for the template", (cllm_string){"", 0});
        return JINJA_VALUE_UNDEFINED;
    }
    *s = (jinja_string){.bytes = bytes, .length = length, .trusted = true};
    return (jinja_value){.kind = JINJA_STRING, .string = s};
}

/* The name that is the next token. */
static jinja_value take_name(parser *p) {
    const jinja_token t = p->token;
    want(p, JINJA_TOKEN_NAME, "a name was expected instead of");
    return text_value(p, t.text, t.length);
}

static jinja_node *name_node(parser *p) {
    jinja_node *node = make(p, NODE_NAME, NULL, NULL);
    node->value = take_name(p);
    return node;
}

/* ------------------------------------------------------------------------------------------------- literals */

static bool read_digits(const char *text, size_t *at, size_t length, size_t most, unsigned base, uint32_t *value) {
    size_t n = 0;
    *value = 0;
    for (; n < most && *at < length; n++, ++*at) {
        const char c = text[*at];
        const unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                               : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                               : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                      : 99;
        if (digit >= base) break;
        *value = *value * base + digit;
    }
    return n > 0 && (base == 8 || n == most);
}

/* Decode a string: without quotes, escapes as in Python. */
static jinja_value take_string(parser *p) {
    static const char names[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
    const char *text = p->token.text + 1;
    const size_t length = p->token.length - 2;
    char *to = arena_alloc(p->arena, length, 1);
    size_t n = 0;
    for (size_t i = 0; to && i < length;) {
        if (text[i] != '\\') {
            to[n++] = text[i++];
            continue;
        }
        const char c = text[++i];
        const char *name = c ? strchr(names, c) : NULL;
        uint32_t code;
        i++;
        size_t digits = c >= '0' && c <= '7' ? i - 1 : i;
        const size_t most = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : c >= '0' && c <= '7' ? 3 : 0;
        if (name) {
            to[n++] = values[name - names];
        } else if (c == '\n') { /* the line goes on */
        } else if (most > 0 && read_digits(text, &digits, length, most, most == 3 ? 8 : 16, &code) && code < 0x110000 &&
                   (code < 0xD800 || code > 0xDFFF)) {
            n += utf8_encode(code, to + n);
            i = digits;
        } else { /* not an escape: keep it */
            to[n++] = '\\';
            to[n++] = c;
        }
    }
    const jinja_value value = text_value(p, to ? to : "", n);
    if (!to) fail_at(p, p->token.at, CLLM_ERR_MEMORY, "no memory for the template", (cllm_string){"", 0});
    advance(p);
    return value;
}

static jinja_node *string_node(parser *p) {
    jinja_node *node = make(p, NODE_CONSTANT, NULL, NULL);
    node->value = take_string(p);
    char *joined = NULL;
    size_t length = 0, capacity = 0;
    while (p->token.kind == JINJA_TOKEN_STRING) { /* adjacent strings are joined */
        const jinja_string *first = node->value.string, *next = take_string(p).string;
        if (p->status != CLLM_OK) break;
        if (!joined) length = first->length;
        if (length + next->length > capacity) {
            const char *before = joined ? joined : first->bytes;
            capacity = 2 * (length + next->length);
            joined = arena_alloc(p->arena, capacity, 1);
            if (!joined) {
                fail_at(p, p->token.at, CLLM_ERR_MEMORY, "no memory for the template", (cllm_string){"", 0});
                break;
            }
            memcpy(joined, before, length);
        }
        if (next->length > 0) memcpy(joined + length, next->bytes, next->length);
        length += next->length;
    }
    if (joined) node->value = text_value(p, joined, length);
    return node;
}

static jinja_node *number_node(parser *p) {
    jinja_node *node = make(p, NODE_CONSTANT, NULL, NULL);
    char digits[80];
    size_t n = 0;
    for (size_t i = 0; i < p->token.length && n + 1 < sizeof digits; i++)
        if (p->token.text[i] != '_') digits[n++] = p->token.text[i];
    digits[n] = 0;
    if (p->token.kind == JINJA_TOKEN_FLOAT) {
        if (p->token.length >= sizeof digits) fail(p, "this number has too many digits:");
        node->value = jinja_float(json_parse_float(digits, n));
    } else {
        const bool prefixed = n > 2 && digits[0] == '0' && digits[1] > '9';
        const int base = !prefixed ? 10 : (digits[1] | 32) == 'x' ? 16 : (digits[1] | 32) == 'o' ? 8 : 2;
        uint64_t value = 0;
        bool fits = p->token.length < sizeof digits;
        for (size_t i = prefixed ? 2 : 0; i < n && fits; i++) {
            const int digit = digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 32) - 'a' + 10;
            fits = digit >= 0 && digit < base && value <= ((uint64_t)INT64_MAX - (uint64_t)digit) / (uint64_t)base;
            if (fits) value = value * (uint64_t)base + (uint64_t)digit;
        }
        if (!fits) fail(p, "this integer does not fit 64 bits:");
        node->value = jinja_integer((int64_t)value);
    }
    advance(p);
    return node;
}

/* ---------------------------------------------------------------------------------------------- expressions */

static jinja_node *parse_expression(parser *p);
static jinja_node *parse_or(parser *p);
static jinja_node *parse_unary(parser *p, bool with_filters);
static jinja_node *parse_postfix(parser *p, jinja_node *node);
static jinja_node *parse_filters(parser *p, jinja_node *node);

static jinja_node *parse_tuple(parser *p, bool with_condition) {
    jinja_node *first = with_condition ? parse_expression(p) : parse_or(p), **next = &first->next;
    if (!is_sign(p, ",")) return first;
    while (p->status == CLLM_OK && take_sign(p, ",")) {
        if (p->token.kind == JINJA_TOKEN_BLOCK_END || p->token.kind == JINJA_TOKEN_PRINT_END || is_sign(p, ")") ||
            is_sign(p, "=") || is_word(p, "in"))
            break;
        *next = with_condition ? parse_expression(p) : parse_or(p);
        next = &(*next)->next;
    }
    jinja_node *tuple = make(p, NODE_TUPLE, first, NULL);
    tuple->at = first->at;
    return tuple;
}

static jinja_node *parse_brackets(parser *p) {
    jinja_node *node = make(p, NODE_LIST, NULL, NULL), **next = &node->a;
    advance(p);
    while (p->status == CLLM_OK && !is_sign(p, "]")) {
        *next = parse_expression(p);
        next = &(*next)->next;
        if (!take_sign(p, ",")) break;
    }
    want_sign(p, "]");
    return node;
}

static jinja_node *parse_braces(parser *p) {
    jinja_node *node = make(p, NODE_DICT, NULL, NULL), **next = &node->a;
    advance(p);
    while (p->status == CLLM_OK && !is_sign(p, "}")) {
        jinja_node *pair = make(p, NODE_PAIR, parse_expression(p), NULL);
        want_sign(p, ":");
        pair->b = parse_expression(p);
        *next = pair;
        next = &pair->next;
        if (!take_sign(p, ",")) break;
    }
    want_sign(p, "}");
    return node;
}

static jinja_node *parse_primary(parser *p) {
    static const struct {
        const char *name;
        jinja_value value;
    } constants[] = {
        {"true", {.kind = JINJA_BOOL, .boolean = true}},
        {"True", {.kind = JINJA_BOOL, .boolean = true}},
        {"false", {.kind = JINJA_BOOL, .boolean = false}},
        {"False", {.kind = JINJA_BOOL, .boolean = false}},
        {"none", {.kind = JINJA_NONE}},
        {"None", {.kind = JINJA_NONE}},
    };
    switch (p->token.kind) {
    case JINJA_TOKEN_STRING: return string_node(p);
    case JINJA_TOKEN_INTEGER:
    case JINJA_TOKEN_FLOAT: return number_node(p);
    case JINJA_TOKEN_NAME:
        for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
            if (is_word(p, constants[i].name)) {
                jinja_node *node = make(p, NODE_CONSTANT, NULL, NULL);
                node->value = constants[i].value;
                advance(p);
                return node;
            }
        if (is_word(p, "varargs")) p->rest |= JINJA_VARARGS;
        if (is_word(p, "kwargs")) p->rest |= JINJA_KWARGS;
        return name_node(p);
    default: break;
    }
    jinja_node *node = NULL;
    if (is_sign(p, "[")) {
        node = parse_brackets(p);
    } else if (is_sign(p, "{")) {
        node = parse_braces(p);
    } else if (take_sign(p, "(")) {
        node = is_sign(p, ")") ? make(p, NODE_TUPLE, NULL, NULL) : parse_tuple(p, true);
        want_sign(p, ")");
    } else {
        fail(p, p->token.kind == JINJA_TOKEN_PRINT_END || p->token.kind == JINJA_TOKEN_BLOCK_END
                    ? "a value was expected before"
                    : "a value was expected instead of");
        node = make(p, NODE_LIST, NULL, NULL);
    }
    return node;
}

/* The arguments of a call, with both parentheses. */
static jinja_node *parse_arguments(parser *p) {
    jinja_node *first = NULL, **next = &first;
    want_sign(p, "(");
    while (p->status == CLLM_OK && !is_sign(p, ")")) {
        jinja_node *argument = make(p, NODE_ARGUMENT, NULL, NULL);
        argument->value.kind = JINJA_ABSENT;
        if (take_sign(p, "**"))
            argument->sign = '^';
        else if (take_sign(p, "*"))
            argument->sign = '*';
        argument->a = parse_expression(p);
        if (argument->a->kind == NODE_NAME && !argument->sign && take_sign(p, "=")) {
            argument->value = argument->a->value;
            argument->a = parse_expression(p);
        }
        *next = argument;
        next = &argument->next;
        if (!take_sign(p, ",")) break;
    }
    want_sign(p, ")");
    return first;
}

static jinja_node *parse_subscript(parser *p, jinja_node *of) {
    jinja_node *node = make(p, NODE_ITEM, of, NULL);
    if (!is_sign(p, ":")) node->b = parse_expression(p);
    if (take_sign(p, ":")) {
        node->kind = NODE_SLICE;
        if (!is_sign(p, ":") && !is_sign(p, "]")) node->c = parse_expression(p);
        if (take_sign(p, ":") && !is_sign(p, "]")) node->d = parse_expression(p);
    }
    want_sign(p, "]");
    return node;
}

static jinja_node *call_node(parser *p, jinja_node *function) {
    jinja_node *node = make(p, NODE_CALL, function, NULL);
    node->at = function->at;
    node->b = parse_arguments(p);
    return node;
}

static jinja_node *parse_postfix(parser *p, jinja_node *node) {
    while (p->status == CLLM_OK) {
        if (is_sign(p, ".")) {
            jinja_node *of = node;
            node = make(p, NODE_ATTRIBUTE, of, NULL);
            advance(p);
            if (p->token.kind == JINJA_TOKEN_INTEGER) {
                node->kind = NODE_ITEM;
                node->b = number_node(p);
            } else {
                node->value = take_name(p);
            }
        } else if (take_sign(p, "[")) {
            node = parse_subscript(p, node);
        } else if (is_sign(p, "(")) {
            node = call_node(p, node);
        } else {
            break;
        }
    }
    return node;
}

/* A name of a filter or test, which may contain dots. */
static jinja_value take_dotted_name(parser *p) {
    const char *begin = p->token.text;
    jinja_value name = take_name(p);
    while (p->status == CLLM_OK && take_sign(p, ".")) {
        const char *end = p->token.text + p->token.length;
        take_name(p);
        name = text_value(p, begin, (size_t)(end - begin));
    }
    return name;
}

static cllm_string string_of(jinja_value name) {
    return name.kind == JINJA_STRING ? (cllm_string){name.string->bytes, name.string->length} : (cllm_string){"", 0};
}

static jinja_node *parse_filter(parser *p, jinja_node *input) {
    jinja_node *node = make(p, NODE_FILTER, input, NULL);
    node->value = take_dotted_name(p);
    node->function = jinja_find_filter(string_of(node->value));
    if (is_sign(p, "(")) node->b = parse_arguments(p);
    return node;
}

static bool begins_argument(const parser *p) {
    switch (p->token.kind) {
    case JINJA_TOKEN_STRING:
    case JINJA_TOKEN_INTEGER:
    case JINJA_TOKEN_FLOAT: return true;
    case JINJA_TOKEN_NAME:
        return !is_word(p, "else") && !is_word(p, "or") && !is_word(p, "and") && !is_word(p, "is") && !is_word(p, "if");
    default: return is_sign(p, "[") || is_sign(p, "{");
    }
}

static jinja_node *parse_test(parser *p, jinja_node *value) {
    const bool negated = take_word(p, "not");
    jinja_node *node = make(p, NODE_TEST, value, NULL);
    node->value = take_dotted_name(p);
    node->function = jinja_find_test(string_of(node->value));
    if (is_sign(p, "(")) {
        node->b = parse_arguments(p);
    } else if (begins_argument(p)) {
        node->b = make(p, NODE_ARGUMENT, NULL, NULL);
        node->b->value.kind = JINJA_ABSENT;
        node->b->a = parse_postfix(p, parse_primary(p));
    }
    return negated ? make(p, NODE_NOT, node, NULL) : node;
}

static jinja_node *parse_filters(parser *p, jinja_node *node) {
    while (p->status == CLLM_OK) {
        if (take_sign(p, "|")) {
            node = parse_filter(p, node);
        } else if (take_word(p, "is")) {
            node = parse_test(p, node);
        } else if (is_sign(p, "(")) {
            node = call_node(p, node);
        } else {
            break;
        }
    }
    return node;
}

static jinja_node *parse_unary(parser *p, bool with_filters) {
    jinja_node *node;
    if (is_sign(p, "-") || is_sign(p, "+")) {
        node = make(p, is_sign(p, "-") ? NODE_NEGATE : NODE_PLUS, NULL, NULL);
        advance(p);
        if (!enter(p)) return node;
        node->a = parse_unary(p, false);
        p->nesting--;
    } else {
        node = parse_primary(p);
    }
    node = parse_postfix(p, node);
    return with_filters ? parse_filters(p, node) : node;
}

/* Take one of these signs. Returns its code, or 0 if none is there. */
static char take_operator(parser *p, const char *const *signs, const char *codes) {
    for (size_t i = 0; signs[i]; i++)
        if (take_sign(p, signs[i])) return codes[i];
    return 0;
}

static jinja_node *binary(parser *p, char sign, uint32_t at, jinja_node *a, jinja_node *b) {
    jinja_node *node = make(p, NODE_BINARY, a, b);
    node->sign = sign;
    node->at = at;
    return node;
}

static jinja_node *parse_power(parser *p) {
    jinja_node *node = parse_unary(p, true);
    for (uint32_t at = p->token.at; take_sign(p, "**"); at = p->token.at)
        node = binary(p, '^', at, node, parse_unary(p, true));
    return node;
}

static jinja_node *parse_product(parser *p) {
    static const char *const signs[] = {"*", "/", "//", "%", NULL};
    jinja_node *node = parse_power(p);
    uint32_t at = p->token.at;
    for (char sign; (sign = take_operator(p, signs, "*/|%")) != 0; at = p->token.at)
        node = binary(p, sign, at, node, parse_power(p));
    return node;
}

static jinja_node *parse_concat(parser *p) {
    jinja_node *first = parse_product(p), **next = &first->next;
    if (!is_sign(p, "~")) return first;
    jinja_node *node = make(p, NODE_CONCAT, first, NULL);
    while (take_sign(p, "~")) {
        *next = parse_product(p);
        next = &(*next)->next;
    }
    return node;
}

static jinja_node *parse_sum(parser *p) {
    static const char *const signs[] = {"+", "-", NULL};
    jinja_node *node = parse_concat(p);
    uint32_t at = p->token.at;
    for (char sign; (sign = take_operator(p, signs, "+-")) != 0; at = p->token.at)
        node = binary(p, sign, at, node, parse_concat(p));
    return node;
}

static jinja_node *parse_compare(parser *p) {
    static const char *const signs[] = {"==", "!=", "<", ">", "<=", ">=", NULL};
    jinja_node *first = parse_sum(p), *node = NULL, **next = NULL;
    while (p->status == CLLM_OK) {
        const uint32_t at = p->token.at;
        char sign = take_operator(p, signs, "=!<>lg");
        if (!sign && take_word(p, "in")) sign = 'i';
        if (!sign && is_word(p, "not")) {
            const parser before = *p; /* to go back to, if no `in` follows `not` */
            advance(p);
            if (take_word(p, "in"))
                sign = 'n';
            else if (p->status == CLLM_OK)
                *p = before;
        }
        if (!sign) break;
        if (!node) {
            node = make(p, NODE_COMPARE, first, NULL);
            node->at = at;
            next = &node->b;
        }
        *next = make(p, NODE_OPERAND, NULL, NULL);
        (*next)->sign = sign;
        (*next)->at = at;
        (*next)->a = parse_sum(p);
        next = &(*next)->next;
    }
    return node ? node : first;
}

static jinja_node *parse_not(parser *p) {
    if (!is_word(p, "not")) return parse_compare(p);
    jinja_node *node = make(p, NODE_NOT, NULL, NULL);
    advance(p);
    if (!enter(p)) return node;
    node->a = parse_not(p);
    p->nesting--;
    return node;
}

static jinja_node *parse_and(parser *p) {
    jinja_node *node = parse_not(p);
    while (take_word(p, "and")) {
        jinja_node *both = make(p, NODE_AND, node, NULL);
        both->b = parse_not(p);
        node = both;
    }
    return node;
}

static jinja_node *parse_or(parser *p) {
    jinja_node *node = parse_and(p);
    while (take_word(p, "or")) {
        jinja_node *either = make(p, NODE_OR, node, NULL);
        either->b = parse_and(p);
        node = either;
    }
    return node;
}

static jinja_node *parse_expression(parser *p) {
    if (!enter(p)) return make(p, NODE_LIST, NULL, NULL);
    jinja_node *node = parse_or(p);
    while (take_word(p, "if")) {
        jinja_node *condition = make(p, NODE_CONDITION, NULL, node);
        condition->a = parse_or(p);
        if (take_word(p, "else")) condition->c = parse_expression(p);
        node = condition;
    }
    p->nesting--;
    return node;
}

/* ----------------------------------------------------------------------------------------------- statements */

static jinja_node *parse_body(parser *p, const char *const *ends);

/* A body up to the tag `end`, which is read too. */
static jinja_node *parse_block(parser *p, const char *end) {
    want_block_end(p);
    jinja_node *body = parse_body(p, (const char *const[]){end, NULL});
    advance(p);
    want_block_end(p);
    return body;
}

static jinja_node *parse_target(parser *p, bool with_namespace) {
    jinja_node *first = NULL, **next = &first;
    bool many = false;
    do {
        if (first && p->token.kind != JINJA_TOKEN_NAME && !is_sign(p, "(")) break;
        if (take_sign(p, "(")) {
            if (!enter(p)) break;
            *next = parse_target(p, false);
            p->nesting--;
            want_sign(p, ")");
        } else {
            *next = name_node(p);
        }
        if (with_namespace && !first->next && is_sign(p, ".")) {
            jinja_node *attribute = make(p, NODE_ATTRIBUTE, first, NULL);
            advance(p);
            attribute->value = take_name(p);
            return attribute;
        }
        next = &(*next)->next;
        many |= is_sign(p, ",");
    } while (p->status == CLLM_OK && take_sign(p, ","));
    return many ? make(p, NODE_TUPLE, first, NULL) : first ? first : make(p, NODE_LIST, NULL, NULL);
}

static jinja_node *parse_if(parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    jinja_node *first = NULL, **next = &first;
    do { /* an elif becomes an if in the else of the one before it */
        jinja_node *node = make(p, NODE_IF, NULL, NULL);
        node->a = parse_tuple(p, true);
        want_block_end(p);
        node->b = parse_body(p, ends);
        *next = node;
        next = &node->c;
    } while (p->status == CLLM_OK && take_word(p, "elif"));
    if (take_word(p, "else")) {
        want_block_end(p);
        *next = parse_body(p, (const char *const[]){"endif", NULL});
    }
    advance(p);
    want_block_end(p);
    return first;
}

static jinja_node *parse_for(parser *p) {
    jinja_node *node = make(p, NODE_FOR, NULL, NULL);
    node->a = parse_target(p, false);
    if (!take_word(p, "in")) fail(p, "'in' was expected instead of");
    node->b = parse_tuple(p, false);
    if (take_word(p, "if")) node->d = parse_expression(p);
    if (take_word(p, "recursive")) node->sign = 'r';
    want_block_end(p);
    p->n_loops++;
    node->c = parse_body(p, (const char *const[]){"endfor", "else", NULL});
    p->n_loops--;
    if (take_word(p, "else"))
        node->e = parse_block(p, "endfor");
    else {
        advance(p);
        want_block_end(p);
    }
    return node;
}

static jinja_node *parse_set(parser *p) {
    jinja_node *node = make(p, NODE_SET, NULL, NULL);
    node->a = parse_target(p, true);
    if (take_sign(p, "=")) {
        node->b = parse_tuple(p, true);
        want_block_end(p);
        return node;
    }
    node->kind = NODE_CAPTURE;
    while (p->status == CLLM_OK && take_sign(p, "|")) node->b = parse_filter(p, node->b);
    node->c = parse_block(p, "endset");
    return node;
}

static jinja_node *parse_parameters(parser *p) {
    jinja_node *first = NULL, **next = &first;
    want_sign(p, "(");
    while (p->status == CLLM_OK && !is_sign(p, ")")) {
        jinja_node *parameter = name_node(p);
        if (take_sign(p, "=")) parameter->b = parse_expression(p);
        *next = parameter;
        next = &parameter->next;
        if (!take_sign(p, ",")) break;
    }
    want_sign(p, ")");
    return first;
}

/* The loops around a macro do not count in its body: break and continue cannot refer to them. */
static void parse_macro_body(parser *p, jinja_node *macro, const char *end) {
    const uint32_t n_loops = p->n_loops;
    const char rest = p->rest;
    p->n_loops = 0;
    p->rest = 0;
    macro->c = parse_block(p, end);
    macro->sign = p->rest;
    p->rest = rest;
    p->n_loops = n_loops;
}

static jinja_node *parse_macro(parser *p) {
    jinja_node *node = make(p, NODE_MACRO, NULL, NULL);
    node->value = take_name(p);
    node->a = parse_parameters(p);
    parse_macro_body(p, node, "endmacro");
    return node;
}

static jinja_node *parse_call(parser *p) {
    jinja_node *node = make(p, NODE_CALL_BODY, NULL, NULL);
    node->value = text_value(p, "caller", 6);
    if (is_sign(p, "(")) node->b = parse_parameters(p);
    node->a = parse_expression(p);
    if (p->status == CLLM_OK && node->a->kind != NODE_CALL) fail(p, "a call was expected before");
    parse_macro_body(p, node, "endcall");
    return node;
}

static jinja_node *parse_with(parser *p) {
    jinja_node *node = make(p, NODE_WITH, NULL, NULL), **next = &node->a;
    while (p->status == CLLM_OK && p->token.kind != JINJA_TOKEN_BLOCK_END) {
        jinja_node *set = make(p, NODE_SET, NULL, NULL);
        set->a = name_node(p);
        want_sign(p, "=");
        set->b = parse_expression(p);
        *next = set;
        next = &set->next;
        if (!take_sign(p, ",")) break;
    }
    node->c = parse_block(p, "endwith");
    return node;
}

static jinja_node *parse_filtered(parser *p) {
    jinja_node *node = make(p, NODE_FILTERED, NULL, NULL);
    do node->b = parse_filter(p, node->b);
    while (p->status == CLLM_OK && take_sign(p, "|"));
    node->c = parse_block(p, "endfilter");
    return node;
}

static jinja_node *parse_scope(parser *p, const char *end) {
    jinja_node *node = make(p, NODE_SCOPE, NULL, NULL);
    node->c = parse_block(p, end);
    return node;
}

static jinja_node *parse_autoescape(parser *p) {
    jinja_node *setting = parse_expression(p);
    if (p->status == CLLM_OK && (setting->kind != NODE_CONSTANT || jinja_truth(setting->value)))
        fail_at(p, setting->at, CLLM_ERR_UNSUPPORTED, "only {% autoescape false %} is supported", (cllm_string){"", 0});
    return parse_scope(p, "endautoescape");
}

static jinja_node *parse_jump(parser *p, jinja_node_kind kind) {
    if (p->n_loops == 0)
        fail_at(p, p->token.at, CLLM_ERR_FORMAT, "break and continue need a loop", (cllm_string){"", 0});
    want_block_end(p);
    return make(p, kind, NULL, NULL);
}

static jinja_node *parse_named_block(parser *p) {
    take_name(p);
    jinja_node *node = make(p, NODE_SCOPE, NULL, NULL);
    want_block_end(p);
    node->c = parse_body(p, (const char *const[]){"endblock", NULL});
    advance(p);
    if (p->token.kind == JINJA_TOKEN_NAME) advance(p);
    want_block_end(p);
    return node;
}

/* Read the rest of a tag, after "{%". */
static jinja_node *parse_statement(parser *p) {
    static const char *const other_files[] = {"extends", "include", "import", "from"};
    const jinja_token tag = p->token;
    if (take_word(p, "if")) return parse_if(p);
    if (take_word(p, "for")) return parse_for(p);
    if (take_word(p, "set")) return parse_set(p);
    if (take_word(p, "macro")) return parse_macro(p);
    if (take_word(p, "call")) return parse_call(p);
    if (take_word(p, "with")) return parse_with(p);
    if (take_word(p, "filter")) return parse_filtered(p);
    if (take_word(p, "generation")) return parse_scope(p, "endgeneration");
    if (take_word(p, "block")) return parse_named_block(p);
    if (take_word(p, "autoescape")) return parse_autoescape(p);
    if (take_word(p, "break")) return parse_jump(p, NODE_BREAK);
    if (take_word(p, "continue")) return parse_jump(p, NODE_CONTINUE);
    if (take_word(p, "print")) {
        jinja_node *node = make(p, NODE_PRINT, NULL, NULL);
        node->a = parse_tuple(p, true);
        want_block_end(p);
        return node;
    }
    for (size_t i = 0; i < sizeof other_files / sizeof *other_files; i++)
        if (is_word(p, other_files[i]))
            fail_at(p, tag.at, CLLM_ERR_UNSUPPORTED,
                    "a chat template cannot use other files:", (cllm_string){tag.text, tag.length});
    fail(p, "unknown tag");
    return make(p, NODE_LIST, NULL, NULL);
}

/* Text, prints and statements up to one of the tags `ends`, whose name is then the next token. ends NULL: up to the end
 * of the template. */
static jinja_node *parse_body(parser *p, const char *const *ends) {
    jinja_node *first = NULL, **next = &first;
    if (!enter(p)) return NULL;
    for (;;) {
        jinja_node *node = NULL;
        if (p->token.kind == JINJA_TOKEN_DATA) {
            node = make(p, NODE_TEXT, NULL, NULL);
            node->value = text_value(p, p->token.text, p->token.length);
            advance(p);
        } else if (p->token.kind == JINJA_TOKEN_PRINT_BEGIN) {
            advance(p);
            node = make(p, NODE_PRINT, NULL, NULL);
            node->a = parse_tuple(p, true);
            want(p, JINJA_TOKEN_PRINT_END, "'}}' was expected instead of");
        } else if (p->token.kind == JINJA_TOKEN_BLOCK_BEGIN) {
            advance(p);
            bool is_end = false;
            for (const char *const *end = ends; end && *end; end++) is_end |= is_word(p, *end);
            if (is_end) break;
            node = parse_statement(p);
        } else {
            if (ends)
                fail_at(p, p->token.at, CLLM_ERR_FORMAT,
                        "the template ends within a block; missing:", (cllm_string){ends[0], strlen(ends[0])});
            break;
        }
        if (p->status != CLLM_OK) break;
        *next = node;
        next = &node->next;
    }
    p->nesting--;
    return first;
}

/* Change all newlines to "\n", and remove one at the end. */
static char *normalise(const char *source, size_t length, arena *a, uint32_t *n) {
    char *to = arena_alloc(a, length + 1, 1);
    *n = 0;
    for (size_t i = 0; to && i < length; i++) {
        if (source[i] == '\r' && i + 1 < length && source[i + 1] == '\n') continue;
        to[(*n)++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (to && *n > 0 && to[*n - 1] == '\n') --*n;
    return to;
}

cllm_status jinja_parse(const char *source, size_t length, arena *a, jinja_tree *out, cllm_error *err) {
    if (length > INT32_MAX)
        return error_set(err, CLLM_ERR_UNSUPPORTED, "a chat template of %zu bytes is too long", length);
    for (size_t i = 0, n; i < length; i += n) {
        n = utf8_length(source + i, length - i);
        if (n == 0) return error_set_at(err, CLLM_ERR_FORMAT, "", i, "chat template: byte %zu is not UTF-8", i);
    }
    parser p = {.arena = a, .err = err};
    p.lexer.source = normalise(source, length, a, &p.lexer.length);
    if (!p.lexer.source) return error_set(err, CLLM_ERR_MEMORY, "no memory for the template");
    p.lexer.line_start = true;
    *out = (jinja_tree){.source = p.lexer.source, .length = p.lexer.length};
    advance(&p);
    out->body = parse_body(&p, NULL);
    return p.status;
}
