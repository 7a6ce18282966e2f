/* A library to preload (LD_PRELOAD) that turns any file system into one that cannot map files: mmap of a file fails
 * with ENODEV. With NO_MMAP=shared only shared mappings fail; with NO_MMAP=memory they fail because there is no
 * memory (ENOMEM); with NO_MMAP_OF=PATH only those of this file fail. Code can still be mapped. tests/cli_files.sh
 * compiles it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_meant(int file) {
    const char *of = getenv("NO_MMAP_OF");
    struct stat meant, this;
    if (!of) return 1;
    return stat(of, &meant) == 0 && fstat(file, &this) == 0 && meant.st_dev == this.st_dev &&
           meant.st_ino == this.st_ino;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    const char *which = getenv("NO_MMAP");
    const int refused = which && strcmp(which, "shared") == 0 ? flags & MAP_SHARED : 1;
    if (file >= 0 && !(protection & PROT_EXEC) && refused && is_meant(file)) {
        errno = which && strcmp(which, "memory") == 0 ? ENOMEM : ENODEV;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap(address, length, protection, flags, file, offset);
}
