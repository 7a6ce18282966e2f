/* Any text as a grammar: it is refused, or its masks allow exactly what its bytes allow. The first byte chooses the
 * kind of grammar, and how the walk begins. Run by `make fuzz`. */
#include "gguf/gguf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void require(bool holds) {
    if (!holds) abort();
}

static unsigned char file[1 << 14];
static size_t file_size;

static void put(const void *bytes, size_t n) {
    require(n <= sizeof file - file_size);
    memcpy(file + file_size, bytes, n);
    file_size += n;
}

static void put_number(uint64_t value, unsigned n_bytes) {
    for (unsigned i = 0; i < n_bytes; i++) put(&(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static void put_string(const char *text) {
    put_number(strlen(text), 8);
    put(text, strlen(text));
}

static void put_array(const char *key, unsigned type, size_t count) {
    put_string(key);
    put_number(9, 4); /* an array */
    put_number(type, 4);
    put_number(count, 8);
}

/* A vocabulary of all bytes and some words, made once. */
static cllm_tokenizer *small_vocabulary(void) {
    static const char *const words[] = {"<unk>", "<s>", "</s>", "a",  "b",  "ab",       "abc",
                                        "\"",    "\":", "{\"",  "[1", "12", "\xC3\xA4", "true"};
    enum { N_WORDS = sizeof words / sizeof *words, STRING = 8, INT32 = 5, FLOAT32 = 6 };
    static cllm_gguf *gguf; /* never closed, because the tokenizer stays, too */
    cllm_tokenizer *tokenizer;
    put("GGUF", 4);
    put_number(3, 4);
    put_number(0, 8);
    put_number(4, 8); /* keys */
    put_string("tokenizer.ggml.model");
    put_number(STRING, 4);
    put_string("llama");
    put_array("tokenizer.ggml.tokens", STRING, N_WORDS + 256);
    for (size_t i = 0; i < N_WORDS; i++) put_string(words[i]);
    for (unsigned byte = 0; byte < 256; byte++) {
        const char *digits = "0123456789ABCDEF";
        put_string((char[]){'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>', '\0'});
    }
    put_array("tokenizer.ggml.token_type", INT32, N_WORDS + 256);
    for (size_t i = 0; i < N_WORDS + 256; i++) put_number(i == 0 ? 2 : i < 3 ? 3 : i < N_WORDS ? 1 : 6, 4);
    put_array("tokenizer.ggml.scores", FLOAT32, N_WORDS + 256);
    for (size_t i = 0; i < N_WORDS + 256; i++) put_number(0, 4);
    require(gguf_open_memory(file, file_size, &gguf, NULL) == CLLM_OK);
    require(cllm_tokenizer_create(gguf, &tokenizer, NULL) == CLLM_OK);
    return tokenizer;
}

/* A copy of the matcher takes each token that the mask allows, and refuses every other token. */
static void check_mask(const cllm_matcher *matcher, const uint32_t *mask, uint32_t n_vocab) {
    for (uint32_t t = 0; t < n_vocab; t++) {
        cllm_matcher *copy;
        if (cllm_matcher_fork(matcher, &copy, NULL) != CLLM_OK) return;
        const cllm_status status = cllm_matcher_take(copy, (int32_t)t, NULL);
        cllm_matcher_destroy(copy);
        if (status == CLLM_OK || status == CLLM_ERR_ARGUMENT)
            require((mask[t / 32] >> t % 32 & 1) == (status == CLLM_OK));
    }
}

/* Draws a token that is allowed, or returns -1. spaces: tokens of white space may be drawn, too. */
static int32_t draw(const cllm_tokenizer *tokenizer, const uint32_t *mask, uint32_t n_vocab, bool spaces,
                    uint64_t *random) {
    int32_t token = -1;
    uint64_t n_allowed = 0;
    for (uint32_t t = 0; t < n_vocab; t++) {
        const cllm_string text = cllm_tokenizer_decode(tokenizer, (int32_t)t, (int32_t)t);
        if (!(mask[t / 32] >> t % 32 & 1) || (!spaces && text.length == 1 && strchr(" \t\r\n", text.data[0]))) continue;
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        if ((*random >> 33) % ++n_allowed == 0) token = (int32_t)t;
    }
    return token;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static cllm_tokenizer *tokenizer;
    static cllm_token_index *index;
    cllm_grammar *grammar;
    cllm_matcher *matcher;
    if (n_bytes == 0 || n_bytes > 4096) return 0;
    if (!index) {
        tokenizer = small_vocabulary();
        require(cllm_token_index_create(tokenizer, &index, NULL) == CLLM_OK);
    }
    const cllm_string text = {(const char *)bytes + 1, n_bytes - 1};
    static const cllm_grammar_kind schemas[] = {CLLM_GRAMMAR_JSON_SCHEMA, CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER,
                                                CLLM_GRAMMAR_JSON_SCHEMA_CLOSED,
                                                CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER};
    const bool is_schema = (bytes[0] & 192) == 64;
    const cllm_grammar_kind kind = bytes[0] & 128 ? bytes[0] & 1 ? CLLM_GRAMMAR_STRUCTURE : CLLM_GRAMMAR_CHOICE
                                   : is_schema    ? schemas[bytes[0] & 3]
                                   : bytes[0] & 1 ? CLLM_GRAMMAR_REGEX
                                                  : CLLM_GRAMMAR_GBNF;
    if (cllm_grammar_create(index, kind, text, &grammar, NULL) != CLLM_OK) return 0;
    require(cllm_matcher_create(grammar, &matcher, NULL) == CLLM_OK);
    uint64_t random = bytes[0];
    const uint32_t n_vocab = cllm_tokenizer_n_vocab(tokenizer);
    uint32_t *mask = calloc(CLLM_MASK_WORDS(n_vocab), sizeof *mask);
    int n_spaces = 0; /* drawn where nothing else could follow */
    for (int step = 0; step < 60; step++) {
        if (cllm_matcher_fill_mask(matcher, mask, NULL) != CLLM_OK) break; /* there are too many ways to go on */
        if (step < 12) check_mask(matcher, mask, n_vocab);
        int32_t token = draw(tokenizer, mask, n_vocab, false, &random);
        n_spaces = token < 0 ? n_spaces + 1 : 0;
        if (token < 0) token = draw(tokenizer, mask, n_vocab, true, &random);
        if (token < 0) require(cllm_matcher_can_end(matcher)); /* else a byte can follow, and each is a token */
        if (is_schema) require(n_spaces <= 21);
        if (token < 0 || cllm_matcher_take(matcher, token, NULL) != CLLM_OK) break;
    }
    free(mask);
    cllm_matcher_destroy(matcher);
    cllm_grammar_destroy(grammar);
    return 0;
}
