/* Grammars as masks. The texts of the vocabulary are a tree, the grammar an automaton: a mask is a walk through both at once, which leaves out
 * whatever begins with bytes that cannot come. Masks stay with their states.
 *
 * Inside a JSON string nearly every token is allowed, and the walk would visit them all. So the tokens that are characters of such a string from
 * end to end are known beforehand; where the automaton is in a string without bounds they are allowed at once, and only the others are walked. */
#include "sampling/grammar.h"
#include "sampling/automaton.h"
#include "sampling/schema.h"
#include "sampling/token_trie.h"

#include "base/error.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

struct cllm_token_index {
    const cllm_tokenizer *tokenizer;
    arena arena;
    token_trie all, others; /* others: those that are not text from end to end */
    uint32_t *text_mask;    /* [CLLM_MASK_WORDS(n_vocab)] those that are */
    uint32_t *end_mask;     /* the same of tokens that end a text */
    uint32_t n_vocab;
};

struct cllm_grammar {
    const cllm_token_index *index;
    arena arena;
    network network;
    automaton *automaton;
    uint32_t *states; /* [depth + 1] work space of a walk */
};

struct cllm_matcher {
    cllm_grammar *grammar;
    held_state held;
    bool ended; /* by an end token */
};

/* --------------------------------------------------------------------------------------------------- the tokens */

static bool is_string_text(cllm_string text) {
    for (size_t at = 0; at < text.length;) {
        const size_t n = utf8_length(text.data + at, text.length - at);
        const unsigned char first = (unsigned char)text.data[at];
        if (n == 0 || first < ' ' || first == '"' || first == '\\' || first == 0x7F) return false;
        at += n;
    }
    return true;
}

static bool is_other_text(cllm_string text) { return !is_string_text(text); }

static void allow(uint32_t *mask, int32_t token) { mask[token / 32] |= 1u << token % 32; }

cllm_status cllm_token_index_create(const cllm_tokenizer *tokenizer, cllm_token_index **out, cllm_error *err) {
    *out = NULL;
    cllm_token_index *x = calloc(1, sizeof *x);
    if (!x) return error_set(err, CLLM_ERR_MEMORY, "no memory for an index of tokens");
    x->tokenizer = tokenizer;
    x->n_vocab = cllm_tokenizer_n_vocab(tokenizer);
    const size_t n_words = CLLM_MASK_WORDS(x->n_vocab);
    x->text_mask = arena_alloc(&x->arena, n_words, sizeof *x->text_mask);
    x->end_mask = arena_alloc(&x->arena, n_words, sizeof *x->end_mask);
    if (!x->text_mask || !x->end_mask || !token_trie_build(&x->all, tokenizer, NULL, &x->arena) ||
        !token_trie_build(&x->others, tokenizer, is_other_text, &x->arena)) {
        cllm_token_index_destroy(x);
        return error_set(err, CLLM_ERR_MEMORY, "no memory for an index of %u tokens",
                         cllm_tokenizer_n_vocab(tokenizer));
    }
    for (uint32_t i = 0; i < x->all.n_sorted; i++) allow(x->text_mask, x->all.sorted[i]);
    for (uint32_t i = 0; i < x->others.n_sorted; i++)
        x->text_mask[x->others.sorted[i] / 32] &= ~(1u << x->others.sorted[i] % 32);
    for (uint32_t i = 0; i < x->n_vocab; i++)
        if (cllm_tokenizer_is_eog(tokenizer, (int32_t)i)) allow(x->end_mask, (int32_t)i);
    *out = x;
    return CLLM_OK;
}

void cllm_token_index_destroy(cllm_token_index *index) {
    if (!index) return;
    arena_free(&index->arena);
    free(index);
}

/* ----------------------------------------------------------------------------------------------------- grammars */

/* One of the lines. */
static cllm_status choice_build(network *n, cllm_string text, cllm_error *err) {
    size_t count = 1, n_lines = 0;
    for (size_t i = 0; i < text.length; i++) count += text.data[i] == '\n';
    cllm_string *lines = malloc(count * sizeof *lines);
    const uint32_t root = network_add_rule(n, "root");
    if (!lines || n->failed) {
        free(lines);
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a choice");
    }
    for (size_t at = 0, next; at < text.length; at = next + 1) {
        for (next = at; next < text.length && text.data[next] != '\n';) next++;
        size_t length = next - at;
        if (length > 0 && text.data[at + length - 1] == '\r') length--;
        if (length > 0) lines[n_lines++] = (cllm_string){text.data + at, length};
    }
    const bool done = json_add_texts(n, lines, n_lines, false, n->rules[root].begin, n->rules[root].end);
    free(lines);
    return done ? CLLM_OK : error_set(err, CLLM_ERR_MEMORY, "no memory for a choice");
}

static cllm_status build(network *n, cllm_grammar_kind kind, cllm_string text, arena *a, cllm_error *err) {
    switch (kind) {
    case CLLM_GRAMMAR_GBNF: return gbnf_build(n, text, a, err);
    case CLLM_GRAMMAR_REGEX: return regex_build(n, text, false, err);
    case CLLM_GRAMMAR_JSON_SCHEMA:
    case CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER:
        return schema_build(n, text, kind == CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER, a, err);
    case CLLM_GRAMMAR_CHOICE: return choice_build(n, text, err);
    }
    return error_set(err, CLLM_ERR_ARGUMENT, "an unknown kind of grammar");
}

cllm_status cllm_grammar_create(const cllm_token_index *index, cllm_grammar_kind kind, cllm_string text,
                                cllm_grammar **out, cllm_error *err) {
    *out = NULL;
    cllm_grammar *g = calloc(1, sizeof *g);
    if (!g) return error_set(err, CLLM_ERR_MEMORY, "no memory for a grammar");
    g->index = index;
    cllm_status status = CLLM_OK;
    for (size_t at = 0; status == CLLM_OK && at < text.length;) {
        const size_t n = utf8_length(text.data + at, text.length - at);
        if (n == 0) status = error_set(err, CLLM_ERR_FORMAT, "grammar: byte %zu is not UTF-8", at);
        at += n;
    }
    if (status == CLLM_OK) status = build(&g->network, kind, text, &g->arena, err);
    if (status == CLLM_OK) status = network_finish(&g->network, err);
    if (status == CLLM_OK) {
        g->automaton = automaton_create(&g->network);
        g->states = arena_alloc(&g->arena, index->all.depth + 2, sizeof *g->states);
        if (!g->automaton || !g->states) status = error_set(err, CLLM_ERR_MEMORY, "no memory for a grammar");
    }
    if (status == CLLM_OK)
        *out = g;
    else
        cllm_grammar_destroy(g);
    return status;
}

void cllm_grammar_destroy(cllm_grammar *grammar) {
    if (!grammar) return;
    automaton_destroy(grammar->automaton);
    network_free(&grammar->network);
    arena_free(&grammar->arena);
    free(grammar);
}

cllm_status cllm_matcher_create(cllm_grammar *grammar, cllm_matcher **out, cllm_error *err) {
    *out = NULL;
    cllm_matcher *m = calloc(1, sizeof *m);
    if (!m) return error_set(err, CLLM_ERR_MEMORY, "no memory for a matcher");
    m->grammar = grammar;
    automaton_hold(grammar->automaton, &m->held);
    const cllm_status status = automaton_error(grammar->automaton, err);
    if (status == CLLM_OK)
        *out = m;
    else
        cllm_matcher_destroy(m);
    return status;
}

void cllm_matcher_destroy(cllm_matcher *matcher) {
    if (!matcher) return;
    automaton_release(matcher->grammar->automaton, &matcher->held);
    free(matcher);
}

cllm_status cllm_matcher_fork(const cllm_matcher *matcher, cllm_matcher **out, cllm_error *err) {
    const cllm_status status = cllm_matcher_create(matcher->grammar, out, err);
    if (status != CLLM_OK) return status;
    (*out)->held.state = matcher->held.state;
    (*out)->ended = matcher->ended;
    return status;
}

cllm_status cllm_matcher_take_bytes(cllm_matcher *matcher, const char *bytes, size_t length, size_t *n_taken,
                                    cllm_error *err) {
    automaton *a = matcher->grammar->automaton;
    uint32_t at = matcher->held.state;
    size_t n = 0;
    held_state here;
    automaton_hold(a, &here);
    while (n < length && !matcher->ended) {
        const uint32_t next = automaton_step(a, at, (uint8_t)bytes[n]);
        if (next == DEAD_STATE) break;
        at = here.state = next;
        if (++n % 256 == 0) automaton_trim(a);
        at = here.state;
    }
    automaton_release(a, &here);
    *n_taken = n;
    const cllm_status status = automaton_error(a, err);
    if (status != CLLM_OK) return status;
    if (n == length) matcher->held.state = at;
    automaton_trim(a);
    return automaton_error(a, err);
}

cllm_status cllm_matcher_take(cllm_matcher *matcher, int32_t token, cllm_error *err) {
    const cllm_tokenizer *tokenizer = matcher->grammar->index->tokenizer;
    size_t n_taken = 0;
    if (cllm_tokenizer_is_eog(tokenizer, token) && cllm_matcher_can_end(matcher)) {
        matcher->ended = true;
        return CLLM_OK;
    }
    const cllm_string text = token_trie_text(tokenizer, token);
    const cllm_status status = cllm_matcher_take_bytes(matcher, text.data, text.length, &n_taken, err);
    if (status != CLLM_OK) return status;
    if (text.length == 0 || n_taken < text.length)
        return error_set(err, CLLM_ERR_ARGUMENT, "the grammar does not allow the token %d here", token);
    return CLLM_OK;
}

bool cllm_matcher_can_end(const cllm_matcher *matcher) {
    return !matcher->ended && automaton_state(matcher->grammar->automaton, matcher->held.state)->accepts;
}

/* -------------------------------------------------------------------------------------------------------- masks */

/* Allow the tokens of a tree that can come in a state. */
static void walk(cllm_grammar *g, const token_trie *t, uint32_t from, uint32_t *mask) {
    uint32_t *states = g->states; /* of the nodes on the way, by their depth */
    const trie_node *nodes = t->nodes;
    states[0] = from;
    for (uint32_t i = 0; i < t->n_nodes;) {
        const uint32_t at = automaton_step(g->automaton, states[nodes[i].depth], nodes[i].byte);
        if (at == DEAD_STATE) {
            i = nodes[i].skip;
            continue;
        }
        for (uint32_t k = 0; k < nodes[i].n_ends; k++) allow(mask, t->sorted[nodes[i].first + k]);
        states[nodes[i].depth + 1] = at;
        i++;
    }
}

cllm_status cllm_matcher_fill_mask(cllm_matcher *matcher, uint32_t *mask, cllm_error *err) {
    cllm_grammar *g = matcher->grammar;
    const cllm_token_index *index = g->index;
    const size_t n_words = CLLM_MASK_WORDS(index->n_vocab);
    if (matcher->ended) return error_set(err, CLLM_ERR_ARGUMENT, "the text has ended, so no token can follow");
    automaton_trim(g->automaton);
    const uint32_t at = matcher->held.state;
    const uint32_t *known = automaton_state(g->automaton, at)->mask;
    if (!known) {
        uint32_t *made = automaton_new_mask(g->automaton, at, n_words);
        if (!made) return error_set(err, CLLM_ERR_MEMORY, "no memory for a mask");
        const bool is_text = automaton_text_next(g->automaton, at) == at;
        if (is_text) memcpy(made, index->text_mask, n_words * sizeof *made);
        if (automaton_state(g->automaton, at)->accepts)
            for (size_t i = 0; i < n_words; i++) made[i] |= index->end_mask[i];
        walk(g, is_text ? &index->others : &index->all, at, made);
        known = made;
    }
    const cllm_status status = automaton_error(g->automaton, err);
    if (status == CLLM_OK)
        memcpy(mask, known, n_words * sizeof *mask);
    else
        automaton_drop_mask(g->automaton, at); /* it is not whole */
    return status;
}

uint32_t grammar_n_vocab(const cllm_grammar *grammar) { return grammar->index->n_vocab; }

void grammar_allow_ends(const cllm_grammar *grammar, uint32_t *mask, const int32_t *tokens, size_t n, bool may_end) {
    for (size_t i = 0; i < CLLM_MASK_WORDS(grammar->index->n_vocab); i++) mask[i] &= ~grammar->index->end_mask[i];
    for (size_t i = 0; i < n; i++) {
        mask[tokens[i] / 32] &= ~(1u << tokens[i] % 32); /* it may be text as well */
        if (may_end) allow(mask, tokens[i]);
    }
}

bool matcher_is_complete(const cllm_matcher *matcher) {
    const state *s = automaton_state(matcher->grammar->automaton, matcher->held.state);
    return s->accepts && s->n_places == 0;
}

bool matcher_has_ended(const cllm_matcher *matcher) { return matcher->ended; }
