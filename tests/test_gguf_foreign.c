/* Files that are not what their names say: whole models with the name of a part, models of other formats, downloads that
 * went wrong, and types of tensors that GGUF no longer has. */
#include "support/check.h"
#include "support/gguf_builder.h"

#include "gguf/gguf.h"
#include "gguf/quant_types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ------------------------------------------------------------------------- names that contents contradict */

/* A whole model of one tensor. split_count: written as split.count unless it is 0. */
static const char *write_model(const char *name, const char *tensor, uint32_t split_count) {
    gguf_builder g;
    builder_init(&g);
    builder_string(&g, "general.architecture", "llama");
    if (split_count) builder_u32(&g, "split.count", split_count);
    builder_tensor(&g, tensor, QUANT_F32, 1, (uint64_t[]){8}, NULL, 32);
    return builder_write(&g, name);
}

static void assert_whole(const char *path, const cllm_load_options *options, const char *tensor) {
    cllm_gguf *gguf;
    cllm_error err;
    assert_ok(cllm_gguf_open(path, options, &gguf, &err), &err);
    assert_int_equal(cllm_gguf_n_files(gguf), 1);
    assert_int_equal(cllm_gguf_n_tensors(gguf), 1);
    assert_non_null(cllm_gguf_find_tensor(gguf, tensor));
    cllm_gguf_close(gguf);
}

static void whole_models_may_have_the_name_of_a_part(void **state) {
    (void)state;
    const cllm_load_options read = {.no_mmap = true};
    for (uint32_t split_count = 0; split_count < 2; split_count++) { /* split.count absent, and 1 */
        const char *first = write_model("alone-00001-of-00002.gguf", "w", split_count);
        assert_whole(first, NULL, "w");
        assert_whole(first, &read, "w");
        const char *second = write_model("alone-00002-of-00002.gguf", "v", split_count);
        assert_whole(first, NULL, "w"); /* a neighbour changes nothing, */
        assert_whole(second, NULL, "v");
        assert_whole(second, &read, "v"); /* nor does the number */
    }
}

typedef struct progress_log {
    uint64_t done, total;
} progress_log;

static bool log_progress(void *user, uint64_t done, uint64_t total) {
    progress_log *log = user;
    assert_true(done > log->done && done <= total);
    *log = (progress_log){done, total};
    return true;
}

static void progress_comes_to_its_end_although_the_name_promised_more(void **state) {
    (void)state;
    progress_log log = {0};
    const cllm_load_options read = {.no_mmap = true, .progress = log_progress, .user = &log};
    const char *first = write_model("both-00001-of-00002.gguf", "w", 0);
    write_model("both-00002-of-00002.gguf", "v", 0);
    assert_whole(first, &read, "w");
    assert_true(log.done > 0 && log.done == log.total);
}

static void a_part_is_known_by_its_contents(void **state) {
    (void)state;
    cllm_gguf *gguf;
    cllm_error err;
    const char *path = write_model("lone-00001-of-00003.gguf", "w", 3);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_IO,
                 "lone-00002-of-00003.gguf: cannot open part 2");
    path = write_model("lone-00002-of-00003.gguf", "w", 3);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_UNSUPPORTED,
                 "this is part 2 of a split model; open ");
    path = write_model("lone.gguf", "w", 3);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_FORMAT, "split.count: this is one of 3 parts");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_models_may_have_the_name_of_a_part),
        cmocka_unit_test(progress_comes_to_its_end_although_the_name_promised_more),
        cmocka_unit_test(a_part_is_known_by_its_contents),
    };
    return cmocka_run_group_tests_name("gguf foreign", tests, NULL, NULL);
}
