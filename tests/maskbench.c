/* Counts how many of MaskBench's JSON schemas are enforced, checks that their instances are judged right, and
 * measures what compiling and masks cost. Before it: bench/maskbench and tests/check_maskbench.sh.
 *
 *   maskbench FOLDER MODEL.gguf [--list]
 *
 * FOLDER has one file for each schema: {"schema": S, "tests": [{"data": D, "valid": bool}, ...]}. Only the
 * vocabulary of the model is used. Each instance is written as Python's json.dumps(D, ensure_ascii=False) writes it,
 * cut into tokens, and fed token by token; each token must be allowed by the mask before it. There is one thread.
 * --list prints a line for each file that does not pass. */
#include "base/json.h"
#include "cllm.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct times {
    double *items; /* [n], owned; microseconds */
    size_t n, capacity;
} times;

typedef struct text {
    char *data;
    size_t length, capacity;
} text;

typedef struct totals {
    /* each file counts once in n_files, and once in one of the others */
    size_t n_files, n_passed, n_not_compiled, n_valid_refused, n_invalid_accepted, n_failed;
    size_t n_instances;
    times compiling, masks;
} totals;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void *grow(void *items, size_t n, size_t *capacity, size_t size) {
    if (n < *capacity) return items;
    *capacity = n > 0 ? 2 * n : 256;
    items = realloc(items, *capacity * size);
    if (items) return items;
    fputs("maskbench: no memory\n", stderr);
    exit(1);
}

static void add_time(times *t, double microseconds) {
    t->items = grow(t->items, t->n, &t->capacity, sizeof *t->items);
    t->items[t->n++] = microseconds;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *name, times *t) {
    double sum = 0;
    if (t->n == 0) return;
    qsort(t->items, t->n, sizeof *t->items, by_value);
    for (size_t i = 0; i < t->n; i++) sum += t->items[i];
    printf("%-10s %9zu  mean %8.1f us  p50 %8.1f  p75 %8.1f  p90 %8.1f  p99 %8.1f  max %10.1f\n", name, t->n,
           sum / (double)t->n, t->items[(t->n - 1) / 2], t->items[(t->n - 1) * 3 / 4], t->items[(t->n - 1) * 9 / 10],
           t->items[(t->n - 1) * 99 / 100], t->items[t->n - 1]);
}

static void put(void *user, const char *bytes, size_t length) {
    text *t = user;
    while (t->length + length > t->capacity) t->data = grow(t->data, t->capacity, &t->capacity, 1);
    memcpy(t->data + t->length, bytes, length);
    t->length += length;
}

static void write_value(text *t, const json_value *v) {
    json_writer w = {.put = put, .user = t};
    t->length = 0;
    json_write(&w, v);
}

static bool read_file(const char *path, text *t) {
    FILE *f = fopen(path, "rb");
    t->length = 0;
    if (!f) return false;
    for (;;) {
        t->data = grow(t->data, t->length, &t->capacity, 1);
        const size_t n = fread(t->data + t->length, 1, t->capacity - t->length, f);
        if (n == 0) break;
        t->length += n;
    }
    fclose(f);
    return true;
}

/* True if the grammar accepts the text, token by token. */
static cllm_status check(cllm_grammar *grammar, const cllm_tokenizer *tokenizer, const text *t, uint32_t *mask,
                         times *masks, bool *accepted, cllm_error *err) {
    cllm_matcher *matcher = NULL;
    int32_t *tokens = NULL;
    size_t n_tokens = 0, at = 0;
    *accepted = false;
    cllm_status status =
        cllm_tokenizer_encode(tokenizer, t->data, t->length, CLLM_ENCODE_GOES_ON, &tokens, &n_tokens, err);
    if (status == CLLM_OK) status = cllm_matcher_create(grammar, &matcher, err);
    for (; status == CLLM_OK && at < n_tokens; at++) {
        const double begun = now();
        status = cllm_matcher_fill_mask(matcher, mask, err);
        add_time(masks, now() - begun);
        if (status != CLLM_OK || !(mask[tokens[at] / 32] >> tokens[at] % 32 & 1)) break;
        status = cllm_matcher_take(matcher, tokens[at], err);
    }
    if (status == CLLM_OK) *accepted = at == n_tokens && cllm_matcher_can_end(matcher);
    cllm_matcher_destroy(matcher);
    cllm_free(tokens);
    return status;
}

static void judge(const char *name, const json_value *file, const cllm_token_index *index,
                  const cllm_tokenizer *tokenizer, uint32_t *mask, totals *sum, bool list) {
    static text schema, instance;
    cllm_grammar *grammar = NULL;
    cllm_error err;
    const json_value *of = json_find(file, "schema"), *tests = json_find(file, "tests");
    size_t n_valid_refused = 0, n_invalid_accepted = 0;
    cllm_status status = CLLM_OK;
    if (!of || !tests || tests->kind != JSON_ARRAY) return;
    sum->n_files++;
    write_value(&schema, of);
    const double begun = now();
    status =
        cllm_grammar_create(index, CLLM_GRAMMAR_JSON_SCHEMA, (cllm_string){schema.data, schema.length}, &grammar, &err);
    add_time(&sum->compiling, now() - begun);
    if (status != CLLM_OK) {
        sum->n_not_compiled++;
        if (list) printf("%s: not compiled: %s\n", name, err.message);
        return;
    }
    for (uint32_t i = 0; i < tests->count && status == CLLM_OK; i++) {
        const json_value *data = json_find(&tests->items[i], "data"), *valid = json_find(&tests->items[i], "valid");
        bool accepted;
        if (!data || !valid || valid->kind != JSON_BOOL) continue;
        write_value(&instance, data);
        status = check(grammar, tokenizer, &instance, mask, &sum->masks, &accepted, &err);
        sum->n_instances++;
        n_valid_refused += valid->boolean && !accepted;
        n_invalid_accepted += !valid->boolean && accepted;
        if (list && status == CLLM_OK && valid->boolean != accepted)
            printf("%s: instance %u: %s\n", name, i, accepted ? "invalid, accepted" : "valid, refused");
    }
    if (list && status != CLLM_OK) printf("%s: failed: %s\n", name, err.message);
    if (status != CLLM_OK)
        sum->n_failed++;
    else if (n_invalid_accepted > 0)
        sum->n_invalid_accepted++;
    else if (n_valid_refused > 0)
        sum->n_valid_refused++;
    else
        sum->n_passed++;
    cllm_grammar_destroy(grammar);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static int is_json(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

int main(int argc, char **argv) {
    const bool list = argc == 4 && strcmp(argv[3], "--list") == 0;
    struct dirent **entries;
    cllm_gguf *gguf = NULL;
    cllm_tokenizer *tokenizer = NULL;
    cllm_token_index *index = NULL;
    cllm_error err = {.message = "it cannot be read"};
    totals sum = {0};
    text file = {0};
    if (argc < 3 || (argc == 4 && !list) || argc > 4) {
        fputs("usage: maskbench FOLDER MODEL.gguf [--list]\n", stderr);
        return 2;
    }
    const int n = scandir(argv[1], &entries, is_json, by_name);
    if (n <= 0) {
        fprintf(stderr, "maskbench: %s: no JSON files\n", argv[1]);
        return 2;
    }
    if (cllm_gguf_open(argv[2], NULL, &gguf, &err) != CLLM_OK ||
        cllm_tokenizer_create(gguf, &tokenizer, &err) != CLLM_OK ||
        cllm_token_index_create(tokenizer, &index, &err) != CLLM_OK) {
        fprintf(stderr, "maskbench: %s\n", err.message);
        return 2;
    }
    uint32_t *mask = calloc(CLLM_MASK_WORDS(cllm_tokenizer_n_vocab(tokenizer)), sizeof *mask);
    for (int i = 0; i < n && mask; i++) {
        char path[4096];
        json_value value;
        arena a = {0};
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        if (!read_file(path, &file) || json_read(file.data, file.length, &a, &value, &err) != CLLM_OK)
            printf("%s: not read: %s\n", entries[i]->d_name, err.message);
        else
            judge(entries[i]->d_name, &value, index, tokenizer, mask, &sum, list);
        arena_free(&a);
        free(entries[i]);
        if (i % 100 == 0) fprintf(stderr, "\r%d of %d", i, n);
    }
    fprintf(stderr, "\r%*s\r", 30, "");
    printf("%zu schemas, %zu instances: %zu pass (%.1f%%), %zu refuse a valid instance, %zu accept an invalid one, %zu "
           "fail, %zu not compiled\n",
           sum.n_files, sum.n_instances, sum.n_passed, 100.0 * (double)sum.n_passed / (double)sum.n_files,
           sum.n_valid_refused, sum.n_invalid_accepted, sum.n_failed, sum.n_not_compiled);
    print_times("compile", &sum.compiling);
    print_times("mask", &sum.masks);
    free(entries);
    free(file.data);
    free(mask);
    free(sum.compiling.items);
    free(sum.masks.items);
    cllm_token_index_destroy(index);
    cllm_tokenizer_destroy(tokenizer);
    cllm_gguf_close(gguf);
    return 0;
}
