/* Tests base/half.h against the definitions of the formats, computed with ldexp. */
#include "support/check.h"

#include "base/half.h"

#include <math.h>

/* The value that the bits stand for: (-1)^sign * significand * 2^exponent. */
static double value_of(uint32_t bits, int exponent_bits, int mantissa_bits) {
    int exponent = (int)(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    int mantissa = (int)(bits & ((1u << mantissa_bits) - 1));
    int bias = (1 << (exponent_bits - 1)) - 1;
    double sign = bits >> (exponent_bits + mantissa_bits) & 1 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) return mantissa ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0) return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

static double f16_value(uint32_t bits) { return value_of(bits, 5, 10); }

static void check_widened(float got, double want, uint32_t bits) {
    if (isnan(want) ? !isnan(got) : (double)got != want || !signbit(got) != !signbit(want))
        fail_msg("0x%04x became %.9g, which should be %.9g", (unsigned)bits, (double)got, want);
}

static void every_f16_widens_exactly(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) check_widened(f32_from_f16((uint16_t)bits), f16_value(bits), bits);
}

static void every_bf16_widens_exactly(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++)
        check_widened(f32_from_bf16((uint16_t)bits), value_of(bits, 8, 7), bits);
}

/* Both the value and its negative must become `want` and its negative. */
static void check_narrowed(float value, uint32_t want) {
    uint32_t got = f16_from_f32(value), negative = f16_from_f32(-value);
    if (got != want || negative != (want | 0x8000))
        fail_msg("+-%.9g became 0x%04x and 0x%04x, which should be 0x%04x and its negative", (double)value,
                 (unsigned)got, (unsigned)negative, (unsigned)want);
}

static void floats_that_are_f16_stay(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits <= 0x7C00; bits++) check_narrowed((float)f16_value(bits), bits);
}

/* Around the middle between each two neighbours. Above the largest half, 2^16 takes the place of the neighbour, and
 * means infinity. */
static void floats_between_round_to_nearest_even(void **state) {
    (void)state;
    for (uint32_t below = 0; below < 0x7C00; below++) {
        uint32_t above = below + 1, even = below % 2 == 0 ? below : above;
        double upper = above == 0x7C00 ? 65536 : f16_value(above);
        float middle = (float)((f16_value(below) + upper) / 2);
        check_narrowed(middle, even);
        check_narrowed(nextafterf(middle, 0), below);
        check_narrowed(nextafterf(middle, INFINITY), above);
        check_narrowed(nextafterf((float)upper, 0), above);
    }
}

/* Finds the half that is nearest to the value, by bisection, with doubles. */
static uint32_t nearest_f16(double value) {
    uint32_t below = 0, above = 0x7C00;
    if (value >= 65520) return 0x7C00;
    while (above - below > 1) {
        uint32_t middle = (below + above) / 2;
        *(f16_value(middle) <= value ? &below : &above) = middle;
    }
    if (above == 0x7C00) return below;
    double down = value - f16_value(below), up = f16_value(above) - value;
    return down < up || (down == up && below % 2 == 0) ? below : above;
}

static void any_float_rounds_to_the_nearest(void **state) {
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)random_u64(&random) & 0x7FFFFFFF;
        if (i % 2) bits = 0x30000000 + bits % 0x18000000; /* every second number is in or near the range of halfs */
        float value = float_from_bits(bits);
        if (!isnan(value)) check_narrowed(value, nearest_f16((double)value));
    }
}

static void infinity_and_nan_stay_what_they_are(void **state) {
    (void)state;
    check_narrowed(INFINITY, 0x7C00);
    check_narrowed(0x1.fffffep127f, 0x7C00);
    const uint32_t nans[] = {0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++) {
        uint16_t half = f16_from_f32(float_from_bits(nans[i]));
        assert_true((half & 0x7FFF) > 0x7C00);
        assert_int_equal(half >> 15, nans[i] >> 31);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_widens_exactly),        cmocka_unit_test(every_bf16_widens_exactly),
        cmocka_unit_test(floats_that_are_f16_stay),        cmocka_unit_test(floats_between_round_to_nearest_even),
        cmocka_unit_test(any_float_rounds_to_the_nearest), cmocka_unit_test(infinity_and_nan_stay_what_they_are),
    };
    return cmocka_run_group_tests_name("half", tests, NULL, NULL);
}
