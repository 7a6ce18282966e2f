/* The three languages of the kernel text behind one set of names: the Metal shading language, CUDA C++ and OpenCL C
 * 1.2. Kernels use these names and plain C. The host puts #defines in front: GROUP and TEAM (threads, see driver.h),
 * SIMD and MATRICES (0 or 1, what the device has), KV_HALF (0 or 1, the type of keys and values).
 *
 *   DEVICE LOCAL CONSTANT PRIVATE   where a pointer points: memory of the device, of a group, read-only, of a thread
 *   FN                              a function
 *   KERNEL(name, args, n, BUFFER(..0), .. BUFFER(..n-1)) { uses p.field }     p, of type args, follows the n buffers
 *   LOCAL_ARRAY(type, name, count)  memory of the group; only at the top of a kernel
 *   GROUP_X GROUP_Y GROUP_Z THREAD  which group this is, and which thread of it
 *   BARRIER()                       no thread of the group goes on before all have come here
 *   LOAD_HALF(p, i) STORE_HALF(p, i, v)     16-bit floats, held as ushort; stores round to nearest even
 *   LOAD_HALF2(p, i)                elements 2i and 2i + 1, as a float2
 *   LOAD_HALF4(p, i)                elements 4i .. 4i + 3, as a float4
 *   FMA(a, b, c)                    a * b + c, rounded once; the compiler fuses nothing by itself
 *   RSQRT(x) EXP(x) LOG(x) TANH(x)  the functions of a float, not their fast versions
 *   BITS_TO_FLOAT(b)                the float with these 32 bits
 *   SIMD_SUM(v) SIMD_MAX(v)         the sum, the maximum over the TEAM threads of a SIMD group or warp, which all get
 *                                   it; only if SIMD is 1
 *   TABLE(type, name, count)        a table of constants
 *
 * Matrix instructions (MATRICES is 1) differ in more than names: see tiles.gpu. */
#if defined(__METAL_VERSION__)

#include <metal_stdlib>
using namespace metal;
#pragma METAL fp math_mode(safe)
#pragma METAL fp contract(off)
typedef long i64;
#define DEVICE                device
#define LOCAL                 threadgroup
#define CONSTANT              constant
#define PRIVATE               thread
#define FN                    static inline
#define BUFFER(type, name, i) device type *name [[buffer(i)]]
#define KERNEL(name, args, n, ...)                                                                               \
    kernel void name(__VA_ARGS__, constant args &p [[buffer(n)]], uint3 group_ [[threadgroup_position_in_grid]], \
                     uint3 thread_ [[thread_position_in_threadgroup]])
#ifndef LOCAL_ARRAY
#define LOCAL_ARRAY(type, name, count) threadgroup type name[count]
#endif
#define GROUP_X                  (group_.x)
#define GROUP_Y                  (group_.y)
#define GROUP_Z                  (group_.z)
#define THREAD                   (thread_.x)
#define BARRIER()                threadgroup_barrier(mem_flags::mem_threadgroup)
#define LOAD_HALF(p, i)          ((float)((device const half *)(p))[i])
#define LOAD_HALF2(p, i)         (float2(((device const half2 *)(p))[i]))
#define LOAD_HALF4(p, i)         (float4(((device const half4 *)(p))[i]))
#define STORE_HALF(p, i, v)      (((device half *)(p))[i] = (half)(v))
#define FMA(a, b, c)             fma(a, b, c)
#define RSQRT(x)                 precise::rsqrt(x)
#define EXP(x)                   precise::exp(x)
#define LOG(x)                   precise::log(x)
#define TANH(x)                  precise::tanh(x)
#define BITS_TO_FLOAT(b)         as_type<float>((uint)(b))
#define SIMD_SUM(v)              simd_sum(v)
#define SIMD_MAX(v)              simd_max(v)
#define TABLE(type, name, count) constant type name[count]

#elif defined(__OPENCL_VERSION__) || defined(__OPENCL_C_VERSION__)

#pragma OPENCL FP_CONTRACT OFF
typedef long i64;
#define DEVICE                __global
#define LOCAL                 __local
#define CONSTANT              __constant
#define PRIVATE               __private
#define FN                    static inline
#define BUFFER(type, name, i) __global type *name
#define KERNEL(name, args, n, ...) \
    __kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void name(__VA_ARGS__, const args p)
#define LOCAL_ARRAY(type, name, count) __local type name[count]
#define GROUP_X                        ((uint)get_group_id(0))
#define GROUP_Y                        ((uint)get_group_id(1))
#define GROUP_Z                        ((uint)get_group_id(2))
#define THREAD                         ((uint)get_local_id(0))
#define BARRIER()                      barrier(CLK_LOCAL_MEM_FENCE)
#define LOAD_HALF(p, i)                vload_half((i), (const __global half *)(p))
#define LOAD_HALF2(p, i)               vload_half2((i), (const __global half *)(p))
#define LOAD_HALF4(p, i)               vload_half4((i), (const __global half *)(p))
#define STORE_HALF(p, i, v)            vstore_half_rte((v), (i), (__global half *)(p))
#define FMA(a, b, c)                   fma(a, b, c)
#define RSQRT(x)                       rsqrt(x)
#define EXP(x)                         exp(x)
#define LOG(x)                         log(x)
#define TANH(x)                        tanh(x)
#define BITS_TO_FLOAT(b)               as_float((uint)(b))
#define TABLE(type, name, count)       __constant type name[count]

#else /* CUDA */

typedef long long i64;
typedef unsigned int uint;
typedef unsigned char uchar;
typedef unsigned short ushort;
#define DEVICE
#define LOCAL
#define CONSTANT
#define PRIVATE
#define FN                             static __device__ __forceinline__
#define BUFFER(type, name, i)          type *__restrict__ name
#define KERNEL(name, args, n, ...)     extern "C" __global__ __launch_bounds__(GROUP) void name(__VA_ARGS__, const args p)
#define LOCAL_ARRAY(type, name, count) __shared__ type name[count]
#define GROUP_X                        (blockIdx.x)
#define GROUP_Y                        (blockIdx.y)
#define GROUP_Z                        (blockIdx.z)
#define THREAD                         (threadIdx.x)
#define BARRIER()                      __syncthreads()
#define LOAD_HALF(p, i)                half_to_float(((const ushort *)(p))[i])
#define LOAD_HALF2(p, i)               half2_to_float2(((const uint *)(p))[i])
#define LOAD_HALF4(p, i)               half4_to_float4(((const uint2 *)(p))[i])
#define STORE_HALF(p, i, v)            (((ushort *)(p))[i] = float_to_half(v))
#define FMA(a, b, c)                   fmaf(a, b, c)
#define RSQRT(x)                       rsqrtf(x)
#define EXP(x)                         expf(x)
#define LOG(x)                         logf(x)
#define TANH(x)                        tanhf(x)
#define TABLE(type, name, count)       __constant__ type name[count]

#define BITS_TO_FLOAT(b) bits_to_float(b)
#ifndef CUDA_STAND_IN /* tests define it: they compile for the host, and have these functions in C */
FN float half_to_float(ushort half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}
FN ushort float_to_half(float value) {
    ushort half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
}
/* A float rounded to TF32: the 8 bits of exponent and 10 of mantissa that tensor cores read. */
FN uint float_to_tf32(float value) {
    uint bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}
/* c[16][8] += a[16][8] * b[8][8]. Each thread of the warp holds four elements of c, four of a and two of b. */
FN void multiply_tf32(float *c, const uint *a, const uint *b) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
FN float swap_lanes(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
FN float bits_to_float(uint bits) { return __uint_as_float(bits); }
#endif

FN float2 half2_to_float2(uint halves) {
    float2 pair;
    pair.x = half_to_float((ushort)(halves & 0xffff));
    pair.y = half_to_float((ushort)(halves >> 16));
    return pair;
}
FN float4 half4_to_float4(uint2 halves) {
    const float2 low = half2_to_float2(halves.x), high = half2_to_float2(halves.y);
    float4 four;
    four.x = low.x;
    four.y = low.y;
    four.z = high.x;
    four.w = high.y;
    return four;
}
FN float SIMD_SUM(float v) {
    for (int mask = TEAM / 2; mask > 0; mask /= 2) v += swap_lanes(v, mask);
    return v;
}
FN float SIMD_MAX(float v) {
    for (int mask = TEAM / 2; mask > 0; mask /= 2) v = fmaxf(v, swap_lanes(v, mask));
    return v;
}

#endif

#define UNROLL      _Pragma("unroll")
#define UNROLL_8    _Pragma("unroll 8") /* so that eight loads are under way at once */
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
