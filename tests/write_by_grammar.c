/* Writes texts with a model under grammars, for tests/check_grammars.sh.
 *
 *   write_by_grammar MODEL CASES FIRST_SEED N_SEEDS
 *
 * CASES has a line of JSON for each grammar: {"kind": "json_schema", "text": ...}. For each seed it prints a line
 * {"grammar": line, "seed": s, "text": t}, with "unfinished": true if the text was cut. The temperature of a
 * seed is 0, 0.8 or 2. At temperature 0, seeds differ only by their prompts. */
#include "base/json.h"
#include "cllm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1500, MOST_CASES = 100 };

typedef struct writer {
    cllm_model *model;
    cllm_engine *engine;
    cllm_token_index *index;
    cllm_grammar *grammars[MOST_CASES]; /* [n_grammars] */
    size_t n_grammars;
} writer;

static int fail(const char *what, const cllm_error *err) {
    fprintf(stderr, "write_by_grammar: %s: %s\n", what, err->message);
    return 1;
}

static void put(void *user, const char *bytes, size_t length) { fwrite(bytes, 1, length, user); }

static bool make_grammar(writer *w, const json_value *line, cllm_error *err) {
    static const struct {
        const char *name;
        cllm_grammar_kind kind;
    } kinds[] = {{"gbnf", CLLM_GRAMMAR_GBNF},
                 {"regex", CLLM_GRAMMAR_REGEX},
                 {"json_schema", CLLM_GRAMMAR_JSON_SCHEMA},
                 {"json_schema_in_order", CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER},
                 {"choice", CLLM_GRAMMAR_CHOICE},
                 {"structure", CLLM_GRAMMAR_STRUCTURE}};
    const json_value *kind = json_find(line, "kind"), *text = json_find(line, "text");
    for (size_t i = 0; kind && text && i < sizeof kinds / sizeof *kinds; i++) {
        char *written = NULL;
        size_t length = 0;
        if (kind->string.length != strlen(kinds[i].name) ||
            memcmp(kind->string.data, kinds[i].name, kind->string.length) != 0)
            continue;
        FILE *f = open_memstream(&written, &length);
        json_writer to = {.put = put, .user = f};
        if (text->kind == JSON_STRING)
            fwrite(text->string.data, 1, text->string.length, f);
        else
            json_write(&to, text);
        fclose(f);
        const cllm_status status = cllm_grammar_create(w->index, kinds[i].kind, (cllm_string){written, length},
                                                       &w->grammars[w->n_grammars], err);
        free(written);
        if (status == CLLM_OK) w->n_grammars++;
        return status == CLLM_OK;
    }
    snprintf(err->message, sizeof err->message, "no kind and text that is known");
    return false;
}

static bool make_grammars(writer *w, const char *path, cllm_error *err) {
    FILE *f = fopen(path, "rb");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool made = f;
    arena a = {0};
    while (made && w->n_grammars < MOST_CASES && (length = getline(&line, &room, f)) > 0) {
        json_value value;
        made = json_read(line, (size_t)length, &a, &value, err) == CLLM_OK && make_grammar(w, &value, err);
        if (!made) fprintf(stderr, "%s:%zu: %s\n", path, w->n_grammars + 1, err->message);
    }
    arena_free(&a);
    free(line);
    if (f) fclose(f);
    return made;
}

static bool write_text(writer *w, size_t i_grammar, uint64_t seed, cllm_error *err) {
    static const float temperatures[] = {0, 0.8f, 2};
    const cllm_sampler_options sampling = {.temperature = temperatures[seed % 3], .top_p = 1, .seed = seed};
    cllm_sequence *sequence = NULL;
    cllm_sampler *sampler = NULL;
    cllm_generation *generation = NULL;
    int32_t *prompt = NULL;
    size_t count, n_bytes = 0;
    char *text = NULL, question[40];
    cllm_span span;
    cllm_event event = {.end = CLLM_END_NONE};
    FILE *out = open_memstream(&text, &n_bytes);
    snprintf(question, sizeof question, "Number %llu is", (unsigned long long)seed);
    cllm_status status = out ? cllm_sequence_create(w->engine, &sequence, err) : CLLM_ERR_MEMORY;
    if (status == CLLM_OK)
        status = cllm_sampler_create(cllm_model_get_info(w->model)->n_vocab, &sampling, &sampler, err);
    if (status == CLLM_OK)
        status = cllm_tokenizer_encode(cllm_model_tokenizer(w->model), question, strlen(question),
                                       CLLM_ENCODE_ADD_SPECIAL, &prompt, &count, err);
    const cllm_generation_options options = {
        .sampler = sampler, .n_most = MOST_TOKENS, .grammar = w->grammars[i_grammar]};
    if (status == CLLM_OK) status = cllm_generation_create(sequence, prompt, count, &options, &generation, err);
    while (status == CLLM_OK && cllm_generation_wants(generation, SIZE_MAX, &span)) {
        status = cllm_eval(w->engine, &span, 1, err);
        if (status == CLLM_OK) status = cllm_generation_take(generation, &span, &event, err);
        if (status == CLLM_OK) fwrite(event.text.data, 1, event.text.length, out);
    }
    if (out) fclose(out);
    if (status == CLLM_OK) {
        json_writer to = {.style = {.ascii = true}, .put = put, .user = stdout};
        const json_value value = {.kind = JSON_STRING, .string = {text, n_bytes}};
        const bool finished = event.end == CLLM_END_GRAMMAR || event.end == CLLM_END_TOKEN;
        printf("{\"grammar\": %zu, \"seed\": %llu, \"unfinished\": %s, \"text\": ", i_grammar, (unsigned long long)seed,
               finished ? "false" : "true");
        json_write(&to, &value);
        puts("}");
    }
    cllm_generation_destroy(generation);
    cllm_sequence_destroy(sequence);
    cllm_sampler_destroy(sampler);
    cllm_free(prompt);
    free(text);
    return status == CLLM_OK;
}

int main(int argc, char **argv) {
    writer w = {0};
    cllm_error err = {.message = "out of memory"};
    if (argc != 5) return fputs("usage: write_by_grammar MODEL CASES FIRST_SEED N_SEEDS\n", stderr), 2;
    const cllm_engine_options options = {.n_ctx = MOST_TOKENS + 40};
    const uint64_t first = strtoull(argv[3], NULL, 10), n = strtoull(argv[4], NULL, 10);
    if (cllm_model_load(argv[1], NULL, &w.model, &err) != CLLM_OK ||
        cllm_engine_create(w.model, &options, &w.engine, &err) != CLLM_OK ||
        cllm_token_index_create(cllm_model_tokenizer(w.model), &w.index, &err) != CLLM_OK ||
        !make_grammars(&w, argv[2], &err))
        return fail(argv[1], &err);
    for (size_t i = 0; i < w.n_grammars; i++)
        for (uint64_t seed = first; seed < first + n; seed++)
            if (!write_text(&w, i, seed, &err)) return fail(argv[1], &err);
    for (size_t i = 0; i < w.n_grammars; i++) cllm_grammar_destroy(w.grammars[i]);
    cllm_token_index_destroy(w.index);
    cllm_engine_destroy(w.engine);
    cllm_model_destroy(w.model);
    return 0;
}
