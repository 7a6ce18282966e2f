/* What an answer may contain before its grammar begins: reasoning, in any words, between two marks. */
#ifndef ENGINE_PREAMBLE_H
#define ENGINE_PREAMBLE_H

#include "engine/stops.h"

typedef enum preamble_state {
    PREAMBLE_OVER,     /* the grammar is active */
    PREAMBLE_MAY_OPEN, /* the preamble may begin here, or the grammar */
    PREAMBLE_OPENING,  /* within its first mark */
    PREAMBLE_OPEN,     /* any text, up to its last mark */
    PREAMBLE_CLOSED,   /* white space may come before the grammar */
} preamble_state;

typedef struct preamble {
    preamble_state state;
    cllm_string opens; /* copied */
    size_t n_opened;   /* bytes of it that have come */
    uint32_t n_spaces; /* bytes of white space after the last mark */
    stops closes;
} preamble;

/* o: as in cllm_generation_options. Errors: MEMORY. */
cllm_status preamble_create(const cllm_preamble *o, arena *a, preamble *out, cllm_error *err);

/* Add the tokens that the preamble allows to a mask with those that the grammar allows. n_vocab tokens. */
void preamble_allow(const preamble *p, const cllm_tokenizer *tokenizer, uint32_t n_vocab, uint32_t *mask);

/* Take a drawn token. by_grammar: the grammar allows it too. Returns false if it belongs to the grammar. */
bool preamble_take(preamble *p, cllm_string text, bool by_grammar);

#endif
