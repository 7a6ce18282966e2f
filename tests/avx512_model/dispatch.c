/* In place of src/cpu/dispatch.c, for check_avx512_model: the scalar kernels, and as avx512 those that run on the model. */
#include "avx512_model/kernels_model.h"

#include <string.h>

const char *kernels_names(void) { return "scalar, avx512"; }

const cpu_kernels *kernels_select(const char *isa) {
    if (isa && strcmp(isa, kernels_scalar->name) == 0) return kernels_scalar;
    return !isa || strcmp(isa, kernels_avx512_model->name) == 0 ? kernels_avx512_model : NULL;
}
