/* The command bench: measures the speed of prompts, which are evaluated at once, and of decoding, one token at a time.
 * An encoder only has prompts. After it: bench_report.c prints the results.
 *
 * All runs use the same list of token ids, also for decoding: nothing is sampled. A test begins after `depth` tokens of
 * this list, which are evaluated once, untimed; for the next run the sequence is truncated to them. Each test runs once
 * to warm up, before the timed runs. */
#include "bench.h"

#include "commands.h"
#include "interrupt.h"
#include "program.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* With --compare a pair is our speed and theirs. Ours is the median of this many runs after a warm-up. */
enum { RUNS_OF_A_PAIR = 3 };

typedef struct bencher {
    options o; /* of the command line, with the model, threads and batch of the current engine */
    run r;
    int32_t *tokens;           /* [n_tokens + n_sequences]; sequence i uses those from tokens[i] on; owned */
    size_t n_tokens;           /* most positions that a test uses */
    cllm_sequence **sequences; /* [n_sequences] of the engine; the first is r.sequence; owned */
    cllm_span *spans;          /* [n_sequences]; owned */
    size_t n_sequences;        /* most that decode together */
    uint64_t file_bytes;
    uint64_t layer_macs; /* multiply-accumulates with the layers' matrices, for each token */
    bench_results results;
} bencher;

static bool is_encoder(const bencher *b) { return cllm_model_get_info(b->r.model)->is_encoder; }

/* -------------------------------------------------------------------------- counting operations and bytes */

/* The number at a key of the architecture; 0: there is none. */
static uint64_t find_number(const cllm_model *model, const char *key) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", cllm_model_get_info(model)->architecture, key);
    const cllm_value *value = cllm_gguf_find(cllm_model_gguf(model), name);
    return value && value->type == CLLM_UINT32 ? value->u : 0;
}

/* True for a tensor of all experts, "blk.3.ffn_up_exps.weight", and for one of a single expert, as in files of early
 * 2024: "blk.3.ffn_up.5.weight". */
static bool is_of_experts(const char *name) {
    unsigned expert;
    return strstr(name, "_exps.weight") || sscanf(name, "blk.%*u.ffn_%*[a-z].%u", &expert) == 1;
}

/* True for tables, whose rows are only looked up, and for the output matrix, which a prompt needs only for its last
 * token. */
static bool is_beside_layers(const char *name) {
    static const char *const names[] = {"token_embd.weight", "per_layer_token_embd.weight", "position_embd.weight",
                                        "token_types.weight", "output.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* Multiply-accumulates of the layers for a token, which uses only some of the experts. */
static uint64_t count_layer_macs(const cllm_model *model) {
    const cllm_gguf *gguf = cllm_model_gguf(model);
    const uint64_t n_experts = find_number(model, "expert_count");
    uint64_t macs = 0, of_experts = 0;
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        if (t->n_dims < 2 || is_beside_layers(t->name)) continue;
        const uint64_t n = t->shape[0] * t->shape[1] * t->shape[2];
        if (is_of_experts(t->name))
            of_experts += n;
        else
            macs += n;
    }
    return n_experts > 0 ? macs + of_experts / n_experts * find_number(model, "expert_used_count") : macs;
}

/* Multiply-accumulates of a run: the matrices, and the attention of each token to all positions up to its own. In an
 * encoder a token sees all positions, and there is no output matrix. */
static double count_macs(const bencher *b, const bench_result *test, bench_kind kind) {
    const cllm_model_info *info = cllm_model_get_info(b->r.model);
    const double n = (double)bench_n_tokens(test, kind);
    const double outputs = info->is_encoder ? 0 : kind == BENCH_PROMPT ? 1 : n;
    const double attended = info->is_encoder ? n * n : n * (double)test->depth + n * (n + 1) / 2;
    const double heads = (double)info->n_layers * info->n_heads;
    return n * (double)b->layer_macs + outputs * (double)info->n_embd * (double)info->n_vocab +
           attended * heads * ((double)info->key_length + info->value_length);
}

/* Bytes that decoding one token reads, on average: its share of the weights, and the keys and values of all positions
 * so far. */
static double count_bytes(const bencher *b, const bench_result *test) {
    const cllm_model_info *info = cllm_model_get_info(b->r.model);
    const double q8_0 = 36.0 / 32; /* bytes of an element; 32 of them share a float, their scale */
    const double element = strcmp(test->kv_type, "f32") == 0 ? 4 : strcmp(test->kv_type, "q8_0") == 0 ? q8_0 : 2;
    const double position =
        element * info->n_layers * info->n_kv_heads * ((double)info->key_length + info->value_length);
    return (double)info->bytes_per_token / (double)(test->sequences ? test->sequences : 1) +
           position * ((double)test->depth + ((double)test->gen + 1) / 2);
}

/* ---------------------------------------------------------------------------------------------- measuring */

/* Bring sequence i to `depth` tokens. If it cannot be truncated, because of a sliding window or recurrent layers, it
 * starts again. */
static cllm_status seek(bencher *b, size_t i, uint64_t depth, cllm_error *err) {
    cllm_sequence *sequence = b->sequences[i];
    if (cllm_sequence_length(sequence) > depth && cllm_sequence_truncate(sequence, (uint32_t)depth, err) != CLLM_OK)
        cllm_sequence_truncate(sequence, 0, NULL);
    const uint32_t length = cllm_sequence_length(sequence);
    if (length == depth) return CLLM_OK;
    cllm_span span = {.sequence = sequence, .tokens = b->tokens + i + length, .count = (size_t)depth - length};
    return cllm_eval(b->r.engine, &span, 1, err);
}

/* Make one run: tokens at once, or one by one in several sequences together. tok_s: out. */
static int run_once(bencher *b, const bench_result *test, bench_kind kind, double *tok_s) {
    const size_t n = kind == BENCH_DECODE && test->sequences ? (size_t)test->sequences : 1;
    const size_t count = (size_t)bench_n_tokens(test, kind), step = kind == BENCH_PROMPT ? count : 1;
    const cllm_want want = is_encoder(b) ? CLLM_WANT_EMBEDDING : CLLM_WANT_LAST;
    cllm_error err;
    cllm_status status = CLLM_OK;
    for (size_t i = 0; status == CLLM_OK && i < n; i++) {
        status = seek(b, i, test->depth, &err);
        b->spans[i] = (cllm_span){
            .sequence = b->sequences[i], .tokens = b->tokens + i + test->depth, .count = step, .want = want};
    }
    double start = now();
    for (size_t done = 0; status == CLLM_OK && done < count; done += step) {
        status = cllm_eval(b->r.engine, b->spans, n, &err);
        for (size_t i = 0; i < n; i++) b->spans[i].tokens += step;
    }
    *tok_s = (double)(n * count) / (now() - start);
    return status == CLLM_OK ? EXIT_SUCCESS : fail_with(&err);
}

/* Make one run to warm up, then n runs. tok_s: out, [n]. what: the text of the progress bar, or NULL. */
static int run_warm(bencher *b, const bench_result *test, bench_kind kind, const char *what, double *tok_s,
                    uint64_t n) {
    double warm_up;
    int status = run_once(b, test, kind, &warm_up);
    for (uint64_t i = 0; status == EXIT_SUCCESS && i < n; i++) {
        if (what) run_progress(&b->r, what, i + 1, n + 1);
        status = run_once(b, test, kind, &tok_s[i]);
    }
    return status;
}

/* Measure in turn ours, theirs, ours, theirs: if something slows the machine down for a while, it affects both. */
static int run_pairs(bencher *b, const bench_result *test, bench_kind kind, const char *what, double *tok_s,
                     bench_speed *speed) {
    double theirs[BENCH_MOST_RUNS], ratios[BENCH_MOST_RUNS], ours[RUNS_OF_A_PAIR];
    const size_t n = (size_t)b->o.repetitions;
    for (size_t i = 0; i < n; i++) {
        run_progress(&b->r, what, 2 * i, 2 * n);
        int status = run_warm(b, test, kind, NULL, ours, RUNS_OF_A_PAIR);
        run_progress(&b->r, what, 2 * i + 1, 2 * n);
        if (status == EXIT_SUCCESS) status = bench_compare_run(&b->o, test, kind, &theirs[i]);
        if (status != EXIT_SUCCESS) return status;
        tok_s[i] = bench_quantile(ours, RUNS_OF_A_PAIR, 0.5);
        ratios[i] = tok_s[i] / theirs[i];
    }
    speed->theirs_tok_s = bench_quantile(theirs, n, 0.5);
    speed->ratio = bench_quantile(ratios, n, 0.5);
    return EXIT_SUCCESS;
}

/* Note the GPU's launches, and the bytes that they used, for each token decoded since `before`. */
static void count_launches(const bencher *b, cllm_stats before, uint64_t n_tokens, bench_result *test) {
    const cllm_stats after = cllm_engine_stats(b->r.engine);
    if (after.gpu_launches == 0) return;
    test->launches = (double)(after.gpu_launches - before.gpu_launches) / (double)n_tokens;
    test->launched_bytes = (double)(after.gpu_bytes - before.gpu_bytes) / (double)n_tokens;
}

static int measure_kind(bencher *b, bench_result *test, bench_kind kind) {
    bench_speed *speed = &test->speed[kind];
    *speed = (bench_speed){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    const uint64_t n_tokens = bench_n_tokens(test, kind);
    if (n_tokens == 0) return EXIT_SUCCESS;

    double tok_s[BENCH_MOST_RUNS];
    const size_t n = (size_t)b->o.repetitions;
    char what[160];
    snprintf(what, sizeof what, "%.30s, %" PRIu64 " thread%s, %s", test->model, test->threads,
             test->threads == 1 ? "" : "s", bench_test_name(test, kind).text);
    run_progress(&b->r, what, 0, n + 1);
    int status = b->o.compare ? run_pairs(b, test, kind, what, tok_s, speed) : run_warm(b, test, kind, what, tok_s, n);
    run_stage(&b->r, "%s", "");
    if (status != EXIT_SUCCESS) return status;

    speed->tok_s = bench_quantile(tok_s, n, 0.5);
    speed->tok_s_spread = (bench_quantile(tok_s, n, 0.75) - bench_quantile(tok_s, n, 0.25)) / 2;
    speed->tok_s_min = bench_quantile(tok_s, n, 0);
    speed->tok_s_max = bench_quantile(tok_s, n, 1);
    if (kind == BENCH_DECODE) speed->tok_s_each = speed->tok_s / (double)(test->sequences ? test->sequences : 1);
    speed->gmac_s = speed->tok_s * count_macs(b, test, kind) / (double)n_tokens / 1e9;
    if (kind == BENCH_DECODE) speed->gb_s = speed->tok_s * count_bytes(b, test) / 1e9;
    return EXIT_SUCCESS;
}

/* The limits of the machine with this number of threads, measured at the first call. */
static int measure_machine(bench_results *results, uint32_t n_threads, machine_speed *speed) {
    for (size_t i = 0; i < results->n_machines; i++)
        if (results->machines[i].n_threads == n_threads) {
            *speed = results->machines[i];
            return EXIT_SUCCESS;
        }
    machine_speed *more = realloc(results->machines, (results->n_machines + 1) * sizeof *more);
    if (!more) return fail("out of memory");
    results->machines = more;
    *speed = more[results->n_machines++] = machine_measure(n_threads);
    return interrupted() ? EXIT_INTERRUPTED : EXIT_SUCCESS;
}

/* Measure a test. If decoding fails or is interrupted, the speed of the prompt is kept. */
static int measure(bencher *b, bench_result test) {
    bench_results *results = &b->results;
    if (test.prompt + test.gen == 0) return EXIT_SUCCESS;
    int status = measure_kind(b, &test, BENCH_PROMPT);
    if (status == EXIT_SUCCESS) status = measure_kind(b, &test, BENCH_DECODE);
    if (status != EXIT_SUCCESS && !isfinite(test.speed[BENCH_PROMPT].tok_s)) return status;
    if (results->count == results->capacity) {
        size_t capacity = results->capacity ? 2 * results->capacity : 16;
        bench_result *more = realloc(results->items, capacity * sizeof *more);
        if (!more) return fail("out of memory");
        results->items = more;
        results->capacity = capacity;
    }
    results->items[results->count++] = test;
    return status;
}

/* ------------------------------------------------------------------------------------------ combinations */

/* Count the GPU's work for one decoded token at this depth. The sequence has room for it, because each test measures at
 * least one token after the depth. */
static int measure_gpu(bencher *b, bench_result *test) {
    cllm_error err;
    if (seek(b, 0, test->depth, &err) != CLLM_OK) return fail_with(&err);
    const cllm_stats before = cllm_engine_stats(b->r.engine);
    cllm_span span;
    if (run_eval(&b->r, b->tokens + test->depth, 1, CLLM_WANT_LAST, &span, &err) != CLLM_OK) return fail_with(&err);
    count_launches(b, before, 1, test);
    if (b->o.verbose)
        fprintf(stderr,
                "a token after %" PRIu64
                ": %.0f launches on the GPU, %.2f MB of weights, keys, values and activations\n",
                test->depth, test->launches, test->launched_bytes / 1e6);
    return EXIT_SUCCESS;
}

static int create_sequences(bencher *b) {
    cllm_error err;
    b->sequences[0] = b->r.sequence;
    for (size_t i = 1; i < b->n_sequences; i++)
        if (cllm_sequence_create(b->r.engine, &b->sequences[i], &err) != CLLM_OK) return fail_with(&err);
    return EXIT_SUCCESS;
}

/* Measure a test with each number of sequences. Only the first one measures the prompt, too. */
static int measure_sequences(bencher *b, bench_result test) {
    const count_list *sequences = &b->o.sequences;
    int status = sequences->count == 0 ? measure(b, test) : EXIT_SUCCESS;
    for (size_t s = 0; s < sequences->count && status == EXIT_SUCCESS; s++) {
        test.sequences = sequences->values[s];
        status = measure(b, test);
        test.prompt = 0;
    }
    return status;
}

static uint64_t largest_of(const count_list *list) {
    uint64_t largest = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->values[i] > largest) largest = list->values[i];
    return largest;
}

/* All tests of one engine: each depth with each number of tokens. */
static int run_engine(bencher *b) {
    const options *o = &b->o;
    const count_list none = {.count = 1}, *gens = is_encoder(b) ? &none : &o->gens;
    const char *slash = strrchr(o->model, '/');
    bench_result test = {.model = slash ? slash + 1 : o->model,
                         .file = o->model,
                         .file_bytes = b->file_bytes,
                         .kv_type = o->kv_type,
                         .batch = o->batch,
                         .launches = NAN,
                         .launched_bytes = NAN,
                         .machine = {.read_gb_s = NAN, .float_gmac_s = NAN}};
    b->r.n_sequences = (uint32_t)b->n_sequences;
    int status = run_start(&b->r, is_encoder(b) ? (size_t)largest_of(&o->prompts) : b->n_tokens);
    if (status == EXIT_SUCCESS) status = create_sequences(b);
    if (status != EXIT_SUCCESS) return status;
    test.threads = cllm_engine_n_threads(b->r.engine);
    test.cpu_isa = cllm_engine_cpu_isa(b->r.engine);
    test.device = cllm_engine_device(b->r.engine);
    test.gpu_layers = cllm_engine_plan(b->r.engine)->n_gpu_layers;
    if (test.gpu_layers > 0)
        snprintf(b->results.gpu, sizeof b->results.gpu, "%s, %s", test.device, cllm_engine_device_name(b->r.engine));
    if (test.gpu_layers == 0) status = measure_machine(&b->results, (uint32_t)test.threads, &test.machine);
    for (size_t d = 0; d < o->depths.count && status == EXIT_SUCCESS; d++) {
        test.depth = o->depths.values[d];
        if (test.gpu_layers > 0) status = measure_gpu(b, &test);
        for (size_t p = 0; p < o->prompts.count; p++)
            for (size_t g = 0; g < gens->count && status == EXIT_SUCCESS; g++) {
                test.prompt = o->prompts.values[p];
                test.gen = gens->values[g];
                status = measure_sequences(b, test);
            }
    }
    return status;
}

/* Fill the tokens: BOS, if there is one, then ids from a linear congruential generator, scattered over the
 * vocabulary. */
static void fill_tokens(bencher *b) {
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(b->r.model);
    const uint32_t n_vocab = cllm_model_get_info(b->r.model)->n_vocab;
    uint32_t state = 1;
    for (size_t i = 0; i < b->n_tokens + b->n_sequences; i++) {
        state = state * 1664525 + 1013904223;
        b->tokens[i] = (int32_t)((state >> 8) % n_vocab); /* the low bits have short periods */
    }
    if (tokenizer && cllm_tokenizer_bos(tokenizer) >= 0) b->tokens[0] = cllm_tokenizer_bos(tokenizer);
}

/* Check that the options leave something to measure of an encoder. */
static int check_encoder(const bencher *b) {
    const uint64_t longest = largest_of(&b->o.prompts);
    const cllm_model_info *info = cllm_model_get_info(b->r.model);
    if (!info->is_encoder) return EXIT_SUCCESS;
    if (longest == 0 || largest_of(&b->o.depths) > 0)
        return fail("%s: a %s model only reads whole texts: use -p, and leave out --depth", b->o.model,
                    info->architecture);
    if (info->n_ctx_train > 0 && longest > info->n_ctx_train)
        return fail("%s: -p %" PRIu64 ": the model has %" PRIu32 " positions", b->o.model, longest, info->n_ctx_train);
    return EXIT_SUCCESS;
}

/* All tests of one model: each number of threads with each batch. */
static int run_model(bencher *b) {
    int status = run_load(&b->r, &b->o);
    if (status == EXIT_SUCCESS) status = check_encoder(b);
    if (status == EXIT_SUCCESS) {
        b->file_bytes = cllm_gguf_n_bytes(cllm_model_gguf(b->r.model));
        b->layer_macs = count_layer_macs(b->r.model);
        fill_tokens(b);
    }
    for (size_t t = 0; t < b->o.thread_counts.count; t++)
        for (size_t i = 0; i < b->o.batches.count && status == EXIT_SUCCESS; i++) {
            b->o.threads = b->o.thread_counts.values[t];
            b->o.batch = b->o.batches.values[i];
            status = run_engine(b);
            run_stop(&b->r);
        }
    run_close(&b->r);
    return status;
}

/* Check the options and open each file before the first measurement, so that a long series does not fail at the name of
 * its last model. */
static int check(const options *o, size_t n_tokens) {
    if (o->json + o->csv + o->markdown > 1) return usage_error("--json, --csv and --md cannot be used together");
    if (n_tokens == 0) return usage_error("-p 0 and -n 0 leave nothing to measure");
    int status = o->compare ? bench_compare_check(o->compare) : EXIT_SUCCESS;
    for (size_t i = 0; i <= o->n_arguments && status == EXIT_SUCCESS; i++) {
        cllm_gguf *gguf = NULL;
        status = open_gguf(o, i == 0 ? o->model : o->arguments[i - 1], &gguf);
        close_gguf(gguf);
    }
    return status;
}

int bench(const options *o) {
    const uint64_t prompt = largest_of(&o->prompts), gen = largest_of(&o->gens);
    const uint64_t n_tokens = prompt > gen ? prompt : gen;
    int status = check(o, (size_t)n_tokens);
    if (status != EXIT_SUCCESS) return status;
    bencher b = {.o = *o, .n_tokens = (size_t)(largest_of(&o->depths) + n_tokens)};
    b.n_sequences = o->sequences.count > 0 ? (size_t)largest_of(&o->sequences) : 1;
    b.tokens = calloc(b.n_tokens + b.n_sequences, sizeof *b.tokens);
    b.sequences = calloc(b.n_sequences, sizeof *b.sequences);
    b.spans = calloc(b.n_sequences, sizeof *b.spans);
    if (!b.tokens || !b.sequences || !b.spans) status = fail("out of memory");
    if (b.o.thread_counts.count == 0) b.o.thread_counts.count = 1; /* its value is 0: the library chooses */
    for (size_t i = 0; i <= o->n_arguments && status == EXIT_SUCCESS; i++) {
        b.o.model = i == 0 ? o->model : o->arguments[i - 1];
        status = run_model(&b);
    }
    if (status == EXIT_INTERRUPTED && b.results.count > 0) note(o, "interrupted: these are the results so far");
    int reported =
        b.results.count > 0 ? bench_report(o, &b.results) : EXIT_SUCCESS; /* even after a failure: the results so far */
    free(b.results.items);
    free(b.results.machines);
    free(b.tokens);
    free(b.sequences);
    free(b.spans);
    return status != EXIT_SUCCESS ? status : reported;
}

/* --------------------------------------------------------------------------------------------- statistics */

static int compare_values(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t count, double at) {
    qsort(values, count, sizeof *values, compare_values);
    const double place = at * (double)(count - 1);
    const size_t below = (size_t)place, above = below + 1 < count ? below + 1 : below;
    return values[below] + (place - (double)below) * (values[above] - values[below]);
}

test_name bench_test_name(const bench_result *test, bench_kind kind) {
    const bool together = kind == BENCH_DECODE && test->sequences;
    test_name name;
    int length = snprintf(name.text, sizeof name.text, "%s%" PRIu64,
                          together               ? "bt"
                          : kind == BENCH_PROMPT ? "pp"
                                                 : "tg",
                          together ? test->sequences : bench_n_tokens(test, kind));
    if (test->depth > 0) snprintf(name.text + length, sizeof name.text - (size_t)length, "@%" PRIu64, test->depth);
    return name;
}
