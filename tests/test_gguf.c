/* The GGUF reader: what it reads, and that it refuses every file that lies, with a message that says where. */
#include "support/check.h"
#include "support/gguf_builder.h"

#include "gguf/gguf.h"
#include "gguf/quant_types.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ------------------------------------------------------------------------------------- building by hand */

/* What the builder has no function for: the caller appends the value to g->metadata. */
static void put_key(gguf_builder *g, const char *key, cllm_value_type type) {
    buffer_put_string(&g->metadata, key);
    buffer_put_u32(&g->metadata, type);
    g->n_metadata++;
}

static void put_array(gguf_builder *g, cllm_value_type type, uint64_t count) {
    buffer_put_u32(&g->metadata, type);
    buffer_put_u64(&g->metadata, count);
}

static void put_byte(gguf_builder *g, unsigned char byte) { buffer_put(&g->metadata, &byte, 1); }

/* A table entry without data. */
static void put_tensor(gguf_builder *g, const char *name, uint32_t n_dims, const uint64_t *shape, uint32_t type,
                       uint64_t offset) {
    buffer_put_string(&g->tensors, name);
    buffer_put_u32(&g->tensors, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) buffer_put_u64(&g->tensors, shape[i]);
    buffer_put_u32(&g->tensors, type);
    buffer_put_u64(&g->tensors, offset);
    g->n_tensors++;
}

#define SHAPE(...) (sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)), ((uint64_t[]){__VA_ARGS__})

/* A string of n times the letter. Release with free(). */
static char *repeat(char letter, size_t n) {
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, letter, n);
    text[n] = 0;
    return text;
}

/* An open file and the bytes it borrows, in a block of their exact size so that a sanitizer sees a step beyond. */
typedef struct built {
    unsigned char *bytes;
    size_t n_bytes;
    cllm_gguf *gguf;
    cllm_error err;
    cllm_status status;
} built;

static built open_bytes(const unsigned char *bytes, size_t n_bytes) {
    built b = {.bytes = malloc(n_bytes ? n_bytes : 1), .n_bytes = n_bytes};
    assert_non_null(b.bytes);
    memcpy(b.bytes, bytes, n_bytes);
    b.status = gguf_open_memory(b.bytes, n_bytes, &b.gguf, &b.err);
    assert_true((b.status == CLLM_OK) == (b.gguf != NULL));
    return b;
}

static built open_builder(gguf_builder *g) {
    size_t n_bytes;
    unsigned char *bytes = builder_finish(g, &n_bytes);
    built b = open_bytes(bytes, n_bytes);
    free(bytes);
    builder_free(g);
    return b;
}

static void close_built(built *b) {
    cllm_gguf_close(b->gguf);
    free(b->bytes);
}

/* ---------------------------------------------------------------------------------------- files that lie */

typedef struct bad_file {
    const char *name;
    void (*build)(gguf_builder *g); /* into a builder that holds nothing yet */
    cllm_status status;
    const char *message; /* the whole of it, after the path */
} bad_file;

static void version_0(gguf_builder *g) { g->version = 0; }
static void version_1(gguf_builder *g) { g->version = 1; }
static void version_4(gguf_builder *g) { g->version = 4; }
static void big_endian(gguf_builder *g) { g->version = 0x03000000; }

static void many_tensors(gguf_builder *g) { g->n_tensors = UINT64_MAX; }
static void many_keys(gguf_builder *g) { g->n_metadata = UINT64_MAX - 1; }
static void one_key_too_many(gguf_builder *g) {
    builder_string(g, "a", "0123456789");
    g->n_metadata = 2;
}
static void one_tensor_too_many(gguf_builder *g) {
    builder_tensor(g, "a", QUANT_F32, SHAPE(16), NULL, 64);
    g->n_tensors = 2;
}

static void long_key(gguf_builder *g) {
    buffer_put_u64(&g->metadata, UINT64_MAX);
    buffer_put(&g->metadata, "abcdefgh", 8);
    g->n_metadata = 1;
}
static void key_of_65536(gguf_builder *g) {
    char *key = repeat('k', 65536);
    builder_u32(g, key, 1);
    free(key);
}
static void empty_key(gguf_builder *g) {
    builder_u32(g, "a", 1);
    builder_u32(g, "", 1);
}
static void key_with_newline(gguf_builder *g) { builder_u32(g, "general.\nname", 1); }
static void key_with_nul(gguf_builder *g) {
    builder_u32(g, "abc", 1);
    g->metadata.bytes[8 + 1] = 0;
}
static void duplicate_key(gguf_builder *g) {
    builder_u32(g, "b", 1);
    builder_u32(g, "a", 1);
    builder_u32(g, "b", 1);
}

static void unknown_value_type(gguf_builder *g) {
    put_key(g, "a", (cllm_value_type)13);
    buffer_put_u64(&g->metadata, 0);
}
static void bool_of_2(gguf_builder *g) { builder_bool(g, "a", 2); }
static void bools_of_2(gguf_builder *g) {
    put_key(g, "a", CLLM_ARRAY);
    put_array(g, CLLM_BOOL, 3);
    buffer_put(&g->metadata, "\0\1\2", 3);
}
static void value_cut(gguf_builder *g) {
    put_key(g, "abcdef", CLLM_UINT64);
    buffer_put_u32(&g->metadata, 1);
}
static void long_string(gguf_builder *g) {
    put_key(g, "a", CLLM_STRING);
    buffer_put_u64(&g->metadata, UINT64_MAX - 7);
    buffer_put_u64(&g->metadata, 0);
}
static void long_array(gguf_builder *g) {
    put_key(g, "a", CLLM_ARRAY);
    put_array(g, CLLM_UINT8, UINT64_MAX);
    buffer_put_u64(&g->metadata, 0);
}
static void array_that_wraps(gguf_builder *g) { /* 2^61 + 1 values of 8 bytes: 8 bytes, modulo 2^64 */
    put_key(g, "a", CLLM_ARRAY);
    put_array(g, CLLM_UINT64, (UINT64_C(1) << 61) + 1);
    buffer_put_u64(&g->metadata, 0);
}
static void long_string_array(gguf_builder *g) {
    put_key(g, "a", CLLM_ARRAY);
    put_array(g, CLLM_STRING, UINT64_C(1) << 62);
    buffer_put_u64(&g->metadata, 0);
}
static void long_string_in_array(gguf_builder *g) {
    put_key(g, "a", CLLM_ARRAY);
    put_array(g, CLLM_STRING, 1);
    buffer_put_u64(&g->metadata, 1);
}
static void unknown_element_type(gguf_builder *g) {
    put_key(g, "a", CLLM_ARRAY);
    put_array(g, (cllm_value_type)255, 0);
}
static void nested_5_deep(gguf_builder *g) {
    put_key(g, "a", CLLM_ARRAY);
    for (int i = 0; i < 4; i++) put_array(g, CLLM_ARRAY, 1);
    put_array(g, CLLM_UINT8, 0);
}

static void alignment_0(gguf_builder *g) { builder_u32(g, "general.alignment", 0); }
static void alignment_3(gguf_builder *g) { builder_u32(g, "general.alignment", 3); }
static void alignment_4(gguf_builder *g) { builder_u32(g, "general.alignment", 4); }
static void alignment_2_31(gguf_builder *g) { builder_u32(g, "general.alignment", UINT32_C(1) << 31); }
static void alignment_type(gguf_builder *g) {
    put_key(g, "general.alignment", CLLM_UINT64);
    buffer_put_u64(&g->metadata, 32);
}

static void empty_tensor_name(gguf_builder *g) { builder_tensor(g, "", QUANT_F32, SHAPE(8), NULL, 32); }
static void tensor_name_of_1025(gguf_builder *g) {
    char *name = repeat('t', 1025);
    builder_tensor(g, name, QUANT_F32, SHAPE(8), NULL, 32);
    free(name);
}
static void tensor_name_with_tab(gguf_builder *g) { builder_tensor(g, "a\tb", QUANT_F32, SHAPE(8), NULL, 32); }
static void long_tensor_name(gguf_builder *g) {
    builder_tensor(g, "a", QUANT_F32, SHAPE(8), NULL, 32);
    memset(g->tensors.bytes, 0xff, 8);
}
static void duplicate_tensor(gguf_builder *g) {
    builder_tensor(g, "b", QUANT_F32, SHAPE(8), NULL, 32);
    builder_tensor(g, "a", QUANT_F32, SHAPE(8), NULL, 32);
    builder_tensor(g, "b", QUANT_F32, SHAPE(8), NULL, 32);
}
static void n_dims_0(gguf_builder *g) {
    builder_tensor(g, "padding", QUANT_F32, SHAPE(8), NULL, 32);
    builder_tensor(g, "a", QUANT_F32, 0, NULL, NULL, 32);
}
static void n_dims_5(gguf_builder *g) { builder_tensor(g, "a", QUANT_F32, SHAPE(1, 1, 1, 1, 1), NULL, 32); }
static void n_dims_max(gguf_builder *g) {
    builder_tensor(g, "a", QUANT_F32, SHAPE(8), NULL, 32);
    memset(g->tensors.bytes + 8 + 1, 0xff, 4);
}
static void zero_dimension(gguf_builder *g) { builder_tensor(g, "a", QUANT_F32, SHAPE(8, 0, 2), NULL, 32); }
static void elements_wrap(gguf_builder *g) {
    builder_tensor(g, "a", QUANT_F32, SHAPE(UINT64_C(1) << 32, UINT64_C(1) << 32), NULL, 32);
}
static void bytes_wrap(gguf_builder *g) {
    builder_tensor(g, "a", QUANT_F32, SHAPE(UINT64_C(1) << 32, UINT64_C(1) << 30), NULL, 32);
}
static void all_dimensions_wrap(gguf_builder *g) {
    builder_tensor(g, "a", QUANT_F32, SHAPE(UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX), NULL, 32);
}
static void unknown_tensor_type(gguf_builder *g) { builder_tensor(g, "a", 4, SHAPE(8), NULL, 32); }
static void tensor_type_max(gguf_builder *g) { builder_tensor(g, "a", UINT32_MAX, SHAPE(8), NULL, 32); }
static void row_not_blocks(gguf_builder *g) { builder_tensor(g, "a", QUANT_Q4_K, SHAPE(128, 2), NULL, 160); }

static void past_the_end(gguf_builder *g) { builder_tensor(g, "a", QUANT_F32, SHAPE(9), NULL, 32); }
static void starts_past_the_end(gguf_builder *g) {
    put_tensor(g, "a", SHAPE(8), QUANT_F32, UINT64_C(1) << 40);
    buffer_put(&g->data, "data", 4);
}
static void no_data(gguf_builder *g) { put_tensor(g, "a", SHAPE(1), QUANT_I8, 0); }
static void over_the_header(gguf_builder *g) { /* 32 bytes before the data, modulo 2^64 */
    put_tensor(g, "a", SHAPE(8), QUANT_F32, UINT64_MAX - 31);
    buffer_put_u64(&g->data, 0);
}
static void end_wraps(gguf_builder *g) {
    put_tensor(g, "a", SHAPE(UINT64_MAX - 63), QUANT_I8, 0);
    buffer_put_u64(&g->data, 0);
}
static void misaligned(gguf_builder *g) {
    g->alignment = 16;
    builder_tensor(g, "a", QUANT_F32, SHAPE(4), NULL, 16);
    builder_tensor(g, "b", QUANT_F32, SHAPE(4), NULL, 16);
}
static void same_place(gguf_builder *g) {
    builder_tensor(g, "a", QUANT_F32, SHAPE(8), NULL, 32);
    put_tensor(g, "b", SHAPE(8), QUANT_F32, 0);
}
static void overlap(gguf_builder *g) {
    put_tensor(g, "b", SHAPE(8), QUANT_F32, 64);
    put_tensor(g, "a", SHAPE(17), QUANT_F32, 0);
    builder_tensor(g, "c", QUANT_F32, SHAPE(8), NULL, 96);
    g->tensors.bytes[g->tensors.size - 8] = 96;
    for (int i = 0; i < 4; i++) buffer_put_u64(&g->data, 0);
}
static void part_without_its_name(gguf_builder *g) { builder_u32(g, "split.count", 3); }

#define F CLLM_ERR_FORMAT
#define U CLLM_ERR_UNSUPPORTED
static const bad_file bad_files[] = {
    {"version 0", version_0, U, "?"},
    {"version 1", version_1, U, "?"},
    {"version 4", version_4, U, "?"},
    {"big-endian", big_endian, U, "?"},
    {"2^64 - 1 tensors", many_tensors, F, "?"},
    {"2^64 - 2 keys", many_keys, F, "?"},
    {"one key too many", one_key_too_many, F, "?"},
    {"one tensor too many", one_tensor_too_many, F, "?"},
    {"key of 2^64 - 1 bytes", long_key, F, "?"},
    {"key of 65536 bytes", key_of_65536, F, "?"},
    {"empty key", empty_key, F, "?"},
    {"key with a newline", key_with_newline, F, "?"},
    {"key with a NUL", key_with_nul, F, "?"},
    {"duplicate key", duplicate_key, F, "?"},
    {"unknown value type", unknown_value_type, F, "?"},
    {"bool of 2", bool_of_2, F, "?"},
    {"bool of 2 in an array", bools_of_2, F, "?"},
    {"value cut short", value_cut, F, "?"},
    {"string of 2^64 - 8 bytes", long_string, F, "?"},
    {"array of 2^64 - 1", long_array, F, "?"},
    {"array whose size wraps", array_that_wraps, F, "?"},
    {"array of 2^62 strings", long_string_array, F, "?"},
    {"string past the end in an array", long_string_in_array, F, "?"},
    {"unknown element type", unknown_element_type, F, "?"},
    {"arrays nested 5 deep", nested_5_deep, U, "?"},
    {"alignment 0", alignment_0, F, "?"},
    {"alignment 3", alignment_3, F, "?"},
    {"alignment 4", alignment_4, F, "?"},
    {"alignment 2^31", alignment_2_31, F, "?"},
    {"alignment of the wrong type", alignment_type, F, "?"},
    {"empty tensor name", empty_tensor_name, F, "?"},
    {"tensor name of 1025 bytes", tensor_name_of_1025, F, "?"},
    {"tensor name with a tab", tensor_name_with_tab, F, "?"},
    {"tensor name of 2^64 - 1 bytes", long_tensor_name, F, "?"},
    {"duplicate tensor", duplicate_tensor, F, "?"},
    {"n_dims 0", n_dims_0, F, "?"},
    {"n_dims 5", n_dims_5, F, "?"},
    {"n_dims 2^32 - 1", n_dims_max, F, "?"},
    {"zero dimension", zero_dimension, F, "?"},
    {"elements wrap: (2^32, 2^32) F32", elements_wrap, F, "?"},
    {"bytes wrap: (2^32, 2^30) F32", bytes_wrap, F, "?"},
    {"all dimensions 2^64 - 1", all_dimensions_wrap, F, "?"},
    {"unknown tensor type 4", unknown_tensor_type, U, "?"},
    {"unknown tensor type 2^32 - 1", tensor_type_max, U, "?"},
    {"row not of whole blocks", row_not_blocks, F, "?"},
    {"data past the end", past_the_end, F, "?"},
    {"data starting past the end", starts_past_the_end, F, "?"},
    {"no data at all", no_data, F, "?"},
    {"data over the header", over_the_header, F, "?"},
    {"data whose end wraps", end_wraps, F, "?"},
    {"misaligned offset", misaligned, F, "?"},
    {"two tensors in one place", same_place, F, "?"},
    {"overlapping tensors", overlap, F, "?"},
    {"a part without its name", part_without_its_name, F, "?"},
};
#undef F
#undef U

static void test_bad_file(void **state) {
    const bad_file *bad = *state;
    gguf_builder g;
    builder_init(&g);
    bad->build(&g);
    built b = open_builder(&g);
    if (b.status != bad->status) fail_msg("status %d: %s", (int)b.status, b.err.message);
    char expected[600];
    snprintf(expected, sizeof expected, "memory: %s", bad->message);
    assert_string_equal(b.err.message, expected);
    /* The offset that the message ends with is in the error, too. */
    assert_non_null(strstr(bad->message, "(offset "));
    assert_int_equal(strtoull(strstr(bad->message, "(offset ") + 8, NULL, 10), b.err.offset);
    close_built(&b);
}
