/* Implements vocabulary.h. */
#include "support/vocabulary.h"

#include "base/utf8.h"
#include "gguf/gguf.h"
#include "text/tokenizer.h"
#include "text/unicode_normalize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void add(vocabulary *v, const char *token, float score, int32_t type) {
    assert_true(v->n_tokens < MAX_TOKENS);
    v->tokens[v->n_tokens] = token;
    v->scores[v->n_tokens] = score;
    v->types[v->n_tokens++] = type;
}

vocabulary with_specials(void) {
    vocabulary v = {0};
    add(&v, "<unk>", 0, UNKNOWN);
    add(&v, "<s>", 0, CONTROL);
    add(&v, "</s>", 0, CONTROL);
    return v;
}

void add_bytes(vocabulary *v) {
    static char spellings[256][7];
    for (int byte = 0; byte < 256; byte++) {
        snprintf(spellings[byte], sizeof spellings[byte], "<0x%02X>", (unsigned)byte);
        add(v, spellings[byte], 0, BYTE);
    }
}

/* GPT-2's letters for bytes: bytes that are not printable get letters from U+0100 on, in order. */
static const char *letter_of(unsigned byte) {
    static char letters[256][3];
    static int n_letters;
    for (unsigned b = 0, code_point, next = 0x100; n_letters == 0 && b < 256; b++) {
        code_point = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD) ? b : next++;
        if (code_point < 0x80)
            letters[b][0] = (char)code_point;
        else
            snprintf(letters[b], 3, "%c%c", (int)(0xC0 | code_point >> 6), (int)(0x80 | (code_point & 0x3F)));
        if (b == 255) n_letters = 256;
    }
    return letters[byte];
}

vocabulary byte_level(const char *pre, const char *const *merges, size_t n_merges) {
    static char made[MAX_TOKENS][64];
    vocabulary v = {.model = "gpt2", .pre = pre, .merges = merges, .n_merges = n_merges};
    for (unsigned byte = 0; byte < 256; byte++) add(&v, letter_of(byte), 0, NORMAL);
    for (size_t i = 0; i < n_merges; i++) {
        const char *space = strchr(merges[i], ' ');
        snprintf(made[i], sizeof made[i], "%.*s%s", (int)(space - merges[i]), merges[i], space + 1);
        add(&v, made[i], 0, NORMAL);
    }
    return v;
}

void put_vocabulary(gguf_builder *g, const vocabulary *v) {
    builder_string(g, "tokenizer.ggml.model", v->model ? v->model : "llama");
    if (v->pre) builder_string(g, "tokenizer.ggml.pre", v->pre);
    builder_strings(g, "tokenizer.ggml.tokens", v->tokens, v->n_tokens);
    if (v->merges)
        builder_strings(g, "tokenizer.ggml.merges", v->merges, v->n_merges);
    else
        builder_f32s(g, "tokenizer.ggml.scores", v->scores, v->n_tokens);
    if (!v->no_types) builder_i32s(g, "tokenizer.ggml.token_type", v->types, v->n_tokens);
}

cllm_status load_built(gguf_builder *g, loaded *l, cllm_error *err) {
    size_t n_bytes;
    *l = (loaded){0};
    l->bytes = builder_finish(g, &n_bytes);
    builder_free(g);
    assert_ok(gguf_open_memory(l->bytes, n_bytes, &l->gguf, err), err);
    return cllm_tokenizer_create(l->gguf, &l->tokenizer, err);
}

void unload(loaded *l) {
    cllm_tokenizer_destroy(l->tokenizer);
    cllm_gguf_close(l->gguf);
    free(l->bytes);
}

loaded load_with(const vocabulary *v, void (*more)(gguf_builder *g)) {
    cllm_error err;
    gguf_builder g;
    loaded l;
    builder_init(&g);
    put_vocabulary(&g, v);
    if (more) more(&g);
    assert_ok(load_built(&g, &l, &err), &err);
    return l;
}

loaded load(const vocabulary *v) { return load_with(v, NULL); }

static void no_prefix(gguf_builder *g) { builder_bool(g, "tokenizer.ggml.add_space_prefix", 0); }
loaded load_without_prefix(const vocabulary *v) { return load_with(v, no_prefix); }

loaded load_file(const char *path) {
    cllm_error err;
    loaded l = {0};
    assert_ok(cllm_gguf_open(path, NULL, &l.gguf, &err), &err);
    assert_ok(cllm_tokenizer_create(l.gguf, &l.tokenizer, &err), &err);
    return l;
}

/* ------------------------------------------------------------------------------------------- checking */

const char *encoded(const loaded *l, const char *text, size_t length, int flags) {
    static char line[1 << 16];
    cllm_error err;
    int32_t *ids;
    size_t count, used = 0;
    assert_ok(cllm_tokenizer_encode(l->tokenizer, text, length, flags, &ids, &count, &err), &err);
    assert_non_null(ids);
    line[0] = 0;
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(line + used, sizeof line - used, i ? " %d" : "%d", (int)ids[i]);
        assert_true(used < sizeof line);
    }
    cllm_free(ids);
    return line;
}

/* Releases the ids. */
static const char *spellings(const loaded *l, int32_t *ids, size_t count) {
    static char line[1 << 12];
    size_t used = 0;
    line[0] = 0;
    for (size_t i = 0; i < count; i++) {
        cllm_string piece = cllm_tokenizer_piece(l->tokenizer, ids[i]);
        used += (size_t)snprintf(line + used, sizeof line - used, "%.*s|", (int)piece.length, piece.data);
        assert_true(used < sizeof line);
    }
    cllm_free(ids);
    return line;
}

const char *pieces(const loaded *l, const char *text, int flags) {
    cllm_error err;
    int32_t *ids;
    size_t count;
    assert_ok(cllm_tokenizer_encode(l->tokenizer, text, strlen(text), flags, &ids, &count, &err), &err);
    return spellings(l, ids, count);
}

const char *pair_pieces(const loaded *l, const char *query, const char *document) {
    const cllm_string texts[] = {{query, strlen(query)}, {document, strlen(document)}};
    cllm_error err;
    int32_t *ids;
    size_t count;
    assert_ok(cllm_tokenizer_encode_pair(l->tokenizer, texts[0], texts[1], &ids, &count, &err), &err);
    return spellings(l, ids, count);
}

const char *decoded(const loaded *l, int32_t previous, int32_t id) {
    static char text[64];
    cllm_string bytes = cllm_tokenizer_decode(l->tokenizer, previous, id);
    assert_true(bytes.length < sizeof text);
    if (bytes.length) memcpy(text, bytes.data, bytes.length);
    text[bytes.length] = 0;
    return text;
}

/* For SentencePiece, U+2581 and a space are the same, so texts are compared with one replaced by the other. */
static size_t spaces_for_u2581(char *text, size_t length) {
    size_t kept = 0;
    for (size_t i = 0; i < length; kept++) {
        int is_u2581 = length - i >= 3 && memcmp(text + i, SPACE, 3) == 0;
        text[kept] = is_u2581 ? ' ' : text[i];
        i += is_u2581 ? 3 : 1;
    }
    return kept;
}

static bool is_utf8(const char *text, size_t length) {
    size_t at = 0, n;
    while (at < length && (n = utf8_length(text + at, length - at)) > 0) at += n;
    return at == length;
}

void check_round_trip(const loaded *l, char *text, size_t length, int flags) {
    cllm_error err;
    int32_t *ids;
    size_t count;
    assert_ok(cllm_tokenizer_encode(l->tokenizer, text, length, flags, &ids, &count, &err), &err);
    byte_buffer back = {0};
    buffer_put(&back, "", 0);
    bool lossy = false; /* the text has a byte that is not UTF-8 and that the vocabulary lacks */
    for (size_t i = 0; i < count; i++) {
        lossy = lossy || (l->tokenizer->pre && ids[i] == l->tokenizer->unknown && !is_utf8(text, length));
        cllm_string bytes = cllm_tokenizer_decode(l->tokenizer, i ? ids[i - 1] : -1, ids[i]);
        buffer_put(&back, bytes.data, bytes.length);
    }
    if (!l->tokenizer->pre) {
        length = spaces_for_u2581(text, length);
        if (back.bytes) back.size = spaces_for_u2581((char *)back.bytes, back.size);
    }
    char *want = NULL;
    size_t want_length = length;
    if (l->tokenizer->wants_nfc) { /* encoding put the text between special tokens into NFC; compare all of it in NFC */
        char *composed;
        size_t composed_length;
        assert_true(unicode_compose((char *)back.bytes, back.size, &composed, &composed_length));
        if (composed) {
            free(back.bytes);
            back = (byte_buffer){.bytes = (unsigned char *)composed, .size = composed_length};
        }
        assert_true(unicode_compose(text, length, &want, &want_length));
        if (!want) want_length = length;
    }
    if (!lossy) assert_int_equal(back.size, want_length);
    if (!lossy && want_length) assert_memory_equal(back.bytes, want ? want : text, want_length);
    free(want);
    buffer_free(&back);
    cllm_free(ids);
}

/* ------------------------------------------------------------------------------------------- reference cases */

const char *vocabulary_file(const char *name) {
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "vocab/ggml-vocab-%s", name);
    const char *shared = shared_file(path), *folder = getenv("MINICLLM_VOCAB");
    if (shared || !folder) return shared;
    snprintf(path, sizeof paths[0], "%s/ggml-vocab-%s", folder, name);
    return access(path, R_OK) == 0 ? path : NULL;
}

static bool is_composed(const char *text, size_t length) {
    char *composed;
    size_t composed_length;
    assert_true(unicode_compose(text, length, &composed, &composed_length));
    bool same = !composed || (composed_length == length && memcmp(composed, text, length) == 0);
    free(composed);
    return same;
}

/* The texts of `name`.gguf.inp have a line "__ggml_vocab_test__" between them (the newline before it is not part of a
 * text); .out has a line of ids for each. The ids are llama.cpp's, which never composes. If the model's own tokenizer
 * composes, texts that this changes (three of qwen35's) are not compared. */
void check_reference(const char *name) {
    static const char separator[] = "\n__ggml_vocab_test__\n";
    const char *const endings[3] = {"", ".inp", ".out"}, *paths[3];
    for (int i = 0; i < 3; i++) {
        char file[128];
        snprintf(file, sizeof file, "%s.gguf%s", name, endings[i]);
        paths[i] = vocabulary_file(file);
        if (!paths[i]) skip();
    }
    loaded l = load_file(paths[0]);
    size_t n_text_bytes, n_id_bytes;
    char *texts = (char *)read_file(paths[1], &n_text_bytes), *ids = (char *)read_file(paths[2], &n_id_bytes);
    char *text = texts, *line = ids, *next;
    int n_cases = 0;
    for (; *text; text = next, n_cases++) {
        char *end = strstr(text, separator);
        next = end ? end + strlen(separator) : text + strlen(text);
        if (!end) end = next;
        char *line_end = strchr(line, '\n');
        assert_non_null(line_end);
        *line_end = 0;
        line += strspn(line, " ");
        if (!l.tokenizer->wants_nfc || is_composed(text, (size_t)(end - text)))
            assert_string_equal(encoded(&l, text, (size_t)(end - text), 0), line);
        line = line_end + 1;
    }
    assert_true(n_cases >= 46);
    assert_int_equal(*line, 0);
    free(texts);
    free(ids);
    unload(&l);
}

/* Texts of all sorts: any bytes, UTF-8, spaces, spellings of special tokens. */
static size_t random_text(uint64_t *random, char *text, size_t capacity) {
    static const char *const parts[] = {
        " ",       "  ",       "a",      "b",     "ab",       "<s>",          "</s>",
        "<|end|>", "<|en",     "<0x20>", "\n",    "\xC3\xA9", "\xE6\x97\xA5", "\xF0\x9F\x98\x80",
        SPACE,     "\xE2\x96", "the ",   "<unk>", "<|user|>"};
    size_t length = 0, n_parts = random_u64(random) % 24;
    for (size_t i = 0; i < n_parts; i++) {
        size_t choice = random_u64(random) % (2 * sizeof parts / sizeof *parts);
        char byte[2] = {(char)random_u64(random), 0};
        const char *part = choice < sizeof parts / sizeof *parts ? parts[choice] : byte;
        size_t part_length = part == byte ? 1 : strlen(part);
        if (length + part_length > capacity) break;
        memcpy(text + length, part, part_length);
        length += part_length;
    }
    return length;
}

void check_round_trips(const loaded *l, int flags) {
    uint64_t random = 7;
    for (int i = 0; i < 4000; i++) {
        char text[128];
        size_t length = random_text(&random, text, sizeof text);
        check_round_trip(l, text, length, i % 2 ? flags : 0);
    }
    for (unsigned i = 0; i < 1u << 16; i++) { /* every pair of bytes */
        char pair[2] = {(char)(i >> 8), (char)i};
        check_round_trip(l, pair, 2, 0);
    }
}

/* ------------------------------------------------------------------------------------------- time */

typedef enum text_kind {
    LETTERS,
    SPACES,
    ONE_LETTER,
    WORDS,
    COMBINING_MARKS,
    SPECIALS,
    ALMOST_SPECIALS,
    LINE_FEEDS,
    DIGITS,
    DIGITS_THEN_LETTER, /* rules look ahead over digits, spaces or capitals, without success */
    SPACES_THEN_LETTER,
    CAPITALS,
    CAPITALS_AND_MARKS,
    APOSTROPHES,
    HAN,
    RANDOM_BYTES,
    N_KINDS
} text_kind;

static void fill_text(char *text, size_t length, text_kind kind) {
    uint64_t random = 3;
    size_t word_left = 0;
    for (size_t i = 0; i < length; i++) {
        switch (kind) {
        case LETTERS: text[i] = (char)('a' + random_u64(&random) % 26); break;
        case SPACES: text[i] = ' '; break;
        case ONE_LETTER: text[i] = 'a'; break;
        case WORDS:
            text[i] = word_left ? (char)('a' + random_u64(&random) % 26) : ' ';
            word_left = word_left ? word_left - 1 : 1 + random_u64(&random) % 9;
            break;
        case COMBINING_MARKS: text[i] = i % 2 ? (char)(0x80 + random_u64(&random) % 48) : '\xCC'; break;
        case SPECIALS: text[i] = "<s>"[i % 3]; break;
        case ALMOST_SPECIALS: text[i] = "</s"[i % 3]; break;
        case LINE_FEEDS: text[i] = '\n'; break;
        case DIGITS: text[i] = (char)('0' + i % 10); break;
        case DIGITS_THEN_LETTER: text[i] = i + 1 < length ? '7' : 'x'; break;
        case SPACES_THEN_LETTER: text[i] = i + 1 < length ? ' ' : 'x'; break;
        case CAPITALS: text[i] = 'A'; break;
        case CAPITALS_AND_MARKS: text[i] = "A\xCC\x81"[i < length / 2 ? 0 : 1 + i % 2]; break;
        case APOSTROPHES: text[i] = '\''; break;
        case HAN: text[i] = "\xE4\xB8\x80"[i % 3]; break;
        case RANDOM_BYTES: text[i] = (char)random_u64(&random); break;
        case N_KINDS: break;
        }
    }
}

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#define UNDER_SANITIZER __has_feature(address_sanitizer)
#else
#define UNDER_SANITIZER 0
#endif

void check_time(const loaded *l, size_t length) {
    if (UNDER_SANITIZER) length /= 8;
    /* ten times the time of an ordinary machine; a time that grows with the square would be a hundred times as long */
    const double most = fmax(UNDER_SANITIZER ? 2 : 1, 5.0 * (double)length / (1 << 20));
    char *text = malloc(length);
    assert_non_null(text);
    for (text_kind kind = 0; kind < N_KINDS; kind++) {
        fill_text(text, length, kind);
        int32_t *ids;
        size_t count;
        cllm_error err;
        clock_t start = clock();
        assert_ok(cllm_tokenizer_encode(l->tokenizer, text, length, CLLM_ENCODE_PARSE_SPECIAL, &ids, &count, &err),
                  &err);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        cllm_free(ids);
        if (seconds > most)
            fail_msg("a text of kind %d took %.2f s%s%s", (int)kind, seconds, l->tokenizer->pre ? " by" : "",
                     l->tokenizer->pre ? l->tokenizer->pre->names : "");
    }
    free(text);
}
