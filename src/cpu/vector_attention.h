/* Attention to one chunk of keys and values (kv_store.h has the layout), and the merging of chunks.
 *
 * Scores and values use the same loop: a row of KV_LANES elements of the cache is loaded once, converted, and added to
 * the sums of several queries, each with its own factor.
 *
 *   scores    lanes are 16 positions, rows are the elements of a head, factors are those of the query
 *   values    lanes are 16 elements, rows are the positions, factors are exp(score - max)
 *
 * Each sum is one chain of additions in ascending order, so a query's result is the same bits beside any other queries.
 * An addition waits for the one before it. So the loop works on several sums at once: those of several queries, and of
 * several groups of KV_LANES lanes. */
#ifndef CPU_VECTOR_ATTENTION_H
#define CPU_VECTOR_ATTENTION_H

#include "cpu/kernels.h"
#include "cpu/vector_math.h"

#include <math.h>

enum {
    ROW_VECTORS = KV_LANES / LANES,
    MOST_QUERIES = LANES == 16 ? 8 : 4,
    MOST_GROUPS = 4,
    SUM_REGISTERS = LANES == 8 ? 8 : 16, /* for the sums of a loop; the others hold elements and factors */
    KV_PREFETCH_BYTES = 8192,            /* how far to prefetch: a long context comes from memory */
};

/* How many groups of lanes are summed at once for this many queries: a power of two. */
INLINE size_t groups_of(size_t n_queries) {
    size_t n = MOST_GROUPS;
    while (n > 1 && n * n_queries * ROW_VECTORS > SUM_REGISTERS) n /= 2;
    return n;
}

typedef struct row_sums {
    floats of[MOST_QUERIES][MOST_GROUPS][ROW_VECTORS];
} row_sums;

INLINE floats load_elements(cllm_kv_type type, const void *elements, size_t at) {
    if (type == CLLM_KV_F32) return load_floats((const float *)elements + at);
    if (type == CLLM_KV_F16) return load_halfs((const uint16_t *)elements + at);
    return load_signed_bytes((const int8_t *)elements + at);
}

/* sums[q][g] += factors[q][at + row] * rows[g][row], row < n. The rows of a group begin group_rows rows after those of
 * the group before it. type, n_queries and n_groups are constants at the call. */
INLINE void add_rows(const cllm_kv_type type, const size_t n_queries, const size_t n_groups, const void *rows,
                     size_t group_rows, size_t n, const float *const *factors, size_t at, row_sums *sums) {
    floats in_registers[MOST_QUERIES][MOST_GROUPS][ROW_VECTORS];
    UNROLLED for (size_t q = 0; q < n_queries; q++) UNROLLED for (size_t g = 0; g < n_groups; g++)
        UNROLLED for (size_t v = 0; v < ROW_VECTORS; v++) in_registers[q][g][v] = sums->of[q][g][v];
    for (size_t row = 0; row < n; row++) {
        floats elements[MOST_GROUPS][ROW_VECTORS];
        UNROLLED for (size_t g = 0; g < n_groups; g++) {
            const size_t first = (g * group_rows + row) * KV_LANES;
            __builtin_prefetch((const char *)rows + first * kv_element_bytes(type) + KV_PREFETCH_BYTES);
            UNROLLED for (size_t v = 0; v < ROW_VECTORS; v++) elements[g][v] =
                load_elements(type, rows, first + v * LANES);
        }
        UNROLLED for (size_t q = 0; q < n_queries; q++) {
            const floats factor = all_floats(factors[q][at + row]);
            UNROLLED for (size_t g = 0; g < n_groups; g++) UNROLLED for (size_t v = 0; v < ROW_VECTORS; v++)
                in_registers[q][g][v] = fused(elements[g][v], factor, in_registers[q][g][v]);
        }
    }
    UNROLLED for (size_t q = 0; q < n_queries; q++) UNROLLED for (size_t g = 0; g < n_groups; g++)
        UNROLLED for (size_t v = 0; v < ROW_VECTORS; v++) sums->of[q][g][v] = in_registers[q][g][v];
}

/* Some queries and one chunk. */
typedef struct chunk_work {
    const kv_chunk *chunk;
    const float *queries[MOST_QUERIES]; /* [key_length] each */
    visible_range visible[MOST_QUERIES];
    visible_range any;                     /* from the first to the last position that at least one query sees */
    visible_range all;                     /* the range that all queries see, if all.first < all.end */
    float weights[MOST_QUERIES][KV_CHUNK]; /* the scores, then their exp */
} chunk_work;

INLINE void store_sums(const row_sums *sums, size_t n_queries, size_t n_groups, float *out, size_t stride) {
    UNROLLED for (size_t q = 0; q < n_queries; q++) UNROLLED for (size_t g = 0; g < n_groups; g++)
        UNROLLED for (size_t v = 0; v < ROW_VECTORS; v++)
            store_floats(out + q * stride + g * KV_LANES + v * LANES, sums->of[q][g][v]);
}

/* The scores of n_groups * KV_LANES positions from `at` on. */
INLINE void score_positions(const cllm_kv_type type, const size_t n_queries, const size_t n_groups, chunk_work *work,
                            size_t at) {
    const kv_chunk *chunk = work->chunk;
    const size_t n = chunk->key_length, n_blocks = kv_scale_blocks(n);
    const char *rows = (const char *)chunk->keys + at * n * kv_element_bytes(type);
    row_sums scores = {0};
    if (type != CLLM_KV_Q8_0) add_rows(type, n_queries, n_groups, rows, n, n, work->queries, 0, &scores);
    for (size_t block = 0; type == CLLM_KV_Q8_0 && block < n_blocks; block++) {
        const size_t first = block * KV_SCALE_BLOCK, left = n - first;
        row_sums sums = {0};
        add_rows(type, n_queries, n_groups, rows + first * KV_LANES, n, left < KV_SCALE_BLOCK ? left : KV_SCALE_BLOCK,
                 work->queries, first, &sums);
        UNROLLED for (size_t g = 0; g < n_groups; g++) UNROLLED for (size_t v = 0; v < ROW_VECTORS; v++) {
            const size_t group = at + g * KV_LANES;
            const floats scale = load_floats(chunk->key_scales + group * n_blocks + block * KV_LANES + v * LANES);
            UNROLLED for (size_t q = 0; q < n_queries; q++) scores.of[q][g][v] =
                fused(sums.of[q][g][v], scale, scores.of[q][g][v]);
        }
    }
    store_sums(&scores, n_queries, n_groups, work->weights[0] + at, KV_CHUNK);
}

/* In whole rows of positions; positions that are not visible are masked later. */
INLINE void make_scores(const cllm_kv_type type, const size_t n_queries, chunk_work *work) {
    const size_t n_groups = groups_of(n_queries), end = kv_padded(work->any.end);
    size_t at = work->any.first / KV_LANES * KV_LANES;
    for (; at + n_groups * KV_LANES <= end; at += n_groups * KV_LANES)
        score_positions(type, n_queries, n_groups, work, at);
    for (; at < end; at += KV_LANES) score_positions(type, n_queries, 1, work, at);
}

/* cap * tanh(score / cap), tanh(v) = 1 - 2 / (1 + exp(2 v)) */
INLINE void cap_scores(float *scores, visible_range visible, float cap) {
    for (size_t i = visible.first / KV_LANES * KV_LANES; i < visible.end; i += LANES)
        store_floats(scores + i, cap - 2 * cap / (1 + exponential(load_floats(scores + i) * (2 / cap))));
}

INLINE void lower_by_distance(float *scores, visible_range visible) {
    ints lane;
    UNROLLED for (int32_t i = 0; i < LANES; i++) lane[i] = i;
    for (size_t i = visible.first / KV_LANES * KV_LANES; i < visible.end; i += LANES) {
        const floats difference = __builtin_convertvector(lane + ((int32_t)i - visible.own), floats);
        const floats distance = (floats)((ints)difference & 0x7FFFFFFF);
        store_floats(scores + i, load_floats(scores + i) - visible.slope * distance);
    }
}

INLINE float largest_lane_of_floats(floats v) {
    float lanes[LANES];
    store_floats(lanes, v);
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++) lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
    return lanes[0];
}

/* scores: in, whole rows around the visible positions; out: exp(score - max), and 0 for positions that are not
 * visible. */
INLINE attention_part exponentiate(float *scores, visible_range visible) {
    ints lane;
    UNROLLED for (int32_t i = 0; i < LANES; i++) lane[i] = i;
    const floats nothing = all_floats(-INFINITY);
    const size_t first = visible.first / KV_LANES * KV_LANES;
    floats most = nothing;
    for (size_t i = first; i < visible.end; i += LANES) {
        const ints at = lane + (int32_t)i;
        const ints seen = (at < all_ints((int32_t)visible.end)) & ~(at < all_ints((int32_t)visible.first));
        const floats score = (floats)(((ints)load_floats(scores + i) & seen) | ((ints)nothing & ~seen));
        store_floats(scores + i, score);
        most = larger(most, score);
    }
    const float max = largest_lane_of_floats(most);
    floats sums[PARTIAL_VECTORS] = {{0}};
    for (size_t i = first; i < visible.end; i += KV_LANES) {
        UNROLLED for (size_t v = 0; v < ROW_VECTORS; v++) {
            floats weight = {0};
            if (i + v * LANES < visible.end) weight = exponential(load_floats(scores + i + v * LANES) - max);
            store_floats(scores + i + v * LANES, weight);
            sums[v] += weight;
        }
    }
    return (attention_part){max, sum_of_partials(sums)};
}

/* Add the values of positions first .. end - 1. rows: [n_groups][KV_CHUNK][KV_LANES] elements. */
INLINE void add_positions(const cllm_kv_type type, const size_t n_queries, const size_t n_groups, const char *rows,
                          size_t first, size_t end, const float *const *factors, row_sums *sums) {
    add_rows(type, n_queries, n_groups, rows + first * KV_LANES * kv_element_bytes(type), KV_CHUNK, end - first,
             factors, first, sums);
}

/* Positions that all queries see are processed together, the others one query at a time. A position that is not visible
 * must not be touched, because 0 times NaN is not 0. For each query, values are added in ascending order. */
INLINE void add_values(const cllm_kv_type type, const size_t n_queries, const size_t n_groups, const chunk_work *work,
                       const float weights[MOST_QUERIES][KV_CHUNK], const char *rows, row_sums *sums) {
    const float *factors[MOST_QUERIES];
    const visible_range all = work->all;
    const bool together = all.first < all.end;
    UNROLLED for (size_t q = 0; q < n_queries; q++) factors[q] = weights[q];
    for (size_t after = 0; after < 2; after++) {
        if (after > 0 && together) add_positions(type, n_queries, n_groups, rows, all.first, all.end, factors, sums);
        for (size_t q = 0; q < n_queries; q++) {
            const visible_range seen = work->visible[q];
            const size_t first = after > 0 ? (together ? all.end : seen.end) : seen.first;
            const size_t end = after > 0 ? seen.end : (together ? all.first : seen.end);
            if (first >= end) continue;
            row_sums one;
            memcpy(one.of[0], sums->of[q], sizeof one.of[0]);
            add_positions(type, 1, n_groups, rows, first, end, &factors[q], &one);
            memcpy(sums->of[q], one.of[0], sizeof one.of[0]);
        }
    }
}

/* n_groups * KV_LANES elements of the result, from `first` on. */
INLINE void sum_elements(const cllm_kv_type type, const size_t n_queries, const size_t n_groups, const chunk_work *work,
                         const float weights[MOST_QUERIES][KV_CHUNK], size_t first, float *out) {
    const kv_chunk *chunk = work->chunk;
    const char *rows = (const char *)chunk->values + first * KV_CHUNK * kv_element_bytes(type);
    row_sums sums = {0};
    add_values(type, n_queries, n_groups, work, weights, rows, &sums);
    store_sums(&sums, n_queries, n_groups, out + first, kv_padded(chunk->value_length));
}

/* Elements first .. end - 1 of the result. */
INLINE void sum_groups(const cllm_kv_type type, const size_t n_queries, const chunk_work *work,
                       const float weights[MOST_QUERIES][KV_CHUNK], size_t first, size_t end, float *out) {
    const size_t n_groups = groups_of(n_queries);
    for (; first + n_groups * KV_LANES <= end; first += n_groups * KV_LANES)
        sum_elements(type, n_queries, n_groups, work, weights, first, out);
    for (; first < end; first += KV_LANES) sum_elements(type, n_queries, 1, work, weights, first, out);
}

/* The scales of quantized values become part of the weights, for KV_SCALE_BLOCK elements at a time. */
INLINE void sum_values(const cllm_kv_type type, const size_t n_queries, const chunk_work *work, float *out) {
    const kv_chunk *chunk = work->chunk;
    const size_t n = kv_padded(chunk->value_length);
    if (type != CLLM_KV_Q8_0) return sum_groups(type, n_queries, work, work->weights, 0, n, out);
    float scaled[MOST_QUERIES][KV_CHUNK];
    for (size_t first = 0; first < n; first += KV_SCALE_BLOCK) {
        const float *scales = chunk->value_scales + first / KV_SCALE_BLOCK * KV_CHUNK;
        for (size_t at = work->any.first / KV_LANES * KV_LANES; at < work->any.end; at += LANES)
            UNROLLED for (size_t q = 0; q < n_queries; q++)
                store_floats(&scaled[q][at], load_floats(&work->weights[q][at]) * load_floats(scales + at));
        sum_groups(type, n_queries, work, scaled, first, n - first < KV_SCALE_BLOCK ? n : first + KV_SCALE_BLOCK, out);
    }
}

INLINE void attend_some(const cllm_kv_type type, const size_t n_queries, chunk_work *work, float softcap,
                        attention_part *parts, float *values) {
    make_scores(type, n_queries, work);
    for (size_t q = 0; q < n_queries; q++) {
        if (softcap > 0) cap_scores(work->weights[q], work->visible[q], softcap);
        if (work->visible[q].slope > 0) lower_by_distance(work->weights[q], work->visible[q]);
        parts[q] = exponentiate(work->weights[q], work->visible[q]);
    }
    sum_values(type, n_queries, work, values);
}

INLINE size_t queries_at_once(size_t n_left) { return n_left >= MOST_QUERIES ? MOST_QUERIES : n_left > 4 ? 4 : n_left; }

/* n_queries: 1 .. 4 or MOST_QUERIES */
#define X(type)                                                          \
    static void scores_##type(size_t n_queries, chunk_work *work) {      \
        switch (n_queries) {                                             \
        case 1: make_scores(CLLM_KV_##type, 1, work); break;             \
        case 2: make_scores(CLLM_KV_##type, 2, work); break;             \
        case 3: make_scores(CLLM_KV_##type, 3, work); break;             \
        case 4: make_scores(CLLM_KV_##type, 4, work); break;             \
        default: make_scores(CLLM_KV_##type, MOST_QUERIES, work); break; \
        }                                                                \
    }
X(F32)
X(F16)
X(Q8_0)
#undef X

#define X(type)                                                                                         \
    static void attend_##type(size_t n_queries, chunk_work *work, float softcap, attention_part *parts, \
                              float *values) {                                                          \
        switch (n_queries) {                                                                            \
        case 1: attend_some(CLLM_KV_##type, 1, work, softcap, parts, values); break;                    \
        case 2: attend_some(CLLM_KV_##type, 2, work, softcap, parts, values); break;                    \
        case 3: attend_some(CLLM_KV_##type, 3, work, softcap, parts, values); break;                    \
        case 4: attend_some(CLLM_KV_##type, 4, work, softcap, parts, values); break;                    \
        default: attend_some(CLLM_KV_##type, MOST_QUERIES, work, softcap, parts, values); break;        \
        }                                                                                               \
    }
X(F32)
X(F16)
X(Q8_0)
#undef X

void OF_ISA(vector_attend)(const kv_chunk *chunk, const float *queries, const visible_range *visible, size_t n_queries,
                           float softcap, attention_part *parts, float *values) {
    chunk_work work = {.chunk = chunk};
    for (size_t first = 0, n; first < n_queries; first += n) {
        n = queries_at_once(n_queries - first);
        work.any = (visible_range){.first = KV_CHUNK};
        work.all = (visible_range){.end = KV_CHUNK};
        for (size_t q = 0; q < n; q++) {
            const visible_range seen = visible[first + q];
            work.queries[q] = queries + (first + q) * chunk->key_length;
            work.visible[q] = seen;
            if (seen.first < seen.end && seen.first < work.any.first) work.any.first = seen.first;
            if (seen.end > work.any.end) work.any.end = seen.end;
            if (seen.first > work.all.first) work.all.first = seen.first;
            if (seen.end < work.all.end) work.all.end = seen.end;
        }
        float *out = values + first * kv_padded(chunk->value_length);
        if (chunk->type == CLLM_KV_F32)
            attend_F32(n, &work, softcap, parts + first, out);
        else if (chunk->type == CLLM_KV_F16)
            attend_F16(n, &work, softcap, parts + first, out);
        else
            attend_Q8_0(n, &work, softcap, parts + first, out);
    }
}

void OF_ISA(vector_index)(const kv_chunk *chunk, const float *queries, const float *weights, size_t n_heads, size_t n,
                          float *scores) {
    const floats nothing = {0};
    chunk_work work = {.chunk = chunk, .any = {.end = (uint32_t)n}};
    memset(scores, 0, kv_padded(n) * sizeof *scores);
    for (size_t first = 0, count; first < n_heads; first += count) {
        count = queries_at_once(n_heads - first);
        for (size_t q = 0; q < count; q++) work.queries[q] = queries + (first + q) * chunk->key_length;
        if (chunk->type == CLLM_KV_F32)
            scores_F32(count, &work);
        else if (chunk->type == CLLM_KV_F16)
            scores_F16(count, &work);
        else
            scores_Q8_0(count, &work);
        for (size_t q = 0; q < count; q++)
            for (size_t i = 0; i < n; i += LANES)
                store_floats(scores + i, fused(larger(load_floats(work.weights[q] + i), nothing),
                                               all_floats(weights[first + q]), load_floats(scores + i)));
    }
}

void OF_ISA(vector_merge)(attention_part *part, float *values, const attention_part *other, const float *other_values,
                          size_t n) {
    const float max = part->max > other->max ? part->max : other->max;
    const floats kept = exponential(all_floats(part->max - max)), added = exponential(all_floats(other->max - max));
    part->max = max;
    part->sum = part->sum * kept[0] + other->sum * added[0];
    for (size_t i = 0; i < n; i += LANES)
        store_floats(values + i, fused(load_floats(other_values + i), added, load_floats(values + i) * kept));
}

#endif
