/*
 * avx512.c: kernel.h on the 64-byte registers of AVX-512, for CPUs without VBMI.
 */
#include "gbdt/paths.h"

#ifdef GBDT_X86
#define WANTED "avx512f,avx512bw,bmi2,popcnt"
#include "gbdt/words512.h"

#define KERNEL_TOPS 32
#define KERNEL_HALVES true

struct tables {
    vec low, high; /* the codes of columns 0..15 and 16..31, in each quarter */
};

KERNEL struct tables v_tables(const int8_t *codes)
{
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)codes);
    const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(codes + 16));
    return (struct tables){_mm512_broadcast_i32x4(low), _mm512_broadcast_i32x4(high)};
}

/* Columns as KERNEL_HALVES has them written: bit 7 makes the shuffle give 0. */
KERNEL vec v_look(const struct tables *tables, vec columns)
{
    const vec flipped = _mm512_xor_si512(columns, _mm512_set1_epi8((char)0x80));
    return _mm512_or_si512(_mm512_shuffle_epi8(tables->low, columns),
                           _mm512_shuffle_epi8(tables->high, flipped));
}

#include "gbdt/kernel.h"

static bool available(void)
{
    return CPU_HAS("avx512f") && CPU_HAS("avx512bw") && CPU_HAS("bmi2") && CPU_HAS("popcnt");
}

const struct gbdt_evaluator gbdt_avx512 = {"avx512", available, prepare, raw, raw_rows};
#endif
