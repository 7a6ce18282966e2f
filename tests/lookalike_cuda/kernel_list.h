/* Tells libcuda.c which kernels a program has: LOOKALIKE_PROGRAM(LOOKALIKE_KERNEL(name), ...) stands after the kernel
 * text, and kernel_prelude.h before it. */
#define LOOKALIKE_KERNEL(name) lookalike_description<name>::make(#name)
#define LOOKALIKE_PROGRAM(...)                                                                              \
    extern "C" unsigned char __start_lookalike_shared[] __attribute__((weak, visibility("hidden")));        \
    extern "C" unsigned char __stop_lookalike_shared[] __attribute__((weak, visibility("hidden")));         \
    static const lookalike_kernel lookalike_kernels[] = {__VA_ARGS__};                                      \
    extern "C" __attribute__((visibility("default"))) const lookalike_program lookalike_program_of_text = { \
        lookalike_kernels, sizeof lookalike_kernels / sizeof *lookalike_kernels, __start_lookalike_shared,  \
        __stop_lookalike_shared};
