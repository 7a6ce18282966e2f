/* Sorts documents by how well they answer a query. Each line is a document. */
#include "commands.h"
#include "embedder.h"
#include "json_output.h"
#include "ranking.h"

#include <stdlib.h>
#include <string.h>

/* The documents in the order of the file, with their scores. */
typedef struct ranking {
    ranked *items; /* [count], owned */
    size_t count, capacity;
} ranking;

static int add_document(ranking *list, cllm_string document) {
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 64;
        ranked *items = realloc(list->items, capacity * sizeof *items);
        if (!items) return fail("out of memory");
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count] = (ranked){list->count, document, 0};
    list->count++;
    return EXIT_SUCCESS;
}

/* The query is --prompt, or standard input without the newline at its end. in: out, what was read; owned. */
static int read_query(const options *o, input *in, cllm_string *query) {
    *query = (cllm_string){o->prompt, strlen(o->prompt)};
    if (strcmp(o->prompt, "-") != 0) return EXIT_SUCCESS;
    const int status = read_input("-", in);
    *query = (cllm_string){in->data ? in->data : "", in->length};
    if (query->length > 0 && query->data[query->length - 1] == '\n') query->length--;
    return status;
}

static int read_pairs(const run *r, cllm_string query, const input *in, ranking *list, token_texts *texts) {
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    cllm_string line;
    int status = EXIT_SUCCESS;
    for (size_t at = 0; status == EXIT_SUCCESS && next_line(in, &at, &line);) {
        int32_t *tokens = NULL;
        size_t count;
        cllm_error err;
        if (cllm_tokenizer_encode_pair(tokenizer, query, line, &tokens, &count, &err) != CLLM_OK)
            return fail("line %zu: %s", list->count + 1, err.message);
        status = token_texts_add(texts, tokens, count);
        if (status == EXIT_SUCCESS) status = add_document(list, line);
        cllm_free(tokens);
    }
    return status;
}

static int take_score(void *user, size_t index, const float *rows, size_t n_rows, size_t n_floats) {
    (void)n_rows, (void)n_floats;
    ((ranking *)user)->items[index].score = rows[0];
    return EXIT_SUCCESS;
}

static int print_ranking(const options *o, const ranking *list) {
    json_t *results = json_array();
    for (size_t i = 0; i < list->count && !ferror(stdout); i++) {
        const ranked *d = &list->items[i];
        if (o->json) {
            json_t *one = json_object();
            json_put(&one, "index", json_integer((json_int_t)d->index));
            json_put(&one, "relevance_score", json_real((double)d->score));
            json_put(&one, "document", json_text(d->document.data, d->document.length));
            json_add(&results, one);
            continue;
        }
        printf("%zu\t%.9g\t", d->index, (double)d->score);
        fwrite(d->document.data, 1, d->document.length, stdout);
        putchar('\n');
    }
    if (o->json) return print_json(results);
    json_decref(results);
    return flush_output();
}

int rerank(const options *o) {
    if (!o->prompt) return usage_error("rerank needs a query: --prompt TEXT");
    if (strcmp(o->prompt, "-") == 0 && (!o->file || strcmp(o->file, "-") == 0))
        return usage_error("rerank: the query and the documents cannot both be standard input: give --file FILE");
    run r = {0};
    input asked = {0}, in = {0};
    cllm_string query = {0};
    ranking list = {0};
    token_texts texts = {0};
    int status = run_load(&r, o);
    if (status == EXIT_SUCCESS && cllm_model_get_info(r.model)->n_scores == 0)
        status = fail("%s: the model cannot rank documents: it has no classifier (cls.output.weight); "
                      "BERT rerankers and Qwen3-Reranker have one",
                      o->model);
    if (status == EXIT_SUCCESS && !cllm_model_tokenizer(r.model)) status = fail_without_tokenizer(&r);
    r.pooling = CLLM_POOLING_RANK;
    if (status == EXIT_SUCCESS) status = read_query(o, &asked, &query);
    if (status == EXIT_SUCCESS) status = read_input(o->file ? o->file : "-", &in);
    if (status == EXIT_SUCCESS) status = read_pairs(&r, query, &in, &list, &texts);
    if (status == EXIT_SUCCESS) status = embed_all(&r, &texts, "the query with line", "", true, take_score, &list);
    if (status == EXIT_SUCCESS && list.count > 0) qsort(list.items, list.count, sizeof *list.items, compare_ranked);
    if (status == EXIT_SUCCESS) status = print_ranking(o, &list);
    free(list.items);
    free(asked.data);
    free(in.data);
    token_texts_free(&texts);
    run_close(&r);
    return status;
}
