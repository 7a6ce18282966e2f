/* The codebooks of the types IQ1, IQ2 and IQ3: which patterns of neighbouring weights there are. A block of these types has
 * the number of a pattern where others have the weights themselves.
 *
 * The patterns are ggml's, to which the GGUF specification refers by the type's number; the packing is ours. A pattern is
 * eight codes of two bits, for three levels of a weight (codebook_IQ2_*, codebook_IQ1), or four codes of three bits, for
 * eight levels (codebook_IQ3_*). Nibbles 0, 1, 2 and 3 of an entry, from the low bits up, belong to the columns 0, 2, 1
 * and 3:
 *
 *     eights    | c7:c3 | c5:c1 | c6:c2 | c4:c0 |        fours    | c3 | c1 | c2 | c0 |
 *
 * so that one shift gives each its byte: the low nibbles of the bytes of entry | entry << 12 are those of columns 0, 1, 2
 * and 3. What level a code stands for is the type's affair (src/cpu/dequantize_scalar.c). */
#ifndef GGUF_CODEBOOKS_H
#define GGUF_CODEBOOKS_H

#include <stdint.h>

/* A zero follows the last entry, for those who read by four bytes. */
extern const uint16_t codebook_IQ2_XXS[256 + 1];
extern const uint16_t codebook_IQ2_XS[512 + 1];
extern const uint16_t codebook_IQ2_S[1024 + 1];
extern const uint16_t codebook_IQ3_XXS[256 + 1];
extern const uint16_t codebook_IQ3_S[512 + 1];
extern const uint16_t codebook_IQ1[2048 + 1];

#endif
