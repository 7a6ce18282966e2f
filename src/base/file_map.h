/* A whole file as one range of read-only bytes: mapped, or read into memory. */
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H

#include "base/progress.h"

typedef struct file_map {
    const unsigned char *bytes;
    uint64_t size;
    bool mapped;
    int refused; /* why the file was read and not mapped: an errno; 0: it is mapped, or reading was asked for */
} file_map;

/* Map the file; read it if `into_memory`, or if the system cannot map it. Progress, in bytes, is reported only for
 * reading. p: may be NULL. Errors: IO, FORMAT (the file is empty), MEMORY, CANCELLED; a message names the path, except
 * for CANCELLED. */
cllm_status file_map_open(const char *path, bool into_memory, const progress *p, file_map *out, cllm_error *err);
void file_map_close(file_map *map); /* leaves it empty; it may be empty already */

/* Load a mapped file's pages in order, with progress as above. They would be loaded on first use anyway, but this way a
 * cold start is one sequential read with visible progress. It costs almost nothing if the file is in memory already.
 * Errors: CANCELLED. */
cllm_status file_map_prefetch(const file_map *map, const progress *p, cllm_error *err);

#endif
