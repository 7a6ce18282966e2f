/* Implements automaton.h. After each symbol it finds all places that can be reached without reading another one: by
 * empty edges, calls and returns (the closure). The set is sorted, and looked up by its hash: a set that was seen
 * before is the same state. Stacks are lists of frames that share their tails, so a place is only two numbers, however
 * deep its stack is (Tomita 1985). Before it: network.c, which builds the network. After it: grammar.c, which makes
 * masks of tokens. */
#include "sampling/automaton.h"

#include "base/error.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#define NO_FRAME UINT32_MAX
#define UNKNOWN  UINT32_MAX

#define UNKNOWN_TEXT (UINT32_MAX - 1) /* of state.text_next */

enum {
    MOST_PLACES = 20000, /* in the closure after one symbol */

    /* if there are more of any of these, automaton_trim frees memory */
    MOST_STATES = 40000,
    MOST_FRAMES = 2 << 20,
    MOST_WORDS = 4 << 20,
    MOST_MASK_BYTES = 96 << 20,

    /* between two trims there may be no more than these */
    MOST_STATES_EVER = 1 << 20,
    MOST_PLACES_EVER = 8 << 20, /* automaton_trim drops states at half of this */
};

/* An open call: where it came from, and the frames of the calls around it. */
typedef struct frame {
    uint32_t edge, below;
    uint32_t count; /* of a repetition: turns that are done. Of a collection: the index of its set of members */
    uint32_t hash_next;
} frame;

/* The members that a collection has so far, as words of 32 bits. The first word is their number, with the flag
 * OTHER_CAME; the number stops growing when higher counts make no difference. In the words after it, bit i is set if
 * member i is there. A set without words is empty. */
typedef struct member_set {
    uint32_t first, n_words; /* in automaton.words */
    uint32_t hash_next;
} member_set;

/* A place, and how many frames were put on its stack since the last symbol. */
typedef struct step {
    place at;
    uint32_t n_pushed;
} step;

struct automaton {
    const network *network;
    bool *is_end;           /* [n_nodes] of a rule */
    bool *is_tail;          /* [n_nodes]: only the end of the rule follows */
    uint32_t classes[256];  /* of bytes */
    uint32_t *class_begins; /* [n_classes] */
    uint32_t n_classes;
    bool has_ends; /* there are edges AT_END */

    state *states;
    place *places;
    frame *frames;
    member_set *sets; /* the first one is empty */
    uint32_t *words;
    uint32_t n_states, states_capacity, n_places, places_capacity, n_frames, frames_capacity;
    uint32_t n_sets, sets_capacity, n_words, words_capacity;
    uint32_t *state_buckets, *frame_buckets, *set_buckets; /* [N_BUCKETS] */
    uint32_t *set;                                         /* [most words of a set] work space */
    size_t mask_bytes;
    uint32_t begin;
    held_state *held;

    /* the set being built */
    step *steps; /* found, to be followed */
    uint32_t n_steps, steps_capacity;
    uint32_t n_edges; /* that the last step looked at */
    uint32_t *seen;   /* [seen_capacity] a hash table of `steps`: an index in it, or NO_NODE */
    uint32_t seen_capacity;
    place *found; /* places where a symbol may be read */
    uint32_t n_found, found_capacity;
    bool accepts, at_begin, at_end;

    cllm_status failed;
};

enum { N_BUCKETS = 1 << 13 };

static bool make_room(automaton *a, void *array, uint32_t count, uint32_t *capacity, size_t size) {
    void **items = array;
    if (count < *capacity) return true;
    const uint32_t larger = *capacity > 0 ? 2 * *capacity : 256;
    void *grown = larger > *capacity ? realloc(*items, larger * size) : NULL;
    if (!grown) a->failed = CLLM_ERR_MEMORY;
    if (!grown) return false;
    *items = grown;
    *capacity = larger;
    return true;
}

/* Find the nodes from which only single empty edges lead on, to the end of the rule. */
static void find_tails(automaton *a) {
    const network *n = a->network;
    enum { MOST_STEPS = 16 }; /* longest chain that is followed; a longer one costs a frame */
    for (uint32_t i = 0; i < n->n_nodes; i++) {
        uint32_t at = i;
        for (int i_step = 0; i_step < MOST_STEPS && !a->is_end[at]; i_step++) {
            const uint32_t only = n->nodes[at];
            if (only == NO_NODE || n->edges[only].kind != EDGE_EMPTY || n->edges[only].next != NO_NODE) break;
            at = n->edges[only].target;
        }
        a->is_tail[i] = a->is_end[at] && n->nodes[at] == NO_NODE;
    }
}

static int by_number(const void *a, const void *b) {
    const uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return one < other ? -1 : one > other;
}

/* Divide the symbols into classes. A class begins where the range of an edge begins, and after the end of such a range.
 * Returns false if memory runs out. */
static bool find_classes(automaton *a) {
    const network *n = a->network;
    bool small[257] = {[0] = true};
    uint32_t n_large = 0, *large = malloc((2 * (size_t)n->n_edges + 1) * sizeof *large);
    if (!large) return false;
    for (uint32_t i = 0; i < n->n_nodes; i++)
        for (uint32_t at = n->nodes[i]; at != NO_NODE; at = n->edges[at].next) {
            const edge *e = &n->edges[at];
            if (e->kind != EDGE_SYMBOLS) continue;
            const uint32_t begins[] = {e->low, e->high + 1};
            for (int k = 0; k < 2; k++)
                if (begins[k] < 256)
                    small[begins[k]] = true;
                else
                    large[n_large++] = begins[k];
        }
    if (n_large > 0) qsort(large, n_large, sizeof *large, by_number);
    a->class_begins = malloc((256 + (size_t)n_large) * sizeof *a->class_begins);
    for (uint32_t i = 0; a->class_begins && i < 256; i++) {
        if (small[i]) a->class_begins[a->n_classes++] = i;
        a->classes[i] = a->n_classes - 1;
    }
    for (uint32_t i = 0; a->class_begins && i < n_large; i++)
        if (large[i] <= LAST_CHARACTER && (i == 0 || large[i] != large[i - 1]))
            a->class_begins[a->n_classes++] = large[i];
    free(large);
    return a->class_begins;
}

/* ------------------------------------------------------------------------------------------------------ frames */

/* The frame of an open call, made if there is none like it yet. */
static uint32_t push_frame(automaton *a, uint32_t edge_index, uint32_t count, uint32_t below) {
    const uint32_t key[3] = {edge_index, count, below};
    uint32_t *bucket = &a->frame_buckets[hash_bytes(1, key, sizeof key) % N_BUCKETS];
    for (uint32_t i = *bucket; i != NO_FRAME; i = a->frames[i].hash_next)
        if (a->frames[i].edge == edge_index && a->frames[i].count == count && a->frames[i].below == below) return i;
    if (!make_room(a, &a->frames, a->n_frames, &a->frames_capacity, sizeof *a->frames)) return NO_FRAME;
    a->frames[a->n_frames] = (frame){edge_index, below, count, *bucket};
    return *bucket = a->n_frames++;
}

/* ------------------------------------------------------------------------------------------------- collections */

static const collection *collected_by(const automaton *a, uint32_t stack) {
    return a->network->rules[a->network->edges[a->frames[stack].edge].rule].collected;
}

static const uint32_t *words_of(const automaton *a, uint32_t set) { return a->words + a->sets[set].first; }

static bool has_bit(const uint32_t *bits, uint32_t i) { return bits[i / 32] >> i % 32 & 1; }

/* A flag in the first word of a set, for a collection in order: an OTHER_MEMBER was added. */
#define OTHER_CAME 0x80000000u

static uint32_t n_in(const automaton *a, uint32_t set) { return set > 0 ? words_of(a, set)[0] & ~OTHER_CAME : 0; }

static bool is_in(const automaton *a, uint32_t set, uint32_t member) {
    return set > 0 && has_bit(words_of(a, set) + 1, member);
}

/* Find the set with these words, made if there is none yet. */
static uint32_t find_set(automaton *a, const uint32_t *words, uint32_t n_words) {
    uint32_t *bucket = &a->set_buckets[hash_bytes(3, words, n_words * sizeof *words) % N_BUCKETS];
    for (uint32_t i = *bucket; i != UNKNOWN; i = a->sets[i].hash_next)
        if (a->sets[i].n_words == n_words && memcmp(words_of(a, i), words, n_words * sizeof *words) == 0) return i;
    while (a->n_words + n_words > a->words_capacity)
        if (!make_room(a, &a->words, a->words_capacity, &a->words_capacity, sizeof *a->words)) return 0;
    if (!make_room(a, &a->sets, a->n_sets, &a->sets_capacity, sizeof *a->sets)) return 0;
    memcpy(a->words + a->n_words, words, n_words * sizeof *words);
    a->sets[a->n_sets] = (member_set){a->n_words, n_words, *bucket};
    a->n_words += n_words;
    return *bucket = a->n_sets++;
}

/* Find the set with one more member. */
static uint32_t add_to_set(automaton *a, const collection *c, uint32_t set, uint32_t member) {
    const uint32_t n_words = 1 + WORDS_OF(c->n_members), most = c->most == UINT32_MAX ? c->least : c->most + 1;
    memset(a->set, 0, n_words * sizeof *a->set);
    if (set > 0) memcpy(a->set, words_of(a, set), n_words * sizeof *a->set);
    if ((a->set[0] & ~OTHER_CAME) < most) a->set[0]++; /* higher counts make no difference */
    if (c->in_order && member == OTHER_MEMBER) a->set[0] |= OTHER_CAME;
    if (member != OTHER_MEMBER) a->set[1 + (member & ~REPEATABLE) / 32] |= 1u << (member & ~REPEATABLE) % 32;
    for (uint32_t i = 0; i < n_words; i++)
        if (a->set[i] != 0) return find_set(a, a->set, n_words);
    return 0;
}

/* How many members a set still needs once `member` (or OTHER_MEMBER) is added. before: count only the members before
 * this one. */
static uint32_t n_needed(automaton *a, const collection *c, uint32_t set, uint32_t member, uint32_t before) {
    const uint32_t n_words = WORDS_OF(c->n_members);
    uint32_t *needed = a->set, count = 0;
    for (uint32_t i = 0; i < n_words; i++)
        needed[i] = c->required[i] | (c->n_implications > 0 && set > 0 ? words_of(a, set)[1 + i] : 0);
    if (c->n_implications > 0 && member != OTHER_MEMBER) needed[member / 32] |= 1u << member % 32;
    for (bool grows = c->n_implications > 0; grows;) {
        grows = false;
        for (uint32_t i = 0; i < c->n_implications; i++) {
            const implication m = c->implications[i];
            if (!has_bit(needed, m.member) || has_bit(needed, m.needed)) continue;
            needed[m.needed / 32] |= 1u << m.needed % 32;
            grows = true;
        }
    }
    for (uint32_t i = 0; i < c->n_members && i < before; i++)
        if (has_bit(needed, i) && i != member && !is_in(a, set, i)) count++;
    return count;
}

/* True if the member of an edge MAY_ADD may be added to a set. */
static bool may_add(automaton *a, const collection *c, uint32_t set, const edge *e) {
    const uint32_t member_and_flag = e->low;
    const bool is_other = member_and_flag == OTHER_MEMBER;
    const uint32_t member = is_other ? OTHER_MEMBER : member_and_flag & ~REPEATABLE;
    if (!is_other && !(member_and_flag & REPEATABLE) && is_in(a, set, member)) return false;
    if (c->in_order && n_needed(a, c, set, member, member) > 0) return false;
    if (c->in_order && !is_other && set > 0 && words_of(a, set)[0] & OTHER_CAME) return false;
    if (c->in_order && !is_other)
        for (uint32_t i = member + 1; i < c->n_members; i++)
            if (is_in(a, set, i)) return false;
    return c->most == UINT32_MAX ||
           (uint64_t)n_in(a, set) + 1 + n_needed(a, c, set, member, UINT32_MAX) + e->high <= c->most;
}

static bool may_add_any(automaton *a, const collection *c, uint32_t set) {
    for (uint32_t at = a->network->nodes[c->choices]; at != NO_NODE; at = a->network->edges[at].next)
        if (a->network->edges[at].kind == EDGE_MAY_ADD && may_add(a, c, set, &a->network->edges[at])) return true;
    return false;
}

static bool is_complete(automaton *a, const collection *c, uint32_t set) {
    return n_in(a, set) >= c->least && n_needed(a, c, set, OTHER_MEMBER, UINT32_MAX) == 0;
}

/* ----------------------------------------------------------------------------------------------------- closure */

/* Add a place to those that are followed, if it is new. */
static void reach(automaton *a, uint32_t node, uint32_t stack, uint32_t n_pushed) {
    const step s = {{node, stack}, n_pushed};
    if (2 * a->n_steps >= a->seen_capacity) { /* the table must grow */
        const uint32_t larger = a->seen_capacity > 0 ? 2 * a->seen_capacity : 512;
        uint32_t *seen = realloc(a->seen, larger * sizeof *seen);
        if (!seen) {
            a->failed = CLLM_ERR_MEMORY;
            return;
        }
        a->seen = seen;
        a->seen_capacity = larger;
        for (uint32_t i = 0; i < larger; i++) seen[i] = NO_NODE;
        for (uint32_t i = 0; i < a->n_steps; i++) {
            uint32_t at = (uint32_t)(hash_bytes(2, &a->steps[i], sizeof s) % larger);
            while (seen[at] != NO_NODE) at = (at + 1) % larger;
            seen[at] = i;
        }
    }
    uint32_t at = (uint32_t)(hash_bytes(2, &s, sizeof s) % a->seen_capacity);
    for (; a->seen[at] != NO_NODE; at = (at + 1) % a->seen_capacity)
        if (memcmp(&a->steps[a->seen[at]], &s, sizeof s) == 0) return;
    if (a->n_steps >= MOST_PLACES) a->failed = CLLM_ERR_UNSUPPORTED;
    if (a->failed != CLLM_OK || !make_room(a, &a->steps, a->n_steps, &a->steps_capacity, sizeof *a->steps)) return;
    a->seen[at] = a->n_steps;
    a->steps[a->n_steps++] = s;
}

/* Enter a rule. If nothing follows the call, no frame is needed: the end of this rule is then the end of the calling
 * rule. */
static void enter(automaton *a, uint32_t edge_index, uint32_t count, uint32_t stack, uint32_t n_pushed) {
    const edge *e = &a->network->edges[edge_index];
    const uint32_t begin = a->network->rules[e->rule].begin;
    if (e->kind == EDGE_CALL && a->is_tail[e->target])
        reach(a, begin, stack, n_pushed);
    else
        reach(a, begin, push_frame(a, edge_index, count, stack), n_pushed + 1);
}

/* After `count` turns of a repetition: continue behind it, or repeat once more. */
static void turn(automaton *a, uint32_t edge_index, uint32_t count, uint32_t stack, uint32_t n_pushed) {
    const edge *e = &a->network->edges[edge_index];
    if (count >= e->low) reach(a, e->target, stack, n_pushed);
    if (count < e->high) enter(a, edge_index, count, stack, n_pushed);
}

/* At the end of a rule: return to where it was called. */
static void leave(automaton *a, uint32_t stack, uint32_t n_pushed) {
    if (stack == NO_FRAME) {
        a->accepts = true;
        return;
    }
    const frame f = a->frames[stack];
    const edge *e = &a->network->edges[f.edge];
    const uint32_t n_left = n_pushed > 0 ? n_pushed - 1 : 0;
    if (e->kind != EDGE_REPEAT) {
        reach(a, e->target, f.below, n_left);
    } else if (n_pushed == 0) {                                         /* an empty turn does not count */
        const uint32_t most = e->high == UINT32_MAX ? e->low : e->high; /* higher counts make no difference */
        turn(a, f.edge, f.count < most ? f.count + 1 : most, f.below, 0);
    }
}

/* Follow an edge in the rule of a collection. The frame of that rule is on top of the stack. */
static void follow_member(automaton *a, const edge *e, uint32_t stack, uint32_t n_pushed) {
    const frame f = a->frames[stack];
    const collection *c = collected_by(a, stack);
    const bool passes = e->kind == EDGE_MAY_ADD    ? may_add(a, c, f.count, e)
                        : e->kind == EDGE_MORE     ? may_add_any(a, c, f.count)
                        : e->kind == EDGE_COMPLETE ? is_complete(a, c, f.count)
                                                   : true;
    if (e->kind == EDGE_ADD) stack = push_frame(a, f.edge, add_to_set(a, c, f.count, e->low), f.below);
    if (passes) reach(a, e->target, stack, n_pushed);
}

/* Follow all edges of a place that read nothing. If it has edges that read a symbol, add it to `found`. */
static void follow(automaton *a, step s) {
    const network *n = a->network;
    bool reads = false;
    if (a->is_end[s.at.node]) leave(a, s.at.stack, s.n_pushed);
    for (uint32_t at = n->nodes[s.at.node]; at != NO_NODE; at = n->edges[at].next) {
        const edge *e = &n->edges[at];
        switch (e->kind) {
        case EDGE_SYMBOLS: reads = true; break;
        case EDGE_EMPTY:
        case EDGE_NEEDS: reach(a, e->target, s.at.stack, s.n_pushed); break;
        case EDGE_AT_BEGIN:
            if (a->at_begin) reach(a, e->target, s.at.stack, s.n_pushed);
            break;
        case EDGE_AT_END:
            if (a->at_end) reach(a, e->target, s.at.stack, s.n_pushed);
            break;
        case EDGE_CALL:
        case EDGE_COLLECT: enter(a, at, 0, s.at.stack, s.n_pushed); break;
        case EDGE_REPEAT: turn(a, at, 0, s.at.stack, s.n_pushed); break;
        case EDGE_MAY_ADD:
        case EDGE_ADD:
        case EDGE_MORE:
        case EDGE_COMPLETE: follow_member(a, e, s.at.stack, s.n_pushed); break;
        }
    }
    if (reads && !a->at_end && make_room(a, &a->found, a->n_found, &a->found_capacity, sizeof *a->found))
        a->found[a->n_found++] = s.at;
}

static int by_place(const void *a, const void *b) {
    const place *one = a, *other = b;
    if (one->node != other->node) return one->node < other->node ? -1 : 1;
    return one->stack < other->stack ? -1 : one->stack > other->stack;
}

static uint32_t add_state(automaton *a, uint32_t *bucket) {
    if (a->n_states >= MOST_STATES_EVER || a->n_places + a->n_found > MOST_PLACES_EVER) {
        a->failed = CLLM_ERR_UNSUPPORTED;
        return DEAD_STATE;
    }
    if (!make_room(a, &a->states, a->n_states, &a->states_capacity, sizeof *a->states)) return DEAD_STATE;
    while (a->n_places + a->n_found > a->places_capacity) {
        uint32_t count = a->places_capacity;
        if (!make_room(a, &a->places, count, &a->places_capacity, sizeof *a->places)) return DEAD_STATE;
    }
    uint32_t *next = malloc(a->n_classes * sizeof *next);
    if (!next) {
        a->failed = CLLM_ERR_MEMORY;
        return DEAD_STATE;
    }
    for (uint32_t i = 0; i < a->n_classes; i++) next[i] = UNKNOWN;
    state *s = &a->states[a->n_states];
    *s = (state){.next = next,
                 .places = a->n_places,
                 .n_places = a->n_found,
                 .hash_next = *bucket,
                 .text_next = UNKNOWN_TEXT,
                 .accepts = a->accepts};
    if (a->n_found > 0) memcpy(a->places + a->n_places, a->found, a->n_found * sizeof *a->found);
    a->n_places += a->n_found;
    return *bucket = a->n_states++;
}

static void begin_set(automaton *a) {
    if (8 * a->n_steps >= a->seen_capacity)
        for (uint32_t i = 0; i < a->seen_capacity; i++) a->seen[i] = NO_NODE;
    else
        for (uint32_t i = 0; i < a->n_steps; i++) { /* there are few: remove each from the table */
            uint32_t at = (uint32_t)(hash_bytes(2, &a->steps[i], sizeof *a->steps) % a->seen_capacity);
            while (a->seen[at] != i) at = (at + 1) % a->seen_capacity;
            a->seen[at] = NO_NODE;
        }
    a->n_steps = a->n_found = a->n_edges = 0;
    a->accepts = false;
}

/* Find the closure of the places that were reached, and its state. */
static uint32_t end_set(automaton *a) {
    for (uint32_t i = 0; i < a->n_steps && a->failed == CLLM_OK; i++) follow(a, a->steps[i]);
    if (a->has_ends) { /* once more, with the edges AT_END open */
        a->at_end = true;
        for (uint32_t i = 0; i < a->n_steps && a->failed == CLLM_OK; i++) follow(a, a->steps[i]);
        a->at_end = false;
    }
    if (a->failed != CLLM_OK || (a->n_found == 0 && !a->accepts)) return DEAD_STATE;
    if (a->n_found > 0) qsort(a->found, a->n_found, sizeof *a->found, by_place);
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n_found; i++)
        if (i == 0 || by_place(&a->found[i], &a->found[i - 1]) != 0) a->found[n++] = a->found[i];
    a->n_found = n;
    uint32_t *bucket = &a->state_buckets[hash_bytes(a->accepts, a->found, n * sizeof *a->found) % N_BUCKETS];
    for (uint32_t i = *bucket; i != UNKNOWN; i = a->states[i].hash_next) {
        const state *s = &a->states[i];
        if (s->n_places == n && s->accepts == a->accepts &&
            (n == 0 || memcmp(a->places + s->places, a->found, n * sizeof *a->found) == 0))
            return i;
    }
    return add_state(a, bucket);
}

/* ------------------------------------------------------------------------------------- functions of automaton.h */

uint32_t automaton_begin(automaton *a) {
    if (a->begin == UNKNOWN) {
        begin_set(a);
        reach(a, a->network->rules[0].begin, NO_FRAME, 0);
        a->at_begin = true;
        const uint32_t begin = end_set(a);
        a->at_begin = false;
        if (a->failed != CLLM_OK) return DEAD_STATE;
        a->begin = begin;
    }
    return a->begin;
}

state *automaton_state(const automaton *a, uint32_t index) { return &a->states[index]; }

uint32_t automaton_classes(const automaton *a, const uint32_t **begins) {
    *begins = a->class_begins;
    return a->n_classes;
}

uint32_t automaton_n_followed(const automaton *a) { return a->n_steps + a->n_edges / 8; }

uint32_t automaton_step_class(automaton *a, uint32_t from, uint32_t class) {
    const uint32_t known = a->states[from].next[class], symbol = a->class_begins[class];
    if (known != UNKNOWN) return known;
    const network *n = a->network;
    begin_set(a);
    for (uint32_t i = 0; i < a->states[from].n_places; i++) {
        const place at = a->places[a->states[from].places + i];
        for (uint32_t k = n->nodes[at.node]; k != NO_NODE; k = n->edges[k].next) {
            const edge *e = &n->edges[k];
            a->n_edges++;
            if (e->kind == EDGE_SYMBOLS && symbol >= e->low && symbol <= e->high) reach(a, e->target, at.stack, 0);
        }
    }
    const uint32_t to = end_set(a);
    if (a->failed == CLLM_OK) a->states[from].next[class] = to;
    return to;
}

uint32_t automaton_step(automaton *a, uint32_t from, uint8_t byte) {
    const uint32_t class = a->classes[byte], known = a->states[from].next[class];
    return known != UNKNOWN ? known : automaton_step_class(a, from, class);
}

uint32_t automaton_step_token(automaton *a, uint32_t from, int32_t token) {
    const uint32_t symbol = FIRST_TOKEN_SYMBOL + (uint32_t)token;
    const uint32_t *begins = bsearch(&symbol, a->class_begins, a->n_classes, sizeof symbol, by_number);
    return begins ? automaton_step_class(a, from, (uint32_t)(begins - a->class_begins)) : DEAD_STATE;
}

bool automaton_only_byte(automaton *a, uint32_t from, uint8_t *byte) {
    uint32_t n = 0;
    if (a->states[from].accepts) return false;
    for (uint32_t k = 0; k < a->n_classes && n < 2; k++) {
        const uint32_t first = a->class_begins[k];
        const bool is_last = k + 1 == a->n_classes || a->class_begins[k + 1] > 256;
        const uint32_t last = is_last ? 255 : a->class_begins[k + 1] - 1;
        if (automaton_step_class(a, from, k) == DEAD_STATE) continue;
        if (first >= FIRST_TOKEN_SYMBOL) return false;
        *byte = (uint8_t)last;
        n += last - first + 1;
    }
    return n == 1;
}

/* Check that all characters that begin with a byte from low to high, and have n_more bytes after that, lead to the
 * same state: *to. If that is UNKNOWN_TEXT, it is set to the first state found. */
static bool all_lead_to(automaton *a, uint32_t from, uint8_t low, uint8_t high, int n_more, uint32_t *to) {
    for (unsigned byte = low; byte <= high; byte++) {
        if (byte > low && a->classes[byte] == a->classes[byte - 1]) continue;
        const uint32_t next = automaton_step(a, from, (uint8_t)byte);
        if (n_more > 0 && next != DEAD_STATE) {
            if (!all_lead_to(a, next, 0x80, 0xBF, n_more - 1, to)) return false;
            continue;
        }
        if (*to == UNKNOWN_TEXT) *to = next;
        if (*to != next) return false;
    }
    return true;
}

/* automaton_text_next, computed. */
static uint32_t find_text_next(automaton *a, uint32_t from) {
    static const struct {
        uint8_t low, high; /* of first bytes */
        uint8_t second_low, second_high;
        int n_more; /* bytes after the second one */
    } longer[] = {{0xC2, 0xDF, 0x80, 0xBF, 0}, {0xE0, 0xE0, 0xA0, 0xBF, 1}, {0xE1, 0xEC, 0x80, 0xBF, 1},
                  {0xED, 0xED, 0x80, 0x9F, 1}, {0xEE, 0xEF, 0x80, 0xBF, 1}, {0xF0, 0xF0, 0x90, 0xBF, 2},
                  {0xF1, 0xF3, 0x80, 0xBF, 2}, {0xF4, 0xF4, 0x80, 0x8F, 2}};
    uint32_t to = UNKNOWN_TEXT;
    if (!all_lead_to(a, from, ' ', '!', 0, &to) || !all_lead_to(a, from, '#', '[', 0, &to) ||
        !all_lead_to(a, from, ']', '~', 0, &to))
        return NOT_TEXT;
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        for (unsigned byte = longer[i].low; byte <= longer[i].high; byte++) {
            if (byte > longer[i].low && a->classes[byte] == a->classes[byte - 1]) continue;
            const uint32_t next = automaton_step(a, from, (uint8_t)byte);
            if (next == DEAD_STATE
                    ? to != DEAD_STATE
                    : !all_lead_to(a, next, longer[i].second_low, longer[i].second_high, longer[i].n_more, &to))
                return NOT_TEXT;
        }
    return to;
}

uint32_t automaton_text_next(automaton *a, uint32_t from) {
    if (a->states[from].text_next == UNKNOWN_TEXT) {
        const uint32_t to = find_text_next(a, from);
        if (a->failed != CLLM_OK) return NOT_TEXT;
        a->states[from].text_next = to;
    }
    return a->states[from].text_next;
}

static void free_parts(const state *states, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        free(states[i].next);
        free(states[i].mask);
    }
}

static bool add_first_set(automaton *a) {
    if (!make_room(a, &a->sets, 0, &a->sets_capacity, sizeof *a->sets)) return false;
    a->sets[0] = (member_set){0};
    return true;
}

static void clear_buckets(automaton *a) {
    for (uint32_t i = 0; i < N_BUCKETS; i++) a->state_buckets[i] = a->frame_buckets[i] = a->set_buckets[i] = UNKNOWN;
}

static void forget_states(automaton *a) {
    a->n_states = a->n_places = a->n_frames = a->n_words = 0;
    a->n_sets = 1;
    a->mask_bytes = 0;
    a->begin = UNKNOWN;
    clear_buckets(a);
}

/* Add the dead state, which nothing can follow. It is the first one. */
static void add_dead_state(automaton *a) {
    uint32_t bucket = UNKNOWN; /* it is in no bucket, because it is never searched for */
    begin_set(a);
    add_state(a, &bucket);
    for (uint32_t i = 0; a->failed == CLLM_OK && i < a->n_classes; i++) a->states[DEAD_STATE].next[i] = DEAD_STATE;
}

automaton *automaton_create(const network *n) {
    automaton *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->network = n;
    a->is_end = calloc(n->n_nodes, sizeof *a->is_end);
    a->is_tail = calloc(n->n_nodes, sizeof *a->is_tail);
    a->state_buckets = malloc(N_BUCKETS * sizeof *a->state_buckets);
    a->frame_buckets = malloc(N_BUCKETS * sizeof *a->frame_buckets);
    a->set_buckets = malloc(N_BUCKETS * sizeof *a->set_buckets);
    uint32_t most_members = 0;
    for (uint32_t i = 0; i < n->n_rules; i++)
        if (n->rules[i].collected && n->rules[i].collected->n_members > most_members)
            most_members = n->rules[i].collected->n_members;
    a->set = malloc((1 + WORDS_OF(most_members)) * sizeof *a->set);
    if (!a->is_end || !a->is_tail || !a->state_buckets || !a->frame_buckets || !a->set_buckets || !a->set ||
        !add_first_set(a) || !find_classes(a)) {
        automaton_destroy(a);
        return NULL;
    }
    for (uint32_t i = 0; i < n->n_rules; i++) a->is_end[n->rules[i].end] = true;
    for (uint32_t i = 0; i < n->n_edges; i++) a->has_ends |= n->edges[i].kind == EDGE_AT_END;
    find_tails(a);
    forget_states(a);
    add_dead_state(a);
    if (a->failed == CLLM_OK) return a;
    automaton_destroy(a);
    return NULL;
}

void automaton_destroy(automaton *a) {
    if (!a) return;
    free_parts(a->states, a->n_states);
    free(a->is_end);
    free(a->is_tail);
    free(a->states);
    free(a->places);
    free(a->frames);
    free(a->sets);
    free(a->words);
    free(a->set);
    free(a->class_begins);
    free(a->state_buckets);
    free(a->frame_buckets);
    free(a->set_buckets);
    free(a->steps);
    free(a->seen);
    free(a->found);
    free(a);
}

void automaton_hold(automaton *a, held_state *held) {
    held->state = automaton_begin(a);
    held->next = a->held;
    a->held = held;
}

void automaton_release(automaton *a, held_state *held) {
    held_state **at = &a->held;
    while (*at && *at != held) at = &(*at)->next;
    if (*at) *at = held->next;
}

/* Copy a stack of the old frames to the new ones. */
static uint32_t move_stack(automaton *a, const automaton *old, uint32_t stack) {
    uint32_t depth = 0, moved = NO_FRAME;
    for (uint32_t i = stack; i != NO_FRAME; i = old->frames[i].below) depth++;
    uint32_t *path = malloc((depth + 1) * sizeof *path);
    if (!path) {
        a->failed = CLLM_ERR_MEMORY;
        return NO_FRAME;
    }
    depth = 0;
    for (uint32_t i = stack; i != NO_FRAME; i = old->frames[i].below) path[depth++] = i;
    while (depth-- > 0) {
        const frame f = old->frames[path[depth]];
        const bool is_set = a->network->edges[f.edge].kind == EDGE_COLLECT && f.count > 0;
        const member_set *set = &old->sets[is_set ? f.count : 0];
        moved = push_frame(a, f.edge, is_set ? find_set(a, old->words + set->first, set->n_words) : f.count, moved);
    }
    free(path);
    return moved;
}

/* Drop all states except the held ones, which are made again from their places. If there is no memory for them, all
 * states stay. */
static void begin_anew(automaton *a) {
    begin_set(a); /* before the copy is made, so that it has no steps: both use the same table `seen` */
    const automaton old = *a;
    a->states = NULL;
    a->places = NULL;
    a->frames = NULL;
    a->sets = NULL;
    a->words = NULL;
    a->states_capacity = a->places_capacity = a->frames_capacity = a->sets_capacity = a->words_capacity = 0;
    forget_states(a);
    if (add_first_set(a)) add_dead_state(a);
    for (held_state *held = a->held; held && a->failed == CLLM_OK; held = held->next) {
        const state *was = &old.states[held->state];
        held->moved = DEAD_STATE;
        if (held->state == DEAD_STATE) continue;
        begin_set(a);
        /* these places were in `found` before, so it has room for them */
        for (uint32_t i = 0; i < was->n_places && a->failed == CLLM_OK; i++) {
            const place at = old.places[was->places + i];
            a->found[a->n_found++] = (place){at.node, move_stack(a, &old, at.stack)};
        }
        a->accepts = was->accepts;
        held->moved = end_set(a);
    }
    const cllm_status failed = a->failed;
    const automaton dropped = failed == CLLM_OK ? old : *a;
    for (held_state *held = a->held; held && failed == CLLM_OK; held = held->next) held->state = held->moved;
    if (failed != CLLM_OK) {
        *a = old;
        a->failed = failed;
        clear_buckets(a); /* they are of the new states; the old ones are not searched for any more */
    }
    free_parts(dropped.states, dropped.n_states);
    free(dropped.states);
    free(dropped.places);
    free(dropped.frames);
    free(dropped.sets);
    free(dropped.words);
}

void automaton_drop_masks(automaton *a) {
    for (uint32_t i = 0; i < a->n_states; i++) {
        free(a->states[i].mask);
        a->states[i].mask = NULL;
    }
    a->mask_bytes = 0;
}

void automaton_trim(automaton *a) {
    if (a->mask_bytes > MOST_MASK_BYTES) automaton_drop_masks(a);
    if (a->n_states >= MOST_STATES || a->n_frames >= MOST_FRAMES || a->n_places >= MOST_PLACES_EVER / 2 ||
        a->n_words >= MOST_WORDS)
        begin_anew(a);
}

uint32_t *automaton_new_mask(automaton *a, uint32_t index, size_t n_words) {
    uint32_t *mask = calloc(n_words, sizeof *mask);
    a->states[index].mask = mask;
    if (mask) a->mask_bytes += n_words * sizeof *mask;
    return mask;
}

cllm_status automaton_error(automaton *a, cllm_error *err) {
    const cllm_status failed = a->failed;
    a->failed = CLLM_OK;
    if (failed == CLLM_ERR_MEMORY) return error_set(err, failed, "no memory for the states of a grammar");
    return failed == CLLM_OK
               ? CLLM_OK
               : error_set(err, failed, "the grammar allows too many ways to continue here; make it simpler");
}
