/* What the fuzz targets of tokenizers share: input taken byte by byte, a GGUF file written of it, and the check. */
#ifndef FUZZ_VOCABULARY_FILE_H
#define FUZZ_VOCABULARY_FILE_H

#include "gguf/gguf.h"
#include "text/tokenizer.h"
#include "text/unicode_normalize.h"

#include <stdlib.h>
#include <string.h>

/* The rest of the input, taken from the front; zeros when it is used up. */
typedef struct input {
    const uint8_t *bytes;
    size_t size;
} input;

static uint8_t take(input *in) {
    if (in->size == 0) return 0;
    in->size--;
    return *in->bytes++;
}

/* ------------------------------------------------------------------------------------------- writing GGUF */

enum { TYPE_UINT32 = 4, TYPE_INT32 = 5, TYPE_FLOAT32 = 6, TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9 };

static unsigned char file[1 << 16];
static size_t file_size;
static unsigned char n_keys;

static void put(const void *bytes, size_t n) {
    if (n > sizeof file - file_size) abort(); /* the counts of put_vocabulary are too small to fill the file */
    memcpy(file + file_size, bytes, n);
    file_size += n;
}

static void put_number(uint64_t value, unsigned n_bytes) {
    for (unsigned i = 0; i < n_bytes; i++) put(&(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static void put_string(const char *bytes, size_t length) {
    put_number(length, 8);
    put(bytes, length);
}

static void put_key(const char *key, unsigned type) {
    put_string(key, strlen(key));
    put_number(type, 4);
    n_keys++;
}

static void put_array(const char *key, unsigned element_type, size_t count) {
    put_key(key, TYPE_ARRAY);
    put_number(element_type, 4);
    put_number(count, 8);
}

/* <0x00> to <0xFF> */
static inline void put_byte_spellings(void) {
    static const char digits[] = "0123456789ABCDEF";
    for (unsigned byte = 0; byte < 256; byte++)
        put_string((char[]){'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'}, 6);
}

static inline void put_score(float score) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    put_number(bits, 4);
}

static void begin_file(const char *model) {
    file_size = 0;
    n_keys = 0;
    put("GGUF", 4);
    put_number(3, 4);
    put_number(0, 8);
    put_number(0, 8); /* overwritten by end_file */
    put_key("tokenizer.ggml.model", TYPE_STRING);
    put_string(model, strlen(model));
}

static void end_file(void) { file[16] = n_keys; }

static inline void put_flag(const char *key, bool value) {
    put_key(key, TYPE_BOOL);
    put_number(value, 1);
}

static void take_string(input *in) {
    char bytes[16];
    size_t length = take(in) % sizeof bytes;
    for (size_t i = 0; i < length; i++) bytes[i] = (char)take(in);
    put_string(bytes, length);
}

/* ------------------------------------------------------------------------------------------- the check */

/* Replaces each U+2581 by a space: SentencePiece cannot tell these two apart. */
static size_t without_u2581(const cllm_tokenizer *t, char *text, size_t length) {
    return t->pre ? length : unescape_spaces(text, length, text);
}

/* Replaces a text (from malloc) by its NFC. Composing it once more must change nothing. */
static void compose(char **text, size_t *length) {
    for (int time = 0; time < 2; time++) {
        char *composed;
        size_t composed_length;
        if (!unicode_compose(*text, *length, &composed, &composed_length)) abort();
        if (!composed) return;
        if (time > 0 && (composed_length != *length || memcmp(composed, *text, *length) != 0)) abort();
        free(*text);
        *text = composed;
        *length = composed_length;
    }
}

/* Can white space beside special tokens get lost? */
static bool strips(const cllm_tokenizer *t) {
    for (uint32_t i = 0; i < t->specials_from[256]; i++)
        if (t->specials[i].strips_left || t->specials[i].strips_right) return true;
    return false;
}

static void check_round_trip(const cllm_tokenizer *t, input text, int flags) {
    int32_t *ids;
    size_t count;
    cllm_error err;
    cllm_status status = cllm_tokenizer_encode(t, (const char *)text.bytes, text.size, flags, &ids, &count, &err);
    if (status == CLLM_ERR_UNSUPPORTED && t->unknown < 0) return;
    if (status != CLLM_OK) abort();

    size_t capacity = 1, size = 0;
    /* Some kinds of vocabulary change texts. The others change them only if a character became the unknown token, or if
     * BOS was put in front. */
    bool exact = !strips(t) && (t->kind == KIND_SPM || t->kind == KIND_BPE || t->kind == KIND_RWKV);
    for (size_t i = 0; i < count; i++) {
        capacity += cllm_tokenizer_decode(t, -1, ids[i]).length + 1;
        exact = exact && ids[i] != t->unknown && !(flags & CLLM_ENCODE_ADD_SPECIAL);
    }
    char *back = malloc(capacity), *want = malloc(text.size + 1);
    if (!back || !want) abort();
    for (size_t i = 0; i < count; i++) {
        cllm_string bytes = cllm_tokenizer_decode(t, i ? ids[i - 1] : -1, ids[i]);
        memcpy(back + size, bytes.data, bytes.length);
        size += bytes.length;
    }
    if (text.size) memcpy(want, text.bytes, text.size);
    size_t want_size = without_u2581(t, want, text.size);
    size = without_u2581(t, back, size);
    if (t->wants_nfc) { /* encoding composed pieces of the text; composed as a whole, both texts must be the same */
        compose(&want, &want_size);
        compose(&back, &size);
    }
    if (exact && (size != want_size || memcmp(back, want, size) != 0)) abort();
    free(back);
    free(want);
    cllm_free(ids);
}

/* The two halves of a text, encoded as a pair. */
static void try_pair(const cllm_tokenizer *t, input text) {
    const cllm_string first = {(const char *)text.bytes, text.size / 2};
    const cllm_string second = {(const char *)text.bytes + first.length, text.size - first.length};
    int32_t *ids;
    size_t count;
    cllm_error err;
    const cllm_status status = cllm_tokenizer_encode_pair(t, first, second, &ids, &count, &err);
    if (status != CLLM_OK && !(status == CLLM_ERR_UNSUPPORTED && t->unknown < 0)) abort();
    cllm_free(ids);
}

/* Makes a tokenizer from the file that was written, and encodes the rest of the input. must_load: abort if the file
 * does not load. */
static void try_file(input text, int flags, bool must_load) {
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer;
    cllm_error err;
    end_file();
    if (gguf_open_memory(file, file_size, &gguf, &err) != CLLM_OK) abort();
    if (cllm_tokenizer_create(gguf, &tokenizer, &err) == CLLM_OK) {
        check_round_trip(tokenizer, text, flags);
        try_pair(tokenizer, text);
    } else if (must_load) {
        abort();
    }
    cllm_tokenizer_destroy(tokenizer);
    cllm_gguf_close(gguf);
}

#endif
