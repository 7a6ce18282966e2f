/* Implements program.h. */
#include "gpu/program.h"

#include "base/error.h"
#include "gpu/kernel_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const common_names[N_COMMON_KERNELS] = {
    [KERNEL_NORM] = "norm_rows",
    [KERNEL_NORM_QK] = "norm_qk",
    [KERNEL_ROPE_QK] = "rope_qk",
    [KERNEL_ATTENTION] = "attention",
    [KERNEL_ATTENTION_MERGE] = "attention_merge",
    [KERNEL_CAP] = "cap",
    [KERNEL_ARGMAX] = "argmax",
    [KERNEL_GATHER] = "gather",
    [KERNEL_COPY] = "copy",
};

static void name_variant(const kernel_variant *v, char *name, size_t size) {
    static const char *const kinds[] = {
        [MATRIX_MULTIPLY] = "multiply", [MATRIX_TILE] = "tile", [MATRIX_EMBED] = "embed"};
    size_t at = (size_t)snprintf(name, size, "%s", kinds[v->kind]);
    if (v->normed) at += (size_t)snprintf(name + at, size - at, "_normed");
    for (uint32_t i = 0; i < v->n_types; i++)
        at += (size_t)snprintf(name + at, size - at, "_%s", quant_type_layout(v->types[i])->name);
    if (v->kind == MATRIX_MULTIPLY) snprintf(name + at, size - at, "_x%u", v->n_tokens);
}

static program_kernel *append(gpu_program *program) {
    if (program->n_kernels == program->capacity) {
        const uint32_t capacity = program->capacity ? 2 * program->capacity : 32;
        program_kernel *kernels = realloc(program->kernels, capacity * sizeof *kernels);
        if (!kernels) return NULL;
        program->kernels = kernels;
        program->capacity = capacity;
    }
    program_kernel *kernel = &program->kernels[program->n_kernels++];
    *kernel = (program_kernel){0};
    return kernel;
}

cllm_status program_add(gpu_program *program, const kernel_variant *variant, uint32_t *index, cllm_error *err) {
    while (program->n_kernels < N_COMMON_KERNELS) {
        const char *name = common_names[program->n_kernels];
        program_kernel *kernel = append(program);
        if (!kernel) return error_set(err, CLLM_ERR_MEMORY, "no memory for the GPU's program");
        snprintf(kernel->name, sizeof kernel->name, "%s", name);
    }
    char name[sizeof program->kernels->name];
    name_variant(variant, name, sizeof name);
    for (*index = 0; *index < program->n_kernels; (*index)++)
        if (strcmp(program->kernels[*index].name, name) == 0) return CLLM_OK;
    program_kernel *kernel = append(program);
    if (!kernel) return error_set(err, CLLM_ERR_MEMORY, "no memory for the GPU's program");
    kernel->variant = *variant;
    memcpy(kernel->name, name, sizeof name);
    return CLLM_OK;
}

/* -------------------------------------------------------------------------------------------------- the text */

static void write_variant(FILE *out, const program_kernel *kernel) {
    static const char *const kinds[] = {
        [MATRIX_MULTIPLY] = "MULTIPLY", [MATRIX_TILE] = "TILE", [MATRIX_EMBED] = "EMBED"};
    const kernel_variant *v = &kernel->variant;
    fprintf(out, "#define NAME %s\n#define %s\n", kernel->name, kinds[v->kind]);
    for (uint32_t i = 0; i < v->n_types; i++)
        fprintf(out, "#define TYPE_%u %s\n", i, quant_type_layout(v->types[i])->name);
    if (v->kind == MATRIX_MULTIPLY) fprintf(out, "#define NORMED %d\n#define TOKENS %u\n", v->normed, v->n_tokens);
    fputs(gpu_text_products, out);
}

cllm_status program_text(const gpu_program *program, const gpu_properties *properties, cllm_kv_type kv_type, char **out,
                         cllm_error *err) {
    size_t size;
    *out = NULL;
    FILE *text = open_memstream(out, &size);
    if (!text) return error_set(err, CLLM_ERR_MEMORY, "no memory for the GPU's program");
    fprintf(text, "#define GROUP %d\n#define TEAM %d\n#define SIMD %d\n#define MATRICES %d\n#define KV_HALF %d\n",
            GPU_GROUP, GPU_TEAM, properties->simd, properties->matrices, kv_type == CLLM_KV_F16);
    const char *const parts[] = {gpu_text_dialect, gpu_text_kernel_args, gpu_text_quants, gpu_text_kernels,
                                 gpu_text_tiles};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) fputs(parts[i], text);
    for (uint32_t i = N_COMMON_KERNELS; i < program->n_kernels; i++) write_variant(text, &program->kernels[i]);
    bool complete = !ferror(text);
    complete = fclose(text) == 0 && complete;
    if (complete) return CLLM_OK;
    free(*out);
    return error_set(err, CLLM_ERR_MEMORY, "no memory for the GPU's program");
}

cllm_status program_compile(gpu_program *program, const gpu_driver *driver, gpu_device *device,
                            const gpu_properties *properties, cllm_kv_type kv_type, cllm_error *err) {
    char *text;
    cllm_status status = program_text(program, properties, kv_type, &text, err);
    if (status != CLLM_OK) return status;
    status = driver->compile(device, text, err);
    free(text);
    for (uint32_t i = 0; status == CLLM_OK && i < program->n_kernels; i++)
        status = driver->kernel(device, program->kernels[i].name, &program->kernels[i].kernel, err);
    return status;
}

void program_free(gpu_program *program) {
    free(program->kernels);
    *program = (gpu_program){0};
}
