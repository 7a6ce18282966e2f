/* An arena: memory that is allocated in pieces and freed as a whole. Its owner frees one thing, once. Blocks are
 * aligned to 64 bytes (a cache line, and the widest vector register). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define ARENA_ALIGNMENT 64

typedef struct arena_chunk arena_chunk;
typedef struct arena {
    arena_chunk *chunks;
} arena; /* zero-initialised: empty */

/* count * size zeroed bytes, or NULL if the product overflows or the system has no memory. count * size may be 0. Pages
 * of a large block are not touched, so it takes memory only as it is used. */
void *arena_alloc(arena *a, uint64_t count, uint64_t size);

/* A terminated copy of `length` bytes, or NULL. */
char *arena_string(arena *a, const char *bytes, size_t length);

void arena_free(arena *a); /* leaves it empty */

#endif
