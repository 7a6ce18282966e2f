/* Tests saved sequences: a loaded one continues with the same bits, and a file that is damaged, foreign or
 * incomplete is never loaded. */
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include "engine/engine.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_CTX = 800 };

static char path[1024], partial[1100], model_path[1024];

static cllm_model *load(const char *file, const cllm_load_options *options) {
    cllm_error err;
    cllm_model *model;
    assert_ok(cllm_model_load(file, options, &model, &err), &err);
    return model;
}

static cllm_model *windowed_model(uint32_t window) {
    tiny_model m = tiny_model_default();
    m.n_ctx = N_CTX;
    m.window = window;
    snprintf(model_path, sizeof model_path, "%s", tiny_model_write("saved.gguf", &m));
    return load(model_path, NULL);
}

static int remove_file(void **state) {
    (void)state;
    unlink(path);
    unlink(partial);
    return 0;
}

static void fill(int32_t *tokens, size_t n) {
    for (size_t i = 0; i < n; i++) tokens[i] = (int32_t)((i * i + 3 * i) % 50);
}

/* ------------------------------------------------------------------------------------------------ going on */

static void check_round(const cllm_model *model, cllm_kv_type type, uint32_t length, uint64_t cache) {
    int32_t tokens[N_CTX];
    cllm_engine_options options = {.n_ctx = N_CTX,
                                   .kv_type = type,
                                   .n_sequences = 3,
                                   .n_positions = 3 * N_CTX,
                                   .n_batch = 64,
                                   .cache_bytes = cache};
    cllm_engine *engine;
    cllm_sequence *first, *loaded;
    cllm_error err;
    fill(tokens, N_CTX);
    assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
    assert_ok(cllm_sequence_create(engine, &first, &err), &err);
    cllm_span span = {.sequence = first, .tokens = tokens, .count = length, .want = CLLM_WANT_NOTHING};
    if (length > 0) assert_ok(cllm_eval(engine, &span, 1, &err), &err);
    assert_ok(cllm_sequence_save(first, path, &err), &err);
    assert_int_equal(access(partial, F_OK), -1);
    for (int again = 0; again < 2; again++) { /* in this engine, and in another one */
        assert_ok(cllm_sequence_load(engine, path, &loaded, &err), &err);
        assert_int_equal(cllm_sequence_length(loaded), length);
        assert_memory_equal(cllm_sequence_tokens(loaded), tokens, length * sizeof *tokens);
        float *want = malloc(50 * 40 * sizeof *want);
        cllm_span spans[2] = {{.sequence = loaded, .tokens = tokens + length, .count = 40, .want = CLLM_WANT_EACH}};
        solo *s;
        const cllm_engine_options alone = {.n_ctx = N_CTX, .kv_type = type};
        const float *logits;
        assert_ok(solo_create(model, &alone, &s, &err), &err);
        if (length > 0) assert_ok(solo_eval(s, tokens, length, &logits, &err), &err);
        assert_ok(solo_each(s, tokens + length, 40, want, &err), &err);
        assert_ok(cllm_eval(engine, spans, 1, &err), &err);
        assert_memory_equal(spans[0].rows, want, 50 * 40 * sizeof *want);
        if (length > 0) { /* and the last token can be evaluated anew */
            cllm_sequence_destroy(loaded);
            assert_ok(cllm_sequence_load(engine, path, &loaded, &err), &err);
            assert_ok(cllm_sequence_truncate(loaded, length - 1, &err), &err);
        }
        free(want);
        solo_destroy(s);
        cllm_sequence_destroy(loaded);
        if (again) break;
        cllm_engine_destroy(engine);
        assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
    }
    assert_int_equal(cllm_engine_stats(engine).pages_held, 0);
    cllm_engine_destroy(engine);
}

static void a_loaded_sequence_goes_on(void **state) {
    (void)state;
    static const uint32_t lengths[] = {0, 1, 5, 255, 256, 257, 600}, windows[] = {0, 1, 40, 300};
    for (size_t w = 0; w < 4; w++) {
        cllm_model *model = windowed_model(windows[w]);
        for (size_t i = 0; i < 7; i++)
            check_round(model, (cllm_kv_type)((i + w) % 3), lengths[i], i % 2 ? 10000000 : 0);
        cllm_model_destroy(model);
    }
}

/* ------------------------------------------------------------------------------------------------ refusals */

/* Makes an engine with one sequence, and saves 300 tokens of it to a file. */
static solo *save_one(const cllm_model *model, cllm_engine_options options) {
    int32_t tokens[300];
    const float *logits;
    solo *s;
    cllm_error err;
    fill(tokens, 300);
    options.n_ctx = options.n_ctx ? options.n_ctx : N_CTX;
    options.n_sequences = 2;
    options.n_positions = 2 * options.n_ctx;
    assert_ok(solo_create(model, &options, &s, &err), &err);
    assert_ok(solo_eval(s, tokens, 300, &logits, &err), &err);
    assert_ok(cllm_sequence_save(s->sequence, path, &err), &err);
    return s;
}

static void assert_refused(solo *s, cllm_status status, const char *part) {
    cllm_sequence *loaded;
    cllm_error err;
    assert_error(cllm_sequence_load(s->engine, path, &loaded, &err), &err, status, part);
    assert_non_null(strstr(err.message, path));
    assert_null(strchr(err.message, '\n'));
    assert_null(loaded);
    assert_int_equal(cllm_engine_stats(s->engine).pages_held, kv_chunks(solo_length(s)));
}

static void put(const unsigned char *bytes, size_t n) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

/* A file with any bit changed, or of any other length, is refused. */
static void damaged_files_are_refused(void **state) {
    (void)state;
    cllm_model *model = windowed_model(100);
    solo *s = save_one(model, (cllm_engine_options){0});
    size_t n;
    uint64_t random = test_seed();
    unsigned char *bytes = read_file(path, &n);
    for (int i = 0; i < 300; i++) {
        const size_t at = i < 100 ? (size_t)(i * 2) % 200 : random_u64(&random) % n; /* much of the header */
        const unsigned char old = bytes[at];
        cllm_sequence *loaded;
        cllm_error err;
        bytes[at] ^= (unsigned char)(1u << random_u64(&random) % 8);
        put(bytes, n);
        if (cllm_sequence_load(s->engine, path, &loaded, &err) == CLLM_OK)
            fail_msg("a bit of byte %zu of %zu is another, and the file is loaded", at, n);
        assert_true(err.status == CLLM_ERR_FORMAT || err.status == CLLM_ERR_UNSUPPORTED);
        if (at >= sizeof(uint64_t) * 30) assert_non_null(strstr(err.message, "checksum"));
        bytes[at] = old;
    }
    for (int i = 0; i < 60; i++) {
        put(bytes, i < 3 ? (size_t)i : random_u64(&random) % n);
        assert_refused(s, CLLM_ERR_FORMAT, i < 3 ? "ends within its header" : "damaged");
    }
    bytes = realloc(bytes, n + 1);
    put(bytes, n + 1);
    assert_refused(s, CLLM_ERR_FORMAT, "bytes");
    put(bytes, n);
    cllm_sequence *loaded;
    cllm_error err;
    assert_ok(cllm_sequence_load(s->engine, path, &loaded, &err), &err);
    assert_error(cllm_sequence_load(s->engine, path, &loaded, &err), &err, CLLM_ERR_MEMORY, "sequences");
    free(bytes);
    solo_destroy(s);
    cllm_model_destroy(model);
}

static void files_of_others_are_refused_by_name(void **state) {
    (void)state;
    cllm_model *model = windowed_model(0), *other = windowed_model(500);
    const cllm_metadata key = {"llama.rope.freq_base", {.type = CLLM_FLOAT32, .f = 20000}};
    const cllm_load_options overridden = {.overrides = &key, .n_overrides = 1};
    cllm_model *changed = load(model_path, &overridden);
    solo *s = save_one(model, (cllm_engine_options){0}), *of_changed = save_one(changed, (cllm_engine_options){0});
    solo *of_other = save_one(other, (cllm_engine_options){0});
    assert_refused(s, CLLM_ERR_UNSUPPORTED, "another model");
    assert_refused(of_changed, CLLM_ERR_UNSUPPORTED, "other metadata");
    solo_destroy(of_changed);
    solo_destroy(of_other);
    cllm_model_destroy(changed);
    static const cllm_engine_options options[] = {{.kv_type = CLLM_KV_F32}, {.cpu_isa = "scalar"}};
    static const char *const said[] = {"another type of keys and values", "the kernel path scalar"};
    for (size_t i = 0; i < 2; i++) {
        solo *differs = save_one(model, options[i]);
        assert_refused(s, CLLM_ERR_UNSUPPORTED, said[i]);
        solo_destroy(differs);
    }
    solo *longer = save_one(model, (cllm_engine_options){.n_ctx = 300}), *shorter;
    solo_destroy(longer);
    const cllm_engine_options small = {.n_ctx = 299};
    cllm_error err;
    assert_ok(solo_create(model, &small, &shorter, &err), &err);
    cllm_sequence_destroy(shorter->sequence);
    shorter->sequence = NULL;
    cllm_sequence *loaded;
    assert_error(cllm_sequence_load(shorter->engine, path, &loaded, &err), &err, CLLM_ERR_CONTEXT_FULL, "300 tokens");
    solo_destroy(shorter);
    unlink(path);
    assert_refused(s, CLLM_ERR_IO, "No such file");
    solo_destroy(s);
    cllm_model_destroy(model);
    cllm_model_destroy(other);
}

/* ------------------------------------------------------------------------------------------- nothing is lost */

/* A child process saves again and again, and is killed. The file must be complete. */
static void a_kill_leaves_the_old_or_the_new_file(void **state) {
    (void)state;
    cllm_model *model = windowed_model(0);
    solo *s = save_one(model, (cllm_engine_options){0});
    uint64_t random = test_seed();
    for (int i = 0; i < 50; i++) {
        cllm_sequence *loaded;
        cllm_error err;
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            for (;;)
                if (cllm_sequence_save(s->sequence, path, NULL) != CLLM_OK) _exit(1);
        const struct timespec moment = {.tv_nsec = (long)(random_u64(&random) % 20000000)};
        nanosleep(&moment, NULL);
        int status;
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_ok(cllm_sequence_load(s->engine, path, &loaded, &err), &err);
        assert_int_equal(cllm_sequence_length(loaded), 300);
        cllm_sequence_destroy(loaded);
    }
    solo_destroy(s);
    cllm_model_destroy(model);
}

/* As if a disk were full: the file cannot grow beyond a limit. */
static void a_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    cllm_model *model = windowed_model(0);
    solo *s = save_one(model, (cllm_engine_options){0});
    size_t n, n_after;
    unsigned char *before = read_file(path, &n);
    struct rlimit old, limit;
    cllm_error err;
    const float *logits;
    const int32_t token = 3;
    assert_ok(solo_eval(s, &token, 1, &logits, &err), &err);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (size_t at = 0; at < n; at += n / 7 + 1) {
        limit = (struct rlimit){at, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        const cllm_status status = cllm_sequence_save(s->sequence, path, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_error(status, &err, CLLM_ERR_IO, path);
        assert_int_equal(access(partial, F_OK), -1);
        unsigned char *after = read_file(path, &n_after);
        assert_int_equal(n_after, n);
        assert_memory_equal(after, before, n);
        free(after);
    }
    assert_error(cllm_sequence_save(s->sequence, "/dev/null", &err), &err, CLLM_ERR_IO, "not a regular file");
    assert_error(cllm_sequence_save(s->sequence, "no such folder/file", &err), &err, CLLM_ERR_IO, "No such file");
    free(before);
    solo_destroy(s);
    cllm_model_destroy(model);
}

int main(void) {
    snprintf(path, sizeof path, "%s", write_temporary("saved.seq", "", 0));
    snprintf(partial, sizeof partial, "%s.partial", path);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_loaded_sequence_goes_on, remove_file),
        cmocka_unit_test_teardown(damaged_files_are_refused, remove_file),
        cmocka_unit_test_teardown(files_of_others_are_refused_by_name, remove_file),
        cmocka_unit_test_teardown(a_kill_leaves_the_old_or_the_new_file, remove_file),
        cmocka_unit_test_teardown(a_full_disk_leaves_the_old_file, remove_file),
    };
    return cmocka_run_group_tests_name("saved", tests, NULL, NULL);
}
