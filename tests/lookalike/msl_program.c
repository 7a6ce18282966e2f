/* Attributes in double brackets say which buffer belongs to each parameter of a kernel. C++ ignores them. So they are
 * read here from the preprocessed text, and a call for each kernel is appended to the text. It takes an address for
 * each parameter. */
#define _GNU_SOURCE
#include "msl_program.h"

#include "fibers.h"

#include <ctype.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* LOOKALIKE_FOLDER is where this file is; the Makefile says it. */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZE "-fsanitize=address "
#endif
#endif
#ifndef SANITIZE
#define SANITIZE ""
#endif
#ifdef __x86_64__
#define MACHINE "-march=native "
#else
#define MACHINE ""
#endif

/* Warnings about things that Metal's compiler refuses are errors; all other warnings of clang are off. */
#define COMPILE                                                                                               \
    "clang++ -x c++ -std=c++17 -O2 -g1 -fPIC -shared -fvisibility=hidden -ffp-contract=off " SANITIZE MACHINE \
    "-Wno-everything -Werror=double-promotion -Werror=return-type -Werror=uninitialized -Werror=vla "         \
    "-I'" LOOKALIKE_FOLDER "/shim' -I'" LOOKALIKE_FOLDER "' "
#define PREPROCESS "clang++ -x c++ -E -P -nostdinc "

struct msl_program {
    msl_program *next;
    char *text;
    int version;
    void *library;
    size_t n_kernels;
    msl_kernel kernels[256];
};
static msl_program *programs;

/* Returns the output of the command, with its errors; owned. *ok: out, true if it succeeded. */
static char *output_of(const char *command, bool *ok) {
    FILE *pipe = popen(command, "r");
    char *output = NULL;
    size_t n_bytes = 0;
    if (!pipe || getdelim(&output, &n_bytes, 0, pipe) < 0) {
        free(output);
        output = strdup("");
    }
    *ok = pipe && pclose(pipe) == 0;
    return output;
}

static void write_file(const char *path, const char *mode, const char *text) {
    FILE *file = fopen(path, mode);
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) fibers_fatal("cannot write %s", path);
}

/* --------------------------------------------------------------------------------------- parameters of kernels */

/* Reads the attribute of one parameter, which ends before `end`. */
static int index_of(const char *parameter, const char *end, const char *kernel) {
    int index;
    char word[64];
    const char *attribute = strstr(parameter, "[[");
    if (!attribute || attribute >= end || sscanf(attribute, "[[ %63[a-z_]", word) != 1)
        fibers_fatal("a parameter of kernel %s has no attribute: %.*s", kernel, (int)(end - parameter), parameter);
    if (sscanf(attribute, "[[ buffer ( %d ) ]]", &index) == 1 && index >= 0 && index < MSL_BUFFERS) return index;
    if (strcmp(word, "threadgroup_position_in_grid") == 0) return MSL_GROUP_POSITION;
    if (strcmp(word, "thread_position_in_threadgroup") == 0) return MSL_THREAD_POSITION;
    fibers_fatal("a parameter of kernel %s has an attribute that is wrong or not known here: %.*s", kernel,
                 (int)(end - attribute), attribute);
}

/* list: begins after the ( of the kernel's parameters. */
static void read_parameters(msl_kernel *kernel, const char *list) {
    int depth = 0;
    for (const char *c = list; depth >= 0; c++) {
        if (!*c) fibers_fatal("the parameters of kernel %s have no end", kernel->name);
        depth += (*c == '(') - (*c == ')');
        if (!(depth == 0 && *c == ',') && depth >= 0) continue;
        if (kernel->n_parameters == sizeof kernel->indices / sizeof *kernel->indices)
            fibers_fatal("kernel %s has too many parameters", kernel->name);
        const int index = index_of(list, c, kernel->name);
        for (size_t i = 0; i < kernel->n_parameters; i++)
            if (kernel->indices[i] == index && index >= 0)
                fibers_fatal("two parameters of kernel %s are buffer %d", kernel->name, index);
        kernel->indices[kernel->n_parameters++] = index;
        list = c + 1;
    }
}

/* Reads the preprocessed text. entries: out, what must be appended to the text. */
static void read_kernels(msl_program *program, const char *text, FILE *entries) {
    for (const char *found = text; (found = strstr(found, "kernel void ")); found++) {
        if (found > text && (isalnum((unsigned char)found[-1]) || found[-1] == '_')) continue;
        if (program->n_kernels == sizeof program->kernels / sizeof *program->kernels) fibers_fatal("too many kernels");
        msl_kernel *kernel = &program->kernels[program->n_kernels++];
        int length = 0;
        if (sscanf(found, "kernel void %63[A-Za-z0-9_] (%n", kernel->name, &length) != 1 || length == 0)
            fibers_fatal("a kernel without name or parameters: %.40s", found);
        read_parameters(kernel, found + length);
        fprintf(entries, "\nSHIM_ENTRY(%s, \"", kernel->name);
        for (size_t i = 0; i < kernel->n_parameters; i++) putc(kernel->indices[i] >= 0 ? 'b' : 'p', entries);
        fputs("\")\n", entries);
    }
}

/* --------------------------------------------------------------------------------------------------- compiling */

/* FNV-1a, as http://www.isthe.com/chongo/tech/comp/fnv/ gives it. */
static uint64_t hash(uint64_t sum, const char *bytes, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++) sum = (sum ^ (unsigned char)bytes[i]) * 0x100000001b3;
    return sum;
}

static uint64_t hash_file(uint64_t sum, const char *path) {
    char bytes[4096];
    FILE *file = fopen(path, "r");
    for (size_t n; file && (n = fread(bytes, 1, sizeof bytes, file)) > 0;) sum = hash(sum, bytes, n);
    if (!file || fclose(file) != 0) fibers_fatal("cannot read %s", path);
    return sum;
}

/* The path where the program is kept for other processes; its name depends on everything that the program is made of.
 * If nothing is kept, it is in `folder`. */
static void name_library(char *path, size_t size, const char *folder, const msl_program *program) {
    const char *cache = getenv("LOOKALIKE_CACHE");
    uint64_t sum = hash(0xcbf29ce484222325, program->text, strlen(program->text));
    sum = hash(sum, (const char *)&program->version, sizeof program->version);
    sum = hash(sum, COMPILE, sizeof COMPILE);
    sum = hash_file(sum, LOOKALIKE_FOLDER "/shim/metal_stdlib");
    sum = hash_file(sum, LOOKALIKE_FOLDER "/fibers.h");
    snprintf(path, size, "%s/kernels-%016" PRIx64 ".so", cache && *cache ? cache : folder, sum);
}

/* Compiles in a folder of its own. Returns what the compiler printed. */
static char *compile_in(const char *folder, msl_program *program) {
    char path[512], library[512], command[4096], *entries = NULL;
    size_t n_bytes;
    bool ok;
    snprintf(path, sizeof path, "%s/metal_stdlib", folder);
    write_file(path, "w", "");
    snprintf(path, sizeof path, "%s/kernels.metal", folder);
    write_file(path, "w", "#line 1 \"program_source\"\n");
    write_file(path, "a", program->text);
    snprintf(command, sizeof command, PREPROCESS "-D__METAL_VERSION__=%d -I'%s' '%s' 2>&1", program->version, folder,
             path);
    char *log = output_of(command, &ok);
    if (!ok) return log;
    FILE *list = open_memstream(&entries, &n_bytes);
    read_kernels(program, log, list);
    fclose(list);
    write_file(path, "a", entries);
    free(entries);
    name_library(library, sizeof library, folder, program);
    if (access(library, R_OK) != 0) {
        /* It is moved there when it is complete, because other processes may look for it meanwhile. */
        snprintf(command, sizeof command,
                 COMPILE
                 "-D__METAL_VERSION__=%d -o '%s/new.so' '%s' 2>&1 && mv '%s/new.so' '%s.%ld' && mv '%s.%ld' '%s'",
                 program->version, folder, path, folder, library, (long)getpid(), library, (long)getpid(), library);
        free(log);
        log = output_of(command, &ok);
        if (!ok) return log;
    }
    program->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!program->library) fibers_fatal("%s (is the program linked with -rdynamic?)", dlerror());
    return log;
}

static void *symbol(msl_program *program, const char *prefix, const char *kernel) {
    char name[96];
    snprintf(name, sizeof name, "%s%s", prefix, kernel);
    void *address = dlsym(program->library, name);
    if (!address) fibers_fatal("%s", dlerror());
    return address;
}

static void find_entries(msl_program *program) {
    for (size_t i = 0; i < program->n_kernels; i++) {
        msl_kernel *kernel = &program->kernels[i];
        void *run = symbol(program, "shim_run_", kernel->name);
        memcpy(&kernel->run, &run, sizeof run);
        kernel->sizes = symbol(program, "shim_sizes_", kernel->name);
    }
}

msl_program *msl_compile(const char *text, int version, char **log) {
    *log = NULL;
    for (msl_program *program = programs; program; program = program->next)
        if (program->version == version && strcmp(program->text, text) == 0) return program;
    char folder[256], command[300];
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/lookalike-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(folder)) fibers_fatal("cannot make a folder like %s", folder);
    msl_program *program = calloc(1, sizeof *program);
    if (!program || !(program->text = strdup(text))) fibers_fatal("no memory");
    program->version = version;
    *log = compile_in(folder, program);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) fibers_fatal("cannot remove %s", folder);
    if (!program->library) {
        free(program->text);
        free(program);
        return NULL;
    }
    find_entries(program);
    program->next = programs;
    programs = program;
    return program;
}

const msl_kernel *msl_find(const msl_program *program, const char *name) {
    for (size_t i = 0; i < program->n_kernels; i++)
        if (strcmp(program->kernels[i].name, name) == 0) return &program->kernels[i];
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------- running */

typedef struct running {
    const msl_kernel *kernel;
    void *addresses[MSL_BUFFERS + 2]; /* of the parameters */
    uint32_t group[3], thread[3];
    const uint32_t *threads;
} running;

static void run_thread(void *user, uint32_t thread) {
    running *run = user;
    run->thread[0] = thread % run->threads[0];
    run->thread[1] = thread / run->threads[0] % run->threads[1];
    run->thread[2] = thread / run->threads[0] / run->threads[1];
    run->kernel->run(run->addresses); /* reads the position at its start, before another thread runs */
}

void msl_run(const msl_kernel *kernel, void *const buffers[MSL_BUFFERS], const uint32_t groups[3],
             const uint32_t threads[3], bool reversed) {
    running run = {.kernel = kernel, .threads = threads};
    for (size_t i = 0; i < kernel->n_parameters; i++) {
        const int index = kernel->indices[i];
        run.addresses[i] = index == MSL_GROUP_POSITION    ? run.group
                           : index == MSL_THREAD_POSITION ? run.thread
                                                          : buffers[index];
    }
    const uint64_t n_groups = (uint64_t)groups[0] * groups[1] * groups[2];
    for (uint64_t i = 0; i < n_groups; i++) {
        const uint64_t group = reversed ? n_groups - 1 - i : i;
        run.group[0] = (uint32_t)(group % groups[0]);
        run.group[1] = (uint32_t)(group / groups[0] % groups[1]);
        run.group[2] = (uint32_t)(group / groups[0] / groups[1]);
        fibers_run_group(kernel->name, threads[0] * threads[1] * threads[2], reversed, run_thread, &run);
    }
}
