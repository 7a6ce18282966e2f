/* Files that are no GGUF files, but are taken for models often enough to be named. */
#ifndef GGUF_FOREIGN_H
#define GGUF_FOREIGN_H

#include "cllm.h"

/* Say what a file is that does not begin with "GGUF", and what to do about it. bytes: [size], all of the file.
 * Returns FORMAT. */
cllm_status refuse_foreign(const unsigned char *bytes, uint64_t size, cllm_error *err);

#endif
