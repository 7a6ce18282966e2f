/* UTF-8 as RFC 3629 has it, piece by piece. A token may be a single byte of a character, and a terminal or a JSON
 * reader wants whole ones. */
#include "text_stream.h"

#include <stdlib.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

size_t utf8_begins(const char *bytes, size_t length) {
    const unsigned char *b = (const unsigned char *)bytes;
    size_t whole = b[0] < 0x80 ? 1 : b[0] < 0xC2 ? 0 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : b[0] < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < whole && i < length; i++) {
        unsigned low = 0x80, high = 0xBF;
        if (i == 1) { /* keeps out overlong forms, surrogates, and what is above U+10FFFF */
            if (b[0] == 0xE0) low = 0xA0;
            if (b[0] == 0xED) high = 0x9F;
            if (b[0] == 0xF0) low = 0x90;
            if (b[0] == 0xF4) high = 0x8F;
        }
        if (b[i] < low || b[i] > high) return 0;
    }
    return whole;
}

void text_stream_write(text_stream *stream, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        stream->held[stream->n_held++] = bytes[i];
        size_t whole = utf8_begins(stream->held, stream->n_held);
        if (whole == stream->n_held) {
            fwrite(stream->held, 1, whole, stream->out);
            stream->n_held = 0;
        } else if (whole == 0) {
            fputs(REPLACEMENT, stream->out);
            if (stream->n_held > 1) i--; /* what was held is spoilt, but this byte may begin a new character */
            stream->n_held = 0;
        }
    }
}

void text_stream_end(text_stream *stream) {
    if (stream->n_held > 0) fputs(REPLACEMENT, stream->out);
    stream->n_held = 0;
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

void print_escaped(FILE *out, const char *bytes, size_t length, size_t most) {
    for (size_t i = 0; i < length;) {
        if (i >= most) {
            fputs("...", out);
            return;
        }
        size_t whole = utf8_begins(bytes + i, length - i);
        unsigned char first = (unsigned char)bytes[i];
        if (first == '\n')
            fputs("\\n", out);
        else if (first == '\t')
            fputs("\\t", out);
        else if (first == '\\')
            fputs("\\\\", out);
        else if (whole == 0 || whole > length - i || first < 0x20 || first == 0x7F)
            fprintf(out, "\\x%02X", first), whole = 1;
        else
            fwrite(bytes + i, 1, whole, out);
        i += whole;
    }
}
