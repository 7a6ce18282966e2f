/* The base room: what every other room trusts. */
#include "support/check.h"
#include "support/gguf_builder.h"

#include "base/arena.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/file_map.h"
#include "base/reader.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "base/utf8.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void arena_blocks_are_apart_aligned_and_zero(void **state) {
    (void)state;
    arena a = {0};
    unsigned char *blocks[300];
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = arena_alloc(&a, i * 7, i % 5 + 1);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % ARENA_ALIGNMENT, 0);
        for (size_t k = 0; k < i * 7 * (i % 5 + 1); k++) assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], (int)i, i * 7 * (i % 5 + 1));
    }
    for (size_t i = 0; i < 300; i++) /* nobody wrote into another's block */
        for (size_t k = 0; k < i * 7 * (i % 5 + 1); k++) assert_int_equal(blocks[i][k], (unsigned char)i);
    assert_string_equal(arena_string(&a, "whole text", 5), "whole");
    arena_free(&a);
    assert_null(a.chunks);
}

static void arena_refuses_sizes_that_wrap(void **state) {
    (void)state;
    arena a = {0};
    assert_null(arena_alloc(&a, UINT64_MAX, 1));
    assert_null(arena_alloc(&a, UINT64_MAX / 2, 4));
    assert_null(arena_alloc(&a, UINT64_MAX - 70, 1));
    arena_free(&a);
}

static void checked_arithmetic_sees_the_edge(void **state) {
    (void)state;
    uint64_t r;
    assert_true(checked_add(UINT64_MAX - 1, 1, &r) && r == UINT64_MAX);
    assert_false(checked_add(UINT64_MAX, 1, &r));
    assert_true(checked_mul(1ull << 32, (1ull << 32) - 1, &r));
    assert_false(checked_mul(1ull << 32, 1ull << 32, &r));
    assert_true(checked_round_up(33, 32, &r) && r == 64);
    assert_true(checked_round_up(64, 32, &r) && r == 64);
    assert_true(checked_round_up(10, 3, &r) && r == 12);
    assert_false(checked_round_up(UINT64_MAX, 32, &r));
}

static void reader_stops_at_the_end(void **state) {
    (void)state;
    const unsigned char bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x80, 0x3f, 9};
    reader r = {.bytes = bytes, .size = sizeof bytes};
    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 0x0302);
    assert_int_equal(reader_u32(&r), 0x07060504);
    assert_int_equal(reader_u8(&r), 8);
    assert_true(reader_f32(&r) == 1.0f);
    assert_int_equal(reader_left(&r), 1);
    assert_int_equal(reader_u16(&r), 0); /* does not fit */
    assert_true(r.failed);
    assert_int_equal(r.position, 12);
    assert_int_equal(reader_u8(&r), 0); /* and stays failed */
    assert_null(reader_take(&r, UINT64_MAX));
}

/* Against the definition: every code point encodes to one valid character, every other sequence is refused. */
static void utf8_knows_the_valid_characters(void **state) {
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 7) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        char b[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 1;) b[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3F));
        const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
        b[0] = (char)(n == 1 ? c : lead[n - 1] | c >> 6 * (n - 1));
        assert_int_equal(utf8_length(b, n), n);
        if (n > 1) assert_int_equal(utf8_length(b, n - 1), 0);
    }
    const char *const bad[] = {"\x80",  "\xC0\x80",         "\xC1\xBF",         "\xE0\x9F\xBF",     "\xED\xA0\x80",
                               "\xC3(", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82(",
                               "\xFF"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(utf8_length(bad[i], strlen(bad[i])), 0);
    assert_int_equal(utf8_length("", 0), 0);
}

static void error_messages_stay_one_line_and_in_bounds(void **state) {
    (void)state;
    cllm_error err;
    assert_int_equal(error_set(&err, CLLM_ERR_IO, "a\nb\x1b[31m%d", 7), CLLM_ERR_IO);
    assert_string_equal(err.message, "a?b?[31m7");
    assert_int_equal(err.offset, CLLM_NO_OFFSET);
    error_prefix(&err, "file.gguf");
    assert_string_equal(err.message, "file.gguf: a?b?[31m7");
    char path[1000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    error_prefix(&err, path);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    error_set_at(NULL, CLLM_ERR_IO, "name", 1, "nobody listens"); /* NULL is allowed */
    error_prefix(NULL, "x");
}

/* ------------------------------------------------------------------------------------------- threads */

typedef struct tally {
    atomic_int *visits;
    atomic_uint threads_seen;
} tally;

static void visit(void *argument, size_t item, uint32_t thread) {
    tally *t = argument;
    atomic_fetch_add(&t->visits[item], 1);
    atomic_fetch_or(&t->threads_seen, 1u << thread);
}

static void every_item_is_done_once(void **state) {
    (void)state;
    const size_t counts[] = {0, 1, 2, 3, 64, 1000};
    for (uint32_t n_threads = 1; n_threads <= 9; n_threads += 4) {
        cllm_error err;
        thread_pool *pool;
        assert_ok(thread_pool_create(n_threads, &pool, &err), &err);
        assert_int_equal(thread_pool_size(pool), n_threads);
        for (int round = 0; round < 50; round++)
            for (size_t c = 0; c < 6; c++) {
                tally t = {.visits = calloc(counts[c] + 1, sizeof(atomic_int))};
                assert_non_null(t.visits);
                thread_pool_run(pool, counts[c], visit, &t);
                for (size_t i = 0; i < counts[c]; i++) assert_int_equal(t.visits[i], 1);
                assert_true(t.threads_seen < 1u << n_threads);
                free(t.visits);
            }
        thread_pool_destroy(pool);
    }
    thread_pool_destroy(NULL);
}

static void the_system_has_cores_and_memory(void **state) {
    (void)state;
    assert_true(system_cores() >= 1 && system_cores() <= (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
    assert_true(system_available_memory() > (uint64_t)16 << 20);
}

/* --------------------------------------------------------------------------------------------- files */

typedef struct progress_log {
    uint64_t last, total;
    int calls, stop_at;
} progress_log;

static bool log_progress(void *user, uint64_t done, uint64_t total) {
    progress_log *log = user;
    assert_true(done > log->last && done <= total);
    log->last = done;
    log->total = total;
    return ++log->calls != log->stop_at;
}

static void mapped_and_read_files_are_the_same(void **state) {
    (void)state;
    const size_t size = (size_t)40 << 20;
    unsigned char *bytes = malloc(size);
    assert_non_null(bytes);
    uint64_t random = 3;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t r = random_u64(&random);
        memcpy(bytes + i, &r, 8);
    }
    const char *path = write_temporary("bytes", bytes, size);
    cllm_error err;
    for (int no_mmap = 0; no_mmap < 2; no_mmap++) {
        progress_log log = {0};
        cllm_load_options options = {.no_mmap = no_mmap, .progress = log_progress, .user = &log};
        file_map map;
        assert_ok(file_map_open(path, &options, 0, 0, &map, &err), &err);
        assert_int_equal(map.mapped, !no_mmap);
        assert_int_equal(map.size, size);
        assert_memory_equal(map.bytes, bytes, size);
        if (!no_mmap) {
            assert_int_equal(log.calls, 0);
            assert_ok(file_map_prefetch(&map, &options, 0, size, &err), &err);
        }
        assert_true(log.calls >= 3);
        assert_int_equal(log.last, size);
        assert_int_equal(log.total, size);

        progress_log stopping = {.stop_at = 2};
        options.user = &stopping;
        file_map second = {0};
        cllm_status status = no_mmap ? file_map_open(path, &options, 0, 0, &second, &err)
                                     : file_map_prefetch(&map, &options, 0, size, &err);
        assert_error(status, &err, CLLM_ERR_CANCELLED, "cancelled");
        file_map_close(&second);
        file_map_close(&map);
        assert_null(map.bytes);
    }
    free(bytes);
}

static void files_that_cannot_be_opened_are_named(void **state) {
    (void)state;
    cllm_error err;
    file_map map;
    assert_error(file_map_open("no/such/file", NULL, 0, 0, &map, &err), &err, CLLM_ERR_IO,
                 "no/such/file: cannot open: No such file");
    assert_error(file_map_open(".", NULL, 0, 0, &map, &err), &err, CLLM_ERR_IO, ".: not a regular file");
    const char *empty = write_temporary("empty", "", 0);
    assert_error(file_map_open(empty, NULL, 0, 0, &map, &err), &err, CLLM_ERR_FORMAT, "the file is empty");
    file_map_close(&map); /* an empty one is allowed */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_blocks_are_apart_aligned_and_zero),
        cmocka_unit_test(arena_refuses_sizes_that_wrap),
        cmocka_unit_test(checked_arithmetic_sees_the_edge),
        cmocka_unit_test(reader_stops_at_the_end),
        cmocka_unit_test(utf8_knows_the_valid_characters),
        cmocka_unit_test(error_messages_stay_one_line_and_in_bounds),
        cmocka_unit_test(every_item_is_done_once),
        cmocka_unit_test(the_system_has_cores_and_memory),
        cmocka_unit_test(mapped_and_read_files_are_the_same),
        cmocka_unit_test(files_that_cannot_be_opened_are_named),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
