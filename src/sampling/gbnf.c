/* Builds a network from GBNF, llama.cpp's form of BNF (its grammars/README.md): rules with alternatives, literals,
 * character classes, groups and repetitions. Before it: grammar.c, with the text. After it: network_finish.
 *
 *   root   ::= "[" (item ("," item)*)? "]"     # a comment
 *   item   ::= [0-9]{1,3} | "\"" [^"\x00-\x1F]* "\""
 *
 * A rule ends with its line, unless a bracket is open or the line ends in | or ::=. */
#include "sampling/grammar.h"
#include "sampling/grammar_text.h"

#include "base/error.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 200, MOST_RANGES = 1024 };

/* A rule, found by its name. */
typedef struct named_rule {
    cllm_string name;
    size_t at; /* where its name first occurs in the text */
    uint32_t rule;
    bool defined;
    uint32_t hash_next; /* 1 + its index, or 0 */
} named_rule;

enum { N_BUCKETS = 1024 };

typedef struct parser {
    network *n;
    grammar_text t;
    unsigned depth;
    arena *arena;      /* of names */
    named_rule *rules; /* [n_rules], owned */
    uint32_t n_rules, rules_capacity, buckets[N_BUCKETS];
} parser;

/* Skip white space and comments. newlines: skip newlines too, because they do not end a rule here. */
static void skip_space(parser *p, bool newlines) {
    for (; !text_ended(&p->t); p->t.at++) {
        if (text_peek(&p->t) == '#')
            while (p->t.at + 1 < p->t.text.length && p->t.text.data[p->t.at + 1] != '\n') p->t.at++;
        else if (!strchr(newlines ? " \t\r\n" : " \t\r", text_peek(&p->t)) || !text_peek(&p->t))
            return;
    }
}

static bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* ------------------------------------------------------------------------------------------------------- names */

/* The rule with this name, which may be defined later. NULL: the network fails, which is reported at the end. */
static named_rule *rule_named(parser *p, cllm_string name, size_t at) {
    uint32_t bucket = 0;
    for (size_t i = 0; i < name.length; i++) bucket = bucket * 31 + (unsigned char)name.data[i];
    bucket %= N_BUCKETS;
    for (uint32_t i = p->buckets[bucket]; i > 0; i = p->rules[i - 1].hash_next)
        if (p->rules[i - 1].name.length == name.length &&
            memcmp(p->rules[i - 1].name.data, name.data, name.length) == 0)
            return &p->rules[i - 1];
    if (p->n_rules == p->rules_capacity) {
        const uint32_t larger = p->rules_capacity > 0 ? 2 * p->rules_capacity : 64;
        named_rule *grown = realloc(p->rules, larger * sizeof *grown);
        if (!grown) p->n->failed = CLLM_ERR_MEMORY;
        if (!grown) return NULL;
        p->rules = grown;
        p->rules_capacity = larger;
    }
    const char *kept = arena_string(p->arena, name.data, name.length);
    if (!kept) p->n->failed = CLLM_ERR_MEMORY;
    const uint32_t added = network_add_rule(p->n, kept);
    if (p->n->failed) return NULL;
    p->rules[p->n_rules++] = (named_rule){name, at, added, false, p->buckets[bucket]};
    p->buckets[bucket] = p->n_rules;
    return &p->rules[p->n_rules - 1];
}

/* The name that begins here, or an empty string. */
static cllm_string take_name(parser *p) {
    const size_t begun = p->t.at;
    while (!text_ended(&p->t) && is_name_character(text_peek(&p->t))) p->t.at++;
    return (cllm_string){p->t.text.data + begun, p->t.at - begun};
}

/* -------------------------------------------------------------------------------------------------- characters */

/* One character of a literal or class, or its escape. */
static bool read_character(parser *p, uint32_t *value) {
    static const char letters[] = "nrt\\\"[]", meant[] = "\n\r\t\\\"[]";
    const size_t begun = p->t.at;
    if (!text_skip(&p->t, "\\")) {
        *value = text_take_character(&p->t);
        return true;
    }
    const char c = text_peek(&p->t);
    const char *letter = c ? strchr(letters, c) : NULL;
    const unsigned n_digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (!letter && n_digits == 0) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "an unknown escape");
    p->t.at++;
    if (letter) {
        *value = (uint32_t)meant[letter - letters];
        return true;
    }
    if (!text_read_hex(&p->t, n_digits, value)) return false;
    if (*value > LAST_CHARACTER || (*value >= 0xD800 && *value <= 0xDFFF))
        return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this is not a character");
    return true;
}

static bool parse_literal(parser *p, uint32_t from, uint32_t to) {
    const size_t begun = p->t.at - 1;
    while (!text_ended(&p->t) && text_peek(&p->t) != '"') {
        uint32_t value;
        if (!read_character(p, &value)) return false;
        const uint32_t next = network_add_node(p->n);
        network_add_characters(p->n, from, &(char_range){value, value}, 1, next);
        from = next;
    }
    network_add_empty(p->n, from, to);
    return text_skip(&p->t, "\"") || text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this \" is not closed");
}

static bool parse_class(parser *p, uint32_t from, uint32_t to) {
    char_range ranges[MOST_RANGES];
    size_t n = 0;
    const size_t begun = p->t.at - 1;
    const bool negated = text_skip(&p->t, "^");
    while (!text_ended(&p->t) && text_peek(&p->t) != ']') {
        char_range range;
        const size_t at = p->t.at;
        if (!read_character(p, &range.low)) return false;
        range.high = range.low;
        if (text_peek(&p->t) == '-' && p->t.at + 1 < p->t.text.length && p->t.text.data[p->t.at + 1] != ']') {
            p->t.at++;
            if (!read_character(p, &range.high)) return false;
        }
        if (range.low > range.high) return text_fails(&p->t, CLLM_ERR_FORMAT, at, "a range out of order");
        if (n == MOST_RANGES) return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, at, "a class of more than 1024 ranges");
        ranges[n++] = range;
    }
    if (!text_skip(&p->t, "]")) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this [ is not closed");
    if (negated)
        network_add_other_characters(p->n, from, ranges, n, to);
    else
        network_add_characters(p->n, from, ranges, n, to);
    return true;
}

/* --------------------------------------------------------------------------------------------------- structure */

static bool parse_alternatives(parser *p, uint32_t from, uint32_t to);

static bool parse_item(parser *p, uint32_t from, uint32_t to) {
    const size_t begun = p->t.at;
    if (text_skip(&p->t, "\"")) return parse_literal(p, from, to);
    if (text_skip(&p->t, "[")) return parse_class(p, from, to);
    if (text_skip(&p->t, ".")) {
        network_add_characters(p->n, from, &(char_range){0, LAST_CHARACTER}, 1, to);
        return true;
    }
    if (text_skip(&p->t, "(")) {
        if (++p->depth > MOST_DEPTH) return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun, "nested more than 200 deep");
        skip_space(p, true);
        if (!parse_alternatives(p, from, to)) return false;
        p->depth--;
        skip_space(p, true);
        return text_skip(&p->t, ")") || text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this ( is not closed");
    }
    if (text_peek(&p->t) == '<' || text_peek(&p->t) == '!')
        return text_fails(&p->t, CLLM_ERR_UNSUPPORTED, begun,
                          "tokens in a grammar are not supported; write what they spell");
    const cllm_string name = take_name(p);
    if (name.length == 0)
        return text_fails(&p->t, CLLM_ERR_FORMAT, begun,
                          "a literal, a class, a group or the name of a rule was expected");
    const named_rule *called = rule_named(p, name, begun);
    if (called) network_add_call(p->n, from, called->rule, to);
    return called;
}

/* Read a repetition, if one follows: * + ? {m} {m,} {m,n} {,n}. There may be only one. */
static bool parse_count(parser *p, uint32_t *least, uint32_t *most) {
    const size_t begun = p->t.at;
    *least = *most = 1;
    if (text_skip(&p->t, "*")) {
        *least = 0, *most = UINT32_MAX;
    } else if (text_skip(&p->t, "+")) {
        *most = UINT32_MAX;
    } else if (text_skip(&p->t, "?")) {
        *least = 0;
    } else if (text_skip(&p->t, "{")) {
        skip_space(p, true);
        *least = 0;
        if (text_peek(&p->t) != ',' && !text_read_count(&p->t, least)) return false;
        *most = *least;
        skip_space(p, true);
        if (text_skip(&p->t, ",")) {
            skip_space(p, true);
            *most = UINT32_MAX;
            if (text_peek(&p->t) != '}' && !text_read_count(&p->t, most)) return false;
            skip_space(p, true);
        }
        if (!text_skip(&p->t, "}")) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "this { is not closed");
        if (*least > *most) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "a range out of order");
    }
    return true;
}

static bool parse_sequence(parser *p, uint32_t from, uint32_t to) {
    for (;;) {
        skip_space(p, p->depth > 0);
        if (text_ended(&p->t) || char_is_one_of(text_peek(&p->t), "|)\n")) break;
        const uint32_t begin = network_add_node(p->n), end = network_add_node(p->n), next = network_add_node(p->n);
        uint32_t least, most;
        if (!parse_item(p, begin, end)) return false;
        skip_space(p, p->depth > 0);
        if (!parse_count(p, &least, &most)) return false;
        network_add_repeated(p->n, begin, end, least, most, from, next);
        from = next;
    }
    network_add_empty(p->n, from, to);
    return true;
}

static bool parse_alternatives(parser *p, uint32_t from, uint32_t to) {
    for (;;) {
        const uint32_t begin = network_add_node(p->n);
        network_add_empty(p->n, from, begin);
        if (!parse_sequence(p, begin, to)) return false;
        if (!text_skip(&p->t, "|")) return true;
        skip_space(p, true);
    }
}

static bool parse_rule(parser *p) {
    const size_t begun = p->t.at;
    const cllm_string name = take_name(p);
    if (name.length == 0) return text_fails(&p->t, CLLM_ERR_FORMAT, begun, "the name of a rule was expected");
    skip_space(p, false);
    if (!text_skip(&p->t, "::=")) return text_fails(&p->t, CLLM_ERR_FORMAT, p->t.at, "::= was expected");
    skip_space(p, true);
    named_rule *defined = rule_named(p, name, begun);
    if (!defined) return false;
    if (defined->defined) return text_fails(&p->t, CLLM_ERR_ARGUMENT, begun, "this rule is defined twice");
    defined->defined = true;
    const network_rule r = p->n->rules[defined->rule];
    if (!parse_alternatives(p, r.begin, r.end)) return false;
    return text_ended(&p->t) || text_peek(&p->t) == '\n' ||
           text_fails(&p->t, CLLM_ERR_FORMAT, p->t.at, "this ) closes nothing");
}

cllm_status gbnf_build(network *n, cllm_string text, arena *a, cllm_error *err) {
    parser p = {.n = n, .t = {.text = text, .what = "grammar", .err = err}, .arena = a};
    rule_named(&p, (cllm_string){"root", 4}, 0);
    for (skip_space(&p, true); !text_ended(&p.t) && p.t.status == CLLM_OK && !n->failed; skip_space(&p, true))
        parse_rule(&p);
    if (p.t.status == CLLM_OK && !n->failed && !p.rules[0].defined)
        p.t.status = error_set(err, CLLM_ERR_ARGUMENT, "grammar: there is no rule named root");
    for (uint32_t i = 0; i < p.n_rules && p.t.status == CLLM_OK && !n->failed; i++) {
        const named_rule *rule = &p.rules[i];
        char message[120];
        snprintf(message, sizeof message, "the rule %.*s is not defined",
                 (int)(rule->name.length < 60 ? rule->name.length : 60), rule->name.data);
        if (!rule->defined) text_fails(&p.t, CLLM_ERR_ARGUMENT, rule->at, message);
    }
    free(p.rules);
    return p.t.status;
}
