/* The texts of a vocabulary by their bytes, for kinds that look for all tokens that a text begins with: each byte of the text narrows
 * the range of those that may still match. Special tokens are not among them. */
#ifndef TEXT_SORTED_TEXTS_H
#define TEXT_SORTED_TEXTS_H

#include "text/tokenizer.h"

struct sorted_text {
    uint64_t head; /* the first 8 bytes, the first the highest; zeros after the end */
    uint32_t id;
    uint32_t length;
};

/* Fill t->sorted and t->sorted_from with the texts that are indexed. Errors: MEMORY. */
cllm_status sort_texts(cllm_tokenizer *t, cllm_error *err);

static inline unsigned sorted_byte(const cllm_tokenizer *t, const sorted_text *s, uint32_t depth) {
    return depth < 8 ? (unsigned char)(s->head >> (56 - 8 * depth)) : (unsigned char)t->tokens[s->id].text.data[depth];
}

/* In sorted[low, high), which agree in their first `depth` bytes and are longer: the first whose next byte is `byte` or greater. */
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
