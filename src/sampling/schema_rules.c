/* Turns a shape into its part of the network, type by type. Before it: schema_shapes.c. After it: network.h. */
#include "sampling/grammar.h"
#include "sampling/numbers.h"
#include "sampling/schema.h"

#include "base/error.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool failed(schema_compiler *c, cllm_status status, const json_value *at, const cllm_error *why) {
    return status == CLLM_ERR_MEMORY ? schema_no_memory(c) : schema_fails(c, status, at, why->message);
}

/* A new node. */
static uint32_t node(schema_compiler *c) { return network_add_node(c->n); }

/* Add white space, or a symbol, after a node. Returns the node after it. */
static uint32_t after_space(schema_compiler *c, uint32_t from) {
    const uint32_t to = node(c);
    network_add_call(c->n, from, json_space(&c->rules), to);
    return to;
}

static uint32_t after_symbol(schema_compiler *c, uint32_t from, char symbol) {
    const uint32_t to = node(c);
    network_add_symbols(c->n, from, (uint8_t)symbol, (uint8_t)symbol, to);
    return to;
}

/* Add `:` or `,` after a node, with the white space around it. Returns the node after it. */
static uint32_t after_separator(schema_compiler *c, uint32_t from, char separator) {
    return after_space(c, after_symbol(c, json_before_separator(&c->rules, from), separator));
}

/* Add the ways from a node after a member of a collection: to `close`, if nothing more is needed; or by a comma to
 * `next`, if there may be more. The guards come before the white space, because it must not lead to a dead end. */
static void add_after_member(schema_compiler *c, uint32_t after, uint32_t close, uint32_t next) {
    const uint32_t complete = node(c), more = node(c);
    network_add_guard(c->n, after, EDGE_COMPLETE, complete);
    network_add_call(c->n, complete, json_space(&c->rules), close);
    network_add_guard(c->n, after, EDGE_MORE, more);
    network_add_empty(c->n, after_separator(c, more, ','), next);
}

static bool is_scalar_of(const json_value *v, json_kind kind, json_kind other) {
    return v->kind == kind || v->kind == other;
}

/* The shortest list of values that the shape has, or NULL. All its values are in this list. */
static const fact *values_of(const shape *s) {
    const fact *shortest = NULL;
    for (const fact *f = s->facts; f; f = f->next) {
        if (f->kind != FACT_VALUES || f->fails) continue;
        if (!shortest || f->is_single || (!shortest->is_single && f->value->count < shortest->value->count))
            shortest = f;
    }
    return shortest;
}

/* ------------------------------------------------------------------------------------------------------- languages */

const char_automaton *schema_pattern(schema_compiler *c, const json_value *at, cllm_string text, bool is_format) {
    memo_entry *m = schema_remember(c, is_format ? 'f' : 'p', text.data, text.length);
    cllm_error err;
    bool known;
    if (!m) return NULL;
    if (m->automaton) return m->automaton;
    const char *format = is_format ? format_pattern(text, &known) : NULL;
    network n = {.of_characters = true};
    char_automaton *made = arena_alloc(c->a, 1, sizeof *made);
    cllm_status status = made ? CLLM_OK : CLLM_ERR_MEMORY;
    if (status == CLLM_OK)
        status = regex_build(&n, format ? (cllm_string){format, strlen(format)} : text, !is_format, &err);
    if (status == CLLM_OK) status = network_finish(&n, &err);
    if (status == CLLM_OK) status = characters_from_network(&n, c->maker, made, &err);
    network_free(&n);
    if (status == CLLM_ERR_ARGUMENT)
        status = characters_from_words(NULL, 0, c->maker, made, &err); /* it matches no text */
    if (status == CLLM_OK)
        m->automaton = made;
    else
        failed(c, status, at, &err);
    return m->automaton;
}

static bool add_part(schema_compiler *c, language *l, const char_automaton *part, bool fails, const json_value *at) {
    if (l->n == CHARACTERS_MOST_PARTS) return schema_fails(c, CLLM_ERR_UNSUPPORTED, at, "too many conditions at once");
    l->parts[l->n] = *part;
    if (!fails) l->wanted |= 1u << l->n;
    l->n++;
    return true;
}

enum { MOST_LENGTH_STATES = 4000 }; /* of a product that limits the length; beyond that, characters are counted */

/* Find the language of a shape's strings, without its list of values. counts: the length may be counted while a string
 * is read. */
static bool string_language(schema_compiler *c, const shape *s, bool counts, language *l) {
    cllm_error err;
    char_automaton part;
    size_t n_words = 0;
    const json_value *at = c->at;
    uint32_t most = s->most_length;
    for (const fact *f = s->facts; f; f = f->next) {
        if (f->kind == FACT_VALUES && f->fails && f->value->kind == JSON_STRING) n_words++;
        if (f->kind != FACT_PATTERN && f->kind != FACT_FORMAT) continue;
        at = f->value;
        const char_automaton *pattern = schema_pattern(c, at, f->name, f->kind == FACT_FORMAT);
        if (!pattern || !add_part(c, l, pattern, f->fails, at)) return false;
        const bool is_hostname = schema_same_text(f->name, (cllm_string){"hostname", 8});
        if (f->kind == FACT_FORMAT && is_hostname && !f->fails && most > 253) most = 253; /* RFC 1035 */
    }
    if (n_words > 0) {
        cllm_string *words = arena_alloc(c->a, n_words, sizeof *words);
        if (!words) return schema_no_memory(c);
        n_words = 0;
        for (const fact *f = s->facts; f; f = f->next)
            if (f->kind == FACT_VALUES && f->fails && f->value->kind == JSON_STRING)
                words[n_words++] = f->value->string;
        const cllm_status status = characters_from_words(words, n_words, c->maker, &part, &err);
        if (status != CLLM_OK) return failed(c, status, at, &err);
        if (!add_part(c, l, &part, true, at)) return false;
    }
    if (l->n == 0 || (s->least_length == 0 && most == UINT32_MAX)) return true;
    uint64_t n_states = 1;
    for (uint32_t i = 0; i < l->n; i++) n_states += l->parts[i].n_states;
    if (counts && most > 0 && most != UINT32_MAX && n_states * most > MOST_LENGTH_STATES) {
        l->most = most;
        most = UINT32_MAX;
        if (s->least_length == 0) return true;
    }
    const cllm_status status = characters_from_length(s->least_length, most, c->maker, &part, &err);
    return status == CLLM_OK ? add_part(c, l, &part, false, at) : failed(c, status, at, &err);
}

static bool is_in_language(const language *l, cllm_string text) {
    for (uint32_t i = 0; i < l->n; i++)
        if ((characters_label(&l->parts[i], text) != 0) != (l->wanted >> i & 1)) return false;
    return true;
}

/* Add a rule that builds a collection, and its call between two nodes. begin, end: out, of the rule. NULL: no memory,
 * which is recorded. */
static collection *begin_collection(schema_compiler *c, uint32_t n_members, uint32_t from, uint32_t to, uint32_t *begin,
                                    uint32_t *end) {
    const uint32_t rule = network_add_rule(c->n, "a collection");
    collection *made = arena_alloc(c->a, 1, sizeof *made);
    uint32_t *required = arena_alloc(c->a, WORDS_OF(n_members) + 1, sizeof *required);
    if (!made || !required) {
        schema_no_memory(c);
        return NULL;
    }
    if (c->n->failed) { /* reported at the end */
        *made = (collection){.required = required};
        *begin = *end = 0;
        return made;
    }
    *made =
        (collection){.n_members = n_members, .most = UINT32_MAX, .required = required, .in_order = c->form.in_order};
    c->n->rules[rule].collected = made;
    *begin = c->n->rules[rule].begin;
    *end = c->n->rules[rule].end;
    network_add_collect(c->n, from, rule, to);
    return made;
}

/* Write an automaton whose characters are counted while they are read: they are the members of a collection. exits:
 * NO_NODE where a text may not end. */
static bool write_counted(schema_compiler *c, const language *l, const char_automaton *whole, uint32_t *exits,
                          characters_spelling spelling, uint32_t from, uint32_t to) {
    uint32_t begin, end;
    collection *made = begin_collection(c, 0, from, to, &begin, &end);
    if (!made) return false;
    made->most = l->most;
    made->in_order = false;
    for (uint32_t i = 0; i < whole->n_states; i++)
        if (exits[i] != NO_NODE) exits[i] = end;
    characters_write_counted(whole, exits, spelling, l->most, c->n, begin);
    return true;
}

static bool write_language(schema_compiler *c, const language *l, characters_spelling spelling, uint32_t from,
                           uint32_t to) {
    char_automaton whole;
    cllm_error err;
    const bool is_one = l->n == 1 && l->wanted == 1;
    const cllm_status status =
        is_one ? CLLM_OK : characters_product(l->parts, l->n, l->wanted == 0, c->maker, &whole, &err);
    if (status != CLLM_OK) return failed(c, status, c->at, &err);
    if (is_one) whole = l->parts[0];
    uint32_t *exits = malloc(whole.n_states * sizeof *exits);
    if (!exits) return schema_no_memory(c);
    for (uint32_t i = 0; i < whole.n_states; i++) exits[i] = whole.labels[i] == l->wanted ? to : NO_NODE;
    /* if there is no such text, nothing leads from `from` to `to` */
    bool done = true;
    if (l->most == 0)
        characters_write(&whole, exits, spelling, c->n, from);
    else
        done = write_counted(c, l, &whole, exits, spelling, from, to);
    free(exits);
    return done;
}

/* --------------------------------------------------------------------------------------------------------- strings */

static size_t count_characters(cllm_string s) {
    size_t n = 0;
    for (size_t i = 0; i < s.length; i++) n += ((uint8_t)s.data[i] & 0xC0) != 0x80;
    return n;
}

static uint32_t n_values(const fact *values) { return values->is_single ? 1 : values->value->count; }
static const json_value *value_at(const fact *values, uint32_t i) {
    return values->is_single ? values->value : &values->value->items[i];
}

static bool write_string(schema_compiler *c, const shape *s, uint32_t from, uint32_t to) {
    language l = {.n = 0};
    const fact *values = values_of(s);
    if (!string_language(c, s, !values, &l)) return false;
    if (!values && l.n == 0 && s->least_length == 0 && s->most_length == UINT32_MAX) {
        network_add_call(c->n, from, json_string(&c->rules), to);
        return true;
    }
    const uint32_t inside = after_symbol(c, from, '"'), end = node(c);
    network_add_symbols(c->n, end, '"', '"', to);
    if (values) {
        cllm_string *texts = malloc((n_values(values) + 1) * sizeof *texts);
        size_t n = 0;
        if (!texts) return schema_no_memory(c);
        for (uint32_t i = 0; i < n_values(values); i++) {
            const json_value *v = value_at(values, i);
            if (v->kind != JSON_STRING || !schema_lists(c, s, v, values) || !is_in_language(&l, v->string)) continue;
            const size_t length = count_characters(v->string);
            if (length >= s->least_length && length <= s->most_length) texts[n++] = v->string;
        }
        const bool done = json_add_texts(c->n, texts, n, SPELLED_IN_JSON, inside, end);
        free(texts);
        return done || schema_no_memory(c);
    }
    if (l.n > 0) return write_language(c, &l, SPELLED_IN_JSON, inside, end);
    network_add_repeat(c->n, inside, json_character(&c->rules), s->least_length, s->most_length, end);
    return true;
}

/* --------------------------------------------------------------------------------------------------------- numbers */

static bool add_tightest(schema_compiler *c, const shape *s, fact_kind kind, language *l) {
    const fact *tightest = NULL;
    decimal bound = {0};
    char_automaton part;
    cllm_error err;
    for (const fact *f = s->facts; f; f = f->next) {
        decimal d;
        if (f->kind != kind) continue;
        const cllm_status status = decimal_from_json(f->value, c->a, &d, &err);
        if (status != CLLM_OK) return failed(c, status, f->value, &err);
        const int order = tightest ? decimal_compare(&d, &bound) * (kind == FACT_LEAST ? 1 : -1) : 1;
        if (order < 0 || (order == 0 && !f->is_excluded)) continue;
        tightest = f;
        bound = d;
    }
    if (!tightest) return true;
    const cllm_status status = kind == FACT_LEAST ? numbers_from(&bound, tightest->is_excluded, c->maker, &part, &err)
                                                  : numbers_up_to(&bound, tightest->is_excluded, c->maker, &part, &err);
    return status == CLLM_OK ? add_part(c, l, &part, false, tightest->value) : failed(c, status, tightest->value, &err);
}

/* True if an integer is written without a point and without an exponent. Draft 4 demands it. So do closed forms,
 * because programs read 5.0 as a float. */
static bool wants_plain_integers(const schema_compiler *c) { return c->draft == DRAFT_4 || c->form.is_closed; }

static bool number_language(schema_compiler *c, const shape *s, language *l) {
    char_automaton part;
    cllm_error err;
    bool is_multiple = false, is_exact = false; /* is_exact: the digits matter, so exponents are not allowed */
    const bool is_integer = !(s->types & TYPE_FRACTION), is_fraction = !(s->types & TYPE_INTEGER);
    for (const fact *f = s->facts; f; f = f->next) {
        const bool is_excluded = f->kind == FACT_VALUES && f->fails && is_scalar_of(f->value, JSON_INTEGER, JSON_FLOAT);
        decimal d;
        if (f->kind != FACT_MULTIPLE && !is_excluded) continue;
        cllm_status status = decimal_from_json(f->value, c->a, &d, &err);
        if (status == CLLM_OK && !is_excluded && !f->fails && is_integer && decimal_divides_one(&d)) continue;
        if (status == CLLM_OK)
            status = is_excluded ? numbers_equal_to(&d, c->maker, &part, &err)
                                 : numbers_multiple_of(&d, c->maker, &part, &err);
        if (status != CLLM_OK) return failed(c, status, f->value, &err);
        if (!add_part(c, l, &part, f->fails, f->value)) return false;
        is_exact = true;
        is_multiple |= !is_excluded && !f->fails;
    }
    if (is_fraction && !values_of(s)) { /* exclude integers; write_number_list skips those of a list */
        const cllm_status status = numbers_of_form(WHOLE_VALUE, c->maker, &part, &err);
        if (status != CLLM_OK) return failed(c, status, c->at, &err);
        if (!add_part(c, l, &part, true, c->at)) return false;
        is_exact = true;
    }
    if (!add_tightest(c, s, FACT_LEAST, l) || !add_tightest(c, s, FACT_MOST, l)) return false;
    if (l->n == 0 && !values_of(s) && (!is_integer || !wants_plain_integers(c))) return true;
    is_exact |= values_of(s) != NULL;
    numbers_form form = is_multiple ? ANY_DIGITS : is_exact ? NO_EXPONENT : ANY_NUMBER;
    if (is_integer) form = wants_plain_integers(c) ? WHOLE_WITHOUT_POINT : is_exact ? WHOLE_NO_EXPONENT : WHOLE_NUMBER;
    memo_entry *m = schema_remember(c, 'n', (const char *)&form, sizeof form);
    if (!m) return false;
    if (!m->automaton) {
        char_automaton *made = arena_alloc(c->a, 1, sizeof *made);
        if (!made) return schema_no_memory(c);
        const cllm_status status = numbers_of_form(form, c->maker, made, &err);
        if (status != CLLM_OK) return failed(c, status, c->at, &err);
        m->automaton = made;
    }
    return add_part(c, l, m->automaton, false, c->at);
}

/* Write a list of numbers: each in the forms without an exponent that are equal to it. If Python would write it with an
 * exponent, that form is added, but only if there are no other conditions. */
static bool write_number_list(schema_compiler *c, const shape *s, const language *l, const fact *values, uint32_t from,
                              uint32_t to) {
    for (uint32_t i = 0; i < n_values(values); i++) {
        const json_value *v = value_at(values, i);
        char buffer[JSON_NUMBER_BYTES];
        language own = {.n = 0};
        char_automaton part;
        cllm_error err;
        decimal d;
        if (!is_scalar_of(v, JSON_INTEGER, JSON_FLOAT) || !schema_lists(c, s, v, values)) continue;
        cllm_status status = decimal_from_json(v, c->a, &d, &err);
        if (status == CLLM_OK) status = numbers_equal_to(&d, c->maker, &part, &err);
        if (status != CLLM_OK) return failed(c, status, v, &err);
        const cllm_string text = number_text(v, buffer);
        if (l->n == 1 && memchr(text.data, 'e', text.length)) network_add_text(c->n, from, text.data, text.length, to);
        own = *l;
        if (!add_part(c, &own, &part, false, v) || !write_language(c, &own, SPELLED_AS_UTF8, from, to)) return false;
    }
    return true;
}

/* Make a key for numbers that only have bounds, so that equal bounds share a rule. Returns its length; 0: there are
 * other facts, or the key is too long. */
static size_t bounds_key(const shape *s, uint32_t draft, char *key, size_t room) {
    size_t length = (size_t)snprintf(key, room, "%u %u", s->types & TYPE_NUMBER, draft);
    for (const fact *f = s->facts; f; f = f->next) {
        char buffer[JSON_NUMBER_BYTES];
        if (f->kind == FACT_MULTIPLE || f->kind == FACT_VALUES) return 0;
        if (f->kind != FACT_LEAST && f->kind != FACT_MOST) continue;
        const cllm_string text = number_text(f->value, buffer);
        if (text.length + 8 > room - length) return 0;
        length += (size_t)snprintf(key + length, room - length, " %d%d%.*s", f->kind == FACT_LEAST, f->is_excluded,
                                   (int)text.length, text.data);
    }
    return length;
}

static bool write_number(schema_compiler *c, const shape *s, uint32_t from, uint32_t to) {
    language l = {.n = 0};
    const fact *values = values_of(s);
    char key[200];
    const size_t length = bounds_key(s, c->draft, key, sizeof key);
    memo_entry *m = length > 0 ? schema_remember(c, 'b', key, length) : NULL;
    if (length > 0 && !m) return false;
    if (m && m->number != NO_NODE) {
        network_add_call(c->n, from, m->number, to);
        return true;
    }
    if (!number_language(c, s, &l)) return false;
    if (values) return write_number_list(c, s, &l, values, from, to);
    if (l.n == 0) {
        network_add_call(c->n, from, s->types & TYPE_FRACTION ? json_number(&c->rules) : json_integer(&c->rules), to);
        return true;
    }
    if (!m) return write_language(c, &l, SPELLED_AS_UTF8, from, to);
    const uint32_t rule = network_add_rule(c->n, "a number of the schema");
    if (c->n->failed) return true;
    m->number = rule;
    network_add_call(c->n, from, rule, to);
    return write_language(c, &l, SPELLED_AS_UTF8, c->n->rules[rule].begin, c->n->rules[rule].end);
}

/* ------------------------------------------------------------------------------------------------------ collections */

static void require(collection *made, uint32_t member) {
    ((uint32_t *)made->required)[member / 32] |= 1u << member % 32;
}

/* ----------------------------------------------------------------------------------------------------------- arrays */

/* Collect the demands on the item at index `at`. Returns false if no item may be there, or after an error, which is
 * recorded. */
static bool item_demands(schema_compiler *c, const shape *s, uint32_t at, demand *demands, uint32_t *n) {
    *n = 0;
    for (const fact *f = s->facts; f; f = f->next) {
        if (*n == SCHEMA_MOST_DEMANDS)
            return schema_fails(c, CLLM_ERR_UNSUPPORTED, f->value, "too many schemas at once");
        if (f->kind == FACT_ITEMS) {
            if (at >= f->value->count) return false;
            demands[(*n)++] = (demand){.kind = DEMAND_VALUE, .value = &f->value->items[at]};
        }
        if (f->kind != FACT_ARRAY) continue;
        const json_value *schema = f->value && at < f->value->count ? &f->value->items[at] : f->other;
        if (schema) demands[(*n)++] = (demand){.kind = DEMAND_SCHEMA, .value = schema, .fails = f->fails};
    }
    return true;
}

/* List the values that an item can have. Returns false if there are more than `room`, if some are not scalars, or after
 * an error, which is recorded. */
static bool list_items(schema_compiler *c, const demand *demands, uint32_t n, json_value *values, uint32_t room,
                       uint32_t *count) {
    shapes s;
    *count = 0;
    if (!schema_expand(c, demands, n, &s)) return false;
    for (uint32_t i = 0; i < s.n; i++) {
        const fact *list = values_of(&s.items[i]);
        const uint32_t types = s.items[i].types;
        if (!list && types & ~(uint32_t)(TYPE_NULL | TYPE_BOOLEAN)) return false;
        json_value plain[] = {
            {.kind = JSON_NULL}, {.kind = JSON_BOOL, .boolean = false}, {.kind = JSON_BOOL, .boolean = true}};
        const uint32_t n_listed = list ? n_values(list) : 3;
        for (uint32_t k = 0; k < n_listed; k++) {
            const json_value *v = list ? value_at(list, k) : &plain[k];
            if (v->kind == JSON_ARRAY || v->kind == JSON_OBJECT || !schema_lists(c, &s.items[i], v, list)) continue;
            if (v->kind == JSON_NULL ? !(types & TYPE_NULL) : v->kind == JSON_BOOL && !(types & TYPE_BOOLEAN)) continue;
            bool known = false;
            for (uint32_t j = 0; j < *count; j++) known |= schema_equal(c, &values[j], v);
            if (known) continue;
            if (*count == room) return false;
            values[(*count)++] = *v;
        }
    }
    return true;
}

enum { MOST_UNIQUE = 1000 };

/* Write an array with unique items, whose possible values are listed: each may come once. */
static bool write_unique(schema_compiler *c, const shape *s, const fact *unique, uint32_t from, uint32_t to) {
    demand demands[SCHEMA_MOST_DEMANDS];
    uint32_t n, count = 0, begin, end;
    json_value *values = arena_alloc(c->a, MOST_UNIQUE, sizeof *values);
    if (!values) return schema_no_memory(c);
    if (item_demands(c, s, 0, demands, &n)) {
        const bool is_list = list_items(c, demands, n, values, MOST_UNIQUE, &count);
        if (!is_list)
            return schema_fails(c, CLLM_ERR_UNSUPPORTED, unique->value,
                                "unique items can only be enforced for a list of values");
    }
    if (c->status != CLLM_OK) return false;
    collection *made = begin_collection(c, count, from, to, &begin, &end);
    if (!made) return false;
    made->least = s->least_items;
    made->most = s->most_items;
    made->in_order = false;
    const uint32_t first = after_space(c, after_symbol(c, begin, '[')), item = node(c), after = node(c),
                   close = node(c);
    made->choices = item;
    network_add_guard(c->n, first, EDGE_COMPLETE, close);
    network_add_guard(c->n, first, EDGE_MORE, item);
    add_after_member(c, after, close, item);
    network_add_symbols(c->n, close, ']', ']', end);
    for (uint32_t i = count; i-- > 0;) {
        const uint32_t chosen = node(c), taken = node(c);
        const demand own = {.kind = DEMAND_VALUE, .value = &values[i]};
        demand all[SCHEMA_MOST_DEMANDS + 1];
        memcpy(all, demands, n * sizeof *all); /* the demands may also limit how a number is written */
        all[n] = own;
        network_add_member(c->n, item, EDGE_MAY_ADD, i, chosen);
        network_add_call(c->n, chosen, schema_rule_for(c, all, n + 1), taken);
        network_add_member(c->n, taken, EDGE_ADD, i, after);
    }
    return true;
}

/* Write an array of which at least one item fulfils another schema (contains). */
static bool write_containing(schema_compiler *c, const shape *s, const fact *contains, uint32_t from, uint32_t to) {
    demand demands[SCHEMA_MOST_DEMANDS + 1];
    uint32_t n, begin, end;
    const bool has_items = item_demands(c, s, 0, demands, &n);
    if (!has_items) return c->status == CLLM_OK;
    collection *made = begin_collection(c, 1, from, to, &begin, &end);
    if (!made) return false;
    made->least = s->least_items;
    made->most = s->most_items;
    made->in_order = false;
    require(made, 0);
    const uint32_t first = after_space(c, after_symbol(c, begin, '[')), item = node(c), after = node(c),
                   close = node(c);
    const uint32_t any = node(c), any_taken = node(c), own = node(c), own_taken = node(c);
    const uint32_t any_rule = schema_rule_for(c, demands, n);
    demands[n] = (demand){.kind = DEMAND_SCHEMA, .value = contains->value, .fails = contains->fails};
    const uint32_t own_rule = schema_rule_for(c, demands, n + 1);
    const uint32_t closed = node(c);
    made->choices = item;
    network_add_guard(c->n, first, EDGE_MORE, item);
    add_after_member(c, after, close, item);
    network_add_symbols(c->n, close, ']', ']', closed);
    network_add_needs(c->n, closed, own_rule, end);
    network_add_member(c->n, item, EDGE_MAY_ADD, OTHER_MEMBER, any);
    network_add_call(c->n, any, any_rule, any_taken);
    network_add_member(c->n, any_taken, EDGE_ADD, OTHER_MEMBER, after);
    network_add_member(c->n, item, EDGE_MAY_ADD, REPEATABLE, own);
    network_add_call(c->n, own, own_rule, own_taken);
    network_add_member(c->n, own_taken, EDGE_ADD, 0, after);
    return true;
}

static bool write_array(schema_compiler *c, const shape *s, uint32_t from, uint32_t to) {
    demand demands[SCHEMA_MOST_DEMANDS];
    uint32_t n, n_prefix = 0, most = s->most_items;
    const fact *unique = NULL, *contains = NULL;
    bool is_plain = s->least_items == 0 && most == UINT32_MAX;
    for (const fact *f = s->facts; f; f = f->next) {
        const json_value *prefix = f->kind == FACT_ARRAY || f->kind == FACT_ITEMS ? f->value : NULL;
        if (prefix && prefix->count > n_prefix) n_prefix = prefix->count;
        if (f->kind == FACT_CONTAINS && contains)
            return schema_fails(c, CLLM_ERR_UNSUPPORTED, f->value,
                                "two conditions that some item must meet (contains, or the opposite of items) cannot "
                                "be enforced together");
        if (f->kind == FACT_CONTAINS) contains = f;
        if (f->kind == FACT_UNIQUE) unique = f;
        is_plain &=
            f->kind != FACT_ARRAY && f->kind != FACT_ITEMS && f->kind != FACT_CONTAINS && f->kind != FACT_UNIQUE;
    }
    if (is_plain) {
        network_add_call(c->n, from, json_array(&c->rules), to);
        return true;
    }
    bool is_exact = false;
    for (const fact *f = s->facts; f; f = f->next) is_exact |= f->kind == FACT_ITEMS;
    if (unique && is_exact) { /* all items are given: they are unique, or there is no such array */
        for (const fact *f = s->facts; f; f = f->next)
            for (uint32_t i = 0; f->kind == FACT_ITEMS && i < f->value->count; i++)
                for (uint32_t k = 0; k < i; k++)
                    if (schema_equal(c, &f->value->items[i], &f->value->items[k])) return true;
        unique = NULL;
    }
    if (most <= 1) unique = NULL;
    if ((unique && (contains || n_prefix > 0)) || (contains && n_prefix > 0))
        return schema_fails(c, CLLM_ERR_UNSUPPORTED, (unique ? unique : contains)->value,
                            "this cannot be enforced together with other keywords for items");
    if (unique) return write_unique(c, s, unique, from, to);
    if (contains) return write_containing(c, s, contains, from, to);
    /* the first items, each with its own schema */
    uint32_t at = after_space(c, after_symbol(c, from, '['));
    const uint32_t close = node(c), done = node(c);
    network_add_symbols(c->n, close, ']', ']', to);
    network_add_call(c->n, done, json_space(&c->rules), close);
    if (s->least_items == 0) network_add_empty(c->n, at, close);
    uint32_t i = 0;
    for (; i < n_prefix && i < most; i++) {
        const uint32_t after = node(c);
        if (!item_demands(c, s, i, demands, &n)) return c->status == CLLM_OK;
        network_add_call(c->n, at, schema_rule_for(c, demands, n), after);
        at = after;
        if (i + 1 >= s->least_items) network_add_empty(c->n, at, done);
        if (i + 1 < n_prefix && i + 1 < most) at = after_separator(c, at, ',');
    }
    if (i == most || !item_demands(c, s, n_prefix, demands, &n)) return c->status == CLLM_OK;
    /* the items after them */
    const uint32_t rule = schema_rule_for(c, demands, n), more = network_add_rule(c->n, "more items");
    if (c->n->failed) return true;
    if (i == 0) {
        const uint32_t after = node(c);
        network_add_call(c->n, at, rule, after);
        at = after;
        i = 1;
    }
    network_add_call(c->n, after_separator(c, c->n->rules[more].begin, ','), rule, c->n->rules[more].end);
    network_add_repeat(c->n, at, more, s->least_items > i ? s->least_items - i : 0,
                       most == UINT32_MAX ? most : most - i, done);
    return true;
}

/* ---------------------------------------------------------------------------------------------------------- objects */

/* The names of properties that the facts of an object mention, in order. */
typedef struct names {
    cllm_string *items; /* [n]; owned, and so is the table */
    uint32_t n, capacity;
    uint32_t *table;
} names;

static uint32_t name_index(const names *all, cllm_string name) {
    if (all->capacity == 0) return NO_NODE;
    uint32_t at = (uint32_t)(hash_bytes(6, name.data, name.length) % (2 * all->capacity));
    for (; all->table[at] != NO_NODE; at = (at + 1) % (2 * all->capacity))
        if (schema_same_text(all->items[all->table[at]], name)) return all->table[at];
    return NO_NODE;
}

static bool add_name(schema_compiler *c, names *all, cllm_string name) {
    if (name_index(all, name) != NO_NODE) return true;
    if (all->n == SCHEMA_MOST_NAMES)
        return schema_fails(c, CLLM_ERR_UNSUPPORTED, c->at, "an object of more than 10,000 properties");
    if (all->n == all->capacity) {
        const uint32_t larger = all->capacity > 0 ? 2 * all->capacity : 16;
        cllm_string *items = realloc(all->items, larger * sizeof *items);
        if (items) all->items = items;
        uint32_t *table = items ? realloc(all->table, 2 * (size_t)larger * sizeof *table) : NULL;
        if (!table) return schema_no_memory(c);
        all->table = table;
        all->capacity = larger;
        for (uint32_t i = 0; i < 2 * larger; i++) table[i] = NO_NODE;
        for (uint32_t i = 0; i < all->n; i++) {
            uint32_t at = (uint32_t)(hash_bytes(6, items[i].data, items[i].length) % (2 * larger));
            while (table[at] != NO_NODE) at = (at + 1) % (2 * larger);
            table[at] = i;
        }
    }
    uint32_t at = (uint32_t)(hash_bytes(6, name.data, name.length) % (2 * all->capacity));
    while (all->table[at] != NO_NODE) at = (at + 1) % (2 * all->capacity);
    all->table[at] = all->n;
    all->items[all->n++] = name;
    return true;
}

/* Collect the mentioned names: first those of `properties` and of FACT_MEMBERS, in the order of the document, then the
 * others. Facts are linked from the last to the first. */
static bool collect_names(schema_compiler *c, const shape *s, names *all) {
    uint32_t n_facts = 0;
    for (const fact *f = s->facts; f; f = f->next) n_facts++;
    const fact **facts = malloc((n_facts + 1) * sizeof *facts);
    bool done = facts || schema_no_memory(c);
    uint32_t at = n_facts;
    for (const fact *f = s->facts; done && f; f = f->next) facts[--at] = f;
    for (uint32_t i = 0; done && i < n_facts; i++) {
        const json_value *of = facts[i]->kind == FACT_MEMBERS  ? facts[i]->value
                               : facts[i]->kind == FACT_OBJECT ? json_find(facts[i]->value, "properties")
                                                               : NULL;
        for (uint32_t k = 0; done && of && k < of->count; k++) done = add_name(c, all, of->members[k].name);
    }
    for (uint32_t i = 0; done && i < n_facts; i++) {
        const fact_kind kind = facts[i]->kind;
        if (kind == FACT_MEMBER || kind == FACT_PROPERTY || kind == FACT_IMPLIES)
            done = add_name(c, all, facts[i]->name);
        if (done && kind == FACT_IMPLIES) done = add_name(c, all, facts[i]->second);
    }
    free(facts);
    return done;
}

/* Find the language of an object's names (propertyNames). Each such schema must have a single shape. */
static bool names_language(schema_compiler *c, const shape *s, language *l) {
    for (const fact *f = s->facts; f; f = f->next) {
        const demand demands[] = {{.kind = DEMAND_SCHEMA, .value = f->value},
                                  {.kind = DEMAND_TYPES, .types = TYPE_STRING}};
        shapes found;
        cllm_error err;
        if (f->kind != FACT_NAMES) continue;
        if (!schema_expand(c, demands, 2, &found)) return false;
        if (found.n > 1)
            return schema_fails(c, CLLM_ERR_UNSUPPORTED, f->value,
                                "alternatives for names (such as anyOf) cannot be enforced");
        const shape *name_shape = found.n > 0 ? &found.items[0] : NULL;
        const fact *values = name_shape ? values_of(name_shape) : NULL;
        if (name_shape && !string_language(c, name_shape, false, l)) return false;
        if (name_shape && l->n == 0 && (name_shape->least_length > 0 || name_shape->most_length < UINT32_MAX)) {
            char_automaton part;
            const cllm_status status =
                characters_from_length(name_shape->least_length, name_shape->most_length, c->maker, &part, &err);
            if (status != CLLM_OK) return failed(c, status, f->value, &err);
            if (!add_part(c, l, &part, false, f->value)) return false;
        }
        if (name_shape && !values) continue;
        cllm_string *words = arena_alloc(c->a, values ? n_values(values) + 1 : 1, sizeof *words);
        char_automaton part;
        size_t n = 0;
        if (!words) return schema_no_memory(c);
        for (uint32_t i = 0; values && i < n_values(values); i++)
            if (value_at(values, i)->kind == JSON_STRING && schema_lists(c, name_shape, value_at(values, i), values))
                words[n++] = value_at(values, i)->string;
        const cllm_status status = characters_from_words(words, n, c->maker, &part, &err);
        if (status != CLLM_OK) return failed(c, status, f->value, &err);
        if (!add_part(c, l, &part, false, f->value)) return false;
    }
    return true;
}

/* Write what follows a name and its quote: a colon, and a value by this rule. */
static void write_member_value(schema_compiler *c, uint32_t from, uint32_t rule, uint32_t to) {
    network_add_call(c->n, after_separator(c, from, ':'), rule, to);
}

/* True if an object may have only the properties that facts mention: the form is closed, the schema lists properties,
 * no keyword is about other properties, and no schemas are combined. */
static bool is_closed(const schema_compiler *c, const shape *s) {
    static const char *const others[] = {"patternProperties", "propertyNames", "anyOf"};
    bool listed = false, open = !c->form.is_closed || s->is_combined;
    for (const fact *f = s->facts; f; f = f->next) {
        if (f->kind != FACT_OBJECT) continue;
        listed = listed || json_find(f->value, "properties");
        open = open || schema_additional(c, f->value);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) open = open || json_find(f->value, others[i]);
    }
    return listed && !open;
}

/* Collect the demands on the value of a name that no fact mentions, and which matches the patterns with a bit in
 * `label`. Returns false if there may be no such name, or after an error, which is recorded. */
static bool other_demands(schema_compiler *c, const shape *s, cllm_string const *patterns, uint32_t n_patterns,
                          uint32_t label, demand *demands, uint32_t *n) {
    *n = 0;
    if (is_closed(c, s)) return false;
    for (const fact *f = s->facts; f; f = f->next) {
        if (f->kind == FACT_MEMBERS) return false;
        if (f->kind != FACT_OBJECT) continue;
        const json_value *of = json_find(f->value, "patternProperties"), *additional = schema_additional(c, f->value);
        bool is_matched = false;
        for (uint32_t i = 0; of && i < of->count; i++)
            for (uint32_t k = 0; k < n_patterns; k++) {
                if (!(label >> k & 1) || !schema_same_text(patterns[k], of->members[i].name)) continue;
                if (*n + 2 > SCHEMA_MOST_DEMANDS)
                    return schema_fails(c, CLLM_ERR_UNSUPPORTED, of, "too many schemas at once");
                demands[(*n)++] = (demand){.kind = DEMAND_SCHEMA, .value = &of->members[i].value};
                is_matched = true;
            }
        if (is_matched || !additional) continue;
        if (*n + 2 > SCHEMA_MOST_DEMANDS)
            return schema_fails(c, CLLM_ERR_UNSUPPORTED, f->value, "too many schemas at once");
        demands[(*n)++] = (demand){.kind = DEMAND_SCHEMA, .value = additional};
    }
    for (uint32_t i = 0; i < *n; i++)
        if (schema_is_false(demands[i].value)) return false;
    return true;
}

/* Write the names that no fact mentions, after their opening quote, and their values. */
static bool write_others(schema_compiler *c, const shape *s, const names *all, const language *allowed, uint32_t from,
                         uint32_t to) {
    cllm_string patterns[CHARACTERS_MOST_PARTS];
    language l = {.n = 0};
    uint32_t n_patterns = 0, most_exits = 0;
    demand demands[SCHEMA_MOST_DEMANDS];
    uint32_t n;
    cllm_error err;
    for (const fact *f = s->facts; f; f = f->next) {
        const json_value *of = f->kind == FACT_OBJECT ? json_find(f->value, "patternProperties") : NULL;
        for (uint32_t i = 0; of && i < of->count; i++) {
            bool is_known = false;
            for (uint32_t k = 0; k < n_patterns; k++) is_known |= schema_same_text(patterns[k], of->members[i].name);
            if (is_known) continue;
            const char_automaton *pattern = schema_pattern(c, &of->members[i].value, of->members[i].name, false);
            if (!pattern || !add_part(c, &l, pattern, false, of)) return false;
            patterns[n_patterns++] = of->members[i].name;
        }
    }
    const bool plain =
        other_demands(c, s, patterns, n_patterns, 0, demands, &n); /* names that match nothing are allowed */
    if (c->status != CLLM_OK) return false;
    if (n_patterns == 0 && !plain) return true;
    for (uint32_t i = 0; i < allowed->n; i++)
        if (!add_part(c, &l, &allowed->parts[i], false, c->at)) return false;
    if (all->n > 0) {
        char_automaton mentioned;
        const cllm_status status = characters_from_words(all->items, all->n, c->maker, &mentioned, &err);
        if (status != CLLM_OK) return failed(c, status, c->at, &err);
        if (!add_part(c, &l, &mentioned, false, c->at)) return false;
    }
    if (l.n == 0) { /* any name is allowed */
        static const char_range any = {0, LAST_CHARACTER};
        const uint32_t inside = node(c), named = node(c);
        network_add_empty(c->n, from, inside);
        characters_add_in_json(c->n, inside, &any, 1, false, inside);
        network_add_symbols(c->n, inside, '"', '"', named);
        write_member_value(c, named, schema_rule_for(c, demands, n), to);
        return c->status == CLLM_OK;
    }
    char_automaton whole;
    const cllm_status status = characters_product(l.parts, l.n, plain, c->maker, &whole, &err);
    if (status != CLLM_OK) return failed(c, status, c->at, &err);
    uint32_t *exits = malloc(whole.n_states * sizeof *exits), *labels = malloc(whole.n_states * sizeof *labels);
    uint32_t *nodes = malloc(whole.n_states * sizeof *nodes); /* for each label */
    bool done = (exits && labels && nodes) || schema_no_memory(c);
    const uint32_t mentioned_bit = all->n > 0 ? 1u << (l.n - 1) : 0;
    for (uint32_t i = 0; done && i < whole.n_states; i++) {
        const uint32_t label = whole.labels[i] & ((1u << n_patterns) - 1), names_label = whole.labels[i] >> n_patterns;
        const uint32_t allowed_mask = (allowed->n > 0 ? (1u << allowed->n) - 1 : 0);
        uint32_t k = 0;
        exits[i] = NO_NODE;
        if (whole.labels[i] & mentioned_bit || (names_label & allowed_mask) != allowed->wanted) continue;
        while (k < most_exits && labels[k] != label) k++;
        if (k == most_exits) {
            labels[most_exits] = label;
            nodes[most_exits++] = NO_NODE;
            if (other_demands(c, s, patterns, n_patterns, label, demands, &n)) {
                const uint32_t close = node(c), named = node(c);
                nodes[k] = close;
                network_add_symbols(c->n, close, '"', '"', named);
                write_member_value(c, named, schema_rule_for(c, demands, n), to);
            }
            done = c->status == CLLM_OK;
        }
        exits[i] = nodes[k];
    }
    if (done) characters_write(&whole, exits, SPELLED_IN_JSON, c->n, from);
    free(exits);
    free(labels);
    free(nodes);
    return done;
}

/* Add the implications between names to a collection. */
static bool add_implications(schema_compiler *c, const shape *s, const names *all, collection *made) {
    uint32_t n = 0;
    for (const fact *f = s->facts; f; f = f->next) n += f->kind == FACT_IMPLIES;
    implication *list = arena_alloc(c->a, n, sizeof *list);
    if (!list) return schema_no_memory(c);
    for (const fact *f = s->facts; f; f = f->next)
        if (f->kind == FACT_IMPLIES)
            list[made->n_implications++] = (implication){name_index(all, f->name), name_index(all, f->second)};
    made->implications = list;
    return true;
}

static bool is_required(const collection *made, uint32_t member) {
    return made->required[member / 32] >> member % 32 & 1;
}

/* If a required name implies another one, that one is required too. */
static void require_implied(collection *made) {
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < made->n_implications; i++) {
            const implication m = made->implications[i];
            if (!is_required(made, m.member) || is_required(made, m.needed)) continue;
            require(made, m.needed);
            changed = true;
        }
    }
}

/* Find the rules for the values of the mentioned names. values: out, [all->n]; NO_NODE: the name is not allowed. */
static bool find_values(schema_compiler *c, const shape *s, const names *all, const language *allowed,
                        const collection *made, uint32_t *values) {
    demand demands[SCHEMA_MOST_DEMANDS];
    uint32_t n;
    for (uint32_t i = 0; i < all->n; i++) {
        const bool may_be =
            is_in_language(allowed, all->items[i]) && schema_member_demands(c, s, all->items[i], demands, &n);
        values[i] = may_be ? schema_rule_for(c, demands, n) : NO_NODE;
        if (c->status != CLLM_OK) return false;
    }
    for (bool changed = true; changed;) { /* a name is not allowed if it needs another one that is not allowed */
        changed = false;
        for (uint32_t i = 0; i < made->n_implications; i++) {
            const implication m = made->implications[i];
            if (values[m.member] == NO_NODE || values[m.needed] != NO_NODE) continue;
            values[m.member] = NO_NODE;
            changed = true;
        }
    }
    return true;
}

/* Write a mentioned member, after the quote before its name. */
static bool write_mentioned(schema_compiler *c, const names *all, const collection *made, const uint32_t *values,
                            uint32_t i, uint32_t from, uint32_t to) {
    const uint32_t chosen = node(c), quote = node(c), named = node(c);
    uint32_t taken = node(c);
    network_add_member(c->n, from, EDGE_MAY_ADD, i, chosen);
    if (!json_add_texts(c->n, &all->items[i], 1, SPELLED_IN_JSON, chosen, quote)) return schema_no_memory(c);
    network_add_symbols(c->n, quote, '"', '"', named);
    network_add_member(c->n, named, EDGE_ADD, i, taken);
    for (uint32_t k = 0; k < made->n_implications; k++) {
        if (made->implications[k].member != i) continue;
        const uint32_t next = node(c);
        network_add_needs(c->n, taken, values[made->implications[k].needed], next);
        taken = next;
    }
    write_member_value(c, taken, values[i], to);
    return true;
}

/* Write the braces and the commas between members. inside: out, the node after the quote before a name. after: out, the
 * node after a value. Returns the node after the closing brace. */
static uint32_t write_braces(schema_compiler *c, uint32_t begin, uint32_t *inside, uint32_t *after) {
    const uint32_t first = after_space(c, after_symbol(c, begin, '{')), name = node(c), close = node(c);
    *inside = after_symbol(c, name, '"');
    *after = node(c);
    network_add_guard(c->n, first, EDGE_COMPLETE, close);
    network_add_guard(c->n, first, EDGE_MORE, name);
    add_after_member(c, *after, close, name);
    return after_symbol(c, close, '}');
}

static bool write_collected(schema_compiler *c, const shape *s, const names *all, uint32_t from, uint32_t to) {
    language allowed = {.n = 0};
    uint32_t begin, end, inside, after, n_required = 0;
    uint32_t *values = arena_alloc(c->a, all->n, sizeof *values);
    if (!values) return schema_no_memory(c);
    if (!names_language(c, s, &allowed)) return false;
    collection *made = begin_collection(c, all->n, from, to, &begin, &end);
    if (!made || !add_implications(c, s, all, made) || !find_values(c, s, all, &allowed, made, values)) return false;
    made->least = s->least_members;
    made->most = s->most_members;
    uint32_t closed = write_braces(c, begin, &inside, &after);
    made->choices = inside;
    for (const fact *f = s->facts; f; f = f->next)
        if (f->kind == FACT_MEMBER && !f->fails) require(made, name_index(all, f->name));
    require_implied(made);
    /* mentioned names: the last one first, because the edges of a node are followed from the last to the first */
    for (uint32_t i = all->n; i-- > 0;) {
        n_required += is_required(made, i);
        if (values[i] == NO_NODE && is_required(made, i))
            return true; /* no such object exists: nothing leads to `end` */
        if (values[i] == NO_NODE) continue;
        if (!write_mentioned(c, all, made, values, i, inside, after)) return false;
        if (!is_required(made, i)) continue;
        const uint32_t next = node(c);
        network_add_needs(c->n, closed, values[i], next);
        closed = next;
    }
    /* other names */
    const uint32_t other = node(c), other_taken = node(c);
    network_add_member(c->n, inside, EDGE_MAY_ADD, OTHER_MEMBER, other);
    if (!write_others(c, s, all, &allowed, other, other_taken)) return false;
    network_add_member(c->n, other_taken, EDGE_ADD, OTHER_MEMBER, after);
    if (c->n->nodes[other] != NO_NODE && s->least_members > n_required + 1) {
        /* a name that is not mentioned could come twice, which would wrongly count as two */
        return schema_fails(c, CLLM_ERR_UNSUPPORTED, c->at, "minProperties cannot be enforced where names are free");
    }
    network_add_empty(c->n, closed, end);
    return true;
}

static bool write_object(schema_compiler *c, const shape *s, uint32_t from, uint32_t to) {
    names all = {0};
    bool is_plain = s->least_members == 0 && s->most_members == UINT32_MAX;
    for (const fact *f = s->facts; f; f = f->next) is_plain &= f->kind < FACT_OBJECT;
    if (is_plain) {
        network_add_call(c->n, from, json_object(&c->rules), to);
        return true;
    }
    const bool done = collect_names(c, s, &all) && write_collected(c, s, &all, from, to);
    free(all.items);
    free(all.table);
    return done;
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

static bool write_boolean(schema_compiler *c, const shape *s, uint32_t from, uint32_t to) {
    for (int i = 0; i < 2; i++)
        if (schema_lists(c, s, &(json_value){.kind = JSON_BOOL, .boolean = i == 1}, NULL))
            network_add_text(c->n, from, i == 1 ? "true" : "false", i == 1 ? 4 : 5, to);
    return true;
}

bool schema_write(schema_compiler *c, const shape *s, uint32_t from, uint32_t to) {
    const bool is_free = !s->facts && s->types == ALL_TYPES && s->least_length == 0 && s->least_items == 0 &&
                         s->least_members == 0 && s->most_length == UINT32_MAX && s->most_items == UINT32_MAX &&
                         s->most_members == UINT32_MAX;
    if (is_free) {
        network_add_call(c->n, from, json_any(&c->rules), to);
        return true;
    }
    if (s->types & TYPE_NULL && schema_lists(c, s, &(json_value){.kind = JSON_NULL}, NULL))
        network_add_text(c->n, from, "null", 4, to);
    return (!(s->types & TYPE_BOOLEAN) || write_boolean(c, s, from, to)) &&
           (!(s->types & TYPE_NUMBER) || write_number(c, s, from, to)) &&
           (!(s->types & TYPE_STRING) || write_string(c, s, from, to)) &&
           (!(s->types & TYPE_ARRAY) || write_array(c, s, from, to)) &&
           (!(s->types & TYPE_OBJECT) || write_object(c, s, from, to));
}
