/* libFuzzer target of byte-level BPE: any text with any pre-tokenizer and a sound vocabulary, and any vocabulary. What
 * is encoded must decode to the same bytes.
 *
 * Input: a byte of settings, a byte that chooses the pre-tokenizer, then, if FROM_INPUT, a vocabulary in a loose binary
 * form (see put_vocabulary), then the text.
 */
#include "vocabulary_file.h"

enum {
    PARSE_SPECIAL = 1,
    ADD_SPECIAL = 2,
    FROM_INPUT = 4,
    NO_TYPES = 8,
    NO_MERGES = 16,
    NO_BYTES = 32,
    ENDS = 64,
    NAME = 128
};

/* One name of each pattern, and some names that do not exist. */
static const char *const names[] = {
    "default",        "gpt-2",       "starcoder", "falcon",     "chameleon", "llama-bpe", "dbrx",       "minicpm5",
    "jais-2",         "qwen2",       "laguna",    "seed-coder", "ufakzeka",  "qwen35",    "exaone-moe", "deepseek-llm",
    "deepseek-coder", "deepseek-v3", "spark2_5",  "afmoe",      "gpt-4o",    "tiny_aya",  "youtu",      "tekken",
    "kimi-k2",        "superbpe",    "bloom",     "viking",     "",          "no-such",   "jina-v2-de",
};
enum { N_NAMES = sizeof names / sizeof *names };

static void put_byte_letters(void) {
    for (unsigned byte = 0, next = 0x100; byte < 256; byte++) {
        bool shown = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
        unsigned letter = shown ? byte : next++;
        char two[2] = {(char)(0xC0 | letter >> 6), (char)(0x80 | (letter & 0x3F))};
        put_string(letter < 0x80 ? (char[]){(char)letter} : two, letter < 0x80 ? 1 : 2);
    }
}

/* The input: a count and as many strings, each with its length; a byte for the type of each of these; a count and
 * merges. Unless NO_BYTES, the letters of all bytes are tokens, too, and come first. */
static void put_vocabulary(input *in, uint8_t settings) {
    size_t n_bytes = settings & NO_BYTES ? 0 : 256, n_tokens = n_bytes + take(in);
    put_array("tokenizer.ggml.tokens", TYPE_STRING, n_tokens);
    if (n_bytes) put_byte_letters();
    for (size_t i = n_bytes; i < n_tokens; i++) take_string(in);
    if (!(settings & NO_TYPES)) {
        put_array("tokenizer.ggml.token_type", TYPE_INT32, n_tokens);
        for (size_t i = 0; i < n_tokens; i++) put_number(i < n_bytes ? 1 : take(in) % 7, 4);
    }
    if (settings & NO_MERGES) return;
    size_t n_merges = take(in);
    put_array("tokenizer.ggml.merges", TYPE_STRING, n_merges);
    for (size_t i = 0; i < n_merges; i++) take_string(in);
}

#define G "\xC4\xA0" /* the letter for a space */

static void put_built_in(void) {
    static const char *const words[] = {"ab",    (G "a"), (G "ab"), "aa", "aaaa", "11", "\xC3\x83\xC2\xA9",
                                        "whole", "<s>",   "<|x|>",  "  "};
    static const unsigned char types[] = {1, 1, 1, 1, 1, 1, 1, 1, 3, 4, 4};
    static const char *const merges[] = {"a b", G " a", (G "a b"), "a a", "aa aa", "1 1", "\xC3\x83 \xC2\xA9"};
    const size_t n_words = sizeof words / sizeof *words, n_merges = sizeof merges / sizeof *merges;
    put_array("tokenizer.ggml.tokens", TYPE_STRING, 256 + n_words);
    put_byte_letters();
    for (size_t i = 0; i < n_words; i++) put_string(words[i], strlen(words[i]));
    put_array("tokenizer.ggml.token_type", TYPE_INT32, 256 + n_words);
    for (size_t i = 0; i < 256 + n_words; i++) put_number(i < 256 ? 1 : types[i - 256], 4);
    put_array("tokenizer.ggml.merges", TYPE_STRING, n_merges);
    for (size_t i = 0; i < n_merges; i++) put_string(merges[i], strlen(merges[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* libFuzzer alone calls it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    uint8_t settings = take(&in);
    const char *name = names[take(&in) % N_NAMES];
    begin_file("gpt2");
    put_key("tokenizer.ggml.pre", TYPE_STRING);
    put_string(name, strlen(name));
    if (settings & NAME) {
        put_key("general.name", TYPE_STRING);
        put_string("Phi-3", 5);
    }
    if (settings & ENDS) {
        put_key("tokenizer.ggml.bos_token_id", TYPE_UINT32);
        put_number(take(&in) + 240u, 4);
        put_key("tokenizer.ggml.eot_token_id", TYPE_UINT32);
        put_number(take(&in), 4);
    }
    if (settings & FROM_INPUT)
        put_vocabulary(&in, settings);
    else
        put_built_in();
    int flags = (settings & PARSE_SPECIAL ? CLLM_ENCODE_PARSE_SPECIAL : 0) |
                (settings & ADD_SPECIAL ? CLLM_ENCODE_ADD_SPECIAL : 0);
    try_file(in, flags, !(settings & (FROM_INPUT | ENDS)) && strcmp(name, "no-such") != 0);
    return 0;
}
