/*
 * emulated512.h: the intrinsics that src/gbdt/words512.h, avx512.c and vbmi.c use, in plain C after
 * Intel's description of each, so that what these files make of them is tested on machines without
 * AVX-512 too.
 */
#ifndef UNIT_EMULATED512_H
#define UNIT_EMULATED512_H

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

typedef struct {
    uint8_t at[16];
} __m128i;

typedef struct {
    uint8_t at[64];
} __m512i;

typedef struct {
    double at[8];
} __m512d;

typedef uint64_t __mmask64;
typedef uint8_t __mmask8;

#define EACH(expression)                                                                           \
    __m512i out;                                                                                   \
    for (unsigned i = 0; i < 64; i++) {                                                            \
        out.at[i] = (uint8_t)(expression);                                                         \
    }                                                                                              \
    return out

static inline __m512i _mm512_loadu_si512(const void *from)
{
    __m512i out;
    memcpy(&out, from, sizeof out);
    return out;
}

static inline void _mm512_storeu_si512(void *to, __m512i from)
{
    memcpy(to, &from, sizeof from);
}

static inline __m128i _mm_loadu_si128(const __m128i *from)
{
    __m128i out;
    memcpy(&out, from, sizeof out);
    return out;
}

static inline __m512i _mm512_set1_epi8(char byte)
{
    EACH(byte);
}

static inline __m512i _mm512_set1_epi32(int word)
{
    EACH((uint32_t)word >> 8 * (i % 4));
}

static inline __m512i _mm512_broadcast_i32x4(__m128i from)
{
    EACH(from.at[i % 16]);
}

static inline __m512i _mm512_xor_si512(__m512i a, __m512i b)
{
    EACH(a.at[i] ^ b.at[i]);
}

static inline __m512i _mm512_or_si512(__m512i a, __m512i b)
{
    EACH(a.at[i] | b.at[i]);
}

/* Within each 16 bytes; bit 7 of the index gives 0. */
static inline __m512i _mm512_shuffle_epi8(__m512i table, __m512i index)
{
    EACH(index.at[i] & 0x80 ? 0 : table.at[i / 16 * 16 + (index.at[i] & 15)]);
}

static inline __m512i _mm512_permutexvar_epi8(__m512i index, __m512i table)
{
    EACH(table.at[index.at[i] & 63]);
}

static inline __m512i _mm512_mask_blend_epi8(__mmask64 choice, __m512i no, __m512i yes)
{
    EACH(choice >> i & 1 ? yes.at[i] : no.at[i]);
}

static inline __m512i _mm512_mask_add_epi8(__m512i otherwise, __mmask64 choice, __m512i a,
                                           __m512i b)
{
    EACH(choice >> i & 1 ? a.at[i] + b.at[i] : otherwise.at[i]);
}

static inline __mmask64 _mm512_cmplt_epi8_mask(__m512i a, __m512i b)
{
    __mmask64 out = 0;
    for (unsigned i = 0; i < 64; i++) {
        out |= (__mmask64)((int8_t)a.at[i] < (int8_t)b.at[i]) << i;
    }
    return out;
}

static inline __m512d _mm512_load_pd(const void *from)
{
    __m512d out;
    KOL_ASSERT((uintptr_t)from % sizeof out == 0);
    memcpy(&out, from, sizeof out);
    return out;
}

static inline __m512d _mm512_set1_pd(double value)
{
    return (__m512d){{value, value, value, value, value, value, value, value}};
}

#define _CMP_LT_OQ 0x11 /* less than; false where one is NaN, without a signal */

static inline __mmask8 _mm512_cmp_pd_mask(__m512d a, __m512d b, int predicate)
{
    __mmask8 out = 0;
    KOL_ASSERT(predicate == _CMP_LT_OQ);
    for (unsigned i = 0; i < 8; i++) {
        out |= (__mmask8)((a.at[i] < b.at[i]) << i);
    }
    return out;
}

#endif
