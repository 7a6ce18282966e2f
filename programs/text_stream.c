/* Splits bytes into UTF-8 characters (RFC 3629), piece by piece. A token may be a single byte of a character, but a
 * terminal or a JSON reader needs whole characters. */
#include "text_stream.h"

#include "cllm.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

size_t utf8_begins(const char *bytes, size_t length) {
    const unsigned char *b = (const unsigned char *)bytes;
    size_t whole = b[0] < 0x80 ? 1 : b[0] < 0xC2 ? 0 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : b[0] < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < whole && i < length; i++) {
        unsigned low = 0x80, high = 0xBF;
        if (i == 1) { /* rejects overlong forms, surrogates, and values above U+10FFFF */
            if (b[0] == 0xE0) low = 0xA0;
            if (b[0] == 0xED) high = 0x9F;
            if (b[0] == 0xF0) low = 0x90;
            if (b[0] == 0xF4) high = 0x8F;
        }
        if (b[i] < low || b[i] > high) return 0;
    }
    return whole;
}

/* C0, DEL and C1. */
static bool is_control(const char *character, size_t length) {
    const unsigned char first = (unsigned char)character[0], second = (unsigned char)character[1];
    if (length == 1) return (first < ' ' && first != '\n' && first != '\t') || first == 0x7F;
    return length == 2 && first == 0xC2 && second < 0xA0;
}

void text_stream_write(text_stream *stream, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        stream->held[stream->n_held++] = bytes[i];
        size_t whole = utf8_begins(stream->held, stream->n_held);
        if (whole == stream->n_held) {
            if (!stream->safe || !is_control(stream->held, whole)) fwrite(stream->held, 1, whole, stream->out);
            stream->n_held = 0;
        } else if (whole == 0) {
            fputs(REPLACEMENT, stream->out);
            if (stream->n_held > 1) i--; /* the bytes held are invalid, but this byte may begin a new character */
            stream->n_held = 0;
        }
    }
}

void text_stream_end(text_stream *stream) {
    if (stream->n_held > 0) fputs(REPLACEMENT, stream->out);
    stream->n_held = 0;
}

bool text_buffer_add(text_buffer *t, const char *bytes, size_t length) {
    if (length == 0) return true;
    if (length > t->capacity - t->length) {
        const size_t capacity = 2 * (t->length + length);
        char *larger = realloc(t->bytes, capacity);
        if (!larger) return false;
        t->bytes = larger;
        t->capacity = capacity;
    }
    memcpy(t->bytes + t->length, bytes, length);
    t->length += length;
    return true;
}

void text_buffer_end(text_buffer *t) {
    for (size_t n = 1; n < 4 && n <= t->length; n++) {
        if (utf8_begins(t->bytes + t->length - n, n) <= n) continue;
        t->length -= n;
        return;
    }
}

char *text_repaired(const char *bytes, size_t length, size_t *repaired_length) {
    char *repaired = NULL;
    text_stream stream = {.out = open_memstream(&repaired, repaired_length)};
    if (!stream.out) return NULL;
    text_stream_write(&stream, bytes, length);
    text_stream_end(&stream);
    if (fclose(stream.out) == 0) return repaired;
    free(repaired);
    return NULL;
}

uint32_t utf8_decode(const char *bytes, size_t length) {
    uint32_t character = (unsigned char)bytes[0] & (length == 1 ? 0x7Fu : 0xFFu >> (length + 1));
    for (size_t i = 1; i < length; i++) character = character << 6 | ((unsigned char)bytes[i] & 0x3Fu);
    return character;
}

/* Print an escape for a character that would control a terminal. Returns how many bytes it replaces. */
static size_t print_unsafe(FILE *out, const char *bytes, size_t length) {
    const size_t whole = utf8_begins(bytes, length);
    if (*bytes == '\n')
        fputs("\\n", out);
    else if (*bytes == '\t')
        fputs("\\t", out);
    else if (whole < 2 || whole > length)
        fprintf(out, "\\x%02X", (unsigned char)*bytes);
    else
        fprintf(out, "\\u%04X", (unsigned)utf8_decode(bytes, whole));
    return whole > 1 && whole <= length ? whole : 1;
}

bool text_ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), n = strlen(end);
    return length > n && strcasecmp(text + length - n, end) == 0;
}

void print_escaped(FILE *out, const char *bytes, size_t length, size_t most) {
    for (size_t i = 0; i < length;) {
        if (i >= most) {
            fputs("...", out);
            return;
        }
        const size_t safe = cllm_safe_length(bytes + i, length - i);
        if (bytes[i] == '\\') putc('\\', out);
        if (safe) fwrite(bytes + i, 1, safe, out);
        i += safe ? safe : print_unsafe(out, bytes + i, length - i);
    }
}

void print_line(FILE *out, const char *text) {
    for (size_t left = strlen(text), taken; left > 0; text += taken, left -= taken) {
        taken = cllm_safe_length(text, left);
        if (taken)
            fwrite(text, 1, taken, out);
        else
            taken = print_unsafe(out, text, left);
    }
    putc('\n', out);
}
