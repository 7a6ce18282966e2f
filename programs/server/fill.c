/* Implements fill.h. */
#include "server/fill.h"

#include <string.h>

static int32_t by_key(const cllm_gguf *gguf, const cllm_tokenizer *tokenizer, const char *key, const char *older_key) {
    const cllm_value *value = cllm_gguf_find(gguf, key);
    if (!value && older_key) value = cllm_gguf_find(gguf, older_key);
    const bool is_whole =
        value && (value->type <= CLLM_INT32 || value->type == CLLM_UINT64 || value->type == CLLM_INT64);
    /* a negative number is out of range too */
    return is_whole && value->u < cllm_tokenizer_n_vocab(tokenizer) ? (int32_t)value->u : -1;
}

/* The special token that spells this whole text, or -1. */
static int32_t by_spelling(const cllm_tokenizer *tokenizer, const char *text) {
    int32_t *tokens, id = -1;
    size_t count;
    if (cllm_tokenizer_encode(tokenizer, text, strlen(text), CLLM_ENCODE_PARSE_SPECIAL | CLLM_ENCODE_GOES_ON, &tokens,
                              &count, NULL) != CLLM_OK)
        return -1;
    if (count == 1 && cllm_tokenizer_piece(tokenizer, tokens[0]).length == strlen(text)) id = tokens[0];
    cllm_free(tokens);
    return id;
}

static int32_t by_either(const cllm_gguf *gguf, const cllm_tokenizer *tokenizer, const char *key,
                         const char *const *spellings) {
    int32_t id = by_key(gguf, tokenizer, key, NULL);
    while (id < 0 && *spellings) id = by_spelling(tokenizer, *spellings++);
    return id;
}

bool find_fill_tokens(const cllm_gguf *gguf, const cllm_tokenizer *tokenizer, fill_tokens *found) {
    static const char *const spellings[][3] = {
        {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},    /* Qwen Coder, CodeGemma, Granite */
        {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},          /* StarCoder */
        {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},          /* SantaCoder */
        {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},    /* DeepSeek Coder */
        {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"}, /* GLM */
    };
    static const char *const repositories[] = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>",
                                               "<reponame>",   "<repo_name>",   NULL};
    static const char *const files[] = {"<|file_sep|>", "<file_sep>", NULL};
    found->repository = by_either(gguf, tokenizer, "tokenizer.ggml.fim_rep_token_id", repositories);
    found->file = by_either(gguf, tokenizer, "tokenizer.ggml.fim_sep_token_id", files);
    found->prefix = by_key(gguf, tokenizer, "tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id");
    found->suffix = by_key(gguf, tokenizer, "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id");
    found->middle = by_key(gguf, tokenizer, "tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id");
    if (found->prefix >= 0 && found->suffix >= 0 && found->middle >= 0) return true;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        found->prefix = by_spelling(tokenizer, spellings[i][0]);
        found->suffix = by_spelling(tokenizer, spellings[i][1]);
        found->middle = by_spelling(tokenizer, spellings[i][2]);
        if (found->prefix >= 0 && found->suffix >= 0 && found->middle >= 0) return true;
    }
    found->prefix = by_spelling(tokenizer, "[PREFIX]"); /* Codestral */
    found->suffix = by_spelling(tokenizer, "[SUFFIX]");
    return found->prefix >= 0 && found->suffix >= 0;
}
