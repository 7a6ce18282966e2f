/* Implements network.h: builds networks, and checks them before they are walked. */
#include "sampling/network.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------------- building */

/* Make room for one more element in an array that doubles. If that fails, returns false and sets `failed`. */
static bool make_room(network *n, void *array, uint32_t count, uint32_t *capacity, size_t size) {
    void **items = array;
    if (n->failed) return false;
    if (count < *capacity) return true;
    const uint32_t larger = *capacity > 0 ? 2 * *capacity : 64;
    void *grown = larger <= NETWORK_MOST_EDGES ? realloc(*items, larger * size) : NULL;
    if (!grown) n->failed = larger <= NETWORK_MOST_EDGES ? CLLM_ERR_MEMORY : CLLM_ERR_UNSUPPORTED;
    if (!grown) return false;
    *items = grown;
    *capacity = larger;
    return true;
}

uint32_t network_add_node(network *n) {
    if (!make_room(n, &n->nodes, n->n_nodes, &n->nodes_capacity, sizeof *n->nodes)) return 0;
    n->nodes[n->n_nodes] = NO_NODE;
    return n->n_nodes++;
}

uint32_t network_add_rule(network *n, const char *name) {
    const uint32_t begin = network_add_node(n), end = network_add_node(n);
    if (!make_room(n, &n->rules, n->n_rules, &n->rules_capacity, sizeof *n->rules)) return 0;
    n->rules[n->n_rules] = (network_rule){.begin = begin, .end = end, .name = name};
    return n->n_rules++;
}

static void add_edge(network *n, uint32_t from, edge e) {
    if (!make_room(n, &n->edges, n->n_edges, &n->edges_capacity, sizeof *n->edges)) return;
    e.next = n->nodes[from];
    n->edges[n->n_edges] = e;
    n->nodes[from] = n->n_edges++;
}

void network_add_symbols(network *n, uint32_t from, uint32_t low, uint32_t high, uint32_t to) {
    add_edge(n, from, (edge){.kind = EDGE_SYMBOLS, .low = low, .high = high, .target = to});
}

void network_add_empty(network *n, uint32_t from, uint32_t to) {
    if (from != to) add_edge(n, from, (edge){.kind = EDGE_EMPTY, .target = to});
}

void network_add_call(network *n, uint32_t from, uint32_t rule, uint32_t to) {
    add_edge(n, from, (edge){.kind = EDGE_CALL, .rule = rule, .target = to});
}

void network_add_repeat(network *n, uint32_t from, uint32_t rule, uint32_t least, uint32_t most, uint32_t to) {
    add_edge(n, from, (edge){.kind = EDGE_REPEAT, .rule = rule, .low = least, .high = most, .target = to});
}

void network_add_needs(network *n, uint32_t from, uint32_t rule, uint32_t to) {
    add_edge(n, from, (edge){.kind = EDGE_NEEDS, .rule = rule, .target = to});
}

void network_add_anchor(network *n, uint32_t from, edge_kind kind, uint32_t to) {
    add_edge(n, from, (edge){.kind = kind, .target = to});
}

void network_add_collect(network *n, uint32_t from, uint32_t rule, uint32_t to) {
    add_edge(n, from, (edge){.kind = EDGE_COLLECT, .rule = rule, .target = to});
}

void network_add_member(network *n, uint32_t from, edge_kind kind, uint32_t member, uint32_t to) {
    add_edge(n, from, (edge){.kind = kind, .low = member, .target = to});
}

void network_add_other(network *n, uint32_t from, uint32_t room, uint32_t to) {
    add_edge(n, from, (edge){.kind = EDGE_MAY_ADD, .low = OTHER_MEMBER, .high = room, .target = to});
}

void network_add_guard(network *n, uint32_t from, edge_kind kind, uint32_t to) {
    add_edge(n, from, (edge){.kind = kind, .target = to});
}

void network_add_text(network *n, uint32_t from, const char *bytes, size_t length, uint32_t to) {
    if (length == 0) network_add_empty(n, from, to);
    for (size_t i = 0; i < length; i++) {
        const uint32_t next = i + 1 < length ? network_add_node(n) : to;
        network_add_symbols(n, from, (uint8_t)bytes[i], (uint8_t)bytes[i], next);
        from = next;
    }
}

void network_add_repeated(network *n, uint32_t begin, uint32_t end, uint32_t least, uint32_t most, uint32_t from,
                          uint32_t to) {
    const bool loops = most == UINT32_MAX && least <= 1;
    if (most == 0) {
        network_add_empty(n, from, to);
        return;
    }
    if (least <= 1 && (most == 1 || loops)) {
        const uint32_t middle = network_add_node(n);
        network_add_empty(n, from, begin);
        network_add_empty(n, end, middle);
        if (loops) network_add_empty(n, middle, begin);
        if (least == 0) network_add_empty(n, from, to);
        network_add_empty(n, middle, to);
        return;
    }
    const uint32_t body = network_add_rule(n, "of a repetition");
    if (n->failed) return;
    network_add_empty(n, n->rules[body].begin, begin);
    network_add_empty(n, end, n->rules[body].end);
    network_add_repeat(n, from, body, least, most, to);
}

void network_free(network *n) {
    free(n->edges);
    free(n->nodes);
    free(n->rules);
    *n = (network){0};
}

cllm_status network_error(const network *n, cllm_error *err) {
    if (n->failed == CLLM_OK) return CLLM_OK;
    return error_set(err, n->failed,
                     n->failed == CLLM_ERR_MEMORY ? "no memory for a grammar" : "the grammar is too large");
}

/* ------------------------------------------------------------------------------------------------- characters */

/* Add the characters from `low` to `high`, which have the same number of bytes, and the same bytes before `at`. tails:
 * tails[k] is a node from which any k continuation bytes lead to `to`; made when needed. */
static void add_between(network *n, uint32_t from, const char *low, const char *high, size_t at, size_t length,
                        uint32_t to, uint32_t tails[4]) {
    static const char least[] = "\x80\x80\x80", most[] = "\xBF\xBF\xBF";
    const size_t rest = length - at - 1;
    uint8_t first = (uint8_t)low[at], last = (uint8_t)high[at];
    if (rest == 0) {
        network_add_symbols(n, from, first, last, to);
        return;
    }
    char bound[4];
    if (first == last || memcmp(low + at + 1, least, rest) != 0) { /* after `first`, the other bytes have bounds */
        const uint32_t node = network_add_node(n);
        memcpy(bound + at + 1, first == last ? high + at + 1 : most, rest);
        network_add_symbols(n, from, first, first, node);
        add_between(n, node, low, bound, at + 1, length, to, tails);
        if (first++ == last) return;
    }
    if (memcmp(high + at + 1, most, rest) != 0) { /* after `last`, the other bytes have bounds */
        const uint32_t node = network_add_node(n);
        memcpy(bound + at + 1, least, rest);
        network_add_symbols(n, from, last, last, node);
        add_between(n, node, bound, high, at + 1, length, to, tails);
        last--;
    }
    if (first > last) return;
    for (size_t k = 1; k <= rest; k++) {
        if (tails[k] != NO_NODE) continue;
        tails[k] = network_add_node(n);
        network_add_symbols(n, tails[k], 0x80, 0xBF, k == 1 ? to : tails[k - 1]);
    }
    network_add_symbols(n, from, first, last, tails[rest]);
}

void network_add_characters(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, uint32_t to) {
    static const char_range lengths[] = {
        {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, LAST_CHARACTER}};
    uint32_t tails[4] = {NO_NODE, NO_NODE, NO_NODE, NO_NODE};
    for (size_t i = 0; i < n_ranges; i++)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            const uint32_t low = ranges[i].low > lengths[k].low ? ranges[i].low : lengths[k].low;
            const uint32_t high = ranges[i].high < lengths[k].high ? ranges[i].high : lengths[k].high;
            char first[4], last[4];
            if (low > high) continue;
            if (n->of_characters) {
                network_add_symbols(n, from, low, high, to);
                continue;
            }
            const size_t length = utf8_encode(low, first);
            utf8_encode(high, last);
            add_between(n, from, first, last, 0, length, to, tails);
        }
}

static int by_low(const void *a, const void *b) {
    const char_range *one = a, *other = b;
    return one->low < other->low ? -1 : one->low > other->low;
}

void network_add_other_characters(network *n, uint32_t from, char_range *ranges, size_t n_ranges, uint32_t to) {
    uint32_t next = 0; /* the first one that is not decided yet */
    if (n_ranges > 0) qsort(ranges, n_ranges, sizeof *ranges, by_low);
    for (size_t i = 0; i <= n_ranges; i++) {
        const uint32_t low = i < n_ranges ? ranges[i].low : LAST_CHARACTER + 1;
        if (low > next) network_add_characters(n, from, &(char_range){next, low - 1}, 1, to);
        if (i < n_ranges && ranges[i].high >= next) next = ranges[i].high + 1;
    }
}

/* --------------------------------------------------------------------------------------------------- finishing */

/* Work space of the checks: marks for nodes and rules, and work lists. */
typedef struct finishing {
    network *n;
    uint32_t *sources;       /* [n_edges] the node that an edge leaves */
    uint32_t *first, *next;  /* [n_nodes], [2 * n_edges]: for each node, the edges that wait for it to be marked */
    uint32_t *waiting;       /* [n_nodes] nodes to look at */
    bool *live;              /* [n_nodes]: the rule can be finished from here */
    bool *blocked;           /* [n_nodes]: the collection that begins here is impossible */
    bool *nullable;          /* [n_rules]: it may be empty */
    uint8_t *seen;           /* [n_rules]: 1 while it is on the path, 2 when all its calls were followed */
    uint32_t *left, *n_left; /* [n_edges], [n_rules + 1]: rule i may call left[n_left[i] .. n_left[i + 1] - 1] first */
} finishing;

static bool calls(const edge *e) { return e->kind == EDGE_CALL || e->kind == EDGE_REPEAT || e->kind == EDGE_COLLECT; }

static bool is_optional(const edge *e) { return e->kind == EDGE_REPEAT && e->low == 0; }

/* Let an edge wait for a node: slot 2 * edge for its target, 2 * edge + 1 for its rule. */
static void wait_for(finishing *f, uint32_t node, uint32_t slot) {
    f->next[slot] = f->first[node];
    f->first[node] = slot;
}

/* Mark the nodes from which the end of their rule can be reached by edges that `passes` accepts. This goes backwards,
 * from the ends: when a node is marked, the edges that wait for it are tried again. */
static void mark_backwards(finishing *f, bool *marked,
                           bool (*passes)(const finishing *f, const edge *e, const bool *marked)) {
    network *n = f->n;
    uint32_t n_waiting = 0;
    memset(marked, 0, n->n_nodes * sizeof *marked);
    for (uint32_t i = 0; i < n->n_rules; i++) {
        marked[n->rules[i].end] = true;
        f->waiting[n_waiting++] = n->rules[i].end;
    }
    while (n_waiting > 0) {
        const uint32_t node = f->waiting[--n_waiting];
        for (uint32_t slot = f->first[node]; slot != NO_NODE; slot = f->next[slot]) {
            const uint32_t source = f->sources[slot / 2];
            if (marked[source] || f->blocked[source] || !passes(f, &n->edges[slot / 2], marked)) continue;
            marked[source] = true;
            f->waiting[n_waiting++] = source;
        }
    }
}

static bool can_be_finished(const finishing *f, const edge *e, const bool *marked) {
    const bool needs = e->kind == EDGE_NEEDS || (calls(e) && !is_optional(e));
    return marked[e->target] && (!needs || marked[f->n->rules[e->rule].begin]);
}

static bool can_be_empty(const finishing *f, const edge *e, const bool *marked) {
    const bool is_anchor = e->kind == EDGE_AT_BEGIN || e->kind == EDGE_AT_END; /* empty only at one position */
    return e->kind != EDGE_SYMBOLS && !is_anchor && marked[e->target] &&
           (!calls(e) || is_optional(e) || marked[f->n->rules[e->rule].begin]);
}

/* True if a collection can have enough members, but not too many. Each can be added at most once, unless it is
 * repeatable. */
static bool can_be_complete(const finishing *f, const collection *c) {
    const network *n = f->n;
    uint32_t count = 0, n_required = 0;
    for (uint32_t i = 0; i < c->n_members; i++) n_required += c->required[i / 32] >> i % 32 & 1;
    if (n_required > c->most) return false;
    for (uint32_t at = n->nodes[c->choices]; at != NO_NODE; at = n->edges[at].next) {
        if (n->edges[at].kind != EDGE_MAY_ADD || !f->live[n->edges[at].target]) continue;
        if (n->edges[at].low == OTHER_MEMBER || n->edges[at].low & REPEATABLE) return true;
        count++;
    }
    return count >= c->least;
}

enum { MOST_ROUNDS = 100 };

/* Mark the nodes from which a rule can be finished. Collections that are impossible are blocked. Blocking one may make
 * others impossible, so this is repeated until nothing changes. A grammar that needs too many rounds counts as too
 * large. */
static void mark_live(finishing *f) {
    network *n = f->n;
    uint32_t n_rounds = 0;
    for (bool changed = true; changed && !n->failed;) {
        changed = false;
        if (++n_rounds > MOST_ROUNDS) n->failed = CLLM_ERR_UNSUPPORTED;
        mark_backwards(f, f->live, can_be_finished);
        for (uint32_t i = 0; i < n->n_rules; i++) {
            const network_rule *r = &n->rules[i];
            if (!r->collected || !f->live[r->begin] || can_be_complete(f, r->collected)) continue;
            f->blocked[r->begin] = changed = true;
        }
    }
}

/* Remove edges that lead nowhere, and repetitions that can never be finished. */
static void cut_dead_edges(finishing *f) {
    network *n = f->n;
    for (uint32_t node = 0; node < n->n_nodes; node++)
        for (uint32_t *at = &n->nodes[node]; *at != NO_NODE;) {
            edge *e = &n->edges[*at];
            if (is_optional(e) && f->live[e->target] && !f->live[n->rules[e->rule].begin]) e->kind = EDGE_EMPTY;
            if (can_be_finished(f, e, f->live)) {
                if (e->kind == EDGE_NEEDS) e->kind = EDGE_EMPTY;
                at = &e->next;
            } else {
                *at = e->next;
            }
        }
}

/* If a turn of a repetition may be empty, no turn is required: empty turns would add nothing. So the walk can leave
 * them out. */
static void loosen_repeats(finishing *f) {
    network *n = f->n;
    for (uint32_t i = 0; i < n->n_edges; i++)
        if (n->edges[i].kind == EDGE_REPEAT && f->nullable[n->edges[i].rule]) n->edges[i].low = 0;
}

/* List the rules that each rule may call before it reads a symbol. */
static void find_left_calls(finishing *f, bool *reached) {
    network *n = f->n;
    uint32_t n_calls = 0;
    for (uint32_t i = 0; i < n->n_rules; i++) {
        uint32_t n_waiting = 0, begun = 0;
        f->n_left[i] = n_calls;
        f->waiting[n_waiting++] = n->rules[i].begin;
        reached[n->rules[i].begin] = true;
        for (; begun < n_waiting; begun++)
            for (uint32_t at = n->nodes[f->waiting[begun]]; at != NO_NODE; at = n->edges[at].next) {
                const edge *e = &n->edges[at];
                if (e->kind == EDGE_SYMBOLS) continue;
                if (calls(e)) f->left[n_calls++] = e->rule;
                const bool passes = !calls(e) || is_optional(e) || f->nullable[e->rule];
                if (!passes || reached[e->target]) continue;
                reached[e->target] = true;
                f->waiting[n_waiting++] = e->target;
            }
        for (uint32_t k = 0; k < n_waiting; k++) reached[f->waiting[k]] = false;
    }
    f->n_left[n->n_rules] = n_calls;
}

/* Find a rule that may call itself before it reads a symbol, or NO_NODE. path, places: [n_rules] work space, the rules
 * on the path, and the position in the list of each. */
static uint32_t find_left_recursion(finishing *f, uint32_t *path, uint32_t *places) {
    for (uint32_t begin = 0; begin < f->n->n_rules; begin++) {
        uint32_t depth = 0;
        if (f->seen[begin]) continue;
        path[depth] = begin;
        places[depth++] = f->n_left[begin];
        f->seen[begin] = 1;
        while (depth > 0) {
            const uint32_t rule = path[depth - 1];
            if (places[depth - 1] == f->n_left[rule + 1]) {
                f->seen[rule] = 2;
                depth--;
                continue;
            }
            const uint32_t called = f->left[places[depth - 1]++];
            if (f->seen[called] == 1) return called;
            if (f->seen[called] == 2) continue;
            f->seen[called] = 1;
            path[depth] = called;
            places[depth++] = f->n_left[called];
        }
    }
    return NO_NODE;
}

cllm_status network_finish(network *n, cllm_error *err) {
    if (n->failed) return network_error(n, err);
    arena a = {0};
    finishing f = {.n = n,
                   .sources = arena_alloc(&a, n->n_edges, sizeof *f.sources),
                   .first = arena_alloc(&a, n->n_nodes, sizeof *f.first),
                   .next = arena_alloc(&a, 2 * (uint64_t)n->n_edges, sizeof *f.next),
                   .waiting = arena_alloc(&a, n->n_nodes, sizeof *f.waiting),
                   .live = arena_alloc(&a, n->n_nodes, sizeof *f.live),
                   .blocked = arena_alloc(&a, n->n_nodes, sizeof *f.blocked),
                   .nullable = arena_alloc(&a, n->n_rules, sizeof *f.nullable),
                   .seen = arena_alloc(&a, n->n_rules, sizeof *f.seen),
                   .left = arena_alloc(&a, n->n_edges, sizeof *f.left),
                   .n_left = arena_alloc(&a, n->n_rules + 1, sizeof *f.n_left)};
    bool *empty = arena_alloc(&a, n->n_nodes, sizeof *empty);
    uint32_t *path = arena_alloc(&a, n->n_rules, sizeof *path), *places = arena_alloc(&a, n->n_rules, sizeof *places);
    cllm_status status = CLLM_OK;
    if (!f.sources || !f.first || !f.next || !f.waiting || !f.live || !f.blocked || !f.nullable || !f.seen || !f.left ||
        !f.n_left || !empty || !path || !places) {
        status = error_set(err, CLLM_ERR_MEMORY, "no memory for a grammar of %u nodes", n->n_nodes);
    } else {
        for (uint32_t i = 0; i < n->n_nodes; i++) f.first[i] = NO_NODE;
        for (uint32_t i = 0; i < n->n_nodes; i++)
            for (uint32_t at = n->nodes[i]; at != NO_NODE; at = n->edges[at].next) {
                const edge *e = &n->edges[at];
                f.sources[at] = i;
                wait_for(&f, e->target, 2 * at);
                if (calls(e) || e->kind == EDGE_NEEDS) wait_for(&f, n->rules[e->rule].begin, 2 * at + 1);
            }
        mark_live(&f);
        status = network_error(n, err);
        mark_backwards(&f, empty, can_be_empty);
        for (uint32_t i = 0; i < n->n_rules; i++) f.nullable[i] = empty[n->rules[i].begin];
        if (status == CLLM_OK && !f.live[n->rules[0].begin])
            status = error_set(err, CLLM_ERR_ARGUMENT, "the grammar allows no text at all");
        cut_dead_edges(&f);
        loosen_repeats(&f);
        memset(empty, 0, n->n_nodes * sizeof *empty);
        find_left_calls(&f, empty);
        const uint32_t recursive = find_left_recursion(&f, path, places);
        if (status == CLLM_OK && recursive != NO_NODE)
            status = error_set(err, CLLM_ERR_ARGUMENT, "the rule %s begins with itself: left recursion",
                               n->rules[recursive].name);
    }
    arena_free(&a);
    return status;
}
