/* Text to token ids and back, for any file with a tokenizer. The model is not run. */
#include "commands.h"
#include "interrupt.h"
#include "json_output.h"
#include "program.h"
#include "text_stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int open_tokenizer(const options *o, cllm_gguf **gguf, cllm_tokenizer **tokenizer) {
    int status = open_gguf(o, o->model, gguf);
    if (status != EXIT_SUCCESS) return status;
    cllm_error err;
    if (cllm_tokenizer_create(*gguf, tokenizer, &err) != CLLM_OK)
        return fail("%s: %s%s", o->model, err.message, remedy_of(&err));
    note_tokenizer(o, *tokenizer);
    if (o->n_overrides > 0 && cllm_gguf_read_tokenizer_keys(*gguf, &err) == CLLM_OK)
        remark_unread(o, *gguf, "tokenizer");
    return EXIT_SUCCESS;
}

static int print_tokens_json(const cllm_tokenizer *tokenizer, const int32_t *tokens, size_t count) {
    json_t *document = json_object(), *list = json_array();
    for (size_t i = 0; i < count; i++) {
        cllm_string piece = cllm_tokenizer_piece(tokenizer, tokens[i]);
        json_t *token = json_object();
        json_put(&token, "id", json_integer(tokens[i]));
        json_put(&token, "piece", json_text(piece.data, piece.length));
        if (cllm_tokenizer_is_control(tokenizer, tokens[i])) json_put(&token, "control", json_true());
        if (cllm_tokenizer_is_eog(tokenizer, tokens[i])) json_put(&token, "ends", json_true());
        json_add(&list, token);
    }
    json_put(&document, "count", json_integer((json_int_t)count));
    json_put(&document, "tokens", list);
    return print_json(document);
}

static int print_tokens(const options *o, const cllm_tokenizer *tokenizer, const int32_t *tokens, size_t count) {
    if (o->json) return print_tokens_json(tokenizer, tokens, count);
    for (size_t i = 0; i < count && !ferror(stdout) && !interrupted(); i++) {
        if (!o->show_pieces) {
            printf("%s%" PRId32, i ? " " : "", tokens[i]);
            continue;
        }
        cllm_string piece = cllm_tokenizer_piece(tokenizer, tokens[i]);
        printf("%" PRId32 "\t", tokens[i]);
        print_escaped(stdout, piece.data, piece.length, SIZE_MAX);
        putchar('\n');
    }
    if (interrupted()) return EXIT_INTERRUPTED; /* a write to a full pipe would wait */
    if (!o->show_pieces) putchar('\n');
    return EXIT_SUCCESS;
}

int tokenize(const options *o) {
    if (o->json && o->show_pieces) return usage_error("--text and --json cannot be used together");
    input in = {0};
    cllm_gguf *gguf = NULL;
    cllm_tokenizer *tokenizer = NULL;
    int32_t *tokens = NULL;
    size_t count = 0;
    if (o->prompt && o->file) return usage_error("--prompt and --file cannot be used together");
    bool given = o->prompt && strcmp(o->prompt, "-") != 0;
    int status = open_tokenizer(o, &gguf, &tokenizer);
    if (status == EXIT_SUCCESS && !given) status = read_input(o->file ? o->file : "-", &in);
    if (status == EXIT_SUCCESS) {
        int flags = (o->no_bos ? 0 : CLLM_ENCODE_ADD_SPECIAL) | (o->no_special ? 0 : CLLM_ENCODE_PARSE_SPECIAL);
        cllm_error err;
        if (cllm_tokenizer_encode(tokenizer, given ? o->prompt : in.data, given ? strlen(o->prompt) : in.length, flags,
                                  &tokens, &count, &err) != CLLM_OK)
            status = fail_with(&err);
    }
    if (status == EXIT_SUCCESS) {
        note_doubled_bos(o, tokenizer, tokens, count);
        status = print_tokens(o, tokenizer, tokens, count);
    }
    cllm_free(tokens);
    free(in.data);
    cllm_tokenizer_destroy(tokenizer);
    close_gguf(gguf);
    return status;
}

/* ------------------------------------------------------------------------------------------- ids to text */

/* Read the ids from the arguments, or else from standard input. */
static int read_ids(const options *o, id_list *list) {
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < o->n_arguments && status == EXIT_SUCCESS; i++)
        status = id_list_parse(list, "detokenize", o->arguments[i], strlen(o->arguments[i]));
    if (o->n_arguments > 0) return status;
    input in;
    status = read_input("-", &in);
    if (status == EXIT_SUCCESS) status = id_list_parse(list, "standard input", in.data, in.length);
    free(in.data);
    return status;
}

/* Write the text that was encoded to these ids, without the BOS and EOS that encoding adds. */
static int write_bytes(const cllm_tokenizer *tokenizer, const id_list *list) {
    int status = id_list_check(list, cllm_tokenizer_n_vocab(tokenizer));
    if (status != EXIT_SUCCESS) return status;
    size_t first = 0, end = list->count;
    if (cllm_tokenizer_adds_bos(tokenizer) && end > 0 && list->ids[0] == cllm_tokenizer_bos(tokenizer)) first++;
    if (cllm_tokenizer_adds_eos(tokenizer) && end > first && list->ids[end - 1] == cllm_tokenizer_eos(tokenizer)) end--;
    for (size_t i = first; i < end && !ferror(stdout) && !interrupted(); i++) {
        cllm_string bytes = cllm_tokenizer_decode(tokenizer, i > 0 ? list->ids[i - 1] : -1, list->ids[i]);
        fwrite(bytes.data, 1, bytes.length, stdout);
    }
    return interrupted() ? EXIT_INTERRUPTED : EXIT_SUCCESS;
}

int detokenize(const options *o) {
    cllm_gguf *gguf = NULL;
    cllm_tokenizer *tokenizer = NULL;
    id_list list = {0};
    int status = open_tokenizer(o, &gguf, &tokenizer);
    if (status == EXIT_SUCCESS) status = read_ids(o, &list);
    if (status == EXIT_SUCCESS) status = write_bytes(tokenizer, &list);
    free(list.ids);
    cllm_tokenizer_destroy(tokenizer);
    close_gguf(gguf);
    return status;
}
