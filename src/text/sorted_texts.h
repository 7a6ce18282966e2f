/* The texts of a vocabulary, sorted by their bytes. So all tokens that a text begins with are found in one pass: each
 * byte of the text narrows the range of tokens that may still match. Special tokens are not in the list. */
#ifndef TEXT_SORTED_TEXTS_H
#define TEXT_SORTED_TEXTS_H

#include "text/tokenizer.h"

struct sorted_text {
    uint64_t head; /* the first 8 bytes, the first one in the highest bits; zeros after the end of the text */
    uint32_t id;
    uint32_t length;
};

/* Fill t->sorted and t->sorted_from with the texts of all tokens that vocabulary_find finds. Errors: MEMORY, FORMAT (a
 * text is too long). */
cllm_status sort_texts(cllm_tokenizer *t, cllm_error *err);

/* The byte at `depth`, which is less than the length. */
static inline unsigned sorted_byte(const cllm_tokenizer *t, const sorted_text *s, uint32_t depth) {
    if (depth < 8) return (unsigned char)(s->head >> (56 - 8 * depth));
    return (unsigned char)t->tokens[s->id].text.data[depth];
}

/* The first of sorted[low .. high - 1] whose byte at `depth` is `byte` or greater, or `high`. All of these texts agree
 * in their first `depth` bytes, and are longer. */
static inline uint32_t sorted_from_byte(const cllm_tokenizer *t, uint32_t low, uint32_t high, uint32_t depth,
                                        unsigned byte) {
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (sorted_byte(t, &t->sorted[middle], depth) < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
