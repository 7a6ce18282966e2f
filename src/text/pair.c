/* cllm_tokenizer_encode_pair: two texts in one, for models that rank documents. Both are untrusted: no control token is
 * found in them. Before it: the caller's texts. After it: cllm_eval.
 *
 *   WordPiece   [CLS] query [SEP] document [SEP]
 *   RoBERTa     <s> query </s> </s> document </s>
 *   a template  the file's text with {query} and {document} in it */
#include "text/tokenizer.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PARTS = 64 };

static bool begins_with(cllm_string text, const char *word) {
    return text.length >= strlen(word) && memcmp(text.data, word, strlen(word)) == 0;
}

/* Cut the template at the names of the two texts. Returns the number of parts, or 0 if there are too many. */
static size_t fill_template(cllm_string template, cllm_string query, cllm_string document, cllm_part *parts) {
    size_t n = 0;
    for (size_t from = 0, at = 0; from < template.length;) {
        const cllm_string rest = {template.data + at, template.length - at};
        const bool is_query = begins_with(rest, "{query}"), is_document = begins_with(rest, "{document}");
        if (rest.length > 0 && !is_query && !is_document) {
            at++;
            continue;
        }
        if (n + 2 > MOST_PARTS) return 0;
        if (at > from) parts[n++] = (cllm_part){true, {template.data + from, at - from}};
        if (is_query) parts[n++] = (cllm_part){false, query};
        if (is_document) parts[n++] = (cllm_part){false, document};
        at += is_query ? strlen("{query}") : is_document ? strlen("{document}") : 0;
        from = at;
    }
    return n;
}

static cllm_status add_text(const cllm_tokenizer *t, cllm_string text, token_list *out, cllm_error *err) {
    int32_t *ids;
    size_t count;
    cllm_status status = cllm_tokenizer_encode_parts(t, &(cllm_part){false, text}, 1, 0, &ids, &count, err);
    for (size_t i = 0; status == CLLM_OK && i < count; i++) status = token_list_add(out, ids[i], err);
    cllm_free(ids);
    return status;
}

/* Encode a pair without a template. Each text ends with EOS if the vocabulary adds one. */
static cllm_status join(const cllm_tokenizer *t, cllm_string query, cllm_string document, token_list *out,
                        cllm_error *err) {
    cllm_status status = t->add_bos ? token_list_add(out, t->bos, err) : CLLM_OK;
    if (status == CLLM_OK) status = add_text(t, query, out, err);
    if (status == CLLM_OK && t->add_eos) status = token_list_add(out, t->eos, err);
    if (status == CLLM_OK && t->separator >= 0) status = token_list_add(out, t->separator, err);
    if (status == CLLM_OK) status = add_text(t, document, out, err);
    if (status == CLLM_OK && t->add_eos) status = token_list_add(out, t->eos, err);
    return status;
}

cllm_status cllm_tokenizer_encode_pair(const cllm_tokenizer *tokenizer, cllm_string query, cllm_string document,
                                       int32_t **tokens, size_t *count, cllm_error *err) {
    if (tokenizer->pair_template.length > 0) {
        cllm_part parts[MOST_PARTS];
        const size_t n = fill_template(tokenizer->pair_template, query, document, parts);
        if (n == 0)
            return error_set_at(
                err, CLLM_ERR_UNSUPPORTED, "tokenizer.chat_template.rerank", CLLM_NO_OFFSET,
                "tokenizer.chat_template.rerank: it names the texts too often; at most %d parts are allowed",
                MOST_PARTS);
        return cllm_tokenizer_encode_parts(tokenizer, parts, n, 0, tokens, count, err);
    }
    token_list list = {0};
    const cllm_status status = token_list_reserve(&list, 1)
                                   ? join(tokenizer, query, document, &list, err)
                                   : error_set(err, CLLM_ERR_MEMORY, "not enough memory for the tokens");
    if (status != CLLM_OK) free(list.ids);
    *tokens = status == CLLM_OK ? list.ids : NULL;
    *count = status == CLLM_OK ? list.count : 0;
    return status;
}
