/* Tests turning blocks into floats, and the codebooks. */
#include "kernels/kernel_tests.h"

#include "base/half.h"
#include "gguf/codebooks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_dequantized(size_t t, const uint8_t *blocks, const float *got, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *block = blocks + i / types[t].elements * types[t].bytes;
        float want = (float)reference_element(types[t].type, block, i % types[t].elements);
        if (isnan(want) ? !isnan(got[i]) : bits_from_float(got[i]) != bits_from_float(want))
            fail_msg("%s: element %zu is %.9g, which should be %.9g", types[t].name, i, (double)got[i], (double)want);
    }
}

/* Blocks of any bits at all, at an odd address. */
void dequantize_is_exact(void **state) {
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
void dequantize_matches_the_documented_example(void **state) {
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

void dequantize_matches_the_shared_data(void **state) {
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
    assert_int_equal(n_checked, N_TYPES - 1); /* F32 is not dequantized */
}

/* Compares hashes of the codebooks (FNV-1a, with entries in place of bytes). The entries are ggml's patterns in our own
 * packing, as the tests with shared data show. This test also works without these data. */
void codebooks_are_as_they_were(void **state) {
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

void dequantize_has_an_entry_for_each_computable_type_alone(void **state) {
    (void)state;
    for (uint32_t number = 0; number < QUANT_TYPE_LIMIT; number++) {
        const quant_layout *layout = quant_type_layout(number);
        assert_int_equal(kernels->dequantize[number] != NULL, layout && layout->computable);
    }
}
