/* Reads lines that a person types. With libedit it offers history, editing and completion; without it, or without a
 * terminal, plain lines. */
#ifndef LINE_INPUT_H
#define LINE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct line_input line_input;

typedef enum line_result { LINE_READ, LINE_INTERRUPTED, LINE_ENDED } line_result;

/* completions: names that the tab key completes at the beginning of a line, ended by NULL; or NULL. Returns NULL if
 * memory runs out, or libedit cannot use the terminal. */
line_input *line_input_create(const char *const *completions);
void line_input_destroy(line_input *in);

/* Read a line, without its newline; newlines in it were pasted. begun: text that the line starts with, which the user
 * edits, or NULL; plain lines start empty. line: out, valid until the next call. INTERRUPTED: Ctrl-C; then `length`
 * says whether there was a text on the line, which is gone. ENDED: Ctrl-D on an empty line, the end of the input, or a
 * signal to end. */
line_result line_input_read(line_input *in, const char *prompt, const char *begun, const char **line, size_t *length);

/* Add a line to the history, if there is one. */
void line_input_remember(line_input *in, const char *line);

#endif
