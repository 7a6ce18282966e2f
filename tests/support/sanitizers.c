/* What the sanitizers ask a program, where it was built with them: tests bring the libraries of a GPU's API into it, which
 * keep some memory to the end, and whose compilers take memory millions of times. */
#define ASKED __attribute__((visibility("default"), used))

ASKED const char *__lsan_default_suppressions(void);
ASKED const char *__lsan_default_options(void);
ASKED const char *__asan_default_options(void);

const char *__lsan_default_suppressions(void) {
    return "leak:libpocl\nleak:libLLVM\nleak:libclang\nleak:libOpenCL\nleak:libhwloc\nleak:libnvrtc\nleak:libcuda\n";
}

const char *__lsan_default_options(void) { return "print_suppressions=0"; }

/* Blocks that were freed are kept for a while, to catch late uses: not 256 MB of them. */
const char *__asan_default_options(void) { return "quarantine_size_mb=16:malloc_context_size=12"; }
