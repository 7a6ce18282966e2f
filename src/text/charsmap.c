/* Reads the table of replacements in a Unigram model's file (its precompiled charsmap). Before it: gguf. After it:
 * tokenizer_unigram.c.
 *
 * The format is SentencePiece's (its normalizer.cc): the number of bytes of a trie, the trie, and the replacements. The
 * trie is one array of integers, as Darts-clone writes it (a "double array": Aoe 1989; Yata 2007). Each of its
 * elements, a unit, has 32 bits: bits 0..7 are the byte that leads to it; bit 8 says that it has a value; bits 10..30
 * are the offset of its children, times 256 if bit 9 is set. From the unit at i, byte b leads to the unit at i ^ offset
 * ^ b. The value of the unit at i is at i ^ offset; bits 0..30 of the value are the offset of the replacement.
 *
 * None of this is trusted: every access is checked, and a link that leads outside the array counts as no entry. */
#include "text/charsmap.h"

#include "base/error.h"
#include "gguf/gguf.h"

#include <string.h>

#define CHARSMAP_KEY "tokenizer.ggml.precompiled_charsmap"

enum { LONGEST_ENTRY = 256 /* bytes; real maps have about 30. A damaged trie may lead back to itself forever */ };

static uint32_t read_u32(const unsigned char *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

cllm_status charsmap_load(const cllm_gguf *gguf, charsmap *map, cllm_error *err) {
    *map = (charsmap){0};
    const cllm_value *value = cllm_gguf_find(gguf, CHARSMAP_KEY);
    const bool is_signed = value && value->type == CLLM_ARRAY && value->array.element_type == CLLM_INT8;
    cllm_array bytes = {0};
    cllm_status status =
        gguf_get_array(gguf, CHARSMAP_KEY, GGUF_OPTIONAL, is_signed ? CLLM_INT8 : CLLM_UINT8, &bytes, err);
    if (status != CLLM_OK || bytes.count == 0) return status;
    const uint64_t n_trie_bytes = bytes.count >= 4 ? read_u32(bytes.bytes) : 0;
    if (bytes.count < 4 || n_trie_bytes > bytes.count - 4 || n_trie_bytes % 4 != 0)
        return error_set_at(err, CLLM_ERR_FORMAT, CHARSMAP_KEY, CLLM_NO_OFFSET,
                            CHARSMAP_KEY
                            ": its trie has %llu bytes by its header, and the array %llu: the map is damaged",
                            (unsigned long long)n_trie_bytes, (unsigned long long)bytes.count);
    map->units = bytes.bytes + 4;
    map->n_units = (uint32_t)(n_trie_bytes / 4);
    map->replacements = (const char *)map->units + n_trie_bytes;
    map->n_bytes = (size_t)(bytes.count - 4 - n_trie_bytes);
    return CLLM_OK;
}

static bool read_unit(const charsmap *map, uint32_t place, uint32_t *unit) {
    if (place >= map->n_units) return false;
    *unit = read_u32(map->units + (size_t)place * 4);
    return true;
}

static uint32_t offset_of(uint32_t unit) { return unit >> 10 << (unit & 1u << 9 ? 8 : 0); }

size_t charsmap_match(const charsmap *map, const char *text, size_t length, cllm_string *replacement) {
    size_t matched = 0;
    uint32_t unit, value, place = 0;
    if (!read_unit(map, 0, &unit)) return 0;
    for (size_t i = 0; i < length && i < LONGEST_ENTRY && text[i]; i++) {
        place ^= offset_of(unit) ^ (unsigned char)text[i];
        const uint32_t label = 0x800000FF; /* bit 31 marks a value, which is not a child */
        if (!read_unit(map, place, &unit) || (unit & label) != (unsigned char)text[i]) break;
        if (!(unit & 1u << 8) || !read_unit(map, place ^ offset_of(unit), &value)) continue;
        value &= 0x7FFFFFFF;
        const char *found = value < map->n_bytes ? map->replacements + value : NULL;
        const size_t left = found ? map->n_bytes - value : 0, most = left < LONGEST_ENTRY ? left : LONGEST_ENTRY;
        const char *end = found ? memchr(found, 0, most) : NULL;
        if (!end) continue;
        *replacement = (cllm_string){found, (size_t)(end - found)};
        matched = i + 1;
    }
    return matched;
}
