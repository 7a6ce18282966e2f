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

/* Ids 0..255 are the bytes; the results of the merges follow. */
vocabulary byte_level(const char *pre, const char *const *merges, size_t n_merges);
void put_vocabulary(gguf_builder *g, const vocabulary *v);

/* A tokenizer with the file that it points into. */
typedef struct loaded {
    unsigned char *bytes; /* NULL: read from a path */
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer;
} loaded;

/* Load the file of a builder, and release the builder. */
cllm_status load_built(gguf_builder *g, loaded *l, cllm_error *err);
loaded load(const vocabulary *v);
loaded load_with(const vocabulary *v, void (*more)(gguf_builder *g)); /* more: adds keys */
loaded load_without_prefix(const vocabulary *v);
loaded load_file(const char *path);
void unload(loaded *l);

/* The ids of a text, in decimal with spaces between. All results are valid until the next call. */
const char *encoded(const loaded *l, const char *text, size_t length, int flags);
const char *pieces(const loaded *l, const char *text, int flags); /* spellings, each followed by a bar */
const char *pair_pieces(const loaded *l, const char *query, const char *document);
const char *decoded(const loaded *l, int32_t previous, int32_t id);

/* Encode, decode token by token, and compare. Changes `text`. */
void check_round_trip(const loaded *l, char *text, size_t length, int flags);

/* The same for random texts, with and without the flags, and for all pairs of bytes. The vocabulary may lack bytes that
 * are not UTF-8. */
void check_round_trips(const loaded *l, int flags);

/* The path of a published vocabulary's file, such as "qwen2.gguf": in vocab/ of the shared folder, or in
 * $MINICLLM_VOCAB, which may be models/ of llama.cpp's source. NULL: it is in neither. The path is valid until the
 * eighth call after this one. */
const char *vocabulary_file(const char *name);

/* Check that the vocabulary `name` gives the ids of .gguf.out for the texts of .gguf.inp. Skips if they are missing. */
void check_reference(const char *name);

/* Check that the worst text of each kind, `length` bytes long, takes at most 5 seconds of CPU time a MiB, or 1 second
 * if that is more. Under a sanitizer an eighth of the bytes is used, and 2 seconds are always allowed. */
void check_time(const loaded *l, size_t length);

#endif
