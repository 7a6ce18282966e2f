/* What CUDA C++ has in addition to C++, for kernels that the look-alike's NVRTC compiles for the host: the qualifiers,
 * the indices, barriers, and the functions that dialect.h does not define if CUDA_STAND_IN is defined. After the kernel
 * text, the compiler adds kernel_list.h and the kernels' names. Before: libnvrtc.c. After: lookalike/fibers.h, which
 * runs the threads. Source of the layout of fragments: NVIDIA's "PTX ISA", chapter on mma.m16n8k8 for .tf32. */
#include "fibers.h"
#include "half.h"
#include "image.h"

#include <math.h>
#include <utility>

extern "C" lookalike_index lookalike_block;

/* Groups run one after another, so the memory that they share can be static. Before each group it is filled with
 * rubbish. `used` keeps the compiler from assuming anything about its content. */
#define __shared__ static __attribute__((used, section("lookalike_shared")))
#define __global__ __attribute__((annotate("lookalike kernel")))
#define __device__
#define __constant__         static const
#define __forceinline__      inline
#define __launch_bounds__(n) __attribute__((annotate("launch bounds")))
#define blockIdx             lookalike_block
#define threadIdx            (lookalike_index{fibers_thread(), 0, 0})
#define __syncthreads()      fibers_barrier()

struct alignas(8) float2 {
    float x, y;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }

static inline float half_to_float(unsigned short half) { return f32_from_f16(half); }
static inline unsigned short float_to_half(float value) { return f16_from_f32(value); }
static inline float bits_to_float(unsigned bits) { return float_from_bits(bits); }
static inline float swap_lanes(float value, int mask) {
    return fibers_exchange("swap_lanes", value, (fibers_thread() % FIBERS_TEAM) ^ (uint32_t)mask);
}

/* Rounds to ten bits of mantissa, to the nearest, ties away from zero. */
static inline unsigned float_to_tf32(float value) {
    uint32_t bits = bits_from_float(value);
    if (value - value != 0) return bits; /* infinite or not a number */
    return (bits + 0x1000u) & 0xFFFFE000u;
}

/* Rounds to the 24 bits of a float, towards zero. */
static inline float truncated(double value) {
    const float nearest = (float)value;
    return fabs((double)nearest) > fabs(value) ? nextafterf(nearest, 0.0f) : nearest;
}

/* c[16][8] += a[16][8] * b[8][8]. Tensor cores cut the sum off instead of rounding it (Ootomo and Yokota 2022). The
 * warp's thread 4 * r + q, where q < 4, holds
 *   a[0..3]   rows r, r + 8, r, r + 8, columns q, q, q + 4, q + 4
 *   b[0..1]   rows q, q + 4, column r
 *   c[0..3]   rows r, r, r + 8, r + 8, columns 2 q, 2 q + 1, 2 q, 2 q + 1
 * The lowest 13 bits of a and b have no effect. */
static inline void multiply_tf32(float *c, const unsigned *a, const unsigned *b) {
    struct fragments {
        unsigned a[4], b[2];
    } mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const unsigned char *team = (const unsigned char *)fibers_share("multiply_tf32", &mine, sizeof mine);
    const unsigned lane = fibers_thread() % FIBERS_TEAM;
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = lane / 4 + (i / 2) * 8, column = 2 * (lane % 4) + i % 2;
        double sum = c[i];
        for (unsigned k = 0; k < 8; k++) {
            const fragments *left = (const fragments *)(team + (row % 8 * 4 + k % 4) * FIBERS_SHARED);
            const fragments *right = (const fragments *)(team + (column * 4 + k % 4) * FIBERS_SHARED);
            sum += (double)float_from_bits(left->a[row / 8 + k / 4 * 2] & 0xFFFFE000u) *
                   float_from_bits(right->b[k / 4] & 0xFFFFE000u);
        }
        c[i] = truncated(sum);
    }
}

template <class> struct lookalike_is_pointer { static constexpr uint32_t value = 0; };
template <class T> struct lookalike_is_pointer<T *> { static constexpr uint32_t value = 1; };
template <class T> struct lookalike_is_pointer<T *__restrict__> { static constexpr uint32_t value = 1; };

template <auto function> struct lookalike_description;
template <class... P, void (*function)(P...)> struct lookalike_description<function> {
    static constexpr uint32_t sizes[] = {(uint32_t)sizeof(P)...};
    static constexpr uint32_t are_pointers[] = {lookalike_is_pointer<P>::value...};
    template <size_t... I> static void call(void *const *parameters, std::index_sequence<I...>) {
        function(*(const P *)parameters[I]...);
    }
    static void run_thread(void *const *parameters) { call(parameters, std::index_sequence_for<P...>{}); }
    static constexpr lookalike_kernel make(const char *name) {
        return {name, sizeof...(P), sizes, are_pointers, run_thread};
    }
};
