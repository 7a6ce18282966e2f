/* Fills the caller's cllm_error. A function that finds an error usually ends with `return error_set(...)`. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "cllm.h"

/* Fill *err (which may be NULL) with a formatted one-line message, and return `status`. */
cllm_status error_set(cllm_error *err, cllm_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a fault in a file. name: the key or tensor ("" if none). offset: in bytes, or CLLM_NO_OFFSET. Neither
 * becomes part of the message; the format gives what a reader should see. */
cllm_status error_set_at(cllm_error *err, cllm_status status, const char *name, uint64_t offset, const char *format,
                         ...) __attribute__((format(printf, 5, 6)));

/* Put "prefix: " in front of the message, for example the path of the file. */
void error_prefix(cllm_error *err, const char *prefix);

#endif
