/* Text and JSON into a buffer. What finds no memory is left out: the answer is then cut, never wrong. */
#ifndef SERVER_WRITE_H
#define SERVER_WRITE_H

#include "json_output.h"
#include "text_stream.h"

void write_text(text_buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void write_json(text_buffer *out, json_t *value); /* compact; takes the value */

/* An event of a stream: "event: NAME" (NULL: none) and "data: JSON". Takes the value. */
void write_event(text_buffer *out, const char *name, json_t *value);

/* A number with the nine digits that a float has. What jansson refuses is null: a number that is not finite. */
json_t *json_number(double value);
json_t *json_float(float value); /* as few digits as tell it from its neighbours: 0.8 */

/* JSON as Python spells it, with numbers as short as they were written: owned, released with free; NULL: no memory. */
char *json_spelled(const json_t *value);

#endif
