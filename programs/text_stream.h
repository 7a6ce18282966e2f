/* Text for output: any bytes in, whole UTF-8 characters out. */
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The length of the UTF-8 character that begins with `bytes`: 1..4, or 0 if no character begins like this. `length` (1
 * or more) may be less than the result: then the rest has not come yet. */
size_t utf8_begins(const char *bytes, size_t length);

/* An incomplete character is held back. Bytes that can no longer become a character come out as U+FFFD, one for each
 * longest valid beginning, as the Unicode standard recommends. */
typedef struct text_stream {
    FILE *out;
    bool safe;    /* drop control characters except tab and newline, because they would control a terminal */
    char held[4]; /* the beginning of a character */
    size_t n_held;
} text_stream;

void text_stream_write(text_stream *stream, const char *bytes, size_t length);
void text_stream_end(text_stream *stream); /* nothing more comes: write what is held back */

/* A text that grows. */
typedef struct text_buffer {
    char *bytes; /* [length], or NULL: owned, release with free */
    size_t length, capacity;
} text_buffer;

bool text_buffer_add(text_buffer *t, const char *bytes, size_t length); /* false: no memory */
void text_buffer_end(text_buffer *t);                                   /* remove an incomplete character at the end */

/* The bytes as valid UTF-8: owned, release with free; NULL if memory runs out. */
char *text_repaired(const char *bytes, size_t length, size_t *repaired_length);

/* The code point of a complete, valid UTF-8 character of `length` bytes. */
uint32_t utf8_decode(const char *bytes, size_t length);

/* True if the text ends with `end`, in any letter case, and has more before it. */
bool text_ends_with(const char *text, const char *end);

/* Print bytes in one line, without anything that controls a terminal (see cllm_safe_length): \n, \t, \\, \uNNNN for a
 * character of several bytes, such as \u202E, and \xNN for other controls and bytes that are not UTF-8. After about
 * `most` bytes "..." follows. Texts from files are printed with this function; generated text is not. */
void print_escaped(FILE *out, const char *bytes, size_t length, size_t most);

/* Print a message and a newline, with the same escapes except for backslashes, because parts of it may be escaped
 * already. */
void print_line(FILE *out, const char *text);

#endif
