/* JSON on stdout and in logs, with jansson. If memory runs out, a part is NULL, and so is everything that contains it.
 * So a document is built without checks, and print_json reports the failure. */
#ifndef JSON_OUTPUT_H
#define JSON_OUTPUT_H

#include <jansson.h>

/* A string of any bytes; what is not UTF-8 becomes U+FFFD. */
json_t *json_text(const char *bytes, size_t length);

/* Add a part to *object under a key, or to the end of *array. part: owned from now on. */
void json_put(json_t **object, const char *key, json_t *part);
void json_add(json_t **array, json_t *part);

/* Print the document and release it. Returns an exit status, after saying why. */
int print_json(json_t *document);

/* Print a line of a log on stderr and release it. Prints nothing if it is NULL. */
void log_json(json_t *line);

#endif
