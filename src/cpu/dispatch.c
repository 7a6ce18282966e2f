/* Which kernels run: chosen by name, or the best that this CPU has. Called when a session is made. */
#include "cpu/kernels.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

static bool always(void) { return true; }
static bool never(void) { return false; }

#if defined(__x86_64__)
static bool has_f16c(void) { /* which the builtin of older clangs does not know */
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_F16C;
}
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vnni");
}
#else
#define has_avx2   never
#define has_avx512 never
#endif

#if defined(__aarch64__) && defined(__linux__)
static bool has_neon(void) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
static bool has_i8mm(void) { return has_neon() && getauxval(AT_HWCAP2) & HWCAP2_I8MM; }
#elif defined(__aarch64__) && defined(__APPLE__)
static bool has_feature(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value;
}
static bool has_neon(void) { return has_feature("hw.optional.arm.FEAT_DotProd"); }
static bool has_i8mm(void) { return has_neon() && has_feature("hw.optional.arm.FEAT_I8MM"); }
#else
#define has_neon never
#define has_i8mm never
#endif

/* From the least to the best. */
static struct isa {
    bool (*present)(void);
    void (*fill)(cpu_kernels *table);
    cpu_kernels table;
} isas[] = {
    {.present = always, .fill = kernels_scalar_fill},     {.present = has_avx2, .fill = kernels_avx2_fill},
    {.present = has_avx512, .fill = kernels_avx512_fill}, {.present = has_neon, .fill = kernels_neon_fill},
    {.present = has_i8mm, .fill = kernels_i8mm_fill},
};

enum { N_ISAS = sizeof isas / sizeof isas[0] };

static pthread_once_t filled = PTHREAD_ONCE_INIT;
static char names[64]; /* of the usable ones, as kernels_names gives them */

/* The CPU is asked first: a fill function is compiled with the instructions of its kernels. */
static void fill(void) {
    for (size_t i = 0; i < N_ISAS; i++) {
        if (isas[i].present()) isas[i].fill(&isas[i].table);
        if (!isas[i].table.name) continue;
        if (names[0]) strcat(names, ", ");
        strcat(names, isas[i].table.name);
    }
}

const cpu_kernels *kernels_select(const char *isa) {
    pthread_once(&filled, fill);
    const cpu_kernels *best = NULL;
    for (size_t i = 0; i < N_ISAS; i++)
        if (isas[i].table.name && (!isa || strcmp(isa, isas[i].table.name) == 0)) best = &isas[i].table;
    return best;
}

const char *kernels_names(void) {
    pthread_once(&filled, fill);
    return names;
}
