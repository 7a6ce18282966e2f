/* Pre-tokenizers: rules that cut a text into words for a byte-level BPE vocabulary. No token spans two words. The
 * authors of models publish them as regular expressions; here they are tables, which one scanner runs.
 *
 *   text -> pretokenizer.c, driven by a row of pretokenizer_table.c -> words -> tokenizer_bpe.c
 *
 * A pre-tokenizer has one or more stages. A stage looks for the leftmost match of any of its rules; if several match
 * there, the first one counts. It cuts the text before and after each match, so the text between two matches is a piece
 * too. The next stage cuts each piece further. At most one rule of a stage may have one of the kinds RUN_TO_END,
 * RUN_OF_THREES and LINES (rule_kind below), because they share a variable of the scanner, failed_until. */
#ifndef TEXT_PRETOKENIZER_H
#define TEXT_PRETOKENIZER_H

#include "base/unicode.h"
#include "cllm.h"

/* Character classes in addition to Unicode's. */
enum {
    CHAR_SPACE = CHAR_FIRST_FREE,       /* only U+0020 */
    CHAR_NEWLINE = CHAR_FIRST_FREE * 2, /* CR and LF */
    ANY_CHAR = CHAR_FIRST_FREE * 4 - 1,
};

typedef struct char_range {
    uint32_t first, last;
} char_range;

/* The characters with a class of `any` or inside a range, except those with a class of `none`. */
typedef struct char_set {
    uint32_t any, none;
    const char_range *ranges; /* sorted; ends with one whose `last` is 0; or NULL */
} char_set;

typedef enum rule_kind {
    RULES_END = 0,
    RUN,                 /* [prefix]?[body]{least,most}[tail]* */
    RUN_TO_END,          /* [body]+$ */
    RUN_OF_THREES,       /* [body]{1,3}(?=([body]{3})*(?![body])) : groups of three, counted from the right */
    BEFORE_THREES,       /* (?=([body]{3})+(?![body])), an empty match */
    SPACES_BEFORE_SPACE, /* [body]{least,most}(?!\S) */
    LINES,               /* \s*[\r\n]+ */
    CONTRACTION,         /* 's|'t|'re|'ve|'m|'ll|'d */
    CASED_WORD,          /* [prefix]?[upper]*[lower]+ or, if that does not match, [prefix]?[upper]+[lower]* */
    PHRASE,              /* [prefix]?(\p{L}\p{M}*( \p{L}\p{M}*)*)+ : words with a single space between */
} rule_kind;

typedef struct split_rule {
    rule_kind kind;
    bool needs_prefix;     /* without the "?" after [prefix] */
    bool needs_boundary;   /* RUN_OF_THREES: no other letter, mark, digit or connector follows */
    bool any_case;         /* CONTRACTION: 'S too */
    bool ends_contracted;  /* CASED_WORD: a CONTRACTION of any case may follow */
    char_set prefix;       /* empty: none */
    char_set body;         /* CASED_WORD: upper */
    char_set lower;        /* CASED_WORD */
    char_set tail;         /* empty: none */
    uint32_t least, most;  /* of `body`; least 0 means 1, most 0 means any number */
    uint32_t most_of_tail; /* 0: any number */
} split_rule;

enum { MAX_STAGES = 6 };

/* Flags of a name. */
enum {
    PRE_WHOLE_WORDS = 1,    /* a word that is a token is not merged ("ignore_merges") */
    PRE_ADDS_BOS = 2,       /* unless the file says otherwise */
    PRE_ADDS_SEPARATOR = 4, /* between two texts, unless the file says otherwise */
};

typedef struct pretokenizer {
    const char *names;
    const split_rule *stages[MAX_STAGES + 1]; /* each ends with RULES_END; then NULL */
    int flags;
} pretokenizer;

/* The row with this name, or NULL. */
const pretokenizer *pretokenizer_find(const char *name, size_t length);

/* True if vocabularies with this name were made from texts in NFC, so that a text must be put into NFC first. */
bool pretokenizer_wants_nfc(const char *name, size_t length);

/* Pass each word of the text, in order, to `on_word`. If that returns a status other than CLLM_OK, stop and return it.
 * Each byte that is not valid UTF-8 counts as U+FFFD. Takes O(length) time. */
typedef cllm_status (*pretokenizer_on_word)(void *user, const char *word, size_t length);
cllm_status pretokenizer_split(const pretokenizer *p, const char *text, size_t length, pretokenizer_on_word on_word,
                               void *user);

#endif
