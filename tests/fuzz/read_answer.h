/* For fuzz targets: reads an answer as a whole and in pieces, and compares what comes out. */
#ifndef FUZZ_READ_ANSWER_H
#define FUZZ_READ_ANSWER_H

#include "cllm.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct answer_sum {
    char *bytes[4]; /* by kind of delta */
    size_t length[4];
} answer_sum;

static void take(cllm_answer *answer, answer_sum *s, const char *text, size_t length, bool ended) {
    const cllm_delta *deltas;
    size_t n;
    if (cllm_answer_take(answer, (cllm_string){text, length}, ended, &deltas, &n, NULL) != CLLM_OK) abort();
    for (size_t i = 0; i < n; i++) {
        const cllm_delta *d = &deltas[i];
        char *grown = realloc(s->bytes[d->kind], s->length[d->kind] + d->text.length + 1);
        if (!grown) abort();
        s->bytes[d->kind] = grown;
        memcpy(grown + s->length[d->kind], d->text.data, d->text.length);
        s->length[d->kind] += d->text.length;
    }
}

static answer_sum read_in_pieces(const cllm_chat *chat, const char *text, size_t length, size_t cut,
                                 cllm_string tools) {
    cllm_answer *answer;
    answer_sum s = {.length = {0}};
    if (cllm_answer_create(chat, NULL, 0, tools, &answer, NULL) != CLLM_OK) abort();
    for (size_t at = 0, n; at < length; at += n) {
        n = cut < length - at ? cut : length - at;
        char *piece = malloc(n);
        if (!piece) abort();
        memcpy(piece, text + at, n);
        take(answer, &s, piece, n, false);
        free(piece);
    }
    take(answer, &s, "", 0, true);
    cllm_answer_destroy(answer);
    return s;
}

/* Stops the program if the pieces, of `cut` bytes, give something else than the whole. tools: for cllm_answer_create. */
static void read_answer(const cllm_chat *chat, const char *text, size_t length, size_t cut, cllm_string tools) {
    answer_sum whole = read_in_pieces(chat, text, length, length, tools),
               pieces = read_in_pieces(chat, text, length, cut, tools);
    for (int i = 0; i < 4; i++) {
        if (whole.length[i] != pieces.length[i]) abort();
        if (whole.length[i] > 0 && memcmp(whole.bytes[i], pieces.bytes[i], whole.length[i]) != 0) abort();
        free(whole.bytes[i]);
        free(pieces.bytes[i]);
    }
}

#endif
