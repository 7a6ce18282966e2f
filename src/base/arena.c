/* Implements arena.h with a list of chunks. A block larger than a chunk gets its own chunk. */
#include "base/arena.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((uint64_t)64 * 1024)

struct arena_chunk {
    arena_chunk *next;
    unsigned char *free; /* aligned to ARENA_ALIGNMENT */
    unsigned char *end;
};

static unsigned char *align_up(unsigned char *p) {
    return p + (ARENA_ALIGNMENT - (uintptr_t)p % ARENA_ALIGNMENT) % ARENA_ALIGNMENT;
}

/* calloc gives large blocks as untouched zero pages. */
static arena_chunk *chunk_create(uint64_t capacity) {
    uint64_t bytes;
    if (!checked_add(capacity, sizeof(arena_chunk) + ARENA_ALIGNMENT, &bytes) || bytes > SIZE_MAX) return NULL;
    arena_chunk *chunk = calloc(1, (size_t)bytes);
    if (!chunk) return NULL;
    chunk->free = align_up((unsigned char *)(chunk + 1));
    chunk->end = (unsigned char *)chunk + bytes;
    return chunk;
}

void *arena_alloc(arena *a, uint64_t count, uint64_t size) {
    uint64_t bytes;
    if (!checked_mul(count, size, &bytes) || !checked_round_up(bytes, ARENA_ALIGNMENT, &bytes)) return NULL;
    arena_chunk *chunk = a->chunks;
    if (!chunk || bytes > (uint64_t)(chunk->end - chunk->free)) {
        chunk = chunk_create(bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES);
        if (!chunk) return NULL;
        chunk->next = a->chunks;
        a->chunks = chunk;
    }
    void *block = chunk->free;
    chunk->free += bytes;
    return block;
}

char *arena_string(arena *a, const char *bytes, size_t length) {
    char *copy = arena_alloc(a, (uint64_t)length + 1, 1);
    if (copy && length) memcpy(copy, bytes, length);
    return copy;
}

void arena_free(arena *a) {
    while (a->chunks) {
        arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
}
