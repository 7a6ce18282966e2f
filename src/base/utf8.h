/* UTF-8, strictly as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* The length (1..4) of the valid character at the start of `bytes`, or 0 if there is none. */
size_t utf8_length(const char *bytes, size_t available);

#endif
