/* Converts rows of a matrix to and from the interleaved form of weights.h, which stores the same field of 16 rows side
 * by side, for kernels whose lanes are rows. */
#ifndef CPU_INTERLEAVE_H
#define CPU_INTERLEAVE_H

#include "model/weights.h"

/* True if matrices of this type can be interleaved: those made of blocks can, floats cannot. */
bool interleave_possible(quant_type type);

/* rows: [n_present][row_bytes], n_present <= ROW_GROUP; out: [ROW_GROUP * row_bytes], with zeros for missing rows. */
void interleave_group(quant_type type, const void *rows, size_t row_bytes, uint32_t n_present, void *out);

/* out: [row_bytes], one row of an interleaved matrix in the file's order. */
void interleaved_row(const matrix *w, uint32_t row, void *out);

#endif
