/* A short use of the Metal driver, for tests/check_metal.sh: try_driver [FAULTY]. It prints "fine", or the error of the
 * call that failed; everything is released in both cases. FAULTY is the text of a kernel `faulty`, which is added and
 * launched, too. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "base/error.h"
#include "gpu/driver.h"
#include "gpu/kernel_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { N = 1000, GROUPS = (N + GPU_GROUP - 1) / GPU_GROUP };

static const char kernels[] =
    "typedef struct { uint n; uint more; } args;\n"
    "KERNEL(copy, args, 2, BUFFER(uint, to, 0), BUFFER(const uint, from, 1)) {\n"
    "    uint i = GROUP_X * GROUP + THREAD;\n"
    "    if (i < p.n) to[i] = from[i] + p.more;\n"
    "}\n"
    "KERNEL(turn, args, 1, BUFFER(uint, x, 0)) {\n"
    "    LOCAL_ARRAY(uint, values, GROUP);\n"
    "    values[THREAD] = x[THREAD];\n"
    "    BARRIER();\n"
    "    x[THREAD] = values[GROUP - 1 - THREAD];\n"
    "}\n"
    "#if SIMD\n"
    "KERNEL(total, args, 1, BUFFER(uint, x, 0)) { x[THREAD] = (uint)SIMD_SUM((float)x[THREAD]); }\n"
    "#endif\n"
    "#if MATRICES\n"
    "KERNEL(product, args, 2, BUFFER(float, c, 0), BUFFER(const float, ab, 1)) {\n"
    "    LOCAL_ARRAY(float, tile, 64);\n"
    "    if (THREAD < TEAM) {\n"
    "        simdgroup_float8x8 a, b, sums = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);\n"
    "        for (ulong k = 0; k < 16; k += 8) {\n"
    "            simdgroup_load(a, ab, 16, ulong2(k, 0));\n"
    "            simdgroup_load(b, ab + 128, 16, ulong2(k, 0), true);\n"
    "            simdgroup_multiply_accumulate(sums, a, b, sums);\n"
    "        }\n"
    "        simdgroup_store(sums, tile, 8);\n"
    "    }\n"
    "    BARRIER();\n"
    "    if (THREAD < 64) c[THREAD] = tile[THREAD];\n"
    "}\n"
    "#endif\n";

typedef struct trial {
    gpu_device *device;
    gpu_properties properties;
    gpu_buffer *to, *from, *wrapped;
    cllm_error err;
} trial;

static const gpu_driver *const driver = &gpu_driver_metal;

static cllm_status wrong(trial *t, const char *what) {
    return error_set(&t->err, CLLM_ERR_DEVICE, "wrong numbers: %s", what);
}

static cllm_status compile(trial *t, const char *more) {
    const size_t size = strlen(gpu_text_dialect) + strlen(more) + sizeof kernels + 200;
    char *text = malloc(size);
    if (!text) return CLLM_ERR_MEMORY;
    snprintf(text, size,
             "#define GROUP %d\n#define TEAM %d\n#define SIMD %d\n#define MATRICES %d\n#define KV_HALF 0\n%s%s%s",
             GPU_GROUP, GPU_TEAM, t->properties.simd, t->properties.matrices, gpu_text_dialect, kernels, more);
    const cllm_status status = driver->compile(t->device, text, &t->err);
    free(text);
    return status;
}

static cllm_status launch(trial *t, const char *name, uint32_t n_groups, gpu_buffer *a, gpu_buffer *b) {
    gpu_kernel *kernel;
    const cllm_status status = driver->kernel(t->device, name, &kernel, &t->err);
    if (!status)
        driver->launch(t->device, kernel, (const uint32_t[]){n_groups, 1, 1}, (gpu_buffer *const[]){a, b}, b ? 2 : 1,
                       (const uint32_t[]){N, 7}, 2 * sizeof(uint32_t));
    return status;
}

/* Launches that follow each other, and writes between them. */
static cllm_status copy_and_turn(trial *t) {
    uint32_t values[N];
    cllm_status status;
    for (uint32_t i = 0; i < N; i++) values[i] = i;
    if ((status = driver->allocate(t->device, sizeof values, &t->to, &t->err)) ||
        (status = driver->allocate(t->device, sizeof values, &t->from, &t->err)) ||
        (status = driver->write(t->device, t->from, values, sizeof values, &t->err)) ||
        (status = launch(t, "copy", GROUPS, t->to, t->from)) || (status = driver->submit(t->device, &t->err)) ||
        (status = launch(t, "turn", 1, t->to, NULL)) ||
        (status = driver->write(t->device, t->from, (const uint32_t[]){9}, 4, &t->err)) ||
        (status = driver->read(t->device, t->to, values, sizeof values, &t->err)))
        return status;
    for (uint32_t i = 0; i < N; i++)
        if (values[i] != 7 + (i < GPU_GROUP ? GPU_GROUP - 1 - i : i)) return wrong(t, "copy, turn");
    return CLLM_OK;
}

/* The driver wraps bytes of the host, wherever in the buffer they begin. */
static cllm_status look_at_host(trial *t, const uint32_t *host, size_t n_bytes) {
    uint32_t values[N], offset;
    cllm_status status = driver->wrap(t->device, host, n_bytes, &t->wrapped, &offset, &t->err);
    if (status || (status = launch(t, "copy", GROUPS, t->to, t->wrapped)) ||
        (status = driver->read(t->device, t->to, values, sizeof values, &t->err)))
        return status;
    for (uint32_t i = 0; offset / 4 + i < N; i++)
        if (values[offset / 4 + i] != host[i] + 7) return wrong(t, "host memory");
    printf("wrapped at %u\n", offset);
    return CLLM_OK;
}

static cllm_status simd_and_matrices(trial *t) {
    uint32_t values[GPU_GROUP], sum = 0;
    float ab[256], c[64];
    for (uint32_t i = 0; i < GPU_GROUP; i++) values[i] = i * i;
    for (uint32_t i = 0; i < GPU_TEAM; i++) sum += values[GPU_TEAM + i];
    for (int i = 0; i < 256; i++) ab[i] = (float)(i * 37 % 11);
    cllm_status status;
    if ((status = driver->write(t->device, t->to, values, sizeof values, &t->err)) ||
        (status = launch(t, "total", 1, t->to, NULL)) ||
        (status = driver->read(t->device, t->to, values, sizeof values, &t->err)))
        return status;
    for (uint32_t i = 0; i < GPU_TEAM; i++)
        if (values[GPU_TEAM + i] != sum) return wrong(t, "SIMD_SUM");
    if ((status = driver->write(t->device, t->from, ab, sizeof ab, &t->err)) ||
        (status = launch(t, "product", 1, t->to, t->from)) ||
        (status = driver->read(t->device, t->to, c, sizeof c, &t->err)))
        return status;
    for (int row = 0; row < 8; row++)
        for (int column = 0; column < 8; column++) {
            float want = 0;
            for (int k = 0; k < 16; k++) want += ab[row * 16 + k] * ab[128 + column * 16 + k];
            if (c[row * 8 + column] != want) return wrong(t, "matrices");
        }
    return CLLM_OK;
}

static cllm_status faulty(trial *t) {
    const cllm_status status = launch(t, "faulty", 2, t->to, t->from);
    return status ? status : driver->sync(t->device, &t->err);
}

int main(int n_args, char **args) {
    trial t = {0};
    const size_t n_bytes = 1 << 16;
    uint32_t *pages = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return 1;
    cllm_status status = driver->open(0, &t.device, &t.properties, &t.err);
    if (!status) status = compile(&t, n_args > 1 ? args[1] : "");
    for (uint32_t i = 0; i < n_bytes / sizeof *pages; i++) pages[i] = 3 * i;
    if (!status) status = copy_and_turn(&t);
    if (!status) status = look_at_host(&t, pages + 8, n_bytes - 32);
    if (!status && t.properties.simd) status = simd_and_matrices(&t);
    if (!status && n_args > 1) status = faulty(&t);
    cllm_error again;
    if (strstr(t.err.message, "the GPU failed") && driver->sync(t.device, &again) != status)
        puts("the error is forgotten");
    driver->release(t.device, t.to);
    driver->release(t.device, t.from);
    driver->release(t.device, t.wrapped);
    driver->close(t.device);
    munmap(pages, n_bytes);
    puts(status ? t.err.message : "fine");
    return status != CLLM_OK;
}
