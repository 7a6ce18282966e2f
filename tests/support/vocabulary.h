/* Vocabularies for tests of tokenizers: made in the test or read from a file, and checks of the tokens that texts
 * become. */
#ifndef SUPPORT_VOCABULARY_H
#define SUPPORT_VOCABULARY_H

#include "support/check.h"
#include "support/gguf_builder.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

#define SPACE "\xE2\x96\x81" /* U+2581, as SentencePiece spells a space */

enum { MAX_TOKENS = 400 };

/* The metadata of a vocabulary under construction. */
typedef struct vocabulary {
    const char *model; /* NULL: "llama" */
    const char *pre;   /* or NULL */
    const char *tokens[MAX_TOKENS];
    float scores[MAX_TOKENS];
    int32_t types[MAX_TOKENS];
    size_t n_tokens;
    const char *const *merges; /* instead of scores, if not NULL */
    size_t n_merges;
    int no_types;
} vocabulary;

void add(vocabulary *v, const char *token, float score, int32_t type);
vocabulary with_specials(void); /* <unk>, <s> and </s>, as every SentencePiece vocabulary begins */
void add_bytes(vocabulary *v);  /* <0x00> to <0xFF> */
vocabulary byte_level(const char *pre, const char *const *merges,
                      size_t n_merges); /* ids 0..255 are the bytes; then what the
                                                                                      merges make */
void put_vocabulary(gguf_builder *g, const vocabulary *v);

/* A tokenizer with the file that it points into. */
typedef struct loaded {
    unsigned char *bytes; /* NULL: read from a path */
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer;
} loaded;

/* Releases the builder. */
cllm_status load_built(gguf_builder *g, loaded *l, cllm_error *err);
loaded load(const vocabulary *v);
loaded load_with(const vocabulary *v, void (*more)(gguf_builder *g)); /* and further keys */
loaded load_without_prefix(const vocabulary *v);
loaded load_file(const char *path);
void unload(loaded *l);

/* The ids of a text, in decimal with spaces between. Valid until the next call, as what follows. */
const char *encoded(const loaded *l, const char *text, size_t length, int flags);
const char *pieces(const loaded *l, const char *text, int flags); /* spellings, each followed by a bar */
const char *pair_pieces(const loaded *l, const char *query, const char *document);
const char *decoded(const loaded *l, int32_t previous, int32_t id);

/* Encode, decode token by token, and compare. Changes `text`. */
void check_round_trip(const loaded *l, char *text, size_t length, int flags);
void check_round_trips(const loaded *l, int flags); /* random texts, with and without the flags; all pairs of bytes.
                                                       Bytes that are no UTF-8 may be missing in the vocabulary */

/* The path of a published vocabulary's file, such as "qwen2.gguf": in vocab/ of the shared folder, else in $MINICLLM_VOCAB,
 * which may be models/ of llama.cpp's source. NULL where it is in neither. Valid until the eighth call after. */
const char *vocabulary_file(const char *name);

/* The vocabulary `name` gives the ids of .gguf.out for the texts of .gguf.inp; skips where they are missing. */
void check_reference(const char *name);

/* So many bytes of the worst of each kind take less than a second of the processor's time; or an eighth of
 * them less than two under a sanitizer. */
void check_time(const loaded *l, size_t length);

#endif
