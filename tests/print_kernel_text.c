/* Prints the kernel text as a driver gets it, for checks of the text itself. Before: the texts in src/gpu. After:
 * tests/check_kernel_text.sh.
 *
 *   print_kernel_text SIMD MATRICES KV_HALF [TYPE...]
 *
 * The text has all kernels for the named types; without a type, for all types. So print_kernel_text 0 1 1 Q4_K Q6_K
 * is the text without SIMD, with MATRICES, and with keys and values of 16 bits. */
#include "gguf/quant_types.h"
#include "gpu/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool flag(const char *argument) { return strcmp(argument, "1") == 0; }

static quant_type type_of(const char *name) {
    for (int type = 0; type < QUANT_TYPE_LIMIT; type++) {
        const quant_layout *layout = quant_type_layout((quant_type)type);
        if (layout && layout->on_gpu && strcmp(layout->name, name) == 0) return (quant_type)type;
    }
    fprintf(stderr, "%s is no tensor type\n", name);
    exit(2);
}

static void add(gpu_program *program, const kernel_variant *variant) {
    cllm_error err;
    uint32_t index;
    if (program_add(program, variant, &index, &err) == CLLM_OK) return;
    fprintf(stderr, "%s\n", err.message);
    exit(1);
}

/* All kernels that read matrices of these types together. */
static void add_products(gpu_program *program, const quant_type *types, uint32_t n_types) {
    for (int normed = 0; normed < 2; normed++)
        for (uint32_t n_tokens = 1; n_tokens <= 4; n_tokens += 3) {
            kernel_variant v = {.kind = MATRIX_MULTIPLY, .n_types = n_types, .normed = normed, .n_tokens = n_tokens};
            memcpy(v.types, types, n_types * sizeof *types);
            add(program, &v);
        }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: print_kernel_text SIMD MATRICES KV_HALF [TYPE...], 0 or 1 each of the first three\n");
        return 2;
    }
    const gpu_properties properties = {.simd = flag(argv[1]), .matrices = flag(argv[2])};
    quant_type types[QUANT_TYPE_LIMIT];
    uint32_t n_types = 0;
    for (int i = 4; i < argc && n_types < QUANT_TYPE_LIMIT; i++) types[n_types++] = type_of(argv[i]);
    for (int type = 0; argc == 4 && type < QUANT_TYPE_LIMIT; type++) {
        const quant_layout *layout = quant_type_layout((quant_type)type);
        if (layout && layout->on_gpu) types[n_types++] = (quant_type)type;
    }

    gpu_program program = {0};
    for (uint32_t i = 0; i < n_types; i++) {
        add_products(&program, &types[i], 1);
        add(&program, &(kernel_variant){.kind = MATRIX_TILE, .types = {types[i]}, .n_types = 1});
        add(&program, &(kernel_variant){.kind = MATRIX_EMBED, .types = {types[i]}, .n_types = 1});
    }
    for (uint32_t together = 2; together <= 3 && together <= n_types; together++)
        add_products(&program, types, together);

    char *text;
    cllm_error err;
    if (program_text(&program, &properties, flag(argv[3]) ? CLLM_KV_F16 : CLLM_KV_F32, &text, &err) != CLLM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    fputs(text, stdout);
    free(text);
    program_free(&program);
    return 0;
}
