/* cllm_grammar and cllm_matcher: which tokens may come next, as masks. The texts of the vocabulary are a trie, and the
 * grammar is an automaton. A mask is made by a walk through both at once. It skips all texts that begin with bytes that
 * cannot come. A mask is kept with the state of the automaton. Before it: the files that build networks (grammar.h),
 * and automaton.h. After it: cllm_sampler_sample.
 *
 * Inside a JSON string nearly every token is allowed, so the walk would visit them all. But there most characters make
 * no difference: they all lead to the same state. So tokens are grouped by how many such characters they begin with.
 * After n of them the automaton is in the same state, whichever they are. Unless that state is dead, all tokens that
 * consist of n such characters are allowed at once. Of the other tokens, only what comes after these characters is
 * walked. */
#include "sampling/grammar.h"
#include "sampling/automaton.h"
#include "sampling/schema.h"
#include "sampling/token_trie.h"

#include "base/error.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 24 }; /* most leading characters of a token that are counted */

/* The "text" of a token is the characters at its beginning that may stand unescaped in a JSON string. */
struct cllm_token_index {
    const cllm_tokenizer *tokenizer;
    arena arena;
    token_trie all;
    token_trie ends[MOST_TEXT + 1]; /* [n]: for tokens with n characters of text and more after it: what comes after */
    token_trie any_ends;            /* the same for tokens with any number of characters of text */
    token_trie longer;              /* for tokens with more than MOST_TEXT of them: what comes after MOST_TEXT */
    uint32_t *texts[MOST_TEXT + 1]; /* [n]: a mask of the tokens that are only text, of n characters or fewer */
    uint32_t *any_texts;            /* a mask of all tokens that are only text */
    uint32_t *end_mask;             /* a mask of the tokens that end a text */
    uint32_t n_vocab;
};

struct cllm_grammar {
    const cllm_token_index *index;
    arena arena;
    network network;
    automaton *automaton;
    uint32_t *states, *others; /* [depth + 2] work space of walks */
    int32_t *specials;         /* [n_specials] all special tokens that the grammar uses, and perhaps others */
    uint32_t n_specials;
};

struct cllm_matcher {
    cllm_grammar *grammar;
    held_state held;
    bool ended; /* by an end token */
};

/* --------------------------------------------------------------------------------------------------- the tokens */

/* How many characters of text a token begins with. n_bytes: out, the bytes of the first `most` of them. */
static uint32_t count_text(cllm_string text, uint32_t most, size_t *n_bytes) {
    uint32_t n = 0;
    *n_bytes = 0;
    for (size_t at = 0; at < text.length; n++) {
        const size_t length = utf8_length(text.data + at, text.length - at);
        const unsigned char first = (unsigned char)text.data[at];
        if (length == 0 || first < ' ' || first == '"' || first == '\\' || first == 0x7F) break;
        at += length;
        if (n < most) *n_bytes = at;
    }
    return n;
}

static void allow(uint32_t *mask, int32_t token) { mask[token / 32] |= 1u << token % 32; }
static void forbid(uint32_t *mask, int32_t token) { mask[token / 32] &= ~(1u << token % 32); }

/* Find the tokens that have n characters of text (UINT32_MAX: any number) and more after it. Make a trie of what comes
 * after their text. some: [n_all] work space. */
static bool build_ends(cllm_token_index *x, const spelled_token *all, uint32_t n_all, uint32_t n, spelled_token *some,
                       token_trie *t) {
    uint32_t n_some = 0;
    for (uint32_t i = 0; i < n_all; i++) {
        size_t n_bytes;
        const uint32_t n_text = count_text(all[i].text, UINT32_MAX, &n_bytes);
        if (n_bytes < all[i].text.length && (n == UINT32_MAX || n_text == n))
            some[n_some++] = (spelled_token){{all[i].text.data + n_bytes, all[i].text.length - n_bytes}, all[i].token};
    }
    return token_trie_build(t, some, n_some, &x->arena);
}

static bool build_index(cllm_token_index *x) {
    const size_t n_words = CLLM_MASK_WORDS(x->n_vocab);
    spelled_token *all = malloc(x->n_vocab * sizeof *all), *some = malloc(x->n_vocab * sizeof *some);
    uint32_t n_all = 0, n_longer = 0;
    bool built = all && some;
    x->any_texts = arena_alloc(&x->arena, n_words, sizeof *x->any_texts);
    x->end_mask = arena_alloc(&x->arena, n_words, sizeof *x->end_mask);
    built = built && x->any_texts && x->end_mask;
    for (uint32_t n = 0; built && n <= MOST_TEXT; n++) {
        x->texts[n] = arena_alloc(&x->arena, n_words, sizeof *x->texts[n]);
        built = x->texts[n];
    }
    for (uint32_t i = 0; built && i < x->n_vocab; i++) {
        const cllm_string text = token_trie_text(x->tokenizer, (int32_t)i);
        size_t n_bytes;
        if (cllm_tokenizer_is_eog(x->tokenizer, (int32_t)i)) allow(x->end_mask, (int32_t)i);
        if (text.length == 0 || text.length > UINT16_MAX) continue;
        all[n_all++] = (spelled_token){text, (int32_t)i};
        const uint32_t n_text = count_text(text, MOST_TEXT, &n_bytes);
        if (n_text > MOST_TEXT)
            some[n_longer++] = (spelled_token){{text.data + n_bytes, text.length - n_bytes}, (int32_t)i};
        count_text(text, UINT32_MAX, &n_bytes);
        if (n_bytes < text.length) continue;
        allow(x->any_texts, (int32_t)i);
        for (uint32_t n = n_text; n <= MOST_TEXT; n++) allow(x->texts[n], (int32_t)i);
    }
    built = built && token_trie_build(&x->longer, some, n_longer, &x->arena) &&
            build_ends(x, all, n_all, UINT32_MAX, some, &x->any_ends);
    for (uint32_t n = 0; built && n <= MOST_TEXT; n++) built = build_ends(x, all, n_all, n, some, &x->ends[n]);
    built = built && token_trie_build(&x->all, all, n_all, &x->arena);
    free(all);
    free(some);
    return built;
}

cllm_status cllm_token_index_create(const cllm_tokenizer *tokenizer, cllm_token_index **out, cllm_error *err) {
    *out = NULL;
    cllm_token_index *x = calloc(1, sizeof *x);
    if (!x) return error_set(err, CLLM_ERR_MEMORY, "no memory for an index of tokens");
    x->tokenizer = tokenizer;
    x->n_vocab = cllm_tokenizer_n_vocab(tokenizer);
    if (!build_index(x)) {
        cllm_token_index_destroy(x);
        return error_set(err, CLLM_ERR_MEMORY, "no memory for an index of %u tokens",
                         cllm_tokenizer_n_vocab(tokenizer));
    }
    *out = x;
    return CLLM_OK;
}

void cllm_token_index_destroy(cllm_token_index *index) {
    if (!index) return;
    arena_free(&index->arena);
    free(index);
}

/* ----------------------------------------------------------------------------------------------------- grammars */

/* Build a choice: the whole text is one of the lines. */
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
    const bool done = json_add_texts(n, lines, n_lines, SPELLED_AS_UTF8, n->rules[root].begin, n->rules[root].end);
    free(lines);
    return done ? CLLM_OK : error_set(err, CLLM_ERR_MEMORY, "no memory for a choice");
}

static cllm_status build(cllm_grammar *g, cllm_grammar_kind kind, cllm_string text, cllm_error *err) {
    network *n = &g->network;
    arena *a = &g->arena;
    switch (kind) {
    case CLLM_GRAMMAR_GBNF: return gbnf_build(n, text, a, err);
    case CLLM_GRAMMAR_REGEX: return regex_build(n, text, false, err);
    case CLLM_GRAMMAR_JSON_SCHEMA: return schema_build(n, text, (schema_form){0}, a, err);
    case CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER: return schema_build(n, text, (schema_form){.in_order = true}, a, err);
    case CLLM_GRAMMAR_JSON_SCHEMA_CLOSED: return schema_build(n, text, (schema_form){.is_closed = true}, a, err);
    case CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER:
        return schema_build(n, text, (schema_form){.in_order = true, .is_closed = true}, a, err);
    case CLLM_GRAMMAR_CHOICE: return choice_build(n, text, err);
    case CLLM_GRAMMAR_STRUCTURE: return structure_build(n, g->index->tokenizer, text, a, err);
    }
    return error_set(err, CLLM_ERR_ARGUMENT, "an unknown kind of grammar");
}

/* Collect the special tokens among the symbols. Returns false if memory runs out. */
static bool list_specials(cllm_grammar *g) {
    const uint32_t *begins, n = automaton_classes(g->automaton, &begins);
    g->specials = arena_alloc(&g->arena, n, sizeof *g->specials);
    for (uint32_t i = 0; g->specials && i < n; i++) {
        const bool is_token = begins[i] >= FIRST_TOKEN_SYMBOL && begins[i] - FIRST_TOKEN_SYMBOL < g->index->n_vocab;
        const int32_t token = is_token ? (int32_t)(begins[i] - FIRST_TOKEN_SYMBOL) : -1;
        /* a class may also begin just because the one before it ended */
        if (is_token && token_trie_text(g->index->tokenizer, token).length == 0) g->specials[g->n_specials++] = token;
    }
    return g->specials;
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
    if (status == CLLM_OK) status = build(g, kind, text, err);
    if (status == CLLM_OK) status = network_finish(&g->network, err);
    if (status == CLLM_OK) {
        g->automaton = automaton_create(&g->network);
        g->states = arena_alloc(&g->arena, index->all.depth + 2, sizeof *g->states);
        g->others = arena_alloc(&g->arena, index->all.depth + 2, sizeof *g->others);
        if (!g->automaton || !g->states || !g->others || !list_specials(g))
            status = error_set(err, CLLM_ERR_MEMORY, "no memory for a grammar");
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
    if (text.length == 0 && token >= 0) {
        automaton *a = matcher->grammar->automaton;
        const uint32_t next = automaton_step_token(a, matcher->held.state, token);
        const cllm_status failed = automaton_error(a, err);
        if (failed != CLLM_OK) return failed;
        if (next != DEAD_STATE) {
            matcher->held.state = next;
            automaton_trim(a);
            return automaton_error(a, err);
        }
    }
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

/* Allow the tokens of a trie that can come in a state. */
static void walk(cllm_grammar *g, const token_trie *t, uint32_t from, uint32_t *mask) {
    uint32_t *states = g->states; /* of the nodes on the path, by depth */
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

static const uint32_t *mask_of(cllm_grammar *g, uint32_t at);

/* Change the mask of the state `other` into that of the state `from`. Where both lead to the same state, they allow the
 * same tokens, so the walk need not go on. */
static void walk_beside(cllm_grammar *g, uint32_t from, uint32_t other, uint32_t *mask) {
    const token_trie *t = &g->index->all;
    const trie_node *nodes = t->nodes;
    g->states[0] = from;
    g->others[0] = other;
    for (uint32_t i = 0; i < t->n_nodes;) {
        const uint32_t depth = nodes[i].depth;
        const uint32_t at = automaton_step(g->automaton, g->states[depth], nodes[i].byte);
        const uint32_t beside =
            g->others[depth] == DEAD_STATE ? DEAD_STATE : automaton_step(g->automaton, g->others[depth], nodes[i].byte);
        if (at == beside) {
            i = nodes[i].skip;
            continue;
        }
        if (at == DEAD_STATE) {
            const uint32_t end = nodes[i].skip < t->n_nodes ? nodes[nodes[i].skip].first : t->n_sorted;
            for (uint32_t k = nodes[i].first; k < end; k++) forbid(mask, t->sorted[k]);
            i = nodes[i].skip;
            continue;
        }
        for (uint32_t k = 0; k < nodes[i].n_ends; k++) allow(mask, t->sorted[nodes[i].first + k]);
        g->states[depth + 1] = at;
        g->others[depth + 1] = beside;
        i++;
    }
}

/* Find a state after `from` that is in the middle of any text: all characters of text lead back to it. Returns
 * DEAD_STATE if there is none. */
static uint32_t find_text_state(cllm_grammar *g, uint32_t from) {
    static const char some[] = "~0zQ e";
    for (const char *c = some; *c; c++) {
        const uint32_t to = automaton_step(g->automaton, from, (uint8_t)*c);
        if (to != DEAD_STATE && automaton_text_next(g->automaton, to) == to) return to;
    }
    return DEAD_STATE;
}

/* Allow the tokens that can come in a state. */
static void fill(cllm_grammar *g, uint32_t from, uint32_t *mask) {
    const cllm_token_index *x = g->index;
    const size_t n_words = CLLM_MASK_WORDS(x->n_vocab);
    const uint32_t next = automaton_text_next(g->automaton, from);
    if (next == from) { /* any amount of text leads back to this state */
        memcpy(mask, x->any_texts, n_words * sizeof *mask);
        walk(g, &x->any_ends, from, mask);
        return;
    }
    uint32_t at = from, n = 0;
    while (n < MOST_TEXT) { /* `at` is the state after n characters */
        const uint32_t after = automaton_text_next(g->automaton, at);
        if (after == NOT_TEXT || after == DEAD_STATE) break;
        at = after;
        n++;
    }
    if (automaton_text_next(g->automaton, at) == NOT_TEXT) { /* use the mask of a state in the middle of text */
        const uint32_t text = find_text_state(g, from);
        const uint32_t *known = text == DEAD_STATE ? NULL : mask_of(g, text);
        if (known) {
            memcpy(mask, known, n_words * sizeof *mask);
            walk_beside(g, from, text, mask);
        } else {
            walk(g, &x->all, from, mask);
        }
        return;
    }
    memcpy(mask, x->texts[n], n_words * sizeof *mask);
    if (n == MOST_TEXT) walk(g, &x->longer, at, mask);
    at = from;
    for (uint32_t i = 0; i <= n; i++) {
        walk(g, &x->ends[i], at, mask);
        if (i < n) at = automaton_text_next(g->automaton, at);
    }
}

/* The mask of a state, without tokens that end the text. It is made if there is none yet. NULL: no memory. */
static const uint32_t *mask_of(cllm_grammar *g, uint32_t at) {
    const size_t n_words = CLLM_MASK_WORDS(g->index->n_vocab);
    const uint32_t *known = automaton_state(g->automaton, at)->mask;
    if (known) return known;
    uint32_t *made = automaton_new_mask(g->automaton, at, n_words);
    if (made) fill(g, at, made);
    for (uint32_t i = 0; made && i < g->n_specials; i++) {
        forbid(made, g->specials[i]); /* the mask may be a copy of another state's */
        if (automaton_step_token(g->automaton, at, g->specials[i]) != DEAD_STATE) allow(made, g->specials[i]);
    }
    return made;
}

cllm_status cllm_matcher_fill_mask(cllm_matcher *matcher, uint32_t *mask, cllm_error *err) {
    cllm_grammar *g = matcher->grammar;
    const size_t n_words = CLLM_MASK_WORDS(g->index->n_vocab);
    if (matcher->ended) return error_set(err, CLLM_ERR_ARGUMENT, "the text has ended, so no token can follow");
    automaton_trim(g->automaton);
    const uint32_t at = matcher->held.state;
    const uint32_t *known = mask_of(g, at);
    const cllm_status status = automaton_error(g->automaton, err);
    if (!known) return error_set(err, CLLM_ERR_MEMORY, "no memory for a mask");
    if (status != CLLM_OK) {
        automaton_drop_masks(g->automaton); /* some are incomplete */
        return status;
    }
    memcpy(mask, known, n_words * sizeof *mask);
    if (cllm_matcher_can_end(matcher))
        for (size_t i = 0; i < n_words; i++) mask[i] |= g->index->end_mask[i];
    return CLLM_OK;
}

uint32_t grammar_n_vocab(const cllm_grammar *grammar) { return grammar->index->n_vocab; }

void grammar_allow_ends(const cllm_grammar *grammar, uint32_t *mask, const int32_t *tokens, size_t n, bool may_end) {
    for (size_t i = 0; i < CLLM_MASK_WORDS(grammar->index->n_vocab); i++) mask[i] &= ~grammar->index->end_mask[i];
    for (size_t i = 0; i < n; i++) {
        forbid(mask, tokens[i]); /* the grammar may allow the token as text */
        if (may_end) allow(mask, tokens[i]);
    }
}

bool matcher_is_complete(const cllm_matcher *matcher) {
    const state *s = automaton_state(matcher->grammar->automaton, matcher->held.state);
    return s->accepts && s->n_places == 0;
}

size_t matcher_only_text(cllm_matcher *matcher, char *text, size_t room) {
    automaton *a = matcher->grammar->automaton;
    uint32_t at = matcher->held.state;
    size_t n = 0;
    while (n < room && !matcher->ended && automaton_only_byte(a, at, (uint8_t *)&text[n]))
        at = automaton_step(a, at, (uint8_t)text[n++]);
    return automaton_error(a, NULL) == CLLM_OK ? n : 0;
}

bool matcher_has_ended(const cllm_matcher *matcher) { return matcher->ended; }
