/* JSON on stdout and in logs. jansson accepts only valid UTF-8, but a GGUF file may contain any bytes. */
#include "json_output.h"

#include "program.h"
#include "text_stream.h"

#include <stdlib.h>
#include <string.h>

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

/* JSON may contain any characters except C0 controls, but some of the others would control a terminal: escape them. */
static void print_safe(const char *text) {
    const char *end = text + strlen(text);
    while (text < end) {
        const char *unsafe = text;
        for (size_t n = 1; unsafe < end && n > 0; unsafe += n)
            n = *unsafe == '\n' ? 1 : cllm_safe_length(unsafe, (size_t)(end - unsafe));
        fwrite(text, 1, (size_t)(unsafe - text), stdout);
        if (unsafe == end) return;
        const size_t length = utf8_begins(unsafe, (size_t)(end - unsafe));
        printf("\\u%04X", (unsigned)utf8_decode(unsafe, length));
        text = unsafe + length;
    }
}

int print_json(json_t *document) {
    /* nine digits are enough for any float */
    char *text = document ? json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(document);
    if (!text) return fail("out of memory");
    print_safe(text);
    putchar('\n');
    free(text);
    return EXIT_SUCCESS;
}

void log_json(json_t *line) {
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text) fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(line);
}
