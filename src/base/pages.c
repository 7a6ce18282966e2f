/* Implements pages.h with mmap(2) and madvise(2). */
#if defined(__linux__)
#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise */
#endif
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20) /* of x86-64, and of arm64 with pages of 4 KiB */

/* Map more than asked for, then unmap what is before and after an aligned range: only aligned memory gets huge pages.
 * With small pages, the first touch of a page costs as much as copying it. */
void *pages_alloc(size_t n_bytes) {
    if (n_bytes > SIZE_MAX - 2 * HUGE_PAGE) return NULL;
    const size_t size = (n_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, mapped = size + HUGE_PAGE;
    unsigned char *begin = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED) return NULL;
    const size_t before = (HUGE_PAGE - (uintptr_t)begin % HUGE_PAGE) % HUGE_PAGE;
    if (before) munmap(begin, before);
    munmap(begin + before + size, mapped - before - size);
#if defined(MADV_HUGEPAGE)
    madvise(begin + before, size, MADV_HUGEPAGE); /* only a hint: kernels without huge pages ignore it */
#endif
    return begin + before;
}

void pages_free(void *pages, size_t n_bytes) {
    if (pages) munmap(pages, (n_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
}

void pages_drop(const void *bytes, size_t n_bytes) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)bytes + page - 1) / page * page,
                    end = ((uintptr_t)bytes + n_bytes) / page * page;
#if defined(MADV_DONTNEED)
    if (end > begin) madvise((void *)begin, end - begin, MADV_DONTNEED);
#else
    (void)end;
#endif
}
