/* The pre-tokenizers by their names in tokenizer.ggml.pre. This is only data; pretokenizer.c runs it.
 *
 * The patterns are those of the models' own tokenizer.json or tiktoken files; a comment above each has the regular
 * expression. The names, and what each means, are llama.cpp's (convert_hf_to_gguf_update.py). tests/test_pretokenizer.c
 * compares the stages of all rows with PCRE2 on these expressions. */
#include "text/pretokenizer.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------ sets of characters */

#define LETTER      (CHAR_UPPER | CHAR_LOWER | CHAR_CASELESS) /* \p{L} */
#define NUMBER      (CHAR_DIGIT | CHAR_NUMERAL)               /* \p{N} */
#define PUNCTUATION (CHAR_CONNECTOR | CHAR_PUNCTUATION)       /* \p{P} */

/* Some patterns cut a word where a capital follows a small letter. A character without case counts as both. */
#define CAPITAL (CHAR_UPPER | CHAR_CASELESS | CHAR_MARK) /* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
#define SMALL   (CHAR_LOWER | CHAR_CASELESS | CHAR_MARK) /* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */

#define ONE_OF(classes) \
    { .any = (classes) }
#define NONE_OF(classes) \
    { .any = ANY_CHAR, .none = (classes) }
#define INSIDE(ranges_) \
    { .ranges = (ranges_) }
#define LETTER_NEIGHBOUR NONE_OF(CHAR_NEWLINE | LETTER | NUMBER) /* [^\r\n\p{L}\p{N}] */
#define SIGN             NONE_OF(CHAR_WHITE | LETTER | NUMBER)   /* [^\s\p{L}\p{N}] */

static const char_range ascii_letters[] = {{'A', 'Z'}, {'a', 'z'}, {0, 0}};
static const char_range ascii_digits[] = {{'0', '9'}, {0, 0}};
static const char_range ascii_punctuation[] = {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}, {0, 0}};
static const char_range slash[] = {{'/', '/'}, {0, 0}};
static const char_range tab_or_line_feed[] = {{'\t', '\n'}, {0, 0}};
static const char_range line_feed[] = {{'\n', '\n'}, {0, 0}};
static const char_range not_line_feed[] = {{0, 9}, {11, 0x10FFFF}, {0, 0}};

/* With \p{P}: all ASCII characters that a C library calls punctuation; the pre-tokenizer "default" leaves ` out */
static const char_range ascii_symbols[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'},
                                           {'`', '`'}, {'|', '|'}, {'~', '~'}, {0, 0}};
static const char_range ascii_symbols_but_backquote[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'},
                                                         {'|', '|'}, {'~', '~'}, {0, 0}};

/* [一-龥ࠀ-一가-퟿] and [一-龥぀-ゟ゠-ヿ] */
static const char_range deepseek_asian[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}, {0, 0}};
static const char_range han_and_kana[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}, {0, 0}};

/* Letters with case, according to an older version of Unicode. */
static const char_range deepseek_letters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
    {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
    {0x376, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
    {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},
    {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},
    {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
    {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},
    {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},
    {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
    {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},
    {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},
    {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
    {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}, {0, 0},
};

/* [!-/:-~！-／：-～‘-‟　-。] */
static const char_range deepseek_punctuation[] = {
    {0x21, 0x2F}, {0x3A, 0x7E}, {0x2018, 0x201F}, {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}, {0, 0}};

/* All except (|.,!?…。，、।۔،) */
static const char_range not_bloom_punctuation[] = {
    {0, 0x20},        {0x22, 0x27},     {0x2A, 0x2B},       {0x2D, 0x2D},   {0x2F, 0x3E},
    {0x40, 0x7B},     {0x7D, 0x60B},    {0x60D, 0x6D3},     {0x6D5, 0x963}, {0x965, 0x2025},
    {0x2027, 0x3000}, {0x3003, 0xFF0B}, {0xFF0D, 0x10FFFF}, {0, 0}};

/* Asian scripts, most of them without spaces between words: Thai, Lao, Myanmar, Hangul, Khmer, kana and Han. */
static const char_range afmoe_asian[] = {{0xE40, 0xEFF},   {0x1000, 0x109F},
                                         {0x1100, 0x11FF}, {0x1780, 0x17FF},
                                         {0x2F00, 0x2FDF}, {0x3040, 0x30FF},
                                         {0x3400, 0x4DBF}, {0x4E00, 0x9FFF},
                                         {0xA9E0, 0xA9FF}, {0xAA60, 0xAA7F},
                                         {0xAC00, 0xD7AF}, {0xF900, 0xFAFF},
                                         {0xFF65, 0xFF9F}, {0, 0}};

static const char_range hangul[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}, {0, 0}};
static const char_range bopomofo[] = {{0x3105, 0x312F}, {0, 0}};
static const char_range asian_punctuation[] = {
    {0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D}, {0x2026, 0x2026}, {0x3001, 0x303F},
    {0xFE30, 0xFE4F}, {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}, {0, 0}};

/* ------------------------------------------------------------------------------------------ rules that many share */

#define SMALL_CONTRACTION \
    { .kind = CONTRACTION }
#define ANY_CONTRACTION \
    { .kind = CONTRACTION, .any_case = true }

/* ` ?X+` */
#define SPACED(...) \
    { .kind = RUN, .prefix = ONE_OF(CHAR_SPACE), .body = __VA_ARGS__ }
/* `\s?X+` */
#define AFTER_WHITE(...) \
    { .kind = RUN, .prefix = ONE_OF(CHAR_WHITE), .body = __VA_ARGS__ }
/* `[^\r\n\p{L}\p{N}]?\p{L}+` */
#define WORD \
    { .kind = RUN, .prefix = LETTER_NEIGHBOUR, .body = ONE_OF(LETTER) }
/* `\p{N}{1,n}` */
#define NUMBER_UP_TO(n) \
    { .kind = RUN, .body = ONE_OF(NUMBER), .most = (n) }
/* ` ?[^\s\p{L}\p{N}]+[\r\n]*` */
#define SIGNS_AND_LINES \
    { .kind = RUN, .prefix = ONE_OF(CHAR_SPACE), .body = SIGN, .tail = ONE_OF(CHAR_NEWLINE) }
/* ` ?[^\s\p{L}\p{N}]+[\r\n/]*` */
#define SIGNS_LINES_SLASHES                                                                                      \
    {                                                                                                            \
        .kind = RUN, .prefix = ONE_OF(CHAR_SPACE), .body = SIGN, .tail = {.any = CHAR_NEWLINE, .ranges = slash } \
    }
/* `\s+(?!\S)` and `\s+` */
#define SPACES_BUT_ONE \
    { .kind = SPACES_BEFORE_SPACE, .body = ONE_OF(CHAR_WHITE) }
#define SPACES \
    { .kind = RUN, .body = ONE_OF(CHAR_WHITE) }
/* `\s*[\r\n]+|\s+(?!\S)|\s+` */
#define LINES_AND_SPACES {.kind = LINES}, SPACES_BUT_ONE, SPACES

/* '(?i:s|t|re|ve|m|ll|d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,n}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
#define CL100K(n) \
    ANY_CONTRACTION, WORD, NUMBER_UP_TO(n), SIGNS_AND_LINES, LINES_AND_SPACES, { .kind = RULES_END }

/* ------------------------------------------------------------------------------------------ stages */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const split_rule gpt2[] = {
    SMALL_CONTRACTION, SPACED(ONE_OF(LETTER)), SPACED(ONE_OF(NUMBER)),
    SPACED(SIGN),      SPACES_BUT_ONE,         {.kind = RULES_END},
};
static const split_rule cl100k[] = {CL100K(3)};
static const split_rule cl100k_digits[] = {CL100K(1)};
static const split_rule cl100k_numbers[] = {CL100K(0)};
static const split_rule digit[] = {NUMBER_UP_TO(1), {.kind = RULES_END}};           /* \p{N} */
static const split_rule numbers_up_to_3[] = {NUMBER_UP_TO(3), {.kind = RULES_END}}; /* \p{N}{1,3} */
static const split_rule numbers[] = {NUMBER_UP_TO(0), {.kind = RULES_END}};         /* \p{N}+ */
static const split_rule line_ends[] = {{.kind = RUN, .body = ONE_OF(CHAR_NEWLINE), .most = 1},
                                       {.kind = RULES_END}}; /* [\r\n] */

/* [\p{P}\$\+<=>\^~\|`]+ and [0-9][0-9][0-9] */
static const split_rule falcon_punctuation[] = {{.kind = RUN, .body = {.any = PUNCTUATION, .ranges = ascii_symbols}},
                                                {.kind = RULES_END}};
static const split_rule default_punctuation[] = {
    {.kind = RUN, .body = {.any = PUNCTUATION, .ranges = ascii_symbols_but_backquote}}, {.kind = RULES_END}};
static const split_rule three_digits[] = {{.kind = RUN, .body = INSIDE(ascii_digits), .least = 3, .most = 3},
                                          {.kind = RULES_END}};

/* cl100k_digits with [\p{L}\p{M}]+ for \p{L}+ and [^\s\p{L}\p{M}\p{N}]+ for [^\s\p{L}\p{N}]+ */
static const split_rule qwen35[] = {
    ANY_CONTRACTION,
    {.kind = RUN, .prefix = LETTER_NEIGHBOUR, .body = ONE_OF(LETTER | CHAR_MARK)},
    NUMBER_UP_TO(1),
    {.kind = RUN,
     .prefix = ONE_OF(CHAR_SPACE),
     .body = NONE_OF(CHAR_WHITE | LETTER | CHAR_MARK | NUMBER),
     .tail = ONE_OF(CHAR_NEWLINE)},
    LINES_AND_SPACES,
    {.kind = RULES_END},
};

/* \s?[letters]+, \s?[punctuation]+, \s+$, [asian]+ */
static const split_rule deepseek_words[] = {AFTER_WHITE(INSIDE(deepseek_letters)), {.kind = RULES_END}};
static const split_rule deepseek_signs[] = {AFTER_WHITE(INSIDE(deepseek_punctuation)), {.kind = RULES_END}};
static const split_rule spaces_at_end[] = {{.kind = RUN_TO_END, .body = ONE_OF(CHAR_WHITE)}, {.kind = RULES_END}};
static const split_rule deepseek_asian_words[] = {{.kind = RUN, .body = INSIDE(deepseek_asian)}, {.kind = RULES_END}};
/* \s?\p{L}+ and \s?\p{P}+ */
static const split_rule words_after_white[] = {AFTER_WHITE(ONE_OF(LETTER)), {.kind = RULES_END}};
static const split_rule punctuation_after_white[] = {AFTER_WHITE(ONE_OF(PUNCTUATION)), {.kind = RULES_END}};

/* [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+ */
#define MARKED_WORDS                                                                                           \
    {.kind = RUN, .needs_prefix = true, .prefix = INSIDE(ascii_punctuation), .body = INSIDE(ascii_letters)}, { \
        .kind = RUN, .prefix = NONE_OF(CHAR_NEWLINE | LETTER | PUNCTUATION | CHAR_SYMBOL),                     \
        .body = ONE_OF(LETTER | CHAR_MARK)                                                                     \
    }
static const split_rule han_and_kana_words[] = {{.kind = RUN, .body = INSIDE(han_and_kana)}, {.kind = RULES_END}};
static const split_rule deepseek_v3[] = {
    MARKED_WORDS,
    {.kind = RUN,
     .prefix = ONE_OF(CHAR_SPACE),
     .body = ONE_OF(PUNCTUATION | CHAR_SYMBOL),
     .tail = ONE_OF(CHAR_NEWLINE)},
    LINES_AND_SPACES,
    {.kind = RULES_END},
};
/* the same without [\r\n]*, and [\r\n] for \s*[\r\n]+ */
static const split_rule spark[] = {
    MARKED_WORDS,
    SPACED(ONE_OF(PUNCTUATION | CHAR_SYMBOL)),
    {.kind = RUN, .body = ONE_OF(CHAR_NEWLINE), .most = 1},
    SPACES_BUT_ONE,
    SPACES,
    {.kind = RULES_END},
};

/* [^\r\n\p{L}\p{N}]?CAPITAL*SMALL+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?CAPITAL+SMALL*(?i:...)?|\p{N}{1,n}
 * | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
#define CASED(contracted)                                                                                         \
    {                                                                                                             \
        .kind = CASED_WORD, .ends_contracted = (contracted), .prefix = LETTER_NEIGHBOUR, .body = ONE_OF(CAPITAL), \
        .lower = ONE_OF(SMALL)                                                                                    \
    }
static const split_rule o200k[] = {
    CASED(true), NUMBER_UP_TO(3), SIGNS_LINES_SLASHES, LINES_AND_SPACES, {.kind = RULES_END}};
static const split_rule o200k_digits[] = {
    CASED(true), NUMBER_UP_TO(1), SIGNS_LINES_SLASHES, LINES_AND_SPACES, {.kind = RULES_END}};
static const split_rule tekken[] = {
    CASED(false), NUMBER_UP_TO(1), SIGNS_LINES_SLASHES, LINES_AND_SPACES, {.kind = RULES_END}};

/* [\p{Han}]+, then as o200k, but words have no \p{Han}, and signs are not followed by slashes */
static const split_rule kimi[] = {
    {.kind = RUN, .body = ONE_OF(CHAR_HAN)},
    {.kind = CASED_WORD,
     .ends_contracted = true,
     .prefix = LETTER_NEIGHBOUR,
     .body = {.any = CAPITAL, .none = CHAR_HAN},
     .lower = {.any = SMALL, .none = CHAR_HAN}},
    NUMBER_UP_TO(3),
    SIGNS_AND_LINES,
    LINES_AND_SPACES,
    {.kind = RULES_END},
};

/* [가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+ */
static const split_rule youtu_asian[] = {
    {.kind = RUN, .body = INSIDE(hangul)},
    {.kind = RUN, .body = INSIDE(asian_punctuation)},
    {.kind = RUN, .body = INSIDE(bopomofo)},
    {.kind = RUN, .body = INSIDE(han_and_kana)},
    {.kind = RULES_END},
};

/* \d{1,3}(?=(?:\d{3})*\b) */
static const split_rule threes_before_boundary[] = {
    {.kind = RUN_OF_THREES, .needs_boundary = true, .body = ONE_OF(CHAR_DIGIT)}, {.kind = RULES_END}};
/* \p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})) and (?=(\d{3})+(?!\d)) */
static const split_rule threes[] = {{.kind = RUN_OF_THREES, .body = ONE_OF(NUMBER)}, {.kind = RULES_END}};
static const split_rule before_threes[] = {{.kind = BEFORE_THREES, .body = ONE_OF(CHAR_DIGIT)}, {.kind = RULES_END}};
static const split_rule afmoe_asian_words[] = {{.kind = RUN, .body = INSIDE(afmoe_asian)}, {.kind = RULES_END}};

/* ` ?[^(\s|.,!?…。，、।۔،)]+` */
static const split_rule bloom[] = {SPACED({.ranges = not_bloom_punctuation, .none = CHAR_WHITE}), {.kind = RULES_END}};

/* cl100k_digits without [\r\n]* after signs */
static const split_rule seed[] = {ANY_CONTRACTION,    WORD, NUMBER_UP_TO(1), SPACED(SIGN), LINES_AND_SPACES,
                                  {.kind = RULES_END}};
/* cl100k_digits without contractions */
static const split_rule ufakzeka[] = {WORD, NUMBER_UP_TO(1), SIGNS_AND_LINES, LINES_AND_SPACES, {.kind = RULES_END}};

/* [^\n]+|[\n]+ */
static const split_rule lines_apart[] = {
    {.kind = RUN, .body = INSIDE(not_line_feed)}, {.kind = RUN, .body = INSIDE(line_feed)}, {.kind = RULES_END}};

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?
 * |\s*[\r\n]|\s+(?!\S)|\s+ */
static const split_rule exaone_moe[] = {
    ANY_CONTRACTION,
    {.kind = PHRASE, .prefix = LETTER_NEIGHBOUR},
    NUMBER_UP_TO(1),
    {.kind = RUN,
     .prefix = ONE_OF(CHAR_SPACE),
     .body = SIGN,
     .tail = {.any = CHAR_NEWLINE, .ranges = slash},
     .most_of_tail = 1},
    LINES_AND_SPACES,
    {.kind = RULES_END},
};

/* cl100k with \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s for its last two */
#define EXACTLY(n) \
    { .kind = SPACES_BEFORE_SPACE, .body = ONE_OF(CHAR_WHITE), .least = (n), .most = (n) }
static const split_rule jais2[] = {
    ANY_CONTRACTION,
    WORD,
    NUMBER_UP_TO(3),
    SIGNS_AND_LINES,
    {.kind = LINES},
    EXACTLY(512),
    EXACTLY(256),
    EXACTLY(128),
    EXACTLY(64),
    EXACTLY(32),
    EXACTLY(16),
    EXACTLY(8),
    EXACTLY(4),
    {.kind = SPACES_BEFORE_SPACE, .body = ONE_OF(CHAR_WHITE), .most = 2},
    {.kind = RUN, .body = ONE_OF(CHAR_WHITE), .most = 1},
    {.kind = RULES_END},
};

/* ([\t\n]|    |  ), \p{N}, [\p{P}!-/:-@\[-`{-~] : the model's image tokens are special tokens, cut out before */
static const split_rule chameleon_spaces[] = {
    {.kind = RUN, .body = INSIDE(tab_or_line_feed), .most = 1},
    {.kind = RUN, .body = ONE_OF(CHAR_SPACE), .least = 4, .most = 4},
    {.kind = RUN, .body = ONE_OF(CHAR_SPACE), .least = 2, .most = 2},
    {.kind = RULES_END},
};
static const split_rule chameleon_punctuation[] = {
    {.kind = RUN, .body = {.any = PUNCTUATION, .ranges = ascii_punctuation}, .most = 1}, {.kind = RULES_END}};

/* ------------------------------------------------------------------------------------------ names */

/* Each name stands between spaces. */
static const pretokenizer table[] = {
    {" default ", {default_punctuation, gpt2, numbers, three_digits}, 0},
    {" gpt-2 a.x-4.0 exaone4 gigachat granite-docling jais jina-de jina-es jina-v2-de jina-v2-es mellum modern-bert "
     "mpt "
     "olmo phi-2 trillion ",
     {gpt2},
     0},
    {" roberta-bpe jina-v1-en jina-v2-code ", {gpt2}, PRE_ADDS_SEPARATOR},
    {" starcoder codeshell command-r exaone mellum2 minerva-7b refact smollm ", {digit, gpt2}, 0},
    {" falcon ", {falcon_punctuation, gpt2, three_digits}, 0},
    {" chameleon ", {chameleon_spaces, digit, chameleon_punctuation, gpt2}, PRE_ADDS_BOS},
    {" llama-bpe llama3 llama-v3 falcon-h1 falcon3 jina-v5-nano lfm2 midm-2.0 pixtral ",
     {cl100k},
     PRE_WHOLE_WORDS | PRE_ADDS_BOS},
    {" dbrx chatglm-bpe glm4 smaug-bpe ", {cl100k}, 0},
    {" minicpm5 ", {numbers_up_to_3, cl100k_numbers}, PRE_WHOLE_WORDS},
    {" jais-2 ", {jais2}, 0},
    {" qwen2 deepseek-r1-qwen f2llmv2 grok-2 hunyuan kormo megrez solar-open stablelm2 bailingmoe bailingmoe2 "
     "llada-moe ",
     {cl100k_digits},
     0},
    {" laguna ", {lines_apart, cl100k_digits}, 0},
    {" seed-coder ", {seed}, 0},
    {" ufakzeka ", {ufakzeka}, 0},
    {" qwen35 ", {qwen35}, 0},
    {" exaone-moe ", {exaone_moe}, 0},
    {" deepseek-llm ", {line_ends, deepseek_words, deepseek_signs, spaces_at_end, deepseek_asian_words, numbers}, 0},
    {" deepseek-coder ", {line_ends, words_after_white, punctuation_after_white, deepseek_asian_words, digit}, 0},
    {" deepseek-v3 hunyuan-dense hy_v4 joyai-llm ", {numbers_up_to_3, han_and_kana_words, deepseek_v3}, 0},
    {" spark2_5 ", {numbers_up_to_3, han_and_kana_words, spark, digit}, 0},
    {" afmoe ", {threes, afmoe_asian_words, deepseek_v3}, 0},
    {" gpt-4o kanana2 llama4 minimax-m2 talkie ", {o200k}, 0},
    {" granite-embed-multi-97m ", {o200k}, PRE_WHOLE_WORDS},
    {" tiny_aya cohere2moe ", {threes_before_boundary, o200k}, 0},
    {" youtu ", {youtu_asian, o200k_digits}, PRE_WHOLE_WORDS},
    {" tekken ", {tekken}, PRE_WHOLE_WORDS | PRE_ADDS_BOS},
    {" kimi-k2 ", {kimi}, 0},
    {" superbpe ", {numbers, before_threes}, 0},
    {" bloom gpt3-finnish poro-chat ", {bloom}, 0},
    {" viking ", {bloom, digit}, 0},
};

static bool has_name(const char *names, const char *name, size_t length) {
    if (length == 0 || memchr(name, ' ', length)) return false;
    for (const char *at = strchr(names, ' '); at[1]; at = strchr(at + 1, ' '))
        if (strncmp(at + 1, name, length) == 0 && at[1 + length] == ' ') return true;
    return false;
}

/* The names whose tokenizer.json has NFC as normalizer; docs/02-tokenizer.md has the source of each. */
static const char nfc_names[] = " command-r deepseek-r1-qwen mpt olmo qwen2 qwen35 stablelm2 ";

bool pretokenizer_wants_nfc(const char *name, size_t length) { return has_name(nfc_names, name, length); }

const pretokenizer *pretokenizer_find(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (has_name(table[i].names, name, length)) return &table[i];
    return NULL;
}
