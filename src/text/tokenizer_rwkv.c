/* RWKV, for tokenizer.ggml.model "rwkv": translates the spellings of tokens in files, and cuts a text into tokens.
 * Before it: tokenizer.c, which takes special tokens out of the text. After it: ids.
 *
 * At the beginning of the text, and then after each token, the longest token that matches is taken (RWKV's World
 * tokenizer, Peng et al. 2024). Tokens are made of bytes, and may have only a part of a character. Files spell them as
 * Python prints bytes. */
#include "base/error.h"
#include "text/sorted_texts.h"

#include <string.h>

/* The value of a hexadecimal digit, or -1. */
static int hexadecimal_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Translate the escape that begins with the backslash at from[0]. Returns its length, or 0 if it is not a known
 * escape. */
static size_t escaped_byte(const char *from, size_t length, char *byte) {
    static const char letters[] = "tnr\\'\"", bytes[] = "\t\n\r\\'\"";
    if (length < 2) return 0;
    const char *letter = memchr(letters, from[1], sizeof letters - 1);
    if (letter) *byte = bytes[letter - letters];
    if (letter || from[1] != 'x' || length < 4) return letter ? 2 : 0;
    const int high = hexadecimal_digit(from[2]), low = hexadecimal_digit(from[3]);
    *byte = (char)(unsigned char)(high * 16 + low);
    return high >= 0 && low >= 0 ? 4 : 0;
}

bool unescape_bytes(const char *from, size_t length, char *to, size_t *written) {
    size_t n_written = 0;
    for (size_t at = 0, n; at < length; at += n) {
        to[n_written] = from[at];
        n = from[at] == '\\' ? escaped_byte(from + at, length - at, to + n_written) : 1;
        if (n == 0) {
            memcpy(to, from, length);
            *written = length;
            return false;
        }
        n_written++;
    }
    *written = n_written;
    return true;
}

/* The longest token that a text of 1 byte or more begins with, or NULL. */
static const sorted_text *longest_at(const cllm_tokenizer *t, const unsigned char *text, size_t length) {
    const sorted_text *longest = NULL;
    uint32_t low = t->sorted_from[text[0]], high = t->sorted_from[text[0] + 1];
    for (uint32_t depth = 1; low < high; depth++) {
        if (t->sorted[low].length == depth) longest = &t->sorted[low++];
        if (depth == length) break;
        low = sorted_from_byte(t, low, high, depth, text[depth]);
        high = sorted_from_byte(t, low, high, depth, text[depth] + 1u);
    }
    return longest;
}

cllm_status rwkv_encode(const cllm_tokenizer *t, const char *text, size_t length, token_list *out, cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (size_t at = 0, n; at < length && status == CLLM_OK; at += n) {
        const sorted_text *token = longest_at(t, (const unsigned char *)text + at, length - at);
        n = token ? token->length : 1;
        if (!token && t->unknown < 0)
            return error_set(err, CLLM_ERR_UNSUPPORTED,
                             "the text has the byte 0x%02X, which the vocabulary cannot express, and there is no "
                             "unknown token",
                             (unsigned)(unsigned char)text[at]);
        status = token_list_add(out, token ? (int32_t)token->id : t->unknown, err);
    }
    return status;
}
