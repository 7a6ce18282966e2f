/* SentencePiece BPE, for vocabularies of tokenizer.ggml.model "llama": owns what its texts look like before they are
 * merged. Before it: tokenizer.c, which takes special tokens out of the text. After it: merger.c.
 */
#include "base/error.h"
#include "text/merger.h"

#include <stdlib.h>

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
    cllm_status status = merger_encode(&m, prepared, (uint32_t)length, out, err);
    merger_free(&m);
    free(prepared);
    return status;
}
