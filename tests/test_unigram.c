/* Tests the tokenizer with Unigram vocabularies and their charsmap: small ones made here, each of which shows one
 * rule. tests/check_tokenizers.sh compares a real one. */
#include "support/vocabulary.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------ the map */

enum { BLOCK = 256, N_BLOCKS = 8, N_UNITS = BLOCK * N_BLOCKS, MOST_REPLACEMENTS = 512 };

/* A charsmap under construction. The children of a unit fill a block of their own; byte b leads to block + b. */
typedef struct map_builder {
    uint32_t units[N_UNITS];
    size_t n_blocks;
    char replacements[MOST_REPLACEMENTS];
    size_t n_replacement_bytes;
    unsigned char bytes[4 + 4 * N_UNITS + MOST_REPLACEMENTS];
    size_t n_bytes;
} map_builder;

static map_builder map;

static size_t block_of(uint32_t *unit, size_t place) {
    if (*unit >> 10 == 0) {
        assert_true(++map.n_blocks < N_BLOCKS);
        *unit |= (uint32_t)(place ^ (map.n_blocks * BLOCK)) << 10;
    }
    return place ^ *unit >> 10;
}

static void map_entry(const char *text, const char *replacement) {
    size_t place = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        place = block_of(&map.units[place], place) + *c;
        map.units[place] |= *c;
    }
    map.units[block_of(&map.units[place], place)] = 1u << 31 | (uint32_t)map.n_replacement_bytes;
    map.units[place] |= 1u << 8;
    assert_true(map.n_replacement_bytes + strlen(replacement) < MOST_REPLACEMENTS);
    memcpy(map.replacements + map.n_replacement_bytes, replacement, strlen(replacement) + 1);
    map.n_replacement_bytes += strlen(replacement) + 1;
}

static void put_u32(size_t at, uint32_t value) {
    for (int i = 0; i < 4; i++) map.bytes[at + (size_t)i] = (unsigned char)(value >> 8 * i);
}

static void finish_map(void) {
    put_u32(0, 4 * N_UNITS);
    for (size_t i = 0; i < N_UNITS; i++) put_u32(4 + 4 * i, map.units[i]);
    memcpy(map.bytes + 4 + 4 * N_UNITS, map.replacements, map.n_replacement_bytes);
    map.n_bytes = 4 + 4 * N_UNITS + map.n_replacement_bytes;
}

static void make_map(void) {
    memset(&map, 0, sizeof map);
    map_entry("\t", " ");
    map_entry("\xC2\xBD", "1/2");
    map_entry("A", "a");
    map_entry("AB", "x");
    map_entry("~", "");
    finish_map();
}

/* ------------------------------------------------------------------------------------------ cutting */

static void put_map(gguf_builder *g) {
    builder_u8s(g, "tokenizer.ggml.precompiled_charsmap", map.bytes, map.n_bytes);
    builder_u32(g, "tokenizer.ggml.unknown_token_id", 2);
    builder_bool(g, "tokenizer.ggml.add_space_prefix", 1);
    builder_bool(g, "tokenizer.ggml.remove_extra_whitespaces", 1);
}

static void put_no_merging(gguf_builder *g) {
    builder_bool(g, "tokenizer.ggml.add_space_prefix", 1);
    builder_bool(g, "tokenizer.ggml.remove_extra_whitespaces", 0);
}

static vocabulary small(void) {
    vocabulary v = {.model = "t5"};
    add(&v, "<pad>", 0, CONTROL), add(&v, "</s>", 0, CONTROL), add(&v, "<unk>", 0, UNKNOWN);
    add(&v, SPACE, -3, NORMAL), add(&v, "a", -4, NORMAL), add(&v, "b", -4, NORMAL), add(&v, "ab", -5, NORMAL);
    add(&v, SPACE "a", -5, NORMAL), add(&v, "bb", -9, NORMAL), add(&v, "x", -6, NORMAL), add(&v, "1", -6, NORMAL);
    add(&v, "/2", -6, NORMAL), add(&v, "abb" SPACE "a", -1, NORMAL), add(&v, "<mask>", 0, USER_DEFINED);
    add(&v, "\xE6\x97\xA5", -6, NORMAL), add(&v, "<0x41>", 0, BYTE);
    return v;
}

static void check_pieces(const loaded *l, const char *text, int flags, const char *expected) {
    const char *got = pieces(l, text, flags);
    if (strcmp(got, expected) != 0) fail_msg("\"%s\" is %s and not %s", text, got, expected);
}

static void best_path_is_taken(void **state) {
    (void)state;
    vocabulary v = small();
    make_map();
    loaded l = load_with(&v, put_map);
    check_pieces(&l, "ab", 0, SPACE "|ab|"); /* score -8; " a" and "b" have -9 */
    check_pieces(&l, "a", 0, SPACE "a|");
    check_pieces(&l, "bb", 0, SPACE "|b|b|"); /* two tokens with -4 each win over one with -9 */
    check_pieces(&l, "abb a", 0, SPACE "|abb" SPACE "a|");
    check_pieces(&l, "\xE6\x97\xA5", 0, SPACE "|\xE6\x97\xA5|");
    check_pieces(&l,
                 "ayz\xE6\x9C\xAC"
                 "b",
                 0, SPACE "a|<unk>|b|"); /* several unknown characters become one token */
    check_pieces(&l, "y z", 0, SPACE "|<unk>|" SPACE "|<unk>|");
    check_pieces(&l, "a\xFF", 0, SPACE "a|<unk>|");
    check_pieces(&l, "", 0, "");
    check_pieces(&l, "a", CLLM_ENCODE_ADD_SPECIAL, SPACE "a|</s>|");
    check_pieces(&l, "a", CLLM_ENCODE_GOES_ON, "a|");
    check_pieces(&l, " a", CLLM_ENCODE_GOES_ON, SPACE "a|");
    unload(&l);
}

static void texts_are_normalised(void **state) {
    (void)state;
    vocabulary v = small();
    make_map();
    loaded l = load_with(&v, put_map);
    check_pieces(&l, "A", 0, SPACE "a|");
    check_pieces(&l, "AB", 0, SPACE "|x|"); /* the longest entry */
    check_pieces(&l, "AA", 0, SPACE "a|a|");
    check_pieces(&l, "\xC2\xBD", 0, SPACE "|1|/2|");
    check_pieces(&l, "a~b", 0, SPACE "|ab|");
    check_pieces(&l, "  a \t  a   ", 0, SPACE "a|" SPACE "a|");
    check_pieces(&l, " \t ", 0, "");
    check_pieces(&l, "a" SPACE "a", 0, SPACE "a|" SPACE "a|");            /* U+2581 is a space to the vocabulary ... */
    check_pieces(&l, "a " SPACE "a", 0, SPACE "a|" SPACE "|" SPACE "a|"); /* ... but not white space */
    unload(&l);
    l = load_with(&v, put_no_merging);
    check_pieces(&l, " a  a ", 0, SPACE "|" SPACE "a|" SPACE "|" SPACE "a|" SPACE "|");
    check_pieces(&l, "A", 0, SPACE "|<unk>|");
    unload(&l);
}

static void special_tokens_need_trust(void **state) {
    (void)state;
    vocabulary v = small();
    make_map();
    loaded l = load_with(&v, put_map);
    check_pieces(&l, "a</s>a", CLLM_ENCODE_PARSE_SPECIAL, SPACE "a|</s>|" SPACE "a|");
    check_pieces(&l, "a</s>", 0, SPACE "a|<unk>|");
    check_pieces(&l, "a <mask>b", 0, SPACE "a|<mask>|" SPACE "|b|");
    const cllm_part parts[] = {{.text = {"a<mask>", 7}, .trusted = false}, {.text = {"</s>", 4}, .trusted = true}};
    int32_t *ids;
    size_t count;
    cllm_error err;
    assert_ok(cllm_tokenizer_encode_parts(l.tokenizer, parts, 2, 0, &ids, &count, &err), &err);
    assert_int_equal(count, 5); /* a user's <mask> is text, and most of it is unknown */
    for (size_t i = 0; i < count; i++) assert_int_equal(ids[i], ((int32_t[]){7, 2, 4, 2, 1})[i]);
    cllm_free(ids);
    unload(&l);
}

static void pieces_have_their_texts(void **state) {
    (void)state;
    vocabulary v = small();
    make_map();
    loaded l = load_with(&v, put_map);
    assert_string_equal(decoded(&l, -1, 7), "a"); /* the space before the first word was added by us */
    assert_string_equal(decoded(&l, 1, 7), "a");
    assert_string_equal(decoded(&l, 4, 7), " a");
    assert_string_equal(decoded(&l, 4, 15), "A");
    unload(&l);
}

/* Tokens with unusual scores. Whatever path is chosen, it leads through the whole text. */
static void any_scores_do(void **state) {
    (void)state;
    vocabulary v = small();
    v.scores[4] = -1.0f / 0.0f, v.scores[6] = 1.0f / 0.0f, v.scores[7] = -1.0f / 0.0f;
    loaded l = load_with(&v, put_no_merging);
    check_pieces(&l, "ab", 0, SPACE "|ab|");
    check_pieces(&l, "aab", 0, SPACE "a|ab|");
    unload(&l);
}

static void no_unknown_token(void **state) {
    (void)state;
    vocabulary v = {.model = "t5"};
    add(&v, "a", -1, NORMAL), add(&v, SPACE, -1, NORMAL);
    loaded l = load(&v);
    int32_t *ids;
    size_t count;
    cllm_error err;
    assert_error(cllm_tokenizer_encode(l.tokenizer, "ab", 2, 0, &ids, &count, &err), &err, CLLM_ERR_UNSUPPORTED,
                 "there is no unknown token");
    check_pieces(&l, "a", 0, "a|");
    unload(&l);
}

static void time_is_linear(void **state) {
    (void)state;
    vocabulary v = small();
    make_map();
    loaded l = load_with(&v, put_map);
    check_time(&l, 1 << 20);
    unload(&l);
    const char *path = vocabulary_file("nomic-bert-moe.gguf");
    if (!path) skip();
    l = load_file(path);
    check_time(&l, 1 << 20);
    unload(&l);
}

/* ------------------------------------------------------------------------------------------ damage */

static void check_damaged(const char *message) {
    vocabulary v = small();
    gguf_builder g;
    loaded l;
    cllm_error err;
    builder_init(&g);
    put_vocabulary(&g, &v);
    put_map(&g);
    assert_error(load_built(&g, &l, &err), &err, CLLM_ERR_FORMAT, message);
    unload(&l);
}

static void damaged_maps_are_refused(void **state) {
    (void)state;
    make_map();
    map.n_bytes = 3;
    check_damaged("tokenizer.ggml.precompiled_charsmap: its trie has 0 bytes by its header, and the array 3");
    make_map();
    map.n_bytes = 4 * N_UNITS;
    check_damaged("the map is damaged");
    put_u32(0, 7);
    check_damaged("its trie has 7 bytes");
    put_u32(0, 0xFFFFFFFC);
    check_damaged("the map is damaged");
}

/* A map may point anywhere. Places outside of it count as no entry. */
static void lying_maps_do_no_harm(void **state) {
    (void)state;
    vocabulary v = small();
    uint64_t random = 11;
    for (int i = 0; i < 300; i++) {
        make_map();
        const int kind = i % 4;
        for (int k = 0; k < 200; k++) {
            uint32_t *unit = &map.units[random_u64(&random) % N_UNITS];
            if (kind == 0) *unit = (uint32_t)random_u64(&random);
            if (kind == 1 && *unit) *unit ^= 1u << random_u64(&random) % 32;
        }
        finish_map();
        if (kind == 2) map.n_bytes -= random_u64(&random) % (map.n_replacement_bytes + 1);
        if (kind == 3) memset(map.bytes + 4 + 4 * N_UNITS, 'z', map.n_replacement_bytes); /* no replacement ends */
        loaded l = load_with(&v, put_map);
        static const char text[] = "AB a~\xC2\xBD\t A \xC2 BAAB~~";
        for (size_t n = 1; n < sizeof text; n++) (void)encoded(&l, text + sizeof text - 1 - n, n, 0);
        unload(&l);
    }
    make_map(); /* an entry that leads back to itself, for A */
    map.units[0] = (uint32_t)BLOCK << 10;
    map.units[BLOCK + 'A'] = 'A' | (uint32_t)'A' << 10 | 1u << 8;
    finish_map();
    loaded l = load_with(&v, put_map);
    check_time(&l, 1 << 18);
    unload(&l);
}

/* A text must not grow without end: a replacement has at most 255 bytes. */
static void long_replacements_are_no_entries(void **state) {
    (void)state;
    vocabulary v = small();
    for (size_t length = 255; length <= 256; length++) {
        char replacement[256 + 1] = "a";
        memset(replacement + 1, '~', length - 1);
        memset(&map, 0, sizeof map);
        map_entry("A", replacement);
        finish_map();
        loaded l = load_with(&v, put_map);
        check_pieces(&l, "A", 0, length < 256 ? SPACE "a|<unk>|" : SPACE "|<unk>|");
        unload(&l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_path_is_taken),
        cmocka_unit_test(texts_are_normalised),
        cmocka_unit_test(special_tokens_need_trust),
        cmocka_unit_test(pieces_have_their_texts),
        cmocka_unit_test(any_scores_do),
        cmocka_unit_test(no_unknown_token),
        cmocka_unit_test(time_is_linear),
        cmocka_unit_test(damaged_maps_are_refused),
        cmocka_unit_test(lying_maps_do_no_harm),
        cmocka_unit_test(long_replacements_are_no_entries),
    };
    return cmocka_run_group_tests_name("unigram", tests, NULL, NULL);
}
