/* Tests the tokenizer with WordPiece vocabularies: reference cases of a real one, and a small one made here that
 * shows one rule at a time. */
#include "support/vocabulary.h"

#include <string.h>

static void reference_of_bge(void **state) {
    (void)state;
    check_reference("bert-bge");
}

static void put_ids(gguf_builder *g) {
    builder_u32(g, "tokenizer.ggml.unknown_token_id", 1);
    builder_u32(g, "tokenizer.ggml.cls_token_id", 2);
    builder_u32(g, "tokenizer.ggml.seperator_token_id", 3);
    builder_u32(g, "tokenizer.ggml.bos_token_id", 0); /* these keys count, and not bos_token_id */
}

static loaded small(void) {
    static const char *const texts[] = {SPACE "un",
                                        SPACE "una",
                                        "aff",
                                        "able",
                                        "a",
                                        SPACE "a",
                                        SPACE "the",
                                        SPACE ",",
                                        SPACE "$",
                                        SPACE "\xE4\xB8\xAD",
                                        SPACE "\xE6\x96\x87",
                                        SPACE "e",
                                        SPACE "_",
                                        SPACE "\xE1\x84\x80",
                                        "\xE1\x85\xA1",
                                        SPACE "x",
                                        "x"};
    vocabulary v = {.model = "bert"};
    add(&v, "[PAD]", 0, CONTROL), add(&v, "[UNK]", 0, CONTROL), add(&v, "[CLS]", 0, CONTROL),
        add(&v, "[SEP]", 0, CONTROL);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) add(&v, texts[i], 0, NORMAL);
    return load_with(&v, put_ids);
}

/* The longest piece at the beginning of a word is taken, even if the rest then has no pieces. */
static void words_are_cut_greedily(void **state) {
    (void)state;
    static const struct {
        const char *text, *pieces;
    } cases[] = {
        {"unaffable", "[UNK]|"}, /* una comes first, and then nothing begins with "ff" */
        {"unable", "[UNK]|"},
        {"una", SPACE "una|"},
        {"unaaff", SPACE "una|aff|"},
        {"the  a\t\nthe", SPACE "the|" SPACE "a|" SPACE "the|"},
        {"THE,the", SPACE "the|" SPACE ",|" SPACE "the|"},
        {"a$a_", SPACE "a|" SPACE "$|" SPACE "a|" SPACE "_|"},
        {"\xE4\xB8\xAD\xE6\x96\x87", SPACE "\xE4\xB8\xAD|" SPACE "\xE6\x96\x87|"},
        {"\xC3\xA9 e\xCC\x81 \xC3\x89", SPACE "e|" SPACE "e|" SPACE "e|"}, /* accents are removed, composed or not */
        {"\xEA\xB0\x80", SPACE "\xE1\x84\x80|\xE1\x85\xA1|"},              /* Hangul is taken apart */
        {"t\x01he t\xE2\x80\x8Bhe t\xEF\xBF\xBDhe", SPACE "the|" SPACE "the|" SPACE "the|"}, /* controls are removed */
        {"the\xE2\x80\x83"
         "a",
         SPACE "the|" SPACE "a|"},
        {"t\xFFhe", SPACE "the|"},
        {"the?", SPACE "the|[UNK]|"},
        {"[CLS]", "[UNK]|[UNK]|[UNK]|"},
        {"", ""},
        {" \n ", ""},
    };
    loaded l = small();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(pieces(&l, cases[i].text, 0), cases[i].pieces) != 0)
            fail_msg("\"%s\" is %s", cases[i].text, pieces(&l, cases[i].text, 0));
    assert_string_equal(pieces(&l, "[CLS]a", CLLM_ENCODE_PARSE_SPECIAL), "[CLS]|" SPACE "a|");
    assert_string_equal(pieces(&l, "the", CLLM_ENCODE_ADD_SPECIAL), "[CLS]|" SPACE "the|[SEP]|");
    assert_string_equal(pieces(&l, "", CLLM_ENCODE_ADD_SPECIAL), "[CLS]|[SEP]|");
    unload(&l);
}

static void long_words_are_unknown(void **state) {
    (void)state;
    char text[128];
    memset(text, 'x', sizeof text);
    loaded l = small();
    text[100] = 0;
    assert_string_not_equal(pieces(&l, text, 0), "[UNK]|");
    text[100] = 'x', text[101] = 0;
    assert_string_equal(pieces(&l, text, 0), "[UNK]|");
    unload(&l);
}

static void pieces_have_their_texts(void **state) {
    (void)state;
    loaded l = small();
    assert_string_equal(decoded(&l, 2, 4), "un"); /* at the beginning, without the space of the token */
    assert_string_equal(decoded(&l, 4, 6), "aff");
    assert_string_equal(decoded(&l, 6, 10), " the");
    unload(&l);
}

static void pairs_stand_between_marks(void **state) {
    (void)state;
    loaded l = small();
    assert_string_equal(pair_pieces(&l, "the a", "una"), "[CLS]|" SPACE "the|" SPACE "a|[SEP]|" SPACE "una|[SEP]|");
    assert_string_equal(pair_pieces(&l, "", ""), "[CLS]|[SEP]|[SEP]|");
    assert_string_equal(pair_pieces(&l, "[SEP]", "a"), "[CLS]|[UNK]|[UNK]|[UNK]|[SEP]|" SPACE "a|[SEP]|"); /* text */
    unload(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_of_bge),          cmocka_unit_test(words_are_cut_greedily),
        cmocka_unit_test(long_words_are_unknown),    cmocka_unit_test(pieces_have_their_texts),
        cmocka_unit_test(pairs_stand_between_marks),
    };
    return cmocka_run_group_tests_name("wordpiece", tests, NULL, NULL);
}
