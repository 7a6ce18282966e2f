/* Special tokens: finds out which tokens end a text, and which remove the white space beside them, and lists the tokens
 * that texts are searched for. Before it: vocabulary.c. After it: tokenizer.c.
 *
 * Files often say too little about this, so llama.cpp decides by the spellings of tokens and the names of models. The
 * tables here are the same as llama.cpp's, so that files which were made for it give the same results. */
#include "base/error.h"
#include "gguf/gguf.h"
#include "gguf/metadata.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------ what ends a text */

static const char *const end_keys[] = {
    "tokenizer.ggml.eot_token_id",     "tokenizer.ggml.eom_token_id",     "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id",
};

#define DEEPSEEK_END \
    "<\xEF\xBD\x9C"  \
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>" /* <｜end▁of▁sentence｜> */

/* Spellings of tokens that end a turn, a message or a text, or that a code model writes after it has filled a gap. */
static const char *const end_spellings[] = {
    "<|eot_id|>",    "<|im_end|>",
    "<|end|>",       "<|return|>",
    "<|call|>",      "<|calls|>",
    "<|flush|>",     "<end_of_turn>",
    "<|endoftext|>", "<|end_of_text|>",
    "</s>",          "<eos>",
    "<|eom_id|>",    "<EOT>",
    "_<EOT>",        "[EOT]",
    "[EOS]",         "<end_of_utterance>",
    "<turn|>",       "<|tool_response>",
    (DEEPSEEK_END),  "[e~[",
    "<|fim_pad|>",   "<fim-pad>",
    "<fim_pad>",     "<PAD>",
    "[PAD]",         "<|fim_repo|>",
    "<|repo_name|>", "<fim-repo>",
    "<REPO>",        "<reponame>",
    "<|file_sep|>",
};

/* gpt-oss separates the parts of an answer with these tokens. They are shown as text. */
static const char *const shown_spellings[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

/* If the vocabulary has the first two tokens, the third one does not end a text. */
static const struct {
    const char *spellings[3];
    token_type type; /* the type that the third one gets */
} exceptions[] = {
    {{"<|return|>", "<|call|>", "<|end|>"}, TOKEN_USER_DEFINED}, /* gpt-oss: it only ends a channel */
    {{"<|flush|>", "<|calls|>", "<|end|>"}, TOKEN_USER_DEFINED}, /* Solar */
    {{"<|return|>", "<|calls|>", "<|end|>"}, TOKEN_USER_DEFINED},
    {{"<|flush|>", "<|call|>", "<|end|>"}, TOKEN_USER_DEFINED},
    {{"<|tool_response>", "<|tool_response>", "</s>"}, TOKEN_NORMAL}, /* Gemma 4: an HTML tag */
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_one_of(cllm_string spelling, const char *const *texts, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (gguf_is_text(spelling, texts[i])) return true;
    return false;
}

static void find_by_spelling(cllm_tokenizer *t) {
    vocabulary_token *found[COUNT(exceptions)][3] = {0};
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        vocabulary_token *token = &t->tokens[id];
        cllm_string spelling = token->spelling;
        if (spelling.length == 0 || !memchr("<[_", spelling.data[0], 3)) continue; /* most tokens */
        if (is_one_of(spelling, end_spellings, COUNT(end_spellings))) {
            token->ends_text = true;
            token->type = TOKEN_CONTROL;
        } else if (is_one_of(spelling, shown_spellings, COUNT(shown_spellings))) {
            token->type = TOKEN_USER_DEFINED;
        }
        for (size_t i = 0; i < COUNT(exceptions); i++)
            for (int k = 0; k < 3; k++)
                if (gguf_is_text(spelling, exceptions[i].spellings[k])) found[i][k] = token;
    }
    for (size_t i = 0; i < COUNT(exceptions); i++) {
        if (!found[i][0] || !found[i][1] || !found[i][2]) continue;
        found[i][2]->ends_text = false;
        found[i][2]->type = exceptions[i].type;
    }
}

/* Some files, such as ollama's, list all ends of a text in an array, whatever their spelling. */
static cllm_status find_listed_ends(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    static const char key[] = "tokenizer.ggml.eos_token_ids";
    const cllm_value *value = cllm_gguf_find(gguf, key);
    const cllm_value_type any = value && value->type == CLLM_ARRAY ? value->array.element_type : CLLM_INT32;
    cllm_array ids = {0};
    cllm_status status = gguf_get_array(gguf, key, GGUF_OPTIONAL, any, &ids, err);
    cllm_value element;
    for (size_t i = 0; status == CLLM_OK && cllm_array_next(&ids, &element); i++) {
        uint64_t id;
        if (!gguf_value_as_u64(&element, &id) || id >= t->n_vocab)
            return error_set_at(err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET,
                                "%s: element %zu is not a token of the vocabulary of %u", key, i, t->n_vocab);
        t->tokens[id].ends_text = true;
    }
    return status;
}

cllm_status find_end_tokens(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    if (t->eos >= 0) t->tokens[t->eos].ends_text = true;
    for (size_t i = 0; i < COUNT(end_keys); i++) {
        int32_t id;
        cllm_status status = load_token_id(t, gguf, end_keys[i], &id, err);
        if (status != CLLM_OK) return status;
        if (id >= 0) t->tokens[id].ends_text = true;
    }
    find_by_spelling(t);
    return find_listed_ends(t, gguf, err);
}

/* ------------------------------------------------------------------------------------------ white space beside them */

typedef struct strip_rule {
    const char *key;      /* a string of the file */
    const char *contains; /* a part of it, in small letters */
    const char *token;    /* or NULL: all except those of `never_stripped` */
    bool left;            /* else right */
} strip_rule;

static const strip_rule strip_rules[] = {
    {"general.name", "phi-3", NULL, false},
    {"general.name", "phi3", NULL, false},
    {"general.name", "modern-bert", "[MASK]", true},
    {"tokenizer.ggml.pre", "jina-v2-de", "<mask>", true},
    {"tokenizer.ggml.pre", "jina-v2-es", "<mask>", true},
    {"tokenizer.ggml.pre", "jina-v2-code", "<mask>", true},
};
static const char *const never_stripped[] = {"<unk>", "<s>", "<|endoftext|>"};

/* True if the text contains `part`; capitals in the text count as small letters. */
static bool contains(cllm_string text, const char *part) {
    size_t length = strlen(part);
    for (size_t at = 0; at + length <= text.length; at++) {
        size_t same = 0;
        while (same < length &&
               (text.data[at + same] >= 'A' && text.data[at + same] <= 'Z' ? text.data[at + same] + ('a' - 'A')
                                                                           : text.data[at + same]) == part[same])
            same++;
        if (same == length) return true;
    }
    return false;
}

static void mark_strips(cllm_tokenizer *t, const cllm_gguf *gguf, size_t n_specials) {
    for (size_t i = 0; i < COUNT(strip_rules); i++) {
        const strip_rule *r = &strip_rules[i];
        const cllm_value *value = cllm_gguf_find(gguf, r->key);
        if (!value || value->type != CLLM_STRING || !contains(value->string, r->contains)) continue;
        for (special_token *special = t->specials; special < t->specials + n_specials; special++) {
            bool meant = r->token ? gguf_is_text(special->spelling, r->token)
                                  : !is_one_of(special->spelling, never_stripped, COUNT(never_stripped));
            special->strips_left = special->strips_left || (meant && r->left);
            special->strips_right = special->strips_right || (meant && !r->left);
        }
    }
}

/* ------------------------------------------------------------------------------------------ the list */

static int compare_specials(const void *left, const void *right) {
    const special_token *a = left, *b = right;
    size_t common = a->spelling.length < b->spelling.length ? a->spelling.length : b->spelling.length;
    int order = memcmp(a->spelling.data, b->spelling.data, common);
    if (order != 0) return order;
    if (a->spelling.length != b->spelling.length) return a->spelling.length < b->spelling.length ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

static bool same_spelling(const special_token *a, const special_token *b) {
    return a->spelling.length == b->spelling.length &&
           memcmp(a->spelling.data, b->spelling.data, a->spelling.length) == 0;
}

/* True if a user-defined token is ordinary text, such as a run of spaces. Marks that control the model may be
 * user-defined too; they have brackets or bars. */
static bool is_text(const vocabulary_token *token) {
    if (token->type != TOKEN_USER_DEFINED) return false;
    for (size_t i = 0; i < token->text.length; i++)
        if (memchr("<>[]|", token->text.data[i], 5)) return false;
    return true;
}

cllm_status collect_specials(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    size_t n = 0;
    for (uint32_t id = 0; id < t->n_vocab; id++) n += token_is_special(t->tokens[id].type);
    t->specials = arena_alloc(&t->memory, n, sizeof *t->specials);
    if (!t->specials) return error_set(err, CLLM_ERR_MEMORY, "not enough memory for the special tokens");

    n = 0;
    for (uint32_t id = 0; id < t->n_vocab; id++)
        if (token_is_special(t->tokens[id].type) && t->tokens[id].text.length > 0)
            t->specials[n++] =
                (special_token){.spelling = t->tokens[id].text, .id = (int32_t)id, .is_text = is_text(&t->tokens[id])};
    qsort(t->specials, n, sizeof *t->specials, compare_specials);

    size_t n_distinct = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && same_spelling(&t->specials[i], &t->specials[n_distinct - 1])) continue;
        t->specials[n_distinct++] = t->specials[i];
        t->specials_from[(unsigned char)t->specials[i].spelling.data[0] + 1] = (uint32_t)n_distinct;
    }
    mark_strips(t, gguf, n_distinct);
    for (int byte = 0; byte < 256; byte++) /* a byte without tokens has an empty range */
        if (t->specials_from[byte + 1] == 0) t->specials_from[byte + 1] = t->specials_from[byte];
    return CLLM_OK;
}
