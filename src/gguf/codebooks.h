/* The codebooks of the types IQ1, IQ2 and IQ3: lists of patterns of neighbouring weights. A block of these types stores
 * numbers of patterns, where other types store the weights themselves.
 *
 * The patterns are those of ggml, whose type numbers the GGUF specification uses; the packing is ours. A pattern has
 * eight codes of two bits, for three levels of a weight (codebook_IQ2_*, codebook_IQ1), or four codes of three bits,
 * for eight levels (codebook_IQ3_*). Code ci is that of column i, the i-th weight of the pattern. In an entry, nibble 0
 * (the lowest bits) has column 0, nibble 1 has column 2, nibble 2 has column 1, and nibble 3 has column 3. With eight
 * codes, the upper half of a nibble has the column four places further on:
 *
 *     eights    | c7:c3 | c5:c1 | c6:c2 | c4:c0 |        fours    | c3 | c1 | c2 | c0 |
 *
 * So one shift gives each nibble its own byte: the low nibbles of the bytes of entry | entry << 12 are those of columns
 * 0, 1, 2 and 3. The type says which level a code means (src/cpu/dequantize_scalar.c). */
#ifndef GGUF_CODEBOOKS_H
#define GGUF_CODEBOOKS_H

#include <stdint.h>

/* A zero follows the last entry, for code that reads four bytes at a time. */
extern const uint16_t codebook_IQ2_XXS[256 + 1];
extern const uint16_t codebook_IQ2_XS[512 + 1];
extern const uint16_t codebook_IQ2_S[1024 + 1];
extern const uint16_t codebook_IQ3_XXS[256 + 1];
extern const uint16_t codebook_IQ3_S[512 + 1];
extern const uint16_t codebook_IQ1[2048 + 1];

#endif
