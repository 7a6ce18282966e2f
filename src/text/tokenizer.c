/* Owns the tokenizer as the public header has it: making one, text to ids, ids to bytes. Before it: vocabulary.c, which
 * reads the file's keys. After it: the session, which takes ids; and the program, which prints bytes.
 *
 * Special tokens (control, unknown, user-defined) are cut out of the text here; what lies between them goes to the
 * algorithm of the model's kind of vocabulary.
 */
#include "text/tokenizer.h"

#include "base/error.h"
#include "gguf/gguf.h"

#include <stdlib.h>
#include <string.h>

#define MODEL_KEY      "tokenizer.ggml.model"
#define MAX_TEXT_BYTES ((size_t)1 << 30)

/* ------------------------------------------------------------------------------------------ making one */

cllm_status cllm_tokenizer_create(const cllm_gguf *gguf, cllm_tokenizer **out, cllm_error *err) {
    *out = NULL;
    cllm_string model = {0};
    cllm_status status = gguf_get_string(gguf, MODEL_KEY, GGUF_REQUIRED, &model, err);
    if (status != CLLM_OK) return status;
    if (model.length != 5 || memcmp(model.data, "llama", 5) != 0)
        return error_set_at(err, CLLM_ERR_UNSUPPORTED, MODEL_KEY, CLLM_NO_OFFSET,
                            MODEL_KEY ": \"%.*s\" is not supported; supported is \"llama\" (SentencePiece BPE)",
                            shown_length(model), model.data);
    bool has_scores = cllm_gguf_find(gguf, "tokenizer.ggml.scores") != NULL;
    if (!has_scores && !cllm_gguf_find(gguf, "tokenizer.ggml.merges"))
        return error_set_at(err, CLLM_ERR_FORMAT, "tokenizer.ggml.scores", CLLM_NO_OFFSET,
                            "tokenizer.ggml.scores: missing, and tokenizer.ggml.merges too; one of them is needed");

    cllm_tokenizer *t = calloc(1, sizeof *t);
    if (!t) return error_set(err, CLLM_ERR_MEMORY, "not enough memory for the tokenizer");
    status = vocabulary_load(t, gguf, err);
    if (status == CLLM_OK && !has_scores) status = spm_load_merges(t, gguf, err);
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

/* In specials[low, high), which are sorted and agree in their first `depth` bytes and are longer: the first whose next
 * byte is `byte` or greater. */
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

/* The longest special token that the text begins with, or NULL. Each byte of the text narrows the range of those that
 * may still match. length: 1 or more. */
static const special_token *special_at(const cllm_tokenizer *t, const char *text, size_t length) {
    const special_token *longest = NULL;
    uint32_t low = t->specials_from[(unsigned char)text[0]];
    uint32_t high = t->specials_from[(unsigned char)text[0] + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (t->specials[low].spelling.length == depth) longest = &t->specials[low++];
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

static cllm_status append_token(token_list *list, int32_t id, cllm_error *err) {
    if (!token_list_reserve(list, 1)) return error_set(err, CLLM_ERR_MEMORY, "not enough memory for the tokens");
    list->ids[list->count++] = id;
    return CLLM_OK;
}

/* A space goes in front of the text, and of what follows a special token. */
static cllm_status encode_text(const cllm_tokenizer *t, const char *text, size_t length, bool parse_special,
                               token_list *out, cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (size_t begin = 0; begin < length && status == CLLM_OK;) {
        size_t end = parse_special ? begin : length; /* of the ordinary text */
        const special_token *special = NULL;
        while (end < length && !(special = special_at(t, text + end, length - end))) end++;
        if (end > begin) status = spm_encode(t, text + begin, end - begin, t->add_space_prefix, out, err);
        if (special && status == CLLM_OK) status = append_token(out, special->id, err);
        begin = end + (special ? special->spelling.length : 0);
    }
    return status;
}

cllm_status cllm_tokenizer_encode(const cllm_tokenizer *tokenizer, const char *text, size_t length, int flags,
                                  int32_t **tokens, size_t *count, cllm_error *err) {
    *tokens = NULL;
    *count = 0;
    if (length > MAX_TEXT_BYTES)
        return error_set(err, CLLM_ERR_ARGUMENT, "the text is %llu bytes long, at most %llu can be encoded at once",
                         (unsigned long long)length, (unsigned long long)MAX_TEXT_BYTES);
    bool add_special = flags & CLLM_ENCODE_ADD_SPECIAL;
    token_list list = {0};
    cllm_status status = CLLM_OK;
    if (!token_list_reserve(&list, 1)) status = error_set(err, CLLM_ERR_MEMORY, "not enough memory for the tokens");
    if (status == CLLM_OK && add_special && tokenizer->add_bos) status = append_token(&list, tokenizer->bos, err);
    if (status == CLLM_OK) status = encode_text(tokenizer, text, length, flags & CLLM_ENCODE_PARSE_SPECIAL, &list, err);
    if (status == CLLM_OK && add_special && tokenizer->add_eos) status = append_token(&list, tokenizer->eos, err);
    if (status != CLLM_OK) {
        free(list.ids);
        return status;
    }
    *tokens = list.ids;
    *count = list.count;
    return CLLM_OK;
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

/* Merging makes no special token, so text after one always began with the space prefix, if the model has it. */
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
