/* Lines that a person types: by libedit, with history, editing and completion; without it, or without a terminal, plain lines. */
#ifndef LINE_INPUT_H
#define LINE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct line_input line_input;

typedef enum line_result { LINE_READ, LINE_INTERRUPTED, LINE_ENDED } line_result;

/* completions: names that a tab completes at a line's beginning, up to a NULL; or NULL. NULL: no memory. */
line_input *line_input_create(const char *const *completions);
void line_input_destroy(line_input *in);

/* Read a line, without its newline; newlines within it were pasted. begun: what stands there already, to be edited, or NULL. line: out, until
 * the next call. INTERRUPTED: Ctrl-C. ENDED: Ctrl-D on an empty line, the end of the input, a signal to end. */
line_result line_input_read(line_input *in, const char *prompt, const char *begun, const char **line, size_t *length);

/* Keep a line, so that the arrow keys find it. */
void line_input_remember(line_input *in, const char *line);

#endif
