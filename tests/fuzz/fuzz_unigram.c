/* libFuzzer target of the other kinds of vocabulary: Unigram with any charsmap, WordPiece, and BPE of lines and
 * RWKV's, whose texts must decode to the same bytes.
 *
 * Input: a byte that chooses the kind, a byte of settings, then, unless BUILT_IN, a vocabulary in a loose binary
 * form (see put_vocabulary), then, if MAP, the charsmap, then the text. */
#include "vocabulary_file.h"

enum {
    PARSE_SPECIAL = 1,
    ADD_SPECIAL = 2,
    SPACE_PREFIX = 4,
    MERGES_SPACES = 8,
    BUILT_IN = 16,
    MAP = 32,
    SOUND_HEADER = 64, /* the map's header is right, whatever the input says */
    KEEPS_CASE = 128,
};

enum { TYPE_UINT8 = 0 };

static const char *const kinds[] = {"t5", "gemma4", "bert", "rwkv"};

static void put_map(input *in, uint8_t settings) {
    const size_t n_trie = 4 * (size_t)take(in), n_texts = take(in) % 64;
    put_array("tokenizer.ggml.precompiled_charsmap", TYPE_UINT8, 4 + n_trie + n_texts);
    put_number(settings & SOUND_HEADER ? n_trie : (size_t)take(in) << 2, 4);
    for (size_t i = 0; i < n_trie + n_texts; i++) put_number(take(in), 1);
}

static void put_scores_and_merges(input *in, size_t n_tokens, size_t n_merges) {
    put_array("tokenizer.ggml.scores", TYPE_FLOAT32, n_tokens);
    for (size_t i = 0; i < n_tokens; i++) put_score((float)take(in) / -4);
    put_array("tokenizer.ggml.merges", TYPE_STRING, n_merges);
    for (size_t i = 0; i < n_merges; i++) take_string(in);
}

static void put_vocabulary(input *in) {
    const size_t n_tokens = take(in);
    put_array("tokenizer.ggml.tokens", TYPE_STRING, n_tokens);
    for (size_t i = 0; i < n_tokens; i++) take_string(in);
    put_array("tokenizer.ggml.token_type", TYPE_INT32, n_tokens);
    for (size_t i = 0; i < n_tokens; i++) put_number(take(in) % 7, 4);
    put_scores_and_merges(in, n_tokens, take(in) % 32);
}

#define SPACE "\xE2\x96\x81" /* U+2581 */

static void put_built_in(input *in) {
    static const char *const texts[] = {"<unk>", "</s>", SPACE,      "a", "b",  "ab", SPACE "a",
                                        "\n",    "\n\n", "\xC3\xA9", "x", "aa", "A",  "abc" SPACE "a"};
    static const unsigned char types[] = {2, 3};
    const size_t n_texts = sizeof texts / sizeof *texts;
    put_array("tokenizer.ggml.tokens", TYPE_STRING, n_texts + 256);
    for (size_t i = 0; i < n_texts; i++) put_string(texts[i], strlen(texts[i]));
    put_byte_spellings();
    put_array("tokenizer.ggml.token_type", TYPE_INT32, n_texts + 256);
    for (size_t i = 0; i < n_texts + 256; i++) put_number(i < sizeof types ? types[i] : i < n_texts ? 1 : 6, 4);
    put_scores_and_merges(in, n_texts + 256, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* libFuzzer alone calls it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    begin_file(kinds[take(&in) % 4]);
    const uint8_t settings = take(&in);
    put_flag("tokenizer.ggml.add_space_prefix", settings & SPACE_PREFIX);
    put_flag("tokenizer.ggml.remove_extra_whitespaces", settings & MERGES_SPACES);
    put_flag("tokenizer.ggml.normalizer.lowercase", !(settings & KEEPS_CASE));
    put_key("tokenizer.ggml.unknown_token_id", TYPE_UINT32);
    put_number(0, 4);
    if (settings & BUILT_IN)
        put_built_in(&in);
    else
        put_vocabulary(&in);
    if (settings & MAP) put_map(&in, settings);
    const int flags = (settings & PARSE_SPECIAL ? CLLM_ENCODE_PARSE_SPECIAL : 0) |
                      (settings & ADD_SPECIAL ? CLLM_ENCODE_ADD_SPECIAL : 0);
    try_file(in, flags, settings & BUILT_IN && !(settings & MAP));
    return 0;
}
