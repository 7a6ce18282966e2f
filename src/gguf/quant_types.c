/* Implements quant_types.h: its list as a table, by number. */
#include "gguf/quant_types.h"

#include "cllm.h"

#include <stddef.h>

static const quant_layout layouts[QUANT_TYPE_LIMIT] = {
#define X(name, number, elements, bytes) [number] = {#name, elements, bytes, true, true},
    GPU_TYPES(X)
#undef X
#define X(name, number, elements, bytes) [number] = {#name, elements, bytes, true, false},
        CPU_TYPES(X)
#undef X
#define X(name, number, elements, bytes) [number] = {#name, elements, bytes, false, false},
            STORAGE_TYPES(X)
#undef X
};

const quant_layout *quant_type_layout(uint32_t number) {
    return number < QUANT_TYPE_LIMIT && layouts[number].name ? &layouts[number] : NULL;
}

static const removed_type removed_types[] = {
#define X(name, number, instead) {number, #name, #instead},
    REMOVED_TYPES(X)
#undef X
};

const removed_type *quant_type_removed(uint32_t number) {
    for (size_t i = 0; i < sizeof removed_types / sizeof *removed_types; i++)
        if (removed_types[i].number == number) return &removed_types[i];
    return NULL;
}

const char *cllm_tensor_type_name(int32_t type) {
    const quant_layout *layout = type < 0 ? NULL : quant_type_layout((uint32_t)type);
    return layout ? layout->name : "unknown";
}
