/* Products of TOKENS tokens with rows of one type (vector_type_tmpl.h). TOKENS has an #undef at the end. */
#define OF_TOKENS(name) JOINED(OF_TYPE(name), TOKENS)

INLINE void OF_TOKENS(dot_block)(void *context, size_t block, const unpacked *u) {
    const dot_context *c = context;
    prefetch_block(c->later, c->near, block, OF_TYPE(BLOCK_BYTES));
    dot_block(JOINED(FORMAT, TYPE_FORMAT), TOKENS, context, block, u);
}

static void OF_TOKENS(dot)(row_lanes rows, later_rows later, size_t n_units, activation_columns y, float *sums) {
    dot_context context = {.y = y, .later = later, .near = TOKENS == 1 && !rows.interleaved};
    OF_TYPE(unpack_either)(rows, 0, n_units, OF_TOKENS(dot_block), &context);
    UNROLLED for (size_t c = 0; c < TOKENS; c++) store_floats(sums + c * LANES, context.sums[c]);
}

#undef OF_TOKENS
#undef TOKENS
