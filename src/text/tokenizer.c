/* cllm_tokenizer: makes a tokenizer, and turns text into ids and ids into bytes. Before it: vocabulary.c, which reads
 * the file's keys. After it: cllm_eval, which takes the ids, and the program, which prints the bytes.
 *
 * This file cuts special tokens (control, unknown, user-defined) out of the text. The text between them goes to the
 * algorithm for the model's kind of vocabulary. */
#include "text/tokenizer.h"

#include "base/checked.h"
#include "base/error.h"
#include "gguf/gguf.h"
#include "text/merger.h"
#include "text/sorted_texts.h"

#include <stdlib.h>
#include <string.h>

#define MODEL_KEY      "tokenizer.ggml.model"
#define PRE_KEY        "tokenizer.ggml.pre"
#define MAX_TEXT_BYTES ((size_t)1 << 30)

/* ------------------------------------------------------------------------------------------ making one */

/* True for vocabularies that cut text into lines, not into words, and spell a space as SentencePiece does. */
static bool choose_line_cutter(cllm_tokenizer *t, cllm_string name) {
    t->whole_line_ends = gguf_is_text(name, "gemma4") || gguf_is_text(name, "granite-embed-multi-311m");
    t->cuts_lines = t->whole_line_ends || gguf_is_text(name, "sarvam-moe");
    t->kind = t->cuts_lines ? KIND_SPM : KIND_BPE;
    return t->cuts_lines;
}

/* Find the pre-tokenizer that a file with byte-level BPE names. */
static cllm_status choose_pretokenizer(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    cllm_string name = {0};
    cllm_status status = gguf_get_string(gguf, PRE_KEY, GGUF_OPTIONAL, &name, err);
    if (status != CLLM_OK || choose_line_cutter(t, name)) return status;
    t->guessed_pre = name.length == 0;
    if (t->guessed_pre) name = (cllm_string){"default", 7};
    t->pre = pretokenizer_find(name.data, name.length);
    t->wants_nfc = pretokenizer_wants_nfc(name.data, name.length);
    if (t->pre) return CLLM_OK;
    return error_set_at(
        err, CLLM_ERR_UNSUPPORTED, PRE_KEY, CLLM_NO_OFFSET,
        PRE_KEY
        ": the pre-tokenizer \"%.*s\" is not known; override the key with a known one, such as llama-bpe or qwen2",
        shown_length(name), name.data);
}

static cllm_status choose_kind(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    cllm_string model = {0};
    cllm_status status = gguf_get_string(gguf, MODEL_KEY, GGUF_REQUIRED, &model, err);
    if (status != CLLM_OK) return status;
    if (gguf_is_text(model, "gpt2")) return choose_pretokenizer(t, gguf, err);
    if (gguf_is_text(model, "gemma4"))
        choose_line_cutter(t, model);
    else if (gguf_is_text(model, "bert"))
        t->kind = KIND_WORDPIECE;
    else if (gguf_is_text(model, "t5"))
        t->kind = KIND_UNIGRAM;
    else if (gguf_is_text(model, "rwkv"))
        t->kind = KIND_RWKV;
    else if (!gguf_is_text(model, "llama"))
        return error_set_at(err, CLLM_ERR_UNSUPPORTED, MODEL_KEY, CLLM_NO_OFFSET,
                            MODEL_KEY
                            ": \"%.*s\" is not supported; supported are \"llama\" (SentencePiece BPE), \"gpt2\" "
                            "(byte-level BPE), \"gemma4\" (BPE of lines), \"bert\" (WordPiece), \"t5\" (Unigram) and "
                            "\"rwkv\" (longest matches)",
                            shown_length(model), model.data);
    return CLLM_OK;
}

static cllm_status load(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    static const char scores[] = "tokenizer.ggml.scores";
    const bool has_scores = cllm_gguf_find(gguf, scores) != NULL;
    cllm_status status = choose_kind(t, gguf, err);
    if (status != CLLM_OK) return status;
    const bool merges = t->kind == KIND_BPE || t->cuts_lines || (t->kind == KIND_SPM && !has_scores);
    if (!t->pre && merges && !t->cuts_lines && !cllm_gguf_find(gguf, "tokenizer.ggml.merges"))
        return error_set_at(err, CLLM_ERR_FORMAT, scores, CLLM_NO_OFFSET,
                            "%s: missing, and tokenizer.ggml.merges too; one of them is needed", scores);
    if (t->kind == KIND_UNIGRAM && !has_scores)
        return error_set_at(err, CLLM_ERR_FORMAT, scores, CLLM_NO_OFFSET,
                            "%s: missing, and the vocabulary is Unigram's, which needs them", scores);
    status = vocabulary_load(t, gguf, err);
    if (status == CLLM_OK && merges) status = merges_load(t, gguf, err);
    if (status == CLLM_OK && t->kind == KIND_UNIGRAM) status = unigram_load(t, gguf, err);
    if (status == CLLM_OK && t->kind == KIND_RWKV) status = sort_texts(t, err);
    return status;
}

cllm_status cllm_tokenizer_create(const cllm_gguf *gguf, cllm_tokenizer **out, cllm_error *err) {
    *out = NULL;
    cllm_tokenizer *t = calloc(1, sizeof *t);
    if (!t) return error_set(err, CLLM_ERR_MEMORY, "not enough memory for the tokenizer");
    cllm_status status = load(t, gguf, err);
    if (status != CLLM_OK) {
        cllm_tokenizer_destroy(t);
        return status;
    }
    *out = t;
    return CLLM_OK;
}

void cllm_tokenizer_destroy(cllm_tokenizer *tokenizer) {
    if (!tokenizer) return;
    arena_free(&tokenizer->memory);
    free(tokenizer);
}

uint32_t cllm_tokenizer_n_vocab(const cllm_tokenizer *tokenizer) { return tokenizer->n_vocab; }
int32_t cllm_tokenizer_bos(const cllm_tokenizer *tokenizer) { return tokenizer->bos; }
int32_t cllm_tokenizer_eos(const cllm_tokenizer *tokenizer) { return tokenizer->eos; }
bool cllm_tokenizer_adds_bos(const cllm_tokenizer *tokenizer) { return tokenizer->add_bos; }
bool cllm_tokenizer_adds_eos(const cllm_tokenizer *tokenizer) { return tokenizer->add_eos; }

/* ------------------------------------------------------------------------------------------ special tokens */

/* The first of specials[low .. high - 1] whose byte at `depth` is `byte` or greater, or `high`. They are sorted, agree
 * in their first `depth` bytes, and are longer. */
static uint32_t first_from_byte(const cllm_tokenizer *t, uint32_t low, uint32_t high, size_t depth, int byte) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((unsigned char)t->specials[middle].spelling.data[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Which special tokens are found in a text. */
typedef enum special_rule { FIND_USER_DEFINED, FIND_ALL, FIND_TRUSTED } special_rule;

static bool is_found(const cllm_tokenizer *t, const special_token *special, special_rule rule, size_t n_trusted) {
    switch (rule) {
    case FIND_USER_DEFINED: return t->tokens[special->id].type == TOKEN_USER_DEFINED;
    case FIND_TRUSTED: return special->is_text || special->spelling.length <= n_trusted;
    default: return true;
    }
}

/* The longest special token that the text begins with and that `rule` allows, or NULL. Each byte of the text narrows
 * the range of candidates. length: 1 or more; n_trusted: how many of the first bytes are trusted. */
static const special_token *special_at(const cllm_tokenizer *t, const char *text, size_t length, special_rule rule,
                                       size_t n_trusted) {
    const special_token *longest = NULL;
    uint32_t low = t->specials_from[(unsigned char)text[0]];
    uint32_t high = t->specials_from[(unsigned char)text[0] + 1];
    for (size_t depth = 1; low < high; depth++) {
        const special_token *candidate = &t->specials[low];
        if (candidate->spelling.length == depth) {
            if (is_found(t, candidate, rule, n_trusted)) longest = candidate;
            low++;
        }
        if (depth == length) break;
        int byte = (unsigned char)text[depth];
        low = first_from_byte(t, low, high, depth, byte);
        high = first_from_byte(t, low, high, depth, byte + 1);
    }
    return longest;
}

/* ------------------------------------------------------------------------------------------ encoding */

bool token_list_reserve(token_list *list, size_t more) {
    if (more <= list->capacity - list->count) return true;
    size_t capacity = list->count + more;
    if (capacity < 2 * list->capacity) capacity = 2 * list->capacity;
    if (capacity > SIZE_MAX / sizeof *list->ids) return false;
    int32_t *ids = realloc(list->ids, capacity * sizeof *ids);
    if (!ids) return false;
    list->ids = ids;
    list->capacity = capacity;
    return true;
}

cllm_status token_list_add(token_list *list, int32_t id, cllm_error *err) {
    if (!token_list_reserve(list, 1)) return error_set(err, CLLM_ERR_MEMORY, "not enough memory for the tokens");
    list->ids[list->count++] = id;
    return CLLM_OK;
}

static bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static cllm_status encode_ordinary(const cllm_tokenizer *t, const char *text, size_t length, bool goes_on,
                                   token_list *out, cllm_error *err) {
    switch (t->kind) {
    case KIND_BPE: return bpe_encode(t, text, length, out, err);
    case KIND_WORDPIECE: return wordpiece_encode(t, text, length, out, err);
    case KIND_UNIGRAM: return unigram_encode(t, text, length, goes_on, out, err);
    case KIND_RWKV: return rwkv_encode(t, text, length, out, err);
    default: return spm_encode(t, text, length, goes_on, out, err);
    }
}

/* Encode a text: special tokens, and the ordinary text between them. trust: [length] for FIND_TRUSTED, whether each
 * byte is trusted; else NULL. goes_on: other text comes before this one, so no space is put in front of it. */
static cllm_status encode_text(const cllm_tokenizer *t, const char *text, size_t length, special_rule rule,
                               const char *trust, bool goes_on, token_list *out, cllm_error *err) {
    cllm_status status = CLLM_OK;
    size_t trusted_end = 0; /* end of the trusted bytes that begin at `next` */
    for (size_t begin = 0; begin < length && status == CLLM_OK;) {
        size_t next = begin; /* where the next special token begins */
        const special_token *special = NULL;
        for (; next < length; next++) {
            if (trusted_end < next) trusted_end = next;
            while (trust && trusted_end < length && trust[trusted_end]) trusted_end++;
            special = special_at(t, text + next, length - next, rule, trusted_end - next);
            if (special) break;
        }
        size_t end = next; /* of the ordinary text */
        while (special && special->strips_left && end > begin && is_white(text[end - 1])) end--;
        if (end > begin) status = encode_ordinary(t, text + begin, end - begin, goes_on && begin == 0, out, err);
        if (special && status == CLLM_OK) status = token_list_add(out, special->id, err);
        begin = next + (special ? special->spelling.length : 0);
        while (special && special->strips_right && begin < length && is_white(text[begin])) begin++;
    }
    return status;
}

/* Encode a text, with the tokens around it. flags: ADD_SPECIAL and GOES_ON. With FIND_TRUSTED, a text that begins with
 * BOS gets no second one, and no EOS is added. */
static cllm_status encode(const cllm_tokenizer *tokenizer, const char *text, size_t length, int flags,
                          special_rule rule, const char *trust, int32_t **tokens, size_t *count, cllm_error *err) {
    token_list list = {0};
    cllm_status status = CLLM_OK;
    const bool add_special = flags & CLLM_ENCODE_ADD_SPECIAL, goes_on = flags & CLLM_ENCODE_GOES_ON;
    if (!token_list_reserve(&list, 1)) status = error_set(err, CLLM_ERR_MEMORY, "not enough memory for the tokens");
    if (status == CLLM_OK && add_special && tokenizer->add_bos) status = token_list_add(&list, tokenizer->bos, err);
    if (status == CLLM_OK) status = encode_text(tokenizer, text, length, rule, trust, goes_on, &list, err);
    if (rule == FIND_TRUSTED && list.count > 1 && add_special && tokenizer->add_bos && list.ids[1] == tokenizer->bos)
        memmove(list.ids, list.ids + 1, --list.count * sizeof *list.ids);
    if (status == CLLM_OK && add_special && tokenizer->add_eos && rule != FIND_TRUSTED)
        status = token_list_add(&list, tokenizer->eos, err);
    if (status != CLLM_OK) {
        free(list.ids);
        return status;
    }
    *tokens = list.ids;
    *count = list.count;
    return CLLM_OK;
}

static cllm_status check_length(uint64_t length, cllm_error *err) {
    if (length <= MAX_TEXT_BYTES) return CLLM_OK;
    return error_set(err, CLLM_ERR_ARGUMENT, "the text is %llu bytes long, at most %llu can be encoded at once",
                     (unsigned long long)length, (unsigned long long)MAX_TEXT_BYTES);
}

cllm_status cllm_tokenizer_encode(const cllm_tokenizer *tokenizer, const char *text, size_t length, int flags,
                                  int32_t **tokens, size_t *count, cllm_error *err) {
    *tokens = NULL;
    *count = 0;
    const cllm_status status = check_length(length, err);
    if (status != CLLM_OK) return status;
    return encode(tokenizer, text, length, flags, flags & CLLM_ENCODE_PARSE_SPECIAL ? FIND_ALL : FIND_USER_DEFINED,
                  NULL, tokens, count, err);
}

cllm_status cllm_tokenizer_encode_parts(const cllm_tokenizer *tokenizer, const cllm_part *parts, size_t n_parts,
                                        int flags, int32_t **tokens, size_t *count, cllm_error *err) {
    uint64_t length = 0;
    *tokens = NULL;
    *count = 0;
    for (size_t i = 0; i < n_parts; i++)
        if (!checked_add(length, parts[i].text.length, &length)) length = UINT64_MAX;
    cllm_status status = check_length(length, err);
    if (status != CLLM_OK) return status;
    char *text = malloc(2 * (size_t)length + 1), *trust = text + length;
    if (!text)
        return error_set(err, CLLM_ERR_MEMORY, "not enough memory for a text of %llu bytes",
                         (unsigned long long)length);
    for (size_t i = 0, at = 0; i < n_parts; at += parts[i++].text.length) {
        if (parts[i].text.length > 0) memcpy(text + at, parts[i].text.data, parts[i].text.length);
        memset(trust + at, parts[i].trusted, parts[i].text.length);
    }
    status = encode(tokenizer, text, (size_t)length, flags, FIND_TRUSTED, trust, tokens, count, err);
    free(text);
    return status;
}

void cllm_free(void *memory) { free(memory); }

/* ------------------------------------------------------------------------------------------ decoding */

static bool in_vocabulary(const cllm_tokenizer *t, int32_t id) { return id >= 0 && (uint32_t)id < t->n_vocab; }

cllm_string cllm_tokenizer_piece(const cllm_tokenizer *tokenizer, int32_t id) {
    return in_vocabulary(tokenizer, id) ? tokenizer->tokens[id].spelling : (cllm_string){"", 0};
}

bool cllm_tokenizer_is_control(const cllm_tokenizer *tokenizer, int32_t id) {
    if (!in_vocabulary(tokenizer, id)) return false;
    token_type type = tokenizer->tokens[id].type;
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN;
}

bool cllm_tokenizer_is_eog(const cllm_tokenizer *tokenizer, int32_t id) {
    return in_vocabulary(tokenizer, id) && tokenizer->tokens[id].ends_text;
}

const char *cllm_tokenizer_note(const cllm_tokenizer *tokenizer) {
    return tokenizer->guessed_pre ? PRE_KEY " is missing, so texts are cut with the rules \"default\", which few "
                                            "models were trained with; override the key with the model's own"
                                  : "";
}

/* If the model wants it, encoding puts a space in front of a text, and in front of the text after each special token.
 * Decoding leaves these spaces out. */
cllm_string cllm_tokenizer_decode(const cllm_tokenizer *tokenizer, int32_t previous, int32_t id) {
    if (!in_vocabulary(tokenizer, id)) return (cllm_string){"", 0};
    const vocabulary_token *token = &tokenizer->tokens[id];
    bool text_begins = !in_vocabulary(tokenizer, previous) || token_is_special(tokenizer->tokens[previous].type);
    cllm_string text = token->text;
    if (tokenizer->add_space_prefix && text_begins && !token_is_special(token->type) && text.length > 0 &&
        text.data[0] == ' ') {
        text.data++;
        text.length--;
    }
    return text;
}
