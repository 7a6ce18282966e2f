/* Unpacks the blocks of each type, of LANES rows at once. Rows are as in the file, or interleaved. dequantize_scalar.c
 * describes the layout of each type. vector_type_tmpl.h calls unpack_<type> for each unit, which is a block of the
 * type. */
#ifndef CPU_VECTOR_UNPACK_H
#define CPU_VECTOR_UNPACK_H

#include "cpu/vector_quants.h"
#include "gguf/codebooks.h"

/* ------------------------------------------------------------------------------------------ reading rows */

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

/* The byte at `at` of each row. It must be the first field of a block. */
INLINE ints read_first(row_lanes rows, size_t at) {
    if (!rows.interleaved) return load_column(rows.data + at, rows.stride) & 0xFF;
    lane_bytes bytes;
    memcpy(&bytes, rows.data + ROW_GROUP * at + rows.lane, sizeof bytes);
    return __builtin_convertvector(bytes, ints);
}

/* Two bytes of each row. The bits above them can be anything. */
INLINE ints read_2(row_lanes rows, size_t at) {
    if (!rows.interleaved) return load_column(rows.data + at, rows.stride);
    lane_halfs halfs;
    memcpy(&halfs, rows.data + ROW_GROUP * at + 2 * rows.lane, sizeof halfs);
    return __builtin_convertvector(halfs, ints);
}

/* A half-precision float of each row. It must not be the last field of a block. */
INLINE floats read_half(row_lanes rows, size_t at) {
    if (rows.interleaved) return load_halfs((const uint16_t *)(const void *)(rows.data + ROW_GROUP * at) + rows.lane);
    return low_halfs(load_column(rows.data + at, rows.stride));
}

/* Two adjacent ones. */
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

/* The last field of a block. Four bytes are read, and the memory after the block may not exist: so they begin two bytes
 * earlier. */
INLINE floats read_last_half(row_lanes rows, size_t at) {
    if (rows.interleaved) return read_half(rows, at);
    return low_halfs(load_column(rows.data + at - 2, rows.stride) >> 16);
}

/* ---------------------------------------------------------------------------------------------- unpacking */

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
    const ints low = read_4(rows, at + 4), high = read_2(rows, at + 2); /* of eight scales: 4 bits each, 2 bits each */
    for (int block = 0; block < 8; block++) {
        unpacked u;
        ints scale = ((low >> 4 * block) & 0xF) | ((high >> 2 * block) & 3) << 4;
        u.scales[0] = d * floats_from_ints(scale - 32);
        unpack_iq4(rows, at + 8 + 16 * (size_t)block, u.w);
        sink(context, 8 * unit + (size_t)block, &u);
    }
}

/* The 6-bit scales and mins of the eight blocks of Q4_K and Q5_K, each in a byte, four in a lane. */
typedef struct k_scales {
    ints scales[2];
    ints mins[2];
} k_scales;

INLINE k_scales read_k_scales(row_lanes rows, size_t at) {
    ints a = read_4(rows, at), b = read_4(rows, at + 4), c = read_4(rows, at + 8);
    return (k_scales){{a & SIXES, (c & NIBBLES) | ((a >> 6) & PAIRS) << 4},
                      {b & SIXES, ((c >> 4) & NIBBLES) | ((b >> 6) & PAIRS) << 4}};
}

/* Q4_K, and Q5_K with its fifth bits. 64 columns at a time: the low nibbles of 32 bytes, then the high ones. */
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

/* Q2_K, Q3_K and Q6_K have a scale for each 16 columns. Each of 32 bytes holds two bits for each of four blocks. */

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
    const ints k[4] = {/* 16 scales of 6 bits; 32 is subtracted later */
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

/* The types below look their weights up in tables of levels. A level of up to 5 bits is stored as 16 + level, others as
 * wide_weights has them. */
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

/* Half of the float in the low byte, which has 4 bits of exponent and 3 of mantissa; 0x7F is 0. A subnormal number
 * first gets a leading 1, which is subtracted afterwards, because computing with subnormal floats is slow. */
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

/* The bytes of a lane as fractions in base 3, each in 16 bits: bytes 0 and 2, and bytes 1 and 3. */
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
    /* blocks 5 and 6: two digits each of 16 bytes; block 7: the fifth digit of these, and four digits of 4 bytes */
    for (size_t block = 5; block < 8; block++) {
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
 * A weight's code (bits 0..2) and its sign (bit 3) choose one of 16 levels. */

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

/* Spread eight signs over four bytes: bit 0 of byte i is the sign of weight i, bit 4 that of weight i + 4. */
INLINE ints spread_signs(ints eight) {
    const ints twice = eight | eight << 7;
    return twice | twice << 14;
}

/* 32 weights from four entries of eight. signs: bit i is the sign of weight i. */
INLINE void unpack_eights(const uint16_t *codebook, const ints entries[4], ints signs, const int8_t levels[16],
                          ints w[8]) {
    UNROLLED for (int i = 0; i < 4; i++) {
        const ints entry = gather(codebook, entries[i]), codes = entry | entry << 12;
        const ints spread = spread_signs(unsigned_byte_of(signs, i));
        w[2 * i] = lookup(levels, (codes & PAIRS) | (spread & ONES) << 3);
        w[2 * i + 1] = lookup(levels, ((codes >> 2) & PAIRS) | ((spread >> 1) & (ONES << 3)));
    }
}

/* 32 weights from eight entries of four. */
INLINE void unpack_fours(const uint16_t *codebook, const ints entries[8], ints signs, const int8_t levels[16],
                         ints w[8]) {
    UNROLLED for (int i = 0; i < 4; i++) {
        const ints first = gather(codebook, entries[2 * i]), second = gather(codebook, entries[2 * i + 1]);
        const ints spread = spread_signs(unsigned_byte_of(signs, i));
        w[2 * i] = lookup(levels, ((first | first << 12) & NIBBLES) | (spread & ONES) << 3);
        w[2 * i + 1] = lookup(levels, ((second | second << 12) & NIBBLES) | ((spread >> 1) & (ONES << 3)));
    }
}

/* Each byte of a lane has seven signs. Add the eighth, which makes the number of minus signs even. */
INLINE ints complete_signs(ints sevens) {
    ints parity = sevens ^ sevens >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return sevens | (parity & ONES) << 7;
}

/* Four times seven signs from the low 28 bits. The scale above them is ignored. */
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

/* In IQ1 one bit takes the place of the signs. In IQ1_S the four entries of a block share one; times -1 it is 32 equal
 * signs. In IQ1_M each entry has its own; times 255 it is eight equal signs. */

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
    /* each 16 bits: four scales of 3 bits, and 4 bits of d */
    const ints k[2] = {read_4(rows, at + 48), read_4(rows, at + 52)};
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

#endif
