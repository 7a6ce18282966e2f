/* Chooses the kernels: by name, or the best that this CPU has. Called when an engine is created. */
#include "cpu/kernels.h"

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
static bool has_f16c(void) { /* older clangs have no builtin for it */
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

/* From the least to the best. A CPU that has one of them also has the earlier ones of its kind. */
static const struct isa {
    bool (*present)(void);
    const cpu_kernels *const *table;
    const char *names; /* all kernels that run on a CPU whose best kernels are these */
} isas[] = {
    {always, &kernels_scalar, "scalar"},
    {has_avx2, &kernels_avx2, "scalar, avx2"},
    {has_avx512, &kernels_avx512, "scalar, avx2, avx512"},
    {has_neon, &kernels_neon, "scalar, neon"},
    {has_i8mm, &kernels_i8mm, "scalar, neon, i8mm"},
};

enum { N_ISAS = sizeof isas / sizeof isas[0] };

/* NULL if there is none. */
static const struct isa *best_isa(const char *name) {
    const struct isa *best = NULL;
    for (size_t i = 0; i < N_ISAS; i++) {
        const cpu_kernels *table = *isas[i].table;
        if (table && isas[i].present() && (!name || strcmp(name, table->name) == 0)) best = &isas[i];
    }
    return best;
}

const cpu_kernels *kernels_select(const char *isa) {
    const struct isa *best = best_isa(isa);
    return best ? *best->table : NULL;
}

const char *kernels_names(void) { return best_isa(NULL)->names; }
