/* Tests the base room, which all other rooms rely on. */
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

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
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

/* The UTF-8 form of each code point is valid. Cut, broken and overlong forms, surrogates, and larger code points are
 * refused. */
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

/* The UTF-8 form of a character. */
static size_t encode(uint32_t c, char b[4]) {
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1;) b[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3F));
    b[0] = (char)(lead[n - 1] | c >> 6 * (n - 1));
    return n;
}

/* Checks all of Unicode: the characters that a terminal could obey are those of Unicode's database (Cc, Zl, Zp,
 * Bidi_Control). */
static void what_a_terminal_obeys_is_not_safe(void **state) {
    (void)state;
    static const struct {
        uint32_t first, last;
    } unsafe[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0x61C, 0x61C},   {0x200E, 0x200F},
                  {0x2028, 0x2029}, {0x202A, 0x202E}, {0x2066, 0x2069}, {0xD800, 0xDFFF}};
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char b[4];
        size_t n = encode(c, b), want = n;
        for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++)
            if (c >= unsafe[i].first && c <= unsafe[i].last) want = 0;
        if (cllm_safe_length(b, n) != want) fail_msg("U+%04X: %zu", (unsigned)c, cllm_safe_length(b, n));
    }
    assert_int_equal(cllm_safe_length("", 0), 0);
    assert_int_equal(cllm_safe_length("\x9B", 1), 0); /* alone it is a control character to a terminal without UTF-8 */
    assert_int_equal(cllm_safe_length("\xE2\x82\xAC", 2), 0);
}

static void error_messages_stay_one_line_and_in_bounds(void **state) {
    (void)state;
    cllm_error err;
    assert_int_equal(error_set(&err, CLLM_ERR_IO, "a\nb\x1b[31m%d", 7), CLLM_ERR_IO);
    assert_string_equal(err.message, "a?b?[31m7");
    assert_int_equal(err.offset, CLLM_NO_OFFSET);
    error_prefix(&err, "file.gguf");
    assert_string_equal(err.message, "file.gguf: a?b?[31m7");
    error_set(&err, CLLM_ERR_IO, "%s",
              "caf\xC3\xA9 \xC2\x9B"
              "2J \x9B\x9F \xE2\x80\xAEgpj\xE2\x81\xA9 \xF0\x9F\x98\x80 \xE2\x82");
    assert_string_equal(err.message, "caf\xC3\xA9 ?2J ?? ?gpj? \xF0\x9F\x98\x80 ??");
    error_prefix(&err, "\xE2\x80\xAE");
    assert_string_equal(err.message, "?: caf\xC3\xA9 ?2J ?? ?gpj? \xF0\x9F\x98\x80 ??");
    char path[1000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    error_prefix(&err, path);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    error_set_at(NULL, CLLM_ERR_IO, "name", 1, "nobody listens"); /* NULL is allowed */
    error_prefix(NULL, "x");
}

/* ------------------------------------------------------------------------------------------- threads */

static const uint32_t pool_sizes[] = {1, 2, 3, 5, 16, 64};
#define N_POOL_SIZES (sizeof pool_sizes / sizeof *pool_sizes)

static thread_pool *create_pool(uint32_t n_threads) {
    cllm_error err;
    thread_pool *pool;
    assert_ok(thread_pool_create(n_threads, &pool, &err), &err);
    assert_int_equal(thread_pool_size(pool), n_threads);
    return pool;
}

static double seconds(clockid_t clock) {
    struct timespec t;
    assert_int_equal(clock_gettime(clock, &t), 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void nap(long milliseconds) { nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL); }

typedef struct tally {
    atomic_uchar *visits;
    uint32_t n_threads;
    atomic_bool unknown_thread;
} tally;

static void visit(void *argument, size_t item, uint32_t thread) {
    tally *t = argument;
    atomic_fetch_add(&t->visits[item], 1);
    if (thread >= t->n_threads) atomic_store(&t->unknown_thread, true);
}

static void every_item_is_done_once(void **state) {
    (void)state;
    const size_t counts[] = {0, 1, 2, 3, 64, 1000, 300000};
    for (size_t p = 0; p < N_POOL_SIZES; p++) {
        thread_pool *pool = create_pool(pool_sizes[p]);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (int round = 0; round < (counts[c] > 1000 ? 2 : 50); round++) {
                tally t = {.visits = calloc(counts[c] + 1, sizeof(atomic_uchar)), .n_threads = pool_sizes[p]};
                assert_non_null(t.visits);
                thread_pool_run(pool, counts[c], visit, &t);
                for (size_t i = 0; i < counts[c]; i++)
                    if (t.visits[i] != 1) fail_msg("item %zu was done %d times", i, t.visits[i]);
                assert_int_equal(t.visits[counts[c]], 0);
                assert_false(t.unknown_thread);
                free(t.visits);
            }
        thread_pool_destroy(pool);
    }
    thread_pool_destroy(NULL);
}

#define CHAIN_ITEMS 48
#define CHAIN_RUNS  3000

typedef struct chain {
    uint32_t values[2][CHAIN_ITEMS]; /* of the last run and this one; only the pool orders accesses */
    int run;
} chain;

static void link_chain(void *argument, size_t item, uint32_t thread) {
    (void)thread;
    chain *c = argument;
    const uint32_t *before = c->values[c->run % 2];
    c->values[(c->run + 1) % 2][item] = before[item] * 31 + before[(item * 7 + 5) % CHAIN_ITEMS] + (uint32_t)c->run;
}

/* Each run reads what other threads wrote in the run before. */
static void a_run_sees_all_of_the_run_before(void **state) {
    (void)state;
    chain alone = {.values[0] = {1}};
    for (alone.run = 0; alone.run < CHAIN_RUNS; alone.run++)
        for (size_t i = 0; i < CHAIN_ITEMS; i++) link_chain(&alone, i, 0);
    for (size_t p = 0; p < N_POOL_SIZES; p++) {
        thread_pool *pool = create_pool(pool_sizes[p]);
        chain shared = {.values[0] = {1}};
        for (shared.run = 0; shared.run < CHAIN_RUNS; shared.run++)
            thread_pool_run(pool, CHAIN_ITEMS, link_chain, &shared);
        assert_memory_equal(shared.values, alone.values, sizeof alone.values);
        thread_pool_destroy(pool);
    }
}

typedef struct meeting {
    atomic_int n_present;
    atomic_bool missed;
} meeting;

/* Returns only when another thread has come to its item, too. A thread that is not the caller stays longer. */
static void meet(void *argument, size_t item, uint32_t thread) {
    (void)item;
    meeting *m = argument;
    atomic_fetch_add(&m->n_present, 1);
    for (int waited = 0; atomic_load(&m->n_present) < 2; waited++) {
        if (waited == 10000) {
            atomic_store(&m->missed, true);
            return;
        }
        nap(1);
    }
    if (thread > 0) nap(2);
}

typedef struct masks {
    meeting meeting;
    sigset_t of_worker;
} masks;

static void note_mask(void *argument, size_t item, uint32_t thread) {
    masks *m = argument;
    if (thread > 0) pthread_sigmask(SIG_BLOCK, NULL, &m->of_worker);
    meet(&m->meeting, item, thread);
}

/* Handlers of signals run on the program's own threads, not on the pool's. A fault is handled on the thread that caused
 * it. */
static void signals_are_for_the_callers_threads(void **state) {
    (void)state;
    if (system_cores() < 2) skip(); /* on one core the caller does everything */
    masks m = {0};
    sigset_t before, after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    thread_pool *pool = create_pool(2);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    sigemptyset(&m.of_worker);
    thread_pool_run(pool, 2, note_mask, &m);
    thread_pool_destroy(pool);
    assert_false(m.meeting.missed);
    for (int i = 1; i < 32; i++)
        if (sigismember(&before, i) >= 0) assert_int_equal(sigismember(&after, i), sigismember(&before, i));
    static const int blocked[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM, SIGUSR1, SIGCHLD},
                     open[] = {SIGBUS, SIGSEGV, SIGFPE};
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++) assert_true(sigismember(&m.of_worker, blocked[i]));
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) assert_false(sigismember(&m.of_worker, open[i]));
}

static void threads_work_at_once_and_wake_from_sleep(void **state) {
    (void)state;
    if (system_cores() < 2) skip();
    for (size_t p = 1; p < N_POOL_SIZES; p++) {
        thread_pool *pool = create_pool(pool_sizes[p]);
        for (int round = 0; round < 10; round++) {
            meeting m = {0};
            thread_pool_run(pool, 2, meet, &m);
            assert_false(m.missed);
            assert_int_equal(m.n_present, 2);
            if (round % 2) nap(10);
        }
        thread_pool_destroy(pool);
    }
}

/* With 64 threads on few cores, a pool that wakes all of them or waits for all of them takes seconds. Any pool takes
 * seconds while other programs use the cores, so one fast try of many is enough. */
static void more_threads_than_cores_are_still_fast(void **state) {
    (void)state;
    thread_pool *pool = create_pool(64);
    double least = INFINITY;
    for (int turn = 0; turn < 20 && least > 0.4; turn++) {
        const double begin = seconds(CLOCK_MONOTONIC);
        chain c = {.values[0] = {1}};
        for (c.run = 0; c.run < 2000; c.run++) thread_pool_run(pool, CHAIN_ITEMS, link_chain, &c);
        least = fmin(least, seconds(CLOCK_MONOTONIC) - begin);
    }
    thread_pool_destroy(pool);
    if (least > 0.4) fail_msg("2000 small runs took %.2f s", least);
}

static void an_idle_pool_takes_no_time(void **state) {
    (void)state;
    thread_pool *pool = create_pool(4);
    chain c = {.values[0] = {1}};
    for (c.run = 0; c.run < 100; c.run++) thread_pool_run(pool, CHAIN_ITEMS, link_chain, &c);
    nap(50); /* idle threads look for work for a while */
    const double begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
    nap(200);
    const double taken = seconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
    thread_pool_destroy(pool);
    if (taken > 0.05) fail_msg("idle for 0.2 s, it took %.3f s of the cores", taken);
}

/* -------------------------------------------------------------------------------------------- the system */

static void the_system_has_cores_and_memory(void **state) {
    (void)state;
    assert_true(system_cores() >= 1 && system_cores() <= (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
    assert_true(system_available_memory() > (uint64_t)16 << 20);
}

#if defined(__linux__)

/* A folder of made-up control groups. files: for each file its path below the folder, and then its text; NULL ends the
 * list. */
typedef struct group_tree {
    char root[64];
    const char *const *files;
} group_tree;

static void group_path(const group_tree *tree, const char *name, char path[256]) {
    assert_in_range(snprintf(path, 256, "%s/%s", tree->root, name), 1, 255);
}

static group_tree make_groups(const char *const *files) {
    group_tree tree = {.root = "/tmp/cllm-groups-XXXXXX", .files = files};
    assert_non_null(mkdtemp(tree.root));
    for (; *files; files += 2) {
        char path[256];
        group_path(&tree, files[0], path);
        for (char *slash = path + strlen(tree.root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = 0;
            mkdir(path, 0700);
        }
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(files[1], file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
    return tree;
}

static void remove_groups(const group_tree *tree) {
    char path[256];
    for (const char *const *files = tree->files; *files; files += 2) {
        group_path(tree, files[0], path);
        unlink(path);
    }
    for (const char *const *files = tree->files; *files; files += 2) { /* a folder is removed after its last file */
        group_path(tree, files[0], path);
        for (char *slash; (slash = strrchr(path, '/')) && slash >= path + strlen(tree->root);) {
            *slash = 0;
            rmdir(path);
        }
    }
    assert_int_not_equal(access(tree->root, F_OK), 0);
}

static void quotas_of_control_groups_limit_the_cores(void **state) {
    (void)state;
    static const char *const files[] = {
        "v2", "0::/outer/inner\n", "outer/cpu.max", "150000 100000\n", "outer/inner/cpu.max", "max 100000\n",
        "v2-inner", "0::/small/inner\n", "small/cpu.max", "800000 100000\n", "small/inner/cpu.max", "30000 100000\n",
        "v2-free", "0::/free\n", "free/cpu.max", "max 100000\n", "v2-colon", "0::/a:b\n", "a:b/cpu.max",
        "500000 100000\n",
        /* version 1: only the group of the cpu controller counts, and -1 means no quota */
        "v1", "5:memory:/m\n4:cpu,cpuacct:/c/d\n1:cpuset:/m\n0::/\n", "cpu/c/cpu.cfs_quota_us", "250000\n",
        "cpu/c/cpu.cfs_period_us", "100000\n", "cpu/c/d/cpu.cfs_quota_us", "-1\n", "cpu/c/d/cpu.cfs_period_us",
        "100000\n", "cpu/m/cpu.cfs_quota_us", "100000\n", "cpu/m/cpu.cfs_period_us", "100000\n",
        /* the container's group is mounted as the root, so its path does not exist there */
        "v1-mounted", "4:cpuacct,cpu:/docker/0123\n", "cpu/cpu.cfs_quota_us", "400000\n", "cpu/cpu.cfs_period_us",
        "100000\n",
        /* values that make no sense set no limit */
        "broken", "4\n:\nno colon\n0::/odd\n", "odd/cpu.max", "100000 0\n", "empty", "", NULL};
    static const struct {
        const char *groups;
        uint64_t cores;
    } cases[] = {{"v2", 2},         {"v2-inner", 1},        {"v2-free", UINT64_MAX}, {"v2-colon", 5},        {"v1", 3},
                 {"v1-mounted", 4}, {"broken", UINT64_MAX}, {"empty", UINT64_MAX},   {"missing", UINT64_MAX}};
    group_tree tree = make_groups(files);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char groups[256];
        group_path(&tree, cases[i].groups, groups);
        const uint64_t cores = cgroup_cores(groups, tree.root);
        if (cores != cases[i].cores) fail_msg("%s: %llu cores", cases[i].groups, (unsigned long long)cores);
    }
    remove_groups(&tree);
}

static void limits_of_control_groups_limit_the_memory(void **state) {
    (void)state;
    static const char *const files[] = {/* the outer group has less left: 1000 - (700 - 200 - 100) */
                                        "v2",
                                        "0::/outer/inner\n",
                                        "outer/memory.max",
                                        "1000\n",
                                        "outer/memory.current",
                                        "700\n",
                                        "outer/memory.stat",
                                        "anon 400\nfile 300\ninactive_file 200\nactive_file 100\n",
                                        "outer/inner/memory.max",
                                        "900\n",
                                        "outer/inner/memory.current",
                                        "100\n",
                                        "v2-free",
                                        "0::/free\n",
                                        "free/memory.max",
                                        "max\n",
                                        "free/memory.current",
                                        "700\n",
                                        "v2-full",
                                        "0::/full\n",
                                        "full/memory.max",
                                        "500\n",
                                        "full/memory.current",
                                        "600\n",
                                        "v1",
                                        "5:memory:/m\n4:cpu:/c\n0::/\n",
                                        "memory/m/memory.limit_in_bytes",
                                        "1000\n",
                                        "memory/m/memory.usage_in_bytes",
                                        "800\n",
                                        "memory/m/memory.stat",
                                        "active_file 7\ntotal_inactive_file 50\ntotal_active_file 60\n",
                                        NULL};
    static const struct {
        const char *groups;
        uint64_t left;
    } cases[] = {{"v2", 600}, {"v2-free", UINT64_MAX}, {"v2-full", 1}, {"v1", 310}, {"missing", UINT64_MAX}};
    group_tree tree = make_groups(files);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char groups[256];
        group_path(&tree, cases[i].groups, groups);
        const uint64_t left = cgroup_memory_left(groups, tree.root);
        if (left != cases[i].left) fail_msg("%s: %llu bytes", cases[i].groups, (unsigned long long)left);
    }
    remove_groups(&tree);
}

#endif

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
        progress p = {.call = log_progress, .user = &log};
        file_map map;
        assert_ok(file_map_open(path, no_mmap, &p, &map, &err), &err);
        assert_int_equal(map.mapped, !no_mmap);
        assert_int_equal(map.size, size);
        assert_memory_equal(map.bytes, bytes, size);
        if (!no_mmap) {
            assert_int_equal(log.calls, 0);
            assert_ok(file_map_prefetch(&map, &p, &err), &err);
        }
        assert_true(log.calls >= 3);
        assert_int_equal(log.last, size);
        assert_int_equal(log.total, size);

        progress_log stopping = {.stop_at = 2};
        p.user = &stopping;
        file_map second = {0};
        cllm_status status =
            no_mmap ? file_map_open(path, no_mmap, &p, &second, &err) : file_map_prefetch(&map, &p, &err);
        assert_error(status, &err, CLLM_ERR_CANCELLED, "cancelled");
        file_map_close(&second);

        progress_log later = {0}; /* as the last part of a larger work */
        const progress of_two = {.call = log_progress, .user = &later, .before = 1000, .total = 1000 + size};
        assert_ok(file_map_open(path, no_mmap, &of_two, &second, &err), &err);
        assert_ok(file_map_prefetch(&second, &of_two, &err), &err);
        assert_true(later.last == 1000 + size && later.total == 1000 + size);
        file_map_close(&second);
        file_map_close(&map);
        assert_null(map.bytes);
    }
    free(bytes);
}

/* At the edges of a page, of the stretch that prefetching touches at once, and of a step between two reports. */
static void files_of_any_size_come_in(void **state) {
    (void)state;
    const size_t sizes[] = {1, 4096, 65536, 65537, ((size_t)2 << 20) + 1, ((size_t)16 << 20) + 1};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned char *bytes = malloc(sizes[s]);
        assert_non_null(bytes);
        for (size_t i = 0; i < sizes[s]; i++) bytes[i] = (unsigned char)(i * 7 + i / 4096);
        const char *path = write_temporary("sized", bytes, sizes[s]);
        for (int no_mmap = 0; no_mmap < 2; no_mmap++) {
            cllm_error err;
            progress_log log = {0};
            progress p = {.call = log_progress, .user = &log};
            file_map map;
            assert_ok(file_map_open(path, no_mmap, &p, &map, &err), &err);
            assert_ok(file_map_prefetch(&map, &p, &err), &err);
            assert_int_equal(log.last, sizes[s]);
            assert_int_equal(map.size, sizes[s]);
            assert_memory_equal(map.bytes, bytes, sizes[s]);
            file_map_close(&map);
        }
        free(bytes);
    }
}

static void files_that_cannot_be_opened_are_named(void **state) {
    (void)state;
    cllm_error err;
    file_map map;
    assert_error(file_map_open("no/such/file", false, NULL, &map, &err), &err, CLLM_ERR_IO,
                 "no/such/file: cannot open: No such file");
    const char *empty = write_temporary("empty", "", 0);
    assert_error(file_map_open(empty, false, NULL, &map, &err), &err, CLLM_ERR_FORMAT, "the file is empty");
    assert_error(file_map_open(".", false, NULL, &map, &err), &err, CLLM_ERR_IO,
                 ".: this is a folder, not a file: name the model's .gguf file in it");
    assert_error(file_map_open("/dev/null", false, NULL, &map, &err), &err, CLLM_ERR_IO,
                 "/dev/null: this is a device, not a file");
    const char *pipe = write_temporary("pipe", "", 0);
    assert_int_equal(unlink(pipe), 0);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_error(file_map_open(pipe, false, NULL, &map, &err), &err, CLLM_ERR_IO,
                 "pipe: this is a pipe, not a file: a model is read at many offsets, so save it to a file first");
    if (access("/proc/cpuinfo", R_OK) == 0)
        assert_error(file_map_open("/proc/cpuinfo", false, NULL, &map, &err), &err, CLLM_ERR_IO,
                     "/proc/cpuinfo: the system does not know the size of this file: copy it to a disk first");
    file_map_close(&map); /* an empty one is allowed */
}

/* Linux cannot map most files of /sys; the size of this one is known. */
static void a_file_that_cannot_be_mapped_is_read(void **state) {
    (void)state;
    static const char path[] = "/sys/kernel/notes";
    struct stat info;
    if (access(path, R_OK) != 0 || stat(path, &info) != 0 || info.st_size == 0) skip();
    size_t size;
    unsigned char *want = read_file(path, &size);
    cllm_error err;
    progress_log log = {0};
    const progress p = {.call = log_progress, .user = &log};
    file_map map;
    assert_ok(file_map_open(path, false, &p, &map, &err), &err);
    assert_false(map.mapped);
    assert_int_equal(map.refused, ENODEV);
    assert_int_equal(map.size, size);
    assert_memory_equal(map.bytes, want, size);
    assert_true(log.calls == 1 && log.last == size);
    assert_ok(file_map_prefetch(&map, &p, &err), &err);
    file_map_close(&map);
    free(want);
}

/* A file that is larger than the memory is refused before any of it is read. */
static void a_file_larger_than_memory_is_not_read(void **state) {
    (void)state;
    const char *path = write_temporary("huge", "GGUF", 4);
    const uint64_t size = 2 * system_available_memory(); /* the file has this size, but holds no data */
    if (size == 0 || truncate(path, (off_t)size) != 0) skip();
    cllm_error err;
    file_map map;
    char expected[100];
    snprintf(expected, sizeof expected, "huge: the file's %" PRIu64 " bytes do not fit in the ", size);
    assert_error(file_map_open(path, true, NULL, &map, &err), &err, CLLM_ERR_MEMORY, expected);
    assert_non_null(strstr(err.message, " bytes of memory that are available: map it instead"));
    assert_ok(file_map_open(path, false, NULL, &map, &err), &err);
    assert_true(map.mapped && map.refused == 0);
    file_map_close(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_blocks_are_apart_aligned_and_zero),
        cmocka_unit_test(arena_refuses_sizes_that_wrap),
        cmocka_unit_test(checked_arithmetic_sees_the_edge),
        cmocka_unit_test(reader_stops_at_the_end),
        cmocka_unit_test(utf8_knows_the_valid_characters),
        cmocka_unit_test(what_a_terminal_obeys_is_not_safe),
        cmocka_unit_test(error_messages_stay_one_line_and_in_bounds),
        cmocka_unit_test(every_item_is_done_once),
        cmocka_unit_test(a_run_sees_all_of_the_run_before),
        cmocka_unit_test(threads_work_at_once_and_wake_from_sleep),
        cmocka_unit_test(signals_are_for_the_callers_threads),
        cmocka_unit_test(more_threads_than_cores_are_still_fast),
        cmocka_unit_test(an_idle_pool_takes_no_time),
        cmocka_unit_test(the_system_has_cores_and_memory),
#if defined(__linux__)
        cmocka_unit_test(quotas_of_control_groups_limit_the_cores),
        cmocka_unit_test(limits_of_control_groups_limit_the_memory),
#endif
        cmocka_unit_test(mapped_and_read_files_are_the_same),
        cmocka_unit_test(files_of_any_size_come_in),
        cmocka_unit_test(files_that_cannot_be_opened_are_named),
        cmocka_unit_test(a_file_that_cannot_be_mapped_is_read),
        cmocka_unit_test(a_file_larger_than_memory_is_not_read),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
