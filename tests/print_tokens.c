/* Prints the ids of texts, for tests/check_tokenizers.sh: print_tokens VOCABULARY [special]. It reads texts with a
 * byte 1E between them, and prints a line of ids for each text. With "special", the spellings of special tokens
 * become special tokens. */
#include "cllm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 24, SEPARATOR = 0x1E };

static int print_texts(const cllm_tokenizer *tokenizer, const char *text, const char *end, int flags, cllm_error *err) {
    for (const char *stop;; text = stop + 1) {
        stop = memchr(text, SEPARATOR, (size_t)(end - text));
        if (!stop) stop = end;
        int32_t *ids;
        size_t count;
        if (cllm_tokenizer_encode(tokenizer, text, (size_t)(stop - text), flags, &ids, &count, err) != CLLM_OK)
            return 1;
        for (size_t i = 0; i < count; i++) printf(i ? " %d" : "%d", (int)ids[i]);
        putchar('\n');
        cllm_free(ids);
        if (stop == end) return 0;
    }
}

int main(int argc, char **argv) {
    cllm_error err = {0};
    cllm_gguf *gguf = NULL;
    cllm_tokenizer *tokenizer = NULL;
    char *texts = malloc(MOST_BYTES);
    if (argc < 2 || !texts) return 2;
    int failed = cllm_gguf_open(argv[1], NULL, &gguf, &err) != CLLM_OK ||
                 cllm_tokenizer_create(gguf, &tokenizer, &err) != CLLM_OK;
    const size_t n = fread(texts, 1, MOST_BYTES, stdin);
    if (!failed) failed = print_texts(tokenizer, texts, texts + n, argc > 2 ? CLLM_ENCODE_PARSE_SPECIAL : 0, &err);
    if (failed) fprintf(stderr, "print_tokens: %s\n", err.message);
    cllm_tokenizer_destroy(tokenizer);
    cllm_gguf_close(gguf);
    free(texts);
    return failed;
}
