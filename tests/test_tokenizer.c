/* Tests the tokenizer with SentencePiece vocabularies: reference cases of real ones from the shared folder, and
 * small ones made here, each of which shows one rule. */
#include "support/vocabulary.h"

#include "support/gguf_builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------- reference cases */

static void test_reference_llama(void **state) {
    (void)state;
    check_reference("llama-spm");
}

static void test_reference_phi3(void **state) {
    (void)state;
    check_reference("phi-3");
}

/* ------------------------------------------------------------------------------------------- merging */

/* The worked example of docs/02-tokenizer.md. */
static void test_merges_by_score(void **state) {
    (void)state;
    vocabulary v = with_specials();
    const char *characters[] = {SPACE, "a", "c", "e", "h", "t"};
    for (int i = 0; i < 6; i++) add(&v, characters[i], -100, NORMAL);
    add(&v, SPACE "t", -1, NORMAL);
    add(&v, "he", -2, NORMAL);
    add(&v, SPACE "the", -3, NORMAL);
    add(&v, "at", -4, NORMAL);
    add(&v, SPACE "c", -5, NORMAL);
    add(&v, "eat", -6, NORMAL);
    add(&v, SPACE "cat", -7, NORMAL);
    loaded l = load(&v);
    assert_string_equal(pieces(&l, "the cat", 0), SPACE "the|" SPACE "cat|");
    assert_string_equal(pieces(&l, "theat", 0), SPACE "the|at|"); /* "he" comes before "eat" */
    assert_string_equal(pieces(&l, "eat", 0), SPACE "|eat|");
    assert_string_equal(pieces(&l, "", 0), "");
    assert_string_equal(pieces(&l, " ", 0), SPACE "|" SPACE "|");
    unload(&l);
}

static void test_leftmost_of_equals_first(void **state) {
    (void)state;
    vocabulary v = with_specials();
    add(&v, "a", 0, NORMAL);
    add(&v, "aa", 0, NORMAL);
    add(&v, "aaa", 0, NORMAL);
    loaded l = load_without_prefix(&v);
    assert_string_equal(pieces(&l, "aaaaa", 0), "aaa|aa|");
    assert_string_equal(pieces(&l, "aaaa", 0), "aaa|a|");
    unload(&l);
}

static void test_merges_by_list(void **state) {
    (void)state;
    vocabulary v = with_specials();
    const char *tokens[] = {SPACE, "a", "b", "c", "ab", "bc", "abc", SPACE "a", SPACE "abc"};
    for (int i = 0; i < 9; i++) add(&v, tokens[i], 0, NORMAL);

    const char *bc_first[] = {"b c", "a b", "a bc", "b c"};
    v.merges = bc_first;
    v.n_merges = 4;
    loaded l = load(&v);
    assert_string_equal(pieces(&l, "abc", 0), SPACE "|abc|");
    assert_string_equal(pieces(&l, "ab", 0), SPACE "|ab|"); /* "▁a" is a token, but no merge makes it */
    unload(&l);

    const char *ab_first[] = {"a b", "b c", "a bc"};
    v.merges = ab_first;
    v.n_merges = 3;
    l = load(&v);
    assert_string_equal(pieces(&l, "abc", 0), SPACE "|ab|c|"); /* "ab c" is not listed */
    unload(&l);

    const char *two_ways[] = {SPACE " a", "b c", SPACE "a bc", "a bc", SPACE " abc"};
    v.merges = two_ways;
    v.n_merges = 5;
    l = load(&v);
    assert_string_equal(pieces(&l, "abc", 0), SPACE "abc|");
    assert_string_equal(pieces(&l, "cabc", 0), SPACE "|c|abc|");
    unload(&l);
}

/* The priority with which two strings merge, by the scores or by the list of merges. The highest one merges first;
 * -INFINITY means that they never merge. */
static float slow_priority(const vocabulary *v, const char *left, size_t left_length, size_t right_length) {
    char rule[64];
    if (v->merges) {
        snprintf(rule, sizeof rule, "%.*s %.*s", (int)left_length, left, (int)right_length, left + left_length);
        for (size_t i = 0; i < v->n_merges; i++)
            if (strcmp(v->merges[i], rule) == 0) return -(float)i;
        return -INFINITY;
    }
    size_t length = left_length + right_length;
    for (size_t i = 0; i < v->n_tokens; i++)
        if (strlen(v->tokens[i]) == length && memcmp(v->tokens[i], left, length) == 0) return v->scores[i];
    return -INFINITY;
}

/* Gives the same as pieces(), but tries every pair each time. Every character of `text` is a token. */
static const char *merged_slowly(const vocabulary *v, const char *text) {
    static char line[256];
    size_t starts[64], n = strlen(text); /* the beginnings of the symbols, and the end of the text */
    for (size_t i = 0; i <= n; i++) starts[i] = i;
    for (;;) {
        size_t best = n;
        float best_priority = -INFINITY;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t left_length = starts[i + 1] - starts[i], right_length = starts[i + 2] - starts[i + 1];
            float priority = slow_priority(v, text + starts[i], left_length, right_length);
            if (priority > best_priority) {
                best = i;
                best_priority = priority;
            }
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

static void random_word(uint64_t *random, char *word, size_t length) {
    for (size_t i = 0; i < length; i++) word[i] = (char)('a' + random_u64(random) % 3);
    word[length] = 0;
}

/* Random words of 2 to 5 letters, made of 3 different ones, each word once. Many scores are equal. In every second
 * round a list of merges, one for each word, takes the place of the scores. */
static void test_heap_finds_what_trying_all_finds(void **state) {
    (void)state;
    uint64_t random = 1;
    for (int round = 0; round < 60; round++) {
        vocabulary v = with_specials();
        static char words[60][8], rules[60][8];
        const char *rule_list[60];
        add(&v, "a", 0, NORMAL);
        add(&v, "b", 0, NORMAL);
        add(&v, "c", 0, NORMAL);
        for (int i = 0; i < 60; i++) {
            size_t length = 2 + random_u64(&random) % 4, known = 0;
            random_word(&random, words[i], length);
            while (known < v.n_tokens && strcmp(v.tokens[known], words[i]) != 0) known++;
            if (known == v.n_tokens) add(&v, words[i], -(float)(random_u64(&random) % 12), NORMAL);
            size_t left = 1 + random_u64(&random) % (length - 1);
            snprintf(rules[i], sizeof rules[i], "%.*s %s", (int)left, words[i], words[i] + left);
            rule_list[i] = rules[i];
        }
        if (round % 2) {
            v.merges = rule_list;
            v.n_merges = 60;
        }
        loaded l = load_without_prefix(&v);
        for (int i = 0; i < 50; i++) {
            char text[60];
            random_word(&random, text, 1 + random_u64(&random) % (sizeof text - 1));
            assert_string_equal(pieces(&l, text, 0), merged_slowly(&v, text));
        }
        unload(&l);
    }
}

/* ------------------------------------------------------------------------------------------- fallbacks */

static void test_byte_fallback(void **state) {
    (void)state;
    vocabulary v = with_specials();
    add_bytes(&v); /* ids 3.. */
    add(&v, SPACE, -1, NORMAL);
    add(&v, "\xC3\xA9", -1, NORMAL); /* é */
    loaded l = load(&v);
    assert_string_equal(pieces(&l, "\xC3\xA9z\n", 0), SPACE "|\xC3\xA9|<0x7A>|<0x0A>|");
    assert_string_equal(pieces(&l, "\xE6\x97\xA5", 0), SPACE "|<0xE6>|<0x97>|<0xA5>|");
    assert_string_equal(pieces(&l, "\xC3\xC3\xA9\xA9\xFF", 0), SPACE "|<0xC3>|\xC3\xA9|<0xA9>|<0xFF>|");
    assert_string_equal(encoded(&l, "\0\x01", 2, 0), "259 3 4"); /* a zero byte is treated like any other byte */
    assert_string_equal(pieces(&l, "<0x41>", 0), SPACE "|<0x3C>|<0x30>|<0x78>|<0x34>|<0x31>|<0x3E>|");
    unload(&l);
}

static void test_unknown_where_bytes_are_missing(void **state) {
    (void)state;
    vocabulary v = with_specials();
    add(&v, SPACE, -1, NORMAL);
    add(&v, "a", -1, NORMAL);
    add(&v, "<0xE6>", 0, BYTE);
    loaded l = load(&v);
    assert_string_equal(pieces(&l,
                               "a\xE6\x97\xA5"
                               "a\xE6",
                               0),
                        SPACE "|a|<unk>|a|<0xE6>|");
    unload(&l);

    v.types[0] = v.types[1] = v.types[2] = NORMAL; /* so no unknown token either */
    l = load(&v);
    cllm_error err;
    int32_t *ids;
    size_t count;
    cllm_status status = cllm_tokenizer_encode(l.tokenizer, "a\xE6\x97\xA5", 4, 0, &ids, &count, &err);
    assert_error(status, &err, CLLM_ERR_UNSUPPORTED, "(bytes E6 97 A5)");
    assert_null(ids);
    assert_int_equal(count, 0);
    assert_int_equal(cllm_tokenizer_bos(l.tokenizer), -1);
    assert_int_equal(cllm_tokenizer_eos(l.tokenizer), -1);
    assert_false(cllm_tokenizer_adds_bos(l.tokenizer));
    unload(&l);
}

/* If a spelling occurs several times, the first token is found. A space is U+2581, so a piece with a plain space is
 * never found. */
static void test_odd_vocabulary(void **state) {
    (void)state;
    vocabulary v = with_specials();
    const char *tokens[] = {" ", SPACE, "a", "a", "", "a b"}; /* ids 3.. */
    for (int i = 0; i < 6; i++) add(&v, tokens[i], 0, NORMAL);
    add(&v, SPACE "b", 0, UNUSED);
    add(&v, "<0xFF>", 0, BYTE);
    add(&v, "<0xFF>", 0, BYTE);
    loaded l = load(&v);
    assert_string_equal(encoded(&l, "a b\xFF", 4, 0), "4 5 9 10");
    unload(&l);
}

static void test_text_over_1_gib(void **state) {
    (void)state;
    vocabulary v = with_specials();
    loaded l = load(&v);
    cllm_error err;
    int32_t *ids;
    size_t count;
    cllm_status status = cllm_tokenizer_encode(l.tokenizer, "", ((size_t)1 << 30) + 1, 0, &ids, &count, &err);
    assert_error(status, &err, CLLM_ERR_ARGUMENT, "the text is 1073741825 bytes long, at most 1073741824");
    unload(&l);
}

/* ------------------------------------------------------------------------------------------- special tokens */

static vocabulary with_markup(void) {
    vocabulary v = with_specials();
    add_bytes(&v);
    add(&v, SPACE, -1, NORMAL);
    add(&v, "a", -1, NORMAL);
    add(&v, "b", -1, NORMAL);
    add(&v, SPACE "a", -1, NORMAL);
    add(&v, "<|e", 0, CONTROL);
    add(&v, "<|end|>", 0, CONTROL);
    add(&v, "<|en", 0, USER_DEFINED);
    add(&v, "ab", 9, USER_DEFINED);
    add(&v, "|>b", 0, CONTROL);
    add(&v, "", 0, CONTROL);
    add(&v, "<|end|>", 0, CONTROL);
    add(&v, "\xFF", 0, CONTROL);
    return v;
}

static void test_special_tokens_in_text(void **state) {
    (void)state;
    vocabulary v = with_markup();
    loaded l = load(&v);
    struct {
        const char *text, *expected;
    } cases[] = {
        {"<s>", "<s>|"},
        {"<s>a", "<s>|" SPACE "a|"},
        {"<s> a</s>", "<s>|" SPACE "|" SPACE "a|</s>|"},
        {"a<s></s>", SPACE "a|<s>|</s>|"},
        {"a<unk>", SPACE "a|<unk>|"},
        {"<|end|>", "<|end|>|"},
        {"<|end|a", "<|en|" SPACE "|<0x64>|<0x7C>|a|"}, /* the longest that is there */
        {"<|e", "<|e|"},
        {"<|", SPACE "|<0x3C>|<0x7C>|"},
        {"<|end|>b", "<|end|>|" SPACE "|b|"}, /* the leftmost of two that overlap */
        {"|>b", "|>b|"},
        {"aab", SPACE "a|ab|"}, /* user-defined tokens, too, before any merge */
        {"\xFF", "\xFF|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(pieces(&l, cases[i].text, CLLM_ENCODE_PARSE_SPECIAL), cases[i].expected);

    /* of two tokens with the same spelling the first is found */
    assert_string_equal(encoded(&l, "<|end|>", 7, CLLM_ENCODE_PARSE_SPECIAL), "264");

    /* without the flag, control tokens are text, but user-defined ones are still found */
    assert_string_equal(pieces(&l, "<s>", 0), SPACE "|<0x3C>|<0x73>|<0x3E>|");
    assert_string_equal(pieces(&l, "aab", 0), SPACE "a|ab|");
    assert_string_equal(pieces(&l, "<|end|>", 0), "<|en|" SPACE "|<0x64>|<0x7C>|<0x3E>|");
    unload(&l);
}

/* Gemma adds no space before a text. Runs of line ends, runs of spaces and tags of HTML are user-defined tokens. */
static void test_gemma(void **state) {
    (void)state;
    vocabulary v = with_specials();
    add_bytes(&v);
    const char *tokens[] = {SPACE, "a", SPACE "a", "\n"};
    for (int i = 0; i < 4; i++) add(&v, tokens[i], -(float)i, NORMAL);
    const char *user_defined[] = {"\n\n", SPACE SPACE, SPACE SPACE SPACE, "<h1>", "</h1>"};
    for (int i = 0; i < 5; i++) add(&v, user_defined[i], 0, USER_DEFINED);
    add(&v, "<end_of_turn>", 0, CONTROL);
    loaded l = load_without_prefix(&v);
    assert_string_equal(pieces(&l, "a a", 0), "a|" SPACE "a|");
    assert_string_equal(pieces(&l, "<h1>a</h1>\n\n\na   a", 0), "<h1>|a|</h1>|\n\n|\n|a|" SPACE SPACE SPACE "|a|");
    assert_string_equal(pieces(&l, "<end_of_turn>", CLLM_ENCODE_PARSE_SPECIAL), "<end_of_turn>|");
    assert_string_equal(decoded(&l, 263, (int32_t)v.n_tokens - 4), "   ");
    assert_true(cllm_tokenizer_is_eog(l.tokenizer, (int32_t)v.n_tokens - 1));
    assert_true(cllm_tokenizer_is_eog(l.tokenizer, 2));
    check_round_trips(&l, CLLM_ENCODE_PARSE_SPECIAL);
    unload(&l);
}

/* Gemma 4 merges each line alone, by a list of merges. Spaces are those of SentencePiece, and bytes stand for text
 * without a token. */
static void test_lines_are_merged_apart(void **state) {
    (void)state;
    static const char *const merges[] = {"a " SPACE, SPACE " b", "a \n", "\n \n", "\n\n \n\n", SPACE " " SPACE, "b x"};
    vocabulary v = {.model = "gemma4", .merges = merges, .n_merges = 7};
    add(&v, "<unk>", 0, UNKNOWN), add(&v, "<bos>", 0, CONTROL), add(&v, "<eos>", 0, CONTROL);
    static const char *const texts[] = {"a",   "b",    "\n",     SPACE,      "a" SPACE,  SPACE "b",
                                        "a\n", "\n\n", "\n\n\n", "\n\n\n\n", SPACE SPACE};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) add(&v, texts[i], 0, NORMAL);
    add_bytes(&v);
    loaded l = load(&v);
    static const char *const cases[][2] = {
        {"a b", "a" SPACE "|b|"},
        {" b", SPACE "b|"}, /* no space is added before it */
        {"a\n", "a|\n|"},
        {"\n\n\n", "\n\n\n|"}, /* no merges make it */
        {"\n\n\n\na", "\n\n\n\n|a|"},
        {"\n\n\n\n\n", "\n\n\n\n|\n|"},
        {"\xC3\xA9", "<0xC3>|<0xA9>|"},
        {"  b", SPACE "|" SPACE "b|"},
        {"bx", "b|<0x78>|"}, /* a merge whose result is not a token does not count */
        {"<eos>", "<0x3C>|<0x65>|<0x6F>|<0x73>|<0x3E>|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(pieces(&l, cases[i][0], 0), cases[i][1]);
    assert_string_equal(pieces(&l, "a<eos>", CLLM_ENCODE_PARSE_SPECIAL), "a|<eos>|");
    assert_string_equal(decoded(&l, -1, 8), " b");
    check_round_trips(&l, CLLM_ENCODE_PARSE_SPECIAL);
    unload(&l);
}

static void test_bos_and_eos(void **state) {
    (void)state;
    vocabulary v = with_markup();
    loaded l = load(&v);
    assert_true(cllm_tokenizer_adds_bos(l.tokenizer));
    assert_false(cllm_tokenizer_adds_eos(l.tokenizer));
    assert_int_equal(cllm_tokenizer_bos(l.tokenizer), 1);
    assert_int_equal(cllm_tokenizer_eos(l.tokenizer), 2);
    assert_string_equal(pieces(&l, "a", CLLM_ENCODE_ADD_SPECIAL), "<s>|" SPACE "a|");
    assert_string_equal(pieces(&l, "", CLLM_ENCODE_ADD_SPECIAL), "<s>|");
    assert_string_equal(pieces(&l, "<s>", CLLM_ENCODE_ADD_SPECIAL | CLLM_ENCODE_PARSE_SPECIAL), "<s>|<s>|");
    unload(&l);

    gguf_builder g;
    builder_init(&g);
    put_vocabulary(&g, &v);
    builder_bool(&g, "tokenizer.ggml.add_bos_token", 0);
    builder_bool(&g, "tokenizer.ggml.add_eos_token", 1);
    builder_bool(&g, "tokenizer.ggml.add_space_prefix", 0);
    builder_u32(&g, "tokenizer.ggml.bos_token_id", 263);
    builder_u32(&g, "tokenizer.ggml.eos_token_id", 264);
    cllm_error err;
    assert_ok(load_built(&g, &l, &err), &err);
    assert_false(cllm_tokenizer_adds_bos(l.tokenizer));
    assert_true(cllm_tokenizer_adds_eos(l.tokenizer));
    assert_int_equal(cllm_tokenizer_bos(l.tokenizer), 263);
    assert_int_equal(cllm_tokenizer_eos(l.tokenizer), 264);
    assert_string_equal(pieces(&l, "a", CLLM_ENCODE_ADD_SPECIAL), "a|<|end|>|");
    assert_string_equal(pieces(&l, "<s>a", CLLM_ENCODE_PARSE_SPECIAL), "<s>|a|");
    unload(&l);
}

/* Without token_type, ids and spellings show which tokens are special and which are bytes. */
static void test_vocabulary_without_types(void **state) {
    (void)state;
    vocabulary v = with_specials();
    add_bytes(&v);
    add(&v, SPACE, -1, NORMAL);
    v.no_types = 1;
    loaded l = load(&v);
    assert_int_equal(cllm_tokenizer_bos(l.tokenizer), 1);
    assert_true(cllm_tokenizer_is_control(l.tokenizer, 0));
    assert_true(cllm_tokenizer_is_control(l.tokenizer, 1));
    assert_true(cllm_tokenizer_is_control(l.tokenizer, 2));
    assert_false(cllm_tokenizer_is_control(l.tokenizer, 3));
    assert_string_equal(pieces(&l, "a</s>", CLLM_ENCODE_PARSE_SPECIAL), SPACE "|<0x61>|</s>|");
    assert_string_equal(decoded(&l, -1, 3 + 'a'), "a");
    unload(&l);
}

/* ------------------------------------------------------------------------------------------- decoding */

static void test_decoding(void **state) {
    (void)state;
    vocabulary v =
        with_markup(); /* 0-2 specials, 3-258 bytes, 259 "▁", 260 "a", 261 "b", 262 "▁a", 266 "ab" user-defined */
    add(&v, "x" SPACE "y", 0, USER_DEFINED);
    add(&v, " w", 0, USER_DEFINED);
    add(&v, SPACE SPACE "z", 0, NORMAL);
    int32_t user = (int32_t)v.n_tokens - 3, user_space = (int32_t)v.n_tokens - 2, normal = (int32_t)v.n_tokens - 1;
    loaded l = load(&v);
    assert_int_equal(cllm_tokenizer_n_vocab(l.tokenizer), v.n_tokens);
    assert_string_equal(decoded(&l, -1, 262), "a");  /* the added space is removed: at the start, */
    assert_string_equal(decoded(&l, 1, 262), "a");   /* after BOS */
    assert_string_equal(decoded(&l, 266, 262), "a"); /* and after a user-defined token */
    assert_string_equal(decoded(&l, 260, 262), " a");
    assert_string_equal(decoded(&l, 3 + 'a', 262), " a");
    assert_string_equal(decoded(&l, -1, 259), "");
    assert_string_equal(decoded(&l, -1, 3 + ' '), "");
    assert_string_equal(decoded(&l, 260, 3 + ' '), " ");
    assert_string_equal(decoded(&l, -1, normal), " z"); /* but one space only */
    assert_string_equal(decoded(&l, 260, normal), "  z");
    assert_string_equal(decoded(&l, 260, 3 + 0xE6), "\xE6"); /* a part of a character */
    assert_string_equal(decoded(&l, 260, 1), "<s>");
    assert_string_equal(decoded(&l, 260, 0), "<unk>");
    assert_string_equal(decoded(&l, 260, user), "x y");     /* as it is found in text */
    assert_string_equal(decoded(&l, -1, user_space), " w"); /* no space was added before it */
    assert_int_equal(cllm_tokenizer_piece(l.tokenizer, 262).length, 4);

    int32_t outside[] = {-1, INT32_MIN, (int32_t)v.n_tokens, INT32_MAX};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(cllm_tokenizer_decode(l.tokenizer, 260, outside[i]).length, 0);
        assert_int_equal(cllm_tokenizer_piece(l.tokenizer, outside[i]).length, 0);
        assert_false(cllm_tokenizer_is_control(l.tokenizer, outside[i]));
        assert_string_equal(decoded(&l, outside[i], 262), "a");
    }
    assert_false(cllm_tokenizer_is_control(l.tokenizer, 266));
    unload(&l);
}

static void test_round_trip(void **state) {
    (void)state;
    vocabulary v = with_markup();
    loaded l = load(&v);
    check_round_trips(&l, CLLM_ENCODE_PARSE_SPECIAL);
    unload(&l);
}

static void test_round_trip_without_prefix(void **state) {
    (void)state;
    vocabulary v = with_markup();
    loaded l = load_without_prefix(&v);
    check_round_trips(&l, CLLM_ENCODE_PARSE_SPECIAL);
    unload(&l);
}

static void test_round_trip_of_real_vocabularies(void **state) {
    (void)state;
    const char *names[] = {"vocab/ggml-vocab-llama-spm.gguf", "vocab/ggml-vocab-phi-3.gguf", "models/stories260K.gguf"};
    for (int i = 0; i < 3; i++) {
        const char *path = shared_file(names[i]);
        if (!path) skip();
        loaded l = load_file(path);
        check_round_trips(&l, i == 1 ? 0 : CLLM_ENCODE_PARSE_SPECIAL); /* phi-3's special tokens remove spaces */
        unload(&l);
    }
}

/* ------------------------------------------------------------------------------------------- time */

static void test_time_is_n_log_n(void **state) {
    (void)state;
    vocabulary v = with_markup();
    static char runs[11][1 << 12];
    for (int i = 0; i < 11; i++) { /* runs of 2, 4, .. 2048 letters; shorter runs have better scores */
        memset(runs[i], 'a', (size_t)2 << i);
        add(&v, runs[i], -(float)i, NORMAL);
    }
    static char pairs[100][3];
    uint64_t random = 5;
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 2; k++) pairs[i][k] = (char)('a' + random_u64(&random) % 26);
        add(&v, pairs[i], -(float)i, NORMAL);
    }
    loaded l = load(&v);
    check_time(&l, 1 << 20);
    unload(&l);
}

static void test_time_with_a_real_vocabulary(void **state) {
    (void)state;
    const char *path = shared_file("vocab/ggml-vocab-llama-spm.gguf");
    if (!path) skip();
    loaded l = load_file(path);
    check_time(&l, 1 << 20);
    unload(&l);
}

/* ------------------------------------------------------------------------------------------- bad files */

static void put_model(gguf_builder *g) { builder_string(g, "tokenizer.ggml.model", "llama"); }

static void put_tokens(gguf_builder *g, int32_t type_of_last) {
    const char *tokens[] = {"<unk>", "<s>", "</s>", "a", "<0xG0>"};
    const int32_t types[] = {UNKNOWN, CONTROL, CONTROL, NORMAL, type_of_last};
    builder_strings(g, "tokenizer.ggml.tokens", tokens, 5);
    builder_i32s(g, "tokenizer.ggml.token_type", types, 5);
}

static void put_sound(gguf_builder *g) {
    const float scores[] = {0, 0, 0, -1, -2};
    put_model(g);
    put_tokens(g, NORMAL);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 5);
}

static void no_model(gguf_builder *g) { put_tokens(g, NORMAL); }
static void other_model(gguf_builder *g) { builder_string(g, "tokenizer.ggml.model", "plamo2"); }
static void model_not_string(gguf_builder *g) { builder_u32(g, "tokenizer.ggml.model", 1); }
static void no_tokens(gguf_builder *g) {
    const float scores[] = {0};
    put_model(g);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 1);
}
static void empty_tokens(gguf_builder *g) {
    put_model(g);
    builder_strings(g, "tokenizer.ggml.tokens", NULL, 0);
    builder_f32s(g, "tokenizer.ggml.scores", NULL, 0);
}
static void tokens_not_strings(gguf_builder *g) {
    const float scores[] = {0};
    put_model(g);
    builder_f32s(g, "tokenizer.ggml.tokens", scores, 1);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 1);
}
static void no_scores(gguf_builder *g) {
    put_model(g);
    put_tokens(g, NORMAL);
}
static void few_scores(gguf_builder *g) {
    const float scores[] = {0, 0, 0, 0};
    no_scores(g);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 4);
}
static void nan_score(gguf_builder *g) {
    const float scores[] = {0, 0, 0, NAN, 0};
    no_scores(g);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 5);
}
static void integer_scores(gguf_builder *g) {
    const int32_t scores[] = {0, 0, 0, 0, 0};
    no_scores(g);
    builder_i32s(g, "tokenizer.ggml.scores", scores, 5);
}
static void many_types(gguf_builder *g) {
    const char *tokens[] = {"a"};
    const float scores[] = {0};
    const int32_t types[] = {1, 1};
    put_model(g);
    builder_strings(g, "tokenizer.ggml.tokens", tokens, 1);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 1);
    builder_i32s(g, "tokenizer.ggml.token_type", types, 2);
}
static void unknown_type(gguf_builder *g) {
    const float scores[] = {0, 0, 0, 0, 0};
    put_model(g);
    put_tokens(g, 7);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 5);
}
static void bad_byte(gguf_builder *g) {
    const float scores[] = {0, 0, 0, 0, 0};
    put_model(g);
    put_tokens(g, BYTE);
    builder_f32s(g, "tokenizer.ggml.scores", scores, 5);
}
static void bad_bos(gguf_builder *g) {
    put_sound(g);
    builder_u32(g, "tokenizer.ggml.bos_token_id", 5);
}
static void bad_eos(gguf_builder *g) {
    put_sound(g);
    builder_u32(g, "tokenizer.ggml.eos_token_id", UINT32_MAX);
}
static void bad_unknown(gguf_builder *g) {
    put_sound(g);
    builder_u32(g, "tokenizer.ggml.unknown_token_id", 6);
}
static void bos_not_a_number(gguf_builder *g) {
    put_sound(g);
    builder_string(g, "tokenizer.ggml.bos_token_id", "1");
}
static void add_bos_not_a_bool(gguf_builder *g) {
    put_sound(g);
    builder_u32(g, "tokenizer.ggml.add_bos_token", 1);
}
static void put_merge(gguf_builder *g, const char *second) {
    const char *tokens[] = {"<unk>", "<s>", "</s>", "a", "aa"};
    const char *merges[] = {"a a", second};
    put_model(g);
    builder_strings(g, "tokenizer.ggml.tokens", tokens, 5);
    builder_strings(g, "tokenizer.ggml.merges", merges, 2);
}
static void merge_without_space(gguf_builder *g) { put_merge(g, "aaaa"); }
static void merge_of_one(gguf_builder *g) { put_merge(g, "aaa "); }
static void empty_merge(gguf_builder *g) { put_merge(g, ""); }
static void merge_of_no_token(gguf_builder *g) { put_merge(g, "a aa"); }

static void test_bad_files(void **state) {
    (void)state;
    struct {
        void (*build)(gguf_builder *g);
        cllm_status status;
        const char *message;
    } cases[] = {
        {no_model, CLLM_ERR_FORMAT, "tokenizer.ggml.model"},
        {other_model, CLLM_ERR_UNSUPPORTED,
         "tokenizer.ggml.model: \"plamo2\" is not supported; supported are \"llama\""},
        {model_not_string, CLLM_ERR_FORMAT, "tokenizer.ggml.model"},
        {no_tokens, CLLM_ERR_FORMAT, "tokenizer.ggml.tokens"},
        {empty_tokens, CLLM_ERR_FORMAT, "tokenizer.ggml.tokens: has 0 tokens"},
        {tokens_not_strings, CLLM_ERR_FORMAT, "tokenizer.ggml.tokens"},
        {no_scores, CLLM_ERR_FORMAT, "tokenizer.ggml.scores: missing, and tokenizer.ggml.merges too"},
        {few_scores, CLLM_ERR_FORMAT, "tokenizer.ggml.scores: has 4 entries, but tokenizer.ggml.tokens has 5"},
        {nan_score, CLLM_ERR_FORMAT, "tokenizer.ggml.scores: the score of token 3 is not a number"},
        {integer_scores, CLLM_ERR_FORMAT, "tokenizer.ggml.scores"},
        {many_types, CLLM_ERR_FORMAT, "tokenizer.ggml.token_type: has 2 entries, but tokenizer.ggml.tokens has 1"},
        {unknown_type, CLLM_ERR_FORMAT, "tokenizer.ggml.token_type: token 4 has type 7"},
        {bad_byte, CLLM_ERR_FORMAT, "tokenizer.ggml.tokens: byte token 4 is spelled \"<0xG0>\""},
        {bad_bos, CLLM_ERR_FORMAT, "tokenizer.ggml.bos_token_id: token 5 is beyond the vocabulary of 5 tokens"},
        {bad_eos, CLLM_ERR_FORMAT,
         "tokenizer.ggml.eos_token_id: token 4294967295 is beyond the vocabulary of 5 tokens"},
        {bad_unknown, CLLM_ERR_FORMAT, "tokenizer.ggml.unknown_token_id: token 6 is beyond the vocabulary of 5 tokens"},
        {bos_not_a_number, CLLM_ERR_FORMAT, "tokenizer.ggml.bos_token_id"},
        {add_bos_not_a_bool, CLLM_ERR_FORMAT, "tokenizer.ggml.add_bos_token"},
        {merge_without_space, CLLM_ERR_FORMAT, "tokenizer.ggml.merges: entry 1 is \"aaaa\""},
        {merge_of_one, CLLM_ERR_FORMAT, "tokenizer.ggml.merges: entry 1 is \"aaa \""},
        {empty_merge, CLLM_ERR_FORMAT, "tokenizer.ggml.merges: entry 1 is \"\""},
        {merge_of_no_token, CLLM_ERR_FORMAT, "tokenizer.ggml.merges: entry 1, \"a aa\", makes a token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_builder g;
        builder_init(&g);
        cases[i].build(&g);
        loaded l;
        cllm_error err = {0};
        assert_error(load_built(&g, &l, &err), &err, cases[i].status, cases[i].message);
        assert_null(l.tokenizer);
        unload(&l);
    }

    gguf_builder g;
    builder_init(&g);
    put_sound(&g); /* without the faults of the cases above, the file is right */
    loaded l;
    cllm_error err;
    assert_ok(load_built(&g, &l, &err), &err);
    unload(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_llama),
        cmocka_unit_test(test_reference_phi3),
        cmocka_unit_test(test_merges_by_score),
        cmocka_unit_test(test_leftmost_of_equals_first),
        cmocka_unit_test(test_merges_by_list),
        cmocka_unit_test(test_heap_finds_what_trying_all_finds),
        cmocka_unit_test(test_byte_fallback),
        cmocka_unit_test(test_unknown_where_bytes_are_missing),
        cmocka_unit_test(test_odd_vocabulary),
        cmocka_unit_test(test_text_over_1_gib),
        cmocka_unit_test(test_special_tokens_in_text),
        cmocka_unit_test(test_gemma),
        cmocka_unit_test(test_lines_are_merged_apart),
        cmocka_unit_test(test_bos_and_eos),
        cmocka_unit_test(test_vocabulary_without_types),
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_round_trip_without_prefix),
        cmocka_unit_test(test_round_trip_of_real_vocabularies),
        cmocka_unit_test(test_time_is_n_log_n),
        cmocka_unit_test(test_time_with_a_real_vocabulary),
        cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
