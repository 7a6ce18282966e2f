/* Tests the GGUF reader: what it reads, and that it refuses every wrong file with a message that says where the
 * fault is. */
#include "support/check.h"
#include "support/gguf_builder.h"

#include "gguf/gguf.h"
#include "gguf/quant_types.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ------------------------------------------------------------------------------------- building by hand */

/* For values that the builder has no function for: the caller appends the value to g->metadata. */
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

/* An open file and the bytes that it borrows. Their block has the exact size, so that a sanitizer sees a read beyond
 * it. */
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
    void (*build)(gguf_builder *g); /* changes a builder that holds nothing yet */
    cllm_status status;
    const char *message; /* the whole message, after the path */
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
    {"version 0", version_0, U, "GGUF version 0 is not supported, only 2 and 3 (offset 4)"},
    {"version 1", version_1, U,
     "GGUF version 1 is not supported, only 2 and 3: convert the original model again (offset 4)"},
    {"version 4", version_4, U, "GGUF version 4 is not supported, only 2 and 3 (offset 4)"},
    {"big-endian", big_endian, U, "a big-endian GGUF file; only little-endian ones are supported (offset 4)"},
    {"2^64 - 1 tensors", many_tensors, F,
     "18446744073709551615 tensors cannot fit in the 0 bytes left in the file: is it complete? (offset 8)"},
    {"2^64 - 2 keys", many_keys, F,
     "18446744073709551614 metadata keys cannot fit in the 0 bytes left in the file (offset 16)"},
    {"one key too many", one_key_too_many, F, "the file ends within the name of key number 1 (offset 55)"},
    {"one tensor too many", one_tensor_too_many, F,
     "tensor number 1 has a name of length 0, must be 1 to 1024 (offset 57)"},
    {"key of 2^64 - 1 bytes", long_key, F,
     "key number 0 has a name of length 18446744073709551615, must be 1 to 65535 (offset 24)"},
    {"key of 65536 bytes", key_of_65536, F, "key number 0 has a name of length 65536, must be 1 to 65535 (offset 24)"},
    {"empty key", empty_key, F, "key number 1 has a name of length 0, must be 1 to 65535 (offset 41)"},
    {"key with a newline", key_with_newline, F, "key number 0 has a control character in its name (offset 24)"},
    {"key with a NUL", key_with_nul, F, "key number 0 has a control character in its name (offset 24)"},
    {"duplicate key", duplicate_key, F, "b: the file has this key twice (offset 58)"},
    {"unknown value type", unknown_value_type, F, "a: unknown value type 13 (offset 33)"},
    {"bool of 2", bool_of_2, F, "a: a bool has the value 2, not 0 or 1 (offset 37)"},
    {"bool of 2 in an array", bools_of_2, F, "a: a bool has the value 2, not 0 or 1 (offset 51)"},
    {"value cut short", value_cut, F, "abcdef: the file ends within a value of type uint64 (offset 42)"},
    {"string of 2^64 - 8 bytes", long_string, F,
     "a: a string of length 18446744073709551608 cannot fit in the 8 bytes left in the file (offset 37)"},
    {"array of 2^64 - 1", long_array, F,
     "a: an array of 18446744073709551615 uint8 values cannot fit in the 8 bytes left in the file (offset 37)"},
    {"array whose size wraps", array_that_wraps, F,
     "a: an array of 2305843009213693953 uint64 values cannot fit in the 8 bytes left in the file (offset 37)"},
    {"array of 2^62 strings", long_string_array, F,
     "a: an array of 4611686018427387904 string values cannot fit in the 8 bytes left in the file (offset 37)"},
    {"string past the end in an array", long_string_in_array, F,
     "a: a string of length 1 cannot fit in the 0 bytes left in the file (offset 49)"},
    {"unknown element type", unknown_element_type, F, "a: unknown value type 255 (offset 37)"},
    {"arrays nested 5 deep", nested_5_deep, U, "a: arrays nested deeper than 4 (offset 85)"},
    {"alignment 0", alignment_0, F,
     "general.alignment: value is 0, must be a power of two from 8 to 1048576 (offset 24)"},
    {"alignment 3", alignment_3, F,
     "general.alignment: value is 3, must be a power of two from 8 to 1048576 (offset 24)"},
    {"alignment 4", alignment_4, F,
     "general.alignment: value is 4, must be a power of two from 8 to 1048576 (offset 24)"},
    {"alignment 2^31", alignment_2_31, F,
     "general.alignment: value is 2147483648, must be a power of two from 8 to 1048576 (offset 24)"},
    {"alignment of the wrong type", alignment_type, F,
     "general.alignment: a value of type uint64, must be uint32 (offset 24)"},
    {"empty tensor name", empty_tensor_name, F,
     "tensor number 0 has a name of length 0, must be 1 to 1024 (offset 24)"},
    {"tensor name of 1025 bytes", tensor_name_of_1025, F,
     "tensor number 0 has a name of length 1025, must be 1 to 1024 (offset 24)"},
    {"tensor name with a tab", tensor_name_with_tab, F,
     "tensor number 0 has a control character in its name (offset 24)"},
    {"tensor name of 2^64 - 1 bytes", long_tensor_name, F,
     "tensor number 0 has a name of length 18446744073709551615, must be 1 to 1024 (offset 24)"},
    {"duplicate tensor", duplicate_tensor, F, "b: the file has this tensor twice (offset 90)"},
    {"n_dims 0", n_dims_0, F, "a: 0 dimensions, must be 1 to 4 (offset 63)"},
    {"n_dims 5", n_dims_5, F, "a: 5 dimensions, must be 1 to 4 (offset 24)"},
    {"n_dims 2^32 - 1", n_dims_max, F, "a: 4294967295 dimensions, must be 1 to 4 (offset 24)"},
    {"zero dimension", zero_dimension, F, "a: shape [8, 0, 2] has a zero dimension (offset 24)"},
    {"elements wrap: (2^32, 2^32) F32", elements_wrap, F,
     "a: shape [4294967296, 4294967296] has 2^64 elements or more (offset 24)"},
    {"bytes wrap: (2^32, 2^30) F32", bytes_wrap, F,
     "a: shape [4294967296, 1073741824] of F32 has 2^64 bytes or more (offset 24)"},
    {"all dimensions 2^64 - 1", all_dimensions_wrap, F,
     "a: shape [18446744073709551615, 18446744073709551615, 18446744073709551615, 18446744073709551615] has 2^64 "
     "elements or more (offset 24)"},
    {"unknown tensor type 4", unknown_tensor_type, U,
     "a: GGUF no longer has the tensor type Q4_2: use the model's Q4_0 file (offset 24)"},
    {"unknown tensor type 2^32 - 1", tensor_type_max, U,
     "a: unknown tensor type 4294967295, perhaps of a newer program: use the model in another quantization (offset "
     "24)"},
    {"row not of whole blocks", row_not_blocks, F,
     "a: shape [128, 2] has rows that are not whole blocks of Q4_K, which hold 256 elements (offset 24)"},
    {"data past the end", past_the_end, F,
     "a: its data (size 36, at offset 0 of the tensor data) go past the end of the file, which has 96 bytes; is the "
     "file complete? (offset 24)"},
    {"data starting past the end", starts_past_the_end, F,
     "a: its data (size 32, at offset 1099511627776 of the tensor data) go past the end of the file, which has 68 "
     "bytes; is the file complete? (offset 24)"},
    {"no data at all", no_data, F,
     "a: its data (size 1, at offset 0 of the tensor data) go past the end of the file, which has 57 bytes; is the "
     "file complete? (offset 24)"},
    {"data over the header", over_the_header, F,
     "a: its data (size 32, at offset 18446744073709551584 of the tensor data) go past the end of the file, which has "
     "72 bytes; is the file complete? (offset 24)"},
    {"data whose end wraps", end_wraps, F,
     "a: its data (size 18446744073709551552, at offset 0 of the tensor data) go past the end of the file, which has "
     "72 bytes; is the file complete? (offset 24)"},
    {"misaligned offset", misaligned, F, "b: data offset 16 is not a multiple of the file's alignment, 32 (offset 57)"},
    {"two tensors in one place", same_place, F, "b: its data overlap those of a, which end at 128 (offset 96)"},
    {"overlapping tensors", overlap, F, "b: its data overlap those of a, which end at 196 (offset 192)"},
    {"a part without its name", part_without_its_name, F,
     "split.count: this is one of 3 parts of a split model, so its name has to end in -00001-of-00003.gguf (offset "
     "24)"},
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

/* ------------------------------------------------------------------------------------------- sound files */

/* Every value type, arrays of every kind, and two tensors whose data fill the file to its last byte. */
static void build_sample(gguf_builder *g) {
    builder_init(g);
    builder_string(g, "general.architecture", "llama");
    put_key(g, "u8", CLLM_UINT8);
    put_byte(g, 200);
    put_key(g, "i8", CLLM_INT8);
    put_byte(g, 0x80);
    put_key(g, "u16", CLLM_UINT16);
    buffer_put(&g->metadata, "\x34\xf2", 2);
    put_key(g, "i16", CLLM_INT16);
    buffer_put(&g->metadata, "\xfe\xff", 2);
    builder_u32(g, "u32", UINT32_MAX);
    put_key(g, "i32", CLLM_INT32);
    buffer_put_u32(&g->metadata, (uint32_t)-70000);
    builder_f32(g, "f32", 0.1f);
    builder_bool(g, "yes", 1);
    builder_bool(g, "no", 0);
    builder_string(g, "empty", "");
    put_key(g, "u64", CLLM_UINT64);
    buffer_put_u64(&g->metadata, UINT64_MAX);
    put_key(g, "i64", CLLM_INT64);
    buffer_put_u64(&g->metadata, UINT64_C(1) << 63);
    put_key(g, "f64", CLLM_FLOAT64);
    buffer_put_u64(&g->metadata, 0x3ff0000000000001); /* 1 + 2^-52 */
    builder_strings(g, "strings", (const char *const[]){"one", "", "three"}, 3);
    builder_f32s(g, "floats", (const float[]){1, -2.5f}, 2);
    builder_i32s(g, "ints", (const int32_t[]){INT32_MIN, 0, INT32_MAX}, 3);
    put_key(g, "bools", CLLM_ARRAY);
    put_array(g, CLLM_BOOL, 2);
    buffer_put(&g->metadata, "\1\0", 2);
    put_key(g, "nothing", CLLM_ARRAY);
    put_array(g, CLLM_FLOAT64, 0);
    put_key(g, "nested", CLLM_ARRAY); /* [[["x", "yz"]], [], [[], ["w"]]], and one level more around it */
    put_array(g, CLLM_ARRAY, 1);
    put_array(g, CLLM_ARRAY, 3);
    put_array(g, CLLM_ARRAY, 1);
    put_array(g, CLLM_STRING, 2);
    buffer_put_string(&g->metadata, "x");
    buffer_put_string(&g->metadata, "yz");
    put_array(g, CLLM_UINT16, 0);
    put_array(g, CLLM_ARRAY, 2);
    put_array(g, CLLM_INT8, 0);
    put_array(g, CLLM_STRING, 1);
    buffer_put_string(&g->metadata, "w");
    float ramp[16];
    for (int i = 0; i < 16; i++) ramp[i] = (float)i;
    builder_tensor(g, "blk.0.norm", QUANT_F32, SHAPE(8, 2), ramp, sizeof ramp);
    builder_tensor(g, "blk.0.ffn", QUANT_I8, SHAPE(4, 2, 2, 2), "abcdefghijklmnopqrstuvwxyzABCDEF", 32);
}

static void test_every_truncation(void **state) {
    (void)state;
    gguf_builder g;
    build_sample(&g);
    size_t n_bytes;
    unsigned char *bytes = builder_finish(&g, &n_bytes);
    for (size_t length = 0; length < n_bytes; length++) {
        built b = open_bytes(bytes, length);
        if (b.status != CLLM_ERR_FORMAT) fail_msg("cut to %zu of %zu bytes: status %d", length, n_bytes, (int)b.status);
        if (strncmp(b.err.message, "memory: ", 8) != 0 || !strstr(b.err.message, "(offset ") || b.err.offset > length)
            fail_msg("cut to %zu of %zu bytes: %s", length, n_bytes, b.err.message);
        close_built(&b);
    }
    built whole = open_bytes(bytes, n_bytes);
    assert_ok(whole.status, &whole.err);
    close_built(&whole);
    free(bytes);
    builder_free(&g);
}

static void assert_string(cllm_string got, const char *want) {
    assert_int_equal(got.length, strlen(want));
    assert_memory_equal(got.data, want, got.length);
}

static const cllm_value *value_of(const cllm_gguf *gguf, const char *key, cllm_value_type type) {
    const cllm_value *value = cllm_gguf_find(gguf, key);
    if (!value) fail_msg("%s is missing", key);
    if (value->type != type) fail_msg("%s has type %s", key, cllm_value_type_name(value->type));
    return value;
}

static cllm_value next_element(cllm_array *rest, cllm_value_type type) {
    cllm_value element;
    assert_true(cllm_array_next(rest, &element));
    assert_int_equal(element.type, type);
    return element;
}

static void test_every_value_type(void **state) {
    (void)state;
    gguf_builder g;
    build_sample(&g);
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);
    assert_int_equal(value_of(b.gguf, "u8", CLLM_UINT8)->u, 200);
    assert_int_equal(value_of(b.gguf, "i8", CLLM_INT8)->i, -128);
    assert_int_equal(value_of(b.gguf, "u16", CLLM_UINT16)->u, 0xf234);
    assert_int_equal(value_of(b.gguf, "i16", CLLM_INT16)->i, -2);
    assert_int_equal(value_of(b.gguf, "u32", CLLM_UINT32)->u, UINT32_MAX);
    assert_int_equal(value_of(b.gguf, "i32", CLLM_INT32)->i, -70000);
    assert_true(value_of(b.gguf, "f32", CLLM_FLOAT32)->f == (double)0.1f);
    assert_true(value_of(b.gguf, "yes", CLLM_BOOL)->b);
    assert_false(value_of(b.gguf, "no", CLLM_BOOL)->b);
    assert_string(value_of(b.gguf, "general.architecture", CLLM_STRING)->string, "llama");
    assert_string(value_of(b.gguf, "empty", CLLM_STRING)->string, "");
    assert_true(value_of(b.gguf, "u64", CLLM_UINT64)->u == UINT64_MAX);
    assert_true(value_of(b.gguf, "i64", CLLM_INT64)->i == INT64_MIN);
    assert_true(value_of(b.gguf, "f64", CLLM_FLOAT64)->f == 1 + 0x1p-52);
    assert_null(cllm_gguf_find(b.gguf, "u"));
    assert_null(cllm_gguf_find(b.gguf, ""));
    /* In the order of the file. */
    assert_int_equal(cllm_gguf_n_metadata(b.gguf), 20);
    assert_string_equal(cllm_gguf_metadata(b.gguf, 0)->key, "general.architecture");
    assert_string_equal(cllm_gguf_metadata(b.gguf, 19)->key, "nested");
    for (size_t i = 0; i < 20; i++) {
        const cllm_metadata *pair = cllm_gguf_metadata(b.gguf, i);
        assert_ptr_equal(cllm_gguf_find(b.gguf, pair->key), &pair->value);
    }
    close_built(&b);
}

static void test_arrays(void **state) {
    (void)state;
    gguf_builder g;
    build_sample(&g);
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);

    cllm_array strings = value_of(b.gguf, "strings", CLLM_ARRAY)->array;
    assert_int_equal(strings.element_type, CLLM_STRING);
    assert_int_equal(strings.count, 3);
    assert_string(next_element(&strings, CLLM_STRING).string, "one");
    assert_string(next_element(&strings, CLLM_STRING).string, "");
    assert_string(next_element(&strings, CLLM_STRING).string, "three");
    cllm_value untouched = {.type = CLLM_INT8, .i = 7};
    assert_false(cllm_array_next(&strings, &untouched));
    assert_true(untouched.type == CLLM_INT8 && untouched.i == 7);

    cllm_array floats = value_of(b.gguf, "floats", CLLM_ARRAY)->array;
    assert_true(next_element(&floats, CLLM_FLOAT32).f == 1);
    assert_true(next_element(&floats, CLLM_FLOAT32).f == -2.5);
    cllm_array ints = value_of(b.gguf, "ints", CLLM_ARRAY)->array;
    assert_int_equal(next_element(&ints, CLLM_INT32).i, INT32_MIN);
    assert_int_equal(next_element(&ints, CLLM_INT32).i, 0);
    assert_int_equal(next_element(&ints, CLLM_INT32).i, INT32_MAX);
    cllm_array bools = value_of(b.gguf, "bools", CLLM_ARRAY)->array;
    assert_true(next_element(&bools, CLLM_BOOL).b);
    assert_false(next_element(&bools, CLLM_BOOL).b);
    cllm_array nothing = value_of(b.gguf, "nothing", CLLM_ARRAY)->array;
    assert_int_equal(nothing.element_type, CLLM_FLOAT64);
    assert_false(cllm_array_next(&nothing, &untouched));

    cllm_array around = value_of(b.gguf, "nested", CLLM_ARRAY)->array;
    cllm_array nested = next_element(&around, CLLM_ARRAY).array;
    assert_int_equal(around.count, 0);
    assert_int_equal(nested.count, 3);
    cllm_array first = next_element(&nested, CLLM_ARRAY).array;
    cllm_array words = next_element(&first, CLLM_ARRAY).array;
    assert_string(next_element(&words, CLLM_STRING).string, "x");
    assert_string(next_element(&words, CLLM_STRING).string, "yz");
    assert_int_equal(next_element(&nested, CLLM_ARRAY).array.count, 0);
    cllm_array third = next_element(&nested, CLLM_ARRAY).array;
    assert_int_equal(next_element(&third, CLLM_ARRAY).array.element_type, CLLM_INT8);
    words = next_element(&third, CLLM_ARRAY).array;
    assert_string(next_element(&words, CLLM_STRING).string, "w");
    assert_int_equal(nested.count, 0);
    close_built(&b);
}

static void test_tensors(void **state) {
    (void)state;
    gguf_builder g;
    build_sample(&g);
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);
    assert_int_equal(cllm_gguf_n_tensors(b.gguf), 2);
    const cllm_tensor *norm = cllm_gguf_tensor(b.gguf, 0), *ffn = cllm_gguf_tensor(b.gguf, 1);
    assert_ptr_equal(cllm_gguf_find_tensor(b.gguf, "blk.0.norm"), norm);
    assert_ptr_equal(cllm_gguf_find_tensor(b.gguf, "blk.0.ffn"), ffn);
    assert_null(cllm_gguf_find_tensor(b.gguf, "blk.0"));
    assert_string_equal(norm->name, "blk.0.norm");
    assert_int_equal(norm->type, QUANT_F32);
    assert_int_equal(norm->n_dims, 2);
    assert_memory_equal(norm->shape, ((uint64_t[]){8, 2, 1, 1}), sizeof norm->shape);
    assert_int_equal(norm->n_bytes, 64);
    assert_int_equal(norm->file, 0);
    assert_int_equal(norm->offset % 32, 0);
    assert_ptr_equal(norm->data, b.bytes + norm->offset);
    float last;
    memcpy(&last, (const unsigned char *)norm->data + 60, sizeof last);
    assert_true(last == 15);
    assert_memory_equal(ffn->shape, ((uint64_t[]){4, 2, 2, 2}), sizeof ffn->shape);
    assert_int_equal(ffn->offset, norm->offset + 64);
    assert_memory_equal(ffn->data, "abcdefghijklmnopqrstuvwxyzABCDEF", 32);
    assert_int_equal(ffn->offset + ffn->n_bytes, b.n_bytes);
    assert_string_equal(cllm_gguf_path_of(b.gguf, norm->data), "memory");
    assert_null(cllm_gguf_path_of(b.gguf, b.bytes + b.n_bytes));
    close_built(&b);
}

/* Rows of two blocks of every tensor type, each with the size that the list in quant_types.h gives. */
static void test_every_tensor_type(void **state) {
    (void)state;
    gguf_builder g;
    builder_init(&g);
#define X(name, number, elements, bytes) builder_tensor(&g, #name, number, SHAPE(2 * elements, 3), NULL, 6 * bytes);
    QUANT_TYPES(X)
#undef X
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);
#define X(name, number, elements, bytes) assert_int_equal(cllm_gguf_find_tensor(b.gguf, #name)->n_bytes, 6 * bytes);
    QUANT_TYPES(X)
#undef X
    for (size_t i = 0; i < cllm_gguf_n_tensors(b.gguf); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(b.gguf, i);
        assert_string_equal(cllm_tensor_type_name(tensor->type), tensor->name);
    }
    close_built(&b);
}

static void test_version_2(void **state) {
    (void)state;
    gguf_builder g;
    build_sample(&g);
    g.version = 2;
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);
    assert_int_equal(cllm_gguf_version(b.gguf), 2);
    assert_int_equal(cllm_gguf_alignment(b.gguf), 32);
    assert_int_equal(cllm_gguf_n_files(b.gguf), 1);
    assert_int_equal(cllm_gguf_n_bytes(b.gguf), b.n_bytes);
    close_built(&b);
}

static void test_alignments(void **state) {
    (void)state;
    for (uint32_t alignment = 8; alignment <= 1u << 20; alignment *= 2) {
        gguf_builder g;
        builder_init(&g);
        g.alignment = alignment;
        builder_u32(&g, "general.alignment", alignment);
        builder_tensor(&g, "a", QUANT_I8, SHAPE(1), "a", 1);
        builder_tensor(&g, "b", QUANT_I8, SHAPE(1), "b", 1);
        built b = open_builder(&g);
        assert_ok(b.status, &b.err);
        assert_int_equal(cllm_gguf_alignment(b.gguf), alignment);
        assert_int_equal(cllm_gguf_tensor(b.gguf, 1)->offset % alignment, 0);
        assert_memory_equal(cllm_gguf_tensor(b.gguf, 1)->data, "b", 1);
        close_built(&b);
    }
}

/* The smallest file, and one with metadata only: both may end without padding. */
static void test_no_tensors(void **state) {
    (void)state;
    gguf_builder g;
    builder_init(&g);
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);
    assert_int_equal(b.n_bytes, 24);
    assert_int_equal(cllm_gguf_n_tensors(b.gguf), 0);
    assert_int_equal(cllm_gguf_n_metadata(b.gguf), 0);
    assert_null(cllm_gguf_find(b.gguf, "a"));
    assert_null(cllm_gguf_find_tensor(b.gguf, "a"));
    close_built(&b);
    builder_u32(&g, "a", 1);
    b = open_builder(&g);
    assert_ok(b.status, &b.err);
    assert_int_equal(value_of(b.gguf, "a", CLLM_UINT32)->u, 1);
    close_built(&b);
}

static void test_longest_names(void **state) {
    (void)state;
    gguf_builder g;
    builder_init(&g);
    char *key = repeat('k', 65535), *name = repeat('t', 1024);
    builder_u32(&g, key, 1);
    builder_tensor(&g, name, QUANT_F32, SHAPE(8), NULL, 32);
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);
    assert_non_null(cllm_gguf_find(b.gguf, key));
    assert_non_null(cllm_gguf_find_tensor(b.gguf, name));
    close_built(&b);
    free(key);
    free(name);
}

/* A million keys in random order, and as many tensors. Comparing each with each would take hours. */
static void test_a_million_names(void **state) {
    (void)state;
    enum { COUNT_OF_NAMES = 1000000, STEP = 618033 };
    gguf_builder g;
    builder_init(&g);
    char name[32];
    for (uint32_t i = 0; i < COUNT_OF_NAMES; i++) {
        snprintf(name, sizeof name, "key.%06u", (unsigned)((uint64_t)i * STEP % COUNT_OF_NAMES));
        builder_u32(&g, name, i);
    }
    g.alignment = 8;
    builder_u32(&g, "general.alignment", 8);
    for (uint32_t i = 0; i < COUNT_OF_NAMES; i++) {
        snprintf(name, sizeof name, "t%06u", (unsigned)((uint64_t)i * STEP % COUNT_OF_NAMES));
        put_tensor(&g, name, SHAPE(8), QUANT_I8, (uint64_t)i * 8);
    }
    for (uint32_t i = 0; i < COUNT_OF_NAMES; i++) buffer_put_u64(&g.data, i);
    clock_t start = clock();
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);
    assert_int_equal(value_of(b.gguf, "key.618033", CLLM_UINT32)->u, 1);
    assert_int_equal(cllm_gguf_find_tensor(b.gguf, "t618033")->offset, cllm_gguf_tensor(b.gguf, 0)->offset + 8);
    assert_true(clock() - start < (clock_t)60 * CLOCKS_PER_SEC);
    close_built(&b);
}

/* ---------------------------------------------------------------------------------------- typed look-ups */

static void test_typed_look_ups(void **state) {
    (void)state;
    gguf_builder g;
    build_sample(&g);
    builder_f32(&g, "nan", NAN);
    put_key(&g, "huge", CLLM_FLOAT64);
    buffer_put_u64(&g.metadata, 0x7fe0000000000000); /* 2^1023 */
    put_key(&g, "small", CLLM_INT64);
    buffer_put_u64(&g.metadata, 42);
    built b = open_builder(&g);
    assert_ok(b.status, &b.err);
    cllm_error err;

    uint32_t u = 1;
    assert_ok(gguf_get_u32(b.gguf, "u8", GGUF_REQUIRED, &u, &err), &err);
    assert_int_equal(u, 200);
    assert_error(gguf_get_u32(b.gguf, "i8", GGUF_REQUIRED, &u, &err), &err, CLLM_ERR_FORMAT,
                 "i8: a value of type int8");
    assert_error(gguf_get_u32(b.gguf, "i16", GGUF_REQUIRED, &u, &err), &err, CLLM_ERR_FORMAT, "must be an integer");
    assert_int_equal(u, 200);
    assert_ok(gguf_get_u32(b.gguf, "small", GGUF_OPTIONAL, &u, &err), &err);
    assert_int_equal(u, 42);
    assert_ok(gguf_get_u32(b.gguf, "u32", GGUF_OPTIONAL, &u, &err), &err);
    assert_int_equal(u, UINT32_MAX);
    u = 5;
    assert_ok(gguf_get_u32(b.gguf, "absent", GGUF_OPTIONAL, &u, &err), &err);
    assert_error(gguf_get_u32(b.gguf, "absent", GGUF_REQUIRED, &u, &err), &err, CLLM_ERR_FORMAT,
                 "absent: key is missing");
    assert_string_equal(err.name, "absent");
    assert_error(gguf_get_u32(b.gguf, "u64", GGUF_OPTIONAL, &u, &err), &err, CLLM_ERR_FORMAT,
                 "u64: value is 18446744073709551615, must be at most 4294967295");
    assert_error(gguf_get_u32(b.gguf, "i32", GGUF_OPTIONAL, &u, &err), &err, CLLM_ERR_FORMAT, "i32: ");
    assert_error(gguf_get_u32(b.gguf, "f32", GGUF_OPTIONAL, &u, &err), &err, CLLM_ERR_FORMAT,
                 "f32: a value of type float32, must be an integer that is not negative");
    assert_int_equal(u, 5);

    float f = 1;
    assert_ok(gguf_get_f32(b.gguf, "f32", GGUF_REQUIRED, &f, &err), &err);
    assert_true(f == 0.1f);
    assert_ok(gguf_get_f32(b.gguf, "f64", GGUF_REQUIRED, &f, &err), &err);
    assert_true(f == 1);
    assert_ok(gguf_get_f32(b.gguf, "absent", GGUF_OPTIONAL, &f, &err), &err);
    assert_error(gguf_get_f32(b.gguf, "nan", GGUF_OPTIONAL, &f, &err), &err, CLLM_ERR_FORMAT, "must be finite");
    assert_error(gguf_get_f32(b.gguf, "huge", GGUF_OPTIONAL, &f, &err), &err, CLLM_ERR_FORMAT, "must be finite");
    assert_error(gguf_get_f32(b.gguf, "u8", GGUF_OPTIONAL, &f, &err), &err, CLLM_ERR_FORMAT,
                 "u8: a value of type uint8, must be float32 or float64");
    assert_true(f == 1);

    bool yes = false;
    assert_ok(gguf_get_bool(b.gguf, "yes", GGUF_REQUIRED, &yes, &err), &err);
    assert_true(yes);
    assert_error(gguf_get_bool(b.gguf, "u8", GGUF_REQUIRED, &yes, &err), &err, CLLM_ERR_FORMAT, "must be bool");
    cllm_string string = {0};
    assert_ok(gguf_get_string(b.gguf, "general.architecture", GGUF_REQUIRED, &string, &err), &err);
    assert_string(string, "llama");
    assert_error(gguf_get_string(b.gguf, "u8", GGUF_REQUIRED, &string, &err), &err, CLLM_ERR_FORMAT, "must be string");
    cllm_array array = {0};
    assert_ok(gguf_get_array(b.gguf, "ints", GGUF_REQUIRED, CLLM_INT32, &array, &err), &err);
    assert_int_equal(array.count, 3);
    assert_error(gguf_get_array(b.gguf, "ints", GGUF_REQUIRED, CLLM_STRING, &array, &err), &err, CLLM_ERR_FORMAT,
                 "ints: an array of int32, must be one of string");
    assert_error(gguf_get_array(b.gguf, "u8", GGUF_REQUIRED, CLLM_STRING, &array, &err), &err, CLLM_ERR_FORMAT,
                 "must be array");
    assert_int_equal(gguf_get_u32(b.gguf, "absent", GGUF_REQUIRED, &u, NULL), CLLM_ERR_FORMAT); /* err may be NULL */
    close_built(&b);
}

/* ------------------------------------------------------------------------------------------------- paths */

static void assert_same_tensors(const cllm_gguf *a, const cllm_gguf *b) {
    assert_int_equal(cllm_gguf_n_tensors(a), cllm_gguf_n_tensors(b));
    for (size_t i = 0; i < cllm_gguf_n_tensors(a); i++) {
        const cllm_tensor *left = cllm_gguf_tensor(a, i), *right = cllm_gguf_tensor(b, i);
        assert_string_equal(left->name, right->name);
        assert_int_equal(left->offset, right->offset);
        assert_int_equal(left->n_bytes, right->n_bytes);
        assert_memory_equal(left->data, right->data, left->n_bytes);
    }
}

static void test_mapped_and_read(void **state) {
    (void)state;
    gguf_builder g;
    build_sample(&g);
    const char *path = builder_write(&g, "sample.gguf");
    cllm_gguf *mapped, *read;
    cllm_error err;
    assert_ok(cllm_gguf_open(path, NULL, &mapped, &err), &err);
    assert_ok(cllm_gguf_open(path, &(cllm_load_options){.no_mmap = true}, &read, &err), &err);
    assert_same_tensors(mapped, read);
    assert_int_equal(cllm_gguf_n_metadata(mapped), cllm_gguf_n_metadata(read));
    assert_string_equal(cllm_gguf_path_of(mapped, cllm_gguf_tensor(mapped, 1)->data), path);
    assert_null(cllm_gguf_path_of(mapped, &g));
    cllm_gguf_close(mapped);
    cllm_gguf_close(read);
    cllm_gguf_close(NULL);
}

static void test_messages_name_the_file(void **state) {
    (void)state;
    gguf_builder g;
    builder_init(&g);
    g.version = 1;
    const char *path = builder_write(&g, "old.gguf");
    cllm_gguf *gguf;
    cllm_error err;
    char expected[1200];
    snprintf(expected, sizeof expected, "%s: GGUF version 1", path);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_UNSUPPORTED, expected);
    assert_null(gguf);
    path = write_temporary("not.gguf", "GGML", 4);
    snprintf(expected, sizeof expected, "%s: this is a text, not a model: \"GGML\"", path);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_FORMAT, expected);
    path = write_temporary("empty.gguf", "", 0);
    snprintf(expected, sizeof expected, "%s: the file is empty", path);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_FORMAT, expected);
    assert_error(cllm_gguf_open("absent.gguf", NULL, &gguf, &err), &err, CLLM_ERR_IO, "absent.gguf: cannot open");
}

/* ------------------------------------------------------------------------------------------- split files */

static void put_two_tensors(gguf_builder *g, unsigned first) {
    for (unsigned i = first; i < first + 2; i++) {
        char name[32] = {0};
        snprintf(name, sizeof name, "blk.%u.weight", i);
        builder_tensor(g, name, QUANT_I8, SHAPE(32), name, sizeof name);
    }
}

/* Part `number` (from 0) of three: the first has the metadata and no tensor, the others two each. */
static void build_part(gguf_builder *g, uint32_t number) {
    builder_init(g);
    if (number == 0) builder_string(g, "general.architecture", "llama");
    put_key(g, "split.no", CLLM_UINT16);
    buffer_put(&g->metadata, (unsigned char[]){(unsigned char)number, 0}, 2);
    put_key(g, "split.count", CLLM_UINT16);
    buffer_put(&g->metadata, (unsigned char[]){3, 0}, 2);
    put_key(g, "split.tensors.count", CLLM_INT32);
    buffer_put_u32(&g->metadata, 4);
    if (number > 0) put_two_tensors(g, 2 * (number - 1));
}

/* All three parts, sound. The path of the first is returned, those of the others go to paths[1] and paths[2]. */
static const char *write_parts(const char *paths[3]) {
    for (uint32_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "model-%05u-of-00003.gguf", (unsigned)(i + 1));
        gguf_builder g;
        build_part(&g, i);
        paths[i] = builder_write(&g, name);
    }
    return paths[0];
}

typedef struct progress_log {
    uint64_t done, total, calls;
    uint64_t stop_after; /* calls */
} progress_log;

static bool log_progress(void *user, uint64_t done, uint64_t total) {
    progress_log *log = user;
    assert_true(done > log->done && done <= total);
    log->done = done;
    log->total = total;
    return ++log->calls != log->stop_after;
}

static void test_split_files(void **state) {
    (void)state;
    const char *paths[3];
    cllm_gguf *mapped, *read;
    cllm_error err;
    assert_ok(cllm_gguf_open(write_parts(paths), NULL, &mapped, &err), &err);
    assert_int_equal(cllm_gguf_n_files(mapped), 3);
    assert_string(value_of(mapped, "general.architecture", CLLM_STRING)->string, "llama");
    assert_int_equal(cllm_gguf_n_tensors(mapped), 4);
    uint64_t n_bytes = 0;
    for (uint32_t i = 0; i < 3; i++) {
        size_t size;
        free(read_file(paths[i], &size));
        n_bytes += size;
    }
    assert_int_equal(cllm_gguf_n_bytes(mapped), n_bytes);
    for (uint32_t i = 0; i < 4; i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(mapped, i);
        assert_int_equal(tensor->file, 1 + i / 2);
        assert_string_equal((const char *)tensor->data, tensor->name);
        assert_ptr_equal(cllm_gguf_find_tensor(mapped, tensor->name), tensor);
        assert_string_equal(cllm_gguf_path_of(mapped, tensor->data), paths[tensor->file]);
    }
    progress_log log = {0};
    assert_ok(gguf_prefetch(mapped, &(cllm_load_options){.progress = log_progress, .user = &log}, &err), &err);
    assert_true(log.calls == 3 && log.done == n_bytes && log.total == n_bytes);

    log = (progress_log){0};
    cllm_load_options options = {.no_mmap = true, .progress = log_progress, .user = &log};
    assert_ok(cllm_gguf_open(paths[0], &options, &read, &err), &err);
    assert_true(log.calls == 3 && log.done == n_bytes && log.total == n_bytes);
    assert_same_tensors(mapped, read);
    cllm_gguf_close(mapped);
    cllm_gguf_close(read);
}

static void test_cancelling(void **state) {
    (void)state;
    const char *paths[3];
    cllm_gguf *gguf;
    cllm_error err;
    write_parts(paths);
    for (uint64_t stop = 1; stop <= 3; stop++) {
        progress_log log = {.stop_after = stop};
        cllm_load_options options = {.no_mmap = true, .progress = log_progress, .user = &log};
        assert_error(cllm_gguf_open(paths[0], &options, &gguf, &err), &err, CLLM_ERR_CANCELLED, "cancelled");
        assert_null(gguf);
        assert_int_equal(log.calls, stop);
        log = (progress_log){.stop_after = stop};
        options.no_mmap = false;
        assert_ok(cllm_gguf_open(paths[0], &options, &gguf, &err), &err);
        assert_error(gguf_prefetch(gguf, &options, &err), &err, CLLM_ERR_CANCELLED, "cancelled");
        assert_int_equal(log.calls, stop);
        cllm_gguf_close(gguf);
    }
}

/* Part `number` is replaced by what `build` makes; the other parts are sound. The message must name the file of part
 * `at_fault` and contain `message`. */
static void assert_split_error(uint32_t number, void (*build)(gguf_builder *g), uint32_t at_fault,
                               const char *message) {
    const char *paths[3];
    write_parts(paths);
    gguf_builder g;
    builder_init(&g);
    build(&g);
    builder_write(&g, strrchr(paths[number], '/') + 1);
    cllm_gguf *gguf;
    cllm_error err;
    char expected[1500];
    snprintf(expected, sizeof expected, "%s: %s", paths[at_fault], message);
    assert_error(cllm_gguf_open(paths[0], NULL, &gguf, &err), &err, CLLM_ERR_FORMAT, expected);
    assert_null(gguf);
}

static void part_without_keys(gguf_builder *g) {
    builder_u32(g, "split.no", 1);
    put_two_tensors(g, 0);
}
static void part_of_other_number(gguf_builder *g) { build_part(g, 2); }
static void part_of_text(gguf_builder *g) {
    builder_string(g, "split.no", "1");
    put_two_tensors(g, 0);
}
/* The second part, with another value for one key. */
static void part_with_split_key(gguf_builder *g, const char *key, uint32_t value) {
    static const char *const keys[] = {"split.no", "split.count", "split.tensors.count"};
    static const uint32_t values[] = {1, 3, 4};
    for (int i = 0; i < 3; i++) builder_u32(g, keys[i], strcmp(keys[i], key) == 0 ? value : values[i]);
}
static void part_of_4(gguf_builder *g) {
    part_with_split_key(g, "split.count", 4);
    put_two_tensors(g, 0);
}
static void part_of_5_tensors(gguf_builder *g) {
    part_with_split_key(g, "split.tensors.count", 5);
    put_two_tensors(g, 0);
}
static void part_of_1_tensor(gguf_builder *g) {
    part_with_split_key(g, "", 0);
    builder_tensor(g, "blk.0.weight", QUANT_F32, SHAPE(8), NULL, 32);
}
static void part_with_known_tensor(gguf_builder *g) {
    part_with_split_key(g, "", 0);
    builder_tensor(g, "blk.0.other", QUANT_F32, SHAPE(8), NULL, 32);
    builder_tensor(g, "blk.3.weight", QUANT_F32, SHAPE(8), NULL, 32);
}
static void part_cut(gguf_builder *g) {
    build_part(g, 2);
    g->data.size -= 32;
}

static void test_split_failures(void **state) {
    (void)state;
    assert_split_error(1, part_without_keys, 1, "split.count: key is missing");
    assert_split_error(1, part_of_other_number, 1, "split.no: value is 2, must be 1 ");
    assert_split_error(1, part_of_4, 1, "split.count: value is 4, must be 3 ");
    assert_split_error(1, part_of_5_tensors, 1, "split.tensors.count: value is 5, must be 4 ");
    assert_split_error(1, part_of_1_tensor, 0, "split.tensors.count: value is 4, must be 3 ");
    assert_split_error(1, part_of_text, 1, "split.no: must be an integer");
    assert_split_error(1, part_with_known_tensor, 2, "blk.3.weight: the file has this tensor twice");
    assert_split_error(2, part_cut, 2,
                       "blk.3.weight: its data (size 32, at offset 32 of the tensor data) go past the end");

    const char *paths[3];
    write_parts(paths);
    cllm_gguf *gguf;
    cllm_error err;
    char expected[1200];
    snprintf(expected, sizeof expected, "%s: this is part 3 of a split model; open %s instead", paths[2], paths[0]);
    assert_error(cllm_gguf_open(paths[2], NULL, &gguf, &err), &err, CLLM_ERR_UNSUPPORTED, expected);
    assert_int_equal(remove(paths[1]), 0);
    snprintf(expected, sizeof expected, "%s: cannot open part 2 of 3: ", paths[1]);
    assert_error(cllm_gguf_open(paths[0], NULL, &gguf, &err), &err, CLLM_ERR_IO, expected);

    gguf_builder g; /* there is no part 4 of 3, so the name is ignored; but the keys say that it is a part */
    build_part(&g, 0);
    const char *path = builder_write(&g, "model-00004-of-00003.gguf");
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_FORMAT, "-00001-of-00003.gguf");
    builder_init(&g);
    path = builder_write(&g, "model-00001-of-00001.gguf"); /* a file that is the only part needs no such keys */
    assert_ok(cllm_gguf_open(path, NULL, &gguf, &err), &err);
    cllm_gguf_close(gguf);
}

/* --------------------------------------------------------------------------------------- published files */

static void test_published_files(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint64_t n_vocab, n_tensors;
    } files[] = {
        {"models/stories260K.gguf", 512, 47},          {"models/stories260K-wide-Q4_K_M.gguf", 512, 47},
        {"vocab/ggml-vocab-llama-spm.gguf", 32000, 0}, {"vocab/ggml-vocab-llama-bpe.gguf", 128256, 0},
        {"vocab/ggml-vocab-gpt-2.gguf", 50257, 0},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        const char *path = shared_file(files[i].name);
        if (!path) skip();
        cllm_gguf *gguf;
        cllm_error err;
        cllm_array tokens;
        assert_ok(cllm_gguf_open(path, NULL, &gguf, &err), &err);
        assert_ok(gguf_get_array(gguf, "tokenizer.ggml.tokens", GGUF_REQUIRED, CLLM_STRING, &tokens, &err), &err);
        assert_int_equal(tokens.count, files[i].n_vocab);
        assert_int_equal(cllm_gguf_n_tensors(gguf), files[i].n_tensors);
        cllm_gguf_close(gguf);
    }
}

/* ------------------------------------------------------------------------------------------ fuzzing seeds */

#define LARGEST_SEED 4096

static void write_seed(const char *folder, const char *name, gguf_builder *g) {
    char path[1024];
    int used = snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(used > 0 && (size_t)used < sizeof path);
    for (char *c = path + strlen(folder) + 1; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '-';
    size_t n_bytes;
    unsigned char *bytes = builder_finish(g, &n_bytes);
    if (n_bytes <= LARGEST_SEED) {
        FILE *file = fopen(path, "wb");
        if (!file || fwrite(bytes, 1, n_bytes, file) != n_bytes || fclose(file) != 0) fail_msg("cannot write %s", path);
    }
    free(bytes);
    builder_free(g);
}

/* Writes every small file of this test. The fuzzer starts from these files. */
static void write_seeds(void **state) {
    const char *folder = *state;
    gguf_builder g;
    build_sample(&g);
    write_seed(folder, "sound", &g);
    for (size_t i = 0; i < COUNT(bad_files); i++) {
        builder_init(&g);
        bad_files[i].build(&g);
        write_seed(folder, bad_files[i].name, &g);
    }
}

/* With a folder as its argument, this program writes the seeds of tests/fuzz/fuzz_gguf.c there instead of testing. */
int main(int argc, char **argv) {
    if (argc == 2) {
        const struct CMUnitTest seeds[] = {{"write the seeds", write_seeds, NULL, NULL, argv[1]}};
        return cmocka_run_group_tests(seeds, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_value_type),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_every_tensor_type),
        cmocka_unit_test(test_version_2),
        cmocka_unit_test(test_alignments),
        cmocka_unit_test(test_no_tensors),
        cmocka_unit_test(test_longest_names),
        cmocka_unit_test(test_a_million_names),
        cmocka_unit_test(test_typed_look_ups),
        cmocka_unit_test(test_mapped_and_read),
        cmocka_unit_test(test_messages_name_the_file),
        cmocka_unit_test(test_split_files),
        cmocka_unit_test(test_cancelling),
        cmocka_unit_test(test_split_failures),
        cmocka_unit_test(test_published_files),
    };
    struct CMUnitTest refusals[COUNT(bad_files)];
    for (size_t i = 0; i < COUNT(bad_files); i++)
        refusals[i] =
            (struct CMUnitTest){bad_files[i].name, test_bad_file, NULL, NULL, (void *)(uintptr_t)&bad_files[i]};
    int failures = cmocka_run_group_tests_name("files that lie are refused", refusals, NULL, NULL);
    return failures + cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
