/* Tests the model of AVX-512 (avx512_model/immintrin.h) against a CPU that has these instructions: every kernel must
 * give the same bits on both. */
#include "avx512_model/kernels_model.h"
#include "support/check.h"
#include "support/random_blocks.h"

#include "model/kv_store.h"

#include <stdlib.h>
#include <string.h>

static const cpu_kernels *model;
static const cpu_kernels *real; /* NULL where the CPU has none */

static int find_tables(void **state) {
    (void)state;
    model = kernels_avx512_model;
    real = kernels_select("avx512");
    return 0;
}

static void the_model_is_a_table_of_its_own(void **state) {
    (void)state;
    assert_string_equal(model->name, "avx512");
    if (!real) skip();
    assert_ptr_not_equal(model->matmul, real->matmul);
    assert_ptr_not_equal(model->attend, real->attend);
}

enum { ROWS = 45, COLUMNS = 512, BATCH = 9, N = BATCH * COLUMNS };

static float *random_floats(size_t n, uint64_t *random) {
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = random_float(random);
    return x;
}

static void *zeros(size_t n_bytes) {
    void *bytes = aligned_alloc(64, (n_bytes + 63) / 64 * 64);
    assert_non_null(bytes);
    return memset(bytes, 0, n_bytes);
}

/* The results of a product, and its activations as integers. */
typedef struct products {
    float out[BATCH * ROWS];
    int8_t quantized[N];
    activation_block blocks[N / ACTIVATION_BLOCK];
} products;

static products *multiply(const cpu_kernels *kernels, const matrix *w, const float *x) {
    products *p = zeros(sizeof *p);
    void *scratch = zeros(kernels->matmul_scratch_bytes(COLUMNS));
    kernels->quantize(x, N, p->quantized, p->blocks);
    const activations in = {COLUMNS, x, p->quantized, p->blocks};
    kernels->matmul(w, 0, ROWS, &in, BATCH, p->out, ROWS, scratch);
    free(scratch);
    return p;
}

static void products_have_the_same_bits(void **state) {
    (void)state;
    if (!real) skip();
    static const quant_type types[] = {
#define X(name, number, elements, bytes) QUANT_##name,
        COMPUTE_TYPES(X)
#undef X
    };
    uint64_t random = 1;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const size_t row_bytes = quant_bytes(types[t], COLUMNS);
        uint8_t *blocks = malloc(ROWS * row_bytes);
        assert_non_null(blocks);
        random_blocks(types[t], blocks, ROWS * row_bytes / quant_type_layout(types[t])->block_bytes, &random);
        float *x = random_floats(N, &random);
        const matrix w = {blocks, types[t], ROWS, COLUMNS, row_bytes, false, 1, NULL};
        products *want = multiply(real, &w, x), *got = multiply(model, &w, x);
        if (memcmp(got, want, sizeof *got) != 0) fail_msg("%s: other bits", quant_type_layout(types[t])->name);
        free(want);
        free(got);
        free(x);
        free(blocks);
    }
}

static void attention_has_the_same_bits(void **state) {
    (void)state;
    if (!real) skip();
    enum { HEAD = 48, QUERIES = 5, ELEMENTS = KV_CHUNK * HEAD, SCALES = KV_CHUNK * 2 };
    uint64_t random = 2;
    float *queries = random_floats(QUERIES * HEAD, &random), *scales = random_floats(SCALES, &random);
    float *elements = random_floats(ELEMENTS, &random);
    uint16_t *halfs = zeros(ELEMENTS * sizeof *halfs);
    int8_t *bytes = zeros(ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++) {
        halfs[i] = (uint16_t)(random_u64(&random) & 0xBFFF); /* below 2 */
        bytes[i] = (int8_t)random_u64(&random);
    }
    void *const stored[] = {[CLLM_KV_F16] = halfs, [CLLM_KV_F32] = elements, [CLLM_KV_Q8_0] = bytes};
    const visible_range visible[QUERIES] = {
        {0, KV_CHUNK, 0, 0}, {0, 1, 0, 0}, {3, 15, 14, 0.5f}, {40, 100, 70, 0.01f}, {0, 255, 300, 0.1f}};
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        const kv_chunk chunk = {.type = (cllm_kv_type)type,
                                .key_length = HEAD,
                                .value_length = HEAD,
                                .keys = stored[type],
                                .values = stored[type],
                                .key_scales = scales,
                                .value_scales = scales};
        const float softcap = type == CLLM_KV_F32 ? 2 : 0;
        struct result {
            attention_part parts[QUERIES];
            float values[QUERIES * HEAD];
        } got = {0}, want = {0};
        real->attend(&chunk, queries, visible, QUERIES, softcap, want.parts, want.values);
        model->attend(&chunk, queries, visible, QUERIES, softcap, got.parts, got.values);
        real->merge(&want.parts[0], want.values, &want.parts[1], want.values + HEAD, HEAD);
        model->merge(&got.parts[0], got.values, &got.parts[1], got.values + HEAD, HEAD);
        assert_memory_equal(&got, &want, sizeof got);
    }
    free(queries);
    free(scales);
    free(elements);
    free(halfs);
    free(bytes);
}

static void steps_have_the_same_bits(void **state) {
    (void)state;
    if (!real) skip();
    enum { LENGTH = 2 * 777 };
    const cpu_kernels *const tables[2] = {real, model};
    float *results[2], *y[2];
    uint16_t halfs[2][LENGTH];
    for (int i = 0; i < 2; i++) { /* each step works on what the one before it left */
        uint64_t random = 3;
        results[i] = random_floats(LENGTH, &random);
        y[i] = random_floats(LENGTH, &random);
        for (size_t k = 0; k < LENGTH; k++) results[i][k] *= 90; /* so that exp also gets values near its limits */
        for (int which = SWIGLU; which <= LAST_ACTIVATION; which++)
            tables[i]->activate((activation)which, (const float[]){0.9f, 1.7f, 0.5f, -1e-6f}, results[i], y[i], LENGTH);
        tables[i]->rope_halves(results[i], y[i], y[i] + LENGTH / 2, LENGTH / 2);
        tables[i]->layer_norm(results[i], y[i], 0.1f, LENGTH, results[i]);
        tables[i]->rope(results[i], y[i], y[i] + LENGTH / 2, LENGTH / 2);
        tables[i]->add(results[i], y[i], LENGTH);
        tables[i]->f32_to_f16(results[i], halfs[i], LENGTH);
        tables[i]->rms_norm(results[i], y[i], 0.1f, LENGTH, results[i]);
    }
    assert_memory_equal(results[0], results[1], LENGTH * sizeof **results);
    assert_memory_equal(halfs[0], halfs[1], sizeof halfs[0]);
    for (int i = 0; i < 2; i++) {
        free(results[i]);
        free(y[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_is_a_table_of_its_own),
        cmocka_unit_test(products_have_the_same_bits),
        cmocka_unit_test(attention_has_the_same_bits),
        cmocka_unit_test(steps_have_the_same_bits),
    };
    return cmocka_run_group_tests_name("avx512_model", tests, find_tables, NULL);
}
