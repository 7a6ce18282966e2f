/* The compiled form of a grammar: a network of nodes. Its edges are symbols (bytes and special tokens, or characters),
 * empty, or calls of rules. A rule is a part of the network with a beginning and an end; a call remembers where to
 * continue. Grammars, schemas and regular expressions build it; automaton.c walks it.
 *
 *   root ::= "[" item* "]"          (0) --[--> (1) --call item--> (1) --]--> (2) end */
#ifndef SAMPLING_NETWORK_H
#define SAMPLING_NETWORK_H

#include "base/arena.h"
#include "cllm.h"

#define NO_NODE UINT32_MAX

/* If symbols are bytes, symbols from here on are special tokens: token t is FIRST_TOKEN_SYMBOL + t. */
#define FIRST_TOKEN_SYMBOL 256u

typedef enum edge_kind {
    EDGE_SYMBOLS,  /* one symbol from `low` to `high` */
    EDGE_EMPTY,    /* nothing */
    EDGE_CALL,     /* a call of a rule, then the target */
    EDGE_REPEAT,   /* a rule repeated `low` to `high` times, then the target */
    EDGE_AT_BEGIN, /* empty; only before the first symbol */
    EDGE_AT_END,   /* empty; only after the last symbol */
    EDGE_NEEDS,    /* empty; only if a rule allows some text */
    EDGE_COLLECT,  /* a rule that builds a collection, then the target. In that rule: */
    EDGE_MAY_ADD,  /* empty; only if `member` may be added */
    EDGE_ADD,      /* empty; adds `member` */
    EDGE_MORE,     /* empty; only if any member may be added */
    EDGE_COMPLETE, /* empty; only if nothing more is needed */
} edge_kind;

typedef struct edge {
    edge_kind kind;
    uint32_t low,
        high; /* for SYMBOLS. REPEAT: least and most times; most: UINT32_MAX is any number. Members: `low` is the
                 member, `high` the room that must be left after it */
    uint32_t target;
    uint32_t rule; /* for CALL, REPEAT, NEEDS, COLLECT */
    uint32_t next; /* next edge of the same node, or NO_NODE */
} edge;

/* Items that may come in any order: properties of an object, items of an array. Some members are told apart and added
 * at most once. Of the others (OTHER_MEMBER) only the number counts. */
#define OTHER_MEMBER UINT32_MAX
#define REPEATABLE   0x80000000u /* a flag of a member that may be added again */

typedef struct implication {
    uint32_t member, needed; /* if the collection has `member`, it must have `needed` */
} implication;

typedef struct collection {
    uint32_t n_members;       /* members that are told apart */
    uint32_t least, most;     /* of all members; most: UINT32_MAX is any number */
    const uint32_t *required; /* [WORDS_OF(n_members)] bits */
    const implication *implications;
    uint32_t n_implications;
    uint32_t choices; /* the node that has all MAY_ADD edges */
    bool in_order;    /* members come in their order, other members after them */
} collection;

#define WORDS_OF(n_bits) (((n_bits) + 31) / 32)

typedef struct network_rule {
    uint32_t begin, end;         /* nodes */
    const char *name;            /* for messages */
    const collection *collected; /* for COLLECT, or NULL */
} network_rule;

typedef struct network {
    bool of_characters;  /* the symbols are code points, not bytes */
    edge *edges;         /* [n_edges], owned as the others */
    uint32_t *nodes;     /* [n_nodes] the first edge, or NO_NODE */
    network_rule *rules; /* [n_rules]; the first is the whole grammar */
    uint32_t n_edges, edges_capacity, n_nodes, nodes_capacity, n_rules, rules_capacity;
    bool failed; /* out of memory, or too large */
} network;

enum { NETWORK_MOST_EDGES = 2 << 20 };

/* Errors are remembered in `failed`, so a builder checks once, at its end. */
uint32_t network_add_node(network *n);
uint32_t network_add_rule(network *n, const char *name); /* with a beginning and an end; name: kept, not copied */
void network_add_symbols(network *n, uint32_t from, uint32_t low, uint32_t high, uint32_t to);
void network_add_empty(network *n, uint32_t from, uint32_t to);
void network_add_call(network *n, uint32_t from, uint32_t rule, uint32_t to);
void network_add_needs(network *n, uint32_t from, uint32_t rule, uint32_t to);
void network_add_repeat(network *n, uint32_t from, uint32_t rule, uint32_t least, uint32_t most, uint32_t to);
void network_add_anchor(network *n, uint32_t from, edge_kind kind, uint32_t to); /* AT_BEGIN, AT_END */

/* A rule that builds a collection; called by COLLECT. The collection is kept, not copied. */
void network_add_collect(network *n, uint32_t from, uint32_t rule, uint32_t to);
void network_add_member(network *n, uint32_t from, edge_kind kind, uint32_t member, uint32_t to); /* MAY_ADD, ADD */
void network_add_other(network *n, uint32_t from, uint32_t room,
                       uint32_t to); /* MAY_ADD, with room for more after it */
void network_add_guard(network *n, uint32_t from, edge_kind kind, uint32_t to); /* MORE, COMPLETE */

void network_add_text(network *n, uint32_t from, const char *bytes, size_t length, uint32_t to);

/* From `from` to `to` by the part from `begin` to `end`, repeated least to most times; most: UINT32_MAX is any
 * number. */
void network_add_repeated(network *n, uint32_t begin, uint32_t end, uint32_t least, uint32_t most, uint32_t from,
                          uint32_t to);
void network_free(network *n);

/* A set of characters: ranges that may overlap. */
typedef struct char_range {
    uint32_t low, high;
} char_range;

enum { LAST_CHARACTER = 0x10FFFF };

/* One character of the ranges, in UTF-8 if symbols are bytes; surrogates do not count. */
void network_add_characters(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, uint32_t to);

/* One character outside the ranges, which are sorted. */
void network_add_other_characters(network *n, uint32_t from, char_range *ranges, size_t n_ranges, uint32_t to);

/* Remove parts that no text can finish, and refuse networks that a walk would never leave. Errors: ARGUMENT (no text is
 * allowed; a rule calls itself before it reads anything), MEMORY, UNSUPPORTED (too large). */
cllm_status network_finish(network *n, cllm_error *err);

#endif
