/* The compute kernels in plain C: the reference that every faster instruction set is tested against, and the fallback
 * where there is none. Weights become floats (dequantize_scalar.c) and are multiplied by activations in float. Only
 * what goes into a q8_0 cache is quantized. The formulas, with their sources, are in kernels.h.
 *
 * Before: the forward pass (forward_cpu.c), which cuts the work into rows and tokens. After: its next buffer.
 *
 * Every sum has one order. A dot product keeps LANES partial sums: lane l adds the products of every LANES-th element
 * from l on. A fixed tree then adds the lanes:
 *
 *     ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7))
 *
 * This is fast, because the lanes fill vector registers. The result depends neither on what is computed beside it nor
 * on the width of the registers. The sums of attention and of recurrences are chains in float, one element after the
 * other. Norms and the softmax of attention add up in double, also one after the other.
 */
#include "base/exponential.h"
#include "base/half.h"
#include "cpu/interleave.h"
#include "cpu/kernels.h"

#include <math.h>
#include <string.h>

enum {
    LANES = 8,
    TILE_ROWS = 4 /* rows that are multiplied by a token at once: their lanes fill half of SSE2's 16 registers */
};

/* Four lanes: a GNU C vector, which compilers turn into an SSE2 or NEON register. (They would keep a float[8] in
 * memory.) */
typedef float float4 __attribute__((vector_size(16)));

static float4 load4(const float *x) {
    float4 four;
    memcpy(&four, x, sizeof four);
    return four;
}

/* out[r] = the dot product of row r of `rows` with x. n_rows <= TILE_ROWS is a constant of the caller, so that the
 * loops over it unroll. */
static inline __attribute__((always_inline)) void dot_rows(size_t n_rows, const float *rows, size_t row_stride,
                                                           const float *x, size_t n, float *out) {
    float4 low[TILE_ROWS] = {{0}}, high[TILE_ROWS] = {{0}}; /* lanes 0..3 and 4..7 */
    size_t n_whole = n - n % LANES;
    for (size_t i = 0; i < n_whole; i += LANES) {
        for (size_t r = 0; r < n_rows; r++) {
            const float *row = rows + r * row_stride;
            low[r] += load4(row + i) * load4(x + i);
            high[r] += load4(row + i + 4) * load4(x + i + 4);
        }
    }
    for (size_t r = 0; r < n_rows; r++) {
        const float *row = rows + r * row_stride;
        float lanes[LANES];
        memcpy(lanes, &low[r], sizeof low[r]);
        memcpy(lanes + 4, &high[r], sizeof high[r]);
        for (size_t i = n_whole; i < n; i++) lanes[i - n_whole] += row[i] * x[i];
        out[r] = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
    }
}

/* scratch: [TILE_ROWS][n_columns], the current rows as floats, made once for all tokens of the batch; then space for
 * one row of an interleaved matrix. */
static void scalar_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const activations *x, size_t n_batch,
                          float *out, size_t out_stride, void *scratch) {
    const dequantize_kernel dequantize = dequantize_scalar[w->type];
    const size_t n = w->n_columns;
    float *rows = scratch;
    uint8_t *separate = (uint8_t *)(rows + TILE_ROWS * n);
    for (uint32_t row = first_row; row < end_row; row += TILE_ROWS) {
        const uint32_t n_rows = end_row - row < TILE_ROWS ? end_row - row : TILE_ROWS;
        for (uint32_t r = 0; r < TILE_ROWS; r++) { /* a missing row repeats the last one; its results are dropped */
            const uint32_t source = row + (r < n_rows ? r : n_rows - 1);
            const uint8_t *blocks = (const uint8_t *)w->data + source * w->row_bytes;
            if (w->interleaved) interleaved_row(w, source, separate);
            dequantize(w->interleaved ? separate : blocks, rows + r * n, n);
        }
        for (size_t b = 0; b < n_batch; b++) {
            float sums[TILE_ROWS];
            dot_rows(TILE_ROWS, rows, n, x->floats + b * n, n, sums);
            memcpy(out + b * out_stride + row, sums, n_rows * sizeof *sums);
        }
    }
}

/* No type takes more bytes than floats do. */
static size_t scalar_matmul_scratch_bytes(uint32_t n_columns) {
    return (TILE_ROWS + 1) * (size_t)n_columns * sizeof(float);
}

static void scalar_rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *out) {
    double sum_of_squares = 0;
    for (size_t i = 0; i < n; i++) sum_of_squares += (double)x[i] * (double)x[i];
    float scale = (float)(1 / sqrt(sum_of_squares / (double)n + (double)epsilon));
    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * weight[i];
}

static void scalar_add(float *sum, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) sum[i] += x[i];
}

static void scalar_layer_norm(const float *x, const float *weight, float epsilon, size_t n, float *out) {
    double sum = 0, sum_of_squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) sum_of_squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double scale = 1 / sqrt(sum_of_squares / (double)n + (double)epsilon);
    for (size_t i = 0; i < n; i++) out[i] = (float)(((double)x[i] - mean) * scale) * weight[i];
}

static float gelu_erf(float x) { return x * 0.5f * erfcf(x * -0.70710678f); }

/* The form with tanh: 0.5 x (1 + tanh(u)) is x * sigmoid(2 u). */
static float gelu(float x) { return x * sigmoid(1.5957691216f * (x + 0.044715f * x * x * x)); }

static float clamped_swiglu(float gate, float up) {
    const float g = gate > 7 ? 7 : gate, u = up > 7 ? 7 : up < -7 ? -7 : up;
    return g * sigmoid(1.702f * g) * (u + 1);
}

static float limited_swiglu(float limit, float gate, float up) {
    const float g = gate * sigmoid(gate), u = up > limit ? limit : up < -limit ? -limit : up;
    return (g > limit ? limit : g) * u;
}

static float xielu(const float *numbers, float u) {
    if (u > 0) return numbers[0] * u * u + numbers[2] * u;
    return numbers[1] * (expm1f(u < numbers[3] ? u : numbers[3]) - u) + numbers[2] * u;
}

static void scalar_activate(activation which, const float *numbers, float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) {
        switch (which) {
        case SWIGLU: gate[i] = gate[i] * sigmoid(gate[i]) * up[i]; break;
        case GEGLU: gate[i] = gelu(gate[i]) * up[i]; break;
        case GELU: gate[i] = gelu(gate[i]); break;
        case RELU_SQUARED: gate[i] = gate[i] < 0 ? 0 : gate[i] * gate[i]; break;
        case SILU: gate[i] = gate[i] * sigmoid(gate[i]); break;
        case REGLU: gate[i] = gate[i] < 0 ? 0 : gate[i] * up[i]; break;
        case LIMITED_SWIGLU: gate[i] = limited_swiglu(numbers[0], gate[i], up[i]); break;
        case XIELU: gate[i] = xielu(numbers, gate[i]); break;
        case GEGLU_ERF: gate[i] = gelu_erf(gate[i]) * up[i]; break;
        case GELU_ERF: gate[i] = gelu_erf(gate[i]); break;
        case CLAMPED_SWIGLU: gate[i] = clamped_swiglu(gate[i], up[i]); break;
        }
        gate[i] = normal_or_zero(gate[i]);
    }
}

static void scalar_rope(float *x, const float *cos, const float *sin, size_t n_pairs) {
    for (size_t j = 0; j < n_pairs; j++) {
        float first = x[2 * j], second = x[2 * j + 1];
        x[2 * j] = first * cos[j] - second * sin[j];
        x[2 * j + 1] = first * sin[j] + second * cos[j];
    }
}

static void scalar_rope_halves(float *x, const float *cos, const float *sin, size_t n_pairs) {
    for (size_t j = 0; j < n_pairs; j++) {
        float first = x[j], second = x[j + n_pairs];
        x[j] = first * cos[j] - second * sin[j];
        x[j + n_pairs] = first * sin[j] + second * cos[j];
    }
}

static void scalar_f32_to_f16(const float *x, uint16_t *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = f16_from_f32(x[i]);
}

static void scalar_quantize(const float *x, size_t n, int8_t *quantized, activation_block *blocks) {
    for (size_t first = 0; first < n; first += ACTIVATION_BLOCK) {
        activation_block *block = &blocks[first / ACTIVATION_BLOCK];
        float most = 0;
        for (size_t i = first; i < first + ACTIVATION_BLOCK; i++)
            most = isnan(x[i]) || fabsf(x[i]) > most ? fabsf(x[i]) : most;
        const bool usable = most > 1e-30f && most < INFINITY;
        *block = (activation_block){.scale = most / 127};
        for (size_t i = 0; i < ACTIVATION_BLOCK; i++) {
            const int8_t rounded = usable ? (int8_t)lrintf(x[first + i] * (127 / most)) : 0;
            quantized[first + i] = rounded;
            block->sum += rounded;
            block->half_sums[i / 16] += rounded;
        }
    }
}

/* ------------------------------------------------------------------------------------------------ attention */

/* Row `row` of KV_LANES elements of the cache. */
static void kv_row(cllm_kv_type type, const void *rows, size_t row, float out[KV_LANES]) {
    const size_t at = row * KV_LANES;
    for (size_t i = 0; i < KV_LANES; i++)
        out[i] = type == CLLM_KV_F32   ? ((const float *)rows)[at + i]
                 : type == CLLM_KV_F16 ? f32_from_f16(((const uint16_t *)rows)[at + i])
                                       : (float)((const int8_t *)rows)[at + i];
}

/* scores: out, [KV_CHUNK], filled in whole rows around the positions seen */
static void scalar_scores(const kv_chunk *chunk, const float *query, visible_range visible, float *scores) {
    const size_t n = chunk->key_length;
    for (size_t first = visible.first / KV_LANES * KV_LANES; first < visible.end; first += KV_LANES) {
        const char *rows = (const char *)chunk->keys + first * n * kv_element_bytes(chunk->type);
        float sums[KV_LANES] = {0}, keys[KV_LANES];
        for (size_t d = 0; d < n; d++) {
            kv_row(chunk->type, rows, d, keys);
            if (chunk->type == CLLM_KV_Q8_0) {
                const float *scales = chunk->key_scales + first * kv_scale_blocks(n) + d / KV_SCALE_BLOCK * KV_LANES;
                for (size_t i = 0; i < KV_LANES; i++) keys[i] *= scales[i];
            }
            for (size_t i = 0; i < KV_LANES; i++) sums[i] += query[d] * keys[i];
        }
        memcpy(scores + first, sums, sizeof sums);
    }
}

static attention_part scalar_exponentiate(float *scores, visible_range visible, float softcap) {
    attention_part part = {.max = -INFINITY};
    for (size_t i = visible.first; i < visible.end; i++) {
        if (softcap > 0) scores[i] = softcap * tanhf(scores[i] / softcap);
        scores[i] -= visible.slope * fabsf((float)((int32_t)i - visible.own));
        part.max = scores[i] > part.max ? scores[i] : part.max;
    }
    double sum = 0;
    for (size_t i = visible.first; i < visible.end; i++) {
        scores[i] = exp_or_zero(scores[i] - part.max);
        sum += (double)scores[i];
    }
    part.sum = (float)sum;
    return part;
}

static void scalar_values(const kv_chunk *chunk, const float *weights, visible_range visible, float *values) {
    for (size_t first = 0; first < chunk->value_length; first += KV_LANES) {
        const char *rows = (const char *)chunk->values + first * KV_CHUNK * kv_element_bytes(chunk->type);
        float sums[KV_LANES] = {0}, elements[KV_LANES];
        for (size_t position = visible.first; position < visible.end; position++) {
            float weight = weights[position];
            if (chunk->type == CLLM_KV_Q8_0)
                weight *= chunk->value_scales[first / KV_SCALE_BLOCK * KV_CHUNK + position];
            kv_row(chunk->type, rows, position, elements);
            for (size_t i = 0; i < KV_LANES; i++) sums[i] += weight * elements[i];
        }
        memcpy(values + first, sums, sizeof sums);
    }
}

static void scalar_attend(const kv_chunk *chunk, const float *queries, const visible_range *visible, size_t n_queries,
                          float softcap, attention_part *parts, float *values) {
    for (size_t q = 0; q < n_queries; q++) {
        float scores[KV_CHUNK];
        scalar_scores(chunk, queries + q * chunk->key_length, visible[q], scores);
        parts[q] = scalar_exponentiate(scores, visible[q], softcap);
        scalar_values(chunk, scores, visible[q], values + q * kv_padded(chunk->value_length));
    }
}

static void scalar_index(const kv_chunk *chunk, const float *queries, const float *weights, size_t n_heads, size_t n,
                         float *scores) {
    const visible_range visible = {.end = (uint32_t)n};
    memset(scores, 0, kv_padded(n) * sizeof *scores);
    for (size_t head = 0; head < n_heads; head++) {
        float products[KV_CHUNK];
        scalar_scores(chunk, queries + head * chunk->key_length, visible, products);
        for (size_t i = 0; i < n; i++) scores[i] += products[i] > 0 ? weights[head] * products[i] : 0;
    }
}

static void scalar_merge(attention_part *part, float *values, const attention_part *other, const float *other_values,
                         size_t n) {
    const float max = part->max > other->max ? part->max : other->max;
    const float kept = exp_or_zero(part->max - max), added = exp_or_zero(other->max - max);
    *part = (attention_part){max, part->sum * kept + other->sum * added};
    for (size_t i = 0; i < n; i++) values[i] = values[i] * kept + other_values[i] * added;
}

/* ---------------------------------------------------------------------------------------------- recurrences */

static void scalar_state_read(const float *state, size_t n_rows, size_t n, const float *weights, float *out) {
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j < n; j++) out[j] += weights[i] * state[i * n + j];
}

static void scalar_state_step(const float *from, float *to, size_t n_rows, size_t n, const float *decay,
                              const float *key, const float *value, const float *query, float *out) {
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n_rows; i++) {
        for (size_t j = 0; j < n; j++) {
            to[i * n + j] = normal_or_zero(decay[i] * from[i * n + j] + key[i] * value[j]);
            out[j] += query[i] * to[i * n + j];
        }
    }
}

static void scalar_state_step_each(const float *from, float *to, size_t n_rows, size_t n, size_t stride,
                                   const float *rates, const float *steps, const float *key, const float *value,
                                   const float *query, float *out) {
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n_rows; i++) {
        for (size_t j = 0; j < n; j++) {
            const size_t at = i * stride + j;
            to[at] = normal_or_zero(exp_or_zero(rates[at] * steps[j]) * from[at] + key[i] * value[j]);
            out[j] += query[i] * to[at];
        }
    }
}

static const cpu_kernels table = {
    .name = "scalar",
    .dequantize = dequantize_scalar,
    .matmul = scalar_matmul,
    .matmul_scratch_bytes = scalar_matmul_scratch_bytes,
    .rms_norm = scalar_rms_norm,
    .add = scalar_add,
    .layer_norm = scalar_layer_norm,
    .activate = scalar_activate,
    .rope = scalar_rope,
    .rope_halves = scalar_rope_halves,
    .f32_to_f16 = scalar_f32_to_f16,
    .state_read = scalar_state_read,
    .state_step = scalar_state_step,
    .state_step_each = scalar_state_step_each,
    .quantize = scalar_quantize,
    .attend = scalar_attend,
    .index = scalar_index,
    .merge = scalar_merge,
};
const cpu_kernels *const kernels_scalar = &table;
