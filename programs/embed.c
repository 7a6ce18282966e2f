/* Turns texts into vectors: each line of text gives a line of numbers. */
#include "commands.h"
#include "embedder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct printer {
    const options *o;
    const run *r;
    const token_texts *texts;
    float *first; /* of --cosine: the first text's vector, owned */
} printer;

static void print_row(const float *row, size_t n, const char *separator) {
    for (size_t i = 0; i < n; i++) printf("%s%.9g", i ? separator : "", (double)row[i]);
}

static int print_cosine(printer *p, const float *row, size_t n) {
    double product = 0, first = 0, second = 0;
    if (!p->first) {
        p->first = malloc(n * sizeof *p->first);
        if (!p->first) return fail("out of memory");
        memcpy(p->first, row, n * sizeof *row);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < n; i++) {
        product += (double)p->first[i] * (double)row[i];
        first += (double)p->first[i] * (double)p->first[i];
        second += (double)row[i] * (double)row[i];
    }
    if (first <= 0 || second <= 0) return fail("--cosine: a vector of zeros has no direction");
    printf("%.9g\n", product / sqrt(first) / sqrt(second));
    return EXIT_SUCCESS;
}

/* With pooling none a text has one row for each token; in JSON they are an array of their own. */
static int print_rows(void *user, size_t index, const float *rows, size_t n_rows, size_t n_floats) {
    printer *p = user;
    const cllm_pooling pooling = cllm_engine_pooling(p->r->engine);
    const bool is_none = pooling == CLLM_POOLING_NONE;
    if (p->o->cosine && is_none)
        return fail("--cosine compares one vector of each text, but the file's pooling gives one for each token: try "
                    "--pooling mean");
    if (p->o->cosine && pooling == CLLM_POOLING_RANK)
        return fail("--cosine compares vectors, but this pooling gives a classifier's scores: try --pooling mean, or "
                    "the command rerank");
    if (p->o->cosine) return print_cosine(p, rows, n_floats);
    if (p->o->raw) { /* the machine is little-endian, as the model file is */
        fwrite(rows, sizeof *rows, n_rows * n_floats, stdout);
        return ferror(stdout) ? flush_output() : EXIT_SUCCESS;
    }
    const bool nests = p->o->json && is_none;
    if (p->o->json) fputs(index > 0 ? ",\n " : "[", stdout);
    if (nests) putchar('[');
    for (size_t i = 0; i < n_rows; i++) {
        if (p->o->json) fputs(i > 0 ? ", [" : "[", stdout);
        print_row(rows + i * n_floats, n_floats, p->o->json ? ", " : " ");
        putchar(p->o->json ? ']' : '\n');
    }
    if (nests) putchar(']');
    if (p->o->json && index + 1 == p->texts->count) puts("]");
    return ferror(stdout) ? flush_output() : EXIT_SUCCESS;
}

/* Read the ids of --tokens as one text. */
static int read_tokens(const options *o, token_texts *texts) {
    id_list list = {0};
    int status = id_list_parse(&list, "--tokens", o->tokens, strlen(o->tokens));
    if (status == EXIT_SUCCESS && list.count == 0) status = usage_error("--tokens: no token ids");
    if (status == EXIT_SUCCESS) status = token_texts_add(texts, list.ids, list.count);
    free(list.ids);
    return status;
}

static int read_texts(const run *r, token_texts *texts) {
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    const options *o = r->o;
    if (!tokenizer) return fail_without_tokenizer(r);
    const size_t most = cllm_model_get_info(r->model)->n_ctx_train; /* 0: any length */
    input in = {0};
    int status = EXIT_SUCCESS;
    const bool given = o->prompt && strcmp(o->prompt, "-") != 0;
    if (!given) status = read_input(o->file ? o->file : "-", &in);
    const input text = given ? (input){(char *)o->prompt, strlen(o->prompt)} : in;
    cllm_string line = {"", 0};
    const bool is_empty = given && text.length == 0; /* an empty prompt is one text; a file without lines has none */
    for (size_t at = 0; status == EXIT_SUCCESS && (next_line(&text, &at, &line) || (is_empty && texts->count == 0));) {
        int32_t *tokens;
        size_t count;
        cllm_error err;
        if (cllm_tokenizer_encode(tokenizer, line.data, line.length, CLLM_ENCODE_ADD_SPECIAL, &tokens, &count, &err) !=
            CLLM_OK) {
            status = fail("line %zu: %s", texts->count + 1, err.message);
            break;
        }
        const size_t kept = o->truncate && most > 0 ? cut_tokens(tokenizer, tokens, count, most) : count;
        if (kept < count)
            note(o, "line %zu has %zu tokens, of which the first %zu count", texts->count + 1, count, kept);
        status = token_texts_add(texts, tokens, kept);
        cllm_free(tokens);
    }
    if (status == EXIT_SUCCESS && texts->count == 0) note(o, "there is no text, so there is no vector");
    free(in.data);
    return status;
}

static int check(const options *o) {
    if (o->json + o->raw + o->cosine > 1) return usage_error("--json, --raw and --cosine cannot be used together");
    if (o->tokens && (o->prompt || o->file)) return usage_error("--tokens and a text cannot be used together");
    if (o->prompt && o->file) return usage_error("--prompt and --file cannot be used together");
    if (o->tokens && o->truncate) return usage_error("--tokens and --truncate cannot be used together");
    if (o->cosine && o->tokens) return usage_error("--cosine compares two lines of text");
    if (o->cosine && strcmp(o->pooling, "none") == 0)
        return usage_error("--cosine compares one vector of each text, but --pooling none gives one for each token");
    return EXIT_SUCCESS;
}

int embed(const options *o) {
    run r = {0};
    token_texts texts = {0};
    printer p = {.o = o, .r = &r, .texts = &texts};
    const bool bar = !isatty(STDOUT_FILENO); /* on a terminal, the rows themselves show the progress */
    int status = check(o);
    if (status == EXIT_SUCCESS) status = run_load(&r, o);
    r.pooling = pooling_of(o->pooling);
    r.raw_embeddings = o->no_normalize;
    if (status == EXIT_SUCCESS) status = o->tokens ? read_tokens(o, &texts) : read_texts(&r, &texts);
    if (status == EXIT_SUCCESS && o->cosine && texts.count != 2)
        status = fail("--cosine needs two lines of text, but there are %zu", texts.count);
    if (status == EXIT_SUCCESS)
        status = embed_all(&r, &texts, o->tokens ? "--tokens: text" : "line", o->tokens ? "" : "; --truncate cuts it",
                           bar, print_rows, &p);
    if (status == EXIT_SUCCESS && o->json && texts.count == 0) puts("[]");
    if (status == EXIT_SUCCESS) status = flush_output();
    free(p.first);
    token_texts_free(&texts);
    run_close(&r);
    return status;
}
