/* libFuzzer target of the tokenizer: any text with a sound vocabulary, and any vocabulary. What is encoded must decode
 * to the same bytes.
 *
 * Input: a byte of settings, then, unless it asks for the built-in vocabulary, a vocabulary in a loose binary form
 * (see put_vocabulary), then the text.
 */
#include "vocabulary_file.h"

#include <math.h>

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

/* ------------------------------------------------------------------------------------------- vocabularies */

static void put_built_in(uint8_t settings) {
    static const char *const words[] = {"<unk>", "<s>", "</s>", "<|a|>", "<|a|", SPACE,      "a",       "b",        "c",
                                        "ab",    "bc",  "abc",  "aa",    "aaaa", "\xC3\xA9", SPACE "a", SPACE SPACE};
    static const unsigned char types[] = {2, 3, 3, 3, 4};
    static const char *const merges[] = {"b c", "a bc", "a a", "aa aa", SPACE " a", SPACE " " SPACE};
    const size_t n_words = sizeof words / sizeof *words, n_merges = sizeof merges / sizeof *merges;

    put_array("tokenizer.ggml.tokens", TYPE_STRING, n_words + 256);
    for (size_t i = 0; i < n_words; i++) put_string(words[i], strlen(words[i]));
    put_byte_spellings();
    put_array("tokenizer.ggml.token_type", TYPE_INT32, n_words + 256);
    for (size_t i = 0; i < n_words + 256; i++) put_number(i < sizeof types ? types[i] : i < n_words ? 1 : 6, 4);
    if (settings & MERGES) {
        put_array("tokenizer.ggml.merges", TYPE_STRING, n_merges);
        for (size_t i = 0; i < n_merges; i++) put_string(merges[i], strlen(merges[i]));
    } else {
        put_array("tokenizer.ggml.scores", TYPE_FLOAT32, n_words + 256);
        for (size_t i = 0; i < n_words + 256; i++) put_score((float)(i * 7 % 5)); /* some scores are equal */
    }
}

/* The input: a count and as many strings, each with its length; then a byte for the type of each token; then a byte for
 * the score of each token, or, instead of scores, a count and merges. */
static void put_vocabulary(input *in, uint8_t settings) {
    size_t n_tokens = take(in), n_shown = n_tokens - (settings & ODD_COUNTS && n_tokens ? 1 : 0);
    put_array("tokenizer.ggml.tokens", TYPE_STRING, n_tokens);
    for (size_t i = 0; i < n_tokens; i++) take_string(in);
    if (!(settings & NO_TYPES)) {
        put_array("tokenizer.ggml.token_type", TYPE_INT32, n_shown);
        for (size_t i = 0; i < n_shown; i++) put_number(take(in) % 8, 4); /* type 7 does not exist */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* libFuzzer alone calls it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    uint8_t settings = take(&in);
    begin_file("llama");
    put_flag("tokenizer.ggml.add_space_prefix", !(settings & NO_SPACE_PREFIX));
    if (settings & FROM_INPUT)
        put_vocabulary(&in, settings);
    else
        put_built_in(settings);
    int flags = (settings & PARSE_SPECIAL ? CLLM_ENCODE_PARSE_SPECIAL : 0) |
                (settings & ADD_SPECIAL ? CLLM_ENCODE_ADD_SPECIAL : 0);
    try_file(in, flags, !(settings & FROM_INPUT));
    return 0;
}
