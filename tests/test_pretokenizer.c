/* Tests pre-tokenizers against PCRE2 with the regular expressions that they stand for, and the tables of characters
 * against PCRE2's, as far as its version of Unicode goes. */
#include "support/check.h"

#include "text/pretokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------- words, shown */

enum { LINE = 1 << 14 };

typedef struct shown {
    char text[LINE];
    size_t length;
} shown;

/* The words, each followed by a bar. */
static void show_word(shown *s, const char *word, size_t length) {
    assert_true(s->length + length + 2 <= sizeof s->text);
    memcpy(s->text + s->length, word, length);
    s->length += length;
    s->text[s->length++] = '|';
    s->text[s->length] = 0;
}

static cllm_status on_word(void *user, const char *word, size_t length) {
    assert_true(length > 0);
    show_word(user, word, length);
    return CLLM_OK;
}

static const char *words_of(const char *name, const char *text) {
    static shown s;
    s.length = 0;
    s.text[0] = 0;
    const pretokenizer *p = pretokenizer_find(name, strlen(name));
    assert_non_null(p);
    assert_int_equal(pretokenizer_split(p, text, strlen(text), on_word, &s), CLLM_OK);
    return s.text;
}

/* ------------------------------------------------------------------------------------------- without PCRE2 */

static void shows_what_each_rule_does(void **state) {
    (void)state;
    struct {
        const char *name, *text, *words;
    } cases[] = {
        {"gpt-2", "I'll go, 1234  times\n\n now", "I|'ll| go|,| 1234| | times|\n\n| now|"},
        {"gpt-2", "I'LL  ", "I|'|LL|  |"},
        {"starcoder", "x 12", "x| |1|2|"},
        {"falcon", "a+=b 12345", "a|+=|b| |123|45|"},
        {"llama-bpe", "I'LL go,\r\n 1234  times", "I|'LL| go|,\r\n| |123|4| | times|"},
        {"llama-bpe", "'\xC5\xBFo \n\n x\tif\xC2\xA0é", "'\xC5\xBF|o| \n\n| x|\tif|\xC2\xA0é|"},
        {"qwen2", "(x) 12", "(x|)| |1|2|"},
        {"gpt-4o", "HelloWORLD's ABCdef/\n", "Hello|WORLD's| ABCdef|/\n|"},
        {"gpt-4o", "\xCC\x81ZA", "\xCC\x81|ZA|"}, /* a mark counts as a small letter; the capitals after it do not */
        {"tekken", "Don't 12", "Don|'t| |1|2|"},
        {"deepseek-v3", "1234 .py 日本go", "123|4| .|py| |日本|go|"},
        {"afmoe", "1234567 x", "1|234|567| x|"},
        {"tiny_aya", "1234 1234x", "1|234| |123|4|x|"},
        {"superbpe", "go to 1234567", "go to |1|234|567|"},
        {"superbpe",
         "12\xC2\xBD"
         "123\xC2\xBD",
         "12\xC2\xBD|123\xC2\xBD|"},
        {"exaone-moe", "no one  knows", "no one| | knows|"},
        {"bloom", "a (b) c.", "a| (|b|)| c|.|"},
        {"kimi-k2", "日本go go", "日本|go| go|"},
        {"jais-2", "a       b", "a|    |  | b|"},
        {"chameleon", "a     b", "a|    | b|"},
        {"llama-bpe", "\xFF\xC3 a", "\xFF\xC3| a|"}, /* bytes that are not UTF-8 count as signs */
        {"llama-bpe", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(words_of(cases[i].name, cases[i].text), cases[i].words);
}

static void knows_names_by_the_whole(void **state) {
    (void)state;
    const char *unknown[] = {"", " ", "gpt", "gpt-2 ", "gpt-2 mpt", "olm", "lmo", "viking\n"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_null(pretokenizer_find(unknown[i], strlen(unknown[i])));
    assert_ptr_equal(pretokenizer_find("smollm", 6), pretokenizer_find("starcoder", 9));
}

#ifdef HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* ------------------------------------------------------------------------------------------- PCRE2 */

static pcre2_code *compiled(const char *pattern) {
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
    if (!code) fail_msg("PCRE2 does not understand %s at %zu", pattern, (size_t)offset);
    return code;
}

typedef struct expression {
    pcre2_code *stages[MAX_STAGES + 1];
    pcre2_match_data *match;
} expression;

/* Each expression cuts the pieces that the one before left, at both ends of each match. */
static void split_by_expression(const expression *e, pcre2_code *const *stages, const char *text, size_t length,
                                shown *s) {
    if (length == 0) return;
    if (!*stages) {
        show_word(s, text, length);
        return;
    }
    size_t begin = 0;
    for (size_t at = 0; at < length;) {
        if (pcre2_match(*stages, (PCRE2_SPTR)text, length, at, PCRE2_NO_UTF_CHECK, e->match, NULL) < 0) break;
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(e->match);
        size_t from = ends[0], to = ends[1];
        split_by_expression(e, stages + 1, text + begin, from - begin, s);
        split_by_expression(e, stages + 1, text + from, to - from, s);
        begin = to;
        at = to > from ? to : to + 1; /* an empty match cuts, too: superbpe's, between digits */
    }
    split_by_expression(e, stages + 1, text + begin, length - begin, s);
}

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define GPT2         "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CL100K(n)                                                                                          \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" n "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+" \
                 "|\\s+(?!\\S)|\\s+"
#define O200K(contractions, n)                                                                                \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" contractions  \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" contractions \
    "|\\p{N}" n "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK_WORDS "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
#define DEEPSEEK_V3    DEEPSEEK_WORDS "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
#define HAN_AND_KANA   "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{30FF}]+"
/* the script, not its extensions, which is what newer ones understand by \p{Han} */
#if PCRE2_MAJOR > 10 || PCRE2_MINOR >= 40
#define HAN "\\p{sc:Han}"
#else
#define HAN "\\p{Han}"
#endif
#define NOT_HAN(set) "(?:(?!" HAN ")" set ")"
#define KIMI_CAPITAL NOT_HAN("[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]")
#define KIMI_SMALL   NOT_HAN("[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]")

/* The letters of deepseek-llm are the letters with case of an older Unicode. These are the ranges of its
 * tokenizer.json. */
#define DEEPSEEK_LETTERS                                                                                        \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}"             \
    "\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}"      \
    "\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}"             \
    "\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"           \
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}"           \
    "\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}"   \
    "\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}"  \
    "\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"            \
    "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}"             \
    "\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}"             \
    "\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}"            \
    "\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}"           \
    "\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}"         \
    "\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}" \
    "\\x{1E900}-\\x{1E943}"

static const struct {
    const char *name, *stages[MAX_STAGES];
} expressions[] = {
    {"default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"gpt-2", {GPT2}},
    {"starcoder", {"\\p{N}", GPT2}},
    {"falcon", {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"chameleon", {"([\\t\\n]|    |  )", "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]", GPT2}},
    {"llama-bpe", {CL100K("{1,3}")}},
    {"dbrx", {CL100K("{1,3}")}},
    {"minicpm5", {"\\p{N}{1,3}", CL100K("+")}},
    {"jais-2",
     {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
                   "|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)"
                   "|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"}},
    {"qwen2", {CL100K("")}},
    {"bailingmoe",
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]"
      "|\\s+(?!\\S)|\\s+"}},
    {"laguna", {"[^\\n]+|[\\n]+", CL100K("")}},
    {"seed-coder",
     {CONTRACTIONS
      "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"ufakzeka",
     {"[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"qwen35",
     {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
                   "|\\s+(?!\\S)|\\s+"}},
    {"exaone-moe",
     {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?"
                   "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {"deepseek-llm",
     {"[\r\n]", "\\s?[" DEEPSEEK_LETTERS "]+",
      "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+", "\\s+$",
      "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+", "\\p{N}+"}},
    {"deepseek-coder",
     {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+",
      "\\p{N}"}},
    {"deepseek-v3", {"\\p{N}{1,3}", HAN_AND_KANA, DEEPSEEK_V3}},
    {"spark2_5", {"\\p{N}{1,3}", HAN_AND_KANA, DEEPSEEK_WORDS "| ?[\\p{P}\\p{S}]+|[\r\n]|\\s+(?!\\S)|\\s+", "\\p{N}"}},
    {"afmoe",
     {"\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))",
      "[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{F900}-\\x{FAFF}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}"
      "\\x{FF65}-\\x{FF9F}\\x{2F00}-\\x{2FDF}\\x{0E40}-\\x{0E7F}\\x{0E80}-\\x{0EFF}\\x{1780}-\\x{17FF}"
      "\\x{1000}-\\x{109F}\\x{AA60}-\\x{AA7F}\\x{A9E0}-\\x{A9FF}\\x{AC00}-\\x{D7AF}\\x{1100}-\\x{11FF}]+",
      DEEPSEEK_V3}},
    {"gpt-4o", {O200K(CONTRACTIONS "?", "{1,3}")}},
    /* this stands for \b. In Oniguruma, which tokenizers use, marks and connectors belong to words; in PCRE2 they do
     * not */
    {"tiny_aya", {"\\d{1,3}(?=(?:\\d{3})*(?![\\p{L}\\p{M}\\d\\p{Pc}]))", O200K(CONTRACTIONS "?", "{1,3}")}},
    {"youtu",
     {"[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}\\x{2019}\\x{2014}\\x{"
      "FF1A}"
      "\\x{FF1B}\\x{FF0C}\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+|[\\x{3105}-\\x{312F}]+|" HAN_AND_KANA,
      O200K(CONTRACTIONS "?", "")}},
    {"tekken", {O200K("", "")}},
    {"kimi-k2",
     {HAN "+|[^\\r\\n\\p{L}\\p{N}]?" KIMI_CAPITAL "*" KIMI_SMALL "+" CONTRACTIONS
          "?|[^\\r\\n\\p{L}\\p{N}]?" KIMI_CAPITAL "+" KIMI_SMALL "*" CONTRACTIONS
          "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"superbpe", {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}},
    {"bloom", {" ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+"}},
    {"viking", {" ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+", "\\p{N}"}},
};

/* ------------------------------------------------------------------------------------------- random text */

static size_t put_utf8(char *to, uint32_t code_point) {
    if (code_point < 0x80) {
        to[0] = (char)code_point;
        return 1;
    }
    size_t length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const unsigned first[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length; i-- > 1; code_point >>= 6) to[i] = (char)(0x80 | (code_point & 0x3F));
    to[0] = (char)(first[length] | code_point);
    return length;
}

static bool is_surrogate(uint32_t code_point) { return code_point >= 0xD800 && code_point < 0xE000; }

static bool is_assigned(uint32_t code_point) {
    static pcre2_code *unassigned;
    static pcre2_match_data *match;
    if (!unassigned) unassigned = compiled("\\p{Cn}");
    if (!match) match = pcre2_match_data_create(1, NULL);
    char text[4];
    if (is_surrogate(code_point) || (unicode_classes(code_point) & CHAR_UNASSIGNED)) return false;
    return pcre2_match(unassigned, (PCRE2_SPTR)text, put_utf8(text, code_point), 0, 0, match, NULL) < 0;
}

/* Characters of each sort that some pre-tokenizer treats differently, and any other character. */
static uint32_t random_code_point(uint64_t *random) {
    static const uint32_t few[] = {' ',    ' ',    ' ',    '\n',   '\n',   '\r',   '\t',   0x0B,   0x85,  0xA0,
                                   0x2003, 0x3000, 0x2028, '\'',   '\'',   '/',    '_',    '(',    ')',   '|',
                                   '.',    '!',    '`',    '$',    '<',    0x17F,  0x212A, 0x1C5,  0x2B0, 0x301,
                                   0x301,  0x20DD, 0x903,  0xBD,   0xB2,   0x2167, 0x3007, 0x661,  0x966, 0x2026,
                                   0x3001, 0x3002, 0xFF0C, 0x6D4,  0x60C,  0x964,  0x203F, 0x200D, 0xAD,  0x1F600,
                                   0x3005, 0x2E80, 0xFF01, 0xFE30, 0x3131, 0x3105, 0x1FB,  0x14E,  0x130, 0x131};
    static const char_range ranges[] = {{'a', 'z'},         {'A', 'Z'},         {'0', '9'},       {'0', '9'},
                                        {'!', '~'},         {0xC0, 0x17F},      {0x300, 0x36F},   {0x370, 0x52F},
                                        {0x5D0, 0x6FF},     {0x900, 0xD7F},     {0xE00, 0xEFF},   {0x1000, 0x11FF},
                                        {0x1780, 0x17FF},   {0x2000, 0x2BFF},   {0x3000, 0x31FF}, {0x4E00, 0x9FFF},
                                        {0xA640, 0xABFF},   {0xAC00, 0xD7FF},   {0xF900, 0xFFFD}, {0x10000, 0x1E943},
                                        {0x1F300, 0x1FAFF}, {0x20000, 0x2FFFF}, {0, 0x10FFFF}};
    uint64_t choice = random_u64(random) % 100;
    if (choice < 45) return few[random_u64(random) % (sizeof few / sizeof *few)];
    if (choice < 70) return (unsigned char)"aAbBstmdlrveSTMDLRVE123"[random_u64(random) % 23];
    const char_range *range = &ranges[random_u64(random) % (sizeof ranges / sizeof *ranges)];
    uint32_t code_point = range->first + (uint32_t)(random_u64(random) % (range->last - range->first + 1));
    return code_point == 0 || code_point == '|' ? 'x' : code_point;
}

/* Runs of one character, contractions, and single characters. No zero byte, and no U+180E, which only PCRE2 takes for a
 * space. */
static void random_text(uint64_t *random, char *text, size_t capacity) {
    size_t length = 0, parts = 1 + random_u64(random) % 20;
    while (parts-- > 0) {
        static const char *const contractions[] = {"'s", "'T", "'re", "'VE", "'m", "'lL", "'d", "'l", "'r"};
        uint32_t code_point = random_code_point(random);
        uint64_t choice = random_u64(random) % 16, repeat = choice < 3 ? 1 + random_u64(random) % 9 : 1;
        if (choice == 15) length += (size_t)snprintf(text + length, 4, "%s", contractions[random_u64(random) % 9]);
        if (code_point != 0x180E && is_assigned(code_point))
            while (repeat-- > 0) length += put_utf8(text + length, code_point);
        assert_true(length + 48 < capacity);
    }
    text[length] = 0;
}

static void cuts_as_the_expressions_do(void **state) {
    (void)state;
    enum { TEXTS = 6000 };
    static shown want;
    uint64_t random = 11;
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        expression e = {.match = pcre2_match_data_create(8, NULL)};
        for (size_t k = 0; k < MAX_STAGES && expressions[i].stages[k]; k++) {
            e.stages[k] = compiled(expressions[i].stages[k]);
            pcre2_jit_compile(e.stages[k], PCRE2_JIT_COMPLETE);
        }
        for (int round = 0; round < TEXTS; round++) {
            char text[2048];
            random_text(&random, text, sizeof text);
            want.length = 0;
            want.text[0] = 0;
            split_by_expression(&e, e.stages, text, strlen(text), &want);
            const char *got = words_of(expressions[i].name, text);
            if (strcmp(got, want.text) != 0)
                fail_msg("%s cuts \"%s\" into \"%s\", its expression into \"%s\"", expressions[i].name, text, got,
                         want.text);
        }
        for (size_t k = 0; e.stages[k]; k++) pcre2_code_free(e.stages[k]);
        pcre2_match_data_free(e.match);
    }
}

/* ------------------------------------------------------------------------------------------- characters */

enum { N_CODE_POINTS = 0x110000 };

/* Set `bit` for all characters that match, in a text of all of them; at_offset[i] is the one that begins at byte i. */
static void mark_matches(const char *pattern, const char *text, size_t length, const uint32_t *at_offset,
                         uint32_t *classes, uint32_t bit) {
    pcre2_code *code = compiled(pattern);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    for (size_t at = 0; pcre2_match(code, (PCRE2_SPTR)text, length, at, PCRE2_NO_UTF_CHECK, match, NULL) >= 0;) {
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(match);
        classes[at_offset[ends[0]]] |= bit;
        at = ends[1];
    }
    pcre2_match_data_free(match);
    pcre2_code_free(code);
}

static void knows_the_characters(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        uint32_t bit;
    } properties[] = {
        {"\\p{Cn}", CHAR_UNASSIGNED},
        {"[\\p{Cc}\\p{Cf}\\p{Co}\\p{Z}]", CHAR_OTHER},
        {"[\\p{Lu}\\p{Lt}]", CHAR_UPPER},
        {"\\p{Ll}", CHAR_LOWER},
        {"[\\p{Lm}\\p{Lo}]", CHAR_CASELESS},
        {"\\p{M}", CHAR_MARK},
        {"\\p{Mn}", CHAR_NONSPACING},
        {"\\p{Nd}", CHAR_DIGIT},
        {"[\\p{Nl}\\p{No}]", CHAR_NUMERAL},
        {"\\p{Pc}", CHAR_CONNECTOR},
        {"[\\p{Pd}\\p{Ps}\\p{Pe}\\p{Pi}\\p{Pf}\\p{Po}]", CHAR_PUNCTUATION},
        {"\\p{S}", CHAR_SYMBOL},
        {"\\s", CHAR_WHITE},
        {HAN, CHAR_HAN},
    };
    char *text = malloc(4 * N_CODE_POINTS);
    uint32_t *at_offset = malloc(4 * N_CODE_POINTS * sizeof *at_offset);
    uint32_t *classes = calloc(N_CODE_POINTS, sizeof *classes);
    assert_true(text && at_offset && classes);
    size_t length = 0;
    for (uint32_t code_point = 0; code_point < N_CODE_POINTS; code_point++) {
        if (is_surrogate(code_point)) continue;
        at_offset[length] = code_point;
        length += put_utf8(text + length, code_point);
    }
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        mark_matches(properties[i].pattern, text, length, at_offset, classes, properties[i].bit);

    int n_compared = 0;
    for (uint32_t code_point = 0; code_point < N_CODE_POINTS; code_point++) {
        uint32_t ours = unicode_classes(code_point), theirs = classes[code_point];
        if (((ours | theirs) & CHAR_UNASSIGNED) || code_point == 0x180E || is_surrogate(code_point)) continue;
        if (ours != theirs) fail_msg("U+%04X has the classes %x, by PCRE2 %x", code_point, ours, theirs);
        n_compared++;
    }
    assert_true(n_compared > 280000);
    free(text);
    free(at_offset);
    free(classes);
}
#else
static void cuts_as_the_expressions_do(void **state) {
    (void)state;
    print_message("it needs libpcre2-dev\n");
    skip();
}
static void knows_the_characters(void **state) {
    (void)state;
    print_message("it needs libpcre2-dev\n");
    skip();
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_what_each_rule_does),
        cmocka_unit_test(knows_names_by_the_whole),
        cmocka_unit_test(cuts_as_the_expressions_do),
        cmocka_unit_test(knows_the_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
