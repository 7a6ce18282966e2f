/* What a grammar is compiled to: a network of nodes, whose edges are bytes, nothing, or calls of rules. A rule is a part of the network
 * with a beginning and an end; a call remembers where to go on. Grammars, schemas and regular expressions build it; automaton.c walks it.
 *
 *   root ::= "[" item* "]"          (0) --[--> (1) --call item--> (1) --]--> (2) end
 */
#ifndef SAMPLING_NETWORK_H
#define SAMPLING_NETWORK_H

#include "base/arena.h"
#include "cllm.h"

#define NO_NODE UINT32_MAX

typedef enum edge_kind {
    EDGE_BYTES,  /* one byte from `low` to `high` */
    EDGE_EMPTY,  /* nothing */
    EDGE_CALL,   /* a rule, and then the target */
    EDGE_REPEAT, /* a rule so many times, and then the target */
} edge_kind;

typedef struct edge {
    edge_kind kind;
    uint8_t low, high;
    uint32_t target;
    uint32_t rule;        /* of CALL and REPEAT */
    uint32_t least, most; /* of REPEAT; most: UINT32_MAX is any number */
    uint32_t next;        /* of the same node, or NO_NODE */
} edge;

typedef struct network_rule {
    uint32_t begin, end; /* nodes */
    const char *name;    /* for messages */
} network_rule;

typedef struct network {
    edge *edges;         /* [n_edges], owned as the others */
    uint32_t *nodes;     /* [n_nodes] the first edge, or NO_NODE */
    network_rule *rules; /* [n_rules]; the first is the whole grammar */
    uint32_t n_edges, edges_capacity, n_nodes, nodes_capacity, n_rules, rules_capacity;
    bool failed; /* memory, or the cap on its size */
    uint32_t *
        text_nodes; /* [n_text_nodes]: from each of them characters of a JSON string, as many as come, lead back to it */
    uint32_t n_text_nodes, text_nodes_capacity;
} network;

enum { NETWORK_MOST_EDGES = 8 << 20 };

/* What goes wrong is remembered in `failed`, so that a builder asks once, at its end. */
uint32_t network_add_node(network *n);
uint32_t network_add_rule(network *n, const char *name); /* with a beginning and an end; name: kept, not copied */
void network_add_bytes(network *n, uint32_t from, uint8_t low, uint8_t high, uint32_t to);
void network_add_empty(network *n, uint32_t from, uint32_t to);
void network_add_call(network *n, uint32_t from, uint32_t rule, uint32_t to);
void network_add_repeat(network *n, uint32_t from, uint32_t rule, uint32_t least, uint32_t most, uint32_t to);
void network_add_text(network *n, uint32_t from, const char *bytes, size_t length, uint32_t to);

/* From `from` to `to` by what leads from `begin` to `end`, so many times; most: UINT32_MAX is any number. */
void network_add_repeated(network *n, uint32_t begin, uint32_t end, uint32_t least, uint32_t most, uint32_t from,
                          uint32_t to);
void network_free(network *n);

/* A set of characters: ranges that may overlap. */
typedef struct char_range {
    uint32_t low, high;
} char_range;

enum { LAST_CHARACTER = 0x10FFFF };

/* One character of the ranges, in UTF-8; surrogates are none. */
void network_add_characters(network *n, uint32_t from, const char_range *ranges, size_t n_ranges, uint32_t to);

/* The same of all other characters. Sorts the ranges. */
void network_add_other_characters(network *n, uint32_t from, char_range *ranges, size_t n_ranges, uint32_t to);

/* Take away what no text can be finished by, and tell apart what a walk would never come to the end of. Errors: ARGUMENT (no text at all is
 * allowed; a rule begins with itself, so that nothing is read before it is called again), MEMORY, UNSUPPORTED (it is too large). */
cllm_status network_finish(network *n, cllm_error *err);

#endif
