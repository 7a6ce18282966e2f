/* libFuzzer target of the tokenizer: any text on a sound vocabulary, and any vocabulary. Whatever is encoded must decode
 * to the same bytes.
 *
 * Input: a byte of settings, then, unless it asks for the built-in vocabulary, a vocabulary in a loose binary form
 * (see put_vocabulary), then the text.
 */
#include "gguf/gguf.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xE2\x96\x81" /* U+2581 */

enum {
    PARSE_SPECIAL = 1,
    NO_SPACE_PREFIX = 2,
    MERGES = 4, /* instead of scores */
    FROM_INPUT = 8,
    NO_TYPES = 16,
    ODD_COUNTS = 32, /* arrays one shorter than the tokens */
    SPECIAL_IDS = 64,
    ADD_SPECIAL = 128,
};

/* The rest of the input, taken from the front; zeros when it is used up. */
typedef struct input {
    const uint8_t *bytes;
    size_t size;
} input;

static uint8_t take(input *in) {
    if (in->size == 0) return 0;
    in->size--;
    return *in->bytes++;
}

/* ------------------------------------------------------------------------------------------- writing GGUF */

enum { TYPE_UINT32 = 4, TYPE_INT32 = 5, TYPE_FLOAT32 = 6, TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9 };

static unsigned char file[1 << 16];
static size_t file_size;
static unsigned char n_keys;

static void put(const void *bytes, size_t n) {
    if (n > sizeof file - file_size) abort(); /* the counts of put_vocabulary do not reach that far */
    memcpy(file + file_size, bytes, n);
    file_size += n;
}

static void put_number(uint64_t value, unsigned n_bytes) {
    for (unsigned i = 0; i < n_bytes; i++) put(&(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static void put_string(const char *bytes, size_t length) {
    put_number(length, 8);
    put(bytes, length);
}

static void put_key(const char *key, unsigned type) {
    put_string(key, strlen(key));
    put_number(type, 4);
    n_keys++;
}

static void put_array(const char *key, unsigned element_type, size_t count) {
    put_key(key, TYPE_ARRAY);
    put_number(element_type, 4);
    put_number(count, 8);
}

static void put_score(float score) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    put_number(bits, 4);
}

static void begin_file(void) {
    file_size = 0;
    n_keys = 0;
    put("GGUF", 4);
    put_number(3, 4);
    put_number(0, 8);
    put_number(0, 8); /* overwritten by end_file */
    put_key("tokenizer.ggml.model", TYPE_STRING);
    put_string("llama", 5);
}

static void end_file(void) { file[16] = n_keys; }

static void put_flag(const char *key, bool value) {
    put_key(key, TYPE_BOOL);
    put_number(value, 1);
}

/* ------------------------------------------------------------------------------------------- vocabularies */

static void put_built_in(uint8_t settings) {
    static const char *const words[] = {"<unk>", "<s>", "</s>", "<|a|>", "<|a|", SPACE,      "a",       "b",        "c",
                                        "ab",    "bc",  "abc",  "aa",    "aaaa", "\xC3\xA9", SPACE "a", SPACE SPACE};
    static const unsigned char types[] = {2, 3, 3, 3, 4};
    static const char *const merges[] = {"b c", "a bc", "a a", "aa aa", SPACE " a", SPACE " " SPACE};
    const size_t n_words = sizeof words / sizeof *words, n_merges = sizeof merges / sizeof *merges;

    put_array("tokenizer.ggml.tokens", TYPE_STRING, n_words + 256);
    for (size_t i = 0; i < n_words; i++) put_string(words[i], strlen(words[i]));
    for (unsigned byte = 0; byte < 256; byte++) {
        const char *digits = "0123456789ABCDEF";
        put_string((char[]){'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'}, 6);
    }
    put_array("tokenizer.ggml.token_type", TYPE_INT32, n_words + 256);
    for (size_t i = 0; i < n_words + 256; i++) put_number(i < sizeof types ? types[i] : i < n_words ? 1 : 6, 4);
    if (settings & MERGES) {
        put_array("tokenizer.ggml.merges", TYPE_STRING, n_merges);
        for (size_t i = 0; i < n_merges; i++) put_string(merges[i], strlen(merges[i]));
    } else {
        put_array("tokenizer.ggml.scores", TYPE_FLOAT32, n_words + 256);
        for (size_t i = 0; i < n_words + 256; i++) put_score((float)(i * 7 % 5)); /* some are the same */
    }
}

static void take_string(input *in) {
    char bytes[16];
    size_t length = take(in) % sizeof bytes;
    for (size_t i = 0; i < length; i++) bytes[i] = (char)take(in);
    put_string(bytes, length);
}

/* A count, so many strings with a length each, then a byte a token for its type and score; or a count and merges. */
static void put_vocabulary(input *in, uint8_t settings) {
    size_t n_tokens = take(in), n_shown = n_tokens - (settings & ODD_COUNTS && n_tokens ? 1 : 0);
    put_array("tokenizer.ggml.tokens", TYPE_STRING, n_tokens);
    for (size_t i = 0; i < n_tokens; i++) take_string(in);
    if (!(settings & NO_TYPES)) {
        put_array("tokenizer.ggml.token_type", TYPE_INT32, n_shown);
        for (size_t i = 0; i < n_shown; i++) put_number(take(in) % 8, 4); /* 7 is none */
    }
    size_t n_values = settings & MERGES ? take(in) : n_shown;
    put_array(settings & MERGES ? "tokenizer.ggml.merges" : "tokenizer.ggml.scores",
              settings & MERGES ? TYPE_STRING : TYPE_FLOAT32, n_values);
    for (size_t i = 0; i < n_values; i++) {
        uint8_t byte = settings & MERGES ? 0 : take(in);
        if (settings & MERGES)
            take_string(in);
        else
            put_score(byte == 255 ? NAN : byte == 254 ? INFINITY : (float)(byte / 4));
    }
    if (settings & SPECIAL_IDS) {
        put_key("tokenizer.ggml.bos_token_id", TYPE_UINT32);
        put_number(take(in), 4);
        put_key("tokenizer.ggml.unknown_token_id", TYPE_UINT32);
        put_number(take(in), 4);
    }
}

/* ------------------------------------------------------------------------------------------- the check */

/* Replaces each U+2581 by a space: the one difference that SentencePiece cannot see. */
static size_t without_u2581(char *text, size_t length) { return unescape_spaces(text, length, text); }

static void check_round_trip(const cllm_tokenizer *t, input text, int flags) {
    int32_t *ids;
    size_t count;
    cllm_error err;
    cllm_status status = cllm_tokenizer_encode(t, (const char *)text.bytes, text.size, flags, &ids, &count, &err);
    if (status == CLLM_ERR_UNSUPPORTED && t->unknown < 0) return;
    if (status != CLLM_OK) abort();

    size_t capacity = 1, size = 0;
    bool exact = true; /* unless a character became the unknown token, or BOS was put in front */
    for (size_t i = 0; i < count; i++) {
        capacity += cllm_tokenizer_decode(t, -1, ids[i]).length + 1;
        exact = exact && ids[i] != t->unknown && !(flags & CLLM_ENCODE_ADD_SPECIAL);
    }
    char *back = malloc(capacity), *want = malloc(text.size + 1);
    if (!back || !want) abort();
    for (size_t i = 0; i < count; i++) {
        cllm_string bytes = cllm_tokenizer_decode(t, i ? ids[i - 1] : -1, ids[i]);
        memcpy(back + size, bytes.data, bytes.length);
        size += bytes.length;
    }
    if (text.size) memcpy(want, text.bytes, text.size);
    size_t want_size = without_u2581(want, text.size);
    size = without_u2581(back, size);
    if (exact && (size != want_size || memcmp(back, want, size) != 0)) abort();
    free(back);
    free(want);
    cllm_free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* libFuzzer alone calls it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    uint8_t settings = take(&in);
    begin_file();
    put_flag("tokenizer.ggml.add_space_prefix", !(settings & NO_SPACE_PREFIX));
    if (settings & FROM_INPUT)
        put_vocabulary(&in, settings);
    else
        put_built_in(settings);
    end_file();

    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer;
    cllm_error err;
    if (gguf_open_memory(file, file_size, &gguf, &err) != CLLM_OK) abort();
    if (cllm_tokenizer_create(gguf, NULL, &tokenizer, &err) == CLLM_OK) {
        int flags = (settings & PARSE_SPECIAL ? CLLM_ENCODE_PARSE_SPECIAL : 0) |
                    (settings & ADD_SPECIAL ? CLLM_ENCODE_ADD_SPECIAL : 0);
        check_round_trip(tokenizer, in, flags);
    } else if (!(settings & FROM_INPUT)) {
        abort();
    }
    cllm_tokenizer_destroy(tokenizer);
    cllm_gguf_close(gguf);
    return 0;
}
