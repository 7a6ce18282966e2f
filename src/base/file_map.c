/* Implements file_map.h with POSIX mmap(2), or read(2) into memory. It does not interpret the bytes. After it:
 * gguf/gguf.c. */
#include "base/file_map.h"

#include "base/error.h"
#include "base/pages.h"
#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES  ((uint64_t)16 << 20) /* between two calls of progress */
#define TOUCH_BYTES 65536u               /* Linux maps this much around a page fault, if it is in memory */

static cllm_status cancelled(cllm_error *err) { return error_set(err, CLLM_ERR_CANCELLED, "loading was cancelled"); }

static cllm_status read_all(int descriptor, const char *path, unsigned char *bytes, uint64_t size, const progress *p,
                            cllm_error *err) {
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
        if (!progress_report(p, done, size)) return cancelled(err);
    }
    return CLLM_OK;
}

/* Some FUSE file systems refuse a shared mapping but allow a private one; for a reader they are the same. If neither is
 * allowed, that is not an error: `refused` says why. Too little address space is an error. */
static cllm_status map_file(int descriptor, const char *path, file_map *map, cllm_error *err) {
    void *mapping = mmap(NULL, (size_t)map->size, PROT_READ, MAP_SHARED, descriptor, 0);
    const int refused = mapping == MAP_FAILED ? errno : 0;
    if (refused == ENOMEM)
        return error_set(err, CLLM_ERR_MEMORY,
                         "%s: its %llu bytes do not fit in this process's address space: raise the limit (ulimit -v)",
                         path, (unsigned long long)map->size);
    if (refused) mapping = mmap(NULL, (size_t)map->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    map->mapped = mapping != MAP_FAILED;
    if (map->mapped)
        map->bytes = mapping;
    else
        map->refused = refused;
    return CLLM_OK;
}

/* Read the whole file into memory. out: its `size` is known, and `refused` says why the file could not be mapped, or is
 * 0. */
static cllm_status read_file(int descriptor, const char *path, const progress *p, file_map *out, cllm_error *err) {
    const uint64_t available = system_available_memory();
    unsigned char *bytes = !available || out->size < available ? pages_alloc((size_t)out->size) : NULL;
    if (!bytes && out->refused)
        return error_set(
            err, CLLM_ERR_MEMORY,
            "%s: the file system cannot map it (%s), and its %llu bytes do not fit in the %llu bytes of memory "
            "that are available: copy it to another disk",
            path, strerror(out->refused), (unsigned long long)out->size, (unsigned long long)available);
    if (!bytes)
        return error_set(err, CLLM_ERR_MEMORY,
                         "%s: the file's %llu bytes do not fit in the %llu bytes of memory that are available: map it "
                         "instead",
                         path, (unsigned long long)out->size, (unsigned long long)available);
    cllm_status status = read_all(descriptor, path, bytes, out->size, p, err);
    if (status == CLLM_OK)
        out->bytes = bytes;
    else
        pages_free(bytes, (size_t)out->size);
    return status;
}

/* Refuse anything that cannot be mapped or read, and empty files. size: out. */
static cllm_status examine(int descriptor, const char *path, uint64_t *size, cllm_error *err) {
    struct stat info;
    char byte;
    if (fstat(descriptor, &info) != 0)
        return error_set(err, CLLM_ERR_IO, "%s: cannot examine: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return error_set(err, CLLM_ERR_IO, "%s: this is a folder, not a file: name the model's .gguf file in it", path);
    if (S_ISFIFO(info.st_mode))
        return error_set(err, CLLM_ERR_IO,
                         "%s: this is a pipe, not a file: a model is read at many offsets, so save it to a file first",
                         path);
    if (!S_ISREG(info.st_mode)) return error_set(err, CLLM_ERR_IO, "%s: this is a device, not a file", path);
    *size = (uint64_t)info.st_size;
    if (*size > 0) return CLLM_OK;
    if (read(descriptor, &byte, 1) == 1) /* a file of /proc */
        return error_set(err, CLLM_ERR_IO,
                         "%s: the system does not know the size of this file: copy it to a disk first", path);
    return error_set(err, CLLM_ERR_FORMAT, "%s: the file is empty", path);
}

cllm_status file_map_open(const char *path, bool into_memory, const progress *p, file_map *out, cllm_error *err) {
    *out = (file_map){0};
    /* opening a pipe must not block; O_NONBLOCK has no effect on files */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return error_set(err, CLLM_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    file_map map = {0};
    cllm_status status = examine(descriptor, path, &map.size, err);
    if (status == CLLM_OK && !into_memory) status = map_file(descriptor, path, &map, err);
    if (status == CLLM_OK && !map.mapped) status = read_file(descriptor, path, p, &map, err);
    if (status == CLLM_OK) *out = map;
    close(descriptor);
    return status;
}

cllm_status file_map_prefetch(const file_map *map, const progress *p, cllm_error *err) {
    if (!map->mapped) return CLLM_OK;
    volatile unsigned char sink;
    for (uint64_t done = 0; done < map->size;) {
        uint64_t step = map->size - done < STEP_BYTES ? map->size - done : STEP_BYTES;
        posix_madvise((void *)(uintptr_t)(map->bytes + done), (size_t)step, POSIX_MADV_WILLNEED);
        for (uint64_t at = done; at < done + step; at += TOUCH_BYTES) sink = map->bytes[at];
        done += step;
        if (!progress_report(p, done, map->size)) return cancelled(err);
    }
    (void)sink;
    return CLLM_OK;
}

void file_map_close(file_map *map) {
    if (map->mapped)
        munmap((void *)(uintptr_t)map->bytes, (size_t)map->size);
    else
        pages_free((void *)(uintptr_t)map->bytes, (size_t)map->size);
    *map = (file_map){0};
}
