/* Arithmetic on numbers that come from a file. A function returns false if the result would overflow. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *sum) { return !__builtin_add_overflow(a, b, sum); }
static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/* Round n up to a multiple of `unit` (not 0). */
static inline bool checked_round_up(uint64_t n, uint64_t unit, uint64_t *rounded) {
    uint64_t raised;
    if (!checked_add(n, unit - 1, &raised)) return false;
    *rounded = raised - raised % unit;
    return true;
}

#endif
