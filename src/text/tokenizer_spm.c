/* SentencePiece BPE, for tokenizer.ggml.model "llama", and for vocabularies that merge texts line by line, such as
 * "gemma4": prepares a text for merging. Before it: tokenizer.c, which takes special tokens out of the text. After it:
 * merger.c. */
#include "base/error.h"
#include "text/merger.h"

#include <stdlib.h>

/* Merge each line alone, and each run of line feeds between lines. */
static cllm_status encode_lines(merger *m, const char *text, size_t length, token_list *out, cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (size_t at = 0, end; at < length && status == CLLM_OK; at = end) {
        const bool is_end = text[at] == '\n';
        for (end = at + 1; end < length && (text[end] == '\n') == is_end;) end++;
        const int32_t whole =
            is_end && m->tokenizer->whole_line_ends ? vocabulary_find(m->tokenizer, text + at, end - at) : -1;
        status =
            whole >= 0 ? token_list_add(out, whole, err) : merger_encode(m, text + at, (uint32_t)(end - at), out, err);
    }
    return status;
}

cllm_status spm_encode(const cllm_tokenizer *t, const char *text, size_t length, bool goes_on, token_list *out,
                       cllm_error *err) {
    merger m = {.tokenizer = t};
    char *prepared = malloc(length + 1);
    if (!prepared)
        return error_set(err, CLLM_ERR_MEMORY, "not enough memory to encode a text of %llu bytes",
                         (unsigned long long)length);
    prepared[0] = ' ';
    size_t prefix = t->add_space_prefix && !goes_on;
    length = prefix + unescape_spaces(text, length, prepared + prefix);
    cllm_status status = t->cuts_lines ? encode_lines(&m, prepared, length, out, err)
                                       : merger_encode(&m, prepared, (uint32_t)length, out, err);
    merger_free(&m);
    free(prepared);
    return status;
}
