/* Tests the tokenizer with byte-level BPE vocabularies, and special tokens with both kinds of vocabulary. There are
 * reference cases of real vocabularies from the shared folder, and small vocabularies made here, each of which shows
 * one rule. */
#include "support/vocabulary.h"

#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define G "\xC4\xA0" /* U+0120, the letter for a space */

static void test_reference(void **state) { check_reference(*state); }

/* ------------------------------------------------------------------------------------------- merging */

static const char *const hello[] = {"l l", "h e", "he ll", "hell o", G " w", G "w o", "\xC3\x83 \xC2\xA9", ("o " G)};
enum { N_HELLO = sizeof hello / sizeof *hello };

static void test_merges_bytes_within_words(void **state) {
    (void)state;
    vocabulary v = byte_level("gpt-2", hello, N_HELLO);
    loaded l = load(&v);
    assert_string_equal(pieces(&l, "hello world", 0), "hello|" G "wo|r|l|d|"); /* the merge "o " would span two words */
    assert_string_equal(pieces(&l, "hel", 0), "he|l|");
    assert_string_equal(pieces(&l, "lll", 0), "ll|l|");
    assert_string_equal(pieces(&l, "\xC3\xA9\xC3", 0), "\xC3\x83\xC2\xA9|\xC3\x83|"); /* é, and half of another é */
    assert_string_equal(encoded(&l, "\0 \x7F\xA0\xAD", 5, 0), "0 32 127 160 173");
    assert_string_equal(pieces(&l, "", CLLM_ENCODE_ADD_SPECIAL), "");
    unload(&l);
}

static void test_takes_whole_words(void **state) {
    (void)state;
    const char *names[] = {"llama-bpe", "tekken", "qwen2"};
    const char *expected[] = {"xyz|" G "xyz|", "xyz|" G "xyz|", "x|y|z|" G "|x|y|z|"};
    for (int i = 0; i < 3; i++) {
        vocabulary v = byte_level(names[i], hello, N_HELLO);
        add(&v, "xyz", 0, NORMAL); /* no merge makes this token */
        add(&v, G "xyz", 0, NORMAL);
        loaded l = load(&v);
        assert_string_equal(pieces(&l, "xyz xyz", 0), expected[i]);
        assert_string_equal(pieces(&l, "xyzx", 0), "x|y|z|x|");
        unload(&l);
    }
}

static void test_odd_merges_and_tokens(void **state) {
    (void)state;
    const char *merges[] = {"x y", "a b", "x y", "b c"};
    vocabulary v = byte_level("gpt-2", merges, 3);
    v.n_merges = 4;                     /* bc is not a token */
    v.types[257] = CONTROL;             /* and ab is not a token of ordinary text */
    add(&v, "\xE6\x97\xA5", 0, NORMAL); /* 日 is not a letter that stands for a byte */
    add(&v, "", 0, NORMAL);
    v.tokens['z'] = "[z]";
    loaded l = load(&v);
    assert_string_equal(pieces(&l, "abcxy", 0), "a|b|c|xy|");
    assert_string_equal(decoded(&l, -1, 259), "\xE6\x97\xA5");
    cllm_error err;
    int32_t *ids;
    size_t count;
    assert_error(cllm_tokenizer_encode(l.tokenizer, "z", 1, 0, &ids, &count, &err), &err, CLLM_ERR_UNSUPPORTED,
                 "(bytes 7A)");
    unload(&l);

    vocabulary replacing = v;
    add(&replacing, "\xC3\xAF\xC2\xBF\xC2\xBD", 0, NORMAL); /* U+FFFD */
    loaded r = load(&replacing);
    assert_string_equal(encoded(&r, "xz", 2, 0), "120 261");
    unload(&r);

    v.types['q'] = UNKNOWN;
    gguf_builder g;
    builder_init(&g);
    put_vocabulary(&g, &v);
    builder_u32(&g, "tokenizer.ggml.unknown_token_id", 'q');
    assert_ok(load_built(&g, &l, &err), &err);
    assert_string_equal(encoded(&l, "xz", 2, 0), "120 113");
    unload(&l);

    replacing.types['q'] = CONTROL; /* no text may become it, although the file makes it the unknown token */
    builder_init(&g);
    put_vocabulary(&g, &replacing);
    builder_u32(&g, "tokenizer.ggml.unknown_token_id", 'q');
    assert_ok(load_built(&g, &l, &err), &err);
    assert_string_equal(encoded(&l, "xz", 2, 0), "120 261");
    unload(&l);
}

/* Command R has tokens that are spelled as themselves, such as U+2122, and others that are spelled in the letters for
 * bytes. */
static void test_text_matches_letters_alone(void **state) {
    (void)state;
#define TRADE_MARK    "\xE2\x84\xA2"
#define IN_LETTERS    "\xC3\xA2\xC4\xA6\xC2\xA2" /* the same, with one letter for each byte */
#define IN_LETTERS_UP "\xC3\xA2\xC4\xA6 \xC2\xA2"
    static const char *const merges[] = {"\xC3\xA2 \xC4\xA6", IN_LETTERS_UP, "a b", ("! " TRADE_MARK)};
    const char *names[] = {"gpt-2", "llama-bpe"};
    for (int i = 0; i < 2; i++) {
        vocabulary v = byte_level(names[i], merges, 4); /* the last token, 259, is spelled "!" TRADE_MARK */
        memmove(v.tokens + 257, v.tokens + 256, 4 * sizeof *v.tokens);
        v.tokens[256] = TRADE_MARK; /* before the token in letters */
        v.types[v.n_tokens++] = NORMAL;
        add(&v, "!" IN_LETTERS, 0, NORMAL); /* 261; no merge makes it, because "!" TRADE_MARK is another spelling */
        add(&v, "?" TRADE_MARK, 0, NORMAL); /* 262, a word, but not spelled in letters */
        loaded l = load(&v);
        assert_string_equal(encoded(&l, TRADE_MARK, 3, 0), "258");
        assert_string_equal(encoded(&l, "ab", 2, 0), "259");
        assert_string_equal(encoded(&l, "?" TRADE_MARK, 4, 0), "63 258");
        assert_string_equal(encoded(&l, "!!" TRADE_MARK, 5, 0), "33 33 258");
        assert_string_equal(decoded(&l, -1, 256), TRADE_MARK);
        assert_string_equal(decoded(&l, -1, 258), TRADE_MARK);
        assert_string_equal(decoded(&l, -1, 260), "!" TRADE_MARK);
        assert_string_equal(decoded(&l, -1, 262), "?" TRADE_MARK);
        unload(&l);
    }
}

static void test_command_r_of_letters(void **state) {
    (void)state;
    const char *path = vocabulary_file("command-r.gguf");
    if (!path) skip();
    loaded l = load_file(path);
    assert_string_equal(encoded(&l, "\xE2\x80\x8D", 3, 0), "35927"); /* U+200D, which is spelled as itself in 264 */
    assert_string_equal(encoded(&l, "\xEF\xB8\x8F", 3, 0), "57462"); /* U+FE0F, 434 */
    assert_string_equal(decoded(&l, -1, 264), "\xE2\x80\x8D");
    unload(&l);
}

/* Gives the same as pieces(), but tries all neighbours each time. */
static const char *merged_slowly(const vocabulary *v, const char *text) {
    static char line[256];
    size_t starts[64], n = strlen(text);
    for (size_t i = 0; i <= n; i++) starts[i] = i;
    for (;;) {
        size_t best = n, best_rank = v->n_merges;
        for (size_t i = 0; i + 1 < n; i++) {
            char rule[64];
            snprintf(rule, sizeof rule, "%.*s %.*s", (int)(starts[i + 1] - starts[i]), text + starts[i],
                     (int)(starts[i + 2] - starts[i + 1]), text + starts[i + 1]);
            size_t rank = 0;
            while (rank < best_rank && strcmp(v->merges[rank], rule) != 0) rank++;
            if (rank < best_rank) best = i, best_rank = rank;
        }
        if (best == n) break;
        memmove(starts + best + 1, starts + best + 2, (n - best - 1) * sizeof *starts);
        n--;
    }
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%.*s|", (int)(starts[i + 1] - starts[i]),
                                 text + starts[i]);
    return line;
}

static void test_heap_finds_what_trying_all_finds(void **state) {
    (void)state;
    uint64_t random = 1;
    for (int round = 0; round < 40; round++) {
        static char rules[80][24];
        const char *merges[80];
        size_t n = 0;
        char words[83][24] = {"a", "b", "c"};
        while (n < 80) { /* a new rule joins two of the words that exist */
            const char *left = words[random_u64(&random) % (n + 3)], *right = words[random_u64(&random) % (n + 3)];
            if (strlen(left) + strlen(right) > 8) continue;
            snprintf(rules[n], sizeof rules[n], "%.8s %.8s", left, right);
            snprintf(words[n + 3], sizeof words[n + 3], "%.8s%.8s", left, right);
            merges[n] = rules[n];
            n++;
        }
        vocabulary v = byte_level("gpt-2", merges, n);
        loaded l = load(&v);
        for (int i = 0; i < 50; i++) {
            char text[50];
            size_t length = 1 + random_u64(&random) % (sizeof text - 1);
            for (size_t k = 0; k < length; k++) text[k] = (char)('a' + random_u64(&random) % 3);
            text[length] = 0;
            assert_string_equal(pieces(&l, text, 0), merged_slowly(&v, text));
        }
        unload(&l);
    }
}

/* ------------------------------------------------------------------------------------------- NFC */

static void test_composes_where_the_vocabulary_was(void **state) {
    (void)state;
    static const char *const wanting[] = {"qwen2",     "qwen35", "deepseek-r1-qwen", "stablelm2", "mpt",
                                          "command-r", "olmo"};
    static const char *const others[] = {"gpt-2", "llama-bpe", "deepseek-v3", "starcoder", "falcon", "gpt-4o"};
    for (size_t i = 0; i < sizeof wanting / sizeof *wanting; i++) {
        vocabulary v = byte_level(wanting[i], hello, N_HELLO);
        add(&v, "<mark>", 0, CONTROL); /* 264 */
        loaded l = load(&v);
        const int flags = CLLM_ENCODE_PARSE_SPECIAL;
        assert_string_equal(encoded(&l, "e\u0301w", 4, flags), "262 119"); /* é */
        assert_string_equal(encoded(&l, "\u00E9w", 3, flags), "262 119");
        assert_string_equal(encoded(&l, "e<mark>\u0301", 9, flags), "101 264 204 129"); /* <mark> separates them */
        assert_string_equal(encoded(&l, "e\u0301<mark>e\u0301", 12, flags), "262 264 262");
        assert_string_equal(encoded(&l, "\xCC<mark>e\u0301\xCC", 11, flags), "204 264 262 204");
        assert_string_equal(decoded(&l, -1, 204), "\xCC");
        unload(&l);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        vocabulary v = byte_level(others[i], hello, N_HELLO);
        loaded l = load(&v);
        assert_string_equal(encoded(&l, "e\u0301", 3, 0), "101 204 129");
        unload(&l);
    }
}

/* A text in NFD has the ids of the same in NFC. */
static void test_composes_for_published_vocabularies(void **state) {
    (void)state;
    static const struct {
        const char *file, *text, *ids;
    } cases[] = {
        {"qwen2.gguf", "cafe\u0301", "924 58858"},
        {"qwen2.gguf", "caf\u00E9", "924 58858"},
        {"qwen2.gguf", "\u1112\u1161\u11AB\u1100\u116E\u11A8\u110B\u1165", "23573 124785 31079"},
        {"qwen2.gguf", "\uD55C\uAD6D\uC5B4", "23573 124785 31079"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!vocabulary_file(cases[i].file)) skip();
        loaded l = load_file(vocabulary_file(cases[i].file));
        assert_string_equal(encoded(&l, cases[i].text, strlen(cases[i].text), 0), cases[i].ids);
        unload(&l);
    }
}

/* ------------------------------------------------------------------------------------------- pre-tokenizers by name */

static cllm_status load_pre(const char *pre, loaded *l, cllm_error *err) {
    vocabulary v = byte_level(pre, hello, N_HELLO);
    gguf_builder g;
    builder_init(&g);
    put_vocabulary(&g, &v);
    return load_built(&g, l, err);
}

static void test_pretokenizer_by_name(void **state) {
    (void)state;
    cllm_error err;
    loaded l;
    assert_ok(load_pre("gpt-2", &l, &err), &err);
    assert_string_equal(pieces(&l, "(o w", 0), "(|o|" G "w|");
    assert_string_equal(pieces(&l, "(o  w", 0), "(|o|" G "|" G "w|");
    assert_string_equal(cllm_tokenizer_note(l.tokenizer), "");
    unload(&l);

    assert_ok(load_pre("superbpe", &l, &err), &err); /* this one does not split words */
    assert_string_equal(pieces(&l, "(o w", 0), "(|o|" G "w|");
    assert_string_equal(pieces(&l, "o x", 0), "o" G "|x|");
    unload(&l);

    assert_ok(load_pre(NULL, &l, &err), &err);
    assert_non_null(strstr(cllm_tokenizer_note(l.tokenizer), "tokenizer.ggml.pre is missing"));
    unload(&l);

    assert_error(load_pre("new-one", &l, &err), &err, CLLM_ERR_UNSUPPORTED,
                 "tokenizer.ggml.pre: the pre-tokenizer \"new-one\" is not known");
    unload(&l);
}

static void names_bos(gguf_builder *g) { builder_u32(g, "tokenizer.ggml.bos_token_id", 264); }
static void names_bos_unwanted(gguf_builder *g) {
    names_bos(g);
    builder_bool(g, "tokenizer.ggml.add_bos_token", 0);
}
static void names_bos_wanted(gguf_builder *g) {
    names_bos(g);
    builder_bool(g, "tokenizer.ggml.add_bos_token", 1);
}

static void test_bos(void **state) {
    (void)state;
    struct {
        const char *pre;
        void (*more)(gguf_builder *g);
        const char *ids;
    } cases[] = {
        {"llama-bpe", NULL, "120"},  {"llama-bpe", names_bos, "264 120"},    {"llama-bpe", names_bos_unwanted, "120"},
        {"gpt-2", names_bos, "120"}, {"gpt-2", names_bos_wanted, "264 120"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vocabulary v = byte_level(cases[i].pre, hello, N_HELLO);
        add(&v, "<begin>", 0, CONTROL); /* 264 */
        loaded l = load_with(&v, cases[i].more);
        assert_string_equal(encoded(&l, "x", 1, CLLM_ENCODE_ADD_SPECIAL), cases[i].ids);
        unload(&l);
    }

    vocabulary v = byte_level("falcon", hello, N_HELLO); /* without keys, BOS is token 11 if it is special */
    loaded l = load(&v);
    assert_int_equal(cllm_tokenizer_bos(l.tokenizer), -1);
    unload(&l);
    v.no_types = 1;
    l = load(&v);
    assert_int_equal(cllm_tokenizer_eos(l.tokenizer), -1);
    assert_false(cllm_tokenizer_is_control(l.tokenizer, 11));
    unload(&l);
    v.no_types = 0;
    v.tokens[11] = "<|endoftext|>";
    v.types[11] = CONTROL;
    l = load(&v);
    assert_int_equal(cllm_tokenizer_bos(l.tokenizer), 11);
    assert_int_equal(cllm_tokenizer_eos(l.tokenizer), 11);
    unload(&l);
}

/* ------------------------------------------------------------------------------------------- special tokens */

static void test_special_tokens_in_text(void **state) {
    (void)state;
    vocabulary v = byte_level("gpt-2", hello, N_HELLO);
    add(&v, "<|a b|>", 0, CONTROL);
    add(&v, "  ", 0, USER_DEFINED); /* as it is in text, not in letters */
    loaded l = load(&v);
    assert_string_equal(pieces(&l, "ll<|a b|> w", CLLM_ENCODE_PARSE_SPECIAL), "ll|<|a b|>|" G "w|");
    assert_string_equal(pieces(&l, "<|a b|>", 0), "<|||a|" G "|b|||>|");
    assert_string_equal(pieces(&l, "x   w", 0), "x|  |" G "w|");
    assert_string_equal(decoded(&l, -1, 265), "  ");
    assert_true(cllm_tokenizer_is_control(l.tokenizer, 264));
    assert_false(cllm_tokenizer_is_control(l.tokenizer, 265));
    unload(&l);
}

static void names_ends(gguf_builder *g) {
    builder_u32(g, "tokenizer.ggml.eos_token_id", 'e');
    builder_u32(g, "tokenizer.ggml.eot_token_id", 't');
    builder_u32(g, "tokenizer.ggml.eom_token_id", 'm');
    builder_u32(g, "tokenizer.ggml.fim_pad_token_id", 'p');
}

static void names_ends_in_an_array(gguf_builder *g) {
    builder_u32(g, "tokenizer.ggml.eos_token_id", 'e');
    builder_i32s(g, "tokenizer.ggml.eos_token_ids", (const int32_t[]){'e', 'x', 'y'}, 3);
}
static void names_ends_in_64_bits(gguf_builder *g) {
    builder_u32(g, "tokenizer.ggml.eos_token_id", 'e');
    builder_i64s(g, "tokenizer.ggml.eos_token_ids", (const int64_t[]){'x', 'y'}, 2);
}
static void names_no_ends_in_an_array(gguf_builder *g) {
    builder_u32(g, "tokenizer.ggml.eos_token_id", 'e');
    builder_i32s(g, "tokenizer.ggml.eos_token_ids", NULL, 0);
}

static void test_an_array_of_end_tokens(void **state) {
    (void)state;
    vocabulary v = byte_level("gpt-2", hello, N_HELLO);
    loaded l;
    void (*const same[])(gguf_builder *) = {names_ends_in_an_array, names_ends_in_64_bits};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        l = load_with(&v, same[i]);
        for (int32_t id = 0; id < (int32_t)v.n_tokens; id++)
            assert_int_equal(cllm_tokenizer_is_eog(l.tokenizer, id), id == 'e' || id == 'x' || id == 'y');
        assert_int_equal(cllm_tokenizer_eos(l.tokenizer), 'e');
        unload(&l);
    }
    l = load_with(&v, names_no_ends_in_an_array);
    assert_true(cllm_tokenizer_is_eog(l.tokenizer, 'e'));
    assert_false(cllm_tokenizer_is_eog(l.tokenizer, 'x'));
    unload(&l);
}

static bool ends(const vocabulary *v, const char *spelling) {
    loaded l = load(v);
    bool result = false;
    for (uint32_t id = 0; id < v->n_tokens; id++)
        if (strcmp(v->tokens[id], spelling) == 0) result = cllm_tokenizer_is_eog(l.tokenizer, (int32_t)id);
    unload(&l);
    return result;
}

static void test_what_ends_a_text(void **state) {
    (void)state;
    vocabulary v = byte_level("gpt-2", hello, N_HELLO);
    v.types['e'] = CONTROL;
    loaded l = load_with(&v, names_ends);
    for (int32_t id = -2; id < (int32_t)v.n_tokens + 2; id++)
        assert_int_equal(cllm_tokenizer_is_eog(l.tokenizer, id), id == 'e' || id == 't' || id == 'm' || id == 'p');
    assert_int_equal(cllm_tokenizer_eos(l.tokenizer), 'e');
    unload(&l);

    const char *spellings[] = {"<|im_end|>",
                               "<|eot_id|>",
                               "<end_of_turn>",
                               "<|endoftext|>",
                               "[EOT]",
                               "_<EOT>",
                               ("<\xEF\xBD\x9C"
                                "end" SPACE "of" SPACE "sentence\xEF\xBD\x9C>"),
                               "<|end|>",
                               "</s>"};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        vocabulary with = v;
        add(&with, spellings[i], 0, i % 2 ? NORMAL : CONTROL);
        add(&with, "<|im_start|>", 0, CONTROL);
        assert_true(ends(&with, spellings[i]));
        assert_false(ends(&with, "<|im_start|>"));
        l = load(&with);
        assert_true(cllm_tokenizer_is_control(l.tokenizer, 264)); /* it is, even if the file calls it a normal token */
        unload(&l);
    }

    add(&v, "<|end|>", 0, CONTROL); /* in gpt-oss it ends a channel */
    add(&v, "<|return|>", 0, CONTROL);
    assert_true(ends(&v, "<|end|>"));
    add(&v, "<|call|>", 0, CONTROL);
    add(&v, "<|channel|>", 0, CONTROL);
    assert_false(ends(&v, "<|end|>"));
    assert_true(ends(&v, "<|return|>"));
    assert_true(ends(&v, "<|call|>"));
    l = load(&v);
    assert_false(cllm_tokenizer_is_control(l.tokenizer, 264));
    assert_false(cllm_tokenizer_is_control(l.tokenizer, 267)); /* shown */
    unload(&l);

    vocabulary gemma = byte_level("gpt-2", hello, N_HELLO);
    add(&gemma, "</s>", 0, USER_DEFINED); /* of HTML */
    add(&gemma, "<|tool_response>", 0, CONTROL);
    assert_false(ends(&gemma, "</s>"));
}

static void is_phi3(gguf_builder *g) { builder_string(g, "general.name", "Some Phi-3 mini"); }

static void test_white_space_beside_special_tokens(void **state) {
    (void)state;
    vocabulary v = with_specials();
    add_bytes(&v);
    add(&v, SPACE, -1, NORMAL);
    add(&v, "a", -1, NORMAL);
    add(&v, "<|user|>", 0, CONTROL);
    const int flags = CLLM_ENCODE_PARSE_SPECIAL;
    loaded l = load_with(&v, is_phi3);
    assert_string_equal(pieces(&l, "a \n<|user|> \n\ta<|user|>  ", flags),
                        SPACE "|a|" SPACE "|<0x0A>|<|user|>|" SPACE "|a|<|user|>|");
    assert_string_equal(pieces(&l, "<s> a", flags), "<s>|" SPACE "|" SPACE "|a|"); /* <s> keeps the spaces */
    unload(&l);
    l = load(&v);
    assert_string_equal(pieces(&l, "<|user|> a", flags), "<|user|>|" SPACE "|" SPACE "|a|");
    unload(&l);

    vocabulary jina = byte_level("jina-v2-de", hello, N_HELLO);
    add(&jina, "<mask>", 0, CONTROL);
    add(&jina, "<other>", 0, CONTROL);
    l = load(&jina);
    assert_string_equal(pieces(&l, "w \n<mask> <other> <mask>", flags), "w|<mask>|" G "|<other>|<mask>|");
    unload(&l);
}

/* ------------------------------------------------------------------------------------------- pairs */

static void put_ends(gguf_builder *g) {
    builder_u32(g, "tokenizer.ggml.bos_token_id", 256 + N_HELLO);
    builder_u32(g, "tokenizer.ggml.eos_token_id", 257 + N_HELLO);
    builder_u32(g, "tokenizer.ggml.seperator_token_id", 257 + N_HELLO);
    builder_bool(g, "tokenizer.ggml.add_bos_token", 1);
    builder_bool(g, "tokenizer.ggml.add_eos_token", 1);
}

static void put_no_separator(gguf_builder *g) {
    put_ends(g);
    builder_bool(g, "tokenizer.ggml.add_sep_token", 0);
}

static void put_wrong_separator(gguf_builder *g) {
    builder_u32(g, "tokenizer.ggml.seperator_token_id", 100000);
    builder_bool(g, "tokenizer.ggml.add_sep_token", 1);
}

static void put_template(gguf_builder *g) {
    put_ends(g);
    builder_string(g, "tokenizer.chat_template.rerank", "<s>{document}w{query}{other}</s>");
}

static void test_pairs(void **state) {
    (void)state;
    static const struct {
        const char *pre;
        void (*keys)(gguf_builder *g);
        const char *pair; /* the pieces of the pair "he" and "</s>ll"; the second is plain text */
    } cases[] = {
        {"roberta-bpe", put_ends, "<s>|he|</s>|</s>|<|/|s|>|ll|</s>|"},
        {"roberta-bpe", put_no_separator, "<s>|he|</s>|<|/|s|>|ll|</s>|"},
        {"gpt-2", put_ends, "<s>|he|</s>|<|/|s|>|ll|</s>|"},
        {"gpt-2", put_wrong_separator, "he|<|/|s|>|ll|"},
        {"roberta-bpe", put_template, "<s>|<|/|s|>|ll|w|he|{|o|t|he|r|}|</s>|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vocabulary v = byte_level(cases[i].pre, hello, N_HELLO);
        add(&v, "<s>", 0, CONTROL);
        add(&v, "</s>", 0, CONTROL);
        loaded l = load_with(&v, cases[i].keys);
        assert_string_equal(pair_pieces(&l, "he", "</s>ll"), cases[i].pair);
        unload(&l);
    }
}

/* ------------------------------------------------------------------------------------------- and back */

static void test_round_trip(void **state) {
    (void)state;
    const char *names[] = {"gpt-2", "llama-bpe", "deepseek-llm", "gpt-4o", "default"};
    for (int i = 0; i < 5; i++) {
        vocabulary v = byte_level(names[i], hello, N_HELLO);
        add(&v, "<s>", 0, CONTROL);
        add(&v, "<|en", 0, USER_DEFINED);
        loaded l = load(&v);
        check_round_trips(&l, CLLM_ENCODE_PARSE_SPECIAL);
        unload(&l);
    }
}

static void test_round_trip_of_real_vocabularies(void **state) {
    (void)state;
    const char *names[] = {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm"};
    for (int i = 0; i < 4; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.gguf", names[i]);
        if (!vocabulary_file(file)) skip();
        loaded l = load_file(vocabulary_file(file));
        check_round_trips(&l, CLLM_ENCODE_PARSE_SPECIAL);
        unload(&l);
    }
}

/* ------------------------------------------------------------------------------------------- time */

static const char *const every_kind[] = {"llama-bpe", "deepseek-llm", "gpt-4o",         "gpt-2",       "default",
                                         "qwen35",    "jais-2",       "deepseek-coder", "deepseek-v3", "tiny_aya",
                                         "kimi-k2",   "superbpe",     "exaone-moe",     "chameleon",   "bloom",
                                         "afmoe",     "youtu"};

static void test_time_is_n_log_n(void **state) {
    (void)state;
    static char rules[20][1 << 6];
    const char *merges[20];
    static const char letters[] = "a7A\xC4\xA0\xC4\x8A"; /* the last two: space, line feed; runs of 2 to 16 */
    for (int i = 0; i < 20; i++) {
        char half[40] = "";
        const char *letter = letters + (i / 4 < 3 ? i / 4 : 2 * (i / 4) - 3);
        for (int k = 0; k < 1 << i % 4; k++) strncat(half, letter, i / 4 < 3 ? 1 : 2);
        snprintf(rules[i], sizeof rules[i], "%s %s", half, half);
        merges[i] = rules[i];
    }
    for (size_t i = 0; i < sizeof every_kind / sizeof *every_kind; i++) {
        vocabulary v = byte_level(every_kind[i], merges, 20);
        loaded l = load(&v);
        check_time(&l, i == 0 ? 1 << 20 : 1 << 17);
        unload(&l);
    }
}

static void test_time_with_real_vocabularies(void **state) {
    (void)state;
    const char *files[] = {"llama-bpe.gguf", "deepseek-llm.gguf"};
    for (int i = 0; i < 2; i++) {
        if (!vocabulary_file(files[i])) skip();
        clock_t start = clock();
        loaded l = load_file(vocabulary_file(files[i]));
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (seconds > 1) fail_msg("%s took %.2f s to load", files[i], seconds);
        check_time(&l, 1 << 20);
        unload(&l);
    }
}

/* ------------------------------------------------------------------------------------------- bad files */

static void put_sound(gguf_builder *g) {
    vocabulary v = byte_level("gpt-2", hello, N_HELLO);
    put_vocabulary(g, &v);
}
static void no_merges(gguf_builder *g) {
    const char *tokens[] = {"a"};
    builder_string(g, "tokenizer.ggml.model", "gpt2");
    builder_strings(g, "tokenizer.ggml.tokens", tokens, 1);
}
static void pre_not_a_string(gguf_builder *g) {
    no_merges(g);
    builder_u32(g, "tokenizer.ggml.pre", 1);
}
static void merge_without_space(gguf_builder *g) {
    vocabulary v = byte_level("gpt-2", hello, N_HELLO);
    v.merges = (const char *const[]){"he"};
    v.n_merges = 1;
    put_vocabulary(g, &v);
}
static void bad_eot(gguf_builder *g) {
    put_sound(g);
    builder_u32(g, "tokenizer.ggml.eot_token_id", 264);
}

static void eos_ids_beyond(gguf_builder *g) {
    put_sound(g);
    builder_i32s(g, "tokenizer.ggml.eos_token_ids", (const int32_t[]){1, 264}, 2);
}
static void eos_ids_below(gguf_builder *g) {
    put_sound(g);
    builder_i32s(g, "tokenizer.ggml.eos_token_ids", (const int32_t[]){-1}, 1);
}
static void eos_ids_of_floats(gguf_builder *g) {
    put_sound(g);
    builder_f32s(g, "tokenizer.ggml.eos_token_ids", (const float[]){1}, 1);
}

static void test_bad_files(void **state) {
    (void)state;
    struct {
        void (*build)(gguf_builder *g);
        cllm_status status;
        const char *message;
    } cases[] = {
        {no_merges, CLLM_ERR_FORMAT, "tokenizer.ggml.merges"},
        {pre_not_a_string, CLLM_ERR_FORMAT, "tokenizer.ggml.pre"},
        {merge_without_space, CLLM_ERR_FORMAT, "tokenizer.ggml.merges: entry 0 is \"he\""},
        {bad_eot, CLLM_ERR_FORMAT, "tokenizer.ggml.eot_token_id: token 264 is beyond the vocabulary of 264 tokens"},
        {eos_ids_beyond, CLLM_ERR_FORMAT,
         "tokenizer.ggml.eos_token_ids: element 1 is not a token of the vocabulary of 264"},
        {eos_ids_below, CLLM_ERR_FORMAT,
         "tokenizer.ggml.eos_token_ids: element 0 is not a token of the vocabulary of 264"},
        {eos_ids_of_floats, CLLM_ERR_FORMAT, "tokenizer.ggml.eos_token_ids"},
        {put_sound, CLLM_OK, NULL}, /* without the faults of the cases above, the file is right */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_builder g;
        builder_init(&g);
        cases[i].build(&g);
        loaded l;
        cllm_error err = {0};
        cllm_status status = load_built(&g, &l, &err);
        if (cases[i].status == CLLM_OK)
            assert_ok(status, &err);
        else
            assert_error(status, &err, cases[i].status, cases[i].message);
        unload(&l);
    }
}

#define REFERENCE(name)                                                       \
    {                                                                         \
        "test_reference_" name, test_reference, NULL, NULL, (char[]) { name } \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        REFERENCE("gpt-2"),
        REFERENCE("llama-bpe"),
        REFERENCE("qwen2"),
        REFERENCE("deepseek-llm"),
        REFERENCE("deepseek-coder"),
        REFERENCE("falcon"),
        REFERENCE("starcoder"),
        REFERENCE("refact"),
        REFERENCE("mpt"),
        REFERENCE("command-r"),
        REFERENCE("qwen35"),
        REFERENCE("gemma-4"),
        cmocka_unit_test(test_command_r_of_letters),
        cmocka_unit_test(test_merges_bytes_within_words),
        cmocka_unit_test(test_takes_whole_words),
        cmocka_unit_test(test_odd_merges_and_tokens),
        cmocka_unit_test(test_text_matches_letters_alone),
        cmocka_unit_test(test_heap_finds_what_trying_all_finds),
        cmocka_unit_test(test_composes_where_the_vocabulary_was),
        cmocka_unit_test(test_composes_for_published_vocabularies),
        cmocka_unit_test(test_pretokenizer_by_name),
        cmocka_unit_test(test_bos),
        cmocka_unit_test(test_special_tokens_in_text),
        cmocka_unit_test(test_what_ends_a_text),
        cmocka_unit_test(test_an_array_of_end_tokens),
        cmocka_unit_test(test_white_space_beside_special_tokens),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_round_trip_of_real_vocabularies),
        cmocka_unit_test(test_time_is_n_log_n),
        cmocka_unit_test(test_time_with_real_vocabularies),
        cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
