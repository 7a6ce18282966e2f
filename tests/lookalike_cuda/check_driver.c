/* Tests what driver_cuda.c promises in addition to driver.h, with the look-alike of CUDA: the message of everything
 * that can fail, the choice of the device and of its architecture, and that repeated steps become graphs.
 * tests/check_cuda.sh runs it, also with planted faults in the driver. test_gpu_driver.c tests what all drivers must
 * do.
 *
 *   check_driver [PATTERN]   run the tests, or only those whose names match
 * Three other uses print what is wrong on standard error:
 *   check_driver text MATRICES          print a program with the kernels of all tensor types, where MATRICES is 0 or 1
 *   check_driver kernels MATRICES       compile it, and find each of its kernels
 *   check_driver launch FILE            compile this text, run its kernel try_ on two groups, and print the kernel's
 *                                       buffer of 250 numbers */
#include "support/check.h"

#include "base/error.h"
#include "gpu/cuda_api.h"
#include "gpu/driver.h"
#include "gpu/kernel_text.h"
#include "gpu/program.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const gpu_driver *const driver = &gpu_driver_cuda;

static const char kernels[] =
    "typedef struct { uint n; uint factor; uint term; } step_args;\n"
    "KERNEL(step, step_args, 2, BUFFER(uint, to, 0), BUFFER(uint, from, 1)) {\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    if (i < p.n) to[i] = from[p.n - 1 - i] * p.factor + p.term;\n"
    "}\n"
    "#if MATRICES\n"
    "typedef struct { uint unused; } multiply_args;\n"
    "KERNEL(multiply, multiply_args, 3, BUFFER(float, product, 0), BUFFER(float, left, 1), BUFFER(float, right, 2)) {\n"
    "    uint r = THREAD % 32 / 4, q = THREAD % 4;\n"
    "    float c[4] = {1, 1, 1, 1};\n"
    "    uint a[4] = {float_to_tf32(left[r * 8 + q]), float_to_tf32(left[(r + 8) * 8 + q]),\n"
    "                 float_to_tf32(left[r * 8 + q + 4]), float_to_tf32(left[(r + 8) * 8 + q + 4])};\n"
    "    uint b[2] = {float_to_tf32(right[q * 8 + r]), float_to_tf32(right[(q + 4) * 8 + r])};\n"
    "    multiply_tf32(c, a, b);\n"
    "    if (THREAD < 32) {\n"
    "        product[r * 8 + 2 * q] = c[0];\n"
    "        product[r * 8 + 2 * q + 1] = c[1];\n"
    "        product[(r + 8) * 8 + 2 * q] = c[2];\n"
    "        product[(r + 8) * 8 + 2 * q + 1] = c[3];\n"
    "    }\n"
    "}\n"
    "#endif\n";

typedef struct step_args {
    uint32_t n, factor, term;
} step_args;

enum { N = 300 };

typedef struct setup {
    gpu_device *device;
    gpu_properties properties;
    gpu_kernel *step;
    gpu_buffer *even, *odd;
    uint32_t expected[2][N]; /* the values that even and odd must have */
    cllm_error err;
} setup;

/* ------------------------------------------------------------------------------------------------ a device */

static cllm_status compile(setup *s, const char *text) {
    static const char format[] = "#define GROUP %d\n#define TEAM %d\n#define SIMD %d\n#define MATRICES %d\n%s\n%s";
    const size_t size = sizeof format + strlen(gpu_text_dialect) + strlen(text) + 64;
    char *whole = malloc(size);
    assert_non_null(whole);
    snprintf(whole, size, format, (int)GPU_GROUP, (int)GPU_TEAM, s->properties.simd, s->properties.matrices,
             gpu_text_dialect, text);
    cllm_status status = driver->compile(s->device, whole, &s->err);
    free(whole);
    return status;
}

static void open_all(setup *s) {
    memset(s, 0, sizeof *s);
    assert_ok(driver->open(0, &s->device, &s->properties, &s->err), &s->err);
    assert_ok(compile(s, kernels), &s->err);
    assert_ok(driver->kernel(s->device, "step", &s->step, &s->err), &s->err);
    for (uint32_t i = 0; i < N; i++) s->expected[0][i] = i * i;
    assert_ok(driver->allocate(s->device, sizeof s->expected[0], &s->even, &s->err), &s->err);
    assert_ok(driver->allocate(s->device, sizeof s->expected[1], &s->odd, &s->err), &s->err);
    assert_ok(driver->write(s->device, s->even, s->expected[0], sizeof s->expected[0], &s->err), &s->err);
}

static void close_all(setup *s) {
    driver->release(s->device, s->even);
    driver->release(s->device, s->odd);
    driver->close(s->device);
}

/* Launch a step from one of the buffers into the other, and compute what should come out. */
static void step(setup *s, int into, uint32_t n, uint32_t factor, uint32_t term) {
    gpu_buffer *const buffers[2] = {into ? s->odd : s->even, into ? s->even : s->odd};
    const step_args args = {n, factor, term};
    const uint32_t groups[3] = {(n + GPU_GROUP - 1) / GPU_GROUP, 1, 1};
    driver->launch(s->device, s->step, groups, buffers, 2, &args, sizeof args);
    for (uint32_t i = 0; i < n; i++) s->expected[into][i] = s->expected[!into][n - 1 - i] * factor + term;
}

static void submit(setup *s) { assert_ok(driver->submit(s->device, &s->err), &s->err); }

static void assert_as_expected(setup *s) {
    uint32_t values[N];
    assert_ok(driver->read(s->device, s->even, values, sizeof values, &s->err), &s->err);
    assert_memory_equal(values, s->expected[0], sizeof values);
    assert_ok(driver->read(s->device, s->odd, values, sizeof values, &s->err), &s->err);
    assert_memory_equal(values, s->expected[1], sizeof values);
}

static void set(const char *variable) {
    if (!variable) return;
    char name[128];
    snprintf(name, sizeof name, "%s", variable);
    char *value = strchr(name, '=');
    assert_non_null(value);
    *value++ = 0;
    setenv(name, value, 1);
}

/* Sets the environment variables (NAME=value, or NULL) and calls `what` in a process of its own. err: out, its first
 * failure. */
static void with(const char *first, const char *second, void (*what)(setup *, cllm_error *), cllm_error *err) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        set("CMOCKA_TEST_ABORT=1"); /* after a failure, this process must not run the other tests */
        set(first);
        set(second);
        setup s = {0};
        cllm_error said = {0};
        what(&s, &said);
        if (write(ends[1], &said, sizeof said) != (ssize_t)sizeof said) _exit(1);
        exit(0);
    }
    close(ends[1]);
    ssize_t n_read = read(ends[0], err, sizeof *err);
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(n_read, sizeof *err);
}

/* ------------------------------------------------------------------------------------- messages and choices */

/* Opens the device, compiles, finds a kernel, and runs it. said: out, the failure, or the device's name as its name. */
static void use_device(setup *s, uint32_t index, cllm_error *said) {
    cllm_status status = driver->open(index, &s->device, &s->properties, said);
    if (status == CLLM_OK) status = compile(s, kernels);
    if (status == CLLM_OK) status = driver->kernel(s->device, "step", &s->step, &s->err);
    if (status != CLLM_OK && s->device) *said = s->err;
    driver->close(s->device);
    if (status != CLLM_OK) return;
    setup again;
    open_all(&again);
    step(&again, 1, N, 3, 1);
    assert_as_expected(&again);
    close_all(&again);
    snprintf(said->name, sizeof said->name, "%s%s", s->properties.name, s->properties.matrices ? ", matrices" : "");
}

static void use(setup *s, cllm_error *said) { use_device(s, 0, said); }
static void use_third(setup *s, cllm_error *said) { use_device(s, 2, said); }
static void use_last(setup *s, cllm_error *said) { use_device(s, UINT32_MAX, said); }

static void what_fails_is_told(void **state) {
    (void)state;
    const char *const cases[][2] = {
        {"LOOKALIKE_CUDA_FAULT=init", "starting the NVIDIA driver: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (system has"},
        {"LOOKALIKE_CUDA_FAULT=device", "no CUDA device: the NVIDIA driver is installed, but finds no GPU"},
        {"LOOKALIKE_CUDA_DEVICES=0", "no CUDA device"},
        {"LOOKALIKE_CUDA_FAULT=context", "making a context on Look-alike 0: no GPU: CUDA_ERROR_OUT_OF_MEMORY"},
        {"LOOKALIKE_CUDA_FAULT=nvrtc", "NVRTC_ERROR_COMPILATION: kernels.cu(2): error: the fault that was asked for"},
        {"LOOKALIKE_CUDA_FAULT=module", "loading the kernels compiled by --gpu-architecture=sm_90: CUDA_ERROR_INVALID"},
        {"LOOKALIKE_CUDA_FAULT=kernel", "at most 64 threads of the kernel step in a group, where 128 are needed"},
        {"LOOKALIKE_CUDA_ARCH=61", "NVRTC 13.0 no longer compiles for this device, of compute capability 6.1: install"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cllm_error err;
        with(cases[i][0], NULL, use, &err);
        assert_error(err.status, &err, CLLM_ERR_DEVICE, cases[i][1]);
    }
}

static void a_device_is_taken_by_its_number(void **state) {
    (void)state;
    cllm_error err;
    with("LOOKALIKE_CUDA_DEVICES=3", NULL, use, &err);
    assert_string_equal(err.name, "Look-alike 0: no GPU, matrices");
    with("LOOKALIKE_CUDA_DEVICES=3", NULL, use_third, &err);
    assert_string_equal(err.name, "Look-alike 2: no GPU, matrices");
    with("LOOKALIKE_CUDA_DEVICES=2", NULL, use_third, &err);
    assert_error(err.status, &err, CLLM_ERR_DEVICE, "cuda has 2 devices; there is no device 2, counted from 0");
    with("LOOKALIKE_CUDA_DEVICES=1", NULL, use_last, &err);
    assert_error(err.status, &err, CLLM_ERR_DEVICE, "cuda has 1 device; there is no device 4294967295, counted from 0");
}

static void each_architecture_has_what_it_can(void **state) {
    (void)state;
    cllm_error err;
    with("LOOKALIKE_CUDA_ARCH=75", NULL, use, &err);
    assert_string_equal(err.name, "Look-alike 0: no GPU");
    with("LOOKALIKE_CUDA_ARCH=80", NULL, use, &err);
    assert_string_equal(err.name, "Look-alike 0: no GPU, matrices");
    with("LOOKALIKE_CUDA_ARCH=121", NULL, use, &err); /* newer than the compiler */
    assert_string_equal(err.name, "Look-alike 0: no GPU, matrices");
}

static void run_out_of_memory(setup *s, cllm_error *said) {
    gpu_buffer *buffer = NULL;
    uint32_t offset;
    static unsigned char bytes[12346];
    open_all(s);
    assert_int_equal(s->properties.free_memory, 12000);
    driver->allocate(s->device, 12345, &buffer, said);
    assert_null(buffer);
    assert_error(driver->wrap(s->device, bytes, 12346, &buffer, &offset, &s->err), &s->err, CLLM_ERR_DEVICE,
                 "allocating 12346 bytes: CUDA_ERROR_OUT_OF_MEMORY");
    step(s, 1, N, 3, 1);
    assert_as_expected(s);
    close_all(s);
}

static void memory_that_is_not_there_is_refused_and_no_more(void **state) {
    (void)state;
    cllm_error err;
    with("LOOKALIKE_CUDA_MEMORY=12000", NULL, run_out_of_memory, &err);
    assert_error(err.status, &err, CLLM_ERR_DEVICE, "allocating 12345 bytes: CUDA_ERROR_OUT_OF_MEMORY (out of memory)");
}

static void fail_on_the_way(setup *s, cllm_error *said) {
    open_all(s);
    cllm_error later;
    uint32_t values[N] = {7};
    step(s, 1, N, 3, 1);
    submit(s);
    step(s, 0, N, 3, 1);
    assert_int_equal(driver->sync(s->device, said), CLLM_ERR_DEVICE);
    step(s, 1, N, 3, 1);
    assert_error(driver->submit(s->device, &later), &later, CLLM_ERR_DEVICE, said->message);
    assert_error(driver->write(s->device, s->even, values, sizeof values, &later), &later, CLLM_ERR_DEVICE,
                 said->message);
    assert_error(driver->read(s->device, s->even, values, sizeof values, &later), &later, CLLM_ERR_DEVICE,
                 said->message);
    assert_error(driver->sync(s->device, &later), &later, CLLM_ERR_DEVICE, said->message);
    assert_int_equal(values[0], 7);
    close_all(s);
}

static void a_failure_is_told_for_good(void **state) {
    (void)state;
    cllm_error err;
    with("LOOKALIKE_CUDA_FAULT=launch:2", NULL, fail_on_the_way, &err);
    assert_error(err.status, &err, CLLM_ERR_DEVICE,
                 "waiting for the device: CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)");
    with("LOOKALIKE_CUDA_FAULT=sync:2", NULL, fail_on_the_way, &err);
    assert_error(err.status, &err, CLLM_ERR_DEVICE, "waiting for the device: CUDA_ERROR_LAUNCH_TIMEOUT");
}

static void launch_wrongly(setup *s, cllm_error *said) {
    open_all(s);
    gpu_buffer *const buffers[2] = {s->odd, s->even};
    driver->launch(s->device, s->step, (const uint32_t[3]){1, 65536, 1}, buffers, 2, &(step_args){0},
                   sizeof(step_args));
    driver->submit(s->device, said);
    assert_error(driver->sync(s->device, &s->err), &s->err, CLLM_ERR_DEVICE, said->message);
    close_all(s);
}

static void a_launch_that_is_refused_is_named(void **state) {
    (void)state;
    cllm_error err;
    with(NULL, NULL, launch_wrongly, &err);
    assert_error(err.status, &err, CLLM_ERR_DEVICE, "launching step: CUDA_ERROR_INVALID_VALUE (invalid argument)");
    with("LOOKALIKE_CUDA_FAULT=sync:2", NULL, launch_wrongly, &err); /* the first failure is the one that is reported */
    assert_error(err.status, &err, CLLM_ERR_DEVICE, "launching step: CUDA_ERROR_INVALID_VALUE (invalid argument)");
}

/* ------------------------------------------------------------------------------------------ steps that repeat */

/* Runs `what`, and then reads what the look-alike counted while it ran. */
static void count(const char *variable, void (*what)(setup *, cllm_error *), unsigned long *n_kernels,
                  unsigned long *n_graphs) {
    char path[] = "/tmp/check_driver.XXXXXX", counting[64], line[256];
    cllm_error err;
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    snprintf(counting, sizeof counting, "LOOKALIKE_CUDA_COUNTS=%s", path);
    with(counting, variable, what, &err);
    FILE *counts = fopen(path, "r");
    assert_non_null(counts);
    assert_non_null(fgets(line, sizeof line, counts));
    assert_null(fgets(line + strlen(line), 2, counts));
    fclose(counts);
    unlink(path);
    assert_int_equal(
        sscanf(line, "%*u allocations, %lu kernels launched one by one, %lu graphs launched", n_kernels, n_graphs), 2);
}

/* Ten rounds of a list of 2, one of 3 and one of a single launch. */
static void repeat(setup *s, cllm_error *said) {
    (void)said;
    open_all(s);
    for (int round = 0; round < 10; round++) {
        step(s, 1, N, 3, 1);
        step(s, 0, N, 5, 2);
        submit(s);
        step(s, 1, N, 7, 3);
        step(s, 0, N / 2, 9, 4);
        step(s, 1, N, 11, 5);
        if (round % 3 == 0) submit(s);
        assert_as_expected(s);
        step(s, 0, N, 13, 6);
        submit(s);
    }
    assert_as_expected(s);
    close_all(s);
}

static void steps_that_repeat_become_graphs(void **state) {
    (void)state;
    unsigned long n_kernels, n_graphs;
    count(NULL, repeat, &n_kernels, &n_graphs);
    assert_int_equal(n_kernels, 2 + 3 + 10);
    assert_int_equal(n_graphs, 9 + 9);
}

static void without_graphs_the_same_comes_out(void **state) {
    (void)state;
    unsigned long n_kernels, n_graphs;
    const char *const faults[] = {"LOOKALIKE_CUDA_FAULT=capture", "LOOKALIKE_CUDA_FAULT=graph"};
    for (size_t i = 0; i < 2; i++) {
        count(faults[i], repeat, &n_kernels, &n_graphs);
        assert_int_equal(n_kernels, 10 * (2 + 3 + 1));
        assert_int_equal(n_graphs, 0);
    }
}

/* Each list of launches differs from the one before in one thing. */
static void differ(setup *s, cllm_error *said) {
    (void)said;
    open_all(s);
    for (uint32_t round = 0; round < 24; round++) {
        step(s, 1, N, 3, round % 4 == 1);                 /* one argument differs */
        step(s, 0, round % 4 == 2 ? GPU_GROUP : N, 5, 2); /* the number of groups differs */
        if (round % 4 == 3) step(s, 1, N, 7, 3);          /* the length differs */
        step(s, round / 4 % 2 ? 1 : 0, N, 3, 1);          /* the buffers differ */
        submit(s);
        assert_as_expected(s);
    }
    close_all(s);
}

static void steps_that_differ_in_one_thing_are_told_apart(void **state) {
    (void)state;
    unsigned long n_kernels, n_graphs;
    count(NULL, differ, &n_kernels, &n_graphs);
    assert_int_equal(n_graphs, 0); /* eight lists in turn: more than the driver remembers */
    assert_int_equal(n_kernels, 24 * 3 + 6);
}

/* Five lists: the one that is used least must make room. */
static void crowd(setup *s, cllm_error *said) {
    (void)said;
    open_all(s);
    for (uint32_t round = 0; round < 20; round++) {
        step(s, 1, N, 3, 1);
        step(s, 0, N, 5, 2);
        submit(s);
        for (uint32_t of = 0; of < 2; of++) {
            step(s, 1, N, 3, 10 + (2 * round + of) % 6);
            step(s, 0, N, 5, 2);
            submit(s);
        }
    }
    assert_as_expected(s);
    close_all(s);
}

static void what_is_used_most_stays_a_graph(void **state) {
    (void)state;
    unsigned long n_kernels, n_graphs;
    count(NULL, crowd, &n_kernels, &n_graphs);
    assert_int_equal(n_graphs, 19);
    assert_int_equal(n_kernels, 2 * (1 + 40));
}

/* A list with a graph is forgotten, and then comes back. */
static void come_back(setup *s, cllm_error *said) {
    (void)said;
    open_all(s);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t list = 0; list < 6; list++)
            for (uint32_t time = 0; time < 3; time++) {
                step(s, 1, N, 3, list);
                step(s, 0, N, 5, 2);
                submit(s);
            }
    assert_as_expected(s);
    close_all(s);
}

static void graphs_come_and_go(void **state) {
    (void)state;
    unsigned long n_kernels, n_graphs;
    count(NULL, come_back, &n_kernels, &n_graphs);
    assert_int_equal(n_graphs, 3 * 6 * 2);
    assert_int_equal(n_kernels, 3 * 6 * 2);
}

static void a_list_may_begin_another(void **state) {
    (void)state;
    setup s;
    open_all(&s);
    for (int round = 0; round < 6; round++)
        for (int more = 1; more >= 0; more--) {
            step(&s, 1, N, 3, 1);
            step(&s, 0, N, 5, 2);
            if (more) step(&s, 1, N, 7, 3);
            submit(&s);
            assert_as_expected(&s);
        }
    close_all(&s);
}

static void more_launches_than_are_recorded(void **state) {
    (void)state;
    setup s;
    open_all(&s);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 5001; i++) step(&s, i % 2 == 0, 2, 3, i);
        assert_as_expected(&s);
        step(&s, 0, N, 1, 0);
        assert_as_expected(&s);
    }
    close_all(&s);
}

static void a_buffer_may_be_another_one_in_the_same_step(void **state) {
    (void)state;
    setup s;
    open_all(&s);
    for (uint32_t round = 0; round < 12; round++) {
        for (int times = 0; times < 3; times++) {
            step(&s, 1, N, 3, 1);
            step(&s, 0, N, 5, 2);
            submit(&s);
        }
        assert_as_expected(&s);
        driver->release(s.device, s.odd);
        assert_ok(driver->allocate(s.device, sizeof s.expected[1], &s.odd, &s.err), &s.err);
        memset(s.expected[1], 0, sizeof s.expected[1]);
        assert_as_expected(&s);
    }
    close_all(&s);
}

/* ------------------------------------------------------------------------------------------------ what is left */

static void bytes_may_change_after_a_write(void **state) {
    (void)state;
    setup s;
    open_all(&s);
    static unsigned char bytes[3 << 20], back[3 << 20];
    gpu_buffer *large;
    assert_ok(driver->allocate(s.device, sizeof bytes, &large, &s.err), &s.err);
    for (uint32_t round = 0; round < 5; round++) {
        const size_t n = sizeof bytes / (round % 3 + 1) - round;
        memset(bytes, (int)round + 1, n);
        assert_ok(driver->write(s.device, large, bytes, n, &s.err), &s.err);
        memset(bytes, 0xEE, n);
        for (uint32_t i = 0; i < N; i++) s.expected[0][i] = round * i;
        assert_ok(driver->write(s.device, s.even, s.expected[0], sizeof s.expected[0], &s.err), &s.err);
        step(&s, 1, N, 3, round);
        s.expected[0][5] = round;
        assert_ok(driver->write(s.device, s.even, s.expected[0], sizeof s.expected[0], &s.err), &s.err);
        assert_as_expected(&s);
        assert_ok(driver->read(s.device, large, back, n, &s.err), &s.err);
        for (size_t i = 0; i < n; i++)
            if (back[i] != round + 1) fail_msg("byte %zu of round %u became %d", i, (unsigned)round, back[i]);
    }
    driver->release(s.device, large);
    close_all(&s);
}

static void buffers_may_be_released_unused(void **state) {
    (void)state;
    setup s;
    open_all(&s);
    unsigned char *bytes = calloc(1, 100000);
    assert_non_null(bytes);
    gpu_buffer *buffer;
    uint32_t offset;
    assert_ok(driver->wrap(s.device, bytes, 100000, &buffer, &offset, &s.err), &s.err);
    assert_int_equal(offset, 0);
    driver->release(s.device, buffer);
    free(bytes);
    assert_ok(driver->allocate(s.device, 100000, &buffer, &s.err), &s.err);
    driver->release(s.device, buffer);
    close_all(&s);
}

/* The same steps are launched from several threads, one thread after another. */
static void *use_from_here(void *user) {
    setup *s = user;
    for (int i = 0; i < 3; i++) {
        step(s, 1, N, 3, 1);
        step(s, 0, N, 5, 2);
        submit(s);
    }
    assert_as_expected(s);
    return NULL;
}

static void a_device_may_go_from_thread_to_thread(void **state) {
    (void)state;
    setup s;
    open_all(&s);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        use_from_here(&s);
        assert_int_equal(pthread_create(&thread, NULL, use_from_here, &s), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    close_all(&s);
}

/* The driver leaves the thread's current context as it is. */
static void the_current_context_is_left_alone(void **state) {
    (void)state;
    cuda_api cuda;
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    assert_non_null(library);
#define FIND(type, name, symbol, parameters)          \
    {                                                 \
        void *address = dlsym(library, #symbol);      \
        assert_non_null(address);                     \
        memcpy(&cuda.name, &address, sizeof address); \
    }
    CUDA_FUNCTIONS(FIND)
    CUcontext context, mine;
    setup s;
    open_all(&s);
    assert_int_not_equal(cuda.cuCtxPopCurrent(&context), CUDA_SUCCESS);
    assert_int_equal(cuda.cuDevicePrimaryCtxRetain(&mine, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuCtxPushCurrent(mine), CUDA_SUCCESS);
    use_from_here(&s);
    close_all(&s);
    assert_int_equal(cuda.cuCtxPopCurrent(&context), CUDA_SUCCESS);
    assert_ptr_equal(context, mine);
    assert_int_not_equal(cuda.cuCtxPopCurrent(&context), CUDA_SUCCESS);
    assert_int_equal(cuda.cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
}

/* Tests the look-alike's fragments against the definition of a matrix product. */
static void fragments_multiply(void **state) {
    (void)state;
    setup s;
    open_all(&s);
    gpu_kernel *multiply;
    assert_ok(driver->kernel(s.device, "multiply", &multiply, &s.err), &s.err);
    float left[16][8], right[8][8], product[16][8];
    uint64_t random = 3;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 8; k++) left[i][k] = (float)(random_u64(&random) % 2000) - 1000; /* all of them are exact */
    for (int k = 0; k < 8; k++)
        for (int j = 0; j < 8; j++) right[k][j] = (float)(random_u64(&random) % 1000) / 16;
    right[3][2] = 1.0f + 0x1p-11f; /* half way between two numbers of ten bits, and up */
    left[9][3] = 1;
    gpu_buffer *buffers[3];
    assert_ok(driver->allocate(s.device, sizeof product, &buffers[0], &s.err), &s.err);
    assert_ok(driver->allocate(s.device, sizeof left, &buffers[1], &s.err), &s.err);
    assert_ok(driver->allocate(s.device, sizeof right, &buffers[2], &s.err), &s.err);
    assert_ok(driver->write(s.device, buffers[1], left, sizeof left, &s.err), &s.err);
    assert_ok(driver->write(s.device, buffers[2], right, sizeof right, &s.err), &s.err);
    driver->launch(s.device, multiply, (const uint32_t[3]){1, 1, 1}, buffers, 3, &(uint32_t){0}, sizeof(uint32_t));
    assert_ok(driver->read(s.device, buffers[0], product, sizeof product, &s.err), &s.err);
    right[3][2] = 1.0f + 0x1p-10f;
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            double sum = 1;
            for (int k = 0; k < 8; k++) sum += (double)left[i][k] * (double)right[k][j];
            assert_true((double)product[i][j] > sum - 0.03 && (double)product[i][j] < sum + 0.03);
        }
    for (int i = 0; i < 3; i++) driver->release(s.device, buffers[i]);
    close_all(&s);
}

/* ------------------------------------------------------------------------------------------------------- main */

/* The kernels of all types that matrices have, and some of products of several types. */
static cllm_status add_all(gpu_program *program, cllm_error *err) {
#define TYPE(name, number, elements, bytes) QUANT_##name,
    static const quant_type types[] = {GPU_TYPES(TYPE)};
#undef TYPE
    enum { N_TYPES = sizeof types / sizeof *types };
    cllm_status status = CLLM_OK;
    uint32_t index;
    for (uint32_t t = 0; t < N_TYPES; t++) {
        const quant_type type = types[t], next = types[(t + 1) % N_TYPES], third = types[(t + 2) % N_TYPES];
        const kernel_variant variants[] = {
            {MATRIX_TILE, {type}, 1, false, 0},
            {MATRIX_EMBED, {type}, 1, false, 0},
            {MATRIX_MULTIPLY, {type}, 1, t % 2 != 0, t % 2 ? 1 : 4},
            {MATRIX_MULTIPLY, {type, next, third}, t % 4 ? 1 : 3, t % 2 != 0, t % 2 ? 1 : 4},
        };
        for (size_t i = 0; i < sizeof variants / sizeof *variants && status == CLLM_OK; i++)
            status = program_add(program, &variants[i], &index, err);
    }
    return status;
}

static cllm_status compile_all(setup *s, bool matrices) {
    gpu_program program = {0};
    cllm_status status = add_all(&program, &s->err);
    if (status == CLLM_OK) status = driver->open(0, &s->device, &s->properties, &s->err);
    s->properties.matrices = matrices;
    if (status == CLLM_OK) status = program_compile(&program, driver, s->device, &s->properties, CLLM_KV_F16, &s->err);
    program_free(&program);
    return status;
}

static cllm_status print_all(cllm_error *err, bool matrices) {
    gpu_program program = {0};
    const gpu_properties properties = {.simd = true, .matrices = matrices};
    char *text = NULL;
    cllm_status status = add_all(&program, err);
    if (status == CLLM_OK) status = program_text(&program, &properties, CLLM_KV_F16, &text, err);
    if (status == CLLM_OK) fputs(text, stdout);
    free(text);
    program_free(&program);
    return status;
}

static cllm_status launch_file(setup *s, const char *path) {
    uint32_t values[250];
    size_t n_bytes;
    char *text = (char *)read_file(path, &n_bytes);
    cllm_status status = driver->open(0, &s->device, &s->properties, &s->err);
    if (status == CLLM_OK) status = driver->compile(s->device, text, &s->err);
    free(text);
    if (status == CLLM_OK) status = driver->kernel(s->device, "try_", &s->step, &s->err);
    if (status == CLLM_OK) status = driver->allocate(s->device, sizeof values, &s->even, &s->err);
    if (status != CLLM_OK) return status;
    driver->launch(s->device, s->step, (const uint32_t[3]){2, 1, 1}, &s->even, 1, &(uint32_t){250}, sizeof(uint32_t));
    status = driver->read(s->device, s->even, values, sizeof values, &s->err);
    for (size_t i = 0; status == CLLM_OK && i < 250; i++) printf("%u\n", (unsigned)values[i]);
    driver->release(s->device, s->even);
    return status;
}

static int other_use(const char *use_of, const char *argument) {
    setup s = {0};
    cllm_status status = error_set(&s.err, CLLM_ERR_ARGUMENT, "there is no use %s", use_of);
    const bool matrices = strcmp(argument, "1") == 0;
    if (strcmp(use_of, "text") == 0) status = print_all(&s.err, matrices);
    if (strcmp(use_of, "kernels") == 0) status = compile_all(&s, matrices);
    if (strcmp(use_of, "launch") == 0) status = launch_file(&s, argument);
    if (status != CLLM_OK) fprintf(stderr, "%s\n", s.err.message);
    driver->close(s.device);
    return status != CLLM_OK;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_is_told),
        cmocka_unit_test(a_device_is_taken_by_its_number),
        cmocka_unit_test(each_architecture_has_what_it_can),
        cmocka_unit_test(memory_that_is_not_there_is_refused_and_no_more),
        cmocka_unit_test(a_failure_is_told_for_good),
        cmocka_unit_test(a_launch_that_is_refused_is_named),
        cmocka_unit_test(steps_that_repeat_become_graphs),
        cmocka_unit_test(without_graphs_the_same_comes_out),
        cmocka_unit_test(steps_that_differ_in_one_thing_are_told_apart),
        cmocka_unit_test(what_is_used_most_stays_a_graph),
        cmocka_unit_test(graphs_come_and_go),
        cmocka_unit_test(a_list_may_begin_another),
        cmocka_unit_test(more_launches_than_are_recorded),
        cmocka_unit_test(a_buffer_may_be_another_one_in_the_same_step),
        cmocka_unit_test(bytes_may_change_after_a_write),
        cmocka_unit_test(buffers_may_be_released_unused),
        cmocka_unit_test(a_device_may_go_from_thread_to_thread),
        cmocka_unit_test(the_current_context_is_left_alone),
        cmocka_unit_test(fragments_multiply),
    };
    if (argc > 2) return other_use(argv[1], argv[2]);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("CUDA driver", tests, NULL, NULL);
}
