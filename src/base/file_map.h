/* A whole file as one range of read-only bytes: mapped, or read into memory. */
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H

#include "base/progress.h"

typedef struct file_map {
    const unsigned char *bytes;
    uint64_t size;
    bool mapped;
    int refused; /* why it was read although it should have been mapped: an errno; or 0 */
} file_map;

/* Map the file, or read it where `into_memory` says so or the system refuses to map it. Progress, in bytes, is reported only while reading;
 * p: may be NULL. Errors: IO, MEMORY, CANCELLED; the message names the path. */
cllm_status file_map_open(const char *path, bool into_memory, const progress *p, file_map *out, cllm_error *err);
void file_map_close(file_map *map); /* leaves it empty; an empty one is allowed */

/* Bring a mapped file's pages in, in order, with progress as above. A mapped page comes in on first use all the same:
 * this makes a cold start one sequential read that can be shown, and costs next to nothing for a file that is in
 * memory already. Errors: CANCELLED. */
cllm_status file_map_prefetch(const file_map *map, const progress *p, cllm_error *err);

#endif
