/* Tests the tokenizer with vocabularies of RWKV's kind, with a small one made here that shows one rule at a time.
 * tests/check_tokenizers.sh compares larger ones with llama.cpp. */
#include "support/vocabulary.h"

#include <stdio.h>
#include <string.h>

/* All bytes but 0xFE, as files spell them, and some longer tokens. */
static loaded small(void) {
    static char spelled[256][8];
    vocabulary v = {.model = "rwkv"};
    add(&v, "<s>", 0, CONTROL);
    for (unsigned byte = 0; byte < 256; byte++) {
        if (byte < 0x20 || byte >= 0x7F)
            snprintf(spelled[byte], sizeof *spelled, "\\x%02x", byte);
        else
            snprintf(spelled[byte], sizeof *spelled, byte == '\\' || byte == '\'' ? "\\%c" : "%c", (int)byte);
        if (byte != 0xFE) add(&v, byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : spelled[byte], 0, NORMAL);
    }
    add(&v, "ab", 0, NORMAL);
    add(&v, "abcde", 0, NORMAL);
    add(&v, " a b", 0, NORMAL);
    add(&v, "\\n\\n", 0, NORMAL);
    add(&v, "\\xe4\\xb8", 0, NORMAL);
    add(&v, "bcd", 0, NORMAL);
    add(&v, "ab", 0, NORMAL);             /* a second token of this spelling: the first one is found */
    add(&v, "q\\x4", 0, NORMAL);          /* not a valid escape: no text becomes this token */
    add(&v, "q\\y", 0, NORMAL);           /* not valid either */
    add(&v, "[PAD9]", 0, UNUSED);         /* no text becomes this token either */
    add(&v, "\\\\x41\\\"\\t", 0, NORMAL); /* \x41" and a tab */
    return load(&v);
}

static void the_longest_token_is_taken(void **state) {
    (void)state;
    static const struct {
        const char *text, *pieces;
    } cases[] = {
        {"abcd", "ab|c|d|"}, /* bcd is a token, too */
        {"abcde", "abcde|"},
        {"abcdf", "ab|c|d|f|"},
        {"xbcde", "x|bcd|e|"},
        {" a b a", " a b| |a|"},
        {"\n\n\n", "\\n\\n|\\n|"},
        {"\xE4\xB8\xAD", "\\xe4\\xb8|\\xad|"}, /* a part of a character */
        {"q\\x4", "q|\\\\|x|4|"},
        {"q\\y", "q|\\\\|y|"},
        {"\\x41\"\t", "\\\\x41\\\"\\t|"},
        {"[PAD9]", "[|P|A|D|9|]|"},
        {"a<s>", "a|<|s|>|"},
    };
    loaded l = small();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(pieces(&l, cases[i].text, 0), cases[i].pieces);
    assert_string_equal(pieces(&l, "a<s>b", CLLM_ENCODE_PARSE_SPECIAL), "a|<s>|b|");
    assert_string_equal(pieces(&l, " a", CLLM_ENCODE_ADD_SPECIAL), " |a|"); /* nothing is put in front */
    unload(&l);
}

static void tokens_are_bytes_again(void **state) {
    (void)state;
    loaded l = small();
    char text[] = "\\x41\"\tabcde\n\n it's \xE4\xB8\xAD\xFF\x01";
    check_round_trip(&l, text, strlen(text), 0);
    unload(&l);
}

static void put_unknown(gguf_builder *g) { builder_u32(g, "tokenizer.ggml.unknown_token_id", 0); }

static void a_byte_may_be_missing(void **state) {
    (void)state;
    loaded l = small();
    int32_t *ids;
    size_t count;
    cllm_error err;
    assert_int_equal(cllm_tokenizer_encode(l.tokenizer, "a\xFE", 2, 0, &ids, &count, &err), CLLM_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "the byte 0xFE"));
    unload(&l);

    vocabulary v = {.model = "rwkv"};
    add(&v, "<unk>", 0, UNKNOWN);
    add(&v, "a", 0, NORMAL);
    l = load_with(&v, put_unknown);
    assert_string_equal(encoded(&l, "abba", 4, 0), "1 0 0 1");
    unload(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_token_is_taken),
        cmocka_unit_test(tokens_are_bytes_again),
        cmocka_unit_test(a_byte_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
