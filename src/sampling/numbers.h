/* Automata for numbers: bounds, multiples, single values. Before this: schema_rules.c, with the keywords of a schema.
 * After it: characters.h. */
#ifndef SAMPLING_NUMBERS_H
#define SAMPLING_NUMBERS_H

#include "base/json.h"
#include "sampling/characters.h"

/* A decimal number, exact. */
typedef struct decimal {
    bool negative;
    const char *whole, *fraction; /* digits, without leading zeros before the point and trailing zeros after it; no
                                     digits for 0 */
    uint32_t n_whole, n_fraction;
} decimal;

cllm_status decimal_from_json(const json_value *number, arena *a, decimal *out, cllm_error *err);
int decimal_compare(const decimal *a, const decimal *b); /* -1, 0, 1 */
bool decimal_is_zero(const decimal *d);
bool decimal_divides_one(const decimal *d); /* if so, each whole number is a multiple of it */

/* The forms of numbers. If nothing else is said, they have at most 22 digits after the point and 3 in the exponent,
 * because a model might write digits forever. */
typedef enum numbers_form {
    ANY_NUMBER,
    NO_EXPONENT,
    ANY_DIGITS,         /* no exponent, and any number of digits */
    WHOLE_NUMBER,       /* also as 5.0 and 5e3 */
    WHOLE_NO_EXPONENT,  /* also as 5.0 */
    WHOLE_VALUE,        /* also as 5.000, with any number of zeros */
    WHOLE_WITHOUT_POINT /* the form in draft 4, and in closed schemas */
} numbers_form;

/* Errors of the next five functions: MEMORY, UNSUPPORTED (too many states, in this automaton or in all together). */
cllm_status numbers_of_form(numbers_form form, char_maker *m, char_automaton *out, cllm_error *err);
cllm_status numbers_from(const decimal *bound, bool is_excluded, char_maker *m, char_automaton *out, cllm_error *err);
cllm_status numbers_up_to(const decimal *bound, bool is_excluded, char_maker *m, char_automaton *out, cllm_error *err);
cllm_status numbers_equal_to(const decimal *d, char_maker *m, char_automaton *out, cllm_error *err);

/* unit: above zero. */
cllm_status numbers_multiple_of(const decimal *unit, char_maker *m, char_automaton *out, cllm_error *err);

/* The text of a number, as Python would write it. */
cllm_string number_text(const json_value *number, char text[JSON_NUMBER_BYTES]);

#endif
