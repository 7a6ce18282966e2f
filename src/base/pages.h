/* Large memory straight from the system, in huge pages where it gives them. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* Zeros; a page takes memory once it is touched. NULL if there is none. Aligned to 2 MiB. */
void *pages_alloc(size_t n_bytes);
void pages_free(void *pages, size_t n_bytes); /* of pages_alloc, with the same size; NULL is allowed */

/* Forget the whole pages of a mapped file that lie within: they come back from the file when they are touched. */
void pages_drop(const void *bytes, size_t n_bytes);

#endif
