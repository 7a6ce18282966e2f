/* Builds a network from a structure (CLLM_GRAMMAR_STRUCTURE): parts of a text, described in JSON; cllm.h has the
 * language. Schemas and regular expressions become rules, as elsewhere. A literal becomes a path of bytes. Where it
 * spells a special token, another edge beside the path reads that token. Before it: grammar.c. After it:
 * network_finish. */
#include "sampling/grammar.h"
#include "sampling/schema.h"
#include "sampling/token_trie.h"

#include "base/error.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PATH = 200, MOST_MOVES = 1 << 28 /* about three seconds */ };

typedef struct builder {
    network *n;
    spelled_token *specials; /* [n_specials] owned */
    size_t n_specials;
    char_maker maker; /* of the automata of all schemas; its arena is for the rest, too */
    cllm_error *err;
    cllm_status status;
    char path[MOST_PATH + 32]; /* path of the part being read, for messages */
    size_t path_length;
} builder;

static bool fails(builder *b, cllm_status status, const char *message) {
    if (b->status == CLLM_OK) b->status = error_set(b->err, status, "structure, #%s: %s", b->path, message);
    return false;
}

/* ----------------------------------------------------------------------------------------------------- literals */

/* Collect the tokens that control the model but do not end its text. Returns false if memory runs out. */
static bool find_specials(builder *b, const cllm_tokenizer *tokenizer) {
    const uint32_t n_vocab = cllm_tokenizer_n_vocab(tokenizer);
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && !(b->specials = malloc((count + 1) * sizeof *b->specials))) return false;
        for (uint32_t i = 0; i < n_vocab; i++) {
            const int32_t token = (int32_t)i;
            if (!cllm_tokenizer_is_control(tokenizer, token) || cllm_tokenizer_is_eog(tokenizer, token)) continue;
            const cllm_string text = cllm_tokenizer_decode(tokenizer, token, token);
            if (text.length == 0) continue;
            if (pass == 0)
                count++;
            else
                b->specials[b->n_specials++] = (spelled_token){text, token};
        }
    }
    return true;
}

/* Add a literal: by its letters, and by special tokens where it spells them. */
static bool add_literal(builder *b, cllm_string text, uint32_t from, uint32_t to) {
    uint32_t *nodes = malloc((text.length + 1) * sizeof *nodes); /* the node before each byte */
    if (!nodes) return fails(b, CLLM_ERR_MEMORY, "no memory");
    if (text.length == 0) network_add_empty(b->n, from, to);
    nodes[0] = from;
    for (size_t i = 0; i < text.length; i++) {
        const uint8_t byte = (uint8_t)text.data[i];
        nodes[i + 1] = i + 1 < text.length ? network_add_node(b->n) : to;
        if (!b->n->failed) network_add_symbols(b->n, nodes[i], byte, byte, nodes[i + 1]);
    }
    for (size_t i = 0; i < text.length && !b->n->failed; i++)
        for (size_t k = 0; k < b->n_specials; k++) {
            const spelled_token *s = &b->specials[k];
            if (s->text.length > text.length - i || memcmp(s->text.data, text.data + i, s->text.length) != 0) continue;
            const uint32_t symbol = FIRST_TOKEN_SYMBOL + (uint32_t)s->token;
            network_add_symbols(b->n, nodes[i], symbol, symbol, nodes[i + s->text.length]);
        }
    free(nodes);
    return true;
}

/* ---------------------------------------------------------------------------------------------- text without marks */

/* A trie of marks, the texts that must not occur, by their characters. Each node is a beginning of a mark. A text is at
 * the node of the longest beginning with which the text ends (Aho and Corasick 1975). */
typedef struct mark_node {
    uint32_t character, parent; /* it is the beginning `parent`, followed by this character */
    uint32_t fallback;          /* the longest beginning of a mark with which it ends, except itself */
    uint32_t node;              /* of the network */
    bool is_mark;               /* it ends with a whole mark */
} mark_node;

typedef struct mark_tree {
    mark_node *nodes; /* [n]; the first is the empty text */
    uint32_t n;
} mark_tree;

/* The child of a node by a character, or 0. */
static uint32_t find_child(const mark_tree *t, uint32_t parent, uint32_t character) {
    for (uint32_t i = parent + 1; i < t->n; i++)
        if (t->nodes[i].parent == parent && t->nodes[i].character == character) return i;
    return 0;
}

/* The node after one more character. */
static uint32_t go_on(const mark_tree *t, uint32_t at, uint32_t character) {
    for (;; at = t->nodes[at].fallback) {
        const uint32_t child = find_child(t, at, character);
        if (child > 0 || at == 0) return child;
    }
}

/* Make the trie. Nodes are made by depth, so that the fallbacks of shorter ones are known. */
static void grow_tree(mark_tree *t, const json_value *marks, size_t longest) {
    t->nodes[0] = (mark_node){0};
    t->n = 1;
    for (size_t depth = 0; depth < longest; depth++)
        for (uint32_t i = 0; i < marks->count; i++) {
            const cllm_string mark = marks->items[i].string;
            uint32_t at = 0;
            size_t n = 0;
            for (size_t k = 0, length; k < mark.length && n <= depth; k += length, n++) {
                length = utf8_length(mark.data + k, mark.length - k);
                const uint32_t character = utf8_decode(mark.data + k, length), child = find_child(t, at, character);
                if (child == 0) {
                    const uint32_t fallback = at == 0 ? 0 : go_on(t, t->nodes[at].fallback, character);
                    t->nodes[t->n] = (mark_node){character, at, fallback, 0, t->nodes[fallback].is_mark};
                    at = t->n++;
                } else {
                    at = child;
                }
                if (k + length == mark.length) t->nodes[at].is_mark = true;
            }
        }
}

/* Any text in which no mark occurs. */
static bool add_without(builder *b, const json_value *marks, uint32_t from, uint32_t to) {
    size_t n_bytes = 0, longest = 0;
    if (marks->kind != JSON_ARRAY) return fails(b, CLLM_ERR_FORMAT, "\"without\" needs a list of texts");
    for (uint32_t i = 0; i < marks->count; i++) {
        if (marks->items[i].kind != JSON_STRING || marks->items[i].string.length == 0)
            return fails(b, CLLM_ERR_FORMAT, "\"without\" needs a list of texts that are not empty");
        n_bytes += marks->items[i].string.length;
        if (marks->items[i].string.length > longest) longest = marks->items[i].string.length;
    }
    if (n_bytes > 500) return fails(b, CLLM_ERR_UNSUPPORTED, "more than 500 bytes of texts that must not occur");
    mark_tree t = {.nodes = arena_alloc(b->maker.a, n_bytes + 1, sizeof *t.nodes)};
    char_range *ranges = arena_alloc(b->maker.a, n_bytes + 1, sizeof *ranges);
    if (!t.nodes || !ranges) return fails(b, CLLM_ERR_MEMORY, "no memory");
    grow_tree(&t, marks, longest);
    for (uint32_t i = 0; i < t.n; i++) t.nodes[i].node = network_add_node(b->n);
    network_add_empty(b->n, from, t.nodes[0].node);
    for (uint32_t i = 0; i < t.n && !b->n->failed; i++) {
        size_t n_ranges = 0;
        if (t.nodes[i].is_mark) continue;
        network_add_empty(b->n, t.nodes[i].node, to);
        for (uint32_t k = 1; k < t.n; k++) { /* each character that leads somewhere, once */
            const uint32_t character = t.nodes[k].character;
            bool again = false;
            for (size_t r = 0; r < n_ranges; r++) again |= ranges[r].low == character;
            const uint32_t next = again ? 0 : go_on(&t, i, character);
            if (next == 0) continue;
            const char_range one = {character, character};
            ranges[n_ranges++] = one;
            if (!t.nodes[next].is_mark) network_add_characters(b->n, t.nodes[i].node, &one, 1, t.nodes[next].node);
        }
        network_add_other_characters(b->n, t.nodes[i].node, ranges, n_ranges, t.nodes[0].node);
    }
    return true;
}

/* -------------------------------------------------------------------------------------------------------- nodes */

static bool add_node(builder *b, const json_value *v, uint32_t from, uint32_t to);

/* Add a part within a part. name, index: the steps of its path for messages; or NULL, NO_INDEX. */
#define NO_INDEX UINT32_MAX
static bool add_child(builder *b, const json_value *v, const char *name, uint32_t index, uint32_t from, uint32_t to) {
    const size_t length = b->path_length;
    char *end = b->path + length;
    if (length < MOST_PATH && name) end += sprintf(end, "/%s", name);
    if (length < MOST_PATH && index != NO_INDEX) end += sprintf(end, "/%u", index);
    b->path_length = (size_t)(end - b->path);
    const bool added = add_node(b, v, from, to);
    b->path_length = length;
    b->path[length] = '\0';
    return added;
}

static bool add_any(builder *b, const json_value *list, uint32_t from, uint32_t to) {
    if (list->kind != JSON_ARRAY || list->count == 0) return fails(b, CLLM_ERR_FORMAT, "\"any\" needs a list of parts");
    for (uint32_t i = 0; i < list->count && b->status == CLLM_OK && !b->n->failed; i++) {
        const uint32_t begin = network_add_node(b->n);
        network_add_empty(b->n, from, begin);
        add_child(b, &list->items[i], "any", i, begin, to);
    }
    return b->status == CLLM_OK;
}

static bool read_count(builder *b, const json_value *object, const char *name, uint32_t *count) {
    const json_value *v = json_find(object, name);
    if (!v) return true;
    if (v->kind != JSON_INTEGER || v->string.data[0] == '-' || v->string.length > 6)
        return fails(b, CLLM_ERR_FORMAT, "\"least\" and \"most\" are numbers from 0 to 999999");
    *count = 0;
    for (size_t i = 0; i < v->string.length; i++) *count = *count * 10 + (uint32_t)(v->string.data[i] - '0');
    return true;
}

static bool add_repeat(builder *b, const json_value *object, const json_value *part, uint32_t from, uint32_t to) {
    uint32_t least = 0, most = UINT32_MAX;
    if (!read_count(b, object, "least", &least) || !read_count(b, object, "most", &most)) return false;
    if (least > most) return fails(b, CLLM_ERR_FORMAT, "\"least\" is above \"most\"");
    const uint32_t begin = network_add_node(b->n), end = network_add_node(b->n);
    if (!add_child(b, part, "repeat", NO_INDEX, begin, end)) return false;
    network_add_repeated(b->n, begin, end, least, most, from, to);
    return true;
}

static bool is_true(const json_value *v) { return v && v->kind == JSON_BOOL && v->boolean; }

static bool add_schema(builder *b, const json_value *object, const json_value *schema, uint32_t from, uint32_t to) {
    const json_value *other = json_find(object, "else"), *name = json_find(object, "name");
    const schema_form form = {.in_order = is_true(json_find(object, "in_order")),
                              .is_closed = is_true(json_find(object, "closed"))};
    const network before = *b->n;
    const uint32_t rule = b->n->n_rules;
    const cllm_status status = schema_add(b->n, schema, form, &b->maker, other ? NULL : b->err);
    if (status == CLLM_ERR_MEMORY) return fails(b, status, "no memory");
    if (other && (status != CLLM_OK || b->n->failed == CLLM_ERR_UNSUPPORTED)) { /* remove what was built of it */
        b->n->n_edges = before.n_edges;
        b->n->n_nodes = before.n_nodes;
        b->n->n_rules = before.n_rules;
        b->n->failed = before.failed;
        return add_child(b, other, "else", NO_INDEX, from, to);
    }
    b->status = status;
    if (status == CLLM_OK && !b->n->failed) network_add_call(b->n, from, rule, to);
    if (status == CLLM_OK) return true;
    char prefix[128];
    if (name && name->kind == JSON_STRING)
        snprintf(prefix, sizeof prefix, "%.*s", name->string.length < 100 ? (int)name->string.length : 100,
                 name->string.data);
    else
        snprintf(prefix, sizeof prefix, "structure, #%.100s", b->path);
    if (b->err) error_prefix(b->err, prefix);
    return false;
}

static bool add_regex(builder *b, const json_value *expression, uint32_t from, uint32_t to) {
    const uint32_t rule = b->n->n_rules;
    if (expression->kind != JSON_STRING) return fails(b, CLLM_ERR_FORMAT, "\"regex\" needs a text");
    b->status = regex_build(b->n, expression->string, false, b->err);
    if (b->status == CLLM_OK && !b->n->failed) network_add_call(b->n, from, rule, to);
    return b->status == CLLM_OK;
}

static bool add_node(builder *b, const json_value *v, uint32_t from, uint32_t to) {
    static const struct {
        const char *name, *with[4];
    } kinds[] = {{"any", {NULL}},
                 {"repeat", {"least", "most"}},
                 {"schema", {"in_order", "closed", "name", "else"}},
                 {"regex", {NULL}},
                 {"without", {NULL}}};
    if (b->n->failed) return true; /* the error is reported at the end */
    if (v->kind == JSON_STRING) return add_literal(b, v->string, from, to);
    if (v->kind == JSON_ARRAY) {
        for (uint32_t i = 0; i < v->count && !b->n->failed; i++) {
            const uint32_t next = i + 1 < v->count ? network_add_node(b->n) : to;
            if (!add_child(b, &v->items[i], NULL, i, from, next)) return false;
            from = next;
        }
        if (v->count == 0) network_add_empty(b->n, from, to);
        return true;
    }
    for (int i = 0; i < 5 && v->kind == JSON_OBJECT; i++) {
        const json_value *part = json_find(v, kinds[i].name);
        uint32_t n_known = 1;
        if (!part) continue;
        for (int k = 0; k < 4 && kinds[i].with[k]; k++) n_known += json_find(v, kinds[i].with[k]) != NULL;
        if (n_known < v->count) return fails(b, CLLM_ERR_FORMAT, "this part has an unknown member");
        switch (i) {
        case 0: return add_any(b, part, from, to);
        case 1: return add_repeat(b, v, part, from, to);
        case 2: return add_schema(b, v, part, from, to);
        case 3: return add_regex(b, part, from, to);
        default: return add_without(b, part, from, to);
        }
    }
    return fails(
        b, CLLM_ERR_FORMAT,
        "a part is a text, a list, or an object with \"any\", \"repeat\", \"schema\", \"regex\" or \"without\"");
}

cllm_status structure_build(network *n, const cllm_tokenizer *tokenizer, cllm_string text, arena *a, cllm_error *err) {
    builder b = {.n = n, .maker = {a, MOST_MOVES}, .err = err};
    json_value root;
    b.status = json_read(text.data, text.length, a, &root, err);
    if (b.status != CLLM_OK) return b.status;
    if (!find_specials(&b, tokenizer)) return error_set(err, CLLM_ERR_MEMORY, "no memory for a structure");
    const uint32_t rule = network_add_rule(n, "root");
    if (!n->failed) add_node(&b, &root, n->rules[rule].begin, n->rules[rule].end);
    free(b.specials);
    return b.status;
}
