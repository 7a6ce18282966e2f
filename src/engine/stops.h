/* Stop strings, found while a text grows. Bytes at its end are held back while they may be the beginning of a stop
 * string. Each string is searched for with the automaton of Knuth, Morris and Pratt (1977), so the average time for a
 * byte does not depend on their lengths. Before this: generation.c, which passes each byte that it decodes. */
#ifndef ENGINE_STOPS_H
#define ENGINE_STOPS_H

#include "base/arena.h"
#include "cllm.h"

typedef struct stop_string {
    char *bytes; /* [length] */
    size_t length;
    size_t *borders; /* [length] for each prefix: the length of its longest proper suffix that is also a prefix */
    size_t matched;  /* how many bytes of it the text ends with */
} stop_string;

typedef struct stops {
    stop_string *strings; /* [count] */
    size_t count;
} stops;

/* Errors: ARGUMENT (one is empty), MEMORY. */
cllm_status stops_create(const cllm_string *strings, size_t count, arena *a, stops *out, cllm_error *err);

/* Add a byte to the text. Returns the longest stop string that the text now ends with, or NULL. */
const stop_string *stops_take(stops *s, char byte);

/* How many bytes at the end of the text may become a stop string. */
size_t stops_held(const stops *s);

#endif
