/* JSON's own rules (RFC 8259) as parts of a network, which all parts of a schema share. Between the tokens of JSON
 * there may be up to 20 characters of white space, because a model might write white space forever. In the closed form
 * there is none before a colon or a comma. Before it: schema_rules.c. After it: network.h. */
#include "sampling/schema.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SPACE = 20 };

/* Add a rule. kept: out, its number, set before the rule is written, because values contain values. */
static uint32_t begin_rule(json_rules *r, uint32_t *kept, const char *name, uint32_t *begin, uint32_t *end) {
    const uint32_t rule = network_add_rule(r->n, name);
    *kept = rule;
    *begin = r->n->rules ? r->n->rules[rule].begin : 0;
    *end = r->n->rules ? r->n->rules[rule].end : 0;
    return rule;
}

uint32_t json_space(json_rules *r) {
    uint32_t at, end;
    if (r->space != NO_NODE) return r->space;
    begin_rule(r, &r->space, "white space", &at, &end);
    for (int i = 0; i < MOST_SPACE; i++) {
        const uint32_t next = i + 1 < MOST_SPACE ? network_add_node(r->n) : end;
        network_add_symbols(r->n, at, '\t', '\n', next);
        network_add_symbols(r->n, at, '\r', '\r', next);
        network_add_symbols(r->n, at, ' ', ' ', next);
        network_add_empty(r->n, at, end);
        at = next;
    }
    return r->space;
}

uint32_t json_before_separator(json_rules *r, uint32_t from) {
    if (r->is_closed) return from;
    const uint32_t to = network_add_node(r->n);
    network_add_call(r->n, from, json_space(r), to);
    return to;
}

static const char_range any_character = {0, LAST_CHARACTER};

uint32_t json_character(json_rules *r) {
    uint32_t begin, end;
    if (r->character != NO_NODE) return r->character;
    begin_rule(r, &r->character, "a character", &begin, &end);
    characters_add_in_json(r->n, begin, &any_character, 1, true, end);
    return r->character;
}

uint32_t json_string(json_rules *r) {
    uint32_t begin, end;
    if (r->string != NO_NODE) return r->string;
    begin_rule(r, &r->string, "a string", &begin, &end);
    const uint32_t inside = network_add_node(r->n);
    network_add_symbols(r->n, begin, '"', '"', inside);
    characters_add_in_json(r->n, inside, &any_character, 1, true, inside);
    network_add_symbols(r->n, inside, '"', '"', end);
    return r->string;
}

/* From `from` to `to` by one to `most` digits. */
static void add_digits(network *n, uint32_t from, uint32_t most, char last, uint32_t to) {
    for (uint32_t i = 0; i < most; i++) {
        const uint32_t next = network_add_node(n);
        network_add_symbols(n, from, '0', (uint8_t)last, next);
        network_add_empty(n, next, to);
        from = next;
    }
}

/* A number, or an integer, which may also be written as 5.0 or 5e3. They are the forms ANY_NUMBER and WHOLE_NUMBER of
 * numbers.h. */
static void add_number(network *n, uint32_t begin, bool is_integer, uint32_t end) {
    const uint32_t sign = network_add_node(n), digits = network_add_node(n), whole = network_add_node(n);
    const uint32_t point = network_add_node(n), mantissa = network_add_node(n);
    const uint32_t e = network_add_node(n), power_sign = network_add_node(n);
    network_add_symbols(n, begin, '-', '-', sign);
    network_add_empty(n, begin, sign);
    network_add_symbols(n, sign, '0', '0', whole);
    network_add_symbols(n, sign, '1', '9', digits);
    network_add_symbols(n, digits, '0', '9', digits);
    network_add_empty(n, digits, whole);
    network_add_empty(n, whole, mantissa);
    network_add_symbols(n, whole, '.', '.', point);
    add_digits(n, point, is_integer ? 1 : 22, is_integer ? '0' : '9', mantissa);
    network_add_empty(n, mantissa, end);
    network_add_symbols(n, mantissa, 'e', 'e', e);
    network_add_symbols(n, mantissa, 'E', 'E', e);
    network_add_symbols(n, e, '+', '+', power_sign);
    if (!is_integer) network_add_symbols(n, e, '-', '-', power_sign);
    network_add_empty(n, e, power_sign);
    add_digits(n, power_sign, 3, '9', end);
}

uint32_t json_number(json_rules *r) {
    uint32_t begin, end;
    if (r->number != NO_NODE) return r->number;
    begin_rule(r, &r->number, "a number", &begin, &end);
    add_number(r->n, begin, false, end);
    return r->number;
}

uint32_t json_integer(json_rules *r) {
    uint32_t begin, end;
    if (r->integer != NO_NODE) return r->integer;
    begin_rule(r, &r->integer, "an integer", &begin, &end);
    add_number(r->n, begin, true, end);
    return r->integer;
}

uint32_t json_any(json_rules *r) {
    uint32_t begin, end;
    if (r->value != NO_NODE) return r->value;
    begin_rule(r, &r->value, "a value", &begin, &end);
    network_add_call(r->n, begin, json_string(r), end);
    network_add_call(r->n, begin, json_number(r), end);
    network_add_text(r->n, begin, "true", 4, end);
    network_add_text(r->n, begin, "false", 5, end);
    network_add_text(r->n, begin, "null", 4, end);
    network_add_call(r->n, begin, json_array(r), end);
    network_add_call(r->n, begin, json_object(r), end);
    return r->value;
}

/* Items between brackets, separated by commas. The caller adds an item between the returned node and *after. */
static uint32_t add_list(json_rules *r, uint32_t begin, char open, char close, uint32_t *after, uint32_t end) {
    network *n = r->n;
    const uint32_t opened = network_add_node(n), first = network_add_node(n), item = network_add_node(n);
    const uint32_t comma = network_add_node(n), done = network_add_node(n);
    *after = network_add_node(n);
    network_add_symbols(n, begin, (uint8_t)open, (uint8_t)open, opened);
    network_add_call(n, opened, json_space(r), first);
    network_add_symbols(n, first, (uint8_t)close, (uint8_t)close, end);
    network_add_empty(n, first, item);
    network_add_call(n, *after, json_space(r), done);
    network_add_symbols(n, done, (uint8_t)close, (uint8_t)close, end);
    network_add_symbols(n, json_before_separator(r, *after), ',', ',', comma);
    network_add_call(n, comma, json_space(r), item);
    return item;
}

uint32_t json_array(json_rules *r) {
    uint32_t begin, end, after;
    if (r->array != NO_NODE) return r->array;
    begin_rule(r, &r->array, "an array", &begin, &end);
    const uint32_t item = add_list(r, begin, '[', ']', &after, end);
    network_add_call(r->n, item, json_any(r), after);
    return r->array;
}

uint32_t json_object(json_rules *r) {
    uint32_t begin, end, after;
    if (r->object != NO_NODE) return r->object;
    begin_rule(r, &r->object, "an object", &begin, &end);
    const uint32_t name = add_list(r, begin, '{', '}', &after, end), named = network_add_node(r->n);
    const uint32_t colon = network_add_node(r->n), value = network_add_node(r->n);
    network_add_call(r->n, name, json_string(r), named);
    network_add_symbols(r->n, json_before_separator(r, named), ':', ':', colon);
    network_add_call(r->n, colon, json_space(r), value);
    network_add_call(r->n, value, json_any(r), after);
    return r->object;
}

/* ------------------------------------------------------------------------------------------------------- texts */

static int by_bytes(const void *a, const void *b) {
    const cllm_string *one = a, *other = b;
    const size_t n = one->length < other->length ? one->length : other->length;
    const int order = n > 0 ? memcmp(one->data, other->data, n) : 0;
    return order != 0 ? order : one->length < other->length ? -1 : one->length > other->length;
}

/* The texts become a trie: each one branches off from the path of the one before. */
bool json_add_texts(network *n, cllm_string *texts, size_t count, characters_spelling spelling, uint32_t from,
                    uint32_t to) {
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) longest = texts[i].length > longest ? texts[i].length : longest;
    uint32_t *path = malloc((longest + 1) * sizeof *path); /* the node after each number of bytes */
    if (!path) return false;
    if (count > 0) qsort(texts, count, sizeof *texts, by_bytes);
    path[0] = from;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        if (i > 0)
            while (at < texts[i].length && at < texts[i - 1].length && texts[i].data[at] == texts[i - 1].data[at]) at++;
        if (i > 0 && at == texts[i].length && at == texts[i - 1].length) continue;
        while (at > 0 && at < texts[i].length && (texts[i].data[at] & 0xC0) == 0x80) at--; /* only between characters */
        for (size_t length; at < texts[i].length; at += length) {
            const uint32_t next = network_add_node(n);
            length = utf8_length(texts[i].data + at, texts[i].length - at);
            const uint32_t character = utf8_decode(texts[i].data + at, length);
            if (spelling == SPELLED_IN_JSON)
                characters_add_in_json(n, path[at], &(char_range){character, character}, 1, false, next);
            else
                network_add_text(n, path[at], texts[i].data + at, length, next);
            path[at + length] = next;
        }
        network_add_empty(n, path[texts[i].length], to);
    }
    free(path);
    return true;
}
