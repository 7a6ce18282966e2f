/* Compiles a text in the Metal shading language for the host, with clang++ and shim/metal_stdlib, and runs its kernels.
 * Before: metal.m, which stands in for Apple's framework. After: fibers.h. */
#ifndef LOOKALIKE_MSL_PROGRAM_H
#define LOOKALIKE_MSL_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MSL_BUFFERS = 31 }; /* indices of buffers */

typedef struct msl_program msl_program;

typedef struct msl_kernel {
    char name[64];
    void (*run)(void *const *addresses);
    size_t n_parameters;
    int indices[MSL_BUFFERS + 2]; /* for each parameter, its buffer or one of the two below */
    const size_t *sizes;          /* least bytes of each */
} msl_kernel;

enum { MSL_GROUP_POSITION = -1, MSL_THREAD_POSITION = -2 };

/* Returns NULL if the text is wrong; *log (owned, free) is then the compiler's output. A process compiles a text only
 * once; programs are not released. version: __METAL_VERSION__. */
msl_program *msl_compile(const char *text, int version, char **log);

/* Finds a kernel of the program by its name, or returns NULL. */
const msl_kernel *msl_find(const msl_program *program, const char *name);

/* buffers: by index; only those for which the kernel has a parameter. groups, threads: how many in x, y and z. */
void msl_run(const msl_kernel *kernel, void *const buffers[MSL_BUFFERS], const uint32_t groups[3],
             const uint32_t threads[3], bool reversed);

#endif
