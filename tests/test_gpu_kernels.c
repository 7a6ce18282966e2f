/* Tests the kernels of kernels.gpu against their formulas in double, with every driver of this build whose device is
 * here, and for both types of keys and values. A kernel may read only its own data (around it there are NaNs), and
 * write nothing else. The products are tested in test_gpu_products.c. */
#include "support/check.h"
#include "support/gpu_launch.h"

#include "base/half.h"
#include "gpu/kernel_args.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest error of a result. FLOAT_LIMIT: of an element that a few operations compute, in units of its terms.
 * ATTENTION_LIMIT: in units of the root of the sum of the squared terms. */
#define FLOAT_LIMIT     1e-6
#define ATTENTION_LIMIT 1e-5
/* The largest error of a number that was rounded to a half: relative to the number, and absolute if it is subnormal. */
#define HALF_LIMIT     0x1p-11
#define HALF_SUBNORMAL 0x1p-25

static device_under_test device;
static const gpu_driver *driver_now; /* the driver under test, */
static cllm_kv_type kv_type_now;     /* with these keys and values: cmocka hands a group's set-up no argument */

static int open_group(void **state) {
    (void)state;
    const kernel_variant any = {.kind = MATRIX_EMBED, .types = {QUANT_F32}, .n_types = 1};
    open_device(&device, driver_now, kv_type_now, &any, 1, NULL); /* the common kernels come with it */
    return 0;
}

static int close_group(void **state) {
    (void)state;
    close_device(&device);
    return 0;
}

static uint32_t groups(uint32_t n, uint32_t of) { return (n + of - 1) / of; }
static bool half_cache(void) { return device.kv_type == CLLM_KV_F16; }

/* --------------------------------------------------------------------------------------------------- norms */

/* A row is normed: the mean (of LayerNorm) is subtracted, and the rest is multiplied by scale. off: the largest error
 * of this. */
typedef struct normed {
    double mean, scale, off;
} normed;

static normed norm_of(const float *x, uint32_t n, bool centred, float epsilon) {
    normed of = {0};
    double squares = 0, largest = 0;
    for (uint32_t i = 0; centred && i < n; i++) of.mean += (double)x[i] / n;
    for (uint32_t i = 0; i < n; i++) squares += ((double)x[i] - of.mean) * ((double)x[i] - of.mean);
    for (uint32_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)x[i]));
    of.scale = 1 / sqrt(squares / n + (double)epsilon);
    of.off = centred ? FLOAT_LIMIT * largest * of.scale : 0;
    return of;
}

typedef struct norm_kind_of {
    bool centred, bias, add;
    float scale; /* 0: 1 */
} norm_kind_of;

static void check_norm(uint32_t n, uint32_t n_tokens, uint32_t first_x, uint32_t first_out, norm_kind_of kind,
                       uint64_t *random) {
    const uint32_t stride = n + 5;
    const norm_args args = {.n = (int)n,
                            .stride = (int)stride,
                            .first_x = (int)first_x,
                            .first_out = (int)first_out,
                            .centred = kind.centred,
                            .mode = kind.add ? ADD : STORE,
                            .has_bias = kind.bias,
                            .epsilon = 1e-2f,
                            .scale = kind.scale != 0 ? kind.scale : 1};
    float *x = poisoned_floats((first_x + n_tokens) * stride), *weight = poisoned_floats(2 * n + 5);
    watched out = watch(&device, (first_out + n_tokens + 1) * stride, false);
    for (uint32_t i = 0; i < (kind.bias ? 2 : 1) * n; i++) weight[i] = random_float(random);
    for (uint32_t t = 0; t < n_tokens; t++) {
        float *row = x + (first_x + t) * stride;
        const float amplitude = t % 3 == 0 ? 1.0f : t % 3 == 1 ? 0.01f : 100.0f;
        for (uint32_t i = 0; i < n; i++) row[i] = amplitude * (random_float(random) + (float)(t % 2));
        const normed of = norm_of(row, n, kind.centred, args.epsilon);
        for (uint32_t i = 0; i < n; i++) {
            const size_t at = (first_out + t) * stride + i;
            const double value = ((double)row[i] - of.mean) * of.scale * (double)weight[i];
            const double bias = kind.bias ? (double)weight[n + i] : 0, scale = (double)args.scale;
            const float before = kind.add ? random_float(random) : 0;
            if (kind.add) set_before(&out, at, before);
            const double magnitude = fabs(scale) * (fabs(value) + fabs(bias)) + fabs((double)before);
            expect(&out, at, (value + bias) * scale + (double)before,
                   FLOAT_LIMIT * magnitude + of.off * fabs((double)weight[i] * scale));
        }
    }
    gpu_buffer *x_buffer = buffer_of(&device, x, (first_x + n_tokens) * stride * sizeof *x);
    gpu_buffer *weight_buffer = buffer_of(&device, weight, (2 * n + 5) * sizeof *weight);
    char what[100];
    snprintf(what, sizeof what, "%s norm of %u vectors of %u%s%s", kind.centred ? "layer" : "RMS", n_tokens, n,
             kind.bias ? ", bias" : "", kind.add ? ", added" : "");
    run_and_check(&device,
                  &(launch){.kernel = KERNEL_NORM,
                            .groups = {n_tokens, 1, 1},
                            .buffers = {x_buffer, weight_buffer, out.buffer},
                            .n_buffers = 3,
                            .args = &args,
                            .args_bytes = sizeof args},
                  (watched *[]){&out}, 1, what);
    release(&device, x_buffer);
    release(&device, weight_buffer);
    unwatch(&device, &out);
    free(x);
    free(weight);
}

static void norms_are_of_each_vector(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 1;
    static const norm_kind_of kinds[] = {
        {0}, {.centred = true}, {.centred = true, .bias = true}, {.add = true, .scale = 0.22f}, {.bias = true}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        check_norm(1, 1, 0, 0, kinds[k], &random);
        check_norm(31, 3, 2, 0, kinds[k], &random);
        check_norm(127, 1, 0, 4, kinds[k], &random);
        check_norm(128, 3, 1, 2, kinds[k], &random);
        check_norm(172, 64, 0, 0, kinds[k], &random);
        check_norm(4100, 3, 0, 1, kinds[k], &random);
        check_norm(16384, 1, 1, 0, kinds[k], &random);
    }
}

/* Norms heads of queries and keys, each head alone or all as one row. The values after them must not change. */
static void check_norm_qk(uint32_t n_heads, uint32_t n_kv_heads, uint32_t length, bool one_row, bool each, bool centred,
                          uint64_t *random) {
    enum { N_TOKENS = 3, VALUES = 7 };
    const uint32_t rows[] = {one_row ? 1 : n_heads, one_row ? 1 : n_kv_heads};
    const uint32_t lengths[] = {one_row ? n_heads * length : length, one_row ? n_kv_heads * length : length};
    const uint32_t stride = (n_heads + n_kv_heads) * length + VALUES;
    const norm_qk_args args = {.query_rows = (int)rows[0],
                               .query_length = (int)lengths[0],
                               .key_length = (int)lengths[1],
                               .each = each,
                               .stride = (int)stride,
                               .centred = centred,
                               .epsilon = 1e-2f};
    const uint32_t n_weights = each ? (n_heads + n_kv_heads) * length : lengths[0] + lengths[1];
    float *weight = poisoned_floats(n_weights + 3);
    watched qkv = watch(&device, (N_TOKENS + 1) * stride, false);
    for (uint32_t i = 0; i < n_weights; i++) weight[i] = random_float(random);
    for (uint32_t i = 0; i < N_TOKENS * stride; i++)
        if (i % stride < stride - VALUES) set_before(&qkv, i, 3 * random_float(random) + 1);
    for (uint32_t t = 0; t < N_TOKENS; t++)
        for (uint32_t keys = 0, at = t * stride, w = 0; keys < 2; keys++) {
            for (uint32_t row = 0; row < rows[keys]; row++, at += lengths[keys]) {
                const float *x = (const float *)qkv.before + at;
                const normed of = norm_of(x, lengths[keys], centred, args.epsilon);
                for (uint32_t i = 0; i < lengths[keys]; i++) {
                    const double g = (double)weight[w + i], value = ((double)x[i] - of.mean) * of.scale * g;
                    expect(&qkv, at + i, value, FLOAT_LIMIT * fabs(value) + of.off * fabs(g));
                }
                w += each ? lengths[keys] : 0;
            }
            w += each ? 0 : lengths[keys];
        }
    gpu_buffer *weight_buffer = buffer_of(&device, weight, (n_weights + 3) * sizeof *weight);
    char what[100];
    snprintf(what, sizeof what, "norms of %u and %u heads of %u%s%s%s", n_heads, n_kv_heads, length,
             one_row ? ", as one row" : "", each ? ", each its own" : "", centred ? ", centred" : "");
    run_and_check(&device,
                  &(launch){.kernel = KERNEL_NORM_QK,
                            .groups = {rows[0] + rows[1], N_TOKENS, 1},
                            .buffers = {qkv.buffer, weight_buffer},
                            .n_buffers = 2,
                            .args = &args,
                            .args_bytes = sizeof args},
                  (watched *[]){&qkv}, 1, what);
    release(&device, weight_buffer);
    unwatch(&device, &qkv);
    free(weight);
}

static void queries_and_keys_are_normed(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 9;
    for (int centred = 0; centred < 2; centred++) {
        check_norm_qk(4, 2, 64, false, false, centred, &random);
        check_norm_qk(6, 1, 160, false, false, centred, &random);
        check_norm_qk(3, 3, 16, true, false, centred, &random);
        check_norm_qk(8, 2, 80, true, false, centred, &random);
        check_norm_qk(4, 2, 48, false, true, centred, &random);
        check_norm_qk(1, 1, 2, false, true, centred, &random);
    }
}

/* ----------------------------------------------------------------------------------------- rotation and cache */

/* Heads of a layer, and their cache. */
typedef struct heads {
    uint32_t n_kv_heads, sharing; /* sharing: query heads for each key/value head */
    uint32_t key_length, value_length;
    uint32_t n_pages;
} heads;

static uint32_t n_heads(const heads *h) { return h->n_kv_heads * h->sharing; }

/* The page of chunk `chunk` of the sequence. Pages are in no order. */
static uint32_t page_of(const heads *h, uint32_t chunk) {
    assert_true(chunk < h->n_pages);
    return chunk % 2 ? h->n_pages - 1 - chunk / 2 : chunk / 2;
}

static size_t chunk_at(const heads *h, uint32_t head, uint32_t position) {
    return (size_t)page_of(h, position / CHUNK) * h->n_kv_heads + head;
}

static size_t key_at(const heads *h, uint32_t head, uint32_t position, uint32_t d) {
    return (chunk_at(h, head, position) * h->key_length + d) * CHUNK + position % CHUNK;
}

static size_t value_at(const heads *h, uint32_t head, uint32_t position, uint32_t d) {
    return (chunk_at(h, head, position) * CHUNK + position % CHUNK) * h->value_length + d;
}

static size_t cache_elements(const heads *h, uint32_t length) {
    return (size_t)h->n_pages * h->n_kv_heads * CHUNK * length;
}

/* Ints for the kernels, after some that are not valid indices. */
enum { NO_PLACE = -1000000, BEGIN = 3 };
typedef struct ints {
    int32_t numbers[20000];
    size_t n;
} ints;

static ints *ints_new(void) {
    ints *all = calloc(1, sizeof *all);
    assert_non_null(all);
    while (all->n < BEGIN) all->numbers[all->n++] = NO_PLACE;
    return all;
}

/* Appends n numbers. Returns the index of the first of them. */
static int add_ints(ints *all, const void *numbers, size_t n) {
    assert_true(all->n + n <= sizeof all->numbers / sizeof *all->numbers);
    memcpy(all->numbers + all->n, numbers, n * sizeof *all->numbers);
    all->n += n;
    return (int)(all->n - n);
}

/* Copies them to a buffer of the device, and frees `all`. */
static gpu_buffer *ints_buffer(ints *all) {
    gpu_buffer *buffer = buffer_of(&device, all->numbers, all->n * sizeof *all->numbers);
    free(all);
    return buffer;
}

/* Expects a pair after its rotation. A cache of halfs rounds it once more. */
static void expect_rotated(watched *to, size_t first, size_t second, const float *x, const float *angle, double scale) {
    const double c = angle ? (double)angle[0] : 1, s = angle ? (double)angle[1] : 0, a = (double)x[0], b = (double)x[1];
    const double values[] = {(a * c - b * s) * scale, (a * s + b * c) * scale};
    for (int i = 0; i < 2; i++) {
        double tolerance = FLOAT_LIMIT * scale * (fabs(a) + fabs(b));
        if (to->half) tolerance += HALF_LIMIT * fabs(values[i]) + HALF_SUBNORMAL;
        expect(to, i == 0 ? first : second, values[i], tolerance);
    }
}

typedef struct rotation {
    uint32_t n_pairs;
    bool halves;
    float temperature;
    uint32_t temperature_length;
} rotation;

static void expect_roped(const heads *h, const rotation *r, double scale, uint32_t position, const float *angles,
                         watched *qkv, size_t row, watched *keys, watched *values) {
    const float *x = (const float *)qkv->before + row;
    const uint32_t pairs = h->key_length / 2;
    for (uint32_t head = 0; head < n_heads(h) + h->n_kv_heads; head++)
        for (uint32_t pair = 0; pair < pairs; pair++) {
            const float *angle = pair < r->n_pairs ? angles + (size_t)2 * pair : NULL;
            const uint32_t d = r->halves && angle ? pair : 2 * pair,
                           other = r->halves && angle ? d + r->n_pairs : d + 1;
            const size_t begin = (size_t)head * h->key_length;
            const float two[] = {x[begin + d], x[begin + other]};
            const uint32_t kv_head = head - n_heads(h);
            if (head < n_heads(h))
                expect_rotated(qkv, row + begin + d, row + begin + other, two, angle, scale);
            else
                expect_rotated(keys, key_at(h, kv_head, position, d), key_at(h, kv_head, position, other), two, angle,
                               1);
        }
    const float *v = x + (n_heads(h) + h->n_kv_heads) * h->key_length;
    for (uint32_t head = 0; head < h->n_kv_heads; head++)
        for (uint32_t d = 0; d < h->value_length; d++, v++)
            expect(values, value_at(h, head, position, d), (double)(values->half ? f32_from_f16(f16_from_f32(*v)) : *v),
                   0);
}

static void check_rope(const heads *h, rotation r, const int32_t *positions, uint32_t n_tokens, uint64_t *random) {
    const uint32_t n_pairs = r.n_pairs;
    const uint32_t length = (n_heads(h) + h->n_kv_heads) * h->key_length + h->n_kv_heads * h->value_length;
    const uint32_t stride = length + 3, threads = length - (n_heads(h) + h->n_kv_heads) * (h->key_length / 2);
    const size_t n_angles = (size_t)n_tokens * n_pairs * 2;
    uint32_t pages[8];
    for (uint32_t t = 0; t < n_tokens; t++) pages[t] = page_of(h, (uint32_t)positions[t] / CHUNK);
    ints *numbers = ints_new();
    const rope_args args = {.n_heads = (int)n_heads(h),
                            .n_kv_heads = (int)h->n_kv_heads,
                            .key_length = (int)h->key_length,
                            .value_length = (int)h->value_length,
                            .n_pairs = (int)n_pairs,
                            .positions = add_ints(numbers, positions, n_tokens),
                            .pages = add_ints(numbers, pages, n_tokens),
                            .stride = (int)stride,
                            .scale = 0.3f,
                            .halves = r.halves,
                            .temperature = r.temperature,
                            .temperature_length = r.temperature_length > 0 ? (int)r.temperature_length : 1};
    float *angles = poisoned_floats(n_angles + 2);
    watched qkv = watch(&device, (size_t)(n_tokens + 1) * stride, false);
    watched keys = watch(&device, cache_elements(h, h->key_length), half_cache());
    watched values = watch(&device, cache_elements(h, h->value_length), half_cache());
    for (size_t i = 0; i < n_angles; i++) angles[i] = random_float(random);
    for (uint32_t t = 0; t < n_tokens; t++) {
        for (uint32_t i = 0; i < length; i++) set_before(&qkv, (size_t)t * stride + i, 4 * random_float(random));
        const int lengths = positions[t] / args.temperature_length;
        const double scale = (double)args.scale * (1 + (double)r.temperature * log(lengths + 1));
        expect_roped(h, &r, scale, (uint32_t)positions[t], angles + (size_t)t * n_pairs * 2, &qkv, (size_t)t * stride,
                     &keys, &values);
    }
    gpu_buffer *angle_buffer = buffer_of(&device, angles, (n_angles + 2) * sizeof *angles);
    gpu_buffer *number_buffer = ints_buffer(numbers);
    char what[100];
    snprintf(what, sizeof what, "rotating %u%s of heads of %u and %u, %u tokens", 2 * n_pairs,
             r.halves ? " (halves)" : "", h->key_length, h->value_length, n_tokens);
    run_and_check(&device,
                  &(launch){.kernel = KERNEL_ROPE_QK,
                            .groups = {groups(threads, GPU_GROUP), n_tokens, 1},
                            .buffers = {qkv.buffer, angle_buffer, number_buffer, keys.buffer, values.buffer},
                            .n_buffers = 5,
                            .args = &args,
                            .args_bytes = sizeof args},
                  (watched *[]){&qkv, &keys, &values}, 3, what);
    release(&device, angle_buffer);
    release(&device, number_buffer);
    unwatch(&device, &qkv);
    unwatch(&device, &keys);
    unwatch(&device, &values);
    free(angles);
}

static void queries_are_rotated_and_keys_and_values_kept(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 2;
    static const int32_t zero[] = {0}, across[] = {253, 254, 255, 256, 257, 258, 259}, last[] = {767},
                         apart[] = {5, 511, 512};
    for (int halves = 0; halves < 2; halves++) {
        check_rope(&(heads){1, 1, 2, 1, 1}, (rotation){1, halves, 0, 0}, zero, 1, &random);
        check_rope(&(heads){2, 3, 16, 24, 3}, (rotation){5, halves, 0, 0}, across, 7, &random);
        check_rope(&(heads){3, 4, 48, 48, 3}, (rotation){24, halves, 0.1f, 128}, apart, 3, &random);
        check_rope(&(heads){2, 1, 128, 64, 3}, (rotation){0, halves, 0.2f, INT32_MAX}, last, 1, &random);
        check_rope(&(heads){1, 8, 64, 80, 3}, (rotation){32, halves, 0.1f, 256}, across, 7, &random);
        check_rope(&(heads){2, 12, 256, 256, 3}, (rotation){64, halves, 0, 0}, apart, 3, &random);
    }
}

/* ------------------------------------------------------------------------------------------------- attention */

/* The last tokens of a context. In the buffers, `first` other rows stand before theirs. */
typedef struct attention {
    heads h;
    uint32_t context, n_tokens, first, stride, out_stride;
    uint32_t window; /* 0: none */
    float softcap;
    float *queries;       /* [first + n_tokens][stride] */
    float *keys, *values; /* as they are in the cache, at key_at and value_at */
    int32_t *positions;   /* [first + n_tokens] */
    gpu_buffer *query_buffer, *key_buffer, *value_buffer;
    watched out;
    float *together; /* out for the whole batch, to compare with */
    char what[150];
} attention;

static gpu_buffer *cache_of(float *elements, size_t n) {
    if (!half_cache()) return buffer_of(&device, elements, n * sizeof *elements);
    uint16_t *halfs = malloc(n * sizeof *halfs);
    assert_non_null(halfs);
    for (size_t i = 0; i < n; i++) {
        halfs[i] = f16_from_f32(elements[i]);
        elements[i] = f32_from_f16(halfs[i]);
    }
    gpu_buffer *buffer = buffer_of(&device, halfs, n * sizeof *halfs);
    free(halfs);
    return buffer;
}

/* The first position that a token sees. */
static uint32_t first_seen(const attention *a, uint32_t token) {
    const uint32_t position = (uint32_t)a->positions[token];
    return a->window > 0 && position >= a->window ? position - a->window + 1 : 0;
}

/* Makes a value infinite that only the last token sees, and one that only the first token sees. */
static void hide_infinite_values(attention *a) {
    const uint32_t last = a->first + a->n_tokens - 1;
    if (a->n_tokens == 1) return;
    a->values[value_at(&a->h, 0, (uint32_t)a->positions[last], 0)] = INFINITY;
    if (first_seen(a, a->first) < first_seen(a, last))
        a->values[value_at(&a->h, 0, first_seen(a, a->first), 0)] = INFINITY;
}

/* Queries and keys are such that scores differ by a few units. */
static attention attention_new(const heads *h, uint32_t context, uint32_t n_tokens, uint32_t first, uint32_t window,
                               uint64_t *random) {
    attention a = {.h = *h, .context = context, .n_tokens = n_tokens, .first = first, .window = window};
    a.h.n_pages = context / CHUNK + 2;
    a.stride = n_heads(h) * h->key_length + 11;
    a.out_stride = n_heads(h) * h->value_length + 6;
    const size_t n_keys = cache_elements(&a.h, h->key_length), n_values = cache_elements(&a.h, h->value_length);
    a.queries = poisoned_floats((size_t)(first + n_tokens) * a.stride);
    a.keys = poisoned_floats(n_keys);
    a.values = poisoned_floats(n_values);
    a.positions = calloc(first + n_tokens, sizeof *a.positions);
    assert_non_null(a.positions);
    const float amplitude = 6 / sqrtf((float)h->key_length);
    for (uint32_t t = first; t < first + n_tokens; t++) {
        a.positions[t] = (int32_t)(context - n_tokens + t - first);
        for (uint32_t i = 0; i < n_heads(h) * h->key_length; i++)
            a.queries[(size_t)t * a.stride + i] = amplitude * random_float(random);
    }
    for (uint32_t head = 0; head < h->n_kv_heads; head++)
        for (uint32_t t = 0; t < context; t++) {
            for (uint32_t d = 0; d < h->key_length; d++) a.keys[key_at(&a.h, head, t, d)] = random_float(random);
            for (uint32_t d = 0; d < h->value_length; d++) a.values[value_at(&a.h, head, t, d)] = random_float(random);
        }
    hide_infinite_values(&a);
    a.query_buffer = buffer_of(&device, a.queries, (size_t)(first + n_tokens) * a.stride * sizeof *a.queries);
    a.key_buffer = cache_of(a.keys, n_keys);
    a.value_buffer = cache_of(a.values, n_values);
    a.out = watch(&device, (size_t)(first + n_tokens + 1) * a.out_stride, false);
    a.together = malloc(a.out.n * sizeof *a.together);
    assert_non_null(a.together);
    snprintf(a.what, sizeof a.what, "%u heads on %u, of %u and %u, %u tokens up to %u", n_heads(h), h->n_kv_heads,
             h->key_length, h->value_length, n_tokens, context);
    return a;
}

static void attention_free(attention *a) {
    gpu_buffer *const buffers[] = {a->query_buffer, a->key_buffer, a->value_buffer};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) release(&device, buffers[i]);
    unwatch(&device, &a->out);
    free(a->queries);
    free(a->keys);
    free(a->values);
    free(a->positions);
    free(a->together);
}

/* Expects the values weighted by the softmax of the scores, for one head of one token. weights: [n_visible],
 * scratch. */
static void expect_attended(attention *a, uint32_t token, uint32_t head, double *weights) {
    const heads *h = &a->h;
    const uint32_t n_visible = (uint32_t)a->positions[token] + 1, kv_head = head / h->sharing;
    const uint32_t begin = first_seen(a, token);
    const float *query = a->queries + (size_t)token * a->stride + (size_t)head * h->key_length;
    double most = -HUGE_VAL, sum = 0;
    for (uint32_t t = begin; t < n_visible; t++) {
        weights[t] = 0;
        for (uint32_t d = 0; d < h->key_length; d++)
            weights[t] += (double)query[d] * (double)a->keys[key_at(h, kv_head, t, d)];
        if (a->softcap > 0) weights[t] = (double)a->softcap * tanh(weights[t] / (double)a->softcap);
        most = fmax(most, weights[t]);
    }
    for (uint32_t t = begin; t < n_visible; t++) sum += weights[t] = exp(weights[t] - most);
    for (uint32_t d = 0; d < h->value_length; d++) {
        double total = 0, squares = 0;
        for (uint32_t t = begin; t < n_visible; t++) {
            const double term = weights[t] / sum * (double)a->values[value_at(h, kv_head, t, d)];
            total += term;
            squares += term * term;
        }
        const size_t at = (size_t)token * a->out_stride + (size_t)head * h->value_length + d;
        if (isinf(total))
            expect_anything(&a->out, at);
        else
            expect(&a->out, at, total, ATTENTION_LIMIT * sqrt(squares) + 1e-30);
    }
}

/* Tokens first .. first + n_tokens - 1 as one span. Its results go to the rows from out_row on. */
typedef struct span_launch {
    attention_args args;
    merge_args merge;
    uint32_t n_items, n_merges;
    gpu_buffer *numbers;
    uint32_t first, n_tokens, out_row;
    uint32_t first_chunk, n_chunks; /* the chunks that the span sees */
    uint32_t stride;                /* between the parts of one head and the next */
} span_launch;

enum { FIRST_PART = 2 };

static void list_items(const attention *a, span_launch *l, bool split, int pages, attention_item *items) {
    const uint32_t n_queries = l->n_tokens * a->h.sharing;
    for (uint32_t query = 0; query < n_queries; query += QUERIES) {
        const uint32_t last = query + QUERIES < n_queries ? query + QUERIES - 1 : n_queries - 1;
        const uint32_t begin = first_seen(a, l->first + query / a->h.sharing) / CHUNK;
        const uint32_t end = (uint32_t)a->positions[l->first + last / a->h.sharing] / CHUNK + 1;
        for (uint32_t chunk = begin; chunk < end; chunk += split ? 1 : end - begin)
            items[l->n_items++] = (attention_item){.first_query = (int)query,
                                                   .n_queries = (int)n_queries,
                                                   .row = (int)l->first,
                                                   .out_row = (int)l->out_row,
                                                   .first_chunk = (int)chunk,
                                                   .n_chunks = split ? 1 : (int)(end - begin),
                                                   .pages = pages + (int)(chunk - l->first_chunk),
                                                   .part = split ? (int)(FIRST_PART + chunk - l->first_chunk) : -1,
                                                   .stride = (int)l->stride};
    }
}

static span_launch span_launch_of(const attention *a, uint32_t first, uint32_t n_tokens, uint32_t out_row, bool split) {
    const heads *h = &a->h;
    span_launch l = {
        .first = first, .n_tokens = n_tokens, .out_row = out_row, .first_chunk = first_seen(a, first) / CHUNK};
    l.n_chunks = (uint32_t)a->positions[first + n_tokens - 1] / CHUNK + 1 - l.first_chunk;
    l.stride = l.n_chunks + 1;
    ints *numbers = ints_new();
    uint32_t pages[16];
    attention_item items[1000];
    assert_true(l.n_chunks <= 16 && n_tokens * h->sharing <= 1000);
    for (uint32_t i = 0; i < l.n_chunks; i++) pages[i] = page_of(h, l.first_chunk + i);
    const int positions = add_ints(numbers, a->positions, a->first + a->n_tokens);
    list_items(a, &l, split, add_ints(numbers, pages, l.n_chunks), items);
    l.args = (attention_args){.n_heads = (int)n_heads(h),
                              .n_kv_heads = (int)h->n_kv_heads,
                              .key_length = (int)h->key_length,
                              .value_length = (int)h->value_length,
                              .stride = (int)a->stride,
                              .out_stride = (int)a->out_stride,
                              .positions = positions,
                              .items = add_ints(numbers, items, l.n_items * sizeof *items / sizeof(int32_t)),
                              .window = (int)a->window,
                              .softcap = a->softcap};
    l.merge =
        (merge_args){.value_length = (int)h->value_length, .out_stride = (int)a->out_stride, .items = (int)numbers->n};
    for (uint32_t t = 0; split && t < n_tokens; t++, l.n_merges++) {
        const uint32_t begin = first_seen(a, first + t) / CHUNK;
        const merge_item item = {.out_row = (int)(out_row + t),
                                 .part = (int)(FIRST_PART + t * n_heads(h) * l.stride + begin - l.first_chunk),
                                 .n_parts = a->positions[first + t] / CHUNK + 1 - (int)begin,
                                 .stride = (int)l.stride};
        add_ints(numbers, &item, sizeof item / sizeof(int32_t));
    }
    l.numbers = ints_buffer(numbers);
    return l;
}

static launch attention_launch(const attention *a, const span_launch *l, gpu_buffer *parts) {
    return (launch){.kernel = KERNEL_ATTENTION,
                    .groups = {a->h.n_kv_heads, l->n_items, 1},
                    .buffers = {a->query_buffer, l->numbers, a->key_buffer, a->value_buffer, a->out.buffer, parts},
                    .n_buffers = 6,
                    .args = &l->args,
                    .args_bytes = sizeof l->args};
}

/* Checks that these tokens' rows have the same bits as for the whole batch, and that the other rows are unchanged. If
 * l is NULL, every row is unchanged. */
static void assert_rows(attention *a, const span_launch *l, const char *how) {
    look(&device, &a->out);
    for (uint32_t t = 0; t < a->first + a->n_tokens + 1; t++) {
        const bool computed = l && t >= l->out_row && t < l->out_row + l->n_tokens;
        const float *want = computed ? a->together + (size_t)(t - l->out_row + l->first) * a->out_stride
                                     : (const float *)a->out.before + (size_t)t * a->out_stride;
        if (memcmp((const float *)a->out.after + (size_t)t * a->out_stride, want, a->out_stride * sizeof *want) != 0)
            fail_msg("%s: row %u, computed %s, %s", a->what, t, how,
                     computed ? "has other bits than in its batch" : "was not to be written");
    }
}

/* parts: a buffer to which nothing must be written. */
static void check_part_of_batch(attention *a, uint32_t first, uint32_t n_tokens, uint32_t out_row, watched *parts) {
    const span_launch span = span_launch_of(a, first, n_tokens, out_row, false);
    const launch l = attention_launch(a, &span, parts->buffer);
    prepare(&device, &a->out);
    run(&device, &l);
    assert_rows(a, &span, "as part of a batch");
    release(&device, span.numbers);
}

static void check_split(attention *a, uint32_t first, uint32_t n_tokens, uint32_t out_row) {
    const heads *h = &a->h;
    const span_launch span = span_launch_of(a, first, n_tokens, out_row, true);
    const size_t length = h->value_length + 2;
    watched parts = watch(&device, (FIRST_PART + (size_t)n_tokens * n_heads(h) * span.stride + 1) * length, false);
    for (uint32_t t = 0; t < n_tokens; t++)
        for (uint32_t head = 0; head < n_heads(h); head++)
            for (uint32_t chunk = first_seen(a, first + t) / CHUNK; chunk <= (uint32_t)a->positions[first + t] / CHUNK;
                 chunk++)
                for (size_t i = 0; i < length; i++)
                    expect_anything(
                        &parts,
                        (FIRST_PART + (t * n_heads(h) + head) * span.stride + chunk - span.first_chunk) * length + i);
    const launch l = attention_launch(a, &span, parts.buffer);
    prepare(&device, &a->out);
    run_and_check(&device, &l, (watched *[]){&parts}, 1, a->what);
    assert_rows(a, NULL, "in parts");
    run(&device, &(launch){.kernel = KERNEL_ATTENTION_MERGE,
                           .groups = {n_heads(h), span.n_merges, 1},
                           .buffers = {parts.buffer, span.numbers, a->out.buffer},
                           .n_buffers = 3,
                           .args = &span.merge,
                           .args_bytes = sizeof span.merge});
    assert_rows(a, &span, "by chunks");
    unwatch(&device, &parts);
    release(&device, span.numbers);
}

static void check_attention(const heads *h, uint32_t context, uint32_t n_tokens, uint32_t first, uint32_t window,
                            float softcap, uint64_t *random) {
    attention a = attention_new(h, context, n_tokens, first, window, random);
    a.softcap = softcap;
    double *weights = malloc(context * sizeof *weights);
    assert_non_null(weights);
    for (uint32_t t = 0; t < n_tokens; t++)
        for (uint32_t head = 0; head < n_heads(h); head++) expect_attended(&a, first + t, head, weights);
    free(weights);
    watched parts = watch(&device, 64, false);
    const span_launch span = span_launch_of(&a, first, n_tokens, first, false);
    const launch l = attention_launch(&a, &span, parts.buffer);
    run_and_check(&device, &l, (watched *[]){&a.out, &parts}, 2, a.what);
    release(&device, span.numbers);
    memcpy(a.together, a.out.after, a.out.n * sizeof *a.together);
    for (uint32_t t = 0; t<n_tokens; t += n_tokens> 4 ? 9 : 1) {
        check_part_of_batch(&a, first + t, 1, 0, &parts);
        check_split(&a, first + t, 1, first + t);
    }
    if (n_tokens > 1) {
        check_part_of_batch(&a, first + 1, n_tokens - 1, first + 1, &parts);
        const uint32_t few = n_tokens < 4 ? n_tokens : 4; /* the last ones, perhaps across a chunk's border */
        check_split(&a, first + n_tokens - few, few, 1);
    }
    unwatch(&device, &parts);
    attention_free(&a);
}

static void attention_is_that_of_the_formula(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 3;
    check_attention(&(heads){2, 1, 8, 8, 0}, 1, 1, 0, 0, 0, &random);
    check_attention(&(heads){2, 3, 16, 16, 0}, 255, 3, 0, 0, 0, &random);
    check_attention(&(heads){1, 4, 48, 48, 0}, 256, 3, 2, 0, 0, &random);
    check_attention(&(heads){1, 8, 64, 64, 0}, 257, 64, 0, 0, 0, &random);
    check_attention(&(heads){2, 12, 80, 80, 0}, 700, 3, 1, 0, 0, &random);
    check_attention(&(heads){1, 1, 128, 128, 0}, 1500, 1, 0, 0, 0, &random);
    check_attention(&(heads){2, 4, 256, 256, 0}, 700, 3, 0, 0, 0, &random);
    check_attention(&(heads){1, 12, 16, 48, 0}, 300, 64, 0, 0, 0, &random);
}

static void keys_and_values_may_differ_in_length(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 4;
    check_attention(&(heads){1, 8, 64, 128, 0}, 1500, 3, 0, 0, 0, &random);
    check_attention(&(heads){2, 3, 192, 128, 0}, 257, 3, 1, 0, 0, &random);
    check_attention(&(heads){3, 1, 24, 200, 0}, 256, 64, 0, 0, 0, &random);
    check_attention(&(heads){1, 4, 256, 8, 0}, 255, 64, 3, 0, 0, &random);
    check_attention(&(heads){1, 1, 8, 256, 0}, 513, 3, 0, 0, 0, &random);
}

static void windows_hide_what_is_before_them(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 7;
    check_attention(&(heads){2, 3, 16, 16, 0}, 255, 3, 0, 1, 0, &random);
    check_attention(&(heads){1, 4, 48, 48, 0}, 256, 64, 2, 7, 0, &random);
    check_attention(&(heads){1, 8, 64, 64, 0}, 540, 64, 0, 256, 0, &random); /* begins and ends within chunks */
    check_attention(&(heads){2, 2, 80, 80, 0}, 1500, 3, 1, 600, 0, &random);
    check_attention(&(heads){1, 1, 32, 32, 0}, 1282, 64, 0, 513, 0.5f, &random);
    check_attention(&(heads){1, 2, 32, 32, 0}, 300, 300, 0, 40, 0, &random);
    check_attention(&(heads){1, 2, 32, 32, 0}, 300, 3, 0, INT32_MAX, 0, &random);
}

static void scores_are_capped(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 8;
    check_attention(&(heads){2, 3, 16, 16, 0}, 255, 3, 0, 0, 2, &random);
    check_attention(&(heads){1, 8, 64, 64, 0}, 257, 64, 0, 0, 0.5f, &random);
    check_attention(&(heads){2, 2, 80, 80, 0}, 700, 3, 1, 0, 50, &random);
}

/* ----------------------------------------------------------------------------------------- single numbers */

static void numbers_are_capped(void **state) {
    (void)state;
    device_here(&device);
    static const float some[] = {0, -0.0f, 1e-6f, -1e-3f, 0.1f, -1, 3, -29, 31, 100, -1e4f, 1e30f, -3e38f};
    enum { SOME = sizeof some / sizeof *some };
    for (uint32_t n = 1; n < 300; n += 130) {
        watched x = watch(&device, n + 3, false);
        const cap_args args = {.n = (int)n, .softcap = n % 2 ? 30 : 0.5f};
        for (uint32_t i = 0; i < n; i++) {
            const double value = (double)args.softcap * tanh((double)some[i % SOME] / (double)args.softcap);
            set_before(&x, i, some[i % SOME]);
            expect(&x, i, value, FLOAT_LIMIT * fabs(value));
        }
        run_and_check(&device,
                      &(launch){.kernel = KERNEL_CAP,
                                .groups = {groups(n, GPU_GROUP), 1, 1},
                                .buffers = {x.buffer},
                                .n_buffers = 1,
                                .args = &args,
                                .args_bytes = sizeof args},
                      (watched *[]){&x}, 1, "capped numbers");
        unwatch(&device, &x);
    }
}

/* ------------------------------------------------------------------------------------------------------ copies */

static void check_gather(uint32_t n, const uint32_t *rows, uint32_t n_rows, uint32_t n_from, uint64_t *random) {
    float *from = poisoned_floats((size_t)n_from * n);
    watched to = watch(&device, ((size_t)n_rows + 1) * n, false);
    ints *numbers = ints_new();
    const gather_args args = {.n = (int)n, .rows = add_ints(numbers, rows, n_rows)};
    for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t i = 0; i < n; i++) {
            const float value = random_float(random);
            from[(size_t)rows[r] * n + i] = value;
            expect(&to, (size_t)r * n + i, (double)value, 0);
        }
    gpu_buffer *from_buffer = buffer_of(&device, from, (size_t)n_from * n * sizeof *from);
    gpu_buffer *number_buffer = ints_buffer(numbers);
    run_and_check(&device,
                  &(launch){.kernel = KERNEL_GATHER,
                            .groups = {groups(n, GPU_GROUP), n_rows, 1},
                            .buffers = {from_buffer, number_buffer, to.buffer},
                            .n_buffers = 3,
                            .args = &args,
                            .args_bytes = sizeof args},
                  (watched *[]){&to}, 1, "gathered rows");
    release(&device, from_buffer);
    release(&device, number_buffer);
    unwatch(&device, &to);
    free(from);
}

/* Copies within one buffer, as pages are copied. */
static void check_copy(uint32_t n, uint32_t from, uint32_t to, uint32_t n_pieces, uint64_t *random) {
    watched x = watch(&device, (size_t)n_pieces * n, false);
    const copy_args args = {.n = (int)n, .from = (int)from, .to = (int)to};
    for (uint32_t i = 0; i < n; i++) {
        const float value = random_float(random);
        set_before(&x, (size_t)from * n + i, value);
        expect(&x, (size_t)to * n + i, (double)value, 0);
    }
    run_and_check(&device,
                  &(launch){.kernel = KERNEL_COPY,
                            .groups = {groups(n, 4 * GPU_GROUP), 1, 1},
                            .buffers = {x.buffer, x.buffer},
                            .n_buffers = 2,
                            .args = &args,
                            .args_bytes = sizeof args},
                  (watched *[]){&x}, 1, "a copied page");
    unwatch(&device, &x);
}

static void rows_and_pages_are_copied(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 10;
    check_gather(32, (const uint32_t[]){4}, 1, 5, &random);
    check_gather(96, (const uint32_t[]){0, 3, 4, 9}, 4, 10, &random);
    check_gather(4128, (const uint32_t[]){1, 2}, 2, 3, &random);
    check_copy(128, 0, 1, 2, &random);
    check_copy(511, 3, 1, 4, &random);
    check_copy(16384, 1, 2, 4, &random);
}

/* ----------------------------------------------------------------------------------------- the likeliest token */

/* Tests the second of two rows. The first row has another answer; a larger number follows the second row; the tokens
 * around the two results must not change. */
static void check_argmax(const float *logits, uint32_t n, int32_t want, const char *what) {
    float *rows = calloc(2 * (size_t)n + 1, sizeof *rows);
    assert_non_null(rows);
    rows[n - 1] = 1;
    memcpy(rows + n, logits, n * sizeof *rows);
    rows[2 * (size_t)n] = 1e30f;
    gpu_buffer *logit_buffer = buffer_of(&device, rows, (2 * (size_t)n + 1) * sizeof *rows);
    free(rows);
    int32_t tokens[] = {-77, -77, -77, -77};
    gpu_buffer *token_buffer = buffer_of(&device, tokens, sizeof tokens);
    const argmax_args args = {.n = (int)n, .first = 1};
    run(&device, &(launch){.kernel = KERNEL_ARGMAX,
                           .groups = {2, 1, 1},
                           .buffers = {logit_buffer, token_buffer},
                           .n_buffers = 2,
                           .args = &args,
                           .args_bytes = sizeof args});
    assert_ok(device.driver->read(device.device, token_buffer, tokens, sizeof tokens, &device.err), &device.err);
    release(&device, logit_buffer);
    release(&device, token_buffer);
    if (tokens[2] != want) fail_msg("of %u logits, %s: %d, which should be %d", n, what, tokens[2], want);
    if (tokens[1] != (int32_t)n - 1)
        fail_msg("of %u logits, those before: %d, which should be %u", n, tokens[1], n - 1);
    if (tokens[0] != -77 || tokens[3] != -77) fail_msg("more than two tokens were written");
}

static const uint32_t vocabularies[] = {1, 2, 5, 127, 128, 129, 255, 1000, 32003};
enum { N_VOCABULARIES = sizeof vocabularies / sizeof *vocabularies, LARGEST_VOCABULARY = 32003 };

static void the_largest_logit_wins_and_of_equals_the_first(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 5;
    float *logits = poisoned_floats(LARGEST_VOCABULARY + 1);
    for (size_t v = 0; v < N_VOCABULARIES; v++) {
        const uint32_t n = vocabularies[v];
        for (int round = 0; round < 6; round++) {
            const uint32_t first = (uint32_t)(random_u64(&random) % n);
            for (uint32_t i = 0; i < n; i++) logits[i] = -10 + 9 * random_float(&random); /* all below 0 */
            logits[first] = -0.5f;
            check_argmax(logits, n, (int32_t)first, "one largest");
            for (uint32_t i = first; i < n; i += 1 + (uint32_t)(random_u64(&random) % 200)) logits[i] = -0.5f;
            check_argmax(logits, n, (int32_t)first, "equal ones");
        }
        for (uint32_t i = 0; i < n; i++) logits[i] = 0;
        check_argmax(logits, n, 0, "all equal");
        logits[0] = -0.0f;
        check_argmax(logits, n, 0, "zeros of both signs");
        for (uint32_t i = 0; i < n; i++) logits[i] = i == n - 1 ? -0x1.fffffep127f : -INFINITY;
        check_argmax(logits, n, (int32_t)n - 1, "one finite");
    }
    free(logits);
}

static void no_number_has_no_token(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 6;
    float *logits = poisoned_floats(LARGEST_VOCABULARY + 1);
    for (size_t v = 0; v < N_VOCABULARIES; v++) {
        const uint32_t n = vocabularies[v];
        const uint32_t places[] = {0, n - 1, n / 2, (uint32_t)(random_u64(&random) % n)};
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            for (uint32_t k = 0; k < n; k++) logits[k] = random_float(&random);
            logits[places[i]] = NAN;
            check_argmax(logits, n, -1, "one not a number");
            logits[places[i]] = INFINITY;
            check_argmax(logits, n, -1, "one infinite");
            logits[n - 1 - places[i]] = NAN;
            check_argmax(logits, n, -1, "one infinite and one not a number");
        }
        for (uint32_t k = 0; k < n; k++) logits[k] = -INFINITY;
        check_argmax(logits, n, -1, "all minus infinity");
    }
    free(logits);
}

int main(int argc, char **argv) { /* [DRIVER] */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_are_of_each_vector),
        cmocka_unit_test(queries_and_keys_are_normed),
        cmocka_unit_test(queries_are_rotated_and_keys_and_values_kept),
        cmocka_unit_test(attention_is_that_of_the_formula),
        cmocka_unit_test(keys_and_values_may_differ_in_length),
        cmocka_unit_test(windows_hide_what_is_before_them),
        cmocka_unit_test(scores_are_capped),
        cmocka_unit_test(numbers_are_capped),
        cmocka_unit_test(rows_and_pages_are_copied),
        cmocka_unit_test(the_largest_logit_wins_and_of_equals_the_first),
        cmocka_unit_test(no_number_has_no_token),
    };
    int n_failed = 0;
    for (size_t i = 0; gpu_drivers[i]; i++)
        for (int half = 0; half < 2; half++) {
            char name[100];
            driver_now = gpu_drivers[i];
            if (argc > 1 && strcmp(argv[1], driver_now->name) != 0) continue;
            kv_type_now = half ? CLLM_KV_F16 : CLLM_KV_F32;
            snprintf(name, sizeof name, "kernels on %s, keys and values of %d bits", driver_now->name, half ? 16 : 32);
            n_failed += cmocka_run_group_tests_name(name, tests, open_group, close_group);
        }
    return n_failed;
}
