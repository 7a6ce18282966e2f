/* Tests every entry of the kernel table, for each instruction set that this CPU has: its results are right, they are
 * the same bits however the work is split, and it neither reads nor writes bytes that are not its own. The reference
 * is arithmetic in double, written straight from the formulas, and a decoder that picks one element's bits at a
 * time. The tests are in tests/kernels. */
#include "kernels/kernel_tests.h"
#include "support/bench_kernels.h"

#include <string.h>

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
