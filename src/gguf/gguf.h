/* The GGUF file, as the rest of the library reads it. Opening, walking and finding are public: see cllm.h. These are the
 * typed look-ups that model and tokenizer use.
 *
 * Each fills *out and returns CLLM_OK if the key is there with a fitting type and value. If the key is absent it returns
 * CLLM_OK and leaves *out (so that the caller sets the default before), unless `required`: then FORMAT. A wrong type or
 * a value out of range is FORMAT. Messages name the key.
 */
#ifndef GGUF_GGUF_H
#define GGUF_GGUF_H

#include "cllm.h"

#include <string.h>

typedef enum gguf_need { GGUF_OPTIONAL, GGUF_REQUIRED } gguf_need;

/* Any integer type, >= 0 and at most UINT32_MAX. */
cllm_status gguf_get_u32(const cllm_gguf *gguf, const char *key, gguf_need need, uint32_t *out, cllm_error *err);
/* FLOAT32 or FLOAT64; must be finite. */
cllm_status gguf_get_f32(const cllm_gguf *gguf, const char *key, gguf_need need, float *out, cllm_error *err);
cllm_status gguf_get_bool(const cllm_gguf *gguf, const char *key, gguf_need need, bool *out, cllm_error *err);
cllm_status gguf_get_string(const cllm_gguf *gguf, const char *key, gguf_need need, cllm_string *out, cllm_error *err);
/* An array whose elements have this type. */
cllm_status gguf_get_array(const cllm_gguf *gguf, const char *key, gguf_need need, cllm_value_type element_type,
                           cllm_array *out, cllm_error *err);

/* Is this string of a file that text? */
static inline bool gguf_is_text(cllm_string s, const char *text) {
    return s.length == strlen(text) && memcmp(s.data, text, s.length) == 0;
}

/* The same as cllm_gguf_open for one file whose `n_bytes` are in memory, borrowed until the close. Its path is "memory". */
cllm_status gguf_open_memory(const void *bytes, size_t n_bytes, cllm_gguf **out, cllm_error *err);

/* The same file for one reader that wants to know what it reads: the look-ups above set found[index of the key] to true for each
 * key that they find in the view. What is made of a view needs the file, not the view. found: [cllm_gguf_n_metadata], borrowed.
 * out: owned. Errors: MEMORY. */
cllm_status gguf_view_create(const cllm_gguf *gguf, bool *found, cllm_gguf **out, cllm_error *err);
void gguf_view_destroy(cllm_gguf *view); /* NULL is allowed */

/* [cllm_gguf_n_metadata] what cllm_gguf_is_read tells, for the file's owner to fill. */
bool *gguf_is_read(cllm_gguf *gguf);

/* "4096, 32000": a shape for messages, innermost dimension first. */
typedef struct shape_text {
    char text[96];
} shape_text;
shape_text gguf_shape_text(const uint64_t *shape, uint32_t n_dims);

/* Are the files mapped, or were they read into memory? */
bool gguf_is_mapped(const cllm_gguf *gguf);

/* Bring the pages of all mapped files in, with the progress of the options given to cllm_gguf_open. */
cllm_status gguf_prefetch(const cllm_gguf *gguf, const cllm_load_options *options, cllm_error *err);

#endif
