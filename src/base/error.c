/* Implements error.h. A message is cut to the size of its field in cllm_error, and is one line that is safe to print on
 * a terminal. */
#include "base/error.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Replace each character that would break the line or control a terminal, and each byte that is not UTF-8, with '?'. */
static void keep_to_one_line(char *message) {
    char *to = message;
    for (const char *from = message; *from;) {
        const size_t left = strlen(from), safe = cllm_safe_length(from, left), whole = utf8_length(from, left);
        if (safe)
            memmove(to, from, safe);
        else
            *to = '?';
        to += safe ? safe : 1;
        from += whole ? whole : 1;
    }
    *to = 0;
}

static void fill(cllm_error *err, cllm_status status, const char *name, uint64_t offset, const char *format,
                 va_list arguments) {
    if (!err) return;
    err->status = status;
    err->offset = offset;
    snprintf(err->name, sizeof err->name, "%s", name);
    vsnprintf(err->message, sizeof err->message, format, arguments);
    keep_to_one_line(err->message);
}

cllm_status error_set(cllm_error *err, cllm_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fill(err, status, "", CLLM_NO_OFFSET, format, arguments);
    va_end(arguments);
    return status;
}

cllm_status error_set_at(cllm_error *err, cllm_status status, const char *name, uint64_t offset, const char *format,
                         ...) {
    va_list arguments;
    va_start(arguments, format);
    fill(err, status, name, offset, format, arguments);
    va_end(arguments);
    return status;
}

void error_prefix(cllm_error *err, const char *prefix) {
    if (!err) return;
    char message[sizeof err->message];
    memcpy(message, err->message, sizeof message);
    int written = snprintf(err->message, sizeof err->message, "%s: ", prefix);
    size_t used = written < 0 ? 0 : (size_t)written;
    if (used >= sizeof err->message) used = sizeof err->message - 1;
    snprintf(err->message + used, sizeof err->message - used, "%s", message);
    keep_to_one_line(err->message);
}
