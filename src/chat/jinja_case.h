/* Upper and lower case of a template's strings, using base/unicode.h, for jinja_filters.c and jinja_methods.c. */
#ifndef CHAT_JINJA_CASE_H
#define CHAT_JINJA_CASE_H

#include "chat/jinja_value.h"

typedef enum jinja_case_rule {
    JINJA_LOWER,
    JINJA_UPPER,
    JINJA_CAPITALIZE,  /* the first character upper, the others lower */
    JINJA_TITLE,       /* the same for each run of letters: Python's str.title */
    JINJA_TITLE_WORDS, /* the same after white space and "-({[<": the filter `title` */
    JINJA_SWAP,
} jinja_case_rule;

jinja_value jinja_change_case(jinja_run *r, const jinja_string *s, jinja_case_rule rule);

/* True if the string has letters with case, and all of these are lower (LOWER) or upper (UPPER). */
bool jinja_has_case(jinja_value v, jinja_case_rule rule);

/* Unicode properties, as in Python's str methods. */
bool jinja_is_space(uint32_t c);
bool jinja_is_alpha(uint32_t c);
bool jinja_is_digit(uint32_t c); /* decimal digits of any script */

#endif
