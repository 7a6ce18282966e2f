/* The GGUF file for the rest of the library: look-ups by type for model and tokenizer, and views that record which keys
 * are read. cllm.h has the functions that open a file and list what it has.
 *
 * A look-up fills *out and returns CLLM_OK if the key has a suitable type and value; else it returns FORMAT. If the key
 * is absent, GGUF_OPTIONAL leaves *out unchanged (the caller has put the default there) and returns CLLM_OK;
 * GGUF_REQUIRED returns FORMAT. Messages name the key. */
#ifndef GGUF_GGUF_H
#define GGUF_GGUF_H

#include "cllm.h"

#include <string.h>

typedef enum gguf_need { GGUF_OPTIONAL, GGUF_REQUIRED } gguf_need;

/* Any integer type, >= 0 and at most UINT32_MAX. */
cllm_status gguf_get_u32(const cllm_gguf *gguf, const char *key, gguf_need need, uint32_t *out, cllm_error *err);
/* FLOAT32 or FLOAT64; must be finite, and fit a float. */
cllm_status gguf_get_f32(const cllm_gguf *gguf, const char *key, gguf_need need, float *out, cllm_error *err);
cllm_status gguf_get_bool(const cllm_gguf *gguf, const char *key, gguf_need need, bool *out, cllm_error *err);
cllm_status gguf_get_string(const cllm_gguf *gguf, const char *key, gguf_need need, cllm_string *out, cllm_error *err);
/* An array whose elements have this type. */
cllm_status gguf_get_array(const cllm_gguf *gguf, const char *key, gguf_need need, cllm_value_type element_type,
                           cllm_array *out, cllm_error *err);

/* True if this string equals the text. */
static inline bool gguf_is_text(cllm_string s, const char *text) {
    return s.length == strlen(text) && memcmp(s.data, text, s.length) == 0;
}

/* cllm_gguf_open for one file whose `n_bytes` are in memory, borrowed until the close. Its path is "memory". */
cllm_status gguf_open_memory(const void *bytes, size_t n_bytes, cllm_gguf **out, cllm_error *err);

/* Create a view of a file, which records the keys that are read: each look-up above that finds its key sets found[index
 * of the key]. Objects that are made from a view keep pointers into the file, not into the view. found:
 * [cllm_gguf_n_metadata], borrowed. out: owned. Errors: MEMORY. */
cllm_status gguf_view_create(const cllm_gguf *gguf, bool *found, cllm_gguf **out, cllm_error *err);
void gguf_view_destroy(cllm_gguf *view); /* NULL is allowed */

/* The flags that cllm_gguf_is_read returns, [cllm_gguf_n_metadata]. Give them to gguf_view_create as `found`. */
bool *gguf_is_read(cllm_gguf *gguf);

/* Format a shape for messages, such as "4096, 32000", innermost dimension first. */
typedef struct shape_text {
    char text[96];
} shape_text;
shape_text gguf_shape_text(const uint64_t *shape, uint32_t n_dims);

/* True if the first file is mapped, false if it was read into memory; it is usually the same for all. */
bool gguf_is_mapped(const cllm_gguf *gguf);

/* Load the pages of all mapped files, with the progress of the options given to cllm_gguf_open. Errors: CANCELLED. */
cllm_status gguf_prefetch(const cllm_gguf *gguf, const cllm_load_options *options, cllm_error *err);

#endif
