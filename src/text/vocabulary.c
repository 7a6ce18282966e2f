/* Turns a file's tokenizer.ggml.* keys into the tables for encoding and decoding; special_tokens.c does the part about
 * special tokens. Before it: gguf. After it: tokenizer.c.
 *
 * The keys are those of the GGUF specification (docs/gguf.md of ggml), the token types those of SentencePiece's
 * sentencepiece_model.proto. */
#include "base/error.h"
#include "gguf/gguf.h"
#include "gguf/metadata.h"
#include "text/tokenizer.h"

#include <math.h>
#include <string.h>

#define SEPARATOR_KEY "tokenizer.ggml.seperator_token_id"
#define TOKENS_KEY    "tokenizer.ggml.tokens"
#define SCORES_KEY    "tokenizer.ggml.scores"
#define TYPES_KEY     "tokenizer.ggml.token_type"

#define LONGEST_SPECIAL 1024 /* bytes; real ones have a few dozen. It bounds the work for each byte of a text */

size_t unescape_spaces(const char *from, size_t length, char *to) {
    static const char escaped_space[] = "\xE2\x96\x81"; /* U+2581 */
    size_t written = 0;
    for (size_t i = 0; i < length;) {
        bool is_space = length - i >= 3 && memcmp(from + i, escaped_space, 3) == 0;
        to[written++] = is_space ? ' ' : from[i];
        i += is_space ? 3 : 1;
    }
    return written;
}

bool unescape(const cllm_tokenizer *t, const char *spelling, size_t length, char *to, size_t *written) {
    if (t->pre) return unescape_letters(spelling, length, to, written);
    if (t->kind == KIND_RWKV) return unescape_bytes(spelling, length, to, written);
    *written = unescape_spaces(spelling, length, to);
    return true;
}

static cllm_status out_of_memory(cllm_error *err) {
    return error_set(err, CLLM_ERR_MEMORY, "not enough memory for the vocabulary");
}

static cllm_status load_spellings(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    cllm_array array = {0};
    cllm_status status = gguf_get_array(gguf, TOKENS_KEY, GGUF_REQUIRED, CLLM_STRING, &array, err);
    if (status != CLLM_OK) return status;
    if (array.count == 0 || array.count > INT32_MAX)
        return error_set_at(err, CLLM_ERR_FORMAT, TOKENS_KEY, CLLM_NO_OFFSET,
                            TOKENS_KEY ": has %llu tokens, there must be 1 to 2147483647",
                            (unsigned long long)array.count);
    t->n_vocab = (uint32_t)array.count;
    t->tokens = arena_alloc(&t->memory, t->n_vocab, sizeof *t->tokens);
    if (!t->tokens) return out_of_memory(err);
    cllm_value value;
    for (vocabulary_token *token = t->tokens; cllm_array_next(&array, &value); token++) token->spelling = value.string;
    return CLLM_OK;
}

/* Get an optional array with one element for each token; *present: true if it exists. */
static cllm_status get_parallel_array(const cllm_tokenizer *t, const cllm_gguf *gguf, const char *key,
                                      cllm_value_type element_type, cllm_array *array, bool *present, cllm_error *err) {
    *present = cllm_gguf_find(gguf, key) != NULL;
    if (!*present) return CLLM_OK;
    cllm_status status = gguf_get_array(gguf, key, GGUF_REQUIRED, element_type, array, err);
    if (status != CLLM_OK) return status;
    if (array->count != t->n_vocab)
        return error_set_at(err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET,
                            "%s: has %llu entries, but " TOKENS_KEY " has %u: the numbers must be equal", key,
                            (unsigned long long)array->count, t->n_vocab);
    return CLLM_OK;
}

static cllm_status load_types(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    cllm_array array;
    bool present;
    cllm_status status = get_parallel_array(t, gguf, TYPES_KEY, CLLM_INT32, &array, &present, err);
    if (status != CLLM_OK || !present) return status;
    cllm_value value;
    for (uint32_t id = 0; cllm_array_next(&array, &value); id++) {
        if (value.i < TOKEN_UNDEFINED || value.i > TOKEN_BYTE)
            return error_set_at(err, CLLM_ERR_FORMAT, TYPES_KEY, CLLM_NO_OFFSET,
                                TYPES_KEY ": token %u has type %lld, known are %d to %d", id, (long long)value.i,
                                TOKEN_UNDEFINED, TOKEN_BYTE);
        t->tokens[id].type = (token_type)value.i;
    }
    return CLLM_OK;
}

static cllm_status load_scores(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    cllm_array array;
    bool present;
    cllm_status status = get_parallel_array(t, gguf, SCORES_KEY, CLLM_FLOAT32, &array, &present, err);
    if (status != CLLM_OK || !present) return status;
    cllm_value value;
    for (uint32_t id = 0; cllm_array_next(&array, &value); id++) {
        if (isnan(value.f))
            return error_set_at(err, CLLM_ERR_FORMAT, SCORES_KEY, CLLM_NO_OFFSET,
                                SCORES_KEY ": the score of token %u is not a number", id);
        t->tokens[id].score = (float)value.f;
    }
    return CLLM_OK;
}

cllm_status load_token_id(const cllm_tokenizer *t, const cllm_gguf *gguf, const char *key, int32_t *id,
                          cllm_error *err) {
    *id = -1;
    uint32_t value = 0;
    cllm_status status = gguf_get_u32(gguf, key, GGUF_OPTIONAL, &value, err);
    if (status != CLLM_OK || !cllm_gguf_find(gguf, key)) return status;
    if (value >= t->n_vocab)
        return error_set_at(err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET,
                            "%s: token %u is beyond the vocabulary of %u tokens", key, value, t->n_vocab);
    *id = (int32_t)value;
    return CLLM_OK;
}

/* Load the id under `key`. If the key is absent, take the usual id of such vocabularies, but only if that token is
 * special. A token without a type in the file gets `type`; with byte-level BPE only if the key names it. */
static cllm_status load_special_id(cllm_tokenizer *t, const cllm_gguf *gguf, const char *key, uint32_t usual,
                                   token_type type, int32_t *id, cllm_error *err) {
    cllm_status status = load_token_id(t, gguf, key, id, err);
    if (status != CLLM_OK) return status;
    uint32_t value = *id >= 0 ? (uint32_t)*id : usual;
    if (value >= t->n_vocab) return CLLM_OK;
    vocabulary_token *token = &t->tokens[value];
    if (token->type == TOKEN_UNDEFINED && (*id >= 0 || !t->pre)) token->type = type;
    if (token_is_special(token->type)) *id = (int32_t)value;
    return CLLM_OK;
}

/* What holds for a kind of vocabulary if keys are missing: the ids of special tokens (NONE: there is no such token),
 * and what is added around a text. */
typedef struct kind_defaults {
    uint32_t unknown, bos, eos;
    bool add_bos, add_eos, add_space_prefix;
} kind_defaults;

/* The ids are those of SentencePiece's <unk>, <s> and </s>; of <|endoftext|> in Falcon's vocabulary; of BERT's [UNK],
 * [CLS] and [SEP]; and of T5's <unk> and </s>. */
static kind_defaults defaults_of(const cllm_tokenizer *t) {
    enum { NONE = UINT32_MAX };
    const bool adds_bos = t->pre && (t->pre->flags & PRE_ADDS_BOS);
    switch (t->kind) {
    case KIND_BPE: return (kind_defaults){NONE, 11, 11, adds_bos, false, false};
    case KIND_WORDPIECE: return (kind_defaults){100, 101, 102, true, true, true};
    case KIND_UNIGRAM: return (kind_defaults){2, NONE, 1, false, true, false};
    case KIND_RWKV: return (kind_defaults){NONE, NONE, NONE, false, false, false};
    default:
        return t->cuts_lines ? (kind_defaults){NONE, NONE, NONE, true, false, false}
                             : (kind_defaults){0, 1, 2, true, false, true};
    }
}

/* Load the ids of special tokens, and which of them are added around a text. WordPiece adds [CLS] and [SEP], which have
 * keys of their own. */
static cllm_status load_special_ids(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    static const char *const cls = "tokenizer.ggml.cls_token_id";
    const bool is_wordpiece = t->kind == KIND_WORDPIECE;
    const kind_defaults usual = defaults_of(t);
    const char *bos_key = is_wordpiece && cllm_gguf_find(gguf, cls) ? cls : "tokenizer.ggml.bos_token_id";
    const char *eos_key =
        is_wordpiece && cllm_gguf_find(gguf, SEPARATOR_KEY) ? SEPARATOR_KEY : "tokenizer.ggml.eos_token_id";
    cllm_status status =
        load_special_id(t, gguf, "tokenizer.ggml.unknown_token_id", usual.unknown, TOKEN_UNKNOWN, &t->unknown, err);
    if (status == CLLM_OK) status = load_special_id(t, gguf, bos_key, usual.bos, TOKEN_CONTROL, &t->bos, err);
    if (status == CLLM_OK) status = load_special_id(t, gguf, eos_key, usual.eos, TOKEN_CONTROL, &t->eos, err);

    t->add_bos = usual.add_bos;
    t->add_eos = usual.add_eos;
    t->add_space_prefix = usual.add_space_prefix;
    if (status == CLLM_OK)
        status = gguf_get_bool(gguf, "tokenizer.ggml.add_bos_token", GGUF_OPTIONAL, &t->add_bos, err);
    if (status == CLLM_OK)
        status = gguf_get_bool(gguf, "tokenizer.ggml.add_eos_token", GGUF_OPTIONAL, &t->add_eos, err);
    if (status == CLLM_OK)
        status = gguf_get_bool(gguf, "tokenizer.ggml.add_space_prefix", GGUF_OPTIONAL, &t->add_space_prefix, err);
    if (t->pre || t->cuts_lines || t->kind == KIND_RWKV) t->add_space_prefix = false;
    /* Gemma 4 needs BOS, although files say otherwise. The other model with whole_line_ends is treated the same way. */
    t->add_bos = (t->add_bos || t->whole_line_ends) && t->bos >= 0;
    t->add_eos = t->add_eos && t->eos >= 0;
    return status;
}

/* Load how two texts are joined: a template, or a token between them. WordPiece needs no such token, because its [SEP]
 * ends the first text. */
static cllm_status load_pair(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    bool adds = t->pre && (t->pre->flags & PRE_ADDS_SEPARATOR);
    const cllm_value *id = cllm_gguf_find(gguf, SEPARATOR_KEY);
    uint64_t number;
    t->separator = -1;
    cllm_status status = gguf_get_string(gguf, "tokenizer.chat_template.rerank", GGUF_OPTIONAL, &t->pair_template, err);
    if (status == CLLM_OK) status = gguf_get_bool(gguf, "tokenizer.ggml.add_sep_token", GGUF_OPTIONAL, &adds, err);
    if (adds && t->kind != KIND_WORDPIECE && id && gguf_value_as_u64(id, &number) && number < t->n_vocab)
        t->separator = (int32_t)number;
    return status;
}

/* Load whether capitals and accents make a difference. Without strip_accents, accents are kept if capitals are. */
static cllm_status load_word_rules(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    bool lowercase = true;
    cllm_status status = gguf_get_bool(gguf, "tokenizer.ggml.normalizer.lowercase", GGUF_OPTIONAL, &lowercase, err);
    bool strips = lowercase;
    if (status == CLLM_OK)
        status = gguf_get_bool(gguf, "tokenizer.ggml.normalizer.strip_accents", GGUF_OPTIONAL, &strips, err);
    t->keeps_capitals = !lowercase;
    t->keeps_accents = !strips;
    return status;
}

/* The byte that <0xZZ> names, or -1 for any other spelling. */
static int byte_of_spelling(cllm_string s) {
    static const char digits[] = "0123456789ABCDEF";
    if (s.length != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>') return -1;
    const char *high = memchr(digits, s.data[3], 16), *low = memchr(digits, s.data[4], 16);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

/* Fill in the text that each token stands for. Texts that are not in the file are stored in one block. */
static cllm_status load_texts(cllm_tokenizer *t, cllm_error *err) {
    uint64_t n_bytes = 0; /* cannot overflow: the spellings are separate parts of a file */
    for (uint32_t id = 0; id < t->n_vocab; id++) n_bytes += t->tokens[id].spelling.length;
    char *block = arena_alloc(&t->memory, n_bytes, 1);
    if (!block) return out_of_memory(err);

    for (int byte = 0; byte < 256; byte++) t->byte_tokens[byte] = -1;
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        vocabulary_token *token = &t->tokens[id];
        int byte = byte_of_spelling(token->spelling);
        if (token->type == TOKEN_UNDEFINED && byte >= 0) token->type = TOKEN_BYTE;
        if (token_is_special(token->type)) {
            if (token->spelling.length > LONGEST_SPECIAL)
                return error_set_at(err, CLLM_ERR_FORMAT, TOKENS_KEY, CLLM_NO_OFFSET,
                                    TOKENS_KEY ": special token %u has %zu bytes, at most %d are allowed", id,
                                    token->spelling.length, LONGEST_SPECIAL);
            token->text = token->spelling;
            if (t->pre || token->type != TOKEN_USER_DEFINED) continue; /* else it may have U+2581 for a space */
        }
        token->text.data = block;
        if (token->type != TOKEN_BYTE) {
            token->is_literal = !unescape(t, token->spelling.data, token->spelling.length, block, &token->text.length);
        } else if (byte >= 0) {
            *block = (char)byte;
            token->text.length = 1;
            if (t->byte_tokens[byte] < 0) t->byte_tokens[byte] = (int32_t)id;
        } else {
            return error_set_at(err, CLLM_ERR_FORMAT, TOKENS_KEY, CLLM_NO_OFFSET,
                                TOKENS_KEY ": byte token %u is spelled \"%.*s\", it must be <0x00> to <0xFF>", id,
                                shown_length(token->spelling), token->spelling.data);
        }
        block += token->text.length;
    }
    return CLLM_OK;
}

/* FNV-1a, 64 bits folded to 32. */
static uint32_t hash_text(const char *bytes, size_t length) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
    return (uint32_t)(hash ^ hash >> 32);
}

/* The slot that holds these bytes, or the empty slot where they belong. */
static vocabulary_slot *find_slot(const cllm_tokenizer *t, const char *text, size_t length, uint32_t hash) {
    for (uint32_t i = hash & t->slot_mask;; i = (i + 1) & t->slot_mask) {
        vocabulary_slot *slot = &t->slots[i];
        if (slot->id_plus_1 == 0) return slot;
        if (slot->hash != hash) continue;
        cllm_string held = t->tokens[slot->id_plus_1 - 1].text;
        if (held.length == length && memcmp(held.data, text, length) == 0) return slot;
    }
}

int32_t vocabulary_find(const cllm_tokenizer *t, const char *text, size_t length) {
    if (length > t->longest_text) return -1;
    return (int32_t)find_slot(t, text, length, hash_text(text, length))->id_plus_1 - 1;
}

/* Fill the hash table of texts. If several tokens have the same text, the first one is found. Tokens that SentencePiece
 * spells with a real space are left out, because it sees every space as U+2581. So are the unused tokens that fill up
 * RWKV's vocabularies. */
static cllm_status index_texts(cllm_tokenizer *t, cllm_error *err) {
    const bool is_spaced = !t->pre && t->kind != KIND_RWKV;
    uint64_t n_slots = 2;
    while (n_slots < (uint64_t)t->n_vocab * 2) n_slots *= 2;
    t->slot_mask = (uint32_t)(n_slots - 1);
    t->slots = arena_alloc(&t->memory, n_slots, sizeof *t->slots);
    if (!t->slots) return out_of_memory(err);

    for (uint32_t id = 0; id < t->n_vocab; id++) {
        vocabulary_token *token = &t->tokens[id];
        if (token_is_special(token->type) || token->type == TOKEN_BYTE) continue;
        if (token->is_literal || token->text.length == 0 || token->text.length > UINT32_MAX) continue;
        if (is_spaced && memchr(token->spelling.data, ' ', token->spelling.length)) continue;
        if (t->kind == KIND_RWKV && token->type == TOKEN_UNUSED) continue;
        uint32_t hash = hash_text(token->text.data, token->text.length);
        vocabulary_slot *slot = find_slot(t, token->text.data, token->text.length, hash);
        token->is_indexed = slot->id_plus_1 == 0;
        if (token->is_indexed) *slot = (vocabulary_slot){hash, id + 1};
        if (token->text.length > t->longest_text) t->longest_text = (uint32_t)token->text.length;
        const unsigned char *bytes = (const unsigned char *)token->text.data;
        for (size_t i = 1; i < token->text.length; i++) t->joins[bytes[i - 1]][bytes[i]] = true;
    }
    return CLLM_OK;
}

/* True if texts may become the token that the file names as the unknown one. They must not become a control token,
 * except [UNK], which has that type in some files of BERT. */
static bool may_be_unknown(const cllm_tokenizer *t) {
    const int32_t id = t->unknown;
    if (id < 0 || t->tokens[id].type != TOKEN_CONTROL) return true;
    return t->kind == KIND_WORDPIECE && id != t->bos && id != t->eos;
}

cllm_status vocabulary_load(cllm_tokenizer *t, const cllm_gguf *gguf, cllm_error *err) {
    cllm_status status = load_spellings(t, gguf, err);
    if (status == CLLM_OK) status = load_types(t, gguf, err);
    if (status == CLLM_OK) status = load_scores(t, gguf, err);
    if (status == CLLM_OK) status = load_special_ids(t, gguf, err);
    if (status == CLLM_OK) status = load_pair(t, gguf, err);
    if (status == CLLM_OK && t->kind == KIND_WORDPIECE) status = load_word_rules(t, gguf, err);
    if (status == CLLM_OK) status = find_end_tokens(t, gguf, err);
    if (status == CLLM_OK) status = load_texts(t, err);
    if (status == CLLM_OK) status = index_texts(t, err);
    if (status == CLLM_OK) status = collect_specials(t, gguf, err);
    if (status == CLLM_OK && !may_be_unknown(t)) t->unknown = -1;
    /* Some byte-level vocabularies lack tokens for bytes that UTF-8 never uses. They get the token of U+FFFD
     * instead. */
    if (status == CLLM_OK && t->pre && t->unknown < 0) t->unknown = vocabulary_find(t, "\xEF\xBF\xBD", 3);
    return status;
}
