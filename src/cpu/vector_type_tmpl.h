/* The kernels of one type. TYPE, TYPE_FORMAT, MOST_DIRECT and DOT_ONE (vector_direct.h) have an #undef at the end. */
#define OF_TYPE(name) JOINED(name, TYPE)

INLINE void OF_TYPE(unpack_units)(row_lanes rows, size_t first, size_t end, unpacked_sink sink, void *context) {
    for (size_t unit = first; unit < end; unit++) OF_TYPE(unpack)(rows, unit, sink, context);
}

/* Interleaved rows and rows as in the file have separate code, so neither computes what only the other needs. */
INLINE void OF_TYPE(unpack_either)(row_lanes rows, size_t first, size_t end, unpacked_sink sink, void *context) {
    if (rows.interleaved)
        OF_TYPE(unpack_units)((row_lanes){rows.data, 0, rows.lane, true}, first, end, sink, context);
    else
        OF_TYPE(unpack_units)((row_lanes){rows.data, rows.stride, 0, false}, first, end, sink, context);
}

static void OF_TYPE(unpack_rows)(row_lanes rows, size_t first_unit, size_t n_units, tile_context *context) {
    OF_TYPE(unpack_either)(rows, first_unit, first_unit + n_units, store_block, context);
}

#define TOKENS 1
#include "cpu/vector_dot_tmpl.h"
#if MOST_DIRECT >= 4
#define TOKENS 2
#include "cpu/vector_dot_tmpl.h"
#define TOKENS 4
#include "cpu/vector_dot_tmpl.h"
#endif
#if MOST_DIRECT >= 8
#define TOKENS 8
#include "cpu/vector_dot_tmpl.h"
#endif

#ifndef DOT_ONE
#define DOT_ONE JOINED(OF_TYPE(dot), 1)
#endif

const quantized_kernel OF_ISA(OF_TYPE(kernels)) = {
    .dot =
        {
            DOT_ONE,
#if MOST_DIRECT >= 4
            JOINED(OF_TYPE(dot), 2),
            JOINED(OF_TYPE(dot), 4),
#endif
#if MOST_DIRECT >= 8
            JOINED(OF_TYPE(dot), 8),
#endif
        },
    .unpack = OF_TYPE(unpack_rows),
    .multiply = OF_ISA(JOINED(multiply_tile, TYPE_FORMAT)),
    .most_direct = MOST_DIRECT,
};

#undef OF_TYPE
#undef TYPE
#undef TYPE_FORMAT
#undef MOST_DIRECT
#undef DOT_ONE
