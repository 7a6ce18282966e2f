/* NEON with dot products (ARMv8.2 and newer): implements vector_types.h with 4 lanes, for kernels_neon.c and
 * kernels_i8mm.c. */
#ifndef CPU_NEON_VECTORS_H
#define CPU_NEON_VECTORS_H

#include <arm_neon.h>

#define LANES           4
#define WIDE_OFFSET     0
#define VECTOR_REGISTER "w"
#include "cpu/vector_types.h"

INLINE floats fused(floats a, floats b, floats c) {
    return (floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
INLINE floats larger(floats a, floats b) { return (floats)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
INLINE ints nearest(floats x) { return (ints)vcvtnq_s32_f32((float32x4_t)x); }

INLINE floats load_halfs(const uint16_t *x) {
    lane_halfs halfs;
    memcpy(&halfs, x, sizeof halfs);
    return (floats)vcvt_f32_f16((float16x4_t)halfs);
}

INLINE void store_halfs(uint16_t *out, floats x) {
    const lane_halfs halfs = (lane_halfs)vcvt_f16_f32((float32x4_t)x);
    memcpy(out, &halfs, sizeof halfs);
}

INLINE floats load_signed_bytes(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, sizeof four);
    const int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return (floats)vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
}

INLINE void store_signed_bytes(int8_t *out, ints x) {
    const int16x4_t words = vmovn_s32((int32x4_t)x);
    const int32_t four = vget_lane_s32(vreinterpret_s32_s8(vmovn_s16(vcombine_s16(words, words))), 0);
    memcpy(out, &four, sizeof four);
}

/* One instruction multiplies signed bytes and adds four products to an int32. */
INLINE ints dot(ints sum, ints w, ints y) { return (ints)vdotq_s32((int32x4_t)sum, (int8x16_t)w, (int8x16_t)y); }

INLINE ints lookup(const int8_t table[16], ints indices) {
    return (ints)vqtbl1q_s8(vld1q_s8(table), (uint8x16_t)indices);
}

INLINE ints gather(const uint16_t *table, ints indices) {
    return (ints){table[indices[0]], table[indices[1]], table[indices[2]], table[indices[3]]};
}

INLINE floats low_halfs(ints x) { return (floats)vcvt_f32_f16((float16x4_t)vmovn_s32((int32x4_t)x)); }

INLINE ints load_column(const uint8_t *rows, size_t stride) {
    int32_t words[4];
    UNROLLED for (size_t i = 0; i < 4; i++) memcpy(&words[i], rows + i * stride, sizeof words[i]);
    return (ints){words[0], words[1], words[2], words[3]};
}

INLINE void transpose(const uint8_t *rows, size_t stride, ints out[4]) {
    int32x4_t v[4];
    UNROLLED for (size_t i = 0; i < 4; i++) v[i] = (int32x4_t)load_ints(rows + i * stride);
    const int64x2_t even01 = (int64x2_t)vtrn1q_s32(v[0], v[1]), odd01 = (int64x2_t)vtrn2q_s32(v[0], v[1]);
    const int64x2_t even23 = (int64x2_t)vtrn1q_s32(v[2], v[3]), odd23 = (int64x2_t)vtrn2q_s32(v[2], v[3]);
    out[0] = (ints)vtrn1q_s64(even01, even23);
    out[1] = (ints)vtrn1q_s64(odd01, odd23);
    out[2] = (ints)vtrn2q_s64(even01, even23);
    out[3] = (ints)vtrn2q_s64(odd01, odd23);
}

#define TILE_VECTORS  2 /* of rows */
#define TILE_COLUMNS  6 /* tokens: the sums, and the floats that they are added to, fill the 32 registers */
#define FLOAT_ROWS    4 /* rows of float weights, ... */
#define FLOAT_COLUMNS 6 /* ... and tokens: their sums, in one register each, also fill the registers */

#endif
