/* The metadata of one GGUF file: pairs of a key and a value. All are read and checked once, and then found by their
 * keys. Keys, numbers and bools are copied; strings and arrays stay in the file. docs/01-gguf.md has the layout. Before
 * it: gguf.c, which has read the header. After it: overrides.c, which replaces values with the caller's. */
#ifndef GGUF_METADATA_H
#define GGUF_METADATA_H

#include "base/arena.h"
#include "base/reader.h"
#include "cllm.h"

/* Names of keys or tensors, sorted, to find one by its name, and to find duplicates. It is not a hash table, because a
 * hostile file could choose names that make a hash table slow. */
typedef struct name_entry {
    const char *name;
    size_t index;    /* of the pair or tensor in its list */
    uint64_t offset; /* where the file has the name; CLLM_NO_OFFSET: an override's value */
} name_entry;

typedef struct name_index {
    name_entry *entries; /* [count] */
    size_t count;
} name_index;

/* Sort the entries, which the caller has filled. Returns the later one of two with the same name, or NULL. */
const name_entry *name_index_sort(name_index *index);
const name_entry *name_index_find(const name_index *index, const char *name); /* NULL if absent */

/* True for control characters, which no name may have: they could break the line of a message. */
static inline bool gguf_is_control(char c) { return (unsigned char)c < ' ' || c == 0x7f; }

/* Read the name of a key or tensor: a string of 1 to `limit` bytes without control characters. what, number: for
 * messages, such as "tensor" and its number from 0. name: out, a terminated copy in `memory`. Errors: FORMAT,
 * MEMORY. */
cllm_status gguf_read_name(reader *in, const char *what, uint64_t number, uint64_t limit, arena *memory,
                           const char **name, cllm_error *err);

typedef struct metadata {
    cllm_metadata *pairs; /* [keys.count], in the file's order */
    name_index keys;
} metadata;

#define METADATA_KEY_LIMIT      65535
#define METADATA_PAIR_MIN_BYTES 14 /* key: length 8, text 1; value: type 4, one byte */

/* Read `count` pairs. The caller has checked that the reader has at least count * METADATA_PAIR_MIN_BYTES bytes left.
 * out: its lists and keys are in `memory`, its strings and arrays in the reader's bytes. Errors: FORMAT, UNSUPPORTED,
 * MEMORY. */
cllm_status metadata_read(reader *in, uint64_t count, arena *memory, metadata *out, cllm_error *err);

/* Replace or add values: see cllm_gguf_open. overrides: [n], copied into `memory`. Errors: ARGUMENT, MEMORY. */
cllm_status metadata_override(metadata *m, const cllm_metadata *overrides, size_t n, arena *memory, cllm_error *err);

/* The value of a key, or NULL if the key is absent. *entry gets the key's entry in the index, or NULL if the key is
 * absent; pass NULL as `entry` if it is not needed. */
const cllm_value *metadata_find(const metadata *m, const char *key, const name_entry **entry);

/* An integer of any type that is not negative. */
bool gguf_value_as_u64(const cllm_value *value, uint64_t *out);

/* Report a fault in a file as "name: message (offset N)"; with CLLM_NO_OFFSET it is in an override: "name: message (in
 * an override)". name: or "". Returns `status`. */
cllm_status gguf_fault(cllm_error *err, cllm_status status, const char *name, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
