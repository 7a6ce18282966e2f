/* Random weights of each tensor type, for kernel tests. */
#ifndef SUPPORT_RANDOM_BLOCKS_H
#define SUPPORT_RANDOM_BLOCKS_H

#include "gguf/quant_types.h"

#include <stddef.h>

/* Random blocks with reasonable scales: random bits in a scale could be infinite, or 10^4 times its neighbours. */
void random_blocks(quant_type type, uint8_t *blocks, size_t n_blocks, uint64_t *random);

#endif
