/* Appends text and JSON to a buffer, for the forms in which the APIs answer. If memory runs out, a part is left out: an
 * answer may be cut, but is never wrong. */
#ifndef SERVER_WRITE_H
#define SERVER_WRITE_H

#include "json_output.h"
#include "text_stream.h"

void write_text(text_buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void write_json(text_buffer *out, json_t *value); /* compact; takes the value */

/* An event of a stream: "event: NAME" (NULL: none) and "data: JSON". Takes the value. */
void write_event(text_buffer *out, const char *name, json_t *value);

/* A number with the nine digits that a float has; null if it is not finite, because JSON cannot write it. */
json_t *json_number(double value);
json_t *json_vector(const float *values, size_t count); /* a list of such numbers */
json_t *json_float(float value);                        /* with as few digits as identify the float: 0.8 */

/* JSON as Python writes it, with numbers as short as the client wrote them: released with free; NULL: no memory. */
char *json_spelled(const json_t *value);

#endif
