/* In place of src/cpu/dispatch.c, for check_avx512_model: the scalar kernels, and as avx512 those that run on the model. */
#include "avx512_model/kernels_model.h"

#include <string.h>

const char *kernels_names(void) { return "scalar, avx512"; }

const cpu_kernels *kernels_select(const char *isa) {
    static cpu_kernels scalar, model;
    kernels_scalar_fill(&scalar);
    kernels_avx512_model_fill(&model);
    if (isa && strcmp(isa, scalar.name) == 0) return &scalar;
    return !isa || strcmp(isa, model.name) == 0 ? &model : NULL;
}
