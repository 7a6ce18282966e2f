/* The compiled form of a grammar: a network of nodes. An edge reads a symbol (a byte or a special token; or a
 * character), or reads nothing, or calls a rule. A rule is a part of the network with a beginning and an end. After a
 * call the walk goes on where the call's edge leads. Before this: gbnf.c, regex.c, schema.c and structure.c, which
 * build networks. After it: automaton.c, which walks them.
 *
 *   root ::= "[" item* "]"          (0) --[--> (1) --call item--> (1) --]--> (2) end */
#ifndef SAMPLING_NETWORK_H
#define SAMPLING_NETWORK_H

#include "cllm.h"

#define NO_NODE UINT32_MAX

/* If symbols are bytes, symbols from here on are special tokens: token t is FIRST_TOKEN_SYMBOL + t. */
#define FIRST_TOKEN_SYMBOL 256u

typedef enum edge_kind {
    EDGE_SYMBOLS,  /* reads one symbol from `low` to `high` */
    EDGE_EMPTY,    /* reads nothing */
    EDGE_CALL,     /* a call of a rule, then the target */
    EDGE_REPEAT,   /* a rule repeated `low` to `high` times, then the target */
    EDGE_AT_BEGIN, /* empty; only before the first symbol */
    EDGE_AT_END,   /* empty; only after the last symbol */
    EDGE_NEEDS,    /* empty; only if `rule` can be finished, so that it allows some text */
    EDGE_COLLECT,  /* calls a rule that builds a collection, then the target. Only such a rule has the edges below: */
    EDGE_MAY_ADD,  /* empty; only if `member` may be added */
    EDGE_ADD,      /* empty; adds `member` to the collection */
    EDGE_MORE,     /* empty; only if at least one member may be added */
    EDGE_COMPLETE, /* empty; only if nothing more is needed */
} edge_kind;

typedef struct edge {
    edge_kind kind;
    /* For SYMBOLS: the first and the last one. For REPEAT: least and most times; UINT32_MAX: any number. For MAY_ADD
     * and ADD: `low` is the member. For MAY_ADD, `high` is the number of members for which there must be room after
     * it. */
    uint32_t low, high;
    uint32_t target;
    uint32_t rule; /* for CALL, REPEAT, NEEDS, COLLECT */
    uint32_t next; /* next edge of the same node, or NO_NODE */
} edge;

/* A collection has members that come one by one: the properties of an object, the items of an array, or the characters
 * of a string whose length is counted. They may come in any order, unless in_order is set. Some members have a number,
 * and can be added once. The others (OTHER_MEMBER) are only counted. */
#define OTHER_MEMBER UINT32_MAX
#define REPEATABLE   0x80000000u /* a flag of a member that may be added again */

typedef struct implication {
    uint32_t member, needed; /* if the collection has `member`, it must have `needed` */
} implication;

typedef struct collection {
    uint32_t n_members;       /* members that have a number: 0 .. n_members - 1 */
    uint32_t least, most;     /* members in all; most: UINT32_MAX is any number */
    const uint32_t *required; /* [WORDS_OF(n_members)] bits */
    const implication *implications;
    uint32_t n_implications;
    uint32_t choices; /* the node that has all MAY_ADD edges */
    bool in_order;    /* members come in the order of their numbers, other members after them */
} collection;

#define WORDS_OF(n_bits) (((n_bits) + 31) / 32)

typedef struct network_rule {
    uint32_t begin, end;         /* nodes */
    const char *name;            /* for messages */
    const collection *collected; /* for COLLECT, or NULL */
} network_rule;

typedef struct network {
    bool of_characters;  /* the symbols are code points, not bytes */
    edge *edges;         /* [n_edges], owned like the arrays below */
    uint32_t *nodes;     /* [n_nodes] the first edge, or NO_NODE */
    network_rule *rules; /* [n_rules]; the first is the whole grammar */
    uint32_t n_edges, edges_capacity, n_nodes, nodes_capacity, n_rules, rules_capacity;
    cllm_status failed; /* CLLM_OK; or MEMORY; or UNSUPPORTED: it is too large */
} network;

enum { NETWORK_MOST_EDGES = 2 << 20 };

/* After an error `failed` is set, and nothing more is added. So a builder checks once, at its end. */
uint32_t network_add_node(network *n);
uint32_t network_add_rule(network *n, const char *name); /* with its beginning and end; name: kept, not copied */
void network_add_symbols(network *n, uint32_t from, uint32_t low, uint32_t high, uint32_t to);
void network_add_empty(network *n, uint32_t from, uint32_t to);
void network_add_call(network *n, uint32_t from, uint32_t rule, uint32_t to);
void network_add_needs(network *n, uint32_t from, uint32_t rule, uint32_t to);
void network_add_repeat(network *n, uint32_t from, uint32_t rule, uint32_t least, uint32_t most, uint32_t to);
void network_add_anchor(network *n, uint32_t from, edge_kind kind, uint32_t to); /* AT_BEGIN, AT_END */

/* COLLECT, and the edges of the rule that it calls. The caller sets the `collected` of this rule. */
void network_add_collect(network *n, uint32_t from, uint32_t rule, uint32_t to);
void network_add_member(network *n, uint32_t from, edge_kind kind, uint32_t member, uint32_t to); /* MAY_ADD, ADD */
void network_add_other(network *n, uint32_t from, uint32_t room, uint32_t to);  /* MAY_ADD of OTHER_MEMBER */
void network_add_guard(network *n, uint32_t from, edge_kind kind, uint32_t to); /* MORE, COMPLETE */

void network_add_text(network *n, uint32_t from, const char *bytes, size_t length, uint32_t to);

/* Lead from `from` to `to` by the part of the network from `begin` to `end`, repeated least to most times; most:
 * UINT32_MAX is any number. */
void network_add_repeated(network *n, uint32_t begin, uint32_t end, uint32_t least, uint32_t most, uint32_t from,
                          uint32_t to);
void network_free(network *n);

/* Returns `failed`, with a message. */
cllm_status network_error(const network *n, cllm_error *err);

/* A set of characters: ranges that may overlap. */
typedef struct char_range {
    uint32_t low, high;
} char_range;

enum { LAST_CHARACTER = 0x10FFFF };

/* Add edges that read one character of the ranges, in UTF-8 if symbols are bytes. Surrogates in the ranges are
 * ignored. */
void network_add_characters(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, uint32_t to);

/* The same for one character outside the ranges. The ranges are sorted in place. */
void network_add_other_characters(network *n, uint32_t from, char_range *ranges, size_t n_ranges, uint32_t to);

/* Finish a network: remove the parts that no text can get through, and refuse rules that call themselves before they
 * read anything, because a walk would never leave them. Errors: those of building; ARGUMENT (no text is allowed, or
 * such a rule); MEMORY; UNSUPPORTED (too large). */
cllm_status network_finish(network *n, cllm_error *err);

#endif
