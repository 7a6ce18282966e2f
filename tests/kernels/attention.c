/* Tests attention over pages of keys and values of each type, and the scores of indexers. */
#include "kernels/kernel_tests.h"

#include "base/half.h"
#include "model/kv_store.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A context of one head, and queries that see parts of it. */
typedef struct context {
    model_config config;
    layer_config layer;
    cllm_kv_type type;
    uint32_t n_positions;
    uint32_t window; /* how many positions a query sees, or 0: all before it */
    float softcap, slope;
    size_t n_queries;
    double *keys, *values; /* [n_positions][length], as stored */
    float *queries;        /* [n_queries][key_length] */
    uint32_t *n_seen;      /* [n_queries] positions, 1..n_positions */
    arena arena;
    kv_pages pages;
    kv_table table;
    kv_store store;
} context;

/* Stores one element of a row in the type's form, and returns its exact value. */
static double stored_element(cllm_kv_type type, float x, float scale, void *elements, size_t i) {
    if (type == CLLM_KV_F32) {
        ((float *)elements)[i] = x;
        return (double)x;
    }
    if (type == CLLM_KV_F16) {
        ((uint16_t *)elements)[i] = f16_from_f32(x);
        return (double)f32_from_f16(((uint16_t *)elements)[i]);
    }
    ((int8_t *)elements)[i] = (int8_t)lrintf(x / scale);
    return (double)scale * ((int8_t *)elements)[i];
}

typedef void (*put_function)(const kv_chunk *, uint32_t, size_t, size_t, const void *, float);

/* A row of random numbers that `seed` and `position` make, so that they can be stored again. */
static void put_row(const context *c, put_function put, uint32_t position, size_t length, uint64_t seed,
                    double *exact) {
    const kv_chunk chunk = kv_store_chunk(&c->store, &c->table, 0, 0, position / KV_CHUNK);
    uint64_t random = seed + position;
    float elements[KV_SCALE_BLOCK];
    for (size_t first = 0; first < length; first += KV_SCALE_BLOCK) {
        const size_t n = length - first < KV_SCALE_BLOCK ? length - first : KV_SCALE_BLOCK;
        const float scale = (1.5f + random_float(&random)) / 127;
        for (size_t i = 0; i < n; i++)
            exact[first + i] = stored_element(c->type, random_float(&random) * 0.5f, scale, elements, i);
        put(&chunk, position % KV_CHUNK, first, n, elements, scale);
    }
}

enum { WINDOW_BATCH = 40 /* queries at the last 40 positions find all that they see */ };

/* The pages hold the first n positions, or only the last of them that the queries see. Everywhere else is NaN. */
static void fill_pages(context *c, uint32_t n) {
    const kv_size size = {
        .n_ctx = c->n_positions, .n_batch = WINDOW_BATCH, .n_sequences = 1, .n_positions = c->n_positions};
    arena_free(&c->arena);
    cllm_error err;
    c->config.layers = &c->layer;
    assert_ok(kv_pages_create(&c->config, &size, &c->arena, &c->pages, &err), &err);
    assert_ok(kv_table_create(&c->pages, &c->arena, &c->table, &err), &err);
    assert_ok(kv_store_create(&c->config, c->type, 1, &size, &c->arena, &c->store, &err), &err);
    const uint32_t pool = c->window > 0 ? KV_WINDOWED : KV_FULL, n_pages = c->pages.pools[pool].n_pages;
    const uint64_t page_bytes = kv_store_page_bytes(&c->config, c->type, 1, pool);
    assert_true(c->window == 0 || (uint64_t)n_pages * KV_CHUNK < c->window + WINDOW_BATCH + 2 * KV_CHUNK);
    assert_int_equal(kv_store_bytes(&c->config, c->type, 1, &size), n_pages * page_bytes);
    memset(c->store.pools[pool].bytes, 0xFF, n_pages * page_bytes);
    for (uint32_t position = 0; position < n; position++) {
        const size_t k = c->config.key_length, v = c->config.value_length;
        kv_table_drop(&c->table, &c->pages, position < WINDOW_BATCH ? 0 : position + 1 - WINDOW_BATCH);
        kv_table_grow(&c->table, &c->pages, position, position + 1);
        put_row(c, kv_chunk_put_key, position, k, 1000000, c->keys + position * k);
        put_row(c, kv_chunk_put_value, position, v, 2000000, c->values + position * v);
    }
}

static context context_new(cllm_kv_type type, uint32_t key_length, uint32_t value_length, uint32_t n_positions,
                           uint32_t window, size_t n_queries, uint64_t *random) {
    context c = {.config = {.n_layers = 1, .key_length = key_length, .value_length = value_length, .window = window},
                 .layer = {.windowed = window > 0,
                           .n_heads = 1,
                           .n_kv_heads = 1,
                           .key_length = key_length,
                           .value_length = value_length},
                 .type = type,
                 .n_positions = n_positions,
                 .window = window,
                 .n_queries = n_queries,
                 .keys = malloc(n_positions * key_length * sizeof(double)),
                 .values = malloc(n_positions * value_length * sizeof(double)),
                 .queries = random_floats(n_queries * key_length, random),
                 .n_seen = malloc(n_queries * sizeof(uint32_t))};
    assert_true(c.keys && c.values && c.n_seen);
    const uint32_t choices = window && n_positions > WINDOW_BATCH ? WINDOW_BATCH : n_positions;
    for (size_t q = 0; q < n_queries; q++)
        c.n_seen[q] = random_u64(random) % 3 ? n_positions - (uint32_t)(random_u64(random) % choices) : n_positions;
    fill_pages(&c, n_positions);
    return c;
}

static void context_free(context *c) {
    guarded_free(c->queries, c->n_queries * c->config.key_length);
    arena_free(&c->arena);
    free(c->keys);
    free(c->values);
    free(c->n_seen);
}

/* The first position that a query sees. */
static uint32_t first_seen(const context *c, size_t q) {
    return c->window > 0 && c->n_seen[q] > c->window ? c->n_seen[q] - c->window : 0;
}

/* Some queries also see positions after their own. */
static uint32_t own_position(const context *c, size_t q) { return q % 3 ? c->n_seen[q] - 1 : c->n_seen[q] / 2; }

static float slope_of(const context *c, size_t q) { return c->slope * (float)(q % 4); }

static uint32_t within_chunk(uint32_t position, uint32_t first) {
    return position <= first ? 0 : position - first < KV_CHUNK ? position - first : KV_CHUNK;
}

/* Computes queries first .. first + n - 1 together. out: [n][value_length]. */
static void attend_to_all(const context *c, size_t first, size_t n, float *out) {
    const size_t padded = kv_padded(c->config.value_length), length = c->config.value_length;
    float *values[2] = {guarded_new(n * padded), guarded_new(n * padded)};
    attention_part *parts[2];
    visible_range *visible = malloc(n * sizeof *visible);
    assert_non_null(visible);
    for (size_t i = 0; i < 2; i++) parts[i] = (attention_part *)(void *)aligned_new(n * sizeof(attention_part));
    uint32_t first_chunk = UINT32_MAX, chunks = kv_chunks(c->n_positions);
    for (size_t q = first; q < first + n; q++)
        first_chunk = first_seen(c, q) / KV_CHUNK < first_chunk ? first_seen(c, q) / KV_CHUNK : first_chunk;
    for (uint32_t i = first_chunk; i < chunks; i++) {
        const kv_chunk chunk = kv_store_chunk(&c->store, &c->table, 0, 0, i);
        const bool more = i > first_chunk;
        for (size_t q = 0; q < n; q++) {
            visible[q].first = within_chunk(first_seen(c, first + q), i * KV_CHUNK);
            visible[q].end = within_chunk(c->n_seen[first + q], i * KV_CHUNK);
            if (visible[q].first == visible[q].end) visible[q].first = visible[q].end = 0;
            visible[q].own = (int32_t)own_position(c, first + q) - (int32_t)(i * KV_CHUNK);
            visible[q].slope = slope_of(c, first + q);
        }
        kernels->attend(&chunk, c->queries + first * c->config.key_length, visible, n, c->softcap, parts[more],
                        values[more]);
        for (size_t q = 0; more && q < n; q++)
            if (visible[q].end > 0)
                kernels->merge(&parts[0][q], values[0] + q * padded, &parts[1][q], values[1] + q * padded, padded);
    }
    for (size_t q = 0; q < n; q++)
        for (size_t i = 0; i < length; i++) out[q * length + i] = values[0][q * padded + i] / parts[0][q].sum;
    for (size_t i = 0; i < 2; i++) {
        aligned_free((uint8_t *)parts[i], n * sizeof(attention_part));
        guarded_free(values[i], n * padded);
    }
    free(visible);
}

/* The heads have weights of both signs. */
void index_scores_are_right(void **state) {
    (void)state;
    static const uint32_t lengths_of_keys[] = {2, 16, 31, 33, 64, 128}, heads[] = {1, 2, 3, 7, 8, 13, 64};
    enum { N_KEYS = sizeof lengths_of_keys / sizeof *lengths_of_keys, N_HEADS = sizeof heads / sizeof *heads };
    uint64_t random = 19;
    for (size_t i = 0; i < 3 * N_KEYS * N_HEADS; i++) {
        const cllm_kv_type type = (cllm_kv_type)(CLLM_KV_F16 + i % 3);
        const uint32_t length = lengths_of_keys[i / 3 % N_KEYS], n_heads = heads[i / 3 / N_KEYS];
        const size_t n = 1 + random_u64(&random) % KV_CHUNK;
        context c = context_new(type, length, 1, (uint32_t)n, 0, n_heads, &random);
        float *weights = random_floats(n_heads, &random), *scores = guarded_new(KV_CHUNK), want[KV_CHUNK];
        const kv_chunk chunk = kv_store_chunk(&c.store, &c.table, 0, 0, 0);
        for (size_t p = 0; p < n; p++) {
            double sum = 0;
            for (size_t h = 0; h < n_heads; h++) {
                double product = 0;
                for (size_t d = 0; d < length; d++)
                    product += (double)c.queries[h * length + d] * c.keys[p * length + d];
                sum += (double)weights[h] * fmax(product, 0);
            }
            want[p] = (float)sum;
        }
        kernels->index(&chunk, c.queries, weights, n_heads, n, scores);
        assert_within(scores, want, n, ATTENTION_LIMIT, "an indexer's scores");
        for (size_t p = kv_padded(n); p < KV_CHUNK; p++) assert_true(is_poison(&scores[p]));
        guarded_free(scores, KV_CHUNK);
        guarded_free(weights, n_heads);
        context_free(&c);
    }
}

/* Positions that are copied to other places in another chunk give the same results. */
void positions_are_copied_whole(void **state) {
    (void)state;
    static const uint32_t sizes[] = {7, 32, 48, 80};
    uint64_t random = 20;
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        for (size_t i = 0; i < 4; i++) {
            const uint32_t k = sizes[i], v = sizes[3 - i];
            context c = context_new((cllm_kv_type)type, k, v, KV_CHUNK, 0, 1, &random);
            const size_t n_bytes = (size_t)kv_chunk_bytes((cllm_kv_type)type, k, v);
            uint8_t *bytes = aligned_new(n_bytes);
            const kv_chunk from = kv_store_chunk(&c.store, &c.table, 0, 0, 0);
            const kv_chunk to = kv_chunk_at((cllm_kv_type)type, k, v, bytes);
            assert_true(kv_chunk_bytes(CLLM_KV_F32, k, v) >= n_bytes);
            for (uint32_t p = 0; p < KV_CHUNK; p++) kv_chunk_copy(&from, p, &to, (p * 37 + 5) % KV_CHUNK);
            for (uint32_t p = 0; p < KV_CHUNK; p++) {
                const uint32_t at = (p * 37 + 5) % KV_CHUNK;
                const visible_range one = {.first = p, .end = p + 1}, other = {.first = at, .end = at + 1};
                float want[KV_CHUNK], got[KV_CHUNK];
                attention_part part[2];
                kernels->attend(&from, c.queries, &one, 1, 0, &part[0], want);
                kernels->attend(&to, c.queries, &other, 1, 0, &part[1], got);
                assert_memory_equal(&part[0], &part[1], sizeof *part);
                assert_memory_equal(got, want, v * sizeof *got);
            }
            aligned_free(bytes, n_bytes);
            context_free(&c);
        }
    }
}

static void reference_attention(const context *c, size_t q, float *out) {
    const size_t k = c->config.key_length, v = c->config.value_length;
    const uint32_t first = first_seen(c, q), end = c->n_seen[q];
    double *scores = malloc(end * sizeof *scores), max = -INFINITY, sum = 0, cap = (double)c->softcap;
    assert_non_null(scores);
    for (uint32_t p = first; p < end; p++) {
        scores[p] = 0;
        for (size_t i = 0; i < k; i++) scores[p] += c->keys[p * k + i] * (double)c->queries[q * k + i];
        if (cap > 0) scores[p] = cap * tanh(scores[p] / cap);
        scores[p] -= (double)slope_of(c, q) * fabs((double)p - own_position(c, q));
        max = fmax(max, scores[p]);
    }
    for (uint32_t p = first; p < end; p++) sum += scores[p] = exp(scores[p] - max);
    for (size_t i = 0; i < v; i++) {
        double value = 0;
        for (uint32_t p = first; p < end; p++) value += scores[p] * c->values[p * v + i];
        out[i] = (float)(value / sum);
    }
    free(scores);
}

/* Checks that the results are right, that a query alone gets the same bits, and that only what the query sees is read:
 * when the query is alone, NaNs follow the positions that it sees. */
static void check_attention(context *c) {
    const size_t length = c->config.value_length, n = c->n_queries * length;
    float *out = guarded_new(n), *want = guarded_new(n), *alone = guarded_new(length);
    attend_to_all(c, 0, c->n_queries, out);
    for (size_t q = 0; q < c->n_queries; q++) reference_attention(c, q, want + q * length);
    double error = nmse(out, want, n);
    if (!(error <= ATTENTION_LIMIT))
        fail_msg("type %d, heads of %u and %zu, %u positions, %zu queries: NMSE %.3g", (int)c->type,
                 c->config.key_length, length, c->n_positions, c->n_queries, error);
    for (size_t q = 0; q < c->n_queries; q++) {
        if (c->n_seen[q] < c->n_positions) fill_pages(c, c->n_seen[q]);
        attend_to_all(c, q, 1, alone);
        if (memcmp(alone, out + q * length, length * sizeof *alone) != 0)
            fail_msg("type %d, heads of %u and %zu: query %zu of %zu has other bits alone", (int)c->type,
                     c->config.key_length, length, q, c->n_queries);
        if (c->n_seen[q] < c->n_positions) fill_pages(c, c->n_positions);
    }
    guarded_free(alone, length);
    guarded_free(want, n);
    guarded_free(out, n);
}

void attention_is_right_and_blind_to_what_is_not_visible(void **state) {
    (void)state;
    static const uint32_t heads[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 64, 80, 96, 100, 128, 192, 255, 256};
    static const uint32_t contexts[] = {1, 2, 15, 16, 17, 100, 255, 256, 257, 300, 512, 513, 700};
    enum { N_HEADS = sizeof heads / sizeof *heads, N_CONTEXTS = sizeof contexts / sizeof *contexts };
    uint64_t random = 14;
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        for (size_t i = 0; i < 40; i++) { /* every head size, context and number of queries occurs */
            const uint32_t values = heads[(5 * i + 3) % N_HEADS];
            context c = context_new((cllm_kv_type)type, heads[i % N_HEADS], values, contexts[i % N_CONTEXTS], 0,
                                    1 + i % 20, &random);
            check_attention(&c);
            context_free(&c);
        }
    }
}

/* Windows begin and end anywhere in a chunk, and pages hold first one range of positions, then another. Every other
 * case has capped scores. */
void windows_see_their_positions_alone(void **state) {
    (void)state;
    static const uint32_t heads[] = {7, 16, 32, 48, 80, 128};
    static const uint32_t contexts[] = {30, 100, 255, 256, 257, 300, 512, 513, 700, 1100};
    static const uint32_t windows[] = {1, 2, 16, 20, 31, 64, 200, 256, 257, 300};
    enum { N_HEADS = sizeof heads / sizeof *heads, N_CONTEXTS = sizeof contexts / sizeof *contexts };
    enum { N_WINDOWS = sizeof windows / sizeof *windows };
    uint64_t random = 17;
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        for (size_t i = 0; i < 60; i++) {
            const uint32_t head = heads[i % N_HEADS];
            context c = context_new((cllm_kv_type)type, head, head, contexts[i % N_CONTEXTS],
                                    windows[(7 * i + i / N_CONTEXTS) % N_WINDOWS], 1 + i % 20, &random);
            c.softcap = i % 2 ? 0.5f : 0;
            check_attention(&c);
            context_free(&c);
        }
    }
}

void scores_fall_with_distance(void **state) {
    (void)state;
    static const uint32_t heads[] = {16, 48, 80};
    static const uint32_t contexts[] = {1, 17, 100, 256, 300, 700};
    static const float slopes[] = {0.5f, 0.03f, 0.001f};
    enum { N_HEADS = sizeof heads / sizeof *heads, N_CONTEXTS = sizeof contexts / sizeof *contexts };
    uint64_t random = 18;
    for (int type = CLLM_KV_F16; type <= CLLM_KV_Q8_0; type++) {
        for (size_t i = 0; i < 18; i++) {
            const uint32_t head = heads[i % N_HEADS];
            context c = context_new((cllm_kv_type)type, head, head, contexts[i % N_CONTEXTS], i % 2 ? 200 : 0,
                                    1 + i % 20, &random);
            c.slope = slopes[i / N_CONTEXTS];
            check_attention(&c);
            context_free(&c);
        }
    }
}

/* Scores far apart and far from zero: without subtracting the maximum, exp would overflow. */
void attention_bears_large_scores(void **state) {
    (void)state;
    uint64_t random = 15;
    context c = context_new(CLLM_KV_F32, 64, 64, 600, 0, 9, &random);
    for (size_t i = 0; i < c.n_queries * 64; i++) c.queries[i] *= 20;
    for (uint32_t p = 0; p < c.n_positions; p++) {
        const kv_chunk chunk = kv_store_chunk(&c.store, &c.table, 0, 0, p / KV_CHUNK);
        const float element = 50 + 30 * random_float(&random);
        kv_chunk_put_key(&chunk, p % KV_CHUNK, 0, 1, &element, 1);
        c.keys[p * 64] = (double)element;
    }
    float out[9 * 64], want[9 * 64];
    attend_to_all(&c, 0, 9, out);
    for (size_t q = 0; q < 9; q++) reference_attention(&c, q, want + q * 64);
    assert_true(nmse(out, want, 9 * 64) <= 1e-8); /* a score of 1000 is known to 10^-4 */
    context_free(&c);
}

/* Floats below 2^-126 are subnormal, and each of them can take many CPUs a hundred times as long. So an exponential
 * that would be subnormal must be 0, and every other one must be exact relative to its size. Each value vector has a
 * single 1, so that the results show the weights. */
void weights_are_normal_or_nothing(void **state) {
    (void)state;
    const kv_size size = {.n_ctx = KV_CHUNK, .n_batch = 1, .n_sequences = 1, .n_positions = KV_CHUNK};
    layer_config layer = {.n_heads = 1, .n_kv_heads = 1, .key_length = 1, .value_length = KV_CHUNK};
    const model_config config = {.n_layers = 1, .layers = &layer};
    arena a = {0};
    kv_pages pages;
    kv_table table;
    kv_store store;
    cllm_error err;
    assert_ok(kv_pages_create(&config, &size, &a, &pages, &err), &err);
    assert_ok(kv_table_create(&pages, &a, &table, &err), &err);
    assert_ok(kv_store_create(&config, CLLM_KV_F32, 1, &size, &a, &store, &err), &err);
    kv_table_grow(&table, &pages, 0, KV_CHUNK);
    const kv_chunk chunk = kv_store_chunk(&store, &table, 0, 0, 0);
    const visible_range all = {.end = KV_CHUNK};
    const float query = 1, edge = -126 * 0.693147181f;
    float scores[KV_CHUNK] = {0}, *weights = guarded_new(KV_CHUNK);
    for (int round = 0; round < 2; round++) {
        for (uint32_t p = 0; p < KV_CHUNK; p++) { /* -115 .. 0, then float after float around the edge */
            if (p > 0) scores[p] = round ? edge + ((float)p - 128) * 0x1p-17f : -0.45f * (float)p;
            kv_chunk_put_key(&chunk, p, 0, 1, &scores[p], 1);
            for (uint32_t first = 0; first < KV_CHUNK; first += KV_SCALE_BLOCK) {
                float elements[KV_SCALE_BLOCK] = {0};
                if (p / KV_SCALE_BLOCK * KV_SCALE_BLOCK == first) elements[p % KV_SCALE_BLOCK] = 1;
                kv_chunk_put_value(&chunk, p, first, KV_SCALE_BLOCK, elements, 1);
            }
        }
        attention_part part;
        kernels->attend(&chunk, &query, &all, 1, 0, &part, weights);
        for (size_t p = 0; p < KV_CHUNK; p++) {
            const double want = exp((double)scores[p]);
            if (want < 0x1p-126 ? weights[p] != 0 : !(fabs((double)weights[p] - want) <= 4e-7 * want))
                fail_msg("exp(%.9g) is %.9g, which should be %.9g", (double)scores[p], (double)weights[p],
                         want < 0x1p-126 ? 0.0 : want);
        }
    }
    guarded_free(weights, KV_CHUNK);
    arena_free(&a);

    enum { N = 16 };
    for (float apart = 80; apart < 110;
         apart += 0.125f) { /* the factor by which one stretch is multiplied when two are joined */
        attention_part first = {-apart, 1}, second = {0, 1};
        float values[N], others[N] = {0};
        for (size_t i = 0; i < N; i++) values[i] = 1;
        kernels->merge(&first, values, &second, others, N);
        for (size_t i = 0; i < N; i++)
            if (values[i] != 0 && !(values[i] >= FLT_MIN)) fail_msg("%g apart: %g", (double)apart, (double)values[i]);
    }
}
