/* Text on its way out: bytes of any value in, whole UTF-8 characters out. */
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How long the UTF-8 character is that `bytes` begin: 1..4, or 0 if no character begins so. `length` (1 or more) may be
 * less than the answer: the rest is still to come. */
size_t utf8_begins(const char *bytes, size_t length);

/* A character that is not complete is held back. Bytes that can no longer become one come out as U+FFFD, one for each
 * longest beginning of a character, as the Unicode standard recommends. */
typedef struct text_stream {
    FILE *out;
    bool safe;    /* leave out control characters but tab and newline: a terminal would obey them */
    char held[4]; /* the beginning of a character */
    size_t n_held;
} text_stream;

void text_stream_write(text_stream *stream, const char *bytes, size_t length);
void text_stream_end(text_stream *stream); /* nothing more comes */

/* A text that grows. */
typedef struct text_buffer {
    char *bytes; /* [length], or NULL: owned, release with free */
    size_t length, capacity;
} text_buffer;

bool text_buffer_add(text_buffer *t, const char *bytes, size_t length); /* false: no memory */
void text_buffer_end(text_buffer *t); /* take away a last character that is not complete */

/* The bytes as valid UTF-8: owned, release with free; NULL if memory is out. */
char *text_repaired(const char *bytes, size_t length, size_t *repaired_length);

/* Of a whole, valid UTF-8 character of `length` bytes. */
uint32_t utf8_decode(const char *bytes, size_t length);

/* Print bytes so that one line shows them all, and a terminal obeys none (see cllm_safe_length): \n, \t, \\, \u202E for a
 * character, and \xNN for other controls and what is not UTF-8. At most about `most` bytes are taken, then "..." follows.
 * Whatever a file says is printed by this; a text that is generated is not. */
void print_escaped(FILE *out, const char *bytes, size_t length, size_t most);

/* A message and its newline, escaped likewise; but for its backslashes, since parts of it may be escaped already. */
void print_line(FILE *out, const char *text);

#endif
