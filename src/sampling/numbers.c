/* Implements numbers.h: builds a network for the numbers, and makes an automaton of it; the automaton for multiples is
 * made without a network. A number is compared with a bound digit by digit. The one with more digits before the point
 * is larger; if they have equally many, the first different digit decides. */
#include "sampling/numbers.h"
#include "sampling/grammar.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------------------- decimals */

cllm_string number_text(const json_value *number, char text[JSON_NUMBER_BYTES]) {
    if (number->kind == JSON_INTEGER) return number->string;
    return (cllm_string){text, json_format_float(number->number, text)};
}

cllm_status decimal_from_json(const json_value *number, arena *a, decimal *out, cllm_error *err) {
    char buffer[JSON_NUMBER_BYTES];
    const cllm_string text = number_text(number, buffer);
    size_t n_digits = 0, point = 0, at = 0;
    long exponent = 0;
    *out = (decimal){.negative = text.data[0] == '-'};
    if (text.data[text.length - 1] == 'y' || text.data[text.length - 1] == 'N') /* Infinity */
        return error_set(err, CLLM_ERR_UNSUPPORTED, "this number is too large");
    char *digits = arena_alloc(a, text.length + 340, 1);
    if (!digits) return error_set(err, CLLM_ERR_MEMORY, "no memory for a number");
    bool has_point = false;
    for (at = out->negative; at < text.length && text.data[at] != 'e'; at++) {
        if (text.data[at] == '.')
            has_point = true;
        else
            digits[n_digits++] = text.data[at];
        if (!has_point) point = n_digits;
    }
    if (at < text.length)
        exponent = strtol(text.data + at + 1, NULL, 10); /* -324 to 308, because only floats have one */
    long where = (long)point + exponent;                 /* digits before the point */
    if (where < 0) {                                     /* zeros after the point */
        memmove(digits - where, digits, n_digits);
        memset(digits, '0', (size_t)-where);
        n_digits += (size_t)-where;
        where = 0;
    }
    while ((long)n_digits < where) digits[n_digits++] = '0';
    out->whole = digits;
    out->n_whole = (uint32_t)where;
    out->fraction = digits + where;
    out->n_fraction = (uint32_t)(n_digits - (size_t)where);
    while (out->n_whole > 0 && out->whole[0] == '0') {
        out->whole++;
        out->n_whole--;
    }
    while (out->n_fraction > 0 && out->fraction[out->n_fraction - 1] == '0') out->n_fraction--;
    if (decimal_is_zero(out)) out->negative = false;
    return CLLM_OK;
}

bool decimal_is_zero(const decimal *d) { return d->n_whole == 0 && d->n_fraction == 0; }

static int compare_sizes(const decimal *a, const decimal *b) {
    if (a->n_whole != b->n_whole) return a->n_whole < b->n_whole ? -1 : 1;
    const int whole = a->n_whole > 0 ? memcmp(a->whole, b->whole, a->n_whole) : 0;
    if (whole != 0) return whole < 0 ? -1 : 1;
    const uint32_t n = a->n_fraction < b->n_fraction ? a->n_fraction : b->n_fraction;
    const int fraction = n > 0 ? memcmp(a->fraction, b->fraction, n) : 0;
    if (fraction != 0) return fraction < 0 ? -1 : 1;
    return a->n_fraction < b->n_fraction ? -1 : a->n_fraction > b->n_fraction;
}

int decimal_compare(const decimal *a, const decimal *b) {
    if (a->negative != b->negative) return a->negative ? -1 : 1;
    return a->negative ? compare_sizes(b, a) : compare_sizes(a, b);
}

/* All digits as one number, without the point; 1,000,000,000 or more if there are too many digits. */
static uint64_t size_of(const decimal *d) {
    uint64_t size = 0;
    for (uint32_t i = 0; i < d->n_whole + d->n_fraction && size < 1000000000; i++)
        size = size * 10 + (uint64_t)((i < d->n_whole ? d->whole[i] : d->fraction[i - d->n_whole]) - '0');
    return size;
}

bool decimal_divides_one(const decimal *d) {
    uint64_t one = 1;
    for (uint32_t i = 0; i < d->n_fraction && i < 9; i++) one *= 10;
    return d->n_fraction <= 9 && size_of(d) > 0 && one % size_of(d) == 0;
}

/* --------------------------------------------------------------------------------------------------- the pieces */

/* A network for numbers while it is built. */
typedef struct piece {
    network n;
    uint32_t begin, end;
    uint32_t any_fraction; /* a node: from here to the end by nothing, or by a point and any digits */
} piece;

static void begin_piece(piece *p) {
    *p = (piece){.n = {.of_characters = true}};
    const uint32_t root = network_add_rule(&p->n, "a number");
    if (p->n.failed) return;
    p->begin = p->n.rules[root].begin;
    p->end = p->n.rules[root].end;
    p->any_fraction = network_add_node(&p->n);
    const uint32_t point = network_add_node(&p->n), digits = network_add_node(&p->n);
    network_add_empty(&p->n, p->any_fraction, p->end);
    network_add_symbols(&p->n, p->any_fraction, '.', '.', point);
    network_add_symbols(&p->n, point, '0', '9', digits);
    network_add_symbols(&p->n, digits, '0', '9', digits);
    network_add_empty(&p->n, digits, p->end);
}

static cllm_status end_piece(piece *p, char_maker *m, char_automaton *out, cllm_error *err) {
    cllm_status status = network_error(&p->n, err);
    if (status == CLLM_OK) status = characters_from_network(&p->n, m, out, err);
    network_free(&p->n);
    return status;
}

/* An optional exponent, from `from` to the end. */
static void add_exponent(piece *p, uint32_t from) {
    const uint32_t e = network_add_node(&p->n), sign = network_add_node(&p->n), digits = network_add_node(&p->n);
    network_add_empty(&p->n, from, p->end);
    network_add_symbols(&p->n, from, 'e', 'e', e);
    network_add_symbols(&p->n, from, 'E', 'E', e);
    network_add_symbols(&p->n, e, '+', '+', sign);
    network_add_symbols(&p->n, e, '-', '-', sign);
    network_add_empty(&p->n, e, sign);
    network_add_symbols(&p->n, sign, '0', '9', digits);
    network_add_symbols(&p->n, digits, '0', '9', digits);
    network_add_empty(&p->n, digits, p->end);
}

/* From `from` to the end by any number without a sign. */
static void add_any(piece *p, uint32_t from) {
    network *n = &p->n;
    const uint32_t whole = network_add_node(n), digits = network_add_node(n), point = network_add_node(n);
    const uint32_t fraction = network_add_node(n), done = network_add_node(n);
    network_add_symbols(n, from, '0', '0', whole);
    network_add_symbols(n, from, '1', '9', digits);
    network_add_symbols(n, digits, '0', '9', digits);
    network_add_empty(n, digits, whole);
    network_add_empty(n, whole, done);
    network_add_symbols(n, whole, '.', '.', point);
    network_add_symbols(n, point, '0', '9', fraction);
    network_add_symbols(n, fraction, '0', '9', fraction);
    network_add_empty(n, fraction, done);
    add_exponent(p, done);
}

/* Any `count` digits. Returns the node after them. */
static uint32_t add_any_digits(network *n, uint32_t from, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t next = network_add_node(n);
        network_add_symbols(n, from, '0', '9', next);
        from = next;
    }
    return from;
}

/* The digits before the point, and their number: "0" if the decimal has none. */
static uint32_t n_digits(const decimal *d) { return d->n_whole > 0 ? d->n_whole : 1; }
static char digit_of(const decimal *d, uint32_t i) { return d->n_whole > 0 ? d->whole[i] : '0'; }

/* From `from` to the end by digits of a fraction: by zeros (at_once: there may be none); or if `beyond`, by a digit
 * that is not zero, with any zeros before it and any digits after it. */
static void add_zeros(piece *p, uint32_t from, bool at_once, bool beyond) {
    network *n = &p->n;
    const uint32_t zeros = network_add_node(n);
    network_add_symbols(n, from, '0', '0', zeros);
    network_add_symbols(n, zeros, '0', '0', zeros);
    if (beyond) {
        const uint32_t digits = network_add_node(n);
        network_add_symbols(n, from, '1', '9', digits);
        network_add_symbols(n, zeros, '1', '9', digits);
        network_add_symbols(n, digits, '0', '9', digits);
        network_add_empty(n, digits, p->end);
    } else {
        network_add_empty(n, zeros, p->end);
        if (at_once) network_add_empty(n, from, p->end);
    }
}

/* From `from` to the end by numbers without a sign: if `larger`, those that are at least the bound, else those that are
 * at most the bound. */
static void add_compared(piece *p, uint32_t from, const decimal *bound, bool larger, bool is_excluded) {
    network *n = &p->n;
    const uint32_t count = n_digits(bound);
    uint32_t equal = from;
    if (larger) { /* more digits */
        const uint32_t first = network_add_node(n), more = network_add_node(n);
        network_add_symbols(n, from, '1', '9', first);
        network_add_empty(n, add_any_digits(n, first, count), more);
        network_add_symbols(n, more, '0', '9', more);
        network_add_empty(n, more, p->any_fraction);
    } else if (count > 1) { /* fewer digits */
        uint32_t at = network_add_node(n);
        network_add_symbols(n, from, '0', '0', p->any_fraction);
        network_add_symbols(n, from, '1', '9', at);
        network_add_empty(n, at, p->any_fraction);
        for (uint32_t i = 2; i < count; i++) {
            at = add_any_digits(n, at, 1);
            network_add_empty(n, at, p->any_fraction);
        }
    }
    uint32_t rest = p->any_fraction; /* a node: from here, the digits that are left before the point may be any */
    uint32_t *nodes = calloc(count + 1, sizeof *nodes);
    if (!nodes) {
        n->failed = CLLM_ERR_MEMORY;
        return;
    }
    nodes[0] = equal;
    for (uint32_t i = 1; i <= count; i++) nodes[i] = network_add_node(n);
    for (uint32_t i = count; i-- > 0;) { /* as many digits: from the last one to the first */
        const char digit = digit_of(bound, i);
        const char low = larger ? (char)(digit + 1) : i == 0 && count > 1 ? '1' : '0';
        const char high = larger ? '9' : (char)(digit - 1);
        if (low <= high) network_add_symbols(n, nodes[i], (uint8_t)low, (uint8_t)high, rest);
        network_add_symbols(n, nodes[i], (uint8_t)digit, (uint8_t)digit, nodes[i + 1]);
        const uint32_t longer = network_add_node(n);
        network_add_symbols(n, longer, '0', '9', rest);
        rest = longer;
    }
    equal = nodes[count];
    free(nodes);
    /* the digits before the point are equal */
    const uint32_t digits = network_add_node(n), point = network_add_node(n);
    network_add_symbols(n, digits, '0', '9', digits);
    network_add_empty(n, digits, p->end);
    const bool ends_equal = bound->n_fraction == 0;
    if (ends_equal ? !is_excluded : !larger) network_add_empty(n, equal, p->end);
    network_add_symbols(n, equal, '.', '.', point);
    equal = point;
    for (uint32_t i = 0; i < bound->n_fraction; i++) {
        const char digit = bound->fraction[i];
        const uint32_t next = network_add_node(n);
        if (larger && digit < '9') network_add_symbols(n, equal, (uint8_t)digit + 1, '9', digits);
        if (!larger && digit > '0') network_add_symbols(n, equal, '0', (uint8_t)digit - 1, digits);
        if (!larger && i > 0) network_add_empty(n, equal, p->end);
        network_add_symbols(n, equal, (uint8_t)digit, (uint8_t)digit, next);
        equal = next;
    }
    const bool has_digit = bound->n_fraction > 0;
    if (larger && !is_excluded) { /* anything may follow */
        if (has_digit) network_add_empty(n, equal, p->end);
        network_add_symbols(n, equal, '0', '9', digits);
    } else if (larger || !is_excluded) {
        add_zeros(p, equal, has_digit, larger);
    }
}

/* -------------------------------------------------------------------------------------------------------- automata */

cllm_status numbers_of_form(numbers_form form, char_maker *m, char_automaton *out, cllm_error *err) {
    static const char *const forms[] = {
        [ANY_NUMBER] = "-?(0|[1-9]\\d*)(\\.\\d{1,22})?([eE][+-]?\\d{1,3})?",
        [NO_EXPONENT] = "-?(0|[1-9]\\d*)(\\.\\d{1,22})?",
        [WHOLE_NUMBER] = "-?(0|[1-9]\\d*)(\\.0)?([eE]\\+?\\d{1,3})?",
        [WHOLE_NO_EXPONENT] = "-?(0|[1-9]\\d*)(\\.0)?",
        [ANY_DIGITS] = "-?(0|[1-9]\\d*)(\\.\\d+)?",
        [WHOLE_VALUE] = "-?(0|[1-9]\\d*)(\\.0+)?",
        [WHOLE_WITHOUT_POINT] = "-?(0|[1-9]\\d*)",
    };
    network n = {.of_characters = true};
    cllm_status status = regex_build(&n, (cllm_string){forms[form], strlen(forms[form])}, false, err);
    if (status == CLLM_OK) status = network_finish(&n, err);
    if (status == CLLM_OK) status = characters_from_network(&n, m, out, err);
    network_free(&n);
    return status;
}

cllm_status numbers_from(const decimal *bound, bool is_excluded, char_maker *m, char_automaton *out, cllm_error *err) {
    piece p;
    begin_piece(&p);
    if (bound->negative || (decimal_is_zero(bound) && !is_excluded)) {
        const uint32_t minus = network_add_node(&p.n);
        add_any(&p, p.begin);
        network_add_symbols(&p.n, p.begin, '-', '-', minus);
        add_compared(&p, minus, bound, false, is_excluded); /* -0 too */
    } else {
        add_compared(&p, p.begin, bound, true, is_excluded);
    }
    return end_piece(&p, m, out, err);
}

cllm_status numbers_up_to(const decimal *bound, bool is_excluded, char_maker *m, char_automaton *out, cllm_error *err) {
    piece p;
    begin_piece(&p);
    const uint32_t minus = network_add_node(&p.n);
    network_add_symbols(&p.n, p.begin, '-', '-', minus);
    if (bound->negative || (decimal_is_zero(bound) && is_excluded)) {
        add_compared(&p, minus, bound, true, is_excluded);
    } else {
        add_any(&p, minus);
        add_compared(&p, p.begin, bound, false, is_excluded);
    }
    return end_piece(&p, m, out, err);
}

cllm_status numbers_equal_to(const decimal *d, char_maker *m, char_automaton *out, cllm_error *err) {
    piece p;
    begin_piece(&p);
    uint32_t at = p.begin;
    if (d->negative) {
        at = network_add_node(&p.n);
        network_add_symbols(&p.n, p.begin, '-', '-', at);
    } else if (decimal_is_zero(d)) {
        at = network_add_node(&p.n);
        network_add_symbols(&p.n, p.begin, '-', '-', at);
        network_add_empty(&p.n, p.begin, at);
    }
    const uint32_t whole = network_add_node(&p.n), point = network_add_node(&p.n), fraction = network_add_node(&p.n);
    network_add_text(&p.n, at, d->n_whole > 0 ? d->whole : "0", n_digits(d), whole);
    network_add_symbols(&p.n, whole, '.', '.', point);
    if (d->n_fraction > 0) network_add_text(&p.n, point, d->fraction, d->n_fraction, fraction);
    if (d->n_fraction == 0) network_add_empty(&p.n, whole, p.end);
    add_zeros(&p, d->n_fraction > 0 ? fraction : point, d->n_fraction > 0, false);
    return end_piece(&p, m, out, err);
}

enum { MOST_ZEROS = 3 }; /* that may follow the digits which a multiple needs */

/* A state is the remainder when the digits so far are divided by the unit, and the number of digits after the point: as
 * many as the unit has, then a few zeros. */
cllm_status numbers_multiple_of(const decimal *unit, char_maker *m, char_automaton *out, cllm_error *err) {
    enum { MINUS, POINT, OTHER, DIGITS, N_SYMBOLS = DIGITS + 10 };
    static const uint32_t begins[] = {0,   '-', '-' + 1, '.', '.' + 1, '0', '1', '2',
                                      '3', '4', '5',     '6', '7',     '8', '9', '9' + 1};
    static const uint8_t symbols[] = {OTHER,      MINUS,      OTHER,      POINT,      OTHER,      DIGITS,
                                      DIGITS + 1, DIGITS + 2, DIGITS + 3, DIGITS + 4, DIGITS + 5, DIGITS + 6,
                                      DIGITS + 7, DIGITS + 8, DIGITS + 9, OTHER};
    const uint32_t n_classes = sizeof begins / sizeof *begins, n_fraction = unit->n_fraction;
    const uint64_t size = size_of(unit); /* without its point */
    const uint64_t n_states = size * (n_fraction + 2 + MOST_ZEROS);
    if (size == 0 || n_states * n_classes > CHARACTERS_MOST_MOVES)
        return error_set(
            err, CLLM_ERR_UNSUPPORTED,
            "multiples of so large a number, or of one with so many digits after the point, cannot be enforced");
    const cllm_status spent = characters_spend(m, n_states * n_classes, err);
    if (spent != CLLM_OK) return spent;
    *out = (char_automaton){.n_states = (uint32_t)n_states,
                            .n_classes = n_classes,
                            .class_begins = arena_alloc(m->a, n_classes, sizeof *begins),
                            .next = arena_alloc(m->a, n_states * n_classes, sizeof *out->next),
                            .labels = arena_alloc(m->a, n_states, sizeof *out->labels)};
    if (!out->class_begins || !out->next || !out->labels)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a number");
    memcpy(out->class_begins, begins, sizeof begins);
    for (uint32_t s = 0; s < n_states; s++) {
        const uint32_t digits = s / (uint32_t)size; /* 0: no point yet; else one more than the digits after the point */
        const uint64_t left = s % size;
        uint64_t scaled = left;
        for (uint32_t i = digits > 0 ? digits - 1 : 0; i < n_fraction; i++) scaled = scaled * 10 % size;
        out->labels[s] = scaled == 0;
        for (uint32_t k = 0; k < n_classes; k++) {
            uint32_t *to = &out->next[(size_t)s * n_classes + k];
            const uint32_t symbol = symbols[k], digit = symbol - DIGITS;
            *to = NO_STATE;
            if (symbol == MINUS && s == 0) *to = s;
            if (symbol == POINT && digits == 0) *to = s + (uint32_t)size;
            if (symbol < DIGITS) continue;
            const uint32_t appended = (uint32_t)((left * 10 + digit) % size);
            if (digits == 0)
                *to = appended;
            else if (digits <= n_fraction)
                *to = (digits + 1) * (uint32_t)size + appended;
            else if (digit == 0 && digits <= n_fraction + MOST_ZEROS)
                *to = s + (uint32_t)size;
        }
    }
    return CLLM_OK;
}
