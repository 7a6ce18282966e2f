/* Every entry of the kernel table, for each instruction set that this CPU has: right results, the same bits however
 * the work is cut, and no byte written or read that is not the kernel's own. The reference is arithmetic in double,
 * straight from the formulas, and a decoder that picks one element's bits at a time.
 */
#include "support/check.h"

#include "base/half.h"
#include "cpu/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest normalised mean squared error that a kernel may have. Scalar never quantizes activations. */
static const struct isa {
    const char *name;
    double nmse_limit;
} isas[] = {
    {"scalar", 1e-12},
};

static const struct isa *isa; /* the one under test */
static const cpu_kernels *kernels;

static const struct {
    const char *name;
    quant_type type;
    size_t elements, bytes; /* of a block */
} types[] = {
#define X(name, number, elements, bytes) {#name, QUANT_##name, elements, bytes},
    COMPUTE_TYPES(X)
#undef X
};
enum { N_TYPES = sizeof types / sizeof *types };

static void assert_close(const float *got, const float *want, size_t n, const char *what) {
    double error = nmse(got, want, n);
    if (!(error <= isa->nmse_limit))
        fail_msg("%s, %zu values: NMSE %.3g is above %.3g", what, n, error, isa->nmse_limit);
}

/* ------------------------------------------------------------------------------------------- guarded buffers */

enum { GUARD = 16 };
#define POISON 0xFFC0DEADu /* a NaN: read and used, it would show in the result */

static float *guarded_new(size_t n) {
    float *base = malloc((n + 2 * GUARD) * sizeof *base);
    assert_non_null(base);
    for (size_t i = 0; i < n + 2 * GUARD; i++) base[i] = float_from_bits(POISON);
    return base + GUARD;
}

static int is_poison(const float *value) {
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    return bits == POISON;
}

static void guarded_free(float *data, size_t n) {
    for (size_t i = 0; i < GUARD; i++)
        if (!is_poison(data - 1 - i) || !is_poison(data + n + i)) fail_msg("written outside a buffer of %zu floats", n);
    free(data - GUARD);
}

static float *random_floats(size_t n, uint64_t *random) {
    float *x = guarded_new(n);
    for (size_t i = 0; i < n; i++) x[i] = random_float(random);
    return x;
}

/* ------------------------------------------------------------------------------------- the reference decoder */

static int bits(const uint8_t *bytes, size_t byte, size_t first_bit, unsigned count) {
    return bytes[byte] >> first_bit & ((1 << count) - 1);
}

static double half(const uint8_t *bytes) {
    int exponent = bits(bytes, 1, 2, 5), mantissa = bits(bytes, 0, 0, 8) | bits(bytes, 1, 0, 2) << 8;
    double sign = bits(bytes, 1, 7, 1) ? -1 : 1;
    if (exponent == 31) return mantissa ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24));
}

/* Element e of 32, of which 0..15 are low nibbles and 16..31 high ones. */
static int nibble(const uint8_t *bytes, size_t e) { return bits(bytes, e % 16, e / 16 * 4, 4); }

/* The 6-bit numbers k of Q4_K and Q5_K: 0..7 are scales, 8..15 minimums. */
static int packed_scale(const uint8_t *bytes, size_t k) {
    size_t minimum = k / 8, s = k % 8;
    if (s < 4) return bits(bytes, s + 4 * minimum, 0, 6);
    return bits(bytes, s + 4, 4 * minimum, 4) | bits(bytes, s - 4 + 4 * minimum, 6, 2) << 4;
}

static double reference_small_block(quant_type type, const uint8_t *b, size_t e) {
    static const int levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    float value;
    switch (type) {
    case QUANT_F32: memcpy(&value, b, sizeof value); return (double)value;
    case QUANT_F16: return half(b);
    case QUANT_BF16: {
        const uint8_t widened[4] = {0, 0, b[0], b[1]};
        memcpy(&value, widened, sizeof value);
        return (double)value;
    }
    case QUANT_Q4_0: return half(b) * (nibble(b + 2, e) - 8);
    case QUANT_Q4_1: return half(b) * nibble(b + 4, e) + half(b + 2);
    case QUANT_Q5_0: return half(b) * ((nibble(b + 6, e) | bits(b + 2, e / 8, e % 8, 1) << 4) - 16);
    case QUANT_Q5_1: return half(b) * (nibble(b + 8, e) | bits(b + 4, e / 8, e % 8, 1) << 4) + half(b + 2);
    case QUANT_Q8_0: return half(b) * (int8_t)b[2 + e];
    case QUANT_IQ4_NL: return half(b) * levels[nibble(b + 2, e)];
    case QUANT_IQ4_XS: {
        size_t s = e / 32;
        int scale = bits(b + 4, s / 2, s % 2 * 4, 4) | bits(b + 2, s / 4, s % 4 * 2, 2) << 4;
        return half(b) * (scale - 32) * levels[nibble(b + 8 + 16 * s, e % 32)];
    }
    default: fail_msg("type %d has no reference", (int)type); return 0;
    }
}

/* Element e of a block, in double. (Every product of a format fits in a double, and so does nearly every sum.) */
static double reference_element(quant_type type, const uint8_t *b, size_t e) {
    const size_t in_16 = e / 16, in_32 = e / 32, in_128 = e / 128, rest = e % 128;
    const size_t pair = 32 * in_128 + e % 32, pair_shift = rest / 32 * 2; /* where a two-bit field lies */
    switch (type) {
    case QUANT_Q2_K:
        return half(b + 80) * bits(b, in_16, 0, 4) * bits(b + 16, pair, pair_shift, 2) -
               half(b + 82) * bits(b, in_16, 4, 4);
    case QUANT_Q3_K: {
        int scale = bits(b + 96, in_16 % 8, in_16 / 8 * 4, 4) | bits(b + 104, in_16 % 4, in_16 / 4 * 2, 2) << 4;
        int q = bits(b + 32, pair, pair_shift, 2) | bits(b, e % 32, in_32, 1) << 2;
        return half(b + 108) * (scale - 32) * (q - 4);
    }
    case QUANT_Q4_K:
    case QUANT_Q5_K: {
        const uint8_t *nibbles = b + (type == QUANT_Q4_K ? 16 : 48);
        int q = bits(nibbles, e / 64 * 32 + e % 32, in_32 % 2 * 4, 4);
        if (type == QUANT_Q5_K) q |= bits(b + 16, e % 32, in_32, 1) << 4;
        return half(b) * packed_scale(b + 4, in_32) * q - half(b + 2) * packed_scale(b + 4, 8 + in_32);
    }
    case QUANT_Q6_K: {
        int low = bits(b, 64 * in_128 + rest % 64, rest / 64 * 4, 4), high = bits(b + 128, pair, pair_shift, 2);
        return half(b + 208) * (int8_t)b[192 + in_16] * ((low | high << 4) - 32);
    }
    default: return reference_small_block(type, b, e);
    }
}

/* Random blocks of sane values: a random half that lands in a scale could be infinite, or 10^4 times its neighbours. */
static void random_blocks(size_t t, uint8_t *blocks, size_t n_blocks, uint64_t *random) {
    static const int half_offsets[QUANT_TYPE_LIMIT][2] = {
        [QUANT_F16] = {0, 0},    [QUANT_Q4_0] = {0, 0}, [QUANT_Q4_1] = {0, 2},     [QUANT_Q5_0] = {0, 0},
        [QUANT_Q5_1] = {0, 2},   [QUANT_Q8_0] = {0, 0}, [QUANT_Q2_K] = {80, 82},   [QUANT_Q3_K] = {108, 108},
        [QUANT_Q4_K] = {0, 2},   [QUANT_Q5_K] = {0, 2}, [QUANT_Q6_K] = {208, 208}, [QUANT_IQ4_NL] = {0, 0},
        [QUANT_IQ4_XS] = {0, 0},
    };
    for (size_t i = 0; i < n_blocks * types[t].bytes; i++) blocks[i] = (uint8_t)random_u64(random);
    for (uint8_t *block = blocks; block < blocks + n_blocks * types[t].bytes; block += types[t].bytes) {
        if (types[t].type == QUANT_F32 || types[t].type == QUANT_BF16) {
            float value = random_float(random);
            memcpy(block, (const uint8_t *)&value + (4 - types[t].bytes), types[t].bytes);
            continue;
        }
        for (size_t i = 0; i < 2; i++) {
            uint16_t scale = (uint16_t)(0x2000 + random_u64(random) % 0x1000); /* 2^-7 to 2^-3 */
            memcpy(block + half_offsets[types[t].type][i], &scale, sizeof scale);
        }
    }
}

/* -------------------------------------------------------------------------------------------- dequantization */

static void assert_dequantized(size_t t, const uint8_t *blocks, const float *got, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *block = blocks + i / types[t].elements * types[t].bytes;
        float want = (float)reference_element(types[t].type, block, i % types[t].elements);
        if (isnan(want) ? !isnan(got[i]) : bits_from_float(got[i]) != bits_from_float(want))
            fail_msg("%s: element %zu is %.9g, which should be %.9g", types[t].name, i, (double)got[i], (double)want);
    }
}

/* Blocks of any bits at all, at an odd address. */
static void dequantize_is_exact(void **state) {
    (void)state;
    uint64_t random = 1;
    for (size_t t = 0; t < N_TYPES; t++) {
        const size_t n_blocks = 64, n = n_blocks * types[t].elements, n_bytes = n_blocks * types[t].bytes;
        uint8_t *room = malloc(n_bytes + 1), *blocks = room + 1;
        assert_non_null(room);
        float *got = guarded_new(n);
        for (int round = 0; round < 8; round++) {
            for (size_t i = 0; i < n_bytes; i++) blocks[i] = (uint8_t)random_u64(&random);
            kernels->dequantize[types[t].type](blocks, got, n);
            assert_dequantized(t, blocks, got, n);
        }
        guarded_free(got, n);
        free(room);
    }
}

/* The example that docs/03-tensors-and-quantization.md works out by hand. */
static void dequantize_matches_the_documented_example(void **state) {
    (void)state;
    static const uint8_t q4_0[18] = {0xA7, 0x28, 0xDE, 0x87, 0xB3, 0xAA, 0x4B, 0xB6, 0xA7,
                                     0x5A, 0x60, 0x2D, 0x4B, 0x89, 0xD6, 0xA8, 0x72, 0x89};
    static const uint8_t q8_0[34] = {0xB0, 0x18, 0x5D, 0xEC, 0xAA, 0x1C, 0x2C, 0xDB, 0xEE, 0x1A, 0x81, 0x49,
                                     0x2B, 0x14, 0xE0, 0x00, 0xA0, 0x09, 0x55, 0xFE, 0x2E, 0x19, 0xBA, 0x35,
                                     0x1B, 0xCB, 0xE5, 0x9F, 0xBC, 0x04, 0x4C, 0x1C, 0xF4, 0x03};
    static const struct {
        size_t element;
        float q4_0, q8_0;
    } documented[] = {{0, 14 - 8, 93}, {1, 7 - 8, -20}, {8, 0 - 8, -127}, {16, 13 - 8, 85}, {24, 6 - 8, -27}};
    float from_q4_0[32], from_q8_0[32];
    kernels->dequantize[QUANT_Q4_0](q4_0, from_q4_0, 32);
    kernels->dequantize[QUANT_Q8_0](q8_0, from_q8_0, 32);
    for (size_t i = 0; i < sizeof documented / sizeof *documented; i++) {
        assert_float_equal(from_q4_0[documented[i].element], documented[i].q4_0 * 0.036346435546875f, 0);
        assert_float_equal(from_q8_0[documented[i].element], documented[i].q8_0 * 0.002288818359375f, 0);
    }
}

static void dequantize_matches_the_shared_data(void **state) {
    (void)state;
    size_t n_checked = 0;
    for (size_t t = 0; t < N_TYPES; t++) {
        char name[64];
        snprintf(name, sizeof name, "dequant/%s.blocks", types[t].name);
        const char *blocks_path = shared_file(name);
        if (!blocks_path) continue;
        snprintf(name, sizeof name, "dequant/%s.f32", types[t].name);
        const char *floats_path = shared_file(name);
        assert_non_null(floats_path);
        size_t n_block_bytes, n_float_bytes;
        unsigned char *blocks = read_file(blocks_path, &n_block_bytes), *want = read_file(floats_path, &n_float_bytes);
        size_t n = n_block_bytes / types[t].bytes * types[t].elements;
        assert_int_equal(n_float_bytes, n * sizeof(float));
        float *got = guarded_new(n);
        kernels->dequantize[types[t].type](blocks, got, n);
        if (memcmp(got, want, n_float_bytes) != 0) fail_msg("%s differs from the shared floats", types[t].name);
        guarded_free(got, n);
        free(blocks);
        free(want);
        n_checked++;
    }
    if (n_checked == 0) skip();
    assert_int_equal(n_checked, N_TYPES - 1); /* F32 needs none */
}

static void dequantize_has_an_entry_for_each_computable_type_alone(void **state) {
    (void)state;
    for (uint32_t number = 0; number < QUANT_TYPE_LIMIT; number++) {
        const quant_layout *layout = quant_type_layout(number);
        assert_int_equal(kernels->dequantize[number] != NULL, layout && layout->computable);
    }
}

/* ----------------------------------------------------------------------------------- matrix multiplication */

typedef struct problem {
    matrix w;
    uint8_t *blocks; /* of w, after one byte that makes their address odd */
    float *x;        /* [n_batch][n_columns] */
    size_t n_batch;
} problem;

static problem problem_new(size_t t, uint32_t n_rows, uint32_t n_columns, size_t n_batch, uint64_t *random) {
    const size_t row_blocks = n_columns / types[t].elements;
    problem p = {.blocks = malloc(n_rows * row_blocks * types[t].bytes + 1), .n_batch = n_batch};
    assert_non_null(p.blocks);
    random_blocks(t, p.blocks + 1, n_rows * row_blocks, random);
    p.w = (matrix){p.blocks + 1, types[t].type, n_rows, n_columns, row_blocks * types[t].bytes};
    p.x = random_floats(n_batch * n_columns, random);
    return p;
}

static void problem_free(problem *p) {
    guarded_free(p->x, p->n_batch * p->w.n_columns);
    free(p->blocks);
}

static float reference_product(const problem *p, size_t t, size_t row, size_t b) {
    const uint8_t *blocks = (const uint8_t *)p->w.data + row * p->w.row_bytes;
    double sum = 0;
    for (size_t c = 0; c < p->w.n_columns; c++) {
        const uint8_t *block = blocks + c / types[t].elements * types[t].bytes;
        sum += reference_element(types[t].type, block, c % types[t].elements) * (double)p->x[b * p->w.n_columns + c];
    }
    return (float)sum;
}

/* Rows [first, end) of the columns [first_b, first_b + n_b) of x, into out[b][row], which has out_stride. The scratch is
 * the kernel's own poisoned one, and x moves to another address and stride. */
static void multiply(const problem *p, uint32_t first, uint32_t end, size_t first_b, size_t n_b, size_t extra_stride,
                     float *out, size_t out_stride) {
    const size_t n_columns = p->w.n_columns, stride = n_columns + extra_stride;
    const size_t n_scratch = kernels->matmul_scratch_floats(p->w.n_columns), n_x = n_b * stride;
    float *scratch = guarded_new(n_scratch), *x = guarded_new(n_x);
    for (size_t b = 0; b < n_b; b++) memcpy(x + b * stride, p->x + (first_b + b) * n_columns, n_columns * sizeof *x);
    kernels->matmul(&p->w, first, end, x, stride, n_b, out + first_b * out_stride, out_stride, scratch);
    guarded_free(x, n_x);
    guarded_free(scratch, n_scratch);
}

static void matmul_is_right_for_every_type_and_tail(void **state) {
    (void)state;
    static const uint32_t columns_of_floats[] = {1, 7, 8, 9, 31, 300}, columns_of_blocks[] = {1, 2, 3};
    uint64_t random = 2;
    for (size_t t = 0; t < N_TYPES; t++) {
        const int floats = types[t].elements == 1;
        const uint32_t *columns = floats ? columns_of_floats : columns_of_blocks;
        for (size_t c = 0; c < (floats ? 6 : 3); c++) {
            for (uint32_t n_rows = 1; n_rows <= 13; n_rows += 3) {
                const size_t n_batch = 3;
                problem p = problem_new(t, n_rows, columns[c] * (uint32_t)types[t].elements, n_batch, &random);
                float *out = guarded_new(n_batch * n_rows), *want = guarded_new(n_batch * n_rows);
                multiply(&p, 0, n_rows, 0, n_batch, 0, out, n_rows);
                for (size_t i = 0; i < n_batch * n_rows; i++)
                    want[i] = reference_product(&p, t, i % n_rows, i / n_rows);
                assert_close(out, want, n_batch * n_rows, types[t].name);
                guarded_free(want, n_batch * n_rows);
                guarded_free(out, n_batch * n_rows);
                problem_free(&p);
            }
        }
    }
}

/* One output at a time, then in batches of 1, 7 and 64 and at random cuts of the rows: the same bits. */
static void matmul_has_the_same_bits_however_it_is_cut(void **state) {
    (void)state;
    enum { ROWS = 37, BATCH = 64, STRIDE = ROWS + 5 };
    static const size_t batches[] = {1, 7, 64};
    uint64_t random = 3;
    for (size_t t = 0; t < N_TYPES; t++) {
        uint32_t n_columns = types[t].elements == 1 ? 67 : 2 * (uint32_t)types[t].elements;
        problem p = problem_new(t, ROWS, n_columns, BATCH, &random);
        float *alone = guarded_new(BATCH * ROWS);
        for (size_t b = 0; b < BATCH; b++)
            for (uint32_t row = 0; row < ROWS; row++) multiply(&p, row, row + 1, b, 1, 0, alone, ROWS);

        for (size_t k = 0; k < 3; k++) {
            float *out = guarded_new(BATCH * STRIDE);
            for (uint32_t first = 0, end; first < ROWS; first = end) {
                end = first + 1 + (uint32_t)(random_u64(&random) % 15);
                if (end > ROWS) end = ROWS;
                for (size_t b = 0; b < BATCH; b += batches[k]) {
                    size_t n_b = BATCH - b < batches[k] ? BATCH - b : batches[k];
                    multiply(&p, first, end, b, n_b, random_u64(&random) % 9, out, STRIDE);
                }
            }
            for (size_t b = 0; b < BATCH; b++) {
                if (memcmp(out + b * STRIDE, alone + b * ROWS, ROWS * sizeof *out) != 0)
                    fail_msg("%s: batches of %zu give other bits than one token", types[t].name, batches[k]);
                for (size_t i = ROWS; i < STRIDE; i++) assert_true(is_poison(out + b * STRIDE + i));
            }
            guarded_free(out, BATCH * STRIDE);
        }
        guarded_free(alone, BATCH * ROWS);
        problem_free(&p);
    }
}

static void matmul_writes_its_rows_alone(void **state) {
    (void)state;
    uint64_t random = 4;
    problem p = problem_new(0, 20, 24, 2, &random);
    float *out = guarded_new(2 * 20);
    multiply(&p, 6, 13, 0, 2, 0, out, 20);
    for (size_t i = 0; i < 2 * 20; i++) assert_int_equal(is_poison(out + i), i % 20 < 6 || i % 20 >= 13);
    guarded_free(out, 2 * 20);
    problem_free(&p);
}

/* --------------------------------------------------------------------------------------------- vector kernels */

/* Lengths with every tail, and one of a real model. */
static const size_t lengths[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257, 4096};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

static void dot_is_right(void **state) {
    (void)state;
    uint64_t random = 5;
    const float none = 1;
    assert_float_equal(kernels->dot(&none, &none, 0), 0, 0);
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *a = random_floats(n, &random), *b = random_floats(n + 1, &random);
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = fabsf(a[i]); /* no cancellation: the error is relative to the sum */
            b[i + 1] = fabsf(b[i + 1]);
            sum += (double)a[i] * (double)b[i + 1];
        }
        float got = kernels->dot(a, b + 1, n), want = (float)sum;
        assert_close(&got, &want, 1, "dot");
        memmove(b, b + 1, n * sizeof *b);
        float moved = kernels->dot(a, b, n);
        assert_memory_equal(&got, &moved, sizeof got); /* at any address */
        guarded_free(a, n);
        guarded_free(b, n + 1);
    }
}

static void axpy_is_right(void **state) {
    (void)state;
    uint64_t random = 6;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *x = random_floats(n, &random), *y = random_floats(n, &random), *want = guarded_new(n);
        for (size_t i = 0; i < n; i++) want[i] = (float)((double)y[i] - 0.3125 * (double)x[i]);
        kernels->axpy(-0.3125f, x, y, n);
        assert_close(y, want, n, "axpy");
        guarded_free(x, n);
        guarded_free(y, n);
        guarded_free(want, n);
    }
}

static void rms_norm_is_right_and_works_in_place(void **state) {
    (void)state;
    uint64_t random = 7;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *x = random_floats(n, &random), *weight = random_floats(n, &random);
        float *out = guarded_new(n), *want = guarded_new(n);
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
        for (size_t i = 0; i < n; i++)
            want[i] = (float)((double)x[i] / sqrt(sum / (double)n + 0.0625) * (double)weight[i]);
        kernels->rms_norm(x, weight, 0.0625f, n, out);
        assert_close(out, want, n, "rms_norm");
        kernels->rms_norm(x, weight, 0.0625f, n, x);
        assert_memory_equal(x, out, n * sizeof *x);
        guarded_free(x, n);
        guarded_free(weight, n);
        guarded_free(out, n);
        guarded_free(want, n);
    }
}

/* Scores far apart and far from zero: without subtracting the maximum, exp would overflow. */
static void softmax_is_right(void **state) {
    (void)state;
    uint64_t random = 8;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *x = random_floats(n, &random), *want = guarded_new(n);
        double max = -INFINITY, sum = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = 500 + 20 * x[i];
            max = fmax(max, (double)x[i]);
        }
        for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - max);
        for (size_t i = 0; i < n; i++) want[i] = (float)(exp((double)x[i] - max) / sum);
        kernels->softmax(x, n);
        assert_close(x, want, n, "softmax");
        guarded_free(x, n);
        guarded_free(want, n);
    }
}

static void swiglu_is_right(void **state) {
    (void)state;
    uint64_t random = 9;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *gate = random_floats(n, &random), *up = random_floats(n, &random), *want = guarded_new(n);
        for (size_t i = 0; i < n; i++) {
            gate[i] *= 10;
            want[i] = (float)((double)gate[i] / (1 + exp(-(double)gate[i])) * (double)up[i]);
        }
        kernels->swiglu(gate, up, n);
        assert_close(gate, want, n, "swiglu");
        guarded_free(gate, n);
        guarded_free(up, n);
        guarded_free(want, n);
    }
    float extremes[] = {-1000, 1000, 0}, ones[] = {1, 1, 1};
    kernels->swiglu(extremes, ones, 3);
    assert_float_equal(extremes[0], 0, 0);
    assert_float_equal(extremes[1], 1000, 0);
    assert_float_equal(extremes[2], 0, 0);
}

static void rope_is_right(void **state) {
    (void)state;
    uint64_t random = 10;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *x = random_floats(2 * n, &random), *cosines = guarded_new(n), *sines = guarded_new(n);
        float *want = guarded_new(2 * n);
        for (size_t j = 0; j < n; j++) {
            double angle = 3 * (double)random_float(&random);
            cosines[j] = (float)cos(angle);
            sines[j] = (float)sin(angle);
            want[2 * j] = (float)((double)x[2 * j] * cos(angle) - (double)x[2 * j + 1] * sin(angle));
            want[2 * j + 1] = (float)((double)x[2 * j] * sin(angle) + (double)x[2 * j + 1] * cos(angle));
        }
        kernels->rope(x, cosines, sines, n);
        assert_close(x, want, 2 * n, "rope");
        guarded_free(x, 2 * n);
        guarded_free(cosines, n);
        guarded_free(sines, n);
        guarded_free(want, 2 * n);
    }
}

/* Every half but the NaNs, there and back, and floats that need rounding; in runs of all lengths. */
static void f16_conversions_are_those_of_half_h(void **state) {
    (void)state;
    uint64_t random = 11;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        uint16_t *halfs = malloc(n * sizeof *halfs);
        assert_non_null(halfs);
        float *floats = guarded_new(n);
        for (uint32_t first = 0; first < 0x10000; first += (uint32_t)n) {
            for (size_t i = 0; i < n; i++) {
                halfs[i] = (uint16_t)(first + i);
                if ((halfs[i] & 0x7FFF) > 0x7C00) halfs[i] = 0;
            }
            kernels->f16_to_f32(halfs, floats, n);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(bits_from_float(floats[i]), bits_from_float(f32_from_f16(halfs[i])));
                floats[i] *= 1 + random_float(&random) / 4096;
            }
            kernels->f32_to_f16(floats, halfs, n);
            for (size_t i = 0; i < n; i++) assert_int_equal(halfs[i], f16_from_f32(floats[i]));
        }
        guarded_free(floats, n);
        free(halfs);
    }
}

/* --------------------------------------------------------------------------------------------------- dispatch */

static void every_name_selects_its_kernels(void **state) {
    (void)state;
    assert_non_null(kernels_select(NULL));
    assert_null(kernels_select(""));
    assert_null(kernels_select("scalar "));
    assert_null(kernels_select("sse9"));
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        const cpu_kernels *selected = kernels_select(isas[i].name);
        if (selected) assert_string_equal(selected->name, isas[i].name);
        assert_non_null(strstr(kernels_names(), isas[i].name));
    }
}

int main(void) {
    const struct CMUnitTest dispatch_tests[] = {cmocka_unit_test(every_name_selects_its_kernels)};
    const struct CMUnitTest kernel_tests[] = {
        cmocka_unit_test(dequantize_is_exact),
        cmocka_unit_test(dequantize_matches_the_documented_example),
        cmocka_unit_test(dequantize_matches_the_shared_data),
        cmocka_unit_test(dequantize_has_an_entry_for_each_computable_type_alone),
        cmocka_unit_test(matmul_is_right_for_every_type_and_tail),
        cmocka_unit_test(matmul_has_the_same_bits_however_it_is_cut),
        cmocka_unit_test(matmul_writes_its_rows_alone),
        cmocka_unit_test(dot_is_right),
        cmocka_unit_test(axpy_is_right),
        cmocka_unit_test(rms_norm_is_right_and_works_in_place),
        cmocka_unit_test(softmax_is_right),
        cmocka_unit_test(swiglu_is_right),
        cmocka_unit_test(rope_is_right),
        cmocka_unit_test(f16_conversions_are_those_of_half_h),
    };
    int n_failed = cmocka_run_group_tests_name("dispatch", dispatch_tests, NULL, NULL);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        isa = &isas[i];
        kernels = kernels_select(isa->name);
        if (kernels) n_failed += cmocka_run_group_tests_name(isa->name, kernel_tests, NULL, NULL);
    }
    return n_failed != 0;
}
