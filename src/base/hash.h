/* A hash of bytes. It detects accidental differences, not deliberate ones. Saved sequences contain such hashes, so
 * changing it changes their format. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Continue a hash with n more bytes. If exactly one word (8 bytes) differs, the hashes differ, because every step can
 * be inverted. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n) {
    const unsigned char *at = bytes;
    for (; n > 0; at += 8) {
        uint64_t word = 0;
        const size_t taken = n < 8 ? n : 8;
        memcpy(&word, at, taken);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15;
        hash ^= hash >> 32;
        n -= taken;
    }
    return hash;
}

#endif
