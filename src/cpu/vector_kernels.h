/* The kernels of one instruction set, made of its vocabulary (vector_types.h), and the table of them. Included once by
 * kernels_<name>.c, after the vocabulary. */
#include "cpu/vector_attention.h"
#include "cpu/vector_floats.h"
#include "cpu/vector_quants.h"
#include "cpu/vector_steps.h"

static void vector_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const activations *x, size_t n_batch,
                          float *out, size_t out_stride, void *scratch) {
    if (quantized_kernels[w->type].multiply)
        quantized_matmul(w, first_row, end_row, x, n_batch, out, out_stride, scratch);
    else
        float_matmul(w, first_row, end_row, x, n_batch, out, out_stride, scratch);
}

static size_t vector_matmul_scratch_bytes(uint32_t n_columns) {
    const size_t quantized = quantized_scratch_bytes(n_columns);
    return quantized > float_scratch_bytes() ? quantized : float_scratch_bytes();
}

static void vector_fill(cpu_kernels *table) {
    kernels_scalar_fill(table);
    table->name = ISA_NAME;
    for (size_t type = 0; type < QUANT_TYPE_LIMIT; type++)
        table->quantizes[type] = quantized_kernels[type].multiply != NULL;
    table->matmul = vector_matmul;
    table->matmul_scratch_bytes = vector_matmul_scratch_bytes;
    vector_steps_fill(table);
    vector_attention_fill(table);
}
