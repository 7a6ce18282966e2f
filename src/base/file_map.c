/* POSIX mmap(2), or read(2) into memory. Nothing here looks at what the bytes mean. */
#if defined(__linux__)
#define _GNU_SOURCE /* madvise */
#endif
#include "base/file_map.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES      ((uint64_t)16 << 20) /* between two progress reports */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)    /* of x86-64, and of arm64 with pages of 4 KiB */
#define TOUCH_BYTES     65536u               /* what Linux maps around one fault in a file, if it is in memory */

static bool report(const cllm_load_options *options, uint64_t done, uint64_t total) {
    return !options || !options->progress || options->progress(options->user, done, total);
}

static cllm_status cancelled(cllm_error *err) { return error_set(err, CLLM_ERR_CANCELLED, "loading was cancelled"); }

/* Memory for a whole file, in huge pages if the system has them: the first touch of a page costs as much as a copy of
 * it. Release with free(). */
static unsigned char *allocate_bytes(size_t size) {
    void *bytes;
    if (posix_memalign(&bytes, HUGE_PAGE_BYTES, size) != 0) return NULL;
#if defined(MADV_HUGEPAGE)
    madvise(bytes, size, MADV_HUGEPAGE); /* only advice: a kernel without huge pages refuses it */
#endif
    return bytes;
}

static cllm_status read_all(int descriptor, const char *path, unsigned char *bytes, uint64_t size,
                            const cllm_load_options *options, uint64_t done_before, uint64_t total, cllm_error *err) {
#if defined(POSIX_FADV_SEQUENTIAL) /* not on macOS */
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
    for (uint64_t done = 0; done < size;) {
        uint64_t step = size - done < STEP_BYTES ? size - done : STEP_BYTES;
        ssize_t got = read(descriptor, bytes + done, (size_t)step);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_set(err, CLLM_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (got == 0)
            return error_set(err, CLLM_ERR_IO, "%s: the file shrank from %llu to %llu bytes while it was read", path,
                             (unsigned long long)size, (unsigned long long)done);
        done += (uint64_t)got;
        if (!report(options, done_before + done, total)) return cancelled(err);
    }
    return CLLM_OK;
}

cllm_status file_map_open(const char *path, const cllm_load_options *options, uint64_t done_before, uint64_t total,
                          file_map *out, cllm_error *err) {
    *out = (file_map){0};
    cllm_status status = CLLM_OK;
    unsigned char *read_bytes = NULL;
    /* a pipe must not hang the program before it is told from a file; files know no O_NONBLOCK */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return error_set(err, CLLM_ERR_IO, "%s: cannot open: %s", path, strerror(errno));

    struct stat info;
    if (fstat(descriptor, &info) != 0) {
        status = error_set(err, CLLM_ERR_IO, "%s: cannot examine: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(info.st_mode)) {
        status = error_set(err, CLLM_ERR_IO, "%s: not a regular file", path);
        goto done;
    }
    uint64_t size = (uint64_t)info.st_size;
    if (size == 0) {
        status = error_set(err, CLLM_ERR_FORMAT, "%s: the file is empty", path);
        goto done;
    }
    if (options && options->no_mmap) {
        read_bytes = allocate_bytes((size_t)size);
        if (!read_bytes) {
            status = error_set(err, CLLM_ERR_MEMORY, "%s: no memory for the file's %llu bytes; map it instead", path,
                               (unsigned long long)size);
            goto done;
        }
        status = read_all(descriptor, path, read_bytes, size, options, done_before, total ? total : size, err);
        if (status != CLLM_OK) goto done;
        *out = (file_map){.bytes = read_bytes, .size = size, .mapped = false};
        read_bytes = NULL;
    } else {
        void *mapping = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, descriptor, 0);
        if (mapping == MAP_FAILED) {
            status = error_set(err, CLLM_ERR_IO, "%s: cannot map: %s", path, strerror(errno));
            goto done;
        }
        *out = (file_map){.bytes = mapping, .size = size, .mapped = true};
    }

done:
    free(read_bytes);
    close(descriptor);
    return status;
}

cllm_status file_map_prefetch(const file_map *map, const cllm_load_options *options, uint64_t done_before,
                              uint64_t total, cllm_error *err) {
    if (!map->mapped) return CLLM_OK;
    volatile unsigned char sink;
    for (uint64_t done = 0; done < map->size;) {
        uint64_t step = map->size - done < STEP_BYTES ? map->size - done : STEP_BYTES;
        posix_madvise((void *)(uintptr_t)(map->bytes + done), (size_t)step, POSIX_MADV_WILLNEED);
        for (uint64_t at = done; at < done + step; at += TOUCH_BYTES) sink = map->bytes[at];
        done += step;
        if (!report(options, done_before + done, total)) return cancelled(err);
    }
    (void)sink;
    return CLLM_OK;
}

void file_map_close(file_map *map) {
    if (map->mapped)
        munmap((void *)(uintptr_t)map->bytes, (size_t)map->size);
    else
        free((void *)(uintptr_t)map->bytes);
    *map = (file_map){0};
}
