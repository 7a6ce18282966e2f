/* Every entry of the kernel table, for each instruction set that this CPU has: right results, the same bits however
 * the work is cut, and no byte written or read that is not the kernel's own. The reference is arithmetic in double,
 * straight from the formulas, and a decoder that picks one element's bits at a time.
 */
#include "support/bench_kernels.h"
#include "support/check.h"
#include "support/random_blocks.h"

#include "base/half.h"
#include "cpu/interleave.h"
#include "cpu/kernels.h"
#include "gguf/codebooks.h"
#include "model/kv_store.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cpu_kernels *kernels; /* of the instruction set under test */

/* The largest normalised mean squared error of a kernel that computes in float, of sums of thousands of products, of
 * attention, whose scores are rounded before they become exponents, and of products with activations of 8 bits. */
#define FLOAT_LIMIT     1e-12
#define PRODUCT_LIMIT   1e-11
#define ATTENTION_LIMIT 1e-10
#define QUANTIZED_LIMIT 1e-4

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

static void assert_within(const float *got, const float *want, size_t n, double limit, const char *what) {
    double error = nmse(got, want, n);
    if (!(error <= limit)) fail_msg("%s, %zu values: NMSE %.3g is above %.3g", what, n, error, limit);
}

static void assert_close(const float *got, const float *want, size_t n, const char *what) {
    assert_within(got, want, n, FLOAT_LIMIT, what);
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

/* 64-byte aligned, with as many guard bytes before and after, and poison inside. */
static uint8_t *aligned_new(size_t n_bytes) {
    const size_t whole = (n_bytes + 63) / 64 * 64 + 128;
    uint8_t *base = aligned_alloc(64, whole);
    assert_non_null(base);
    memset(base, 0xFF, whole);
    return base + 64;
}

static void aligned_free(uint8_t *data, size_t n_bytes) {
    for (size_t i = 0; i < 64; i++)
        if (data[-1 - (ptrdiff_t)i] != 0xFF || data[n_bytes + i] != 0xFF)
            fail_msg("written outside a buffer of %zu bytes", n_bytes);
    free(data - 64);
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

/* `count` bits from bit `first` on, of bytes that begin with their low bits. */
static int bit_field(const uint8_t *bytes, size_t first, unsigned count) {
    int value = 0;
    for (unsigned i = 0; i < count; i++) value |= bits(bytes, (first + i) / 8, (first + i) % 8, 1) << i;
    return value;
}

/* Element e of the eight, or four, whose entry this is. */
static int code_of_eight(uint16_t entry, size_t e) {
    static const int nibbles[4] = {0, 2, 1, 3};
    return entry >> 4 * nibbles[e % 4] >> e / 4 * 2 & 3;
}
static int code_of_four(uint16_t entry, size_t e) { return code_of_eight(entry, e) | code_of_eight(entry, e + 4) << 2; }

/* The sign of element e of eight, of which the last one makes the number of minus signs even. */
static int sign_of_seven(int seven, size_t e) {
    int odd = 0;
    for (size_t i = 0; i < 7; i++) odd ^= seven >> i & 1;
    return (e < 7 ? seven >> e & 1 : odd) ? -1 : 1;
}

static int sign_bit(const uint8_t *signs, size_t e) { return bit_field(signs, e, 1) ? -1 : 1; }

static double reference_iq2(quant_type type, const uint8_t *b, size_t e) {
    static const int levels[4] = {8, 25, 43};
    const size_t eight = e / 8;
    int level, sign, scale;
    if (type == QUANT_IQ2_XXS) {
        const uint8_t *sub_block = b + 2 + e / 32 * 8;
        scale = bit_field(sub_block + 4, 28, 4);
        level = levels[code_of_eight(codebook_IQ2_XXS[sub_block[eight % 4]], e % 8)];
        sign = sign_of_seven(bit_field(sub_block + 4, eight % 4 * 7, 7), e % 8);
    } else if (type == QUANT_IQ2_XS) {
        level = levels[code_of_eight(codebook_IQ2_XS[bit_field(b + 2, 16 * eight, 9)], e % 8)];
        sign = sign_of_seven(bit_field(b + 2, 16 * eight + 9, 7), e % 8);
        scale = bits(b + 66, e / 32, e / 16 % 2 * 4, 4);
    } else {
        const int entry = b[2 + eight] | bit_field(b + 66, 2 * eight, 2) << 8;
        level = levels[code_of_eight(codebook_IQ2_S[entry], e % 8)];
        sign = sign_bit(b + 34, e);
        scale = bits(b + 74, e / 32, e / 16 % 2 * 4, 4);
    }
    return half(b) * (0.5 + scale) / 4 * level * sign;
}

static double reference_iq3(quant_type type, const uint8_t *b, size_t e) {
    static const int levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    const size_t four = e / 4, sub_block = e / 32;
    if (type == QUANT_IQ3_XXS) {
        const uint8_t *signs = b + 66 + 4 * sub_block;
        const int level = levels[code_of_four(codebook_IQ3_XXS[b[2 + four]], e % 4)];
        return half(b) * (0.5 + bit_field(signs, 28, 4)) / 2 * level *
               sign_of_seven(bit_field(signs, e / 8 % 4 * 7, 7), e % 8);
    }
    const int entry = b[2 + four] | bit_field(b + 66, four, 1) << 8;
    return half(b) * (1 + 2 * bit_field(b + 106, 4 * sub_block, 4)) *
           (1 + 2 * code_of_four(codebook_IQ3_S[entry], e % 4)) * sign_bit(b + 74, e);
}

static double reference_iq1(quant_type type, const uint8_t *b, size_t e) {
    const size_t eight = e / 8, in_16 = e / 16, in_32 = e / 32;
    if (type == QUANT_IQ1_S) {
        const int entry = b[2 + eight] | bit_field(b + 34, 16 * in_32 + 3 * (eight % 4), 3) << 8;
        const double shift = bit_field(b + 34, 16 * in_32 + 15, 1) ? -0.125 : 0.125;
        return half(b) * (1 + 2 * bit_field(b + 34, 16 * in_32 + 12, 3)) *
               (code_of_eight(codebook_IQ1[entry], e % 8) - 1 + shift);
    }
    const int entry = b[eight] | bit_field(b + 32, 4 * eight, 3) << 8;
    const double shift = bit_field(b + 32, 4 * eight + 3, 1) ? -0.125 : 0.125;
    const uint8_t scale[2] = {(uint8_t)(bit_field(b + 48, 12, 4) | bit_field(b + 48, 28, 4) << 4),
                              (uint8_t)(bit_field(b + 48, 44, 4) | bit_field(b + 48, 60, 4) << 4)};
    return half(scale) * (1 + 2 * bit_field(b + 48, in_16 / 4 * 16 + in_16 % 4 * 3, 3)) *
           (code_of_eight(codebook_IQ1[entry], e % 8) - 1 + shift);
}

static double reference_fp4(quant_type type, const uint8_t *b, size_t e) {
    static const double values[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6};
    if (type == QUANT_MXFP4) return ldexp(values[nibble(b + 1, e)], b[0] - 127);
    const int scale = b[e / 16], exponent = bits(b, e / 16, 3, 4), mantissa = bits(b, e / 16, 0, 3);
    const double value = values[bits(b + 4 + e / 16 * 8, e % 8, e % 16 / 8 * 4, 4)];
    if (scale == 0x7F) return 0 * value;
    return value * (exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9));
}

/* Digit `digit` of a fraction in base 3. */
static int ternary(int byte, size_t digit) {
    for (size_t i = 0; i < digit; i++) byte = byte * 3 % 256;
    return byte * 3 / 256;
}

static double reference_ternary(quant_type type, const uint8_t *b, size_t e) {
    if (type == QUANT_TQ2_0) return half(b + 64) * (bits(b, e / 128 * 32 + e % 32, e % 128 / 32 * 2, 2) - 1);
    const int digit = e < 160   ? ternary(b[e % 32], e / 32)
                      : e < 240 ? ternary(b[32 + e % 16], (e - 160) / 16)
                                : ternary(b[48 + e % 4], (e - 240) / 4);
    return half(b + 52) * (digit - 1);
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
    case QUANT_IQ1_S:
    case QUANT_IQ1_M: return reference_iq1(type, b, e);
    case QUANT_IQ2_XXS:
    case QUANT_IQ2_XS:
    case QUANT_IQ2_S: return reference_iq2(type, b, e);
    case QUANT_IQ3_XXS:
    case QUANT_IQ3_S: return reference_iq3(type, b, e);
    case QUANT_TQ1_0:
    case QUANT_TQ2_0: return reference_ternary(type, b, e);
    case QUANT_MXFP4:
    case QUANT_NVFP4: return reference_fp4(type, b, e);
    default: return reference_small_block(type, b, e);
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

/* Hashes (FNV-1a) of their numbers: they are ggml's, which the shared data tell, and stay so where that is missing. */
static void codebooks_are_as_they_were(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const uint16_t *entries;
        size_t n;
        uint64_t hash;
    } books[] = {
        {"IQ2_XXS", codebook_IQ2_XXS, 256, 0x5430f87101fd59e6}, {"IQ2_XS", codebook_IQ2_XS, 512, 0x40781fa60040b0d6},
        {"IQ2_S", codebook_IQ2_S, 1024, 0x505a0c882d23f60e},    {"IQ3_XXS", codebook_IQ3_XXS, 256, 0x2a296d8413e79319},
        {"IQ3_S", codebook_IQ3_S, 512, 0xc600c5aeed0f7a5c},     {"IQ1", codebook_IQ1, 2048, 0x9f1e6af36fb7d665},
    };
    for (size_t i = 0; i < sizeof books / sizeof *books; i++) {
        uint64_t hash = 0xcbf29ce484222325;
        for (size_t k = 0; k < books[i].n; k++) hash = (hash ^ books[i].entries[k]) * 0x100000001b3;
        if (hash != books[i].hash) fail_msg("the codebook of %s has changed", books[i].name);
        assert_int_equal(books[i].entries[books[i].n], 0);
    }
}

static void dequantize_has_an_entry_for_each_computable_type_alone(void **state) {
    (void)state;
    for (uint32_t number = 0; number < QUANT_TYPE_LIMIT; number++) {
        const quant_layout *layout = quant_type_layout(number);
        assert_int_equal(kernels->dequantize[number] != NULL, layout && layout->computable);
    }
}

/* ----------------------------------------------------------------------------------- matrix multiplication */

/* A matrix, as a file has it at an odd address and, where its type can be, interleaved too; and a batch of vectors. */
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

/* energy: out, added to: the squares of the products, which do not cancel as their sum may. */
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

/* Rows [first, end) of w times the columns [first_b, first_b + n_b) of x, into out[b][row], which has out_stride. The
 * scratch is poisoned, and x lies at another address. */
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

static void matmul_is_right_for_every_type_and_tail(void **state) {
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
            /* one product alone may be off by several times the mean of many */
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

/* Beside others they would not show. */
static void subnormal_scales_count(void **state) {
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

/* A token and a group of rows at a time, then in batches and random cuts of the rows: the same bits. */
static void matmul_has_the_same_bits_however_it_is_cut(void **state) {
    (void)state;
    enum { ROWS = 85, BATCH = 300, STRIDE = ROWS + 5 };
    static const size_t batches[] = {2, 3, 5, 7, 16, 17, 64, 300};
    uint64_t random = 3, draw = test_seed();
    for (size_t t = 0; t < N_TYPES; t++) {
        if (test_leaves_out(&draw)) continue;
        problem p = problem_new(t, ROWS, types[t].elements == 1 ? 67 : 1280, BATCH, &random);
        float *alone = guarded_new(BATCH * ROWS);
        for (size_t b = 0; b < BATCH; b++)
            for (uint32_t row = 0; row < ROWS; row += ROW_GROUP)
                multiply(&p, &p.w, row, row + ROW_GROUP < ROWS ? row + ROW_GROUP : ROWS, b, 1, alone, ROWS);

        for (size_t k = 0; k < sizeof batches / sizeof *batches; k++) {
            float *out = guarded_new(BATCH * STRIDE);
            for (uint32_t first = 0, end; first < ROWS; first = end) {
                end = first + ROW_GROUP * (1 + (uint32_t)(random_u64(&random) % 4));
                if (end > ROWS) end = ROWS;
                for (size_t b = 0; b < BATCH; b += batches[k]) {
                    size_t n_b = BATCH - b < batches[k] ? BATCH - b : batches[k];
                    multiply(&p, random_u64(&random) % 2 ? &p.w : &p.interleaved, first, end, b, n_b, out, STRIDE);
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

static void rows_come_back_from_an_interleaved_matrix(void **state) {
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

/* --------------------------------------------------------------------------------------------- vector kernels */

/* Lengths with every tail, and one of a real model. */
static const size_t lengths[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257, 4096};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

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

static void add_is_right(void **state) {
    (void)state;
    uint64_t random = 6;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        float *sum = random_floats(n, &random), *x = random_floats(n, &random), *want = guarded_new(n);
        for (size_t i = 0; i < n; i++) want[i] = sum[i] + x[i];
        kernels->add(sum, x, n);
        assert_memory_equal(sum, want, n * sizeof *sum);
        guarded_free(sum, n);
        guarded_free(x, n);
        guarded_free(want, n);
    }
}

static const float numbers[ACTIVATION_NUMBERS] = {0.9f, 1.7f, 0.5f, -1e-6f};

/* The activations' definitions, in double (families.h). */
static double activated(activation which, double gate, double up) {
    const double gelu = 0.5 * gate * (1 + tanh(sqrt(2 / acos(-1)) * (gate + 0.044715 * gate * gate * gate)));
    const double gelu_erf = gate * erfc(-gate / sqrt(2)) / 2;
    const double clamped = fmin(gate, 7);
    const double a = (double)numbers[0], b = (double)numbers[1], c = (double)numbers[2], d = (double)numbers[3];
    switch (which) {
    case SWIGLU: return gate / (1 + exp(-gate)) * up;
    case GEGLU: return gelu * up;
    case GELU: return gelu;
    case SILU: return gate / (1 + exp(-gate));
    case RELU_SQUARED: return fmax(gate, 0) * fmax(gate, 0);
    case REGLU: return fmax(gate, 0) * up;
    case LIMITED_SWIGLU: return fmin(gate / (1 + exp(-gate)), a) * fmax(-a, fmin(up, a));
    case XIELU: return c * gate + (gate > 0 ? a * gate * gate : b * (expm1(fmin(gate, d)) - gate));
    case GEGLU_ERF: return gelu_erf * up;
    case GELU_ERF: return gelu_erf;
    case CLAMPED_SWIGLU: return clamped / (1 + exp(-1.702 * clamped)) * (fmax(-7, fmin(up, 7)) + 1);
    }
    return NAN;
}

static void activations_are_right(void **state) {
    (void)state;
    uint64_t random = 9;
    for (int which = SWIGLU; which <= LAST_ACTIVATION; which++)
        for (size_t k = 0; k < N_LENGTHS; k++) {
            const size_t n = lengths[k];
            float *gate = random_floats(n, &random), *up = random_floats(n, &random), *want = guarded_new(n);
            if (n > 0) gate[0] = fabsf(gate[0]); /* so that something is left of one element */
            for (size_t i = 0; i < n; i++) {
                gate[i] *= 10;
                up[i] *= 10;
                want[i] = (float)activated((activation)which, (double)gate[i], (double)up[i]);
            }
            kernels->activate((activation)which, numbers, gate, activation_has_gate((activation)which) ? up : NULL, n);
            assert_close(gate, want, n, "activation");
            guarded_free(gate, n);
            guarded_free(up, n);
            guarded_free(want, n);
        }
    float extremes[] = {-1000, 1000, 0, NAN}, ones[] = {1, 1, 1, 1};
    kernels->activate(SWIGLU, NULL, extremes, ones, 4);
    assert_float_equal(extremes[0], 0, 0);
    assert_float_equal(extremes[1], 1000, 0);
    assert_float_equal(extremes[2], 0, 0);
    assert_true(isnan(extremes[3]));
    for (float v = -86; v < 86; v += 0.37f) { /* each is as exact as its own size asks for */
        float got = v, one = 1;
        const double want = (double)v / (1 + exp(-(double)v));
        kernels->activate(SWIGLU, NULL, &got, &one, 1);
        if (!(fabs((double)got - want) <= 4e-7 * fabs(want)))
            fail_msg("silu(%.9g) is %.9g, which should be %.9g", (double)v, (double)got, want);
    }
}

/* Near 0 it is x / 2, and far below it vanishes. */
static void gelu_is_exact_by_its_size(void **state) {
    (void)state;
    for (float v = -6; v < 6; v += 0.037f) {
        float got = v;
        const double want = activated(GELU_ERF, (double)v, 0);
        kernels->activate(GELU_ERF, NULL, &got, NULL, 1);
        if (!(fabs((double)got - want) <= 3e-7 * fmax(fabs((double)v), 1e-3)))
            fail_msg("gelu(%.9g) is %.9g, which should be %.9g", (double)v, (double)got, want);
    }
}

static void layer_norm_is_right_and_works_in_place(void **state) {
    (void)state;
    uint64_t random = 16;
    for (size_t k = 1; k < N_LENGTHS; k++) { /* of one element there is nothing left */
        const size_t n = lengths[k];
        float *x = random_floats(n, &random), *weight = random_floats(n, &random);
        float *out = guarded_new(n), *want = guarded_new(n);
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++) sum += (double)(x[i] += 3); /* far from zero, where squares alone would not do */
        for (size_t i = 0; i < n; i++) squares += pow((double)x[i] - sum / (double)n, 2);
        for (size_t i = 0; i < n; i++)
            want[i] =
                (float)(((double)x[i] - sum / (double)n) / sqrt(squares / (double)n + 0.0625) * (double)weight[i]);
        kernels->layer_norm(x, weight, 0.0625f, n, out);
        assert_close(out, want, n, "layer_norm");
        kernels->layer_norm(x, weight, 0.0625f, n, x);
        assert_memory_equal(x, out, n * sizeof *x);
        guarded_free(x, n);
        guarded_free(weight, n);
        guarded_free(out, n);
        guarded_free(want, n);
    }
}

static void rope_is_right(void **state) {
    (void)state;
    uint64_t random = 10;
    for (size_t k = 0; k < 2 * N_LENGTHS; k++) {
        const bool halves = k % 2;
        const size_t n = lengths[k / 2], step = halves ? 1 : 2, across = halves ? n : 1;
        float *x = random_floats(2 * n, &random), *cosines = guarded_new(n), *sines = guarded_new(n);
        float *want = guarded_new(2 * n);
        for (size_t j = 0; j < n; j++) {
            const double angle = 3 * (double)random_float(&random);
            const double first = (double)x[step * j], second = (double)x[step * j + across];
            cosines[j] = (float)cos(angle);
            sines[j] = (float)sin(angle);
            want[step * j] = (float)(first * cos(angle) - second * sin(angle));
            want[step * j + across] = (float)(first * sin(angle) + second * cos(angle));
        }
        (halves ? kernels->rope_halves : kernels->rope)(x, cosines, sines, n);
        assert_close(x, want, 2 * n, "rope");
        guarded_free(x, 2 * n);
        guarded_free(cosines, n);
        guarded_free(sines, n);
        guarded_free(want, 2 * n);
    }
}

/* Around every half but the NaNs, in runs of all lengths. */
static void f16_conversion_is_that_of_half_h(void **state) {
    (void)state;
    uint64_t random = 11;
    for (size_t k = 0; k < N_LENGTHS; k++) {
        const size_t n = lengths[k];
        uint16_t *halfs = malloc(n * sizeof *halfs);
        assert_non_null(halfs);
        float *floats = guarded_new(n);
        for (uint32_t first = 0; first < 0x10000; first += (uint32_t)n) {
            for (size_t i = 0; i < n; i++) {
                uint16_t half = (uint16_t)(first + i);
                if ((half & 0x7FFF) > 0x7C00) half = 0;
                floats[i] = f32_from_f16(half) * (1 + (i % 2 ? random_float(&random) / 4096 : 0));
            }
            kernels->f32_to_f16(floats, halfs, n);
            for (size_t i = 0; i < n; i++) assert_int_equal(halfs[i], f16_from_f32(floats[i]));
        }
        guarded_free(floats, n);
        free(halfs);
    }
}

static void check_quantized(const float *x, const int8_t *quantized, const activation_block *block) {
    float most = 0;
    int32_t sums[2] = {0};
    for (size_t i = 0; i < ACTIVATION_BLOCK; i++) {
        most = fmaxf(most, fabsf(x[i]));
        sums[i / 16] += quantized[i];
    }
    assert_float_equal(block->scale, most / 127, 0);
    assert_int_equal(block->half_sums[0], sums[0]);
    assert_int_equal(block->half_sums[1], sums[1]);
    assert_int_equal(block->sum, sums[0] + sums[1]);
    for (size_t i = 0; i < ACTIVATION_BLOCK; i++)
        if (!(fabs((double)x[i] - (double)block->scale * quantized[i]) <= (double)block->scale * 0.50001 + 1e-30))
            fail_msg("%.9g became %d times %.9g", (double)x[i], quantized[i], (double)block->scale);
}

static void quantize_rounds_to_the_nearest(void **state) {
    (void)state;
    enum { BLOCKS = 64, N = BLOCKS * ACTIVATION_BLOCK };
    uint64_t random = 13;
    float *x = random_floats(N, &random);
    for (size_t i = 0; i < N; i++) x[i] *= powf(10, (float)(i / ACTIVATION_BLOCK % 60) - 35); /* 10^-35 .. 10^24 */
    for (size_t i = 0; i < ACTIVATION_BLOCK; i++) x[i] = 0;
    int8_t *quantized = (int8_t *)aligned_new(N);
    activation_block blocks[BLOCKS];
    kernels->quantize(x, N, quantized, blocks);
    for (size_t i = 0; i < BLOCKS; i++)
        check_quantized(x + i * ACTIVATION_BLOCK, quantized + i * ACTIVATION_BLOCK, &blocks[i]);
    assert_float_equal(blocks[0].scale, 0, 0);
    const float odd[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3 * ACTIVATION_BLOCK; i++) { /* wherever it stands */
        x[i % ACTIVATION_BLOCK] = odd[i / ACTIVATION_BLOCK];
        kernels->quantize(x, ACTIVATION_BLOCK, quantized, blocks);
        if (isfinite(blocks[0].scale)) fail_msg("a scale of %g hides it", (double)blocks[0].scale);
        x[i % ACTIVATION_BLOCK] = 1;
    }
    aligned_free((uint8_t *)quantized, N);
    guarded_free(x, N);
}

/* --------------------------------------------------------------------------------------------------- attention */

/* A context of one head, and queries that see parts of it. */
typedef struct context {
    model_config config;
    layer_config layer;
    cllm_kv_type type;
    uint32_t n_positions;
    uint32_t window; /* that a query sees, or 0 */
    float softcap, slope;
    size_t n_queries;
    double *keys, *values; /* [n_positions][length], as stored */
    float *queries;        /* [n_queries][key_length] */
    uint32_t *n_seen;      /* [n_queries] positions, 1..n_positions */
    arena arena;
    kv_pages pages;
    kv_table table;
    kv_store store;
} context;

/* One element of a row as the type keeps it, and its exact value. */
static double stored_element(cllm_kv_type type, float x, float scale, void *elements, size_t i) {
    if (type == CLLM_KV_F32) {
        ((float *)elements)[i] = x;
        return (double)x;
    }
    if (type == CLLM_KV_F16) {
        ((uint16_t *)elements)[i] = f16_from_f32(x);
        return (double)f32_from_f16(((uint16_t *)elements)[i]);
    }
    ((int8_t *)elements)[i] = (int8_t)lrintf(x / scale);
    return (double)scale * ((int8_t *)elements)[i];
}

typedef void (*put_function)(const kv_chunk *, uint32_t, size_t, size_t, const void *, float);

/* A row of random numbers that `seed` and `position` make, so that they can be stored again. */
static void put_row(const context *c, put_function put, uint32_t position, size_t length, uint64_t seed,
                    double *exact) {
    const kv_chunk chunk = kv_store_chunk(&c->store, &c->table, 0, 0, position / KV_CHUNK);
    uint64_t random = seed + position;
    float elements[KV_SCALE_BLOCK];
    for (size_t first = 0; first < length; first += KV_SCALE_BLOCK) {
        const size_t n = length - first < KV_SCALE_BLOCK ? length - first : KV_SCALE_BLOCK;
        const float scale = (1.5f + random_float(&random)) / 127;
        for (size_t i = 0; i < n; i++)
            exact[first + i] = stored_element(c->type, random_float(&random) * 0.5f, scale, elements, i);
        put(&chunk, position % KV_CHUNK, first, n, elements, scale);
    }
}

enum { WINDOW_BATCH = 40 /* positions whose queries find all that they see */ };

/* The pages hold the first n positions, or the last of them that the queries see, and NaN everywhere else. */
static void fill_pages(context *c, uint32_t n) {
    const kv_size size = {
        .n_ctx = c->n_positions, .n_batch = WINDOW_BATCH, .n_sequences = 1, .n_positions = c->n_positions};
    arena_free(&c->arena);
    cllm_error err;
    c->config.layers = &c->layer;
    assert_ok(kv_pages_create(&c->config, &size, &c->arena, &c->pages, &err), &err);
    assert_ok(kv_table_create(&c->pages, &c->arena, &c->table, &err), &err);
    assert_ok(kv_store_create(&c->config, c->type, 1, &size, &c->arena, &c->store, &err), &err);
    const uint32_t pool = c->window > 0 ? KV_WINDOWED : KV_FULL, n_pages = c->pages.pools[pool].n_pages;
    const uint64_t page_bytes = kv_store_page_bytes(&c->config, c->type, 1, pool);
    assert_true(c->window == 0 || (uint64_t)n_pages * KV_CHUNK < c->window + WINDOW_BATCH + 2 * KV_CHUNK);
    assert_int_equal(kv_store_bytes(&c->config, c->type, 1, &size), n_pages * page_bytes);
    memset(c->store.pools[pool].bytes, 0xFF, n_pages * page_bytes);
    for (uint32_t position = 0; position < n; position++) {
        const size_t k = c->config.key_length, v = c->config.value_length;
        kv_table_drop(&c->table, &c->pages, position < WINDOW_BATCH ? 0 : position + 1 - WINDOW_BATCH);
        kv_table_grow(&c->table, &c->pages, position, position + 1);
        put_row(c, kv_chunk_put_key, position, k, 1000000, c->keys + position * k);
        put_row(c, kv_chunk_put_value, position, v, 2000000, c->values + position * v);
    }
}

static context context_new(cllm_kv_type type, uint32_t key_length, uint32_t value_length, uint32_t n_positions,
                           uint32_t window, size_t n_queries, uint64_t *random) {
    context c = {.config = {.n_layers = 1, .key_length = key_length, .value_length = value_length, .window = window},
                 .layer = {.windowed = window > 0,
                           .n_heads = 1,
                           .n_kv_heads = 1,
                           .key_length = key_length,
                           .value_length = value_length},
                 .type = type,
                 .n_positions = n_positions,
                 .window = window,
                 .n_queries = n_queries,
                 .keys = malloc(n_positions * key_length * sizeof(double)),
                 .values = malloc(n_positions * value_length * sizeof(double)),
                 .queries = random_floats(n_queries * key_length, random),
                 .n_seen = malloc(n_queries * sizeof(uint32_t))};
    assert_true(c.keys && c.values && c.n_seen);
    const uint32_t choices = window && n_positions > WINDOW_BATCH ? WINDOW_BATCH : n_positions;
    for (size_t q = 0; q < n_queries; q++)
        c.n_seen[q] = random_u64(random) % 3 ? n_positions - (uint32_t)(random_u64(random) % choices) : n_positions;
    fill_pages(&c, n_positions);
    return c;
}

static void context_free(context *c) {
    guarded_free(c->queries, c->n_queries * c->config.key_length);
    arena_free(&c->arena);
    free(c->keys);
    free(c->values);
    free(c->n_seen);
}

/* The first position that a query sees. */
static uint32_t first_seen(const context *c, size_t q) {
    return c->window > 0 && c->n_seen[q] > c->window ? c->n_seen[q] - c->window : 0;
}

/* Some queries see positions after their own. */
static uint32_t own_position(const context *c, size_t q) { return q % 3 ? c->n_seen[q] - 1 : c->n_seen[q] / 2; }

static float slope_of(const context *c, size_t q) { return c->slope * (float)(q % 4); }

static uint32_t within_chunk(uint32_t position, uint32_t first) {
    return position <= first ? 0 : position - first < KV_CHUNK ? position - first : KV_CHUNK;
}

/* out: [n][value_length], of queries first .. first + n - 1 together. */
static void attend_to_all(const context *c, size_t first, size_t n, float *out) {
    const size_t padded = kv_padded(c->config.value_length), length = c->config.value_length;
    float *values[2] = {guarded_new(n * padded), guarded_new(n * padded)};
    attention_part *parts[2];
    visible_range *visible = malloc(n * sizeof *visible);
    assert_non_null(visible);
    for (size_t i = 0; i < 2; i++) parts[i] = (attention_part *)(void *)aligned_new(n * sizeof(attention_part));
    uint32_t first_chunk = UINT32_MAX, chunks = kv_chunks(c->n_positions);
    for (size_t q = first; q < first + n; q++)
        first_chunk = first_seen(c, q) / KV_CHUNK < first_chunk ? first_seen(c, q) / KV_CHUNK : first_chunk;
    for (uint32_t i = first_chunk; i < chunks; i++) {
        const kv_chunk chunk = kv_store_chunk(&c->store, &c->table, 0, 0, i);
        const bool more = i > first_chunk;
        for (size_t q = 0; q < n; q++) {
            visible[q].first = within_chunk(first_seen(c, first + q), i * KV_CHUNK);
            visible[q].end = within_chunk(c->n_seen[first + q], i * KV_CHUNK);
            if (visible[q].first == visible[q].end) visible[q].first = visible[q].end = 0;
            visible[q].own = (int32_t)own_position(c, first + q) - (int32_t)(i * KV_CHUNK);
            visible[q].slope = slope_of(c, first + q);
        }
        kernels->attend(&chunk, c->queries + first * c->config.key_length, visible, n, c->softcap, parts[more],
                        values[more]);
        for (size_t q = 0; more && q < n; q++)
            if (visible[q].end > 0)
                kernels->merge(&parts[0][q], values[0] + q * padded, &parts[1][q], values[1] + q * padded, padded);
    }
    for (size_t q = 0; q < n; q++)
        for (size_t i = 0; i < length; i++) out[q * length + i] = values[0][q * padded + i] / parts[0][q].sum;
    for (size_t i = 0; i < 2; i++) {
        aligned_free((uint8_t *)parts[i], n * sizeof(attention_part));
        guarded_free(values[i], n * padded);
    }
    free(visible);
}

/* Of heads whose weights have both signs. */
static void index_scores_are_right(void **state) {
    (void)state;
    static const uint32_t lengths_of_keys[] = {2, 16, 31, 33, 64, 128}, heads[] = {1, 2, 3, 7, 8, 13, 64};
    enum { N_KEYS = sizeof lengths_of_keys / sizeof *lengths_of_keys, N_HEADS = sizeof heads / sizeof *heads };
    uint64_t random = 19;
    for (size_t i = 0; i < 3 * N_KEYS * N_HEADS; i++) {
        const cllm_kv_type type = (cllm_kv_type)(CLLM_KV_F16 + i % 3);
        const uint32_t length = lengths_of_keys[i / 3 % N_KEYS], n_heads = heads[i / 3 / N_KEYS];
        const size_t n = 1 + random_u64(&random) % KV_CHUNK;
        context c = context_new(type, length, 1, (uint32_t)n, 0, n_heads, &random);
        float *weights = random_floats(n_heads, &random), *scores = guarded_new(KV_CHUNK), want[KV_CHUNK];
        const kv_chunk chunk = kv_store_chunk(&c.store, &c.table, 0, 0, 0);
        for (size_t p = 0; p < n; p++) {
            double sum = 0;
            for (size_t h = 0; h < n_heads; h++) {
                double product = 0;
                for (size_t d = 0; d < length; d++)
                    product += (double)c.queries[h * length + d] * c.keys[p * length + d];
                sum += (double)weights[h] * fmax(product, 0);
            }
            want[p] = (float)sum;
        }
        kernels->index(&chunk, c.queries, weights, n_heads, n, scores);
        assert_within(scores, want, n, ATTENTION_LIMIT, "an indexer's scores");
        for (size_t p = kv_padded(n); p < KV_CHUNK; p++) assert_true(is_poison(&scores[p]));
        guarded_free(scores, KV_CHUNK);
        guarded_free(weights, n_heads);
        context_free(&c);
    }
}

/* Positions that are copied to other places of another chunk give what they gave. */
static void positions_are_copied_whole(void **state) {
    (void)state;
    static const uint32_t sizes[] = {7, 32, 48, 80};
    uint64_t random = 20;
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        for (size_t i = 0; i < 4; i++) {
            const uint32_t k = sizes[i], v = sizes[3 - i];
            context c = context_new((cllm_kv_type)type, k, v, KV_CHUNK, 0, 1, &random);
            const size_t n_bytes = (size_t)kv_chunk_bytes((cllm_kv_type)type, k, v);
            uint8_t *bytes = aligned_new(n_bytes);
            const kv_chunk from = kv_store_chunk(&c.store, &c.table, 0, 0, 0);
            const kv_chunk to = kv_chunk_at((cllm_kv_type)type, k, v, bytes);
            assert_true(kv_chunk_bytes(CLLM_KV_F32, k, v) >= n_bytes);
            for (uint32_t p = 0; p < KV_CHUNK; p++) kv_chunk_copy(&from, p, &to, (p * 37 + 5) % KV_CHUNK);
            for (uint32_t p = 0; p < KV_CHUNK; p++) {
                const uint32_t at = (p * 37 + 5) % KV_CHUNK;
                const visible_range one = {.first = p, .end = p + 1}, other = {.first = at, .end = at + 1};
                float want[KV_CHUNK], got[KV_CHUNK];
                attention_part part[2];
                kernels->attend(&from, c.queries, &one, 1, 0, &part[0], want);
                kernels->attend(&to, c.queries, &other, 1, 0, &part[1], got);
                assert_memory_equal(&part[0], &part[1], sizeof *part);
                assert_memory_equal(got, want, v * sizeof *got);
            }
            aligned_free(bytes, n_bytes);
            context_free(&c);
        }
    }
}

static void reference_attention(const context *c, size_t q, float *out) {
    const size_t k = c->config.key_length, v = c->config.value_length;
    const uint32_t first = first_seen(c, q), end = c->n_seen[q];
    double *scores = malloc(end * sizeof *scores), max = -INFINITY, sum = 0, cap = (double)c->softcap;
    assert_non_null(scores);
    for (uint32_t p = first; p < end; p++) {
        scores[p] = 0;
        for (size_t i = 0; i < k; i++) scores[p] += c->keys[p * k + i] * (double)c->queries[q * k + i];
        if (cap > 0) scores[p] = cap * tanh(scores[p] / cap);
        scores[p] -= (double)slope_of(c, q) * fabs((double)p - own_position(c, q));
        max = fmax(max, scores[p]);
    }
    for (uint32_t p = first; p < end; p++) sum += scores[p] = exp(scores[p] - max);
    for (size_t i = 0; i < v; i++) {
        double value = 0;
        for (uint32_t p = first; p < end; p++) value += scores[p] * c->values[p * v + i];
        out[i] = (float)(value / sum);
    }
    free(scores);
}

/* Right, the same bits for a query alone, and nothing but what the query sees is touched: alone it has NaNs after. */
static void check_attention(context *c) {
    const size_t length = c->config.value_length, n = c->n_queries * length;
    float *out = guarded_new(n), *want = guarded_new(n), *alone = guarded_new(length);
    attend_to_all(c, 0, c->n_queries, out);
    for (size_t q = 0; q < c->n_queries; q++) reference_attention(c, q, want + q * length);
    double error = nmse(out, want, n);
    if (!(error <= ATTENTION_LIMIT))
        fail_msg("type %d, heads of %u and %zu, %u positions, %zu queries: NMSE %.3g", (int)c->type,
                 c->config.key_length, length, c->n_positions, c->n_queries, error);
    for (size_t q = 0; q < c->n_queries; q++) {
        if (c->n_seen[q] < c->n_positions) fill_pages(c, c->n_seen[q]);
        attend_to_all(c, q, 1, alone);
        if (memcmp(alone, out + q * length, length * sizeof *alone) != 0)
            fail_msg("type %d, heads of %u and %zu: query %zu of %zu has other bits alone", (int)c->type,
                     c->config.key_length, length, q, c->n_queries);
        if (c->n_seen[q] < c->n_positions) fill_pages(c, c->n_positions);
    }
    guarded_free(alone, length);
    guarded_free(want, n);
    guarded_free(out, n);
}

static void attention_is_right_and_blind_to_what_is_not_visible(void **state) {
    (void)state;
    static const uint32_t heads[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 64, 80, 96, 100, 128, 192, 255, 256};
    static const uint32_t contexts[] = {1, 2, 15, 16, 17, 100, 255, 256, 257, 300, 512, 513, 700};
    enum { N_HEADS = sizeof heads / sizeof *heads, N_CONTEXTS = sizeof contexts / sizeof *contexts };
    uint64_t random = 14;
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        for (size_t i = 0; i < 40; i++) { /* each head size, context and number of queries comes up */
            const uint32_t values = heads[(5 * i + 3) % N_HEADS];
            context c = context_new((cllm_kv_type)type, heads[i % N_HEADS], values, contexts[i % N_CONTEXTS], 0,
                                    1 + i % 20, &random);
            check_attention(&c);
            context_free(&c);
        }
    }
}

/* Windows that begin and end anywhere in chunks, and pages that hold one range of positions after another; every other one
 * with capped scores. */
static void windows_see_their_positions_alone(void **state) {
    (void)state;
    static const uint32_t heads[] = {7, 16, 32, 48, 80, 128};
    static const uint32_t contexts[] = {30, 100, 255, 256, 257, 300, 512, 513, 700, 1100};
    static const uint32_t windows[] = {1, 2, 16, 20, 31, 64, 200, 256, 257, 300};
    enum { N_HEADS = sizeof heads / sizeof *heads, N_CONTEXTS = sizeof contexts / sizeof *contexts };
    enum { N_WINDOWS = sizeof windows / sizeof *windows };
    uint64_t random = 17;
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        for (size_t i = 0; i < 60; i++) {
            const uint32_t head = heads[i % N_HEADS];
            context c = context_new((cllm_kv_type)type, head, head, contexts[i % N_CONTEXTS],
                                    windows[(7 * i + i / N_CONTEXTS) % N_WINDOWS], 1 + i % 20, &random);
            c.softcap = i % 2 ? 0.5f : 0;
            check_attention(&c);
            context_free(&c);
        }
    }
}

static void scores_fall_with_distance(void **state) {
    (void)state;
    static const uint32_t heads[] = {16, 48, 80};
    static const uint32_t contexts[] = {1, 17, 100, 256, 300, 700};
    static const float slopes[] = {0.5f, 0.03f, 0.001f};
    enum { N_HEADS = sizeof heads / sizeof *heads, N_CONTEXTS = sizeof contexts / sizeof *contexts };
    uint64_t random = 18;
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        for (size_t i = 0; i < 18; i++) {
            const uint32_t head = heads[i % N_HEADS];
            context c = context_new((cllm_kv_type)type, head, head, contexts[i % N_CONTEXTS], i % 2 ? 200 : 0,
                                    1 + i % 20, &random);
            c.slope = slopes[i / N_CONTEXTS];
            check_attention(&c);
            context_free(&c);
        }
    }
}

/* Scores far apart and far from zero: without subtracting the maximum, exp would overflow. */
static void attention_bears_large_scores(void **state) {
    (void)state;
    uint64_t random = 15;
    context c = context_new(CLLM_KV_F32, 64, 64, 600, 0, 9, &random);
    for (size_t i = 0; i < c.n_queries * 64; i++) c.queries[i] *= 20;
    for (uint32_t p = 0; p < c.n_positions; p++) {
        const kv_chunk chunk = kv_store_chunk(&c.store, &c.table, 0, 0, p / KV_CHUNK);
        const float element = 50 + 30 * random_float(&random);
        kv_chunk_put_key(&chunk, p % KV_CHUNK, 0, 1, &element, 1);
        c.keys[p * 64] = (double)element;
    }
    float out[9 * 64], want[9 * 64];
    attend_to_all(&c, 0, 9, out);
    for (size_t q = 0; q < 9; q++) reference_attention(&c, q, want + q * 64);
    assert_true(nmse(out, want, 9 * 64) <= 1e-8); /* a score of 1000 is known to 10^-4 */
    context_free(&c);
}

/* Floats below 2^-126 are subnormal, and many CPUs take a hundred times as long for each that they meet. An exponential that
 * would be one is 0, then, and all others are as exact as their size asks for. The values, one 1 each, show the weights. */
static void weights_are_normal_or_nothing(void **state) {
    (void)state;
    const kv_size size = {.n_ctx = KV_CHUNK, .n_batch = 1, .n_sequences = 1, .n_positions = KV_CHUNK};
    layer_config layer = {.n_heads = 1, .n_kv_heads = 1, .key_length = 1, .value_length = KV_CHUNK};
    const model_config config = {.n_layers = 1, .layers = &layer};
    arena a = {0};
    kv_pages pages;
    kv_table table;
    kv_store store;
    cllm_error err;
    assert_ok(kv_pages_create(&config, &size, &a, &pages, &err), &err);
    assert_ok(kv_table_create(&pages, &a, &table, &err), &err);
    assert_ok(kv_store_create(&config, CLLM_KV_F32, 1, &size, &a, &store, &err), &err);
    kv_table_grow(&table, &pages, 0, KV_CHUNK);
    const kv_chunk chunk = kv_store_chunk(&store, &table, 0, 0, 0);
    const visible_range all = {.end = KV_CHUNK};
    const float query = 1, edge = -126 * 0.693147181f;
    float scores[KV_CHUNK] = {0}, *weights = guarded_new(KV_CHUNK);
    for (int round = 0; round < 2; round++) {
        for (uint32_t p = 0; p < KV_CHUNK; p++) { /* -115 .. 0, then float after float around the edge */
            if (p > 0) scores[p] = round ? edge + ((float)p - 128) * 0x1p-17f : -0.45f * (float)p;
            kv_chunk_put_key(&chunk, p, 0, 1, &scores[p], 1);
            for (uint32_t first = 0; first < KV_CHUNK; first += KV_SCALE_BLOCK) {
                float elements[KV_SCALE_BLOCK] = {0};
                if (p / KV_SCALE_BLOCK * KV_SCALE_BLOCK == first) elements[p % KV_SCALE_BLOCK] = 1;
                kv_chunk_put_value(&chunk, p, first, KV_SCALE_BLOCK, elements, 1);
            }
        }
        attention_part part;
        kernels->attend(&chunk, &query, &all, 1, 0, &part, weights);
        for (size_t p = 0; p < KV_CHUNK; p++) {
            const double want = exp((double)scores[p]);
            if (want < 0x1p-126 ? weights[p] != 0 : !(fabs((double)weights[p] - want) <= 4e-7 * want))
                fail_msg("exp(%.9g) is %.9g, which should be %.9g", (double)scores[p], (double)weights[p],
                         want < 0x1p-126 ? 0.0 : want);
        }
    }
    guarded_free(weights, KV_CHUNK);
    arena_free(&a);

    enum { N = 16 };
    for (float apart = 80; apart < 110;
         apart += 0.125f) { /* what two stretches are multiplied with when they are joined */
        attention_part first = {-apart, 1}, second = {0, 1};
        float values[N], others[N] = {0};
        for (size_t i = 0; i < N; i++) values[i] = 1;
        kernels->merge(&first, values, &second, others, N);
        for (size_t i = 0; i < N; i++)
            if (values[i] != 0 && !(values[i] >= FLT_MIN)) fail_msg("%g apart: %g", (double)apart, (double)values[i]);
    }
}

/* The results of activations likewise: the next product multiplies each of them with a column of its matrix. */
static void activations_are_normal_or_nothing(void **state) {
    (void)state;
    for (int which = SWIGLU; which <= LAST_ACTIVATION; which++)
        for (float x = -120; x < 1; x += 0.01f)
            for (float up = 1e-6f; up < 10; up *= 10) {
                float gate[3] = {x, x / 10, x / 100}, ups[3] = {up, -up, up};
                kernels->activate((activation)which, numbers, gate, activation_has_gate((activation)which) ? ups : NULL,
                                  3);
                for (size_t i = 0; i < 3; i++)
                    if (gate[i] != 0 && fpclassify(gate[i]) != FP_NORMAL)
                        fail_msg("activation %d of %.9g and %g is %g", which, (double)x, (double)up, (double)gate[i]);
            }
}

/* --------------------------------------------------------------------------------------------------- dispatch */

static const char *const isas[] = {"scalar", "avx2", "avx512", "neon", "i8mm"};
enum { N_ISAS = sizeof isas / sizeof *isas };

static void every_name_selects_its_kernels(void **state) {
    (void)state;
    assert_non_null(kernels_select(NULL));
    assert_null(kernels_select(""));
    assert_null(kernels_select("scalar "));
    assert_null(kernels_select("sse9"));
    assert_non_null(kernels_select("scalar"));
    for (size_t i = 0; i < N_ISAS; i++) {
        const cpu_kernels *selected = kernels_select(isas[i]);
        if (selected) assert_string_equal(selected->name, isas[i]);
        assert_int_equal(strstr(kernels_names(), isas[i]) != NULL, selected != NULL);
    }
}

/* check_kernels [--bench] [ISA...]: test, or time, the instruction sets named, else all that this CPU has. */
int main(int argc, char **argv) {
    const bool timed = argc > 1 && strcmp(argv[1], "--bench") == 0;
    char **const names = argv + 1 + timed;
    const size_t n_names = (size_t)(argc - 1 - timed);
    const struct CMUnitTest dispatch_tests[] = {cmocka_unit_test(every_name_selects_its_kernels)};
    const struct CMUnitTest kernel_tests[] = {
        cmocka_unit_test(dequantize_is_exact),
        cmocka_unit_test(dequantize_matches_the_documented_example),
        cmocka_unit_test(dequantize_matches_the_shared_data),
        cmocka_unit_test(codebooks_are_as_they_were),
        cmocka_unit_test(dequantize_has_an_entry_for_each_computable_type_alone),
        cmocka_unit_test(matmul_is_right_for_every_type_and_tail),
        cmocka_unit_test(subnormal_scales_count),
        cmocka_unit_test(matmul_has_the_same_bits_however_it_is_cut),
        cmocka_unit_test(matmul_writes_its_rows_alone),
        cmocka_unit_test(rows_come_back_from_an_interleaved_matrix),
        cmocka_unit_test(rms_norm_is_right_and_works_in_place),
        cmocka_unit_test(add_is_right),
        cmocka_unit_test(layer_norm_is_right_and_works_in_place),
        cmocka_unit_test(activations_are_right),
        cmocka_unit_test(gelu_is_exact_by_its_size),
        cmocka_unit_test(rope_is_right),
        cmocka_unit_test(f16_conversion_is_that_of_half_h),
        cmocka_unit_test(quantize_rounds_to_the_nearest),
        cmocka_unit_test(attention_is_right_and_blind_to_what_is_not_visible),
        cmocka_unit_test(windows_see_their_positions_alone),
        cmocka_unit_test(scores_fall_with_distance),
        cmocka_unit_test(attention_bears_large_scores),
        cmocka_unit_test(index_scores_are_right),
        cmocka_unit_test(positions_are_copied_whole),
        cmocka_unit_test(weights_are_normal_or_nothing),
        cmocka_unit_test(activations_are_normal_or_nothing),
    };
    int n_failed = timed ? 0 : cmocka_run_group_tests_name("dispatch", dispatch_tests, NULL, NULL);
    for (size_t i = 0; i < N_ISAS; i++) {
        bool wanted = n_names == 0;
        for (size_t k = 0; k < n_names; k++) wanted = wanted || strcmp(names[k], isas[i]) == 0;
        kernels = wanted ? kernels_select(isas[i]) : NULL;
        if (kernels && timed) bench_kernels(kernels);
        if (kernels && !timed) n_failed += cmocka_run_group_tests_name(isas[i], kernel_tests, NULL, NULL);
    }
    return n_failed != 0;
}
