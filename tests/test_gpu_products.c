/* Tests the kernels of products.gpu, for every tensor type and with every driver of this build whose device is here,
 * against sums in double over the weights that the CPU's dequantizers give. A kernel may read only its own data
 * (around it there are NaNs), and write nothing else. */
#include "support/check.h"
#include "support/gpu_launch.h"
#include "support/random_blocks.h"

#include "cpu/kernels.h"
#include "gpu/kernel_args.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest error of a product, in units of the root of the sum of its squared terms, because terms may cancel. */
#define PRODUCT_LIMIT 3e-5
/* The largest error of a weight that was multiplied by its scale, relative to the largest number in its sum. */
#define WEIGHT_LIMIT 1e-6

static const quant_type all_types[] = {
#define X(name, number, elements, bytes) QUANT_##name,
    GPU_TYPES(X)
#undef X
};

/* Types that share a kernel. Each type occurs once. In a trio, none, some or all types have minimums, and blocks are
 * short or long. */
static const quant_type all_trios[][3] = {
    {QUANT_F32, QUANT_F16, QUANT_BF16},       {QUANT_Q4_0, QUANT_Q5_0, QUANT_Q8_0},
    {QUANT_Q4_1, QUANT_Q5_1, QUANT_Q2_K},     {QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K},
    {QUANT_IQ4_NL, QUANT_Q3_K, QUANT_IQ4_XS}, {QUANT_MXFP4, QUANT_NVFP4, QUANT_TQ1_0},
};

enum {
    N_TYPES = sizeof all_types / sizeof *all_types,
    N_TRIOS = sizeof all_trios / sizeof *all_trios,
    TYPES_DRAWN = 6,
    TRIOS_DRAWN = 2,
    FEW = 4, /* most tokens of a kernel for few tokens */
    MOST_VARIANTS = 4 * N_TYPES + 2 * N_TRIOS + 4,
};

/* The types that were drawn, and the places of the kernels in the program. [0]: for one token; [1]: for few. */
static quant_type types[N_TYPES];
static const quant_type *trios[N_TRIOS];
static size_t n_types, n_trios;
static struct kernels {
    uint32_t plain[N_TYPES][2], tile[N_TYPES], embed[N_TYPES], normed[N_TRIOS][2];
    uint32_t pair[2];   /* normed, Q4_K and Q6_K */
    uint32_t single[2]; /* normed, Q4_0 */
} at;

static device_under_test device;
static const gpu_driver *driver_now; /* the driver under test: cmocka hands a group's set-up no argument */

static void draw_types(void) {
    size_t chosen[N_TYPES];
    n_types = test_draw(N_TYPES, TYPES_DRAWN, chosen);
    for (size_t i = 0; i < n_types; i++) types[i] = all_types[chosen[i]];
    n_trios = test_draw(N_TRIOS, TRIOS_DRAWN, chosen);
    for (size_t i = 0; i < n_trios; i++) trios[i] = all_trios[chosen[i]];
}

static int open_group(void **state) {
    (void)state;
    kernel_variant variants[MOST_VARIANTS];
    uint32_t indices[MOST_VARIANTS] = {0}, *places[MOST_VARIANTS], n = 0;
    draw_types();
    for (size_t t = 0; t < n_types; t++) {
        for (uint32_t few = 0; few < 2; few++) {
            places[n] = &at.plain[t][few];
            variants[n++] = (kernel_variant){MATRIX_MULTIPLY, {types[t]}, 1, false, few ? FEW : 1};
        }
        places[n] = &at.tile[t];
        variants[n++] = (kernel_variant){MATRIX_TILE, {types[t]}, 1, false, 0};
        places[n] = &at.embed[t];
        variants[n++] = (kernel_variant){MATRIX_EMBED, {types[t]}, 1, false, 0};
    }
    for (uint32_t few = 0; few < 2; few++) {
        const uint32_t n_tokens = few ? FEW : 1;
        for (size_t t = 0; t < n_trios; t++) {
            places[n] = &at.normed[t][few];
            variants[n++] =
                (kernel_variant){MATRIX_MULTIPLY, {trios[t][0], trios[t][1], trios[t][2]}, 3, true, n_tokens};
        }
        places[n] = &at.pair[few];
        variants[n++] = (kernel_variant){MATRIX_MULTIPLY, {QUANT_Q4_K, QUANT_Q6_K}, 2, true, n_tokens};
        places[n] = &at.single[few];
        variants[n++] = (kernel_variant){MATRIX_MULTIPLY, {QUANT_Q4_0}, 1, true, n_tokens};
    }
    open_device(&device, driver_now, CLLM_KV_F16, variants, n, indices);
    for (uint32_t i = 0; i < n; i++) *places[i] = indices[i];
    return 0;
}

static int close_group(void **state) {
    (void)state;
    close_device(&device);
    return 0;
}

static const char *name_of(quant_type type) { return quant_type_layout(type)->name; }
static uint32_t block_of(quant_type type) { return quant_type_layout(type)->block_elements; }
static uint32_t padded(uint32_t n) { return (n + 31) / 32 * 32; }
static uint32_t groups(uint32_t n, uint32_t of) { return (n + of - 1) / of; }

/* ------------------------------------------------------------------------------------------------- matrices */

typedef struct weights {
    quant_type type;
    uint32_t rows, n, row_bytes, offset;
    uint8_t *room; /* the bytes, at an address that is only a multiple of a small number, with NaNs around them */
    gpu_buffer *buffer;
    float *values; /* [rows][n] */
} weights;

enum { AROUND = 128 };

static weights weights_new(quant_type type, uint32_t rows, uint32_t n, uint64_t *random) {
    weights w = {.type = type, .rows = rows, .n = n, .row_bytes = (uint32_t)quant_bytes(type, n)};
    const size_t n_bytes = (size_t)rows * w.row_bytes, n_values = (size_t)rows * n;
    assert_int_equal(n % block_of(type), 0);
    w.room = malloc(n_bytes + 3 * AROUND);
    w.values = malloc(n_values * sizeof *w.values);
    assert_true(w.room && w.values);
    memset(w.room, 0xFF, n_bytes + 3 * AROUND);
    const size_t odd = 2 * (random_u64(random) % (AROUND / 8)) + 1;
    uint8_t *bytes = w.room + AROUND + (type == QUANT_F32 ? 4 : 2) * odd;
    random_blocks(type, bytes, n_values / block_of(type), random);
    dequantize_scalar[type](bytes, w.values, n_values);
    assert_ok(device.driver->wrap(device.device, bytes, n_bytes, &w.buffer, &w.offset, &device.err), &device.err);
    return w;
}

static void weights_free(weights *w) {
    release(&device, w->buffer);
    free(w->room);
    free(w->values);
}

/* The root of the mean square. */
static double magnitude(const weights *w) {
    double squares = 0;
    const size_t n = (size_t)w->rows * w->n;
    for (size_t i = 0; i < n; i++) squares += (double)w->values[i] * (double)w->values[i];
    return sqrt(squares / (double)n);
}

/* ------------------------------------------------------------------------------------------------- products */

/* Sizes of matrices, and of vectors for them. Members that are not set are 0. */
typedef struct shape {
    uint32_t n, n_tokens;
    uint32_t rows[3]; /* 0: there is no such matrix */
    bool normed, gated, bias, gelu;
    int mode;                    /* if gated, it is ACTIVATE, whatever is set here */
    float scale;                 /* 0: 1 */
    uint32_t first_x, first_out; /* rows before the batch's own */
    uint32_t wider;              /* extra elements between the rows of a batch */
} shape;

typedef struct product {
    shape s;
    weights w[3];
    uint32_t n_matrices, n_rows; /* of the results */
    uint32_t x_stride, out_stride;
    double *vectors; /* [n_tokens][n], as they are multiplied */
    float *biases;   /* [all rows] */
    gpu_buffer *x, *norm, *bias;
    watched out;
    char what[200];
} product;

static const float epsilon = 1e-3f;

/* Fills x: each row ends with zeros up to a whole unit, and everything else is poison. Fills the expected vectors, too.
 * The amplitude follows the weights, so that results are a few units large, as in a model. */
static void add_vectors(product *p, uint64_t *random) {
    const shape *s = &p->s;
    double largest = 0;
    for (uint32_t m = 0; m < p->n_matrices; m++) largest = fmax(largest, magnitude(&p->w[m]));
    const float amplitude = (float)(3 / (largest * sqrt((double)s->n)));
    const size_t n_x = (size_t)(s->first_x + s->n_tokens) * p->x_stride;
    float *x = poisoned_floats(n_x), *norm = poisoned_floats(padded(s->n) + 32);
    p->vectors = malloc((size_t)s->n_tokens * s->n * sizeof *p->vectors);
    assert_non_null(p->vectors);
    for (uint32_t i = 0; i < padded(s->n); i++) norm[i] = i < s->n ? amplitude * random_float(random) : 0;
    for (uint32_t t = 0; t < s->n_tokens; t++) {
        float *row = x + (size_t)(s->first_x + t) * p->x_stride;
        double *vector = p->vectors + (size_t)t * s->n, squares = 0;
        for (uint32_t i = 0; i < padded(s->n); i++)
            row[i] = i < s->n ? (s->normed ? 0.1f : amplitude) * random_float(random) : 0;
        for (uint32_t i = 0; i < s->n; i++) squares += (double)row[i] * (double)row[i];
        const double scale = 1 / sqrt(squares / s->n + (double)epsilon);
        for (uint32_t i = 0; i < s->n; i++)
            vector[i] = s->normed ? (double)row[i] * (double)norm[i] * scale : (double)row[i];
    }
    p->x = buffer_of(&device, x, n_x * sizeof *x);
    p->norm = buffer_of(&device, norm, (padded(s->n) + 32) * sizeof *norm);
    free(x);
    free(norm);
}

static product product_new(const quant_type *matrix_types, const shape *of, uint64_t *random) {
    product p = {.s = *of, .x_stride = padded(of->n) + (of->wider + 3) / 4 * 4};
    const shape *s = &p.s;
    size_t at_char = 0;
    if (s->scale == 0) p.s.scale = 1;
    if (s->gated) p.s.mode = ACTIVATE;
    for (uint32_t m = 0; m < 3 && s->rows[m]; m++, p.n_matrices++) {
        p.w[m] = weights_new(matrix_types[m], s->rows[m], s->n, random);
        p.n_rows += s->rows[m];
        at_char += (size_t)snprintf(p.what + at_char, sizeof p.what - at_char, "%s[%u][%u] ", name_of(matrix_types[m]),
                                    s->rows[m], s->n);
    }
    snprintf(p.what + at_char, sizeof p.what - at_char, "x %u%s%s%s%s, mode %d, times %g", s->n_tokens,
             s->normed ? ", normed" : "", s->gated ? ", gated" : "", s->bias ? ", bias" : "", s->gelu ? ", gelu" : "",
             s->mode, (double)s->scale);
    p.biases = poisoned_floats(p.n_rows + 8);
    for (uint32_t i = 0; i < p.n_rows; i++) p.biases[i] = random_float(random);
    p.bias = buffer_of(&device, p.biases, (p.n_rows + 8) * sizeof *p.biases);
    if (s->gated) p.n_rows = s->rows[0];
    p.out_stride = p.n_rows + s->wider;
    add_vectors(&p, random);
    p.out = watch(&device, (size_t)(s->first_out + s->n_tokens + 1) * p.out_stride, false);
    return p;
}

static void product_free(product *p) {
    for (uint32_t m = 0; m < p->n_matrices; m++) weights_free(&p->w[m]);
    release(&device, p->x);
    release(&device, p->norm);
    release(&device, p->bias);
    unwatch(&device, &p->out);
    free(p->vectors);
    free(p->biases);
}

typedef struct measured {
    double value, tolerance;
} measured;

static measured dot(const product *p, uint32_t m, uint32_t row, uint32_t token) {
    const float *w = p->w[m].values + (size_t)row * p->s.n;
    const double *x = p->vectors + (size_t)token * p->s.n;
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < p->s.n; i++) {
        const double term = (double)w[i] * x[i];
        sum += term;
        squares += term * term;
    }
    return (measured){sum, PRODUCT_LIMIT * sqrt(squares)};
}

/* The slope of an activation is below 1.2, which limits the error; far below 0, floats compute the result as a small
 * difference of numbers near 1. */
static measured activate(const product *p, measured a) {
    const double x = a.value, u = sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x);
    const double value = p->s.gelu ? x * (1 + tanh(u)) / 2 : x / (1 + exp(-x));
    return (measured){value, 1.2 * a.tolerance + 2e-6 * fabs(value) * (1 + fabs(u))};
}

static measured times(measured a, measured b) {
    const double value = a.value * b.value;
    return (measured){value, a.tolerance * fabs(b.value) + fabs(a.value) * b.tolerance + 1e-6 * fabs(value)};
}

static void expect_measured(watched *out, size_t i, measured m) { expect(out, i, m.value, m.tolerance + 1e-30); }

static size_t place(const product *p, uint32_t token, uint32_t row) {
    return (size_t)(p->s.first_out + token) * p->out_stride + row;
}

/* Joins the result with what stood in its place before the launch, by the mode. */
static measured join(product *p, size_t i, measured value, int mode, uint64_t *random) {
    if (mode == STORE) return value;
    if (mode == ACTIVATE) return activate(p, value);
    const float before = random_float(random);
    set_before(&p->out, i, before);
    if (mode == GATE) return times(activate(p, (measured){(double)before, 0}), value);
    return (measured){(double)before + value.value, value.tolerance + 1e-7};
}

/* The result of matrix m; `start` is the number of rows of the matrices before it. */
static measured result(const product *p, uint32_t m, uint32_t start, uint32_t row, uint32_t token) {
    const measured sum = dot(p, m, row, token);
    const double bias = p->s.bias ? (double)p->biases[start + row] : 0, scale = (double)p->s.scale;
    return (measured){(sum.value + bias) * scale, (sum.tolerance + 1e-7 * fabs(bias)) * fabs(scale)};
}

static void expect_products(product *p, uint64_t *random) {
    for (uint32_t t = 0; t < p->s.n_tokens; t++)
        for (uint32_t m = 0, start = 0; m < (p->s.gated ? 1 : p->n_matrices); start += p->s.rows[m++])
            for (uint32_t r = 0; r < p->s.rows[m]; r++) {
                const size_t at_place = place(p, t, start + r);
                measured value = join(p, at_place, result(p, m, start, r, t), p->s.mode, random);
                if (p->s.gated) value = times(value, result(p, 1, p->s.rows[0], r, t));
                expect_measured(&p->out, at_place, value);
            }
}

/* ------------------------------------------------------------------------------------------------- few tokens */

/* kernel_types: for each matrix, which of the kernel's types it has. */
static multiply_args multiply_args_of(const product *p, const int *kernel_types) {
    multiply_args args = {
        .n = (int)p->s.n,
        .gated = p->s.gated,
        .mode = p->s.mode,
        .gelu = p->s.gelu,
        .has_bias = p->s.bias,
        .x_stride = (int)p->x_stride,
        .out_stride = (int)p->out_stride,
        .first_x = (int)p->s.first_x,
        .first_out = (int)p->s.first_out,
        .n_tokens = (int)p->s.n_tokens,
        .epsilon = epsilon,
        .scale = p->s.scale,
    };
    for (uint32_t m = 0; m < p->n_matrices; m++) {
        args.rows[m] = (int)p->w[m].rows;
        args.row_bytes[m] = (int)p->w[m].row_bytes;
        args.offset[m] = (int)p->w[m].offset;
        args.type[m] = kernel_types[m];
    }
    return args;
}

static launch multiply_launch(const product *p, uint32_t kernel, bool few, const multiply_args *args) {
    const uint32_t results = p->s.gated ? TEAM_ROWS / 2 : TEAM_ROWS;
    launch l = {.kernel = kernel,
                .groups = {groups(p->n_rows, results * (GPU_GROUP / GPU_TEAM)),
                           groups((uint32_t)args->n_tokens, few ? FEW : 1), 1},
                .n_buffers = 7,
                .args = args,
                .args_bytes = sizeof *args};
    for (uint32_t m = 0; m < 3; m++) l.buffers[m] = p->w[m < p->n_matrices ? m : 0].buffer;
    l.buffers[3] = p->x;
    l.buffers[4] = p->s.normed ? p->norm : p->x;
    l.buffers[5] = p->s.bias ? p->bias : p->x;
    l.buffers[6] = p->out.buffer;
    return l;
}

/* kernel: the one for a single token and the one for few. A token alone must get the same bits from both. */
static void check_multiply(const uint32_t kernel[2], const int *kernel_types, const quant_type *matrix_types,
                           const shape *s, uint64_t *random) {
    product p = product_new(matrix_types, s, random);
    multiply_args args = multiply_args_of(&p, kernel_types);
    expect_products(&p, random);
    launch few = multiply_launch(&p, kernel[1], true, &args);
    run_and_check(&device, &few, (watched *[]){&p.out}, 1, p.what);
    float *together = malloc(p.out.n * sizeof *together);
    assert_non_null(together);
    memcpy(together, p.out.after, p.out.n * sizeof *together);

    prepare(&device, &p.out);
    const uint32_t step = s->n_tokens > 8 ? s->n_tokens / 8 + 1 : 1; /* of a large batch only some tokens */
    for (uint32_t t = 0; t < s->n_tokens; t += step) {
        multiply_args alone = args;
        alone.first_x += (int)t;
        alone.first_out += (int)t;
        alone.n_tokens = 1;
        launch one = multiply_launch(&p, kernel[0], false, &alone);
        run(&device, &one);
    }
    look(&device, &p.out);
    for (uint32_t t = 0; t < s->n_tokens; t += step)
        if (memcmp(together + place(&p, t, 0), (float *)p.out.after + place(&p, t, 0), p.n_rows * sizeof *together))
            fail_msg("%s: token %u alone has other bits than in its batch", p.what, t);
    free(together);
    product_free(&p);
}

/* Rounds n up to whole blocks. */
static uint32_t whole_blocks(quant_type type, uint32_t n) { return groups(n, block_of(type)) * block_of(type); }

/* Only types of floats may end within 32 elements. */
static uint32_t odd_length(quant_type type, uint32_t n) {
    return whole_blocks(type, block_of(type) == 1 ? n : padded(n));
}

static const shape multiply_shapes[] = {
    {.n = 172, .n_tokens = 1, .rows = {1}},
    {.n = 1, .n_tokens = 2, .rows = {3}, .mode = ADD},
    {.n = 100, .n_tokens = 3, .rows = {5}, .bias = true, .first_x = 2, .wider = 7},
    {.n = 300, .n_tokens = 4, .rows = {127}, .mode = ADD, .first_out = 3, .wider = 1, .scale = 0.22f},
    {.n = 2100, .n_tokens = 5, .rows = {33}, .bias = true, .mode = ADD, .wider = 32},
    {.n = 1056, .n_tokens = 6, .rows = {3, 1}, .bias = true, .first_out = 1, .scale = -3},
    {.n = 260, .n_tokens = 5, .rows = {21}, .bias = true, .mode = ACTIVATE, .gelu = true},
    {.n = 96, .n_tokens = 2, .rows = {6}, .mode = ACTIVATE},
    {.n = 31, .n_tokens = 7, .rows = {129, 5, 2}, .bias = true, .first_x = 1, .first_out = 2, .wider = 5},
    {.n = 512, .n_tokens = 3, .rows = {17, 17}, .gated = true, .wider = 3},
    {.n = 256, .n_tokens = 5, .rows = {18, 18}, .gated = true, .bias = true, .gelu = true, .wider = 2},
    {.n = 16384, .n_tokens = 2, .rows = {5}},
    {.n = 33, .n_tokens = 64, .rows = {300}},
    {.n = 65, .n_tokens = 512, .rows = {19}, .first_x = 1},
};
enum { N_MULTIPLY_SHAPES = sizeof multiply_shapes / sizeof *multiply_shapes };

static void few_tokens_times_matrices_of_a_type(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 1;
    for (size_t t = 0; t < n_types; t++)
        for (uint32_t i = 0; i < N_MULTIPLY_SHAPES; i++) {
            shape s = multiply_shapes[i];
            s.n = odd_length(types[t], s.n);
            check_multiply(at.plain[t], (int[3]){0}, (quant_type[]){types[t], types[t], types[t]}, &s, &random);
        }
}

/* Matrices of the kernel's three types. order: which of the types each matrix has. */
static void check_normed(const uint32_t kernel[2], const quant_type *trio, const int *order, shape s,
                         uint64_t *random) {
    quant_type matrix_types[3];
    uint32_t n = 1;
    for (uint32_t m = 0; m < 3; m++) {
        matrix_types[m] = trio[order[m]];
        if (s.rows[m] && block_of(matrix_types[m]) > n) n = block_of(matrix_types[m]);
    }
    s.n = n == 1 ? s.n : groups(s.n, n) * n;
    s.normed = true;
    check_multiply(kernel, order, matrix_types, &s, random);
}

static void few_normed_tokens_times_matrices_of_three_types(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 2;
    for (size_t t = 0; t < n_trios; t++) {
        const uint32_t *kernel = at.normed[t];
        const quant_type *trio = trios[t];
        check_normed(kernel, trio, (int[]){0, 1, 2}, (shape){.n = 172, .n_tokens = 3, .rows = {129, 3, 1}}, &random);
        check_normed(kernel, trio, (int[]){2, 0, 1},
                     (shape){.n = 288, .n_tokens = 7, .rows = {5, 5, 64}, .bias = true, .first_x = 3, .wider = 9},
                     &random);
        check_normed(kernel, trio, (int[]){1, 1, 0},
                     (shape){.n = 2060, .n_tokens = 1, .rows = {31, 1, 300}, .mode = ADD, .first_out = 2}, &random);
        check_normed(kernel, trio, (int[]){2, 2, 2}, (shape){.n = 33, .n_tokens = 64, .rows = {127}}, &random);
        for (int i = 0; i < 3; i++)
            check_normed(kernel, trio, (int[3]){i}, (shape){.n = 1, .n_tokens = 2, .rows = {3}, .bias = true}, &random);
        for (int i = 0; i < 3; i++)
            check_normed(kernel, trio, (int[3]){i}, (shape){.n = 16384, .n_tokens = 1, .rows = {3}}, &random);
    }
    check_normed(at.pair, (quant_type[]){QUANT_Q4_K, QUANT_Q6_K}, (int[]){0, 0, 1},
                 (shape){.n = 512, .n_tokens = 6, .rows = {64, 16, 16}, .bias = true}, &random);
    check_normed(at.single, (quant_type[]){QUANT_Q4_0}, (int[3]){0},
                 (shape){.n = 288, .n_tokens = 5, .rows = {48, 3, 7}}, &random);
}

/* The activation of the first product times the second product, with any two of the types. */
static void gated_pairs_of_matrices(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 3;
    static const uint32_t rows[] = {1, 3, 127, 129};
    for (size_t t = 0; t < n_trios; t++)
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++) {
                const uint32_t n_rows = rows[(t + (size_t)(3 * a + b)) % 4];
                check_normed(at.normed[t], trios[t], (int[]){a, b, 0},
                             (shape){.n = 172 + 300 * (uint32_t)b,
                                     .n_tokens = 1 + (uint32_t)((t + (size_t)(a + b)) % 7),
                                     .rows = {n_rows, n_rows},
                                     .gated = true,
                                     .bias = a == b,
                                     .gelu = b == 1,
                                     .first_x = (uint32_t)a,
                                     .first_out = (uint32_t)b,
                                     .wider = (uint32_t)(5 * a)},
                             &random);
            }
    check_normed(at.pair, (quant_type[]){QUANT_Q4_K, QUANT_Q6_K}, (int[]){1, 0, 0},
                 (shape){.n = 512, .n_tokens = 2, .rows = {130, 130}, .gated = true}, &random);
    check_normed(at.single, (quant_type[]){QUANT_Q4_0}, (int[3]){0},
                 (shape){.n = 288, .n_tokens = 9, .rows = {33, 33}, .gated = true}, &random);
}

/* ------------------------------------------------------------------------------------------------ many tokens */

/* Each matrix has a launch of its own, which writes its part of the rows. */
static void check_tiles(size_t t, const shape *s, uint64_t *random) {
    product p = product_new((quant_type[]){types[t], types[t], types[t]}, s, random);
    expect_products(&p, random);
    float *first = malloc(p.out.n * sizeof *first);
    assert_non_null(first);
    for (int round = 0; round < 2; round++) {
        prepare(&device, &p.out);
        for (uint32_t m = 0, start = 0; m < p.n_matrices; start += s->rows[m++]) {
            const tile_args args = {.rows = (int)s->rows[m],
                                    .row_bytes = (int)p.w[m].row_bytes,
                                    .offset = (int)p.w[m].offset,
                                    .n = (int)s->n,
                                    .mode = s->mode,
                                    .gelu = s->gelu,
                                    .has_bias = s->bias,
                                    .bias_start = (int)start,
                                    .out_start = (int)start,
                                    .x_stride = (int)p.x_stride,
                                    .out_stride = (int)p.out_stride,
                                    .first_x = (int)s->first_x,
                                    .first_out = (int)s->first_out,
                                    .n_tokens = (int)s->n_tokens,
                                    .scale = p.s.scale};
            run(&device, &(launch){.kernel = at.tile[t],
                                   .groups = {groups(s->rows[m], TILE_ROWS), groups(s->n_tokens, TILE_TOKENS), 1},
                                   .buffers = {p.w[m].buffer, p.x, s->bias ? p.bias : p.x, p.out.buffer},
                                   .n_buffers = 4,
                                   .args = &args,
                                   .args_bytes = sizeof args});
        }
        look(&device, &p.out);
        assert_as_expected(&p.out, p.what);
        if (round == 0)
            memcpy(first, p.out.after, p.out.n * sizeof *first);
        else if (memcmp(first, p.out.after, p.out.n * sizeof *first) != 0)
            fail_msg("%s: a second run gave other bits", p.what);
    }
    free(first);
    product_free(&p);
}

static void tiles_of_many_tokens(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 4;
    static const shape shapes[] = {
        {.n = 172, .n_tokens = 1, .rows = {1}},
        {.n = 33, .n_tokens = 3, .rows = {3}, .mode = ADD, .first_x = 2, .wider = 3},
        {.n = 100, .n_tokens = 33, .rows = {129}, .mode = GATE, .first_out = 1, .wider = 5},
        {.n = 31, .n_tokens = 64, .rows = {300}, .bias = true, .mode = ADD, .wider = 32, .scale = 0.22f},
        {.n = 260, .n_tokens = 17, .rows = {131}, .bias = true, .mode = ACTIVATE, .gelu = true},
        {.n = 64, .n_tokens = 5, .rows = {9}, .mode = ACTIVATE},
        {.n = 128, .n_tokens = 8, .rows = {140}, .mode = GATE, .gelu = true},
        {.n = 320, .n_tokens = 32, .rows = {128, 5, 127}, .bias = true, .first_x = 1, .first_out = 3},
        {.n = 65, .n_tokens = 512, .rows = {127}, .bias = true, .mode = GATE},
        {.n = 16384, .n_tokens = 9, .rows = {5}, .mode = ADD},
    };
    for (size_t t = 0; t < n_types; t++)
        for (uint32_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            shape s = shapes[i];
            s.n = odd_length(types[t], s.n);
            check_tiles(t, &s, &random);
        }
}

/* ------------------------------------------------------------------------------------------------- embeddings */

static void check_embed(size_t t, uint32_t n, uint32_t n_rows, uint32_t n_tokens, int mode, float scale,
                        uint64_t *random) {
    weights w = weights_new(types[t], n_rows, n, random);
    int32_t *tokens = malloc(n_tokens * sizeof *tokens);
    assert_non_null(tokens);
    for (uint32_t i = 0; i < n_tokens; i++) tokens[i] = (int32_t)(random_u64(random) % n_rows);
    tokens[n_tokens - 1] = (int32_t)n_rows - 1;
    gpu_buffer *token_buffer = buffer_of(&device, tokens, n_tokens * sizeof *tokens);
    const uint32_t stride = padded(n) + 32;
    watched out = watch(&device, (size_t)(n_tokens + 1) * stride, false);
    const double tolerance = WEIGHT_LIMIT * (1 + magnitude(&w) * 16);
    for (uint32_t i = 0; i < n_tokens; i++)
        for (uint32_t c = 0; c < padded(n); c++) {
            const size_t at_place = (size_t)i * stride + c;
            const float before = mode == ADD && c < n ? random_float(random) : 0;
            const double value = c < n ? (double)w.values[(size_t)tokens[i] * n + c] : 0;
            const bool exact = c >= n || (block_of(types[t]) == 1 && mode == STORE && scale == 1);
            if (mode == ADD) set_before(&out, at_place, before);
            expect(&out, at_place, (double)before + value * (double)scale,
                   exact ? 0 : (tolerance + fabs(value) * 1e-7) * fabs((double)scale) + 1e-7);
        }
    const embed_args args = {.row_bytes = (int)w.row_bytes,
                             .offset = (int)w.offset,
                             .n = (int)n,
                             .out_stride = (int)stride,
                             .mode = mode,
                             .scale = scale};
    char what[100];
    snprintf(what, sizeof what, "%u rows of %s[%u][%u]", n_tokens, name_of(types[t]), n_rows, n);
    run_and_check(&device,
                  &(launch){.kernel = at.embed[t],
                            .groups = {groups(padded(n) / 32, GPU_GROUP), n_tokens, 1},
                            .buffers = {w.buffer, token_buffer, out.buffer},
                            .n_buffers = 3,
                            .args = &args,
                            .args_bytes = sizeof args},
                  (watched *[]){&out}, 1, what);
    unwatch(&device, &out);
    release(&device, token_buffer);
    free(tokens);
    weights_free(&w);
}

static void rows_of_the_embedding_table(void **state) {
    (void)state;
    device_here(&device);
    uint64_t random = 5;
    for (size_t t = 0; t < n_types; t++) {
        check_embed(t, odd_length(types[t], 172), 300, 64, STORE, 1, &random);
        check_embed(t, odd_length(types[t], 31), 5, 3, STORE, 12, &random);
        check_embed(t, 16384, 3, 1, ADD, 1, &random);
        check_embed(t, whole_blocks(types[t], 512), 129, 512, STORE, 1, &random);
    }
}

int main(int argc, char **argv) { /* [DRIVER] */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_tokens_times_matrices_of_a_type),
        cmocka_unit_test(few_normed_tokens_times_matrices_of_three_types),
        cmocka_unit_test(gated_pairs_of_matrices),
        cmocka_unit_test(tiles_of_many_tokens),
        cmocka_unit_test(rows_of_the_embedding_table),
    };
    int n_failed = 0;
    for (size_t i = 0; gpu_drivers[i]; i++) {
        char name[100];
        driver_now = gpu_drivers[i];
        if (argc > 1 && strcmp(argv[1], driver_now->name) != 0) continue;
        snprintf(name, sizeof name, "products on %s", driver_now->name);
        n_failed += cmocka_run_group_tests_name(name, tests, open_group, close_group);
    }
    return n_failed;
}
