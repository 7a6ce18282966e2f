/* Rows of a matrix in and out of the interleaved form that weights.h describes: 16 rows share their bytes, so that a kernel
 * whose lanes are rows finds the same field of all of them side by side. */
#ifndef CPU_INTERLEAVE_H
#define CPU_INTERLEAVE_H

#include "model/weights.h"

/* Can matrices of this type be interleaved? (Those of blocks can; floats cannot.) */
bool interleave_possible(quant_type type);

/* rows: [n_present][row_bytes], n_present <= ROW_GROUP; out: [ROW_GROUP * row_bytes], zeros where rows are missing. */
void interleave_group(quant_type type, const void *rows, size_t row_bytes, uint32_t n_present, void *out);

/* out: [row_bytes], one row of an interleaved matrix as the file had it. */
void interleaved_row(const matrix *w, uint32_t row, void *out);

#endif
