/* Options for the sanitizers, if a test is built with them. The libraries of GPU APIs, which a test may load, keep
 * some memory until the end, and their compilers allocate memory millions of times. */
#define ASKED __attribute__((visibility("default"), used))

ASKED const char *__lsan_default_suppressions(void);
ASKED const char *__lsan_default_options(void);
ASKED const char *__asan_default_options(void);

const char *__lsan_default_suppressions(void) {
    return "leak:_dlerror_run\nleak:libpocl\nleak:libLLVM\nleak:libclang\nleak:libOpenCL\nleak:libhwloc\nleak:"
           "libnvrtc\nleak:libcuda\n";
}

/* The search for leaks may crash when it reads the thread-local data of a library that was loaded late. So these data
 * are not read. That hides no leaks. But dlerror's message, to which only these data point, must be named above. */
const char *__lsan_default_options(void) { return "print_suppressions=0:use_tls=0"; }

/* Freed blocks are kept for a while, to catch late uses: 16 MB of them instead of 256. */
const char *__asan_default_options(void) { return "quarantine_size_mb=16:malloc_context_size=12"; }

/* A server that ends on a signal calls _exit, which would skip the search for leaks. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>

ASKED _Noreturn void _exit(int status);
_Noreturn void _exit(int status) {
    if (status == 143) __lsan_do_leak_check(); /* SIGTERM's */
    _Exit(status);
}
#endif
