/* Matrix products of quantized weights with quantized activations, for every type of whole blocks.
 *
 * A lane is a row of the matrix. The rows' blocks are unpacked, 32 columns at a time, into eight vectors of bytes: lane i
 * of vector j holds columns 4j..4j+3 of row i. Then four columns of an activation, the same for all rows, are one
 * broadcast, and no sum ever runs across lanes. What is unpacked either meets its activations on the spot (a few tokens:
 * the weights are read once, straight from the file) or goes into a tile that stays in the first-level cache while all
 * tokens of a batch pass by it.
 *
 * The sum of a block is exact, in integers. It becomes a float once, is scaled, and is added to the row's sum: block after
 * block, in one chain per output element. So the result is the same bits by either way, and for any batch and row range.
 */
#ifndef CPU_VECTOR_QUANTS_H
#define CPU_VECTOR_QUANTS_H

#include "cpu/kernels.h"
#include "gguf/codebooks.h"
#include "gguf/quant_types.h"

/* ------------------------------------------------------------------------------------------ reading rows */

/* LANES rows of a matrix: `stride` bytes apart, or lanes `lane`.. of an interleaved group of ROW_GROUP. */
typedef struct row_lanes {
    const uint8_t *data;
    size_t stride;
    size_t lane;
    bool interleaved;
} row_lanes;

/* 16 bytes of each row; lane i of out[j] has bytes 4j..4j+3 of row i. `at`: bytes from the start of the row. */
INLINE void read_16(row_lanes rows, size_t at, ints out[4]) {
    if (rows.interleaved) {
        UNROLLED for (size_t j = 0; j < 4; j++) out[j] =
            load_ints(rows.data + ROW_GROUP * (at + 4 * j) + 4 * rows.lane);
    } else {
        transpose(rows.data + at, rows.stride, out);
    }
}

INLINE ints read_4(row_lanes rows, size_t at) {
    if (rows.interleaved) return load_ints(rows.data + ROW_GROUP * at + 4 * rows.lane);
    return load_column(rows.data + at, rows.stride);
}

/* The byte of each row that is the first field of its block. */
INLINE ints read_first(row_lanes rows, size_t at) {
    if (!rows.interleaved) return load_column(rows.data + at, rows.stride) & 0xFF;
    lane_bytes bytes;
    memcpy(&bytes, rows.data + ROW_GROUP * at + rows.lane, sizeof bytes);
    return __builtin_convertvector(bytes, ints);
}

/* Two bytes of each row, with anything above them. */
INLINE ints read_2(row_lanes rows, size_t at) {
    if (!rows.interleaved) return load_column(rows.data + at, rows.stride);
    lane_halfs halfs;
    memcpy(&halfs, rows.data + ROW_GROUP * at + 2 * rows.lane, sizeof halfs);
    return __builtin_convertvector(halfs, ints);
}

/* A half-precision float of each row, which is not the last field of the block. */
INLINE floats read_half(row_lanes rows, size_t at) {
    if (rows.interleaved) return load_halfs((const uint16_t *)(const void *)(rows.data + ROW_GROUP * at) + rows.lane);
    return low_halfs(load_column(rows.data + at, rows.stride));
}

/* Two of them that lie side by side. */
INLINE void read_two_halfs(row_lanes rows, size_t at, floats *first, floats *second) {
    if (rows.interleaved) {
        *first = read_half(rows, at);
        *second = read_half(rows, at + 2);
    } else {
        ints both = load_column(rows.data + at, rows.stride);
        *first = low_halfs(both);
        *second = low_halfs(both >> 16);
    }
}

/* The same for the last field: what follows it may not be there to be read. */
INLINE floats read_last_half(row_lanes rows, size_t at) {
    if (rows.interleaved) return read_half(rows, at);
    return low_halfs(load_column(rows.data + at - 2, rows.stride) >> 16);
}

/* ---------------------------------------------------------------------------------------------- unpacking */

/* 32 columns of LANES rows. A weight is scale * (w - the format's zero) + min; scales and mins are for all 32 columns, or
 * for each half of them. */
typedef struct unpacked {
    ints w[8];
    floats scales[2];
    floats mins[2];
} unpacked;

/* Takes what was unpacked: columns 32 * block.. of the rows. Called with ascending blocks. */
typedef void (*unpacked_sink)(void *context, size_t block, const unpacked *u);

#define NIBBLES 0x0F0F0F0F /* masks for the four bytes of a lane */
#define PAIRS   0x03030303
#define SIXES   0x3F3F3F3F
#define ONES    0x01010101

/* Byte k of each lane, unsigned and signed, as floats. */
INLINE floats byte_of(ints v, int k) { return floats_from_ints((v >> 8 * k) & 0xFF); }
INLINE floats signed_byte_of(ints v, int k) {
    return floats_from_ints((ints)((unsigneds)v << (uint32_t)(24 - 8 * k)) >> 24);
}

INLINE void unpack_nibbles(row_lanes rows, size_t at, ints w[8]) {
    ints q[4];
    read_16(rows, at, q);
    UNROLLED for (size_t j = 0; j < 4; j++) {
        w[j] = q[j] & NIBBLES;
        w[4 + j] = (q[j] >> 4) & NIBBLES;
    }
}

/* Bits 4j..4j+3 of each lane become bit 4 of the four bytes of w[j]. */
INLINE void add_fifth_bits(ints bits, ints w[8]) {
    UNROLLED for (int j = 0; j < 8; j++) {
        ints four = (j == 0 ? bits << 4 : bits >> (4 * j - 4)) & 0xF0;
        ints spread = four | four << 14;
        w[j] |= (spread | spread << 7) & (ONES << 4);
    }
}

/* Bytes of 8-bit weights in the form that dot takes. */
INLINE ints wide_weights(ints w) { return WIDE_OFFSET ? w ^ ~0x7F7F7F7F : w; }

INLINE void unpack_Q4_0(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpacked u;
    u.scales[0] = read_half(rows, unit * 18);
    unpack_nibbles(rows, unit * 18 + 2, u.w);
    sink(context, unit, &u);
}

INLINE void unpack_Q4_1(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpacked u;
    read_two_halfs(rows, unit * 20, &u.scales[0], &u.mins[0]);
    unpack_nibbles(rows, unit * 20 + 4, u.w);
    sink(context, unit, &u);
}

INLINE void unpack_Q5_0(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpacked u;
    u.scales[0] = read_half(rows, unit * 22);
    unpack_nibbles(rows, unit * 22 + 6, u.w);
    add_fifth_bits(read_4(rows, unit * 22 + 2), u.w);
    sink(context, unit, &u);
}

INLINE void unpack_Q5_1(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpacked u;
    read_two_halfs(rows, unit * 24, &u.scales[0], &u.mins[0]);
    unpack_nibbles(rows, unit * 24 + 8, u.w);
    add_fifth_bits(read_4(rows, unit * 24 + 4), u.w);
    sink(context, unit, &u);
}

INLINE void unpack_Q8_0(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpacked u;
    u.scales[0] = read_half(rows, unit * 34);
    read_16(rows, unit * 34 + 2, u.w);
    read_16(rows, unit * 34 + 18, u.w + 4);
    UNROLLED for (int j = 0; j < 8; j++) u.w[j] = wide_weights(u.w[j]);
    sink(context, unit, &u);
}

static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

INLINE void unpack_iq4(row_lanes rows, size_t at, ints w[8]) {
    unpack_nibbles(rows, at, w);
    UNROLLED for (int j = 0; j < 8; j++) w[j] = wide_weights(lookup(iq4_values, w[j]));
}

INLINE void unpack_IQ4_NL(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpacked u;
    u.scales[0] = read_half(rows, unit * 18);
    unpack_iq4(rows, unit * 18 + 2, u.w);
    sink(context, unit, &u);
}

INLINE void unpack_IQ4_XS(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 136;
    const floats d = read_half(rows, at);
    const ints low = read_4(rows, at + 4), high = read_2(rows, at + 2); /* bits of eight scales: four each, two each */
    for (int block = 0; block < 8; block++) {
        unpacked u;
        ints scale = ((low >> 4 * block) & 0xF) | ((high >> 2 * block) & 3) << 4;
        u.scales[0] = d * floats_from_ints(scale - 32);
        unpack_iq4(rows, at + 8 + 16 * (size_t)block, u.w);
        sink(context, 8 * unit + (size_t)block, &u);
    }
}

/* The 6-bit scales and mins of the eight blocks of Q4_K and Q5_K, four to a lane's word. */
typedef struct k_scales {
    ints scales[2];
    ints mins[2];
} k_scales;

INLINE k_scales read_k_scales(row_lanes rows, size_t at) {
    ints a = read_4(rows, at), b = read_4(rows, at + 4), c = read_4(rows, at + 8);
    return (k_scales){{a & SIXES, (c & NIBBLES) | ((a >> 6) & PAIRS) << 4},
                      {b & SIXES, ((c >> 4) & NIBBLES) | ((b >> 6) & PAIRS) << 4}};
}

/* Q4_K, and Q5_K with its fifth bits: 64 columns at a time, the low nibbles of 32 bytes and then the high ones. */
INLINE void unpack_k45(row_lanes rows, size_t unit, size_t bytes, size_t fifth_bits_at, size_t nibbles_at,
                       unpacked_sink sink, void *context) {
    const size_t at = unit * bytes;
    floats d, dmin;
    read_two_halfs(rows, at, &d, &dmin);
    const k_scales k = read_k_scales(rows, at + 4);
    ints fifth[8];
    if (fifth_bits_at) {
        read_16(rows, at + fifth_bits_at, fifth);
        read_16(rows, at + fifth_bits_at + 16, fifth + 4);
    }
    for (int pair = 0; pair < 4; pair++) {
        ints q[8];
        read_16(rows, at + nibbles_at + 32 * (size_t)pair, q);
        read_16(rows, at + nibbles_at + 32 * (size_t)pair + 16, q + 4);
        UNROLLED for (int high = 0; high < 2; high++) {
            const int block = 2 * pair + high;
            unpacked u;
            UNROLLED for (int j = 0; j < 8; j++) {
                u.w[j] = (high ? q[j] >> 4 : q[j]) & NIBBLES;
                if (fifth_bits_at) u.w[j] |= ((fifth[j] >> block) & ONES) << 4;
            }
            const ints scales = block < 4 ? k.scales[0] : k.scales[1], mins = block < 4 ? k.mins[0] : k.mins[1];
            u.scales[0] = d * byte_of(scales, block % 4);
            u.mins[0] = -dmin * byte_of(mins, block % 4);
            sink(context, 8 * unit + (size_t)block, &u);
        }
    }
}

INLINE void unpack_Q4_K(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpack_k45(rows, unit, 144, 0, 16, sink, context);
}

INLINE void unpack_Q5_K(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpack_k45(rows, unit, 176, 16, 48, sink, context);
}

/* The last three have a scale for each 16 columns, and four blocks in the bits of 32 bytes. */

INLINE void unpack_Q2_K(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 84;
    floats d, dmin;
    read_two_halfs(rows, at + 80, &d, &dmin);
    ints k[4]; /* of 16 columns each: low nibble the scale, high nibble the min */
    read_16(rows, at, k);
    for (int part = 0; part < 2; part++) {
        ints q[8];
        read_16(rows, at + 16 + 32 * (size_t)part, q);
        read_16(rows, at + 32 + 32 * (size_t)part, q + 4);
        UNROLLED for (int block = 0; block < 4; block++) {
            unpacked u;
            UNROLLED for (int j = 0; j < 8; j++) u.w[j] = (q[j] >> 2 * block) & PAIRS;
            UNROLLED for (int half = 0; half < 2; half++) {
                const ints of_four = part ? k[2 + block / 2] : k[block / 2];
                u.scales[half] = d * byte_of(of_four & NIBBLES, 2 * (block % 2) + half);
                u.mins[half] = -dmin * byte_of((of_four >> 4) & NIBBLES, 2 * (block % 2) + half);
            }
            sink(context, 8 * unit + 4 * (size_t)part + (size_t)block, &u);
        }
    }
}

INLINE void unpack_Q3_K(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 110;
    const floats d = read_last_half(rows, at + 108);
    const ints a = read_4(rows, at + 96), b = read_4(rows, at + 100), c = read_4(rows, at + 104);
    const ints k[4] = {/* 16 scales of 6 bits, 32 too large */
                       (a & NIBBLES) | (c & PAIRS) << 4, (b & NIBBLES) | ((c >> 2) & PAIRS) << 4,
                       ((a >> 4) & NIBBLES) | ((c >> 4) & PAIRS) << 4, ((b >> 4) & NIBBLES) | ((c >> 6) & PAIRS) << 4};
    ints third[8];
    read_16(rows, at, third);
    read_16(rows, at + 16, third + 4);
    for (int part = 0; part < 2; part++) {
        ints q[8];
        read_16(rows, at + 32 + 32 * (size_t)part, q);
        read_16(rows, at + 48 + 32 * (size_t)part, q + 4);
        UNROLLED for (int block = 0; block < 4; block++) {
            unpacked u;
            UNROLLED for (int j = 0; j < 8; j++) u.w[j] =
                ((q[j] >> 2 * block) & PAIRS) | ((third[j] >> (4 * part + block)) & ONES) << 2;
            UNROLLED for (int half = 0; half < 2; half++) {
                const ints of_four = part ? k[2 + block / 2] : k[block / 2];
                u.scales[half] = d * (byte_of(of_four, 2 * (block % 2) + half) - 32);
            }
            sink(context, 8 * unit + 4 * (size_t)part + (size_t)block, &u);
        }
    }
}

INLINE void unpack_Q6_K(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 210;
    const floats d = read_last_half(rows, at + 208);
    ints k[4]; /* signed scales of 16 columns each */
    read_16(rows, at + 192, k);
    for (int part = 0; part < 2; part++) {
        ints low[16], high[8];
        UNROLLED for (size_t i = 0; i < 4; i++) read_16(rows, at + 64 * (size_t)part + 16 * i, low + 4 * i);
        read_16(rows, at + 128 + 32 * (size_t)part, high);
        read_16(rows, at + 144 + 32 * (size_t)part, high + 4);
        UNROLLED for (int block = 0; block < 4; block++) {
            unpacked u;
            UNROLLED for (int j = 0; j < 8; j++) {
                const ints nibbles = low[8 * (block % 2) + j];
                u.w[j] = ((block < 2 ? nibbles : nibbles >> 4) & NIBBLES) | ((high[j] >> 2 * block) & PAIRS) << 4;
            }
            UNROLLED for (int half = 0; half < 2; half++) {
                const ints of_four = part ? k[2 + block / 2] : k[block / 2];
                u.scales[half] = d * signed_byte_of(of_four, 2 * (block % 2) + half);
            }
            sink(context, 8 * unit + 4 * (size_t)part + (size_t)block, &u);
        }
    }
}

/* What follows keeps levels of up to 5 bits as numbers around 16, those of the others as wide_weights does. */
#define AROUND_16(level) (16 + (level))
#define WIDE(level)      ((level) ^ -WIDE_OFFSET)

#define FP4_LEVELS(X) \
    { X(0), X(1), X(2), X(3), X(4), X(6), X(8), X(12), X(0), X(-1), X(-2), X(-3), X(-4), X(-6), X(-8), X(-12) }
static const int8_t fp4_values[16] = FP4_LEVELS(AROUND_16);

INLINE void unpack_MXFP4(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    unpacked u;
    const ints e = read_first(rows, unit * 17), tiny = e < 2; /* 2^(e - 128) is subnormal */
    u.scales[0] = (floats)((tiny & (e + 1) << 21) | (~tiny & (e - 1) << 23));
    unpack_nibbles(rows, unit * 17 + 1, u.w);
    UNROLLED for (int j = 0; j < 8; j++) u.w[j] = lookup(fp4_values, u.w[j]);
    sink(context, unit, &u);
}

/* Half of a float of 4 bits of exponent and 3 of mantissa, in the low byte: 0 where that is 0x7F. A subnormal one is taken
 * for twice the smallest power of two, and this then away, for floats that are subnormal themselves would be slow. */
INLINE floats half_of_e4m3(ints v) {
    const ints subnormal = (v & 0x78) == 0, zero = (v & 0xFF) == 0x7F;
    const ints bits = ((v & 0x7F) << 20) + (119 << 23) + (subnormal & 1 << 23);
    return (floats)(bits & ~zero) - (floats)(subnormal & 120 << 23);
}

INLINE void unpack_NVFP4(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const ints scales = read_4(rows, unit * 36);
    UNROLLED for (int block = 0; block < 2; block++) {
        unpacked u;
        ints q[4];
        read_16(rows, unit * 36 + 4 + 16 * (size_t)block, q);
        UNROLLED for (int half = 0; half < 2; half++) {
            UNROLLED for (int j = 0; j < 2; j++) {
                u.w[4 * half + j] = lookup(fp4_values, q[2 * half + j] & NIBBLES);
                u.w[4 * half + 2 + j] = lookup(fp4_values, (q[2 * half + j] >> 4) & NIBBLES);
            }
            u.scales[half] = half_of_e4m3(scales >> 8 * (2 * block + half));
        }
        sink(context, 2 * unit + (size_t)block, &u);
    }
}

INLINE void unpack_TQ2_0(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 66;
    const floats d = read_last_half(rows, at + 64);
    for (int part = 0; part < 2; part++) {
        ints q[8];
        read_16(rows, at + 32 * (size_t)part, q);
        read_16(rows, at + 32 * (size_t)part + 16, q + 4);
        UNROLLED for (int block = 0; block < 4; block++) {
            unpacked u;
            u.scales[0] = d;
            UNROLLED for (int j = 0; j < 8; j++) u.w[j] = (q[j] >> 2 * block) & PAIRS;
            sink(context, 8 * unit + 4 * (size_t)part + (size_t)block, &u);
        }
    }
}

/* Bytes that are fractions in base 3, as words of two: bytes 0 and 2 of a lane, and 1 and 3. */
typedef struct fractions {
    ints even, odd;
} fractions;

INLINE fractions fractions_of(ints bytes) { return (fractions){bytes & 0x00FF00FF, (bytes >> 8) & 0x00FF00FF}; }

/* The next digit of each of the four bytes. */
INLINE ints next_digits(fractions *x) {
    const ints even = 3 * x->even, odd = 3 * x->odd;
    *x = (fractions){even & 0x00FF00FF, odd & 0x00FF00FF};
    return ((even >> 8) & 0x00030003) | (odd & 0x03000300);
}

INLINE void unpack_TQ1_0(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 54;
    unpacked u;
    ints q[8];
    fractions x[8];
    u.scales[0] = read_last_half(rows, at + 52);
    read_16(rows, at, q);
    read_16(rows, at + 16, q + 4);
    UNROLLED for (size_t j = 0; j < 8; j++) x[j] = fractions_of(q[j]);
    for (size_t digit = 0; digit < 5; digit++) {
        UNROLLED for (size_t j = 0; j < 8; j++) u.w[j] = next_digits(&x[j]);
        sink(context, 8 * unit + digit, &u);
    }
    read_16(rows, at + 32, q);
    UNROLLED for (size_t j = 0; j < 4; j++) x[j] = fractions_of(q[j]);
    fractions last = fractions_of(read_4(rows, at + 48));
    for (size_t block = 5; block < 8; block++) { /* of two digits each, the last of one, and four of the last bytes */
        UNROLLED for (size_t j = 0; j < 4; j++) u.w[j] = next_digits(&x[j]);
        if (block < 7) {
            UNROLLED for (size_t j = 0; j < 4; j++) u.w[4 + j] = next_digits(&x[j]);
        } else {
            UNROLLED for (size_t j = 0; j < 4; j++) u.w[4 + j] = next_digits(&last);
        }
        sink(context, 8 * unit + block, &u);
    }
}

/* ------------------------------------------------------------------------------------- entries of a codebook
 *
 * A code of a weight, and above it, in bit 3, its sign, choose one of 16 levels. */

#define SIGNED_LEVELS_3(X, a, b, c) \
    { X(a), X(b), X(c), 0, 0, 0, 0, 0, X(-(a)), X(-(b)), X(-(c)) }
#define SIGNED_LEVELS_8(X, a, b, c, d, e, f, g, h)                                                                     \
    {                                                                                                                  \
        X(a), X(b), X(c), X(d), X(e), X(f), X(g), X(h), X(-(a)), X(-(b)), X(-(c)), X(-(d)), X(-(e)), X(-(f)), X(-(g)), \
            X(-(h))                                                                                                    \
    }

static const int8_t iq2_values[16] = SIGNED_LEVELS_3(WIDE, 8, 25, 43);
static const int8_t iq3_xxs_values[16] = SIGNED_LEVELS_8(WIDE, 4, 12, 20, 28, 36, 44, 52, 62);
static const int8_t iq3_s_values[16] = SIGNED_LEVELS_8(AROUND_16, 1, 3, 5, 7, 9, 11, 13, 15);
static const int8_t iq1_values[16] = {16 - 7, 16 + 1, 16 + 9, 0, 0, 0, 0, 0, 16 - 9, 16 - 1, 16 + 7};

INLINE ints unsigned_byte_of(ints v, int k) { return (v >> 8 * k) & 0xFF; }

/* Of eight signs, those of the first four weights are bit 0 of the four bytes, those of the last four bit 4. */
INLINE ints spread_signs(ints eight) {
    const ints twice = eight | eight << 7;
    return twice | twice << 14;
}

/* 32 weights by four entries of eight; signs: bit i for weight i. */
INLINE void unpack_eights(const uint16_t *codebook, const ints entries[4], ints signs, const int8_t levels[16],
                          ints w[8]) {
    UNROLLED for (int i = 0; i < 4; i++) {
        const ints entry = gather(codebook, entries[i]), codes = entry | entry << 12;
        const ints spread = spread_signs(unsigned_byte_of(signs, i));
        w[2 * i] = lookup(levels, (codes & PAIRS) | (spread & ONES) << 3);
        w[2 * i + 1] = lookup(levels, ((codes >> 2) & PAIRS) | ((spread >> 1) & (ONES << 3)));
    }
}

/* 32 weights by eight entries of four. */
INLINE void unpack_fours(const uint16_t *codebook, const ints entries[8], ints signs, const int8_t levels[16],
                         ints w[8]) {
    UNROLLED for (int i = 0; i < 4; i++) {
        const ints first = gather(codebook, entries[2 * i]), second = gather(codebook, entries[2 * i + 1]);
        const ints spread = spread_signs(unsigned_byte_of(signs, i));
        w[2 * i] = lookup(levels, ((first | first << 12) & NIBBLES) | (spread & ONES) << 3);
        w[2 * i + 1] = lookup(levels, ((second | second << 12) & NIBBLES) | ((spread >> 1) & (ONES << 3)));
    }
}

/* Four times seven signs, in the bytes of a lane, and the eighth, which makes the number of minus signs even. */
INLINE ints complete_signs(ints sevens) {
    ints parity = sevens ^ sevens >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return sevens | (parity & ONES) << 7;
}

/* 28 bits, and above them a scale. */
INLINE ints packed_signs(ints v) {
    return complete_signs((v & 0x7F) | ((v << 1) & 0x7F00) | ((v << 2) & 0x7F0000) | ((v << 3) & 0x7F000000));
}

INLINE floats odd_scale(ints v, int shift, int mask) { return floats_from_ints(2 * ((v >> shift) & mask) + 1); }

INLINE void unpack_IQ2_XXS(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 66;
    const floats d = read_half(rows, at) * 0.125f;
    for (size_t block = 0; block < 8; block++) {
        unpacked u;
        const ints low = read_4(rows, at + 2 + 8 * block), signs = read_4(rows, at + 6 + 8 * block);
        ints entries[4];
        UNROLLED for (int i = 0; i < 4; i++) entries[i] = unsigned_byte_of(low, i);
        unpack_eights(codebook_IQ2_XXS, entries, packed_signs(signs), iq2_values, u.w);
        u.scales[0] = d * odd_scale(signs, 28, 15);
        sink(context, 8 * unit + block, &u);
    }
}

/* The scales of IQ2_XS and IQ2_S: a nibble for each 16 columns. */
INLINE void unpack_iq2_scales(row_lanes rows, size_t at, size_t block, floats d, floats scales[2]) {
    const ints four = read_4(rows, at + block / 4 * 4);
    UNROLLED for (int half = 0; half < 2; half++) scales[half] =
        d * odd_scale(four, 8 * ((int)block % 4) + 4 * half, 15);
}

INLINE void unpack_IQ2_XS(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 74;
    const floats d = read_half(rows, at) * 0.125f;
    for (size_t block = 0; block < 8; block++) {
        unpacked u;
        const ints a = read_4(rows, at + 2 + 8 * block), b = read_4(rows, at + 6 + 8 * block);
        const ints entries[4] = {a & 511, (a >> 16) & 511, b & 511, (b >> 16) & 511};
        const ints sevens = ((a >> 9) & 0x7F) | ((a >> 17) & 0x7F00) | ((b << 7) & 0x7F0000) | ((b >> 1) & 0x7F000000);
        unpack_eights(codebook_IQ2_XS, entries, complete_signs(sevens), iq2_values, u.w);
        unpack_iq2_scales(rows, at + 66, block, d, u.scales);
        sink(context, 8 * unit + block, &u);
    }
}

INLINE void unpack_IQ2_S(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 82;
    const floats d = read_half(rows, at) * 0.125f;
    for (size_t block = 0; block < 8; block++) {
        unpacked u;
        const ints low = read_4(rows, at + 2 + 4 * block), signs = read_4(rows, at + 34 + 4 * block);
        const ints high = read_4(rows, at + 66 + block / 4 * 4) >> 8 * ((int)block % 4);
        ints entries[4];
        UNROLLED for (int i = 0; i < 4; i++) entries[i] = unsigned_byte_of(low, i) | ((high >> 2 * i) & 3) << 8;
        unpack_eights(codebook_IQ2_S, entries, signs, iq2_values, u.w);
        unpack_iq2_scales(rows, at + 74, block, d, u.scales);
        sink(context, 8 * unit + block, &u);
    }
}

INLINE void unpack_IQ3_XXS(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 98;
    const floats d = read_half(rows, at) * 0.25f;
    for (size_t block = 0; block < 8; block++) {
        unpacked u;
        const ints low[2] = {read_4(rows, at + 2 + 8 * block), read_4(rows, at + 6 + 8 * block)};
        const ints signs = read_4(rows, at + 66 + 4 * block);
        ints entries[8];
        UNROLLED for (int i = 0; i < 8; i++) entries[i] = unsigned_byte_of(low[i / 4], i % 4);
        unpack_fours(codebook_IQ3_XXS, entries, packed_signs(signs), iq3_xxs_values, u.w);
        u.scales[0] = d * odd_scale(signs, 28, 15);
        sink(context, 8 * unit + block, &u);
    }
}

INLINE void unpack_IQ3_S(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 110;
    const floats d = read_half(rows, at);
    const ints scales = read_4(rows, at + 106);
    for (size_t block = 0; block < 8; block++) {
        unpacked u;
        const ints low[2] = {read_4(rows, at + 2 + 8 * block), read_4(rows, at + 6 + 8 * block)};
        const ints high = read_4(rows, at + 66 + block / 4 * 4) >> 8 * ((int)block % 4);
        const ints signs = read_4(rows, at + 74 + 4 * block);
        ints entries[8];
        UNROLLED for (int i = 0; i < 8; i++) entries[i] = unsigned_byte_of(low[i / 4], i % 4) | ((high >> i) & 1) << 8;
        unpack_fours(codebook_IQ3_S, entries, signs, iq3_s_values, u.w);
        u.scales[0] = d * odd_scale(scales, 4 * (int)block, 15);
        sink(context, 8 * unit + block, &u);
    }
}

/* In IQ1 what chooses among the levels beside the code is one bit for an entry, or for all: 255 times it are eight signs. */

INLINE void unpack_IQ1_S(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 50;
    const floats d = read_half(rows, at) * 0.125f;
    for (size_t block = 0; block < 8; block++) {
        unpacked u;
        const ints low = read_4(rows, at + 2 + 4 * block);
        const ints high = read_4(rows, at + 34 + block / 2 * 4) >> 16 * ((int)block % 2);
        ints entries[4];
        UNROLLED for (int i = 0; i < 4; i++) entries[i] = unsigned_byte_of(low, i) | ((high >> 3 * i) & 7) << 8;
        unpack_eights(codebook_IQ1, entries, -((high >> 15) & 1), iq1_values, u.w);
        u.scales[0] = d * odd_scale(high, 12, 7);
        sink(context, 8 * unit + block, &u);
    }
}

INLINE void unpack_IQ1_M(row_lanes rows, size_t unit, unpacked_sink sink, void *context) {
    const size_t at = unit * 56;
    const ints k[2] = {read_4(rows, at + 48), read_4(rows, at + 52)}; /* four scales of 3 bits in 16, and of d 4 bits */
    const floats d = 0.125f * low_halfs(((k[0] >> 12) & 0xF) | ((k[0] >> 24) & 0xF0) | ((k[1] >> 4) & 0xF00) |
                                        ((k[1] >> 16) & 0xF000));
    for (size_t block = 0; block < 8; block++) {
        unpacked u;
        const ints low = read_4(rows, at + 4 * block);
        const ints high = read_4(rows, at + 32 + block / 2 * 4) >> 16 * ((int)block % 2);
        const ints down = (high >> 3) & 0x1111;
        const ints spread = (down & 1) | (down << 4 & 0x100) | (down << 8 & 0x10000) | (down << 12 & 0x1000000);
        ints entries[4];
        UNROLLED for (int i = 0; i < 4; i++) entries[i] = unsigned_byte_of(low, i) | ((high >> 4 * i) & 7) << 8;
        unpack_eights(codebook_IQ1, entries, (spread << 8) - spread, iq1_values, u.w);
        UNROLLED for (int half = 0; half < 2; half++) u.scales[half] =
            d * odd_scale(block < 4 ? k[0] : k[1], 16 * ((int)block / 2 % 2) + 6 * ((int)block % 2) + 3 * half, 7);
        sink(context, 8 * unit + block, &u);
    }
}

/* ----------------------------------------------------------------------------- the product of one block */

#ifndef SMALL_SUMS /* every sum is an int32 */
#define SMALL_SUMS(bits) 0
INLINE ints dot_small(ints sum, ints w, ints y) { return dot(sum, w, y); }
INLINE ints dot_total(ints sum) { return sum; }
#endif

typedef struct format {
    int bits;     /* of a weight; 8: signed, kept as wide_weights has them */
    int zero;     /* the weight that stands for 0 */
    bool halves;  /* scales for 16 columns */
    bool has_min; /* a min to add */
} format;

#define FORMATS(X)                                                                                           \
    X(NIBBLES_CENTRED, .bits = 4, .zero = 8)                        /* Q4_0 */                               \
    X(NIBBLES_MIN, .bits = 4, .has_min = true)                      /* Q4_1 Q4_K */                          \
    X(FIVES_CENTRED, .bits = 5, .zero = 16)                         /* Q5_0 IQ1_S IQ3_S MXFP4 */             \
    X(FIVES_MIN, .bits = 5, .has_min = true)                        /* Q5_1 Q5_K */                          \
    X(PAIRS_CENTRED, .bits = 2, .zero = 1)                          /* TQ1_0 TQ2_0 */                        \
    X(BYTES, .bits = 8, .zero = WIDE_OFFSET)                        /* Q8_0 IQ4_NL IQ4_XS IQ2_XXS IQ3_XXS */ \
    X(HALVES_PAIRS_MIN, .bits = 2, .halves = true, .has_min = true) /* Q2_K */                               \
    X(HALVES_THREES, .bits = 3, .halves = true, .zero = 4)          /* Q3_K */                               \
    X(HALVES_SIXES, .bits = 6, .halves = true, .zero = 32)          /* Q6_K */                               \
    X(HALVES_FIVES, .bits = 5, .halves = true, .zero = 16)          /* IQ1_M NVFP4 */                        \
    X(HALVES_BYTES, .bits = 8, .halves = true, .zero = WIDE_OFFSET) /* IQ2_XS IQ2_S */

/* X(type, its format, most tokens at once without a tile: finer scales need more registers, and types that take
 * long to unpack gain nothing above 4) */
#define QUANTIZED_TYPES(X)       \
    X(Q4_0, NIBBLES_CENTRED, 8)  \
    X(Q4_1, NIBBLES_MIN, 8)      \
    X(Q5_0, FIVES_CENTRED, 8)    \
    X(Q5_1, FIVES_MIN, 8)        \
    X(Q8_0, BYTES, 8)            \
    X(Q2_K, HALVES_PAIRS_MIN, 4) \
    X(Q3_K, HALVES_THREES, 4)    \
    X(Q4_K, NIBBLES_MIN, 8)      \
    X(Q5_K, FIVES_MIN, 8)        \
    X(Q6_K, HALVES_SIXES, 4)     \
    X(IQ4_NL, BYTES, 8)          \
    X(IQ4_XS, BYTES, 8)          \
    X(IQ1_S, FIVES_CENTRED, 1)   \
    X(IQ1_M, HALVES_FIVES, 1)    \
    X(IQ2_XXS, BYTES, 1)         \
    X(IQ2_XS, HALVES_BYTES, 1)   \
    X(IQ2_S, HALVES_BYTES, 1)    \
    X(IQ3_XXS, BYTES, 1)         \
    X(IQ3_S, FIVES_CENTRED, 1)   \
    X(TQ1_0, PAIRS_CENTRED, 4)   \
    X(TQ2_0, PAIRS_CENTRED, 4)   \
    X(MXFP4, FIVES_CENTRED, 8)   \
    X(NVFP4, HALVES_FIVES, 4)

#define X(name, ...) static const format FORMAT_##name = {__VA_ARGS__};
FORMATS(X)
#undef X

enum { DIRECT_COLUMNS = 8 }; /* most tokens whose sums are in registers together */

/* The activations of some tokens at one block: values and blocks of token c are c strides further. */
typedef struct activation_columns {
    const int8_t *values;
    size_t values_stride;
    const activation_block *blocks;
    size_t blocks_stride;
} activation_columns;

INLINE ints four_activations(activation_columns y, size_t column, size_t quad) {
    int32_t four;
    memcpy(&four, y.values + column * y.values_stride + 4 * quad, sizeof four);
    return all_ints(four);
}

typedef ints block_totals[DIRECT_COLUMNS][TILE_VECTORS];

/* totals[c][v] += the products of vector v of rows and column c, over `n_quads` times four columns of the block from quad
 * `first` on. The numbers of vectors and columns are constants of the caller, here and below, so that every loop unrolls
 * and every sum has its register. */
INLINE void add_products(const format f, const size_t n_vectors, const size_t n_columns, const unpacked *u,
                         activation_columns y, const size_t first, const size_t n_quads, block_totals totals);

#ifndef ISA_ADD_PRODUCTS /* the instruction set has none of its own */
INLINE void add_products(const format f, const size_t n_vectors, const size_t n_columns, const unpacked *u,
                         activation_columns y, const size_t first, const size_t n_quads, block_totals totals) {
    const size_t most = f.bits < 8 ? SMALL_SUMS(f.bits) : 0, n_small = most < n_quads ? most : n_quads;
    block_totals small;
    UNROLLED for (size_t quad = 0; quad < n_quads; quad++) {
        ints w[TILE_VECTORS];
        UNROLLED for (size_t v = 0; v < n_vectors; v++) w[v] = in_register(u[v].w[first + quad]);
        UNROLLED for (size_t c = 0; c < n_columns; c++) {
            const ints four = four_activations(y, c, first + quad);
            UNROLLED for (size_t v = 0; v < n_vectors; v++) {
                if (n_small == 0) {
                    totals[c][v] = dot(totals[c][v], w[v], four);
                } else {
                    small[c][v] = dot_small(quad & (n_small - 1) ? small[c][v] : (ints){0}, w[v], four);
                    if (((quad + 1) & (n_small - 1)) == 0) totals[c][v] += dot_total(small[c][v]);
                }
            }
        }
    }
}
#endif

/* sums[c][v] += the block of each vector v of rows times that of each column c. */
INLINE void multiply_block(const format f, const size_t n_vectors, const size_t n_columns, const unpacked *u,
                           activation_columns y, floats *sums) {
    const size_t n_halves = f.halves ? 2 : 1;
    UNROLLED for (size_t half = 0; half < n_halves; half++) {
        block_totals totals;
        UNROLLED for (size_t c = 0; c < n_columns; c++) {
            const activation_block *block = y.blocks + c * y.blocks_stride;
            const ints start = all_ints(f.halves ? block->half_sums[half] : block->sum) * -f.zero;
            UNROLLED for (size_t v = 0; v < n_vectors; v++) totals[c][v] = f.zero ? start : (ints){0};
        }
        add_products(f, n_vectors, n_columns, u, y, half * 4, 8 / n_halves, totals);
        UNROLLED for (size_t c = 0; c < n_columns; c++) {
            const activation_block *block = y.blocks + c * y.blocks_stride;
            const floats scale = all_floats(block->scale);
            const floats sum = floats_from_ints(all_ints(f.halves ? block->half_sums[half] : block->sum)) * scale;
            UNROLLED for (size_t v = 0; v < n_vectors; v++) {
                floats *to = &sums[c * n_vectors + v];
                *to = fused(floats_from_ints(totals[c][v]), u[v].scales[half] * scale, *to);
                if (f.has_min) *to = fused(u[v].mins[half], sum, *to);
            }
        }
    }
}

/* While a block of each row is at work, as many bytes of the rows that come next are asked for, in the order in which they
 * lie in memory. So the memory sees one stream, however many rows are read at once, and its answers have a whole group of
 * rows' time. Never many at once: the first-level cache has few places to wait for memory, and the loads need them.
 * (An address behind the matrix does no harm.) */
INLINE void prefetch_block(const uint8_t *next, size_t block, const size_t n_bytes) {
    next += block * n_bytes;
    UNROLLED for (size_t at = 0; at < n_bytes; at += CACHE_LINE) __builtin_prefetch(next + at, 0, 2);
}

/* ------------------------------------------------------------------------------- a few tokens: no tile */

typedef struct dot_context {
    activation_columns y; /* at column 0 */
    const uint8_t *next;
    floats sums[DIRECT_COLUMNS];
} dot_context;

INLINE void dot_block(const format f, const size_t n_columns, dot_context *context, size_t block, const unpacked *u) {
    activation_columns y = context->y;
    y.values += ACTIVATION_BLOCK * block;
    y.blocks += block;
    multiply_block(f, 1, n_columns, u, y, context->sums);
}

/* ------------------------------------------------------------------------------- many tokens: by tiles */

enum {
    /* so many columns of TILE_VECTORS * LANES rows take 16 KiB */
    TILE_DEPTH = 16384 / (TILE_VECTORS * LANES) / 256 * 256,
    TILE_BLOCKS = TILE_DEPTH / ACTIVATION_BLOCK,
    BATCH_COLUMNS = 256, /* tokens that a tile serves before it is made again */
};

typedef struct tile_context {
    unpacked (*tile)[TILE_VECTORS]; /* [TILE_BLOCKS] */
    size_t vector;
    size_t first_block;
} tile_context;

INLINE void store_block(void *context, size_t block, const unpacked *u) {
    const tile_context *t = context;
    t->tile[block - t->first_block][t->vector] = *u;
}

/* Of the rows that come after a tile's: what a pass over the tile asks for, `step` bytes a block. */
typedef struct rows_ahead {
    const uint8_t *next;
    size_t step;
} rows_ahead;

/* sums: [n_columns][TILE_VECTORS][LANES], in and out. */
INLINE void multiply_tile(const format f, const size_t n_columns, const unpacked (*tile)[TILE_VECTORS], size_t n_blocks,
                          activation_columns y, rows_ahead ahead, float *sums) {
    floats in_registers[TILE_COLUMNS * TILE_VECTORS];
    UNROLLED for (size_t i = 0; i < n_columns * TILE_VECTORS; i++) in_registers[i] = load_floats(sums + i * LANES);
    for (size_t block = 0; block < n_blocks; block++) {
        for (size_t at = 0; at < ahead.step; at += CACHE_LINE) __builtin_prefetch(ahead.next + at, 0, 2);
        ahead.next += ahead.step;
        multiply_block(f, TILE_VECTORS, n_columns, tile[block], y, in_registers);
        y.values += ACTIVATION_BLOCK;
        y.blocks++;
    }
    UNROLLED for (size_t i = 0; i < n_columns * TILE_VECTORS; i++) store_floats(sums + i * LANES, in_registers[i]);
}

typedef void (*tile_kernel)(const unpacked (*tile)[TILE_VECTORS], size_t n_blocks, size_t n_columns,
                            activation_columns y, rows_ahead ahead, float *sums);

/* n_columns is 1 .. TILE_COLUMNS. */
#define X(name, ...)                                                                                         \
    static void multiply_tile_##name(const unpacked(*tile)[TILE_VECTORS], size_t n_blocks, size_t n_columns, \
                                     activation_columns y, rows_ahead ahead, float *sums) {                  \
        switch (n_columns) {                                                                                 \
        case 1: multiply_tile(FORMAT_##name, 1, tile, n_blocks, y, ahead, sums); break;                      \
        case 2: multiply_tile(FORMAT_##name, 2, tile, n_blocks, y, ahead, sums); break;                      \
        case 3: multiply_tile(FORMAT_##name, 3, tile, n_blocks, y, ahead, sums); break;                      \
        default: multiply_tile(FORMAT_##name, TILE_COLUMNS, tile, n_blocks, y, ahead, sums); break;          \
        }                                                                                                    \
    }
FORMATS(X)
#undef X

/* ------------------------------------------------------------------------------------- a kernel per type */

typedef struct quantized_kernel {
    /* sums: out, [tokens][LANES], of 1, 2, 4 and 8 tokens, or of the first of these, up to most_direct */
    void (*dot[4])(row_lanes rows, const uint8_t *next, size_t n_units, activation_columns y, float *sums);
    void (*unpack)(row_lanes rows, size_t first_unit, size_t n_units, tile_context *context);
    tile_kernel multiply;
    size_t most_direct; /* tokens for `dot` */
} quantized_kernel;

/* of 32 columns, rounded up */
#define X(name, number, elements, bytes) BLOCK_BYTES_##name = (bytes * ACTIVATION_BLOCK + elements - 1) / elements,
enum { COMPUTE_TYPES(X) };
#undef X

#define DOT(type, format_name, columns)                                                                           \
    INLINE void dot_block_##type##_##columns(void *context, size_t block, const unpacked *u) {                    \
        prefetch_block(((dot_context *)context)->next, block, LANES *BLOCK_BYTES_##type);                         \
        dot_block(FORMAT_##format_name, columns, context, block, u);                                              \
    }                                                                                                             \
    static void dot_##type##_##columns(row_lanes rows, const uint8_t *next, size_t n_units, activation_columns y, \
                                       float *sums) {                                                             \
        dot_context context = {.y = y, .next = next};                                                             \
        unpack_either_##type(rows, 0, n_units, dot_block_##type##_##columns, &context);                           \
        UNROLLED for (size_t c = 0; c < columns; c++) store_floats(sums + c * LANES, context.sums[c]);            \
    }

/* For types whose unpacking is long, one is enough: each is a copy of it. */
#define DOTS_1(type, format_name) DOT(type, format_name, 1)
#define DOTS_4(type, format_name) DOT(type, format_name, 1) DOT(type, format_name, 2) DOT(type, format_name, 4)
#define DOTS_8(type, format_name) DOTS_4(type, format_name) DOT(type, format_name, 8)
#define DOT_TABLE_1(type) \
    { dot_##type##_1 }
#define DOT_TABLE_4(type) \
    { dot_##type##_1, dot_##type##_2, dot_##type##_4 }
#define DOT_TABLE_8(type) \
    { dot_##type##_1, dot_##type##_2, dot_##type##_4, dot_##type##_8 }

#define X(type, format_name, most)                                                                                   \
    INLINE void unpack_units_##type(row_lanes rows, size_t first, size_t end, unpacked_sink sink, void *context) {   \
        for (size_t unit = first; unit < end; unit++) unpack_##type(rows, unit, sink, context);                      \
    }                                                                                                                \
    INLINE void unpack_either_##type(row_lanes rows, size_t first, size_t end, unpacked_sink sink, void *context) {  \
        if (rows.interleaved)                                                                                        \
            unpack_units_##type((row_lanes){rows.data, 0, rows.lane, true}, first, end, sink, context);              \
        else                                                                                                         \
            unpack_units_##type((row_lanes){rows.data, rows.stride, 0, false}, first, end, sink, context);           \
    }                                                                                                                \
    DOTS_##most(type, format_name) static void unpack_rows_##type(row_lanes rows, size_t first_unit, size_t n_units, \
                                                                  tile_context *context) {                           \
        unpack_either_##type(rows, first_unit, first_unit + n_units, store_block, context);                          \
    }
QUANTIZED_TYPES(X)
#undef X

static const quantized_kernel quantized_kernels[QUANT_TYPE_LIMIT] = {
#define X(type, format_name, most) \
    [QUANT_##type] = {DOT_TABLE_##most(type), unpack_rows_##type, multiply_tile_##format_name, most},
    QUANTIZED_TYPES(X)
#undef X
};

/* ---------------------------------------------------------------------------------------- ranges of rows */

/* Which rows of first_row..end_row-1 a vector holds: lane i has row `first` + i, for i < n_rows. */
typedef struct row_vector {
    uint32_t first;
    uint32_t n_rows;
    row_lanes lanes;
    const uint8_t *next; /* the bytes that are read after these, to be asked for meanwhile */
} row_vector;

typedef struct row_range {
    const matrix *w;
    uint32_t first_row, end_row;
    uint8_t *tail; /* [LANES][row_bytes] a copy of the last rows when they fill no vector, the rest of it zeros */
} row_range;

INLINE uint32_t row_range_vectors(const row_range *range) {
    return (range->end_row - range->first_row + LANES - 1) / LANES;
}

static row_vector row_range_vector(const row_range *range, uint32_t index) {
    const matrix *w = range->w;
    const uint8_t *data = w->data;
    const uint32_t first = range->first_row + index * LANES;
    const uint32_t n_rows = range->end_row - first < LANES ? range->end_row - first : LANES;
    row_vector rows = {first,
                       n_rows,
                       {.data = data + first * w->row_bytes, .stride = w->row_bytes},
                       data + (first + LANES) * w->row_bytes};
    if (w->interleaved) {
        rows.lanes = (row_lanes){
            .data = data + (first - first % ROW_GROUP) * w->row_bytes, .lane = first % ROW_GROUP, .interleaved = true};
        rows.next = data + (first + ROW_GROUP) * w->row_bytes;
    } else if (n_rows < LANES) {
        memcpy(range->tail, rows.lanes.data, n_rows * w->row_bytes);
        memset(range->tail + n_rows * w->row_bytes, 0, (LANES - n_rows) * w->row_bytes);
        rows.lanes.data = range->tail;
    }
    return rows;
}

INLINE void store_rows(const row_vector *rows, const float *sums, float *out) {
    for (size_t i = 0; i < rows->n_rows; i++) out[rows->first + i] = sums[i];
}

/* A thread's scratch. */
typedef struct quantized_scratch {
    unpacked tile[TILE_BLOCKS][TILE_VECTORS];
    float sums[BATCH_COLUMNS][TILE_VECTORS][LANES];
    uint8_t tail[];
} quantized_scratch;

INLINE activation_columns columns_from(const activations *x, size_t token, size_t first_column) {
    const size_t n_blocks = x->n_columns / ACTIVATION_BLOCK;
    return (activation_columns){x->quantized + token * x->n_columns + first_column, x->n_columns,
                                x->blocks + token * n_blocks + first_column / ACTIVATION_BLOCK, n_blocks};
}

/* So few tokens that a tile does not pay: 8, 4, 2 or 1 at a time. */
static void multiply_few(const row_range *range, const activations *x, size_t n_batch, float *out, size_t out_stride) {
    const matrix *w = range->w;
    const size_t n_units = w->n_columns / quant_type_layout(w->type)->block_elements;
    const uint32_t n_vectors = row_range_vectors(range);
    for (uint32_t i = 0; i < n_vectors; i++) {
        const row_vector rows = row_range_vector(range, i);
        for (size_t token = 0, size = 3; token < n_batch; token += (size_t)1 << size) {
            float sums[DIRECT_COLUMNS][LANES];
            while (n_batch - token < (size_t)1 << size) size--;
            quantized_kernels[w->type].dot[size](rows.lanes, rows.next, n_units, columns_from(x, token, 0), sums[0]);
            for (size_t c = 0; c < (size_t)1 << size; c++) store_rows(&rows, sums[c], out + (token + c) * out_stride);
        }
    }
}

/* TILE_VECTORS vectors of rows, where there are so many, with tokens token..token+n_tokens-1. */
static void multiply_tiles(const matrix *w, const row_vector rows[TILE_VECTORS], const activations *x, size_t token,
                           size_t n_tokens, quantized_scratch *scratch) {
    const quantized_kernel *kernel = &quantized_kernels[w->type];
    const size_t unit_columns = quant_type_layout(w->type)->block_elements;
    const size_t block_bytes = quant_type_layout(w->type)->block_bytes * ACTIVATION_BLOCK / unit_columns;
    rows_ahead ahead = {(const uint8_t *)w->data + (rows[0].first + TILE_VECTORS * LANES) * w->row_bytes,
                        TILE_VECTORS * LANES * block_bytes};
    memset(scratch->sums, 0, n_tokens * sizeof *scratch->sums);
    for (size_t column = 0; column < w->n_columns; column += TILE_DEPTH) {
        const size_t depth = w->n_columns - column < TILE_DEPTH ? w->n_columns - column : TILE_DEPTH;
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            tile_context context = {scratch->tile, v, column / ACTIVATION_BLOCK};
            kernel->unpack(rows[v].lanes, column / unit_columns, depth / unit_columns, &context);
        }
        for (size_t done = 0, n_run; done < n_tokens; done += n_run) {
            const size_t left = n_tokens - done;
            n_run = left >= TILE_COLUMNS ? TILE_COLUMNS : left >= 3 ? 3 : left;
            kernel->multiply((const unpacked(*)[TILE_VECTORS])scratch->tile, depth / ACTIVATION_BLOCK, n_run,
                             columns_from(x, token + done, column), done == 0 ? ahead : (rows_ahead){0},
                             scratch->sums[done][0]);
        }
        ahead.next += depth / ACTIVATION_BLOCK * ahead.step;
    }
}

static void multiply_batch(const row_range *range, const activations *x, size_t n_batch, float *out, size_t out_stride,
                           quantized_scratch *scratch) {
    const uint32_t n_vectors = row_range_vectors(range);
    for (uint32_t i = 0; i < n_vectors; i += TILE_VECTORS) {
        row_vector rows[TILE_VECTORS];
        const uint32_t n_here = n_vectors - i < TILE_VECTORS ? n_vectors - i : TILE_VECTORS;
        for (uint32_t v = 0; v < TILE_VECTORS; v++) rows[v] = v < n_here ? row_range_vector(range, i + v) : rows[0];
        for (size_t token = 0; token < n_batch; token += BATCH_COLUMNS) {
            const size_t n_tokens = n_batch - token < BATCH_COLUMNS ? n_batch - token : BATCH_COLUMNS;
            multiply_tiles(range->w, rows, x, token, n_tokens, scratch);
            for (size_t t = 0; t < n_tokens; t++)
                for (uint32_t v = 0; v < n_here; v++)
                    store_rows(&rows[v], scratch->sums[t][v], out + (token + t) * out_stride);
        }
    }
}

static void quantized_matmul(const matrix *w, uint32_t first_row, uint32_t end_row, const activations *x,
                             size_t n_batch, float *out, size_t out_stride, void *scratch) {
    quantized_scratch *room = scratch;
    const row_range range = {w, first_row, end_row, room->tail};
    if (n_batch <= quantized_kernels[w->type].most_direct)
        multiply_few(&range, x, n_batch, out, out_stride);
    else
        multiply_batch(&range, x, n_batch, out, out_stride, room);
}

static size_t quantized_scratch_bytes(uint32_t n_columns) {
    const size_t widest_row = (size_t)n_columns / 32 * 34; /* Q8_0 */
    return sizeof(quantized_scratch) + LANES * widest_row;
}

#endif
