/* Takes the place of src/cpu/dispatch.c in check_avx512_model. There are two tables: the scalar kernels, and "avx512",
 * the AVX-512 kernels over the model of their instructions. */
#include "avx512_model/kernels_model.h"

#include <string.h>

const char *kernels_names(void) { return "scalar, avx512"; }

const cpu_kernels *kernels_select(const char *isa) {
    if (isa && strcmp(isa, kernels_scalar->name) == 0) return kernels_scalar;
    return !isa || strcmp(isa, kernels_avx512_model->name) == 0 ? kernels_avx512_model : NULL;
}
