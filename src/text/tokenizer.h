/* The inside of the tokenizer: what vocabulary.c reads from a file, and what encoding and decoding look up.
 *
 *   GGUF metadata -> vocabulary.c, special_tokens.c -> struct cllm_tokenizer -> tokenizer.c -> ids
 *
 * tokenizer.c finds the special tokens in a text. The text between them goes to the file for its kind of vocabulary:
 *
 *   SentencePiece BPE   tokenizer_spm.c, then merger.c
 *   byte-level BPE      pretokenizer.c and tokenizer_bpe.c, then merger.c
 *   WordPiece           tokenizer_wordpiece.c
 *   Unigram             tokenizer_unigram.c
 *   RWKV                tokenizer_rwkv.c
 *
 * Files do not spell tokens as the bytes that they stand for: SentencePiece writes U+2581 for a space, byte-level BPE a
 * letter for each byte, and RWKV what Python prints for bytes. The spellings are translated once, when the vocabulary
 * is loaded. So texts are looked up as they are, and decoding a token only returns its bytes. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/arena.h"
#include "cllm.h"
#include "text/charsmap.h"
#include "text/pretokenizer.h"

/* The numbers of tokenizer.ggml.token_type. */
typedef enum token_type {
    TOKEN_UNDEFINED = 0, /* the file does not say: guessed from id and spelling, else treated as normal */
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2, /* replaces what the vocabulary cannot express */
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4, /* a text that always becomes this one token */
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6, /* <0x00> .. <0xFF> */
} token_type;

typedef struct vocabulary_token {
    cllm_string spelling; /* as in the file */
    cllm_string text;     /* the bytes it stands for */
    float score;          /* pieces with a higher score are joined first; never NaN */
    token_type type;
    bool is_literal; /* its spelling cannot be translated: it is decoded as it is spelled, and no text becomes it */
    bool is_indexed; /* vocabulary_find finds it */
    bool ends_text;  /* generation stops at it */
} vocabulary_token;

/* A slot of the hash table from texts to ids. */
typedef struct vocabulary_slot {
    uint32_t hash;
    uint32_t id_plus_1; /* 0: empty */
} vocabulary_slot;

typedef struct special_token {
    cllm_string spelling; /* as texts have it */
    int32_t id;
    bool strips_left, strips_right; /* the white space before or after it in a text is removed */
    bool is_text;                   /* user-defined ordinary text: it is found in untrusted texts too */
} special_token;

/* One way to make a token: join its first left_length bytes and the rest. */
typedef struct merge_rule {
    uint32_t left_length;
    uint32_t next_plus_1; /* another rule for the same token; 0: none */
} merge_rule;

/* The algorithm that cuts ordinary text into tokens. */
typedef enum tokenizer_kind { KIND_SPM, KIND_BPE, KIND_WORDPIECE, KIND_UNIGRAM, KIND_RWKV } tokenizer_kind;

typedef struct sorted_text sorted_text;

struct cllm_tokenizer {
    arena memory; /* all of the memory below */

    tokenizer_kind kind;
    const pretokenizer *pre; /* byte-level BPE; else NULL */
    bool guessed_pre;        /* the file does not name it */
    bool wants_nfc;          /* text between special tokens is put into Unicode's NFC first */
    bool cuts_lines;      /* SentencePiece BPE: each line, and each run of line feeds between lines, is merged alone */
    bool whole_line_ends; /* a run of line feeds that is a token becomes that token */
    bool keeps_capitals, keeps_accents; /* WordPiece */

    vocabulary_token *tokens; /* [n_vocab] */
    uint32_t n_vocab;
    vocabulary_slot *slots; /* [slot_mask + 1], a power of 2, at most half full; linear probing */
    uint32_t slot_mask;
    uint32_t longest_text;    /* bytes, of the tokens in `slots` */
    bool joins[256][256];     /* true if some token of `slots` has these two bytes side by side */
    int32_t byte_tokens[256]; /* -1: none */

    /* Control, unknown and user-defined tokens, sorted by their bytes, each spelling once. Those that begin with byte b
     * are specials[specials_from[b] .. specials_from[b + 1] - 1]. */
    special_token *specials;
    uint32_t specials_from[257];

    /* The merge rules, in order of precedence: for byte-level BPE and vocabularies that cut lines, and if a
     * SentencePiece file has no scores. */
    merge_rule *merges;           /* [n_merges]; NULL: scores decide which pieces are joined first */
    uint32_t *first_merge_plus_1; /* [n_vocab], the first rule for each token; 0: none */

    /* For Unigram; the first two for RWKV too (sorted_texts.h). */
    sorted_text *sorted;       /* the texts in `slots`, sorted by their bytes */
    uint32_t sorted_from[257]; /* those that begin with byte b: sorted[sorted_from[b] .. sorted_from[b + 1] - 1] */
    charsmap charsmap;
    float unknown_score;
    bool merges_spaces; /* several spaces become one, and spaces at the end of a text are dropped */

    int32_t bos, eos, unknown; /* -1: none */
    bool add_bos, add_eos, add_space_prefix;
    int32_t separator;         /* between two texts, after the end of the first; -1: none */
    cllm_string pair_template; /* how to join two texts (pair.c); empty: with `separator` and the tokens around them */
};

/* Fill a tokenizer from the tokenizer.ggml.* keys. It does not load the merge rules, nor what Unigram and RWKV need in
 * addition. Before the call only the fields that describe its kind are set; the others are zero. After an error
 * the caller destroys it. Errors: FORMAT, UNSUPPORTED, MEMORY. */
cllm_status vocabulary_load(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err);

/* Two steps of vocabulary_load. The first one finds the tokens that end a text. It may change the types of tokens, so
 * it comes before texts are indexed. The second one comes after that, and lists the special tokens. Errors: FORMAT,
 * MEMORY. */
cllm_status find_end_tokens(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err);
cllm_status collect_specials(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err);

/* The id under `key`, or -1. Errors: FORMAT (it is not an integer, or outside the vocabulary). */
cllm_status load_token_id(const cllm_tokenizer *t, const cllm_gguf *gguf, const char *key, int32_t *id,
                          cllm_error *err);

/* The id of the token with exactly this text, or -1. Special tokens and byte tokens are not found. */
int32_t vocabulary_find(const cllm_tokenizer *t, const char *text, size_t length);

/* True for special tokens. Merging never makes them. */
static inline bool token_is_special(token_type type) {
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || type == TOKEN_USER_DEFINED;
}

/* Translate the spelling of ordinary text into bytes: for SentencePiece a space for each U+2581, for byte-level BPE a
 * byte for each letter, for RWKV a byte for each escape such as \n or \xff. `to` has room for `length` bytes. Returns
 * false if the spelling has a character that is not such a letter, or an invalid escape. Then it is copied unchanged,
 * and no text becomes this token. */
bool unescape(const cllm_tokenizer *t, const char *spelling, size_t length, char *to, size_t *written);

/* The three kinds of translation. unescape_spaces returns how many bytes it wrote. */
size_t unescape_spaces(const char *from, size_t length, char *to);
bool unescape_letters(const char *from, size_t length, char *to, size_t *written);
bool unescape_bytes(const char *from, size_t length, char *to, size_t *written);

/* How many bytes of a string of the file to show, for "%.*s" in messages. */
static inline int shown_length(cllm_string s) { return s.length < 64 ? (int)s.length : 64; }

/* A growing list of ids. Zero-initialised: empty. */
typedef struct token_list {
    int32_t *ids; /* [count]; release with free() */
    size_t count, capacity;
} token_list;

/* Make room for `more` ids after the last one. Returns false if memory runs out. */
bool token_list_reserve(token_list *list, size_t more);
cllm_status token_list_add(token_list *list, int32_t id, cllm_error *err);

/* Load what Unigram needs in addition to the vocabulary. Errors: FORMAT, MEMORY. */
cllm_status unigram_load(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err);

/* Append the ids of a text without special tokens. goes_on: other text comes before it, so no space is put in front of
 * it, even if add_space_prefix is set. length: 1 byte to 1 GiB. Errors: MEMORY, UNSUPPORTED. */
cllm_status spm_encode(const cllm_tokenizer *t, const char *text, size_t length, bool goes_on, token_list *out,
                       cllm_error *err);
cllm_status bpe_encode(const cllm_tokenizer *t, const char *text, size_t length, token_list *out, cllm_error *err);
cllm_status unigram_encode(const cllm_tokenizer *t, const char *text, size_t length, bool goes_on, token_list *out,
                           cllm_error *err);
cllm_status wordpiece_encode(const cllm_tokenizer *t, const char *text, size_t length, token_list *out,
                             cllm_error *err);
cllm_status rwkv_encode(const cllm_tokenizer *t, const char *text, size_t length, token_list *out, cllm_error *err);

#endif
