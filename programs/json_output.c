/* JSON on stdout. jansson takes only valid UTF-8, and a GGUF file may hold any bytes. */
#include "json_output.h"

#include "program.h"
#include "text_stream.h"

#include <stdlib.h>

json_t *json_text(const char *bytes, size_t length) {
    size_t repaired_length = 0;
    char *repaired = text_repaired(bytes, length, &repaired_length);
    json_t *text = repaired ? json_stringn(repaired, repaired_length) : NULL;
    free(repaired);
    return text;
}

static void drop(json_t **broken) {
    json_decref(*broken);
    *broken = NULL;
}

void json_put(json_t **object, const char *key, json_t *part) {
    if (json_object_set_new(*object, key, part) != 0) drop(object);
}

void json_add(json_t **array, json_t *part) {
    if (json_array_append_new(*array, part) != 0) drop(array);
}

int print_json(json_t *document) {
    if (!document) return fail("no memory for the JSON document");
    /* nine digits are enough for any float */
    json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(document);
    return EXIT_SUCCESS;
}
