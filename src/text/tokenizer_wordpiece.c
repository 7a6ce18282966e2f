/* WordPiece, for tokenizer.ggml.model "bert": normalises a text (most models ignore case and accents), and cuts it into
 * words, and words into tokens. Before it: tokenizer.c, which takes special tokens out of the text. After it: ids.
 *
 * A word becomes the longest token that it begins with, then the longest one that follows, and so on. If that does not
 * reach its end, the whole word is unknown (Wu et al. 2016; BERT, Devlin et al. 2018). The text of a token that begins
 * a word has a space in front. */
#include "base/error.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/unicode_normalize.h"

enum { LONGEST_WORD = 100 /* characters; longer words are unknown */ };

typedef struct word_reader {
    const cllm_tokenizer *tokenizer;
    token_list *out;
    char word[1 + 4 * LONGEST_WORD]; /* a space, and then its characters */
    size_t length, n_characters;
} word_reader;

/* The longest token at an offset in the word, in bytes; 0: none. */
static size_t longest_piece(const word_reader *r, size_t begin, int32_t *id) {
    const size_t left = r->length - begin, most = r->tokenizer->longest_text;
    for (size_t n = left < most ? left : most; n > 0; n--) {
        if (begin + n < r->length && ((unsigned char)r->word[begin + n] & 0xC0) == 0x80) continue;
        *id = vocabulary_find(r->tokenizer, r->word + begin, n);
        if (*id >= 0) return n;
    }
    return 0;
}

static cllm_status end_word(word_reader *r, cllm_error *err) {
    const size_t before = r->out->count;
    bool is_known = r->n_characters <= LONGEST_WORD;
    cllm_status status = CLLM_OK;
    int32_t id;
    for (size_t at = 0, n; r->n_characters > 0 && is_known && at < r->length && status == CLLM_OK; at += n) {
        n = longest_piece(r, at, &id);
        is_known = n > 0;
        if (is_known) status = token_list_add(r->out, id, err);
    }
    if (status == CLLM_OK && !is_known) {
        r->out->count = before;
        if (r->tokenizer->unknown < 0)
            return error_set(err, CLLM_ERR_UNSUPPORTED,
                             "the text has a word that the vocabulary cannot express, and there is no unknown token");
        status = token_list_add(r->out, r->tokenizer->unknown, err);
    }
    r->length = 1;
    r->n_characters = 0;
    return status;
}

static void add_to_word(word_reader *r, uint32_t code_point) {
    if (++r->n_characters <= LONGEST_WORD) r->length += utf8_encode(code_point, r->word + r->length);
}

/* Chinese is written without spaces, so each of these characters is a word. */
static bool is_word_alone(uint32_t c) {
    static const uint32_t ranges[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                         {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                         {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

static bool is_punctuation(uint32_t c, uint32_t classes) {
    const bool is_ascii_mark = c < 0x7F && (classes & CHAR_SYMBOL);
    return is_ascii_mark || (classes & (CHAR_PUNCTUATION | CHAR_CONNECTOR));
}

/* Add a character to the word, as the model wants it: most models ignore case and accents. alone: the character is a
 * word of its own, as punctuation always is. */
static cllm_status take_character(word_reader *r, uint32_t code_point, bool alone, cllm_error *err) {
    const cllm_tokenizer *t = r->tokenizer;
    uint32_t parts[UNICODE_MOST_PARTS] = {code_point};
    const size_t n_parts = t->keeps_accents ? 1 : unicode_decompose(code_point, parts);
    cllm_status status = alone ? end_word(r, err) : CLLM_OK;
    for (size_t i = 0; i < n_parts && status == CLLM_OK; i++) {
        const uint32_t classes = unicode_classes(parts[i]);
        if (classes & CHAR_NONSPACING && !t->keeps_accents) continue;
        const bool ends = is_punctuation(parts[i], classes);
        if (ends) status = end_word(r, err);
        if (status == CLLM_OK) add_to_word(r, t->keeps_capitals ? parts[i] : unicode_lower(parts[i]));
        if (ends && status == CLLM_OK) status = end_word(r, err);
    }
    return alone && status == CLLM_OK ? end_word(r, err) : status;
}

cllm_status wordpiece_encode(const cllm_tokenizer *t, const char *text, size_t length, token_list *out,
                             cllm_error *err) {
    word_reader r = {.tokenizer = t, .out = out, .word = " ", .length = 1};
    cllm_status status = CLLM_OK;
    for (size_t at = 0, n; at < length && status == CLLM_OK; at += n) {
        n = utf8_length(text + at, length - at);
        if (n == 0) { /* not a character */
            n = 1;
            continue;
        }
        const uint32_t c = utf8_decode(text + at, n), classes = unicode_classes(c);
        const bool is_blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
        if (!is_blank && (c == 0xFFFD || (classes & CHAR_OTHER && (!(classes & CHAR_WHITE) || c < 0xA0)))) continue;
        status = classes & CHAR_WHITE ? end_word(&r, err) : take_character(&r, c, is_word_alone(c), err);
    }
    return status == CLLM_OK ? end_word(&r, err) : status;
}
