/* Implements characters.h. Automata are made as tables of rows, one for each state, with the next state for each class
 * of characters. */
#include "sampling/characters.h"
#include "sampling/automaton.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static cllm_status no_memory(cllm_error *err) { return error_set(err, CLLM_ERR_MEMORY, "no memory for a pattern"); }

/* addition: "", or what follows "too complex to enforce" */
static cllm_status too_complex(const char *addition, cllm_error *err) {
    return error_set(err, CLLM_ERR_UNSUPPORTED,
                     "this is too complex to enforce%s (use simpler patterns, or smaller lengths, lists and numbers)",
                     addition);
}

static cllm_status too_large(cllm_error *err) { return too_complex("", err); }

/* ------------------------------------------------------------------------------------------------------- making */

/* A table of rows that grows while states are found. */
typedef struct rows {
    uint32_t *next; /* [capacity][n_classes] */
    uint32_t n_classes, capacity;
} rows;

static bool rows_make_room(rows *r, uint32_t count) {
    if (count < r->capacity) return true;
    const uint32_t larger = r->capacity > 0 ? 2 * r->capacity : 32;
    uint32_t *grown = realloc(r->next, (size_t)larger * r->n_classes * sizeof *grown);
    if (!grown) return false;
    r->next = grown;
    r->capacity = larger;
    return true;
}

static bool is_too_large(uint32_t n_states, uint32_t n_classes) {
    return (uint64_t)n_states * n_classes > CHARACTERS_MOST_MOVES;
}

cllm_status characters_spend(char_maker *m, uint64_t n_moves, cllm_error *err) {
    const bool enough = n_moves <= m->n_moves_left;
    m->n_moves_left = enough ? m->n_moves_left - (uint32_t)n_moves : 0;
    return enough ? CLLM_OK : too_complex(", alone or together with other strings and numbers", err);
}

/* Copy the classes and rows. false: no memory. */
static bool finish(const uint32_t *begins, const rows *r, uint32_t n_states, arena *a, char_automaton *out) {
    *out = (char_automaton){.n_states = n_states,
                            .n_classes = r->n_classes,
                            .class_begins = arena_alloc(a, r->n_classes, sizeof *begins),
                            .next = arena_alloc(a, (uint64_t)n_states * r->n_classes, sizeof *r->next),
                            .labels = arena_alloc(a, n_states, sizeof *out->labels)};
    if (!out->class_begins || !out->next || !out->labels) return false;
    memcpy(out->class_begins, begins, r->n_classes * sizeof *begins);
    memcpy(out->next, r->next, (size_t)n_states * r->n_classes * sizeof *r->next);
    return true;
}

enum { MOVES_OF_PLACE = 8 }; /* following a place takes about as long as eight moves of a product */

cllm_status characters_from_network(const network *n, char_maker *m, char_automaton *out, cllm_error *err) {
    automaton *walk = automaton_create(n);
    if (!walk) return no_memory(err);
    const uint32_t *begins;
    rows r = {.n_classes = automaton_classes(walk, &begins)};
    /* state i of the walk becomes state i - 1: 0 is the dead one, which becomes NO_STATE, and 1 is the start */
    uint32_t last = automaton_begin(walk);
    cllm_status status = automaton_error(walk, err);
    for (uint32_t i = 1; status == CLLM_OK && i <= last; i++) {
        if (!rows_make_room(&r, i)) status = no_memory(err);
        for (uint32_t k = 0; status == CLLM_OK && k < r.n_classes; k++) {
            const uint32_t to = automaton_step_class(walk, i, k);
            r.next[(size_t)(i - 1) * r.n_classes + k] = to == DEAD_STATE ? NO_STATE : to - 1;
            if (to > last) last = to;
            status = automaton_error(walk, err);
            const uint64_t n_places = automaton_state(walk, i)->n_places + automaton_n_followed(walk);
            if (status == CLLM_OK) status = characters_spend(m, 1 + MOVES_OF_PLACE * n_places, err);
        }
        if (status == CLLM_OK && is_too_large(last, r.n_classes)) status = too_large(err);
    }
    if (status == CLLM_OK && last == DEAD_STATE) { /* no text at all: one state that leads nowhere */
        if (!rows_make_room(&r, 0)) status = no_memory(err);
        for (uint32_t k = 0; status == CLLM_OK && k < r.n_classes; k++) r.next[k] = NO_STATE;
    }
    const uint32_t n_states = last == DEAD_STATE ? 1 : last;
    if (status == CLLM_OK && !finish(begins, &r, n_states, m->a, out)) status = no_memory(err);
    for (uint32_t i = 0; status == CLLM_OK && i < last; i++) out->labels[i] = automaton_state(walk, i + 1)->accepts;
    free(r.next);
    automaton_destroy(walk);
    return status;
}

static int by_number(const void *a, const void *b) {
    const uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return one < other ? -1 : one > other;
}

/* Sort the beginnings of classes, add 0, and remove duplicates. begins has room for n + 1. Returns how many there
 * are. */
static uint32_t sort_begins(uint32_t *begins, uint32_t n) {
    uint32_t count = 0;
    begins[n++] = 0;
    qsort(begins, n, sizeof *begins, by_number);
    for (uint32_t i = 0; i < n; i++)
        if (begins[i] <= LAST_CHARACTER && (count == 0 || begins[i] != begins[count - 1])) begins[count++] = begins[i];
    return count;
}

static uint32_t class_of(const uint32_t *begins, uint32_t n_classes, uint32_t character) {
    uint32_t low = 0, high = n_classes;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (begins[middle] <= character)
            low = middle;
        else
            high = middle;
    }
    return low;
}

cllm_status characters_from_words(const cllm_string *words, size_t n, char_maker *m, char_automaton *out,
                                  cllm_error *err) {
    size_t n_bytes = 0;
    for (size_t i = 0; i < n; i++) n_bytes += words[i].length;
    if (n_bytes > CHARACTERS_MOST_MOVES) return too_large(err);
    uint32_t *begins = malloc((2 * n_bytes + 1) * sizeof *begins), n_begins = 0, n_states = 1;
    uint8_t *ends = calloc(n_bytes + 1, 1);
    rows r = {0};
    cllm_status status = CLLM_OK;
    for (size_t i = 0; begins && i < n; i++)
        for (size_t at = 0, length; at < words[i].length; at += length) {
            length = utf8_length(words[i].data + at, words[i].length - at);
            begins[n_begins++] = utf8_decode(words[i].data + at, length);
            begins[n_begins] = begins[n_begins - 1] + 1;
            n_begins++;
        }
    if (begins) r.n_classes = sort_begins(begins, n_begins);
    if (!begins || !ends || !rows_make_room(&r, 0)) status = no_memory(err);
    for (uint32_t k = 0; status == CLLM_OK && k < r.n_classes; k++) r.next[k] = NO_STATE;
    for (size_t i = 0; status == CLLM_OK && i < n; i++) {
        uint32_t s = 0;
        for (size_t at = 0, length; status == CLLM_OK && at < words[i].length; at += length) {
            length = utf8_length(words[i].data + at, words[i].length - at);
            const uint32_t class = class_of(begins, r.n_classes, utf8_decode(words[i].data + at, length));
            if (r.next[(size_t)s * r.n_classes + class] == NO_STATE) {
                if (is_too_large(n_states + 1, r.n_classes)) status = too_large(err);
                if (status == CLLM_OK) status = characters_spend(m, r.n_classes, err);
                if (status == CLLM_OK && !rows_make_room(&r, n_states)) status = no_memory(err);
                if (status != CLLM_OK) break;
                for (uint32_t k = 0; k < r.n_classes; k++) r.next[(size_t)n_states * r.n_classes + k] = NO_STATE;
                r.next[(size_t)s * r.n_classes + class] = n_states++;
            }
            s = r.next[(size_t)s * r.n_classes + class];
        }
        if (status == CLLM_OK) ends[s] = 1;
    }
    if (status == CLLM_OK && !finish(begins, &r, n_states, m->a, out)) status = no_memory(err);
    for (uint32_t i = 0; status == CLLM_OK && i < n_states; i++) out->labels[i] = ends[i];
    free(begins);
    free(ends);
    free(r.next);
    return status;
}

cllm_status characters_from_length(uint32_t least, uint32_t most, char_maker *m, char_automaton *out, cllm_error *err) {
    const uint64_t needed = (uint64_t)(most == UINT32_MAX ? least : most) + 1;
    if (needed > CHARACTERS_MOST_MOVES) return too_large(err);
    const cllm_status spent = characters_spend(m, needed, err);
    if (spent != CLLM_OK) return spent;
    const uint32_t n_states = (uint32_t)needed;
    *out = (char_automaton){.n_states = n_states,
                            .n_classes = 1,
                            .class_begins = arena_alloc(m->a, 1, sizeof *out->class_begins),
                            .next = arena_alloc(m->a, n_states, sizeof *out->next),
                            .labels = arena_alloc(m->a, n_states, sizeof *out->labels)};
    if (!out->class_begins || !out->next || !out->labels) return no_memory(err);
    for (uint32_t i = 0; i < n_states; i++) {
        out->next[i] = i + 1 < n_states ? i + 1 : most == UINT32_MAX ? i : NO_STATE;
        out->labels[i] = i >= least;
    }
    return CLLM_OK;
}

/* ------------------------------------------------------------------------------------------------------ products */

/* The states of a product. Each is a tuple with a state of each part, found by its hash. */
typedef struct tuples {
    uint32_t *items; /* [n_states][n_parts] */
    uint32_t n_parts, n_states, capacity;
    uint32_t *table, table_size; /* [table_size] a state, or NO_STATE */
} tuples;

static bool tuples_grow(tuples *t) {
    const uint32_t capacity = t->capacity > 0 ? 2 * t->capacity : 64;
    uint32_t *items = realloc(t->items, (size_t)capacity * t->n_parts * sizeof *items);
    if (!items) return false;
    t->items = items;
    t->capacity = capacity;
    uint32_t *table = realloc(t->table, 2 * (size_t)capacity * sizeof *table);
    if (!table) return false;
    t->table = table;
    t->table_size = 2 * capacity;
    for (uint32_t i = 0; i < t->table_size; i++) table[i] = NO_STATE;
    for (uint32_t i = 0; i < t->n_states; i++) {
        uint32_t at =
            (uint32_t)(hash_bytes(4, t->items + (size_t)i * t->n_parts, t->n_parts * sizeof *items) % t->table_size);
        while (table[at] != NO_STATE) at = (at + 1) % t->table_size;
        table[at] = i;
    }
    return true;
}

/* The number of a tuple, which is added if it is new; NO_STATE: no memory. */
static uint32_t find_tuple(tuples *t, const uint32_t *tuple) {
    const size_t size = t->n_parts * sizeof *tuple;
    if (t->n_states == t->capacity && !tuples_grow(t)) return NO_STATE;
    uint32_t at = (uint32_t)(hash_bytes(4, tuple, size) % t->table_size);
    for (; t->table[at] != NO_STATE; at = (at + 1) % t->table_size)
        if (memcmp(t->items + (size_t)t->table[at] * t->n_parts, tuple, size) == 0) return t->table[at];
    memcpy(t->items + (size_t)t->n_states * t->n_parts, tuple, size);
    return t->table[at] = t->n_states++;
}

cllm_status characters_product(const char_automaton *parts, size_t n, bool all_texts, char_maker *m,
                               char_automaton *out, cllm_error *err) {
    uint32_t tuple[CHARACTERS_MOST_PARTS] = {0}, n_begins = 0;
    tuples t = {.n_parts = (uint32_t)n};
    rows r = {0};
    cllm_status status = CLLM_OK;
    size_t n_most = 1;
    if (n > CHARACTERS_MOST_PARTS) return too_large(err);
    for (size_t i = 0; i < n; i++) n_most += parts[i].n_classes;
    uint32_t *begins = malloc(n_most * sizeof *begins), *classes = NULL; /* classes: [n_classes][n] of the parts */
    for (size_t i = 0; begins && i < n; i++)
        for (uint32_t k = 0; k < parts[i].n_classes; k++) begins[n_begins++] = parts[i].class_begins[k];
    if (begins) r.n_classes = sort_begins(begins, n_begins);
    if (begins) classes = malloc(((size_t)r.n_classes * n + 1) * sizeof *classes);
    if (!classes || find_tuple(&t, tuple) == NO_STATE) status = no_memory(err);
    for (uint32_t k = 0; status == CLLM_OK && k < r.n_classes; k++)
        for (size_t i = 0; i < n; i++)
            classes[k * n + i] = class_of(parts[i].class_begins, parts[i].n_classes, begins[k]);
    for (uint32_t s = 0; status == CLLM_OK && s < t.n_states; s++) {
        if (!rows_make_room(&r, s)) status = no_memory(err);
        if (is_too_large(t.n_states, r.n_classes)) status = too_large(err);
        if (status == CLLM_OK) status = characters_spend(m, n * r.n_classes, err);
        for (uint32_t k = 0; status == CLLM_OK && k < r.n_classes; k++) {
            bool lives = all_texts;
            for (size_t i = 0; i < n; i++) {
                const uint32_t at = t.items[s * n + i];
                tuple[i] =
                    at == NO_STATE ? NO_STATE : parts[i].next[(size_t)at * parts[i].n_classes + classes[k * n + i]];
                lives |= tuple[i] != NO_STATE;
            }
            const uint32_t to = lives ? find_tuple(&t, tuple) : NO_STATE;
            if (lives && to == NO_STATE) status = no_memory(err);
            r.next[(size_t)s * r.n_classes + k] = to;
        }
    }
    if (status == CLLM_OK && !finish(begins, &r, t.n_states, m->a, out)) status = no_memory(err);
    for (uint32_t s = 0; status == CLLM_OK && s < t.n_states; s++)
        for (size_t i = 0; i < n; i++) {
            const uint32_t at = t.items[s * n + i];
            if (at != NO_STATE && parts[i].labels[at]) out->labels[s] |= 1u << i;
        }
    free(begins);
    free(classes);
    free(r.next);
    free(t.items);
    free(t.table);
    return status;
}

uint32_t characters_label(const char_automaton *c, cllm_string text) {
    uint32_t s = 0;
    for (size_t at = 0, length; at < text.length; at += length) {
        length = utf8_length(text.data + at, text.length - at);
        const uint32_t character = utf8_decode(text.data + at, length);
        s = c->next[(size_t)s * c->n_classes + class_of(c->class_begins, c->n_classes, character)];
        if (s == NO_STATE) return 0;
    }
    return c->labels[s];
}

/* ------------------------------------------------------------------------------------------------------ writing */

/* One hexadecimal digit from low to high. */
static void add_digits(network *n, uint32_t from, uint32_t low, uint32_t high, uint32_t to) {
    if (low <= 9) network_add_symbols(n, from, '0' + low, '0' + (high < 9 ? high : 9), to);
    if (high < 10) return;
    const uint32_t first = low > 10 ? low - 10 : 0;
    network_add_symbols(n, from, 'a' + first, 'a' + high - 10, to);
    network_add_symbols(n, from, 'A' + first, 'A' + high - 10, to);
}

/* The numbers from low to high, in n_digits hexadecimal digits. */
static void add_hex(network *n, uint32_t from, uint32_t low, uint32_t high, unsigned n_digits, uint32_t to) {
    if (n_digits == 1) {
        add_digits(n, from, low, high, to);
        return;
    }
    const unsigned shift = 4 * (n_digits - 1);
    const uint32_t rest = (1u << shift) - 1;
    uint32_t first = low >> shift, last = high >> shift;
    if (first == last || (low & rest) != 0) { /* if the leading digit is `first`, the others have bounds */
        const uint32_t node = network_add_node(n);
        add_digits(n, from, first, first, node);
        add_hex(n, node, low & rest, first == last ? high & rest : rest, n_digits - 1, to);
        if (first++ == last) return;
    }
    if ((high & rest) != rest) { /* if the leading digit is `last`, the others have bounds */
        const uint32_t node = network_add_node(n);
        add_digits(n, from, last, last, node);
        add_hex(n, node, 0, high & rest, n_digits - 1, to);
        last--;
    }
    if (first > last) return;
    uint32_t node = network_add_node(n);
    add_digits(n, from, first, last, node);
    for (unsigned i = n_digits - 1; i > 0; i--) {
        const uint32_t next = i > 1 ? network_add_node(n) : to;
        add_digits(n, node, 0, 15, next);
        node = next;
    }
}

/* Characters from U+10000 on, as two escapes: a surrogate pair. */
static void add_pairs(network *n, uint32_t from, uint32_t low, uint32_t high, uint32_t to) {
    low -= 0x10000, high -= 0x10000;
    for (uint32_t first = low >> 10; first <= high >> 10;) {
        const bool begins = (low & 0x3FF) == 0 || first > low >> 10, is_last = first == high >> 10;
        uint32_t last = first; /* first halves that go with all second halves are handled together */
        if (begins && !is_last) last = (high >> 10) - ((high & 0x3FF) != 0x3FF);
        const uint32_t after = network_add_node(n), second = network_add_node(n);
        add_hex(n, from, 0xD800 + first, 0xD800 + last, 4, after);
        network_add_text(n, after, "\\u", 2, second);
        add_hex(n, second, 0xDC00 + (begins ? 0 : low & 0x3FF), 0xDC00 + (last == high >> 10 ? high & 0x3FF : 0x3FF), 4,
                to);
        first = last + 1;
    }
}

/* The next part of the ranges that is within low .. high. at: the range to continue with. false: there is none. */
static bool overlap(const char_range *ranges, size_t n_ranges, uint32_t low, uint32_t high, size_t *at,
                    char_range *out) {
    for (; *at < n_ranges; ++*at) {
        out->low = ranges[*at].low > low ? ranges[*at].low : low;
        out->high = ranges[*at].high < high ? ranges[*at].high : high;
        if (out->low <= out->high) {
            ++*at;
            return true;
        }
    }
    return false;
}

/* True if one of the ranges includes all of low .. high. */
static bool holds(const char_range *ranges, size_t n_ranges, uint32_t low, uint32_t high) {
    for (size_t i = 0; i < n_ranges; i++)
        if (ranges[i].low <= low && ranges[i].high >= high) return true;
    return false;
}

/* What may follow a backslash: the escapes of the characters of the ranges. any_escape: also needless ones. */
static void add_escapes(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, bool any_escape,
                        uint32_t to) {
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt//";
    static const char_range escaped[] = {{0, 0x1F}, {0x80, 0xD7FF}, {0xE000, 0xFFFF}},
                            all[] = {{0, 0xD7FF}, {0xE000, 0xFFFF}};
    const char_range *lengths = any_escape ? all : escaped;
    const size_t n_lengths = any_escape ? sizeof all / sizeof *all : sizeof escaped / sizeof *escaped;
    char_range part;
    uint32_t u = NO_NODE;
    for (const char *form = short_forms; *form; form += 2)
        if (holds(ranges, n_ranges, (uint8_t)form[0], (uint8_t)form[0]) && (any_escape || *form != '/'))
            network_add_symbols(n, from, (uint8_t)form[1], (uint8_t)form[1], to);
    for (size_t i = 0; i < n_lengths + 1; i++) {
        const char_range length = i < n_lengths ? lengths[i] : (char_range){0x10000, LAST_CHARACTER};
        for (size_t at = 0; overlap(ranges, n_ranges, length.low, length.high, &at, &part);) {
            if (u == NO_NODE) {
                u = network_add_node(n);
                network_add_symbols(n, from, 'u', 'u', u);
            }
            if (i < n_lengths)
                add_hex(n, u, part.low, part.high, 4, to);
            else
                add_pairs(n, u, part.low, part.high, to);
        }
    }
}

/* True if the ranges include all characters that may be escaped. Then the part after a backslash is the same as for
 * other such ranges, and can be shared. */
static bool holds_escapes(const char_range *ranges, size_t n_ranges) {
    return holds(ranges, n_ranges, 0, 0x1F) && holds(ranges, n_ranges, '"', '"') &&
           holds(ranges, n_ranges, '\\', '\\') && holds(ranges, n_ranges, 0x80, LAST_CHARACTER);
}

/* One character of the ranges, in a JSON string. shared: in, out: the node after a backslash from which all escapes
 * lead to `to`; NO_NODE: not made yet. */
static void add_in_json(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, bool any_escape,
                        uint32_t *shared, uint32_t to) {
    static const char_range plain[] = {{' ', '!'}, {'#', '['}, {']', LAST_CHARACTER}};
    char_range part;
    bool escapes = false;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        for (size_t at = 0; overlap(ranges, n_ranges, plain[i].low, plain[i].high, &at, &part);)
            network_add_characters(n, from, &part, 1, to);
    for (size_t i = 0; i < n_ranges; i++)
        escapes |= any_escape || ranges[i].low < 0x20 || ranges[i].high >= 0x80 || holds(ranges + i, 1, '"', '"') ||
                   holds(ranges + i, 1, '\\', '\\');
    if (!escapes) return;
    const bool shares = holds_escapes(ranges, n_ranges);
    const bool is_made = shares && *shared != NO_NODE;
    const uint32_t node = is_made ? *shared : network_add_node(n);
    network_add_symbols(n, from, '\\', '\\', node);
    if (!is_made) add_escapes(n, node, ranges, n_ranges, any_escape, to);
    if (shares) *shared = node;
}

void characters_add_in_json(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, bool any_escape,
                            uint32_t to) {
    uint32_t shared = NO_NODE;
    add_in_json(n, from, ranges, n_ranges, any_escape, &shared, to);
}

#define NO_EXIT UINT32_MAX

/* For each state, its distance in characters to the nearest exit, or NO_EXIT. false: no memory. */
static bool find_distances(const char_automaton *c, const uint32_t *exits, uint32_t *distances) {
    const size_t n_moves = (size_t)c->n_states * c->n_classes;
    uint32_t *first = malloc(c->n_states * sizeof *first),
             *link = malloc((n_moves + 1) * sizeof *link); /* moves to a state */
    uint32_t *reached = malloc(c->n_states * sizeof *reached), n_reached = 0;
    const bool done = first && link && reached;
    for (uint32_t i = 0; done && i < c->n_states; i++) {
        first[i] = UINT32_MAX;
        distances[i] = exits[i] != NO_NODE ? 0 : NO_EXIT;
        if (exits[i] != NO_NODE) reached[n_reached++] = i;
    }
    for (uint32_t i = 0; done && i < n_moves; i++) {
        if (c->next[i] == NO_STATE) continue;
        link[i] = first[c->next[i]];
        first[c->next[i]] = i;
    }
    for (uint32_t at = 0; done && at < n_reached; at++) /* the nearest states first */
        for (uint32_t i = first[reached[at]]; i != UINT32_MAX; i = link[i]) {
            const uint32_t source = i / c->n_classes;
            if (distances[source] != NO_EXIT) continue;
            distances[source] = distances[reached[at]] + 1;
            reached[n_reached++] = source;
        }
    free(first);
    free(link);
    free(reached);
    return done;
}

/* The nodes in the network that stand for a state. */
typedef struct written_state {
    uint32_t node, before; /* a character leads to `before`; if characters are counted, EDGE_ADD leads on to `node` */
    uint32_t shared;       /* see add_in_json */
} written_state;

/* Collect the characters that lead to the same state as class k, and mark their classes. Returns how many ranges. */
static size_t ranges_of(const char_automaton *c, const uint32_t *next, uint32_t k, bool *marked, char_range *ranges) {
    size_t n_ranges = 0;
    for (uint32_t j = k; j < c->n_classes; j++) {
        if (next[j] != next[k]) continue;
        const uint32_t high = j + 1 < c->n_classes ? c->class_begins[j + 1] - 1 : LAST_CHARACTER;
        marked[j] = true;
        if (n_ranges > 0 && ranges[n_ranges - 1].high + 1 == c->class_begins[j])
            ranges[n_ranges - 1].high = high;
        else
            ranges[n_ranges++] = (char_range){c->class_begins[j], high};
    }
    return n_ranges;
}

/* Write an automaton into a network. most: the most characters of a text, which are then counted; UINT32_MAX: any
 * number. */
static void write_states(const char_automaton *c, const uint32_t *exits, characters_spelling spelling, uint32_t most,
                         network *n, uint32_t from) {
    const bool counts = most != UINT32_MAX;
    uint32_t *distances = malloc(c->n_states * sizeof *distances);
    written_state *states = malloc(c->n_states * sizeof *states);
    char_range *ranges = malloc((c->n_classes + 1) * sizeof *ranges);
    bool *marked = calloc(c->n_classes, sizeof *marked);
    const bool has_room = distances && states && ranges && marked && find_distances(c, exits, distances);
    const bool has_texts = has_room && distances[0] != NO_EXIT && distances[0] <= most;
    if (!has_room) n->failed = CLLM_ERR_MEMORY;
    for (uint32_t i = 0; has_texts && i < c->n_states; i++) {
        if (distances[i] == NO_EXIT) continue;
        const uint32_t node = network_add_node(n), before = counts ? network_add_node(n) : node;
        if (counts) network_add_member(n, before, EDGE_ADD, OTHER_MEMBER, node);
        states[i] = (written_state){node, before, NO_NODE};
    }
    if (has_texts) network_add_empty(n, from, states[0].node);
    for (uint32_t i = 0; has_texts && i < c->n_states; i++) {
        if (distances[i] == NO_EXIT) continue;
        const uint32_t *next = c->next + (size_t)i * c->n_classes;
        if (exits[i] != NO_NODE) network_add_empty(n, states[i].node, exits[i]);
        memset(marked, 0, c->n_classes * sizeof *marked);
        for (uint32_t k = 0; k < c->n_classes; k++) {
            if (marked[k] || next[k] == NO_STATE || distances[next[k]] == NO_EXIT) continue;
            const size_t n_ranges = ranges_of(c, next, k, marked, ranges);
            written_state *to = &states[next[k]];
            const uint32_t at = counts ? network_add_node(n) : states[i].node;
            if (counts) network_add_other(n, states[i].node, distances[next[k]], at);
            if (spelling == SPELLED_IN_JSON)
                add_in_json(n, at, ranges, n_ranges, false, &to->shared, to->before);
            else
                network_add_characters(n, at, ranges, n_ranges, to->before);
        }
    }
    free(distances);
    free(states);
    free(ranges);
    free(marked);
}

void characters_write(const char_automaton *c, const uint32_t *exits, characters_spelling spelling, network *n,
                      uint32_t from) {
    write_states(c, exits, spelling, UINT32_MAX, n, from);
}

void characters_write_counted(const char_automaton *c, const uint32_t *exits, characters_spelling spelling,
                              uint32_t most, network *n, uint32_t from) {
    write_states(c, exits, spelling, most, n, from);
}
