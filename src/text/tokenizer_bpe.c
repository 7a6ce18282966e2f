/* Byte-level BPE, for tokenizer.ggml.model "gpt2" (Radford and others 2019): translates the letters in which files
 * spell bytes, puts a text into Unicode's NFC if the model wants it, and merges its words one by one. Before it:
 * tokenizer.c, which takes special tokens out of the text, and pretokenizer.c, which cuts it into words. After it:
 * merger.c.
 *
 * The letters are those of GPT-2's encoder.py. A byte that is a printable character of Latin-1 is spelled as that
 * character; the other 68 bytes, in order, are the characters from U+0100 on (so a space is U+0120, a line feed
 * U+010A). */
#include "base/error.h"
#include "base/utf8.h"
#include "text/merger.h"
#include "text/unicode_normalize.h"

#include <stdlib.h>
#include <string.h>

static bool is_printable(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/* The byte that a letter below U+0200 stands for, or -1. */
static int byte_of_letter(unsigned letter) {
    if (letter < 0x100) return is_printable(letter) ? (int)letter : -1;
    unsigned place = letter - 0x100; /* index among the bytes that are not printable: 0..20, 7F..A0, AD */
    if (place <= 0x20) return (int)place;
    if (place <= 0x42) return (int)(place - 0x21 + 0x7F);
    return place == 0x43 ? 0xAD : -1;
}

bool unescape_letters(const char *from, size_t length, char *to, size_t *written) {
    *written = 0;
    for (size_t at = 0; at < length;) {
        size_t n = utf8_length(from + at, length - at);
        int byte = n == 1 || n == 2 ? byte_of_letter(utf8_decode(from + at, n)) : -1;
        if (byte < 0) {
            memcpy(to, from, length);
            *written = length;
            return false;
        }
        to[(*written)++] = (char)byte;
        at += n;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------ words */

typedef struct word_encoder {
    merger merger;
    token_list *out;
    cllm_error *err;
} word_encoder;

static cllm_status encode_word(void *user, const char *word, size_t length) {
    word_encoder *e = user;
    const cllm_tokenizer *t = e->merger.tokenizer;
    int32_t whole = t->pre->flags & PRE_WHOLE_WORDS ? vocabulary_find(t, word, length) : -1;
    if (whole < 0) return merger_encode(&e->merger, word, (uint32_t)length, e->out, e->err);
    return token_list_add(e->out, whole, e->err);
}

cllm_status bpe_encode(const cllm_tokenizer *t, const char *text, size_t length, token_list *out, cllm_error *err) {
    char *composed = NULL;
    size_t composed_length;
    if (t->wants_nfc && !unicode_compose(text, length, &composed, &composed_length))
        return error_set(err, CLLM_ERR_MEMORY, "not enough memory to compose a text of %zu bytes", length);
    if (composed) text = composed, length = composed_length;
    word_encoder e = {{.tokenizer = t}, out, err};
    cllm_status status = pretokenizer_split(t->pre, text, length, encode_word, &e);
    merger_free(&e.merger);
    free(composed);
    return status;
}
