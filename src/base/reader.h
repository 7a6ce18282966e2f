/* Reads little-endian values from bytes, and checks the bounds. GGUF files are parsed with it. If a read goes past the
 * end, `failed` is set and stays set, the position stays where that read began, and this and every later read gives
 * zero. So a caller may read several values and check once. */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct reader {
    const unsigned char *bytes;
    uint64_t size;
    uint64_t position; /* <= size */
    bool failed;
} reader;

static inline uint64_t reader_left(const reader *r) { return r->size - r->position; }

/* The next `count` bytes, borrowed, or NULL. */
static inline const unsigned char *reader_take(reader *r, uint64_t count) {
    if (r->failed || count > reader_left(r)) {
        r->failed = true;
        return NULL;
    }
    const unsigned char *taken = r->bytes + r->position;
    r->position += count;
    return taken;
}

static inline uint64_t reader_unsigned(reader *r, unsigned n_bytes) {
    const unsigned char *b = reader_take(r, n_bytes);
    uint64_t value = 0;
    for (unsigned i = 0; b && i < n_bytes; i++) value |= (uint64_t)b[i] << (8 * i);
    return value;
}

static inline uint8_t reader_u8(reader *r) { return (uint8_t)reader_unsigned(r, 1); }
static inline uint16_t reader_u16(reader *r) { return (uint16_t)reader_unsigned(r, 2); }
static inline uint32_t reader_u32(reader *r) { return (uint32_t)reader_unsigned(r, 4); }
static inline uint64_t reader_u64(reader *r) { return reader_unsigned(r, 8); }

static inline float reader_f32(reader *r) {
    uint32_t bits = reader_u32(r);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double reader_f64(reader *r) {
    uint64_t bits = reader_u64(r);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
