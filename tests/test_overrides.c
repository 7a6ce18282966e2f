/* Tests metadata that the caller gives: which keys they replace and add, when they are refused, and that a model
 * computes with them. */
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include "gguf/gguf.h"
#include "gguf/metadata.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define INT(text, number)                                         \
    {                                                             \
        .key = text, .value = {.type = CLLM_UINT64, .u = number } \
    }
#define SIGNED(text, number)                                     \
    {                                                            \
        .key = text, .value = {.type = CLLM_INT64, .i = number } \
    }
#define FLOAT(text, number)                                        \
    {                                                              \
        .key = text, .value = {.type = CLLM_FLOAT64, .f = number } \
    }
#define BOOL(text, yes)                                      \
    {                                                        \
        .key = text, .value = {.type = CLLM_BOOL, .b = yes } \
    }
#define STR(text, word)                                                                 \
    {                                                                                   \
        .key = text, .value = {.type = CLLM_STRING, .string = {word, sizeof word - 1} } \
    }

static void put_number(gguf_builder *g, const char *key, cllm_value_type type, size_t n_bytes) {
    buffer_put_string(&g->metadata, key);
    buffer_put_u32(&g->metadata, type);
    buffer_put(&g->metadata, (uint64_t[]){7}, n_bytes);
    g->n_metadata++;
}

/* A file with a value of every type. */
static const char *write_sample(void) {
    gguf_builder g;
    builder_init(&g);
    builder_string(&g, "general.architecture", "llama");
    put_number(&g, "u8", CLLM_UINT8, 1);
    put_number(&g, "i8", CLLM_INT8, 1);
    put_number(&g, "u16", CLLM_UINT16, 2);
    put_number(&g, "i16", CLLM_INT16, 2);
    put_number(&g, "u32", CLLM_UINT32, 4);
    put_number(&g, "i32", CLLM_INT32, 4);
    put_number(&g, "u64", CLLM_UINT64, 8);
    put_number(&g, "i64", CLLM_INT64, 8);
    put_number(&g, "f64", CLLM_FLOAT64, 8);
    builder_f32(&g, "f32", 0.5f);
    builder_bool(&g, "bool", 0);
    builder_string(&g, "string", "a string");
    builder_i32s(&g, "array", (const int32_t[]){1, 2}, 2);
    builder_u32(&g, "llama.block_count", 3);
    builder_u32(&g, "general.alignment", 64);
    return builder_write(&g, "sample.gguf");
}

static cllm_status open_with(const char *path, const cllm_metadata *overrides, size_t n, cllm_gguf **gguf,
                             cllm_error *err) {
    return cllm_gguf_open(path, &(cllm_load_options){.overrides = overrides, .n_overrides = n}, gguf, err);
}

static cllm_gguf *open_sample(const cllm_metadata *overrides, size_t n) {
    cllm_gguf *gguf;
    cllm_error err;
    assert_ok(open_with(write_sample(), overrides, n, &gguf, &err), &err);
    return gguf;
}

static const cllm_value *value_of(const cllm_gguf *gguf, const char *key, cllm_value_type type) {
    const cllm_value *value = cllm_gguf_find(gguf, key);
    assert_non_null(value);
    if (value->type != type) fail_msg("%s has type %s", key, cllm_value_type_name(value->type));
    return value;
}

static bool is_overridden(const cllm_gguf *gguf, const char *key) {
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++)
        if (strcmp(cllm_gguf_metadata(gguf, i)->key, key) == 0) return cllm_gguf_is_overridden(gguf, i);
    fail_msg("%s is missing", key);
    return false;
}

/* -------------------------------------------------------------------------------------------- what is done */

static void values_are_replaced_in_the_type_of_the_file(void **state) {
    (void)state;
    const cllm_metadata overrides[] = {
        INT("u8", 255),           SIGNED("i8", -128),           INT("u16", 65535),      SIGNED("i16", -32768),
        INT("u32", UINT32_MAX),   SIGNED("i32", INT32_MIN),     INT("u64", UINT64_MAX), SIGNED("i64", INT64_MIN),
        FLOAT("f64", 1 / 3.0),    FLOAT("f32", 1 / 3.0),        BOOL("bool", true),     STR("string", "another"),
        STR("general.name", "!"), INT("llama.block_count", 32),
    };
    cllm_gguf *gguf = open_sample(overrides, COUNT(overrides));
    assert_true(value_of(gguf, "u8", CLLM_UINT8)->u == 255);
    assert_true(value_of(gguf, "i8", CLLM_INT8)->i == -128);
    assert_true(value_of(gguf, "u16", CLLM_UINT16)->u == 65535);
    assert_true(value_of(gguf, "i16", CLLM_INT16)->i == -32768);
    assert_true(value_of(gguf, "u32", CLLM_UINT32)->u == UINT32_MAX);
    assert_true(value_of(gguf, "i32", CLLM_INT32)->i == INT32_MIN);
    assert_true(value_of(gguf, "u64", CLLM_UINT64)->u == UINT64_MAX);
    assert_true(value_of(gguf, "i64", CLLM_INT64)->i == INT64_MIN);
    assert_true(value_of(gguf, "f64", CLLM_FLOAT64)->f == 1 / 3.0);
    assert_true(value_of(gguf, "f32", CLLM_FLOAT32)->f == (double)(1 / 3.0f)); /* rounded like a float32 in a file */
    assert_true(value_of(gguf, "bool", CLLM_BOOL)->b);
    assert_int_equal(value_of(gguf, "string", CLLM_STRING)->string.length, 7);
    assert_memory_equal(value_of(gguf, "string", CLLM_STRING)->string.data, "another", 7);
    uint32_t n_layers = 0;
    cllm_error err;
    assert_ok(gguf_get_u32(gguf, "llama.block_count", GGUF_REQUIRED, &n_layers, &err), &err);
    assert_int_equal(n_layers, 32);

    /* the others, and the order, are the file's */
    assert_int_equal(cllm_gguf_n_metadata(gguf), 17);
    assert_string_equal(cllm_gguf_metadata(gguf, 1)->key, "u8");
    assert_string_equal(cllm_gguf_metadata(gguf, 16)->key, "general.name");
    for (size_t i = 0; i < COUNT(overrides); i++) assert_true(is_overridden(gguf, overrides[i].key));
    assert_false(is_overridden(gguf, "general.architecture") || is_overridden(gguf, "array"));
    assert_int_equal(value_of(gguf, "array", CLLM_ARRAY)->array.count, 2);
    assert_int_equal(cllm_gguf_alignment(gguf), 64);
    cllm_gguf_close(gguf);
}

/* Signed and unsigned types can replace each other if the number fits. */
static void integers_of_any_type_replace_each_other(void **state) {
    (void)state;
    const cllm_metadata overrides[] = {
        SIGNED("u8", 255),
        INT("i8", 127),
        SIGNED("u64", INT64_MAX),
        INT("i64", INT64_MAX),
        {.key = "u32", .value = {.type = CLLM_UINT8, .u = 9}},
        {.key = "f64", .value = {.type = CLLM_FLOAT32, .f = 0.25}},
    };
    cllm_gguf *gguf = open_sample(overrides, COUNT(overrides));
    assert_true(value_of(gguf, "u8", CLLM_UINT8)->u == 255);
    assert_true(value_of(gguf, "i8", CLLM_INT8)->i == 127);
    assert_true(value_of(gguf, "u64", CLLM_UINT64)->u == INT64_MAX);
    assert_true(value_of(gguf, "i64", CLLM_INT64)->i == INT64_MAX);
    assert_true(value_of(gguf, "u32", CLLM_UINT32)->u == 9);
    assert_true(value_of(gguf, "f64", CLLM_FLOAT64)->f == 0.25);
    cllm_gguf_close(gguf);
}

static void keys_are_added_and_copied(void **state) {
    (void)state;
    char key[] = "a key", text[] = "a value";
    cllm_metadata overrides[] = {
        {.key = key, .value = {.type = CLLM_STRING, .string = {text, strlen(text)}}},
        INT("zz", 5),
        SIGNED("aa", -5),
        FLOAT("mm", 0.1),
        BOOL("general.b", true),
        STR("general.empty", ""),
    };
    cllm_gguf *gguf = open_sample(overrides, COUNT(overrides));
    memset(key, 'x', strlen(key));
    memset(text, 'x', strlen(text));
    memset(overrides, 0, sizeof overrides);
    assert_memory_equal(value_of(gguf, "a key", CLLM_STRING)->string.data, "a value", 7);
    assert_int_equal(value_of(gguf, "general.empty", CLLM_STRING)->string.length, 0);
    assert_true(value_of(gguf, "aa", CLLM_INT64)->i == -5);
    uint32_t u = 0;
    float f = 0;
    bool b = false;
    cllm_error err;
    assert_ok(gguf_get_u32(gguf, "zz", GGUF_REQUIRED, &u, &err), &err);
    assert_ok(gguf_get_f32(gguf, "mm", GGUF_REQUIRED, &f, &err), &err);
    assert_ok(gguf_get_bool(gguf, "general.b", GGUF_REQUIRED, &b, &err), &err);
    assert_true(u == 5 && f == 0.1f && b);
    /* an error about an override has no offset in the file */
    assert_error(gguf_get_f32(gguf, "zz", GGUF_REQUIRED, &f, &err), &err, CLLM_ERR_FORMAT,
                 "zz: a value of type uint64, must be float32 or float64 (in an override)");
    assert_true(err.offset == CLLM_NO_OFFSET);
    cllm_gguf_close(gguf);
}

static void keys_are_completed_with_the_architecture(void **state) {
    (void)state;
    const cllm_metadata overrides[] = {INT(".block_count", 4), STR(".rope.scaling.type", "yarn")};
    cllm_gguf *gguf = open_sample(overrides, 2);
    assert_true(value_of(gguf, "llama.block_count", CLLM_UINT32)->u == 4);
    assert_memory_equal(value_of(gguf, "llama.rope.scaling.type", CLLM_STRING)->string.data, "yarn", 4);
    assert_null(cllm_gguf_find(gguf, ".block_count"));
    cllm_gguf_close(gguf);

    const cllm_metadata renamed[] = {INT(".block_count", 4), STR("general.architecture", "phi3")};
    gguf = open_sample(renamed, 2);
    assert_true(value_of(gguf, "phi3.block_count", CLLM_UINT64)->u == 4);
    assert_true(value_of(gguf, "llama.block_count", CLLM_UINT32)->u == 3);
    cllm_gguf_close(gguf);
}

static void none_are_none(void **state) {
    (void)state;
    cllm_gguf *gguf = open_sample(NULL, 0);
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) assert_false(cllm_gguf_is_overridden(gguf, i));
    cllm_gguf_close(gguf);

    gguf_builder g; /* a file with no keys */
    builder_init(&g);
    const char *path = builder_write(&g, "empty.gguf");
    const cllm_metadata one[] = {INT("a", 1)}, dotted[] = {INT(".a", 1)};
    cllm_error err;
    assert_ok(open_with(path, one, 1, &gguf, &err), &err);
    assert_true(value_of(gguf, "a", CLLM_UINT64)->u == 1);
    cllm_gguf_close(gguf);
    assert_error(open_with(path, dotted, 1, &gguf, &err), &err, CLLM_ERR_ARGUMENT,
                 ".a: the file has no general.architecture, which a key that begins with a dot needs (in an override)");
}

/* --------------------------------------------------------------------------------------- what is refused */

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    static char endless[METADATA_KEY_LIMIT + 2],
        long_suffix[METADATA_KEY_LIMIT - 3]; /* both make a key one byte too long: long_suffix comes after "llama" */
    memset(endless, 'k', sizeof endless - 1);
    memset(long_suffix, 'k', sizeof long_suffix - 1);
    long_suffix[0] = '.';
    const struct {
        cllm_metadata override;
        const char *message;
    } cases[] = {
        {FLOAT("u32", 1), "u32: a value of type float cannot replace the file's uint32; use type int"},
        {INT("f32", 1), "f32: a value of type int cannot replace the file's float32; use type float"},
        {INT("bool", 1), "bool: a value of type int cannot replace the file's bool; use type bool"},
        {BOOL("string", true), "string: a value of type bool cannot replace the file's string; use type str"},
        {STR("i64", "1"), "i64: a value of type str cannot replace the file's int64; use type int"},
        {INT("array", 1), "array: the file has an array here, which cannot be replaced"},
        {{.key = "u32", .value = {.type = CLLM_ARRAY}}, "u32: a value of type array cannot be given"},
        {{.key = "u32", .value = {.type = (cllm_value_type)99}}, "u32: a value of type unknown cannot be given"},
        {INT("u8", 256), "u8: 256 does not fit uint8, which is from 0 to 255"},
        {SIGNED("u8", -1), "u8: -1 does not fit uint8, which is from 0 to 255"},
        {INT("i8", 128), "i8: 128 does not fit int8, which is from -128 to 127"},
        {SIGNED("i8", -129), "i8: -129 does not fit int8"},
        {INT("u16", 65536), "u16: 65536 does not fit"},
        {SIGNED("i16", -32769), "i16: -32769 does not fit int16, which is from -32768 to 32767"},
        {INT("u32", UINT64_C(1) << 32), "u32: 4294967296 does not fit uint32, which is from 0 to 4294967295"},
        {INT("i32", UINT64_C(1) << 31), "i32: 2147483648 does not fit int32"},
        {SIGNED("u64", INT64_MIN), "u64: -9223372036854775808 does not fit uint64"},
        {INT("i64", UINT64_C(1) << 63), "i64: 9223372036854775808 does not fit int64"},
        {{.key = "new", .value = {.type = CLLM_INT8, .i = 200}}, "new: 200 does not fit int8"},
        {FLOAT("f32", 1e39), "f32: 1e+39 is not finite, or does not fit float32"},
        {FLOAT("f64", (double)INFINITY), "f64: inf is not finite"},
        {FLOAT("new", (double)NAN), "new: nan is not finite"},
        {INT("general.alignment", 32),
         "general.alignment: it says where the file's tensors are, so it cannot be replaced"},
        {INT("split.count", 1), "split.count: it says where"},
        {INT("split.tensors.count", 1), "split.tensors.count: it says where"},
        {INT("", 1), "a key must have 1 to 65535 bytes"},
        {INT("a\nb", 1), "a?b: a key must not have control characters"},
    };
    const char *path = write_sample();
    cllm_gguf *gguf;
    cllm_error err;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_error(open_with(path, &cases[i].override, 1, &gguf, &err), &err, CLLM_ERR_ARGUMENT, cases[i].message);
        assert_null(gguf);
        assert_non_null(strstr(err.message, "(in an override)"));
        assert_true(strncmp(err.message, path, strlen(path)) == 0 && err.offset == CLLM_NO_OFFSET);
    }
    const cllm_metadata too_long[] = {INT(endless, 1)}, too_long_completed[] = {INT(long_suffix, 1)};
    assert_error(open_with(path, too_long, 1, &gguf, &err), &err, CLLM_ERR_ARGUMENT, "a key must have 1 to 65535");
    assert_error(open_with(path, too_long_completed, 1, &gguf, &err), &err, CLLM_ERR_ARGUMENT, "a key must have 1");

    const cllm_metadata twice[][2] = {
        {INT("u32", 1), INT("u32", 1)},
        {INT("new", 1), FLOAT("new", 1)},
        {INT("llama.block_count", 1), INT(".block_count", 1)},
    };
    for (size_t i = 0; i < COUNT(twice); i++)
        assert_error(open_with(path, twice[i], 2, &gguf, &err), &err, CLLM_ERR_ARGUMENT, "the key is given twice");
    const cllm_metadata moved[] = {STR("general.architecture", "split"), INT(".count", 2)};
    assert_error(open_with(path, moved, 2, &gguf, &err), &err, CLLM_ERR_ARGUMENT, "split.count: it says where");
    const cllm_metadata odd[] = {STR("general.architecture", "a\0b"), INT(".count", 2)};
    assert_error(open_with(path, odd, 2, &gguf, &err), &err, CLLM_ERR_ARGUMENT, "must not have control characters");
}

/* ------------------------------------------------------------------------------------------------ a model */

typedef struct rope_keys {
    float linear, factor, freq_base; /* 0: the file lacks it */
} rope_keys;

/* The logits of a few tokens: [count] floats, to be released with free. */
static float *run_model(rope_keys keys, const cllm_metadata *overrides, size_t n, size_t *count) {
    const tiny_model m = tiny_model_default();
    gguf_builder g;
    builder_init(&g);
    tiny_model_metadata(&g, &m);
    if (keys.linear > 0) builder_f32(&g, "llama.rope.scale_linear", keys.linear);
    if (keys.factor > 0) builder_f32(&g, "llama.rope.scaling.factor", keys.factor);
    if (keys.freq_base > 0) builder_f32(&g, "llama.rope.freq_base", keys.freq_base);
    tiny_model_tensors(&g, &m);
    const char *path = builder_write(&g, "rope.gguf");

    const cllm_load_options options = {.overrides = overrides, .n_overrides = n};
    const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6};
    cllm_model *model;
    solo *session;
    const float *logits;
    cllm_error err;
    assert_ok(cllm_model_load(path, &options, &model, &err), &err);
    assert_ok(solo_create(model, NULL, &session, &err), &err);
    assert_ok(solo_eval(session, tokens, COUNT(tokens), &logits, &err), &err);
    *count = m.n_vocab;
    float *copy = malloc(m.n_vocab * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, logits, m.n_vocab * sizeof *copy);
    solo_destroy(session);
    cllm_model_destroy(model);
    return copy;
}

/* True if a file with `keys` gives the same bits as a file with `others` and the overrides. */
static bool same_logits(rope_keys keys, rope_keys others, const cllm_metadata *overrides, size_t n) {
    size_t count;
    float *want = run_model(keys, NULL, 0, &count), *got = run_model(others, overrides, n, &count);
    const bool same = memcmp(want, got, count * sizeof *want) == 0;
    free(want);
    free(got);
    return same;
}

static void a_model_computes_by_what_is_given(void **state) {
    (void)state;
    const cllm_metadata by_4[] = {FLOAT(".rope.scaling.factor", 4)}, base[] = {FLOAT(".rope.freq_base", 5e5)};
    const cllm_metadata same_base[] = {FLOAT(".rope.freq_base", 10000)};
    const cllm_metadata none[] = {FLOAT(".rope.scaling.factor", 4), STR(".rope.scaling.type", "none")};
    const rope_keys plain = {0}, four = {.factor = 4}, two = {.factor = 2}, old_two = {.linear = 2};
    assert_true(same_logits(four, plain, by_4, 1)); /* without a type in the file, the type is linear */
    assert_true(same_logits(four, two, by_4, 1));
    assert_true(same_logits(four, old_two, by_4, 1)); /* the older key has less weight */
    assert_false(same_logits(four, two, NULL, 0));
    assert_false(same_logits(plain, plain, by_4, 1));
    assert_true(same_logits(plain, two, none, 2));
    assert_true(same_logits((rope_keys){.freq_base = 5e5f}, plain, base, 1));
    assert_true(same_logits(plain, plain, same_base, 1));
    assert_false(same_logits(plain, plain, base, 1));

    cllm_model *model;
    cllm_error err;
    const cllm_metadata layers[] = {INT(".block_count", 3)};
    const cllm_load_options options = {.overrides = layers, .n_overrides = 1};
    const tiny_model m = tiny_model_default();
    const char *path = tiny_model_write("layers.gguf", &m);
    assert_error(cllm_model_load(path, &options, &model, &err), &err, CLLM_ERR_FORMAT,
                 "blk.2."); /* which is not there */
}

/* ------------------------------------------------------------------------------------------- what is read */

static bool is_read(const cllm_gguf *gguf, const char *key) {
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++)
        if (strcmp(cllm_gguf_metadata(gguf, i)->key, key) == 0) return cllm_gguf_is_read(gguf, i);
    fail_msg("%s is missing", key);
    return false;
}

/* A model with a tokenizer and a key that nothing reads. */
static const char *write_whole_model(void) {
    tiny_model m = tiny_model_default();
    static const char *const pieces[] = {"<unk>", "<s>", "</s>", "a", "b"};
    static const int32_t types[] = {2, 3, 3, 1, 1};
    m.n_vocab = 5;
    gguf_builder g;
    builder_init(&g);
    tiny_model_metadata(&g, &m);
    builder_u32(&g, "llama.of_another_program", 1);
    builder_string(&g, "tokenizer.ggml.model", "llama");
    builder_strings(&g, "tokenizer.ggml.tokens", pieces, 5);
    builder_f32s(&g, "tokenizer.ggml.scores", (const float[]){0, 0, 0, -1, -2}, 5);
    builder_i32s(&g, "tokenizer.ggml.token_type", types, 5);
    tiny_model_tensors(&g, &m);
    return builder_write(&g, "whole.gguf");
}

static void a_view_marks_what_its_look_ups_find(void **state) {
    (void)state;
    cllm_gguf *gguf = open_sample(NULL, 0), *view;
    bool found[32] = {false};
    uint32_t number = 0;
    cllm_error err;
    assert_ok(gguf_view_create(gguf, found, &view, &err), &err);
    assert_ok(gguf_get_u32(view, "u32", GGUF_OPTIONAL, &number, &err), &err);
    assert_ok(gguf_get_u32(view, "absent", GGUF_OPTIONAL, &number, &err), &err);
    assert_ok(gguf_get_u32(gguf, "u16", GGUF_OPTIONAL, &number, &err),
              &err); /* the file is read, not the view: this marks nothing */
    assert_non_null(cllm_gguf_find(view, "string"));
    gguf_view_destroy(view);
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        assert_int_equal(found[i], strcmp(cllm_gguf_metadata(gguf, i)->key, "u32") == 0);
        assert_false(cllm_gguf_is_read(gguf, i));
    }
    cllm_gguf_close(gguf);
}

static void what_is_read_is_told(void **state) {
    (void)state;
    static const char model_key[] = "llama.block_count", tokenizer_key[] = "tokenizer.ggml.scores";
    const char *path = write_whole_model();
    cllm_error err;
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer;
    cllm_memory_plan plan;
    assert_ok(cllm_gguf_open(path, NULL, &gguf, &err), &err);
    assert_ok(cllm_tokenizer_create(gguf, &tokenizer, &err), &err);
    cllm_tokenizer_destroy(tokenizer);
    assert_ok(cllm_plan_memory(gguf, NULL, &plan, &err), &err);
    assert_false(is_read(gguf, model_key) || is_read(gguf, tokenizer_key)); /* the file is as it was */
    assert_ok(cllm_gguf_read_model_keys(gguf, &err), &err);
    assert_true(is_read(gguf, model_key) && !is_read(gguf, tokenizer_key));
    assert_ok(cllm_gguf_read_tokenizer_keys(gguf, &err), &err);
    assert_true(is_read(gguf, tokenizer_key) && !is_read(gguf, "llama.of_another_program"));
    cllm_gguf_close(gguf);

    cllm_model *model;
    assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
    assert_true(is_read(cllm_model_gguf(model), model_key) && is_read(cllm_model_gguf(model), tokenizer_key));
    assert_false(is_read(cllm_model_gguf(model), "llama.of_another_program"));
    cllm_model_destroy(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_replaced_in_the_type_of_the_file),
        cmocka_unit_test(integers_of_any_type_replace_each_other),
        cmocka_unit_test(keys_are_added_and_copied),
        cmocka_unit_test(keys_are_completed_with_the_architecture),
        cmocka_unit_test(none_are_none),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_model_computes_by_what_is_given),
        cmocka_unit_test(a_view_marks_what_its_look_ups_find),
        cmocka_unit_test(what_is_read_is_told),
    };
    return cmocka_run_group_tests_name("overrides", tests, NULL, NULL);
}
