/* Grammars, for the other files of the library: a builder for each way to write a grammar, which makes a network; and
 * what generation.c needs in addition to the public functions. */
#ifndef SAMPLING_GRAMMAR_H
#define SAMPLING_GRAMMAR_H

#include "base/json.h"
#include "sampling/network.h"

/* Each builder adds rules to a network; the first of them is the whole text. Messages of these two give line and
 * column. a: for the names of rules. anywhere: the expression need only match a part of the text. */
cllm_status gbnf_build(network *n, cllm_string text, arena *a, cllm_error *err);
cllm_status regex_build(network *n, cllm_string text, bool anywhere, cllm_error *err);

typedef struct schema_form {
    bool in_order;  /* properties come in the order of the schema */
    bool is_closed; /* see CLLM_GRAMMAR_JSON_SCHEMA_CLOSED */
} schema_form;

/* Build from a JSON Schema. Errors name the part of the schema: FORMAT (it is not a schema), UNSUPPORTED (it cannot be
 * enforced), MEMORY. */
cllm_status schema_build(network *n, cllm_string text, schema_form form, arena *a, cllm_error *err);

/* Build from a structure: parts, in JSON. Its literals may also be written as special tokens of the tokenizer. */
cllm_status structure_build(network *n, const cllm_tokenizer *tokenizer, cllm_string text, arena *a, cllm_error *err);

uint32_t grammar_n_vocab(const cllm_grammar *grammar);

/* Change a mask so that these tokens, [n], end the text, instead of the vocabulary's end tokens. may_end: the text may
 * end here. */
void grammar_allow_ends(const cllm_grammar *grammar, uint32_t *mask, const int32_t *tokens, size_t n, bool may_end);

bool matcher_is_complete(const cllm_matcher *matcher); /* the text may end, and nothing else can follow */

/* Copy the bytes that must come next, up to where there is a choice: another byte, a special token, or the end. text:
 * out, [room]. Returns how many. */
size_t matcher_only_text(cllm_matcher *matcher, char *text, size_t room);
bool matcher_has_ended(const cllm_matcher *matcher); /* by an end token */

#endif
