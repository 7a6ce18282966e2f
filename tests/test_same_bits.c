/* Tests that a token's logits are the same bits however the work is split: by any batches and threads, with keys and
 * values of each type, on each instruction set of this machine, and with repacked weights. They must also be near
 * the exact ones. Each model is loaded once.
 *
 * A model has 168 splits for each instruction set. A normal run takes a few random ones, and for the models of vectors/
 * also those that cross the most borders. Under a sanitizer it takes one random split, and for one model every path.
 * MINICLLM_TEST_LONG=1 takes all. Each run prints its seed N; MINICLLM_TEST_SEED=N repeats it. An argument names the
 * tests to run: test_same_bits 'vectors/Q4_K*'. The program's flags are tested in same_bits.sh. */
#include "support/check.h"
#include "support/solo.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_TOKENS = 300,       /* more than one chunk of keys and values */
    N_TOKENS_DEEP = 1100, /* more than four chunks */
    MOST_SUBJECTS = 128,
    MOST_EXACT_TOKENS = 64,
    N_STORY = 160,
    N_DRAWN = 4, /* cuts that are drawn for each model */
};

static const char *const all_isas[] = {"scalar", "avx2", "avx512", "neon", "i8mm"}; /* the best last */
static const char *isas[sizeof all_isas / sizeof *all_isas];                        /* of this machine */
static size_t n_isas;

static const cllm_kv_type kv_types[] = {CLLM_KV_F16, CLLM_KV_F32, CLLM_KV_Q8_0};
static const char *const kv_names[] = {"f16", "f32", "q8_0"};
static const uint32_t batches[] = {1, 2, 3, 7, 16, 64, 512}, threads[] = {1, 2, 3, 5};
enum { N_KV = 3, N_BATCHES = 7, N_THREADS = 4, N_SHARES = 2 * N_BATCHES * N_THREADS /* repacked too */ };

/* How a model's tokens are evaluated. */
typedef struct cut {
    const char *isa; /* NULL: the best */
    cllm_kv_type kv_type;
    bool repack;
    uint32_t n_batch, n_threads; /* 0: the default */
} cut;

typedef struct subject {
    char name[64]; /* such as vectors/Q4_K */
    uint32_t n_tokens;
    bool borders; /* run the cuts that cross the most borders */
    uint64_t seed;
} subject;

static subject subjects[MOST_SUBJECTS];
static size_t n_subjects;
static bool all_cuts;

/* ----------------------------------------------------------------------------------------------- evaluating */

static const char *file_of(const subject *of, const char *suffix) {
    char name[128];
    snprintf(name, sizeof name, "%s%s", of->name, suffix);
    return shared_file(name);
}

static cllm_model *load(const char *path, bool repack) {
    const cllm_load_options options = {.repack = repack};
    cllm_model *model = NULL;
    cllm_error err;
    assert_ok(cllm_model_load(path, &options, &model, &err), &err);
    return model;
}

static solo *open_session(const cllm_model *model, cut c, uint32_t n_ctx) {
    const cllm_engine_options options = {
        .n_ctx = n_ctx, .n_batch = c.n_batch, .n_threads = c.n_threads, .kv_type = c.kv_type, .cpu_isa = c.isa};
    solo *session = NULL;
    cllm_error err;
    assert_ok(solo_create(model, &options, &session, &err), &err);
    return session;
}

/* Returns [n][n_vocab]; release with free(). */
static float *logits_of(const cllm_model *model, cut c, const int32_t *tokens, size_t n) {
    float *rows = calloc(n, cllm_model_get_info(model)->n_vocab * sizeof *rows);
    solo *session = open_session(model, c, (uint32_t)n);
    cllm_error err;
    assert_non_null(rows);
    assert_ok(solo_each(session, tokens, n, rows, &err), &err);
    solo_destroy(session);
    return rows;
}

/* Returns how many numbers with commas between are in the file. */
static size_t read_tokens(const char *path, int32_t *tokens, size_t most) {
    size_t n_bytes, n = 0;
    char *text = (char *)read_file(path, &n_bytes), *at = text, *end;
    for (; n < most; at = end + (*end == ',')) {
        tokens[n] = (int32_t)strtol(at, &end, 10);
        if (end == at) break;
        n++;
    }
    free(text);
    return n;
}

/* --------------------------------------------------------------------------------------------- the same bits */

/* Cuts are numbered: first by instruction set and type of keys and values, then by repacking, batch and threads. */
static cut cut_of(size_t number) {
    const size_t path = number / N_SHARES;
    return (cut){.isa = isas[path / N_KV],
                 .kv_type = kv_types[path % N_KV],
                 .repack = number / (N_BATCHES * N_THREADS) % 2,
                 .n_batch = batches[number / N_THREADS % N_BATCHES],
                 .n_threads = threads[number % N_THREADS]};
}

/* The best path uses all batches and threads. The other paths use the batches that cross the most borders, with two
 * threads and with five. */
static bool crosses_borders(cut c) {
    const bool best = c.isa == isas[n_isas - 1] && c.kv_type == CLLM_KV_F16;
    if (c.repack) return best && c.n_batch == 512 && c.n_threads == 2;
    if (test_sanitized()) return c.n_batch == 7 && c.n_threads == 3;
    return best || ((c.n_batch == 1 || c.n_batch == 7 || c.n_batch == 64) && (c.n_threads == 2 || c.n_threads == 5));
}

/* chosen: out, [n_cuts] */
static void choose_cuts(const subject *of, size_t n_cuts, bool *chosen) {
    uint64_t random = of->seed;
    const bool borders = test_sanitized() ? strcmp(of->name, "vectors/Q4_0") == 0 : of->borders;
    for (size_t i = 0; i < n_cuts; i++) chosen[i] = all_cuts || (borders && crosses_borders(cut_of(i)));
    for (size_t i = 0; i < (test_sanitized() ? 1 : N_DRAWN); i++) chosen[random_u64(&random) % n_cuts] = true;
}

/* Runs all chosen cuts of one instruction set and one type of keys and values; their numbers begin at `first`. */
static size_t compare_cuts(const subject *of, cllm_model *const models[2], const int32_t *tokens, size_t first,
                           const bool *chosen) {
    const size_t n = of->n_tokens, n_bytes = n * cllm_model_get_info(models[0])->n_vocab * sizeof(float);
    cut whole = cut_of(first);
    whole.n_batch = 512;
    whole.n_threads = 1;
    float *want = NULL;
    size_t n_run = 0;
    for (size_t i = first; i < first + N_SHARES; i++) {
        if (!chosen[i]) continue;
        const cut c = cut_of(i);
        if (!want) want = logits_of(models[0], whole, tokens, n);
        float *got = logits_of(models[c.repack], c, tokens, n);
        if (memcmp(got, want, n_bytes) != 0)
            fail_msg("%s%s, %s, keys and values of %s: batches of %u and %u threads give other bits", of->name,
                     c.repack ? " repacked" : "", c.isa, kv_names[c.kv_type], c.n_batch, c.n_threads);
        free(got);
        n_run++;
    }
    free(want);
    return n_run;
}

static void same_bits(void **state) {
    const subject *of = *state;
    const char *path = file_of(of, ".gguf");
    cllm_model *models[] = {load(path, false), load(path, true)};
    const size_t n_vocab = cllm_model_get_info(models[0])->n_vocab, n_cuts = n_isas * N_KV * N_SHARES;
    bool chosen[sizeof all_isas / sizeof *all_isas * N_KV * N_SHARES];
    int32_t tokens[N_TOKENS_DEEP];
    size_t n_run = 0;
    for (size_t i = 0; i < of->n_tokens; i++) tokens[i] = (int32_t)((i + 1) * 37 % (n_vocab < 509 ? n_vocab : 509));
    choose_cuts(of, n_cuts, chosen);
    for (size_t first = 0; first < n_cuts; first += N_SHARES) n_run += compare_cuts(of, models, tokens, first, chosen);
    print_message("# %s: %zu of %zu cuts\n", of->name, n_run, n_cuts);
    for (size_t i = 0; i < 2; i++) cllm_model_destroy(models[i]);
}

/* ---------------------------------------------------------------------------------------------- near to exact */

/* The error of llama.cpp itself against exact arithmetic, or 0. */
static double peer_error(const char *type) {
    size_t n_bytes;
    double error = 0;
    char *text = (char *)read_file(shared_file("vectors/llama.cpp-nmse.tsv"), &n_bytes), name[64];
    for (char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        double read;
        if (sscanf(at, "%63s %lf", name, &read) == 2 && strcmp(name, type) == 0) error = read;
    }
    free(text);
    return error;
}

/* The error may be at most 1.1 times llama.cpp's own error with the same type of keys and values, or 1e-6. */
static void close_enough(void **state) {
    const subject *of = *state;
    int32_t tokens[MOST_EXACT_TOKENS];
    size_t n_bytes;
    const size_t n_tokens = read_tokens(shared_file("vectors/tokens.txt"), tokens, MOST_EXACT_TOKENS);
    const double peer = 1.1 * peer_error(strchr(of->name, '/') + 1), limit = peer > 1e-6 ? peer : 1e-6;
    float *want = (float *)(void *)read_file(file_of(of, ".logits.f32"), &n_bytes);
    cllm_model *model = load(file_of(of, ".gguf"), false);
    const size_t n = n_tokens * cllm_model_get_info(model)->n_vocab;
    assert_int_equal(n_bytes, n * sizeof *want);
    for (size_t i = 0; i < n_isas; i++) {
        float *got = logits_of(model, (cut){.isa = isas[i], .kv_type = CLLM_KV_F16}, tokens, n_tokens);
        const double error = nmse(got, want, n);
        print_message("# %s, %s: NMSE %.3g\n", of->name, isas[i], error);
        if (!(error <= limit)) fail_msg("%s, %s: NMSE %.3g, more than %.3g", of->name, isas[i], error, limit);
        free(got);
    }
    free(want);
    cllm_model_destroy(model);
}

/* If the weights are floats, all paths do the same arithmetic; only the order of their sums differs. */
static void near_scalar(void **state) {
    const subject *of = *state;
    int32_t tokens[MOST_EXACT_TOKENS];
    const size_t n_tokens = read_tokens(shared_file("vectors/tokens.txt"), tokens, MOST_EXACT_TOKENS);
    cllm_model *model = load(file_of(of, ".gguf"), false);
    const size_t n = n_tokens * cllm_model_get_info(model)->n_vocab;
    float *want = logits_of(model, (cut){.isa = "scalar"}, tokens, n_tokens);
    for (size_t i = 0; i < n_isas; i++) {
        float *got = logits_of(model, (cut){.isa = isas[i]}, tokens, n_tokens);
        const double error = nmse(got, want, n);
        print_message("# %s, %s: NMSE %.3g\n", of->name, isas[i], error);
        if (!(error < 1e-9)) fail_msg("%s, %s: NMSE %.3g", of->name, isas[i], error);
        free(got);
    }
    free(want);
    cllm_model_destroy(model);
}

/* The ids of exact arithmetic, by every path. */
static void same_story(void **state) {
    (void)state;
    int32_t want[N_STORY + 1];
    const char *path = shared_file("models/stories260K.greedy.txt");
    assert_int_equal(read_tokens(path, want, N_STORY + 1), N_STORY + 1);
    cllm_model *model = load(shared_file("models/stories260K.gguf"), false);
    for (size_t i = 0; i < n_isas * 2; i++) {
        const cut c = {.isa = isas[i / 2], .kv_type = kv_types[i % 2], .n_threads = 1}; /* q8_0 is less exact */
        solo *session = open_session(model, c, N_STORY);
        for (size_t at = 0; at < N_STORY; at++) {
            cllm_error err;
            int32_t next;
            assert_ok(solo_next(session, &want[at], 1, &next, &err), &err);
            if (next != want[at + 1])
                fail_msg("%s, keys and values of %s: id %d instead of %d after %zu", c.isa, kv_names[c.kv_type], next,
                         want[at + 1], at + 1);
        }
        solo_destroy(session);
    }
    cllm_model_destroy(model);
}

/* --------------------------------------------------------------------------------------------------- the list */

static void add_subject(const char *name, size_t length, bool borders, uint32_t n_tokens) {
    if (n_subjects == MOST_SUBJECTS) fail_msg("there are more than %d models", MOST_SUBJECTS);
    subject *s = &subjects[n_subjects];
    snprintf(s->name, sizeof s->name, "%.*s", (int)length, name);
    s->borders = borders;
    s->n_tokens = n_tokens;
    s->seed = test_seed() + n_subjects++;
}

/* The models of a folder of the shared one. */
static void add_subjects(const char *pattern, bool borders) {
    char whole[1100];
    const char *first = shared_file("vectors/tokens.txt");
    const size_t root = (size_t)(strstr(first, "vectors/tokens.txt") - first);
    glob_t found;
    snprintf(whole, sizeof whole, "%.*s%s", (int)root, first, pattern);
    if (glob(whole, 0, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        add_subject(found.gl_pathv[i] + root, strlen(found.gl_pathv[i] + root) - strlen(".gguf"), borders, N_TOKENS);
    globfree(&found);
}

/* Instruction sets that this machine has. */
static void find_isas(void) {
    cllm_model *model = load("models/demo.gguf", false);
    for (size_t i = 0; i < sizeof all_isas / sizeof *all_isas; i++) {
        const cllm_engine_options options = {.n_ctx = 1, .cpu_isa = all_isas[i]};
        solo *session = NULL;
        cllm_error err;
        if (solo_create(model, &options, &session, &err) == CLLM_OK) isas[n_isas++] = all_isas[i];
        solo_destroy(session);
    }
    cllm_model_destroy(model);
}

static struct CMUnitTest tests[2 * MOST_SUBJECTS];
static char names[2 * MOST_SUBJECTS][96];
static size_t n_tests;

static void add_test(const subject *of, const char *what, void (*test)(void **)) {
    snprintf(names[n_tests], sizeof *names, "%.50s: %.40s", of->name, what);
    tests[n_tests] =
        (struct CMUnitTest){.name = names[n_tests], .test_func = test, .initial_state = (void *)(uintptr_t)of};
    n_tests++;
}

int main(int argc, char **argv) {
    if (!shared_file("vectors/tokens.txt")) {
        puts("1..0 # SKIP vectors/ is not there: set MINICLLM_SHARED");
        return 0;
    }
    all_cuts = test_long();
    find_isas();
    add_subjects("vectors/*.gguf", true);
    const size_t n_exact = n_subjects;
    add_subjects("models/*.gguf", false);
    add_subjects("families/*.gguf", false);
    add_subject("vectors/Q8_0", strlen("vectors/Q8_0"), false, N_TOKENS_DEEP);

    for (size_t i = 0; i < n_subjects; i++)
        add_test(&subjects[i],
                 subjects[i].n_tokens == N_TOKENS ? "the same bits by every cut" : "and deep in a context", same_bits);
    for (size_t i = 0; i < n_exact; i++) {
        add_test(&subjects[i], "as close to exact as llama.cpp", close_enough);
        for (size_t j = 0; j < 3; j++)
            if (strcmp(subjects[i].name, ((const char *const[]){"vectors/F32", "vectors/F16", "vectors/BF16"})[j]) == 0)
                add_test(&subjects[i], "every path near the scalar one", near_scalar);
    }
    tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(same_story);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("same_bits", tests, n_tests, NULL, NULL);
}
