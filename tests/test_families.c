/* Model families against the reference: small random models of each family and form, with llama.cpp's logits of them.
 * The folder is families/ of the shared one, or $MINICLLM_FAMILIES with the same files (NAME.gguf, NAME.logits.f32,
 * tokens.txt, llama.cpp-nmse.tsv). For each: the logits, and that they are the same bits however the tokens are cut. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_TOKENS = 128,
    MOST_FAMILIES = 64,
    N_CTX = 4096 /* of the reference */
};

static struct {
    char folder[1024];
    int32_t tokens[MOST_TOKENS];
    size_t n_tokens;
} reference;

typedef struct family {
    char name[64];
    double peer_nmse; /* of the reference itself, against exact arithmetic */
} family;

static family families[MOST_FAMILIES];

static const char *path_of(const char *name, const char *suffix) {
    static char path[1200];
    snprintf(path, sizeof path, "%s/%s%s", reference.folder, name, suffix);
    return path;
}

typedef struct logits_rows {
    float *rows; /* [n_tokens][n_vocab] */
    size_t n_vocab;
} logits_rows;

static bool take_row(void *user, size_t index, const float *logits) {
    const logits_rows *sink = user;
    memcpy(sink->rows + index * sink->n_vocab, logits, sink->n_vocab * sizeof *logits);
    return true;
}

/* How the tokens are evaluated. */
typedef struct run {
    cllm_kv_type kv_type;
    uint32_t n_batch, n_threads;
    const char *isa;
} run;

/* Returns [n_tokens][n_vocab]; release with free(). */
static float *logits_of(const cllm_model *model, run how) {
    const cllm_session_options options = {
        .n_ctx = N_CTX, .n_batch = how.n_batch, .n_threads = how.n_threads, .kv_type = how.kv_type, .cpu_isa = how.isa};
    const size_t n_vocab = cllm_model_get_info(model)->n_vocab;
    logits_rows sink = {calloc(reference.n_tokens * n_vocab, sizeof(float)), n_vocab};
    cllm_session *session = NULL;
    cllm_error err;
    assert_non_null(sink.rows);
    assert_ok(cllm_session_create(model, &options, &session, &err), &err);
    assert_ok(cllm_session_eval_each(session, reference.tokens, reference.n_tokens, take_row, &sink, &err), &err);
    cllm_session_destroy(session);
    return sink.rows;
}

static cllm_model *load(const family *of, bool repack) {
    const cllm_load_options options = {.repack = repack};
    cllm_model *model = NULL;
    cllm_error err;
    assert_ok(cllm_model_load(path_of(of->name, ".gguf"), &options, &model, &err), &err);
    return model;
}

/* The reference rounds the activations of MXFP4 matrices to 8 bits, and so do we: then each is that far from exact. */
static void agrees(void **state) {
    const family *of = *state;
    cllm_model *model = load(of, false);
    size_t n_bytes;
    unsigned char *want = read_file(path_of(of->name, ".logits.f32"), &n_bytes);
    const size_t n = reference.n_tokens * cllm_model_get_info(model)->n_vocab;
    assert_int_equal(n_bytes, n * sizeof(float));
    const double limit = of->peer_nmse > 1e-5 ? 4 * of->peer_nmse : 1e-5;
    static const char *const isas[] = {"scalar", NULL};
    for (size_t i = 0; i < 2; i++) {
        float *got = logits_of(model, (run){CLLM_KV_F32, 0, 2, isas[i]});
        const double error = nmse(got, (const float *)(const void *)want, n);
        print_message("# %s, %s: NMSE %.2e\n", of->name, isas[i] ? isas[i] : "the best", error);
        if (!(error <= limit)) fail_msg("%s: NMSE %.3e, more than %.1e", of->name, error, limit);
        free(got);
    }
    free(want);
    cllm_model_destroy(model);
}

static void same_bits(void **state) {
    const family *of = *state;
    static const cllm_kv_type types[] = {CLLM_KV_F16, CLLM_KV_F32, CLLM_KV_Q8_0};
    for (size_t t = 0; t < 3; t++) {
        const run runs[] = {
            {types[t], 0, 2, NULL}, {types[t], 1, 1, NULL}, {types[t], 7, 2, NULL}, {types[t], 33, 1, NULL}};
        cllm_model *model = load(of, t == 1);
        const size_t n = reference.n_tokens * cllm_model_get_info(model)->n_vocab;
        float *want = logits_of(model, runs[0]);
        for (size_t i = 1; i < sizeof runs / sizeof *runs; i++) {
            float *got = logits_of(model, runs[i]);
            if (memcmp(got, want, n * sizeof *got) != 0)
                fail_msg("%s: batches of %u give other bits (keys and values of type %d)", of->name, runs[i].n_batch,
                         (int)types[t]);
            free(got);
        }
        free(want);
        cllm_model_destroy(model);
    }
}

static void no_reference(void **state) {
    (void)state;
    print_message("# families/ is not there: set MINICLLM_SHARED or MINICLLM_FAMILIES\n");
    skip();
}

/* Returns how many families there are. */
static size_t read_reference(void) {
    const char *own = getenv("MINICLLM_FAMILIES"), *shared = shared_file("families/tokens.txt");
    if (own && *own)
        snprintf(reference.folder, sizeof reference.folder, "%s", own);
    else if (shared)
        snprintf(reference.folder, sizeof reference.folder, "%.*s", (int)(strrchr(shared, '/') - shared), shared);
    else
        return 0;
    FILE *file = fopen(path_of("tokens", ".txt"), "r");
    if (!file) return 0;
    for (int id; reference.n_tokens < MOST_TOKENS && fscanf(file, "%d%*[,\n]", &id) >= 1;)
        reference.tokens[reference.n_tokens++] = id;
    fclose(file);
    file = fopen(path_of("llama.cpp-nmse", ".tsv"), "r");
    if (!file) return 0;
    size_t n = 0;
    while (n < MOST_FAMILIES && fscanf(file, "%63s %lf %*[^\n]", families[n].name, &families[n].peer_nmse) == 2) n++;
    fclose(file);
    return n;
}

int main(void) {
    struct CMUnitTest tests[2 * MOST_FAMILIES];
    static char names[2 * MOST_FAMILIES][96];
    size_t n_tests = 0;
    const size_t n = read_reference();
    for (size_t i = 0; i < n; i++)
        for (int bits = 0; bits < 2; bits++) {
            char *name = names[n_tests];
            snprintf(name, sizeof names[0], "%.63s %s", families[i].name, bits ? "has the same bits" : "agrees");
            tests[n_tests++] = (struct CMUnitTest){
                .name = name, .test_func = bits ? same_bits : agrees, .initial_state = &families[i]};
        }
    if (n_tests == 0) tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test(no_reference);
    return _cmocka_run_group_tests("families", tests, n_tests, NULL, NULL);
}
