/* For tests that count or refuse allocations: they are linked with --wrap, if the linker has it. Then the library calls
 * the test's __wrap_malloc and so on, and the test calls the C library's as __real_malloc. */
#ifndef SUPPORT_ALLOCATIONS_H
#define SUPPORT_ALLOCATIONS_H

#include <stddef.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *old, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *old, size_t n);

#endif
