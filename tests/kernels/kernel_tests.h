/* What the tests of kernels share: the instruction set under test, buffers that show writes outside of them, and a
 * decoder to compare with. It also declares the tests, which check_kernels.c lists. */
#ifndef KERNEL_TESTS_H
#define KERNEL_TESTS_H

#include "support/check.h"

#include "cpu/kernels.h"

extern const cpu_kernels *kernels; /* the kernels of the instruction set under test */

/* The largest normalised mean squared errors: of a kernel that computes in float; of sums of thousands of products; of
 * attention, whose scores are rounded before they become exponents; and of products with activations of 8 bits. */
#define FLOAT_LIMIT     1e-12
#define PRODUCT_LIMIT   1e-11
#define ATTENTION_LIMIT 1e-10
#define QUANTIZED_LIMIT 1e-4

/* The types that can be computed with. */
#define X(name, number, elements, bytes) +1
enum { N_TYPES = 0 COMPUTE_TYPES(X) };
#undef X
extern const struct computed_type {
    const char *name;
    quant_type type;
    size_t elements, bytes; /* of a block */
} types[N_TYPES];

void assert_within(const float *got, const float *want, size_t n, double limit, const char *what);
void assert_close(const float *got, const float *want, size_t n, const char *what); /* within FLOAT_LIMIT */

/* n floats filled with poison, and poison before and after them. Poison is a NaN: if a kernel used it, the result would
 * show it. guarded_free checks that the poison before and after is unchanged. */
float *guarded_new(size_t n);
int is_poison(const float *value);
void guarded_free(float *data, size_t n);
float *random_floats(size_t n, uint64_t *random); /* guarded */

/* 64-byte aligned memory filled with poison, with as many guard bytes before it as after it. */
uint8_t *aligned_new(size_t n_bytes);
void aligned_free(uint8_t *data, size_t n_bytes);

/* Element e of a block, in double. */
double reference_element(quant_type type, const uint8_t *block, size_t e);

/* dequantize.c */
void dequantize_is_exact(void **state);
void dequantize_matches_the_documented_example(void **state);
void dequantize_matches_the_shared_data(void **state);
void codebooks_are_as_they_were(void **state);
void dequantize_has_an_entry_for_each_computable_type_alone(void **state);

/* products.c */
void matmul_is_right_for_every_type_and_tail(void **state);
void subnormal_scales_count(void **state);
void matmul_has_the_same_bits_however_it_is_cut(void **state);
void matmul_writes_its_rows_alone(void **state);
void rows_come_back_from_an_interleaved_matrix(void **state);

/* vectors.c */
void rms_norm_is_right_and_works_in_place(void **state);
void add_is_right(void **state);
void layer_norm_is_right_and_works_in_place(void **state);
void activations_are_right(void **state);
void gelu_is_exact_by_its_size(void **state);
void rope_is_right(void **state);
void f16_conversion_is_that_of_half_h(void **state);
void quantize_rounds_to_the_nearest(void **state);
void activations_are_normal_or_nothing(void **state);

/* attention.c */
void attention_is_right_and_blind_to_what_is_not_visible(void **state);
void windows_see_their_positions_alone(void **state);
void scores_fall_with_distance(void **state);
void attention_bears_large_scores(void **state);
void index_scores_are_right(void **state);
void positions_are_copied_whole(void **state);
void weights_are_normal_or_nothing(void **state);

#endif
