/* Owns the form of pairs for rerankers. Both texts are untrusted: no special token is read in them.
 *
 *   BERT     [CLS] query [SEP] document [SEP]
 *   RoBERTa  <s> query </s> </s> document </s>
 *   others   the file's template "rerank", with {query} and {document} in it
 */
#include "pair.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PARTS = 64 };

static cllm_string string_of(const cllm_gguf *gguf, const char *key) {
    const cllm_value *value = cllm_gguf_find(gguf, key);
    return value && value->type == CLLM_STRING ? value->string : (cllm_string){"", 0};
}

static bool begins_with(cllm_string text, const char *word) {
    return text.length >= strlen(word) && memcmp(text.data, word, strlen(word)) == 0;
}

/* Split the template at the names of the two texts. Returns the number of parts; parts that do not fit into `parts` are
 * dropped. */
static size_t fill_template(cllm_string template, cllm_string query, cllm_string document, cllm_part *parts) {
    size_t n = 0;
    for (size_t from = 0, at = 0; from < template.length && n + 2 <= MOST_PARTS;) {
        const cllm_string rest = {template.data + at, template.length - at};
        const bool is_query = begins_with(rest, "{query}"), is_document = begins_with(rest, "{document}");
        if (rest.length > 0 && !is_query && !is_document) {
            at++;
            continue;
        }
        if (at > from) parts[n++] = (cllm_part){true, {template.data + from, at - from}};
        if (is_query) parts[n++] = (cllm_part){false, query};
        if (is_document) parts[n++] = (cllm_part){false, document};
        at += is_query ? strlen("{query}") : is_document ? strlen("{document}") : 0;
        from = at;
    }
    return n;
}

/* The token between the two texts, in addition to the end of the first one; or -1. */
static int32_t separator_of(const cllm_model *model) {
    const cllm_gguf *gguf = cllm_model_gguf(model);
    const cllm_string kind = string_of(gguf, "tokenizer.ggml.model"), pre = string_of(gguf, "tokenizer.ggml.pre");
    const cllm_value *adds = cllm_gguf_find(gguf, "tokenizer.ggml.add_sep_token");
    const cllm_value *id = cllm_gguf_find(gguf, "tokenizer.ggml.seperator_token_id");
    if (begins_with(kind, "bert")) return -1; /* the [SEP] at the end is enough */
    const bool usual =
        begins_with(pre, "roberta-bpe") || begins_with(pre, "jina-v1-en") || begins_with(pre, "jina-v2-code");
    if (!id || id->type != CLLM_UINT32 || id->u >= cllm_model_get_info(model)->n_vocab) return -1;
    return (adds && adds->type == CLLM_BOOL ? adds->b : usual) ? (int32_t)id->u : -1;
}

static size_t put(int32_t *to, size_t at, const int32_t *tokens, size_t count) {
    if (count > 0) memcpy(to + at, tokens, count * sizeof *to);
    return at + count;
}

static cllm_status join(const cllm_model *model, cllm_string query, cllm_string document, int32_t **tokens,
                        size_t *count, cllm_error *err) {
    const cllm_tokenizer *t = cllm_model_tokenizer(model);
    const int32_t bos = cllm_tokenizer_bos(t), eos = cllm_tokenizer_eos(t), separator = separator_of(model);
    int32_t *asked = NULL, *answer = NULL;
    size_t n_asked, n_answer, n = 0;
    const cllm_part parts[] = {{false, query}, {false, document}};
    cllm_status status = cllm_tokenizer_encode_parts(t, &parts[0], 1, 0, &asked, &n_asked, err);
    if (status == CLLM_OK) status = cllm_tokenizer_encode_parts(t, &parts[1], 1, 0, &answer, &n_answer, err);
    int32_t *pair = status == CLLM_OK ? malloc((n_asked + n_answer + 4) * sizeof *pair) : NULL;
    if (status == CLLM_OK && !pair) {
        *err = (cllm_error){.status = CLLM_ERR_MEMORY, .message = "out of memory"};
        status = CLLM_ERR_MEMORY;
    }
    if (status == CLLM_OK) {
        n = put(pair, n, &bos, cllm_tokenizer_adds_bos(t));
        n = put(pair, n, asked, n_asked);
        n = put(pair, n, &eos, cllm_tokenizer_adds_eos(t));
        n = put(pair, n, &separator, separator >= 0);
        n = put(pair, n, answer, n_answer);
        n = put(pair, n, &eos, cllm_tokenizer_adds_eos(t));
        *tokens = pair;
        *count = n;
    }
    cllm_free(asked);
    cllm_free(answer);
    return status;
}

cllm_status pair_encode(const cllm_model *model, cllm_string query, cllm_string document, int32_t **tokens,
                        size_t *count, cllm_error *err) {
    const cllm_string template = string_of(cllm_model_gguf(model), "tokenizer.chat_template.rerank");
    if (template.length == 0) return join(model, query, document, tokens, count, err);
    cllm_part parts[MOST_PARTS];
    const size_t n = fill_template(template, query, document, parts);
    return cllm_tokenizer_encode_parts(cllm_model_tokenizer(model), parts, n, 0, tokens, count, err);
}
