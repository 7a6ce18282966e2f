/* Files that are not GGUF, but are often mistaken for models. */
#ifndef GGUF_FOREIGN_H
#define GGUF_FOREIGN_H

#include "cllm.h"

/* For a file that does not begin with "GGUF": say in *err what it is, and what to do. bytes: [size], the whole file.
 * Returns FORMAT. */
cllm_status refuse_foreign(const unsigned char *bytes, uint64_t size, cllm_error *err);

#endif
