/* Tests the promises of gpu/driver.h, with every driver of this build whose device is here, and those of
 * gpu/dialect.h that the kernels rely on. */
#if defined(__linux__)
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#endif
#include "support/check.h"

#include "base/half.h"
#include "gpu/driver.h"
#include "gpu/kernel_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Kernels of the tests. Their results are simple to compute again in C. The last group is not full, which tests the
 * ends. */
static const char program[] =
    "typedef struct { uint n; uint step; } chain_args;\n"
    "KERNEL(chain, chain_args, 2, BUFFER(uint, to, 0), BUFFER(uint, from, 1)) {\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    if (i < p.n) to[i] = from[(i + 1) % p.n] * 3 + p.step;\n"
    "}\n"
    "typedef struct { uint n; } count_args;\n"
    "KERNEL(add, count_args, 2, BUFFER(uint, sums, 0), BUFFER(uint, values, 1)) {\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    if (i < p.n) sums[i] += values[i];\n"
    "}\n"
    "typedef struct { uint n; uint offset; } bytes_args;\n"
    "KERNEL(copy_bytes, bytes_args, 2, BUFFER(uchar, to, 0), BUFFER(uchar, from, 1)) {\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    if (i < p.n) to[i] = from[p.offset + i];\n"
    "}\n"
    "typedef struct { uint n_x; uint n_y; } place_args;\n"
    "KERNEL(places, place_args, 1, BUFFER(uint, places, 0)) {\n"
    "    uint group = (GROUP_Z * p.n_y + GROUP_Y) * p.n_x + GROUP_X;\n"
    "    places[group * GROUP + THREAD] = GROUP_X | GROUP_Y << 8 | GROUP_Z << 16 | THREAD << 24;\n"
    "}\n"
    "typedef struct { uint values[64]; } many_args;\n"
    "KERNEL(many, many_args, 12, BUFFER(uint, b0, 0), BUFFER(uint, b1, 1), BUFFER(uint, b2, 2), BUFFER(uint, b3, 3),\n"
    "       BUFFER(uint, b4, 4), BUFFER(uint, b5, 5), BUFFER(uint, b6, 6), BUFFER(uint, b7, 7), BUFFER(uint, b8, 8),\n"
    "       BUFFER(uint, b9, 9), BUFFER(uint, b10, 10), BUFFER(uint, b11, 11)) {\n"
    "    uint i = THREAD;\n"
    "    if (i < 64)\n"
    "        b0[i] = p.values[i] + b1[i] + 2 * b2[i] + 3 * b3[i] + 4 * b4[i] + 5 * b5[i] + 6 * b6[i] + 7 * b7[i] +\n"
    "                8 * b8[i] + 9 * b9[i] + 10 * b10[i] + 11 * b11[i];\n"
    "}\n"
    "TABLE(uint, squares, 4) = {0, 1, 4, 9};\n"
    "FN uint turned(LOCAL uint *values, uint i) { return values[GROUP - 1 - i]; }\n"
    "KERNEL(turn, count_args, 1, BUFFER(uint, x, 0)) {\n"
    "    LOCAL_ARRAY(uint, values, GROUP);\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    values[THREAD] = x[i] + squares[THREAD % 4];\n"
    "    BARRIER();\n"
    "    uint once = turned(values, THREAD);\n"
    "    BARRIER();\n"
    "    values[THREAD] = once * p.n;\n"
    "    BARRIER();\n"
    "    x[i] = turned(values, (THREAD + 1) % GROUP);\n"
    "}\n"
    "KERNEL(load_halves, count_args, 3, BUFFER(float, singles, 0), BUFFER(float, pairs, 1), BUFFER(ushort, halves, 2)) "
    "{\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    if (i < p.n) singles[i] = LOAD_HALF(halves, i);\n"
    "    if (i < p.n / 2) {\n"
    "        float2 pair = LOAD_HALF2(halves, i);\n"
    "        pairs[2 * i] = pair.x;\n"
    "        pairs[2 * i + 1] = pair.y;\n"
    "    }\n"
    "}\n"
    "KERNEL(store_halves, count_args, 2, BUFFER(ushort, halves, 0), BUFFER(float, values, 1)) {\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    if (i < p.n) STORE_HALF(halves, i, values[i]);\n"
    "}\n"
    "KERNEL(fuse, count_args, 5, BUFFER(float, fused, 0), BUFFER(float, apart, 1), BUFFER(float, a, 2),\n"
    "       BUFFER(float, b, 3), BUFFER(float, c, 4)) {\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    if (i < p.n) {\n"
    "        fused[i] = FMA(a[i], b[i], c[i]);\n"
    "        apart[i] = a[i] * b[i] + c[i];\n"
    "    }\n"
    "}\n"
    "#if SIMD\n"
    "KERNEL(reduce, count_args, 3, BUFFER(float, sums, 0), BUFFER(float, most, 1), BUFFER(float, values, 2)) {\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    sums[i] = SIMD_SUM(values[i]);\n"
    "    most[i] = SIMD_MAX(values[i]);\n"
    "}\n"
    "#endif\n";

typedef struct chain_args {
    uint32_t n, step;
} chain_args;
typedef struct count_args {
    uint32_t n;
} count_args;
typedef struct bytes_args {
    uint32_t n, offset;
} bytes_args;
typedef struct place_args {
    uint32_t n_x, n_y;
} place_args;
typedef struct many_args {
    uint32_t values[64];
} many_args;

/* ------------------------------------------------------------------------------------- a driver and its device */

typedef struct opened {
    const gpu_driver *driver;
    gpu_device *device; /* NULL: none is here */
    gpu_properties properties;
    cllm_status compiled;
    cllm_error err;
} opened;

static const gpu_driver *driver_now; /* the driver under test: cmocka hands a group's set-up no argument */

/* Returns the program as a string of its own, with `more` after it. */
static char *program_text(const gpu_properties *properties, const char *more) {
    static const char format[] = "#define GROUP %d\n#define TEAM %d\n#define SIMD %d\n#define MATRICES %d\n"
                                 "#define KV_HALF 1\n%s\n%s%s";
    size_t size = sizeof format + strlen(gpu_text_dialect) + sizeof program + strlen(more) + 100;
    char *text = malloc(size);
    assert_non_null(text);
    int length = snprintf(text, size, format, (int)GPU_GROUP, (int)GPU_TEAM, properties->simd, properties->matrices,
                          gpu_text_dialect, program, more);
    assert_in_range(length, 1, size - 1);
    return text;
}

static int open_device(void **state) {
    opened *o = calloc(1, sizeof *o);
    if (!o) return -1;
    *state = o;
    o->driver = driver_now;
    cllm_status status = o->driver->open(0, &o->device, &o->properties, &o->err);
    if (status == CLLM_ERR_DEVICE) {
        printf("# %s: %s\n", o->driver->name, o->err.message);
        return 0;
    }
    if (status != CLLM_OK) return -1;
    printf("# %s: %s\n", o->driver->name, o->properties.name);
    char *text = program_text(&o->properties, "");
    o->compiled = o->driver->compile(o->device, text, &o->err);
    free(text);
    return 0;
}

static int close_device(void **state) {
    opened *o = *state;
    o->driver->close(o->device);
    free(o);
    return 0;
}

/* Returns the device with its program, or skips the test. */
static opened *device_here(void **state) {
    opened *o = *state;
    if (!o->device) {
        printf("# no device of %s: %s\n", o->driver->name, o->err.message);
        skip();
    }
    assert_ok(o->compiled, &o->err);
    return o;
}

static gpu_kernel *kernel(opened *o, const char *name) {
    gpu_kernel *found = NULL;
    assert_ok(o->driver->kernel(o->device, name, &found, &o->err), &o->err);
    assert_non_null(found);
    return found;
}

static gpu_buffer *zeros(opened *o, uint64_t n_bytes) {
    gpu_buffer *buffer = NULL;
    assert_ok(o->driver->allocate(o->device, n_bytes, &buffer, &o->err), &o->err);
    assert_non_null(buffer);
    return buffer;
}

static void write_bytes(opened *o, gpu_buffer *buffer, const void *bytes, size_t n_bytes) {
    assert_ok(o->driver->write(o->device, buffer, bytes, n_bytes, &o->err), &o->err);
}

static void read_bytes(opened *o, gpu_buffer *buffer, void *bytes, size_t n_bytes) {
    assert_ok(o->driver->read(o->device, buffer, bytes, n_bytes, &o->err), &o->err);
}

static gpu_buffer *holding(opened *o, const void *bytes, size_t n_bytes) {
    gpu_buffer *buffer = zeros(o, n_bytes);
    write_bytes(o, buffer, bytes, n_bytes);
    return buffer;
}

static void launch(opened *o, gpu_kernel *k, size_t n_threads, gpu_buffer *const *buffers, size_t n_buffers,
                   const void *args, size_t args_bytes) {
    const uint32_t groups[3] = {(uint32_t)((n_threads + GPU_GROUP - 1) / GPU_GROUP), 1, 1};
    o->driver->launch(o->device, k, groups, buffers, n_buffers, args, args_bytes);
}

static void release_all(opened *o, gpu_buffer *const *buffers, size_t n_buffers) {
    for (size_t i = 0; i < n_buffers; i++) o->driver->release(o->device, buffers[i]);
}

static unsigned char *random_bytes(size_t n_bytes, uint64_t seed) {
    unsigned char *bytes = malloc(n_bytes);
    assert_non_null(bytes);
    for (size_t i = 0; i < n_bytes; i++) bytes[i] = (unsigned char)(random_u64(&seed) >> 56);
    return bytes;
}

/* Checks that the device works: launches the kernel `chain` once, and compares its results. */
static void assert_works(opened *o) {
    uint32_t values[200], back[200];
    for (uint32_t i = 0; i < 200; i++) values[i] = i * i;
    gpu_buffer *buffers[] = {zeros(o, sizeof values), holding(o, values, sizeof values)};
    launch(o, kernel(o, "chain"), 200, buffers, 2, &(chain_args){200, 7}, sizeof(chain_args));
    read_bytes(o, buffers[0], back, sizeof back);
    for (uint32_t i = 0; i < 200; i++) assert_int_equal(back[i], values[(i + 1) % 200] * 3 + 7);
    release_all(o, buffers, 2);
}

/* ------------------------------------------------------------------------------------------------ opening */

static void a_device_tells_what_it_is(void **state) {
    opened *o = device_here(state);
    assert_true(o->properties.name[0] != 0);
    if (o->properties.free_memory) assert_true(o->properties.free_memory >= (uint64_t)1 << 20);
    if (o->properties.largest_buffer) assert_true(o->properties.largest_buffer >= (uint64_t)1 << 20);
}

static void closing_needs_nothing_done(void **state) {
    opened *o = device_here(state);
    gpu_device *second = NULL;
    gpu_properties properties;
    assert_ok(o->driver->open(0, &second, &properties, &o->err), &o->err);
    assert_string_equal(properties.name, o->properties.name);
    o->driver->close(second);
    o->driver->close(NULL);
    o->driver->release(o->device, NULL);
    assert_ok(o->driver->submit(o->device, &o->err), &o->err);
    assert_ok(o->driver->sync(o->device, &o->err), &o->err);
}

static void two_devices_keep_apart(void **state) {
    opened *o = device_here(state);
    opened second = {.driver = o->driver};
    assert_ok(o->driver->open(0, &second.device, &second.properties, &second.err), &second.err);
    char *text = program_text(&second.properties, "");
    assert_ok(o->driver->compile(second.device, text, &second.err), &second.err);
    free(text);
    uint32_t one[64], two[64], back[64];
    for (uint32_t i = 0; i < 64; i++) one[i] = i, two[i] = 1000 + i;
    gpu_buffer *first_buffers[] = {holding(o, one, sizeof one), holding(o, one, sizeof one)};
    gpu_buffer *second_buffers[] = {holding(&second, two, sizeof two), holding(&second, two, sizeof two)};
    gpu_kernel *first_add = kernel(o, "add"), *second_add = kernel(&second, "add");
    for (int i = 0; i < 3; i++) {
        launch(o, first_add, 64, first_buffers, 2, &(count_args){64}, sizeof(count_args));
        launch(&second, second_add, 64, second_buffers, 2, &(count_args){64}, sizeof(count_args));
    }
    read_bytes(o, first_buffers[0], back, sizeof back);
    for (uint32_t i = 0; i < 64; i++) assert_int_equal(back[i], 4 * one[i]);
    read_bytes(&second, second_buffers[0], back, sizeof back);
    for (uint32_t i = 0; i < 64; i++) assert_int_equal(back[i], 4 * two[i]);
    release_all(&second, second_buffers, 2);
    o->driver->close(second.device);
    release_all(o, first_buffers, 2);
    assert_works(o);
}

static void a_text_that_does_not_compile_is_told(void **state) {
    opened *o = device_here(state);
    opened second = {.driver = o->driver};
    assert_ok(o->driver->open(0, &second.device, &second.properties, &second.err), &second.err);
    char *text = program_text(&second.properties, "KERNEL(wrong, count_args, 1, BUFFER(uint, x, 0)) {\n"
                                                  "    x[THREAD] = no_such_name + p.n;\n}\n");
    cllm_status status = o->driver->compile(second.device, text, &second.err);
    free(text);
    assert_error(status, &second.err, CLLM_ERR_DEVICE, "no_such_name");
    assert_null(strpbrk(second.err.message, "\n\t"));
    o->driver->close(second.device);
    assert_works(o);
}

static void a_kernel_that_is_not_there_is_told(void **state) {
    opened *o = device_here(state);
    gpu_kernel *missing;
    assert_error(o->driver->kernel(o->device, "no_such_kernel", &missing, &o->err), &o->err, CLLM_ERR_DEVICE,
                 "no_such_kernel");
    assert_works(o);
}

/* ------------------------------------------------------------------------------------------------ buffers */

/* Memory that was in use before must be zero, too. */
static void buffers_begin_as_zeros(void **state) {
    opened *o = device_here(state);
    const size_t sizes[] = {1, 2, 3, 5, 64, 4096 + 7, ((size_t)1 << 20) + 1};
    for (int round = 0; round < 2; round++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            unsigned char *bytes = random_bytes(sizes[s], s);
            gpu_buffer *buffer = zeros(o, sizes[s]);
            read_bytes(o, buffer, bytes, sizes[s]);
            for (size_t i = 0; i < sizes[s]; i++) assert_int_equal(bytes[i], 0);
            memset(bytes, 0xA5, sizes[s]);
            write_bytes(o, buffer, bytes, sizes[s]);
            assert_ok(o->driver->sync(o->device, &o->err), &o->err);
            o->driver->release(o->device, buffer);
            free(bytes);
        }
}

static void what_is_written_is_read(void **state) {
    opened *o = device_here(state);
    const size_t sizes[] = {1, 3, 127, 4096, 100001, ((size_t)17 << 20) + 3};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned char *bytes = random_bytes(sizes[s], s), *back = calloc(1, sizes[s]);
        assert_non_null(back);
        gpu_buffer *buffer = holding(o, bytes, sizes[s]);
        read_bytes(o, buffer, back, sizes[s]);
        assert_memory_equal(back, bytes, sizes[s]);
        free(bytes);
        free(back);
        o->driver->release(o->device, buffer);
    }
}

static void a_part_leaves_the_rest(void **state) {
    opened *o = device_here(state);
    unsigned char *bytes = random_bytes(1000, 1), *other = random_bytes(1000, 2), back[1000];
    gpu_buffer *buffer = holding(o, bytes, 1000);
    write_bytes(o, buffer, other, 333);
    read_bytes(o, buffer, back, 1000);
    assert_memory_equal(back, other, 333);
    assert_memory_equal(back + 333, bytes + 333, 1000 - 333);
    memset(back, 0x5A, sizeof back);
    read_bytes(o, buffer, back, 7);
    assert_memory_equal(back, other, 7);
    for (size_t i = 7; i < sizeof back; i++) assert_int_equal(back[i], 0x5A);
    o->driver->release(o->device, buffer);
    free(bytes);
    free(other);
}

/* Each launch sees the write before it and not the one after it, although nothing waits, and the caller changes the
 * bytes at once. */
static void writes_and_launches_keep_their_order(void **state) {
    opened *o = device_here(state);
    enum { N = 5000, ROUNDS = 50 };
    static uint32_t values[N], sums[N], back[N];
    memset(sums, 0, sizeof sums);
    gpu_buffer *buffers[] = {zeros(o, sizeof sums), zeros(o, sizeof values)};
    gpu_kernel *add = kernel(o, "add");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < N; i++) sums[i] += values[i] = round * 1000 + i % 977;
        write_bytes(o, buffers[1], values, sizeof values);
        memset(values, 0xFF, sizeof values);
        launch(o, add, N, buffers, 2, &(count_args){N}, sizeof(count_args));
        if (round % 8 == 0) assert_ok(o->driver->submit(o->device, &o->err), &o->err);
    }
    read_bytes(o, buffers[0], back, sizeof back);
    assert_memory_equal(back, sums, sizeof sums);
    release_all(o, buffers, 2);
}

static void assert_too_large(opened *o, uint64_t n_bytes) {
    gpu_buffer *buffer = NULL;
    assert_error(o->driver->allocate(o->device, n_bytes, &buffer, &o->err), &o->err, CLLM_ERR_DEVICE, "");
    assert_non_null(strpbrk(o->err.message, "0123456789")); /* the size, in the driver's own unit */
    assert_null(buffer);
}

static void more_memory_than_there_is_is_refused(void **state) {
    opened *o = device_here(state);
    assert_too_large(o, (uint64_t)1 << 50);
    assert_too_large(o, (uint64_t)1 << 60);
    assert_too_large(o, UINT64_MAX);
    assert_works(o);
}

/* Wraps the bytes; a kernel copies them to a place where they can be read. */
static void assert_wraps(opened *o, const unsigned char *bytes, size_t n_bytes) {
    gpu_buffer *buffers[2] = {zeros(o, n_bytes), NULL};
    uint32_t offset = UINT32_MAX;
    size_t alignment = 32;
    while ((uintptr_t)bytes % alignment) alignment /= 2;
    assert_ok(o->driver->wrap(o->device, bytes, n_bytes, &buffers[1], &offset, &o->err), &o->err);
    assert_int_equal(offset % alignment, 0);
    bytes_args args = {(uint32_t)n_bytes, offset};
    launch(o, kernel(o, "copy_bytes"), n_bytes, buffers, 2, &args, sizeof args);
    unsigned char *back = calloc(1, n_bytes);
    assert_non_null(back);
    read_bytes(o, buffers[0], back, n_bytes);
    assert_memory_equal(back, bytes, n_bytes);
    free(back);
    release_all(o, buffers, 2);
}

/* Wraps pages of a file that is mapped for reading, as models are, up to the file's end. */
static void wrapped_bytes_are_those_of_the_host(void **state) {
    opened *o = device_here(state);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 3 * page + 1001;
    const size_t begins[] = {0, 1, 2, 4, 8, 16, 31, 32, 160, page - 1, page, page + 96, 2 * page + 33, size - 1};
    unsigned char *bytes = random_bytes(size, 3);
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fflush(file), 0);
    unsigned char *mapped = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    assert_true(mapped != MAP_FAILED);
    fclose(file);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        assert_wraps(o, mapped + begins[i], size - begins[i]);
        assert_wraps(o, mapped + begins[i], (size - begins[i] + 1) / 2);
    }
    assert_memory_equal(mapped, bytes, size);
    munmap(mapped, size);
    free(bytes);
}

/* Several wrapped parts of memory share pages, as tensors that follow each other in a file. */
static void wrapped_memory_may_share_pages(void **state) {
    opened *o = device_here(state);
    enum { BEGIN = 96, SIZE = 3200 };
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *bytes = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), back[SIZE];
    assert_true(bytes != MAP_FAILED && 2 * page >= BEGIN + 2 * SIZE);
    for (size_t i = 0; i < 2 * page; i++) bytes[i] = (unsigned char)(i * 7 + i / 256);
    gpu_buffer *wrapped[2], *copy = zeros(o, SIZE);
    bytes_args args[2];
    for (size_t i = 0; i < 2; i++) {
        args[i].n = SIZE;
        assert_ok(o->driver->wrap(o->device, bytes + BEGIN + i * SIZE, SIZE, &wrapped[i], &args[i].offset, &o->err),
                  &o->err);
        assert_int_equal(args[i].offset % 32, 0);
    }
    gpu_kernel *copy_bytes = kernel(o, "copy_bytes");
    for (size_t i = 0; i < 2; i++) {
        gpu_buffer *const buffers[] = {copy, wrapped[i]};
        launch(o, copy_bytes, SIZE, buffers, 2, &args[i], sizeof args[i]);
        read_bytes(o, copy, back, SIZE);
        assert_memory_equal(back, bytes + BEGIN + i * SIZE, SIZE);
    }
    release_all(o, wrapped, 2);
    o->driver->release(o->device, copy);
    munmap(bytes, 2 * page);
}

/* ----------------------------------------------------------------------------------------------- launches */

static void groups_and_threads_have_their_numbers(void **state) {
    opened *o = device_here(state);
    enum { X = 3, Y = 5, Z = 7, N = X * Y * Z * GPU_GROUP };
    static uint32_t places[N];
    gpu_buffer *buffer = zeros(o, sizeof places);
    o->driver->launch(o->device, kernel(o, "places"), (const uint32_t[3]){X, Y, Z}, &buffer, 1, &(place_args){X, Y},
                      sizeof(place_args));
    read_bytes(o, buffer, places, sizeof places);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t thread = i % GPU_GROUP, group = i / GPU_GROUP;
        assert_int_equal(places[i], group % X | group / X % Y << 8 | group / X / Y << 16 | thread << 24);
    }
    o->driver->release(o->device, buffer);
}

static void as_many_buffers_and_arguments_as_promised(void **state) {
    opened *o = device_here(state);
    many_args args;
    assert_int_equal(sizeof args, 256);
    uint32_t want[64], values[64], back[64];
    gpu_buffer *buffers[GPU_MOST_BUFFERS] = {zeros(o, sizeof back)};
    for (uint32_t i = 0; i < 64; i++) want[i] = args.values[i] = i * 0x01010101u;
    for (uint32_t b = 1; b < GPU_MOST_BUFFERS; b++) {
        for (uint32_t i = 0; i < 64; i++) want[i] += b * (values[i] = b * 1000 + i);
        buffers[b] = holding(o, values, sizeof values);
    }
    launch(o, kernel(o, "many"), 64, buffers, GPU_MOST_BUFFERS, &args, sizeof args);
    memset(&args, 0xFF, sizeof args);
    read_bytes(o, buffers[0], back, sizeof back);
    assert_memory_equal(back, want, sizeof want);
    release_all(o, buffers, GPU_MOST_BUFFERS);
}

/* Every value needs a value that another group of threads wrote in the launch before. */
static void a_launch_sees_what_those_before_it_did(void **state) {
    opened *o = device_here(state);
    enum { N = 3 * GPU_GROUP - 5, LAUNCHES = 1000 };
    uint32_t values[2][N], back[N];
    for (uint32_t i = 0; i < N; i++) values[0][i] = i * 2654435761u;
    gpu_buffer *buffers[2] = {holding(o, values[0], sizeof values[0]), zeros(o, sizeof values[0])};
    gpu_kernel *chain = kernel(o, "chain");
    for (uint32_t step = 0; step < LAUNCHES; step++) {
        const uint32_t *from = values[step % 2];
        gpu_buffer *const used[2] = {buffers[1 - step % 2], buffers[step % 2]};
        for (uint32_t i = 0; i < N; i++) values[1 - step % 2][i] = from[(i + 1) % N] * 3 + step;
        launch(o, chain, N, used, 2, &(chain_args){N, step}, sizeof(chain_args));
        if (step % 300 == 299) assert_ok(o->driver->submit(o->device, &o->err), &o->err);
    }
    assert_ok(o->driver->sync(o->device, &o->err), &o->err);
    read_bytes(o, buffers[LAUNCHES % 2], back, sizeof back);
    assert_memory_equal(back, values[LAUNCHES % 2], sizeof back);
    release_all(o, buffers, 2);
}

static void threads_of_a_group_share_memory(void **state) {
    opened *o = device_here(state);
    enum { N = 9 * GPU_GROUP };
    uint32_t values[N], back[N];
    for (uint32_t i = 0; i < N; i++) values[i] = i * 11;
    gpu_buffer *buffer = holding(o, values, sizeof values);
    launch(o, kernel(o, "turn"), N, &buffer, 1, &(count_args){5}, sizeof(count_args));
    read_bytes(o, buffer, back, sizeof back);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t thread = i % GPU_GROUP, from = (thread + 1) % GPU_GROUP, square = from % 4 * (from % 4);
        assert_int_equal(back[i], (values[i - thread + from] + square) * 5);
    }
    o->driver->release(o->device, buffer);
}

/* If a launch fails, the error is reported later, and then to every caller. */
static void a_failed_device_stays_failed(void **state) {
    opened *o = device_here(state);
    if (strcmp(o->driver->name, "opencl") != 0) {
        printf("# %s: no API but OpenCL's says that a buffer is missing\n", o->driver->name);
        skip();
    }
    opened second = {.driver = o->driver};
    cllm_error first, later;
    assert_ok(o->driver->open(0, &second.device, &second.properties, &second.err), &second.err);
    char *text = program_text(&second.properties, "");
    assert_ok(o->driver->compile(second.device, text, &second.err), &second.err);
    free(text);
    gpu_buffer *buffer = zeros(&second, 64);
    gpu_kernel *add = kernel(&second, "add"), *turn = kernel(&second, "turn");
    launch(&second, add, 1, &buffer, 1, &(count_args){1}, sizeof(count_args)); /* one buffer of two */
    launch(&second, turn, 1, &buffer, 0, &(count_args){1}, sizeof(count_args));
    assert_error(o->driver->submit(second.device, &first), &first, CLLM_ERR_DEVICE, "add");
    uint32_t value = 17; /* and the buffer holds 0 */
    assert_error(o->driver->sync(second.device, &later), &later, CLLM_ERR_DEVICE, first.message);
    assert_error(o->driver->read(second.device, buffer, &value, 4, &later), &later, CLLM_ERR_DEVICE, first.message);
    assert_int_equal(value, 17);
    assert_error(o->driver->write(second.device, buffer, &value, 4, &later), &later, CLLM_ERR_DEVICE, first.message);
    o->driver->release(second.device, buffer);
    o->driver->close(second.device);
    assert_works(o);
}

/* ------------------------------------------------------------------------------------------------ dialect */

static void assert_same_floats(const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (isnan(want[i]) ? !isnan(got[i]) : bits_from_float(got[i]) != bits_from_float(want[i]))
            fail_msg("element %zu is %.9g, which should be %.9g", i, (double)got[i], (double)want[i]);
}

static void every_half_is_loaded_exactly(void **state) {
    opened *o = device_here(state);
    enum { N = 65536 };
    static uint16_t halves[N];
    static float want[N], got[N];
    for (uint32_t i = 0; i < N; i++) want[i] = f32_from_f16(halves[i] = (uint16_t)i);
    gpu_buffer *buffers[] = {zeros(o, sizeof got), zeros(o, sizeof got), holding(o, halves, sizeof halves)};
    launch(o, kernel(o, "load_halves"), N, buffers, 3, &(count_args){N}, sizeof(count_args));
    for (int b = 0; b < 2; b++) {
        read_bytes(o, buffers[b], got, sizeof got);
        assert_same_floats(got, want, N);
    }
    release_all(o, buffers, 3);
}

/* The middle between two neighbours is rounded to the even one, and values beside the middle to the nearer one. */
static void stored_halves_round_to_nearest_even(void **state) {
    opened *o = device_here(state);
    enum { N = 3 * 0x7C00 + 8 };
    static float values[N];
    static uint16_t got[N];
    size_t n = 0;
    for (uint32_t below = 0; below < 0x7C00; below++) {
        float upper = below + 1 == 0x7C00 ? 65536.0f : f32_from_f16((uint16_t)(below + 1));
        float middle = (f32_from_f16((uint16_t)below) + upper) / 2 * (below % 3 ? 1.0f : -1.0f);
        values[n++] = middle;
        values[n++] = nextafterf(middle, -INFINITY);
        values[n++] = nextafterf(middle, INFINITY);
    }
    const float ends[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e30f, -1e30f, 1e-30f};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) values[n++] = ends[i];
    assert_int_equal(n, N);
    gpu_buffer *buffers[] = {zeros(o, sizeof got), holding(o, values, sizeof values)};
    launch(o, kernel(o, "store_halves"), N, buffers, 2, &(count_args){N}, sizeof(count_args));
    read_bytes(o, buffers[0], got, sizeof got);
    for (size_t i = 0; i < N; i++) {
        uint16_t want = f16_from_f32(values[i]);
        if (isnan(values[i]) ? !isnan(f32_from_f16(got[i])) : got[i] != want)
            fail_msg("%.9g became 0x%04x, which should be 0x%04x", (double)values[i], (unsigned)got[i], (unsigned)want);
    }
    release_all(o, buffers, 2);
}

/* If c nearly cancels the product, only a product with a single rounding keeps the rest. */
static void products_are_fused_where_asked_and_nowhere_else(void **state) {
    opened *o = device_here(state);
    enum { N = 10000 };
    static float a[N], b[N], c[N], fused[N], apart[N], got[N];
    uint64_t random = 5;
    size_t n_that_differ = 0;
    for (size_t i = 0; i < N; i++) {
        a[i] = random_float(&random);
        b[i] = random_float(&random);
        float product = a[i] * b[i];
        c[i] = i % 2 ? random_float(&random) : -product;
        fused[i] = fmaf(a[i], b[i], c[i]);
        apart[i] = product + c[i];
        n_that_differ += fused[i] < apart[i] || fused[i] > apart[i];
    }
    assert_true(n_that_differ > N / 4);
    gpu_buffer *buffers[] = {zeros(o, sizeof got), zeros(o, sizeof got), holding(o, a, sizeof a),
                             holding(o, b, sizeof b), holding(o, c, sizeof c)};
    launch(o, kernel(o, "fuse"), N, buffers, 5, &(count_args){N}, sizeof(count_args));
    read_bytes(o, buffers[0], got, sizeof got);
    assert_same_floats(got, fused, N);
    read_bytes(o, buffers[1], got, sizeof got);
    assert_same_floats(got, apart, N);
    release_all(o, buffers, 5);
}

static void teams_reduce_to_each_of_their_threads(void **state) {
    opened *o = device_here(state);
    if (!o->properties.simd) {
        printf("# %s: this device does not reduce over a team of threads\n", o->driver->name);
        skip();
    }
    enum { N = 5 * GPU_GROUP };
    float values[N], sums[N], most[N], got[N];
    uint64_t random = 9;
    for (size_t i = 0; i < N; i++) values[i] = (float)((int)(random_u64(&random) % 2001) - 1500); /* exact sums */
    for (size_t i = 0; i < N; i++) {
        const float *team = values + i / GPU_TEAM * GPU_TEAM;
        sums[i] = 0;
        most[i] = team[0];
        for (size_t t = 0; t < GPU_TEAM; t++) {
            sums[i] += team[t];
            most[i] = fmaxf(most[i], team[t]);
        }
    }
    gpu_buffer *buffers[] = {zeros(o, sizeof got), zeros(o, sizeof got), holding(o, values, sizeof values)};
    launch(o, kernel(o, "reduce"), N, buffers, 3, &(count_args){N}, sizeof(count_args));
    read_bytes(o, buffers[0], got, sizeof got);
    assert_same_floats(got, sums, N);
    read_bytes(o, buffers[1], got, sizeof got);
    assert_same_floats(got, most, N);
    release_all(o, buffers, 3);
}

/* ------------------------------------------------------------------------------- OpenCL's choice of a device */

/* Opens device `index` in a process of its own, with an environment variable that is set before OpenCL reads it. err:
 * out. */
static void opening_with(const char *variable, const char *value, uint32_t index, cllm_error *err) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        gpu_device *device = NULL;
        gpu_properties properties;
        cllm_error said = {0};
        setenv(variable, value, 1);
        gpu_driver_opencl.open(index, &device, &properties, &said);
        _exit(write(ends[1], &said, sizeof said) == (ssize_t)sizeof said ? 0 : 1);
    }
    close(ends[1]);
    ssize_t n_read = read(ends[0], err, sizeof *err);
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(n_read, sizeof *err);
}

static bool opens_here(void) {
    cllm_error err;
    opening_with("NO_VARIABLE", "", 0, &err);
    if (err.status == CLLM_OK) return true;
    printf("# opencl: %s\n", err.message);
    return false;
}

static void a_device_is_taken_by_its_number(void **state) {
    (void)state;
    static const char *const pairs[] = {"cpu cpu", "pthread pthread"}; /* names of PoCL's devices, new and old */
    cllm_error err;
    if (!opens_here()) skip();
    opening_with("NO_VARIABLE", "", UINT32_MAX, &err);
    assert_error(err.status, &err, CLLM_ERR_DEVICE, "; there is no device 4294967295");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        opening_with("POCL_DEVICES", pairs[i], 2, &err);
        if (!strstr(err.message, "opencl has 2 devices; there is no device 2")) continue; /* another OpenCL or PoCL */
        opening_with("POCL_DEVICES", pairs[i], 1, &err);
        assert_ok(err.status, &err);
        return;
    }
    printf("# this OpenCL does not offer two devices by POCL_DEVICES\n");
    skip();
}

static void no_platform_is_told(void **state) {
    (void)state;
    cllm_error err;
    if (!opens_here()) skip();
    opening_with("OCL_ICD_VENDORS", "/nonexistent", 0, &err);
    if (err.status == CLLM_OK) {
        printf("# this OpenCL has its platform built in\n");
        skip();
    }
    assert_error(err.status, &err, CLLM_ERR_DEVICE, "install a driver");
}

int main(int argc, char **argv) { /* [DRIVER] */
    const struct CMUnitTest choice[] = {
        cmocka_unit_test(a_device_is_taken_by_its_number),
        cmocka_unit_test(no_platform_is_told),
    };
    const struct CMUnitTest contract[] = {
        cmocka_unit_test(a_device_tells_what_it_is),
        cmocka_unit_test(closing_needs_nothing_done),
        cmocka_unit_test(two_devices_keep_apart),
        cmocka_unit_test(a_text_that_does_not_compile_is_told),
        cmocka_unit_test(a_kernel_that_is_not_there_is_told),
        cmocka_unit_test(buffers_begin_as_zeros),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_part_leaves_the_rest),
        cmocka_unit_test(writes_and_launches_keep_their_order),
        cmocka_unit_test(more_memory_than_there_is_is_refused),
        cmocka_unit_test(wrapped_bytes_are_those_of_the_host),
        cmocka_unit_test(wrapped_memory_may_share_pages),
        cmocka_unit_test(groups_and_threads_have_their_numbers),
        cmocka_unit_test(as_many_buffers_and_arguments_as_promised),
        cmocka_unit_test(a_launch_sees_what_those_before_it_did),
        cmocka_unit_test(threads_of_a_group_share_memory),
        cmocka_unit_test(a_failed_device_stays_failed),
        cmocka_unit_test(every_half_is_loaded_exactly),
        cmocka_unit_test(stored_halves_round_to_nearest_even),
        cmocka_unit_test(products_are_fused_where_asked_and_nowhere_else),
        cmocka_unit_test(teams_reduce_to_each_of_their_threads),
    };
    int n_failed = 0;
    if (argc < 2) n_failed += cmocka_run_group_tests_name("choice of an OpenCL device", choice, NULL, NULL);
    for (size_t i = 0; gpu_drivers[i]; i++) {
        driver_now = gpu_drivers[i];
        if (argc > 1 && strcmp(argv[1], driver_now->name) != 0) continue;
        n_failed += cmocka_run_group_tests_name(driver_now->name, contract, open_device, close_device);
    }
    return n_failed;
}
