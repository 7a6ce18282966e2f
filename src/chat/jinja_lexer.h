/* Splits the text of a template into tokens. After it: jinja_parser.
 *
 * White space is handled as in Jinja with trim_blocks and lstrip_blocks: the first newline after a block is dropped,
 * and so is white space between the beginning of a line and a block. "-" in a tag drops all white space on its side,
 * "+" keeps all. */
#ifndef CHAT_JINJA_LEXER_H
#define CHAT_JINJA_LEXER_H

#include "cllm.h"

typedef enum jinja_token_kind {
    JINJA_TOKEN_END,
    JINJA_TOKEN_DATA, /* text outside of tags */
    JINJA_TOKEN_PRINT_BEGIN,
    JINJA_TOKEN_PRINT_END,
    JINJA_TOKEN_BLOCK_BEGIN,
    JINJA_TOKEN_BLOCK_END,
    JINJA_TOKEN_NAME,
    JINJA_TOKEN_STRING, /* with its quotes and escapes */
    JINJA_TOKEN_INTEGER,
    JINJA_TOKEN_FLOAT,
    JINJA_TOKEN_OPERATOR,
} jinja_token_kind;

typedef struct jinja_token {
    jinja_token_kind kind;
    uint32_t at;      /* byte of the source */
    const char *text; /* in the source */
    size_t length;
} jinja_token;

typedef struct jinja_lexer {
    const char *source; /* with "\n" for every newline */
    uint32_t length, at;
    int state;          /* outside of tags, within a block or a print */
    bool line_start;    /* the last token ended a line */
    char brackets[256]; /* the closing brackets that are expected */
    uint32_t n_brackets;
    const char *fault; /* what is wrong at `at` */
} jinja_lexer;

/* Get the next token; the last one is END. Returns false if the source is wrong: `fault` says why. */
bool jinja_lexer_next(jinja_lexer *l, jinja_token *token);

#endif
