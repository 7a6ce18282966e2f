/* Large memory directly from the system, in huge pages if possible. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* Zeroed memory, aligned to 2 MiB. A page takes memory only once it is touched. NULL: no memory. */
void *pages_alloc(size_t n_bytes);
void pages_free(void *pages, size_t n_bytes); /* n_bytes as for pages_alloc; NULL is allowed */

/* Release the whole pages of a mapped file in this range. They are read from the file again when they are touched. */
void pages_drop(const void *bytes, size_t n_bytes);

#endif
