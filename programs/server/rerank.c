/* Sorts documents by how well they answer a query, in the form of llama-server, Jina and Cohere, or of Hugging Face's
 * Text Embeddings Inference, TEI (texts, return_text, a list as answer). Each document is joined with the query and
 * evaluated like a text to embed; the vector is its score. */
#include "server/ask.h"
#include "server/dialects.h"
#include "server/llama.h"

#include "ranking.h"
#include "server/write.h"

#include <stdlib.h>
#include <string.h>

/* details: {top_n, is_tei, documents or null} */
static json_t *result_of(const request *r, const ranked *d) {
    const bool is_tei = json_is_true(json_object_get(r->details, "is_tei"));
    json_t *text = json_array_get(json_object_get(r->details, "documents"), d->index), *o = json_object();
    json_put(&o, "index", json_integer((json_int_t)d->index));
    json_put(&o, is_tei ? "score" : "relevance_score", json_number((double)d->score));
    if (text && is_tei) json_put(&o, "text", json_incref(text));
    if (text && !is_tei) json_put(&o, "document", json_pack("{s:O}", "text", text));
    return o;
}

static json_t *ranking_whole(request *r) {
    const usage u = request_usage(r);
    const size_t n_most = (size_t)json_integer_value(json_object_get(r->details, "top_n"));
    ranked *list = malloc(r->n_choices * sizeof *list);
    json_t *results = list ? json_array() : NULL, *o = json_object();
    for (size_t i = 0; list && i < r->n_choices; i++)
        list[i] = (ranked){.index = i, .score = r->outcomes[i].embedding[0]};
    if (list) qsort(list, r->n_choices, sizeof *list, compare_ranked);
    for (size_t i = 0; list && i < r->n_choices && i < n_most; i++) json_add(&results, result_of(r, &list[i]));
    free(list);
    if (json_is_true(json_object_get(r->details, "is_tei"))) {
        json_decref(o);
        return results;
    }
    json_put(&o, "id", json_string(r->id));
    json_put(&o, "object", json_string("list"));
    json_put(&o, "model", json_text(r->model->name, strlen(r->model->name)));
    json_put(&o, "results", results);
    json_put(&o, "usage",
             json_pack("{s:I, s:I}", "prompt_tokens", (json_int_t)u.n_prompt, "total_tokens", (json_int_t)u.n_prompt));
    return o;
}

static const answer_form ranking_form = {.whole = ranking_whole};

/* A document is a text, or for Cohere an object with a text. */
static const json_t *text_of(const json_t *document) {
    return json_is_object(document) ? json_object_get(document, "text") : document;
}

static cllm_string string_of(const json_t *text) {
    return (cllm_string){json_string_value(text), json_string_length(text)};
}

static bool add_pairs(request *r, const json_t *query, const char *name, const json_t *documents, json_t *texts,
                      failure *f) {
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model->run.model);
    const json_t *document;
    size_t i;
    json_array_foreach(documents, i, document) {
        const json_t *text = text_of(document);
        int32_t *tokens;
        size_t count;
        cllm_error err;
        if (!json_is_string(text)) return refuse(f, 400, name, "%s[%zu]: must be a text", name, i);
        if (texts && json_array_append(texts, (json_t *)text) != 0) return refuse_memory(f);
        if (cllm_tokenizer_encode_pair(tokenizer, string_of(query), string_of(text), &tokens, &count, &err) != CLLM_OK)
            return refuse(f, 400, name, "%s[%zu]: %s", name, i, err.message);
        if (!request_add_prompt(r, tokens, count)) return refuse_memory(f);
        const uint32_t n_ctx = r->model->n_ctx;
        if (count > n_ctx) /* now, before thousands of documents are encoded */
            return refuse_length(f, count, n_ctx, model_may_grow(r->model, n_ctx));
    }
    return true;
}

static bool take_ranking(request *r, const json_t *body, failure *f) {
    const bool is_tei = field_find(body, "texts") != NULL;
    const char *name = is_tei ? "texts" : "documents";
    const json_t *query = field_find(body, "query"), *documents = NULL;
    int64_t n_most = INT32_MAX;
    bool returns = false;
    if (cllm_engine_pooling(r->model->run.engine) != CLLM_POOLING_RANK)
        return refuse(f, 501, NULL, "this model does not support reranking: %s",
                      cllm_model_get_info(r->model->run.model)->n_scores > 0
                          ? "the server makes vectors with it, not scores; start it with --pooling rank"
                          : "it has no classifier (cls.output.weight)");
    if (!field_array(body, name, &documents, f) || !field_whole(body, "top_n", 1, INT32_MAX, &n_most, f) ||
        !field_bool(body, is_tei ? "return_text" : "return_documents", &returns, f))
        return false;
    if (!json_is_string(query)) return refuse(f, 400, "query", "query: must be a text");
    if (json_array_size(documents) == 0) return refuse(f, 400, name, "%s: must have at least one text", name);
    if (json_array_size(documents) > MOST_EMBEDDINGS)
        return refuse(f, 400, name, "%s: at most %d in one request", name, MOST_EMBEDDINGS);
    r->details = json_pack("{s:I, s:b, s:o}", "top_n", (json_int_t)n_most, "is_tei", is_tei, "documents",
                           returns ? json_array() : json_null());
    if (!r->details) return refuse_memory(f);
    json_t *texts = returns ? json_object_get(r->details, "documents") : NULL;
    return add_pairs(r, query, name, documents, texts, f) && ask_end(r, f);
}

void llama_rerank(exchange *x) { answer_with(x, REQUEST_EMBED, "rerank-", &ranking_form, take_ranking); }
