/* The preamble of an answer: reasoning between two marks, which may come before the text that must follow a grammar. It
 * may contain any text. Before this: the grammar's mask (sampling/grammar.h). After it: the sampler. */
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

/* Change a mask of the tokens that the grammar allows into one of the tokens that may come now, within or after the
 * preamble. mask: [CLLM_MASK_WORDS(n_vocab)]. */
void preamble_allow(const preamble *p, const cllm_tokenizer *tokenizer, uint32_t n_vocab, uint32_t *mask);

/* Take a drawn token, with this text. by_grammar: the grammar allows it too. Returns false if the preamble is over:
 * then the token belongs to the grammar's text. */
bool preamble_take(preamble *p, cllm_string text, bool by_grammar);

#endif
