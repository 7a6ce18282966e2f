/* Tests files that are not what their names say: whole models with the name of a shard, models in other formats,
 * failed downloads, and tensor types that GGUF no longer has. */
#include "support/check.h"
#include "support/gguf_builder.h"

#include "gguf/gguf.h"
#include "gguf/quant_types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ------------------------------------------------------------------------- names that contents contradict */

/* A whole model of one tensor. split_count: written as split.count unless it is 0. */
static const char *write_model(const char *name, const char *tensor, uint32_t split_count) {
    gguf_builder g;
    builder_init(&g);
    builder_string(&g, "general.architecture", "llama");
    if (split_count) builder_u32(&g, "split.count", split_count);
    builder_tensor(&g, tensor, QUANT_F32, 1, (uint64_t[]){8}, NULL, 32);
    return builder_write(&g, name);
}

static void assert_whole(const char *path, const cllm_load_options *options, const char *tensor) {
    cllm_gguf *gguf;
    cllm_error err;
    assert_ok(cllm_gguf_open(path, options, &gguf, &err), &err);
    assert_int_equal(cllm_gguf_n_files(gguf), 1);
    assert_int_equal(cllm_gguf_n_tensors(gguf), 1);
    assert_non_null(cllm_gguf_find_tensor(gguf, tensor));
    cllm_gguf_close(gguf);
}

static void whole_models_may_have_the_name_of_a_part(void **state) {
    (void)state;
    const cllm_load_options read = {.no_mmap = true};
    for (uint32_t split_count = 0; split_count < 2; split_count++) { /* split.count absent, and 1 */
        const char *first = write_model("alone-00001-of-00002.gguf", "w", split_count);
        assert_whole(first, NULL, "w");
        assert_whole(first, &read, "w");
        const char *second = write_model("alone-00002-of-00002.gguf", "v", split_count);
        assert_whole(first, NULL, "w"); /* a second file beside it changes nothing, */
        assert_whole(second, NULL, "v");
        assert_whole(second, &read, "v"); /* and its number changes nothing */
    }
}

typedef struct progress_log {
    uint64_t done, total;
} progress_log;

static bool log_progress(void *user, uint64_t done, uint64_t total) {
    progress_log *log = user;
    assert_true(done > log->done && done <= total);
    *log = (progress_log){done, total};
    return true;
}

static void progress_comes_to_its_end_although_the_name_promised_more(void **state) {
    (void)state;
    progress_log log = {0};
    const cllm_load_options read = {.no_mmap = true, .progress = log_progress, .user = &log};
    const char *first = write_model("both-00001-of-00002.gguf", "w", 0);
    write_model("both-00002-of-00002.gguf", "v", 0);
    assert_whole(first, &read, "w");
    assert_true(log.done > 0 && log.done == log.total);
}

static void a_part_is_known_by_its_contents(void **state) {
    (void)state;
    cllm_gguf *gguf;
    cllm_error err;
    const char *path = write_model("lone-00001-of-00003.gguf", "w", 3);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_IO,
                 "lone-00002-of-00003.gguf: cannot open part 2");
    path = write_model("lone-00002-of-00003.gguf", "w", 3);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_UNSUPPORTED,
                 "this is part 2 of a split model; open ");
    path = write_model("lone.gguf", "w", 3);
    assert_error(cllm_gguf_open(path, NULL, &gguf, &err), &err, CLLM_ERR_FORMAT, "split.count: this is one of 3 parts");
}

/* ---------------------------------------------------------------------------------------- foreign formats */

typedef struct foreign_file {
    const char *name;
    const char *bytes; /* [n_bytes]; zeros follow it up to `size` */
    size_t n_bytes, size;
    const char *message; /* how the message begins, after the path */
} foreign_file;

#define BYTES(text) text, sizeof(text) - 1

/* A text as it is, and a binary file of 600 bytes that begins with `prefix`. */
#define TEXT(text)     BYTES(text), sizeof(text) - 1
#define BINARY(prefix) BYTES(prefix "\1\2\3\xff\xfe"), 600

static const foreign_file foreign_files[] = {
    {"ggml", BINARY("lmgg"), "this is a model in the old GGML format, which GGUF replaced in 2023: "},
    {"ggmf", BINARY("fmgg\1\0\0\0"), "this is a model in the old GGMF format, which GGUF replaced in 2023: "},
    {"ggjt", BINARY("tjgg\3\0\0\0"), "this is a model in the old GGJT format, which GGUF replaced in 2023: "},
    {"ggla", BINARY("algg\1\0\0\0"), "this is an adapter in the old GGLA format, which GGUF replaced in 2023: "},
    {"ggsn", BINARY("nsgg\5\0\0\0"), "this is a session saved by llama.cpp, not a model: "},
    {"saved", BINARY("CLLMSEQ\0\1\0\0\0"), "this is a saved sequence, not a model: "},
    {"ggsq", BINARY("qsgg\1\0\0\0"), "this is a session saved by llama.cpp, not a model: "},
    {"swapped", BINARY("FUGG\0\0\0\3"), "this is a big-endian GGUF file; "},
    {"safetensors", BINARY("\x38\2\0\0\0\0\0\0{\"__metadata__\":{"), "this is a safetensors file, not GGUF: convert "},
    {"zip", BINARY("PK\3\4\0\0\x08\x08"),
     "this is a zip archive, such as a PyTorch checkpoint (.bin, .pt, .pth), not GGUF: "},
    {"pickle", BINARY("\x80\2\x8a\nl\xfc\x9c\x46\xf9"),
     "this is a Python pickle, such as an old PyTorch checkpoint, not GGUF: "},
    {"hdf5", BINARY("\x89HDF\r\n\x1a\n"), "this is an HDF5 file, such as a Keras checkpoint, not GGUF: "},
    {"numpy", BINARY("\x93NUMPY\1\0"), "this is a NumPy array, not GGUF: "},
    {"tflite", BINARY("\x1c\0\0\0TFL3"), "this is a TensorFlow Lite model, not GGUF: "},
    {"llamafile", BINARY("MZqFpD='\n"), "this is a llamafile, which is a program with a model inside: "},
    {"windows", BINARY("MZ\x90\0"), "this is a program, not a model: "},
    {"elf",
     BINARY("\x7f"
            "ELF\2\1\1"),
     "this is a program, not a model: "},
    {"gzip", BINARY("\x1f\x8b\x08\0"), "this file is compressed (gzip): unpack it first"},
    {"bzip2", BINARY("BZh91AY&SY"), "this file is compressed (bzip2): unpack it first"},
    {"xz",
     BINARY("\xfd"
            "7zXZ\0"),
     "this file is compressed (xz): unpack it first"},
    {"zstd", BINARY("\x28\xb5\x2f\xfd"), "this file is compressed (zstd): unpack it first"},
    {"7z", BINARY("7z\xbc\xaf\x27\x1c"), "this file is compressed (7z): unpack it first"},
    {"rar", BINARY("Rar!\x1a\7\1\0"), "this file is compressed (rar): unpack it first"},
    {"apple double", BINARY("\0\5\x16\7\0\2\0\0"), "this is a macOS file about another file: "},
    {"zeros", BYTES(""), 600, "this file begins with zeros: "},
    {"lfs pointer",
     TEXT("version https://git-lfs.github.com/spec/v1\n"
          "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 4081004224\n"),
     "this is a git-lfs pointer, not a model: run 'git lfs pull' "},
    {"annex pointer", TEXT("/annex/objects/SHA256E-s4081004224--4d7a214614ab2935.gguf\n"),
     "this is a git-annex pointer, not a model: run 'git annex get' "},
    {"html", TEXT("\n <!DOCTYPE html>\n<html class=\"\"><head>"), "this is a web page (HTML), not a model: "},
    {"html after a mark", TEXT("\xEF\xBB\xBF<HTML lang=en>"), "this is a web page (HTML), not a model: "},
    {"xml", TEXT("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"),
     "this is a message in XML, not a model: \"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>\""},
    {"json", TEXT("{\"error\":\"Invalid credentials in Authorization header\"}"),
     "this is JSON, not a model: \"{\"error\":\"Invalid credentials in Authorization header\"}\""},
    {"text", TEXT("Entry not found"), "this is a text, not a model: \"Entry not found\""},
    {"two lines", TEXT("caf\xC3\xA9\r\nsecond line\n"), "this is a text, not a model: \"caf\xC3\xA9\""},
    {"long line",
     TEXT("0123456789012345678901234567890123456789012345678901234567890123456789012345678\xC3\xA9 and so on\n"),
     "this is a text, not a model: "
     "\"0123456789012345678901234567890123456789012345678901234567890123456789012345678...\""},
    {"a line that speaks to a terminal", TEXT("<b>\x1b[2J\n"),
     "not a GGUF file: it does not begin with \"GGUF\" (offset 0)"},
    {"cut magic", TEXT("GGU"), "the file ends within its header (offset 0)"},
    {"anything", BINARY("RIFF\x24\0\0\0WAVE"), "not a GGUF file: it does not begin with \"GGUF\" (offset 0)"},
    {"no safetensors", BINARY("\x38\2\0\0\0\0\0\1{\"__metadata__\":{"), "not a GGUF file: "},
    {"one byte", TEXT("\xff"), "not a GGUF file: "},
};

/* The file's bytes, in a block of their exact size, so that a sanitizer sees a read beyond it. */
static unsigned char *foreign_bytes(const foreign_file *f) {
    unsigned char *bytes = calloc(f->size, 1);
    assert_non_null(bytes);
    memcpy(bytes, f->bytes, f->n_bytes);
    if (f->size > f->n_bytes && f->n_bytes > 0) bytes[f->size - 1] = 0xA5;
    return bytes;
}

static void test_foreign_file(void **state) {
    const foreign_file *f = *state;
    unsigned char *bytes = foreign_bytes(f);
    cllm_gguf *gguf;
    cllm_error err;
    char expected[600];
    snprintf(expected, sizeof expected, "memory: %s", f->message);
    assert_int_equal(gguf_open_memory(bytes, f->size, &gguf, &err), CLLM_ERR_FORMAT);
    if (strncmp(err.message, expected, strlen(expected)) != 0) fail_msg("got:  %s\nwant: %s", err.message, expected);
    assert_true(strlen(err.message) < 400); /* nothing of the advice is cut off */
    assert_null(gguf);
    free(bytes);
}

/* A foreign file is refused, wherever it is cut, and no byte beyond its end is read. */
static void foreign_files_may_end_anywhere(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(foreign_files); i++) {
        unsigned char *whole = foreign_bytes(&foreign_files[i]);
        for (size_t size = 0; size <= foreign_files[i].size && size < 64; size++) {
            unsigned char *bytes = malloc(size ? size : 1);
            assert_non_null(bytes);
            memcpy(bytes, whole, size);
            cllm_gguf *gguf;
            cllm_error err;
            assert_int_equal(gguf_open_memory(bytes, size, &gguf, &err), CLLM_ERR_FORMAT);
            assert_true(err.message[0] && strchr(err.message, '\n') == NULL);
            free(bytes);
        }
        free(whole);
    }
}

static void a_tar_archive_is_named(void **state) {
    (void)state;
    foreign_file tar = {"tar", BINARY("model/weights.bin"), "this is a tar archive: unpack it first"};
    unsigned char *bytes = foreign_bytes(&tar);
    memcpy(bytes + 257, "ustar", 5);
    cllm_gguf *gguf;
    cllm_error err;
    assert_error(gguf_open_memory(bytes, 600, &gguf, &err), &err, CLLM_ERR_FORMAT, tar.message);
    free(bytes);
}

/* -------------------------------------------------------------------------------------------- tensor types */

static void assert_type_message(uint32_t type, const char *message) {
    gguf_builder g;
    builder_init(&g);
    builder_tensor(&g, "blk.0.attn_q.weight", type, 2, (uint64_t[]){256, 8}, NULL, 2048);
    size_t n_bytes;
    unsigned char *bytes = builder_finish(&g, &n_bytes);
    cllm_gguf *gguf;
    cllm_error err;
    char expected[400];
    snprintf(expected, sizeof expected, "memory: blk.0.attn_q.weight: %s (offset 24)", message);
    assert_int_equal(gguf_open_memory(bytes, n_bytes, &gguf, &err), CLLM_ERR_UNSUPPORTED);
    assert_string_equal(err.message, expected);
    free(bytes);
    builder_free(&g);
}

static void removed_types_are_named(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        const char *name, *instead;
    } removed[] = {
        {4, "Q4_2", "Q4_0"},          {5, "Q4_3", "Q4_1"},          {31, "Q4_0_4_4", "Q4_0"},
        {32, "Q4_0_4_8", "Q4_0"},     {33, "Q4_0_8_8", "Q4_0"},     {36, "IQ4_NL_4_4", "IQ4_NL"},
        {37, "IQ4_NL_4_8", "IQ4_NL"}, {38, "IQ4_NL_8_8", "IQ4_NL"},
    };
    for (size_t i = 0; i < COUNT(removed); i++) {
        char message[200];
        snprintf(message, sizeof message, "GGUF no longer has the tensor type %s: use the model's %s file",
                 removed[i].name, removed[i].instead);
        assert_type_message(removed[i].type, message);
    }
    assert_type_message(139,
                        "unknown tensor type 139, perhaps of a newer program: use the model in another quantization");
}

/* With a folder as its argument, this program writes seeds of tests/fuzz/fuzz_gguf.c there instead of testing. */
static void write_seeds(void **state) {
    for (size_t i = 0; i < COUNT(foreign_files); i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/foreign-%s", (const char *)*state, foreign_files[i].name);
        for (char *c = path; *c; c++)
            if (*c == ' ') *c = '-';
        unsigned char *bytes = foreign_bytes(&foreign_files[i]);
        FILE *file = fopen(path, "wb");
        if (!file || fwrite(bytes, 1, foreign_files[i].size, file) != foreign_files[i].size || fclose(file) != 0)
            fail_msg("cannot write %s", path);
        free(bytes);
    }
}

int main(int argc, char **argv) {
    if (argc == 2) {
        const struct CMUnitTest seeds[] = {{"write the seeds", write_seeds, NULL, NULL, argv[1]}};
        return cmocka_run_group_tests(seeds, NULL, NULL);
    }
    struct CMUnitTest refusals[COUNT(foreign_files)];
    for (size_t i = 0; i < COUNT(foreign_files); i++)
        refusals[i] = (struct CMUnitTest){foreign_files[i].name, test_foreign_file, NULL, NULL,
                                          (void *)(uintptr_t)&foreign_files[i]};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_models_may_have_the_name_of_a_part),
        cmocka_unit_test(progress_comes_to_its_end_although_the_name_promised_more),
        cmocka_unit_test(a_part_is_known_by_its_contents),
        cmocka_unit_test(foreign_files_may_end_anywhere),
        cmocka_unit_test(a_tar_archive_is_named),
        cmocka_unit_test(removed_types_are_named),
    };
    int failures = cmocka_run_group_tests_name("foreign files are named", refusals, NULL, NULL);
    return failures + cmocka_run_group_tests_name("gguf foreign", tests, NULL, NULL);
}
