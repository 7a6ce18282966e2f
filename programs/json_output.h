/* JSON on stdout and in logs, by way of jansson. A part that finds no memory is NULL, and so becomes what contains it: a document is
 * built without checks, and print_json says if it is whole. */
#ifndef JSON_OUTPUT_H
#define JSON_OUTPUT_H

#include <jansson.h>

/* A string of any bytes; what is not UTF-8 becomes U+FFFD. */
json_t *json_text(const char *bytes, size_t length);

/* Add a part, which is owned from then on, to *object under a key, or to the end of *array. */
void json_put(json_t **object, const char *key, json_t *part);
void json_add(json_t **array, json_t *part);

/* Print the document and release it. Returns an exit status, after saying why. */
int print_json(json_t *document);

/* A line of a log on stderr, which is released; nothing if there was no memory for it. */
void log_json(json_t *line);

#endif
