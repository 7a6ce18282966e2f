/* Tests published models against exact arithmetic: SmolLM2-135M-Instruct (Q4_1) and gemma-3-270m (Q4_K_M), on two
 * texts each. For all-MiniLM-L6-v2 (minilm.gguf, F32) it tests the ids of six lines, and their embeddings.
 *
 * The models, smollm2.gguf and gemma3.gguf, are in the folder $MINICLLM_PUBLISHED, or build/published. The exact
 * values are in published/ of the shared folder: MODEL.text-N.tsv has a line for each token with its id, its log
 * probability after the tokens before it, the likeliest next id, and the entropy of the next token, computed in
 * float64. If a model or its values are missing, the test is skipped.
 *
 * The scalar path must give these numbers. So it can be the reference for the whole distribution of the fast path:
 * KL is the divergence of the fast path's distribution from the scalar path's, the mean over positions, in nats. The
 * scalar path is slow, so it reads only the beginning of each text, unless MINICLLM_TEST_LONG=1. */
#include "support/check.h"
#include "support/solo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_TOKENS = 2048,
    CHUNK = 64,      /* tokens that the paths evaluate in turn */
    BEGINNING = 192, /* every path reads these tokens of a text; the best path reads the rest, too */
    /* tokens of a text under a sanitizer, which is slow; too few to check the mean errors of the fast paths */
    SANITIZED = 24
};

/* The KL of llama.cpp itself with default settings: of the whole text (published/README.md), and of its beginning
 * (measured in the same way). Our KL must be less. Its top-1 agreement counts a few near ties, and chance decides some
 * of them. So ours may be lower by half a percent. */
typedef struct published_text {
    const char *model, *text;
    double peer_kl, peer_top1;
    double peer_kl_of_beginning, peer_top1_of_beginning;
} published_text;

static const published_text texts[] = {
    {"smollm2", "text-1", 3.79e-3, 0.9605, 5.646e-3, 0.9479},
    {"smollm2", "text-2", 3.26e-3, 0.9767, 6.845e-3, 0.9531},
    {"gemma3", "text-1", 6.29e-3, 0.9516, 1.036e-2, 0.9427},
    {"gemma3", "text-2", 7.42e-3, 0.9759, 1.276e-2, 0.9792},
};
enum { N_TEXTS = sizeof texts / sizeof *texts };

typedef struct exact_text {
    size_t n_tokens;
    int32_t tokens[MOST_TOKENS];
    double log_probability[MOST_TOKENS]; /* of tokens[i], given the tokens before it; the first token has none */
    int32_t likeliest[MOST_TOKENS];      /* after tokens[i] */
    double entropy[MOST_TOKENS];         /* of the token after tokens[i] */
} exact_text;

static exact_text exact;

static const char *model_path(const char *model) {
    static char path[1200];
    const char *folder = getenv("MINICLLM_PUBLISHED");
    snprintf(path, sizeof path, "%s/%s.gguf", folder && *folder ? folder : "build/published", model);
    return path;
}

static void read_exact(const published_text *of) {
    char name[64];
    snprintf(name, sizeof name, "published/%s.%s.tsv", of->model, of->text);
    const char *path = shared_file(name);
    FILE *file = path ? fopen(path, "r") : NULL;
    assert_non_null(file);
    char line[128];
    size_t n = 0;
    while (fgets(line, sizeof line, file)) {
        assert_true(n < MOST_TOKENS);
        char *field = line;
        exact.tokens[n] = (int32_t)strtol(field, &field, 10);
        assert_int_equal(*field++, '\t');
        exact.log_probability[n] = *field == '\t' ? NAN : strtod(field, &field);
        exact.likeliest[n] = (int32_t)strtol(field, &field, 10);
        exact.entropy[n] = strtod(field, &field);
        n++;
    }
    fclose(file);
    exact.n_tokens = n;
}

/* Skips the test where the model or the reference is not there. */
static cllm_model *load(const published_text *of) {
    char name[64];
    snprintf(name, sizeof name, "published/%s.%s.tsv", of->model, of->text);
    const bool has_model = access(model_path(of->model), R_OK) == 0;
    if (!has_model) print_message("# %s is not there: MINICLLM_PUBLISHED names its folder\n", model_path(of->model));
    if (!shared_file(name) || !has_model) skip();
    read_exact(of);
    cllm_model *model = NULL;
    cllm_error err;
    assert_ok(cllm_model_load(model_path(of->model), NULL, &model, &err), &err);
    return model;
}

static void tokens_are_equal(void **state) {
    const published_text *of = *state;
    cllm_model *model = load(of);
    char name[64];
    snprintf(name, sizeof name, "published/%s.txt", of->text);
    size_t length, count;
    unsigned char *text = read_file(shared_file(name), &length);
    int32_t *tokens;
    cllm_error err;
    assert_ok(cllm_tokenizer_encode(cllm_model_tokenizer(model), (const char *)text, length, CLLM_ENCODE_ADD_SPECIAL,
                                    &tokens, &count, &err),
              &err);
    assert_int_equal(count, exact.n_tokens);
    assert_memory_equal(tokens, exact.tokens, count * sizeof *tokens);
    cllm_free(tokens);
    free(text);
    cllm_model_destroy(model);
}

/* ---------------------------------------------------------------------------------------------- distributions */

enum { SCALAR, BEST }; /* the first two of the paths */

/* What one path has computed of a text so far. */
typedef struct path {
    solo *session;
    float *reference; /* [CHUNK][n_vocab] log probabilities of the scalar path; it writes them, the others compare */
    bool is_reference, compares;
    size_t n_vocab, first; /* first: position of the chunk's first token */

    size_t n_rows, n_likeliest; /* rows so far; rows with the same likeliest token as exact arithmetic */
    size_t n_scored;            /* rows with a token after them; the sums below are over these */
    double log_probability, exact_log_probability, square_error, worst_error, worst_entropy;
    double kl, worst_kl;
    size_t n_compared;
} path;

static double log_of_sum(const float *logits, size_t n, size_t *likeliest) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - (double)logits[best]);
    *likeliest = best;
    return (double)logits[best] + log(sum);
}

static void take_row(path *p, size_t index, const float *logits) {
    const size_t i = p->first + index;
    size_t likeliest;
    const double log_sum = log_of_sum(logits, p->n_vocab, &likeliest);
    p->n_rows++;
    p->n_likeliest += (int32_t)likeliest == exact.likeliest[i];
    if (i + 1 < exact.n_tokens) {
        const double got = (double)logits[exact.tokens[i + 1]] - log_sum, want = exact.log_probability[i + 1];
        p->n_scored++;
        p->log_probability += got;
        p->exact_log_probability += want;
        p->square_error += (got - want) * (got - want);
        p->worst_error = fmax(p->worst_error, fabs(got - want));
    }
    float *reference = p->reference + index * p->n_vocab;
    if (p->is_reference) {
        double entropy = 0;
        for (size_t j = 0; j < p->n_vocab; j++) {
            const double log_p = (double)logits[j] - log_sum;
            reference[j] = (float)log_p;
            entropy -= exp(log_p) * log_p;
        }
        p->worst_entropy = fmax(p->worst_entropy, fabs(entropy - exact.entropy[i]));
    } else if (p->compares) {
        double kl = 0;
        for (size_t j = 0; j < p->n_vocab; j++) {
            const double log_p = (double)reference[j];
            kl += exp(log_p) * (log_p - ((double)logits[j] - log_sum));
        }
        p->kl += kl;
        p->worst_kl = fmax(p->worst_kl, kl);
        p->n_compared++;
    }
}

/* Returns false if this CPU lacks the path's instructions. isa NULL: the best path. */
static bool path_begin(path *p, const cllm_model *model, const char *isa, float *reference) {
    const bool scalar = isa && strcmp(isa, "scalar") == 0;
    *p = (path){.reference = reference, .is_reference = scalar, .n_vocab = cllm_model_get_info(model)->n_vocab};
    const cllm_engine_options options = {
        .n_ctx = MOST_TOKENS, .n_threads = 2, .cpu_isa = isa, .kv_type = scalar ? CLLM_KV_F32 : CLLM_KV_F16};
    cllm_error err;
    const cllm_status status = solo_create(model, &options, &p->session, &err);
    if (status == CLLM_ERR_ARGUMENT && isa && !scalar) return false;
    assert_ok(status, &err);
    return true;
}

static void path_report(const path *p, const published_text *of) {
    const double n = (double)p->n_scored;
    print_message(
        "# %s %s, %s: %zu tokens, top-1 %.4f, perplexity %.4f (exact %.4f), log probability off by %.2e (root "
        "of the mean square) and %.2e at most",
        of->model, of->text, cllm_engine_cpu_isa(p->session->engine), p->n_rows,
        (double)p->n_likeliest / (double)p->n_rows, exp(-p->log_probability / n), exp(-p->exact_log_probability / n),
        sqrt(p->square_error / n), p->worst_error);
    if (p->n_compared) print_message(", KL %.2e, %.2e at most", p->kl / (double)p->n_compared, p->worst_kl);
    if (p->is_reference) print_message(", entropy off by %.2e at most", p->worst_entropy);
    print_message("\n");
}

/* Evaluates every path chunk by chunk, so that only one chunk of the scalar path's distributions is kept. */
static void run_paths(path *paths, size_t n_paths, size_t n_beginning) {
    for (size_t first = 0; first < exact.n_tokens; first += CHUNK) {
        const bool beginning = first < n_beginning;
        const size_t count = exact.n_tokens - first < CHUNK ? exact.n_tokens - first : CHUNK;
        for (path *p = paths; p < paths + n_paths; p++) {
            if (!beginning && p != paths + BEST) continue;
            p->first = first;
            p->compares = beginning && p != paths + SCALAR;
            cllm_error err;
            float *rows = malloc(count * p->n_vocab * sizeof *rows);
            assert_non_null(rows);
            assert_ok(solo_each(p->session, exact.tokens + first, count, rows, &err), &err);
            for (size_t i = 0; i < count; i++) take_row(p, i, rows + i * p->n_vocab);
            free(rows);
        }
    }
}

/* The scalar path computes in float32; the reference has six digits after the point. */
static void assert_exact(const path *p) {
    assert_int_equal(p->n_likeliest, p->n_rows);
    assert_true(p->worst_error <= 1e-4);
    assert_true(p->worst_entropy <= 2e-4);
}

/* A fast path rounds activations to 8 bits, and keys and values to f16. compared_all: the KL covers the whole text. */
static void assert_close(const path *p, const published_text *of, bool compared_all) {
    const double n = (double)p->n_scored, kl = p->kl / (double)p->n_compared;
    const bool read_all = p->n_rows == exact.n_tokens;
    const double peer_kl = compared_all ? of->peer_kl : of->peer_kl_of_beginning;
    const double peer_top1 = read_all ? of->peer_top1 : of->peer_top1_of_beginning;
    assert_true(kl < peer_kl);
    assert_true((double)p->n_likeliest / (double)p->n_rows >= peer_top1 - 0.005);
    assert_true(sqrt(p->square_error / n) <= (read_all ? 0.12 : 0.16));
    if (read_all) assert_true(fabs(exp((p->exact_log_probability - p->log_probability) / n) - 1) <= 0.01);
}

static void probabilities_are_close(void **state) {
    const published_text *of = *state;
    cllm_model *model = load(of);
    float *reference = malloc(CHUNK * cllm_model_get_info(model)->n_vocab * sizeof *reference);
    assert_non_null(reference);

    static const char *const isas[] = {"avx2", "avx512", "neon", "i8mm"};
    enum { N_ISAS = sizeof isas / sizeof *isas };
    path paths[BEST + 1 + N_ISAS];
    size_t n_paths = BEST + 1;
    path_begin(&paths[SCALAR], model, "scalar", reference);
    path_begin(&paths[BEST], model, NULL, reference);
    const char *best = cllm_engine_cpu_isa(paths[BEST].session->engine);
    for (size_t i = 0; i < N_ISAS; i++)
        if (strcmp(isas[i], best) != 0) n_paths += path_begin(&paths[n_paths], model, isas[i], reference);

    if (test_sanitized()) exact.n_tokens = SANITIZED;
    const size_t n_beginning = test_long() ? exact.n_tokens : BEGINNING;
    run_paths(paths, n_paths, n_beginning);
    for (path *p = paths; p < paths + n_paths; p++) path_report(p, of);
    for (path *p = paths; p < paths + n_paths; p++) {
        if (p->is_reference)
            assert_exact(p);
        else if (!test_sanitized())
            assert_close(p, of, n_beginning == exact.n_tokens);
        solo_destroy(p->session);
    }
    free(reference);
    cllm_model_destroy(model);
}

/* ------------------------------------------------------------------------------------------------- embeddings */

enum { N_EMBEDDED = 6, LONGEST_EMBEDDED = 64, MINILM_EMBD = 384 };

/* A line of minilm.ids. Returns the number of ids. */
static size_t read_ids(FILE *file, int32_t ids[LONGEST_EMBEDDED]) {
    char line[1024];
    assert_non_null(fgets(line, sizeof line, file));
    size_t n = 0;
    for (char *at = line, *end; n < LONGEST_EMBEDDED; at = end) {
        const long id = strtol(at, &end, 10);
        if (end == at) break;
        ids[n++] = (int32_t)id;
    }
    return n;
}

/* all-MiniLM-L6-v2: the ids of Hugging Face's tokenizer, and its embeddings in float64. */
static void minilm_embeds(void **state) {
    (void)state;
    const char *embd = shared_file("published/minilm.embd.f32");
    if (!embd || access(model_path("minilm"), R_OK) != 0) skip();
    size_t n_bytes, length;
    unsigned char *bytes = read_file(embd, &n_bytes);
    const float *want = (const float *)(const void *)bytes;
    assert_int_equal(n_bytes, N_EMBEDDED * MINILM_EMBD * sizeof *want);
    char *text = (char *)read_file(shared_file("published/minilm.txt"), &length), *line = text;
    FILE *file = fopen(shared_file("published/minilm.ids"), "r");
    assert_non_null(file);
    cllm_model *model = NULL;
    cllm_error err;
    assert_ok(cllm_model_load(model_path("minilm"), NULL, &model, &err), &err);
    static int32_t ids[N_EMBEDDED][LONGEST_EMBEDDED];
    size_t counts[N_EMBEDDED];
    for (size_t i = 0; i < N_EMBEDDED; i++) {
        int32_t *tokens;
        size_t count;
        counts[i] = read_ids(file, ids[i]);
        char *end = memchr(line, '\n', length - (size_t)(line - text));
        assert_non_null(end);
        assert_ok(cllm_tokenizer_encode(cllm_model_tokenizer(model), line, (size_t)(end - line),
                                        CLLM_ENCODE_ADD_SPECIAL, &tokens, &count, &err),
                  &err);
        assert_int_equal(count, counts[i]);
        assert_memory_equal(tokens, ids[i], count * sizeof *tokens);
        cllm_free(tokens);
        line = end + 1;
    }
    fclose(file);
    static const char *const isas[] = {"scalar", NULL};
    for (size_t p = 0; p < 2; p++) {
        const cllm_engine_options options = {.cpu_isa = isas[p], .n_sequences = N_EMBEDDED};
        cllm_engine *engine;
        cllm_span spans[N_EMBEDDED];
        double worst = 0;
        assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
        for (size_t i = 0; i < N_EMBEDDED; i++) {
            spans[i] = (cllm_span){.tokens = ids[i], .count = counts[i], .want = CLLM_WANT_EMBEDDING};
            assert_ok(cllm_sequence_create(engine, &spans[i].sequence, &err), &err);
        }
        assert_ok(cllm_eval(engine, spans, N_EMBEDDED, &err), &err);
        for (size_t i = 0; i < N_EMBEDDED; i++) { /* both vectors have length 1 */
            double product = 0;
            for (size_t c = 0; c < MINILM_EMBD; c++)
                product += (double)spans[i].rows[c] * (double)want[i * MINILM_EMBD + c];
            if (!(1 - product <= 1e-6)) fail_msg("text %zu: a cosine distance of %.3e", i + 1, 1 - product);
            worst = fmax(worst, 1 - product);
        }
        print_message("# %s: cosine distances up to %.2e\n", isas[p] ? isas[p] : "the best", worst);
        cllm_engine_destroy(engine);
    }
    cllm_model_destroy(model);
    free(bytes);
    free(text);
}

int main(void) {
    static struct CMUnitTest tests[2 * N_TEXTS + 1];
    static char names[2 * N_TEXTS][64];
    for (size_t i = 0; i < 2 * N_TEXTS; i++) {
        const published_text *of = &texts[i / 2];
        snprintf(names[i], sizeof names[i], "%s %s: %s", of->model, of->text, i % 2 ? "probabilities" : "tokens");
        tests[i] = (struct CMUnitTest){.name = names[i],
                                       .test_func = i % 2 ? probabilities_are_close : tokens_are_equal,
                                       .initial_state = (void *)(uintptr_t)of};
    }
    tests[2 * N_TEXTS] = (struct CMUnitTest)cmocka_unit_test(minilm_embeds);
    return cmocka_run_group_tests_name("published", tests, NULL, NULL);
}
