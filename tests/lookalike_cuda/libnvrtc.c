/* A look-alike of NVIDIA's NVRTC for hosts without a GPU. clang++ compiles the kernel text for this host, with
 * kernel_prelude.h in front of it. It is only for tests. Before: src/gpu/driver_cuda.c. After: libcuda.c, which loads
 * the result.
 *
 * It is strict: unknown options and architectures are refused, and programs that were not destroyed are reported at the
 * end. As in NVRTC, a product and a sum of floats become one operation unless --fmad=false. Environment:
 *   LOOKALIKE_CXX=clang++         the compiler
 *   LOOKALIKE_CUDA_FAULT=nvrtc    no text compiles
 * Compiled programs stay in the folder `cache` beside this library, named by a hash of all that they depend on. */
#define _GNU_SOURCE /* dladdr, mkdtemp */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gpu/cuda_api.h"
#include "lookalike_cuda/image.h"

#pragma GCC visibility push(default)
#define DECLARE(type, name, symbol, parameters) type symbol parameters;
NVRTC_FUNCTIONS(DECLARE)
#pragma GCC visibility pop

enum { OUT_OF_MEMORY = 1, INVALID_INPUT = 3, INVALID_PROGRAM = 4, INVALID_OPTION = 5, COMPILATION = 6 };

static const int architectures[] = {75, 80, 86, 87, 89, 90, 100, 120};
enum { N_ARCHITECTURES = sizeof architectures / sizeof *architectures };

struct _nvrtcProgram {
    char *text, *name, *log;
    char *image; /* NULL: not compiled */
    size_t n_bytes;
    bool is_virtual;
};

static int n_programs;

__attribute__((destructor)) static void look_for_leaks(void) {
    if (!n_programs) return;
    fprintf(stderr, "look-alike: %d programs of NVRTC were not destroyed\n", n_programs);
    abort();
}

/* ----------------------------------------------------------------------------------------------------- files */

/* The folder of this library. */
static const char *own_folder(void) {
    static char folder[3072];
    Dl_info info;
    if (!dladdr((void *)own_folder, &info)) abort();
    char *path = realpath(info.dli_fname, NULL);
    if (!path || strlen(path) >= sizeof folder) abort();
    strcpy(folder, path);
    *strrchr(folder, '/') = 0;
    free(path);
    return folder;
}

static char *formatted(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) abort();
    va_end(args);
    return text;
}

/* The whole file, with room for n_before bytes before it and a zero after it, or NULL. Owned. */
static char *read_whole(const char *path, size_t n_before, size_t *n_bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *n_bytes = (size_t)ftell(file);
    rewind(file);
    char *bytes = calloc(1, n_before + *n_bytes + 1);
    if (!bytes || fread(bytes + n_before, 1, *n_bytes, file) != *n_bytes) abort();
    fclose(file);
    return bytes;
}

static void write_whole(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) abort();
}

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t so_far, const char *text) {
    for (; *text; text++) so_far = (so_far ^ (unsigned char)*text) * 0x100000001b3u;
    return so_far;
}

static uint64_t hash_file(uint64_t so_far, const char *folder, const char *name) {
    size_t n_bytes;
    char *path = formatted("%s/include/%s", folder, name), *text = read_whole(path, 0, &n_bytes);
    if (!text) abort();
    so_far = hash(so_far, text);
    free(text);
    free(path);
    return so_far;
}

/* -------------------------------------------------------------------------------------------------- compiling */

/* Appends a list of the kernels to the preprocessed text. A kernel's name stands between the mark of __global__ and the
 * bracket. */
static char *with_list(const char *text) {
    static const char mark[] = "annotate(\"lookalike kernel\")", bounds[] = "annotate(\"launch bounds\")";
    char *names = formatted("%s", "");
    for (const char *at = text; (at = strstr(at, mark)); at += sizeof mark) {
        const char *from = at, *next;
        if ((next = strstr(at, bounds)) && next < at + 200) from = next;
        const char *name = strstr(from, "void ");
        if (!name) continue;
        name += strlen("void ");
        char *longer =
            formatted("%s%sLOOKALIKE_KERNEL(%.*s)", names, *names ? ", " : "", (int)strcspn(name, "( \n"), name);
        free(names);
        names = longer;
    }
    char *whole = formatted("%s\n#include \"kernel_list.h\"\nLOOKALIKE_PROGRAM(%s)\n", text, names);
    free(names);
    return whole;
}

/* Runs the command in a shell, and adds its output to the log. */
static bool run(nvrtcProgram program, const char *folder, const char *command) {
    char *said = formatted("%s/said", folder), *whole = formatted("%s >%s 2>&1", command, said);
    const bool went_well = system(whole) == 0;
    size_t n_bytes = 0;
    char *text = read_whole(said, 0, &n_bytes);
    if (text) {
        char *longer = formatted("%s%s", program->log, text);
        free(program->log);
        program->log = longer;
    }
    free(text);
    free(whole);
    free(said);
    return went_well;
}

/* Compile into the file `result`. */
static bool compile(nvrtcProgram program, const char *compiler, const char *result) {
    char folder[] = "/tmp/lookalike_cuda.XXXXXX";
    if (!mkdtemp(folder)) abort();
    char *source = formatted("%s/%s", folder, program->name), *expanded = formatted("%s/expanded.cc", folder),
         *object = formatted("%s/object.so", folder);
    char *command =
        formatted("cd %s && %s -E -include kernel_prelude.h -x c++ %s -o expanded.cc", folder, compiler, program->name);
    char *whole = formatted("#line 1 \"%s\"\n%s", program->name, program->text);
    write_whole(source, whole);
    free(whole);
    bool went_well = run(program, folder, command);
    free(command);
    if (went_well) {
        size_t n_bytes;
        char *text = read_whole(expanded, 0, &n_bytes);
        whole = with_list(text);
        write_whole(expanded, whole);
        free(whole);
        free(text);
        command = formatted("cd %s && %s -shared -x c++ expanded.cc -x none %s/libcuda.so.1 -o object.so", folder,
                            compiler, own_folder());
        went_well = run(program, folder, command);
        free(command);
    }
    /* as a whole or not at all, because other processes may look for it */
    char *copy =
        formatted("cp %s %s.%ld && mv %s.%ld %s", object, result, (long)getpid(), result, (long)getpid(), result);
    went_well = went_well && run(program, folder, copy);
    free(copy);
    char *remove = formatted("rm -r %s", folder);
    if (system(remove) != 0) abort();
    free(remove);
    free(source);
    free(expanded);
    free(object);
    return went_well;
}

typedef struct target {
    int architecture;
    bool is_virtual, fused;
} target;

static bool read_options(int n_options, const char *const *options, target *t) {
    *t = (target){.architecture = 75, .is_virtual = true, .fused = true};
    for (int i = 0; i < n_options; i++) {
        char kind[8];
        if (strcmp(options[i], "--std=c++17") == 0) continue;
        if (strncmp(options[i], "--fmad=", 7) == 0) {
            t->fused = strcmp(options[i] + 7, "true") == 0;
            if (!t->fused && strcmp(options[i] + 7, "false") != 0) return false;
            continue;
        }
        if (sscanf(options[i], "--gpu-architecture=%7[a-z]_%d", kind, &t->architecture) != 2) return false;
        t->is_virtual = strcmp(kind, "compute") == 0;
        if (!t->is_virtual && strcmp(kind, "sm") != 0) return false;
    }
    for (int i = 0; i < N_ARCHITECTURES; i++)
        if (architectures[i] == t->architecture) return true;
    return false;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int n_options, const char *const *options) {
    target t;
    if (!program) return INVALID_PROGRAM;
    if (!read_options(n_options, options, &t)) return INVALID_OPTION;
    const char *fault = getenv("LOOKALIKE_CUDA_FAULT");
    free(program->log);
    program->log = formatted("%s", "");
    if (fault && strcmp(fault, "nvrtc") == 0) {
        free(program->log);
        program->log = formatted("%s(1): warning: a first line\n%s(2): error: the fault that was asked for\n",
                                 program->name, program->name);
        return COMPILATION;
    }

    const char *folder = own_folder(), *cxx = getenv("LOOKALIKE_CXX"), *fused = "-ffp-contract=off";
    const char *instructions = "";
    if (t.fused) fused = "-ffp-contract=fast";
#ifdef __x86_64__
    if (__builtin_cpu_supports("fma")) instructions = " -mfma"; /* otherwise fmaf is a slow function */
#endif
    char *compiler = formatted("%s -std=c++17 -O1 -fPIC -fvisibility=hidden -w %s%s -DCUDA_STAND_IN -I%s/include",
                               cxx ? cxx : "clang++", fused, instructions, folder);
    uint64_t key = hash(hash(0xcbf29ce484222325u, compiler), program->text);
    static const char *const headers[] = {"kernel_prelude.h", "kernel_list.h", "image.h", "half.h", "fibers.h"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) key = hash_file(key, folder, headers[i]);
    char *cache = formatted("%s/cache", folder), *kept = formatted("%s/%016llx.so", cache, (unsigned long long)key);
    mkdir(cache, 0777);
    free(program->image);
    program->image = NULL;
    if (access(kept, R_OK) == 0 || compile(program, compiler, kept)) {
        program->image = read_whole(kept, sizeof(image_header), &program->n_bytes);
        image_header header = {.magic = IMAGE_MAGIC,
                               .architecture = (uint32_t)t.architecture,
                               .is_virtual = t.is_virtual,
                               .n_bytes = program->n_bytes};
        memcpy(program->image, &header, sizeof header);
        program->n_bytes += sizeof header;
        program->is_virtual = t.is_virtual;
    }
    free(kept);
    free(cache);
    free(compiler);
    return program->image ? NVRTC_SUCCESS : COMPILATION;
}

/* ------------------------------------------------------------------------------------------ the rest of the API */

nvrtcResult nvrtcCreateProgram(nvrtcProgram *program, const char *text, const char *name, int n_headers,
                               const char *const *headers, const char *const *header_names) {
    (void)headers;
    (void)header_names;
    if (!program || !text || !name || n_headers != 0) return INVALID_INPUT;
    *program = calloc(1, sizeof **program);
    if (!*program) return OUT_OF_MEMORY;
    (*program)->text = formatted("%s", text);
    (*program)->name = formatted("%s", name);
    (*program)->log = formatted("%s", "");
    n_programs++;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) {
    if (!program || !*program) return INVALID_PROGRAM;
    free((*program)->text);
    free((*program)->name);
    free((*program)->log);
    free((*program)->image);
    free(*program);
    *program = NULL;
    n_programs--;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *n_bytes) {
    if (!program) return INVALID_PROGRAM;
    *n_bytes = strlen(program->log) + 1;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *log) {
    if (!program) return INVALID_PROGRAM;
    strcpy(log, program->log);
    return NVRTC_SUCCESS;
}

/* A virtual architecture has only PTX, and a real one has only machine code. */
static nvrtcResult image_size(nvrtcProgram program, bool is_virtual, size_t *n_bytes) {
    if (!program || !program->image) return INVALID_PROGRAM;
    *n_bytes = program->is_virtual == is_virtual ? program->n_bytes : 0;
    return NVRTC_SUCCESS;
}

static nvrtcResult image(nvrtcProgram program, bool is_virtual, char *to) {
    if (!program || !program->image || program->is_virtual != is_virtual) return INVALID_PROGRAM;
    memcpy(to, program->image, program->n_bytes);
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t *n_bytes) { return image_size(program, true, n_bytes); }
nvrtcResult nvrtcGetPTX(nvrtcProgram program, char *ptx) { return image(program, true, ptx); }
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t *n_bytes) { return image_size(program, false, n_bytes); }
nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char *cubin) { return image(program, false, cubin); }

nvrtcResult nvrtcVersion(int *major, int *minor) {
    *major = 13;
    *minor = 0;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetNumSupportedArchs(int *count) {
    *count = N_ARCHITECTURES;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetSupportedArchs(int *to) {
    memcpy(to, architectures, sizeof architectures);
    return NVRTC_SUCCESS;
}

const char *nvrtcGetErrorString(nvrtcResult result) {
    static const char *const names[] = {"NVRTC_SUCCESS",
                                        "NVRTC_ERROR_OUT_OF_MEMORY",
                                        "NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
                                        "NVRTC_ERROR_INVALID_INPUT",
                                        "NVRTC_ERROR_INVALID_PROGRAM",
                                        "NVRTC_ERROR_INVALID_OPTION",
                                        "NVRTC_ERROR_COMPILATION"};
    return result >= 0 && result <= COMPILATION ? names[result] : "NVRTC_ERROR unknown";
}
