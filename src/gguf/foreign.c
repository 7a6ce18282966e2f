/* Recognizes a file by its first bytes: models in other formats, archives, and failed downloads.
 *
 * llama.cpp wrote the old formats until August 2023; their first four bytes are a little-endian number, so the letters
 * are in reverse order. The other signatures are in the public descriptions of their formats. Before it: gguf.c, which
 * found no "GGUF". */
#include "gguf/foreign.h"

#include "base/error.h"
#include "base/reader.h"
#include "gguf/metadata.h"

#define SHOWN_TEXT 80 /* bytes of a text that are shown in a message */

#define CONVERT      "use a GGUF file of the model, or convert the original model again"
#define CONVERT_THIS "convert it with llama.cpp's convert_hf_to_gguf.py, or use a GGUF file of the model"
#define DOWNLOAD     "download the model again"

typedef struct signature {
    uint32_t offset, length;
    const char *bytes;
    const char *message; /* after "this " */
} signature;

#define SIGNATURE(offset, bytes) offset, sizeof(bytes) - 1, bytes

static const signature signatures[] = {
    {SIGNATURE(0, "lmgg"), "is a model in the old GGML format, which GGUF replaced in 2023: " CONVERT},
    {SIGNATURE(0, "fmgg"), "is a model in the old GGMF format, which GGUF replaced in 2023: " CONVERT},
    {SIGNATURE(0, "tjgg"), "is a model in the old GGJT format, which GGUF replaced in 2023: " CONVERT},
    {SIGNATURE(0, "algg"),
     "is an adapter in the old GGLA format, which GGUF replaced in 2023: convert the original adapter "
     "with llama.cpp's convert_lora_to_gguf.py"},
    {SIGNATURE(0, "nsgg"), "is a session saved by llama.cpp, not a model: use the model's own file"},
    {SIGNATURE(0, "qsgg"), "is a session saved by llama.cpp, not a model: use the model's own file"},
    {SIGNATURE(0, "CLLMSEQ"), "is a saved sequence, not a model: use the model's own file"},
    {SIGNATURE(0, "FUGG"), "is a big-endian GGUF file; only little-endian ones are supported"},
    {SIGNATURE(0, "PK\3\4"),
     "is a zip archive, such as a PyTorch checkpoint (.bin, .pt, .pth), not GGUF: " CONVERT_THIS},
    {SIGNATURE(0, "\x80\2"), "is a Python pickle, such as an old PyTorch checkpoint, not GGUF: " CONVERT_THIS},
    {SIGNATURE(0, "\x89HDF\r\n\x1a\n"), "is an HDF5 file, such as a Keras checkpoint, not GGUF: " CONVERT},
    {SIGNATURE(0, "\x93NUMPY"), "is a NumPy array, not GGUF: " CONVERT},
    {SIGNATURE(4, "TFL3"), "is a TensorFlow Lite model, not GGUF: " CONVERT},
    {SIGNATURE(0, "MZqFpD"), "is a llamafile, which is a program with a model inside: use the model's own GGUF file"},
    {SIGNATURE(0, "MZ"), "is a program, not a model: use a GGUF file"},
    {SIGNATURE(0, "\x7f"
                  "ELF"),
     "is a program, not a model: use a GGUF file"},
    {SIGNATURE(0, "\x1f\x8b"), "file is compressed (gzip): unpack it first"},
    {SIGNATURE(0, "BZh"), "file is compressed (bzip2): unpack it first"},
    {SIGNATURE(0, "\xfd"
                  "7zXZ"),
     "file is compressed (xz): unpack it first"},
    {SIGNATURE(0, "\x28\xb5\x2f\xfd"), "file is compressed (zstd): unpack it first"},
    {SIGNATURE(0, "7z\xbc\xaf\x27\x1c"), "file is compressed (7z): unpack it first"},
    {SIGNATURE(0, "Rar!\x1a\7"), "file is compressed (rar): unpack it first"},
    {SIGNATURE(257, "ustar"), "is a tar archive: unpack it first"},
    {SIGNATURE(0, "\0\5\x16\7"), "is a macOS file about another file: use the one without \"._\" in its name"},
    {SIGNATURE(0, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
     "file begins with zeros: the download is not complete, or the disk lost data; " DOWNLOAD},
    {SIGNATURE(0, "version https://git-lfs.github.com/spec/"),
     "is a git-lfs pointer, not a model: run 'git lfs pull' in its folder, or download the file itself"},
    {SIGNATURE(0, "/annex/objects/"), "is a git-annex pointer, not a model: run 'git annex get' in its folder"},
};

static bool matches(const signature *s, const unsigned char *bytes, uint64_t size) {
    return size >= s->offset + s->length && memcmp(bytes + s->offset, s->bytes, s->length) == 0;
}

/* A safetensors file begins with the length of its header, which is JSON. */
static bool is_safetensors(const unsigned char *bytes, uint64_t size) {
    const uint64_t longest = 100000000; /* the limit of the format's own reader */
    reader in = {.bytes = bytes, .size = size};
    const uint64_t length = reader_u64(&in);
    return length >= 2 && length <= longest && reader_u8(&in) == '{';
}

/* The beginning of a text's first line, without leading space; empty if this is not text. cut: out, true if the line
 * goes on. */
static cllm_string first_line(const unsigned char *bytes, uint64_t size, bool *cut) {
    const char *text = (const char *)bytes;
    uint64_t start = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* a byte order mark */
    while (start < size && text[start] && strchr(" \t\r\n", text[start])) start++;
    cllm_string line = {text + start, 0};
    *cut = false;
    while (line.length < size - start) {
        const char *next = line.data + line.length;
        if (*next == '\n' || *next == '\r') break;
        const size_t length = *next == '\t' ? 1 : cllm_safe_length(next, (size_t)(size - start) - line.length);
        if (length == 0) return (cllm_string){text, 0};
        *cut = line.length + length > SHOWN_TEXT;
        if (*cut) break;
        line.length += length;
    }
    return line;
}

/* True if the line begins with a word, in capitals or small letters. word: in small letters. */
static bool begins_with(cllm_string line, const char *word) {
    for (size_t i = 0; word[i]; i++)
        if (i >= line.length || (line.data[i] | (line.data[i] >= 'A' && line.data[i] <= 'Z' ? 0x20 : 0)) != word[i])
            return false;
    return true;
}

cllm_status refuse_foreign(const unsigned char *bytes, uint64_t size, cllm_error *err) {
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (matches(&signatures[i], bytes, size))
            return error_set(err, CLLM_ERR_FORMAT, "this %s", signatures[i].message);
    if (is_safetensors(bytes, size))
        return error_set(
            err, CLLM_ERR_FORMAT,
            "this is a safetensors file, not GGUF: convert its model with llama.cpp's convert_hf_to_gguf.py "
            "(an adapter with convert_lora_to_gguf.py), or use a GGUF file of it");
    bool cut;
    const cllm_string line = first_line(bytes, size, &cut);
    if (line.length == 0)
        return gguf_fault(err, CLLM_ERR_FORMAT, "", 0, "not a GGUF file: it does not begin with \"GGUF\"");
    if (begins_with(line, "<!doctype html") || begins_with(line, "<html"))
        return error_set(err, CLLM_ERR_FORMAT,
                         "this is a web page (HTML), not a model: " DOWNLOAD ", from the link of the file itself");
    const char *kind = begins_with(line, "<?xml")                   ? "a message in XML"
                       : line.data[0] == '{' || line.data[0] == '[' ? "JSON"
                                                                    : "a text";
    return error_set(err, CLLM_ERR_FORMAT, "this is %s, not a model: \"%.*s%s\"", kind, (int)line.length, line.data,
                     cut ? "..." : "");
}
