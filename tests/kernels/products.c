/* Tests matrix products: each type, each tail, each split of the work, and interleaved matrices. */
#include "kernels/kernel_tests.h"
#include "support/random_blocks.h"

#include "cpu/interleave.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A matrix at an odd address, as in a file; the same matrix interleaved, if its type can be; and a batch of vectors. */
typedef struct problem {
    size_t t;
    matrix w, interleaved;
    uint8_t *blocks, *groups;
    size_t n_group_bytes;
    float *x; /* [n_batch][n_columns] */
    size_t n_batch;
} problem;

static problem problem_new(size_t t, uint32_t n_rows, uint32_t n_columns, size_t n_batch, uint64_t *random) {
    const size_t row_blocks = n_columns / types[t].elements, row_bytes = row_blocks * types[t].bytes;
    problem p = {.t = t, .blocks = malloc(n_rows * row_bytes + 1), .n_batch = n_batch};
    assert_non_null(p.blocks);
    random_blocks(types[t].type, p.blocks + 1, n_rows * row_blocks, random);
    p.w = p.interleaved = (matrix){p.blocks + 1, types[t].type, n_rows, n_columns, row_bytes, false, 1, NULL};
    p.x = random_floats(n_batch * n_columns, random);
    if (interleave_possible(types[t].type)) {
        p.n_group_bytes = (n_rows + ROW_GROUP - 1) / ROW_GROUP * ROW_GROUP * row_bytes;
        p.groups = aligned_new(p.n_group_bytes);
        for (uint32_t row = 0; row < n_rows; row += ROW_GROUP)
            interleave_group(p.w.type, p.blocks + 1 + row * row_bytes, row_bytes,
                             n_rows - row < ROW_GROUP ? n_rows - row : ROW_GROUP, p.groups + row * row_bytes);
        p.interleaved.data = p.groups;
        p.interleaved.interleaved = true;
    }
    return p;
}

static void problem_free(problem *p) {
    guarded_free(p->x, p->n_batch * p->w.n_columns);
    if (p->groups) aligned_free(p->groups, p->n_group_bytes);
    free(p->blocks);
}

/* energy: out; the sum of the products' squares is added to it. Unlike the products, their squares cannot cancel. */
static float reference_product(const problem *p, size_t row, size_t b, double *energy) {
    const uint8_t *blocks = (const uint8_t *)p->w.data + row * p->w.row_bytes;
    const size_t t = p->t;
    double sum = 0;
    for (size_t c = 0; c < p->w.n_columns; c++) {
        const uint8_t *block = blocks + c / types[t].elements * types[t].bytes;
        double product =
            reference_element(types[t].type, block, c % types[t].elements) * (double)p->x[b * p->w.n_columns + c];
        sum += product;
        *energy += product * product;
    }
    return (float)sum;
}

/* Multiplies rows [first, end) of w with the columns [first_b, first_b + n_b) of x, into out[b][row], with out_stride
 * between the columns. The scratch is poisoned, and x lies at another address than before. */
static void multiply(const problem *p, const matrix *w, uint32_t first, uint32_t end, size_t first_b, size_t n_b,
                     float *out, size_t out_stride) {
    const size_t n_columns = w->n_columns, n_x = n_b * n_columns,
                 n_scratch = kernels->matmul_scratch_bytes(w->n_columns);
    float *x = guarded_new(n_x);
    memcpy(x, p->x + first_b * n_columns, n_x * sizeof *x);
    activations in = {.n_columns = w->n_columns, .floats = x};
    int8_t *quantized = NULL;
    activation_block *blocks = NULL;
    if (kernels->quantizes[w->type]) {
        quantized = malloc(n_x);
        blocks = malloc(n_x / ACTIVATION_BLOCK * sizeof *blocks);
        assert_true(quantized && blocks);
        kernels->quantize(x, n_x, quantized, blocks);
        in.quantized = quantized;
        in.blocks = blocks;
    }
    uint8_t *scratch = aligned_new(n_scratch);
    kernels->matmul(w, first, end, &in, n_b, out + first_b * out_stride, out_stride, scratch);
    aligned_free(scratch, n_scratch);
    free(quantized);
    free(blocks);
    guarded_free(x, n_x);
}

void matmul_is_right_for_every_type_and_tail(void **state) {
    (void)state;
    static const uint32_t columns_of_floats[] = {1, 7, 16, 31, 300, 4100}, columns_of_blocks[] = {1, 2, 3, 9};
    static const uint32_t rows[] = {1, 2, 15, 16, 17, 32, 45};
    static const size_t batches[] = {1, 3};
    uint64_t random = 2;
    for (size_t t = 0; t < N_TYPES; t++) {
        const int floats = types[t].elements == 1;
        const uint32_t *columns = floats ? columns_of_floats : columns_of_blocks;
        for (size_t k = 0; k < (floats ? 6 : 4) * 7 * 2; k++) {
            const uint32_t n_rows = rows[k / 2 % 7];
            const size_t n_batch = batches[k % 2], n = n_batch * n_rows;
            problem p = problem_new(t, n_rows, columns[k / 14] * (uint32_t)types[t].elements, n_batch, &random);
            float *out = guarded_new(n), *other = guarded_new(n), *want = guarded_new(n);
            multiply(&p, &p.w, 0, n_rows, 0, n_batch, out, n_rows);
            multiply(&p, &p.interleaved, 0, n_rows, 0, n_batch, other, n_rows);
            double energy = 0, error = 0;
            for (size_t i = 0; i < n; i++) {
                want[i] = reference_product(&p, i % n_rows, i / n_rows, &energy);
                error += pow((double)out[i] - (double)want[i], 2);
            }
            /* the error of a single product can be several times the mean error of many */
            const double limit = kernels->quantizes[p.w.type] ? QUANTIZED_LIMIT * (1 + 8 / (double)n) : PRODUCT_LIMIT;
            if (!(error <= energy * limit))
                fail_msg("%s, %u columns: an error of %.3g of %.3g", types[t].name, p.w.n_columns, error, energy);
            if (memcmp(out, other, n * sizeof *out) != 0) fail_msg("%s: interleaved, other bits", types[t].name);
            guarded_free(want, n);
            guarded_free(other, n);
            guarded_free(out, n);
            problem_free(&p);
        }
    }
}

/* All scales are tiny: beside larger ones, errors in subnormal scales would not show. */
void subnormal_scales_count(void **state) {
    (void)state;
    enum { ROWS = 16, COLUMNS = 256 };
    uint64_t random = 13;
    size_t t = 0;
    while (types[t].type != QUANT_MXFP4) t++;
    problem p = problem_new(t, ROWS, COLUMNS, 1, &random);
    for (size_t i = 0; i < ROWS * COLUMNS / 32; i++) p.blocks[1 + 17 * i] = (uint8_t)(17 * i / p.w.row_bytes % 3);
    for (size_t i = 0; i < COLUMNS; i++) p.x[i] *= 0x1p20f;
    float out[ROWS];
    multiply(&p, &p.w, 0, ROWS, 0, 1, out, ROWS);
    for (size_t row = 0; row < ROWS; row++) {
        double energy = 0, want = (double)reference_product(&p, row, 0, &energy);
        if (!(fabs((double)out[row] - want) <= 0.05 * sqrt(energy)))
            fail_msg("row %zu is %g, which should be %g", row, (double)out[row], want);
    }
    problem_free(&p);
}

/* One token and one group of rows at a time, then batches and random cuts of the rows: the same bits. */
static void check_cuts(size_t t, uint32_t n_columns, uint64_t *random) {
    enum { ROWS = 85, BATCH = 300, STRIDE = ROWS + 5 };
    static const size_t batches[] = {2, 3, 5, 7, 16, 17, 64, 300};
    problem p = problem_new(t, ROWS, n_columns, BATCH, random);
    float *alone = guarded_new(BATCH * ROWS);
    for (size_t b = 0; b < BATCH; b++)
        for (uint32_t row = 0; row < ROWS; row += ROW_GROUP)
            multiply(&p, &p.w, row, row + ROW_GROUP < ROWS ? row + ROW_GROUP : ROWS, b, 1, alone, ROWS);

    for (size_t k = 0; k < sizeof batches / sizeof *batches; k++) {
        float *out = guarded_new(BATCH * STRIDE);
        for (uint32_t first = 0, end; first < ROWS; first = end) {
            end = first + ROW_GROUP * (1 + (uint32_t)(random_u64(random) % 4));
            if (end > ROWS) end = ROWS;
            for (size_t b = 0; b < BATCH; b += batches[k]) {
                size_t n_b = BATCH - b < batches[k] ? BATCH - b : batches[k];
                multiply(&p, random_u64(random) % 2 ? &p.w : &p.interleaved, first, end, b, n_b, out, STRIDE);
            }
        }
        for (size_t b = 0; b < BATCH; b++) {
            if (memcmp(out + b * STRIDE, alone + b * ROWS, ROWS * sizeof *out) != 0)
                fail_msg("%s, %u columns: batches of %zu give other bits than one token", types[t].name, n_columns,
                         batches[k]);
            for (size_t i = ROWS; i < STRIDE; i++) assert_true(is_poison(out + b * STRIDE + i));
        }
        guarded_free(out, BATCH * STRIDE);
    }
    guarded_free(alone, BATCH * ROWS);
    problem_free(&p);
}

void matmul_has_the_same_bits_however_it_is_cut(void **state) {
    (void)state;
    uint64_t random = 3, draw = test_seed();
    for (size_t t = 0; t < N_TYPES; t++) {
        if (test_leaves_out(&draw)) continue;
        if (types[t].elements > 1) {
            check_cuts(t, 1280, &random);
            continue;
        }
        check_cuts(t, 67, &random);
        check_cuts(t, 1093, &random); /* more than the vector kernels take at a time, and a tail */
    }
}

void matmul_writes_its_rows_alone(void **state) {
    (void)state;
    enum { ROWS = 50, BATCH = 2 };
    uint64_t random = 4;
    for (size_t t = 0; t < N_TYPES; t++) {
        problem p = problem_new(t, ROWS, 256, BATCH, &random);
        float *out = guarded_new(BATCH * ROWS);
        multiply(&p, &p.interleaved, 16, 37, 0, BATCH, out, ROWS);
        for (size_t i = 0; i < BATCH * ROWS; i++) assert_int_equal(is_poison(out + i), i % ROWS < 16 || i % ROWS >= 37);
        guarded_free(out, BATCH * ROWS);
        problem_free(&p);
    }
}

void rows_come_back_from_an_interleaved_matrix(void **state) {
    (void)state;
    uint64_t random = 12;
    for (size_t t = 0; t < N_TYPES; t++) {
        problem p = problem_new(t, 37, 512, 1, &random);
        assert_int_equal(p.interleaved.interleaved, types[t].elements > 1);
        uint8_t *row = aligned_new(p.w.row_bytes);
        for (uint32_t r = 0; p.groups && r < 37; r++) {
            interleaved_row(&p.interleaved, r, row);
            assert_memory_equal(row, p.blocks + 1 + r * p.w.row_bytes, p.w.row_bytes);
        }
        p.interleaved.n_rows = 48; /* the last group's padding is zeros */
        for (uint32_t r = 37; p.groups && r < 48; r++) {
            interleaved_row(&p.interleaved, r, row);
            for (size_t i = 0; i < p.w.row_bytes; i++) assert_int_equal(row[i], 0);
        }
        aligned_free(row, p.w.row_bytes);
        problem_free(&p);
    }
}
